/* What a method says of a layer in numbers, beside flags: a damping that was used, how many steps a search took. Their
 * names, units and meanings are a table of the method; a layer carries their values by their places in it. They reach
 * the result's file, its tables and `lowbit inspect` by that name, and nothing but the method knows one. */
#ifndef LB_QUANT_DIAGNOSTICS_H
#define LB_QUANT_DIAGNOSTICS_H

#include "base/status.h"

enum {
    LB_DIAGNOSTICS_MOST = 14, /* of a method or a pipeline */
    LB_TOLD_MOST = 16         /* with those that every result has a column of (result/store_told.c) */
};

typedef struct lb_diagnostic {
    const char *name; /* of a column: a-z, 0-9, _ and what joins a stage's name to it: "gptq.damp" */
    const char *unit; /* "columns"; "": a pure number */
    const char *meaning;
    double least, most; /* what it can be */
} lb_diagnostic;

typedef struct lb_diagnostics {
    const lb_diagnostic *table;
    size_t n;
} lb_diagnostics;

typedef struct lb_told {
    uint32_t which; /* bit i: value[i] was told */
    double value[LB_TOLD_MOST];
} lb_told;

static inline void lb_tell(lb_told *t, size_t which, double value) {
    t->which |= 1u << which;
    t->value[which] = value;
}
static inline bool lb_is_told(const lb_told *t, size_t which) { return t->which >> which & 1; }

/* The place of a name; d->n: it is not there. */
size_t lb_diagnostics_find(const lb_diagnostics *d, const char *name);
/* Can it be a method's table? LB_E_ARG. */
LB_NODISCARD lb_status lb_diagnostics_check(const lb_diagnostics *d);
/* Only what is in the table, each in its range. `code`: of the error, which names it. */
LB_NODISCARD lb_status lb_told_check(const lb_told *t, const lb_diagnostics *d, lb_status code);

#endif

/* Typed option tables. One table drives parsing, validation, `lowbit methods NAME`, `help config`, provenance and the
 * docs. */
#ifndef LB_QUANT_OPTIONS_H
#define LB_QUANT_OPTIONS_H

#include "base/mem.h"
#include "base/str.h"

typedef enum lb_opt_type {
    LB_OPT_INT,    /* int64_t, in [min, max] */
    LB_OPT_FLOAT,  /* double, in [min, max] */
    LB_OPT_BOOL,   /* bool */
    LB_OPT_CHOICE, /* int: index into choices */
    LB_OPT_GROUP,  /* int64_t: LB_GROUP_TENSOR, LB_GROUP_ROW, or columns that share a scale (min..max) */
    LB_OPT_STR,    /* const char *, from the arena */
    LB_OPT_FORMAT  /* const lb_format *: a number format by its name (quant/format.h) */
} lb_opt_type;

#define LB_GROUP_ROW    0
#define LB_GROUP_TENSOR (-1)

typedef struct lb_option {
    const char *name;
    lb_opt_type type;
    const char *def;            /* default, as text; NULL: required */
    double min, max;            /* INT, FLOAT, GROUP */
    const char *const *choices; /* CHOICE: NULL-terminated */
    const char *help;           /* one line; unit where there is one */
    size_t offset;              /* of the field in the options struct */
} lb_option;

typedef struct lb_options {
    const lb_option *table;
    size_t n;
    size_t struct_size;
} lb_options;

/* Is it called so? "gptq.percdamp", of a pipeline, is also called "percdamp". */
bool lb_option_answers(const lb_option *opt, const char *name);
const lb_option *lb_options_find(const lb_options *o, const char *name); /* the first that is called so; NULL: none */
LB_NODISCARD lb_status lb_options_defaults(const lb_options *o, lb_arena *a, void *values);
/* Sets all that are called `name` from text. An unknown name is LB_E_CONFIG with the nearest known one; a bad value
 * names type and bounds: "bits = 9: must be in [2, 8] (method gptq)"; `whose` is the part in brackets ("method gptq").
 */
LB_NODISCARD lb_status lb_options_set(const lb_options *o, lb_arena *a, void *values, const char *name,
                                      const char *text, const char *whose);
/* The current value as canonical text (what parses back to the same), appended. */
void lb_options_text(const lb_option *opt, const void *values, lb_str *out);
/* A rule set options for one layer: those that `own` does not name must be there what they are in `all`, because they
 * belong to more than a layer ("the whole training"). LB_E_UNSUPPORTED names the first that is not. */
LB_NODISCARD lb_status lb_options_own(const lb_options *o, const void *all, const void *layer, const char *const *own,
                                      const char *layer_name, const char *whole);
/* Not part of a cell's identity, nor of the list of its options: a number format that is the default. Results from
 * before there was a choice are what they were. */
bool lb_options_silent(const lb_option *opt, const void *values);
/* type, default, bounds or choices, for humans: "integer in [2, 8], default 4". */
void lb_options_describe(const lb_option *opt, lb_str *out);

#endif

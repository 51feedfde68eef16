/* Methods that remember what they were given, and give back a layer that is visibly off: rounded down, not to the
 * nearest. Their flags, damping and act are what a test says. A test program that uses them has a table of methods of
 * its own, which takes the place of algorithms/table.c. */
#ifndef LB_TESTS_PROBE_H
#define LB_TESTS_PROBE_H

#include "quant/method.h"

extern const lb_method probe_method;       /* on statistics */
extern const lb_method probe_blind_method; /* on weights alone */
extern const lb_method probe_block_method; /* on statistics, all layers of a block at once */
extern const lb_method probe_model_method; /* of the whole model; trains nothing */

typedef struct probe_opts {
    int64_t bits, group, act; /* act: bits of the activation quantizer, 0: none */
    bool act_symmetric;
} probe_opts;

/* One call, in order. */
typedef struct probe_call {
    char name[48];
    double *H; /* (cols, cols) or NULL: no statistics */
    int64_t tokens, sequences;
    uint64_t seed;
    float *W, *What; /* (rows, cols) */
    int64_t rows, cols;
    probe_opts opts;
} probe_call;

enum { PROBE_CALLS = 192, PROBE_BLOCKS = 8 };
typedef struct probe_log {
    probe_call call[PROBE_CALLS];
    int64_t calls;
    const char *fail_at; /* a layer that ends the run with LB_E_INTERRUPTED; NULL: none */
    const char *lie_at;  /* a layer that comes back in groups half as wide as asked for */
    struct {
        const char *layer;
        uint32_t flags;
    } flagged[8];
    double damp;                 /* of every layer */
    int64_t dead_columns;        /* of those flagged so */
    float off;                   /* added to every scale, as a share of it: other numbers of the same shape */
    float *passed[PROBE_BLOCKS]; /* (length, dim) sequence 1 behind a block with the layers that it was given */
} probe_log;
extern probe_log probe;
void probe_reset(void); /* forgets all */
/* The call of a layer, or NULL. */
const probe_call *probe_find(const char *name);

#endif

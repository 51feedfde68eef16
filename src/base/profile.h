/* Where time goes: self time, operations and bytes of kinds of work, per stage. Off, it costs a test of one flag. On,
 * a scope reads the clock twice, so scopes belong around pieces of some microseconds. Scopes nest: a kind's seconds are
 * those outside the scopes within it. Seconds are summed over threads. */
#ifndef LB_BASE_PROFILE_H
#define LB_BASE_PROFILE_H

#include "base/status.h"

typedef enum lb_work {
    LB_WORK_SGEMM,      /* float32 products */
    LB_WORK_DGEMM,      /* float64 products */
    LB_WORK_BF16,       /* bfloat16 products */
    LB_WORK_BF16_ROUND, /* float32 to bfloat16 */
    LB_WORK_FACTOR,     /* Cholesky and triangular solutions */
    LB_WORK_ATTENTION,  /* scores, softmax and the sum over values */
    LB_WORK_SOFTMAX,    /* of logits: log-sum-exp, picks, divergence */
    LB_WORK_NORM,
    LB_WORK_ROPE,
    LB_WORK_SWIGLU,
    LB_WORK_HESSIAN, /* adding float32 products up in float64 */
    LB_WORK_SOLVE,   /* a method on one layer, but for its products */
    LB_WORK_DECODE,  /* stored weights to float32 */
    LB_WORK_FAKE,    /* simulated quantization */
    LB_WORK_ADAMW,
    LB_WORKS
} lb_work;

typedef struct lb_scope {
    double start, inside; /* start 0: not counted */
    struct lb_scope *outer;
    lb_work work;
} lb_scope;

extern bool lb_profile_on; /* set once, before threads start */
void lb_profile_enable(void);
void lb_profile_stage(const char *name); /* work from here on belongs to it; a literal; by the main thread */

void lb_profile_enter(lb_scope *s, lb_work work);
void lb_profile_leave(lb_scope *s, double flops, double bytes);
static inline void lb_scope_begin(lb_scope *s, lb_work work) {
    s->start = 0;
    if (lb_profile_on) lb_profile_enter(s, work);
}
/* bytes: read and written at least once */
static inline void lb_scope_end(lb_scope *s, double flops, double bytes) {
    if (s->start > 0) lb_profile_leave(s, flops, bytes);
}

typedef struct lb_profile_row {
    const char *stage, *work;
    double seconds, flops, bytes;
    int64_t calls;
} lb_profile_row;
/* What was counted so far, stages in the order of their first use, the largest first in each; at most `most` rows. Also
 * the wall time of each row's stage. No scope may be open on another thread. */
int lb_profile_read(lb_profile_row *row, double *stage_wall, int most);

#endif

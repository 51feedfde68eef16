/* What a step sees when a net is trained: the rows of a batch, sequence after sequence, in panels of LB_TRAIN_PANEL.
 * Forward it gives its values; on the way back it gives to the gradient of each operand its share, from the gradient of
 * its result. Values that the way back reads are kept, or made again by the same function that made them
 * (train/plan.c). */
#ifndef LB_MODEL_STEPS_TRAIN_H
#define LB_MODEL_STEPS_TRAIN_H

#include <string.h>

#include "base/team.h"
#include "model/backward.h"
#include "model/net.h"
#include "model/program.h"

enum { LB_TRAIN_PANEL = 128 }; /* rows of a piece of work */

/* A part in a pass over `rows` rows. Arrays by value and by step of the part. */
typedef struct lb_train {
    lb_backward *b;
    const lb_net_part *part;
    const struct lb_plan *plan;
    const lb_weights *w;
    const lb_grads *g;     /* NULL: forward */
    const int32_t *tokens; /* (rows) */
    int64_t rows;
    float **value, **grad; /* (rows, cols) each; NULL: not there now */
    float **quantized;     /* of a site's step: its input as the product reads it, transformed and quantized; NULL: x */
    bool *fresh;           /* and this step is the one that makes it */
    float **kept, **room;  /* what a step asked for, (rows, keeps) and (rows, room) */
    struct lb_routed **routed; /* of experts: who goes where */
} lb_train;

/* Rows [first, first + n), which are within one panel. */
typedef struct lb_rows {
    int64_t first, n;
    float *scratch; /* of this worker: lb_train_scratch floats */
    float *sums;    /* of this panel: its part of the gradients of vectors */
} lb_rows;

static inline int64_t lb_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t lb_tiles(int64_t n, int64_t size) { return (n + size - 1) / size; }
static inline lb_mat lb_train_mat(float *d, const lb_rows *r, int64_t cols) {
    return lb_mat_of(d + r->first * cols, r->n, cols);
}
/* These rows of a value, and of its gradient. */
static inline lb_mat lb_train_value(const lb_train *t, int32_t v, const lb_rows *r) {
    return lb_train_mat(t->value[v], r, t->part->value[v].cols);
}
static inline lb_mat lb_train_grad(const lb_train *t, int32_t v, const lb_rows *r) {
    return lb_train_mat(t->grad[v], r, t->part->value[v].cols);
}
/* The input of a step's site, transformed and quantized; made anew where the step is the one that does. */
lb_cmat lb_train_input(const lb_train *t, const lb_net_step *s, const lb_rows *r);

/* What a step adds to: to = base + share; base NULL: to = share. base may be `to`. */
typedef struct lb_share {
    lb_mat to;
    const float *base;
} lb_share;
/* Of its first result; of the gradient of its operand k. */
lb_share lb_train_out(const lb_train *t, const lb_net_step *s, const lb_rows *r);
lb_share lb_train_share(const lb_train *t, const lb_net_step *s, int k, const lb_rows *r);
/* Row i of the share, whose numbers are `from`, which is that row of `to` where there is no base. */
static inline float *lb_share_row(const lb_share *x, int64_t i, float *scratch) {
    return x->base ? scratch : x->to.d + i * x->to.ld;
}
static inline void lb_share_put(const lb_share *x, int64_t i, const float *from) {
    if (!x->base) return;
    float *to = x->to.d + i * x->to.ld;
    const float *base = x->base + i * x->to.ld;
    for (int64_t j = 0; j < x->to.cols; j++) to[j] = base[j] + from[j];
}
static inline void lb_share_set(const lb_share *x, int64_t i, const float *from) {
    if (x->base)
        lb_share_put(x, i, from);
    else
        memcpy(x->to.d + i * x->to.ld, from, (size_t)x->to.cols * sizeof *from);
}
/* Row i of the share is `times` from. */
static inline void lb_share_times(const lb_share *x, int64_t i, float times, const float *from) {
    float *to = x->to.d + i * x->to.ld;
    const float *base = x->base ? x->base + i * x->to.ld : NULL;
    for (int64_t j = 0; j < x->to.cols; j++) to[j] = base ? base[j] + times * from[j] : times * from[j];
}
/* to = base + alpha A W, or A Wᵀ. */
void lb_share_product(const lb_share *x, float alpha, lb_cmat A, bool transposed, lb_cmat W);

/* To dx, of the step's operand: mult dy W T of its site, straight through the quantizer of the input; where a static
 * range cut T x off, nothing (Esser et al. 2020, arXiv:1902.08153, eq. 5). */
LB_NODISCARD lb_status lb_train_back_product(const lb_train *t, const lb_net_step *s, const lb_rows *r,
                                             const lb_share *dx, float mult, lb_cmat dy);

/* Sums over a panel's rows of a vector's gradient, where it is wanted; NULL: not. */
float *lb_train_sum(const lb_train *t, const lb_net_step *s, const lb_rows *r, int32_t vector, int64_t at);

/* lb_parallel_for with subnormal numbers taken as 0: gradients and attention weights fade into them, and each one costs
 * the processor a hundred cycles. */
LB_NODISCARD lb_status lb_train_for(lb_team *team, int64_t n, lb_piece f, void *ctx);
/* That sum of a matrix' columns, times a number. */
void lb_train_add_rows(float *sum, float times, lb_mat x);
int32_t lb_train_bias(const lb_train *t, const lb_net_step *s); /* of its site, in net.vector; -1 */
int64_t lb_train_vector(const lb_train *t, int32_t vector);     /* its length */
/* The gradient of a site's weights, or their owner's; add: to what is there already. */
lb_mat lb_train_site(const lb_train *t, int32_t site, bool *add);
/* Turns rows of x (n, cols), which are rows [first, first + n) of the batch, each at its own position. */
void lb_train_turn(const lb_train *t, const lb_net_step *s, bool inverse, int64_t first, lb_mat x);
int64_t lb_train_length(const lb_train *t); /* of a sequence */
float *lb_train_scratch(const lb_train *t, int worker);
int64_t lb_train_attend_floats(int64_t length); /* that attention needs a worker */

#endif

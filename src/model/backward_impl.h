/* Inside of the backward pass: what is kept of the forward, the buffers of one block, and the pieces in their files.
 * N = batch * length rows, sequence after sequence; H = heads * head_dim, KV = kv_heads * head_dim. */
#ifndef LB_MODEL_BACKWARD_IMPL_H
#define LB_MODEL_BACKWARD_IMPL_H

#include "model/backward.h"
#include "model/forward.h"
#include "model/llama.h"

enum { LB_PANEL = 128 }; /* rows of a piece of work */

/* Of one block. The normed inputs and the product of the SwiGLU are recomputed. */
typedef struct lb_saved {
    float *x;         /* (N, dim) entering */
    float *q, *k, *v; /* (N, H), (N, KV), (N, KV); q and k after rotation */
    float *o;         /* (N, H) attention's output */
    float *lse;       /* (batch * heads, length) log-sum-exp of each row of scores */
    float *mid;       /* (N, dim) between attention and MLP */
    float *gate, *up; /* (N, hidden) */
} lb_saved;

/* A block's gradients; NULL: not wanted. */
typedef struct lb_block_grad {
    lb_mat w[LB_LINEARS];
    float *attn_norm, *mlp_norm;
} lb_block_grad;

struct lb_backward {
    lb_arena *arena;
    lb_llama model;
    lb_arch arch;                /* the model's */
    int64_t batch, length, rows; /* rows = N */
    int64_t panels;              /* of LB_PANEL rows */
    lb_rope rope;
    lb_saved *saved; /* (layers) */

    /* one block at a time */
    float *h1, *h2;           /* (N, dim) normed inputs of attention and MLP */
    float *act;               /* (N, hidden) silu(gate) * up */
    float *input[LB_LINEARS]; /* (N, width) fake-quantized input of that linear; NULL until a block asks for it */
    float *dx, *dx_next;      /* (N, dim) gradient of what leaves the block, of what enters it */
    float *dmid, *dh;         /* (N, dim) */
    float *dgate, *dup;       /* (N, hidden) */
    float *d_o, *dq;          /* (N, H) */
    float *dk_head, *dv_head; /* (N, H) each query head's part */
    float *dk, *dv;           /* (N, KV) */
    float *norm_part;         /* (panels, dim) each panel's part of a norm's gradient */

    /* the head */
    float *x_last;          /* (N, dim) leaving the last block */
    float *final, *teacher; /* (N, dim) final-normed states of the model and of the original */
    float *dfinal;          /* (N, dim) */
    int64_t head_rows;      /* rows whose logits exist at a time */
    float *logits, *target; /* (head_rows, vocab) of the model and of the original; the latter NULL until asked for */
    double *nll, *kl;       /* (N) */

    /* per worker */
    int workers;
    float **scratch; /* (workers) of `scratch_floats`: two tiles of attention, or a row of the vocabulary */
    int64_t scratch_floats;
};

static inline int64_t lb_least(int64_t a, int64_t b) { return a < b ? a : b; }
/* Rows [r0, r0 + n) of a (N, cols) buffer. */
static inline lb_mat lb_rows_of(float *p, int64_t r0, int64_t n, int64_t cols) {
    return lb_mat_of(p + r0 * cols, n, cols);
}
static inline lb_cmat lb_crows_of(const float *p, int64_t r0, int64_t n, int64_t cols) {
    return lb_cmat_of(p + r0 * cols, n, cols);
}
/* The first row of a panel and how many it has. */
static inline int64_t lb_panel_rows(const lb_backward *b, int64_t panel, int64_t *r0) {
    *r0 = panel * LB_PANEL;
    return lb_least(LB_PANEL, b->rows - *r0);
}
static inline const float *lb_linear_in(const lb_backward *b, const lb_block *w, lb_linear l, const float *raw) {
    return w->act[l].bits ? b->input[l] : raw;
}

/* lb_parallel_for with subnormal numbers taken as 0: gradients and attention weights fade into them, and each one costs
 * the processor a hundred cycles. */
LB_NODISCARD lb_status lb_backward_for(lb_team *team, int64_t n, lb_piece f, void *ctx);
/* Rows of buffers that hold whole sequences: rotates each at its own position. */
void lb_backward_rotate(const lb_backward *b, bool inverse, float *x, int64_t r0, int64_t n, int64_t cols);
/* y = norm of n rows of x from r0. */
void lb_backward_norm(const lb_backward *b, const float *weight, const float *x, float *y, int64_t r0, int64_t n);
/* The way back through a norm: dx = base + d norm(x)/dx · dy for n rows from r0; base may be NULL (0). dy is
 * overwritten. part (dim) or NULL: the rows' gradient of the weight. */
void lb_backward_norm_grad(const lb_backward *b, const float *weight, const float *x, const float *base, float *dy,
                           float *dx, float *part, int64_t r0, int64_t n);
/* Adds the panels' parts in order. */
void lb_backward_norm_sum(const lb_backward *b, float *grad);
/* Fake-quantizes rows of a linear's input where the block asks for it. */
void lb_backward_input(lb_backward *b, const lb_block *w, lb_linear l, const float *raw, int64_t r0, int64_t n,
                       int64_t cols);

/* One head of one sequence. Forward: o and lse from q, k, v. Backward: dq, dk_head, dv_head from d_o. */
void lb_attention_train(const lb_backward *b, const lb_saved *s, int64_t sequence, int64_t head, float *scratch);
void lb_attention_grad(const lb_backward *b, const lb_saved *s, int64_t sequence, int64_t head, float *scratch);
int64_t lb_attention_scratch(int64_t length); /* floats */

/* From b->dx, the gradient of what leaves the block, to that of what enters it (again in b->dx), and g. */
LB_NODISCARD lb_status lb_block_backward(lb_backward *b, const lb_block *w, const lb_saved *s, const lb_block_grad *g,
                                         lb_team *team);
/* Losses of every row into nll and kl; where want: dfinal; where g_head.d: the head's gradient. */
LB_NODISCARD lb_status lb_head_backward(lb_backward *b, lb_cmat head, lb_cmat teacher_head, double kl_weight,
                                        const int32_t *tokens, bool want, lb_mat g_head, lb_team *team);

#endif

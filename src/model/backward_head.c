/* Loss and gradient at the head, fused and in groups of rows: only (head_rows, vocab) logits exist at a time, and their
 * gradient takes their place. */
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/backward_impl.h"

enum { LOGIT_ROWS = 128, LOGIT_COLS = 1024, ROW_PIECE = 64, GRAD_ROWS = 128 };

typedef struct head_job {
    lb_backward *b;
    lb_cmat head, teacher_head; /* (vocab, dim) */
    double kl_weight;
    const int32_t *tokens; /* (N) */
    int64_t r0, n;         /* the group */
    lb_mat g_head;
} head_job;

static int64_t tiles(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* A tile of the group's logits, the model's or the original's. */
static lb_status logit_tile(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const head_job *j = ctx;
    lb_backward *b = j->b;
    int64_t D = b->arch.dim, V = b->arch.vocab, across = tiles(V, LOGIT_COLS), one = tiles(j->n, LOGIT_ROWS) * across;
    bool original = piece >= one;
    piece %= one;
    int64_t r = piece / across * LOGIT_ROWS, c = piece % across * LOGIT_COLS;
    int64_t rows = lb_least(LOGIT_ROWS, j->n - r), cols = lb_least(LOGIT_COLS, V - c);
    lb_sgemm(false, true, 1.0f, lb_crows_of(original ? b->teacher : b->final, j->r0 + r, rows, D),
             lb_cmat_part(original ? j->teacher_head : j->head, c, 0, cols, D), 0.0f,
             lb_mat_part(lb_mat_of(original ? b->target : b->logits, j->n, V), r, c, rows, cols));
    return LB_OK;
}

/* One row's losses; its logits z become their gradient: (softmax(z) - (1 - a) onehot - a P) / predicted tokens, with P
 * the original's softmax and a the weight of KL. e (vocab): room. */
static void row_loss(const head_job *j, int64_t row, float *z, const float *z0, float *e) {
    const lb_kernels *kn = lb_kernels_active();
    lb_backward *b = j->b;
    int64_t V = b->arch.vocab;
    if (row % b->length == b->length - 1) { /* nothing follows it */
        memset(z, 0, (size_t)V * sizeof *z);
        b->nll[row] = b->kl[row] = 0;
        return;
    }
    double each = 1.0 / (double)(b->batch * (b->length - 1)), a = j->kl_weight;
    int32_t next = j->tokens[row + 1];
    float top = kn->max(z, V), target = z[next], top0 = 0;
    double sum0 = 1, cross = 0;
    if (z0) { /* mean of z0 - z under P */
        top0 = kn->max(z0, V);
        sum0 = kn->exp_sum(e, z0, top0, V);
        cross = (kn->dot(e, z0, V) - kn->dot(e, z, V)) / sum0;
    }
    double sum = kn->exp_sum(z, z, top, V), lse = (double)top + log(sum);
    b->nll[row] = lse - (double)target;
    b->kl[row] = z0 ? cross + lse - ((double)top0 + log(sum0)) : 0;
    kn->scale(z, (float)(each / sum), V);
    if (z0) kn->axpy(z, (float)(-a * each / sum0), e, V);
    z[next] -= (float)((1 - a) * each);
}

static lb_status row_piece(void *ctx, int64_t piece, int worker) {
    const head_job *j = ctx;
    int64_t V = j->b->arch.vocab, first = piece * ROW_PIECE, last = lb_least(first + ROW_PIECE, j->n);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOFTMAX);
    for (int64_t i = first; i < last; i++)
        row_loss(j, j->r0 + i, j->b->logits + i * V, j->kl_weight > 0 ? j->b->target + i * V : NULL,
                 j->b->scratch[worker]);
    double logits = (double)((last - first) * V);
    lb_scope_end(&scope, (j->kl_weight > 0 ? 36.0 : 14.0) * logits, (j->kl_weight > 0 ? 12.0 : 8.0) * logits);
    return LB_OK;
}

static lb_status state_grad(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const head_job *j = ctx;
    lb_backward *b = j->b;
    int64_t first = piece * ROW_PIECE, n = lb_least(ROW_PIECE, j->n - first);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->logits, first, n, b->arch.vocab), j->head, 0.0f,
             lb_rows_of(b->dfinal, j->r0 + first, n, b->arch.dim));
    return LB_OK;
}

/* A run of the vocabulary: adds the group's part of the head's gradient, groups in order. */
static lb_status head_grad(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const head_job *j = ctx;
    lb_backward *b = j->b;
    int64_t V = b->arch.vocab, c = piece * GRAD_ROWS, n = lb_least(GRAD_ROWS, V - c);
    lb_sgemm(true, false, 1.0f, lb_cmat_part(lb_cmat_of(b->logits, j->n, V), 0, c, j->n, n),
             lb_crows_of(b->final, j->r0, j->n, b->arch.dim), j->r0 == 0 ? 0.0f : 1.0f,
             lb_mat_part(j->g_head, c, 0, n, j->g_head.cols));
    return LB_OK;
}

lb_status lb_head_backward(lb_backward *b, lb_cmat head, lb_cmat teacher_head, double kl_weight, const int32_t *tokens,
                           bool want, lb_mat g_head, lb_team *team) {
    head_job j = {b, head, teacher_head, kl_weight, tokens, 0, 0, g_head};
    for (j.r0 = 0; j.r0 < b->rows; j.r0 += j.n) {
        j.n = lb_least(b->head_rows, b->rows - j.r0);
        int64_t one = tiles(j.n, LOGIT_ROWS) * tiles(b->arch.vocab, LOGIT_COLS);
        LB_TRY(lb_backward_for(team, kl_weight > 0 ? 2 * one : one, logit_tile, &j));
        LB_TRY(lb_backward_for(team, tiles(j.n, ROW_PIECE), row_piece, &j));
        if (want) LB_TRY(lb_backward_for(team, tiles(j.n, ROW_PIECE), state_grad, &j));
        if (g_head.d) LB_TRY(lb_backward_for(team, tiles(b->arch.vocab, GRAD_ROWS), head_grad, &j));
    }
    return LB_OK;
}

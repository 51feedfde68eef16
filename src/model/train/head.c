/* Loss and gradient at the head, fused and in groups of rows: only (head_rows, vocab) logits exist at a time, and their
 * gradient takes their place. */
#include <math.h>

#include "base/profile.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/train/train.h"

enum { LOGIT_ROWS = 128, LOGIT_COLS = 1024, ROW_PIECE = 64, GRAD_ROWS = 128, SCALE = 0, CAP };

/* One model's head: logits cap tanh(scale (h Wᵀ + b) / cap). */
typedef struct side {
    const float *h; /* (N, dim) */
    lb_cmat W;      /* (vocab, dim) */
    const float *bias;
    float *logits; /* (head_rows, vocab) */
} side;

typedef struct head_job {
    lb_backward *b;
    side now, then; /* then: the original's; h NULL: there is none */
    float scale, cap;
    double kl_weight;
    const int32_t *tokens; /* (N) */
    int64_t r0, n;         /* the group */
    float *dh;             /* (N, dim) */
    lb_mat g;              /* the head's gradient; d NULL: not wanted */
    bool add;              /* to what is there */
    float *g_bias;
} head_job;

static lb_cmat rows_of(const float *d, int64_t first, int64_t n, int64_t cols) {
    return lb_cmat_of(d + first * cols, n, cols);
}

/* A tile of the group's logits, before the cap. */
static lb_status logit_tile(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const head_job *j = ctx;
    int64_t V = j->now.W.rows, across = lb_tiles(V, LOGIT_COLS), one = lb_tiles(j->n, LOGIT_ROWS) * across;
    const side *x = piece >= one ? &j->then : &j->now;
    piece %= one;
    int64_t r = piece / across * LOGIT_ROWS, c = piece % across * LOGIT_COLS;
    int64_t rows = lb_least(LOGIT_ROWS, j->n - r), cols = lb_least(LOGIT_COLS, V - c);
    lb_mat z = lb_mat_part(lb_mat_of(x->logits, j->n, V), r, c, rows, cols);
    lb_sgemm(false, true, j->scale, rows_of(x->h, j->r0 + r, rows, x->W.cols),
             lb_cmat_part(x->W, c, 0, cols, x->W.cols), 0.0f, z);
    for (int64_t i = 0; x->bias && i < rows; i++)
        for (int64_t k = 0; k < cols; k++) z.d[i * z.ld + k] += j->scale * x->bias[c + k];
    return LB_OK;
}

static void cap_row(float *z, float cap, int64_t n) {
    for (int64_t i = 0; i < n; i++) z[i] = tanhf(z[i] / cap) * cap;
}

/* One row's losses; its logits z become their gradient: (softmax(z) - (1 - a) onehot - a P) / predicted tokens, with P
 * the original's softmax and a the weight of KL. e (vocab): room. */
static void row_loss(const head_job *j, int64_t row, float *z, const float *z0, float *e) {
    const lb_kernels *kn = lb_kernels_active();
    lb_backward *b = j->b;
    int64_t V = j->now.W.rows;
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

/* The same with a cap: the gradient is that of the logits before it. slope (vocab): room. */
static void capped_row_loss(const head_job *j, int64_t row, float *z, float *z0, float *e, float *slope) {
    int64_t V = j->now.W.rows;
    cap_row(z, j->cap, V);
    if (z0) cap_row(z0, j->cap, V);
    for (int64_t i = 0; i < V; i++) slope[i] = 1.0f - z[i] / j->cap * (z[i] / j->cap);
    row_loss(j, row, z, z0, e);
    for (int64_t i = 0; i < V; i++) z[i] *= slope[i];
}

static lb_status row_piece(void *ctx, int64_t piece, int worker) {
    const head_job *j = ctx;
    lb_backward *b = j->b;
    int64_t V = j->now.W.rows, first = piece * ROW_PIECE, last = lb_least(first + ROW_PIECE, j->n);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOFTMAX);
    for (int64_t i = first; i < last; i++) {
        float *z = j->now.logits + i * V, *z0 = j->then.h ? j->then.logits + i * V : NULL, *e = b->scratch[worker];
        int64_t row = j->r0 + i;
        if (row % b->length == b->length - 1) { /* nothing follows it */
            memset(z, 0, (size_t)V * sizeof *z);
            b->nll[row] = b->kl[row] = 0;
        } else if (j->cap > 0)
            capped_row_loss(j, row, z, z0, e, e + V);
        else
            row_loss(j, row, z, z0, e);
    }
    double logits = (double)((last - first) * V);
    lb_scope_end(&scope, (j->then.h ? 36.0 : 14.0) * logits, (j->then.h ? 12.0 : 8.0) * logits);
    return LB_OK;
}

static lb_status state_grad(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const head_job *j = ctx;
    int64_t first = piece * ROW_PIECE, n = lb_least(ROW_PIECE, j->n - first), D = j->now.W.cols;
    lb_sgemm(false, false, j->scale, rows_of(j->now.logits, first, n, j->now.W.rows), j->now.W, 0.0f,
             lb_mat_of(j->dh + (j->r0 + first) * D, n, D));
    return LB_OK;
}

/* A run of the vocabulary: adds the group's part of the head's gradient, groups in order. */
static lb_status head_grad(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const head_job *j = ctx;
    int64_t V = j->now.W.rows, c = piece * GRAD_ROWS, n = lb_least(GRAD_ROWS, V - c);
    lb_cmat dz = lb_cmat_part(lb_cmat_of(j->now.logits, j->n, V), 0, c, j->n, n);
    if (j->g.d)
        lb_sgemm(true, false, j->scale, dz, rows_of(j->now.h, j->r0, j->n, j->now.W.cols),
                 j->r0 > 0 || j->add ? 1.0f : 0.0f, lb_mat_part(j->g, c, 0, n, j->g.cols));
    for (int64_t k = 0; j->g_bias && k < n; k++) {
        double sum = 0.0;
        for (int64_t i = 0; i < j->n; i++) sum += (double)dz.d[i * dz.ld + k];
        j->g_bias[c + k] = (j->r0 > 0 ? j->g_bias[c + k] : 0.0f) + j->scale * (float)sum;
    }
    return LB_OK;
}

static side side_of(const lb_net *n, const lb_weights *w, const float *h, float *logits) {
    int32_t bias = n->site[n->head].bias;
    return (side){h, w->site[n->head].W, bias >= 0 ? w->vector[bias] : NULL, logits};
}

lb_status lb_head_train(lb_backward *b, const lb_weights *w, const lb_weights *teacher, double kl_weight,
                        const int32_t *tokens, const float *h, float *dh, const lb_grads *g, lb_team *team) {
    const lb_net *n = b->net;
    const lb_net_step *s = &n->after.step[n->after.steps - 1];
    head_job j = {.b = b, .now = side_of(n, w, h, b->logits), .kl_weight = kl_weight, .tokens = tokens, .dh = dh};
    j.scale = (float)s->arg[SCALE];
    j.cap = (float)s->arg[CAP];
    if (teacher) j.then = side_of(n, teacher, b->teacher, b->target);
    if (g) {
        j.g = lb_train_site(b->one.at, n->head, &j.add);
        if (n->site[n->head].bias >= 0 && g->vector) j.g_bias = g->vector[n->site[n->head].bias];
    }
    for (j.r0 = 0; j.r0 < b->rows; j.r0 += j.n) {
        j.n = lb_least(b->head_rows, b->rows - j.r0);
        int64_t one = lb_tiles(j.n, LOGIT_ROWS) * lb_tiles(n->vocab, LOGIT_COLS);
        LB_TRY(lb_train_for(team, teacher ? 2 * one : one, logit_tile, &j));
        LB_TRY(lb_train_for(team, lb_tiles(j.n, ROW_PIECE), row_piece, &j));
        if (g) LB_TRY(lb_train_for(team, lb_tiles(j.n, ROW_PIECE), state_grad, &j));
        if (j.g.d || j.g_bias) LB_TRY(lb_train_for(team, lb_tiles(n->vocab, GRAD_ROWS), head_grad, &j));
    }
    return LB_OK;
}

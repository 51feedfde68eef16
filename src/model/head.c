/* Logits become NLL, argmax and KL chunk by chunk: (ROWS, VOCAB) of them exist at a time. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/activation.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "math/product.h"
#include "model/forward.h"
#include "model/linop.h"
#include "model/weights.h"

enum { ROWS = LB_HEAD_ROWS, VOCAB = 1024 };
/* A softmax over the vocabulary seen so far. */
typedef struct running {
    float max;      /* over the logits so far */
    int32_t argmax; /* its lowest id */
    double sum;     /* of exp(logit - max) */
    float target;   /* the target's logit, once seen */
    float low;      /* the least logit so far, or 0; NaN or infinite if a logit was, unless max says so */
} running;

/* Takes in logits x (n) of ids v0 .. v0 + n - 1; returns by what all that was summed earlier shrank. */
static double take_chunk(const lb_kernels *kn, running *s, const float *x, int64_t n, int64_t v0, int32_t target) {
    double shrink = 1.0;
    float top = kn->max(x, n);
    if (!(top <= s->max)) {
        int64_t i = 0;
        while (i < n - 1 && x[i] != top) i++; /* a NaN ends at the last: finish() reports it */
        shrink = exp((double)s->max - (double)top);
        s->max = top;
        s->argmax = (int32_t)(v0 + i);
        s->sum *= shrink;
    }
    if (target >= v0 && target < v0 + n) s->target = x[target - v0];
    float low, high;
    kn->range(x, n, &low, &high);
    if (!(low >= s->low)) s->low = low;
    return shrink;
}

/* An infinite logit of either sign is a product that overflowed: the softmax over the rest would hide it. */
static lb_status check_finite(const running *s, int64_t row) {
    if (isfinite(s->max) && isfinite(s->low) && isfinite(s->sum)) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "logits of row %lld: NaN or infinite", (long long)row);
}

static double nll_of(const running *s, int32_t target) {
    return target < 0 ? 0.0 : log(s->sum) + (double)s->max - (double)s->target;
}

static lb_status check_targets(int64_t vocab, const int32_t *target, int64_t first, int64_t n) {
    assert(first >= 0 && first % ROWS == 0);
    for (int64_t i = first; i < first + n; i++)
        if (target[i] >= vocab)
            return lb_fail(LB_E_ARG, "target %lld is %d: must be below %lld", (long long)i, (int)target[i],
                           (long long)vocab);
    return LB_OK;
}

static void start(running *s, int64_t n) {
    for (int64_t i = 0; i < n; i++) s[i] = (running){.max = -INFINITY};
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Bytes of the logits of the largest chunk of `rows` rows, a multiple of 64: a small vocabulary needs few, which then
 * come from the heap and not as new pages for every window. */
static size_t logits_bytes(const lb_head *head, int64_t rows) {
    size_t n = (size_t)(least(ROWS, rows) * least(VOCAB, head->W.rows)) * sizeof(float);
    return (n + 63) / 64 * 64;
}

/* Products become logits of ids v0, v0 + 1, ... */
static void finish_logits(const lb_head *head, int64_t v0, lb_mat y) {
    const lb_kernels *kn = lb_kernels_active();
    for (int64_t i = 0; i < y.rows; i++) {
        float *row = y.d + i * y.ld;
        if (head->bias) kn->axpy(row, 1.0f, head->bias + v0, y.cols);
        if (head->scale != 1.0f) kn->scale(row, head->scale, y.cols);
        if (head->cap > 0.0f) lb_act_cap(row, head->cap, y.cols);
    }
}

void lb_head_logits(const lb_head *head, lb_cmat h, lb_mat logits) {
    assert(!lb_transform_any(&head->T));
    lb_sgemm(false, true, 1.0f, h, head->W, 0.0f, logits);
    finish_logits(head, 0, logits);
}

lb_head lb_head_of(const lb_net *n, const lb_weights *w) {
    const lb_linop *op = &w->site[n->head];
    const lb_net_step *s = &n->after.step[n->after.steps - 1];
    int32_t bias = n->site[n->head].bias;
    return (lb_head){.W = op->W,
                     .from = op->from,
                     .T = op->T,
                     .bias = bias < 0 ? NULL : w->vector[bias],
                     .scale = (float)s->arg[0],
                     .cap = (float)s->arg[1]};
}

/* What the logits of a chunk need beside it. */
typedef struct room {
    float *rows;    /* (VOCAB, dim), of a head that is not in memory */
    void *packed;   /* a chunk rounded, of one that was not rounded before */
    uint16_t *half; /* (ROWS, dim): the states, rounded */
    float *changed; /* (ROWS, dim): the states, transformed */
} room;

static bool reads_rows(const lb_head *head) { return !head->W.d && !head->half; }

enum { ROOMS = 4 };
/* Bytes of its parts, each a multiple of 64. */
static lb_status room_bytes(const lb_head *head, size_t part[ROOMS]) {
    size_t dim = (size_t)head->W.cols;
    part[0] = reads_rows(head) ? VOCAB * dim * sizeof(float) : 0;
    part[1] = 0;
    if (head->bf16 && !head->half) {
        int64_t first = least(VOCAB, head->W.rows), last = (head->W.rows - 1) % VOCAB + 1;
        size_t other;
        LB_TRY(lb_bf16_bytes(head->bf16, first, head->W.cols, &part[1]));
        LB_TRY(lb_bf16_bytes(head->bf16, last, head->W.cols, &other));
        if (other > part[1]) part[1] = other;
    }
    part[2] = head->bf16 ? ROWS * dim * sizeof(uint16_t) : 0;
    part[3] = lb_transform_any(&head->T) ? ROWS * dim * sizeof(float) : 0;
    return LB_OK;
}

static size_t sum_of(const size_t part[ROOMS]) { return part[0] + part[1] + part[2] + part[3]; }

static room room_at(char *at, const size_t part[ROOMS]) {
    char *half = at + part[0] + part[1];
    return (room){(float *)(void *)at, at + part[0], (uint16_t *)(void *)half, (float *)(void *)(half + part[2])};
}

/* The states as products read them, once for all chunks. */
static lb_cmat prepare_states(const lb_head *head, lb_cmat h, const room *r) {
    if (lb_transform_any(&head->T)) {
        lb_transform_input(&head->T, h, lb_mat_of(r->changed, h.rows, h.cols));
        h = lb_cmat_of(r->changed, h.rows, h.cols);
    }
    if (head->bf16) lb_bf16_round(h, r->half);
    return h;
}

/* y = x Wᵀ of ids [v0, v0 + nv). */
static lb_status chunk_products(const lb_head *head, int64_t v0, int64_t nv, lb_cmat h, const room *r, lb_mat y) {
    lb_cmat part;
    if (head->half) return lb_bf16_matmul(&head->half[v0 / VOCAB], r->half, h.rows, false, y);
    const lb_linop op = {.W = head->W, .from = head->from};
    if (!head->bf16) return lb_linop_apply_rows(&op, v0, nv, h, r->rows, y);
    LB_TRY(lb_rows_get(head->W, &head->from, v0, nv, r->rows, &part));
    lb_bf16_mat rounded;
    LB_TRY(lb_bf16_pack(head->bf16, part, r->packed, &rounded));
    return lb_bf16_matmul(&rounded, r->half, h.rows, false, y);
}

static lb_status chunk_logits(const lb_head *head, int64_t v0, int64_t nv, lb_cmat h, const room *r, float *logits) {
    lb_mat y = lb_mat_of(logits, h.rows, nv);
    LB_TRY(chunk_products(head, v0, nv, h, r, y));
    finish_logits(head, v0, y);
    return LB_OK;
}

typedef struct rounding {
    const lb_head *head;
    lb_bf16 *c;
    lb_bf16_mat *chunk;
    char *to;
    size_t each;
} rounding;

/* Rows [v0, v0 + nv) of the vocabulary: a view, or read into *own (lb_free). */
static lb_status chunk_rows(const lb_head *head, int64_t v0, int64_t nv, float **own, lb_cmat *part) {
    *own = head->W.d ? NULL : lb_alloc((size_t)nv, (size_t)head->W.cols * sizeof **own);
    if (!head->W.d && !*own) return LB_E_NOMEM;
    return lb_rows_get(head->W, &head->from, v0, nv, *own, part);
}

static lb_status round_chunk(void *ctx, int64_t i, int worker) {
    (void)worker;
    const rounding *x = ctx;
    const lb_head *head = x->head;
    int64_t v0 = i * VOCAB, nv = least(VOCAB, head->W.rows - v0);
    lb_cmat part;
    float *rows;
    lb_status st = chunk_rows(head, v0, nv, &rows, &part);
    if (st == LB_OK) st = lb_bf16_pack(x->c, part, x->to + (size_t)i * x->each, &x->chunk[i]);
    lb_free(rows);
    return st;
}

lb_status lb_head_round(lb_head *head, lb_bf16 *c, lb_arena *a, lb_team *team) {
    int64_t rows = head->W.rows, chunks = (rows - 1) / VOCAB + 1, last = rows - (chunks - 1) * VOCAB;
    size_t last_bytes;
    rounding x = {.head = head, .c = c, .chunk = LB_NEW(a, lb_bf16_mat, chunks)};
    LB_TRY(lb_bf16_bytes(c, least(VOCAB, rows), head->W.cols, &x.each));
    LB_TRY(lb_bf16_bytes(c, last, head->W.cols, &last_bytes));
    size_t all = (size_t)(chunks - 1) * x.each + last_bytes;
    if (!x.chunk || !(x.to = lb_arena_get(a, 1, all))) return LB_E_NOMEM;
    LB_TRY(lb_parallel_for(team, chunks, round_chunk, &x));
    head->bf16 = c;
    head->half = x.chunk;
    return LB_OK;
}

/* ---- one row, all of its logits ---- */

typedef struct row_job {
    const lb_head *head;
    lb_cmat h;
    float *logits;
} row_job;

static lb_status row_chunk(void *ctx, int64_t i, int worker) {
    (void)worker;
    const row_job *j = ctx;
    const lb_head *head = j->head;
    int64_t v0 = i * VOCAB, nv = least(VOCAB, head->W.rows - v0);
    lb_mat y = lb_mat_of(j->logits + v0, 1, nv);
    lb_cmat part;
    float *rows;
    lb_status st = chunk_rows(head, v0, nv, &rows, &part);
    if (st == LB_OK) st = lb_product_few(j->h, part, 1.0f, false, y, NULL);
    if (st == LB_OK) finish_logits(head, v0, y);
    lb_free(rows);
    return st;
}

lb_status lb_head_row(const lb_head *head, lb_cmat h, lb_team *team, float *logits) {
    assert(h.rows == 1 && h.cols == head->W.cols);
    float *changed = lb_alloc((size_t)h.cols, sizeof *changed);
    if (!changed) return LB_E_NOMEM;
    if (lb_transform_any(&head->T)) {
        lb_transform_input(&head->T, h, lb_mat_of(changed, 1, h.cols));
        h = lb_cmat_of(changed, 1, h.cols);
    }
    row_job j = {head, h, logits};
    lb_status st = lb_parallel_for(team, (head->W.rows - 1) / VOCAB + 1, row_chunk, &j);
    lb_free(changed);
    return st;
}

/* ---- negative log-likelihood and divergence ---- */

static lb_status nll_rows(const lb_head *head, lb_cmat h, const int32_t *target, float *logits, const room *r,
                          int64_t row0, double *nll, int32_t *top1) {
    const lb_kernels *kn = lb_kernels_active();
    running s[ROWS];
    start(s, h.rows);
    h = prepare_states(head, h, r);
    for (int64_t v0 = 0; v0 < head->W.rows; v0 += VOCAB) {
        int64_t nv = least(VOCAB, head->W.rows - v0);
        LB_TRY(chunk_logits(head, v0, nv, h, r, logits));
        lb_scope scope;
        lb_scope_begin(&scope, LB_WORK_SOFTMAX);
        for (int64_t i = 0; i < h.rows; i++) {
            take_chunk(kn, &s[i], logits + i * nv, nv, v0, target[i]);
            s[i].sum += kn->sum_exp(logits + i * nv, s[i].max, nv);
        }
        lb_scope_end(&scope, 14.0 * (double)(h.rows * nv), 4.0 * (double)(h.rows * nv));
    }
    for (int64_t i = 0; i < h.rows; i++) {
        LB_TRY(check_finite(&s[i], row0 + i));
        nll[i] = nll_of(&s[i], target[i]);
        if (top1) top1[i] = s[i].argmax;
    }
    return LB_OK;
}

lb_status lb_head_nll_rows(lb_head head, lb_cmat h, const int32_t *target, int64_t first, int64_t rows, double *nll,
                           int32_t *top1) {
    assert(head.W.cols == h.cols && first + rows <= h.rows);
    LB_TRY(check_targets(head.W.rows, target, first, rows));
    size_t part[ROOMS];
    LB_TRY(room_bytes(&head, part));
    size_t logits = logits_bytes(&head, rows);
    char *buffer = lb_realloc(NULL, 0, 1, logits + sum_of(part)); /* not zeroed */
    if (!buffer) return LB_E_NOMEM;
    room r = room_at(buffer + logits, part);
    lb_status st = LB_OK;
    for (int64_t r0 = first; r0 < first + rows && st == LB_OK; r0 += ROWS)
        st = nll_rows(&head, lb_cmat_part(h, r0, 0, least(ROWS, first + rows - r0), h.cols), target + r0,
                      (float *)(void *)buffer, &r, r0, nll + r0, top1 ? top1 + r0 : NULL);
    lb_free(buffer);
    return st;
}

lb_status lb_head_nll(lb_head head, lb_cmat h, const int32_t *target, double *nll, int32_t *top1) {
    return lb_head_nll_rows(head, h, target, 0, h.rows, nll, top1);
}

/* P's and Q's logits side by side; gap: the sum of exp(p - max p) (p - q), so that
 * KL(P || Q) = gap / sum_p - log Z_p + log Z_q. */
typedef struct kl_run {
    running p, q;
    double gap;
} kl_run;

/* Once the sums are known the logits are made again: accept[i] += sum over the chunk of min(p, q). */
static lb_status accept_rows(const lb_head *head0, lb_cmat h0, const lb_head *head1, lb_cmat h1, const kl_run *s,
                             float *lp, float *lq, const room *r0, const room *r1, double *accept) {
    const lb_kernels *kn = lb_kernels_active();
    memset(accept, 0, (size_t)h0.rows * sizeof *accept);
    for (int64_t v0 = 0; v0 < head0->W.rows; v0 += VOCAB) {
        int64_t nv = least(VOCAB, head0->W.rows - v0);
        LB_TRY(chunk_logits(head0, v0, nv, h0, r0, lp));
        LB_TRY(chunk_logits(head1, v0, nv, h1, r1, lq));
        lb_scope scope;
        lb_scope_begin(&scope, LB_WORK_SOFTMAX);
        for (int64_t i = 0; i < h0.rows; i++) {
            float *p = lp + i * nv;
            const float *q = lq + i * nv;
            double log_zp = log(s[i].p.sum) + (double)s[i].p.max, log_zq = log(s[i].q.sum) + (double)s[i].q.max;
            for (int64_t k = 0; k < nv; k++) {
                double a = (double)p[k] - log_zp, b = (double)q[k] - log_zq;
                p[k] = (float)(a < b ? a : b);
            }
            accept[i] += kn->sum_exp(p, 0.0f, nv);
        }
        lb_scope_end(&scope, 14.0 * (double)(h0.rows * nv), 12.0 * (double)(h0.rows * nv));
    }
    for (int64_t i = 0; i < h0.rows; i++)
        if (accept[i] > 1.0) accept[i] = 1.0; /* by rounding */
    return LB_OK;
}

static lb_status kl_rows(const lb_head *head0, lb_cmat h0, const lb_head *head1, lb_cmat h1, const int32_t *target,
                         float *lp, float *lq, float *e, const room *r0, const room *r1, int64_t row0, double *nll,
                         double *kl, uint8_t *agree, double *accept) {
    const lb_kernels *kn = lb_kernels_active();
    kl_run s[ROWS];
    h0 = prepare_states(head0, h0, r0);
    h1 = prepare_states(head1, h1, r1);
    for (int64_t i = 0; i < h0.rows; i++) {
        start(&s[i].p, 1);
        start(&s[i].q, 1);
        s[i].gap = 0.0;
    }
    for (int64_t v0 = 0; v0 < head0->W.rows; v0 += VOCAB) {
        int64_t nv = least(VOCAB, head0->W.rows - v0);
        LB_TRY(chunk_logits(head0, v0, nv, h0, r0, lp));
        LB_TRY(chunk_logits(head1, v0, nv, h1, r1, lq));
        lb_scope scope;
        lb_scope_begin(&scope, LB_WORK_SOFTMAX);
        for (int64_t i = 0; i < h0.rows; i++) {
            const float *p = lp + i * nv, *q = lq + i * nv;
            s[i].gap *= take_chunk(kn, &s[i].p, p, nv, v0, -1);
            take_chunk(kn, &s[i].q, q, nv, v0, target[i]);
            s[i].p.sum += kn->exp_sum(e, p, s[i].p.max, nv);
            s[i].q.sum += kn->sum_exp(q, s[i].q.max, nv);
            s[i].gap += kn->dot(e, p, nv) - kn->dot(e, q, nv);
        }
        lb_scope_end(&scope, 34.0 * (double)(h0.rows * nv), 8.0 * (double)(h0.rows * nv));
    }
    for (int64_t i = 0; i < h0.rows; i++) {
        LB_TRY(check_finite(&s[i].p, row0 + i));
        LB_TRY(check_finite(&s[i].q, row0 + i));
        double log_zp = log(s[i].p.sum) + (double)s[i].p.max, log_zq = log(s[i].q.sum) + (double)s[i].q.max;
        double d = s[i].gap / s[i].p.sum - log_zp + log_zq;
        if (!isfinite(d)) return lb_fail(LB_E_NUMERIC, "KL divergence of row %lld is %g", (long long)(row0 + i), d);
        nll[i] = nll_of(&s[i].q, target[i]);
        kl[i] = d > 0 ? d : 0.0; /* below zero only by rounding */
        agree[i] = s[i].p.argmax == s[i].q.argmax;
    }
    return accept ? accept_rows(head0, h0, head1, h1, s, lp, lq, r0, r1, accept) : LB_OK;
}

lb_status lb_head_kl_rows(lb_head head0, lb_cmat h0, lb_head head1, lb_cmat h1, const int32_t *target, int64_t first,
                          int64_t rows, double *nll, double *kl, uint8_t *agree, double *accept) {
    assert(head0.W.rows == head1.W.rows && h0.rows == h1.rows && first + rows <= h1.rows);
    LB_TRY(check_targets(head1.W.rows, target, first, rows));
    size_t part0[ROOMS], part1[ROOMS];
    LB_TRY(room_bytes(&head0, part0));
    LB_TRY(room_bytes(&head1, part1));
    /* logits of both, one row of exponentials, and what the products need */
    size_t logits = logits_bytes(&head1, rows), line = logits_bytes(&head1, 1);
    char *buffer = lb_realloc(NULL, 0, 1, 2 * logits + line + sum_of(part0) + sum_of(part1)); /* not zeroed */
    if (!buffer) return LB_E_NOMEM;
    float *lp = (float *)(void *)buffer, *lq = (float *)(void *)(buffer + logits);
    float *e = (float *)(void *)(buffer + 2 * logits);
    room room0 = room_at(buffer + 2 * logits + line, part0);
    room room1 = room_at(buffer + 2 * logits + line + sum_of(part0), part1);
    lb_status st = LB_OK;
    for (int64_t r0 = first; r0 < first + rows && st == LB_OK; r0 += ROWS) {
        int64_t n = least(ROWS, first + rows - r0);
        st = kl_rows(&head0, lb_cmat_part(h0, r0, 0, n, h0.cols), &head1, lb_cmat_part(h1, r0, 0, n, h1.cols),
                     target + r0, lp, lq, e, &room0, &room1, r0, nll + r0, kl + r0, agree + r0,
                     accept ? accept + r0 : NULL);
    }
    lb_free(buffer);
    return st;
}

lb_status lb_head_kl(lb_head head0, lb_cmat h0, lb_head head1, lb_cmat h1, const int32_t *target, double *nll,
                     double *kl, uint8_t *agree) {
    return lb_head_kl_rows(head0, h0, head1, h1, target, 0, h1.rows, nll, kl, agree, NULL);
}

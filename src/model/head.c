/* Logits become NLL, argmax and KL chunk by chunk: (ROWS, VOCAB) of them exist at a time. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/forward.h"
#include "model/weights.h"

enum { ROWS = LB_HEAD_ROWS, VOCAB = 1024 };

/* A softmax over the vocabulary seen so far. */
typedef struct running {
    float max;      /* over the logits so far */
    int32_t argmax; /* its lowest id */
    double sum;     /* of exp(logit - max) */
    float target;   /* the target's logit, once seen */
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
    return shrink;
}

static lb_status check_finite(const running *s, int64_t row) {
    if (isfinite(s->max) && isfinite(s->sum)) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "logits of row %lld: NaN or infinite", (long long)row);
}

static double nll_of(const running *s, int32_t target) {
    return target < 0 ? 0.0 : log(s->sum) + (double)s->max - (double)s->target;
}

static lb_status check_targets(const lb_arch *a, const int32_t *target, int64_t first, int64_t n) {
    assert(first >= 0 && first % ROWS == 0);
    for (int64_t i = first; i < first + n; i++)
        if (target[i] >= a->vocab)
            return lb_fail(LB_E_ARG, "target %lld is %d: must be below %lld", (long long)i, (int)target[i],
                           (long long)a->vocab);
    return LB_OK;
}

static void start(running *s, int64_t n) {
    for (int64_t i = 0; i < n; i++) s[i] = (running){.max = -INFINITY};
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void lb_head_logits(lb_cmat head, lb_cmat h, lb_mat logits) { lb_sgemm(false, true, 1.0f, h, head, 0.0f, logits); }

/* Logits of ids [v0, v0 + nv); rows: room for that part of the head. */
static lb_status chunk_logits(const lb_head *head, int64_t v0, int64_t nv, lb_cmat h, float *rows, float *logits) {
    lb_cmat part;
    LB_TRY(lb_rows_get(head->W, &head->from, v0, nv, rows, &part));
    lb_head_logits(part, h, lb_mat_of(logits, h.rows, nv));
    return LB_OK;
}

/* Floats for chunk_logits' rows. */
static size_t room(const lb_head *head) { return head->W.d ? 0 : (size_t)(VOCAB * head->W.cols); }

static lb_status nll_rows(const lb_head *head, lb_cmat h, const int32_t *target, float *buffer, int64_t row0,
                          double *nll, int32_t *top1) {
    float *logits = buffer, *rows = buffer + ROWS * VOCAB;
    const lb_kernels *kn = lb_kernels_active();
    running s[ROWS];
    start(s, h.rows);
    for (int64_t v0 = 0; v0 < head->W.rows; v0 += VOCAB) {
        int64_t nv = least(VOCAB, head->W.rows - v0);
        LB_TRY(chunk_logits(head, v0, nv, h, rows, logits));
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

lb_status lb_head_nll_rows(const lb_arch *a, lb_head head, lb_cmat h, const int32_t *target, int64_t first,
                           int64_t rows, double *nll, int32_t *top1) {
    assert(head.W.rows == a->vocab && head.W.cols == h.cols && first + rows <= h.rows);
    LB_TRY(check_targets(a, target, first, rows));
    float *buffer = lb_alloc(ROWS * VOCAB + room(&head), sizeof *buffer);
    if (!buffer) return LB_E_NOMEM;
    lb_status st = LB_OK;
    for (int64_t r0 = first; r0 < first + rows && st == LB_OK; r0 += ROWS)
        st = nll_rows(&head, lb_cmat_part(h, r0, 0, least(ROWS, first + rows - r0), h.cols), target + r0, buffer, r0,
                      nll + r0, top1 ? top1 + r0 : NULL);
    lb_free(buffer);
    return st;
}

lb_status lb_head_nll(const lb_arch *a, lb_head head, lb_cmat h, const int32_t *target, double *nll, int32_t *top1) {
    return lb_head_nll_rows(a, head, h, target, 0, h.rows, nll, top1);
}

/* P's and Q's logits side by side; gap: the sum of exp(p - max p) (p - q), so that
 * KL(P || Q) = gap / sum_p - log Z_p + log Z_q. */
typedef struct kl_run {
    running p, q;
    double gap;
} kl_run;

static lb_status kl_rows(const lb_head *head0, lb_cmat h0, const lb_head *head1, lb_cmat h1, const int32_t *target,
                         float *buffer, int64_t row0, double *nll, double *kl, uint8_t *agree) {
    const lb_kernels *kn = lb_kernels_active();
    kl_run s[ROWS];
    float *lp = buffer, *lq = buffer + ROWS * VOCAB, *e = buffer + 2 * ROWS * VOCAB, *rows = e + VOCAB;
    for (int64_t i = 0; i < h0.rows; i++) {
        start(&s[i].p, 1);
        start(&s[i].q, 1);
        s[i].gap = 0.0;
    }
    for (int64_t v0 = 0; v0 < head0->W.rows; v0 += VOCAB) {
        int64_t nv = least(VOCAB, head0->W.rows - v0);
        LB_TRY(chunk_logits(head0, v0, nv, h0, rows, lp));
        LB_TRY(chunk_logits(head1, v0, nv, h1, rows, lq));
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
        nll[i] = nll_of(&s[i].q, target[i]);
        kl[i] = d > 0 ? d : 0.0; /* below zero only by rounding */
        agree[i] = s[i].p.argmax == s[i].q.argmax;
    }
    return LB_OK;
}

lb_status lb_head_kl_rows(const lb_arch *a, lb_head head0, lb_cmat h0, lb_head head1, lb_cmat h1, const int32_t *target,
                          int64_t first, int64_t rows, double *nll, double *kl, uint8_t *agree) {
    assert(head0.W.rows == a->vocab && head1.W.rows == a->vocab && h0.rows == h1.rows && first + rows <= h1.rows);
    LB_TRY(check_targets(a, target, first, rows));
    size_t part = room(&head0) > room(&head1) ? room(&head0) : room(&head1);
    float *buffer = lb_alloc((2 * ROWS + 1) * VOCAB + part, sizeof *buffer);
    if (!buffer) return LB_E_NOMEM;
    lb_status st = LB_OK;
    for (int64_t r0 = first; r0 < first + rows && st == LB_OK; r0 += ROWS) {
        int64_t n = least(ROWS, first + rows - r0);
        st = kl_rows(&head0, lb_cmat_part(h0, r0, 0, n, h0.cols), &head1, lb_cmat_part(h1, r0, 0, n, h1.cols),
                     target + r0, buffer, r0, nll + r0, kl + r0, agree + r0);
    }
    lb_free(buffer);
    return st;
}

lb_status lb_head_kl(const lb_arch *a, lb_head head0, lb_cmat h0, lb_head head1, lb_cmat h1, const int32_t *target,
                     double *nll, double *kl, uint8_t *agree) {
    return lb_head_kl_rows(a, head0, h0, head1, h1, target, 0, h1.rows, nll, kl, agree);
}

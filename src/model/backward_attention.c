/* Attention for training: panels of queries against all their keys; the backward recomputes the probabilities from the
 * kept log-sum-exp, so that no T x T matrix exists (Dao et al. 2022, arXiv:2205.14135, section 3 and appendix B). */
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/backward_impl.h"

enum { QUERIES = 64 }; /* rows of a tile; its columns are the keys up to the last of them */

int64_t lb_attention_scratch(int64_t length) { return 2 * QUERIES * length; }

/* Views of one head of one sequence: (length, head_dim) inside (N, width). */
static lb_mat head_of(const lb_backward *b, float *x, int64_t sequence, int64_t head, int64_t width) {
    return (lb_mat){x + sequence * b->length * width + head * b->arch.head_dim, b->length, b->arch.head_dim, width};
}

typedef struct view {
    lb_mat q, k, v, o;
    float *lse;  /* (length) */
    float scale; /* 1 / sqrt(head_dim) */
} view;
static view view_of(const lb_backward *b, const lb_saved *s, int64_t sequence, int64_t head) {
    const lb_arch *a = &b->arch;
    int64_t kv_head = head / (a->heads / a->kv_heads), H = a->heads * a->head_dim, KV = a->kv_heads * a->head_dim;
    return (view){.q = head_of(b, s->q, sequence, head, H),
                  .k = head_of(b, s->k, sequence, kv_head, KV),
                  .v = head_of(b, s->v, sequence, kv_head, KV),
                  .o = head_of(b, s->o, sequence, head, H),
                  .lse = s->lse + (sequence * a->heads + head) * b->length,
                  .scale = (float)(1.0 / sqrt((double)a->head_dim))};
}
static lb_mat rows(lb_mat m, int64_t r0, int64_t n) { return lb_mat_part(m, r0, 0, n, m.cols); }
static lb_cmat crows(lb_mat m, int64_t r0, int64_t n) { return lb_mat_c(rows(m, r0, n)); }

void lb_attention_train(const lb_backward *b, const lb_saved *s, int64_t sequence, int64_t head, float *scratch) {
    const lb_kernels *kn = lb_kernels_active();
    view w = view_of(b, s, sequence, head);
    lb_scope scope; /* its products count as such */
    lb_scope_begin(&scope, LB_WORK_ATTENTION);
    for (int64_t q0 = 0; q0 < b->length; q0 += QUERIES) {
        int64_t n = lb_least(QUERIES, b->length - q0), keys = q0 + n;
        float over[QUERIES];
        lb_mat P = lb_mat_of(scratch, n, keys);
        lb_sgemm(false, true, w.scale, crows(w.q, q0, n), crows(w.k, 0, keys), 0.0f, P);
        for (int64_t i = 0; i < n; i++) {
            float *p = P.d + i * keys, top = kn->max(p, q0 + i + 1);
            double sum = kn->exp_sum(p, p, top, q0 + i + 1);
            memset(p + q0 + i + 1, 0, (size_t)(n - i - 1) * sizeof *p);
            w.lse[q0 + i] = (float)((double)top + log(sum));
            over[i] = (float)(1.0 / sum);
        }
        lb_mat o = rows(w.o, q0, n);
        lb_sgemm(false, false, 1.0f, lb_mat_c(P), crows(w.v, 0, keys), 0.0f, o);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < o.cols; j++) o.d[i * o.ld + j] *= over[i];
    }
    double scores = 0.5 * (double)b->length * (double)(b->length + 1);
    lb_scope_end(&scope, 14 * scores, 8 * scores);
}

/* Gradient of one row's scores before scaling: P (dP - sum(P dP)), the sum being that of dO O. */
static void score_grad(const float *p, float *dp, float shift, int64_t n) {
    for (int64_t j = 0; j < n; j++) dp[j] = p[j] * (dp[j] - shift);
}

void lb_attention_grad(const lb_backward *b, const lb_saved *s, int64_t sequence, int64_t head, float *scratch) {
    const lb_kernels *kn = lb_kernels_active();
    view w = view_of(b, s, sequence, head);
    int64_t H = b->arch.heads * b->arch.head_dim;
    lb_mat d_o = head_of(b, b->d_o, sequence, head, H), dq = head_of(b, b->dq, sequence, head, H);
    lb_mat dk = head_of(b, b->dk_head, sequence, head, H), dv = head_of(b, b->dv_head, sequence, head, H);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ATTENTION);
    /* From the last tile, which reaches every key and so writes all of dk and dv, to the first. */
    float beta = 0.0f;
    for (int64_t q0 = (b->length - 1) / QUERIES * QUERIES; q0 >= 0; q0 -= QUERIES, beta = 1.0f) {
        int64_t n = lb_least(QUERIES, b->length - q0), keys = q0 + n;
        lb_mat P = lb_mat_of(scratch, n, keys), dP = lb_mat_of(scratch + QUERIES * b->length, n, keys);
        lb_sgemm(false, true, w.scale, crows(w.q, q0, n), crows(w.k, 0, keys), 0.0f, P);
        lb_sgemm(false, true, 1.0f, crows(d_o, q0, n), crows(w.v, 0, keys), 0.0f, dP);
        for (int64_t i = 0; i < n; i++) {
            int64_t seen = q0 + i + 1;
            float *p = P.d + i * keys, *dp = dP.d + i * keys;
            (void)kn->exp_sum(p, p, w.lse[q0 + i], seen);
            double shift = kn->dot(d_o.d + (q0 + i) * d_o.ld, w.o.d + (q0 + i) * w.o.ld, w.o.cols);
            score_grad(p, dp, (float)shift, seen);
            memset(p + seen, 0, (size_t)(keys - seen) * sizeof *p);
            memset(dp + seen, 0, (size_t)(keys - seen) * sizeof *dp);
        }
        lb_sgemm(true, false, 1.0f, lb_mat_c(P), crows(d_o, q0, n), beta, rows(dv, 0, keys));
        lb_sgemm(true, false, w.scale, lb_mat_c(dP), crows(w.q, q0, n), beta, rows(dk, 0, keys));
        lb_sgemm(false, false, w.scale, lb_mat_c(dP), crows(w.k, 0, keys), 0.0f, rows(dq, q0, n));
    }
    double scores = 0.5 * (double)b->length * (double)(b->length + 1);
    lb_scope_end(&scope, 16 * scores, 16 * scores);
}

/* H = XᵀX / tokens (eval/hessian.h), and what is the same of every H. */
#include "eval/hessian.h"
#include "eval/collectors/collectors.h"

int64_t lb_collect_hessian_count(int64_t cols, int64_t tokens) {
    (void)tokens;
    return cols * cols;
}

lb_status lb_collect_hessian_begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum) {
    (void)most_tokens;
    lb_hessian *h = LB_NEW(a, lb_hessian, 1);
    if (!h) return LB_E_NOMEM;
    *sum = h;
    return lb_hessian_new(a, cols, h);
}

static lb_status add(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    lb_hessian **h = lb_alloc((size_t)n + 1, sizeof *h);
    if (!h) return LB_E_NOMEM;
    for (int i = 0; i < n; i++) h[i] = sum[i];
    lb_status st = lb_hessians_add(h, b, n, team);
    lb_free(h);
    return st;
}

/* No token may have reached an expert: its H is 0. */
lb_status lb_collect_hessian_finish(void *sum, int64_t tokens, lb_team *team, void **numbers) {
    lb_hessian *h = sum;
    *numbers = h->H.d;
    return tokens > 0 ? lb_hessian_finish(h, team) : LB_OK;
}

static void give(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    (void)tokens;
    out->H = (lb_cdmat){numbers, cols, cols, cols};
}

lb_status lb_collect_merge_hessian(lb_arena *a, int64_t cols, const lb_stats *next, lb_cdmat next_H,
                                   const lb_stats *sum, lb_cdmat *sum_H) {
    double of_sum = (double)sum->tokens, of_next = (double)next->tokens, all = of_sum + of_next;
    double *H = sum_H->d ? (double *)(uintptr_t)sum_H->d : LB_NEW(a, double, cols *cols);
    if (!H) return LB_E_NOMEM;
    for (int64_t i = 0; i < cols && all > 0; i++)
        for (int64_t j = 0; j < cols; j++)
            H[i * cols + j] = (of_sum * H[i * cols + j] + of_next * next_H.d[i * next_H.ld + j]) / all;
    *sum_H = (lb_cdmat){H, cols, cols, cols};
    return LB_OK;
}

static lb_status merge(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    return lb_collect_merge_hessian(a, cols, next, next->H, sum, &sum->H);
}

void lb_collect_hessian_pack(void *numbers, int64_t cols) { lb_hessian_pack(numbers, cols); }

lb_status lb_collect_hessian_unpack(const void *packed, int64_t cols, lb_team *team, void *numbers) {
    return lb_hessian_unpack(packed, lb_dmat_of(numbers, cols, cols), team);
}

int64_t lb_collect_hessian_bad(const void *numbers, int64_t n, int64_t cols, double *value) {
    (void)n;
    int64_t bad = lb_hessian_first_bad(numbers, cols);
    if (bad >= 0) *value = ((const double *)numbers)[bad];
    return bad;
}

const lb_collector lb_collect_hessian = {LB_COLLECT_HESSIAN, .need = LB_NEEDS_HESSIAN,
                                         .name = "hessian",  .words = "Hessians",
                                         .main = true,       .add = add,
                                         .give = give,       .merge = merge};

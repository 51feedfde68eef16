/* The mean |x| of each channel, summed in float64. Source: Lin et al. 2024 (arXiv:2306.00978) section 3.2. */
#include <float.h>
#include <math.h>

#include "eval/collectors/collectors.h"

typedef struct mean {
    int64_t cols;
    double *sum; /* (cols) */
} mean;

static lb_status begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum) {
    (void)most_tokens;
    mean *s = LB_NEW(a, mean, 1);
    if (!s || !(s->sum = LB_NEW(a, double, cols))) return LB_E_NOMEM;
    s->cols = cols;
    *sum = s;
    return LB_OK;
}

static void strip(void *sum, lb_cmat X, int64_t c0, int64_t n) {
    double *to = ((mean *)sum)->sum + c0;
    for (int64_t t = 0; t < X.rows; t++) {
        const float *x = X.d + t * X.ld + c0;
        for (int64_t c = 0; c < n; c++) to[c] += fabs((double)x[c]);
    }
}

static lb_status add(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    return lb_collect_strips(sum, b, n, strip, team);
}

static int64_t first_bad(const void *numbers, int64_t n, int64_t cols, double *value) {
    const double *v = numbers;
    (void)cols;
    for (int64_t i = 0; i < n; i++)
        if (!(v[i] >= 0 && v[i] <= (double)FLT_MAX)) {
            *value = v[i];
            return i;
        }
    return -1;
}

static lb_status finish(void *sum, int64_t tokens, lb_team *team, void **numbers) {
    (void)team;
    mean *s = sum;
    double value = 0;
    for (int64_t c = 0; tokens > 0 && c < s->cols; c++) s->sum[c] /= (double)tokens;
    int64_t bad = first_bad(s->sum, s->cols, s->cols, &value);
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "mean |x| of input %lld is %g: the activations are not finite", (long long)bad,
                       value);
    *numbers = s->sum;
    return LB_OK;
}

static void give(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    (void)cols, (void)tokens;
    out->mean_abs = numbers;
}

static lb_status merge(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    double of_sum = (double)sum->tokens, of_next = (double)next->tokens, all = of_sum + of_next;
    double *v = sum->mean_abs ? (double *)(uintptr_t)sum->mean_abs : LB_NEW(a, double, cols);
    if (!v) return LB_E_NOMEM;
    for (int64_t c = 0; c < cols && all > 0; c++) v[c] = (of_sum * v[c] + of_next * next->mean_abs[c]) / all;
    sum->mean_abs = v;
    return LB_OK;
}

const lb_collector lb_collect_mean = {.need = LB_NEEDS_MEAN,
                                      .name = "mean",
                                      .words = "mean |x| of each channel",
                                      .type = LB_SEALED_F64,
                                      .count = lb_collect_channels,
                                      .begin = begin,
                                      .add = add,
                                      .finish = finish,
                                      .give = give,
                                      .merge = merge,
                                      .first_bad = first_bad};

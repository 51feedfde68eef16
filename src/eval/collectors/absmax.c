/* The largest |x| of each channel. Source: Xiao et al. 2023 (arXiv:2211.10438) eq. 4. */
#include <float.h>
#include <math.h>

#include "eval/collectors/collectors.h"

typedef struct absmax {
    int64_t cols;
    float *largest; /* (cols) */
} absmax;

static lb_status begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum) {
    (void)most_tokens;
    absmax *s = LB_NEW(a, absmax, 1);
    if (!s || !(s->largest = LB_NEW(a, float, cols))) return LB_E_NOMEM;
    s->cols = cols;
    *sum = s;
    return LB_OK;
}

/* A NaN stays. */
static void strip(void *sum, lb_cmat X, int64_t c0, int64_t n) {
    float *largest = ((absmax *)sum)->largest + c0;
    for (int64_t t = 0; t < X.rows; t++) {
        const float *x = X.d + t * X.ld + c0;
        for (int64_t c = 0; c < n; c++) {
            float a = fabsf(x[c]);
            largest[c] = a > largest[c] || a != a ? a : largest[c];
        }
    }
}

static lb_status add(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    return lb_collect_strips(sum, b, n, strip, team);
}

static int64_t first_bad(const void *numbers, int64_t n, int64_t cols, double *value) {
    const float *v = numbers;
    (void)cols;
    for (int64_t i = 0; i < n; i++)
        if (!(v[i] >= 0 && v[i] <= FLT_MAX)) {
            *value = (double)v[i];
            return i;
        }
    return -1;
}

static lb_status finish(void *sum, int64_t tokens, lb_team *team, void **numbers) {
    (void)tokens, (void)team;
    absmax *s = sum;
    double value = 0;
    int64_t bad = first_bad(s->largest, s->cols, s->cols, &value);
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "largest |x| of input %lld is %g: the activations are not finite", (long long)bad,
                       value);
    *numbers = s->largest;
    return LB_OK;
}

static void give(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    (void)cols, (void)tokens;
    out->absmax = numbers;
}

static lb_status merge(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    float *v = sum->absmax ? (float *)(uintptr_t)sum->absmax : LB_NEW(a, float, cols);
    if (!v) return LB_E_NOMEM;
    for (int64_t c = 0; c < cols; c++) v[c] = next->absmax[c] > v[c] ? next->absmax[c] : v[c];
    sum->absmax = v;
    return LB_OK;
}

const lb_collector lb_collect_absmax = {.need = LB_NEEDS_ABSMAX,
                                        .name = "absmax",
                                        .words = "largest |x| of each channel",
                                        .type = LB_SEALED_F32,
                                        .count = lb_collect_channels,
                                        .begin = begin,
                                        .add = add,
                                        .finish = finish,
                                        .give = give,
                                        .merge = merge,
                                        .first_bad = first_bad};

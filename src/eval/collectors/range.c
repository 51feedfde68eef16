/* The least and the largest number of an input: static ranges of activations. */
#include <math.h>

#include "eval/collectors/collectors.h"

typedef struct range {
    int64_t cols;
    float *lo, *hi; /* (cols) of each channel */
    float of[2];    /* of all */
} range;

static int64_t count(int64_t cols, int64_t tokens) {
    (void)cols, (void)tokens;
    return 2;
}

static lb_status begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum) {
    (void)most_tokens;
    range *s = LB_NEW(a, range, 1);
    if (!s || !(s->lo = LB_NEW_UNSET(a, float, cols)) || !(s->hi = LB_NEW_UNSET(a, float, cols))) return LB_E_NOMEM;
    for (int64_t c = 0; c < cols; c++) s->lo[c] = INFINITY, s->hi[c] = -INFINITY;
    s->cols = cols;
    *sum = s;
    return LB_OK;
}

/* A NaN stays. */
static void strip(void *sum, lb_cmat X, int64_t c0, int64_t n) {
    float *lo = ((range *)sum)->lo + c0, *hi = ((range *)sum)->hi + c0;
    for (int64_t t = 0; t < X.rows; t++) {
        const float *x = X.d + t * X.ld + c0;
        for (int64_t c = 0; c < n; c++) {
            lo[c] = x[c] < lo[c] || x[c] != x[c] ? x[c] : lo[c];
            hi[c] = x[c] > hi[c] || x[c] != x[c] ? x[c] : hi[c];
        }
    }
}

static lb_status add(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    return lb_collect_strips(sum, b, n, strip, team);
}

static lb_status finish(void *sum, int64_t tokens, lb_team *team, void **numbers) {
    (void)team;
    range *s = sum;
    *numbers = s->of;
    for (int64_t c = 0; tokens > 0 && c < s->cols; c++) {
        if (!isfinite(s->lo[c]) || !isfinite(s->hi[c]))
            return lb_fail(LB_E_NUMERIC, "range of input %lld is [%g, %g]: the activations are not finite",
                           (long long)c, (double)s->lo[c], (double)s->hi[c]);
        s->of[0] = c == 0 || s->lo[c] < s->of[0] ? s->lo[c] : s->of[0];
        s->of[1] = c == 0 || s->hi[c] > s->of[1] ? s->hi[c] : s->of[1];
    }
    return LB_OK;
}

static void give(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    const float *of = numbers;
    (void)cols, (void)tokens;
    out->lo = of[0];
    out->hi = of[1];
}

static int64_t first_bad(const void *numbers, int64_t n, int64_t cols, double *value) {
    const float *of = numbers;
    (void)cols;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(of[i]) || of[1] < of[0]) {
            *value = (double)of[i];
            return i;
        }
    return -1;
}

static lb_status merge(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    (void)a, (void)cols;
    if (next->tokens == 0) return LB_OK;
    sum->lo = sum->tokens == 0 || next->lo < sum->lo ? next->lo : sum->lo;
    sum->hi = sum->tokens == 0 || next->hi > sum->hi ? next->hi : sum->hi;
    return LB_OK;
}

const lb_collector lb_collect_range = {.need = LB_NEEDS_RANGE,
                                       .name = "range",
                                       .words = "least and largest input",
                                       .type = LB_SEALED_F32,
                                       .count = count,
                                       .begin = begin,
                                       .add = add,
                                       .finish = finish,
                                       .give = give,
                                       .merge = merge,
                                       .first_bad = first_bad};

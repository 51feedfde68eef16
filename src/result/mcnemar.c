#include "result/mcnemar.h"

#include <math.h>

#include "base/mem.h"

double lb_mcnemar_p(int64_t worse, int64_t better) {
    int64_t n = worse + better, least = worse < better ? worse : better;
    double log_term = -(double)n * log(2.0), tail = 0.0;
    if (worse == better) return 1.0;
    /* The log of binom(n, least) / 2^n; then downwards, where the terms shrink. */
    for (int64_t i = 1; i <= least; i++) log_term += log((double)(n - least + i) / (double)i);
    double term = exp(log_term);
    for (int64_t k = least; k >= 0 && term > 0; k--) {
        tail += term;
        term *= (double)k / (double)(n - k + 1);
    }
    return fmin(1.0, 2.0 * tail);
}

void lb_mcnemar_of(const uint8_t *right, const uint8_t *base, int64_t n, lb_mcnemar *out) {
    *out = (lb_mcnemar){0};
    for (int64_t i = 0; i < n; i++) {
        out->worse += base[i] && !right[i];
        out->better += right[i] && !base[i];
    }
    out->p = lb_mcnemar_p(out->worse, out->better);
}

/* ---- several models a side ---- */

static int64_t greatest_common(int64_t a, int64_t b) {
    int64_t divisor = 1;
    for (int64_t d = 2; d <= a && d <= b; d++)
        if (a % d == 0 && b % d == 0) divisor = d;
    return divisor;
}

/* p (so many, up to `reach`) of a sum: `times` differences of `value` more, of which each is in it or not. odds (times
 * + 1): room. */
static void add_differences(double *p, int64_t reach, int64_t value, int64_t times, double *odds) {
    double log_term = -(double)times * log(2.0);
    for (int64_t j = 0; j <= times; j++) {
        odds[j] = exp(log_term);
        log_term += log((double)(times - j) / (double)(j + 1));
    }
    for (int64_t t = reach + value * times; t >= 0; t--) {
        double sum = 0;
        int64_t from = t > reach ? (t - reach + value - 1) / value : 0;
        for (int64_t j = from; j <= times && j * value <= t; j++) sum += odds[j] * p[t - j * value];
        p[t] = sum;
    }
}

/* Of count[v] differences of v, up to `most`, whose sum, with their signs, is `sum`. */
static lb_status share_as_far(const int64_t *count, int64_t most, int64_t sum, double *out) {
    int64_t all = 0, times = 0, reach = 0;
    for (int64_t v = 1; v <= most; v++) {
        all += v * count[v];
        times = count[v] > times ? count[v] : times;
    }
    double *p = lb_alloc((size_t)(all + 1 + times + 1), sizeof *p), tail = 0;
    if (!p) return LB_E_NOMEM;
    p[0] = 1;
    for (int64_t v = 1; v <= most; v++) {
        if (!count[v]) continue;
        add_differences(p, reach, v, count[v], p + all + 1);
        reach += v * count[v];
    }
    for (int64_t t = 0; 2 * t <= all - (sum < 0 ? -sum : sum); t++) tail += p[t]; /* the other end is as likely */
    *out = sum ? fmin(1.0, 2.0 * tail) : 1.0;
    lb_free(p);
    return LB_OK;
}

lb_status lb_mcnemar_seeds(const uint8_t *const *right, int64_t m, const uint8_t *const *base, int64_t k, int64_t n,
                           double *p) {
    if (m == 1 && k == 1) {
        lb_mcnemar pair;
        lb_mcnemar_of(right[0], base[0], n, &pair);
        *p = pair.p;
        return LB_OK;
    }
    if (m < 1 || k < 1)
        return lb_fail(LB_E_ARG, "%lld and %lld models: must be one a side at least", (long long)m, (long long)k);
    int64_t divisor = greatest_common(m, k), sum = 0;
    int64_t *count = lb_alloc((size_t)(m * k / divisor + 1), sizeof *count);
    if (!count) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        int64_t d = 0;
        for (int64_t s = 0; s < m; s++) d += right[s][i] ? k / divisor : 0;
        for (int64_t s = 0; s < k; s++) d -= base[s][i] ? m / divisor : 0;
        count[d < 0 ? -d : d]++;
        sum += d;
    }
    lb_status st = share_as_far(count, m * k / divisor, sum, p);
    lb_free(count);
    return st;
}

/* The error bar of a paired difference. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "result/quality.h"

enum { RESAMPLES = 10000, SEED = 20240501 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double lb_percentile(const double *sorted, int64_t n, double q) {
    double at = q * (double)(n - 1);
    int64_t i = (int64_t)at;
    if (i >= n - 1) return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

void lb_sort_f64(double *x, int64_t n) { qsort(x, (size_t)n, sizeof *x, ascending); }

/* Means of RESAMPLES series, each glued from runs of `block` neighbours at random starts and cut to n. before[i]: the
 * sum of the first i differences. */
static void resample(const double *before, int64_t n, int64_t block, double *mean) {
    lb_rng r = lb_rng_make(SEED, 0);
    for (int64_t k = 0; k < RESAMPLES; k++) {
        double sum = 0.0;
        for (int64_t have = 0; have < n; have += block) {
            int64_t start = lb_rng_below(&r, n - block + 1), take = n - have < block ? n - have : block;
            sum += before[start + take] - before[start];
        }
        mean[k] = sum / (double)n;
    }
}

lb_status lb_paired_mean(const double *a, const double *b, int64_t n, lb_paired *out) {
    if (n < 1) return lb_fail(LB_E_ARG, "paired difference over %lld windows: at least one is needed", (long long)n);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i] - b[i]))
            return lb_fail(LB_E_NUMERIC, "paired difference: window %lld is %g against %g", (long long)i, a[i], b[i]);
        sum += a[i] - b[i];
    }
    int64_t block = (int64_t)lround(cbrt((double)n));
    *out = (lb_paired){.delta = sum / (double)n, .low = NAN, .high = NAN, .windows = n, .block = block > 1 ? block : 1};
    return LB_OK;
}

/* Twice the smaller tail, each counting the sample itself as one more resample, so that it is never 0. */
static double two_sided(const double *mean) {
    int64_t below = 0, above = 0;
    for (int64_t k = 0; k < RESAMPLES; k++) below += mean[k] <= 0, above += mean[k] >= 0;
    double p = 2.0 * (double)((below < above ? below : above) + 1) / (RESAMPLES + 1);
    return p < 1 ? p : 1;
}

lb_status lb_paired_test(const double *a, const double *b, int64_t n, lb_paired *out, double *p) {
    *p = NAN;
    LB_TRY(lb_paired_mean(a, b, n, out));
    if (n == 1) return LB_OK;
    double *work = lb_alloc((size_t)n + 1 + RESAMPLES, sizeof *work);
    if (!work) return LB_E_NOMEM;
    double *mean = work + n + 1;
    for (int64_t i = 0; i < n; i++) work[i + 1] = work[i] + (a[i] - b[i]);
    resample(work, n, out->block, mean);
    lb_sort_f64(mean, RESAMPLES);
    out->low = lb_percentile(mean, RESAMPLES, 0.025);
    out->high = lb_percentile(mean, RESAMPLES, 0.975);
    *p = two_sided(mean);
    lb_free(work);
    return LB_OK;
}

lb_status lb_paired_difference(const double *a, const double *b, int64_t n, lb_paired *out) {
    double p;
    return lb_paired_test(a, b, n, out, &p);
}

#include "result/seeds.h"

#include <float.h>
#include <math.h>

#include "base/mem.h"

/* ---- Student's t ---- */

/* The continued fraction of the incomplete beta function I_x(a, b), x < (a + 1) / (a + b + 2), by Lentz's method
 * (Abramowitz and Stegun 26.5.8). */
static double beta_fraction(double a, double b, double x) {
    enum { MAX_TERMS = 10000 };
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m < MAX_TERMS; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int half = 0; half < 2; half++) {
            double e = half ? odd : even;
            d = 1 + e * d, c = 1 + e / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            if (fabs(c) < tiny) c = tiny;
            f *= d * c;
        }
        if (fabs(d * c - 1) < DBL_EPSILON) break;
    }
    return f;
}

static double incomplete_beta(double a, double b, double x) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    int sign;
    double front = exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* P(T > t), t >= 0. */
static double upper_tail(double t, double df) { return 0.5 * incomplete_beta(0.5 * df, 0.5, df / (df + t * t)); }

/* t >= 0 with P(T > t) = tail <= 0.5. */
static double upper_quantile(double tail, double df) {
    double low = 0, high = 1;
    while (upper_tail(high, df) > tail && high < 1e100) high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-14 * high; i++) {
        double mid = 0.5 * (low + high);
        if (upper_tail(mid, df) > tail)
            low = mid;
        else
            high = mid;
    }
    return 0.5 * (low + high);
}

double lb_student_quantile(double p, double df) {
    return p < 0.5 ? -lb_student_quantile(1 - p, df) : upper_quantile(1 - p, df);
}

/* ---- seeds and windows ---- */

double lb_sample_sd(const double *x, int64_t n) {
    if (n < 2) return NAN;
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

/* Variance, over all starts, of the sum of `take` neighbours. */
static double run_variance(const double *x, int64_t starts, int64_t take) {
    double mean = 0, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < starts; i++) {
            double run = 0;
            for (int64_t k = 0; k < take; k++) run += x[i + k];
            if (pass)
                sum += (run - mean) * (run - mean);
            else
                mean += run / (double)starts;
        }
    return sum / (double)starts;
}

double lb_block_variance(const double *x, int64_t n, int64_t block) {
    double sum = 0;
    for (int64_t have = 0; have < n; have += block)
        sum += run_variance(x, n - block + 1, n - have < block ? n - have : block);
    return sum / ((double)n * (double)(n - block));
}

double lb_spread_half(const lb_spread *s, double tail) {
    double half = 0;
    for (int i = 0; i < s->parts; i++)
        if (s->part[i].se > 0) half = hypot(half, upper_quantile(tail, s->part[i].df) * s->part[i].se);
    return half;
}

void lb_spread_add(lb_spread *s, double se, double df) {
    s->part[s->parts].se = se;
    s->part[s->parts++].df = df;
}

void lb_spread_add_windows(lb_spread *s, const double *x, int64_t windows, int64_t block) {
    lb_spread_add(s, sqrt(lb_block_variance(x, windows, block)), (double)windows / (double)block - 1);
}

void lb_spread_interval(const lb_spread *s, lb_paired *out) {
    double half = lb_spread_half(s, 1 - 0.975);
    out->low = out->delta - half;
    out->high = out->delta + half;
}

lb_status lb_seeds_spread(const double *const *a, int64_t seeds, const double *b, int64_t windows, lb_paired *out,
                          double *sd, lb_spread *spread) {
    double *x = lb_alloc((size_t)windows + (size_t)seeds, sizeof *x), *delta = x ? x + windows : NULL;
    if (!x) return LB_E_NOMEM;
    lb_status st = LB_OK;
    double sum = 0;
    for (int64_t k = 0; k < seeds && st == LB_OK; k++) {
        st = lb_paired_mean(a[k], b, windows, out);
        delta[k] = out->delta;
        sum += delta[k];
        for (int64_t w = 0; w < windows; w++) x[w] += (a[k][w] - b[w]) / (double)seeds;
    }
    if (st == LB_OK) {
        out->delta = sum / (double)seeds;
        *sd = lb_sample_sd(delta, seeds);
        *spread = (lb_spread){.parts = 0};
        lb_spread_add(spread, *sd / sqrt((double)seeds), (double)(seeds - 1));
        if (windows > 1) {
            lb_spread_add_windows(spread, x, windows, out->block);
            lb_spread_interval(spread, out);
        }
    }
    lb_free(x);
    return st;
}

lb_status lb_seeds_difference(const double *const *a, int64_t seeds, const double *b, int64_t windows, lb_paired *out,
                              double *sd) {
    lb_spread spread;
    *sd = NAN;
    if (seeds < 1) return lb_fail(LB_E_ARG, "difference over %lld seeds: at least one is needed", (long long)seeds);
    if (seeds == 1) return lb_paired_difference(a[0], b, windows, out);
    return lb_seeds_spread(a, seeds, b, windows, out, sd, &spread);
}

#include "report/verdict.h"

#include <math.h>

#include "result/seeds.h"

/* What one more seed of ours would give, at 95 %: mean +- t[K-1] s sqrt(1 + 1/K). */
static double prediction_half(const double *x, int64_t n) {
    if (n < 2) return NAN;
    return lb_student_quantile(0.975, (double)(n - 1)) * lb_sample_sd(x, n) * sqrt(1 + 1 / (double)n);
}

/* Above 100 a perplexity is compared by its logarithm, with half a percent to spare: there the last digits are those of
 * a model that has lost nearly everything, and follow the order of its sums. */
static bool same_digits(double ours, double value, double half_unit) {
    double slack = half_unit * (1 + 1e-9); /* 27.655 is as near to 27.65 as to 27.66, whatever binary makes of it */
    if (fabs(ours - value) <= slack) return true;
    return value > 100 && ours > 0 && fabs(log(ours) - log(value)) <= slack / value + 0.005;
}

lb_verdict lb_verdict_of(const lb_verdict_case *c) {
    double sum = 0;
    for (int64_t i = 0; i < c->seeds; i++) sum += c->ours[i];
    lb_verdict v = {LB_VERDICT_DIFFERS, sum / (double)c->seeds, prediction_half(c->ours, c->seeds)};
    if (c->exact) {
        if (same_digits(v.mean, c->value, c->half_unit)) v.kind = LB_VERDICT_DIGIT;
        return v;
    }
    if (c->draws && c->seeds < LB_VERDICT_SEEDS) {
        v.kind = LB_VERDICT_SEEDS_FEW;
        return v;
    }
    double half = isnan(v.half) ? 0 : v.half;
    if (v.mean - half <= c->high && v.mean + half >= c->low)
        v.kind = LB_VERDICT_SPREAD;
    else if (fabs(v.mean - c->value) <= c->tolerance)
        v.kind = LB_VERDICT_TOLERANCE;
    return v;
}

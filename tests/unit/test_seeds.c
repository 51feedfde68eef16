/* Rows over seeds: the quantiles of t against scipy's, the interval against its formula written out, and how often it
 * covers a true difference. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "oracle/fixtures/student.h"
#include "result/seeds.h"
#include "support/support.h"

/* cmocka compares float32. */
#define assert_near(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

enum { MOST_SEEDS = 10, MOST_WINDOWS = 200 };

static void quantiles_of_t(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof student / sizeof student[0]; i++) {
        double t = lb_student_quantile(student[i].p, student[i].df);
        if (!(fabs(t - student[i].t) <= 1e-10 * student[i].t))
            fail_msg("p %g, df %g: %.15g, scipy has %.15g", student[i].p, student[i].df, t, student[i].t);
        assert_true(lb_student_quantile(1 - student[i].p, student[i].df) < 0);
    }
}

typedef struct drawn {
    double nll[MOST_SEEDS][MOST_WINDOWS], base[MOST_WINDOWS];
    const double *seed[MOST_SEEDS];
} drawn;

/* The bootstrap's variance by listing every sample: three windows in blocks of one, all 27. */
static void formula(void **state) {
    (void)state;
    static drawn d;
    const double x[2][3] = {{0.1, 0.4, 0.7}, {0.3, 0.2, 1.3}};
    for (int k = 0; k < 2; k++) {
        d.seed[k] = d.nll[k];
        for (int w = 0; w < 3; w++) d.base[w] = 2 + w, d.nll[k][w] = d.base[w] + x[k][w];
    }
    double mean[3], all = 0, variance = 0;
    for (int w = 0; w < 3; w++) mean[w] = (x[0][w] + x[1][w]) / 2, all += mean[w] / 3;
    for (int i = 0; i < 27; i++) {
        double sample = (mean[i % 3] + mean[i / 3 % 3] + mean[i / 9]) / 3;
        variance += (sample - all) * (sample - all) / 27;
    }
    double between = 12.7062047361747 * (0.6 - 0.4) / sqrt(2) / sqrt(2); /* t[1], two seeds */
    double within = 4.30265272974946 * sqrt(variance * 3 / 2);           /* t[2], three windows */
    lb_paired got;
    double sd;
    assert_ok(lb_seeds_difference(d.seed, 2, d.base, 3, &got, &sd));
    assert_near(got.delta, 0.5, 1e-14);
    assert_near(sd, 0.2 / sqrt(2), 1e-14);
    assert_near(got.high - got.delta, hypot(between, within), 1e-12);
    assert_near(got.delta - got.low, hypot(between, within), 1e-12);
    assert_int_equal(got.windows, 3);
    assert_int_equal(got.block, 1);
}

/* Blocks of two that are cut at the end: five windows, every start of every block. */
static void blocks(void **state) {
    (void)state;
    static drawn d;
    const double x[5] = {0.5, 0.1, 0.9, 0.3, 0.6};
    for (int k = 0; k < 2; k++) {
        d.seed[k] = d.nll[k];
        for (int w = 0; w < 5; w++) d.base[w] = 1, d.nll[k][w] = 1 + x[w];
    }
    double sum = 0, squares = 0, n = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 4; k++) {
                double mean = (x[i] + x[i + 1] + x[j] + x[j + 1] + x[k]) / 5;
                sum += mean, squares += mean * mean, n++;
            }
    double variance = squares / n - sum / n * (sum / n);
    lb_paired got;
    double sd;
    assert_ok(lb_seeds_difference(d.seed, 2, d.base, 5, &got, &sd));
    assert_near(sd, 0, 0); /* the seeds agree: only the windows are left */
    assert_near(got.high - got.delta, lb_student_quantile(0.975, 1.5) * sqrt(variance * 5 / 3), 1e-12);
}

static void edges(void **state) {
    (void)state;
    static drawn d;
    lb_paired one, alone;
    double sd;
    lb_rng r = lb_rng_make(3, 0);
    for (int k = 0; k < 3; k++) {
        d.seed[k] = d.nll[k];
        for (int w = 0; w < 60; w++) d.nll[k][w] = lb_rng_normal(&r), d.base[w] = 0;
    }
    assert_ok(lb_seeds_difference(d.seed, 1, d.base, 60, &one, &sd));
    assert_ok(lb_paired_difference(d.nll[0], d.base, 60, &alone));
    assert_memory_equal(&one, &alone, sizeof one); /* a row without seeds is what it was */
    assert_true(isnan(sd));
    assert_ok(lb_seeds_difference(d.seed, 3, d.base, 1, &one, &sd));
    assert_true(isnan(one.low) && isnan(one.high) && sd > 0);
    assert_status(LB_E_ARG, lb_seeds_difference(d.seed, 0, d.base, 60, &one, &sd));
    assert_status(LB_E_ARG, lb_seeds_difference(d.seed, 2, d.base, 0, &one, &sd));
    d.nll[1][7] = NAN;
    assert_status(LB_E_NUMERIC, lb_seeds_difference(d.seed, 3, d.base, 60, &one, &sd));
    assert_error_has("window 7");
}

/* What seeds share of a window's difference is correlated with its neighbour's; what they do not is not. */
static void draw(lb_rng *r, int seeds, int windows, double between, drawn *d) {
    const double follow = 0.25, shared = 0.3, own = 0.1;
    double text = lb_rng_normal(r), seed[MOST_SEEDS];
    for (int k = 0; k < seeds; k++) seed[k] = between * lb_rng_normal(r), d->seed[k] = d->nll[k];
    for (int w = 0; w < windows; w++) {
        if (w) text = follow * text + sqrt(1 - follow * follow) * lb_rng_normal(r);
        for (int k = 0; k < seeds; k++) d->nll[k][w] = 1 + seed[k] + shared * text + own * lb_rng_normal(r);
    }
}

/* The true difference is 1. Of 95 % intervals 93 to 99 of 100 must hold it: with two seeds or ten, whether the seeds
 * differ not at all, as much as the texts do, or much more. */
static void coverage(void **state) {
    (void)state;
    enum { ROWS = 2000 };
    static const int many[] = {2, 3, 5, 10}, windows[] = {60, 179};
    static const double between[] = {0, 0.02, 0.1, 0.5};
    static drawn d;
    for (size_t n = 0; n < sizeof many / sizeof many[0]; n++)
        for (size_t m = 0; m < sizeof windows / sizeof windows[0]; m++)
            for (size_t b = 0; b < sizeof between / sizeof between[0]; b++) {
                lb_rng r = lb_rng_make(17, (uint64_t)(100 * n + 10 * m + b));
                int held = 0;
                for (int row = 0; row < ROWS; row++) {
                    lb_paired p;
                    double sd;
                    draw(&r, many[n], windows[m], between[b], &d);
                    assert_ok(lb_seeds_difference(d.seed, many[n], d.base, windows[m], &p, &sd));
                    held += p.low <= 1 && 1 <= p.high;
                }
                double share = (double)held / ROWS;
                if (share < 0.93 || share > 0.99)
                    fail_msg("%d seeds with sd %g, %d windows: %.2f %% hold the true difference", many[n], between[b],
                             windows[m], 100 * share);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles_of_t), cmocka_unit_test(formula),
                                       cmocka_unit_test(blocks), cmocka_unit_test(edges), cmocka_unit_test(coverage)};
    return cmocka_run_group_tests_name("result/seeds", tests, NULL, NULL);
}

/* Activations against their definitions in float64, with every variant of the kernels. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/activation.h"
#include "math/kernels.h"

static double exact(lb_act f, double x) {
    switch (f) {
    case LB_ACT_SILU:
        return x / (1.0 + exp(-x));
    case LB_ACT_RELU:
        return x < 0.0 ? 0.0 : x;
    case LB_ACT_GELU:
        return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case LB_ACT_GELU_TANH:
        return x / (1.0 + exp(-2.0 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    default:
        return 1.0 / (1.0 + exp(-x));
    }
}

static void each_variant(void (*f)(void)) {
    static const char *const name[] = {"plain", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        if (!lb_kernels_get(name[i])) continue;
        assert_ok(lb_kernels_force(name[i]));
        f();
    }
    assert_ok(lb_kernels_force("auto"));
}

enum { N = 200001 };
static float x[N], y[N];

static void fill(double reach) {
    for (int i = 0; i < N; i++) x[i] = (float)(((double)i / (N - 1) * 2.0 - 1.0) * reach);
}

static void check_functions(void) {
    static const double reach[] = {0.01, 3.0, 12.0, 90.0, 1e30};
    for (int f = 0; f < LB_ACTS; f++)
        for (size_t k = 0; k < sizeof reach / sizeof reach[0]; k++) {
            fill(reach[k]);
            lb_act_apply((lb_act)f, y, x, N);
            for (int i = 0; i < N; i++) {
                double want = exact((lb_act)f, (double)x[i]);
                if (!(fabs((double)y[i] - want) <= 1e-6 * fabs(want) + 1e-8 * fabs((double)x[i])))
                    fail_msg("activation %d of %g: %.9g, expected %.9g", f, (double)x[i], (double)y[i], want);
            }
        }
}

static void activations_keep_their_bounds(void **state) {
    (void)state;
    each_variant(check_functions);
}

static double exact_slope(lb_act f, double at) {
    double a = 0.79788456080286535588, s = exact(LB_ACT_SIGMOID, at), q = 1.0 + 0.044715 * at * at;
    switch (f) {
    case LB_ACT_SILU:
        return s + at * s * (1.0 - s);
    case LB_ACT_RELU:
        return at > 0.0;
    case LB_ACT_GELU:
        return 0.5 * erfc(-at * 0.70710678118654752440) + at * exp(-0.5 * at * at) * 0.5 * a;
    case LB_ACT_GELU_TANH:
        s = exact(LB_ACT_SIGMOID, 2.0 * a * at * q);
        return s + at * s * (1.0 - s) * 2.0 * a * (1.0 + 3.0 * 0.044715 * at * at);
    default:
        return s * (1.0 - s);
    }
}

static void check_slopes(void) {
    static const double reach[] = {0.01, 3.0, 12.0, 90.0};
    for (int f = 0; f < LB_ACTS; f++)
        for (size_t k = 0; k < sizeof reach / sizeof reach[0]; k++) {
            fill(reach[k]);
            lb_act_slope((lb_act)f, y, x, N);
            for (int i = 0; i < N; i++) {
                double want = exact_slope((lb_act)f, (double)x[i]);
                if (!(fabs((double)y[i] - want) <= 2e-6))
                    fail_msg("slope %d at %g: %.9g, expected %.9g", f, (double)x[i], (double)y[i], want);
            }
            lb_act_slope((lb_act)f, x, x, N);
            assert_memory_equal(x, y, sizeof x);
        }
    for (int f = 0; f < LB_ACTS; f++) {
        float bad[3] = {1.0f, NAN, 2.0f};
        lb_act_slope((lb_act)f, bad, bad, 3);
        assert_true(isnan(bad[1]) && !isnan(bad[0]) && !isnan(bad[2]));
    }
}

static void slopes_keep_their_bounds(void **state) {
    (void)state;
    each_variant(check_slopes);
}

static void check_cap(void) {
    static const double reach[] = {1e-3, 1.0, 40.0, 1e6};
    for (size_t k = 0; k < sizeof reach / sizeof reach[0]; k++) {
        fill(reach[k]);
        memcpy(y, x, sizeof y);
        lb_act_cap(y, 3.5f, N);
        for (int i = 0; i < N; i++)
            assert_true(fabs((double)y[i] / (3.5 * tanh((double)x[i] / 3.5)) - 1.0) <= 1e-6 || x[i] == 0.0f);
    }
}

static void the_cap_keeps_its_bound(void **state) {
    (void)state;
    each_variant(check_cap);
}

static void in_place_and_nan(void **state) {
    (void)state;
    for (int f = 0; f < LB_ACTS; f++) {
        fill(5.0);
        lb_act_apply((lb_act)f, y, x, N);
        lb_act_apply((lb_act)f, x, x, N);
        assert_memory_equal(x, y, sizeof x);
        float bad[3] = {1.0f, NAN, 2.0f};
        lb_act_apply((lb_act)f, bad, bad, 3);
        assert_true(isnan(bad[1]) && !isnan(bad[0]) && !isnan(bad[2]));
    }
    float bad = NAN;
    lb_act_cap(&bad, 2.0f, 1);
    assert_true(isnan(bad));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(activations_keep_their_bounds),
                                       cmocka_unit_test(slopes_keep_their_bounds),
                                       cmocka_unit_test(the_cap_keeps_its_bound), cmocka_unit_test(in_place_and_nan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* McNemar's exact test against sums over Pascal's triangle and published tails of the binomial distribution. */
#include "support/support.h"

#include <math.h>

#include "result/mcnemar.h"

/* 2 P(X <= k), X binomial of n and 1/2, from whole numbers. */
static double by_triangle(int n, int k) {
    double row[64] = {1}, tail = 0;
    for (int i = 1; i <= n; i++)
        for (int j = i; j > 0; j--) row[j] += row[j - 1];
    for (int j = 0; j <= k; j++) tail += row[j];
    return fmin(1.0, 2.0 * tail / ldexp(1.0, n));
}

static void close_to(double got, double want) {
    if (!(fabs(got - want) <= 1e-12 * want)) fail_msg("%.17g, expected %.17g", got, want);
}

static void p_is_the_binomial_tail(void **state) {
    (void)state;
    for (int n = 0; n <= 50; n++)
        for (int k = 0; k <= n; k++) {
            close_to(lb_mcnemar_p(k, n - k), by_triangle(n, k < n - k ? k : n - k));
        }
    close_to(lb_mcnemar_p(1, 9), 22.0 / 1024.0);
    close_to(lb_mcnemar_p(9, 1), 22.0 / 1024.0);
    assert_float_equal(lb_mcnemar_p(0, 0), 1.0, 0);
    assert_float_equal(lb_mcnemar_p(7, 7), 1.0, 0);
}

/* scipy 1.17: binomtest(4800, 10000).pvalue, binomtest(10, 1000).pvalue; of so many that a power of two underflows. */
static void many_items(void **state) {
    (void)state;
    double p = lb_mcnemar_p(4800, 5200);
    if (!(fabs(p - 6.593515598672343e-05) <= 1e-9 * p)) fail_msg("%.17g", p);
    p = lb_mcnemar_p(990, 10);
    if (!(fabs(log(p) - log(4.9666775829792705e-278)) <= 1e-9)) fail_msg("%.17g", p);
    assert_float_equal(lb_mcnemar_p(0, 5000), 0, 0); /* below all that float64 has */
}

static void items_of_one_model_alone_count(void **state) {
    (void)state;
    const uint8_t right[] = {1, 1, 0, 0, 1, 0, 1}, base[] = {1, 0, 1, 0, 1, 1, 1};
    lb_mcnemar m;
    lb_mcnemar_of(right, base, 7, &m);
    assert_int_equal(m.worse, 2);
    assert_int_equal(m.better, 1);
    assert_float_equal(m.p, 1.0, 0);
    lb_mcnemar_of(right, right, 7, &m);
    assert_int_equal(m.worse + m.better, 0);
    assert_float_equal(m.p, 1.0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p_is_the_binomial_tail),
        cmocka_unit_test(many_items),
        cmocka_unit_test(items_of_one_model_alone_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* McNemar's exact test against sums over Pascal's triangle and published tails of the binomial distribution; that of
 * several seeds against Python. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "io/json.h"
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

/* Of several models a side: tests/oracle/make_mcnemar_seeds.py counts in integers, item by item. */
static void several_seeds(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    json_t *cases;
    int checked = 0;
    lb_test_fixture("tests/oracle/fixtures/mcnemar_seeds.json", path);
    assert_ok(lb_json_read(path, &cases));
    for (size_t c = 0; c < json_array_size(cases); c++) {
        static uint8_t bit[2][8][512];
        const uint8_t *side[2][8];
        int64_t models[2], items = 0;
        double p = -1, want = json_number_value(json_object_get(json_array_get(cases, c), "log_p"));
        for (int s = 0; s < 2; s++) {
            const json_t *rows = json_object_get(json_array_get(cases, c), s ? "base" : "own");
            models[s] = (int64_t)json_array_size(rows);
            assert_in_range(models[s], 1, 8);
            for (int64_t m = 0; m < models[s]; m++) {
                const char *text = json_string_value(json_array_get(rows, (size_t)m));
                items = (int64_t)strlen(text);
                assert_in_range(items, 1, 512);
                for (int64_t i = 0; i < items; i++) bit[s][m][i] = text[i] == '1';
                side[s][m] = bit[s][m];
            }
        }
        assert_ok(lb_mcnemar_seeds(side[0], models[0], side[1], models[1], items, &p));
        if (!(fabs(log(p) - want) <= 1e-10)) fail_msg("case %zu: ln p = %.15g, want %.15g", c, log(p), want);
        assert_ok(lb_mcnemar_seeds(side[1], models[1], side[0], models[0], items, &p)); /* no side comes first */
        assert_true(fabs(log(p) - want) <= 1e-10);
        checked += want < -3;
    }
    assert_true(checked > 10 && json_array_size(cases) > 80);
    json_decref(cases);
}

/* Seeds that agree in everything say what one of them says: an item is not there several times. */
static void seeds_that_agree(void **state) {
    (void)state;
    enum { ITEMS = 40 };
    uint8_t own[ITEMS], base[ITEMS];
    const uint8_t *many[] = {own, own, own}, *one[] = {base};
    lb_mcnemar pair;
    double p = 0;
    for (int i = 0; i < ITEMS; i++) own[i] = i % 3 == 0, base[i] = i % 3 == 0 ? i % 2 == 0 : i % 9 == 1;
    lb_mcnemar_of(own, base, ITEMS, &pair);
    assert_ok(lb_mcnemar_seeds(many, 3, one, 1, ITEMS, &p));
    assert_true(pair.worse > 0 && pair.better > 0 && pair.p < 1);
    assert_true(fabs(p - pair.p) <= 1e-12);
    assert_ok(lb_mcnemar_seeds(many, 3, many, 2, ITEMS, &p)); /* nothing differs */
    assert_float_equal(p, 1.0, 0);
    assert_status(LB_E_ARG, lb_mcnemar_seeds(many, 0, one, 0, ITEMS, &p));
    lb_alloc_fail_at(1);
    lb_status st = lb_mcnemar_seeds(many, 3, one, 1, ITEMS, &p);
    lb_alloc_fail_at(2);
    assert_int_equal(st, LB_E_NOMEM);
    st = lb_mcnemar_seeds(many, 3, one, 1, ITEMS, &p);
    lb_alloc_fail_at(0);
    assert_int_equal(st, LB_E_NOMEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p_is_the_binomial_tail),
        cmocka_unit_test(many_items),
        cmocka_unit_test(items_of_one_model_alone_count),
        cmocka_unit_test(several_seeds),
        cmocka_unit_test(seeds_that_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

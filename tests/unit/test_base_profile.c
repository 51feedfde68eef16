/* Scopes: nothing while off; self time, operations and calls by stage and kind, over the threads of a team. */
#include "base/profile.h"

#include <string.h>

#include "base/clock.h"
#include "base/team.h"
#include "support/support.h"

static void spin(double seconds) {
    for (double start = lb_clock_s(); lb_clock_s() - start < seconds;) {
    }
}

static lb_status piece(void *ctx, int64_t i, int worker) {
    (void)ctx, (void)i, (void)worker;
    lb_scope outer, inner;
    lb_scope_begin(&outer, LB_WORK_SOLVE);
    spin(0.004);
    lb_scope_begin(&inner, LB_WORK_DGEMM);
    spin(0.012);
    lb_scope_end(&inner, 100, 7);
    lb_scope_end(&outer, 10, 1);
    return LB_OK;
}

static const lb_profile_row *find(const lb_profile_row *row, int n, const char *stage, const char *work) {
    for (int i = 0; i < n; i++)
        if (strcmp(row[i].stage, stage) == 0 && strcmp(row[i].work, work) == 0) return &row[i];
    return NULL;
}

static void counts(void **state) {
    (void)state;
    lb_profile_row row[64];
    double wall[64];
    lb_team *team;
    assert_ok(lb_team_new(2, &team));
    assert_ok(lb_parallel_for(team, 4, piece, NULL)); /* off: not counted */
    assert_int_equal(lb_profile_read(row, wall, 64), 0);
    lb_profile_enable();
    lb_profile_stage("first");
    double start = lb_clock_s();
    assert_ok(lb_parallel_for(team, 4, piece, NULL));
    double took = lb_clock_s() - start;
    lb_profile_stage("second");
    assert_ok(piece(NULL, 0, 0));
    lb_profile_stage("first");
    int n = lb_profile_read(row, wall, 64);
    assert_int_equal(n, 4);
    const lb_profile_row *product = find(row, n, "first", "float64 products");
    const lb_profile_row *rest = find(row, n, "first", "solving, the rest");
    assert_non_null(product);
    assert_non_null(rest);
    assert_int_equal(product->calls, 4);
    assert_int_equal(rest->calls, 4);
    assert_true(product->flops == 400 && product->bytes == 28 && rest->flops == 40 && rest->bytes == 4);
    /* Self time: what the products took is not counted again. */
    assert_true(product->seconds >= 4 * 0.012 && rest->seconds >= 4 * 0.004);
    assert_true(product->seconds + rest->seconds <= 2 * took);
    assert_true(wall[0] >= took && wall[0] == wall[1]);
    for (int i = 1; i < n; i++) /* the larger first */
        assert_true(strcmp(row[i].stage, row[i - 1].stage) != 0 || row[i].seconds <= row[i - 1].seconds);
    const lb_profile_row *second = find(row, n, "second", "float64 products");
    assert_non_null(second);
    assert_true(second->calls == 1 && second->flops == 100);
    lb_team_free(team);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

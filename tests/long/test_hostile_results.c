/* Ten thousand damaged results, with their checksums written again: no crash, no hang, at most 512 MiB. */
#include "support/damage.h"
#include "support/support.h"

static void ten_thousand(void **state) {
    (void)state;
    enum { ROUNDS = 10000 };
    damage_count c = damage_rounds(lb_test_tmpdir(), 2, ROUNDS, 100);
    print_message("%lld read, %lld refused, %lld crashed a child, %lld stuck; %lld MiB here, %lld MiB in a child\n",
                  (long long)c.read, (long long)c.refused, (long long)c.crashed, (long long)c.stuck,
                  (long long)c.parent >> 20, (long long)c.child >> 20);
    assert_int_equal(c.read + c.refused + c.crashed + c.stuck, ROUNDS);
    assert_true(LB_TEST_SANITIZED || c.parent + c.child <= (int64_t)512 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_thousand)};
    return cmocka_run_group_tests_name("long/hostile results", tests, NULL, NULL);
}

/* Texts to numbers. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/index.h"
#include "base/mem.h"

enum { MANY = 5000 };

static void finds_what_was_put(void **state) {
    (void)state;
    static char text[MANY][16];
    lb_index x = {0};
    lb_index_slot *slot;
    bool fresh;
    assert_null(lb_index_get(&x, "0"));
    for (size_t i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "%zu", i);
        assert_ok(lb_index_put(&x, text[i], i, &slot, &fresh));
        assert_true(fresh && slot->value == i);
    }
    for (size_t i = 0; i < MANY; i++) {
        char copy[16];
        memcpy(copy, text[i], sizeof copy);
        assert_int_equal(lb_index_get(&x, copy)->value, i);
        assert_ok(lb_index_put(&x, copy, 7, &slot, &fresh));
        assert_true(!fresh && slot->value == i);
    }
    assert_null(lb_index_get(&x, ""));
    assert_null(lb_index_get(&x, "-1"));
    assert_ok(lb_index_put(&x, "", 9, &slot, &fresh));
    assert_true(fresh && lb_index_get(&x, "")->value == 9);
    lb_index_free(&x);
    lb_index_free(&x);
}

static void memory_runs_out(void **state) {
    (void)state;
    lb_index x = {0};
    lb_index_slot *slot;
    bool fresh;
    lb_alloc_fail_at(1);
    assert_status(LB_E_NOMEM, lb_index_put(&x, "a", 1, &slot, &fresh));
    lb_alloc_fail_at(0);
    assert_ok(lb_index_put(&x, "a", 1, &slot, &fresh));
    assert_int_equal(lb_index_get(&x, "a")->value, 1);
    lb_index_free(&x);
}

/* A text of every length below three words, each bit of which matters. */
static void hashes_differ(void **state) {
    (void)state;
    char text[24] = "";
    for (size_t n = 0; n <= sizeof text; n++) {
        uint64_t h = lb_text_hash(text, n);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            assert_true(lb_text_hash(text, n) != h);
            text[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(hashes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

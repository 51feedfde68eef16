/* Results folders that were damaged, or made to do harm, by somebody who wrote their checksums again. Ten thousand more
 * are in tests/long. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result/store.h"
#include "support/damage.h"
#include "support/io_probe.h"
#include "support/run_cli.h"
#include "support/support.h"

static void damaged_files_are_refused(void **state) {
    (void)state;
    damage_count c = damage_rounds(lb_test_tmpdir(), 1, 300, 60);
    print_message("%lld read, %lld refused, %lld crashed a child, %lld stuck\n", (long long)c.read,
                  (long long)c.refused, (long long)c.crashed, (long long)c.stuck);
    assert_int_equal(c.read + c.refused + c.crashed + c.stuck, 300);
    assert_true(c.read > 0 && c.refused > 0);
    assert_true(LB_TEST_SANITIZED || c.parent + c.child <= (int64_t)512 << 20);
}

/* Each length in HDF5's heap of texts as large as it can be: the library reads far beyond the file. */
static void lengths_of_texts(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char path[4096];
    size_t size, tried = 0;
    damage_make(dir, path);
    uint8_t *bytes = slurp(path, &size);
    for (size_t at = 512; at + 32 < size && tried < 40; at++) {
        if (memcmp(bytes + at, "GCOL", 4) != 0) continue;
        for (size_t object = at + 16; object + 16 < size && tried < 40;) {
            uint64_t length, large = 0x7fffffff;
            memcpy(&length, bytes + object + 8, sizeof length);
            memcpy(bytes + object + 8, &large, sizeof large);
            damage_write(dir, bytes, size);
            lb_arena *a = NULL;
            lb_record r;
            assert_ok(lb_arena_new(0, &a));
            lb_status st = lb_store_read(path, a, &r);
            assert_true(st == LB_OK || st == LB_E_FORMAT);
            if (st == LB_E_FORMAT) assert_error_has(" is damaged: ");
            lb_arena_free(a);
            memcpy(bytes + object + 8, &length, sizeof length);
            tried++;
            if (length == 0 || length > size) break;
            object += 16 + (length + 7) / 8 * 8;
        }
    }
    assert_true(tried >= 10);
    damage_write(dir, bytes, size);
    cli_result r = CLI(NULL, "report", dir, "--no-write");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    free(bytes);
}

/* Less memory than a reader may otherwise take, but enough: damage is still what it is called, however the reader ends.
 */
static void damage_where_memory_is_scarce(void **state) {
    (void)state;
    if (LB_TEST_SANITIZED) skip();
    const char *dir = lb_test_tmpdir();
    const cli_options o = {.address_space = 250L << 20};
    char path[4096];
    size_t size, tried = 0;
    damage_make(dir, path);
    cli_result whole = CLI(&o, "report", dir, "--no-write");
    assert_int_equal(whole.code, 0);
    cli_free(&whole);
    uint8_t *bytes = slurp(path, &size);
    for (size_t at = 512; at + 32 < size && tried < 6; at++) {
        uint64_t length, large = 0x7fffffff;
        if (memcmp(bytes + at, "GCOL", 4) != 0) continue;
        memcpy(&length, bytes + at + 24, sizeof length);
        memcpy(bytes + at + 24, &large, sizeof large);
        damage_write(dir, bytes, size);
        memcpy(bytes + at + 24, &length, sizeof length);
        cli_result r = CLI(&o, "report", dir, "--no-write");
        assert_int_equal(r.code, 1);
        cli_has(r.err, " is damaged: ");
        cli_free(&r);
        tried++;
    }
    assert_true(tried >= 1);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(lengths_of_texts),
        cmocka_unit_test(damage_where_memory_is_scarce),
    };
    return cmocka_run_group_tests_name("cli/hostile results", tests, NULL, NULL);
}

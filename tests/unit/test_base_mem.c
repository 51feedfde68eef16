#include "support/support.h"

#include <malloc.h>
#include <sys/mman.h>

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

static bool all_zero(const void *p, size_t n) {
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        if (b[i]) return false;
    return true;
}

static void blocks_are_zeroed_and_aligned(void **state) {
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p = lb_alloc(n, 3);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(all_zero(p, 3 * n));
        memset(p, 0xff, 3 * n); /* dirties what the next one may get */
        lb_free(p);
    }
    lb_free(NULL);
}

static void sizes_that_overflow_are_refused(void **state) {
    (void)state;
    static const size_t bad[][2] = {{SIZE_MAX, 2}, {SIZE_MAX / 2, 3}, {SIZE_MAX, 1}, {PTRDIFF_MAX, 1}};
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        lb_error_clear();
        assert_null(lb_alloc(bad[i][0], bad[i][1]));
        assert_error_has("out of memory");
        lb_error_clear();
        assert_null(lb_arena_get(a, bad[i][0], bad[i][1]));
        assert_error_has("out of memory");
    }
    lb_arena_free(a);
}

static void realloc_keeps_what_fits(void **state) {
    (void)state;
    int *p = lb_realloc(NULL, 0, 10, sizeof *p);
    for (int i = 0; i < 10; i++) p[i] = i;
    p = lb_realloc(p, 10, 1000, sizeof *p);
    for (int i = 0; i < 10; i++) assert_int_equal(p[i], i);
    p = lb_realloc(p, 1000, 4, sizeof *p);
    for (int i = 0; i < 4; i++) assert_int_equal(p[i], i);
    lb_alloc_fail_at(1);
    assert_null(lb_realloc(p, 4, 8, sizeof *p));
    lb_alloc_fail_at(0);
    for (int i = 0; i < 4; i++) assert_int_equal(p[i], i); /* the old block stays */
    assert_null(lb_realloc(p, 4, SIZE_MAX, sizeof *p));
    lb_free(p);
}

static void the_nth_allocation_fails(void **state) {
    (void)state;
    lb_alloc_fail_at(3);
    for (int i = 1; i <= 5; i++) {
        void *p = lb_alloc(1, 1);
        assert_int_equal(p == NULL, i == 3);
        assert_int_equal(lb_alloc_count(), i);
        lb_free(p);
    }
    lb_alloc_fail_at(0);
    assert_int_equal(lb_alloc_count(), 0);
}

static void arena_blocks_do_not_overlap(void **state) {
    (void)state;
    lb_arena *a;
    unsigned char *block[200];
    assert_ok(lb_arena_new(1000, &a));
    for (size_t i = 0; i < 200; i++) {
        size_t n = i * 37 % 1500; /* some larger than a chunk, one of no bytes */
        block[i] = lb_arena_get(a, n, 1);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 64, 0);
        assert_true(all_zero(block[i], n));
        memset(block[i], (int)i, n);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * 37 % 1500; k++) assert_int_equal(block[i][k], (unsigned char)i);
    assert_string_equal(lb_arena_strdup(a, "W"), "W");
    assert_string_equal(lb_arena_printf(a, "layer %d %s", 3, "down"), "layer 3 down");
    lb_arena_free(a);
    lb_arena_free(NULL);
}

static void restore_gives_zeroed_memory_again(void **state) {
    (void)state;
    lb_arena *a;
    assert_ok(lb_arena_new(4096, &a));
    lb_arena_mark empty = lb_arena_save(a);
    char *kept = lb_arena_strdup(a, "kept");
    lb_arena_mark mark = lb_arena_save(a);
    unsigned char *first = lb_arena_get(a, 100, 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) memset(lb_arena_get(a, 500, 1), 0xab, 500);
        lb_arena_restore(a, mark);
        unsigned char *again = lb_arena_get(a, 100, 1);
        assert_ptr_equal(again, first);
        assert_true(all_zero(again, 100));
        memset(again, 0xcd, 100);
    }
    assert_string_equal(kept, "kept");
    lb_alloc_fail_at(0);
    for (int i = 0; i < 10; i++) { /* what was restored is used again, not added to */
        lb_arena_restore(a, mark);
        assert_non_null(lb_arena_get(a, 3000, 1));
    }
    assert_int_equal(lb_alloc_count(), 0);
    lb_arena_restore(a, empty);
    assert_non_null(lb_arena_get(a, 1, 1));
    lb_arena_free(a);
}

/* What a restore keeps serves the next blocks of about its size, in any order, until it is given back. */
static void restore_keeps_what_trim_gives_back(void **state) {
    (void)state;
    static const size_t large[] = {5000, 90000, 20000};
    lb_arena *a;
    assert_ok(lb_arena_new(4096, &a));
    lb_arena_mark empty = lb_arena_save(a);
    for (size_t i = 0; i < 3; i++) assert_non_null(lb_arena_get_unset(a, large[i], 1));
    lb_alloc_fail_at(0);
    for (size_t round = 0; round < 5; round++) {
        lb_arena_restore(a, empty);
        for (size_t i = 0; i < 3; i++) {
            unsigned char *p = lb_arena_get(a, large[(i + round) % 3], 1);
            assert_true(all_zero(p, large[(i + round) % 3]));
            memset(p, 0xab, large[(i + round) % 3]);
        }
    }
    assert_int_equal(lb_alloc_count(), 0);
    lb_arena_restore(a, empty);
    assert_non_null(lb_arena_get(a, 100, 1)); /* something small does not take the place of a matrix */
    assert_int_equal(lb_alloc_count(), 0);
    assert_non_null(lb_arena_get(a, 90000, 1));
    assert_int_equal(lb_alloc_count(), 0);
    lb_arena_restore(a, empty);
    lb_arena_trim(a);
    assert_non_null(lb_arena_get(a, 90000, 1));
    assert_int_equal(lb_alloc_count(), 1);
    lb_arena_free(a);
}

/* A matrix that is freed goes back to the system. In the C library's heap the small block that comes after it would lie
 * where it was, and the next matrix beyond: the heap would grow by one each time. */
static void freed_matrices_leave_no_holes(void **state) {
    (void)state;
    enum { TIMES = 30, MATRIX = 20 << 20 };
    void *small[TIMES];
    size_t before = mallinfo2().arena;
    for (int i = 0; i < TIMES; i++) {
        void *matrix = lb_alloc(1, MATRIX);
        assert_non_null(matrix);
        lb_free(matrix);
        assert_non_null(small[i] = lb_alloc(1, 5000));
    }
    assert_true(mallinfo2().arena < before + 2 * (size_t)MATRIX);
    for (int i = 0; i < TIMES; i++) lb_free(small[i]);
}

/* Pages that come and go outside any allocator, so that none keeps them. */
static void touch(size_t bytes) {
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    memset(p, 1, bytes);
    assert_int_equal(munmap(p, bytes), 0);
}

/* What was held before does not count any more. */
static void a_peak_begins_anew(void **state) {
    (void)state;
    enum { LARGE = 96 << 20, SMALL = 32 << 20 };
    int64_t before = lb_peak_memory_bytes();
    assert_true(before > 0);
    touch(LARGE);
    int64_t large = lb_peak_memory_bytes();
    assert_true(large >= LARGE);
    if (!lb_peak_memory_begin()) skip();
    int64_t none = lb_peak_memory_bytes();
    assert_true(none > 0 && none < large - LARGE / 2);
    touch(SMALL);
    int64_t small = lb_peak_memory_bytes();
    assert_true(small >= none + SMALL / 2 && small < large - LARGE / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_and_aligned),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(realloc_keeps_what_fits),
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(arena_blocks_do_not_overlap),
        cmocka_unit_test(restore_gives_zeroed_memory_again),
        cmocka_unit_test(restore_keeps_what_trim_gives_back),
        cmocka_unit_test(freed_matrices_leave_no_holes),
        cmocka_unit_test(a_peak_begins_anew),
    };
    return cmocka_run_group_tests_name("base/mem", tests, NULL, NULL);
}

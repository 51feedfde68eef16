/* Every allocation of base/ is made to fail once: the call says LB_E_NOMEM, leaks nothing (the address sanitizer
 * looks), and what it worked on can still be used. */
#include "support/status_name.h"
#include "support/support.h"

#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/team.h"

static const char *dir, *file;

static lb_status make_text(void) {
    lb_str b = {0};
    for (int i = 0; i < 100; i++) lb_str_add(&b, "%d: some text, ", i);
    lb_str_add_bytes(&b, "end", 3);
    lb_status s = lb_str_check(&b);
    if (s == LB_OK)
        assert_true(lb_str_ends(b.s, "99: some text, end"));
    else if (b.s)
        assert_int_equal(strlen(b.s), b.len); /* as it was before the failure */
    lb_str_free(&b);
    return s;
}

static lb_status fill_arena(void) {
    lb_arena *a;
    lb_status s = lb_arena_new(256, &a);
    if (s != LB_OK) return s;
    for (int i = 0; i < 20 && s == LB_OK; i++) {
        lb_arena_mark m = lb_arena_save(a);
        char *p = lb_arena_printf(a, "%0200d", i), *q = p ? lb_arena_strdup(a, p) : NULL;
        if (!q)
            s = LB_E_NOMEM;
        else
            assert_string_equal(p, q);
        if (i % 3 == 0) lb_arena_restore(a, m);
    }
    if (s != LB_OK) assert_non_null(lb_arena_get(a, 1000, 1)); /* it goes on working */
    lb_arena_free(a);
    return s;
}

static lb_status grow_array(void) {
    int *p = NULL;
    size_t n = 0;
    for (int i = 0; i < 5; i++) {
        int *q = lb_realloc(p, n, n + 10, sizeof *p);
        if (!q) {
            for (size_t k = 0; k < n; k++) assert_int_equal(p[k], k);
            lb_free(p);
            return LB_E_NOMEM;
        }
        p = q;
        for (; n % 10 || n == (size_t)i * 10; n++) p[n] = (int)n;
    }
    lb_free(p);
    return LB_OK;
}

static lb_status map_file(void) {
    lb_map m;
    LB_TRY(lb_map_open(file, &m));
    lb_map_close(&m);
    return LB_OK;
}

static lb_status read_file(void) {
    char *text;
    LB_TRY(lb_fs_read(file, &text, NULL));
    lb_free(text);
    return LB_OK;
}

static lb_status write_file(void) { return lb_fs_write_atomic(file, "content", 7); }
static lb_status append_file(void) { return lb_fs_append_line(file, "line"); }
static lb_status make_folder(void) { return lb_fs_mkdirs(dir); }

static lb_status list_folder(void) {
    char **names;
    size_t n;
    LB_TRY(lb_fs_list(dir, NULL, &names, &n));
    lb_fs_list_free(names, n);
    return LB_OK;
}

static lb_status hash_file(void) {
    char hex[LB_HASH_HEX];
    return lb_hash_file(file, hex);
}

static lb_status join_paths(void) {
    char *a = lb_fs_join("a", "b"), *b = a ? lb_fs_dirname(a) : NULL, *c = b ? lb_strdup(b) : NULL;
    lb_status s = c ? LB_OK : LB_E_NOMEM;
    lb_free(a);
    lb_free(b);
    lb_free(c);
    return s;
}

static lb_status make_team(void) {
    lb_team *t;
    LB_TRY(lb_team_new(2, &t));
    lb_team_free(t);
    return LB_OK;
}

static void each_allocation_fails_once(void **state) {
    (void)state;
    static const struct {
        const char *name;
        lb_status (*call)(void);
    } calls[] = {{"write", write_file}, {"append", append_file}, {"read", read_file},     {"map", map_file},
                 {"hash", hash_file},   {"list", list_folder},   {"mkdirs", make_folder}, {"text", make_text},
                 {"arena", fill_arena}, {"array", grow_array},   {"paths", join_paths},   {"team", make_team}};
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        lb_alloc_fail_at(0);
        assert_ok(calls[c].call());
        int64_t n = lb_alloc_count();
        assert_true(n > 0); /* else this call proves nothing */
        for (int64_t k = 1; k <= n; k++) {
            lb_error_clear();
            lb_alloc_fail_at(k);
            lb_status s = calls[c].call();
            lb_alloc_fail_at(0);
            if (s != LB_E_NOMEM)
                fail_msg("%s: allocation %d of %d failed: %s", calls[c].name, (int)k, (int)n, status_name(s));
            assert_error_has("out of memory");
            assert_ok(calls[c].call());
        }
    }
    char **names;
    size_t n;
    assert_ok(lb_fs_list(dir, NULL, &names, &n));
    assert_int_equal(n, 1); /* no temporary file stayed behind */
    lb_fs_list_free(names, n);
}

int main(void) {
    char path[LB_TEST_PATH];
    dir = lb_test_tmpdir();
    file = strcat(strcpy(path, dir), "/file");
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};
    return cmocka_run_group_tests_name("base: failing allocations", tests, NULL, NULL);
}

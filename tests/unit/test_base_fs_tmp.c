/* Names of what is under way, and that it appears whole or not at all. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "support/support.h"

static void temporary_names(void **state) {
    (void)state;
    static const char *const made[] = {"sweep.json", ".h5", NULL};
    static const struct {
        const char *name, *end, *pid; /* pid NULL: not such a name */
    } t[] = {
        {"sweep.json.tmp.12", "", "12"}, {"a.h5.tmp.7", "", "7"},
        {"a.tmp.1.h5.tmp.7", "", "7"},   {"old-sweep.json.tmp.12", "", NULL},
        {".h5.tmp.7", "", NULL}, /* of nothing */
        {"a.h5.tmp.", "", NULL},         {"a.h5.tmp.7x", "", NULL},
        {"a.h5.tmp.7.svg", "", NULL},    {"a.h5", "", NULL},
        {"a.txt.tmp.7", "", NULL},       {"a.h5.tmp.7.svg", ".svg", "7"},
        {"a.h5.tmp..svg", ".svg", NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        size_t n = 0;
        const char *pid = lb_fs_tmp_pid(t[i].name, t[i].end, made, &n);
        if (!pid != !t[i].pid || (pid && (n != strlen(t[i].pid) || strncmp(pid, t[i].pid, n) != 0)))
            fail_msg("%s: %s", t[i].name, pid ? pid : "none");
    }
    size_t n;
    assert_non_null(lb_fs_tmp_pid("any.tmp.7.svg", ".svg", NULL, &n));
}

/* Whichever allocation fails: what was to appear is there, or the call has failed. */
static void published_or_failed(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char file[LB_TEST_PATH], folder[LB_TEST_PATH], **names;
    size_t left;
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(folder, sizeof folder, "%s/folder", dir);
    lb_status st[2] = {LB_E_NOMEM, LB_E_NOMEM};
    for (int64_t nth = 1; st[0] != LB_OK || st[1] != LB_OK; nth++) {
        lb_fs_folder f;
        assert_true(nth < 100);
        lb_alloc_fail_at(nth);
        st[0] = lb_fs_write_atomic(file, "x", 1);
        lb_alloc_fail_at(nth);
        st[1] = lb_fs_folder_begin(folder, &f);
        if (st[1] == LB_OK) st[1] = lb_fs_folder_commit(&f);
        lb_alloc_fail_at(0);
        const char *const made[] = {file, folder};
        for (int i = 0; i < 2; i++) {
            if (st[i] != LB_OK) assert_int_equal(st[i], LB_E_NOMEM);
            assert_int_equal(lb_fs_there(made[i]), st[i] == LB_OK);
        }
        assert_ok(lb_fs_list(dir, NULL, &names, &left));
        lb_fs_list_free(names, left);
        assert_int_equal(left, (st[0] == LB_OK) + (st[1] == LB_OK));
        (void)unlink(file);
        (void)rmdir(folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temporary_names),
        cmocka_unit_test(published_or_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

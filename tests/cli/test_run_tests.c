/* tools/run-tests: what a failure is, however a test program ends. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "support/run_cli.h"
#include "support/support.h"

/* Runs these shell scripts as tests, so many at a time; the exit status. */
static int run(const char *dir, int jobs, const char *const *script, int n, char *out, size_t room) {
    char tool[LB_TEST_PATH], path[LB_TEST_PATH];
    lb_str command = {0};
    lb_test_fixture("tools/run-tests", tool);
    lb_str_add(&command, "JOBS=%d TMPDIR='%s' '%s'", jobs, dir, tool);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/test_%d", dir, i);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fprintf(f, "#!/bin/sh\n%s\n", script[i]) > 0);
        assert_int_equal(fclose(f), 0);
        lb_str_add(&command, " '%s'", path);
    }
    lb_str_add(&command, " 2>&1");
    assert_ok(lb_str_check(&command));
    char mode[LB_TEST_PATH + 32];
    snprintf(mode, sizeof mode, "chmod +x '%s'/test_*", dir);
    assert_int_equal(cli_shell(mode, out, room), 0);
    int status = cli_shell(command.s, out, room);
    lb_str_free(&command);
    return status;
}

static void all_pass(void **state) {
    (void)state;
    char out[2000];
    static const char *const script[] = {"echo one", "echo two", "echo three"};
    for (int jobs = 1; jobs <= 3; jobs += 2) {
        assert_int_equal(run(lb_test_tmpdir(), jobs, script, 3, out, sizeof out), 0);
        assert_non_null(strstr(out, "two\n"));
        assert_non_null(strstr(out, "all 3 test programs passed"));
    }
}

static void failures_are_named(void **state) {
    (void)state;
    char out[2000];
    static const char *const script[] = {"exit 1", "kill -SEGV $$", "echo three"};
    assert_int_equal(run(lb_test_tmpdir(), 2, script, 3, out, sizeof out), 1);
    assert_non_null(strstr(out, "FAILED test programs: "));
    assert_non_null(strstr(out, "/test_0 "));
    assert_non_null(strstr(out, "/test_1 "));
    assert_null(strstr(out, "/test_2 "));
    assert_non_null(strstr(out, "three"));
}

/* Where memory is short the system may choose the shell that waits for a test. */
static void killed_from_outside(void **state) {
    (void)state;
    char out[2000];
    static const char *const script[] = {"kill -KILL $PPID", "exit 1", "echo three"};
    for (int jobs = 1; jobs <= 3; jobs += 2) {
        assert_int_equal(run(lb_test_tmpdir(), jobs, script, 3, out, sizeof out), 1);
        assert_null(strstr(out, "passed"));
        assert_non_null(strstr(out, "FAILED"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_pass), cmocka_unit_test(failures_are_named),
                                       cmocka_unit_test(killed_from_outside)};
    return cmocka_run_group_tests_name("tools/run-tests", tests, NULL, NULL);
}

#include "support/expected_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "support/support.h"

static void first_difference(const char *name, const char *want, const char *got) {
    int line = 1;
    while (*want && *want == *got) {
        line += *want == '\n';
        want++, got++;
    }
    fail_msg("tests/fixtures/%s, line %d: expected ...%.120s..., got ...%.120s... (LOWBIT_UPDATE=1 accepts it)", name,
             line, want, got);
}

void expect_output(const char *name, const char *got) {
    char root[LB_TEST_PATH], path[LB_TEST_PATH + 256];
    lb_test_fixture("tests/fixtures", root);
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (getenv("LOWBIT_UPDATE")) {
        assert_ok(lb_fs_write_atomic(path, got, strlen(got)));
        return;
    }
    char *want = NULL;
    size_t n = 0;
    assert_ok(lb_fs_read(path, &want, &n));
    if (strcmp(want, got) != 0) first_difference(name, want, got);
    lb_free(want);
}

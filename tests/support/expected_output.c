#include "support/expected_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "support/support.h"

static void first_difference(const char *file, const char *want, const char *got) {
    int line = 1;
    while (*want && *want == *got) {
        line += *want == '\n';
        want++, got++;
    }
    fail_msg("%s, line %d: expected ...%.120s..., got ...%.120s... (LOWBIT_UPDATE=1 accepts it)", file, line, want,
             got);
}

static void expect_file(const char *file, const char *path, const char *got) {
    if (getenv("LOWBIT_UPDATE")) {
        assert_ok(lb_fs_write_atomic(path, got, strlen(got)));
        return;
    }
    char *want = NULL;
    size_t n = 0;
    assert_ok(lb_fs_read(path, &want, &n));
    if (strcmp(want, got) != 0) first_difference(file, want, got);
    lb_free(want);
}

void expect_output(const char *name, const char *got) {
    char root[LB_TEST_PATH], path[LB_TEST_PATH + 256], file[256];
    lb_test_fixture("tests/fixtures", root);
    snprintf(path, sizeof path, "%s/%s", root, name);
    snprintf(file, sizeof file, "tests/fixtures/%s", name);
    expect_file(file, path, got);
}

/* The line that begins so; the test fails where there is none. */
static const char *line_of(const char *text, const char *begin) {
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strncmp(p, begin, strlen(begin)) == 0) return p;
    fail_msg("no line '%s'", begin);
    return NULL;
}

void expect_part(const char *file, const char *begin, const char *end, const char *got) {
    char path[LB_TEST_PATH], *text = NULL;
    size_t n = 0;
    lb_str whole = {0};
    lb_test_fixture(file, path);
    assert_ok(lb_fs_read(path, &text, &n));
    const char *from = begin ? line_of(text, begin) : text;
    if (begin) from += strcspn(from, "\n") + 1;
    lb_str_add_bytes(&whole, text, (size_t)(from - text));
    lb_str_add(&whole, "%s%s", got, end ? line_of(from, end) : "");
    assert_ok(lb_str_check(&whole));
    expect_file(file, path, whole.s);
    lb_str_free(&whole);
    lb_free(text);
}

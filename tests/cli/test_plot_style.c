/* What an author makes of a report's plots: changed scripts stay, styles are read, and nothing in a results folder that
 * was passed on makes gnuplot do anything but draw. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"
#include "support/synthetic_results.h"

#define FRONT "front-wikitext-2-W2-2048"

static char dir[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s/styled", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, dir);
    for (int64_t i = 0; i < r->n; i++) assert_ok(lb_store_write(dir, &r->record[i]));
    assert_ok(lb_store_write_index(dir, r->name, r->model_name, r->model_note, r->record, r->n));
    synthetic_results_free(r);
    return 0;
}

static const char *path_of(const char *leaf) {
    static char path[LB_TEST_PATH + 256];
    snprintf(path, sizeof path, "%s/%s", dir, leaf);
    return path;
}
static const char *plot(const char *leaf) {
    static char path[LB_TEST_PATH + 256];
    snprintf(path, sizeof path, "%s/report/plots/%s", dir, leaf);
    return path;
}

static char *read_file(const char *path) {
    char *text;
    size_t n;
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}

static void put(const char *path, const char *text) { assert_ok(lb_fs_write_atomic(path, text, strlen(text))); }

/* Its standard error; the exit code must be as given. */
static char *report_says(int code, const char *more, const char *value) {
    cli_result r = more ? CLI(NULL, "report", dir, more, value) : CLI(NULL, "report", dir);
    if (r.code != code) fail_msg("exit %d: %s", r.code, r.err);
    char *said = lb_strdup(r.err);
    assert_non_null(said);
    cli_free(&r);
    return said;
}

static void reports(const char *part) {
    char *said = report_says(0, NULL, NULL);
    if (part)
        cli_has(said, part);
    else
        cli_has_not(said, "kept");
    lb_free(said);
}

/* A script that an author changed stays to the byte, over many reports; the report's own stands beside it. */
static void changed_scripts_stay(void **state) {
    (void)state;
    reports(NULL);
    reports(NULL); /* its own it may write again */
    char *text = read_file(plot(FRONT ".gp"));
    cli_has(text, "# lowbit wrote the lines above: SHA-256 ");
    cli_has(text, "\ntitle = 'tiny");
    text[strstr(text, "\ntitle = 'tiny") - text + 10] = 'T';
    put(plot(FRONT ".gp"), text);
    for (int i = 0; i < 2; i++) {
        reports("are kept: " FRONT ".gp (in ");
        char *now = read_file(plot(FRONT ".gp")), *new = read_file(plot(FRONT ".new.gp"));
        assert_string_equal(now, text);
        cli_has(new, "data = '" FRONT ".dat'");
        lb_free(now);
        lb_free(new);
        assert_false(lb_fs_exists(plot(FRONT ".new-2.gp")));
    }
    /* The new one changed, too. */
    put(plot(FRONT ".new.gp"), "plot x\n");
    reports("are kept: " FRONT ".gp, " FRONT ".new.gp (in ");
    assert_true(lb_fs_exists(plot(FRONT ".new-2.gp")));
    /* What is back to normal leaves nothing behind. */
    assert_int_equal(unlink(plot(FRONT ".gp")), 0);
    assert_int_equal(unlink(plot(FRONT ".new.gp")), 0);
    reports(NULL);
    assert_true(lb_fs_exists(plot(FRONT ".gp")));
    assert_false(lb_fs_exists(plot(FRONT ".new-2.gp")));
    lb_free(text);
}

/* Somebody else's script is neither run nor written over, be it signed for other lines or a link. */
static void scripts_of_others_do_not_run(void **state) {
    (void)state;
    reports(NULL);
    char evil[LB_TEST_PATH + 64], out[LB_TEST_PATH], *text = read_file(plot(FRONT ".gp"));
    snprintf(out, sizeof out, "%s/ran", lb_test_tmpdir());
    snprintf(evil, sizeof evil, "system 'touch %s'\n", out);
    char *both = malloc(strlen(evil) + strlen(text) + 1);
    assert_non_null(both);
    sprintf(both, "%s%s", evil, text);
    put(plot(FRONT ".gp"), both);
    reports("are kept: " FRONT ".gp");
    assert_false(lb_fs_exists(out));
    assert_int_equal(unlink(plot(FRONT ".gp")), 0);
    put(path_of("elsewhere.gp"), evil);
    assert_int_equal(symlink("../../elsewhere.gp", plot(FRONT ".gp")), 0);
    reports("are kept: " FRONT ".gp");
    assert_false(lb_fs_exists(out));
    char *same = read_file(path_of("elsewhere.gp"));
    assert_string_equal(same, evil);
    assert_int_equal(unlink(plot(FRONT ".gp")), 0);
    lb_free(same);
    lb_free(text);
    free(both);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_scripts_stay),
        cmocka_unit_test(scripts_of_others_do_not_run),
    };
    return cmocka_run_group_tests_name("style of plots", tests, setup, NULL);
}

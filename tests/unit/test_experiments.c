/* Every experiment is whole: its four files, configs that can be read, sources that are known, published values that
 * are the published ones, and a page that says the command. What runs is tools/check-papers' to see. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "io/csv.h"
#include "result/published.h"
#include "run/config.h"
#include "run/sources.h"

static lb_arena *a;
static lb_sources sources;
static lb_papers papers;

static int setup(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    if (lb_arena_new(0, &a) != LB_OK) return 1;
    lb_test_fixture("configs", dir);
    assert_ok(lb_sources_open(a, dir, &sources));
    lb_test_fixture("data/papers", dir);
    assert_ok(lb_papers_read(a, dir, &papers));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(a);
    return 0;
}

static const char *file_of(const char *name, const char *file) {
    char path[LB_TEST_PATH];
    const char *relative = lb_arena_printf(a, "experiments/%s/%s", name, file);
    assert_non_null(relative);
    lb_test_fixture(relative, path);
    const char *whole = lb_arena_strdup(a, path);
    assert_non_null(whole);
    return whole;
}

static void known(const char *name, const char *source, lb_source_kind kind) {
    if (!source || !source[0] || strchr(source, '/')) return;
    const lb_source *s = lb_sources_find(&sources, source);
    if (!s || s->kind != (int)kind) fail_msg("experiments/%s: '%s' is not in configs/sources.yaml", name, source);
}

static void configs_can_be_read(const char *name) {
    lb_config c, smoke;
    assert_ok(lb_config_read(a, file_of(name, "config.yaml"), NULL, 0, &c));
    assert_string_equal(c.name, name);
    known(name, c.calibration.text, LB_SOURCE_TEXT);
    for (size_t i = 0; i < c.models; i++) known(name, c.model[i], LB_SOURCE_MODEL);
    for (size_t i = 0; i < c.evals; i++) known(name, c.eval[i].text, LB_SOURCE_TEXT);

    assert_ok(lb_config_read(a, file_of(name, "smoke.yaml"), NULL, 0, &smoke));
    assert_string_equal(smoke.name, lb_arena_printf(a, "%s-smoke", name));
    for (size_t i = 0; i < smoke.models; i++) assert_non_null(strstr(smoke.model[i], "data/cache/smoke/"));
    for (size_t i = 0; i < smoke.evals; i++) assert_non_null(strstr(smoke.eval[i].text, "data/cache/smoke/"));
    if (c.calibration.text) assert_non_null(strstr(smoke.calibration.text, "data/cache/smoke/"));
}

/* "GPTQ (arXiv:2210.17323)" at "T3". */
static bool is_published(const char *source, const char *place, const char *value) {
    for (size_t i = 0; i < papers.rows; i++) {
        const lb_published *x = &papers.row[i];
        size_t n = strlen(x->paper);
        if (strncmp(source, x->paper, n) != 0 || strncmp(source + n, " (", 2) != 0 || strcmp(x->table, place) != 0)
            continue;
        if (strcmp(x->text, value) == 0) return true;
    }
    return false;
}

/* Each row of a paper says which model it is of, so that a run of another model compares nothing. */
static void values_are_published(const char *name) {
    lb_csv csv;
    assert_ok(lb_csv_read(a, file_of(name, "expected.csv"), &csv));
    int options = lb_csv_column(&csv, "options"), source = lb_csv_column(&csv, "source");
    int place = lb_csv_column(&csv, "place"), expected = lb_csv_column(&csv, "expected");
    for (size_t i = 0; i < csv.rows; i++) {
        char **row = csv.row[i];
        if (place < 0 || !row[place][0]) continue;
        if (!strstr(row[options], "model=")) fail_msg("experiments/%s: row %zu names no model", name, i + 1);
        if (!is_published(row[source], row[place], row[expected]))
            fail_msg("experiments/%s: row %zu: %s is not in table %s of %s", name, i + 1, row[expected], row[place],
                     row[source]);
    }
}

/* "stories260k" by "stories260k", "zoo/opt" by "../../data/cache/zoo/opt". */
static bool has_model(const lb_config *c, const char *options) {
    const char *at = strstr(options, "model=");
    if (!at) return true;
    const char *name = lb_arena_printf(a, "%.*s", (int)strcspn(at + 6, ";"), at + 6);
    for (size_t i = 0; name && i < c->models; i++)
        if (lb_str_ends(c->model[i], name)) return true;
    return false;
}

static bool has_evaluation(const lb_config *c, const char *name, const char *protocol, const char *windows) {
    if (!name[0]) return true;
    for (size_t i = 0; i < c->evals; i++)
        if (strcmp(c->eval[i].name, name) == 0 && strcmp(c->eval[i].protocol, protocol) == 0 &&
            (!windows[0] || !c->eval[i].windows || strtoll(windows, NULL, 10) == c->eval[i].windows))
            return true;
    return false;
}

/* What is expected of one config is not shown beside another one that never answers it: each names its own list, or
 * none. Of published numbers the table says itself how many are of models that did not run. */
static void expects_what_it_answers(const char *name, const char *file) {
    lb_config c;
    lb_csv csv;
    assert_ok(lb_config_read(a, file_of(name, file), NULL, 0, &c));
    if (strcmp(c.expected, "none") == 0) return;
    const char *list = c.expected[0] ? c.expected : "expected.csv";
    assert_ok(lb_csv_read(a, file_of(name, list), &csv));
    int options = lb_csv_column(&csv, "options"), eval = lb_csv_column(&csv, "evaluation");
    int protocol = lb_csv_column(&csv, "protocol"), windows = lb_csv_column(&csv, "windows");
    int place = lb_csv_column(&csv, "place");
    for (size_t i = 0; i < csv.rows; i++) {
        char **row = csv.row[i];
        if (place >= 0 && row[place][0]) continue;
        if (!has_model(&c, row[options]) || !has_evaluation(&c, row[eval], row[protocol], row[windows]))
            fail_msg("experiments/%s/%s: %s:%d is of another config", name, file, list, csv.line[i]);
    }
}

static void configs_expect_what_they_answer(const char *name) {
    char **files;
    size_t n;
    assert_ok(lb_fs_list(file_of(name, ""), ".yaml", &files, &n));
    for (size_t i = 0; i < n; i++) expects_what_it_answers(name, files[i]);
    lb_fs_list_free(files, n);
}

static void page_says_the_command(const char *name) {
    char *text;
    size_t n;
    assert_ok(lb_fs_read(file_of(name, "README.md"), &text, &n));
    if (!strstr(text, lb_arena_printf(a, "./lowbit run experiments/%s/config.yaml", name)))
        fail_msg("experiments/%s/README.md does not say how to run it", name);
    lb_free(text);
}

static void every_experiment(void **state) {
    (void)state;
    char dir[LB_TEST_PATH], **names;
    size_t n, seen = 0;
    lb_test_fixture("experiments", dir);
    assert_ok(lb_fs_list(dir, "", &names, &n));
    for (size_t i = 0; i < n; i++) {
        if (names[i][0] == '.') continue;
        configs_can_be_read(names[i]);
        values_are_published(names[i]);
        configs_expect_what_they_answer(names[i]);
        page_says_the_command(names[i]);
        seen++;
    }
    lb_fs_list_free(names, n);
    assert_true(seen >= 28);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_experiment)};
    return cmocka_run_group_tests(tests, setup, teardown);
}

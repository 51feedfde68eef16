/* Every text of a results folder as somebody would write it who wants a report to run, load or draw something else: in
 * the terminal, in pages, in CSV, and in the scripts that gnuplot runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "io/csv.h"
#include "report/plot.h"
#include "report/report.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static const char evil[] = "=x'; system(\"touch owned\"); set title '`touch owned`$(touch owned)@x \"`touch owned`\" "
                           "<script>alert(1)</script> "
                           "\x1b]0;title\x07\x1b[2J\xc2\x9b"
                           "31m \\write18{touch owned}\\input{/etc/passwd} ](javascript:alert(1)) %s%n ,\"q\"\r\n{x}";

static void spoil(lb_pairs *p) {
    for (int64_t i = 0; i < p->n; i++) p->at[i].value = evil;
}

/* What the store takes: keys, types of layers and BibTeX keys are checked. */
static void spoil_record(lb_record *r) {
    static char text[sizeof evil];
    memcpy(text, evil, sizeof evil);
    r->label = r->message = r->config = r->propagate = r->storage = evil;
    spoil(&r->options);
    spoil(&r->varied);
    spoil(&r->provenance);
    spoil(&r->host);
    for (int64_t i = 0; i < r->warnings; i++) r->warning[i] = text;
    for (int64_t i = 0; i < r->layers; i++) {
        memcpy(r->layer[i].name, evil, sizeof r->layer[i].name - 1);
        r->layer[i].storage = evil;
    }
    for (int64_t i = 0; i < r->evals; i++) {
        r->eval[i].name = r->eval[i].bos = r->eval[i].text_path = r->eval[i].text_hash = evil;
    }
    if (r->state == LB_CELL_DONE && strcmp(r->method, "none") != 0) r->method = evil;
}

static lb_results *spoiled(const char *dir) {
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    for (int64_t i = 0; i < r->n; i++) spoil_record(&r->record[i]);
    r->model_name = r->model_note = evil;
    return r;
}

static char *read_in(const char *dir, const char *leaf) {
    char *path = lb_fs_join(dir, leaf), *text = NULL;
    assert_ok(lb_fs_read(path, &text, NULL));
    lb_free(path);
    return text;
}

/* Nothing that a terminal acts on. */
static void is_plain(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
            fail_msg("control character 0x%02x: ...%.60s", *p, (const char *)p);
}

static bool owned(const char *dir) {
    char *a = lb_fs_join(dir, "owned"), *b = lb_fs_join(dir, "report/plots/owned");
    bool yes = lb_fs_exists(a) || lb_fs_exists(b) || access("owned", F_OK) == 0;
    lb_free(a);
    lb_free(b);
    return yes;
}

static void reports_only_report(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    lb_results *r = spoiled(dir);
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].state == LB_CELL_DONE) assert_ok(lb_store_write(dir, &r->record[i]));
    assert_ok(lb_store_write_index(dir, evil, evil, evil, r->record, r->n));
    cli_result run = CLI(NULL, "report", dir);
    if (run.code != 0) print_error("%s", run.err);
    assert_int_equal(run.code, 0);
    is_plain(run.out);
    is_plain(run.err);
    cli_free(&run);
    assert_false(owned(dir));

    char *html = read_in(dir, "report/index.html");
    is_plain(html);
    /* The page's own script, which its policy names by its hash, and no other. */
    int scripts = 0;
    for (size_t i = 0; html[i]; i++) scripts += strncmp(html + i, "<script", 7) == 0;
    assert_int_equal(scripts, 1);
    cli_has(html, "<script>'use strict';");
    cli_has(html, "script-src 'sha256-");
    cli_has(html, "&lt;script&gt;");
    lb_free(html);
    char *md = read_in(dir, "report/report.md");
    is_plain(md);
    cli_has_not(md, "<script");
    cli_has_not(md, " ](javascript");
    lb_free(md);
    char *tex = read_in(dir, "report/body.tex");
    is_plain(tex);
    cli_has_not(tex, "\\write18");
    cli_has_not(tex, "\\input");
    lb_free(tex);

    /* A spreadsheet takes no text for a formula, and the fields are where they were. */
    lb_csv csv;
    char *path = lb_fs_join(dir, "cells.csv");
    assert_ok(lb_csv_read(r->arena, path, &csv));
    int label = lb_csv_column(&csv, "label");
    assert_true(label >= 0 && csv.rows >= (size_t)r->n);
    for (size_t i = 0; i < csv.rows; i++) {
        assert_int_equal(csv.row[i][label][0], '\'');
        assert_string_equal(csv.row[i][label] + 1, evil);
        for (size_t c = 0; c < csv.cols; c++) assert_true(csv.row[i][c][0] != '=');
    }
    lb_free(path);
    static const char *const format[] = {"markdown", "csv", "latex"};
    for (size_t i = 0; i < sizeof format / sizeof format[0]; i++) {
        run = CLI(NULL, "report", dir, "--no-write", "--format", format[i]);
        assert_int_equal(run.code, 0);
        is_plain(run.out);
        cli_free(&run);
    }
    synthetic_results_free(r);
}

/* Types of layers stand in scripts too; the store refuses such ones, the plots would not run them either. */
static void scripts_hold_texts(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    lb_results *r = spoiled(dir);
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t l = 0; l < r->record[i].layers; l++)
            if (strcmp(r->record[i].layer[l].type, "q") == 0) r->record[i].layer[l].type = evil;
    lb_log log = {0};
    assert_ok(lb_report_write(r, NULL, NULL, &log));
    assert_false(owned(dir));
    for (int64_t i = 0; i < r->n; i++) {
        if (!r->record[i].layers) continue;
        lb_record back;
        assert_ok(lb_store_write(dir, &r->record[i]));
        char *path = lb_arena_printf(r->arena, "%s/%s.h5", dir, r->record[i].stem);
        assert_status(LB_E_FORMAT, lb_store_read(path, r->arena, &back));
        assert_error_has("must be a plain word");
        break;
    }
    synthetic_results_free(r);
}

/* Names of files that lead elsewhere, and keys that are LaTeX. */
static void names_are_names(void **state) {
    (void)state;
    static const char *const stem[] = {"../../up", "/abs", ".hidden", "-option", "a/b", "", "a\x1b[2J"};
    const char *dir = lb_test_tmpdir();
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, dir), *back = NULL;
    for (size_t i = 0; i < sizeof stem / sizeof stem[0]; i++) {
        r->record[1].stem = stem[i];
        r->record[1].state = LB_CELL_FAILED;
        assert_ok(lb_store_write(dir, &r->record[0]));
        assert_ok(lb_store_write_index(dir, "x", "m", "", r->record, 2));
        assert_status(LB_E_FORMAT, lb_store_read_results(dir, &back));
        assert_error_has("must be a plain name");
        cli_result run = CLI(NULL, "report", dir);
        assert_int_equal(run.code, 1);
        is_plain(run.err);
        cli_free(&run);
    }
    static char key[] = "x}\\input{/etc/passwd}";
    char *cite[] = {key};
    r->record[0].cite = cite;
    r->record[0].cites = 1;
    lb_record record;
    assert_ok(lb_store_write(dir, &r->record[0]));
    char *path = lb_arena_printf(r->arena, "%s/%s.h5", dir, r->record[0].stem);
    assert_status(LB_E_FORMAT, lb_store_read(path, r->arena, &record));
    assert_error_has("is no BibTeX key");
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_only_report),
        cmocka_unit_test(scripts_hold_texts),
        cmocka_unit_test(names_are_names),
    };
    return cmocka_run_group_tests_name("cli/hostile texts", tests, NULL, NULL);
}

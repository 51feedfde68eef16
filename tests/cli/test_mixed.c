/* Mixed precision as a researcher sees it: cells that rules tell apart have names, tables say from how many bits to how
 * many, cells.csv has the rules; and another label runs nothing again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

#define MIXED                                                                                                          \
    COMMON "name: mixed\nquantize:\n"                                                                                  \
           "  - {method: gptq, bits: 3, rules: [{match: \"*.down\", bits: 8}]}\n"                                      \
           "  - {method: gptq, bits: 3, %s rules: [{match: \"0.*\", bits: 8}]}\n"                                      \
           "  - {method: gptq, bits: 3}\n"

static void run_with(const char *label, const char *said) {
    char config[1024];
    snprintf(config, sizeof config, MIXED, label);
    put_file("mixed.yaml", config);
    cli_result r = RAN(0, "run", "mixed.yaml");
    cli_has(r.err, said);
    cli_free(&r);
}

static char *text_in(const char *name) {
    char path[LB_TEST_PATH], *text = NULL;
    size_t n = 0;
    path_in(path, home, name);
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}

static void cells_have_names(void **state) {
    (void)state;
    run_with("", "4 cells run, 0 kept");
    lb_results *r = results("results/mixed");
    assert_string_equal(r->record[1].label, "gptq 3b row *.down bits=8");
    assert_string_equal(r->record[2].label, "gptq 3b row 0.* bits=8");
    assert_string_equal(r->record[3].label, "gptq 3b row");
    assert_int_equal(strncmp(r->record[1].stem, "gptq-3b-row-", 12), 0);
    assert_int_equal(strncmp(r->record[3].stem, "gptq-3b-row-3-", 14), 0);
    lb_results_free(r);
    char *csv = text_in("results/mixed/cells.csv"), *page = text_in("results/mixed/report/report.md");
    cli_has(csv, ",3\xe2\x80\x93"
                 "8,\"match: \"\"*.down\"\", bits: 8\",none,none,none,cal.txt,");
    cli_has(page, "| gptq 3b row 0.\\* bits=8 | 3\xe2\x80\x93"
                  "8 | row |");
    lb_free(csv);
    lb_free(page);
}

static void another_label_runs_nothing(void **state) {
    (void)state;
    run_with("label: first block at 8 bits,", "0 cells run, 4 kept");
    char *page = text_in("results/mixed/report/report.md"), *csv = text_in("results/mixed/cells.csv");
    cli_has(page, "| first block at 8 bits | 3\xe2\x80\x93"
                  "8 | row |");
    cli_has(csv, ",gptq 3b row *.down bits=8,done,");
    cli_has(csv, ",first block at 8 bits,done,");
    lb_free(csv);
    lb_free(page);
    cli_result r = RAN(0, "report", "results/mixed", "--no-write", "--compare", "first block at 8 bits");
    cli_has(r.out, "Differences to first block at 8 bits on eval.txt");
    cli_free(&r);
}

/* Over seeds, and what varies within the entry. */
static void labels_in_rows(void **state) {
    (void)state;
    put_file("rows.yaml",
             "model: tiny\ncalibration: {text: cal.txt, samples: 8, length: 64, recipe: random}\n"
             "eval: {text: eval.txt, protocol: W2-64, windows: 6}\naxes: {seed: [1, 2]}\n"
             "quantize:\n  - {method: gptq, bits: 3, group: [row, 16], act_order: true, label: at s1 too}\n"
             "  - {method: gptq, bits: 3}\n");
    cli_result r = RAN(0, "run", "rows.yaml");
    cli_has(r.err, "] at s1 too s1 row: PPL");
    cli_has(r.err, "] at s1 too s2 g16: PPL");
    cli_free(&r);
    r = RAN(0, "report", "results/rows", "--no-write", "--format", "markdown");
    cli_has(r.out, "| at s1 too | 3 | row |");
    cli_has(r.out, "| at s1 too | 3 | 16 |");
    cli_has(r.out, "| gptq | 3 | row |");
    cli_has_not(r.out, "act_order");
    cli_free(&r);
    /* The row is called by what its seeds share, whatever the label says of an s1. */
    r = RAN(1, "report", "results/rows", "--no-write", "--compare", "at s1 too g15");
    cli_has(r.err, "'at s1 too g16' (2 seeds)");
    cli_free(&r);
}

static void labels_are_checked_first(void **state) {
    (void)state;
    put_file("twice.yaml", COMMON "quantize:\n  - {method: rtn, bits: 2, label: mine}\n"
                                  "  - {method: rtn, bits: 3, label: mine}\n");
    cli_result r = RAN(1, "check", "twice.yaml");
    cli_has(r.err, "twice.yaml:7: label in quantize[1]: 'mine' is the label of quantize[0] (twice.yaml:6)");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_have_names),
        cmocka_unit_test(another_label_runs_nothing),
        cmocka_unit_test(labels_in_rows),
        cmocka_unit_test(labels_are_checked_first),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}

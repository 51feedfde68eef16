/* `lowbit report` asked for a part: --where, --columns, --sort, names of rows over seeds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/csv_table.h"
#include "support/sweep_kit.h"

static int setup(void **state) {
    if (make_model(state) != 0) return -1;
    put_file("seeds.yaml",
             "name: seeds\nmodel: tiny\nthreads: 1\ncalibration: {text: cal.txt, samples: 8, length: 64}\n"
             "eval:\n  - {text: eval.txt, name: long, protocol: W2-64, windows: 6}\n"
             "  - {text: eval.txt, name: short, protocol: W2-32, windows: 4}\n"
             "quantize:\n  - {method: rtn, bits: [2, 3]}\n  - {method: gptq, bits: 3, act_order: [true, false]}\n"
             "  - {method: finetune, steps: 1, batch: 1, length: 32, warmup: 0, seed: [0, 1, 2]}\n");
    cli_options o = here();
    cli_result r = CLI(&o, "run", "seeds.yaml", "--no-report");
    if (r.code) print_error("%s", r.err);
    int code = r.code;
    cli_free(&r);
    return code;
}

#define REPORT(code, ...) RAN(code, "report", "results/seeds", __VA_ARGS__)
#define REFUSES(why, ...) SAYS(1, why, "report", "results/seeds", __VA_ARGS__)

static void columns_and_order(void **state) {
    (void)state;
    cli_result r =
        REPORT(0, "--no-write", "--format", "csv", "--columns", "label, ppl,seeds,act_order", "--sort", "-ppl");
    lb_csv c = csv_of_text(arena, r.out);
    const char *const head[] = {"evaluation", "protocol", "label", "ppl", "seeds", "act_order"};
    assert_int_equal(c.cols, 6);
    for (int i = 0; i < 6; i++) assert_string_equal(c.header[i], head[i]);
    assert_int_equal(c.rows, 2 * 6);
    for (size_t b = 0; b < 2; b++) {
        char **const *row = &c.row[b * 6];
        assert_string_equal(row[0][2], "none");
        for (int i = 2; i < 6; i++) assert_true(strtod(row[i][3], NULL) <= strtod(row[i - 1][3], NULL));
        int seeds = 0;
        for (int i = 0; i < 6; i++) seeds += strcmp(row[i][4], "3") == 0;
        assert_int_equal(seeds, 1);
    }
    cli_free(&r);
    /* as tables that are written, too */
    r = REPORT(0, "--columns", "label,ppl,delta");
    cli_free(&r);
    char path[LB_TEST_PATH], *text = NULL;
    size_t n;
    path_in(path, home, "results/seeds/report/tables/main.md");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, "| label | PPL \xc2\xb1 se | \xce\x94 ln PPL [95 %] |\n");
    lb_free(text);
}

static void where(void **state) {
    (void)state;
    cli_result r = REPORT(0, "--format", "csv", "--columns", "method,bits,evaluation", "--where",
                          "bits <= 3 and not (method = rtn and bits < 3) and evaluation = long");
    lb_csv c = csv_of_text(arena, r.out);
    assert_int_equal(c.rows, 4); /* the baseline, rtn 3b, gptq twice */
    for (size_t i = 0; i < c.rows; i++) {
        assert_string_equal(c.row[i][2], "long");
        assert_true(i == 0 || strcmp(c.row[i][1], "3") == 0);
    }
    cli_has(r.err, "nothing is written");
    cli_free(&r);
    static const struct {
        const char *text, *said;
    } wrong[] = {{"bits <= three", "--where: column 9: 'three' is no number"},
                 {"bist = 3", "did you mean 'bits'?"},
                 {"bits = 3 &", "--where: column 10: and, or, or the end expected, not '&'"},
                 {"bits = 7", "--where: no cell of results/seeds is so: bits = 7"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        r = REPORT(1, "--where", wrong[i].text);
        assert_string_equal(r.out, "");
        cli_has(r.err, wrong[i].said);
        cli_free(&r);
    }
    REFUSES("--columns and --sort are for the main table: not with --layers", "--columns", "label,ppl", "--layers",
            "rtn 2b row");
}

static void rows_of_cells_csv(void **state) {
    (void)state;
    cli_result r = REPORT(0, "--cells");
    char path[LB_TEST_PATH], *file = NULL;
    size_t n;
    path_in(path, home, "results/seeds/cells.csv");
    assert_ok(lb_fs_read(path, &file, &n));
    assert_string_equal(r.out, file);
    lb_free(file);
    cli_free(&r);
    r = REPORT(0, "--cells", "--where", "method = finetune and evaluation = short");
    assert_int_equal(csv_of_text(arena, r.out).rows, 4); /* the baseline and three seeds, each a row of its own */
    cli_free(&r);
    REFUSES("--columns and --sort are for the main table: not with --cells", "--cells", "--sort", "ppl");
    REFUSES("--cells is not for --compare", "--cells", "--compare", "none");
}

/* Differences of the main table to another row are those of --compare; to the baseline, by its name, what they are. */
static void another_reference(void **state) {
    (void)state;
    static const char columns[] = "label,delta_ln_ppl,delta_low,delta_high";
    cli_result r = REPORT(0, "--format", "csv", "--columns", columns, "--reference", "rtn 3b row");
    cli_has(r.err, "nothing is written");
    lb_csv c = csv_of_text(arena, r.out);
    cli_free(&r);
    r = REPORT(0, "--no-write", "--format", "csv", "--compare", "rtn 3b row");
    lb_csv compared = csv_of_text(arena, r.out);
    cli_free(&r);
    size_t same = 0;
    for (size_t i = 0; i < c.rows; i++)
        for (size_t k = 0; k < compared.rows; k++)
            same += strcmp(c.row[i][0], compared.row[k][0]) == 0 && strcmp(c.row[i][2], compared.row[k][3]) == 0 &&
                    strcmp(c.row[i][3], compared.row[k][lb_csv_column(&compared, "delta_ln_ppl")]) == 0 &&
                    strcmp(c.row[i][4], compared.row[k][lb_csv_column(&compared, "delta_low")]) == 0;
    assert_int_equal(same, compared.rows);
    assert_int_equal(c.rows, compared.rows + 2); /* and the row itself, of each evaluation */
    r = REPORT(0, "--no-write", "--format", "csv", "--columns", columns);
    cli_result base = REPORT(0, "--no-write", "--format", "csv", "--columns", columns, "--reference", "none");
    assert_string_equal(r.out, base.out);
    cli_free(&r);
    cli_free(&base);
    r = REPORT(0, "--reference", "rtn 3b row", "--significant", "--adjust", "holm");
    cli_has(r.out, "; differences to rtn 3b row");
    cli_has(r.out, "*: differs from rtn 3b row, as p, adjusted by Holm's method, is below 0.05. 5 + 5 comparisons");
    cli_free(&r);
    r = REPORT(0, "--reference", "rtn 3b row", "--format", "latex");
    cli_has(r.out, "; differences to rtn 3b row. 5 comparisons; intervals are of each alone.}");
    cli_free(&r);
    REFUSES("--reference is for the main table: not with --compare", "--reference", "rtn 3b", "--compare", "none");
    REFUSES("results/seeds has no cell 'rtn 3b'", "--reference", "rtn 3b");
}

/* A row over seeds is called as the table calls it; what has no name gets names of its method. */
static void names(void **state) {
    (void)state;
    cli_result r =
        REPORT(0, "--no-write", "--format", "csv", "--columns", "label,seeds", "--where", "method = finetune");
    lb_csv c = csv_of_text(arena, r.out);
    assert_int_equal(c.rows, 4);
    assert_string_equal(c.row[1][3], "3");
    const char *label = c.row[1][2];
    assert_null(strstr(label, " s0"));
    cli_free(&r);
    REFUSES("is 3 cells, one a seed: name one: '", "--no-write", "--layers", label);
    char wrong[256];
    snprintf(wrong, sizeof wrong, "%.*sxx", (int)strlen(label) - 1, label);
    r = REPORT(1, "--no-write", "--compare", wrong);
    cli_has(r.err, "did you mean 'finetune");
    cli_has(r.err, "' (3 seeds)?");
    cli_free(&r);
    r = REPORT(1, "--no-write", "--compare", "gptq 3b");
    cli_has(r.err, "has no cell 'gptq 3b': there is 'gptq 3b row act_order', 'gptq 3b row no_act_order'");
    cli_has_not(r.err, "rtn");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_and_order), cmocka_unit_test(where), cmocka_unit_test(rows_of_cells_csv),
        cmocka_unit_test(another_reference), cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("query", tests, setup, clean);
}

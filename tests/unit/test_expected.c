/* Ours beside what is expected: what is compared, what is not and why, and files that make no sense. The experiments of
 * the tree select cells that their configs make. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/csv.h"
#include "report/report.h"
#include "run/plan.h"
#include "run/sweep.h"
#include "support/expected_output.h"
#include "support/support.h"
#include "support/synthetic_results.h"

#define HEAD "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n"

static lb_results *results;
static char path[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    return 0;
}
static int teardown(void **state) {
    (void)state;
    synthetic_results_free(results);
    return 0;
}

static lb_status table(const char *rows, lb_table_format f, lb_str *out, int64_t *outside) {
    char text[4096];
    snprintf(text, sizeof text, "%s%s", HEAD, rows);
    LB_TRY(lb_fs_write_atomic(path, text, strlen(text)));
    return lb_report_expected_table(results, path, f, out, outside);
}

static void expect_row(const char *row, const char *within, int64_t outside) {
    lb_str s = {0};
    int64_t n = -1;
    lb_arena *a;
    lb_csv csv;
    char file[LB_TEST_PATH];
    assert_ok(table(row, LB_TABLE_CSV, &s, &n));
    assert_int_equal(n, outside);
    snprintf(file, sizeof file, "%s/row.csv", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(file, s.s, s.len));
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_csv_read(a, file, &csv));
    assert_int_equal(csv.rows, 1);
    const char *got = csv.row[0][lb_csv_column(&csv, "within")];
    if (strcmp(got, within) != 0) fail_msg("%s: expected %s, got %s", row, within, got);
    lb_arena_free(a);
    lb_str_free(&s);
}

static void compares(void **state) {
    (void)state;
#define W "wikitext-2,W2-2048,20"
    expect_row("none,," W ",ppl,20.97,1e-4,relative,test\n", "yes", 0);
    expect_row("none,," W ",ppl,20.97,1e-5,relative,test\n", "no", 1);
    expect_row("none,," W ",ppl,20.97,0.0013,absolute,test\n", "yes", 0);
    expect_row("none,," W ",ppl,20.97,0.0012,absolute,test\n", "no", 1);
    expect_row("none,,wikitext-2,W2-2048,,tokens,304978,0,absolute,test\n", "yes", 0);
    expect_row("none,," W ",window_nll:2,3.25,0,absolute,test\n", "yes", 0);
    expect_row("rtn,bits=3; group=64," W ",ppl,70.125,0,relative,test\n", "yes", 0);
    expect_row("rtn,bits=3;group=64.0," W ",delta_ln_ppl,1.25,0,absolute,test\n", "yes", 0);
    expect_row("qat,bits=2;group=row," W ",ppl,24.5,0,relative,test\n", "yes", 0);
    expect_row("gptq,bits=3;seed=1;propagate=quantized," W ",ppl,52.0625,0,relative,test\n", "yes", 0);
    expect_row("gptq,bits=2;seed=0,,,,output_mse:0.q,0.03125,1e-12,relative,test\n", "yes", 0);
    expect_row("gptq,bits=2;seed=0,,,,output_mse_original:0.q,0.03125,1e-12,relative,test\n", "no", 1);
}

static void does_not_compare(void **state) {
    (void)state;
    expect_row("rtn,bits=5," W ",ppl,70,1,relative,test\n", "no such cell", 0);
    expect_row("gptq,bits=3," W ",ppl,70,1,relative,test\n", "3 cells match", 0);
    expect_row("nf4,bits=3," W ",ppl,70,1,relative,test\n", "the cell was refused", 0);
    expect_row("gptq,bits=2;group=row," W ",ppl,70,1,relative,test\n", "the cell failed", 0);
    expect_row("none,,wikitext-2,W2-4096,20,ppl,70,1,relative,test\n", "other protocol: W2-2048", 0);
    expect_row("none,,wikitext-2,W2-2048,148,ppl,70,1,relative,test\n", "ours has 20 windows", 0);
    expect_row("none,,c4,W2-2048,20,ppl,70,1,relative,test\n", "not evaluated on this text", 0);
    expect_row("none,," W ",kl_mean,1,1,absolute,test\n", "not measured", 0);
    expect_row("none,," W ",window_nll:20,1,1,absolute,test\n", "no such window", 0);
    expect_row("rtn,bits=3;group=64,,,,output_mse:9.q,1,1,absolute,test\n", "no such layer", 0);
    expect_row("rtn,bits=3;group=64,,,,output_mse:0.q,1,1,absolute,test\n", "not measured", 0);
    expect_row("none,," W ",ppl,nan,1,relative,test\n", "nan as published", 0);
}

/* A row of definite weights is compared with results of those alone. */
static void weights(void **state) {
    (void)state;
    lb_results *own = results, *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_str s = {0};
    int64_t n;
    results = r;
    expect_row("none,model_sha256=0123456789ab," W ",ppl,20.97,1e-4,relative,test\n",
               "the model's weights are not known", 0);
    for (int64_t i = 0; i < r->n; i++)
        assert_ok(lb_pairs_add(r->arena, &r->record[i].provenance, "model_sha256", "0123456789abcdef"));
    expect_row("none,model_sha256=0123456789ab," W ",ppl,20.97,1e-4,relative,test\n", "yes", 0);
    expect_row("none,model_sha256=01234567," W ",ppl,20.97,1e-5,relative,test\n", "no", 1);
    expect_row("rtn,model_sha256=01234568;bits=3;group=64," W ",ppl,70.125,0,relative,test\n",
               "the model has other weights", 0);
    expect_row("rtn,model_sha256=01234568;bits=5," W ",ppl,70,0,relative,test\n", "no such cell", 0);
    expect_row("nf4,bits=3;model_sha256=01234567," W ",ppl,70,1,relative,test\n", "the cell was refused", 0);
    assert_ok(
        table("rtn,model_sha256=01234567;bits=3;group=64," W ",ppl,70.125,0,relative,\n", LB_TABLE_TERMINAL, &s, &n));
    assert_non_null(strstr(s.s, " rtn 3b g64 "));
    lb_str_free(&s);
    results = own;
    synthetic_results_free(r);
}

static void refuses(void **state) {
    (void)state;
    lb_str s = {0};
    int64_t n;
    const char *text = "method,options\nnone,\n";
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    assert_status(LB_E_FORMAT, lb_report_expected_table(results, path, LB_TABLE_CSV, &s, &n));
    assert_error_has("no column 'evaluation'");
    text = "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n";
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    assert_status(LB_E_FORMAT, lb_report_expected_table(results, path, LB_TABLE_CSV, &s, &n));
    assert_error_has("no rows below the header: expected at least one");
    assert_status(LB_E_IO, lb_report_expected_table(results, "/nowhere/e.csv", LB_TABLE_CSV, &s, &n));
    lb_str_free(&s);
}

static void looks(void **state) {
    (void)state;
    static const char rows[] = "none,," W ",ppl,20.97,1e-4,relative,another program\n"
                               "rtn,bits=3;group=64," W ",ppl,71,2e-4,relative,\n"
                               "rtn,bits=5," W ",ppl,71,2e-4,relative,\n"
                               "gptq,bits=2;seed=0,,,,output_mse:0.q,0.0312,1e-2,relative,\n";
    lb_str s = {0}, m = {0};
    int64_t n;
    assert_ok(table(rows, LB_TABLE_TERMINAL, &s, &n));
    assert_int_equal(n, 1);
    expect_output("report/expected.txt", s.s);
    assert_ok(table(rows, LB_TABLE_MARKDOWN, &m, &n));
    expect_output("report/expected.md", m.s);
    lb_str_free(&s);
    lb_str_free(&m);
}

/* Cells of a config as if they had been run, without numbers. */
static void cells_of(lb_arena *a, const char *config, lb_results *out) {
    char file[LB_TEST_PATH];
    const char **label;
    lb_config c;
    lb_sweep sweep;
    lb_test_fixture(config, file);
    assert_ok(lb_config_read(a, file, NULL, 0, &c));
    assert_ok(lb_sweep_expand(a, &c, &sweep));
    assert_ok(lb_plan_model_labels(a, &c, &label));
    *out = (lb_results){.model_name = label[0], .model_note = "", .name = c.name, .dir = ""};
    out->record = LB_NEW(a, lb_record, sweep.n * c.models);
    assert_non_null(out->record);
    for (size_t i = 0; i < sweep.n * c.models; i++) {
        const lb_cell *x = &sweep.cell[i % sweep.n];
        assert_false(x->refused);
        out->record[out->n++] = (lb_record){.method = x->method ? x->method->name : "none",
                                            .label = x->label,
                                            .message = "",
                                            .model = c.models > 1 ? label[i / sweep.n] : NULL,
                                            .options = x->options,
                                            .varied = x->varied};
    }
}

/* Every row of an experiment names one cell of its config: a slip would show as "no such cell" only after hours. */
static void rows_agree(const char *folder, int64_t cells, size_t least) {
    lb_arena *a;
    lb_results r;
    lb_str s = {0};
    lb_csv csv;
    int64_t n;
    char file[LB_TEST_PATH], name[LB_TEST_PATH];
    assert_ok(lb_arena_new(0, &a));
    snprintf(name, sizeof name, "%s/config.yaml", folder);
    cells_of(a, name, &r);
    assert_int_equal(r.n, cells);
    snprintf(name, sizeof name, "%s/expected.csv", folder);
    lb_test_fixture(name, file);
    assert_ok(lb_report_expected_table(&r, file, LB_TABLE_CSV, &s, &n));
    snprintf(path, sizeof path, "%s/agree.csv", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, s.s, s.len));
    assert_ok(lb_csv_read(a, path, &csv));
    assert_true(csv.rows >= least);
    for (size_t i = 0; i < csv.rows; i++) {
        const char *within = csv.row[i][lb_csv_column(&csv, "within")];
        /* Without numbers the cell is found, but not its evaluation or layer, and without a model not its weights. */
        if (strcmp(within, "not evaluated on this text") != 0 && strcmp(within, "no such layer") != 0 &&
            strcmp(within, "the model's weights are not known") != 0)
            fail_msg("%s: row %zu: %s: %s", folder, i + 1, csv.row[i][lb_csv_column(&csv, "cell")], within);
    }
    lb_str_free(&s);
    lb_arena_free(a);
}

static void experiments_agree(void **state) {
    (void)state;
    lb_arena *a;
    lb_results r;
    rows_agree("experiments/smollm2-wikitext2", 7, 21);
    rows_agree("experiments/zoo", 64, 72);
    rows_agree("experiments/zoo/stories", 64, 72);
    assert_ok(lb_arena_new(0, &a));
    cells_of(a, "experiments/smollm2-wikitext2/full.yaml", &r);
    assert_int_equal(r.n, 1);
    lb_arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares), cmocka_unit_test(does_not_compare),
        cmocka_unit_test(weights),  cmocka_unit_test(refuses),
        cmocka_unit_test(looks),    cmocka_unit_test(experiments_agree),
    };
    return cmocka_run_group_tests_name("expected values", tests, setup, teardown);
}

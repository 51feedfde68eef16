/* What of a list of expected values is known before anything has run: mistakes by file and line, with the word that was
 * meant, and rows that nothing of a config answers. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "io/csv.h"
#include "report/expected.h"
#include "report/report.h"
#include "support/support.h"
#include "support/synthetic_results.h"

#define HEAD "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n"
#define W    "wikitext-2,W2-2048,20"

static char path[LB_TEST_PATH];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    return 0;
}

static void put(const char *text) { assert_ok(lb_fs_write_atomic(path, text, strlen(text))); }

/* Lines are those of the file: blank ones, line ends in quotes and CRLF count. */
static void lines_of_the_file(void **state) {
    (void)state;
    lb_arena *a;
    lb_csv csv;
    assert_ok(lb_arena_new(0, &a));
    put("\n\na,b\r\n1,2\r\n\r\n\"x\n\ny\",3\n\"z\",4\n");
    assert_ok(lb_csv_read(a, path, &csv));
    assert_int_equal(csv.rows, 3);
    static const int line[] = {4, 6, 9};
    for (int i = 0; i < 3; i++) assert_int_equal(csv.line[i], line[i]);
    lb_str many = {0};
    lb_str_add(&many, "a\n");
    for (int i = 0; i < 500; i++) lb_str_add(&many, "%d\n", i);
    put(many.s);
    lb_str_free(&many);
    assert_ok(lb_csv_read(a, path, &csv));
    for (int i = 0; i < 500; i++) assert_int_equal(csv.line[i], i + 2);
    lb_arena_free(a);
}

static void mistakes_by_line(void **state) {
    (void)state;
    static const struct {
        const char *row, *says;
    } bad[] = {{"none,," W ",perplexity,1,1,relative,\n", ":5: metric 'perplexity' is not known: did you mean 'ppl'?"},
               {"none,," W ",KL,1,1,relative,\n", ":5: metric 'KL' is not known: did you mean 'kl_mean'?"},
               {"none,," W ",top-1,1,1,relative,\n", "did you mean 'top1'?"},
               {"none,," W ",window_nll,1,1,relative,\n", "did you mean 'window_nll:N'?"},
               {"none,," W ",output_mse,1,1,relative,\n", "did you mean 'output_mse:LAYER'?"},
               {"none,," W ",Bits_Per_Weight,1,1,relative,\n", "did you mean 'bits_per_weight'?"},
               {"none,," W ",nonsense,1,1,relative,\n", ":5: metric 'nonsense' is not known: see docs"},
               {"none,bits=3;group," W ",ppl,1,1,relative,\n", ":5: options 'bits=3;group': must be key=value"},
               {"none,model_sha256=0123456," W ",ppl,1,1,relative,\n", "model_sha256 must be 8 digits or more"},
               {"none,model_sha256=A1234567," W ",ppl,1,1,relative,\n", "of 0-9 and a-f"},
               {"none,," W ",ppl,x,1,relative,\n", ":5: expected = 'x': must be a number"},
               {"none,," W ",ppl,1,-1,relative,\n", ":5: tolerance = -1: must not be negative"},
               {"none,," W ",ppl,1,,relative,\n", ":5: tolerance = ''"},
               {"none,," W ",ppl,0,1,relative,\n", "use absolute"},
               {"none,," W ",window_nll:-1,1,1,absolute,\n", "is not known"},
               {"none,," W ",ppl,1,1\n", "expected.csv"},
               {"none,," W ",ppl,1,1,about,\n", ":5: kind = 'about': must be relative or absolute"}};
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, "unused");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, HEAD "none,," W ",ppl,1,1,relative,\"a\nb\"\n\n%s", bad[i].row);
        put(text);
        assert_status(LB_E_FORMAT, lb_report_expected_check(path));
        assert_error_has(bad[i].says);
        lb_str s = {0}; /* and so where ours stand beside them */
        int64_t outside;
        assert_status(LB_E_FORMAT, lb_report_expected_table(r, path, LB_TABLE_CSV, &s, &outside));
        assert_error_has(bad[i].says);
        lb_str_free(&s);
    }
    synthetic_results_free(r);
    put("method,options\n");
    assert_status(LB_E_FORMAT, lb_report_expected_check(path));
    assert_error_has("expected.csv:1: no column 'evaluation'");
}

/* Every metric that the documentation names, and none that it does not. */
static void metrics(void **state) {
    (void)state;
    static const char *const good[] = {"ppl",
                                       "ppl_se",
                                       "mean_nll",
                                       "window_nll:0",
                                       "tokens",
                                       "windows_all",
                                       "tokens_scored",
                                       "delta_ln_ppl",
                                       "kl_mean",
                                       "top1",
                                       "output_mse:0.q",
                                       "output_rel:0.q",
                                       "weight_mse:x",
                                       "bits_per_weight",
                                       "quantized_bytes",
                                       "model_bytes_fp16",
                                       "model_file_bytes",
                                       "output_mse_original:x",
                                       "output_rel_original:x"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(lb_expected_is_metric(good[i]));
        assert_int_equal(lb_expected_of_cell(good[i]), i >= 10);
    }
    static const char *const bad[] = {"", "PPL", "window_nll:", "window_nll:-1", "output_mse", "bits"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(lb_expected_is_metric(bad[i]));
}

static char said[8192];
static void keep(void *user, lb_level level, const char *text) {
    (void)user;
    assert_int_equal(level, LB_WARN);
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", text);
}

static void rows_that_nothing_answers(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "unused");
    lb_log log = {.message = keep};
    static const struct {
        const char *row, *says; /* NULL: nothing */
    } c[] = {{"none,," W ",ppl,1,1,relative,\n", NULL},
             {"gptq,bits=3;seed=1," W ",window_nll:3,1,1,relative,\n", NULL},
             {"rtn,bits=3;group=64,,,,output_mse:9.q,1,1,relative,\n", NULL}, /* layers are not planned by name */
             {"rtm,bits=3," W ",ppl,1,1,relative,\n",
              ":2: will not be compared: no cell has the method 'rtm': did you mean 'rtn'?"},
             {"rtn,bit=3," W ",ppl,1,1,relative,\n", "rtn has no option 'bit': did you mean 'bits'?"},
             {"rtn,bits=7," W ",ppl,1,1,relative,\n", "no such cell"},
             {"gptq,bits=3," W ",ppl,1,1,relative,\n", "3 cells match"},
             {"nf4,bits=3," W ",ppl,1,1,relative,\n", "the cell was refused"},
             {"none,,wikitext2,W2-2048,20,ppl,1,1,relative,\n",
              "no evaluation is called 'wikitext2': did you mean 'wikitext-2'?"},
             {"none,,c4,W2-2048,20,ppl,1,1,relative,\n", "no evaluation is called 'c4': the first is 'wikitext-2'"},
             {"none,,wikitext-2,W2-4096,20,ppl,1,1,relative,\n", "other protocol: W2-2048"},
             {"none,,wikitext-2,W2-2048,21,ppl,1,1,relative,\n", "ours has 20 windows"}};
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, HEAD "%s", c[i].row);
        put(text);
        said[0] = 0;
        assert_ok(lb_report_expected_preview(r, path, &log));
        if (!c[i].says) assert_string_equal(said, "");
        if (c[i].says && !strstr(said, c[i].says)) fail_msg("%s: %s", c[i].row, said);
    }
    /* Windows that a plan does not know, and a list that is long. */
    r->record[0].eval[0].eval.windows = -1;
    put(HEAD "none,,wikitext-2,W2-2048,21,ppl,1,1,relative,\n");
    said[0] = 0;
    assert_ok(lb_report_expected_preview(r, path, &log));
    assert_string_equal(said, "");
    lb_str many = {0};
    lb_str_add(&many, HEAD);
    for (int i = 0; i < 9; i++) lb_str_add(&many, "x%d,," W ",ppl,1,1,relative,\n", i);
    put(many.s);
    lb_str_free(&many);
    assert_ok(lb_report_expected_preview(r, path, &log));
    assert_non_null(strstr(said, ":6: will not"));
    assert_null(strstr(said, ":7: will not"));
    assert_non_null(strstr(said, "4 more of 9 rows will not be compared"));
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_the_file),
        cmocka_unit_test(mistakes_by_line),
        cmocka_unit_test(metrics),
        cmocka_unit_test(rows_that_nothing_answers),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

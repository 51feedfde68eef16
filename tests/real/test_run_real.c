/* Sweeps on stories260K with short stories, and on the built-in model: the order of the methods at 2 and 3 bits, each
 * difference with its interval, and nothing lost at 8 bits. Values of an independent program are in comments. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "result/provenance.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"

static const char model_hash[] = "cf791d3eea90517b5afb01f2a0c4f8010a26cc87727cc02fae4444d95aefd9be";
static const char train_hash[] = "387fc07ee6c043df3ee8a5f5bb087848fb305eddaa3ee8b462d094c5b9505dce";
static const char eval_hash[] = "d88fff7127a7ca91490ffebd2708ac65907d024acb181aee8b11219635e8ac7f";

static lb_results *sweep(void) {
    char model[LB_TEST_PATH], train[LB_TEST_PATH], eval[LB_TEST_PATH], path[LB_TEST_PATH];
    lb_test_source(model_hash, model);
    lb_test_source(train_hash, train);
    lb_test_source(eval_hash, eval);
    const char *dir = lb_test_tmpdir();
    lb_str s = {0};
    /* The sources may be given relative to this folder, and the program runs in another. */
    char *const file[] = {model, train, eval};
    char full[3][LB_TEST_PATH];
    for (int i = 0; i < 3; i++) {
        char *whole = realpath(file[i], NULL);
        assert_non_null(whole);
        assert_true(snprintf(full[i], sizeof full[i], "%s", whole) < LB_TEST_PATH);
        free(whole);
    }
    lb_str_add(&s,
               "name: s\nmodel: %s\ncalibration: {text: %s, samples: 64, length: 256, bos: never}\n"
               "training: {text: %s, bos: never}\n"
               "eval: {text: %s, protocol: W2-256, windows: 150, bos: never, kl: false}\naxes: {bits: [2, 3, 8]}\n"
               "quantize:\n  - {method: rtn}\n  - {method: gptq}\n  - {method: qat}\n  - {method: finetune}\n",
               full[0], full[1], full[1], full[2]);
    assert_ok(lb_str_check(&s));
    assert_true(snprintf(path, sizeof path, "%s/s.yaml", dir) < LB_TEST_PATH);
    assert_ok(lb_fs_write_atomic(path, s.s, s.len));
    lb_str_free(&s);
    cli_options o = {.cwd = dir};
    cli_result r = CLI(&o, "run", "s.yaml", "--no-report");
    if (r.code) print_error("%s%s", r.out, r.err);
    assert_int_equal(r.code, 0);
    cli_free(&r);
    lb_results *x = NULL;
    assert_true(snprintf(path, sizeof path, "%s/results/s", dir) < LB_TEST_PATH);
    assert_ok(lb_store_read_results(path, &x));
    return x;
}

static const lb_record *find(const lb_results *r, const char *method, int bits) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].method, method) == 0 && (r->record[i].bits == bits || bits == 0)) return &r->record[i];
    fail_msg("no cell %s with %d bits", method, bits);
    return NULL;
}

static lb_paired between(const lb_record *a, const lb_record *b) {
    lb_paired p = {0};
    const lb_eval *x = &a->eval[0].eval, *y = &b->eval[0].eval;
    assert_int_equal(x->windows, y->windows);
    assert_ok(lb_paired_difference(x->window_nll, y->window_nll, x->windows, &p));
    print_message("%s against %s: PPL %.4f, %.4f; %+.5f [%+.5f, %+.5f]\n", a->label, b->label, x->ppl, y->ppl, p.delta,
                  p.low, p.high);
    return p;
}

/* At 2 and 3 bits QAT < GPTQ < RTN, at 8 bits nothing is lost; training's own part is told apart. */
static void methods_in_order(const lb_results *r) {
    const lb_record *none = find(r, "none", 0), *tuned = find(r, "finetune", 0);
    for (int bits = 2; bits <= 3; bits++) {
        const lb_record *rtn = find(r, "rtn", bits), *gptq = find(r, "gptq", bits), *qat = find(r, "qat", bits);
        assert_true(between(qat, gptq).high < 0);
        assert_true(between(gptq, rtn).high < 0);
        (void)between(qat, tuned);
    }
    const char *const methods[] = {"rtn", "gptq"};
    for (int i = 0; i < 2; i++) {
        lb_paired p = between(find(r, methods[i], 8), none);
        assert_true(fabs(p.delta) < 0.002 && p.low > -0.002 && p.high < 0.002);
    }
    assert_true(fabs(between(find(r, "qat", 8), tuned).delta) < 0.01);
}

static void stories(void **state) {
    (void)state;
    lb_results *r = sweep();
    /* Unquantized 5.7242; RTN 14.88 and 575.2 at 3 and 2 bits, in float32 as here. */
    assert_true(fabs(find(r, "none", 0)->eval[0].eval.ppl / 5.7242 - 1) < 1e-4);
    assert_true(fabs(find(r, "rtn", 3)->eval[0].eval.ppl / 14.88 - 1) < 1e-3);
    assert_true(fabs(find(r, "rtn", 2)->eval[0].eval.ppl / 575.2 - 1) < 1e-3);
    methods_in_order(r);
    lb_results_free(r);
}

/* The sweep that make demo runs. */
static void builtin_model(void **state) {
    (void)state;
    char config[LB_TEST_PATH], results[LB_TEST_PATH + 16], path[LB_TEST_PATH];
    lb_results *r = NULL;
    lb_test_fixture("configs/demo.yaml", config);
    snprintf(results, sizeof results, "results=%s", lb_test_tmpdir());
    cli_result run = CLI(NULL, "run", config, "--no-report", "-o", results, "-o", "axes.bits=[2, 3, 8]");
    if (run.code) print_error("%s%s", run.out, run.err);
    assert_int_equal(run.code, 0);
    cli_free(&run);
    assert_true(snprintf(path, sizeof path, "%s/demo", results + strlen("results=")) < LB_TEST_PATH);
    assert_ok(lb_store_read_results(path, &r));
    methods_in_order(r);
    lb_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(stories), cmocka_unit_test(builtin_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

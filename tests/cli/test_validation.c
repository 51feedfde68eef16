/* training.validation: the curve is what evaluations of stored models give, the training is what it is without, and
 * what cannot be asked for is told. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "io/h5.h"
#include "io/json.h"
#include "support/h5_same.h"
#include "support/sweep_kit.h"

#define HEAD   "model: tiny\nthreads: 2\n"
#define TRAINS "training: {text: cal.txt, validation: eval.txt, every: 3, validation_windows: 5}\n"
#define EVAL   "eval: {text: eval.txt, protocol: W2-32, windows: 5}\n"
#define CELLS                                                                                                          \
    "quantize:\n"                                                                                                      \
    "  - {method: rtn, bits: 3}\n"                                                                                     \
    "  - {method: qat, bits: 3, steps: 4, warmup: 1, batch: 2, length: 32, lr: 1e-2}\n"                                \
    "  - {method: finetune, steps: 4, warmup: 1, batch: 2, length: 32, lr: 1e-2}\n"

static cli_result run(const char *name, const char *config, const char *into) {
    cli_options o = here();
    char to[64];
    put_file(name, config);
    snprintf(to, sizeof to, "results=%s", into);
    return CLI(&o, "run", name, "-o", to);
}

static void runs(const char *name, const char *config, const char *into) {
    cli_result r = run(name, config, into);
    if (r.code != 0) fail_msg("%s%s", r.out, r.err);
    cli_free(&r);
}

static const lb_record *cell(const lb_results *r, const char *method) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].method, method) == 0) return &r->record[i];
    fail_msg("no cell of %s", method);
    return NULL;
}

static void file_of(const char *folder, const lb_record *r, char out[LB_TEST_PATH]) {
    assert_true(snprintf(out, LB_TEST_PATH, "%s/%s/%s.h5", home, folder, r->stem) < LB_TEST_PATH);
}

/* The mean NLL of the windows that the curve is of, by lowbit eval of the stored model. */
static double evaluated(const char *path) {
    cli_options o = here();
    char json[LB_TEST_PATH];
    double mean = 0;
    json_t *root;
    cli_result c = CLI(&o, "eval", path, "eval.txt", "--protocol", "W2-32", "--windows", "5", "--json", "eval.json");
    if (c.code != 0) fail_msg("%s", c.err);
    cli_free(&c);
    path_in(json, home, "eval.json");
    assert_ok(lb_json_read(json, &root));
    const json_t *nll = json_object_get(root, "window_nll");
    assert_int_equal(json_array_size(nll), 5);
    for (size_t i = 0; i < 5; i++) mean += json_real_value(json_array_get(nll, i));
    json_decref(root);
    return mean / 5;
}

/* Before the first step qat is the cell of round-to-nearest, and finetune the baseline; after the last each is what its
 * own file holds. */
static void it_is_what_evaluations_give(void **state) {
    (void)state;
    static const char *const method[][2] = {{"qat", "rtn"}, {"finetune", "none"}};
    char path[LB_TEST_PATH];
    runs("valid.yaml", HEAD "keep_layers: true\n" TRAINS EVAL CELLS, "kept");
    lb_results *r = results("kept/valid");
    for (int i = 0; i < 2; i++) {
        const lb_record *c = cell(r, method[i][0]);
        static const int64_t at[] = {0, 3, 4};
        assert_int_equal(c->curve.n, 4);
        assert_int_equal(c->curve.validations, 3);
        assert_memory_equal(c->curve.validation_step, at, sizeof at);
        assert_true(c->curve.validation_loss[0] == cell(r, method[i][1])->eval[0].eval.mean_nll);
        assert_true(c->curve.validation_loss[2] == c->eval[0].eval.mean_nll);
        file_of("kept/valid", c, path);
        assert_true(c->curve.validation_loss[2] == evaluated(path));
        assert_true(c->curve.validation_loss[2] != c->curve.validation_loss[0]);
        assert_string_equal(lb_pairs_get(&c->provenance, "validation"), "eval.txt");
        assert_string_equal(lb_pairs_get(&c->provenance, "validation_sha256"), c->eval[0].text_hash);
        assert_string_equal(lb_pairs_get(&c->provenance, "validation_length"), "32");
        assert_string_equal(lb_pairs_get(&c->provenance, "validation_windows"), "5");
        assert_int_equal(strtoll(lb_pairs_get(&c->provenance, "validation_tokens"), NULL, 10), c->eval[0].text_tokens);
        assert_non_null(strstr(c->config, "\n  every: 3\n  validation_windows: 5\n"));
    }
    assert_int_equal(cell(r, "rtn")->curve.validations, 0);
    lb_results_free(r);
    assert_true(exists("kept/valid/report/plots/training-validation.dat"));
}

/* Layers, sizes, evaluations and the training's own curve are the same bytes; without the key no file says anything of
 * it. */
static void all_else_is_as_without(void **state) {
    (void)state;
    static const char *const method[] = {"qat", "finetune"};
    static const char *const same[] = {"/layers", "/eval", "/size", "/kept", "/training"};
    char x[LB_TEST_PATH], y[LB_TEST_PATH];
    runs("valid.yaml", HEAD "keep_layers: true\ntraining: {text: cal.txt}\n" EVAL CELLS, "plain");
    lb_results *with = results("kept/valid"), *without = results("plain/valid");
    for (size_t i = 0; i < 2; i++) {
        lb_record a = *cell(with, method[i]), b = *cell(without, method[i]);
        lb_h5 *h = NULL;
        file_of("kept/valid", &a, x);
        file_of("plain/valid", &b, y);
        assert_string_not_equal(a.key, b.key);
        assert_ok(lb_h5_open(y, &h));
        assert_false(lb_h5_has_attr(h, "/", "n_validation"));
        assert_false(lb_h5_has(h, "/training/validation_step") || lb_h5_has(h, "/training/validation_loss"));
        for (size_t k = 0; k < sizeof same / sizeof same[0]; k++) assert_true(lb_h5_has(h, same[k]));
        lb_h5_abandon(h);
        assert_null(strstr(b.config, "validation"));
        assert_null(lb_pairs_get(&b.provenance, "validation"));
        assert_true(evaluated(x) == evaluated(y));
        /* But for what says that it was asked for, they are one record. */
        b.key = a.key, b.stem = a.stem, b.config = a.config, b.provenance = a.provenance;
        b.varied = a.varied;
        a.curve.validations = 0;
        same_records(&a, &b);
    }
    lb_results_free(with);
    lb_results_free(without);
}

/* A result is a config: it makes the same cell again. */
static void a_result_runs_again(void **state) {
    (void)state;
    cli_options o = here();
    char path[LB_TEST_PATH], to[LB_TEST_PATH];
    lb_results *r = results("kept/valid");
    const lb_record *c = cell(r, "qat");
    file_of("kept/valid", c, path);
    cli_result out = CLI(&o, "run", path, "--no-report");
    if (out.code != 0) fail_msg("%s%s", out.out, out.err);
    cli_free(&out);
    assert_true(snprintf(to, sizeof to, "kept/valid-%s", c->stem) < (int)sizeof to);
    lb_results *again = results(to);
    const lb_record *same = cell(again, "qat");
    assert_string_equal(same->key, c->key);
    assert_int_equal(same->curve.validations, c->curve.validations);
    assert_memory_equal(same->curve.validation_loss, c->curve.validation_loss,
                        (size_t)c->curve.validations * sizeof(double));
    lb_results_free(again);
    lb_results_free(r);
}

static void check_has(const char *config, const char *const *wanted, int code) {
    cli_options o = here();
    put_file("check.yaml", config);
    cli_result r = CLI(&o, "check", "check.yaml", "--wide");
    if (r.code != code) fail_msg("%s%s", r.out, r.err);
    for (; *wanted; wanted++) cli_has(code ? r.err : r.out, *wanted);
    cli_free(&r);
}
#define CHECK_HAS(config, code, ...) check_has(config, (const char *const[]){__VA_ARGS__, NULL}, code)

static void what_check_says(void **state) {
    (void)state;
    CHECK_HAS(HEAD TRAINS EVAL CELLS, 0, "training     cal.txt: ", "validation   eval.txt: ");
    CHECK_HAS(HEAD "training: {text: cal.txt, validation: cal.txt}\n" EVAL CELLS, 0,
              "qat 3b row steps=4 warmup=1 batch=2 length=32 lr=0.01 and 1 more: training and validation use the same "
              "text (cal.txt): its validation loss says little");
    put_file("few.txt", "Anna is in the garden.\n");
    CHECK_HAS(HEAD "training: {text: cal.txt, validation: few.txt}\n" EVAL CELLS, 0, "validation text ", "few.txt has ",
              " tokens: one window takes length = 32");
    CHECK_HAS(HEAD "training: {text: cal.txt, validation: nowhere.txt}\n" EVAL CELLS, 1,
              "check.yaml:3: ", "nowhere.txt");
    CHECK_HAS(HEAD "training: {text: cal.txt, every: 5}\n" EVAL CELLS, 1,
              "check.yaml:3: training.every has no effect: there is no text to validate on: add validation: TEXT");
    CHECK_HAS(HEAD "training: {text: cal.txt, validation: eval.txt, every: 0}\n" EVAL CELLS, 1,
              "check.yaml:3: every = 0: must be at least 1 (training)");
    CHECK_HAS(HEAD "training: {text: cal.txt, eval_steps: 5}\n" EVAL CELLS, 1, "did you mean 'every'?");
}

/* A warning of the cell, too, and of no other. */
static void the_training_text_is_warned_of(void **state) {
    (void)state;
    runs("same.yaml",
         HEAD "training: {text: cal.txt, validation: [eval.txt, cal.txt], validation_windows: 2}\n" EVAL
              "quantize:\n  - {method: qat, steps: 2, warmup: 0, batch: 1, length: 16}\n",
         "same");
    lb_results *r = results("same/same");
    assert_int_equal(r->n, 3);
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        bool said = false;
        for (int64_t k = 0; k < c->warnings; k++)
            said = said || strstr(c->warning[k], "training and validation use the same text (cal.txt)");
        assert_int_equal(said, strstr(c->label, "validated on cal.txt") != NULL);
    }
    lb_results_free(r);
}

int main(void) {
    all_figures = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_evaluations_give),
        cmocka_unit_test(all_else_is_as_without),
        cmocka_unit_test(a_result_runs_again),
        cmocka_unit_test(what_check_says),
        cmocka_unit_test(the_training_text_is_warned_of),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}

/* Axes over calibration, training and models: each cell is, byte for byte, what a config of that one value gives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

#define EVAL    "eval: {text: eval.txt, protocol: W2-64, windows: 6}\n"
#define METHODS "quantize:\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: 3}\n"

/* Beside cal.txt: one that there is something to say about, its line ends. */
static int make_texts(void **state) {
    int code = make_model(state);
    char path[LB_TEST_PATH], *bytes = NULL;
    size_t n = 0, to = 0;
    if (code != 0) return code;
    path_in(path, home, "cal.txt");
    assert_ok(lb_fs_read(path, &bytes, &n));
    char *other = malloc(2 * n + 1);
    assert_non_null(other);
    for (size_t i = n / 2; i < n; i++) {
        if (bytes[i] == '\n') other[to++] = '\r';
        other[to++] = bytes[i];
    }
    other[to] = 0;
    put_file("other.txt", other);
    free(other);
    lb_free(bytes);
    return 0;
}

static void run(const char *name, const char *config, const char *results, const char *says) {
    char to[64];
    put_file(name, config);
    snprintf(to, sizeof to, "results=%s", results);
    cli_result r = RAN(0, "run", name, "--no-report", "-o", to);
    cli_has(r.err, says);
    cli_free(&r);
}

static lb_record *cell(lb_results *r, const char *label) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].label, label) == 0) return &r->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

/* A cell of a sweep with axes, and the one of a plain config in `plain`: the same key, the same numbers. What
 * a cell is called by is the sweep's. */
static void same_cell(const char *axes, const char *of_axis, const char *plain, const char *label) {
    lb_results *x = results(axes), *y = results(plain);
    lb_record *a = cell(x, of_axis), *b = cell(y, label);
    assert_string_equal(a->key, b->key);
    assert_string_equal(a->config, b->config);
    b->label = a->label;
    b->stem = a->stem;
    b->varied = a->varied;
    same_records(a, b);
    lb_results_free(x);
    lb_results_free(y);
}

static void texts_and_samples(void **state) {
    (void)state;
    run("sweep.yaml",
        "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, length: 64}\n" EVAL
        "axes:\n  calibration.text: [cal.txt, other.txt]\n  calibration.samples: [4, 8]\n" METHODS,
        "axes", "6 cells run, 0 kept, 0 refused, 0 failed");
    static const char *const text[] = {"cal.txt", "other.txt"};
    for (int t = 0; t < 2; t++)
        for (int samples = 4; samples <= 8; samples += 4) {
            char config[512], dir[32], name[64], label[64];
            snprintf(config, sizeof config,
                     "model: tiny\nthreads: 2\ncalibration: {text: %s, samples: %d, length: 64}\n" EVAL METHODS,
                     text[t], samples);
            snprintf(dir, sizeof dir, "plain-%d-%d", t, samples);
            snprintf(name, sizeof name, "%s/sweep", dir);
            snprintf(label, sizeof label, "gptq 3b row on %s samples=%d", text[t], samples);
            run("sweep.yaml", config, dir, "3 cells run");
            same_cell("axes/sweep", label, name, "gptq 3b row");
        }
    /* Rounding reads no calibration: it runs once, and its errors are measured with the first. */
    same_cell("axes/sweep", "rtn 3b row", "plain-0-4/sweep", "rtn 3b row");
    /* Their layer errors are with H of each one's own text. */
    SAYS(0, "on one calibration cells", "report", "axes/sweep", "--no-write");
    SAYS(0, "so that cells compare", "report", "plain-0-4/sweep", "--no-write");
    /* What there is to say of a text is said of its cells. */
    lb_results *r = results("axes/sweep");
    const char *const mine = "gptq 3b row on other.txt samples=8", *const not_mine = "gptq 3b row on cal.txt samples=8";
    bool said = false;
    for (int64_t i = 0; i < cell(r, mine)->warnings; i++)
        said |= strstr(cell(r, mine)->warning[i], "other.txt") != NULL;
    assert_true(said);
    for (int64_t i = 0; i < cell(r, not_mine)->warnings; i++)
        assert_null(strstr(cell(r, not_mine)->warning[i], "other.txt"));
    lb_results_free(r);
}

static void training_texts(void **state) {
    (void)state;
    static const char qat[] = "quantize:\n  - {method: qat, bits: 3, steps: 2, batch: 2, length: 32, warmup: 1}\n";
    char config[1024];
    snprintf(config, sizeof config, "model: tiny\nthreads: 2\ntraining: {text: [cal.txt, other.txt]}\n" EVAL "%s", qat);
    run("sweep.yaml", config, "trains", "3 cells run");
    snprintf(config, sizeof config, "model: tiny\nthreads: 2\ntraining: {text: other.txt}\n" EVAL "%s", qat);
    run("sweep.yaml", config, "trained", "2 cells run");
    same_cell("trains/sweep", "qat 3b row trained on other.txt steps=2 batch=2 length=32 warmup=1", "trained/sweep",
              "qat 3b row steps=2 batch=2 length=32 warmup=1");
}

/* Options of the ends: of a model whose two are one matrix either key means it. */
static void ends(void **state) {
    (void)state;
    static const char texts[] = "model: tiny\nthreads: 2\nkeep_layers: true\n"
                                "calibration: {text: cal.txt, samples: 4, length: 64}\n" EVAL;
    char config[1024];
    snprintf(config, sizeof config,
             "%shead: {method: gptq, bits: [4, 6]}\nquantize:\n  - {method: rtn, bits: 3}\n"
             "  - {method: gptq, bits: 3, embedding: {method: rtn, bits: [4, 8]}, quantize_head: false}\n",
             texts);
    run("sweep.yaml", config, "ends", "5 cells run, 0 kept, 0 refused, 0 failed");
    snprintf(config, sizeof config, "%shead: {method: gptq, bits: 6}\nquantize: [{method: rtn, bits: 3}]\n", texts);
    run("sweep.yaml", config, "end", "2 cells run");
    same_cell("ends/sweep", "rtn 3b row head 6 bits", "end/sweep", "rtn 3b row");
    snprintf(config, sizeof config, "%sembedding: {method: rtn, bits: 8}\nquantize: [{method: gptq, bits: 3}]\n",
             texts);
    run("sweep.yaml", config, "own-end", "2 cells run");
    same_cell("ends/sweep", "gptq 3b row embedding 8 bits no_quantize_head", "own-end/sweep", "gptq 3b row");
    lb_results *r = results("ends/sweep");
    const char *stem = cell(r, "rtn 3b row head 6 bits")->stem;
    assert_int_equal(strncmp(stem, "rtn-3b-row-head-6-bits-", strlen("rtn-3b-row-head-6-bits-")), 0);
    assert_int_equal(strlen(stem), strlen("rtn-3b-row-head-6-bits-") + 8);
    lb_results_free(r);
    SAYS(0, "gptq 3b row embedding 5 bits", "check", "sweep.yaml", "-o", "embedding.bits=[2, 5]");
    SAYS(1, "-o embedding.bits=3 has no effect: every cell has a value of axes.embedding.bits (", "check", "sweep.yaml",
         "-o", "axes.embedding.bits=[2, 5]", "-o", "embedding.bits=3");
    cli_result told = RAN(0, "report", "ends/sweep", "--no-write", "--columns", "method,bits,embedding,head");
    cli_has(told.out, "rtn head 6 bits ");
    cli_has(told.out, "gptq embedding 8 bits ");
    cli_free(&told);
}

/* An entry may have a calibration of its own; random windows follow the cell's seed or the calibration's. */
static void entries_and_seeds(void **state) {
    (void)state;
    run("sweep.yaml",
        "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, samples: 8, length: 64}\n" EVAL
        "axes: {calibration: {recipe: [sequential, random], seed: [3, 7]}}\nquantize:\n  - {method: gptq, bits: 3}\n"
        "  - {method: gptq, bits: 3, calibration: {samples: 4, text: other.txt}}\n",
        "entries", "7 cells run, 0 kept, 0 refused, 0 failed");
    run("sweep.yaml",
        "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, samples: 8, length: 64, recipe: random, seed: 7}\n" EVAL
        "quantize:\n  - {method: gptq, bits: 3}\n",
        "random", "2 cells run");
    same_cell("entries/sweep", "gptq 3b row recipe=random seed=7", "random/sweep", "gptq 3b row");
    run("sweep.yaml",
        "model: tiny\nthreads: 2\ncalibration: {text: other.txt, samples: 4, length: 64}\n" EVAL
        "quantize:\n  - {method: gptq, bits: 3}\n",
        "own", "2 cells run");
    same_cell("entries/sweep", "gptq 3b row recipe=sequential samples=4 on other.txt", "own/sweep", "gptq 3b row");
}

/* What a value of an axis cannot have refuses its cells; the plan names every calibration once. */
static void plans(void **state) {
    (void)state;
    put_file("plan.yaml", "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, samples: 4}\n" EVAL
                          "axes: {calibration.length: [64, 4096, 32]}\n" METHODS);
    cli_result r = RAN(0, "check", "plan.yaml");
    cli_has(r.out, "calibration  cal.txt: 4 x 64 of ");
    cli_has(r.out, "calibration  cal.txt: 4 x 32 of ");
    cli_has_not(r.out, "4 x 4096 of ");
    cli_has(r.out, "gptq 3b row length=4096");
    cli_has(r.out, "calibration.length = 4096: the model's context is 128 tokens");
    cli_free(&r);
    /* As the only one it is the config's mistake. */
    SAYS(1, "calibration.length = 4096: the model's context is 128 tokens", "check", "plan.yaml", "-o", "axes={}", "-o",
         "calibration.length=4096");
    /* Overrides reach axes as the file writes them, and as maps. */
    r = RAN(0, "check", "plan.yaml", "-o", "axes.calibration.length=[16]");
    cli_has(r.out, "4 x 16 of ");
    cli_has_not(r.out, "4 x 64 of ");
    cli_free(&r);
    r = RAN(0, "check", "plan.yaml", "-o", "calibration.length=[16]");
    cli_has(r.out, "4 x 16 of ");
    cli_has_not(r.out, "4 x 64 of ");
    cli_free(&r);
    r = RAN(1, "check", "plan.yaml", "-o", "calibration.length=16");
    cli_has(r.err, "-o calibration.length=16 has no effect: every cell has a value of axes.calibration.length (");
    cli_has(r.err, "plan.yaml:5)");
    cli_free(&r);
    r = RAN(0, "check", "plan.yaml", "-o", "calibration.samples=[2, 3]", "-o", "axes={}", "-o",
            "calibration.length=16");
    cli_has(r.out, "2 x 16 of ");
    cli_has(r.out, "3 x 16 of ");
    cli_free(&r);
    /* A text that is not there is named where it stands. */
    r = RAN(1, "check", "plan.yaml", "-o", "axes.calibration.text=[cal.txt, gone.txt]");
    cli_has(r.err, "-o axes.calibration.text=[cal.txt, gone.txt]");
    cli_has(r.err, "gone.txt");
    cli_free(&r);
}

/* A source that nobody fetched refuses the cells that would read it, and those alone. */
static void missing_texts(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    path_in(dir, home, "named");
    assert_ok(lb_fs_mkdirs(dir));
    put_file("named/sources.yaml",
             "far-text:\n  kind: text\n  file: far.txt\n  sha256: "
             "0000000000000000000000000000000000000000000000000000000000000000\n  bytes: 10\n  licence: none\n");
    put_file("named/missing.yaml", "model: tiny\nthreads: 2\ncalibration: {text: [cal.txt, far-text], "
                                   "samples: 4, length: 64}\n" EVAL METHODS);
    cli_result r = RAN(0, "run", "named/missing.yaml", "--no-report", "-o", "results=far");
    cli_has(r.err, "3 cells run, 0 kept, 1 refused, 0 failed");
    cli_free(&r);
    lb_results *x = results("far/missing");
    assert_int_equal(cell(x, "gptq 3b row on far-text")->state, LB_CELL_REFUSED);
    assert_non_null(strstr(cell(x, "gptq 3b row on far-text")->message, "far-text is not here"));
    assert_int_equal(cell(x, "gptq 3b row on cal.txt")->state, LB_CELL_DONE);
    lb_results_free(x);
}

/* Rules have the last word of a layer: an axis that they leave no layer to has no effect. */
static void overridden_by_rules(void **state) {
    (void)state;
    static const char *const of_all[] = {"'*'", "'*.*'"};
    put_file("rules.yaml", "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, samples: 4, length: 64}\n" EVAL
                           "axes: {bits: [2, 3]}\n"
                           "rules:\n  - {match: '*.down', bits: 8}\nquantize: [{method: rtn}, {method: gptq}]\n");
    SAYS(0, "5 cells", "check", "rules.yaml");
    for (size_t i = 0; i < sizeof of_all / sizeof of_all[0]; i++) {
        char rule[64];
        snprintf(rule, sizeof rule, "rules[0].match=%s", of_all[i]);
        SAYS(1, "rules.yaml:5: axes.bits has no effect: rules set bits of every layer (", "check", "rules.yaml", "-o",
             rule);
        /* an entry that sets bits itself is none that the axis reaches; a layer that no rule is for, is */
        SAYS(1, "axes.bits has no effect", "check", "rules.yaml", "-o", rule, "-o", "quantize[1].bits=4");
    }
    SAYS(0, "3 cells", "check", "rules.yaml", "-o", "rules[0].match='0.*'", "-o", "quantize=[{method: rtn}]");
    SAYS(0, "3 cells", "check", "rules.yaml", "-o", "rules[0].match='0.*'", "-o", "quantize=[{method: rtn}]", "-o",
         "axes={embedding.bits: [4, 8]}", "-o", "embedding={method: rtn}");
    SAYS(1, "axes.embedding.bits has no effect: rules leave that matrix as it is", "check", "rules.yaml", "-o",
         "rules=[{match: embed, skip: true}]", "-o", "axes={embedding.bits: [4, 8]}", "-o", "embedding={method: rtn}");
}

/* `axes.model` is the list under `model`. */
/* The cells of axes of methods and rules are those of entries that one would write: the same files, and nothing runs
 * again. */
static void methods_and_rules(void **state) {
    (void)state;
    put_file("written.yaml",
             COMMON "name: spread\nquantize:\n  - {method: rtn, bits: 3, rules: [{match: \"*.down\", bits: "
                    "8}]}\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: 3, rules: [{match: "
                    "\"*.down\", bits: 8}]}\n  - {method: gptq, bits: 3}\n");
    put_file("axes.yaml",
             COMMON "name: spread\naxes: {method: [rtn, gptq], bits: [3], rules: [[{match: \"*.down\", bits: "
                    "8}], []]}\n");
    SAYS(0, "gptq 3b row *.down bits=8", "check", "axes.yaml");
    cli_result r = RAN(0, "run", "written.yaml", "--no-report");
    cli_has(r.err, "5 cells run, 0 kept");
    cli_free(&r);
    r = RAN(0, "run", "axes.yaml");
    cli_has(r.err, "0 cells run, 5 kept");
    cli_has(r.out, "\nrtn               3–8    row  ");
    cli_free(&r);
    r = RAN(0, "report", "results/spread", "--cells", "--where", "rules ~ '*down*'");
    cli_has(r.out, ",rtn 3b row *.down bits=8,done,");
    cli_has(r.out, ",gptq 3b row *.down bits=8,done,");
    cli_has_not(r.out, ",gptq 3b row,done,");
    cli_free(&r);
    SAYS(1, "axes.rules=[[{match: nothing, bits: 8}]]: match 'nothing' fits no layer", "check", "axes.yaml", "-o",
         "axes.rules=[[{match: nothing, bits: 8}]]");
    r = RAN(0, "check", "axes.yaml", "-o", "axes.method=[gptq]");
    cli_has(r.out, "3 cells");
    cli_free(&r);
}

static void models(void **state) {
    (void)state;
    put_file("models.yaml", "threads: 2\ncalibration: {text: cal.txt, samples: 4, length: 64}\n" EVAL
                            "axes: {model: [tiny, gone]}\n" METHODS);
    cli_result r = RAN(1, "check", "models.yaml");
    cli_has(r.err, "models.yaml:4: ");
    cli_has(r.err, "gone");
    cli_free(&r);
    SAYS(0, "model        tiny: ", "check", "models.yaml", "-o", "axes.model=[tiny]");
    /* Keys that this model has nothing for. */
    SAYS(1, "axes.quantize_router has no effect: tiny has no experts", "check", "models.yaml", "-o",
         "axes.model=[tiny]", "-o", "axes.quantize_router=[false, true]");
    SAYS(1, "axes.calibration.expert_tokens has no effect: tiny has no experts", "check", "models.yaml", "-o",
         "axes.model=[tiny]", "-o", "calibration.expert_tokens=[1, 2]");
}

/* Another model that has a shorter context: values it cannot have refuse its cells alone, and models are opened again
 * for their turn with the texts that they had. */
static void models_and_texts(void **state) {
    (void)state;
    cli_result r = RAN(0, "train", "cal.txt", "--out", "brief", "--vocab", "300", "--layers", "2", "--dim", "32",
                       "--hidden", "48", "--heads", "2", "--kv-heads", "1", "--context", "64", "--steps", "2",
                       "--batch", "2", "--length", "32", "--warmup", "1", "--dtype", "f32", "--threads", "2");
    cli_free(&r);
    run("two.yaml",
        "threads: 2\ncalibration: {text: [cal.txt, other.txt], samples: 4}\n" EVAL
        "axes: {model: [tiny, brief], calibration.length: [64, 128]}\nquantize: [{method: gptq, bits: 3}]\n",
        "two", "8 cells run, 0 kept, 2 refused, 0 failed");
    lb_results *x = results("two/two");
    assert_int_equal(x->n, 10);
    assert_int_equal(cell(x, "tiny: gptq 3b row on other.txt length=128")->state, LB_CELL_DONE);
    assert_int_equal(cell(x, "brief: gptq 3b row on other.txt length=128")->state, LB_CELL_REFUSED);
    assert_int_equal(cell(x, "brief: gptq 3b row on other.txt length=64")->state, LB_CELL_DONE);
    lb_results_free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_samples),
        cmocka_unit_test(training_texts),
        cmocka_unit_test(ends),
        cmocka_unit_test(entries_and_seeds),
        cmocka_unit_test(plans),
        cmocka_unit_test(missing_texts),
        cmocka_unit_test(overridden_by_rules),
        cmocka_unit_test(methods_and_rules),
        cmocka_unit_test(models),
        cmocka_unit_test(models_and_texts),
    };
    return cmocka_run_group_tests(tests, make_texts, clean);
}

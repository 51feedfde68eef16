/* A config with a list of models, as a user meets it: the plan, interruption in the second model, results that one
 * model alone had, reports that mix no models, mistakes. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/csv.h"
#include "report/report.h"
#include "support/sweep_kit.h"

/* Beside "tiny": other shapes, another tokenizer. */
static int make_models(void **state) {
    int code = make_model(state);
    if (code != 0) return code;
    cli_options o = here();
    cli_result r = CLI(&o, "train", "cal.txt", "--out", "wide", "--vocab", "340", "--layers", "2", "--dim", "48",
                       "--hidden", "64", "--heads", "4", "--kv-heads", "2", "--context", "128", "--steps", "12",
                       "--batch", "4", "--length", "64", "--warmup", "4", "--threads", "2");
    if (r.code != 0) print_error("%s%s", r.out, r.err);
    code = r.code;
    cli_free(&r);
    return code;
}

#define TEXTS                                                                                                          \
    "threads: 2\ncalibration: {text: cal.txt, samples: 8, length: 64}\n"                                               \
    "eval: {text: eval.txt, protocol: W2-64, windows: 6}\n"
#define SWEEP                                                                                                          \
    TEXTS "axes: {bits: [3, 4]}\nquantize:\n  - {method: rtn}\n  - {method: gptq, group: 16}\n"                        \
          "  - {method: finetune, steps: 3, batch: 2, length: 32, warmup: 1, seed: [0, 1]}\n"

static void plan_and_keep(void **state) {
    (void)state;
    put_file("keep.yaml", "model: tiny\n" SWEEP);
    cli_result r = RAN(0, "run", "keep.yaml", "--no-report");
    cli_has(r.err, "7 cells run, 0 kept");
    cli_free(&r);
    lb_results *before = results("results/keep");
    put_file("keep.yaml", "model: [tiny, wide]\n" SWEEP);
    r = RAN(0, "check", "keep.yaml");
    cli_has(r.out, "model        tiny: ");
    cli_has(r.out, "model        wide: ");
    cli_has(r.out, "   7  tiny: finetune");
    cli_has(r.out, "   8  wide: none ");
    cli_has(r.out, "\n2 models, one after another: 7 of 14 cells are there already; about ");
    cli_free(&r);
    /* What the one model had is kept, under a name that tells the models apart. */
    r = RAN(0, "run", "keep.yaml");
    cli_has(r.err, "7 cells run, 7 kept, 0 refused, 0 failed");
    cli_has_not(r.err, "] tiny: ");
    cli_has(r.err, "[8/14] wide: none");
    cli_free(&r);
    lb_results *x = results("results/keep");
    assert_int_equal(x->n, 14);
    for (int64_t i = 0; i < 7; i++) {
        assert_string_equal(x->record[i].stem, before->record[i].stem);
        assert_string_equal(x->record[i].key, before->record[i].key);
        assert_string_equal(x->record[i].file_hash, before->record[i].file_hash);
        assert_string_equal(x->record[i].model, "tiny");
        assert_null(before->record[i].model);
    }
    lb_results_free(x);
    /* And back: the index is of one model again, as that of a run that never knew another. */
    char path[LB_TEST_PATH], *text[2];
    size_t len[2];
    path_in(path, home, "results/keep/sweep.json");
    put_file("keep.yaml", "model: tiny\n" SWEEP);
    for (int i = 0; i < 2; i++) {
        r = RAN(0, "run", "keep.yaml", "--no-report", "-o", i ? "results=alone" : "results=results");
        cli_free(&r);
        if (i) path_in(path, home, "alone/keep/sweep.json");
        assert_ok(lb_fs_read(path, &text[i], &len[i]));
        cli_has(text[i], "\"format_version\": 1,");
        cli_has_not(text[i], "tiny: ");
        cli_has_not(text[i], "wide");
        lb_free(text[i]);
    }
    lb_results_free(before);
}

static const char *stem_of(const char *folder, const char *label) {
    lb_results *r = results(folder);
    const char *stem = NULL;
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].label, label) == 0) stem = lb_arena_strdup(arena, r->record[i].stem);
    lb_results_free(r);
    assert_non_null(stem);
    return stem;
}

/* Killed inside a cell of either model, and gone on with: the same results as without. */
static void killed_sweeps_go_on(void **state) {
    (void)state;
    put_file("slow.yaml", "model: [tiny, wide]\n" TEXTS
                          "quantize:\n  - {method: gptq, bits: 3, group: 16, true_sequential: true}\n");
    cli_options o = here();
    static const char *const samples = "calibration.samples=200";
    cli_result r = RAN(0, "run", "slow.yaml", "--no-report", "-o", "results=whole", "-o", samples);
    cli_free(&r);
    static const char *const label[] = {"tiny: gptq 3b g16 true_sequential", "wide: gptq 3b g16 true_sequential"};
    const int how[] = {SIGINT, SIGKILL};
    for (int i = 0; i < 2; i++) {
        char block[LB_TEST_PATH], name[512], to[32];
        const char *stem = stem_of("whole/slow", label[i]);
        snprintf(to, sizeof to, "results=killed%d", i);
        snprintf(name, sizeof name, "killed%d/slow/%s.partial/00000.block", i, stem);
        path_in(block, home, name);
        pid_t pid =
            cli_start(&o, (const char *const[]){"run", "slow.yaml", "--no-report", "-o", to, "-o", samples, NULL});
        assert_true(cli_wait_for(pid, block));
        assert_int_equal(kill(pid, how[i]), 0);
        assert_int_equal(cli_wait(pid), how[i] == SIGKILL ? 128 + SIGKILL : 130);
        snprintf(name, sizeof name, "killed%d/slow", i);
        lb_results *half = results(name);
        assert_int_equal(half->n, 4);
        assert_int_equal(cells_that(half, LB_CELL_DONE), 1 + 2 * i);
        assert_int_equal(cells_that(half, LB_CELL_PENDING), 3 - 2 * i);
        lb_results_free(half);
        r = RAN(0, "run", "slow.yaml", "--no-report", "-o", to, "-o", samples);
        cli_has(r.err, i ? "1 cell run, 3 kept" : "3 cells run, 1 kept");
        cli_has(r.err, "the ones before were finished");
        cli_free(&r);
        same_results("whole/slow", name, 4);
    }
}

/* Every perplexity of the model stands in the data of its plot, and none of another's does. */
static void check_data(const lb_results *r, const char *file, const char *model) {
    char path[2 * LB_TEST_PATH], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/results/plots/report/plots/%s", home, file);
    assert_ok(lb_fs_read(path, &text, &n));
    for (char *p = text; (p = strchr(p, '\n')); p++) *p = ' ';
    for (int64_t i = 0; i < r->n; i++) {
        char ppl[48];
        snprintf(ppl, sizeof ppl, " %.9g ", r->record[i].eval[0].eval.ppl);
        bool mine = strcmp(r->record[i].model, model) == 0;
        if (strcmp(r->record[i].method, "finetune") == 0 && mine) continue; /* two seeds, one row */
        if ((strstr(text, ppl) != NULL) != mine) fail_msg("%s: %s of %s", file, ppl, r->record[i].label);
    }
    lb_free(text);
}

static void models_are_not_mixed(void **state) {
    (void)state;
    put_file("plots.yaml", "model: [tiny, wide]\n" SWEEP);
    cli_result r = RAN(0, "run", "plots.yaml");
    cli_has(r.out, "tiny: perplexity on eval.txt, W2-64, first 6 of ");
    cli_has(r.out, "wide: perplexity on eval.txt, W2-64, first 6 of ");
    cli_has(r.out, "Models are not compared: ");
    cli_free(&r);
    lb_results *x = results("results/plots");
    static const char *const model[] = {"tiny", "wide"};
    for (int i = 0; i < 2; i++) {
        char file[LB_TEST_PATH];
        for (int front = 0; front < 2; front++) {
            snprintf(file, sizeof file, "%s-eval.txt-W2-64-%s.dat", front ? "front" : "ppl-bits", model[i]);
            check_data(x, file, model[i]);
        }
        static const char *const kind[] = {"layer-error-3b", "error-map-4b", "training-loss"};
        for (size_t k = 0; k < 3; k++) {
            snprintf(file, sizeof file, "results/plots/report/plots/%s-%s.gp", kind[k], model[i]);
            assert_true(exists(file));
        }
        /* Differences to a cell are to cells of its model, although the other's windows would pair. */
        snprintf(file, sizeof file, "%s: rtn 3b row", model[i]);
        r = RAN(0, "report", "results/plots", "--no-write", "--compare", file);
        snprintf(file, sizeof file, "\n%s: gptq 4b g16 ", model[i]);
        cli_has(r.out, file);
        snprintf(file, sizeof file, "\n%s: ", model[1 - i]);
        cli_has_not(r.out, file);
        cli_free(&r);
    }
    /* The tables as CSV have a column for it; every difference is to the model's own baseline. */
    lb_csv csv;
    char path[LB_TEST_PATH];
    path_in(path, home, "results/plots/report/tables/main.csv");
    assert_ok(lb_csv_read(arena, path, &csv));
    int at = lb_csv_column(&csv, "model"), ppl = lb_csv_column(&csv, "ppl"),
        delta = lb_csv_column(&csv, "delta_ln_ppl");
    assert_true(at == 0 && ppl > 0 && delta > 0);
    assert_int_equal(csv.rows, 12); /* two seeds make one row, in each model */
    for (size_t i = 0; i < csv.rows; i++) {
        size_t base = i - i % 6;
        assert_string_equal(csv.row[i][at], model[i / 6]);
        assert_true((csv.row[i][delta][0] == 0) == (i == base));
        if (i == base) continue;
        assert_float_equal(strtod(csv.row[i][delta], NULL),
                           log(strtod(csv.row[i][ppl], NULL) / strtod(csv.row[base][ppl], NULL)), 1e-9);
    }
    path_in(path, home, "results/plots/cells.csv");
    assert_ok(lb_csv_read(arena, path, &csv));
    at = lb_csv_column(&csv, "model");
    assert_int_equal(csv.rows, 14);
    for (size_t i = 0; i < csv.rows; i++) assert_string_equal(csv.row[i][at], model[i / 7]);
    /* Expected values may be of one of them. */
    put_file("expected.csv", "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n"
                             "rtn,bits=3;model=wide,,,,quantized_bytes,1,0,absolute,x\n"
                             "rtn,bits=3,,,,quantized_bytes,1,0,absolute,x\n");
    r = RAN(1, "report", "results/plots", "--no-write", "--expected", "expected.csv");
    cli_has(r.out, "1 of 2 compared: 0 within tolerance, 1 outside; 1 could not be compared.");
    cli_has(r.out, "2 cells match");
    cli_free(&r);
    lb_results_free(x);
}

static void mistakes(void **state) {
    (void)state;
    cli_options o = here();
    put_file("bad.yaml", "name: bad\nmodel:\n  - tiny\n  - tinny\n" TEXTS "quantize: [{method: rtn}]\n");
    cli_result r = RAN(1, "run", "bad.yaml");
    cli_has(r.err, "bad.yaml:4: ");
    cli_has(r.err, "tinny");
    cli_free(&r);
    assert_false(exists("results/bad")); /* known before anything ran */
    r = CLI(&o, "run", "bad.yaml", "-o", "model=[tiny, ./tiny]");
    cli_has(r.err, "is the same model as tiny");
    cli_free(&r);
    r = CLI(&o, "check", "bad.yaml", "-o", "model=[]");
    cli_has(r.err, "model: the list is empty");
    cli_free(&r);
}

int main(void) {
    all_figures = true;
    const struct CMUnitTest tests[] = {cmocka_unit_test(plan_and_keep), cmocka_unit_test(killed_sweeps_go_on),
                                       cmocka_unit_test(models_are_not_mixed), cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests_name("lowbit run: models", tests, make_models, clean);
}

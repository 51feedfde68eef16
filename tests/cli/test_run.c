/* lowbit run, check and quantize as a user meets them, on a small model that lowbit train makes first: tables, kept
 * cells, interruption and resumption, failures, refusals, full disk, locks, overrides. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

static void sweep_and_keep(void **state) {
    (void)state;
    put_file("sweep.yaml",
             COMMON "axes: {bits: [3, 4]}\nquantize:\n  - {method: rtn}\n  - {method: gptq}\n"
                    "  - {method: nf4}\n  - {method: finetune, steps: 3, batch: 2, length: 32, warmup: 1}\n");
    cli_options o = here();
    cli_result r = RAN(0, "run", "sweep.yaml");
    cli_has(r.out, "7 cells, 1 refused");
    cli_has(r.out, "nf4 has 16 values, so bits must be 4, not 3");
    cli_has(r.out, "none (baseline)");
    cli_has(r.err, "7 cells run, 0 kept, 1 refused, 0 failed");
    cli_has(r.err, "written: results/sweep/report/index.html");
    cli_free(&r);
    assert_true(exists("results/sweep/report/index.html") && exists("results/sweep/cells.csv"));

    lb_results *x = results("results/sweep");
    assert_int_equal(x->n, 8);
    assert_string_equal(x->record[0].label, "none");
    assert_int_equal(x->record[0].layers, 0);
    const lb_record *rtn = &x->record[1], *gptq = &x->record[3];
    assert_string_equal(gptq->label, "gptq 3b row");
    assert_int_equal(gptq->layers, 3 * 7);
    assert_true(gptq->eval[0].has_paired && gptq->eval[0].eval.has_kl && gptq->eval[0].eval.kl_mean > 0);
    assert_true(isnan(rtn->layer[0].own.output_err) && !isnan(gptq->layer[0].own.output_err));
    assert_true(rtn->layer[0].original.output_err == rtn->layer[0].rtn_original.output_err);
    assert_true(gptq->layer[0].own.output_err < gptq->layer[0].rtn_own.output_err);
    assert_int_equal(x->record[5].state, LB_CELL_REFUSED);
    const lb_record *tuned = &x->record[7];
    assert_string_equal(tuned->method, "finetune");
    assert_true(tuned->curve.n > 0 && !tuned->layer[0].quantized && tuned->layer[0].original.weight_err > 0);
    assert_true(tuned->size.total_as_fp16 == tuned->size.original_fp16);
    char journal[LB_TEST_PATH]; /* as a run leaves it that is killed behind its result */
    snprintf(journal, sizeof journal, "results/sweep/%s.journal", gptq->stem);
    put_file(journal, "{}\n");
    lb_results_free(x);

    r = RAN(0, "run", "sweep.yaml", "--no-report");
    cli_has(r.err, "0 cells run, 7 kept, 1 refused, 0 failed");
    cli_free(&r);
    assert_false(exists(journal));
    /* One more value of an axis runs only what is new. */
    r = CLI(&o, "run", "sweep.yaml", "--no-report", "-o", "axes.bits=[2, 3, 4]");
    cli_has(r.err, "2 cells run, 7 kept, 2 refused, 0 failed");
    cli_free(&r);
    /* A file that was damaged runs again. */
    x = results("results/sweep");
    char path[LB_TEST_PATH], name[256];
    snprintf(name, sizeof name, "results/sweep/%s.h5", x->record[1].stem);
    lb_results_free(x);
    path_in(path, home, name);
    assert_int_equal(truncate(path, 3000), 0);
    r = RAN(0, "run", "sweep.yaml", "--no-report", "-o", "axes.bits=[2, 3, 4]");
    cli_has(r.err, "is damaged and runs again");
    cli_has(r.err, "1 cell run, 8 kept");
    cli_free(&r);
}

/* Slow enough to be caught between two blocks. */
#define SLOW                                                                                                           \
    COMMON "quantize:\n  - {method: gptq, bits: 3, group: 16, true_sequential: true}\n"                                \
           "  - {method: rtn, bits: 3}\n"

static const char *cell_stem(const char *config, const char *label) {
    /* The stem is in the journal's name; the plan knows it before anything ran, so a finished run tells it. */
    lb_results *r = results(config);
    const char *stem = NULL;
    for (int64_t i = 0; i < r->n; i++)
        if (strncmp(r->record[i].label, label, strlen(label)) == 0) stem = lb_arena_strdup(arena, r->record[i].stem);
    lb_results_free(r);
    assert_non_null(stem);
    return stem;
}

/* whole, killed, stopped: folders of results; stopped NULL: killed only. */
static void goes_on(const char *config, const char *label, const char *whole, const char *killed, const char *stopped) {
    put_file("slow.yaml", config);
    char to[3][64], all[64];
    const char *const dir[] = {killed, stopped};
    snprintf(to[2], sizeof to[2], "results=%s", whole);
    snprintf(all, sizeof all, "%s/slow", whole);
    cli_options o = here();
    static const char *const samples = "calibration.samples=200";
    cli_result r = RAN(0, "run", "slow.yaml", "--no-report", "-o", to[2], "-o", samples);
    cli_free(&r);
    const char *stem = cell_stem(all, label);
    char block[LB_TEST_PATH], name[512];
    const int how[] = {SIGKILL, SIGINT};
    for (int i = 0; i < 2 && dir[i]; i++) {
        snprintf(to[i], sizeof to[i], "results=%s", dir[i]);
        snprintf(name, sizeof name, "%s/slow/%s.partial/00000.block", dir[i], stem);
        path_in(block, home, name);
        pid_t pid =
            cli_start(&o, (const char *const[]){"run", "slow.yaml", "--no-report", "-o", to[i], "-o", samples, NULL});
        assert_true(cli_wait_for(pid, block));
        assert_int_equal(kill(pid, how[i]), 0);
        assert_int_equal(cli_wait(pid), how[i] == SIGKILL ? 128 + SIGKILL : 130);
        snprintf(name, sizeof name, "%s/slow/%s.h5", dir[i], stem);
        assert_false(exists(name));
        snprintf(name, sizeof name, "%s/slow/%s.journal", dir[i], stem);
        assert_true(exists(name));
        snprintf(name, sizeof name, "%s/slow", dir[i]);
        lb_results *half = results(name); /* readable at any time: the baseline is there */
        assert_int_equal(cells_that(half, LB_CELL_DONE), 1);
        assert_int_equal(cells_that(half, LB_CELL_PENDING), half->n - 1);
        lb_results_free(half);
        /* What another killed run was writing: a result, an export. */
        char leftover[2][512], path[LB_TEST_PATH];
        snprintf(leftover[0], sizeof leftover[0], "%s/slow/%s.h5.tmp.1", dir[i], stem);
        snprintf(leftover[1], sizeof leftover[1], "%s/slow/x.model.tmp.1", dir[i]);
        put_file(leftover[0], "half");
        path_in(path, home, leftover[1]);
        assert_ok(lb_fs_mkdirs(path));
        r = RAN(0, "run", "slow.yaml", "--no-report", "-o", to[i], "-o", samples);
        cli_has(r.err, "2 cells run, 1 kept");
        cli_has(r.err, "the ones before were finished");
        cli_free(&r);
        snprintf(name, sizeof name, "%s/slow/%s.partial", dir[i], stem);
        assert_false(exists(name));
        assert_false(exists(leftover[0]) || exists(leftover[1]));
        snprintf(name, sizeof name, "%s/slow", dir[i]);
        same_results(all, name, 3);
    }
}

static void killed_cells_go_on(void **state) {
    (void)state;
    goes_on(SLOW, "gptq", "whole", "killed", "stopped");
}

/* Of stages a block holds the layers that they made together. */
static void killed_stages_go_on(void **state) {
    (void)state;
    goes_on(COMMON
            "quantize:\n  - stages: [{method: wanda, sparsity: 0.5}, {method: gptq, bits: 3, group: 16}, {method: "
            "low_rank, rank: 4}]\n    true_sequential: true\n  - {method: rtn, bits: 3}\n",
            "wanda", "whole-stages", "killed-stages", NULL);
}

/* The first train event of the journal of a cell that trains, or the end of the process. */
static void wait_for_training(pid_t pid, const char *stem) {
    char path[LB_TEST_PATH], name[512];
    snprintf(name, sizeof name, "results/long/%s.journal", stem);
    path_in(path, home, name);
    assert_true(cli_wait_for(pid, path));
    for (int i = 0; i < 6000; i++) {
        char *text = NULL;
        size_t n = 0;
        assert_ok(lb_fs_read(path, &text, &n));
        bool trains = strstr(text, "\"event\":\"train\"") != NULL;
        lb_free(text);
        if (trains) return;
        usleep(10000);
    }
    fail_msg("no training in %s", path);
}

/* Nothing of a training is kept: lowbit check says so, and the run that starts it over says what was lost. */
static void a_killed_training_starts_over(void **state) {
    (void)state;
    put_file("long.yaml",
             COMMON "quantize:\n  - {method: qat, bits: 3, steps: 300, batch: 2, length: 32, warmup: 1}\n");
    cli_options o = here();
    cli_result r = CLI(&o, "check", "long.yaml");
    cli_has(r.out, "warmup=1: an interrupted training cannot be resumed, it starts over\n");
    cli_free(&r);
    r = RAN(0, "run", "long.yaml", "--no-report", "-o", "results=whole");
    cli_has_not(r.err, "interrupted");
    cli_free(&r);
    const char *stem = cell_stem("whole/long", "qat");
    pid_t pid = cli_start(&o, (const char *const[]){"run", "long.yaml", "--no-report", NULL});
    wait_for_training(pid, stem);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(cli_wait(pid), 128 + SIGKILL);
    r = RAN(0, "run", "long.yaml", "--no-report");
    cli_has(r.err, "warmup=1: an interrupted training of this cell (1 of 300 steps, ");
    cli_has(r.err, ") cannot be resumed: it starts at step 1\n");
    cli_free(&r);
    same_results("whole/long", "results/long", 2); /* and the result does not know of it */
}

static void other_kernels_are_another_version(void **state) {
    (void)state;
    put_file("stale.yaml", COMMON "quantize: [{method: rtn}]\n");
    cli_options o = here(), plain = here();
    plain.env[0] = "LOWBIT_KERNELS=plain";
    cli_result r = CLI(&o, "run", "stale.yaml", "--no-report");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    lb_results *x = results("results/stale");
    bool same = strcmp(lb_pairs_get(&x->record[0].provenance, "kernels"), "plain") == 0;
    lb_results_free(x);
    if (same) skip(); /* this machine has no other */
    r = CLI(&plain, "run", "stale.yaml", "--no-report", "--keep-stale");
    assert_int_equal(r.code, 0);
    cli_has(r.err, "rtn 4b row: result from another code version or kernel (");
    cli_has(r.err, "0 cells run, 2 kept");
    cli_free(&r);
    r = CLI(&plain, "run", "stale.yaml", "--no-report");
    cli_has(r.err, "running again (--keep-stale keeps such results)");
    cli_has(r.err, "2 cells run, 0 kept");
    cli_free(&r);
    r = CLI(&plain, "run", "stale.yaml", "--no-report");
    cli_has(r.err, "0 cells run, 2 kept");
    cli_free(&r);
    r = CLI(&plain, "run", "stale.yaml", "--no-report", "--again");
    cli_has(r.err, "2 cells run, 0 kept");
    cli_free(&r);
}

static void a_failing_cell_stops_no_other(void **state) {
    (void)state;
    /* 2 tokens cannot give 32 columns a positive definite H without damping. */
    put_file("fail.yaml", COMMON "quantize:\n  - {method: gptq, percdamp: 0}\n  - {method: rtn}\n");
    cli_result r = RAN(1, "run", "fail.yaml", "-o", "calibration.samples=1", "-o", "calibration.length=2");
    cli_has(r.err, "gptq 4b row percdamp=0 failed: layer 0.q:");
    cli_has(r.err, "2 cells run, 0 kept, 0 refused, 1 failed");
    cli_has(r.err, "warning: failed: gptq 4b row percdamp=0");
    cli_free(&r);
    lb_results *x = results("results/fail");
    assert_int_equal(x->n, 3);
    assert_int_equal(x->record[1].state, LB_CELL_FAILED);
    assert_non_null(strstr(x->record[1].message, "layer 0.q"));
    assert_int_equal(x->record[2].state, LB_CELL_DONE);
    lb_results_free(x);
}

static int64_t leftovers(const char *dir) {
    char path[LB_TEST_PATH], **names = NULL;
    size_t n = 0;
    int64_t bad = 0;
    path_in(path, home, dir);
    assert_ok(lb_fs_list(path, NULL, &names, &n));
    for (size_t i = 0; i < n; i++) bad += strstr(names[i], ".tmp.") != NULL;
    lb_fs_list_free(names, n);
    return bad;
}

static void full_disk(void **state) {
    (void)state;
    put_file("full.yaml", COMMON "quantize: [{method: rtn}]\n");
    cli_options o = here(), tight = here();
    tight.file_limit = 12000;
    tight.env[0] = "ASAN_OPTIONS=detect_leaks=0"; /* HDF5 keeps what it could not write */
    cli_result r = CLI(&tight, "run", "full.yaml", "--no-report");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "failed:");
    cli_free(&r);
    assert_int_equal(leftovers("results/full"), 0);
    assert_int_equal(leftovers("results/full/.cache"), 0);
    r = CLI(&o, "run", "full.yaml", "--no-report");
    assert_int_equal(r.code, 0);
    cli_has(r.err, "2 cells run, 0 kept");
    cli_free(&r);
}

static void bad_places(void **state) {
    (void)state;
    put_file("bad.yaml", COMMON "quantize: [{method: rtn}]\n");
    put_file("afile", "x");
    cli_options o = here();
    SAYS(1, "afile/bad", "run", "bad.yaml", "-o", "results=afile");
    SAYS(1, ".: is a folder without config.yaml, expected a config", "check", ".");
    SAYS(1, "lowbit run: nosuch.yaml: ", "run", "nosuch.yaml");
    SAYS(1, "lowbit run: -o quantize[0].bitz=3: unknown key 'bitz' in quantize[0]: did you mean 'bits'?\n", "run",
         "bad.yaml", "-o", "quantize[0].bitz=3");
    SAYS(1, "-o model=tinny: 'tinny': no such file", "run", "bad.yaml", "-o", "model=tinny");
    cli_result r = CLI(&o, "run", "bad.yaml", "-o", "calibration.length=129");
    cli_has(r.err, "-o calibration.length=129: calibration.length = 129: the model's context is 128 tokens");
    cli_free(&r);
    SAYS(1, "bad.yaml:3: calibration", "run", "bad.yaml", "-o", "calibration.samples=1000000");
    r = CLI(&o, "run", "bad.yaml", "-o", "eval.protocol=W2-256");
    cli_has(r.err, "windows of 256 tokens, but the model's context is 128");
    cli_free(&r);
    put_file("short.txt", "Too short.\n");
    r = CLI(&o, "run", "bad.yaml", "-o", "eval.text=short.txt");
    cli_has(r.err, "too short for one window of W2-64");
    cli_free(&r);
    SAYS(1, "match '*.dwon' fits no layer", "run", "bad.yaml", "-o", "rules=[{match: \"*.dwon\", bits: 2}]");
    put_file("joined.yaml", COMMON "quantize: [{stages: [{method: rtn}, {method: low_rank}], low_rank.rank: 3}]\n");
    SAYS(1, "unknown key 'low_rank.rank' in quantize[0]: did you mean 'rank'?", "check", "joined.yaml");
    assert_false(exists("results/bad"));
}

/* A layer that is one with another has what that one has: a rule for it alone is a mistake, one for others too is not.
 */
static void rules_without_effect(void **state) {
    (void)state;
    static const struct {
        const char *rules, *entry, *said; /* NULL: fine */
    } of[] = {
        {"{match: \"1.q\", same_as: \"1.q\"}", "", "match '1.q' has no effect: same_as names that layer itself"},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"1.q\", bits: 3}", "",
         "match '1.q' has no effect: layer 1.q is what 0.q is (same_as): give the rule to that one"},
        {"{match: \"1.q\", skip: true}, {match: \"1.q\", same_as: \"0.q\"}", "", "match '1.q' has no effect"},
        {"{match: \"1.q\", bits: 3}", "{match: \"1.q\", same_as: \"0.q\"}", "match '1.q' has no effect"},
        {"{match: \"1.q\", same_as: \"0.q\"}", "{match: \"1.q\", bits: 3}", "match '1.q' has no effect"},
        {"{match: \"*.q\", same_as: \"0.q\"}, {match: \"*.q\", bits: 3}", "", NULL},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"1.*\", bits: 3}", "", NULL},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"1.q\", skip: false, bits: 3}", "", NULL},
    };
    cli_options o = here();
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, COMMON "rules: [%s]\nquantize: [{method: rtn, bits: 4, rules: [%s]}]\n",
                 of[i].rules, of[i].entry);
        put_file("idle.yaml", text);
        cli_result r = CLI(&o, "check", "idle.yaml");
        assert_int_equal(r.code, of[i].said ? 1 : 0);
        if (of[i].said) cli_has(r.err, of[i].said);
        cli_free(&r);
    }
    /* A rule for all has an effect where one entry lets it. */
    put_file("idle.yaml", COMMON "rules: [{match: \"1.q\", bits: 3}]\nquantize:\n  - {method: rtn}\n"
                                 "  - {method: rtn, rules: [{match: \"1.q\", same_as: \"0.q\"}]}\n");
    cli_result r = RAN(0, "check", "idle.yaml");
    cli_has(r.out, "1 layer is another's, counted once");
    cli_free(&r);
}

static void one_run_at_a_time(void **state) {
    (void)state;
    put_file("lock.yaml", COMMON "quantize: [{method: rtn}]\n");
    char path[LB_TEST_PATH];
    path_in(path, home, "results/lock");
    assert_ok(lb_fs_mkdirs(path));
    path_in(path, home, "results/lock/.lock");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(flock(fileno(f), LOCK_EX), 0);
    SAYS(1, "results/lock is in use by another run", "run", "lock.yaml");
    fclose(f);
    cli_result r = RAN(0, "run", "lock.yaml", "--no-report");
    cli_free(&r);
}

static void sources_that_are_missing(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    path_in(dir, home, "named");
    assert_ok(lb_fs_mkdirs(dir));
    put_file("named/sources.yaml",
             "far-text:\n  kind: text\n  file: far.txt\n  sha256: "
             "0000000000000000000000000000000000000000000000000000000000000000\n  bytes: 10\n  licence: none\n");
    put_file("named/c.yaml", "model: tiny\ncalibration: {text: far-text, samples: 2, length: 16}\n"
                             "eval: {text: eval.txt, protocol: W2-64, windows: 2}\n"
                             "quantize: [{method: rtn}, {method: gptq}]\n");
    cli_options o = here();
    cli_result r = CLI(&o, "run", "named/c.yaml");
    assert_int_equal(r.code, 0);
    cli_has(r.err, "no output errors: calibration text far-text is not here: tools/fetch far-text brings it to ");
    cli_has(r.err, "2 cells run, 0 kept, 1 refused, 0 failed");
    cli_free(&r);
    /* The right name and the wrong contents. */
    assert_ok(lb_fs_mkdirs((path_in(dir, home, "data/cache"), dir)));
    put_file("data/cache/far.txt", "not what it should be");
    r = CLI(&o, "run", "named/c.yaml");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "far.txt: SHA-256 ");
    cli_has(r.err, "run tools/fetch far-text again");
    cli_free(&r);
    path_in(dir, home, "named");
    o.cwd = dir;
    r = CLI(&o, "eval", "../tiny", "far-text", "--protocol", "W2-64");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "run tools/fetch far-text again");
    cli_free(&r);
}

static void check_runs_nothing(void **state) {
    (void)state;
    put_file("few.txt", "Too few words.");
    put_file("short.yaml", COMMON "training: {text: few.txt}\nquantize:\n  - {method: qat, bits: 3, length: 64}\n");
    cli_options here_too = here();
    cli_result few = CLI(&here_too, "check", "short.yaml");
    assert_int_equal(few.code, 1); /* nothing that was asked for can run */
    cli_has(few.err, "nothing to compress: the one cell is refused");
    cli_has(few.out, "few.txt has ");
    cli_has(few.out, " tokens: one sequence takes length = 64");
    cli_free(&few);
    put_file("ruled.yaml",
             COMMON "quantize:\n  - {method: autoround, iters: 2, rules: [{match: '*.down', iters: 3}]}\n"
                    "  - {method: qat, steps: 2, warmup: 0, length: 32, rules: [{match: '*.down', steps: 3}]}\n"
                    "  - stages: [{method: hadamard}, {method: smoothquant}, {method: rtn}]\n");
    cli_result ruled = CLI(&here_too, "check", "ruled.yaml");
    assert_int_equal(ruled.code, 1);
    cli_has(ruled.err, "nothing to compress: all cells are refused");
    cli_has(ruled.out, "layer 0.down: iters = 3: belongs to the whole block (2), not to one layer");
    cli_has(ruled.out, "layer 0.down: steps = 3: belongs to the whole training (2), not to one layer");
    cli_has(ruled.out, "stage smoothquant changes nothing here: it applies to no input of the layers to quantize");
    cli_free(&ruled);
    ruled = CLI(&here_too, "run", "ruled.yaml", "--no-report");
    assert_int_equal(ruled.code, 1);
    cli_has(ruled.err, "1 cell run, 0 kept, 3 refused, 0 failed");
    cli_has(ruled.err, "nothing to compress: all cells are refused");
    cli_free(&ruled);
    put_file("check.yaml", COMMON "axes: {bits: [3]}\nquantize:\n  - {method: gptq, group: [16, 4096]}\n"
                                  "  - {method: nf4}\n");
    cli_result r = RAN(0, "check", "check.yaml");
    cli_has(r.out, "2 cells, 2 refused");
    cli_has(r.out, "layer 0.q has 32 columns: a group of 4096 does not fit");
    cli_has(r.out, "nf4 has 16 values, so bits must be 4, not 3");
    cli_has(r.out, "GFLOP/s measured");
    /* By hand, one block: rows of 32 columns take 12 bytes (192 of them), rows of 48 columns 20 (32): 2944; 480 scales
     * of 4 bytes; 480 zeros of 3 bits: 180. 8 * 5044 / 7680. */
    cli_has(r.out, "gptq 3b g16");
    cli_has(r.out, " 5.2542 ");
    cli_free(&r);
    assert_false(exists("results/check"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweep_and_keep),
        cmocka_unit_test(killed_cells_go_on),
        cmocka_unit_test(killed_stages_go_on),
        cmocka_unit_test(a_killed_training_starts_over),
        cmocka_unit_test(other_kernels_are_another_version),
        cmocka_unit_test(a_failing_cell_stops_no_other),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(bad_places),
        cmocka_unit_test(rules_without_effect),
        cmocka_unit_test(one_run_at_a_time),
        cmocka_unit_test(sources_that_are_missing),
        cmocka_unit_test(check_runs_nothing),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}

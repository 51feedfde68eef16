/* `lowbit report` of several folders and of all that lies in one: what compares is compared, over the same windows, and
 * what differs is said; folders stay as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/csv_table.h"
#include "support/sweep_kit.h"

#define QUANTIZE "quantize:\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: [2, 3]}\n"
#define EVAL     "eval: {text: eval.txt, protocol: W2-64, windows: 6}\n"

static void run(const char *config) {
    cli_result r = RAN(0, "run", config, "--no-report");
    cli_free(&r);
}

/* Two calibration texts; the same evaluation, and another one in b. */
static int setup(void **state) {
    if (make_model(state) != 0) return -1;
    char path[LB_TEST_PATH], *text = NULL;
    size_t n = 0;
    path_in(path, home, "cal.txt");
    assert_ok(lb_fs_read(path, &text, &n));
    put_file("other.txt", text + n / 2);
    lb_free(text);
    put_file("a.yaml", "name: case-a\nmodel: tiny\nthreads: 1\n"
                       "calibration: {text: cal.txt, samples: 8, length: 64}\n" EVAL QUANTIZE);
    put_file("b.yaml", "name: case-b\nmodel: tiny\nthreads: 1\n"
                       "calibration: {text: other.txt, samples: 8, length: 64}\n"
                       "eval:\n  - {text: eval.txt, protocol: W2-64, windows: 6}\n"
                       "  - {text: eval.txt, protocol: W2-32, windows: 4}\n" QUANTIZE);
    run("a.yaml");
    run("b.yaml");
    return 0;
}

static void two_texts(void **state) {
    (void)state;
    cli_result r = RAN(0, "report", "results/case-a", "results/case-b");
    cli_has(r.out, "tiny: perplexity on eval.txt, W2-64, first 6 of ");
    cli_has(r.out, "tiny: perplexity on eval.txt, W2-32, first 4 of ");
    cli_has(r.out, "\ngptq on cal.txt ");
    cli_has(r.out, "\ngptq on other.txt ");
    cli_has(r.err, "nothing is written");
    assert_false(exists("results/case-a/report") || exists("results/case-b/report") ||
                 exists("results/case-a/cells.csv"));
    cli_free(&r);
    /* each number is the folder's own; the baseline stands once in each block */
    r = RAN(0, "report", "results/case-a", "results/case-b", "--format", "csv", "--columns",
            "folder,method,bits,calibration,evaluation,protocol,ppl,delta_ln_ppl,delta_low,experiment");
    lb_csv all = csv_of_text(arena, r.out);
    cli_free(&r);
    int64_t compared = 0, baselines = 0;
    for (int k = 0; k < 2; k++) {
        const char *const dir[] = {"results/case-a", "results/case-b"};
        r = RAN(0, "report", dir[k], "--no-write", "--format", "csv", "--columns",
                "cell,method,bits,evaluation,protocol,ppl,delta_ln_ppl,delta_low");
        lb_csv own = csv_of_text(arena, r.out);
        cli_free(&r);
        for (size_t i = 0; i < own.rows; i++)
            for (size_t x = 0; x < all.rows; x++) {
                if (strcmp(csv_at(&all, x, "folder"), dir[k] + strlen("results/")) != 0 ||
                    strncmp(csv_at(&all, x, "method"), csv_at(&own, i, "method"), strlen(csv_at(&own, i, "method"))) !=
                        0 ||
                    strcmp(csv_at(&all, x, "bits"), csv_at(&own, i, "bits")) != 0 ||
                    strcmp(csv_at(&all, x, "protocol"), csv_at(&own, i, "protocol")) != 0)
                    continue;
                assert_string_equal(csv_at(&all, x, "ppl"), csv_at(&own, i, "ppl"));
                assert_string_equal(csv_at(&all, x, "delta_ln_ppl"), csv_at(&own, i, "delta_ln_ppl"));
                assert_string_equal(csv_at(&all, x, "delta_low"), csv_at(&own, i, "delta_low"));
                compared++;
            }
    }
    for (size_t x = 0; x < all.rows; x++) {
        baselines += strcmp(csv_at(&all, x, "method"), "none") == 0;
        assert_string_equal(csv_at(&all, x, "experiment"), csv_at(&all, x, "folder")); /* each cell's own */
    }
    assert_int_equal(all.rows, 2 + 6 + 3);
    assert_int_equal(baselines, 2);
    assert_int_equal(compared, 3 + 6 + 2);
}

/* An override takes nothing out of sight: the folder has both sweeps, and a folder given twice has them once. */
static void all_of_a_folder(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r = RAN(0, "run", "a.yaml", "--no-report", "-o", "eval.windows=4");
    cli_free(&r);
    r = RAN(0, "report", "results/case-a", "--no-write");
    cli_has(r.out, "first 4 of ");
    cli_has_not(r.out, "first 6 of ");
    cli_has(r.out, "4 earlier results in this folder are not of this sweep: lowbit report results/case-a --all");
    cli_free(&r);
    const char *const words[][6] = {{"report", "results/case-a", "--all"},
                                    {"report", "results/case-a", "results/case-a/.", "--all"}};
    for (int k = 0; k < 2; k++) {
        r = cli_run(&o, words[k]);
        assert_int_equal(r.code, 0);
        cli_has(r.out, "first 4 of ");
        cli_has(r.out, "first 6 of ");
        cli_has(r.err, "nothing is written");
        int rows = 0;
        cli_has_not(r.out, "gptq windows="); /* which the title of each table says */
        cli_has_not(r.out, "cell=");
        for (const char *p = r.out; (p = strstr(p, "\ngptq ")); p++) rows++;
        assert_int_equal(rows, 4);
        cli_free(&r);
    }
    SAYS(0, "Differences to gptq 3b row windows=4 on ", "report", "results/case-a", "--all", "--compare",
         "gptq 3b row windows=4");
    r = RAN(0, "run", "a.yaml", "--no-report");
    cli_free(&r);
}

/* Weights that differ are two models, whatever their folders are called; then nothing is compared. */
static void another_model_of_that_name(void **state) {
    (void)state;
    char command[2 * LB_TEST_PATH], out[64];
    cli_options o = here();
    snprintf(command, sizeof command, "mkdir '%s/far' && cp -r '%s/results/case-a' '%s/far/case-a'", home, home, home);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    cli_result r = CLI(&o, "report", "results/case-a", "far/case-a", "--columns", "label,ppl", "--format", "csv");
    assert_int_equal(r.code, 0); /* the same results again */
    assert_int_equal(csv_of_text(arena, r.out).rows, 4);
    cli_free(&r);
    r = RAN(0, "train", "cal.txt", "--out", "far/tiny", "--vocab", "300", "--layers", "2", "--dim", "32", "--hidden",
            "48", "--heads", "2", "--kv-heads", "1", "--context", "128", "--steps", "3", "--batch", "2", "--length",
            "32", "--warmup", "1", "--dtype", "f32", "--threads", "1");
    cli_free(&r);
    put_file("far/c.yaml", "name: case-c\nmodel: tiny\nthreads: 1\n"
                           "eval: {text: ../eval.txt, protocol: W2-64, windows: 6}\n"
                           "quantize:\n  - {method: rtn, bits: 3}\n");
    r = RAN(0, "run", "far/c.yaml", "--no-report", "-o", "results=results");
    cli_free(&r);
    r = RAN(0, "report", "results/case-a", "results/case-c");
    int tables = 0;
    for (const char *p = r.out; (p = strstr(p, "): perplexity on ")); p++) tables++;
    assert_int_equal(tables, 2);
    cli_has(r.out, "Models are not compared");
    cli_free(&r);
}

/* A folder whose index cannot be read takes no other along: it is named, and the exit code says so. */
static void damaged_index(void **state) {
    (void)state;
    static const char left_out[] = "results/bad is left out: ";
    static const char *const text[] = {"{", "{\"format\": \"lowbit sweep\", \"format_version\": 99}", ""};
    char path[LB_TEST_PATH];
    cli_options o = here();
    path_in(path, home, "results/bad");
    assert_ok(lb_fs_mkdirs(path));
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        put_file("results/bad/sweep.json", text[i]);
        cli_result r = CLI(&o, "report", "results/bad", "results/case-a", "--all");
        assert_int_equal(r.code, 1);
        cli_has(r.err, left_out);
        cli_has(r.out, "tiny: perplexity on eval.txt, W2-64, first 6 of ");
        cli_has(r.out, left_out);
        cli_free(&r);
    }
    cli_result r = CLI(&o, "report", "results/case-a", "results/bad", "--compare", "rtn 3b row", "--format", "csv");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "results/bad/sweep.json");
    cli_has(r.out, "gptq");
    cli_free(&r);
    r = CLI(&o, "report", "results/bad", "results/bad/.", "--all");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.out, "");
    cli_has(r.err, "results/bad/./sweep.json");
    cli_free(&r);
}

static void mistakes(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r = CLI(&o, "report", "results/case-a", "results/case-z");
    assert_true(r.code != 0);
    cli_has(r.err, "results/case-z is no results folder");
    assert_string_equal(r.out, "");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_texts),
        cmocka_unit_test(all_of_a_folder),
        cmocka_unit_test(another_model_of_that_name),
        cmocka_unit_test(damaged_index),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests_name("several folders", tests, setup, clean);
}

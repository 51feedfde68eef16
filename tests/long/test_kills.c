/* Fifty kill -9 of `lowbit run` over a sweep of every kind of method, spread over the run's whole duration, each
 * followed by going on: in the end every cell is the one of a run that nobody interrupted, byte for byte, every file
 * that such a run leaves is there, and no other. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/rng.h"
#include "base/str.h"
#include "support/h5_same.h"
#include "support/io_probe.h"
#include "support/sweep_kit.h"

/* Moments of first kills are drawn one from each of ROUNDS equal parts of the run. */
enum { KILLS = 50, ROUNDS = 34, MOST_ROUNDS = 100, MEASURE_EVERY = 10 };

static const char config[] = "model: tiny\nthreads: 2\nexport: bf16\nquantize_head: true\n"
                             "calibration: {text: cal.txt, samples: 48, length: 64}\n"
                             "eval:\n  - {text: eval.txt, protocol: W2-64, windows: 20}\n"
                             "  - {text: eval.txt, name: again, protocol: LCPP-64, windows: 20}\n"
                             "quantize:\n"
                             "  - {method: rtn, bits: 3, group: 16, scale_type: f16}\n"
                             "  - {method: gptq, bits: 3, group: 16, act_order: true}\n"
                             "  - {method: gptq, bits: 2, true_sequential: true, rules: [{match: \"1.*\", bits: 4}, "
                             "{match: \"0.o\", skip: true}]}\n"
                             "  - {method: gptq, bits: 4, propagate: original, scale_type: bf16}\n"
                             "  - {method: nf4, group: 32, double_quant: true}\n"
                             "  - {method: qat, bits: 3, steps: 12, batch: 2, length: 32, warmup: 1, kl_weight: 0.5}\n"
                             "  - {method: finetune, steps: 6, batch: 2, length: 32, warmup: 1}\n";

static void wait_s(double s) { nanosleep(&(struct timespec){(time_t)s, (long)((s - (double)(time_t)s) * 1e9)}, NULL); }

static void wipe(const char *dir) {
    char command[LB_TEST_PATH + 16], out[16];
    assert_true(snprintf(command, sizeof command, "rm -rf '%s/%s'", home, dir) < (int)sizeof command);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
}

static double to_the_end(const char *to) {
    char option[64];
    cli_options o = here();
    double begin = lb_clock_s();
    snprintf(option, sizeof option, "results=%s", to);
    cli_result r = CLI(&o, "run", "kills.yaml", "-o", option);
    if (r.code != 0) fail_msg("%s", r.err);
    cli_free(&r);
    return lb_clock_s() - begin;
}

/* Kills it after so long; false: it had ended (well) before. */
static bool killed_after(const char *to, double seconds) {
    char option[64];
    cli_options o = here();
    snprintf(option, sizeof option, "results=%s", to);
    pid_t pid = cli_start(&o, (const char *const[]){"run", "kills.yaml", "-o", option, NULL});
    wait_s(seconds);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int code = cli_wait(pid);
    if (code != 128 + SIGKILL) assert_int_equal(code, 0);
    return code != 0;
}

/* Paths of all files below a folder, sorted, one a line. */
static void list_files(const char *root, const char *below, lb_str *out) {
    struct dirent **entry = NULL;
    char path[LB_TEST_PATH];
    path_in(path, root, below);
    int n = scandir(path, &entry, NULL, alphasort);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        char name[LB_TEST_PATH];
        if (strcmp(entry[i]->d_name, ".") != 0 && strcmp(entry[i]->d_name, "..") != 0) {
            assert_true(snprintf(name, sizeof name, "%s/%s", below, entry[i]->d_name) < (int)sizeof name);
            path_in(path, root, name);
            if (lb_fs_is_dir(path))
                list_files(root, name, out);
            else
                lb_str_add(out, "%s\n", name);
        }
        free(entry[i]);
    }
    free(entry);
}

static void same_bytes(const char *a, const char *b) {
    size_t n[2];
    uint8_t *x = slurp(a, &n[0]), *y = slurp(b, &n[1]);
    if (n[0] != n[1] || memcmp(x, y, n[0]) != 0) fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

/* Files that no time or host is in. */
static void same_file(const char *a, const char *b, const char *name) {
    if (lb_str_ends(name, ".h5"))
        assert_true(h5_same(a, b, "/host") > 5);
    else if (strstr(name, ".model/") || lb_str_ends(name, ".bin"))
        same_bytes(a, b);
}

static void same_folders(const char *whole, const char *other) {
    char root[2][LB_TEST_PATH], path[2][LB_TEST_PATH];
    lb_str files[2] = {{0}, {0}};
    const char *const dir[] = {whole, other};
    for (int k = 0; k < 2; k++) {
        path_in(root[k], home, dir[k]);
        list_files(root[k], ".", &files[k]);
        assert_ok(lb_str_check(&files[k]));
    }
    if (strcmp(files[0].s, files[1].s) != 0)
        fail_msg("a run that nobody interrupted leaves\n%s\nthis one leaves\n%s", files[0].s, files[1].s);
    int64_t cells = 0;
    for (char *name = strtok(files[0].s, "\n"); name; name = strtok(NULL, "\n")) {
        for (int k = 0; k < 2; k++) path_in(path[k], root[k], name);
        same_file(path[0], path[1], name);
        cells += lb_str_ends(name, ".h5") && !strstr(name, ".cache");
    }
    assert_int_equal(cells, 8);
    lb_str_free(&files[0]);
    lb_str_free(&files[1]);
}

/* What the run was at, as its folder tells. */
enum { AT_START, AT_STATISTICS, AT_CELL, AT_BLOCKS, AT_EVALUATION, AT_REPORT, PHASES };
static const char *const phase_name[PHASES] = {"start", "between cells", "a cell", "blocks", "evaluation", "report"};

static int phase_of(const char *dir) {
    char root[LB_TEST_PATH], path[LB_TEST_PATH];
    lb_str files = {0};
    int phase = AT_START;
    path_in(root, home, dir);
    if (!lb_fs_is_dir(root)) return AT_START;
    list_files(root, ".", &files);
    assert_ok(lb_str_check(&files));
    if (files.s && strstr(files.s, "sweep.json")) phase = AT_STATISTICS;
    if (files.s && strstr(files.s, "report/")) phase = AT_REPORT;
    for (char *name = files.s ? strtok(files.s, "\n") : NULL; name; name = strtok(NULL, "\n")) {
        if (strstr(name, ".partial/")) phase = AT_BLOCKS;
        if (!lb_str_ends(name, ".journal")) continue;
        if (phase != AT_BLOCKS) phase = AT_CELL;
        size_t n = 0;
        path_in(path, root, name);
        uint8_t *journal = slurp(path, &n);
        if (memmem(journal, n, "\"event\":\"eval\"", 14)) phase = AT_EVALUATION;
        free(journal);
        if (phase == AT_EVALUATION) break;
    }
    lb_str_free(&files);
    return phase;
}

static void fifty_kills(void **state) {
    (void)state;
    put_file("kills.yaml", config);
    double all = to_the_end("whole");
    int64_t kills = 0, hit[PHASES] = {0};
    lb_rng rng = lb_rng_make(50, 9);
    for (int round = 0; kills < KILLS; round++) {
        char to[32], dir[64];
        assert_true(round < MOST_ROUNDS);
        snprintf(to, sizeof to, "round-%d", round);
        snprintf(dir, sizeof dir, "%s/kills", to);
        if (round % MEASURE_EVERY == MEASURE_EVERY - 1) { /* the machine may have become faster, or slower */
            all = to_the_end("measure");
            wipe("measure");
        }
        double first = all * (round % ROUNDS + lb_rng_uniform(&rng)) / ROUNDS;
        double second = (all - first) * lb_rng_uniform(&rng);
        bool again = lb_rng_uniform(&rng) < 0.6;
        for (int k = 0; k < 1 + again && kills < KILLS; k++) {
            if (!killed_after(to, k ? second : first)) break;
            kills++;
            hit[phase_of(dir)]++;
        }
        to_the_end(to);
        same_folders("whole/kills", dir);
        wipe(to);
    }
    for (int i = 0; i < PHASES; i++) print_message("  %lld killed at: %s\n", (long long)hit[i], phase_name[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fifty_kills)};
    return cmocka_run_group_tests(tests, make_model, clean);
}

/* What lies in a results folder, as a user meets it: sweeps that were stopped, files that are gone, results of earlier
 * options, and a folder that an earlier version of the program wrote. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/report.h"
#include "support/io_probe.h"
#include "support/sweep_kit.h"

static char *read_file(const char *name) {
    char path[LB_TEST_PATH], *text = NULL;
    size_t n;
    path_in(path, home, name);
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}

static cli_result lowbit(const char *command, const char *arg, const char *more) {
    cli_options o = here();
    return more ? CLI(&o, command, arg, more) : CLI(&o, command, arg);
}

#define SLOW                                                                                                           \
    COMMON "training: {text: cal.txt}\nquantize:\n  - {method: rtn, bits: 3, group: 16}\n"                             \
           "  - {method: qat, bits: 3, steps: 100000, batch: 2, length: 32, warmup: 1}\n"                              \
           "  - {method: rtn, bits: 4, group: 16}\n"

/* Stopped in its second method, by either signal, a sweep does not look finished: not in the table, not on the page,
 * not in the CSV; and a check does not count again what is there. */
static void stopped_sweeps_say_so(void **state) {
    (void)state;
    const int how[] = {SIGINT, SIGKILL};
    put_file("slow.yaml", SLOW);
    for (int i = 0; i < 2; i++) {
        char to[32], name[64], path[LB_TEST_PATH];
        snprintf(to, sizeof to, "results=stopped%d", i);
        snprintf(name, sizeof name, "stopped%d/slow", i);
        cli_options o = here();
        cli_result r = RAN(0, "run", "slow.yaml", "-o", to, "-o", "quantize=[{method: rtn, bits: 3, group: 16}]");
        cli_has_not(r.out, "not run");
        cli_free(&r);
        lb_results *x = results(name);
        assert_int_equal(x->n, 2);
        lb_results_free(x);
        pid_t pid = cli_start(&o, (const char *const[]){"run", "slow.yaml", "-o", to, NULL});
        snprintf(path, sizeof path, "%s/%s", home, name);
        for (bool begun = false; !begun; usleep(20000)) {
            char **journal = NULL;
            size_t n = 0;
            assert_ok(lb_fs_list(path, ".journal", &journal, &n));
            begun = n > 0;
            lb_fs_list_free(journal, n);
        }
        assert_int_equal(kill(pid, how[i]), 0);
        assert_int_equal(cli_wait(pid), how[i] == SIGKILL ? 128 + SIGKILL : 130);
        x = results(name);
        assert_int_equal(x->n, 4);
        assert_int_equal(cells_that(x, LB_CELL_DONE), 2);
        assert_int_equal(x->record[2].state, LB_CELL_PENDING);
        assert_string_equal(x->record[2].method, "qat");
        assert_int_equal(x->record[3].state, LB_CELL_PENDING);
        assert_string_equal(x->record[3].label, "rtn 4b g16");
        lb_results_free(x);

        r = lowbit("report", name, NULL);
        assert_int_equal(r.code, 0);
        cli_has(r.out, "\n2 of 4 cells have not run: run the config again.\n");
        cli_has(r.out, "  rtn 4b g16 not run\n");
        cli_free(&r);
        char file[128];
        snprintf(file, sizeof file, "%s/cells.csv", name);
        char *csv = read_file(file);
        cli_has(csv, ",rtn 4b g16,not run,");
        lb_free(csv);
        snprintf(file, sizeof file, "%s/report/index.html", name);
        char *page = read_file(file);
        cli_has(page, "2 of 4 cells have not run: run the config again.");
        lb_free(page);

        r = RAN(0, "check", "slow.yaml", "-o", to);
        cli_has(r.out, "\n2 of 4 cells are there already; about ");
        cli_has(r.out, " left, ");
        cli_has(r.out, "  there\n");
        cli_has(r.out, "  -\n");
        cli_free(&r);
    }
}

/* One file less is one row less, with its reason; the config run again makes it again, byte for byte the same index. */
static void a_missing_file_is_one_row(void **state) {
    (void)state;
    put_file("gone.yaml", COMMON "quantize:\n  - {method: rtn, bits: [2, 3, 4], group: 16}\n");
    cli_result r = lowbit("run", "gone.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_free(&r);
    char *before = read_file("results/gone/sweep.json");
    lb_results *x = results("results/gone");
    assert_int_equal(x->n, 4);
    char name[256], path[LB_TEST_PATH];
    snprintf(name, sizeof name, "results/gone/%s.h5", x->record[2].stem);
    path_in(path, home, name);
    lb_results_free(x);
    assert_int_equal(unlink(path), 0);
    r = lowbit("report", "results/gone", NULL);
    assert_int_equal(r.code, 0);
    cli_has(r.out, "rtn 3b g16 missing: its file is gone: run the config again");
    cli_has(r.out, "\n1 of 4 cells has no file that can be read: run the config again.\n");
    cli_has(r.out, "\nrtn                 2     16 ");
    cli_has(r.out, "\nrtn                 4     16 ");
    cli_has_not(r.out, "\nrtn                 3     16 ");
    cli_free(&r);
    r = lowbit("check", "gone.yaml", NULL);
    cli_has(r.out, "\n3 of 4 cells are there already; ");
    cli_free(&r);
    r = lowbit("run", "gone.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_has(r.err, "1 cell run, 3 kept");
    cli_has_not(r.out, "no file");
    cli_free(&r);
    r = lowbit("check", "gone.yaml", "--wide");
    cli_has(r.out, "\nall 4 cells are there already\n");
    cli_has(r.out, "layers MiB");
    cli_free(&r);
    /* Seconds differ, and with them the files: without hashes the index is what it was. */
    char *after = read_file("results/gone/sweep.json");
    assert_int_equal(strlen(after), strlen(before));
    assert_null(strstr(after, "pending"));
    lb_free(after);
    lb_free(before);
}

/* So is a file of which one byte is another, or half is lost. */
static void a_damaged_file_is_one_row(void **state) {
    (void)state;
    put_file("hurt.yaml", COMMON "quantize:\n  - {method: rtn, bits: [2, 3, 4], group: 16}\n");
    cli_result r = RAN(0, "run", "hurt.yaml", "--no-report");
    cli_free(&r);
    lb_results *x = results("results/hurt");
    char name[256], path[LB_TEST_PATH];
    snprintf(name, sizeof name, "results/hurt/%s.h5", x->record[2].stem);
    path_in(path, home, name);
    lb_results_free(x);
    char *bytes;
    size_t n;
    for (int half = 0; half < 2; half++) {
        assert_ok(lb_fs_read(path, &bytes, &n));
        bytes[n / 3] ^= 4;
        assert_ok(lb_fs_write_atomic(path, bytes, half ? n / 2 : n));
        lb_free(bytes);
        r = RAN(0, "report", "results/hurt");
        cli_has(r.out,
                "rtn 3b g16 missing: its file is damaged (another SHA-256 than the index has): run the config again");
        cli_has(r.out, "\n1 of 4 cells has no file that can be read: run the config again.\n");
        cli_has(r.out, "\nrtn                 2     16 ");
        cli_has(r.out, "\nrtn                 4     16 ");
        cli_free(&r);
        r = RAN(0, "run", "hurt.yaml", "--no-report");
        cli_has(r.err, "1 cell run, 3 kept");
        cli_has_not(r.out, "no file");
        cli_free(&r);
    }
}

/* What was computed stays in sight when the config is changed. */
static void earlier_results_are_counted(void **state) {
    (void)state;
    put_file("edit.yaml", COMMON "quantize:\n  - {method: rtn, bits: [2, 3], group: 16}\n");
    cli_result r = lowbit("run", "edit.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_has_not(r.out, "earlier");
    cli_free(&r);
    SAYS(0, "\n3 earlier results in this folder are not of this sweep: lowbit report results/edit --all\n", "run",
         "edit.yaml", "-o", "eval.windows=4");
    char *page = read_file("results/edit/report/index.html");
    cli_has(page, "3 earlier results in this folder are not of this sweep");
    lb_free(page);
    lb_results *x = results("results/edit");
    assert_int_equal(x->n, 3);
    assert_int_equal(x->unlisted, 3);
    assert_ok(lb_store_read_unlisted(x));
    assert_int_equal(x->n, 6);
    assert_int_equal(x->notices, 0);
    for (int i = 0; i < 6; i++) assert_int_equal(x->record[i].eval[0].eval.windows, i < 3 ? 4 : 6);
    lb_results_free(x);
    /* Both sweeps, each beside its own baseline; the folder's report stays that of the sweep. */
    r = lowbit("report", "results/edit", "--all");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "W2-64, first 4 of ");
    cli_has(r.out, "W2-64, first 6 of ");
    cli_has_not(r.out, "earlier result");
    cli_free(&r);
    /* And what is computed already is found again, whichever way the config goes. */
    r = lowbit("check", "edit.yaml", NULL);
    cli_has(r.out, "\nall 3 cells are there already\n");
    cli_free(&r);
}

/* Without its index a folder still has its cells. */
static void a_folder_without_its_index(void **state) {
    (void)state;
    char path[LB_TEST_PATH], other[LB_TEST_PATH];
    put_file("lost.yaml", COMMON "quantize:\n  - {method: rtn, bits: [2, 3], group: 16}\n");
    cli_result r = lowbit("run", "lost.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_free(&r);
    path_in(path, home, "results/lost/sweep.json");
    path_in(other, home, "kept.json");
    assert_int_equal(rename(path, other), 0);
    SAYS(1, "results/lost: 3 results are there, but their index is gone (sweep.json): report --all shows them",
         "report", "results/lost");
    r = RAN(0, "report", "results/lost", "--all", "--columns", "label,bits,delta,experiment");
    cli_has(r.out, "tiny: perplexity on eval.txt, W2-64, first 6 of ");
    cli_has(r.out, "\nnone ");
    cli_has(r.out, "\nrtn 2b g16 ");
    cli_has(r.err, "nothing is written");
    cli_free(&r);
    SAYS(0, "W2-64, first 4 of ", "report", "results/lost", "results/edit", "--all", "--no-write");
    SAYS(1, "results/lost: 3 results are there", "report", "results/lost", "results/edit");
    /* The run keeps what is there and lists it again. */
    r = RAN(0, "run", "lost.yaml", "--no-report");
    cli_has(r.err, "0 cells run, 3 kept");
    cli_free(&r);
    r = lowbit("report", "results/lost", "--no-write");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    path_in(path, home, "nothing");
    assert_ok(lb_fs_mkdirs(path));
    SAYS(1, "nothing is no results folder", "report", "nothing", "--all");
}

/* A slip in the list of expected values is said before anything runs, by check and by run. */
static void expected_values_are_checked_first(void **state) {
    (void)state;
#define EXPECTED_HEAD "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n"
    char path[LB_TEST_PATH];
    path_in(path, home, "slips");
    assert_ok(lb_fs_mkdirs(path));
    put_file("slips/config.yaml", "model: ../tiny\neval: {name: ours, text: ../eval.txt, protocol: W2-64, windows: 6}\n"
                                  "quantize:\n  - {method: rtn, bits: 3, group: 16}\n");
    put_file("slips/expected.csv", EXPECTED_HEAD "rtn,bits=3,ours,W2-64,6,perplexity,1,1,relative,\n");
    static const char *const command[] = {"check", "run"};
    for (int i = 0; i < 2; i++) {
        cli_result r = lowbit(command[i], "slips", NULL);
        assert_int_equal(r.code, 1);
        cli_has(r.err, "slips/expected.csv:2: metric 'perplexity' is not known: did you mean 'ppl'?");
        assert_string_equal(r.out, "");
        cli_free(&r);
    }
    put_file("slips/expected.csv", EXPECTED_HEAD "rtn,bits=3,ours,W2-64,6,ppl,1,1e9,relative,\n"
                                                 "rtn,bits=4,ours,W2-64,6,ppl,1,1e9,relative,\n"
                                                 "rtn,model_sha256=00000000,ours,W2-64,6,ppl,1,1e9,relative,\n");
    cli_result r = lowbit("check", "slips", NULL);
    assert_int_equal(r.code, 0);
    cli_has(r.err, "slips/expected.csv:3: will not be compared: no such cell");
    cli_has(r.err, "slips/expected.csv:4: will not be compared: the model has other weights");
    cli_has_not(r.err, "expected.csv:2:");
    cli_free(&r);
    r = lowbit("run", "slips", NULL);
    assert_int_equal(r.code, 0);
    cli_has(r.err, "slips/expected.csv:3: will not be compared: no such cell");
    cli_has(r.out, "the model has other weights");
    cli_has(r.out, "1 of 3 compared: 1 within tolerance");
    cli_free(&r);
}

/* A config names its own list, relative to its folder, or says that there is none: then none stays with the results. */
static void a_config_names_its_expected_values(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    path_in(path, home, "named");
    assert_ok(lb_fs_mkdirs(path));
    put_file("named/config.yaml", "model: ../tiny\neval: {name: ours, text: ../eval.txt, protocol: W2-64, windows: 6}\n"
                                  "quantize:\n  - {method: rtn, bits: 3, group: 16}\n");
    put_file("named/expected.csv", EXPECTED_HEAD "rtn,bits=8,ours,W2-64,6,ppl,1,1e9,relative,\n");
    put_file("named/other.csv", EXPECTED_HEAD "rtn,bits=3,ours,W2-64,6,ppl,1,1e9,relative,\n");
    put_file("named/other.yaml", "include: config.yaml\nname: named\nexpected: other.csv\nresults: ../results\n");
    put_file("named/none.yaml", "include: config.yaml\nname: named\nexpected: none\nresults: ../results\n");
    put_file("named/lost.yaml", "include: config.yaml\nexpected: lost.csv\n");
    cli_result r = lowbit("check", "named", NULL);
    cli_has(r.err, "named/expected.csv:2: will not be compared: no such cell");
    cli_free(&r);
    r = lowbit("run", "named/other.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_has_not(r.err, "will not be compared");
    cli_has(r.out, "1 of 1 compared: 1 within tolerance");
    cli_free(&r);
    path_in(path, home, "results/named/expected.csv");
    assert_true(lb_fs_exists(path));
    r = lowbit("run", "named/none.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_has(r.err, "2 kept"); /* no number depends on it */
    cli_has_not(r.err, "will not be compared");
    cli_has_not(r.out, "compared");
    cli_free(&r);
    assert_false(lb_fs_exists(path));
    SAYS(1, "named/lost.yaml:2: expected = lost.csv: no such file (looked in named and the current folder)", "check",
         "named/lost.yaml");
    SAYS(1, "named/lost.yaml:2: expected = lost.csv: no such file", "run", "named/lost.yaml");
    SAYS(1, "axis 'expected': it is the whole experiment's", "check", "named", "-o", "axes.expected=[a, b]");
}

/* A folder that an earlier version wrote, tests/oracle/make_old_results.sh: read as it is, by every path. */
static void a_folder_of_an_earlier_version(void **state) {
    (void)state;
    char from[LB_TEST_PATH], command[3 * LB_TEST_PATH];
    lb_test_fixture("tests/fixtures/old-results", from);
    snprintf(command, sizeof command, "cp -r '%s' '%s/old'", from, home);
    char nothing[16];
    assert_int_equal(cli_shell(command, nothing, sizeof nothing), 0);
    lb_results *x = results("old");
    assert_int_equal(x->n, 2);
    assert_int_equal(x->unlisted, 1);
    assert_string_equal(x->record[1].label, "gptq 3b g64");
    assert_string_equal(x->record[1].folder, "old");
    assert_ok(lb_store_read_unlisted(x));
    assert_int_equal(x->n, 3);
    assert_int_equal(x->notices, 0);
    assert_string_equal(x->record[2].method, "none");
    assert_null(x->record[2].model); /* the same weights */
    assert_int_equal(x->record[2].eval[0].eval.windows, 4);
    lb_results_free(x);
    static const char *const format[] = {"terminal", "markdown", "csv", "latex", "html"};
    for (size_t i = 0; i < sizeof format / sizeof format[0]; i++) {
        cli_result r = RAN(0, "report", "old", "--format", format[i]);
        bool latex = strcmp(format[i], "latex") == 0; /* a number's two sides are columns there */
        cli_has(r.out, latex ? "1 & .87" : "1.87");
        cli_has(r.out, latex ? "1 & .91" : "1.91");
        cli_free(&r);
    }
    cli_result r = lowbit("report", "old", NULL);
    cli_has(r.out, "1 earlier result in this folder is not of this sweep: lowbit report old --all");
    cli_has(r.out, "made by another code version (16f515c31b20;");
    cli_has_not(r.out, "not run");
    cli_free(&r);
    r = lowbit("report", "old", "--all");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "first 4 of 179 windows");
    cli_free(&r);
    char *csv = read_file("old/cells.csv");
    cli_has(csv, "gptq-3b-g64-436b5fce,gptq 3b g64,done,,gptq,3,64,");
    lb_free(csv);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_sweeps_say_so),
        cmocka_unit_test(a_missing_file_is_one_row),
        cmocka_unit_test(a_damaged_file_is_one_row),
        cmocka_unit_test(earlier_results_are_counted),
        cmocka_unit_test(a_folder_without_its_index),
        cmocka_unit_test(expected_values_are_checked_first),
        cmocka_unit_test(a_config_names_its_expected_values),
        cmocka_unit_test(a_folder_of_an_earlier_version),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}

/* The benchmarks' tables: ratios, verdicts, what is reduced, what a busy machine voids; and what the scripts say of
 * themselves. Nothing is timed here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "support/run_cli.h"
#include "support/support.h"

enum { ROOM = 20000 };

static const char *dir;

static int setup(void **state) {
    (void)state;
    dir = lb_test_tmpdir();
    return 0;
}

static void put(const char *name, const char *text) {
    char *path = lb_fs_join(dir, name);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    lb_free(path);
}

/* Runs an awk program of bench/ on files of the test's folder. */
static void awk(const char *program, const char *variables, const char *files, char out[ROOM]) {
    char path[LB_TEST_PATH], command[3 * LB_TEST_PATH];
    lb_test_fixture(program, path);
    snprintf(command, sizeof command, "cd '%s' && awk %s -f '%s' %s 2>&1", dir, variables, path, files);
    assert_int_equal(cli_shell(command, out, ROOM), 0);
}

/* The line that begins with this, runs of blanks as one and none in front; fails if there is none. */
static const char *line(const char *text, const char *start) {
    static char found[1000];
    for (const char *at = text; *at; at += *at == '\n') {
        size_t n = 0;
        for (; *at && *at != '\n'; at++)
            if ((*at != ' ' || (n > 0 && found[n - 1] != ' ')) && n + 1 < sizeof found) found[n++] = *at;
        found[n] = 0;
        if (strncmp(found, start, strlen(start)) == 0) return found;
    }
    fail_msg("no line '%s' in:\n%s", start, text);
    return "";
}
static void expect(const char *text, const char *start, const char *ends) {
    const char *got = line(text, start);
    size_t n = strlen(got), m = strlen(ends);
    if (n < m || strcmp(got + n - m, ends) != 0) fail_msg("'%s': does not end in '%s'", got, ends);
}

static const char targets[] = "suite,ours,peer,quantity,kind,target\n"
                              "x,A,B,s,ratio,3\n"
                              "x,A,C,tokens/s,ratio,2\n"
                              "x,A,,GB peak,at most,0.5\n"
                              "x,A,SGEMM,GFLOP/s,percent,85\n"
                              "x,A,B,first loss,apart,1\n"
                              "other,A,B,s,ratio,9\n";

/* Three rounds; round 2 is the middle one. The table of them with this text in the last columns. */
static void table(const char *busy, const char *reduced, char out[ROOM]) {
    char csv[4000];
    int n = snprintf(csv, sizeof csv, "suite,openblas,round,program,quantity,value,work,reduced\n");
    for (int r = 1; r <= 3; r++) {
        const struct {
            const char *set, *program, *quantity;
            double value;
        } rows[] = {
            {"unset", "A", "s", r},
            {"-", "B", "s", 4.0 * r * r},
            {"unset", "A", "tokens/s", 30},
            {"-", "C", "tokens/s", 20},
            {"unset", "A", "GB peak", 0.4},
            {"unset", "A", "GFLOP/s", 90},
            {"unset", "SGEMM", "GFLOP/s", 100},
            {"unset", "A", "first loss", 2},
            {"-", "B", "first loss", 2.0 * (1 + 0.001 * r)},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            n += snprintf(csv + n, sizeof csv - (size_t)n, "x,%s,%d,%s,%s,%g,work,%s\n", rows[i].set, r,
                          rows[i].program, rows[i].quantity, rows[i].value, reduced);
        assert_true(n < (int)sizeof csv);
    }
    put("targets.csv", targets);
    put("missing.csv", "x,nobody (not installed)\n");
    put("busy.csv", busy);
    put("x.csv", csv);
    awk("bench/table.awk", "-v suite=x", "targets.csv missing.csv busy.csv x.csv", out);
}

static void ratios_and_verdicts(void **state) {
    (void)state;
    char out[ROOM];
    table("x,0.02\n", "", out);
    expect(out, "x, rounds: 3", "rounds: 3");
    expect(out, "missing: nobody", "(not installed)");
    expect(out, "B / A, s", "unset 4 8 12 at least 3, met");
    expect(out, "A / C, tokens/s", "unset 1.5 1.5 1.5 at least 2, not met");
    expect(out, "A, GB peak unset 0.4 0.4 0.4 at most", "at most 0.5, met");
    expect(out, "A, percent of SGEMM", "90 90 90 at least 85 %, met");
    expect(out, "A and B apart, %, first loss", "at most 1 %, met");
    assert_null(strstr(out, "REDUCED"));
    assert_null(strstr(out, "BUSY"));
    assert_null(strstr(out, "at least 9"));
}

static void reduced_work_says_so(void **state) {
    (void)state;
    char out[ROOM];
    table("x,0.02\n", "windows 1 of 4; length 512 of 2048", out);
    expect(out, "REDUCED:", "REDUCED: windows 1 of 4; length 512 of 2048");
    expect(out, "B / A, s", "at least 3, met (reduced)");
    expect(out, "A / C, tokens/s", "at least 2, not met (reduced)");
    expect(out, "A and B apart, %, first loss", "at most 1 %, met"); /* the same work is the same at any size */
}

static void a_busy_machine_voids_times_alone(void **state) {
    (void)state;
    char out[ROOM];
    table("x,0.02\nx,1.50\nother,2\n", "", out);
    expect(out, "THE MACHINE WAS BUSY: others used up to 1.5", "no results");
    expect(out, "B / A, s", "at least 3, no verdict");
    expect(out, "A / C, tokens/s", "at least 2, no verdict");
    expect(out, "A, percent of SGEMM", "at least 85 %, no verdict");
    expect(out, "A, GB peak unset 0.4 0.4 0.4 at most", "at most 0.5, met");
    expect(out, "A and B apart, %, first loss", "at most 1 %, met");
}

/* Time 3 x^2 on one axis; memory of 32 layers over that of 8; a rate at 8192. */
static void scaling(const char *busy, int memory32, double rate, char out[ROOM]) {
    char csv[2000], variables[] = "-v rate=100 -v threads=2 -v reduced='repeats 1 of 3'";
    snprintf(
        csv, sizeof csv,
        "axis,work,x,seconds,peak_bytes,gflops\n"
        "width,gptq solve,64,12288,1000,50\nwidth,gptq solve,128,49152,1000,50\nwidth,gptq solve,256,196608,1000,50\n"
        "layers,perplexity streamed,8,1,1000,5\nlayers,perplexity streamed,32,4,%d,5\n"
        "length,perplexity,4096,1,1000,99\nlength,perplexity,8192,2,2000,%g\n",
        memory32, rate);
    put("busy", busy);
    put("scaling.csv", csv);
    awk("bench/scaling.awk", variables, "busy scaling.csv", out);
}

static void exponents_and_targets_of_scaling(void **state) {
    (void)state;
    char out[ROOM];
    scaling("0.01\n", 1049, 70.5, out);
    expect(out, "width gptq solve 64..256 2.00 2.00 0.00 0.00 50.0 %", "perplexity towards 2");
    expect(out, "layers perplexity streamed", "beyond the mapped file");
    expect(out, "target: streamed", "+4.9 %, at most 5 %: met");
    expect(out, "target: windows of 8192 tokens", "70.5 % of plain SGEMM, at least 70 %: met");
    expect(out, "REDUCED:", "REDUCED: repeats 1 of 3");
    assert_null(strstr(out, "BUSY"));
    scaling("0.01\n", 1060, 69, out);
    expect(out, "target: streamed", "+6.0 %, at most 5 %: not met");
    expect(out, "target: windows of 8192 tokens", "69.0 % of plain SGEMM, at least 70 %: not met");
    scaling("0.01\n1.2\n", 1060, 99, out);
    expect(out, "target: streamed", "+6.0 %, at most 5 %: not met");
    expect(out, "target: windows of 8192 tokens", "no verdict");
    expect(out, "THE MACHINE WAS BUSY: others used up to 1.2 processors, in 1 of 2 runs", "no results");
}

static void scripts_tell_their_use(void **state) {
    (void)state;
    static const struct {
        const char *script, *says;
    } cases[] = {{"bench/run", "PEER_RUNS"},
                 {"bench/scaling", "REPEATS"},
                 {"bench/counts", "UPDATE=1"},
                 {"bench/peers.sh", "gptqmodel"}};
    char path[LB_TEST_PATH], command[LB_TEST_PATH + 64], out[ROOM];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_test_fixture(cases[i].script, path);
        snprintf(command, sizeof command, "'%s' --help 2>&1", path);
        assert_int_equal(cli_shell(command, out, ROOM), 0);
        if (!strstr(out, cases[i].says) || strstr(out, "set -euo") || strstr(out, "shellcheck"))
            fail_msg("%s --help:\n%s", cases[i].script, out);
        snprintf(command, sizeof command, "'%s' nonsense 2>&1", path);
        assert_int_equal(cli_shell(command, out, ROOM), 2);
        assert_non_null(strstr(out, "nonsense"));
    }
}

/* A target of a suite that does not exist is never looked at. */
static void every_target_is_of_a_suite(void **state) {
    (void)state;
    char path[LB_TEST_PATH], command[LB_TEST_PATH + 64], help[ROOM], *csv;
    lb_test_fixture("bench/run", path);
    snprintf(command, sizeof command, "'%s' --help 2>&1", path);
    assert_int_equal(cli_shell(command, help, sizeof help), 0);
    char suites[1000];
    snprintf(suites, sizeof suites, "%s", line(help, "SUITE"));
    for (char *c = suites; *c; c++)
        if (*c == ';') *c = ' ';
    lb_test_fixture("bench/targets.csv", path);
    assert_ok(lb_fs_read(path, &csv, NULL));
    int rows = 0;
    for (char *at = strchr(csv, '\n') + 1; *at; at = strchr(at, '\n') + 1, rows++) {
        char name[64];
        int commas = 0;
        snprintf(name, sizeof name, " %.*s ", (int)strcspn(at, ","), at);
        if (!strstr(suites, name)) fail_msg("targets.csv:%s: not among '%s'", name, suites);
        for (const char *c = at; *c != '\n'; c++) commas += *c == ',';
        assert_int_equal(commas, 5);
    }
    assert_true(rows > 20);
    lb_free(csv);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratios_and_verdicts),
        cmocka_unit_test(reduced_work_says_so),
        cmocka_unit_test(a_busy_machine_voids_times_alone),
        cmocka_unit_test(exponents_and_targets_of_scaling),
        cmocka_unit_test(scripts_tell_their_use),
        cmocka_unit_test(every_target_is_of_a_suite),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

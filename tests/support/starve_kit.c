#include "support/starve_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

const char *const starve_commands[] = {"run", "eval", "quantize", "report", "check", "inspect", NULL};

static void shell(const char *format, ...) {
    char command[2 * LB_TEST_PATH], out[256];
    va_list ap;
    va_start(ap, format);
    assert_true(vsnprintf(command, sizeof command, format, ap) < (int)sizeof command);
    va_end(ap);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    if (out[0]) fail_msg("%s: %s", command, out);
}

static cli_result start(const char *command, int threads, const cli_options *o) {
    char n[16], option[32];
    snprintf(n, sizeof n, "%d", threads);
    snprintf(option, sizeof option, "threads=%d", threads);
    if (!strcmp(command, "run")) return CLI(o, "run", "s.yaml", "-o", option);
    if (!strcmp(command, "check")) return CLI(o, "check", "s.yaml", "-o", option);
    if (!strcmp(command, "report")) return CLI(o, "report", "results/whole");
    if (!strcmp(command, "inspect")) return CLI(o, "inspect", "tiny");
    if (!strcmp(command, "eval"))
        return CLI(o, "eval", "tiny", "eval.txt", "--protocol", "W2-64", "--windows", "2", "--threads", n);
    if (!strcmp(command, "eval --json"))
        return CLI(o, "eval", "tiny", "eval.txt", "--protocol", "W2-64", "--windows", "2", "--threads", n, "--profile",
                   "--json", "out.json");
    if (!strcmp(command, "train"))
        return CLI(o, "train", "cal.txt", "--out", "out", "--vocab", "270", "--layers", "1", "--dim", "8", "--hidden",
                   "8", "--heads", "2", "--kv-heads", "1", "--context", "32", "--length", "32", "--batch", "2",
                   "--steps", "2", "--warmup", "0", "--threads", n);
    return CLI(o, "quantize", "tiny", "--method", "gptq", "--bits", "4", "--calibration", "cal.txt", "--samples", "4",
               "--length", "64", "--out", "out", "--threads", n, strchr(command, ' ') ? "--profile" : NULL);
}

/* What appears whole when a command has worked, or NULL. */
static const char *product(const char *command) {
    if (!strcmp(command, "eval --json")) return "out.json";
    return !strcmp(command, "train") || !strncmp(command, "quantize", 8) ? "out" : NULL;
}

static void make_room(const char *command) {
    if (!strcmp(command, "run")) shell("rm -rf '%s/results/s'", home);
    if (product(command)) shell("rm -rf '%s/%s'", home, product(command));
}

static void nothing_left(void) { shell("find '%s' -name '*.tmp*'", home); }

/* Did it work? Else it has said why. */
static bool orderly(const char *command, const cli_result *r, const char *what, long number) {
    const char *made = product(command);
    if (r->code == 0 && made && !exists(made)) fail_msg("%s, %s %ld: no %s", command, what, number, made);
    if (r->code == 0) return true;
    if (r->code != 1 || !strstr(r->err, "out of memory"))
        fail_msg("%s, %s %ld: exit code %d\n%s%s", command, what, number, r->code, r->out, r->err);
    if (made && exists(made)) fail_msg("%s, %s %ld: %s stays", command, what, number, made);
    return false;
}

/* What was finished before it failed is kept, and with two threads all is as without a failure. */
static void goes_on(int threads) {
    cli_options o = here();
    cli_result r = start("run", threads, &o);
    if (r.code != 0) fail_msg("the next run fails:\n%s%s", r.out, r.err);
    cli_free(&r);
    if (threads == 2) same_results("results/whole", "results/s", 3);
}

int starve_setup(void **state) {
    if (make_model(state) != 0) return -1;
    put_file("s.yaml", COMMON "axes: {bits: 3}\nquantize:\n  - {method: rtn}\n  - {method: gptq}\n");
    cli_options o = here();
    cli_result r = start("run", 2, &o);
    int code = r.code;
    cli_free(&r);
    if (code == 0) shell("mv '%s/results/s' '%s/results/whole'", home, home);
    return code;
}

static cli_options preloaded(const char *setting, const char *of) {
    static char preload[LB_TEST_PATH + 32], kind[32];
    char path[LB_TEST_PATH];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/tests/inject.so", build && *build ? build : "build/release");
    char *whole = realpath(path, NULL);
    if (!whole) fail_msg("%s: is not built", path);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", whole);
    snprintf(kind, sizeof kind, "INJECT_OF=%s", of);
    free(whole);
    cli_options o = here();
    o.env[0] = preload;
    o.env[1] = kind;
    o.env[2] = setting;
    return o;
}

static long count(const char *command, const char *of, int threads) {
    char setting[LB_TEST_PATH], path[LB_TEST_PATH], *text = NULL;
    path_in(path, home, "allocations");
    assert_true(snprintf(setting, sizeof setting, "INJECT_COUNT=%s", path) < (int)sizeof setting);
    make_room(command);
    cli_options o = preloaded(setting, of);
    cli_result r = start(command, threads, &o);
    if (r.code != 0) fail_msg("%s: %s%s", command, r.out, r.err);
    cli_free(&r);
    assert_ok(lb_fs_read(path, &text, NULL));
    long n = atol(text);
    lb_free(text);
    return n;
}

void starve_inject(const char *command, const char *of, int places, bool from) {
    long n = count(command, of, 2), last = -1;
    int worked = 0, tried = 0;
    assert_true(n > 100); /* else nothing is counted */
    for (int i = 0; i < places; i++) {
        char setting[64];
        long at = 1 + (long)((double)i * (double)(n - 1) / places);
        if (at == last) continue;
        last = at;
        make_room(command);
        snprintf(setting, sizeof setting, "INJECT_%s=%ld", from ? "FROM" : "AT", at);
        cli_options o = preloaded(setting, of);
        cli_result r = start(command, 2, &o);
        worked += orderly(command, &r, setting, at);
        if (!from) nothing_left();
        cli_free(&r);
        if (!strcmp(command, "run") && tried % 20 == 0) goes_on(2);
        tried++;
    }
    if (from) { /* to list a folder takes memory too: the next command removes it */
        make_room(command);
        cli_options o = here();
        cli_result r = start(command, 2, &o);
        assert_int_equal(r.code, 0);
        cli_free(&r);
        nothing_left();
    }
    /* The number varies a little from run to run, and what fails after all is done harms nobody. */
    if (worked > tried / 20 + 1) fail_msg("%s: %d of %d worked: nothing fails", command, worked, tried);
}

void starve_at_the_end(const char *command, int places) {
    long n = count(command, "", 1);
    for (long at = n - places + 1; at <= n; at++) {
        char setting[64];
        make_room(command);
        snprintf(setting, sizeof setting, "INJECT_AT=%ld", at);
        cli_options o = preloaded(setting, "");
        cli_result r = start(command, 1, &o);
        (void)orderly(command, &r, setting, at);
        nothing_left();
        cli_free(&r);
    }
}

void starve_limit(const char *command, int threads, int steps) {
    const long least = 60000, most = 2000000; /* KiB */
    int worked = 0;
    for (int i = 0; i < steps; i++) {
        cli_options o = here();
        o.address_space = (least + (most - least) * i / (steps - 1)) * 1024;
        make_room(command);
        cli_result r = start(command, threads, &o);
        bool ok = orderly(command, &r, "bytes", o.address_space);
        nothing_left();
        cli_free(&r);
        if (!ok && !strcmp(command, "run")) goes_on(threads);
        worked += ok;
        if (i == steps - 1 && !ok) fail_msg("%s: 2 GB are not enough", command);
    }
    assert_true(worked > 0);
}

/* tools/make-zoo with one step a model: what it makes, what it leaves as it is, what it refuses. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "support/run_cli.h"

static const char *home;
static char script[LB_TEST_PATH];

static int make_home(void **state) {
    (void)state;
    home = lb_test_tmpdir();
    lb_test_fixture("tools/make-zoo", script);
    return 0;
}

/* Its exit status; what it prints goes to `out`. */
static int zoo(const char *arguments, char *out, size_t room) {
    char root[LB_TEST_PATH], command[4 * LB_TEST_PATH];
    const char *build = getenv("BUILD");
    if (!build || !*build) build = "build/release";
    lb_test_fixture("tools", root);
    *strrchr(root, '/') = 0;
    bool whole = build[0] == '/';
    snprintf(command, sizeof command,
             "ZOO=%s/zoo STEPS=1 THREADS=1 LOWBIT_SOURCES= LOWBIT=%s%s%s/lowbit WORLD=%s%s%s/tools/world %s %s 2>&1",
             home, whole ? "" : root, whole ? "" : "/", build, whole ? "" : root, whole ? "" : "/", build, script,
             arguments);
    return cli_shell(command, out, room);
}

static void path_of(const char *name, char out[LB_TEST_PATH * 2]) {
    snprintf(out, LB_TEST_PATH * 2, "%s/zoo/%s", home, name);
}

static void models_are_made_once(void **state) {
    (void)state;
    char out[1 << 16], path[LB_TEST_PATH * 2], *config;
    struct stat before, after;
    size_t n;
    int code = zoo("opt mixtral", out, sizeof out);
    if (code != 0) fail_msg("%d: %s", code, out);
    cli_has(out, "model       opt, 6 blocks, 128 wide, 512 tokens, 1288448 weights");
    cli_has(out, "-- 1 of 2 there after");
    path_of("mixtral/config.json", path);
    assert_ok(lb_fs_read(path, &config, &n));
    cli_has(config, "\"num_local_experts\": 4");
    lb_free(config);
    path_of("opt/model.safetensors", path);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(zoo("opt mixtral", out, sizeof out), 0);
    cli_has(out, "opt: already in");
    cli_has(out, "mixtral: already in");
    cli_has_not(out, "lowbit train");
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    /* made by another command: made again, and the other one is left */
    path_of("opt.made", path);
    assert_ok(lb_fs_write_atomic(path, "another\n", 8));
    assert_int_equal(zoo("opt mixtral", out, sizeof out), 0);
    cli_has(out, "opt: lowbit train");
    cli_has(out, "mixtral: already in");
    assert_int_equal(zoo("opt", out, sizeof out), 0);
    cli_has(out, "opt: already in");
}

static void mistakes_are_named(void **state) {
    (void)state;
    char out[1 << 16];
    assert_int_equal(zoo("otp", out, sizeof out), 2);
    cli_has(out, "otp: there are opt gpt2 bloom gpt_neox llama qwen3 gemma2 mixtral");
    assert_int_equal(zoo("--help", out, sizeof out), 0);
    cli_has(out, "usage: tools/make-zoo");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_are_made_once), cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, make_home, NULL);
}

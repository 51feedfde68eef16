/* Where results go: beside the config, wherever the program is called from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

#define SWEEP                                                                                                          \
    "model: ../tiny\nthreads: 1\neval: {text: ../eval.txt, protocol: W2-64, windows: 2}\n"                             \
    "quantize:\n  - {method: rtn, bits: 3, group: 16}\n"

static void folder(const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    assert_ok(lb_fs_mkdirs(path));
}

/* A command in a folder below home. */
static cli_result in(const char *cwd, const char *command, const char *config, const char *results) {
    char path[LB_TEST_PATH];
    path_in(path, home, cwd);
    cli_options o = here();
    o.cwd = path;
    bool run = strcmp(command, "run") == 0;
    if (results) return CLI(&o, command, config, run ? "--no-report" : "--no-wide", "-o", results);
    return CLI(&o, command, config, run ? "--no-report" : "--no-wide");
}

static void shows(const char *cwd, const char *config, const char *results, const char *place) {
    char line[LB_TEST_PATH + 64];
    cli_result r = in(cwd, "check", config, results);
    assert_int_equal(r.code, 0);
    snprintf(line, sizeof line, "\nresults      %s%s%s\n", place[0] == '/' ? "" : home, place[0] == '/' ? "" : "/",
             place);
    cli_has(r.out, line);
    cli_has_not(r.err, "earlier versions");
    cli_free(&r);
}

static void beside_the_config(void **state) {
    (void)state;
    folder("sub");
    folder("else/where");
    put_file("sub/c.yaml", SWEEP);
    cli_result r = in(".", "run", "sub/c.yaml", NULL);
    assert_int_equal(r.code, 0);
    cli_has(r.err, "2 cells run, 0 kept");
    cli_free(&r);
    assert_true(exists("sub/results/c/sweep.json"));
    assert_false(exists("results"));
    /* From anywhere, these are its results. */
    static const char *const cwd[] = {"sub", "else", "else/where"};
    static const char *const config[] = {"c.yaml", "../sub/c.yaml", "../../sub/./c.yaml"};
    for (int i = 0; i < 3; i++) {
        r = in(cwd[i], "run", config[i], NULL);
        assert_int_equal(r.code, 0);
        cli_has(r.err, "0 cells run, 2 kept");
        cli_free(&r);
        shows(cwd[i], config[i], NULL, "sub/results/c");
    }
    assert_false(exists("else/results") || exists("else/where/results") || exists("sub/sub"));
    /* Below the current folder it is named from there, elsewhere from the root. */
    cli_options o = here();
    r = CLI(&o, "run", "sub/c.yaml");
    cli_has(r.err, "written: sub/results/c/report/index.html");
    cli_free(&r);
    char path[LB_TEST_PATH];
    path_in(path, home, "else");
    o.cwd = path;
    r = CLI(&o, "run", "../sub/c.yaml");
    snprintf(path, sizeof path, "written: %.3000s/sub/results/c/report/index.html", home);
    cli_has(r.err, path);
    cli_free(&r);
}

static void as_it_says(void **state) {
    (void)state;
    static const char *const word[] = {"../up", "../../up", "in/side", "./in", "..", ".", "/nowhere/at/all"};
    static const char *const place[] = {"deep/up/c", "up/c",      "deep/er/in/side/c", "deep/er/in/c",
                                        "deep/c",    "deep/er/c", "/nowhere/at/all/c"};
    folder("deep/er");
    for (size_t i = 0; i < sizeof word / sizeof word[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "results: %s\nmodel: ../../tiny\neval: {text: ../../eval.txt, protocol: W2-64}\n",
                 word[i]);
        put_file("deep/er/c.yaml", text);
        shows(".", "deep/er/c.yaml", NULL, place[i]);
        shows("deep/er", "c.yaml", NULL, place[i]);
    }
    /* What an included file says is the config's own. */
    put_file("base.yaml", "results: out\n");
    put_file("deep/er/c.yaml",
             "include: ../../base.yaml\nmodel: ../../tiny\neval: {text: ../../eval.txt, protocol: W2-64}\n");
    shows(".", "deep/er/c.yaml", NULL, "deep/er/out/c");
    /* What is typed is meant from where it is typed. */
    shows(".", "deep/er/c.yaml", "results=out", "out/c");
    shows("deep", "er/c.yaml", "results=out", "deep/out/c");
    shows("deep", "er/c.yaml", "results=../out", "deep/../out/c");
    /* A config behind a link to its folder lies where the folder is. */
    char link[LB_TEST_PATH];
    path_in(link, home, "short");
    assert_int_equal(symlink("deep/er", link), 0);
    shows(".", "short/c.yaml", NULL, "deep/er/out/c");
}

static void old_results_are_pointed_at(void **state) {
    (void)state;
    folder("late");
    put_file("late/old.yaml", SWEEP);
    cli_result r = in(".", "run", "late/old.yaml", "results=results");
    assert_int_equal(r.code, 0);
    cli_has_not(r.err, "earlier versions");
    cli_free(&r);
    static const char *const command[] = {"check", "run", "check"};
    for (int i = 0; i < 3; i++) {
        r = in(".", command[i], "late/old.yaml", NULL);
        assert_int_equal(r.code, 0);
        static const char note[] =
            "warning: results of this name lie in results/old (earlier versions wrote there): move "
            "them, or -o results=results\n";
        if (i < 2)
            cli_has(r.err, note);
        else
            cli_has_not(r.err, "earlier versions"); /* there are results in the new place now */
        cli_free(&r);
    }
    put_file("late/old.yaml", "results: ../results\nname: older\n" SWEEP);
    r = in("late", "run", "old.yaml", "results=results");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    r = in("late", "check", "old.yaml", NULL);
    cli_has(r.err, "results of this name lie in results/older (earlier");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beside_the_config),
        cmocka_unit_test(as_it_says),
        cmocka_unit_test(old_results_are_pointed_at),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}

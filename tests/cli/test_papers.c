/* Published numbers as a user meets them: which can be run once sources have them, by which command; and a run that
 * ends with ours beside a paper's. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "run/config.h"
#include "support/sweep_kit.h"

#define SOURCE(name, kind)                                                                                             \
    name ": {kind: " kind ", file: " name ", sha256: "                                                                 \
         "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53, bytes: 1, licence: none}\n"

#define SOURCES                                                                                                        \
    SOURCE("opt-125m", "model")                                                                                        \
    SOURCE("wikitext-2", "text") SOURCE("c4-train-0", "text") SOURCE("wikitext-2-train", "text")

static void make_folder(const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    assert_ok(lb_fs_mkdirs(path));
}

static void sources(void **state) {
    (void)state;
    cli_options o = here();
    make_folder("configs");
    put_file("configs/sources.yaml", SOURCES);
    cli_result r = CLI(&o, "papers", "opt-125m", "rtn", "--paper", "OmniQuant", "--table", "A20");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "OmniQuant  A20    OPT-125M  RTN     4     128    W2-2048   30.47  primary  "
                   "fetch opt-125m wikitext-2 first\n");
    cli_has(r.out, " of 1524 published numbers; 0 can be run now, 5 when their files have been fetched\n");
    cli_free(&r);
    r = CLI(&o, "papers", "OPT-125M", "--paper", "OmniQuant", "--table", "A20", "--runnable", "--format", "csv");
    cli_has(r.out, ",fetch opt-125m wikitext-2 first,");
    cli_has_not(r.out, ",no: ");
    cli_free(&r);
    r = CLI(&o, "papers", "OPT-125M", "gptq", "--paper", "GPTQ", "--table", "T3");
    cli_has(r.out, "primary  fetch opt-125m wikitext-2 c4-train-0 first\n");
    cli_free(&r);
    /* What can be run, as a config that is one, also of what calibrates, in each paper's way. */
    static const char *const paper[] = {"GPTQ", "OmniQuant", "SI"};
    for (size_t i = 0; i < sizeof paper / sizeof paper[0]; i++) {
        r = CLI(&o, "papers", "OPT-125M", "--paper", paper[i], "--protocol", "W2-2048", "--format", "config");
        assert_int_equal(r.code, 0);
        cli_has(r.out, i == 1 ? "\ncalibration: {text: wikitext-2-train, recipe: joined, samples: 128, length: 2048}\n"
                              : "\ncalibration: {text: c4-train-0, recipe: documents, samples: 128, length: 2048}\n");
        cli_has(r.out, "\nseed: [0, 1, 2]\n");
        put_file("made.yaml", r.out);
        cli_free(&r);
        lb_config made;
        char file[LB_TEST_PATH];
        path_in(file, home, "made.yaml");
        assert_ok(lb_config_read(arena, file, NULL, 0, &made));
        assert_true(made.entries > 3);
    }
    r = CLI(&o, "papers", "OPT-125M", "--format", "config");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "these papers calibrate on different texts: choose one --paper of GPTQ, OmniQuant, ");
    cli_free(&r);
    r = CLI(&o, "papers", "OPT-125M", "rtn", "--paper", "GPTQ", "--table", "T3", "--format", "config");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "model: [opt-125m]\n");
    cli_has(r.out, "  - {text: wikitext-2, protocol: W2-2048}\n");
    cli_has_not(r.out, "calibration:");
    put_file("made.yaml", r.out);
    cli_free(&r);
    char path[LB_TEST_PATH];
    lb_config c;
    path_in(path, home, "made.yaml");
    assert_ok(lb_config_read(arena, path, NULL, 0, &c));
    assert_int_equal(c.entries, 2);
    assert_string_equal(c.entry[0].method->name, "rtn");
}

/* What is asked for and is not there, with what there is. */
static void nothing_like_it(void **state) {
    (void)state;
    cli_options o = here();
    static const char *const asked[][3] = {
        {"facebook/opt-125m", NULL, "model 'facebook/opt-125m': no published number has it: did you mean 'OPT-125M'?"},
        {"opt", "gptq", "model 'opt': no published number has it: did you mean 'opt*'?"},
        {"llama-7b", "obq",
         "no published number has all of model 'llama-7b', method 'obq': of model 'llama-7b' there is fp, "},
    };
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        cli_result r = CLI(&o, "papers", asked[i][0], asked[i][1]);
        assert_int_equal(r.code, 1);
        cli_has(r.err, asked[i][2]);
        assert_string_equal(r.out, "");
        cli_free(&r);
    }
    static const char *const format[] = {"table", "config"};
    for (int i = 0; i < 2; i++) {
        cli_result r = CLI(&o, "papers", "OPT-125M", "awq", "--paper", "OmniQuant", i ? "--no-runnable" : "--runnable",
                           "--format", format[i]);
        assert_int_equal(r.code, 1);
        cli_has(r.err, "published numbers can be run here: the first: AWQ is not here");
        cli_free(&r);
    }
}

static void shell(const char *command, char *out, size_t room) {
    if (cli_shell(command, out, room) != 0) fail_msg("%s: %s", command, out);
}

/* An installation with experiments of its own: the one that has the row is named. A list that a redirection has just
 * emptied, and a folder that is no experiment, hinder nobody. */
static void experiments(void **state) {
    (void)state;
    char papers[LB_TEST_PATH], program[PATH_MAX], command[4 * LB_TEST_PATH], out[65536];
    const char *build = getenv("BUILD");
    snprintf(command, sizeof command, "%s/lowbit", build ? build : "build/release");
    assert_non_null(realpath(command, program));
    lb_test_fixture("data/papers", papers);
    make_folder("inst/usr/bin");
    make_folder("inst/usr/share/lowbit/data");
    make_folder("inst/usr/share/lowbit/configs");
    make_folder("inst/usr/share/lowbit/experiments/begun");
    make_folder("inst/usr/share/lowbit/experiments/one");
    put_file("inst/usr/share/lowbit/configs/sources.yaml", SOURCES);
    put_file("inst/usr/share/lowbit/experiments/begun/expected.csv", "");
    put_file("inst/usr/share/lowbit/experiments/README.md", "");
    snprintf(command, sizeof command,
             "cd %s/inst/usr && cp %s bin/ && cp -R %s share/lowbit/data/ && cd ../.. && inst/usr/bin/lowbit "
             "papers OPT-125M "
             "--paper GPTQ --table T3 --format expected >inst/usr/share/lowbit/experiments/one/expected.csv",
             home, program, papers);
    shell(command, out, sizeof out);
    snprintf(command, sizeof command, "cd %s && inst/usr/bin/lowbit papers OPT-125M gptq --protocol W2-2048 2>&1",
             home);
    shell(command, out, sizeof out);
    cli_has(out, "\n  lowbit run experiments/one/config.yaml -o model=opt-125m\n");
    cli_has(out, "\n  lowbit papers OPT-125M --paper OmniQuant --table A20 --protocol W2-2048 --format config "
                 ">papers.yaml && lowbit run papers.yaml\n");
    snprintf(command, sizeof command,
             "cd %s && rm -r inst/usr/share/lowbit/data/papers && inst/usr/bin/lowbit papers 2>&1", home);
    assert_int_equal(cli_shell(command, out, sizeof out), 1);
    cli_has(out, "data/papers: neither here nor with the program");
}

#define HEAD  "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source,place,trust\n"
#define ROW   "model=tiny,eval.txt,W2-64,,ppl,"
#define WHERE ",absolute,A paper (here),T1,primary\n"

static void run_beside_a_paper(void **state) {
    (void)state;
    put_file("beside.yaml",
             "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, recipe: random, samples: 4, length: 64}\n"
             "seed: [0, 1, 2]\neval: {text: eval.txt, protocol: W2-64}\n"
             "plots: {figures: [front]}\nquantize:\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: 3}\n");
    put_file("expected.csv", HEAD "rtn,bits=3;" ROW "1,0.5" WHERE "gptq,bits=3;" ROW "1,0" WHERE
                                  "none,model=other,eval.txt,W2-64,,ppl,1,0" WHERE "AWQ,bits=3;" ROW "2,0" WHERE);
    cli_result r = RAN(1, "run", "beside.yaml");
    cli_has(r.out, "tiny: ours and published numbers\n");
    cli_has(r.out,
            "Published numbers: 3; agree 0, differ 2, literature (the method is not here) 1, without a verdict 0.");
    cli_has(r.out, "Numbers of models that did not run: 1: other.");
    cli_has(r.err, "warning: 2 published numbers differ from ours\n");
    cli_has_not(r.err, "will not be compared");
    cli_free(&r);
    static const char *const made[] = {"published.csv", "published.md", "published.tex"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        char path[LB_TEST_PATH], name[128];
        snprintf(name, sizeof name, "results/beside/report/tables/%s", made[i]);
        path_in(path, home, name);
        assert_true(lb_fs_exists(path));
    }
    char path[LB_TEST_PATH], *text;
    size_t n;
    path_in(path, home, "results/beside/report/index.html");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, "<h2>Published numbers</h2>");
    cli_has_not(text, "<h2>Expected values</h2>");
    lb_free(text);
    /* Again, from the results alone; with numbers that are ours it ends well. */
    r = RAN(1, "report", "results/beside", "--no-write");
    cli_has(r.err, "warning: 2 published numbers differ from ours\n");
    cli_free(&r);
    put_file("agrees.csv", HEAD "gptq,bits=3;" ROW "1,100000" WHERE);
    r = RAN(0, "report", "results/beside", "--expected", "agrees.csv", "--no-write");
    cli_has(r.out, "within the tolerance");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources),
        cmocka_unit_test(nothing_like_it),
        cmocka_unit_test(experiments),
        cmocka_unit_test(run_beside_a_paper),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}

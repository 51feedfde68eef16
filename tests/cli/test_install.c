/* make install: the program finds its configs, sources and models from any folder, and uninstall leaves nothing. */
#include "support/support.h"
#include "support/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `make TARGET` in the checkout, into the workshop's inst/usr. */
static void make(const char *target) {
    char makefile[LB_TEST_PATH], command[2 * LB_TEST_PATH];
    const char *build = getenv("BUILD"), *slash = build ? strrchr(build, '/') : NULL;
    lb_test_fixture("Makefile", makefile);
    *strrchr(makefile, '/') = 0;
    snprintf(command, sizeof command, "unset MAKEFLAGS; make -s -C '%s' MODE=%s %s DESTDIR=\"$PWD/inst\" PREFIX=/usr",
             makefile, slash ? slash + 1 : "release", target);
    shell_result r = shell_run(command);
    assert_string_equal(r.err, "");
    assert_int_equal(r.code, 0);
    shell_free(&r);
}

/* Runs in a folder of its own; what it prints must hold the text. */
static void expect(const char *command, int code, const char *text) {
    char line[2048];
    snprintf(
        line, sizeof line,
        "S=$PWD/inst/usr/share/lowbit; export S PATH=\"$PWD/inst/usr/bin:$PATH\"; mkdir -p away; cd away; { %s; } 2>&1",
        command);
    shell_result r = shell_run(line);
    if (!strstr(r.out, text)) fail_msg("%s\nprinted\n%sexpected in it: %s", command, r.out, text);
    assert_int_equal(r.code, code);
    shell_free(&r);
}

static void test_install(void **state) {
    (void)state;
    transcript_workshop();
    make("install-files");
    shell_result r = shell_run("S=inst/usr/share/lowbit; mkdir $S/data/small && cp -r m $S/data/small/model && "
                               "cp eval.txt calibration.txt $S/data/small && "
                               "printf 'model: ../data/small/model\\neval: {text: ../data/small/eval.txt, protocol: "
                               "W2-32, windows: 2}\\nquantize: [{method: rtn, bits: 3}]\\n' > $S/configs/small.yaml");
    assert_int_equal(r.code, 0);
    shell_free(&r);
    expect("command -v lowbit", 0, "/inst/usr/bin/lowbit");
    /* A config by path and by name; results stay in the user's folder. */
    expect("lowbit check configs/small.yaml", 0, "/away/results/small");
    expect("lowbit run small --no-report", 0, "2 cells run, 0 kept");
    expect("ls results/small", 0, "sweep.json");
    expect("lowbit run smoll", 1, "smoll: cannot open");
    /* A model and a text that came along, and the user's own first. */
    expect("lowbit eval data/small/model data/small/eval.txt --protocol W2-32 --windows 2", 0, "W2-32");
    expect("mkdir -p data/small; echo short > data/small/eval.txt; lowbit eval data/small/model data/small/eval.txt "
           "--protocol W2-32",
           1, "data/small/eval.txt");
    expect("lowbit eval data/small/modle data/small/eval.txt --protocol W2-32", 1, "no such file");
    /* What is fetched goes to the user's folder, by the script that was installed. */
    expect("lowbit papers OPT-125M fp --paper GPTQ --table T3", 0, " 27.65 ");
    expect("lowbit sources", 0, "share/lowbit/tools/fetch NAME... brings them to data/cache");
    expect("lowbit check smollm2-135m", 1, "share/lowbit/tools/fetch smollm2-135m brings it to data/cache/");
    expect("printf x > y; LOWBIT_SOURCES=. \"$S/tools/fetch\" nothing-of-this-name", 1, "no such source");
    expect("head -c 9 \"$S/../man/man1/lowbit.1\"", 0, ".TH LOWBI");
    expect("tail -n 1 \"$S/../bash-completion/completions/lowbit\"", 0, "complete ");
    expect("head -n 1 \"$S/../zsh/site-functions/_lowbit\"", 0, "#compdef ");
    make("uninstall");
    r = shell_run("find inst -type f");
    assert_string_equal(r.out, "");
    shell_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_install)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

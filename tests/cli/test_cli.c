/* What users read: every transcript of tests/cli/expected is run again and compared. */
#include "support/support.h"
#include "support/transcript.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each in a workshop of its own. */
#define TRANSCRIPT(name)                                                                                               \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        transcript_workshop();                                                                                         \
        transcript_replay(#name);                                                                                      \
    }

TRANSCRIPT(help)
TRANSCRIPT(usage)
TRANSCRIPT(methods)
TRANSCRIPT(names)
TRANSCRIPT(topics)
TRANSCRIPT(models)
TRANSCRIPT(eval)
TRANSCRIPT(train)
TRANSCRIPT(config)
TRANSCRIPT(run)
TRANSCRIPT(quantize)
TRANSCRIPT(folders)
TRANSCRIPT(several)
TRANSCRIPT(papers)

/* Nobody reads the output any more: the program ends at once and without a word. */
static void test_closed_pipe(void **state) {
    (void)state;
    int ends[2];
    transcript_workshop();
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    char command[64];
    snprintf(command, sizeof command, "exec lowbit help config >&%d", ends[1]);
    shell_result r = shell_run(command);
    close(ends[1]);
    assert_int_equal(r.code, 128 + SIGPIPE);
    assert_string_equal(r.err, "");
    shell_free(&r);
}

/* Who reads only the head of a run's output loses no report; who has no room for the report sees the tables. */
static void test_report_and_tables(void **state) {
    (void)state;
    transcript_workshop();
    shell_result r =
        shell_run("printf 'model: m\neval: {text: eval.txt, protocol: W2-32, windows: 4}\nquantize: "
                  "[{method: rtn, bits: [2, 3, 4, 5, 6, 7, 8], group: [row, 8, 16]}]\n' > p.yaml; "
                  "lowbit run p.yaml 2>/dev/null | head -n 1; ls results/p/cells.csv results/p/report/index.html");
    assert_int_equal(r.code, 0);
    shell_free(&r);
    r = shell_run("rm -rf results/p/report; touch results/p/report; lowbit run p.yaml");
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.err, "results/p/report"));
    assert_non_null(strstr(r.out, "PPL \xc2\xb1 se"));
    shell_free(&r);
}

/* On a narrow terminal a cell's numbers stand below its name, and no line is cut. `script` gives the terminal. */
static void test_plan_on_a_narrow_terminal(void **state) {
    (void)state;
    transcript_workshop();
    shell_result r = shell_run("command -v script > /dev/null || exit 77; printf 'model: m\nquantize: [{method: rtn, "
                               "bits: 3, group: 16}]\n' > p.yaml; script -qc 'stty cols 48; lowbit check p.yaml' "
                               "/dev/null | tr -d '\\r'");
    if (r.code == 77) {
        shell_free(&r);
        skip();
    }
    assert_int_equal(r.code, 0);
    const char *row = strstr(r.out, "   2  rtn 3b g16\n 5.2542 ");
    if (!row) fail_msg("%s", r.out);
    assert_true(strcspn(strchr(row, '\n') + 1, "\n") <= 48);
    shell_free(&r);
}

/* groff, where there is one, has nothing to complain about. */
static void test_man_page(void **state) {
    (void)state;
    transcript_workshop();
    shell_result r = shell_run("lowbit help man > lowbit.1 && head -c 11 lowbit.1");
    assert_string_equal(r.out, ".TH LOWBIT ");
    assert_string_equal(r.err, "");
    assert_int_equal(r.code, 0);
    shell_free(&r);
    r = shell_run("command -v groff > /dev/null || exit 77; groff -man -Tutf8 -ww -P-cbou lowbit.1");
    if (r.code == 77) skip();
    assert_string_equal(r.err, "");
    assert_non_null(strstr(r.out, "lowbit eval MODEL TEXT"));
    assert_non_null(strstr(r.out, "EXIT STATUS"));
    shell_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_eval),
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_papers),
        cmocka_unit_test(test_man_page),
        cmocka_unit_test(test_closed_pipe),
        cmocka_unit_test(test_report_and_tables),
        cmocka_unit_test(test_plan_on_a_narrow_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

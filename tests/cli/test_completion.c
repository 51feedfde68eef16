/* The scripts of lowbit completion, in the shells that read them: what is offered after the words typed so far. */
#include <stdio.h>
#include <string.h>

#include "support/support.h"
#include "support/transcript.h"

/* What bash offers for the last of these words, on one line with a space before and behind each. */
static void offered(const char *words, char *out, size_t room) {
    char command[1024];
    snprintf(
        command, sizeof command,
        "bash -c 'source <(lowbit completion bash); COMP_WORDS=(lowbit %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "_lowbit; printf \" %%s\" \"${COMPREPLY[@]}\" \" \"'",
        words);
    shell_result r = shell_run(command);
    if (r.code || r.err[0]) fail_msg("%s: %d %s", command, r.code, r.err);
    snprintf(out, room, "%s", r.out);
    shell_free(&r);
}

static void expect(const char *words, const char *part) {
    char out[16384], word[128];
    offered(words, out, sizeof out);
    snprintf(word, sizeof word, " %s ", part);
    if (!strstr(out, word)) fail_msg("lowbit %s: no '%s' in%s", words, part, out);
}

static void expect_not(const char *words, const char *part) {
    char out[16384], word[128];
    offered(words, out, sizeof out);
    snprintf(word, sizeof word, " %s ", part);
    if (strstr(out, word)) fail_msg("lowbit %s: '%s' in%s", words, part, out);
}

static bool has(const char *shell) {
    char command[64];
    snprintf(command, sizeof command, "command -v %s", shell);
    shell_result r = shell_run(command);
    bool there = r.code == 0;
    shell_free(&r);
    return there;
}

static void of_bash(void **state) {
    (void)state;
    transcript_workshop();
    if (!has("bash")) skip();
    expect("r", "run");
    expect("r", "report");
    expect_not("r", "check");
    expect("\"\"", "completion");
    expect("report --so", "--sort");
    expect("report --", "--no-write");
    expect("report --sort kl_m", "kl_mean");
    expect("report --columns b/", "b/w");
    expect("report --format mark", "markdown");
    expect("methods g", "gptq");
    expect("help calib", "calibration");
    expect("help kl_m", "kl_mean");
    expect("help calibration.s", "calibration.samples");
    expect("help calibration.s", "calibration.seed");
    expect_not("help calibration.s", "calibration.length");
    expect("help plots.si", "plots.size");
    expect("help style", "style.gp");
    expect("report --columns bits,pp", "bits,ppl");
    expect("report --columns method,bits,ppl_m", "method,bits,ppl_mean_seeds");
    expect("report --columns pp", "ppl");
    expect("report --columns bits,", "bits,method");
    expect("quantize m --method wa", "wanda");
    expect("quantize m --gro", "--group");
    expect("run x.yaml -o calibration.sam", "calibration.samples=");
    expect("run x.yaml -o axes.bi", "axes.bits=");
    expect("run x.yaml --", "--keep-stale");
    expect("completion z", "zsh");
    expect("run cal", "calibration.txt"); /* a file */
    expect("train x --family ll", "llama");
    expect_not("train x -o thr", "threads="); /* its keys are the model's */
}

static void of_zsh(void **state) {
    (void)state;
    if (!has("zsh")) skip();
    shell_result r = shell_run(
        "lowbit completion zsh > _lowbit; zsh -f -c 'compdef() { :; }; source ./_lowbit; compset() { print -r -- set "
        "\"$*\" }; compadd() { print -r -- \"$*: $name \"; print -rl -- $told; }; "
        "words=(lowbit report --sort k); CURRENT=4; _lowbit; words=(lowbit meth); CURRENT=2; _lowbit; "
        "words=(lowbit report --columns bits,p); CURRENT=4; _lowbit; words=(lowbit help cal); CURRENT=3; _lowbit'");
    if (r.code || r.err[0]) fail_msg("%d %s", r.code, r.err);
    assert_non_null(strstr(r.out, " kl_mean "));
    assert_non_null(strstr(r.out, " methods "));
    assert_null(strstr(r.out, " --wide "));
    assert_non_null(strstr(r.out, "-l -d told -a name: --help --version "));
    assert_non_null(strstr(r.out, "\nset -P *,\n-q -S , -l -d told -a name: "));
    assert_non_null(strstr(r.out, "\nmethods                      list "));
    assert_non_null(strstr(r.out, "\nkl_mean                      mean KL("));
    assert_non_null(strstr(r.out, " calibration.samples "));
    assert_non_null(strstr(r.out, "\ncalibration.starved_experts  an expert that "));
    shell_free(&r);
}

static void unknown_shell(void **state) {
    (void)state;
    shell_result r = shell_run("exec lowbit completion fish");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "lowbit completion: no completion for 'fish': there is bash and zsh\n");
    shell_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_bash),
        cmocka_unit_test(of_zsh),
        cmocka_unit_test(unknown_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* lowbit generate as a user meets it, on a small model that the test exports. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "eval/generate.h"
#include "math/blas.h"
#include "support/llama.h"
#include "support/run_cli.h"

enum { VOCAB = 280, CONTEXT = 64 };
static const char *home;
static char model[LB_TEST_PATH], piped[LB_TEST_PATH];
static lb_model *made;

static int make_files(void **state) {
    (void)state;
    static const char line[] = "The cat sat on the mat. The dog sat on the log, and 12 cats sat on 34 mats.\n";
    lb_str words = {0};
    if (lb_blas_init(1) != LB_OK) return -1;
    made = llama_random((lb_arch){.layers = 2,
                                  .dim = 16,
                                  .hidden = 24,
                                  .heads = 2,
                                  .kv_heads = 1,
                                  .head_dim = 8,
                                  .vocab = VOCAB,
                                  .context = CONTEXT,
                                  .rope = LB_ROPE_PAIRS},
                        31);
    home = lb_test_tmpdir();
    snprintf(model, sizeof model, "%s/tiny", home);
    snprintf(piped, sizeof piped, "%s/prompt.txt", home);
    for (int i = 0; i < 40; i++) lb_str_add(&words, "%s", line);
    assert_ok(lb_tokenizer_train(words.s, words.len, VOCAB, &made->tokenizer));
    assert_ok(lb_model_export(made, &made->weights, LB_F32, model, NULL));
    assert_ok(lb_fs_write_atomic(piped, "The cat sat\n", 12));
    lb_str_free(&words);
    return 0;
}
static int drop(void **state) {
    (void)state;
    lb_model_close(made);
    return 0;
}

/* What the library adds to the prompt, as the screen shows it. */
static char *by_library(const char *prompt, int64_t most, lb_sampling how) {
    lb_arena *a;
    int32_t *ids;
    char *text;
    size_t len;
    lb_generate_request r = {.most = most, .eos = lb_tokenizer_eos(made->tokenizer), .sampling = how};
    lb_generation g;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_tokenizer_encode(made->tokenizer, prompt, strlen(prompt), true, &ids, &r.n_prompt));
    r.prompt = ids;
    assert_ok(lb_generate(made->net, &made->weights, &r, NULL, a, &g));
    assert_ok(lb_text_behind(made->tokenizer, ids, r.n_prompt, g.token, g.n, &text, &len));
    lb_free(ids);
    lb_arena_free(a);
    return text;
}

/* Behind the prompt stands the text, as a screen takes it. */
static void check_text(const char *out, const char *prompt, const char *text) {
    char *shown;
    size_t n;
    FILE *f = open_memstream(&shown, &n);
    assert_non_null(f);
    lb_cli_put(f, text);
    assert_int_equal(fclose(f), 0);
    const char *from = strstr(out, prompt);
    assert_non_null(from);
    if (strncmp(from + strlen(prompt), shown, n) != 0) fail_msg("%s, not %s", from, shown);
    free(shown);
}

static void continues_the_prompt(void **state) {
    (void)state;
    char *text = by_library("The cat sat", 20, (lb_sampling){0.0, 1.0, 0});
    for (int threads = 1; threads <= 2; threads++) {
        cli_result r =
            CLI(NULL, "generate", model, "The cat sat", "--tokens", "20", "--threads", threads == 1 ? "1" : "2");
        assert_int_equal(r.code, 0);
        cli_has(r.out, "model       tiny, safetensors: F32");
        cli_has(r.out, "tokens (byte-level BPE");
        cli_has(r.out, "\n\nThe cat sat");
        check_text(r.out, "\n\nThe cat sat", text);
        cli_has(r.out, "tokens      20: as many as asked for\n");
        cli_has(r.out, "first token after ");
        cli_has(r.out, " tokens a second, ");
        cli_has_not(r.out, "drawn");
        cli_free(&r);
    }
    lb_free(text);
}

/* The part between the head and what is said of the time. */
static char *middle(const cli_result *r) {
    const char *from = strstr(r->out, "\n\n"), *to = strstr(r->out, "time        ");
    assert_non_null(from);
    assert_non_null(to);
    return strndup(from, (size_t)(to - from));
}

static void draws_the_same_from_the_same_seed(void **state) {
    (void)state;
    char *text[4];
    static const char *const seed[] = {"7", "7", "8", "7"}, *const weights[] = {"resident", "stream", "resident",
                                                                                "resident"};
    static const char *const top_p[] = {"1", "1", "1", "0.2"};
    for (int i = 0; i < 4; i++) {
        cli_result r = CLI(NULL, "generate", model, "The cat", "--temperature", "1.5", "--seed", seed[i], "--weights",
                           weights[i], "--top-p", top_p[i], "--tokens", "30");
        assert_int_equal(r.code, 0);
        cli_has(r.out, "drawn       temperature 1.5, top-p ");
        text[i] = middle(&r);
        cli_free(&r);
    }
    assert_string_equal(text[0], text[1]);
    assert_string_not_equal(text[0], text[2]);
    assert_string_not_equal(text[0], text[3]);
    for (int i = 0; i < 4; i++) free(text[i]);
}

static void standard_input_and_the_context(void **state) {
    (void)state;
    char command[4 * LB_TEST_PATH], out[4096], same[4096];
    const char *program = getenv("BUILD") ? getenv("BUILD") : "build/release";
    snprintf(command, sizeof command, "%s/lowbit generate %s - --tokens 5 --threads 1 <%s | grep -v ^time", program,
             model, piped);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    snprintf(command, sizeof command, "%s/lowbit generate %s 'The cat sat' --tokens 5 --threads 1 | grep -v ^time",
             program, model);
    assert_int_equal(cli_shell(command, same, sizeof same), 0);
    assert_string_equal(out, same);
    cli_result r = CLI(NULL, "generate", model, "The cat sat on the mat.", "--tokens", "1000");
    assert_int_equal(r.code, 0);
    cli_has(r.out, ": the context is full\n");
    cli_free(&r);
}

static void fails(const char *message, cli_result r) {
    assert_int_not_equal(r.code, 0);
    cli_has(r.err, message);
    cli_free(&r);
}

static void what_cannot_be(void **state) {
    (void)state;
    char words[8 * CONTEXT + 1];
    for (int i = 0; i < 8 * CONTEXT; i++) words[i] = "qzxj"[i % 4];
    words[8 * CONTEXT] = 0;
    fails("PROMPT has no token", CLI(NULL, "generate", model, ""));
    cli_result r = CLI(NULL, "generate", model, words);
    assert_string_equal(r.out, ""); /* known before anything appears */
    fails("leave room in the model's context of 64", r);
    fails("tokens = 0: must be in", CLI(NULL, "generate", model, "x", "--tokens", "0"));
    fails("top_p = 0: must be in", CLI(NULL, "generate", model, "x", "--top-p", "0"));
    fails("temperature = -1: must be in", CLI(NULL, "generate", model, "x", "--temperature", "-1"));
    fails("--model: ", CLI(NULL, "generate", model, "x", "--model", model));
    fails("usage: lowbit generate MODEL PROMPT", CLI(NULL, "generate", model));
    fails("/dev/null", CLI(NULL, "generate", "/dev/null", "x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(continues_the_prompt), cmocka_unit_test(draws_the_same_from_the_same_seed),
        cmocka_unit_test(standard_input_and_the_context), cmocka_unit_test(what_cannot_be)};
    return cmocka_run_group_tests_name("generate", tests, make_files, drop);
}

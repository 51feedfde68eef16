/* lowbit eval, inspect and models as a user meets them, on a small model that the test exports. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "eval/perplexity.h"
#include "io/json.h"
#include "math/blas.h"
#include "support/llama.h"
#include "support/run_cli.h"

static const char *home;
static char model[LB_TEST_PATH], huge[LB_TEST_PATH], text[LB_TEST_PATH];

static int make_files(void **state) {
    (void)state;
    static const char line[] = "The cat sat on the mat. The dog sat on the log, and 12 cats sat on 34 mats.\n";
    lb_str words = {0};
    lb_model *m = llama_random((lb_arch){.layers = 2,
                                         .dim = 16,
                                         .hidden = 24,
                                         .heads = 2,
                                         .kv_heads = 1,
                                         .head_dim = 8,
                                         .vocab = 280,
                                         .context = 64,
                                         .rope = LB_ROPE_PAIRS},
                               31);
    home = lb_test_tmpdir();
    snprintf(model, sizeof model, "%s/tiny", home);
    snprintf(text, sizeof text, "%s/cats.txt", home);
    for (int i = 0; i < 40; i++) lb_str_add(&words, "%s", line);
    assert_ok(lb_str_check(&words));
    assert_ok(lb_fs_write_atomic(text, words.s, words.len));
    assert_ok(lb_tokenizer_train(words.s, words.len, 280, &m->tokenizer));
    assert_ok(lb_model_export(m, &m->weights, LB_F32, model, NULL));
    snprintf(huge, sizeof huge, "%s/huge", home);
    ((float *)(uintptr_t)m->weights.site[m->net->head].W.d)[5 * 16 + 3] = 1e30f;
    assert_ok(lb_model_export(m, &m->weights, LB_BF16, huge, NULL));
    lb_str_free(&words);
    lb_model_close(m);
    return 0;
}

/* What the library says to what the command must print. */
static lb_eval by_library(int64_t windows, int64_t *tokens) {
    lb_model *m;
    lb_corpus *c;
    static lb_arena *arena;
    lb_eval_request r = {.max_windows = windows};
    lb_eval e;
    if (!arena) assert_ok(lb_arena_new(0, &arena));
    assert_ok(lb_protocol_parse("W2-32", &r.protocol));
    assert_ok(lb_model_open(model, LB_WEIGHTS, NULL, &m));
    assert_ok(lb_corpus_open(text, m->tokenizer, LB_BOS_AUTO, NULL, &c));
    r.corpus = c;
    assert_ok(lb_perplexity(m->net, &m->weights, &r, NULL, arena, NULL, &e));
    *tokens = c->tokens;
    double *kept = LB_NEW(arena, double, e.windows);
    assert_non_null(kept);
    memcpy(kept, e.window_nll, (size_t)e.windows * sizeof *kept);
    e.window_nll = kept;
    lb_corpus_close(c);
    lb_model_close(m);
    return e;
}

static void eval_prints_and_writes(void **state) {
    (void)state;
    char json[LB_TEST_PATH], want[128];
    int64_t tokens;
    lb_eval e = by_library(5, &tokens);
    snprintf(json, sizeof json, "%s/e.json", home);
    for (int threads = 1; threads <= 2; threads++) {
        const char *count = threads == 1 ? "1" : "2";
        cli_result r =
            CLI(NULL, "eval", model, text, "--protocol", "W2-32", "--windows", "5", "--threads", count, "--json", json);
        assert_int_equal(r.code, 0);
        snprintf(want, sizeof want, "perplexity  %.6f +- %.6f (standard error over windows)", e.ppl, e.ppl_se);
        cli_has(r.out, want);
        snprintf(want, sizeof want, "tokens      %lld (byte-level BPE, smollm; bos auto: none)", (long long)tokens);
        cli_has(r.out, want);
        snprintf(want, sizeof want, "protocol    W2-32: 5 of %lld windows, 155 tokens scored", (long long)tokens / 32);
        cli_has(r.out, want);
        cli_has(r.out, "F32 (21 tensors)");
        cli_free(&r);

        json_t *o;
        double ppl;
        int64_t n;
        assert_ok(lb_json_read(json, &o));
        assert_ok(lb_json_num(json, o, "perplexity", &ppl));
        assert_ok(lb_json_int(json, o, "windows", &n));
        assert_true(ppl == e.ppl && n == 5); /* every digit, at any number of threads */
        const json_t *nll = json_object_get(o, "window_nll");
        for (size_t i = 0; i < 5; i++) assert_true(json_real_value(json_array_get(nll, i)) == e.window_nll[i]);
        json_decref(o);
    }
}

static void one_window_has_no_error(void **state) {
    (void)state;
    cli_result r = CLI(NULL, "eval", model, text, "--protocol=W2-64", "--windows", "1", "--bos", "never");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "(one window: no standard error)");
    cli_has(r.out, "bos never");
    cli_free(&r);
}

/* The result is the same; where time went follows on standard error. */
static void profile(void **state) {
    (void)state;
    cli_result r = CLI(NULL, "eval", model, text, "--protocol=W2-32", "--windows", "3", "--profile");
    cli_result plain = CLI(NULL, "eval", model, text, "--protocol=W2-32", "--windows", "3");
    assert_int_equal(r.code, 0);
    cli_has(r.err, "roofline: ");
    cli_has(r.err, "evaluate    ");
    cli_has(r.err, "float32 products");
    cli_has(r.err, "attention");
    cli_has(r.err, "anything else");
    assert_null(strstr(plain.err, "roofline"));
    size_t same = (size_t)(strstr(plain.out, "time ") - plain.out);
    assert_memory_equal(r.out, plain.out, same);
    cli_free(&r);
    cli_free(&plain);
}

static void fails(const char *message, cli_result r) {
    assert_true(r.code != 0);
    assert_string_equal(r.out, "");
    cli_has(r.err, message);
    cli_free(&r);
}

static void eval_refuses(void **state) {
    (void)state;
    char missing[LB_TEST_PATH], bare[LB_TEST_PATH];
    snprintf(missing, sizeof missing, "%s/nothing.txt", home);
    lb_test_fixture("tests/oracle/fixtures/llama-tiny.gguf", bare);
    fails("protocol", CLI(NULL, "eval", model, text));
    fails("protocol 'PTB-middle' is not known", CLI(NULL, "eval", model, text, "--protocol", "PTB-middle"));
    fails("longer than the model's context of 64", CLI(NULL, "eval", model, text, "--protocol", "W2-65"));
    fails("nothing.txt", CLI(NULL, "eval", model, missing, "--protocol", "W2-32"));
    fails("nothing.txt", CLI(NULL, "eval", missing, text, "--protocol", "W2-32"));
    fails("no tokenizer was read, so a text cannot become tokens: the file has no key tokenizer.ggml.model",
          CLI(NULL, "eval", bare, text, "--protocol", "W2-32"));
    fails("windows = -1", CLI(NULL, "eval", model, text, "--protocol", "W2-32", "--windows", "-1"));
    fails("bos = both", CLI(NULL, "eval", model, text, "--protocol", "W2-32", "--bos", "both"));
    cli_result r = CLI(NULL, "eval", model, text, "--protocol", "W2-32", "--windows", "1", "--json", "/no/e.json");
    assert_true(r.code != 0);
    cli_has(r.out, "perplexity"); /* what was measured is not lost with the file */
    cli_has(r.err, "no/e.json");
    cli_free(&r);
}

/* One huge weight, which every number of the file can be: the evaluation fails, alone and in a sweep, and no table
 * shows an infinity. */
static void perplexity_that_overflows(void **state) {
    (void)state;
    char config[LB_TEST_PATH], path[LB_TEST_PATH], *bytes = NULL;
    lb_str text_of = {0};
    snprintf(config, sizeof config, "%s/huge.yaml", home);
    fails("perplexity overflows: the mean NLL is ", CLI(NULL, "eval", huge, text, "--protocol", "W2-32"));
    fails("perplexity overflows: the mean NLL is ", CLI(NULL, "eval", huge, text, "--protocol", "LCPP-32"));
    lb_str_add(
        &text_of,
        "name: huge\nmodel: %s\nresults: %s/results\neval:\n  - {text: %s, protocol: W2-32, windows: 4, name: cats}\n"
        "quantize: [{method: rtn, bits: 8}]\n",
        huge, home, text);
    assert_ok(lb_str_check(&text_of));
    assert_ok(lb_fs_write_atomic(config, text_of.s, text_of.len));
    lb_str_free(&text_of);
    cli_result r = CLI(NULL, "run", config);
    assert_int_equal(r.code, 1);
    cli_has(r.err, "none failed: evaluation cats, W2-32: perplexity overflows");
    cli_has(r.err, "rtn 8b row failed: evaluation cats, W2-32: perplexity overflows");
    cli_has_not(r.out, "inf");
    cli_free(&r);
    snprintf(path, sizeof path, "%s/results/huge/cells.csv", home);
    assert_ok(lb_fs_read(path, &bytes, NULL));
    cli_has_not(bytes, "inf");
    lb_free(bytes);
}

static void inspect_shows_all(void **state) {
    (void)state;
    char gguf[LB_TEST_PATH];
    cli_result r = CLI(NULL, "inspect", model);
    assert_int_equal(r.code, 0);
    cli_has(r.out, "parameters   ");
    cli_has(r.out, "attention    2 heads of 8, 1 key-value heads");
    cli_has(r.out, "RoPE, base 10000, halves layout, context 64");
    cli_has(r.out, "byte-level BPE, smollm, 280 tokens");
    cli_has(r.out, "model.layers.1.mlp.down_proj.weight");
    cli_has(r.out, "\"rms_norm_eps\"");
    cli_free(&r);
    r = CLI(NULL, "inspect", model, "--no-tensors", "--no-metadata");
    assert_int_equal(r.code, 0);
    assert_null(strstr(r.out, "down_proj"));
    assert_null(strstr(r.out, "rms_norm_eps"));
    cli_free(&r);
    lb_test_fixture("tests/oracle/fixtures/llama-tiny.gguf", gguf);
    r = CLI(NULL, "inspect", gguf);
    assert_int_equal(r.code, 0);
    cli_has(r.out, "F16 (16 tensors), F32 (5)");
    cli_has(r.out, "tokenizer    not read, because the file has no key tokenizer.ggml.model");
    cli_has(r.out, "general.architecture = ");
    cli_has(r.out, "1.down       F16             32 x 48          3072  blk.1.ffn_down.weight");
    cli_free(&r);
    fails("nothing.gguf", CLI(NULL, "inspect", "nothing.gguf"));
}

static void models_lists(void **state) {
    (void)state;
    cli_result r = CLI(NULL, "models");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "llama ");
    cli_free(&r);
    r = CLI(NULL, "models", "llama");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "(kv_heads*head_dim, dim)");
    cli_has(r.out, "model.layers.#.self_attn.k_proj.weight");
    cli_has(r.out, "blk.#.attn_k.weight");
    cli_free(&r);
    fails("unknown family 'lama': did you mean 'llama'?", CLI(NULL, "models", "lama"));
    fails("unknown family 'bert'", CLI(NULL, "models", "bert"));
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eval_prints_and_writes),
        cmocka_unit_test(one_window_has_no_error),
        cmocka_unit_test(profile),
        cmocka_unit_test(eval_refuses),
        cmocka_unit_test(perplexity_that_overflows),
        cmocka_unit_test(inspect_shows_all),
        cmocka_unit_test(models_lists),
    };
    return cmocka_run_group_tests(tests, make_files, NULL);
}

/* tokenizer.json and what lies beside it: who decides about BOS, values that nobody needs, and vocabularies that no
 * file could hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "support/io_probe.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

/* What decides is the post-processor; tokenizer_config.json names tokens, and where it or its class says otherwise
 * about BOS that is told. Saving keeps all but the dispute, which a class without an opinion ends. */
static void test_config(void **state) {
    (void)state;
    static const struct {
        const char *config;
        bool post, adds;
        int bos, eos;
        const char *dispute;
    } cases[] = {
        {"{\"eos_token\":\"b\"}", true, true, 0, 2, NULL},
        {"{\"bos_token\":\"a\",\"eos_token\":{\"content\":\"b\"},\"add_bos_token\":false,\"tokenizer_class\":"
         "\"LlamaTokenizer\"}",
         true, true, 0, 2,
         "tokenizer.json's post-processor puts \"<u>\", which is taken; tokenizer_config.json says add_bos_token: "
         "false"},
        {"{\"bos_token\":\"a\",\"add_bos_token\":false,\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", true, true, 0,
         -1, "add_bos_token: false"},
        {"{\"bos_token\":null,\"eos_token\":\"not there\"}", true, true, 0, -1, NULL},
        {"{\"add_bos_token\":true,\"tokenizer_class\":\"LlamaTokenizerFast\"}", true, true, 0, -1, NULL},
        {"{\"bos_token\":\"a\",\"model_max_length\":1000000000000000019884624838656}", false, false, 1, -1, NULL},
        {"{\"bos_token\":\"a\",\"add_bos_token\":true}", false, false, 1, -1,
         "tokenizer.json's post-processor puts no BOS, which is taken; tokenizer_config.json says add_bos_token: true"},
        {"{\"bos_token\":\"a\",\"tokenizer_class\":\"LlamaTokenizerFast\"}", false, false, 1, -1,
         "which is taken; transformers 4 puts one for tokenizer_class LlamaTokenizerFast"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":false}", false, false, -1, -1, NULL},
        {"{\"tokenizer_class\":\"GPT2Tokenizer\"}", false, false, -1, -1, NULL},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":null}", true, true, 0, -1,
         "puts \"<u>\", which is taken; transformers 4 puts none for tokenizer_class LlamaTokenizer"},
        {"{\"tokenizer_class\":\"GPTNeoXTokenizerFast\"}", true, true, 0, -1,
         "transformers 4 puts none for tokenizer_class GPTNeoXTokenizerFast"},
        {"{\"tokenizer_class\":\"GPTNeoXTokenizer\"}", false, false, -1, -1, NULL},
        {"{\"bos_token\":\"a\",\"tokenizer_class\":\"LlamaTokenizer\"}", true, true, 0, -1,
         "puts \"<u>\", which is taken; the BOS of transformers' class, which some versions put, is \"a\""},
        {"{\"bos_token\":\"a\",\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", true, true, 0, -1, NULL},
    };
    char again[LB_TEST_PATH];
    snprintf(again, sizeof again, "%s/again", lb_test_tmpdir());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_in(json_dir(), "tokenizer_config.json", cases[i].config);
        lb_tokenizer *t;
        assert_ok(cases[i].post ? load_edited("\"1.0\"", "\"1.0\"", &t) : load_without_post(&t));
        for (int round = 0; round < 2; round++) {
            const char *dispute = lb_tokenizer_bos_dispute(t);
            if (round || !cases[i].dispute)
                assert_null(dispute);
            else if (!dispute || !strstr(dispute, cases[i].dispute))
                fail_msg("case %zu: %s", i, dispute ? dispute : "no dispute");
            assert_int_equal(lb_tokenizer_adds_bos(t), cases[i].adds);
            assert_int_equal(lb_tokenizer_bos(t), cases[i].bos);
            assert_int_equal(lb_tokenizer_eos(t), cases[i].eos);
            assert_ok(lb_tokenizer_save(t, again));
            lb_tokenizer_free(t);
            assert_ok(lb_tokenizer_from_dir(again, &t));
        }
        lb_tokenizer_free(t);
    }
    write_in(json_dir(), "tokenizer_config.json", "{\"eos_token\":7}");
    lb_tokenizer *t;
    assert_status(LB_E_FORMAT, load_edited("\"1.0\"", "\"1.0\"", &t));
    assert_error_has("tokenizer_config.json: eos_token must be a string");
    write_in(json_dir(), "tokenizer_config.json", "{\"add_bos_token\":\"yes\"}");
    assert_status(LB_E_FORMAT, load_edited("\"1.0\"", "\"1.0\"", &t));
    assert_error_has("tokenizer_config.json: key 'add_bos_token': expected true or false");
    char *path = lb_fs_join(json_dir(), "tokenizer_config.json");
    assert_int_equal(remove(path), 0);
    lb_free(path);
}

/* Without tokenizer_config.json, or a class in it, transformers asks config.json, and some classes go by that too. */
static void test_class_of_model(void **state) {
    (void)state;
    static const struct {
        const char *model, *config; /* tokenizer_config.json; NULL: there is none */
        bool post;
        const char *dispute;
    } cases[] = {
        {"llama", NULL, false,
         "puts no BOS, which is taken; transformers 4 and 5.2 put one for config.json's model_type llama, as no "
         "tokenizer_class is named"},
        {"llama", NULL, true, NULL},
        {"gpt2", NULL, false, NULL},
        {"llama", "{\"add_bos_token\":false}", false,
         "puts no BOS, which is taken; transformers 5.2 puts one for config.json's model_type llama, as no "
         "tokenizer_class is named, whatever add_bos_token says"},
        {"llama", "{\"add_bos_token\":null}", false, "which is taken; transformers 5.2 puts one"},
        {"llama", "{\"add_bos_token\":null}", true, "which is taken; transformers 4 puts none"},
        {"llama", "{\"add_bos_token\":true}", false,
         "which is taken; tokenizer_config.json says add_bos_token: true; transformers 5.2 puts one"},
        {"llama", "{\"add_bos_token\":false,\"tokenizer_class\":\"LlamaTokenizer\"}", false, NULL},
        {"llama", "{\"add_bos_token\":false,\"tokenizer_class\":\"CodeLlamaTokenizer\"}", false,
         "which is taken; transformers 5.24 puts one for tokenizer_class CodeLlamaTokenizer, whatever add_bos_token"},
        {"llama", "{\"add_bos_token\":true,\"tokenizer_class\":\"GPTNeoXTokenizer\"}", true,
         "which is taken; transformers 5.24 puts none for tokenizer_class GPTNeoXTokenizer, whatever add_bos_token"},
        {"llama", "{\"bos_token\":\"a\"}", true, "which is taken; the BOS of transformers' class"},
        {"gpt2", "{\"bos_token\":\"a\"}", true, NULL},
    };
    char *model = lb_fs_join(json_dir(), "config.json"), *config = lb_fs_join(json_dir(), "tokenizer_config.json");
    assert_true(model && config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        lb_tokenizer *t;
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"}", cases[i].model);
        write_in(json_dir(), "config.json", text);
        if (cases[i].config) write_in(json_dir(), "tokenizer_config.json", cases[i].config);
        assert_ok(cases[i].post ? load_edited("\"1.0\"", "\"1.0\"", &t) : load_without_post(&t));
        const char *dispute = lb_tokenizer_bos_dispute(t);
        if (!cases[i].dispute != !dispute || (dispute && !strstr(dispute, cases[i].dispute)))
            fail_msg("case %zu: %s", i, dispute ? dispute : "no dispute");
        assert_true(lb_tokenizer_adds_bos(t) == cases[i].post);
        lb_tokenizer_free(t);
        if (cases[i].config) assert_int_equal(remove(config), 0);
    }
    assert_int_equal(remove(model), 0);
    lb_free(model);
    lb_free(config);
}

/* Numbers and texts that nobody needs may be anything; a vocabulary with NUL is none. */
static void test_odd_json(void **state) {
    (void)state;
    lb_tokenizer *t;
    assert_ok(load_edited(
        "\"version\":\"1.0\"",
        "\"version\":1e999,\"truncation\":{\"max_length\":1000000000000000019884624838656},\"x\":\"\\ud800\"", &t));
    lb_tokenizer_free(t);
    assert_status(LB_E_FORMAT, load_edited("\"b\":2", "\"b\":20000000000000000000", &t));
    assert_error_has("the id of \"b\" is not an integer");
    assert_status(LB_E_FORMAT, load_edited("\"b\":2", "\"b\":2,\"b\":3", &t));
    assert_error_has("key 'b' is given twice: 2 and 3");
    assert_status(LB_E_UNSUPPORTED, load_edited("\"b\":2", "\"b\":2,\"q\\u0000\":8", &t));
    assert_error_has("token 8 holds a NUL byte");
}

/* What a chat template cannot hold as UTF-8 is written as it was read, or as the replacement character. */
static void test_chat_template(void **state) {
    (void)state;
    static const char config[] = "{\"chat_template\":\"a\\u0000b\\ud800c\\n\\\"\"}";
    char again[LB_TEST_PATH], path[LB_TEST_PATH + 32], *text;
    lb_tokenizer *t;
    snprintf(again, sizeof again, "%s/chat", lb_test_tmpdir());
    write_in(json_dir(), "tokenizer_config.json", config);
    assert_ok(load_edited("\"1.0\"", "\"1.0\"", &t));
    assert_ok(lb_tokenizer_save(t, again));
    lb_tokenizer_free(t);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", again);
    assert_ok(lb_fs_read(path, &text, NULL));
    assert_non_null(strstr(text, "\"chat_template\":\"a\\u0000b\\ud800c\\u000a\\\"\""));
    lb_free(text);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", json_dir());
    assert_int_equal(remove(path), 0);
}

/* In a GGUF file a token's length is told apart from its bytes. */
static void test_nul_in_gguf(void **state) {
    (void)state;
    static const char token[] = "\xe2\x96\x81the";
    char path[LB_TEST_PATH];
    size_t size;
    lb_gguf *g;
    lb_tokenizer *t = NULL;
    lb_test_fixture("tests/oracle/fixtures/tokenizer/scores.gguf", path);
    uint8_t *bytes = slurp(path, &size), *at = memmem(bytes, size, token, sizeof token - 1);
    assert_non_null(at);
    memfile m = memfile_make(bytes, size);
    memfile_set(&m, (size_t)(at - bytes) + 4, 0);
    assert_ok(lb_gguf_open(m.path, &g));
    assert_status(LB_E_UNSUPPORTED, lb_tokenizer_from_gguf(g, &t));
    assert_error_has("holds a NUL byte: such a vocabulary is not read");
    lb_gguf_close(g);
    memfile_close(&m);
    free(bytes);
}

/* Where a file says the same thing twice, or a text is no UTF-8; what is expected is the tokenizers library's. */
static void test_said_twice(void **state) {
    (void)state;
    static const struct {
        const char *added, *normalizer, *text;
        int64_t n;
        int32_t want[4];
    } cases[] = {
        {"", "null", "abc", 2, {0, 4}}, /* a pair that is merged twice: the last rank counts */
        /* Added tokens that are one once they are normalized: the special one, or the first. */
        {"{\"id\":6,\"content\":\"X\",\"normalized\":true},"
         "{\"id\":7,\"content\":\"x\",\"normalized\":true,\"special\":true}",
         "{\"type\":\"Lowercase\"}",
         "axXb",
         4,
         {0, 7, 7, 1}},
        {"{\"id\":6,\"content\":\"X\",\"normalized\":true,\"special\":true},"
         "{\"id\":7,\"content\":\"x\",\"normalized\":true}",
         "{\"type\":\"Lowercase\"}",
         "axXb",
         4,
         {0, 6, 6, 1}},
        {"{\"id\":6,\"content\":\"X\",\"normalized\":true},{\"id\":7,\"content\":\"x\",\"normalized\":true}",
         "{\"type\":\"Lowercase\"}",
         "axXb",
         4,
         {0, 6, 6, 1}},
        /* A lone byte is no letter, nor part of the one before it: as U+FFFD is in the library. */
        {"{\"id\":6,\"content\":\"<x>\",\"single_word\":true}", "null", "a\x80<x>", 2, {0, 6}},
        {"{\"id\":6,\"content\":\"<x>\",\"single_word\":true}", "null", "a<x>", 1, {0}},
    };
    char dir[LB_TEST_PATH], text[2048];
    snprintf(dir, sizeof dir, "%s/twice", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    lb_tokenizer *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t *id;
        int64_t n;
        snprintf(text, sizeof text,
                 "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"<0x+A>\":5},"
                 "\"merges\":[\"a b\",\"b c\",\"a b\"]},\"normalizer\":%s,\"decoder\":{\"type\":\"ByteFallback\"},"
                 "\"added_tokens\":[%s]}",
                 cases[i].normalizer, cases[i].added);
        write_in(dir, "tokenizer.json", text);
        lb_tokenizer_free(t);
        assert_ok(lb_tokenizer_from_dir(dir, &t));
        assert_ok(lb_tokenizer_encode(t, cases[i].text, strlen(cases[i].text), true, &id, &n));
        assert_int_equal(n, cases[i].n);
        assert_memory_equal(id, cases[i].want, (size_t)n * sizeof *id);
        lb_free(id);
    }
    char *back; /* a byte's name is read as the library's language reads numbers */
    size_t len;
    assert_ok(lb_tokenizer_decode(t, (int32_t[]){5, 0}, 2, &back, &len));
    assert_string_equal(back, "\na");
    lb_free(back);
    lb_tokenizer_free(t);
}

static void test_strip_decoder(void **state) {
    (void)state;
    static const struct {
        int start, stop;
        const char *want;
    } cases[] = {{0, 2, "bbbaba"}, {0, 1, "bbbabba"}, {2, 0, "babbba"}, {1, 1, "bbabba"}, {9, 9, "aa"}};
    char dir[LB_TEST_PATH], text[512];
    snprintf(dir, sizeof dir, "%s/strip", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_tokenizer *t;
        char *back;
        size_t len;
        snprintf(text, sizeof text,
                 "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"bbbabbb\":1},\"merges\":[]},\"decoder\":"
                 "{\"type\":\"Strip\",\"content\":\"b\",\"start\":%d,\"stop\":%d}}",
                 cases[i].start, cases[i].stop);
        write_in(dir, "tokenizer.json", text);
        assert_ok(lb_tokenizer_from_dir(dir, &t));
        assert_ok(lb_tokenizer_decode(t, (int32_t[]){1, 0}, 2, &back, &len));
        assert_string_equal(back, cases[i].want);
        lb_free(back);
        lb_tokenizer_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),        cmocka_unit_test(test_class_of_model), cmocka_unit_test(test_odd_json),
        cmocka_unit_test(test_chat_template), cmocka_unit_test(test_nul_in_gguf),    cmocka_unit_test(test_said_twice),
        cmocka_unit_test(test_strip_decoder),
    };
    return cmocka_run_group_tests_name("model/tokenizer folder", tests, NULL, NULL);
}

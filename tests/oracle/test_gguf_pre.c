/* The words that a text is cut into, for every name of a pre-tokenizer in GGUF, as llama.cpp cuts them
 * (make_gguf_pre.py). Words show in the ids of a vocabulary with two tokens a byte: one for the first of a word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "model/tokenizer/impl.h"
#include "support/support.h"

static lb_tokenizer *two_tokens_a_byte(const char *pre) {
    lb_tokenizer *t;
    assert_ok(lb_tok_new("bytes", &t));
    t->byte_level = t->alphabet = true;
    t->prefix = (lb_tok_view){"##", 2};
    assert_ok(lb_tok_named_pre(t, pre));
    assert_ok(lb_tok_spell_bytes(t));
    t->ignore_merges = false;
    assert_ok(lb_tok_reserve(t, 512, 512 * 4));
    for (int b = 0; b < 512; b++) {
        char s[8] = "##";
        int n = 2 + lb_tok_byte_char((uint8_t)b, s + 2);
        const char *from = b < 256 ? s + 2 : s;
        assert_ok(lb_tok_put(t, b, from, (size_t)(s + n - from), LB_TOK_NORMAL));
    }
    assert_ok(lb_tok_pieces(t));
    assert_ok(lb_tok_finish(t));
    return t;
}

static void one_text(const lb_tokenizer *t, const char *name, const char *hex, const char *words) {
    int32_t *id;
    int64_t n, at = 0;
    size_t len;
    char *s = lb_test_unhex(hex, &len);
    assert_ok(lb_tokenizer_encode(t, s, len, false, &id, &n));
    assert_int_equal(n, len);
    while (*words) {
        char *end;
        int64_t k = strtoll(words, &end, 10);
        words = end + (*end == ' ');
        for (int64_t i = 0; i < k; i++, at++)
            if ((id[at] < 256) != (i == 0))
                fail_msg("%s: text %s: byte %lld is %sthe first of a word here", name, hex, (long long)at,
                         i ? "" : "not ");
    }
    assert_int_equal(at, n);
    lb_free(id);
    lb_free(s);
}

static void test_words(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    json_t *root;
    lb_test_fixture("tests/oracle/fixtures/tokenizer/gguf_pre.json", path);
    assert_ok(lb_json_read(path, &root));
    const json_t *group, *v, *texts = json_object_get(root, "texts");
    size_t i, k, m, names = 0;
    json_array_foreach(json_object_get(root, "groups"), i, group) {
        json_array_foreach(json_object_get(group, "names"), k, v) {
            const char *name = json_string_value(v);
            lb_tokenizer *t = two_tokens_a_byte(name);
            for (m = 0; m < json_array_size(texts); m++)
                one_text(t, name, json_string_value(json_array_get(texts, m)),
                         json_string_value(json_array_get(json_object_get(group, "words"), m)));
            lb_tokenizer_free(t);
            names++;
        }
    }
    assert_true(names >= 70 && json_array_size(texts) > 50);
    json_decref(root);
}

static void test_other_names(void **state) {
    (void)state;
    static const char *const names[] = {"", "gpt", "gpt-", "olm", "llama-bpe2", "kimi-k2", "gpt-2 phi-2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lb_tokenizer *t;
        assert_ok(lb_tok_new("x.gguf", &t));
        assert_status(LB_E_UNSUPPORTED, lb_tok_named_pre(t, names[i]));
        assert_error_has("(tokenizer.ggml.pre): known are gpt-2 phi-2");
        lb_tokenizer_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_other_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

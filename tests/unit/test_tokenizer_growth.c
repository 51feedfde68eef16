/* Texts that a tokenizer's own components make longer: by as much as those of models do, and not without end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"

/* `n` times the component, in a Sequence. */
static void repeat(lb_str *out, const char *key, const char *list, const char *component, int n) {
    lb_str_add(out, ",\"%s\":{\"type\":\"Sequence\",\"%s\":[", key, list);
    for (int i = 0; i < n; i++) lb_str_add(out, "%s%s", i ? "," : "", component);
    lb_str_add(out, "]}");
}

static lb_status load(const char *key, const char *list, const char *component, int n, const char *added,
                      lb_tokenizer **t) {
    lb_str s = {0};
    lb_str_add(&s,
               "{\"added_tokens\":[%s],\"model\":{\"type\":\"BPE\",\"unk_token\":\"u\",\"fuse_unk\":true,\"vocab\":"
               "{\"u\":0,\"a\":1,\"b\":2,\"\xc3\x83\":3},\"merges\":[]}",
               added);
    repeat(&s, key, list, component, n);
    lb_str_add(&s, "}");
    assert_ok(lb_str_check(&s));
    write_in(json_dir(), "tokenizer.json", s.s);
    lb_str_free(&s);
    return lb_tokenizer_from_dir(json_dir(), t);
}

static lb_status encode(const lb_tokenizer *t, const char *text, size_t len, int64_t *n) {
    int32_t *id;
    LB_TRY(lb_tokenizer_encode(t, text, len, true, &id, n));
    lb_free(id);
    return LB_OK;
}

static char *many(const char *part, size_t n) {
    size_t k = strlen(part);
    char *s = malloc(n * k + 1);
    assert_non_null(s);
    for (size_t i = 0; i < n; i++) memcpy(s + i * k, part, k);
    s[n * k] = 0;
    return s;
}

#define TWICE(pattern) "{\"type\":\"Replace\",\"pattern\":{" pattern "},\"content\":\"aa\"}"

/* 20 replacements of one by two are a million for each character; without a bound this test takes minutes and fills the
 * memory. */
static void test_normalizers(void **state) {
    (void)state;
    static const char *const components[] = {
        TWICE("\"String\":\"a\""), TWICE("\"Regex\":\"a\""),
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":"
        "\"\xc3\xa9\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\".\"},\"content\":\"aa\"}]}"};
    char *text = many("a", 20000);
    for (size_t i = 0; i < sizeof components / sizeof *components; i++) {
        lb_tokenizer *t;
        int64_t n;
        assert_ok(load("normalizer", "normalizers", components[i], i < 2 ? 20 : 10, "", &t));
        assert_status(LB_E_UNSUPPORTED, encode(t, text, 20000, &n));
        assert_error_has("tokenizer.json: the tokenizer makes a text too long: by more than 128 bytes for each of its");
        lb_tokenizer_free(t);
        assert_ok(load("normalizer", "normalizers", components[i], 6, "", &t));
        assert_ok(encode(t, text, 20000, &n));
        assert_int_equal(n, 1280000);
        lb_tokenizer_free(t);
    }
    free(text);
}

/* One replacement that is long: the sum over the pieces between added tokens counts, not each for itself. */
static void test_one_replacement(void **state) {
    (void)state;
    enum { PIECES = 60 }; /* a bound that each has for itself is told by them, and they fill no memory */
    char *content = many("b", 60000), *text = many("axx", PIECES);
    lb_str component = {0};
    lb_tokenizer *t;
    int64_t n;
    lb_str_add(&component, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"%s\"}", content);
    assert_ok(load("normalizer", "normalizers", component.s, 1,
                   "{\"id\":4,\"content\":\"xx\",\"special\":true,\"normalized\":false}", &t));
    assert_ok(encode(t, text, 3 * 10, &n));
    assert_int_equal(n, 10 * 60001);
    assert_status(LB_E_UNSUPPORTED, encode(t, text, 3 * PIECES, &n));
    assert_error_has("the tokenizer makes a text too long");
    lb_tokenizer_free(t);
    component.len = 0;
    lb_str_add(&component, "{\"type\":\"Prepend\",\"prepend\":\"%s\"}", content);
    assert_ok(load("normalizer", "normalizers", component.s, 1,
                   "{\"id\":4,\"content\":\"xx\",\"special\":true,\"normalized\":false}", &t));
    assert_status(LB_E_UNSUPPORTED, encode(t, text, 3 * PIECES, &n));
    lb_tokenizer_free(t);
    lb_str_free(&component);
    free(content);
    free(text);
}

/* An added token that is matched in normalized text is normalized when the file is read. */
static void test_added(void **state) {
    (void)state;
    lb_tokenizer *t;
    assert_status(LB_E_UNSUPPORTED, load("normalizer", "normalizers", TWICE("\"String\":\"a\""), 20,
                                         "{\"id\":4,\"content\":\"aaaa\",\"special\":true,\"normalized\":true}", &t));
    assert_error_has("the tokenizer makes a text too long");
}

/* Each ByteLevel makes two bytes of one that is no ASCII. */
static void test_steps(void **state) {
    (void)state;
    lb_tokenizer *t;
    int64_t n;
    char *text = many("\xc3\xa9", 50000);
    assert_ok(load("pre_tokenizer", "pretokenizers", BYTE_LEVEL, 18, "", &t));
    assert_status(LB_E_UNSUPPORTED, encode(t, text, 100000, &n));
    assert_error_has("the tokenizer makes a text too long");
    lb_tokenizer_free(t);
    assert_ok(load("pre_tokenizer", "pretokenizers", BYTE_LEVEL, 4, "", &t));
    assert_ok(encode(t, text, 100000, &n));
    lb_tokenizer_free(t);
    free(text);
}

static void test_decoders(void **state) {
    (void)state;
    enum { N = 100000 };
    static int32_t id[N];
    lb_tokenizer *t;
    char *text;
    size_t len;
    for (int i = 0; i < N; i++) id[i] = 1;
    assert_ok(load("decoder", "decoders", TWICE("\"String\":\"a\""), 20, "", &t));
    assert_status(LB_E_UNSUPPORTED, lb_tokenizer_decode(t, id, N, &text, &len));
    assert_error_has("the tokenizer makes a text too long");
    lb_tokenizer_free(t);
    assert_ok(load("decoder", "decoders", TWICE("\"Regex\":\"a\""), 5, "", &t));
    assert_ok(lb_tokenizer_decode(t, id, N, &text, &len));
    assert_int_equal(len, 32 * N);
    lb_free(text);
    lb_tokenizer_free(t);
}

/* U+FDFA is 18 characters in NFKD, of which two bytes each and then some become four. */
static void test_what_unicode_asks_for(void **state) {
    (void)state;
    lb_tokenizer *t;
    int64_t n;
    char *text = many("\xef\xb7\xba", 100000);
    assert_ok(load("normalizer", "normalizers", "{\"type\":\"NFKD\"},{\"type\":\"ByteLevel\"}", 1, "", &t));
    assert_ok(encode(t, text, 300000, &n));
    lb_tokenizer_free(t);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalizers), cmocka_unit_test(test_one_replacement),
        cmocka_unit_test(test_added),       cmocka_unit_test(test_steps),
        cmocka_unit_test(test_decoders),    cmocka_unit_test(test_what_unicode_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Real vocabularies (tests/real/fetch-vocabs, and the models' own) against the tokenizers library: every shared text
 * whole, 5,000 random ones with special tokens as text and parsed, by the hashes of tests/oracle/make_vocabs.py; and
 * against the ids that llama.cpp's tests expect, which lie beside the vocabularies. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "support/random_text.h"
#include "support/support.h"

static json_t *root;

static const json_t *fixture(void) {
    char path[LB_TEST_PATH];
    if (root) return root;
    lb_test_fixture("tests/oracle/fixtures/vocabs.json", path);
    assert_ok(lb_json_read(path, &root));
    return root;
}

static const char *text_of(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* An encoder's file says that a text ends with EOS, which is refused: its copy says that none does. */
static void without_eos(char path[LB_TEST_PATH]) {
    static const char key[] = "tokenizer.ggml.add_eos_token";
    char *bytes;
    size_t n;
    assert_ok(lb_fs_read(path, &bytes, &n));
    char *hit = memmem(bytes, n, key, sizeof key - 1);
    if (hit) hit[sizeof key - 1 + 4] = 0; /* behind the value's type */
    snprintf(path, LB_TEST_PATH, "%s/vocab.gguf", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, bytes, n));
    lb_free(bytes);
}

static lb_tokenizer *load(const json_t *v) {
    char path[LB_TEST_PATH];
    lb_gguf *g;
    lb_tokenizer *t;
    lb_test_source(text_of(v, "sha256"), path);
    if (!json_object_get(v, "special")) without_eos(path);
    assert_ok(lb_gguf_open(path, &g));
    assert_ok(lb_tokenizer_from_gguf(g, &t));
    lb_gguf_close(g);
    return t;
}

static void random_ones(const lb_tokenizer *t, const json_t *v) {
    const json_t *palette = json_object_get(fixture(), "palette"), *special = json_object_get(fixture(), "special");
    const json_t *parsed = json_object_get(v, "special"), *plain = json_object_get(v, "text");
    bool lossless = json_is_true(json_object_get(v, "lossless"));
    if (plain) random_texts_check(t, text_of(v, "name"), palette, special, false, lossless, plain);
    if (parsed) random_texts_check(t, text_of(v, "name"), palette, special, true, lossless, parsed);
}

static void whole_ones(const lb_tokenizer *t, const json_t *v) {
    const json_t *whole = json_object_get(v, "whole"), *w;
    size_t i;
    assert_true(json_array_size(whole) >= 8);
    json_array_foreach(whole, i, w) {
        char path[LB_TEST_PATH], hash[LB_HASH_HEX];
        char *text;
        size_t len;
        int32_t *id;
        int64_t n;
        lb_test_source(json_string_value(json_array_get(w, 0)), path);
        assert_ok(lb_fs_read(path, &text, &len));
        assert_ok(lb_tokenizer_encode(t, text, len, false, &id, &n));
        assert_ok(lb_hash_bytes(id, (size_t)n * sizeof *id, hash));
        if (n != json_integer_value(json_array_get(w, 1)) || strcmp(hash, json_string_value(json_array_get(w, 2))) != 0)
            fail_msg("%s: %s: %" PRId64 " tokens, expected %" JSON_INTEGER_FORMAT ", or other ones", text_of(v, "name"),
                     path, n, json_integer_value(json_array_get(w, 1)));
        lb_free(id);
        lb_free(text);
    }
}

static void same_as_theirs(void **state) {
    const json_t *v = *state;
    lb_tokenizer *t = load(v);
    random_ones(t, v);
    whole_ones(t, v);
    lb_tokenizer_free(t);
}

/* ---- llama.cpp's tests: FILE.inp has texts with a line between them, FILE.out a line of ids for each ---- */

static void expected_ids(const lb_tokenizer *t, const char *name, const char *text, size_t n, char **line) {
    int32_t *id;
    int64_t count;
    assert_ok(lb_tokenizer_encode(t, text, n, true, &id, &count));
    char *end = strchr(*line, '\n');
    for (int64_t i = 0; i <= count; i++) {
        char *next;
        long want = strtol(*line, &next, 10);
        bool none = next == *line || (end && next > end);
        if (none != (i == count) || (!none && want != id[i]))
            fail_msg("%s: \"%.*s\": token %" PRId64, name, (int)n, text, i);
        if (!none) *line = next;
    }
    *line = end ? end + 1 : *line;
    lb_free(id);
}

static void as_llama_cpp_expects(void **state) {
    static const char between[] = "\n__ggml_vocab_test__\n";
    const json_t *v = *state;
    char path[LB_TEST_PATH], *inp, *out;
    size_t n, len;
    lb_test_source(text_of(v, "sha256"), path);
    size_t end = strlen(path);
    assert_true(end + 5 < sizeof path);
    memcpy(path + end, ".inp", 5);
    if (!lb_fs_exists(path)) return; /* the file's tests are not there for every vocabulary */
    lb_tokenizer *t = load(v);
    assert_ok(lb_fs_read(path, &inp, &n));
    memcpy(path + end, ".out", 5);
    assert_ok(lb_fs_read(path, &out, &len));
    char *line = out;
    size_t at = 0, texts = 0;
    for (bool more = true; more; texts++) {
        const char *hit = memmem(inp + at, n - at, between, sizeof between - 1);
        more = hit != NULL;
        size_t stop = more ? (size_t)(hit - inp) : n;
        expected_ids(t, text_of(v, "name"), inp + at, stop - at, &line);
        at = stop + sizeof between - 1;
    }
    assert_true(texts > 40);
    lb_free(inp);
    lb_free(out);
    lb_tokenizer_free(t);
}

int main(void) {
    static struct CMUnitTest tests[80];
    static char name[80][96];
    const json_t *vocabs = json_object_get(fixture(), "vocabs"), *v;
    size_t i, n = 0;
    json_array_foreach(vocabs, i, v) {
        for (int k = 0; k < 2 && n < 80; k++, n++) {
            snprintf(name[n], sizeof name[n], "%s %s", text_of(v, "name"),
                     k ? "as llama.cpp expects" : "as the library");
            tests[n] = (struct CMUnitTest){.name = name[n],
                                           .test_func = k ? as_llama_cpp_expects : same_as_theirs,
                                           .initial_state = (void *)(uintptr_t)v};
        }
    }
    int failed = _cmocka_run_group_tests("vocabularies", tests, n, NULL, NULL);
    json_decref(root);
    return failed;
}

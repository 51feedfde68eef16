/* tokenizer.model, BPE and Unigram, against sentencepiece; Unigram of tokenizer.json against the tokenizers library
 * (fixtures/sentencepiece, make_sentencepiece.py): 5,000 random texts each; and again from what was saved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/random_text.h"
#include "support/support.h"

static json_t *expected(void) {
    char path[LB_TEST_PATH];
    json_t *v;
    lb_test_fixture("tests/oracle/fixtures/sentencepiece/expected.json", path);
    assert_ok(lb_json_read(path, &v));
    return v;
}

/* A folder with the fixture NAME.end as `file`. */
static const char *folder_of(const char *name, const char *end, const char *file) {
    static char dir[LB_TEST_PATH];
    char fixture[LB_TEST_PATH], from[LB_TEST_PATH], *text;
    size_t n;
    snprintf(fixture, sizeof fixture, "tests/oracle/fixtures/sentencepiece/%s.%s", name, end);
    lb_test_fixture(fixture, from);
    snprintf(dir, sizeof dir, "%s/%s.%s", lb_test_tmpdir(), name, end);
    assert_ok(lb_fs_mkdirs(dir));
    assert_ok(lb_fs_read(from, &text, &n));
    char *to = lb_fs_join(dir, file);
    assert_non_null(to);
    assert_ok(lb_fs_write_atomic(to, text, n));
    lb_free(to);
    lb_free(text);
    return dir;
}

static const char *name_of(const json_t *m) { return json_string_value(json_object_get(m, "name")); }

static lb_tokenizer *saved_and_loaded(lb_tokenizer *t) {
    char dir[LB_TEST_PATH];
    lb_tokenizer *again;
    snprintf(dir, sizeof dir, "%s/saved", lb_test_tmpdir());
    assert_ok(lb_tokenizer_save(t, dir));
    assert_ok(lb_tokenizer_from_dir(dir, &again));
    assert_string_equal(lb_tokenizer_kind(again), lb_tokenizer_kind(t));
    lb_tokenizer_free(t);
    return again;
}

static void remove_saved(void) {
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json", "tokenizer.model"};
    for (size_t i = 0; i < 3; i++) {
        char path[LB_TEST_PATH];
        snprintf(path, sizeof path, "%s/saved/%s", lb_test_tmpdir(), files[i]);
        (void)remove(path);
    }
}

static void test_models(void **state) {
    (void)state;
    json_t *root = expected();
    const json_t *models = json_object_get(root, "models"), *m;
    const json_t *palette = json_object_get(root, "palette"), *special = json_object_get(root, "special");
    size_t i;
    assert_int_equal(json_array_size(models), 6);
    json_array_foreach(models, i, m) {
        lb_tokenizer *t;
        bool bpe = !strncmp(name_of(m), "bpe", 3);
        assert_int_equal(json_array_size(json_object_get(m, "text")), 50);
        assert_ok(lb_tokenizer_from_dir(folder_of(name_of(m), "model", "tokenizer.model"), &t));
        for (int round = 0; round < 2; round++) {
            assert_string_equal(lb_tokenizer_kind(t), bpe ? "SentencePiece BPE" : "SentencePiece Unigram");
            assert_int_equal(lb_tokenizer_vocab(t), json_integer_value(json_object_get(m, "pieces")));
            assert_int_equal(lb_tokenizer_bos(t), json_integer_value(json_object_get(m, "bos")));
            assert_int_equal(lb_tokenizer_eos(t), json_integer_value(json_object_get(m, "eos")));
            random_texts_check(t, name_of(m), palette, special, false, json_is_true(json_object_get(m, "lossless")),
                               json_object_get(m, "text"));
            if (round == 0) t = saved_and_loaded(t);
        }
        lb_tokenizer_free(t);
        remove_saved();
    }
    json_decref(root);
}

static void test_json(void **state) {
    (void)state;
    json_t *root = expected();
    const json_t *models = json_object_get(root, "json"), *m;
    const json_t *palette = json_object_get(root, "palette"), *special = json_object_get(root, "special");
    size_t i;
    assert_int_equal(json_array_size(models), 4);
    json_array_foreach(models, i, m) {
        lb_tokenizer *t;
        assert_ok(lb_tokenizer_from_dir(folder_of(name_of(m), "json", "tokenizer.json"), &t));
        assert_string_equal(lb_tokenizer_kind(t), "SentencePiece Unigram");
        for (int round = 0; round < 2; round++) {
            random_texts_check(t, name_of(m), palette, special, false, false, json_object_get(m, "text"));
            random_texts_check(t, name_of(m), palette, special, true, false, json_object_get(m, "special"));
            if (round == 0) t = saved_and_loaded(t);
        }
        lb_tokenizer_free(t);
        remove_saved();
    }
    json_decref(root);
}

/* The same model as unigram-rules.model, so the same ids. */
static void test_gguf(void **state) {
    (void)state;
    json_t *root = expected();
    const json_t *models = json_object_get(root, "models"), *m, *same = NULL;
    char path[LB_TEST_PATH];
    size_t i;
    lb_gguf *g;
    lb_tokenizer *t;
    json_array_foreach(models, i, m) if (!strcmp(name_of(m), "unigram-rules")) same = m;
    assert_non_null(same);
    lb_test_fixture("tests/oracle/fixtures/sentencepiece/unigram.gguf", path);
    assert_ok(lb_gguf_open(path, &g));
    assert_ok(lb_tokenizer_from_gguf(g, &t));
    lb_gguf_close(g);
    assert_string_equal(lb_tokenizer_kind(t), "SentencePiece Unigram");
    assert_int_equal(lb_tokenizer_bos(t), json_integer_value(json_object_get(same, "bos")));
    assert_false(lb_tokenizer_adds_bos(t));
    random_texts_check(t, "unigram.gguf", json_object_get(root, "palette"), json_object_get(root, "special"), false,
                       false, json_object_get(same, "text"));
    assert_status(LB_E_UNSUPPORTED, lb_tokenizer_save(t, lb_test_tmpdir()));
    assert_error_has("a Unigram tokenizer of GGUF: tokenizer.json cannot express its normalizer");
    lb_tokenizer_free(t);
    json_decref(root);
}

/* Where both files are, tokenizer.json is read, as in transformers. */
static void test_json_counts_first(void **state) {
    (void)state;
    const char *dir = folder_of("words", "json", "tokenizer.json");
    char from[LB_TEST_PATH], *text;
    size_t n;
    lb_tokenizer *t;
    lb_test_fixture("tests/oracle/fixtures/sentencepiece/bpe.model", from);
    assert_ok(lb_fs_read(from, &text, &n));
    char *to = lb_fs_join(dir, "tokenizer.model");
    assert_ok(lb_fs_write_atomic(to, text, n));
    assert_ok(lb_tokenizer_from_dir(dir, &t));
    assert_string_equal(lb_tokenizer_kind(t), "SentencePiece Unigram");
    lb_tokenizer_free(t);
    lb_free(to);
    lb_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_json_counts_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

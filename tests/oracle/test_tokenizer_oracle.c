/* Our ids against those of the `tokenizers` and `sentencepiece` packages (fixtures/tokenizer, make_tokenizer.py), for
 * each kind of tokenizer; and again after saving and loading what was saved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/json.h"
#include "model/tokenizer/tokenizer.h"
#include "support/support.h"
#include "support/token_ids.h"

static json_t *fixture(const char *name) {
    char path[LB_TEST_PATH];
    json_t *v;
    lb_test_fixture(name, path);
    assert_ok(lb_json_read(path, &v));
    return v;
}

static void expect_ids(const lb_tokenizer *t, const char *what, const char *hex, const json_t *want, bool special) {
    size_t len;
    char *text = lb_test_unhex(hex, &len);
    int32_t *id;
    int64_t n;
    assert_ok(lb_tokenizer_encode(t, text, len, special, &id, &n));
    expect_token_ids(what, hex, special, id, n, want);
    lb_free(id);
    lb_free(text);
}

/* ---- tokenizer.json ---- */

/* dir/tokenizer.json = the variant's components with its model. */
static void compose(const json_t *root, const json_t *v, const char *dir) {
    json_t *spec = json_deep_copy(json_object_get(v, "parts"));
    const char *base = json_string_value(json_object_get(v, "base"));
    json_t *model = json_deep_copy(json_object_get(json_object_get(root, "models"), base));
    const json_t *changes = json_object_get(v, "model");
    assert_int_equal(json_object_update(model, (json_t *)(uintptr_t)changes), 0);
    if (json_object_get(changes, "extra_vocab"))
        assert_int_equal(json_object_update(json_object_get(model, "vocab"), json_object_get(changes, "extra_vocab")),
                         0);
    if (json_object_get(changes, "extra_merges"))
        assert_int_equal(json_array_extend(json_object_get(model, "merges"), json_object_get(changes, "extra_merges")),
                         0);
    assert_int_equal(json_object_set_new(spec, "model", model), 0);
    assert_ok(lb_fs_mkdirs(dir));
    char *path = lb_fs_join(dir, "tokenizer.json"), *text = json_dumps(spec, 0);
    assert_true(path && text);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    free(text);
    lb_free(path);
    json_decref(spec);
}

static void all_texts(const json_t *root, const json_t *v, const char *dir) {
    const char *name = json_string_value(json_object_get(v, "name"));
    const json_t *texts = json_object_get(root, "texts");
    lb_tokenizer *t;
    assert_ok(lb_tokenizer_from_dir(dir, &t));
    assert_true(json_array_size(texts) > 30);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const char *hex = json_string_value(json_array_get(texts, i));
        const json_t *special = json_array_get(json_object_get(v, "special"), i);
        const json_t *plain = json_array_get(json_object_get(v, "text"), i);
        expect_ids(t, name, hex, special, true);
        expect_ids(t, name, hex, json_is_null(plain) ? special : plain, false);
    }
    lb_tokenizer_free(t);
}

static void test_json(void **state) {
    (void)state;
    json_t *root = fixture("tests/oracle/fixtures/tokenizer/variants.json");
    const json_t *variants = json_object_get(root, "variants"), *v;
    size_t i;
    assert_true(json_array_size(variants) >= 17);
    json_array_foreach(variants, i, v) {
        char dir[LB_TEST_PATH], again[LB_TEST_PATH];
        snprintf(dir, sizeof dir, "%s/v%zu", lb_test_tmpdir(), i);
        snprintf(again, sizeof again, "%s/again%zu", lb_test_tmpdir(), i);
        compose(root, v, dir);
        all_texts(root, v, dir);
        lb_tokenizer *t;
        assert_ok(lb_tokenizer_from_dir(dir, &t));
        assert_ok(lb_tokenizer_save(t, again));
        lb_tokenizer_free(t);
        all_texts(root, v, again);
    }
    json_decref(root);
}

static void test_kinds(void **state) {
    (void)state;
    static const struct {
        const char *name, *kind;
        bool adds_bos;
        int bos;
    } want[] = {
        {"gpt-2", "byte-level BPE, gpt-2", false, -1},
        {"smollm", "byte-level BPE, smollm", false, -1},
        {"llama 3", "byte-level BPE, llama-bpe", true, 403},
        {"several patterns", "byte-level BPE, pre-tokenizer of tokenizer.json", false, -1},
        {"llama 2", "SentencePiece BPE", true, 1},
    };
    json_t *root = fixture("tests/oracle/fixtures/tokenizer/variants.json");
    const json_t *v;
    size_t i, seen = 0;
    json_array_foreach(json_object_get(root, "variants"), i, v) {
        for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
            if (strcmp(want[k].name, json_string_value(json_object_get(v, "name"))) != 0) continue;
            char dir[LB_TEST_PATH];
            snprintf(dir, sizeof dir, "%s/kind", lb_test_tmpdir());
            compose(root, v, dir);
            lb_tokenizer *t;
            assert_ok(lb_tokenizer_from_dir(dir, &t));
            assert_string_equal(lb_tokenizer_kind(t), want[k].kind);
            assert_int_equal(lb_tokenizer_adds_bos(t), want[k].adds_bos);
            assert_int_equal(lb_tokenizer_bos(t), want[k].bos);
            lb_tokenizer_free(t);
            seen++;
        }
    }
    assert_int_equal(seen, sizeof want / sizeof *want);
    json_decref(root);
}

/* ---- GGUF ---- */

static lb_tokenizer *from_gguf(const char *name) {
    char path[LB_TEST_PATH];
    lb_gguf *g;
    lb_tokenizer *t;
    lb_test_fixture(name, path);
    assert_ok(lb_gguf_open(path, &g));
    assert_ok(lb_tokenizer_from_gguf(g, &t));
    lb_gguf_close(g);
    return t;
}

static lb_tokenizer *saved_and_loaded(const lb_tokenizer *t) {
    char dir[LB_TEST_PATH];
    lb_tokenizer *again;
    snprintf(dir, sizeof dir, "%s/saved", lb_test_tmpdir());
    assert_ok(lb_tokenizer_save(t, dir));
    assert_ok(lb_tokenizer_from_dir(dir, &again));
    assert_int_equal(lb_tokenizer_bos(again), lb_tokenizer_bos(t));
    assert_int_equal(lb_tokenizer_eos(again), lb_tokenizer_eos(t));
    assert_int_equal(lb_tokenizer_adds_bos(again), lb_tokenizer_adds_bos(t));
    assert_int_equal(lb_tokenizer_vocab(again), lb_tokenizer_vocab(t));
    assert_string_equal(lb_tokenizer_kind(again), lb_tokenizer_kind(t));
    return again;
}

/* The same model as the variant "llama 3", so the same ids. */
static void test_gguf_bytes(void **state) {
    (void)state;
    json_t *root = fixture("tests/oracle/fixtures/tokenizer/variants.json");
    const json_t *v = NULL, *each;
    size_t i;
    json_array_foreach(json_object_get(root, "variants"), i,
                       each) if (!strcmp(json_string_value(json_object_get(each, "name")), "llama 3")) v = each;
    assert_non_null(v);
    lb_tokenizer *t = from_gguf("tests/oracle/fixtures/tokenizer/bytes.gguf"), *again = saved_and_loaded(t);
    assert_string_equal(lb_tokenizer_kind(t), "byte-level BPE, llama-bpe");
    assert_true(lb_tokenizer_adds_bos(t));
    const json_t *texts = json_object_get(root, "texts");
    for (i = 0; i < json_array_size(texts); i++) {
        const char *hex = json_string_value(json_array_get(texts, i));
        const json_t *want = json_array_get(json_object_get(v, "special"), i);
        expect_ids(t, "bytes.gguf", hex, want, true);
        expect_ids(again, "bytes.gguf, saved", hex, want, true);
    }
    lb_tokenizer_free(t);
    lb_tokenizer_free(again);
    json_decref(root);
}

static void test_gguf_scores(void **state) {
    (void)state;
    json_t *root = fixture("tests/oracle/fixtures/tokenizer/scores.json"), *c;
    lb_tokenizer *t = from_gguf("tests/oracle/fixtures/tokenizer/scores.gguf"), *again = saved_and_loaded(t);
    assert_string_equal(lb_tokenizer_kind(t), "SentencePiece BPE");
    assert_int_equal(lb_tokenizer_bos(t), 1);
    assert_int_equal(lb_tokenizer_eos(t), 2);
    size_t i;
    assert_true(json_array_size(json_object_get(root, "cases")) >= 20);
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        const char *hex = json_string_value(json_array_get(c, 0));
        expect_ids(t, "scores.gguf", hex, json_array_get(c, 1), false);
        expect_ids(again, "scores.gguf, saved", hex, json_array_get(c, 1), false);
    }
    lb_tokenizer_free(t);
    lb_tokenizer_free(again);
    json_decref(root);
}

/* ---- training ---- */

/* The vocabulary that BpeTrainer learns from the same text (least frequency 2), id for id. */
static void test_training(void **state) {
    (void)state;
    json_t *root = fixture("tests/oracle/fixtures/tokenizer/train.json");
    const json_t *text = json_object_get(root, "text"), *vocab = json_object_get(root, "vocab"), *id;
    const char *key;
    lb_tokenizer *t;
    assert_ok(
        lb_tokenizer_train(json_string_value(text), json_string_length(text), (int64_t)json_object_size(vocab), &t));
    assert_int_equal(lb_tokenizer_vocab(t), 400);
    char dir[LB_TEST_PATH], path[LB_TEST_PATH + 32];
    snprintf(dir, sizeof dir, "%s/trained", lb_test_tmpdir());
    assert_ok(lb_tokenizer_save(t, dir));
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    json_t *saved;
    assert_ok(lb_json_read(path, &saved));
    const json_t *model = json_object_get(saved, "model"), *merges = json_object_get(root, "merges");
    json_object_foreach((json_t *)(uintptr_t)vocab, key, id) assert_int_equal(
        json_integer_value(json_object_get(json_object_get(model, "vocab"), key)), json_integer_value(id));
    assert_int_equal(json_array_size(json_object_get(model, "merges")), json_array_size(merges));
    for (size_t i = 0; i < json_array_size(merges); i++) {
        char both[256];
        const json_t *m = json_array_get(merges, i);
        snprintf(both, sizeof both, "%s %s", json_string_value(json_array_get(m, 0)),
                 json_string_value(json_array_get(m, 1)));
        assert_string_equal(json_string_value(json_array_get(json_object_get(model, "merges"), i)), both);
    }
    json_decref(saved);
    json_decref(root);
    lb_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_gguf_bytes),
        cmocka_unit_test(test_gguf_scores), cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

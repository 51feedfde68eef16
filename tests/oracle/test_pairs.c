/* vocab.json with merges.txt against two versions of transformers, with many files beside them (fixtures/pairs,
 * make_pairs.py): ids of random texts, named tokens, BOS; and again from what was saved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/random_text.h"
#include "support/support.h"

static char dir[LB_TEST_PATH], again[LB_TEST_PATH];

static void put_json(const char *where, const char *name, const json_t *o) {
    char path[LB_TEST_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", where, name);
    (void)remove(path);
    if (o) assert_int_equal(json_dump_file(o, path, 0), 0);
}

static json_t *fixture(const char *name) {
    char inner[128], path[LB_TEST_PATH];
    json_t *o;
    snprintf(inner, sizeof inner, "tests/oracle/fixtures/pairs/%s", name);
    lb_test_fixture(inner, path);
    assert_ok(lb_json_read(path, &o));
    return o;
}

static void copy_merges(void) {
    char from[LB_TEST_PATH], to[LB_TEST_PATH + 64], *text;
    size_t n;
    lb_test_fixture("tests/oracle/fixtures/pairs/merges.txt", from);
    snprintf(to, sizeof to, "%s/merges.txt", dir);
    assert_ok(lb_fs_read(from, &text, &n));
    assert_ok(lb_fs_write_atomic(to, text, n));
    lb_free(text);
}

/* The folder of a row, with its config.json in both places: what is saved has none. */
static void make_folder(const json_t *row, const json_t *vocab) {
    static const char *const beside[] = {"tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"};
    json_t *all = json_copy((json_t *)(uintptr_t)vocab);
    json_t *type = json_pack("{s:O}", "model_type", json_object_get(row, "type"));
    assert_true(all && type && !json_object_update(all, json_object_get(row, "more")));
    put_json(dir, "vocab.json", all);
    put_json(dir, "config.json", type);
    put_json(again, "config.json", type);
    for (int i = 0; i < 3; i++) put_json(dir, beside[i], json_object_get(json_object_get(row, "files"), beside[i]));
    json_decref(all);
    json_decref(type);
}

static void same_file(const char *name) {
    char path[LB_TEST_PATH + 64], *a = NULL, *b = NULL;
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    bool there = lb_fs_exists(path);
    if (there) assert_ok(lb_fs_read(path, &a, &n));
    snprintf(path, sizeof path, "%s/%s", again, name);
    assert_int_equal(lb_fs_exists(path), there);
    if (there) {
        assert_ok(lb_fs_read(path, &b, &m));
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
    }
    (void)remove(path);
    lb_free(a);
    lb_free(b);
}

static void check(const json_t *row, const json_t *root, const lb_tokenizer *t) {
    const char *name = json_string_value(json_object_get(row, "name"));
    const json_t *palette = json_object_get(root, "palette"), *special = json_object_get(root, "special");
    const json_t *named = json_object_get(row, "bos_eos");
    bool ok = lb_tokenizer_vocab(t) == json_integer_value(json_object_get(row, "size")) &&
              lb_tokenizer_bos(t) == json_integer_value(json_array_get(named, 0)) &&
              lb_tokenizer_eos(t) == json_integer_value(json_array_get(named, 1)) &&
              (lb_tokenizer_adds_bos(t) ? lb_tokenizer_bos(t) : -1) == json_integer_value(json_object_get(row, "puts"));
    if (!ok)
        fail_msg("%s: %d tokens, bos %d, eos %d, puts %d", name, (int)lb_tokenizer_vocab(t), lb_tokenizer_bos(t),
                 lb_tokenizer_eos(t), lb_tokenizer_adds_bos(t));
    assert_null(lb_tokenizer_bos_dispute(t));
    random_texts_check(t, name, palette, special, true, false, json_object_get(row, "special"));
    random_texts_check(t, name, palette, special, false, false, json_object_get(row, "text"));
}

static void test_rows(void **state) {
    (void)state;
    static const char *const files[] = {"vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json",
                                        "special_tokens_map.json"};
    json_t *root = fixture("expected.json"), *vocab = fixture("vocab.json"), *row;
    int refused = 0, given_twice = 0;
    size_t i;
    snprintf(dir, sizeof dir, "%s/pair", lb_test_tmpdir());
    snprintf(again, sizeof again, "%s/again", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    assert_ok(lb_fs_mkdirs(again));
    copy_merges();
    assert_true(json_array_size(json_object_get(root, "versions")) >= 2);
    json_array_foreach(json_object_get(root, "rows"), i, row) {
        lb_tokenizer *t = NULL;
        make_folder(row, vocab);
        lb_status status = lb_tokenizer_from_dir(dir, &t);
        if (json_is_true(json_object_get(row, "other_ids"))) {
            assert_status(LB_E_UNSUPPORTED, status);
            assert_error_has("which of them the model means is not told");
            refused++;
            continue;
        }
        bool twice = status == LB_E_UNSUPPORTED && strstr(lb_error(), "is given twice, with another");
        if (twice || json_is_true(json_object_get(row, "versions_differ"))) {
            assert_status(LB_E_UNSUPPORTED, status);
            assert_error_has("versions of the tokenizers library do not agree");
            given_twice++;
            continue;
        }
        if (status != LB_OK) fail_msg("%s: %s", json_string_value(json_object_get(row, "name")), lb_error());
        check(row, root, t);
        if (i % 8 == 0) {
            assert_ok(lb_tokenizer_save(t, again));
            lb_tokenizer_free(t);
            assert_ok(lb_tokenizer_from_dir(again, &t));
            check(row, root, t);
            for (int k = 0; k < 5; k++) same_file(files[k]);
        }
        lb_tokenizer_free(t);
    }
    printf("%zu rows: %d with ids that are refused, %d with tokens given twice\n", i, refused, given_twice);
    assert_true(refused > 0 && given_twice > 0 && refused + given_twice < (int)i / 3);
    json_decref(root);
    json_decref(vocab);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

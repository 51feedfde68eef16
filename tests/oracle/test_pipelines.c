/* Pipelines of tokenizer.json, those of model families and random ones: ids and decoded text as the tokenizers library
 * gives them (make_pipelines.py). LOWBIT_PIPELINES names another file of cases, as that script writes with numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/json.h"
#include "model/tokenizer/tokenizer.h"
#include "support/support.h"
#include "support/token_ids.h"

#define FIXTURE "tests/oracle/fixtures/tokenizer/pipelines.json"

static lb_tokenizer *load(const json_t *root, const json_t *c, const char *dir) {
    json_t *spec = json_deep_copy(json_object_get(c, "parts"));
    json_t *model =
        json_deep_copy(json_object_get(json_object_get(root, "models"), json_string_value(json_object_get(c, "base"))));
    assert_int_equal(json_object_update(model, json_object_get(c, "model")), 0);
    assert_int_equal(json_object_set_new(spec, "model", model), 0);
    assert_ok(lb_fs_mkdirs(dir));
    char *path = lb_fs_join(dir, "tokenizer.json"), *text = json_dumps(spec, 0);
    assert_true(path && text);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    free(text);
    lb_free(path);
    json_decref(spec);
    lb_tokenizer *t;
    lb_status status = lb_tokenizer_from_dir(dir, &t);
    if (status != LB_OK) fail_msg("%s: %s", json_string_value(json_object_get(c, "name")), lb_error());
    return t;
}

static void one_text(const lb_tokenizer *t, const char *name, const json_t *text) {
    const char *hex = json_string_value(json_array_get(text, 0)), *back = json_string_value(json_array_get(text, 3));
    size_t len, back_len;
    char *s = lb_test_unhex(hex, &len);
    for (int special = 1; special >= 0; special--) {
        const json_t *want = json_array_get(text, 1), *plain = json_array_get(text, 2);
        if (!special && !json_is_null(plain)) want = plain;
        int32_t *id;
        int64_t n;
        char *out;
        assert_ok(lb_tokenizer_encode(t, s, len, special, &id, &n));
        expect_token_ids(name, hex, special, id, n, want);
        if (special && back) {
            char *expected = lb_test_unhex(back, &back_len);
            assert_ok(lb_tokenizer_decode(t, id, n, &out, &len));
            if (len != back_len || memcmp(out, expected, len) != 0)
                fail_msg("%s: text %s decodes to \"%.*s\", the library says \"%.*s\"", name, hex, (int)len, out,
                         (int)back_len, expected);
            lb_free(out);
            lb_free(expected);
            len = strlen(hex) / 2;
        }
        lb_free(id);
    }
    lb_free(s);
}

static void test_pipelines(void **state) {
    (void)state;
    char path[LB_TEST_PATH], dir[LB_TEST_PATH];
    const char *other = getenv("LOWBIT_PIPELINES");
    json_t *root;
    lb_test_fixture(FIXTURE, path);
    assert_ok(lb_json_read_most(other ? other : path, LB_JSON_MOST_VOCAB, &root));
    const json_t *cases = json_object_get(root, "cases"), *c, *text;
    size_t i, k, texts = 0;
    snprintf(dir, sizeof dir, "%s/pipeline", lb_test_tmpdir());
    assert_true(json_array_size(cases) >= 100);
    json_array_foreach(cases, i, c) {
        lb_tokenizer *t = load(root, c, dir);
        json_array_foreach(json_object_get(c, "texts"), k, text) {
            one_text(t, json_string_value(json_object_get(c, "name")), text);
            texts++;
        }
        lb_tokenizer_free(t);
    }
    assert_true(texts >= 900);
    printf("%zu pipelines, %zu texts\n", json_array_size(cases), texts);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pipelines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

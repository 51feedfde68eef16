/* BOS of a model's folder against three versions of transformers (make_bos.py): what is put is what the post-processor
 * says, and where a version puts something else, or add_bos_token says so, the dispute names it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "io/json.h"
#include "model/tokenizer/tokenizer.h"
#include "support/support.h"

static char dir[LB_TEST_PATH];

static void put_json(const char *name, json_t *o) {
    char path[LB_TEST_PATH + 32];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    if (!json_is_null(o)) assert_int_equal(json_dump_file(o, path, JSON_ENCODE_ANY), 0);
}

/* What is put, "" for nothing. */
static void taken(const lb_tokenizer *t, char out[16]) {
    size_t n = 0;
    const char *s = lb_tokenizer_adds_bos(t) ? lb_tokenizer_piece(t, lb_tokenizer_bos(t), &n) : "";
    snprintf(out, 16, "%.*s", (int)n, s);
}

/* 4.57.6: "transformers 4", 5.24.0: "5.24". */
static bool names_version(const char *dispute, const char *version) {
    char part[16];
    if (version[0] == '4') return strstr(dispute, "transformers 4 ") != NULL;
    snprintf(part, sizeof part, " %.*s put", (int)(strrchr(version, '.') - version), version);
    return strstr(dispute, part) != NULL;
}

static void check_row(const char *what, const lb_tokenizer *t, const json_t *add, json_t *puts) {
    const char *dispute = lb_tokenizer_bos_dispute(t), *version;
    char ours[16];
    json_t *v;
    bool differ = false;
    taken(t, ours);
    bool contradicts = json_is_boolean(add) && json_is_true(add) != (*ours != 0);
    json_object_foreach(puts, version, v) {
        const char *theirs = json_is_null(v) ? "" : json_string_value(v);
        if (strcmp(theirs, ours) == 0) continue;
        differ = true;
        bool other_token = *theirs && *ours;
        if (!dispute)
            fail_msg("%s: transformers %s puts '%s', here '%s', and nothing is said", what, version, theirs, ours);
        if (other_token ? !strstr(dispute, "some versions put") : !contradicts && !names_version(dispute, version))
            fail_msg("%s: transformers %s puts '%s', here '%s': not in: %s", what, version, theirs, ours, dispute);
    }
    if (dispute && !differ && !contradicts) fail_msg("%s: all agree, but: %s", what, dispute);
    if (contradicts && !strstr(dispute, "tokenizer_config.json says add_bos_token")) fail_msg("%s: %s", what, dispute);
}

static void what_versions_put(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    json_t *root, *row, *model = json_pack("{s:s}", "model_type", "llama");
    size_t i;
    lb_test_fixture("tests/oracle/fixtures/tokenizer/bos.json", path);
    assert_ok(lb_json_read(path, &root));
    snprintf(dir, sizeof dir, "%s", lb_test_tmpdir());
    assert_true(json_array_size(json_object_get(root, "versions")) >= 3);
    put_json("config.json", model);
    json_array_foreach(json_object_get(root, "rows"), i, row) {
        json_t *config = json_array_get(row, 1), *tokenizer = json_object_get(root, "tokenizer");
        const char *post = json_string_value(json_array_get(row, 0));
        char *what = json_dumps(row, 0), ours[16];
        lb_tokenizer *t;
        json_object_set(tokenizer, "post_processor", json_object_get(json_object_get(root, "posts"), post));
        put_json("tokenizer.json", tokenizer);
        put_json("tokenizer_config.json", config);
        assert_ok(lb_tokenizer_from_dir(dir, &t));
        taken(t, ours);
        assert_string_equal(ours, post[0] == '<' ? post : "");
        check_row(what, t, json_object_get(config, "add_bos_token"), json_array_get(row, 2));
        lb_tokenizer_free(t);
        free(what);
    }
    assert_int_equal(i, 164);
    json_decref(root);
    json_decref(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_versions_put)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

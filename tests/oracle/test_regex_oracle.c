/* Patterns of tokenizer.json against the tokenizers library: every construct that is taken cuts each text where the
 * library cuts it, every other is refused by name. With a file of make_regex.py --random as argument, that one. */
#include <jansson.h>
#include <stdlib.h>

#include "base/fs.h"
#include "model/tokenizer/impl.h"
#include "support/support.h"

static const char *fixture_file;

static json_t *read_fixture(void) {
    char path[LB_TEST_PATH];
    json_t *root;
    if (fixture_file)
        snprintf(path, sizeof path, "%s", fixture_file);
    else
        lb_test_fixture("tests/oracle/fixtures/tokenizer/regex.json", path);
    assert_ok(lb_json_read(path, &root));
    return root;
}

/* Calls `each` for the end of every piece that an isolating Split by the pattern makes. */
typedef void (*each_end)(void *user, size_t end);
static lb_status cut(lb_tokenizer *t, const lb_tok_pattern *p, const char *s, size_t n, each_end each, void *user) {
    lb_tok_run r;
    size_t done = 0;
    t->step[0] = (lb_tok_step){.kind = LB_TOK_REGEX, .regex = *p};
    t->n_step = 1;
    assert_ok(lb_tok_run_new(t, &r));
    lb_tok_matches m = lb_tok_matches_of(&r, p, (lb_tok_view){s, n});
    lb_status status;
    for (;;) {
        bool found;
        size_t start, end;
        status = lb_tok_match_next(&m, &found, &start, &end);
        if (status != LB_OK || !found) break;
        if (start > done) each(user, start);
        if (end > start) each(user, end);
        done = end;
    }
    if (status == LB_OK && done < n) each(user, n);
    lb_tok_run_free(&r);
    t->n_step = 0;
    return status;
}

typedef struct expected {
    const json_t *row; /* [text, ends...] */
    const char *pattern;
    size_t at;
    bool wrong;
} expected;
static void compare_end(void *user, size_t end) {
    expected *e = user;
    if ((size_t)json_integer_value(json_array_get(e->row, e->at++)) != end) e->wrong = true;
}

static int check_cuts(lb_tokenizer *t, const json_t *root, const json_t *row, const lb_tok_pattern *p) {
    const char *pattern = json_string_value(json_array_get(row, 0));
    bool either = !strcmp(json_string_value(json_array_get(row, 1)), "either");
    int compared = 0;
    for (size_t i = 2; i < json_array_size(row); i++) {
        expected e = {.row = json_array_get(row, i), .pattern = pattern, .at = 1};
        size_t n;
        json_int_t text = json_integer_value(json_array_get(e.row, 0));
        char *s = lb_test_unhex(json_string_value(json_array_get(json_object_get(root, "texts"), (size_t)text)), &n);
        lb_status status = cut(t, p, s, n, compare_end, &e);
        if (either && status == LB_E_UNSUPPORTED && strstr(lb_error(), "too many to try")) {
            lb_error_clear(); /* the library tries longer */
        } else {
            assert_ok(status);
            compared++;
            if (e.wrong || e.at != json_array_size(e.row)) fail_msg("pattern '%s' cuts '%s' elsewhere", pattern, s);
        }
        lb_free(s);
    }
    return compared;
}

static void test_rows(void **state) {
    (void)state;
    json_t *root = read_fixture();
    const json_t *row;
    size_t i;
    int n_equal = 0, n_refused = 0;
    lb_tokenizer *t;
    assert_ok(lb_tok_new("tokenizer.json", &t));
    json_array_foreach(json_object_get(root, "rows"), i, row) {
        const char *pattern = json_string_value(json_array_get(row, 0));
        const char *want = json_string_value(json_array_get(row, 1));
        lb_tok_pattern p = {0};
        lb_status status = lb_tok_pattern_new(t, "pre-tokenizer Split", pattern, &p);
        bool refused = !strncmp(want, "refused: ", 9);
        if (status == LB_OK) {
            if (refused || !strcmp(want, "error")) fail_msg("pattern '%s' is taken: expected %s", pattern, want);
            n_equal += check_cuts(t, root, row, &p) > 0;
        } else {
            assert_int_equal(status, LB_E_UNSUPPORTED);
            if (!strcmp(want, "equal") || (refused && !strstr(lb_error(), want + 9)))
                fail_msg("pattern '%s': expected %s: %s", pattern, want, lb_error());
            if (!strstr(lb_error(), "tokenizer.json: pre-tokenizer Split: pattern"))
                fail_msg("no file: %s", lb_error());
            n_refused++;
        }
        lb_tok_pattern_free(&p);
    }
    lb_tokenizer_free(t);
    json_decref(root);
    print_message("%d patterns cut as the library does, %d refused\n", n_equal, n_refused);
    assert_true(n_equal > 900 && n_refused > 200);
}

static void hash_end(void *user, size_t end) {
    uint64_t *h = user;
    for (int i = 0; i < 4; i++) *h = (*h ^ (end >> 8 * i & 0xFF)) * 0x100000001B3ULL;
}

/* Properties over the characters at which they change. */
static void test_properties(void **state) {
    (void)state;
    json_t *root = read_fixture();
    const json_t *row, *rows = json_object_get(root, "hashed");
    size_t i, n;
    if (!rows) {
        json_decref(root);
        skip();
    }
    char *s = lb_test_unhex(json_string_value(json_object_get(root, "edges")), &n);
    lb_tokenizer *t;
    assert_ok(lb_tok_new("tokenizer.json", &t));
    assert_true(json_array_size(rows) > 80);
    json_array_foreach(rows, i, row) {
        const char *pattern = json_string_value(json_array_get(row, 0));
        lb_tok_pattern p = {0};
        uint64_t h = 0xCBF29CE484222325ULL;
        char hex[32];
        assert_ok(lb_tok_pattern_new(t, "pre-tokenizer Split", pattern, &p));
        assert_ok(cut(t, &p, s, n, hash_end, &h));
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)h);
        if (strcmp(hex, json_string_value(json_array_get(row, 1))) != 0)
            fail_msg("pattern '%s' cuts elsewhere", pattern);
        lb_tok_pattern_free(&p);
    }
    lb_tokenizer_free(t);
    lb_free(s);
    json_decref(root);
}

int main(int argc, char **argv) {
    if (argc > 1) fixture_file = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_properties)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The recipes of papers' codes, against what loaders written anew in Python took of the same rows (tests/oracle/
 * make_recipes.py): every sequence's tokens. And what cannot be drawn. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "model/recipes.h"
#include "support/support.h"

static lb_tokenizer *tok;
static lb_arena *arena;

static int set_up(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    lb_test_fixture("data/builtin/model", dir);
    assert_ok(lb_tokenizer_from_dir(dir, &tok));
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    lb_tokenizer_free(tok);
    lb_arena_free(arena);
    return 0;
}

static lb_recipe recipe_named(const char *name) {
    int r = 0;
    while (lb_recipe_names[r] && strcmp(lb_recipe_names[r], name) != 0) r++;
    assert_non_null(lb_recipe_names[r]);
    return (lb_recipe)r;
}

static lb_corpus *opened(const char *path, const char *join, lb_bos bos) {
    lb_corpus *c;
    assert_ok(lb_corpus_rows(path, &(lb_row_spec){0}, join, tok, bos, NULL, &c));
    return c;
}

static int64_t number(const json_t *o, const char *key) {
    int64_t n;
    assert_ok(lb_json_int("case", o, key, &n));
    return n;
}

/* lengths: NULL: all have the case's. */
static void check_lengths(const char *text, const json_t *lengths, const lb_sequences *of) {
    if (!lengths != !of->start) fail_msg("%s: lengths", text);
    for (int64_t i = 0; i < of->n; i++) {
        int64_t want = lengths ? json_integer_value(json_array_get(lengths, (size_t)i)) : of->length;
        if (lb_sequences_length(of, i) != want)
            fail_msg("%s: sequence %lld has %lld tokens, not %lld", text, (long long)i,
                     (long long)lb_sequences_length(of, i), (long long)want);
    }
}

static void check_case(const json_t *o, const lb_corpus *c, lb_recipe r) {
    char *text = json_dumps(o, 0), hash[LB_HASH_HEX], place[64];
    int64_t samples = number(o, "samples"), length = number(o, "length");
    lb_sequences of;
    lb_arena_mark mark = lb_arena_save(arena);
    lb_status st = lb_recipe_tokens(c, r, (uint64_t)number(o, "seed"), samples, length, arena, &of);
    if (json_object_get(o, "stops_at_line")) {
        snprintf(place, sizeof place, "rows.jsonl.gz:%lld: the row has just %lld tokens",
                 (long long)number(o, "stops_at_line"), (long long)length);
        if (st != LB_E_CONFIG || !strstr(lb_error(), place)) fail_msg("%s: %s", text, lb_error());
    } else {
        if (st != LB_OK) fail_msg("%s: %s", text, lb_error());
        if (of.n != number(o, "sequences")) fail_msg("%s: %lld sequences", text, (long long)of.n);
        check_lengths(text, json_object_get(o, "lengths"), &of);
        assert_ok(lb_hash_bytes(of.token, (size_t)lb_sequences_tokens(&of) * sizeof *of.token, hash));
        for (size_t i = 0; i < 4; i++)
            if (of.token[i] != json_integer_value(json_array_get(json_object_get(o, "first"), i)))
                fail_msg("%s: token %zu is %d", text, i, of.token[i]);
        if (strcmp(hash, json_string_value(json_object_get(o, "sha256"))) != 0) fail_msg("%s: other tokens", text);
    }
    lb_arena_restore(arena, mark);
    lb_free(text);
}

static void as_papers_draw(void **state) {
    (void)state;
    char path[LB_TEST_PATH], file[LB_TEST_PATH];
    json_t *cases;
    int of[8] = {0};
    lb_test_fixture("tests/oracle/fixtures/recipes/rows.jsonl.gz", path);
    lb_test_fixture("tests/oracle/fixtures/recipes/expected.json", file);
    assert_ok(lb_json_read(file, &cases));
    lb_corpus *c[2][2]; /* [BOS][joined] */
    for (int b = 0; b < 2; b++)
        for (int j = 0; j < 2; j++) c[b][j] = opened(path, j ? "\n\n" : NULL, b ? LB_BOS_ALWAYS : LB_BOS_NEVER);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *o = json_array_get(cases, i);
        lb_recipe r = recipe_named(json_string_value(json_object_get(o, "recipe")));
        of[r]++;
        check_case(o, c[json_is_true(json_object_get(o, "bos"))][!lb_recipe_of_rows(r)], r);
    }
    for (int r = LB_RECIPE_JOINED; lb_recipe_names[r]; r++) assert_true(of[r] > 20);
    for (int k = 0; k < 4; k++) lb_corpus_close(c[k / 2][k % 2]);
    json_decref(cases);
}

static void fails(const lb_corpus *c, lb_recipe r, int64_t samples, int64_t length, const char *why) {
    lb_sequences of;
    assert_status(LB_E_CONFIG, lb_recipe_tokens(c, r, 0, samples, length, arena, &of));
    assert_error_has(why);
}

static void what_cannot_be_drawn(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/few.jsonl", lb_test_tmpdir());
    static const char rows[] = "{\"text\": \"Tom was here.\"}\n{\"text\": \"Mia was in the garden. Tom was not.\"}\n";
    assert_ok(lb_fs_write_atomic(path, rows, sizeof rows - 1));
    lb_corpus *c = opened(path, NULL, LB_BOS_NEVER), *joined = opened(path, " ", LB_BOS_NEVER);
    fails(c, LB_RECIPE_DOCUMENTS, 2, 100, "few.jsonl: of 2000 rows drawn 0 have at least 100 tokens, 2 are wanted");
    fails(c, LB_RECIPE_DOCUMENTS_LONGER, 1, 100, "of 1000 rows drawn 0 have more than 100 tokens, 1 are wanted");
    fails(c, LB_RECIPE_BLOCKS, 3, 100, "2 of its 2 rows are such as recipe: blocks takes, samples = 3");
    fails(c, LB_RECIPE_BLOCKS, 1, 100, "1 rows have ");
    fails(c, LB_RECIPE_FIRST_TOKENS, 2, 8, "1 of its 2 rows are such as recipe: first_tokens takes, samples = 2");
    fails(c, LB_RECIPE_DOCUMENTS, 0, 8, "both must be at least 1");
    fails(c, LB_RECIPE_BLOCKS, INT64_MAX / 16, 8, "too many");
    fails(joined, LB_RECIPE_DOCUMENTS, 1, 8, "recipe: documents draws rows, but the whole file is one text");
    fails(joined, LB_RECIPE_JOINED, 1, joined->tokens, "joined windows (1 of ");
    fails(c, LB_RECIPE_TRUNCATED, 3, 8, "2 of its 2 rows are such as recipe: truncated takes, samples = 3");
    lb_sequences of;
    assert_ok(lb_recipe_tokens(joined, LB_RECIPE_JOINED, 0, 3, joined->tokens - 1, arena, &of));
    assert_memory_equal(of.token, joined->token, (size_t)(joined->tokens - 1) * sizeof *of.token);
    lb_corpus_close(c);
    lb_corpus_close(joined);
    snprintf(path, sizeof path, "%s/one.txt", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, "Tom was here.", 13));
    c = opened(path, NULL, LB_BOS_NEVER);
    fails(c, LB_RECIPE_FIRST_TOKENS, 1, 2, "one.txt: recipe: first_tokens draws rows, but the whole file is one text");
    lb_corpus_close(c);
}

static void memory(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/recipes/rows.jsonl.gz", path);
    lb_corpus *c = opened(path, NULL, LB_BOS_ALWAYS);
    static const lb_recipe recipe[] = {LB_RECIPE_DOCUMENTS_LONGER, LB_RECIPE_BLOCKS, LB_RECIPE_FIRST_TOKENS,
                                       LB_RECIPE_TRUNCATED};
    for (int r = 0; r < 4; r++) {
        int64_t failed = 0;
        lb_sequences of;
        for (lb_status st = LB_E_NOMEM; st != LB_OK; failed++) {
            lb_alloc_fail_at(failed + 1);
            st = lb_recipe_tokens(c, recipe[r], 3, 2, 24, arena, &of);
            lb_alloc_fail_at(0);
            if (st != LB_OK) assert_int_equal(st, LB_E_NOMEM);
        }
        assert_true(failed > 4);
    }
    lb_corpus_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_papers_draw), cmocka_unit_test(what_cannot_be_drawn),
                                       cmocka_unit_test(memory)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Texts as tokens: what is warned about, BOS, windows, failures. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "model/corpus.h"
#include "support/support.h"

/* ---- a tokenizer, a file, a log that keeps what it is told ---- */

static lb_tokenizer *tok; /* SentencePiece, adds BOS 1 */

static int set_up(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_gguf *g;
    lb_test_fixture("tests/oracle/fixtures/tokenizer/scores.gguf", path);
    assert_ok(lb_gguf_open(path, &g));
    assert_ok(lb_tokenizer_from_gguf(g, &tok));
    lb_gguf_close(g);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    lb_tokenizer_free(tok);
    return 0;
}

typedef struct notes {
    int warnings;
    char text[8192];
} notes;

static void note(void *user, lb_level level, const char *text) {
    notes *n = user;
    if (level != LB_WARN) return;
    n->warnings++;
    strncat(n->text, text, sizeof n->text - strlen(n->text) - 2);
    strcat(n->text, "\n");
}

static char file[LB_TEST_PATH + 16];

static lb_corpus *open_text(const char *text, size_t len, lb_bos bos, notes *n) {
    lb_log log = {.message = note, .user = n};
    lb_corpus *c;
    *n = (notes){0};
    snprintf(file, sizeof file, "%s/text.txt", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(file, text, len));
    assert_ok(lb_corpus_open(file, tok, bos, &log, &c));
    return c;
}

static void warns(const char *text, size_t len, int count, const char *about) {
    notes n;
    lb_corpus_close(open_text(text, len, LB_BOS_AUTO, &n));
    if (n.warnings != count || (about && !strstr(n.text, about)))
        fail_msg("%d warnings, expected %d about '%s':\n%s", n.warnings, count, about ? about : "", n.text);
}

/* ---- tests ---- */

static void test_fields(void **state) {
    (void)state;
    const char *text = "the cat and the dog\n";
    char hash[LB_HASH_HEX];
    notes n;
    int32_t *id;
    int64_t k;
    assert_ok(lb_hash_bytes(text, strlen(text), hash));
    assert_ok(lb_tokenizer_encode(tok, text, strlen(text), false, &id, &k));
    lb_corpus *c = open_text(text, strlen(text), LB_BOS_AUTO, &n);
    assert_string_equal(c->path, file);
    assert_string_equal(c->name, "text.txt");
    assert_string_equal(c->hash, hash);
    assert_int_equal(c->bytes, strlen(text));
    assert_true(c->has_bos);
    assert_int_equal(c->bos_id, 1);
    assert_int_equal(c->tokens, k + 1);
    assert_int_equal(c->token[0], 1);
    assert_memory_equal(c->token + 1, id, (size_t)k * sizeof *id);
    assert_null(c->known);
    lb_corpus_close(c);
    c = open_text(text, strlen(text), LB_BOS_NEVER, &n);
    assert_false(c->has_bos);
    assert_int_equal(c->bos_id, 1);
    assert_int_equal(c->tokens, k);
    assert_memory_equal(c->token, id, (size_t)k * sizeof *id);
    lb_corpus_close(c);
    lb_free(id);
}

static void test_warnings(void **state) {
    (void)state;
#define WARNS(text, count, about) warns(text, sizeof(text) - 1, count, about)
    WARNS("plain text\nof two lines @-@ \n", 0, NULL);
    WARNS("one\r\ntwo\r\n", 1, "CRLF");
    WARNS("\xef\xbb\xbf"
          "text",
          1, "byte order mark");
    WARNS("abc\xff"
          "def",
          1, "byte 3 is not UTF-8 (0xff)");
    WARNS("a <unk> b", 2, "tokenized form of WikiText");
    WARNS("ends</s>here", 1,
          "byte 4: \"</s>\" is taken as text; programs that parse special tokens in a text make it token 2");
    WARNS("[keep] is a token in any text", 0, NULL);
    WARNS(" \n = Robert Boulter = \n", 1, "begins like WikiText-2's test text, but has 23 bytes");
    WARNS(" \n = Robert Boulter = \n", 1, "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
    WARNS(" = Robert Boulter = \r\n", 2, "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08");
    WARNS(" = Robert Boulder = \n", 0, NULL);
}

/* Special tokens' names are text: more tokens than one, and the text comes back. */
static void test_special_is_text(void **state) {
    (void)state;
    notes n;
    lb_corpus *c = open_text("a</s>b", 6, LB_BOS_NEVER, &n);
    for (int64_t i = 0; i < c->tokens; i++) assert_int_not_equal(c->token[i], 2);
    lb_corpus_close(c);
}

static void test_windows(void **state) {
    (void)state;
    char text[4096];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "the ring and a dog"[i * i % 17];
    notes n;
    lb_corpus *c = open_text(text, sizeof text, LB_BOS_AUTO, &n);
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    int32_t *w, *again, *other;
    assert_ok(lb_corpus_windows(c, LB_RECIPE_SEQUENTIAL, 7, 5, 64, a, &w));
    assert_memory_equal(w, c->token, 5 * 64 * sizeof *w);
    assert_ok(lb_corpus_windows(c, LB_RECIPE_RANDOM, 7, 40, 64, a, &w));
    assert_ok(lb_corpus_windows(c, LB_RECIPE_RANDOM, 7, 40, 64, a, &again));
    assert_ok(lb_corpus_windows(c, LB_RECIPE_RANDOM, 8, 40, 64, a, &other));
    assert_memory_equal(w, again, 40 * 64 * sizeof *w);
    assert_memory_not_equal(w, other, 40 * 64 * sizeof *w);
    for (int i = 0; i < 40; i++) { /* each is a stretch of the text */
        bool found = false;
        for (int64_t at = 0; at + 64 <= c->tokens && !found; at++)
            found = !memcmp(w + i * 64, c->token + at, 64 * sizeof *w);
        assert_true(found);
    }
    /* As long as the text there is one place; a token more is too long. */
    assert_ok(lb_corpus_windows(c, LB_RECIPE_RANDOM, 1, 2, c->tokens, a, &w));
    assert_memory_equal(w + c->tokens, c->token, (size_t)c->tokens * sizeof *w);
    char want[96];
    assert_status(LB_E_CONFIG, lb_corpus_windows(c, LB_RECIPE_RANDOM, 1, 1, c->tokens + 1, a, &w));
    snprintf(want, sizeof want, "need a text of %lld tokens, this one has %lld", (long long)c->tokens + 1,
             (long long)c->tokens);
    assert_error_has(want);
    assert_status(LB_E_CONFIG, lb_corpus_windows(c, LB_RECIPE_SEQUENTIAL, 1, c->tokens / 64 + 1, 64, a, &w));
    assert_error_has("text.txt");
    assert_status(LB_E_CONFIG, lb_corpus_windows(c, LB_RECIPE_RANDOM, 1, 0, 64, a, &w));
    assert_status(LB_E_CONFIG, lb_corpus_windows(c, LB_RECIPE_RANDOM, 1, INT64_MAX / 4, 64, a, &w));
    lb_arena_free(a);
    lb_corpus_close(c);
}

static void test_failures(void **state) {
    (void)state;
    lb_corpus *c;
    char path[LB_TEST_PATH + 16];
    snprintf(path, sizeof path, "%s/none.txt", lb_test_tmpdir());
    assert_status(LB_E_IO, lb_corpus_open(path, tok, LB_BOS_AUTO, NULL, &c));
    assert_error_has("none.txt");
    assert_ok(lb_fs_write_atomic(path, "", 0));
    assert_status(LB_E_FORMAT, lb_corpus_open(path, tok, LB_BOS_AUTO, NULL, &c));
    assert_ok(lb_fs_write_atomic(path, "the dog", 7));
    int64_t failed = 0;
    for (lb_status s = LB_E_NOMEM; s != LB_OK; failed++) {
        lb_alloc_fail_at(failed + 1);
        s = lb_corpus_open(path, tok, LB_BOS_AUTO, NULL, &c);
        lb_alloc_fail_at(0);
        if (s != LB_OK) assert_int_equal(s, LB_E_NOMEM);
    }
    assert_true(failed > 4);
    lb_corpus_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),  cmocka_unit_test(test_warnings), cmocka_unit_test(test_special_is_text),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

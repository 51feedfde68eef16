/* Texts as tokens: what is warned about, BOS, windows, failures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "model/corpus.h"
#include "model/tokenizer/impl.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

/* ---- a tokenizer, a file, a log that keeps what it is told ---- */

static lb_tokenizer *tok; /* SentencePiece, adds BOS 1 */

static int set_up(void **state) {
    (void)state;
    tok = scores_tokenizer();
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
          1, "the byte-order mark at its head was dropped");
    WARNS("\xef\xbb\xbf"
          "abc\xff",
          2, "byte 6 is not UTF-8"); /* as the file counts */
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

/* Without its mark the text gives the same tokens; the hash is the file's. */
static void test_mark_is_dropped(void **state) {
    (void)state;
    notes n;
    char hash[LB_HASH_HEX];
    lb_corpus *plain = open_text("the dog", 7, LB_BOS_AUTO, &n);
    lb_corpus *marked = open_text("\xef\xbb\xbfthe dog", 10, LB_BOS_AUTO, &n);
    assert_ok(lb_hash_bytes("\xef\xbb\xbfthe dog", 10, hash));
    assert_string_equal(marked->hash, hash);
    assert_int_equal(marked->bytes, 10);
    assert_int_equal(marked->tokens, plain->tokens);
    assert_memory_equal(marked->token, plain->token, (size_t)plain->tokens * sizeof *plain->token);
    lb_corpus_close(plain);
    lb_corpus_close(marked);
}

static void refused(const char *bytes, size_t n, const char *why) {
    lb_corpus *c = NULL;
    snprintf(file, sizeof file, "%s/other.txt", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(file, bytes, n));
    assert_status(LB_E_FORMAT, lb_corpus_open(file, tok, LB_BOS_AUTO, NULL, &c));
    assert_error_has("other.txt: ");
    assert_error_has(why);
}

static void test_other_kinds(void **state) {
    (void)state;
#define REFUSED(bytes, why) refused(bytes, sizeof(bytes) - 1, why)
    REFUSED("\xff\xfet\0h\0e\0", "is UTF-16 text, little-endian: expected a text in UTF-8 (iconv converts it)");
    REFUSED("\0\0\xfe\xff\0\0\0t", "is UTF-32 text, big-endian");
    REFUSED("\x1f\x8b\x08\0", "gzip data is cut short after 4 bytes");
    REFUSED("PK\3\4rest", "is a zip archive: expected a text in UTF-8 (unpack it)");
    REFUSED("\x28\xb5\x2f\xfd rest", "is zstd data: expected a text in UTF-8 (zstd -d unpacks it)");
    REFUSED("PAR1 and so on PAR1", "is a Parquet file: expected a text in UTF-8 (python3 -c 'import pandas; ");
    REFUSED("\xef\xbb\xbf", "holds a byte-order mark and no text");
}

static void test_bos_choices(void **state) {
    (void)state;
    notes n;
    lb_corpus *c = open_text("the dog", 7, LB_BOS_ALWAYS, &n);
    assert_true(c->has_bos && c->token[0] == 1);
    lb_corpus_close(c);
    tok->adds_bos = false;
    c = open_text("the dog", 7, LB_BOS_AUTO, &n);
    assert_false(c->has_bos);
    lb_corpus_close(c);
    c = open_text("the dog", 7, LB_BOS_ALWAYS, &n);
    assert_true(c->has_bos && c->token[0] == 1);
    lb_corpus_close(c);
    tok->bos = -1;
    lb_corpus *none = NULL;
    assert_status(LB_E_UNSUPPORTED, lb_corpus_open(file, tok, LB_BOS_ALWAYS, NULL, &none));
    assert_error_has("bos: always: the tokenizer (scores.gguf) names no BOS token");
    tok->bos = 1;
    tok->adds_bos = true;
    tok->bos_dispute = "they disagree";
    warns("the dog", 7, 1, "text.txt: they disagree; bos: never puts none");
    lb_corpus_close(open_text("the dog", 7, LB_BOS_NEVER, &n)); /* settled */
    assert_int_equal(n.warnings, 0);
    tok->bos_dispute = NULL;
    assert_string_equal(lb_bos_text(LB_BOS_AUTO, false), "auto: none");
    assert_string_equal(lb_bos_text(LB_BOS_AUTO, true), "auto: added");
    assert_string_equal(lb_bos_text(LB_BOS_ALWAYS, true), "always");
    assert_string_equal(lb_bos_text(LB_BOS_NEVER, false), "never");
}

/* Fewer rows than tokens are fine until one of the others comes up. */
static void test_rows(void **state) {
    (void)state;
    notes n;
    lb_corpus *c = open_text("the dog and the cat", 19, LB_BOS_AUTO, &n), *none = NULL;
    int32_t most = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < c->tokens; i++)
        if (c->token[i] > most) most = c->token[i], at = i;
    lb_tokenizer_set_rows(tok, most + 1);
    warns("the dog and the cat", 19, most + 1 < lb_tokenizer_vocab(tok), NULL);
    lb_tokenizer_set_rows(tok, most);
    assert_status(LB_E_UNSUPPORTED, lb_corpus_open(file, tok, LB_BOS_AUTO, NULL, &none));
    char want[64];
    snprintf(want, sizeof want, "text.txt: token %lld, about byte ", (long long)at);
    assert_error_has(want);
    snprintf(want, sizeof want, "id %d: the model's embedding has %d rows", most, most);
    assert_error_has(want);
    lb_tokenizer_set_rows(tok, 0);
    lb_corpus_close(c);
}

/* Special tokens' names are text: more tokens than one, and the text comes back. */
static void test_special_is_text(void **state) {
    (void)state;
    notes n;
    lb_corpus *c = open_text("a</s>b", 6, LB_BOS_NEVER, &n);
    for (int64_t i = 0; i < c->tokens; i++) assert_int_not_equal(c->token[i], 2);
    lb_corpus_close(c);
}

/* Tokens that take white space along, and are white space: looking for special ones takes no longer than the text is.
 * Where each token looked at the whole run again, two million spaces would take hours. */
static void test_stripping_tokens(void **state) {
    (void)state;
    enum { N = 2000000 };
    static const struct {
        const char *flags, *end;
        int warnings;
    } cases[] = {
        {"\"lstrip\":true", "", 0},
        {"\"rstrip\":true", "<x>", 1},
        {"\"lstrip\":true,\"rstrip\":true", "<x>", 1},
        {"\"lstrip\":true,\"rstrip\":true", "\n", 0}, /* special, but gone with what is before it */
    };
    char *text = malloc(N + 8), json[1024];
    lb_tokenizer *mine = tok;
    assert_non_null(text);
    memset(text, ' ', N);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        notes n;
        snprintf(json, sizeof json,
                 "{\"model\":{\"type\":\"BPE\",\"vocab\":{\" \":0,\"a\":1},\"merges\":[]},\"added_tokens\":["
                 "{\"id\":0,\"content\":\" \",%s},{\"id\":2,\"content\":\"<x>\",\"special\":true},"
                 "{\"id\":3,\"content\":\"\\n\",\"lstrip\":true,\"special\":true}]}",
                 cases[i].flags);
        write_in(json_dir(), "tokenizer.json", json);
        assert_ok(lb_tokenizer_from_dir(json_dir(), &tok));
        strcpy(text + N, cases[i].end);
        lb_corpus *c = open_text(text, N + strlen(cases[i].end), LB_BOS_NEVER, &n);
        bool told = strstr(n.text, "byte 2000000: \"<x>\" is taken as text") != NULL;
        if (told != (cases[i].warnings > 0) || (strstr(n.text, "is taken as text") && !told))
            fail_msg("case %zu: %s", i, n.text);
        lb_corpus_close(c);
        lb_tokenizer_free(tok);
    }
    tok = mine;
    free(text);
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
        cmocka_unit_test(test_fields),          cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_special_is_text), cmocka_unit_test(test_stripping_tokens),
        cmocka_unit_test(test_mark_is_dropped), cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_bos_choices),     cmocka_unit_test(test_rows),
        cmocka_unit_test(test_windows),         cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

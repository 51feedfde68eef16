/* The search of Unigram models against a plain one over the whole text: as it cuts a text where it can, keeps the ids
 * of words, and goes on with the sums of the words before. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/tokenizer/unigram.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

#define MARK   LB_TOK_META
#define PREFIX "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"},"
#define LLAMA  PREFIX "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}]}"

static lb_tokenizer *load(const char *vocab) {
    static char text[4096];
    lb_tokenizer *t;
    int n =
        snprintf(text, sizeof text, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],%s]},%s%s}",
                 vocab, "\"normalizer\":", LLAMA);
    assert_true(n > 0 && n < (int)sizeof text);
    write_in(json_dir(), "tokenizer.json", text);
    assert_ok(lb_tokenizer_from_dir(json_dir(), &t));
    return t;
}

/* The ids of s, in *n; lb_free. From left to right, the first of equal sums stays. */
static int32_t *plain_ids(const lb_tokenizer *t, const char *s, size_t len, int64_t *n) {
    struct way {
        double score;
        size_t len;
        int32_t id;
    } *way = lb_alloc(len + 1, sizeof *way);
    int32_t *id = lb_alloc(len + 1, sizeof *id);
    assert_non_null(way);
    assert_non_null(id);
    for (size_t at = 0; at < len; at++) {
        bool alone = false;
        for (size_t k = 1; k <= 16 && at + k <= len; k++) { /* of one start the shorter first */
            for (int32_t i = 1; i < t->vocab; i++) {
                if (t->token[i].n != k || memcmp(t->token[i].s, s + at, k) != 0) continue;
                double sum = t->unigram->score[i] + way[at].score;
                alone = alone || k == 1 || s[at] == MARK[0];
                if (!way[at + k].len || sum > way[at + k].score) way[at + k] = (struct way){sum, k, i};
            }
        }
        double sum = t->unigram->unknown + way[at].score;
        if (!alone && (!way[at + 1].len || sum > way[at + 1].score)) way[at + 1] = (struct way){sum, 1, 0};
        if (s[at] == MARK[0]) at += LB_TOK_META_LEN - 1; /* no piece begins within it */
    }
    *n = 0;
    for (size_t at = len; at; at -= way[at].len)
        if (way[at].id || !*n || id[*n - 1]) id[(*n)++] = way[at].id; /* unknown ones in a row are one */
    for (int64_t i = 0, k = *n - 1; i < k; i++, k--) {
        int32_t swap = id[i];
        id[i] = id[k];
        id[k] = swap;
    }
    lb_free(way);
    return id;
}

static void expect_plain(const lb_tokenizer *t, const char *text) {
    lb_str s = {0};
    int32_t *got, *want;
    int64_t n, n_want;
    lb_str_add(&s, MARK);
    lb_tok_replace(&s, (lb_tok_view){text, strlen(text)}, (lb_tok_view){" ", 1}, (lb_tok_view){MARK, LB_TOK_META_LEN});
    want = plain_ids(t, s.s, s.len, &n_want);
    assert_ok(lb_tokenizer_encode(t, text, strlen(text), false, &got, &n));
    int64_t k = 0;
    while (k < n && k < n_want && got[k] == want[k]) k++;
    if (k < n || n != n_want)
        fail_msg("%.60s: id %lld of %lld is %d, by the plain search %d of %lld", text, (long long)k, (long long)n,
                 k < n ? got[k] : -1, k < n_want ? want[k] : -1, (long long)n_want);
    lb_str_free(&s);
    lb_free(got);
    lb_free(want);
}

/* Words of the letters of `from`, with spaces in between. */
static void random_words(char *out, size_t n, uint64_t seed, const char *from, int64_t longest) {
    lb_rng r = lb_rng_make(seed, 0);
    for (size_t i = 0, k = 0; i < n; i++) {
        out[i] = k ? from[lb_rng_below(&r, (int64_t)strlen(from))] : ' ';
        k = k ? k - 1 : (size_t)lb_rng_below(&r, longest + 1);
    }
    out[n] = 0;
}

#define LETTERS                                                                                                        \
    "[\"a\",-1.1],[\"b\",-1.3],[\"c\",-1.7],[\"ab\",-2.4],[\"bc\",-3],[\"abc\",-4.1],[\"ca\",-2.8],[\"cab\",-4.1]"

/* Every longer piece is as good as its letters, but for rounding, which differs from place to place. */
static void test_ties(void **state) {
    (void)state;
    static char text[30001];
    lb_tokenizer *t = load("[\"" MARK "\",-0.7],[\"" MARK "a\",-1.8]," LETTERS);
    assert_true(t->unigram->goes_on);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        random_words(text, sizeof text - 1, seed, "abc", 6);
        expect_plain(t, text);
        expect_plain(t, text); /* with what the first call left */
    }
    lb_tokenizer_free(t);
}

/* Words whose ways are apart come from the cache, those with unknown characters do not; "abcab" has ways that are not.
 */
static void test_words(void **state) {
    (void)state;
    static char text[20001];
    lb_tokenizer *t = load("[\"" MARK "\",-0.7],[\"a\",-1.1],[\"b\",-1.35],[\"c\",-1.7],[\"ab\",-2.1],[\"bc\",-3.05],"
                           "[\"bca\",-4.0],[\"abca\",-5.1]");
    assert_true(t->unigram->goes_on);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        random_words(text, sizeof text - 1, seed, "abcabcabcx", 9);
        expect_plain(t, text);
    }
    expect_plain(t, "xx");
    expect_plain(t, "x  x xx ax xa");
    lb_tokenizer_free(t);
}

/* A piece that goes over the start of a word: the text is one, and cut where no piece crosses. */
static void test_across_words(void **state) {
    (void)state;
    static char text[20001];
    lb_tokenizer *t = load("[\"" MARK "\",-0.7],[\"a" MARK "b\",-2.9]," LETTERS);
    assert_false(t->unigram->goes_on);
    random_words(text, sizeof text - 1, 5, "abcabcabcx", 9);
    expect_plain(t, text);
    memset(text, 'x', 3000); /* unknown characters in a row, over the end of a search */
    memcpy(text + 1024, "ab", 2);
    expect_plain(t, text);
    lb_tokenizer_free(t);
}

/* Pieces overlap everywhere: there is no place to cut. */
static void test_no_cut(void **state) {
    (void)state;
    static char text[5001];
    lb_tokenizer *t = load("[\"" MARK "\",-0.7],[\"a\",-3],[\"aa\",-5],[\"aaaaa\",-9.5]");
    for (size_t n = 500; n < sizeof text; n += 1123) {
        memset(text, 'a', n);
        text[n] = 0;
        expect_plain(t, text);
    }
    lb_tokenizer_free(t);
}

/* Without a piece for the mark alone unknown characters may go on over the start of a word; and scores that are far too
 * large leave no room for CLOSE. */
static void test_not_apart(void **state) {
    (void)state;
    lb_tokenizer *t = load("[\"" MARK "a\",-1],[\"a\",-2]");
    assert_false(t->unigram->goes_on);
    lb_tokenizer_free(t);
    t = load("[\"" MARK "\",-1],[\"a\",-2e6]");
    assert_false(t->unigram->goes_on);
    lb_tokenizer_free(t);
}

/* ---- what a call leaves for the next one ---- */

typedef struct caller {
    const lb_tokenizer *t;
    const char *text; /* 100 texts of 200 bytes */
    int64_t sum;
} caller;

static void *call(void *user) {
    caller *c = user;
    for (int i = 0; i < 100; i++) {
        int32_t *id;
        int64_t n;
        if (lb_tokenizer_encode(c->t, c->text + 200 * (size_t)i, 200, false, &id, &n) != LB_OK) return NULL;
        for (int64_t k = 0; k < n; k++) c->sum = c->sum * 31 % 1000003 + id[k];
        lb_free(id);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    static char text[20001];
    lb_tokenizer *t = load("[\"" MARK "\",-0.7],[\"" MARK "a\",-1.8]," LETTERS);
    random_words(text, sizeof text - 1, 8, "abcabcabcx", 9);
    caller want = {t, text, 0}, c[4];
    (void)call(&want);
    pthread_t id[4];
    for (int i = 0; i < 4; i++) {
        c[i] = (caller){t, text, 0};
        assert_int_equal(pthread_create(&id[i], NULL, call, &c[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(id[i], NULL);
        assert_int_equal(c[i].sum, want.sum);
    }
    lb_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ties),   cmocka_unit_test(test_words),     cmocka_unit_test(test_across_words),
        cmocka_unit_test(test_no_cut), cmocka_unit_test(test_not_apart), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Real tokenizers on real texts: the ids of `tokenizers` (SmolLM2) and `sentencepiece` (stories260K), by the hashes
 * that tests/oracle/make_tokenizer.py --real prints; the published counts; and again after saving and loading. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "model/corpus.h"
#include "support/support.h"

#define SMOLLM2 "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#define STORIES "cf791d3eea90517b5afb01f2a0c4f8010a26cc87727cc02fae4444d95aefd9be"
#define JOINED  "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83"
#define RAW     "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"
#define TINY    "51449c33b579f8b12e776dcbfa58ef47bab69f6ab7f44e972b7d98c4cfcac7fd"

typedef struct case_of {
    const char *text; /* SHA-256 of the text */
    int64_t tokens;
    const char *ids; /* SHA-256 of the ids */
} case_of;

static const case_of smollm2[] = {
    {JOINED, 304978, "aa72485a43ad244db418ec90db75b81905cf39905a80d72a8f56121c2a8593f3"},
    {"2daf1ef16e02dbd337f86296acd4c3f2eb703800ad21fd1f48b40280c699cd41", 302437,
     "5eb3fe7b538a05680a99f29701820f909bd5863872e865078122a78f3314e679"},
    {"12a80d96af7e16b3ecbf2e6899a9c70aee2f4e0003b581979fe6876944e2d891", 459593,
     "b347592106e9d635184f8a274f59b123f398a14526cf0a3bc0e81af62d7631f4"},
    {TINY, 64273, "14fa2f56cbaabcb19d7585bad0b22952d0d9873cb5db6a908fd90a3a5f374fee"},
    {"d53fe0aeadf3355eb5d32b48bf8691575244c31caccae88ed46be8e1b40209c7", 578983,
     "8b0a2ab5713d2dde0e2ada3b51d1cb0ca8412579e3c54d8703c6b91e41a54d76"},
    {"387fc07ee6c043df3ee8a5f5bb087848fb305eddaa3ee8b462d094c5b9505dce", 302277,
     "8c705a1a00b53d869eac9dcc54141ea1686da84044dba3a57f65efef3500e6aa"},
};
static const case_of stories[] = {
    {JOINED, 815069, "166c0517ae06dc53ee6dc23231d57d7cada8138d4a487b6a15bc457d2371cfcb"},
    {"12a80d96af7e16b3ecbf2e6899a9c70aee2f4e0003b581979fe6876944e2d891", 1104352,
     "b9dc49e0b53437d07824d7d4351d296a770f016a754e1feb43af587815a4764b"},
    {TINY, 134726, "054652523746a224a671270e7e807f36d256d739bc1b276187793dac0337d29d"},
    {"d88fff7127a7ca91490ffebd2708ac65907d024acb181aee8b11219635e8ac7f", 160309,
     "ca8ebec3bae6d33dccff026275ea9f621f5774b0d7037eab940eaa8af5c725a3"},
};

static lb_tokenizer *load(const char *sha256) {
    char path[LB_TEST_PATH];
    lb_gguf *g;
    lb_tokenizer *t;
    lb_test_source(sha256, path);
    assert_ok(lb_gguf_open(path, &g));
    assert_ok(lb_tokenizer_from_gguf(g, &t));
    lb_gguf_close(g);
    return t;
}

static void same_ids(const lb_tokenizer *t, const case_of *c, size_t n_cases) {
    for (size_t i = 0; i < n_cases; i++) {
        char path[LB_TEST_PATH], hash[LB_HASH_HEX];
        lb_map m;
        int32_t *id;
        int64_t n;
        lb_test_source(c[i].text, path);
        assert_ok(lb_map_open(path, &m));
        assert_ok(lb_tokenizer_encode(t, (const char *)m.data, m.size, false, &id, &n));
        assert_int_equal(n, c[i].tokens);
        assert_ok(lb_hash_bytes(id, (size_t)n * sizeof *id, hash));
        assert_string_equal(hash, c[i].ids);
        lb_free(id);
        lb_map_close(&m);
    }
}

static void loaded_and_saved(const char *model, const case_of *c, size_t n) {
    lb_tokenizer *t = load(model), *again;
    const char *dir = lb_test_tmpdir();
    same_ids(t, c, n);
    assert_ok(lb_tokenizer_save(t, dir));
    assert_ok(lb_tokenizer_from_dir(dir, &again));
    assert_int_equal(lb_tokenizer_vocab(again), lb_tokenizer_vocab(t));
    assert_int_equal(lb_tokenizer_bos(again), lb_tokenizer_bos(t));
    assert_int_equal(lb_tokenizer_adds_bos(again), lb_tokenizer_adds_bos(t));
    same_ids(again, c, n);
    lb_tokenizer_free(again);
    lb_tokenizer_free(t);
}

static void test_smollm2(void **state) {
    (void)state;
    loaded_and_saved(SMOLLM2, smollm2, sizeof smollm2 / sizeof *smollm2);
}

static void test_stories(void **state) {
    (void)state;
    loaded_and_saved(STORIES, stories, sizeof stories / sizeof *stories);
}

/* ---- corpora ---- */

static char warned[8192];

static void note(void *user, lb_level level, const char *text) {
    (void)user;
    if (level == LB_WARN) strncat(warned, text, sizeof warned - strlen(warned) - 1);
}

static lb_corpus *open_text(const char *sha256, const lb_tokenizer *t, lb_bos bos) {
    char path[LB_TEST_PATH];
    lb_log log = {.message = note};
    lb_corpus *c;
    warned[0] = 0;
    lb_test_source(sha256, path);
    assert_ok(lb_corpus_open(path, t, bos, &log, &c));
    return c;
}

static void test_wikitext(void **state) {
    (void)state;
    static const int32_t first[] = {1116,  446,  6356, 389,  9226, 352, 446, 38028,
                                    16506, 6356, 389,  9226, 352,  314, 354, 2321};
    static const int32_t last[] = {284, 28614, 519, 19334, 2393, 1673, 216, 16506};
    lb_tokenizer *t = load(SMOLLM2);
    lb_corpus *c = open_text(JOINED, t, LB_BOS_AUTO);
    assert_int_equal(c->tokens, 304978);
    assert_false(c->has_bos);
    assert_memory_equal(c->token, first, sizeof first);
    assert_memory_equal(c->token + c->tokens - 8, last, sizeof last);
    assert_string_equal(warned, "");
    assert_string_equal(c->known, "WikiText-2 raw test, joined by \"\\n\\n\"");
    lb_corpus_close(c);
    c = open_text(RAW, t, LB_BOS_AUTO);
    assert_non_null(strstr(warned, "the W2 protocols want it joined"));
    lb_corpus_close(c);
    lb_tokenizer_free(t);
}

/* LCPP-256: BOS, the text, cut into 256: 526 windows. */
static void test_tiny_windows(void **state) {
    (void)state;
    lb_tokenizer *t = load(STORIES);
    lb_corpus *c = open_text(TINY, t, LB_BOS_AUTO);
    assert_true(c->has_bos);
    assert_int_equal(c->token[0], 1);
    assert_int_equal(c->tokens / 256, 526);
    lb_corpus_close(c);
    lb_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smollm2),
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_wikitext),
        cmocka_unit_test(test_tiny_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

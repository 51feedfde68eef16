/* Tokenizers: scanners against PCRE2, bytes that are not UTF-8, what is refused and how, damaged files, failing
 * allocations. Parity of ids is in tests/oracle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/rng.h"
#include "io/json.h"
#include "model/tokenizer/impl.h"
#include "support/io_probe.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

#define SCORES "tests/oracle/fixtures/tokenizer/scores.gguf"
#define BYTES  "tests/oracle/fixtures/tokenizer/bytes.gguf"

/* ---- scanners ---- */

static size_t put_random(lb_rng *r, char *out) {
    static const char *const parts[] = {
        "a",
        "B",
        "s",
        "S",
        "l",
        "ll",
        "re",
        "'",
        " ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "1",
        "23",
        "-",
        "!",
        "\xc3\xa9",
        "\xcc\x81",
        "\xd0\xb4",
        "\xe4\xbd\xa0",
        "\xc2\xa0",
        "\xc2\x85",
        "\xe2\x80\x83",
        "\xd9\xa1",
        "\xc2\xbd",
        "\xf0\x9f\x98\x80",
        "\xc5\xbf",
        "_",
        "/",
        "$",
        "(",
        ".",
        "Re",
        "\xc3\x89",         /* capital e acute */
        "\xc7\x85",         /* a title-case letter */
        "\xca\xb0",         /* a modifier letter */
        "\xd8\x8c",         /* Arabic comma */
        "\xe3\x80\x82",     /* ideographic full stop */
        "\xe2\x80\xa6",     /* ellipsis */
        "\xf0\x91\xb7\xa1", /* a digit of Unicode 17 */
    };
    size_t n = 0;
    for (int64_t k = lb_rng_below(r, 24); k >= 0; k--) {
        const char *p = parts[lb_rng_below(r, (int64_t)(sizeof parts / sizeof *parts))];
        memcpy(out + n, p, strlen(p));
        n += strlen(p);
    }
    return n;
}

/* The end of the next word by the expression: of a match, or of what is before it. */
static size_t word_end(lb_tok_matches *m, size_t at, size_t *start, size_t *end, bool *found) {
    if (at == *end) {
        assert_ok(lb_tok_match_next(m, found, start, end));
        if (!*found) *start = *end = m->text.n;
    }
    return at < *start ? *start : *end;
}

static void scan_equals_pattern(const lb_tok_known *known) {
    lb_tokenizer *t;
    lb_tok_run run;
    assert_ok(lb_tok_new("scan", &t));
    t->n_step = 1;
    assert_ok(lb_tok_pattern_new(t, "pattern", known->pattern, &t->step[0].regex));
    assert_ok(lb_tok_run_new(t, &run));
    assert_ptr_equal(lb_tok_known_pattern(known->pattern), known);
    lb_rng r = lb_rng_make(17, 0);
    for (int round = 0; round < 20000; round++) {
        char s[256];
        size_t n = put_random(&r, s), start = 0, end = 0;
        bool found = true;
        lb_tok_matches m = lb_tok_matches_of(&run, &t->step[0].regex, (lb_tok_view){s, n});
        for (size_t i = 0; i < n;) {
            size_t want = word_end(&m, i, &start, &end, &found), got = i + known->scan(s + i, n - i);
            if (known->covers && !found) fail_msg("%s: '%.*s' is not matched at %zu", known->pattern, (int)n, s, i);
            if (got != want)
                fail_msg("%s: '%.*s' at %zu: to %zu, pattern %zu", known->pattern, (int)n, s, i, got, want);
            i = got;
        }
    }
    lb_tok_run_free(&run);
    lb_tokenizer_free(t);
}

static void test_scanners(void **state) {
    (void)state;
    assert_true(lb_tok_n_known >= 17);
    for (int i = 0; i < lb_tok_n_known; i++) scan_equals_pattern(&lb_tok_known_patterns[i]);
    assert_null(lb_tok_known_pattern("\\p{L}+"));
}

static void test_characters(void **state) {
    (void)state;
    static const struct {
        const char *s;
        size_t n, len;
        int32_t code;
    } cases[] = {
        {"a", 1, 1, 'a'},
        {"\xc3\xa9", 2, 2, 0xE9},
        {"\xe2\x96\x81", 3, 3, 0x2581},
        {"\xf4\x8f\xbf\xbf", 4, 4, 0x10FFFF},
        {"\xc3", 1, 1, -1},
        {"\x80", 1, 1, -1},
        {"\xc0\xaf", 2, 1, -1},
        {"\xed\xa0\x80", 3, 1, -1},
        {"\xf4\x90\x80\x80", 4, 1, -1},
        {"\xe2\x96", 2, 1, -1},
        {"\xff", 1, 1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t code;
        assert_int_equal(lb_tok_char(cases[i].s, cases[i].n, &code), cases[i].len);
        assert_int_equal(code, cases[i].code);
    }
    for (int32_t k = 0; k < 1 << 24; k++) { /* what is decoded in the header is what utf8proc makes of it */
        int32_t code, any;
        const char s[] = {(char)(k >> 16), (char)(k >> 8), (char)k, (char)0x80};
        for (size_t n = k & 0xFF ? 3 : 1; n <= 4; n++) {
            size_t len = lb_tok_char(s, n, &code);
            if (len != lb_tok_char_any(s, n, &any) || code != any) fail_msg("bytes %06x, %zu of them", k, n);
        }
    }
    assert_int_equal(lb_tok_invalid_utf8("ab\xc3\xa9\xff", 5), 4);
    assert_int_equal(lb_tok_invalid_utf8("ab\xc3\xa9", 4), 4);
    assert_int_equal(lb_tok_classify(0x180E), LB_TOK_OTHER); /* white space for PCRE2, not for Unicode */
    assert_int_equal(lb_tok_classify(0x85), LB_TOK_SPACE);
    assert_int_equal(lb_tok_classify(0x2167), LB_TOK_NUMBER);
    /* Of Unicode 15.1 and 16, whatever the system's tables: a letter, a number, a mark, and what is still free. */
    assert_int_equal(lb_tok_classify(0x2EBF0), LB_TOK_LETTER);
    assert_int_equal(lb_tok_classify(0x2EE5D), LB_TOK_LETTER);
    assert_int_equal(lb_tok_classify(0x1E5FA), LB_TOK_NUMBER);
    assert_int_equal(lb_tok_classify(0x113D2), LB_TOK_OTHER);
    assert_int_equal(lb_tok_classify(0x2EE5E), LB_TOK_OTHER);
}

/* ---- loading ---- */

static lb_status load_gguf(const char *path, lb_tokenizer **t) {
    lb_gguf *g;
    LB_TRY(lb_gguf_open(path, &g));
    lb_status status = lb_tokenizer_from_gguf(g, t);
    lb_gguf_close(g);
    return status;
}

static lb_tokenizer *fixture(const char *name) {
    char path[LB_TEST_PATH];
    lb_tokenizer *t;
    lb_test_fixture(name, path);
    assert_ok(load_gguf(path, &t));
    return t;
}

static void encodes(const lb_tokenizer *t, const char *text, const int32_t *want, int64_t n_want) {
    int32_t *id;
    int64_t n;
    assert_ok(lb_tokenizer_encode(t, text, strlen(text), true, &id, &n));
    assert_int_equal(n, n_want);
    assert_memory_equal(id, want, (size_t)n * sizeof *id);
    lb_free(id);
}

static void test_small(void **state) {
    (void)state;
    lb_tokenizer *t;
    assert_ok(load_edited("\"1.0\"", "\"1.0\"", &t));
    assert_int_equal(lb_tokenizer_vocab(t), 8);
    assert_true(lb_tokenizer_adds_bos(t));
    assert_int_equal(lb_tokenizer_bos(t), 0);
    assert_int_equal(lb_tokenizer_eos(t), -1);
    encodes(t, "ababa<u>a!!zzb11", (int32_t[]){3, 4, 0, 1, 6, 6, 3, 7, 7}, 9);
    encodes(t, "", NULL, 0);
    encodes(t, "axb\xc3\xa9", (int32_t[]){3}, 1); /* no token for x and the bytes of e acute: dropped before merging */
    size_t first = 9;
    assert_int_equal(lb_tok_without_token(t, "axb\xc3\xa9", 5, &first), 3);
    assert_int_equal(first, 1);
    assert_int_equal(lb_tok_without_token(t, "ab!1", 4, &first), 0);
    char *text;
    size_t len;
    assert_status(LB_E_ARG, lb_tokenizer_decode(t, (int32_t[]){1, 8}, 2, &text, &len));
    assert_error_has("id 8 at 1: must be in [0, 8)");
    assert_status(LB_E_ARG, lb_tokenizer_decode(t, (int32_t[]){-1}, 1, &text, &len));
    assert_ok(lb_tokenizer_decode(t, (int32_t[]){4, 5, 0}, 3, &text, &len));
    assert_string_equal(text, "aba <u>");
    lb_free(text);
    assert_memory_equal(lb_tokenizer_piece(t, 5, &len), " ", 1);
    assert_int_equal(len, 1);
    assert_null(lb_tokenizer_piece(t, 8, &len));
    lb_tokenizer_free(t);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        lb_status status;
        const char *message;
    } cases[] = {
        {"\"type\":\"BPE\"", "\"type\":\"WordPiece\"", LB_E_UNSUPPORTED, "model.type is 'WordPiece'"},
        {"\"dropout\":null", "\"dropout\":0.1", LB_E_UNSUPPORTED, "dropout"},
        {"\"end_of_word_suffix\":null", "\"end_of_word_suffix\":7", LB_E_FORMAT, "end_of_word_suffix"},
        {"\"NFC\"", "\"BertNormalizer\"", LB_E_UNSUPPORTED, "normalizer 'BertNormalizer'"},
        {"\"NFC\"", "\"Precompile\"", LB_E_UNSUPPORTED, "normalizer 'Precompile'"},
        {"\"type\":\"Digits\"", "\"type\":\"UnicodeScripts\"", LB_E_UNSUPPORTED, "pre-tokenizer 'UnicodeScripts'"},
        {"\"type\":\"Digits\"", "\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\"", LB_E_FORMAT, "delimiter"},
        {"\"type\":\"Digits\"", "\"type\":\"Metaspace\",\"replacement\":\"ab\"", LB_E_FORMAT, "expected one character"},
        {"{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\"",
         "{\"type\":\"ByteLevel\"},{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"},{"
         "\"type\":"
         "\"ByteLevel\"",
         LB_E_UNSUPPORTED, "prepend_scheme 'first' behind others"},
        {"\"normalized\":false,\"special\":true}],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[",
         "\"normalized\":true,\"special\":true}],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
         "\"Replace\",\"pattern\":{\"Regex\":\"[<u>]\"},\"content\":\"\"},",
         LB_E_UNSUPPORTED, "added token 0 (\"<u>\") is nothing once it is normalized"},
        {"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"CTC\"", LB_E_UNSUPPORTED, "decoder 'CTC'"},
        {"\"decoder\":{\"type\":\"ByteLevel\"",
         "\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0", LB_E_FORMAT,
         "must not be negative"},
        {"\"Isolated\"", "\"Sometimes\"", LB_E_UNSUPPORTED, "behavior 'Sometimes'"},
        {"[\\\\s!]+", "a(?~b)", LB_E_UNSUPPORTED, "pre-tokenizer Split: pattern \"a(?~b)\": at 1: '(?~': the absence"},
        {"\"z+\"", "\"\\\\X\"", LB_E_UNSUPPORTED, "normalizer Replace: pattern \"\\X\": at 0: '\\X': a text segment"},
        {"[\\\\s!]+", "(a", LB_E_UNSUPPORTED, "pattern \"(a\""},
        {"{\"Regex\":\"z+\"}", "{\"Regex\":\"z*\"}", LB_E_UNSUPPORTED,
         "tokenizer.json: normalizer Replace: pattern \"z*\" can match nothing and then puts \"a\" there: not known "
         "before "
         "pre-tokenizers that change a piece, where the tokenizers library doubles text or fails"},
        {"{\"Regex\":\"z+\"}", "{\"String\":\"\"}", LB_E_UNSUPPORTED, "pattern \"\" can match nothing"},
        {"{\"type\":\"NFC\"}", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"^\"},\"content\":\"b\"}",
         LB_E_UNSUPPORTED,
         "pattern \"^\" can match nothing and then puts \"b\" there: not known before another normalizer"},
        {"{\"Regex\":\"[\\\\s!]+\"}", "{\"Else\":\"\"}", LB_E_FORMAT, "a pattern must be"},
        {"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", LB_E_UNSUPPORTED,
         "decoder 'WordPiece'"},
        {"\"TemplateProcessing\"", "\"BertProcessing\"", LB_E_UNSUPPORTED, "post-processor BertProcessing ends a text"},
        {"\"TemplateProcessing\"", "\"Elsewhere\"", LB_E_UNSUPPORTED, "post-processor 'Elsewhere'"},
        {"\"type_id\":0}}],\"pair\"", "\"type_id\":0}},{\"SpecialToken\":{\"id\":\"<u>\",\"type_id\":0}}],\"pair\"",
         LB_E_UNSUPPORTED, "ends a text with token 0"},
        {"\"ids\":[0]", "\"ids\":[9]", LB_E_FORMAT, "has id 9: must be in [0, 8)"},
        {"\"b\":2", "\"b\":1", LB_E_FORMAT, "id 1 is given to"},
        {"\"b\":2", "\"b\":-2", LB_E_FORMAT, "the id of \"b\" is -2"},
        {"\"b\":2", "\"b\":2000000", LB_E_FORMAT, "largest id 2000000 with only 9 tokens"},
        {"\"b\":2", "\"b\":\"2\"", LB_E_FORMAT, "not an integer"},
        {"\"a b\"", "\"a c\"", LB_E_FORMAT, "merge 0: \"c\" is not in the vocabulary"},
        {"\"a b\"", "\"b a\"", LB_E_FORMAT, "merge 0: \"ba\" is not in the vocabulary"},
        {"\"a b\"", "\"ab\"", LB_E_FORMAT, "merges[0]"},
        {"\"a b\"", "7", LB_E_FORMAT, "merges[0]"},
        {"\"unk_token\":null", "\"unk_token\":\"c\"", LB_E_FORMAT, "unk_token"},
        {"\"added_tokens\":[", "\"added_tokens\":[{\"id\":9,\"content\":\"<v>\"},", LB_E_UNSUPPORTED,
         "added token \"<v>\" has id 9; the tokenizers library counts on from the vocabulary and gives it 8"},
        {"\"content\":\"<u>\"", "\"content\":\"<v>\"", LB_E_FORMAT, "id 0 is given to \"<u>\" and to the added token"},
        {"\"fuse_unk\":false", "\"fuse_unk\":1", LB_E_FORMAT, "fuse_unk must be true or false"},
        {"\"vocab\":{", "\"vocab\":[{", LB_E_FORMAT, "tokenizer.json:1:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_tokenizer *t;
        lb_status got = load_edited(cases[i].from, cases[i].to, &t);
        if (got != cases[i].status) fail_msg("%s: status %d (%s)", cases[i].to, got, lb_error());
        assert_error_has(cases[i].message);
        assert_error_has("tokenizer.json");
    }
    lb_tokenizer *t;
    char none[LB_TEST_PATH];
    snprintf(none, sizeof none, "%s/none", lb_test_tmpdir());
    assert_status(LB_E_IO, lb_tokenizer_from_dir(none, &t));
    assert_error_has("none/tokenizer.json");
}

/* A word that gives no token, seen before. */
static void test_word_without_tokens(void **state) {
    (void)state;
    lb_tokenizer *t;
    assert_ok(load_edited("\"1.0\"", "\"1.0\"", &t));
    encodes(t, "x x x", (int32_t[]){5, 5}, 2);
    encodes(t, "x\ny\nx\ny", NULL, 0);
    lb_tokenizer_free(t);
}

/* Added tokens of a GGUF file as llama.cpp finds them: the longest first, those that end a text by their names, and,
 * since the model is called Phi-3, most of them with the white space behind. */
static void test_added_of_gguf(void **state) {
    (void)state;
    enum { AB = 257, BCD, END, USER, BOS, START };
    static const struct {
        const char *text;
        bool special;
        int32_t id[10];
        int64_t n;
    } cases[] = {
        {"abcd", false, {'a', BCD}, 2},
        {"ab\t cd", false, {AB, 'c', 'd'}, 3},
        {"ababcd", false, {AB, 'a', BCD}, 3},
        {"<|end|>", false, {'<', '|', 'e', 'n', 'd', '|', '>'}, 7},
        {"<|end|> x", true, {END, 'x'}, 2},
        {"<s> x", true, {BOS, ' ', 'x'}, 3},
        {"<|user|>\n<|user|>\xc2\xa0", true, {USER, USER, 0xc2, 0xa0}, 4},
        {"x<|start|>ab", false, {'x', START, AB}, 3},
    };
    lb_tokenizer *t = fixture("tests/oracle/fixtures/tokenizer/added.gguf");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t *id;
        int64_t n;
        assert_ok(lb_tokenizer_encode(t, cases[i].text, strlen(cases[i].text), cases[i].special, &id, &n));
        if (n != cases[i].n || memcmp(id, cases[i].id, (size_t)n * sizeof *id) != 0) fail_msg("'%s'", cases[i].text);
        lb_free(id);
    }
    lb_tokenizer_free(t);
}

/* ---- any bytes ---- */

static void round_trip(const lb_tokenizer *t, const char *s, size_t n) {
    int32_t *id;
    int64_t k;
    char *back;
    size_t len;
    assert_ok(lb_tokenizer_encode(t, s, n, false, &id, &k));
    assert_ok(lb_tokenizer_decode(t, id, k, &back, &len));
    assert_int_equal(len, n);
    assert_memory_equal(back, s, n);
    lb_free(id);
    lb_free(back);
}

static void any_bytes(const lb_tokenizer *t) {
    lb_rng r = lb_rng_make(3, 0);
    char s[300];
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)lb_rng_below(&r, sizeof s);
        for (size_t i = 0; i < n; i++) /* half of them text, so that merges happen */
            do s[i] = (char)(lb_rng_below(&r, 2) ? "the and ring\n"[lb_rng_below(&r, 13)] : lb_rng_below(&r, 256));
            while (i && s[i] == ' ' && s[i - 1] == ' '); /* two spaces are a token of scores.gguf, which eats a mark */
        round_trip(t, s, n);
    }
    round_trip(t, "\xe2\x96", 2);
    round_trip(t, "\xff", 1);
}

static void test_any_bytes(void **state) {
    (void)state;
    lb_tokenizer *t = fixture(BYTES);
    any_bytes(t);
    lb_tokenizer_free(t);
    t = fixture(SCORES);
    any_bytes(t);
    lb_tokenizer_free(t);
}

/* Words that differ in one byte, wherever it is, are not taken for each other by the cache. */
static void test_words_alike(void **state) {
    (void)state;
    lb_tokenizer *t = fixture(BYTES);
    for (size_t n = 1; n <= 40; n++)
        for (size_t at = 1; at <= n; at++) {
            char text[96] = " ", *second = text + n + 1;
            int32_t *all, *one, *other;
            int64_t n_all, n_one, n_other;
            memset(text + 1, 'a', n);
            *second = ' ';
            memset(second + 1, 'a', n);
            second[at] = 'e';
            assert_ok(lb_tokenizer_encode(t, text, 2 * n + 2, false, &all, &n_all));
            assert_ok(lb_tokenizer_encode(t, text, n + 1, false, &one, &n_one));
            assert_ok(lb_tokenizer_encode(t, second, n + 1, false, &other, &n_other));
            assert_int_equal(n_all, n_one + n_other);
            assert_memory_equal(all, one, (size_t)n_one * sizeof *one);
            assert_memory_equal(all + n_one, other, (size_t)n_other * sizeof *other);
            lb_free(all);
            lb_free(one);
            lb_free(other);
        }
    lb_tokenizer_free(t);
}

/* Calls leave their cache to the next one. */
static void forget_words(const lb_tokenizer *t) {
    lb_tok_run *r;
    assert_ok(lb_tok_run_take(t, &r));
    lb_tok_run_give(r, false);
}

/* Words met before come out of the cache: the ids of a text are those of its words, each encoded by a call of its own.
 */
static void test_cache(void **state) {
    (void)state;
    lb_tokenizer *t = fixture(BYTES);
    lb_rng r = lb_rng_make(9, 0);
    static char text[60000];
    size_t n = 0;
    while (n + 256 < sizeof text) n += put_random(&r, text + n);
    int32_t *all, *one;
    int64_t n_all, n_one, at = 0;
    assert_ok(lb_tokenizer_encode(t, text, n, false, &all, &n_all));
    for (size_t i = 0; i < n;) { /* word by word, each with an empty cache */
        size_t k = t->step[0].scan(text + i, n - i);
        forget_words(t);
        assert_ok(lb_tokenizer_encode(t, text + i, k, false, &one, &n_one));
        assert_true(at + n_one <= n_all);
        assert_memory_equal(all + at, one, (size_t)n_one * sizeof *one);
        lb_free(one);
        at += n_one;
        i += k;
        if (at > 4000) break;
    }
    lb_free(all);
    lb_tokenizer_free(t);
}

/* ---- training ---- */

static void test_train(void **state) {
    (void)state;
    const char *text = "low low low lower lower newest newest newest newest widest 12 12 12";
    lb_tokenizer *t;
    assert_ok(lb_tokenizer_train(text, strlen(text), 261, &t));
    assert_string_equal(lb_tokenizer_kind(t), "byte-level BPE, smollm");
    assert_int_equal(lb_tokenizer_vocab(t), 261);
    assert_int_equal(lb_tokenizer_bos(t), 0);
    assert_false(lb_tokenizer_adds_bos(t));
    /* Pairs: "es" 5, "st" 5, "we" 6 ("we" in lower, newest), "lo" 5, "ow" 5, " l" 4, " n" 4, "wes" after "we"... */
    size_t n;
    assert_memory_equal(lb_tokenizer_piece(t, 257, &n), "we", 2);
    assert_int_equal(n, 2);
    assert_status(LB_E_ARG, lb_tokenizer_train(text, strlen(text), 2000, &(lb_tokenizer *){NULL}));
    assert_error_has("a vocabulary of 2000 asked for, but no pair occurs twice after");
    assert_status(LB_E_ARG, lb_tokenizer_train(text, strlen(text), 256, &(lb_tokenizer *){NULL}));
    lb_tokenizer *empty;
    assert_ok(lb_tokenizer_train("", 0, 257, &empty));
    round_trip(empty, "any \xff text\n", 11);
    lb_tokenizer_free(empty);
    lb_tokenizer_free(t);
}

/* ---- damaged files, failing allocations ---- */

/* Everything that can be done with a tokenizer. */
static lb_status use(const lb_tokenizer *t) {
    static const char text[] = "the ring<s> and  12 things!\xff\n it's [keep] aba zz \xe4\xbd\xa0";
    int32_t *id;
    int64_t n;
    char *back;
    size_t len;
    LB_TRY(lb_tokenizer_encode(t, text, strlen(text), true, &id, &n));
    lb_status status = lb_tokenizer_decode(t, id, n, &back, &len);
    lb_free(id);
    if (status != LB_OK) return status;
    lb_free(back);
    return LB_OK;
}

static lb_status probe_gguf_tokenizer(const char *path) {
    lb_tokenizer *t;
    LB_TRY(load_gguf(path, &t));
    lb_status status = use(t);
    lb_tokenizer_free(t);
    return status;
}

static lb_status probe_tokenizer_json(const char *path) {
    char link[LB_TEST_PATH + 32];
    snprintf(link, sizeof link, "%s/tokenizer.json", json_dir());
    (void)remove(link);
    assert_int_equal(symlink(path, link), 0);
    lb_tokenizer *t;
    int32_t *id;
    int64_t n;
    LB_TRY(lb_tokenizer_from_dir(json_dir(), &t));
    lb_status status = lb_tokenizer_encode(t, "aba<u>1!!zzbab", 14, true, &id, &n);
    if (status == LB_OK) lb_free(id);
    lb_tokenizer_free(t);
    return status;
}

static void test_damaged_json(void **state) {
    (void)state;
    char path[LB_TEST_PATH + 32];
    snprintf(path, sizeof path, "%s/whole.json", json_dir());
    write_in(json_dir(), "whole.json", small_json);
    assert_ok(probe_tokenizer_json(path));
    assert_int_equal(sweep_prefixes(probe_tokenizer_json, path, LB_E_FORMAT, LB_E_IO), 0);
    assert_true(sweep_bytes(probe_tokenizer_json, path, 0, strlen(small_json), LB_E_FORMAT, LB_E_UNSUPPORTED) > 0);
    assert_true(sweep_allocations(probe_tokenizer_json, path) > 20);
}

static void test_damaged_gguf(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_fixture(SCORES, path);
    assert_ok(probe_gguf_tokenizer(path));
    assert_true(sweep_allocations(probe_gguf_tokenizer, path) > 8);
    /* Keys, the head of the tokens; then places within tokens, scores and types. */
    assert_true(sweep_bytes(probe_gguf_tokenizer, path, 0, 400, LB_E_FORMAT, LB_E_UNSUPPORTED) > 0);
    for (size_t at = 400; at < 9000; at += 300)
        (void)sweep_bytes(probe_gguf_tokenizer, path, at, at + 8, LB_E_FORMAT, LB_E_UNSUPPORTED);
    lb_test_fixture(BYTES, path);
    assert_ok(probe_gguf_tokenizer(path));
    assert_true(sweep_allocations(probe_gguf_tokenizer, path) > 8);
    for (size_t at = 0; at < 8000; at += 200)
        (void)sweep_bytes(probe_gguf_tokenizer, path, at, at + 8, LB_E_FORMAT, LB_E_UNSUPPORTED);
}

/* Training and saving, with each allocation failing in turn. */
static void test_failing_allocations(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    snprintf(dir, sizeof dir, "%s/saved", lb_test_tmpdir());
    const char *text = "the cat and the dog and the cat and a dog, 12 dogs and 12 cats";
    int64_t failed = 0;
    for (lb_status status = LB_E_NOMEM; status != LB_OK; failed++) {
        lb_tokenizer *t;
        lb_alloc_fail_at(failed + 1);
        status = lb_tokenizer_train(text, strlen(text), 265, &t);
        if (status == LB_OK) {
            status = lb_tokenizer_save(t, dir);
            lb_tokenizer_free(t);
        }
        lb_alloc_fail_at(0);
        if (status != LB_OK) assert_int_equal(status, LB_E_NOMEM);
    }
    assert_true(failed > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scanners),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_added_of_gguf),
        cmocka_unit_test(test_words_alike),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_word_without_tokens),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_damaged_json),
        cmocka_unit_test(test_damaged_gguf),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

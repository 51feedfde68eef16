/* tokenizer.model: what its bytes may say and what is refused, the files beside it, and who puts a BOS; Unigram models
 * of tokenizer.json that say something impossible. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "io/protobuf.h"
#include "support/io_probe.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

#define FIXTURE(name) "tests/oracle/fixtures/sentencepiece/" name

/* ---- a file of our own ---- */

typedef struct bytes {
    uint8_t b[4096];
    size_t n;
} bytes;

static void put(bytes *o, const void *p, size_t n) {
    assert_true(o->n + n <= sizeof o->b);
    memcpy(o->b + o->n, p, n);
    o->n += n;
}
static void put_varint(bytes *o, uint64_t v) {
    for (; v >= 0x80; v >>= 7) put(o, &(uint8_t){(uint8_t)(v | 0x80)}, 1);
    put(o, &(uint8_t){(uint8_t)v}, 1);
}
static void put_number(bytes *o, uint32_t field, uint64_t v) {
    put_varint(o, (uint64_t)field << 3);
    put_varint(o, v);
}
static void put_sized(bytes *o, uint32_t field, const void *p, size_t n) {
    put_varint(o, (uint64_t)field << 3 | 2);
    put_varint(o, n);
    put(o, p, n);
}
static void put_piece(bytes *o, const char *text, float score, int type) {
    bytes p = {0};
    put_sized(&p, 1, text, strlen(text));
    put_varint(&p, 2 << 3 | 5);
    put(&p, &score, 4);
    if (type != 1) put_number(&p, 3, (uint64_t)type);
    put_sized(o, 1, p.b, p.n);
}
/* trainer_spec with the model's type and byte_fallback; a normalizer_spec that changes nothing but spaces. */
static void put_specs(bytes *o, int model, bool byte_fallback) {
    bytes s = {0};
    put_number(&s, 3, (uint64_t)model);
    put_number(&s, 35, byte_fallback);
    put_sized(o, 2, s.b, s.n);
    s.n = 0;
    put_number(&s, 3, 0);
    put_number(&s, 4, 0);
    put_sized(o, 3, s.b, s.n);
}
static void put_small(bytes *o) {
    put_piece(o, "<unk>", 0, 2);
    put_piece(o, "<s>", 0, 3);
    put_piece(o, "</s>", 0, 3);
    put_piece(o, "a", -1, 1);
    put_piece(o, "b", -2, 1);
    put_piece(o, "ab", -2.5F, 1);
}

static const char *dir_of(const char *name) {
    static char dir[LB_TEST_PATH];
    snprintf(dir, sizeof dir, "%s/%s", json_dir(), name);
    assert_ok(lb_fs_mkdirs(dir));
    return dir;
}

static lb_status load(const bytes *o, lb_tokenizer **t) {
    char *path = lb_fs_join(dir_of("spm"), "tokenizer.model");
    assert_ok(lb_fs_write_atomic(path, o->b, o->n));
    lb_free(path);
    return lb_tokenizer_from_dir(dir_of("spm"), t);
}

static void refused(const bytes *o, lb_status status, const char *message) {
    lb_tokenizer *t;
    assert_status(status, load(o, &t));
    assert_error_has(message);
}

static void test_impossible(void **state) {
    (void)state;
    bytes o = {0};
    put_specs(&o, 1, false);
    refused(&o, LB_E_FORMAT, "tokenizer.model: no pieces");
    put_piece(&o, "a", -1, 1);
    refused(&o, LB_E_FORMAT, "there is no unknown piece");
    static const struct {
        const char *text;
        float score;
        int type, model;
        lb_status status;
        const char *message;
    } cases[] = {
        {"a", -3, 1, 1, LB_E_FORMAT, "pieces 3 and 6 are the same"},
        {"", -3, 1, 1, LB_E_FORMAT, "piece 6 is empty"},
        {"c", NAN, 1, 1, LB_E_FORMAT, "piece 6 has the score nan: must be finite"},
        {"c", -3, 7, 1, LB_E_FORMAT, "piece 6 is of type 7: must be in [1, 6]"},
        {"c", -3, 2, 1, LB_E_FORMAT, "pieces 0 and 6 are the unknown one"},
        {"<0x0A>", 0, 6, 1, LB_E_FORMAT, "piece 6 is a byte, but byte_fallback is off"},
        {"\xff", -3, 1, 1, LB_E_FORMAT, "token 6 is not UTF-8"},
        {"c", -3, 5, 2, LB_E_UNSUPPORTED, "piece 6 is unused: such a piece of a BPE model is not known here"},
        {"c", -3, 1, 3, LB_E_UNSUPPORTED, "a model of words: known are BPE and Unigram"},
        {"c", -3, 1, 4, LB_E_UNSUPPORTED, "a model of characters: known are BPE and Unigram"},
        {"c", -3, 1, 5, LB_E_FORMAT, "trainer_spec.model_type = 5: must be in [1, 4]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o.n = 0;
        put_small(&o);
        put_piece(&o, cases[i].text, cases[i].score, cases[i].type);
        put_specs(&o, cases[i].model, false);
        refused(&o, cases[i].status, cases[i].message);
    }
    o.n = 0;
    put_small(&o);
    put_specs(&o, 1, true);
    refused(&o, LB_E_FORMAT, "there is no piece <0x00>");
    char longest[1026];
    memset(longest, 'a', sizeof longest);
    longest[1025] = 0;
    o.n = 0;
    put_small(&o);
    put_piece(&o, longest + 1, -3, 1);
    put_specs(&o, 1, false);
    lb_tokenizer *t;
    assert_ok(load(&o, &t));
    lb_tokenizer_free(t);
    o.n = 0;
    put_small(&o);
    put_piece(&o, longest, -3, 1);
    put_specs(&o, 1, false);
    refused(&o, LB_E_UNSUPPORTED, "token 6 has 1025 bytes: at most 1024");
}

static void test_wire(void **state) {
    (void)state;
    static const struct {
        uint8_t b[12];
        size_t n;
        const char *message;
    } cases[] = {
        {{0x0a}, 1, "byte 1: a number is cut short"},
        {{0x0a, 0x05, 'a'}, 3, "byte 0: field 1 has 5 bytes, but 1 are left"},
        {{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
         11,
         "byte 1: a number of more than 64 bits"},
        {{0x0b}, 1, "byte 0: field 1 is of kind 3: must be 0, 1, 2 or 5"},
        {{0x02, 0x00}, 2, "byte 0: field 0: must be in [1, 2^29)"},
        {{0x08, 0x01}, 2, "byte 0: a piece (field 1) is of kind 0, expected 2"},
        {{0x0d, 0x01, 0x02}, 3, "byte 1: a number is cut short"},
        {{0x0a, 0x02, 0x08, 0x01}, 4, "byte 2: a piece's text (field 1) is of kind 0, expected 2"},
        {{0x12, 0x02, 0x1d, 0x01}, 4, "byte 3: a number is cut short"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes o = {0};
        put(&o, cases[i].b, cases[i].n);
        refused(&o, LB_E_FORMAT, cases[i].message);
    }
    /* Fields that are not known are passed over, and of a number given twice the last counts. */
    bytes o = {0};
    put_small(&o);
    put_number(&o, 99, UINT64_MAX);
    put_varint(&o, 98 << 3 | 1);
    put(&o, "12345678", 8);
    put_sized(&o, 97, "x", 1);
    put_specs(&o, 4, false);
    put_specs(&o, 1, false);
    lb_tokenizer *t;
    assert_ok(load(&o, &t));
    assert_string_equal(lb_tokenizer_kind(t), "SentencePiece Unigram");
    lb_tokenizer_free(t);
}

static void expect(const lb_tokenizer *t, const char *text, const int32_t *want, int64_t n) {
    int32_t *id;
    int64_t count;
    assert_ok(lb_tokenizer_encode(t, text, strlen(text), false, &id, &count));
    assert_int_equal(count, n);
    assert_memory_equal(id, want, (size_t)n * sizeof *want);
    lb_free(id);
}

/* ab (-2.5) is better than a, b (-3); unknown characters in a row are one. */
static void test_small(void **state) {
    (void)state;
    bytes o = {0};
    lb_tokenizer *t;
    put_small(&o);
    put_specs(&o, 1, false);
    assert_ok(load(&o, &t));
    expect(t, "aabb", (int32_t[]){3, 5, 4}, 3);
    expect(t, "xyaxb", (int32_t[]){0, 3, 0, 4}, 4);
    expect(t, "", (int32_t[]){0}, 0);
    lb_tokenizer_free(t);
    put_specs(&o, 2, false);
    assert_ok(load(&o, &t));
    expect(t, "aabb", (int32_t[]){3, 5, 4}, 3);
    lb_tokenizer_free(t);
}

/* ---- the files beside it ---- */

static void test_beside(void **state) {
    (void)state;
    static const struct {
        const char *config, *names, *special, *model;
        bool adds, dispute;
        int64_t vocab;
        int bos, eos;
    } cases[] = {
        {NULL, NULL, NULL, NULL, false, false, 6, 1, 2},
        {NULL, NULL, NULL, "llama", true, true, 6, 1, 2},
        {NULL, NULL, NULL, "mistral", true, true, 6, 1, 2},
        {NULL, NULL, NULL, "phi3", false, false, 6, 1, 2},
        {"{\"add_bos_token\":false}", NULL, NULL, "llama", false, false, 6, 1, 2},
        {"{\"add_bos_token\":true}", NULL, NULL, NULL, true, false, 6, 1, 2},
        {"{\"tokenizer_class\":\"LlamaTokenizer\"}", NULL, NULL, NULL, true, true, 6, 1, 2},
        {"{\"tokenizer_class\":\"T5Tokenizer\"}", NULL, NULL, "llama", false, false, 6, 1, 2},
        {"{\"bos_token\":\"a\",\"add_bos_token\":true}", NULL, NULL, NULL, true, false, 6, 3, 2},
        {NULL, "{\"<pad>\":7}", "{\"eos_token\":{\"content\":\"<pad>\"}}", NULL, false, false, 8, 1, 7},
        {"{\"added_tokens_decoder\":{\"1\":{\"content\":\"<s>\",\"special\":true},\"6\":{\"content\":\"[k]\","
         "\"special\":"
         "false}}}",
         "{\"<pad>\":9}", NULL, NULL, false, false, 7, 1, 2},
    };
    bytes o = {0};
    put_small(&o);
    put_specs(&o, 2, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char again[LB_TEST_PATH], config[64];
        snprintf(again, sizeof again, "%s", dir_of("again"));
        const char *dir = dir_of("spm");
        snprintf(config, sizeof config, "{\"model_type\":\"%s\"}", cases[i].model ? cases[i].model : "");
        write_in(dir, "config.json", config);
        write_in(dir, "tokenizer_config.json", cases[i].config ? cases[i].config : "{}");
        write_in(dir, "added_tokens.json", cases[i].names ? cases[i].names : "{}");
        write_in(dir, "special_tokens_map.json", cases[i].special ? cases[i].special : "{}");
        lb_tokenizer *t;
        assert_ok(load(&o, &t));
        for (int round = 0; round < 2; round++) {
            assert_int_equal(lb_tokenizer_adds_bos(t), cases[i].adds);
            assert_int_equal(lb_tokenizer_bos_dispute(t) != NULL, cases[i].dispute);
            assert_int_equal(lb_tokenizer_vocab(t), cases[i].vocab);
            assert_int_equal(lb_tokenizer_bos(t), cases[i].bos);
            assert_int_equal(lb_tokenizer_eos(t), cases[i].eos);
            if (round == 0) {
                assert_ok(lb_tokenizer_save(t, again));
                write_in(again, "config.json", config);
                lb_tokenizer_free(t);
                assert_ok(lb_tokenizer_from_dir(again, &t));
            }
        }
        if (cases[i].vocab == 7) expect(t, "a[k]b", (int32_t[]){3, 6, 4}, 3);
        lb_tokenizer_free(t);
    }
    const char *dir = dir_of("spm");
    lb_tokenizer *t;
    write_in(dir, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"[k]\"}}}");
    refused(&o, LB_E_FORMAT, "added_tokens_decoder: 'x': expected an id and a token");
    write_in(dir, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"3\":{\"content\":\"[k]\"}}}");
    refused(&o, LB_E_FORMAT, "id 3 is given to \"a\" and to the added token \"[k]\"");
    write_in(dir, "tokenizer_config.json", "{\"add_bos_token\":1}");
    refused(&o, LB_E_FORMAT, "key 'add_bos_token': expected true or false");
    write_in(dir, "tokenizer_config.json", "{}");
    write_in(dir, "added_tokens.json", "[]");
    refused(&o, LB_E_FORMAT, "added_tokens.json: expected an object");
    write_in(dir, "added_tokens.json", "{}");
    assert_ok(load(&o, &t));
    lb_tokenizer_free(t);
}

/* ---- damage ---- */

static char probe_dir[LB_TEST_PATH], probe_link[LB_TEST_PATH + 32];

/* The file behind path as a folder's tokenizer.model, used. */
static lb_status probe_spm(const char *path) {
    static const char text[] = "the ring [keep] \xef\xbc\xa1 e\xcc\x81  12!\xff\n";
    lb_tokenizer *t;
    int32_t *id;
    int64_t n;
    char *back;
    size_t len;
    (void)unlink(probe_link);
    assert_int_equal(symlink(path, probe_link), 0);
    LB_TRY(lb_tokenizer_from_dir(probe_dir, &t));
    lb_status s = lb_tokenizer_encode(t, text, sizeof text - 1, false, &id, &n);
    if (s == LB_OK) {
        s = lb_tokenizer_decode(t, id, n, &back, &len);
        if (s == LB_OK) lb_free(back);
        lb_free(id);
    }
    lb_tokenizer_free(t);
    return s;
}

static void test_damage(void **state) {
    (void)state;
    static const char *const files[] = {FIXTURE("unigram-rules.model"), FIXTURE("bpe-rules.model")};
    snprintf(probe_dir, sizeof probe_dir, "%s", dir_of("probe"));
    snprintf(probe_link, sizeof probe_link, "%s/tokenizer.model", probe_dir);
    for (size_t i = 0; i < 2; i++) {
        char path[LB_TEST_PATH];
        size_t n;
        lb_test_fixture(files[i], path);
        free(slurp(path, &n));
        assert_ok(probe_spm(path));
        assert_true(sweep_allocations(probe_spm, path) > 8);
        for (size_t at = 0; at + 4 < n; at += 40)
            (void)sweep_bytes(probe_spm, path, at, at + 4, LB_E_FORMAT, LB_E_UNSUPPORTED);
    }
}

/* ---- Unigram of tokenizer.json ---- */

static lb_status load_added(const char *model, const char *normalizer, const char *added, lb_tokenizer **t) {
    char text[2048];
    snprintf(text, sizeof text, "{\"model\":%s,\"normalizer\":%s,\"added_tokens\":[%s]}", model, normalizer, added);
    write_in(dir_of("json"), "tokenizer.json", text);
    return lb_tokenizer_from_dir(dir_of("json"), t);
}

static lb_status load_json(const char *model, const char *normalizer, lb_tokenizer **t) {
    return load_added(model, normalizer, "", t);
}

static void test_json(void **state) {
    (void)state;
    static const struct {
        const char *model, *normalizer;
        lb_status status;
        const char *message;
    } cases[] = {
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":{}}", "null", LB_E_FORMAT,
         "model.vocab of Unigram must be a list"},
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\"]]}", "null", LB_E_FORMAT,
         "model.vocab[0]: expected [\"piece\", score]"},
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",\"b\"]]}", "null", LB_E_FORMAT,
         "model.vocab[0]: expected [\"piece\", score]"},
        {"{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",-1]]}", "null", LB_E_FORMAT,
         "model.unk_id = 1: must be in [0, 1)"},
        {"{\"type\":\"Unigram\",\"unk_id\":null,\"vocab\":[]}", "null", LB_E_FORMAT, "a vocabulary of 0 tokens"},
        {"{\"type\":\"WordPiece\",\"vocab\":{}}", "null", LB_E_UNSUPPORTED,
         "model.type is 'WordPiece': known are BPE and Unigram; no model of a family that runs here comes with it"},
        {"{\"type\":\"WordLevel\",\"vocab\":{}}", "null", LB_E_UNSUPPORTED, "model.type is 'WordLevel': known are BPE"},
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",-1]]}",
         "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}", LB_E_FORMAT, "precompiled_charsmap: 3 bytes"},
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",-1]]}",
         "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA*A\"}", LB_E_FORMAT, "character 2 is not base64"},
        {"{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",-1]]}",
         "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAABh\"}", LB_E_FORMAT,
         "the last replacement has no end"},
    };
    lb_tokenizer *t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_status(cases[i].status, load_json(cases[i].model, cases[i].normalizer, &t));
        assert_error_has(cases[i].message);
    }
    int32_t *id;
    int64_t n;
    assert_ok(load_json("{\"unk_id\":null,\"vocab\":[[\"a\",-1],[\"b\",-2]]}", "null", &t)); /* from before the type */
    expect(t, "ab", (int32_t[]){0, 1}, 2);
    assert_status(LB_E_UNSUPPORTED, lb_tokenizer_encode(t, "axb", 3, false, &id, &n));
    assert_error_has("the text has \"x\", which is in no piece, and there is no unknown token");
    lb_tokenizer_free(t);
    /* Of equal pieces the last counts, as in the library. */
    assert_ok(load_json("{\"unk_id\":0,\"vocab\":[[\"u\",0],[\"a\",-1],[\"b\",-2],[\"a\",-9]]}", "null", &t));
    expect(t, "ab", (int32_t[]){3, 2}, 2);
    lb_tokenizer_free(t);
}

/* sentencepiece's bonus: a user-defined piece wins over all normal ones (a, a: -1), a longer one over shorter ones;
 * its score in the file does not count. */
static void test_user_defined(void **state) {
    (void)state;
    bytes o = {0};
    lb_tokenizer *t;
    put_piece(&o, "<unk>", 0, 2);
    put_piece(&o, "a", -0.5F, 1);
    put_piece(&o, "\xc3\xa9", -0.5F, 1);
    put_piece(&o, "aa", -100, 4);
    put_piece(&o, "\xc3\xa9\xc3\xa9", 0, 4);
    put_piece(&o, "\xc3\xa9\xc3\xa9\xc3\xa9", 0, 4);
    static const char *const more[] = {"x", "y", "zw", "xyz", "w"}; /* 6 to 10 */
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) put_piece(&o, more[i], 0, 4);
    put_specs(&o, 1, false);
    assert_ok(load(&o, &t));
    expect(t, "aa", (int32_t[]){3}, 1);
    expect(t, "aaaa", (int32_t[]){3, 3}, 2);
    expect(t, "xyzw", (int32_t[]){9, 10}, 2); /* not x y zw: a piece's first byte is nothing */
    expect(t, "\xc3\xa9\xc3\xa9", (int32_t[]){4}, 1);
    expect(t, "\xc3\xa9\xc3\xa9\xc3\xa9", (int32_t[]){5}, 1);
    lb_tokenizer_free(t);
}

/* 3.6582389975069995 is read as the number below the nearest: the ids are those of the library. */
static void test_scores_as_read(void **state) {
    (void)state;
    static const struct {
        const char *a, *aa;
        bool whole;
    } cases[] = {
        {"-3.6582389975069995", "-7.316477995013999", false},
        {"-3.6582389975069995", "-7.316477995013998", true},
        {"-3.6582389975069995", "-7.316477995014", false},
        {"-1", "-2", true}, /* exact, whatever way it is read; aa is offered first */
        {"-1.5e-3", "-3.001e-3", false},
        {"-5e-11", "-1e-10", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char model[256];
        lb_tokenizer *t;
        snprintf(model, sizeof model, "{\"unk_id\":0,\"vocab\":[[\"u\",0],[\"a\",%s],[\"aa\",%s]]}", cases[i].a,
                 cases[i].aa);
        assert_ok(load_json(model, "null", &t));
        expect(t, "aa", cases[i].whole ? (int32_t[]){2} : (int32_t[]){1, 1}, cases[i].whole ? 1 : 2);
        lb_tokenizer_free(t);
    }
}

/* As the library counts: on from the pieces; a piece keeps its id, of equal ones the last. */
static void test_added_ids(void **state) {
    (void)state;
    static const struct {
        const char *added, *message;
    } cases[] = {
        {"{\"content\":\"<x>\",\"id\":4}", NULL},
        {"{\"content\":\"<x>\",\"id\":4},{\"content\":\"a\",\"id\":3},{\"content\":\"<y>\",\"id\":5}", NULL},
        {"{\"content\":\"<x>\",\"id\":5}", "added token \"<x>\" has id 5; the tokenizers library counts on from the "
                                           "vocabulary and gives it 4"},
        {"{\"content\":\"<x>\",\"id\":5},{\"content\":\"<y>\",\"id\":4}", "added token \"<x>\" has id 5"},
        {"{\"content\":\"a\",\"id\":4}", "added token \"a\" has id 4; the tokenizers library counts on from the "
                                         "vocabulary and gives it 3"},
        {"{\"content\":\"b\",\"id\":0}", "id 0 is given to \"u\" and to the added token \"b\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_tokenizer *t = NULL;
        lb_status status = load_added("{\"unk_id\":0,\"vocab\":[[\"u\",0],[\"a\",-1],[\"b\",-2],[\"a\",-9]]}", "null",
                                      cases[i].added, &t);
        if (cases[i].message) {
            assert_true(status != LB_OK);
            assert_error_has(cases[i].message);
        } else {
            assert_ok(status);
            lb_tokenizer_free(t);
        }
    }
}

/* White space that added tokens take along is looked through once: a run of n such tokens costs n, not its square (here
 * hours). */
static void test_run_of_stripping_tokens(void **state) {
    (void)state;
    static const char *const sides[] = {"lstrip", "rstrip"};
    const size_t n = 2000000;
    lb_tokenizer *t;
    int32_t *id;
    int64_t count;
    char *text = lb_alloc(n + 1, 1), added[64];
    assert_non_null(text);
    memset(text, ' ', n);
    for (size_t i = 0; i < 2; i++) {
        snprintf(added, sizeof added, "{\"content\":\" \",\"id\":2,\"%s\":true}", sides[i]);
        assert_ok(load_added("{\"unk_id\":0,\"vocab\":[[\"u\",0],[\"a\",-1]]}", "null", added, &t));
        assert_ok(lb_tokenizer_encode(t, text, n, true, &id, &count));
        assert_int_equal(count, n);
        lb_free(id);
        lb_tokenizer_free(t);
    }
    lb_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_defined), cmocka_unit_test(test_scores_as_read),
        cmocka_unit_test(test_added_ids),    cmocka_unit_test(test_run_of_stripping_tokens),
        cmocka_unit_test(test_impossible),   cmocka_unit_test(test_wire),
        cmocka_unit_test(test_small),        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

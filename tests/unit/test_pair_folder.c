/* vocab.json with merges.txt: what is refused and how it is told, damage and failing allocations; that a model's folder
 * with them has a tokenizer, is another model with other files, and is exported with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/model.h"
#include "support/folder.h"
#include "support/io_probe.h"

static const char vocab[] = "{\"</s>\":0,\"<pad>\":1,\"a\":2,\"b\":3,\"\\u0120\":4,\"ab\":5,\"\\u0120ab\":6}";
static const char merges[] = "#version: 0.2\na b\n\xc4\xa0 ab\r\n";
static const char config[] =
    "{\"tokenizer_class\":\"GPT2Tokenizer\",\"bos_token\":{\"content\":\"</s>\",\"normalized\":"
    "true,\"__type\":\"AddedToken\"},\"eos_token\":\"</s>\",\"unk_token\":\"</s>\","
    "\"pad_token\":\"<pad>\",\"add_bos_token\":true}";

static void put(const char *dir, const char *name, const char *text) {
    char path[LB_TEST_PATH];
    join_path(path, dir, name);
    (void)unlink(path);
    if (text) assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
}

static const char *folder_of(const char *v, const char *m, const char *c) {
    static char dir[LB_TEST_PATH];
    if (!*dir) join_path(dir, lb_test_tmpdir(), "pair");
    assert_ok(lb_fs_mkdirs(dir));
    put(dir, "vocab.json", v);
    put(dir, "merges.txt", m);
    put(dir, "tokenizer_config.json", c);
    put(dir, "config.json", NULL);
    put(dir, "added_tokens.json", NULL);
    put(dir, "special_tokens_map.json", NULL);
    return dir;
}

static void expect_ids(const lb_tokenizer *t, const char *text, bool special, const char *ids) {
    int32_t *id;
    int64_t n;
    char list[256] = "", one[16];
    assert_ok(lb_tokenizer_encode(t, text, strlen(text), special, &id, &n));
    for (int64_t i = 0; i < n; i++) {
        snprintf(one, sizeof one, "%s%d", i ? " " : "", id[i]);
        strcat(list, one);
    }
    lb_free(id);
    assert_string_equal(list, ids);
}

/* In order of the library: a line that begins like the header is none, of equal merges the last counts, what is in no
 * file gets the next id. */
static void test_taken(void **state) {
    (void)state;
    lb_tokenizer *t;
    assert_ok(lb_tokenizer_from_dir(folder_of(vocab, merges, config), &t));
    assert_string_equal(lb_tokenizer_kind(t), "byte-level BPE, gpt-2");
    assert_true(lb_tokenizer_adds_bos(t));
    assert_int_equal(lb_tokenizer_bos(t), 0);
    expect_ids(t, "ab ab</s>", false, "5 6"); /* "</s>" has no tokens of its own */
    expect_ids(t, "ab ab</s>", true, "5 6 0");
    lb_tokenizer_free(t);
    assert_ok(lb_tokenizer_from_dir(folder_of(vocab, "a b", "{\"tokenizer_class\":\"GPT2TokenizerFast\"}"), &t));
    assert_int_equal(lb_tokenizer_vocab(t), 8); /* the class's <|endoftext|> */
    expect_ids(t, " ab<|endoftext|>", true, "4 5 7");
    lb_tokenizer_free(t);
    assert_ok(lb_tokenizer_from_dir(folder_of(vocab, "", config), &t));
    expect_ids(t, "ab", true, "2 3");
    lb_tokenizer_free(t);
}

static void test_refused(void **state) {
    (void)state;
#define CLASS "\"tokenizer_class\":\"GPT2Tokenizer\""
    static const struct {
        const char *vocab, *merges, *config; /* NULL: as above */
        lb_status status;
        const char *message;
    } cases[] = {
        {"[]", NULL, NULL, LB_E_FORMAT, "pair/vocab.json: expected an object"},
        {"{\"a\":0", NULL, NULL, LB_E_FORMAT, "pair/vocab.json:1:"},
        {"", NULL, NULL, LB_E_FORMAT, "pair/vocab.json:"},
        {"{\"a\":0.5}", NULL, NULL, LB_E_FORMAT, "vocab.json: the id of \"a\" is not an integer: 0.5"},
        {"{\"a\":\"0\"}", NULL, NULL, LB_E_FORMAT, "vocab.json: the id of \"a\" is not an integer: '0'"},
        {"{\"a\":-1}", NULL, NULL, LB_E_FORMAT, "vocab.json: the id of \"a\" is -1: must be in [0,"},
        {"{\"a\":0,\"b\":0}", NULL, NULL, LB_E_FORMAT, "vocab.json: id 0 is given to \"a\" and to \"b\""},
        {"{\"a\":0,\"a\":1}", NULL, NULL, LB_E_FORMAT, "vocab.json: key 'a' is given twice: 0 and 1"},
        {"{\"a\":50000000}", NULL, NULL, LB_E_FORMAT, "vocab.json: largest id 50000000 with only"},
        {"{}", NULL, NULL, LB_E_FORMAT, "merges.txt: line 2: \"a\" is not in the vocabulary"},
        {NULL, "#version: 0.2\na b\nab\n", NULL, LB_E_FORMAT,
         "pair/merges.txt: line 3: \"ab\": expected two tokens with a space between"},
        {NULL, "a b\n\n", NULL, LB_E_FORMAT, "merges.txt: line 2: \"\": expected two tokens"},
        {NULL, "a b ab\n", NULL, LB_E_FORMAT, "merges.txt: line 1: \"a b ab\": expected two tokens"},
        {NULL, " a\n", NULL, LB_E_FORMAT, "merges.txt: line 1: \" a\": expected two tokens"},
        {NULL, "a \n", NULL, LB_E_FORMAT, "merges.txt: line 1: \"a \": expected two tokens"},
        {NULL, "a q\n", NULL, LB_E_FORMAT, "merges.txt: line 1: \"q\" is not in the vocabulary"},
        {NULL, "b a\n", NULL, LB_E_FORMAT, "merges.txt: line 1: \"ba\" is not in the vocabulary"},
        {NULL, NULL, "{\"tokenizer_class\":\"BartTokenizer\"}", LB_E_UNSUPPORTED,
         "tokenizer_config.json: tokenizer_class 'BartTokenizer': known for vocab.json with merges.txt are GPT2Token"},
        {NULL, NULL, "{\"tokenizer_class\":7}", LB_E_FORMAT, "key 'tokenizer_class': expected a string"},
        {NULL, NULL, "{}", LB_E_UNSUPPORTED, "no tokenizer_class is named, and config.json's model_type is ''"},
        {NULL, NULL, "{" CLASS ",\"add_bos_token\":\"yes\"}", LB_E_FORMAT,
         "tokenizer_config.json: key 'add_bos_token': expected true or false, not 'yes'"},
        {NULL, NULL, "{" CLASS ",\"add_bos_token\":true,\"bos_token\":null}", LB_E_FORMAT,
         "add_bos_token is true, but no BOS token is named"},
        {NULL, NULL, "{" CLASS ",\"add_eos_token\":true}", LB_E_UNSUPPORTED, "add_eos_token ends a text"},
        {NULL, NULL, "{" CLASS ",\"bos_token\":7}", LB_E_FORMAT,
         "key 'bos_token': expected a string or an object with a string 'content', not 7"},
        {NULL, NULL, "{" CLASS ",\"bos_token\":{\"content\":[]}}", LB_E_FORMAT,
         "key 'bos_token': expected a string or"},
        {NULL, NULL, "{" CLASS ",\"bos_token\":{\"content\":\"x\",\"lstrip\":1}}", LB_E_FORMAT,
         "key 'bos_token': 'lstrip' must be true or false, not 1"},
        {NULL, NULL, "{" CLASS ",\"bos_token\":\"x\",\"bos_token\":\"y\"}", LB_E_FORMAT,
         "key 'bos_token' is given twice"},
        {NULL, NULL, "{" CLASS ",\"bos_token\":\"x\",\"eos_token\":{\"content\":\"x\",\"lstrip\":true}}",
         LB_E_UNSUPPORTED, "key 'eos_token': token \"x\" is given twice, with another 'lstrip'"},
        {NULL, NULL, "{" CLASS ",\"image_token\":\"x\"}", LB_E_UNSUPPORTED, "key 'image_token': tokens with names of"},
        {NULL, NULL, "{" CLASS ",\"extra_special_tokens\":{\"x\":\"y\"}}", LB_E_UNSUPPORTED,
         "key 'extra_special_tokens': expected a list"},
        {NULL, NULL, "{" CLASS ",\"additional_special_tokens\":[\"x\",7]}", LB_E_FORMAT,
         "key 'additional_special_tokens': expected a string or an object with a string 'content', not 7"},
        {NULL, NULL, "{" CLASS ",\"added_tokens_decoder\":{\"x\":{}}}", LB_E_FORMAT,
         "added_tokens_decoder: 'x': expected an id and a token"},
        {NULL, NULL, "{" CLASS ",\"added_tokens_decoder\":{\"9\":{\"content\":\"x\"}}}", LB_E_UNSUPPORTED,
         "added token \"x\" has id 9; the tokenizers library counts on from the vocabulary and gives it 7"},
        {NULL, NULL, "{" CLASS ",\"added_tokens_decoder\":{\"7\":{\"content\":\"x\",\"special\":\"no\"}}}", LB_E_FORMAT,
         "tokenizer_config.json: key 'x': 'special' must be true or false, not 'no'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_tokenizer *t = NULL;
        const char *dir = folder_of(cases[i].vocab ? cases[i].vocab : vocab, cases[i].merges ? cases[i].merges : merges,
                                    cases[i].config ? cases[i].config : config);
        lb_status status = lb_tokenizer_from_dir(dir, &t);
        if (status != cases[i].status || !strstr(lb_error(), cases[i].message))
            fail_msg("case %zu (%s): status %d, %s", i, cases[i].message, (int)status, lb_error());
    }
}

enum { LETTERS = 52 };

static void add_letter(lb_str *s, int i) { lb_str_add(s, "%c", i < 26 ? 'a' + i : 'A' + i - 26); }

/* The letters, and `words` of two and three of them; the merges of the first `made`. */
static lb_status load_cut(int words, int made) {
    lb_str v = {0}, m = {0};
    lb_tokenizer *t = NULL;
    lb_str_add(&v, "{\"</s>\":0,\"<pad>\":1");
    for (int i = 0; i < LETTERS; i++) {
        lb_str_add(&v, ",\"");
        add_letter(&v, i);
        lb_str_add(&v, "\":%d", 2 + i);
    }
    for (int i = 0; i < words; i++) {
        int head = i < LETTERS * LETTERS ? i / LETTERS : (i / LETTERS - LETTERS) % (LETTERS * LETTERS);
        lb_str word = {0};
        if (i >= LETTERS * LETTERS) add_letter(&word, head / LETTERS);
        add_letter(&word, head % LETTERS);
        lb_str_add(&v, ",\"%s", word.s);
        add_letter(&v, i % LETTERS);
        lb_str_add(&v, "\":%d", 2 + LETTERS + i);
        if (i < made) lb_str_add(&m, "%s ", word.s), add_letter(&m, i % LETTERS), lb_str_add(&m, "\n");
        lb_str_free(&word);
    }
    lb_str_add(&v, "}");
    lb_status status = lb_tokenizer_from_dir(folder_of(v.s, m.s, config), &t);
    if (status == LB_OK) lb_tokenizer_free(t);
    lb_str_free(&v);
    lb_str_free(&m);
    return status;
}

/* A hundred tokens that nothing makes, or of a large vocabulary one in a hundred, may be meant; more is a file's end.
 */
static void test_cut(void **state) {
    (void)state;
    assert_ok(load_cut(2000, 2000));
    assert_ok(load_cut(2000, 1900));
    assert_int_equal(load_cut(2000, 1899), LB_E_FORMAT);
    assert_non_null(
        strstr(lb_error(), "merges.txt: its 1899 merges make all but 101 of the 2054 tokens of vocab.json"));
    assert_ok(load_cut(11946, 11826)); /* 120 of 12,000 */
    assert_int_equal(load_cut(11946, 11825), LB_E_FORMAT);
}

/* ---- damage ---- */

static char probe_link[LB_TEST_PATH];
static const char *probe_dir;

/* The file behind path in the place of one of the folder's, used. */
static lb_status probe(const char *path) {
    static const char text[] = "ab ab</s> <pad>x\xff\n";
    lb_tokenizer *t;
    int32_t *id;
    int64_t n;
    (void)unlink(probe_link);
    assert_int_equal(symlink(path, probe_link), 0);
    LB_TRY(lb_tokenizer_from_dir(probe_dir, &t));
    lb_status s = lb_tokenizer_encode(t, text, sizeof text - 1, true, &id, &n);
    if (s == LB_OK) lb_free(id);
    lb_tokenizer_free(t);
    return s;
}

static void test_damage(void **state) {
    (void)state;
    static const struct {
        const char *name, *text;
    } files[] = {
        {"vocab.json", vocab},
        {"merges.txt", merges},
        {"tokenizer_config.json", config},
        {"special_tokens_map.json", "{\"bos_token\":{\"content\":\"</s>\"},\"additional_special_tokens\":[\"x\"]}"},
        {"added_tokens.json", "{\"x\": 7, \"<pad>\": 1}"},
    };
    for (size_t i = 0; i < 5; i++) {
        char other[LB_TEST_PATH];
        probe_dir = folder_of(vocab, merges, config);
        put(probe_dir, "special_tokens_map.json", files[3].text);
        put(probe_dir, "damaged", files[i].text);
        join_path(other, probe_dir, "damaged");
        join_path(probe_link, probe_dir, files[i].name);
        assert_ok(probe(other));
        if (i != 1) (void)sweep_prefixes(probe, other, LB_E_FORMAT, LB_E_IO);
        assert_true(sweep_bytes(probe, other, 0, strlen(files[i].text), LB_E_FORMAT, LB_E_UNSUPPORTED) > 0);
        assert_true(sweep_allocations(probe, other) > 20);
    }
}

/* ---- a model's folder ---- */

static void test_model(void **state) {
    (void)state;
    char first[65], out[LB_TEST_PATH], path[LB_TEST_PATH], *text;
    size_t n;
    lb_model *m;
    folder f = folder_take("llama-tiny");
    folder_write(&f);
    put(f.dir, "vocab.json", vocab);
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_null(m->tokenizer);
    assert_non_null(strstr(m->no_tokenizer, "only vocab.json, a vocabulary without the merges.txt of a BPE, which is"));
    memcpy(first, m->hash, 65);
    lb_model_close(m);
    put(f.dir, "merges.txt", merges);
    put(f.dir, "tokenizer_config.json", config);
    assert_ok(lb_model_open(f.dir, LB_WEIGHTS, NULL, &m));
    assert_non_null(m->tokenizer);
    assert_string_not_equal(m->hash, first);
    memcpy(first, m->hash, 65);
    join_path(out, lb_test_tmpdir(), "exported");
    assert_ok(lb_model_export(m, &m->weights, LB_F32, out, NULL));
    lb_model_close(m);
    static const char *const same[][2] = {
        {"vocab.json", vocab}, {"merges.txt", merges}, {"tokenizer_config.json", config}};
    for (int i = 0; i < 3; i++) {
        join_path(path, out, same[i][0]);
        assert_ok(lb_fs_read(path, &text, &n));
        assert_int_equal(n, strlen(same[i][1]));
        assert_memory_equal(text, same[i][1], n);
        lb_free(text);
    }
    assert_ok(lb_model_open(out, LB_HEADER, NULL, &m));
    assert_non_null(m->tokenizer);
    lb_model_close(m);
    put(f.dir, "merges.txt", "a b\n");
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_string_not_equal(m->hash, first);
    lb_model_close(m);
    folder_drop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),  cmocka_unit_test(test_refused), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

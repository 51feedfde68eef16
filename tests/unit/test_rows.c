/* Rows of texts: lines, JSON lines, conversations, gzip data; what is no row; a corpus of joined rows and of rows that
 * are drawn. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "model/corpus.h"
#include "support/small_tokenizer.h"
#include "support/support.h"

static char path[LB_TEST_PATH];

static void put(const char *name, const char *bytes, size_t n) {
    snprintf(path, sizeof path, "%s/%s", lb_test_tmpdir(), name);
    assert_ok(lb_fs_write_atomic(path, bytes, n));
}

static lb_rows *opened(const char *name, const char *text, lb_row_spec s) {
    lb_rows *r;
    put(name, text, strlen(text));
    assert_ok(lb_rows_open(path, &s, &r));
    return r;
}

static void row_is(const lb_rows *r, int64_t row, const char *text) {
    lb_str s = {0};
    assert_ok(lb_rows_text(r, row, &s));
    assert_string_equal(s.s ? s.s : "", text);
    lb_str_free(&s);
}

static void rows_are(const char *name, const char *text, lb_row_spec spec, const char *const *want) {
    lb_rows *r = opened(name, text, spec);
    int64_t n = 0;
    for (; want[n]; n++)
        if (n < lb_rows_count(r)) row_is(r, n, want[n]);
    assert_int_equal(lb_rows_count(r), n);
    lb_rows_close(r);
}
#define ROWS_ARE(name, text, spec, ...) rows_are(name, text, spec, (const char *const[]){__VA_ARGS__, NULL})
#define SPEC(...)                       ((lb_row_spec){__VA_ARGS__})

static void forms(void **state) {
    (void)state;
    static const char lines[] = " no it was\n\n \t a b \xe2\x80\x83\x1c\r\nend";
    ROWS_ARE("t.txt", lines, SPEC(0), lines);
    ROWS_ARE("t.txt", lines, SPEC(.form = LB_ROWS_LINES), "no it was", "", "a b", "end");
    ROWS_ARE("t.txt", lines, SPEC(.form = LB_ROWS_LINES, .first = 2), "no it was", "");
    ROWS_ARE("t.txt", lines, SPEC(.form = LB_ROWS_LINES, .first = 9), "no it was", "", "a b", "end");
    ROWS_ARE("t.txt", "a\n\n", SPEC(.form = LB_ROWS_LINES), "a", "");
    ROWS_ARE("t.txt", "\n", SPEC(.form = LB_ROWS_LINES), "");
    /* a byte-order mark is no part of the first row */
    ROWS_ARE("t.txt",
             "\xef\xbb\xbf"
             "a\nb",
             SPEC(.form = LB_ROWS_LINES), "a", "b");
    static const char json[] = "{\"text\": \" a\\nb \", \"n\": 1}\r\n\n  \t\n{\"n\": [{}], \"text\": \"\"}\n"
                               "{\"text\": \"\\u00e9\\ud83d\\ude00\", \"text2\": 3}";
    ROWS_ARE("t.jsonl", json, SPEC(0), " a\nb ", "", "\xc3\xa9\xf0\x9f\x98\x80");
    ROWS_ARE("t.txt", json, SPEC(.form = LB_ROWS_JSON, .first = 2), " a\nb ", "");
    ROWS_ARE("t.jsonl", json, SPEC(.form = LB_ROWS_FILE), json);
    ROWS_ARE("t.json", json, SPEC(0), json);
    ROWS_ARE("t.jsonl", "{\"a\": \"x\"}\n{\"a\": \"y\"}", SPEC(.field = "a"), "x", "y");
}

/* printf '{"text": "a b"}\n{"text": "c"}\n' | gzip -9n */
static void packed(void **state) {
    (void)state;
    static const char hex[] = "1f8b0800000000000203ab562a49ad2851b252504a544852aae5aa86f393813c00f781c1021e000000";
    lb_rows *r;
    size_t n;
    char *bytes = lb_test_unhex(hex, &n), hash[LB_HASH_HEX];
    assert_ok(lb_hash_bytes(bytes, n, hash));
    for (int i = 0; i < 2; i++) {
        put(i ? "p.json.gz" : "p.jsonl.gz", bytes, n);
        assert_ok(lb_rows_open(path, &(lb_row_spec){0}, &r));
        assert_int_equal(lb_rows_count(r), 2);
        row_is(r, 0, "a b");
        row_is(r, 1, "c");
        assert_string_equal(lb_rows_hash(r), hash); /* of the file as it lies there */
        lb_rows_close(r);
    }
    lb_free(bytes);
}

static void conversations(void **state) {
    (void)state;
    static const char chat[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\\n?\"}, "
                               "{\"content\": \"Yes\", \"role\": \"assistant\", \"x\": 1}]}\n{\"messages\": []}";
    ROWS_ARE("c.jsonl", chat, SPEC(.field = "messages"), "Hi\n?\n\nYes", "");
    ROWS_ARE("c.jsonl", chat, SPEC(.field = "messages", .chat = LB_CHAT_CHATML),
             "<|im_start|>user\nHi\n?<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>\n", "");
    static const char alpaca[] = "{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"}\n"
                                 "{\"instruction\": \"Say.\", \"input\": \"\", \"output\": \"So\"}\n"
                                 "{\"instruction\": \"Say.\", \"input\": null, \"output\": \"So\"}\n"
                                 "{\"instruction\": \"Say.\", \"output\": \"So\"}";
    static const char plain[] = "Below is an instruction that describes a task. Write a response that appropriately "
                                "completes the request.\n\n### Instruction:\nSay.\n\n### Response:\nSo";
    ROWS_ARE("a.jsonl", alpaca, SPEC(.chat = LB_CHAT_ALPACA),
             "Below is an instruction that describes a task, paired with an input that provides further context. Write "
             "a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### "
             "Response:\n3",
             plain, plain, plain);
}

static void fails_with(lb_status code, const char *name, const char *text, lb_row_spec s, const char *why) {
    lb_rows *r = NULL;
    lb_str out = {0};
    put(name, text, strlen(text));
    lb_status st = lb_rows_open(path, &s, &r);
    for (int64_t i = 0; st == LB_OK && i < lb_rows_count(r); i++) st = lb_rows_text(r, i, &out);
    assert_int_equal(st, code);
    assert_error_has(name);
    assert_error_has(why);
    lb_str_free(&out);
    lb_rows_close(r);
}

static void what_is_no_row(void **state) {
    (void)state;
    const lb_row_spec j = {.form = LB_ROWS_JSON};
#define NO(text, spec, why) fails_with(LB_E_FORMAT, "bad.x", text, spec, why)
    NO(" \n [{\"text\": \"a\"}]", j, "bad.x: is a JSON array, expected one object a line (jq -c '.[]' makes them)");
    NO("{\"text\": \"a\"}\n\n3\n", j, "bad.x:3: is 3, expected an object");
    NO("{\"text\": \"a\"}\n{\"text\": \"b\"\n", j, "bad.x:2:13: not valid JSON");
    NO("{\"text\": \"a\"} {}\n", j, "bad.x:1:15: not valid JSON: something behind the value");
    NO("{\"text\": \"a\"}\n{\"text\": 3}", j, "bad.x:2: key 'text' = 3: expected a string");
    NO("{\"text\": NaN}", j, "bad.x:1: key 'text' = NaN: expected a string");
    NO("{\"text\": \"a\", \"text\": \"b\"}", j, "bad.x:1: ");
    NO("{\"content\": \"a\", \"n\": 1}", j, "bad.x:1: no key 'text': its keys are content, n");
    NO("{\"messages\": []}", j, "its keys are messages (field: messages)");
    NO("{\"instruction\": \"\", \"output\": \"\"}", j, "(chat: alpaca)");
    NO("{\"text\": [3]}", j, "bad.x:1: a message is no object");
    NO("{\"text\": [{\"role\": \"user\"}]}", j, "bad.x:1: no key 'content'");
    NO("{\"text\": \"a\"}", SPEC(.form = LB_ROWS_JSON, .chat = LB_CHAT_CHATML), "needs a list of messages");
    NO("{\"text\": \"a\"}", SPEC(.form = LB_ROWS_JSON, .chat = LB_CHAT_ALPACA), "bad.x:1: no key 'instruction'");
    NO("  \n\n", j, "bad.x: has no rows");
    NO("PK\3\4", j, "is a zip archive");
    fails_with(LB_E_CONFIG, "t.txt", "a", (lb_row_spec){.first = 2},
               "t.txt: first says something of rows, but the whole");
    fails_with(LB_E_CONFIG, "t.txt", "a", (lb_row_spec){.field = "t"},
               "field says something of JSON, but the whole file");
    fails_with(LB_E_CONFIG, "t.txt", "a", (lb_row_spec){.form = LB_ROWS_LINES, .chat = LB_CHAT_ALPACA},
               "lines: rows: json");
    /* a task wants objects */
    json_t *o;
    lb_rows *r = opened("t.txt", "a\nb", (lb_row_spec){.form = LB_ROWS_LINES});
    assert_status(LB_E_CONFIG, lb_rows_object(r, 0, &o));
    assert_error_has("rows: json");
    lb_rows_close(r);
    r = opened("t.jsonl", "{\"n\": 7}\n\n{\"n\": 8}", (lb_row_spec){0});
    int64_t n;
    char place[LB_ROW_PLACE];
    assert_ok(lb_rows_object(r, 1, &o));
    assert_ok(lb_json_int("o", o, "n", &n));
    assert_int_equal(n, 8);
    json_decref(o);
    lb_rows_place(r, 1, place);
    assert_true(lb_str_ends(place, "/t.jsonl:3"));
    lb_rows_close(r);
}

/* A NUL is a character of a text; half of a surrogate pair stays as its three bytes. */
static void odd_characters(void **state) {
    (void)state;
    lb_rows *r = opened("t.jsonl", "{\"text\": \"a\\u0000b\\u0000\\ud800c\"}", (lb_row_spec){0});
    lb_str s = {0};
    assert_ok(lb_rows_text(r, 0, &s));
    assert_int_equal(s.len, 8);
    assert_memory_equal(s.s,
                        "a\0b\0\xed\xa0\x80"
                        "c",
                        8);
    lb_str_free(&s);
    lb_rows_close(r);
}

/* ---- as tokens ---- */

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

static int warnings, of_wikitext;
static void note(void *user, lb_level level, const char *text) {
    (void)user;
    warnings += level == LB_WARN;
    of_wikitext += strstr(text, "tokenized form of WikiText") != NULL;
}

static lb_corpus *corpus_of(const char *name, const char *text, lb_row_spec s, const char *join, lb_log *log) {
    lb_corpus *c;
    put(name, text, strlen(text));
    assert_ok(lb_corpus_rows(path, &s, join, tok, LB_BOS_AUTO, log, &c));
    return c;
}

static void same_tokens(const lb_corpus *x, const int32_t *ids, int64_t n) {
    assert_int_equal(x->tokens, n);
    assert_memory_equal(x->token, ids, (size_t)n * sizeof *ids);
}

/* Joined rows are the text that a file of them would be, with one BOS; a row by itself has its own. */
static void corpora(void **state) {
    (void)state;
    static const char json[] = "{\"text\": \"the cat\"}\n{\"text\": \" the dog \"}\n";
    const lb_row_spec s = {.form = LB_ROWS_JSON};
    lb_corpus *joined = corpus_of("j.x", json, s, "\n\n", NULL),
              *file = corpus_of("f.txt", "the cat\n\n the dog ", (lb_row_spec){0}, "\n\n", NULL);
    same_tokens(joined, file->token, file->tokens);
    assert_string_equal(joined->how, "json, field text, joined by \"\\n\\n\"");
    assert_string_equal(file->how, "");
    assert_string_not_equal(joined->hash, file->hash);
    assert_null(joined->rows);
    lb_corpus *drawn = corpus_of("j.x", json, s, NULL, NULL);
    assert_int_equal(drawn->tokens, 0);
    assert_string_equal(drawn->how, "json, field text");
    assert_string_equal(drawn->hash, joined->hash);
    static const char *const alone[] = {"the cat", " the dog ", "the cat", "the dog"};
    for (int i = 0; i < 4; i++) {
        int32_t *ids;
        int64_t n;
        lb_corpus *one = corpus_of("one.txt", alone[i], (lb_row_spec){0}, "", NULL);
        assert_ok(i < 2 ? lb_corpus_encode_row(drawn, i, &ids, &n) : lb_corpus_encode_stripped(drawn, i - 2, &ids, &n));
        same_tokens(one, ids, n);
        assert_int_equal(ids[0], 1);
        lb_free(ids);
        lb_corpus_close(one);
    }
    lb_corpus_close(drawn);
    lb_corpus_close(file);
    lb_corpus_close(joined);
    lb_corpus *c = corpus_of("l.txt", "a\nb\n", (lb_row_spec){.form = LB_ROWS_LINES, .first = 1}, " \"", NULL);
    assert_string_equal(c->how, "lines, the first 1, joined by \" \\x22\"");
    lb_corpus_close(c);
}

/* Each kind of warning once, whatever is drawn. */
static void warnings_of_rows(void **state) {
    (void)state;
    lb_log log = {.message = note};
    int32_t *ids;
    int64_t n;
    static const char json[] = "{\"text\": \"a\\r\\nb\"}\n{\"text\": \"a\\r\\n\\ud800\"}\n{\"text\": \"\\ud800\"}\n";
    lb_corpus *c = corpus_of("w.x", json, (lb_row_spec){.form = LB_ROWS_JSON}, NULL, &log);
    warnings = 0;
    for (int i = 0; i < 3; i++) {
        assert_ok(lb_corpus_encode_row(c, i, &ids, &n));
        assert_int_equal(warnings, i == 0 ? 1 : 2);
        lb_free(ids);
    }
    lb_corpus_close(c);
    warnings = 0; /* JSON that nobody said is JSON */
    lb_corpus_close(corpus_of("w.json", "{\"text\": \"a\"}\n", (lb_row_spec){0}, "\n\n", &log));
    assert_int_equal(warnings, 1);
    lb_corpus_close(corpus_of("w.json", "{\"text\": \"a\"}\n", (lb_row_spec){.form = LB_ROWS_FILE}, "\n\n", &log));
    assert_int_equal(warnings, 1);
    /* PTB's lines have <unk>; a tokenized WikiText has headings besides */
    const lb_row_spec lines = {.form = LB_ROWS_LINES};
    lb_corpus_close(corpus_of("p.txt", "a <unk> b\nc\n", lines, "\n\n", &log));
    assert_int_equal(of_wikitext, 0);
    lb_corpus_close(corpus_of("p.txt", " \n = A = \n a <unk> b\nc\n", lines, "\n\n", &log));
    assert_int_equal(of_wikitext, 1);
    lb_corpus_close(corpus_of("p.txt", "a <unk> b\nc\n", (lb_row_spec){0}, "\n\n", &log));
    assert_int_equal(of_wikitext, 2);
}

static void memory(void **state) {
    (void)state;
    lb_corpus *c = NULL;
    int64_t failed = 0;
    put("m.jsonl", "{\"text\": \"the cat\"}\n{\"text\": \"the dog\"}\n", 38);
    for (lb_status st = LB_E_NOMEM; st != LB_OK; failed++) {
        lb_alloc_fail_at(failed + 1);
        st = lb_corpus_rows(path, &(lb_row_spec){0}, failed % 2 ? NULL : " ", tok, LB_BOS_AUTO, NULL, &c);
        lb_alloc_fail_at(0);
        if (st != LB_OK) assert_int_equal(st, LB_E_NOMEM);
        if (st == LB_OK && failed < 12) { /* the short way is done: the long one goes on */
            lb_corpus_close(c);
            st = LB_E_NOMEM;
        }
    }
    assert_true(failed > 8);
    lb_corpus_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(packed),
        cmocka_unit_test(conversations),
        cmocka_unit_test(what_is_no_row),
        cmocka_unit_test(odd_characters),
        cmocka_unit_test(corpora),
        cmocka_unit_test(warnings_of_rows),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

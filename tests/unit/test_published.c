/* The published numbers that come with the program: all are there, as printed, each with what it is here; and lists
 * that are wrong. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "quant/method.h"
#include "result/published.h"
#include "run/config.h"
#include "support/support.h"

static lb_arena *arena;
static lb_papers papers;

static int setup(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    lb_test_fixture("data/papers", dir);
    return lb_arena_new(0, &arena) != LB_OK || lb_papers_read(arena, dir, &papers) != LB_OK;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static void all_are_there(void **state) {
    (void)state;
    size_t trust[4] = {0}, nan = 0;
    assert_int_equal(papers.rows, 1524);
    for (size_t i = 0; i < papers.rows; i++) {
        trust[papers.row[i].trust]++;
        nan += isnan(papers.row[i].value);
        assert_true(isnan(papers.row[i].value) == isnan(papers.row[i].half_unit));
    }
    assert_int_equal(trust[LB_TRUST_PRIMARY], 1381);
    assert_int_equal(trust[LB_TRUST_QUOTED], 74);
    assert_int_equal(trust[LB_TRUST_USER], 48);
    assert_int_equal(trust[LB_TRUST_SUSPECT], 21);
    assert_int_equal(nan, 2);
}

static void numbers_as_printed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value, half;
    } good[] = {{"27.65", 27.65, 0.005}, {"110", 110, 0.5},   {"22.00", 22, 0.005}, {"1.3e3", 1300, 50},
                {"1e5", 1e5, 5e4},       {".10", 0.1, 0.005}, {"0", 0, 0.5},        {"2.1E+3", 2100, 50},
                {"6.60e5", 6.6e5, 500},  {"5e-1", 0.5, 0.05}, {"93080", 93080, 0.5}};
    double value, half;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(lb_published_number(good[i].text, &value, &half));
        assert_true(fabs(value - good[i].value) <= 1e-12 * fabs(good[i].value));
        assert_true(fabs(half - good[i].half) <= 1e-12 * good[i].half);
    }
    assert_ok(lb_published_number("nan", &value, &half));
    assert_true(isnan(value) && isnan(half));
    static const char *const bad[] = {"", "27,65", "NaN", "inf", "27.65 ", "0x10", "1e", "-"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_status(LB_E_FORMAT, lb_published_number(bad[i], &value, &half));
}

/* Every entry is one that a config takes, and the options that a list of expected values is given are those that the
 * method has. */
static void entries_are_configs(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    const char *seen[256];
    size_t run = 0, n = 0;
    snprintf(path, sizeof path, "%s/c.yaml", lb_test_tmpdir());
    for (size_t i = 0; i < papers.rows; i++) {
        lb_published_cell c;
        assert_ok(lb_published_cell_of(arena, &papers.row[i], &c));
        if (!c.entry) continue;
        bool before = false;
        run++;
        for (size_t k = 0; k < n && !before; k++) before = strcmp(seen[k], c.entry) == 0;
        if (before) continue;
        assert_true(n < 256);
        seen[n++] = c.entry;
        lb_str s = {0};
        lb_config config;
        lb_str_add(&s, "model: m\neval: {text: t, protocol: W2-8}\ncalibration: {text: t}\nquantize:\n  - %s%s\n",
                   c.entry[0] == '[' ? "stages: " : "", c.entry);
        assert_ok(lb_str_check(&s));
        assert_ok(lb_fs_write_atomic(path, s.s, s.len));
        assert_ok(lb_config_read(arena, path, NULL, 0, &config));
        lb_str_free(&s);
    }
    assert_true(run > 700 && n > 20);
}

static const lb_published *row_of(const char *paper, const char *table, const char *model, const char *method,
                                  const char *bits, const char *group) {
    for (size_t i = 0; i < papers.rows; i++) {
        const lb_published *x = &papers.row[i];
        if (!strcmp(x->paper, paper) && !strcmp(x->table, table) && !strcmp(x->model->name, model) &&
            !strcmp(x->method_name, method) && !strcmp(x->bits, bits) && !strcmp(x->group, group))
            return x;
    }
    fail_msg("%s %s %s %s %s %s: no such row", paper, table, model, method, bits, group);
    return NULL;
}

static void expect_cell(const lb_published *x, const char *method, const char *options, const char *protocol,
                        const char *why) {
    lb_published_cell c;
    assert_ok(lb_published_cell_of(arena, x, &c));
    assert_string_equal(c.method, method);
    assert_string_equal(c.options, options);
    assert_string_equal(c.protocol, protocol);
    if (why) assert_string_equal(c.why, why);
    if (!why) assert_null(c.why);
}

static void cells(void **state) {
    (void)state;
    expect_cell(row_of("GPTQ", "T3", "OPT-125M", "fp", "16", "-"), "none", "model=opt-125m", "W2-2048", NULL);
    expect_cell(row_of("GPTQ", "T3", "OPT-125M", "RTN", "4", "row"), "rtn", "bits=4;group=row;model=opt-125m",
                "W2-2048", NULL);
    expect_cell(row_of("GPTQ", "T3", "OPT-175B", "GPTQ", "3", "row"), "gptq",
                "bits=3;group=row;act_order=false;true_sequential=false;model=OPT-175B", "W2-2048", NULL);
    expect_cell(row_of("GPTQ-README", "LLaMA", "LLaMA-7B", "GPTQ-ao-ts", "3", "128"), "gptq",
                "bits=3;group=128;act_order=true;true_sequential=true;model=llama-7b", "W2-2048", NULL);
    expect_cell(row_of("AWQ", "T4", "LLaMA-7B", "AWQ", "3", "128"), "AWQ", "bits=3;group=128;model=llama-7b", "W2-2048",
                "AWQ is not here");
    expect_cell(row_of("SparseGPT", "T1", "OPT-125M", "SparseGPT", "50%", "-"), "SparseGPT",
                "setting=50%;model=opt-125m", "W2-2048", "SparseGPT is not here");
    /* One protocol for each of two families of models. */
    expect_cell(row_of("Wanda", "T3", "LLaMA-7B", "Wanda", "2:4", "-"), "wanda",
                "sparsity=0.5;pattern=2:4;model=llama-7b", "W2-2048", NULL);
    expect_cell(row_of("Wanda", "T3", "Llama2-7B", "Wanda", "50%", "-"), "wanda",
                "sparsity=0.5;pattern=row;model=llama-2-7b", "W2-4096", NULL);
    expect_cell(row_of("LLM.int8", "T1", "m-125M", "fp", "32", "-"), "none", "model=m-125M", "INT8-C4",
                "protocol INT8-C4 is not specified closely enough");
    expect_cell(row_of("QuaRot", "T1", "Llama2-7B", "QuaRot", "W4A4KV4", "row"), "QuaRot",
                "setting=W4A4KV4;group=row;model=llama-2-7b", "W2-2048", "a quantized key-value cache is not here");
}

/* A protocol is one that runs where lb_protocol_parse says so, and never where its paper alone knows it. */
static void protocols(void **state) {
    (void)state;
    size_t open = 0;
    for (size_t i = 0; i < papers.rows; i++) {
        const lb_published *x = &papers.row[i];
        lb_protocol p, parsed;
        const char *why;
        assert_ok(lb_published_protocol(arena, x, &p, &why));
        if (strcmp(x->protocol, "W2-mixed") == 0) continue;
        if (why && strstr(why, "specified")) {
            open++;
            assert_false(lb_published_counts(x));
        } else {
            assert_int_equal(why == NULL, lb_protocol_parse(x->protocol, &parsed) == LB_OK);
            if (!why) assert_string_equal(p.id, x->protocol);
        }
    }
    assert_int_equal(open, 109); /* INT8-C4, SQ-OPT, ...: as many as data/papers has of them */
}

static void spreads(void **state) {
    (void)state;
    const lb_published *x = row_of("SparseGPT", "T1", "OPT-125M", "SparseGPT", "50%", "-");
    size_t same = 0;
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < papers.rows; i++) {
        const lb_published *y = &papers.row[i];
        if (!lb_published_counts(y) || !lb_published_same_cell(x, y)) continue;
        low = fmin(low, y->value), high = fmax(high, y->value);
        same++;
    }
    assert_int_equal(same, 3);
    assert_true(low == 36.85 && high == 37.07);
    /* A number of a thread, one that contradicts another, one that is none. */
    assert_false(lb_published_counts(row_of("reduced-kobold", "OPT", "OPT-125M", "fp", "16", "-")));
    assert_false(lb_published_counts(row_of("SpinQuant", "T1", "Llama3.2-1B-Instruct", "fp", "16", "-")));
    assert_false(lb_published_counts(row_of("OmniQuant", "T1", "Llama2-70B", "GPTQ", "2", "128")));
}

#define MODELS  "published,source,billions,w2_mixed\nA,a,1,\n"
#define METHODS "method,bits,group,quantize,note\nfp,*,-,{method: none},\nX,*,*,,X is not here\n"
#define HEAD    "paper,source,table,trust,dataset,protocol,model,method,bits,group,value\n"

static void expect_refused(const char *models, const char *methods, const char *rows, const char *message) {
    char dir[LB_TEST_PATH], path[LB_TEST_PATH + 32];
    const char *const leaf[] = {"models.csv", "methods.csv", "published.csv"}, *const text[] = {models, methods, rows};
    snprintf(dir, sizeof dir, "%s/lists", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, leaf[i]);
        assert_ok(lb_fs_write_atomic(path, text[i], strlen(text[i])));
    }
    lb_papers p;
    if (!message) {
        assert_ok(lb_papers_read(arena, dir, &p));
        return;
    }
    assert_status(LB_E_FORMAT, lb_papers_read(arena, dir, &p));
    assert_error_has(message);
}

static void wrong_lists(void **state) {
    (void)state;
#define ROW "P,s,T1,primary,d,W2-8,"
    expect_refused(MODELS, METHODS, HEAD ROW "A,fp,16,-,1.5\n", NULL);
    expect_refused(MODELS, METHODS, HEAD ROW "A,fp,16,-,one\n", "published.csv:2: 'one': must be a number or nan");
    expect_refused(MODELS, METHODS, HEAD "P,s,T1,certain,d,W2-8,A,fp,16,-,1\n",
                   "published.csv:2: trust = 'certain': must be primary, quoted, user or suspect");
    expect_refused(MODELS, METHODS, HEAD ROW "B,fp,16,-,1\n", "published.csv:2: model 'B' is not in models.csv");
    expect_refused(MODELS, METHODS, HEAD ROW "A,Y,16,-,1\n",
                   "published.csv:2: method 'Y' with bits 16 and group - is not in methods.csv");
    expect_refused(MODELS, METHODS, HEAD ROW "A,fp,16,row,1\n", "method 'fp' with bits 16 and group row is not");
    expect_refused(MODELS, METHODS, HEAD ROW "A,fp,16,-,1\n" ROW ",fp,16,-,1\n", "published.csv:3: model is empty");
    expect_refused(MODELS, METHODS, "paper,source\nP,s\n", "published.csv:1: no column 'table'");
    expect_refused("published,source,billions,w2_mixed\nA,a,many,\n", METHODS, HEAD,
                   "models.csv:2: billions = 'many': must be a number above 0, or empty");
    expect_refused(MODELS, "method,bits,group,quantize,note\nfp,*,*,,\n", HEAD,
                   "methods.csv:2: fp has neither an entry nor a note that says why not");
}

/* An entry whose method this build lacks is told so; one that is no entry is an error. */
static void wrong_entries(void **state) {
    (void)state;
    const lb_published_model model = {"A", "a", 1, ""};
    lb_published_method method = {"X", "*", "*", "[{method: rtn, bits: $bits}, {method: later}]", ""};
    const lb_published x = {.paper = "P",
                            .protocol = "W2-8",
                            .dataset = "wikitext2",
                            .bits = "3",
                            .group = "row",
                            .text = "1",
                            .value = 1,
                            .half_unit = 0.5,
                            .model = &model,
                            .method = &method,
                            .method_name = "X"};
    expect_cell(&x, "rtn+later", "bits=3;model=a", "W2-8", "later is not here");
    static const char *const bad[] = {"rtn", "[rtn]", "{bits: 3}", "{method: [rtn]}", "{method: rtn, rules: [1]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        lb_published_cell c;
        method.quantize = bad[i];
        assert_status(LB_E_FORMAT, lb_published_cell_of(arena, &x, &c));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_there), cmocka_unit_test(numbers_as_printed), cmocka_unit_test(entries_are_configs),
        cmocka_unit_test(cells),         cmocka_unit_test(protocols),          cmocka_unit_test(spreads),
        cmocka_unit_test(wrong_lists),   cmocka_unit_test(wrong_entries),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

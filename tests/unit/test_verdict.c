/* Is a number of ours that of a paper: the verdict of numbers alone, and of results beside the published lists. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/csv.h"
#include "report/beside.h"
#include "report/report.h"
#include "support/support.h"

static lb_verdict_kind kind_of(double value, double half_unit, lb_verdict_case c, const double *ours, int64_t seeds) {
    c.value = value, c.half_unit = half_unit, c.ours = ours, c.seeds = seeds;
    if (c.low == 0 && c.high == 0) c.low = value - half_unit, c.high = value + half_unit;
    return lb_verdict_of(&c).kind;
}
#define EXACT(ours, value, half) kind_of(value, half, (lb_verdict_case){.exact = true}, (const double[]){ours}, 1)

static void last_digit(void **state) {
    (void)state;
    assert_int_equal(EXACT(27.65, 27.65, 0.005), LB_VERDICT_DIGIT);
    assert_int_equal(EXACT(27.655, 27.65, 0.005), LB_VERDICT_DIGIT);
    assert_int_equal(EXACT(27.6449, 27.65, 0.005), LB_VERDICT_DIFFERS);
    assert_int_equal(EXACT(27.6551, 27.65, 0.005), LB_VERDICT_DIFFERS);
    assert_int_equal(EXACT(0, 0, 0.5), LB_VERDICT_DIGIT);
    assert_int_equal(EXACT(0.51, 0, 0.5), LB_VERDICT_DIFFERS);
    /* Above 100 half a percent more. */
    assert_int_equal(EXACT(110.5, 110, 0.5), LB_VERDICT_DIGIT);
    assert_int_equal(EXACT(111.05, 110, 0.5), LB_VERDICT_DIGIT);
    assert_int_equal(EXACT(111.2, 110, 0.5), LB_VERDICT_DIFFERS);
    assert_int_equal(EXACT(1356, 1300, 50), LB_VERDICT_DIGIT);
    assert_int_equal(EXACT(1360, 1300, 50), LB_VERDICT_DIFFERS);
    assert_int_equal(EXACT(99.51, 99, 0.005), LB_VERDICT_DIFFERS);
}

static void seeds(void **state) {
    (void)state;
    const lb_verdict_case one = {.draws = true}, spread = {.draws = true, .low = 36.845, .high = 37.075},
                          near = {.draws = true, .tolerance = 1}, fixed = {.draws = false};
    const double x[] = {31, 31.2, 31.4}, far[] = {33, 33.01, 33.02}, close[] = {32, 32.01, 32.02};
    /* Three seeds of mean 31.2, s 0.2: one more falls into 31.2 +- 4.3027 * 0.2 * sqrt(4 / 3) = 0.9937. */
    lb_verdict v = lb_verdict_of(&(lb_verdict_case){
        .value = 31, .half_unit = 0.5, .low = 30.5, .high = 31.5, .draws = true, .ours = x, .seeds = 3});
    assert_true(fabs(v.mean - 31.2) < 1e-12 && fabs(v.half - 0.99365) < 1e-4);
    assert_int_equal(kind_of(30.21, 0.005, one, x, 3), LB_VERDICT_SPREAD);
    assert_int_equal(kind_of(30.19, 0.005, one, x, 3), LB_VERDICT_DIFFERS);
    assert_int_equal(kind_of(32.19, 0.005, one, x, 3), LB_VERDICT_SPREAD);
    assert_int_equal(kind_of(32.21, 0.005, one, x, 3), LB_VERDICT_DIFFERS);
    /* The other numbers of the cell count, not only the one beside. */
    assert_int_equal(kind_of(36.85, 0.005, spread, (const double[]){37.04, 37.05, 37.06}, 3), LB_VERDICT_SPREAD);
    assert_int_equal(kind_of(36.85, 0.005, one, (const double[]){37.04, 37.05, 37.06}, 3), LB_VERDICT_DIFFERS);
    /* As near as such methods are repeated. */
    assert_int_equal(kind_of(31.12, 0.005, near, close, 3), LB_VERDICT_TOLERANCE);
    assert_int_equal(kind_of(31.12, 0.005, near, far, 3), LB_VERDICT_DIFFERS);
    /* Who draws needs three, however near. */
    assert_int_equal(kind_of(31, 0.005, near, x, 1), LB_VERDICT_SEEDS_FEW);
    assert_int_equal(kind_of(31, 0.005, near, x, 2), LB_VERDICT_SEEDS_FEW);
    assert_int_equal(kind_of(31, 0.005, fixed, x, 1), LB_VERDICT_SPREAD);
    assert_int_equal(kind_of(31.1, 0.005, fixed, x, 1), LB_VERDICT_DIFFERS);
}

static void decimals(void **state) {
    (void)state;
    assert_int_equal(lb_beside_decimals(0.005), 3);
    assert_int_equal(lb_beside_decimals(0.5), 1);
    assert_int_equal(lb_beside_decimals(50), 0);
    assert_int_equal(lb_beside_decimals(5e-9), 8);
}

/* ---- results beside lists ---- */

static lb_arena *arena;
static lb_papers papers;
static lb_results results;
static const lb_report_options with_papers = {.papers = &papers};

static void add(const char *method, const char *options, int seed, const char *eval, const char *protocol, double ppl) {
    lb_record *c = &results.record[results.n++];
    lb_eval_row *e = LB_NEW(arena, lb_eval_row, 1);
    *c = (lb_record){
        .method = method, .label = method, .state = LB_CELL_DONE, .seed = (uint64_t)seed, .eval = e, .evals = 1};
    char *text = lb_arena_strdup(arena, options);
    for (char *one, *value; (one = strsep(&text, ";")) && one[0];) {
        value = strchr(one, '=');
        *value++ = 0;
        assert_ok(lb_pairs_add(arena, &c->options, one, value));
    }
    *e = (lb_eval_row){.name = eval, .bos = "auto: added", .eval = {.windows = 140, .windows_all = 140, .ppl = ppl}};
    assert_ok(lb_protocol_parse(protocol, &e->eval.protocol));
}

static int setup(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    lb_test_fixture("data/papers", dir);
    if (lb_arena_new(0, &arena) != LB_OK || lb_papers_read(arena, dir, &papers) != LB_OK) return 1;
    results = (lb_results){.arena = arena, .name = "x", .model_name = "opt-125m", .model_note = "", .dir = "x"};
    results.record = LB_NEW(arena, lb_record, 64);
    static const char *const gptq = "bits=4;group=row;act_order=false;true_sequential=false";
    add("none", "", 0, "wikitext-2", "W2-2048", 27.6532);
    add("rtn", "bits=4;group=row", 0, "wikitext-2", "W2-2048", 37.29);
    for (int i = 0; i < 3; i++) add("gptq", gptq, i, "wikitext-2", "W2-2048", 31.2 + 0.1 * i);
    for (int i = 0; i < 3; i++) add("wanda", "sparsity=0.5;pattern=row", i, "wikitext-2", "W2-2048", 38.9 + 0.1 * i);
    add("gptq", "bits=3;group=row;act_order=false;true_sequential=false", 0, "wikitext-2", "W2-2048", 53);
    add("rtn", "bits=3;group=row", 0, "wikitext-2", "W2-2048", 1290);
    add("rtn", "bits=3;group=128", 0, "wikitext-2", "W2-1024", 50);
    return results.record ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

#define HEAD "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source,place,trust\n"
#define W2   "model=opt-125m,wikitext-2,W2-2048,,ppl,"
#define GPTQ ",absolute,GPTQ (arXiv:2210.17323),T3,"

/* The table of these rows as CSV; its first row is `row`. */
static void table(const char *rows, lb_csv *csv, int64_t *differs) {
    char path[LB_TEST_PATH], file[LB_TEST_PATH];
    lb_str text = {0}, s = {0};
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    snprintf(file, sizeof file, "%s/table.csv", lb_test_tmpdir());
    lb_str_add(&text, HEAD "%s", rows);
    assert_ok(lb_fs_write_atomic(path, text.s, text.len));
    assert_ok(lb_report_published_table(&results, path, &with_papers, LB_TABLE_CSV, &s, differs));
    assert_ok(lb_fs_write_atomic(file, s.s, s.len));
    assert_ok(lb_csv_read(arena, file, csv));
    lb_str_free(&text);
    lb_str_free(&s);
}

static const char *cell(const lb_csv *csv, size_t row, const char *name) {
    int c = lb_csv_column(csv, name);
    return c < 0 ? "" : csv->row[row][c];
}

static void expect(const char *row, const char *verdict, int64_t differs) {
    lb_csv csv;
    int64_t n;
    table(row, &csv, &n);
    assert_int_equal(csv.rows, 1);
    if (strcmp(cell(&csv, 0, "verdict"), verdict) != 0)
        fail_msg("%s: expected '%s', got '%s'", row, verdict, cell(&csv, 0, "verdict"));
    assert_int_equal(n, differs);
}

#define G4 "gptq,bits=4;group=row;act_order=false;true_sequential=false;"

/* Fewer samples than the paper drew: not its number. More are none the less. */
static void samples(void **state) {
    (void)state;
    static const char *const within = "within the literature's spread (2 values)";
    struct {
        const char *samples, *verdict;
        int64_t differs;
    } known[] = {
        {"127", "shown, never compared (127 of 128 calibration samples)", 0}, {"128", within, 0}, {"256", within, 0}};
    lb_pairs was = results.record[2].provenance;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        lb_pairs told = {0};
        assert_ok(lb_pairs_add(arena, &told, "calibration_samples", known[i].samples));
        for (int c = 2; c < 5; c++) results.record[c].provenance = told;
        expect(G4 W2 "31.12,1" GPTQ "primary\n", known[i].verdict, known[i].differs);
        /* Rounding draws nothing, and of a number that no list has nobody knows what was drawn. */
        results.record[1].provenance = told;
        expect("rtn,bits=4;group=row;" W2 "37.28,0.005" GPTQ "primary\n", "DIFFERS", 1);
        expect(G4 W2 "31.30,0" GPTQ "primary\n", "agrees with the one value", 0);
    }
    for (int c = 1; c < 5; c++) results.record[c].provenance = was;
}

static void verdicts(void **state) {
    (void)state;
#define G3 "gptq,bits=3;group=row;act_order=false;true_sequential=false;"
    expect("none," W2 "27.65,0.005" GPTQ "primary\n", "agrees to the last digit", 0);
    expect("rtn,bits=4;group=row;" W2 "37.28,0.005" GPTQ "primary\n", "DIFFERS", 1);
    expect("rtn,bits=3;group=row;" W2 "1.3e3,50" GPTQ "primary\n", "agrees to the last digit", 0);
    /* Of one cell two papers print 31.12 and 31.43. */
    expect(G4 W2 "31.12,1" GPTQ "primary\n", "within the literature's spread (2 values)", 0);
    expect("wanda,sparsity=0.5;pattern=row;" W2 "38.96,0,absolute,Wanda (arXiv:2306.11695),T10,quoted\n",
           "within the literature's spread (2 values)", 0);
    /* A number that no list has is its own spread; then its tolerance. */
    expect(G4 W2 "31.30,0" GPTQ "primary\n", "agrees with the one value", 0);
    expect(G4 W2 "32.30,1.01" GPTQ "primary\n", "within the tolerance", 0);
    expect(G4 W2 "32.30,0.99" GPTQ "primary\n", "DIFFERS", 1);
    expect(G3 W2 "53.85,0.06,relative,GPTQ (arXiv:2210.17323),T3,primary\n", "shown: 3 seeds needed", 0);
    expect(G4 W2 "31.12,1" GPTQ "suspect\n", "shown, never compared (suspect)", 0);
    expect(G4 W2 "31.12,1" GPTQ "user\n", "shown, never compared (a user's)", 0);
    expect(G4 W2 "nan,1" GPTQ "primary\n", "shown, never compared (nan)", 0);
    expect("SparseGPT,setting=50%;" W2 "36.85,0" GPTQ "primary\n", "literature", 0);
    expect("GPTQ,bits=4;" W2 "31.13,0" GPTQ "user\n", "literature", 0);
    expect("rtn+later,bits=4;" W2 "31.13,0" GPTQ "primary\n", "literature", 0);
    /* Another protocol than ours; one that nobody can run; a part of the windows; without the tokenizer's BOS. */
    expect("rtn,bits=3;group=128;" W2 "51.22,0.005" GPTQ "primary\n", "other protocol: W2-1024", 0);
    expect("none,model=opt-125m,c4-valid-0,INT8-C4,,ppl,25.65,0.005,absolute,P (s),T1,primary\n",
           "shown, never compared (its protocol is not here)", 0);
    expect("hqq,bits=4;" W2 "30,1" GPTQ "primary\n", "no such cell", 0);
    expect("gptq,group=row;" W2 "30,1" GPTQ "primary\n", "4 cells match, not only seeds of one", 0);
    lb_eval_row *e = results.record[0].eval;
    e->eval.windows = 20;
    expect("none," W2 "27.65,0.005" GPTQ "primary\n", "shown, never compared (20 of 140 windows)", 0);
    e->eval.windows = 140, e->bos = "never";
    expect("none," W2 "27.65,0.005" GPTQ "primary\n", "shown, never compared (without BOS)", 0);
    e->bos = "auto: added", e->bf16 = true;
    expect("none," W2 "27.65,0.005" GPTQ "primary\n", "shown, never compared (products in bfloat16)", 0);
    e->bf16 = false;
    /* LAMBADA: the normalized text, and no BOS. */
    lb_eval_row was = *e;
#define LAMB "none,model=opt-125m,lambada,LAMB,,acc_percent,39.16,0.005,absolute,GPTQ (arXiv:2210.17323),T13,primary\n"
    e->name = "lambada", e->eval.task.acc = 0.39162, e->eval.task.items = 5153, e->variant = "normalized",
    e->bos = "never";
    assert_ok(lb_protocol_parse("LAMB", &e->eval.protocol));
    expect(LAMB, "agrees to the last digit", 0);
    e->bos = "auto: added";
    expect(LAMB, "shown, never compared (with BOS)", 0);
    e->bos = "auto: none", e->variant = "openai";
    expect(LAMB, "shown, never compared (the text's variant is openai, not normalized)", 0);
    *e = was;
}

/* What stands beside the verdict: the spread with its half units, the mean of the seeds, the difference. */
static void figures(void **state) {
    (void)state;
    lb_csv csv;
    int64_t differs;
    double v;
    table(G4 W2 "31.12,1" GPTQ "primary\n", &csv, &differs);
    const struct {
        const char *name;
        double value;
    } is[] = {{"ours", 31.3},          {"ours_half", 0.49682}, {"seeds", 3},
              {"published", 31.12},    {"difference", 0.18},   {"spread_low", 31.115},
              {"spread_high", 31.435}, {"spread_values", 2}};
    for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
        assert_ok(lb_parse_f64(cell(&csv, 0, is[i].name), &v));
        if (fabs(v - is[i].value) > 1e-4) fail_msg("%s: expected %g, got %g", is[i].name, is[i].value, v);
    }
    assert_string_equal(cell(&csv, 0, "source"), "GPTQ (arXiv:2210.17323)");
    assert_string_equal(cell(&csv, 0, "place"), "T3");
    assert_string_equal(cell(&csv, 0, "cell"),
                        "gptq bits=4;group=row;act_order=false;true_sequential=false;model=opt-125m");
}

/* What counts in a spread: read at the source or quoted, by the same protocol, however a paper calls that. */
static void spreads(void **state) {
    (void)state;
    static const struct {
        const char *model, *method, *bits, *paper;
        int64_t values;
        double low, high;
    } of[] = {{"Llama2-7B", "OmniQuant", "2", "OmniQuant", 1, 11.055, 11.065}, /* 12.84 elsewhere is suspect */
              {"Llama2-7B", "SliceGPT", "20%", "SliceGPT", 1, 6.635, 6.645},   /* 6.86 is a user's */
              {"TinyLlama-1.1B", "fp", "16", "Thanos", 1, 7.965, 7.975},
              {"Llama2-7B", "fp", "16", "QuaRot", 5, 5.45, 5.55}, /* 5.12 is of windows of 4096 tokens */
              {"Llama2-7B", "fp", "16", "Wanda", 2, 5.115, 5.125}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        const lb_published *x = NULL;
        for (size_t k = 0; k < papers.rows && !x; k++) {
            const lb_published *y = &papers.row[k];
            bool group = strcmp(y->group, "-") == 0 || strcmp(y->group, "128") == 0;
            if (group && strcmp(y->model->name, of[i].model) == 0 && strcmp(y->method_name, of[i].method) == 0 &&
                strcmp(y->bits, of[i].bits) == 0 && strcmp(y->paper, of[i].paper) == 0)
                x = y;
        }
        assert_non_null(x);
        lb_beside b;
        const lb_expectation e = {.text = {"none", "model=other", "", "W2-2048", "", "ppl", x->text},
                                  .expected = x->value,
                                  .half_unit = x->half_unit};
        assert_ok(lb_beside_of(arena, &results, &papers, &e, x, &b));
        assert_int_equal(b.values, of[i].values);
        if (fabs(b.low - of[i].low) > 1e-9 || fabs(b.high - of[i].high) > 1e-9)
            fail_msg("%s %s: %g to %g", of[i].model, of[i].method, b.low, b.high);
    }
}

/* Rows of models that did not run are counted and named, and so are rows that are no published numbers, elsewhere. */
static void other_rows(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_str s = {0};
    int64_t n;
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    static const char rows[] =
        HEAD "none," W2 "27.65,0.005" GPTQ "primary\n"
             "none,model=opt-350m,wikitext-2,W2-2048,,ppl,22.00,0.005" GPTQ "primary\n"
             "rtn,bits=4;group=row;model=opt-350m,wikitext-2,W2-2048,,ppl,25.94,0.005" GPTQ "primary\n"
             "none,model=OPT-175B,wikitext-2,W2-2048,,ppl,8.34,0.005" GPTQ "primary\n"
             "none,,wikitext-2,W2-2048,,windows_all,140,0,absolute,counted,,\n";
    assert_ok(lb_fs_write_atomic(path, rows, sizeof rows - 1));
    assert_ok(lb_report_published_table(&results, path, &with_papers, LB_TABLE_MARKDOWN, &s, &n));
    assert_non_null(strstr(s.s, "Numbers of models that did not run: 3: opt-350m, OPT-175B."));
    assert_non_null(strstr(s.s, "Source: GPTQ (arXiv:2210.17323), T3."));
    assert_null(strstr(s.s, "windows_all"));
    lb_str_free(&s);
    s = (lb_str){0};
    assert_ok(lb_report_expected_table(&results, path, LB_TABLE_MARKDOWN, &s, &n));
    assert_non_null(strstr(s.s, "1 of 1 compared: 1 within tolerance"));
    assert_null(strstr(s.s, "27.65"));
    lb_str_free(&s);
    /* All are published: nothing else to show; none is: no second table. */
    static const char published[] = HEAD "none," W2 "27.65,0.005" GPTQ "primary\n",
                      plain[] = HEAD "none,,wikitext-2,W2-2048,,windows_all,140,0,absolute,counted,,\n";
    assert_ok(lb_fs_write_atomic(path, published, sizeof published - 1));
    s = (lb_str){0};
    assert_ok(lb_report_expected_table(&results, path, LB_TABLE_TERMINAL, &s, &n));
    assert_int_equal(s.len, 0);
    assert_ok(lb_fs_write_atomic(path, plain, sizeof plain - 1));
    assert_ok(lb_report_published_table(&results, path, &with_papers, LB_TABLE_TERMINAL, &s, &n));
    assert_int_equal(s.len, 0);
    lb_str_free(&s);
}

/* What else is published of the model by the same protocol, papers side by side, and ours. */
static void literature(void **state) {
    (void)state;
    char path[LB_TEST_PATH], file[LB_TEST_PATH];
    lb_str s = {0};
    lb_csv csv;
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    snprintf(file, sizeof file, "%s/literature.csv", lb_test_tmpdir());
    static const char rows[] = HEAD "none," W2 "27.65,0.005" GPTQ "primary\n";
    assert_ok(lb_fs_write_atomic(path, rows, sizeof rows - 1));
    assert_ok(lb_report_literature_table(&results, path, &with_papers, LB_TABLE_CSV, false, &s));
    assert_ok(lb_fs_write_atomic(file, s.s, s.len));
    assert_ok(lb_csv_read(arena, file, &csv));
    bool sparse = false, wanda = false;
    size_t values = 0;
    for (size_t i = 0; i < csv.rows; i++) {
        int64_t n;
        assert_string_equal(cell(&csv, i, "model"), "OPT-125M");
        assert_string_equal(cell(&csv, i, "protocol"), "W2-2048");
        assert_ok(lb_parse_i64(cell(&csv, i, "published_values"), &n));
        values += (size_t)n;
        if (strcmp(cell(&csv, i, "bits"), "50%") != 0) continue;
        if (strcmp(cell(&csv, i, "method"), "SparseGPT") == 0) {
            sparse = true;
            assert_string_equal(cell(&csv, i, "ours"), "");
            assert_int_equal(n, 3);
            assert_non_null(strstr(cell(&csv, i, "published"), "36.85 SparseGPT T1; "));
        }
        if (strcmp(cell(&csv, i, "method"), "Wanda") == 0) {
            wanda = true;
            assert_string_equal(cell(&csv, i, "ours"), "39");
        }
    }
    assert_true(sparse && wanda);
    size_t all = 0;
    for (size_t i = 0; i < papers.rows; i++)
        all += strcmp(papers.row[i].model->name, "OPT-125M") == 0 && strcmp(papers.row[i].protocol, "W2-2048") == 0;
    assert_int_equal(values, all);
    /* As LaTeX each of them has a row, with ours beside it. */
    for (int paper = 0; paper < 2; paper++) {
        lb_report_options asked = with_papers;
        asked.siunitx = true, asked.latex = LB_LATEX_WIDE;
        lb_str_free(&s);
        s = (lb_str){0};
        assert_ok(lb_report_literature_table(&results, path, &asked, LB_TABLE_LATEX, paper, &s));
        size_t lines = 0;
        for (const char *p = s.s; (p = strstr(p, paper ? " \\tabularnewline" : "W2-2048 & ")); p++) lines++;
        assert_int_equal(lines, all);
        assert_non_null(strstr(s.s, paper ? " & 36.85 & \\raggedright SparseGPT T1 " : " & 36.85 & SparseGPT T1 "));
        assert_true((strstr(s.s, "S[table-format=") != NULL) == (paper == 1));
    }
    lb_str_free(&s);
    s = (lb_str){0};
    assert_ok(lb_report_literature_table(&results, path, NULL, LB_TABLE_CSV, false, &s));
    assert_int_equal(s.len, 0);
}

/* Before anything runs: what is told of published rows, and what is not. */
typedef struct heard {
    char text[4096];
} heard;

static void hear(void *user, lb_level level, const char *text) {
    heard *h = user;
    (void)level;
    snprintf(h->text + strlen(h->text), sizeof h->text - strlen(h->text), "%s\n", text);
}

static void preview(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    heard h = {""};
    lb_log log = {.message = hear, .user = &h};
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    static const char rows[] = HEAD "none," W2 "27.65,0.005" GPTQ "primary\n"
                                    "none,model=opt-350m,wikitext-2,W2-2048,,ppl,22.00,0.005" GPTQ "primary\n"
                                    "SparseGPT,setting=50%;" W2 "36.85,0" GPTQ "primary\n"
                                    "rtn,bits=7;" W2 "27,0" GPTQ "suspect\n" G4 W2 "31.12,1" GPTQ "primary\n";
    assert_ok(lb_fs_write_atomic(path, rows, sizeof rows - 1));
    assert_ok(lb_report_expected_preview(&results, path, &log));
    assert_string_equal(h.text, "");
    static const char more[] = HEAD G3 W2 "53.85,0" GPTQ "primary\n"
                                          "rtn,bits=7;" W2 "27,0" GPTQ "primary\n";
    assert_ok(lb_fs_write_atomic(path, more, sizeof more - 1));
    assert_ok(lb_report_expected_preview(&results, path, &log));
    assert_non_null(strstr(h.text, "expected.csv:2: will not be compared: gptq needs 3 seeds, not 1\n"));
    assert_non_null(strstr(h.text, "expected.csv:3: will not be compared: no such cell\n"));
}

static void wrong_rows(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_str s = {0};
    int64_t n;
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    static const char rows[] = HEAD "none," W2 "27.65,0.005" GPTQ "certain\n";
    assert_ok(lb_fs_write_atomic(path, rows, sizeof rows - 1));
    assert_status(LB_E_FORMAT, lb_report_published_table(&results, path, &with_papers, LB_TABLE_CSV, &s, &n));
    assert_error_has("expected.csv:2: trust = 'certain': must be primary, quoted, user or suspect");
    lb_str_free(&s);
}

static lb_status both_tables(const char *path) {
    lb_str s = {0};
    int64_t n;
    lb_status st = LB_OK;
    for (int f = LB_TABLE_TERMINAL; st == LB_OK && f <= LB_TABLE_MARKDOWN; f++) {
        st = lb_report_published_table(&results, path, &with_papers, (lb_table_format)f, &s, &n);
        if (st == LB_OK) st = lb_report_literature_table(&results, path, &with_papers, (lb_table_format)f, false, &s);
    }
    lb_str_free(&s);
    return st;
}

/* Every allocation fails once: an error each time, and no crash. */
static void out_of_memory(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/expected.csv", lb_test_tmpdir());
    static const char rows[] = HEAD G4 W2 "31.12,1" GPTQ "primary\n"
                                          "none,model=opt-350m,wikitext-2,W2-2048,,ppl,22.00,0.005" GPTQ "primary\n";
    assert_ok(lb_fs_write_atomic(path, rows, sizeof rows - 1));
    lb_alloc_fail_at(0);
    assert_ok(both_tables(path));
    int64_t all = lb_alloc_count(), step = all / 40 + 1;
    for (int64_t i = 1; i <= all; i += step) {
        lb_alloc_fail_at(i);
        lb_status st = both_tables(path);
        lb_alloc_fail_at(0);
        assert_status(LB_E_NOMEM, st);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_digit), cmocka_unit_test(seeds),      cmocka_unit_test(decimals),
        cmocka_unit_test(verdicts),   cmocka_unit_test(samples),    cmocka_unit_test(figures),
        cmocka_unit_test(spreads),    cmocka_unit_test(other_rows), cmocka_unit_test(literature),
        cmocka_unit_test(preview),    cmocka_unit_test(wrong_rows), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* --where: what expressions mean, on random ones held to a reading of their trees; what is kept; what is said of
 * mistakes. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/rng.h"
#include "report/facts.h"
#include "report/report.h"
#include "report/select.h"
#include "report/view.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_results *results;
static lb_arena *arena;

static int setup(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    synthetic_results_free(results);
    return 0;
}

static lb_status apply(const char *text, lb_results *out) {
    lb_select *s;
    LB_TRY(lb_select_parse(arena, text, &s));
    return lb_select_apply(arena, results, s, out);
}

static bool is_baseline(const lb_record *c) { return strcmp(c->method, "none") == 0; }

/* Cells that stay, baselines aside. */
static int64_t cells(const char *text) {
    lb_results out;
    int64_t n = 0;
    lb_status st = apply(text, &out);
    if (st == LB_E_ARG && strstr(lb_error(), "no cell of")) return 0;
    lb_test_expect(LB_OK, st, text, __FILE__, __LINE__);
    for (int64_t i = 0; i < out.n; i++) n += !is_baseline(&out.record[i]);
    return n;
}

static int64_t count_where(bool (*is)(const lb_record *)) {
    int64_t n = 0;
    for (int64_t i = 0; i < results->n; i++) n += !is_baseline(&results->record[i]) && is(&results->record[i]);
    return n;
}

static bool is_gptq(const lb_record *c) { return strcmp(c->method, "gptq") == 0; }
static bool is_low(const lb_record *c) { return c->bits > 0 && c->bits <= 3; }
static bool is_either(const lb_record *c) { return is_gptq(c) || is_low(c); }
static bool is_both(const lb_record *c) { return is_gptq(c) && is_low(c); }
static bool is_not_low_gptq(const lb_record *c) { return is_gptq(c) && !is_low(c); }
static bool is_failed(const lb_record *c) { return c->state == LB_CELL_FAILED; }
static bool is_small(const lb_record *c) {
    return c->size.quantized.weights > 0 && lb_size_bits(&c->size.quantized) < 3.2;
}

static void meaning(void **state) {
    (void)state;
    assert_true(count_where(is_both) > 1 && count_where(is_not_low_gptq) > 0);
    assert_int_equal(cells("method = gptq"), count_where(is_gptq));
    assert_int_equal(cells("Method=GPTQ"), count_where(is_gptq));
    assert_int_equal(cells("method ~ 'g?t*'"), count_where(is_gptq));
    assert_int_equal(cells("bits<=3"), count_where(is_low));
    assert_int_equal(cells("bits <= 3.0 and method==\"gptq\""), count_where(is_both));
    assert_int_equal(cells("bits <= 3 or method = gptq"), count_where(is_either));
    assert_int_equal(cells("method = gptq and not bits <= 3"), count_where(is_not_low_gptq));
    assert_int_equal(cells("not(not method=gptq)AND(bits>3)"), count_where(is_not_low_gptq));
    assert_int_equal(cells("b/w < 3.2"), count_where(is_small));
    assert_int_equal(cells("state = failed"), count_where(is_failed));
    assert_int_equal(cells("option.bits = 3"), cells("bits = 3"));
    /* and binds more tightly than or */
    assert_int_equal(cells("method = nf4 or method = gptq and bits = 2"),
                     cells("method = nf4 or (method = gptq and bits = 2)"));
    assert_true(cells("method = nf4 or method = gptq and bits = 2") !=
                cells("(method = nf4 or method = gptq) and bits = 2"));
}

/* What a cell has no value for is unequal to everything, and neither less, nor more, nor like anything. */
static void unknown_values(void **state) {
    (void)state;
    int64_t with = 0, without = 0;
    for (int64_t i = 0; i < results->n; i++) {
        if (is_baseline(&results->record[i])) continue;
        if (lb_pairs_get(&results->record[i].options, "act_order"))
            with++;
        else
            without++;
    }
    assert_true(with > 0 && without > 0);
    assert_int_equal(cells("act_order = true or act_order = false"), with);
    assert_int_equal(cells("act_order ~ '*'"), with);
    assert_int_equal(cells("act_order != 7"), with + without);
    assert_int_equal(cells("act_order < 1e9 or act_order >= -1e9"), 0);
}

/* A mean over the seeds that came out so is none over all: the row says how many there are. */
static void seeds_left_out(void **state) {
    (void)state;
    lb_report_view v;
    const lb_report_row *row = NULL;
    lb_results out;
    assert_ok(lb_report_view_make(arena, results, NULL, &v));
    for (int64_t i = 0; i < v.rows && !row; i++)
        if (v.row[i].cells == 3) row = &v.row[i];
    assert_non_null(row);
    const char *label = row->label;
    uint64_t seed = row->cell[1]->seed;
    char text[128];
    snprintf(text, sizeof text, "bits = %d and method = %s and seed = %d", row->cell[1]->bits, row->cell[1]->method,
             (int)seed);
    assert_ok(apply(text, &out));
    assert_ok(lb_report_view_make(arena, &out, NULL, &v));
    for (int64_t i = 0; i < v.rows; i++)
        if (!v.row[i].baseline) row = &v.row[i];
    assert_int_equal(row->cells, 1);
    assert_int_equal(row->cell[0]->seed, seed);
    assert_int_equal(row->lost, 2);
    assert_string_equal(row->label, label);
    lb_str table = {0};
    assert_ok(lb_report_main_table(&out, LB_TABLE_TERMINAL, &table));
    assert_non_null(strstr(table.s, " 1 of 3 "));
    lb_str_free(&table);
    assert_ok(apply("method = gptq", &out));
    assert_ok(lb_report_view_make(arena, &out, NULL, &v));
    for (int64_t i = 0; i < v.rows; i++) assert_int_equal(v.row[i].lost, 0);
}

static void evaluations(void **state) {
    (void)state;
    lb_results out;
    const lb_record *c = NULL;
    for (int64_t i = 0; i < results->n && !c; i++)
        if (results->record[i].evals == 2 && !is_baseline(&results->record[i])) c = &results->record[i];
    assert_non_null(c);
    char text[256];
    snprintf(text, sizeof text, "protocol = %s", c->eval[1].eval.protocol.id);
    assert_ok(apply(text, &out));
    assert_true(out.n > 2 && is_baseline(&out.record[0]));
    for (int64_t i = 0; i < out.n; i++) {
        assert_int_equal(out.record[i].evals, 1);
        assert_true(lb_report_same_evaluation(&out.record[i].eval[0], &c->eval[1]));
    }
    /* the baseline keeps what the cells that are left are compared on */
    snprintf(text, sizeof text, "cell = '%s' and evaluation = '%s'", c->stem, c->eval[0].name);
    assert_ok(apply(text, &out));
    assert_int_equal(out.n, 2);
    assert_int_equal(out.record[0].evals, 1);
    assert_true(lb_report_same_evaluation(&out.record[0].eval[0], &c->eval[0]));
    snprintf(text, sizeof text, "ppl < %.17g", c->eval[0].eval.ppl);
    assert_ok(apply(text, &out));
    for (int64_t i = 0; i < out.n; i++)
        for (int64_t k = 0; k < out.record[i].evals; k++)
            assert_true(is_baseline(&out.record[i]) || out.record[i].eval[k].eval.ppl < c->eval[0].eval.ppl);
    assert_ok(apply("method = none", &out));
    assert_int_equal(out.n, 1);
    assert_int_equal(out.record[0].evals, results->record[0].evals);
}

/* ---- random expressions ---- */

typedef struct tree {
    int kind; /* 0: comparison, 1: and, 2: or, 3: not */
    const struct tree *left, *right;
    const char *name, *op, *value;
} tree;

static const tree *grow(lb_rng *rng, int depth) {
    static const char *const name[] = {"method", "bits", "ppl", "protocol", "act_order", "b/w", "state", "seed"};
    static const char *const op[] = {"=", "!=", "<", "<=", ">", ">=", "~"};
    static const char *const value[] = {"2", "3", "4", "2.7", "25", "1", "gptq", "rtn", "true", "*t*", "W2-2048"};
    tree *t = LB_NEW(arena, tree, 1);
    assert_non_null(t);
    t->kind = depth ? (int)lb_rng_below(rng, 4) : 0;
    if (t->kind) {
        t->left = grow(rng, depth - 1);
        if (t->kind < 3) t->right = grow(rng, depth - 1);
        return t;
    }
    t->name = name[lb_rng_below(rng, 8)];
    t->op = op[lb_rng_below(rng, 7)];
    bool ordered = strchr("<>", t->op[0]) != NULL;
    t->value = value[lb_rng_below(rng, ordered ? 6 : 11)];
    return t;
}

static void print(lb_str *s, const tree *t, lb_rng *rng) {
    const char *gap = lb_rng_below(rng, 2) ? " " : "";
    if (t->kind == 0) {
        lb_str_add(s, "%s%s%s%s%s", t->name, gap, t->op, gap, t->value);
        return;
    }
    if (t->kind == 3) {
        lb_str_add(s, "not%s(", gap);
        print(s, t->left, rng);
        lb_str_add(s, ")");
        return;
    }
    lb_str_add(s, "(");
    print(s, t->left, rng);
    lb_str_add(s, ")%s%s%s(", gap, t->kind == 1 ? "and" : "or", gap);
    print(s, t->right, rng);
    lb_str_add(s, ")");
}

static bool truth(const tree *t, const lb_record *c, const lb_eval_row *e) {
    if (t->kind == 1) return truth(t->left, c, e) && truth(t->right, c, e);
    if (t->kind == 2) return truth(t->left, c, e) || truth(t->right, c, e);
    if (t->kind == 3) return !truth(t->left, c, e);
    lb_fact_value v;
    double x = 0;
    assert_ok(lb_fact_of(arena, results, c, e, t->name, &v));
    bool numbers = lb_parse_f64(t->value, &x) == LB_OK && !isnan(v.number);
    if (!v.known) return strcmp(t->op, "!=") == 0;
    if (strcmp(t->op, "~") == 0) return lb_str_glob(t->value, v.text);
    bool equal = numbers ? v.number == x : strcasecmp(v.text, t->value) == 0;
    if (strcmp(t->op, "=") == 0) return equal;
    if (strcmp(t->op, "!=") == 0) return !equal;
    if (!numbers) return false;
    bool less = v.number<x, more = v.number> x;
    return t->op[0] == '<' ? less || (t->op[1] && equal) : more || (t->op[1] && equal);
}

static void random_expressions(void **state) {
    (void)state;
    lb_rng rng = lb_rng_make(7, 0);
    int some = 0;
    for (int round = 0; round < 300; round++) {
        const tree *t = grow(&rng, 3);
        lb_results out = {0};
        lb_str s = {0};
        print(&s, t, &rng);
        lb_status st = apply(s.s, &out);
        int64_t at = 0, kept = 0;
        for (int64_t i = 0; i < results->n; i++) {
            const lb_record *c = &results->record[i];
            int64_t evals = 0;
            bool whole = !c->evals && truth(t, c, NULL);
            for (int64_t k = 0; k < c->evals; k++) evals += truth(t, c, &c->eval[k]);
            kept += whole || evals;
            if (st != LB_OK || !(whole || evals || is_baseline(c))) continue;
            assert_true(at < out.n);
            if (strcmp(out.record[at].stem, c->stem) != 0) fail_msg("%s: %s is not kept", s.s, c->stem);
            if (!is_baseline(c)) assert_int_equal(out.record[at].evals, evals);
            at++;
        }
        if ((st == LB_OK) != (kept > 0)) fail_msg("%s: %s", s.s, lb_error());
        assert_int_equal(at, st == LB_OK ? out.n : 0);
        some += st == LB_OK && out.n > 2 && out.n < results->n;
        lb_str_free(&s);
    }
    assert_true(some > 50);
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *text, *said;
    } of[] = {
        {"", "--where: column 1: the name of a column expected, but '' ends here"},
        {"bits", "--where: column 5: =, !=, <, <=, >, >= or ~ expected, but 'bits' ends here"},
        {"bits <= ", "--where: column 9: a number, a word or a text in quotes expected"},
        {"bits <= three", "--where: column 9: 'three' is no number, and only numbers have an order"},
        {"bits <= 3 method = gptq", "--where: column 11: and, or, or the end expected, not 'method'"},
        {"(bits <= 3", "--where: column 11: and, or, or ')' expected"},
        {"bits <= 3)", "--where: column 10: and, or, or the end expected, not ')'"},
        {"label = 'gptq 2b", "--where: column 9: the text that begins here has no end"},
        {"bits = 3 and", "--where: column 13: the name of a column expected"},
        {"bits = 3 and bist = 3", "--where: column 14: 'bist' is no column of cells.csv"},
        {"bist = 3", "did you mean 'bits'?"},
        {"seeds >= 3", "--where: column 1: 'seeds'"},
        {"bits = 77", "--where: no cell of results/synthetic is so: bits = 77"},
    };
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        lb_results out;
        assert_status(LB_E_ARG, apply(of[i].text, &out));
        assert_error_has(of[i].said);
    }
    char deep[512];
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = 0;
    lb_select *s;
    assert_status(LB_E_ARG, lb_select_parse(arena, deep, &s));
    assert_error_has("more than 100 brackets");
    lb_str many = {0};
    for (int i = 0; i < 1200; i++) lb_str_add(&many, "%sbits = 3", i ? " and " : "");
    assert_status(LB_E_ARG, lb_select_parse(arena, many.s, &s));
    assert_error_has("more than 1000 comparisons");
    lb_str_free(&many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meaning),        cmocka_unit_test(unknown_values),     cmocka_unit_test(evaluations),
        cmocka_unit_test(seeds_left_out), cmocka_unit_test(random_expressions), cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

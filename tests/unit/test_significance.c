/* Which rows are said to differ: marks of the main table and of a comparison, p adjusted over those of an evaluation, a
 * single seed as the reference, and how many comparisons there were. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/significance.h"
#include "report/table.h"
#include "support/csv_table.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static const lb_report_options marks = {.significant = true}, holm = {.significant = true, .adjust = LB_ADJUST_HOLM};
static lb_results *results;
static lb_arena *arena;

static int setup(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    if (lb_arena_new(0, &arena) != LB_OK) return 1;
    synthetic_results_labels(results);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    synthetic_results_free(results);
    return 0;
}

static void table(const lb_report_options *o, lb_table_format f, const char *compare, lb_str *out) {
    *out = (lb_str){0};
    if (compare)
        assert_ok(lb_report_compare_table(results, compare, o, f, out));
    else
        assert_ok(lb_report_table(results, o, f, out));
}

static void read_csv(const lb_report_options *o, const char *compare, lb_csv *c) {
    lb_str s;
    table(o, LB_TABLE_CSV, compare, &s);
    *c = csv_of_text(arena, s.s);
    lb_str_free(&s);
}

/* Stars of a printed table, and rows of it whose interval leaves 0 out. */
static void stars(const char *text, int *marked, int *apart) {
    *marked = *apart = 0;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        const char *low = memchr(p, '[', n), *end = low ? memchr(low, ']', n) : NULL,
                   *comma = low ? strchr(low, ',') : NULL;
        if (end && comma && comma < end && (low[1] == '+' || low[1] == '-')) {
            *apart += low[1] == comma[2];
            *marked += strncmp(end, "] *", 3) == 0;
            if ((low[1] == comma[2]) != (strncmp(end, "] *", 3) == 0)) fail_msg("%.*s", (int)n, p);
        }
        p += n + (p[n] == '\n');
    }
}

/* A star stands where the interval that is shown leaves 0 out, and nowhere else; without the option there is none. */
static void marks_what_differs(void **state) {
    (void)state;
    lb_str s;
    int marked, apart;
    table(&marks, LB_TABLE_TERMINAL, NULL, &s);
    stars(s.s, &marked, &apart);
    assert_true(marked > 3 && marked == apart);
    assert_non_null(strstr(s.s, "*: differs from the baseline, as "));
    assert_non_null(strstr(s.s, " comparisons"));
    lb_str_free(&s);
    table(NULL, LB_TABLE_TERMINAL, NULL, &s);
    assert_null(strstr(s.s, "] *"));
    lb_str_free(&s);
}

/* Holm's p of each evaluation, by hand from the p beside it: in ascending order times how many are left, never falling.
 */
static void adjusts_by_evaluation(void **state) {
    (void)state;
    lb_csv c;
    read_csv(&holm, NULL, &c);
    int checked = 0;
    for (size_t i = 0; i < c.rows; i++) {
        const char *eval = csv_at(&c, i, "evaluation"), *protocol = csv_at(&c, i, "protocol"),
                   *windows = csv_at(&c, i, "windows");
        if (!csv_at(&c, i, "p")[0]) continue;
        double mine = strtod(csv_at(&c, i, "p"), NULL), want = 0;
        for (size_t k = 0; k < c.rows; k++) {
            double p = strtod(csv_at(&c, k, "p"), NULL);
            int left = 0;
            if (!csv_at(&c, k, "p")[0] || strcmp(csv_at(&c, k, "evaluation"), eval) ||
                strcmp(csv_at(&c, k, "protocol"), protocol) || strcmp(csv_at(&c, k, "windows"), windows) || p > mine)
                continue;
            for (size_t m = 0; m < c.rows; m++)
                left += csv_at(&c, m, "p")[0] && !strcmp(csv_at(&c, m, "evaluation"), eval) &&
                        !strcmp(csv_at(&c, m, "protocol"), protocol) && !strcmp(csv_at(&c, m, "windows"), windows) &&
                        (strtod(csv_at(&c, m, "p"), NULL) > p || (strtod(csv_at(&c, m, "p"), NULL) == p && m >= k));
            if (left * p > want) want = left * p;
        }
        if (want > 1) want = 1;
        if (fabs(want - strtod(csv_at(&c, i, "p_holm"), NULL)) > 1e-12)
            fail_msg("row %zu: p %s, p_holm %s, not %g", i, csv_at(&c, i, "p"), csv_at(&c, i, "p_holm"), want);
        checked++;
    }
    assert_true(checked > 5);
}

/* A row over seeds is named by its label and shown over its seeds; one of its cells is compared with the others too. */
static void compares_rows(void **state) {
    (void)state;
    lb_report_view v;
    lb_csv c;
    lb_str s;
    assert_ok(lb_report_view_make(arena, results, NULL, &v));
    const lb_report_row *row = NULL;
    for (int64_t i = 0; i < v.rows && !row; i++)
        if (v.row[i].cells == 3) row = &v.row[i];
    assert_non_null(row);
    read_csv(NULL, row->label, &c);
    for (size_t i = 0; i < c.rows; i++) assert_string_not_equal(csv_at(&c, i, "cell"), row->label);
    read_csv(NULL, row->cell[1]->label, &c);
    int siblings = 0, rows = 0;
    for (size_t i = 0; i < c.rows; i++) {
        assert_string_not_equal(csv_at(&c, i, "cell"), row->label);
        assert_string_not_equal(csv_at(&c, i, "cell"), row->cell[1]->label);
        for (int k = 0; k < 3; k += 2) siblings += strcmp(csv_at(&c, i, "cell"), row->cell[k]->label) == 0;
        rows++;
    }
    assert_true(siblings == 2 * (int)row->cell[1]->evals && rows > siblings + 3);
    table(&marks, LB_TABLE_TERMINAL, row->label, &s);
    assert_non_null(strstr(s.s, lb_arena_printf(arena, "Differences to %s (3 seeds)", row->label)));
    assert_non_null(strstr(s.s, "differs from "));
    lb_str_free(&s);
}

/* Against a row of the same seeds: paired seed by seed. */
static void rows_of_seeds(void **state) {
    (void)state;
    lb_report_view v;
    assert_ok(lb_report_view_make(arena, results, NULL, &v));
    const lb_report_row *row = NULL, *one = NULL;
    for (int64_t i = 0; i < v.rows; i++) {
        if (v.row[i].cells == 3 && !row) row = &v.row[i];
        if (v.row[i].cells == 1 && !v.row[i].baseline && !one) one = &v.row[i];
    }
    lb_contrast self, other, back;
    bool has;
    assert_ok(lb_report_contrast(&v, &v.block[0], row, row, &self, &has));
    assert_true(has && self.paired_seeds && self.d.delta == 0 && self.p == 1);
    assert_ok(lb_report_contrast(&v, &v.block[0], row, one, &other, &has));
    assert_ok(lb_report_contrast(&v, &v.block[0], one, row, &back, &has));
    assert_true(has && other.seeds == 3 && back.seeds == 1 && fabs(other.d.low + back.d.high) < 1e-12);
}

/* The marks of the main table may be to another row than the baseline. */
static void another_reference(void **state) {
    (void)state;
    lb_report_view v;
    assert_ok(lb_report_view_make(arena, results, NULL, &v));
    lb_report_options o = marks;
    o.reference = v.row[1].label;
    lb_str s;
    lb_csv c, base;
    table(&o, LB_TABLE_TERMINAL, NULL, &s);
    assert_non_null(strstr(s.s, "*: differs from rtn 2b g64, as "));
    lb_str_free(&s);
    read_csv(&o, NULL, &c);
    read_csv(&marks, NULL, &base);
    assert_string_equal(csv_at(&base, 0, "p"), ""); /* the baseline to itself */
    assert_true(csv_at(&c, 0, "p")[0] != 0);
    assert_string_equal(csv_at(&c, 1, "p"), "");
    o.reference = "no such row";
    assert_status(LB_E_ARG, lb_report_table(results, &o, LB_TABLE_CSV, &s));
    lb_str_free(&s);
}

/* All of the main table's differences are then those that --compare has, and how many there are is said with or without
 * marks. */
static void differences_to_a_reference(void **state) {
    (void)state;
    static const char *const column[] = {"label", "delta_ln_ppl", "delta_low", "delta_high"};
    lb_report_options o = {.reference = "rtn 2b g64", .column = column, .columns = 4},
                      usual = {.reference = "rtn 2b g64"};
    lb_csv c, compare, whole;
    read_csv(&o, NULL, &c);
    read_csv(NULL, o.reference, &compare);
    size_t same = 0, none = 0;
    for (size_t i = 0; i < c.rows; i++) {
        none += strcmp(csv_at(&c, i, "label"), o.reference) == 0 && !csv_at(&c, i, "delta_ln_ppl")[0];
        for (size_t k = 0; k < compare.rows; k++) {
            if (strcmp(csv_at(&compare, k, "cell"), csv_at(&c, i, "label")) ||
                strcmp(csv_at(&compare, k, "evaluation"), csv_at(&c, i, "evaluation")) ||
                strcmp(csv_at(&compare, k, "protocol"), csv_at(&c, i, "protocol")))
                continue;
            for (int x = 1; x < 4; x++) assert_string_equal(csv_at(&compare, k, column[x]), csv_at(&c, i, column[x]));
            same++;
        }
    }
    assert_true(same == compare.rows && none == 2);
    read_csv(&usual, NULL, &whole);
    for (size_t i = 0; i < whole.rows; i++)
        assert_string_equal(csv_at(&whole, i, "reference"), csv_at(&whole, i, "delta_ln_ppl")[0] ? "rtn 2b g64" : "");
    o.sort = "delta";
    read_csv(&o, NULL, &c);
    for (size_t i = 2; i < c.rows; i++) /* behind the baseline, what has none at the end */
        if (strcmp(csv_at(&c, i, "protocol"), csv_at(&c, i - 2, "protocol")) == 0 && csv_at(&c, i, "delta_ln_ppl")[0])
            assert_true(strtod(csv_at(&c, i, "delta_ln_ppl"), NULL) >= strtod(csv_at(&c, i - 1, "delta_ln_ppl"), NULL));
    lb_str s;
    table(&usual, LB_TABLE_MARKDOWN, NULL, &s);
    assert_non_null(strstr(s.s, "; differences to rtn 2b g64"));
    assert_non_null(strstr(s.s, "(nats) to rtn 2b g64 over the same windows"));
    lb_str_free(&s);
}

/* As many as there are rows with an interval, evaluation by evaluation. */
static void says_how_many(void **state) {
    (void)state;
    static const char *const without[] = {"label", "ppl"};
    lb_report_options of[] = {{.wide = false}, {.reference = "rtn 2b g64"}, {.columns = 2, .column = without}};
    for (size_t k = 0; k < sizeof of / sizeof of[0]; k++) {
        lb_csv c;
        lb_str s;
        int n[2] = {0, 0};
        read_csv(k < 2 ? &of[k] : NULL, NULL, &c);
        for (size_t i = 0; i < c.rows; i++)
            n[strcmp(csv_at(&c, i, "protocol"), csv_at(&c, 0, "protocol")) != 0] += csv_at(&c, i, "delta_low")[0] != 0;
        assert_true(n[0] > 3 && n[1] > 3);
        char said[160];
        snprintf(said, sizeof said, " %d + %d comparisons, evaluation by evaluation; intervals are of each alone.",
                 n[0], n[1]);
        table(&of[k], LB_TABLE_MARKDOWN, NULL, &s);
        if ((strstr(s.s, said) != NULL) != (k < 2)) fail_msg("'%s': %s", said, s.s); /* where it shows them */
        lb_str_free(&s);
        /* a table for a paper says its own */
        for (int b = 0; b < 2; b++) {
            snprintf(said, sizeof said, ". %d comparisons; intervals are of each alone.}", n[b]);
            table(&of[k], LB_TABLE_LATEX, NULL, &s);
            if ((strstr(s.s, said) != NULL) != (k < 2)) fail_msg("'%s': %s", said, s.s);
            lb_str_free(&s);
        }
    }
}

/* p of 0.03 and 0.04 are below 0.05 each, but not adjusted over the two; the interval of a mark without adjustment
 * counts alone. */
static void stars_by_adjusted_p(void **state) {
    (void)state;
    lb_contrast of[] = {{.d = {.low = 0.1, .high = 0.2, .windows = 9}, .p = 0.03},
                        {.d = {.low = -0.2, .high = -0.1, .windows = 9}, .p = 0.04},
                        {.d = {.low = -0.2, .high = 0.1, .windows = 9}, .p = 0.2},
                        {.d = {.low = 0.1, .high = 0.2}, .p = NAN}};
    double adjusted[] = {0.09, 0.09, 0.2, NAN};
    lb_report_marks m = {.of_row = of, .n = 3};
    assert_true(lb_report_differs(&m, 0) && lb_report_differs(&m, 1));
    assert_true(!lb_report_differs(&m, 2) && !lb_report_differs(&m, 3));
    m.adjusted = adjusted;
    for (int i = 0; i < 4; i++) assert_false(lb_report_differs(&m, i));
    adjusted[0] = 0.01;
    assert_true(lb_report_differs(&m, 0));
}

static void words(void **state) {
    (void)state;
    const int64_t n[] = {12, 3};
    lb_str s = {0};
    lb_report_options o = {.adjust = LB_ADJUST_NONE};
    assert_ok(lb_report_comparisons_text(&o, n, 1, "rtn", &s));
    assert_true(strncmp(s.s, "12 comparisons; intervals and p are of each alone", 49) == 0);
    s.len = 0;
    assert_ok(lb_report_comparisons_text(&holm, n, 2, "rtn", &s));
    assert_string_equal(s.s,
                        "*: differs from rtn, as p, adjusted by Holm's method, is below 0.05. 12 + 3 comparisons, "
                        "evaluation by evaluation; p is adjusted over those of an evaluation, intervals are of each "
                        "alone.");
    lb_str_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_what_differs),
        cmocka_unit_test(adjusts_by_evaluation),
        cmocka_unit_test(compares_rows),
        cmocka_unit_test(rows_of_seeds),
        cmocka_unit_test(another_reference),
        cmocka_unit_test(differences_to_a_reference),
        cmocka_unit_test(says_how_many),
        cmocka_unit_test(stars_by_adjusted_p),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("report/significance", tests, setup, teardown);
}

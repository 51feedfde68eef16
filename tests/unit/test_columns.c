/* Columns that were chosen, and the order of rows: any fact of cells.csv, exact in CSV, over seeds as the table has it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/columns.h"
#include "report/parts.h"
#include "support/csv_table.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_results *results;
static lb_arena *arena;
static lb_report_view view;

static int setup(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    assert_ok(lb_arena_new(0, &arena));
    assert_ok(lb_report_view_make(arena, results, NULL, &view));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    synthetic_results_free(results);
    return 0;
}

/* "a,b,c" as options. */
static lb_report_options options(const char *names, const char *sort) {
    static const char *name[128];
    lb_report_options o = {.sort = sort, .column = name};
    char *rest = lb_arena_strdup(arena, names), *one;
    while ((one = strsep(&rest, ","))) name[o.columns++] = one;
    return o;
}

static lb_csv csv_of(const lb_results *r, const lb_report_options *o) {
    lb_str s = {0};
    assert_ok(lb_report_table(r, o, LB_TABLE_CSV, &s));
    lb_csv c = csv_of_text(arena, s.s);
    lb_str_free(&s);
    return c;
}

static bool of_block(const lb_report_row *row, const lb_report_block *b) {
    lb_report_quality q;
    assert_ok(lb_report_quality_of(&view, row, b, &q));
    return q.seeds > 0;
}

/* Of a row that is one cell, every column holds what cells.csv has there; a row over seeds is held to its own figures.
 */
static void every_fact(void **state) {
    (void)state;
    for (const lb_fact *f = lb_facts; f->name; f++) {
        lb_report_options o = options(f->name, NULL);
        lb_csv c = csv_of(results, &o);
        size_t at_row = 0;
        const char *name = f->name;
        for (int64_t b = 0; b < view.blocks; b++)
            for (int64_t i = 0; i < view.rows; i++) {
                const lb_report_row *row = &view.row[i];
                lb_fact_value v;
                if (!of_block(row, &view.block[b])) continue;
                assert_ok(lb_report_row_fact(&view, row, &view.block[b], name, &v));
                const char *got = csv_at(&c, at_row++, name);
                if (strcmp(name, "method") == 0)
                    assert_string_equal(got, row->name);
                else
                    assert_string_equal(got, v.text);
                const lb_eval_row *e = lb_report_eval(row->cell[0], &view.block[b]);
                if (row->cells > 1) continue;
                assert_ok(lb_fact_get(arena, results, row->cell[0], e, f, &v));
                if (strcmp(name, "method") != 0) assert_string_equal(got, v.text);
            }
        assert_int_equal(at_row, c.rows);
    }
}

static void over_seeds(void **state) {
    (void)state;
    const lb_report_row *row = NULL;
    lb_report_quality q;
    lb_fact_value v;
    for (int64_t i = 0; i < view.rows && !row; i++)
        if (view.row[i].cells == 3) row = &view.row[i];
    assert_non_null(row);
    assert_ok(lb_report_quality_of(&view, row, &view.block[0], &q));
    static const struct { const char *name, *text; } same[] = {{"method", "gptq"}, {"seed", "0, 1, 2"}, {"seeds", "3"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_ok(lb_report_row_fact(&view, row, &view.block[0], same[i].name, &v));
        assert_string_equal(v.text, same[i].text);
    }
    const struct {
        const char *name;
        double x;
    } number[] = {{"ppl", q.ppl},
                  {"delta", q.delta.delta},
                  {"delta_low", q.delta.low},
                  {"kl", q.kl},
                  {"ln_ppl_sd_seeds", q.sd},
                  {"ppl_mean_seeds", q.ppl_mean},
                  {"ppl_sd_seeds", q.ppl_sd},
                  {"time", lb_report_seconds(row)},
                  {"delta_high", q.delta.high}};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        assert_ok(lb_report_row_fact(&view, row, &view.block[0], number[i].name, &v));
        assert_true(fabs(v.number - number[i].x) <= 1e-12 * fabs(number[i].x));
    }
}

static void shown_as_in_the_table(void **state) {
    (void)state;
    lb_report_options o = options("PPL,label,delta,mib,act_order,key", NULL);
    lb_str s = {0};
    lb_table_terminal_width(400);
    assert_ok(lb_report_table(results, &o, LB_TABLE_TERMINAL, &s));
    lb_table_terminal_width(LB_TERMINAL_WIDTH);
    const char *head = strchr(s.s, '\n') + 1;
    const char *const in_order[] = {"PPL \xc2\xb1 se", "label", "\xce\x94 ln PPL [95 %]", "MiB", "act_order", "key"};
    for (size_t i = 0; i < sizeof in_order / sizeof in_order[0]; i++) {
        head = strstr(head, in_order[i]);
        assert_non_null(head);
    }
    assert_non_null(strstr(s.s, "  6b86b273ff34\n")); /* a digest by its beginning */
    lb_str_free(&s);
    /* in pieces, the label stands in each of them */
    o = options("ppl,label,delta,mib,act_order,rules,embedding,head,key,model_sha256,seconds,kl", NULL);
    lb_table_terminal_width(60);
    assert_ok(lb_report_table(results, &o, LB_TABLE_TERMINAL, &s));
    lb_table_terminal_width(LB_TERMINAL_WIDTH);
    int pieces = 0;
    for (const char *p = s.s; (p = strstr(p, "\nlabel ")); p++) pieces++;
    assert_true(pieces > 4);
    lb_str_free(&s);
}

/* One CSV of two evaluations says which; one of one does not. */
static void csv_says_whose(void **state) {
    (void)state;
    lb_report_options o = options("label,ppl", NULL);
    lb_csv c = csv_of(results, &o);
    assert_int_equal(c.cols, 4);
    assert_string_equal(c.header[0], "evaluation");
    o = options("evaluation,label,ppl,protocol", NULL);
    c = csv_of(results, &o);
    assert_int_equal(c.cols, 4);
    assert_string_equal(c.header[0], "evaluation");
    assert_string_equal(c.header[3], "protocol");
    lb_results *one = synthetic_results_new(SYNTHETIC_SINGLE, "results/synthetic");
    o = options("label,ppl", NULL);
    lb_report_view v;
    assert_ok(lb_report_view_make(arena, one, &o, &v));
    if (v.blocks == 1) assert_int_equal(csv_of(one, &o).cols, 2);
    synthetic_results_free(one);
}

/* The baseline stays first; unknown values stand at the end, whichever way it goes. */
static void sorted(void **state) {
    (void)state;
    static const char *const by[] = {"ppl", "-ppl", "b/w", "-bits_per_weight", "-act_order", "label", "-seconds"};
    for (size_t i = 0; i < sizeof by / sizeof by[0]; i++) {
        bool down = by[i][0] == '-', unknown = false;
        lb_report_options o = {.sort = by[i]};
        lb_report_view v = view;
        const lb_report_row **row;
        v.options = &o;
        assert_ok(lb_report_sorted(&v, &v.block[0], &row));
        assert_true(row[0]->baseline);
        for (int64_t k = 1; k < v.rows; k++) {
            lb_fact_value x, y;
            assert_false(row[k]->baseline);
            assert_ok(lb_report_row_fact(&v, row[k], &v.block[0], by[i] + down, &y));
            assert_true(!unknown || !y.known);
            unknown = unknown || !y.known;
            if (k == 1 || unknown) continue;
            assert_ok(lb_report_row_fact(&v, row[k - 1], &v.block[0], by[i] + down, &x));
            double order = isnan(x.number) ? strcmp(x.text, y.text) : x.number - y.number;
            assert_true(down ? order >= 0 : order <= 0);
            if (order == 0) assert_true(row[k - 1] < row[k]);
        }
    }
}

static void names_are_checked(void **state) {
    (void)state;
    lb_str s = {0};
    lb_report_options o = options("label,delta_ln_pll", NULL);
    assert_status(LB_E_ARG, lb_report_table(results, &o, LB_TABLE_TERMINAL, &s));
    assert_error_has("--columns: 'delta_ln_pll' is no column of cells.csv");
    assert_error_has("did you mean 'delta_ln_ppl'?");
    o = (lb_report_options){.sort = "-act_ordre"};
    assert_status(LB_E_ARG, lb_report_table(results, &o, LB_TABLE_CSV, &s));
    assert_error_has("--sort: 'act_ordre'");
    assert_error_has("did you mean 'act_order'?");
    lb_str_free(&s);
}

/* Only what is shown is explained. */
static void notes_of_columns(void **state) {
    (void)state;
    static const char *const about[] = {"\xce\x94 ln PPL: mean",
                                        "KL: mean KL",
                                        "b/w: bits per",
                                        "rel. MSE: ",
                                        "Rows over several seeds",
                                        "T: trained",
                                        "\xe2\x80\xa0: a layer error"};
    static const struct {
        const char *names, *has; /* of each note above: yes or no */
    } of[] = {{"label,ppl", "nnnnynn"},
              {"label,kl_mean,mib", "nyynnnn"},
              {"delta_low,top1", "yynnynn"},
              {"method,flags", "nnnnnyn"},
              {"output_vs_rtn_own,bits_per_weight", "nnyynny"}};
    for (size_t i = 0; i <= sizeof of / sizeof of[0]; i++) {
        lb_report_options o = i < sizeof of / sizeof of[0] ? options(of[i].names, NULL) : (lb_report_options){0};
        lb_str s = {0};
        assert_ok(lb_report_table(results, &o, LB_TABLE_TERMINAL, &s));
        for (size_t k = 0; k < sizeof about / sizeof about[0]; k++) {
            bool has = strstr(s.s, about[k]) != NULL;
            if (has != (!o.columns || of[i].has[k] == 'y'))
                fail_msg("%s: '%s': %s", o.columns ? of[i].names : "all", about[k], has ? "there" : "missing");
        }
        lb_str_free(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fact),       cmocka_unit_test(over_seeds), cmocka_unit_test(shown_as_in_the_table),
        cmocka_unit_test(csv_says_whose),   cmocka_unit_test(sorted),     cmocka_unit_test(names_are_checked),
        cmocka_unit_test(notes_of_columns),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

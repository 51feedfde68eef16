/* Excess loss and KL against measured bits a weight: exact scripts and data, what a log scale has no place for, and
 * cells whose layers differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/expected_output.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

#define DELTA "delta-bits-wikitext-2-W2-2048"
#define KL    "kl-bits-wikitext-2-W2-2048"
#define PPL   "ppl-bits-wikitext-2-W2-2048"

static lb_plot_list list;
static lb_results *results;

static const char *caption(const char *stem) {
    for (int64_t i = 0; i < list.n; i++)
        if (strcmp(list.at[i].name, stem) == 0) return list.at[i].caption;
    fail_msg("no plot %s", stem);
    return NULL;
}

static int begin(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    return 0;
}

static int end(void **state) {
    (void)state;
    synthetic_results_free(results);
    return 0;
}

static lb_record *cell(const char *label) {
    for (int64_t i = 0; i < results->n; i++)
        if (strcmp(results->record[i].label, label) == 0) return &results->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

static void exact(void **state) {
    (void)state;
    static const char *const stem[] = {DELTA, KL}, *const ext[] = {"gp", "dat"};
    const char *dir = plots_made(results, &list);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) {
            char file[128], *text = plot_text(dir, stem[i], ext[k]);
            snprintf(file, sizeof file, "report/%s.%s", stem[i], ext[k]);
            expect_output(file, text);
            lb_free(text);
        }
}

/* One cell a row, so that its paired difference is the row's. */
static void set_delta(const char *label, double delta, double low, double high) {
    lb_record *c = cell(label);
    c->eval[0].paired.delta = delta, c->eval[0].paired.low = low, c->eval[0].paired.high = high;
}

/* Better than unquantized, and not told from it: at the edge or hollow, named; the data keep what was measured. */
static void zero_and_below(void **state) {
    (void)state;
    set_delta("rtn 4b g64", -0.001, -0.002, 0.001);
    set_delta("rtn 3b g64", 0.002, -0.001, 0.005);
    const char *dir = plots_made(results, &list);
    assert_non_null(strstr(caption(DELTA), " 0 or below, so at the lower edge: rtn 4b g64."));
    assert_non_null(strstr(caption(DELTA), " The interval reaches 0 (open markers): rtn 3b g64."));
    char *dat = plot_text(dir, DELTA, "dat"), *gp = plot_text(dir, DELTA, "gp");
    assert_non_null(strstr(dat, " -0.001 -0.002 0.001 4 "));
    /* The edge is half of what is the least above 0. */
    assert_non_null(strstr(gp, "floor = 0.001\n"));
    assert_non_null(strstr(gp, "(reaches($2, $3) ? cut($2) : NaN) with points ls 1 pt 6 notitle"));
    lb_free(dat);
    lb_free(gp);
}

static void beside_each_other(double least) {
    const char *dir = plots_made(results, &list);
    char *gp = plot_text(dir, DELTA, "gp");
    double before = -1;
    int lines = 0;
    for (const char *p = gp; (p = strstr(p, " using ($1")); lines++, p++) {
        double shift = strtod(p + strlen(" using ($1"), NULL);
        assert_true(fabs(shift) < 0.05);
        /* a line, its bars, its points and its open ones */
        if (lines % 4 == 0)
            assert_true(shift > before + least);
        else
            assert_true(shift == before);
        before = shift;
    }
    assert_true(lines >= 8);
    lb_free(gp);
}

/* Rows on one storage have the same bits: no two lines stand at one place, and none far from what it measured. */
static void lines_beside_each_other(void **state) {
    (void)state;
    beside_each_other(0.005);
}

/* Also where all have the same, as in a sweep of one number of bits. */
static void points_beside_each_other(void **state) {
    (void)state;
    for (int64_t i = 0; i < results->n; i++) {
        lb_size *size = &results->record[i].size.quantized;
        if (size->total) size->total = size->weights / 2;
    }
    beside_each_other(0.004);
}

/* Nothing above 0 and no interval: there is nothing to draw. */
static void nothing_above(void **state) {
    (void)state;
    for (int64_t i = 0; i < results->n; i++)
        for (int64_t e = 0; e < results->record[i].evals; e++) {
            lb_eval_row *x = &results->record[i].eval[e];
            x->paired.delta = -1, x->paired.low = x->paired.high = NAN;
            x->eval.kl_mean = 0, x->eval.has_kl = false;
            for (int64_t k = 0; k < x->eval.windows; k++) x->eval.window_nll[k] = 1;
        }
    (void)plots_made(results, &list);
    for (int64_t i = 0; i < list.n; i++) {
        assert_null(strstr(list.at[i].name, "delta-bits"));
        assert_null(strstr(list.at[i].name, "kl-bits"));
    }
}

/* Where layers differ, bits a code say little: every point of perplexity stands at its measured bits, too. */
static void mixed_layers(void **state) {
    (void)state;
    const char *dir = plots_made(results, &list);
    char *before = plot_text(dir, PPL, "dat");
    assert_non_null(strstr(before, "# bits ppl ppl_low ppl_high bits_per_weight mib"));
    lb_free(before);
    cell("rtn 3b g64")->layer[0].bits = 8;
    dir = plots_made(results, &list);
    char *dat = plot_text(dir, PPL, "dat"), *gp = plot_text(dir, PPL, "gp"), row[64];
    assert_non_null(strstr(dat, "# bits_per_weight ppl ppl_low ppl_high bits mib"));
    snprintf(row, sizeof row, "\n%.9g ", lb_size_bits(&cell("rtn 3b g64")->size.quantized));
    assert_non_null(strstr(dat, row));
    assert_non_null(strstr(gp, "set xlabel 'bits per weight, measured'"));
    assert_non_null(strstr(caption(PPL), "against measured bits a weight"));
    lb_free(dat);
    lb_free(gp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exact, begin, end),
        cmocka_unit_test_setup_teardown(zero_and_below, begin, end),
        cmocka_unit_test_setup_teardown(lines_beside_each_other, begin, end),
        cmocka_unit_test_setup_teardown(points_beside_each_other, begin, end),
        cmocka_unit_test_setup_teardown(nothing_above, begin, end),
        cmocka_unit_test_setup_teardown(mixed_layers, begin, end),
    };
    return cmocka_run_group_tests_name("plots of excess loss and KL", tests, NULL, NULL);
}

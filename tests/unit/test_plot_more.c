/* Figures beside those of quality: the scale of maps, bars of sizes and costs, seeds, texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/expected_output.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_plot_list list;

/* Of a script's "set cbtics nomirror ('0.01' 0.01, ...)": how many, and how near they get on a bar so long. */
static int tics(const char *script, lb_span range, bool log_scale, double points, double *nearest) {
    const char *p = strstr(script, "tics nomirror (");
    int n = 0;
    double last = NAN;
    assert_non_null(p);
    *nearest = INFINITY;
    for (p = strchr(p, '('); *p != ')' && (p = strstr(p, "' ")); n++) {
        char *end;
        double v = strtod(p + 2, &end);
        double gap = log_scale ? (log(v) - log(last)) / (log(range.high) - log(range.low))
                               : (v - last) / (range.high - range.low);
        if (n) *nearest = fmin(*nearest, gap * points);
        double slack = 1e-9 * (range.high - range.low);
        assert_true(v >= range.low - slack && v <= range.high + slack);
        last = v, p = end;
    }
    return n;
}

/* However short the bar and however narrow or wide its range, no two labels touch; where there is room, there are two
 * at the least. */
static void labels_of_a_bar(void **state) {
    (void)state;
    static const lb_span data[] = {{0.004, 0.25}, {0.01, 0.0101},  {20.968, 20.97}, {5, 5},
                                   {1e-6, 1e6},   {1e-300, 1e300}, {0.9, 1.3},      {1, 7},
                                   {3e-5, 2e-4},  {100, 2000},     {0.5, 40},       {99, 101}};
    static const double points[] = {20, 35, 60, 95, 155, 300, 800};
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        for (size_t k = 0; k < sizeof points / sizeof points[0]; k++)
            for (int log_scale = 0; log_scale < 2; log_scale++) {
                lb_plot p;
                lb_span range;
                double nearest;
                assert_ok(lb_plot_begin(&p, a, "x", 100, 100));
                lb_plot_bar_axis(&p, "cb", data[i], log_scale, points[k]);
                assert_ok(lb_str_check(&p.setup));
                const char *from = strstr(p.setup.s, "set cbrange [");
                assert_int_equal(sscanf(from, "set cbrange [%lf:%lf]", &range.low, &range.high), 2);
                int n = tics(from, range, log_scale, points[k], &nearest);
                if (n < (points[k] >= 95 ? 2 : 1)) fail_msg("%d tics, %g points: %s", n, points[k], from);
                assert_true(nearest >= LB_PLOT_TIC_ROOM);
                lb_plot_free(&p);
            }
    lb_arena_free(a);
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

/* All maps of a bit width have one range, in however many figures, and each figure draws its scale once. */
static void one_scale(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_MANY, "results/synthetic");
    const char *dir = plots_made(r, &list);
    char range[3][128];
    for (int i = 0; i < 3; i++) {
        char stem[32];
        snprintf(stem, sizeof stem, "error-map-3b-%d", i + 1);
        char *gp = plot_text(dir, stem, "gp");
        assert_int_equal(count(gp, "cbrange"), 1);
        assert_int_equal(count(gp, " set colorbox "), 1);
        assert_int_equal(count(gp, " unset colorbox"), 1);
        assert_true(strstr(gp, " set colorbox ") < strstr(gp, "    plot "));
        assert_true(strstr(gp, " unset colorbox") > strstr(gp, "    plot "));
        snprintf(range[i], sizeof range[i], "%.*s", (int)strcspn(strstr(gp, "cbrange"), "\n"), strstr(gp, "cbrange"));
        lb_free(gp);
    }
    assert_string_equal(range[0], range[1]);
    assert_string_equal(range[0], range[2]);
    synthetic_results_free(r);
}

static void exact(const char *dir, const char *stem) {
    static const char *const ext[] = {"gp", "dat"};
    for (int k = 0; k < 2; k++) {
        char file[128], *text = plot_text(dir, stem, ext[k]);
        snprintf(file, sizeof file, "report/%s.%s", stem, ext[k]);
        expect_output(file, text);
        lb_free(text);
    }
}

/* The numbers of one line of data, after its first, the row's; returns how many. */
static int line_of(const char *dat, int row, double *out, int most) {
    char from[16];
    snprintf(from, sizeof from, "\n%d ", row);
    char *p = strstr(dat, from);
    assert_non_null(p);
    p += strlen(from);
    int n = 0;
    for (char *end; n < most && (out[n] = strtod(p, &end), end != p); n++) p = end;
    return n;
}

/* A bar is the whole model: its parts' bytes add up to what the table of sizes says. */
static void sizes(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_record *first = &r->record[1];
    first->size.quantized.mask = 128, first->size.quantized.total += 128, first->size.total_as_fp16 += 128;
    const char *dir = plots_made(r, &list);
    exact(dir, "sizes");
    char *dat = plot_text(dir, "sizes", "dat"), *gp = plot_text(dir, "sizes", "gp");
    double part[5], sum = 0;
    assert_int_equal(line_of(dat, 0, part, 5), 5);
    for (int i = 0; i < 5; i++) sum += part[i];
    assert_true(sum == (double)first->size.total_as_fp16);
    assert_true(part[0] == (double)first->size.quantized.codes);
    assert_true(part[3] == (double)(first->size.quantized.padding + 128));
    assert_int_equal(count(dat, "\n"), 2 + 12); /* neither the baseline nor finetune */
    assert_null(strstr(gp, "set logscale"));
    lb_free(dat);
    lb_free(gp);
    for (int64_t i = 0; i < r->n; i++) r->record[i].size.quantized.zeros = 0;
    gp = plot_text(plots_made(r, &list), "sizes", "gp");
    assert_null(strstr(gp, "title 'zeros'")); /* what no row has is not in the legend */
    lb_free(gp);
    synthetic_results_free(r);
}

/* Forty rows a figure at the most, all of one axis. */
static void many_rows(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_MANY, "results/synthetic");
    const char *dir = plots_made(r, &list);
    char *one = plot_text(dir, "sizes-1", "gp"), *two = plot_text(dir, "sizes-2", "gp");
    const char *a = strstr(one, "set xrange"), *b = strstr(two, "set xrange");
    assert_true(a && b && strncmp(a, b, strcspn(a, "\n") + 1) == 0);
    assert_non_null(strstr(one, "set yrange [31.5:-0.5]"));
    lb_free(one);
    lb_free(two);
    synthetic_results_free(r);
}

/* Stages and what is beside them add up to the time that the tables have; of seeds the mean, and the most memory. */
static void cost(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    synthetic_results_costs(r);
    const char *dir = plots_made(r, &list);
    exact(dir, "cost");
    char *dat = plot_text(dir, "cost", "dat");
    double x[5];
    assert_non_null(strstr(dat, "# row peak_bytes statistics quantize evaluate other_seconds name\n"));
    assert_int_equal(line_of(dat, 0, x, 5), 5);
    assert_true(x[1] == 0 && x[2] == 0 && x[3] == 0.5 && x[4] == 0.25);
    /* gptq of 2 bits: records 7, 8 and 9. */
    assert_int_equal(line_of(dat, 7, x, 5), 5);
    assert_true(x[0] == (64 + 9) << 20 && x[1] == 0.5 && x[2] == 2 + 8 && x[3] == 4 && x[4] == 0.25);
    lb_free(dat);
    for (int64_t i = 0; i < r->n; i++) r->record[i].seconds = 0;
    (void)plots_made(r, &list);
    for (int64_t i = 0; i < list.n; i++) assert_string_not_equal(list.at[i].name, "cost");
    synthetic_results_free(r);
}

#define SEEDS "seeds-wikitext-2-W2-2048"

/* Every seed is a point, their mean the row's; a row of one seed is not there. */
static void seeds(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    synthetic_results_paired(r);
    const char *dir = plots_made(r, &list);
    exact(dir, SEEDS);
    char *dat = plot_text(dir, SEEDS, "dat"), *gp = plot_text(dir, SEEDS, "gp");
    assert_non_null(strstr(gp, "'gptq 3b g64 act_order, n = 3' 1, "));
    assert_null(strstr(dat, "rtn"));
    assert_non_null(strstr(gp, "set logscale x"));
    const char *mean = strstr(dat, "# row mean_delta");
    assert_int_equal(count(dat, "gptq 2b g64 act_order"), 3 + 1);
    double sum = 0, row, delta;
    const char *p = strchr(strchr(dat, '\n') + 1, '\n') + 1;
    for (int i = 0; i < 3; i++, p = strchr(p, '\n') + 1) {
        assert_int_equal(sscanf(p, "%lf %lf", &row, &delta), 2);
        assert_true(row < 0);
        sum += delta;
    }
    assert_int_equal(sscanf(strchr(mean, '\n'), "%lf %lf", &row, &delta), 2);
    assert_true(row > 0 && fabs(sum / 3 - delta) < 1e-7);
    lb_free(dat);
    lb_free(gp);
    synthetic_results_free(r);
}

/* What has a seed at 0 or below is on a linear scale, with a line at 0; what was not evaluated, or over one seed, is
 * not there. */
static void seeds_about_zero(void **state) {
    (void)state;
    static const double lowest[] = {-0.5, 0};
    lb_results *r;
    for (int k = 0; k < 2; k++) {
        r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
        for (int64_t i = 0; i < r->n; i++) {
            lb_record *c = &r->record[i];
            if (strcmp(c->method, "gptq") == 0 && c->evals) c->eval[0].paired.delta = lowest[k];
        }
        char *gp = plot_text(plots_made(r, &list), SEEDS, "gp");
        assert_null(strstr(gp, "set logscale"));
        assert_true((strstr(gp, "set yzeroaxis") != NULL) == (lowest[k] < 0));
        lb_free(gp);
        synthetic_results_free(r);
    }
    r = synthetic_results_new(SYNTHETIC_MANY, "results/synthetic");
    (void)plots_made(r, &list);
    for (int64_t i = 0; i < list.n; i++) assert_null(strstr(list.at[i].name, "seeds"));
    synthetic_results_free(r);
}

/* A map for each method and bits that was calibrated on several texts, and for nothing else. */
static void texts(void **state) {
    (void)state;
    lb_results *r = synthetic_results_two_texts("texts/pile.txt", "results/synthetic");
    const char *dir = plots_made(r, &list);
    exact(dir, "texts");
    char *dat = plot_text(dir, "texts", "dat"), *gp = plot_text(dir, "texts", "gp");
    double x[4];
    /* 2 bits: c4_a and pile.txt on two evaluations. */
    const char *p = strchr(strchr(dat, '\n') + 1, '\n') + 1;
    for (int i = 0; i < 4; i++, p = strchr(p, '\n') + 1) assert_int_equal(sscanf(p, "%*d %*d %lf", &x[i]), 1);
    assert_true(fabs(x[0] - x[2]) < 1e-8 && fabs(x[3] - x[1] - 0.25) < 1e-8);
    assert_int_equal(count(dat, "# evaluation "), 3);
    assert_null(strstr(dat, "rtn"));
    assert_int_equal(count(gp, "cbrange"), 1);
    assert_non_null(strstr(gp, "set yrange [1.5:-0.5]\n    set title 'gptq 3b g64 act_order'"));
    assert_non_null(strstr(gp, "set ytics ('wiki' 0, 'pile.txt' 1)"));
    lb_free(dat);
    lb_free(gp);
    synthetic_results_free(r);
    /* Files of one name in two folders keep their paths. */
    r = synthetic_results_two_texts("other/wiki", "results/synthetic");
    gp = plot_text(plots_made(r, &list), "texts", "gp");
    assert_non_null(strstr(gp, "set ytics ('wiki' 0, 'other/wiki' 1)"));
    lb_free(gp);
    synthetic_results_free(r);
}

/* The same of the KL, which these results have of the first evaluation alone, and of a task's accuracy. */
static void texts_by_kl_and_accuracy(void **state) {
    (void)state;
    lb_results *r = synthetic_results_two_texts("texts/pile.txt", "results/synthetic");
    double kl[2], acc[2];
    uint8_t right[2][4] = {{1, 0, 0, 0}, {1, 1, 1, 0}};
    for (int64_t i = 0; i < r->n; i++) {
        lb_eval_row *e = r->record[i].eval;
        const char *text = lb_pairs_get(&r->record[i].provenance, "calibration");
        if (r->record[i].evals < 2) continue;
        bool pile = text && strcmp(text, "texts/pile.txt") == 0;
        e[0].eval.kl_mean = pile ? 0.5 : 0.25;
        e[1].eval.has_kl = false;
        assert_int_equal(lb_protocol_parse("MC-piqa", &e[1].eval.protocol), LB_OK);
        e[1].eval.task = (lb_task_result){.items = 4, .right = right[pile]};
        lb_task_count(&e[1].eval.task);
    }
    const char *dir = plots_made(r, &list);
    char *dat = plot_text(dir, "kl-texts", "dat"), *gp = plot_text(dir, "kl-texts", "gp");
    const char *p = strchr(strchr(dat, '\n') + 1, '\n') + 1;
    for (int i = 0; i < 2; i++, p = strchr(p, '\n') + 1) assert_int_equal(sscanf(p, "%*d %*d %lf", &kl[i]), 1);
    assert_true(kl[0] == 0.25 && kl[1] == 0.5);
    assert_non_null(strstr(dat, "# evaluation calibration kl evaluation_name"));
    assert_non_null(strstr(gp, "KL in nats by calibration and evaluation text"));
    assert_null(strstr(dat, "MC-piqa")); /* it has none */
    lb_free(dat);
    lb_free(gp);
    dat = plot_text(dir, "acc-texts", "dat"), gp = plot_text(dir, "acc-texts", "gp");
    p = strchr(strchr(dat, '\n') + 1, '\n') + 1;
    for (int i = 0; i < 2; i++, p = strchr(p, '\n') + 1) assert_int_equal(sscanf(p, "%*d %*d %lf", &acc[i]), 1);
    assert_true(acc[0] == 25 && acc[1] == 75);
    assert_non_null(strstr(gp, "accuracy in % by calibration and evaluation text"));
    assert_null(strstr(dat, "W2-2048"));
    lb_free(dat);
    lb_free(gp);
    synthetic_results_free(r);
}

static bool shows_texts(lb_results *r) {
    bool shown = false;
    (void)plots_made(r, &list);
    for (int64_t i = 0; i < list.n; i++) shown = shown || strstr(list.at[i].name, "texts");
    synthetic_results_free(r);
    return shown;
}

/* One text needs no map, and cells that differ in an option besides make none. */
static void no_texts(void **state) {
    (void)state;
    lb_results *r = synthetic_results_two_texts("wiki", "results/synthetic");
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].bits == 2) r->record[i].bits = 0, r->record[i].state = LB_CELL_FAILED;
    assert_false(shows_texts(r));
    assert_true(shows_texts(synthetic_results_two_texts("pile", "results/synthetic")));
    r = synthetic_results_two_texts("pile", "results/synthetic");
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        const char *text = lb_pairs_get(&c->provenance, "calibration");
        if (!text || strcmp(text, "pile") != 0) continue;
        lb_pair *own = LB_NEW(r->arena, lb_pair, c->options.n); /* both cells have the same list */
        assert_true(own && c->options.n > 0);
        memcpy(own, c->options.at, (size_t)c->options.n * sizeof *own);
        own[c->options.n - 1].value = "another";
        c->options.at = own;
    }
    assert_false(shows_texts(r));
}

/* gnuplot takes a doubled quote for one only behind something that is none, and % in a tic for a format. */
static void names_of_any_letters(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].method, "nf4") == 0) r->record[i].method = "'a''b' at 50%";
    const char *dir = plots_made(r, &list);
    char *gp = plot_text(dir, "sizes", "gp"), *points = plot_text(dir, "front-wikitext-2-W2-2048", "gp");
    assert_non_null(strstr(gp, "'\xe2\x80\x99"
                               "a''\xe2\x80\x99"
                               "b'' at 50%% 4b"));
    assert_non_null(strstr(points, "'\xe2\x80\x99"
                                   "a''\xe2\x80\x99"
                                   "b'' at 50%'"));
    lb_free(points);
    lb_free(gp);
    synthetic_results_free(r);
}

/* Panels of four types fill a row: three columns, and the legend stands beside the fourth, not below all of them. */
static void no_row_for_the_legend_alone(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t l = 0; l < r->record[i].layers; l++) {
            lb_layer_row *x = &r->record[i].layer[l];
            if (strchr("kvu", x->type[0])) x->quantized = false; /* q, o, gate and down are left */
        }
    char *gp = plot_text(plots_made(r, &list), "layer-error-2b", "gp");
    assert_non_null(strstr(gp, "set multiplot layout 2,3 title"));
    assert_non_null(strstr(gp, "set origin 0.3333,0\n    set size 0.6667,"));
    lb_free(gp);
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_of_a_bar),
        cmocka_unit_test(one_scale),
        cmocka_unit_test(sizes),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(cost),
        cmocka_unit_test(seeds),
        cmocka_unit_test(seeds_about_zero),
        cmocka_unit_test(texts),
        cmocka_unit_test(texts_by_kl_and_accuracy),
        cmocka_unit_test(no_texts),
        cmocka_unit_test(no_row_for_the_legend_alone),
        cmocka_unit_test(names_of_any_letters),
    };
    return cmocka_run_group_tests_name("more plots", tests, NULL, NULL);
}

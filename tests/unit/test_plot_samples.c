/* The figure of calibration samples: a line for rows that differ in nothing else, levels of what reads no text, and in
 * words how many are enough. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/alike.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

#define FIGURE "samples-tiny-stories-LCPP-256"
static lb_plot_list list;

static const char *caption_of(const char *name) {
    for (int64_t i = 0; i < list.n; i++)
        if (strcmp(list.at[i].name, name) == 0) return list.at[i].caption;
    return NULL;
}

static bool has_samples(void) {
    for (int64_t i = 0; i < list.n; i++)
        if (strncmp(list.at[i].name, "samples-", 8) == 0) return true;
    return false;
}

/* In order of samples, each with what it loses more than at 128. */
static void lines(void **state) {
    (void)state;
    lb_results *r = synthetic_results_samples("results/synthetic");
    const char *dir = plots_made(r, &list);
    char *dat = plot_text(dir, FIGURE, "dat"), *gp = plot_text(dir, FIGURE, "gp");
    static const double samples[] = {4, 16, 32, 128}, lift[] = {0.5, 0.03125, 0, 0};
    const char *p = dat;
    int blocks = 0;
    while ((p = strstr(p, "# samples delta"))) {
        double x[4], y[4];
        for (int i = 0; i < 4; i++) {
            p = strchr(p, '\n') + 1;
            int seeds;
            assert_int_equal(sscanf(p, "%lf %lf %*f %*f %d", &x[i], &y[i], &seeds), 3);
            assert_int_equal(seeds, 3);
        }
        for (int i = 0; i < 4; i++) {
            assert_true(x[i] == samples[i]);
            assert_true(fabs(y[i] - y[3] - lift[i]) < 1e-8);
        }
        blocks++;
    }
    assert_int_equal(blocks, 3); /* bits */
    assert_non_null(strstr(gp, "set xtics (4, 16, 32, 128)"));
    assert_non_null(strstr(gp, "title 'gptq 2b g64 act_order'"));
    if (!strstr(gp, "title 'rtn 3b g64'")) fail_msg("no level of what reads no text: %s", strstr(gp, "index 2"));
    assert_null(strstr(gp, "title 'qat"));
    lb_free(dat);
    lb_free(gp);
    synthetic_results_free(r);
}

/* On the first evaluation all numbers give the same, on the second 4 and 16 are told from 128 by every seed. */
static void how_many_are_enough(void **state) {
    (void)state;
    lb_results *r = synthetic_results_samples("results/synthetic");
    (void)plots_made(r, &list);
    const char *same = caption_of("samples-wikitext-2-W2-2048"), *other = caption_of(FIGURE);
    assert_true(same && other);
    if (!strstr(same, "gptq 2b g64 act_order: 4 and more of 128")) fail_msg("%s", same);
    if (!strstr(other, "gptq 2b g64 act_order: 32 of 128")) fail_msg("%s", other);
    assert_null(strstr(other, "one seed"));
    synthetic_results_free(r);
    r = synthetic_results_samples("results/synthetic");
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].seed == 0) r->record[n++] = r->record[i];
    r->n = n;
    (void)plots_made(r, &list);
    other = caption_of(FIGURE);
    assert_true(other && strstr(other, "(one seed: other draws are not counted)"));
    synthetic_results_free(r);
}

/* One number of samples makes no line, and rows that differ in something else besides are on none together. */
static void no_line(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    (void)plots_made(r, &list);
    assert_false(has_samples());
    synthetic_results_free(r);
    r = synthetic_results_samples("results/synthetic");
    for (int64_t i = 0; i < r->n; i++) {
        lb_pairs *p = &r->record[i].provenance;
        const char *samples = lb_pairs_get(p, "calibration_samples");
        for (int64_t k = 0; samples && k < p->n; k++)
            if (strcmp(p->at[k].key, "calibration") == 0) p->at[k].value = samples; /* another text for each number */
    }
    (void)plots_made(r, &list);
    assert_false(has_samples());
    synthetic_results_free(r);
}

static void alike(void **state) {
    (void)state;
    static const char *const samples[] = {"calibration_samples", NULL}, *const nothing[] = {NULL};
    lb_results *r = synthetic_results_samples("results/synthetic");
    const lb_record *a = NULL, *b = NULL;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (strcmp(c->method, "gptq") != 0 || c->bits != 2 || c->seed != 0 || c->state != LB_CELL_DONE) continue;
        b = a ? b ? b : c : NULL;
        a = a ? a : c;
    }
    assert_true(a && b && a != b);
    assert_true(lb_report_alike_but(a, b, samples));
    assert_false(lb_report_alike_but(a, b, nothing));
    lb_record other = *b;
    other.true_sequential = !other.true_sequential;
    assert_false(lb_report_alike_but(a, &other, samples));
    other = *b, other.options.n--;
    assert_false(lb_report_alike_but(a, &other, samples));
    assert_false(lb_report_alike_but(&other, a, samples));
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(how_many_are_enough),
        cmocka_unit_test(no_line),
        cmocka_unit_test(alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

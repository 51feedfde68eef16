/* Reports of sweeps with thousands of cells: in time, and as pages that a browser opens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/parts.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

/* The done cells of a sweep again and again, each with a key of its own. */
static lb_results *many_cells(const char *dir, int64_t n) {
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    lb_record *all = LB_NEW(r->arena, lb_record, n);
    assert_non_null(all);
    for (int64_t i = 0, from = 0; i < n; from++) {
        const lb_record *c = &r->record[from % r->n];
        if (c->state != LB_CELL_DONE || (i && strcmp(c->method, "none") == 0)) continue;
        all[i] = *c;
        all[i].label = lb_arena_printf(r->arena, "cell %lld", (long long)i);
        all[i].stem = lb_arena_printf(r->arena, "cell-%lld", (long long)i);
        lb_pair *own = LB_NEW(r->arena, lb_pair, c->provenance.n + 1);
        assert_non_null(own);
        memcpy(own, c->provenance.at, (size_t)c->provenance.n * sizeof *own);
        own[c->provenance.n] = (lb_pair){"key_of_cell", lb_arena_printf(r->arena, "k%lld", (long long)i)};
        all[i].provenance = (lb_pairs){own, c->provenance.n + 1};
        i++;
    }
    r->record = all;
    r->n = n;
    return r;
}

static void provenance_of_thousands(void **state) {
    (void)state;
    enum { CELLS = 6000 };
    lb_results *r = many_cells("results/synthetic", CELLS);
    lb_report_view v = {.r = r, .arena = r->arena};
    lb_str s = {0};
    alarm(60);
    assert_ok(lb_report_provenance(&v, LB_TABLE_TERMINAL, &s));
    alarm(0);
    assert_non_null(strstr(s.s, "key_of_cell k0\n"));
    assert_non_null(strstr(s.s, "key_of_cell k5999"));
    assert_null(strstr(s.s, "key_of_cell: ")); /* of each cell, so with each cell alone */
    lb_str_free(&s);
    synthetic_results_free(r);
}

static bool is_there(const char *dir, const char *leaf) {
    char path[2 * LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/%s", dir, leaf);
    return access(path, F_OK) == 0;
}

/* Its layers so many times. */
static void longer(lb_results *r, lb_record *c, int64_t times) {
    lb_layer_row *all = LB_NEW(r->arena, lb_layer_row, times * c->layers);
    assert_true(all || !c->layers);
    for (int64_t k = 0; k < times && c->layers; k++)
        memcpy(all + k * c->layers, c->layer, (size_t)c->layers * sizeof *all);
    c->layer = all;
    c->layers *= times;
}

static void layers_in_pages_of_their_own(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    snprintf(dir, sizeof dir, "%s/large", lb_test_tmpdir());
    lb_results *r = many_cells(dir, 30);
    int64_t rows = 0;
    for (int64_t i = 0; i < r->n; i++) longer(r, &r->record[i], 9);
    for (int64_t i = 0; i < r->n; i++) rows += lb_report_has_layers(&r->record[i]) ? r->record[i].layers : 0;
    assert_in_range(rows, 10001, 12000);
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0); /* no gnuplot: nothing is drawn */
    assert_ok(lb_report_write(r, NULL, NULL, NULL));
    char *index = plot_text(dir, "report/index.html", NULL), *page;
    assert_non_null(strstr(index, "<li><a href=\"tables/layers-cell-7.html\">cell 7</a></li>"));
    assert_null(strstr(index, "Layers of cell 7"));
    page = plot_text(dir, "report/tables/layers-cell-7.html", NULL);
    assert_non_null(strstr(page, "Layers of cell 7"));
    assert_non_null(strstr(page, "5.down"));
    assert_non_null(strstr(page, "<a href=\"../index.html\">"));
    lb_free(index);
    lb_free(page);

    /* With fewer they stand in the page, and none is left. */
    r->n = 8;
    assert_ok(lb_report_write(r, NULL, NULL, NULL));
    index = plot_text(dir, "report/index.html", NULL);
    assert_non_null(strstr(index, "<details><summary>cell 7</summary>"));
    assert_non_null(strstr(index, "Layers of cell 7"));
    assert_null(strstr(index, "layers-cell-7.html"));
    assert_false(is_there(dir, "report/tables/layers-cell-7.html"));
    assert_true(is_there(dir, "report/tables/layers-cell-7.csv"));
    lb_free(index);
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(provenance_of_thousands),
                                       cmocka_unit_test(layers_in_pages_of_their_own)};
    return cmocka_run_group_tests_name("reports of many cells", tests, NULL, NULL);
}

/* Rows and cells by name: labels over seeds, cells alone, files; and what is said when nothing is called so. */
#include <string.h>

#include "report/view.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_results *results;
static lb_arena *arena;
static lb_report_view view;

static int setup(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    assert_ok(lb_arena_new(0, &arena));
    synthetic_results_labels(results);
    assert_ok(lb_report_view_make(arena, results, NULL, &view));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    synthetic_results_free(results);
    return 0;
}

static const lb_report_row *find(const char *name, const lb_record **cell) {
    const lb_report_row *row = NULL;
    *cell = NULL;
    assert_ok(lb_report_find_row(&view, name, &row, cell));
    return row;
}

static void a_row_is_its_seeds(void **state) {
    (void)state;
    const lb_record *cell;
    const lb_report_row *row = find("gptq 2b g64", &cell);
    assert_non_null(row);
    assert_null(cell);
    assert_int_equal(row->cells, 3);
    assert_ptr_equal(find(row->short_name, &cell), row);
    for (int64_t i = 0; i < 3; i++) {
        assert_ptr_equal(find(row->cell[i]->label, &cell), row);
        assert_ptr_equal(cell, row->cell[i]);
        assert_ptr_equal(find(row->cell[i]->stem, &cell), row);
        assert_ptr_equal(cell, row->cell[i]);
    }
}

static void every_cell_has_its_place(void **state) {
    (void)state;
    const lb_record *cell;
    int64_t at, without = 0;
    for (int64_t i = 0; i < results->n; i++) {
        const lb_record *c = &results->record[i];
        const lb_report_row *row = find(c->stem, &cell);
        assert_ptr_equal(cell, c);
        assert_true(!row == (c->state != LB_CELL_DONE));
        without += !row;
        assert_ok(lb_report_find_cell(results, c->stem, &at));
        assert_int_equal(at, i);
    }
    assert_int_equal(without, 2);
}

static void fails(const char *name, const char *has, const char *has_not) {
    const lb_report_row *row;
    const lb_record *cell;
    assert_status(LB_E_ARG, lb_report_find_row(&view, name, &row, &cell));
    assert_error_has(has);
    if (has_not) assert_null(strstr(lb_error(), has_not));
}

static void what_was_meant(void **state) {
    (void)state;
    int64_t at;
    fails("gptq 2b g46", "has no cell 'gptq 2b g46': did you mean 'gptq 2b g64' (3 seeds)?", "rtn");
    /* nothing near among gptq's: they are listed, and "rtn 2b row" is no correction */
    fails("gptq 9b", "of gptq there is 'gptq 2b g64' (3 seeds), ", "rtn");
    /* "rtn 2b g48" is as near, but of another method */
    fails("nf4 2b g48", "did you mean 'nf4 4b g64'?", "rtn");
    fails("gtpq 2b g64", "did you mean 'gptq 2b g64' (3 seeds)?", NULL);
    fails("something else", "there is 'none', ", "of something");
    fails("awq 2b g64", "has no cell 'awq 2b g64': there is 'none', ", "did you mean"); /* no method is near */
    fails("GPTQ 2b G64", "did you mean 'gptq 2b g64' (3 seeds)?", NULL);
    fails("gptq 2b", "has no cell 'gptq 2b': there is 'gptq 2b g64' (3 seeds)", "gptq 3b");
    assert_status(LB_E_ARG, lb_report_find_cell(results, "gptq 2b g64", &at));
    assert_error_has("'gptq 2b g64' is 3 cells, one a seed: name one: 'gptq 2b g64 s0', 'gptq 2b g64 s1', ");
}

/* Two models' cells of one name: the file tells them apart. */
static void two_models(void **state) {
    (void)state;
    lb_report_view v;
    const lb_report_row *row;
    const lb_record *cell;
    lb_record both[4] = {results->record[0], results->record[1], results->record[0], results->record[1]};
    lb_results r = *results;
    for (int i = 0; i < 4; i++) both[i].model = i < 2 ? "a" : "b";
    both[2].stem = "other-none", both[3].stem = "other";
    r.record = both, r.n = 4;
    assert_ok(lb_report_view_make(arena, &r, NULL, &v));
    assert_status(LB_E_ARG, lb_report_find_row(&v, both[1].label, &row, &cell));
    assert_error_has("name one by its file: ");
    assert_error_has("or 'other'");
    assert_ok(lb_report_find_row(&v, "other", &row, &cell));
    assert_ptr_equal(cell, &both[3]);
}

/* What the index alone knows of a cell. */
static void lose(lb_record *c) {
    *c = (lb_record){.state = LB_CELL_MISSING,
                     .message = "",
                     .key = "",
                     .stem = c->stem,
                     .label = c->label,
                     .method = c->method,
                     .storage = "",
                     .propagate = "",
                     .config = "",
                     .folder = c->folder,
                     .bits = c->bits,
                     .group = c->group,
                     .seed = c->seed,
                     .options = c->options,
                     .varied = c->varied};
}

/* A row knows the seeds that have no result, and none of another entry's. */
static void lost_seeds(void **state) {
    (void)state;
    const lb_record *cell;
    const lb_report_row *row = find("gptq 2b g64", &cell);
    assert_int_equal(row->lost, 0);
    lb_record *last = &results->record[row->cell[2] - results->record];
    lb_record *second = &results->record[row->cell[1] - results->record];
    lose(last);
    assert_ok(lb_report_view_make(arena, results, NULL, &view));
    row = find("gptq 2b g64", &cell);
    assert_int_equal(row->cells, 2);
    assert_int_equal(row->lost, 1);
    lose(second);
    assert_ok(lb_report_view_make(arena, results, NULL, &view));
    row = find("gptq 2b g64", &cell);
    assert_int_equal(row->cells, 1);
    assert_int_equal(row->lost, 2);
    assert_ptr_equal(find("gptq 2b g64 s0", &cell), row); /* the seed that is left still has its name */
    second->label = "gptq 2b g64 s1 *.down bits=8";
    last->label = "gptq 2b g64";
    assert_ok(lb_report_view_make(arena, results, NULL, &view));
    row = find("gptq 2b g64 s0", &cell);
    assert_int_equal(row->lost, 0);
    for (int64_t i = 0; i < results->n; i++) { /* of a whole sweep of single seeds */
        const char *method = results->record[i].method;
        if (&results->record[i] != row->cell[0] && strcmp(method, "gptq") == 0) lose(&results->record[i]);
    }
    second->label = "gptq 2b g64 s1";
    assert_ok(lb_report_view_make(arena, results, NULL, &view));
    assert_true(view.seeds);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_its_seeds), cmocka_unit_test(every_cell_has_its_place),
        cmocka_unit_test(what_was_meant),     cmocka_unit_test(two_models),
        cmocka_unit_test(lost_seeds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

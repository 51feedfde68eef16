/* Several sweeps as one report: rows that one name would call get what differs, baselines once, models by weights. */
#include <stdio.h>
#include <string.h>

#include "report/parts.h"
#include "report/significance.h"
#include "report/view.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_arena *arena;
static lb_results *one, *other, both;

static void set(lb_record *c, const char *key, const char *value) {
    lb_pairs with = {0};
    for (int64_t i = 0; i < c->provenance.n; i++)
        if (strcmp(c->provenance.at[i].key, key) != 0)
            assert_ok(lb_pairs_add(arena, &with, c->provenance.at[i].key, c->provenance.at[i].value));
    assert_ok(lb_pairs_add(arena, &with, key, value));
    c->provenance = with;
}

static lb_record *of_other(void) { return both.record + one->n; }

/* The same sweep twice, from folders "a" and "b". */
static int setup(void **state) {
    (void)state;
    assert_ok(lb_arena_new(0, &arena));
    one = synthetic_results_new(SYNTHETIC_SWEEP, "results/a");
    other = synthetic_results_new(SYNTHETIC_SWEEP, "results/b");
    both = *one;
    both.n = one->n + other->n;
    both.record = LB_NEW(arena, lb_record, both.n);
    assert_non_null(both.record);
    memcpy(both.record, one->record, (size_t)one->n * sizeof *both.record);
    memcpy(of_other(), other->record, (size_t)other->n * sizeof *both.record);
    for (int64_t i = 0; i < both.n; i++) {
        lb_record *c = &both.record[i];
        bool second = i >= one->n;
        c->folder = second ? "b" : "a";
        if (second) c->stem = lb_arena_printf(arena, "%s-b", c->stem);
        assert_non_null(c->stem);
        if (c->state == LB_CELL_DONE) set(c, "model_sha256", "aaaaaaaa11112222");
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    synthetic_results_free(one);
    synthetic_results_free(other);
    return 0;
}

static void view_of(const lb_results *r, lb_report_view *v) { assert_ok(lb_report_view_make(arena, r, NULL, v)); }

static void all_names_differ(const lb_report_view *v) {
    for (int64_t i = 0; i < v->rows; i++)
        for (int64_t k = 0; k < i; k++)
            if (strcmp(v->row[i].short_name, v->row[k].short_name) == 0 ||
                strcmp(v->row[i].label, v->row[k].label) == 0)
                fail_msg("two rows: %s (%s), %s", v->row[i].short_name, v->row[i].label, v->row[k].label);
}

static int64_t named_so(const lb_report_view *v, const char *end) {
    int64_t n = 0;
    for (int64_t i = 0; i < v->rows; i++) n += lb_str_ends(v->row[i].short_name, end);
    return n;
}

/* In tables. */
static int64_t shown_so(const lb_report_view *v, const char *end) {
    int64_t n = 0;
    for (int64_t i = 0; i < v->rows; i++) n += lb_str_ends(v->row[i].name, end);
    return n;
}

static void texts(const char *a, const char *b) {
    for (int64_t i = 0; i < both.n; i++) set(&both.record[i], "calibration", i < one->n ? a : b);
}

/* One baseline; every other row twice, by its calibration text, paths by their ends. */
static void told_apart_by_what_differs(void **state) {
    (void)state;
    lb_report_view v, alone;
    view_of(one, &alone);
    texts("wiki", "x/stories.txt");
    view_of(&both, &v);
    assert_int_equal(v.rows, 2 * alone.rows - 1);
    assert_int_equal(v.models, 1);
    assert_int_equal(v.blocks, alone.blocks);
    all_names_differ(&v);
    assert_int_equal(named_so(&v, " on wiki"), alone.rows - 1);
    assert_int_equal(named_so(&v, " on stories.txt"), alone.rows - 1);
    assert_string_equal(v.row[0].short_name, "none");
    texts("x/t.txt", "y/t.txt"); /* ends that do not tell */
    view_of(&both, &v);
    assert_int_equal(named_so(&v, " on y/t.txt"), alone.rows - 1);
}

static void told_apart_by_the_folder(void **state) {
    (void)state;
    lb_report_view v, alone;
    view_of(one, &alone);
    texts("wiki", "wiki");
    view_of(&both, &v);
    all_names_differ(&v);
    assert_int_equal(named_so(&v, " in b"), alone.rows - 1);
}

/* Another evaluation of the same cells, whose baselines are two then; a key that no column shows. */
static void told_apart_by_what_was_evaluated(void **state) {
    (void)state;
    lb_report_view v, alone;
    view_of(one, &alone);
    texts("wiki", "wiki");
    for (int64_t i = one->n; i < both.n; i++)
        if (both.record[i].evals) both.record[i].eval[0].eval.windows = 3;
    view_of(&both, &v);
    assert_int_equal(v.rows, 2 * alone.rows);
    all_names_differ(&v);
    assert_int_equal(named_so(&v, " windows=3+12"), alone.rows);
    assert_int_equal(shown_so(&v, " windows=3+12"), alone.rows); /* the other evaluation has both in one table */
    for (int64_t i = one->n; i < both.n; i++)
        for (int64_t e = 0; e < both.record[i].evals; e++) both.record[i].eval[e].eval.windows = 3;
    view_of(&both, &v);
    assert_int_equal(v.rows, 2 * alone.rows);
    all_names_differ(&v);
    assert_int_equal(named_so(&v, " windows=3"), alone.rows);
    assert_int_equal(shown_so(&v, " windows=3"), 0); /* no table has both, and its title says it */
    for (int64_t i = 0; i < other->n; i++)
        for (int64_t e = 0; e < both.record[i].evals; e++)
            of_other()[i].eval[e].eval.windows = one->record[i].eval[e].eval.windows;
    for (int64_t i = 0; i < both.n; i++)
        both.record[i].config =
            i < one->n ? "calibration:\n  original_errors: true\n" : "calibration:\n  original_errors: false\n";
    view_of(&both, &v);
    all_names_differ(&v);
    assert_int_equal(named_so(&v, " no_original_errors"), alone.rows - 1);
    for (int64_t i = 0; i < both.n; i++)
        both.record[i].config = i < one->n ? one->record[i].config : other->record[i - one->n].config;
}

/* A sweep alone has the names that it always had. */
static void one_sweep_is_as_it_was(void **state) {
    (void)state;
    lb_report_view v, plain;
    lb_results r = both;
    r.n = one->n;
    texts("wiki", "wiki");
    view_of(&r, &v);
    view_of(one, &plain);
    assert_int_equal(v.rows, plain.rows);
    for (int64_t i = 0; i < v.rows; i++) {
        assert_string_equal(v.row[i].name, plain.row[i].name);
        assert_string_equal(v.row[i].short_name, plain.row[i].short_name);
        assert_string_equal(v.row[i].series, plain.row[i].series);
    }
}

/* What one sweep varied and the other one held is said of both. */
static void held_in_one_sweep(void **state) {
    (void)state;
    lb_report_view v;
    int64_t with = 0, cells = 0;
    texts("wiki", "wiki");
    lb_pairs kept[64];
    assert_true(other->n <= 64);
    for (int64_t i = 0; i < other->n; i++) {
        lb_record *c = &of_other()[i];
        lb_pairs options = {0};
        kept[i] = c->options;
        c->varied = (lb_pairs){0};
        for (int64_t k = 0; k < c->options.n; k++) {
            bool order = strcmp(c->options.at[k].key, "act_order") == 0;
            assert_ok(lb_pairs_add(arena, &options, c->options.at[k].key, order ? "false" : c->options.at[k].value));
        }
        c->options = options;
    }
    view_of(&both, &v);
    all_names_differ(&v);
    for (int64_t i = 0; i < v.rows; i++) {
        const lb_record *c = v.row[i].cell[0];
        if (strcmp(c->folder, "b") != 0 || strcmp(c->method, "gptq") != 0) continue;
        cells++, with += strstr(v.row[i].name, "no_act_order") != NULL;
    }
    assert_true(cells > 0);
    assert_int_equal(with, cells);
    for (int64_t i = 0; i < other->n; i++) {
        of_other()[i].options = kept[i];
        of_other()[i].varied = other->record[i].varied;
    }
}

/* Seeds of two sweeps are one row: what an experiment is called and where its texts lie is not what it computes. */
static void seeds_of_two_sweeps(void **state) {
    (void)state;
    lb_report_view v;
    lb_record two[2] = {both.record[1], both.record[1]};
    lb_results r = both;
    static const struct {
        const char *a, *b;
        int64_t rows;
    } of[] = {
        {"name: a\nmodel: x/m # sha256 12\nseed: 0\n", "name: b\nmodel: y/m # sha256 12\nseed: 1\n", 1},
        {"name: a\nmodel: x/m # sha256 12\n", "name: a\nmodel: x/m # sha256 13\n", 2},
        {"eval:\n    name: a\n", "eval:\n    name: b\n", 2},
        {"text: x/m # sha256 12\n", "model: x/m # sha256 12\n", 2},
        {"bits: 3\n", "bits: 3\nmse: true\n", 2},
        {"bits: 3\n", "bits: 4\n", 2},
    };
    texts("wiki", "wiki");
    two[0] = two[1] = both.record[1];
    two[1].seed = two[0].seed + 1, two[1].folder = "b";
    r.record = two, r.n = 2;
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        two[0].config = of[i].a, two[1].config = of[i].b;
        view_of(&r, &v);
        assert_int_equal(v.rows, of[i].rows);
    }
}

/* Weights decide, not names: two names of one model are one, one name of two models is two. */
static void models_by_weights(void **state) {
    (void)state;
    lb_report_view v;
    lb_str s = {0};
    texts("wiki", "stories");
    for (int64_t i = 0; i < both.n; i++) both.record[i].model = i < one->n ? "m" : "copies/m";
    view_of(&both, &v);
    assert_int_equal(v.models, 1);
    for (int64_t i = 0; i < both.n; i++) {
        both.record[i].model = "m";
        if (i >= one->n && both.record[i].state == LB_CELL_DONE) set(&both.record[i], "model_sha256", "bbbbbbbb3333");
    }
    view_of(&both, &v);
    assert_int_equal(v.models, 2);
    for (int m = 0; m < 2; m++) { /* failed cells are with their folder's */
        assert_int_equal(v.model[m].r->n, one->n);
        for (int64_t i = 0; i < one->n; i++) assert_string_equal(v.model[m].r->record[i].folder, m ? "b" : "a");
    }
    assert_string_equal(v.model[1].r->model_name, "m (bbbbbbbb)");
    assert_ok(lb_report_main_tables(&v, LB_TABLE_CSV, &s));
    assert_non_null(strstr(s.s, "\nm (aaaaaaaa),"));
    assert_non_null(strstr(s.s, "\nm (bbbbbbbb),"));
    lb_str_free(&s);
    /* in one folder two names are two models, whatever they weigh */
    for (int64_t i = 0; i < both.n; i++) {
        if (both.record[i].state == LB_CELL_DONE) set(&both.record[i], "model_sha256", "aaaaaaaa1111");
        both.record[i].folder = "a";
        both.record[i].model = i < one->n ? "m" : "copy";
    }
    view_of(&both, &v);
    assert_int_equal(v.models, 2);
    for (int64_t i = 0; i < both.n; i++) {
        both.record[i].folder = i < one->n ? "a" : "b";
        both.record[i].model = NULL;
    }
}

/* One model may lack the row that differences are to, but not all of them. */
static void reference_of_one_model(void **state) {
    (void)state;
    lb_report_options o = {.reference = "only here"};
    lb_report_row row;
    lb_report_view v;
    lb_record *only = &of_other()[1];
    bool has;
    for (int64_t i = 0; i < both.n; i++)
        if (both.record[i].state == LB_CELL_DONE)
            set(&both.record[i], "model_sha256", i < one->n ? "aaaaaaaa1111" : "bbbbbbbb3333");
    assert_status(LB_E_ARG, lb_report_view_make(arena, &both, &o, &v));
    assert_error_has("no cell 'only here'");
    only->label = "only here";
    assert_ok(lb_report_view_make(arena, &both, &o, &v));
    assert_int_equal(v.models, 2);
    assert_ok(lb_report_reference_of(&v.model[0], &row, &has));
    assert_false(has);
    assert_ok(lb_report_reference_of(&v.model[1], &row, &has));
    assert_true(has && row.cell[0] == &v.model[1].r->record[1]);
    lb_report_quality q = {.has_delta = true};
    assert_ok(lb_report_to_reference(&v.model[0], v.model[0].block, &v.model[0].row[2], &q));
    assert_false(q.has_delta);
    assert_ok(lb_report_to_reference(&v.model[1], v.model[1].block, &v.model[1].row[2], &q));
    assert_true(q.has_delta);
    only->label = other->record[1].label;
    for (int64_t i = 0; i < both.n; i++)
        if (both.record[i].state == LB_CELL_DONE) set(&both.record[i], "model_sha256", "aaaaaaaa1111");
}

/* Baselines that were evaluated on different things are each in the block of theirs, and in no block twice; one that
 * another has all of is left out. */
static void baseline_of_each_block(void **state) {
    (void)state;
    lb_report_view v;
    lb_record *base = &both.record[0], *again = of_other();
    lb_eval_row *own = again->eval, changed[2];
    texts("wiki", "wiki");
    assert_true(strcmp(base->method, "none") == 0 && base->evals == 2 && again->evals == 2);
    changed[0] = own[1], changed[1] = own[0];
    changed[1].name = "third";
    again->eval = changed;
    view_of(&both, &v);
    assert_true(v.row[0].baseline && v.row[1].baseline && !v.row[2].baseline);
    assert_int_equal(v.blocks, 3);
    for (int64_t b = 0; b < 3; b++) {
        int shown = 0, of = 0;
        for (int64_t i = 0; i < 2; i++) {
            bool has = lb_report_eval(v.row[i].cell[0], &v.block[b]) != NULL;
            of += has, shown += has && !lb_report_is_repeated(&v, &v.row[i], &v.block[b]);
        }
        assert_int_equal(shown, 1);
        assert_int_equal(of, b == 1 ? 2 : 1);
        lb_report_quality q; /* over seeds, to the baseline that has this evaluation */
        for (int64_t i = 2; i < v.rows; i++) {
            assert_ok(lb_report_quality_of(&v, &v.row[i], &v.block[b], &q));
            assert_true(!q.seeds || q.has_delta);
        }
    }
    lb_str s = {0};
    assert_ok(lb_report_main_tables(&v, LB_TABLE_MARKDOWN, &s));
    int baselines = 0;
    for (const char *p = s.s; (p = strstr(p, "| none (baseline) |")); p++) baselines++;
    assert_int_equal(baselines, 3);
    lb_str_free(&s);
    again->eval = own;
    /* the first one has one evaluation of the other's two */
    base->evals = 1;
    view_of(&both, &v);
    assert_true(v.row[0].baseline && v.row[0].cell[0] == again && !v.row[1].baseline);
    base->evals = 2;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_apart_by_what_differs),
        cmocka_unit_test(told_apart_by_the_folder),
        cmocka_unit_test(told_apart_by_what_was_evaluated),
        cmocka_unit_test(one_sweep_is_as_it_was),
        cmocka_unit_test(held_in_one_sweep),
        cmocka_unit_test(seeds_of_two_sweeps),
        cmocka_unit_test(models_by_weights),
        cmocka_unit_test(baseline_of_each_block),
        cmocka_unit_test(reference_of_one_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

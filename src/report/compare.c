/* Differences of all rows of a model to one of them, or to one cell, over the windows that both scored. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/parts.h"
#include "report/significance.h"
#include "report/tasks_table.h"

#define DELTA "\xce\x94"

enum column {
    C_EVAL,
    C_PROTOCOL,
    C_WINDOWS,
    C_CELL,
    C_SEEDS,
    C_BPW,
    C_ACC,
    C_PPL,
    C_PPL_CSV,
    C_DELTA,
    C_DELTA_CSV,
    C_LOW,
    C_HIGH,
    C_SEEDS_CSV,
    C_P,
    C_HOLM,
    COLUMNS
};

static const lb_table_column column[COLUMNS] = {
    [C_EVAL] = {.head = "evaluation", .name = "evaluation", .priority = 1},
    [C_PROTOCOL] = {.head = "protocol", .name = "protocol", .priority = 6},
    [C_WINDOWS] = {.head = "windows", .name = "windows", .right = true, .priority = 7},
    [C_CELL] = {.head = "cell", .name = "cell", .key = true},
    [C_SEEDS] = {.head = "seeds", .right = true, .priority = 6},
    [C_BPW] = {.head = "b/w", .name = "bits_per_weight", .right = true, .priority = 8},
    [C_ACC] = {.head = "acc %", .name = "acc", .right = true, .optional = true, .priority = 5},
    [C_PPL] = {.head = "PPL", .right = true, .priority = 5},
    [C_PPL_CSV] = {.name = "ppl"},
    [C_DELTA] = {.head = DELTA " ln PPL [95 %]", .right = true, .priority = 2},
    [C_DELTA_CSV] = {.name = "delta_ln_ppl"},
    [C_LOW] = {.name = "delta_low"},
    [C_HIGH] = {.name = "delta_high"},
    [C_SEEDS_CSV] = {.name = "seeds"},
    [C_P] = {.head = "p", .name = "p", .right = true, .priority = 3},
    [C_HOLM] = {.head = "p (Holm)", .name = "p_holm", .right = true, .optional = true, .priority = 4},
};

typedef struct comparison {
    const lb_report_view *v;
    lb_report_row to; /* the row, or one cell of it */
    const char *title;
    lb_report_block *block; /* those that it was evaluated in, with the rows of other products */
    int64_t *n;             /* (blocks) comparisons */
    int64_t blocks;
    bool siblings; /* one seed of several was named, and there are others */
} comparison;

/* One title names the only evaluation. */
static lb_status add_row(lb_table *t, const comparison *x, const lb_report_block *b, const lb_report_row *row,
                         const lb_contrast *d, double adjusted, bool differs) {
    lb_report_quality q;
    bool one = x->blocks == 1;
    LB_TRY(lb_report_quality_of(x->v, row, b, &q));
    lb_table_row(t);
    lb_num windows = lb_num_int(d->d.windows), seeds = lb_num_int(d->seeds);
    lb_num delta = lb_num_interval(d->d.delta, d->d.low, d->d.high), shown = delta;
    if (differs) snprintf(shown.s, sizeof shown.s, "%.45s *", delta.s);
    lb_table_set(t, C_EVAL, one ? NULL : b->eval->name, b->eval->name);
    lb_table_set(t, C_PROTOCOL, one ? NULL : b->eval->eval.protocol.id, b->eval->eval.protocol.id);
    lb_table_set(t, C_WINDOWS, one ? NULL : windows.s, windows.s);
    lb_table_set(t, C_CELL, row->label, row->label);
    lb_table_set(t, C_SEEDS, x->v->seeds && !row->baseline ? seeds.s : NULL, NULL);
    double bpw = lb_size_bits(&row->cell[0]->size.quantized);
    lb_table_set(t, C_BPW, lb_num_fixed(bpw, 3).s, lb_num_exact(bpw).s);
    if (q.task.has) lb_table_set(t, C_ACC, lb_num_fixed(100 * q.task.acc, 2).s, lb_num_exact(q.task.acc).s);
    lb_table_set(t, C_PPL, lb_num_ppl(q.ppl).s, NULL);
    lb_table_set(t, C_PPL_CSV, NULL, lb_num_exact(q.ppl).s);
    lb_table_set(t, C_DELTA, shown.s, NULL);
    lb_table_set(t, C_DELTA_CSV, NULL, lb_num_exact(d->d.delta).s);
    lb_table_set(t, C_LOW, NULL, lb_num_exact(d->d.low).s);
    lb_table_set(t, C_HIGH, NULL, lb_num_exact(d->d.high).s);
    lb_table_set(t, C_SEEDS_CSV, NULL, seeds.s);
    lb_table_set(t, C_P, lb_num_sci(d->p, 2).s, lb_num_exact(d->p).s);
    if (x->v->options->adjust == LB_ADJUST_HOLM)
        lb_table_set(t, C_HOLM, lb_num_sci(adjusted, 2).s, lb_num_exact(adjusted).s);
    return LB_OK;
}

/* The other seeds of the row that the cell is of, each alone. They are no comparison of methods, and not counted. */
static lb_status add_siblings(lb_table *t, const comparison *x, const lb_report_block *b, const lb_report_row *row) {
    for (int64_t k = 0; k < row->cells && x->to.cells == 1; k++) {
        lb_report_row one = *row;
        lb_contrast d;
        bool has;
        one.cell = &row->cell[k], one.cells = 1, one.label = row->cell[k]->label;
        if (row->cell[k] == x->to.cell[0]) continue;
        LB_TRY(lb_report_contrast(x->v, b, &one, &x->to, &d, &has));
        if (has) LB_TRY(add_row(t, x, b, &one, &d, NAN, false));
    }
    return LB_OK;
}

static lb_status fill(lb_table *t, comparison *x) {
    for (int64_t i = 0; i < x->blocks; i++) {
        const lb_report_block *b = &x->block[i];
        lb_report_marks m;
        LB_TRY(lb_report_marks_of(x->v, b, &x->to, &m));
        for (int64_t k = 0; k < x->v->rows; k++) {
            const lb_report_row *row = &x->v->row[k];
            if (lb_report_has_cell(row, x->to.cell[0])) {
                LB_TRY(add_siblings(t, x, b, row));
            } else if (lb_report_compared(&m, k)) {
                bool differs = x->v->options->significant && lb_report_differs(&m, k);
                x->n[i]++;
                LB_TRY(add_row(t, x, b, row, &m.of_row[k], m.adjusted ? m.adjusted[k] : NAN, differs));
            }
        }
    }
    return LB_OK;
}

/* What the name stands for, and where it was evaluated. */
static lb_status find(const lb_report_view *v, const char *label, comparison *x) {
    *x = (comparison){.v = v};
    LB_TRY(lb_report_find_side(v, label, &x->to, &x->siblings));
    x->block = LB_NEW(v->arena, lb_report_block, v->blocks + 1);
    x->n = LB_NEW(v->arena, int64_t, v->blocks + 1);
    if (!x->block || !x->n) return LB_E_NOMEM;
    for (int64_t b = 0; b < v->blocks; b++) {
        bool has = false;
        for (int64_t k = 0; k < x->to.cells; k++) has |= lb_report_eval(x->to.cell[k], &v->block[b]) != NULL;
        if (!has) continue;
        x->block[x->blocks] = v->block[b];
        x->block[x->blocks++].either = true;
    }
    return LB_OK;
}

static lb_status make_title(comparison *x) {
    char seeds[32] = "", measured[64];
    lb_report_quality q;
    const lb_eval_row *e = x->block[0].eval;
    if (x->to.cells > 1) snprintf(seeds, sizeof seeds, " (%lld seeds)", (long long)x->to.cells);
    LB_TRY(lb_report_quality_of(x->v, &x->to, &x->block[0], &q));
    if (q.task.has)
        snprintf(measured, sizeof measured, "accuracy %.20s %%", lb_num_fixed(100 * q.task.acc, 2).s);
    else
        snprintf(measured, sizeof measured, "PPL %.40s", lb_num_ppl(q.ppl).s);
    if (x->blocks > 1)
        x->title = lb_arena_printf(x->v->arena, "Differences to %s%s: below 0 is better than it", x->to.label, seeds);
    else
        x->title = lb_arena_printf(x->v->arena, "Differences to %s%s on %s, %s, %lld %s (%s): below 0 is better",
                                   x->to.label, seeds, e->name, e->eval.protocol.id, (long long)e->eval.windows,
                                   lb_report_windows_name(&x->block[0]), measured);
    return x->title ? LB_OK : LB_E_NOMEM;
}

static lb_status notes(const comparison *x, lb_table_format f, lb_str *out) {
    const char *over =
        x->v->seeds
            ? ", of rows over several seeds over those too: seed by seed where both have the same. A row of one "
              "seed says nothing about other seeds"
            : "";
    const char *what =
        lb_arena_printf(x->v->arena,
                        DELTA " ln PPL: mean difference of the negative log-likelihood (nats) over the "
                              "same windows, with a 95 %% interval by moving-block bootstrap%s. p: of no "
                              "difference, two-sided.",
                        over);
    lb_str text = {0};
    if (!what) return LB_E_NOMEM;
    lb_markup_paragraph(out, f, what);
    lb_status st = lb_report_comparisons_text(x->v->options, x->n, x->blocks, x->to.label, &text);
    if (st == LB_OK && x->siblings) lb_str_add(&text, " Seeds of one row are not counted among them.");
    if (st == LB_OK) st = lb_str_check(&text);
    if (st == LB_OK) lb_markup_paragraph(out, f, text.s);
    lb_str_free(&text);
    return st;
}

static lb_status compare(lb_arena *a, const lb_results *r, const char *label, const lb_report_options *o,
                         lb_table_format f, lb_str *out) {
    lb_report_view v;
    comparison x;
    lb_table *t;
    LB_TRY(lb_report_view_make(a, r, o, &v));
    LB_TRY(find(&v, label, &x));
    LB_TRY(make_title(&x));
    LB_TRY(lb_table_new(a, "compare", x.title, column, COLUMNS, &t));
    LB_TRY(fill(t, &x));
    t->wide = v.options->wide;
    t->paper = true, t->latex = v.options->latex, t->siunitx = v.options->siunitx;
    LB_TRY(lb_table_render(t, f, out));
    return f == LB_TABLE_CSV || f == LB_TABLE_LATEX ? LB_OK : notes(&x, f, out);
}

lb_status lb_report_compare_table(const lb_results *r, const char *label, const lb_report_options *o, lb_table_format f,
                                  lb_str *out) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = compare(a, r, label, o, f, out);
    lb_arena_free(a);
    return st;
}

/* Differences of all cells of a model to one of them, over the windows that both scored. */
#include <math.h>
#include <string.h>

#include "report/parts.h"

#define DELTA "\xce\x94"

enum column {
    C_EVAL,
    C_PROTOCOL,
    C_WINDOWS,
    C_CELL,
    C_BPW,
    C_PPL,
    C_PPL_CSV,
    C_DELTA,
    C_DELTA_CSV,
    C_LOW,
    C_HIGH,
    COLUMNS
};

static const lb_table_column column[COLUMNS] = {
    [C_EVAL] = {.head = "evaluation", .name = "evaluation"},
    [C_PROTOCOL] = {.head = "protocol", .name = "protocol"},
    [C_WINDOWS] = {.head = "windows", .name = "windows", .right = true},
    [C_CELL] = {.head = "cell", .name = "cell", .key = true},
    [C_BPW] = {.head = "b/w", .name = "bits_per_weight", .right = true},
    [C_PPL] = {.head = "PPL", .right = true},
    [C_PPL_CSV] = {.name = "ppl"},
    [C_DELTA] = {.head = DELTA " ln PPL [95 %]", .right = true},
    [C_DELTA_CSV] = {.name = "delta_ln_ppl"},
    [C_LOW] = {.name = "delta_low"},
    [C_HIGH] = {.name = "delta_high"},
};

/* Two evaluations whose windows pair. */
static bool pair(const lb_eval_row *a, const lb_eval_row *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->text_hash, b->text_hash) == 0 && strcmp(a->bos, b->bos) == 0 &&
           strcmp(a->eval.protocol.id, b->eval.protocol.id) == 0 && a->eval.windows == b->eval.windows;
}

/* one: the title names the only evaluation. */
static lb_status add_row(lb_table *t, const lb_record *c, const lb_eval_row *e, const lb_eval_row *to, bool one) {
    lb_paired p;
    LB_TRY(lb_paired_difference(e->eval.window_nll, to->eval.window_nll, e->eval.windows, &p));
    lb_table_row(t);
    lb_num windows = lb_num_int(e->eval.windows);
    lb_table_set(t, C_EVAL, one ? NULL : e->name, e->name);
    lb_table_set(t, C_PROTOCOL, one ? NULL : e->eval.protocol.id, e->eval.protocol.id);
    lb_table_set(t, C_WINDOWS, one ? NULL : windows.s, windows.s);
    lb_table_set(t, C_CELL, c->label, c->label);
    double bpw = lb_size_bits(&c->size.quantized);
    lb_table_set(t, C_BPW, lb_num_fixed(bpw, 3).s, lb_num_exact(bpw).s);
    lb_table_set(t, C_PPL, lb_num_ppl(e->eval.ppl).s, NULL);
    lb_table_set(t, C_PPL_CSV, NULL, lb_num_exact(e->eval.ppl).s);
    lb_table_set(t, C_DELTA, lb_num_interval(p.delta, p.low, p.high).s, NULL);
    lb_table_set(t, C_DELTA_CSV, NULL, lb_num_exact(p.delta).s);
    lb_table_set(t, C_LOW, NULL, lb_num_exact(p.low).s);
    lb_table_set(t, C_HIGH, NULL, lb_num_exact(p.high).s);
    return LB_OK;
}

static lb_status fill(lb_table *t, const lb_results *r, int64_t cell) {
    const lb_record *base = &r->record[cell];
    for (int64_t e = 0; e < base->evals; e++)
        for (int64_t i = 0; i < r->n; i++) {
            const lb_record *c = &r->record[i];
            if (!lb_report_same_model(c, base)) continue;
            for (int64_t k = 0; i != cell && k < c->evals; k++)
                if (pair(&c->eval[k], &base->eval[e]))
                    LB_TRY(add_row(t, c, &c->eval[k], &base->eval[e], base->evals == 1));
        }
    return LB_OK;
}

lb_status lb_report_compare_table(const lb_results *r, const char *label, const lb_report_options *o, lb_table_format f,
                                  lb_str *out) {
    int64_t cell;
    LB_TRY(lb_report_find_cell(r, label, &cell));
    const lb_record *base = &r->record[cell];
    lb_arena *a = NULL;
    lb_table *t = NULL;
    if (base->evals == 0)
        return lb_fail(LB_E_ARG, "cell '%s' has no evaluation to compare with: %s", base->label,
                       base->message[0] ? base->message : "the config has none");
    LB_TRY(lb_arena_new(0, &a));
    const lb_eval_row *e = &base->eval[0];
    const char *title =
        base->evals > 1
            ? lb_arena_printf(a, "Differences to %s: below 0 is better than it", base->label)
            : lb_arena_printf(a, "Differences to %s on %s, %s, %lld windows (PPL %s): below 0 is better", base->label,
                              e->name, e->eval.protocol.id, (long long)e->eval.windows, lb_num_ppl(e->eval.ppl).s);
    lb_status st = title ? lb_table_new(a, "compare", title, column, COLUMNS, &t) : LB_E_NOMEM;
    if (st == LB_OK) st = fill(t, r, cell);
    if (st == LB_OK) st = lb_table_render(t, f, out);
    if (st == LB_OK && f != LB_TABLE_CSV)
        lb_markup_paragraph(out, f,
                            DELTA
                            " ln PPL: mean difference of the negative log-likelihood (nats) over the same windows, "
                            "with a 95 % interval by moving-block bootstrap.");
    lb_report_view v;
    if (st == LB_OK) st = lb_report_view_make(a, r, o, &v);
    if (st == LB_OK && f != LB_TABLE_CSV && v.seeds)
        lb_markup_paragraph(
            out, f, "Each row is one cell, so one seed: what another seed would have given is not in its interval.");
    lb_arena_free(a);
    return st;
}

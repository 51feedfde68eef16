/* The main table: one row a cell (or a cell over its seeds), one block an evaluation; what could not be run, below. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "report/columns.h"
#include "report/facts.h"
#include "report/parts.h"
#include "report/significance.h"
#include "report/tasks_table.h"

#define PM    "\xc2\xb1"
#define DELTA "\xce\x94"
#define TIMES "\xc3\x97"

enum column {
    C_MODEL_CSV, /* of several */
    C_EVAL,
    C_PROTOCOL,
    C_WINDOWS,
    C_COMPUTE_CSV, /* where there are tables of both */
    C_METHOD,
    C_BITS,
    C_GROUP,
    C_RULES_CSV, /* where some row has any */
    C_BPW,
    C_SIZE,
    C_RATIO,
    C_ACC, /* of tasks */
    C_ACC_SE_CSV,
    C_NORM,
    C_NORM_SE_CSV,
    C_PPL_BRIEF,
    C_PPL,
    C_PPL_CSV,
    C_SE_CSV,
    C_DELTA_BRIEF,
    C_DELTA,
    C_DELTA_CSV,
    C_LOW_CSV,
    C_HIGH_CSV,
    C_ACC_DELTA, /* of tasks */
    C_MCNEMAR,
    C_NORM_DELTA_CSV,
    C_MCNEMAR_NORM_CSV,
    C_SEEDS,
    C_SD,
    C_PPL_MEAN_CSV,
    C_PPL_SD_CSV,
    C_KL,
    C_TOP1,
    C_ACCEPT, /* where speculative decoding was asked for */
    C_SPEEDUP,
    C_REL,
    C_RTN,
    C_OWN,
    C_OWN_RTN,
    C_TIME,
    C_FLAGS,
    C_P_CSV, /* where differences are marked */
    C_HOLM_CSV,
    C_REFERENCE_CSV, /* of differences, if it is not the baseline */
    COLUMNS
};

static const lb_table_column column[COLUMNS] = {
    [C_MODEL_CSV] = {.name = "model", .optional = true},
    [C_EVAL] = {.name = "evaluation"},
    [C_PROTOCOL] = {.name = "protocol"},
    [C_WINDOWS] = {.name = "windows"},
    [C_COMPUTE_CSV] = {.name = "compute", .optional = true},
    [C_METHOD] = {.head = "method", .name = "method", .key = true},
    [C_BITS] = {.head = "bits", .name = "bits", .right = true, .key = true},
    [C_GROUP] = {.head = "group", .name = "group", .right = true, .key = true},
    [C_RULES_CSV] = {.name = "rules", .optional = true},
    [C_BPW] = {.head = "b/w", .name = "bits_per_weight", .right = true, .priority = 4},
    [C_SIZE] = {.head = "MiB", .name = "bytes_fp16_rest", .right = true, .priority = 7},
    [C_RATIO] = {.head = "of fp16", .name = "ratio_fp16", .right = true, .priority = 8},
    [C_ACC] = {.head = "acc % " PM " se", .name = "acc", .right = true, .optional = true, .priority = 1},
    [C_ACC_SE_CSV] = {.name = "acc_se", .optional = true},
    [C_NORM] = {.head = "acc_norm % " PM " se", .name = "acc_norm", .right = true, .optional = true, .priority = 4},
    [C_NORM_SE_CSV] = {.name = "acc_norm_se", .optional = true},
    [C_PPL_BRIEF] = {.head = "PPL", .right = true, .priority = 1, .narrow = true},
    [C_PPL] = {.head = "PPL " PM " se", .right = true, .priority = 5},
    [C_PPL_CSV] = {.name = "ppl"},
    [C_SE_CSV] = {.name = "ppl_se"},
    [C_DELTA_BRIEF] = {.head = DELTA " ln PPL", .right = true, .priority = 2, .narrow = true, .paper = true},
    [C_DELTA] = {.head = DELTA " ln PPL [95 %]", .right = true, .priority = 2},
    [C_DELTA_CSV] = {.name = "delta_ln_ppl"},
    [C_LOW_CSV] = {.name = "delta_low"},
    [C_HIGH_CSV] = {.name = "delta_high"},
    [C_ACC_DELTA] = {.head = DELTA " acc", .name = "delta_acc", .right = true, .optional = true, .priority = 2},
    [C_MCNEMAR] = {.head = "p McNemar", .name = "mcnemar_p", .right = true, .optional = true, .priority = 3},
    [C_NORM_DELTA_CSV] = {.name = "delta_acc_norm", .optional = true},
    [C_MCNEMAR_NORM_CSV] = {.name = "mcnemar_p_norm", .optional = true},
    [C_SEEDS] = {.head = "seeds", .name = "seeds", .right = true, .priority = 3},
    [C_SD] = {.head = "sd ln PPL", .name = "ln_ppl_sd_seeds", .right = true, .priority = 13},
    [C_PPL_MEAN_CSV] = {.name = "ppl_mean_seeds"},
    [C_PPL_SD_CSV] = {.name = "ppl_sd_seeds"},
    [C_KL] = {.head = "KL", .name = "kl", .right = true, .priority = 6},
    [C_TOP1] = {.head = "top-1 %", .name = "top1", .right = true, .priority = 9},
    [C_ACCEPT] = {.head = "accept %", .name = "accept", .right = true, .optional = true, .priority = 3},
    [C_SPEEDUP] = {.head = "speed-up", .name = "speedup", .right = true, .optional = true, .priority = 3},
    [C_REL] = {.head = "rel. MSE", .name = "output_rel_mse_original", .right = true, .panel = 1, .priority = 10},
    [C_RTN] = {.head = TIMES " RTN", .name = "output_vs_rtn_original", .right = true, .panel = 1, .priority = 11},
    [C_OWN] = {.head = "own-H MSE", .name = "output_rel_mse_own", .right = true, .panel = 1, .priority = 14},
    [C_OWN_RTN] = {.head = TIMES " RTN, own", .name = "output_vs_rtn_own", .right = true, .panel = 1, .priority = 15},
    [C_TIME] = {.head = "time", .name = "seconds", .right = true, .panel = 1, .priority = 12},
    [C_FLAGS] = {.head = "flags", .name = "flags", .panel = 1},
    [C_P_CSV] = {.name = "p", .optional = true},
    [C_HOLM_CSV] = {.name = "p_holm", .optional = true},
    [C_REFERENCE_CSV] = {.name = "reference", .optional = true},
};

/* What shows a fact of cells.csv. */
static const lb_own_column own_column[] = {
    {"method", C_METHOD, C_METHOD},
    {"bits", C_BITS, C_BITS},
    {"group", C_GROUP, C_GROUP},
    {"bits_per_weight", C_BPW, C_BPW},
    {"model_bytes_rest_fp16", C_SIZE, C_SIZE},
    {"ratio_fp16", C_RATIO, C_RATIO},
    {"acc", C_ACC, C_ACC},
    {"acc_norm", C_NORM, C_NORM},
    {"delta_acc", C_ACC_DELTA, C_ACC_DELTA},
    {"mcnemar_p", C_MCNEMAR, C_MCNEMAR},
    {"ppl", C_PPL, C_PPL_CSV},
    {"delta_ln_ppl", C_DELTA, C_DELTA_CSV},
    {"seeds", C_SEEDS, C_SEEDS},
    {"ln_ppl_sd_seeds", C_SD, C_SD},
    {"kl_mean", C_KL, C_KL},
    {"top1", C_TOP1, C_TOP1},
    {"accept", C_ACCEPT, C_ACCEPT},
    {"speedup", C_SPEEDUP, C_SPEEDUP},
    {"output_rel_mse_original", C_REL, C_REL},
    {"output_vs_rtn_original", C_RTN, C_RTN},
    {"output_rel_mse_own", C_OWN, C_OWN},
    {"output_vs_rtn_own", C_OWN_RTN, C_OWN_RTN},
    {"seconds", C_TIME, C_TIME},
    {"flags", C_FLAGS, C_FLAGS},
    {NULL, 0, 0},
};

static const lb_task_columns of_task = {.acc = C_ACC,
                                        .acc_se = C_ACC_SE_CSV,
                                        .norm = C_NORM,
                                        .norm_se = C_NORM_SE_CSV,
                                        .delta = C_ACC_DELTA,
                                        .p = C_MCNEMAR,
                                        .delta_norm = C_NORM_DELTA_CSV,
                                        .p_norm = C_MCNEMAR_NORM_CSV};

static void put(lb_table *t, size_t c, lb_num shown, double exact) {
    lb_table_set(t, c, shown.s, lb_num_exact(exact).s);
}

static void put_identity(lb_table *t, const lb_report_view *v, const lb_report_row *row) {
    const lb_record *c = row->cell[0];
    char group[32], bits[32];
    const char *model = v->whole != v->r ? v->r->model_name : c->model; /* of several, or of one of several */
    if (model) lb_table_set(t, C_MODEL_CSV, NULL, model);
    lb_table_set(t, C_METHOD, row->name, row->name);
    if (row->baseline) lb_table_set(t, C_METHOD, "none (baseline)", c->method);
    if (c->bits > 0 && c->size.quantized.weights > 0)
        lb_table_set(t, C_BITS, lb_report_bits_text(c, bits), lb_num_int(c->bits).s);
    lb_report_group_text(c, group);
    lb_table_set(t, C_GROUP, group, group);
}

static void put_size(lb_table *t, const lb_report_row *row) {
    const lb_record *c = row->cell[0];
    double bpw = lb_size_bits(&c->size.quantized), bytes = (double)c->size.total_as_fp16;
    put(t, C_BPW, lb_num_fixed(bpw, 3), bpw);
    if (bytes > 0) put(t, C_SIZE, lb_num_mib(bytes), bytes);
    double ratio = bytes > 0 ? lb_ratio_fp16(&c->size) : NAN;
    put(t, C_RATIO, lb_num_percent(ratio, 1), ratio);
}

/* The number of seeds and the spread over them; a row that lost some says so. */
static void put_spread(lb_table *t, const lb_report_row *row, const lb_report_quality *q) {
    int64_t all = row->cells + row->lost;
    lb_table_set(t, C_SEEDS, NULL, lb_num_int(q->seeds).s);
    lb_table_set(t, C_SD, NULL, lb_num_exact(q->sd).s);
    lb_table_set(t, C_PPL_MEAN_CSV, NULL, lb_num_exact(q->ppl_mean).s);
    lb_table_set(t, C_PPL_SD_CSV, NULL, lb_num_exact(q->ppl_sd).s);
    if (all < 2) return;
    lb_num n = lb_num_int(q->seeds);
    if (q->seeds < all) snprintf(n.s, sizeof n.s, "%lld of %lld", (long long)q->seeds, (long long)all);
    lb_table_set(t, C_SEEDS, n.s, NULL);
    lb_table_set(t, C_SD, lb_num_sci(q->sd, 3).s, NULL);
}

/* The difference with as many digits as its interval gives it. */
static lb_num brief_delta(const lb_report_quality *q, const char *mark) {
    lb_num all = lb_num_interval(q->delta.delta, q->delta.low, q->delta.high), out;
    snprintf(out.s, sizeof out.s, "%.*s%.4s", (int)strcspn(all.s, " "), all.s, mark);
    return out;
}

static void put_quality(lb_table *t, const lb_report_row *row, const lb_report_quality *q) {
    lb_table_set(t, C_PPL_BRIEF, lb_num_ppl(q->ppl).s, NULL);
    lb_table_set(t, C_PPL, lb_num_ppl_se(q->ppl, q->se).s, lb_num_exact(q->ppl).s);
    lb_table_set(t, C_PPL_CSV, NULL, lb_num_exact(q->ppl).s);
    lb_table_set(t, C_SE_CSV, NULL, lb_num_exact(q->se).s);
    put_spread(t, row, q);
    lb_report_put_task(t, &of_task, &q->task);
    if (q->has_delta) {
        lb_table_set(t, C_DELTA_BRIEF, brief_delta(q, "").s, NULL);
        lb_table_set(t, C_DELTA, lb_num_interval(q->delta.delta, q->delta.low, q->delta.high).s,
                     lb_num_exact(q->delta.delta).s);
        lb_table_set(t, C_DELTA_CSV, NULL, lb_num_exact(q->delta.delta).s);
        lb_table_set(t, C_LOW_CSV, NULL, lb_num_exact(q->delta.low).s);
        lb_table_set(t, C_HIGH_CSV, NULL, lb_num_exact(q->delta.high).s);
    }
    if (q->has_kl) {
        put(t, C_KL, lb_num_sci(q->kl, 4), q->kl);
        put(t, C_TOP1, lb_num_fixed(100 * q->top1, 2), q->top1);
    }
    if (!isnan(q->accept)) {
        put(t, C_ACCEPT, lb_num_fixed(100 * q->accept, 2), q->accept);
        put(t, C_SPEEDUP, lb_num_fixed(q->speedup, 2), q->speedup);
    }
}

/* Layer errors of a trained network carry a dagger: they are not what was minimized. */
static void put_error(lb_table *t, size_t c, double value, bool trained) {
    lb_num n = lb_num_sci(value, 3), shown = n;
    if (trained && n.s[0]) snprintf(shown.s, sizeof shown.s, "%.40s\xe2\x80\xa0", n.s);
    put(t, c, shown, value);
}

static void put_cost(lb_table *t, const lb_report_row *row) {
    bool trained = lb_report_trained(row);
    lb_model_error original = lb_report_error_mean(row, true), own = lb_report_error_mean(row, false);
    put_error(t, C_REL, original.output_rel, trained);
    put_error(t, C_RTN, original.output_vs_rtn, trained);
    put_error(t, C_OWN, own.output_rel, trained);
    put_error(t, C_OWN_RTN, own.output_vs_rtn, trained);
    double s = lb_report_seconds(row);
    char text[32], letters[LB_FLAG_LETTERS];
    lb_format_duration(s, text);
    lb_table_set(t, C_TIME, text, lb_num_exact(s).s);
    lb_flags_letters(row->flags, letters);
    lb_str flags = {0};
    lb_flags_text(row->flags, &flags);
    if (flags.failed) t->failed = true;
    lb_table_set(t, C_FLAGS, letters, flags.s ? flags.s : "");
    lb_str_free(&flags);
}

/* A star where it differs from the reference. */
static void put_mark(lb_table *t, const lb_report_marks *m, int64_t row, const lb_report_quality *q) {
    if (!lb_report_compared(m, row)) return;
    lb_table_set(t, C_P_CSV, NULL, lb_num_exact(m->of_row[row].p).s);
    if (m->adjusted) lb_table_set(t, C_HOLM_CSV, NULL, lb_num_exact(m->adjusted[row]).s);
    if (!lb_report_differs(m, row) || !q->has_delta) return;
    lb_num shown;
    snprintf(shown.s, sizeof shown.s, "%.45s *", lb_num_interval(q->delta.delta, q->delta.low, q->delta.high).s);
    lb_table_set(t, C_DELTA, shown.s, NULL);
    lb_table_set(t, C_DELTA_BRIEF, brief_delta(q, " *").s, NULL);
}

/* A line a cell. */
static lb_status put_again(lb_table *t, const lb_report_view *v, const lb_report_row *row) {
    lb_str lines = {0};
    for (int64_t k = 0; k < row->cells; k++) {
        lb_str_add(&lines, k ? "\n" : "");
        lb_report_again(v->r, row->cell[k], &lines);
    }
    lb_status st = lb_str_check(&lines);
    if (st == LB_OK) lb_table_again(t, lines.s);
    lb_str_free(&lines);
    return st;
}

static lb_status fill(lb_table *t, const lb_columns *x, const lb_report_view *v, const lb_report_block *b,
                      bool with_cost, bool exact) {
    const lb_report_row **sorted;
    lb_report_marks marks;
    lb_report_row to;
    bool line = false, has_reference;
    LB_TRY(lb_report_sorted(v, b, &sorted));
    LB_TRY(lb_report_marks_asked(v, b, &marks));
    LB_TRY(lb_report_reference_of(v, &to, &has_reference));
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_report_row *row = sorted[i];
        lb_report_quality q = {0};
        if (b) LB_TRY(lb_report_quality_of(v, row, b, &q));
        if (b && (!q.seeds || lb_report_is_repeated(v, row, b))) continue;
        if (b) LB_TRY(lb_report_to_reference(v, b, row, &q));
        lb_table_row(t);
        if (line) lb_table_rule(t);
        line = row->baseline;
        if (exact && b) {
            lb_table_set(t, C_EVAL, NULL, b->eval->name);
            lb_table_set(t, C_PROTOCOL, NULL, b->eval->eval.protocol.id);
            lb_table_set(t, C_WINDOWS, NULL, lb_num_int(b->eval->eval.windows).s);
            if (b->compute) lb_table_set(t, C_COMPUTE_CSV, NULL, b->compute);
        }
        put_identity(t, v, row);
        LB_TRY(lb_report_put_rules(v, row, C_RULES_CSV, t));
        LB_TRY(put_again(t, v, row));
        put_size(t, row);
        if (b) put_quality(t, row, &q);
        put_mark(t, &marks, row - v->row, &q);
        if (has_reference && q.has_delta) lb_table_set(t, C_REFERENCE_CSV, NULL, to.label);
        if (with_cost) put_cost(t, row);
        LB_TRY(lb_columns_put(x, v, row, b, t));
    }
    return LB_OK;
}

/* How many comparisons there are and what * is, for a table that stands without the report's notes. */
static lb_status comparisons_note(const lb_report_view *v, const lb_report_block *b, const char **out) {
    lb_report_marks m;
    int64_t n = 0;
    lb_str text = {0};
    const char *to = v->options->reference ? v->options->reference : "the baseline";
    *out = NULL;
    if (!b) return LB_OK;
    LB_TRY(lb_report_marks_asked(v, b, &m));
    if (!m.of_row) LB_TRY(lb_report_intervals(v, b, &n));
    lb_status st =
        m.of_row ? lb_report_comparisons_text(v->options, &m.n, 1, to, &text) : lb_report_intervals_text(&n, 1, &text);
    if (st == LB_OK && text.s && !(*out = lb_arena_strdup(v->arena, text.s))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

/* "m: perplexity on t, W2-64, all 6 windows; differences to gptq 3b row" */
static lb_status title_of(const lb_report_view *v, const lb_report_block *b, const char **out) {
    const char *model = v->r->model_name ? v->r->model_name : "";
    lb_report_row to;
    bool has = false;
    if (b) LB_TRY(lb_report_reference_of(v, &to, &has));
    if (!b)
        *out = lb_arena_printf(v->arena, "%s: not evaluated; sizes and layer errors", model);
    else
        *out = lb_arena_printf(v->arena, "%s: %s on %s%s%s", model, lb_report_measure_name(b), b->title,
                               has ? "; differences to " : "", has ? to.label : "");
    return *out ? LB_OK : LB_E_NOMEM;
}

/* Multiple choice has differences, but no perplexity. */
static lb_status columns_of(const lb_report_view *v, const lb_report_block *b, const lb_table_column **out) {
    *out = column;
    if (!b || lb_report_has_ppl(b)) return LB_OK;
    lb_table_column *own = LB_NEW(v->arena, lb_table_column, COLUMNS);
    if (!own) return LB_E_NOMEM;
    memcpy(own, column, sizeof column);
    own[C_DELTA_BRIEF].head = lb_report_loss_name(b);
    own[C_DELTA].head = lb_arena_printf(v->arena, "%s [95 %%]", lb_report_loss_name(b));
    *out = own;
    return own[C_DELTA].head ? LB_OK : LB_E_NOMEM;
}

static lb_status one_block(const lb_report_view *v, const lb_report_block *b, int64_t at, bool with_cost,
                           const lb_latex_form *paper, lb_table_format f, lb_str *out) {
    const char *title, *id = lb_arena_printf(v->arena, "main-%lld", (long long)at + 1);
    if (!id) return LB_E_NOMEM;
    LB_TRY(title_of(v, b, &title));
    lb_table *t;
    lb_columns x;
    const lb_table_column *own;
    LB_TRY(columns_of(v, b, &own));
    LB_TRY(lb_columns_choose(v, own, COLUMNS, own_column, &x));
    LB_TRY(lb_table_new(v->arena, id, title, x.all, x.n, &t));
    t->wide = v->options->wide;
    LB_TRY(fill(t, &x, v, b, with_cost || x.picks, false));
    LB_TRY(lb_columns_pick(&x, t, &t));
    if (paper) {
        t->paper = true, t->latex = *paper, t->siunitx = v->options->siunitx, t->chosen = x.picks > 0;
        t->note_of = own[v->options->significant ? C_DELTA_BRIEF : C_DELTA].head; /* of intervals, or of stars */
        LB_TRY(comparisons_note(v, b, &t->note));
    }
    return lb_table_render(t, f, out);
}

/* All models. */
static lb_status whole_csv(const lb_report_view *v, lb_str *out) {
    lb_table *t;
    lb_columns x;
    LB_TRY(lb_columns_choose(v, column, COLUMNS, own_column, &x));
    LB_TRY(lb_table_new(v->arena, "main", "", x.all, x.n, &t));
    for (int64_t m = 0; m < v->models; m++) {
        const lb_report_view *one = &v->model[m];
        for (int64_t b = 0; b < one->blocks; b++) LB_TRY(fill(t, &x, one, &one->block[b], true, true));
        if (!one->blocks) LB_TRY(fill(t, &x, one, NULL, true, true));
    }
    LB_TRY(lb_columns_pick(&x, t, &t));
    return lb_table_render(t, LB_TABLE_CSV, out);
}

/* Tables of other evaluations have the same rows, those of other products rows of their own. */
static bool is_first_of_rows(const lb_report_view *v, int64_t b) {
    for (int64_t k = 0; k < b; k++)
        if (v->block[k].eval->bf16 == v->block[b].eval->bf16) return false;
    return true;
}

/* at: of the first table, for its id. */
static lb_status tables_of_model(const lb_report_view *v, int64_t at, const lb_latex_form *paper, lb_table_format f,
                                 lb_str *out) {
    if (!v->rows) return LB_OK;
    if (!v->blocks) return one_block(v, NULL, at, true, paper, f, out);
    for (int64_t b = 0; b < v->blocks; b++)
        LB_TRY(one_block(v, &v->block[b], at + b, is_first_of_rows(v, b), paper, f, out));
    return LB_OK;
}

static lb_status all_tables(const lb_report_view *v, const lb_latex_form *paper, lb_table_format f, lb_str *out) {
    if (!v->rows) {
        lb_markup_paragraph(out, f, "No cell has a result.");
        return lb_str_check(out);
    }
    int64_t at = 0;
    for (int64_t m = 0; m < v->models; m++) {
        LB_TRY(tables_of_model(&v->model[m], at, paper, f, out));
        at += v->model[m].blocks ? v->model[m].blocks : 1;
    }
    return LB_OK;
}

lb_status lb_report_main_tables(const lb_report_view *v, lb_table_format f, lb_str *out) {
    return f == LB_TABLE_CSV ? whole_csv(v, out) : all_tables(v, NULL, f, out);
}

lb_status lb_report_paper_tables(const lb_report_view *v, lb_latex_form form, lb_str *out) {
    return all_tables(v, &form, LB_TABLE_LATEX, out);
}

lb_status lb_report_absent_list(const lb_report_view *v, lb_table_format f, lb_str *out) {
    if (!v->absents) return LB_OK;
    const char **item = LB_NEW(v->arena, const char *, v->absents);
    if (!item) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->absents; i++) {
        const lb_record *c = v->absent[i];
        const char *name = c->label && c->label[0] ? c->label : c->stem ? c->stem : "";
        const char *why = c->message ? c->message : "";
        item[i] = lb_arena_printf(v->arena, "%s %s%s%s", name, lb_cell_state_text(c->state), why[0] ? ": " : "", why);
        if (!item[i]) return LB_E_NOMEM;
    }
    lb_markup_paragraph(out, f, "Cells without a result:");
    lb_markup_list(out, f, item, (size_t)v->absents);
    return lb_str_check(out);
}

lb_status lb_report_table(const lb_results *r, const lb_report_options *o, lb_table_format f, lb_str *out) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_report_view v;
    lb_status st = lb_report_view_make(a, r, o, &v);
    bool alone = f == LB_TABLE_CSV || f == LB_TABLE_LATEX; /* for another program: the table and nothing else */
    if (st == LB_OK && f == LB_TABLE_LATEX) st = lb_report_paper_tables(&v, v.options->latex, out);
    if (st == LB_OK && f != LB_TABLE_LATEX) st = lb_report_main_tables(&v, f, out);
    if (st == LB_OK && !alone) st = lb_report_absent_list(&v, f, out);
    if (st == LB_OK && !alone) st = lb_report_notes(&v, f, out);
    if (st == LB_OK && !alone) st = lb_report_folder_notes(&v, f, out);
    lb_arena_free(a);
    return st;
}

lb_status lb_report_main_table(const lb_results *r, lb_table_format f, lb_str *out) {
    return lb_report_table(r, NULL, f, out);
}

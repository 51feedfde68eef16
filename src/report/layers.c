/* The per-layer table of one cell, and the size table of all. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "report/columns.h"
#include "report/parts.h"

#define TIMES "\xc3\x97"

enum layer_column {
    L_NAME,
    L_SHAPE,
    L_ROWS_CSV,
    L_COLS_CSV,
    L_STORAGE,
    L_SAME_AS_CSV, /* where some layer is another one's */
    L_BPW,
    L_BYTES,
    L_TOKENS, /* of a model with experts */
    L_WEIGHT,
    L_WREL,
    L_OWN,
    L_OWN_REL,
    L_SQNR,
    L_OWN_RTN,
    L_ORIG,
    L_ORIG_REL,
    L_ORIG_RTN,
    L_EQUAL_REL, /* these two with equal_errors */
    L_EQUAL_RTN,
    L_HALF, /* these three where H is known */
    L_PARTICIPATION,
    L_FIRST_CSV,
    L_TIME,
    L_FLAGS,
    L_COLUMNS
};
enum { L_TOLD = L_TIME }; /* what the method told stands before these two */

static const lb_table_column layer_column[L_COLUMNS] = {
    [L_NAME] = {.head = "layer", .name = "layer", .key = true},
    [L_SHAPE] = {.head = "out " TIMES " in", .right = true, .priority = 6},
    [L_ROWS_CSV] = {.name = "rows"},
    [L_COLS_CSV] = {.name = "cols"},
    [L_STORAGE] = {.head = "storage", .name = "storage", .priority = 5},
    [L_SAME_AS_CSV] = {.name = "same_as", .optional = true},
    [L_BPW] = {.head = "b/w", .name = "bits_per_weight", .right = true, .priority = 1},
    [L_BYTES] = {.head = "KiB", .name = "bytes", .right = true, .priority = 7},
    [L_TOKENS] = {.head = "tokens", .name = "tokens", .right = true, .optional = true, .priority = 9},
    [L_WREL] = {.head = "rel. weight", .name = "weight_rel_mse", .right = true, .priority = 8},
    [L_OWN_REL] = {.head = "rel. output", .name = "output_rel_mse_own", .right = true, .priority = 2},
    [L_SQNR] = {.head = "SQNR dB", .name = "sqnr_db_own", .right = true, .priority = 4},
    [L_OWN_RTN] = {.head = TIMES " RTN", .name = "output_vs_rtn_own", .right = true, .priority = 3},
    [L_FLAGS] = {.head = "flags", .name = "flags"},
    [L_WEIGHT] = {.head = "weight MSE", .name = "weight_mse", .right = true, .panel = 1, .priority = 13},
    [L_OWN] = {.head = "output MSE", .name = "output_mse_own", .right = true, .panel = 1, .priority = 14},
    [L_ORIG] = {.head = "MSE, orig. H", .name = "output_mse_original", .right = true, .panel = 1, .priority = 15},
    [L_ORIG_REL] =
        {.head = "rel., orig. H", .name = "output_rel_mse_original", .right = true, .panel = 1, .priority = 10},
    [L_ORIG_RTN] =
        {.head = TIMES " RTN, orig. H", .name = "output_vs_rtn_original", .right = true, .panel = 1, .priority = 11},
    [L_EQUAL_REL] = {.head = "rel., equal",
                     .name = "output_rel_mse_equal",
                     .right = true,
                     .optional = true,
                     .panel = 1,
                     .priority = 9},
    [L_EQUAL_RTN] = {.head = TIMES " RTN, equal",
                     .name = "output_vs_rtn_equal",
                     .right = true,
                     .optional = true,
                     .panel = 1,
                     .priority = 10},
    [L_HALF] = {.head = "tokens \xc2\xbd", .name = "half_share", .right = true, .optional = true, .priority = 10},
    [L_PARTICIPATION] =
        {.head = "participation", .name = "participation", .right = true, .optional = true, .panel = 1, .priority = 12},
    [L_FIRST_CSV] = {.name = "first_share", .optional = true},
    [L_TIME] = {.head = "time", .name = "seconds", .right = true, .panel = 1, .priority = 16},
};

static void put(lb_table *t, size_t c, lb_num shown, double exact) {
    lb_table_set(t, c, shown.s, lb_num_exact(exact).s);
}

static void put_layer_errors(lb_table *t, const lb_layer_row *l) {
    const lb_layer_error *w = lb_layer_weights(l);
    put(t, L_WEIGHT, lb_num_sci(lb_weight_mse(w), 5), lb_weight_mse(w));
    put(t, L_WREL, lb_num_sci(lb_weight_rel(w), 3), lb_weight_rel(w));
    put(t, L_OWN, lb_num_sci(lb_output_mse(&l->own), 5), lb_output_mse(&l->own));
    double rel = lb_output_rel(&l->own);
    put(t, L_OWN_REL, lb_num_sci(rel, 3), rel);
    if (rel > 0) put(t, L_SQNR, lb_num_fixed(lb_sqnr_db(rel), 2), lb_sqnr_db(rel));
    double own = lb_error_ratio(&l->own, &l->rtn_own), original = lb_error_ratio(&l->original, &l->rtn_original);
    put(t, L_OWN_RTN, lb_num_fixed(own, 3), own);
    put(t, L_ORIG, lb_num_sci(lb_output_mse(&l->original), 5), lb_output_mse(&l->original));
    put(t, L_ORIG_REL, lb_num_sci(lb_output_rel(&l->original), 3), lb_output_rel(&l->original));
    put(t, L_ORIG_RTN, lb_num_fixed(original, 3), original);
}

static void put_carried(lb_table *t, const lb_carried *c) {
    if (!(c->participation > 0)) return;
    put(t, L_HALF, lb_num_percent(c->half_share, 2), c->half_share);
    put(t, L_PARTICIPATION, lb_num_sci(c->participation, 3), c->participation);
    lb_table_set(t, L_FIRST_CSV, NULL, lb_num_exact(c->first_share).s);
}

static void put_flags(lb_table *t, size_t c, uint32_t flags) {
    char letters[LB_FLAG_LETTERS];
    lb_str text = {0};
    lb_flags_letters(flags, letters);
    lb_flags_text(flags, &text);
    if (text.failed) t->failed = true;
    lb_table_set(t, c, letters, text.s ? text.s : "");
    lb_str_free(&text);
}

static void put_told(lb_table *t, size_t c, double v) {
    char count[32];
    snprintf(count, sizeof count, "%.0f", v);
    lb_table_set(t, c, v == floor(v) && fabs(v) < 1e15 ? count : lb_num_sci(v, 3).s, lb_num_exact(v).s);
}

/* told: how many diagnostics the cell has. tokens: it is known how many reached each layer. */
static void put_layer(lb_table *t, const lb_layer_row *l, size_t told, bool tokens) {
    lb_table_row(t);
    lb_table_set(t, L_NAME, l->name, l->name);
    lb_table_setf(t, L_SHAPE, "%lld" TIMES "%lld", (long long)l->rows, (long long)l->cols);
    lb_table_setf(t, L_ROWS_CSV, "%lld", (long long)l->rows);
    lb_table_setf(t, L_COLS_CSV, "%lld", (long long)l->cols);
    lb_table_set(t, L_STORAGE, l->quantized ? l->storage : "not quantized", l->quantized ? l->storage : "");
    double bytes = (double)l->size.total, bpw = lb_size_bits(&l->size);
    if (lb_layer_is_shared(l)) {
        lb_table_setf(t, L_STORAGE, "that of %s", l->same_as);
        lb_table_set(t, L_SAME_AS_CSV, "", l->same_as);
    } else {
        put(t, L_BYTES, lb_num_fixed(bytes / 1024, 1), bytes);
        put(t, L_BPW, lb_num_fixed(bpw, 3), bpw);
    }
    if (!l->quantized) return;
    put_layer_errors(t, l);
    if (lb_equal_rel(l) >= 0) put(t, L_EQUAL_REL, lb_num_sci(lb_equal_rel(l), 3), lb_equal_rel(l));
    if (lb_equal_ratio(l) >= 0) put(t, L_EQUAL_RTN, lb_num_fixed(lb_equal_ratio(l), 3), lb_equal_ratio(l));
    put_carried(t, lb_layer_carried(l));
    if (tokens) lb_table_setf(t, L_TOKENS, "%lld", (long long)l->tokens);
    for (size_t i = 0; i < told; i++)
        if (lb_is_told(&l->told, i)) put_told(t, L_TOLD + i, l->told.value[i]);
    char time[32];
    lb_format_duration(l->seconds, time);
    lb_table_set(t, L_TIME + told, time, lb_num_exact(l->seconds).s);
    put_flags(t, L_FLAGS + told, lb_layer_flags_shown(l));
}

/* Sum of errors / sum of energies; the absolute errors of layers of different widths have no meaningful mean. */
static void put_sum(lb_table *t, const lb_record *c) {
    lb_model_error own = lb_model_error_of(c, false), original = lb_model_error_of(c, true);
    lb_table_row(t);
    lb_table_rule(t);
    lb_table_set(t, L_NAME, "all quantized", NULL);
    double bytes = (double)c->size.quantized.total, bpw = lb_size_bits(&c->size.quantized);
    lb_table_set(t, L_BYTES, lb_num_fixed(bytes / 1024, 1).s, NULL);
    lb_table_set(t, L_BPW, lb_num_fixed(bpw, 3).s, NULL);
    lb_table_set(t, L_WREL, lb_num_sci(own.weight_rel, 3).s, NULL);
    lb_table_set(t, L_OWN_REL, lb_num_sci(own.output_rel, 3).s, NULL);
    if (own.output_rel > 0) lb_table_set(t, L_SQNR, lb_num_fixed(lb_sqnr_db(own.output_rel), 2).s, NULL);
    lb_table_set(t, L_OWN_RTN, lb_num_fixed(own.output_vs_rtn, 3).s, NULL);
    lb_table_set(t, L_ORIG_REL, lb_num_sci(original.output_rel, 3).s, NULL);
    lb_table_set(t, L_ORIG_RTN, lb_num_fixed(original.output_vs_rtn, 3).s, NULL);
    lb_model_equal equal = lb_model_equal_of(c);
    if (equal.output_rel >= 0) lb_table_set(t, L_EQUAL_REL, lb_num_sci(equal.output_rel, 3).s, NULL);
    if (equal.output_vs_rtn >= 0) lb_table_set(t, L_EQUAL_RTN, lb_num_fixed(equal.output_vs_rtn, 3).s, NULL);
}

/* The columns of a cell, with those of its diagnostics among them. */
static lb_status columns_of(lb_arena *a, const lb_record *c, lb_table_column **out) {
    const lb_diagnostics *d = &c->diagnostics;
    lb_table_column *column = LB_NEW(a, lb_table_column, L_COLUMNS + d->n);
    if (!column) return LB_E_NOMEM;
    memcpy(column, layer_column, L_TOLD * sizeof *column);
    for (size_t i = 0; i < d->n; i++) {
        char *head = lb_arena_strdup(a, d->table[i].name);
        if (!head) return LB_E_NOMEM;
        for (char *s = head; *s; s++) *s = *s == '_' ? ' ' : *s;
        column[L_TOLD + i] =
            (lb_table_column){.head = head, .name = d->table[i].name, .right = true, .panel = 1, .priority = 12};
    }
    memcpy(column + L_TOLD + d->n, layer_column + L_TOLD, (L_COLUMNS - L_TOLD) * sizeof *column);
    *out = column;
    return LB_OK;
}

lb_status lb_report_layers(lb_arena *a, const lb_record *c, const char *name, bool wide, lb_table_format f,
                           lb_str *out) {
    char *raw = lb_arena_printf(a, "layers-%s", c->stem ? c->stem : ""), *id = raw ? lb_report_slug(a, raw) : NULL;
    char *title =
        lb_arena_printf(a, "Layers of %s: output errors with H of the inputs that each layer was solved on%s", name,
                        c->flags & LB_FLAG_NOT_MINIMIZED ? " (trained: these errors are not what was minimized)" : "");
    if (!id || !title) return LB_E_NOMEM;
    lb_table *t;
    lb_table_column *column;
    LB_TRY(columns_of(a, c, &column));
    LB_TRY(lb_table_new(a, id, title, column, L_COLUMNS + c->diagnostics.n, &t));
    t->wide = wide;
    bool tokens = false;
    for (int64_t i = 0; i < c->layers; i++) tokens = tokens || c->layer[i].tokens > 0;
    for (int64_t i = 0; i < c->layers; i++) put_layer(t, &c->layer[i], c->diagnostics.n, tokens);
    if (f != LB_TABLE_CSV && lb_model_error_of(c, false).weight_rel > 0) put_sum(t, c);
    return lb_table_render(t, f, out);
}

bool lb_report_has_layers(const lb_record *c) {
    return c->state == LB_CELL_DONE && c->size.quantized.weights > 0 && c->layers > 0;
}

bool lb_report_layers_apart(const lb_results *r) {
    enum { MOST = 10000 }; /* rows of about a kilobyte */
    int64_t rows = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (lb_report_has_layers(&r->record[i])) rows += r->record[i].layers;
    return rows > MOST;
}

lb_status lb_report_layer_table(const lb_results *r, int64_t cell, const lb_report_options *o, lb_table_format f,
                                lb_str *out) {
    if (cell < 0 || cell >= r->n)
        return lb_fail(LB_E_ARG, "cell %lld: must be in [0, %lld)", (long long)cell, (long long)r->n);
    const lb_record *c = &r->record[cell];
    if (c->state != LB_CELL_DONE)
        return lb_fail(LB_E_ARG, "%s was not run (%s): there is no layer table", c->label, c->message);
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_report_layers(a, c, c->label, o && o->wide, f, out);
    lb_arena_free(a);
    return st;
}

/* ---- sizes ---- */

enum size_column {
    S_MODEL_CSV, /* of several */
    S_METHOD,
    S_BITS,
    S_GROUP,
    S_RULES_CSV, /* where some row has any */
    S_WEIGHTS,
    S_CODES,
    S_SCALES,
    S_ZEROS,
    S_BOOK,
    S_ORDER,
    S_PADDING,
    S_MASK,
    S_LOW_RANK,
    S_TRANSFORM,
    S_ACT,
    S_TOTAL,
    S_BPW,
    S_REST_STORED,
    S_REST_FP16,
    S_WHOLE_STORED,
    S_WHOLE_FP16,
    S_RATIO_STORED,
    S_RATIO_FP16,
    S_COLUMNS
};

static const lb_table_column size_column[S_COLUMNS] = {
    [S_MODEL_CSV] = {.name = "model", .optional = true},
    [S_METHOD] = {.head = "method", .name = "method", .key = true},
    [S_BITS] = {.head = "bits", .name = "bits", .right = true, .key = true},
    [S_GROUP] = {.head = "group", .name = "group", .right = true, .key = true},
    [S_RULES_CSV] = {.name = "rules", .optional = true},
    [S_WEIGHTS] = {.head = "weights", .name = "weights", .right = true},
    [S_CODES] = {.head = "codes", .name = "codes_bytes", .right = true},
    [S_SCALES] = {.head = "scales", .name = "scales_bytes", .right = true},
    [S_ZEROS] = {.head = "zeros", .name = "zeros_bytes", .right = true},
    [S_BOOK] = {.head = "codebook", .name = "codebook_bytes", .right = true},
    [S_ORDER] = {.head = "order", .name = "order_bytes", .right = true},
    [S_PADDING] = {.head = "padding", .name = "padding_bytes", .right = true},
    [S_MASK] = {.head = "mask", .name = "mask_bytes", .right = true},
    [S_LOW_RANK] = {.head = "low rank", .name = "low_rank_bytes", .right = true},
    [S_TRANSFORM] = {.head = "transform", .name = "transform_bytes", .right = true, .optional = true},
    [S_ACT] = {.head = "act", .name = "act_bytes", .right = true, .optional = true},
    [S_TOTAL] = {.head = "quantized", .name = "quantized_bytes", .right = true},
    [S_BPW] = {.head = "b/w", .name = "bits_per_weight", .right = true},
    [S_REST_STORED] = {.head = "rest, stored", .name = "rest_stored_bytes", .right = true, .panel = 1},
    [S_REST_FP16] = {.head = "rest, fp16", .name = "rest_fp16_bytes", .right = true, .panel = 1},
    [S_WHOLE_STORED] = {.head = "model, stored", .name = "model_stored_bytes", .right = true, .panel = 1},
    [S_WHOLE_FP16] = {.head = "model, fp16", .name = "model_fp16_bytes", .right = true, .panel = 1},
    [S_RATIO_STORED] = {.head = "stored / fp16", .name = "ratio_stored", .right = true, .panel = 1},
    [S_RATIO_FP16] = {.head = "of fp16", .name = "ratio_fp16", .right = true, .panel = 1},
};

static void put_bytes(lb_table *t, size_t c, int64_t bytes, bool always) {
    if (bytes > 0 || always) lb_table_set(t, c, lb_num_mib((double)bytes).s, NULL);
    lb_table_set(t, c, NULL, lb_num_int(bytes).s);
}

static void put_size(lb_table *t, const lb_report_row *row) {
    const lb_record *c = row->cell[0];
    const lb_model_size *s = &c->size;
    const lb_size *q = &s->quantized;
    char group[32];
    lb_table_row(t);
    if (c->model) lb_table_set(t, S_MODEL_CSV, NULL, c->model);
    lb_table_set(t, S_METHOD, row->name, row->name);
    if (row->baseline) lb_table_set(t, S_METHOD, "none (baseline)", NULL);
    if (q->weights > 0) {
        if (c->bits > 0) lb_table_setf(t, S_BITS, "%d", c->bits);
        lb_report_group_text(c, group);
        lb_table_set(t, S_GROUP, group, group);
        lb_table_setf(t, S_WEIGHTS, "%lld", (long long)q->weights);
        put_bytes(t, S_CODES, q->codes, true);
        put_bytes(t, S_SCALES, q->scales, true);
        put_bytes(t, S_ZEROS, q->zeros, false);
        put_bytes(t, S_BOOK, q->codebook, false);
        put_bytes(t, S_ORDER, q->order, false);
        put_bytes(t, S_PADDING, q->padding, false);
        put_bytes(t, S_MASK, q->mask, false);
        put_bytes(t, S_LOW_RANK, q->low_rank, false);
        if (q->transform > 0) put_bytes(t, S_TRANSFORM, q->transform, true);
        if (q->act) put_bytes(t, S_ACT, q->act, false);
        put_bytes(t, S_TOTAL, q->total, true);
        put(t, S_BPW, lb_num_fixed(lb_size_bits(q), 3), lb_size_bits(q));
    }
    put_bytes(t, S_REST_STORED, s->other_as_stored, true);
    put_bytes(t, S_REST_FP16, s->other_as_fp16, true);
    put_bytes(t, S_WHOLE_STORED, s->total_as_stored, true);
    put_bytes(t, S_WHOLE_FP16, s->total_as_fp16, true);
    put(t, S_RATIO_STORED, lb_num_percent(lb_ratio_stored(s), 1), lb_ratio_stored(s));
    put(t, S_RATIO_FP16, lb_num_percent(lb_ratio_fp16(s), 1), lb_ratio_fp16(s));
}

/* at: the model's number among several, from 1; 0: it is alone, or they are all in one table. */
static lb_status size_table(const lb_report_view *v, int64_t at, lb_table **t) {
    static const char what[] =
        "izes in MiB: the quantized layers, and the whole model with the rest as its file stores "
        "it and at 16 bits";
    const char *title =
        at ? lb_arena_printf(v->arena, "%s: s%s", v->r->model_name, what) : lb_arena_printf(v->arena, "S%s", what);
    const char *id = at > 1 ? lb_arena_printf(v->arena, "sizes-%lld", (long long)at) : "sizes";
    if (!title || !id) return LB_E_NOMEM;
    return lb_table_new(v->arena, id, title, size_column, S_COLUMNS, t);
}

/* A table a model; as CSV one. */
lb_status lb_report_sizes(const lb_report_view *v, lb_table_format f, lb_str *out) {
    lb_table *t = NULL;
    bool apart = f != LB_TABLE_CSV && v->models > 1;
    if (!apart) LB_TRY(size_table(v, 0, &t));
    for (int64_t m = 0; m < v->models; m++) {
        const lb_report_view *one = &v->model[m];
        if (apart && !one->rows) continue;
        if (apart) LB_TRY(size_table(one, m + 1, &t));
        for (int64_t i = 0; i < one->rows; i++) {
            if (one->row[i].twin) continue;
            put_size(t, &one->row[i]);
            LB_TRY(lb_report_put_rules(one, &one->row[i], S_RULES_CSV, t));
        }
        if (apart) LB_TRY(lb_table_render(t, f, out));
    }
    return apart ? lb_str_check(out) : lb_table_render(t, f, out);
}

lb_status lb_report_size_table(const lb_results *r, lb_table_format f, lb_str *out) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_report_view v;
    lb_status st = lb_report_view_make(a, r, NULL, &v);
    if (st == LB_OK) st = lb_report_sizes(&v, f, out);
    lb_arena_free(a);
    return st;
}

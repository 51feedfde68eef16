/* GPTQ: Frantar et al. 2022 (arXiv:2210.17323), algorithm 1, as its authors' code runs it.
 *
 * Columns are rounded one after another. The error of a column, divided by d, its entry on the diagonal of Hinv, is
 * taken out of the columns that are still to come (eq. 2 and 3): Hinv is the upper Cholesky factor of the inverse of
 * the damped H, so its row p is all that column p needs (section 3.3, step 3). Columns go in blocks, so that most of
 * the updates are matrix products (step 2).
 *
 * After a stage that prunes, what its mask leaves out is rounded to 0, so that its error too goes to later columns, as
 * in Frantar & Alistarh 2023 (SparseGPT, arXiv:2301.00774); grids are fitted on what is kept.
 *
 * Rows know nothing of each other once Hinv is there: they go in panels (quant/panel.h). `p` counts positions in
 * solving order, `col` columns of W. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/factor.h"
#include "math/kernels.h"
#include "quant/panel.h"

enum { STEP_COLUMNS = 16, R = LB_PANEL_ROWS }; /* columns whose errors reach the rest of a block together */

enum { REFIT_BLOCK, REFIT_COLUMN };
enum { FAIL_ERROR, FAIL_RAISE_DAMP, FAIL_RTN };

typedef struct gptq_opts {
    int64_t bits, group, block;
    double percdamp;
    bool symmetric, mse, act_order, static_groups;
    int group_refit, scale_type, on_failure;
    const lb_format *format;
} gptq_opts;

static const char *const refits[] = {"block", "column", NULL};
static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const char *const failures[] = {"error", "raise_damp", "rtn", NULL};
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 1, 8, NULL, "bits a weight", offsetof(gptq_opts, bits)},
    {"group", LB_OPT_GROUP, "row", 8, 65536, NULL, "columns that share a scale; the last group of a row may be shorter",
     offsetof(gptq_opts, group)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "range symmetric about 0: no zeros are stored",
     offsetof(gptq_opts, symmetric)},
    {"mse", LB_OPT_BOOL, "false", 0, 0, NULL,
     "clip search: shrink the range in 80 steps of 1/100 to the least sum of |error|^2.4", offsetof(gptq_opts, mse)},
    {"percdamp", LB_OPT_FLOAT, "0.01", 0, 1, NULL, "damping: this fraction of the mean of diag(H) is added to it",
     offsetof(gptq_opts, percdamp)},
    {"block", LB_OPT_INT, "128", 1, 65536, NULL, "columns between two updates of all later columns",
     offsetof(gptq_opts, block)},
    {"act_order", LB_OPT_BOOL, "false", 0, 0, NULL, "solve columns by descending diag(H)",
     offsetof(gptq_opts, act_order)},
    {"static_groups", LB_OPT_BOOL, "false", 0, 0, NULL,
     "fit every group before solving, in the original column order: act_order then stores no order",
     offsetof(gptq_opts, static_groups)},
    {"group_refit", LB_OPT_CHOICE, "block", 0, 0, refits,
     "a group's grid is fitted on weights as of the last block's end (the authors' code), or with the updates of all "
     "earlier columns",
     offsetof(gptq_opts, group_refit)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how scales are stored; rounded before codes are computed",
     offsetof(gptq_opts, scale_type)},
    {"on_failure", LB_OPT_CHOICE, "error", 0, 0, failures,
     "a failed factorization: an error, ten times the damping up to 1, or round-to-nearest; the last two are flagged",
     offsetof(gptq_opts, on_failure)},
    {"format", LB_OPT_FORMAT, "int", 0, 0, NULL, "number format; bits and group must be what it has",
     offsetof(gptq_opts, format)},
};

enum { TOLD_DAMP, TOLD_DEAD };
static const lb_diagnostic told[] = {
    {"damp", "", "damping that was used, as a fraction of the mean of diag(H)", 0, 1},
    {"dead_columns", "columns", "inputs that never fired in calibration", 0, 1e9},
};

static lb_storage storage_of(const gptq_opts *o) {
    return (lb_storage){.format = o->format,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .symmetric = o->symmetric,
                        .scale_type = (lb_scale_type)o->scale_type,
                        .order = o->act_order && !o->static_groups && o->group > 0};
}

static lb_status gptq_check(const void *opts) {
    const gptq_opts *o = opts;
    lb_storage s = storage_of(o);
    LB_TRY(lb_format_accepts(&s, o->mse));
    const char *whole = o->group == LB_GROUP_ROW ? "row" : "tensor";
    if (o->static_groups && o->group <= 0)
        return lb_fail(LB_E_UNSUPPORTED, "static_groups needs groups of columns: group is %s", whole);
    if (o->group_refit == REFIT_COLUMN && o->group <= 0)
        return lb_fail(LB_E_UNSUPPORTED, "group_refit column needs groups of columns: group is %s", whole);
    if (o->group_refit == REFIT_COLUMN && o->static_groups)
        return lb_fail(LB_E_UNSUPPORTED, "group_refit column does not apply: static_groups are fitted before solving");
    if (s.order && s.format->shape != LB_SHAPE_ROWS)
        return lb_fail(LB_E_UNSUPPORTED, "act_order needs static_groups: format %s stores no order", s.format->name);
    return LB_OK;
}

static lb_status gptq_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows;
    LB_TRY(gptq_check(opts));
    *out = storage_of(opts);
    if (!lb_storage_by_rows(out, cols))
        return lb_fail(LB_E_UNSUPPORTED, "%s blocks run on over row ends where %lld does not divide %lld columns",
                       out->format->name, (long long)out->group, (long long)cols);
    return LB_OK;
}

static lb_status gptq_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    lb_storage codes;
    LB_TRY(gptq_spec(opts, rows, cols, &codes));
    return lb_storage_round(so_far, &codes, out);
}

/* Numbers of a row of Hinv and what follows it: an odd number of cache lines, so that a column's are not all in one
 * place. */
static int64_t leading(int64_t cols) { return ((cols + 7) / 8 | 1) * 8; }

/* ---- the algorithm ---- */

/* What layers on the same H share. */
typedef struct factored {
    bool valid, act_order;
    double damp;
    lb_dmat Hinv; /* (cols, cols) upper triangle, in solving order */
} factored;

typedef struct solver {
    const lb_layer_in *in;
    const gptq_opts *o;
    lb_panels panels;
    int64_t cols, block;
    int32_t *perm;        /* (cols) position p holds column perm[p] */
    double *diag;         /* (cols) of H, 1 in the authors' scale where dead */
    double *damped;       /* (cols) that plus the damping */
    bool *dead;           /* (cols) columns whose input never fired */
    int64_t dead_columns; /* of them */
    factored *shared;
    lb_dmat Hinv; /* shared->Hinv */
} solver;

static int by_descending_diag(const void *a, const void *b) {
    const double *x = *(const double *const *)a, *y = *(const double *const *)b;
    if (*x != *y) return *x > *y ? -1 : 1;
    return x < y ? -1 : x > y; /* ties: the lower column first */
}

/* Dead columns, diag(H) and the order of solving. */
static lb_status order_columns(solver *s) {
    const lb_stats *stats = s->in->stats;
    /* the authors' code puts 1 into its H = 2 / sequences XᵀX, ours is XᵀX / tokens */
    double one = (double)stats->sequences / (2.0 * (double)stats->tokens);
    for (int64_t col = 0; col < s->cols; col++) {
        double h = stats->H.d[col * stats->H.ld + col];
        s->dead[col] = h == 0;
        s->dead_columns += s->dead[col];
        s->diag[col] = s->dead[col] ? one : h;
        s->perm[col] = (int32_t)col;
    }
    if (!s->o->act_order) return LB_OK;
    const double **by_diag = LB_NEW(s->in->scratch, const double *, s->cols);
    if (!by_diag) return LB_E_NOMEM;
    for (int64_t col = 0; col < s->cols; col++) by_diag[col] = &s->diag[col];
    qsort(by_diag, (size_t)s->cols, sizeof *by_diag, by_descending_diag);
    for (int64_t p = 0; p < s->cols; p++) s->perm[p] = (int32_t)(by_diag[p] - s->diag);
    return LB_OK;
}

/* Hinv = Cholesky((H + damp mean(diag H) I)^-1), upper, in solving order. */
static lb_status factor(solver *s, double damp) {
    int64_t position = 0;
    double mean = 0, pivot = 0;
    factored *f = s->shared;
    if (f->valid && f->act_order == s->o->act_order && f->damp == damp) return LB_OK;
    *f = (factored){.act_order = s->o->act_order, .damp = damp, .Hinv = s->Hinv};
    for (int64_t col = 0; col < s->cols; col++) mean += s->diag[col] / (double)s->cols;
    for (int64_t col = 0; col < s->cols; col++) s->damped[col] = s->diag[col] + damp * mean;
    lb_status st = lb_inverse_factor(s->in->stats->H, s->damped, s->perm, s->Hinv, s->in->team, &position, &pivot);
    f->valid = st == LB_OK;
    if (st != LB_E_NUMERIC) return st;
    return lb_fail(st,
                   "layer %s: Cholesky failed at column %d (pivot %.2g, damp %g): calibration gives %lld tokens for "
                   "%lld columns; use more samples or a larger damp",
                   s->in->name, s->perm[position], pivot, damp, (long long)s->in->stats->tokens, (long long)s->cols);
}

/* Takes the errors Err (p1 - p0, R) of positions [p0, p1) out of positions [c0, c1), which stand at w: eq. 3. */
static void spread(const solver *s, const double *Err, int64_t p0, int64_t p1, double *w, int64_t c0, int64_t c1) {
    if (c0 >= c1) return;
    lb_cdmat left = {Err, p1 - p0, R, R};
    lb_cdmat right = {s->Hinv.d + p0 * s->Hinv.ld + c0, p1 - p0, c1 - c0, s->Hinv.ld};
    lb_kernels_active()->sub_tn(lb_dmat_of(w, c1 - c0, R), right, left);
}

/* The group that starts at p, inside the block [b0, b1): fitted on weights as of the block's begin, or with what the
 * block's end will take out for the columns solved so far. */
static lb_status fit_group(solver *s, lb_panel *k, int64_t p, int64_t b0, int64_t b1) {
    int64_t n = p + s->panels.group < s->cols ? s->panels.group : s->cols - p;
    if (s->o->group_refit == REFIT_BLOCK) return lb_panel_fit(&s->panels, k, p, n, k->W + p * R);
    for (int64_t c = p; c < p + n; c++)
        for (int64_t i = 0; i < R; i++) {
            double w = c < b1 ? k->w1[(c - b0) * R + i] : k->W[c * R + i];
            for (int64_t j = b0; c >= b1 && j < p; j++) w -= k->Err[(j - b0) * R + i] * s->Hinv.d[j * s->Hinv.ld + c];
            k->fresh[(c - p) * R + i] = w;
        }
    return lb_panel_fit(&s->panels, k, p, n, k->fresh);
}

/* The block [b0, b1) of a panel, a few columns at a time, whose errors reach the rest of the block together: in the
 * same order as one by one, but with the rest read once. */
static lb_status solve_block(solver *s, lb_panel *k, int64_t b0, int64_t b1) {
    memcpy(k->w1, k->W + b0 * R, (size_t)((b1 - b0) * R) * sizeof *k->w1);
    for (int64_t p0 = b0, p1; p0 < b1; p0 = p1) {
        p1 = p0 + STEP_COLUMNS < b1 ? p0 + STEP_COLUMNS : b1;
        /* Where a group is fitted on weights that are up to date, a step ends. */
        int64_t next = (p0 / s->panels.group + 1) * s->panels.group;
        if (s->o->group_refit == REFIT_COLUMN && next < p1) p1 = next;
        for (int64_t p = p0; p < p1; p++) {
            double *w = k->w1 + (p - b0) * R, *err = k->Err + (p - b0) * R;
            if (lb_panels_reached(&s->panels, p)) LB_TRY(fit_group(s, k, p, b0, b1));
            LB_TRY(lb_panel_round(&s->panels, k, p, w, s->Hinv.d[p * s->Hinv.ld + p], err)); /* eq. 2 */
            spread(s, err, p, p + 1, w + R, p + 1, p1);
        }
        spread(s, k->Err + (p0 - b0) * R, p0, p1, k->w1 + (p1 - b0) * R, p1, b1);
    }
    return LB_OK;
}

static lb_status solve_panel(void *ctx, lb_panel *k) {
    solver *s = ctx;
    for (int64_t b0 = 0; b0 < s->cols; b0 += s->block) {
        int64_t b1 = b0 + s->block < s->cols ? b0 + s->block : s->cols;
        LB_TRY(solve_block(s, k, b0, b1));
        spread(s, k->Err, b0, b1, k->W + b1 * R, b1, s->cols); /* eq. 4 */
    }
    return LB_OK;
}

static lb_status attempt(solver *s, double damp) {
    LB_TRY(lb_stats_reached(s->in));
    LB_TRY(factor(s, damp));
    lb_status st = lb_panels_run(&s->panels, solve_panel, s);
    if (st == LB_E_NUMERIC) return lb_fail_in(st, "layer %s (damp %g)", s->in->name, damp);
    if (st == LB_OK && damp > 0) lb_tell(&s->panels.out->told, TOLD_DAMP, damp);
    return st;
}

/* ---- around it ---- */

static lb_status prepare_shared(solver *s) {
    lb_kept *kept = s->in->stats->kept;
    if (kept && kept->data) {
        s->shared = kept->data;
    } else {
        lb_arena *a = kept ? kept->arena : s->in->scratch;
        int64_t ld = leading(s->cols);
        if (!(s->shared = LB_NEW(a, factored, 1))) return LB_E_NOMEM;
        s->shared->Hinv = (lb_dmat){LB_NEW_UNSET(a, double, s->cols *ld), s->cols, s->cols, ld};
        if (!s->shared->Hinv.d) return LB_E_NOMEM;
        if (kept) kept->data = s->shared;
    }
    s->Hinv = s->shared->Hinv;
    return LB_OK;
}

/* Everything that needs memory, once: attempts with other dampings reuse it. */
static lb_status prepare(solver *s, const lb_storage *storage, lb_layer *out) {
    lb_arena *a = s->in->scratch;
    LB_TRY(prepare_shared(s));
    if (!(s->perm = LB_NEW(a, int32_t, s->cols)) || !(s->diag = LB_NEW(a, double, s->cols)) ||
        !(s->damped = LB_NEW(a, double, s->cols)) || !(s->dead = LB_NEW(a, bool, s->cols)))
        return LB_E_NOMEM;
    s->panels = (lb_panels){.in = s->in,
                            .out = out,
                            .storage = *storage,
                            .mask = s->in->so_far ? s->in->so_far->mask : NULL,
                            .perm = s->perm,
                            .dead = s->dead,
                            .clip_search = s->o->mse,
                            .static_groups = s->o->static_groups,
                            .refits = s->o->group_refit == REFIT_COLUMN,
                            .block = s->block};
    LB_TRY(lb_panels_new(&s->panels));
    return order_columns(s);
}

static lb_status fall_back_to_rtn(solver *s, lb_layer *out) {
    const lb_layer_in *in = s->in;
    lb_storage storage = s->panels.storage;
    lb_warn(in->log, "%s; rounded to nearest instead", lb_error());
    LB_TRY(s->panels.mask ? lb_round_floats(in->arena, &storage, s->o->mse, in->so_far, in->team, out)
                          : lb_round_to_nearest_team(in->arena, &storage, s->o->mse, in->W, in->team, out));
    out->flags |= LB_FLAG_FALLBACK_RTN;
    if (!storage.order) return LB_OK;
    /* The order that is stored all the same: columns as they are. */
    if (!(out->order = LB_NEW(in->arena, int32_t, s->cols))) return LB_E_NOMEM;
    out->storage.order = true;
    for (int64_t p = 0; p < s->cols; p++) out->order[p] = (int32_t)p;
    return LB_OK;
}

/* With other dampings, or to the nearest, where an option allows it. */
static lb_status solve(solver *s, lb_layer *out) {
    double damp = s->o->percdamp;
    lb_status st = attempt(s, damp);
    while (st == LB_E_NUMERIC && s->o->on_failure == FAIL_RAISE_DAMP && damp < 1) {
        damp = fmin(fmax(10 * damp, 1e-4), 1);
        lb_warn(s->in->log, "%s; trying damp %g", lb_error(), damp);
        st = attempt(s, damp);
        if (st == LB_OK) out->flags |= LB_FLAG_DAMP_RAISED;
    }
    if (st == LB_E_NUMERIC && s->o->on_failure == FAIL_RTN) return fall_back_to_rtn(s, out);
    if (st == LB_OK && out->order) memcpy(out->order, s->perm, (size_t)s->cols * sizeof *s->perm);
    return st;
}

static lb_status gptq_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    const gptq_opts *o = opts;
    lb_storage storage;
    LB_TRY(in->so_far ? gptq_extend(opts, &in->so_far->storage, in->W.rows, in->W.cols, &storage)
                      : gptq_spec(opts, in->W.rows, in->W.cols, &storage));
    LB_TRY(lb_layer_in_check(in, "gptq", true));
    LB_TRY(lb_layer_new(in->arena, &storage, in->W.rows, in->W.cols, storage.order, out));
    solver s = {.in = in, .o = o, .cols = in->W.cols, .block = o->block < in->W.cols ? o->block : in->W.cols};
    LB_TRY(prepare(&s, &storage, out));
    if (s.panels.mask) memcpy(out->mask, s.panels.mask, (size_t)(out->rows * lb_mask_row_bytes(out->cols)));
    LB_TRY(solve(&s, out));
    if (!s.dead_columns) return LB_OK;
    out->flags |= LB_FLAG_DEAD_COLUMNS;
    lb_tell(&out->told, TOLD_DEAD, (double)s.dead_columns);
    return LB_OK;
}

/* Of the H that layers share one factorization; then the errors of a column reach those to its right. */
static void gptq_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    const gptq_opts *o = opts;
    lb_storage s = storage_of(o);
    double rows = (double)of->rows, cols = (double)of->cols;
    bool sorts = o->act_order, gathers = of->so_far && of->so_far->mask_of && o->group == LB_GROUP_TENSOR;
    out->products = rows * cols * cols + (of->first ? 2.0 / 3.0 * cols * cols * cols : 0);
    out->steps = lb_round_steps(&s, o->mse) * rows * cols;
    out->kept = of->first ? sizeof(factored) + sizeof(double) * cols * (double)leading(of->cols) : 0;
    out->scratch = lb_panels_bytes(&s, of->cols, o->block, o->group_refit == REFIT_COLUMN, of->threads) +
                   (21 + (sorts ? 8 : 0)) * cols + (gathers ? sizeof(float) * rows * cols : 0);
}

const lb_method lb_gptq_method = {
    .api = LB_METHOD_API,
    .name = "gptq",
    .summary = "second-order rounding, column by column, on calibration data",
    .cite = "frantar2023gptq",
    .needs = LB_NEEDS_HESSIAN | LB_FACTORS_HESSIAN,
    .options = {table, sizeof table / sizeof table[0], sizeof(gptq_opts)},
    .check = gptq_check,
    .spec = gptq_spec,
    .layer = gptq_layer,
    .extend = gptq_extend,
    .cost = gptq_cost,
    .diagnostics = {told, sizeof told / sizeof told[0]},
};

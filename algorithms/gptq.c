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
 * Rows know nothing of each other once Hinv is there: pieces of work are panels of rows. Float64 but for the grid,
 * whose float32 order of operations decides codes. `p` counts positions in solving order, `col` columns of W. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas.h"
#include "math/factor.h"
#include "math/kernels.h"
#include "quant/method.h"

#define PANEL_ROWS   32
#define STEP_COLUMNS 16 /* whose errors reach the rest of a block together */

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

/* A panel stands on its side: PANEL_ROWS numbers a column, so that all rows take each step together. The last panel of
 * a layer may have fewer rows; the others of its lanes hold 0. */
typedef struct worker {
    double *W;           /* (cols, PANEL_ROWS) in solving order, as of the last block's end */
    double *Err;         /* (block, PANEL_ROWS) */
    double *w1;          /* (block, PANEL_ROWS) the block with the updates of its earlier columns */
    float *scale, *zero; /* (groups, PANEL_ROWS) as fitted so far */
    float *x;            /* (cols) what a grid is fitted on */
} worker;

/* What layers on the same H share. */
typedef struct factored {
    bool valid, act_order;
    double damp;
    lb_dmat Hinv; /* (cols, cols) upper triangle, in solving order */
} factored;

typedef struct solver {
    const lb_layer_in *in;
    const gptq_opts *o;
    lb_storage storage;
    const uint8_t *mask; /* of the layer so far, or NULL */
    lb_encode_column *encode;
    int64_t rows, cols, group, groups, block;
    int32_t *perm;  /* (cols) position p holds column perm[p] */
    double *diag;   /* (cols) of H, 1 in the authors' scale where dead */
    double *damped; /* (cols) that plus the damping */
    bool *dead;     /* (cols) columns whose input never fired */
    factored *shared;
    lb_dmat Hinv; /* shared->Hinv */
    worker *work; /* one a thread */
    lb_layer *out;
} solver;

/* Dead columns, diag(H) and the order of solving. */
static int by_descending_diag(const void *a, const void *b) {
    const double *x = *(const double *const *)a, *y = *(const double *const *)b;
    if (*x != *y) return *x > *y ? -1 : 1;
    return x < y ? -1 : x > y; /* ties: the lower column first */
}

static lb_status order_columns(solver *s) {
    const lb_stats *stats = s->in->stats;
    /* the authors' code puts 1 into its H = 2 / sequences XᵀX, ours is XᵀX / tokens */
    double one = (double)stats->sequences / (2.0 * (double)stats->tokens);
    for (int64_t col = 0; col < s->cols; col++) {
        double h = stats->H.d[col * stats->H.ld + col];
        s->dead[col] = h == 0;
        s->out->dead_columns += s->dead[col];
        s->diag[col] = s->dead[col] ? one : h;
        s->perm[col] = (int32_t)col;
    }
    if (s->out->dead_columns) s->out->flags |= LB_FLAG_DEAD_COLUMNS;
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

static bool keeps(const solver *s, int64_t row, int64_t col) {
    return !s->mask || lb_mask_keeps(s->mask + row * lb_mask_row_bytes(s->cols), col);
}

static float *scale_at(solver *s, int64_t r, int64_t g) {
    return &s->out->scale[s->o->group == LB_GROUP_TENSOR ? 0 : r * s->groups + g];
}
static float *zero_at(solver *s, float *scale, float *unused) {
    return s->out->zero ? &s->out->zero[scale - s->out->scale] : unused;
}

/* Fits group g of row r on x (n): of nothing that is kept, as of a zero. */
static lb_status fit(solver *s, int64_t r, int64_t g, const float *x, int64_t n) {
    const float nothing = 0;
    float unused, *scale = scale_at(s, r, g);
    if (n == 0) x = &nothing, n = 1;
    return s->storage.format->fit(&s->storage, s->o->mse, x, n, scale, zero_at(s, scale, &unused));
}

/* The grids of group g to the lanes of the panel. */
static void take_grids(solver *s, worker *k, int64_t r0, int64_t n, int64_t g) {
    float middle = lb_storage_zero(&s->storage);
    for (int64_t i = 0; i < PANEL_ROWS; i++) {
        float *scale = scale_at(s, r0 + (i < n ? i : 0), g);
        k->scale[g * PANEL_ROWS + i] = *scale;
        k->zero[g * PANEL_ROWS + i] = *zero_at(s, scale, &middle);
    }
}

/* Grids that are fitted before solving: whole rows (before dead columns are zeroed), or static groups (after). */
static lb_status fit_row_first(solver *s, int64_t r, float *x) {
    const float *w = s->in->W.d + r * s->in->W.ld;
    if (s->o->group == LB_GROUP_ROW && !s->mask) return fit(s, r, 0, w, s->cols);
    if (s->o->group == LB_GROUP_ROW)
        return fit(s, r, 0, x, lb_mask_gather(s->mask, s->cols, r * s->cols, w, s->cols, x));
    if (!s->o->static_groups) return LB_OK;
    for (int64_t col = 0; col < s->cols; col++) x[col] = s->dead[col] ? 0 : w[col];
    for (int64_t g = 0; g < s->groups; g++) {
        int64_t start = g * s->group, n = start + s->group < s->cols ? s->group : s->cols - start;
        if (s->mask) n = lb_mask_gather(s->mask, s->cols, r * s->cols + start, x + start, n, x + start);
        LB_TRY(fit(s, r, g, x + start, n));
    }
    return LB_OK;
}

/* The group that starts at position p, reached inside the block [b0, b1), for all n rows of the panel. */
static lb_status fit_group_reached(solver *s, worker *k, int64_t r0, int64_t n, int64_t p, int64_t b0, int64_t b1) {
    int64_t end = p + s->group < s->cols ? p + s->group : s->cols;
    for (int64_t i = 0; i < n; i++) {
        const double *W = k->W + i, *Err = k->Err + i;
        int64_t kept = 0;
        for (int64_t c = p; c < end; c++) {
            double w = W[c * PANEL_ROWS];
            if (!keeps(s, r0 + i, s->perm[c])) continue;
            if (s->o->group_refit == REFIT_COLUMN) {
                if (c < b1)
                    w = k->w1[(c - b0) * PANEL_ROWS + i];
                else /* what the block's end will take out for the columns solved so far */
                    for (int64_t j = b0; j < p; j++) w -= Err[(j - b0) * PANEL_ROWS] * s->Hinv.d[j * s->Hinv.ld + c];
            }
            k->x[kept++] = (float)w;
        }
        LB_TRY(fit(s, r0 + i, p / s->group, k->x, kept));
    }
    take_grids(s, k, r0, n, p / s->group);
    return LB_OK;
}

/* What the mask leaves out at position p becomes 0. */
static void prune_column(const solver *s, uint8_t *code, double *err, const double *w, int64_t r0, int64_t n,
                         int64_t p) {
    for (int64_t i = 0; i < n; i++)
        if (!keeps(s, r0 + i, s->perm[p])) {
            code[i] = 0;
            err[i] = w[i] / s->Hinv.d[p * s->Hinv.ld + p];
        }
}

/* Position p of all n rows of the panel: codes, and errors over d (eq. 2). */
static lb_status round_column(solver *s, worker *k, int64_t r0, int64_t n, int64_t p, int64_t b0) {
    int64_t col = s->perm[p], g = s->o->group <= 0 ? 0 : (s->o->static_groups ? col : p) / s->group;
    const double *w = k->w1 + (p - b0) * PANEL_ROWS;
    uint8_t code[PANEL_ROWS];
    bool finite = s->encode(code, k->Err + (p - b0) * PANEL_ROWS, w, k->scale + g * PANEL_ROWS,
                            k->zero + g * PANEL_ROWS, s->Hinv.d[p * s->Hinv.ld + p], PANEL_ROWS, &s->storage);
    if (s->mask) prune_column(s, code, k->Err + (p - b0) * PANEL_ROWS, w, r0, n, p);
    for (int64_t i = 0; i < n; i++) s->out->codes[(r0 + i) * s->cols + col] = code[i];
    for (int64_t i = 0; !finite && i < n; i++)
        if (!isfinite(w[i]))
            return lb_fail(LB_E_NUMERIC, "row %lld, column %lld became %g", (long long)(r0 + i), (long long)col, w[i]);
    return LB_OK;
}

/* Takes the errors Err (p1 - p0, PANEL_ROWS) of positions [p0, p1) out of positions [c0, c1), which stand at w, eq. 3.
 */
static void spread(const solver *s, const double *Err, int64_t p0, int64_t p1, double *w, int64_t c0, int64_t c1) {
    if (c0 >= c1) return;
    lb_cdmat left = {Err, p1 - p0, PANEL_ROWS, PANEL_ROWS};
    lb_cdmat right = {s->Hinv.d + p0 * s->Hinv.ld + c0, p1 - p0, c1 - c0, s->Hinv.ld};
    lb_kernels_active()->sub_tn(lb_dmat_of(w, c1 - c0, PANEL_ROWS), right, left);
}

/* The n rows of a panel through the block [b0, b1), a few columns at a time, whose errors reach the rest of the block
 * together: in the same order as one by one, but with the rest read once. */
static lb_status solve_block(solver *s, worker *k, int64_t r0, int64_t n, int64_t b0, int64_t b1) {
    memcpy(k->w1, k->W + b0 * PANEL_ROWS, (size_t)((b1 - b0) * PANEL_ROWS) * sizeof *k->w1);
    for (int64_t p0 = b0, p1; p0 < b1; p0 = p1) {
        p1 = p0 + STEP_COLUMNS < b1 ? p0 + STEP_COLUMNS : b1;
        /* Where a group is fitted on weights that are up to date, a step ends. */
        int64_t next = (p0 / s->group + 1) * s->group;
        if (s->o->group_refit == REFIT_COLUMN && next < p1) p1 = next;
        for (int64_t p = p0; p < p1; p++) {
            bool reached = s->o->group > 0 && !s->o->static_groups && p % s->group == 0;
            if (reached) LB_TRY(fit_group_reached(s, k, r0, n, p, b0, b1));
            LB_TRY(round_column(s, k, r0, n, p, b0));
            spread(s, k->Err + (p - b0) * PANEL_ROWS, p, p + 1, k->w1 + (p + 1 - b0) * PANEL_ROWS, p + 1, p1);
        }
        spread(s, k->Err + (p0 - b0) * PANEL_ROWS, p0, p1, k->w1 + (p1 - b0) * PANEL_ROWS, p1, b1);
    }
    return LB_OK;
}

static lb_status begin_panel(solver *s, worker *k, int64_t r0, int64_t n) {
    for (int64_t i = 0; i < n; i++) LB_TRY(fit_row_first(s, r0 + i, k->x));
    bool fitted = s->o->group <= 0 || s->o->static_groups;
    for (int64_t g = 0; fitted && g < s->groups; g++) take_grids(s, k, r0, n, g);
    for (int64_t p = 0; p < s->cols; p++) {
        const float *w = s->in->W.d + r0 * s->in->W.ld + s->perm[p];
        bool dead = s->dead[s->perm[p]];
        for (int64_t i = 0; i < PANEL_ROWS; i++)
            k->W[p * PANEL_ROWS + i] = dead || i >= n ? 0 : (double)w[i * s->in->W.ld];
    }
    return LB_OK;
}

static lb_status solve_rows(solver *s, worker *k, int64_t r0, int64_t n) {
    LB_TRY(begin_panel(s, k, r0, n));
    for (int64_t b0 = 0; b0 < s->cols; b0 += s->block) {
        int64_t b1 = b0 + s->block < s->cols ? b0 + s->block : s->cols;
        LB_TRY(solve_block(s, k, r0, n, b0, b1));
        spread(s, k->Err, b0, b1, k->W + b1 * PANEL_ROWS, b1, s->cols); /* eq. 4 */
    }
    return LB_OK;
}

static lb_status solve_panel(void *ctx, int64_t piece, int worker_index) {
    solver *s = ctx;
    int64_t r0 = piece * PANEL_ROWS, n = r0 + PANEL_ROWS < s->rows ? PANEL_ROWS : s->rows - r0;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    lb_status st = solve_rows(s, &s->work[worker_index], r0, n);
    /* The errors of a column reach all columns to its right; the upper half of Hinv is read once a panel. */
    double weights = (double)n * (double)s->cols;
    lb_scope_end(&scope, weights * (double)s->cols, 13 * weights + 4 * (double)s->cols * (double)s->cols);
    return st;
}

static lb_status prepare_shared(solver *s) {
    lb_kept *kept = s->in->stats->kept;
    if (kept && kept->data) {
        s->shared = kept->data;
    } else {
        lb_arena *a = kept ? kept->arena : s->in->scratch;
        int64_t ld =
            ((s->cols + 7) / 8 | 1) * 8; /* an odd number of cache lines: a column's are not all in one place */
        if (!(s->shared = LB_NEW(a, factored, 1))) return LB_E_NOMEM;
        s->shared->Hinv = (lb_dmat){LB_NEW_UNSET(a, double, s->cols *ld), s->cols, s->cols, ld};
        if (!s->shared->Hinv.d) return LB_E_NOMEM;
        if (kept) kept->data = s->shared;
    }
    s->Hinv = s->shared->Hinv;
    return LB_OK;
}

/* Everything that needs memory, once: attempts with other dampings reuse it. */
static lb_status prepare(solver *s) {
    lb_arena *a = s->in->scratch;
    int threads = lb_team_threads(s->in->team);
    LB_TRY(prepare_shared(s));
    if (!(s->perm = LB_NEW(a, int32_t, s->cols)) || !(s->diag = LB_NEW(a, double, s->cols)) ||
        !(s->damped = LB_NEW(a, double, s->cols)) || !(s->dead = LB_NEW(a, bool, s->cols)) ||
        !(s->work = LB_NEW(a, worker, threads)))
        return LB_E_NOMEM;
    for (int t = 0; t < threads; t++) {
        worker *k = &s->work[t];
        if (!(k->W = LB_NEW_UNSET(a, double, PANEL_ROWS * s->cols)) ||
            !(k->Err = LB_NEW_UNSET(a, double, PANEL_ROWS * s->block)) ||
            !(k->w1 = LB_NEW_UNSET(a, double, PANEL_ROWS * s->block)) ||
            !(k->scale = LB_NEW(a, float, PANEL_ROWS * s->groups)) ||
            !(k->zero = LB_NEW(a, float, PANEL_ROWS * s->groups)) || !(k->x = LB_NEW(a, float, s->cols)))
            return LB_E_NOMEM;
    }
    return order_columns(s);
}

static lb_status fit_tensor(solver *s) {
    lb_cmat W = s->in->W;
    int64_t kept = 0;
    if (W.ld == W.cols && !s->mask) return fit(s, 0, 0, W.d, W.rows * W.cols);
    float *x = LB_NEW(s->in->scratch, float, W.rows *W.cols);
    if (!x) return LB_E_NOMEM;
    for (int64_t r = 0; r < W.rows; r++)
        kept += lb_mask_gather(s->mask, W.cols, r * W.cols, W.d + r * W.ld, W.cols, x + kept);
    return fit(s, 0, 0, x, kept);
}

static lb_status attempt(solver *s, double damp) {
    LB_TRY(lb_stats_reached(s->in));
    LB_TRY(factor(s, damp));
    if (s->o->group == LB_GROUP_TENSOR) LB_TRY(fit_tensor(s));
    lb_status st = lb_parallel_for(s->in->team, (s->rows - 1) / PANEL_ROWS + 1, solve_panel, s);
    if (st == LB_E_NUMERIC) return lb_fail_in(st, "layer %s (damp %g)", s->in->name, damp);
    if (st == LB_OK) s->out->damp = damp;
    return st;
}

static lb_status fall_back_to_rtn(solver *s, const lb_storage *storage) {
    uint32_t flags = s->out->flags & LB_FLAG_DEAD_COLUMNS;
    int64_t dead = s->out->dead_columns;
    lb_warn(s->in->log, "%s; rounded to nearest instead", lb_error());
    LB_TRY(s->mask ? lb_round_floats(s->in->arena, storage, s->o->mse, s->in->so_far, s->in->team, s->out)
                   : lb_round_to_nearest_team(s->in->arena, storage, s->o->mse, s->in->W, s->in->team, s->out));
    s->out->flags |= flags | LB_FLAG_FALLBACK_RTN;
    s->out->dead_columns = dead;
    if (!storage->order) return LB_OK;
    /* The order that is stored all the same: columns as they are. */
    if (!(s->out->order = LB_NEW(s->in->arena, int32_t, s->cols))) return LB_E_NOMEM;
    s->out->storage.order = true;
    for (int64_t p = 0; p < s->cols; p++) s->out->order[p] = (int32_t)p;
    return LB_OK;
}

static lb_status check_input(const lb_layer_in *in) {
    const lb_stats *t = in->stats;
    if (!t || t->H.rows != in->W.cols || t->H.cols != in->W.cols)
        return lb_fail(LB_E_ARG, "layer %s: gptq needs H of %lld columns", in->name, (long long)in->W.cols);
    int64_t bad = lb_mat_first_bad(in->W);
    if (bad < 0) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "layer %s: weight at row %lld, column %lld is NaN or infinite", in->name,
                   (long long)(bad / in->W.cols), (long long)(bad % in->W.cols));
}

static lb_status gptq_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    const gptq_opts *o = opts;
    lb_storage storage;
    const uint8_t *mask = in->so_far ? in->so_far->mask : NULL;
    LB_TRY(in->so_far ? gptq_extend(opts, &in->so_far->storage, in->W.rows, in->W.cols, &storage)
                      : gptq_spec(opts, in->W.rows, in->W.cols, &storage));
    LB_TRY(check_input(in));
    LB_TRY(lb_layer_new(in->arena, &storage, in->W.rows, in->W.cols, storage.order, out));
    if (mask) memcpy(out->mask, mask, (size_t)(out->rows * lb_mask_row_bytes(out->cols)));
    solver s = {.in = in,
                .o = o,
                .storage = storage,
                .mask = mask,
                .encode = lb_format_column_encoder(storage.format),
                .rows = in->W.rows,
                .cols = in->W.cols,
                .group = o->group > 0 ? o->group : in->W.cols,
                .groups = lb_storage_groups_per_row(&storage, in->W.cols),
                .block = o->block < in->W.cols ? o->block : in->W.cols,
                .out = out};
    LB_TRY(prepare(&s));
    lb_status st = attempt(&s, o->percdamp);
    double damp = o->percdamp;
    while (st == LB_E_NUMERIC && o->on_failure == FAIL_RAISE_DAMP && damp < 1) {
        damp = fmin(fmax(10 * damp, 1e-4), 1);
        lb_warn(in->log, "%s; trying damp %g", lb_error(), damp);
        st = attempt(&s, damp);
        if (st == LB_OK) out->flags |= LB_FLAG_DAMP_RAISED;
    }
    if (st == LB_E_NUMERIC && o->on_failure == FAIL_RTN) return fall_back_to_rtn(&s, &storage);
    if (st == LB_OK && storage.order)
        for (int64_t p = 0; p < s.cols; p++) out->order[p] = s.perm[p];
    return st;
}

extern const lb_method lb_gptq_method;
const lb_method lb_gptq_method = {
    .api = LB_METHOD_API,
    .name = "gptq",
    .summary = "second-order rounding, column by column, on calibration data",
    .cite = "frantar2023gptq",
    .needs = LB_NEEDS_HESSIAN,
    .options = {table, sizeof table / sizeof table[0], sizeof(gptq_opts)},
    .check = gptq_check,
    .spec = gptq_spec,
    .layer = gptq_layer,
    .extend = gptq_extend,
};

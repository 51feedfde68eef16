#include "quant/panel.h"

#include <math.h>

#include "base/profile.h"

enum { R = LB_PANEL_ROWS };

static bool keeps(const lb_panels *s, int64_t row, int64_t col) {
    return !s->mask || lb_mask_keeps(s->mask + row * lb_mask_row_bytes(s->cols), col);
}

/* ---- grids ---- */

static float *scale_at(lb_panels *s, int64_t r, int64_t g) {
    return &s->out->scale[s->storage.group == LB_GROUP_TENSOR ? 0 : r * s->groups + g];
}
static float *zero_at(lb_panels *s, float *scale, float *unused) {
    return s->out->zero ? &s->out->zero[scale - s->out->scale] : unused;
}

/* Fits group g of row r on x (n): of nothing that is kept, as of a zero. */
static lb_status fit(lb_panels *s, int64_t r, int64_t g, const float *x, int64_t n) {
    const float nothing = 0;
    if (n == 0) x = &nothing, n = 1;
    return lb_block_fit(s->out, s->clip_search, scale_at(s, r, g) - s->out->scale, x, n);
}

/* The grids of group g to the lanes of the panel. */
static void take_grids(lb_panels *s, lb_panel *k, int64_t g) {
    float middle = lb_storage_zero(&s->storage);
    for (int64_t i = 0; i < R; i++) {
        float *scale = scale_at(s, k->r0 + (i < k->n ? i : 0), g);
        k->scale[g * R + i] = *scale;
        k->zero[g * R + i] = *zero_at(s, scale, &middle);
    }
}

static lb_status fit_tensor(lb_panels *s) {
    lb_cmat W = s->in->W;
    int64_t kept = 0;
    if (W.ld == W.cols && !s->mask) return fit(s, 0, 0, W.d, W.rows * W.cols);
    float *x = LB_NEW(s->in->scratch, float, W.rows *W.cols);
    if (!x) return LB_E_NOMEM;
    for (int64_t r = 0; r < W.rows; r++)
        kept += lb_mask_gather(s->mask, W.cols, r * W.cols, W.d + r * W.ld, W.cols, x + kept);
    return fit(s, 0, 0, x, kept);
}

/* Grids that are fitted before solving: whole rows (before dead columns are zeroed), or static groups (after). */
static lb_status fit_row_first(lb_panels *s, int64_t r, float *x) {
    const float *w = s->in->W.d + r * s->in->W.ld;
    if (s->storage.group == LB_GROUP_ROW && !s->mask) return fit(s, r, 0, w, s->cols);
    if (s->storage.group == LB_GROUP_ROW)
        return fit(s, r, 0, x, lb_mask_gather(s->mask, s->cols, r * s->cols, w, s->cols, x));
    if (!s->static_groups) return LB_OK;
    for (int64_t col = 0; col < s->cols; col++) x[col] = s->dead[col] ? 0 : w[col];
    for (int64_t g = 0; g < s->groups; g++) {
        int64_t start = g * s->group, n = start + s->group < s->cols ? s->group : s->cols - start;
        if (s->mask) n = lb_mask_gather(s->mask, s->cols, r * s->cols + start, x + start, n, x + start);
        LB_TRY(fit(s, r, g, x + start, n));
    }
    return LB_OK;
}

lb_status lb_panel_fit(lb_panels *s, lb_panel *k, int64_t p, int64_t n, const double *w) {
    for (int64_t i = 0; i < k->n; i++) {
        int64_t kept = 0;
        for (int64_t c = 0; c < n; c++)
            if (keeps(s, k->r0 + i, s->perm[p + c])) k->x[kept++] = (float)w[c * R + i];
        LB_TRY(fit(s, k->r0 + i, p / s->group, k->x, kept));
    }
    take_grids(s, k, p / s->group);
    return LB_OK;
}

/* ---- codes ---- */

/* What the mask leaves out at position p becomes 0. */
static void prune_column(const lb_panels *s, const lb_panel *k, int64_t p, const double *w, double d, uint8_t *code,
                         double *err) {
    for (int64_t i = 0; i < k->n; i++)
        if (!keeps(s, k->r0 + i, s->perm[p])) {
            code[i] = 0;
            err[i] = w[i] / d;
        }
}

lb_status lb_panel_round(lb_panels *s, const lb_panel *k, int64_t p, const double *w, double d, double *err) {
    int64_t col = s->perm[p], g = s->storage.group <= 0 ? 0 : (s->static_groups ? col : p) / s->group;
    uint8_t code[R];
    bool finite = s->encode(code, err, w, k->scale + g * R, k->zero + g * R, d, R, &s->storage);
    if (s->mask) prune_column(s, k, p, w, d, code, err);
    for (int64_t i = 0; i < k->n; i++) s->out->codes[(k->r0 + i) * s->cols + col] = code[i];
    for (int64_t i = 0; !finite && i < k->n; i++)
        if (!isfinite(w[i]))
            return lb_fail(LB_E_NUMERIC, "row %lld, column %lld became %g", (long long)(k->r0 + i), (long long)col,
                           w[i]);
    return LB_OK;
}

/* ---- panels ---- */

static lb_status begin_panel(lb_panels *s, lb_panel *k) {
    for (int64_t i = 0; i < k->n; i++) LB_TRY(fit_row_first(s, k->r0 + i, k->x));
    bool fitted = s->storage.group <= 0 || s->static_groups;
    for (int64_t g = 0; fitted && g < s->groups; g++) take_grids(s, k, g);
    for (int64_t p = 0; p < s->cols; p++) {
        const float *w = s->in->W.d + k->r0 * s->in->W.ld + s->perm[p];
        bool dead = s->dead[s->perm[p]];
        for (int64_t i = 0; i < R; i++) k->W[p * R + i] = dead || i >= k->n ? 0 : (double)w[i * s->in->W.ld];
    }
    return LB_OK;
}

typedef struct panel_run {
    lb_panels *s;
    lb_panel_solve *solve;
    void *ctx;
} panel_run;

static lb_status run_panel(void *ctx, int64_t piece, int worker) {
    const panel_run *run = ctx;
    lb_panels *s = run->s;
    lb_panel *k = &s->panel[worker];
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    k->r0 = piece * R;
    k->n = k->r0 + R < s->rows ? R : s->rows - k->r0;
    lb_status st = begin_panel(s, k);
    if (st == LB_OK) st = run->solve(run->ctx, k);
    /* The errors of a column reach all columns to its right; the upper half of a (cols, cols) is read once a panel. */
    double weights = (double)k->n * (double)s->cols;
    lb_scope_end(&scope, weights * (double)s->cols, 13 * weights + 4 * (double)s->cols * (double)s->cols);
    return st;
}

lb_status lb_panels_run(lb_panels *s, lb_panel_solve *solve, void *ctx) {
    panel_run run = {s, solve, ctx};
    if (s->storage.group == LB_GROUP_TENSOR) LB_TRY(fit_tensor(s));
    return lb_parallel_for(s->in->team, (s->rows - 1) / R + 1, run_panel, &run);
}

/* ---- memory ---- */

static int64_t fresh_columns(const lb_panels *s) { return !s->refits ? 0 : s->group < s->cols ? s->group : s->cols; }

lb_status lb_panels_new(lb_panels *s) {
    lb_arena *a = s->in->scratch;
    int threads = lb_team_threads(s->in->team);
    s->encode = lb_format_column_encoder(s->storage.format);
    s->rows = s->in->W.rows;
    s->cols = s->in->W.cols;
    s->group = s->storage.group > 0 ? s->storage.group : s->cols;
    s->groups = lb_storage_groups_per_row(&s->storage, s->cols);
    if (s->block > s->cols) s->block = s->cols;
    if (!(s->panel = LB_NEW(a, lb_panel, threads))) return LB_E_NOMEM;
    for (int t = 0; t < threads; t++) {
        lb_panel *k = &s->panel[t];
        if (!(k->W = LB_NEW_UNSET(a, double, R * s->cols)) || !(k->Err = LB_NEW_UNSET(a, double, R * s->block)) ||
            !(k->w1 = LB_NEW_UNSET(a, double, R * s->block)) ||
            !(k->fresh = LB_NEW_UNSET(a, double, R *fresh_columns(s))) ||
            !(k->scale = LB_NEW(a, float, R * s->groups)) || !(k->zero = LB_NEW(a, float, R * s->groups)) ||
            !(k->x = LB_NEW(a, float, s->cols)))
            return LB_E_NOMEM;
    }
    return LB_OK;
}

double lb_panels_bytes(const lb_storage *s, int64_t cols, int64_t block, bool refits, int threads) {
    int64_t group = s->group > 0 && s->group < cols ? s->group : cols, wide = block < cols ? block : cols;
    double columns = (double)(cols + 2 * wide + (refits ? group : 0));
    double groups = (double)lb_storage_groups_per_row(s, cols);
    return threads * (R * (sizeof(double) * columns + 2 * sizeof(float) * groups) + sizeof(float) * (double)cols);
}

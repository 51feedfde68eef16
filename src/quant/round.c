/* Round-to-nearest of a whole matrix. Pieces are runs of rows (uniform) or of blocks (codebook). */
#include <math.h>

#include "base/profile.h"
#include "quant/grid.h"

#define PANEL_ROWS   16
#define PIECE_BLOCKS 256

typedef struct round_job {
    lb_gridspec grid;
    lb_codebook_cuts cuts;
    lb_cmat W;
    lb_compressed *c;
    bool fitted; /* per tensor: the one scale is there already */
} round_job;

static lb_status rows_of(const round_job *j, int64_t piece) {
    lb_compressed *c = j->c;
    const lb_storage *s = &c->storage;
    int64_t groups = lb_storage_groups_per_row(s, c->cols), group = s->group > 0 ? s->group : c->cols;
    int64_t last = (piece + 1) * PANEL_ROWS < c->rows ? (piece + 1) * PANEL_ROWS : c->rows;
    int maxq = (1 << s->bits) - 1;
    for (int64_t r = piece * PANEL_ROWS; r < last; r++) {
        const float *w = j->W.d + r * j->W.ld;
        for (int64_t g = 0; g < groups; g++) {
            int64_t at = j->fitted ? 0 : r * groups + g;
            int64_t start = g * group, n = start + group < c->cols ? group : c->cols - start;
            float middle = (float)(1 << (s->bits - 1)), *zero = c->zero ? &c->zero[at] : &middle;
            if (!j->fitted) LB_TRY(lb_grid_fit(&j->grid, w + start, n, 1, &c->scale[at], zero));
            for (int64_t i = start; i < start + n; i++)
                c->codes[r * c->cols + i] = lb_grid_code(w[i], c->scale[at], *zero, maxq);
        }
    }
    return LB_OK;
}

static lb_status blocks_of(const round_job *j, int64_t piece) {
    lb_compressed *c = j->c;
    int64_t block = c->storage.group, weights = c->rows * c->cols, blocks = (weights - 1) / block + 1;
    int64_t last = (piece + 1) * PIECE_BLOCKS < blocks ? (piece + 1) * PIECE_BLOCKS : blocks;
    for (int64_t b = piece * PIECE_BLOCKS; b < last; b++) {
        int64_t end = (b + 1) * block < weights ? (b + 1) * block : weights;
        float absmax = 0;
        for (int64_t k = b * block; k < end; k++)
            absmax = fmaxf(absmax, fabsf(j->W.d[k / c->cols * j->W.ld + k % c->cols]));
        if (absmax > 0) absmax = lb_scale_round(c->storage.scale_type, absmax);
        float inverse = 1.0f / fmaxf(absmax, 1e-38f); /* a block of zeros gets the code of 0 */
        for (int64_t k = b * block; k < end; k++) {
            float v = j->W.d[k / c->cols * j->W.ld + k % c->cols] * inverse;
            c->codes[k] = lb_codebook_code(&j->cuts, v);
        }
        c->scale[b] = absmax;
    }
    return LB_OK;
}

static lb_status round_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const round_job *j = ctx;
    bool uniform = j->c->storage.kind == LB_GRID_UNIFORM;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    lb_status st = uniform ? rows_of(j, piece) : blocks_of(j, piece);
    double weights = uniform ? (double)(PANEL_ROWS * j->c->cols) : (double)(PIECE_BLOCKS * j->c->storage.group);
    lb_scope_end(&scope, 5 * weights, 5 * weights); /* the last piece may be shorter */
    return st;
}

/* One scale over all rows: a copy without gaps if W has any. */
static lb_status fit_tensor(lb_arena *a, const lb_gridspec *g, lb_cmat W, lb_compressed *c) {
    float middle = 0;
    const float *w = W.d;
    lb_arena_mark mark = lb_arena_save(a);
    if (W.ld != W.cols) {
        float *copy = LB_NEW(a, float, W.rows *W.cols);
        if (!copy) return LB_E_NOMEM;
        for (int64_t k = 0; k < W.rows * W.cols; k++) copy[k] = W.d[k / W.cols * W.ld + k % W.cols];
        w = copy;
    }
    LB_TRY(lb_grid_fit(g, w, W.rows * W.cols, 1, c->scale, c->zero ? c->zero : &middle));
    lb_arena_restore(a, mark);
    return LB_OK;
}

lb_status lb_round_to_nearest_team(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W, lb_team *team,
                                   lb_compressed *out) {
    if (s->kind == LB_GRID_FLOAT) return lb_fail(LB_E_ARG, "round-to-nearest needs a uniform grid or a codebook");
    int64_t bad = lb_mat_first_bad(W);
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "weight at row %lld, column %lld is %g: must be finite", (long long)(bad / W.cols),
                       (long long)(bad % W.cols), (double)W.d[bad / W.cols * W.ld + bad % W.cols]);
    LB_TRY(lb_compressed_new(a, s, W.rows, W.cols, false, out));
    round_job j = {.grid = {s->bits, s->symmetric, clip_search, s->scale_type}, .W = W, .c = out};
    if (s->kind == LB_GRID_UNIFORM) {
        if (s->group == LB_GROUP_TENSOR) {
            LB_TRY(fit_tensor(a, &j.grid, W, out));
            j.fitted = true;
        }
        return lb_parallel_for(team, (W.rows - 1) / PANEL_ROWS + 1, round_piece, &j);
    }
    j.cuts = lb_codebook_cuts_of(s->book);
    int64_t blocks = lb_storage_scales(s, W.rows, W.cols);
    LB_TRY(lb_parallel_for(team, (blocks - 1) / PIECE_BLOCKS + 1, round_piece, &j));
    if (s->double_quant) { /* codes keep the first scales; what is read back are the second ones */
        lb_double_quant(out->scale, blocks, out->dq_code, out->dq_scale, &out->dq_mean);
        lb_double_quant_expand(out->dq_code, out->dq_scale, out->dq_mean, blocks, out->scale);
    }
    return LB_OK;
}

lb_status lb_round_to_nearest(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W, lb_compressed *out) {
    return lb_round_to_nearest_team(a, s, clip_search, W, NULL, out);
}

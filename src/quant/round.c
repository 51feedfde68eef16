/* Round-to-nearest of a whole matrix. Pieces are runs of rows, or of blocks where those go on over row ends. */
#include <string.h>

#include "base/profile.h"
#include "quant/format.h"
#include "quant/grid.h"

#define PANEL_ROWS   16
#define PIECE_BLOCKS 256

typedef struct round_job {
    bool clip_search;
    lb_cmat W;
    lb_layer *c;
    bool fitted;         /* per tensor: the one scale is there already */
    const uint8_t *mask; /* or NULL; then W has no gaps, and a worker brings together what a block keeps: */
    int64_t most;        /* weights of a block */
    float *kept;         /* (threads, most) */
    uint8_t *code;       /* (threads, most) */
} round_job;

static lb_status fit_block(const round_job *j, int64_t at, const float *x, int64_t n) {
    return lb_block_fit(j->c, j->clip_search, at, x, n);
}

static void encode_block(const round_job *j, int64_t at, const float *x, int64_t n, uint8_t *code) {
    const lb_storage *s = &j->c->storage;
    s->format->encode(s, x, n, j->c->scale[at], j->c->zero ? j->c->zero[at] : lb_storage_zero(s), code);
}

/* A block with nothing in it carries what one of zeros does. */
static lb_status fit_kept(const round_job *j, int64_t at, int64_t k, const float *w, int64_t n, float *x) {
    int64_t kept = lb_mask_gather(j->mask, j->W.cols, k, w, n, x);
    if (kept == 0) x[0] = 0;
    return fit_block(j, at, x, kept ? kept : 1);
}

/* Block `at`: the n weights w, which are those from number k on. */
static lb_status round_block(const round_job *j, int64_t at, int64_t k, const float *w, int64_t n, int worker) {
    uint8_t *out = j->c->codes + k;
    if (!j->mask) {
        if (!j->fitted) LB_TRY(fit_block(j, at, w, n));
        encode_block(j, at, w, n, out);
        return LB_OK;
    }
    float *x = j->kept + worker * j->most;
    uint8_t *code = j->code + worker * j->most;
    if (!j->fitted) LB_TRY(fit_kept(j, at, k, w, n, x));
    int64_t kept = lb_mask_gather(j->mask, j->W.cols, k, w, n, x);
    encode_block(j, at, x, kept, code);
    lb_mask_scatter(j->mask, j->W.cols, k, code, n, out);
    return LB_OK;
}

static lb_status rows_of(const round_job *j, int64_t piece, int worker) {
    lb_layer *c = j->c;
    const lb_storage *s = &c->storage;
    int64_t groups = lb_storage_groups_per_row(s, c->cols), group = s->group > 0 ? s->group : c->cols;
    int64_t last = (piece + 1) * PANEL_ROWS < c->rows ? (piece + 1) * PANEL_ROWS : c->rows;
    for (int64_t r = piece * PANEL_ROWS; r < last; r++)
        for (int64_t g = 0; g < groups; g++) {
            int64_t at = j->fitted ? 0 : r * groups + g;
            int64_t start = g * group, n = start + group < c->cols ? group : c->cols - start;
            LB_TRY(round_block(j, at, r * c->cols + start, j->W.d + r * j->W.ld + start, n, worker));
        }
    return LB_OK;
}

/* W has no gaps. */
static lb_status blocks_of(const round_job *j, int64_t piece, int worker) {
    lb_layer *c = j->c;
    int64_t block = c->storage.group, weights = c->rows * c->cols, blocks = (weights - 1) / block + 1;
    int64_t last = (piece + 1) * PIECE_BLOCKS < blocks ? (piece + 1) * PIECE_BLOCKS : blocks;
    for (int64_t b = piece * PIECE_BLOCKS; b < last; b++) {
        int64_t k = b * block, n = k + block < weights ? block : weights - k;
        LB_TRY(round_block(j, b, k, j->W.d + k, n, worker));
    }
    return LB_OK;
}

static lb_status round_piece(void *ctx, int64_t piece, int worker) {
    const round_job *j = ctx;
    bool flat = j->c->storage.format->shape == LB_SHAPE_FLAT;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    lb_status st = flat ? blocks_of(j, piece, worker) : rows_of(j, piece, worker);
    double weights = flat ? (double)(PIECE_BLOCKS * j->c->storage.group) : (double)(PANEL_ROWS * j->c->cols);
    lb_scope_end(&scope, 5 * weights, 5 * weights); /* the last piece may be shorter */
    return st;
}

/* W without gaps, for blocks that go on over row ends. */
static lb_status without_gaps(lb_arena *a, lb_cmat *W) {
    if (W->ld == W->cols) return LB_OK;
    float *copy = LB_NEW_UNSET(a, float, W->rows * W->cols);
    if (!copy) return LB_E_NOMEM;
    for (int64_t r = 0; r < W->rows; r++) memcpy(copy + r * W->cols, W->d + r * W->ld, (size_t)W->cols * sizeof *copy);
    *W = lb_cmat_of(copy, W->rows, W->cols);
    return LB_OK;
}

static lb_status round_all(lb_arena *a, round_job *j, lb_team *team) {
    const lb_storage *s = &j->c->storage;
    int64_t blocks = lb_storage_scales(s, j->W.rows, j->W.cols);
    bool flat = s->format->shape == LB_SHAPE_FLAT;
    if (flat || s->group == LB_GROUP_TENSOR) LB_TRY(without_gaps(a, &j->W));
    if (j->mask) {
        int threads = lb_team_threads(team);
        bool whole = !flat && s->group == LB_GROUP_TENSOR;
        int64_t one = s->group > 0 ? s->group : j->W.cols;
        j->most = flat || one < j->W.cols ? one : j->W.cols;
        j->kept = LB_NEW_UNSET(a, float, j->most *threads + (whole ? j->W.rows * j->W.cols : 0));
        j->code = LB_NEW_UNSET(a, uint8_t, j->most * threads);
        if (!j->kept || !j->code) return LB_E_NOMEM;
    }
    if (flat) return lb_parallel_for(team, (blocks - 1) / PIECE_BLOCKS + 1, round_piece, j);
    if (s->group == LB_GROUP_TENSOR) {
        LB_TRY(j->mask ? fit_kept(j, 0, 0, j->W.d, j->W.rows * j->W.cols, j->kept)
                       : fit_block(j, 0, j->W.d, j->W.rows * j->W.cols));
        j->fitted = true;
    }
    return lb_parallel_for(team, (j->W.rows - 1) / PANEL_ROWS + 1, round_piece, j);
}

static lb_status round_onto(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W, const uint8_t *mask,
                            lb_team *team, lb_layer *out) {
    if (lb_storage_dense(s)) return lb_fail(LB_E_ARG, "round-to-nearest needs a format with codes");
    int64_t bad = lb_mat_first_bad(W);
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "weight at row %lld, column %lld is %g: must be finite", (long long)(bad / W.cols),
                       (long long)(bad % W.cols), (double)W.d[bad / W.cols * W.ld + bad % W.cols]);
    LB_TRY(lb_layer_new(a, s, W.rows, W.cols, false, out));
    if (mask) memcpy(out->mask, mask, (size_t)(W.rows * lb_mask_row_bytes(W.cols)));
    lb_arena_mark mark = lb_arena_save(a);
    round_job j = {.clip_search = clip_search, .W = W, .c = out, .mask = mask};
    LB_TRY(round_all(a, &j, team));
    lb_arena_restore(a, mark);
    if (s->format->finish) s->format->finish(out);
    return LB_OK;
}

lb_status lb_round_to_nearest_team(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W, lb_team *team,
                                   lb_layer *out) {
    if (s->mask_of || s->rank) return lb_fail(LB_E_ARG, "round-to-nearest makes codes alone, no mask and no pair");
    return round_onto(a, s, clip_search, W, NULL, team, out);
}

lb_status lb_round_floats(lb_arena *a, const lb_storage *s, bool clip_search, const lb_layer *floats, lb_team *team,
                          lb_layer *out) {
    return round_onto(a, s, clip_search, lb_cmat_of(floats->dense, floats->rows, floats->cols), floats->mask, team,
                      out);
}

lb_status lb_round_to_nearest(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W, lb_layer *out) {
    return lb_round_to_nearest_team(a, s, clip_search, W, NULL, out);
}

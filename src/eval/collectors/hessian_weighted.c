/* H of tokens that count otherwise: sum of w x xᵀ / tokens, w >= 0 a token's own.
 *   norm       w = 1 / |x|^2: every token the same, whatever its length
 *   clip       w = min(1, (k m / |x|)^2), m the (lower) median |x| of a sequence's rows: a few long ones do not carry
 * all attention  w by the attention that the token receives in its block (Sung et al. 2025, arXiv:2503.01820), which
 * comes with the rows Rows are scaled by the root of w in float32, and summed as those of H are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/collectors/collectors.h"
#include "eval/hessian.h"

enum { ROWS = 64 }; /* scaled in one piece of work */

/* From the energies of a batch's rows, in place, to what each row is scaled by. */
typedef lb_status scales_of(const lb_batch *b, double *scale);

static lb_status by_norm(const lb_batch *b, double *scale) {
    for (int64_t t = 0; t < b->X.rows; t++) scale[t] = scale[t] > 0 ? 1 / sqrt(scale[t]) : 0;
    return LB_OK;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static lb_status by_clip(const lb_batch *b, double *scale) {
    double *sorted = lb_alloc((size_t)b->X.rows + 1, sizeof *sorted);
    if (!sorted) return LB_E_NOMEM;
    for (int64_t s = 0; s < b->sequences; s++) {
        double *of = scale + lb_batch_start(b, s);
        int64_t length = lb_batch_start(b, s + 1) - lb_batch_start(b, s);
        memcpy(sorted, of, (size_t)length * sizeof *sorted);
        qsort(sorted, (size_t)length, sizeof *sorted, ascending);
        double most = b->clip * sqrt(sorted[(length - 1) / 2]);
        for (int64_t t = 0; t < length; t++) {
            double norm = sqrt(of[t]);
            of[t] = norm > most ? most / norm : 1;
        }
    }
    lb_free(sorted);
    return LB_OK;
}

static lb_status by_attention(const lb_batch *b, double *scale) {
    for (int64_t t = 0; t < b->X.rows; t++) scale[t] = b->attention ? sqrt((double)b->attention[t]) : 1;
    return LB_OK;
}

/* Chunks of several inputs, scaled. */
typedef struct scaling {
    const lb_batch *b;    /* (n) all their rows */
    lb_batch *chunk;      /* (n) X.d is `to` */
    double *const *scale; /* (n) of all rows */
    int64_t first;        /* row */
    int n;
} scaling;

static int64_t pieces_of(const scaling *s, int i) { return s->chunk[i].X.d ? (s->chunk[i].X.rows - 1) / ROWS + 1 : 0; }

static lb_status scale_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const scaling *s = ctx;
    int i = 0;
    for (; piece >= pieces_of(s, i); i++) piece -= pieces_of(s, i);
    lb_cmat from = s->b[i].X, to = s->chunk[i].X;
    int64_t end = (piece + 1) * ROWS < to.rows ? (piece + 1) * ROWS : to.rows;
    for (int64_t t = piece * ROWS; t < end; t++) {
        const float *x = from.d + (s->first + t) * from.ld;
        float *y = (float *)(uintptr_t)to.d + t * to.ld, by = (float)s->scale[i][s->first + t];
        for (int64_t c = 0; c < to.cols; c++) y[c] = by * x[c];
    }
    return LB_OK;
}

static lb_status add_chunks(scaling *s, lb_hessian *const *h, float *rows, int64_t most, lb_team *team) {
    for (s->first = 0; s->first < most; s->first += LB_HESSIAN_CHUNK) {
        float *at = rows;
        int64_t pieces = 0;
        for (int i = 0; i < s->n; i++) {
            int64_t left = s->scale[i] ? s->b[i].X.rows - s->first : 0, cols = s->b[i].X.cols;
            int64_t n = left < LB_HESSIAN_CHUNK ? left : LB_HESSIAN_CHUNK;
            s->chunk[i] = (lb_batch){.sequences = 1};
            if (n < 1) continue;
            s->chunk[i].X = lb_cmat_of(at, n, cols);
            at += n * cols;
            pieces += pieces_of(s, i);
        }
        LB_TRY(lb_parallel_for(team, pieces, scale_rows, s));
        LB_TRY(lb_hessians_add(h, s->chunk, s->n, team));
    }
    return LB_OK;
}

/* Room for the scales of all rows and for a chunk of each input. */
typedef struct room {
    lb_hessian **h;
    double **scale, *scales;
    lb_batch *chunk;
    float *rows;
    int64_t most; /* rows of an input */
} room;

static void free_room(room *r) {
    lb_free(r->h);
    lb_free(r->scale);
    lb_free(r->scales);
    lb_free(r->chunk);
    lb_free(r->rows);
}

static lb_status make_room(void *const *sum, const lb_batch *b, int n, room *r) {
    int64_t all = 0, floats = 0;
    for (int i = 0; i < n; i++) {
        if (!sum[i] || !b[i].X.d) continue;
        int64_t rows = b[i].X.rows;
        all += rows;
        floats += (rows < LB_HESSIAN_CHUNK ? rows : LB_HESSIAN_CHUNK) * b[i].X.cols;
        r->most = rows > r->most ? rows : r->most;
    }
    if (r->most == 0) return LB_OK;
    r->h = lb_alloc((size_t)n, sizeof *r->h);
    r->scale = lb_alloc((size_t)n, sizeof *r->scale);
    r->chunk = lb_alloc((size_t)n, sizeof *r->chunk);
    r->scales = lb_realloc(NULL, 0, (size_t)all, sizeof *r->scales); /* these two are not zeroed */
    r->rows = lb_realloc(NULL, 0, (size_t)floats, sizeof *r->rows);
    if (!r->h || !r->scale || !r->chunk || !r->scales || !r->rows) return LB_E_NOMEM;
    double *at = r->scales;
    for (int i = 0; i < n; i++) {
        if (!sum[i] || !b[i].X.d) continue;
        r->h[i] = sum[i];
        r->scale[i] = at;
        at += b[i].X.rows;
    }
    return LB_OK;
}

static lb_status add_scaled(void *const *sum, const lb_batch *b, int n, lb_team *team, scales_of *scales) {
    room r = {0};
    lb_status st = make_room(sum, b, n, &r);
    if (st == LB_OK && r.most > 0) st = lb_collect_energies(b, r.scale, n, team);
    for (int i = 0; i < n && st == LB_OK && r.most > 0; i++)
        if (r.scale[i]) st = scales(&b[i], r.scale[i]);
    scaling s = {.b = b, .chunk = r.chunk, .scale = r.scale, .n = n};
    if (st == LB_OK && r.most > 0) st = add_chunks(&s, r.h, r.rows, r.most, team);
    free_room(&r);
    return st;
}

static lb_status add_by_norm(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    return add_scaled(sum, b, n, team, by_norm);
}
static lb_status add_by_clip(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    return add_scaled(sum, b, n, team, by_clip);
}
static lb_status add_by_attention(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    return add_scaled(sum, b, n, team, by_attention);
}

static void give_norm(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    (void)tokens;
    out->H_equal = (lb_cdmat){numbers, cols, cols, cols};
}
static void give_clip(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    (void)tokens;
    out->H_clip = (lb_cdmat){numbers, cols, cols, cols};
}
static void give_attention(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    (void)tokens;
    out->H_attention = (lb_cdmat){numbers, cols, cols, cols};
}

static lb_status merge_norm(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    return lb_collect_merge_hessian(a, cols, next, next->H_equal, sum, &sum->H_equal);
}
static lb_status merge_clip(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    return lb_collect_merge_hessian(a, cols, next, next->H_clip, sum, &sum->H_clip);
}
static lb_status merge_attention(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    return lb_collect_merge_hessian(a, cols, next, next->H_attention, sum, &sum->H_attention);
}

const lb_collector lb_collect_hessian_norm = {LB_COLLECT_HESSIAN, .need = LB_NEEDS_HESSIAN_NORM,
                                              .name = "norm",     .words = "Hessians of tokens of one length",
                                              .add = add_by_norm, .give = give_norm,
                                              .merge = merge_norm};
const lb_collector lb_collect_hessian_clip = {LB_COLLECT_HESSIAN, .need = LB_NEEDS_HESSIAN_CLIP,
                                              .name = "clip",     .words = "Hessians of clipped tokens",
                                              .add = add_by_clip, .give = give_clip,
                                              .merge = merge_clip};
const lb_collector lb_collect_hessian_attention = {
    LB_COLLECT_HESSIAN,      .need = LB_NEEDS_HESSIAN_ATTENTION,
    .name = "attention",     .words = "Hessians of tokens by the attention they receive",
    .add = add_by_attention, .give = give_attention,
    .merge = merge_attention};

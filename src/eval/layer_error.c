#include "eval/layer_error.h"

#include <assert.h>
#include <math.h>

#include "math/blas.h"

#define TILE         192       /* columns */
#define STRIP_FLOATS (1 << 20) /* of the layer that are float64 at a time; at least MIN_ROWS rows */
#define MIN_ROWS     256

/* Gram matrices G = DᵀD answer for every H at once: tr(D H Dᵀ) = sum of G H over all entries. A strip of rows of one
 * entry, W or a What - W, becomes float64, tile of columns by tile; then a piece is a tile of the upper triangle of the
 * strip's G, whose sums are added to those of the strips before. Tiles off the diagonal count twice. */
typedef struct sums {
    double squares;                   /* of the entries on the diagonal of G */
    double output[LB_ERROR_HESSIANS]; /* under each H */
} sums;

enum { ENTRIES = 1 + LB_ERROR_FORMS }; /* W, then each What - W */

typedef struct error_job {
    lb_cmat W, What[LB_ERROR_FORMS];
    lb_cdmat H[LB_ERROR_HESSIANS];
    int n_what, n_h;
    const lb_layer_error *energy; /* (n_h) or NULL: not known */
    int64_t tiles, strip;         /* rows of a strip */
    double *D;                    /* (tiles, strip, TILE) */
    double *G;                    /* (threads, TILE, TILE) */
    sums *sum;                    /* (pieces, ENTRIES) */
    int entry;                    /* at hand, and its rows */
    int64_t r0, rows;
} error_job;

static int64_t width(const error_job *j, int64_t t) { return t < j->tiles - 1 ? TILE : j->W.cols - t * TILE; }
static double *tile_of(const error_job *j, int64_t t) { return j->D + t * j->strip * TILE; }

/* Tile `t` of the strip as float64. */
static lb_status take(void *ctx, int64_t t, int worker) {
    (void)worker;
    const error_job *j = ctx;
    int64_t n = width(j, t);
    for (int64_t r = 0; r < j->rows; r++) {
        const float *w = j->W.d + (j->r0 + r) * j->W.ld + t * TILE;
        double *to = tile_of(j, t) + r * n;
        if (j->entry == 0) {
            for (int64_t c = 0; c < n; c++) to[c] = (double)w[c];
            continue;
        }
        lb_cmat What = j->What[j->entry - 1];
        const float *what = What.d + (j->r0 + r) * What.ld + t * TILE;
        for (int64_t c = 0; c < n; c++) to[c] = (double)what[c] - (double)w[c];
    }
    return LB_OK;
}

static void add_sums(const error_job *j, lb_cdmat G, int64_t i0, int64_t j0, sums *out) {
    bool diagonal = i0 == j0;
    for (int64_t r = 0; diagonal && r < G.rows; r++) out->squares += G.d[r * G.ld + r];
    for (int k = 0; k < j->n_h; k++) {
        double sum = 0;
        for (int64_t r = 0; r < G.rows; r++) {
            const double *g = G.d + r * G.ld, *h = j->H[k].d + (i0 + r) * j->H[k].ld + j0;
            double row = diagonal ? 0.5 * g[r] * h[r] : 0;
            for (int64_t c = diagonal ? r + 1 : 0; c < G.cols; c++) row += g[c] * h[c];
            sum += row;
        }
        out->output[k] += 2 * sum;
    }
}

static lb_status tile(void *ctx, int64_t piece, int worker) {
    const error_job *j = ctx;
    int64_t ti = 0, tj = piece;
    for (; j->n_h && tj >= j->tiles - ti; ti++) tj -= j->tiles - ti;
    if (!j->n_h) ti = tj, tj = 0; /* squares are on the diagonal */
    tj += ti;
    int64_t m = width(j, ti), n = width(j, tj);
    lb_cdmat left = {tile_of(j, ti), j->rows, m, m}, right = {tile_of(j, tj), j->rows, n, n};
    lb_dmat G = lb_dmat_of(j->G + (int64_t)worker * TILE * TILE, m, n);
    if (ti == tj)
        lb_dsyrk_t(1, left, 0, G);
    else
        lb_dgemm(true, false, 1, left, right, 0, G);
    add_sums(j, lb_dmat_c(G), ti * TILE, tj * TILE, &j->sum[piece * ENTRIES + j->entry]);
    return LB_OK;
}

static lb_status all_strips(error_job *j, int64_t pieces, lb_team *team) {
    for (j->entry = j->energy ? 1 : 0; j->entry <= j->n_what; j->entry++)
        for (j->r0 = 0; j->r0 < j->W.rows; j->r0 += j->strip) {
            j->rows = j->r0 + j->strip < j->W.rows ? j->strip : j->W.rows - j->r0;
            LB_TRY(lb_parallel_for(team, j->tiles, take, j));
            LB_TRY(lb_parallel_for(team, pieces, tile, j));
        }
    return LB_OK;
}

static lb_status check(lb_cmat W, const lb_cmat *What, int n_what, const lb_cdmat *H, int n_h) {
    assert(n_what >= 1 && n_what <= LB_ERROR_FORMS && n_h >= 0 && n_h <= LB_ERROR_HESSIANS);
    for (int i = 0; i < n_what; i++)
        if (What[i].rows != W.rows || What[i].cols != W.cols || W.rows < 1 || W.cols < 1)
            return lb_fail(LB_E_ARG, "layer error: W is (%lld, %lld), its quantized form (%lld, %lld)",
                           (long long)W.rows, (long long)W.cols, (long long)What[i].rows, (long long)What[i].cols);
    for (int k = 0; k < n_h; k++)
        if (H[k].rows != W.cols || H[k].cols != W.cols)
            return lb_fail(LB_E_ARG, "layer error: W has %lld columns, H is (%lld, %lld)", (long long)W.cols,
                           (long long)H[k].rows, (long long)H[k].cols);
    return LB_OK;
}

static lb_layer_error of_sums(const error_job *j, const sums *total, int what, int k) {
    return (lb_layer_error){.rows = j->W.rows,
                            .cols = j->W.cols,
                            .weight_err = total[1 + what].squares,
                            .weight_energy = j->energy ? j->energy->weight_energy : total[0].squares,
                            .output_err = k < j->n_h ? total[1 + what].output[k] : NAN,
                            .output_energy = k >= j->n_h ? NAN
                                             : j->energy ? j->energy[k].output_energy
                                                         : total[0].output[k]};
}

/* NaN means "not measured" to whoever reads a result: it may not come from numbers that were. */
static lb_status check_finite(const error_job *j, const lb_layer_error *e) {
    bool weights = isfinite(e->weight_err) && isfinite(e->weight_energy);
    bool outputs = j->n_h == 0 || (isfinite(e->output_err) && isfinite(e->output_energy));
    if (weights && outputs) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "%s error is %g, of an energy of %g: weights or inputs are NaN or too large",
                   weights ? "output" : "weight", weights ? e->output_err : e->weight_err,
                   weights ? e->output_energy : e->weight_energy);
}

lb_status lb_layer_errors(lb_cmat W, const lb_cmat *What, int n_what, const lb_cdmat *H, int n_h,
                          const lb_layer_error *energy, lb_team *team, lb_arena *scratch, lb_layer_error *out) {
    LB_TRY(check(W, What, n_what, H, n_h));
    error_job j = {
        .W = W, .n_what = n_what, .n_h = n_h, .energy = n_h ? energy : NULL, .tiles = (W.cols - 1) / TILE + 1};
    for (int i = 0; i < n_what; i++) j.What[i] = What[i];
    for (int k = 0; k < n_h; k++) j.H[k] = H[k];
    int64_t pieces = n_h ? j.tiles * (j.tiles + 1) / 2 : j.tiles;
    lb_arena_mark mark = lb_arena_save(scratch);
    j.strip = STRIP_FLOATS / W.cols < MIN_ROWS ? MIN_ROWS : STRIP_FLOATS / W.cols;
    if (j.strip > W.rows) j.strip = W.rows;
    if (!(j.D = LB_NEW_UNSET(scratch, double, j.tiles *j.strip *TILE)) ||
        !(j.G = LB_NEW_UNSET(scratch, double, (int64_t)lb_team_threads(team) * TILE * TILE)) ||
        !(j.sum = LB_NEW(scratch, sums, pieces * ENTRIES)))
        return LB_E_NOMEM;
    LB_TRY(all_strips(&j, pieces, team));
    sums total[ENTRIES] = {0};
    for (int64_t p = 0; p < pieces; p++)
        for (int e = 0; e <= n_what; e++) {
            total[e].squares += j.sum[p * ENTRIES + e].squares;
            for (int k = 0; k < n_h; k++) total[e].output[k] += j.sum[p * ENTRIES + e].output[k];
        }
    lb_arena_restore(scratch, mark);
    int each = n_h ? n_h : 1;
    for (int i = 0; i < n_what * each; i++) {
        out[i] = of_sums(&j, total, i / each, i % each);
        LB_TRY(check_finite(&j, &out[i]));
    }
    return LB_OK;
}

lb_status lb_layer_error_of(lb_cmat W, lb_cmat What, lb_cdmat H, lb_team *team, lb_arena *scratch,
                            lb_layer_error *out) {
    return lb_layer_errors(W, &What, 1, &H, H.d ? 1 : 0, NULL, team, scratch, out);
}

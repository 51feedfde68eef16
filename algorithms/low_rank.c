/* A low-rank correction of what rounding leaves: W^ = Q + B A, Q round-to-nearest of W, or the layer that the stages
 * before made, and B A the matrix of that rank with the least tr((E - B A) H (E - B A)^T), E = W - Q: the truncated
 * singular value decomposition of E L, H = L L^T. With G = E L (E L)^T = E H E^T and U its leading eigenvectors that is
 * B A = U U^T E, whatever H; where rows are more than columns, with V those of (E L)^T E L, it is B A = E L V V^T L^-1,
 * for which H is damped. source  Yao et al. 2023 (ZeroQuant-V2, arXiv:2303.08302) without H; weighted: Zhang et al.
 * 2024 (LQER, arXiv:2402.02446) and Saha et al. 2024 (CALDERA, arXiv:2405.18886) */
#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/eigen.h"
#include "math/factor.h"
#include "quant/method.h"

typedef struct low_rank_opts {
    int64_t bits, group, rank;
    double percdamp;
    bool symmetric, mse;
    int scale_type, rank_type;
    const lb_format *format;
} low_rank_opts;

static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 1, 8, NULL, "bits a weight", offsetof(low_rank_opts, bits)},
    {"group", LB_OPT_GROUP, "row", 8, 65536, NULL, "columns that share a scale; the last group of a row may be shorter",
     offsetof(low_rank_opts, group)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "range symmetric about 0: no zeros are stored",
     offsetof(low_rank_opts, symmetric)},
    {"mse", LB_OPT_BOOL, "false", 0, 0, NULL,
     "clip search: shrink the range in 80 steps of 1/100 to the least sum of |error|^2.4",
     offsetof(low_rank_opts, mse)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how scales are stored; rounded before codes are computed",
     offsetof(low_rank_opts, scale_type)},
    {"format", LB_OPT_FORMAT, "int", 0, 0, NULL, "number format; bits and group must be what it has",
     offsetof(low_rank_opts, format)},
    /* From here on: what a later stage has. */
    {"rank", LB_OPT_INT, "16", 1, 65536, NULL, "of the correction", offsetof(low_rank_opts, rank)},
    {"rank_type", LB_OPT_CHOICE, "f16", 0, 0, scale_types, "how the two factors are stored",
     offsetof(low_rank_opts, rank_type)},
    {"percdamp", LB_OPT_FLOAT, "1e-6", 0, 1, NULL,
     "damping where rows are more than columns: this fraction of the mean of diag(H) is added to it",
     offsetof(low_rank_opts, percdamp)},
};

static lb_storage codes_of(const low_rank_opts *o) {
    return (lb_storage){.format = o->format,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .symmetric = o->symmetric,
                        .scale_type = (lb_scale_type)o->scale_type};
}

enum { LATER = 6 };

static const lb_diagnostic told[] = {
    {"pair_share", "", "share of the weighted error's energy that the pair takes, before its numbers are rounded", 0,
     1},
};

static lb_status low_rank_check(const void *opts) {
    const low_rank_opts *o = opts;
    lb_storage s = codes_of(o);
    return lb_format_accepts(&s, o->mse);
}

/* The pair beside what is stored so far. */
static lb_status low_rank_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols,
                                 lb_storage *out) {
    const low_rank_opts *o = opts;
    int64_t most = rows < cols ? rows : cols;
    if (so_far->rank > 0)
        return lb_fail(LB_E_UNSUPPORTED, "a pair of rank %lld is there already", (long long)so_far->rank);
    if (o->rank > most)
        return lb_fail(LB_E_UNSUPPORTED, "rank %lld: a layer of (%lld, %lld) has at most %lld", (long long)o->rank,
                       (long long)rows, (long long)cols, (long long)most);
    *out = *so_far;
    out->rank = o->rank;
    out->rank_type = (lb_scale_type)o->rank_type;
    return LB_OK;
}

static lb_status low_rank_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    lb_storage codes = codes_of(opts);
    LB_TRY(low_rank_check(opts));
    return low_rank_extend(opts, &codes, rows, cols, out);
}

/* E (rows, cols) = W - Q, float64. */
static lb_status error_of(const lb_layer_in *in, const lb_layer *Q, lb_dmat *E) {
    int64_t rows = in->W.rows, cols = in->W.cols;
    float *d = LB_NEW_UNSET(in->scratch, float, rows *cols);
    double *e = LB_NEW_UNSET(in->scratch, double, rows *cols);
    if (!d || !e) return LB_E_NOMEM;
    LB_TRY(lb_layer_dequantize_team(Q, lb_mat_of(d, rows, cols), in->team));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            e[r * cols + c] = (double)in->W.d[r * in->W.ld + c] - (double)d[r * cols + c];
    *E = lb_dmat_of(e, rows, cols);
    return LB_OK;
}

static lb_status new_matrix(lb_arena *a, int64_t rows, int64_t cols, lb_dmat *out) {
    double *d = LB_NEW(a, double, rows *cols);
    if (!d) return LB_E_NOMEM;
    *out = lb_dmat_of(d, rows, cols);
    return LB_OK;
}

/* The leading eigenvectors of G, and what part of its trace they have: nothing of a G of zeros. */
static lb_status leading(const lb_layer_in *in, lb_dmat G, lb_dmat vectors, double *share) {
    double all = 0, taken = 0, *value = LB_NEW(in->scratch, double, vectors.cols);
    if (!value) return LB_E_NOMEM;
    for (int64_t i = 0; i < G.rows; i++) all += G.d[i * G.ld + i];
    LB_TRY(lb_leading_eigenvectors(G, vectors, value, in->scratch));
    for (int64_t i = 0; i < vectors.cols; i++) taken += value[i];
    *share = all > 0 ? fmin(fmax(taken / all, 0), 1) : 0;
    return LB_OK;
}

/* Rows at most as many as columns: B = U, A = U^T E. */
static lb_status by_rows(const lb_layer_in *in, lb_dmat E, lb_dmat B, lb_dmat A, double *share) {
    lb_team *team = in->team;
    lb_dmat EH, G;
    LB_TRY(new_matrix(in->scratch, E.rows, E.cols, &EH));
    LB_TRY(new_matrix(in->scratch, E.rows, E.rows, &G));
    LB_TRY(lb_dgemm_team(false, false, 1, lb_dmat_c(E), in->stats->H, 0, EH, team));
    LB_TRY(lb_dgemm_team(false, true, 1, lb_dmat_c(EH), lb_dmat_c(E), 0, G, team));
    LB_TRY(leading(in, G, B, share));
    return lb_dgemm_team(true, false, 1, lb_dmat_c(B), lb_dmat_c(E), 0, A, team);
}

/* B = E L V, A = V^T L^-1. */
static lb_status by_columns(const lb_layer_in *in, double percdamp, lb_dmat E, lb_dmat B, lb_dmat A, double *share) {
    lb_cdmat H = in->stats->H;
    lb_team *team = in->team;
    lb_dmat L, M, G, V, inverse;
    int64_t n = E.cols, column = 0;
    double mean = 0, pivot = 0;
    LB_TRY(new_matrix(in->scratch, n, n, &L));
    LB_TRY(new_matrix(in->scratch, E.rows, n, &M));
    LB_TRY(new_matrix(in->scratch, n, n, &G));
    LB_TRY(new_matrix(in->scratch, n, A.rows, &V));
    LB_TRY(new_matrix(in->scratch, n, n, &inverse));
    for (int64_t i = 0; i < n; i++) mean += H.d[i * H.ld + i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k <= i; k++) L.d[i * n + k] = H.d[i * H.ld + k] + (i == k ? percdamp * mean : 0);
    lb_status st = lb_cholesky_lower(L, team, &column, &pivot);
    if (st == LB_E_NUMERIC)
        return lb_fail(st, "layer %s: Cholesky failed at column %lld (pivot %.2g, damp %g): use a larger percdamp",
                       in->name, (long long)column, pivot, percdamp);
    LB_TRY(st);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = i + 1; k < n; k++) L.d[i * n + k] = 0;
    memcpy(inverse.d, L.d, (size_t)(n * n) * sizeof *L.d);
    LB_TRY(lb_invert_lower(inverse, team));
    LB_TRY(lb_dgemm_team(false, false, 1, lb_dmat_c(E), lb_dmat_c(L), 0, M, team));
    LB_TRY(lb_dgemm_team(true, false, 1, lb_dmat_c(M), lb_dmat_c(M), 0, G, team));
    LB_TRY(leading(in, G, V, share));
    LB_TRY(lb_dgemm_team(false, false, 1, lb_dmat_c(M), lb_dmat_c(V), 0, B, team));
    return lb_dgemm_team(true, false, 1, lb_dmat_c(V), lb_dmat_c(inverse), 0, A, team);
}

static lb_status keep_one(const lb_layer *c, const char *of, int64_t row, int64_t col, double v, float *out) {
    lb_status st = lb_number_store(c->storage.rank_type, of, (float)v, out);
    return st == LB_OK ? st : lb_fail_in(st, "the pair, row %lld, column %lld", (long long)row, (long long)col);
}

/* Each pair of a column of B and a row of A is given the same largest entry, so that neither leaves the range of 16
 * bits. */
static lb_status keep_pair(lb_dmat B, lb_dmat A, lb_layer *out) {
    for (int64_t k = 0; k < A.rows; k++) {
        double b = 0, a = 0;
        for (int64_t r = 0; r < B.rows; r++) b = fmax(b, fabs(B.d[r * B.ld + k]));
        for (int64_t c = 0; c < A.cols; c++) a = fmax(a, fabs(A.d[k * A.ld + c]));
        double even = a > 0 && b > 0 ? sqrt(a / b) : 0;
        for (int64_t r = 0; r < B.rows; r++)
            LB_TRY(keep_one(out, "B", r, k, B.d[r * B.ld + k] * even, &out->B[r * A.rows + k]));
        for (int64_t c = 0; c < A.cols; c++)
            LB_TRY(keep_one(out, "A", k, c, even > 0 ? A.d[k * A.ld + c] / even : 0, &out->A[k * A.cols + c]));
    }
    return LB_OK;
}

static lb_status round_first(const lb_layer_in *in, const low_rank_opts *o, lb_layer *Q) {
    lb_storage codes = codes_of(o);
    lb_status st = lb_round_to_nearest_team(in->arena, &codes, o->mse, in->W, in->team, Q);
    return st == LB_E_NUMERIC ? lb_fail_in(st, "layer %s", in->name) : st;
}

static lb_status low_rank_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    const low_rank_opts *o = opts;
    lb_storage s;
    lb_layer Q;
    lb_dmat E, A, B;
    int64_t rows = in->W.rows, cols = in->W.cols;
    double share = 0;
    LB_TRY(in->so_far ? low_rank_extend(opts, &in->so_far->storage, rows, cols, &s)
                      : low_rank_spec(opts, rows, cols, &s));
    if (!in->stats || in->stats->H.rows != cols)
        return lb_fail(LB_E_ARG, "layer %s: low_rank needs H of %lld columns", in->name, (long long)cols);
    LB_TRY(lb_stats_reached(in));
    if (in->so_far)
        Q = *in->so_far;
    else
        LB_TRY(round_first(in, o, &Q));
    LB_TRY(error_of(in, &Q, &E));
    LB_TRY(new_matrix(in->scratch, rows, o->rank, &B));
    LB_TRY(new_matrix(in->scratch, o->rank, cols, &A));
    LB_TRY(rows <= cols ? by_rows(in, E, B, A, &share) : by_columns(in, o->percdamp, E, B, A, &share));
    *out = Q;
    out->storage = s;
    out->A = LB_NEW(in->arena, float, o->rank *cols);
    out->B = LB_NEW(in->arena, float, rows * o->rank);
    if (!out->A || !out->B) return LB_E_NOMEM;
    lb_status st = keep_pair(B, A, out);
    if (st != LB_OK) return lb_fail_in(st, "layer %s", in->name);
    lb_tell(&out->told, 0, share);
    return LB_OK;
}

/* LAPACK's eigenvectors: a tridiagonal form in 4/3 n^3, half of it a matrix and a vector at a time. */
static void low_rank_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    const low_rank_opts *o = opts;
    lb_storage codes = codes_of(o);
    double r = (double)of->rows, n = (double)of->cols, k = (double)o->rank, least = r < n ? r : n;
    double E = (sizeof(double) + sizeof(float)) * r * n, pair = sizeof(double) * k * (r + n);
    out->steps = 2 * r * n + (of->so_far ? 0 : lb_round_steps(&codes, o->mse) * r * n);
    out->serial = 4.0 / 3.0 * least * least * least + 4 * k * least * least;
    out->products = r <= n ? 2 * r * n * (n + r + k) : n * n * (2.0 / 3.0 * n + 4 * r + 2 * k) + 2 * r * n * k;
    out->scratch = E + pair + sizeof(double) * k + lb_leading_eigenvectors_bytes((int64_t)least, o->rank) +
                   sizeof(double) * (r <= n ? r * n + r * r : n * (3 * n + r + k));
}

const lb_method lb_low_rank_method = {
    .api = LB_METHOD_API,
    .name = "low_rank",
    .summary = "round to nearest, and a low-rank correction of the error, weighted by H",
    .cite = "zhang2024lqer",
    .needs = LB_NEEDS_HESSIAN | LB_FACTORS_HESSIAN,
    .options = {table, sizeof table / sizeof table[0], sizeof(low_rank_opts)},
    .check = low_rank_check,
    .spec = low_rank_spec,
    .layer = low_rank_layer,
    .extend = low_rank_extend,
    .cost = low_rank_cost,
    .diagnostics = {told, sizeof told / sizeof told[0]},
    .later = {table + LATER, sizeof table / sizeof table[0] - LATER, sizeof(low_rank_opts)},
};

#include "model/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/kernels.h"

/* The query heads that share a key head are stacked into one tile, so that a panel of keys is read once for all. */
enum { TILE_ROWS = 256, LEAST_QUERIES = 16, PANEL = 64 };

lb_status lb_attention_new(lb_arena *a, const lb_arch *arch, int64_t length, lb_attention *out) {
    int64_t group = arch->heads / arch->kv_heads, queries = TILE_ROWS;
    while (queries > LEAST_QUERIES && group * queries > TILE_ROWS) queries /= 2;
    int64_t rows = group * queries, d = arch->head_dim, padded = (length + PANEL - 1) / PANEL * PANEL;
    *out = (lb_attention){.queries = queries,
                          .length = length,
                          .k = LB_NEW(a, float, padded *d),
                          .v = LB_NEW(a, float, length *d),
                          .q = LB_NEW(a, float, rows *d),
                          .s = LB_NEW(a, float, rows *LB_ATTENTION_KEYS),
                          .o = LB_NEW(a, float, rows *d),
                          .max = LB_NEW(a, float, rows),
                          .shrink = LB_NEW(a, float, rows),
                          .sum = LB_NEW(a, double, rows)};
    bool got = out->k && out->v && out->q && out->s && out->o && out->max && out->shrink && out->sum;
    return got ? LB_OK : LB_E_NOMEM;
}

/* Key head g as the products read it: keys transposed in panels, whose last one ends in zeros, and values in rows. */
static void take_head(const lb_attention *w, int64_t g, int64_t d, lb_cmat k, lb_cmat v) {
    for (int64_t t = 0; t < k.rows; t++) memcpy(w->v + t * d, v.d + t * v.ld + g * d, (size_t)d * sizeof *w->v);
    for (int64_t t0 = 0; t0 < k.rows; t0 += PANEL)
        for (int64_t i = 0; i < d; i++)
            for (int64_t t = t0; t < t0 + PANEL; t++)
                w->k[(t0 * d + i * PANEL) + t - t0] = t < k.rows ? k.d[t * k.ld + g * d + i] : 0.0f;
}

/* The tile's maxima are taken in; what was summed so far under a smaller maximum shrinks to match. Before the first
 * tile the maxima are -infinity and there is nothing to shrink. valid (n): keys that each position sees. */
static void raise_maxima(const lb_attention *w, int64_t rows, int64_t d, bool first, const int64_t *valid, int64_t n) {
    const lb_kernels *kn = lb_kernels_active();
    for (int64_t r = 0; r < rows; r++) {
        float top = kn->max(w->s + r * LB_ATTENTION_KEYS, valid[r % n]);
        w->shrink[r] = top > w->max[r] ? w->max[r] - top : 0.0f;
        if (top > w->max[r]) w->max[r] = top;
    }
    if (first) return;
    kn->exp(w->shrink, w->shrink, rows);
    for (int64_t r = 0; r < rows; r++) {
        if (w->shrink[r] == 1.0f) continue;
        w->sum[r] *= (double)w->shrink[r];
        kn->scale(w->o + r * d, w->shrink[r], d);
    }
}

/* Queries q0 .. q0 + n - 1, already in w->q, against the keys of one tile. */
static void run_keys(const lb_attention *w, int64_t rows, int64_t d, int64_t q0, int64_t n, int64_t k0) {
    const lb_kernels *kn = lb_kernels_active();
    assert(n >= 1);
    int64_t keys = q0 + n - k0 < LB_ATTENTION_KEYS ? q0 + n - k0 : LB_ATTENTION_KEYS, valid[TILE_ROWS];
    for (int64_t i = 0; i < n; i++) valid[i] = q0 + i + 1 - k0 < keys ? q0 + i + 1 - k0 : keys;
    for (int64_t p = 0; p < keys; p += PANEL)
        kn->matmul((lb_mat){w->s + p, rows, PANEL, LB_ATTENTION_KEYS}, lb_cmat_of(w->q, rows, d),
                   lb_cmat_of(w->k + (k0 + p) * d, d, PANEL), false);
    raise_maxima(w, rows, d, k0 == 0, valid, n);
    for (int64_t r = 0; r < rows; r++) {
        float *s = w->s + r * LB_ATTENTION_KEYS;
        int64_t m = valid[r % n];
        w->sum[r] += kn->exp_sum(s, s, w->max[r], m);
        if (m < keys) memset(s + m, 0, (size_t)(keys - m) * sizeof *s); /* the future */
    }
    kn->matmul(lb_mat_of(w->o, rows, d), (lb_cmat){w->s, rows, keys, LB_ATTENTION_KEYS},
               lb_cmat_of(w->v + k0 * d, keys, d), k0 > 0);
}

/* Queries q0 .. q0 + n - 1 of the heads that read key head g. */
static void run_tile(const lb_arch *arch, const lb_attention *w, int64_t g, int64_t q0, int64_t n, lb_mat q) {
    int64_t d = arch->head_dim, group = arch->heads / arch->kv_heads, rows = group * n;
    float scale = (float)(1.0 / sqrt((double)d));
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < n; i++) {
            const float *from = q.d + (q0 + i) * q.ld + (g * group + h) * d;
            for (int64_t j = 0; j < d; j++) w->q[(h * n + i) * d + j] = from[j] * scale;
        }
    memset(w->sum, 0, (size_t)rows * sizeof *w->sum);
    for (int64_t r = 0; r < rows; r++) w->max[r] = -INFINITY;
    /* Tiles of queries divide tiles of keys, so a tile of keys never starts inside the tile of queries: each row has at
     * least one valid key. */
    for (int64_t k0 = 0; k0 < q0 + n; k0 += LB_ATTENTION_KEYS) run_keys(w, rows, d, q0, n, k0);
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < n; i++) {
            const float *o = w->o + (h * n + i) * d;
            float *out = q.d + (q0 + i) * q.ld + (g * group + h) * d, over = (float)(1.0 / w->sum[h * n + i]);
            for (int64_t j = 0; j < d; j++) out[j] = o[j] * over;
        }
}

void lb_attention_run(const lb_arch *arch, const lb_attention *w, lb_mat q, lb_cmat k, lb_cmat v) {
    assert(LB_ATTENTION_KEYS % w->queries == 0 && q.rows <= w->length && q.rows == k.rows && q.rows == v.rows);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ATTENTION);
    for (int64_t g = 0; g < arch->kv_heads; g++) {
        take_head(w, g, arch->head_dim, k, v);
        for (int64_t q0 = 0; q0 < q.rows; q0 += w->queries)
            run_tile(arch, w, g, q0, q.rows - q0 < w->queries ? q.rows - q0 : w->queries, q);
    }
    double T = (double)q.rows; /* position t sees t + 1 keys */
    lb_scope_end(&scope, 2.0 * T * (T + 1) * (double)q.cols, 8.0 * T * (double)q.cols + 8.0 * T * (double)k.cols);
}

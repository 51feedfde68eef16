#include "model/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/kernels.h"

/* The query heads that share a key head are stacked into one tile, so that its products are tall enough to be fast. */
enum { TILE_ROWS = 256, LEAST_QUERIES = 16 };

lb_status lb_attention_new(lb_arena *a, const lb_arch *arch, lb_attention *out) {
    int64_t group = arch->heads / arch->kv_heads, queries = TILE_ROWS;
    while (queries > LEAST_QUERIES && group * queries > TILE_ROWS) queries /= 2;
    int64_t rows = group * queries;
    *out = (lb_attention){.queries = queries,
                          .q = LB_NEW(a, float, rows * arch->head_dim),
                          .s = LB_NEW(a, float, rows *LB_ATTENTION_KEYS),
                          .o = LB_NEW(a, float, rows * arch->head_dim),
                          .max = LB_NEW(a, float, rows),
                          .shrink = LB_NEW(a, float, rows),
                          .sum = LB_NEW(a, double, rows)};
    return out->q && out->s && out->o && out->max && out->shrink && out->sum ? LB_OK : LB_E_NOMEM;
}

/* The tile's maxima are taken in; what was summed so far under a smaller maximum shrinks to match. Before the first
 * tile the maxima are -infinity and there is nothing to shrink. */
static void raise_maxima(const lb_kernels *kn, const lb_attention *w, int64_t rows, int64_t head_dim, bool first,
                         const int64_t *valid, int64_t n, int64_t keys) {
    for (int64_t r = 0; r < rows; r++) {
        float top = kn->max(w->s + r * keys, valid[r % n]);
        w->shrink[r] = top > w->max[r] ? w->max[r] - top : 0.0f;
        if (top > w->max[r]) w->max[r] = top;
    }
    if (first) return;
    kn->exp(w->shrink, w->shrink, rows);
    for (int64_t r = 0; r < rows; r++) {
        if (w->shrink[r] == 1.0f) continue;
        w->sum[r] *= (double)w->shrink[r];
        kn->scale(w->o + r * head_dim, w->shrink[r], head_dim);
    }
}

/* Queries q0 .. q0 + n - 1 of the heads that read key head g. */
static void run_tile(const lb_arch *arch, const lb_attention *w, int64_t g, int64_t q0, int64_t n, lb_mat q, lb_cmat k,
                     lb_cmat v) {
    const lb_kernels *kn = lb_kernels_active();
    int64_t d = arch->head_dim, group = arch->heads / arch->kv_heads, rows = group * n;
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < n; i++)
            memcpy(w->q + (h * n + i) * d, q.d + (q0 + i) * q.ld + (g * group + h) * d, (size_t)d * sizeof *w->q);
    memset(w->sum, 0, (size_t)rows * sizeof *w->sum);
    for (int64_t r = 0; r < rows; r++) w->max[r] = -INFINITY;

    float scale = (float)(1.0 / sqrt((double)d));
    /* Tiles of queries divide tiles of keys, so a tile of keys never starts inside the tile of queries: each row has at
     * least one valid key. */
    for (int64_t k0 = 0; k0 < q0 + n; k0 += LB_ATTENTION_KEYS) {
        int64_t keys = q0 + n - k0 < LB_ATTENTION_KEYS ? q0 + n - k0 : LB_ATTENTION_KEYS, valid[TILE_ROWS];
        for (int64_t i = 0; i < n; i++) valid[i] = q0 + i + 1 - k0 < keys ? q0 + i + 1 - k0 : keys;
        lb_sgemm(false, true, scale, lb_cmat_of(w->q, rows, d), lb_cmat_part(k, k0, g * d, keys, d), 0.0f,
                 lb_mat_of(w->s, rows, keys));
        raise_maxima(kn, w, rows, d, k0 == 0, valid, n, keys);
        for (int64_t r = 0; r < rows; r++) {
            float *s = w->s + r * keys;
            int64_t m = valid[r % n];
            w->sum[r] += kn->exp_sum(s, s, w->max[r], m);
            if (m < keys) memset(s + m, 0, (size_t)(keys - m) * sizeof *s); /* the future */
        }
        lb_sgemm(false, false, 1.0f, lb_cmat_of(w->s, rows, keys), lb_cmat_part(v, k0, g * d, keys, d),
                 k0 == 0 ? 0.0f : 1.0f, lb_mat_of(w->o, rows, d));
    }
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < n; i++) {
            const float *o = w->o + (h * n + i) * d;
            float *out = q.d + (q0 + i) * q.ld + (g * group + h) * d, over = (float)(1.0 / w->sum[h * n + i]);
            for (int64_t j = 0; j < d; j++) out[j] = o[j] * over;
        }
}

void lb_attention_run(const lb_arch *arch, const lb_attention *w, lb_mat q, lb_cmat k, lb_cmat v) {
    assert(LB_ATTENTION_KEYS % w->queries == 0 && q.rows == k.rows && q.rows == v.rows);
    for (int64_t g = 0; g < arch->kv_heads; g++)
        for (int64_t q0 = 0; q0 < q.rows; q0 += w->queries)
            run_tile(arch, w, g, q0, q.rows - q0 < w->queries ? q.rows - q0 : w->queries, q, k, v);
}

#include "model/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/activation.h"
#include "math/kernels.h"

/* The query heads that share a key head are stacked into one tile, so that a panel of keys is read once for all. */
enum { TILE_ROWS = 256, LEAST_QUERIES = 16, PANEL = 64, OWN = 16, AHEAD = 8 };

static int64_t group_of(const lb_attend *a) { return a->heads / a->kv_heads; }

int64_t lb_attention_queries(const lb_attend *a) {
    int64_t queries = TILE_ROWS;
    while (queries > LEAST_QUERIES && group_of(a) * queries > TILE_ROWS) queries /= 2;
    return queries;
}

lb_status lb_attention_new(lb_arena *a, const lb_attend *kinds, int n, int64_t length, lb_attention *out) {
    int64_t rows = 0, d = 0, group = 0, padded = (length + PANEL - 1) / PANEL * PANEL;
    for (int i = 0; i < n; i++) {
        int64_t r = group_of(&kinds[i]) * lb_attention_queries(&kinds[i]);
        rows = r > rows ? r : rows;
        d = kinds[i].head_dim > d ? kinds[i].head_dim : d;
        if (kinds[i].bias && group_of(&kinds[i]) > group) group = group_of(&kinds[i]);
    }
    *out = (lb_attention){.length = length,
                          .head = -1,
                          .k = LB_NEW_UNSET(a, float, padded *d),
                          .v = LB_NEW_UNSET(a, float, length *d),
                          .q = LB_NEW_UNSET(a, float, rows *d),
                          .s = LB_NEW_UNSET(a, float, rows *LB_ATTENTION_KEYS),
                          .o = LB_NEW_UNSET(a, float, rows *d),
                          .max = LB_NEW_UNSET(a, float, rows),
                          .shrink = LB_NEW_UNSET(a, float, rows),
                          .sum = LB_NEW_UNSET(a, double, rows),
                          .bias = group ? LB_NEW_UNSET(a, double, group *length) : NULL};
    bool got = out->k && out->v && out->q && out->s && out->o && out->max && out->shrink && out->sum;
    return got && (out->bias || !group) ? LB_OK : LB_E_NOMEM;
}

/* A head's part of a row, some rows before it is read: rows are too far apart for the processor to foresee. */
static inline void fetch(const float *x, int64_t n) {
    for (int64_t j = 0; j < n; j += 16) __builtin_prefetch(x + j);
}

/* As the products read it: keys transposed in panels, whose last one ends in zeros, and values in rows. */
void lb_attention_take(const lb_attend *a, lb_attention *w, int64_t g, lb_cmat k, lb_cmat v) {
    int64_t d = a->head_dim;
    assert(k.rows <= w->length && k.rows == v.rows);
    for (int64_t t0 = 0; t0 < k.rows; t0 += PANEL) {
        int64_t left = k.rows - t0 < PANEL ? k.rows - t0 : PANEL;
        for (int64_t t = t0; t < t0 + left; t++) {
            fetch(k.d + t * k.ld + g * d, d);
            if (t + AHEAD < k.rows) fetch(v.d + (t + AHEAD) * v.ld + g * d, d);
            memcpy(w->v + t * d, v.d + t * v.ld + g * d, (size_t)d * sizeof *w->v);
        }
        for (int64_t i = 0; i < d; i++) {
            float *to = w->k + t0 * d + i * PANEL;
            for (int64_t t = 0; t < left; t++) to[t] = k.d[(t0 + t) * k.ld + g * d + i];
            for (int64_t t = left; t < PANEL; t++) to[t] = 0.0f;
        }
    }
    w->head = g;
}

/* A tile of queries, as its products see it, and the keys of a tile that each of its positions sees: [from, to). The
 * products with values take `step` rows at a time and read the keys up to reach: where the tile holds keys of its own
 * queries, OWN queries at a time do not read those of later ones. */
typedef struct tile {
    const lb_attend *a;
    const lb_attention *w;
    int64_t rows, q0, n;
    int64_t k0, keys, step;
    int64_t from[TILE_ROWS], to[TILE_ROWS], reach[TILE_ROWS];
} tile;

static void find_seen(tile *t) {
    int64_t left = t->q0 + t->n - t->k0;
    t->keys = left < LB_ATTENTION_KEYS ? left : LB_ATTENTION_KEYS;
    t->step = t->n > OWN && t->k0 + t->keys > t->q0 + OWN ? OWN : t->rows;
    for (int64_t i = 0; i < t->n; i++) {
        int64_t last = t->q0 + (i / OWN + 1) * OWN - t->k0;
        t->reach[i] = t->step == OWN && last < t->keys ? last : t->keys;
        int64_t end = t->q0 + i + 1 - t->k0, window = t->a->window;
        t->to[i] = end < t->keys ? end : t->keys;
        t->from[i] = window > 0 && end > window ? end - window : 0;
        if (t->from[i] > t->to[i]) t->from[i] = t->to[i]; /* all of them are too far back */
    }
}

/* Scores become what the softmax is taken of. Without a cap that is the same for all biases that differ by a number a
 * query: zero at its own position keeps the large ones small. */
static void finish_scores(const tile *t) {
    const lb_attend *a = t->a;
    if (!a->bias && !(a->cap > 0.0f)) return;
    for (int64_t r = 0; r < t->rows; r++) {
        int64_t i = r % t->n, from = t->from[i], to = t->to[i];
        float *s = t->w->s + r * LB_ATTENTION_KEYS;
        if (a->bias) {
            const double *bias = t->w->bias + r / t->n * t->w->length;
            double own = a->cap > 0.0f ? 0.0 : bias[t->q0 + i];
            for (int64_t j = from; j < to; j++) s[j] = (float)((double)s[j] + (bias[t->k0 + j] - own));
        }
        if (a->cap > 0.0f) lb_act_cap(s + from, a->cap, to - from);
    }
}

/* The tile's maxima are taken in; what was summed so far under a smaller maximum shrinks to match. Before the first
 * tile the maxima are -infinity and there is nothing to shrink. */
static void raise_maxima(const tile *t, bool first) {
    const lb_kernels *kn = lb_kernels_active();
    const lb_attention *w = t->w;
    int64_t d = t->a->head_dim;
    for (int64_t r = 0; r < t->rows; r++) {
        int64_t from = t->from[r % t->n];
        float top = kn->max(w->s + r * LB_ATTENTION_KEYS + from, t->to[r % t->n] - from);
        w->shrink[r] = top > w->max[r] ? w->max[r] - top : 0.0f;
        if (top > w->max[r]) w->max[r] = top;
    }
    if (first) return;
    kn->exp(w->shrink, w->shrink, t->rows);
    for (int64_t r = 0; r < t->rows; r++) {
        if (w->shrink[r] == 1.0f) continue;
        w->sum[r] *= (double)w->shrink[r];
        kn->scale(w->o + r * d, w->shrink[r], d);
    }
}

/* Scores of n queries from row r of the tile on for the first `keys` keys of a panel. */
static void score(const tile *t, int64_t r, int64_t n, int64_t p, int64_t keys) {
    const lb_attention *w = t->w;
    int64_t d = t->a->head_dim;
    lb_kernels_active()->matmul((lb_mat){w->s + r * LB_ATTENTION_KEYS + p, n, keys, LB_ATTENTION_KEYS},
                                lb_cmat_of(w->q + r * d, n, d), (lb_cmat){w->k + (t->k0 + p) * d, d, keys, PANEL},
                                false);
}

/* Scores of a panel of keys: not for the queries that come before all of them, and of the panel's own queries, OWN at a
 * time, not those of later keys. */
static void score_panel(const tile *t, int64_t p) {
    int64_t before = t->k0 + p - t->q0, n = t->n;
    if (before < 0) { /* all queries come later, or start within the panel: one product */
        score(t, 0, t->rows, p, PANEL);
        return;
    }
    for (int64_t h = 0; h < t->rows / n; h++) {
        int64_t i = before;
        for (; i < n && i < before + PANEL; i += OWN)
            score(t, h * n + i, n - i < OWN ? n - i : OWN, p, i - before + OWN);
        if (i < n) score(t, h * n + i, n - i, p, PANEL);
    }
}

/* What the values of the tile's keys give, set or added. */
static void weigh_values(const tile *t, bool first) {
    const lb_attention *w = t->w;
    int64_t d = t->a->head_dim, n;
    for (int64_t r = 0; r < t->rows; r += n) {
        int64_t i = r % t->n, keys = t->reach[i];
        n = t->step == t->rows || i + t->step <= t->n ? t->step : t->n - i;
        lb_kernels_active()->matmul(lb_mat_of(w->o + r * d, n, d),
                                    (lb_cmat){w->s + r * LB_ATTENTION_KEYS, n, keys, LB_ATTENTION_KEYS},
                                    lb_cmat_of(w->v + t->k0 * d, keys, d), !first);
    }
}

static void score_keys(tile *t) {
    find_seen(t);
    for (int64_t p = 0; p < t->keys; p += PANEL) score_panel(t, p);
    finish_scores(t);
}

/* The tile's queries, already in w->q, against the keys from t->k0 on. */
static void run_keys(tile *t, bool first) {
    const lb_kernels *kn = lb_kernels_active();
    const lb_attention *w = t->w;
    assert(t->n >= 1);
    score_keys(t);
    raise_maxima(t, first);
    for (int64_t r = 0; r < t->rows; r++) {
        float *s = w->s + r * LB_ATTENTION_KEYS;
        int64_t from = t->from[r % t->n], to = t->to[r % t->n], reach = t->reach[r % t->n];
        if (from < to) w->sum[r] += kn->exp_sum(s + from, s + from, w->max[r], to - from);
        if (from > 0) memset(s, 0, (size_t)from * sizeof *s);                /* beyond the window */
        if (to < reach) memset(s + to, 0, (size_t)(reach - to) * sizeof *s); /* the future */
    }
    weigh_values(t, first);
}

/* What these keys receive, once maxima and sums are known. */
static void add_received(tile *t, double *received) {
    const lb_attention *w = t->w;
    score_keys(t);
    for (int64_t r = 0; r < t->rows; r++) {
        float *s = w->s + r * LB_ATTENTION_KEYS;
        int64_t from = t->from[r % t->n], to = t->to[r % t->n];
        if (from < to) (void)lb_kernels_active()->exp_sum(s + from, s + from, w->max[r], to - from);
        for (int64_t j = from; j < to; j++) received[t->k0 + j] += (double)s[j] / w->sum[r];
    }
}

static void take_queries(const tile *t, lb_cmat q) {
    int64_t d = t->a->head_dim, group = group_of(t->a);
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < t->n; i++) {
            const float *from = q.d + (t->q0 + i) * q.ld + (t->w->head * group + h) * d;
            if (i + AHEAD < t->n) fetch(from + AHEAD * q.ld, d);
            for (int64_t j = 0; j < d; j++) t->w->q[(h * t->n + i) * d + j] = from[j] * t->a->scale;
        }
    memset(t->w->sum, 0, (size_t)t->rows * sizeof *t->w->sum);
    for (int64_t r = 0; r < t->rows; r++) t->w->max[r] = -INFINITY;
}

static void give_results(const tile *t, lb_mat out) {
    int64_t d = t->a->head_dim, group = group_of(t->a);
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < t->n; i++) {
            const float *o = t->w->o + (h * t->n + i) * d;
            float *y = out.d + (t->q0 + i) * out.ld + (t->w->head * group + h) * d;
            if (i + AHEAD < t->n) fetch(y + AHEAD * out.ld, d);
            float over = (float)(1.0 / t->w->sum[h * t->n + i]);
            if (t->a->add)
                for (int64_t j = 0; j < d; j++) y[j] += o[j] * over;
            else
                for (int64_t j = 0; j < d; j++) y[j] = o[j] * over;
        }
}

/* Tiles of queries divide tiles of keys, so a tile of keys never starts inside the tile of queries: each row sees at
 * least one key of the last tile. */
void lb_attention_tile(const lb_attend *a, const lb_attention *w, int64_t q0, int64_t n, lb_cmat q, lb_mat out,
                       double *received) {
    int64_t queries = lb_attention_queries(a), seen = a->window > 0 && q0 >= a->window ? q0 - a->window + 1 : 0;
    assert(LB_ATTENTION_KEYS % queries == 0 && n <= queries && q0 % queries == 0 && w->head >= 0);
    (void)queries;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ATTENTION);
    tile t = {.a = a, .w = w, .rows = group_of(a) * n, .q0 = q0, .n = n};
    take_queries(&t, q);
    int64_t first = seen / LB_ATTENTION_KEYS * LB_ATTENTION_KEYS;
    for (t.k0 = first; t.k0 < q0 + n; t.k0 += LB_ATTENTION_KEYS) run_keys(&t, t.k0 == first);
    for (t.k0 = first; received && t.k0 < q0 + n; t.k0 += LB_ATTENTION_KEYS) add_received(&t, received);
    give_results(&t, out);
    double width = (double)(t.rows * a->head_dim), keys = (double)(q0 - seen) + 0.5 * (double)(n + 1); /* about */
    lb_scope_end(&scope, 4.0 * width * keys, 8.0 * (width + keys * (double)a->head_dim));
}

void lb_attention_run(const lb_attend *a, lb_attention *w, lb_cmat q, lb_cmat k, lb_cmat v, lb_mat out) {
    int64_t queries = lb_attention_queries(a);
    assert(!a->bias && q.rows == k.rows);
    for (int64_t g = 0; g < a->kv_heads; g++) {
        lb_attention_take(a, w, g, k, v);
        for (int64_t q0 = 0; q0 < q.rows; q0 += queries)
            lb_attention_tile(a, w, q0, q.rows - q0 < queries ? q.rows - q0 : queries, q, out, NULL);
    }
}

/* The reference forward pass: plain loops in float64, written from the definitions and sharing nothing with the fast
 * one but the descriptor. */
#include <math.h>
#include <string.h>

#include "model/forward.h"

typedef struct ref {
    const lb_arch *a;
    int64_t T;
    double *x, *y;         /* (T, dim): the residual stream, a norm's output */
    double *q, *k, *v, *o; /* (T, heads * head_dim), (T, kv_heads * head_dim) twice, like q */
    double *gate, *up;     /* (T, hidden) */
    double *p;             /* (T) one row of attention */
} ref;

static lb_status ref_new(lb_arena *arena, const lb_arch *a, int64_t T, ref *r) {
    size_t t = (size_t)T, d = sizeof(double);
    size_t q = (size_t)(a->heads * a->head_dim) * d, kv = (size_t)(a->kv_heads * a->head_dim) * d;
    *r = (ref){.a = a,
               .T = T,
               .x = lb_arena_get(arena, t, (size_t)a->dim * d),
               .y = lb_arena_get(arena, t, (size_t)a->dim * d),
               .q = lb_arena_get(arena, t, q),
               .k = lb_arena_get(arena, t, kv),
               .v = lb_arena_get(arena, t, kv),
               .o = lb_arena_get(arena, t, q),
               .gate = lb_arena_get(arena, t, (size_t)a->hidden * d),
               .up = lb_arena_get(arena, t, (size_t)a->hidden * d),
               .p = lb_arena_get(arena, t, d)};
    return r->x && r->y && r->q && r->k && r->v && r->o && r->gate && r->up && r->p ? LB_OK : LB_E_NOMEM;
}

static void norm(const ref *r, const float *weight) {
    int64_t n = r->a->dim;
    for (int64_t t = 0; t < r->T; t++) {
        const double *x = r->x + t * n;
        double ss = 0.0;
        for (int64_t i = 0; i < n; i++) ss += x[i] * x[i];
        double over = 1.0 / sqrt(ss / (double)n + r->a->norm_eps);
        for (int64_t i = 0; i < n; i++) r->y[t * n + i] = x[i] * over * (double)weight[i];
    }
}

/* y (T, rows) = x (T, cols) Wᵀ, added to y if `add`. */
static void linear(const ref *r, lb_cmat W, const double *x, double *y, bool add) {
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t o = 0; o < W.rows; o++) {
            double sum = add ? y[t * W.rows + o] : 0.0;
            for (int64_t i = 0; i < W.cols; i++) sum += x[t * W.cols + i] * (double)W.d[o * W.ld + i];
            y[t * W.rows + o] = sum;
        }
}

static void rotate(const ref *r, double *x, int64_t heads) {
    int64_t d = r->a->head_dim;
    bool pairs = r->a->rope == LB_ROPE_PAIRS;
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < d / 2; i++) {
                double angle = (double)t * lb_rope_frequency(r->a, i);
                double *head = x + (t * heads + h) * d;
                double *u = head + (pairs ? 2 * i : i), *w = head + (pairs ? 2 * i + 1 : i + d / 2);
                double a = *u, b = *w;
                *u = a * cos(angle) - b * sin(angle);
                *w = b * cos(angle) + a * sin(angle);
            }
}

static void attend(const ref *r) {
    const lb_arch *a = r->a;
    int64_t d = a->head_dim;
    for (int64_t h = 0; h < a->heads; h++) {
        int64_t g = h / (a->heads / a->kv_heads);
        for (int64_t t = 0; t < r->T; t++) {
            const double *q = r->q + (t * a->heads + h) * d;
            double *o = r->o + (t * a->heads + h) * d, top = -INFINITY, sum = 0.0;
            for (int64_t s = 0; s <= t; s++) {
                double dot = 0.0;
                for (int64_t i = 0; i < d; i++) dot += q[i] * r->k[(s * a->kv_heads + g) * d + i];
                r->p[s] = dot / sqrt((double)d);
                top = fmax(top, r->p[s]);
            }
            for (int64_t s = 0; s <= t; s++) sum += r->p[s] = exp(r->p[s] - top);
            memset(o, 0, (size_t)d * sizeof *o);
            for (int64_t s = 0; s <= t; s++)
                for (int64_t i = 0; i < d; i++) o[i] += r->p[s] / sum * r->v[(s * a->kv_heads + g) * d + i];
        }
    }
}

static void block(const ref *r, const lb_block *b) {
    norm(r, b->attn_norm);
    linear(r, b->w[LB_Q], r->y, r->q, false);
    linear(r, b->w[LB_K], r->y, r->k, false);
    linear(r, b->w[LB_V], r->y, r->v, false);
    rotate(r, r->q, r->a->heads);
    rotate(r, r->k, r->a->kv_heads);
    attend(r);
    linear(r, b->w[LB_O], r->o, r->x, true);
    norm(r, b->mlp_norm);
    linear(r, b->w[LB_GATE], r->y, r->gate, false);
    linear(r, b->w[LB_UP], r->y, r->up, false);
    for (int64_t i = 0; i < r->T * r->a->hidden; i++) r->gate[i] *= r->up[i] / (1.0 + exp(-r->gate[i]));
    linear(r, b->w[LB_DOWN], r->gate, r->x, true);
}

lb_status lb_forward_ref(const lb_arch *a, const lb_weights *w, const int32_t *tokens, int64_t n, lb_mat h) {
    lb_arena *arena;
    LB_TRY(lb_arena_new(0, &arena));
    ref r;
    lb_status st;
    LB_TRY_GOTO(st, done, ref_new(arena, a, n, &r));
    LB_TRY_GOTO(st, done, lb_embed(a, w, tokens, n, h));
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < a->dim; i++) r.x[t * a->dim + i] = (double)h.d[t * h.ld + i];
    for (int64_t l = 0; l < a->layers; l++) block(&r, &w->blocks[l]);
    norm(&r, w->final_norm);
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < a->dim; i++) h.d[t * h.ld + i] = (float)r.y[t * a->dim + i];
done:
    lb_arena_free(arena);
    return st;
}

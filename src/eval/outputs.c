#include "eval/outputs.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "model/linop.h"
#include "model/weights.h"

enum { TOKENS = 64 };

struct lb_outputs {
    const lb_net *net;
    lb_team *team;
    lb_exec *exec;
    int64_t block;
    lb_mat x, y[2]; /* (tokens, dim) */
};

static lb_status new_states(lb_arena *a, int64_t rows, int64_t dim, lb_mat *out) {
    float *d = LB_NEW_UNSET(a, float, rows *dim);
    *out = lb_mat_of(d, rows, dim);
    return d ? LB_OK : LB_E_NOMEM;
}

static int64_t draw_tokens(const lb_net *n, uint64_t seed, int32_t token[TOKENS]) {
    int64_t T = n->context && n->context < TOKENS ? n->context : TOKENS;
    lb_rng r = lb_rng_make(seed, 0);
    for (int64_t t = 0; t < T; t++) token[t] = (int32_t)lb_rng_below(&r, n->vocab);
    return T;
}

lb_status lb_outputs_new(lb_arena *a, const lb_net *n, const lb_weights *w, uint64_t seed, lb_team *team,
                         lb_outputs **out) {
    int32_t token[TOKENS];
    int64_t T = draw_tokens(n, seed, token);
    lb_outputs *o = LB_NEW(a, lb_outputs, 1);
    if (!o) return LB_E_NOMEM;
    *o = (lb_outputs){.net = n, .team = team};
    LB_TRY(new_states(a, T, n->dim, &o->x));
    for (int i = 0; i < 2; i++) LB_TRY(new_states(a, T, n->dim, &o->y[i]));
    LB_TRY(lb_exec_new(a, n, T, team, &o->exec));
    LB_TRY(lb_exec_embed(o->exec, w, token, T, o->x));
    *out = o;
    return LB_OK;
}

static lb_status run_block(lb_outputs *o, const lb_weights *w, lb_mat y) {
    lb_arena *a = NULL;
    lb_weights loaded;
    float *buffer = NULL;
    int64_t floats = lb_block_floats(o->net, w, o->block);
    memcpy(y.d, o->x.d, (size_t)(y.rows * y.cols) * sizeof *y.d);
    if (!floats) return lb_exec_block(o->exec, w, o->block, y, NULL);
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_weights_new(a, o->net, &loaded);
    if (st == LB_OK && !(buffer = lb_realloc(NULL, 0, (size_t)floats, sizeof *buffer))) st = LB_E_NOMEM;
    if (st == LB_OK) st = lb_block_load(o->net, w, o->block, buffer, o->team, &loaded);
    if (st == LB_OK) st = lb_exec_block(o->exec, &loaded, o->block, y, NULL);
    lb_free(buffer);
    lb_arena_free(a);
    return st;
}

static double distance(lb_mat a, lb_mat b) {
    double sum = 0;
    for (int64_t i = 0; i < a.rows * a.cols; i++) {
        double d = (double)a.d[i] - (double)b.d[i];
        sum += d * d;
    }
    return sqrt(sum);
}

lb_status lb_outputs_block(lb_outputs *o, const lb_weights *was, const lb_weights *now, double *apart) {
    const double rounding = 0.01; /* of 1e-4: 1e-6 of x, some units in the last place of a float */
    double all = 0;
    LB_TRY(run_block(o, was, o->y[0]));
    LB_TRY(run_block(o, now, o->y[1]));
    for (int64_t i = 0; i < o->x.rows * o->x.cols; i++) all += (double)o->x.d[i] * (double)o->x.d[i];
    double off = distance(o->y[1], o->y[0]), added = distance(o->y[0], o->x) + rounding * sqrt(all);
    *apart = off > 0 ? off / added : 0;
    if (!isfinite(off) || !isfinite(added) || !isfinite(*apart))
        return lb_fail(LB_E_NUMERIC, "block %lld: outputs are not finite", (long long)o->block);
    lb_mat x = o->x;
    o->x = o->y[0];
    o->y[0] = x;
    o->block++;
    return LB_OK;
}

/* (T, vocab) */
static lb_status logits(lb_arena *a, const lb_net *n, const lb_weights *w, const int32_t *token, int64_t T,
                        lb_team *team, lb_mat *out) {
    lb_exec *exec;
    lb_mat x, h;
    const lb_linop *head = &w->site[n->head];
    LB_TRY(new_states(a, T, n->dim, &x));
    LB_TRY(new_states(a, T, n->site[n->head].cols, &h));
    LB_TRY(new_states(a, T, n->vocab, out));
    LB_TRY(lb_exec_new(a, n, T, team, &exec));
    LB_TRY(lb_exec_embed(exec, w, token, T, x));
    for (int64_t k = 0; k < n->blocks; k++) LB_TRY(lb_exec_block(exec, w, k, x, NULL));
    LB_TRY(lb_exec_final(exec, w, x, h));
    return lb_linop_apply_rows(head, 0, n->vocab, lb_mat_c(h), NULL, *out);
}

/* The furthest, in standard deviations of `was`. */
static double row_apart(const float *was, const float *now, int64_t n) {
    double mean = 0, square = 0, most = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)was[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double off = (double)was[i] - mean, by = fabs((double)now[i] - (double)was[i]);
        square += off * off / (double)n;
        if (!(by <= most)) most = by;
    }
    return most > 0 ? most / sqrt(square) : most;
}

static lb_status logits_apart(lb_arena *a, const lb_net *n, const lb_weights *was, const lb_weights *now, uint64_t seed,
                              lb_team *team, double *apart) {
    int32_t token[TOKENS];
    int64_t T = draw_tokens(n, seed, token);
    lb_mat y[2];
    LB_TRY(logits(a, n, was, token, T, team, &y[0]));
    LB_TRY(logits(a, n, now, token, T, team, &y[1]));
    for (int64_t t = 0; t < T; t++) {
        double row = row_apart(y[0].d + t * n->vocab, y[1].d + t * n->vocab, n->vocab);
        if (!isfinite(row)) return lb_fail(LB_E_NUMERIC, "logits of token %lld are not finite", (long long)t);
        if (row > *apart) *apart = row;
    }
    return LB_OK;
}

lb_status lb_outputs_logits(const lb_net *n, const lb_weights *was, const lb_weights *now, uint64_t seed, lb_team *team,
                            double *apart) {
    lb_arena *a;
    *apart = 0;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = logits_apart(a, n, was, now, seed, team, apart);
    lb_arena_free(a);
    return st;
}

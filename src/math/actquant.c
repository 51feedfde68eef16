#include "math/actquant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Comparisons, not fminf: a NaN passes through and stays visible. */
static float clamp(float q, float lo, float hi) { return q < lo ? lo : q > hi ? hi : q; }

static float top_of(const lb_actquant *act) {
    return (float)(act->symmetric ? (1 << (act->bits - 1)) - 1 : (1 << act->bits) - 1);
}

bool lb_actquant_same(const lb_actquant *a, const lb_actquant *b) {
    if (a->bits != b->bits) return false;
    if (a->bits == 0) return true;
    if (a->symmetric != b->symmetric || a->mode != b->mode) return false;
    if (a->mode == LB_ACTQUANT_TOKEN) return a->group == b->group;
    return a->scale == b->scale && a->zero == b->zero;
}

void lb_actquant_range(lb_actquant *act, float lo, float hi) {
    lo = lo < 0 ? lo : 0;
    hi = hi > 0 ? hi : 0;
    if (act->symmetric) {
        act->scale = (-lo > hi ? -lo : hi) / top_of(act);
        act->zero = 0;
    } else {
        act->scale = (hi - lo) / top_of(act);
        act->zero = act->scale > 0 ? rintf(-lo / act->scale) : 0;
    }
}

/* A scale of 0 stands for zeros, or numbers so small that no code but 0 can be told apart. */
static void quantize(const lb_actquant *act, const float *x, float *y, int64_t n) {
    float top = top_of(act), scale = act->scale, zero = act->zero;
    if (!(scale > 0))
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * 0;
    else if (act->symmetric)
        for (int64_t i = 0; i < n; i++) y[i] = clamp(rintf(x[i] / scale), -top, top) * scale;
    else
        for (int64_t i = 0; i < n; i++) y[i] = (clamp(rintf(x[i] / scale) + zero, 0, top) - zero) * scale;
}

static void by_range(const lb_actquant *act, const float *x, float *y, int64_t n) {
    lb_actquant own = *act;
    float lo = 0, hi = 0;
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    lb_actquant_range(&own, lo, hi);
    quantize(&own, x, y, n);
}

void lb_actquant_apply(const lb_actquant *act, lb_cmat x, lb_mat y) {
    assert(x.rows == y.rows && x.cols == y.cols);
    assert(act->bits == 0 || (act->bits >= 2 && act->bits <= 8));
    int64_t group = act->group > 0 ? act->group : x.cols;
    for (int64_t r = 0; r < x.rows; r++) {
        const float *from = x.d + r * x.ld;
        float *to = y.d + r * y.ld;
        if (act->bits == 0 && to != from) memcpy(to, from, (size_t)x.cols * sizeof *to);
        if (act->bits && act->mode == LB_ACTQUANT_STATIC) quantize(act, from, to, x.cols);
        for (int64_t c = 0; act->bits && act->mode == LB_ACTQUANT_TOKEN && c < x.cols; c += group)
            by_range(act, from + c, to + c, c + group < x.cols ? group : x.cols - c);
    }
}

bool lb_actquant_cuts(const lb_actquant *act, float x) {
    float top = top_of(act), code = rintf(x / act->scale) + act->zero;
    return code > top || code < (act->symmetric ? -top : 0);
}

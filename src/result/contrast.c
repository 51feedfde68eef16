#include "result/contrast.h"

#include <math.h>

#include "base/mem.h"
#include "result/seeds.h"

/* The smallest tail that is told apart from none. */
#define LEAST_TAIL 1e-16

/* The level at which the interval touches 0: its half width falls as the tail grows. */
static double p_of(const lb_spread *s, double delta) {
    double low = log(LEAST_TAIL), high = log(0.5);
    if (!(fabs(delta) > 0)) return 1;
    if (lb_spread_half(s, LEAST_TAIL) < fabs(delta)) return 2 * LEAST_TAIL;
    for (int i = 0; i < 50; i++) {
        double mid = 0.5 * (low + high);
        if (lb_spread_half(s, exp(mid)) > fabs(delta))
            low = mid;
        else
            high = mid;
    }
    return 2 * exp(0.5 * (low + high));
}

static int64_t seed_at(const lb_side *x, uint64_t seed) {
    for (int64_t i = 0; i < x->seeds; i++)
        if (x->seed[i] == seed) return i;
    return -1;
}

static bool same_seeds(const lb_side *a, const lb_side *b) {
    if (a->seeds != b->seeds) return false;
    for (int64_t i = 0; i < a->seeds; i++)
        if (seed_at(b, a->seed[i]) < 0) return false;
    return true;
}

static lb_status with_p(lb_status st, const lb_spread *s, int64_t windows, lb_contrast *out) {
    LB_TRY(st);
    if (windows > 1) out->p = p_of(s, out->d.delta);
    return LB_OK;
}

/* Seeds on the side of a alone. */
static lb_status one_sample(const lb_side *a, const double *b, int64_t windows, lb_contrast *out) {
    lb_spread s;
    return with_p(lb_seeds_spread(a->nll, a->seeds, b, windows, &out->d, &out->sd, &s), &s, windows, out);
}

/* Each seed's differences, against 0. */
static lb_status seed_by_seed(const lb_side *a, const lb_side *b, int64_t windows, lb_contrast *out) {
    size_t seeds = (size_t)a->seeds, n = (size_t)windows;
    double *x = lb_alloc((seeds + 1) * n, sizeof *x);
    const double **row = lb_alloc(seeds, sizeof *row);
    lb_status st = x && row ? LB_OK : LB_E_NOMEM;
    for (size_t k = 0; k < seeds && st == LB_OK; k++) {
        const double *y = b->nll[seed_at(b, a->seed[k])];
        row[k] = x + k * n;
        for (size_t w = 0; w < n; w++) x[k * n + w] = a->nll[k][w] - y[w];
    }
    lb_side side = {row, a->seed, a->seeds};
    if (st == LB_OK) st = one_sample(&side, x + seeds * n, windows, out);
    out->paired_seeds = true;
    lb_free(row);
    lb_free(x);
    return st;
}

/* Adds a side's mean over seeds to x, times sign; *variance: of that mean, over seeds. */
static void add_side(const lb_side *a, double sign, int64_t windows, double *x, double *delta, double *variance) {
    double n = (double)a->seeds;
    for (int64_t k = 0; k < a->seeds; k++) {
        delta[k] = 0;
        for (int64_t w = 0; w < windows; w++) {
            x[w] += sign * a->nll[k][w] / n;
            delta[k] += a->nll[k][w] / (double)windows;
        }
    }
    double sd = lb_sample_sd(delta, a->seeds);
    *variance = sd * sd / n;
}

static lb_status two_samples(const lb_side *a, const lb_side *b, int64_t windows, lb_contrast *out) {
    int64_t most = a->seeds > b->seeds ? a->seeds : b->seeds;
    double *x = lb_alloc(2 * (size_t)windows + (size_t)most, sizeof *x);
    if (!x) return LB_E_NOMEM;
    double *zero = x + windows, *delta = zero + windows, va, vb;
    add_side(a, 1, windows, x, delta, &va);
    add_side(b, -1, windows, x, delta, &vb);
    lb_spread s = {.parts = 0};
    lb_spread_add(&s, sqrt(va), (double)(a->seeds - 1));
    lb_spread_add(&s, sqrt(vb), (double)(b->seeds - 1));
    out->sd = sqrt(va * (double)a->seeds + vb * (double)b->seeds);
    lb_status st = lb_paired_mean(x, zero, windows, &out->d);
    if (st == LB_OK && windows > 1) {
        lb_spread_add_windows(&s, x, windows, out->d.block);
        lb_spread_interval(&s, &out->d);
    }
    lb_free(x);
    return with_p(st, &s, windows, out);
}

static void turn(lb_paired *d) {
    double low = d->low;
    d->delta = -d->delta, d->low = -d->high, d->high = -low;
}

lb_status lb_contrast_of(const lb_side *a, const lb_side *b, int64_t windows, lb_contrast *out) {
    *out = (lb_contrast){.sd = NAN, .p = NAN, .seeds = a->seeds};
    if (a->seeds < 1 || b->seeds < 1 || windows < 1)
        return lb_fail(LB_E_ARG, "difference of %lld and %lld seeds over %lld windows: at least one of each is needed",
                       (long long)a->seeds, (long long)b->seeds, (long long)windows);
    if (a->seeds == 1 && b->seeds == 1) return lb_paired_test(a->nll[0], b->nll[0], windows, &out->d, &out->p);
    if (b->seeds == 1) return one_sample(a, b->nll[0], windows, out);
    if (a->seeds == 1) {
        LB_TRY(one_sample(b, a->nll[0], windows, out));
        turn(&out->d);
        return LB_OK;
    }
    return same_seeds(a, b) ? seed_by_seed(a, b, windows, out) : two_samples(a, b, windows, out);
}

bool lb_contrast_differs(const lb_contrast *c) { return c->d.low > 0 || c->d.high < 0; }

static bool before(const double *p, int64_t i, int64_t k) { return p[i] < p[k] || (p[i] == p[k] && i < k); }

void lb_holm(double *p, int64_t n) {
    int64_t left = 0;
    double floor = 0;
    for (int64_t i = 0; i < n; i++) left += !isnan(p[i]);
    /* The smallest that is left, again and again: what is done has a minus. */
    for (; left > 0; left--) {
        int64_t at = -1;
        for (int64_t i = 0; i < n; i++)
            if (!isnan(p[i]) && !signbit(p[i]) && (at < 0 || before(p, i, at))) at = i;
        double adjusted = (double)left * p[at] < 1 ? (double)left * p[at] : 1;
        if (adjusted > floor) floor = adjusted;
        p[at] = -floor;
    }
    for (int64_t i = 0; i < n; i++) p[i] = fabs(p[i]);
}

#include "model/rotary.h"

#include <assert.h>
#include <math.h>

#include "base/profile.h"
#include "model/steps/reference.h"

static const double two_pi = 6.28318530717958647693;

static double clamped(double v) { return fmin(fmax(v, 0.0), 1.0); }

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* What of T the angles depend on, never 0. */
static int64_t grown(const lb_rope_spec *s, int64_t T) {
    if (s->kind == LB_REF_ROPE_DYNAMIC) return larger(T, (int64_t)s->context);
    return s->kind == LB_REF_ROPE_LONGROPE && (double)T > s->original ? 2 : 1;
}

int64_t lb_rotary_reach(const lb_rope_spec *s, int64_t T) {
    if (s->kind == LB_REF_ROPE_DYNAMIC) return grown(s, T);
    return s->kind == LB_REF_ROPE_LONGROPE && grown(s, T) == 1 ? (int64_t)s->original : INT64_MAX;
}

static double llama3(const lb_rope_spec *s, double theta) {
    double turns = s->original * theta / two_pi; /* within the original context */
    if (turns > s->high) return theta;
    if (turns < s->low) return theta / s->factor;
    double kept = (turns - s->low) / (s->high - s->low);
    return kept * theta + (1.0 - kept) * theta / s->factor;
}

/* The pair that turns so often within the original context. */
static double turning(const lb_rope_spec *s, double turns) {
    return (double)s->dims * log(s->original / (turns * two_pi)) / (2.0 * log(s->base));
}

static double yarn(const lb_rope_spec *s, double theta, int64_t i) {
    double low = turning(s, s->fast), high = turning(s, s->slow);
    if (!s->untruncated) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, (double)s->dims - 1.0);
    if (low == high) high += 0.001;
    double ramp = clamped(((double)i - low) / (high - low));
    return theta / s->factor * ramp + theta * (1.0 - ramp);
}

double lb_rotary_frequency(const lb_rope_spec *s, int64_t T, int64_t i) {
    double base = s->base, dims = (double)s->dims;
    if (s->kind == LB_REF_ROPE_DYNAMIC) {
        double length = (double)grown(s, T);
        base *= pow(s->factor * length / s->context - (s->factor - 1.0), dims / (dims - 2.0));
    }
    double theta = pow(base, -2.0 * (double)i / dims);
    switch (s->kind) {
    case LB_REF_ROPE_LINEAR:
        return theta / s->factor;
    case LB_REF_ROPE_LLAMA3:
        return llama3(s, theta);
    case LB_REF_ROPE_YARN:
        return yarn(s, theta, i);
    case LB_REF_ROPE_LONGROPE:
        return theta / (grown(s, T) == 2 ? s->long_factor : s->short_factor)[i];
    default:
        return theta;
    }
}

lb_status lb_rotary_new(lb_arena *a, const lb_rope_spec *s, int64_t length, lb_rotary *out) {
    int64_t pairs = (s->dims + 1) / 2;
    if (s->kind == LB_REF_ROPE_LONGROPE && (!s->short_factor || !s->long_factor))
        return lb_fail(LB_E_FORMAT, "rope_short and rope_long: both must have a factor for each of %lld pairs",
                       (long long)pairs);
    *out = (lb_rotary){.cos = LB_NEW_UNSET(a, float, length *pairs),
                       .sin = LB_NEW_UNSET(a, float, length *pairs),
                       .pairs = pairs,
                       .length = length};
    return out->cos && out->sin ? LB_OK : LB_E_NOMEM;
}

void lb_rotary_set(const lb_rope_spec *s, int64_t T, lb_rotary *r) {
    if (r->grown == grown(s, T)) return;
    r->grown = grown(s, T);
    for (int64_t i = 0; i < r->pairs; i++) {
        double theta = lb_rotary_frequency(s, T, i);
        for (int64_t t = 0; t < r->length; t++) {
            r->cos[t * r->pairs + i] = (float)(cos((double)t * theta) * s->magnitude);
            r->sin[t * r->pairs + i] = (float)(sin((double)t * theta) * s->magnitude);
        }
    }
}

/* The pair (x[i * step], x[i * step + apart]) turns by the angle of i. */
static void turn_head(float *x, const float *c, const float *s, float sign, int64_t pairs, int64_t step,
                      int64_t apart) {
    for (int64_t i = 0; i < pairs; i++) {
        float *u = x + i * step, *v = u + apart;
        float a = *u, b = *v, sn = sign * s[i];
        *u = a * c[i] - b * sn;
        *v = b * c[i] + a * sn;
    }
}

void lb_rotary_turn(const lb_rope_spec *s, const lb_rotary *r, bool inverse, int64_t head_dim, int64_t first,
                    lb_mat x) {
    assert(first + x.rows <= r->length && x.cols % head_dim == 0 && r->grown);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ROPE);
    for (int64_t t = 0; t < x.rows; t++)
        for (int64_t h = 0; h < x.cols; h += head_dim) {
            float *head = x.d + t * x.ld + h, sign = inverse ? -1.0f : 1.0f;
            const float *c = r->cos + (first + t) * r->pairs, *sn = r->sin + (first + t) * r->pairs;
            /* Two calls with literals, so that each inlines to its own loop. */
            if (s->pairs)
                turn_head(head, c, sn, sign, r->pairs, 2, 1);
            else
                turn_head(head, c, sn, sign, r->pairs, 1, r->pairs);
        }
    lb_scope_end(&scope, 3 * (double)(x.rows * x.cols), 8 * (double)(x.rows * x.cols));
}

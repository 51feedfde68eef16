/* Which token comes next. */
#include <assert.h>
#include <math.h>

#include "base/rng.h"
#include "eval/generate.h"

struct lb_sampler {
    lb_sampling how;
    lb_rng rng;
    int64_t vocab;
    lb_choice *choice; /* (vocab) */
};

lb_status lb_sampler_new(lb_arena *a, const lb_sampling *s, int64_t vocab, lb_sampler **out) {
    assert(s->temperature == 0.0 || (s->temperature > 0.0 && s->top_p > 0.0 && s->top_p <= 1.0));
    lb_sampler *x = LB_NEW(a, lb_sampler, 1);
    if (!x) return LB_E_NOMEM;
    *x = (lb_sampler){.how = *s, .rng = lb_rng_make(s->seed, 0), .vocab = vocab};
    if (!(x->choice = LB_NEW_UNSET(a, lb_choice, vocab))) return LB_E_NOMEM;
    *out = x;
    return LB_OK;
}

static lb_status find_largest(const float *logits, int64_t n, int64_t *top) {
    *top = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(logits[i])) return lb_fail(LB_E_NUMERIC, "logit %lld is NaN or infinite", (long long)i);
        if (logits[i] > logits[*top]) *top = i;
    }
    return LB_OK;
}

static bool before(const lb_choice *a, const lb_choice *b) { return a->p > b->p || (a->p == b->p && a->id < b->id); }

/* Of a heap whose first is before all others. */
static void sink(lb_choice *heap, int64_t i, int64_t n) {
    lb_choice x = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &x)) break;
        heap[i] = heap[child];
    }
    heap[i] = x;
}

/* The most probable choices, in order, until their sum reaches `enough`: to the head of c; how many. They leave the
 * heap one after another and gather behind it, the first at the end. */
static int64_t take(lb_choice *c, int64_t n, double enough) {
    int64_t left = n;
    double sum = 0.0;
    for (int64_t i = n / 2 - 1; i >= 0; i--) sink(c, i, n);
    do {
        lb_choice top = c[0];
        c[0] = c[--left];
        c[left] = top;
        sink(c, 0, left);
        sum += top.p;
    } while (left > 0 && sum < enough);
    for (int64_t i = 0, k = n - 1; i < k; i++, k--) {
        lb_choice x = c[i];
        c[i] = c[k];
        c[k] = x;
    }
    return n - left;
}

lb_status lb_sampler_choices(lb_sampler *s, const float *logits, const lb_choice **out, int64_t *n) {
    int64_t top;
    double all = 0.0;
    LB_TRY(find_largest(logits, s->vocab, &top));
    *out = s->choice;
    *n = 1;
    s->choice[0] = (lb_choice){1.0, (int32_t)top};
    if (!(s->how.temperature > 0.0)) return LB_OK;
    for (int64_t i = 0; i < s->vocab; i++) {
        s->choice[i] = (lb_choice){exp(((double)logits[i] - (double)logits[top]) / s->how.temperature), (int32_t)i};
        all += s->choice[i].p;
    }
    *n = s->how.top_p < 1.0 ? take(s->choice, s->vocab, s->how.top_p * all) : s->vocab;
    return LB_OK;
}

lb_status lb_sampler_next(lb_sampler *s, const float *logits, int32_t *id) {
    const lb_choice *c;
    int64_t n;
    double all = 0.0, sum = 0.0;
    LB_TRY(lb_sampler_choices(s, logits, &c, &n));
    *id = c[0].id;
    if (n == 1) return LB_OK;
    for (int64_t i = 0; i < n; i++) all += c[i].p;
    double at = lb_rng_uniform(&s->rng) * all;
    for (int64_t i = 0; i < n && sum <= at; i++) {
        sum += c[i].p;
        if (c[i].p > 0.0) *id = c[i].id;
    }
    return LB_OK;
}

#include "eval/perplexity_windows.h"

#include <math.h>
#include <string.h>

lb_status lb_scored_check(const lb_net *net, const lb_eval_request *r) {
    const lb_protocol *p = &r->protocol;
    if (net->context && p->n > net->context)
        return lb_fail(LB_E_CONFIG, "protocol %s: windows of %lld tokens are longer than the model's context of %lld",
                       p->id, (long long)p->n, (long long)net->context);
    if (lb_protocol_windows(p, r->corpus->tokens) < 1)
        return lb_fail(LB_E_CONFIG, "%s: %lld tokens are too few for one window: protocol %s needs %lld",
                       r->corpus->path, (long long)r->corpus->tokens, p->id,
                       (long long)(p->rule == LB_RULE_HF ? 2 : p->n));
    if (r->max_windows < 0)
        return lb_fail(LB_E_CONFIG, "windows = %lld: must be at least 0 (all)", (long long)r->max_windows);
    if (!r->base != !r->base_states)
        return lb_fail(LB_E_ARG, "divergence needs both the baseline's weights and its states");
    if (r->speculative && !r->base) return lb_fail(LB_E_ARG, "acceptance is that of a baseline: there is none");
    return LB_OK;
}

lb_window lb_scored_window(const lb_scored *s, int64_t window) {
    return lb_protocol_window(s->protocol, s->corpus->tokens, window);
}

int64_t lb_scored_count(const lb_scored *s, int64_t window) { return s->first[window + 1] - s->first[window]; }

/* Which tokens of which windows. */
static void count(lb_scored *s) {
    for (int64_t i = 0; i < s->out->windows; i++) {
        const lb_window w = lb_scored_window(s, i);
        int64_t scored = w.n - 1 - w.from;
        s->first[i + 1] = s->first[i] + scored;
        if (scored > s->most) s->most = scored;
    }
    s->out->scored = s->first[s->out->windows];
}

lb_status lb_scored_begin(const lb_eval_request *r, lb_arena *scratch, lb_arena *arena, lb_eval *e, lb_scored *s) {
    *s = (lb_scored){.protocol = &r->protocol, .corpus = r->corpus, .out = e};
    e->protocol = r->protocol;
    e->windows_all = lb_protocol_windows(&r->protocol, r->corpus->tokens);
    e->windows = r->max_windows && r->max_windows < e->windows_all ? r->max_windows : e->windows_all;
    s->first = LB_NEW(scratch, int64_t, e->windows + 1);
    s->sum = LB_NEW(scratch, double, e->windows);
    s->sum2 = LB_NEW(scratch, double, e->windows);
    e->window_nll = LB_NEW(arena, double, e->windows);
    if (!s->first || !s->sum || !s->sum2 || !e->window_nll) return LB_E_NOMEM;
    count(s);
    if (!r->base) return LB_OK;
    s->kl = LB_NEW(scratch, double, e->scored);
    e->window_kl = LB_NEW(arena, double, e->windows);
    e->window_agree = LB_NEW(arena, double, e->windows);
    if (!s->kl || !e->window_kl || !e->window_agree) return LB_E_NOMEM;
    e->speculative = r->speculative;
    if (!r->speculative) return LB_OK;
    s->accept = LB_NEW(scratch, double, e->scored);
    e->window_accept = LB_NEW(arena, double, e->windows);
    return s->accept && e->window_accept ? LB_OK : LB_E_NOMEM;
}

void lb_scored_tokens(const lb_scored *s, int64_t window, int32_t *token) {
    const lb_window w = lb_scored_window(s, window);
    memcpy(token, s->corpus->token + w.start, (size_t)w.n * sizeof *token);
    if (s->protocol->rule == LB_RULE_LCPP && s->corpus->has_bos) token[0] = s->corpus->bos_id;
}

void lb_scored_sum(const lb_scored *s, int64_t window, const double *nll, const uint8_t *agreed) {
    double sum = 0.0, sum2 = 0.0, kl = 0.0, agree = 0.0, accept = 0.0, n = (double)lb_scored_count(s, window);
    for (int64_t i = 0; i < lb_scored_count(s, window); i++) {
        sum += nll[i];
        sum2 += nll[i] * nll[i];
        if (s->kl) kl += s->kl[s->first[window] + i];
        if (s->accept) accept += s->accept[s->first[window] + i];
        agree += agreed[i];
    }
    s->sum[window] = sum;
    s->sum2[window] = sum2;
    s->out->window_nll[window] = sum / n;
    if (!s->kl) return;
    s->out->window_kl[window] = kl / n;
    s->out->window_agree[window] = agree / n;
    if (s->accept) s->out->window_accept[window] = accept / n;
}

static double mean_of(const double *x, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

/* Of windows' means, the mean over all tokens: windows of HF differ in how many they score. */
static double mean_over_tokens(const lb_scored *s, const double *x) {
    if (s->protocol->rule != LB_RULE_HF) return mean_of(x, s->out->windows);
    double sum = 0.0;
    for (int64_t i = 0; i < s->out->windows; i++) sum += x[i] * (double)lb_scored_count(s, i);
    return sum / (double)s->out->scored;
}

static void finish_kl(const lb_scored *s, lb_eval *e) {
    e->has_kl = true;
    e->kl_mean = mean_over_tokens(s, e->window_kl);
    e->top1 = mean_over_tokens(s, e->window_agree);
    lb_sort_f64(s->kl, e->scored);
    e->kl_median = lb_percentile(s->kl, e->scored, 0.5);
    e->kl_p99 = lb_percentile(s->kl, e->scored, 0.99);
    if (!e->speculative) return;
    e->accept = mean_over_tokens(s, e->window_accept);
    e->accept_tokens = lb_tokens_a_round(e->accept, e->speculative);
}

/* Every token's NLL is a number by now; of a model that is far off, their mean may still be one that nothing can be
 * raised to. */
static lb_status check_finite(const lb_eval *e) {
    if (isfinite(e->mean_nll) && isfinite(e->ppl) && !isinf(e->ppl_se)) return LB_OK;
    int64_t worst = 0;
    for (int64_t i = 1; i < e->windows; i++)
        if (e->window_nll[i] > e->window_nll[worst]) worst = i;
    return lb_fail(LB_E_NUMERIC,
                   "perplexity overflows: the mean NLL is %.6g nats a token, of window %lld %.6g: the model's outputs "
                   "are no probabilities any more",
                   e->mean_nll, (long long)worst, e->window_nll[worst]);
}

lb_status lb_scored_finish(const lb_scored *s) {
    lb_eval *e = s->out;
    double sum = 0.0, sum2 = 0.0, spread = 0.0, n = (double)e->windows, tokens = (double)e->scored;
    for (int64_t i = 0; i < e->windows; i++) {
        sum += s->sum[i];
        sum2 += s->sum2[i];
    }
    if (lb_protocol_over_tokens(&e->protocol)) {
        e->mean_nll = sum / tokens;
        spread = sqrt(fmax(sum2 / tokens - e->mean_nll * e->mean_nll, 0.0) / (tokens - 1.0));
    } else {
        e->mean_nll = mean_of(e->window_nll, e->windows);
        for (int64_t i = 0; i < e->windows; i++)
            spread += (e->window_nll[i] - e->mean_nll) * (e->window_nll[i] - e->mean_nll);
        spread = e->windows > 1 ? sqrt(spread / (n - 1.0) / n) : NAN;
    }
    e->ppl = exp(e->mean_nll);
    e->ppl_se = e->ppl * spread;
    LB_TRY(check_finite(e));
    if (s->kl) finish_kl(s, e);
    return LB_OK;
}

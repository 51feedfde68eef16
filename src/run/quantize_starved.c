/* Experts that too few calibration tokens were routed to. */
#include "run/quantize.h"

/* Statistics of inputs of which nothing is known: channels that are alike, independent and of mean square 1. */
static lb_status know_nothing(const char *name, int64_t cols, uint32_t needs, lb_arena *a, lb_stats *s) {
    if (needs & (LB_NEEDS_RANGE | LB_NEEDS_ROWS))
        return lb_fail(LB_E_NUMERIC,
                       "layer %s: %lld calibration tokens reached this expert, and no %s can be made up for one: "
                       "starved_experts: all_tokens, or error",
                       name, (long long)s->routed, needs & LB_NEEDS_RANGE ? "range of inputs" : "sampled rows");
    double *H = LB_NEW(a, double, needs &LB_NEEDS_HESSIAN ? cols *cols : 1), *mean = LB_NEW_UNSET(a, double, cols);
    float *absmax = LB_NEW_UNSET(a, float, cols);
    if (!H || !mean || !absmax) return LB_E_NOMEM;
    for (int64_t i = 0; i < cols; i++) {
        if (needs & LB_NEEDS_HESSIAN) H[i * cols + i] = 1;
        mean[i] = absmax[i] = 1;
    }
    lb_stats none = {.H = lb_dmat_c(lb_dmat_of(H, cols, cols)),
                     .tokens = s->tokens,
                     .sequences = s->sequences,
                     .routed = s->routed,
                     .kept = s->kept,
                     .absmax = absmax,
                     .mean_abs = mean};
    none.tokens = none.tokens > 0 ? none.tokens : 1;
    *s = lb_stats_only(&none, needs);
    return LB_OK;
}

static bool is_starved(const lb_quantize_job *j, int64_t layer, const lb_stats *s) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    return (l->needs & LB_NEEDS_STATISTICS) && j->plan->model->net->site[l->site].expert >= 0 &&
           s->routed < j->cell->calibration.expert_tokens;
}

lb_status lb_quantize_feed(const lb_quantize_job *j, int64_t layer, lb_arena *a, lb_stats *s) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    if (!is_starved(j, layer, s)) return LB_OK;
    switch ((lb_starved_policy)j->cell->calibration.starved_experts) {
    case LB_STARVED_RTN:
        return know_nothing(l->name, l->cols, l->needs & LB_NEEDS_STATISTICS, a, s);
    case LB_STARVED_ALL_TOKENS: /* whose statistics these are */
        return LB_OK;
    case LB_STARVED_ERROR:
        break;
    }
    s->starved = true;
    return LB_OK;
}

uint32_t lb_quantize_token_flags(const lb_quantize_job *j, int64_t layer, const lb_stats *s) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    bool starved = is_starved(j, layer, s);
    if (starved && j->cell->calibration.starved_experts == LB_STARVED_RTN) return LB_FLAG_STARVED;
    return lb_plan_token_flags(l, s->tokens) | (starved ? LB_FLAG_STARVED : 0u);
}

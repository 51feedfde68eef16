/* Statistics as a method sees them. */
#include "quant/method.h"

#include <math.h>

lb_stats lb_stats_only(const lb_stats *s, uint32_t needs) {
    lb_stats only = {
        .tokens = s->tokens, .sequences = s->sequences, .routed = s->routed, .starved = s->starved, .kept = s->kept};
    if (needs & LB_NEEDS_HESSIAN) only.H = s->H;
    if (needs & LB_NEEDS_ABSMAX) only.absmax = s->absmax;
    if (needs & LB_NEEDS_MEAN) only.mean_abs = s->mean_abs;
    if (needs & LB_NEEDS_RANGE) only.lo = s->lo, only.hi = s->hi;
    if (needs & LB_NEEDS_ROWS) only.rows = s->rows;
    only.participation = only.first_share = only.half_share = NAN;
    if (needs & LB_NEEDS_TOKENS) {
        only.participation = s->participation;
        only.first_share = s->first_share;
        only.half_share = s->half_share;
    }
    if (needs & LB_NEEDS_HESSIAN_NORM) only.H_equal = s->H_equal;
    if (needs & LB_NEEDS_HESSIAN_CLIP) only.H_clip = s->H_clip;
    if (needs & LB_NEEDS_HESSIAN_ATTENTION) only.H_attention = s->H_attention;
    return only;
}

lb_status lb_stats_reached(const lb_layer_in *in) {
    const lb_stats *s = in->stats;
    static const char what[] = "take more samples, skip it by a rule, or see calibration.starved_experts";
    if (s->tokens > 0 && !s->starved) return LB_OK;
    if (s->routed == 0)
        return lb_fail(LB_E_NUMERIC, "layer %s: no calibration token reached this expert: %s", in->name, what);
    return lb_fail(LB_E_NUMERIC, "layer %s: too few calibration tokens reached this expert, %lld: %s", in->name,
                   (long long)s->routed, what);
}

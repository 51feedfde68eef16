/* Which statistics of the original model are needed, and kept in the file that cells share. */
#include "run/block_plan.h"
#include "run/plan.h"

/* What there is to know of an H wherever there is one, and what errors are measured with beside it. */
static uint32_t to_measure(const lb_cell *c, uint32_t needs) {
    if (!(needs & LB_NEEDS_HESSIAN)) return needs;
    return needs | LB_NEEDS_TOKENS | (c->calibration.equal_errors ? LB_NEEDS_HESSIAN_NORM : 0u);
}

static uint32_t weighed_hessian(const lb_cell *c) {
    switch ((lb_token_weight)c->own.token_weight) {
    case LB_TOKENS_NORM:
        return LB_NEEDS_HESSIAN_NORM;
    case LB_TOKENS_CLIP:
        return LB_NEEDS_HESSIAN_CLIP;
    case LB_TOKENS_ATTENTION:
        return LB_NEEDS_HESSIAN_ATTENTION;
    case LB_TOKENS_AS_THEY_ARE:
        break;
    }
    return 0;
}

uint32_t lb_plan_solved_on(const lb_cell *c, uint32_t needs) {
    needs &= LB_NEEDS_STATISTICS;
    return needs & LB_NEEDS_HESSIAN ? needs | weighed_hessian(c) : needs;
}

uint32_t lb_plan_collected(const lb_cell *c, uint32_t needs) { return to_measure(c, lb_plan_solved_on(c, needs)); }

lb_stats lb_plan_weighed(const lb_cell *c, const lb_stats *s) {
    lb_stats weighed = *s;
    const uint32_t which = weighed_hessian(c);
    const lb_cdmat H = which == LB_NEEDS_HESSIAN_NORM        ? s->H_equal
                       : which == LB_NEEDS_HESSIAN_CLIP      ? s->H_clip
                       : which == LB_NEEDS_HESSIAN_ATTENTION ? s->H_attention
                                                             : s->H;
    if (H.d) weighed.H = H;
    return weighed;
}

lb_wanted lb_plan_wanted(const lb_cell *c, int32_t input, uint32_t needs) {
    return (lb_wanted){input, needs, lb_plan_enough(c), c->own.token_clip};
}

uint32_t lb_plan_layer_needs(const lb_plan *p, const lb_cell *c, const lb_layer_plan *l) {
    if (!lb_plan_calibration(p, c)->corpus) return 0;
    return to_measure(c, c->calibration.original_errors ? LB_NEEDS_HESSIAN : 0u) |
           (c->own.propagate == LB_PROPAGATE_ORIGINAL ? lb_plan_collected(c, l->needs) : 0u);
}

/* Statistics of the original model that the first stage which preserves reads where there is a file of them anyway. */
uint32_t lb_plan_first_needs(const lb_cell *c) {
    if (!lb_method_preserving(c->method)) return 0;
    uint32_t needs = lb_block_stage_needs(c, 0);
    return needs & LB_NEEDS_FORWARD ? 0 : lb_plan_solved_on(c, needs);
}

uint32_t lb_plan_original_needs(const lb_plan *p, const lb_cell *c) {
    const lb_layer_plan of_all = {.needs = c->layer_needs};
    uint32_t needs = c->method && !c->refused ? lb_plan_layer_needs(p, c, &of_all) : 0;
    return needs ? needs | lb_plan_first_needs(c) : 0;
}

uint32_t lb_plan_shared_needs(const lb_plan *p, const lb_cell *c) {
    uint32_t needs = 0;
    for (size_t i = 0; i < p->sweep.n; i++) {
        const lb_cell *other = &p->sweep.cell[i];
        if (other->windows == c->windows) needs |= lb_plan_original_needs(p, other);
    }
    return needs;
}

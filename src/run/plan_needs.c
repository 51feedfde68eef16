/* Which statistics of the original model are needed, and kept in the file that cells share. */
#include "run/block_plan.h"
#include "run/plan.h"

/* What there is to know of an H wherever there is one. */
static uint32_t with_tokens(uint32_t needs) { return needs & LB_NEEDS_HESSIAN ? needs | LB_NEEDS_TOKENS : needs; }

uint32_t lb_plan_collected(const lb_cell *c, uint32_t needs) {
    (void)c;
    return with_tokens(needs & LB_NEEDS_STATISTICS);
}

uint32_t lb_plan_layer_needs(const lb_plan *p, const lb_cell *c, const lb_layer_plan *l) {
    if (!lb_plan_calibration(p, c)->corpus) return 0;
    return with_tokens(c->calibration.original_errors ? LB_NEEDS_HESSIAN : 0u) |
           (c->own.propagate == LB_PROPAGATE_ORIGINAL ? lb_plan_collected(c, l->needs) : 0u);
}

/* Statistics of the original model that the first stage which preserves reads where there is a file of them anyway. */
uint32_t lb_plan_first_needs(const lb_cell *c) {
    if (!lb_method_preserving(c->method)) return 0;
    uint32_t needs = lb_block_stage_needs(c, 0);
    return needs & LB_NEEDS_FORWARD ? 0 : needs & LB_NEEDS_STATISTICS;
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

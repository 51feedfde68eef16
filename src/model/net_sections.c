/* Where a block can be cut in two: nothing but x lives on from one step to the next. */
#include "model/net_impl.h"

static bool has_site(const lb_net_step *s) { return s->site >= 0 && s->src[0] >= 0; }

/* After step i. */
static bool x_alone(const lb_net_part *p, int32_t i) {
    bool alone = true;
    for (int32_t v = 0; v < p->values; v++)
        if (p->value[v].born <= i && p->value[v].last > i) alone &= p->value[v].room == LB_ROOM_X;
    return alone;
}

lb_status lb_build_sections(lb_build *b, lb_net_part *p) {
    lb_net_section *s = LB_NEW(b->arena, lb_net_section, p->steps + 1);
    if (!s) return LB_E_NOMEM;
    int32_t first = 0, end = -1; /* the last step after which this one can end, once it has a site */
    bool sites = false;
    for (int32_t i = 0; i < p->steps; i++) {
        if (has_site(&p->step[i])) {
            if (end >= 0) {
                s[p->sections++] = (lb_net_section){first, end + 1 - first};
                first = end + 1;
                end = -1;
            }
            sites = true;
        }
        if (sites && x_alone(p, i)) end = i;
    }
    s[p->sections++] = (lb_net_section){first, p->steps - first};
    p->section = s;
    return LB_OK;
}

int32_t lb_net_step_of(const lb_net *n, int32_t site) {
    const lb_net_part *p = &n->block[n->site[site].block];
    int32_t at = 0; /* sites are numbered in the order of steps, an expert's after its router */
    for (int32_t i = 0; i < p->steps; i++)
        if (p->step[i].site >= 0 && p->step[i].site <= site) at = i;
    return at;
}

int32_t lb_net_section_of(const lb_net *n, int32_t input) {
    int32_t site = n->reader[n->input[input].first], step = lb_net_step_of(n, site), k = 0;
    const lb_net_part *p = &n->block[n->site[site].block];
    while (step >= p->section[k].first + p->section[k].steps) k++;
    return k;
}

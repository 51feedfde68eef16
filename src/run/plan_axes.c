/* Axes without effect that only the model's layers tell. With several models another one may have what this one lacks.
 */
#include <string.h>

#include "run/plan.h"

lb_status lb_plan_check_axes_of_experts(const lb_plan *p) {
    static const char *const of_experts[] = {"quantize_router", "calibration.starved_experts",
                                             "calibration.expert_tokens"};
    const lb_config *c = p->config;
    const lb_net *n = p->model->net;
    bool experts = c->models > 1;
    for (int32_t i = 0; i < n->sites && !experts; i++) experts = n->site[i].routes || n->site[i].expert >= 0;
    for (size_t i = 0; i < c->axes && !experts; i++)
        for (size_t k = 0; k < sizeof of_experts / sizeof of_experts[0]; k++)
            if (strcmp(c->axis[i].name, of_experts[k]) == 0)
                return lb_fail(LB_E_CONFIG, "%s: axes.%s has no effect: %s has no experts",
                               lb_config_where(c->axis[i].node).text, of_experts[k], p->model_text);
    return LB_OK;
}

/* What the cells that an axis reaches have come to. */
typedef struct effect {
    bool cell, layer;    /* there is one; a layer of one has the cell's value */
    const lb_rule *rule; /* that says otherwise */
    bool of_end;
} effect;

static bool is_by(const lb_layer_plan *l, const lb_end *end) { return end && l->opts == end->opts; }

static void look_at_layers(const lb_plan *p, const lb_cell *c, const lb_axis *ax, effect *out) {
    for (int64_t i = 0; i < c->layers && !out->layer; i++) {
        const lb_layer_plan *l = &c->layer[i];
        if (!l->asked || is_by(l, c->embedding) || is_by(l, c->head)) continue;
        const lb_rule *r = lb_sweep_rule_sets(p->config, c, l->name, ax->name);
        if (r)
            out->rule = r;
        else
            out->layer = true;
    }
}

/* Of a matrix that is both ends either may be said. */
static void look_at_end(const lb_plan *p, const lb_cell *c, lb_option_owner owner, effect *out) {
    const lb_net *n = p->model->net;
    bool tied = lb_net_owner(n, n->head) == n->embed;
    out->of_end = true;
    for (int64_t i = 0; i < c->layers && !out->layer; i++) {
        const lb_layer_plan *l = &c->layer[i];
        bool embedding = is_by(l, c->embedding) && (tied || owner == LB_OF_EMBEDDING);
        bool head = is_by(l, c->head) && (tied || owner == LB_OF_HEAD);
        out->layer = l->asked && (embedding || head);
    }
}

static void look_at_cell(const lb_plan *p, const lb_cell *c, const lb_axis *ax, effect *out) {
    lb_axis_target t;
    if (!c->entry || c->refused || !lb_axis_find_in(p->config, c->entry, ax->name, &t)) return;
    if (lb_sweep_axis_kept(c->entry, &t, ax)) return;
    out->cell = true;
    if (t.owner == LB_OF_METHOD)
        look_at_layers(p, c, ax, out);
    else if (t.owner == LB_OF_EMBEDDING || t.owner == LB_OF_HEAD)
        look_at_end(p, c, t.owner, out);
    else
        out->layer = true;
}

lb_status lb_plan_check_axes_of_layers(const lb_plan *p) {
    const lb_config *c = p->config;
    for (size_t i = 0; i < c->axes && c->models == 1; i++) {
        const lb_axis *ax = &c->axis[i];
        effect e = {0};
        LB_TRY(lb_interrupt_check());
        for (size_t k = 0; k < p->sweep.n && !e.layer; k++) look_at_cell(p, &p->sweep.cell[k], ax, &e);
        if (!e.cell || e.layer || (!e.rule && !e.of_end)) continue;
        lb_where where = lb_config_where(ax->node);
        if (e.of_end)
            return lb_fail(LB_E_CONFIG, "%s: axes.%s has no effect: rules leave that matrix as it is", where.text,
                           ax->name);
        return lb_fail(LB_E_CONFIG, "%s: axes.%s has no effect: rules set %s of every layer (%s)", where.text, ax->name,
                       ax->name, lb_config_where(e.rule->node).text);
    }
    return LB_OK;
}

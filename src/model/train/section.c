/* A section of a block as a part of its own, there and back. */
#include "model/train/train.h"

struct lb_section_backward {
    lb_backward *pass;
    lb_grads nothing;
    int64_t block;
    lb_net_part part;
    const lb_net_part *parts[1];
};

/* ---- its steps and values, numbered anew ---- */

/* What enters step `first`: the value x that is alive there. */
static int32_t entering(const lb_net_part *p, int32_t first) {
    int32_t v = 0;
    while (!(p->value[v].room == LB_ROOM_X && p->value[v].born < first && p->value[v].last >= first)) v++;
    return v;
}

static void take_values(const lb_net_part *p, lb_net_section s, int32_t *to, lb_value *value, lb_net_part *out) {
    int32_t enters = entering(p, s.first);
    for (int32_t v = 0; v < p->values; v++) {
        bool inside = p->value[v].born >= s.first && p->value[v].born < s.first + s.steps;
        to[v] = -1;
        if (v != enters && !inside) continue;
        to[v] = out->values++;
        value[to[v]] = p->value[v];
        value[to[v]].born = inside ? p->value[v].born - s.first : -1;
        value[to[v]].last -= s.first;
        if (value[to[v]].last < s.steps) continue;
        value[to[v]].last = s.steps;
        out->leaving = to[v];
    }
    out->entering = to[enters];
}

static void take_steps(const lb_net_part *p, lb_net_section s, const int32_t *to, lb_net_step *step) {
    for (int32_t i = 0; i < s.steps; i++) {
        step[i] = p->step[s.first + i];
        for (int k = 0; step[i].op->operands[k]; k++)
            if (step[i].op->operands[k] == 'v') step[i].src[k] = to[step[i].src[k]];
        for (int k = 0; k < step[i].results; k++) step[i].dst[k] = to[step[i].dst[k]];
        if (step[i].into >= 0) step[i].into = to[step[i].into];
    }
}

static lb_status cut(lb_arena *a, const lb_net_part *p, lb_net_section s, lb_net_part *out) {
    int32_t *to = LB_NEW(a, int32_t, p->values + 1);
    lb_value *value = LB_NEW(a, lb_value, p->values + 1);
    lb_net_step *step = LB_NEW(a, lb_net_step, s.steps + 1);
    if (!to || !value || !step) return LB_E_NOMEM;
    *out = (lb_net_part){.step = step, .value = value, .steps = s.steps};
    take_values(p, s, to, value, out);
    take_steps(p, s, to, step);
    return LB_OK;
}

/* ---- backward.h ---- */

lb_status lb_section_backward_new(lb_arena *a, const lb_net *n, int64_t block, int32_t section, int64_t length,
                                  lb_section_backward **out) {
    lb_section_backward *b = LB_NEW(a, lb_section_backward, 1);
    if (!b) return LB_E_NOMEM;
    const lb_net_part *whole = &n->block[block];
    b->block = block;
    b->parts[0] = whole;
    if (section >= 0) {
        LB_TRY(cut(a, whole, whole->section[section], &b->part));
        b->parts[0] = &b->part;
    }
    LB_TRY(lb_grads_new(a, n, &b->nothing));
    LB_TRY(lb_backward_of(a, n, b->parts, 1, 1, length, &b->pass));
    if (!lb_room_for(a, &b->pass->x[1], length, n->dim)) return LB_E_NOMEM;
    b->pass->adds = true;
    *out = b;
    return LB_OK;
}

/* The pass is one over a sequence of this length, at most that it was made for. */
static void fit(lb_backward *b, int64_t length) {
    if (length == b->length) return;
    b->length = b->rows = b->one.at->rows = length;
    b->panels = b->one.first[1] = lb_tiles(length, LB_TRAIN_PANEL);
    for (int32_t i = 0; i < b->net->ropes; i++) lb_rotary_set(&b->net->rope[i], length, &b->rope[i]);
    for (int32_t k = 0; k < b->plan[0]->steps; k++)
        if (b->plan[0]->step[k].expert) b->routed[0][k]->rows = length * b->routed[0][k]->top;
}

static void copy_rows(lb_cmat from, lb_mat to) {
    for (int64_t t = 0; t < from.rows; t++)
        memcpy(to.d + t * to.ld, from.d + t * from.ld, (size_t)from.cols * sizeof *to.d);
}

lb_status lb_section_gradients(lb_section_backward *s, const lb_weights *w, lb_cmat x, lb_cmat dy, lb_team *team,
                               const lb_grads *g, lb_mat dx) {
    lb_backward *b = s->pass;
    lb_train *t = b->one.at;
    fit(b, x.rows);
    int32_t first, sites = lb_net_block(b->net, s->block, &first);
    for (int32_t i = first; i < first + sites; i++) LB_TRY(lb_train_check_site(b->net, w, i));
    LB_TRY(lb_backward_room(b, w, lb_team_threads(team)));
    for (int32_t i = 0; i < b->net->sites; i++) b->written[i] = true;
    copy_rows(x, lb_mat_of(b->x[0], b->rows, b->net->dim));
    copy_rows(dy, lb_mat_of(b->dx, b->rows, b->net->dim));
    t->w = w;
    t->g = NULL;
    lb_backward_bind(b, 0);
    LB_TRY(lb_passes_forth(&b->one, team));
    t->g = g ? g : &s->nothing;
    lb_backward_bind(b, 0);
    LB_TRY(lb_passes_back(&b->one, team));
    if (dx.d) copy_rows(lb_cmat_of(b->dx_next, b->rows, b->net->dim), dx);
    return LB_OK;
}

#include "model/train/plan.h"

#include <string.h>

enum { MOST_PLACED = 512 };

/* Something that needs memory from one phase to another, both included. */
typedef struct placed {
    int64_t cols, at;
    int32_t from, to;
} placed;

typedef struct planning {
    lb_arena *arena;
    const lb_net *net;
    const lb_net_part *part;
    lb_plan *plan;
    int32_t head;             /* the value that the head reads, in the part after the blocks; else -1 */
    int32_t leaving;          /* in the others; else -1 */
    bool *need;               /* of values: read on the way back */
    bool *keep;               /* and kept for it */
    int32_t *readers, *adder; /* how many steps read it; the step that adds to it, or -1 */
    int32_t *phase_of;        /* of steps, forward */
    int32_t *cell;            /* of values: whose memory its gradient has; -1: none yet */
    bool *done, *written, *taken;
    int32_t *first, *last; /* of values made again: phases that use it; -1 */
    int32_t *born, *dies;  /* of cells (by their first value): phases */
    placed item[MOST_PLACED];
    int items;
} planning;

static const lb_net_step *step_of(const planning *p, int32_t i) { return &p->part->step[i]; }
static bool takes_value(const lb_net_step *s, int k) {
    return k < (int)strlen(s->op->operands) && s->op->operands[k] == 'v' && s->src[k] >= 0;
}
static bool reads(const lb_net_step *s, int32_t v) {
    for (int k = 0; k < LB_STEP_OPERANDS && s->op->operands[k]; k++)
        if (takes_value(s, k) && s->src[k] == v) return true;
    return false;
}
static lb_status refuse(const planning *p, lb_status code, int32_t step, const char *why) {
    const char *text = step >= 0 && step < p->part->steps ? p->part->step[step].text : p->part->step[0].text;
    return lb_fail(code, "training: step '%s': %s", text, why);
}

/* ---- what is read ---- */

static lb_status count_readers(planning *p) {
    const lb_net_part *part = p->part;
    for (int32_t v = 0; v < part->values; v++) p->adder[v] = -1;
    for (int32_t i = 0; i < part->steps; i++) {
        const lb_net_step *s = step_of(p, i);
        for (int32_t v = 0; v < part->values; v++) p->readers[v] += reads(s, v);
        if (s->into >= 0) p->adder[s->into] = i;
        if (s->into >= 0 && (s->op->reads & LB_READS_RESULT))
            return refuse(p, LB_E_UNSUPPORTED, i, "its result must be a value of its own");
    }
    for (int32_t v = 0; v < part->values; v++) {
        bool ends = v == p->leaving || part->value[v].born == p->plan->steps; /* or the logits */
        if (p->readers[v] + (p->adder[v] >= 0) == 0 && !ends)
            return refuse(p, LB_E_FORMAT, part->value[v].born, "no step reads what it gives");
    }
    return LB_OK;
}

static bool made_again(const planning *p, int32_t v) {
    const lb_value *x = &p->part->value[v];
    if (x->born < 0 || v == p->head || v == p->leaving || strcmp(x->name, "x") == 0) return false;
    return step_of(p, x->born)->op->again && step_of(p, x->born)->into < 0;
}

/* What the way back reads, and what that is made from. */
static void find_needs(planning *p) {
    for (int32_t i = 0; i < p->plan->steps; i++) {
        const lb_net_step *s = step_of(p, i);
        for (int k = 0; k < LB_STEP_OPERANDS; k++)
            if (takes_value(s, k) && (s->op->reads & 1u << k)) p->need[s->src[k]] = true;
        if (s->op->reads & LB_READS_RESULT) p->need[s->dst[0]] = true;
    }
    if (p->head >= 0) p->need[p->head] = true;
    for (int32_t v = p->part->values - 1; v >= 0; v--) {
        if (!p->need[v] || p->part->value[v].born < 0) continue;
        const lb_net_step *s = step_of(p, p->part->value[v].born);
        p->keep[v] = !made_again(p, v);
        for (int k = 0; !p->keep[v] && k < LB_STEP_OPERANDS; k++)
            if (takes_value(s, k)) p->need[s->src[k]] = true;
    }
}

/* ---- memory ---- */

/* The lowest place that nothing has whose time is this one's. */
static lb_status place(planning *p, int64_t cols, int32_t from, int32_t to, lb_place *out) {
    if (p->items == MOST_PLACED) return refuse(p, LB_E_UNSUPPORTED, 0, "too many values");
    int64_t best = -1;
    for (int i = -1; i < p->items; i++) {
        int64_t at = i < 0 ? 0 : p->item[i].at + p->item[i].cols;
        bool is_free = true;
        for (int k = 0; k < p->items && is_free; k++) {
            const placed *x = &p->item[k];
            is_free = x->to < from || x->from > to || x->at >= at + cols || x->at + x->cols <= at;
        }
        if (is_free && (best < 0 || at < best)) best = at;
    }
    p->item[p->items++] = (placed){cols, best, from, to};
    if (p->plan->pool < best + cols) p->plan->pool = best + cols;
    *out = (lb_place){LB_AREA_POOL, best};
    return LB_OK;
}

static lb_place keep(planning *p, int64_t cols) {
    lb_place at = {LB_AREA_KEPT, p->plan->kept};
    p->plan->kept += cols;
    return at;
}

/* ---- forward ---- */

static void find_phases(planning *p) {
    lb_plan *plan = p->plan;
    for (int32_t i = 0; i < plan->steps; i++) {
        bool all = step_of(p, i)->op->reach != LB_BY_ROW;
        if (i == 0 || all || plan->forth[plan->forths - 1].all)
            plan->forth[plan->forths++] = (lb_phase){all, i, 0, 0, 0};
        plan->forth[plan->forths - 1].steps++;
        p->phase_of[i] = plan->forths - 1;
    }
}

/* The value whose memory a value that is not kept may have: the sum that it is added into, or the result of the one
 * step that reads it, where that works in place. -1: none. */
static int32_t stands_in(const planning *p, int32_t v) {
    int32_t j = p->adder[v];
    if (j >= 0) return reads(step_of(p, j), v) ? -1 : step_of(p, j)->dst[0];
    if (p->readers[v] != 1 || v == p->head) return -1;
    for (int32_t i = 0; i < p->plan->steps; i++) {
        const lb_net_step *s = step_of(p, i);
        if (!reads(s, v)) continue;
        int32_t d = s->dst[0];
        bool fits = s->op->reach == LB_BY_ROW && s->into < 0 && p->plan->cols[d] == p->plan->cols[v] && !p->taken[d];
        for (int k = 0; k < LB_STEP_OPERANDS && fits; k++)
            if (takes_value(s, k) && s->src[k] == v && (s->op->in_place & 1u << k)) return d;
    }
    return -1;
}

/* Where a value must be, forward; LB_AREA_NONE: where there is room. */
static lb_place fixed_place(planning *p, int32_t v) {
    if (v == p->part->entering) return (lb_place){LB_AREA_IN, 0};
    if (v == p->leaving) return (lb_place){LB_AREA_OUT, 0};
    return p->keep[v] ? keep(p, p->plan->cols[v]) : (lb_place){LB_AREA_NONE, 0};
}

static void live_in(planning *p, int32_t cell, int32_t phase) {
    if (p->born[cell] < 0 || phase < p->born[cell]) p->born[cell] = phase;
    if (phase > p->dies[cell]) p->dies[cell] = phase;
}

static lb_status place_forward(planning *p) {
    const lb_net_part *part = p->part;
    lb_plan_value *value = p->plan->value;
    int32_t values = part->values;
    while (values > 0 && part->value[values - 1].born >= p->plan->steps) values--; /* the logits */
    for (int32_t v = values - 1; v >= 0; v--) {
        value[v].forth = value[v].back = fixed_place(p, v);
        int32_t d = value[v].forth.area == LB_AREA_NONE ? stands_in(p, v) : -1;
        p->cell[v] = d >= 0 ? p->cell[d] : v;
        if (d >= 0) p->taken[d] = true;
    }
    for (int32_t v = 0; v < values; v++) {
        if (value[p->cell[v]].forth.area != LB_AREA_NONE) continue;
        int32_t last = part->value[v].last < p->plan->steps ? part->value[v].last : p->plan->steps - 1;
        live_in(p, p->cell[v], p->phase_of[part->value[v].born]);
        live_in(p, p->cell[v], p->phase_of[last]);
    }
    for (int32_t v = 0; v < values; v++)
        if (p->born[v] >= 0) LB_TRY(place(p, p->plan->cols[v], p->born[v], p->dies[v], &value[v].forth));
    for (int32_t v = 0; v < values; v++) value[v].forth = value[p->cell[v]].forth;
    return LB_OK;
}

/* ---- the way back ---- */

/* The value is read in this phase: one that is made again is made in the first such. */
static void use_value(planning *p, int32_t v, int32_t phase) {
    if (!p->need[v] || p->keep[v] || p->part->value[v].born < 0) return;
    if (v == p->leaving) return;
    if (p->last[v] < phase) p->last[v] = phase;
    if (p->first[v] >= 0) return;
    p->first[v] = phase;
    const lb_net_step *s = step_of(p, p->part->value[v].born);
    for (int k = 0; k < LB_STEP_OPERANDS; k++)
        if (takes_value(s, k)) use_value(p, s->src[k], phase);
}

/* May the gradient of operand k have the memory of the result's? Its only share is this one, which is made element by
 * element or row by row, and nothing else reads the result's gradient. */
static bool in_place(const planning *p, const lb_net_step *s, int k) {
    int32_t v = s->src[k], d = s->dst[0];
    if (s->op->reach != LB_BY_ROW || !(s->op->in_place & 1u << k) || s->into >= 0 || s->results != 1) return false;
    for (int j = k + 1; j < LB_STEP_OPERANDS; j++) /* the last operand that can */
        if (takes_value(s, j) && p->plan->cols[s->src[j]] == p->plan->cols[d]) return false;
    return p->readers[v] == 1 && p->adder[v] < 0 && v != p->part->entering && v != p->head && p->cell[d] == d &&
           d != p->head && d != p->leaving && p->plan->cols[v] == p->plan->cols[d];
}

static void give_share(planning *p, int32_t i, int k, int32_t phase) {
    const lb_net_step *s = step_of(p, i);
    int32_t v = s->src[k], j = p->adder[v], *base = &p->plan->step[i].base[k];
    if (p->written[v])
        *base = v;
    else if (j >= 0)
        *base = step_of(p, j)->dst[0];
    if (!p->written[v]) p->cell[v] = *base < 0 && in_place(p, s, k) ? s->dst[0] : v;
    p->written[v] = true;
    live_in(p, p->cell[v], phase);
    if (*base >= 0) live_in(p, p->cell[*base], phase);
}

static void schedule(planning *p, int32_t i) {
    lb_plan *plan = p->plan;
    const lb_net_step *s = step_of(p, i);
    bool all = s->op->reach != LB_BY_ROW || s->op->operands[0] != 'v';
    if (plan->backs == 0 || all || plan->back[plan->backs - 1].all) plan->back[plan->backs++] = (lb_phase){.all = all};
    lb_phase *phase = &plan->back[plan->backs - 1];
    int32_t at = plan->backs - 1;
    if (phase->steps == 0) phase->first = at == 0 ? 0 : plan->back[at - 1].first + plan->back[at - 1].steps;
    plan->order[phase->first + phase->steps++] = i;
    p->done[i] = true;
    for (int k = 0; k < s->results; k++) live_in(p, p->cell[s->dst[k]], at);
    for (int k = 0; k < LB_STEP_OPERANDS && s->op->operands[k]; k++) {
        if (!takes_value(s, k)) continue;
        give_share(p, i, k, at);
        if (s->op->reads & 1u << k) use_value(p, s->src[k], at);
    }
    if (s->op->reads & LB_READS_RESULT) use_value(p, s->dst[0], at);
}

static lb_status order_back(planning *p) {
    const lb_net_part *part = p->part;
    for (int32_t v = 0; v < part->values; v++) {
        p->cell[v] = p->born[v] = p->dies[v] = p->first[v] = p->last[v] = -1;
        if (v == p->leaving || v == p->head) p->cell[v] = v, p->written[v] = true;
    }
    if (p->head >= 0) live_in(p, p->head, 0);
    for (int32_t v = part->values - 1; v >= 0; v--) {
        for (int32_t i = 0; i < p->plan->steps; i++)
            if (!p->done[i] && reads(step_of(p, i), v)) schedule(p, i);
        if (p->written[v] || part->value[v].born >= p->plan->steps) continue;
        if (v == part->entering) return refuse(p, LB_E_FORMAT, 0, "no step reads what enters");
        p->cell[v] = p->cell[step_of(p, p->adder[v])->dst[0]]; /* it has the sum's gradient */
        p->written[v] = true;
    }
    for (int32_t i = 0; i < p->plan->steps; i++) /* what reads no value */
        if (!p->done[i]) schedule(p, i);
    return LB_OK;
}

/* The products of a part's weights come after its last phase, all at once, so that no thread waits for another between
 * a few of them and the next: their factors stay until then. */
static void keep_factors(planning *p) {
    int32_t end = p->plan->backs - 1;
    for (int32_t i = 0; i < p->plan->steps; i++) {
        const lb_net_step *s = step_of(p, i);
        if (!lb_plan_multiplies(s) || s->op->reach != LB_BY_ROW) continue;
        live_in(p, p->cell[s->dst[0]], end);
        if (p->last[s->src[0]] >= 0) p->last[s->src[0]] = end;
    }
}

static lb_status place_back(planning *p) {
    const lb_net_part *part = p->part;
    lb_plan *plan = p->plan;
    p->items = 0;
    for (int32_t v = 0; v < part->values; v++) {
        lb_plan_value *x = &plan->value[v];
        if (v == part->entering)
            x->grad = (lb_place){LB_AREA_IN, 0};
        else if (v == p->leaving)
            x->grad = (lb_place){LB_AREA_OUT, 0};
        else if (p->cell[v] == v && p->born[v] >= 0)
            LB_TRY(place(p, plan->cols[v], p->born[v], p->dies[v], &x->grad));
        if (p->first[v] >= 0) LB_TRY(place(p, plan->cols[v], p->first[v], p->last[v], &x->back));
    }
    for (int32_t v = 0; v < part->values; v++)
        if (p->cell[v] >= 0) plan->value[v].grad = plan->value[p->cell[v]].grad;
    for (int32_t n = 0, at = 0; n < plan->backs; n++) {
        lb_phase *phase = &plan->back[n];
        phase->again = at;
        for (int32_t v = 0; v < part->values; v++)
            if (p->first[v] == n) plan->again[at++] = part->value[v].born;
        phase->remade = at - phase->again;
    }
    return LB_OK;
}

/* What each phase's steps ask for beside values: room of their own, sums of vectors. */
static lb_status place_rooms(planning *p) {
    lb_plan *plan = p->plan;
    for (int32_t n = 0; n < plan->backs; n++) {
        int64_t sums = 0;
        for (int32_t k = 0; k < plan->back[n].steps; k++) {
            int32_t i = plan->order[plan->back[n].first + k];
            const lb_net_step *s = step_of(p, i);
            lb_plan_step *x = &plan->step[i];
            x->sums = sums;
            int32_t vector[3] = {s->weight, s->bias, s->site >= 0 ? p->net->site[s->site].bias : -1};
            for (int j = 0; j < 3; j++) sums += vector[j] >= 0 ? p->net->vector[vector[j]].n : 0;
            plan->sites += lb_plan_multiplies(s);
            if (s->op->keeps) x->kept = keep(p, s->op->keeps(s));
            if (s->op->room) LB_TRY(place(p, s->op->room(s), n, n, &x->room));
        }
        if (plan->sums < sums) plan->sums = sums;
    }
    return LB_OK;
}

/* ---- all of it ---- */

static lb_status new_lists(planning *p) {
    const lb_net_part *part = p->part;
    lb_plan *plan = p->plan;
    lb_arena *a = p->arena;
    int32_t values = part->values + 1, steps = part->steps + 1;
    plan->value = LB_NEW(a, lb_plan_value, values);
    plan->step = LB_NEW(a, lb_plan_step, steps);
    plan->forth = LB_NEW(a, lb_phase, steps);
    plan->back = LB_NEW(a, lb_phase, steps);
    plan->order = LB_NEW(a, int32_t, steps);
    plan->again = LB_NEW(a, int32_t, steps);
    bool *flags = LB_NEW(a, bool, (size_t)4 * (size_t)values + (size_t)steps);
    int32_t *numbers = LB_NEW(a, int32_t, (size_t)7 * (size_t)values + (size_t)steps);
    if (!plan->value || !plan->step || !plan->forth || !plan->back || !plan->order || !plan->again || !flags ||
        !numbers)
        return LB_E_NOMEM;
    bool **flag[] = {&p->need, &p->keep, &p->written, &p->taken, &p->done};
    for (int i = 0; i < 5; i++) *flag[i] = flags + i * values;
    int32_t **number[] = {&p->readers, &p->adder, &p->cell, &p->first, &p->last, &p->born, &p->dies, &p->phase_of};
    for (int i = 0; i < 8; i++) *number[i] = numbers + i * values;
    for (int32_t i = 0; i < steps; i++)
        for (int k = 0; k < LB_STEP_OPERANDS; k++) plan->step[i].base[k] = -1;
    for (int32_t v = 0; v < values; v++) p->born[v] = p->dies[v] = -1;
    return LB_OK;
}

static lb_status widest(planning *p, const lb_net_part *same, int64_t count) {
    int64_t *cols = LB_NEW(p->arena, int64_t, p->part->values + 1);
    if (!cols) return LB_E_NOMEM;
    for (int64_t e = 0; e < count; e++)
        for (int32_t v = 0; v < p->part->values; v++)
            if (cols[v] < same[e].value[v].cols) cols[v] = same[e].value[v].cols;
    p->plan->cols = cols;
    return LB_OK;
}

static lb_status plan_experts(planning *p) {
    for (int32_t i = 0; i < p->plan->steps; i++) {
        const lb_net_step *s = step_of(p, i);
        if (!s->expert) continue;
        const lb_net_part *part = &s->expert[0];
        for (int32_t k = 0; k < part->steps; k++)
            if (part->step[k].op->reach != LB_BY_ROW || part->step[k].rope >= 0)
                return refuse(p, LB_E_UNSUPPORTED, i, "an expert's steps must need no more than a row");
        LB_TRY(lb_plan_new(p->arena, p->net, s->expert, s->n_experts, &p->plan->step[i].expert));
    }
    return LB_OK;
}

lb_status lb_plan_new(lb_arena *a, const lb_net *net, const lb_net_part *same, int64_t count, lb_plan **out) {
    planning *p = LB_NEW(a, planning, 1);
    lb_plan *plan = LB_NEW(a, lb_plan, 1);
    if (!p || !plan) return LB_E_NOMEM;
    bool ends = same == &net->after;
    plan->part = same;
    plan->steps = same->steps - ends;
    *p = (planning){.arena = a,
                    .net = net,
                    .part = same,
                    .plan = plan,
                    .head = ends ? net->head_input : -1,
                    .leaving = ends ? -1 : same->leaving};
    LB_TRY(new_lists(p));
    LB_TRY(widest(p, same, count));
    LB_TRY(count_readers(p));
    if (same->leaving == same->entering && !ends) return refuse(p, LB_E_UNSUPPORTED, 0, "what enters leaves as it is");
    find_needs(p);
    find_phases(p);
    LB_TRY(place_forward(p));
    LB_TRY(order_back(p));
    keep_factors(p);
    LB_TRY(place_back(p));
    LB_TRY(place_rooms(p));
    LB_TRY(plan_experts(p));
    *out = plan;
    return LB_OK;
}

#include "model/fold.h"

#include <string.h>

static bool takes_value(const lb_net_step *s, int k) { return s->op->operands[k] == 'v'; }

/* How often a value is read: by steps, by those that add to it, by whoever runs the part. The head's input leaves
 * nowhere. */
static int uses(const lb_net *n, const lb_net_part *p, int32_t v) {
    int count = p->leaving == v && p != &n->after;
    for (int32_t i = 0; i < p->steps; i++) {
        const lb_net_step *s = &p->step[i];
        count += s->into == v;
        for (int k = 0; s->op->operands[k]; k++) count += takes_value(s, k) && s->src[k] == v;
    }
    return count;
}

/* shared (sites): does another site have its weights too? */
static void find_shared(const lb_net *n, bool *shared) {
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].same_as >= 0) shared[i] = shared[n->site[i].same_as] = true;
}

/* Do steps read this one under another number? */
static bool shares_vector(const lb_net *n, int32_t vector) {
    const lb_vector *v = &n->vector[vector];
    int same = 0;
    for (int32_t i = 0; i < n->vectors; i++)
        same += strcmp(n->vector[i].name, v->name) == 0 || lb_net_vector_owner(n, i) == lb_net_vector_owner(n, vector);
    return same > 1;
}

/* ---- those who read ---- */

typedef struct group {
    const lb_net *n;
    const bool *shared;
    int32_t *input;
    int32_t inputs;
} group;

/* Can all who read value v divide? Their inputs join the group. */
static bool all_divide(group *g, const lb_net_part *p, int32_t v) {
    int readers = 0;
    if (p->value[v].input >= 0) g->input[g->inputs++] = p->value[v].input;
    for (int32_t i = 0; i < p->steps; i++) {
        const lb_net_step *s = &p->step[i];
        for (int k = 0; s->op->operands[k]; k++) {
            if (!takes_value(s, k) || s->src[k] != v) continue;
            if (!(s->op->undone & 1u << k) || g->shared[s->site]) return false;
            for (int64_t e = 0; e < s->n_experts; e++)
                if (!all_divide(g, &s->expert[e], s->expert[e].entering)) return false;
            readers++;
        }
    }
    return readers == uses(g->n, p, v);
}

/* ---- what makes it ---- */

static int result_of(const lb_net_step *s, int32_t v) {
    int k = 0;
    while (s->dst[k] != v) k++;
    return k;
}

/* The elements or rows that the channels of value v come from; channel (cols), its own at first. */
static void find_maker(const group *g, const lb_net_part *p, int32_t v, int32_t *channel, lb_fold *f) {
    const lb_net *n = g->n;
    for (;;) {
        if (p->value[v].born < 0) return;
        const lb_net_step *s = &p->step[p->value[v].born];
        if (s->into >= 0 || !s->op->passes) return;
        lb_scaling x = {
            .net = n, .result = result_of(s, v), .cols = p->value[v].cols, .channel = channel, .n = f->cols};
        lb_scaled_by by = s->op->passes(s, &x);
        if (by == LB_SCALED_NOT) return;
        if (by == LB_SCALED_OPERAND) {
            v = s->src[x.operand];
            if (uses(n, p, v) != 1) return;
            continue;
        }
        f->site = by == LB_SCALED_ROWS ? s->site : -1;
        f->weight = by == LB_SCALED_PARAMETER ? s->weight : -1;
        f->bias = by == LB_SCALED_ROWS ? n->site[s->site].bias : s->bias;
        f->one = by == LB_SCALED_PARAMETER ? x.one : 0.0;
        bool shared = f->site >= 0 ? g->shared[f->site] : shares_vector(n, f->weight);
        f->by = shared ? LB_SCALED_NOT : by;
        return;
    }
}

/* ---- an input's value ---- */

/* The part that makes the value which an input is: of what enters an expert, the block's. */
static const lb_net_part *part_of(const lb_net *n, int32_t input, int32_t *value) {
    const lb_net_input *in = &n->input[input];
    *value = in->value;
    if (in->block < 0) return n->reader[in->first] < n->span[0].site ? &n->before : &n->after;
    if (in->expert < 0) return &n->block[in->block];
    const lb_net_step *s = &n->block[in->block].step[lb_net_step_of(n, n->reader[in->first])];
    const lb_net_part *own = &s->expert[in->expert];
    if (in->value != own->entering) return own;
    *value = s->src[0];
    return &n->block[in->block];
}

static bool has_ties(const int32_t *channel, int64_t cols, uint8_t *taken) {
    for (int64_t c = 0; c < cols; c++) {
        if (taken[channel[c]]) return true;
        taken[channel[c]] = 1;
    }
    return false;
}

static int64_t elements_of(const lb_net *n, const lb_fold *f) {
    return f->by == LB_SCALED_ROWS ? n->site[f->site].rows : n->vector[f->weight].n;
}

/* Inputs that may go together: those of a block. */
static int32_t most_inputs(const lb_net *n, int32_t input) {
    int32_t first, block = n->input[input].block;
    return block < 0 ? n->inputs : lb_net_inputs(n, block, &first);
}

static lb_status find(lb_arena *scratch, group *g, const lb_net_part *p, int32_t v, int32_t *channel, lb_fold *out) {
    bool *shared = LB_NEW(scratch, bool, g->n->sites);
    if (!shared) return LB_E_NOMEM;
    find_shared(g->n, shared);
    g->shared = shared;
    if (!all_divide(g, p, v)) return LB_OK;
    find_maker(g, p, v, channel, out);
    if (out->by == LB_SCALED_NOT) return LB_OK;
    out->inputs = g->inputs;
    uint8_t *taken = LB_NEW(scratch, uint8_t, elements_of(g->n, out));
    if (!taken) return LB_E_NOMEM;
    out->tied = has_ties(channel, out->cols, taken);
    return LB_OK;
}

lb_status lb_fold_of(lb_arena *a, const lb_net *n, int32_t input, lb_fold *out) {
    int32_t v;
    const lb_net_part *p = part_of(n, input, &v);
    int64_t cols = p->value[v].cols;
    group g = {.n = n, .input = LB_NEW(a, int32_t, most_inputs(n, input))};
    int32_t *channel = LB_NEW(a, int32_t, cols);
    if (!g.input || !channel) return LB_E_NOMEM;
    for (int64_t c = 0; c < cols; c++) channel[c] = (int32_t)c;
    *out = (lb_fold){.weight = -1, .bias = -1, .site = -1, .channel = channel, .cols = cols, .input = g.input};
    lb_arena_mark mark = lb_arena_save(a);
    lb_status st = find(a, &g, p, v, channel, out);
    lb_arena_restore(a, mark);
    return st;
}

/* ---- what becomes of it ---- */

void lb_fold_vector(const lb_fold *f, const lb_net *n, int32_t vector, const float *times, const float *from,
                    float *to) {
    double one = vector == f->weight ? f->one : 0.0;
    memcpy(to, from, (size_t)n->vector[vector].n * sizeof *to);
    for (int64_t c = 0; c < f->cols; c++) {
        int64_t k = f->channel[c];
        to[k] = (float)(((double)from[k] + one) * (double)times[c] - one);
    }
}

void lb_fold_rows(const lb_fold *f, const lb_net *n, const float *times, float *rows) {
    for (int64_t r = 0; r < n->site[f->site].rows; r++) rows[r] = 1.0f;
    for (int64_t c = 0; c < f->cols; c++) rows[f->channel[c]] = times[c];
}

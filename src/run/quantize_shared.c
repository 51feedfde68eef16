/* Layers that are one: solved once, when the walk comes to the first of them, on the inputs of all its users, a token
 * of each as much as a token of any other. What later users read is not known yet in a model that is quantized block by
 * block: it is what they read with everything before the layer quantized and everything else as it was, so the
 * calibration sequences run ahead to them. */
#include <string.h>

#include "run/quantize.h"

/* Do the layers' users read the same inputs, so that one pool serves both? */
static bool same_inputs(const lb_quantize_job *j, int64_t a, int64_t b) {
    const lb_layer_plan *l = j->cell->layer;
    const lb_site *site = j->plan->model->net->site;
    while (a >= 0 && b >= 0 && site[l[a].site].input == site[l[b].site].input) a = l[a].next, b = l[b].next;
    return a < 0 && b < 0;
}

static bool is_shared(const lb_layer_plan *l) { return l->quantize && l->same_as < 0 && l->next >= 0; }

int32_t lb_pools_find(const lb_pools *x, const lb_quantize_job *j, int64_t layer) {
    if (!is_shared(&j->cell->layer[layer])) return -1;
    int32_t i = 0;
    while (i < x->n && !same_inputs(j, x->at[i].layer, layer)) i++;
    return i < x->n ? i : -1;
}

static int32_t input_of(const lb_quantize_job *j, int64_t layer) {
    return j->plan->model->net->site[j->cell->layer[layer].site].input;
}

/* ---- targets ---- */

const lb_cmat *lb_pools_target(const lb_pools *x, int64_t layer) {
    for (int32_t i = 0; i < x->targets; i++)
        if (x->target[i].layer == layer) return &x->target[i].W;
    return NULL;
}

static int64_t later(const lb_quantize_job *j, int64_t layer, int64_t n) {
    while (n-- > 0) layer = j->cell->layer[layer].next;
    return layer;
}

/* Statistics of an input reach each target whose users read it. */
static lb_status add_to_targets(lb_quantize_job *j, const lb_pools *x, int32_t input, const lb_stats *of) {
    for (int32_t i = 0; i < x->targets; i++)
        for (int64_t user = x->target[i].layer; user >= 0 && of->H.d; user = j->cell->layer[user].next)
            if (input_of(j, user) == input) LB_TRY(lb_target_add(j, &x->target[i], user, of));
    return LB_OK;
}

/* ---- inputs of the original model ---- */

static lb_status add_original(lb_quantize_job *j, lb_pools *x, lb_pool *p, lb_arena *a) {
    int64_t nth = 0;
    for (int64_t user = p->layer; user >= 0; user = j->cell->layer[user].next, nth++) {
        lb_stats of;
        lb_arena_mark mark = lb_arena_save(j->scratch);
        LB_TRY(lb_quantize_original_stats(j, user, p->needs, j->scratch, &of));
        LB_TRY(lb_stats_merge(a, p->needs, j->cell->layer[user].cols, &of, &p->stats));
        of = lb_plan_weighed(j->cell, &of);
        for (int32_t i = 0; i < x->targets && of.H.d; i++)
            if (lb_pools_find(x, j, x->target[i].layer) == p - x->at)
                LB_TRY(lb_target_add(j, &x->target[i], later(j, x->target[i].layer, nth), &of));
        lb_arena_restore(j->scratch, mark);
    }
    return LB_OK;
}

/* ---- inputs ahead of the quantized blocks ---- */

/* Users of one pool in a block whose input is this one. */
static int64_t users_of(const lb_quantize_job *j, const lb_pool *p, int32_t input) {
    int64_t n = 0;
    for (int64_t user = p->layer; user >= 0; user = j->cell->layer[user].next) n += input_of(j, user) == input;
    return n;
}

static int64_t last_block(const lb_quantize_job *j, const lb_pools *x) {
    int64_t last = 0;
    for (int32_t i = 0; i < x->n; i++)
        for (int64_t user = x->at[i].layer; user >= 0; user = j->cell->layer[user].next)
            if (j->cell->layer[user].block > last) last = j->cell->layer[user].block;
    return last;
}

/* The inputs of a block that some user reads, and what is wanted of them. */
static lb_status wanted_ahead(const lb_quantize_job *j, const lb_pools *x, int64_t block, lb_arena *a, lb_wanted **out,
                              int32_t *n) {
    int32_t first, inputs = lb_net_inputs(j->plan->model->net, block, &first);
    *n = 0;
    if (!(*out = LB_NEW(a, lb_wanted, inputs + 1))) return LB_E_NOMEM;
    for (int32_t input = first; input < first + inputs; input++) {
        lb_wanted want = lb_plan_wanted(j->cell, input, 0);
        for (int32_t i = 0; i < x->n; i++)
            if (users_of(j, &x->at[i], input) > 0) want.needs |= x->at[i].needs;
        if (want.needs) (*out)[(*n)++] = want;
    }
    return LB_OK;
}

static lb_status add_block(lb_quantize_job *j, lb_pools *x, lb_stream *ahead, bool last, lb_arena *lists, lb_arena *a) {
    lb_wanted *want;
    int32_t n;
    LB_TRY(wanted_ahead(j, x, lb_stream_block(ahead), lists, &want, &n));
    lb_collected *got = LB_NEW(lists, lb_collected, n + 1);
    if (!got) return LB_E_NOMEM;
    LB_TRY(last ? lb_stream_collect(ahead, &j->w, want, n, lists, got)
                : lb_stream_collect_advance(ahead, &j->w, want, n, lists, got));
    for (int32_t k = 0; k < n; k++) {
        const lb_stats of = lb_collected_stats(&got[k]), weighed = lb_plan_weighed(j->cell, &of);
        for (int32_t i = 0; i < x->n; i++)
            for (int64_t user = users_of(j, &x->at[i], want[k].input); user > 0; user--)
                LB_TRY(lb_stats_merge(a, x->at[i].needs, got[k].cols, &of, &x->at[i].stats));
        LB_TRY(add_to_targets(j, x, want[k].input, &weighed));
    }
    return LB_OK;
}

static lb_status run_ahead(lb_quantize_job *j, lb_pools *x, const lb_stream *stream, lb_arena *a) {
    lb_arena *states = NULL, *lists = NULL;
    lb_stream *ahead = NULL;
    int64_t last = last_block(j, x);
    lb_status st = lb_arena_new(0, &states);
    if (st == LB_OK) st = lb_arena_new(0, &lists);
    if (st == LB_OK) st = lb_stream_copy(states, stream, &ahead);
    for (int64_t b = st == LB_OK ? lb_stream_block(ahead) : 0; st == LB_OK && b <= last; b++) {
        lb_arena_mark mark = lb_arena_save(lists);
        st = lb_interrupt_check();
        if (st == LB_OK) st = add_block(j, x, ahead, b == last, lists, a);
        lb_arena_restore(lists, mark);
    }
    lb_arena_free(lists);
    lb_arena_free(states);
    return st;
}

/* ---- pools ---- */

static bool knows_hessian(const lb_quantize_job *j, const lb_layer_plan *l, const lb_stream *stream) {
    return stream || (j->stats && (lb_plan_layer_needs(j->plan, j->cell, l) & LB_NEEDS_HESSIAN));
}

/* Those of layers [first, first + n); on `input`, or on any if that is negative. */
static lb_status list_pools(lb_quantize_job *j, int64_t first, int64_t n, int32_t input, const lb_stream *stream,
                            lb_arena *a, lb_pools *out) {
    *out = (lb_pools){.at = LB_NEW(a, lb_pool, n + 1), .target = LB_NEW(a, lb_target, n + 1)};
    if (!out->at || !out->target) return LB_E_NOMEM;
    for (int64_t i = first; i < first + n; i++) {
        const lb_layer_plan *l = &j->cell->layer[i];
        uint32_t needs = lb_plan_solved_on(j->cell, l->needs);
        if (!is_shared(l) || (input >= 0 && input_of(j, i) != input)) continue;
        bool differ;
        LB_TRY(lb_target_begin(j, i, a, &out->target[out->targets], &differ));
        if (differ) {
            out->targets++;
            needs |= knows_hessian(j, l, stream) ? LB_NEEDS_HESSIAN : 0u;
        }
        if (!needs) continue;
        int32_t at = lb_pools_find(out, j, i);
        if (at < 0) out->at[at = out->n++].layer = i;
        out->at[at].needs |= needs;
    }
    return LB_OK;
}

lb_status lb_pools_make(lb_quantize_job *j, int64_t first, int64_t n, int32_t input, const lb_stream *stream,
                        lb_arena *a, lb_pools *out) {
    const lb_stats nothing = {0};
    LB_TRY(list_pools(j, first, n, input, stream, a, out));
    if (out->n > 0 && stream) LB_TRY(run_ahead(j, out, stream, a));
    for (int32_t i = 0; i < out->n && !stream; i++) LB_TRY(add_original(j, out, &out->at[i], a));
    for (int32_t i = 0; i < out->targets; i++) {
        int32_t pool = lb_pools_find(out, j, out->target[i].layer);
        const lb_stats all = pool < 0 ? nothing : lb_plan_weighed(j->cell, &out->at[pool].stats);
        LB_TRY(lb_target_solve(j, &out->target[i], &all, a));
    }
    return LB_OK;
}

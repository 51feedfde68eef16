/* The reference forward pass: the family's program step by step, in float64 (steps/reference.h). */
#include <string.h>

#include "model/forward.h"
#include "model/steps/reference.h"

typedef struct source {
    const lb_net *net;
    const lb_weights *w;
} source;

static int32_t find_site(const lb_net *n, const char *role, int64_t block, int64_t expert) {
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].block == block && n->site[i].expert == expert && strcmp(n->site[i].role, role) == 0) return i;
    return -1;
}

static lb_status get_param(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    const source *s = ctx;
    const lb_net *n = s->net;
    *out = (lb_ref_param){0};
    int32_t site = find_site(n, name, block, expert), v = lb_net_vector(n, block, expert, name, false);
    int32_t bias = lb_net_vector(n, block, expert, name, true);
    if (site >= 0) out->W = s->w->site[site].W, out->T = s->w->site[site].T, out->act = s->w->site[site].act;
    if (v >= 0) out->W = lb_cmat_of(s->w->vector[v], 1, n->vector[v].n);
    if (bias >= 0) out->bias = s->w->vector[bias];
    return LB_OK;
}

static lb_status run(lb_arena *arena, const source *s, const int32_t *tokens, int64_t n, lb_mat h) {
    lb_reference r;
    const lb_ref_params params = {get_param, s};
    LB_TRY(lb_reference_run(arena, s->net->program, s->net->numbers, &params, tokens, n, &r));
    const lb_ref_value *x = lb_reference_value(&r, s->net->after.value[s->net->head_input].name);
    for (int64_t i = 0; i < n * x->cols; i++) h.d[i / x->cols * h.ld + i % x->cols] = (float)x->d[i];
    return LB_OK;
}

lb_status lb_forward_ref(const lb_net *net, const lb_weights *w, const int32_t *tokens, int64_t n, lb_mat h) {
    lb_arena *arena;
    const source s = {net, w};
    LB_TRY(lb_arena_new(0, &arena));
    lb_status st = run(arena, &s, tokens, n, h);
    lb_arena_free(arena);
    return st;
}

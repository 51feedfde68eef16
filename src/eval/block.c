#include "eval/block.h"

#include <assert.h>
#include <string.h>

#include "model/backward.h"
#include "model/weights.h"

typedef struct passes {
    lb_arena *arena;
    const lb_net *n;
    const lb_stream *s;
    lb_team *team;
    int64_t block;
    int32_t *site;    /* (in.sites) in the net */
    lb_weights own;   /* the model's, this block in memory */
    lb_weights given; /* with the caller's matrices */
    lb_exec *exec;
    lb_section_backward **back; /* (1 + sections) of the whole block, of each section; NULL until asked for */
    lb_grads grads;
    int32_t kept_section; /* the one of which is kept what enters it */
    float *kept;          /* (tokens, dim); NULL until asked for */
    bool *has;            /* (sequences) */
} passes;

static lb_mat kept_of(const passes *p, const lb_block_in *in, int64_t s) {
    return lb_mat_of(p->kept + lb_block_start(in, s) * in->dim, lb_block_length(in, s), in->dim);
}

static void copy_rows(lb_cmat from, lb_mat to) {
    for (int64_t t = 0; t < from.rows; t++)
        memcpy(to.d + t * to.ld, from.d + t * from.ld, (size_t)from.cols * sizeof *to.d);
}

/* x of sequence s as it enters a section of the model as it is. */
static lb_status entering(passes *p, const lb_block_in *in, int32_t section, int64_t s, lb_cmat *x) {
    if (section <= 0) {
        *x = lb_stream_states(p->s, s);
        return LB_OK;
    }
    if (!p->kept && !(p->kept = LB_NEW_UNSET(p->arena, float, lb_block_start(in, in->sequences) * in->dim)))
        return LB_E_NOMEM;
    if (p->kept_section != section) memset(p->has, 0, (size_t)in->sequences * sizeof *p->has);
    p->kept_section = section;
    lb_mat to = kept_of(p, in, s);
    if (!p->has[s]) {
        copy_rows(lb_stream_states(p->s, s), to);
        for (int32_t k = 0; k < section; k++) LB_TRY(lb_exec_section(p->exec, &p->own, p->block, k, to, NULL));
        p->has[s] = true;
    }
    *x = lb_mat_c(to);
    return LB_OK;
}

/* The weights with the caller's matrices in them. */
static const lb_weights *with(passes *p, const lb_block_in *in, const lb_cmat *W) {
    for (int32_t i = 0; i < in->sites; i++) {
        lb_linop *op = &p->given.site[p->site[i]];
        *op = p->own.site[p->site[i]];
        if (!W || !W[i].d) continue;
        assert(W[i].rows == op->W.rows && W[i].cols == op->W.cols);
        op->W = W[i];
    }
    return &p->given;
}

static lb_status check_call(const lb_block_in *in, int32_t section, int64_t s, int64_t rows, int64_t cols) {
    bool known = s >= 0 && s < in->sequences;
    int64_t length = known ? lb_block_length(in, s) : in->length;
    if (section >= in->sections || !known || rows != length || cols != in->dim)
        return lb_fail(LB_E_ARG,
                       "block %lld: sequence %lld through section %d as (%lld, %lld): it has %lld sequences of (%lld, "
                       "%lld) and %d sections",
                       (long long)in->block, (long long)s, (int)section, (long long)rows, (long long)cols,
                       (long long)in->sequences, (long long)length, (long long)in->dim, (int)in->sections);
    return lb_interrupt_check();
}

static lb_status forward(const lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_mat y) {
    passes *p = in->impl;
    lb_cmat x;
    LB_TRY(check_call(in, section, s, y.rows, y.cols));
    LB_TRY(entering(p, in, section, s, &x));
    copy_rows(x, y);
    return lb_exec_section(p->exec, with(p, in, W), p->block, section, y, NULL);
}

static lb_status backward(const lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_cmat dy,
                          const lb_mat *dW, lb_mat dx) {
    passes *p = in->impl;
    lb_cmat x;
    LB_TRY(check_call(in, section, s, dy.rows, dy.cols));
    lb_section_backward **back = &p->back[section < 0 ? 0 : 1 + section];
    if (!*back) LB_TRY(lb_section_backward_new(p->arena, p->n, p->block, section, in->length, back));
    LB_TRY(entering(p, in, section, s, &x));
    for (int32_t i = 0; i < in->sites; i++) p->grads.site[lb_net_owner(p->n, p->site[i])] = dW ? dW[i] : (lb_mat){0};
    return lb_section_gradients(*back, with(p, in, W), x, dy, p->team, &p->grads, dx);
}

static lb_status find_sites(passes *p, const lb_block_in *in) {
    if (!(p->site = LB_NEW(p->arena, int32_t, in->sites + 1))) return LB_E_NOMEM;
    for (int32_t i = 0; i < in->sites; i++) {
        p->site[i] = lb_net_find(p->n, in->site[i].name);
        if (p->site[i] < 0 || p->n->site[p->site[i]].block != p->block)
            return lb_fail(LB_E_ARG, "block %lld has no layer %s", (long long)p->block, in->site[i].name);
    }
    return LB_OK;
}

/* The block's weights in memory. */
static lb_status load(passes *p, const lb_weights *w) {
    int64_t floats = lb_block_floats(p->n, w, p->block);
    LB_TRY(lb_weights_clone(p->arena, p->n, w, &p->own));
    float *buffer = floats ? LB_NEW_UNSET(p->arena, float, floats) : NULL;
    if (floats && !buffer) return LB_E_NOMEM;
    LB_TRY(lb_block_load(p->n, w, p->block, buffer, p->team, &p->own));
    return lb_weights_clone(p->arena, p->n, &p->own, &p->given);
}

lb_status lb_block_connect(lb_arena *a, const lb_net *n, const lb_stream *s, const lb_weights *w, lb_team *team,
                           lb_block_in *in) {
    passes *p = LB_NEW(a, passes, 1);
    if (!p) return LB_E_NOMEM;
    const lb_sequences *of = lb_stream_sequences(s);
    int64_t block = lb_stream_block(s);
    int32_t sections = n->block[block].sections;
    *p = (passes){.arena = a, .n = n, .s = s, .team = team, .block = block, .kept_section = -1};
    assert(in->block == block);
    p->back = LB_NEW(a, lb_section_backward *, 1 + sections);
    p->has = LB_NEW(a, bool, of->n);
    if (!p->back || !p->has) return LB_E_NOMEM;
    LB_TRY(find_sites(p, in));
    LB_TRY(lb_grads_new(a, n, &p->grads));
    LB_TRY(load(p, w));
    LB_TRY(lb_exec_new(a, n, of->length, team, &p->exec));
    in->forward = forward;
    in->backward = backward;
    in->impl = p;
    in->sections = sections;
    in->sequences = of->n;
    in->length = of->length;
    in->start = of->start;
    in->dim = n->dim;
    return LB_OK;
}

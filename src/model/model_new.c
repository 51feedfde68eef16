/* A model built in memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "model/model_file.h"
#include "model/weights.h"

/* Does a step of its block add what the site gives to a value? */
static bool adds(const lb_net *n, int32_t site) {
    int64_t block = n->site[site].block;
    for (int32_t i = 0; block >= 0 && i < n->block[block].steps; i++) {
        const lb_net_step *s = &n->block[block].step[i];
        if (s->site == site) return s->into >= 0;
    }
    return false;
}

static lb_status fill(lb_model *m, int32_t slot, uint64_t seed) {
    const lb_net_slot *at = &m->net->slot[slot];
    int64_t rows, cols;
    lb_slot_shape(m->net, slot, &rows, &cols);
    float *w = lb_arena_get(m->arena, (size_t)rows, (size_t)cols * sizeof *w);
    if (!w) return LB_E_NOMEM;
    /* GPT-2's start: what adds to the residual stream is smaller the more blocks do so. */
    double sd = 0.02;
    if (at->site >= 0 && adds(m->net, at->site)) sd /= sqrt(2.0 * (double)m->net->blocks);
    lb_rng r = lb_rng_make(seed, (uint64_t)slot);
    for (int64_t i = 0; i < rows * cols; i++) w[i] = at->site < 0 ? 1.0f : (float)(sd * lb_rng_normal(&r));
    lb_slot_set(m->net, &m->weights, slot, w);
    lb_model_tensor *t = &m->tensor[slot];
    *t = (lb_model_tensor){.type = "F32", .rows = rows, .cols = cols, .stored_bytes = rows * cols * 4};
    snprintf(t->name, sizeof t->name, "%s", lb_slot_name(m->net, slot));
    t->source_name = t->name;
    return LB_OK;
}

static lb_status build(lb_model *m, const lb_arch *arch, uint64_t seed) {
    LB_TRY(lb_arena_new(0, &m->arena));
    m->family = lb_family_named("llama");
    m->stored = "F32";
    memcpy(m->format, "memory", sizeof "memory");
    if (!(m->path = lb_arena_strdup(m->arena, "(new)"))) return LB_E_NOMEM;
    if (!(m->name = lb_arena_strdup(m->arena, "new"))) return LB_E_NOMEM;
    LB_TRY(lb_arch_net(m->arena, arch, &m->net));
    LB_TRY(lb_weights_new(m->arena, m->net, &m->weights));
    m->n_tensors = m->net->slots;
    if (!(m->tensor = LB_NEW(m->arena, lb_model_tensor, m->n_tensors))) return LB_E_NOMEM;
    for (int32_t i = 0; i < m->net->slots; i++) LB_TRY(fill(m, i, seed));
    return LB_OK;
}

lb_status lb_model_new(const lb_arch *arch, lb_tokenizer *tok, uint64_t seed, lb_model **out) {
    *out = NULL;
    lb_model *m = lb_alloc(1, sizeof *m);
    if (!m) return LB_E_NOMEM;
    lb_status st = build(m, arch, seed);
    if (st != LB_OK) {
        lb_model_close(m); /* the tokenizer stays the caller's */
        return st;
    }
    m->tokenizer = tok;
    *out = m;
    return LB_OK;
}

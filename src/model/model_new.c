/* A model built in memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "model/config_impl.h"
#include "model/model_file.h"
#include "model/weights.h"

/* The part that a site's step stands in. */
static const lb_net_part *part_of(const lb_net *n, const lb_site *s) {
    const lb_net_part *p = s->block >= 0 ? &n->block[s->block] : NULL;
    if (!p || s->expert < 0) return p;
    for (int32_t i = 0; i < p->steps; i++)
        if (p->step[i].n_experts > s->expert) return &p->step[i].expert[s->expert];
    return NULL;
}

/* Is what the site gives added to the residual stream: by its own step, by one without a site that follows, or as what
 * an expert gives? */
static bool adds(const lb_net *n, int32_t site) {
    const lb_site *at = &n->site[site];
    const lb_net_part *p = part_of(n, at);
    int32_t given = -1; /* the value */
    for (int32_t i = 0; p && i < p->steps; i++) {
        const lb_net_step *s = &p->step[i];
        if (s->site == site && !s->n_experts) {
            if (at->expert >= 0 || s->into >= 0) return at->expert < 0 || s->dst[0] == p->leaving;
            given = s->dst[0];
        }
        if (given >= 0 && s->into >= 0 && s->site < 0 && s->src[strlen(s->op->operands) - 1] == given) return true;
    }
    return false;
}

/* A norm starts as the identity: its weight and what its program adds to that are 1 together. */
static double one_of(const lb_net_part *p, int32_t vector) {
    for (int32_t i = 0; i < p->steps; i++)
        for (int k = 0; p->step[i].weight == vector && p->step[i].op->arg[k].name; k++)
            if (strcmp(p->step[i].op->arg[k].name, "one") == 0) return p->step[i].arg[k];
    return 0.0;
}

static float first_of_vector(const lb_net *n, int32_t vector) {
    const lb_vector *v = &n->vector[vector];
    if (v->bias) return 0.0f;
    double one =
        v->block >= 0 ? one_of(&n->block[v->block], vector) : one_of(&n->before, vector) + one_of(&n->after, vector);
    return (float)(1.0 - one);
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
    float same = at->site < 0 ? first_of_vector(m->net, at->vector) : 0.0f;
    lb_rng r = lb_rng_make(seed, (uint64_t)slot);
    for (int64_t i = 0; i < rows * cols; i++) w[i] = at->site < 0 ? same : (float)(sd * lb_rng_normal(&r));
    lb_slot_set(m->net, &m->weights, slot, w);
    lb_model_tensor *t = &m->tensor[slot];
    *t = (lb_model_tensor){.type = "F32", .rows = rows, .cols = cols, .stored_bytes = rows * cols * 4};
    snprintf(t->name, sizeof t->name, "%s", lb_slot_name(m->net, slot));
    t->source_name = t->name;
    return LB_OK;
}

/* A model without a net yet. */
static lb_status begin(lb_model **out) {
    lb_model *m = *out = lb_alloc(1, sizeof *m);
    if (!m) return LB_E_NOMEM;
    LB_TRY(lb_arena_new(0, &m->arena));
    m->stored = "F32";
    memcpy(m->format, "memory", sizeof "memory");
    if (!(m->path = lb_arena_strdup(m->arena, "new model"))) return LB_E_NOMEM;
    return (m->name = lb_arena_strdup(m->arena, "new")) ? LB_OK : LB_E_NOMEM;
}

static lb_status fill_all(lb_model *m, uint64_t seed) {
    LB_TRY(lb_weights_new(m->arena, m->net, &m->weights));
    m->n_tensors = m->net->slots;
    if (!(m->tensor = LB_NEW(m->arena, lb_model_tensor, m->n_tensors))) return LB_E_NOMEM;
    for (int32_t i = 0; i < m->net->slots; i++) LB_TRY(fill(m, i, seed));
    return LB_OK;
}

static lb_status end(lb_status st, lb_tokenizer *tok, lb_model **out) {
    if (st == LB_OK) {
        (*out)->tokenizer = tok;
        return LB_OK;
    }
    lb_model_close(*out); /* the tokenizer stays the caller's */
    *out = NULL;
    return st;
}

lb_status lb_model_new(const lb_arch *arch, lb_tokenizer *tok, uint64_t seed, lb_model **out) {
    lb_status st = begin(out);
    if (st == LB_OK) {
        (*out)->family = lb_family_named("llama");
        st = lb_arch_net((*out)->arena, arch, &(*out)->net);
    }
    if (st == LB_OK) st = fill_all(*out, seed);
    return end(st, tok, out);
}

static lb_status build(lb_model *m, const lb_family *f, const char *keys) {
    json_t *o = NULL;
    lb_numbers numbers, *own = LB_NEW(m->arena, lb_numbers, 1);
    if (!own || !(m->given = lb_arena_strdup(m->arena, keys))) return LB_E_NOMEM;
    LB_TRY(lb_json_parse(m->path, keys, strlen(keys), &o));
    lb_json_memory_begin();
    (void)json_object_set_new(o, "model_type", json_string(f->hf_type));
    lb_status st = lb_json_memory_check(m->path);
    if (st == LB_OK) st = lb_config_numbers(m->arena, m->path, o, &m->family, own, &numbers);
    json_decref(o);
    m->keys = own;
    return st == LB_OK ? lb_family_net(m->arena, m->family, &numbers, &m->net) : st;
}

lb_status lb_model_new_of(const lb_family *f, const char *keys, lb_tokenizer *tok, uint64_t seed, lb_model **out) {
    lb_status st = begin(out);
    if (st == LB_OK) st = build(*out, f, keys);
    if (st == LB_OK) st = fill_all(*out, seed);
    return end(st, tok, out);
}

/* A model built in memory. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "model/model_file.h"

static lb_status fill(lb_model *m, int64_t slot, uint64_t seed) {
    const lb_tensor_map *row;
    int map;
    int64_t block;
    lb_slot_split(&m->arch, slot, &map, &block);
    row = &lb_family_of(&m->arch)->tensor[map];
    int64_t rows = lb_extent_of(&m->arch, row->rows), cols = lb_extent_of(&m->arch, row->cols);
    float *w = lb_arena_get(m->arena, (size_t)rows, (size_t)cols * sizeof *w);
    if (!w) return LB_E_NOMEM;
    /* GPT-2's start: what adds to the residual stream is smaller the more blocks do so. */
    double sd = 0.02;
    if (map == LB_MAP_LINEAR + LB_O || map == LB_MAP_LINEAR + LB_DOWN) sd /= sqrt(2.0 * (double)m->arch.layers);
    lb_rng r = lb_rng_make(seed, (uint64_t)slot);
    for (int64_t i = 0; i < rows * cols; i++) w[i] = row->rows == LB_EXT_ONE ? 1.0f : (float)(sd * lb_rng_normal(&r));
    lb_slot_set(&m->arch, &m->weights, slot, w);
    lb_model_tensor *t = &m->tensor[slot];
    *t = (lb_model_tensor){.type = "F32", .rows = rows, .cols = cols, .stored_bytes = rows * cols * 4};
    lb_map_name(row->ours, block, t->name, sizeof t->name);
    t->source_name = t->name;
    return LB_OK;
}

static lb_status build(lb_model *m, const lb_arch *arch, uint64_t seed) {
    LB_TRY(lb_arch_check(arch, "new model"));
    LB_TRY(lb_arena_new(0, &m->arena));
    m->arch = *arch;
    m->arch.family = lb_family_of(arch)->name;
    m->stored = "F32";
    memcpy(m->format, "memory", sizeof "memory");
    if (!(m->path = lb_arena_strdup(m->arena, "(new)"))) return LB_E_NOMEM;
    if (!(m->name = lb_arena_strdup(m->arena, "new"))) return LB_E_NOMEM;
    m->n_tensors = lb_slot_count(arch);
    if (!(m->tensor = LB_NEW(m->arena, lb_model_tensor, m->n_tensors))) return LB_E_NOMEM;
    if (!(m->weights.blocks = LB_NEW(m->arena, lb_block, arch->layers))) return LB_E_NOMEM;
    for (int64_t i = 0; i < m->n_tensors; i++) LB_TRY(fill(m, i, seed));
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

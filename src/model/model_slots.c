/* The running order of a model's tensors, and the place of each in lb_weights. */
#include "model/model_file.h"

/* Map entries in a block's order. */
static const int in_block[LB_SLOTS_PER_BLOCK] = {
    LB_MAP_ATTN_NORM, LB_MAP_LINEAR + LB_Q,    LB_MAP_LINEAR + LB_K,  LB_MAP_LINEAR + LB_V,    LB_MAP_LINEAR + LB_O,
    LB_MAP_MLP_NORM,  LB_MAP_LINEAR + LB_GATE, LB_MAP_LINEAR + LB_UP, LB_MAP_LINEAR + LB_DOWN,
};

int64_t lb_slot_count(const lb_arch *a) { return 2 + a->layers * LB_SLOTS_PER_BLOCK + (a->tied ? 0 : 1); }

int64_t lb_slot_of(const lb_arch *a, int map, int64_t block) {
    int64_t after = 1 + a->layers * LB_SLOTS_PER_BLOCK;
    if (map == LB_MAP_EMBED) return 0;
    if (map == LB_MAP_FINAL_NORM) return after;
    if (map == LB_MAP_HEAD) return after + 1;
    int i = 0;
    while (in_block[i] != map) i++;
    return 1 + block * LB_SLOTS_PER_BLOCK + i;
}

void lb_slot_split(const lb_arch *a, int64_t slot, int *map, int64_t *block) {
    int64_t after = 1 + a->layers * LB_SLOTS_PER_BLOCK;
    *block = -1;
    if (slot == 0)
        *map = LB_MAP_EMBED;
    else if (slot >= after)
        *map = slot == after ? LB_MAP_FINAL_NORM : LB_MAP_HEAD;
    else {
        *block = (slot - 1) / LB_SLOTS_PER_BLOCK;
        *map = in_block[(slot - 1) % LB_SLOTS_PER_BLOCK];
    }
}

/* The pointer of a slot; every slot is one pointer of a view or of a norm. */
static const float **pointer(lb_weights *w, int map, int64_t block) {
    switch (map) {
    case LB_MAP_EMBED:
        return &w->embed.d;
    case LB_MAP_FINAL_NORM:
        return &w->final_norm;
    case LB_MAP_HEAD:
        return &w->head.d;
    case LB_MAP_ATTN_NORM:
        return &w->blocks[block].attn_norm;
    case LB_MAP_MLP_NORM:
        return &w->blocks[block].mlp_norm;
    default:
        return &w->blocks[block].w[map - LB_MAP_LINEAR].d;
    }
}

static const lb_tensor_map *map_row(const lb_arch *a, int map) { return &lb_family_of(a)->tensor[map]; }

void lb_slot_set(const lb_arch *a, lb_weights *w, int64_t slot, const float *data) {
    int map;
    int64_t block;
    lb_slot_split(a, slot, &map, &block);
    int64_t rows = lb_extent_of(a, map_row(a, map)->rows), cols = lb_extent_of(a, map_row(a, map)->cols);
    if (map == LB_MAP_EMBED) w->embed = lb_cmat_of(data, rows, cols);
    if (map == LB_MAP_HEAD || (map == LB_MAP_EMBED && a->tied)) w->head = lb_cmat_of(data, rows, cols);
    if (map >= LB_MAP_LINEAR) w->blocks[block].w[map - LB_MAP_LINEAR] = lb_cmat_of(data, rows, cols);
    *pointer(w, map, block) = data;
}

void lb_slot_set_source(const lb_arch *a, lb_weights *w, int64_t slot, lb_rows_source from) {
    int map;
    int64_t block;
    lb_slot_split(a, slot, &map, &block);
    if (map == LB_MAP_EMBED) w->embed_from = from;
    if (map == LB_MAP_HEAD || (map == LB_MAP_EMBED && a->tied)) w->head_from = from;
    if (map >= LB_MAP_LINEAR) w->blocks[block].from[map - LB_MAP_LINEAR] = from;
}

const float *lb_slot_get(const lb_arch *a, const lb_weights *w, int64_t slot, int64_t *rows, int64_t *cols) {
    int map;
    int64_t block;
    lb_slot_split(a, slot, &map, &block);
    *rows = lb_extent_of(a, map_row(a, map)->rows);
    *cols = lb_extent_of(a, map_row(a, map)->cols);
    lb_weights view = *w;
    return *pointer(&view, map, block);
}

/* From what a method returned to what is kept of it, and to numbers again. */
#include "run/quantize.h"

static lb_status wrong_storage(const lb_storage *got, const lb_storage *want) {
    lb_str a = {0}, b = {0};
    lb_storage_text(got, &a);
    lb_storage_text(want, &b);
    lb_status st = lb_str_check(a.failed ? &a : &b);
    if (st == LB_OK) st = lb_fail(LB_E_ARG, "stored as %s, its spec said %s", a.s, b.s);
    lb_str_free(&a);
    lb_str_free(&b);
    return st;
}

/* At their places in the cell. */
static lb_told told_of(const lb_layer_plan *l, const lb_told *made) {
    lb_told all = {0};
    if (!l->told) return *made;
    for (size_t i = 0; i < l->method->diagnostics.n; i++)
        if (lb_is_told(made, i)) lb_tell(&all, l->told[i], made->value[i]);
    return all;
}

static lb_status pack(const lb_quantize_job *j, const lb_layer_plan *l, const lb_layer *made, lb_arena *a,
                      lb_stored *out) {
    lb_size size;
    if (made->rows != l->rows || made->cols != l->cols)
        return lb_fail(LB_E_ARG, "came back as (%lld, %lld), expected (%lld, %lld)", (long long)made->rows,
                       (long long)made->cols, (long long)l->rows, (long long)l->cols);
    LB_TRY(lb_layer_size(made, &size));
    LB_TRY(lb_told_check(&made->told, &l->method->diagnostics, LB_E_ARG));
    if (!lb_storage_same(&made->storage, &l->storage)) return wrong_storage(&made->storage, &l->storage);
    /* A ragged group follows from the storage, whatever a method says of it. */
    uint32_t ragged = lb_storage_ragged(&l->storage, l->cols) ? LB_FLAG_RAGGED_GROUP : 0;
    *out = (lb_stored){.bytes = LB_NEW_UNSET(a, uint8_t, size.total),
                       .flags = (made->flags & ~(uint32_t)LB_FLAG_RAGGED_GROUP) | ragged,
                       .told = told_of(l, &made->told)};
    if (!out->bytes) return LB_E_NOMEM;
    return lb_layer_pack(made, j->plan->team, out->bytes, size.total);
}

lb_status lb_quantize_store(const lb_quantize_job *j, int64_t layer, const lb_layer *made, lb_arena *a,
                            lb_stored *out) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    lb_layer whole = *made;
    if (j->changes) { /* what is kept of them is part of the layer */
        whole.T = j->base->site[l->site].T;
        lb_storage_take_transform(&whole.storage, &l->storage);
    }
    if (l->block < 0) { /* as the plan has it */
        whole.storage.act = (lb_actquant){0};
        whole.act_scale = whole.act_zero = 0;
    }
    lb_status st = pack(j, l, &whole, a, out);
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(st, "method %s: layer %s", l->method->name, l->name);
}

lb_status lb_quantize_dequantize(const lb_quantize_job *j, int64_t layer, const lb_stored *s, lb_mat What) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    lb_layer c;
    lb_arena_mark start = lb_arena_save(j->scratch);
    LB_TRY(lb_layer_unpack(j->scratch, &l->storage, l->rows, l->cols, j->plan->team, s->bytes, l->size.total, &c));
    LB_TRY(lb_layer_dequantize_team(&c, What, j->plan->team));
    lb_arena_restore(j->scratch, start);
    return LB_OK;
}

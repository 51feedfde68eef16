/* What a result keeps of the quantized model: the bytes that were installed and measured. */
#include "run/quantize.h"

#include "model/weights.h"
#include "quant/format.h"

lb_status lb_quantize_keep_begin(lb_quantize_job *j) {
    const lb_cell *c = j->cell;
    int64_t most = c->layers + j->plan->model->net->slots;
    if (!(j->kept = LB_NEW(j->arena, int64_t, c->layers + 1))) return LB_E_NOMEM;
    LB_TRY(lb_bundle_new(j->keep_path, most, &j->bundle));
    j->bundle->whole = j->plan->config->keep_model;
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_plan *l = &c->layer[i];
        if (l->quantize && l->same_as < 0)
            LB_TRY(lb_bundle_add(j->bundle, l->name, l->rows, l->cols, &l->storage, &j->kept[i]));
    }
    return LB_OK;
}

lb_status lb_quantize_keep(lb_quantize_job *j, int64_t layer, const lb_stored *s) {
    return lb_bundle_put(j->bundle, j->kept[layer], s->bytes);
}

/* Is the tensor's place taken by a layer that is kept packed? */
static bool is_packed(const lb_quantize_job *j, int32_t slot) {
    const lb_net *net = j->plan->model->net;
    int32_t site = net->slot[slot].site;
    for (int64_t i = 0; site >= 0 && i < j->cell->layers; i++)
        if (j->cell->layer[i].quantize && lb_net_owner(net, j->cell->layer[i].site) == site) return true;
    return false;
}

/* By a training, or by stages that preserve. All of a file that is to be the whole model. */
static bool is_changed(const lb_quantize_job *j, int32_t slot) {
    const lb_net *net = j->plan->model->net;
    if (j->bundle->whole) return true;
    if (j->changes) return lb_changes_slot(j->changes, slot);
    return lb_slot_get(net, &j->w, slot) != lb_slot_get(net, &j->plan->model->weights, slot);
}

static lb_status numbers_of(const lb_quantize_job *j, int32_t slot, float **out) {
    int32_t site = j->plan->model->net->slot[slot].site;
    lb_cmat W = {.d = lb_slot_get(j->plan->model->net, &j->w, slot)};
    if (site >= 0) LB_TRY(lb_matrix_get(&j->w.site[site], j->scratch, j->plan->team, &W));
    *out = (float *)(uintptr_t)W.d;
    return LB_OK;
}

lb_status lb_quantize_keep_changed(lb_quantize_job *j) {
    const lb_net *net = j->plan->model->net;
    const lb_storage floats = {.format = &lb_f32, .bits = lb_f32.bits_max};
    for (int32_t i = 0; i < net->slots; i++) {
        lb_layer c = {.storage = floats};
        lb_size size;
        int64_t index;
        if (!is_changed(j, i) || is_packed(j, i)) continue;
        lb_arena_mark start = lb_arena_save(j->scratch);
        lb_slot_shape(net, i, &c.rows, &c.cols);
        LB_TRY(numbers_of(j, i, &c.dense));
        LB_TRY(lb_bundle_add(j->bundle, lb_slot_name(net, i), c.rows, c.cols, &floats, &index));
        LB_TRY(lb_layer_size(&c, &size));
        uint8_t *bytes = LB_NEW_UNSET(j->scratch, uint8_t, size.total);
        if (!bytes) return LB_E_NOMEM;
        LB_TRY(lb_layer_pack(&c, j->plan->team, bytes, size.total));
        LB_TRY(lb_bundle_put(j->bundle, index, bytes));
        lb_arena_restore(j->scratch, start);
    }
    return LB_OK;
}

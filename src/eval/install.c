#include "eval/install.h"

#include "model/weights.h"

void lb_install_matrix(const lb_net *n, lb_weights *w, int32_t site, lb_cmat W) {
    lb_weights_put(n, w, site, (lb_linop){.W = W});
}

/* Do all whose weights these are read an input? A table's rows are taken as they are. */
static lb_status check_inputs(const lb_net *n, int32_t site) {
    int32_t owner = lb_net_owner(n, site);
    for (int32_t i = 0; i < n->sites; i++)
        if (lb_net_owner(n, i) == owner && n->site[i].input < 0)
            return lb_fail(LB_E_UNSUPPORTED, "%s is a table of embeddings: it has no input to transform",
                           n->site[i].name);
    return LB_OK;
}

lb_status lb_install_packed(lb_arena *a, const lb_net *n, lb_weights *w, int32_t site, const lb_storage *s,
                            const uint8_t *bytes, int64_t count) {
    int64_t rows = n->site[site].rows, cols = n->site[site].cols;
    lb_packed *packed;
    LB_TRY(lb_packed_new(a, s, rows, cols, bytes, count, &packed));
    lb_linop op = {.W = {NULL, rows, cols, cols}, .from = {lb_packed_read, packed}, .T = *lb_packed_transform(packed)};
    if (lb_transform_any(&op.T)) LB_TRY(check_inputs(n, site));
    if (n->site[site].block >= 0) op.act = lb_packed_act(packed);
    lb_weights_put(n, w, site, op);
    return LB_OK;
}

typedef struct installer {
    lb_arena *a, *scratch;
    const lb_net *n;
    lb_h5 *h;
    const lb_bundle *b;
    bool resident;
    lb_team *team;
    lb_weights *w;
} installer;

static lb_status wrong_shape(const lb_bundle_layer *l, int64_t rows, int64_t cols) {
    if (l->rows == rows && l->cols == cols) return LB_OK;
    return lb_fail(LB_E_FORMAT, "(%lld, %lld), the model's is (%lld, %lld)", (long long)l->rows, (long long)l->cols,
                   (long long)rows, (long long)cols);
}

/* What a training or a stage changed: a matrix or a vector, as floats. */
static lb_status install_floats(installer *x, const lb_bundle_layer *l, const lb_layer *c) {
    int64_t rows, cols, n = l->rows * l->cols;
    int32_t slot = lb_slot_find(x->n, l->name);
    if (slot < 0) return lb_fail(LB_E_FORMAT, "the model has no tensor of that name");
    lb_slot_shape(x->n, slot, &rows, &cols);
    LB_TRY(wrong_shape(l, rows, cols));
    float *v = LB_NEW_UNSET(x->a, float, n);
    if (!v) return LB_E_NOMEM;
    LB_TRY(lb_layer_dequantize_team(c, lb_mat_of(v, rows, cols), x->team));
    lb_slot_set(x->n, x->w, slot, v);
    return LB_OK;
}

static lb_status install_codes(installer *x, const lb_bundle_layer *l, const uint8_t *bytes) {
    int32_t site = lb_net_find(x->n, l->name);
    if (site < 0) return lb_fail(LB_E_FORMAT, "the model has no layer of that name");
    LB_TRY(wrong_shape(l, x->n->site[site].rows, x->n->site[site].cols));
    LB_TRY(lb_install_packed(x->a, x->n, x->w, site, &l->storage, bytes, l->bytes));
    bool resident = x->resident || lb_net_between(x->n, site);
    if (!resident || x->n->site[site].block >= 0 || lb_storage_transforms(&l->storage)) return LB_OK;
    lb_cmat W;
    LB_TRY(lb_matrix_get(&x->w->site[site], x->a, x->team, &W));
    lb_install_matrix(x->n, x->w, site, W);
    return LB_OK;
}

static lb_status install_layer(installer *x, int64_t i) {
    const lb_bundle_layer *l = &x->b->layer[i];
    lb_layer c;
    uint8_t *bytes = LB_NEW_UNSET(x->scratch, uint8_t, l->bytes);
    if (!bytes) return LB_E_NOMEM;
    LB_TRY(lb_bundle_get(x->h, x->b, i, bytes));
    lb_status st = lb_layer_unpack(x->scratch, &l->storage, l->rows, l->cols, x->team, bytes, l->bytes, &c);
    if (st == LB_OK) st = lb_layer_check(&c, x->team);
    if (st == LB_OK) st = lb_storage_plain(&l->storage) ? install_floats(x, l, &c) : install_codes(x, l, bytes);
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(LB_E_FORMAT, "layer %s", l->name);
}

lb_status lb_install_bundle(lb_arena *a, const lb_net *n, const lb_weights *w0, lb_h5 *h, const lb_bundle *b,
                            bool resident, lb_team *team, lb_weights *out) {
    installer x = {.a = a, .n = n, .h = h, .b = b, .resident = resident, .team = team, .w = out};
    LB_TRY(lb_weights_clone(a, n, w0, out));
    LB_TRY(lb_arena_new(0, &x.scratch));
    lb_arena_mark empty = lb_arena_save(x.scratch);
    lb_status st = LB_OK;
    for (int64_t i = 0; i < b->layers && st == LB_OK; i++) {
        st = lb_interrupt_check();
        if (st == LB_OK) st = install_layer(&x, i);
        lb_arena_restore(x.scratch, empty);
    }
    lb_arena_free(x.scratch);
    return st;
}

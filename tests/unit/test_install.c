/* Layers with a T of their input put into a model, from their packed bytes and from a result file: it computes what
 * the same weights do for inputs as they are. What has no input has no T. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/install.h"
#include "math/blas.h"
#include "model/weights.h"
#include "quant/format.h"
#include "quant/grid.h"
#include "support/llama.h"

enum { DIM = 16, HIDDEN = 32, VOCAB = 320, T = 23 };
static const char *const changed[] = {"0.q", "0.k", "0.down", "1.o", "1.up", "head"};
enum { CHANGED = sizeof changed / sizeof changed[0] };

typedef struct world {
    lb_arena *arena;
    lb_model *m;
    int32_t *token;
    uint8_t *bytes[CHANGED];
    lb_layer layer[CHANGED];
    lb_size size[CHANGED];
} world;

/* As a preserving stage and rounding to 8 bits give it. */
static lb_layer make_layer(const world *w, int32_t site, int kind) {
    static float scale[HIDDEN];
    static uint8_t sign[HIDDEN / 8];
    const lb_storage codes = {&lb_uniform, 8, .group = 8}, t = {.t_scale = kind != 1,
                                                                .t_scale_type = LB_SCALE_F16,
                                                                .t_hadamard = kind == 0 ? 0 : 8,
                                                                .t_sign = kind == 2};
    lb_cmat from = w->m->weights.site[site].W;
    lb_layer c;
    for (int i = 0; i < HIDDEN; i++) scale[i] = 0.5f + 0.25f * (float)(i % 7);
    for (int i = 0; i < HIDDEN / 8; i++) sign[i] = (uint8_t)(0x53 + i);
    const lb_transform change = {t.t_scale ? scale : NULL, t.t_hadamard, t.t_sign ? sign : NULL};
    lb_mat W = lb_mat_of(LB_NEW(w->arena, float, from.rows *from.cols), from.rows, from.cols);
    assert_non_null(W.d);
    memcpy(W.d, from.d, (size_t)(W.rows * W.cols) * sizeof *W.d);
    lb_transform_weights(&change, W);
    assert_ok(lb_round_to_nearest(w->arena, &codes, false, lb_mat_c(W), &c));
    lb_storage_take_transform(&c.storage, &t);
    c.T = change;
    return c;
}

static world open_world(bool tied) {
    world w = {.m = llama_random((lb_arch){.layers = 2,
                                           .dim = DIM,
                                           .hidden = HIDDEN,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .head_dim = 4,
                                           .vocab = VOCAB,
                                           .tied = tied},
                                 5),
               .token = llama_tokens(3, T, VOCAB)};
    assert_ok(lb_arena_new(0, &w.arena));
    for (int i = 0; i < CHANGED; i++) {
        w.layer[i] = make_layer(&w, lb_net_find(w.m->net, changed[i]), i % 3);
        assert_ok(lb_layer_size(&w.layer[i], &w.size[i]));
        assert_non_null(w.bytes[i] = LB_NEW(w.arena, uint8_t, w.size[i].total));
        assert_ok(lb_layer_pack(&w.layer[i], NULL, w.bytes[i], w.size[i].total));
    }
    return w;
}

static void close_world(world *w) {
    lb_free(w->token);
    lb_model_close(w->m);
    lb_arena_free(w->arena);
}

static void nll_of(const world *w, const lb_weights *weights, double nll[T]) {
    const lb_net *n = w->m->net;
    lb_exec *e;
    lb_weights loaded;
    int32_t target[T];
    lb_mat x = lb_mat_of(LB_NEW(w->arena, float, T *DIM), T, DIM);
    float *buffer = LB_NEW(w->arena, float, lb_weights_block_floats(n, weights) + 1);
    assert_true(x.d && buffer);
    assert_ok(lb_exec_new(w->arena, n, T, NULL, &e));
    assert_ok(lb_weights_clone(w->arena, n, weights, &loaded));
    assert_ok(lb_exec_embed(e, weights, w->token, T, x));
    for (int64_t b = 0; b < n->blocks; b++) {
        assert_ok(lb_block_load(n, weights, b, buffer, NULL, &loaded));
        assert_ok(lb_exec_block(e, &loaded, b, x, NULL));
    }
    assert_ok(lb_exec_final(e, weights, x, x));
    for (int t = 0; t < T; t++) target[t] = w->token[(t + 1) % T];
    assert_ok(lb_head_nll(lb_head_of(n, weights), lb_mat_c(x), target, nll, NULL));
}

static void computes_the_same(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    world w = open_world(false);
    const lb_net *n = w.m->net;
    lb_weights packed, plain, kept[2];
    double want[T], got[T], again[T], before[T];
    assert_ok(lb_weights_clone(w.arena, n, &w.m->weights, &packed));
    assert_ok(lb_weights_clone(w.arena, n, &w.m->weights, &plain));
    for (int i = 0; i < CHANGED; i++) {
        int32_t site = lb_net_find(n, changed[i]);
        const lb_layer *c = &w.layer[i];
        lb_mat W = lb_mat_of(LB_NEW(w.arena, float, c->rows * c->cols), c->rows, c->cols);
        assert_non_null(W.d);
        assert_ok(lb_layer_dequantize(c, W));
        lb_transform_weights_back(&c->T, W);
        plain.site[site].W = lb_mat_c(W);
        assert_ok(lb_install_packed(w.arena, n, &packed, site, &c->storage, w.bytes[i], w.size[i].total));
    }
    nll_of(&w, &w.m->weights, before);
    nll_of(&w, &plain, want);
    nll_of(&w, &packed, got);
    double moved = 0;
    for (int t = 0; t < T; t++) {
        assert_true(fabs(got[t] - want[t]) < 1e-5 * (1 + fabs(want[t])));
        moved = fmax(moved, fabs(before[t] - want[t]));
    }
    assert_true(moved > 1e-4); /* by rounding */

    /* From a file, head in memory or not: the same bytes. */
    lb_bundle *b = NULL, back;
    lb_h5 *h = NULL;
    int64_t at;
    snprintf(path, sizeof path, "%s/cell.h5", lb_test_tmpdir());
    assert_ok(lb_bundle_new(path, CHANGED, &b));
    for (int i = 0; i < CHANGED; i++)
        assert_ok(lb_bundle_add(b, changed[i], w.layer[i].rows, w.layer[i].cols, &w.layer[i].storage, &at));
    for (int i = 0; i < CHANGED; i++) assert_ok(lb_bundle_put(b, i, w.bytes[i]));
    assert_ok(lb_h5_create(path, &h));
    assert_ok(lb_bundle_write(h, b));
    assert_ok(lb_h5_close(h));
    lb_bundle_close(b);
    assert_ok(lb_h5_open(path, &h));
    assert_ok(lb_bundle_read(h, w.arena, &back));
    for (int resident = 0; resident < 2; resident++) {
        assert_ok(lb_install_bundle(w.arena, n, &w.m->weights, h, &back, resident, NULL, &kept[resident]));
        nll_of(&w, &kept[resident], again);
        assert_memory_equal(again, got, sizeof got);
    }
    lb_h5_abandon(h);
    close_world(&w);
}

/* A head that is the embedding: its rows are taken as they are. */
static void tables_have_none(void **state) {
    (void)state;
    world w = open_world(true);
    const lb_layer *c = &w.layer[CHANGED - 1];
    lb_weights packed;
    assert_ok(lb_weights_clone(w.arena, w.m->net, &w.m->weights, &packed));
    assert_status(LB_E_UNSUPPORTED, lb_install_packed(w.arena, w.m->net, &packed, lb_net_find(w.m->net, "head"),
                                                      &c->storage, w.bytes[CHANGED - 1], w.size[CHANGED - 1].total));
    assert_error_has("embed is a table of embeddings: it has no input to transform");
    close_world(&w);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(computes_the_same), cmocka_unit_test(tables_have_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

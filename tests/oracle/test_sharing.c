/* A model each of whose blocks runs twice in a row, held to PyTorch's logits and gradients (make_sharing.py); what its
 * folder may not hold; and the folder as it is written again. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/backward.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/weights.h"
#include "support/folder.h"
#include "support/llama.h"

enum { T = 29, VOCAB = 61 };

static lb_safetensors *open_expected(void) {
    char path[LB_TEST_PATH];
    lb_safetensors *s;
    lb_test_fixture("tests/oracle/fixtures/sharing/sharing.safetensors", path);
    assert_ok(lb_safetensors_open(path, &s));
    return s;
}

static lb_model *open_fixture(lb_model_parts parts) {
    char path[LB_TEST_PATH];
    lb_model *m;
    lb_test_fixture("tests/oracle/fixtures/sharing/model", path);
    assert_ok(lb_model_open(path, parts, NULL, &m));
    return m;
}

static float *numbers_of(lb_arena *a, const lb_safetensors *s, const char *name, int64_t n) {
    const lb_tensor *t = lb_safetensors_find(s, name);
    float *out = LB_NEW(a, float, n);
    if (!t || !out || lb_tensor_count(t) != n) fail_msg("%s: not %d numbers", name, (int)n);
    assert_ok(lb_tensor_read_f32(t, 0, n, out));
    return out;
}

static void tokens_of(int32_t token[T]) {
    for (int32_t t = 0; t < T; t++) token[t] = (7 * t * t + 3 * t + 11) % VOCAB;
}

/* The largest difference, as a share of the expected numbers' spread. */
static double off(const float *have, const float *want, int64_t n) {
    double mean = 0, square = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)want[i] / (double)n;
    for (int64_t i = 0; i < n; i++) square += ((double)want[i] - mean) * ((double)want[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)have[i] - (double)want[i]);
        worst = d <= worst ? worst : d; /* NaN counts */
    }
    return worst / sqrt(square);
}

/* By the executor and by the reference. */
static void check_logits(const lb_model *m, const char *name) {
    const lb_net *n = m->net;
    lb_safetensors *s = open_expected();
    lb_arena *a;
    lb_exec *e;
    int32_t token[T];
    assert_ok(lb_arena_new(0, &a));
    const float *want = numbers_of(a, s, name, T * VOCAB);
    lb_mat h = lb_mat_of(LB_NEW(a, float, T * n->dim), T, n->dim), y = lb_mat_of(LB_NEW(a, float, T *VOCAB), T, VOCAB);
    lb_head head = lb_head_of(n, &m->weights);
    tokens_of(token);
    assert_ok(lb_exec_new(a, n, T, NULL, &e));
    assert_ok(lb_exec_embed(e, &m->weights, token, T, h));
    for (int64_t b = 0; b < n->blocks; b++) assert_ok(lb_exec_block(e, &m->weights, b, h, NULL));
    assert_ok(lb_exec_final(e, &m->weights, h, h));
    lb_head_logits(&head, lb_mat_c(h), y);
    if (!(off(y.d, want, T * VOCAB) < 2e-5)) fail_msg("%s: off by %g", name, off(y.d, want, T * VOCAB));
    assert_ok(lb_forward_ref(n, &m->weights, token, T, h));
    lb_head_logits(&head, lb_mat_c(h), y);
    if (!(off(y.d, want, T * VOCAB) < 2e-5)) fail_msg("%s by reference: off by %g", name, off(y.d, want, T * VOCAB));
    lb_arena_free(a);
    lb_safetensors_close(s);
}

static void logits(void **state) {
    (void)state;
    lb_model *m = open_fixture(LB_WEIGHTS);
    assert_int_equal(m->net->blocks, 4);
    assert_int_equal(m->n_tensors, 2 * 9 + 2);
    assert_int_equal(lb_net_shared(m->net), 2 * 7);
    for (int b = 0; b < 4; b++) {
        char name[16];
        snprintf(name, sizeof name, "%d.down", b);
        int32_t site = lb_net_find(m->net, name), norm = lb_net_vector(m->net, b, -1, "mlp_norm", false);
        snprintf(name, sizeof name, "%d.down", b / 2 * 2);
        assert_string_equal(m->net->site[lb_net_owner(m->net, site)].name, name);
        assert_int_equal(m->net->vector[lb_net_vector_owner(m->net, norm)].block, b / 2 * 2);
    }
    check_logits(m, "logits");
    lb_model_close(m);
    folder f = folder_take("sharing/model");
    folder_replace(&f, "\"layer_sharing\": true", "\"layer_sharing\": false");
    folder_write(&f);
    assert_ok(lb_model_open(f.dir, LB_WEIGHTS, NULL, &m));
    assert_int_equal(m->net->blocks, 2);
    assert_int_equal(lb_net_shared(m->net), 0);
    check_logits(m, "once");
    lb_model_close(m);
    folder_drop(&f);
}

/* Of what two blocks share: the sum of both. */
static void gradients(void **state) {
    (void)state;
    lb_model *m = open_fixture(LB_WEIGHTS);
    const lb_net *n = m->net;
    lb_safetensors *s = open_expected();
    lb_arena *a;
    lb_backward *b;
    lb_grads g;
    double loss, once;
    int32_t token[T];
    tokens_of(token);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_grads_new(a, n, &g));
    for (int32_t i = 0; i < n->slots; i++) {
        int64_t rows, cols;
        lb_slot_shape(n, i, &rows, &cols);
        float *d = LB_NEW(a, float, rows *cols);
        if (n->slot[i].site >= 0)
            g.site[n->slot[i].site] = lb_mat_of(d, rows, cols);
        else
            g.vector[n->slot[i].vector] = d;
    }
    assert_ok(lb_backward_new(a, n, 1, T, &b));
    for (int again = 0; again < 2; again++) /* the second call begins anew */
        assert_ok(lb_loss_gradients(b, &m->weights, NULL, 0, token, NULL, &g, again ? &loss : &once, NULL, NULL));
    assert_true(loss == once);
    assert_true(fabs(loss - (double)numbers_of(a, s, "loss", 1)[0]) < 2e-6);
    for (int32_t i = 0; i < n->slots; i++) {
        int64_t rows, cols;
        char name[LB_TENSOR_NAME + 8];
        lb_slot_shape(n, i, &rows, &cols);
        snprintf(name, sizeof name, "grad %s", m->tensor[i].source_name);
        const float *have = n->slot[i].site >= 0 ? g.site[n->slot[i].site].d : g.vector[n->slot[i].vector];
        double d = off(have, numbers_of(a, s, name, rows * cols), rows * cols);
        if (!(d < 1e-4)) fail_msg("%s: off by %g", name, d);
    }
    lb_arena_free(a);
    lb_safetensors_close(s);
    lb_model_close(m);
}

/* The same names and bytes; and with a head of its own, where the config then says so. */
static void written_again(void **state) {
    (void)state;
    lb_model *m = open_fixture(LB_WEIGHTS), *again;
    char path[LB_TEST_PATH], json[LB_TEST_PATH], *config;
    join_path(path, lb_test_tmpdir(), "again");
    assert_ok(lb_model_export(m, &m->weights, LB_F32, path, NULL));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &again));
    assert_int_equal(again->n_tensors, m->n_tensors);
    for (int32_t i = 0; i < m->net->slots; i++) {
        int64_t rows, cols;
        lb_slot_shape(m->net, i, &rows, &cols);
        assert_string_equal(m->tensor[i].source_name, again->tensor[i].source_name);
        assert_memory_equal(lb_slot_get(m->net, &m->weights, i), lb_slot_get(again->net, &again->weights, i),
                            (size_t)(rows * cols) * sizeof(float));
    }
    lb_model_close(again);
    lb_weights w;
    assert_ok(lb_weights_clone(m->arena, m->net, &m->weights, &w));
    float *own = LB_NEW(m->arena, float, VOCAB * m->net->dim);
    for (int64_t i = 0; i < VOCAB * m->net->dim; i++) own[i] = (float)(i % 7) - 3.0f;
    w.site[m->net->head].W = lb_cmat_of(own, VOCAB, m->net->dim);
    join_path(path, lb_test_tmpdir(), "untied");
    assert_ok(lb_model_export(m, &w, LB_F32, path, NULL));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &again));
    assert_int_equal(again->n_tensors, m->n_tensors + 1);
    assert_memory_equal(again->weights.site[again->net->head].W.d, own, (size_t)(VOCAB * m->net->dim) * sizeof *own);
    lb_model_close(again);
    join_path(json, path, "config.json");
    assert_ok(lb_fs_read(json, &config, NULL));
    assert_non_null(strstr(config, "\"share_embedding\": false"));
    assert_non_null(strstr(config, "\"tie_word_embeddings\": false"));
    assert_non_null(strstr(config, "\"layer_sharing\": true"));
    assert_non_null(strstr(config, "\"num_hidden_layers\": 2"));
    lb_free(config);
    lb_model_close(m);
}

static void wrong_folders(void **state) {
    (void)state;
    folder f = folder_take("sharing/model");
    folder_tensor(&f, "model.layers.1.mlp.up_proj.weight")->name = "model.layers.2.mlp.up_proj.weight";
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "model.layers.2.mlp.up_proj.weight: the config says blocks of its own = 2");
    folder_tensor(&f, "model.layers.2.mlp.up_proj.weight")->name = "model.layers.0.mlp.up_proj.bias";
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "up_proj.bias: the config says that there is none");
    *folder_tensor(&f, "model.layers.0.mlp.up_proj.bias") = f.t[f.n - 1];
    f.n--;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "tensor model.layers.1.mlp.up_proj.weight is missing");
    folder_drop(&f);
    f = folder_take("sharing/model");
    folder_replace(&f, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 60000");
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "layers = 120000: must be in [1, 65536]");
    folder_replace(&f, "\"num_hidden_layers\": 60000", "\"num_hidden_layers\": 30000");
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "20 tensors are too few for the 30000 blocks that the config says");
    folder_replace(&f, "\"num_hidden_layers\": 30000", "\"num_hidden_layers\": 2");
    folder_replace(&f, "\"layer_sharing\": true", "\"layer_sharing\": 1");
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "layer_sharing: must be true or false");
    folder_replace(&f, "\"layer_sharing\": 1", "\"layer_sharing\": true");
    folder_replace(&f, "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    folder_write(&f);
    expect_no_model(f.dir, LB_E_UNSUPPORTED, "tie_word_embeddings is true: share_embedding ties the head");
    folder_drop(&f);
}

static lb_status open_path(void *ctx) {
    lb_model *m;
    LB_TRY(lb_model_open(ctx, LB_WEIGHTS, NULL, &m));
    lb_model_close(m);
    return LB_OK;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/sharing/model", path);
    assert_true(llama_fail_each_allocation(open_path, path) > 8);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits), cmocka_unit_test(gradients),
                                       cmocka_unit_test(written_again), cmocka_unit_test(wrong_folders),
                                       cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

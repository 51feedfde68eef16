/* Export: whole or not at all, values kept, what cannot be kept said. That transformers loads the folder is checked by
 * tests/oracle/check_export.py. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/weights.h"
#include "support/llama.h"

static lb_model *a_model(lb_rope_layout rope, bool tied) {
    return llama_random((lb_arch){.layers = 2,
                                  .dim = 12,
                                  .hidden = 20,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 6,
                                  .vocab = 320,
                                  .rope = rope,
                                  .rope_base = 12345.5,
                                  .norm_eps = 9.999999747378752e-06,
                                  .context = 77,
                                  .tied = tied},
                        21);
}

static void path_in(char out[LB_TEST_PATH], const char *dir, const char *name) {
    assert_true(snprintf(out, LB_TEST_PATH, "%s/%s", dir, name) < LB_TEST_PATH);
}

/* How many entries a folder has. */
static size_t entries(const char *dir) {
    char **name;
    size_t n;
    assert_ok(lb_fs_list(dir, NULL, &name, &n));
    lb_fs_list_free(name, n);
    return n;
}

static int32_t *ids_of(const lb_tokenizer *t, const char *text, int64_t *n) {
    int32_t *ids;
    assert_ok(lb_tokenizer_encode(t, text, strlen(text), false, &ids, n));
    return ids;
}

/* Architecture, numbers and tokenizer come back; pairs come back as halves with the same states. */
static void comes_back(void **state) {
    (void)state;
    static const char text[] = "one two three, two three four; 12 times one is 12, and three is three.";
    char dir[LB_TEST_PATH];
    lb_model *m = a_model(LB_ROPE_PAIRS, true), *back;
    assert_ok(lb_tokenizer_train(text, strlen(text), 266, &m->tokenizer));
    path_in(dir, lb_test_tmpdir(), "a/new/folder/");
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &back));
    const lb_arch one = llama_arch(m), two = llama_arch(back), *a = &one, *b = &two;
    assert_true(a->layers == b->layers && a->dim == b->dim && a->hidden == b->hidden && a->heads == b->heads &&
                a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->vocab == b->vocab &&
                a->context == b->context && a->rope_base == b->rope_base && a->norm_eps == b->norm_eps && b->tied);
    assert_int_equal(b->rope, LB_ROPE_HALVES);
    assert_string_equal(back->stored, "F32 (20 tensors)");
    int64_t n, again;
    int32_t *ids = ids_of(m->tokenizer, text, &n), *same = ids_of(back->tokenizer, text, &again);
    assert_int_equal(n, again);
    assert_memory_equal(ids, same, (size_t)n * sizeof *ids);
    lb_mat x = llama_states(m, ids, n), y = llama_states(back, ids, n);
    assert_true(llama_worst(lb_mat_c(x), lb_mat_c(y)) < 1e-5);
    assert_memory_equal(llama_site(m, "1.v")->W.d, llama_site(back, "1.v")->W.d, 12 * 12 * sizeof(float));
    assert_memory_not_equal(llama_site(m, "1.k")->W.d, llama_site(back, "1.k")->W.d, 12 * 12 * sizeof(float));
    lb_free(x.d);
    lb_free(y.d);
    lb_free(ids);
    lb_free(same);
    lb_model_close(m);
    lb_model_close(back);
    /* Every file that was made is known as such. */
    char **left = NULL;
    size_t files = 0;
    lb_fs_remove_ours(dir, lb_model_export_file);
    assert_ok(lb_fs_list(dir, NULL, &left, &files));
    assert_int_equal(files, 0);
    lb_fs_list_free(left, files);
}

/* From halves nothing moves: every number is the same. */
static void halves_stay(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    lb_model *m = a_model(LB_ROPE_HALVES, false), *back;
    path_in(dir, lb_test_tmpdir(), "out");
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    assert_int_equal(entries(dir), 3);
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &back));
    assert_int_equal(back->n_tensors, m->n_tensors);
    for (int32_t i = 0; i < m->net->slots; i++) {
        int64_t rows, cols;
        lb_slot_shape(m->net, i, &rows, &cols);
        const float *x = lb_slot_get(m->net, &m->weights, i);
        const float *y = lb_slot_get(back->net, &back->weights, i);
        assert_memory_equal(x, y, (size_t)(rows * cols) * sizeof(float));
    }
    lb_model_close(m);
    lb_model_close(back);
}

/* A cell that quantized the head of a tied model: both are written. */
static void a_head_of_its_own_is_written(void **state) {
    (void)state;
    static float head[320 * 12];
    char dir[LB_TEST_PATH];
    lb_model *m = a_model(LB_ROPE_PAIRS, true), *back;
    lb_weights w;
    assert_ok(lb_weights_clone(m->arena, m->net, &m->weights, &w));
    for (int i = 0; i < 320 * 12; i++) head[i] = (float)i;
    w.site[m->net->head].W.d = head;
    path_in(dir, lb_test_tmpdir(), "out");
    assert_ok(lb_model_export(m, &w, LB_F32, dir, NULL));
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &back));
    assert_false(llama_arch(back).tied);
    assert_memory_equal(llama_site(back, "head")->W.d, head, sizeof head);
    assert_memory_equal(llama_site(back, "embed")->W.d, llama_site(m, "embed")->W.d, sizeof head);
    lb_model_close(m);
    lb_model_close(back);
}

/* A matrix for transformed inputs is written as the one for inputs as they are; a tied pair stays one. */
static void transforms_are_undone(void **state) {
    (void)state;
    static const char *const name[] = {"0.q", "1.down", "1.o"};
    char dir[LB_TEST_PATH];
    float scale[20];
    const uint8_t sign[3] = {0x5a, 0x13, 1};
    lb_model *m = a_model(LB_ROPE_PAIRS, true), *back, *plain;
    lb_weights w;
    for (int i = 0; i < 20; i++) scale[i] = 0.3f + (float)i / 9;
    path_in(dir, lb_test_tmpdir(), "plain");
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &plain));
    assert_ok(lb_weights_clone(m->arena, m->net, &m->weights, &w));
    for (int i = 0; i < 3; i++) {
        lb_linop *op = &w.site[lb_net_find(m->net, name[i])];
        lb_mat W = lb_mat_of(LB_NEW(m->arena, float, op->W.rows * op->W.cols), op->W.rows, op->W.cols);
        assert_non_null(W.d);
        memcpy(W.d, op->W.d, (size_t)(W.rows * W.cols) * sizeof *W.d);
        op->T = (lb_transform){.scale = i == 2 ? NULL : scale, .hadamard = 4, .sign = i ? sign : NULL};
        lb_transform_weights(&op->T, W);
        op->W = lb_mat_c(W);
    }
    path_in(dir, lb_test_tmpdir(), "transformed");
    assert_ok(lb_model_export(m, &w, LB_F32, dir, NULL));
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &back));
    assert_true(llama_arch(back).tied);
    for (int i = 0; i < 3; i++) {
        lb_cmat x = llama_site(plain, name[i])->W, y = llama_site(back, name[i])->W;
        assert_true(llama_worst(x, y) < 1e-6);
        assert_true(llama_worst(y, w.site[lb_net_find(m->net, name[i])].W) > 1e-3);
    }
    lb_model_close(plain);
    lb_model_close(back);
    lb_model_close(m);
}

typedef struct said {
    char text[4096];
} said;

static void on_message(void *user, lb_level level, const char *text) {
    said *s = user;
    size_t n = strlen(s->text);
    if (level == LB_WARN) snprintf(s->text + n, sizeof s->text - n, "%s\n", text);
}

static void losses_are_said(void **state) {
    (void)state;
    char dir[LB_TEST_PATH], path[LB_TEST_PATH];
    said s = {""};
    lb_log log = {.message = on_message, .user = &s};
    lb_model *m = a_model(LB_ROPE_PAIRS, true), *back;
    const char *top = lb_test_tmpdir();
    path_in(dir, top, "bf16");
    llama_site(m, "1.up")->act.bits = 8;
    assert_ok(lb_model_export(m, &m->weights, LB_BF16, dir, &log));
    assert_non_null(strstr(s.text, "rounded to BF16"));
    assert_non_null(strstr(s.text, "quantized activations cannot be written"));
    assert_non_null(strstr(s.text, "no tokenizer"));
    assert_ok(lb_model_open(dir, LB_HEADER, NULL, &back));
    assert_string_equal(back->stored, "BF16 (20 tensors)");
    lb_model_close(back);
    json_t *config;
    const char *type;
    path_in(path, dir, "config.json");
    assert_ok(lb_json_read(path, &config));
    assert_ok(lb_json_str(path, config, "torch_dtype", &type));
    assert_string_equal(type, "bfloat16");
    json_decref(config);
    path_in(dir, top, "q4");
    assert_status(LB_E_ARG, lb_model_export(m, &m->weights, LB_Q4_0, dir, &log));
    /* Too large for float16: refused with the tensor's name, and nothing is left. */
    ((float *)(uintptr_t)llama_site(m, "0.gate")->W.d)[5] = 1e6f;
    path_in(dir, top, "f16");
    assert_status(LB_E_NUMERIC, lb_model_export(m, &m->weights, LB_F16, dir, &log));
    assert_error_has("model.layers.0.mlp.gate_proj.weight");
    assert_int_equal(entries(top), 1);
    lb_model_close(m);
}

static void targets_in_use_are_refused(void **state) {
    (void)state;
    char dir[LB_TEST_PATH], file[LB_TEST_PATH], below[LB_TEST_PATH];
    const char *top = lb_test_tmpdir();
    lb_model *m = a_model(LB_ROPE_HALVES, false);
    path_in(dir, top, "full");
    path_in(file, dir, "notes.txt");
    assert_ok(lb_fs_mkdirs(dir));
    assert_ok(lb_model_export(m, &m->weights, LB_F32, dir, NULL)); /* empty: fine */
    assert_status(LB_E_ARG, lb_model_export(m, &m->weights, LB_F32, dir, NULL));
    assert_error_has("the folder is not empty (config.json)");
    path_in(file, top, "file");
    assert_ok(lb_fs_write_atomic(file, "x", 1));
    assert_status(LB_E_ARG, lb_model_export(m, &m->weights, LB_F32, file, NULL));
    assert_error_has("not a folder");
    path_in(below, file, "out");
    assert_status(LB_E_IO, lb_model_export(m, &m->weights, LB_F32, below, NULL));
    assert_int_equal(entries(top), 2);
    lb_model_close(m);
}

typedef struct job {
    lb_model *m;
    const char *top;
    char dir[LB_TEST_PATH];
} job;

static lb_status export_once(void *ctx) {
    job *j = ctx;
    return lb_model_export(j->m, &j->m->weights, LB_F32, j->dir, NULL);
}

/* Each failure leaves the folder above as it was. */
static lb_status export_and_look(void *ctx) {
    job *j = ctx;
    lb_status st = export_once(j);
    lb_alloc_fail_at(0);
    assert_int_equal(entries(j->top), st == LB_OK);
    return st;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    job j = {.m = a_model(LB_ROPE_PAIRS, false), .top = lb_test_tmpdir()};
    assert_ok(lb_tokenizer_train("some text, some more", 20, 259, &j.m->tokenizer));
    path_in(j.dir, j.top, "out");
    assert_true(llama_fail_each_allocation(export_and_look, &j) > 40);
    lb_model_close(j.m);
}

/* Every element of a tensor is that of the folder `dir`, but for n of them from `first` on. */
static void expect_changed(const char *dir, const char *out, const char *name, int64_t first, int64_t n, float value) {
    lb_safetensors *old, *new;
    char file[LB_TEST_PATH];
    path_in(file, dir, "model.safetensors");
    assert_ok(lb_safetensors_open(file, &old));
    path_in(file, out, "model.safetensors");
    assert_ok(lb_safetensors_open(file, &new));
    const lb_tensor *was = lb_safetensors_find(old, name), *now = lb_safetensors_find(new, name);
    assert_non_null(now);
    assert_int_equal(now->ndim, was->ndim);
    assert_int_equal(lb_tensor_count(now), lb_tensor_count(was));
    for (int64_t k = 0; k < lb_tensor_count(now); k++) {
        float x, y;
        assert_ok(lb_tensor_read_f32(now, k, 1, &x));
        assert_ok(lb_tensor_read_f32(was, k, 1, &y));
        if (x != (k >= first && k < first + n ? value : y))
            fail_msg("%s: element %lld is %g", name, (long long)k, (double)x);
    }
    lb_safetensors_close(old);
    lb_safetensors_close(new);
}

/* Experts in a stack and fused layers are written whole, each part in its place. */
static void parts_are_put_together(void **state) {
    (void)state;
    enum { N = 20 * 24, SHARED = 14 * 24 }; /* an expert's up, the shared one's */
    char dir[LB_TEST_PATH];
    static float up[N], shared[SHARED];
    job j = {.top = lb_test_tmpdir()};
    lb_arena *a;
    lb_weights w;
    lb_test_fixture("tests/oracle/fixtures/families/granitemoeshared/a", dir);
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &j.m));
    const lb_net *n = j.m->net;
    for (int k = 0; k < N; k++) up[k] = 1.0f;
    for (int k = 0; k < SHARED; k++) shared[k] = 2.0f;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_weights_clone(a, n, &j.m->weights, &w));
    w.site[lb_net_find(n, "1.expert.2.up")].W.d = up;
    w.site[lb_net_find(n, "1.shared_up")].W.d = shared;
    path_in(j.dir, j.top, "out");
    assert_ok(lb_model_export(j.m, &w, LB_F32, j.dir, NULL));
    expect_changed(dir, j.dir, "model.layers.1.block_sparse_moe.input_linear.weight", 5 * N, N, 1.0f);
    expect_changed(dir, j.dir, "model.layers.1.shared_mlp.input_linear.weight", SHARED, SHARED, 2.0f);
    lb_arena_free(a);
    lb_model_close(j.m);

    j.top = lb_test_tmpdir();
    path_in(j.dir, j.top, "out");
    assert_ok(lb_model_open(dir, LB_STREAM, NULL, &j.m));
    assert_true(llama_fail_each_allocation(export_and_look, &j) > 40);
    lb_model_close(j.m);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(halves_stay),
        cmocka_unit_test(a_head_of_its_own_is_written),
        cmocka_unit_test(transforms_are_undone),
        cmocka_unit_test(losses_are_said),
        cmocka_unit_test(targets_in_use_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(parts_are_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

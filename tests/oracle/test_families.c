/* Model families against transformers (tests/oracle/make_families.py): folders as it saves them are read by their
 * family's keys and tensors and run by the reference and by the executor. Tolerance as in test_programs.c: 2e-5 of the
 * logits' spread. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/exec.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/steps/reference.h"
#include "model/weights.h"
#include "support/llama.h"

static const double tolerance = 2e-5;
enum { T = 29, VOCAB = 61 };

static void fixture(const char *name, char path[LB_TEST_PATH]) {
    char full[LB_TEST_PATH];
    snprintf(full, sizeof full, "tests/oracle/fixtures/families/%s", name);
    lb_test_fixture(full, path);
}

static lb_status get_param(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    const lb_model *m = ctx;
    const lb_net *n = m->net;
    *out = (lb_ref_param){0};
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].block == block && n->site[i].expert == expert && strcmp(n->site[i].role, name) == 0)
            out->W = m->weights.site[i].W;
    int32_t v = lb_net_vector(n, block, expert, name, false), bias = lb_net_vector(n, block, expert, name, true);
    if (v >= 0) out->W = lb_cmat_of(m->weights.vector[v], 1, n->vector[v].n);
    if (bias >= 0) out->bias = m->weights.vector[bias];
    return LB_OK;
}

/* The last `rows` rows of logits, as a user's evaluation makes them. */
static void run(lb_arena *a, const lb_model *m, const int32_t *token, int64_t rows, lb_mat y) {
    const lb_net *n = m->net;
    lb_exec *e;
    lb_head head = lb_head_of(n, &m->weights);
    lb_mat x = lb_mat_of(LB_NEW(a, float, T * n->dim), T, n->dim);
    int64_t cols = n->site[n->head].cols;
    lb_mat h = lb_mat_of(LB_NEW(a, float, T *cols), T, cols);
    assert_ok(lb_exec_new(a, n, T, NULL, &e));
    assert_ok(lb_exec_embed(e, &m->weights, token, T, x));
    for (int64_t b = 0; b < n->blocks; b++) assert_ok(lb_exec_block(e, &m->weights, b, x, NULL));
    assert_ok(lb_exec_final(e, &m->weights, x, h));
    lb_head_logits(&head, lb_mat_c(lb_mat_part(h, T - rows, 0, rows, cols)), y);
}

/* How far the last rows of our logits are from `want`, in spreads: the reference's and the executor's. */
static double error_of(const lb_model *m, const lb_tensor *want, double spread) {
    const lb_ref_params params = {get_param, m};
    int32_t token[T];
    lb_arena *a;
    lb_reference r;
    double worst = 0.0;
    for (int32_t t = 0; t < T; t++) token[t] = (7 * t * t + 3 * t + 11) % VOCAB;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_reference_run(a, m->net->program, m->net->numbers, &params, token, T, &r));
    const lb_ref_value *y = lb_reference_value(&r, "y");
    int64_t n = lb_tensor_count(want);
    float *w = LB_NEW(a, float, n), *fast = LB_NEW(a, float, n);
    assert_int_equal(y->cols, want->shape[1]);
    assert_ok(lb_tensor_read_f32(want, 0, n, w));
    run(a, m, token, want->shape[0], lb_mat_of(fast, want->shape[0], want->shape[1]));
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(y->d[T * y->cols - n + i] - (double)w[i]), of_fast = fabs((double)fast[i] - (double)w[i]);
        worst = d <= worst ? worst : d; /* NaN counts */
        worst = of_fast <= worst ? worst : of_fast;
    }
    lb_arena_free(a);
    return worst / spread;
}

typedef struct flips {
    json_t *all;
    lb_safetensors *rows;
} flips;

static flips open_flips(void) {
    flips f;
    char path[LB_TEST_PATH];
    fixture("flips.json", path);
    assert_ok(lb_json_read(path, &f.all));
    fixture("families.safetensors", path);
    assert_ok(lb_safetensors_open(path, &f.rows));
    return f;
}

static void close_flips(flips *f) {
    lb_safetensors_close(f->rows);
    json_decref(f->all);
}

/* `row`: the name of the expected logits. */
static void check_logits(const lb_model *m, const flips *f, const json_t *x, const char *name, const char *row) {
    double e = error_of(m, lb_safetensors_find(f->rows, row), json_number_value(json_object_get(x, "spread")));
    if (!(e < tolerance)) fail_msg("%s: logits are off by %g of their spread", name, e);
}

/* Families that were read; llama and mobilellm have models of their own, in test_llama.c and test_sharing.c. */
enum { FAMILIES = 64 };
static void every_family(const bool seen[FAMILIES], bool gguf) {
    for (int i = 0; lb_family_table[i]; i++) {
        const lb_family *f = lb_family_table[i];
        assert_true(i < FAMILIES);
        if (seen[i] || (gguf && !f->gguf_arch) || !strcmp(f->name, "llama") || !strcmp(f->name, "mobilellm")) continue;
        fail_msg("family %s has no %s in tests/oracle/fixtures/families: add one to tests/oracle/make_families.py and "
                 "run it; its head says how",
                 f->name, gguf ? "GGUF file" : "model");
    }
}
static void see(bool seen[FAMILIES], const lb_family *f) {
    for (int i = 0; i < FAMILIES && lb_family_table[i]; i++) seen[i] |= lb_family_table[i] == f;
}

static void folders_give_transformers_logits(void **state) {
    (void)state;
    flips f = open_flips();
    const json_t *x;
    size_t i;
    bool seen[FAMILIES] = {false};
    json_array_foreach(f.all, i, x) {
        const char *name = json_string_value(json_object_get(x, "model"));
        char dir[LB_TEST_PATH];
        lb_model *m;
        if (strcmp(json_string_value(json_object_get(x, "result")), "base") != 0) continue;
        fixture(name, dir);
        assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
        check_logits(m, &f, x, name, name);
        see(seen, m->family);
        lb_model_close(m);
    }
    close_flips(&f);
    every_family(seen, false);
}

/* The model's weights beside another config.json. */
static void flipped_folder(const char *name, const json_t *config, char dir[LB_TEST_PATH]) {
    char from[LB_TEST_PATH], path[LB_TEST_PATH + 32];
    char *bytes;
    size_t n;
    fixture(name, from);
    snprintf(path, sizeof path, "%s/model.safetensors", from);
    assert_ok(lb_fs_read(path, &bytes, &n));
    snprintf(dir, LB_TEST_PATH, "%s", lb_test_tmpdir());
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_ok(lb_fs_write_atomic(path, bytes, n));
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    lb_free(bytes);
}

/* Flips that are refused here although transformers takes them. */
static bool may_refuse(const char *flip) {
    static const char *const refused[] = {
        "gpt_neox {\"tie_word_embeddings\": true}", "gemma2 {\"use_bidirectional_attention\": true}",
        "gemma {\"use_bidirectional_attention\": true}", "phi {\"tie_word_embeddings\": true}",
        "phi3 {\"original_max_position_embeddings\": 48}"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(flip, refused[i]) == 0) return true;
    return false;
}

/* A key that changes transformers' logits changes ours in the same way, and one that does not, does not. */
static void keys_mean_what_they_mean_there(void **state) {
    (void)state;
    flips f = open_flips();
    const json_t *x;
    size_t i, flipped = 0;
    json_array_foreach(f.all, i, x) {
        const char *name = json_string_value(json_object_get(x, "model"));
        const char *flip = json_string_value(json_object_get(x, "flip"));
        const char *result = json_string_value(json_object_get(x, "result"));
        char dir[LB_TEST_PATH];
        lb_model *m;
        if (!flip || strcmp(result, "error") == 0 || strcmp(result, "gguf") == 0) continue;
        flipped++;
        flipped_folder(name, json_object_get(x, "config"), dir);
        lb_status st = lb_model_open(dir, LB_WEIGHTS, NULL, &m);
        if (may_refuse(flip) != (st != LB_OK)) fail_msg("%s: %s", flip, st == LB_OK ? "not refused" : lb_error());
        const lb_tensor *want = lb_safetensors_find(f.rows, strcmp(result, "changes") == 0 ? flip : name);
        double e = st == LB_OK ? error_of(m, want, json_number_value(json_object_get(x, "spread"))) : 0.0;
        if (!(e < tolerance)) fail_msg("%s: logits are off by %g of their spread", flip, e);
        lb_model_close(m);
    }
    assert_true(flipped >= 80);
    close_flips(&f);
}

static void gguf_files_give_the_same_logits(void **state) {
    (void)state;
    flips f = open_flips();
    const json_t *x;
    size_t i;
    bool seen[FAMILIES] = {false};
    json_array_foreach(f.all, i, x) {
        const char *name = json_string_value(json_object_get(x, "model"));
        char path[LB_TEST_PATH];
        lb_model *m;
        if (strcmp(json_string_value(json_object_get(x, "result")), "gguf") != 0) continue;
        fixture(name, path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
        assert_true(strncmp(m->family->name, name, strlen(m->family->name)) == 0);
        check_logits(m, &f, x, name, json_string_value(json_object_get(x, "flip")));
        see(seen, m->family);
        lb_model_close(m);
    }
    close_flips(&f);
    every_family(seen, true);
}

/* Written as a folder and read again: the same names, the same bytes. */
static void folders_come_back(void **state) {
    (void)state;
    flips f = open_flips();
    const json_t *x;
    size_t i;
    json_array_foreach(f.all, i, x) {
        const char *name = json_string_value(json_object_get(x, "model"));
        char dir[LB_TEST_PATH], to[LB_TEST_PATH];
        lb_model *m, *again;
        if (strcmp(json_string_value(json_object_get(x, "result")), "base") != 0) continue;
        fixture(name, dir);
        assert_ok(lb_model_open(dir, LB_STREAM, NULL, &m));
        snprintf(to, sizeof to, "%s/%s-out", lb_test_tmpdir(), name);
        assert_ok(lb_model_export(m, &m->weights, LB_F32, to, NULL));
        assert_ok(lb_model_open(to, LB_WEIGHTS, NULL, &again));
        lb_model_close(m);
        assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
        assert_int_equal(m->n_tensors, again->n_tensors);
        for (int32_t k = 0; k < m->net->slots; k++) {
            int64_t rows, cols;
            lb_slot_shape(m->net, k, &rows, &cols);
            assert_string_equal(m->tensor[k].source_name, again->tensor[k].source_name);
            assert_memory_equal(lb_slot_get(m->net, &m->weights, k), lb_slot_get(again->net, &again->weights, k),
                                (size_t)(rows * cols) * sizeof(float));
        }
        lb_model_close(again);
        lb_model_close(m);
    }
    close_flips(&f);
}

static lb_status open_path(void *ctx) {
    lb_model *m;
    LB_TRY(lb_model_open(ctx, LB_WEIGHTS, NULL, &m));
    lb_model_close(m);
    return LB_OK;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const name[] = {"mixtral", "gpt2", "phi3", "mixtral.gguf"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char path[LB_TEST_PATH];
        fixture(name[i], path);
        assert_true(llama_fail_each_allocation(open_path, path) > 8);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_give_transformers_logits), cmocka_unit_test(keys_mean_what_they_mean_there),
        cmocka_unit_test(gguf_files_give_the_same_logits), cmocka_unit_test(folders_come_back),
        cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

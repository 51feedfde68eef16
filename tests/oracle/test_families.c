/* Model families against transformers (tests/oracle/make_families.py): folders as it saves them are read by their
 * family's keys and tensors and run by the reference and by the executor. Tolerance as in test_programs.c: 2e-5 of the
 * logits' spread. */
#include "support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/exec.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/rotary.h"
#include "model/steps/reference.h"
#include "model/weights.h"
#include "support/families.h"
#include "support/llama.h"

static const double tolerance = 2e-5;
enum { T = 29, VOCAB = 61 };

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

/* Expected logits: the last rows of a sequence, or with `row` the last one, which is that row of the tensor. */
typedef struct want {
    const lb_tensor *rows;
    int64_t row;
    double spread;
} want;

/* How far ours are from them, in spreads: the reference's and the executor's. */
static double error_of(const lb_model *m, const want *expected) {
    const lb_ref_params params = {get_param, m};
    int32_t token[T];
    lb_arena *a;
    lb_reference r;
    double worst = 0.0;
    for (int32_t t = 0; t < T; t++) token[t] = (7 * t * t + 3 * t + 11) % VOCAB;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_reference_run(a, m->net->program, m->net->numbers, &params, token, T, &r));
    const lb_ref_value *y = lb_reference_value(&r, "y");
    int64_t cols = expected->rows->shape[1], rows = expected->row < 0 ? expected->rows->shape[0] : 1, n = rows * cols;
    float *w = LB_NEW(a, float, n), *fast = LB_NEW(a, float, n);
    assert_int_equal(y->cols, cols);
    assert_ok(lb_tensor_read_f32(expected->rows, expected->row < 0 ? 0 : expected->row * cols, n, w));
    run(a, m, token, rows, lb_mat_of(fast, rows, cols));
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(y->d[T * y->cols - n + i] - (double)w[i]), of_fast = fabs((double)fast[i] - (double)w[i]);
        worst = d <= worst ? worst : d; /* NaN counts */
        worst = of_fast <= worst ? worst : of_fast;
    }
    lb_arena_free(a);
    return worst / expected->spread;
}

static double spread_of(const families_record *r, const char *model) {
    const json_t *x;
    size_t i;
    json_array_foreach(json_object_get(r->lists, "models"), i,
                       x) if (strcmp(families_text(x, "model"), model) ==
                              0) return json_number_value(json_object_get(x, "spread"));
    fail_msg("%s: no model %s", r->family, model);
    return 0.0;
}

/* The rows that the model itself gives. */
static want want_of(const families_record *r, const char *model) {
    return (want){lb_safetensors_find(r->rows, model), -1, spread_of(r, model)};
}

/* Those of a flip. */
static want want_of_flip(const families_record *r, const json_t *flip) {
    const json_t *row = json_object_get(flip, "row");
    if (!row) return want_of(r, families_text(flip, "model"));
    return (want){lb_safetensors_find(r->rows, "flips"), json_integer_value(row),
                  json_number_value(json_object_get(flip, "spread"))};
}

static int check_logits(const lb_model *m, const char *family, const char *name, want w) {
    double e = error_of(m, &w);
    if (e < tolerance) return 0;
    print_error("%s %s: logits are off by %g of their spread\n", family, name, e);
    return 1;
}

static void folders_give_transformers_logits(void **state) {
    (void)state;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x, *models = json_object_get(r.lists, "models");
        size_t i;
        assert_true(json_array_size(models) >= 2);
        json_array_foreach(models, i, x) {
            const char *name = families_text(x, "model");
            char dir[LB_TEST_PATH];
            lb_model *m;
            families_path(&r, name, "", dir);
            assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
            assert_string_equal(m->family->name, r.family);
            assert_int_equal(check_logits(m, r.family, name, want_of(&r, name)), 0);
            lb_model_close(m);
        }
        families_close(&r);
    }
}

/* A module's leavings, or a family that was taken out of the table. */
static void every_folder_is_a_family(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/families", dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        bool found = e->d_name[0] == '.';
        for (int k = 0; lb_family_table[k]; k++) found |= strcmp(lb_family_table[k]->name, e->d_name) == 0;
        if (!found) fail_msg("tests/oracle/fixtures/families/%s: there is no such family", e->d_name);
    }
    closedir(d);
}

/* A folder with the model's weights, for other files of keys. */
static void weights_folder(const families_record *r, const char *model, char dir[LB_TEST_PATH]) {
    char from[LB_TEST_PATH], path[LB_TEST_PATH + 32];
    char *bytes;
    size_t n;
    families_path(r, model, "/model.safetensors", from);
    assert_ok(lb_fs_read(from, &bytes, &n));
    snprintf(dir, LB_TEST_PATH, "%s", lb_test_tmpdir());
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_ok(lb_fs_write_atomic(path, bytes, n));
    lb_free(bytes);
}

/* The model's config.json with the flip's keys. `text`: what is flipped, for messages. */
static void flip_config(const families_record *r, const json_t *flip, const char *dir, char text[256]) {
    char path[LB_TEST_PATH + 32], from[LB_TEST_PATH];
    json_t *c, *v;
    const char *key;
    size_t i;
    families_path(r, families_text(flip, "model"), "/config.json", from);
    assert_ok(lb_json_read(from, &c));
    json_object_foreach(json_object_get(flip, "set"), key, v) assert_int_equal(json_object_set(c, key, v), 0);
    json_array_foreach(json_object_get(flip, "absent"), i, v) json_object_del(c, json_string_value(v));
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(json_dump_file(c, path, 0), 0);
    json_decref(c);
    char *set = json_dumps(json_object_get(flip, "set"), JSON_SORT_KEYS),
         *absent = json_dumps(json_object_get(flip, "absent"), 0);
    snprintf(text, 256, "%s set %s absent %s", families_text(flip, "model"), set, absent ? absent : "none");
    free(set);
    free(absent);
}

/* Does the message name one of the keys? */
static bool names_a_key(const json_t *flip) {
    const char *key;
    json_t *v;
    size_t i;
    json_object_foreach(json_object_get(flip, "set"), key, v) if (strstr(lb_error(), key)) return true;
    json_array_foreach(json_object_get(flip, "absent"), i, v) if (strstr(lb_error(), json_string_value(v))) return true;
    return false;
}

/* 1: wrong, and said. */
static int check_flip(const families_record *r, const json_t *flip, const char *dir) {
    const bool refused = json_object_get(flip, "refused") != NULL;
    char text[256];
    lb_model *m;
    int wrong = 0;
    flip_config(r, flip, dir, text);
    lb_status st = lb_model_open(dir, LB_WEIGHTS, NULL, &m);
    if (refused != (st != LB_OK)) {
        print_error("%s %s: %s\n", r->family, text, st == LB_OK ? "not refused" : lb_error());
        wrong = 1;
    } else if (refused && !names_a_key(flip)) {
        print_error("%s %s: the message names none of them: %s\n", r->family, text, lb_error());
        wrong = 1;
    } else if (st == LB_OK)
        wrong = check_logits(m, r->family, text, want_of_flip(r, flip));
    lb_model_close(m);
    return wrong;
}

/* A key that changes transformers' logits changes ours in the same way, and one that does not, does not. */
static void keys_mean_what_they_mean_there(void **state) {
    (void)state;
    int wrong = 0;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const char *model = "";
        char dir[LB_TEST_PATH];
        const json_t *x;
        size_t i, flipped = 0;
        json_array_foreach(json_object_get(r.lists, "flips"), i, x) {
            if (strcmp(families_text(x, "result"), "error") == 0 && !json_object_get(x, "refused")) continue;
            if (strcmp(model, families_text(x, "model")) != 0)
                weights_folder(&r, model = families_text(x, "model"), dir);
            wrong += check_flip(&r, x, dir);
            flipped++;
        }
        if (flipped < 6) fail_msg("%s: only %zu keys were changed", r.family, flipped);
        families_close(&r);
    }
    assert_int_equal(wrong, 0);
}

static void gguf_files_give_the_same_logits(void **state) {
    (void)state;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x, *files = json_object_get(r.lists, "gguf");
        size_t i;
        if (lb_family_table[k]->gguf_arch && !json_array_size(files))
            fail_msg("family %s has no GGUF file: add GGUF to tests/oracle/families/%s.py", r.family, r.family);
        json_array_foreach(files, i, x) {
            const json_t *flip = json_object_get(x, "flip");
            const char *name = families_text(x, "model");
            char path[LB_TEST_PATH];
            lb_model *m;
            families_path(&r, name, ".gguf", path);
            assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
            assert_string_equal(m->family->name, r.family);
            want w = want_of(&r, name);
            if (flip)
                w = want_of_flip(&r,
                                 json_array_get(json_object_get(r.lists, "flips"), (size_t)json_integer_value(flip)));
            assert_int_equal(check_logits(m, r.family, path, w), 0);
            lb_model_close(m);
        }
        families_close(&r);
    }
}

/* Written as a folder and read again: the same names, the same bytes. */
static void comes_back(const char *dir) {
    char to[LB_TEST_PATH];
    lb_model *m, *again;
    assert_ok(lb_model_open(dir, LB_STREAM, NULL, &m));
    snprintf(to, sizeof to, "%s/out", lb_test_tmpdir());
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

static void folders_come_back(void **state) {
    (void)state;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x;
        size_t i;
        json_array_foreach(json_object_get(r.lists, "models"), i, x) {
            char dir[LB_TEST_PATH];
            families_path(&r, families_text(x, "model"), "", dir);
            comes_back(dir);
        }
        families_close(&r);
    }
}

/* A Llama's GGUF file written as a folder: rows of q and k and their biases in the order that they have there,
 * positions as they are told there. */
static void a_llamas_gguf_file_becomes_its_folder(void **state) {
    (void)state;
    static const char *const model[] = {"a", "b"};
    families_record r = families_open(lb_family_named("llama"));
    for (int i = 0; i < 2; i++) {
        char path[LB_TEST_PATH], to[LB_TEST_PATH];
        lb_model *file, *written, *folder;
        families_path(&r, model[i], ".gguf", path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &file));
        snprintf(to, sizeof to, "%s/out", lb_test_tmpdir());
        assert_ok(lb_model_export(file, &file->weights, LB_F32, to, NULL));
        assert_ok(lb_model_open(to, LB_WEIGHTS, NULL, &written));
        families_path(&r, model[i], "", path);
        assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &folder));
        for (int32_t k = 0; k < folder->net->slots; k++) {
            int64_t rows, cols;
            lb_slot_shape(folder->net, k, &rows, &cols);
            assert_string_equal(written->tensor[k].source_name, folder->tensor[k].source_name);
            assert_memory_equal(lb_slot_get(written->net, &written->weights, k),
                                lb_slot_get(folder->net, &folder->weights, k), (size_t)(rows * cols) * sizeof(float));
        }
        assert_int_equal(written->net->ropes, folder->net->ropes);
        for (int64_t p = 0; p < folder->net->rope[0].dims / 2; p++) {
            double there = lb_rotary_frequency(&folder->net->rope[0], T, p);
            assert_true(fabs(lb_rotary_frequency(&written->net->rope[0], T, p) - there) <= 1e-6 * there);
        }
        lb_model_close(folder);
        lb_model_close(written);
        lb_model_close(file);
    }
    families_close(&r);
}

static lb_status open_path(void *ctx) {
    lb_model *m;
    LB_TRY(lb_model_open(ctx, LB_WEIGHTS, NULL, &m));
    lb_model_close(m);
    return LB_OK;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const name[] = {"mixtral/a", "gpt2/a", "phi3/a", "mixtral/a.gguf"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char path[LB_TEST_PATH];
        families_fixture(name[i], path);
        assert_true(llama_fail_each_allocation(open_path, path) > 8);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders_give_transformers_logits),
                                       cmocka_unit_test(every_folder_is_a_family),
                                       cmocka_unit_test(keys_mean_what_they_mean_there),
                                       cmocka_unit_test(gguf_files_give_the_same_logits),
                                       cmocka_unit_test(folders_come_back),
                                       cmocka_unit_test(a_llamas_gguf_file_becomes_its_folder),
                                       cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

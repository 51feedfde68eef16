/* Model families against transformers, beyond logits (tests/oracle/families/deep.py): loss and the gradient of every
 * parameter by the trainer, H of what every layer reads by the collectors (of an expert's, what was routed to it, and
 * how much), and the folder as it is written again, which must be the one that transformers wrote. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/model.h"
#include "support/families.h"
#include "support/parity.h"
#include "support/programs.h"

/* Ours and theirs are float32: what sums in another order leave. Of a gradient's norm; gradients that are nothing (a
 * bias of keys without positions) are nothing beside the whole gradient. Of H's trace. */
static const double of_gradients = 1e-4, nothing = 1e-6, of_inputs = 1e-5, of_loss = 1e-5;
enum { T = 29, VOCAB = 61, GRADIENT = 3, INPUT = 4 };

typedef struct work {
    const char *family, *model;
    lb_arena *arena;
    lb_model *m;
    parity have;
    lb_safetensors *file; /* the model's own: its tensors say which rows are whose */
    int wrong;
} work;

static double product(lb_arena *a, const char *name, const char *which, const float *x, int64_t n) {
    char drawn[320];
    double sum = 0.0;
    snprintf(drawn, sizeof drawn, "%s.%s", name, which);
    const float *u = lb_test_draw(a, drawn, n, 0.0, 1.0);
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)u[i];
    return sum;
}

/* (rows, cols) of float64. */
static const double *recorded(const families_record *r, const char *model, const char *what, int64_t cols,
                              int64_t *rows) {
    char name[64];
    snprintf(name, sizeof name, "%s %s", model, what);
    const lb_tensor *t = lb_safetensors_find(r->rows, name);
    if (!t || t->type != LB_F64 || t->shape[1] != cols) fail_msg("%s: no %s (n, %d)", r->family, name, (int)cols);
    *rows = t->shape[0];
    return t->data;
}

/* ---- gradients ---- */

/* Those of ours by the files' names: written as if they were weights. */
static lb_safetensors *written_gradients(const work *x) {
    char dir[LB_TEST_PATH];
    lb_safetensors *s;
    snprintf(dir, sizeof dir, "%s/gradients", lb_test_tmpdir());
    assert_ok(lb_model_export(x->m, &x->have.grads, LB_F32, dir, NULL));
    assert_ok(lb_safetensors_open(dir, &s));
    return s;
}

static void check_gradients(work *x, const families_record *r) {
    int64_t rows;
    const double *want = recorded(r, x->model, "gradients", GRADIENT, &rows);
    lb_safetensors *ours = written_gradients(x);
    double whole = 0.0;
    assert_int_equal(rows, lb_safetensors_count(x->file));
    assert_int_equal(rows, lb_safetensors_count(ours));
    for (int64_t k = 0; k < rows; k++) whole += want[k * GRADIENT] * want[k * GRADIENT];
    for (int64_t k = 0; k < rows; k++, want += GRADIENT) {
        const char *name = lb_safetensors_tensor(x->file, k)->name;
        const lb_tensor *t = lb_safetensors_find(ours, name);
        double have[GRADIENT] = {0.0};
        assert_non_null(t);
        int64_t n = lb_tensor_count(t);
        float *g = LB_NEW(x->arena, float, n);
        assert_non_null(g);
        assert_ok(lb_tensor_read_f32(t, 0, n, g));
        for (int64_t i = 0; i < n; i++) have[0] += (double)g[i] * (double)g[i];
        have[0] = sqrt(have[0]);
        have[1] = product(x->arena, name, "first", g, n);
        have[2] = product(x->arena, name, "second", g, n);
        for (int i = 0; i < GRADIENT; i++) {
            if (fabs(have[i] - want[i]) < of_gradients * want[0] + nothing * sqrt(whole)) continue;
            print_error("%s %s: gradient of %s: number %d is %g, not %g; norm %g\n", x->family, x->model, name, i,
                        have[i], want[i], want[0]);
            x->wrong++;
        }
    }
    lb_safetensors_close(ours);
}

/* ---- what layers read ---- */

static int32_t site_of(const work *x, const char *key) {
    char name[256];
    for (int32_t i = 0; i < x->m->net->sites; i++) {
        if (lb_net_owner(x->m->net, i) != i) continue;
        parity_key(x->m, i, name);
        if (strcmp(name, key) == 0) return i;
    }
    return -1;
}

static void products_of(lb_arena *a, const char *key, lb_cdmat H, double out[INPUT]) {
    char name[2][320];
    const float *u[2];
    double uHu = 0.0, uHv = 0.0;
    for (int k = 0; k < 2; k++) {
        snprintf(name[k], sizeof name[k], "%s.%s", key, k ? "second" : "first");
        u[k] = lb_test_draw(a, name[k], H.cols, 0.0, 1.0);
    }
    out[1] = 0.0;
    for (int64_t i = 0; i < H.rows; i++) {
        out[1] += H.d[i * H.ld + i];
        for (int64_t j = 0; j < H.cols; j++) {
            uHu += (double)u[0][i] * H.d[i * H.ld + j] * (double)u[0][j];
            uHv += (double)u[0][i] * H.d[i * H.ld + j] * (double)u[1][j];
        }
    }
    out[2] = uHu;
    out[3] = uHv;
}

static void check_input(work *x, const char *key, const double *want) {
    int32_t site = site_of(x, key);
    double have[INPUT] = {-1.0};
    const lb_stats *s = site >= 0 ? &x->have.inputs[site] : NULL;
    if (s && s->H.d) {
        have[0] = (double)s->tokens;
        products_of(x->arena, key, s->H, have);
    }
    if (have[0] != want[0]) {
        print_error("%s %s: %s read %g tokens, not %g\n", x->family, x->model, key, have[0], want[0]);
        x->wrong++;
    }
    for (int i = 1; i < INPUT; i++) {
        if (have[0] != want[0] || fabs(have[i] - want[i]) <= of_inputs * want[1]) continue;
        print_error("%s %s: H of %s: number %d is %g, not %g; trace %g\n", x->family, x->model, key, i, have[i],
                    want[i], want[1]);
        x->wrong++;
    }
}

static void check_inputs(work *x, const families_record *r) {
    int64_t rows, at = 0, linear = 0;
    const double *want = recorded(r, x->model, "inputs", INPUT, &rows);
    for (int64_t k = 0; k < lb_safetensors_count(x->file); k++) {
        const lb_tensor *t = lb_safetensors_tensor(x->file, k);
        for (int64_t e = 0; e < (t->ndim == 3 ? t->shape[0] : 1); e++, at++) {
            char key[256];
            if (t->ndim == 3)
                snprintf(key, sizeof key, "%s[%d]", t->name, (int)e);
            else
                snprintf(key, sizeof key, "%s", t->name);
            assert_true(at < rows);
            check_input(x, key, want + at * INPUT);
            linear += want[at * INPUT] >= 0.0;
        }
    }
    assert_int_equal(at, rows);
    assert_true(linear >= 4 * 2 + 1);
}

/* ---- the folder ---- */

static void check_export(work *x, const families_record *r) {
    char dir[LB_TEST_PATH], path[LB_TEST_PATH + 32];
    lb_safetensors *again;
    json_t *ours, *theirs;
    snprintf(dir, sizeof dir, "%s/export", lb_test_tmpdir());
    assert_ok(lb_model_export(x->m, &x->m->weights, LB_BF16, dir, NULL));
    assert_ok(lb_safetensors_open(dir, &again));
    assert_int_equal(lb_safetensors_count(again), lb_safetensors_count(x->file));
    for (int64_t k = 0; k < lb_safetensors_count(again); k++) {
        const lb_tensor *a = lb_safetensors_tensor(again, k), *b = lb_safetensors_tensor(x->file, k);
        assert_string_equal(a->name, b->name);
        if (a->type != b->type || a->ndim != b->ndim || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape))
            fail_msg("%s %s: %s is written in another type or shape", x->family, x->model, a->name);
        if (memcmp(a->data, b->data, b->bytes) != 0)
            fail_msg("%s %s: %s is written as other numbers", x->family, x->model, a->name);
    }
    lb_safetensors_close(again);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_ok(lb_json_read(path, &ours));
    families_path(r, x->model, "/config.json", dir);
    assert_ok(lb_json_read(dir, &theirs));
    if (!json_equal(ours, theirs) && strcmp(x->family, "llama") != 0) /* a Llama's is made from its numbers */
        fail_msg("%s %s: config.json is not what it was", x->family, x->model);
    json_decref(ours);
    json_decref(theirs);
}

static int check_model(const families_record *r, const json_t *entry) {
    char dir[LB_TEST_PATH];
    int32_t token[T];
    work x = {.family = r->family, .model = families_text(entry, "model")};
    families_path(r, x.model, "", dir);
    assert_ok(lb_arena_new(0, &x.arena));
    assert_ok(lb_safetensors_open(dir, &x.file));
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &x.m));
    parity_tokens(token, T, VOCAB);
    lb_status st = parity_run(x.arena, x.m, token, T, &x.have);
    if (st != LB_OK) fail_msg("%s %s: %s", x.family, x.model, lb_error());
    double loss = json_number_value(json_object_get(entry, "loss"));
    if (!(fabs(x.have.loss - loss) < of_loss)) fail_msg("%s %s: loss %g, not %g", x.family, x.model, x.have.loss, loss);
    check_gradients(&x, r);
    check_inputs(&x, r);
    check_export(&x, r);
    lb_model_close(x.m);
    lb_safetensors_close(x.file);
    lb_arena_free(x.arena);
    return x.wrong;
}

static void gradients_inputs_and_folders(void **state) {
    (void)state;
    int wrong = 0;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *x;
        size_t i;
        json_array_foreach(json_object_get(r.lists, "models"), i, x) wrong += check_model(&r, x);
        families_close(&r);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_inputs_and_folders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

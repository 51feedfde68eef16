/* config.json as published models have it (tests/oracle/make_hub.py): no key of theirs is refused, the whole model has
 * as many parameters as transformers counts, and a small one with the same keys and names of tensors gives its logits.
 */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/model.h"
#include "model/weights.h"
#include "support/folder.h"
#include "support/parity.h"

enum { T = 29, TENSORS = 128 };
static const double tolerance = 2e-5; /* of the logits' spread */

static json_t *published;

static int read_fixture(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/hub.json", path);
    return lb_json_read(path, &published) == LB_OK ? 0 : 1;
}

static int drop_fixture(void **state) {
    (void)state;
    json_decref(published);
    return 0;
}

static const char *text_of(const json_t *x, const char *key) { return json_string_value(json_object_get(x, key)); }

static void write_config(const char *dir, const json_t *config) {
    char path[LB_TEST_PATH];
    char *text = json_dumps(config, 0);
    assert_non_null(text);
    join_path(path, dir, "config.json");
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    lb_free(text);
}

/* ---- as published ---- */

static int64_t parameters(const lb_net *n) {
    int64_t sum = 0, rows, cols;
    for (int32_t k = 0; k < n->slots; k++) {
        lb_slot_shape(n, k, &rows, &cols);
        sum += rows * cols;
    }
    return sum;
}

static void no_key_is_refused(void **state) {
    (void)state;
    const json_t *x;
    size_t i;
    assert_true(json_array_size(published) >= 50);
    json_array_foreach(published, i, x) {
        char path[LB_TEST_PATH];
        const char *dir = lb_test_tmpdir();
        const lb_family *family;
        const lb_net *net;
        lb_numbers numbers;
        lb_arena *a;
        assert_ok(lb_arena_new(0, &a));
        write_config(dir, json_object_get(x, "config"));
        join_path(path, dir, "config.json");
        if (lb_numbers_from_config(a, path, &family, &numbers) != LB_OK)
            fail_msg("%s: %s", text_of(x, "name"), lb_error());
        assert_ok(lb_family_net(a, family, &numbers, &net));
        int64_t want = json_integer_value(json_object_get(x, "parameters"));
        if (parameters(net) != want)
            fail_msg("%s: %lld parameters, transformers has %lld", text_of(x, "name"), (long long)parameters(net),
                     (long long)want);
        lb_arena_free(a);
    }
}

/* ---- small ones ---- */

/* The published config with other sizes; those of a part, in its own object. */
static json_t *with_sizes(const json_t *config, const json_t *sizes) {
    const char *key;
    json_t *v, *out = json_copy((json_t *)(uintptr_t)config);
    json_object_foreach((json_t *)(uintptr_t)sizes, key, v) {
        const json_t *part = json_object_get(config, key);
        if (lb_str_ends(key, "_config") && json_is_object(part))
            json_object_set_new(out, key, with_sizes(part, v));
        else
            json_object_set(out, key, v);
    }
    return out;
}

typedef struct weights {
    lb_arena *arena;
    lb_tensor_out t[TENSORS];
    int64_t n;
    uint32_t state;
} weights;

static float next(weights *w) {
    w->state = 1664525u * w->state + 1013904223u;
    return (float)(w->state >> 24) / 128.0f - 1.0f;
}

/* make_hub.py says how. */
static const float *numbers_of(weights *w, const lb_tensor_out *t, const char *kind) {
    int64_t count = 1;
    for (int k = 0; k < t->ndim; k++) count *= t->shape[k];
    if (kind && strncmp(kind, "as ", 3) == 0)
        for (int64_t k = 0; k < w->n; k++)
            if (strcmp(w->t[k].name, kind + 3) == 0) return w->t[k].data;
    float *d = LB_NEW(w->arena, float, count);
    assert_non_null(d);
    if (kind) return d;
    int halvings = 0;
    for (int64_t cols = t->shape[t->ndim - 1]; cols > 1; cols /= 2) halvings++;
    for (int64_t i = 0; i < count; i++)
        d[i] = t->ndim > 1 ? ldexpf(next(w), -(halvings / 2))
                           : next(w) / 4.0f + (lb_str_ends(t->name, "weight") ? 1.0f : 0.0f);
    return d;
}

static void make_folder(const char *dir, const json_t *x, lb_arena *a) {
    weights w = {.arena = a, .state = 11};
    char path[LB_TEST_PATH];
    const json_t *row, *size;
    size_t i, k;
    json_t *small = with_sizes(json_object_get(x, "config"), json_object_get(x, "sizes"));
    write_config(dir, small);
    json_decref(small);
    json_array_foreach(json_object_get(x, "tensors"), i, row) {
        assert_true(w.n < TENSORS);
        lb_tensor_out *t = &w.t[w.n];
        t->name = json_string_value(json_array_get(row, 0));
        json_array_foreach(json_array_get(row, 1), k, size) t->shape[t->ndim++] = json_integer_value(size);
        t->data = numbers_of(&w, t, json_string_value(json_array_get(row, 2)));
        w.n++;
    }
    join_path(path, dir, "model.safetensors");
    assert_ok(lb_safetensors_write(path, LB_F32, w.t, w.n, NULL));
}

static void small_ones_give_transformers_logits(void **state) {
    (void)state;
    const json_t *x, *v;
    size_t i, k;
    json_array_foreach(published, i, x) {
        const char *dir = lb_test_tmpdir(), *name = text_of(x, "name");
        const json_t *want = json_object_get(x, "logits");
        int32_t token[T];
        lb_arena *a;
        lb_model *m;
        lb_mat y;
        double worst = 0.0;
        assert_ok(lb_arena_new(0, &a));
        make_folder(dir, x, a);
        if (lb_model_open(dir, LB_WEIGHTS, NULL, &m) != LB_OK) fail_msg("%s: %s", name, lb_error());
        assert_int_equal(m->net->vocab, json_array_size(want));
        parity_tokens(token, T, m->net->vocab);
        assert_ok(parity_logits(a, m, token, T, &y));
        json_array_foreach(want, k, v) {
            double off = fabs((double)y.d[(T - 1) * y.ld + (int64_t)k] - json_number_value(v));
            if (!(off <= worst)) worst = off; /* NaN counts */
        }
        worst /= json_number_value(json_object_get(x, "spread"));
        if (!(worst < tolerance)) fail_msg("%s: logits are off by %g of their spread", name, worst);
        lb_model_close(m);
        lb_arena_free(a);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_key_is_refused),
                                       cmocka_unit_test(small_ones_give_transformers_logits)};
    return cmocka_run_group_tests(tests, read_fixture, drop_fixture);
}

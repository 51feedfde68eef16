#include "support/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "model/steps/reference.h"
#include "support/parity.h"

enum { T = FAMILIES_TOKENS };

void families_fixture(const char *name, char path[LB_TEST_PATH]) {
    char full[LB_TEST_PATH];
    snprintf(full, sizeof full, "tests/oracle/fixtures/families/%.256s", name);
    lb_test_fixture(full, path);
}

families_record families_open(const lb_family *family) {
    families_record r = {.family = family->name};
    char name[LB_TEST_PATH], path[LB_TEST_PATH];
    snprintf(name, sizeof name, "%s/flips.json", family->name);
    families_fixture(name, path);
    if (!lb_fs_exists(path))
        fail_msg("family %s has nothing in tests/oracle/fixtures/families: write tests/oracle/families/%s.py, which "
                 "common.py there explains, and run tests/oracle/make_families.py %s",
                 r.family, r.family, r.family);
    assert_ok(lb_json_read(path, &r.lists));
    snprintf(name, sizeof name, "%s/expected.safetensors", family->name);
    families_fixture(name, path);
    assert_ok(lb_safetensors_open(path, &r.rows));
    return r;
}

void families_close(families_record *r) {
    lb_safetensors_close(r->rows);
    json_decref(r->lists);
}

void families_path(const families_record *r, const char *model, const char *end, char path[LB_TEST_PATH]) {
    char name[LB_TEST_PATH];
    snprintf(name, sizeof name, "%s/%s%s", r->family, model, end);
    families_fixture(name, path);
}

const char *families_text(const json_t *x, const char *key) { return json_string_value(json_object_get(x, key)); }

/* ---- logits ---- */

families_want families_logits(const families_record *r, const char *model) {
    const json_t *x;
    size_t i;
    json_array_foreach(json_object_get(r->lists, "models"), i, x) {
        if (strcmp(families_text(x, "model"), model) != 0) continue;
        return (families_want){lb_safetensors_find(r->rows, model), -1,
                               json_number_value(json_object_get(x, "spread"))};
    }
    fail_msg("%s: no model %s", r->family, model);
    return (families_want){0};
}

static double spread_of(const float *x, int64_t n) {
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    return sqrt(square);
}

families_want families_changed_logits(const families_record *r, const json_t *change) {
    const json_t *row = json_object_get(change, "row");
    if (!row) return families_logits(r, families_text(change, "model"));
    families_want w = {lb_safetensors_find(r->rows, "flips"), json_integer_value(row), 0.0};
    float x[FAMILIES_VOCAB];
    int64_t n = w.rows ? w.rows->shape[1] : 0;
    if (n != (FAMILIES_VOCAB - 1) / 4 + 1)
        fail_msg("%s: rows of %d logits: run tests/oracle/make_families.py %s again", r->family, (int)n, r->family);
    assert_ok(lb_tensor_read_f32(w.rows, w.row * n, n, x));
    w.spread = spread_of(x, n);
    return w;
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

/* Those of the reference, (rows, cols). */
static const double *reference_logits(lb_arena *a, const lb_model *m, const int32_t *token) {
    const lb_ref_params params = {get_param, m};
    lb_reference r;
    assert_ok(lb_reference_run(a, m->net->program, m->net->numbers, &params, token, T, &r));
    assert_int_equal(lb_reference_value(&r, "y")->cols, m->net->vocab);
    return lb_reference_value(&r, "y")->d;
}

static double larger(double worst, double d) { return d <= worst ? worst : d; } /* NaN counts */

double families_off(const lb_model *m, const families_want *w, bool reference) {
    int64_t vocab = m->net->vocab, step = w->row < 0 ? 1 : 4, rows = w->row < 0 ? w->rows->shape[0] : 1,
            cols = w->rows->shape[1];
    int32_t token[T];
    lb_arena *a;
    lb_mat y;
    double worst = 0.0;
    assert_ok(lb_arena_new(0, &a));
    parity_tokens(token, T, FAMILIES_VOCAB);
    float *want = LB_NEW(a, float, rows *cols);
    assert_non_null(want);
    assert_ok(lb_tensor_read_f32(w->rows, w->row < 0 ? 0 : w->row * cols, rows * cols, want));
    assert_int_equal((vocab - 1) / step + 1, cols);
    assert_ok(parity_logits(a, m, token, T, &y));
    const double *of_reference = reference ? reference_logits(a, m, token) : NULL;
    for (int64_t i = 0; i < rows * cols; i++) {
        int64_t at = (T - rows + i / cols) * vocab + i % cols * step;
        worst = larger(worst, fabs((double)y.d[at] - (double)want[i]));
        if (of_reference) worst = larger(worst, fabs(of_reference[at] - (double)want[i]));
    }
    lb_arena_free(a);
    return worst / w->spread;
}

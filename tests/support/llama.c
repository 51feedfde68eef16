#include "support/llama.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "io/safetensors.h"
#include "math/kernels.h"
#include "model/steps/reference.h"
#include "model/weights.h"
#include "support/status_name.h"
#include "support/support.h"

static double number(const lb_model *m, const char *name) {
    double v;
    assert_ok(lb_number_get(m->net->numbers, name, -1, &v));
    return v;
}

lb_arch llama_arch(const lb_model *m) {
    int kind = (int)number(m, "rope_kind");
    return (lb_arch){.layers = m->net->blocks,
                     .dim = m->net->dim,
                     .hidden = (int64_t)number(m, "hidden"),
                     .heads = (int64_t)number(m, "heads"),
                     .kv_heads = (int64_t)number(m, "kv_heads"),
                     .head_dim = (int64_t)number(m, "head_dim"),
                     .vocab = m->net->vocab,
                     .context = m->net->context,
                     .rope_base = number(m, "rope_base"),
                     .norm_eps = number(m, "eps"),
                     .rope = number(m, "pairs") != 0.0 ? LB_ROPE_PAIRS : LB_ROPE_HALVES,
                     .scaling = {.type = kind == LB_REF_ROPE_LLAMA3   ? LB_ROPE_LLAMA3
                                         : kind == LB_REF_ROPE_LINEAR ? LB_ROPE_LINEAR
                                                                      : LB_ROPE_DEFAULT,
                                 .factor = number(m, "rope_factor"),
                                 .low = number(m, "rope_low"),
                                 .high = number(m, "rope_high"),
                                 .original = (int64_t)number(m, "rope_original")},
                     .tied = m->net->site[m->net->head].same_as >= 0};
}

lb_model *llama_random(lb_arch a, uint64_t seed) {
    lb_model *m;
    if (a.rope_base == 0) a.rope_base = 10000.0;
    if (a.norm_eps == 0) a.norm_eps = 1e-5;
    if (a.context == 0) a.context = 4096;
    assert_ok(lb_model_new(&a, NULL, seed, &m));
    /* The arena's numbers are the test's to change: 0.02 is too small for a single layer to show errors. */
    for (int32_t s = 0; s < m->net->sites; s++) {
        lb_cmat W = m->weights.site[s].W;
        if (s == m->net->head) continue;
        for (int64_t i = 0; i < W.rows * W.cols; i++)
            ((float *)(uintptr_t)W.d)[i] *= s == m->net->embed ? 40.0f : 12.0f;
    }
    return m;
}

lb_mat llama_states(const lb_model *m, const int32_t *tokens, int64_t n) {
    lb_arena *arena;
    lb_exec *e;
    const lb_net *net = m->net;
    assert_ok(lb_arena_new(0, &arena));
    assert_ok(lb_exec_new(arena, net, n, NULL, &e));
    lb_mat x = lb_mat_of(lb_alloc((size_t)n, (size_t)net->dim * sizeof(float)), n, net->dim);
    assert_non_null(x.d);
    assert_ok(lb_exec_embed(e, &m->weights, tokens, n, x));
    for (int64_t b = 0; b < net->blocks; b++) assert_ok(lb_exec_block(e, &m->weights, b, x, NULL));
    assert_ok(lb_exec_final(e, &m->weights, x, x));
    lb_arena_free(arena);
    return x;
}

lb_linop *llama_site(const lb_model *m, const char *name) {
    int32_t site = lb_net_find(m->net, name);
    if (site < 0) fail_msg("no layer is named %s", name);
    return &m->weights.site[site];
}

const float *llama_vector(const lb_model *m, const char *name) {
    int32_t slot = lb_slot_find(m->net, name);
    if (slot < 0) fail_msg("no tensor is named %s", name);
    return lb_slot_get(m->net, &m->weights, slot);
}

int32_t *llama_tokens(uint64_t seed, int64_t n, int64_t vocab) {
    lb_rng r = lb_rng_make(seed, 77);
    int32_t *t = lb_alloc((size_t)n, sizeof *t);
    assert_non_null(t);
    for (int64_t i = 0; i < n; i++) t[i] = (int32_t)lb_rng_below(&r, vocab);
    return t;
}

double llama_worst(lb_cmat x, lb_cmat y) {
    double worst = 0;
    assert_true(x.rows == y.rows && x.cols == y.cols);
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++) {
            double d = fabs((double)x.d[i * x.ld + j] - (double)y.d[i * y.ld + j]);
            if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
        }
    return worst;
}

void llama_expected(lb_arena *a, const char *name, int32_t **tokens, lb_mat *logits) {
    char path[LB_TEST_PATH], file[128];
    lb_safetensors *s;
    snprintf(file, sizeof file, "tests/oracle/fixtures/%s.expected.safetensors", name);
    lb_test_fixture(file, path);
    assert_ok(lb_safetensors_open(path, &s));
    const lb_tensor *t = lb_safetensors_find(s, "tokens"), *l = lb_safetensors_find(s, "logits");
    assert_non_null(t);
    assert_non_null(l);
    *tokens = LB_NEW(a, int32_t, t->shape[0]);
    *logits = lb_mat_of(LB_NEW(a, float, lb_tensor_count(l)), l->shape[0], l->shape[1]);
    float *ids = LB_NEW(a, float, t->shape[0]);
    assert_true(*tokens && logits->d && ids);
    assert_ok(lb_tensor_read_f32(t, 0, t->shape[0], ids));
    assert_ok(lb_tensor_read_f32(l, 0, lb_tensor_count(l), logits->d));
    for (int64_t i = 0; i < t->shape[0]; i++) (*tokens)[i] = (int32_t)ids[i];
    lb_safetensors_close(s);
}

void llama_each_kernel(void (*f)(void *ctx, const char *kernel), void *ctx) {
    static const char *const name[] = {"plain", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        if (!lb_kernels_get(name[i])) continue;
        assert_ok(lb_kernels_force(name[i]));
        f(ctx, name[i]);
    }
    assert_ok(lb_kernels_force("auto"));
}

int64_t llama_fail_each_allocation(lb_status (*f)(void *ctx), void *ctx) {
    for (int64_t n = 1;; n++) {
        lb_alloc_fail_at(n);
        lb_status st = f(ctx);
        lb_alloc_fail_at(0);
        if (st == LB_OK) return n - 1;
        if (st != LB_E_NOMEM) fail_msg("allocation %lld: %s: %s", (long long)n, status_name(st), lb_error());
        assert_true(lb_error()[0] != 0);
    }
}

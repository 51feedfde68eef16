#include "support/llama.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "io/safetensors.h"
#include "math/kernels.h"
#include "support/status_name.h"
#include "support/support.h"

lb_model *llama_random(lb_arch a, uint64_t seed) {
    lb_model *m;
    if (!a.family) a.family = "llama";
    if (a.rope_base == 0) a.rope_base = 10000.0;
    if (a.norm_eps == 0) a.norm_eps = 1e-5;
    if (a.context == 0) a.context = 4096;
    assert_ok(lb_model_new(&a, NULL, seed, &m));
    /* The arena's numbers are the test's to change: 0.02 is too small for a single layer to show errors. */
    for (int64_t b = 0; b < a.layers; b++)
        for (int l = 0; l < LB_LINEARS; l++) {
            lb_cmat W = m->weights.blocks[b].w[l];
            for (int64_t i = 0; i < W.rows * W.cols; i++) ((float *)(uintptr_t)W.d)[i] *= 12.0f;
        }
    for (int64_t i = 0; i < a.vocab * a.dim; i++) ((float *)(uintptr_t)m->weights.embed.d)[i] *= 40.0f;
    return m;
}

lb_mat llama_states(const lb_arch *a, const lb_weights *w, const int32_t *tokens, int64_t n) {
    lb_arena *arena;
    lb_scratch *s;
    lb_rope r;
    assert_ok(lb_arena_new(0, &arena));
    assert_ok(lb_scratch_new(arena, a, n, &s));
    assert_ok(lb_rope_new(arena, a, n, &r));
    lb_mat x = lb_mat_of(lb_alloc((size_t)n, (size_t)a->dim * sizeof(float)), n, a->dim);
    assert_non_null(x.d);
    assert_ok(lb_embed(a, w, tokens, n, x));
    for (int64_t l = 0; l < a->layers; l++) assert_ok(lb_block_forward(a, &w->blocks[l], &r, s, x, NULL));
    lb_final_norm(a, w, x, x);
    lb_arena_free(arena);
    return x;
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

/* The forward pass against its plain float64 twin at sizes around every tile's edge, and what callers rely on:
 * causality, captures, rotation, simulated quantization, failures. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/kernels.h"
#include "model/attention.h"
#include "model/rotary.h"
#include "model/weights.h"
#include "support/llama.h"

static lb_mat new_mat(int64_t rows, int64_t cols) {
    float *d = lb_alloc((size_t)rows, (size_t)cols * sizeof *d);
    assert_non_null(d);
    return lb_mat_of(d, rows, cols);
}

/* Sums over at most 700 float32 terms of size about 1: eps * sqrt(700) * the depth is below 1e-5; ten times that. */
static const double tolerance = 1e-4;

typedef struct pass {
    const lb_model *m;
    const int32_t *tokens;
    int64_t n;
    lb_mat want;
} pass;

static void check_pass(void *ctx, const char *kernel) {
    const pass *p = ctx;
    lb_mat h = llama_states(p->m, p->tokens, p->n);
    double worst = llama_worst(lb_mat_c(h), lb_mat_c(p->want));
    if (!(worst < tolerance))
        fail_msg("%lld tokens, %lld/%lld heads, %s kernels: off by %g", (long long)p->n,
                 (long long)llama_arch(p->m).heads, (long long)llama_arch(p->m).kv_heads, kernel, worst);
    lb_free(h.d);
}

static void equals_the_reference(void **state) {
    (void)state;
    /* Query tiles are 256, 128, 64 and 16 positions here; key tiles LB_ATTENTION_KEYS. */
    static const struct {
        int64_t heads, kv, head_dim, n;
        lb_rope_layout rope;
    } shape[] = {
        {2, 2, 8, 1, LB_ROPE_HALVES},   {2, 2, 8, 2, LB_ROPE_PAIRS},    {2, 2, 6, 255, LB_ROPE_PAIRS},
        {2, 2, 6, 257, LB_ROPE_HALVES}, {3, 1, 4, 129, LB_ROPE_PAIRS},  {4, 2, 4, 511, LB_ROPE_HALVES},
        {4, 2, 4, 513, LB_ROPE_PAIRS},  {3, 1, 2, 700, LB_ROPE_HALVES}, {32, 1, 2, 130, LB_ROPE_PAIRS},
    };
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++) {
        lb_model *m = llama_random((lb_arch){.layers = 2,
                                             .dim = 12,
                                             .hidden = 20,
                                             .heads = shape[i].heads,
                                             .kv_heads = shape[i].kv,
                                             .head_dim = shape[i].head_dim,
                                             .vocab = 50,
                                             .rope = shape[i].rope},
                                   i + 1);
        int32_t *tokens = llama_tokens(i, shape[i].n, 50);
        pass p = {.m = m, .tokens = tokens, .n = shape[i].n, .want = new_mat(shape[i].n, 12)};
        assert_ok(lb_forward_ref(m->net, &m->weights, tokens, p.n, p.want));
        llama_each_kernel(check_pass, &p);
        lb_free(p.want.d);
        lb_free(tokens);
        lb_model_close(m);
    }
}

/* Longer than one MLP panel: the rows past it must be there too. */
static void panels_cover_every_row(void **state) {
    (void)state;
    enum { N = 2050 };
    lb_model *m = llama_random(
        (lb_arch){.layers = 1, .dim = 4, .hidden = 6, .heads = 1, .kv_heads = 1, .head_dim = 4, .vocab = 20}, 5);
    int32_t *tokens = llama_tokens(5, N, 20);
    lb_mat want = new_mat(N, 4), h = llama_states(m, tokens, N);
    assert_ok(lb_forward_ref(m->net, &m->weights, tokens, N, want));
    assert_true(llama_worst(lb_mat_c(h), lb_mat_c(want)) < tolerance);
    lb_free(want.d);
    lb_free(h.d);
    lb_free(tokens);
    lb_model_close(m);
}

static lb_model *small_model(void) {
    return llama_random((lb_arch){.layers = 2,
                                  .dim = 16,
                                  .hidden = 24,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 4,
                                  .vocab = 60,
                                  .rope = LB_ROPE_PAIRS},
                        9);
}

/* What comes later changes nothing, not a bit: the same products at the same places. */
static void the_future_is_not_seen(void **state) {
    (void)state;
    enum { N = 300, CUT = 170 };
    lb_model *m = small_model();
    int32_t *tokens = llama_tokens(1, N, 60);
    lb_mat before = llama_states(m, tokens, N);
    for (int64_t i = CUT; i < N; i++) tokens[i] = (tokens[i] + 17) % 60;
    lb_mat after = llama_states(m, tokens, N);
    assert_memory_equal(before.d, after.d, CUT * 16 * sizeof(float));
    assert_true(memcmp(before.d + CUT * 16, after.d + CUT * 16, 16 * sizeof(float)) != 0);
    lb_free(before.d);
    lb_free(after.d);
    lb_free(tokens);
    lb_model_close(m);
}

/* y (T, rows) = beta y + x Wᵀ in float64. */
static void multiply(lb_mat x, lb_cmat W, bool add, lb_mat y) {
    for (int64_t t = 0; t < x.rows; t++)
        for (int64_t o = 0; o < W.rows; o++) {
            double sum = add ? (double)y.d[t * y.ld + o] : 0;
            for (int64_t i = 0; i < W.cols; i++) sum += (double)x.d[t * x.ld + i] * (double)W.d[o * W.ld + i];
            y.d[t * y.ld + o] = (float)sum;
        }
}

typedef struct bench {
    lb_model *m;
    lb_arena *arena;
    lb_exec *e;
    int32_t input[4]; /* of block 0 */
    int32_t *tokens;
    lb_mat x; /* embedded tokens */
} bench;
enum { T = 70 };

static bench bench_open(void) {
    bench b = {.m = small_model(), .tokens = llama_tokens(3, T, 60), .x = new_mat(T, 16)};
    assert_ok(lb_arena_new(0, &b.arena));
    assert_ok(lb_exec_new(b.arena, b.m->net, T + 5, NULL, &b.e)); /* room to spare must not matter */
    assert_ok(lb_exec_embed(b.e, &b.m->weights, b.tokens, T, b.x));
    int32_t first;
    assert_int_equal(lb_net_inputs(b.m->net, 0, &first), 4);
    for (int i = 0; i < 4; i++) b.input[i] = first + i;
    return b;
}

static void bench_close(bench *b) {
    lb_free(b->x.d);
    lb_free(b->tokens);
    lb_arena_free(b->arena);
    lb_model_close(b->m);
}

static lb_mat copy_of(lb_mat x) {
    lb_mat y = new_mat(x.rows, x.cols);
    for (int64_t t = 0; t < x.rows; t++) memcpy(y.d + t * y.ld, x.d + t * x.ld, (size_t)x.cols * sizeof(float));
    return y;
}

enum { IN_ATTN, IN_O, IN_MLP, IN_DOWN, INPUTS }; /* of a block, in program order */

static void open_taps(const bench *b, lb_tap tap[INPUTS]) {
    for (int i = 0; i < INPUTS; i++)
        tap[i] = (lb_tap){.input = b->input[i], .to = new_mat(T, b->m->net->input[b->input[i]].cols)};
}

/* All four inputs at once; then each alone, stopping there. From them the block's output can be rebuilt. */
static void captures_are_the_inputs(void **state) {
    (void)state;
    bench b = bench_open();
    lb_tap tap[INPUTS];
    lb_capture all = {.tap = tap, .taps = INPUTS};
    open_taps(&b, tap);
    lb_mat x = copy_of(b.x);
    assert_ok(lb_exec_block(b.e, &b.m->weights, 0, x, &all));

    lb_mat plain = copy_of(b.x);
    assert_ok(lb_exec_block(b.e, &b.m->weights, 0, plain, NULL));
    assert_memory_equal(plain.d, x.d, T * 16 * sizeof(float)); /* looking changes nothing */

    for (int i = 0; i < INPUTS; i++) {
        lb_tap one = {.input = b.input[i], .to = new_mat(T, tap[i].to.cols)};
        lb_capture cap = {.tap = &one, .taps = 1, .stop = true};
        lb_mat still = copy_of(b.x);
        assert_ok(lb_exec_block(b.e, &b.m->weights, 0, still, &cap));
        assert_int_equal(one.rows, T);
        assert_memory_equal(one.to.d, tap[i].to.d, (size_t)(T * one.to.cols) * sizeof(float));
        assert_memory_equal(still.d, b.x.d, T * 16 * sizeof(float));
        lb_free(one.to.d);
        lb_free(still.d);
    }

    lb_mat want = copy_of(b.x), normed = new_mat(T, 16), gate = new_mat(T, 24), up = new_mat(T, 24);
    const lb_kernels *kn = lb_kernels_get("plain");
    const float *attn_norm = llama_vector(b.m, "0.attn_norm"), *mlp_norm = llama_vector(b.m, "0.mlp_norm");
    for (int64_t t = 0; t < T; t++) kn->rmsnorm(normed.d + t * 16, b.x.d + t * 16, attn_norm, 1e-5f, 16);
    assert_true(llama_worst(lb_mat_c(normed), lb_mat_c(tap[IN_ATTN].to)) < 1e-5);
    multiply(tap[IN_O].to, llama_site(b.m, "0.o")->W, true, want);
    for (int64_t t = 0; t < T; t++) kn->rmsnorm(normed.d + t * 16, want.d + t * 16, mlp_norm, 1e-5f, 16);
    assert_true(llama_worst(lb_mat_c(normed), lb_mat_c(tap[IN_MLP].to)) < 1e-4);
    multiply(tap[IN_MLP].to, llama_site(b.m, "0.gate")->W, false, gate);
    multiply(tap[IN_MLP].to, llama_site(b.m, "0.up")->W, false, up);
    kn->swiglu(gate.d, gate.d, up.d, T * 24);
    assert_true(llama_worst(lb_mat_c(gate), lb_mat_c(tap[IN_DOWN].to)) < 1e-4);
    multiply(tap[IN_DOWN].to, llama_site(b.m, "0.down")->W, true, want);
    assert_true(llama_worst(lb_mat_c(want), lb_mat_c(x)) < 1e-4);

    for (int i = 0; i < INPUTS; i++) lb_free(tap[i].to.d);
    lb_free(x.d);
    lb_free(plain.d);
    lb_free(want.d);
    lb_free(normed.d);
    lb_free(gate.d);
    lb_free(up.d);
    bench_close(&b);
}

/* A linear with `act` reads its input rounded, the others and the captures do not. */
static void activations_are_rounded_where_asked(void **state) {
    (void)state;
    bench b = bench_open();
    lb_tap tap[INPUTS];
    lb_capture cap = {.tap = tap, .taps = INPUTS};
    open_taps(&b, tap);
    lb_mat x = copy_of(b.x), want = copy_of(b.x), rounded = new_mat(T, 16), inner = new_mat(T, 24);
    const lb_linop *o = llama_site(b.m, "0.o"), *gated = llama_site(b.m, "0.gate"), *upper = llama_site(b.m, "0.up");
    const lb_linop *down = llama_site(b.m, "0.down");
    llama_site(b.m, "0.o")->act = (lb_actquant){.bits = 3};
    llama_site(b.m, "0.up")->act = (lb_actquant){.bits = 4, .symmetric = true};
    llama_site(b.m, "0.down")->act = (lb_actquant){.bits = 5};
    assert_ok(lb_exec_block(b.e, &b.m->weights, 0, x, &cap));

    lb_actquant_apply(&o->act, lb_mat_c(tap[IN_O].to), rounded);
    assert_true(llama_worst(lb_mat_c(rounded), lb_mat_c(tap[IN_O].to)) > 1e-3); /* the capture is not rounded */
    multiply(rounded, o->W, true, want);
    lb_mat gate = new_mat(T, 24), up = new_mat(T, 24);
    multiply(tap[IN_MLP].to, gated->W, false, gate);
    lb_actquant_apply(&upper->act, lb_mat_c(tap[IN_MLP].to), rounded);
    multiply(rounded, upper->W, false, up);
    lb_kernels_get("plain")->swiglu(gate.d, gate.d, up.d, T * 24);
    assert_true(llama_worst(lb_mat_c(gate), lb_mat_c(tap[IN_DOWN].to)) < 1e-4);
    lb_actquant_apply(&down->act, lb_mat_c(tap[IN_DOWN].to), inner);
    multiply(inner, down->W, true, want);
    assert_true(llama_worst(lb_mat_c(want), lb_mat_c(x)) < 1e-4);

    for (int i = 0; i < INPUTS; i++) lb_free(tap[i].to.d);
    lb_free(x.d);
    lb_free(want.d);
    lb_free(rounded.d);
    lb_free(inner.d);
    lb_free(gate.d);
    lb_free(up.d);
    bench_close(&b);
}

/* Position 0 stays; the inverse undoes; a query and a key turned by t and s have the product of a turn by t - s. */
static void rotation(void **state) {
    (void)state;
    for (int layout = 0; layout < 2; layout++) {
        const lb_rope_spec s = {.dims = 8, .pairs = layout == 1, .base = 100.0, .magnitude = 1.0};
        lb_arena *arena;
        lb_rotary r;
        assert_ok(lb_arena_new(0, &arena));
        assert_ok(lb_rotary_new(arena, &s, 20, &r));
        lb_rotary_set(&s, 20, &r);
        lb_mat q = new_mat(20, 16), k = new_mat(20, 16); /* two heads, each row the same */
        for (int64_t i = 0; i < 20 * 16; i++) {
            q.d[i] = sinf((float)(i % 16) + 1.0f);
            k.d[i] = cosf((float)(i % 16) * 1.7f);
        }
        lb_mat before = copy_of(q);
        lb_rotary_turn(&s, &r, false, 8, 0, q);
        lb_rotary_turn(&s, &r, false, 8, 0, k);
        assert_memory_equal(q.d, before.d, 16 * sizeof(float));
        for (int64_t h = 0; h < 16; h += 8)
            for (int64_t t = 3; t < 20; t++) {
                double near = 0, far = 0;
                for (int64_t i = 0; i < 8; i++) {
                    near += (double)q.d[3 * 16 + h + i] * (double)k.d[h + i];
                    far += (double)q.d[t * 16 + h + i] * (double)k.d[(t - 3) * 16 + h + i];
                }
                assert_true(fabs(near - far) < 1e-5);
            }
        assert_true(llama_worst(lb_mat_c(q), lb_mat_c(before)) > 0.5);
        lb_rotary_turn(&s, &r, true, 8, 0, q);
        assert_true(llama_worst(lb_mat_c(q), lb_mat_c(before)) < 1e-6);
        lb_free(before.d);
        lb_free(q.d);
        lb_free(k.d);
        lb_arena_free(arena);
    }
}

/* Scores of several hundred overflow exp without the running maximum. */
static void large_scores_do_not_overflow(void **state) {
    (void)state;
    enum { N = 600, D = 4 };
    lb_attend a = {.heads = 1, .kv_heads = 1, .head_dim = D, .scale = 0.5f};
    lb_arena *arena;
    lb_attention at;
    assert_ok(lb_arena_new(0, &arena));
    assert_ok(lb_attention_new(arena, &a, 1, N, &at));
    lb_mat q = new_mat(N, D), k = new_mat(N, D), v = new_mat(N, D);
    for (int64_t t = 0; t < N; t++) {
        q.d[t * D] = 40.0f;
        k.d[t * D] = (float)t * 0.1f - 30.0f; /* the score grows with the position: the last key wins */
        v.d[t * D] = (float)t;
        v.d[t * D + 1] = 1.0f;
    }
    lb_attention_run(&a, &at, lb_mat_c(q), lb_mat_c(k), lb_mat_c(v), q);
    for (int64_t t = 0; t < N; t++) {
        double sum = 0, mean = 0; /* steps of 2 between scores */
        for (int64_t s = 0; s <= t; s++)
            sum += exp(2.0 * (double)(s - t)), mean += (double)s * exp(2.0 * (double)(s - t));
        assert_true(fabs((double)q.d[t * D] - mean / sum) < 1e-2 && fabs((double)q.d[t * D + 1] - 1.0) < 1e-5);
    }
    lb_free(q.d);
    lb_free(k.d);
    lb_free(v.d);
    lb_arena_free(arena);
}

static void token_out_of_range(void **state) {
    (void)state;
    bench b = bench_open();
    lb_mat x = new_mat(3, 16);
    assert_status(LB_E_ARG, lb_exec_embed(b.e, &b.m->weights, (int32_t[]){1, 60, 2}, 3, x));
    assert_error_has("token 1 is 60: must be in [0, 60)");
    assert_status(LB_E_ARG, lb_exec_embed(b.e, &b.m->weights, (int32_t[]){1, 2, -1}, 3, x));
    lb_free(x.d);
    bench_close(&b);
}

static lb_status build_all(void *ctx) {
    const lb_model *m = ctx;
    lb_arena *arena;
    lb_exec *e;
    const lb_net *net;
    const lb_arch arch = llama_arch(m);
    lb_weights w;
    float h[3 * 16];
    LB_TRY(lb_arena_new(64, &arena)); /* small chunks: nearly every piece is an allocation of its own */
    lb_status st = lb_exec_new(arena, m->net, 40, NULL, &e);
    if (st == LB_OK) st = lb_exec_add_half(arena, e);
    if (st == LB_OK) st = lb_arch_net(arena, &arch, &net);
    if (st == LB_OK) st = lb_weights_clone(arena, m->net, &m->weights, &w);
    if (st == LB_OK) st = lb_forward_ref(m->net, &m->weights, (int32_t[]){1, 2, 3}, 3, lb_mat_of(h, 3, 16));
    lb_arena_free(arena);
    return st;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    lb_model *m = small_model();
    assert_true(llama_fail_each_allocation(build_all, m) > 15);
    lb_model_close(m);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_reference),
        cmocka_unit_test(panels_cover_every_row),
        cmocka_unit_test(the_future_is_not_seen),
        cmocka_unit_test(captures_are_the_inputs),
        cmocka_unit_test(activations_are_rounded_where_asked),
        cmocka_unit_test(rotation),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(token_out_of_range),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

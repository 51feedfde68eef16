/* Products of a site: multiplier, adding, one output, rows of a source, and what sites may share. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "model/linop.h"
#include "support/bf16.h"

enum { T = 9, K = 33, N = 7 };

static float *draw(lb_arena *a, int64_t n, uint64_t seed) {
    lb_rng r = lb_rng_make(seed, 3);
    float *out = LB_NEW(a, float, n);
    assert_non_null(out);
    for (int64_t i = 0; i < n; i++) out[i] = (float)lb_rng_normal(&r);
    return out;
}

typedef struct world {
    lb_arena *arena;
    lb_mat x, y;
    lb_linop op;
} world;

static void open_world(world *w, int64_t outputs) {
    assert_ok(lb_blas_init(1));
    *w = (world){0};
    assert_ok(lb_arena_new(0, &w->arena));
    w->x = lb_mat_of(draw(w->arena, T * K, 1), T, K);
    w->y = lb_mat_of(draw(w->arena, T * outputs, 2), T, outputs);
    w->op.W = lb_cmat_of(draw(w->arena, outputs * K, 3), outputs, K);
}

/* |y - (add y0 + mult x Wᵀ)| over all outputs. */
static double worst(const world *w, lb_cmat x, lb_cmat W, const float *y0, double mult) {
    double most = 0;
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < W.rows; o++) {
            double sum = 0;
            for (int64_t i = 0; i < K; i++) sum += (double)x.d[t * K + i] * (double)W.d[o * K + i];
            double want = mult * sum + (y0 ? (double)y0[t * W.rows + o] : 0.0);
            most = fmax(most, fabs((double)w->y.d[t * W.rows + o] - want));
        }
    return most;
}

static void check_apply(world *w, lb_cmat x, lb_cmat W, const lb_linop_room *room, double tolerance) {
    static const float mult[] = {1.0f, -0.7f};
    for (int k = 0; k < 4; k++) {
        lb_linop_input in;
        float *before = LB_NEW(w->arena, float, T *W.rows);
        assert_non_null(before);
        memcpy(before, w->y.d, (size_t)(T * W.rows) * sizeof *before);
        lb_linop_prepare(&w->op, w->x, false, room, &in);
        assert_ok(lb_linop_apply(&w->op, &in, mult[k / 2], k % 2, w->y));
        assert_true(worst(w, x, W, k % 2 ? before : NULL, (double)mult[k / 2]) < tolerance);
    }
}

static void products_are_scaled_and_added(void **state) {
    (void)state;
    for (int64_t outputs = 1; outputs <= N; outputs += N - 1) {
        world w;
        open_world(&w, outputs);
        check_apply(&w, lb_mat_c(w.x), w.op.W, &(lb_linop_room){0}, 1e-4);
        lb_arena_free(w.arena);
    }
}

/* Against products of what both are rounded to. */
static void products_in_bfloat16(void **state) {
    (void)state;
    bf16_needed();
    world w;
    lb_bf16 *c;
    size_t bytes;
    open_world(&w, N);
    assert_ok(lb_bf16_new(&c));
    assert_ok(lb_bf16_bytes(c, N, K, &bytes));
    assert_ok(lb_bf16_pack(c, w.op.W, lb_arena_get(w.arena, 1, bytes), &w.op.half));
    float *x = LB_NEW(w.arena, float, T *K), *W = LB_NEW(w.arena, float, N *K);
    const lb_linop_room room = {.half = LB_NEW(w.arena, uint16_t, T * K)};
    assert_true(x && W && room.half);
    for (int i = 0; i < T * K; i++) x[i] = bf16_nearest(w.x.d[i]);
    for (int i = 0; i < N * K; i++) W[i] = bf16_nearest(w.op.W.d[i]);
    check_apply(&w, lb_cmat_of(x, T, K), lb_cmat_of(W, N, K), &room, 1e-4);
    lb_bf16_free(c);
    lb_arena_free(w.arena);
}

/* Quantized apart, or where it stands; the same numbers. */
static void inputs_are_quantized(void **state) {
    (void)state;
    world w;
    open_world(&w, N);
    w.op.act = (lb_actquant){.bits = 4, .symmetric = true};
    float *q = LB_NEW(w.arena, float, T *K), *was = LB_NEW(w.arena, float, T *K);
    const lb_linop_room room = {.quantized = LB_NEW(w.arena, float, T *K)};
    lb_linop_input in;
    assert_true(q && was && room.quantized);
    memcpy(was, w.x.d, sizeof(float) * T * K);
    lb_actquant_apply(&w.op.act, lb_mat_c(w.x), lb_mat_of(q, T, K));
    lb_linop_prepare(&w.op, w.x, false, &room, &in);
    assert_memory_equal(in.x.d, q, sizeof(float) * T * K);
    assert_memory_equal(w.x.d, was, sizeof(float) * T * K);
    lb_linop_prepare(&w.op, w.x, true, &(lb_linop_room){0}, &in);
    assert_memory_equal(w.x.d, q, sizeof(float) * T * K);
    assert_ptr_equal(in.x.d, w.x.d);
    lb_arena_free(w.arena);
}

static void sites_share_what_is_alike(void **state) {
    (void)state;
    lb_linop a = {.act = {.bits = 8, .symmetric = true}}, b = a;
    static const char rounded;
    assert_true(lb_linop_share(&a, &b));
    b.act.symmetric = false;
    assert_false(lb_linop_share(&a, &b));
    b.act = (lb_actquant){.bits = 4, .symmetric = true};
    assert_false(lb_linop_share(&a, &b));
    a.act.bits = b.act.bits = 0;
    a.act.symmetric = !b.act.symmetric;
    assert_true(lb_linop_share(&a, &b)); /* of nothing */
    b.half.d = &rounded;
    assert_false(lb_linop_share(&a, &b));
    const float one[2] = {1, 2}, same[2] = {1, 2}, other[2] = {1, 3};
    a = b = (lb_linop){.W.cols = 2, .T = {.scale = one, .hadamard = 2}};
    b.T.scale = same;
    assert_true(lb_linop_share(&a, &b));
    b.T.scale = other;
    assert_false(lb_linop_share(&a, &b));
    b.T = (lb_transform){.scale = one};
    assert_false(lb_linop_share(&a, &b));
}

/* T, then the quantizer; apart, or where it stands. */
static void inputs_are_transformed(void **state) {
    (void)state;
    world w;
    open_world(&w, N);
    float scale[K], *was = LB_NEW(w.arena, float, T *K), *want = LB_NEW(w.arena, float, T *K);
    uint8_t sign[(K + 7) / 8] = {0x35, 0, 0x81};
    const lb_linop_room room = {.quantized = LB_NEW(w.arena, float, T *K)};
    lb_linop_input in;
    assert_true(was && want && room.quantized);
    for (int i = 0; i < K; i++) scale[i] = 1.0f + (float)i / K;
    w.op.T = (lb_transform){.scale = scale, .sign = sign};
    memcpy(was, w.x.d, sizeof(float) * T * K);
    for (int act = 0; act <= 4; act += 4) {
        w.op.act.bits = act;
        for (int i = 0; i < T * K; i++) want[i] = (sign[i % K / 8] >> i % K % 8 & 1 ? -1 : 1) * (scale[i % K] * was[i]);
        lb_linop_transformed(&w.op, lb_mat_c(w.x), lb_mat_of(room.quantized, T, K));
        assert_memory_equal(room.quantized, want, sizeof(float) * T * K);
        lb_actquant_apply(&w.op.act, lb_cmat_of(want, T, K), lb_mat_of(want, T, K));
        lb_linop_prepare(&w.op, w.x, false, &room, &in);
        assert_memory_equal(in.x.d, want, sizeof(float) * T * K);
        assert_memory_equal(w.x.d, was, sizeof(float) * T * K);
        lb_linop_prepare(&w.op, w.x, true, &(lb_linop_room){0}, &in);
        assert_memory_equal(w.x.d, want, sizeof(float) * T * K);
        assert_ptr_equal(in.x.d, w.x.d);
        memcpy(w.x.d, was, sizeof(float) * T * K);
    }
    lb_arena_free(w.arena);
}

static lb_status read_rows(const void *ctx, int64_t row, int64_t rows, float *out) {
    const lb_cmat *W = ctx;
    memcpy(out, W->d + row * W->cols, (size_t)(rows * W->cols) * sizeof *out);
    return LB_OK;
}

static void some_outputs_at_a_time(void **state) {
    (void)state;
    world w;
    float buffer[3 * K], part[T * 3], streamed[T * 3];
    lb_linop_input in;
    open_world(&w, N);
    const lb_cmat W = w.op.W;
    const lb_linop from = {.W = {NULL, N, K, K}, .from = {read_rows, &W}};
    lb_linop_prepare(&w.op, w.x, false, &(lb_linop_room){0}, &in);
    assert_ok(lb_linop_apply(&w.op, &in, 1.0f, false, w.y));
    assert_ok(lb_linop_apply_rows(&w.op, 2, 3, in.x, NULL, lb_mat_of(part, T, 3)));
    assert_ok(lb_linop_apply_rows(&from, 2, 3, in.x, buffer, lb_mat_of(streamed, T, 3)));
    assert_memory_equal(part, streamed, sizeof part);
    for (int t = 0; t < T; t++)
        for (int o = 0; o < 3; o++) assert_true(fabsf(part[t * 3 + o] - w.y.d[t * N + 2 + o]) < 1e-4f);
    lb_arena_free(w.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_scaled_and_added), cmocka_unit_test(products_in_bfloat16),
        cmocka_unit_test(inputs_are_quantized),          cmocka_unit_test(inputs_are_transformed),
        cmocka_unit_test(sites_share_what_is_alike),     cmocka_unit_test(some_outputs_at_a_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

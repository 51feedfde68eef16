/* Half precision, matrix views, activation quantization, AdamW and the learning rate. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/actquant.h"
#include "math/adamw.h"
#include "math/half.h"
#include "math/kernels.h"
#include "oracle/fixtures/math.h"

static float of_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The value that IEEE 754 gives sign, exponent and fraction; h finite. */
static double value16(int h) {
    int e = h >> 10 & 31, m = h & 1023;
    double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static void f16_all_values(void **state) {
    (void)state;
    for (int h = 0; h < 65536; h++) {
        float x = lb_f16_to_f32((uint16_t)h);
        if ((h & 0x7c00) != 0x7c00)
            assert_true((double)x == value16(h) && !signbit(x) == !(h >> 15));
        else if (h & 1023)
            assert_true(isnan(x));
        else
            assert_true(x == (h & 0x8000 ? -INFINITY : INFINITY));
        if (!isnan(x)) assert_int_equal(lb_f32_to_f16(x), h);
    }
    assert_int_equal(lb_f32_to_f16(of_bits(0x7fc00000)) & 0x7fff, 0x7e00);
    for (int bit = 0; bit < 23; bit++) { /* a NaN whose payload lies in the bits that are cut */
        assert_true(isnan(lb_f16_to_f32(lb_f32_to_f16(of_bits(0x7f800000u | 1u << bit)))));
        assert_true(isnan(lb_bf16_to_f32(lb_f32_to_bf16(of_bits(0xff800000u | 1u << bit)))));
    }
}

/* Between two neighbours: the middle goes to the even one, and a hair to either side to the nearer one. */
static void f16_rounding(void **state) {
    (void)state;
    for (int h = 0; h < 0x7c00; h++) {
        double next = h == 0x7bff ? 65536 : value16(h + 1); /* overflow rounds as if the range went on */
        float middle = (float)((value16(h) + next) / 2);
        int even = h & 1 ? h + 1 : h;
        assert_int_equal(lb_f32_to_f16(middle), even);
        assert_int_equal(lb_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(lb_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(lb_f32_to_f16(-middle), even | 0x8000);
    }
}

static void bf16_rounding(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7f80; h++) {
        assert_int_equal(lb_f32_to_bf16(lb_bf16_to_f32((uint16_t)h)), h);
        uint32_t even = h & 1 ? h + 1 : h;
        assert_int_equal(lb_f32_to_bf16(of_bits(h << 16 | 0x8000)), even);
        assert_int_equal(lb_f32_to_bf16(of_bits(h << 16 | 0x7fff)), h);
        assert_int_equal(lb_f32_to_bf16(of_bits(h << 16 | 0x8001)), h + 1);
        assert_int_equal(lb_f32_to_bf16(of_bits(0x80000000u | h << 16 | 0x8001)), 0x8000 | (h + 1));
    }
    assert_true(lb_bf16_to_f32(0xff80) == -INFINITY && lb_f32_to_bf16(INFINITY) == 0x7f80);
}

static void halves_as_pytorch(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof half_case / sizeof half_case[0]; i++) {
        assert_int_equal(lb_f32_to_f16(of_bits(half_case[i].x)), half_case[i].f16);
        assert_int_equal(lb_f32_to_bf16(of_bits(half_case[i].x)), half_case[i].bf16);
    }
}

static void first_bad(void **state) {
    (void)state;
    float d[4 * 20];
    lb_cmat m = {d, 4, 15, 20};
    for (int i = 0; i < 80; i++) d[i] = i % 20 < 15 ? 3.4e38f : NAN; /* what lies between rows does not count */
    assert_int_equal(lb_mat_first_bad(m), -1);
    d[3 * 20 + 2] = -INFINITY;
    assert_int_equal(lb_mat_first_bad(m), 3 * 15 + 2);
    d[20 + 14] = NAN;
    assert_int_equal(lb_mat_first_bad(m), 15 + 14);
    assert_int_equal(lb_mat_first_bad(lb_cmat_part(m, 2, 3, 2, 12)), -1);
}

/* By hand: the range of (-1, 0.25, 2) is 3, so at 2 bits scale = 1 and zero = 1. */
static void actquant_by_hand(void **state) {
    (void)state;
    float x[2][4] = {{-1, 0.25f, 2, 0.5f}, {0, 0, 0, 0}}, y[2][4];
    lb_actquant a = {.bits = 2, .symmetric = false};
    lb_actquant_apply(&a, lb_cmat_of(x[0], 2, 4), lb_mat_of(y[0], 2, 4));
    static const float asym[2][4] = {{-1, 0, 2, 0}, {0, 0, 0, 0}}; /* 0.5 goes to the even 0 */
    assert_memory_equal(y, asym, sizeof y);
    a = (lb_actquant){.bits = 3, .symmetric = true}; /* scale = 2 / 3 */
    lb_actquant_apply(&a, lb_cmat_of(x[0], 2, 4), lb_mat_of(y[0], 2, 4));
    float s = 2 / 3.0f, sym[2][4] = {{-2 * s, 0, 3 * s, s}, {0, 0, 0, 0}}; /* -1.5 goes to the even -2 */
    assert_memory_equal(y, sym, sizeof y);
    a.bits = 0;
    lb_actquant_apply(&a, lb_cmat_of(x[0], 2, 4), lb_mat_of(y[0], 2, 4));
    assert_memory_equal(y, x, sizeof y);
}

/* Groups of columns have ranges of their own, the last is shorter; a static range is what it is, and cuts off. */
static void actquant_modes_by_hand(void **state) {
    (void)state;
    const float x[5] = {-1, 0.25f, 2, 0.5f, 3};
    float y[5];
    lb_actquant a = {.bits = 2, .group = 2}; /* scales 1.25 / 3, 2 / 3 and 1, zeros 2, 0 and 0 */
    float s0 = 1.25f / 3, s1 = 2.0f / 3;
    const float grouped[5] = {-2 * s0, s0, 3 * s1, s1, 3};
    lb_actquant_apply(&a, lb_cmat_of(x, 1, 5), lb_mat_of(y, 1, 5));
    assert_memory_equal(y, grouped, sizeof y);
    a = (lb_actquant){.bits = 2, .mode = LB_ACTQUANT_STATIC};
    lb_actquant_range(&a, -0.75f,
                      0.75f); /* widened to nothing: scale 1/2, and -0.75 / 0.5 = -1.5 goes to the even -2 */
    assert_true(a.scale == 0.5f && a.zero == 2);
    const float fixed[5] = {-1, 0, 0.5f, 0.5f, 0.5f};
    lb_actquant_apply(&a, lb_cmat_of(x, 1, 5), lb_mat_of(y, 1, 5));
    assert_memory_equal(y, fixed, sizeof y);
    for (int i = 0; i < 5; i++) assert_int_equal(lb_actquant_cuts(&a, x[i]), i == 2 || i == 4);
    assert_true(lb_actquant_cuts(&a, -1.5f) && !lb_actquant_cuts(&a, 0.74f) && lb_actquant_cuts(&a, 0.76f));
    a = (lb_actquant){.bits = 3, .symmetric = true, .mode = LB_ACTQUANT_STATIC};
    lb_actquant_range(&a, -1.5f, 0.5f);
    assert_true(a.scale == 0.5f && a.zero == 0);
    const float even[5] = {-1, 0, 1.5f, 0.5f, 1.5f};
    lb_actquant_apply(&a, lb_cmat_of(x, 1, 5), lb_mat_of(y, 1, 5));
    assert_memory_equal(y, even, sizeof y);
    assert_true(lb_actquant_cuts(&a, -2) && !lb_actquant_cuts(&a, -1.5f) && lb_actquant_cuts(&a, 2));
    lb_actquant_range(&a, 1, 2); /* widened to hold 0 */
    assert_true(a.scale == 2.0f / 3);
    a = (lb_actquant){.bits = 2, .mode = LB_ACTQUANT_STATIC};
    lb_actquant_range(&a, 1.5f, 3);
    assert_true(a.scale == 1 && a.zero == 0);
    lb_actquant_range(&a, -3, -1.5f);
    assert_true(a.scale == 1 && a.zero == 3);
}

static void actquant_same(void **state) {
    (void)state;
    const lb_actquant token = {.bits = 8, .group = 64}, fixed = {.bits = 8, .mode = LB_ACTQUANT_STATIC, .scale = 2};
    lb_actquant a = token;
    a.scale = 3; /* of no range that is kept */
    assert_true(lb_actquant_same(&a, &token));
    a.group = 32;
    assert_false(lb_actquant_same(&a, &token) || lb_actquant_same(&token, &fixed));
    a = fixed;
    a.scale = 3;
    assert_false(lb_actquant_same(&a, &fixed));
    a = fixed;
    a.zero = 1;
    assert_false(lb_actquant_same(&a, &fixed));
    a.bits = 0;
    assert_true(lb_actquant_same(&a, &(lb_actquant){0}) && !lb_actquant_same(&a, &fixed));
}

/* Every output is the grid point nearest to its input, on a grid made here in float64. */
static void actquant_is_nearest(void **state) {
    (void)state;
    enum { R = 5, C = 33, LD = 40 };
    float x[R * LD], y[R * C];
    lb_rng r = lb_rng_make(11, 0);
    for (int bits = 2; bits <= 8; bits++)
        for (int sym = 0; sym < 2; sym++) {
            for (int i = 0; i < R * LD; i++)
                x[i] = (float)(lb_rng_normal(&r) * pow(10, i / LD - 2) + (i / LD == 3 ? 70 : 0));
            lb_actquant_apply(&(lb_actquant){.bits = bits, .symmetric = sym}, (lb_cmat){x, R, C, LD},
                              lb_mat_of(y, R, C));
            for (int row = 0; row < R; row++) {
                double lo = 0, hi = 0;
                for (int c = 0; c < C; c++) {
                    lo = fmin(lo, (double)x[row * LD + c]);
                    hi = fmax(hi, (double)x[row * LD + c]);
                }
                double top = sym ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
                double scale = sym ? fmax(-lo, hi) / top : (hi - lo) / top, zero = rint(-lo / scale);
                double first = sym ? -top : -zero, last = sym ? top : top - zero;
                for (int c = 0; c < C; c++) {
                    double v = (double)x[row * LD + c], got = (double)y[row * C + c], code = got / scale;
                    assert_true(fabs(code - rint(code)) < 1e-3 && rint(code) >= first && rint(code) <= last);
                    double near = fmin(fmax(rint(v / scale), first), last) * scale;
                    assert_true(fabs(got - v) <= fabs(near - v) + 1e-4 * scale);
                }
            }
        }
}

static void actquant_edge_cases(void **state) {
    (void)state;
    for (int sym = 0; sym < 2; sym++) {
        lb_actquant a = {.bits = 8, .symmetric = sym};
        float one[3] = {1, NAN, -1}, tiny[2] = {1e-45f, 0}, plus[2] = {5, 3}, inf[2] = {INFINITY, 1};
        lb_actquant_apply(&a, lb_cmat_of(one, 1, 3), lb_mat_of(one, 1, 3)); /* in place */
        assert_true(isnan(one[1]));                                         /* shown, not hidden */
        lb_actquant_apply(&a, lb_cmat_of(tiny, 1, 2), lb_mat_of(tiny, 1, 2));
        assert_true(tiny[0] == 0 && tiny[1] == 0);
        lb_actquant_apply(&a, lb_cmat_of(plus, 1, 2), lb_mat_of(plus, 1, 2));
        assert_true(plus[0] == 5); /* the end of the range is on the grid */
        lb_actquant_apply(&a, lb_cmat_of(inf, 1, 2), lb_mat_of(inf, 1, 2));
        assert_false(isfinite(inf[0]));
    }
}

/* Against torch.optim.AdamW: twelve steps, each a few roundings of float32 apart at most. */
static void adamw_as_pytorch(void **state) {
    (void)state;
    for (int k = 0; k < ADAMW_RUNS; k++) {
        const double *p = adamw_run[k].option;
        lb_adamw o = {.lr = p[0], .beta1 = p[1], .beta2 = p[2], .eps = p[3], .weight_decay = p[4]};
        float w[ADAMW_N], m[ADAMW_N] = {0}, v[ADAMW_N] = {0};
        memcpy(w, adamw_start, sizeof w);
        for (int s = 0; s < ADAMW_STEPS; s++) {
            lb_adamw_step(&o, s + 1, w, adamw_grad + s * ADAMW_N, m, v, ADAMW_N);
            for (int i = 0; i < ADAMW_N; i++) {
                double want = (double)adamw_run[k].w[s * ADAMW_N + i];
                assert_true(fabs((double)w[i] - want) <= 4 * 0x1p-24 * (fabs(want) + o.lr) * (s + 1));
            }
        }
    }
}

static void learning_rate(void **state) {
    (void)state;
    assert_true(lb_lr_cosine(2, 0, 4, 12, 0.1) == 0.5);
    assert_true(lb_lr_cosine(2, 3, 4, 12, 0.1) == 2);
    assert_true(lb_lr_cosine(2, 4, 4, 12, 0.1) == 2);
    assert_true(fabs(lb_lr_cosine(2, 8, 4, 12, 0.1) - 1.1) < 1e-12); /* half way */
    assert_true(fabs(lb_lr_cosine(2, 12, 4, 12, 0.1) - 0.2) < 1e-12);
    assert_true(fabs(lb_lr_cosine(2, 99, 4, 12, 0.1) - 0.2) < 1e-12);
    assert_true(lb_lr_cosine(2, 0, 0, 0, 0.1) == 2);
    for (int s = 5; s <= 12; s++) assert_true(lb_lr_cosine(2, s, 4, 12, 0) < lb_lr_cosine(2, s - 1, 4, 12, 0));
}

static void grad_norms(void **state) {
    (void)state;
    float a[] = {3, 0, -4}, b[] = {12}, big[] = {2e38f, 2e38f};
    const float *g[] = {a, b, NULL}, *h[] = {big};
    int64_t n[] = {3, 1, 0}, two = 2;
    assert_true(lb_grad_norm(g, n, 3) == 13);
    assert_true(lb_grad_norm(g, n, 0) == 0);
    assert_true(fabs(lb_grad_norm(h, &two, 1) / (sqrt(2) * (double)2e38f) - 1) < 1e-15); /* no overflow in float64 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_all_values),
        cmocka_unit_test(f16_rounding),
        cmocka_unit_test(bf16_rounding),
        cmocka_unit_test(halves_as_pytorch),
        cmocka_unit_test(first_bad),
        cmocka_unit_test(actquant_by_hand),
        cmocka_unit_test(actquant_is_nearest),
        cmocka_unit_test(actquant_edge_cases),
        cmocka_unit_test(actquant_modes_by_hand),
        cmocka_unit_test(actquant_same),
        cmocka_unit_test(adamw_as_pytorch),
        cmocka_unit_test(learning_rate),
        cmocka_unit_test(grad_norms),
    };
    return cmocka_run_group_tests_name("math: half, mat, actquant, adamw", tests, NULL, NULL);
}

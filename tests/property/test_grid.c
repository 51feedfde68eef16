/* What must hold for the uniform grid and for the codebooks on any input. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/blas.h"
#include "quant/formats/codebook.h"
#include "support/gptq_ref.h"
#include "support/quant_kit.h"

static float any_float(lb_rng *rng) {
    float x;
    do {
        uint32_t u = lb_rng_u32(rng);
        memcpy(&x, &u, 4);
    } while (!isfinite(x));
    return x;
}

/* The fast rounding is the reference code's: clamp(rint(x / scale) + zero, 0, maxq), over all floats and at ties. */
static void code_is_the_formula(void **state) {
    (void)state;
    lb_rng rng = lb_rng_make(1, 1);
    for (int i = 0; i < 300000; i++) {
        int maxq = (1 << (2 + i % 7)) - 1;
        float zero = (float)lb_rng_below(&rng, maxq + 1);
        float scale = i & 1 ? fabsf(any_float(&rng)) + FLT_TRUE_MIN : 0.25f;
        float x = i & 2 ? any_float(&rng) : (float)(lb_rng_below(&rng, 4 * maxq) - 2 * maxq) * 0.125f;
        if (!isfinite(scale)) continue;
        float q = rintf(x / scale) + zero;
        q = q < 0 ? 0 : q > (float)maxq ? (float)maxq : q;
        if (lb_grid_code(x, scale, zero, maxq) != (uint8_t)q)
            fail_msg("x %.9g scale %.9g zero %g maxq %d: %d, the formula gives %g", (double)x, (double)scale,
                     (double)zero, maxq, lb_grid_code(x, scale, zero, maxq), (double)q);
    }
}

static void fit_is_the_twins(void **state) {
    (void)state;
    kit k = kit_open(1);
    for (uint64_t seed = 0; seed < 60; seed++) {
        gptq_ref_opts o = {.bits = 2 + (int)(seed % 7), .symmetric = seed & 1, .mse = seed & 2};
        lb_gridspec g = {o.bits, o.symmetric, o.mse, LB_SCALE_F32};
        int64_t n = 1 + (int64_t)seed * 5;
        lb_mat x = kit_random(&k, seed, 1, 3 * n);
        if (seed % 5 == 0)
            for (int64_t i = 0; i < 3 * n; i++) x.d[i] = fabsf(x.d[i]);
        if (seed % 7 == 0)
            for (int64_t i = 0; i < 3 * n; i++) x.d[i] = 0;
        float run[400], scale, zero, want_scale, want_zero;
        for (int64_t i = 0; i < n; i++) run[i] = x.d[3 * i];
        grid_ref(&o, run, n, &want_scale, &want_zero);
        assert_int_equal(lb_grid_fit(&g, x.d, n, 3, &scale, &zero), LB_OK);
        assert_true(scale == want_scale && zero == want_zero);
    }
    kit_close(&k);
}

/* At 2 bits an outlier makes the best range less than half of the whole: the search must go that far. */
static void outliers_are_clipped(void **state) {
    (void)state;
    enum { N = 390 };
    int far = 0;
    for (int f = 2; f <= 6; f++) {
        gptq_ref_opts o = {.bits = 2, .mse = true};
        lb_gridspec search = {2, false, true, LB_SCALE_F32}, whole = {2, false, false, LB_SCALE_F32};
        float x[N], scale, zero, want_scale, want_zero, plain;
        lb_rng rng = lb_rng_make((uint64_t)f, 5);
        for (int i = 0; i < N; i++) x[i] = (float)lb_rng_normal(&rng);
        x[0] = 3 * (float)f;
        grid_ref(&o, x, N, &want_scale, &want_zero);
        assert_int_equal(lb_grid_fit(&search, x, N, 1, &scale, &zero), LB_OK);
        assert_true(scale == want_scale && zero == want_zero);
        assert_int_equal(lb_grid_fit(&whole, x, N, 1, &plain, &zero), LB_OK);
        far += scale < 0.5f * plain;
    }
    assert_true(far > 0);
}

/* The range contains 0 and every weight: an error of at most half a step (and float32's own), 0 kept exactly. */
static void half_a_step(void **state) {
    (void)state;
    kit k = kit_open(1);
    for (int bits = 2; bits <= 8; bits++) {
        char options[32] = "bits=N group=16";
        options[5] = (char)('0' + bits);
        lb_mat W = kit_random(&k, (uint64_t)bits, 300, 100);
        W.d[7] = 0;
        lb_layer c = kit_run(&k, "rtn", options, W, NULL);
        assert_int_equal(c.flags, LB_FLAG_RAGGED_GROUP);
        lb_mat What = kit_dequantize(&k, &c);
        bool used[256] = {false};
        for (int64_t i = 0; i < 300 * 100; i++) {
            float step = c.scale[i / 100 * 7 + i % 100 / 16];
            assert_true(fabsf(What.d[i] - W.d[i]) <= 0.50001f * step);
            assert_true(c.codes[i] < 1 << bits);
            used[c.codes[i]] = true;
        }
        assert_true(What.d[7] == 0);
        for (int q = 0; q < 1 << bits; q++) assert_true(used[q]); /* all 2^bits levels */
    }
    kit_close(&k);
}

/* What is on a grid stays where it is. The scale fitted to it again is the first one up to float32, if both ends are
 * used. */
static void rounding_again_changes_nothing(void **state) {
    (void)state;
    static const char *const options[] = {"bits=3", "bits=4 group=16", "bits=8 group=tensor", "bits=2 symmetric=true"};
    kit k = kit_open(1);
    for (size_t i = 0; i < 4; i++) {
        lb_mat W = kit_random(&k, i, 16, 96);
        lb_layer c = kit_run(&k, "rtn", options[i], W, NULL);
        lb_mat once = kit_dequantize(&k, &c);
        int maxq = (1 << c.storage.bits) - 1;
        int64_t per_scale = 16 * 96 / lb_storage_scales(&c.storage, 16, 96);
        for (int64_t n = 0; n < 16 * 96; n++) {
            float zero = c.zero ? c.zero[n / per_scale] : (float)((maxq + 1) / 2);
            assert_int_equal(lb_grid_code(once.d[n], c.scale[n / per_scale], zero, maxq), c.codes[n]);
        }
        lb_layer again = kit_run(&k, "rtn", options[i], once, NULL);
        lb_mat twice = kit_dequantize(&k, &again);
        for (int64_t n = 0; n < 16 * 96; n++)
            assert_true(fabsf(twice.d[n] - once.d[n]) <= 2e-6f * fabsf(once.d[n]) || c.storage.symmetric);
    }
    for (int b = 0; b < 2; b++) { /* codebooks: exactly, the absmax being kept */
        lb_mat W = kit_random(&k, 9, 16, 96);
        lb_layer c = kit_run(&k, "nf4", b ? "format=fp4" : "", W, NULL);
        lb_mat once = kit_dequantize(&k, &c);
        c = kit_run(&k, "nf4", b ? "format=fp4" : "", once, NULL);
        lb_mat twice = kit_dequantize(&k, &c);
        for (int64_t n = 0; n < 16 * 96; n++) assert_true(once.d[n] == twice.d[n]);
    }
    kit_close(&k);
}

static double clip_norm_error(const lb_layer *c, lb_mat W, lb_mat What) {
    double sum = 0;
    for (int64_t i = 0; i < c->rows * c->cols; i++) sum += pow(fabs((double)What.d[i] - (double)W.d[i]), 2.4);
    return sum;
}

static void clip_search_never_loses(void **state) {
    (void)state;
    kit k = kit_open(1);
    for (uint64_t seed = 0; seed < 4; seed++) {
        lb_mat W = kit_random(&k, seed, 12, 128);
        lb_layer plain = kit_run(&k, "rtn", "bits=3", W, NULL), search = kit_run(&k, "rtn", "bits=3 mse=true", W, NULL);
        lb_mat a = kit_dequantize(&k, &plain), b = kit_dequantize(&k, &search);
        assert_true(clip_norm_error(&search, W, b) < clip_norm_error(&plain, W, a));
        for (int64_t r = 0; r < 12; r++) assert_true(search.scale[r] <= plain.scale[r]);
    }
    kit_close(&k);
}

/* The nearest of sixteen values, found the slow way; a tie (none here) would go to the lower. */
static void codebook_takes_the_nearest(void **state) {
    (void)state;
    for (int b = 0; b < 2; b++) {
        const lb_format *f = b ? &lb_fp4 : &lb_nf4;
        const float *book = f->values;
        lb_codebook_cuts cuts = lb_codebook_cuts_of(f);
        for (int i = -10007; i <= 10007; i++) {
            float x = (float)i / 10007.0f, best = 9;
            for (int q = 0; q < 16; q++) best = fminf(best, fabsf(book[q] - x));
            float got = fabsf(book[lb_codebook_code(&cuts, x)] - x);
            assert_true(got <= best + 1e-7f);
        }
    }
    const float *map = lb_dynamic_map();
    for (int i = 0; i < 255; i++) assert_true(map[i] < map[i + 1]);
    assert_true(map[127] == 0 && map[255] == 1);
}

static void extremes(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_gridspec g = {4, false, false, LB_SCALE_F32};
    float scale, zero, tiny[] = {FLT_TRUE_MIN, -FLT_TRUE_MIN, 0}, huge[] = {FLT_MAX, -FLT_MAX}, bad[] = {1, NAN};
    assert_int_equal(lb_grid_fit(&g, tiny, 3, 1, &scale, &zero), LB_OK);
    assert_true(scale > 0);
    for (int i = 0; i < 3; i++)
        assert_true(isfinite(lb_grid_value(lb_grid_code(tiny[i], scale, zero, 15), scale, zero)));
    assert_int_equal(lb_grid_fit(&g, huge, 2, 1, &scale, &zero), LB_E_NUMERIC);
    assert_error_has("overflows float32");
    assert_int_equal(lb_grid_fit(&g, bad, 2, 1, &scale, &zero), LB_E_NUMERIC);
    assert_error_has("value 1 is nan");
    /* float16 scales of weights that are far too small for them: coarse, but finite and in range */
    lb_mat W = kit_random(&k, 3, 4, 32);
    for (int n = 0; n < 4 * 32; n++) W.d[n] *= 1e-9f;
    lb_layer c = kit_run(&k, "rtn", "bits=8 scale_type=f16", W, NULL);
    lb_mat What = kit_dequantize(&k, &c);
    for (int n = 0; n < 4 * 32; n++) assert_true(isfinite(What.d[n]));
    for (int r = 0; r < 4; r++) assert_true(c.zero[r] >= 0 && c.zero[r] <= 255);
    W = kit_random(&k, 3, 4, 32);
    W.d[40] = NAN;
    assert_int_equal(kit_try(&k, "rtn", "", W, NULL, &c), LB_E_NUMERIC);
    assert_error_has("layer 0.test: weight at row 1, column 8 is nan");
    assert_int_equal(kit_try(&k, "nf4", "", W, NULL, &c), LB_E_NUMERIC);
    kit_close(&k);
}

static void threads_and_gaps_do_not_matter(void **state) {
    (void)state;
    static const char *const t[][2] = {{"rtn", "bits=3 group=16 mse=true"},
                                       {"rtn", "group=tensor"},
                                       {"nf4", "group=32 double_quant=true"},
                                       {"rtn", "format=mxfp4 group=32"},
                                       {"hqq", "bits=2 group=16"},
                                       {"cast", "type=bf16"},
                                       {"wanda", "pattern=2:4"},
                                       {"wanda", "sparsity=0"},
                                       {"low_rank", "rank=5"}};
    kit one = kit_open(1), four = kit_open(4);
    lb_mat W = kit_random(&one, 6, 700, 64), wide = kit_random(&one, 7, 700, 80);
    for (int64_t r = 0; r < 700; r++) memcpy(wide.d + r * 80, W.d + r * 64, 64 * sizeof(float));
    wide.cols = 64; /* ld 80 */
    lb_stats stats = kit_stats(&one, 6, 300, 64);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const lb_stats *need = lb_method_find(t[i][0])->needs & LB_NEEDS_HESSIAN ? &stats : NULL;
        lb_layer a = kit_run(&one, t[i][0], t[i][1], W, need), b = kit_run(&four, t[i][0], t[i][1], wide, need);
        lb_size z;
        assert_int_equal(lb_layer_size(&a, &z), LB_OK);
        uint8_t *one_bytes = lb_arena_get(one.arena, 1, (size_t)z.total);
        uint8_t *four_bytes = lb_arena_get(one.arena, 1, (size_t)z.total);
        assert_true(one_bytes && four_bytes);
        assert_int_equal(lb_layer_pack(&a, one.team, one_bytes, z.total), LB_OK);
        assert_int_equal(lb_layer_pack(&b, four.team, four_bytes, z.total), LB_OK);
        assert_memory_equal(one_bytes, four_bytes, (size_t)z.total);
    }
    kit_close(&one);
    kit_close(&four);
}

static void refused(void **state) {
    (void)state;
    kit k = kit_open(1);
    const lb_method *m = lb_method_find("nf4");
    assert_int_equal(m->check(kit_options(&k, m, "bits=3")), LB_E_UNSUPPORTED);
    assert_error_has("nf4 has 16 values, so bits must be 4, not 3");
    assert_int_equal(m->check(kit_options(&k, m, "group=row format=fp4")), LB_E_UNSUPPORTED);
    assert_error_has("fp4 blocks are runs of weights: group must be a number, not row");
    assert_int_equal(m->check(kit_options(&k, m, "double_quant=true scale_type=f16")), LB_E_UNSUPPORTED);
    assert_int_equal(m->check(kit_options(&k, m, "double_quant=true")), LB_OK);
    kit_close(&k);
}

static void every_allocation_fails_once(void **state) {
    (void)state;
    static const char *const t[][2] = {{"rtn", "group=tensor"}, {"nf4", "double_quant=true"},    {"none", ""},
                                       {"hqq", "group=16"},     {"rtn", "format=affine bits=2"}, {"wanda", ""},
                                       {"low_rank", "rank=3"}};
    kit k = kit_open(2);
    lb_stats stats = kit_stats(&k, 6, 300, 64);
    lb_mat W = kit_random(&k, 6, 40, 70);
    W.cols = 64; /* a gap behind each row: per tensor makes a copy */
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const lb_method *m = lb_method_find(t[i][0]);
        const void *opts = kit_options(&k, m, t[i][1]);
        for (int64_t nth = 1;; nth++) {
            lb_arena *a = NULL;
            lb_layer c;
            lb_alloc_fail_at(nth);
            lb_status st = lb_arena_new(64, &a);
            lb_layer_in in = {"0.test", lb_mat_c(W), NULL, &stats, 0, a, a, k.team, NULL};
            if (st == LB_OK) st = m->layer(&in, opts, &c);
            bool reached = lb_alloc_count() >= nth;
            lb_alloc_fail_at(0);
            lb_arena_free(a);
            assert_int_equal(st, reached ? LB_E_NOMEM : LB_OK);
            if (!reached) break;
            assert_true(nth < 50);
        }
    }
    kit_close(&k);
}

/* A column through any format is what its blocks give one weight at a time; the vector kernel of the uniform grid too.
 */
static void columns_are_blocks(void **state) {
    (void)state;
    enum { N = 37 };
    lb_rng rng = lb_rng_make(21, 0);
    for (int f = 0; lb_formats[f]; f++)
        for (int i = 0; i < 50; i++) {
            lb_storage s = {.format = lb_formats[f], .group = 16, .symmetric = i % 3 == 0};
            int more = s.format->bits_max - s.format->bits_min;
            s.bits = s.format->bits_min + (more ? i % (more + 1) : 0);
            double w[N], err[N], d = 0.1 + lb_rng_uniform(&rng);
            float scale[N], zero[N];
            uint8_t code[N];
            for (int k = 0; k < N; k++) {
                float block[16];
                for (int b = 0; b < 16; b++) block[b] = (float)lb_rng_normal(&rng);
                w[k] = k == 3 ? 0 : 2 * lb_rng_normal(&rng);
                assert_int_equal(s.format->fit(&s, false, block, 16, &scale[k], &zero[k]), LB_OK);
            }
            assert_true(lb_format_column_encoder(s.format)(code, err, w, scale, zero, d, N, &s));
            for (int k = 0; k < N; k++) {
                float x = (float)w[k], value;
                uint8_t alone;
                s.format->encode(&s, &x, 1, scale[k], zero[k], &alone);
                s.format->decode(&s, &alone, 1, scale[k], zero[k], &value);
                assert_int_equal(code[k], alone);
                assert_true(err[k] == (w[k] - (double)value) / d);
            }
            w[N - 1] = i % 2 ? NAN : INFINITY;
            assert_false(lb_format_column_encoder(s.format)(code, err, w, scale, zero, d, N, &s));
        }
    assert_ptr_equal(lb_format_find("nf4"), &lb_nf4);
    assert_null(lb_format_find("f16")); /* not a format that options name */
}

int main(void) {
    if (lb_blas_init(4) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_is_the_formula),
        cmocka_unit_test(fit_is_the_twins),
        cmocka_unit_test(half_a_step),
        cmocka_unit_test(rounding_again_changes_nothing),
        cmocka_unit_test(outliers_are_clipped),
        cmocka_unit_test(clip_search_never_loses),
        cmocka_unit_test(codebook_takes_the_nearest),
        cmocka_unit_test(columns_are_blocks),
        cmocka_unit_test(extremes),
        cmocka_unit_test(threads_and_gaps_do_not_matter),
        cmocka_unit_test(refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

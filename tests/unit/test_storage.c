/* Sizes by hand, and that what is packed takes exactly the bytes that are claimed and comes back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/blas.h"
#include "math/half.h"
#include "support/quant_kit.h"

#define UNIFORM .format = &lb_uniform

static void sizes_by_hand(void **state) {
    (void)state;
    static const struct {
        lb_storage s;
        int64_t rows, cols;
        lb_size want;
    } t[] = {
        {{UNIFORM, .bits = 4}, 10, 8, {.weights = 80, .codes = 40, .scales = 40, .zeros = 5, .total = 85}},
        {{UNIFORM, .bits = 3},
         10,
         10,
         {.weights = 100,
          .codes = 38,
          .scales = 40,
          .zeros = 4,
          .padding = 2,
          .total = 84}}, /* 30 bits of 32 in each row, 3.75 bytes of zeros */
        {{UNIFORM, .bits = 3, .group = 64},
         2,
         576,
         {.weights = 1152, .codes = 432, .scales = 72, .zeros = 7, .total = 511}},
        {{UNIFORM, .bits = 4, .group = 128, .symmetric = true, .scale_type = LB_SCALE_F16},
         3,
         576,
         {.weights = 1728, .codes = 864, .scales = 30, .total = 894}}, /* five groups, the last of 64 */
        {{UNIFORM, .bits = 2, .group = LB_GROUP_TENSOR},
         5,
         17,
         {.weights = 85, .codes = 22, .scales = 4, .zeros = 1, .padding = 18, .total = 45}},
        {{UNIFORM, .bits = 8, .group = 16, .order = true},
         1,
         32,
         {.weights = 32, .codes = 32, .scales = 8, .zeros = 2, .order = 64, .total = 106}},
        {{UNIFORM, .bits = 2, .group = 65537, .order = true},
         1,
         65537,
         {.weights = 65537, .codes = 16385, .scales = 4, .zeros = 1, .order = 262148, .padding = 3, .total = 278541}},
        {{.format = &lb_nf4, .bits = 4, .group = 64},
         3,
         50,
         {.weights = 150, .codes = 75, .scales = 12, .codebook = 64, .total = 151}},
        {{.format = &lb_nf4, .bits = 4, .group = 64, .scale_type = LB_SCALE_BF16},
         3,
         50,
         {.weights = 150, .codes = 75, .scales = 6, .codebook = 64, .total = 145}},
        {{.format = &lb_nf4, .bits = 4, .group = 2, .double_quant = true},
         6,
         100,
         {.weights = 600, .codes = 300, .scales = 312, .codebook = 64, .total = 676}},
        {{UNIFORM, .bits = 1, .symmetric = true},
         3,
         40,
         {.weights = 120, .codes = 15, .scales = 12, .padding = 9, .total = 36}},
        {{.format = &lb_affine, .bits = 4, .group = 64, .scale_type = LB_SCALE_F16},
         2,
         100,
         {.weights = 200, .codes = 100, .scales = 8, .zeros = 8, .padding = 4, .total = 120}}, /* a zero is as large as
                                                                                                  a scale */
        {{.format = &lb_f16, .bits = 16}, 3, 5, {.weights = 15, .codes = 30, .total = 30}},
        {{UNIFORM, .bits = 8, .symmetric = true, .act = {.bits = 8, .mode = LB_ACTQUANT_STATIC}},
         4,
         8,
         {.weights = 32, .codes = 32, .scales = 16, .total = 53, .act = 5}}, /* a scale, and a zero in a byte */
        {{.format = &lb_f16, .bits = 16, .act = {.bits = 4, .symmetric = true, .mode = LB_ACTQUANT_STATIC}},
         4,
         8,
         {.weights = 32, .codes = 64, .total = 68, .act = 4}},
        {{.format = &lb_f16, .bits = 16, .act = {.bits = 4, .group = 8}},
         4,
         8,
         {.weights = 32, .codes = 64, .total = 64}},
        {{.format = &lb_f32, .bits = 32}, 3, 5, {.weights = 15, .codes = 60, .total = 60}},
        {{.format = &lb_bfloat16, .bits = 16}, 3, 5, {.weights = 15, .codes = 30, .total = 30}},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        lb_size z;
        if (lb_storage_size(&t[i].s, t[i].rows, t[i].cols, &z) != LB_OK) fail_msg("%s", lb_error());
        if (memcmp(&z, &t[i].want, sizeof z) != 0)
            fail_msg("row %zu: %lld %lld %lld %lld %lld %lld %lld %lld", i, (long long)z.weights, (long long)z.codes,
                     (long long)z.scales, (long long)z.zeros, (long long)z.codebook, (long long)z.order,
                     (long long)z.padding, (long long)z.total);
    }
    lb_storage plain = {UNIFORM, .bits = 4}, quantized = plain;
    quantized.act.bits = 8;
    assert_false(lb_storage_same(&plain, &quantized));
    quantized = lb_storage_base(&quantized); /* how inputs are read is nothing that weights are measured by */
    assert_true(lb_storage_same(&plain, &quantized));
    lb_size sum = {0}, one = {.total = 5, .act = 5};
    lb_size_add(&sum, &one);
    lb_size_add(&sum, &one);
    assert_true(sum.act == 10 && sum.total == 10);
    assert_true(lb_storage_ragged(&t[3].s, 576));
    assert_false(lb_storage_ragged(&t[2].s, 576));
}

static void refused(void **state) {
    (void)state;
    static const lb_storage bad[] = {
        {UNIFORM, .bits = 0},
        {UNIFORM, .bits = 9},
        {UNIFORM, .bits = 4, .group = -2},
        {.format = &lb_nf4, .bits = 3, .group = 64},
        {.format = &lb_nf4, .bits = 4, .group = 0},
        {.format = &lb_nf4, .bits = 4, .group = 64, .double_quant = true, .scale_type = LB_SCALE_F16},
        {.format = &lb_f16, .bits = 8},
        {.bits = 4},
        {UNIFORM, .bits = 4, .mask_of = 5, .mask_keep = 2},
        {UNIFORM, .bits = 4, .mask_of = 4, .mask_keep = 4},
        {UNIFORM, .bits = 4, .mask_of = 4},
        {UNIFORM, .bits = 4, .rank = 5},
        {UNIFORM, .bits = 4, .rank = 1, .rank_type = LB_SCALE_E8M0},
        {UNIFORM, .bits = 4, .t_hadamard = 3},
        {UNIFORM, .bits = 4, .t_hadamard = 8},
        {UNIFORM, .bits = 4, .t_hadamard = -4},
        {UNIFORM, .bits = 4, .t_scale = true, .t_scale_type = LB_SCALE_E8M0},
        {UNIFORM, .bits = 4, .act = {.bits = 1}},
        {UNIFORM, .bits = 4, .act = {.bits = 9}},
        {UNIFORM, .bits = 4, .act = {.bits = 8, .mode = (lb_actquant_mode)2}},
        {UNIFORM, .bits = 4, .act = {.bits = 8, .group = 5}},
        {UNIFORM, .bits = 4, .act = {.bits = 8, .group = -1}},
        {UNIFORM, .bits = 4, .act = {.bits = 8, .mode = LB_ACTQUANT_STATIC, .group = 2}},
    };
    lb_size z;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lb_storage_size(&bad[i], 4, 4, &z), LB_E_ARG);
    const lb_storage good = {UNIFORM, .bits = 4};
    assert_int_equal(lb_storage_size(&good, 0, 4, &z), LB_E_ARG);
    assert_int_equal(lb_storage_size(&good, INT64_MAX / 2, 3, &z), LB_E_ARG);
}

static void text(void **state) {
    (void)state;
    static const struct {
        lb_storage s;
        const char *want;
    } t[] = {
        {{UNIFORM, .bits = 3, .group = 64}, "int3 g64 asym"},
        {{UNIFORM, .bits = 4, .symmetric = true, .scale_type = LB_SCALE_F16}, "int4 row sym f16-scales"},
        {{UNIFORM, .bits = 8, .group = LB_GROUP_TENSOR, .order = true}, "int8 tensor asym order"},
        {{.format = &lb_nf4, .bits = 4, .group = 64, .double_quant = true}, "nf4 b64 dq"},
        {{.format = &lb_fp4, .bits = 4, .group = 32}, "fp4 b32"},
        {{.format = &lb_f32, .bits = 32}, "f32"},
        {{.format = &lb_float16, .bits = 16}, "float16"},
        {{.format = &lb_bfloat16, .bits = 16}, "bfloat16"},
        {{.format = &lb_affine, .bits = 4, .group = 64}, "affine4 g64"},
        {{.format = &lb_affine, .bits = 1, .scale_type = LB_SCALE_F16, .order = true}, "affine1 row f16-scales order"},
        {{UNIFORM, .bits = 1, .symmetric = true}, "int1 row sym"},
        {{UNIFORM, .bits = 4, .group = 64, .symmetric = true, .t_hadamard = 64, .t_scale = true},
         "int4 g64 sym had64 scale"},
        {{UNIFORM, .bits = 4, .t_hadamard = 8, .t_sign = true, .t_scale = true, .t_scale_type = LB_SCALE_F16},
         "int4 row asym had8 signs f16-scale"},
        {{UNIFORM, .bits = 4, .t_scale = true, .t_scale_type = LB_SCALE_BF16}, "int4 row asym bf16-scale"},
        {{UNIFORM, .bits = 8, .symmetric = true, .act = {.bits = 8}}, "int8 row sym a8"},
        {{UNIFORM, .bits = 4, .act = {.bits = 4, .symmetric = true, .group = 128}}, "int4 row asym a4-sym-g128"},
        {{.format = &lb_f16, .bits = 16, .act = {.bits = 8, .mode = LB_ACTQUANT_STATIC}}, "f16 a8-static"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        lb_str s = {0};
        lb_storage_text(&t[i].s, &s);
        assert_string_equal(s.s, t[i].want);
        lb_str_free(&s);
    }
    lb_str s = {0};
    const lb_storage mx = {.format = lb_format_find("mxfp4"), .bits = 4, .group = 32},
                     fp8 = {.format = lb_format_find("fp8"), .bits = 8, .scale_type = LB_SCALE_BF16};
    lb_storage_text(&mx, &s);
    lb_str_add(&s, ", ");
    lb_storage_text(&fp8, &s);
    assert_string_equal(s.s, "mxfp4, fp8 row bf16-scales");
    lb_str_free(&s);
    s = (lb_str){0};
    lb_flags_text(LB_FLAG_DEAD_COLUMNS | LB_FLAG_RAGGED_GROUP, &s);
    assert_string_equal(s.s, "dead-columns,ragged-group");
    lb_str_free(&s);
}

/* 3 bits: 1, 2, 3, 4 are 001 010 011 100 from the lowest bit on: 0xd1, 0x08. */
static void packing_by_hand(void **state) {
    (void)state;
    const uint8_t codes[] = {1, 2, 3, 4, 7, 7, 7, 7};
    uint8_t out[8];
    assert_int_equal(lb_pack_codes(codes, 2, 4, 3, out, 8), LB_OK);
    const uint8_t want[] = {0xd1, 0x08, 0, 0, 0xff, 0x0f, 0, 0};
    assert_memory_equal(out, want, 8);
    assert_int_equal(lb_pack_codes(codes, 2, 4, 3, out, 7), LB_E_ARG);
    assert_int_equal(lb_pack_codes(codes, 2, 4, 2, out, 8), LB_E_ARG);
    assert_error_has("code 4 at row 0, column 3 does not fit in 2 bits");
}

/* Every section of a layer, byte by byte: codes 1 2 3 and 4 7 0 in rows of 32 bits, scales 1 and 0.5, zeros 5 and 2 in
 * one run of bits, an order of 16-bit columns. */
static void layers_by_hand(void **state) {
    (void)state;
    uint8_t codes[] = {1, 2, 3, 4, 7, 0};
    float scale[] = {1, 0.5f}, zero[] = {5, 2};
    int32_t order[] = {2, 0, 1};
    lb_layer c = {.storage = {UNIFORM, .bits = 3, .scale_type = LB_SCALE_F16, .order = true},
                  .rows = 2,
                  .cols = 3,
                  .codes = codes,
                  .scale = scale,
                  .zero = zero,
                  .order = order};
    const uint8_t half[] = {0xd1, 0, 0, 0, 0x3c, 0, 0, 0, 0x00, 0x3c, 0x00, 0x38, 0x15, 2, 0, 0, 0, 1, 0};
    const uint8_t brain[] = {0xd1, 0, 0, 0, 0x3c, 0, 0, 0, 0x80, 0x3f, 0x00, 0x3f, 0x15, 2, 0, 0, 0, 1, 0};
    const uint8_t single[] = {0xd1, 0, 0, 0, 0x3c, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0x00, 0x3f, 0x15, 2, 0, 0, 0, 1, 0};
    uint8_t out[32];
    assert_int_equal(lb_layer_pack(&c, NULL, out, sizeof half), LB_OK);
    assert_memory_equal(out, half, sizeof half);
    c.storage.scale_type = LB_SCALE_BF16;
    assert_int_equal(lb_layer_pack(&c, NULL, out, sizeof brain), LB_OK);
    assert_memory_equal(out, brain, sizeof brain);
    c.storage.scale_type = LB_SCALE_F32;
    assert_int_equal(lb_layer_pack(&c, NULL, out, sizeof single), LB_OK);
    assert_memory_equal(out, single, sizeof single);

    /* A codebook: codes without a gap, one absmax, the sixteen values, of which -1 is the first and 1 the last. */
    uint8_t four[] = {1, 2, 15, 0}, bytes[2 + 4 + 64];
    float absmax = 2;
    lb_layer n = {
        .storage = {.format = &lb_nf4, .bits = 4, .group = 4}, .rows = 2, .cols = 2, .codes = four, .scale = &absmax};
    const uint8_t head[] = {0x21, 0x0f, 0, 0, 0, 0x40, 0, 0, 0x80, 0xbf}, last[] = {0, 0, 0x80, 0x3f};
    assert_int_equal(lb_layer_pack(&n, NULL, bytes, sizeof bytes), LB_OK);
    assert_memory_equal(bytes, head, sizeof head);
    assert_memory_equal(bytes + sizeof bytes - 4, last, 4);
}

/* Columns beyond 65,535 take 32 bits. */
static void long_orders_come_back(void **state) {
    (void)state;
    enum { COLS = 65540 };
    kit k = kit_open(1);
    const lb_storage s = {UNIFORM, .bits = 2, .order = true};
    lb_layer c, back;
    lb_size z;
    assert_int_equal(lb_layer_new(k.arena, &s, 1, COLS, true, &c), LB_OK);
    for (int32_t p = 0; p < COLS; p++) c.order[p] = COLS - 1 - p;
    assert_int_equal(lb_layer_size(&c, &z), LB_OK);
    assert_int_equal(z.order, 4 * COLS);
    uint8_t *bytes = lb_arena_get(k.arena, 1, (size_t)z.total);
    assert_non_null(bytes);
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, z.total), LB_OK);
    assert_int_equal(lb_layer_unpack(k.arena, &s, 1, COLS, NULL, bytes, z.total, &back), LB_OK);
    assert_memory_equal(c.order, back.order, COLS * sizeof *c.order);
    kit_close(&k);
}

/* Formats that differ in anything that their bytes show are not the same. */
static void other_storages(void **state) {
    (void)state;
    static const lb_storage s[] = {
        {UNIFORM, .bits = 4},
        {UNIFORM, .bits = 3},
        {UNIFORM, .bits = 4, .group = 64},
        {UNIFORM, .bits = 4, .symmetric = true},
        {UNIFORM, .bits = 4, .scale_type = LB_SCALE_F16},
        {UNIFORM, .bits = 4, .scale_type = LB_SCALE_BF16},
        {UNIFORM, .bits = 4, .order = true},
        {.format = &lb_nf4, .bits = 4, .group = 64},
        {.format = &lb_nf4, .bits = 4, .group = 32},
        {.format = &lb_fp4, .bits = 4, .group = 64},
        {.format = &lb_nf4, .bits = 4, .group = 64, .double_quant = true},
        {.format = &lb_nf4, .bits = 4, .group = 64, .scale_type = LB_SCALE_F16},
        {.format = &lb_f16, .bits = 16},
        {.format = &lb_f32, .bits = 32},
        {.format = &lb_affine, .bits = 4},
        {UNIFORM, .bits = 4, .mask_of = 4, .mask_keep = 2},
        {UNIFORM, .bits = 4, .mask_of = 4, .mask_keep = 3},
        {UNIFORM, .bits = 4, .rank = 1},
        {UNIFORM, .bits = 4, .rank = 1, .rank_type = LB_SCALE_F16},
        {.format = &lb_f16, .bits = 16, .mask_of = 4, .mask_keep = 2},
        {UNIFORM, .bits = 4, .t_hadamard = 4},
        {UNIFORM, .bits = 4, .t_hadamard = 8},
        {UNIFORM, .bits = 4, .t_sign = true},
        {UNIFORM, .bits = 4, .t_scale = true},
        {UNIFORM, .bits = 4, .t_scale = true, .t_scale_type = LB_SCALE_F16},
        {.format = &lb_f16, .bits = 16, .t_sign = true},
    };
    enum { N = sizeof s / sizeof s[0] };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) assert_int_equal(lb_storage_same(&s[i], &s[j]), i == j);
}

static void codes_come_back(void **state) {
    (void)state;
    lb_rng rng = lb_rng_make(1, 1);
    uint8_t codes[5 * 77], back[5 * 77], packed[5 * 80];
    for (int bits = 1; bits <= 8; bits++)
        for (int64_t cols = 1; cols <= 77; cols++) {
            int64_t bytes = 5 * lb_packed_row_bytes(cols, bits);
            for (int64_t i = 0; i < 5 * cols; i++) codes[i] = (uint8_t)lb_rng_below(&rng, 1 << bits);
            assert_int_equal(lb_pack_codes(codes, 5, cols, bits, packed, bytes), LB_OK);
            assert_int_equal(lb_unpack_codes(packed, bytes, 5, cols, bits, back), LB_OK);
            assert_memory_equal(codes, back, (size_t)(5 * cols));
        }
}

/* Every method's result, packed into exactly the bytes that its size claims and unpacked into a heap block of just that
 * length, is the same layer again. */
static void layers_come_back(void **state) {
    (void)state;
    static const char *const t[][2] = {
        {"rtn", "bits=3"},
        {"rtn", "bits=5 group=16 scale_type=f16"},
        {"rtn", "bits=8 group=tensor symmetric=true"},
        {"rtn", "bits=2 group=24 scale_type=bf16"},
        {"gptq", "bits=3 group=16 act_order=true"},
        {"gptq", "bits=4 group=24 act_order=true symmetric=true scale_type=bf16"},
        {"nf4", ""},
        {"nf4", "format=fp4 group=32 scale_type=f16"},
        {"nf4", "group=2 double_quant=true"},
        {"none", ""},
        {"cast", "type=f16"},
        {"cast", "type=bf16"},
        {"rtn", "bits=1 group=16"},
        {"rtn", "bits=1 group=16 symmetric=true"},
        {"rtn", "format=affine bits=3 group=24 scale_type=bf16"},
        {"rtn", "format=fp8 bits=8"},
        {"rtn", "format=mxfp4 group=32"},
        {"gptq", "format=mxfp4 group=32 act_order=true"},
        {"gptq", "format=affine bits=2 group=16"},
        {"gptq", "format=fp8 bits=8 group=tensor"},
        {"gptq", "format=nf4 group=35"},
        {"gptq", "bits=1 symmetric=true"},
        {"hqq", "bits=2 group=24 scale_type=f16"},
        {"hqq", "bits=1 group=row iters=0"},
        {"wanda", "sparsity=0.3"},
        {"wanda", "pattern=2:4"},
        {"wanda", "pattern=4:8"},
        {"wanda", "sparsity=0"},
        {"low_rank", "bits=3 group=16 rank=4"},
        {"low_rank", "format=mxfp4 group=32 rank=19 rank_type=f32"},
    };
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 4, 19, 70);
    lb_stats stats = kit_stats(&k, 4, 200, 70);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        lb_layer c = kit_run(&k, t[i][0], t[i][1], W, &stats), back;
        lb_storage spec;
        lb_size z, promised;
        const lb_method *m = lb_method_find(t[i][0]);
        assert_int_equal(m->spec(kit_options(&k, m, t[i][1]), 19, 70, &spec), LB_OK);
        assert_int_equal(lb_storage_size(&spec, 19, 70, &promised), LB_OK);
        assert_int_equal(lb_layer_size(&c, &z), LB_OK);
        assert_memory_equal(&z, &promised, sizeof z);
        uint8_t *bytes = malloc((size_t)z.total);
        assert_int_equal(lb_layer_pack(&c, k.team, bytes, z.total), LB_OK);
        assert_int_equal(lb_layer_unpack(k.arena, &c.storage, 19, 70, k.team, bytes, z.total, &back), LB_OK);
        assert_int_equal(lb_layer_pack(&c, k.team, bytes, z.total - 1), LB_E_ARG);
        lb_mat a = kit_dequantize(&k, &c), b = kit_dequantize(&k, &back);
        if (lb_storage_dense(&c.storage) && !c.storage.format->rounds) /* zeros that are not kept stay zeros */
            for (int64_t n = 0; n < 19 * 70; n++) a.d[n] = lb_f16_to_f32(lb_f32_to_f16(a.d[n]));
        assert_memory_equal(a.d, b.d, 19 * 70 * sizeof(float));
        /* Kept packed, any run of rows gives the same numbers. */
        lb_packed *kept;
        float row[19 * 70];
        assert_int_equal(lb_packed_new(k.arena, &c.storage, 19, 70, bytes, z.total, &kept), LB_OK);
        for (int64_t r = 0; r < 19; r++)
            for (int64_t end = r + 1; end <= 19; end += 3) {
                assert_int_equal(lb_packed_read(kept, r, end - r, row), LB_OK);
                assert_memory_equal(row, b.d + r * 70, (size_t)(end - r) * 70 * sizeof *row);
            }
        if (c.order) assert_memory_equal(c.order, back.order, 70 * sizeof(int32_t));
        if (spec.order) { /* the order is the last section: a column that the layer lacks */
            memset(bytes + z.total - 2, 0xff, 2);
            assert_int_equal(lb_layer_unpack(k.arena, &c.storage, 19, 70, k.team, bytes, z.total, &back), LB_E_FORMAT);
        }
        free(bytes);
    }
    kit_close(&k);
}

/* A mask, one bit a weight, and a pair: codes 1 2 of columns 0 and 2, then 3 4 of columns 1 and 2; A = (1, 2, 3),
 * B = (1; -1) in float16. */
static void compositions_by_hand(void **state) {
    (void)state;
    uint8_t codes[] = {1, 0, 2, 0, 3, 4}, mask[] = {0x05, 0x06};
    float scale[] = {1, 0.5f}, A[] = {1, 2, 3}, B[] = {1, -1};
    const lb_storage s = {UNIFORM,      .bits = 3,      .symmetric = true, .scale_type = LB_SCALE_F16,
                          .mask_of = 3, .mask_keep = 2, .rank = 1,         .rank_type = LB_SCALE_F16};
    lb_layer c = {.storage = s, .rows = 2, .cols = 3, .codes = codes, .scale = scale, .mask = mask, .A = A, .B = B},
             back;
    lb_size z;
    lb_str text = {0};
    assert_int_equal(lb_layer_size(&c, &z), LB_OK);
    /* twelve bits of codes in two rows of 32, two scales, a byte of mask a row, 3 + 2 halves */
    const lb_size want = {.weights = 6, .codes = 2, .scales = 4, .padding = 6, .total = 24, .mask = 2, .low_rank = 10};
    assert_memory_equal(&z, &want, sizeof z);
    lb_size twice = z;
    lb_size_add(&twice, &z);
    const lb_size sum = {.weights = 12, .codes = 4, .scales = 8, .padding = 12, .total = 48, .mask = 4, .low_rank = 20};
    assert_memory_equal(&twice, &sum, sizeof sum);
    uint8_t bytes[24];
    const uint8_t hand[] = {0x11, 0, 0,    0,    0x23, 0,    0,    0,    0x00, 0x3c, 0x00, 0x38,
                            5,    6, 0x00, 0x3c, 0x00, 0x40, 0x00, 0x42, 0x00, 0x3c, 0x00, 0xbc};
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, sizeof bytes), LB_OK);
    assert_memory_equal(bytes, hand, sizeof hand);
    kit k = kit_open(1);
    assert_int_equal(lb_layer_unpack(k.arena, &s, 2, 3, NULL, bytes, sizeof bytes, &back), LB_OK);
    /* (code - 4) scale where kept, and B A */
    const float W[] = {-3 + 1, 2, -2 + 3, -1, -0.5f - 2, -3};
    lb_mat What = kit_dequantize(&k, &back);
    for (int i = 0; i < 6; i++) assert_true(What.d[i] == W[i]);
    lb_storage_text(&s, &text);
    assert_string_equal(text.s, "int3 row sym f16-scales keep2:3 rank1 f16-pair");
    lb_str_free(&text);
    codes[1] = 1;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("code 1 at row 0, column 1 is not kept: must be 0");
    codes[1] = 0;
    mask[1] = 0x07;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("mask at row 1, columns 0 to 2: keeps 3, must keep 2");
    mask[1] = 0x46;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("mask at row 1: keeps columns beyond the last");
    mask[1] = 0x06;
    B[1] = 0.1f;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("B is 0.100000001 at row 1, column 0: must be a number of its type");
    bytes[13] = 7; /* more than there are codes for */
    assert_int_equal(lb_layer_unpack(k.arena, &s, 2, 3, NULL, bytes, sizeof bytes, &back), LB_E_FORMAT);
    kit_close(&k);
}

/* E8M0: a byte of exponents, mxfp4's blocks of 32 columns. */
static void powers_of_two(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_storage s = {.format = lb_format_find("mxfp4"), .bits = 4, .group = 32};
    lb_layer c;
    lb_size z;
    uint8_t bytes[64];
    assert_int_equal(lb_layer_new(k.arena, &s, 2, 40, false, &c), LB_OK);
    const float scale[] = {0x1p-127f, 1, 0.25f, 0x1p127f};
    memcpy(c.scale, scale, sizeof scale);
    c.codes[0] = 7;
    c.codes[79] = 15;
    assert_int_equal(lb_layer_size(&c, &z), LB_OK);
    assert_int_equal(z.total, 2 * 20 + 4);
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, z.total), LB_OK);
    const uint8_t last[] = {0, 127, 125, 254};
    assert_memory_equal(bytes + 40, last, 4);
    assert_int_equal(bytes[0], 7);
    assert_int_equal(bytes[39], 0xf0);
    c.scale[2] = 3;
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, z.total), LB_E_ARG);
    assert_error_has("scale 3 at row 1, group 0: must be a power of two from 2^-127 to 2^127, as which it would be 2");
    s.format = lb_format_find("fp8");
    s.bits = 8;
    assert_int_equal(lb_layer_new(k.arena, &s, 2, 40, false, &c), LB_OK);
    c.codes[41] = 0xff;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("code 255 at row 1, column 1 is no number of format fp8");
    kit_close(&k);
}

/* What one bit means: symmetric the sign and the mean, else 0 or the farther end. */
static void one_bit(void **state) {
    (void)state;
    kit k = kit_open(1);
    float w[] = {1, -3, 0.5f, -0.5f, 0, 4, 1, -1, 0, 0, 0, 0};
    lb_mat W = lb_mat_of(w, 3, 4);
    lb_layer c = kit_run(&k, "rtn", "bits=1 symmetric=true", W, NULL);
    lb_mat What = kit_dequantize(&k, &c);
    const float signs[] = {1.25f, -1.25f, 1.25f, -1.25f, 1.5f, 1.5f, 1.5f, -1.5f, 0, 0, 0, 0};
    assert_memory_equal(What.d, signs, sizeof signs);
    c = kit_run(&k, "rtn", "bits=1", W, NULL);
    What = kit_dequantize(&k, &c);
    const float ends[] = {0, -4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 12; i++) assert_true(What.d[i] == ends[i]);
    kit_close(&k);
}

/* Options that a format does not have are refused, with what it has. */
static void options_of_formats(void **state) {
    (void)state;
    static const char *const t[][3] = {
        {"rtn", "format=fp8", "format fp8 has 8 bits: bits must be 8, not 4"},
        {"rtn", "format=mxfp4", "format mxfp4 has blocks of 32: group must be 32, not row"},
        {"rtn", "format=mxfp4 group=64", "group must be 32, not 64"},
        {"rtn", "format=mxfp4 group=32 scale_type=f16", "scale_type f16 does not apply to format mxfp4"},
        {"rtn", "format=affine symmetric=true", "symmetric true does not apply to format affine"},
        {"rtn", "format=fp8 bits=8 mse=true", "mse true does not apply to format fp8"},
        {"rtn", "format=nf4", "nf4 blocks are runs of weights: group must be a number, not row"},
        {"rtn", "bits=1 symmetric=true mse=true", "mse true does not apply to symmetric codes of 1 bit"},
        {"gptq", "format=nf4 group=35 act_order=true", "act_order needs static_groups: format nf4 stores no order"},
    };
    kit k = kit_open(1);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const lb_method *m = lb_method_find(t[i][0]);
        assert_int_equal(m->check(kit_options(&k, m, t[i][1])), LB_E_UNSUPPORTED);
        assert_error_has(t[i][2]);
    }
    const lb_method *m = lb_method_find("gptq");
    lb_storage s;
    assert_int_equal(m->spec(kit_options(&k, m, "format=nf4 group=35"), 4, 70, &s), LB_OK);
    assert_int_equal(m->spec(kit_options(&k, m, "format=nf4 group=35"), 4, 71, &s), LB_E_UNSUPPORTED);
    assert_error_has("nf4 blocks run on over row ends where 35 does not divide 71 columns");
    kit_close(&k);
}

static void scales_are_rounded_first(void **state) {
    (void)state;
    assert_true(lb_scale_round(LB_SCALE_F32, 0.1f) == 0.1f);
    assert_true(lb_scale_round(LB_SCALE_F16, 0.1f) == 0.0999755859375f);
    assert_true(lb_scale_round(LB_SCALE_BF16, 0.1f) == 0.10009765625f);
    assert_true(lb_scale_round(LB_SCALE_F16, 1e-12f) == 5.9604644775390625e-8f); /* the smallest, not 0 */
    assert_true(lb_scale_round(LB_SCALE_F16, 1e6f) == 65504.0f);                 /* the largest, not infinite */
    assert_true(lb_scale_round(LB_SCALE_BF16, 3.4e38f) == 3.3895313892515355e38f);
    assert_true(lb_scale_round(LB_SCALE_BF16, 1e-45f) == 9.183549615799121e-41f);
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 6, 30, 64);
    lb_stats stats = kit_stats(&k, 6, 200, 64);
    static const char *const t[][2] = {{"rtn", "bits=4 group=16 scale_type=f16"},
                                       {"rtn", "bits=8 mse=true scale_type=f16"},
                                       {"gptq", "bits=4 group=16 scale_type=f16"},
                                       {"nf4", "scale_type=f16"}};
    for (size_t i = 0; i < 4; i++) {
        lb_layer c = kit_run(&k, t[i][0], t[i][1], W, &stats);
        for (int64_t s = 0; s < lb_storage_scales(&c.storage, 30, 64); s++)
            assert_true(c.scale[s] > 0 && c.scale[s] == lb_f16_to_f32(lb_f32_to_f16(c.scale[s])));
        /* the codes belong to the rounded scales */
        lb_mat What = kit_dequantize(&k, &c);
        for (int64_t n = 0; i < 2 && n < 30 * 64; n++) {
            int64_t at = i == 0 ? n / 16 : n / 64;
            assert_int_equal(c.codes[n], lb_grid_code(W.d[n], c.scale[at], c.zero[at], i == 0 ? 15 : 255));
            assert_true(What.d[n] == lb_grid_value(c.codes[n], c.scale[at], c.zero[at]));
        }
    }
    kit_close(&k);
}

static void every_allocation_fails_once(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 4, 19, 70);
    lb_layer c = kit_run(&k, "rtn", "bits=3", W, NULL), back;
    lb_size z;
    assert_int_equal(lb_layer_size(&c, &z), LB_OK);
    uint8_t *bytes = malloc((size_t)z.total);
    for (int64_t nth = 1;; nth++) {
        lb_arena *a = NULL;
        lb_alloc_fail_at(nth);
        lb_status st = lb_arena_new(64, &a);
        if (st == LB_OK) st = lb_layer_pack(&c, k.team, bytes, z.total);
        if (st == LB_OK) st = lb_layer_unpack(a, &c.storage, 19, 70, k.team, bytes, z.total, &back);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        lb_arena_free(a);
        assert_int_equal(st, reached ? LB_E_NOMEM : LB_OK);
        if (!reached) break;
    }
    free(bytes);
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_by_hand),
        cmocka_unit_test(refused),
        cmocka_unit_test(text),
        cmocka_unit_test(packing_by_hand),
        cmocka_unit_test(layers_by_hand),
        cmocka_unit_test(long_orders_come_back),
        cmocka_unit_test(other_storages),
        cmocka_unit_test(codes_come_back),
        cmocka_unit_test(layers_come_back),
        cmocka_unit_test(compositions_by_hand),

        cmocka_unit_test(powers_of_two),
        cmocka_unit_test(one_bit),
        cmocka_unit_test(options_of_formats),
        cmocka_unit_test(scales_are_rounded_first),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A layer is what its bytes say: whatever the storage and whatever the values, lb_layer_pack either refuses,
 * naming the value, or writes bytes that dequantize to the same bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "math/half.h"
#include "quant/formats/codebook.h"
#include "support/quant_kit.h"

static lb_rng rng;
static int64_t below(int64_t n) { return lb_rng_below(&rng, n); }

static float any_float(void) {
    static const uint32_t edge[] = {0x00000000, 0x80000000, 0x00000001, 0x7f7fffff, 0x7f800000, 0xff800000,
                                    0x7fc00000, 0x3f800000, 0x33800000, 0x477fe000, 0x477ff000, 0x00800000};
    uint32_t u = below(2) ? edge[below(12)] : (uint32_t)lb_rng_u64(&rng);
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* A value that the type holds, of any size and sign. */
static float any_scale(lb_scale_type t) {
    for (;;) {
        float x = any_float();
        if (t == LB_SCALE_F16) x = below(4) ? lb_f16_to_f32((uint16_t)below(65536)) : lb_f16_to_f32(lb_f32_to_f16(x));
        if (t == LB_SCALE_E8M0) x = ldexpf(1, (int)below(255) - 127);
        if (t == LB_SCALE_BF16) x = lb_bf16_to_f32(lb_f32_to_bf16(x));
        if (isfinite(x)) return x;
    }
}

static lb_storage any_storage(void) {
    static const lb_format *const floats[] = {&lb_f32, &lb_f16, &lb_float16, &lb_bfloat16};
    static const lb_format *const books[] = {&lb_nf4, &lb_fp4};
    const lb_format *const others[] = {&lb_affine, lb_format_find("fp8"), lb_format_find("mxfp4")};
    lb_storage s = {.format = below(8) == 0   ? floats[below(4)]
                              : below(3) == 0 ? books[below(2)]
                              : below(3) == 0 ? others[below(3)]
                                              : &lb_uniform};
    s.scale_type = (lb_scale_type)below(3);
    if (lb_storage_dense(&s)) {
        s.bits = s.format->bits_min;
    } else if (s.format->shape == LB_SHAPE_FLAT) {
        s.bits = 4;
        s.group = 1 + below(100);
        s.double_quant = below(2);
        if (s.double_quant) s.scale_type = LB_SCALE_F32;
    } else {
        s.bits = (int)(s.format->bits_min + below(s.format->bits_max - s.format->bits_min + 1));
        s.group = below(4) ? 1 + below(70) : below(2) ? LB_GROUP_ROW : LB_GROUP_TENSOR;
        s.symmetric = s.format == &lb_uniform && below(2);
        s.order = below(3) == 0;
        if (s.format->group) s.group = s.format->group, s.scale_type = LB_SCALE_E8M0;
    }
    return s;
}

static lb_scale_type dense_type(const lb_storage *s) {
    return s->format == &lb_bfloat16 ? LB_SCALE_BF16 : s->bits == 16 ? LB_SCALE_F16 : LB_SCALE_F32;
}

/* A mask and a pair of matrices, where the shape has room; a quantizer of the input. */
static void add_parts(lb_storage *s, int64_t rows, int64_t cols) {
    if (below(4) == 0 && cols >= 2) {
        s->mask_of = 2 + below(below(2) && cols >= 8 ? 7 : cols - 1);
        s->mask_keep = 1 + below(s->mask_of - 1);
    }
    if (below(4) == 0) {
        s->rank = 1 + below(rows < cols ? rows : cols);
        s->rank_type = (lb_scale_type)below(3);
    }
    s->t_sign = below(4) == 0;
    s->t_scale = below(4) == 0;
    s->t_scale_type = (lb_scale_type)below(3);
    if (below(4) == 0) /* the largest power of two that divides the columns, or a smaller one */
        for (s->t_hadamard = 1; cols % (2 * s->t_hadamard) == 0 && (s->t_hadamard == 1 || below(3));)
            s->t_hadamard *= 2;
    if (s->t_hadamard == 1) s->t_hadamard = 0;
    if (below(4) == 0) {
        s->act = (lb_actquant){.bits = (int)(2 + below(7)), .symmetric = below(2), .mode = (lb_actquant_mode)below(2)};
        if (s->act.mode == LB_ACTQUANT_TOKEN) s->act.group = below(cols + 1);
    }
}

static void any_transform(lb_layer *c) {
    float *scale = (float *)(uintptr_t)c->T.scale;
    uint8_t *sign = (uint8_t *)(uintptr_t)c->T.sign;
    for (int64_t i = 0; scale && i < c->cols; i++) do
            scale[i] = any_scale(c->storage.t_scale_type);
        while (scale[i] == 0);
    for (int64_t i = 0; sign && i < c->cols; i++)
        if (below(2)) sign[i / 8] |= (uint8_t)(1 << i % 8);
}

/* As many bits in each run as it keeps; nothing where nothing is kept. */
static void any_mask(lb_layer *c) {
    int64_t of = c->storage.mask_of, keep = c->storage.mask_keep, bytes = lb_mask_row_bytes(c->cols);
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t start = 0; start < c->cols; start += of) {
            int64_t n = start + of < c->cols ? of : c->cols - start, left = keep < n ? keep : n;
            for (int64_t i = 0; i < n; i++) {
                bool kept = below(n - i) < left;
                int64_t col = start + i;
                left -= kept;
                if (kept)
                    c->mask[r * bytes + col / 8] |= (uint8_t)(1 << col % 8);
                else if (c->codes)
                    c->codes[r * c->cols + col] = 0;
                else
                    c->dense[r * c->cols + col] = 0;
            }
        }
}

static lb_layer any_layer(const kit *k, const lb_storage *s, int64_t rows, int64_t cols) {
    lb_layer c;
    assert_int_equal(lb_layer_new(k->arena, s, rows, cols, s->order, &c), LB_OK);
    if (lb_actquant_is_static(&s->act)) {
        do c.act_scale = fabsf(any_scale(LB_SCALE_F32));
        while (c.act_scale == 0);
        c.act_zero = s->act.symmetric ? 0 : (float)below(1 << s->act.bits);
    }
    for (int64_t i = 0; c.A && i < s->rank * cols; i++) c.A[i] = any_scale(s->rank_type);
    for (int64_t i = 0; c.B && i < rows * s->rank; i++) c.B[i] = any_scale(s->rank_type);
    any_transform(&c);
    for (int64_t i = 0; c.dense && i < rows * cols; i++) c.dense[i] = any_scale(dense_type(s));
    if (c.dense && c.mask) any_mask(&c);
    if (c.dense) return c;
    int64_t scales = lb_storage_scales(s, rows, cols);
    for (int64_t i = 0; i < rows * cols; i++) do
            c.codes[i] = (uint8_t)below(1 << s->bits);
        while (s->format->is_code && !s->format->is_code(c.codes[i]));
    if (c.mask) any_mask(&c);
    for (int64_t i = 0; i < scales; i++) c.scale[i] = any_scale(s->scale_type);
    for (int64_t i = 0; c.zero && i < scales; i++)
        c.zero[i] = s->format == &lb_affine ? any_scale(s->scale_type) : (float)below(1 << s->bits);
    for (int64_t p = 0; c.order && p < cols; p++) { /* a shuffle */
        int64_t other = below(p + 1);
        c.order[p] = c.order[other];
        c.order[other] = (int32_t)p;
    }
    if (!c.dq_code) return c;
    for (int64_t i = 0; i < scales; i++) c.dq_code[i] = (uint8_t)below(256);
    for (int64_t i = 0; i < (scales - 1) / LB_DOUBLE_QUANT_BLOCK + 1; i++) c.dq_scale[i] = (float)below(1000) / 7;
    c.dq_mean = (float)below(1000) / 3;
    lb_double_quant_expand(c.dq_code, c.dq_scale, c.dq_mean, scales, c.scale);
    return c;
}

/* Packed, unpacked: the same bits, at any number of threads and in any run of rows. False: refused. */
static bool survives(const kit *one, const kit *four, const lb_layer *c) {
    lb_size z;
    assert_int_equal(lb_layer_size(c, &z), LB_OK);
    uint8_t *a = malloc((size_t)z.total), *b = malloc((size_t)z.total);
    memset(a, 0x55, (size_t)z.total); /* every byte is written */
    memset(b, 0xaa, (size_t)z.total);
    lb_status st = lb_layer_pack(c, one->team, a, z.total);
    assert_int_equal(lb_layer_pack(c, four->team, b, z.total), st);
    if (st != LB_OK) {
        assert_true(st == LB_E_ARG || st == LB_E_NUMERIC);
        assert_int_equal(lb_layer_check(c, four->team), st);
        free(a);
        free(b);
        return false;
    }
    assert_memory_equal(a, b, (size_t)z.total);
    lb_layer back;
    lb_packed *kept;
    assert_int_equal(lb_layer_unpack(one->arena, &c->storage, c->rows, c->cols, four->team, a, z.total, &back), LB_OK);
    assert_int_equal(lb_packed_new(one->arena, &c->storage, c->rows, c->cols, a, z.total, &kept), LB_OK);
    assert_true(lb_transform_same(&c->T, &back.T, c->cols) &&
                lb_transform_same(&c->T, lb_packed_transform(kept), c->cols));
    const lb_actquant act = lb_layer_act(c), read = lb_layer_act(&back), of_packed = lb_packed_act(kept);
    assert_true(lb_actquant_same(&act, &read) && lb_actquant_same(&act, &of_packed));
    lb_mat want = kit_dequantize(one, c), got = kit_dequantize(one, &back);
    size_t row = (size_t)c->cols * sizeof(float);
    if (c->A) { /* sums of any floats may be no numbers, and -0 is 0 */
        for (int64_t i = 0; i < c->rows * c->cols; i++)
            assert_true(want.d[i] == got.d[i] || (isnan(want.d[i]) && isnan(got.d[i])));
    } else {
        assert_memory_equal(want.d, got.d, (size_t)c->rows * row);
    }
    int64_t r = below(c->rows), n = 1 + below(c->rows - r);
    assert_int_equal(lb_packed_read(kept, r, n, got.d), LB_OK);
    for (int64_t i = 0; i < n * c->cols; i++) {
        float a0 = want.d[r * c->cols + i], b0 = got.d[i];
        assert_true(a0 == b0 || (isnan(a0) && isnan(b0)));
    }
    assert_int_equal(lb_layer_pack(&back, four->team, b, z.total), LB_OK);
    assert_memory_equal(a, b, (size_t)z.total);
    free(a);
    free(b);
    return true;
}

/* One value replaced by another. Says which: what a refusal must name. */
static void spoil(lb_layer *c, char part[160]) {
    const lb_storage *s = &c->storage;
    int64_t scales = lb_storage_scales(s, c->rows, c->cols), i = scales ? below(scales) : 0;
    int64_t k = below(c->rows * c->cols), groups = lb_storage_groups_per_row(s, c->cols);
    char at[64] = "the matrix";
    if (s->format->shape == LB_SHAPE_FLAT)
        snprintf(at, sizeof at, "block %lld", (long long)i);
    else if (s->group == LB_GROUP_ROW)
        snprintf(at, sizeof at, "row %lld", (long long)i);
    else if (s->group > 0)
        snprintf(at, sizeof at, "row %lld, group %lld", (long long)(i / groups), (long long)(i % groups));
    for (;;) {
        switch (below(12)) {
        case 10: {
            if (!c->T.scale) break;
            int64_t col = below(c->cols);
            ((float *)(uintptr_t)c->T.scale)[col] = any_float();
            snprintf(part, 160, "T.scale %.9g at column %lld", (double)c->T.scale[col], (long long)col);
            return;
        }
        case 11:
            if (!c->T.sign) break;
            ((uint8_t *)(uintptr_t)c->T.sign)[below(lb_transform_sign_bytes(c->cols))] ^= (uint8_t)(1 << below(8));
            snprintf(part, 160, "T.sign");
            return;
        case 0:
            if (!c->codes) break;
            c->codes[k] = (uint8_t)below(256);
            snprintf(part, 160, "code %d at row %lld, column %lld", c->codes[k], (long long)(k / c->cols),
                     (long long)(k % c->cols));
            return;
        case 1:
            if (!c->scale) break;
            c->scale[i] = any_float();
            snprintf(part, 160, "scale %.*g at %s", isfinite(c->scale[i]) ? 9 : 6, (double)c->scale[i], at);
            return;
        case 2:
            if (!c->zero) break;
            c->zero[i] = below(2) ? any_float() : (float)below(2000) / 4 - 20;
            snprintf(part, 160, "zero %.*g at %s", isfinite(c->zero[i]) ? 9 : 6, (double)c->zero[i], at);
            return;
        case 3: {
            if (!c->order) break;
            int64_t p = below(c->cols);
            c->order[p] = (int32_t)below(c->cols + 2) - 1;
            snprintf(part, 160, "order[");
            return;
        }
        case 4:
            if (!c->dq_scale) break;
            c->dq_scale[i / LB_DOUBLE_QUANT_BLOCK] = any_float();
            snprintf(part, 160, isfinite(c->dq_scale[i / LB_DOUBLE_QUANT_BLOCK]) ? "scale" : "dq_scale[");
            return;
        case 5:
            if (!c->dq_code) break;
            c->dq_code[i] = (uint8_t)below(256);
            snprintf(part, 160, "at %s: dq_code, dq_scale and dq_mean give", at);
            return;
        case 6:
            if (!c->mask) break;
            c->mask[below(c->rows * lb_mask_row_bytes(c->cols))] ^= (uint8_t)(1 << below(8));
            snprintf(part, 160, "mask at row");
            return;
        case 7: {
            if (!c->A) break;
            bool first = below(2);
            int64_t at_pair = below(first ? s->rank * c->cols : c->rows * s->rank);
            *(first ? &c->A[at_pair] : &c->B[at_pair]) = any_float();
            snprintf(part, 160, "%c is", first ? 'A' : 'B');
            return;
        }
        case 8:
            if (c->act_scale == 0) break;
            *(below(2) ? &c->act_scale : &c->act_zero) = any_float();
            snprintf(part, 160, "act_");
            return;
        default:
            if (!c->dense) break;
            c->dense[k] = any_float();
            /* What 16 bits round is another number, as it should be: only what they cannot hold is looked for. */
            if (!s->format->rounds && s->bits == 16 && isfinite(lb_f16_to_f32(lb_f32_to_f16(c->dense[k]))))
                c->dense[k] = lb_f16_to_f32(lb_f32_to_f16(c->dense[k]));
            snprintf(part, 160, " at row %lld, column %lld", (long long)(k / c->cols), (long long)(k % c->cols));
            return;
        }
    }
}

static void bytes_are_the_layer(void **state) {
    (void)state;
    kit one = kit_open(1), four = kit_open(4);
    int64_t refused = 0, kept = 0;
    rng = lb_rng_make(11, 0);
    for (int i = 0; i < 3000; i++) {
        lb_arena_mark start = lb_arena_save(one.arena);
        lb_storage s = any_storage();
        /* A few of several pieces. */
        int64_t rows = i % 100 ? 1 + below(30) : 100 + below(100), cols = i % 100 ? 1 + below(150) : 1000 + below(100);
        add_parts(&s, rows, cols);
        lb_layer c = any_layer(&one, &s, rows, cols);
        if (!survives(&one, &four, &c)) fail_msg("%s", lb_error());
        char part[160];
        spoil(&c, part);
        if (survives(&one, &four, &c)) {
            kept++;
        } else {
            refused++;
            assert_error_has(part);
        }
        lb_arena_restore(one.arena, start);
    }
    assert_true(refused > 500 && kept > 500);
    kit_close(&one);
    kit_close(&four);
}

/* Arrays that are missing, or there without a place in the bytes; and what is said beside the weights. */
static void parts_and_remarks(void **state) {
    (void)state;
    kit k = kit_open(2);
    static const lb_storage asym = {&lb_uniform, 4, .group = 16}, sym = {&lb_uniform, 4, .symmetric = true},
                            ordered = {&lb_uniform, 3, .group = 16, .order = true}, nf4 = {&lb_nf4, 4, .group = 64},
                            twice = {&lb_nf4, 4, .group = 64, .double_quant = true},
                            f32 = {.format = &lb_f32, .bits = 32},
                            ranged = {&lb_uniform, 4, .act = {.bits = 4, .mode = LB_ACTQUANT_STATIC}};
    static float numbers[64 * 64];
    static uint8_t codes[64 * 64];
    static int32_t order[64];
    rng = lb_rng_make(12, 0);
#define REFUSED(storage, change, message)                                                                              \
    do {                                                                                                               \
        lb_layer c = any_layer(&k, &(storage), 8, 64);                                                                 \
        assert_int_equal(lb_layer_check(&c, k.team), LB_OK);                                                           \
        change;                                                                                                        \
        assert_int_equal(lb_layer_check(&c, k.team), LB_E_ARG);                                                        \
        assert_error_has(message);                                                                                     \
        uint8_t bytes[4096];                                                                                           \
        lb_size z;                                                                                                     \
        assert_int_equal(lb_layer_size(&c, &z), LB_OK);                                                                \
        assert_int_equal(lb_layer_pack(&c, k.team, bytes, z.total), LB_E_ARG);                                         \
    } while (0)
    REFUSED(asym, c.codes = NULL, "codes is missing: int4 g16 asym stores it");
    REFUSED(asym, c.scale = NULL, "scale is missing");
    REFUSED(asym, c.zero = NULL, "zero is missing");
    REFUSED(sym, c.zero = numbers, "zero is there: int4 row sym does not store it");
    REFUSED(asym, c.order = order, "order is there: int4 g16 asym does not store it");
    REFUSED(ordered, c.order = NULL, "order is missing: int3 g16 asym order stores it");
    REFUSED(nf4, c.order = order, "order is there");
    REFUSED(nf4, c.zero = numbers, "zero is there");
    REFUSED(nf4, c.dq_code = codes, "dq_code is there: nf4 b64 does not store it");
    REFUSED(twice, c.dq_code = NULL, "dq_code is missing: nf4 b64 dq stores it");
    REFUSED(twice, c.dq_scale = NULL, "dq_scale is missing");
    REFUSED(twice, c.scale = NULL, "scale is missing");
    REFUSED(asym, c.dense = numbers, "dense is there");
    REFUSED(f32, c.codes = codes, "codes is there: f32 does not store it");
    REFUSED(asym, c.flags |= 1u << 6, "flags 0x40");
    REFUSED(asym, c.flags |= LB_FLAG_BF16, "a method may set 0x1f");
    REFUSED(asym, c.act_scale = 1, "act_scale 1: must be 0, as no range is stored");
    REFUSED(f32, c.act_zero = 1, "act_zero 1: must be a whole number in [0, 0]");
    REFUSED(ranged, c.act_scale = 0, "act_scale 0: must be positive");
    REFUSED(ranged, c.act_scale = -2, "act_scale -2: must be positive");
    REFUSED(ranged, c.act_zero = 0.5f, "act_zero 0.5: must be a whole number in [0, 15]");
    REFUSED(ranged, c.act_zero = 16, "act_zero 16: must be a whole number in [0, 15]");
    lb_layer c = any_layer(&k, &ranged, 8, 64);
    c.act_scale = INFINITY;
    assert_int_equal(lb_layer_check(&c, k.team), LB_E_NUMERIC);
    assert_error_has("act_scale inf");
    kit_close(&k);
}

/* Floats of 16 bits are rounded by packing: what is kept is the rounded number, and infinity is refused. */
static void floats_are_rounded(void **state) {
    (void)state;
    kit k = kit_open(1);
    const lb_storage s = {.format = &lb_f16, .bits = 16};
    lb_layer c, back;
    uint8_t bytes[4];
    assert_int_equal(lb_layer_new(k.arena, &s, 1, 2, false, &c), LB_OK);
    c.dense[0] = 0.1f;
    c.dense[1] = 65519.0f; /* to 65504, the largest */
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, 4), LB_OK);
    assert_int_equal(lb_layer_unpack(k.arena, &s, 1, 2, NULL, bytes, 4, &back), LB_OK);
    assert_true(back.dense[0] == 0.0999755859375f && back.dense[1] == 65504.0f);
    c.dense[1] = 65520.0f;
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, 4), LB_E_NUMERIC);
    assert_error_has("weight 65520 at row 0, column 1: must be at most 65504, the largest float16");
    kit_close(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_the_layer), cmocka_unit_test(parts_and_remarks),
                                       cmocka_unit_test(floats_are_rounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

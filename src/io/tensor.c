#include "io/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/profile.h"

/* Both formats store little-endian numbers and are read in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "mapped tensors are little-endian");

/* One block to float32. Mapped data has no alignment: every number is read by memcpy or byte by byte. */
typedef void (*decode_fn)(const uint8_t *p, int64_t blocks, float *out);

static float half_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return lb_f16_to_f32(h);
}

static void decode_f32(const uint8_t *p, int64_t n, float *out) { memcpy(out, p, (size_t)n * sizeof *out); }

static void decode_f16(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = half_at(p + 2 * i);
}

static void decode_bf16(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        out[i] = lb_bf16_to_f32(h);
    }
}

static void decode_f64(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, p + 8 * i, sizeof v);
        out[i] = (float)v;
    }
}

static void decode_i64(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        int64_t v;
        memcpy(&v, p + 8 * i, sizeof v);
        out[i] = (float)v;
    }
}

static void decode_i32(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        int32_t v;
        memcpy(&v, p + 4 * i, sizeof v);
        out[i] = (float)v;
    }
}

/* ggml's blocks of 32: a half scale d (and a half minimum m in the _1 types), in the 5-bit types 32 high bits, then
 * 16 bytes whose low nibbles are elements 0..15 and whose high nibbles are elements 16..31. */
static void decode_q4_0(const uint8_t *p, int64_t blocks, float *out) {
    for (int64_t b = 0; b < blocks; b++, p += 18, out += 32) {
        float d = half_at(p);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)((p[2 + j] & 15) - 8);
            out[j + 16] = d * (float)((p[2 + j] >> 4) - 8);
        }
    }
}

static void decode_q4_1(const uint8_t *p, int64_t blocks, float *out) {
    for (int64_t b = 0; b < blocks; b++, p += 20, out += 32) {
        float d = half_at(p), m = half_at(p + 2);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)(p[4 + j] & 15) + m;
            out[j + 16] = d * (float)(p[4 + j] >> 4) + m;
        }
    }
}

static void decode_q5_0(const uint8_t *p, int64_t blocks, float *out) {
    for (int64_t b = 0; b < blocks; b++, p += 22, out += 32) {
        float d = half_at(p);
        uint32_t high;
        memcpy(&high, p + 2, sizeof high);
        for (int j = 0; j < 16; j++) {
            int low = p[6 + j] & 15, up = p[6 + j] >> 4;
            out[j] = d * (float)((low | (int)(high >> j & 1) << 4) - 16);
            out[j + 16] = d * (float)((up | (int)(high >> (j + 16) & 1) << 4) - 16);
        }
    }
}

static void decode_q5_1(const uint8_t *p, int64_t blocks, float *out) {
    for (int64_t b = 0; b < blocks; b++, p += 24, out += 32) {
        float d = half_at(p), m = half_at(p + 2);
        uint32_t high;
        memcpy(&high, p + 4, sizeof high);
        for (int j = 0; j < 16; j++) {
            int low = p[8 + j] & 15, up = p[8 + j] >> 4;
            out[j] = d * (float)(low | (int)(high >> j & 1) << 4) + m;
            out[j + 16] = d * (float)(up | (int)(high >> (j + 16) & 1) << 4) + m;
        }
    }
}

static void decode_q8_0(const uint8_t *p, int64_t blocks, float *out) {
    for (int64_t b = 0; b < blocks; b++, p += 34, out += 32) {
        float d = half_at(p);
        for (int j = 0; j < 32; j++) out[j] = d * (float)(int8_t)p[2 + j];
    }
}

static void decode_u8(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)p[i];
}

static void decode_bool(const uint8_t *p, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)(p[i] != 0);
}

static const struct {
    const char *name;
    int64_t elements, bytes; /* a block */
    decode_fn decode;
} dtypes[LB_DTYPES] = {
    [LB_F32] = {"F32", 1, 4, decode_f32},      [LB_F16] = {"F16", 1, 2, decode_f16},
    [LB_BF16] = {"BF16", 1, 2, decode_bf16},   [LB_Q4_0] = {"Q4_0", 32, 18, decode_q4_0},
    [LB_Q4_1] = {"Q4_1", 32, 20, decode_q4_1}, [LB_Q5_0] = {"Q5_0", 32, 22, decode_q5_0},
    [LB_Q5_1] = {"Q5_1", 32, 24, decode_q5_1}, [LB_Q8_0] = {"Q8_0", 32, 34, decode_q8_0},
    [LB_F64] = {"F64", 1, 8, decode_f64},      [LB_I64] = {"I64", 1, 8, decode_i64},
    [LB_I32] = {"I32", 1, 4, decode_i32},      [LB_U8] = {"U8", 1, 1, decode_u8},
    [LB_BOOL] = {"BOOL", 1, 1, decode_bool},
};

const char *lb_dtype_name(lb_dtype t) { return (unsigned)t < LB_DTYPES ? dtypes[t].name : "unknown"; }

void lb_dtype_block(lb_dtype t, int64_t *elements, int64_t *bytes) {
    *elements = dtypes[t].elements;
    *bytes = dtypes[t].bytes;
}

int64_t lb_tensor_count(const lb_tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

void lb_tensor_shape_text(const lb_tensor *t, char out[96]) {
    size_t at = 0;
    out[at++] = '(';
    for (int i = 0; i < t->ndim; i++)
        at += (size_t)snprintf(out + at, 96 - at, i ? ", %lld" : "%lld", (long long)t->shape[i]);
    snprintf(out + at, 96 - at, t->ndim == 1 ? ",)" : ")");
}

lb_status lb_tensor_measure(lb_tensor *t, const char *file) {
    int64_t per = dtypes[t->type].elements, count = 1, bytes = 0;
    char shape[96];
    lb_tensor_shape_text(t, shape);
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(count, t->shape[i], &count))
            return lb_fail(LB_E_FORMAT, "%s: tensor %s: shape %s is impossible", file, t->name, shape);
    if (per > 1 && (t->ndim == 0 || t->shape[t->ndim - 1] % per))
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: shape %s: rows of %s must be multiples of %lld", file, t->name,
                       shape, dtypes[t->type].name, (long long)per);
    if (__builtin_mul_overflow(count / per, dtypes[t->type].bytes, &bytes))
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: shape %s is impossible", file, t->name, shape);
    t->bytes = (size_t)bytes;
    return LB_OK;
}

lb_status lb_tensor_read_f32(const lb_tensor *t, int64_t first, int64_t n, float *out) {
    int64_t count = lb_tensor_count(t), per = dtypes[t->type].elements;
    if (first < 0 || n < 0 || first > count || n > count - first)
        return lb_fail(LB_E_ARG, "tensor %s: elements [%lld, %lld + %lld) asked for: it has %lld", t->name,
                       (long long)first, (long long)first, (long long)n, (long long)count);
    if (first % per || n % per)
        return lb_fail(LB_E_ARG, "tensor %s: first %lld and count %lld must be multiples of %lld (%s)", t->name,
                       (long long)first, (long long)n, (long long)per, dtypes[t->type].name);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DECODE);
    if (n > 0) dtypes[t->type].decode((const uint8_t *)t->data + first / per * dtypes[t->type].bytes, n / per, out);
    lb_scope_end(&scope, (double)n, (double)n * ((double)dtypes[t->type].bytes / (double)per + 4.0));
    return LB_OK;
}

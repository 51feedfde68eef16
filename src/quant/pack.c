/* The bytes that sizes speak of. A packed layer is its sections one after another: codes, scales, zeros, codebook,
 * order; see compressed.h. */
#include <string.h>

#include "math/half.h"
#include "quant/compressed.h"
#include "quant/grid.h"

int64_t lb_packed_row_bytes(int64_t cols, int bits) { return (cols * bits + 31) / 32 * 4; }

/* n codes of `bits` bits, code i in bits [i bits, (i + 1) bits) of the stream, least significant bit first. Eight codes
 * fill `bits` bytes. */
static void pack_stream(const uint8_t *code, int64_t n, int bits, uint8_t *out) {
    uint32_t held = 0;
    int have = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8, out += bits) {
        uint64_t eight = 0;
        for (int k = 0; k < 8; k++) eight |= (uint64_t)code[i + k] << k * bits;
        for (int k = 0; k < bits; k++) out[k] = (uint8_t)(eight >> 8 * k);
    }
    for (; i < n; i++) {
        held |= (uint32_t)code[i] << have;
        for (have += bits; have >= 8; have -= 8, held >>= 8) *out++ = (uint8_t)held;
    }
    if (have) *out = (uint8_t)held;
}

static void unpack_stream(const uint8_t *in, int64_t n, int bits, uint8_t *code) {
    uint32_t held = 0, mask = (1u << bits) - 1;
    int have = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8, in += bits) {
        uint64_t eight = 0;
        for (int k = 0; k < bits; k++) eight |= (uint64_t)in[k] << 8 * k;
        for (int k = 0; k < 8; k++) code[i + k] = (uint8_t)(eight >> k * bits & mask);
    }
    for (; i < n; i++) {
        for (; have < bits; have += 8) held |= (uint32_t)*in++ << have;
        code[i] = (uint8_t)(held & mask);
        held >>= bits;
        have -= bits;
    }
}

static lb_status check_codes(int64_t rows, int64_t cols, int bits, int64_t bytes) {
    int64_t need = 0;
    if (bits < 1 || bits > 8 || rows < 0 || cols < 0 || cols > (INT64_MAX - 31) / 8 ||
        __builtin_mul_overflow(rows, lb_packed_row_bytes(cols, bits), &need))
        return lb_fail(LB_E_ARG, "packed codes: (%lld, %lld) at %d bits makes no sense", (long long)rows,
                       (long long)cols, bits);
    if (bytes != need)
        return lb_fail(LB_E_ARG, "packed codes: %lld bytes for (%lld, %lld) at %d bits: must be %lld", (long long)bytes,
                       (long long)rows, (long long)cols, bits, (long long)need);
    return LB_OK;
}

lb_status lb_pack_codes(const uint8_t *codes, int64_t rows, int64_t cols, int bits, uint8_t *out, int64_t out_bytes) {
    LB_TRY(check_codes(rows, cols, bits, out_bytes));
    int64_t row_bytes = lb_packed_row_bytes(cols, bits);
    uint8_t any = 0;
    for (int64_t i = 0; i < rows * cols; i++) any |= codes[i];
    for (int64_t i = 0; any >> bits && i < rows * cols; i++)
        if (codes[i] >> bits)
            return lb_fail(LB_E_ARG, "code %d at row %lld, column %lld does not fit in %d bits", codes[i],
                           (long long)(i / cols), (long long)(i % cols), bits);
    memset(out, 0, (size_t)out_bytes);
    for (int64_t r = 0; r < rows; r++) pack_stream(codes + r * cols, cols, bits, out + r * row_bytes);
    return LB_OK;
}

lb_status lb_unpack_codes(const uint8_t *in, int64_t in_bytes, int64_t rows, int64_t cols, int bits, uint8_t *codes) {
    LB_TRY(check_codes(rows, cols, bits, in_bytes));
    int64_t row_bytes = lb_packed_row_bytes(cols, bits);
    for (int64_t r = 0; r < rows; r++) unpack_stream(in + r * row_bytes, cols, bits, codes + r * cols);
    return LB_OK;
}

static void put16(uint8_t *out, uint16_t v) {
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}
static uint16_t get16(const uint8_t *in) { return (uint16_t)(in[0] | in[1] << 8); }

/* Floats little-endian, as f32, f16 or bf16. */
static uint8_t *put_floats(uint8_t *out, const float *v, int64_t n, lb_scale_type t) {
    for (int64_t i = 0; i < n; i++, out += lb_scale_bytes(t)) {
        if (t == LB_SCALE_F32) {
            uint32_t u;
            memcpy(&u, &v[i], 4);
            put16(out, (uint16_t)u);
            put16(out + 2, (uint16_t)(u >> 16));
        } else {
            put16(out, t == LB_SCALE_F16 ? lb_f32_to_f16(v[i]) : lb_f32_to_bf16(v[i]));
        }
    }
    return out;
}

static const uint8_t *get_floats(const uint8_t *in, float *v, int64_t n, lb_scale_type t) {
    for (int64_t i = 0; i < n; i++, in += lb_scale_bytes(t)) {
        if (t == LB_SCALE_F32) {
            uint32_t u = get16(in) | (uint32_t)get16(in + 2) << 16;
            memcpy(&v[i], &u, 4);
        } else {
            v[i] = t == LB_SCALE_F16 ? lb_f16_to_f32(get16(in)) : lb_bf16_to_f32(get16(in));
        }
    }
    return in;
}

static lb_status check_bytes(const lb_storage *s, int64_t rows, int64_t cols, int64_t bytes, lb_size *z) {
    LB_TRY(lb_storage_size(s, rows, cols, z));
    if (bytes != z->total)
        return lb_fail(LB_E_ARG, "packed layer: %lld bytes for (%lld, %lld): must be %lld", (long long)bytes,
                       (long long)rows, (long long)cols, (long long)z->total);
    return LB_OK;
}

static lb_status pack_uniform(const lb_compressed *c, const lb_size *z, uint8_t *out) {
    const lb_storage *s = &c->storage;
    int64_t scales = lb_storage_scales(s, c->rows, c->cols);
    LB_TRY(lb_pack_codes(c->codes, c->rows, c->cols, s->bits, out, z->codes + z->padding));
    out = put_floats(out + z->codes + z->padding, c->scale, scales, s->scale_type);
    if (c->zero) {
        uint8_t *zeros = lb_alloc((size_t)scales, 1);
        if (!zeros) return LB_E_NOMEM;
        for (int64_t i = 0; i < scales; i++) zeros[i] = (uint8_t)c->zero[i];
        pack_stream(zeros, scales, s->bits, out);
        lb_free(zeros);
        out += z->zeros;
    }
    for (int64_t p = 0; s->order && p < c->cols; p++, out += lb_order_bytes(c->cols)) {
        put16(out, (uint16_t)c->order[p]);
        if (lb_order_bytes(c->cols) == 4) put16(out + 2, (uint16_t)(c->order[p] >> 16));
    }
    return LB_OK;
}

static void pack_codebook(const lb_compressed *c, const lb_size *z, uint8_t *out) {
    const lb_storage *s = &c->storage;
    int64_t scales = lb_storage_scales(s, c->rows, c->cols);
    pack_stream(c->codes, c->rows * c->cols, 4, out);
    out += z->codes;
    if (s->double_quant) {
        memcpy(out, c->dq_code, (size_t)scales);
        out = put_floats(out + scales, c->dq_scale, (scales - 1) / LB_DOUBLE_QUANT_BLOCK + 1, LB_SCALE_F32);
        out = put_floats(out, &c->dq_mean, 1, LB_SCALE_F32);
    } else {
        out = put_floats(out, c->scale, scales, s->scale_type);
    }
    put_floats(out, lb_codebook(s->book), LB_CODEBOOK_VALUES, LB_SCALE_F32);
}

lb_status lb_compressed_pack(const lb_compressed *c, uint8_t *out, int64_t bytes) {
    lb_size z;
    LB_TRY(check_bytes(&c->storage, c->rows, c->cols, bytes, &z));
    memset(out, 0, (size_t)bytes);
    if (c->storage.kind == LB_GRID_UNIFORM) return pack_uniform(c, &z, out);
    if (c->storage.kind == LB_GRID_CODEBOOK)
        pack_codebook(c, &z, out);
    else
        put_floats(out, c->dense, c->rows * c->cols, c->storage.bits == 16 ? LB_SCALE_F16 : LB_SCALE_F32);
    return LB_OK;
}

static lb_status unpack_uniform(const uint8_t *in, const lb_size *z, lb_compressed *c) {
    const lb_storage *s = &c->storage;
    int64_t scales = lb_storage_scales(s, c->rows, c->cols);
    LB_TRY(lb_unpack_codes(in, z->codes + z->padding, c->rows, c->cols, s->bits, c->codes));
    in = get_floats(in + z->codes + z->padding, c->scale, scales, s->scale_type);
    if (c->zero) {
        uint8_t *zeros = lb_alloc((size_t)scales, 1);
        if (!zeros) return LB_E_NOMEM;
        unpack_stream(in, scales, s->bits, zeros);
        for (int64_t i = 0; i < scales; i++) c->zero[i] = zeros[i];
        lb_free(zeros);
        in += z->zeros;
    }
    for (int64_t p = 0; s->order && p < c->cols; p++, in += lb_order_bytes(c->cols)) {
        int64_t col = get16(in);
        if (lb_order_bytes(c->cols) == 4) col |= (int64_t)get16(in + 2) << 16;
        if (col >= c->cols)
            return lb_fail(LB_E_FORMAT, "packed layer: order[%lld] = %lld, the layer has %lld columns", (long long)p,
                           (long long)col, (long long)c->cols);
        c->order[p] = (int32_t)col;
    }
    return LB_OK;
}

static void unpack_codebook(const uint8_t *in, const lb_size *z, lb_compressed *c) {
    const lb_storage *s = &c->storage;
    int64_t scales = lb_storage_scales(s, c->rows, c->cols);
    unpack_stream(in, c->rows * c->cols, 4, c->codes);
    in += z->codes;
    if (!s->double_quant) {
        get_floats(in, c->scale, scales, s->scale_type);
        return;
    }
    memcpy(c->dq_code, in, (size_t)scales);
    in = get_floats(in + scales, c->dq_scale, (scales - 1) / LB_DOUBLE_QUANT_BLOCK + 1, LB_SCALE_F32);
    get_floats(in, &c->dq_mean, 1, LB_SCALE_F32);
    lb_double_quant_expand(c->dq_code, c->dq_scale, c->dq_mean, scales, c->scale);
}

lb_status lb_compressed_unpack(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, const uint8_t *in,
                               int64_t bytes, lb_compressed *out) {
    lb_size z;
    LB_TRY(check_bytes(s, rows, cols, bytes, &z));
    LB_TRY(lb_compressed_new(a, s, rows, cols, s->order, out));
    if (s->kind == LB_GRID_UNIFORM) return unpack_uniform(in, &z, out);
    if (s->kind == LB_GRID_CODEBOOK)
        unpack_codebook(in, &z, out);
    else
        get_floats(in, out->dense, rows * cols, s->bits == 16 ? LB_SCALE_F16 : LB_SCALE_F32);
    return LB_OK;
}

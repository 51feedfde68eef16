#include "quant/storage.h"

#include <float.h>
#include <math.h>

#include "math/half.h"
#include "quant/compressed.h"

int64_t lb_storage_groups_per_row(const lb_storage *s, int64_t cols) {
    if (s->group <= 0) return 1;
    return (cols - 1) / s->group + 1;
}

int64_t lb_storage_scales(const lb_storage *s, int64_t rows, int64_t cols) {
    if (s->kind == LB_GRID_FLOAT) return 0;
    if (s->kind == LB_GRID_CODEBOOK) return (rows * cols - 1) / s->group + 1;
    if (s->group == LB_GROUP_TENSOR) return 1;
    return rows * lb_storage_groups_per_row(s, cols);
}

bool lb_storage_ragged(const lb_storage *s, int64_t cols) {
    return s->kind == LB_GRID_UNIFORM && s->group > 0 && cols % s->group != 0;
}

int64_t lb_scale_bytes(lb_scale_type t) { return t == LB_SCALE_F32 ? 4 : 2; }

static lb_status check_format(const lb_storage *s, int64_t rows, int64_t cols) {
    int64_t weights = 0;
    if (rows < 1 || cols < 1 || __builtin_mul_overflow(rows, cols, &weights) || weights > INT64_MAX / 64)
        return lb_fail(LB_E_ARG, "a layer of (%lld, %lld): both must be positive and the product below 2^57",
                       (long long)rows, (long long)cols);
    if (s->kind != LB_GRID_FLOAT && (unsigned)s->scale_type > LB_SCALE_BF16)
        return lb_fail(LB_E_ARG, "scale_type %d: must be in [%d, %d]", (int)s->scale_type, LB_SCALE_F32, LB_SCALE_BF16);
    switch (s->kind) {
    case LB_GRID_UNIFORM:
        if (s->bits < 2 || s->bits > 8) return lb_fail(LB_E_ARG, "uniform grid of %d bits: must be in [2, 8]", s->bits);
        if (s->group < LB_GROUP_TENSOR)
            return lb_fail(LB_E_ARG, "group = %lld: must be row, tensor or positive", (long long)s->group);
        return LB_OK;
    case LB_GRID_CODEBOOK:
        if (s->bits != 4) return lb_fail(LB_E_ARG, "codebook of %d bits: must be 4 (16 values)", s->bits);
        if ((unsigned)s->book > LB_BOOK_FP4) return lb_fail(LB_E_ARG, "unknown codebook %d", (int)s->book);
        if (s->group < 1) return lb_fail(LB_E_ARG, "codebook block = %lld: must be positive", (long long)s->group);
        if (s->double_quant && s->scale_type != LB_SCALE_F32)
            return lb_fail(LB_E_ARG,
                           "scale_type: with double_quant the scales are stored in 8 bits, not as 16-bit floats");
        return LB_OK;
    case LB_GRID_FLOAT:
        if (s->bits != 16 && s->bits != 32) return lb_fail(LB_E_ARG, "float of %d bits: must be 16 or 32", s->bits);
        return LB_OK;
    }
    return lb_fail(LB_E_ARG, "unknown kind of grid %d", (int)s->kind);
}

bool lb_storage_same(const lb_storage *a, const lb_storage *b) {
    if (a->kind != b->kind || a->bits != b->bits) return false;
    if (a->kind == LB_GRID_FLOAT) return true;
    if (a->group != b->group || a->scale_type != b->scale_type) return false;
    if (a->kind == LB_GRID_UNIFORM) return a->symmetric == b->symmetric && a->order == b->order;
    return a->book == b->book && a->double_quant == b->double_quant;
}

lb_status lb_storage_size(const lb_storage *s, int64_t rows, int64_t cols, lb_size *out) {
    LB_TRY(check_format(s, rows, cols));
    lb_size z = {.weights = rows * cols};
    int64_t scales = lb_storage_scales(s, rows, cols);
    z.codes = (z.weights * s->bits + 7) / 8;
    if (s->kind == LB_GRID_UNIFORM) {
        z.padding = rows * lb_packed_row_bytes(cols, s->bits) - z.codes;
        z.scales = scales * lb_scale_bytes(s->scale_type);
        if (!s->symmetric) z.zeros = (scales * s->bits + 7) / 8;
        if (s->order) z.order = cols * lb_order_bytes(cols);
    } else if (s->kind == LB_GRID_CODEBOOK) {
        z.codebook = LB_CODEBOOK_VALUES * 4;
        if (s->double_quant) /* codes, one scale for each 256 of them, the mean */
            z.scales = scales + ((scales - 1) / LB_DOUBLE_QUANT_BLOCK + 1) * 4 + 4;
        else
            z.scales = scales * lb_scale_bytes(s->scale_type);
    }
    z.total = z.codes + z.padding + z.scales + z.zeros + z.codebook + z.order;
    *out = z;
    return LB_OK;
}

int64_t lb_order_bytes(int64_t cols) { return cols <= 65536 ? 2 : 4; }

void lb_size_add(lb_size *sum, const lb_size *one) {
    sum->weights += one->weights;
    sum->codes += one->codes;
    sum->scales += one->scales;
    sum->zeros += one->zeros;
    sum->codebook += one->codebook;
    sum->order += one->order;
    sum->padding += one->padding;
    sum->total += one->total;
}

float lb_scale_round(lb_scale_type t, float scale) {
    float r = scale, smallest = FLT_TRUE_MIN, largest = FLT_MAX;
    if (t == LB_SCALE_F16) {
        r = lb_f16_to_f32(lb_f32_to_f16(scale));
        smallest = lb_f16_to_f32(0x0001);
        largest = lb_f16_to_f32(0x7bff);
    } else if (t == LB_SCALE_BF16) {
        r = lb_bf16_to_f32(lb_f32_to_bf16(scale));
        smallest = lb_bf16_to_f32(0x0001);
        largest = lb_bf16_to_f32(0x7f7f);
    }
    if (scale > 0 && r < smallest) return smallest;
    return r > largest ? largest : r;
}

void lb_storage_text(const lb_storage *s, lb_str *out) {
    static const char *const scale_name[] = {"", " f16-scales", " bf16-scales"};
    if (s->kind == LB_GRID_FLOAT) {
        lb_str_add(out, "f%d", s->bits);
        return;
    }
    if (s->kind == LB_GRID_CODEBOOK) {
        lb_str_add(out, "%s b%lld%s", s->book == LB_BOOK_NF4 ? "nf4" : "fp4", (long long)s->group,
                   s->double_quant ? " dq" : scale_name[s->scale_type]);
        return;
    }
    lb_str_add(out, "int%d ", s->bits);
    if (s->group > 0)
        lb_str_add(out, "g%lld", (long long)s->group);
    else
        lb_str_add(out, "%s", s->group == LB_GROUP_ROW ? "row" : "tensor");
    lb_str_add(out, " %s%s%s", s->symmetric ? "sym" : "asym", scale_name[s->scale_type], s->order ? " order" : "");
}

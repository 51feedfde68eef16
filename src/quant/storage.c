#include "quant/storage.h"

#include <float.h>
#include <math.h>

#include "math/half.h"
#include "quant/format.h"
#include "quant/transform.h"

int64_t lb_storage_groups_per_row(const lb_storage *s, int64_t cols) {
    if (s->group <= 0) return 1;
    return (cols - 1) / s->group + 1;
}

int64_t lb_storage_scales(const lb_storage *s, int64_t rows, int64_t cols) {
    if (s->format->shape == LB_SHAPE_DENSE) return 0;
    if (s->format->shape == LB_SHAPE_FLAT) return (rows * cols - 1) / s->group + 1;
    if (s->group == LB_GROUP_TENSOR) return 1;
    return rows * lb_storage_groups_per_row(s, cols);
}

float lb_storage_zero(const lb_storage *s) {
    if (!s->symmetric) return 0.0f;
    return s->bits == 1 ? 0.5f : (float)(1 << (s->bits - 1));
}

static bool by_rows(const lb_storage *s) { return s->format->shape == LB_SHAPE_ROWS; }

bool lb_storage_ragged(const lb_storage *s, int64_t cols) { return by_rows(s) && s->group > 0 && cols % s->group != 0; }

bool lb_storage_wider(const lb_storage *s, int64_t cols) {
    return by_rows(s) && s->format->group == 0 && s->group > cols;
}

bool lb_storage_dense(const lb_storage *s) { return s->format->shape == LB_SHAPE_DENSE; }

bool lb_storage_plain(const lb_storage *s) {
    return lb_storage_dense(s) && !s->format->rounds && s->mask_of == 0 && s->rank == 0 && !lb_storage_transforms(s) &&
           s->act.bits == 0;
}

bool lb_storage_transforms(const lb_storage *s) { return s->t_scale || s->t_hadamard || s->t_sign; }

void lb_storage_take_transform(lb_storage *s, const lb_storage *from) {
    s->t_scale = from->t_scale;
    s->t_scale_type = from->t_scale_type;
    s->t_hadamard = from->t_hadamard;
    s->t_sign = from->t_sign;
}

int64_t lb_storage_kept(const lb_storage *s, int64_t cols) {
    if (s->mask_of <= 0) return cols;
    int64_t rest = cols % s->mask_of;
    return cols / s->mask_of * s->mask_keep + (rest < s->mask_keep ? rest : s->mask_keep);
}

lb_storage lb_storage_base(const lb_storage *s) {
    lb_storage base = *s;
    base.order = false;
    base.mask_of = base.mask_keep = base.rank = 0;
    base.rank_type = LB_SCALE_F32;
    lb_storage_take_transform(&base, &(lb_storage){0});
    base.act = (lb_actquant){0};
    return base;
}

lb_status lb_storage_round(const lb_storage *so_far, const lb_storage *codes, lb_storage *out) {
    if (!lb_storage_dense(so_far) || so_far->rank > 0) {
        lb_str text = {0};
        lb_storage_text(so_far, &text);
        lb_status st = lb_str_check(&text);
        if (st == LB_OK)
            st = lb_fail(LB_E_UNSUPPORTED, "rounds floats, and the layer so far is %s: it must come before that",
                         text.s);
        lb_str_free(&text);
        return st;
    }
    *out = *codes;
    out->mask_of = so_far->mask_of;
    out->mask_keep = so_far->mask_keep;
    out->act = so_far->act;
    return LB_OK;
}

int64_t lb_scale_bytes(lb_scale_type t) { return t == LB_SCALE_F32 ? 4 : t == LB_SCALE_E8M0 ? 1 : 2; }

static lb_status check_bits(const lb_storage *s) {
    const lb_format *f = s->format;
    if (s->bits >= f->bits_min && s->bits <= f->bits_max) return LB_OK;
    if (f->bits_min == f->bits_max)
        return lb_fail(LB_E_ARG, "format %s of %d bits: must be %d", f->name, s->bits, f->bits_min);
    return lb_fail(LB_E_ARG, "format %s of %d bits: must be in [%d, %d]", f->name, s->bits, f->bits_min, f->bits_max);
}

static lb_status check_blocks(const lb_storage *s) {
    const lb_format *f = s->format;
    if (f->shape == LB_SHAPE_DENSE) return LB_OK;
    if (f->group && s->group != f->group)
        return lb_fail(LB_E_ARG, "format %s with group = %lld: must be %lld", f->name, (long long)s->group,
                       (long long)f->group);
    if (f->shape == LB_SHAPE_FLAT && s->group < 1)
        return lb_fail(LB_E_ARG, "format %s with blocks of %lld: must be positive", f->name, (long long)s->group);
    if (s->group < LB_GROUP_TENSOR)
        return lb_fail(LB_E_ARG, "group = %lld: must be row, tensor or positive", (long long)s->group);
    if (f->has & LB_HAS_SCALE_TYPE && (unsigned)s->scale_type > LB_SCALE_BF16)
        return lb_fail(LB_E_ARG, "scale_type %d: must be in [%d, %d]", (int)s->scale_type, LB_SCALE_F32, LB_SCALE_BF16);
    if (f->has & LB_HAS_DOUBLE_QUANT && s->double_quant && s->scale_type != LB_SCALE_F32)
        return lb_fail(LB_E_ARG, "scale_type: with double_quant the scales are stored in 8 bits, not as 16-bit floats");
    return LB_OK;
}

static lb_status check_additions(const lb_storage *s, int64_t rows, int64_t cols) {
    int64_t most = rows < cols ? rows : cols;
    if (s->mask_of != 0 && (s->mask_of < 2 || s->mask_of > cols || s->mask_keep < 1 || s->mask_keep >= s->mask_of))
        return lb_fail(LB_E_ARG,
                       "a mask that keeps %lld of %lld: must be at least 1 of at most %lld, and fewer than all",
                       (long long)s->mask_keep, (long long)s->mask_of, (long long)cols);
    if (s->rank < 0 || s->rank > most)
        return lb_fail(LB_E_ARG, "rank %lld: must be in [0, %lld]", (long long)s->rank, (long long)most);
    if (s->rank > 0 && (unsigned)s->rank_type > LB_SCALE_BF16)
        return lb_fail(LB_E_ARG, "rank_type %d: must be in [%d, %d]", (int)s->rank_type, LB_SCALE_F32, LB_SCALE_BF16);
    if (s->t_scale && (unsigned)s->t_scale_type > LB_SCALE_BF16)
        return lb_fail(LB_E_ARG, "t_scale_type %d: must be in [%d, %d]", (int)s->t_scale_type, LB_SCALE_F32,
                       LB_SCALE_BF16);
    if (!lb_transform_hadamard_fits(s->t_hadamard, cols))
        return lb_fail(LB_E_ARG, "t_hadamard %lld: must be 0 or a power of two that divides the %lld columns",
                       (long long)s->t_hadamard, (long long)cols);
    return LB_OK;
}

static lb_status check_act(const lb_actquant *act, int64_t cols) {
    if (act->bits == 0) return LB_OK;
    if (act->bits < 2 || act->bits > 8) return lb_fail(LB_E_ARG, "act.bits = %d: must be 0 or in [2, 8]", act->bits);
    if ((unsigned)act->mode > LB_ACTQUANT_STATIC)
        return lb_fail(LB_E_ARG, "act.mode = %d: must be in [%d, %d]", (int)act->mode, LB_ACTQUANT_TOKEN,
                       LB_ACTQUANT_STATIC);
    int64_t most = act->mode == LB_ACTQUANT_STATIC ? 0 : cols;
    if (act->group >= 0 && act->group <= most) return LB_OK;
    return lb_fail(LB_E_ARG, "act.group = %lld: must be in [0, %lld]", (long long)act->group, (long long)most);
}

static lb_status check_format(const lb_storage *s, int64_t rows, int64_t cols) {
    int64_t weights = 0;
    if (rows < 1 || cols < 1 || __builtin_mul_overflow(rows, cols, &weights) || weights > INT64_MAX / 64)
        return lb_fail(LB_E_ARG, "a layer of (%lld, %lld): both must be positive and the product below 2^57",
                       (long long)rows, (long long)cols);
    if (!s->format) return lb_fail(LB_E_ARG, "a storage without a number format");
    LB_TRY(check_bits(s));
    LB_TRY(check_blocks(s));
    LB_TRY(check_act(&s->act, cols));
    return check_additions(s, rows, cols);
}

static bool same_act(lb_actquant a, lb_actquant b) {
    a.scale = a.zero = b.scale = b.zero = 0;
    return lb_actquant_same(&a, &b);
}

bool lb_storage_same(const lb_storage *a, const lb_storage *b) {
    const lb_format *f = a->format;
    if (f != b->format || a->bits != b->bits || a->rank != b->rank) return false;
    if (a->mask_of != b->mask_of || (a->mask_of && a->mask_keep != b->mask_keep)) return false;
    if (a->rank && a->rank_type != b->rank_type) return false;
    if (a->t_scale != b->t_scale || a->t_hadamard != b->t_hadamard || a->t_sign != b->t_sign) return false;
    if (a->t_scale && a->t_scale_type != b->t_scale_type) return false;
    if (!same_act(a->act, b->act)) return false;
    if (f->shape == LB_SHAPE_DENSE) return true;
    if (a->group != b->group || (by_rows(a) && a->order != b->order)) return false;
    if (f->has & LB_HAS_SYMMETRIC && a->symmetric != b->symmetric) return false;
    if (f->has & LB_HAS_SCALE_TYPE && a->scale_type != b->scale_type) return false;
    return !(f->has & LB_HAS_DOUBLE_QUANT) || a->double_quant == b->double_quant;
}

int lb_storage_parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    int n = s->format->parts(s, rows, cols, out);
    if (s->mask_of > 0) {
        if (out[0].form == LB_FORM_ROWS)
            out[0].cols = lb_storage_kept(s, cols);
        else
            out[0].n = rows * lb_storage_kept(s, cols);
    }
    if (s->order && by_rows(s))
        out[n++] = (lb_part){LB_SLOT_ORDER, LB_FORM_COLUMNS, .n = cols, .width = (int)lb_order_bytes(cols),
                             .counted = offsetof(lb_size, order)};
    if (s->mask_of > 0)
        out[n++] = (lb_part){LB_SLOT_MASK, LB_FORM_BYTES, .n = rows * lb_mask_row_bytes(cols),
                             .counted = offsetof(lb_size, mask)};
    if (s->rank > 0) {
        const size_t counted = offsetof(lb_size, low_rank);
        out[n++] = (lb_part){LB_SLOT_A, LB_FORM_FLOATS, .n = s->rank * cols, .type = s->rank_type, .counted = counted};
        out[n++] = (lb_part){LB_SLOT_B, LB_FORM_FLOATS, .n = rows * s->rank, .type = s->rank_type, .counted = counted};
    }
    if (s->t_scale)
        out[n++] = (lb_part){LB_SLOT_T_SCALE, LB_FORM_FLOATS, .n = cols, .type = s->t_scale_type,
                             .counted = offsetof(lb_size, transform)};
    if (s->t_sign)
        out[n++] = (lb_part){LB_SLOT_T_SIGN, LB_FORM_BYTES, .n = lb_transform_sign_bytes(cols),
                             .counted = offsetof(lb_size, transform)};
    if (lb_actquant_is_static(&s->act)) {
        const size_t counted = offsetof(lb_size, act);
        out[n++] = (lb_part){LB_SLOT_ACT_SCALE, LB_FORM_FLOATS, .n = 1, .type = LB_SCALE_F32, .counted = counted};
        if (!s->act.symmetric)
            out[n++] = (lb_part){LB_SLOT_ACT_ZERO, LB_FORM_WHOLE, .n = 1, .width = s->act.bits, .counted = counted};
    }
    return n;
}

int64_t lb_mask_row_bytes(int64_t cols) { return (cols + 7) / 8; }

int64_t lb_part_bytes(const lb_part *p) {
    switch (p->form) {
    case LB_FORM_ROWS:
        return p->n * lb_packed_row_bytes(p->cols, p->width);
    case LB_FORM_STREAM:
    case LB_FORM_WHOLE:
        return (p->n * p->width + 7) / 8;
    case LB_FORM_FLOATS:
        return p->n * lb_scale_bytes(p->type);
    case LB_FORM_BYTES:
        return p->n;
    case LB_FORM_COLUMNS:
        return p->n * p->width;
    case LB_FORM_NONE:
        break;
    }
    return 0;
}

lb_status lb_storage_size(const lb_storage *s, int64_t rows, int64_t cols, lb_size *out) {
    lb_part part[LB_MOST_PARTS];
    LB_TRY(check_format(s, rows, cols));
    lb_size z = {.weights = rows * cols};
    for (int i = 0, n = lb_storage_parts(s, rows, cols, part); i < n; i++) {
        int64_t bytes = lb_part_bytes(&part[i]), padding = 0;
        if (part[i].form == LB_FORM_ROWS) padding = bytes - (part[i].n * part[i].cols * part[i].width + 7) / 8;
        *(int64_t *)((char *)&z + part[i].counted) += bytes - padding;
        z.padding += padding;
        z.total += bytes;
    }
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
    sum->mask += one->mask;
    sum->low_rank += one->low_rank;
    sum->transform += one->transform;
    sum->act += one->act;
}

/* Down, and to the least for what is not positive: formats with such scales make powers of two. */
uint8_t lb_f32_to_e8m0(float x) {
    int e = 0;
    if (!(x > 0)) return 0;
    if (!isfinite(x)) return 254;
    (void)frexpf(x, &e);
    return (uint8_t)(e - 1 < -127 ? 0 : e - 1 > 127 ? 254 : e - 1 + 127);
}

float lb_e8m0_to_f32(uint8_t code) { return ldexpf(1.0f, (int)code - 127); }

float lb_number_kept(lb_scale_type t, float v) {
    switch (t) {
    case LB_SCALE_F16:
        return lb_f16_to_f32(lb_f32_to_f16(v));
    case LB_SCALE_BF16:
        return lb_bf16_to_f32(lb_f32_to_bf16(v));
    case LB_SCALE_E8M0:
        return lb_e8m0_to_f32(lb_f32_to_e8m0(v));
    case LB_SCALE_F32:
        break;
    }
    return v;
}

const char *lb_scale_type_name(lb_scale_type t) {
    static const char *const name[] = {"float32", "float16", "bfloat16", "power of two from 2^-127 to 2^127"};
    return name[t];
}

float lb_scale_type_largest(lb_scale_type t) {
    switch (t) {
    case LB_SCALE_F16:
        return lb_f16_to_f32(0x7bff);
    case LB_SCALE_BF16:
        return lb_bf16_to_f32(0x7f7f);
    case LB_SCALE_E8M0:
        return lb_e8m0_to_f32(254);
    case LB_SCALE_F32:
        break;
    }
    return FLT_MAX;
}

float lb_scale_round(lb_scale_type t, float scale) {
    float r = lb_number_kept(t, scale), largest = lb_scale_type_largest(t), smallest = FLT_TRUE_MIN;
    if (t == LB_SCALE_F16) smallest = lb_f16_to_f32(0x0001);
    if (t == LB_SCALE_BF16) smallest = lb_bf16_to_f32(0x0001);
    if (scale > 0 && r < smallest) return smallest;
    return r > largest ? largest : r;
}

float lb_number_round(lb_scale_type t, float v) {
    float r = lb_number_kept(t, v);
    if (isfinite(r) || !isfinite(v)) return r;
    return v < 0 ? -lb_scale_type_largest(t) : lb_scale_type_largest(t);
}

static lb_status beyond(lb_scale_type t, const char *what, float v) {
    if (isnan(v)) return lb_fail(LB_E_NUMERIC, "%s %g: must be finite", what, (double)v);
    return lb_fail(LB_E_NUMERIC, "%s %g: must be at %s%g, the largest %s", what, (double)v, v < 0 ? "least -" : "most ",
                   (double)lb_scale_type_largest(t), lb_scale_type_name(t));
}

lb_status lb_scale_store(lb_scale_type t, float scale, float *out) {
    if (!isfinite(lb_number_kept(t, scale))) return beyond(t, "scale", scale);
    *out = lb_scale_round(t, scale);
    return LB_OK;
}

lb_status lb_number_store(lb_scale_type t, const char *what, float v, float *out) {
    *out = lb_number_kept(t, v);
    return isfinite(*out) ? LB_OK : beyond(t, what, v);
}

static void group_text(const lb_storage *s, lb_str *out) {
    const lb_format *f = s->format;
    if (f->group) return; /* there is no other */
    if (s->group > 0)
        lb_str_add(out, " %c%lld", f->shape == LB_SHAPE_FLAT ? 'b' : 'g', (long long)s->group);
    else
        lb_str_add(out, " %s", s->group == LB_GROUP_ROW ? "row" : "tensor");
}

static void codes_text(const lb_storage *s, lb_str *out) {
    static const char *const scale_name[] = {"", " f16-scales", " bf16-scales"};
    const lb_format *f = s->format;
    lb_str_add(out, "%s", f->name);
    if (f->shape == LB_SHAPE_DENSE) return;
    if (f->bits_min != f->bits_max) lb_str_add(out, "%d", s->bits);
    group_text(s, out);
    if (f->has & LB_HAS_SYMMETRIC) lb_str_add(out, "%s", s->symmetric ? " sym" : " asym");
    if (f->has & LB_HAS_DOUBLE_QUANT && s->double_quant)
        lb_str_add(out, " dq");
    else if (f->has & LB_HAS_SCALE_TYPE)
        lb_str_add(out, "%s", scale_name[s->scale_type]);
    if (s->order && by_rows(s)) lb_str_add(out, " order");
}

/* " a8", " a8-sym-static", " a4-g128" */
static void act_text(const lb_actquant *act, lb_str *out) {
    lb_str_add(out, " a%d%s%s", act->bits, act->symmetric ? "-sym" : "",
               act->mode == LB_ACTQUANT_STATIC ? "-static" : "");
    if (act->group > 0) lb_str_add(out, "-g%lld", (long long)act->group);
}

void lb_storage_text(const lb_storage *s, lb_str *out) {
    static const char *const type[] = {"", " f16-pair", " bf16-pair"};
    static const char *const scale[] = {" scale", " f16-scale", " bf16-scale"};
    codes_text(s, out);
    if (s->mask_of > 0) lb_str_add(out, " keep%lld:%lld", (long long)s->mask_keep, (long long)s->mask_of);
    if (s->rank > 0) lb_str_add(out, " rank%lld%s", (long long)s->rank, type[s->rank_type]);
    if (s->t_hadamard) lb_str_add(out, " had%lld", (long long)s->t_hadamard);
    if (s->t_sign) lb_str_add(out, " signs");
    if (s->t_scale) lb_str_add(out, "%s", scale[s->t_scale_type]);
    if (s->act.bits) act_text(&s->act, out);
}

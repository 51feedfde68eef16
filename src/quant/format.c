#include "quant/format.h"

#include <math.h>
#include <stdio.h>

void *lb_part_values(const lb_layer *c, const lb_part *p) {
    const void *const at[] = {
        [LB_SLOT_CODES] = c->codes,
        [LB_SLOT_SCALE] = c->scale,
        [LB_SLOT_ZERO] = c->zero,
        [LB_SLOT_ORDER] = c->order,
        [LB_SLOT_DQ_CODE] = c->dq_code,
        [LB_SLOT_DQ_SCALE] = c->dq_scale,
        [LB_SLOT_DQ_MEAN] = &c->dq_mean,
        [LB_SLOT_DENSE] = c->dense,
        [LB_SLOT_MASK] = c->mask,
        [LB_SLOT_A] = c->A,
        [LB_SLOT_B] = c->B,
        [LB_SLOT_T_SCALE] = c->T.scale,
        [LB_SLOT_T_SIGN] = c->T.sign,
        [LB_SLOT_ACT_SCALE] = &c->act_scale,
        [LB_SLOT_ACT_ZERO] = &c->act_zero,
        [LB_SLOT_FIXED] = p->fixed,
    };
    return (void *)(uintptr_t)at[p->slot];
}

const char *lb_block_place(const lb_storage *s, int64_t cols, int64_t i, char out[64]) {
    int64_t groups = lb_storage_groups_per_row(s, cols);
    if (s->format->shape == LB_SHAPE_FLAT)
        snprintf(out, 64, "block %lld", (long long)i);
    else if (s->group == LB_GROUP_TENSOR)
        snprintf(out, 64, "the matrix");
    else if (s->group == LB_GROUP_ROW)
        snprintf(out, 64, "row %lld", (long long)i);
    else
        snprintf(out, 64, "row %lld, group %lld", (long long)(i / groups), (long long)(i % groups));
    return out;
}

lb_status lb_block_fail_in(lb_status st, const lb_storage *s, int64_t cols, int64_t i) {
    char at[64];
    return st == LB_E_NUMERIC ? lb_fail_in(st, "%s", lb_block_place(s, cols, i, at)) : st;
}

lb_status lb_block_fit(lb_layer *c, bool clip_search, int64_t at, const float *x, int64_t n) {
    float unused;
    const lb_storage *s = &c->storage;
    lb_status st = s->format->fit(s, clip_search, x, n, &c->scale[at], c->zero ? &c->zero[at] : &unused);
    return st == LB_OK ? st : lb_block_fail_in(st, s, c->cols, at);
}

static lb_status refused(const lb_format *f, const char *option, const char *value) {
    return lb_fail(LB_E_UNSUPPORTED, "%s %s does not apply to format %s", option, value, f->name);
}

static lb_status accepts_bits(const lb_storage *s) {
    const lb_format *f = s->format;
    if (s->bits >= f->bits_min && s->bits <= f->bits_max) return LB_OK;
    if (f->bits_min < f->bits_max)
        return lb_fail(LB_E_UNSUPPORTED, "format %s: bits must be in [%d, %d], not %d", f->name, f->bits_min,
                       f->bits_max, s->bits);
    return lb_fail(LB_E_UNSUPPORTED, "format %s has %d bits: bits must be %d, not %d", f->name, f->bits_min,
                   f->bits_min, s->bits);
}

static lb_status accepts_group(const lb_storage *s) {
    const lb_format *f = s->format;
    char given[24];
    bool fits = f->group ? s->group == f->group : f->shape != LB_SHAPE_FLAT || s->group > 0;
    if (fits) return LB_OK;
    if (s->group > 0)
        snprintf(given, sizeof given, "%lld", (long long)s->group);
    else
        snprintf(given, sizeof given, "%s", s->group == LB_GROUP_ROW ? "row" : "tensor");
    if (f->group)
        return lb_fail(LB_E_UNSUPPORTED, "format %s has blocks of %lld: group must be %lld, not %s", f->name,
                       (long long)f->group, (long long)f->group, given);
    return lb_fail(LB_E_UNSUPPORTED, "%s blocks are runs of weights: group must be a number, not %s", f->name, given);
}

lb_status lb_format_accepts(const lb_storage *s, bool mse) {
    static const char *const scale_name[] = {"f32", "f16", "bf16"};
    const lb_format *f = s->format;
    LB_TRY(accepts_bits(s));
    LB_TRY(accepts_group(s));
    if (s->symmetric && !(f->has & LB_HAS_SYMMETRIC)) return refused(f, "symmetric", "true");
    if (s->scale_type != LB_SCALE_F32 && !(f->has & LB_HAS_SCALE_TYPE))
        return refused(f, "scale_type", scale_name[s->scale_type]);
    if (mse && !(f->has & LB_HAS_CLIP_SEARCH)) return refused(f, "mse", "true");
    return f->accepts ? f->accepts(s, mse) : LB_OK;
}

bool lb_storage_by_rows(const lb_storage *s, int64_t cols) {
    return s->format->shape == LB_SHAPE_ROWS || (s->format->shape == LB_SHAPE_FLAT && cols % s->group == 0);
}

bool lb_format_column_by_value(uint8_t *code, double *err, const double *w, const float *scale, const float *zero,
                               double d, int64_t n, const lb_storage *s) {
    const lb_format *f = s->format;
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        float x = (float)w[i], value;
        f->encode(s, &x, 1, scale[i], zero[i], &code[i]);
        f->decode(s, &code[i], 1, scale[i], zero[i], &value);
        err[i] = (w[i] - (double)value) / d;
        finite = finite && isfinite(w[i]);
    }
    return finite;
}

lb_encode_column *lb_format_column_encoder(const lb_format *f) {
    return f->encode_column ? f->encode_column : lb_format_column_by_value;
}

#include "quant/format.h"

#include <math.h>
#include <stdio.h>

void *lb_part_values(const lb_compressed *c, const lb_part *p) {
    const void *const at[] = {
        [LB_SLOT_CODES] = c->codes,      [LB_SLOT_SCALE] = c->scale,     [LB_SLOT_ZERO] = c->zero,
        [LB_SLOT_ORDER] = c->order,      [LB_SLOT_DQ_CODE] = c->dq_code, [LB_SLOT_DQ_SCALE] = c->dq_scale,
        [LB_SLOT_DQ_MEAN] = &c->dq_mean, [LB_SLOT_DENSE] = c->dense,     [LB_SLOT_FIXED] = p->fixed,
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

static bool one_by_one(uint8_t *code, double *err, const double *w, const float *scale, const float *zero, double d,
                       int64_t n, const lb_storage *s) {
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
    return f->encode_column ? f->encode_column : one_by_one;
}

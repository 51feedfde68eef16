/* Weights as floats of 16 or 32 bits: what is not compressed. */
#include "quant/format.h"

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    out[0] = (lb_part){LB_SLOT_DENSE, LB_FORM_FLOATS, .n = rows * cols,
                       .type = s->bits == 16 ? LB_SCALE_F16 : LB_SCALE_F32, .counted = offsetof(lb_size, codes)};
    return 1;
}

#define FLOATS(text, width)                                                                                            \
    {                                                                                                                  \
        .name = text, .summary = "floats of " #width " bits", .shape = LB_SHAPE_DENSE, .bits_min = width,              \
        .bits_max = width, .parts = parts                                                                              \
    }
const lb_format lb_f16 = FLOATS("f16", 16);
const lb_format lb_f32 = FLOATS("f32", 32);

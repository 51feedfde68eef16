/* Weights as floats: f16 and f32 what is not compressed, float16 and bfloat16 what a method rounds. f16 is a way of
 * counting: papers give a model's own weights 16 bits, whatever its file has. */
#include "quant/format.h"

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    lb_scale_type half = s->format == &lb_bfloat16 ? LB_SCALE_BF16 : LB_SCALE_F16;
    out[0] = (lb_part){LB_SLOT_DENSE, LB_FORM_FLOATS, .n = rows * cols, .type = s->bits == 16 ? half : LB_SCALE_F32,
                       .counted = offsetof(lb_size, codes)};
    return 1;
}

#define FLOATS(text, what, width, rounded)                                                                             \
    {                                                                                                                  \
        .name = text, .summary = what, .shape = LB_SHAPE_DENSE, .bits_min = width, .bits_max = width,                  \
        .rounds = rounded, .parts = parts                                                                              \
    }
const lb_format lb_f16 = FLOATS("f16", "floats of 16 bits", 16, false);
const lb_format lb_f32 = FLOATS("f32", "floats of 32 bits", 32, false);
const lb_format lb_float16 = FLOATS("float16", "rounded to IEEE 754 binary16", 16, true);
const lb_format lb_bfloat16 = FLOATS("bfloat16", "rounded to bfloat16", 16, true);

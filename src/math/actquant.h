/* Simulated activation quantization: uniform, one range per token, dynamic. bits 0: none. The range is min to max
 * widened to contain 0 (symmetric: both ends at the larger magnitude), scale = range / (2^bits - 1) (symmetric: largest
 * magnitude / (2^(bits-1) - 1), codes in
 * [-(2^(bits-1) - 1), 2^(bits-1) - 1]), rounding half to even, float32. A row of zeros stays zero. */
#ifndef LB_MATH_ACTQUANT_H
#define LB_MATH_ACTQUANT_H

#include "math/mat.h"

typedef struct lb_actquant {
    int bits; /* 0 or 2..8 */
    bool symmetric;
} lb_actquant;

/* Rows of x quantized and back, into y (may be x). */
void lb_actquant_apply(const lb_actquant *act, lb_cmat x, lb_mat y);

#endif

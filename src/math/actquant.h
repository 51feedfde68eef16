/* Simulated activation quantization: uniform, rounding half to even, float32. A range is that of numbers from lo to hi,
 * widened to contain 0 (symmetric: both ends at the larger magnitude), scale = range / (2^bits - 1) (symmetric: largest
 * magnitude / (2^(bits-1) - 1), codes in [-(2^(bits-1) - 1), 2^(bits-1) - 1]). It is found anew for each token, or for
 * each group of its columns; or it is one for all inputs, known beforehand, and what lies outside is cut off.
 * source  Xiao et al. 2023 (arXiv:2211.10438), section 2: per token (dynamic) and per tensor (static) */
#ifndef LB_MATH_ACTQUANT_H
#define LB_MATH_ACTQUANT_H

#include "math/mat.h"

typedef enum lb_actquant_mode { LB_ACTQUANT_TOKEN, LB_ACTQUANT_STATIC } lb_actquant_mode;

typedef struct lb_actquant {
    int bits; /* 2..8; 0: none, and the rest means nothing */
    bool symmetric;
    lb_actquant_mode mode;
    int64_t group;     /* token: columns that share a range, the last may be fewer; 0: all of them */
    float scale, zero; /* static: finite and positive; a whole number in [0, 2^bits - 1], 0 if symmetric */
} lb_actquant;

static inline bool lb_actquant_is_static(const lb_actquant *a) { return a->bits && a->mode == LB_ACTQUANT_STATIC; }
/* Do they make the same of every input? */
bool lb_actquant_same(const lb_actquant *a, const lb_actquant *b);
/* scale and zero of the range of numbers in [lo, hi]. scale 0: they are all 0, or too small to be told apart. */
void lb_actquant_range(lb_actquant *act, float lo, float hi);
/* Rows of x quantized and back, into y (may be x). Of a range of zeros only zeros come. */
void lb_actquant_apply(const lb_actquant *act, lb_cmat x, lb_mat y);
/* Is x outside a static range? */
bool lb_actquant_cuts(const lb_actquant *act, float x);

#endif

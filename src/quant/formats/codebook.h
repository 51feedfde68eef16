/* Codebooks of sixteen values, and the second quantization of their scales. */
#ifndef LB_QUANT_FORMATS_CODEBOOK_H
#define LB_QUANT_FORMATS_CODEBOOK_H

#include "quant/format.h"

#define LB_CODEBOOK_VALUES 16

/* Rounding to a codebook: code[i] for values above i of the 15 midpoints; on a midpoint the lower value. */
typedef struct lb_codebook_cuts {
    float cut[LB_CODEBOOK_VALUES - 1];
    const uint8_t *code; /* (16) codes by ascending value */
} lb_codebook_cuts;
lb_codebook_cuts lb_codebook_cuts_of(const lb_format *f);
uint8_t lb_codebook_code(const lb_codebook_cuts *c, float x);

/* Double quantization of absmax (n): the mean is subtracted, the rest becomes 8-bit codes of the dynamic map in blocks
 * of 256 with a float32 scale each (scale: ceil(n / 256)); and back. */
const float *lb_dynamic_map(void); /* (256) ascending */
void lb_double_quant(const float *absmax, int64_t n, uint8_t *code, float *scale, float *mean);
void lb_double_quant_expand(const uint8_t *code, const float *scale, float mean, int64_t n, float *absmax);

#endif

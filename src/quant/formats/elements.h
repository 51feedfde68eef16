/* Formats whose weights are numbers of a small type times the scale of their block, with no zero. */
#ifndef LB_QUANT_FORMATS_ELEMENTS_H
#define LB_QUANT_FORMATS_ELEMENTS_H

#include "quant/format.h"

/* encode and decode of a file, of its `uint8_t element(float)`, which saturates, and `float value(uint8_t)`. A macro: a
 * call for each weight would cost more than what it does. */
#define LB_FORMAT_ELEMENTS(element, value)                                                                             \
    static void encode(const lb_storage *s, const float *x, int64_t n, float scale, float zero, uint8_t *code) {       \
        (void)s, (void)zero;                                                                                           \
        for (int64_t i = 0; i < n; i++) code[i] = element(x[i] / scale);                                               \
    }                                                                                                                  \
    static void decode(const lb_storage *s, const uint8_t *code, int64_t n, float scale, float zero, float *x) {       \
        (void)s, (void)zero;                                                                                           \
        for (int64_t i = 0; i < n; i++) x[i] = value(code[i]) * scale;                                                 \
    }

#endif

/* float16 (IEEE 754 binary16) and bfloat16, round to nearest even; NaN stays NaN, overflow becomes infinity. */
#ifndef LB_BASE_HALF_H
#define LB_BASE_HALF_H

#include <stdint.h>
#include <string.h>

float lb_f16_to_f32(uint16_t h);
uint16_t lb_f32_to_f16(float x);
float lb_bf16_to_f32(uint16_t h);
/* As they are stored: two zeros differ, a NaN may equal itself. */
static inline uint32_t lb_f32_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
/* Inline and without a branch, so that the compiler turns a loop of it into vectors. */
static inline uint16_t lb_f32_to_bf16(float x) {
    uint32_t u = lb_f32_bits(x);
    uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, nan = u >> 16 | 0x40;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

#endif

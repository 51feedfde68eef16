/* float16 (IEEE 754 binary16) and bfloat16, round to nearest even; NaN stays NaN, overflow becomes infinity. */
#ifndef LB_BASE_HALF_H
#define LB_BASE_HALF_H

#include <stdint.h>

float lb_f16_to_f32(uint16_t h);
uint16_t lb_f32_to_f16(float x);
float lb_bf16_to_f32(uint16_t h);
uint16_t lb_f32_to_bf16(float x);

#endif

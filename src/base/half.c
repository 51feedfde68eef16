#include "base/half.h"

#include <string.h>

static float from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float lb_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fff;
    if (mag >= 0x7c00) return from_bits(sign | 0x7f800000u | (mag & 0x3ff) << 13); /* infinity, NaN */
    if (mag < 0x0400) {                                                            /* subnormal: mag * 2^-24, exact */
        float x = (float)mag * 0x1p-24f;
        return sign ? -x : x;
    }
    return from_bits(sign | ((mag << 13) + (112u << 23))); /* exponent bias 15 -> 127 */
}

uint16_t lb_f32_to_f16(float x) {
    uint32_t u = lb_f32_bits(x), sign = u >> 16 & 0x8000, mag = u & 0x7fffffffu;
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x3ff)); /* quiet NaN, top payload kept */
    if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00);                      /* 65520 and up round to infinity */
    /* Below 2^-14: adding 0.5 puts the result's last bit, 2^-24, at the sum's last bit, so the addition rounds. */
    if (mag < 0x38800000u) return (uint16_t)(sign | (lb_f32_bits(from_bits(mag) + 0.5f) - lb_f32_bits(0.5f)));
    mag += 0xfff + (mag >> 13 & 1); /* half to even; a carry goes into the exponent */
    return (uint16_t)(sign | (mag - (112u << 23)) >> 13);
}

float lb_bf16_to_f32(uint16_t h) { return from_bits((uint32_t)h << 16); }

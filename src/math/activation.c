#include "math/activation.h"

#include <math.h>

#include "math/kernels.h"

/* Values that are worked on at a time, in arrays of their own: loops over those become vectors. */
enum { CHUNK = 256 };

void lb_act_apply(lb_act f, float *y, const float *x, int64_t n) { lb_kernels_active()->act(f, y, x, n); }
void lb_act_slope(lb_act f, float *y, const float *x, int64_t n) { lb_kernels_active()->slope(f, y, x, n); }

/* tanh near zero: the polynomial of Moshier's Cephes, tanhf.c; beyond, 1 - 2 / (exp(2 |z|) + 1). */
void lb_act_cap(float *y, float cap, int64_t n) {
    float z[CHUNK], e[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t k = n - i < CHUNK ? n - i : CHUNK;
        for (int64_t j = 0; j < k; j++) {
            z[j] = y[i + j] / cap;
            e[j] = 2.0f * fabsf(z[j]);
        }
        lb_kernels_active()->exp(e, e, k);
        for (int64_t j = 0; j < k; j++) {
            float s = z[j] * z[j], p = 2.06390887954e-2f + s * -5.70498872745e-3f;
            p = -3.33332819422e-1f + s * (1.33314422036e-1f + s * (-5.37397155531e-2f + s * p));
            float far = 1.0f - 2.0f / (e[j] + 1.0f), near = z[j] + z[j] * s * p;
            y[i + j] = cap * (fabsf(z[j]) < 0.625f ? near : copysignf(far, z[j]));
        }
    }
}

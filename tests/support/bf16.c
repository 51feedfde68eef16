#include "support/bf16.h"

#include <math.h>
#include <string.h>

#include "support/support.h"

void bf16_needed(void) {
    lb_status st = lb_bf16_check();
    if (st == LB_OK) return;
    if (st != LB_E_UNSUPPORTED) fail_msg("%s", lb_error());
    assert_error_has(lb_bf16_version()[0] ? "on this processor" : "Debian: libdnnl-dev");
    skip();
}

float bf16_nearest(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint32_t low = u & 0xffff, kept = u - low;
    if (low > 0x8000 || (low == 0x8000 && kept & 0x10000)) kept += 0x10000;
    if (isnan(x)) kept = u | 0x400000;
    memcpy(&x, &kept, sizeof x);
    return x;
}

void bf16_multiply_ref(lb_cmat x, lb_cmat W, bool add, lb_mat y, lb_mat bound) {
    for (int64_t t = 0; t < x.rows; t++)
        for (int64_t o = 0; o < W.rows; o++) {
            double sum = add ? (double)y.d[t * y.ld + o] : 0, size = fabs(sum);
            for (int64_t i = 0; i < W.cols; i++) {
                double p = (double)bf16_nearest(x.d[t * x.ld + i]) * (double)bf16_nearest(W.d[o * W.ld + i]);
                sum += p;
                size += fabs(p);
            }
            y.d[t * y.ld + o] = (float)sum;
            if (bound.d)
                bound.d[t * bound.ld + o] =
                    (float)(((double)W.cols + 2) * 0x1p-23 * size + (double)W.cols * 0x1p-126 + 0x1p-149);
        }
}

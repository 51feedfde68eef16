#include "math/mat.h"

#include <string.h>

static bool bad(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (u & 0x7f800000u) == 0x7f800000u;
}

int64_t lb_mat_first_bad(lb_cmat m) {
    for (int64_t r = 0; r < m.rows; r++) {
        const float *row = m.d + r * m.ld;
        int any = 0; /* a loop without an exit is vectorized */
        for (int64_t c = 0; c < m.cols; c++) any |= bad(row[c]);
        if (!any) continue;
        int64_t c = 0;
        while (!bad(row[c])) c++;
        return r * m.cols + c;
    }
    return -1;
}

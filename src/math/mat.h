/* Row-major matrix views: never own. ld = elements from one row to the next (>= cols). */
#ifndef LB_MATH_MAT_H
#define LB_MATH_MAT_H

#include "base/mem.h"
#include "base/status.h"

typedef struct lb_mat {
    float *d;
    int64_t rows, cols, ld;
} lb_mat;
typedef struct lb_cmat {
    const float *d;
    int64_t rows, cols, ld;
} lb_cmat;
typedef struct lb_dmat {
    double *d;
    int64_t rows, cols, ld;
} lb_dmat;
typedef struct lb_cdmat {
    const double *d;
    int64_t rows, cols, ld;
} lb_cdmat;

static inline lb_mat lb_mat_of(float *d, int64_t rows, int64_t cols) { return (lb_mat){d, rows, cols, cols}; }
static inline lb_cmat lb_cmat_of(const float *d, int64_t rows, int64_t cols) { return (lb_cmat){d, rows, cols, cols}; }
static inline lb_cmat lb_mat_c(lb_mat m) { return (lb_cmat){m.d, m.rows, m.cols, m.ld}; }
static inline lb_dmat lb_dmat_of(double *d, int64_t rows, int64_t cols) { return (lb_dmat){d, rows, cols, cols}; }
static inline lb_cdmat lb_dmat_c(lb_dmat m) { return (lb_cdmat){m.d, m.rows, m.cols, m.ld}; }
static inline lb_mat lb_mat_part(lb_mat m, int64_t r0, int64_t c0, int64_t rows, int64_t cols) {
    return (lb_mat){m.d + r0 * m.ld + c0, rows, cols, m.ld};
}
static inline lb_cmat lb_cmat_part(lb_cmat m, int64_t r0, int64_t c0, int64_t rows, int64_t cols) {
    return (lb_cmat){m.d + r0 * m.ld + c0, rows, cols, m.ld};
}
/* Index of the first NaN or infinity in row-major order, or -1. */
int64_t lb_mat_first_bad(lb_cmat m);

#endif

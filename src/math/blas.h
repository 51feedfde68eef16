/* The only callers of cblas and LAPACKE. Always single-threaded inside: parallelism is over pieces (base/team.h). */
#ifndef LB_MATH_BLAS_H
#define LB_MATH_BLAS_H

#include "math/mat.h"

void lb_blas_init(void);          /* one OpenBLAS thread; called once by main and by tests */
const char *lb_blas_config(void); /* OpenBLAS' configuration string */
const char *lb_blas_core(void);   /* the kernel core it chose, "Haswell", "SkylakeX" */

/* C = alpha op(A) op(B) + beta C; op transposes where ta / tb. Shapes are asserted. */
void lb_sgemm(bool ta, bool tb, float alpha, lb_cmat A, lb_cmat B, float beta, lb_mat C);
void lb_dgemm(bool ta, bool tb, double alpha, lb_cdmat A, lb_cdmat B, double beta, lb_dmat C);
/* Upper triangle of C (n, n) = alpha AᵀA + beta C, A (k, n). */
void lb_ssyrk_t(float alpha, lb_cmat A, float beta, lb_mat C);
void lb_dsyrk_t(double alpha, lb_cdmat A, double beta, lb_dmat C);

#endif

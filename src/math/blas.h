/* Products, by OpenBLAS, which is loaded when it is asked for. Always single-threaded inside: parallelism is over
 * pieces (base/team.h). */
#ifndef LB_MATH_BLAS_H
#define LB_MATH_BLAS_H

#include "base/team.h"
#include "math/mat.h"

/* Before the first product: loads OpenBLAS, and makes what it needs for so many threads to multiply at once. Any number
 * of times.
 * errors  LB_E_NOMEM; LB_E_UNSUPPORTED: no OpenBLAS, or one that threads may not share */
LB_NODISCARD lb_status lb_blas_init(int threads);
int lb_blas_threads(void);        /* that it uses inside of a product: 1 */
const char *lb_blas_config(void); /* OpenBLAS' configuration string */
const char *lb_blas_core(void);   /* the kernel core it chose, "Haswell", "SkylakeX" */

/* OpenBLAS takes other kernels, and so other sums, for products of up to a million steps m n k: this is clear of it. */
enum { LB_SMALL_PRODUCT = 1 << 20 };

/* C = alpha op(A) op(B) + beta C; op transposes where ta / tb. Shapes are asserted. */
void lb_sgemm(bool ta, bool tb, float alpha, lb_cmat A, lb_cmat B, float beta, lb_mat C);
void lb_dgemm(bool ta, bool tb, double alpha, lb_cdmat A, lb_cdmat B, double beta, lb_dmat C);
/* The same over a team, in pieces of rows, or columns where C is wider than tall, that depend on its shape alone. */
LB_NODISCARD lb_status lb_dgemm_team(bool ta, bool tb, double alpha, lb_cdmat A, lb_cdmat B, double beta, lb_dmat C,
                                     lb_team *team);
/* Upper triangle of C (n, n) = alpha AᵀA + beta C, A (k, n). */
void lb_ssyrk_t(float alpha, lb_cmat A, float beta, lb_mat C);
void lb_dsyrk_t(double alpha, lb_cdmat A, double beta, lb_dmat C);

#endif

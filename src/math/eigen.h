/* Leading eigenvectors of a symmetric matrix, by LAPACK. */
#ifndef LB_MATH_EIGEN_H
#define LB_MATH_EIGEN_H

#include "base/mem.h"
#include "math/mat.h"

/* The eigenvectors of the k largest eigenvalues of G (n, n), symmetric, as the columns of out (n, k), the largest
 * first, and their eigenvalues. G is lost. Single-threaded. LB_E_NUMERIC: LAPACK found none (G is not finite). */
LB_NODISCARD lb_status lb_leading_eigenvectors(lb_dmat G, lb_dmat out, double *value, lb_arena *scratch);
/* Bytes of scratch that it takes for k of n. */
double lb_leading_eigenvectors_bytes(int64_t n, int64_t k);

#endif

/* Leading eigenvectors of a symmetric matrix, by LAPACK. */
#ifndef LB_MATH_EIGEN_H
#define LB_MATH_EIGEN_H

#include "base/mem.h"
#include "math/mat.h"

/* The eigenvectors of the k largest eigenvalues of G (n, n), symmetric, as the columns of out (n, k), the largest
 * first. G is lost. Single-threaded. LB_E_NUMERIC: LAPACK found none (G is not finite). */
LB_NODISCARD lb_status lb_leading_eigenvectors(lb_dmat G, lb_dmat out, lb_arena *scratch);

#endif

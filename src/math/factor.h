/* Cholesky factors and triangular inverses of large matrices: tiles over the team, each on single-threaded BLAS, in an
 * order that depends on shapes alone. Row-major; only lower triangles are read and written. */
#ifndef LB_MATH_FACTOR_H
#define LB_MATH_FACTOR_H

#include "base/team.h"
#include "math/mat.h"

/* A (n, n) = L Lᵀ, L in its place. LB_E_NUMERIC names the column (0-based) and the pivot that was not positive; both
 * pointers may be NULL. */
LB_NODISCARD lb_status lb_cholesky_lower(lb_dmat A, lb_team *team, int64_t *bad_column, double *bad_pivot);
/* L (n, n) -> L^-1, lower triangular too; the diagonal must not hold a zero. */
LB_NODISCARD lb_status lb_invert_lower(lb_dmat L, lb_team *team);
/* The upper Cholesky factor of A^-1, where A (n, n) is the symmetric H with rows and columns in the order of perm and
 * diag in place of its diagonal: A_pq = H[perm[p]][perm[q]], A_pp = diag[perm[p]]. With A = R Rᵀ and R upper triangular
 * it is R^-1, for A^-1 = (R^-1)ᵀ R^-1: one factorization and one triangular inverse, where an inverse first would take
 * a factorization, an inverse and another factorization. R is the ordinary factor of A with its columns from last to
 * first; turned around in place, the lower triangle becomes the upper one. Below the diagonal of `out` stands nothing
 * that means anything. LB_E_NUMERIC: as above, with the position in perm. */
LB_NODISCARD lb_status lb_inverse_factor(lb_cdmat H, const double *diag, const int32_t *perm, lb_dmat out,
                                         lb_team *team, int64_t *bad_position, double *bad_pivot);

#endif

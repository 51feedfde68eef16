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

#endif

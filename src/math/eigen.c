#include "math/eigen.h"

#include <assert.h>
#include <limits.h>

#include "math/blas_library.h"

lb_status lb_leading_eigenvectors(lb_dmat G, lb_dmat out, lb_arena *scratch) {
    assert(G.rows == G.cols && out.rows == G.rows && out.cols <= G.rows && G.ld <= INT_MAX);
    lb_arena_mark start = lb_arena_save(scratch);
    int n = (int)G.rows, k = (int)out.cols, ld = (int)G.ld, found = 0, info = 0;
    int first = n - k + 1, last = n;              /* ascending: the largest */
    int lwork = 26 * n + 64 * n, liwork = 10 * n; /* at least 26 n; more is faster */
    double *values = LB_NEW(scratch, double, n), *vectors = LB_NEW(scratch, double, (int64_t)n *k);
    double *work = LB_NEW_UNSET(scratch, double, lwork), none = 0;
    int *iwork = LB_NEW_UNSET(scratch, int, liwork), *support = LB_NEW(scratch, int, 2 * (int64_t)n);
    if (!values || !vectors || !work || !iwork || !support) return LB_E_NOMEM;
    lb_blas.dsyevr("V", "I", "L", &n, G.d, &ld, &none, &none, &first, &last, &none, &found, values, vectors, &n,
                   support, work, &lwork, iwork, &liwork, &info, 1, 1, 1);
    if (info != 0 || found != k)
        return lb_fail(LB_E_NUMERIC, "eigenvectors: LAPACK found %d of %d (info %d)", found, k, info);
    for (int64_t j = 0; j < k; j++) /* ascending there, column by column */
        for (int64_t i = 0; i < n; i++) out.d[i * out.ld + j] = vectors[(k - 1 - j) * n + i];
    lb_arena_restore(scratch, start);
    return LB_OK;
}

#include "math/eigen.h"

#include <assert.h>
#include <limits.h>

#include "math/blas_library.h"

enum { WORK = 26 + 64, INTEGERS = 10 }; /* a row, at least 26 and 10: more is faster */

lb_status lb_leading_eigenvectors(lb_dmat G, lb_dmat out, double *value, lb_arena *scratch) {
    assert(G.rows == G.cols && out.rows == G.rows && out.cols <= G.rows && G.ld <= INT_MAX);
    lb_arena_mark start = lb_arena_save(scratch);
    int n = (int)G.rows, k = (int)out.cols, ld = (int)G.ld, found = 0, info = 0;
    int first = n - k + 1, last = n; /* ascending: the largest */
    int lwork = WORK * n, liwork = INTEGERS * n;
    double *values = LB_NEW(scratch, double, n), *vectors = LB_NEW(scratch, double, (int64_t)n *k);
    double *work = LB_NEW_UNSET(scratch, double, lwork), none = 0;
    int *iwork = LB_NEW_UNSET(scratch, int, liwork), *support = LB_NEW(scratch, int, 2 * (int64_t)n);
    if (!values || !vectors || !work || !iwork || !support) return LB_E_NOMEM;
    lb_blas.dsyevr("V", "I", "L", &n, G.d, &ld, &none, &none, &first, &last, &none, &found, values, vectors, &n,
                   support, work, &lwork, iwork, &liwork, &info, 1, 1, 1);
    if (info != 0 || found != k)
        return lb_fail(LB_E_NUMERIC, "eigenvectors: LAPACK found %d of %d (info %d)", found, k, info);
    for (int64_t j = 0; j < k; j++) { /* ascending there, column by column */
        value[j] = values[k - 1 - j];
        for (int64_t i = 0; i < n; i++) out.d[i * out.ld + j] = vectors[(k - 1 - j) * n + i];
    }
    lb_arena_restore(scratch, start);
    return LB_OK;
}

double lb_leading_eigenvectors_bytes(int64_t n, int64_t k) {
    return (double)n * (sizeof(double) * (1 + (double)k + WORK) + sizeof(int) * (INTEGERS + 2));
}

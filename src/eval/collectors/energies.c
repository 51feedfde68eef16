/* |x|^2 of rows, in float64: what statistics of tokens are made of. */
#include "eval/collectors/collectors.h"

enum { ROWS = 256, SUMS = 8 }; /* of a piece of work; that the processor keeps at a time */

double lb_collect_energy(const float *x, int64_t n) {
    double sum[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (int k = 0; k < SUMS; k++) sum[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++) sum[i % SUMS] += (double)x[i] * (double)x[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

typedef struct energies {
    const lb_batch *b;
    double *const *to;
    int n;
} energies;

static int64_t pieces_of(const energies *e, int i) { return e->to[i] ? (e->b[i].X.rows - 1) / ROWS + 1 : 0; }

static lb_status some_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const energies *e = ctx;
    int i = 0;
    for (; piece >= pieces_of(e, i); i++) piece -= pieces_of(e, i);
    lb_cmat X = e->b[i].X;
    int64_t end = (piece + 1) * ROWS < X.rows ? (piece + 1) * ROWS : X.rows;
    for (int64_t t = piece * ROWS; t < end; t++) e->to[i][t] = lb_collect_energy(X.d + t * X.ld, X.cols);
    return LB_OK;
}

lb_status lb_collect_energies(const lb_batch *b, double *const *to, int n, lb_team *team) {
    energies e = {b, to, n};
    int64_t pieces = 0;
    for (int i = 0; i < n; i++) pieces += pieces_of(&e, i);
    return pieces ? lb_parallel_for(team, pieces, some_rows, &e) : LB_OK;
}

/* The yardstick: float32 GFLOP/s of plain SGEMM, 2048 x 1536 x 576, with each thread on its own product.
 * Argument: threads. Prints GFLOP/s. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/team.h"
#include "math/blas.h"

enum { M = 2048, N = 1536, K = 576, REPEATS = 40 };

static lb_status product(void *ctx, int64_t piece, int worker) {
    (void)ctx, (void)piece, (void)worker;
    float *a = lb_alloc((size_t)M * K, sizeof *a), *b = lb_alloc((size_t)N * K, sizeof *b),
          *c = lb_alloc((size_t)M * N, sizeof *c);
    if (!a || !b || !c) return LB_E_NOMEM;
    for (int64_t i = 0; i < M * K; i++) a[i] = 0.5f;
    for (int64_t i = 0; i < N * K; i++) b[i] = 0.25f;
    for (int r = 0; r < REPEATS; r++)
        lb_sgemm(false, true, 1, lb_cmat_of(a, M, K), lb_cmat_of(b, N, K), 0, lb_mat_of(c, M, N));
    lb_free(a);
    lb_free(b);
    lb_free(c);
    return LB_OK;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    lb_blas_init();
    lb_team *team = NULL;
    if (threads < 1 || lb_team_new(threads, &team) != LB_OK) return 2;
    double best = 0;
    for (int round = 0; round < 3; round++) {
        double start = lb_clock_s();
        if (lb_parallel_for(team, threads, product, NULL) != LB_OK) return 1;
        double rate = 2.0 * M * N * K * REPEATS * threads / (lb_clock_s() - start) / 1e9;
        if (rate > best) best = rate;
    }
    lb_team_free(team);
    printf("%.1f\n", best);
    return 0;
}

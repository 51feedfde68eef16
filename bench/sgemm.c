/* The yardstick: GFLOP/s of plain matrix products, 2048 x 1536 x 576, each thread on its own product.
 *   sgemm THREADS [double]      float32 unless double; prints GFLOP/s, the best of three
 *   sgemm core, sgemm kernels   OpenBLAS' core, and Lowbit's kernels, here */
#include <string.h>

#include "base/clock.h"
#include "bench/kit.h"
#include "math/blas.h"
#include "math/kernels.h"

enum { M = 2048, N = 1536, K = 576 };

typedef struct job {
    bool wide;
    int repeats;
} job;

static void single(int repeats) {
    lb_mat a = random_mat(1, M, K), b = random_mat(2, N, K), c = random_mat(3, M, N);
    for (int r = 0; r < repeats; r++) lb_sgemm(false, true, 1, lb_mat_c(a), lb_mat_c(b), 0, c);
    lb_free(a.d);
    lb_free(b.d);
    lb_free(c.d);
}

static lb_dmat constant(int64_t rows, int64_t cols) {
    double *d = must_have(lb_alloc((size_t)(rows * cols), sizeof *d));
    for (int64_t i = 0; i < rows * cols; i++) d[i] = 0.25;
    return lb_dmat_of(d, rows, cols);
}

static void wide(int repeats) {
    lb_dmat a = constant(M, K), b = constant(N, K), c = constant(M, N);
    for (int r = 0; r < repeats; r++) lb_dgemm(false, true, 1, lb_dmat_c(a), lb_dmat_c(b), 0, c);
    lb_free(a.d);
    lb_free(b.d);
    lb_free(c.d);
}

static lb_status product(void *ctx, int64_t piece, int worker) {
    (void)piece, (void)worker;
    const job *j = ctx;
    (j->wide ? wide : single)(j->repeats);
    return LB_OK;
}

/* Making the numbers takes time as well: what more products take is theirs alone. */
static double seconds(lb_team *team, int threads, job j) {
    double start = lb_clock_s();
    must(lb_parallel_for(team, threads, product, &j));
    return lb_clock_s() - start;
}

static int usage(void) {
    fprintf(stderr, "usage: sgemm THREADS [double] | core | kernels\n");
    return 2;
}

int main(int argc, char **argv) {
    if (lb_blas_init(1) != LB_OK) return 1;
    must(lb_kernels_init());
    if (argc == 2 && strcmp(argv[1], "core") == 0) return puts(lb_blas_core()) < 0;
    if (argc == 2 && strcmp(argv[1], "kernels") == 0) return puts(lb_kernels_active()->name) < 0;
    if (argc != 2 && !(argc == 3 && strcmp(argv[2], "double") == 0)) return usage();
    int threads = (int)number_arg(argv[1], 1);
    bool is_wide = argc == 3;
    lb_team *team;
    must(lb_team_new(threads, &team));
    double best = 0;
    for (int round = 0; round < 3; round++) {
        double few = seconds(team, threads, (job){is_wide, 2}), many = seconds(team, threads, (job){is_wide, 42});
        double rate = 2.0 * M * N * K * 40 * threads / (many - few) / 1e9;
        if (many > few && rate > best) best = rate;
    }
    lb_team_free(team);
    printf("%.1f\n", best);
    return 0;
}

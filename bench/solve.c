/* GPTQ of one layer whose H is given: seconds (median of the repeats), output MSE, peak bytes so far.
 *   solve ROWS COLS BITS GROUP THREADS REPEATS [FILE]      GROUP: columns, or "row"
 * With FILE, W (rows, cols) and H (cols, cols) are also written there as float32, one after the other, for peers to
 * solve the same. */
#include "base/clock.h"
#include "base/fs.h"
#include "bench/kit.h"
#include "eval/layer_error.h"
#include "eval/perplexity.h"
#include "math/blas.h"
#include "math/kernels.h"

static void write_problem(const char *path, lb_cmat W, lb_cdmat H) {
    int64_t nw = W.rows * W.cols, nh = H.rows * H.cols;
    float *both = must_have(lb_alloc((size_t)(nw + nh), sizeof *both));
    for (int64_t i = 0; i < nw; i++) both[i] = W.d[i];
    for (int64_t i = 0; i < nh; i++) both[nw + i] = (float)H.d[i];
    must(lb_fs_write_atomic(path, both, (size_t)(nw + nh) * sizeof *both));
    lb_free(both);
}

int main(int argc, char **argv) {
    if (argc != 7 && argc != 8) {
        fprintf(stderr, "usage: solve ROWS COLS BITS GROUP THREADS REPEATS [FILE]\n");
        return 2;
    }
    int64_t rows = number_arg(argv[1], 1), cols = number_arg(argv[2], 8), repeats = number_arg(argv[6], 1);
    const char *const pairs[] = {"bits", argv[3], "group", argv[4], NULL};
    lb_team *team;
    lb_arena *a;
    if (lb_blas_init(1) != LB_OK) return 1;
    must(lb_kernels_init());
    must(lb_team_new((int)number_arg(argv[5], 1), &team));
    must(lb_arena_new(0, &a));
    const lb_method *m = lb_method_find("gptq");
    void *options = method_options(m, a, pairs);
    lb_mat W = random_mat(1, rows, cols), What = random_mat(1, rows, cols);
    lb_hessian h = random_hessian(2, 2 * cols, cols, a, team);
    if (argc == 8) write_problem(argv[7], lb_mat_c(W), lb_dmat_c(h.H));
    double *seconds = must_have(lb_alloc((size_t)repeats, sizeof *seconds));
    lb_layer_error e;
    for (int64_t i = 0; i < repeats; i++) {
        lb_arena_mark mark = lb_arena_save(a);
        lb_layer c;
        double start = lb_clock_s();
        solve_layer(m, options, lb_mat_c(W), &h, a, team, &c);
        seconds[i] = lb_clock_s() - start;
        must(lb_layer_dequantize(&c, What));
        lb_arena_restore(a, mark);
    }
    lb_arena *scratch;
    must(lb_arena_new(0, &scratch));
    must(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), lb_dmat_c(h.H), team, scratch, &e));
    lb_arena_free(scratch);
    lb_sort_f64(seconds, repeats);
    printf("%.6f %.9g %lld\n", lb_percentile(seconds, repeats, 0.5), lb_output_mse(&e),
           (long long)lb_peak_memory_bytes());
    return 0;
}

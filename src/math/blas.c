#include "math/blas.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/profile.h"

/* OpenBLAS knows CPUs by model number; on one newer than itself it falls back to kernels without AVX, ten times slower
 * than those the CPU can run. These two functions of its shared library choose again, as OPENBLAS_CORETYPE would have
 * at load time; a build that lacks them keeps its choice, and so does a user who set the variable. */
extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));

static void choose_core(void) {
#if defined(__x86_64__)
    static const char *const modern[] = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"};
    if (getenv("OPENBLAS_CORETYPE") || !gotoblas_dynamic_init || !gotoblas_dynamic_quit) return;
    for (size_t i = 0; i < sizeof modern / sizeof modern[0]; i++)
        if (strcasecmp(openblas_get_corename(), modern[i]) == 0) return;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    setenv("OPENBLAS_CORETYPE", avx512 ? "SkylakeX" : "Haswell", 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
#endif
}

void lb_blas_init(void) {
    choose_core();
    openblas_set_num_threads(1);
}
const char *lb_blas_config(void) { return openblas_get_config(); }
const char *lb_blas_core(void) { return openblas_get_corename(); }

/* BLAS counts in int, and refuses a leading dimension of 0 even for an empty matrix. */
static int in(int64_t n) {
    assert(n >= 0 && n <= INT_MAX);
    return (int)n;
}
static int ld(int64_t n) { return in(n > 0 ? n : 1); }
static CBLAS_TRANSPOSE tr(bool t) { return t ? CblasTrans : CblasNoTrans; }

void lb_sgemm(bool ta, bool tb, float alpha, lb_cmat A, lb_cmat B, float beta, lb_mat C) {
    int64_t k = ta ? A.rows : A.cols;
    assert((ta ? A.cols : A.rows) == C.rows && (tb ? B.rows : B.cols) == C.cols && (tb ? B.cols : B.rows) == k);
    if (C.rows == 0 || C.cols == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SGEMM);
    cblas_sgemm(CblasRowMajor, tr(ta), tr(tb), in(C.rows), in(C.cols), in(k), alpha, A.d, ld(A.ld), B.d, ld(B.ld), beta,
                C.d, ld(C.ld));
    lb_scope_end(&scope, 2.0 * (double)C.rows * (double)C.cols * (double)k,
                 4.0 * (double)(C.rows * C.cols + k * (C.rows + C.cols)));
}

void lb_dgemm(bool ta, bool tb, double alpha, lb_cdmat A, lb_cdmat B, double beta, lb_dmat C) {
    int64_t k = ta ? A.rows : A.cols;
    assert((ta ? A.cols : A.rows) == C.rows && (tb ? B.rows : B.cols) == C.cols && (tb ? B.cols : B.rows) == k);
    if (C.rows == 0 || C.cols == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DGEMM);
    cblas_dgemm(CblasRowMajor, tr(ta), tr(tb), in(C.rows), in(C.cols), in(k), alpha, A.d, ld(A.ld), B.d, ld(B.ld), beta,
                C.d, ld(C.ld));
    lb_scope_end(&scope, 2.0 * (double)C.rows * (double)C.cols * (double)k,
                 8.0 * (double)(C.rows * C.cols + k * (C.rows + C.cols)));
}

void lb_ssyrk_t(float alpha, lb_cmat A, float beta, lb_mat C) {
    assert(C.rows == C.cols && A.cols == C.cols);
    if (C.rows == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SGEMM);
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, in(C.rows), in(A.rows), alpha, A.d, ld(A.ld), beta, C.d,
                ld(C.ld));
    lb_scope_end(&scope, (double)A.rows * (double)C.rows * (double)(C.rows + 1),
                 2.0 * (double)(C.rows * C.rows) + 4.0 * (double)(A.rows * A.cols));
}

void lb_dsyrk_t(double alpha, lb_cdmat A, double beta, lb_dmat C) {
    assert(C.rows == C.cols && A.cols == C.cols);
    if (C.rows == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DGEMM);
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, in(C.rows), in(A.rows), alpha, A.d, ld(A.ld), beta, C.d,
                ld(C.ld));
    lb_scope_end(&scope, (double)A.rows * (double)C.rows * (double)(C.rows + 1),
                 4.0 * (double)(C.rows * C.rows) + 8.0 * (double)(A.rows * A.cols));
}

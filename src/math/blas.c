#include "math/blas.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>

#include "base/profile.h"
#include "math/blas_library.h"

/* OpenBLAS knows CPUs by model number; on one newer than itself it falls back to kernels without AVX, ten times slower
 * than those the CPU can run. Two functions of its library choose again, as OPENBLAS_CORETYPE would have at load time;
 * a build that lacks them keeps its choice, and so does a user who set the variable. */
static void choose_core(void) {
#if defined(__x86_64__)
    static const char *const modern[] = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"};
    if (getenv("OPENBLAS_CORETYPE") || !lb_blas.choose_core || !lb_blas.forget_core) return;
    for (size_t i = 0; i < sizeof modern / sizeof modern[0]; i++)
        if (strcasecmp(lb_blas.get_corename(), modern[i]) == 0) return;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    setenv("OPENBLAS_CORETYPE", avx512 ? "SkylakeX" : "Haswell", 1);
    lb_blas.forget_core();
    lb_blas.choose_core();
    unsetenv("OPENBLAS_CORETYPE");
#endif
}

/* Each thread that multiplies needs a buffer. OpenBLAS gets one when a product finds all others taken and keeps it, and
 * where there is no memory for it, it asks again and again for ever. So all are made here, one after another, each
 * after a look whether there is room. */
enum { BUFFER_MIB = 128, MOST_BUFFERS = 1024 }; /* its largest, that of x86-64: elsewhere 32 or less */

static bool has_room(void) {
    size_t bytes = (size_t)(BUFFER_MIB + 1) << 20;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return false;
    munmap(p, bytes);
    return true;
}

static lb_status make_buffers(int n) {
    void *buffer[MOST_BUFFERS];
    int made = 0;
    if (!lb_blas.get_buffer || !lb_blas.free_buffer) return LB_OK;
    while (made < n && made < MOST_BUFFERS && has_room() && (buffer[made] = lb_blas.get_buffer(0))) made++;
    for (int i = 0; i < made; i++) lb_blas.free_buffer(buffer[i]);
    if (made == n) return LB_OK;
    return lb_fail(LB_E_NOMEM,
                   "out of memory: OpenBLAS needs %d MiB of address space for each of %d threads, and there was room "
                   "for %d: use fewer threads, or a higher limit (ulimit -v)",
                   BUFFER_MIB, n, made);
}

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static int buffers; /* made so far */

static lb_status start(int threads) {
    if (!lb_blas.sgemm) {
        LB_TRY(lb_blas_load());
        choose_core();
    }
    if (threads > 1 && lb_blas.get_parallel() == 0)
        return lb_fail(LB_E_UNSUPPORTED,
                       "OpenBLAS here is its build without threads (%s), which must not be used by two at a time: "
                       "install the one with threads (Debian: libopenblas0-pthread), or use one thread",
                       lb_blas.get_config());
    if (threads > buffers) LB_TRY(make_buffers(threads));
    if (threads > buffers) buffers = threads;
    return LB_OK;
}

lb_status lb_blas_init(int threads) {
    pthread_mutex_lock(&starting);
    lb_status s = start(threads);
    pthread_mutex_unlock(&starting);
    return s;
}

int lb_blas_threads(void) { return lb_blas.get_num_threads(); }
const char *lb_blas_config(void) { return lb_blas.get_config(); }
const char *lb_blas_core(void) { return lb_blas.get_corename(); }

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
    lb_blas.sgemm(CblasRowMajor, tr(ta), tr(tb), in(C.rows), in(C.cols), in(k), alpha, A.d, ld(A.ld), B.d, ld(B.ld),
                  beta, C.d, ld(C.ld));
    lb_scope_end(&scope, 2.0 * (double)C.rows * (double)C.cols * (double)k,
                 4.0 * (double)(C.rows * C.cols + k * (C.rows + C.cols)));
}

void lb_dgemm(bool ta, bool tb, double alpha, lb_cdmat A, lb_cdmat B, double beta, lb_dmat C) {
    int64_t k = ta ? A.rows : A.cols;
    assert((ta ? A.cols : A.rows) == C.rows && (tb ? B.rows : B.cols) == C.cols && (tb ? B.cols : B.rows) == k);
    if (C.rows == 0 || C.cols == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DGEMM);
    lb_blas.dgemm(CblasRowMajor, tr(ta), tr(tb), in(C.rows), in(C.cols), in(k), alpha, A.d, ld(A.ld), B.d, ld(B.ld),
                  beta, C.d, ld(C.ld));
    lb_scope_end(&scope, 2.0 * (double)C.rows * (double)C.cols * (double)k,
                 8.0 * (double)(C.rows * C.cols + k * (C.rows + C.cols)));
}

void lb_ssyrk_t(float alpha, lb_cmat A, float beta, lb_mat C) {
    assert(C.rows == C.cols && A.cols == C.cols);
    if (C.rows == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SGEMM);
    lb_blas.ssyrk(CblasRowMajor, CblasUpper, CblasTrans, in(C.rows), in(A.rows), alpha, A.d, ld(A.ld), beta, C.d,
                  ld(C.ld));
    lb_scope_end(&scope, (double)A.rows * (double)C.rows * (double)(C.rows + 1),
                 2.0 * (double)(C.rows * C.rows) + 4.0 * (double)(A.rows * A.cols));
}

void lb_dsyrk_t(double alpha, lb_cdmat A, double beta, lb_dmat C) {
    assert(C.rows == C.cols && A.cols == C.cols);
    if (C.rows == 0) return;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DGEMM);
    lb_blas.dsyrk(CblasRowMajor, CblasUpper, CblasTrans, in(C.rows), in(A.rows), alpha, A.d, ld(A.ld), beta, C.d,
                  ld(C.ld));
    lb_scope_end(&scope, (double)A.rows * (double)C.rows * (double)(C.rows + 1),
                 4.0 * (double)(C.rows * C.rows) + 8.0 * (double)(A.rows * A.cols));
}

/* ---- over a team ---- */

enum { PIECE = 192 }; /* rows or columns of a piece at least; the last has up to twice as many, but one */

typedef struct pieces {
    bool ta, tb, by_cols;
    double alpha, beta;
    lb_cdmat A, B;
    lb_dmat C;
    int64_t n;
} pieces;

static lb_cdmat rows_of(lb_cdmat M, bool transposed, int64_t first, int64_t n) {
    if (transposed) return (lb_cdmat){M.d + first, M.rows, n, M.ld};
    return (lb_cdmat){M.d + first * M.ld, n, M.cols, M.ld};
}

static lb_status product_piece(void *ctx, int64_t i, int worker) {
    (void)worker;
    const pieces *p = ctx;
    int64_t all = p->by_cols ? p->C.cols : p->C.rows, first = i * PIECE, n = i < p->n - 1 ? PIECE : all - first;
    if (p->by_cols)
        lb_dgemm(p->ta, p->tb, p->alpha, p->A, rows_of(p->B, !p->tb, first, n), p->beta,
                 (lb_dmat){p->C.d + first, p->C.rows, n, p->C.ld});
    else
        lb_dgemm(p->ta, p->tb, p->alpha, rows_of(p->A, p->ta, first, n), p->B, p->beta,
                 (lb_dmat){p->C.d + first * p->C.ld, n, p->C.cols, p->C.ld});
    return LB_OK;
}

lb_status lb_dgemm_team(bool ta, bool tb, double alpha, lb_cdmat A, lb_cdmat B, double beta, lb_dmat C, lb_team *team) {
    bool by_cols = C.cols > C.rows;
    int64_t n = (by_cols ? C.cols : C.rows) / PIECE;
    pieces p = {ta, tb, by_cols, alpha, beta, A, B, C, n > 1 ? n : 1};
    return lb_parallel_for(team, p.n, product_piece, &p);
}

#include "math/product.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/profile.h"
#include "base/rng.h"
#include "math/blas.h"
#include "math/kernels.h"

/* Few rows do not repay packing W. */
enum { LEAST_ROWS = 64, MOST_DEPTH = 1024, ROUND = 16 };

/* Terms of the next block of `left`, as OpenBLAS cuts them by blocks of q: the last two are of equal length. */
static int64_t next_block(int64_t left, int64_t q) {
    if (left <= q) return left;
    return left >= 2 * q ? q : (left / 2 + ROUND - 1) / ROUND * ROUND;
}

static void own_product(lb_cmat x, lb_cmat W, int64_t q, bool add, lb_mat y) {
    static _Thread_local float room[MOST_DEPTH * LB_PANEL_WIDE] __attribute__((aligned(64)));
    const lb_kernels *kn = lb_kernels_active();
    for (int64_t j = 0; j < W.rows; j += LB_PANEL_WIDE) {
        int64_t n = W.rows - j < LB_PANEL_WIDE ? W.rows - j : LB_PANEL_WIDE, depth;
        for (int64_t p = 0; p < W.cols; p += depth) {
            depth = next_block(W.cols - p, q);
            kn->pack(room, lb_cmat_part(W, j, p, n, depth));
            kn->panel(lb_mat_part(y, 0, j, y.rows, n), lb_cmat_part(x, 0, p, x.rows, depth), room, add || p > 0);
        }
    }
}

/* ---- as OpenBLAS does it? ---- */

/* More than a block of rows, and of neither a multiple of what kernels take at a time. */
enum { ROWS = 217, OUTPUTS = 77, MOST_WIDTH = 2 * MOST_DEPTH + 100 };

/* x, W and OpenBLAS' y for a width. */
typedef struct sample {
    lb_mat x, W, want, got;
    float *numbers;
} sample;

static bool new_sample(int64_t k, sample *s) {
    int64_t n = (ROWS + OUTPUTS) * k, all = n + 2 * ROWS * OUTPUTS;
    lb_rng r = lb_rng_make(17, (uint64_t)k);
    float *f = lb_alloc((size_t)all, sizeof *f);
    if (!f) return false;
    for (int64_t i = 0; i < n; i++) f[i] = (float)lb_rng_uniform(&r) - 0.5f;
    *s = (sample){lb_mat_of(f, ROWS, k), lb_mat_of(f + ROWS * k, OUTPUTS, k), lb_mat_of(f + n, ROWS, OUTPUTS),
                  lb_mat_of(f + n + ROWS * OUTPUTS, ROWS, OUTPUTS), f};
    lb_sgemm(false, true, 1.0f, lb_mat_c(s->x), lb_mat_c(s->W), 0.0f, s->want);
    return true;
}

static bool same(const sample *s, int64_t q) {
    const void *got = s->got.d, *want = s->want.d; /* bytes: -0 is not 0 */
    own_product(lb_mat_c(s->x), lb_mat_c(s->W), q, false, s->got);
    return memcmp(got, want, (size_t)(ROWS * OUTPUTS) * sizeof(float)) == 0;
}

static int64_t find_depth(void) {
    sample s;
    int64_t q = 0;
    if (!lb_kernels_active()->panel || !new_sample(MOST_WIDTH, &s)) return 0;
    for (int64_t try = 192; try <= MOST_DEPTH && q == 0; try += 32)
        if (same(&s, try)) q = try;
    lb_free(s.numbers);
    return q;
}

static pthread_once_t looked = PTHREAD_ONCE_INIT;
static int64_t depth;
static void look(void) { depth = find_depth(); }

int64_t lb_product_depth(void) {
    pthread_once(&looked, look);
    return depth;
}

/* Widths that were compared. */
enum { MOST_WIDTHS = 256 };
typedef struct width {
    int64_t k;
    bool same;
} width;
static struct {
    pthread_mutex_t mutex;
    int n;
    width at[MOST_WIDTHS];
} seen = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool compare_width(int64_t k) {
    sample s;
    if (ROWS * OUTPUTS * k <= LB_SMALL_PRODUCT || !new_sample(k, &s)) return false;
    bool out = same(&s, depth);
    lb_free(s.numbers);
    return out;
}

static bool width_is_same(int64_t k) {
    pthread_mutex_lock(&seen.mutex);
    int i = 0;
    while (i < seen.n && seen.at[i].k != k) i++;
    if (i == seen.n && seen.n < MOST_WIDTHS) seen.at[seen.n++] = (width){k, compare_width(k)};
    bool out = i < seen.n && seen.at[i].same;
    pthread_mutex_unlock(&seen.mutex);
    return out;
}

void lb_product(lb_cmat x, lb_cmat W, float mult, bool add, lb_mat y) {
    assert(x.rows == y.rows && x.cols == W.cols && W.rows == y.cols);
    if (mult != 1.0f || x.rows < LEAST_ROWS || x.rows * W.rows * W.cols <= LB_SMALL_PRODUCT ||
        !lb_kernels_active()->panel || lb_product_depth() == 0 || !width_is_same(x.cols)) {
        lb_sgemm(false, true, mult, x, W, add ? 1.0f : 0.0f, y);
        return;
    }
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SGEMM);
    own_product(x, W, depth, add, y);
    lb_scope_end(&scope, 2.0 * (double)y.rows * (double)y.cols * (double)x.cols,
                 4.0 * (double)(y.rows * y.cols + x.cols * (y.rows + y.cols)));
}

/* ---- few rows ---- */

enum { OUTPUTS_A_PIECE = 64 };

typedef struct few {
    lb_cmat x, W;
    float mult;
    bool add;
    lb_mat y;
} few;

static lb_status some_outputs(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const few *j = ctx;
    const lb_kernels *kn = lb_kernels_active();
    int64_t first = piece * OUTPUTS_A_PIECE, left = j->W.rows - first,
            n = left < OUTPUTS_A_PIECE ? left : OUTPUTS_A_PIECE;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SGEMM);
    for (int64_t i = first; i < first + n; i++)
        for (int64_t t = 0; t < j->x.rows; t++) {
            float *y = j->y.d + t * j->y.ld + i;
            float v = j->mult * (float)kn->dot(j->x.d + t * j->x.ld, j->W.d + i * j->W.ld, j->W.cols);
            *y = j->add ? *y + v : v;
        }
    lb_scope_end(&scope, 2.0 * (double)(j->x.rows * n) * (double)j->W.cols, 4.0 * (double)(n * j->W.cols));
    return LB_OK;
}

lb_status lb_product_few(lb_cmat x, lb_cmat W, float mult, bool add, lb_mat y, lb_team *team) {
    assert(x.rows == y.rows && x.cols == W.cols && W.rows == y.cols);
    few j = {x, W, mult, add, y};
    return lb_parallel_for(team, (W.rows - 1) / OUTPUTS_A_PIECE + 1, some_outputs, &j);
}

/* Products in bfloat16 against their twin: shapes of every kind, threads, memory. */
#include <dirent.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/team.h"
#include "math/half.h"
#include "math/kernels.h"
#include "math/roofline.h"
#include "support/bf16.h"
#include "support/llama.h"
#include "support/support.h"

static float of_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Around every bfloat16 there is: the value itself, next to it, the tie and next to the tie; then every tail length. */
static void rounding(void **state) {
    (void)state;
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    static const char *const name[] = {"plain", "avx2", "avx512"};
    enum { N = 6 * 4096 };
    float *x = lb_alloc(N, sizeof *x);
    uint16_t *y = lb_alloc(N, sizeof *y);
    assert_true(x && y);
    for (size_t v = 0; v < sizeof name / sizeof name[0]; v++) {
        const lb_kernels *k = lb_kernels_get(name[v]);
        if (!k) continue;
        for (uint32_t base = 0; base < 0x10000; base += N / 6) {
            for (uint32_t i = 0; i < N; i++) x[i] = of_bits((base + i / 6) << 16 | low[i % 6]);
            k->bf16(y, x, N);
            for (uint32_t i = 0; i < N; i++) {
                float got = lb_bf16_to_f32(y[i]), want = bf16_nearest(x[i]);
                if (isnan(want) ? !isnan(got) : got != want) fail_msg("%s: %a becomes %a", name[v], x[i], got);
                if (y[i] != lb_f32_to_bf16(x[i])) fail_msg("%s: %a becomes %04x", name[v], x[i], y[i]);
            }
        }
        for (int n = 0; n < 70; n++) {
            memset(y, 0x5a, 100 * sizeof *y);
            k->bf16(y, x, n);
            for (int i = 0; i < 100; i++) assert_int_equal(y[i], i < n ? lb_f32_to_bf16(x[i]) : 0x5a5a);
        }
    }
    lb_free(x);
    lb_free(y);
}

static lb_mat random_mat(uint64_t seed, int64_t rows, int64_t cols) {
    lb_rng r = lb_rng_make(seed, 3);
    lb_mat m = lb_mat_of(lb_alloc((size_t)rows, (size_t)cols * sizeof(float)), rows, cols);
    assert_non_null(m.d);
    for (int64_t i = 0; i < rows * cols; i++) m.d[i] = (float)lb_rng_normal(&r);
    return m;
}

typedef struct world {
    lb_bf16 *c;
    void *room;
    lb_bf16_mat W;
    uint16_t *x; /* rounded */
} world;

static world open_world(lb_mat x, lb_mat W) {
    world w;
    size_t bytes;
    assert_ok(lb_bf16_new(&w.c));
    assert_ok(lb_bf16_bytes(w.c, W.rows, W.cols, &bytes));
    assert_true(bytes % 64 == 0 && bytes >= (size_t)(2 * W.rows * W.cols));
    w.room = lb_alloc(1, bytes);
    w.x = lb_alloc((size_t)x.rows, (size_t)x.cols * sizeof *w.x);
    assert_true(w.room && w.x);
    assert_ok(lb_bf16_pack(w.c, lb_mat_c(W), w.room, &w.W));
    lb_kernels_active()->bf16(w.x, x.d, x.rows * x.cols);
    return w;
}

static void close_world(world *w) {
    lb_free(w->x);
    lb_free(w->room);
    lb_bf16_free(w->c);
}

static void check_shape(int64_t m, int64_t n, int64_t k, bool add) {
    lb_mat x = random_mat(1, m, k), W = random_mat(2, n, k), y = random_mat(3, m, n), want = random_mat(3, m, n);
    lb_mat bound = random_mat(4, m, n);
    world w = open_world(x, W);
    bf16_multiply_ref(lb_mat_c(x), lb_mat_c(W), add, want, bound);
    assert_ok(lb_bf16_matmul(&w.W, w.x, m, add, y));
    for (int64_t i = 0; i < m * n; i++)
        if (!(fabsf(y.d[i] - want.d[i]) <= bound.d[i]))
            fail_msg("(%d, %d, %d): element %d is %a, expected %a within %a", (int)m, (int)n, (int)k, (int)i, y.d[i],
                     want.d[i], bound.d[i]);
    close_world(&w);
    lb_free(x.d), lb_free(W.d), lb_free(y.d), lb_free(want.d), lb_free(bound.d);
}

/* oneDNN cuts into blocks of 16, 32 and 64: below, at and beyond them, and odd everywhere. */
static void against_the_twin(void **state) {
    (void)state;
    static const int64_t size[] = {1, 2, 3, 15, 16, 17, 31, 33, 64, 65};
    enum { SIZES = sizeof size / sizeof size[0] };
    bf16_needed();
    for (int m = 0; m < SIZES; m++)
        for (int n = 0; n < SIZES; n++)
            for (int k = 0; k < SIZES; k++)
                check_shape(size[m], size[n], size[k], (m + n + k) % 2); /* each neighbour the other way */
    check_shape(130, 96, 515, false);
    check_shape(130, 96, 515, true);
    check_shape(513, 200, 67, true);
    check_shape(7, 1037, 300, false);
}

/* The order of a matrix does not depend on how many rows it meets later: one packing serves all. */
static void one_packing_for_any_rows(void **state) {
    (void)state;
    bf16_needed();
    enum { M = 700, N = 100, K = 70 };
    lb_mat x = random_mat(5, M, K), W = random_mat(6, N, K), y = random_mat(7, M, N), want = random_mat(7, M, N);
    lb_mat bound = random_mat(8, M, N);
    world w = open_world(x, W);
    bf16_multiply_ref(lb_mat_c(x), lb_mat_c(W), false, want, bound);
    for (int64_t m = 1; m <= M; m = m * 5 / 3 + 1) {
        assert_ok(lb_bf16_matmul(&w.W, w.x, m, false, lb_mat_of(y.d, m, N)));
        for (int64_t i = 0; i < m * N; i++) assert_true(fabsf(y.d[i] - want.d[i]) <= bound.d[i]);
    }
    assert_ok(lb_bf16_matmul(&w.W, w.x, 0, false, lb_mat_of(y.d, 0, N)));
    close_world(&w);
    lb_free(x.d), lb_free(W.d), lb_free(y.d), lb_free(want.d), lb_free(bound.d);
}

static void not_a_number_stays(void **state) {
    (void)state;
    bf16_needed();
    lb_mat x = random_mat(9, 3, 40), W = random_mat(10, 5, 40), y = random_mat(11, 3, 5);
    x.d[40 + 17] = NAN;
    W.d[2 * 40 + 1] = INFINITY;
    world w = open_world(x, W);
    assert_ok(lb_bf16_matmul(&w.W, w.x, 3, false, y));
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 5; c++) assert_int_equal(isfinite(y.d[r * 5 + c]), r != 1 && c != 2);
    close_world(&w);
    lb_free(x.d), lb_free(W.d), lb_free(y.d);
}

/* ---- threads ---- */

static int threads_of_this_process(void) {
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

enum { PIECES = 24, ROWS = 96, COLS = 200, DEPTH = 150 };
typedef struct job {
    world *w;
    float *y; /* (PIECES, ROWS, COLS) */
} job;

static lb_status multiply_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const job *j = ctx;
    int64_t m = ROWS - piece; /* shapes that are made while others run */
    return lb_bf16_matmul(&j->w->W, j->w->x, m, false, lb_mat_of(j->y + piece * ROWS * COLS, m, COLS));
}

/* The team's threads and no others, and the same bytes however many there are, again and again. */
static void threads(void **state) {
    (void)state;
    bf16_needed();
    lb_mat x = random_mat(12, ROWS, DEPTH), W = random_mat(13, COLS, DEPTH);
    size_t n = (size_t)PIECES * ROWS * COLS;
    float *y[2] = {lb_alloc(n, sizeof(float)), lb_alloc(n, sizeof(float))};
    assert_true(y[0] && y[1]);
    for (int team = 1; team <= 4; team++)
        for (int again = 0; again < 2; again++) {
            int before = threads_of_this_process();
            bool first = team == 1 && again == 0;
            world w = open_world(x, W);
            job j = {&w, y[!first]};
            lb_team *t;
            assert_ok(lb_team_new(team, &t));
            assert_ok(lb_parallel_for(t, PIECES, multiply_piece, &j));
            assert_int_equal(threads_of_this_process(), before + team - 1);
            lb_team_free(t);
            close_world(&w);
            if (!first) assert_memory_equal(y[0], y[1], n * sizeof(float));
        }
    lb_free(x.d), lb_free(W.d), lb_free(y[0]), lb_free(y[1]);
}

static void rate(void **state) {
    (void)state;
    bf16_needed();
    lb_team *t;
    double flops = 0;
    assert_ok(lb_team_new(2, &t));
    assert_ok(lb_roofline_bf16(t, 0.01, &flops));
    assert_true(isfinite(flops) && flops > 1e6);
    lb_team_free(t);
}

static lb_status all_of_it(void *ctx) {
    (void)ctx;
    lb_bf16 *c;
    lb_bf16_mat W;
    size_t bytes;
    float w[6] = {1, 2, 3, 4, 5, 6}, y[2];
    uint16_t x[3] = {0x3f80, 0x3f80, 0x3f80};
    LB_TRY(lb_bf16_new(&c));
    void *room = NULL;
    lb_status st = lb_bf16_bytes(c, 2, 3, &bytes);
    if (st == LB_OK && !(room = lb_alloc(1, bytes))) st = LB_E_NOMEM;
    if (st == LB_OK) st = lb_bf16_pack(c, lb_cmat_of(w, 2, 3), room, &W);
    if (st == LB_OK) st = lb_bf16_matmul(&W, x, 1, false, lb_mat_of(y, 1, 2));
    if (st == LB_OK) assert_true(y[0] == 6 && y[1] == 15);
    lb_free(room);
    lb_bf16_free(c);
    return st;
}

static void allocations_may_fail(void **state) {
    (void)state;
    bf16_needed();
    assert_true(llama_fail_each_allocation(all_of_it, NULL) >= 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding),
        cmocka_unit_test(against_the_twin),
        cmocka_unit_test(one_packing_for_any_rows),
        cmocka_unit_test(not_a_number_stays),
        cmocka_unit_test(threads),
        cmocka_unit_test(rate),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "math/roofline.h"

#include <math.h>

#include "base/clock.h"
#include "math/bf16.h"
#include "math/blas.h"

enum { N = 384, ROUNDS = 4, TRIAD = 1 << 21 /* floats of an array, beyond the caches */ };

typedef struct bench {
    float *a, *b, *c; /* (N, N) for products; TRIAD a worker for traffic */
    double *da, *db, *dc;
    lb_bf16_mat W; /* (N, N) rounded, and x likewise */
    uint16_t *x;
} bench;

static lb_status f32_piece(void *ctx, int64_t piece, int worker) {
    (void)piece;
    bench *x = ctx;
    float *c = x->c + (size_t)worker * N * N;
    for (int i = 0; i < ROUNDS; i++)
        lb_sgemm(false, true, 1.0f, lb_cmat_of(x->a, N, N), lb_cmat_of(x->b, N, N), 0.0f, lb_mat_of(c, N, N));
    return LB_OK;
}

static lb_status f64_piece(void *ctx, int64_t piece, int worker) {
    (void)piece;
    bench *x = ctx;
    double *c = x->dc + (size_t)worker * N * N;
    for (int i = 0; i < ROUNDS; i++)
        lb_dgemm(false, true, 1.0, (lb_cdmat){x->da, N, N, N}, (lb_cdmat){x->db, N, N, N}, 0.0, lb_dmat_of(c, N, N));
    return LB_OK;
}

static lb_status triad_piece(void *ctx, int64_t piece, int worker) {
    (void)piece;
    bench *x = ctx;
    const float *a = x->a + (size_t)worker * TRIAD, *b = x->b + (size_t)worker * TRIAD;
    float *c = x->c + (size_t)worker * TRIAD;
    for (int64_t i = 0; i < TRIAD; i++) c[i] = a[i] + 3.0f * b[i];
    return LB_OK;
}

/* Rounds of two pieces a thread for that long; units of work a second, `each` in one piece. */
static lb_status rate_of(lb_team *team, lb_piece piece, bench *x, double each, double seconds, double *rate) {
    int threads = lb_team_threads(team);
    LB_TRY(lb_parallel_for(team, threads, piece, x)); /* wakes threads, touches pages */
    double start = lb_clock_s(), spent = 0, done = 0;
    while (spent < seconds) {
        LB_TRY(lb_parallel_for(team, 2 * (int64_t)threads, piece, x));
        done += 2.0 * threads * each;
        spent = lb_clock_s() - start;
    }
    *rate = done / (spent > 0 ? spent : 1);
    return LB_OK;
}

lb_status lb_roofline_f32(lb_team *team, double seconds, double *flops) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    size_t own = (size_t)lb_team_threads(team) * N * N;
    bench x = {.a = LB_NEW(a, float, N *N), .b = LB_NEW(a, float, N *N), .c = LB_NEW(a, float, own)};
    lb_status st = x.a && x.b && x.c ? LB_OK : LB_E_NOMEM;
    if (st == LB_OK) st = rate_of(team, f32_piece, &x, ROUNDS * 2.0 * N * N * N, seconds, flops);
    lb_arena_free(a);
    return st;
}

enum { STEPS = 5 /* of an element below */ };

static lb_status steps_piece(void *ctx, int64_t piece, int worker) {
    (void)piece;
    bench *x = ctx;
    double sum = 0;
    for (int64_t i = 0; i < N * N; i++) {
        float code = fminf(fmaxf(rintf(x->a[i] * 3.0f + 7.0f), 0.0f), 15.0f);
        sum += (double)fabsf(code - x->b[i]);
    }
    x->dc[worker] = sum;
    return LB_OK;
}

lb_status lb_roofline_steps(lb_team *team, double seconds, double *steps) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    bench x = {
        .a = LB_NEW(a, float, N *N), .b = LB_NEW(a, float, N *N), .dc = LB_NEW(a, double, lb_team_threads(team))};
    lb_status st = x.a && x.b && x.dc ? LB_OK : LB_E_NOMEM;
    if (st == LB_OK) st = rate_of(team, steps_piece, &x, (double)STEPS * N * N, seconds, steps);
    lb_arena_free(a);
    return st;
}

static lb_status bf16_piece(void *ctx, int64_t piece, int worker) {
    (void)piece;
    bench *x = ctx;
    lb_mat c = lb_mat_of(x->c + (size_t)worker * N * N, N, N);
    for (int i = 0; i < ROUNDS; i++) LB_TRY(lb_bf16_matmul(&x->W, x->x, N, false, c));
    return LB_OK;
}

static lb_status measure_bf16(lb_team *team, double seconds, lb_bf16 *b, lb_arena *a, double *flops) {
    size_t own = (size_t)lb_team_threads(team) * N * N, bytes;
    LB_TRY(lb_bf16_bytes(b, N, N, &bytes));
    bench x = {.a = LB_NEW(a, float, N *N), .c = LB_NEW(a, float, own), .x = LB_NEW(a, uint16_t, N * N)};
    void *packed = lb_arena_get(a, 1, bytes);
    if (!x.a || !x.c || !x.x || !packed) return LB_E_NOMEM;
    LB_TRY(lb_bf16_pack(b, lb_cmat_of(x.a, N, N), packed, &x.W));
    return rate_of(team, bf16_piece, &x, ROUNDS * 2.0 * N * N * N, seconds, flops);
}

lb_status lb_roofline_bf16(lb_team *team, double seconds, double *flops) {
    lb_bf16 *b = NULL;
    lb_arena *a = NULL;
    LB_TRY(lb_bf16_new(&b));
    lb_status st = lb_arena_new(0, &a);
    if (st == LB_OK) st = measure_bf16(team, seconds, b, a, flops);
    lb_arena_free(a);
    lb_bf16_free(b);
    return st;
}

static lb_status measure_f64(lb_team *team, double seconds, lb_arena *a, double *flops) {
    size_t own = (size_t)lb_team_threads(team) * N * N;
    bench x = {.da = LB_NEW(a, double, N *N), .db = LB_NEW(a, double, N *N), .dc = LB_NEW(a, double, own)};
    if (!x.da || !x.db || !x.dc) return LB_E_NOMEM;
    return rate_of(team, f64_piece, &x, ROUNDS * 2.0 * N * N * N, seconds, flops);
}

static lb_status measure_bytes(lb_team *team, double seconds, lb_arena *a, double *bytes) {
    size_t own = (size_t)lb_team_threads(team) * TRIAD;
    bench x = {.a = LB_NEW(a, float, own), .b = LB_NEW(a, float, own), .c = LB_NEW(a, float, own)};
    if (!x.a || !x.b || !x.c) return LB_E_NOMEM;
    return rate_of(team, triad_piece, &x, 12.0 * TRIAD, seconds, bytes);
}

lb_status lb_roofline_measure(lb_team *team, double seconds, lb_roofline *out) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_roofline_f32(team, seconds, &out->flops_f32);
    if (st == LB_OK) st = measure_f64(team, seconds, a, &out->flops_f64);
    if (st == LB_OK) st = measure_bytes(team, seconds, a, &out->bytes);
    lb_arena_free(a);
    return st;
}

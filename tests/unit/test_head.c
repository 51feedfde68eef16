/* Log-softmax, argmax and KL in chunks, against all logits at once in float64. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "support/llama.h"

/* More rows and tokens than one chunk holds (512, 1024), and neither a multiple. */
enum { ROWS = 600, VOCAB = 2500, DIM = 8 };

typedef struct world {
    lb_mat head0, h0, head1, h1; /* (VOCAB, DIM), (ROWS, DIM) twice */
    int32_t target[ROWS];
    double nll[ROWS], kl[ROWS];
    int32_t top1[ROWS];
    uint8_t agree[ROWS];
} world;

static lb_mat random_mat(uint64_t stream, int64_t rows, int64_t cols, double sd) {
    lb_rng r = lb_rng_make(4, stream);
    float *d = lb_alloc((size_t)rows, (size_t)cols * sizeof *d);
    assert_non_null(d);
    for (int64_t i = 0; i < rows * cols; i++) d[i] = (float)(sd * lb_rng_normal(&r));
    return lb_mat_of(d, rows, cols);
}

static int make_world(void **state) {
    world *w = lb_alloc(1, sizeof *w);
    assert_non_null(w);
    w->head0 = random_mat(1, VOCAB, DIM, 2);
    w->h0 = random_mat(2, ROWS, DIM, 1);
    w->head1 = random_mat(1, VOCAB, DIM, 2); /* near the first: a quantized copy */
    w->h1 = random_mat(2, ROWS, DIM, 1);
    lb_rng r = lb_rng_make(8, 0);
    for (int64_t i = 0; i < VOCAB * DIM; i++) w->head1.d[i] += (float)(0.1 * lb_rng_normal(&r));
    for (int64_t i = 0; i < ROWS * DIM; i++) w->h1.d[i] += (float)(0.05 * lb_rng_normal(&r));
    int32_t *t = llama_tokens(5, ROWS, VOCAB);
    memcpy(w->target, t, sizeof w->target);
    lb_free(t);
    w->target[7] = -1;
    w->target[8] = VOCAB - 1;
    w->target[9] = 0;
    *state = w;
    return 0;
}

static int free_world(void **state) {
    world *w = *state;
    lb_free(w->head0.d);
    lb_free(w->h0.d);
    lb_free(w->head1.d);
    lb_free(w->h1.d);
    lb_free(w);
    return 0;
}

/* Logits, log-partition and argmax of one row. */
static double row(lb_mat head, lb_mat h, int64_t i, double *logit, int32_t *best) {
    double top = -INFINITY, sum = 0;
    for (int64_t v = 0; v < VOCAB; v++) {
        logit[v] = 0;
        for (int64_t j = 0; j < DIM; j++) logit[v] += (double)head.d[v * DIM + j] * (double)h.d[i * DIM + j];
        if (logit[v] > top) top = logit[v], *best = (int32_t)v;
    }
    for (int64_t v = 0; v < VOCAB; v++) sum += exp(logit[v] - top);
    return log(sum) + top;
}

/* Logits are sums of 8 float32 products of size up to 20: 8 * 20 * 6e-8, a factor of ten above. */
static const double tolerance = 1e-4;

static void check_nll(void *ctx, const char *kernel) {
    world *w = ctx;
    double logit[VOCAB];
    assert_ok(lb_head_nll(lb_head_at(lb_mat_c(w->head1)), lb_mat_c(w->h1), w->target, w->nll, w->top1));
    for (int64_t i = 0; i < ROWS; i++) {
        int32_t best = -1;
        double z = row(w->head1, w->h1, i, logit, &best);
        double want = w->target[i] < 0 ? 0 : z - logit[w->target[i]];
        if (!(fabs(w->nll[i] - want) < tolerance))
            fail_msg("%s kernels, row %lld: nll %g, expected %g", kernel, (long long)i, w->nll[i], want);
        assert_int_equal(w->top1[i], best);
    }
}

static void nll_is_log_softmax(void **state) { llama_each_kernel(check_nll, *state); }

/* A head with bias, scale and cap: all logits by lb_head_logits against their definition, and the rest against them. */
static void check_finished(void *ctx, const char *kernel) {
    world *w = ctx;
    lb_mat bias = random_mat(9, 1, VOCAB, 1), y = random_mat(10, ROWS, VOCAB, 1);
    lb_head head = lb_head_at(lb_mat_c(w->head1));
    double logit[VOCAB];
    head.bias = bias.d, head.scale = 0.3f, head.cap = 2.5f;
    lb_head_logits(&head, lb_mat_c(w->h1), y);
    assert_ok(lb_head_nll(head, lb_mat_c(w->h1), w->target, w->nll, w->top1));
    for (int64_t i = 0; i < ROWS; i++) {
        int32_t best = -1;
        double sum = 0;
        row(w->head1, w->h1, i, logit, &best);
        for (int64_t v = 0; v < VOCAB; v++) {
            double want = 2.5 * tanh((double)0.3f * (logit[v] + (double)bias.d[v]) / 2.5);
            if (!(fabs((double)y.d[i * VOCAB + v] - want) < 1e-5)) fail_msg("%s kernels: a logit is off", kernel);
            sum += exp((double)y.d[i * VOCAB + v]);
        }
        double nll = w->target[i] < 0 ? 0 : log(sum) - (double)y.d[i * VOCAB + w->target[i]];
        assert_true(fabs(w->nll[i] - nll) < 1e-5);
    }
    lb_free(bias.d);
    lb_free(y.d);
}

static void bias_scale_and_cap(void **state) { llama_each_kernel(check_finished, *state); }

/* T of the states and W T^-1: the numbers of the head without it. */
static void states_are_transformed(void **state) {
    world *w = *state;
    double nll[ROWS], kl[ROWS];
    float scale[DIM];
    const uint8_t sign = 0x4b;
    lb_head p = lb_head_at(lb_mat_c(w->head0)), q = lb_head_at(lb_mat_c(w->head1));
    lb_mat W = random_mat(1, VOCAB, DIM, 1);
    for (int i = 0; i < DIM; i++) scale[i] = 0.5f + (float)i / DIM;
    assert_ok(lb_head_kl(p, lb_mat_c(w->h0), q, lb_mat_c(w->h1), w->target, nll, kl, w->agree));
    memcpy(W.d, w->head1.d, sizeof(float) * VOCAB * DIM);
    q.T = (lb_transform){.scale = scale, .hadamard = DIM, .sign = &sign};
    lb_transform_weights(&q.T, W);
    q.W = lb_mat_c(W);
    assert_ok(lb_head_kl(p, lb_mat_c(w->h0), q, lb_mat_c(w->h1), w->target, w->nll, w->kl, w->agree));
    for (int64_t i = 0; i < ROWS; i++)
        assert_true(fabs(w->nll[i] - nll[i]) < tolerance && fabs(w->kl[i] - kl[i]) < tolerance);
    assert_ok(lb_head_nll(q, lb_mat_c(w->h1), w->target, w->nll, NULL));
    for (int64_t i = 0; i < ROWS; i++) assert_true(fabs(w->nll[i] - nll[i]) < tolerance);
    lb_free(W.d);
}

static void check_kl(void *ctx, const char *kernel) {
    world *w = ctx;
    double p[VOCAB], q[VOCAB];
    assert_ok(lb_head_kl(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), lb_head_at(lb_mat_c(w->head1)),
                         lb_mat_c(w->h1), w->target, w->nll, w->kl, w->agree));
    int64_t agreeing = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        int32_t bp = -1, bq = -1;
        double zp = row(w->head0, w->h0, i, p, &bp), zq = row(w->head1, w->h1, i, q, &bq), kl = 0;
        for (int64_t v = 0; v < VOCAB; v++) kl += exp(p[v] - zp) * ((p[v] - zp) - (q[v] - zq));
        if (!(fabs(w->kl[i] - kl) < tolerance * (1 + kl)))
            fail_msg("%s kernels, row %lld: KL %g, expected %g", kernel, (long long)i, w->kl[i], kl);
        assert_true(fabs(w->nll[i] - (w->target[i] < 0 ? 0 : zq - q[w->target[i]])) < tolerance);
        assert_int_equal(w->agree[i], bp == bq);
        agreeing += bp == bq;
    }
    assert_true(agreeing > 0 && agreeing < ROWS); /* both answers were seen */
}

static void kl_is_the_sum(void **state) { llama_each_kernel(check_kl, *state); }

static void kl_of_itself_is_zero(void **state) {
    world *w = *state;
    assert_ok(lb_head_kl(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), lb_head_at(lb_mat_c(w->head0)),
                         lb_mat_c(w->h0), w->target, w->nll, w->kl, w->agree));
    for (int64_t i = 0; i < ROWS; i++) assert_true(w->kl[i] == 0.0 && w->agree[i] == 1);
}

/* Part after part, each beginning where a chunk of rows does: the bytes of the whole. */
static void rows_in_parts_give_the_same(void **state) {
    world *w = *state;
    static double nll[ROWS], kl[ROWS], nll_kl[ROWS];
    static int32_t top1[ROWS];
    static uint8_t agree[ROWS];
    lb_head p = lb_head_at(lb_mat_c(w->head0)), q = lb_head_at(lb_mat_c(w->head1));
    lb_cmat h0 = lb_mat_c(w->h0), h1 = lb_mat_c(w->h1);
    assert_ok(lb_head_nll(q, h1, w->target, w->nll, w->top1));
    for (int64_t r = (ROWS - 1) / LB_HEAD_ROWS * LB_HEAD_ROWS; r >= 0; r -= LB_HEAD_ROWS) {
        int64_t n = ROWS - r < LB_HEAD_ROWS ? ROWS - r : LB_HEAD_ROWS;
        assert_ok(lb_head_nll_rows(q, h1, w->target, r, n, nll, top1));
        assert_ok(lb_head_kl_rows(p, h0, q, h1, w->target, r, n, nll_kl, kl, agree, NULL));
    }
    assert_memory_equal(nll, w->nll, sizeof nll);
    assert_memory_equal(top1, w->top1, sizeof top1);
    assert_ok(lb_head_kl(p, h0, q, h1, w->target, w->nll, w->kl, w->agree));
    assert_memory_equal(nll_kl, w->nll, sizeof nll);
    assert_memory_equal(kl, w->kl, sizeof kl);
    assert_memory_equal(agree, w->agree, sizeof agree);
}

/* Equal logits everywhere: the lowest id wins, within a chunk and across chunks. */
static void ties_go_to_the_lowest_id(void **state) {
    world *w = *state;
    lb_mat flat = random_mat(9, VOCAB, DIM, 0);
    assert_ok(lb_head_nll(lb_head_at(lb_mat_c(flat)), lb_mat_c(w->h0), w->target, w->nll, w->top1));
    assert_int_equal(w->top1[0], 0);
    assert_true(fabs(w->nll[0] - log((double)VOCAB)) < 1e-9);
    for (int64_t j = 0; j < DIM; j++) {
        flat.d[700 * DIM + j] = flat.d[701 * DIM + j] = w->h0.d[j]; /* two equal maxima for row 0 in chunk 0 ... */
        flat.d[2000 * DIM + j] = w->h0.d[j];                        /* ... and one in chunk 1 */
    }
    assert_ok(lb_head_nll(lb_head_at(lb_mat_c(flat)), lb_mat_c(w->h0), w->target, w->nll, w->top1));
    assert_int_equal(w->top1[0], 700);
    lb_free(flat.d);
}

static void wrong_input(void **state) {
    world *w = *state;
    w->target[590] = VOCAB;
    assert_status(LB_E_ARG, lb_head_nll(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), w->target, w->nll, NULL));
    assert_error_has("target 590 is 2500: must be below 2500");
    w->target[590] = 0;
    for (int bad = 0; bad < 3; bad++) {
        float keep = w->h0.d[580 * DIM];
        w->h0.d[580 * DIM] = bad == 0 ? NAN : bad == 1 ? INFINITY : -INFINITY;
        assert_status(LB_E_NUMERIC,
                      lb_head_nll(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), w->target, w->nll, NULL));
        assert_error_has("row 580");
        assert_status(LB_E_NUMERIC,
                      lb_head_kl(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), lb_head_at(lb_mat_c(w->head1)),
                                 lb_mat_c(w->h1), w->target, w->nll, w->kl, w->agree));
        w->h0.d[580 * DIM] = keep;
    }
    /* A NaN in one token's row of the head, early, so that later finite maxima could hide it. */
    w->head0.d[5 * DIM] = NAN;
    assert_status(LB_E_NUMERIC, lb_head_nll(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), w->target, w->nll, NULL));
    w->head0.d[5 * DIM] = 0;
}

static lb_status both(void *ctx) {
    world *w = ctx;
    LB_TRY(lb_head_nll(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), w->target, w->nll, w->top1));
    return lb_head_kl(lb_head_at(lb_mat_c(w->head0)), lb_mat_c(w->h0), lb_head_at(lb_mat_c(w->head1)), lb_mat_c(w->h1),
                      w->target, w->nll, w->kl, w->agree);
}

static void allocations_may_fail(void **state) { assert_int_equal(llama_fail_each_allocation(both, *state), 2); }

/* A product that overflows makes the row an error, whichever sign it has and whether its token is asked for or not; so
 * does a divergence that no float holds. */
static void infinite_logits(void **state) {
    (void)state;
    enum { V = 3, R = 2 };
    float good[V * 2] = {1, 0, 0, 1, 1, 1}, h[R * 2] = {1, 1, 1, 1}, bad[V * 2];
    int32_t target[R] = {0, 0};
    double nll[R], kl[R];
    uint8_t agree[R];
    for (int v = 0; v < V; v++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            memcpy(bad, good, sizeof bad);
            bad[2 * v] = bad[2 * v + 1] = (float)sign * 3e38f;
            lb_head p = lb_head_at(lb_cmat_of(good, V, 2)), q = lb_head_at(lb_cmat_of(bad, V, 2));
            lb_cmat H = lb_cmat_of(h, R, 2);
            assert_status(LB_E_NUMERIC, lb_head_nll(q, H, target, nll, NULL));
            assert_error_has("logits of row 0: NaN or infinite");
            assert_status(LB_E_NUMERIC, lb_head_kl(p, H, q, H, target, nll, kl, agree));
            assert_error_has("logits of row 0: NaN or infinite");
            assert_status(LB_E_NUMERIC, lb_head_kl(q, H, p, H, target, nll, kl, agree));
        }
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nll_is_log_softmax),
        cmocka_unit_test(bias_scale_and_cap),
        cmocka_unit_test(states_are_transformed),
        cmocka_unit_test(kl_is_the_sum),
        cmocka_unit_test(kl_of_itself_is_zero),
        cmocka_unit_test(ties_go_to_the_lowest_id),
        cmocka_unit_test(wrong_input),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(rows_in_parts_give_the_same),
        cmocka_unit_test(infinite_logits),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}

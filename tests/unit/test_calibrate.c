/* Calibration streams and the statistics file, on a small random model. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/rng.h"
#include "eval/calibrate.h"
#include "eval/hessian.h"
#include "math/blas.h"
#include "model/arch.h"
#include "model/forward.h"
#include "model/weights.h"
#include "support/collect.h"
#include "support/forge.h"
#include "support/quant_kit.h"

enum { SAMPLES = 70, LENGTH = 9 };
enum { IN_ATTN, IN_O, IN_MLP, IN_DOWN, INPUTS }; /* of a block, in program order */

static const lb_arch arch = {.layers = 3,
                             .dim = 24,
                             .hidden = 40,
                             .heads = 3,
                             .kv_heads = 1,
                             .head_dim = 8,
                             .vocab = 50,
                             .context = 16,
                             .rope_base = 10000,
                             .norm_eps = 1e-5,
                             .tied = true};

typedef struct model {
    kit k;
    const lb_net *net;
    lb_weights w;
    int32_t input[3][INPUTS]; /* by block */
    int32_t tokens[SAMPLES * LENGTH];
} model;

static float *ones(const kit *k, int64_t n) {
    lb_mat m = kit_random(k, 77, 1, n);
    for (int64_t i = 0; i < n; i++) m.d[i] = 1 + 0.1f * m.d[i];
    return m.d;
}

static void build(model *m, int threads) {
    m->k = kit_open(threads);
    assert_int_equal(lb_arch_net(m->k.arena, &arch, &m->net), LB_OK);
    assert_int_equal(lb_weights_new(m->k.arena, m->net, &m->w), LB_OK);
    for (int32_t i = 0; i < m->net->slots; i++) {
        int64_t rows, cols;
        lb_slot_shape(m->net, i, &rows, &cols);
        if (m->net->slot[i].vector >= 0) {
            lb_slot_set(m->net, &m->w, i, ones(&m->k, cols));
            continue;
        }
        lb_mat W = kit_random(&m->k, (uint64_t)(100 + i), rows, cols);
        for (int64_t k = 0; i > 0 && k < rows * cols; k++) W.d[k] *= 0.4f;
        lb_slot_set(m->net, &m->w, i, W.d);
    }
    for (int64_t b = 0; b < arch.layers; b++) {
        int32_t first;
        assert_int_equal(lb_net_inputs(m->net, b, &first), INPUTS);
        for (int i = 0; i < INPUTS; i++) m->input[b][i] = first + i;
    }
    lb_rng rng = lb_rng_make(3, 3);
    for (int i = 0; i < SAMPLES * LENGTH; i++) m->tokens[i] = (int32_t)lb_rng_below(&rng, arch.vocab);
}

static lb_stream *stream(const model *m) {
    lb_stream *s = NULL;
    if (lb_stream_new(m->k.arena, m->net, &m->w, &(lb_sequences){m->tokens, SAMPLES, LENGTH, NULL}, m->k.team, &s) !=
        LB_OK)
        fail_msg("%s", lb_error());
    return s;
}

static void assert_near(const lb_stats *h, const double *want, double tolerance) {
    int64_t n = h->H.cols;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (!(fabs(h->H.d[i * n + j] - want[i * n + j]) <= tolerance * sqrt(want[i * n + i] * want[j * n + j])))
                fail_msg("H(%lld, %lld) is %.9g, want %.9g", (long long)i, (long long)j, h->H.d[i * n + j],
                         want[i * n + j]);
}

/* H of rows (tokens, n), by plain loops. */
static double *plain(const kit *k, lb_mat X) {
    double *H = LB_NEW(k->arena, double, X.cols *X.cols);
    for (int64_t t = 0; t < X.rows; t++)
        for (int64_t i = 0; i < X.cols; i++)
            for (int64_t j = 0; j < X.cols; j++)
                H[i * X.cols + j] += (double)X.d[t * X.ld + i] * (double)X.d[t * X.ld + j] / (double)X.rows;
    return H;
}

/* The first input is the normed embedding; the last one comes out of the plain forward pass of the whole model. */
static void first_and_last_input(void **state) {
    (void)state;
    model m;
    build(&m, 2);
    lb_stream *s = stream(&m);
    lb_mat first = lb_mat_of(LB_NEW(m.k.arena, float, SAMPLES *LENGTH *arch.dim), SAMPLES * LENGTH, arch.dim);
    lb_mat last = lb_mat_of(LB_NEW(m.k.arena, float, SAMPLES *LENGTH *arch.dim), SAMPLES * LENGTH, arch.dim);
    for (int64_t t = 0; t < SAMPLES * LENGTH; t++) {
        const float *e = m.w.site[m.net->embed].W.d + m.tokens[t] * arch.dim;
        double sum = 0;
        for (int64_t i = 0; i < arch.dim; i++) sum += (double)e[i] * (double)e[i] / (double)arch.dim;
        for (int64_t i = 0; i < arch.dim; i++)
            first.d[t * arch.dim + i] = (float)((double)e[i] / sqrt(sum + arch.norm_eps) * (double)m.w.vector[0][i]);
    }
    for (int64_t q = 0; q < SAMPLES; q++)
        assert_int_equal(lb_forward_ref(m.net, &m.w, m.tokens + q * LENGTH, LENGTH,
                                        lb_mat_part(last, q * LENGTH, 0, LENGTH, arch.dim)),
                         LB_OK);
    lb_stats h[INPUTS], head;
    for (int64_t b = 0; b < arch.layers; b++) {
        assert_int_equal(lb_stream_block(s), b);
        assert_int_equal(collect_head(s, m.net, &m.w, LB_NEEDS_HESSIAN, m.k.arena, &head), LB_E_ARG);
        assert_int_equal(collect_all(s, &m.w, m.input[b], INPUTS, LB_NEEDS_HESSIAN, true, m.k.arena, h), LB_OK);
        if (b == 0) assert_near(&h[IN_ATTN], plain(&m.k, first), 1e-5);
        for (int i = 0; i < INPUTS; i++) {
            assert_int_equal(h[i].tokens, SAMPLES * LENGTH);
            assert_int_equal(h[i].sequences, SAMPLES);
            assert_int_equal(h[i].H.cols, m.net->input[m.input[b][i]].cols);
        }
    }
    assert_int_equal(collect_head(s, m.net, &m.w, LB_NEEDS_HESSIAN, m.k.arena, &head), LB_OK);
    assert_near(&head, plain(&m.k, last), 1e-4);
    assert_int_equal(lb_stream_advance(s, &m.w), LB_E_ARG);
    kit_close(&m.k);
}

/* Asking for H does not move the stream; asked for one by one, together or on the way, and with any number of threads,
 * it is the same. */
static void ways_to_ask(void **state) {
    (void)state;
    model m, four;
    build(&m, 1);
    build(&four, 4);
    lb_stream *s = stream(&m), *t = stream(&four);
    for (int64_t b = 0; b < arch.layers; b++) {
        lb_stats each[INPUTS], one, all[INPUTS], way[INPUTS];
        const int32_t *input = m.input[b];
        for (int i = 0; i < INPUTS; i++)
            assert_int_equal(collect_all(s, &m.w, &input[i], 1, LB_NEEDS_HESSIAN, false, m.k.arena, &each[i]), LB_OK);
        assert_int_equal(collect_all(s, &m.w, input, INPUTS, LB_NEEDS_HESSIAN, false, m.k.arena, all), LB_OK);
        assert_int_equal(lb_stream_block(s), b);
        if (b == 1)
            assert_int_equal(lb_stream_advance(s, &m.w), LB_OK);
        else
            assert_int_equal(collect_all(s, &m.w, input, 1, LB_NEEDS_HESSIAN, true, m.k.arena, &one), LB_OK);
        assert_int_equal(collect_all(t, &four.w, input, INPUTS, LB_NEEDS_HESSIAN, true, four.k.arena, way), LB_OK);
        for (int i = 0; i < INPUTS; i++) {
            size_t bytes = (size_t)(all[i].H.cols * all[i].H.cols) * sizeof(double);
            assert_memory_equal(each[i].H.d, all[i].H.d, bytes);
            assert_memory_equal(way[i].H.d, all[i].H.d, bytes);
        }
    }
    kit_close(&m.k);
    kit_close(&four.k);
}

/* Where sequences end with H's chunks, few are captured at a time; the sums are those of whole batches all the same,
 * and less memory is used than one batch would take. */
static void few_at_a_time(void **state) {
    (void)state;
    enum { MANY = 48, LONG = 2048 };
    lb_arch longer = arch;
    longer.context = LONG;
    for (int threads = 1; threads <= 3; threads++) {
        model m;
        build(&m, threads);
        int32_t *tokens = LB_NEW(m.k.arena, int32_t, MANY * LONG);
        for (int64_t i = 0; i < MANY * LONG; i++) tokens[i] = m.tokens[i % (SAMPLES * LENGTH)];
        lb_stream *s = NULL;
        const lb_net *net = NULL;
        assert_int_equal(lb_arch_net(m.k.arena, &longer, &net), LB_OK);
        lb_stats got[INPUTS];
        lb_hessian want;
        assert_int_equal(lb_stream_new(m.k.arena, net, &m.w, &(lb_sequences){tokens, MANY, LONG, NULL}, m.k.team, &s),
                         LB_OK);
        int64_t before = lb_peak_memory_bytes(), batch = (int64_t)MANY * LONG * (3 * arch.dim + arch.hidden) * 4;
        assert_int_equal(collect_all(s, &m.w, m.input[0], INPUTS, LB_NEEDS_HESSIAN, false, m.k.arena, got), LB_OK);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__) /* sanitizers keep what was freed */
        assert_in_range(lb_peak_memory_bytes() - before, 0, batch / 2);
#else
        (void)before, (void)batch;
#endif

        lb_mat X = lb_mat_of(LB_NEW(m.k.arena, float, MANY *LONG *arch.hidden), MANY * LONG, arch.hidden);
        lb_exec *e = NULL;
        assert_int_equal(lb_exec_new(m.k.arena, net, LONG, NULL, &e), LB_OK);
        lb_mat x = lb_mat_of(LB_NEW(m.k.arena, float, LONG *arch.dim), LONG, arch.dim);
        for (int64_t i = 0; i < MANY; i++) {
            lb_tap tap = {.input = m.input[0][IN_DOWN], .to = lb_mat_part(X, i * LONG, 0, LONG, arch.hidden)};
            lb_capture cap = {.tap = &tap, .taps = 1};
            assert_int_equal(lb_exec_embed(e, &m.w, tokens + i * LONG, LONG, x), LB_OK);
            assert_int_equal(lb_exec_block(e, &m.w, 0, x, &cap), LB_OK);
        }
        assert_int_equal(lb_hessian_new(m.k.arena, arch.hidden, &want), LB_OK);
        assert_int_equal(lb_hessian_add(&want, lb_mat_c(X), MANY, NULL), LB_OK);
        assert_int_equal(lb_hessian_finish(&want, NULL), LB_OK);
        assert_int_equal(got[IN_DOWN].tokens, want.tokens);
        assert_int_equal(got[IN_DOWN].sequences, want.sequences);
        assert_memory_equal(got[IN_DOWN].H.d, want.H.d, (size_t)(arch.hidden * arch.hidden) * sizeof(double));
        kit_close(&m.k);
    }
}

/* Fewer sequences than threads: each on all of them, with the same sums. */
static void one_sequence(void **state) {
    (void)state;
    model m, four;
    build(&m, 1);
    build(&four, 4);
    lb_stream *s = NULL, *t = NULL;
    assert_int_equal(lb_stream_new(m.k.arena, m.net, &m.w, &(lb_sequences){m.tokens, 1, LENGTH, NULL}, m.k.team, &s),
                     LB_OK);
    assert_int_equal(
        lb_stream_new(four.k.arena, four.net, &four.w, &(lb_sequences){m.tokens, 1, LENGTH, NULL}, four.k.team, &t),
        LB_OK);
    for (int64_t b = 0; b < arch.layers; b++) {
        lb_stats a[INPUTS], c[INPUTS];
        assert_int_equal(collect_all(s, &m.w, m.input[b], INPUTS, LB_NEEDS_HESSIAN, true, m.k.arena, a), LB_OK);
        assert_int_equal(collect_all(t, &four.w, m.input[b], INPUTS, LB_NEEDS_HESSIAN, true, four.k.arena, c), LB_OK);
        for (int i = 0; i < INPUTS; i++)
            assert_memory_equal(a[i].H.d, c[i].H.d, (size_t)(a[i].H.cols * a[i].H.cols) * sizeof(double));
    }
    kit_close(&m.k);
    kit_close(&four.k);
}

/* Sequences that differ in their length: the sums are those of their rows one after another, at any number of threads,
 * also where there are fewer sequences than threads or more than a batch; and what goes on is each by itself. */
static void different_lengths(void **state) {
    (void)state;
    static const int threads[] = {1, 3, 1, 8}, samples[] = {SAMPLES, SAMPLES, 5, 5};
    static const uint32_t needs = LB_NEEDS_HESSIAN | LB_NEEDS_HESSIAN_ATTENTION | LB_NEEDS_TOKENS;
    int64_t start[SAMPLES + 1] = {0};
    for (int64_t i = 0; i < SAMPLES; i++) start[i + 1] = start[i] + 1 + (5 * i + 2) % LENGTH;
    lb_stats got[4][INPUTS];
    model m[4];
    for (int k = 0; k < 4; k++) {
        int64_t n = samples[k];
        const lb_stats *same = got[k / 2 * 2];
        lb_stream *s = NULL;
        build(&m[k], threads[k]);
        const lb_sequences of = {m[k].tokens, n, LENGTH, start};
        assert_int_equal(lb_stream_new(m[k].k.arena, m[k].net, &m[k].w, &of, m[k].k.team, &s), LB_OK);
        assert_int_equal(lb_stream_advance(s, &m[k].w), LB_OK);
        assert_int_equal(collect_all(s, &m[k].w, m[k].input[1], INPUTS, needs, true, m[k].k.arena, got[k]), LB_OK);
        for (int64_t q = 0; q < n; q++) {
            lb_stream *alone = NULL;
            const lb_sequences one = {m[k].tokens + start[q], 1, start[q + 1] - start[q], NULL};
            assert_int_equal(lb_stream_new(m[k].k.arena, m[k].net, &m[k].w, &one, NULL, &alone), LB_OK);
            for (int b = 0; b < 2; b++) assert_int_equal(lb_stream_advance(alone, &m[k].w), LB_OK);
            lb_cmat have = lb_stream_states(s, q), want = lb_stream_states(alone, 0);
            assert_int_equal(have.rows, one.length);
            assert_memory_equal(have.d, want.d, (size_t)(want.rows * want.cols) * sizeof *want.d);
        }
        for (int i = 0; i < INPUTS; i++) {
            size_t cells = (size_t)(got[k][i].H.cols * got[k][i].H.cols);
            assert_int_equal(got[k][i].tokens, start[n]);
            assert_int_equal(got[k][i].sequences, n);
            assert_memory_equal(got[k][i].H.d, same[i].H.d, cells * sizeof(double));
            assert_memory_equal(got[k][i].H_attention.d, same[i].H_attention.d, cells * sizeof(double));
            assert_true(got[k][i].first_share == same[i].first_share);
        }
    }
    for (int k = 0; k < 4; k++) kit_close(&m[k].k);
}

static void refused(void **state) {
    (void)state;
    model m;
    build(&m, 1);
    lb_stream *s = NULL;
    assert_int_equal(lb_stream_new(m.k.arena, m.net, &m.w, &(lb_sequences){m.tokens, 2, 17, NULL}, NULL, &s),
                     LB_E_CONFIG);
    assert_error_has("length = 17: the model's context is 16");
    assert_int_equal(lb_stream_new(m.k.arena, m.net, &m.w, &(lb_sequences){m.tokens, 0, 9, NULL}, NULL, &s),
                     LB_E_CONFIG);
    m.tokens[LENGTH + 1] = 50;
    assert_int_equal(lb_stream_new(m.k.arena, m.net, &m.w, &(lb_sequences){m.tokens, 2, LENGTH, NULL}, NULL, &s),
                     LB_E_ARG);
    assert_error_has("is 50: must be in [0, 50)");
    kit_close(&m.k);
}

static char folder[64], path[96];
static int setup(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lowbit-test-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/stats.h5", folder);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if anything else was left there */
}

static int64_t computed; /* blocks that were reported as being computed */
static void count(void *user, const lb_progress *p) {
    (void)user;
    assert_string_equal(p->stage, "statistics");
    computed++;
}

/* Every site with T and W T^-1, the head too: the model is what it was, and its inputs are T x. */
static void transformed_inputs(void **state) {
    (void)state;
    model m;
    build(&m, 2);
    const lb_net *n = m.net;
    lb_stats before[3][INPUTS], head, after;
    lb_stream *s = stream(&m);
    for (int64_t b = 0; b < arch.layers; b++)
        assert_int_equal(collect_all(s, &m.w, m.input[b], INPUTS, LB_NEEDS_HESSIAN, true, m.k.arena, before[b]), LB_OK);
    assert_int_equal(collect_head(s, m.net, &m.w, LB_NEEDS_HESSIAN, m.k.arena, &head), LB_OK);
    for (int32_t i = 0; i < n->sites; i++) {
        const lb_site *site = &n->site[i];
        if (site->input < 0) continue;
        float *scale = LB_NEW(m.k.arena, float, site->cols);
        for (int64_t c = 0; c < site->cols; c++) scale[c] = 0.5f + 0.25f * (float)((c * 7 + site->input) % 5);
        lb_mat W = lb_mat_of(LB_NEW(m.k.arena, float, site->rows * site->cols), site->rows, site->cols);
        memcpy(W.d, m.w.site[i].W.d, (size_t)(site->rows * site->cols) * sizeof *W.d);
        m.w.site[i].T = (lb_transform){.scale = scale, .hadamard = 8};
        lb_transform_weights(&m.w.site[i].T, W);
        m.w.site[i].W = lb_mat_c(W);
    }
    s = stream(&m);
    for (int64_t b = 0; b < arch.layers; b++) {
        lb_stats got[INPUTS];
        assert_int_equal(collect_all(s, &m.w, m.input[b], INPUTS, LB_NEEDS_HESSIAN, true, m.k.arena, got), LB_OK);
        for (int i = 0; i < INPUTS; i++) {
            lb_dmat H = {(double *)(uintptr_t)before[b][i].H.d, before[b][i].H.rows, before[b][i].H.cols,
                         before[b][i].H.cols};
            const lb_transform *t = &m.w.site[n->reader[n->input[m.input[b][i]].first]].T;
            assert_int_equal(lb_transform_hessian(t, H, NULL), LB_OK);
            assert_near(&got[i], H.d, 1e-4);
        }
    }
    assert_int_equal(collect_head(s, m.net, &m.w, LB_NEEDS_HESSIAN, m.k.arena, &after), LB_OK);
    lb_dmat H = {(double *)(uintptr_t)head.H.d, arch.dim, arch.dim, arch.dim};
    assert_int_equal(lb_transform_hessian(&m.w.site[n->head].T, H, NULL), LB_OK);
    assert_near(&after, H.d, 1e-4);
    kit_close(&m.k);
}

static lb_status ensure_of(const model *m, const char *key, uint32_t needs, lb_stats_file **f) {
    lb_log log = {.progress = count};
    computed = 0;
    return lb_stats_file_ensure(path, key, &(lb_wanted){.needs = needs}, m->net, &m->w,
                                &(lb_sequences){m->tokens, SAMPLES, LENGTH, NULL}, m->k.team, &log, f);
}

static lb_status ensure(const model *m, const char *key, lb_stats_file **f) {
    return ensure_of(m, key, LB_NEEDS_HESSIAN, f);
}

static void assert_holds(const model *m, lb_stats_file *f) {
    lb_stream *s = stream(m);
    lb_stats h[INPUTS], got, head;
    for (int64_t b = 0; b < arch.layers; b++) {
        assert_int_equal(collect_all(s, &m->w, m->input[b], INPUTS, LB_NEEDS_HESSIAN, true, m->k.arena, h), LB_OK);
        for (int i = 0; i < INPUTS; i++) {
            if (lb_stats_file_get(f, m->input[b][i], LB_NEEDS_HESSIAN, m->k.arena, &got) != LB_OK)
                fail_msg("%s", lb_error());
            assert_int_equal(got.tokens, h[i].tokens);
            assert_int_equal(got.sequences, h[i].sequences);
            assert_memory_equal(got.H.d, h[i].H.d, (size_t)(got.H.cols * got.H.cols) * sizeof(double));
        }
    }
    assert_int_equal(collect_head(s, m->net, &m->w, LB_NEEDS_HESSIAN, m->k.arena, &head), LB_OK);
    assert_int_equal(lb_stats_file_get(f, m->net->site[m->net->head].input, LB_NEEDS_HESSIAN, m->k.arena, &got), LB_OK);
    assert_memory_equal(got.H.d, head.H.d, (size_t)(arch.dim * arch.dim) * sizeof(double));
}

static void file_is_kept(void **state) {
    (void)state;
    model m;
    build(&m, 2);
    lb_stats_file *f = NULL;
    assert_int_equal(ensure(&m, "key one", &f), LB_OK);
    assert_true(computed > 0);
    assert_holds(&m, f);
    lb_stats_file_close(f);
    assert_int_equal(ensure(&m, "key one", &f), LB_OK);
    assert_int_equal(computed, 0);
    assert_holds(&m, f);
    lb_stats_file_close(f);
    assert_int_equal(ensure(&m, "key two", &f), LB_OK); /* another model or text */
    assert_true(computed > 0);
    lb_stats_file_close(f);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    assert_int_equal(ensure(&m, "key two", &f), LB_OK); /* damaged: made again */
    assert_true(computed > 0);
    assert_holds(&m, f);
    lb_stats_file_close(f);
    kit_close(&m.k);
}

static void assert_same(const lb_stats *a, const lb_stats *b, int64_t cols) {
    size_t n = (size_t)cols;
    assert_int_equal(a->tokens, b->tokens);
    assert_int_equal(!a->H.d, !b->H.d);
    if (a->H.d) assert_memory_equal(a->H.d, b->H.d, n * n * sizeof(double));
    assert_memory_equal(a->absmax, b->absmax, n * sizeof(float));
    assert_memory_equal(a->mean_abs, b->mean_abs, n * sizeof(double));
    assert_true(a->lo == b->lo && a->hi == b->hi && a->lo < a->hi);
    assert_int_equal(a->rows.rows, b->rows.rows);
    assert_memory_equal(a->rows.d, b->rows.d, n * (size_t)a->rows.rows * sizeof(float));
}

/* All statistics, or all but H: as the stream gives them, and no more than was asked for. */
static void every_statistic_is_kept(void **state) {
    (void)state;
    static const uint32_t all[] = {LB_NEEDS_STATISTICS, LB_NEEDS_STATISTICS & ~(uint32_t)LB_NEEDS_HESSIAN};
    model m;
    build(&m, 2);
    for (int i = 0; i < 2; i++) {
        lb_stats_file *f = NULL;
        lb_stats want[INPUTS], head, got;
        lb_stream *s = stream(&m);
        unlink(path);
        assert_int_equal(ensure_of(&m, "key", all[i], &f), LB_OK);
        for (int64_t b = 0; b < arch.layers; b++) {
            assert_int_equal(collect_all(s, &m.w, m.input[b], INPUTS, all[i], true, m.k.arena, want), LB_OK);
            for (int k = 0; k < INPUTS; k++) {
                if (lb_stats_file_get(f, m.input[b][k], all[i], m.k.arena, &got) != LB_OK) fail_msg("%s", lb_error());
                assert_same(&got, &want[k], m.net->input[m.input[b][k]].cols);
            }
        }
        int32_t input = m.net->site[m.net->head].input;
        assert_int_equal(collect_head(s, m.net, &m.w, all[i], m.k.arena, &head), LB_OK);
        assert_int_equal(lb_stats_file_get(f, input, all[i], m.k.arena, &got), LB_OK);
        assert_same(&got, &head, arch.dim);
        assert_int_equal(lb_stats_file_get(f, input, LB_NEEDS_MEAN, m.k.arena, &got), LB_OK);
        assert_true(got.mean_abs && !got.H.d && !got.absmax && !got.rows.d && got.lo == 0 && got.hi == 0);
        if (i == 1) assert_int_equal(lb_stats_file_get(f, input, LB_NEEDS_HESSIAN, m.k.arena, &got), LB_E_ARG);
        lb_stats_file_close(f);
    }
    kit_close(&m.k);
}

/* Of one kind each: found when it is read, and named. */
static void forged_statistics_are_refused(void **state) {
    (void)state;
    static const float not_one[] = {NAN}, negative[] = {-1}, backwards[] = {2, 1}, infinite[] = {0, INFINITY};
    static const double minus[] = {-1}, large[] = {0, 1e39};
    static const struct {
        const char *section;
        uint32_t need;
        const void *lie;
        size_t bytes;
    } t[] = {{"1.down absmax", LB_NEEDS_ABSMAX, not_one, sizeof not_one},
             {"1.down absmax", LB_NEEDS_ABSMAX, negative, sizeof negative},
             {"1.down mean", LB_NEEDS_MEAN, minus, sizeof minus},
             {"1.down mean", LB_NEEDS_MEAN, large, sizeof large},
             {"1.down range", LB_NEEDS_RANGE, backwards, sizeof backwards},
             {"1.down range", LB_NEEDS_RANGE, infinite, sizeof infinite},
             {"1.down rows", LB_NEEDS_ROWS, infinite, sizeof infinite}};
    model m;
    build(&m, 2);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        lb_stats_file *f = NULL;
        lb_stats got;
        unlink(path);
        assert_int_equal(ensure_of(&m, "key", LB_NEEDS_STATISTICS, &f), LB_OK);
        lb_stats_file_close(f);
        forge(path, t[i].section, t[i].lie, t[i].bytes);
        assert_int_equal(ensure_of(&m, "key", LB_NEEDS_STATISTICS, &f), LB_OK);
        assert_int_equal(computed, 0);
        uint32_t rest = LB_NEEDS_STATISTICS & ~t[i].need;
        assert_int_equal(lb_stats_file_get(f, m.input[1][IN_DOWN], rest, m.k.arena, &got), LB_OK);
        assert_false(lb_stats_file_damaged(f));
        assert_int_equal(lb_stats_file_get(f, m.input[1][IN_DOWN], t[i].need, m.k.arena, &got), LB_E_FORMAT);
        assert_error_has("damaged: 1.down");
        assert_error_has(t[i].section);
        assert_true(lb_stats_file_damaged(f));
        lb_stats_file_close(f);
    }
    kit_close(&m.k);
}

/* Files whose hashes are right and whose numbers are those of no statistics. */
static void forged_numbers_are_refused(void **state) {
    (void)state;
    static const double not_one[] = {NAN, 0}, negative[] = {-1e-3, 0}, infinite[] = {1, INFINITY}, large[] = {1, -1e39};
    static const double *const lie[] = {not_one, negative, infinite, large};
    static const int64_t about[][3] = {
        {0, SAMPLES, 3}, {SAMPLES * LENGTH, 0, 3}, {1, 1, 3}, {SAMPLES * LENGTH, SAMPLES, 2}};
    model m;
    build(&m, 2);
    lb_stats_file *f = NULL;
    lb_stats got;
    for (size_t i = 0; i < 2 * sizeof lie / sizeof lie[0]; i++) {
        bool head = i % 2;
        unlink(path);
        assert_int_equal(ensure(&m, "key", &f), LB_OK);
        lb_stats_file_close(f);
        forge(path, head ? "head" : "1.down", lie[i / 2], sizeof not_one);
        assert_int_equal(ensure(&m, "key", &f), LB_OK);
        assert_int_equal(computed, 0); /* its numbers are looked at when they are read */
        assert_int_equal(lb_stats_file_get(f, m.input[0][IN_DOWN], LB_NEEDS_HESSIAN, m.k.arena, &got), LB_OK);
        assert_false(lb_stats_file_damaged(f));
        int32_t input = head ? m.net->site[m.net->head].input : m.input[1][IN_DOWN];
        assert_int_equal(lb_stats_file_get(f, input, LB_NEEDS_HESSIAN, m.k.arena, &got), LB_E_FORMAT);
        assert_non_null(strstr(lb_error(), head ? "damaged: head: value" : "damaged: 1.down: value"));
        assert_true(lb_stats_file_damaged(f));
        lb_stats_file_close(f);
    }
    for (size_t i = 0; i < sizeof about / sizeof about[0]; i++) {
        forge(path, "about", about[i], sizeof about[i]);
        assert_int_equal(ensure(&m, "key", &f), LB_OK);
        assert_true(computed > 0);
        assert_holds(&m, f);
        lb_stats_file_close(f);
    }
    kit_close(&m.k);
}

static void file_appears_whole_or_not_at_all(void **state) {
    (void)state;
    model m;
    build(&m, 1);
    unlink(path);
    ((float *)(uintptr_t)m.w.vector[lb_net_vector(m.net, 1, -1, "mlp_norm", false)])[0] = INFINITY;
    lb_stats_file *f = NULL;
    assert_int_equal(ensure(&m, "key", &f), LB_E_NUMERIC);
    assert_null(f);
    assert_false(lb_fs_exists(path));
    kit_close(&m.k);
}

static void every_allocation_fails_once(void **state) {
    (void)state;
    model m;
    build(&m, 1);
    for (int64_t nth = 1;; nth++) {
        lb_stats_file *f = NULL;
        unlink(path);
        lb_alloc_fail_at(nth);
        lb_status st = ensure_of(&m, "key", LB_NEEDS_STATISTICS, &f);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        assert_int_equal(f != NULL, st == LB_OK);
        lb_stats_file_close(f);
        if (!reached) {
            assert_int_equal(st, LB_OK);
            break;
        }
        assert_int_equal(st, LB_E_NOMEM);
        assert_true(nth < 500);
    }
    kit_close(&m.k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_and_last_input),
        cmocka_unit_test(ways_to_ask),
        cmocka_unit_test(few_at_a_time),
        cmocka_unit_test(one_sequence),
        cmocka_unit_test(different_lengths),
        cmocka_unit_test(refused),
        cmocka_unit_test(transformed_inputs),
        cmocka_unit_test(file_is_kept),
        cmocka_unit_test(forged_numbers_are_refused),
        cmocka_unit_test(every_statistic_is_kept),
        cmocka_unit_test(forged_statistics_are_refused),
        cmocka_unit_test(file_appears_whole_or_not_at_all),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

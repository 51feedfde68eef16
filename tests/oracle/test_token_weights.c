/* Who carries H, and H of tokens that count otherwise, against PyTorch (tests/oracle/make_token_weights.py): every
 * input of small models, of experts too, with caps and windows of attention; and the attention that tokens receive, the
 * same bytes at any number of threads. The same, H itself and the largest |x| of sequences that differ in their length
 * (tests/oracle/make_ragged.py). */
#include "support/quant_kit.h"
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/calibrate.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/attention.h"
#include "model/model.h"
#include "support/families.h"

enum { T = FAMILIES_TOKENS, SEQUENCES = 2, ABOUT = 4, MOST = 512 };
static const double clip = 1.05;

static lb_safetensors *expected, *of_ragged;
static int checked;

static void tokens_of(const lb_sequences *of, int32_t *token) {
    for (int64_t s = 0; s < of->n; s++)
        for (int64_t t = 0; t < lb_sequences_length(of, s); t++)
            *token++ = (int32_t)((7 * t * t + 3 * t + 11 + 5 * s) % FAMILIES_VOCAB);
}

static const int64_t start[] = {0, 29, 32, 33, 50, 52, 81, 89}; /* LENGTHS of make_ragged.py */
enum { RAGGED = sizeof start / sizeof *start - 1, MOST_TOKENS = 96 };

static lb_model *model_of(const char *name) {
    char path[LB_TEST_PATH];
    lb_model *m;
    families_fixture(name, path);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    return m;
}

/* NULL: nothing is recorded of it. */
static const float *recorded(const lb_safetensors *in, const char *model, const char *what, int64_t *n) {
    static float v[MOST];
    char name[96];
    snprintf(name, sizeof name, "%s %s", model, what);
    const lb_tensor *t = lb_safetensors_find(in, name);
    if (!t) return NULL;
    *n = t->shape[0];
    assert_in_range(*n, 1, MOST);
    assert_ok(lb_tensor_read_f32(t, 0, *n, v));
    return v;
}

static void near(const char *what, double got, double want, double scale) {
    if (!(fabs(got - want) <= 1e-5 * scale)) fail_msg("%s: %.9g, PyTorch has %.9g", what, got, want);
}

/* Its diagonal, and vᵀHv with v_i = cos(i). */
static void check_hessian(const char *what, lb_cdmat H, const float *want) {
    double largest = 0, form = 0;
    for (int64_t i = 0; i < H.cols; i++) largest = fmax(largest, (double)want[i]);
    for (int64_t i = 0; i < H.cols; i++) {
        near(what, H.d[i * H.ld + i], (double)want[i], largest);
        for (int64_t j = 0; j < H.cols; j++) form += cos((double)i) * H.d[i * H.ld + j] * cos((double)j);
    }
    near(what, form, (double)want[H.cols], (double)H.cols * largest);
}

static void check_input(const lb_safetensors *in, const char *model, const char *reader, const lb_stats *s) {
    int64_t n;
    char what[128];
    const float *want = recorded(in, model, reader, &n);
    if (!want) return;
    int64_t cols = s->H_equal.cols, more = ABOUT + 3 * (cols + 1);
    snprintf(what, sizeof what, "%s %s", model, reader);
    assert_int_equal(n, in == expected ? more : more + 2 * cols + 1);
    assert_int_equal(s->tokens, (int64_t)want[0]);
    near(what, s->participation, (double)want[1], 1);
    near(what, s->first_share, (double)want[2], 1);
    near(what, s->half_share, (double)want[3], 1);
    check_hessian(what, s->H_equal, want + ABOUT);
    check_hessian(what, s->H_clip, want + ABOUT + cols + 1);
    check_hessian(what, s->H_attention, want + ABOUT + 2 * (cols + 1));
    checked++;
    if (in == expected) return;
    check_hessian(what, s->H, want + more);
    for (int64_t c = 0; c < cols; c++)
        near(what, (double)s->absmax[c], (double)want[more + cols + 1 + c], (double)want[more + cols + 1 + c]);
}

static void check_model(const lb_safetensors *in, const char *name, lb_sequences of, int threads) {
    lb_model *m = model_of(name);
    const lb_net *net = m->net;
    lb_stream *s;
    lb_team *team;
    uint32_t needs = LB_NEEDS_OF_HARNESS | (in == expected ? 0 : LB_NEEDS_HESSIAN | LB_NEEDS_ABSMAX);
    int32_t token[MOST_TOKENS];
    tokens_of(&of, token);
    of.token = token;
    assert_ok(lb_team_new(threads, &team));
    assert_ok(lb_stream_new(m->arena, net, &m->weights, &of, team, &s));
    for (int64_t b = 0; b < net->blocks; b++) {
        int32_t first, n = lb_net_inputs(net, b, &first);
        lb_wanted *want = LB_NEW(m->arena, lb_wanted, n + 1);
        lb_collected *got = LB_NEW(m->arena, lb_collected, n + 1);
        assert_true(want && got);
        for (int32_t i = 0; i < n; i++) want[i] = (lb_wanted){.input = first + i, .needs = needs, .clip = clip};
        /* Also where the pass ends as soon as the inputs are known. */
        assert_ok(lb_stream_collect(s, &m->weights, want, n, m->arena, got));
        for (int32_t i = 0; i < n; i++) {
            const lb_stats found = lb_collected_stats(&got[i]);
            check_input(in, name, net->site[net->reader[net->input[first + i].first]].name, &found);
        }
        /* The first alone: q, k, v, before the attention, where the pass ends there and where it goes on. */
        const char *reader = net->site[net->reader[net->input[first].first]].name;
        for (int advance = 0; advance < 2; advance++) {
            lb_collected alone;
            assert_ok(advance ? lb_stream_collect_advance(s, &m->weights, want, 1, m->arena, &alone)
                              : lb_stream_collect(s, &m->weights, want, 1, m->arena, &alone));
            const lb_stats found = lb_collected_stats(&alone);
            check_input(in, name, reader, &found);
        }
    }
    lb_team_free(team);
    lb_model_close(m);
}

static void small_models(void **state) {
    (void)state;
    static const char *const name[] = {"llama/a", "mixtral/a", "gemma2/a"};
    static const int inputs[] = {4 * 2 + 2 * 2, 2 * 2 + 2 * 2 * 4 + 2 * 2, 4 * 3 + 2 * 3};
    const lb_sequences alike = {.n = SEQUENCES, .length = T}, ragged = {.n = RAGGED, .length = T, .start = start};
    for (int i = 0; i < 3; i++)
        for (int threads = 1; threads <= 3; threads += 2) { /* sequences side by side; one on all threads */
            checked = 0;
            check_model(expected, name[i], alike, threads);
            assert_int_equal(checked, inputs[i]);
            checked = 0;
            check_model(of_ragged, name[i], ragged, threads == 3 ? RAGGED + 1 : threads);
            assert_int_equal(checked, inputs[i]);
        }
}

/* (blocks, T) of the first sequence; its states go on. */
static void received_in(const lb_model *m, lb_team *team, double *received) {
    lb_exec *e;
    int32_t token[SEQUENCES * T];
    tokens_of(&(lb_sequences){.n = SEQUENCES, .length = T}, token);
    lb_mat x = lb_mat_of(LB_NEW(m->arena, float, T * m->net->dim), T, m->net->dim);
    assert_ok(lb_exec_new(m->arena, m->net, T, team, &e));
    assert_ok(lb_exec_embed(e, &m->weights, token, T, x));
    for (int64_t b = 0; b < m->net->blocks; b++) {
        lb_capture cap = {.received = received + b * T};
        assert_ok(lb_exec_block(e, &m->weights, b, x, &cap));
    }
}

static void received(void **state) {
    (void)state;
    static const char *const name[] = {"llama/a", "mixtral/a", "gemma2/a"};
    for (int i = 0; i < 3; i++) {
        lb_model *m = model_of(name[i]);
        double alone[4 * T], team_of[4 * T];
        assert_in_range(m->net->blocks, 1, 4);
        received_in(m, NULL, alone);
        for (int64_t b = 0; b < m->net->blocks; b++) {
            char what[32];
            int64_t n;
            snprintf(what, sizeof what, "%lld received", (long long)b);
            const float *want = recorded(expected, name[i], what, &n);
            assert_non_null(want);
            assert_int_equal(n, T);
            for (int t = 0; t < T; t++) near(name[i], alone[b * T + t], (double)want[t], (double)want[0]);
        }
        for (int threads = 2; threads <= 3; threads++) {
            lb_team *team;
            assert_ok(lb_team_new(threads, &team));
            received_in(m, team, team_of);
            assert_memory_equal(alone, team_of, (size_t)m->net->blocks * T * sizeof *alone);
            lb_team_free(team);
        }
        lb_model_close(m);
    }
}

/* Beyond a tile of keys and of queries, against a plain softmax; all keys, and a window that ends within a tile. */
static void long_sequences(void **state) {
    (void)state;
    enum { LONG = 2 * LB_ATTENTION_KEYS + 77, HEADS = 4, KEY_HEADS = 2, DIM = 6, GROUP = HEADS / KEY_HEADS };
    static const int64_t window[] = {0, LB_ATTENTION_KEYS + 100};
    for (int w = 0; w < 2; w++) {
        kit k = kit_open(1);
        const lb_attend a = {HEADS, KEY_HEADS, DIM, 0.7f, 0.0f, window[w], false, false};
        lb_mat q = kit_random(&k, 1, LONG, HEADS * DIM), key = kit_random(&k, 2, LONG, KEY_HEADS * DIM);
        lb_mat out = kit_random(&k, 3, LONG, HEADS * DIM);
        lb_attention room;
        double *got = LB_NEW(k.arena, double, LONG), *want = LB_NEW(k.arena, double, LONG), s[LONG];
        assert_true(got && want);
        assert_ok(lb_attention_new(k.arena, &a, 1, LONG, &room));
        int64_t queries = lb_attention_queries(&a);
        for (int64_t g = 0; g < KEY_HEADS; g++) {
            lb_attention_take(&a, &room, g, lb_mat_c(key), lb_mat_c(key));
            for (int64_t q0 = 0; q0 < LONG; q0 += queries)
                lb_attention_tile(&a, &room, q0, LONG - q0 < queries ? LONG - q0 : queries, lb_mat_c(q), out, got);
        }
        for (int64_t h = 0; h < HEADS; h++)
            for (int64_t t = 0; t < LONG; t++) {
                int64_t from = window[w] > 0 && t >= window[w] ? t - window[w] + 1 : 0;
                double sum = 0;
                for (int64_t j = from; j <= t; j++) {
                    double dot = 0;
                    for (int64_t i = 0; i < DIM; i++)
                        dot += (double)q.d[t * q.ld + h * DIM + i] * (double)key.d[j * key.ld + h / GROUP * DIM + i];
                    sum += s[j] = exp(0.7 * dot);
                }
                for (int64_t j = from; j <= t; j++) want[j] += s[j] / sum;
            }
        for (int64_t t = 0; t < LONG; t++) near("a long sequence", got[t], want[t], want[0]);
        kit_close(&k);
    }
}

int main(void) {
    char path[LB_TEST_PATH];
    if (lb_blas_init(1) != LB_OK) return 1;
    lb_test_fixture("tests/oracle/fixtures/token_weights.safetensors", path);
    if (lb_safetensors_open(path, &expected) != LB_OK) return 1;
    lb_test_fixture("tests/oracle/fixtures/ragged.safetensors", path);
    if (lb_safetensors_open(path, &of_ragged) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_models), cmocka_unit_test(received),
                                       cmocka_unit_test(long_sequences)};
    int failed = cmocka_run_group_tests_name("token weights against PyTorch", tests, NULL, NULL);
    lb_safetensors_close(expected);
    lb_safetensors_close(of_ragged);
    return failed;
}

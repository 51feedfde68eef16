/* Products in bfloat16 in the model: a block from its own captured inputs, the head's logits, perplexity however the
 * weights come. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/perplexity.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/attention.h"
#include "model/forward.h"
#include "model/rotary.h"
#include "model/weights.h"
#include "support/bf16.h"
#include "support/llama.h"
#include "support/support.h"

enum { T = 70, DIM = 16, HIDDEN = 24, VOCAB = 60 };

static lb_mat new_mat(int64_t rows, int64_t cols) {
    lb_mat m = lb_mat_of(lb_alloc((size_t)rows, (size_t)cols * sizeof(float)), rows, cols);
    assert_non_null(m.d);
    return m;
}

static lb_mat copy_of(lb_mat x) {
    lb_mat y = new_mat(x.rows, x.cols);
    memcpy(y.d, x.d, (size_t)(x.rows * x.cols) * sizeof(float));
    return y;
}

static lb_model *small_model(uint64_t seed) {
    return llama_random((lb_arch){.layers = 2,
                                  .dim = DIM,
                                  .hidden = HIDDEN,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 4,
                                  .vocab = VOCAB,
                                  .context = 128,
                                  .rope = LB_ROPE_HALVES,
                                  .tied = true},
                        seed);
}

typedef struct world {
    lb_model *m;
    lb_arena *arena;
    lb_bf16 *c;
    lb_exec *e;
    lb_weights w; /* the first block rounded */
    lb_mat x;     /* (T, DIM) */
} world;

static world open_world(void) {
    bf16_needed();
    world w = {.m = small_model(1), .x = new_mat(T, DIM)};
    size_t bytes;
    assert_ok(lb_arena_new(0, &w.arena));
    assert_ok(lb_bf16_new(&w.c));
    assert_ok(lb_exec_new(w.arena, w.m->net, T + 3, NULL, &w.e));
    assert_ok(lb_exec_add_half(w.arena, w.e));
    assert_ok(lb_weights_new(w.arena, w.m->net, &w.w));
    assert_ok(lb_block_half_bytes(w.m->net, 0, w.c, &bytes));
    void *room = lb_arena_get(w.arena, 1, bytes);
    assert_non_null(room);
    assert_ok(lb_block_load(w.m->net, &w.m->weights, 0, NULL, NULL, &w.w));
    assert_ok(lb_block_round(w.m->net, 0, w.c, room, NULL, &w.w));
    int32_t *tokens = llama_tokens(3, T, VOCAB);
    assert_ok(lb_exec_embed(w.e, &w.m->weights, tokens, T, w.x));
    lb_free(tokens);
    return w;
}

static void close_world(world *w) {
    lb_free(w->x.d);
    lb_bf16_free(w->c);
    lb_arena_free(w->arena);
    lb_model_close(w->m);
}

static lb_linop *linear(const world *w, const char *role) { return &w->w.site[lb_net_site(w->m->net, 0, role)]; }

/* A linear of the twin: the input transformed, as the method fake-quantizes it, then rounded. */
static void twin(const world *w, const char *role, lb_mat x, bool add, lb_mat y) {
    const lb_linop *l = linear(w, role);
    lb_mat in = copy_of(x), none = {0};
    lb_transform_input(&l->T, lb_mat_c(x), in);
    if (l->act.bits) lb_actquant_apply(&l->act, lb_mat_c(in), in);
    bf16_multiply_ref(lb_mat_c(in), l->W, add, y, none);
    lb_free(in.d);
}

static void norm(const float *weight, lb_mat x, lb_mat y) {
    for (int64_t t = 0; t < x.rows; t++) lb_kernels_active()->rmsnorm(y.d + t * DIM, x.d + t * DIM, weight, 1e-5f, DIM);
}

static void close_to(lb_mat got, lb_mat want) {
    double size = 0, worst = llama_worst(lb_mat_c(got), lb_mat_c(want));
    for (int64_t i = 0; i < want.rows * want.cols; i++) size = fmax(size, fabs((double)want.d[i]));
    if (!(worst <= 2e-6 * size)) fail_msg("off by %g of %g", worst, size);
}

/* Each stage computed from the inputs that the block itself captured, so that nothing but the stage's own products,
 * summed in another order, tells the two apart: a rounding left out or done twice is a thousand times as much. */
static void check_block(world *w) {
    const lb_arch arch = llama_arch(w->m), *a = &arch;
    enum { IN_ATTN, IN_O, IN_MLP, IN_DOWN, INPUTS };
    const lb_net *net = w->m->net;
    lb_tap tap[INPUTS];
    lb_capture cap = {.tap = tap, .taps = INPUTS};
    int32_t first;
    assert_int_equal(lb_net_inputs(net, 0, &first), INPUTS);
    for (int i = 0; i < INPUTS; i++)
        tap[i] = (lb_tap){.input = first + i, .to = new_mat(T, net->input[first + i].cols)};
    lb_mat x = copy_of(w->x), q = new_mat(T, DIM), k = new_mat(T, DIM / 2), v = new_mat(T, DIM / 2);
    lb_mat middle = copy_of(w->x), normed = new_mat(T, DIM), gate = new_mat(T, HIDDEN), up = new_mat(T, HIDDEN);
    lb_attention attention;
    const lb_attend kind = {.heads = a->heads,
                            .kv_heads = a->kv_heads,
                            .head_dim = a->head_dim,
                            .scale = (float)(1.0 / sqrt((double)a->head_dim))};
    lb_rotary rope;
    assert_ok(lb_rotary_new(w->arena, &net->rope[0], T, &rope));
    lb_rotary_set(&net->rope[0], T, &rope);
    assert_ok(lb_attention_new(w->arena, &kind, 1, T, &attention));
    assert_ok(lb_exec_block(w->e, &w->w, 0, x, &cap));

    twin(w, "q", tap[IN_ATTN].to, false, q);
    twin(w, "k", tap[IN_ATTN].to, false, k);
    twin(w, "v", tap[IN_ATTN].to, false, v);
    lb_rotary_turn(&net->rope[0], &rope, false, a->head_dim, 0, q);
    lb_rotary_turn(&net->rope[0], &rope, false, a->head_dim, 0, k);
    lb_attention_run(&kind, &attention, lb_mat_c(q), lb_mat_c(k), lb_mat_c(v), q);
    double size = 0;
    for (int64_t i = 0; i < T * DIM; i++) size = fmax(size, fabs((double)q.d[i]));
    assert_true(llama_worst(lb_mat_c(q), lb_mat_c(tap[IN_O].to)) < 5e-5 * size); /* through a softmax */

    twin(w, "o", tap[IN_O].to, true, middle);
    norm(llama_vector(w->m, "0.mlp_norm"), middle, normed);
    close_to(tap[IN_MLP].to, normed);
    twin(w, "gate", tap[IN_MLP].to, false, gate);
    twin(w, "up", tap[IN_MLP].to, false, up);
    lb_kernels_active()->swiglu(gate.d, gate.d, up.d, T * HIDDEN);
    close_to(tap[IN_DOWN].to, gate);
    twin(w, "down", tap[IN_DOWN].to, true, middle);
    close_to(x, middle);

    for (int i = 0; i < INPUTS; i++) lb_free(tap[i].to.d);
    lb_free(x.d), lb_free(q.d), lb_free(k.d), lb_free(v.d);
    lb_free(middle.d), lb_free(normed.d), lb_free(gate.d), lb_free(up.d);
}

static void a_block(void **state) {
    (void)state;
    world w = open_world();
    check_block(&w);
    close_world(&w);
}

/* Linears that share an input share its rounding only where none of them fake-quantizes it. */
static void fake_quantized_inputs(void **state) {
    (void)state;
    static const char *const role[] = {"q", "k", "v", "o", "gate", "up", "down"};
    for (int l = 0; l < 7; l++) {
        world w = open_world();
        linear(&w, role[l])->act = (lb_actquant){.bits = 4};
        check_block(&w);
        close_world(&w);
    }
}

static void transformed_inputs(void **state) {
    (void)state;
    static const char *const role[] = {"q", "k", "v", "o", "gate", "up", "down"};
    static float scale[DIM > HIDDEN ? DIM : HIDDEN];
    for (size_t i = 0; i < sizeof scale / sizeof scale[0]; i++) scale[i] = 0.5f + (float)(i % 5) / 4;
    for (int l = 0; l < 7; l++) {
        world w = open_world();
        linear(&w, role[l])->T = (lb_transform){.scale = scale, .hadamard = 4};
        linear(&w, role[l])->act = (lb_actquant){.bits = l % 2 ? 0 : 8};
        check_block(&w);
        close_world(&w);
    }
}

/* ---- head ---- */

enum { WORDS = 1100, ROWS = 530 }; /* more than a chunk of each, and no multiple */

typedef struct source {
    lb_cmat W;
    int64_t reads;
} source;
static lb_status read_rows(const void *ctx, int64_t row, int64_t rows, float *out) {
    const source *s = ctx;
    ((source *)(uintptr_t)s)->reads++;
    memcpy(out, s->W.d + row * s->W.cols, (size_t)(rows * s->W.cols) * sizeof *out);
    return LB_OK;
}

static lb_mat random_mat(uint64_t seed, int64_t rows, int64_t cols, double sd) {
    lb_rng r = lb_rng_make(seed, 5);
    lb_mat m = new_mat(rows, cols);
    for (int64_t i = 0; i < rows * cols; i++) m.d[i] = (float)(sd * lb_rng_normal(&r));
    return m;
}

static void head_rounds_once(void **state) {
    (void)state;
    bf16_needed();
    lb_mat W = random_mat(1, WORDS, DIM, 1), h = random_mat(2, ROWS, DIM, 1), logits = new_mat(ROWS, WORDS), none = {0};
    int32_t *target = llama_tokens(5, ROWS, WORDS), top1[ROWS];
    static double nll[4][ROWS], kl[ROWS];
    uint8_t agree[ROWS];
    lb_arena *arena;
    lb_bf16 *c;
    assert_ok(lb_arena_new(0, &arena));
    assert_ok(lb_bf16_new(&c));
    source s = {.W = lb_mat_c(W)};
    lb_head held = lb_head_at(lb_mat_c(W)),
            streamed = {.W = {NULL, WORDS, DIM, DIM}, .from = {read_rows, &s}, .scale = 1.0f};
    lb_head later = streamed, in_memory = held;
    assert_ok(lb_head_round(&held, c, arena, NULL));
    assert_ok(lb_head_round(&streamed, c, arena, NULL)); /* read once, here */
    assert_int_equal(s.reads, 2);
    later.bf16 = in_memory.bf16 = c;
    assert_ok(lb_head_nll(held, lb_mat_c(h), target, nll[0], top1));
    assert_ok(lb_head_nll(streamed, lb_mat_c(h), target, nll[1], NULL));
    assert_int_equal(s.reads, 2);
    assert_ok(lb_head_nll(later, lb_mat_c(h), target, nll[2], NULL));
    assert_int_equal(s.reads, 2 + 2 * 2); /* each chunk for each 512 rows */
    assert_ok(lb_head_nll(in_memory, lb_mat_c(h), target, nll[3], NULL));
    for (int i = 1; i < 4; i++) assert_memory_equal(nll[0], nll[i], sizeof nll[0]);

    bf16_multiply_ref(lb_mat_c(h), lb_mat_c(W), false, logits, none);
    for (int64_t i = 0; i < ROWS; i++) {
        const float *x = logits.d + i * WORDS;
        double sum = 0;
        for (int v = 0; v < WORDS; v++) sum += exp((double)x[v]);
        assert_true(fabs(nll[0][i] - (log(sum) - (double)x[target[i]])) < 1e-5);
        for (int v = 0; v < WORDS; v++) assert_true(x[v] <= x[top1[i]] + 1e-5f);
    }
    assert_ok(lb_head_kl(held, lb_mat_c(h), later, lb_mat_c(h), target, nll[1], kl, agree));
    assert_memory_equal(nll[0], nll[1], sizeof nll[0]);
    for (int i = 0; i < ROWS; i++) assert_true(kl[i] == 0 && agree[i]);

    float scale[DIM]; /* of states: transformed, then rounded */
    for (int i = 0; i < DIM; i++) scale[i] = 0.5f + (float)(i % 5) / 4;
    held.T = in_memory.T = (lb_transform){.scale = scale, .hadamard = 4};
    assert_ok(lb_head_nll(held, lb_mat_c(h), target, nll[0], NULL));
    assert_ok(lb_head_nll(in_memory, lb_mat_c(h), target, nll[1], NULL));
    lb_transform_input(&held.T, lb_mat_c(h), h);
    held.T = (lb_transform){0};
    assert_ok(lb_head_nll(held, lb_mat_c(h), target, nll[2], NULL));
    for (int i = 1; i < 3; i++) assert_memory_equal(nll[0], nll[i], sizeof nll[0]);
    lb_bf16_free(c);
    lb_arena_free(arena);
    lb_free(target), lb_free(W.d), lb_free(h.d), lb_free(logits.d);
}

/* ---- perplexity ---- */

enum { TOKENS = 16 * 19 + 5 };

static lb_status read_matrix(const void *ctx, int64_t row, int64_t rows, float *out) {
    const lb_cmat *W = ctx;
    memcpy(out, W->d + row * W->cols, (size_t)(rows * W->cols) * sizeof *out);
    return LB_OK;
}

/* The same weights, none of them in memory. */
static lb_weights streamed_weights(lb_arena *a, const lb_model *m) {
    lb_weights w;
    assert_ok(lb_weights_clone(a, m->net, &m->weights, &w));
    for (int32_t i = 0; i < m->net->sites; i++) {
        w.site[i].from = (lb_rows_source){read_matrix, &m->weights.site[lb_net_owner(m->net, i)].W};
        w.site[i].W.d = NULL;
    }
    return w;
}

typedef struct text {
    lb_model *m, *other;
    lb_arena *arena;
    int32_t *tokens;
    lb_corpus corpus;
    lb_eval_request r;
    char path[LB_TEST_PATH]; /* the baseline's states */
} text;

static text open_text(void) {
    bf16_needed();
    text x = {.m = small_model(1), .other = small_model(2), .tokens = llama_tokens(9, TOKENS, VOCAB)};
    assert_ok(lb_arena_new(0, &x.arena));
    x.corpus = (lb_corpus){.path = "t", .name = "t", .token = x.tokens, .tokens = TOKENS, .bos_id = -1};
    x.r = (lb_eval_request){.corpus = &x.corpus, .compute = LB_COMPUTE_BF16};
    assert_ok(lb_protocol_parse("W2-16", &x.r.protocol));
    snprintf(x.path, sizeof x.path, "%s/states", lb_test_tmpdir());
    return x;
}

static void close_text(text *x) {
    lb_model_close(x->m);
    lb_model_close(x->other);
    lb_free(x->tokens);
    lb_arena_free(x->arena);
}

static lb_eval evaluate(text *x, const lb_weights *w, int threads) {
    lb_team *team;
    lb_eval e;
    x->r.corpus = &x->corpus;
    assert_ok(lb_team_new(threads, &team));
    assert_ok(lb_perplexity(x->m->net, w, &x->r, team, x->arena, NULL, &e));
    lb_team_free(team);
    return e;
}

/* Held or block by block, from memory or from a source, at any number of threads. */
static void the_same_however_weights_come(void **state) {
    (void)state;
    text x = open_text();
    lb_weights streamed = streamed_weights(x.arena, x.m);
    lb_eval one = evaluate(&x, &x.m->weights, 1);
    assert_int_equal(one.windows, 19);
    for (int way = 0; way < 4; way++)
        for (int threads = 1; threads <= 3; threads++) {
            x.r.hold = way % 2 == 1;
            lb_eval e = evaluate(&x, way < 2 ? &x.m->weights : &streamed, threads);
            assert_memory_equal(e.window_nll, one.window_nll, 19 * sizeof(double));
            assert_true(e.ppl == one.ppl && e.ppl_se == one.ppl_se);
        }
    x.r.compute = LB_COMPUTE_F32;
    lb_eval exact = evaluate(&x, &x.m->weights, 1);
    double off = fabs(one.mean_nll - exact.mean_nll);
    if (!(off > 1e-6 && off < 0.02)) fail_msg("mean NLL %.8f, in float32 %.8f", one.mean_nll, exact.mean_nll);
    for (int i = 0; i < 19; i++) assert_true(fabs(one.window_nll[i] - exact.window_nll[i]) < 0.1);
    close_text(&x);
}

/* The baseline's head is rounded too: a model does not diverge from itself. */
static void divergence(void **state) {
    (void)state;
    text x = open_text();
    lb_weights streamed = streamed_weights(x.arena, x.m);
    assert_ok(lb_states_create(x.path, "key", 19, 16, DIM, &x.r.save_states));
    lb_eval base = evaluate(&x, &x.m->weights, 2);
    assert_ok(lb_states_commit(x.r.save_states));
    lb_states_close(x.r.save_states);
    x.r.save_states = NULL;
    x.r.base = &x.m->weights;
    assert_ok(lb_states_open(x.path, "key", 19, 16, DIM, &x.r.base_states));
    for (int way = 0; way < 2; way++) {
        x.r.hold = way;
        lb_eval same = evaluate(&x, &streamed, 2), other = evaluate(&x, &x.other->weights, 2);
        assert_memory_equal(same.window_nll, base.window_nll, 19 * sizeof(double));
        assert_true(same.kl_mean == 0 && same.kl_p99 == 0 && same.top1 == 1);
        assert_true(other.kl_mean > 0.01 && other.top1 < 1);
    }
    lb_states_close(x.r.base_states);
    close_text(&x);
}

static lb_status score(void *ctx) {
    text *x = ctx;
    lb_eval e;
    return lb_perplexity(x->m->net, &x->m->weights, &x->r, NULL, x->arena, NULL, &e);
}

static void allocations_may_fail(void **state) {
    (void)state;
    text x = open_text();
    for (int way = 0; way < 2; way++) {
        x.r.hold = way;
        x.r.corpus = &x.corpus;
        assert_true(llama_fail_each_allocation(score, &x) > 10);
    }
    close_text(&x);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block),
        cmocka_unit_test(fake_quantized_inputs),
        cmocka_unit_test(transformed_inputs),
        cmocka_unit_test(head_rounds_once),
        cmocka_unit_test(the_same_however_weights_come),
        cmocka_unit_test(divergence),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

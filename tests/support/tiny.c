#include "support/tiny.h"

#include <string.h>

#include "model/model_file.h"
#include "support/support.h"

const lb_tensor *tiny_find(const lb_safetensors *s, const char *name) {
    const lb_tensor *x = lb_safetensors_find(s, name);
    if (!x) fail_msg("the fixture has no tensor %s", name);
    return x;
}

lb_safetensors *tiny_fixture(const char *name) {
    char path[LB_TEST_PATH];
    lb_safetensors *s;
    lb_test_fixture(name, path);
    assert_ok(lb_safetensors_open(path, &s));
    return s;
}

static float *numbers(tiny *t, int64_t n) {
    float *x = LB_NEW(t->arena, float, n);
    assert_non_null(x);
    return x;
}

static void load(tiny *t, int map, int64_t block) {
    char name[128];
    lb_map_name(lb_family_of(&t->arch)->tensor[map].hf, block, name, sizeof name);
    const lb_tensor *x = tiny_find(t->model, name);
    float *data = numbers(t, lb_tensor_count(x));
    assert_ok(lb_tensor_read_f32(x, 0, lb_tensor_count(x), data));
    lb_slot_set(&t->arch, &t->weights, lb_slot_of(&t->arch, map, block), data);
}

tiny tiny_open(bool tied, int threads) {
    tiny t = {.arch = {.family = "llama",
                       .layers = 2,
                       .dim = 16,
                       .hidden = 24,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = 4,
                       .vocab = 40,
                       .context = 128,
                       .rope_base = 10000,
                       .norm_eps = 1e-5,
                       .rope = LB_ROPE_HALVES,
                       .tied = tied}};
    assert_ok(lb_arena_new(0, &t.arena));
    assert_ok(lb_team_new(threads, &t.team));
    t.model = tiny_fixture("tests/oracle/fixtures/train/model.safetensors");
    t.grads = tiny_fixture("tests/oracle/fixtures/train/grads.safetensors");
    t.weights.blocks = LB_NEW(t.arena, lb_block, t.arch.layers);
    assert_non_null(t.weights.blocks);
    load(&t, LB_MAP_EMBED, 0);
    load(&t, LB_MAP_FINAL_NORM, 0);
    if (!tied) load(&t, LB_MAP_HEAD, 0);
    for (int64_t b = 0; b < t.arch.layers; b++)
        for (int m = LB_MAP_ATTN_NORM; m < LB_MAPS; m++) load(&t, m, b);

    enum { N = TINY_BATCH * TINY_LENGTH };
    float as_float[N];
    assert_ok(lb_tensor_read_f32(tiny_find(t.model, "tokens"), 0, N, as_float));
    t.tokens = LB_NEW(t.arena, int32_t, N);
    assert_non_null(t.tokens);
    for (int i = 0; i < N; i++) t.tokens[i] = (int32_t)as_float[i];
    return t;
}

void tiny_close(tiny *t) {
    lb_safetensors_close(t->model);
    lb_safetensors_close(t->grads);
    lb_team_free(t->team);
    lb_arena_free(t->arena);
}

void tiny_grads(tiny *t, lb_grads *g) {
    const lb_arch *a = &t->arch;
    *g = (lb_grads){.embed = lb_mat_of(numbers(t, a->vocab * a->dim), a->vocab, a->dim)};
    if (!a->tied) g->head = lb_mat_of(numbers(t, a->vocab * a->dim), a->vocab, a->dim);
    g->final_norm = numbers(t, a->dim);
    g->blocks = LB_NEW(t->arena, lb_block_grad, a->layers);
    assert_non_null(g->blocks);
    for (int64_t b = 0; b < a->layers; b++) {
        for (int l = 0; l < LB_LINEARS; l++) {
            int64_t rows, cols;
            lb_linear_shape(a, l, &rows, &cols);
            g->blocks[b].w[l] = lb_mat_of(numbers(t, rows * cols), rows, cols);
        }
        g->blocks[b].attn_norm = numbers(t, a->dim);
        g->blocks[b].mlp_norm = numbers(t, a->dim);
    }
}

float *tiny_gradient(const tiny *t, const lb_grads *g, const char *hf_name) {
    const lb_tensor_map *map = lb_family_of(&t->arch)->tensor;
    for (int m = 0; m < LB_MAPS; m++) {
        int64_t b;
        if (!lb_map_match(map[m].hf, hf_name, &b)) continue;
        if (m == LB_MAP_EMBED) return g->embed.d;
        if (m == LB_MAP_HEAD) return g->head.d;
        if (m == LB_MAP_FINAL_NORM) return g->final_norm;
        if (m == LB_MAP_ATTN_NORM) return g->blocks[b].attn_norm;
        if (m == LB_MAP_MLP_NORM) return g->blocks[b].mlp_norm;
        return g->blocks[b].w[m - LB_MAP_LINEAR].d;
    }
    fail_msg("no gradient is named %s", hf_name);
    return NULL;
}

void tiny_scaled(tiny *t, float times, lb_weights *out) {
    assert_ok(lb_weights_clone(t->arena, &t->arch, &t->weights, out));
    for (int64_t s = 0; s < lb_slot_count(&t->arch); s++) {
        int64_t rows, cols;
        const float *from = lb_slot_get(&t->arch, &t->weights, s, &rows, &cols);
        float *to = numbers(t, rows * cols);
        for (int64_t i = 0; i < rows * cols; i++) to[i] = from[i] * times;
        lb_slot_set(&t->arch, out, s, to);
    }
}

/* (rows, cols) with the rows of each head of d moved between halves (i, i + d/2) and pairs (2i, 2i + 1). */
static void move_rows(float *x, int64_t rows, int64_t cols, int64_t d, bool to_pairs) {
    float old[64 * 64];
    assert_true(rows * cols <= 64 * 64);
    memcpy(old, x, (size_t)(rows * cols) * sizeof *x);
    for (int64_t r = 0; r < rows; r++) {
        int64_t i = r % d, halves = r - i + i / 2 + i % 2 * (d / 2); /* where pairs' row r is in halves */
        int64_t to = to_pairs ? r : halves, from = to_pairs ? halves : r;
        memcpy(x + to * cols, old + from * cols, (size_t)cols * sizeof *x);
    }
}

void tiny_to_pairs(tiny *t) {
    lb_weights copy;
    tiny_scaled(t, 1.0f, &copy);
    t->weights = copy;
    t->arch.rope = LB_ROPE_PAIRS;
    for (int64_t b = 0; b < t->arch.layers; b++)
        for (int l = LB_Q; l <= LB_K; l++) {
            lb_cmat w = t->weights.blocks[b].w[l];
            float *own = numbers(t, w.rows * w.cols);
            memcpy(own, w.d, (size_t)(w.rows * w.cols) * sizeof *own);
            move_rows(own, w.rows, w.cols, t->arch.head_dim, true);
            t->weights.blocks[b].w[l] = lb_cmat_of(own, w.rows, w.cols);
        }
}

void tiny_grads_from_pairs(const tiny *t, lb_grads *g) {
    for (int64_t b = 0; b < t->arch.layers; b++)
        for (int l = LB_Q; l <= LB_K; l++)
            move_rows(g->blocks[b].w[l].d, g->blocks[b].w[l].rows, g->blocks[b].w[l].cols, t->arch.head_dim, false);
}

lb_status tiny_trained(tiny *t, const lb_trainer *tr, const lb_model_out *m, lb_weights *out) {
    LB_TRY(lb_trainer_install(t->arena, &t->arch, &t->weights, tr, m, out));
    for (int64_t i = 0; i < tr->n_params; i++) {
        const lb_compressed *c = &m->layer[i];
        if (!c->rows) continue;
        int map;
        int64_t block;
        lb_slot_split(&t->arch, i, &map, &block);
        lb_mat W = lb_mat_of(LB_NEW(t->arena, float, c->rows * c->cols), c->rows, c->cols);
        if (!W.d) return LB_E_NOMEM;
        LB_TRY(lb_compressed_dequantize(c, W));
        lb_slot_set(&t->arch, out, i, W.d);
        if (map >= LB_MAP_LINEAR) out->blocks[block].act[map - LB_MAP_LINEAR] = c->act;
    }
    return LB_OK;
}

#include "support/tiny.h"

#include <string.h>

#include "model/model_file.h"
#include "model/weights.h"
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

void tiny_hf_name(const tiny *t, int32_t slot, char out[128]) {
    lb_tensor_place p;
    assert_ok(lb_family_tensor_place(lb_family_named("llama"), t->net, slot, &p));
    assert_true(strlen(p.name) < 128);
    memcpy(out, p.name, strlen(p.name) + 1);
}

static void load(tiny *t, int32_t slot) {
    char name[128];
    tiny_hf_name(t, slot, name);
    const lb_tensor *x = tiny_find(t->model, name);
    float *data = numbers(t, lb_tensor_count(x));
    assert_ok(lb_tensor_read_f32(x, 0, lb_tensor_count(x), data));
    lb_slot_set(t->net, &t->weights, slot, data);
}

tiny tiny_open(bool tied, int threads) {
    tiny t = {.arch = {.layers = 2,
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
    assert_ok(lb_arch_net(t.arena, &t.arch, &t.net));
    assert_ok(lb_weights_new(t.arena, t.net, &t.weights));
    for (int32_t i = 0; i < t.net->slots; i++) load(&t, i);

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
    assert_ok(lb_grads_new(t->arena, t->net, g));
    for (int32_t i = 0; i < t->net->slots; i++) {
        const lb_net_slot *slot = &t->net->slot[i];
        int64_t rows, cols;
        lb_slot_shape(t->net, i, &rows, &cols);
        float *d = numbers(t, rows * cols);
        if (slot->site >= 0)
            g->site[slot->site] = lb_mat_of(d, rows, cols);
        else
            g->vector[slot->vector] = d;
    }
}

float *tiny_gradient(const tiny *t, const lb_grads *g, const char *name) {
    for (int32_t i = 0; i < t->net->slots; i++) {
        const lb_net_slot *slot = &t->net->slot[i];
        char one[128];
        tiny_hf_name(t, i, one);
        if (strcmp(one, name) == 0) return slot->site >= 0 ? g->site[slot->site].d : g->vector[slot->vector];
    }
    fail_msg("no gradient is named %s", name);
    return NULL;
}

int32_t tiny_site(const tiny *t, const char *name) {
    int32_t site = lb_net_find(t->net, name);
    if (site < 0) fail_msg("no layer is named %s", name);
    return site;
}

void tiny_scaled(tiny *t, float times, lb_weights *out) {
    assert_ok(lb_weights_clone(t->arena, t->net, &t->weights, out));
    for (int32_t s = 0; s < t->net->slots; s++) {
        int64_t rows, cols;
        const float *from = lb_slot_get(t->net, &t->weights, s);
        lb_slot_shape(t->net, s, &rows, &cols);
        float *to = numbers(t, rows * cols);
        for (int64_t i = 0; i < rows * cols; i++) to[i] = from[i] * times;
        lb_slot_set(t->net, out, s, to);
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

static bool turned(const lb_site *s) { return strcmp(s->role, "q") == 0 || strcmp(s->role, "k") == 0; }

void tiny_to_pairs(tiny *t) {
    lb_weights copy;
    tiny_scaled(t, 1.0f, &copy);
    t->weights = copy;
    t->arch.rope = LB_ROPE_PAIRS;
    assert_ok(lb_arch_net(t->arena, &t->arch, &t->net));
    for (int32_t i = 0; i < t->net->sites; i++) {
        lb_cmat w = t->weights.site[i].W;
        if (!turned(&t->net->site[i])) continue;
        float *own = numbers(t, w.rows * w.cols);
        memcpy(own, w.d, (size_t)(w.rows * w.cols) * sizeof *own);
        move_rows(own, w.rows, w.cols, t->arch.head_dim, true);
        t->weights.site[i].W = lb_cmat_of(own, w.rows, w.cols);
    }
}

void tiny_grads_from_pairs(const tiny *t, lb_grads *g) {
    for (int32_t i = 0; i < t->net->sites; i++)
        if (turned(&t->net->site[i]))
            move_rows(g->site[i].d, g->site[i].rows, g->site[i].cols, t->arch.head_dim, false);
}

lb_status tiny_trained(tiny *t, const lb_trainer *tr, const lb_model_out *m, lb_weights *out) {
    LB_TRY(lb_trainer_install(t->arena, t->net, &t->weights, tr, m, out));
    for (int64_t i = 0; i < tr->n_params; i++) {
        const lb_layer *c = &m->layer[i];
        if (!c->rows) continue;
        lb_mat W = lb_mat_of(LB_NEW(t->arena, float, c->rows * c->cols), c->rows, c->cols);
        if (!W.d) return LB_E_NOMEM;
        LB_TRY(lb_layer_dequantize(c, W));
        lb_slot_set(t->net, out, (int32_t)i, W.d);
        int32_t site = t->net->slot[i].site;
        if (t->net->site[site].block >= 0) out->site[site].act = lb_layer_act(c);
    }
    return LB_OK;
}

/* Models that are made new: first weights as the field has them, in every family, and configs that say what was asked
 * for. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/model.h"
#include "model/new_config.h"
#include "model/weights.h"
#include "support/llama.h"

enum { LAYERS = 3, DIM = 48, HEADS = 4, HIDDEN = 64, VOCAB = 90 };

static lb_arena *arena;

static lb_new_config *config_of(const lb_family *f) {
    static const struct {
        const char *number;
        double value;
    } size[] = {{"layers", LAYERS}, {"dim", DIM},     {"heads", HEADS}, {"kv_heads", 2},
                {"hidden", HIDDEN}, {"vocab", VOCAB}, {"context", 40}};
    lb_new_config *c;
    assert_ok(lb_new_config_begin(f, &c));
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
        assert_ok(lb_new_config_number(c, size[i].number, size[i].value, false, "test"));
    return c;
}

static const char *text_of(lb_new_config *c) {
    const char *text;
    assert_ok(lb_new_config_text(c, arena, &text));
    lb_new_config_free(c);
    return text;
}

static lb_model *model_of(const lb_family *f, const char *text) {
    lb_model *m;
    if (lb_model_new_of(f, text, NULL, 5, &m) != LB_OK) fail_msg("%s: %s", f->name, lb_error());
    return m;
}

static double spread(const float *w, int64_t n) {
    double sq = 0.0;
    for (int64_t i = 0; i < n; i++) sq += (double)w[i] * (double)w[i];
    return sqrt(sq / (double)n);
}

/* What a norm's program adds to its weight. */
static double one(const lb_model *m) {
    const lb_number *n = lb_number_find(m->net->numbers, "one");
    return n ? n->all : 0.0;
}

/* By the layer's name: what goes back into the residual stream of every family without norms behind its parts. */
static bool closes(const char *role) {
    static const char *const roles[] = {"o", "down", "shared_down", NULL};
    for (int i = 0; roles[i]; i++)
        if (strcmp(roles[i], role) == 0) return true;
    return false;
}

static void first_weights(void **state) {
    (void)state;
    static const char *const plain[] = {"llama",    "mixtral", "qwen2_moe", "gemma", "gpt2",
                                        "gpt_neox", "opt",     "phi",       NULL};
    for (int i = 0; plain[i]; i++) {
        const lb_family *f = lb_family_named(plain[i]);
        lb_model *m = model_of(f, text_of(config_of(f)));
        const lb_net *n = m->net;
        for (int32_t v = 0; v < n->vectors; v++)
            for (int64_t k = 0; k < n->vector[v].n; k++)
                assert_true((double)m->weights.vector[v][k] == (n->vector[v].bias ? 0.0 : 1.0 - one(m)));
        for (int32_t s = 0; s < n->sites; s++) {
            double want = 0.02 / (n->site[s].block >= 0 && closes(n->site[s].role) ? sqrt(2.0 * LAYERS) : 1.0);
            int64_t count = n->site[s].rows * n->site[s].cols;
            double have = spread(m->weights.site[s].W.d, count);
            if (!(fabs(have / want - 1.0) < 5.0 / sqrt(2.0 * (double)count)))
                fail_msg("%s: %s has a spread of %g, not %g", f->name, n->site[s].name, have, want);
        }
        lb_model_close(m);
    }
}

/* Every family has a model of these sizes, whose config.json, made from it, is read as the same net. */
static void written_as_made(void **state) {
    (void)state;
    for (int i = 0; lb_family_table[i]; i++) {
        const lb_family *f = lb_family_table[i];
        lb_model *m = model_of(f, text_of(config_of(f))), *again;
        char dir[LB_TEST_PATH + 16];
        snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
        if (lb_model_export(m, &m->weights, LB_F32, dir, NULL) != LB_OK) fail_msg("%s: %s", f->name, lb_error());
        if (lb_model_open(dir, LB_WEIGHTS, NULL, &again) != LB_OK) fail_msg("%s: %s", f->name, lb_error());
        assert_int_equal(m->n_tensors, again->n_tensors);
        for (int32_t s = 0; s < m->net->slots; s++) {
            int64_t rows, cols;
            lb_slot_shape(m->net, s, &rows, &cols);
            assert_string_equal(m->tensor[s].name, again->tensor[s].name);
            assert_memory_equal(lb_slot_get(m->net, &m->weights, s), lb_slot_get(again->net, &again->weights, s),
                                (size_t)(rows * cols) * sizeof(float));
        }
        lb_model_close(m);
        lb_model_close(again);
    }
}

static double number(const lb_model *m, const char *name, int64_t block) {
    double v;
    assert_ok(lb_number_get(m->net->numbers, name, block, &v));
    return v;
}

/* Values of every kind, other spellings, null; what is not said has the family's rule or its class's default. */
static void keys(void **state) {
    (void)state;
    const lb_family *f = lb_family_named("gemma2");
    lb_new_config *c = config_of(f);
    assert_ok(
        lb_new_config_set(c, "layer_types", "[\"sliding_attention\", \"full_attention\", \"sliding_attention\"]"));
    assert_ok(lb_new_config_set(c, "sliding_window", "7"));
    assert_ok(lb_new_config_set(c, "final_logit_softcapping", "null"));
    assert_ok(lb_new_config_set(c, "hidden_activation", "relu"));
    lb_model *m = model_of(f, text_of(c));
    assert_true(number(m, "window", 0) == 7 && number(m, "window", 1) == 0 && number(m, "window", 2) == 7);
    assert_true(number(m, "logit_cap", -1) == 0 && number(m, "cap", -1) == 50);
    assert_true(number(m, "query_scalar", -1) == DIM / HEADS && number(m, "head_dim", -1) == DIM / HEADS);
    lb_model_close(m);
    f = lb_family_named("gpt2");
    c = config_of(f);
    assert_status(LB_E_ARG, lb_new_config_set(c, "num_hidden_layers", "2")); /* n_layer, which is there */
    assert_status(LB_E_ARG, lb_new_config_set(c, "attn_pdrop", "0.1"));      /* changes nothing */
    assert_non_null(strstr(lb_error(), "activation_function"));
    assert_status(LB_E_ARG, lb_new_config_set(c, "rope_theta", "500"));
    assert_status(LB_E_ARG, lb_new_config_number(c, "kv_heads", 2, true, "--kv-heads"));
    assert_ok(lb_new_config_number(c, "kv_heads", 2, false, "--kv-heads"));
    lb_new_config_free(c);
    f = lb_family_named("llama");
    c = config_of(f);
    assert_ok(lb_new_config_number(c, "rope_base", 500, true, "--rope-base"));
    m = model_of(f, text_of(c));
    assert_true(number(m, "rope_base", -1) == 500 && number(m, "eps", -1) == 1e-5 && number(m, "tied", -1) == 1);
    lb_model_close(m);
}

/* config.json of a new model of the family with this key. */
static char *written(const char *family, const char *key, const char *value) {
    const lb_family *f = lb_family_named(family);
    lb_new_config *c = config_of(f);
    char path[LB_TEST_PATH + 32], *text;
    size_t n;
    if (key) assert_ok(lb_new_config_set(c, key, value));
    lb_model *m = model_of(f, text_of(c));
    snprintf(path, sizeof path, "%s/out", lb_test_tmpdir());
    assert_ok(lb_model_export(m, &m->weights, LB_F32, path, NULL));
    lb_model_close(m);
    snprintf(path + strlen(path), sizeof path - strlen(path), "/config.json");
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}

/* Every key of the family: given ones as they were, by their first spelling, the others as the class has them. */
static void configs_say_all(void **state) {
    (void)state;
    static const struct {
        const char *family, *key, *value, *says, *not ;
    } config[] = {
        {"phi3", NULL, NULL, "\"original_max_position_embeddings\": 4096", NULL},
        {"phi3", NULL, NULL, "\"pad_token_id\": null", NULL},
        {"mistral", NULL, NULL, "\"sliding_window\": 4096", NULL},
        {"mistral", "sliding_window", "null", "\"sliding_window\": null", NULL},
        {"mixtral", NULL, NULL, "\"num_local_experts\": 8", "sliding_window"},
        {"mixtral", "num_experts", "5", "\"num_local_experts\": 5", "\"num_experts\""},
        {"gemma2", NULL, NULL, "\"query_pre_attn_scalar\": 12,", "layer_types"},
        {"gemma2", "attn_logit_softcapping", "20.0", "\"attn_logit_softcapping\": 20.0", NULL},
        {"gpt_neox", "rotary_pct", "0.5", "\"rotary_pct\": 0.5", NULL},
        {"gpt_neox", "partial_rotary_factor", "0.5", "\"partial_rotary_factor\": 0.5", NULL},
        {"gpt_neox", "rope_parameters", "{\"rope_type\": \"linear\", \"factor\": 2.0}", "\"factor\": 2.0",
         "rope_scaling"},
        {"qwen2_moe", "mlp_only_layers", "[1]", "\"mlp_only_layers\": [\n    1\n  ]", NULL},
        {"llama", "attention_bias", "true", "\"attention_bias\": true", NULL},
        {"opt", "_remove_final_layer_norm", "true", "\"_remove_final_layer_norm\": true", NULL},
    };
    for (size_t i = 0; i < sizeof config / sizeof config[0]; i++) {
        char *text = written(config[i].family, config[i].key, config[i].value);
        if (!strstr(text, config[i].says)) fail_msg("%s: no %s in %s", config[i].family, config[i].says, text);
        if (config[i].not &&strstr(text, config[i].not )) fail_msg("%s in %s", config[i].not, text);
        lb_free(text);
    }
}

static void sizes_must_fit(void **state) {
    (void)state;
    const char *text;
    lb_new_config *c;
    assert_ok(lb_new_config_begin(lb_family_named("llama"), &c));
    assert_ok(lb_new_config_number(c, "dim", 18, true, "--dim"));
    assert_ok(lb_new_config_number(c, "heads", 4, true, "--heads"));
    assert_status(LB_E_ARG, lb_new_config_text(c, arena, &text));
    assert_non_null(strstr(lb_error(), "head_dim would be 4.5"));
    lb_new_config_free(c);
}

static lb_status make_and_write(void *ctx) {
    const lb_family *f = lb_family_named("gpt_neox");
    const char *dir = ctx, *text;
    lb_new_config *c = NULL;
    lb_model *m = NULL;
    lb_arena *a = NULL;
    lb_status st = lb_arena_new(0, &a);
    if (st == LB_OK) st = lb_new_config_begin(f, &c);
    if (st == LB_OK) st = lb_new_config_number(c, "dim", 8, true, "test");
    if (st == LB_OK) st = lb_new_config_number(c, "heads", 2, true, "test");
    if (st == LB_OK) st = lb_new_config_number(c, "layers", 1, true, "test");
    if (st == LB_OK) st = lb_new_config_number(c, "hidden", 8, true, "test");
    if (st == LB_OK) st = lb_new_config_set(c, "vocab_size", "9");
    if (st == LB_OK) st = lb_new_config_text(c, a, &text);
    if (st == LB_OK) st = lb_model_new_of(f, text, NULL, 1, &m);
    if (st == LB_OK) st = lb_model_export(m, &m->weights, LB_F32, dir, NULL);
    lb_model_close(m);
    lb_new_config_free(c);
    lb_arena_free(a);
    return st;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char dir[LB_TEST_PATH + 16];
    snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
    int64_t n = llama_fail_each_allocation(make_and_write, dir);
    if (n < 20) fail_msg("only %lld allocations", (long long)n);
}

static int open_arena(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : 1;
}
static int close_arena(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_weights),  cmocka_unit_test(written_as_made),
                                       cmocka_unit_test(keys),           cmocka_unit_test(configs_say_all),
                                       cmocka_unit_test(sizes_must_fit), cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}

#include "support/small_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "io/json.h"
#include "math/blas.h"
#include "model/model.h"
#include "model/weights.h"

const char *small_home;

static void write_text(const char *path) {
    static const char *const word[] = {"the", "cat", "sat", "on", "a", "red", "mat", "and", "ran", "home"};
    lb_rng r = lb_rng_make(5, 0);
    lb_str s = {0};
    for (int i = 0; i < 6000; i++) lb_str_add(&s, "%s%s", word[lb_rng_below(&r, 10)], i % 12 == 11 ? ".\n" : " ");
    assert_ok(lb_str_check(&s));
    assert_ok(lb_fs_write_atomic(path, s.s, s.len));
    lb_str_free(&s);
}

/* Weights so large that every block changes the states a good deal, and norms that are not 1. */
static void enlarge(lb_model *m) {
    for (int32_t i = 0; i < m->net->slots; i++) {
        int64_t rows, cols;
        const float *from = lb_slot_get(m->net, &m->weights, i);
        lb_slot_shape(m->net, i, &rows, &cols);
        float *w = lb_arena_get(m->arena, (size_t)rows, (size_t)cols * sizeof *w);
        assert_non_null(w);
        lb_rng r = lb_rng_make(11, (uint64_t)i);
        float size = rows == 1 ? 0.3f : 1.0f / sqrtf((float)cols);
        for (int64_t k = 0; k < rows * cols; k++) w[k] = (rows == 1 ? from[k] : 0.0f) + size * (float)lb_rng_normal(&r);
        lb_slot_set(m->net, &m->weights, i, w);
    }
}

static void write_model(const char *text, int64_t layers, bool tied, lb_dtype type, const char *name) {
    lb_arch a = {.layers = layers,
                 .dim = 16,
                 .hidden = 24,
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 4,
                 .vocab = 280,
                 .context = 64,
                 .rope_base = 10000,
                 .norm_eps = 1e-5,
                 .tied = tied};
    char path[LB_TEST_PATH], *bytes = NULL;
    size_t n = 0;
    lb_tokenizer *tok = NULL;
    lb_model *m = NULL;
    assert_ok(lb_fs_read(text, &bytes, &n));
    assert_ok(lb_tokenizer_train(bytes, n, a.vocab, &tok));
    lb_free(bytes);
    a.vocab = lb_tokenizer_vocab(tok);
    assert_ok(lb_model_new(&a, tok, 3, &m));
    enlarge(m);
    snprintf(path, sizeof path, "%s/%s", small_home, name);
    assert_ok(lb_model_export(m, &m->weights, type, path, NULL));
    lb_model_close(m);
}

int small_model_setup(void **state) {
    (void)state;
    char text[LB_TEST_PATH];
    if (lb_blas_init(1) != LB_OK) return -1;
    small_home = lb_test_tmpdir();
    snprintf(text, sizeof text, "%s/text.txt", small_home);
    write_text(text);
    write_model(text, 3, true, LB_F32, "tied");
    write_model(text, 3, false, LB_BF16, "untied"); /* which is not in memory where weights are streamed */
    return 0;
}

int small_model_setup_sharing(void **state) {
    char path[LB_TEST_PATH], text[LB_TEST_PATH];
    json_t *c = NULL;
    if (small_model_setup(state)) return -1;
    snprintf(text, sizeof text, "%s/text.txt", small_home);
    write_model(text, 2, false, LB_BF16, "sharing");
    snprintf(path, sizeof path, "%s/sharing/config.json", small_home);
    assert_ok(lb_json_read(path, &c));
    json_object_set_new(c, "architectures", json_pack("[s]", "MobileLLMForCausalLM"));
    json_object_set_new(c, "model_type", json_string("mobilellm"));
    json_object_set_new(c, "layer_sharing", json_true());
    json_object_set_new(c, "share_embedding", json_false());
    assert_int_equal(json_dump_file(c, path, 0), 0);
    json_decref(c);
    return 0;
}

lb_status small_plan_try(small_plan *s, const char *model, const char *name, const char *yaml) {
    lb_yaml *root = NULL;
    *s = (small_plan){0};
    assert_ok(lb_arena_new(0, &s->arena));
    char *path = lb_arena_printf(s->arena, "%s/c.yaml", small_home);
    const char *slash = strchr(name, '/');
    char *text = lb_arena_printf(s->arena, "model: %s\nresults: %s/%.*s\nname: %s\n%s", model, small_home,
                                 slash ? (int)(slash - name) : 0, name, slash ? slash + 1 : name, yaml);
    assert_true(path && text);
    assert_ok(lb_yaml_parse(s->arena, path, text, strlen(text), &root));
    assert_ok(lb_config_from_tree(s->arena, path, root, &s->config));
    assert_ok(lb_team_new((int)s->config.threads, &s->team));
    lb_model_parts parts = s->config.weights == LB_WEIGHTS_STREAM ? LB_STREAM : LB_WEIGHTS;
    return lb_plan_open(s->arena, &s->config, &(lb_plan_request){.parts = parts, .plugin_hash = ""}, s->team, NULL,
                        &s->plan);
}

void small_plan_open(small_plan *s, const char *model, const char *name, const char *yaml) {
    assert_ok(small_plan_try(s, model, name, yaml));
}

void small_plan_close(small_plan *s) {
    lb_plan_close(&s->plan);
    lb_team_free(s->team);
    lb_arena_free(s->arena);
}

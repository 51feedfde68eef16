/* A Gemma 3 that sees images (tests/oracle/make_gemma3_whole.py): its text part is read out of it, and written by
 * itself.
 */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/exec.h"
#include "model/forward.h"
#include "model/model.h"
#include "support/folder.h"

enum { T = 29, VOCAB = 61 };

/* The last rows of our logits, against transformers'. */
static void check_logits(const char *dir) {
    char path[LB_TEST_PATH];
    lb_safetensors *expected;
    lb_model *m;
    lb_exec *e;
    int32_t token[T];
    float spread;
    for (int32_t t = 0; t < T; t++) token[t] = (7 * t * t + 3 * t + 11) % VOCAB;
    for (int32_t t = 0; t < T; t++) token[t] = token[t] >= 5 && token[t] <= 7 ? 8 : token[t];
    lb_test_fixture("tests/oracle/fixtures/gemma3-whole/expected.safetensors", path);
    assert_ok(lb_safetensors_open(path, &expected));
    assert_ok(lb_tensor_read_f32(lb_safetensors_find(expected, "spread"), 0, 1, &spread));
    const lb_tensor *want = lb_safetensors_find(expected, "logits");
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
    int64_t rows = want->shape[0], dim = m->net->dim;
    lb_mat x = lb_mat_of(LB_NEW(m->arena, float, T *dim), T, dim),
           h = lb_mat_of(LB_NEW(m->arena, float, T *dim), T, dim);
    lb_mat y = lb_mat_of(LB_NEW(m->arena, float, rows *VOCAB), rows, VOCAB);
    float *w = LB_NEW(m->arena, float, rows *VOCAB);
    lb_head head = lb_head_of(m->net, &m->weights);
    assert_ok(lb_exec_new(m->arena, m->net, T, NULL, &e));
    assert_ok(lb_exec_embed(e, &m->weights, token, T, x));
    for (int64_t b = 0; b < m->net->blocks; b++) assert_ok(lb_exec_block(e, &m->weights, b, x, NULL));
    assert_ok(lb_exec_final(e, &m->weights, x, h));
    lb_head_logits(&head, lb_mat_c(lb_mat_part(h, T - rows, 0, rows, dim)), y);
    assert_ok(lb_tensor_read_f32(want, 0, rows * VOCAB, w));
    for (int64_t i = 0; i < rows * VOCAB; i++) assert_true(fabs((double)y.d[i] - (double)w[i]) < 2e-5 * (double)spread);
    lb_model_close(m);
    lb_safetensors_close(expected);
}

static void its_text_part_is_read(void **state) {
    (void)state;
    lb_model *m;
    folder f = folder_take("gemma3-whole");
    folder_write(&f);
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
    assert_string_equal(m->family->name, "gemma3");
    assert_int_equal(m->left_out, 34);
    lb_model_close(m);
    check_logits(f.dir);
    /* Names as transformers 5 has them in memory. */
    for (int64_t i = 0; i < f.n; i++) {
        static const char before[] = "language_model.model.";
        bool text = strncmp(f.t[i].name, before, strlen(before)) == 0;
        f.t[i].name = lb_arena_printf(f.arena, "%s%s", text ? "model.language_model." : "model.",
                                      f.t[i].name + (text ? strlen(before) : 0));
    }
    folder_write(&f);
    check_logits(f.dir);
    folder_drop(&f);
}

/* By itself, as a Gemma3ForCausalLM, and nothing of the rest. */
static void its_text_part_is_written(void **state) {
    (void)state;
    lb_model *m;
    char to[LB_TEST_PATH], config[LB_TEST_PATH + 32], *text;
    folder f = folder_take("gemma3-whole");
    folder_write(&f);
    snprintf(to, sizeof to, "%s/text", lb_test_tmpdir());
    assert_ok(lb_model_open(f.dir, LB_STREAM, NULL, &m));
    assert_ok(lb_model_export(m, &m->weights, LB_F32, to, NULL));
    lb_model_close(m);
    check_logits(to);
    snprintf(config, sizeof config, "%s/config.json", to);
    assert_ok(lb_fs_read(config, &text, NULL));
    assert_non_null(strstr(text, "\"Gemma3ForCausalLM\""));
    assert_non_null(strstr(text, "\"model_type\": \"gemma3_text\""));
    assert_non_null(strstr(text, "\"transformers_version\""));
    assert_null(strstr(text, "vision_config"));
    lb_free(text);
    assert_ok(lb_model_open(to, LB_HEADER, NULL, &m));
    assert_int_equal(m->left_out, 0);
    lb_model_close(m);
    folder_drop(&f);
}

static void defects_are_named(void **state) {
    (void)state;
    static const folder_edit change[] = {
        {"\"query_pre_attn_scalar\": 20", "\"query_pre_attn_scalar\": 0", LB_E_FORMAT, "scale = inf"},
        {"\"attn_logit_softcapping\": null", "\"attn_logit_softcapping\": 2.0", LB_E_UNSUPPORTED,
         "config.json: text_config: attn_logit_softcapping = 2"},
        {"\"attn_logit_softcapping\": null", "\"unheard\": 2.0", LB_E_UNSUPPORTED, "text_config: key unheard = 2"},
        {"\"mm_tokens_per_image\": 4", "\"unheard\": 2.0", LB_E_UNSUPPORTED, "config.json: key unheard = 2"},
        {"\"gemma3_text\"", "\"llama\"", LB_E_UNSUPPORTED, "text_config.model_type = llama: only gemma3_text"},
        {"\"text_config\": {", "\"text_config\": 3, \"vision\": {", LB_E_UNSUPPORTED, "key vision = {...}"},
        {"\"mm_tokens_per_image\": 4", "\"quantization_config\": {\"bits\": 4}", LB_E_UNSUPPORTED,
         "quantization_config"},
        {"\"tie_word_embeddings\": true,\n    \"use_bid", "\"tie_word_embeddings\": false,\n    \"use_bid", LB_E_FORMAT,
         "tie_word_embeddings and text_config.tie_word_embeddings differ"},
        {"  \"tie_word_embeddings\": true,\n  \"", "  \"", LB_OK, NULL}, /* missing is true */
    };
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) expect_edit("gemma3-whole", &change[i]);
    folder f = folder_take("gemma3-whole"); /* a tensor of a part that nobody knows */
    folder_tensor(&f, "vision_tower.head.probe")->name = "audio_tower.head.probe";
    folder_write(&f);
    expect_no_model(f.dir, LB_E_UNSUPPORTED, "audio_tower.head.probe: the gemma3 family has no such tensor");
    folder_drop(&f);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(its_text_part_is_read),
                                       cmocka_unit_test(its_text_part_is_written), cmocka_unit_test(defects_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

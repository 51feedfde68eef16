/* Opening: what a model file must hold, and how each defect is named. */
#include "support/status_name.h"
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/model_file.h"
#include "model/steps/reference.h"
#include "model/weights.h"
#include "support/folder.h"
#include "support/io_probe.h"
#include "support/llama.h"

/* ---- tests ---- */

#define LLAMA3(factor, low, high, original)                                                                            \
    "\"rope_type\": \"llama3\", \"factor\": " factor ", \"low_freq_factor\": " low ", \"high_freq_factor\": " high     \
    ", \"original_max_position_embeddings\": " original

static void config_defects_are_named(void **state) {
    (void)state;
    static const folder_edit change[] = {
        {"\"LlamaForCausalLM\"", "\"BertModel\"", LB_E_UNSUPPORTED, "architecture BertModel"},
        {"\"model_type\": \"llama\"", "\"model_type\": \"qwen3\"", LB_E_UNSUPPORTED, "model_type qwen3"},
        {"\"model_type\": \"llama\"", "\"model_type\": [\"llama\"]", LB_E_FORMAT, "model_type: must be a string"},
        {"\"architectures\": [", "\"architectures\": \"LlamaForCausalLM\", \"_\": [", LB_E_FORMAT,
         "architectures: must be a list of names"},
        {"\"architectures\": [", "\"architectures\": [3, ", LB_E_FORMAT, "architectures: must be a list of names"},
        {"\"attention_bias\": false", "\"attention_bias\": true", LB_E_FORMAT, "self_attn.q_proj.bias is missing"},
        {"\"mlp_bias\": false", "\"mlp_bias\": true", LB_E_FORMAT, "mlp.gate_proj.bias is missing"},
        {"\"mlp_bias\": false", "\"mlp_bias\": \"no\"", LB_E_FORMAT, "mlp_bias: must be true or false"},
        {"\"silu\"", "\"quick_gelu\"", LB_E_UNSUPPORTED, "hidden_act = quick_gelu"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"proportional\"", LB_E_UNSUPPORTED,
         "rope_parameters: type 'proportional' is not supported: only 'default', 'linear', 'dynamic', 'llama3', 'yarn' "
         "and 'longrope' are"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", LB_E_FORMAT, "no key 'factor'"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 0", LB_E_FORMAT,
         "rope_parameters.factor = 0: must be positive"},
        {"10000.0", "{}", LB_E_FORMAT, "key 'rope_theta' = {...}: expected a finite number"},
        {"10000.0", "null", LB_E_FORMAT,
         "config.json: rope_parameters.rope_theta = null: expected a number, or no such key"},
        {"\"rope_parameters\": {\n  \"rope_type\": \"default\",\n  \"rope_theta\": 10000.0\n }", "\"rope_theta\": null",
         LB_E_FORMAT, "config.json: rope_theta = null: expected a number, or no such key"},
        {"\"rope_parameters\": {\n  \"rope_type\": \"default\",\n  \"rope_theta\": 10000.0\n }",
         "\"rope_theta\": null, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2}", LB_E_FORMAT,
         "config.json: rope_theta = null: expected a number, or no such key"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 2, \"attention_factor\": 0", LB_E_FORMAT,
         "rope_parameters.attention_factor = 0: must be positive"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 2, \"beta_slow\": -1", LB_E_FORMAT,
         "beta_fast and beta_slow = 32, -1: must be positive"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\", \"factor\": 2, \"truncate\": 1", LB_E_FORMAT,
         "rope_parameters.truncate: must be true or false"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"dynamic\", \"factor\": 0", LB_E_FORMAT,
         "dynamic rope factor = 0: must be positive"},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1, 2, 3, 4]", LB_E_FORMAT,
         "rope_short: must have a factor for each of 4 pairs"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"llama3\", \"factor\": 8", LB_E_FORMAT, "low_freq_factor"},
        {"\"rope_type\": \"default\"", LLAMA3("8", "4", "1", "32"), LB_E_FORMAT, "frequency factors = 4, 1: must be"},
        {"\"rope_type\": \"default\"", LLAMA3("8", "1", "4", "0"), LB_E_FORMAT, "original context = 0"},
        {"\"rope_type\": \"default\"", LLAMA3("-8", "1", "4", "32"), LB_E_FORMAT, "llama3 rope factor = -8"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"linear\"", LB_E_FORMAT, "factor"},
        {"\"head_dim\"", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}, \"head_dim\"", LB_E_FORMAT,
         "rope_scaling (type 'linear') and rope_parameters (type 'default') differ"},
        {"\"head_dim\"", "\"rope_theta\": 500000, \"head_dim\"", LB_E_FORMAT,
         "config.json: rope_theta = 500000 and rope_parameters.rope_theta = 10000: they say the same thing"},
        {"\"head_dim\"", "\"rope_scaling\": {\"type\": \"default\", \"rope_theta\": 7.5}, \"head_dim\"", LB_E_FORMAT,
         "rope_scaling.rope_theta = 7.5 and rope_parameters.rope_theta = 10000"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"default\", \"type\": \"linear\"", LB_E_FORMAT,
         "rope_parameters.rope_type = 'default' and rope_parameters.type = 'linear'"},
        {"\"rope_type\": \"default\"", LLAMA3("8", "1", "4", "32") ", \"factor\": 32", LB_E_FORMAT,
         "key 'factor' is given twice: 8 and 32"},
        {"\"head_dim\"", "\"hidden_size\": 64, \"head_dim\"", LB_E_FORMAT,
         "key 'hidden_size' is given twice: 32 and 64"},
        {"\"head_dim\": 8", "\"head_dim\": 100000000000000000000", LB_E_FORMAT,
         "key 'head_dim' = 100000000000000000000: expected an integer that fits in 64 bits"},
        {"10000.0", "1e999", LB_E_FORMAT, "key 'rope_theta' = 1e999: expected a finite number"},
        {"10000.0", "NaN", LB_E_FORMAT, "key 'rope_theta' = NaN: expected a finite number"},
        {"\"head_dim\"", "\"rope_scale\": Infinity, \"head_dim\"", LB_E_UNSUPPORTED, "key rope_scale = Infinity"},
        {"\"head_dim\"", "\"rope_scaling\": 3, \"head_dim\"", LB_E_FORMAT, "rope_scaling: must be an object"},
        {"\"head_dim\"", "\"partial_rotary_factor\": 0.5, \"head_dim\"", LB_E_UNSUPPORTED, "partial_rotary_factor"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5", LB_E_UNSUPPORTED,
         "partial_rotary_factor = 0.5: only 1"},
        {"\"rope_type\": \"default\"", "\"factor\": 8.0", LB_E_UNSUPPORTED, "key rope_parameters.factor = 8"},
        {"\"rope_type\": \"default\"", "\"full_attention\": {\"rope_theta\": 5.0}", LB_E_UNSUPPORTED,
         "key rope_parameters.full_attention = {...}"},
        {"\"head_dim\"", "\"sliding_window\": 16, \"head_dim\"", LB_E_UNSUPPORTED, "key sliding_window = 16"},
        {"\"head_dim\"", "\"logits_scaling\": 0.5, \"head_dim\"", LB_E_UNSUPPORTED, "key logits_scaling = 0.5"},
        {"\"head_dim\"", "\"layer_types\": [\"chunked\"], \"head_dim\"", LB_E_UNSUPPORTED, "key layer_types = [...]"},
        {"\"head_dim\"", "\"use_qk_norm\": true, \"head_dim\"", LB_E_UNSUPPORTED, "key use_qk_norm = true"},
        {"\"head_dim\"", "\"norm_kind\": \"layer\", \"head_dim\"", LB_E_UNSUPPORTED, "key norm_kind = 'layer'"},
        {"\"head_dim\"", "\"quantization_config\": {}, \"head_dim\"", LB_E_UNSUPPORTED, "quantization_config"},
        {"\"head_dim\"", "\"is_causal\": false, \"head_dim\"", LB_E_UNSUPPORTED,
         "is_causal = false: only causal models are supported"},
        {"\"hidden_size\": 32", "\"hidden_size\": \"32\"", LB_E_FORMAT, "hidden_size"},
        {"\"hidden_size\": 32,", "", LB_E_FORMAT, "hidden_size"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", LB_E_FORMAT, "layers = 0"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", LB_E_FORMAT,
         "tensor model.layers.2.input_layernorm.weight is missing"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", LB_E_FORMAT, "the config says num_hidden_layers = 1"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", LB_E_FORMAT, "must be a multiple"},
        {"\"head_dim\": 8", "\"head_dim\": 7", LB_E_FORMAT, "head_dim = 7"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 1000000", LB_E_FORMAT, "heads = 1000000"},
        {"\"intermediate_size\": 48", "\"intermediate_size\": 47", LB_E_FORMAT,
         "tensor model.layers.0.mlp.down_proj.weight is (32, 48), the config says (32, 47)"},
        {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": -1", LB_E_FORMAT, "rms_norm_eps = -1"},
        {"10000.0", "0", LB_E_FORMAT, "rope base"},
        {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true", LB_E_FORMAT,
         "tensor lm_head.weight differs from the embedding"},
        {"{", "[", LB_E_FORMAT, "config.json"},
    };
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) expect_edit("llama-tiny", &change[i]);
}

static void open_ok(const char *dir, lb_arch *out) {
    lb_model *m;
    assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &m));
    *out = llama_arch(m);
    lb_model_close(m);
}

/* Other spellings of the same model, and transformers' defaults. */
static void config_variants_are_understood(void **state) {
    (void)state;
    lb_arch a;
    folder f = folder_take("llama-tiny");
    folder_replace(&f, "\"rope_parameters\": {\n  \"rope_type\": \"default\",\n  \"rope_theta\": 10000.0\n }",
                   "\"rope_theta\": 7777, \"rope_scaling\": null");
    folder_replace(&f, "\"rms_norm_eps\": 1e-05,", "");
    folder_replace(&f, "\"max_position_embeddings\": 64,", "");
    folder_replace(&f, "\"head_dim\": 8,", "\"head_dim\": null,");
    folder_replace(&f, "\"model_type\": \"llama\",", "");
    /* Keys without effect on the result, as published folders have them. */
    folder_replace(
        &f, "\"mlp_bias\"",
        "\"_name_or_path\": \"x\", \"attention_dropout\": 0.1, \"initializer_range\": 0.04, \"is_llama_config\": true, "
        "\"pad_token_id\": 2, \"pretraining_tp\": 1, \"rope_interleaved\": false, \"sliding_window\": null, "
        "\"layer_types\": [], \"transformers.js_config\": {\"dtype\": \"q4\"}, \"transformers_version\": \"4.42.3\", "
        "\"transformers_version\": \"4.43\", \"hidden_size\": 32, \"rope_theta\": 7777.0, \"max_length\": "
        "1000000000000000019884624838656, \"initializer_range\": NaN, \"_note\": \"\\ud800 \\u0000\", "
        "\"unsloth_version\": \"2024.9\", \"use_cache\": true, \"mlp_bias\"");
    folder_write(&f);
    open_ok(f.dir, &a);
    assert_true(a.rope_base == 7777 && a.norm_eps == 1e-6 && a.context == 2048 && a.head_dim == 8 && !a.tied);
    folder_drop(&f);
    f = folder_take("llama-tiny"); /* a base that is told elsewhere */
    folder_replace(&f, "\"head_dim\"", "\"rope_theta\": null, \"head_dim\"");
    folder_write(&f);
    open_ok(f.dir, &a);
    assert_true(a.rope_base == 10000);
    folder_drop(&f);
    f = folder_take("llama-tiny"); /* without kv heads: as many as heads, so k and v no longer fit */
    folder_replace(&f, "\"num_key_value_heads\": 2,", "");
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "self_attn.k_proj.weight is (16, 32), the config says (32, 32)");
    folder_drop(&f);
}

/* A table that grows with the sequence is for sequences beyond the context. */
static void a_growing_table_sets_no_limit(void **state) {
    (void)state;
    static const char *const kind[] = {"linear", "dynamic"};
    for (int i = 0; i < 2; i++) {
        char to[64];
        lb_model *m;
        folder f = folder_take("llama-tiny");
        snprintf(to, sizeof to, "\"rope_type\": \"%s\", \"factor\": 2.0", kind[i]);
        folder_replace(&f, "\"rope_type\": \"default\"", to);
        folder_write(&f);
        assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &m));
        assert_int_equal(m->net->context, i == 0 ? 64 : 0);
        assert_true(m->net->rope[0].context == 64.0);
        lb_model_close(m);
        folder_drop(&f);
    }
}

static void tensor_defects_are_named(void **state) {
    (void)state;
    folder f = folder_take("llama-tiny");
    folder_tensor(&f, "model.layers.1.mlp.up_proj.weight")->name = "model.layers.1.mlp.up_prof.weight";
    folder_write(&f);
    expect_no_model(f.dir, LB_E_UNSUPPORTED, "model.layers.1.mlp.up_prof.weight: the llama family has no such tensor");
    folder_drop(&f);

    f = folder_take("llama-tiny");
    lb_tensor_out *q = folder_tensor(&f, "model.layers.1.self_attn.q_proj.weight");
    q->shape[0] = 64;
    q->shape[1] = 16;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "model.layers.1.self_attn.q_proj.weight is (64, 16), the config says (32, 32)");
    folder_drop(&f);

    f = folder_take("llama-tiny");
    lb_tensor_out *norm = folder_tensor(&f, "model.norm.weight");
    norm->ndim = 2;
    norm->shape[0] = 1;
    norm->shape[1] = 32;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "model.norm.weight is (1, 32), the config says (32,)");
    folder_drop(&f);

    f = folder_take("llama-tiny");
    *folder_tensor(&f, "lm_head.weight") = f.t[f.n - 1];
    f.n--;
    folder_write(&f);
    expect_no_model(f.dir, LB_E_FORMAT, "tensor lm_head.weight is missing");
    folder_drop(&f);

    static const float bad[] = {NAN, INFINITY};
    for (size_t i = 0; i < 2; i++) {
        f = folder_take("llama-tiny");
        ((float *)(uintptr_t)folder_tensor(&f, "model.layers.0.mlp.down_proj.weight")->data)[3 * 48 + 7] = bad[i];
        folder_write(&f);
        expect_no_model(f.dir, LB_E_NUMERIC, "model.layers.0.mlp.down_proj.weight: NaN or infinite at row 3, column 7");
        folder_drop(&f);
    }
}

/* Angle tables of old exporters, and a head that repeats a tied embedding, carry nothing. */
static void harmless_tensors_are_left(void **state) {
    (void)state;
    lb_arch a;
    folder f = folder_take("llama-tied");
    static const float freq[3] = {1, 0.5f, 0.25f};
    f.t[f.n++] = (lb_tensor_out){"model.layers.0.self_attn.rotary_emb.inv_freq", 1, {3}, freq, NULL, NULL};
    f.t[f.n] = *folder_tensor(&f, "model.embed_tokens.weight");
    f.t[f.n++].name = "lm_head.weight";
    folder_write(&f);
    open_ok(f.dir, &a);
    assert_true(a.tied);
    folder_drop(&f);
}

static void folders_and_paths(void **state) {
    (void)state;
    char path[LB_TEST_PATH], file[LB_TEST_PATH];
    folder f = folder_take("llama-tiny");
    expect_no_model(f.dir, LB_E_IO, "config.json");
    folder_write(&f);
    join_path(path, f.dir, "model.safetensors");
    expect_no_model(path, LB_E_ARG, "give the folder");
    lb_model *a, *b;
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &a));
    join_path(file, f.dir, "/");
    assert_ok(lb_model_open(file, LB_WEIGHTS, NULL, &b));
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->name, lb_fs_basename(f.dir));
    assert_string_equal(a->hash, b->hash);
    assert_int_equal(strlen(a->hash), 64);
    assert_null(llama_site(a, "embed")->W.d);
    assert_null(llama_site(a, "1.down")->W.d);
    assert_int_equal(llama_site(a, "1.down")->W.cols, 48);
    assert_non_null(llama_site(b, "1.down")->W.d);
    lb_model_close(b);
    ((float *)(uintptr_t)f.t[0].data)[0] += 1; /* other numbers, another hash */
    lb_model_close(a);
    char before[65];
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &a));
    strcpy(before, a->hash);
    lb_model_close(a);
    folder_write(&f);
    assert_ok(lb_model_open(f.dir, LB_HEADER, NULL, &a));
    assert_string_not_equal(before, a->hash);
    lb_model_close(a);
    assert_int_equal(unlink(path), 0);
    expect_no_model(f.dir, LB_E_IO, f.dir);
    expect_no_model("/nowhere/model.gguf", LB_E_IO, "/nowhere/model.gguf");
    folder_drop(&f);
}

/* ---- GGUF ---- */

typedef struct gguf {
    uint8_t *bytes;
    size_t size;
    memfile file;
} gguf;

static gguf take_gguf_of(const char *model) {
    gguf g;
    char name[128], path[LB_TEST_PATH];
    snprintf(name, sizeof name, "tests/oracle/fixtures/%s.gguf", model);
    lb_test_fixture(name, path);
    g.bytes = slurp(path, &g.size);
    g.file = memfile_make(g.bytes, g.size);
    return g;
}

static gguf take_gguf(void) { return take_gguf_of("llama-tiny"); }

/* Puts `to` over the first `from`, which must be as long. */
static void patch(const gguf *g, const char *from, const char *to) {
    assert_int_equal(strlen(from), strlen(to));
    uint8_t *at = memmem(g->bytes, g->size, from, strlen(from));
    assert_non_null(at);
    for (size_t i = 0; to[i]; i++) memfile_set(&g->file, (size_t)(at - g->bytes) + i, (uint8_t)to[i]);
}

/* The number of `n` bytes that follows a key's text and its 4-byte type. */
static void patch_value(const gguf *g, const char *key, const void *value, size_t n) {
    uint8_t *at = memmem(g->bytes, g->size, key, strlen(key));
    assert_non_null(at);
    for (size_t i = 0; i < n; i++)
        memfile_set(&g->file, (size_t)(at - g->bytes) + strlen(key) + 4 + i, ((const uint8_t *)value)[i]);
}

static void drop_gguf(gguf *g) {
    memfile_close(&g->file);
    free(g->bytes);
}

static void gguf_defects_are_named(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        lb_status status;
        const char *message;
    } change[] = {
        {"general.architecture\x08", "general.architecturf\x08", LB_E_FORMAT, "general.architecture"},
        {"llama.rope.freq_base", "llama.rope.freq_bass", LB_E_UNSUPPORTED, "llama.rope.freq_bass"},
        {"llama.block_count", "llama.block_cnunt", LB_E_UNSUPPORTED, "llama.block_cnunt"},
        {"blk.1.ffn_up.weight", "blk.7.ffn_up.weight", LB_E_FORMAT,
         "blk.7.ffn_up.weight: the header says llama.block_count = 2"},
        {"blk.1.ffn_up.weight", "blk.1.ffn_uq.weight", LB_E_UNSUPPORTED, "blk.1.ffn_uq.weight"},
        {"blk.1.ffn_up.weight", "blk.0.ffn_up.weight", LB_E_FORMAT, "blk.0.ffn_up.weight"},
        {"blk.1.attn_q.weight", "blk.1.attn_q.biasss", LB_E_UNSUPPORTED, "blk.1.attn_q.biasss"},
        {"output_norm.weight", "rope_freqs1.weight", LB_E_UNSUPPORTED, "rope_freqs1.weight"},
        {"token_embd.weight", "token_embe.weight", LB_E_FORMAT, "token_embd.weight is missing"},
    };
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        gguf g = take_gguf();
        patch(&g, change[i].from, change[i].to);
        expect_no_model(g.file.path, change[i].status, change[i].message);
        drop_gguf(&g);
    }
    static const struct {
        const char *key;
        uint32_t value;
        lb_status status;
        const char *message;
    } number[] = {
        {"llama.rope.dimension_count", 4, LB_E_UNSUPPORTED, "llama.rope.dimension_count = 4: only 8"},
        {"llama.block_count", 3, LB_E_FORMAT, "blk.2.attn_norm.weight is missing"},
        {"llama.embedding_length", 30, LB_E_FORMAT, "embedding_length = 30"},
        {"llama.embedding_length", 64, LB_E_UNSUPPORTED, "rope.dimension_count = 8: only 16"},
        {"llama.attention.head_count", 0, LB_E_FORMAT, "llama.attention.head_count = 0"},
        {"llama.vocab_size", 97, LB_E_FORMAT, "the header says (97, 32)"},
        {"llama.context_length", 0, LB_E_FORMAT, "llama.context_length = 0"},
    };
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        gguf g = take_gguf();
        patch_value(&g, number[i].key, &number[i].value, 4);
        expect_no_model(g.file.path, number[i].status, number[i].message);
        drop_gguf(&g);
    }
    gguf g = take_gguf(); /* an infinity: the last tensor's last half becomes 0x7c00 */
    memfile_set(&g.file, g.size - 2, 0x00);
    memfile_set(&g.file, g.size - 1, 0x7c);
    expect_no_model(g.file.path, LB_E_NUMERIC, "NaN or infinite");
    drop_gguf(&g);
    /* Of a model cut into files, any part: no tensors, one key, split.count = 3 (a u16). */
    static const char part[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                               "\13\0\0\0\0\0\0\0split.count\2\0\0\0\3";
    memfile f = memfile_make(part, sizeof part); /* the literal's own 0 is the number's high byte */
    expect_no_model(f.path, LB_E_UNSUPPORTED, "one of 3 parts of a model (split.count)");
    memfile_close(&f);
}

static void gguf_positions(void **state) {
    (void)state;
    static const uint32_t context = 64, zero = 0;
    gguf g = take_gguf_of("llama-long");
    patch_value(&g, "llama.rope.scaling.original_context_length", &context, 4);
    lb_model *m; /* no longer Llama 3.1's rule: factors, one a pair */
    assert_ok(lb_model_open(g.file.path, LB_WEIGHTS, NULL, &m));
    assert_true(m->net->rope[0].kind == LB_REF_ROPE_LONGROPE && m->net->rope[0].magnitude == 1.0);
    assert_ptr_equal(m->net->rope[0].short_factor, m->net->rope[0].long_factor);
    assert_true(m->net->rope[0].long_factor[m->net->rope[0].dims / 2 - 1] == 8.0);
    lb_model_close(m);
    drop_gguf(&g);
    g = take_gguf_of("llama-linear");
    patch(&g, "linear", "dynami");
    expect_no_model(g.file.path, LB_E_UNSUPPORTED, "rope.scaling.type = 'dynami': only 'none', 'linear'");
    drop_gguf(&g);
    g = take_gguf_of("llama-linear");
    patch_value(&g, "llama.rope.scaling.factor", &zero, 4);
    expect_no_model(g.file.path, LB_E_FORMAT, "linear rope factor = 0: must be positive");
    drop_gguf(&g);
    /* Factors of 1 are plain positions. */
    static const float eight[2] = {8, 8}, one[2] = {1, 1};
    g = take_gguf_of("llama-long");
    uint8_t *at = memmem(g.bytes, g.size, eight, sizeof eight), ones[sizeof one];
    assert_non_null(at);
    memcpy(ones, one, sizeof ones);
    for (size_t i = 0; i < sizeof ones; i++) memfile_set(&g.file, (size_t)(at - g.bytes) + i, ones[i]);
    for (size_t i = 0; i < 4; i++) memfile_set(&g.file, (size_t)(at - g.bytes) - 4 + i, ones[i]);
    assert_ok(lb_model_open(g.file.path, LB_WEIGHTS, NULL, &m));
    assert_int_equal(llama_arch(m).scaling.type, LB_ROPE_DEFAULT);
    lb_model_close(m);
    drop_gguf(&g);
}

static lb_status open_and_close(const char *path) {
    lb_model *m;
    LB_TRY(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    lb_model_close(m);
    return LB_OK;
}

/* Any byte of the header changed: opened, or refused with a message; never worse. */
static void damaged_headers_are_survived(void **state) {
    (void)state;
    gguf g = take_gguf();
    size_t header = 2300; /* keys and most tensor records; weights begin soon after */
    for (size_t at = 0; at < header; at += 3)
        for (int v = 0; v < 2; v++) {
            lb_model *m;
            memfile_set(&g.file, at, v ? 0xff : (uint8_t)(g.bytes[at] ^ 1));
            lb_status st = lb_model_open(g.file.path, LB_WEIGHTS, NULL, &m);
            if (st == LB_OK) {
                lb_model_close(m);
            } else if (st != LB_E_FORMAT && st != LB_E_UNSUPPORTED && st != LB_E_NUMERIC && st != LB_E_NOMEM) {
                fail_msg("byte %zu: %s: %s", at, status_name(st), lb_error());
            }
            memfile_set(&g.file, at, g.bytes[at]);
        }
    drop_gguf(&g);
}

static lb_status open_path(void *ctx) { return open_and_close(ctx); }

static void every_allocation_may_fail(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/llama-tiny", path);
    assert_true(llama_fail_each_allocation(open_path, path) > 15);
    lb_test_fixture("tests/oracle/fixtures/llama-tiny.gguf", path);
    assert_true(llama_fail_each_allocation(open_path, path) > 8);
}

static void threads_change_nothing(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_model *one, *many;
    lb_team *team;
    lb_test_fixture("tests/oracle/fixtures/llama-tiny.gguf", path);
    assert_ok(lb_team_new(3, &team));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &one));
    assert_ok(lb_model_open(path, LB_WEIGHTS, team, &many));
    for (int32_t i = 0; i < one->net->slots; i++) {
        int64_t rows, cols;
        const float *a = lb_slot_get(one->net, &one->weights, i);
        const float *b = lb_slot_get(many->net, &many->weights, i);
        lb_slot_shape(one->net, i, &rows, &cols);
        assert_memory_equal(a, b, (size_t)(rows * cols) * sizeof(float));
        assert_string_equal(one->tensor[i].name, many->tensor[i].name);
    }
    lb_model_close(one);
    lb_model_close(many);
    lb_team_free(team);
}

/* ---- names, slots, new models ---- */

static void names_match_one_way(void **state) {
    (void)state;
    int64_t b, e;
    char name[64];
    assert_true(lb_pattern_match("blk.#.attn_q.weight", "blk.12.attn_q.weight", &b, &e) && b == 12 && e == -1);
    assert_true(lb_pattern_match("token_embd.weight", "token_embd.weight", &b, &e) && b == -1);
    assert_true(lb_pattern_match("x.#.y.@.z", "x.3.y.10.z", &b, &e) && b == 3 && e == 10);
    assert_false(lb_pattern_match("x.#.y.@.z", "x.3.y.z", &b, &e));
    static const char *const bad[] = {"blk..attn_q.weight",
                                      "blk.1.attn_q",
                                      "blk.01.attn_q.weight",
                                      "blk.-1.attn_q.weight",
                                      "blk.1.attn_q.weight.x",
                                      "blk.1234567890.attn_q.weight",
                                      "blk.1x.attn_q.weight",
                                      "blk.",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(lb_pattern_match("blk.#.attn_q.weight", bad[i], &b, &e));
    lb_pattern_name("blk.#.attn_q.weight", 7, -1, name, sizeof name);
    assert_string_equal(name, "blk.7.attn_q.weight");
}

/* Every tensor once, by name and by number; a tied head is none. */
static void slots_go_round(void **state) {
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        lb_arch a = {.layers = 12, .dim = 8, .hidden = 8, .heads = 2, .kv_heads = 1, .head_dim = 4, .vocab = 9};
        a.tied = tied;
        lb_model *m = llama_random(a, 1);
        const lb_net *n = m->net;
        assert_int_equal(n->slots, 3 + 12 * 9 - tied);
        for (int32_t i = 0; i < n->slots; i++) assert_int_equal(lb_slot_find(n, lb_slot_name(n, i)), i);
        for (int32_t i = 0; i < n->sites; i++) assert_int_equal(lb_net_find(n, n->site[i].name), i);
        assert_string_equal(lb_slot_name(n, 1 + 11 * 9), "11.attn_norm");
        static const char *const none[] = {
            "", "12.q", "1", "q", "1.", "01.q", "1.q ", "-1.q", "99999999999999999999.q"};
        for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
            assert_int_equal(lb_slot_find(n, none[i]), -1);
            assert_int_equal(lb_net_find(n, none[i]), -1);
        }
        assert_int_equal(lb_net_owner(n, n->head), tied ? n->embed : n->head);
        lb_model_close(m);
    }
}

static void new_models(void **state) {
    (void)state;
    lb_arch a = {.layers = 8,
                 .dim = 64,
                 .hidden = 96,
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .vocab = 100,
                 .context = 32,
                 .rope_base = 1e4,
                 .norm_eps = 1e-5,
                 .tied = true};
    lb_model *m, *same, *other;
    assert_ok(lb_model_new(&a, NULL, 3, &m));
    assert_ok(lb_model_new(&a, NULL, 3, &same));
    assert_ok(lb_model_new(&a, NULL, 4, &other));
    static const struct {
        const char *name;
        int64_t rows, cols;
        double sd;
    } linear[] = {{"q", 64, 64, 0.02},    {"k", 32, 64, 0.02},  {"v", 32, 64, 0.02},       {"o", 64, 64, 0.02 / 4},
                  {"gate", 96, 64, 0.02}, {"up", 96, 64, 0.02}, {"down", 64, 96, 0.02 / 4}};
    for (int l = 0; l < 7; l++) {
        char name[16], before[16];
        snprintf(name, sizeof name, "5.%s", linear[l].name);
        snprintf(before, sizeof before, "4.%s", linear[l].name);
        lb_cmat W = llama_site(m, name)->W;
        int64_t rows = linear[l].rows, cols = linear[l].cols;
        assert_true(W.rows == rows && W.cols == cols);
        double sum = 0, sq = 0, n = (double)(rows * cols), want = linear[l].sd;
        for (int64_t i = 0; i < rows * cols; i++) sum += (double)W.d[i], sq += (double)W.d[i] * (double)W.d[i];
        assert_true(fabs(sum / n) < 5 * want / sqrt(n)); /* five standard errors */
        assert_true(fabs(sqrt(sq / n) / want - 1) < 5 / sqrt(2 * n));
        assert_memory_equal(W.d, llama_site(same, name)->W.d, (size_t)(rows * cols) * sizeof(float));
        assert_memory_not_equal(W.d, llama_site(other, name)->W.d, (size_t)(rows * cols) * sizeof(float));
        assert_memory_not_equal(W.d, llama_site(m, before)->W.d, (size_t)(rows * cols) * sizeof(float));
    }
    for (int64_t i = 0; i < 64; i++)
        assert_true(llama_vector(m, "final_norm")[i] == 1 && llama_vector(m, "0.mlp_norm")[i] == 1);
    assert_ptr_equal(llama_site(m, "head")->W.d, llama_site(m, "embed")->W.d);
    assert_string_equal(m->tensor[0].name, "embed");
    assert_string_equal(m->tensor[m->n_tensors - 1].name, "final_norm");
    lb_model_close(m);
    lb_model_close(same);
    lb_model_close(other);
    a.kv_heads = 3;
    assert_status(LB_E_FORMAT, lb_model_new(&a, NULL, 3, &m));
    assert_null(m);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_defects_are_named),
        cmocka_unit_test(config_variants_are_understood),
        cmocka_unit_test(a_growing_table_sets_no_limit),
        cmocka_unit_test(tensor_defects_are_named),
        cmocka_unit_test(harmless_tensors_are_left),
        cmocka_unit_test(folders_and_paths),
        cmocka_unit_test(gguf_defects_are_named),
        cmocka_unit_test(gguf_positions),
        cmocka_unit_test(damaged_headers_are_survived),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(names_match_one_way),
        cmocka_unit_test(slots_go_round),
        cmocka_unit_test(new_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

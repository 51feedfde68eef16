/* BLOOM (Scao et al. 2022, arXiv:2211.05100): ALiBi, a norm behind the embedding, fused q, k and v head by head. Keys:
 * transformers' BloomConfig, which has no context: ALiBi needs none. Its pretraining_tp with slow_but_exact leaves out
 * biases in transformers. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"n_layer|num_hidden_layers", LB_KEY_COUNT, "layers", "2"},
    {"n_embed|hidden_size", LB_KEY_COUNT, "dim", "64"},
    {"n_head|num_attention_heads", LB_KEY_COUNT, "heads", "8"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "250880"},
    {"layer_norm_epsilon", LB_KEY_REAL, "eps", "1e-5"},
    {"apply_residual_connection_post_layernorm", LB_KEY_FLAG, "post", "0"},
    {"slow_but_exact", LB_KEY_FLAG, "slow", "0"},
    {"pretraining_tp", LB_KEY_COUNT, "ranks", "1"},
    KEY_TIED("1"),
    {"n_inner|seq_length|offset_alibi|attention_softmax_in_fp32|masked_softmax_fusion", LB_KEY_IDLE},
    {"bias_dropout_fusion|skip_bias_add|skip_bias_add_qkv", LB_KEY_IDLE},
    {0},
};
static const lb_refusal refused[] = {
    {"slow * (ranks > 1)", "slow_but_exact with pretraining_tp > 1 leaves out biases: only one of them is supported"},
    {0},
};

/* context_length is written too, and is the width where a config has no seq_length. */
static const lb_key gguf_keys[] = {
    {"block_count", LB_KEY_COUNT, "layers"},
    {"embedding_length", LB_KEY_COUNT, "dim"},
    {"feed_forward_length", LB_KEY_COUNT, NULL, "4*dim", .only = "4*dim"},
    {"attention.head_count", LB_KEY_COUNT, "heads"},
    {"attention.head_count_kv", LB_KEY_COUNT, NULL, "heads", .only = "heads"},
    {"attention.layer_norm_epsilon", LB_KEY_REAL, "eps"},
    {"attention.max_alibi_bias", LB_KEY_REAL, NULL, "8", .only = "8"},
    {"attention.causal", LB_KEY_FLAG, NULL, "1", .only = "true", .why = "only causal models are supported"},
    {"context_length", LB_KEY_COUNT},
    {0},
};

#define BLOCK "transformer.h.#."
static const lb_tensor_row tensors[] = {
    {"embed", "transformer.word_embeddings.weight", "token_embd.weight", "vocab", "dim"},
    {"embed_norm", "transformer.word_embeddings_layernorm.weight", "token_embd_norm.weight", NULL, "dim", "1"},
    {"final_norm", "transformer.ln_f.weight", "output_norm.weight", NULL, "dim", "1"},
    {"head", "lm_head.weight", "output.weight", "vocab", "dim"},
    {"#.attn_norm", BLOCK "input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim", "1"},
    {"#.qkv", BLOCK "self_attention.query_key_value.weight", "blk.#.attn_qkv.weight", "3*dim", "dim", "1"},
    {"#.o", BLOCK "self_attention.dense.weight", "blk.#.attn_output.weight", "dim", "dim", "1"},
    {"#.mlp_norm", BLOCK "post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, "dim", "1"},
    {"#.up", BLOCK "mlp.dense_h_to_4h.weight", "blk.#.ffn_up.weight", "hidden", "dim", "1"},
    {"#.down", BLOCK "mlp.dense_4h_to_h.weight", "blk.#.ffn_down.weight", "dim", "hidden", "1"},
    {0},
};

const lb_family lb_family_bloom = {
    .name = "bloom",
    .summary = "LayerNorm, also behind the embedding, ALiBi, fused qkv, biases, tied head (BLOOM, BLOOMZ)",
    .hf_class = "BloomForCausalLM",
    .hf_type = "bloom",
    .prefix = "transformer.",
    .hf_keys = hf_keys,
    .hf_numbers = "hidden = 4*dim; kv_heads = heads; head_dim = dim/heads; scale = 1/sqrt(head_dim); by = heads",
    .hf_refused = refused,
    .gguf_arch = "bloom",
    .gguf_keys = gguf_keys,
    .gguf_numbers =
        "hidden = 4*dim; kv_heads = heads; head_dim = dim/heads; scale = 1/sqrt(head_dim); by = 1; post = 0",
    .tensor = tensors,
    .program = {.before = "x = embed token embed; x = norm x embed_norm " LN,
                .block = "n = norm x attn_norm " LN "?post x = add n; f = linear n qkv; q k v = split f by=by; "
                         "a = attend q k v scale=scale alibi=1; x += linear a o; n = norm x mlp_norm " LN
                         "?post x = add n; h = linear n up; h = act h fn=gelu_tanh; x += linear h down",
                .after = "x = norm x final_norm " LN "y = head x head"},
};

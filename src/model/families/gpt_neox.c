/* GPT-NeoX and Pythia (Black et al. 2022, arXiv:2204.06745). Keys: transformers' GPTNeoXConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"layer_norm_eps", LB_KEY_REAL, "eps", "1e-5"},
    {"use_parallel_residual", LB_KEY_FLAG, "parallel", "1"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "1"},
    {"hidden_act", LB_KEY_ACT, "act", "gelu"},
    KEY_TIED("0"),
    {"classifier_dropout|attention_probs_dropout_prob|hidden_dropout_prob", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = {"rope_theta|rotary_emb_base", "10000", "partial_rotary_factor|rotary_pct", "0.25",
                                  LB_ROPE_KINDS_ALL};

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    {"attention.layer_norm_epsilon", LB_KEY_REAL, "eps"},
    {"attention.head_count_kv", LB_KEY_COUNT, NULL, "heads", .only = "heads"},
    {"use_parallel_residual", LB_KEY_FLAG, "parallel", "1"},
    {"rope.dimension_count", LB_KEY_COUNT, "rot"},
    {0},
};

#define LAYER "gpt_neox.layers.#."
static const lb_tensor_row tensors[] = {
    {"embed", "gpt_neox.embed_in.weight", "token_embd.weight", "vocab", "dim"},
    {"final_norm", "gpt_neox.final_layer_norm.weight", "output_norm.weight", NULL, "dim", "1"},
    {"head", "embed_out.weight|lm_head.weight", "output.weight", "vocab", "dim"},
    {"#.attn_norm", LAYER "input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim", "1"},
    {"#.mlp_norm", LAYER "post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, "dim", "1"},
    {"#.qkv", LAYER "attention.query_key_value.weight", "blk.#.attn_qkv.weight", "3*dim", "dim", "attn_bias"},
    {"#.o", LAYER "attention.dense.weight", "blk.#.attn_output.weight", "dim", "dim", "attn_bias"},
    {"#.up", LAYER "mlp.dense_h_to_4h.weight", "blk.#.ffn_up.weight", "hidden", "dim", "1"},
    {"#.down", LAYER "mlp.dense_4h_to_h.weight", "blk.#.ffn_down.weight", "dim", "hidden", "1"},
    {0},
};
static const char *const harmless[] = {LAYER "attention.bias", LAYER "attention.masked_bias",
                                       LAYER "attention.rotary_emb.inv_freq", NULL};

const lb_family lb_family_gpt_neox = {
    .name = "gpt_neox",
    .summary = "LayerNorm, partial RoPE, fused qkv, attention and MLP side by side (GPT-NeoX, Pythia)",
    .hf_class = "GPTNeoXForCausalLM",
    .hf_type = "gpt_neox",
    .prefix = "gpt_neox.",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "head_dim = dim/heads; " NUMBERS_HALVES "kv_heads = heads; scale = 1/sqrt(head_dim); "
                  "by = heads",
    .gguf_arch = "gptneox",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "head_dim = dim/heads; pairs = 0; kv_heads = heads; scale = 1/sqrt(head_dim); act = gelu; "
                    "attn_bias = 1; by = 1",
    .tensor = tensors,
    .harmless = harmless,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " LN "f = linear n qkv; q k v = split f by=by; " ROPE
                         "a = attend q k v scale=scale; ?parallel n = norm x mlp_norm " LN
                         "x += linear a o; ?!parallel n = norm x mlp_norm " LN MLP,
                .after = "x = norm x final_norm " LN "y = head x head"},
};

/* OLMo 2 (OLMo Team 2024, arXiv:2501.00656): Llama's layers, each part normed behind it instead of before it, and norms
 * of all of q and of k. Keys: transformers' Olmo2Config. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("heads", NULL, "2048", "1e-5", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {GGUF_SIZES, GGUF_HEADS, GGUF_ATTENTION_BIAS, {0}};

#define LAYER "model.layers.#."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_ATTENTION("attn_bias", "attn_bias"),
    {"#.q_norm", LAYER "self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", NULL, "heads*head_dim"},
    {"#.k_norm", LAYER "self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", NULL, "kv_heads*head_dim"},
    {"#.attn_post_norm", LAYER "post_attention_layernorm.weight", "blk.#.post_attention_norm.weight", NULL, "dim"},
    TENSORS_GLU,
    {"#.mlp_post_norm", LAYER "post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight", NULL, "dim"},
    {0},
};

const lb_family lb_family_olmo2 = {
    .name = "olmo2",
    .summary = "RMSNorm behind attention and MLP and of q and k, RoPE, SwiGLU (OLMo 2)",
    .hf_class = "Olmo2ForCausalLM",
    .hf_type = "olmo2",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim)",
    .gguf_arch = "olmo2",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = silu; one = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "q = linear x q; k = linear x k; v = linear x v; q = norm q q_norm " RMS
                         "k = norm k k_norm " RMS ROPE
                         "a = attend q k v scale=scale; t = linear a o; t = norm t attn_post_norm " RMS
                         "x += add t; g = linear x gate; u = linear x up; h = gate g u fn=act; "
                         "t = linear h down; t = norm t mlp_post_norm " RMS "x += add t",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

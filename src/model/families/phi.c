/* Phi-1, 1.5 and 2 (Gunasekar et al. 2023, arXiv:2306.11644): one norm for attention and MLP side by side, biases in
 * every layer and in the head. Keys: transformers' PhiConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "heads"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"layer_norm_eps", LB_KEY_REAL, "eps", "1e-5"},
    {"hidden_act", LB_KEY_ACT, "act", "gelu_new"},
    {"qk_layernorm", LB_KEY_FLAG, "head_norms", "0"},
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = {"rope_theta", "10000", "partial_rotary_factor", "0.5", LB_ROPE_KINDS_ALL};

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    {"attention.head_count_kv", LB_KEY_COUNT, "kv_heads", "heads"},
    {"attention.layer_norm_epsilon", LB_KEY_REAL, "eps"},
    {"rope.dimension_count", LB_KEY_COUNT, "rot"},
    {0},
};

#define LAYER "model.layers.#."
#define QKV_  "(heads + 2*kv_heads)*head_dim]"
static const lb_tensor_row tensors[] = {
    {"embed", "model.embed_tokens.weight", "token_embd.weight", "vocab", "dim"},
    {"final_norm", "model.final_layernorm.weight", "output_norm.weight", NULL, "dim", "1"},
    {"head", "lm_head.weight", "output.weight", "vocab", "dim", "1"},
    {"#.norm", LAYER "input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim", "1"},
    {"#.q", LAYER "self_attn.q_proj.weight", "blk.#.attn_q.weight|blk.#.attn_qkv.weight[0:heads*head_dim:" QKV_,
     "heads*head_dim", "dim", "1"},
    {"#.k", LAYER "self_attn.k_proj.weight",
     "blk.#.attn_k.weight|blk.#.attn_qkv.weight[heads*head_dim:(heads + kv_heads)*head_dim:" QKV_, "kv_heads*head_dim",
     "dim", "1"},
    {"#.v", LAYER "self_attn.v_proj.weight",
     "blk.#.attn_v.weight|blk.#.attn_qkv.weight[(heads + kv_heads)*head_dim:(heads + 2*kv_heads)*head_dim:" QKV_,
     "kv_heads*head_dim", "dim", "1"},
    {"#.o", LAYER "self_attn.dense.weight", "blk.#.attn_output.weight", "dim", "heads*head_dim", "1"},
    {"#.q_norm", LAYER "self_attn.q_layernorm.weight", NULL, NULL, "head_dim", "1", "head_norms"},
    {"#.k_norm", LAYER "self_attn.k_layernorm.weight", NULL, NULL, "head_dim", "1", "head_norms"},
    {"#.up", LAYER "mlp.fc1.weight", "blk.#.ffn_up.weight", "hidden", "dim", "1"},
    {"#.down", LAYER "mlp.fc2.weight", "blk.#.ffn_down.weight", "dim", "hidden", "1"},
    {0},
};

const lb_family lb_family_phi = {
    .name = "phi",
    .summary = "LayerNorm, partial RoPE, attention and MLP side by side behind one norm, biases (Phi-1, 1.5, 2)",
    .hf_class = "PhiForCausalLM",
    .hf_type = "phi",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "head_dim = dim/heads; " NUMBERS_HALVES "scale = 1/sqrt(head_dim)",
    .gguf_arch = "phi2",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "head_dim = dim/heads; pairs = 0; act = gelu_tanh; head_norms = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x norm " LN QKV "?head_norms q = norm q q_norm kind=ln eps=eps run=head_dim; "
                         "?head_norms k = norm k k_norm kind=ln eps=eps run=head_dim; " ROPE
                         "a = attend q k v scale=scale; x += linear a o; " MLP,
                .after = "x = norm x final_norm " LN "y = head x head"},
};

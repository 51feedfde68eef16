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

#define LAYER "model.layers.#."
static const lb_tensor_row tensors[] = {
    {"embed", "model.embed_tokens.weight", NULL, "vocab", "dim"},
    {"final_norm", "model.final_layernorm.weight", NULL, NULL, "dim", "1"},
    {"head", "lm_head.weight", NULL, "vocab", "dim", "1"},
    {"#.norm", LAYER "input_layernorm.weight", NULL, NULL, "dim", "1"},
    {"#.q", LAYER "self_attn.q_proj.weight", NULL, "heads*head_dim", "dim", "1"},
    {"#.k", LAYER "self_attn.k_proj.weight", NULL, "kv_heads*head_dim", "dim", "1"},
    {"#.v", LAYER "self_attn.v_proj.weight", NULL, "kv_heads*head_dim", "dim", "1"},
    {"#.o", LAYER "self_attn.dense.weight", NULL, "dim", "heads*head_dim", "1"},
    {"#.q_norm", LAYER "self_attn.q_layernorm.weight", NULL, NULL, "head_dim", "1", "head_norms"},
    {"#.k_norm", LAYER "self_attn.k_layernorm.weight", NULL, NULL, "head_dim", "1", "head_norms"},
    {"#.up", LAYER "mlp.fc1.weight", NULL, "hidden", "dim", "1"},
    {"#.down", LAYER "mlp.fc2.weight", NULL, "dim", "hidden", "1"},
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
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x norm " LN QKV "?head_norms q = norm q q_norm kind=ln eps=eps run=head_dim; "
                         "?head_norms k = norm k k_norm kind=ln eps=eps run=head_dim; " ROPE
                         "a = attend q k v scale=scale; x += linear a o; " MLP,
                .after = "x = norm x final_norm " LN "y = head x head"},
};

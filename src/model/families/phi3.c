/* Phi-3 and 3.5 (Abdin et al. 2024, arXiv:2404.14219): Llama with q, k and v in one layer, gate and up in another.
 * Keys: transformers' Phi3Config. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "heads"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "4096"},
    {"original_max_position_embeddings", LB_KEY_COUNT, "rope_original", "4096"},
    {"rms_norm_eps", LB_KEY_REAL, "eps", "1e-5"},
    {"hidden_act", LB_KEY_ACT, "act", "silu"},
    {"sliding_window", LB_KEY_COUNT, "window", "0"},
    {"attention_bias", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "biases are not supported"},
    KEY_TIED("0"),
    {"resid_pdrop|embd_pdrop", LB_KEY_IDLE},
    {"full_attn_mod", LB_KEY_COUNT, NULL, "1", .only = "1"}, /* of Phi-4-mini's files */
    {"interpolate_factor", LB_KEY_COUNT, NULL, "1", .only = "1"},
    {"pad_token_id", LB_KEY_IDLE, .only = "null"}, /* 32000, which a small vocabulary lacks */
    {0},
};
static const lb_rope_keys rope = {"rope_theta", "10000", "partial_rotary_factor", "1", 1u << 0 | 1u << 5};

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    {"attention.head_count_kv", LB_KEY_COUNT, "kv_heads", "heads"},
    {"attention.layer_norm_rms_epsilon", LB_KEY_REAL, "eps"},
    {"attention.key_length", LB_KEY_COUNT, NULL, "head_dim", .only = "head_dim"},
    {"attention.value_length", LB_KEY_COUNT, NULL, "head_dim", .only = "head_dim"},
    {"attention.sliding_window", LB_KEY_COUNT, "window", "0"},
    {"rope.dimension_count", LB_KEY_COUNT, "rot", "dim/heads"},
    {0},
};

#define LAYER "model.layers.#."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS,
    {"#.qkv", LAYER "self_attn.qkv_proj.weight", "blk.#.attn_qkv.weight", "(heads + 2*kv_heads)*head_dim", "dim"},
    {"#.o", LAYER "self_attn.o_proj.weight", "blk.#.attn_output.weight", "dim", "heads*head_dim"},
    {"#.gate_up", LAYER "mlp.gate_up_proj.weight", "blk.#.ffn_up.weight", "2*hidden", "dim"},
    {"#.down", LAYER "mlp.down_proj.weight", "blk.#.ffn_down.weight", "dim", "hidden"},
    {0},
};

const lb_family lb_family_phi3 = {
    .name = "phi3",
    .summary = "Llama with fused q, k, v and fused gate and up (Phi-3, Phi-3.5)",
    .hf_class = "Phi3ForCausalLM",
    .hf_type = "phi3",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "head_dim = dim/heads; " NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim)",
    .gguf_arch = "phi3",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "head_dim = dim/heads; pairs = 0; act = silu; one = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS "f = linear n qkv; q k v = split f by=1; " ROPE ATTEND
                         "x += linear a o; n = norm x mlp_norm " RMS
                         "f = linear n gate_up; g u = split f; h = gate g u fn=act; x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

/* Mistral 7B (Jiang et al. 2023, arXiv:2310.06825): Llama with a window in every block. Keys: transformers'
 * MistralConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "8"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "131072"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"rms_norm_eps", LB_KEY_REAL, "eps", "1e-6"},
    {"hidden_act", LB_KEY_ACT, "act", "silu"},
    {"sliding_window", LB_KEY_COUNT, "window", "4096", "0"},
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = {"rope_theta", "10000", "partial_rotary_factor", "1", LB_ROPE_KINDS_PLAIN};
static const lb_tensor_row tensors[] = {TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION(NULL, NULL), TENSORS_GLU, {0}};

const lb_family lb_family_mistral = {
    .name = "mistral",
    .summary = "Llama with a window in every block (Mistral 7B)",
    .hf_class = "MistralForCausalLM",
    .hf_type = "mistral",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV ROPE ATTEND "x += linear a o; n = norm x mlp_norm " RMS GLU
                         "x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

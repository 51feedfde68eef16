/* Mistral 7B (Jiang et al. 2023, arXiv:2310.06825): Llama with a window in every block. Keys: transformers'
 * MistralConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("8", "heads", "131072", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"sliding_window", LB_KEY_COUNT, "window", "4096", "0"},
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
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

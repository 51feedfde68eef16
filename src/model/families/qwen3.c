/* Qwen3 (Yang et al. 2025, arXiv:2505.09388): Llama with a norm of each head of q and k. Keys: transformers'
 * Qwen3Config. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("32", "heads", "32768", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "128"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEYS_LATE_WINDOWS,
    KEY_CHUNKS,
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {GGUF_SIZES, GGUF_HEADS, {0}};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_HEAD_NORMS, TENSORS_GLU, {0},
};
static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

const lb_family lb_family_qwen3 = {
    .name = "qwen3",
    .summary = "Llama with a norm of each head of q and k (Qwen3)",
    .hf_class = "Qwen3ForCausalLM",
    .hf_type = "qwen3",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES NUMBERS_LATE_WINDOWS "one = 0; scale = 1/sqrt(head_dim)",
    .hf_refused = refused,
    .gguf_arch = "qwen3",
    .gguf_keys = gguf_keys,
    .gguf_numbers =
        "pairs = 0; rot = head_dim; act = silu; one = 0; window = 0; attn_bias = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV HEAD_NORMS ROPE ATTEND
                         "x += linear a o; n = norm x mlp_norm " RMS GLU "x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

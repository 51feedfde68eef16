/* Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671): Llama whose q, k and v have biases, and windows in the later
 * blocks of some. Keys: transformers' Qwen2Config. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,        KEYS_LLAMA("32", "heads", "32768", "1e-6", LB_KEY_ACT, "silu"),
    KEYS_LATE_WINDOWS, KEY_CHUNKS,
    KEY_TIED("0"),     {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {GGUF_SIZES, GGUF_HEADS, {0}};

static const lb_tensor_row tensors[] = {TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("1", NULL), TENSORS_GLU, {0}};
static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

const lb_family lb_family_qwen2 = {
    .name = "qwen2",
    .summary = "Llama with biases of q, k and v (Qwen2, Qwen2.5)",
    .hf_class = "Qwen2ForCausalLM",
    .hf_type = "qwen2",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "head_dim = dim/heads; " NUMBERS_HALVES NUMBERS_LATE_WINDOWS "one = 0; scale = 1/sqrt(head_dim)",
    .hf_refused = refused,
    .gguf_arch = "qwen2",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = silu; one = 0; window = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV ROPE ATTEND "x += linear a o; n = norm x mlp_norm " RMS GLU
                         "x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

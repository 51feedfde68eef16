/* Llama 1 to 3 and what has its shape (Touvron et al. 2023, arXiv:2302.13971). Keys: transformers' LlamaConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("heads", NULL, "2048", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    {"mlp_bias", LB_KEY_FLAG, "mlp_bias", "0"},
    KEY_TIED("0"),
    {"activation", LB_KEY_IDLE}, /* of Falcon 3's files; the class reads hidden_act */
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    GGUF_ATTENTION_BIAS,
    {"blk.0.ffn_gate.bias", LB_KEY_TENSOR, "mlp_bias"},
    {"expert_count", LB_KEY_COUNT, NULL, "0", .only = "0"},
    {"expert_used_count", LB_KEY_COUNT, NULL, "0", .only = "0"},
    {"tensor_data_layout", LB_KEY_WORD, NULL, "", .only = "Meta AI original pth"},
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_GLU_OF("mlp_bias", NULL), {0},
};
static const char *const harmless[] = {HARMLESS_ANGLES, NULL};

const lb_family lb_family_llama = {
    .name = "llama",
    .summary = "RMSNorm, RoPE, grouped-query attention, SwiGLU, tied or untied head (Llama 1-3, SmolLM2, TinyLlama)",
    .hf_class = "LlamaForCausalLM",
    .hf_type = "llama",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "scale = 1/sqrt(head_dim)",
    .fresh = "eps ?= 1e-5; tied ?= 1",
    .gguf_arch = "llama",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .harmless = harmless,
    .program = PROGRAM_LLAMA,
};

/* Granite 3 (Granite Team 2024): Llama with multipliers of embeddings, residuals, scores and logits. Keys:
 * transformers' GraniteConfig. */
#include "model/families/granite_pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("heads", NULL, "2048", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    {"mlp_bias", LB_KEY_FLAG, "mlp_bias", "0"},
    KEYS_MULTIPLIERS,
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES, GGUF_HEADS, GGUF_MULTIPLIERS, GGUF_ATTENTION_BIAS, {"blk.0.ffn_gate.bias", LB_KEY_TENSOR, "mlp_bias"},
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_GLU_OF("mlp_bias", NULL), {0},
};

const lb_family lb_family_granite = {
    .name = "granite",
    .summary = "Llama with multipliers of embeddings, residuals, scores and logits (Granite 3)",
    .hf_class = "GraniteForCausalLM",
    .hf_type = "granite",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES NUMBERS_LOGITS "one = 0",
    .fresh = FRESH_GRANITE,
    .gguf_arch = "granite",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; one = 0; " NUMBERS_LOGITS NUMBERS_GGUF_MULTIPLIERS,
    .tensor = tensors,
    .program = {.before = GRANITE_BEFORE,
                .block = GRANITE_ATTENTION GLU "x += linear h down mult=residual_scale",
                .after = GRANITE_AFTER},
};

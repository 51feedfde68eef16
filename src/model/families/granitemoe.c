/* GraniteMoE (Granite 3 1B-A400M and 3B-A800M, PowerMoE; Shen et al. 2024, arXiv:2408.13359): Granite with experts in
 * the place of its MLP, stored in one tensor. Keys: transformers' GraniteMoeConfig. */
#include "model/families/granite_pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES, KEYS_GRANITE_MOE, KEY_TIED("0"), {"router_aux_loss_coef|output_router_logits", LB_KEY_IDLE}, {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    GGUF_EXPERTS,
    GGUF_MULTIPLIERS,
    GGUF_ATTENTION_BIAS,
    {"expert_shared_feed_forward_length", LB_KEY_COUNT, NULL, "0", .only = "0"},
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_GRANITE_MOE, {0},
};

const lb_family lb_family_granitemoe = {
    .name = "granitemoe",
    .summary = "Granite with a router and experts (Granite 3 MoE, PowerMoE)",
    .hf_class = "GraniteMoeForCausalLM",
    .hf_type = "granitemoe",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES NUMBERS_LOGITS "one = 0",
    .fresh = FRESH_GRANITE,
    .gguf_arch = "granitemoe",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; one = 0; " NUMBERS_LOGITS NUMBERS_GGUF_MULTIPLIERS,
    .tensor = tensors,
    .program = {.before = GRANITE_BEFORE,
                .block = GRANITE_ATTENTION GRANITE_EXPERTS,
                .after = GRANITE_AFTER,
                .expert = GLU "y = linear h down"},
};

/* GraniteMoE with an expert that every token runs beside those that it is routed to; none of it where its size is 0.
 * Keys: transformers' GraniteMoeSharedConfig. */
#include "model/families/granite_pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_GRANITE_MOE,
    {"shared_intermediate_size", LB_KEY_COUNT, "shared", "0"},
    KEY_TIED("0"),
    {"router_aux_loss_coef|output_router_logits", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    GGUF_EXPERTS,
    GGUF_MULTIPLIERS,
    GGUF_ATTENTION_BIAS,
    {"expert_shared_feed_forward_length", LB_KEY_COUNT, "shared"},
    {0},
};

#define SHARED "model.layers.#.shared_mlp."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS,
    TENSORS_ATTENTION("attn_bias", "attn_bias"),
    TENSORS_GRANITE_MOE,
    {"#.shared_gate", SHARED "input_linear.weight[0:shared:2*shared]", "blk.#.ffn_gate_shexp.weight", "shared", "dim",
     .when = "shared"},
    {"#.shared_up", SHARED "input_linear.weight[shared:2*shared:2*shared]", "blk.#.ffn_up_shexp.weight", "shared",
     "dim", .when = "shared"},
    {"#.shared_down", SHARED "output_linear.weight", "blk.#.ffn_down_shexp.weight", "dim", "shared", .when = "shared"},
    {0},
};

const lb_family lb_family_granitemoeshared = {
    .name = "granitemoeshared",
    .summary = "Granite with a router, experts and a shared one (Granite MoE with a shared expert)",
    .hf_class = "GraniteMoeSharedForCausalLM",
    .hf_type = "granitemoeshared",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES NUMBERS_LOGITS "one = 0",
    .fresh = FRESH_GRANITE,
    .gguf_arch = "granitemoe",
    .gguf_when = "expert_shared_feed_forward_length",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; one = 0; " NUMBERS_LOGITS NUMBERS_GGUF_MULTIPLIERS,
    .tensor = tensors,
    .program = {.before = GRANITE_BEFORE,
                .block = GRANITE_ATTENTION GRANITE_EXPERTS
                "; ?shared g = linear n shared_gate; ?shared u = linear n shared_up; ?shared h = gate g u fn=act; "
                "?shared x += linear h shared_down mult=residual_scale",
                .after = GRANITE_AFTER,
                .expert = GLU "y = linear h down"},
};

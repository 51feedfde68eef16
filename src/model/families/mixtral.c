/* Mixtral (Jiang et al. 2024, arXiv:2401.04088): Llama's attention, experts in the place of its MLP. Keys:
 * transformers' MixtralConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("8", "heads", "131072", "1e-5", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"sliding_window", LB_KEY_COUNT, "window", "0"},
    {"num_local_experts|num_experts", LB_KEY_COUNT, "experts", "8"},
    {"num_experts_per_tok", LB_KEY_COUNT, "top", "2"},
    KEY_TIED("0"),
    {"router_jitter_noise|router_aux_loss_coef|output_router_logits", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("1000000");

static const lb_key gguf_keys[] = {GGUF_SIZES, GGUF_HEADS, GGUF_EXPERTS, {0}};

#define MOE "model.layers.#.block_sparse_moe."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS,
    TENSORS_ATTENTION(NULL, NULL),
    {"#.router", MOE "gate.weight|model.layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight", "experts", "dim"},
    TENSORS_EXPERTS(MOE "experts.@.", "w1", "w3", "w2", "hidden", NULL),
    {0},
};

const lb_family lb_family_mixtral = {
    .name = "mixtral",
    .summary = "Llama's attention, a router and experts (Mixtral)",
    .hf_class = "MixtralForCausalLM",
    .hf_type = "mixtral",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim)",
    .gguf_arch = "llama",
    .gguf_when = "expert_count",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; one = 0; window = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV ROPE ATTEND "x += linear a o; n = norm x mlp_norm " RMS
                         "m = experts n router top=top renorm=1; x += add m",
                .after = "x = norm x final_norm " RMS "y = head x head",
                .expert = GLU "y = linear h down"},
};

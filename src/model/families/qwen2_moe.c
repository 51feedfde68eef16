/* Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B-A14B; Yang et al. 2024, arXiv:2407.10671): experts beside a shared one with a gate
 * of its own, and blocks without any. Keys: transformers' Qwen2MoeConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("16", NULL, "32768", "1e-6", LB_KEY_ACT, "silu"),
    {"qkv_bias", LB_KEY_FLAG, "qkv_bias", "1"},
    {"use_sliding_window", LB_KEY_FLAG, "use_window", "0"},
    {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},
    {"max_window_layers", LB_KEY_COUNT, "window_blocks", "28"},
    {"layer_types", LB_KEY_SLIDES, "slides", ""},
    {"num_experts", LB_KEY_COUNT, "experts", "60"},
    {"num_experts_per_tok", LB_KEY_COUNT, "top", "4"},
    {"norm_topk_prob", LB_KEY_FLAG, "renorm", "0"},
    {"moe_intermediate_size", LB_KEY_COUNT, "expert_hidden", "1408"},
    {"shared_expert_intermediate_size", LB_KEY_COUNT, "shared_hidden", "5632"},
    {"decoder_sparse_step", LB_KEY_COUNT, "sparse_step", "1"},
    {"mlp_only_layers", LB_KEY_BLOCKS, "dense", "0"},
    KEY_TIED("0"),
    {"router_aux_loss_coef|output_router_logits", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

#define MLP_    "model.layers.#.mlp."
#define STACKED MLP_ "experts."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS,
    TENSORS_ATTENTION("qkv_bias", NULL),
    {"#.router", MLP_ "gate.weight", NULL, "experts", "dim", .when = "moe"},
    {"#.expert.@.gate", STACKED "@.gate_proj.weight|" STACKED "gate_up_proj[@][0:expert_hidden:2*expert_hidden]", NULL,
     "expert_hidden", "dim", .when = "moe"},
    {"#.expert.@.up",
     STACKED "@.up_proj.weight|" STACKED "gate_up_proj[@][expert_hidden:2*expert_hidden:2*expert_hidden]", NULL,
     "expert_hidden", "dim", .when = "moe"},
    {"#.expert.@.down", STACKED "@.down_proj.weight|" STACKED "down_proj[@]", NULL, "dim", "expert_hidden",
     .when = "moe"},
    {"#.shared_gate", MLP_ "shared_expert.gate_proj.weight", NULL, "shared_hidden", "dim", .when = "moe"},
    {"#.shared_up", MLP_ "shared_expert.up_proj.weight", NULL, "shared_hidden", "dim", .when = "moe"},
    {"#.shared_down", MLP_ "shared_expert.down_proj.weight", NULL, "dim", "shared_hidden", .when = "moe"},
    {"#.shared_weight", MLP_ "shared_expert_gate.weight", NULL, "1", "dim", .when = "moe"},
    {"#.gate", MLP_ "gate_proj.weight", NULL, "hidden", "dim", .when = "1 - moe"},
    {"#.up", MLP_ "up_proj.weight", NULL, "hidden", "dim", .when = "1 - moe"},
    {"#.down", MLP_ "down_proj.weight", NULL, "dim", "hidden", .when = "1 - moe"},
    {0},
};
static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

const lb_family lb_family_qwen2_moe = {
    .name = "qwen2_moe",
    .summary = "RMSNorm, RoPE, q, k, v with biases, experts and a shared one with its gate (Qwen1.5-MoE, Qwen2-MoE)",
    .hf_class = "Qwen2MoeForCausalLM",
    .hf_type = "qwen2_moe",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers =
        "pairs = 0; one = 0; head_dim ?= dim/heads; rot = floor(head_dim*rope_part); scale = 1/sqrt(head_dim); "
        "slides ?= use_window * ((block + 1) % 2) * (block < window_blocks); window = use_window * slides * "
        "width; moe = (1 - dense) * ((block + 1) % sparse_step == 0)",
    .hf_refused = refused,
    .fresh = "experts ?= 8; top ?= 2; expert_hidden ?= hidden; shared_hidden ?= hidden",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV ROPE ATTEND "x += linear a o; n = norm x mlp_norm " RMS
                         "?moe m = experts n router top=top renorm=renorm; ?moe x += add m; "
                         "?moe g = linear n shared_gate; ?moe u = linear n shared_up; ?moe h = gate g u fn=act; "
                         "?moe s = linear h shared_down; ?moe z = linear n shared_weight; "
                         "?moe x += gate z s fn=sigmoid; "
                         "?!moe g = linear n gate; ?!moe u = linear n up; ?!moe h = gate g u fn=act; "
                         "?!moe x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head",
                .expert = GLU "y = linear h down"},
};

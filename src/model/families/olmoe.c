/* OLMoE (Muennighoff et al. 2024, arXiv:2409.02060): Llama with norms of all of q and of k, and experts. Keys:
 * transformers' OlmoeConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("heads", NULL, "4096", "1e-5", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEY_CLIP,
    {"num_experts|num_local_experts", LB_KEY_COUNT, "experts", "64"},
    {"num_experts_per_tok", LB_KEY_COUNT, "top", "8"},
    {"norm_topk_prob", LB_KEY_FLAG, "renorm", "0"},
    KEY_TIED("0"),
    {"router_aux_loss_coef|output_router_logits", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {GGUF_SIZES, GGUF_HEADS, GGUF_EXPERTS, GGUF_ATTENTION_BIAS, {0}};

#define LAYER "model.layers.#."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS,
    TENSORS_ATTENTION("attn_bias", "attn_bias"),
    {"#.q_norm", LAYER "self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", NULL, "dim"},
    {"#.k_norm", LAYER "self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", NULL, "kv_heads*head_dim"},
    {"#.router", LAYER "mlp.gate.weight", "blk.#.ffn_gate_inp.weight", "experts", "dim"},
    TENSORS_EXPERTS(EXPERTS "@.", "gate_proj", "up_proj", "down_proj", "hidden", NULL),
    {0},
};

const lb_family lb_family_olmoe = {
    .name = "olmoe",
    .summary = "RMSNorm, also of q and k, RoPE, bounds on q, k and v, a router and experts (OLMoE)",
    .hf_class = "OlmoeForCausalLM",
    .hf_type = "olmoe",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES NUMBERS_CLIP "one = 0; scale = 1/sqrt(head_dim)",
    .fresh = "experts ?= 8; top ?= 2",
    .gguf_arch = "olmoe",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = silu; one = 0; renorm = 0; clip = 3e38; clips = 0; "
                    "scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV "q = norm q q_norm " RMS "k = norm k k_norm " RMS CLIP ROPE
                         "a = attend q k v scale=scale; x += linear a o; n = norm x mlp_norm " RMS
                         "m = experts n router top=top renorm=renorm; x += add m",
                .after = "x = norm x final_norm " RMS "y = head x head",
                .expert = GLU "y = linear h down"},
};

/* Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B-A14B; Yang et al. 2024, arXiv:2407.10671): experts beside a shared one with a gate
 * of its own, and blocks without any. Keys: transformers' Qwen2MoeConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES_OF("5632"), /* of blocks without experts */
    KEYS_LLAMA("16", NULL, "32768", "1e-6", LB_KEY_ACT, "silu"),
    {"qkv_bias", LB_KEY_FLAG, "qkv_bias", "1"},
    {"use_sliding_window", LB_KEY_FLAG, "use_window", "0"},
    {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},
    {"max_window_layers", LB_KEY_COUNT, "window_blocks", "28"},
    {"layer_types", LB_KEY_SLIDES, "slides", ""},
    KEYS_QWEN_EXPERTS("60", "4", "1408"),
    KEY_CHUNKS,
    {"shared_expert_intermediate_size", LB_KEY_COUNT, "shared_hidden", "5632"},
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    GGUF_EXPERTS,
    {"expert_feed_forward_length", LB_KEY_COUNT, "expert_hidden"},
    {"expert_shared_feed_forward_length", LB_KEY_COUNT, "shared_hidden"},
    {"blk.0.attn_q.bias", LB_KEY_TENSOR, "qkv_bias"},
    {0},
};

#define SHARED "model.layers.#.mlp.shared_expert"
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS,
    TENSORS_ATTENTION("qkv_bias", NULL),
    TENSORS_QWEN_EXPERTS,
    {"#.shared_gate", SHARED ".gate_proj.weight", "blk.#.ffn_gate_shexp.weight", "shared_hidden", "dim", .when = "moe"},
    {"#.shared_up", SHARED ".up_proj.weight", "blk.#.ffn_up_shexp.weight", "shared_hidden", "dim", .when = "moe"},
    {"#.shared_down", SHARED ".down_proj.weight", "blk.#.ffn_down_shexp.weight", "dim", "shared_hidden", .when = "moe"},
    {"#.shared_weight", SHARED "_gate.weight", "blk.#.ffn_gate_inp_shexp.weight", "1", "dim", .when = "moe"},
    {0},
};
static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

/* A GGUF header tells neither whether the weights of a token's experts sum to one nor of blocks without experts: they
 * do not, and there are none. */
const lb_family lb_family_qwen2_moe = {
    .name = "qwen2_moe",
    .summary = "RMSNorm, RoPE, q, k, v with biases, experts and a shared one with its gate (Qwen1.5-MoE, Qwen2-MoE)",
    .hf_class = "Qwen2MoeForCausalLM",
    .hf_type = "qwen2_moe",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "head_dim ?= dim/heads; " NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim); "
                  "slides ?= use_window * ((block + 1) % 2) * (block < window_blocks); "
                  "window = use_window * slides * width; " NUMBERS_QWEN_EXPERTS,
    .hf_refused = refused,
    .fresh = "experts ?= 8; top ?= 2; expert_hidden ?= hidden; shared_hidden ?= hidden",
    .gguf_arch = "qwen2moe",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = silu; one = 0; window = 0; scale = 1/sqrt(head_dim); "
                    "renorm = 0; moe = 1",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV ROPE ATTEND "x += linear a o; n = norm x mlp_norm " RMS
                         "?moe m = experts n router top=top renorm=renorm; ?moe x += add m; "
                         "?moe g = linear n shared_gate; ?moe u = linear n shared_up; ?moe h = gate g u fn=act; "
                         "?moe s = linear h shared_down; ?moe z = linear n shared_weight; "
                         "?moe x += gate z s fn=sigmoid; " QWEN_DENSE,
                .after = "x = norm x final_norm " RMS "y = head x head",
                .expert = GLU "y = linear h down"},
};

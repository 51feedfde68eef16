/* Qwen3-MoE (Yang et al. 2025, arXiv:2505.09388): Qwen3 with experts, and blocks without any. Keys: transformers'
 * Qwen3MoeConfig, which has a window in all blocks or in none. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES_OF("6144"), /* of blocks without experts */
    KEYS_LLAMA("4", NULL, "32768", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    {"use_sliding_window", LB_KEY_FLAG, "use_window", "0"},
    {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},
    KEYS_QWEN_EXPERTS("128", "8", "768"),
    KEY_CHUNKS,
    KEY_TIED("0"),
    {"max_window_layers", LB_KEY_IDLE},
    /* Of Qwen3-Coder's files, after other classes: the tensors tell. */
    {"qkv_bias|use_qk_norm|shared_expert_intermediate_size", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    GGUF_EXPERTS,
    {"expert_feed_forward_length", LB_KEY_COUNT, "expert_hidden"},
    {"expert_shared_feed_forward_length", LB_KEY_COUNT, NULL, "0", .only = "0"}, /* of Qwen3-Coder's files */
    GGUF_ATTENTION_BIAS,
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,       TENSORS_NORMS,        TENSORS_ATTENTION("attn_bias", "attn_bias"),
    TENSORS_HEAD_NORMS, TENSORS_QWEN_EXPERTS, {0},
};

/* A GGUF header tells neither whether the weights of a token's experts sum to one nor of blocks without experts: they
 * do, and there are none. */
const lb_family lb_family_qwen3_moe = {
    .name = "qwen3_moe",
    .summary = "Qwen3 with a router and experts (Qwen3-30B-A3B, Qwen3-235B-A22B)",
    .hf_class = "Qwen3MoeForCausalLM",
    .hf_type = "qwen3_moe",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers =
        NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim); window = use_window * width; " NUMBERS_QWEN_EXPERTS,
    .fresh = "experts ?= 8; top ?= 2; expert_hidden ?= hidden",
    .gguf_arch = "qwen3moe",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = silu; one = 0; window = 0; scale = 1/sqrt(head_dim); "
                    "renorm = 1; moe = 1",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block =
                    "n = norm x attn_norm " RMS QKV HEAD_NORMS ROPE ATTEND "x += linear a o; n = norm x mlp_norm " RMS
                    "?moe m = experts n router top=top renorm=renorm; ?moe x += add m; " QWEN_DENSE,
                .after = "x = norm x final_norm " RMS "y = head x head",
                .expert = GLU "y = linear h down"},
};

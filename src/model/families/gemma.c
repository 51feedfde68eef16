/* Gemma 1 (Gemma Team 2024, arXiv:2403.08295): Llama with scaled embeddings, norms of 1 + w and a tied head. Keys:
 * transformers' GemmaConfig; its hidden_activation is not read. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("16", NULL, "8192", "1e-6", LB_KEY_ACT_TANH, "gelu_pytorch_tanh"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "256"},
    {"hidden_activation", LB_KEY_IDLE},
    {"use_bidirectional_attention", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "only causal models are supported"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEY_TIED("1"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {GGUF_SIZES, GGUF_HEADS, {0}};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_GLU, {0}};

const lb_family lb_family_gemma = {
    .name = "gemma",
    .summary = "Llama with scaled embeddings, 1 + w in norms, tied head (Gemma 1)",
    .hf_class = "GemmaForCausalLM",
    .hf_type = "gemma",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 1; scale = 1/sqrt(head_dim); emb = sqrt(dim)",
    .gguf_arch = "gemma",
    .gguf_keys = gguf_keys,
    .gguf_numbers =
        "pairs = 0; rot = head_dim; act = gelu_tanh; one = 0; attn_bias = 0; scale = 1/sqrt(head_dim); emb = sqrt(dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed scale=emb",
                .block = "n = norm x attn_norm " RMS QKV ROPE "a = attend q k v scale=scale; x += linear a o; "
                         "n = norm x mlp_norm " RMS GLU "x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

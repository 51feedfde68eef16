/* Gemma 2 (Gemma Team 2024, arXiv:2408.00118): norms before and after each part, caps on scores and logits, a window in
 * every other block. Keys: transformers' Gemma2Config; its hidden_act is not read. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"num_hidden_layers", LB_KEY_COUNT, "layers"},
    {"hidden_size", LB_KEY_COUNT, "dim"},
    {"intermediate_size", LB_KEY_COUNT, "hidden"},
    {"num_attention_heads", LB_KEY_COUNT, "heads"},
    {"vocab_size", LB_KEY_COUNT, "vocab"},
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "4"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "8192"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "256"},
    {"rms_norm_eps", LB_KEY_REAL, "eps", "1e-6"},
    {"hidden_activation", LB_KEY_ACT, "act", "gelu_pytorch_tanh"},
    {"hidden_act", LB_KEY_IDLE},
    {"query_pre_attn_scalar", LB_KEY_REAL, "query_scalar", "256"},
    {"attn_logit_softcapping", LB_KEY_REAL, "cap", "50.0", "0"},
    {"final_logit_softcapping", LB_KEY_REAL, "logit_cap", "30.0", "0"},
    {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},
    {"layer_types", LB_KEY_SLIDES, "slides", ""},
    {"use_bidirectional_attention", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "only causal models are supported"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEY_TIED("1"),
    {"sliding_window_size", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    {"attn_logit_softcapping", LB_KEY_REAL, "cap", "50"},
    {"final_logit_softcapping", LB_KEY_REAL, "logit_cap", "30"},
    {"attention.sliding_window", LB_KEY_COUNT, "width", "4096"},
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_GEMMA_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_GLU, {0},
};
static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

/* A GGUF header does not tell the scale of scores: of the 27B, whose 46 blocks tell it, it is that of dim / heads. */
const lb_family lb_family_gemma2 = {
    .name = "gemma2",
    .summary = "RMSNorm before and after, RoPE, soft caps, windows in every other block, tied head (Gemma 2)",
    .hf_class = "Gemma2ForCausalLM",
    .hf_type = "gemma2",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 1; scale = 1/sqrt(query_scalar); emb = sqrt(dim); "
                                 "slides ?= (block + 1) % 2; "
                                 "window = slides * width",
    .hf_refused = refused,
    .fresh = "query_scalar ?= head_dim",
    .gguf_arch = "gemma2",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = gelu_tanh; one = 0; attn_bias = 0; "
                    "big = layers == 46; query_scalar = big*dim/heads + (1 - big)*head_dim; scale = "
                    "1/sqrt(query_scalar); emb = sqrt(dim); "
                    "window = ((block + 1) % 2) * width",
    .tensor = tensors,
    .program = {.before = "x = embed token embed scale=emb",
                .block = "n = norm x attn_norm " RMS QKV ROPE
                         "a = attend q k v scale=scale window=window cap=cap; t = linear a o; "
                         "t = norm t attn_post_norm " RMS "x += add t; n = norm x mlp_norm " RMS GLU
                         "t = linear h down; t = norm t mlp_post_norm " RMS "x += add t",
                .after = "x = norm x final_norm " RMS "y = head x head cap=logit_cap"},
};

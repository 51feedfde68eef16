/* Gemma 3 (Gemma Team 2025, arXiv:2503.19786): Gemma 2 without its caps, with norms of heads; positions turn otherwise
 * in blocks with a window, five of six. Keys: transformers' Gemma3TextConfig; its hidden_act is not read, and its
 * attn_logit_softcapping is read and passed over. The models that see images (4B, 12B, 27B) have this one in them. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"num_hidden_layers", LB_KEY_COUNT, "layers", "26"},
    {"hidden_size", LB_KEY_COUNT, "dim", "2304"},
    {"intermediate_size", LB_KEY_COUNT, "hidden", "9216"},
    {"num_attention_heads", LB_KEY_COUNT, "heads", "8"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "262208"},
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "4"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "131072"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "256"},
    {"rms_norm_eps", LB_KEY_REAL, "eps", "1e-6"},
    {"hidden_activation", LB_KEY_ACT, "act", "gelu_pytorch_tanh"},
    {"hidden_act", LB_KEY_IDLE},
    {"query_pre_attn_scalar", LB_KEY_REAL, "query_scalar", "256"},
    {"attn_logit_softcapping", LB_KEY_REAL, NULL, "0", "0", .only = "null", .why = "transformers passes over it"},
    {"final_logit_softcapping", LB_KEY_REAL, "logit_cap", "0.0", "0"},
    {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},
    {"sliding_window_pattern", LB_KEY_COUNT, "pattern", "6"},
    {"layer_types", LB_KEY_SLIDES, "slides", "block % pattern < pattern - 1"},
    {"use_bidirectional_attention", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "only causal models are supported"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEY_TIED("1"),
    {0},
};
static const lb_rope_keys rope = {"rope_theta",      "1000000", "partial_rotary_factor", NULL,
                                  LB_ROPE_KINDS_ALL, "slides",  "rope_local_base_freq",  "10000"};

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    GGUF_ATTENTION_BIAS,
    {"final_logit_softcapping", LB_KEY_REAL, "logit_cap", "0"},
    {"attention.sliding_window", LB_KEY_COUNT, "width", "0"},
    {"attention.sliding_window_pattern", LB_KEY_COUNT, "pattern", "6"},
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,       TENSORS_GEMMA_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"),
    TENSORS_HEAD_NORMS, TENSORS_GLU,         {0},
};

static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

/* What stands around the text part, in files of transformers 4 and 5. */
static const char *const name[][2] = {{"language_model.", ""}, {"model.language_model.", "model."}, {NULL, NULL}};
static const char *const other[] = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.",
                                    "model.multi_modal_projector.", NULL};
static const lb_wrapping wrapping = {
    .hf_class = "Gemma3ForConditionalGeneration",
    .hf_type = "gemma3",
    .text = "text_config",
    .idle = "vision_config|mm_tokens_per_image|boi_token_index|eoi_token_index|image_token_index|tie_word_embeddings",
    .twin = "tie_word_embeddings",
    .name = name,
    .other = other,
};

/* A GGUF header does not tell the scale of scores: of the 27B, whose 62 blocks tell it, it is that of dim / heads. */
const lb_family lb_family_gemma3 = {
    .name = "gemma3",
    .summary =
        "Gemma 2 without caps, with norms of heads and two rotary tables (Gemma 3; the text part of 4B, 12B, 27B)",
    .hf_class = "Gemma3ForCausalLM",
    .hf_type = "gemma3_text",
    .wrapping = &wrapping,
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 1; scale = 1/sqrt(query_scalar); emb = sqrt(dim); window = slides * width",
    .hf_refused = refused,
    .fresh = "query_scalar ?= head_dim; width ?= 512",
    .gguf_arch = "gemma3",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = gelu_tanh; one = 0; big = layers == 62; "
                    "query_scalar = big*dim/heads + (1 - big)*head_dim; scale = 1/sqrt(query_scalar); emb = sqrt(dim); "
                    "slides = (width > 0) * (block % pattern < pattern - 1); window = slides * width",
    .tensor = tensors,
    .program = {.before = "x = embed token embed scale=emb",
                .block = "n = norm x attn_norm " RMS QKV HEAD_NORMS ROPE ATTEND "t = linear a o; "
                         "t = norm t attn_post_norm " RMS "x += add t; n = norm x mlp_norm " RMS GLU
                         "t = linear h down; t = norm t mlp_post_norm " RMS "x += add t",
                .after = "x = norm x final_norm " RMS "y = head x head cap=logit_cap"},
};

/* SmolLM3 (Hugging Face 2025): Llama with blocks that have no positions, which alone may have a window. Keys:
 * transformers' SmolLM3Config. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("4", "heads", "32768", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"no_rope_layer_interval", LB_KEY_COUNT, "interval", "4"},
    {"no_rope_layers", LB_KEY_EACH, "turns", "block % interval < interval - 1"},
    {"use_sliding_window", LB_KEY_FLAG, "use_window", "0"},
    {"sliding_window", LB_KEY_COUNT, "width", "0"},
    {"layer_types", LB_KEY_SLIDES, "slides", "use_window * (width > 0) * (1 - turns)"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    {"mlp_bias", LB_KEY_FLAG, "mlp_bias", "0"},
    KEY_TIED("1"),
    {"max_window_layers", LB_KEY_IDLE},
    {"pad_token_id", LB_KEY_IDLE, .only = "null"}, /* 128004, which a small vocabulary lacks */
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("2000000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES, GGUF_HEADS, GGUF_ATTENTION_BIAS, {"blk.0.ffn_gate.bias", LB_KEY_TENSOR, "mlp_bias"}, {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION("attn_bias", "attn_bias"), TENSORS_GLU_OF("mlp_bias", NULL), {0},
};

static const lb_refusal refused[] = {REFUSED_NO_WIDTH, {0}};

/* A GGUF header does not tell which blocks have no positions: it is every fourth. */
const lb_family lb_family_smollm3 = {
    .name = "smollm3",
    .summary = "Llama with blocks that have no positions (SmolLM3)",
    .hf_class = "SmolLM3ForCausalLM",
    .hf_type = "smollm3",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES "one = 0; scale = 1/sqrt(head_dim); window = slides * width",
    .hf_refused = refused,
    .gguf_arch = "smollm3",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; one = 0; window = 0; turns = block % 4 < 3; "
                    "scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " RMS QKV
                         "?turns q = rope q dims=rot pairs=pairs; ?turns k = rope k dims=rot pairs=pairs; " ATTEND
                         "x += linear a o; n = norm x mlp_norm " RMS GLU "x += linear h down",
                .after = "x = norm x final_norm " RMS "y = head x head"},
};

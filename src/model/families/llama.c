/* Llama 1 to 3 and what has its shape (Touvron et al. 2023, arXiv:2302.13971). Keys: transformers' LlamaConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "heads"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"rms_norm_eps", LB_KEY_REAL, "eps", "1e-6"},
    KEY_TIED("0"),
    {"attention_bias", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "biases are not supported"},
    {"mlp_bias", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "biases are not supported"},
    {"hidden_act", LB_KEY_WORD, NULL, "silu", .only = "silu"},
    {0},
};
static const lb_rope_keys rope = {"rope_theta", "10000", "partial_rotary_factor", NULL, LB_ROPE_KINDS_PLAIN};

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS,
    {"expert_count", LB_KEY_COUNT, NULL, "0", .only = "0"},
    {"expert_used_count", LB_KEY_COUNT, NULL, "0", .only = "0"},
    {"tensor_data_layout", LB_KEY_WORD, NULL, "", .only = "Meta AI original pth"},
    {0},
};

static const lb_tensor_row tensors[] = {TENSORS_ENDS, TENSORS_NORMS, TENSORS_ATTENTION(NULL, NULL), TENSORS_GLU, {0}};
/* Tables of angles that old exporters wrote: derived from rope_theta, so nothing is lost by leaving them. */
static const char *const harmless[] = {"model.layers.#.self_attn.rotary_emb.inv_freq", NULL};

const lb_family lb_family_llama = {
    .name = "llama",
    .summary = "RMSNorm, RoPE, grouped-query attention, SwiGLU, tied or untied head (Llama 1-3, SmolLM2, TinyLlama)",
    .hf_class = "LlamaForCausalLM",
    .hf_type = "llama",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "pairs = 0; rot = head_dim; scale = 1/sqrt(head_dim)",
    .gguf_arch = "llama",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .harmless = harmless,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm kind=rms eps=eps; " QKV
                         "q = rope q dims=rot pairs=pairs; k = rope k dims=rot pairs=pairs; "
                         "a = attend q k v scale=scale; x += linear a o; "
                         "n = norm x mlp_norm kind=rms eps=eps; "
                         "g = linear n gate; u = linear n up; h = gate g u fn=silu; x += linear h down",
                .after = "x = norm x final_norm kind=rms eps=eps; y = head x head"},
};

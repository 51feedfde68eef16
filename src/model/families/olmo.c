/* OLMo 1 (Groeneveld et al. 2024, arXiv:2402.00838): Llama whose LayerNorms have no parameters, with bounds on q, k and
 * v in some. Keys: transformers' OlmoConfig; its norms' eps is in the code. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "heads"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"hidden_act", LB_KEY_ACT, "act", "silu"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    KEY_CLIP,
    KEY_TIED("0"),
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    {"attention.head_count_kv", LB_KEY_COUNT, "kv_heads", "heads"},
    {"attention.key_length", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention.value_length", LB_KEY_COUNT, NULL, "head_dim", .only = "head_dim"},
    {"attention.layer_norm_epsilon", LB_KEY_REAL, "eps"},
    {"attention.clamp_kqv", LB_KEY_REAL, "limit", "0"},
    {"rope.dimension_count", LB_KEY_COUNT, NULL, "head_dim", .only = "head_dim"},
    {0},
};

static const lb_tensor_row tensors[] = {
    {"embed", "model.embed_tokens.weight", "token_embd.weight", "vocab", "dim"},
    {"head", "lm_head.weight", "output.weight", "vocab", "dim"},
    TENSORS_ATTENTION("attn_bias", "attn_bias"),
    TENSORS_GLU,
    {0},
};

/* No row is of `none`, so the norms have no weights. */
const lb_family lb_family_olmo = {
    .name = "olmo",
    .summary = "LayerNorm without parameters, RoPE, SwiGLU, bounds on q, k and v (OLMo 1)",
    .hf_class = "OlmoForCausalLM",
    .hf_type = "olmo",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = NUMBERS_HALVES NUMBERS_CLIP "eps = 1e-5; scale = 1/sqrt(head_dim)",
    .gguf_arch = "olmo",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; clips = limit > 0; clip = limit + (1 - clips)*3e38; act = silu; "
                    "attn_bias = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x none " LN QKV CLIP ROPE
                         "a = attend q k v scale=scale; x += linear a o; n = norm x none " LN GLU "x += linear h down",
                .after = "x = norm x none " LN "y = head x head"},
};

/* Cohere's Command R and Aya (CohereForAI, 2024): attention and gated MLP side by side behind one LayerNorm without
 * bias, rotary positions of neighbours, in some a norm of q and k with weights of its own for each head, scaled logits.
 * Keys: transformers' CohereConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"num_hidden_layers", LB_KEY_COUNT, "layers", "40"},
    {"hidden_size", LB_KEY_COUNT, "dim", "8192"},
    {"intermediate_size", LB_KEY_COUNT, "hidden", "22528"},
    {"num_attention_heads", LB_KEY_COUNT, "heads", "64"},
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "heads"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "256000"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "8192"},
    {"layer_norm_eps", LB_KEY_REAL, "eps", "1e-5"},
    {"hidden_act", LB_KEY_ACT, "act", "silu"},
    {"logit_scale", LB_KEY_REAL, "logit_scale", "0.0625"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    {"use_qk_norm", LB_KEY_FLAG, "head_norms", "0"},
    KEY_TIED("1"),
    {"position_embedding_type", LB_KEY_WORD, NULL, "rope_gptj", .only = "rope_gptj"},
    {"rotary_pct", LB_KEY_REAL, NULL, "1", .only = "1"},
    {"use_gated_activation", LB_KEY_FLAG, NULL, "1", .only = "true", .why = "only MLPs with a gate are supported"},
    {"use_parallel_block", LB_KEY_FLAG, NULL, "1", .only = "true", .why = "only attention beside the MLP is supported"},
    {"use_parallel_embedding|use_embedding_sharing", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("500000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS_OF("attention.layer_norm_epsilon"),
    {"logit_scale", LB_KEY_REAL, "logit_scale"},
    {"blk.0.attn_q_norm.weight", LB_KEY_TENSOR, "head_norms"},
    {"blk.0.attn_q.bias", LB_KEY_TENSOR, "attn_bias"},
    {0},
};

static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    {"#.norm", "model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim"},
    TENSORS_ATTENTION("attn_bias", "attn_bias"),
    {"#.q_norm", "model.layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", NULL, "heads*head_dim",
     .when = "head_norms", .runs = "heads"},
    {"#.k_norm", "model.layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", NULL, "kv_heads*head_dim",
     .when = "head_norms", .runs = "kv_heads"},
    TENSORS_GLU,
    {0},
};

const lb_family lb_family_cohere = {
    .name = "cohere",
    .summary =
        "LayerNorm without bias, RoPE of neighbours, attention and SwiGLU side by side, scaled logits (Command R, "
        "Aya)",
    .hf_class = "CohereForCausalLM",
    .hf_type = "cohere",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "pairs = 1; rot = head_dim; scale = 1/sqrt(head_dim)",
    .gguf_arch = "command-r",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 1; rot = head_dim; act = silu; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x norm " LN QKV "?head_norms q = norm q q_norm kind=ln eps=eps run=head_dim; "
                         "?head_norms k = norm k k_norm kind=ln eps=eps run=head_dim; " ROPE
                         "a = attend q k v scale=scale; x += linear a o; " GLU "x += linear h down",
                .after = "x = norm x final_norm " LN "y = head x head scale=logit_scale"},
};

/* Pieces of programs that families share. */
#ifndef LB_MODEL_FAMILIES_PIECES_H
#define LB_MODEL_FAMILIES_PIECES_H

#include "model/family.h"

/* A row leaves out what it does not have. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define QKV    "q = linear n q; k = linear n k; v = linear n v; "
#define ROPE   "q = rope q dims=rot pairs=pairs; k = rope k dims=rot pairs=pairs; "
#define ATTEND "a = attend q k v scale=scale window=window; "
#define GLU    "g = linear n gate; u = linear n up; h = gate g u fn=act; "
#define CLIP   "?clips q = clamp q limit=clip; ?clips k = clamp k limit=clip; ?clips v = clamp v limit=clip; "
#define MLP    "h = linear n up; h = act h fn=act; x += linear h down"
#define RMS    "kind=rms eps=eps one=one; "
#define LN     "kind=ln eps=eps; "

/* Keys of config.json that most families have. */
#define KEYS_SIZES                                                                                                     \
    {"num_hidden_layers", LB_KEY_COUNT, "layers"}, {"hidden_size", LB_KEY_COUNT, "dim"},                               \
        {"intermediate_size", LB_KEY_COUNT, "hidden"}, {"num_attention_heads", LB_KEY_COUNT, "heads"}, {               \
        "vocab_size", LB_KEY_COUNT, "vocab"                                                                            \
    }
/* Those of Llama's attention, norms and activation. A family with a head size of its own tells it behind them. */
#define KEYS_LLAMA(kv, kv_null, tokens, norm_eps, act_kind, act)                                                       \
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", kv, kv_null},                                                    \
        {"max_position_embeddings", LB_KEY_COUNT, "context", tokens}, {"rms_norm_eps", LB_KEY_REAL, "eps", norm_eps},  \
    {                                                                                                                  \
        "hidden_act", act_kind, "act", act                                                                             \
    }
#define KEY_TIED(absent)                                                                                               \
    { "tie_word_embeddings", LB_KEY_FLAG, "tied", absent }

/* Bounds of q, k and v: a clip_qkv of 0 is one, null is none. */
#define KEY_CLIP                                                                                                       \
    { "clip_qkv", LB_KEY_REAL, "clip", "", "" }
#define NUMBERS_CLIP "clip ?= 3e38; clips = clip < 3e38; "

/* Windows in the blocks from one on, as Qwen2 and Qwen3 have them. */
#define KEYS_LATE_WINDOWS                                                                                              \
    {"use_sliding_window", LB_KEY_FLAG, "use_window", "0"}, {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},    \
        {"max_window_layers", LB_KEY_COUNT, "window_from", "28"}, {                                                    \
        "layer_types", LB_KEY_SLIDES, "slides", ""                                                                     \
    }
#define NUMBERS_LATE_WINDOWS "slides ?= block >= window_from; window = use_window * slides * width; "
/* A part of each head turns where the file says so. */
#define ROPE_KEYS(kinds)                                                                                               \
    { "rope_theta", "10000", "partial_rotary_factor", "1", kinds }
/* Rotary pairs are halves of a head, in Hugging Face's order. */
#define NUMBERS_HALVES "pairs = 0; rot = floor(head_dim*rope_part); "

/* Keys of a GGUF header that most families have. */
#define GGUF_SIZES                                                                                                     \
    {"block_count", LB_KEY_COUNT, "layers"}, {"embedding_length", LB_KEY_COUNT, "dim"},                                \
        {"feed_forward_length", LB_KEY_COUNT, "hidden"}, {"attention.head_count", LB_KEY_COUNT, "heads"},              \
        {"context_length", LB_KEY_COUNT, "context"}, {                                                                 \
        "attention.causal", LB_KEY_FLAG, NULL, "1", .only = "true", .why = "only causal models are supported"          \
    }
#define GGUF_HEADS GGUF_HEADS_OF("attention.layer_norm_rms_epsilon")
/* The same with another key of the norms' epsilon. */
#define GGUF_HEADS_OF(norm_eps)                                                                                        \
    {"attention.head_count_kv", LB_KEY_COUNT, "kv_heads", "heads"},                                                    \
        {"attention.key_length", LB_KEY_COUNT, "head_dim", "dim/heads"},                                               \
        {"attention.value_length", LB_KEY_COUNT, NULL, "head_dim", .only = "head_dim"},                                \
        {norm_eps, LB_KEY_REAL, "eps"}, {                                                                              \
        "rope.dimension_count", LB_KEY_COUNT, NULL, "head_dim", .only = "head_dim"                                     \
    }

#define GGUF_EXPERTS                                                                                                   \
    {"expert_count", LB_KEY_COUNT, "experts"}, { "expert_used_count", LB_KEY_COUNT, "top" }
/* No header tells whether layers have biases: their tensors do. */
#define GGUF_ATTENTION_BIAS                                                                                            \
    { "blk.0.attn_q.bias", LB_KEY_TENSOR, "attn_bias" }

/* Tensors of Llama's attention and of those that were made after it. */
#define TENSORS_ATTENTION(qkv_bias, o_bias)                                                                             \
    {"#.q", "model.layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight", "heads*head_dim", "dim", qkv_bias},        \
        {"#.k", "model.layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight", "kv_heads*head_dim", "dim", qkv_bias}, \
        {"#.v", "model.layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight", "kv_heads*head_dim", "dim", qkv_bias}, \
    {                                                                                                                   \
        "#.o", "model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", "dim", "heads*head_dim", o_bias    \
    }
#define TENSORS_GLU                                                                                                    \
    {"#.gate", "model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", "hidden", "dim"},                       \
        {"#.up", "model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", "hidden", "dim"}, {                       \
        "#.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", "dim", "hidden"                      \
    }
#define TENSORS_ENDS                                                                                                   \
    {"embed", "model.embed_tokens.weight", "token_embd.weight", "vocab", "dim"},                                       \
        {"final_norm", "model.norm.weight", "output_norm.weight", NULL, "dim"}, {                                      \
        "head", "lm_head.weight", "output.weight", "vocab", "dim"                                                      \
    }
#define TENSORS_NORMS                                                                                                  \
    {"#.attn_norm", "model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim"}, {                 \
        "#.mlp_norm", "model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, "dim"           \
    }

#endif

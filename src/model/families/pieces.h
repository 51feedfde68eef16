/* Pieces of programs that families share. */
#ifndef LB_MODEL_FAMILIES_PIECES_H
#define LB_MODEL_FAMILIES_PIECES_H

#include "model/family.h"

/* A row leaves out what it does not have. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define QKV    "q = linear n q; k = linear n k; v = linear n v; "
#define ROPE   "q = rope q dims=rot pairs=pairs; k = rope k dims=rot pairs=pairs; "
#define ATTEND "a = attend q k v scale=scale window=window; "
#define HEAD_NORMS                                                                                                     \
    "q = norm q q_norm kind=rms eps=eps one=one run=head_dim; k = norm k k_norm kind=rms eps=eps one=one "             \
    "run=head_dim; "
#define GLU  "g = linear n gate; u = linear n up; h = gate g u fn=act; "
#define CLIP "?clips q = clamp q limit=clip; ?clips k = clamp k limit=clip; ?clips v = clamp v limit=clip; "
#define MLP  "h = linear n up; h = act h fn=act; x += linear h down"
#define RMS  "kind=rms eps=eps one=one; "
#define LN   "kind=ln eps=eps; "

/* Keys of config.json that most families have. */
#define KEYS_SIZES_OF(hidden)                                                                                          \
    {"num_hidden_layers", LB_KEY_COUNT, "layers"}, {"hidden_size", LB_KEY_COUNT, "dim"},                               \
        {"intermediate_size", LB_KEY_COUNT, "hidden", hidden}, {"num_attention_heads", LB_KEY_COUNT, "heads"}, {       \
        "vocab_size", LB_KEY_COUNT, "vocab"                                                                            \
    }
#define KEYS_SIZES KEYS_SIZES_OF(NULL)
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

/* Qwen's experts, and which blocks have them. */
#define KEYS_QWEN_EXPERTS(n, used, size)                                                                               \
    {"num_experts|num_local_experts", LB_KEY_COUNT, "experts", n}, {"num_experts_per_tok", LB_KEY_COUNT, "top", used}, \
        {"norm_topk_prob", LB_KEY_FLAG, "renorm", "0"},                                                                \
        {"moe_intermediate_size", LB_KEY_COUNT, "expert_hidden", size},                                                \
        {"decoder_sparse_step", LB_KEY_COUNT, "sparse_step", "1"}, {"mlp_only_layers", LB_KEY_BLOCKS, "dense", "0"}, { \
        "router_aux_loss_coef|output_router_logits", LB_KEY_IDLE                                                       \
    }
#define NUMBERS_QWEN_EXPERTS "moe = (1 - dense) * ((block + 1) % sparse_step == 0)"

/* Windows in the blocks from one on, as Qwen2 and Qwen3 have them. */
#define KEYS_LATE_WINDOWS                                                                                              \
    {"use_sliding_window", LB_KEY_FLAG, "use_window", "0"}, {"sliding_window", LB_KEY_COUNT, "width", "4096", "0"},    \
        {"max_window_layers", LB_KEY_COUNT, "window_from", "28"}, {                                                    \
        "layer_types", LB_KEY_SLIDES, "slides", ""                                                                     \
    }
#define NUMBERS_LATE_WINDOWS "slides ?= use_window * (block >= window_from); window = use_window * slides * width; "
/* Of Qwen's files for a million tokens. transformers attends to all of them, whatever chunks this asks for. */
#define KEY_CHUNKS                                                                                                     \
    { "dual_chunk_attention_config", LB_KEY_IDLE }
/* transformers runs no such model. */
#define REFUSED_NO_WIDTH                                                                                               \
    {                                                                                                                  \
        "slides * (window == 0)", "layer_types: a block slides, and sliding_window is null or 0, or "                  \
                                  "use_sliding_window false"                                                           \
    }
/* All of each head turns. */
#define ROPE_KEYS(base)                                                                                                \
    { "rope_theta", base, "partial_rotary_factor", NULL, LB_ROPE_KINDS_ALL }
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

/* Tensors of Llama's block and of those that were made after it; `owner`: as in lb_tensor_row. */
#define HF_ATTENTION "model.layers.#.self_attn."
#define TENSORS_ATTENTION_OF(qkv_bias, o_bias, owner)                                                                    \
    {"#.q", HF_ATTENTION "q_proj.weight", "blk.#.attn_q.weight", "heads*head_dim", "dim", qkv_bias, NULL, owner},        \
        {"#.k", HF_ATTENTION "k_proj.weight", "blk.#.attn_k.weight", "kv_heads*head_dim", "dim", qkv_bias, NULL, owner}, \
        {"#.v", HF_ATTENTION "v_proj.weight", "blk.#.attn_v.weight", "kv_heads*head_dim", "dim", qkv_bias, NULL, owner}, \
    {                                                                                                                    \
        "#.o", HF_ATTENTION "o_proj.weight", "blk.#.attn_output.weight", "dim", "heads*head_dim", o_bias, NULL, owner    \
    }
#define TENSORS_ATTENTION(qkv_bias, o_bias) TENSORS_ATTENTION_OF(qkv_bias, o_bias, NULL)
#define TENSORS_GLU_OF(bias, owner)                                                                                    \
    {"#.gate", "model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", "hidden", "dim", bias, NULL, owner},    \
        {"#.up", "model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", "hidden", "dim", bias, NULL, owner}, {    \
        "#.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", "dim", "hidden", bias, NULL, owner   \
    }
#define TENSORS_GLU TENSORS_GLU_OF(NULL, NULL)
#define TENSORS_NORMS_OF(owner)                                                                                        \
    {                                                                                                                  \
        "#.attn_norm", "model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim", NULL, NULL,     \
        owner},                                                                                                        \
    {                                                                                                                  \
        "#.mlp_norm", "model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, "dim", NULL,    \
            NULL, owner                                                                                                \
    }
#define TENSORS_NORMS TENSORS_NORMS_OF(NULL)
/* Gemma's, in front of each part and behind it. */
#define TENSORS_GEMMA_NORMS                                                                                            \
    {"#.attn_norm", "model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim"},                   \
        {"#.attn_post_norm", "model.layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight",     \
         NULL, "dim"},                                                                                                 \
        {"#.mlp_norm", "model.layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight", NULL, "dim"}, {     \
        "#.mlp_post_norm", "model.layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight", NULL,     \
            "dim"                                                                                                      \
    }
/* One weight for all heads of q, one for those of k. */
#define TENSORS_HEAD_NORMS                                                                                             \
    {"#.q_norm", HF_ATTENTION "q_norm.weight", "blk.#.attn_q_norm.weight", NULL, "head_dim"}, {                        \
        "#.k_norm", HF_ATTENTION "k_norm.weight", "blk.#.attn_k_norm.weight", NULL, "head_dim"                         \
    }
#define TENSORS_ENDS                                                                                                   \
    {"embed", "model.embed_tokens.weight", "token_embd.weight", "vocab", "dim"},                                       \
        {"final_norm", "model.norm.weight", "output_norm.weight", NULL, "dim"}, {                                      \
        "head", "lm_head.weight", "output.weight", "vocab", "dim"                                                      \
    }

/* Experts of gate, up and down: apart, by a beginning of names (with '@') and the layers' words, or stacked, as
 * transformers 5 has them in memory and GGUF in files. */
#define EXPERTS "model.layers.#.mlp.experts."
#define TENSORS_EXPERTS(apart, gate, up, down, size, where)                                                            \
    {"#.expert.@.gate",                                                                                                \
     apart gate ".weight|" EXPERTS "gate_up_proj[@][0:" size ":2*" size "]",                                           \
     "blk.#.ffn_gate_exps.weight[@]",                                                                                  \
     size,                                                                                                             \
     "dim",                                                                                                            \
     .when = where},                                                                                                   \
        {"#.expert.@.up",                                                                                              \
         apart up ".weight|" EXPERTS "gate_up_proj[@][" size ":2*" size ":2*" size "]",                                \
         "blk.#.ffn_up_exps.weight[@]",                                                                                \
         size,                                                                                                         \
         "dim",                                                                                                        \
         .when = where},                                                                                               \
    {                                                                                                                  \
        "#.expert.@.down", apart down ".weight|" EXPERTS "down_proj[@]", "blk.#.ffn_down_exps.weight[@]", "dim", size, \
            .when = where                                                                                              \
    }
/* Those of Qwen, beside blocks without any. */
#define TENSORS_QWEN_EXPERTS                                                                                            \
    {"#.router", "model.layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight", "experts", "dim", .when = "moe"},       \
        TENSORS_EXPERTS(EXPERTS "@.", "gate_proj", "up_proj", "down_proj", "expert_hidden", "moe"),                     \
        {"#.gate", "model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", "hidden", "dim", .when = "1 - moe"}, \
        {"#.up", "model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", "hidden", "dim", .when = "1 - moe"}, {     \
        "#.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", "dim", "hidden", .when = "1 - moe"    \
    }
#define QWEN_DENSE "?!moe g = linear n gate; ?!moe u = linear n up; ?!moe h = gate g u fn=act; ?!moe x += linear h down"

/* Tables of angles that old exporters wrote: derived from the base, so nothing is lost by leaving them. */
#define HARMLESS_ANGLES "model.layers.#.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"

/* A program: Llama's. */
#define PROGRAM_LLAMA                                                                                                  \
    {                                                                                                                  \
        .before = "x = embed token embed",                                                                             \
        .block = "n = norm x attn_norm kind=rms eps=eps; " QKV ROPE "a = attend q k v scale=scale; "                   \
                 "x += linear a o; n = norm x mlp_norm kind=rms eps=eps; " GLU "x += linear h down",                   \
        .after = "x = norm x final_norm kind=rms eps=eps; y = head x head"                                             \
    }

#endif

/* Pieces that Granite's families share. */
#ifndef LB_MODEL_FAMILIES_GRANITE_PIECES_H
#define LB_MODEL_FAMILIES_GRANITE_PIECES_H

#include "model/families/pieces.h"

/* One multiplies the embeddings, one what each part adds, one the scores, and one divides the logits. */
#define KEYS_MULTIPLIERS                                                                                               \
    {"embedding_multiplier", LB_KEY_REAL, "embedding_scale", "1"},                                                     \
        {"residual_multiplier", LB_KEY_REAL, "residual_scale", "1"},                                                   \
        {"attention_multiplier", LB_KEY_REAL, "scale", "1"}, {                                                         \
        "logits_scaling", LB_KEY_REAL, "logits_scaling", "1"                                                           \
    }
/* The default of attention_multiplier, 1, is no model's. */
#define FRESH_GRANITE  "scale ?= 1/sqrt(head_dim)"
#define NUMBERS_LOGITS "inverse_logits_scaling = 1/logits_scaling; "

#define KEYS_GRANITE_MOE                                                                                               \
    KEYS_LLAMA("heads", NULL, "2048", "1e-6", LB_KEY_ACT, "silu"),                                                     \
        {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"}, {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},        \
        KEYS_MULTIPLIERS, {"num_local_experts", LB_KEY_COUNT, "experts", "8"}, {                                       \
        "num_experts_per_tok", LB_KEY_COUNT, "top", "2"                                                                \
    }

/* In a GGUF header a missing multiplier, or one of 0, is none; and a switch takes the positions away. */
#define GGUF_MULTIPLIERS                                                                                               \
    {"embedding_scale", LB_KEY_REAL, "embedding_scale", "0"}, {"residual_scale", LB_KEY_REAL, "residual_scale", "0"},  \
        {"attention.scale", LB_KEY_REAL, "scale", "0"}, {"logit_scale", LB_KEY_REAL, "logits_scaling"}, {              \
        "rope.scaling.finetuned", LB_KEY_FLAG, NULL, "1", .only = "true",                                              \
                                                          .why = "models without positions are not supported"          \
    }
#define NUMBERS_GGUF_MULTIPLIERS                                                                                       \
    "embedding_scale = embedding_scale + (embedding_scale == 0); "                                                     \
    "residual_scale = residual_scale + (residual_scale == 0); scale = scale + (scale == 0)/sqrt(head_dim); "

#define MOE "model.layers.#.block_sparse_moe."
#define TENSORS_GRANITE_MOE                                                                                            \
    {"#.router", MOE "router.layer.weight|" MOE "router.weight", "blk.#.ffn_gate_inp.weight", "experts", "dim"},       \
        {"#.expert.@.gate",                                                                                            \
         MOE "input_linear.weight[@][0:hidden:2*hidden]|" MOE "experts.gate_up_proj[@][0:hidden:2*hidden]",            \
         "blk.#.ffn_gate_exps.weight[@]", "hidden", "dim"},                                                            \
        {"#.expert.@.up",                                                                                              \
         MOE "input_linear.weight[@][hidden:2*hidden:2*hidden]|" MOE                                                   \
             "experts.gate_up_proj[@][hidden:2*hidden:2*hidden]",                                                      \
         "blk.#.ffn_up_exps.weight[@]", "hidden", "dim"},                                                              \
    {                                                                                                                  \
        "#.expert.@.down", MOE "output_linear.weight[@]|" MOE "experts.down_proj[@]", "blk.#.ffn_down_exps.weight[@]", \
            "dim", "hidden"                                                                                            \
    }

#define GRANITE_BEFORE "x = embed token embed scale=embedding_scale"
#define GRANITE_ATTENTION                                                                                              \
    "n = norm x attn_norm " RMS QKV ROPE "a = attend q k v scale=scale; x += linear a o mult=residual_scale; "         \
    "n = norm x mlp_norm " RMS
/* The softmax of the chosen outputs is that of all, made to sum to one. */
#define GRANITE_EXPERTS "m = experts n router top=top renorm=1; x += add m mult=residual_scale"
#define GRANITE_AFTER   "x = norm x final_norm " RMS "y = head x head scale=inverse_logits_scaling"

#endif

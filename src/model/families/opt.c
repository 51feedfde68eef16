/* OPT (Zhang et al. 2022, arXiv:2205.01068). OPT-350M norms after each part, and its tables are narrower than its
 * blocks. Keys: transformers' OPTConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"num_hidden_layers", LB_KEY_COUNT, "layers", "12"},
    {"hidden_size", LB_KEY_COUNT, "dim", "768"},
    {"ffn_dim", LB_KEY_COUNT, "hidden", "3072"},
    {"num_attention_heads", LB_KEY_COUNT, "heads", "12"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "50272"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"word_embed_proj_dim", LB_KEY_COUNT, "embed_dim", "dim"},
    {"do_layer_norm_before", LB_KEY_FLAG, "pre", "1"},
    {"_remove_final_layer_norm", LB_KEY_FLAG, "no_final", "0"},
    {"enable_bias", LB_KEY_FLAG, "bias", "1"},
    {"layer_norm_elementwise_affine", LB_KEY_FLAG, "affine", "1"},
    {"activation_function", LB_KEY_ACT, "act", "relu"},
    KEY_TIED("1"),
    {"dropout|layerdrop|activation_dropout|init_std", LB_KEY_IDLE},
    {"output_projection", LB_KEY_IDLE}, /* of files older than the class */
    {"learned_embeddings", LB_KEY_FLAG, NULL, "1", .only = "true", .why = "only learned positions are supported"},
    {0},
};

#define DECODER "model.decoder."
#define LAYER   DECODER "layers.#."
static const lb_tensor_row tensors[] = {
    {"embed", DECODER "embed_tokens.weight", NULL, "vocab", "embed_dim"},
    {"positions", DECODER "embed_positions.weight", NULL, "context+2", "dim"},
    {"project_in", DECODER "project_in.weight", NULL, "dim", "embed_dim", .when = "project"},
    {"project_out", DECODER "project_out.weight", NULL, "embed_dim", "dim", .when = "project"},
    {"final_norm", DECODER "final_layer_norm.weight", NULL, NULL, "dim", "affine", "final*affine"},
    {"head", "lm_head.weight", NULL, "vocab", "embed_dim"},
    {"#.attn_norm", LAYER "self_attn_layer_norm.weight", NULL, NULL, "dim", "affine", "affine"},
    {"#.mlp_norm", LAYER "final_layer_norm.weight", NULL, NULL, "dim", "affine", "affine"},
    {"#.q", LAYER "self_attn.q_proj.weight", NULL, "dim", "dim", "bias"},
    {"#.k", LAYER "self_attn.k_proj.weight", NULL, "dim", "dim", "bias"},
    {"#.v", LAYER "self_attn.v_proj.weight", NULL, "dim", "dim", "bias"},
    {"#.o", LAYER "self_attn.out_proj.weight", NULL, "dim", "dim", "bias"},
    {"#.up", LAYER "fc1.weight", NULL, "hidden", "dim", "bias"},
    {"#.down", LAYER "fc2.weight", NULL, "dim", "hidden", "bias"},
    {0},
};

const lb_family lb_family_opt = {
    .name = "opt",
    .summary = "LayerNorm before or after, learned positions, biases, ReLU (OPT)",
    .hf_class = "OPTForCausalLM",
    .hf_type = "opt",
    .prefix = "model.",
    .hf_keys = hf_keys,
    .hf_numbers = "head_dim = dim/heads; scale = 1/sqrt(head_dim); eps = 1e-5; project = 1 - (embed_dim == dim); "
                  "final = pre * (1 - no_final)",
    .tensor = tensors,
    .program = {.before = "?!project x = embed token embed; ?project e = embed token embed; "
                          "?project x = linear e project_in; x += embed position positions offset=2",
                .block = "?pre n = norm x attn_norm " LN "?!pre n = add x; " QKV
                         "a = attend q k v scale=scale; x += linear a o; ?!pre x = norm x attn_norm " LN
                         "?pre n = norm x mlp_norm " LN "?!pre n = add x; " MLP "; ?!pre x = norm x mlp_norm " LN,
                .after = "?final x = norm x final_norm " LN "?project x = linear x project_out; y = head x head"},
};

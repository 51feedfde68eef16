/* GPT-2 (Radford et al. 2019): LayerNorm, learned positions, fused q, k and v. Keys: transformers' GPT2Config. Its
 * Conv1D stores weights (in, out). */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"n_layer|num_hidden_layers", LB_KEY_COUNT, "layers", "12"},
    {"n_embd|hidden_size", LB_KEY_COUNT, "dim", "768"},
    {"n_head|num_attention_heads", LB_KEY_COUNT, "heads", "12"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "50257"},
    {"n_positions|max_position_embeddings", LB_KEY_COUNT, "context", "1024"},
    {"n_inner", LB_KEY_COUNT, "hidden", "4*dim"},
    {"activation_function", LB_KEY_ACT, "act", "gelu_new"},
    {"layer_norm_epsilon", LB_KEY_REAL, "eps", "1e-5"},
    {"scale_attn_weights", LB_KEY_FLAG, "scaled", "1"},
    {"scale_attn_by_inverse_layer_idx", LB_KEY_FLAG, "by_block", "0"},
    {"add_cross_attention", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "only decoders are supported"},
    KEY_TIED("1"),
    {"n_ctx|attn_pdrop|reorder_and_upcast_attn|gradient_checkpointing", LB_KEY_IDLE},
    {"n_special|predict_special_tokens|output_past", LB_KEY_IDLE}, /* of files older than the class */
    {"summary_activation|summary_first_dropout|summary_proj_to_labels|summary_type|summary_use_proj", LB_KEY_IDLE},
    {0},
};

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    {"attention.layer_norm_epsilon", LB_KEY_REAL, "eps"},
    {"attention.head_count_kv", LB_KEY_COUNT, NULL, "heads", .only = "heads"},
    {0},
};

#define BLOCK "transformer.h.#."
static const lb_tensor_row tensors[] = {
    {"embed", "transformer.wte.weight", "token_embd.weight", "vocab", "dim"},
    {"positions", "transformer.wpe.weight", "position_embd.weight", "context", "dim"},
    {"final_norm", "transformer.ln_f.weight", "output_norm.weight", NULL, "dim", "1"},
    {"head", "lm_head.weight", "output.weight", "vocab", "dim"},
    {"#.attn_norm", BLOCK "ln_1.weight", "blk.#.attn_norm.weight", NULL, "dim", "1"},
    {"#.qkv", BLOCK "attn.c_attn.weight~", "blk.#.attn_qkv.weight", "3*dim", "dim", "1"},
    {"#.o", BLOCK "attn.c_proj.weight~", "blk.#.attn_output.weight", "dim", "dim", "1"},
    {"#.mlp_norm", BLOCK "ln_2.weight", "blk.#.ffn_norm.weight", NULL, "dim", "1"},
    {"#.up", BLOCK "mlp.c_fc.weight~", "blk.#.ffn_up.weight", "hidden", "dim", "1"},
    {"#.down", BLOCK "mlp.c_proj.weight~", "blk.#.ffn_down.weight", "dim", "hidden", "1"},
    {0},
};
/* Masks that old files hold. */
static const char *const harmless[] = {BLOCK "attn.bias", BLOCK "attn.masked_bias", NULL};

const lb_family lb_family_gpt2 = {
    .name = "gpt2",
    .summary = "LayerNorm, learned positions, fused qkv, GELU, tied head (GPT-2)",
    .hf_class = "GPT2LMHeadModel",
    .hf_type = "gpt2",
    .prefix = "transformer.",
    .hf_keys = hf_keys,
    .hf_numbers = "kv_heads = heads; head_dim = dim/heads; "
                  "scale = (scaled/sqrt(head_dim) + 1 - scaled) / (1 + by_block*block)",
    .gguf_arch = "gpt2",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "kv_heads = heads; head_dim = dim/heads; act = gelu_tanh; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .harmless = harmless,
    .program = {.before = "x = embed token embed; x += embed position positions",
                .block = "n = norm x attn_norm " LN "f = linear n qkv; q k v = split f by=1; "
                         "a = attend q k v scale=scale; x += linear a o; n = norm x mlp_norm " LN MLP,
                .after = "x = norm x final_norm " LN "y = head x head"},
};

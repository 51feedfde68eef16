/* Falcon (Almazrouei et al. 2023, arXiv:2311.16867) in its four layouts. Keys: transformers' FalconConfig.
 *   7B     one key head, attention and MLP side by side behind one norm
 *   40B    new_decoder_architecture: a few key heads, attention and MLP each behind a norm of its own
 *   11B    the same behind one norm (num_ln_in_parallel_attn = 1)
 *   rw-1b  as many key heads as heads, attention before the MLP (parallel_attn false), ALiBi */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"num_hidden_layers", LB_KEY_COUNT, "layers", "32"},
    {"n_embed|hidden_size", LB_KEY_COUNT, "dim", "4544"},
    {"num_attention_heads", LB_KEY_COUNT, "heads", "71"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "65024"},
    {"num_kv_heads", LB_KEY_COUNT, "kv_told", "heads"},
    {"ffn_hidden_size", LB_KEY_COUNT, "hidden", "4*dim"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"layer_norm_epsilon", LB_KEY_REAL, "eps", "1e-5"},
    {"new_decoder_architecture", LB_KEY_FLAG, "grouped", "0"},
    {"multi_query", LB_KEY_FLAG, "multi", "1"},
    {"parallel_attn", LB_KEY_FLAG, "parallel", "1"},
    {"num_ln_in_parallel_attn", LB_KEY_COUNT, "norms", "1 + grouped"},
    {"alibi", LB_KEY_FLAG, "alibi", "0"},
    {"bias", LB_KEY_FLAG, "bias", "0"},
    {"activation", LB_KEY_ACT, "act", "gelu"},
    KEY_TIED("1"),
    {"apply_residual_connection_post_layernorm|ff_factor", LB_KEY_IDLE},
    {0},
};
/* What transformers itself cannot run. */
static const lb_refusal refused[] = {
    {"grouped * (1 - parallel)", "new_decoder_architecture is true and parallel_attn false: its blocks have no norm in "
                                 "front of an MLP that follows"},
    {"grouped * (1 - (norms == 1) - (norms == 2))",
     "num_ln_in_parallel_attn: must be 1 or 2 where new_decoder_architecture is true"},
    {"(1 - grouped) * parallel * (norms == 2)",
     "num_ln_in_parallel_attn = 2: only where new_decoder_architecture is true"},
    {"(1 - grouped) * (1 - multi) * (1 - (kv_told == heads))",
     "num_kv_heads: must be num_attention_heads where new_decoder_architecture and multi_query are false"},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS_OF("attention.layer_norm_epsilon"),
    {"tensor_data_layout", LB_KEY_WORD, NULL, "", .only = "jploski"},
    {"blk.0.attn_norm_2.weight", LB_KEY_TENSOR, "two"},
    {0},
};

#define BLOCK "transformer.h.#."
static const lb_tensor_row tensors[] = {
    {"embed", "transformer.word_embeddings.weight", "token_embd.weight", "vocab", "dim"},
    {"final_norm", "transformer.ln_f.weight", "output_norm.weight", NULL, "dim", "1"},
    {"head", "lm_head.weight", "output.weight", "vocab", "dim"},
    {"#.norm", BLOCK "input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim", "1", "1 - two"},
    {"#.post_norm", BLOCK "post_attention_layernorm.weight", NULL, NULL, "dim", "1", "serial"},
    {"#.attn_norm", BLOCK "ln_attn.weight", "blk.#.attn_norm_2.weight", NULL, "dim", "1", "two"},
    {"#.mlp_norm", BLOCK "ln_mlp.weight", "blk.#.attn_norm.weight", NULL, "dim", "1", "two"},
    {"#.qkv", BLOCK "self_attention.query_key_value.weight", "blk.#.attn_qkv.weight", "(heads + 2*kv_heads)*head_dim",
     "dim", "bias"},
    {"#.o", BLOCK "self_attention.dense.weight", "blk.#.attn_output.weight", "dim", "dim", "bias"},
    {"#.up", BLOCK "mlp.dense_h_to_4h.weight", "blk.#.ffn_up.weight", "hidden", "dim", "bias"},
    {"#.down", BLOCK "mlp.dense_4h_to_h.weight", "blk.#.ffn_down.weight", "dim", "hidden", "bias"},
    {0},
};

const lb_family lb_family_falcon = {
    .name = "falcon",
    .summary =
        "LayerNorm, RoPE or ALiBi, fused qkv, attention and MLP side by side or not (Falcon rw-1b, 7B, 11B, 40B)",
    .hf_class = "FalconForCausalLM",
    .hf_type = "falcon",
    .prefix = "transformer.",
    .hf_keys = hf_keys,
    .rope = &rope,
    /* Where nothing turns, an odd width is as good as any. */
    .hf_numbers =
        "head_dim = dim/heads; turns = 1 - alibi; rot = head_dim - alibi*(head_dim % 2); pairs = 0; "
        "scale = 1/sqrt(head_dim); two = grouped*(norms == 2); serial = 1 - parallel; falcon_alibi = 2*alibi; "
        "kv_heads = grouped*kv_told + (1 - grouped)*(multi + (1 - multi)*heads); by = kv_heads",
    .hf_refused = refused,
    .gguf_arch = "falcon",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; turns = 1; rot = head_dim; scale = 1/sqrt(head_dim); serial = 0; falcon_alibi = 0; "
                    "by = 1; bias = 0; act = gelu; parallel = 1; alibi = 0; norms = 1 + two; kv_told = kv_heads; "
                    "multi = (1 - two) * (kv_heads == 1); grouped = two + (kv_heads > 1)*(kv_heads < heads) > 0",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "?!two n = norm x norm " LN "?two n = norm x attn_norm " LN
                         "f = linear n qkv; q k v = split f by=by; "
                         "?turns q = rope q dims=rot pairs=pairs; ?turns k = rope k dims=rot pairs=pairs; "
                         "a = attend q k v scale=scale alibi=falcon_alibi; ?two n = norm x mlp_norm " LN
                         "x += linear a o; ?serial n = norm x post_norm " LN MLP,
                .after = "x = norm x final_norm " LN "y = head x head"},
};

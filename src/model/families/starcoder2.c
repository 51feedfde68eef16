/* StarCoder2 (Lozhkov et al. 2024, arXiv:2402.19173): grouped-query attention with RoPE and a window in every block,
 * LayerNorm, an MLP without a gate, biases. Keys: transformers' Starcoder2Config. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    {"num_hidden_layers", LB_KEY_COUNT, "layers", "30"},
    {"hidden_size", LB_KEY_COUNT, "dim", "3072"},
    {"intermediate_size", LB_KEY_COUNT, "hidden", "12288"},
    {"num_attention_heads", LB_KEY_COUNT, "heads", "24"},
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "2"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"vocab_size", LB_KEY_COUNT, "vocab", "49152"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "4096"},
    {"norm_epsilon", LB_KEY_REAL, "eps", "1e-5"},
    {"hidden_act", LB_KEY_ACT, "act", "gelu_pytorch_tanh"},
    {"sliding_window", LB_KEY_COUNT, "window", "0"},
    {"use_bias", LB_KEY_FLAG, "bias", "1"},
    KEY_TIED("1"),
    {"norm_type", LB_KEY_WORD, NULL, "layer_norm", .only = "layer_norm"},
    {"mlp_type", LB_KEY_WORD, NULL, "default", .only = "default"},
    {"residual_dropout|embedding_dropout", LB_KEY_IDLE},
    {"layer_norm_epsilon|activation_function", LB_KEY_IDLE}, /* the class reads norm_epsilon and hidden_act */
    {"attention_softmax_in_fp32|scale_attention_softmax_in_fp32|scale_attn_weights", LB_KEY_IDLE},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");
static const lb_key gguf_keys[] = {
    GGUF_SIZES,
    GGUF_HEADS_OF("attention.layer_norm_epsilon"),
    {"blk.0.attn_q.bias", LB_KEY_TENSOR, "bias"},
    {0},
};

#define LAYER "model.layers.#."
static const lb_tensor_row tensors[] = {
    {"embed", "model.embed_tokens.weight", "token_embd.weight", "vocab", "dim"},
    {"final_norm", "model.norm.weight", "output_norm.weight", NULL, "dim", "1"},
    {"head", "lm_head.weight", "output.weight", "vocab", "dim"},
    {"#.attn_norm", LAYER "input_layernorm.weight", "blk.#.attn_norm.weight", NULL, "dim", "1"},
    {"#.mlp_norm", LAYER "post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, "dim", "1"},
    TENSORS_ATTENTION("bias", "bias"),
    {"#.up", LAYER "mlp.c_fc.weight", "blk.#.ffn_up.weight", "hidden", "dim", "bias"},
    {"#.down", LAYER "mlp.c_proj.weight", "blk.#.ffn_down.weight", "dim", "hidden", "bias"},
    {0},
};

const lb_family lb_family_starcoder2 = {
    .name = "starcoder2",
    .summary = "LayerNorm, RoPE, grouped-query attention with a window, GELU, biases, tied head (StarCoder2)",
    .hf_class = "Starcoder2ForCausalLM",
    .hf_type = "starcoder2",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "pairs = 0; rot = head_dim; scale = 1/sqrt(head_dim)",
    .gguf_arch = "starcoder2",
    .gguf_keys = gguf_keys,
    .gguf_numbers = "pairs = 0; rot = head_dim; act = gelu_tanh; window = 0; scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block = "n = norm x attn_norm " LN QKV ROPE ATTEND "x += linear a o; n = norm x mlp_norm " LN MLP,
                .after = "x = norm x final_norm " LN "y = head x head"},
};

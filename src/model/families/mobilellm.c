/* MobileLLM (Liu et al. 2024, arXiv:2402.14905): Llama's block with a tied head; with layer_sharing each block runs
 * twice in a row, and the files hold it once. Keys: Meta's MobileLLMConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    {"num_key_value_heads", LB_KEY_COUNT, "kv_heads", "heads"},
    {"max_position_embeddings", LB_KEY_COUNT, "context", "2048"},
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"rms_norm_eps", LB_KEY_REAL, "eps", "1e-6"},
    {"share_embedding", LB_KEY_FLAG, "tied", "0"},
    {"layer_sharing", LB_KEY_FLAG, "sharing", "0"},
    {"tie_word_embeddings", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "share_embedding ties the head"},
    {"attention_bias", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "biases are not supported"},
    {"mlp_bias", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "biases are not supported"},
    {"hidden_act", LB_KEY_WORD, NULL, "silu", .only = "silu"},
    {0},
};
static const lb_rope_keys rope = {"rope_theta", "10000", "partial_rotary_factor", NULL, LB_ROPE_KINDS_PLAIN};

#define SHARED .owner = "block - block % uses"
#define LAYER  "model.layers.#."
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    {"#.attn_norm", LAYER "input_layernorm.weight", NULL, NULL, "dim", SHARED},
    {"#.q", LAYER "self_attn.q_proj.weight", NULL, "heads*head_dim", "dim", SHARED},
    {"#.k", LAYER "self_attn.k_proj.weight", NULL, "kv_heads*head_dim", "dim", SHARED},
    {"#.v", LAYER "self_attn.v_proj.weight", NULL, "kv_heads*head_dim", "dim", SHARED},
    {"#.o", LAYER "self_attn.o_proj.weight", NULL, "dim", "heads*head_dim", SHARED},
    {"#.mlp_norm", LAYER "post_attention_layernorm.weight", NULL, NULL, "dim", SHARED},
    {"#.gate", LAYER "mlp.gate_proj.weight", NULL, "hidden", "dim", SHARED},
    {"#.up", LAYER "mlp.up_proj.weight", NULL, "hidden", "dim", SHARED},
    {"#.down", LAYER "mlp.down_proj.weight", NULL, "dim", "hidden", SHARED},
    {0},
};

const lb_family lb_family_mobilellm = {
    .name = "mobilellm",
    .summary = "Llama's block, each used twice with layer_sharing, tied or untied head (MobileLLM)",
    .hf_class = "MobileLLMForCausalLM",
    .hf_type = "mobilellm",
    .file_block = "floor(block/uses)",
    .hf_keys = hf_keys,
    .rope = &rope,
    .hf_numbers = "uses = 1 + sharing; layers = uses*layers; " NUMBERS_HALVES "scale = 1/sqrt(head_dim)",
    .tensor = tensors,
    .program = {.before = "x = embed token embed",
                .block =
                    "n = norm x attn_norm kind=rms eps=eps; " QKV ROPE "a = attend q k v scale=scale; x += linear a o; "
                    "n = norm x mlp_norm kind=rms eps=eps; "
                    "g = linear n gate; u = linear n up; h = gate g u fn=silu; x += linear h down",
                .after = "x = norm x final_norm kind=rms eps=eps; y = head x head"},
};

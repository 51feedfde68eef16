/* MobileLLM (Liu et al. 2024, arXiv:2402.14905): Llama's block with a tied head; with layer_sharing each block runs
 * twice in a row, and the files hold it once. Keys: Meta's MobileLLMConfig. */
#include "model/families/pieces.h"

static const lb_key hf_keys[] = {
    KEYS_SIZES,
    KEYS_LLAMA("heads", NULL, "2048", "1e-6", LB_KEY_ACT, "silu"),
    {"head_dim", LB_KEY_COUNT, "head_dim", "dim/heads"},
    {"attention_bias", LB_KEY_FLAG, "attn_bias", "0"},
    {"mlp_bias", LB_KEY_FLAG, "mlp_bias", "0"},
    {"share_embedding", LB_KEY_FLAG, "tied", "0"},
    {"layer_sharing", LB_KEY_FLAG, "sharing", "0"},
    {"tie_word_embeddings", LB_KEY_FLAG, NULL, "0", .only = "false", .why = "share_embedding ties the head"},
    {0},
};
static const lb_rope_keys rope = ROPE_KEYS("10000");

#define OWNER "block - block % uses"
static const lb_tensor_row tensors[] = {
    TENSORS_ENDS,
    TENSORS_NORMS_OF(OWNER),
    TENSORS_ATTENTION_OF("attn_bias", "attn_bias", OWNER),
    TENSORS_GLU_OF("mlp_bias", OWNER),
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
    .program = PROGRAM_LLAMA,
};

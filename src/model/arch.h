/* Architecture descriptors: a model family is a row of data. */
#ifndef LB_MODEL_ARCH_H
#define LB_MODEL_ARCH_H

#include "model/net.h"

typedef enum lb_rope_layout {
    LB_ROPE_HALVES,
    LB_ROPE_PAIRS
} lb_rope_layout; /* (i, i + d/2) as in Hugging Face; (2i, 2i+1) as in GGUF llama files */

/* How the rotary frequencies are changed for a longer context (transformers' rope_type). With theta a plain frequency:
 *   linear  theta / factor
 *   llama3  theta where its wavelength 2 pi / theta is below original / high; theta / factor where above original /
 * low; between, the mix of both that is linear in original / wavelength (Llama 3.1) */
typedef enum lb_rope_type { LB_ROPE_DEFAULT, LB_ROPE_LINEAR, LB_ROPE_LLAMA3, LB_ROPE_TYPES } lb_rope_type;
extern const char *const lb_rope_type_name[LB_ROPE_TYPES]; /* "default", "linear", "llama3" */
typedef struct lb_rope_scaling {
    lb_rope_type type;
    double factor, low, high;
    int64_t original; /* context that the model was trained on first; llama3 */
} lb_rope_scaling;

bool lb_rope_scaling_same(const lb_rope_scaling *a, const lb_rope_scaling *b);

typedef struct lb_arch {
    const char *family; /* "llama" */
    int64_t layers, dim, hidden, heads, kv_heads, head_dim, vocab, context;
    double rope_base, norm_eps;
    lb_rope_layout rope;
    lb_rope_scaling scaling;
    bool tied; /* head = embedding */
} lb_arch;

/* A family as data: its names in the two file formats and the tensors it must have, no more and no less. '#' stands for
 * the block's number. */
typedef enum lb_extent { LB_EXT_ONE, LB_EXT_DIM, LB_EXT_HIDDEN, LB_EXT_VOCAB, LB_EXT_Q, LB_EXT_KV } lb_extent;
typedef struct lb_tensor_map {
    const char *ours, *hf, *gguf; /* "#.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight" */
    lb_extent rows, cols;         /* LB_EXT_ONE rows: a vector */
    bool turned;                  /* rotary positions turn its rows, whose order within a head differs by format */
} lb_tensor_map;
typedef struct lb_family {
    const char *name, *summary;
    const char *hf_class, *hf_type, *gguf_arch; /* "LlamaForCausalLM", "llama", "llama" */
    lb_rope_layout hf_rope, gguf_rope;
    const lb_tensor_map *tensor; /* up to the one whose `ours` is NULL */
    const char *const *harmless; /* names that may be present and carry no weights; NULL-terminated */
    lb_program_text program;     /* its parameters are `ours` without the block's number */
} lb_family;
extern const lb_family lb_families[];
extern const int lb_families_count;
const lb_family *lb_family_of(const lb_arch *a); /* by a->family */
/* The row of a tensor of that role, of the blocks or outside of them; NULL: the family has none. */
const lb_tensor_map *lb_family_tensor(const lb_family *f, const char *role, bool in_block);
int64_t lb_extent_of(const lb_arch *a, lb_extent e);
const char *lb_extent_name(lb_extent e); /* "heads*head_dim" */
/* pattern with '#' replaced by block (which a pattern without one ignores). */
void lb_map_name(const char *pattern, int64_t block, char *out, size_t size);
/* Does `name` fit the pattern? *block is its number, -1 for a pattern without one. */
bool lb_map_match(const char *pattern, const char *name, int64_t *block);

/* The numbers make sense together (positive, heads divisible, even head_dim, within 32-bit products): LB_E_FORMAT or
 * LB_E_UNSUPPORTED naming the field; `whose` starts the message. */
LB_NODISCARD lb_status lb_arch_check(const lb_arch *a, const char *whose);
/* The family's program made concrete for it (arch_net.c); everything in the arena. */
LB_NODISCARD lb_status lb_arch_net(lb_arena *a, const lb_arch *arch, const lb_net **out);

#endif

/* Architecture descriptors: a model family is a row of data. */
#ifndef LB_MODEL_ARCH_H
#define LB_MODEL_ARCH_H

#include "math/actquant.h"
#include "math/bf16.h"
#include "math/mat.h"
#include "model/program.h"

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

/* The linears of a block and the inputs that they read. */
typedef enum lb_linear { LB_Q, LB_K, LB_V, LB_O, LB_GATE, LB_UP, LB_DOWN, LB_LINEARS } lb_linear;
typedef enum lb_input { LB_IN_ATTN, LB_IN_O, LB_IN_MLP, LB_IN_DOWN, LB_INPUTS } lb_input;
extern const char *const lb_linear_name[LB_LINEARS]; /* "q", "k", "v", "o", "gate", "up", "down" */
lb_input lb_linear_input(lb_linear l);
void lb_linear_shape(const lb_arch *a, lb_linear l, int64_t *rows, int64_t *cols); /* (out, in) */
int64_t lb_input_width(const lb_arch *a, lb_input i);

/* Where the rows of a matrix come from that is not in memory as float32: a mapped tensor, a compressed layer. read
 * gives rows [row, row + rows) as float32, out (rows, cols); the same numbers whoever asks, from any thread. */
typedef struct lb_rows_source {
    lb_status (*read)(const void *ctx, int64_t row, int64_t rows, float *out);
    const void *ctx;
} lb_rows_source;

/* Weights as views (never owned): a cell copies the structs and swaps pointers. All float32. A matrix whose d is NULL
 * is not in memory: model/weights.h brings it there. */
typedef struct lb_block {
    lb_cmat w[LB_LINEARS];
    lb_rows_source from[LB_LINEARS];   /* of matrices that are not in memory */
    lb_bf16_mat half[LB_LINEARS];      /* rounded, for products in bfloat16; d NULL: products in float32 */
    lb_actquant act[LB_LINEARS];       /* simulated quantization of that linear's input; bits 0: none */
    const float *attn_norm, *mlp_norm; /* (dim) */
} lb_block;
typedef struct lb_weights {
    lb_cmat embed; /* (vocab, dim) */
    lb_cmat head;  /* (vocab, dim); the embedding's view if tied */
    lb_rows_source embed_from, head_from;
    const float *final_norm; /* (dim) */
    lb_block *blocks;        /* (layers) */
} lb_weights;
/* A copy of the structs (not of the numbers) whose pointers may be changed. */
LB_NODISCARD lb_status lb_weights_clone(lb_arena *a, const lb_arch *arch, const lb_weights *w, lb_weights *out);

/* Every linear, by one running number: layers in order, within a layer in lb_linear order, then "head" if untied or if
 * asked. */
#define LB_LAYER_NAME 48
void lb_layer_name(int64_t block, lb_linear l, char out[LB_LAYER_NAME]); /* "3.down" */

/* A family as data: its names in the two file formats and the tensors it must have, no more and no less. '#' stands for
 * the block's number. */
typedef enum lb_extent { LB_EXT_ONE, LB_EXT_DIM, LB_EXT_HIDDEN, LB_EXT_VOCAB, LB_EXT_Q, LB_EXT_KV } lb_extent;
typedef struct lb_tensor_map {
    const char *ours, *hf, *gguf; /* "#.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight" */
    lb_extent rows, cols;         /* LB_EXT_ONE rows: a vector */
} lb_tensor_map;
typedef struct lb_family {
    const char *name, *summary;
    const char *hf_class, *hf_type, *gguf_arch; /* "LlamaForCausalLM", "llama", "llama" */
    lb_rope_layout hf_rope, gguf_rope;
    const lb_tensor_map *tensor; /* in the order embed, final_norm, head, attn_norm, mlp_norm, then lb_linear's */
    const char *const *harmless; /* names that may be present and carry no weights; NULL-terminated */
    lb_program_text program;     /* its parameters are `ours` without the block's number */
} lb_family;
enum { LB_MAP_EMBED, LB_MAP_FINAL_NORM, LB_MAP_HEAD, LB_MAP_ATTN_NORM, LB_MAP_MLP_NORM, LB_MAP_LINEAR };
#define LB_MAPS (LB_MAP_LINEAR + LB_LINEARS)
extern const lb_family lb_families[];
extern const int lb_families_count;
const lb_family *lb_family_of(const lb_arch *a); /* by a->family */
int64_t lb_extent_of(const lb_arch *a, lb_extent e);
const char *lb_extent_name(lb_extent e); /* "heads*head_dim" */
/* pattern with '#' replaced by block (which a pattern without one ignores). */
void lb_map_name(const char *pattern, int64_t block, char *out, size_t size);
/* Does `name` fit the pattern? *block is its number, -1 for a pattern without one. */
bool lb_map_match(const char *pattern, const char *name, int64_t *block);

/* The numbers make sense together (positive, heads divisible, even head_dim, within 32-bit products): LB_E_FORMAT or
 * LB_E_UNSUPPORTED naming the field; `whose` starts the message. */
LB_NODISCARD lb_status lb_arch_check(const lb_arch *a, const char *whose);

#endif

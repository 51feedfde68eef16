/* Architecture descriptors: a model family is a row of data. */
#ifndef LB_MODEL_ARCH_H
#define LB_MODEL_ARCH_H

#include "math/actquant.h"
#include "math/mat.h"

typedef enum lb_rope_layout {
    LB_ROPE_HALVES,
    LB_ROPE_PAIRS
} lb_rope_layout; /* (i, i + d/2) as in Hugging Face; (2i, 2i+1) as in GGUF llama files */

typedef struct lb_arch {
    const char *family; /* "llama" */
    int64_t layers, dim, hidden, heads, kv_heads, head_dim, vocab, context;
    double rope_base, norm_eps;
    lb_rope_layout rope;
    bool tied; /* head = embedding */
} lb_arch;

/* The linears of a block and the inputs that they read. */
typedef enum lb_linear { LB_Q, LB_K, LB_V, LB_O, LB_GATE, LB_UP, LB_DOWN, LB_LINEARS } lb_linear;
typedef enum lb_input { LB_IN_ATTN, LB_IN_O, LB_IN_MLP, LB_IN_DOWN, LB_INPUTS } lb_input;
extern const char *const lb_linear_name[LB_LINEARS]; /* "q", "k", "v", "o", "gate", "up", "down" */
lb_input lb_linear_input(lb_linear l);
void lb_linear_shape(const lb_arch *a, lb_linear l, int64_t *rows, int64_t *cols); /* (out, in) */
int64_t lb_input_width(const lb_arch *a, lb_input i);

/* Weights as views (never owned): a cell copies the structs and swaps pointers. All float32. */
typedef struct lb_block {
    lb_cmat w[LB_LINEARS];
    lb_actquant act[LB_LINEARS];       /* simulated quantization of that linear's input; bits 0: none */
    const float *attn_norm, *mlp_norm; /* (dim) */
} lb_block;
typedef struct lb_weights {
    lb_cmat embed;           /* (vocab, dim) */
    lb_cmat head;            /* (vocab, dim); the embedding's view if tied */
    const float *final_norm; /* (dim) */
    lb_block *blocks;        /* (layers) */
} lb_weights;
/* A copy of the structs (not of the numbers) whose pointers may be changed. */
LB_NODISCARD lb_status lb_weights_clone(lb_arena *a, const lb_arch *arch, const lb_weights *w, lb_weights *out);

/* Every linear, by one running number: layers in order, within a layer in lb_linear order, then "head" if untied or if
 * asked. */
#define LB_LAYER_NAME 48
void lb_layer_name(int64_t block, lb_linear l, char out[LB_LAYER_NAME]); /* "3.down" */

#endif

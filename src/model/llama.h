/* A Llama's block with its linears under names of their own: what the hand-written passes work on. They are reached
 * through exec.h and backward.h alone, which find the sites of a net by their roles. */
#ifndef LB_MODEL_LLAMA_H
#define LB_MODEL_LLAMA_H

#include "model/arch.h"
#include "model/exec.h"

typedef enum lb_linear { LB_Q, LB_K, LB_V, LB_O, LB_GATE, LB_UP, LB_DOWN, LB_LINEARS } lb_linear;
typedef enum lb_input { LB_IN_ATTN, LB_IN_O, LB_IN_MLP, LB_IN_DOWN, LB_INPUTS } lb_input;
static inline lb_input lb_linear_input(lb_linear l) {
    static const lb_input reads[LB_LINEARS] = {LB_IN_ATTN, LB_IN_ATTN, LB_IN_ATTN, LB_IN_O,
                                               LB_IN_MLP,  LB_IN_MLP,  LB_IN_DOWN};
    return reads[l];
}

/* Where a net has them. */
typedef struct lb_llama_block {
    int32_t site[LB_LINEARS], input[LB_INPUTS], attn_norm, mlp_norm;
} lb_llama_block;
typedef struct lb_llama {
    lb_arch arch;
    const lb_net *net;
    const lb_llama_block *block; /* (layers) */
    int32_t final_norm;
} lb_llama;
/* LB_E_UNSUPPORTED: a net that is no Llama's. */
LB_NODISCARD lb_status lb_llama_of(lb_arena *a, const lb_net *n, lb_llama *out);

/* A block of weights. */
typedef struct lb_block {
    lb_cmat w[LB_LINEARS];
    lb_bf16_mat half[LB_LINEARS];
    lb_actquant act[LB_LINEARS];
    const float *attn_norm, *mlp_norm; /* (dim) */
} lb_block;
/* x (n, dim): rows of the table of embeddings. LB_E_ARG: a token out of range. */
LB_NODISCARD lb_status lb_llama_embed(const lb_net *net, const lb_weights *w, const int32_t *tokens, int64_t n,
                                      lb_mat x);
lb_block lb_llama_weights(const lb_llama *m, const lb_weights *w, int64_t block);

#endif

/* A Llama by plain loops in float64, written from the definitions: what the walker, its statistics and the evaluations
 * are held against. Shares nothing with src/ but the descriptors and the names of layers. Every pointer that is
 * returned is the caller's to free. */
#ifndef LB_TESTS_PLAIN_LLAMA_H
#define LB_TESTS_PLAIN_LLAMA_H

#include <stdbool.h>

#include "model/model.h"

typedef enum plain_name {
    PLAIN_Q,
    PLAIN_K,
    PLAIN_V,
    PLAIN_O,
    PLAIN_GATE,
    PLAIN_UP,
    PLAIN_DOWN,
    PLAIN_LINEARS
} plain_name;
typedef enum plain_input { PLAIN_IN_ATTN, PLAIN_IN_O, PLAIN_IN_MLP, PLAIN_IN_DOWN, PLAIN_INPUTS } plain_input;
extern const char *const plain_names[PLAIN_LINEARS]; /* "q", "k", ... */

typedef struct plain_linear {
    lb_cmat W;
    lb_actquant act; /* of its input; bits 0: none */
} plain_linear;

typedef struct plain_block {
    plain_linear linear[PLAIN_LINEARS];
    const float *attn_norm, *mlp_norm;
} plain_block;

/* The hidden states of several sequences on their way through the blocks. */
typedef struct plain_walk {
    lb_arch arch;
    int64_t samples, length;
    double *x; /* (samples * length, dim) */
} plain_walk;

/* A block of weights that are in memory. */
plain_block plain_block_of(const lb_net *n, const lb_weights *w, int64_t block);

plain_walk plain_walk_start(const lb_arch *a, lb_cmat embed, const int32_t *tokens, int64_t samples, int64_t length);
void plain_walk_end(plain_walk *p);
/* XᵀX / tokens (width, width) of an input of the block with these weights; the states stay where they are. */
double *plain_walk_hessian(const plain_walk *p, const plain_block *b, plain_input i);
/* The rows themselves: (samples * length, width). */
double *plain_walk_rows(const plain_walk *p, const plain_block *b, plain_input i);
double *plain_walk_head_rows(const plain_walk *p, const float *final_norm);
void plain_walk_advance(plain_walk *p, const plain_block *b);
/* The same of the head's input. */
double *plain_walk_head_hessian(const plain_walk *p, const float *final_norm);
/* log softmax (samples * length, vocab) of the head, after the last block. */
double *plain_walk_log_p(const plain_walk *p, const float *final_norm, lb_cmat head);

/* tr(D H Dᵀ), D = a - b, or = a where b.d is NULL. */
double plain_trace(lb_cmat a, lb_cmat b, const double *H);
double plain_squares(lb_cmat a, lb_cmat b);

#endif

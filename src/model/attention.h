/* Causal grouped-query attention of one sequence in tiles, with a running maximum and sum for each row (the online
 * softmax of Milakov & Gimelshein 2018, arXiv:1805.02867, as in FlashAttention): memory does not grow with T x T, and
 * tiles above the diagonal are never computed. */
#ifndef LB_MODEL_ATTENTION_H
#define LB_MODEL_ATTENTION_H

#include "math/mat.h"
#include "model/arch.h"

#define LB_ATTENTION_KEYS 512 /* keys a tile */

typedef struct lb_attention {
    int64_t queries, length; /* positions a tile, which divides LB_ATTENTION_KEYS; the longest sequence */
    float *k;                /* (ceil(length / PANEL), head_dim, PANEL): one head's keys, transposed */
    float *v;                /* (length, head_dim): its values */
    float *q, *s, *o;        /* (group * queries, head_dim), (group * queries, LB_ATTENTION_KEYS), like q */
    float *max;              /* (group * queries) running row maxima; group = heads / kv_heads */
    float *shrink;           /* (group * queries) exp(old maximum - new maximum) */
    double *sum;             /* (group * queries) running sums of exp(s - max) */
} lb_attention;
LB_NODISCARD lb_status lb_attention_new(lb_arena *a, const lb_arch *arch, int64_t length, lb_attention *out);

/* q (T, heads * head_dim), rotated, becomes the attention's output; k, v (T, kv_heads * head_dim), k rotated. */
void lb_attention_run(const lb_arch *arch, const lb_attention *w, lb_mat q, lb_cmat k, lb_cmat v);

#endif

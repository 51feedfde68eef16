/* Causal grouped-query attention of one sequence in tiles, with a running maximum and sum for each row (the online
 * softmax of Milakov & Gimelshein 2018, arXiv:1805.02867, as in FlashAttention): memory does not grow with T x T, and
 * tiles that no query of a tile sees are never computed. */
#ifndef LB_MODEL_ATTENTION_H
#define LB_MODEL_ATTENTION_H

#include "math/mat.h"

#define LB_ATTENTION_KEYS 512 /* keys a tile */

/* What is computed: softmax(cap tanh((scale q kᵀ + bias) / cap)) v. */
typedef struct lb_attend {
    int64_t heads, kv_heads, head_dim;
    float scale;
    float cap;      /* 0: scores stay as they are */
    int64_t window; /* keys that a query sees, its own included; 0: all before it */
    bool bias;      /* lb_attention.bias is added to the scores */
    bool add;       /* += */
} lb_attend;

/* What one thread needs. */
typedef struct lb_attention {
    int64_t length;   /* the longest sequence */
    int64_t head;     /* the key head that is in k, v (and bias); -1: none */
    float *k;         /* (ceil(length / PANEL), head_dim, PANEL): one head's keys, transposed */
    float *v;         /* (length, head_dim): its values */
    float *q, *s, *o; /* (group * queries, head_dim), (group * queries, LB_ATTENTION_KEYS), like q */
    float *max;       /* (group * queries) running row maxima; group = heads / kv_heads */
    float *shrink;    /* (group * queries) exp(old maximum - new maximum) */
    double *sum;      /* (group * queries) running sums of exp(s - max) */
    double *bias;     /* (group, length) of a key, by query head; NULL where nobody adds any */
} lb_attention;
/* Room for any of the `n` kinds of attention. */
LB_NODISCARD lb_status lb_attention_new(lb_arena *a, const lb_attend *kinds, int n, int64_t length, lb_attention *out);

/* Queries a tile: few enough that the query heads of a key head make one tile of scores that stays in the cache, and a
 * divisor of LB_ATTENTION_KEYS. */
int64_t lb_attention_queries(const lb_attend *a);
/* Key head g of k, v (T, kv_heads * head_dim). */
void lb_attention_take(const lb_attend *a, lb_attention *w, int64_t g, lb_cmat k, lb_cmat v);
/* Queries q0 .. q0 + n - 1 of the heads that read the key head that was taken: n at most lb_attention_queries, q0 a
 * multiple of that. q, out (T, heads * head_dim), out may be q. received: NULL, or (q0 + n) to which is added what
 * these queries' softmaxes give each key, which takes the scores once more. */
void lb_attention_tile(const lb_attend *a, const lb_attention *w, int64_t q0, int64_t n, lb_cmat q, lb_mat out,
                       double *received);
/* All of it on this thread, without bias. */
void lb_attention_run(const lb_attend *a, lb_attention *w, lb_cmat q, lb_cmat k, lb_cmat v, lb_mat out);

#endif

/* Pieces of the forward pass (exec.h): the head, the reference. */
#ifndef LB_MODEL_FORWARD_H
#define LB_MODEL_FORWARD_H

#include "base/team.h"
#include "model/exec.h"

/* The output head (vocab, dim): logits y = scale ((T x) Wᵀ + b), then cap tanh(y / cap) where there is a cap. */
typedef struct lb_head {
    lb_cmat W;
    lb_rows_source from;     /* W.d NULL */
    lb_transform T;          /* of the states h */
    const float *bias;       /* (vocab), or NULL */
    float scale, cap;        /* cap 0: none */
    lb_bf16 *bf16;           /* NULL: logits by products in float32 */
    const lb_bf16_mat *half; /* its rounded chunks of rows; NULL: each is rounded when its turn comes */
} lb_head;
lb_head lb_head_of(const lb_net *n, const lb_weights *w);
static inline lb_head lb_head_at(lb_cmat W) { return (lb_head){.W = W, .scale = 1.0f}; }
/* Logits by products in bfloat16 from here on. Its chunks are rounded now, over the team, into the arena. */
LB_NODISCARD lb_status lb_head_round(lb_head *head, lb_bf16 *c, lb_arena *a, lb_team *team);
/* From final-normed states h (rows, dim): nll[i] = -log softmax(h_i headᵀ)[target[i]], float64 log-sum-exp, in chunks
 * of rows and vocabulary, never all logits. target < 0: skipped (nll 0). top1 (may be NULL): the argmax, lowest id on a
 * tie. */
LB_NODISCARD lb_status lb_head_nll(lb_head head, lb_cmat h, const int32_t *target, double *nll, int32_t *top1);
/* The same for rows [first, first + rows) alone, `first` a multiple of LB_HEAD_ROWS: the same bytes as all at once. */
enum { LB_HEAD_ROWS = 512 };
LB_NODISCARD lb_status lb_head_nll_rows(lb_head head, lb_cmat h, const int32_t *target, int64_t first, int64_t rows,
                                        double *nll, int32_t *top1);
/* KL(P || Q) in nats for each row, P from (h0, head0), Q from (h1, head1); also NLL of Q and whether the argmaxes
 * agree. */
LB_NODISCARD lb_status lb_head_kl(lb_head head0, lb_cmat h0, lb_head head1, lb_cmat h1, const int32_t *target,
                                  double *nll, double *kl, uint8_t *agree);
/* accept (may be NULL), which costs the logits once more: the sum over the vocabulary of min(P, Q), how often P takes
 * what Q drafts in speculative decoding (Leviathan et al. 2023, arXiv:2211.17192, corollary 3.6). */
LB_NODISCARD lb_status lb_head_kl_rows(lb_head head0, lb_cmat h0, lb_head head1, lb_cmat h1, const int32_t *target,
                                       int64_t first, int64_t rows, double *nll, double *kl, uint8_t *agree,
                                       double *accept);
/* All logits (vocab) of one row h (1, dim), in float32, over the team. */
LB_NODISCARD lb_status lb_head_row(const lb_head *head, lb_cmat h, lb_team *team, float *logits);
/* All logits (rows, vocab) of a head in memory and without T, in float32: for tests and small outputs. */
void lb_head_logits(const lb_head *head, lb_cmat h, lb_mat logits);

/* Whole model, one sequence, plain loops and no tiles: the reference that tests hold the others against
 * (float64 throughout, quantized inputs too: their codes may differ where a number is half-way between two). h (T, dim)
 * final-normed. */
LB_NODISCARD lb_status lb_forward_ref(const lb_net *net, const lb_weights *w, const int32_t *tokens, int64_t n,
                                      lb_mat h);

#endif

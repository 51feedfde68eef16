/* The trainer behind quant/trainer.h: draws batches from a corpus, runs lb_loss_gradients, keeps the curve. */
#ifndef LB_EVAL_TRAIN_H
#define LB_EVAL_TRAIN_H

#include "model/backward.h"
#include "model/corpus.h"
#include "quant/method.h"

typedef struct lb_curve {
    int64_t n, cap;
    int64_t *step;
    double *total, *next_token, *kl, *lr, *grad_norm;
} lb_curve;

/* quantize[i] and layer_opts[i] for linears in running order (layers * LB_LINEARS); NULL: none quantized. batches are
 * windows of the corpus at random starts drawn from (seed, step). w0: the original weights. */
LB_NODISCARD lb_status lb_trainer_new(lb_arena *a, const lb_arch *arch, const lb_weights *w0, const lb_corpus *corpus,
                                      const bool *quantize, const void *const *layer_opts, uint64_t seed, lb_team *team,
                                      lb_log *log, lb_trainer **out);
const lb_curve *lb_trainer_curve(const lb_trainer *t);
/* The trained result as weights: dequantized layers and changed tensors over w0's structs. */
LB_NODISCARD lb_status lb_trainer_install(lb_arena *a, const lb_arch *arch, const lb_weights *w0, const lb_trainer *t,
                                          const lb_model_out *m, lb_weights *out);

#endif

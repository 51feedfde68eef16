/* The trainer behind quant/trainer.h: draws batches from a corpus, runs lb_loss_gradients, keeps the curve. */
#ifndef LB_EVAL_TRAIN_H
#define LB_EVAL_TRAIN_H

#include "model/backward.h"
#include "model/corpus.h"
#include "quant/method.h"
#include "result/record.h"

/* quantize[i] and layer_opts[i] of site i, read for those of blocks; NULL: none quantized. batches are windows of the
 * corpus at random starts drawn from (seed, step). w0: the original weights. */
LB_NODISCARD lb_status lb_trainer_new(lb_arena *a, const lb_net *n, const lb_weights *w0, const lb_corpus *corpus,
                                      const bool *quantize, const void *const *layer_opts, uint64_t seed, lb_team *team,
                                      lb_log *log, lb_trainer **out);
/* The param of that name; "embed" and "head" are the same one if tied. NULL: none. */
lb_param *lb_trainer_find(const lb_trainer *t, const char *name);
/* Marks the embedding or the head, which the arrays above do not hold, as quantized. LB_E_ARG: no param of that name.
 */
LB_NODISCARD lb_status lb_trainer_quantize(lb_trainer *t, const char *name, const void *layer_opts);
/* Before the first step: experts come to share the tokens (lb_backward_balance); and how far they do, in the last one.
 */
void lb_trainer_balance(lb_trainer *t, double coefficient);
double lb_trainer_balanced(const lb_trainer *t);
const lb_curve *lb_trainer_curve(const lb_trainer *t);
/* From now on `watch` hears of every recorded step; what it returns ends the training. */
typedef lb_status lb_train_watch(void *user, int64_t step);
void lb_trainer_watch(lb_trainer *t, lb_train_watch *watch, void *user);
/* The tensors that training changed, over w0's structs. Not copied: they live in the trainer's arena. Compressed layers
 * stay w0's: whoever calls installs them, from the bytes that they are stored as. */
LB_NODISCARD lb_status lb_trainer_install(lb_arena *a, const lb_net *n, const lb_weights *w0, const lb_trainer *t,
                                          const lb_model_out *m, lb_weights *out);

/* A text that the training does not see, whose loss is measured on the way. */
typedef struct lb_validation {
    const lb_corpus *corpus;
    int64_t every;   /* steps from one measurement to the next, at least 1 */
    int64_t windows; /* the first so many, as long as the training's sequences, all tokens but the first scored (W2);
                        0: all */
} lb_validation;
/* To be called before the first step. The curve gets the mean NLL at params[].w before the first step and then before
 * every so manieth: at the weights, and with the quantized inputs, that this step's gradients are of; in float32. The
 * training is what it would be without: nothing is drawn, no weight and no gradient written. What overflows is not
 * measured: NaN, with a warning. */
void lb_trainer_validate(lb_trainer *t, const lb_validation *v);
/* When the method has returned: the last point, at w, what came of it. Nothing without the call above. */
LB_NODISCARD lb_status lb_trainer_validate_last(lb_trainer *t, const lb_weights *w);

#endif

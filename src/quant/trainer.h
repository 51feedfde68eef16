/* What a model-scope method (QAT, finetune) sees of the network: parameters, gradients, a curve. Implemented by
 * eval/trainer.c. The method owns latent weights and the optimizer; it writes the weights to use into params[].w and
 * asks for gradients at them. */
#ifndef LB_QUANT_TRAINER_H
#define LB_QUANT_TRAINER_H

#include "base/log.h"
#include "base/team.h"
#include "quant/layer.h"

typedef enum lb_param_kind { LB_PARAM_LINEAR, LB_PARAM_NORM, LB_PARAM_EMBED, LB_PARAM_HEAD } lb_param_kind;

typedef struct lb_param {
    const char *name; /* "3.down", "3.attn_norm", "embed", "final_norm", "head" */
    lb_param_kind kind;
    int64_t rows, cols; /* norms: (1, dim) */
    const float *w0;    /* (rows, cols) the original values, read-only */
    float *w;           /* (rows, cols) what the next forward uses; starts as w0 */
    float *grad;        /* (rows, cols) d loss / d w of the last call; only if wanted */
    bool wanted;        /* set by the method before the first call: compute this gradient */
    bool quantize;      /* a matrix that the rules and options say to quantize (linear, embedding or head) */
    const void
        *layer_opts; /* the method's options for this layer after per-layer rules; of the method's option struct */
} lb_param;

typedef struct lb_train_request {
    int64_t step;          /* with the seed decides which sequences are drawn */
    int64_t batch, length; /* sequences x tokens */
    double kl_weight;      /* loss = (1 - kl_weight) * next-token cross entropy + kl_weight * KL(original || this) */
    lb_actquant act;       /* fake-quantized inputs of the quantized linears, straight-through; bits 0: none */
} lb_train_request;

typedef struct lb_train_loss {
    double total, next_token, kl;
    int64_t tokens;
} lb_train_loss; /* means in nats a token */

typedef struct lb_trainer lb_trainer;
struct lb_trainer {
    lb_param *params;
    int64_t n_params;
    uint64_t seed;
    lb_arena *arena; /* lives as long as the training */
    lb_team *team;
    lb_log *log;
    int64_t context; /* the model's longest sequence */
    /* Gradients (overwritten, not accumulated) of the loss over one drawn batch at params[].w. Where a held-out text is
     * looked at, a step's first call also measures its loss there: the method has nothing to do with it. */
    lb_status (*gradients)(lb_trainer *t, const lb_train_request *r, lb_train_loss *loss);
    /* One point of the curve that the result keeps. */
    lb_status (*record)(lb_trainer *t, int64_t step, const lb_train_loss *loss, double learning_rate, double grad_norm);
    void *impl;
};

/* What a model-scope method returns: one compressed layer for each param with quantize whose spec is a grid or a
 * codebook (in params order, others all-zero), and for every other param that changed its new values, finite (NULL:
 * unchanged). Arrays of n_params. */
typedef struct lb_model_out {
    lb_layer *layer;
    float **changed;
} lb_model_out;

#endif

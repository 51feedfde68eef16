/* The tiny Llama of tests/oracle/make_grads.py: 2 blocks, 16 wide, untied or tied, with its tokens. */
#ifndef LB_TESTS_TINY_H
#define LB_TESTS_TINY_H

#include "eval/train.h"
#include "io/safetensors.h"
#include "model/arch.h"
#include "model/backward.h"

enum { TINY_BATCH = 8, TINY_LENGTH = 70 };

typedef struct tiny {
    lb_safetensors *model, *grads;
    lb_arena *arena;
    lb_team *team;
    lb_arch arch;
    const lb_net *net;
    lb_weights weights; /* of float arrays that may be changed */
    int32_t *tokens;    /* (TINY_BATCH, TINY_LENGTH) */
} tiny;

tiny tiny_open(bool tied, int threads);
void tiny_close(tiny *t);
/* The tensor, or the test fails naming it. */
const lb_tensor *tiny_find(const lb_safetensors *s, const char *name);
lb_safetensors *tiny_fixture(const char *name); /* of the same folder */
/* The Hugging Face name of a tensor. */
void tiny_hf_name(const tiny *t, int32_t slot, char out[128]);
/* Room for every gradient. */
void tiny_grads(tiny *t, lb_grads *g);
/* The gradient of the tensor with this Hugging Face name. */
float *tiny_gradient(const tiny *t, const lb_grads *g, const char *hf_name);
/* The site of that name, or the test fails. */
int32_t tiny_site(const tiny *t, const char *name);
/* A copy of the weights times a number. */
void tiny_scaled(tiny *t, float times, lb_weights *out);
/* What training made: changed tensors, and compressed layers dequantized. */
LB_NODISCARD lb_status tiny_trained(tiny *t, const lb_trainer *tr, const lb_model_out *m, lb_weights *out);
/* Rows of q and k in the order of the pairs layout, arch.rope with them; and their gradients back. */
void tiny_to_pairs(tiny *t);
void tiny_grads_from_pairs(const tiny *t, lb_grads *g);

#endif

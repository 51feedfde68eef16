/* Small Llamas for the model's tests: the fixtures of tests/oracle/make_llama.py and random ones, and whole passes. */
#ifndef LB_TESTS_LLAMA_H
#define LB_TESTS_LLAMA_H

#include "model/forward.h"
#include "model/model.h"

/* A random model with weights large enough for attention to be far from uniform. Fields not
 * given in `a` (base, epsilon, context) get usual values. lb_model_close. */
lb_model *llama_random(lb_arch a, uint64_t seed);
/* A Llama's sizes, as a model was opened with. */
lb_arch llama_arch(const lb_model *m);
/* Final-normed states of one sequence by the fast path (T, dim), test fails on an error; free with lb_free. */
lb_mat llama_states(const lb_model *m, const int32_t *tokens, int64_t n);
/* By name ("1.down", "0.mlp_norm"); the test fails where there is none. */
lb_linop *llama_site(const lb_model *m, const char *name);
const float *llama_vector(const lb_model *m, const char *name);
/* Token ids below vocab from a seed; lb_free. */
int32_t *llama_tokens(uint64_t seed, int64_t n, int64_t vocab);
/* The largest |x - y| over two matrices of one shape; NaN counts as infinite. */
double llama_worst(lb_cmat x, lb_cmat y);

/* Expected tokens (T) and logits (T, vocab) of a fixture; both from the arena. */
void llama_expected(lb_arena *a, const char *name, int32_t **tokens, lb_mat *logits);

/* Calls f under each kernel variant that this CPU has, then goes back to the automatic choice. */
void llama_each_kernel(void (*f)(void *ctx, const char *kernel), void *ctx);
/* Makes the 1st, 2nd, ... allocation fail until f succeeds; f must return LB_E_NOMEM before. Returns how many failed.
 */
int64_t llama_fail_each_allocation(lb_status (*f)(void *ctx), void *ctx);

#endif

/* What tests of perplexity share: two small Llamas of random weights, random tokens as a text, and the reference's
 * logits. */
#ifndef TESTS_SUPPORT_PERPLEXITY_KIT_H
#define TESTS_SUPPORT_PERPLEXITY_KIT_H

#include "eval/perplexity.h"
#include "model/model.h"
#include "support/support.h"

enum { VOCAB = 40, TOKENS = 135, N = 16, DIM = 12 }; /* N: tokens of the longest window */

typedef struct world {
    lb_model *m, *other;
    int32_t *tokens;
    lb_corpus corpus;
    lb_arena *arena;
    char states[LB_TEST_PATH]; /* a file's name */
} world;
int make_world(void **state);
int free_world(void **state);
lb_eval_request request(const world *w, const char *protocol);
lb_eval evaluate(world *w, const lb_model *m, const lb_eval_request *r, int threads);
/* Log-probabilities (n, VOCAB) by the reference pass, n at most N. */
void log_probs(const lb_model *m, const int32_t *tokens, int64_t n, double *out);
void close_to(double got, double want, double relative);

#endif

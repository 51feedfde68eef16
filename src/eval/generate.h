/* Text from a model, a token at a time: the most probable one, or one that is drawn. */
#ifndef LB_EVAL_GENERATE_H
#define LB_EVAL_GENERATE_H

#include "base/team.h"
#include "model/corpus.h"
#include "model/exec.h"

/* temperature 0: the most probable token, the lowest id on a tie; else one of softmax(logits / temperature), among the
 * most probable ones whose sum first reaches top_p (Holtzman et al. 2020, arXiv:1904.09751). One uniform number for
 * each token that has a choice. */
typedef struct lb_sampling {
    double temperature, top_p; /* at least 0; (0, 1], of no matter at temperature 0 */
    uint64_t seed;
} lb_sampling;
typedef struct lb_sampler lb_sampler;
LB_NODISCARD lb_status lb_sampler_new(lb_arena *a, const lb_sampling *s, int64_t vocab, lb_sampler **out);
/* What may come next: ids, the most probable one first where top_p is below 1, and what each weighs in the draw; the
 * list stays the sampler's. LB_E_NUMERIC: a logit is NaN or infinite. */
typedef struct lb_choice {
    double p; /* of a sum that is not 1 */
    int32_t id;
} lb_choice;
LB_NODISCARD lb_status lb_sampler_choices(lb_sampler *s, const float *logits, const lb_choice **out, int64_t *n);
LB_NODISCARD lb_status lb_sampler_next(lb_sampler *s, const float *logits, int32_t *id);

/* What a command or a config asks for, in fields of these names of a struct T: int64_t tokens, seed; double
 * temperature, top_p. */
#define LB_GENERATE_OPTIONS(T)                                                                                         \
    {"tokens", LB_OPT_INT, "64", 1, 1e6, NULL, "tokens to add at most", offsetof(T, tokens)},                          \
        {"temperature",                                                                                                \
         LB_OPT_FLOAT,                                                                                                 \
         "0",                                                                                                          \
         0,                                                                                                            \
         1000,                                                                                                         \
         NULL,                                                                                                         \
         "0: always the most probable token; else one is drawn from softmax(logits / temperature)",                    \
         offsetof(T, temperature)},                                                                                    \
        {"top_p",                                                                                                      \
         LB_OPT_FLOAT,                                                                                                 \
         "1",                                                                                                          \
         1e-9,                                                                                                         \
         1,                                                                                                            \
         NULL,                                                                                                         \
         "draws among the most probable tokens whose probabilities first add up to this",                              \
         offsetof(T, top_p)},                                                                                          \
    {                                                                                                                  \
        "seed", LB_OPT_INT, "0", 0, 9e15, NULL, "of the draws", offsetof(T, seed)                                      \
    }

typedef struct lb_generate_request {
    const int32_t *prompt; /* (n_prompt), at least one */
    int64_t n_prompt;
    int64_t most; /* tokens to add, fewer where lb_session_reach ends */
    int32_t eos;  /* ends the text, and is no part of it; -1: none does */
    lb_sampling sampling;
    bool hold; /* weights that are not in memory come there once; else for each token, block by block */
    void (*token)(void *user, int32_t id); /* each as it comes, on the calling thread; or NULL */
    void *user;
} lb_generate_request;

typedef enum lb_generate_end { LB_END_MOST, LB_END_EOS, LB_END_CONTEXT } lb_generate_end;
typedef struct lb_generation {
    int32_t *token; /* (n) */
    int64_t n;
    double prefill_s; /* until the first token is known, without the time to bring weights to memory once */
    double decode_s;  /* from there to the last one */
    lb_generate_end end;
} lb_generation;
/* Beforehand, what lb_generate asks of a prompt. */
LB_NODISCARD lb_status lb_generate_check(const lb_net *n, int64_t n_prompt);
/* In float32. Same tokens at any number of threads.
 * errors  LB_E_CONFIG the prompt leaves no room */
LB_NODISCARD lb_status lb_generate(const lb_net *n, const lb_weights *w, const lb_generate_request *r, lb_team *team,
                                   lb_arena *a, lb_generation *out);

double lb_tokens_a_second(const lb_generation *g); /* behind the first; NaN: there is but one */

/* A prompt's tokens, BOS before them where one is put; special tokens in it are tokens.
 * errors  LB_E_UNSUPPORTED there is no BOS to put */
LB_NODISCARD lb_status lb_prompt_tokens(const lb_tokenizer *t, lb_bos bos, const char *text, size_t len, lb_arena *a,
                                        int32_t **out, int64_t *n);
/* What tokens behind a prompt say there: text (lb_free), without a NUL in it. */
LB_NODISCARD lb_status lb_text_behind(const lb_tokenizer *t, const int32_t *prompt, int64_t n_prompt,
                                      const int32_t *token, int64_t n, char **text, size_t *len);

#endif

/* What a protocol scores of a text, and what comes of it: windows, sums, figures. Nothing of how a model is run. */
#ifndef LB_EVAL_PERPLEXITY_WINDOWS_H
#define LB_EVAL_PERPLEXITY_WINDOWS_H

#include "eval/perplexity.h"

typedef struct lb_scored {
    const lb_protocol *protocol;
    const lb_corpus *corpus;
    lb_eval *out;
    int64_t most;       /* tokens scored in one window */
    int64_t *first;     /* (windows + 1) where the scored tokens of each begin among those of all */
    double *sum, *sum2; /* (windows) of nll and nll^2 */
    double *kl;         /* (scored tokens) or NULL */
    double *accept;     /* (scored tokens) or NULL */
} lb_scored;

/* LB_E_CONFIG: the model or the text cannot give such windows. */
LB_NODISCARD lb_status lb_scored_check(const lb_net *n, const lb_eval_request *r);
/* Room for what r asks for: of the result from `arena`, else from `scratch`. */
LB_NODISCARD lb_status lb_scored_begin(const lb_eval_request *r, lb_arena *scratch, lb_arena *arena, lb_eval *out,
                                       lb_scored *s);
lb_window lb_scored_window(const lb_scored *s, int64_t window);
int64_t lb_scored_count(const lb_scored *s, int64_t window); /* tokens scored in it, at least 1 */
/* token: as many as the window has. */
void lb_scored_tokens(const lb_scored *s, int64_t window, int32_t *token);
/* Of one window, in token order: nll and agree of each scored token; those of kl and accept stand in s. */
void lb_scored_sum(const lb_scored *s, int64_t window, const double *nll, const uint8_t *agree);
/* LB_E_NUMERIC: a mean NLL whose exponential overflows. */
LB_NODISCARD lb_status lb_scored_finish(const lb_scored *s);

#endif

/* What the model is asked for a task: sequences of tokens of which the last ones are scored. */
#ifndef LB_EVAL_TASKS_REQUESTS_H
#define LB_EVAL_TASKS_REQUESTS_H

#include "eval/tasks_forms.h"
#include "model/tokenizer/tokenizer.h"

typedef struct lb_task_pair {
    int32_t *token; /* (n + 1): the model reads n of them */
    int64_t n;
    int64_t from;   /* its rows from .. n - 1 predict the tokens after them */
    int64_t before; /* tokens of the context that the model's own is too short for, from its head */
} lb_task_pair;

typedef struct lb_task_encoder {
    const lb_tokenizer *tokenizer;
    bool bos;        /* one is put before each text that is encoded */
    int64_t context; /* of the model; 0: any */
    int64_t vocab;   /* rows of its embedding */
} lb_task_encoder;

/* As lm-evaluation-harness does it: white space at the context's end goes to the continuation; both are encoded as one
 * text, and what comes after as many tokens as the context alone has is scored (or both apart, without more ado);
 * before an empty context stands BOS, else EOS; what is longer than the model's context loses its beginning.
 * LB_E_FORMAT, after `where`: nothing to score, or more than the model's context holds. */
LB_NODISCARD lb_status lb_task_encode(const lb_task_encoder *e, lb_arena *a, const char *where,
                                      const lb_task_choice *choice, bool apart, lb_task_pair *out);

#endif

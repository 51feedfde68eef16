/* What is measured of a model on items that it answers rightly or not (eval/tasks). */
#ifndef LB_RESULT_TASKS_H
#define LB_RESULT_TASKS_H

#include <stdbool.h>
#include <stdint.h>

/* LAMBADA's texts: OpenAI's as it is; the same as the GPTQ authors' program changes it; the one that was first
 * published, in tokens apart; that one with its quotation marks as usual. */
typedef enum lb_lambada {
    LB_LAMBADA_OPENAI,
    LB_LAMBADA_NORMALIZED,
    LB_LAMBADA_STANDARD,
    LB_LAMBADA_DETOKENIZED
} lb_lambada;
extern const char *const lb_lambada_names[]; /* in that order; NULL-terminated */

/* Multiple choice: how an item of JSON lines becomes a prompt. MC-piqa, ... */
typedef enum lb_question {
    LB_QUESTION_HELLASWAG,
    LB_QUESTION_PIQA,
    LB_QUESTION_ARC,
    LB_QUESTION_WINOGRANDE,
    LB_QUESTION_OPENBOOKQA,
    LB_QUESTION_BOOLQ
} lb_question;
extern const char *const lb_question_names[]; /* in that order; NULL-terminated */
bool lb_question_has_norm(lb_question q);     /* accuracy by likelihood per character too */

/* Shares of items; standard errors are sqrt(p (1 - p) / (items - 1)), NaN for one item. */
typedef struct lb_task_result {
    int64_t items; /* 0: no task */
    double acc, acc_se;
    double acc_norm, acc_norm_se; /* by likelihood per character; NaN: the task has none */
    uint8_t *right, *right_norm;  /* (items) 0 or 1; right_norm NULL: none */
    /* Of multiple choice: those of item i are choice_nll[first[i]], ..., in nats, sums over the choice's tokens. */
    int64_t *first;     /* (items + 1), or NULL */
    double *choice_nll; /* (first[items]) */
} lb_task_result;
/* Accuracies from `right` and `right_norm`. */
void lb_task_count(lb_task_result *t);

#endif

/* The likelihood of what follows, for many sequences of their own lengths. */
#ifndef LB_EVAL_TASKS_SCORE_H
#define LB_EVAL_TASKS_SCORE_H

#include "base/log.h"
#include "base/team.h"
#include "eval/tasks_requests.h"
#include "math/bf16.h"
#include "model/exec.h"

typedef struct lb_task_scores {
    double *nll;     /* (pairs) in nats, summed over the scored tokens, float64 */
    uint8_t *greedy; /* (pairs) 1: each scored token is the most likely one, of equals the one with the lowest id */
} lb_task_scores;

/* Sequence by sequence over the team; where weights are not in memory, or products are in bfloat16, block by block for
 * some thousands of tokens at a time. The same bytes at any number of threads. LB_E_NUMERIC: logits that are NaN or
 * infinite, naming the sequence. */
LB_NODISCARD lb_status lb_task_score(const lb_net *net, const lb_weights *w, const lb_task_pair *pair, int64_t pairs,
                                     lb_compute compute, lb_team *team, lb_log *log, const char *what,
                                     const lb_task_scores *out);

#endif

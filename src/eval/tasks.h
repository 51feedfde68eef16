/* Tasks: LAMBADA (result/quality.h: LB_RULE_LAMB) and multiple choice (LB_RULE_CHOICE). */
#ifndef LB_EVAL_TASKS_H
#define LB_EVAL_TASKS_H

#include "base/log.h"
#include "base/team.h"
#include "model/corpus.h"
#include "model/exec.h"
#include "result/quality.h"

typedef struct lb_task_request {
    lb_protocol protocol;
    lb_lambada variant;
    const lb_corpus *corpus; /* of rows, which are its items */
    int64_t max_items;       /* 0: all */
    lb_compute compute;
} lb_task_request;

/* What there is to do, without a model: items that are scored and that there are, their sequences and the bytes of
 * these. Looks at each item. LB_E_CONFIG: the corpus has no rows, or none. LB_E_FORMAT: an item that is none, naming
 * file and line. */
typedef struct lb_task_extent {
    int64_t items, all, sequences, bytes;
} lb_task_extent;
LB_NODISCARD lb_status lb_task_look(const lb_task_request *r, lb_log *log, lb_task_extent *out);

/* out: a window an item, whose NLL is the sum over the tokens of what is right: the last word, the right choice. Mean
 * over items; LAMBADA's perplexity is exp of that, multiple choice has none (NaN). *tokens: read and scored, in all.
 * LB_E_FORMAT: an item that is none, naming file and line. LB_E_NUMERIC: logits that are NaN or infinite. */
LB_NODISCARD lb_status lb_task_evaluate(const lb_net *n, const lb_weights *w, const lb_task_request *r, lb_team *team,
                                        lb_arena *arena, lb_log *log, lb_eval *out, int64_t *tokens);

#endif

/* The texts of a task's items: what stands before, and what is scored after it. Prompts and normalization are those of
 * lm-evaluation-harness 0.4.13, with no examples before the question (docs/numbers.md, "Tasks"). */
#ifndef LB_EVAL_TASKS_FORMS_H
#define LB_EVAL_TASKS_FORMS_H

#include <jansson.h>

#include "base/mem.h"
#include "base/status.h"
#include "result/tasks.h"

typedef struct lb_task_choice {
    const char *context, *continuation;
    int64_t chars; /* code points of the choice, without the space before it; 0: the task has no use for them */
} lb_task_choice;

typedef struct lb_task_item {
    lb_task_choice *choice;
    int64_t choices, right; /* LAMBADA: one, which is the last word */
    bool apart;             /* context and continuation are encoded each on its own */
} lb_task_item;

/* The last word of a passage. LB_E_FORMAT, after `where`: it has none. */
LB_NODISCARD lb_status lb_task_lambada(lb_arena *a, const char *where, lb_lambada variant, const char *text,
                                       lb_task_item *out);
/* Choices, from one object of JSON lines. LB_E_FORMAT, after `where`, naming the field: it is missing or something
 * else. */
LB_NODISCARD lb_status lb_task_question(lb_arena *a, const char *where, lb_question form, const json_t *o,
                                        lb_task_item *out);

/* Bytes of white space at a text's end, as Python's str.rstrip has it; all of a text that is nothing else. */
size_t lb_task_space_after(const char *s, size_t n);

#endif

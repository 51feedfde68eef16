/* The journal of a running cell, <dir>/<stem>.journal: one JSON object a line, synced, so that what was measured
 * survives a crash. docs/results.md has the events. */
#ifndef LB_RESULT_JOURNAL_H
#define LB_RESULT_JOURNAL_H

#include "result/record.h"

/* Training got so far: what an interruption loses. steps 0: not known. */
typedef struct lb_trained {
    int64_t step, steps;
    double seconds;
} lb_trained;

LB_NODISCARD lb_status lb_journal_start(const char *dir, const char *stem, const char *label, const char *key);
LB_NODISCARD lb_status lb_journal_layer(const char *dir, const char *stem, const lb_layer_row *r);
LB_NODISCARD lb_status lb_journal_eval(const char *dir, const char *stem, const lb_eval_row *r);
LB_NODISCARD lb_status lb_journal_train(const char *dir, const char *stem, const lb_trained *t);
/* How far the training got whose journal an interrupted or killed run left; step 0: there is none. */
LB_NODISCARD lb_status lb_journal_interrupted(const char *dir, const char *stem, lb_trained *out);
LB_NODISCARD lb_status lb_journal_note(const char *dir, const char *stem, const char *event, const char *text);
void lb_journal_remove(const char *dir, const char *stem);

#endif

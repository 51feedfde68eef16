/* Accuracy of tasks in a report: figures of a row, and the columns that show them. */
#ifndef LB_REPORT_TASKS_TABLE_H
#define LB_REPORT_TASKS_TABLE_H

#include "report/table.h"
#include "report/view.h"

/* The figures of a row's evaluations (n seeds), and against the baseline: of one cell with McNemar's p. */
void lb_report_task_of(const lb_eval_row *const *at, int64_t n, lb_report_task *out);
/* Over several seeds p, too; base: the baseline's evaluation in this block, or NULL. */
LB_NODISCARD lb_status lb_report_task_seeds(const lb_report_view *v, const lb_eval_row *const *at, int64_t n,
                                            const lb_eval_row *base, lb_report_task *out);
/* The same against another row, whose evaluation it is. */
LB_NODISCARD lb_status lb_report_task_to(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row,
                                         const lb_report_row *to, lb_report_task *out);

/* Where a table has them. */
typedef struct lb_task_columns {
    size_t acc, acc_se, norm, norm_se, delta, p, delta_norm, p_norm;
} lb_task_columns;
void lb_report_put_task(lb_table *t, const lb_task_columns *c, const lb_report_task *q);

bool lb_report_is_task(const lb_report_block *b);
bool lb_report_has_ppl(const lb_report_block *b);          /* multiple choice has none */
const char *lb_report_loss_name(const lb_report_block *b); /* of differences: delta ln PPL, of such a task delta NLL */
const char *lb_report_measure_name(const lb_report_block *b); /* "perplexity", "accuracy" */
const char *lb_report_windows_name(const lb_report_block *b); /* "windows", "items" */

#endif

/* Which cells a report shows: expressions over the facts of cells.csv, "bits <= 3 and method = gptq".
 *
 *   expression  any ("or" any)*, any: each ("and" each)*, each: "not" each | "(" expression ")" | NAME OP VALUE
 *   NAME        a column of cells.csv, a short name of one, or an option of a method
 *   OP          =  !=  <  <=  >  >=  ~ (a pattern with * and ?)
 *   VALUE       a number, a word, or text in '' or ""
 *
 * Numbers compare as numbers, words without regard to case. What a cell has no value for is unequal to everything, and
 * any other comparison with it is false. */
#ifndef LB_REPORT_SELECT_H
#define LB_REPORT_SELECT_H

#include "base/mem.h"
#include "result/record.h"

typedef struct lb_select lb_select;

/* LB_E_ARG: it is no expression; the message has the column. */
LB_NODISCARD lb_status lb_select_parse(lb_arena *a, const char *text, lb_select **out);
/* The cells that it holds for, each with those of its evaluations that it holds for; baselines stay, with the
 * evaluations of what is left. Shares the records' contents with `r`. LB_E_ARG: a name is none, or it holds for
 * nothing.
 */
LB_NODISCARD lb_status lb_select_apply(lb_arena *a, const lb_results *r, const lb_select *s, lb_results *out);

#endif

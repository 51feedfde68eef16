/* What methods told of the layers, in a result's file. */
#ifndef LB_RESULT_STORE_TOLD_H
#define LB_RESULT_STORE_TOLD_H

#include "io/h5.h"
#include "result/record.h"

/* Two that have a column in /layers in every file, told or not, since they were there before there was a list: a record
 * that was read has them first. */
extern const lb_diagnostics lb_told_columns;
LB_NODISCARD lb_status lb_told_put(lb_h5 *h, const lb_record *r);
/* To r->diagnostics and the rows, which are there. */
LB_NODISCARD lb_status lb_told_get(lb_h5 *h, lb_arena *a, lb_record *r);

#endif

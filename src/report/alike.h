/* Cells that differ in one thing alone: what a figure over that thing joins. */
#ifndef LB_REPORT_ALIKE_H
#define LB_REPORT_ALIKE_H

#include "result/record.h"

/* Of the provenance; "" where it is not known. */
const char *lb_report_known(const lb_record *c, const char *key);
/* The same method with the same options and storage, solved on the same calibration and trained on the same text: but
 * for the keys of the provenance that `but` (NULL-terminated) names, which are not looked at. */
bool lb_report_alike_but(const lb_record *a, const lb_record *b, const char *const *but);
/* Does its method look at a text, to be calibrated or trained on it? One that this build does not have may. */
bool lb_report_reads_text(const lb_record *c);

#endif

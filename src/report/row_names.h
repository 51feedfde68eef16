/* What the rows of a report are called. */
#ifndef LB_REPORT_ROW_NAMES_H
#define LB_REPORT_ROW_NAMES_H

#include "report/view.h"

/* By the method and what was chosen for the cell among those of `r`. */
LB_NODISCARD lb_status lb_report_name_row(lb_arena *a, const lb_results *r, lb_report_row *row, const lb_record *c);
/* Labels, and names that no two rows share: by the label where what varies does not tell them apart, and where that
 * does not either (rows of several sweeps), by whatever facts differ. */
LB_NODISCARD lb_status lb_report_tell_apart(lb_report_view *v);

#endif

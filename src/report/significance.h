/* Which rows differ from one of them: the interval of their paired difference, over seeds and windows, does not hold 0;
 * or, of several comparisons, p adjusted over them is below 0.05. */
#ifndef LB_REPORT_SIGNIFICANCE_H
#define LB_REPORT_SIGNIFICANCE_H

#include "report/view.h"
#include "result/contrast.h"

/* x - y over their seeds in a block; *has: both have windows there. */
LB_NODISCARD lb_status lb_report_contrast(const lb_report_view *v, const lb_report_block *b, const lb_report_row *x,
                                          const lb_report_row *y, lb_contrast *out, bool *has);
bool lb_report_has_cell(const lb_report_row *row, const lb_record *c);
/* Of each row of the view (v->rows) to `reference` (NULL: the baseline that has the block); d.windows is 0 where there
 * is none: the row that has the reference's cell, another model, not evaluated. *n: comparisons made. */
LB_NODISCARD lb_status lb_report_significance(const lb_report_view *v, const lb_report_block *b,
                                              const lb_report_row *reference, lb_contrast *of_row, int64_t *n);

/* Comparisons of one evaluation, as the view's options ask for them. */
typedef struct lb_report_marks {
    lb_contrast *of_row; /* (v->rows) */
    double *adjusted;    /* (v->rows) p by Holm's method; NULL: not asked for */
    int64_t n;
} lb_report_marks;
/* reference: as above. */
LB_NODISCARD lb_status lb_report_marks_of(const lb_report_view *v, const lb_report_block *b,
                                          const lb_report_row *reference, lb_report_marks *out);
/* The row, or the cell, that the options call their reference; *has false: none, or another model has it. */
LB_NODISCARD lb_status lb_report_reference_of(const lb_report_view *v, lb_report_row *out, bool *has);
LB_NODISCARD lb_status lb_report_reference_check(const lb_report_view *v); /* LB_E_ARG: no model has it */
/* The difference that tables show of a row: to the options' reference; of options without one as it is. */
LB_NODISCARD lb_status lb_report_to_reference(const lb_report_view *v, const lb_report_block *b,
                                              const lb_report_row *row, lb_report_quality *q);
/* To the options' reference, if they ask for marks and there is a block; else of_row is NULL. */
LB_NODISCARD lb_status lb_report_marks_asked(const lb_report_view *v, const lb_report_block *b, lb_report_marks *out);
bool lb_report_compared(const lb_report_marks *m, int64_t row);
bool lb_report_differs(const lb_report_marks *m, int64_t row);
/* "12 comparisons; intervals and p are of each alone." and what * is where the options ask for it; n: of each
 * evaluation. */
LB_NODISCARD lb_status lb_report_comparisons_text(const lb_report_options *o, const int64_t *n, int64_t evaluations,
                                                  const char *reference, lb_str *out);
/* How many intervals of differences the main table has in a block. */
LB_NODISCARD lb_status lb_report_intervals(const lb_report_view *v, const lb_report_block *b, int64_t *n);
/* "12 comparisons; intervals are of each alone."; nothing where there is no interval. */
LB_NODISCARD lb_status lb_report_intervals_text(const int64_t *n, int64_t evaluations, lb_str *out);
/* What there is to say of the main table's comparisons: of its marks where the options ask for them, else of its
 * intervals. */
LB_NODISCARD lb_status lb_report_marks_text(const lb_report_view *v, lb_str *out);

#endif

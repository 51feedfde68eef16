/* Figures with a row of the report a line, names at the left: what bars of sizes and costs and points of seeds share.
 */
#ifndef LB_REPORT_PLOT_ROWS_H
#define LB_REPORT_PLOT_ROWS_H

#include "report/plot.h"

typedef struct lb_rows {
    const lb_report_row **at;
    const char **name; /* (n) */
    int64_t n;
    size_t longest; /* characters of the longest name */
} lb_rows;

#define LB_ROWS_A_FIGURE 40
/* Rows for which `take` holds, in the order of the sweep. */
LB_NODISCARD lb_status lb_rows_of(const lb_report_view *v, bool (*take)(const lb_report_row *, void *), void *user,
                                  lb_rows *out);
/* Those of figure k; *part: "", or "-1", "-2", ... where there are too many rows for one. False: there is none. */
LB_NODISCARD lb_status lb_rows_part(lb_arena *a, const lb_rows *all, int64_t k, lb_rows *out, const char **part);

int lb_rows_names_width(const lb_rows *s); /* points */
int lb_rows_height(const lb_rows *s);      /* points, with axis, title and legend */
/* The lines and, at the left, their names. */
void lb_rows_axis(lb_plot *p, const lb_rows *s, bool names);
void lb_rows_key(const lb_plot *p, lb_str *to); /* the legend, below the axis */
/* Colours of a stack, from dark to light. */
const char *lb_rows_fill(int i);
/* One part of every bar: from the sum of columns [first, column) on, in units of `unit` of the data. */
void lb_rows_stack(lb_plot *p, int block, int first, int column, const char *unit, const char *fill, const char *title);
/* At the end of every bar its length, of columns [first, last]. */
void lb_rows_lengths(lb_plot *p, int block, int first, int last, const char *unit);

#endif

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
#define LB_ROWS_LINE     22  /* points that a row takes */
#define LB_ROWS_FRAME    110 /* that axis and title take */
#define LB_ROWS_AXES     240 /* that bars are wide, at the least */
/* Rows for which `take` holds, in the order of the sweep. */
LB_NODISCARD lb_status lb_rows_of(const lb_report_view *v, bool (*take)(const lb_report_row *, void *), void *user,
                                  lb_rows *out);
/* Those of figure k, at most so many; *part: "", or "-1", "-2", ... where there are too many rows for one. n 0: there
 * is none. */
LB_NODISCARD lb_status lb_rows_part(lb_arena *a, const lb_rows *all, int64_t most, int64_t k, lb_rows *out,
                                    const char **part);
/* Rows of so many points that a figure has room for beside what else it has. */
int64_t lb_rows_most(const lb_plotter *w, double frame, double row);

/* A legend below the axis, of names of at most so many characters. */
typedef struct lb_rows_legend {
    int entries;
    size_t longest;
} lb_rows_legend;
double lb_rows_least_width(const lb_plotter *w, double natural); /* that such a figure gets, in points */
double lb_rows_key_height(double width, const lb_rows_legend *l);
int lb_rows_names_width(const lb_rows *s); /* points */
/* Begins a figure that is as wide as the names and these axes, or what was asked for; then names may be shortened. */
LB_NODISCARD lb_status lb_rows_begin(const lb_plotter *w, lb_plot *p, lb_arena *a, const char *name, lb_rows *s,
                                     int axes, double height);
/* Its title, and room for all lines of that. */
void lb_rows_title(const lb_plotter *w, lb_plot *p, const char *title);
/* The lines and, at the left, their names. */
void lb_rows_axis(lb_plot *p, const lb_rows *s, bool names);
/* The axis below, which is so many points long, for bars up to `most` with their lengths behind them. */
void lb_rows_tics(lb_plot *p, double most, double points);
/* width: that the legend may have, from the left; above: the figure's lower end. */
void lb_rows_key(const lb_plot *p, const lb_rows_legend *l, double width, double above, lb_str *to);
/* Colours of a stack, and hatching for what is none of its parts. */
const char *lb_rows_fill(int i);
#define LB_ROWS_HATCHED "fs pattern 4 fc rgb '#707070'"
/* One part of every bar: from the sum of columns [first, column) on, in units of `unit` of the data.
 */
void lb_rows_stack(lb_plot *p, int block, int first, int column, const char *unit, const char *fill, const char *title);
/* At the end of every bar its length, of columns [first, last]. */
void lb_rows_lengths(lb_plot *p, int block, int first, int last, const char *unit);

#endif

/* Rows as points of a plot of quality: what perplexity, excess loss and KL against bits or size have in common. */
#ifndef LB_REPORT_PLOT_POINTS_H
#define LB_REPORT_PLOT_POINTS_H

#include "report/plot.h"

typedef struct lb_point {
    const lb_report_row *row;
    lb_report_quality q;
    double bits, bits_per_weight, mib;
    double x;  /* bits a code; measured bits a weight where some row's layers differ */
    bool flat; /* nothing quantized: a line across */
} lb_point;

typedef struct lb_points {
    lb_point *at; /* evaluated rows, in the order of the sweep */
    int64_t n;
    bool measured; /* x is bits a weight */
    lb_span ppl, mib, x, bits_per_weight;
} lb_points;

LB_NODISCARD lb_status lb_points_of(const lb_report_view *v, const lb_report_block *b, lb_points *out);
/* The first of those that one line joins. */
bool lb_points_first(const lb_points *s, int64_t i);
/* Those on the line that begins at i, in order of x or of bits a weight. */
LB_NODISCARD lb_status lb_points_line(lb_arena *a, const lb_points *s, int64_t i, const lb_point ***out, int64_t *n);
int lb_points_lines(const lb_points *s); /* of quantized rows */
/* Lines lie a little beside each other, so that equal points and their bars show: by `step`, less for more than eight.
 */
double lb_points_aside(const lb_points *s, int line, double step);
size_t lb_points_longest(const lb_points *s, bool series); /* characters of the longest name */
/* Titles, grid and legend. */
void lb_points_axes(lb_plot *p, const char *x, const char *y);
/* " Not finite, so not shown: gptq 2b g64.", or "". */
LB_NODISCARD lb_status lb_points_not_shown(const lb_report_view *v, const lb_points *s, const char **out);
/* One line across: y for what is not quantized. k: how many there are before. */
void lb_points_across(const lb_plotter *w, lb_plot *p, const lb_point *x, double y, double low, double high, int style,
                      int k);

#endif

/* Plots by gnuplot: NAME.gp (a script that an author can change and run again), NAME.dat, and NAME.svg, .png, .pdf.
 * Every series has a marker, a dash pattern and a colour of its own, so that a plot reads in black and white, too. */
#ifndef LB_REPORT_PLOT_H
#define LB_REPORT_PLOT_H

#include "report/parts.h"

/* All plots of a report into `dir`; what was drawn comes back with captions. A missing or failing gnuplot is a warning;
 * scripts and data are written all the same, and no picture of earlier data stays behind. */
LB_NODISCARD lb_status lb_plot_all(const lb_report_view *v, const char *dir, lb_log *log, lb_plot_list *out);

/* ---- for the files that make one kind of plot each ---- */

typedef struct lb_plot {
    lb_arena *arena;
    const char *name, *title, *caption;
    lb_str setup; /* settings, once */
    lb_str draw;  /* plot commands, once a format */
    lb_str dat;
    bool open_markers; /* points that may lie on each other */
    int width, height; /* in points at 72 a inch; a pixel each in SVG */
    int blocks;        /* data blocks so far: the next one's index */
} lb_plot;
/* title: "MODEL: what". Quotes are escaped where it is written. */
LB_NODISCARD lb_status lb_plot_begin(lb_plot *p, lb_arena *a, const char *name, int width, int height);
void lb_plot_free(lb_plot *p);

typedef struct lb_plotter {
    const char *dir;
    lb_log *log;
    lb_plot_list *list;
    int64_t cap;
    bool no_gnuplot;    /* found missing: asked once */
    const char *suffix; /* of names: the model, where there are several; else NULL */
} lb_plotter;
/* Writes script and data, runs gnuplot, appends to the list. */
LB_NODISCARD lb_status lb_plot_finish(lb_plotter *w, lb_plot *p);

LB_NODISCARD lb_status lb_plot_quality(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_layers(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_training(const lb_report_view *v, lb_plotter *w);

/* Begins a data block, named in a comment; returns its index. */
int lb_plot_block(lb_plot *p, const char *name);
void lb_plot_quote(lb_str *s, const char *text); /* 'text' for gnuplot */
/* "set title ...", in two lines where one would be wider than the axes. */
void lb_plot_set_title(lb_plot *p);
/* "set style line AT ...": the colour follows `hue`, marker and dashes follow `mark`. */
void lb_plot_style(lb_plot *p, int at, int hue, int mark);
/* Range and tics of an axis ("x", "y", "cb") that covers [low, high]; room: at each end, a part of the span. */
void lb_plot_log_axis(lb_plot *p, const char *axis, double low, double high);
void lb_plot_linear_axis(lb_plot *p, const char *axis, double low, double high, double room);
/* How many points wide a legend of these characters is. */
int lb_plot_legend_width(size_t characters);

typedef struct lb_span {
    double low, high;
} lb_span; /* low > high: empty */
#define LB_SPAN_EMPTY ((lb_span){1, 0})
void lb_span_add(lb_span *s, double v); /* finite ones only */
bool lb_span_empty(const lb_span *s);

/* Runs `gnuplot -e "stem='STEM'" SCRIPT` in `dir`. LB_E_UNSUPPORTED: no gnuplot on PATH; LB_E_IO: it failed, with what
 * it said. */
LB_NODISCARD lb_status lb_gnuplot_run(const char *dir, const char *script, const char *stem);

#endif

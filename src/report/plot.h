/* Plots by gnuplot: NAME.gp (a script that an author can change and run again), NAME.dat, and NAME.svg, .png, .pdf.
 * Colour and marker are a method's, dashes a group's; no two series of a plot share marker and dashes, so that it reads
 * in black and white, too. */
#ifndef LB_REPORT_PLOT_H
#define LB_REPORT_PLOT_H

#include "report/parts.h"
#include "report/plot_style.h"

/* All plots of a report into `dir`; what was drawn comes back with captions. A missing or failing gnuplot is a warning;
 * scripts and data are written all the same, and no picture of earlier data stays behind. */
LB_NODISCARD lb_status lb_plot_all(const lb_report_view *v, const char *dir, lb_log *log, lb_plot_list *out);

/* ---- for the files that make one kind of plot each ---- */

#define LB_PLOT_FONT 13 /* points of text on a page */
typedef struct lb_span {
    double low, high;
} lb_span; /* low > high: empty */
#define LB_SPAN_EMPTY ((lb_span){1, 0})

/* "set style line AT". */
typedef struct lb_plot_look {
    int at, point, dash;
    bool lone; /* one point and no line */
    const char *method;
} lb_plot_look;

typedef struct lb_plot {
    lb_arena *arena;
    const char *name, *title, *caption;
    lb_str setup; /* settings, once */
    lb_str draw;  /* plot commands, once a format */
    lb_str dat;
    lb_plot_look *look; /* (looks) */
    int looks;
    const char **entry; /* (entries) of the legend, in order */
    int entries;
    lb_str shortened;  /* what stands for what: "SHORT: WHOLE; ..." */
    bool legend;       /* of series, at the side, or below where the figure is narrow */
    bool each;         /* settings that draw changes: made anew for each format */
    bool whole;        /* laid out by its own hand, for width, height and scale as lb_plot_size left them */
    double scale;      /* of its letters to those of a page; 0: as the size has it */
    int beside;        /* of such a figure: points that names at its left take */
    bool open_markers; /* points that may lie on each other */
    bool no_lines;     /* series are points alone, which dashes do not tell apart */
    int width, height; /* in points at 72 a inch; a pixel each in SVG */
    int title_columns; /* characters a line of the title has room for; 0: as over usual axes */
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
    const lb_plot_options *o;
    lb_str kept; /* scripts that somebody changed: ", NAME.gp" each */
} lb_plotter;
/* Of a figure in points, 72 an inch; how large its letters are relative to those of a page. */
typedef struct lb_plot_frame {
    double width, height, scale;
    bool narrow;        /* the legend is below the axes, */
    int columns, lines; /* in so many */
} lb_plot_frame;
#define LB_PLOT_LEGEND_LINE 17 /* points of a page that one takes below the axes, */
#define LB_PLOT_BELOW_AXES  68 /* beside their numbers and label */
#define LB_PLOT_SIDE_LINE   18
/* Shortens the legend's entries to what there is room for. */
LB_NODISCARD lb_status lb_plot_lay_out(const lb_plotter *w, lb_plot *p, lb_plot_frame *f);
/* Writes script and data, runs gnuplot, appends to the list. A script that was changed since it was written stays, and
 * NAME.new.gp is written and run in its place. */
#define LB_PLOT_SCRIPT_MOST ((size_t)4 << 20) /* bytes of a script */
LB_NODISCARD lb_status lb_plot_finish(lb_plotter *w, lb_plot *p);
void lb_plot_end(lb_plotter *w); /* after the last: says which scripts stayed */
/* Is the script as a report wrote it? A link is not. */
LB_NODISCARD lb_status lb_plot_is_ours(const char *path, bool *ours);
/* After the last: scripts, data and pictures of figures that only earlier reports have go, unless somebody changed a
 * script of theirs. */
LB_NODISCARD lb_status lb_plot_drop_stale(const lb_plotter *w, lb_arena *a);

LB_NODISCARD lb_status lb_plot_quality(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_excess(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_accuracy(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_layers(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_training(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_sizes(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_cost(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_seeds(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_texts(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_samples(const lb_report_view *v, lb_plotter *w);
LB_NODISCARD lb_status lb_plot_tokens(const lb_report_view *v, lb_plotter *w);

/* Begins a data block, named in a comment; returns its index. */
int lb_plot_block(lb_plot *p, const char *name);
/* " 0.25" of a data line; " NaN" for what is not finite. */
void lb_plot_number(lb_str *s, double v);
/* 'text' for gnuplot, with a mark before it that scripts are written without: TeX has other texts. */
void lb_plot_quote(lb_str *s, const char *text);
#define LB_PLOT_TEXT '\001'
#define LB_PLOT_TIC  '\003'
/* The same of a tic, in which gnuplot takes % for a number's format. */
void lb_plot_quote_tic(lb_str *s, const char *text);
void lb_plot_quote_as(lb_str *s, const char *text, lb_table_format f); /* without; TERMINAL or LATEX */
/* The title, an author's own or the program's, as an expression, which scripts have in the variable `title`. */
void lb_plot_title(const lb_plotter *w, const lb_plot *p, lb_str *s);
double lb_plot_title_height(const lb_plotter *w, const lb_plot *p); /* points */
/* Style line AT: colour and marker of the method, dashes of the group; where another series of the plot has both marker
 * and dashes, others of them. lone: a series of one point, which has a marker of its own. */
void lb_plot_style_of(lb_plot *p, int at, const char *method, const char *group, bool lone);
/* " title TEXT": an entry of the legend, which lasts; shortened where the figure has no room for it. */
void lb_plot_legend_entry(lb_plot *p, const char *text);
#define LB_PLOT_ENTRY '\002' /* stands around its number until the script is written */
void lb_plot_looks(const lb_plotter *w, const lb_plot *p, double scale, lb_str *s); /* "set style line AT ...", all */
void lb_plot_style_row(lb_plot *p, int at, const lb_report_row *row, bool lone);    /* the same of a row */
const char *lb_plot_colour(const lb_plotter *w, const char *method);
/* Is a figure asked for? name: of the figure ("front"), or one that begins with it ("front-EVALUATION"). */
bool lb_plot_wanted(const lb_plotter *w, const char *name);
/* Range and tics of an axis ("x", "y", "cb") that covers [low, high]; room: at each end, a part of the span. */
void lb_plot_log_axis(lb_plot *p, const char *axis, double low, double high);
void lb_plot_linear_axis(lb_plot *p, const char *axis, double low, double high, double room);
/* The same of an axis so many points long that is shorter than usual, as a colour bar's: fewer tics, and never nearer
 * to each other than LB_PLOT_TIC_ROOM. */
#define LB_PLOT_TIC_ROOM  20
#define LB_PLOT_TIC_WIDTH 50 /* of an x axis */
void lb_plot_bar_axis(lb_plot *p, const char *axis, lb_span data, bool log_scale, double points);
/* Blocks from one tic to the next, for at most so many tics. */
int lb_plot_block_step(int64_t blocks, int most);
/* For maps on top of each other: colours whose lightness grows all the way, one range for all, and room for one bar. */
void lb_plot_map_colours(lb_plot *p, lb_span data, bool log_scale);
/* Before each of n maps, which leave so many points free above and below; top: points of the figure's title. The bar is
 * drawn with the first, as high as all. */
void lb_plot_map_place(lb_plot *p, int64_t map, int64_t n, double top, double above, double below);
/* How many points wide a legend of these characters is. */
int lb_plot_legend_width(size_t characters);
double lb_plot_entry_width(size_t characters); /* the same of a column of several */

void lb_span_add(lb_span *s, double v); /* finite ones only */
/* What an axis (bits, ppl, delta, kl, acc, mib) is to show: the data, or what an author asks for. */
/* Range and tics of an axis that shows one of these: exactly what is asked for, or the data and some room. */
/* The same with exactly this range. */
void lb_plot_range_axis(const lb_plotter *w, lb_plot *p, const char *axis, bool log_scale, lb_span range);
/* About how long an axis is in points of a page; 0: as usual. */
double lb_plot_axis_points(const lb_plotter *w, const lb_plot *p, char axis);
void lb_plot_axis_of(const lb_plotter *w, lb_plot *p, const char *axis, const char *what, bool log_scale, lb_span data);
/* Points that a figure may be wide, in points of a page, whose text is LB_PLOT_FONT high; 0: as it likes. most: with
 * the least letters that it may have. */
double lb_plot_page_width(const lb_plotter *w);
double lb_plot_most_width(const lb_plotter *w);
double lb_plot_most_height(const lb_plotter *w); /* likewise */
double lb_plot_least_font(const lb_plot_options *o);
/* Of a figure that is laid out for its texts, with the width and height that it likes: those that it gets, and its
 * scale. Letters shrink before there is less room. */
void lb_plot_size(const lb_plotter *w, lb_plot *p);
/* Names of at most so many characters: longer ones lose their middle, and those that differed still do. The caption
 * says what stands for what. */
#define LB_PLOT_NAME_LEAST 10
#define LB_PLOT_NAME_MOST  60
LB_NODISCARD lb_status lb_plot_fit_names(lb_plot *p, const char **name, int64_t n, size_t most);
const char *lb_plot_brief(lb_arena *a, const char *name, size_t most); /* one alone; NULL: no memory */
size_t lb_plot_longest(const char *const *name, int64_t n);            /* characters */
#define LB_PLOT_LETTER       7.6                                       /* points that a character is wide, about */
#define LB_PLOT_TITLE_LETTER 8.4 /* the same where there is nothing beside it that could give way */
lb_span lb_plot_limits(const lb_plotter *w, const char *axis, lb_span data);
bool lb_span_empty(const lb_span *s);

/* Runs `gnuplot -e "stem='STEM'" SCRIPT` in `dir`. LB_E_UNSUPPORTED: no gnuplot on PATH; LB_E_IO: it failed, with what
 * it said. */
LB_NODISCARD lb_status lb_gnuplot_run(const char *dir, const char *script, const char *stem);

#endif

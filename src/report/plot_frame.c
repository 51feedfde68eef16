/* How large a figure is, how large its letters, and where its legend stands. */
#include <math.h>

#include "report/plot.h"

#define PAGE_HEIGHT 460                 /* of a figure whose height does not depend on what it shows */
#define AXES_WIDTH  600                 /* of quality plots without their legend */
#define LINE        LB_PLOT_LEGEND_LINE /* a title has them, too */
#define SAMPLE      60                  /* points of a legend's column that its entry does not have */
#define WIDE_LETTER 9.1                 /* points that gnuplot takes a character for where it decides on columns */
#define AROUND      110                 /* points that labels of axes and margins take */

static double letters(const lb_plot_options *o) { return o->font_size > 0 ? o->font_size : LB_PLOT_FONT; }

/* Two thirds of what was asked for, but on paper no less than 7 points. */
double lb_plot_least_font(const lb_plot_options *o) { return fmin(letters(o), fmax(7, letters(o) * 2 / 3)); }

double lb_plot_page_width(const lb_plotter *w) { return 72 * w->o->width_in * LB_PLOT_FONT / letters(w->o); }

double lb_plot_most_width(const lb_plotter *w) { return 72 * w->o->width_in * LB_PLOT_FONT / lb_plot_least_font(w->o); }

double lb_plot_most_height(const lb_plotter *w) {
    return 72 * w->o->most_height_in * LB_PLOT_FONT / lb_plot_least_font(w->o);
}

/* The font, from what was asked for down to the least, with which so many points of a page are so many inches. */
static double font_that_fits(const lb_plot_options *o, double font, double points, double inches) {
    double fits = 72 * inches * LB_PLOT_FONT / points;
    return fits >= font ? font : fmax(fits, lb_plot_least_font(o));
}

void lb_plot_size(const lb_plotter *w, lb_plot *p) {
    const lb_plot_options *o = w->o;
    double font = letters(o);
    p->whole = true;
    if (o->width_in > 0) {
        font = font_that_fits(o, font, p->height, o->most_height_in);
        font = font_that_fits(o, font, p->width, o->width_in);
        p->width = (int)(72 * o->width_in * LB_PLOT_FONT / font);
        if (o->exact) p->height = (int)(72 * o->height_in * LB_PLOT_FONT / font);
    }
    p->scale = font / LB_PLOT_FONT;
    p->title_columns = (int)(p->width / LB_PLOT_TITLE_LETTER);
}

/* ---- titles ---- */

static int title_lines(const lb_plotter *w, const lb_plot *p) {
    lb_str s = {0};
    int lines = 1;
    lb_plot_title(w, p, &s);
    for (size_t i = 0; i + 1 < s.len; i++) lines += s.s[i] == '\\' && s.s[i + 1] == 'n';
    lb_str_free(&s);
    return lines;
}

double lb_plot_title_height(const lb_plotter *w, const lb_plot *p) {
    return w->o->title ? LINE * (title_lines(w, p) + 1) : LINE / 2.;
}

/* ---- legends ---- */

double lb_plot_entry_width(size_t characters) { return SAMPLE + WIDE_LETTER * (double)characters; }

static int lines_of(const lb_plot *p, int columns) { return (p->entries + columns - 1) / columns; }

static double characters(double page, int columns) { return (page / columns - SAMPLE) / WIDE_LETTER; }

/* Below the axes, in as many columns as the names' lengths allow, and where those would be too many lines, in more. In
 * a figure that may not grow, letters shrink until the axes have some height left. */
static lb_status below(const lb_plotter *w, lb_plot *p, lb_plot_frame *f) {
    enum { READABLE = 16, LEAST_AXES = 130 };
    const lb_plot_options *o = w->o;
    bool fixed = o->exact || o->most_height_in <= o->height_in;
    double longest = lb_plot_entry_width(lb_plot_longest(p->entry, p->entries)), height = 0, page;
    double least = lb_plot_least_font(o) / LB_PLOT_FONT;
    f->narrow = true;
    for (;; f->scale = least) {
        page = f->width / f->scale;
        p->title_columns = (int)(page / LB_PLOT_TITLE_LETTER);
        double rest = LEAST_AXES + LB_PLOT_BELOW_AXES + lb_plot_title_height(w, p);
        double room = fixed ? f->height - rest * f->scale : 72 * o->most_height_in - f->height;
        f->columns = (int)fmax(1, fmin(p->entries, page / longest));
        while (lines_of(p, f->columns) * LINE * f->scale > room && characters(page, f->columns + 1) >= READABLE)
            f->columns++;
        f->lines = lines_of(p, f->columns);
        height = f->lines * LINE * f->scale;
        if (height <= room || f->scale <= least) break;
    }
    if (!fixed) f->height += height;
    return lb_plot_fit_names(p, p->entry, p->entries, (size_t)fmax(0, characters(page, f->columns)));
}

static bool is_narrow(const lb_plotter *w, const lb_plot *p) {
    return p->legend && (w->o->width_in < 5 || p->width - AXES_WIDTH > 0.4 * lb_plot_page_width(w));
}

double lb_plot_axis_points(const lb_plotter *w, const lb_plot *p, char axis) {
    enum { LEAST = 60 };
    if (!(w->o->width_in > 0)) return 0;
    if (axis == 'y' && !p->whole) return fmax(LEAST, 72 * w->o->height_in * LB_PLOT_FONT / letters(w->o) - AROUND);
    if (p->whole) return fmax(LEAST, p->width - p->beside - 20);
    int side = p->legend && !is_narrow(w, p) ? p->width - AXES_WIDTH : 0;
    return fmax(LEAST, lb_plot_page_width(w) - side - AROUND);
}

lb_status lb_plot_lay_out(const lb_plotter *w, lb_plot *p, lb_plot_frame *f) {
    const lb_plot_options *o = w->o;
    *f = (lb_plot_frame){p->width, p->height, letters(o) / LB_PLOT_FONT, false, 1, 0};
    if (p->whole) {
        f->width = o->width_in > 0 ? 72 * o->width_in : p->width * p->scale;
        f->height = o->exact ? 72 * o->height_in : p->height * p->scale;
        f->scale = p->scale;
        return LB_OK;
    }
    if (!(o->width_in > 0)) return lb_plot_fit_names(p, p->entry, p->entries, LB_PLOT_NAME_MOST);
    double page = lb_plot_page_width(w), side = p->legend ? p->width - AXES_WIDTH : 0;
    f->width = 72 * o->width_in, f->height = 72 * o->height_in;
    double beside = (LB_PLOT_SIDE_LINE * p->entries + 2 * LINE) * f->scale; /* the height of a legend at the side */
    double most = 72 * o->most_height_in;
    bool narrow = is_narrow(w, p);
    p->title_columns = (int)((page - (narrow ? 0 : side)) / LB_PLOT_TITLE_LETTER);
    /* gnuplot gives a legend the height of the axes: one that has not that much would be broken into columns. */
    if (p->legend && beside + lb_plot_title_height(w, p) * f->scale > most) {
        narrow = true;
        p->title_columns = (int)(page / LB_PLOT_TITLE_LETTER);
    }
    if (!o->exact) {
        if (p->height > PAGE_HEIGHT && !narrow) f->height = fmax(f->height, p->height * f->scale);
        if (p->legend && !narrow) f->height = fmax(f->height, beside);
        f->height = fmin(f->height + LINE * f->scale * (title_lines(w, p) - 1) * o->title, most);
    }
    return narrow ? below(w, p, f) : lb_plot_fit_names(p, p->entry, p->entries, LB_PLOT_NAME_MOST);
}

/* The frame of every plot: terminals, styles, axes, files. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/plot.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

lb_status lb_plot_begin(lb_plot *p, lb_arena *a, const char *name, int width, int height) {
    *p = (lb_plot){.arena = a, .width = width, .height = height};
    p->name = lb_report_slug(a, name);
    return p->name ? LB_OK : LB_E_NOMEM;
}

void lb_plot_free(lb_plot *p) {
    lb_str_free(&p->setup);
    lb_str_free(&p->draw);
    lb_str_free(&p->dat);
    lb_str_free(&p->shortened);
}

/* Between single quotes gnuplot expands nothing: no variables, no commands in backquotes. */
void lb_plot_quote_as(lb_str *s, const char *text, lb_table_format f) {
    lb_str plain = {0};
    lb_markup_text(&plain, f, text); /* no control characters, no broken UTF-8 */
    lb_str_add(s, "'");
    bool open = true; /* gnuplot reads a doubled quote as one, but not right behind another quote */
    for (const char *p = plain.s ? plain.s : ""; *p; p++) {
        bool doubled = *p == '\'' && !open;
        if (*p == '\'')
            lb_str_add(s, doubled ? "''" : "\xe2\x80\x99");
        else
            lb_str_add_bytes(s, p, 1);
        open = doubled;
    }
    lb_str_add(s, "'");
    s->failed = s->failed || plain.failed;
    lb_str_free(&plain);
}

void lb_plot_quote(lb_str *s, const char *text) {
    const char mark = LB_PLOT_TEXT;
    lb_str_add_bytes(s, &mark, 1);
    lb_plot_quote_as(s, text, LB_TABLE_TERMINAL);
}

void lb_plot_quote_tic(lb_str *s, const char *text) {
    const char mark = LB_PLOT_TIC;
    lb_str_add_bytes(s, &mark, 1);
    lb_plot_quote_as(s, text, LB_TABLE_TERMINAL);
}

/* Words of `text` in lines of so many columns. */
static void title_lines(lb_arena *a, lb_str *s, char *text, size_t columns, bool *first) {
    for (char *rest = text; *rest;) {
        size_t n = 0, fits = 0;
        for (char *at = rest; *at; at += strspn(at, " ")) {
            at += strcspn(at, " ");
            char kept = *at;
            *at = 0;
            bool room = lb_text_width(rest) <= columns;
            *at = kept;
            n = (size_t)(at - rest);
            if (!room && fits) break;
            fits = n;
        }
        char *end = rest + fits, *next = end + strspn(end, " ");
        *end = 0;
        const char *line = lb_plot_brief(a, rest, columns); /* a word may be longer */
        lb_str_add(s, "%s", *first ? "" : ".\"\\n\".");
        if (line)
            lb_plot_quote(s, line);
        else
            s->failed = true;
        *first = false, rest = next;
    }
}

static const char *title_of(const lb_plot_options *o, const lb_plot *p) {
    if (!o->title) return "";
    for (int64_t i = 0; i < o->titles.n; i++) {
        size_t n = strlen(o->titles.at[i].key);
        if (strncmp(p->name, o->titles.at[i].key, n) == 0 && (!p->name[n] || p->name[n] == '-'))
            return o->titles.at[i].value;
    }
    return p->title ? p->title : "";
}

/* Where it is wider than there is room for: the model in a line of its own, and the rest in lines that fit. */
void lb_plot_title(const lb_plotter *w, const lb_plot *p, lb_str *s) {
    enum { OVER_AXES = 70 };
    size_t columns = (size_t)(p->title_columns ? p->title_columns : OVER_AXES);
    char *title = lb_arena_strdup(p->arena, title_of(w->o, p)), *cut = title ? strstr(title, ": ") : NULL;
    bool first = true;
    if (!title) {
        s->failed = true;
    } else if (lb_text_width(title) <= columns || !title[0]) {
        lb_plot_quote(s, title);
    } else {
        if (cut) cut[1] = 0;
        title_lines(p->arena, s, title, columns, &first);
        if (cut) title_lines(p->arena, s, cut + 2, columns, &first);
    }
}

int lb_plot_block(lb_plot *p, const char *name) {
    if (p->blocks) lb_str_add(&p->dat, "\n\n");
    lb_str_add(&p->dat, "# %d: ", p->blocks);
    lb_markup_text(&p->dat, LB_TABLE_TERMINAL, name);
    lb_str_add(&p->dat, "\n");
    return p->blocks++;
}

void lb_plot_number(lb_str *s, double v) {
    if (isfinite(v))
        lb_str_add(s, " %.9g", v);
    else
        lb_str_add(s, " NaN");
}

int lb_plot_legend_width(size_t characters) {
    return 70 + (int)(LB_PLOT_LETTER * (double)(characters > LB_PLOT_NAME_MOST ? LB_PLOT_NAME_MOST : characters));
}

/* ---- axes ---- */

bool lb_span_empty(const lb_span *s) { return s->low > s->high; }

void lb_span_add(lb_span *s, double v) {
    if (!isfinite(v)) return;
    bool empty = lb_span_empty(s);
    if (empty || v < s->low) s->low = v;
    if (empty || v > s->high) s->high = v;
}

/* An axis that reaches 1e6 or below 1e-4 has powers of ten for its labels of that side, not a mixture. */
static void tic(lb_plot *p, bool *first, double v, int decimals, lb_span axis) {
    char text[48];
    double large = axis.high >= 1e6 ? 1e3 : 1e6, small = axis.low < 1e-4 ? 1e-2 : 1e-4;
    if (v != 0 && (fabs(v) >= large * (1 - 1e-9) || fabs(v) < small * (1 - 1e-9))) {
        /* 1e-05 as 1e-5, 1e+06 as 1e6 */
        int e = (int)floor(log10(fabs(v)) + 1e-9);
        snprintf(text, sizeof text, "%ge%d", v / pow(10, e), e);
    } else {
        snprintf(text, sizeof text, "%.*f", decimals, v == 0 ? 0.0 : v);
    }
    lb_str_add(&p->setup, "%s'%s' %.12g", *first ? "" : ", ", text, v);
    *first = false;
}

/* 1, 2 or 5 times a power of ten. */
static double nice_step(double span, int intervals) {
    double raw = span / intervals, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

/* Where an axis has tics, and with how many decimals. */
typedef struct tics {
    double at[64];
    int decimals[64], n;
} tics;

static void add_tic(tics *t, double v, int decimals) {
    if (t->n == COUNT(t->at)) return;
    t->at[t->n] = v;
    t->decimals[t->n++] = decimals;
}

static tics linear_ladder(double low, double high, int intervals) {
    double step = nice_step(high - low, intervals);
    int decimals = (int)fmax(0, ceil(-log10(step) - 1e-9));
    tics t = {.n = 0};
    for (double k = ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) add_tic(&t, k * step, decimals);
    return t;
}

/* Multiples m of every decade, or of every stride-th. */
static tics log_ladder(double low, double high, const double *m, int n, int stride) {
    tics t = {.n = 0};
    for (int e = (int)floor(log10(low)); e <= (int)ceil(log10(high)); e++)
        for (int i = 0; i < n; i++) {
            double v = m[i] * pow(10, e);
            if (v < low || v > high || (stride > 1 && e % stride)) continue;
            add_tic(&t, v, v >= 10 || (v >= 1 && v == floor(v)) ? 0 : (int)fmax(1, -e + (m[i] != floor(m[i]))));
        }
    return t;
}

static const double few[] = {1}, two[] = {1, 3}, three[] = {1, 2, 5}, all[] = {1, 1.5, 2, 3, 4, 5, 6, 8};

static tics log_tics(double low, double high) {
    double decades = log10(high) - log10(low);
    if (decades < 0.5) return linear_ladder(low, high, 8);
    if (decades < 1.2) return log_ladder(low, high, all, COUNT(all), 1);
    if (decades < 3) return log_ladder(low, high, three, COUNT(three), 1);
    /* between labelled decades */
    return log_ladder(low, high, few, COUNT(few), decades > 10 ? (int)(decades / 6) : 1);
}

static bool apart(const tics *t, lb_span axis, bool log_scale, double points) {
    double whole = log_scale ? log(axis.high) - log(axis.low) : axis.high - axis.low;
    for (int i = 1; i < t->n; i++) {
        double gap = log_scale ? log(t->at[i]) - log(t->at[i - 1]) : t->at[i] - t->at[i - 1];
        if (gap / whole * points < LB_PLOT_TIC_ROOM) return false;
    }
    return t->n > 0;
}

/* As many as there is room for on an axis so many points long: one at the least. */
static tics tics_with_room(lb_span axis, bool log_scale, double points) {
    static const struct {
        const double *m;
        int n;
    } ladder[] = {{all, COUNT(all)}, {three, COUNT(three)}, {two, COUNT(two)}, {few, COUNT(few)}};
    double decades = log_scale ? log10(axis.high) - log10(axis.low) : 0;
    tics t = {.n = 0};
    for (int i = 0; decades >= 0.5 && i < COUNT(ladder); i++) {
        t = log_ladder(axis.low, axis.high, ladder[i].m, ladder[i].n, 1);
        if (apart(&t, axis, true, points) && t.n > 1) return t;
    }
    for (int stride = 2; decades >= 3 && stride < 400; stride++) {
        t = log_ladder(axis.low, axis.high, few, COUNT(few), stride);
        if (apart(&t, axis, true, points)) return t;
    }
    for (int intervals = 8; intervals > 0; intervals--) {
        t = linear_ladder(axis.low, axis.high, intervals);
        if (apart(&t, axis, log_scale, points)) return t;
    }
    t = linear_ladder(axis.low, axis.high, 2);
    if (t.n > 1) t.at[0] = t.at[t.n / 2], t.decimals[0] = t.decimals[t.n / 2], t.n = 1;
    return t;
}

static void put_tics(lb_plot *p, const char *axis, const tics *t, lb_span range) {
    bool first = true;
    lb_str_add(&p->setup, "set %stics nomirror (", axis);
    for (int i = 0; i < t->n; i++) tic(p, &first, t->at[i], t->decimals[i], range);
    lb_str_add(&p->setup, ")\n");
}

/* Some room at both ends, and a range where all is one value. */
static lb_span wider(double low, double high) {
    double pad = exp(0.06 * (log(high) - log(low)));
    if (pad < 1 + 1e-7) pad = 1.05;
    return (lb_span){fmax(low / pad, DBL_MIN), fmin(high * pad, DBL_MAX / 10)};
}

/* points: how long the axis is, where it is shorter than usual; else 0. */
static void range_and_tics(lb_plot *p, const char *axis, lb_span range, bool log_scale, double points) {
    if (log_scale) lb_str_add(&p->setup, "set logscale %s\n", axis);
    lb_str_add(&p->setup, "set %srange [%.9g:%.9g]\n", axis, range.low, range.high);
    tics t = points > 0  ? tics_with_room(range, log_scale, points)
             : log_scale ? log_tics(range.low, range.high)
                         : linear_ladder(range.low, range.high, 8);
    put_tics(p, axis, &t, range);
}

void lb_plot_log_axis(lb_plot *p, const char *axis, double low, double high) {
    range_and_tics(p, axis, wider(low, high), true, 0);
}

static lb_span wider_linear(double low, double high, double room) {
    /* One value, or values that agree to the last digit, still need a range. */
    bool flat = !(high - low > 1e-9 * (fabs(high) + 1e-300));
    double pad = flat ? fmax(0.05 * fabs(high), 0.5) : room * (high - low);
    return (lb_span){low - pad, high + pad};
}

void lb_plot_linear_axis(lb_plot *p, const char *axis, double low, double high, double room) {
    range_and_tics(p, axis, wider_linear(low, high, room), false, 0);
}

void lb_plot_bar_axis(lb_plot *p, const char *axis, lb_span data, bool log_scale, double points) {
    lb_span range = log_scale ? wider(data.low, data.high) : wider_linear(data.low, data.high, 0);
    range_and_tics(p, axis, range, log_scale, points);
}

#define BAR_BELOW LB_PLOT_BELOW_AXES /* points of a figure that its colour bar leaves free */
#define BAR_ABOVE 75

static double bar_height(const lb_plot *p) { return fmax(p->height - BAR_BELOW - BAR_ABOVE, 20); }

/* The map reads in grey and with every colour blindness. The middle has little colour, so that a number on it has as
 * much contrast in grey. */
void lb_plot_map_colours(lb_plot *p, lb_span data, bool log_scale) {
    lb_str_add(&p->setup, "set palette defined (0 '#440154', 1 '#472d7b', 2 '#3b528b', 3 '#4f6f80', 4 '#5d8b88', 5 "
                          "'#28ae80', 6 '#5ec962', 7 '#addc30', 8 '#fde725')\nset rmargin 11\n");
    lb_plot_bar_axis(p, "cb", data, log_scale, bar_height(p));
}

void lb_plot_map_place(lb_plot *p, int64_t map, int64_t n, double top, double above, double below) {
    double each = (p->height - top) / (double)n, high = p->height - top - (double)map * each;
    lb_str_add(&p->draw, "    set tmargin at screen %.4f\n    set bmargin at screen %.4f\n", (high - above) / p->height,
               fmin(high - each + below, high - above - 10) / p->height);
    if (map == 0)
        lb_str_add(&p->draw, "    set colorbox user origin graph 1.03, screen %.4f size graph 0.03, screen %.4f\n",
                   (double)BAR_BELOW / p->height, bar_height(p) / p->height);
    if (map == 1) lb_str_add(&p->draw, "    unset colorbox\n");
}

/* Numbers of an x axis stand beside each other, those of a y axis below. */
void lb_plot_range_axis(const lb_plotter *w, lb_plot *p, const char *axis, bool log_scale, lb_span range) {
    double points = lb_plot_axis_points(w, p, axis[0]);
    if (!log_scale) range = wider_linear(range.low, range.high, 0); /* of one value */
    range_and_tics(p, axis, range, log_scale, axis[0] == 'x' ? points * LB_PLOT_TIC_ROOM / LB_PLOT_TIC_WIDTH : points);
}

void lb_plot_axis_of(const lb_plotter *w, lb_plot *p, const char *axis, const char *what, bool log_scale,
                     lb_span data) {
    lb_span asked = lb_plot_limits(w, what, LB_SPAN_EMPTY);
    if (lb_span_empty(&asked)) asked = log_scale ? wider(data.low, data.high) : wider_linear(data.low, data.high, 0.05);
    lb_plot_range_axis(w, p, axis, log_scale, asked);
}

static lb_status of_model(const lb_report_view *v, lb_plotter *w) {
    LB_TRY(lb_plot_quality(v, w));
    LB_TRY(lb_plot_excess(v, w));
    LB_TRY(lb_plot_accuracy(v, w));
    LB_TRY(lb_plot_layers(v, w));
    LB_TRY(lb_plot_tokens(v, w));
    LB_TRY(lb_plot_training(v, w));
    LB_TRY(lb_plot_sizes(v, w));
    LB_TRY(lb_plot_cost(v, w));
    LB_TRY(lb_plot_seeds(v, w));
    LB_TRY(lb_plot_texts(v, w));
    return lb_plot_samples(v, w);
}

/* Rows of the methods that were asked for; the baseline always. */
static lb_status asked_for(const lb_report_view *v, const lb_plot_options *o, lb_report_view *out) {
    *out = *v;
    if (!o->methods) return LB_OK;
    out->row = LB_NEW(v->arena, lb_report_row, v->rows + 1);
    if (!out->row) return LB_E_NOMEM;
    out->rows = 0;
    for (int64_t i = 0; i < v->rows; i++) {
        bool take = v->row[i].baseline;
        for (size_t k = 0; k < o->methods; k++) take = take || lb_str_glob(o->method[k], v->row[i].cell[0]->method);
        if (take) out->row[out->rows++] = v->row[i];
    }
    return LB_OK;
}

/* The file that was asked for, else plots.yaml of the results; and style.gp there. */
static lb_status options_of(const lb_report_view *v, lb_plot_options *o) {
    char *own = lb_arena_printf(v->arena, "%s/plots.yaml", v->r->dir);
    char *lines = lb_arena_printf(v->arena, "%s/style.gp", v->r->dir);
    const char *from = v->options->plots;
    if (!own || !lines) return LB_E_NOMEM;
    if (!from && lb_fs_is_link(own)) return lb_fail(LB_E_IO, "%s: is a symbolic link, expected a file", own);
    if (!from && lb_fs_there(own)) from = own;
    LB_TRY(lb_plot_options_read(v->arena, from, o));
    return lb_plot_lines_read(v->arena, lines, &o->extra);
}

lb_status lb_plot_all(const lb_report_view *v, const char *dir, lb_log *log, lb_plot_list *out) {
    *out = (lb_plot_list){.n = 0};
    lb_plot_options o;
    lb_plotter w = {.dir = dir, .log = log, .list = out, .o = &o};
    LB_TRY(options_of(v, &o));
    lb_status st = lb_fs_own_folder(dir);
    for (int64_t m = 0; st == LB_OK && m < v->models; m++) {
        lb_report_view one;
        st = asked_for(&v->model[m], &o, &one);
        if (st == LB_OK && v->models > 1 && !(w.suffix = lb_report_slug(v->arena, one.r->model_name))) st = LB_E_NOMEM;
        if (st == LB_OK) st = of_model(&one, &w);
    }
    if (st == LB_OK) st = lb_plot_drop_stale(&w, v->arena);
    lb_plot_end(&w);
    return st;
}

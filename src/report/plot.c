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
}

/* Between single quotes gnuplot expands nothing: no variables, no commands in backquotes. */
void lb_plot_quote(lb_str *s, const char *text) {
    lb_str plain = {0};
    lb_markup_text(&plain, LB_TABLE_TERMINAL, text); /* no control characters, no broken UTF-8 */
    lb_str_add(s, "'");
    for (const char *p = plain.s ? plain.s : ""; *p; p++)
        lb_str_add_bytes(s, *p == '\'' ? "''" : p, *p == '\'' ? 2 : 1);
    lb_str_add(s, "'");
    s->failed = s->failed || plain.failed;
    lb_str_free(&plain);
}

/* In two lines where one would be wider than the axes. */
void lb_plot_title(lb_plot *p, lb_str *s) {
    enum { OVER_AXES = 76 };
    const char *title = p->title ? p->title : "", *cut = strstr(title, ": ");
    if (lb_text_width(title) > (size_t)(p->title_columns ? p->title_columns : OVER_AXES) && cut) {
        char *model = lb_arena_strdup(p->arena, title);
        if (!model) {
            s->failed = true;
            return;
        }
        model[cut + 1 - title] = 0;
        lb_plot_quote(s, model);
        lb_str_add(s, ".\"\\n\".");
        title = cut + 2;
    }
    lb_plot_quote(s, title);
}

int lb_plot_block(lb_plot *p, const char *name) {
    if (p->blocks) lb_str_add(&p->dat, "\n\n");
    lb_str_add(&p->dat, "# %d: ", p->blocks);
    lb_markup_text(&p->dat, LB_TABLE_TERMINAL, name);
    lb_str_add(&p->dat, "\n");
    return p->blocks++;
}

int lb_plot_legend_width(size_t characters) { return 70 + (int)(7.6 * (double)(characters > 60 ? 60 : characters)); }

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

static void linear_tics(lb_plot *p, double low, double high) {
    double step = nice_step(high - low, 8);
    int decimals = (int)fmax(0, ceil(-log10(step) - 1e-9));
    bool first = true;
    for (double k = ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
        tic(p, &first, k * step, decimals, (lb_span){low, high});
}

static void log_tics(lb_plot *p, double low, double high) {
    static const double few[] = {1}, three[] = {1, 2, 5}, all[] = {1, 1.5, 2, 3, 4, 5, 6, 8};
    double decades = log10(high / low);
    if (decades < 0.5) {
        linear_tics(p, low, high);
        return;
    }
    const double *m = few;
    int n = COUNT(few);
    if (decades < 3) m = three, n = COUNT(three);
    if (decades < 1.2) m = all, n = COUNT(all);
    int stride = decades > 10 ? (int)(decades / 6) : 1; /* between labelled decades */
    bool first = true;
    for (int e = (int)floor(log10(low)); e <= (int)ceil(log10(high)); e++)
        for (int i = 0; i < n; i++) {
            double v = m[i] * pow(10, e);
            if (v < low || v > high || (stride > 1 && e % stride)) continue;
            tic(p, &first, v, v >= 10 || (v >= 1 && v == floor(v)) ? 0 : (int)fmax(1, -e + (m[i] != floor(m[i]))),
                (lb_span){low, high});
        }
}

static void log_range(lb_plot *p, const char *axis, double low, double high) {
    lb_str_add(&p->setup, "set logscale %s\nset %srange [%.9g:%.9g]\nset %stics nomirror (", axis, axis, low, high,
               axis);
    log_tics(p, low, high);
    lb_str_add(&p->setup, ")\n");
}

void lb_plot_log_axis(lb_plot *p, const char *axis, double low, double high) {
    double pad = exp(0.06 * (log(high) - log(low)));
    if (pad < 1 + 1e-7) pad = 1.05;
    log_range(p, axis, fmax(low / pad, DBL_MIN), fmin(high * pad, DBL_MAX / 10));
}

void lb_plot_linear_axis(lb_plot *p, const char *axis, double low, double high, double room) {
    /* One value, or values that agree to the last digit, still need a range. */
    bool flat = !(high - low > 1e-9 * (fabs(high) + 1e-300));
    double pad = flat ? fmax(0.05 * fabs(high), 0.5) : room * (high - low);
    low -= pad, high += pad;
    lb_str_add(&p->setup, "set %srange [%.9g:%.9g]\nset %stics nomirror (", axis, low, high, axis);
    linear_tics(p, low, high);
    lb_str_add(&p->setup, ")\n");
}

void lb_plot_axis_of(const lb_plotter *w, lb_plot *p, const char *axis, const char *what, bool log_scale,
                     lb_span data) {
    lb_span asked = lb_plot_limits(w, what, LB_SPAN_EMPTY);
    if (lb_span_empty(&asked) && log_scale)
        lb_plot_log_axis(p, axis, data.low, data.high);
    else if (lb_span_empty(&asked))
        lb_plot_linear_axis(p, axis, data.low, data.high, 0.05);
    else if (log_scale)
        log_range(p, axis, asked.low, asked.high);
    else
        lb_plot_linear_axis(p, axis, asked.low, asked.high, 0);
}

static lb_status of_model(const lb_report_view *v, lb_plotter *w) {
    LB_TRY(lb_plot_quality(v, w));
    LB_TRY(lb_plot_excess(v, w));
    LB_TRY(lb_plot_layers(v, w));
    return lb_plot_training(v, w);
}

lb_status lb_plot_all(const lb_report_view *v, const char *dir, lb_log *log, lb_plot_list *out) {
    *out = (lb_plot_list){.n = 0};
    lb_plotter w = {.dir = dir, .log = log, .list = out, .o = &lb_plot_usual};
    lb_status st = lb_fs_own_folder(dir);
    for (int64_t m = 0; st == LB_OK && m < v->models; m++) {
        const lb_report_view *one = &v->model[m];
        if (v->models > 1 && !(w.suffix = lb_report_slug(v->arena, one->r->model_name))) st = LB_E_NOMEM;
        if (st == LB_OK) st = of_model(one, &w);
    }
    lb_plot_end(&w);
    return st;
}

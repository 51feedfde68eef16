/* The frame of every plot: terminals, styles, axes, files. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/plot.h"

/* Okabe and Ito's colours: told apart with every common colour blindness. */
static const char *const colour[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                     "#56b4e9", "#e69f00", "#000000", "#7f7f7f"};
static const int marker[] = {7, 5, 9, 11, 13, 6, 4, 8, 10, 12, 2, 1, 3};
static const int open_marker[] = {6, 4, 8, 10, 12, 2, 1, 3};
static const char *const dashes[] = {"solid", "(12,5)", "(3,3)", "(12,4,3,4)", "(20,6)", "(8,3,2,3,2,3)", "(6,6)"};

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

void lb_plot_set_title(lb_plot *p) {
    enum { ONE_LINE = 76 };
    const char *title = p->title ? p->title : "", *cut = strstr(title, ": ");
    lb_str_add(&p->setup, "set title ");
    if (lb_text_width(title) > ONE_LINE && cut) {
        char *model = lb_arena_strdup(p->arena, title);
        if (!model) {
            p->setup.failed = true;
            return;
        }
        model[cut + 1 - title] = 0;
        lb_plot_quote(&p->setup, model);
        lb_str_add(&p->setup, ".\"\\n\".");
        title = cut + 2;
    }
    lb_plot_quote(&p->setup, title);
    lb_str_add(&p->setup, "\n");
}

int lb_plot_block(lb_plot *p, const char *name) {
    if (p->blocks) lb_str_add(&p->dat, "\n\n");
    lb_str_add(&p->dat, "# %d: ", p->blocks);
    lb_markup_text(&p->dat, LB_TABLE_TERMINAL, name);
    lb_str_add(&p->dat, "\n");
    return p->blocks++;
}

void lb_plot_style(lb_plot *p, int at, int hue, int mark) {
    lb_str_add(&p->setup, "set style line %d lc rgb '%s' lw 2 pt %d ps 1.2 dt %s\n", at, colour[hue % COUNT(colour)],
               p->open_markers ? open_marker[mark % COUNT(open_marker)] : marker[mark % COUNT(marker)],
               dashes[mark % COUNT(dashes)]);
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

void lb_plot_log_axis(lb_plot *p, const char *axis, double low, double high) {
    double pad = exp(0.06 * (log(high) - log(low)));
    if (pad < 1 + 1e-7) pad = 1.05;
    low = fmax(low / pad, DBL_MIN), high = fmin(high * pad, DBL_MAX / 10);
    lb_str_add(&p->setup, "set logscale %s\nset %srange [%.9g:%.9g]\nset %stics nomirror (", axis, axis, low, high,
               axis);
    log_tics(p, low, high);
    lb_str_add(&p->setup, ")\n");
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

/* ---- files ---- */

static const char *const format[] = {"svg", "png", "pdf"};

static void script(const lb_plot *p, lb_str *s) {
    lb_str_add(s, "# ");
    lb_markup_text(s, LB_TABLE_TERMINAL, p->title);
    lb_str_add(s,
               "\n# Data: %s.dat. To draw it again, here: gnuplot %s.gp"
               "\n# One format only: gnuplot -e \"formats='pdf'\" %s.gp\n\n",
               p->name, p->name, p->name);
    lb_str_add(s, "if (!exists('formats')) formats = 'svg png pdf'\nif (!exists('stem')) stem = '%s'\n", p->name);
    /* gnuplot's own format has room for a sign in front, which moves numbers off their tics. */
    lb_str_add(s, "data = '%s.dat'\nset encoding utf8\nset format '%%h'\n", p->name);
    lb_str_add(s, "%s", p->setup.s ? p->setup.s : "");
    lb_str_add(s, "\ndo for [format in formats] {\n");
    lb_str_add(s,
               "    if (format eq 'svg') { set terminal svg noenhanced size %d,%d font 'sans-serif,13' background "
               "'white' }\n",
               p->width, p->height);
    lb_str_add(s,
               "    if (format eq 'png') { set terminal pngcairo noenhanced size %d,%d font 'Sans,10' fontscale 2 "
               "linewidth 2 pointscale 2 }\n",
               2 * p->width, 2 * p->height);
    lb_str_add(s,
               "    if (format eq 'pdf') { set terminal pdfcairo noenhanced size %.3fin,%.3fin font 'Sans,13' "
               "fontscale 0.75 linewidth 2 pointscale 1.2 }\n",
               p->width / 72.0, p->height / 72.0);
    lb_str_add(s, "    set output stem.'.'.format\n%s}\nunset output\n", p->draw.s ? p->draw.s : "");
}

static lb_status path_of(lb_arena *a, const char *dir, const char *stem, const char *ext, char **out) {
    *out = lb_arena_printf(a, "%s/%s.%s", dir, stem, ext);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status write_text(lb_arena *a, const char *dir, const char *stem, const char *ext, const lb_str *s) {
    char *path;
    LB_TRY(lb_str_check(s));
    LB_TRY(path_of(a, dir, stem, ext, &path));
    return lb_fs_write_atomic(path, s->s ? s->s : "", s->len);
}

/* The pictures appear under their names only when all are drawn; else none is left that shows other data. */
static lb_status draw(lb_plotter *w, const lb_plot *p, const char *script_name, bool *drawn) {
    char *stem = lb_arena_printf(p->arena, "%s.tmp.%ld", p->name, (long)getpid()), *from[3], *to[3];
    if (!stem) return LB_E_NOMEM;
    for (int i = 0; i < 3; i++) {
        LB_TRY(path_of(p->arena, w->dir, stem, format[i], &from[i]));
        LB_TRY(path_of(p->arena, w->dir, p->name, format[i], &to[i]));
        unlink(from[i]); /* gnuplot would write through a link */
        unlink(to[i]);
    }
    *drawn = false;
    if (w->no_gnuplot) return LB_OK;
    lb_status st = lb_gnuplot_run(w->dir, script_name, stem);
    for (int i = 0; st == LB_OK && i < 3; i++)
        if (rename(from[i], to[i]) != 0) st = lb_fail(LB_E_IO, "%s: gnuplot did not write it", to[i]);
    *drawn = st == LB_OK;
    for (int i = 0; st != LB_OK && i < 3; i++) {
        unlink(from[i]);
        unlink(to[i]);
    }
    if (st == LB_E_NOMEM || st == LB_E_INTERRUPTED) return st;
    w->no_gnuplot = st == LB_E_UNSUPPORTED;
    if (w->no_gnuplot)
        lb_warn(w->log, "no plots: %s; the scripts and data are in %s (apt-get install gnuplot-nox)", lb_error(),
                w->dir);
    else if (st != LB_OK)
        lb_warn(w->log, "plot %s: %s", p->name, lb_error());
    return LB_OK;
}

static lb_status remember(lb_plotter *w, const lb_plot *p, bool drawn) {
    lb_plot_list *l = w->list;
    if (l->n == w->cap) {
        int64_t cap = w->cap ? 2 * w->cap : 16;
        lb_plot_entry *at = LB_NEW(p->arena, lb_plot_entry, cap);
        if (!at) return LB_E_NOMEM;
        if (l->n) memcpy(at, l->at, (size_t)l->n * sizeof *at);
        l->at = at, w->cap = cap;
    }
    l->at[l->n++] = (lb_plot_entry){p->name, p->caption ? p->caption : p->title, drawn};
    return LB_OK;
}

/* Its own file, also where models or texts have names that look alike as those of files. */
static lb_status own_name(const lb_plotter *w, lb_plot *p) {
    const char *base = w->suffix ? lb_arena_printf(p->arena, "%s-%s", p->name, w->suffix) : p->name;
    p->name = base;
    for (int64_t i = 0, n = 2; p->name && i < w->list->n; i++)
        if (strcmp(w->list->at[i].name, p->name) == 0) {
            p->name = lb_arena_printf(p->arena, "%s-%lld", base, (long long)n++);
            i = -1;
        }
    return p->name ? LB_OK : LB_E_NOMEM;
}

lb_status lb_plot_finish(lb_plotter *w, lb_plot *p) {
    lb_str s = {0};
    LB_TRY(own_name(w, p));
    LB_TRY(lb_str_check(&p->setup));
    LB_TRY(lb_str_check(&p->draw));
    script(p, &s);
    lb_status st = write_text(p->arena, w->dir, p->name, "gp", &s);
    lb_str_free(&s);
    LB_TRY(st);
    LB_TRY(write_text(p->arena, w->dir, p->name, "dat", &p->dat));
    char *name = lb_arena_printf(p->arena, "%s.gp", p->name);
    if (!name) return LB_E_NOMEM;
    bool drawn = false;
    LB_TRY(draw(w, p, name, &drawn));
    return remember(w, p, drawn);
}

lb_status lb_plot_all(const lb_report_view *v, const char *dir, lb_log *log, lb_plot_list *out) {
    *out = (lb_plot_list){.n = 0};
    lb_plotter w = {.dir = dir, .log = log, .list = out};
    LB_TRY(lb_fs_own_folder(dir));
    for (int64_t m = 0; m < v->models; m++) {
        const lb_report_view *one = &v->model[m];
        if (v->models > 1 && !(w.suffix = lb_report_slug(v->arena, one->r->model_name))) return LB_E_NOMEM;
        LB_TRY(lb_plot_quality(one, &w));
        LB_TRY(lb_plot_layers(one, &w));
        LB_TRY(lb_plot_training(one, &w));
    }
    return LB_OK;
}

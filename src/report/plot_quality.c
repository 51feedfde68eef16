/* Perplexity against bits, and against size with the Pareto front. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/plot_points.h"

/* Lines across the plot for what is not quantized. */
static void flat_lines(const lb_plotter *w, lb_plot *p, const lb_points *s, lb_span x, int style) {
    int k = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (s->at[i].flat && isfinite(s->at[i].q.ppl)) {
            lb_points_across(w, p, &s->at[i], s->at[i].q.ppl, x.low, x.high, style + k, k);
            k++;
        }
}

/* One line of the series that begins at i, by bits. */
static lb_status series_data(lb_plot *p, const lb_points *s, int64_t i, bool *spread, bool *lone) {
    const lb_point **line;
    int64_t n;
    LB_TRY(lb_points_line(p->arena, s, i, &line, &n));
    *lone = n == 1;
    lb_str_add(&p->dat, "# %s ppl ppl_low ppl_high %s mib (low, high: 95 %% interval over seeds)\n",
               s->measured ? "bits_per_weight" : "bits", s->measured ? "bits" : "bits_per_weight");
    *spread = false;
    for (int64_t k = 0; k < n; k++) {
        const lb_point *x = line[k];
        double other = s->measured ? x->bits : x->bits_per_weight, low, high;
        if (!isfinite(x->q.ppl)) {
            lb_str_add(&p->dat, "%.9g NaN NaN NaN %.9g %.9g\n", x->x, other, x->mib);
            continue;
        }
        lb_report_ppl_bar(&x->q, &low, &high);
        *spread = *spread || high > low;
        lb_str_add(&p->dat, "%.9g %.9g %.9g %.9g %.9g %.9g\n", x->x, x->q.ppl, low, high, other, x->mib);
    }
    return LB_OK;
}

static lb_status draw_series(lb_plot *p, const lb_points *s, int64_t i, int style, double shift) {
    bool spread, lone;
    int block = lb_plot_block(p, s->at[i].row->series);
    LB_TRY(series_data(p, s, i, &spread, &lone));
    lb_plot_style_row(p, style, s->at[i].row, lone);
    lb_str_add(&p->draw, ", \\\n        data index %d using ($1%+.3g):2 with linespoints ls %d", block, shift, style);
    lb_plot_legend_entry(p, s->at[i].row->series);
    if (spread)
        lb_str_add(&p->draw,
                   ", \\\n        data index %d using ($1%+.3g):3:(0):($4 - $3) with vectors nohead ls %d dt solid "
                   "notitle",
                   block, shift, style);
    return LB_OK;
}

static lb_status bits_plot(const lb_report_view *v, const lb_report_block *b, const lb_points *s, lb_plotter *w,
                           lb_plot *p) {
    const char *absent = "";
    LB_TRY(lb_points_not_shown(v, s, &absent));
    p->title = lb_arena_printf(v->arena, "%s: perplexity on %s", v->r->model_name, b->title);
    p->caption = lb_arena_printf(v->arena, "%s: perplexity (log scale) on %s against %s, by method and group%s%s.%s",
                                 v->r->model_name, b->title, s->measured ? "measured bits a weight" : "bits per code",
                                 v->seeds ? "; bars: 95 % intervals of rows over seeds" : "",
                                 lb_points_lines(s) > 1 && !s->measured
                                     ? "; lines are a little beside each other, so that equal points show"
                                     : "",
                                 absent);
    if (!p->title || !p->caption) return LB_E_NOMEM;
    lb_points_axes(p, s->measured ? "bits per weight, measured" : "bits per code", "perplexity (log scale)");
    lb_str_add(&p->setup, "set datafile missing 'NaN'\n");
    lb_plot_axis_of(w, p, "y", "ppl", true, s->ppl);
    lb_span x = lb_plot_limits(w, "bits", (lb_span){s->x.low - 0.5, s->x.high + 0.5});
    if (s->measured)
        lb_plot_range_axis(w, p, "x", false, x);
    else
        lb_str_add(&p->setup, "set xrange [%g:%g]\nset xtics 1\n", x.low, x.high);
    int style = 1;
    lb_str_add(&p->draw, "    plot 1/0 notitle");
    for (int64_t i = 0; i < s->n; i++) {
        if (!lb_points_first(s, i)) continue;
        LB_TRY(draw_series(p, s, i, style, s->measured ? 0 : lb_points_aside(s, style - 1, 0.04)));
        style++;
    }
    flat_lines(w, p, s, x, style);
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static int legend_entries(const lb_points *s) {
    int n = lb_points_lines(s);
    for (int64_t i = 0; i < s->n; i++) n += s->at[i].flat;
    return n;
}

/* ---- size ---- */

static int by_size(const void *x, const void *y) {
    const lb_point *const *a = x, *const *b = y;
    if ((*a)->mib != (*b)->mib) return (*a)->mib < (*b)->mib ? -1 : 1;
    if ((*a)->q.ppl != (*b)->q.ppl) return (*a)->q.ppl < (*b)->q.ppl ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

/* Points that no other one beats in both size and perplexity, by size. */
static lb_status pareto(lb_arena *a, const lb_points *s, const lb_point ***out, int64_t *n) {
    const lb_point **at = LB_NEW(a, const lb_point *, s->n + 1);
    if (!at) return LB_E_NOMEM;
    int64_t count = 0, kept = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (!s->at[i].flat && isfinite(s->at[i].q.ppl)) at[count++] = &s->at[i];
    qsort(at, (size_t)count, sizeof *at, by_size);
    double best = INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (at[i]->q.ppl < best) best = at[i]->q.ppl, at[kept++] = at[i];
    *out = at, *n = kept;
    return LB_OK;
}

static bool any_finite(const lb_points *s, const char *method) {
    for (int64_t i = 0; i < s->n; i++)
        if (!s->at[i].flat && isfinite(s->at[i].q.ppl) && !strcmp(s->at[i].row->cell[0]->method, method)) return true;
    return false;
}

static void method_points(lb_plot *p, const lb_points *s, int *style) {
    for (int64_t i = 0; i < s->n; i++) {
        const char *method = s->at[i].row->cell[0]->method;
        bool first = !s->at[i].flat && any_finite(s, method);
        for (int64_t k = 0; k < i && first; k++)
            first = s->at[k].flat || strcmp(s->at[k].row->cell[0]->method, method) != 0;
        if (!first) continue;
        int block = lb_plot_block(p, method);
        lb_str_add(&p->dat, "# mib ppl bits bits_per_weight name\n");
        for (int64_t k = i; k < s->n; k++) {
            const lb_point *x = &s->at[k];
            if (x->flat || strcmp(x->row->cell[0]->method, method) != 0 || !isfinite(x->q.ppl)) continue;
            lb_str_add(&p->dat, "%.9g %.9g %d %.9g \"", x->mib, x->q.ppl, (int)x->bits, x->bits_per_weight);
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, x->row->short_name);
            lb_str_add(&p->dat, "\"\n");
        }
        lb_plot_style_of(p, *style, method, "", false);
        lb_str_add(&p->draw, ", \\\n        data index %d using 1:2 with points ls %d", block, *style);
        lb_plot_legend_entry(p, method);
        (*style)++;
    }
}

#define FRONT_WIDTH  520 /* points that the axes take, about */
#define LABEL_WIDTH  36  /* of a range of numbers */
#define LABEL_HEIGHT 20

/* Front points so near to each other that their numbers would overlap share one label, "9-11". How many from i on. */
static int64_t together(const lb_plotter *w, const lb_plot *p, const lb_points *s, const lb_point *const *front,
                        int64_t n, int64_t i) {
    double across = lb_plot_axis_points(w, p, 'x'), up = lb_plot_axis_points(w, p, 'y');
    double x = (across > 0 ? across : FRONT_WIDTH) / fmax(log(s->mib.high / s->mib.low), 1e-6);
    double y = (up > 0 ? up : p->height - 110) / fmax(log(s->ppl.high / s->ppl.low), 1e-6);
    int64_t k = i + 1;
    while (k < n && x * log(front[k]->mib / front[k - 1]->mib) < LABEL_WIDTH &&
           y * log(front[k - 1]->q.ppl / front[k]->q.ppl) < LABEL_HEIGHT)
        k++;
    return k - i;
}

/* The front as steps, its points numbered; the numbers are explained in the legend, where nothing overlaps. */
static int front_line(const lb_plotter *w, lb_plot *p, const lb_points *s, const lb_point *const *front, int64_t n,
                      double right) {
    int block = lb_plot_block(p, "Pareto front");
    lb_str_add(&p->dat, "# mib ppl label name\n");
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++) {
        lb_str_add(&p->dat, "%.9g %.9g ", front[i]->mib, front[i]->q.ppl);
        if (same == 0) {
            same = together(w, p, s, front, n, i);
            if (same > 1)
                lb_str_add(&p->dat, "\"%lld\xe2\x80\x93%lld\" \"", (long long)i + 1, (long long)(i + same));
            else
                lb_str_add(&p->dat, "\"%lld\" \"", (long long)i + 1);
        } else {
            lb_str_add(&p->dat, "\"\" \"");
        }
        same--;
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, front[i]->row->short_name);
        lb_str_add(&p->dat, "\"\n");
    }
    lb_str_add(&p->dat, "%.9g %.9g \"\" \"\"\n", right, front[n - 1]->q.ppl);
    lb_str_add(&p->draw, "    plot data index %d using 1:2 with steps lc rgb '#999999' lw 1.5 dt solid", block);
    lb_plot_legend_entry(p, "Pareto front");
    return block;
}

/* Room for the number of a point at the left, and of one at the bottom, which stand to their left and below. */
static lb_span with_labels(const lb_plotter *w, const lb_plot *p, char axis, lb_span x) {
    double points = lb_plot_axis_points(w, p, axis);
    double share = axis == 'x' ? LABEL_WIDTH / (points > 0 ? points : FRONT_WIDTH)
                               : LABEL_HEIGHT / (points > 0 ? points : p->height - 110);
    return (lb_span){x.low / pow(x.high / x.low, share), x.high};
}

/* Over lines and points, on white, so that nothing runs through them. */
static void front_numbers(lb_plot *p, int block) {
    lb_str_add(&p->setup, "set style textbox opaque margins 0.1,0.1 fillcolor rgb '#ffffff' noborder\n");
    lb_str_add(&p->draw, ", \\\n        data index %d using 1:2:3 with labels boxed right offset -0.8,-0.8 notitle",
               block);
}

static lb_status front_plot(const lb_report_view *v, const lb_report_block *b, const lb_points *s, lb_plotter *w,
                            lb_plot *p) {
    const lb_point **front;
    int64_t n;
    const char *absent = "";
    LB_TRY(pareto(v->arena, s, &front, &n));
    if (!n) return LB_OK;
    LB_TRY(lb_points_not_shown(v, s, &absent));
    p->title = lb_arena_printf(v->arena, "%s: size and perplexity on %s", v->r->model_name, b->title);
    p->caption =
        lb_arena_printf(v->arena,
                        "%s: size of the whole model (what is not quantized at 16 bits; log scale) and "
                        "perplexity (log scale) on %s. The numbered points are the Pareto front: no other cell "
                        "is both smaller and better.%s",
                        v->r->model_name, b->title, absent);
    if (!p->title || !p->caption) return LB_E_NOMEM;
    lb_points_axes(p, "model size in MiB (log scale)", "perplexity (log scale)");
    lb_str_add(&p->setup, "set datafile missing 'NaN'\n");
    lb_plot_axis_of(w, p, "y", "ppl", true, with_labels(w, p, 'y', s->ppl));
    lb_plot_axis_of(w, p, "x", "mib", true, with_labels(w, p, 'x', s->mib));
    lb_str_add(&p->setup, "set clip two\n");
    p->open_markers = p->no_lines = true;
    int style = 1;
    double right = s->mib.high * 2;
    int numbers = front_line(w, p, s, front, n, right);
    method_points(p, s, &style);
    flat_lines(w, p, s, (lb_span){s->mib.low / 2, right}, style);
    front_numbers(p, numbers);
    for (int64_t i = 0; i < n; i++) {
        char *entry = lb_arena_printf(v->arena, "%lld: %s", (long long)i + 1, front[i]->row->short_name);
        if (!entry) return LB_E_NOMEM;
        lb_str_add(&p->draw, ", \\\n        1/0 with lines lc rgb '#ffffff'");
        lb_plot_legend_entry(p, entry);
    }
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static lb_status one_plot(const lb_report_view *v, const lb_report_block *b, const lb_points *s, lb_plotter *w,
                          bool front) {
    lb_plot p;
    int entries = front ? (int)s->n + 6 : legend_entries(s);
    if (front && entries > 24) entries = 24;
    int height = 90 + 20 * entries;
    char *name = lb_arena_printf(v->arena, "%s-%s", front ? "front" : "ppl-bits", b->id);
    if (!name) return LB_E_NOMEM;
    LB_TRY(lb_plot_begin(&p, v->arena, name, 600 + lb_plot_legend_width(lb_points_longest(s, !front)),
                         height < 460 ? 460 : height));
    lb_status st = front ? front_plot(v, b, s, w, &p) : bits_plot(v, b, s, w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_quality(const lb_report_view *v, lb_plotter *w) {
    for (int64_t b = 0; b < v->blocks; b++) {
        lb_points s;
        LB_TRY(lb_points_of(v, &v->block[b], &s));
        /* With nothing quantized, or nothing finite, there is nothing to draw. */
        if (lb_span_empty(&s.ppl) || lb_span_empty(&s.mib) || !(s.ppl.low > 0) || !(s.mib.low > 0)) continue;
        LB_TRY(one_plot(v, &v->block[b], &s, w, false));
        LB_TRY(one_plot(v, &v->block[b], &s, w, true));
    }
    return LB_OK;
}

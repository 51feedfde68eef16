/* Perplexity against bits, and against size with the Pareto front. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/plot.h"

typedef struct point {
    const lb_report_row *row;
    lb_report_quality q;
    double bits, bits_per_weight, mib;
    bool flat; /* nothing quantized: a line across */
} point;

typedef struct points {
    point *at;
    int64_t n;
    lb_span ppl, mib, bits;
} points;

static lb_status collect(const lb_report_view *v, const lb_report_block *b, points *out) {
    *out = (points){.ppl = LB_SPAN_EMPTY, .mib = LB_SPAN_EMPTY, .bits = LB_SPAN_EMPTY};
    out->at = LB_NEW(v->arena, point, v->rows + 1);
    if (!out->at) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        point p = {.row = &v->row[i],
                   .bits = c->bits,
                   .bits_per_weight = lb_size_bits(&c->size.quantized),
                   .mib = lb_mib((double)c->size.total_as_fp16)};
        LB_TRY(lb_report_quality_of(v, p.row, b, &p.q));
        if (!p.q.seeds) continue;
        p.flat = c->size.quantized.weights == 0;
        double low, high;
        lb_report_ppl_bar(&p.q, &low, &high);
        lb_span_add(&out->ppl, low);
        lb_span_add(&out->ppl, high);
        if (!p.flat) {
            lb_span_add(&out->mib, p.mib);
            lb_span_add(&out->bits, p.bits);
        }
        out->at[out->n++] = p;
    }
    return LB_OK;
}

static void axis_labels(lb_plot *p, const char *x) {
    lb_str_add(&p->setup, "set title title\n");
    lb_str_add(&p->setup, "set xlabel ");
    lb_plot_quote(&p->setup, x);
    lb_str_add(&p->setup, "\nset ylabel 'perplexity (log scale)'\nset grid lc rgb '#c8c8c8' lw 0.8 dt solid\n"
                          "set key outside right top Left reverse samplen 3.2 spacing 1.15\nset border 3\n"
                          "set tics nomirror\nset datafile missing 'NaN'\n");
}

/* Lines across the plot for what is not quantized, a dash pattern each. */
static void flat_lines(const lb_plotter *w, lb_plot *p, const points *s, double low, double high, int style) {
    static const char *const dash[] = {"(10,6)", "(2,4)", "(14,4,2,4)", "(4,4)"};
    int k = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const point *x = &s->at[i];
        if (!x->flat || !isfinite(x->q.ppl)) continue;
        int block = lb_plot_block(p, x->row->name);
        lb_str_add(&p->dat, "%.9g %.9g\n%.9g %.9g\n", low, x->q.ppl, high, x->q.ppl);
        lb_str_add(&p->setup, "set style line %d lc rgb '%s' lw 1.5 dt %s\n", style,
                   lb_plot_colour(w, x->row->cell[0]->method), dash[k % 4]);
        lb_str_add(&p->draw, ", \\\n        data index %d using 1:2 with lines ls %d title ", block, style);
        lb_plot_quote(&p->draw, x->row->baseline ? "unquantized" : x->row->short_name);
        style++, k++;
    }
}

static size_t longest(const points *s, bool by_series) {
    size_t n = strlen("unquantized");
    for (int64_t i = 0; i < s->n; i++) {
        size_t w = lb_text_width(by_series ? s->at[i].row->series : s->at[i].row->short_name);
        if (w > n) n = w;
    }
    return n;
}

static bool first_of_series(const points *s, int64_t i) {
    for (int64_t k = 0; k < i; k++)
        if (!s->at[k].flat && strcmp(s->at[k].row->series, s->at[i].row->series) == 0) return false;
    return true;
}

/* One line of the series that begins at i, by bits. */
static void series_data(lb_plot *p, const points *s, int64_t i, bool *spread) {
    lb_str_add(&p->dat, "# bits ppl ppl_low ppl_high bits_per_weight mib (low, high: 95 %% interval over seeds)\n");
    *spread = false;
    for (int bits = 1; bits <= 16; bits++)
        for (int64_t k = i; k < s->n; k++) {
            const point *x = &s->at[k];
            if (x->flat || (int)x->bits != bits || strcmp(x->row->series, s->at[i].row->series) != 0) continue;
            if (!isfinite(x->q.ppl)) {
                lb_str_add(&p->dat, "%d NaN NaN NaN %.9g %.9g\n", bits, x->bits_per_weight, x->mib);
                continue;
            }
            double low, high;
            lb_report_ppl_bar(&x->q, &low, &high);
            *spread = *spread || high > low;
            lb_str_add(&p->dat, "%d %.9g %.9g %.9g %.9g %.9g\n", bits, x->q.ppl, low, high, x->bits_per_weight, x->mib);
        }
}

/* What a log scale has no place for is named: " Not finite, so not shown: gptq 2b g64." */
static lb_status not_shown(const lb_report_view *v, const points *s, const char **out) {
    lb_str text = {0};
    for (int64_t i = 0; i < s->n; i++)
        if (!isfinite(s->at[i].q.ppl))
            lb_str_add(&text, "%s %s", text.len ? "," : " Not finite, so not shown:", s->at[i].row->short_name);
    if (text.len) lb_str_add(&text, ".");
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && !(*out = lb_arena_strdup(v->arena, text.s ? text.s : ""))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

static int line_count(const points *s) {
    int n = 0;
    for (int64_t i = 0; i < s->n; i++) n += !s->at[i].flat && first_of_series(s, i);
    return n;
}

/* Lines lie a little beside each other, so that equal points and bars of seeds show. */
static double aside(int line, int lines) {
    double step = lines > 8 ? 0.28 / (lines - 1) : 0.04;
    return step * (line - 0.5 * (lines - 1));
}

static void draw_series(lb_plot *p, const points *s, int64_t i, int style, double shift) {
    bool spread;
    int block = lb_plot_block(p, s->at[i].row->series);
    series_data(p, s, i, &spread);
    lb_plot_style_row(p, style, s->at[i].row);
    lb_str_add(&p->draw, ", \\\n        data index %d using ($1%+.3g):2 with linespoints ls %d title ", block, shift,
               style);
    lb_plot_quote(&p->draw, s->at[i].row->series);
    if (spread)
        lb_str_add(&p->draw,
                   ", \\\n        data index %d using ($1%+.3g):3:(0):($4 - $3) with vectors nohead ls %d dt solid "
                   "notitle",
                   block, shift, style);
}

static lb_status bits_plot(const lb_report_view *v, const lb_report_block *b, const points *s, lb_plotter *w,
                           lb_plot *p) {
    const char *absent = "";
    LB_TRY(not_shown(v, s, &absent));
    p->title = lb_arena_printf(v->arena, "%s: perplexity on %s", v->r->model_name, b->title);
    p->caption = lb_arena_printf(
        v->arena, "%s: perplexity (log scale) on %s against bits per code, by method and group%s%s.%s",
        v->r->model_name, b->title, v->seeds ? "; bars: 95 % intervals of rows over seeds" : "",
        line_count(s) > 1 ? "; lines are a little beside each other, so that equal points show" : "", absent);
    if (!p->title || !p->caption) return LB_E_NOMEM;
    axis_labels(p, "bits per code");
    lb_plot_log_axis(p, "y", s->ppl.low, s->ppl.high);
    double low = s->bits.low - 0.5, high = s->bits.high + 0.5;
    lb_str_add(&p->setup, "set xrange [%g:%g]\nset xtics 1\n", low, high);
    int style = 1, lines = line_count(s);
    lb_str_add(&p->draw, "    plot 1/0 notitle");
    for (int64_t i = 0; i < s->n; i++) {
        if (s->at[i].flat || !first_of_series(s, i)) continue;
        draw_series(p, s, i, style, aside(style - 1, lines));
        style++;
    }
    flat_lines(w, p, s, low, high, style);
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static int series_count(const points *s) {
    int n = 0;
    for (int64_t i = 0; i < s->n; i++) n += s->at[i].flat || first_of_series(s, i);
    return n;
}

/* ---- size ---- */

static int by_size(const void *x, const void *y) {
    const point *const *a = x, *const *b = y;
    if ((*a)->mib != (*b)->mib) return (*a)->mib < (*b)->mib ? -1 : 1;
    if ((*a)->q.ppl != (*b)->q.ppl) return (*a)->q.ppl < (*b)->q.ppl ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

/* Points that no other one beats in both size and perplexity, by size. */
static lb_status pareto(lb_arena *a, const points *s, const point ***out, int64_t *n) {
    const point **at = LB_NEW(a, const point *, s->n + 1);
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

static bool any_finite(const points *s, const char *method) {
    for (int64_t i = 0; i < s->n; i++)
        if (!s->at[i].flat && isfinite(s->at[i].q.ppl) && !strcmp(s->at[i].row->cell[0]->method, method)) return true;
    return false;
}

static void method_points(lb_plot *p, const points *s, int *style) {
    for (int64_t i = 0; i < s->n; i++) {
        const char *method = s->at[i].row->cell[0]->method;
        bool first = !s->at[i].flat && any_finite(s, method);
        for (int64_t k = 0; k < i && first; k++)
            first = s->at[k].flat || strcmp(s->at[k].row->cell[0]->method, method) != 0;
        if (!first) continue;
        int block = lb_plot_block(p, method);
        lb_str_add(&p->dat, "# mib ppl bits bits_per_weight name\n");
        for (int64_t k = i; k < s->n; k++) {
            const point *x = &s->at[k];
            if (x->flat || strcmp(x->row->cell[0]->method, method) != 0 || !isfinite(x->q.ppl)) continue;
            lb_str_add(&p->dat, "%.9g %.9g %d %.9g \"", x->mib, x->q.ppl, (int)x->bits, x->bits_per_weight);
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, x->row->short_name);
            lb_str_add(&p->dat, "\"\n");
        }
        lb_plot_style_of(p, *style, method, "", 0);
        lb_str_add(&p->draw, ", \\\n        data index %d using 1:2 with points ls %d title ", block, *style);
        lb_plot_quote(&p->draw, method);
        (*style)++;
    }
}

#define FRONT_WIDTH  520 /* points that the axes take, about */
#define LABEL_WIDTH  36  /* of a range of numbers */
#define LABEL_HEIGHT 20

/* Front points so near to each other that their numbers would overlap share one label, "9-11". How many from i on. */
static int64_t together(const points *s, const point *const *front, int64_t n, int64_t i, int height) {
    double x = FRONT_WIDTH / fmax(log(s->mib.high / s->mib.low), 1e-6);
    double y = (height - 110) / fmax(log(s->ppl.high / s->ppl.low), 1e-6);
    int64_t k = i + 1;
    while (k < n && x * log(front[k]->mib / front[k - 1]->mib) < LABEL_WIDTH &&
           y * log(front[k - 1]->q.ppl / front[k]->q.ppl) < LABEL_HEIGHT)
        k++;
    return k - i;
}

/* The front as steps, its points numbered; the numbers are explained in the legend, where nothing overlaps. */
static int front_line(lb_plot *p, const points *s, const point *const *front, int64_t n, double right) {
    int block = lb_plot_block(p, "Pareto front");
    lb_str_add(&p->dat, "# mib ppl label name\n");
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++) {
        lb_str_add(&p->dat, "%.9g %.9g ", front[i]->mib, front[i]->q.ppl);
        if (same == 0) {
            same = together(s, front, n, i, p->height);
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
    lb_str_add(&p->draw,
               "    plot data index %d using 1:2 with steps lc rgb '#999999' lw 1.5 dt solid title 'Pareto front'",
               block);
    return block;
}

/* Over lines and points, on white, so that nothing runs through them. */
static void front_numbers(lb_plot *p, int block) {
    lb_str_add(&p->setup, "set style textbox opaque margins 0.1,0.1 fillcolor rgb '#ffffff' noborder\n");
    lb_str_add(&p->draw, ", \\\n        data index %d using 1:2:3 with labels boxed right offset -0.8,-0.8 notitle",
               block);
}

static lb_status front_plot(const lb_report_view *v, const lb_report_block *b, const points *s, lb_plotter *w,
                            lb_plot *p) {
    const point **front;
    int64_t n;
    const char *absent = "";
    LB_TRY(pareto(v->arena, s, &front, &n));
    if (!n) return LB_OK;
    LB_TRY(not_shown(v, s, &absent));
    p->title = lb_arena_printf(v->arena, "%s: size and perplexity on %s", v->r->model_name, b->title);
    p->caption =
        lb_arena_printf(v->arena,
                        "%s: size of the whole model (what is not quantized at 16 bits; log scale) and "
                        "perplexity (log scale) on %s. The numbered points are the Pareto front: no other cell "
                        "is both smaller and better.%s",
                        v->r->model_name, b->title, absent);
    if (!p->title || !p->caption) return LB_E_NOMEM;
    axis_labels(p, "model size in MiB (log scale)");
    lb_plot_log_axis(p, "y", s->ppl.low, s->ppl.high);
    lb_plot_log_axis(p, "x", s->mib.low, s->mib.high);
    lb_str_add(&p->setup, "set clip two\n");
    p->open_markers = p->no_lines = true;
    int style = 1;
    double right = s->mib.high * 2;
    int numbers = front_line(p, s, front, n, right);
    method_points(p, s, &style);
    flat_lines(w, p, s, s->mib.low / 2, right, style);
    front_numbers(p, numbers);
    for (int64_t i = 0; i < n; i++) {
        char *entry = lb_arena_printf(v->arena, "%lld: %s", (long long)i + 1, front[i]->row->short_name);
        if (!entry) return LB_E_NOMEM;
        lb_str_add(&p->draw, ", \\\n        1/0 with lines lc rgb '#ffffff' title ");
        lb_plot_quote(&p->draw, entry);
    }
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static lb_status one_plot(const lb_report_view *v, const lb_report_block *b, const points *s, lb_plotter *w,
                          bool front) {
    lb_plot p;
    int entries = front ? (int)s->n + 6 : series_count(s);
    if (front && entries > 24) entries = 24;
    int height = 90 + 20 * entries;
    char *name = lb_arena_printf(v->arena, "%s-%s", front ? "front" : "ppl-bits", b->id);
    if (!name) return LB_E_NOMEM;
    LB_TRY(
        lb_plot_begin(&p, v->arena, name, 600 + lb_plot_legend_width(longest(s, !front)), height < 460 ? 460 : height));
    lb_status st = front ? front_plot(v, b, s, w, &p) : bits_plot(v, b, s, w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_quality(const lb_report_view *v, lb_plotter *w) {
    for (int64_t b = 0; b < v->blocks; b++) {
        points s;
        LB_TRY(collect(v, &v->block[b], &s));
        /* With nothing quantized, or nothing finite, there is nothing to draw. */
        if (lb_span_empty(&s.ppl) || lb_span_empty(&s.mib) || !(s.ppl.low > 0) || !(s.mib.low > 0)) continue;
        LB_TRY(one_plot(v, &v->block[b], &s, w, false));
        LB_TRY(one_plot(v, &v->block[b], &s, w, true));
    }
    return LB_OK;
}

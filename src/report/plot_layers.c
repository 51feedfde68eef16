/* Layer errors: by type over depth, and as a map of depth and type. Cells of one bit width share a figure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/facts.h"
#include "report/plot_rows.h"

#define LINES     8 /* lines a figure that can still be told apart */
#define LOW_LINES 4 /* the same of a figure that may not be high */
#define MAPS      6 /* maps a figure */
#define TYPES     16

typedef enum measure { BY_ORIGINAL, BY_OWN, BY_WEIGHT } measure;

static double value_of(const lb_layer_row *l, measure m) {
    if (!l->quantized) return NAN;
    if (m == BY_WEIGHT) return lb_weight_rel(lb_layer_weights(l));
    return lb_output_rel(m == BY_ORIGINAL ? &l->original : &l->own);
}

static bool drawable(double v) { return isfinite(v) && v > 0; }

/* Of a block's layers of a type, of which experts are several: sum of errors / sum of energies, as of a model. */
static double value_at(const lb_record *c, measure m, int64_t block, const char *type) {
    lb_layer_error sum = {0};
    int64_t n = 0;
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_row *l = &c->layer[i];
        if (l->block != block || strcmp(l->type, type) != 0 || isnan(value_of(l, m))) continue;
        lb_error_add(&sum, m == BY_WEIGHT ? lb_layer_weights(l) : m == BY_ORIGINAL ? &l->original : &l->own);
        n++;
    }
    return n == 0 ? NAN : m == BY_WEIGHT ? lb_weight_rel(&sum) : lb_output_rel(&sum);
}

/* Cells of one bit width that have layers, and what all their errors have in common. */
typedef struct family {
    const lb_report_row **row;
    int64_t n;
    int bits;
    measure by;
    const char *type[TYPES];
    int types;
    int64_t blocks; /* of the model */
    lb_span span;
    const char *bits_text; /* of all cells: "3", or "3–8" where some cell's layers differ */
    bool mixed;            /* cells have other bits than each other: names say which */
} family;

static void add_types(family *f, const lb_record *c) {
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_row *l = &c->layer[i];
        if (l->block < 0) continue;
        if (l->block + 1 > f->blocks) f->blocks = l->block + 1;
        int k = 0;
        while (k < f->types && strcmp(f->type[k], l->type) != 0) k++;
        if (k == f->types && k < TYPES) f->type[f->types++] = l->type;
    }
}

static bool every_cell_has(const family *f, measure m) {
    for (int64_t r = 0; r < f->n; r++) {
        const lb_record *c = f->row[r]->cell[0];
        bool any = false;
        for (int64_t i = 0; i < c->layers && !any; i++)
            any = c->layer[i].block >= 0 && drawable(value_of(&c->layer[i], m));
        if (!any) return false;
    }
    return true;
}

/* Does a cell have any? */
static bool add_values(family *f, const char *type) {
    bool any = false;
    for (int64_t r = 0; r < f->n; r++)
        for (int64_t b = 0; b < f->blocks; b++) {
            double v = value_at(f->row[r]->cell[0], f->by, b, type);
            if (!drawable(v)) continue;
            lb_span_add(&f->span, v);
            any = true;
        }
    return any;
}

static lb_status name_bits(lb_arena *a, family *f) {
    int low = f->bits, high = f->bits;
    for (int64_t i = 0; i < f->n; i++) {
        int least, most;
        if (!lb_report_bits_range(f->row[i]->cell[0], &least, &most)) continue;
        f->mixed = f->mixed || least != f->bits || most != f->bits;
        low = least < low ? least : low, high = most > high ? most : high;
    }
    f->bits_text = low == high ? lb_arena_printf(a, "%d", low) : lb_arena_printf(a, "%d\xe2\x80\x93%d", low, high);
    return f->bits_text ? LB_OK : LB_E_NOMEM;
}

static lb_status family_of(const lb_report_view *v, int bits, family *f) {
    *f = (family){.bits = bits, .span = LB_SPAN_EMPTY};
    f->row = LB_NEW(v->arena, const lb_report_row *, v->rows + 1);
    if (!f->row) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        bool any = false;
        if (c->bits != bits || c->size.quantized.weights == 0 || v->row[i].twin) continue;
        for (int64_t k = 0; k < c->layers && !any; k++)
            any = c->layer[k].block >= 0 && drawable(value_of(&c->layer[k], BY_WEIGHT));
        if (any) f->row[f->n++] = &v->row[i];
    }
    for (int64_t i = 0; i < f->n; i++) add_types(f, f->row[i]->cell[0]);
    /* One measure for all, or the figure would compare what cannot be compared. */
    f->by = every_cell_has(f, BY_ORIGINAL) ? BY_ORIGINAL : every_cell_has(f, BY_OWN) ? BY_OWN : BY_WEIGHT;
    int types = f->types;
    f->types = 0;
    for (int t = 0; t < types; t++)
        if (add_values(f, f->type[t])) f->type[f->types++] = f->type[t];
    return name_bits(v->arena, f);
}

static const char *measure_text(measure m) {
    return m == BY_ORIGINAL ? "relative output MSE, H of the original model"
           : m == BY_OWN    ? "relative output MSE, H of each cell's own inputs"
                            : "relative weight MSE";
}

/* A trained network's errors stand among the others, so its name carries the mark of the tables. */
static lb_status shown_name(lb_arena *a, const family *f, const lb_report_row *row, const char **out) {
    const char *name = f->mixed ? row->short_name : row->series;
    *out = lb_report_trained(row) ? lb_arena_printf(a, "%s \xe2\x80\xa0", name) : name;
    return *out ? LB_OK : LB_E_NOMEM;
}

/* What these errors are not. */
static const char *mark_note(const family *f) {
    bool trained = false, inputs = false;
    for (int64_t i = 0; i < f->n; i++) {
        trained = trained || lb_report_trained(f->row[i]);
        inputs = inputs || lb_report_act_bits(f->row[i]->cell[0]) > 0;
    }
    if (trained && inputs)
        return " \xe2\x80\xa0: trained; these errors are not what was minimized, and leave out what quantized inputs "
               "cost.";
    if (trained) return " \xe2\x80\xa0: trained; these errors are not what was minimized.";
    return inputs ? " They are errors of weights alone: what quantized inputs cost is not in them." : "";
}

static void number(lb_str *s, double v) {
    if (drawable(v))
        lb_str_add(s, " %.9g", v);
    else
        lb_str_add(s, " NaN");
}

/* ---- by type over depth ---- */

/* One block a cell: a row a transformer block, a column a type. */
static void depth_data(lb_plot *p, const family *f, const lb_report_row *row, const char *name) {
    lb_plot_block(p, name);
    lb_str_add(&p->dat, "# block");
    for (int t = 0; t < f->types; t++) {
        lb_str_add(&p->dat, " ");
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, f->type[t]);
    }
    lb_str_add(&p->dat, "\n");
    for (int64_t b = 0; b < f->blocks; b++) {
        lb_str_add(&p->dat, "%lld", (long long)b);
        for (int t = 0; t < f->types; t++) number(&p->dat, value_at(row->cell[0], f->by, b, f->type[t]));
        lb_str_add(&p->dat, "\n");
    }
}

int lb_plot_block_step(int64_t blocks, int most) {
    static const int step[] = {1, 2, 5, 10, 20, 50, 100};
    for (size_t i = 0; i < sizeof step / sizeof step[0]; i++)
        if (blocks / step[i] <= most) return step[i];
    return 200;
}

/* Panels of one figure: a type each, and room for the legend in what is left of the last row. */
typedef struct panels {
    int cols, rows, spare, width, height, panel_height;
} panels;

#define PANEL_WIDTH  290
#define PANEL_HEIGHT 250
#define PANEL_LEAST  180 /* wide, where the figure may not be as wide as it likes */
#define TITLE        40
#define LEGEND_LINE  20

/* have: points that the figure is wide; 0: as it likes. */
static int panel_width(int cols, double have) { return have > 0 ? (int)have / cols : PANEL_WIDTH; }

static int panel_rows(int types, int cols, double have, int legend) {
    int rows = (types + cols) / cols, spare = rows * cols - types;
    return spare * panel_width(cols, have) < legend ? rows + 1 : rows;
}

static panels layout(const family *f, double have, size_t longest_name, int64_t lines) {
    int legend = lb_plot_legend_width(longest_name), n = f->types;
    panels g = {.cols = legend <= PANEL_WIDTH ? 4 : 3, .panel_height = PANEL_HEIGHT};
    while (have > 0 && g.cols > 1 && have / g.cols < PANEL_LEAST) g.cols--;
    /* Panels that fill their rows leave the legend a row of its own: one column less may take no more of them. */
    if (g.cols > 1 && n % g.cols == 0 && panel_rows(n, g.cols - 1, have, legend) <= panel_rows(n, g.cols, have, legend))
        g.cols--;
    int width = panel_width(g.cols, have);
    if (width < PANEL_WIDTH) g.panel_height = PANEL_HEIGHT * width / PANEL_WIDTH;
    if (have > 0 && g.panel_height < LEGEND_LINE * (lines + 1)) g.panel_height = LEGEND_LINE * (int)(lines + 1);
    g.rows = panel_rows(n, g.cols, have, legend);
    g.spare = g.rows * g.cols - n;
    if (g.spare > g.cols) g.spare = g.cols;
    g.width = g.cols * width, g.height = g.rows * g.panel_height + TITLE;
    return g;
}

/* The same for what the figure may be: where it gets too high, letters are smaller, and more panels stand beside each
 * other. Leaves the figure's size and scale. */
static panels layout_for(const lb_plotter *w, lb_plot *p, const family *f, size_t longest_name, int64_t lines) {
    double page = lb_plot_page_width(w), most = lb_plot_most_width(w), have = page;
    panels g = layout(f, have, longest_name, lines);
    for (int step = 1; step <= 4 && page > 0 && g.height * w->o->width_in > have * w->o->most_height_in; step++) {
        have = page + step / 4. * (most - page);
        g = layout(f, have, longest_name, lines);
    }
    p->width = g.width, p->height = g.height;
    lb_plot_size(w, p);
    if (page > 0) p->width = g.width, p->scale = 72 * w->o->width_in / g.width;
    int limit = (int)(72 * w->o->most_height_in / p->scale);
    if (w->o->exact || (page > 0 && p->height > limit)) p->height = g.height = limit;
    g.panel_height = (p->height - TITLE) / g.rows;
    return g;
}

static void depth_draw(lb_plot *p, const family *f, const panels *g, const char *const *name, int64_t n) {
    lb_str_add(&p->draw, "    set multiplot layout %d,%d title title\n    set key off\n    set xlabel 'block'\n",
               g->rows, g->cols);
    for (int t = 0; t < f->types; t++) {
        lb_str_add(&p->draw, "    set title ");
        lb_plot_quote(&p->draw, f->type[t]);
        lb_str_add(&p->draw, " offset 0,-0.6\n    plot");
        for (int64_t i = 0; i < n; i++)
            lb_str_add(&p->draw, "%s data index %lld using 1:%d with linespoints ls %lld pi %d notitle", i ? "," : "",
                       (long long)i, t + 2, (long long)i + 1, f->blocks > 12 ? (int)(f->blocks / 8) : 1);
        lb_str_add(&p->draw, "\n");
    }
    double row = (double)g->panel_height / g->height;
    lb_str_add(
        &p->draw,
        "    unset border\n    unset tics\n    unset title\n    unset xlabel\n    unset grid\n"
        "    set margins 0,0,0,0\n    set key center center Left reverse samplen 3.2 spacing (format eq 'svg' ? %.3g : "
        "%.3g)\n"
        "    set origin %.4f,0\n    set size %.4f,%.4f\n    plot",
        LEGEND_LINE / (1.5 * LB_PLOT_FONT), LEGEND_LINE / (1.17 * LB_PLOT_FONT), 1 - (double)g->spare / g->cols,
        (double)g->spare / g->cols, row);
    for (int64_t i = 0; i < n; i++) {
        lb_str_add(&p->draw, "%s 1/0 with linespoints ls %lld title ", i ? "," : "", (long long)i + 1);
        lb_plot_quote(&p->draw, name[i]);
    }
    lb_str_add(&p->draw, "\n    unset multiplot\n");
}

static lb_status depth_figure(const lb_report_view *v, lb_plotter *w, const family *f, int64_t from, int64_t n,
                              const char *part) {
    lb_plot p;
    char *file = lb_arena_printf(v->arena, "layer-error-%db%s", f->bits, part);
    const char **name = LB_NEW(v->arena, const char *, n);
    if (!file || !name) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) LB_TRY(shown_name(v->arena, f, f->row[from + i], &name[i]));
    LB_TRY(lb_plot_begin(&p, v->arena, file, PANEL_WIDTH, PANEL_HEIGHT));
    panels g = layout_for(w, &p, f, lb_plot_longest(name, n), n);
    p.title_columns = (int)(p.width / LB_PLOT_TITLE_LETTER);
    p.title =
        lb_arena_printf(v->arena, "%s, %s bits: %s (log scale)", v->r->model_name, f->bits_text, measure_text(f->by));
    p.caption = lb_arena_printf(v->arena, "%s, %s bits: %s (log scale) over depth, by layer type%s.%s",
                                v->r->model_name, f->bits_text, measure_text(f->by),
                                v->seeds ? ", the first seed of each row" : "", mark_note(f));
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    p.each = p.open_markers = true; /* the legend's panel switches axes off */
    for (int64_t i = 0; st == LB_OK && i < n; i++) {
        depth_data(&p, f, f->row[from + i], name[i]);
        lb_plot_style_row(&p, (int)i + 1, f->row[from + i], false);
    }
    if (st == LB_OK) st = lb_plot_fit_names(&p, name, n, (size_t)((g.width - 90) / LB_PLOT_LETTER));
    lb_str_add(&p.setup, "set datafile missing 'NaN'\nset margins -1,-1,-1,-1\nset border 3\nset tics nomirror\n"
                         "set grid lc rgb '#c8c8c8' lw 0.8 dt solid\n");
    if (g.panel_height < PANEL_HEIGHT)
        lb_plot_bar_axis(&p, "y", f->span, true, g.panel_height - 75);
    else
        lb_plot_log_axis(&p, "y", f->span.low, f->span.high);
    lb_str_add(&p.setup, "set xrange [-0.5:%lld.5]\nset xtics %d nomirror\n", (long long)f->blocks - 1,
               lb_plot_block_step(f->blocks, g.width / g.cols < PANEL_WIDTH ? 4 : 8));
    if (st == LB_OK) {
        depth_draw(&p, f, &g, name, n);
        st = lb_plot_finish(w, &p);
    }
    lb_plot_free(&p);
    return st;
}

/* ---- map ---- */

static void map_data(lb_plot *p, const family *f, const lb_report_row *row, const char *name) {
    lb_plot_block(p, name);
    lb_str_add(&p->dat, "# block type_number error type\n");
    for (int t = 0; t < f->types; t++)
        for (int64_t b = 0; b < f->blocks; b++) {
            lb_str_add(&p->dat, "%lld %d", (long long)b, t);
            number(&p->dat, value_at(row->cell[0], f->by, b, f->type[t]));
            lb_str_add(&p->dat, " ");
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, f->type[t]);
            lb_str_add(&p->dat, "\n");
        }
}

#define MAP_FRAME 92  /* points of a map beside its lines, */
#define MAP_ABOVE 26  /* of those for its title */
#define MAP_LINE  20  /* and of one of those */
#define MAP_REST  60  /* points of a figure beside its maps */
#define MAP_SIDES 150 /* at its sides, types and the colour bar */

static void map_draw(lb_plot *p, const family *f, const char *const *name, int64_t n, double top) {
    lb_str_add(&p->setup, "set yrange [%d.5:-0.5]\nset ytics (", f->types - 1);
    for (int t = 0; t < f->types; t++) {
        lb_str_add(&p->setup, "%s", t ? ", " : "");
        lb_plot_quote_tic(&p->setup, f->type[t]);
        lb_str_add(&p->setup, " %d", t);
    }
    lb_str_add(&p->setup, ") out nomirror\nset xlabel 'block'\nset key off\nset border 15\n");
    lb_str_add(&p->draw, "    set multiplot layout %lld,1 title title\n", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        lb_plot_map_place(p, i, n, top, MAP_ABOVE, MAP_FRAME - MAP_ABOVE);
        lb_str_add(&p->draw, "    set title ");
        lb_plot_quote(&p->draw, name[i]);
        lb_str_add(&p->draw,
                   " offset 0,-0.6\n    plot data index %lld using "
                   "1:2:(0.5):(0.5):(valid(3) ? $3 : NaN) with boxxyerror lc palette fs solid 1 noborder\n",
                   (long long)i);
    }
    lb_str_add(&p->draw, "    unset multiplot\n");
}

static lb_status map_figure(const lb_report_view *v, lb_plotter *w, const family *f, int64_t from, int64_t n,
                            const char *part) {
    lb_plot p;
    char *file = lb_arena_printf(v->arena, "error-map-%db%s", f->bits, part);
    const char **name = LB_NEW(v->arena, const char *, n);
    if (!file || !name) return LB_E_NOMEM;
    int64_t across = f->blocks < 16 ? 16 : f->blocks > 60 ? 60 : f->blocks;
    int wide = 200 + 22 * (int)across;
    LB_TRY(lb_plot_begin(&p, v->arena, file, wide, (MAP_FRAME + MAP_LINE * f->types) * (int)n + MAP_REST));
    lb_plot_size(w, &p);
    p.title =
        lb_arena_printf(v->arena, "%s, %s bits: %s (log scale)", v->r->model_name, f->bits_text, measure_text(f->by));
    p.caption = lb_arena_printf(v->arena,
                                "%s, %s bits: map of the %s (log scale; brighter is worse, white was not quantized or "
                                "lost nothing)%s.%s",
                                v->r->model_name, f->bits_text, measure_text(f->by),
                                v->seeds ? ", the first seed of each row" : "", mark_note(f));
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    for (int64_t i = 0; st == LB_OK && i < n; i++) {
        st = shown_name(v->arena, f, f->row[from + i], &name[i]);
        if (st == LB_OK) map_data(&p, f, f->row[from + i], name[i]);
    }
    if (st == LB_OK) st = lb_plot_fit_names(&p, name, n, (size_t)((p.width - MAP_SIDES) / LB_PLOT_LETTER));
    lb_plot_map_colours(&p, f->span, true);
    lb_str_add(&p.setup, "set xrange [-0.5:%lld.5]\nset xtics %d out nomirror\n", (long long)f->blocks - 1,
               lb_plot_block_step(f->blocks, 32 * p.width / wide));
    if (st == LB_OK) {
        map_draw(&p, f, name, n, lb_plot_title_height(w, &p));
        st = lb_plot_finish(w, &p);
    }
    lb_plot_free(&p);
    return st;
}

/* "", or "-1", "-2", ... where the cells of one bit width need several figures. */
static lb_status name_part(lb_arena *a, bool several, int64_t k, const char **out) {
    *out = several ? lb_arena_printf(a, "-%lld", (long long)k + 1) : "";
    return *out ? LB_OK : LB_E_NOMEM;
}

/* How many types a figure of so many lines has room for. */
static int types_that_fit(const lb_plotter *w, const family *f, int64_t lines) {
    enum { LEAST_HEIGHT = 140 };
    double high = lb_plot_most_height(w);
    family some = *f;
    size_t longest = 0;
    for (int64_t i = 0; i < f->n; i++) {
        const char *name = f->mixed ? f->row[i]->short_name : f->row[i]->series;
        if (lb_text_width(name) > longest) longest = lb_text_width(name);
    }
    for (; high > 0 && some.types > 1; some.types--) {
        panels g = layout(&some, lb_plot_most_width(w), longest + 2, lines);
        if (g.rows * LEAST_HEIGHT + TITLE <= high) break;
    }
    return some.types;
}

static lb_status depth_figures(const lb_report_view *v, lb_plotter *w, const family *f) {
    enum { LOW = 600 };
    double high = lb_plot_most_height(w);
    int64_t most = high > 0 && high < LOW ? LOW_LINES : LINES, k = 0;
    int64_t groups = (f->n + most - 1) / most, each = (f->n + groups - 1) / groups;
    int fit = types_that_fit(w, f, each), times = f->types > fit ? (f->types + fit - 1) / fit : 1,
        types = (f->types + times - 1) / times;
    for (int64_t from = 0; from < f->n; from += each)
        for (int t = 0; t < f->types; t += types) {
            const char *part;
            family some = *f;
            some.types = f->types - t < types ? f->types - t : types;
            memcpy(some.type, f->type + t, (size_t)some.types * sizeof *some.type);
            LB_TRY(name_part(v->arena, each < f->n || types < f->types, k++, &part));
            LB_TRY(depth_figure(v, w, &some, from, f->n - from < each ? f->n - from : each, part));
        }
    return LB_OK;
}

static lb_status map_figures(const lb_report_view *v, lb_plotter *w, const family *f) {
    int64_t fit = lb_rows_most(w, MAP_REST, MAP_FRAME + MAP_LINE * f->types), most = fit < MAPS ? fit : MAPS;
    int64_t figures = (f->n + most - 1) / most, each = (f->n + figures - 1) / figures;
    for (int64_t k = 0; k < figures; k++) {
        const char *part;
        int64_t from = k * each, n = f->n - from < each ? f->n - from : each;
        LB_TRY(name_part(v->arena, figures > 1, k, &part));
        LB_TRY(map_figure(v, w, f, from, n, part));
    }
    return LB_OK;
}

lb_status lb_plot_layers(const lb_report_view *v, lb_plotter *w) {
    for (int bits = 1; bits <= 16; bits++) {
        family f;
        LB_TRY(family_of(v, bits, &f));
        if (!f.n || lb_span_empty(&f.span)) continue;
        LB_TRY(depth_figures(v, w, &f));
        LB_TRY(map_figures(v, w, &f));
    }
    return LB_OK;
}

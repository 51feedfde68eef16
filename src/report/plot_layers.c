/* Layer errors: by type over depth, and as a map of depth and type. Cells of one bit width share a figure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/plot.h"

#define LINES 8 /* lines a figure that can still be told apart */
#define MAPS  6 /* maps a figure */
#define TYPES 16

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

static lb_status family_of(const lb_report_view *v, int bits, family *f) {
    *f = (family){.bits = bits, .span = LB_SPAN_EMPTY};
    f->row = LB_NEW(v->arena, const lb_report_row *, v->rows + 1);
    if (!f->row) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        bool any = false;
        if (c->bits != bits || c->size.quantized.weights == 0) continue;
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
    return LB_OK;
}

static const char *measure_text(measure m) {
    return m == BY_ORIGINAL ? "relative output MSE, H of the original model"
           : m == BY_OWN    ? "relative output MSE, H of each cell's own inputs"
                            : "relative weight MSE";
}

/* A trained network's errors stand among the others, so its name carries the mark of the tables. */
static lb_status shown_name(lb_arena *a, const lb_report_row *row, const char **out) {
    *out = lb_report_trained(row) ? lb_arena_printf(a, "%s \xe2\x80\xa0", row->series) : row->series;
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

static int block_tic_step(int64_t blocks, int most) {
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

static panels layout(const lb_plotter *w, const family *f, size_t longest_name) {
    int legend = lb_plot_legend_width(longest_name), width = PANEL_WIDTH, have = (int)lb_plot_page_width(w);
    panels g = {.cols = legend <= PANEL_WIDTH ? 4 : 3, .panel_height = PANEL_HEIGHT};
    if (have > 0) {
        while (g.cols > 1 && have / g.cols < PANEL_LEAST) g.cols--;
        width = have / g.cols;
        if (width < PANEL_WIDTH) g.panel_height = PANEL_HEIGHT * width / PANEL_WIDTH;
    }
    g.rows = (f->types + g.cols) / g.cols;
    if ((g.rows * g.cols - f->types) * width < legend) g.rows++;
    g.spare = g.rows * g.cols - f->types;
    if (g.spare > g.cols) g.spare = g.cols;
    g.width = g.cols * width, g.height = g.rows * g.panel_height + 40;
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
    lb_str_add(&p->draw,
               "    unset border\n    unset tics\n    unset title\n    unset xlabel\n    unset grid\n"
               "    set key center center Left reverse samplen 3.2 spacing 1.4\n"
               "    set origin %.4f,0\n    set size %.4f,%.4f\n    plot",
               1 - (double)g->spare / g->cols, (double)g->spare / g->cols, row);
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
    size_t longest = 0;
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(shown_name(v->arena, f->row[from + i], &name[i]));
        size_t x = lb_text_width(name[i]);
        if (x > longest) longest = x;
    }
    panels g = layout(w, f, longest);
    LB_TRY(lb_plot_begin(&p, v->arena, file, g.width, g.height));
    p.title_columns = p.width / 8;
    p.title = lb_arena_printf(v->arena, "%s, %d bits: %s (log scale)", v->r->model_name, f->bits, measure_text(f->by));
    p.caption =
        lb_arena_printf(v->arena, "%s, %d bits: %s (log scale) over depth, by layer type%s.%s", v->r->model_name,
                        f->bits, measure_text(f->by), v->seeds ? ", the first seed of each row" : "", mark_note(f));
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    p.each = p.open_markers = true; /* the legend's panel switches axes off */
    for (int64_t i = 0; st == LB_OK && i < n; i++) {
        depth_data(&p, f, f->row[from + i], name[i]);
        lb_plot_style_row(&p, (int)i + 1, f->row[from + i]);
    }
    lb_str_add(&p.setup, "set datafile missing 'NaN'\nset border 3\nset tics nomirror\n"
                         "set grid lc rgb '#c8c8c8' lw 0.8 dt solid\n");
    lb_plot_log_axis(&p, "y", f->span.low, f->span.high);
    lb_str_add(&p.setup, "set xrange [-0.5:%lld.5]\nset xtics %d nomirror\n", (long long)f->blocks - 1,
               block_tic_step(f->blocks, g.width / g.cols < PANEL_WIDTH ? 4 : 8));
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

static lb_status map_figure(const lb_report_view *v, lb_plotter *w, const family *f, int64_t from, int64_t n,
                            const char *part) {
    lb_plot p;
    char *file = lb_arena_printf(v->arena, "error-map-%db%s", f->bits, part);
    if (!file) return LB_E_NOMEM;
    int64_t across = f->blocks < 16 ? 16 : f->blocks > 60 ? 60 : f->blocks;
    LB_TRY(lb_plot_begin(&p, v->arena, file, 200 + 22 * (int)across, (75 + 20 * f->types) * (int)n + 60));
    p.title_columns = p.width / 8;
    p.title = lb_arena_printf(v->arena, "%s, %d bits: %s (log scale)", v->r->model_name, f->bits, measure_text(f->by));
    p.caption = lb_arena_printf(v->arena,
                                "%s, %d bits: map of the %s (log scale; brighter is worse, white was not quantized or "
                                "lost nothing)%s.%s",
                                v->r->model_name, f->bits, measure_text(f->by),
                                v->seeds ? ", the first seed of each row" : "", mark_note(f));
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    lb_plot_map_colours(&p, f->span, true);
    lb_str_add(&p.setup, "set xrange [-0.5:%lld.5]\nset yrange [%d.5:-0.5]\nset xtics %d out nomirror\nset ytics (",
               (long long)f->blocks - 1, f->types - 1, block_tic_step(f->blocks, (int)(32 * lb_plot_room(w, &p))));
    for (int t = 0; t < f->types; t++) {
        lb_str_add(&p.setup, "%s", t ? ", " : "");
        lb_plot_quote(&p.setup, f->type[t]);
        lb_str_add(&p.setup, " %d", t);
    }
    lb_str_add(&p.setup, ") out nomirror\nset xlabel 'block'\nset key off\nset border 15\n");
    lb_str_add(&p.draw, "    set multiplot layout %lld,1 title title\n", (long long)n);
    for (int64_t i = 0; st == LB_OK && i < n; i++) {
        const char *name;
        st = shown_name(v->arena, f->row[from + i], &name);
        if (st != LB_OK) break;
        map_data(&p, f, f->row[from + i], name);
        lb_plot_map_bar(&p, i);
        lb_str_add(&p.draw, "    set title ");
        lb_plot_quote(&p.draw, name);
        lb_str_add(&p.draw,
                   " offset 0,-0.6\n    plot data index %lld using "
                   "1:2:(0.5):(0.5):(valid(3) ? $3 : NaN) with boxxyerror lc palette fs solid 1 noborder\n",
                   (long long)i);
    }
    lb_str_add(&p.draw, "    unset multiplot\n");
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

/* "", or "-1", "-2", ... where the cells of one bit width need several figures. */
static lb_status parts(const lb_report_view *v, lb_plotter *w, const family *f, int64_t most,
                       lb_status (*figure)(const lb_report_view *, lb_plotter *, const family *, int64_t, int64_t,
                                           const char *)) {
    int64_t figures = (f->n + most - 1) / most, each = (f->n + figures - 1) / figures;
    for (int64_t k = 0; k < figures; k++) {
        char *part = figures > 1 ? lb_arena_printf(v->arena, "-%lld", (long long)k + 1) : lb_arena_strdup(v->arena, "");
        if (!part) return LB_E_NOMEM;
        int64_t from = k * each, n = f->n - from < each ? f->n - from : each;
        LB_TRY(figure(v, w, f, from, n, part));
    }
    return LB_OK;
}

lb_status lb_plot_layers(const lb_report_view *v, lb_plotter *w) {
    for (int bits = 1; bits <= 16; bits++) {
        family f;
        LB_TRY(family_of(v, bits, &f));
        if (!f.n || lb_span_empty(&f.span)) continue;
        LB_TRY(parts(v, w, &f, LINES, depth_figure));
        LB_TRY(parts(v, w, &f, MAPS, map_figure));
    }
    return LB_OK;
}

/* What a cell costs to make: its time by stage, and the most memory it held. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/plot_rows.h"

#define MIB    " / 1048576."
#define STAGES 8

typedef struct stages {
    const char *name[STAGES];
    int n;
    size_t longest; /* characters, of "other" too */
} stages;

static bool has_cost(const lb_report_row *row, void *user) {
    (void)user;
    return lb_report_seconds(row) > 0;
}

static void add_stages(const lb_record *c, stages *out) {
    for (int64_t s = 0; s < c->stages; s++) {
        int k = 0;
        while (k < out->n && strcmp(out->name[k], c->stage[s]) != 0) k++;
        if (k == out->n && k < STAGES) out->name[out->n++] = c->stage[s];
    }
}

/* In the order of a cell that has the most of them; the baseline has the last alone. */
static void find_stages(const lb_rows *all, stages *out) {
    const lb_record *most = NULL;
    out->n = 0;
    for (int64_t i = 0; i < all->n; i++)
        if (!most || all->at[i]->cell[0]->stages > most->stages) most = all->at[i]->cell[0];
    if (most) add_stages(most, out);
    for (int64_t i = 0; i < all->n; i++)
        for (int64_t c = 0; c < all->at[i]->cells; c++) add_stages(all->at[i]->cell[c], out);
    out->longest = lb_plot_longest(out->name, out->n);
    if (out->longest < strlen("other")) out->longest = strlen("other");
}

/* Mean over seeds, as of the time of the whole. */
static double seconds_of(const lb_report_row *row, const char *stage) {
    double sum = 0;
    for (int64_t c = 0; c < row->cells; c++)
        for (int64_t s = 0; s < row->cell[c]->stages; s++)
            if (strcmp(row->cell[c]->stage[s], stage) == 0) sum += row->cell[c]->stage_s[s];
    return sum / (double)row->cells;
}

static double peak_of(const lb_report_row *row) {
    double most = 0;
    for (int64_t c = 0; c < row->cells; c++) most = fmax(most, (double)row->cell[c]->peak_bytes);
    return most;
}

static void data_of(lb_plot *p, const lb_rows *s, const stages *g) {
    (void)lb_plot_block(p, "time and memory");
    lb_str_add(&p->dat, "# row peak_bytes");
    for (int k = 0; k < g->n; k++) {
        lb_str_add(&p->dat, " ");
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, g->name[k]);
    }
    lb_str_add(&p->dat, " other_seconds name\n");
    for (int64_t i = 0; i < s->n; i++) {
        double other = lb_report_seconds(s->at[i]);
        lb_str_add(&p->dat, "%lld %.0f", (long long)i, peak_of(s->at[i]));
        for (int k = 0; k < g->n; k++) {
            double t = seconds_of(s->at[i], g->name[k]);
            other -= t;
            lb_str_add(&p->dat, " %.6g", t);
        }
        lb_str_add(&p->dat, " %.6g \"", fmax(other, 0));
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->at[i]->short_name);
        lb_str_add(&p->dat, "\"\n");
    }
}

/* ---- two panels: time at the left, memory at the right, or where that is too narrow, memory below ---- */

#define AXES 640 /* points that both like, beside each other */

/* Of a figure, in points: below the bars of a panel its axis, and below the first panel the legend. */
typedef struct layout {
    bool below;
    double key, top, rows, axis;
} layout;

static bool is_too_narrow(const lb_plotter *w, const lb_rows *s) {
    enum { PANEL = 220 };
    double most = lb_plot_most_width(w);
    return most > 0 && most < lb_rows_names_width(s) + 2 * PANEL;
}

/* Settings of one panel, made anew for every format. from, to: heights of its bars above the figure's lower end. */
static void axes(lb_plot *p, const lb_rows *s, bool names, double most, double points, double from, double to) {
    lb_str kept = p->setup;
    p->setup = (lb_str){0};
    lb_rows_axis(p, s, names);
    lb_rows_tics(p, most, points);
    lb_str_add(&p->draw, "set tmargin at screen %.4f\nset bmargin at screen %.4f\n%s", to / p->height, from / p->height,
               p->setup.s ? p->setup.s : "");
    p->draw.failed = p->draw.failed || p->setup.failed;
    lb_str_free(&p->setup);
    p->setup = kept;
}

static void draw(lb_plot *p, const lb_rows *s, const stages *g, const layout *y, const double most[2]) {
    double names = lb_rows_names_width(s), panel = (p->width - names) / (y->below ? 1 : 2);
    double left = y->below ? 1 : (names + panel) / p->width, high = p->height - y->top;
    double from = y->below ? high - y->rows : y->axis + y->key;
    lb_str_add(&p->draw, "    set multiplot title title\n    set origin 0,0\n    set size %.4f,1\n", left);
    axes(p, s, true, most[0], panel, from, high);
    lb_rows_key(p, &(lb_rows_legend){g->n + 1, g->longest}, left * p->width, from - y->axis - y->key, &p->draw);
    lb_str_add(&p->draw, "set bmargin at screen %.4f\nset xlabel 'seconds a cell'\n    plot ", from / p->height);
    for (int k = 0; k <= g->n; k++) {
        char fill[64];
        snprintf(fill, sizeof fill, "fc rgb '%s'", lb_rows_fill(k));
        lb_str_add(&p->draw, "%s", k ? ", \\\n        " : "");
        lb_rows_stack(p, 0, 3, 3 + k, "", k < g->n ? fill : LB_ROWS_HATCHED, k < g->n ? g->name[k] : "other");
    }
    lb_rows_lengths(p, 0, 3, 3 + g->n, "");
    lb_str_add(&p->draw, "\n    set origin %.4f,0\n    set size %.4f,1\n", y->below ? 0 : left,
               y->below ? 1 : 1 - left);
    if (y->below) from = y->axis;
    axes(p, s, y->below, most[1], panel, from, y->below ? from + y->rows : high);
    lb_str_add(&p->draw, "set key off\nset xlabel 'peak memory in MiB'\n    plot ");
    lb_rows_stack(p, 0, 2, 2, MIB, "fc rgb '#9aa5b8'", NULL);
    lb_rows_lengths(p, 0, 2, 2, MIB);
    lb_str_add(&p->draw, "\n    unset multiplot\n");
}

static lb_status figure(const lb_report_view *v, lb_plotter *w, lb_rows *s, const stages *g, layout y,
                        const double most[2], const char *part) {
    lb_plot p;
    char *name = lb_arena_printf(v->arena, "cost%s", part);
    if (!name) return LB_E_NOMEM;
    double height = y.top + y.key + (y.below ? 2 : 1) * (y.axis + LB_ROWS_LINE * (double)s->n);
    LB_TRY(lb_rows_begin(w, &p, v->arena, name, s, y.below ? AXES / 2 : AXES, height));
    p.title = lb_arena_printf(v->arena, "%s: time and memory of each cell", v->r->model_name);
    p.caption = lb_arena_printf(v->arena, "%s: seconds a cell by stage, and the most memory it held, in MiB%s.",
                                v->r->model_name,
                                v->seeds ? "; of rows over seeds the mean time, and the most memory of all" : "");
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    p.title_columns = (int)(p.width / LB_PLOT_TITLE_LETTER); /* it is the whole figure's */
    y.top = lb_plot_title_height(w, &p);
    y.rows = fmax(10, (p.height - y.top - y.key - (y.below ? 2 : 1) * y.axis) / (y.below ? 2 : 1));
    data_of(&p, s, g);
    draw(&p, s, g, &y, most);
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_cost(const lb_report_view *v, lb_plotter *w) {
    enum { TITLE = 51, AXIS = LB_PLOT_BELOW_AXES };
    lb_rows all, s;
    stages g;
    const char *part;
    double most[2] = {0, 0};
    LB_TRY(lb_rows_of(v, has_cost, NULL, &all));
    for (int64_t i = 0; i < all.n; i++) {
        most[0] = fmax(most[0], lb_report_seconds(all.at[i]));
        most[1] = fmax(most[1], lb_mib(peak_of(all.at[i])));
    }
    find_stages(&all, &g);
    all.longest = lb_plot_longest(all.name, all.n);
    layout y = {.below = is_too_narrow(w, &all), .top = TITLE, .axis = AXIS};
    double wide = lb_rows_least_width(w, lb_rows_names_width(&all) + AXES);
    y.key = lb_rows_key_height(y.below ? wide : wide / 2, &(lb_rows_legend){g.n + 1, g.longest});
    int panels = y.below ? 2 : 1;
    int64_t fit = lb_rows_most(w, TITLE + y.key + panels * AXIS, panels * LB_ROWS_LINE);
    for (int64_t k = 0;; k++) {
        LB_TRY(lb_rows_part(v->arena, &all, fit, k, &s, &part));
        if (!s.n) return LB_OK;
        LB_TRY(figure(v, w, &s, &g, y, most, part));
    }
}

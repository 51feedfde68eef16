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
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->name[i]);
        lb_str_add(&p->dat, "\"\n");
    }
}

/* Settings of one panel, made anew for every format. */
static void axes(lb_plot *p, const lb_rows *s, bool names, double most, double points) {
    enum { LABEL = 50 }; /* points that a number at the axis takes */
    lb_str kept = p->setup;
    p->setup = (lb_str){0};
    lb_rows_axis(p, s, names);
    lb_plot_bar_axis(p, "x", (lb_span){0, 1.25 * most}, false, points * LB_PLOT_TIC_ROOM / LABEL);
    lb_str_add(&p->draw, "%s", p->setup.s ? p->setup.s : "");
    p->draw.failed = p->draw.failed || p->setup.failed;
    lb_str_free(&p->setup);
    p->setup = kept;
}

/* At the left time, at the right memory; both have the rows' lines. */
static void draw(lb_plot *p, const lb_rows *s, const stages *g, double seconds, double mib) {
    double names = lb_rows_names_width(s), panel = (p->width - names) / 2, left = (names + panel) / p->width;
    double top = 1 - 45.0 / p->height;
    lb_str_add(&p->draw, "    set multiplot title title\n    set origin 0,0\n    set size %.4f,%.4f\n", left, top);
    axes(p, s, true, seconds, panel);
    lb_rows_key(p, &p->draw);
    lb_str_add(&p->draw, "set xlabel 'seconds a cell'\n    plot ");
    for (int k = 0; k <= g->n; k++) {
        char fill[32];
        snprintf(fill, sizeof fill, "fc rgb '%s'", lb_rows_fill(k < g->n ? k : STAGES));
        lb_str_add(&p->draw, "%s", k ? ", \\\n        " : "");
        lb_rows_stack(p, 0, 3, 3 + k, "", fill, k < g->n ? g->name[k] : "other");
    }
    lb_rows_lengths(p, 0, 3, 3 + g->n, "");
    lb_str_add(&p->draw, "\n    set origin %.4f,0\n    set size %.4f,%.4f\n", left, 1 - left, top);
    axes(p, s, false, mib, panel);
    lb_str_add(&p->draw, "set key off\nset xlabel 'peak memory in MiB'\n    plot ");
    lb_rows_stack(p, 0, 2, 2, MIB, "fc rgb '#9aa5b8'", NULL);
    lb_rows_lengths(p, 0, 2, 2, MIB);
    lb_str_add(&p->draw, "\n    unset multiplot\n");
}

static lb_status figure(const lb_report_view *v, lb_plotter *w, const lb_rows *s, const stages *g, const double most[2],
                        const char *part) {
    lb_plot p;
    char *name = lb_arena_printf(v->arena, "cost%s", part);
    if (!name) return LB_E_NOMEM;
    LB_TRY(lb_plot_begin(&p, v->arena, name, lb_rows_names_width(s) + 640, lb_rows_height(s)));
    p.whole = true;
    p.title_columns = p.width / 8;
    p.title = lb_arena_printf(v->arena, "%s: time and memory of each cell", v->r->model_name);
    p.caption = lb_arena_printf(v->arena, "%s: seconds a cell by stage, and the most memory it held, in MiB%s.",
                                v->r->model_name,
                                v->seeds ? "; of rows over seeds the mean time, and the most memory of all" : "");
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    data_of(&p, s, g);
    draw(&p, s, g, most[0], most[1]);
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_cost(const lb_report_view *v, lb_plotter *w) {
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
    for (int64_t k = 0;; k++) {
        LB_TRY(lb_rows_part(v->arena, &all, k, &s, &part));
        if (!s.n) return LB_OK;
        LB_TRY(figure(v, w, &s, &g, most, part));
    }
}

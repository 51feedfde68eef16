/* Accuracy of tasks against measured bits a weight. */
#include <math.h>

#include "report/plot_points.h"
#include "report/tasks_table.h"

/* One line of the series that begins at i. */
static lb_status draw_line(lb_plot *p, const lb_points *s, int64_t i, int style, double shift) {
    const lb_point **line;
    int64_t n;
    LB_TRY(lb_points_line(p->arena, s, i, &line, &n));
    int block = lb_plot_block(p, s->at[i].row->series);
    lb_str_add(&p->dat, "# bits_per_weight acc_percent se_percent acc_norm_percent bits mib name\n");
    for (int64_t k = 0; k < n; k++) {
        const lb_report_task *t = &line[k]->q.task;
        lb_str_add(&p->dat, "%.9g %.9g ", line[k]->bits_per_weight, 100 * t->acc);
        lb_str_add(&p->dat, isnan(t->acc_se) ? "NaN " : "%.9g ", 100 * t->acc_se);
        lb_str_add(&p->dat, isnan(t->acc_norm) ? "NaN" : "%.9g", 100 * t->acc_norm);
        lb_str_add(&p->dat, " %d %.9g \"", (int)line[k]->bits, line[k]->mib);
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, line[k]->row->short_name);
        lb_str_add(&p->dat, "\"\n");
    }
    lb_plot_style_row(p, style, s->at[i].row, n == 1);
    lb_str_add(&p->draw,
               ", \\\n        data index %d using ($1%+.3g):($2 - $3):(0):(2 * $3) with vectors nohead ls %d dt solid "
               "notitle, \\\n        data index %d using ($1%+.3g):2 with linespoints ls %d",
               block, shift, style, block, shift, style);
    lb_plot_legend_entry(p, s->at[i].row->series);
    return LB_OK;
}

/* Per cent, with their bars; and the bits of what is quantized. */
static void spans(const lb_points *s, lb_span *x, lb_span *y) {
    *x = *y = LB_SPAN_EMPTY;
    for (int64_t i = 0; i < s->n; i++) {
        const lb_report_task *t = &s->at[i].q.task;
        double se = isnan(t->acc_se) ? 0 : t->acc_se;
        if (!s->at[i].flat) lb_span_add(x, s->at[i].bits_per_weight);
        lb_span_add(y, 100 * (t->acc - se));
        lb_span_add(y, 100 * (t->acc + se));
    }
}

static lb_status fill(const lb_report_view *v, const lb_report_block *b, const lb_points *s, lb_span of_x, lb_span of_y,
                      lb_plotter *w, lb_plot *p) {
    p->title = lb_arena_printf(v->arena, "%s: accuracy on %s", v->r->model_name, b->title);
    p->caption = lb_arena_printf(
        v->arena,
        "%s: accuracy on %s against measured bits a weight; bars: the standard error of each over its items, which all "
        "rows share, so that differences are known better than the bars tell%s.",
        v->r->model_name, b->title,
        lb_points_lines(s) > 1 ? "; lines are a little beside each other, so that equal points show" : "");
    if (!p->title || !p->caption) return LB_E_NOMEM;
    lb_points_axes(p, "bits per weight, measured", "accuracy in %");
    lb_str_add(&p->setup, "set datafile missing 'NaN'\nset clip two\n");
    lb_span x = lb_plot_limits(w, "bits", of_x);
    lb_plot_axis_of(w, p, "y", "acc", false, of_y);
    lb_plot_axis_of(w, p, "x", "bits", false, of_x);
    double room = fmax(1, x.high - x.low);
    int style = 1, flat = 0;
    lb_str_add(&p->draw, "    plot 1/0 notitle");
    for (int64_t i = 0; i < s->n; i++)
        if (lb_points_first(s, i)) {
            LB_TRY(draw_line(p, s, i, style, lb_points_aside(s, style - 1, 0.006 * (x.high - x.low))));
            style++;
        }
    for (int64_t i = 0; i < s->n; i++)
        if (s->at[i].flat)
            lb_points_across(w, p, &s->at[i], 100 * s->at[i].q.task.acc, x.low - room, x.high + room, style++, ++flat);
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static lb_status one(const lb_report_view *v, const lb_report_block *b, const lb_points *s, lb_plotter *w) {
    lb_plot p;
    lb_span x, y;
    spans(s, &x, &y);
    if (lb_span_empty(&x) || lb_span_empty(&y)) return LB_OK;
    int height = 110 + 20 * (lb_points_lines(s) + 2);
    char *name = lb_arena_printf(v->arena, "acc-bits-%s", b->id);
    if (!name) return LB_E_NOMEM;
    LB_TRY(lb_plot_begin(&p, v->arena, name, 600 + lb_plot_legend_width(lb_points_longest(s, true)),
                         height < 460 ? 460 : height));
    lb_status st = fill(v, b, s, x, y, w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_accuracy(const lb_report_view *v, lb_plotter *w) {
    for (int64_t b = 0; b < v->blocks; b++) {
        lb_points s;
        if (!lb_report_is_task(&v->block[b])) continue;
        LB_TRY(lb_points_of(v, &v->block[b], &s));
        LB_TRY(one(v, &v->block[b], &s, w));
    }
    return LB_OK;
}

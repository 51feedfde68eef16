#include "report/plot_points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/facts.h"

lb_status lb_points_of(const lb_report_view *v, const lb_report_block *b, lb_points *out) {
    *out =
        (lb_points){.ppl = LB_SPAN_EMPTY, .mib = LB_SPAN_EMPTY, .x = LB_SPAN_EMPTY, .bits_per_weight = LB_SPAN_EMPTY};
    out->at = LB_NEW(v->arena, lb_point, v->rows + 1);
    if (!out->at) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) out->measured = out->measured || lb_report_mixed(v->row[i].cell[0]);
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        lb_point p = {.row = &v->row[i],
                      .bits = c->bits,
                      .bits_per_weight = lb_size_bits(&c->size.quantized),
                      .mib = lb_mib((double)c->size.total_as_fp16)};
        LB_TRY(lb_report_quality_of(v, p.row, b, &p.q));
        if (!p.q.seeds) continue;
        p.x = out->measured ? p.bits_per_weight : p.bits;
        p.flat = c->size.quantized.weights == 0;
        double low, high;
        lb_report_ppl_bar(&p.q, &low, &high);
        lb_span_add(&out->ppl, low);
        lb_span_add(&out->ppl, high);
        if (!p.flat) {
            lb_span_add(&out->mib, p.mib);
            lb_span_add(&out->x, p.x);
            lb_span_add(&out->bits_per_weight, p.bits_per_weight);
        }
        out->at[out->n++] = p;
    }
    return LB_OK;
}

void lb_points_axes(lb_plot *p, const char *x, const char *y) {
    p->legend = true;
    lb_str_add(&p->setup, "set title title\n");
    lb_str_add(&p->setup, "set xlabel ");
    lb_plot_quote(&p->setup, x);
    lb_str_add(&p->setup, "\nset ylabel ");
    lb_plot_quote(&p->setup, y);
    lb_str_add(&p->setup, "\nset grid lc rgb '#c8c8c8' lw 0.8 dt solid\n"
                          "set border 3\n"
                          "set tics nomirror\n");
}

void lb_points_across(const lb_plotter *w, lb_plot *p, const lb_point *x, double y, double low, double high, int style,
                      int k) {
    static const char *const dash[] = {"(10,6)",         "(2,4)", "(14,4,2,4)", "(4,4)",
                                       "(10,3,2,3,2,3)", "(2,8)", "(14,4,6,4)", "(24,6)"};
    int block = lb_plot_block(p, x->row->name);
    lb_str_add(&p->dat, "%.9g %.9g\n%.9g %.9g\n", low, y, high, y);
    lb_str_add(&p->setup, "set style line %d lc rgb '%s' lw 1.5 dt %s\n", style,
               lb_plot_colour(w, x->row->cell[0]->method), dash[k % 8]);
    lb_str_add(&p->draw, ", \\\n        data index %d using 1:2 with lines ls %d", block, style);
    lb_plot_legend_entry(p, x->row->baseline ? "unquantized" : x->row->short_name);
}

double lb_points_aside(const lb_points *s, int line, double step) {
    int lines = lb_points_lines(s);
    if (lines > 8) step *= 7.0 / (lines - 1);
    return step * (line - 0.5 * (lines - 1));
}

size_t lb_points_longest(const lb_points *s, bool series) {
    size_t n = strlen("unquantized");
    for (int64_t i = 0; i < s->n; i++) {
        size_t w = lb_text_width(series ? s->at[i].row->series : s->at[i].row->short_name);
        if (w > n) n = w;
    }
    return n;
}

bool lb_points_first(const lb_points *s, int64_t i) {
    if (s->at[i].flat) return false;
    for (int64_t k = 0; k < i; k++)
        if (!s->at[k].flat && strcmp(s->at[k].row->series, s->at[i].row->series) == 0) return false;
    return true;
}

static int by_x(const void *x, const void *y) {
    const lb_point *const *a = x, *const *b = y;
    if ((*a)->x != (*b)->x) return (*a)->x < (*b)->x ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

lb_status lb_points_line(lb_arena *a, const lb_points *s, int64_t i, const lb_point ***out, int64_t *n) {
    *n = 0;
    *out = LB_NEW(a, const lb_point *, s->n);
    if (!*out) return LB_E_NOMEM;
    for (int64_t k = i; k < s->n; k++)
        if (!s->at[k].flat && strcmp(s->at[k].row->series, s->at[i].row->series) == 0) (*out)[(*n)++] = &s->at[k];
    qsort(*out, (size_t)*n, sizeof **out, by_x);
    return LB_OK;
}

lb_status lb_points_not_shown(const lb_report_view *v, const lb_points *s, const char **out) {
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

int lb_points_lines(const lb_points *s) {
    int n = 0;
    for (int64_t i = 0; i < s->n; i++) n += lb_points_first(s, i);
    return n;
}

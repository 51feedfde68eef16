/* What quantization costs, against measured bits a weight, on log scales, which show something at 4 bits and above:
 * excess loss (difference of ln PPL) and KL to the unquantized model, with intervals. */
#include <math.h>
#include <string.h>

#include "report/plot_points.h"
#include "report/tasks_table.h"
#include "result/seeds.h"

/* y of a row, and its 95 % interval; NaN: there is none. */
typedef struct cost {
    double y, low, high;
} cost;

typedef struct costs {
    const lb_points *s;
    cost *of; /* (s->n) */
    bool kl;
    lb_span x, y; /* y: [floor, top] */
    double noise; /* median half width of the intervals; NaN: none */

} costs;

/* Of the mean over windows: as lb_seeds_difference has it, of KL to 0. */
static lb_status kl_interval(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row, cost *c) {
    const double **kl = LB_NEW(v->arena, const double *, row->cells);
    int64_t seeds = 0, windows = 0;
    if (!kl) return LB_E_NOMEM;
    for (int64_t i = 0; i < row->cells; i++) {
        const lb_eval_row *e = lb_report_eval(row->cell[i], b);
        if (!e || !e->eval.has_kl || !e->eval.window_kl) continue;
        kl[seeds++] = e->eval.window_kl, windows = e->eval.windows;
    }
    if (!seeds) return LB_OK;
    double *zero = LB_NEW(v->arena, double, windows), sd;
    lb_paired d;
    if (!zero) return LB_E_NOMEM;
    LB_TRY(lb_seeds_difference(kl, seeds, zero, windows, &d, &sd));
    c->low = d.low, c->high = d.high;
    return LB_OK;
}

static double median_half_width(const costs *k, double *half) {
    int64_t n = 0;
    for (int64_t i = 0; i < k->s->n; i++)
        if (isfinite(k->of[i].high - k->of[i].low) && !k->s->at[i].flat) half[n++] = (k->of[i].high - k->of[i].low) / 2;
    lb_sort_f64(half, n);
    return n ? lb_percentile(half, n, 0.5) : NAN;
}

static void spans(costs *k) {
    lb_span positive = LB_SPAN_EMPTY;
    k->x = k->y = LB_SPAN_EMPTY;
    for (int64_t i = 0; i < k->s->n; i++) {
        const cost *c = &k->of[i];
        if (!isfinite(c->y)) continue;
        if (!k->s->at[i].flat) lb_span_add(&k->x, k->s->at[i].bits_per_weight);

        if (c->y > 0) lb_span_add(&positive, c->y);
        if (c->high > 0) lb_span_add(&k->y, c->high);
    }
    if (k->noise > 0) lb_span_add(&positive, k->noise);
    if (lb_span_empty(&positive)) return;
    /* An interval that nearly reaches 0 would take all the room: bars end at half the least value. */
    lb_span_add(&k->y, positive.low / 2);
    lb_span_add(&k->y, positive.high);
    k->y.low = positive.low / 2;
}

static lb_status costs_of(const lb_report_view *v, const lb_report_block *b, const lb_points *s, bool kl, costs *out) {
    *out = (costs){.s = s, .kl = kl, .of = LB_NEW(v->arena, cost, s->n + 1)};
    double *half = LB_NEW(v->arena, double, s->n + 1);
    if (!out->of || !half) return LB_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) {
        const lb_point *x = &s->at[i];
        cost *c = &out->of[i];
        *c = (cost){NAN, NAN, NAN};
        if (x->row->baseline) continue;
        if (!kl && x->q.has_delta) *c = (cost){x->q.delta.delta, x->q.delta.low, x->q.delta.high};
        if (!kl || !x->q.has_kl) continue;
        c->y = x->q.kl;
        LB_TRY(kl_interval(v, b, x->row, c));
    }
    out->noise = kl ? NAN : median_half_width(out, half);
    spans(out);
    return LB_OK;
}

/* The line through the row i, its bars and points. Data are what was measured; the script's cut() puts what a log scale
 * has no place for at the lower edge. */
static lb_status draw_line(lb_plot *p, const costs *k, int64_t i, int style, double shift) {
    const lb_point **line;
    int64_t n;
    LB_TRY(lb_points_line(p->arena, k->s, i, &line, &n));
    int block = lb_plot_block(p, k->s->at[i].row->series);
    lb_str_add(&p->dat, "# bits_per_weight %s low high bits mib name\n", k->kl ? "kl" : "delta");
    for (int64_t m = 0; m < n; m++) {
        const cost *c = &k->of[line[m] - k->s->at];
        lb_str_add(&p->dat, "%.9g", line[m]->bits_per_weight);
        lb_plot_number(&p->dat, c->y);
        lb_plot_number(&p->dat, c->low);
        lb_plot_number(&p->dat, c->high);
        lb_str_add(&p->dat, " %d %.9g \"", (int)line[m]->bits, line[m]->mib);
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, line[m]->row->short_name);
        lb_str_add(&p->dat, "\"\n");
    }
    lb_plot_style_row(p, style, k->s->at[i].row, n == 1);
    lb_str_add(
        &p->draw,
        ", \\\n        data index %d using ($1%+.3g):(cut($2)) with lines ls %d notitle"
        ", \\\n        data index %d using ($1%+.3g):(cut($3)):(0):(cut($4) - cut($3)) with vectors nohead ls %d dt "
        "solid notitle"
        ", \\\n        data index %d using ($1%+.3g):(reaches($2, $3) ? NaN : $2) with points ls %d notitle"
        ", \\\n        data index %d using ($1%+.3g):(reaches($2, $3) ? cut($2) : NaN) with points ls %d pt %d notitle"
        ", \\\n        1/0 with linespoints ls %d",
        block, shift, style, block, shift, style, block, shift, style, block, shift, style,
        lb_palette_hollow(p->look ? p->look[p->looks - 1].point : 0), style);
    lb_plot_legend_entry(p, k->s->at[i].row->series);
    return LB_OK;
}

/* " At the lower edge, 0 or below: a, b. Open markers: the interval reaches 0: c." */
static lb_status said(lb_arena *a, const costs *k, const char **out) {
    static const char *const head[] = {" Not finite, so not shown:", " 0 or below, so at the lower edge:",
                                       " 0 or below, so not shown:", " The interval reaches 0 (open markers):"};
    lb_str text = {0};
    for (int kind = 0; kind < 4; kind++) {
        int64_t n = 0;
        for (int64_t i = 0; i < k->s->n; i++) {
            const lb_point *x = &k->s->at[i];
            const cost *c = &k->of[i];
            if (x->row->baseline || (isnan(c->y) && !(k->kl ? x->q.has_kl : x->q.has_delta))) continue;
            int is = !isfinite(c->y) ? 0 : c->y <= 0 ? (x->flat ? 2 : 1) : c->low <= 0 && !x->flat ? 3 : -1;
            if (is == kind) lb_str_add(&text, "%s %s", n++ ? "," : head[kind], x->row->short_name);
        }
        if (n) lb_str_add(&text, ".");
    }
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, text.s ? text.s : ""))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

static lb_status caption(const lb_report_view *v, const lb_report_block *b, const costs *k, lb_plot *p) {
    const char *rest;
    LB_TRY(said(v->arena, k, &rest));
    const char *what = k->kl ? "KL(unquantized \xe2\x80\x96 quantized) in nats a token"
                             : "excess loss, the difference of ln PPL to the unquantized model in nats,";
    p->title = lb_arena_printf(v->arena, "%s: %s on %s", v->r->model_name,
                               k->kl ? "KL to the unquantized model" : "excess loss", b->title);
    p->caption = lb_arena_printf(
        v->arena, "%s: %s (log scale) on %s against measured bits a weight; bars: 95 %% intervals%s%s.%s",
        v->r->model_name, what, b->title, k->noise > 0 ? "; grey line: their median half width" : "",
        lb_points_lines(k->s) > 1 ? "; lines are a little beside each other, so that equal points show" : "", rest);
    return p->title && p->caption ? LB_OK : LB_E_NOMEM;
}

static lb_status fill(const lb_report_view *v, const lb_report_block *b, const costs *k, lb_plotter *w, lb_plot *p) {
    LB_TRY(caption(v, b, k, p));
    lb_points_axes(p, "bits per weight, measured",
                   k->kl ? "KL in nats (log scale)" : "\xce\x94 ln PPL in nats (log scale)");
    const char *axis = k->kl ? "kl" : "delta";
    lb_span y = lb_plot_limits(w, axis, k->y), x = lb_plot_limits(w, "bits", k->x);
    lb_str_add(&p->setup,
               "set clip two\nfloor = %.9g\ncut(y) = y > floor ? y : y <= floor ? floor : NaN\n"
               "reaches(y, low) = y <= 0 || low <= 0\n",
               y.low);
    lb_plot_axis_of(w, p, "y", axis, true, k->y);
    lb_plot_axis_of(w, p, "x", "bits", false, k->x);
    double room = fmax(1, x.high - x.low),
           width = x.high > x.low ? x.high - x.low : 1; /* an axis of one value is 1 wide */
    int style = 1, flat = 0;
    lb_str_add(&p->draw, "    plot 1/0 notitle");
    if (k->noise > 0) {
        lb_str_add(&p->setup, "noise = %.9g\n", k->noise);
        lb_str_add(&p->draw, ", \\\n        noise with lines lc rgb '#a0a0a0' lw 3 dt solid");
        lb_plot_legend_entry(p, "median half width");
    }
    for (int64_t i = 0; i < k->s->n; i++)
        if (lb_points_first(k->s, i)) {
            LB_TRY(draw_line(p, k, i, style, lb_points_aside(k->s, style - 1, 0.006 * width)));
            style++;
        }
    for (int64_t i = 0; i < k->s->n; i++)
        if (k->s->at[i].flat && k->of[i].y > 0 && isfinite(k->of[i].y)) {
            lb_points_across(w, p, &k->s->at[i], k->of[i].y, x.low - room, x.high + room, style++, flat++ + 1);
        }
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static lb_status one(const lb_report_view *v, const lb_report_block *b, const lb_points *s, lb_plotter *w, bool kl) {
    costs k;
    lb_plot p;
    LB_TRY(costs_of(v, b, s, kl, &k));
    if (lb_span_empty(&k.y) || lb_span_empty(&k.x)) return LB_OK;
    int height = 110 + 20 * (lb_points_lines(s) + 2);
    char *name = lb_arena_printf(v->arena, "%s-%s", kl ? "kl-bits" : "delta-bits", b->id);
    if (!name) return LB_E_NOMEM;
    LB_TRY(lb_plot_begin(&p, v->arena, name, 600 + lb_plot_legend_width(lb_points_longest(s, true)),
                         height < 460 ? 460 : height));
    lb_status st = fill(v, b, &k, w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_excess(const lb_report_view *v, lb_plotter *w) {
    for (int64_t b = 0; b < v->blocks; b++) {
        lb_points s;
        if (!lb_report_has_ppl(&v->block[b])) continue;
        LB_TRY(lb_points_of(v, &v->block[b], &s));
        LB_TRY(one(v, &v->block[b], &s, w, false));
        LB_TRY(one(v, &v->block[b], &s, w, true));
    }
    return LB_OK;
}

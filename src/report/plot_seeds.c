/* What seeds do: each one's difference to the unquantized model, their mean and its interval. */
#include <math.h>
#include <string.h>

#include "report/plot_rows.h"
#include "report/tasks_table.h"

#define AXES 560 /* points */
#define ROW  36

typedef struct over_seeds {
    const lb_report_view *v;
    const lb_report_block *b;
    lb_status st; /* of looking at the rows */
} over_seeds;

static lb_status quality_of(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row,
                            lb_report_quality *q, bool *has) {
    LB_TRY(lb_report_quality_of(v, row, b, q));
    *has = q->seeds > 1 && q->has_delta && isfinite(q->delta.delta);
    return LB_OK;
}

static bool has_seeds(const lb_report_row *row, void *user) {
    over_seeds *x = user;
    lb_report_quality q;
    bool has = false;
    if (x->st == LB_OK && row->cells > 1) x->st = quality_of(x->v, x->b, row, &q, &has);
    return has;
}

/* Of one seed's cell; NaN: it was not evaluated there. */
static double delta_of(const lb_record *c, const lb_report_block *b) {
    const lb_eval_row *e = lb_report_eval(c, b);
    return e && e->has_paired ? e->paired.delta : NAN;
}

/* Block 0: a line a seed; block 1: a line a row. Seeds stand above their row's line, a little apart, the mean below. */
static lb_status data_of(lb_plot *p, const over_seeds *x, const lb_rows *s, const int *style, lb_span *span) {
    (void)lb_plot_block(p, "seeds");
    lb_str_add(&p->dat, "# row delta seed style name\n");
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t c = 0; c < s->at[i]->cells; c++) {
            const lb_record *one = s->at[i]->cell[c];
            double d = delta_of(one, x->b), apart = 0.2 * ((double)c / (double)(s->at[i]->cells - 1) - 0.5);
            lb_span_add(span, d);
            lb_str_add(&p->dat, "%.4g", (double)i - 0.2 + apart);
            lb_plot_number(&p->dat, d);
            lb_str_add(&p->dat, " %llu %d \"", (unsigned long long)lb_report_seed_of(one), style[i]);
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->at[i]->short_name);
            lb_str_add(&p->dat, "\"\n");
        }
    (void)lb_plot_block(p, "means");
    lb_str_add(&p->dat, "# row mean_delta low high seeds sd style name (low, high: 95 %% interval)\n");
    for (int64_t i = 0; i < s->n; i++) {
        lb_report_quality q;
        bool has;
        LB_TRY(quality_of(x->v, x->b, s->at[i], &q, &has));
        lb_span_add(span, q.delta.delta);
        lb_span_add(span, q.delta.low);
        lb_span_add(span, q.delta.high);
        lb_str_add(&p->dat, "%.4g", (double)i + 0.2);
        lb_plot_number(&p->dat, q.delta.delta);
        lb_plot_number(&p->dat, q.delta.low);
        lb_plot_number(&p->dat, q.delta.high);
        lb_str_add(&p->dat, " %lld", (long long)q.seeds);
        lb_plot_number(&p->dat, q.sd);
        lb_str_add(&p->dat, " %d \"", style[i]);
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->at[i]->short_name);
        lb_str_add(&p->dat, "\"\n");
    }
    return LB_OK;
}

/* One look a method: rows are told apart by their lines. */
static void looks(lb_plot *p, const lb_rows *s, int *style) {
    int styles = 0;
    for (int64_t i = 0; i < s->n; i++) {
        int64_t k = 0;
        while (strcmp(s->at[k]->cell[0]->method, s->at[i]->cell[0]->method) != 0) k++;
        if (k == i) lb_plot_style_of(p, ++styles, s->at[i]->cell[0]->method, "", false);
        style[i] = k == i ? styles : style[k];
    }
}

static const char *const entry[] = {"a seed", "mean, 95 % interval"};

static lb_rows_legend legend(void) { return (lb_rows_legend){2, lb_plot_longest(entry, 2)}; }

static void draw(lb_plot *p) {
    double point = p->scale; /* as of lb_plot_looks */
    lb_str_add(&p->draw, "    plot 1/0 notitle");
    for (int i = 0; i < p->looks; i++) {
        int at = p->look[i].at;
        lb_str_add(
            &p->draw,
            ", \\\n        data index 0 using ($4 == %d ? $2 : NaN):1 with points ls %d pt %d ps %.3g lw 1.5 notitle"
            ", \\\n        data index 1 using ($7 == %d ? $3 : NaN):1:($4 - $3):(0) with vectors nohead ls %d dt "
            "solid lw 2.5 notitle"
            ", \\\n        data index 1 using ($7 == %d ? $2 : NaN):1 with points ls %d ps %.3g notitle",
            at, at, lb_palette_hollow(p->look[i].point), point, at, at, at, at, 1.4 * point);
    }
    lb_str_add(&p->draw, ", \\\n        1/0 with points pt 6 ps %.3g lw 1.5 lc rgb '#555555' title ", point);
    lb_plot_quote(&p->draw, entry[0]);
    lb_str_add(&p->draw, ", \\\n        1/0 with linespoints pt 7 ps %.3g lw 2.5 dt solid lc rgb '#555555' title ",
               1.4 * point);
    lb_plot_quote(&p->draw, entry[1]);
    lb_str_add(&p->draw, "\n");
}

/* All below a factor of that are as well on a linear scale, which has a place for 0. */
static bool needs_log(lb_span x) { return x.low > 0 && x.high / x.low > 12; }

static lb_status fill(const over_seeds *x, const lb_rows *s, lb_plotter *w, lb_plot *p) {
    lb_span span = LB_SPAN_EMPTY;
    int *style = LB_NEW(x->v->arena, int, s->n);
    if (!style) return LB_E_NOMEM;
    looks(p, s, style);
    LB_TRY(data_of(p, x, s, style, &span));
    bool log_scale = needs_log(span);
    const char *scale = log_scale ? " (log scale)" : "", *model = x->v->r->model_name;
    lb_rows_title(w, p, lb_arena_printf(x->v->arena, "%s: excess loss of each seed on %s", model, x->b->title));
    p->caption = lb_arena_printf(x->v->arena,
                                 "%s: difference of ln PPL to the unquantized model%s on %s: each seed, and below it "
                                 "the mean with its 95 %% interval over seeds and windows.",
                                 model, scale, x->b->title);
    if (!p->title || !p->caption) return LB_E_NOMEM;
    lb_str_add(&p->setup, "set datafile missing 'NaN'\nset xlabel ");
    lb_plot_quote(&p->setup, log_scale ? "\xce\x94 ln PPL in nats (log scale)" : "\xce\x94 ln PPL in nats");
    lb_str_add(&p->setup, "\n");
    lb_rows_legend l = legend();
    lb_rows_key(p, &l, p->width, 0, &p->setup);
    lb_rows_axis(p, s, true);
    lb_plot_axis_of(w, p, "x", "delta", log_scale, span);
    if (span.low < 0 && span.high > 0) lb_str_add(&p->setup, "set yzeroaxis lc rgb '#707070' lw 1 dt solid\n");
    draw(p);
    return lb_plot_finish(w, p);
}

static double key_height(const lb_plotter *w, const lb_rows *s) {
    lb_rows_legend l = legend();
    return lb_rows_key_height(lb_rows_least_width(w, lb_rows_names_width(s) + AXES), &l);
}

static lb_status figure(const over_seeds *x, lb_rows *s, lb_plotter *w, const char *part) {
    lb_plot p;
    char *name = lb_arena_printf(x->v->arena, "seeds-%s%s", x->b->id, part);
    if (!name) return LB_E_NOMEM;
    LB_TRY(lb_rows_begin(w, &p, x->v->arena, name, s, AXES, LB_ROWS_FRAME + key_height(w, s) + ROW * (double)s->n));
    lb_status st = fill(x, s, w, &p);
    lb_plot_free(&p);
    return st;
}

static lb_status name_counts(lb_arena *a, const over_seeds *x, lb_rows *all) {
    for (int64_t i = 0; i < all->n; i++) {
        lb_report_quality q;
        bool has;
        LB_TRY(quality_of(x->v, x->b, all->at[i], &q, &has));
        all->name[i] = lb_arena_printf(a, "%s, n = %lld", all->at[i]->short_name, (long long)q.seeds);
        if (!all->name[i]) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_plot_seeds(const lb_report_view *v, lb_plotter *w) {
    for (int64_t b = 0; v->seeds && b < v->blocks; b++) {
        over_seeds x = {.v = v, .b = &v->block[b]};
        lb_rows all, s;
        const char *part;
        if (!lb_report_has_ppl(x.b)) continue;
        LB_TRY(lb_rows_of(v, has_seeds, &x, &all));
        LB_TRY(x.st);
        LB_TRY(name_counts(v->arena, &x, &all));
        int64_t fit = lb_rows_most(w, LB_ROWS_FRAME + key_height(w, &all), ROW);
        for (int64_t k = 0;; k++) {
            LB_TRY(lb_rows_part(v->arena, &all, fit, k, &s, &part));
            if (!s.n) break;
            LB_TRY(figure(&x, &s, w, part));
        }
    }
    return LB_OK;
}

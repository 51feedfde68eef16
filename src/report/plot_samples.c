/* How many calibration samples are enough: excess loss against their number, a line for rows that differ in nothing
 * else, with intervals over seeds and windows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/alike.h"
#include "report/plot_points.h"
#include "report/significance.h"

typedef struct sample {
    const lb_report_row *row;
    lb_report_quality q;
    double samples;
} sample;

typedef struct line {
    sample *at; /* (n) in order of samples */
    int64_t n;
    char *name; /* of the row, without its number of samples */
} line;

typedef struct curves {
    const lb_report_view *v;
    const lb_report_block *b;
    line *line;
    int64_t n;
    lb_points plain; /* rows of methods that read no text */
    lb_span x, y;
} curves;

static double samples_of(const lb_record *c) {
    const char *s = lb_report_known(c, "calibration_samples");
    return s[0] ? strtod(s, NULL) : NAN;
}

static bool same_line(const lb_report_row *x, const lb_report_row *y) {
    static const char *const samples[] = {"calibration_samples", NULL};
    return samples_of(x->cell[0]) != samples_of(y->cell[0]) && lb_report_alike_but(x->cell[0], y->cell[0], samples);
}

/* "gptq samples=16 2b g64" is one of "gptq 2b g64". */
static char *without_samples(lb_arena *a, const char *name) {
    static const char word[] = "samples=";
    char *out = lb_arena_strdup(a, name);
    for (char *at = out; at && (at = strstr(at, word));) {
        bool begins = at == out || at[-1] == ' ';
        size_t n = strcspn(at, " "), gap = at[n] == ' ';
        if (!begins) {
            at += n;
            continue;
        }
        memmove(at, at + n + gap, strlen(at + n + gap) + 1);
        if (!*at && at > out) at[-1] = 0;
    }
    return out;
}

static int by_samples(const void *x, const void *y) {
    const sample *a = x, *b = y;
    return (a->samples > b->samples) - (a->samples < b->samples);
}

static lb_status add_row(curves *k, const lb_report_row *row, const lb_report_quality *q) {
    lb_arena *a = k->v->arena;
    int64_t i = 0;
    bool same = false;
    for (; i < k->n; i++) {
        same = true;
        for (int64_t m = 0; m < k->line[i].n; m++) same = same && same_line(k->line[i].at[m].row, row);
        if (same) break;
    }
    line *l = &k->line[i];
    if (!same) {
        *l = (line){.at = LB_NEW(a, sample, k->v->rows), .name = without_samples(a, row->short_name)};
        if (!l->at || !l->name) return LB_E_NOMEM;
        k->n++;
    }
    l->at[l->n++] = (sample){row, *q, samples_of(row->cell[0])};
    return LB_OK;
}

/* Lines of two points at least. */
static lb_status find_lines(curves *k) {
    k->line = LB_NEW(k->v->arena, line, k->v->rows + 1);
    if (!k->line) return LB_E_NOMEM;
    for (int64_t i = 0; i < k->v->rows; i++) {
        const lb_report_row *row = &k->v->row[i];
        lb_report_quality q;
        if (isnan(samples_of(row->cell[0]))) continue;
        LB_TRY(lb_report_quality_of(k->v, row, k->b, &q));
        if (q.seeds && q.has_delta && isfinite(q.delta.delta)) LB_TRY(add_row(k, row, &q));
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < k->n; i++)
        if (k->line[i].n > 1) k->line[kept++] = k->line[i];
    k->n = kept;
    for (int64_t i = 0; i < k->n; i++) qsort(k->line[i].at, (size_t)k->line[i].n, sizeof(sample), by_samples);
    return LB_OK;
}

/* A level to compare with: a method that looks at weights alone. */
static bool is_plain(const lb_point *x) {
    return !lb_report_reads_text(x->row->cell[0]) && !x->row->baseline && !x->flat && x->q.has_delta &&
           isfinite(x->q.delta.delta);
}

static lb_status find_plain(curves *k) {
    enum { MOST = 8 }; /* more would hide what is shown */
    LB_TRY(lb_points_of(k->v, k->b, &k->plain));
    int64_t n = 0;
    for (int64_t i = 0; i < k->plain.n; i++)
        if (is_plain(&k->plain.at[i])) k->plain.at[n++] = k->plain.at[i];
    k->plain.n = n <= MOST ? n : 0;
    return LB_OK;
}

static void spans(curves *k) {
    k->x = k->y = LB_SPAN_EMPTY;
    for (int64_t i = 0; i < k->n; i++)
        for (int64_t m = 0; m < k->line[i].n; m++) {
            const sample *s = &k->line[i].at[m];
            lb_span_add(&k->x, s->samples);
            lb_span_add(&k->y, s->q.delta.delta);
            lb_span_add(&k->y, s->q.delta.low);
            lb_span_add(&k->y, s->q.delta.high);
        }
    for (int64_t i = 0; i < k->plain.n; i++) lb_span_add(&k->y, k->plain.at[i].q.delta.delta);
}

/* ---- how many are enough ---- */

/* The fewest whose difference to the most is not told from 0, and so is that of any number between: its place. */
static lb_status enough(const curves *k, const line *l, int64_t *at) {
    *at = l->n - 1;
    while (*at > 0) {
        lb_contrast c;
        bool has;
        LB_TRY(lb_report_contrast(k->v, k->b, l->at[*at - 1].row, l->at[l->n - 1].row, &c, &has));
        if (!has || lb_contrast_differs(&c) || !isfinite(c.d.low)) break;
        (*at)--;
    }
    return LB_OK;
}

static lb_status said(const curves *k, const char **out) {
    lb_str text = {0};
    for (int64_t i = 0; i < k->n; i++) {
        const line *l = &k->line[i];
        int64_t at;
        lb_status st = enough(k, l, &at);
        if (st != LB_OK) {
            lb_str_free(&text);
            return st;
        }
        const sample *most = &l->at[l->n - 1];
        lb_str_add(&text, "%s %s: ", i ? ";" : " Not told from the most, by the paired 95 % interval:", l->name);
        if (at == l->n - 1)
            lb_str_add(&text, "none below %.0f", most->samples);
        else
            lb_str_add(&text, "%.0f%s of %.0f", l->at[at].samples, at + 2 < l->n ? " and more" : "", most->samples);
        if (most->q.seeds < 2) lb_str_add(&text, " (one seed: other draws are not counted)");
    }
    lb_str_add(&text, ".");
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && !(*out = lb_arena_strdup(k->v->arena, text.s))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

/* ---- the figure ---- */

/* aside: a factor, so that equal points of two lines show. */
static void draw_line(lb_plot *p, const line *l, int style, double aside) {
    int block = lb_plot_block(p, l->name);
    lb_str_add(&p->dat, "# samples delta low high seeds (low, high: 95 %% interval)\n");
    for (int64_t m = 0; m < l->n; m++) {
        const sample *s = &l->at[m];
        lb_str_add(&p->dat, "%.0f", s->samples);
        lb_plot_number(&p->dat, s->q.delta.delta);
        lb_plot_number(&p->dat, s->q.delta.low);
        lb_plot_number(&p->dat, s->q.delta.high);
        lb_str_add(&p->dat, " %lld\n", (long long)s->q.seeds);
    }
    lb_plot_style_row(p, style, l->at[0].row, false);
    lb_str_add(&p->draw,
               ", \\\n        data index %d using ($1*%.4g):(cut($2)) with lines ls %d notitle"
               ", \\\n        data index %d using ($1*%.4g):(cut($3)):(0):(cut($4) - cut($3)) with vectors nohead ls "
               "%d dt solid notitle"
               ", \\\n        data index %d using ($1*%.4g):(cut($2)) with points ls %d notitle"
               ", \\\n        1/0 with linespoints ls %d",
               block, aside, style, block, aside, style, block, aside, style, style);
    lb_plot_legend_entry(p, l->name);
}

/* Tics at the numbers that were taken, but not where they would touch. */
static void samples_axis(lb_plot *p, const curves *k) {
    double last = 0, low = k->x.low / 1.25, high = k->x.high * 1.25, least = pow(high / low, 0.07);
    lb_str_add(&p->setup, "set logscale x 2\nset xrange [%.9g:%.9g]\nset xtics (", low, high);
    for (;;) {
        double next = INFINITY;
        for (int64_t i = 0; i < k->n; i++)
            for (int64_t m = 0; m < k->line[i].n; m++) {
                double x = k->line[i].at[m].samples;
                if (x > last * (last > 0 ? least : 1) && x < next) next = x;
            }
        if (isinf(next)) break;
        lb_str_add(&p->setup, "%s%.0f", last > 0 ? ", " : "", next);
        last = next;
    }
    lb_str_add(&p->setup, ")\n");
}

static lb_status fill(const curves *k, lb_plotter *w, lb_plot *p) {
    const char *rest, *model = k->v->r->model_name;
    lb_arena *a = k->v->arena;
    LB_TRY(said(k, &rest));
    bool log_scale = k->y.low > 0 && k->y.high / k->y.low > 12;
    p->title = lb_arena_printf(a, "%s: excess loss by calibration samples on %s", model, k->b->title);
    p->caption = lb_arena_printf(a,
                                 "%s: difference of ln PPL to the unquantized model%s on %s against the number of "
                                 "calibration samples (log scale); bars: 95 %% intervals%s.%s",
                                 model, log_scale ? " (log scale)" : "", k->b->title,
                                 k->plain.n ? "; lines across: methods that read no text" : "", rest);
    if (!p->title || !p->caption) return LB_E_NOMEM;
    lb_points_axes(p, "calibration samples (log scale)",
                   log_scale ? "\xce\x94 ln PPL in nats (log scale)" : "\xce\x94 ln PPL in nats");
    lb_span y = lb_plot_limits(w, "delta", k->y);
    lb_str_add(
        &p->setup,
        "set datafile missing 'NaN'\nset clip two\nfloor = %.9g\ncut(y) = y > floor ? y : y <= floor ? floor : NaN\n",
        log_scale ? y.low / 2 : y.low - (y.high - y.low));
    lb_plot_axis_of(w, p, "y", "delta", log_scale, k->y);
    samples_axis(p, k);
    lb_str_add(&p->draw, "    plot 1/0 notitle");
    int style = 1;
    for (int64_t i = 0; i < k->n; i++) {
        double aside = pow(k->x.high / k->x.low, 0.012 * ((double)i - 0.5 * (double)(k->n - 1)));
        draw_line(p, &k->line[i], style++, aside);
    }
    for (int64_t i = 0; i < k->plain.n; i++) {
        const lb_point *x = &k->plain.at[i];
        lb_points_across(w, p, x, x->q.delta.delta, k->x.low / 2, k->x.high * 2, style++, (int)i);
    }
    lb_str_add(&p->draw, "\n");
    return lb_plot_finish(w, p);
}

static lb_status figure(const curves *k, lb_plotter *w) {
    lb_plot p;
    size_t longest = lb_points_longest(&k->plain, false);
    for (int64_t i = 0; i < k->n; i++)
        if (lb_text_width(k->line[i].name) > longest) longest = lb_text_width(k->line[i].name);
    char *name = lb_arena_printf(k->v->arena, "samples-%s", k->b->id);
    if (!name) return LB_E_NOMEM;
    int height = 110 + 20 * (int)(k->n + k->plain.n + 2);
    LB_TRY(lb_plot_begin(&p, k->v->arena, name, 600 + lb_plot_legend_width(longest), height < 460 ? 460 : height));
    lb_status st = fill(k, w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_samples(const lb_report_view *v, lb_plotter *w) {
    for (int64_t b = 0; b < v->blocks; b++) {
        curves k = {.v = v, .b = &v->block[b]};
        LB_TRY(find_lines(&k));
        if (!k.n) continue;
        LB_TRY(find_plain(&k));
        spans(&k);
        LB_TRY(figure(&k, w));
    }
    return LB_OK;
}

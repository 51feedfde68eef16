/* Calibration text against evaluation text: what each method loses on a text that it was, or was not, calibrated on. */
#include <math.h>
#include <string.h>

#include "report/alike.h"
#include "report/facts.h"
#include "report/plot.h"
#include "report/tasks_table.h"

#define MAPS      6   /* a figure */
#define TEXTS     12  /* a map */
#define LINE      30  /* points of a map's line */
#define MAP_ABOVE 26  /* points for a map's title */
#define MAP_FRAME 114 /* points of a map's title, labels and axis */
#define SIDES     165 /* of a figure, beside names and map */
#define LETTER    8
#define REST      60 /* below and above the maps */
#define NARROWEST 12 /* characters of a column, where there is room */

/* Rows that differ in nothing but the text that they were calibrated on. */
typedef struct map {
    const lb_report_row *row[TEXTS];
    const char *text[TEXTS];
    int n;
} map;

/* What a figure shows of a row on an evaluation. */
typedef struct quantity {
    const char *figure, *column;
    double (*of)(const lb_report_quality *q);                         /* NaN: it has none */
    bool (*shown)(const lb_report_view *v, const lb_report_block *b); /* of this evaluation */
    const char *what, *caption;
} quantity;

typedef struct maps {
    const lb_report_view *v;
    const quantity *q;
    map *at;
    int64_t n;
    size_t longest, widest; /* characters: of the texts' names, of the evaluations' */
    lb_span span;
} maps;

static bool differ_in_text_alone(const lb_record *a, const lb_record *b) {
    static const char *const text[] = {"calibration", "calibration_sha256", NULL};
    bool same = true;
    for (int i = 0; text[i]; i++) same = same && strcmp(lb_report_known(a, text[i]), lb_report_known(b, text[i])) == 0;
    return !same && lb_report_alike_but(a, b, text);
}

static bool belongs(const map *m, const lb_record *c) {
    for (int i = 0; i < m->n; i++)
        if (!differ_in_text_alone(m->row[i]->cell[0], c)) return false;
    return m->n < TEXTS;
}

static lb_status name_texts(lb_arena *a, map *m) {
    for (int i = 0; i < m->n; i++) m->text[i] = lb_report_known(m->row[i]->cell[0], "calibration");
    return lb_report_path_ends(a, m->text, m->n);
}

static double delta_of(const lb_report_quality *q) { return q->has_delta ? q->delta.delta : NAN; }
static double kl_of(const lb_report_quality *q) { return q->has_kl ? q->kl : NAN; }
static double accuracy_of(const lb_report_quality *q) { return q->task.has ? 100 * q->task.acc : NAN; }

static bool has_ppl(const lb_report_view *v, const lb_report_block *b) { return v && lb_report_has_ppl(b); }
static bool is_task(const lb_report_view *v, const lb_report_block *b) { return v && lb_report_is_task(b); }
static bool has_kl(const lb_report_view *v, const lb_report_block *b) {
    bool any = false;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_eval_row *e = lb_report_eval(v->row[i].cell[0], b);
        any = any || (e && e->eval.has_kl);
    }
    return any && lb_report_has_ppl(b);
}

static const quantity shown[] = {
    {"texts", "delta", delta_of, has_ppl, "\xce\x94 ln PPL", "difference of ln PPL to the unquantized model"},
    {"kl-texts", "kl", kl_of, has_kl, "KL in nats", "KL(unquantized \xe2\x80\x96 quantized) in nats a token"},
    {"acc-texts", "accuracy", accuracy_of, is_task, "accuracy in %", "accuracy in %"},
};

static lb_status value_of(const maps *s, const lb_report_row *row, int64_t b, double *out) {
    lb_report_quality q;
    LB_TRY(lb_report_quality_of(s->v, row, &s->v->block[b], &q));
    *out = q.seeds ? s->q->of(&q) : NAN;
    return LB_OK;
}

/* A column's label has two lines. */
static const char *protocol_of(lb_arena *a, const lb_report_block *b) {
    const char *id = b->eval->eval.protocol.id, *both = b->compute ? lb_arena_printf(a, "%s, %s", id, b->compute) : id;
    return both ? both : id;
}

static lb_status measure(maps *s) {
    for (int64_t b = 0; b < s->v->blocks; b++) {
        const char *line[] = {s->v->block[b].name, protocol_of(s->v->arena, &s->v->block[b])};
        size_t w = lb_plot_longest(line, 2);
        if (w > s->widest) s->widest = w;
    }
    for (int64_t i = 0; i < s->n; i++) {
        map *m = &s->at[i];
        LB_TRY(name_texts(s->v->arena, m));
        size_t w = lb_plot_longest(m->text, m->n);
        if (w > s->longest) s->longest = w;
        for (int k = 0; k < m->n; k++) {
            for (int64_t b = 0; b < s->v->blocks; b++) {
                double d;
                LB_TRY(value_of(s, m->row[k], b, &d));
                lb_span_add(&s->span, d);
            }
        }
    }
    return LB_OK;
}

static lb_status maps_of(const lb_report_view *v, const quantity *q, maps *s) {
    *s = (maps){.v = v, .q = q, .at = LB_NEW(v->arena, map, v->rows + 1), .span = LB_SPAN_EMPTY};
    if (!s->at) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        if (!lb_report_known(c, "calibration")[0]) continue;
        int64_t k = 0;
        while (k < s->n && !belongs(&s->at[k], c)) k++;
        if (k == s->n) s->n++;
        s->at[k].row[s->at[k].n++] = &v->row[i];
    }
    int64_t kept = 0;
    for (int64_t k = 0; k < s->n; k++)
        if (s->at[k].n > 1) s->at[kept++] = s->at[k];
    s->n = kept;
    return measure(s);
}

/* "gptq 3b g64 act_order": what the map's rows have in common, of what varies in the sweep. */
static lb_status title_of(lb_arena *a, const map *m, const char **out) {
    const lb_record *c = m->row[0]->cell[0];
    char bits[32], group[32];
    lb_str s = {0};
    const char *g = lb_report_group_text(c, group);
    lb_str_add(&s, "%s %sb%s%s", c->method, lb_report_bits_text(c, bits),
               !g[0]                        ? ""
               : g[0] >= '0' && g[0] <= '9' ? " g"
                                            : " ",
               g);
    for (int64_t i = 0; i < c->varied.n; i++) {
        const char *key = c->varied.at[i].key, *value = c->varied.at[i].value;
        if (!strcmp(key, "bits") || !strcmp(key, "group") || !strcmp(key, "seed")) continue;
        if (strncmp(key, "calibration", strlen("calibration")) == 0) continue;
        lb_str_add(&s, strcmp(value, "true") == 0 ? " %s" : " %s=%s", key, value);
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

/* What one figure shows: maps, and of each some of its columns, with names as long as there is room for. */
typedef struct part {
    int64_t map, maps, column, columns;
    const char *name;
    double top;              /* points that the title takes */
    const char **evaluation; /* (columns) */
    const char **text[MAPS]; /* (lines) of each map */
} part;

static lb_status map_data(lb_plot *p, const maps *s, const map *m, const part *of, const char *title) {
    lb_plot_block(p, title);
    lb_str_add(&p->dat, "# evaluation calibration %s evaluation_name calibration_text\n", s->q->column);
    for (int k = 0; k < m->n; k++)
        for (int64_t b = of->column; b < of->column + of->columns; b++) {
            double d;
            LB_TRY(value_of(s, m->row[k], b, &d));
            lb_str_add(&p->dat, "%lld %d ", (long long)(b - of->column), k);
            lb_str_add(&p->dat, isfinite(d) ? "%.9g \"" : "NaN \"", d);
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->v->block[b].name);
            lb_str_add(&p->dat, ", %s\" \"", protocol_of(s->v->arena, &s->v->block[b]));
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, m->text[k]);
            lb_str_add(&p->dat, "\"\n");
        }
    return LB_OK;
}

/* below: second lines, or NULL. */
static void labels(lb_str *to, const char *axis, const char *const *name, const char *const *below, int64_t n) {
    lb_str_add(to, "set %stics (", axis);
    for (int64_t i = 0; i < n; i++) {
        lb_str_add(to, "%s", i ? ", " : "");
        lb_plot_quote_tic(to, name[i]);
        if (below) lb_str_add(to, ".\"\\n\".");
        if (below) lb_plot_quote_tic(to, below[i]);
        lb_str_add(to, " %lld", (long long)i);
    }
    lb_str_add(to, ") out nomirror\n");
}

static size_t longest_line(const maps *s, const part *of) {
    size_t w = 0;
    for (int64_t i = 0; i < of->maps; i++) {
        size_t one = lb_plot_longest(of->text[i], s->at[of->map + i].n);
        if (one > w) w = one;
    }
    return w;
}

/* Numbers in white where the map is dark: where black would have less contrast (both have 4.5 there, and in grey). */
static lb_status draw_map(lb_plot *p, const maps *s, const part *of, int64_t index) {
    const map *m = &s->at[of->map + index];
    const char *title;
    LB_TRY(title_of(p->arena, m, &title));
    LB_TRY(map_data(p, s, m, of, title));
    LB_TRY(lb_plot_fit_names(p, &title, 1,
                             (size_t)fmax(0, (p->width - 150) / LB_PLOT_LETTER - (double)longest_line(s, of))));
    lb_plot_map_place(p, index, of->maps, of->top, MAP_ABOVE, MAP_FRAME - MAP_ABOVE);
    labels(&p->draw, "y", of->text[index], NULL, m->n);
    lb_str_add(&p->draw, "set yrange [%d.5:-0.5]\n    set title ", m->n - 1);
    lb_plot_quote(&p->draw, title);
    lb_str_add(
        &p->draw,
        " offset 0,-0.6\n    plot data index %lld using 1:2:(0.5):(0.5):(valid(3) ? $3 : NaN) with boxxyerror lc "
        "palette fs solid 1 noborder",
        (long long)index);
    for (int dark = 0; dark < 2; dark++)
        lb_str_add(&p->draw,
                   ", \\\n        data index %lld using 1:2:(valid(3) && %sdark($3) ? sprintf('%%.3g', $3) : '') with "
                   "labels tc rgb '%s'",
                   (long long)index, dark ? "" : "!", dark ? "#ffffff" : "#000000");
    lb_str_add(&p->draw, "\n");
    return LB_OK;
}

/* Names that the figure has room for: of texts up to a third of it. */
static lb_status name_part(lb_plot *p, const maps *s, part *of) {
    double room = p->width - SIDES;
    size_t lines = s->longest;
    if ((double)lines * LETTER > room / 3) lines = (size_t)fmax(LB_PLOT_NAME_LEAST, room / 3 / LETTER);
    double column = (room - (double)(lines * LETTER)) / (double)of->columns / LETTER - 1;
    if (!(of->evaluation = LB_NEW(p->arena, const char *, of->columns))) return LB_E_NOMEM;
    for (int64_t b = 0; b < of->columns; b++) of->evaluation[b] = s->v->block[of->column + b].name;
    LB_TRY(lb_plot_fit_names(p, of->evaluation, of->columns, (size_t)fmax(0, column)));
    for (int64_t i = 0; i < of->maps; i++) {
        map *m = &s->at[of->map + i];
        if (!(of->text[i] = LB_NEW(p->arena, const char *, m->n))) return LB_E_NOMEM;
        memcpy(of->text[i], m->text, (size_t)m->n * sizeof *m->text);
        LB_TRY(lb_plot_fit_names(p, of->text[i], m->n, lines));
    }
    return LB_OK;
}

static lb_status fill(const maps *s, part *of, const lb_plotter *w, lb_plot *p) {
    bool log_scale = s->span.low > 0 && s->span.high / s->span.low > 12;
    const char *scale = log_scale ? " (log scale)" : "", *model = s->v->r->model_name;
    const char **protocol = LB_NEW(p->arena, const char *, of->columns);
    p->title = lb_arena_printf(p->arena, "%s: %s by calibration and evaluation text%s", model, s->q->what, scale);
    p->caption =
        lb_arena_printf(p->arena, "%s: %s%s; a line for each calibration text, a column for each evaluation%s.", model,
                        s->q->caption, scale, s->v->seeds ? ", means over seeds" : "");
    if (!protocol || !p->title || !p->caption) return LB_E_NOMEM;
    LB_TRY(name_part(p, s, of));
    of->top = lb_plot_title_height(w, p);
    for (int64_t b = 0; b < of->columns; b++) protocol[b] = protocol_of(s->v->arena, &s->v->block[of->column + b]);
    lb_plot_map_colours(p, s->span, log_scale);
    lb_str_add(&p->setup,
               log_scale ? "dark(v) = log(v / %.9g) < 0.435 * log(%.9g / %.9g)\n"
                         : "dark(v) = v - %.9g < 0.435 * (%.9g - %.9g)\n",
               s->span.low, s->span.high, s->span.low);
    lb_str_add(&p->setup,
               "set lmargin %d\nset xrange [-0.5:%lld.5]\nset xlabel 'evaluated on' offset 0,-1\n"
               "set ylabel 'calibrated on'\nset key off\nset border 15\n",
               (int)longest_line(s, of) + 5, (long long)of->columns - 1);
    labels(&p->setup, "x", of->evaluation, protocol, of->columns);
    lb_str_add(&p->draw, "    set multiplot layout %lld,1 title title\n", (long long)of->maps);
    for (int64_t i = 0; i < of->maps; i++) LB_TRY(draw_map(p, s, of, i));
    lb_str_add(&p->draw, "    unset multiplot\n");
    return LB_OK;
}

static lb_status figure(const maps *s, part *of, lb_plotter *w) {
    lb_plot p;
    char *name = lb_arena_printf(s->v->arena, "%s%s", s->q->figure, of->name);
    if (!name) return LB_E_NOMEM;
    int64_t column = s->widest < NARROWEST ? NARROWEST : (int64_t)s->widest;
    int lines = 0;
    for (int64_t i = 0; i < of->maps; i++) lines = s->at[of->map + i].n > lines ? s->at[of->map + i].n : lines;
    LB_TRY(lb_plot_begin(&p, s->v->arena, name,
                         SIDES + LETTER * (int)((int64_t)s->longest + of->columns * (column + 2)),
                         (MAP_FRAME + LINE * lines) * (int)of->maps + REST));
    lb_plot_size(w, &p);
    lb_status st = fill(s, of, w, &p);
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

/* So many of n a figure that no figure has much fewer than others. */
static int64_t share(int64_t n, double most) {
    int64_t fit = most < 1 ? 1 : most > (double)n ? n : (int64_t)most, figures = (n + fit - 1) / fit;
    return (n + figures - 1) / figures;
}

/* The view with the evaluations that have it. */
static lb_status that_have(const lb_report_view *v, const quantity *q, lb_report_view *out) {
    *out = *v;
    out->block = LB_NEW(v->arena, lb_report_block, v->blocks + 1);
    if (!out->block) return LB_E_NOMEM;
    out->blocks = 0;
    for (int64_t b = 0; b < v->blocks; b++)
        if (q->shown(v, &v->block[b])) out->block[out->blocks++] = v->block[b];
    return LB_OK;
}

static lb_status figures(const lb_report_view *whole, const quantity *q, lb_plotter *w) {
    enum { CELL = 9 }; /* characters: of a number, and a protocol's name */
    maps s;
    lb_report_view some;
    const lb_report_view *v = &some;
    LB_TRY(that_have(whole, q, &some));
    LB_TRY(maps_of(v, q, &s));
    if (!s.n || lb_span_empty(&s.span)) return LB_OK;
    int lines = 0;
    for (int64_t i = 0; i < s.n; i++) lines = s.at[i].n > lines ? s.at[i].n : lines;
    double wide = lb_plot_most_width(w), high = lb_plot_most_height(w);
    double columns = wide > 0 ? (wide - SIDES - LETTER * LB_PLOT_NAME_LEAST) / (LETTER * CELL) : INFINITY;
    int64_t each = share(s.n, high > 0 ? fmin(MAPS, (high - REST) / (MAP_FRAME + LINE * lines)) : MAPS);
    int64_t beside = share(v->blocks, columns), k = 0;
    for (int64_t m = 0; m < s.n; m += each)
        for (int64_t b = 0; b < v->blocks; b += beside) {
            part of = {.map = m, .column = b, .name = ""};
            of.maps = s.n - m < each ? s.n - m : each;
            of.columns = v->blocks - b < beside ? v->blocks - b : beside;
            if (of.maps < s.n || of.columns < v->blocks) of.name = lb_arena_printf(v->arena, "-%lld", (long long)++k);
            if (!of.name) return LB_E_NOMEM;
            LB_TRY(figure(&s, &of, w));
        }
    return LB_OK;
}

lb_status lb_plot_texts(const lb_report_view *v, lb_plotter *w) {
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) LB_TRY(figures(v, &shown[i], w));
    return LB_OK;
}

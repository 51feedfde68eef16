/* Calibration text against evaluation text: what each method loses on a text that it was, or was not, calibrated on. */
#include <math.h>
#include <string.h>

#include "report/facts.h"
#include "report/plot.h"

#define MAPS      6  /* a figure */
#define TEXTS     12 /* a map */
#define LINE      30 /* points of a map's line */
#define MAP_FRAME 95 /* points of a map's title, labels and axis */

/* Rows that differ in nothing but the text that they were calibrated on. */
typedef struct map {
    const lb_report_row *row[TEXTS];
    const char *text[TEXTS];
    int n;
} map;

typedef struct maps {
    const lb_report_view *v;
    map *at;
    int64_t n;
    const char **column;    /* (v->blocks) names of the evaluations */
    size_t longest, widest; /* characters: of the texts' names, of the evaluations' */
    lb_span span;
} maps;

static const char *known(const lb_record *c, const char *key) {
    const char *s = lb_pairs_get(&c->provenance, key);
    return s ? s : "";
}

static bool same_pair(const lb_record *a, const lb_record *b, const char *key) {
    return strcmp(known(a, key), known(b, key)) == 0;
}

static bool same_text(const lb_record *a, const lb_record *b) {
    return same_pair(a, b, "calibration") && same_pair(a, b, "calibration_sha256");
}

static bool differ_in_text_alone(const lb_record *a, const lb_record *b) {
    static const char *const key[] = {"calibration_recipe", "calibration_samples", "calibration_length",
                                      "calibration_seed",   "calibration_bos",     "training"};
    if (strcmp(a->method, b->method) != 0 || strcmp(a->storage, b->storage) != 0 || same_text(a, b)) return false;
    if (strcmp(a->propagate, b->propagate) != 0 || a->true_sequential != b->true_sequential) return false;
    if (a->options.n != b->options.n || a->size.quantized.total != b->size.quantized.total) return false;
    for (int64_t i = 0; i < a->options.n; i++) {
        const char *other = lb_pairs_get(&b->options, a->options.at[i].key);
        if (!other || strcmp(other, a->options.at[i].value) != 0) return false;
    }
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        if (!same_pair(a, b, key[i])) return false;
    return true;
}

static bool belongs(const map *m, const lb_record *c) {
    for (int i = 0; i < m->n; i++)
        if (!differ_in_text_alone(m->row[i]->cell[0], c)) return false;
    return m->n < TEXTS;
}

/* "c4.txt" of a path, where no other text of the map would be called the same. */
static void name_texts(map *m) {
    for (int i = 0; i < m->n; i++) {
        const char *whole = known(m->row[i]->cell[0], "calibration"), *slash = strrchr(whole, '/');
        m->text[i] = slash && slash[1] ? slash + 1 : whole;
    }
    for (int i = 0; i < m->n; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(m->text[i], m->text[k]) == 0) {
                m->text[i] = known(m->row[i]->cell[0], "calibration");
                m->text[k] = known(m->row[k]->cell[0], "calibration");
            }
}

static lb_status delta_of(const maps *s, const lb_report_row *row, int64_t b, double *out) {
    lb_report_quality q;
    LB_TRY(lb_report_quality_of(s->v, row, &s->v->block[b], &q));
    *out = q.seeds && q.has_delta ? q.delta.delta : NAN;
    return LB_OK;
}

static lb_status name_columns(maps *s) {
    const lb_report_view *v = s->v;
    s->column = LB_NEW(v->arena, const char *, v->blocks + 1);
    if (!s->column) return LB_E_NOMEM;
    for (int64_t b = 0; b < v->blocks; b++) {
        const lb_eval_row *e = v->block[b].eval;
        s->column[b] = lb_arena_printf(v->arena, "%s, %s", e->name, e->eval.protocol.id);
        if (!s->column[b]) return LB_E_NOMEM;
        size_t w = lb_text_width(s->column[b]);
        if (w > s->widest) s->widest = w;
    }
    return LB_OK;
}

static lb_status measure(maps *s) {
    for (int64_t i = 0; i < s->n; i++) {
        map *m = &s->at[i];
        name_texts(m);
        for (int k = 0; k < m->n; k++) {
            size_t w = lb_text_width(m->text[k]);
            if (w > s->longest) s->longest = w;
            for (int64_t b = 0; b < s->v->blocks; b++) {
                double d;
                LB_TRY(delta_of(s, m->row[k], b, &d));
                lb_span_add(&s->span, d);
            }
        }
    }
    return name_columns(s);
}

static lb_status maps_of(const lb_report_view *v, maps *s) {
    *s = (maps){.v = v, .at = LB_NEW(v->arena, map, v->rows + 1), .span = LB_SPAN_EMPTY};
    if (!s->at) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_record *c = v->row[i].cell[0];
        if (!known(c, "calibration")[0]) continue;
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
    lb_str_add(&s, "%s %sb%s%s", c->method, lb_report_bits_text(c, bits), g[0] >= '0' && g[0] <= '9' ? " g" : " ", g);
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

static lb_status map_data(lb_plot *p, const maps *s, const map *m, const char *title) {
    lb_plot_block(p, title);
    lb_str_add(&p->dat, "# evaluation calibration delta evaluation_name calibration_text\n");
    for (int k = 0; k < m->n; k++)
        for (int64_t b = 0; b < s->v->blocks; b++) {
            double d;
            LB_TRY(delta_of(s, m->row[k], b, &d));
            lb_str_add(&p->dat, "%lld %d ", (long long)b, k);
            lb_str_add(&p->dat, isfinite(d) ? "%.9g \"" : "NaN \"", d);
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->column[b]);
            lb_str_add(&p->dat, "\" \"");
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, m->text[k]);
            lb_str_add(&p->dat, "\"\n");
        }
    return LB_OK;
}

static void labels(lb_str *to, const char *axis, const char *const *name, int64_t n) {
    lb_str_add(to, "set %stics (", axis);
    for (int64_t i = 0; i < n; i++) {
        lb_str_add(to, "%s", i ? ", " : "");
        lb_plot_quote(to, name[i]);
        lb_str_add(to, " %lld", (long long)i);
    }
    lb_str_add(to, ") out nomirror\n");
}

/* Numbers in white where the map is dark. */
static lb_status draw_map(lb_plot *p, const maps *s, const map *m, int64_t index) {
    const char *title;
    LB_TRY(title_of(p->arena, m, &title));
    LB_TRY(map_data(p, s, m, title));
    lb_plot_map_bar(p, index);
    labels(&p->draw, "y", m->text, m->n);
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

static lb_status fill(const maps *s, int64_t from, int64_t n, lb_plot *p) {
    bool log_scale = s->span.low > 0 && s->span.high / s->span.low > 12;
    const char *scale = log_scale ? " (log scale)" : "", *model = s->v->r->model_name;
    p->title = lb_arena_printf(p->arena, "%s: \xce\x94 ln PPL by calibration and evaluation text%s", model, scale);
    p->caption = lb_arena_printf(p->arena,
                                 "%s: difference of ln PPL to the unquantized model%s; a line for each calibration "
                                 "text, a column for each evaluation%s.",
                                 model, scale, s->v->seeds ? ", means over seeds" : "");
    if (!p->title || !p->caption) return LB_E_NOMEM;
    p->title_columns = p->width / 8;
    lb_plot_map_colours(p, s->span, log_scale);
    lb_str_add(&p->setup,
               log_scale ? "dark(v) = log(v / %.9g) < 0.6 * log(%.9g / %.9g)\n"
                         : "dark(v) = v - %.9g < 0.6 * (%.9g - %.9g)\n",
               s->span.low, s->span.high, s->span.low);
    lb_str_add(&p->setup,
               "set lmargin %d\nset xrange [-0.5:%lld.5]\nset xlabel 'evaluated on'\nset ylabel 'calibrated on'\n"
               "set key off\nset border 15\n",
               (int)s->longest + 6, (long long)s->v->blocks - 1);
    labels(&p->setup, "x", s->column, s->v->blocks);
    lb_str_add(&p->draw, "    set multiplot layout %lld,1 title title\n", (long long)n);
    for (int64_t i = 0; i < n; i++) LB_TRY(draw_map(p, s, &s->at[from + i], i));
    lb_str_add(&p->draw, "    unset multiplot\n");
    return LB_OK;
}

static lb_status figure(const maps *s, int64_t from, int64_t n, const char *part, lb_plotter *w) {
    enum { SIDES = 190, NARROWEST = 12 };
    lb_plot p;
    char *name = lb_arena_printf(s->v->arena, "texts%s", part);
    if (!name) return LB_E_NOMEM;
    size_t column = s->widest < NARROWEST ? NARROWEST : s->widest;
    int lines = 0;
    for (int64_t i = 0; i < n; i++) lines = s->at[from + i].n > lines ? s->at[from + i].n : lines;
    LB_TRY(lb_plot_begin(&p, s->v->arena, name, SIDES + 8 * ((int)s->longest + (int)s->v->blocks * ((int)column + 2)),
                         (MAP_FRAME + LINE * lines) * (int)n + 60));
    p.whole = true;
    lb_status st = fill(s, from, n, &p);
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_texts(const lb_report_view *v, lb_plotter *w) {
    maps s;
    LB_TRY(maps_of(v, &s));
    if (!s.n || lb_span_empty(&s.span)) return LB_OK;
    int64_t figures = (s.n + MAPS - 1) / MAPS, each = (s.n + figures - 1) / figures;
    for (int64_t k = 0; k < figures; k++) {
        const char *part = figures > 1 ? lb_arena_printf(v->arena, "-%lld", (long long)k + 1) : "";
        if (!part) return LB_E_NOMEM;
        int64_t n = s.n - k * each < each ? s.n - k * each : each;
        LB_TRY(figure(&s, k * each, n, part, w));
    }
    return LB_OK;
}

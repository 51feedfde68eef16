#include "report/plot_rows.h"

#include <math.h>
#include <string.h>

lb_status lb_rows_of(const lb_report_view *v, bool (*take)(const lb_report_row *, void *), void *user, lb_rows *out) {
    *out = (lb_rows){.at = LB_NEW(v->arena, const lb_report_row *, v->rows + 1),
                     .name = LB_NEW(v->arena, const char *, v->rows + 1)};
    if (!out->at || !out->name) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        if (!take(&v->row[i], user)) continue;
        out->name[out->n] = v->row[i].short_name;
        out->at[out->n++] = &v->row[i];
    }
    return LB_OK;
}

int64_t lb_rows_most(const lb_plotter *w, double frame, double row) {
    double high = lb_plot_most_height(w);
    return high > 0 ? (int64_t)fmax(1, fmin((high - frame) / row, LB_ROWS_A_FIGURE)) : LB_ROWS_A_FIGURE;
}

lb_status lb_rows_part(lb_arena *a, const lb_rows *all, int64_t most, int64_t k, lb_rows *out, const char **part) {
    int64_t figures = (all->n + most - 1) / most;
    *out = (lb_rows){.n = 0};
    *part = "";
    if (k >= figures) return LB_OK;
    int64_t each = (all->n + figures - 1) / figures;
    out->at = all->at + k * each, out->name = all->name + k * each;
    out->n = all->n - k * each < each ? all->n - k * each : each;
    out->longest = lb_plot_longest(out->name, out->n);
    if (figures > 1) *part = lb_arena_printf(a, "-%lld", (long long)k + 1);
    return *part ? LB_OK : LB_E_NOMEM;
}

int lb_rows_names_width(const lb_rows *s) { return lb_plot_legend_width(s->longest) - 40; }

lb_status lb_rows_begin(const lb_plotter *w, lb_plot *p, lb_arena *a, const char *name, lb_rows *s, int axes,
                        double height) {
    int natural = lb_rows_names_width(s) + axes;
    LB_TRY(lb_plot_begin(p, a, name, natural, (int)height));
    lb_plot_size(w, p);
    size_t most = LB_PLOT_NAME_MOST;
    double room = p->width < natural ? p->width - LB_ROWS_AXES - 30 : INFINITY;
    if (room < LB_PLOT_LETTER * (double)most) most = (size_t)fmax(0, room / LB_PLOT_LETTER);
    lb_status st = lb_plot_fit_names(p, s->name, s->n, most);
    if (st != LB_OK) {
        lb_plot_free(p);
        return st;
    }
    s->longest = lb_plot_longest(s->name, s->n);
    p->beside = lb_rows_names_width(s);
    p->title_columns = (int)((p->width - p->beside - 20) / LB_PLOT_TITLE_LETTER); /* it stands above the bars */
    return LB_OK;
}

void lb_rows_title(const lb_plotter *w, lb_plot *p, const char *title) {
    enum { ONE_LINE = 34 };
    p->title = title;
    lb_str_add(&p->setup, "set title title\n");
    double more = title ? lb_plot_title_height(w, p) - ONE_LINE : 0;
    if (more > 0 && !w->o->exact) p->height += (int)more;
}

void lb_rows_axis(lb_plot *p, const lb_rows *s, bool names) {
    lb_str_add(&p->setup, "set yrange [%lld.5:-0.5]\n%s", (long long)s->n - 1, names ? "set ytics (" : "unset ytics\n");
    for (int64_t i = 0; names && i < s->n; i++) {
        lb_str_add(&p->setup, "%s", i ? ", " : "");
        lb_plot_quote_tic(&p->setup, s->name[i]);
        lb_str_add(&p->setup, " %lld", (long long)i);
    }
    if (names) lb_str_add(&p->setup, ") out nomirror\n");
    lb_str_add(&p->setup, "set grid xtics lc rgb '#c8c8c8' lw 0.8 dt solid\nset border 3\n"
                          "set xtics out nomirror\nset style fill solid 1 border lc rgb '#000000'\n");
}

void lb_rows_tics(lb_plot *p, double most, double points) {
    enum { LABEL = 50 };
    double end = most / (1 - LABEL / fmax(points, 2 * LABEL));
    lb_plot_bar_axis(p, "x", (lb_span){0, end}, false, points * LB_PLOT_TIC_ROOM / LB_PLOT_TIC_WIDTH);
}

/* ---- the legend ---- */

static int key_columns(double width, const lb_rows_legend *l) {
    return (int)fmax(1, fmin(l->entries, width / lb_plot_entry_width(l->longest)));
}

static int key_lines(double width, const lb_rows_legend *l) {
    int columns = key_columns(width, l);
    return (l->entries + columns - 1) / columns;
}

double lb_rows_least_width(const lb_plotter *w, double natural) {
    double page = lb_plot_page_width(w);
    return page > 0 && page < natural ? page : natural;
}

double lb_rows_key_height(double width, const lb_rows_legend *l) { return LB_PLOT_LEGEND_LINE * key_lines(width, l); }

void lb_rows_key(const lb_plot *p, const lb_rows_legend *l, double width, double above, lb_str *to) {
    lb_str_add(
        to,
        "set bmargin at screen %.4f\nset key on\nset key at screen %.4f, screen %.4f center bottom horizontal Left "
        "reverse samplen 1.5 maxcols %d\n",
        (above + LB_PLOT_BELOW_AXES + LB_PLOT_LEGEND_LINE * key_lines(width, l)) / p->height, width / 2 / p->width,
        (above + 4) / p->height, key_columns(width, l));
}

/* Those that touch differ in lightness, too. */
const char *lb_rows_fill(int i) {
    static const char *const fill[] = {"#30337a", "#1f928c", "#7ad151", "#fde725",
                                       "#f7f7f7", "#b0b0c8", "#6a4c93", "#d98cb3"};
    enum { FILLS = sizeof fill / sizeof fill[0] };
    return fill[i % FILLS];
}

/* "($3 + $4)", "0" of none. */
static void sum(lb_str *s, int first, int end, const char *unit) {
    lb_str_add(s, "(");
    for (int i = first; i < end; i++) lb_str_add(s, "%s$%d", i > first ? " + " : "(", i);
    lb_str_add(s, end > first ? ")%s)" : "0)", unit);
}

void lb_rows_stack(lb_plot *p, int block, int first, int column, const char *unit, const char *fill,
                   const char *title) {
    lb_str_add(&p->draw, "data index %d using (0):1:", block);
    sum(&p->draw, first, column, unit);
    lb_str_add(&p->draw, ":");
    sum(&p->draw, first, column + 1, unit);
    lb_str_add(&p->draw, ":($1 - 0.36):($1 + 0.36) with boxxyerror %s ", fill);
    lb_str_add(&p->draw, title ? "title " : "notitle");
    if (title) lb_plot_quote(&p->draw, title);
}

void lb_rows_lengths(lb_plot *p, int block, int first, int last, const char *unit) {
    lb_str_add(&p->draw, ", \\\n        data index %d using ", block);
    sum(&p->draw, first, last + 1, unit);
    lb_str_add(&p->draw, ":1:(sprintf('%%.4g', ");
    sum(&p->draw, first, last + 1, unit);
    lb_str_add(&p->draw, ")) with labels left offset 0.5,0 notitle");
}

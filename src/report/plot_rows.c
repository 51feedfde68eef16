#include "report/plot_rows.h"

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

lb_status lb_rows_part(lb_arena *a, const lb_rows *all, int64_t k, lb_rows *out, const char **part) {
    int64_t figures = (all->n + LB_ROWS_A_FIGURE - 1) / LB_ROWS_A_FIGURE;
    *out = (lb_rows){.n = 0};
    *part = "";
    if (k >= figures) return LB_OK;
    int64_t each = (all->n + figures - 1) / figures;
    out->at = all->at + k * each, out->name = all->name + k * each;
    out->n = all->n - k * each < each ? all->n - k * each : each;
    for (int64_t i = 0; i < out->n; i++) {
        size_t w = lb_text_width(out->name[i]);
        if (w > out->longest) out->longest = w;
    }
    if (figures > 1) *part = lb_arena_printf(a, "-%lld", (long long)k + 1);
    return *part ? LB_OK : LB_E_NOMEM;
}

int lb_rows_names_width(const lb_rows *s) { return lb_plot_legend_width(s->longest) - 40; }

int lb_rows_height(const lb_rows *s) { return 150 + 22 * (int)s->n; }

void lb_rows_axis(lb_plot *p, const lb_rows *s, bool names) {
    lb_str_add(&p->setup, "set yrange [%lld.5:-0.5]\n%s", (long long)s->n - 1, names ? "set ytics (" : "unset ytics\n");
    for (int64_t i = 0; names && i < s->n; i++) {
        lb_str_add(&p->setup, "%s", i ? ", " : "");
        lb_plot_quote(&p->setup, s->name[i]);
        lb_str_add(&p->setup, " %lld", (long long)i);
    }
    if (names) lb_str_add(&p->setup, ") out nomirror\n");
    lb_str_add(&p->setup, "set grid xtics lc rgb '#c8c8c8' lw 0.8 dt solid\nset border 3\n"
                          "set xtics out nomirror\nset style fill solid 1 border lc rgb '#000000'\n");
}

void lb_rows_key(const lb_plot *p, lb_str *to) {
    lb_str_add(to,
               "set bmargin 6.5\nset key on\nset key at screen 0.5, screen %.4f center bottom horizontal Left reverse "
               "samplen 1.5 maxrows 2\n",
               6.0 / p->height);
}

const char *lb_rows_fill(int i) {
    static const char *const fill[] = {"#30337a", "#1f928c", "#7ad151", "#fde725", "#f6f2c0", "#e8e8e8"};
    enum { FILLS = sizeof fill / sizeof fill[0] };
    return fill[i < FILLS ? i : FILLS - 1];
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

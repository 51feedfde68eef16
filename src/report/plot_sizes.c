/* Sizes as stacked bars: where the bytes of each model go. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/plot_rows.h"

#define MIB " / 1048576."

/* Columns of the data, after the row's number. */
enum { CODES, SCALES, ZEROS, OTHER, UNQUANTIZED, PARTS };
static const char *const part_name[PARTS] = {"codes", "scales", "zeros", "other", "not quantized"};

static void parts_of(const lb_record *c, double out[PARTS]) {
    const lb_size *s = &c->size.quantized;
    out[CODES] = (double)s->codes, out[SCALES] = (double)s->scales, out[ZEROS] = (double)s->zeros;
    out[OTHER] = (double)(s->total - s->codes - s->scales - s->zeros);
    out[UNQUANTIZED] = (double)c->size.other_as_fp16;
}

static bool is_quantized(const lb_report_row *row, void *user) {
    (void)user;
    return row->cell[0]->size.quantized.weights > 0 && !row->twin;
}

static double longest_bar(const lb_rows *all) {
    double most = 0;
    for (int64_t i = 0; i < all->n; i++) most = fmax(most, (double)all->at[i]->cell[0]->size.total_as_fp16);
    return lb_mib(most);
}

/* What some row has, as bits. */
static unsigned parts_there(const lb_rows *s) {
    unsigned some = 0;
    for (int64_t i = 0; i < s->n; i++) {
        double part[PARTS];
        parts_of(s->at[i]->cell[0], part);
        for (int k = 0; k < PARTS; k++)
            if (part[k] > 0) some |= 1u << k;
    }
    return some;
}

static void data_of(lb_plot *p, const lb_rows *s) {
    (void)lb_plot_block(p, "bytes of the whole model");
    lb_str_add(&p->dat, "# row codes scales zeros other_of_quantized not_quantized name\n");
    for (int64_t i = 0; i < s->n; i++) {
        double part[PARTS];
        parts_of(s->at[i]->cell[0], part);
        lb_str_add(&p->dat, "%lld", (long long)i);
        for (int k = 0; k < PARTS; k++) lb_str_add(&p->dat, " %.0f", part[k]);
        lb_str_add(&p->dat, " \"");
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->at[i]->short_name);
        lb_str_add(&p->dat, "\"\n");
    }
}

static lb_rows_legend legend_of(unsigned parts) {
    lb_rows_legend l = {0, 0};
    for (int k = 0; k < PARTS; k++) {
        if (!(parts & 1u << k)) continue;
        l.entries++;
        if (strlen(part_name[k]) > l.longest) l.longest = strlen(part_name[k]);
    }
    return l;
}

static void draw(lb_plot *p, unsigned parts) {
    lb_str_add(&p->draw, "    plot ");
    for (int k = 0, drawn = 0; k < PARTS; k++) {
        char fill[64];
        if (!(parts & 1u << k)) continue;
        snprintf(fill, sizeof fill, "fc rgb '%s'", lb_rows_fill(k));
        lb_str_add(&p->draw, "%s", drawn++ ? ", \\\n        " : "");
        lb_rows_stack(p, 0, 2, 2 + k, MIB, k == UNQUANTIZED ? LB_ROWS_HATCHED : fill, part_name[k]);
    }
    lb_rows_lengths(p, 0, 2, 1 + PARTS, MIB);
    lb_str_add(&p->draw, "\n");
}

static lb_status figure(const lb_report_view *v, lb_plotter *w, lb_rows *s, unsigned parts, double most,
                        const char *part) {
    enum { AXES = 560 };
    lb_plot p;
    char *name = lb_arena_printf(v->arena, "sizes%s", part);
    if (!name) return LB_E_NOMEM;
    lb_rows_legend l = legend_of(parts);
    double key = lb_rows_key_height(lb_rows_least_width(w, lb_rows_names_width(s) + AXES), &l);
    LB_TRY(lb_rows_begin(w, &p, v->arena, name, s, AXES, LB_ROWS_FRAME + key + LB_ROWS_LINE * (double)s->n));
    lb_rows_title(w, &p, lb_arena_printf(v->arena, "%s: size by what is stored", v->r->model_name));
    p.caption = lb_arena_printf(v->arena,
                                "%s: bytes of the whole model in MiB: codes, scales, zeros and what else the quantized "
                                "layers store (mask, pair, transform, order, padding, codebook); hatched: what is not "
                                "quantized, at 16 bits. The unquantized model has %.4g MiB at 16 bits.",
                                v->r->model_name, lb_mib((double)s->at[0]->cell[0]->size.original_fp16));
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    lb_str_add(&p.setup, "set xlabel 'model size in MiB'\n");
    lb_rows_key(&p, &l, p.width, 0, &p.setup);
    lb_rows_axis(&p, s, true);
    lb_rows_tics(&p, most, p.width - lb_rows_names_width(s));
    data_of(&p, s);
    draw(&p, parts);
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_sizes(const lb_report_view *v, lb_plotter *w) {
    lb_rows all, s;
    const char *part;
    LB_TRY(lb_rows_of(v, is_quantized, NULL, &all));
    unsigned parts = parts_there(&all);
    double most = longest_bar(&all);
    lb_rows_legend l = legend_of(parts);
    int64_t fit =
        lb_rows_most(w, LB_ROWS_FRAME + lb_rows_key_height(lb_rows_least_width(w, LB_ROWS_AXES), &l), LB_ROWS_LINE);
    for (int64_t k = 0;; k++) {
        LB_TRY(lb_rows_part(v->arena, &all, fit, k, &s, &part));
        if (!s.n) return LB_OK;
        LB_TRY(figure(v, w, &s, parts, most, part));
    }
}

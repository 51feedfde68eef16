/* Sizes as stacked bars: where the bytes of each model go. */
#include <math.h>
#include <stdio.h>

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
    return row->cell[0]->size.quantized.weights > 0;
}

static double longest_bar(const lb_rows *all) {
    double most = 0;
    for (int64_t i = 0; i < all->n; i++) most = fmax(most, (double)all->at[i]->cell[0]->size.total_as_fp16);
    return lb_mib(most);
}

/* Returns which parts some row has. */
static unsigned data_of(lb_plot *p, const lb_rows *s) {
    unsigned some = 0;
    (void)lb_plot_block(p, "bytes of the whole model");
    lb_str_add(&p->dat, "# row codes scales zeros other_of_quantized not_quantized name\n");
    for (int64_t i = 0; i < s->n; i++) {
        double part[PARTS];
        parts_of(s->at[i]->cell[0], part);
        lb_str_add(&p->dat, "%lld", (long long)i);
        for (int k = 0; k < PARTS; k++) {
            lb_str_add(&p->dat, " %.0f", part[k]);
            if (part[k] > 0) some |= 1u << k;
        }
        lb_str_add(&p->dat, " \"");
        lb_markup_text(&p->dat, LB_TABLE_TERMINAL, s->name[i]);
        lb_str_add(&p->dat, "\"\n");
    }
    return some;
}

static lb_status figure(const lb_report_view *v, lb_plotter *w, const lb_rows *s, double most, const char *part) {
    lb_plot p;
    char *name = lb_arena_printf(v->arena, "sizes%s", part);
    if (!name) return LB_E_NOMEM;
    LB_TRY(lb_plot_begin(&p, v->arena, name, lb_rows_names_width(s) + 560, lb_rows_height(s)));
    p.whole = true;
    p.title = lb_arena_printf(v->arena, "%s: size by what is stored", v->r->model_name);
    p.caption = lb_arena_printf(v->arena,
                                "%s: bytes of the whole model in MiB: codes, scales, zeros and what else the quantized "
                                "layers store (mask, pair, transform, order, padding, codebook); hatched: what is not "
                                "quantized, at 16 bits. The unquantized model has %.4g MiB at 16 bits.",
                                v->r->model_name, lb_mib((double)s->at[0]->cell[0]->size.original_fp16));
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    lb_str_add(&p.setup, "set title title\nset xlabel 'model size in MiB'\n");
    lb_rows_key(&p, &p.setup);
    lb_rows_axis(&p, s, true);
    lb_plot_linear_axis(&p, "x", 0, 1.14 * most, 0);
    unsigned some = data_of(&p, s);
    lb_str_add(&p.draw, "    plot ");
    for (int k = 0, drawn = 0; k < PARTS; k++) {
        char fill[64];
        if (!(some & 1u << k)) continue;
        if (k == UNQUANTIZED)
            snprintf(fill, sizeof fill, "fs pattern 4 fc rgb '#707070'");
        else
            snprintf(fill, sizeof fill, "fc rgb '%s'", lb_rows_fill(k));
        lb_str_add(&p.draw, "%s", drawn++ ? ", \\\n        " : "");
        lb_rows_stack(&p, 0, 2, 2 + k, MIB, fill, part_name[k]);
    }
    lb_rows_lengths(&p, 0, 2, 1 + PARTS, MIB);
    lb_str_add(&p.draw, "\n");
    if (st == LB_OK) st = lb_plot_finish(w, &p);
    lb_plot_free(&p);
    return st;
}

lb_status lb_plot_sizes(const lb_report_view *v, lb_plotter *w) {
    lb_rows all, s;
    const char *part;
    LB_TRY(lb_rows_of(v, is_quantized, NULL, &all));
    double most = longest_bar(&all);
    for (int64_t k = 0;; k++) {
        LB_TRY(lb_rows_part(v->arena, &all, k, &s, &part));
        if (!s.n) return LB_OK;
        LB_TRY(figure(v, w, &s, most, part));
    }
}

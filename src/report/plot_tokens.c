/* Who carries H: of each input the share of the tokens that has half of it, as a map of depth and type. */
#include <math.h>
#include <string.h>

#include "report/plot.h"
#include "result/figures.h"

enum { TYPES = 16, FRAME = 152, LINE = 20 }; /* points of the figure beside its lines, and of one of those */

typedef struct map {
    const lb_record *c;
    bool original; /* inputs of the original model */
    const char *type[TYPES];
    int types;
    int64_t blocks;
    lb_span span;
} map;

static double share_of(const map *m, const lb_layer_row *l) {
    double share = m->original ? l->original_carried.half_share : l->own_carried.half_share;
    return share > 0 ? share : NAN;
}

/* Of a block's layers of a type, of which experts are several: the least. */
static double share_at(const map *m, int64_t block, const char *type) {
    double least = NAN;
    for (int64_t i = 0; i < m->c->layers; i++) {
        const lb_layer_row *l = &m->c->layer[i];
        if (l->block == block && strcmp(l->type, type) == 0) least = fmin(least, share_of(m, l));
    }
    return least;
}

static void add_layer(map *m, const lb_layer_row *l) {
    double share = share_of(m, l);
    if (l->block < 0 || isnan(share)) return;
    if (l->block + 1 > m->blocks) m->blocks = l->block + 1;
    lb_span_add(&m->span, share);
    int k = 0;
    while (k < m->types && strcmp(m->type[k], l->type) != 0) k++;
    if (k == m->types && k < TYPES) m->type[m->types++] = l->type;
}

static map map_of(const lb_record *c, bool original) {
    map m = {.c = c, .original = original, .span = LB_SPAN_EMPTY};
    for (int64_t i = 0; i < c->layers; i++) add_layer(&m, &c->layer[i]);
    return m;
}

/* The first cell that knows it: of the original model's inputs, which are those of every cell on its calibration; else
 * of its own. */
static map find(const lb_report_view *v) {
    map m = {0};
    for (int own = 0; own < 2; own++)
        for (int64_t i = 0; i < v->rows && !m.types; i++) m = map_of(v->row[i].cell[0], !own);
    return m;
}

static void put_data(lb_plot *p, const map *m) {
    lb_plot_block(p, m->c->label ? m->c->label : "");
    lb_str_add(&p->dat, "# block type_number half_share type\n");
    for (int t = 0; t < m->types; t++)
        for (int64_t b = 0; b < m->blocks; b++) {
            double share = share_at(m, b, m->type[t]);
            lb_str_add(&p->dat, "%lld %d ", (long long)b, t);
            lb_str_add(&p->dat, isnan(share) ? "NaN " : "%.9g ", share);
            lb_markup_text(&p->dat, LB_TABLE_TERMINAL, m->type[t]);
            lb_str_add(&p->dat, "\n");
        }
}

static void put_axes(lb_plot *p, const map *m, int wide) {
    lb_plot_map_colours(p, m->span, true);
    lb_str_add(&p->setup, "set xrange [-0.5:%lld.5]\nset xtics %d out nomirror\nset yrange [%d.5:-0.5]\nset ytics (",
               (long long)m->blocks - 1, lb_plot_block_step(m->blocks, 32 * p->width / wide), m->types - 1);
    for (int t = 0; t < m->types; t++) {
        lb_str_add(&p->setup, "%s", t ? ", " : "");
        lb_plot_quote_tic(&p->setup, m->type[t]);
        lb_str_add(&p->setup, " %d", t);
    }
    lb_str_add(&p->setup, ") out nomirror\nset xlabel 'block'\nset key off\nset border 15\n");
}

static void put_map(const lb_plotter *w, lb_plot *p) {
    lb_str_add(&p->draw, "    set multiplot layout 1,1 title title\n");
    lb_plot_map_place(p, 0, 1, lb_plot_title_height(w, p), 6, 66);
    lb_str_add(&p->draw, "    unset title\n    plot data index 0 using 1:2:(0.5):(0.5):(valid(3) ? $3 : NaN) with "
                         "boxxyerror lc palette fs solid 1 noborder\n    unset multiplot\n");
}

lb_status lb_plot_tokens(const lb_report_view *v, lb_plotter *w) {
    const map m = find(v);
    lb_plot p;
    if (!m.types || lb_span_empty(&m.span)) return LB_OK;
    int64_t across = m.blocks < 16 ? 16 : m.blocks > 60 ? 60 : m.blocks;
    int wide = 200 + 22 * (int)across;
    LB_TRY(lb_plot_begin(&p, v->arena, "token-map", wide, FRAME + LINE * m.types));
    lb_plot_size(w, &p);
    const char *inputs = m.original ? "the original model's inputs" : "the inputs that layers were solved on";
    const char *text = lb_report_pair(&m.c->provenance, "calibration");
    p.title = lb_arena_printf(v->arena, "%s: share of tokens with half of H (log scale)", v->r->model_name);
    p.caption = lb_arena_printf(
        v->arena,
        "%s: share of the calibration tokens that has half of H (sum of |x|\xc2\xb2), of %s, on %s (log scale; dark is "
        "few, white is not known). Where it is below 1 %% (flag K) a layer's H, and errors under it, say little of all "
        "other tokens.",
        v->r->model_name, inputs, text ? text : "the calibration text");
    lb_status st = p.title && p.caption ? LB_OK : LB_E_NOMEM;
    if (st == LB_OK) {
        put_data(&p, &m);
        put_axes(&p, &m, wide);
        put_map(w, &p);
        st = lb_plot_finish(w, &p);
    }
    lb_plot_free(&p);
    return st;
}

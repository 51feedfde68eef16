/* What a page says first, made of its numbers: the front of bits and loss, who loses least at each budget of bits, what
 * is not told from the baseline, what was drawn too seldom to rank, and what has no result. Bits are those measured of
 * the quantized layers, and rows whose paired interval holds 0 are not told apart. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/alike.h"
#include "report/parts.h"
#include "report/significance.h"
#include "report/tasks_table.h"

enum { NAMES_MOST = 4 };

typedef struct ranked {
    const lb_report_row *row;
    double bits;
    lb_report_quality q;
} ranked;

typedef struct words {
    const lb_report_view *v; /* of one model */
    const lb_report_block *b;
    ranked *at; /* by bits, then by loss */
    int64_t n;
    const char *before; /* which model and evaluation, where there are several: "tiny, wikitext-2, W2-2048: " */
    const char **item;
    size_t items;
} words;

static int by_bits(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->bits != y->bits) return x->bits < y->bits ? -1 : 1;
    int loss = (x->q.delta.delta > y->q.delta.delta) - (x->q.delta.delta < y->q.delta.delta);
    return loss ? loss : (x->row > y->row) - (x->row < y->row); /* qsort need not keep an order */
}

static lb_status rank(words *w) {
    w->n = 0;
    if (!(w->at = LB_NEW(w->v->arena, ranked, w->v->rows + 1))) return LB_E_NOMEM;
    for (int64_t i = 0; i < w->v->rows; i++) {
        ranked x = {.row = &w->v->row[i]};
        if (x.row->baseline || lb_report_is_repeated(w->v, x.row, w->b)) continue;
        x.bits = lb_size_bits(&x.row->cell[0]->size.quantized);
        LB_TRY(lb_report_quality_of(w->v, x.row, w->b, &x.q));
        if (x.q.seeds > 0 && x.q.has_delta && x.bits > 0) w->at[w->n++] = x; /* a NaN is not above 0 */
    }
    qsort(w->at, (size_t)w->n, sizeof *w->at, by_bits);
    return LB_OK;
}

static lb_status say(words *w, lb_str *s) {
    lb_status st = lb_str_check(s);
    if (st == LB_OK && !(w->item[w->items++] = lb_arena_printf(w->v->arena, "%s%s", w->before, s->s ? s->s : "")))
        st = LB_E_NOMEM;
    lb_str_free(s);
    return st;
}

static void add_loss(lb_str *s, const lb_report_block *b, const ranked *x) {
    double d = x->q.delta.delta;
    lb_str_add(s, "%s (%s bits, %s %s)", x->row->short_name, lb_num_fixed(x->bits, 2).s, lb_report_loss_name(b),
               lb_num_signed(d, fabs(d) < 0.01 ? 5 : 3).s);
}

/* "a, b, c, d and 3 more" */
static void add_name(lb_str *s, int64_t at, int64_t n, const char *name) {
    if (at < NAMES_MOST) lb_str_add(s, "%s%s", at ? ", " : "", name);
    if (at == NAMES_MOST) lb_str_add(s, " and %lld more", (long long)(n - NAMES_MOST));
}

static lb_status front(words *w) {
    lb_str s = {0};
    double least = INFINITY;
    int64_t on = 0;
    lb_str_add(&s, "Measured bits a weight against loss, nothing beats ");
    for (int64_t i = 0; i < w->n; i++) {
        if (w->at[i].q.delta.delta >= least) continue;
        least = w->at[i].q.delta.delta;
        lb_str_add(&s, on++ ? ", " : "");
        add_loss(&s, w->b, &w->at[i]);
    }
    int64_t off = w->n - on;
    if (off)
        lb_str_add(&s, "; %s as many bits or more for as much loss or more.",
                   off == 1 ? "the other one takes" : "the others take");
    else
        lb_str_add(&s, ".");
    return say(w, &s);
}

/* Those of at most `bits` whose difference to the best of them has an interval with 0 in it. */
static lb_status add_equals(words *w, double bits, const ranked *best, lb_str *s) {
    const char **name = LB_NEW(w->v->arena, const char *, w->n + 1);
    int64_t n = 0;
    if (!name) return LB_E_NOMEM;
    for (int64_t i = 0; i < w->n && w->at[i].bits <= bits; i++) {
        lb_contrast c;
        bool has;
        if (&w->at[i] == best) continue;
        LB_TRY(lb_report_contrast(w->v, w->b, w->at[i].row, best->row, &c, &has));
        if (has && c.d.low <= 0 && c.d.high >= 0) name[n++] = w->at[i].row->short_name;
    }
    if (n) lb_str_add(s, "; not told from it: ");
    for (int64_t i = 0; i < n; i++) add_name(s, i, n, name[i]);
    return LB_OK;
}

static const ranked *best_of(const words *w, double bits) {
    const ranked *best = NULL;
    for (int64_t i = 0; i < w->n && w->at[i].bits <= bits; i++)
        if (!best || w->at[i].q.delta.delta < best->q.delta.delta) best = &w->at[i];
    return best;
}

/* One sentence a budget of whole bits; budgets with the same best are one. */
static lb_status budgets(words *w) {
    enum { MOST_BITS = 16 };
    double last = ceil(w->at[w->n - 1].bits);
    for (int bits = (int)ceil(w->at[0].bits), to; bits <= last && bits <= MOST_BITS; bits = to + 1) {
        const ranked *best = best_of(w, bits);
        to = bits;
        while (to + 1 <= last && to + 1 <= MOST_BITS && best_of(w, to + 1) == best) to++;
        lb_str s = {0};
        if (to > bits)
            lb_str_add(&s, "With at most %d to %d bits a weight ", bits, to);
        else
            lb_str_add(&s, "With at most %d bit%s a weight ", bits, bits == 1 ? "" : "s");
        add_loss(&s, w->b, best);
        lb_str_add(&s, " loses least");
        lb_status st = add_equals(w, to, best, &s);
        lb_str_add(&s, ".");
        if (st != LB_OK) lb_str_free(&s);
        LB_TRY(st);
        LB_TRY(say(w, &s));
    }
    return LB_OK;
}

static lb_status like_baseline(words *w) {
    lb_str s = {0};
    int64_t n = 0, at = 0;
    for (int64_t i = 0; i < w->n; i++) n += w->at[i].q.delta.low <= 0 && w->at[i].q.delta.high >= 0;
    if (!n) return LB_OK;
    lb_str_add(&s, "Not told from the baseline: ");
    for (int64_t i = 0; i < w->n; i++)
        if (w->at[i].q.delta.low <= 0 && w->at[i].q.delta.high >= 0) add_name(&s, at++, n, w->at[i].row->short_name);
    lb_str_add(&s, ".");
    return say(w, &s);
}

/* What was drawn once or twice is ranked for these draws alone. */
static lb_status few_seeds(words *w) {
    enum { ENOUGH = 3 };
    const char **name = LB_NEW(w->v->arena, const char *, w->n + 1);
    lb_str s = {0};
    int64_t n = 0;
    if (!name) return LB_E_NOMEM;
    for (int64_t i = 0; i < w->n; i++)
        if (w->at[i].q.seeds < ENOUGH && lb_report_reads_text(w->at[i].row->cell[0]))
            name[n++] = w->at[i].row->short_name;
    if (!n) return LB_OK;
    lb_str_add(&s, "Fewer than three seeds, so that other samples or batches may rank them otherwise: ");
    for (int64_t i = 0; i < n; i++) add_name(&s, i, n, name[i]);
    lb_str_add(&s, ".");
    return say(w, &s);
}

static lb_status without_result(words *w) {
    const lb_report_view *v = w->v;
    lb_str s = {0};
    if (!v->absents) return LB_OK;
    lb_str_add(&s, "Without a result: ");
    for (int64_t i = 0; i < v->absents; i++) {
        const lb_record *c = v->absent[i];
        const char *name = lb_arena_printf(v->arena, "%s (%s)", c->label, lb_cell_state_text(c->state));
        if (!name) {
            lb_str_free(&s);
            return LB_E_NOMEM;
        }
        add_name(&s, i, v->absents, name);
    }
    lb_str_add(&s, "; the reasons are below the table.");
    return say(w, &s);
}

static lb_status of_model(words *w, bool several) {
    const lb_report_view *v = w->v;
    for (int64_t i = 0; i < v->blocks; i++) {
        w->b = &v->block[i];
        LB_TRY(rank(w));
        w->before = lb_arena_printf(v->arena, "%s%s%s%s", several ? v->r->model_name : "", several ? ", " : "",
                                    v->blocks > 1 || several ? w->b->title : "", v->blocks > 1 || several ? ": " : "");
        if (!w->before) return LB_E_NOMEM;
        if (!w->n) continue;
        LB_TRY(front(w));
        if (w->n > 1) LB_TRY(budgets(w));
        if (w->n > 1) LB_TRY(few_seeds(w));
        LB_TRY(like_baseline(w));
    }
    w->before = "";
    return without_result(w);
}

lb_status lb_report_words(const lb_report_view *v, const char *const **item, size_t *n) {
    enum { OF_A_BLOCK = 20 }; /* the front, 17 budgets, seeds, and the baseline */
    int64_t blocks = 0;
    for (int64_t i = 0; i < v->models; i++) blocks += v->model[i].blocks;
    words w = {.item = LB_NEW(v->arena, const char *, OF_A_BLOCK *blocks + v->models + 1)};
    if (!w.item) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->models; i++) {
        w.v = &v->model[i];
        LB_TRY(of_model(&w, v->models > 1));
    }
    *item = w.item;
    *n = w.items;
    return LB_OK;
}

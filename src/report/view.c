/* Rows and blocks of a report, from records. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/view.h"
#include "result/choice.h"
#include "result/seeds.h"

const char *lb_report_pair(const lb_pairs *p, const char *key) {
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->at[i].key, key) == 0) return p->at[i].value;
    return NULL;
}

static bool is_seed(const char *key) { return strcmp(key, "seed") == 0; }

/* Equal but for the seed. */
static bool pairs_agree(const lb_pairs *x, const lb_pairs *y) {
    int64_t i = 0, k = 0;
    for (;;) {
        while (i < x->n && is_seed(x->at[i].key)) i++;
        while (k < y->n && is_seed(y->at[k].key)) k++;
        if (i == x->n || k == y->n) return i == x->n && k == y->n;
        if (strcmp(x->at[i].key, y->at[k].key) != 0 || strcmp(x->at[i].value, y->at[k].value) != 0) return false;
        i++, k++;
    }
}

static const char *text_of(const char *s) { return s ? s : ""; }

/* The next line of a config that sets no seed, without its blanks at the head; its length, 0 at the end. */
static size_t config_line(const char **at) {
    while (**at) {
        *at += strspn(*at, " \n");
        size_t n = strcspn(*at, "\n");
        if (strncmp(*at, "seed:", 5) != 0) return n;
        *at += n;
    }
    return 0;
}

/* Rules of single layers, another text: what options do not tell, the resolved configs do. */
static bool configs_agree(const char *x, const char *y) {
    if (!x || !y) return true; /* a cell without a result has none */
    for (;;) {
        size_t n = config_line(&x), m = config_line(&y);
        if (n != m || memcmp(x, y, n) != 0) return false;
        if (!n) return true;
        x += n, y += n;
    }
}

static bool same_but_seed(const lb_record *x, const lb_record *y) {
    bool sized = x->state == LB_CELL_DONE && y->state == LB_CELL_DONE;
    if (sized && x->size.quantized.total != y->size.quantized.total) return false;
    return x->seed != y->seed && lb_report_same_model(x, y) && strcmp(text_of(x->method), text_of(y->method)) == 0 &&
           x->bits == y->bits && x->group == y->group && strcmp(text_of(x->storage), text_of(y->storage)) == 0 &&
           strcmp(text_of(x->propagate), text_of(y->propagate)) == 0 && x->true_sequential == y->true_sequential &&
           pairs_agree(&x->options, &y->options) && pairs_agree(&x->varied, &y->varied) &&
           configs_agree(x->config, y->config);
}

bool lb_report_same_model(const lb_record *x, const lb_record *y) {
    return strcmp(text_of(x->model), text_of(y->model)) == 0;
}

bool lb_report_trained(const lb_report_row *row) { return (row->flags & LB_FLAG_NOT_MINIMIZED) != 0; }

int lb_report_act_bits(const lb_record *c) {
    const char *text = lb_report_pair(&c->options, "act_bits");
    int64_t bits = 0;
    if (!text) return 0;
    return lb_parse_i64(text, &bits) == LB_OK && bits > 0 && bits < 64 ? (int)bits : 0;
}

/* ---- names ---- */

static const char *value_of(const lb_record *c, const char *key) {
    const char *given = lb_report_pair(&c->varied, key);
    return given ? given : text_of(lb_report_pair(&c->options, key));
}

/* What the entry of the config is called that the cell is of; NULL: it has no label of its own. */
static const char *given_label(const lb_record *c) { return lb_report_pair(&c->varied, "label"); }

/* Whether two cells of this method, or of this entry where that has a label, have different values. */
static bool differs(const lb_results *r, const lb_record *c, const char *key) {
    const char *mine = value_of(c, key), *label = given_label(c);
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *o = &r->record[i];
        if (o->state != LB_CELL_DONE || strcmp(o->method, c->method) != 0) continue;
        if (label && strcmp(value_of(o, "label"), label) != 0) continue;
        if (strcmp(value_of(o, key), mine) != 0) return true;
    }
    return false;
}

/* What was chosen, as words. An option that all cells of the method share is left out, unless it was switched on. Bits
 * of inputs come first, always. Where the entry has a label, that says what its cells share. */
static void add_varied(lb_str *s, const lb_results *r, const lb_record *c) {
    static const char *const own_column[] = {"bits", "group", "seed", "method", "act_bits", "label"};
    bool labelled = given_label(c) != NULL;
    if (!labelled && lb_report_act_bits(c) > 0) lb_str_add(s, " a%d", lb_report_act_bits(c));
    for (int64_t i = 0; i < c->varied.n; i++) {
        const lb_pair *p = &c->varied.at[i];
        bool skip = false, on = strcmp(p->value, "true") == 0;
        for (size_t k = 0; k < sizeof own_column / sizeof own_column[0]; k++) skip |= !strcmp(p->key, own_column[k]);
        if (skip || ((!on || labelled) && !differs(r, c, p->key))) continue;
        lb_choice_add(s, p->key, p->value);
    }
}

const char *lb_report_group_text(const lb_record *c, char out[32]) {
    out[0] = 0;
    if (c->bits == 0 || c->size.quantized.weights == 0) return out;
    if (c->group == LB_GROUP_ROW)
        snprintf(out, 32, "row");
    else if (c->group == LB_GROUP_TENSOR)
        snprintf(out, 32, "tensor");
    else
        snprintf(out, 32, "%lld", (long long)c->group);
    return out;
}

static lb_status keep(lb_arena *a, lb_str *s, const char **out) {
    lb_status st = lb_str_check(s);
    if (st == LB_OK) {
        *out = lb_arena_strdup(a, s->s ? s->s : "");
        if (!*out) st = LB_E_NOMEM;
    }
    lb_str_free(s);
    return st;
}

static lb_status name_row(lb_arena *a, const lb_results *r, lb_report_row *row, const lb_record *c) {
    char group[32];
    lb_str name = {0}, brief = {0}, series = {0};
    const char *label = given_label(c), *called = label ? label : c->method;
    lb_str_add(&name, "%s", called);
    add_varied(&name, r, c);
    bool sized = lb_report_group_text(c, group)[0] != 0;
    lb_str_add(&brief, "%s", called);
    lb_str_add(&series, "%s", called);
    const char *sign = c->group > 0 ? "g" : "";
    if (sized && (!label || differs(r, c, "bits"))) lb_str_add(&brief, " %db", c->bits);
    if (sized && (!label || differs(r, c, "group"))) {
        lb_str_add(&brief, " %s%s", sign, group);
        lb_str_add(&series, " %s%s", sign, group);
    }
    add_varied(&brief, r, c);
    add_varied(&series, r, c);
    lb_status st = keep(a, &name, &row->name);
    if (st == LB_OK)
        st = keep(a, &brief, &row->short_name);
    else
        lb_str_free(&brief);
    if (st == LB_OK) return keep(a, &series, &row->series);
    lb_str_free(&series);
    return st;
}

/* The sweep's label of a row's first cell, without " s1" where the row is a mean over seeds. */
static lb_status label_of(lb_arena *a, const lb_report_row *row, const char **out) {
    char seed[32];
    char *label = lb_arena_strdup(a, row->cell[0]->label);
    if (!label) return LB_E_NOMEM;
    size_t n = (size_t)snprintf(seed, sizeof seed, " s%llu", (unsigned long long)row->cell[0]->seed);
    char *at = row->cells + row->lost > 1 ? strstr(label, seed) : NULL;
    if (at && (at[n] == 0 || at[n] == ' ')) memmove(at, at + n, strlen(at + n) + 1);
    *out = label;
    return LB_OK;
}

static void take_label(lb_report_row *row) { row->name = row->short_name = row->series = row->label; }

/* Where what varies does not tell two rows apart (rules of a layer, another calibration text), the sweep's own label
 * does. */
static void make_unique(lb_report_view *v) {
    for (int64_t i = 0; i < v->rows; i++) {
        const char *shown = v->row[i].short_name;
        bool shared = false;
        for (int64_t k = i + 1; k < v->rows; k++) {
            if (strcmp(shown, v->row[k].short_name) != 0) continue;
            take_label(&v->row[k]);
            shared = true;
        }
        if (shared) take_label(&v->row[i]);
    }
}

/* ---- rows ---- */

static lb_status add_cell(lb_arena *a, lb_report_row *row, const lb_record *c) {
    int64_t n = row->cells;
    if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
        const lb_record **more = LB_NEW(a, const lb_record *, n ? 2 * n : 1);
        if (!more) return LB_E_NOMEM;
        if (n) memcpy(more, row->cell, (size_t)n * sizeof *more);
        row->cell = more;
    }
    row->cell[row->cells++] = c;
    row->flags |= c->flags;
    return LB_OK;
}

static lb_status add_row(lb_report_view *v, const lb_record *c) {
    lb_report_row *row = &v->row[v->rows];
    LB_TRY(add_cell(v->arena, row, c));
    row->baseline = strcmp(c->method, "none") == 0;
    LB_TRY(name_row(v->arena, v->r, row, c));
    v->rows++;
    return LB_OK;
}

static lb_report_row *row_of(const lb_report_view *v, const lb_record *c) {
    for (int64_t i = 0; i < v->rows; i++)
        if (same_but_seed(v->row[i].cell[0], c)) return &v->row[i];
    return NULL;
}

static lb_status add_rows(lb_report_view *v, bool baselines) {
    for (int64_t i = 0; i < v->r->n; i++) {
        const lb_record *c = &v->r->record[i];
        if (c->state != LB_CELL_DONE || (strcmp(c->method, "none") == 0) != baselines) continue;
        lb_report_row *row = row_of(v, c);
        if (row) {
            LB_TRY(add_cell(v->arena, row, c));
            v->seeds = true;
        } else {
            LB_TRY(add_row(v, c));
        }
    }
    return LB_OK;
}

static void count_absent(lb_report_view *v) {
    for (int64_t i = 0; i < v->r->n; i++) {
        const lb_record *c = &v->r->record[i];
        if (c->state == LB_CELL_DONE) continue;
        v->absent[v->absents++] = c;
        lb_report_row *row = row_of(v, c);
        if (row) row->lost++;
    }
}

/* ---- blocks ---- */

bool lb_report_same_evaluation(const lb_eval_row *x, const lb_eval_row *y) {
    return strcmp(x->name, y->name) == 0 && strcmp(x->eval.protocol.id, y->eval.protocol.id) == 0 &&
           strcmp(text_of(x->text_hash), text_of(y->text_hash)) == 0 && strcmp(text_of(x->bos), text_of(y->bos)) == 0 &&
           x->eval.windows == y->eval.windows;
}

const lb_eval_row *lb_report_eval(const lb_record *c, const lb_report_block *b) {
    for (int64_t i = 0; i < c->evals; i++)
        if (lb_report_same_evaluation(&c->eval[i], b->eval)) return &c->eval[i];
    return NULL;
}

char *lb_report_slug(lb_arena *a, const char *text) {
    char *s = lb_arena_strdup(a, text);
    for (char *p = s; p && *p; p++) {
        char c = *p;
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  (c == '.' && p != s);
        if (!ok) *p = '-';
    }
    return s;
}

static lb_status add_block(lb_report_view *v, const lb_eval_row *e) {
    lb_report_block *b = &v->block[v->blocks];
    b->eval = e;
    char *raw = lb_arena_printf(v->arena, "%s-%s", e->name, e->eval.protocol.id);
    if (!raw) return LB_E_NOMEM;
    char *id = lb_report_slug(v->arena, raw);
    if (!id) return LB_E_NOMEM;
    b->id = id;
    for (int64_t i = 0, n = 2; i < v->blocks; i++)
        if (strcmp(v->block[i].id, b->id) == 0) {
            b->id = lb_arena_printf(v->arena, "%s-%lld", id, (long long)n++);
            if (!b->id) return LB_E_NOMEM;
            i = -1;
        }
    if (e->eval.windows == e->eval.windows_all)
        b->title = lb_arena_printf(v->arena, "%s, %s, all %lld windows", e->name, e->eval.protocol.id,
                                   (long long)e->eval.windows);
    else
        b->title = lb_arena_printf(v->arena, "%s, %s, first %lld of %lld windows", e->name, e->eval.protocol.id,
                                   (long long)e->eval.windows, (long long)e->eval.windows_all);
    if (!b->title) return LB_E_NOMEM;
    v->blocks++;
    return LB_OK;
}

static lb_status add_blocks(lb_report_view *v) {
    int64_t most = 0;
    for (int64_t i = 0; i < v->r->n; i++) most += v->r->record[i].evals;
    v->block = LB_NEW(v->arena, lb_report_block, most + 1);
    if (!v->block) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++)
        for (int64_t k = 0; k < v->row[i].cells; k++)
            for (int64_t e = 0; e < v->row[i].cell[k]->evals; e++) {
                const lb_eval_row *row = &v->row[i].cell[k]->eval[e];
                bool known = false;
                for (int64_t b = 0; b < v->blocks; b++) known |= lb_report_same_evaluation(row, v->block[b].eval);
                if (!known) LB_TRY(add_block(v, row));
            }
    return LB_OK;
}

static lb_status view_of(lb_arena *a, const lb_results *r, const lb_report_options *o, lb_report_view *out) {
    static const lb_report_options usual;
    *out = (lb_report_view){.arena = a, .r = r, .whole = r, .options = o ? o : &usual};
    out->row = LB_NEW(a, lb_report_row, r->n + 1);
    out->absent = LB_NEW(a, const lb_record *, r->n + 1);
    if (!out->row || !out->absent) return LB_E_NOMEM;
    LB_TRY(add_rows(out, true));
    LB_TRY(add_rows(out, false));
    count_absent(out);
    for (int64_t i = 0; i < out->rows; i++) LB_TRY(label_of(a, &out->row[i], &out->row[i].label));
    make_unique(out);
    return add_blocks(out);
}

lb_status lb_report_view_make(lb_arena *a, const lb_results *r, const lb_report_options *o, lb_report_view *out) {
    lb_results *part;
    int64_t n;
    LB_TRY(view_of(a, r, o, out));
    LB_TRY(lb_report_by_model(a, r, &part, &n));
    lb_report_view *model = LB_NEW(a, lb_report_view, n);
    if (!model) return LB_E_NOMEM;
    for (int64_t i = 0; n > 1 && i < n; i++) {
        LB_TRY(view_of(a, &part[i], o, &model[i]));
        model[i].whole = r;
    }
    if (n == 1) model[0] = *out;
    out->model = model;
    out->models = n;
    return LB_OK;
}

/* ---- figures of a row ---- */

/* A row's evaluations in a block, one a seed. */
typedef struct seeds {
    const lb_eval_row **at;
    int64_t n;
} seeds;

static lb_status seeds_of(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b, seeds *out) {
    *out = (seeds){.at = LB_NEW(v->arena, const lb_eval_row *, row->cells + 1)};
    if (!out->at) return LB_E_NOMEM;
    for (int64_t k = 0; k < row->cells; k++) {
        const lb_eval_row *e = lb_report_eval(row->cell[k], b);
        if (e) out->at[out->n++] = e;
    }
    return LB_OK;
}

/* The perplexity is the geometric mean, as the difference's mean is one of logarithms: what stands in the row agrees.
 */
static lb_status seeds_ppl(lb_arena *a, const seeds *s, lb_report_quality *q) {
    double *ppl = LB_NEW(a, double, 2 * s->n), *logs = ppl ? ppl + s->n : NULL;
    double n = (double)s->n, mean = 0, relative = 0;
    if (!ppl) return LB_E_NOMEM;
    for (int64_t k = 0; k < s->n; k++) {
        const lb_eval *e = &s->at[k]->eval;
        ppl[k] = e->ppl, logs[k] = log(e->ppl);
        mean += logs[k] / n, relative += e->ppl_se / e->ppl / n, q->ppl_mean += e->ppl / n;
    }
    q->ppl = s->n > 1 ? exp(mean) : ppl[0];
    q->se = s->n > 1 ? q->ppl * relative : s->at[0]->eval.ppl_se;
    q->ppl_sd = lb_sample_sd(ppl, s->n);
    q->sd = lb_sample_sd(logs, s->n);
    return LB_OK;
}

/* To the baseline of the view. */
static lb_status seeds_delta(const lb_report_view *v, const lb_report_block *b, const seeds *s, lb_report_quality *q) {
    const lb_eval_row *base = NULL;
    for (int64_t i = 0; i < v->rows && !base; i++)
        if (v->row[i].baseline) base = lb_report_eval(v->row[i].cell[0], b);
    q->has_delta = base && base->eval.window_nll;
    if (!q->has_delta) return LB_OK;
    const double **nll = LB_NEW(v->arena, const double *, s->n);
    double sd;
    if (!nll) return LB_E_NOMEM;
    for (int64_t k = 0; k < s->n; k++) nll[k] = s->at[k]->eval.window_nll;
    return lb_seeds_difference(nll, s->n, base->eval.window_nll, b->eval->eval.windows, &q->delta, &sd);
}

lb_status lb_report_quality_of(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b,
                               lb_report_quality *out) {
    lb_report_quality q = {.sd = NAN, .ppl_sd = NAN};
    seeds s;
    *out = q;
    LB_TRY(seeds_of(v, row, b, &s));
    if (!s.n) return LB_OK;
    q.seeds = s.n, q.has_delta = !row->baseline, q.has_kl = true;
    for (int64_t k = 0; k < s.n; k++) {
        const lb_eval_row *e = s.at[k];
        double n = (double)s.n;
        q.mean_nll += e->eval.mean_nll / n;
        q.kl += e->eval.kl_mean / n, q.kl_median += e->eval.kl_median / n, q.kl_p99 += e->eval.kl_p99 / n;
        q.top1 += e->eval.top1 / n;
        q.has_delta = q.has_delta && e->has_paired;
        q.has_kl = q.has_kl && e->eval.has_kl;
    }
    LB_TRY(seeds_ppl(v->arena, &s, &q));
    if (q.has_delta && s.n > 1)
        LB_TRY(seeds_delta(v, b, &s, &q));
    else if (q.has_delta)
        q.delta = s.at[0]->paired;
    *out = q;
    return LB_OK;
}

void lb_report_ppl_bar(const lb_report_quality *q, double *low, double *high) {
    *low = *high = q->ppl;
    if (q->seeds < 2 || !q->has_delta || !isfinite(q->delta.low)) return;
    *low = q->ppl * exp(q->delta.low - q->delta.delta);
    *high = q->ppl * exp(q->delta.high - q->delta.delta);
}

lb_model_error lb_report_error_mean(const lb_report_row *row, bool original) {
    lb_model_error sum = {0, 0, 0, 0};
    for (int64_t k = 0; k < row->cells; k++) {
        lb_model_error e = lb_model_error_of(row->cell[k], original);
        double n = (double)row->cells;
        sum.output_rel += e.output_rel / n, sum.output_vs_rtn += e.output_vs_rtn / n;
        sum.weight_rel += e.weight_rel / n, sum.layers = e.layers;
    }
    return sum;
}

double lb_report_seconds(const lb_report_row *row) {
    double sum = 0;
    for (int64_t k = 0; k < row->cells; k++) sum += row->cell[k]->seconds;
    return row->cells ? sum / (double)row->cells : NAN;
}

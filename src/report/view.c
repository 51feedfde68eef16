/* Rows and blocks of a report, from records. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/row_names.h"
#include "report/significance.h"
#include "report/tasks_table.h"
#include "result/seeds.h"

const char *lb_report_pair(const lb_pairs *p, const char *key) {
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->at[i].key, key) == 0) return p->at[i].value;
    return NULL;
}

const char *lb_report_compute(const lb_record *c) {
    const char *word = lb_report_pair(&c->provenance, "compute");
    return word ? word : "float32"; /* older results were all in float32 */
}

/* Equal but for one key. */
static bool pairs_agree(const lb_pairs *x, const lb_pairs *y, const char *but) {
    int64_t i = 0, k = 0;
    for (;;) {
        while (i < x->n && strcmp(x->at[i].key, but) == 0) i++;
        while (k < y->n && strcmp(y->at[k].key, but) == 0) k++;
        if (i == x->n || k == y->n) return i == x->n && k == y->n;
        if (strcmp(x->at[i].key, y->at[k].key) != 0 || strcmp(x->at[i].value, y->at[k].value) != 0) return false;
        i++, k++;
    }
}

static const char *text_of(const char *s) { return s ? s : ""; }

/* The next line of a config that says what is computed: neither the key that does not count nor what the experiment is
 * called; without its blanks at the head. Its length, 0 at the end. */
static size_t config_line(const char **at, const char *but) {
    size_t key = strlen(but);
    while (**at) {
        const char *begin = *at;
        *at += strspn(*at, " \n");
        size_t n = strcspn(*at, "\n");
        bool inner = *at > begin && (*at)[-1] == ' ';
        bool counts = strncmp(*at, but, key) != 0 || (*at)[key] != ':';
        if (counts && (inner || strncmp(*at, "name:", 5) != 0)) return n;
        *at += n;
    }
    return 0;
}

/* Of a file its contents count, not where it lies: "text: a/b.txt # sha256 12ab..." */
static bool lines_agree(const char *x, size_t n, const char *y, size_t m) {
    static const char mark[] = " # sha256 ";
    const char *hx = memmem(x, n, mark, sizeof mark - 1), *hy = memmem(y, m, mark, sizeof mark - 1);
    if (!hx || !hy) return n == m && memcmp(x, y, n) == 0;
    size_t key = strcspn(x, ":"), tail = (size_t)(x + n - hx);
    return key == strcspn(y, ":") && memcmp(x, y, key) == 0 && tail == (size_t)(y + m - hy) &&
           memcmp(hx, hy, tail) == 0;
}

/* Rules of single layers, another text: what options do not tell, the resolved configs do. */
static bool configs_agree(const char *x, const char *y, const char *but) {
    if (!x || !y) return x == y;
    for (;;) {
        size_t n = config_line(&x, but), m = config_line(&y, but);
        if (!n || !m) return n == m;
        if (!lines_agree(x, n, y, m)) return false;
        x += n, y += m;
    }
}

static const char calibration_seed[] = "calibration.seed";

bool lb_report_calibration_seeds(const lb_record *c) {
    return lb_pairs_get(&c->varied, calibration_seed) && !lb_pairs_get(&c->varied, "seed");
}

/* -1: that of the cell. */
uint64_t lb_report_seed_of(const lb_record *c) {
    int64_t own = -1;
    bool known = lb_report_calibration_seeds(c) &&
                 lb_parse_i64(lb_pairs_get(&c->varied, calibration_seed), &own) == LB_OK && own >= 0;
    return known ? (uint64_t)own : c->seed;
}

size_t lb_report_seed_word(const lb_record *c, char out[48]) {
    if (lb_report_calibration_seeds(c))
        return (size_t)snprintf(out, 48, " seed=%.40s", lb_pairs_get(&c->varied, calibration_seed));
    return (size_t)snprintf(out, 48, " s%llu", (unsigned long long)c->seed);
}

/* Where it stands in the label; its length in *n. NULL: nowhere. */
static const char *seed_word(const lb_record *c, size_t *n) {
    char seed[48];
    *n = lb_report_seed_word(c, seed);
    for (const char *at = c->label; at && (at = strstr(at, seed)); at++)
        if (at[*n] == 0 || at[*n] == ' ') return at;
    return NULL;
}

/* Of a cell without a result the label is all that tells rules of layers, and what else no option says. */
static bool labels_agree(const lb_record *x, const lb_record *y) {
    size_t n, m;
    const char *p = seed_word(x, &n), *q = seed_word(y, &m);
    return p && q && p - x->label == q - y->label && memcmp(x->label, y->label, (size_t)(p - x->label)) == 0 &&
           strcmp(p + n, q + m) == 0;
}

static bool same_results(const lb_record *x, const lb_record *y, const char *but) {
    return x->size.quantized.total == y->size.quantized.total &&
           strcmp(text_of(x->storage), text_of(y->storage)) == 0 &&
           strcmp(text_of(x->propagate), text_of(y->propagate)) == 0 && x->true_sequential == y->true_sequential &&
           configs_agree(x->config, y->config, but);
}

static bool same_but(const lb_record *x, const lb_record *y, const char *but) {
    return lb_report_same_model(x, y) && strcmp(text_of(x->method), text_of(y->method)) == 0 && x->bits == y->bits &&
           x->group == y->group && pairs_agree(&x->options, &y->options, but) &&
           pairs_agree(&x->varied, &y->varied, but);
}

bool lb_report_same_but_seed(const lb_record *x, const lb_record *y) {
    bool both = x->state == LB_CELL_DONE && y->state == LB_CELL_DONE, of_calibration = lb_report_calibration_seeds(x);
    if (of_calibration != lb_report_calibration_seeds(y) || (of_calibration && x->seed != y->seed)) return false;
    return lb_report_seed_of(x) != lb_report_seed_of(y) && same_but(x, y, of_calibration ? calibration_seed : "seed") &&
           (both ? same_results(x, y, "seed") : labels_agree(x, y));
}

/* Calibration, methods and training are in float32, whatever evaluations are in. */
static bool are_twins(const lb_report_row *a, const lb_report_row *b) {
    const lb_record *x = a->cell[0], *y = b->cell[0];
    return a->cells == b->cells && x->seed == y->seed && strcmp(lb_report_compute(x), lb_report_compute(y)) != 0 &&
           same_but(x, y, "compute") && same_results(x, y, "compute");
}

bool lb_report_trained(const lb_report_row *row) { return (row->flags & LB_FLAG_NOT_MINIMIZED) != 0; }

int lb_report_act_bits(const lb_record *c) {
    const char *text = lb_report_pair(&c->options, "act_bits");
    int64_t bits = 0;
    if (!text) return 0;
    return lb_parse_i64(text, &bits) == LB_OK && bits > 0 && bits < 64 ? (int)bits : 0;
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
    row->flags |= lb_record_flags_shown(c);
    return LB_OK;
}

static lb_status add_row(lb_report_view *v, const lb_record *c) {
    lb_report_row *row = &v->row[v->rows];
    LB_TRY(add_cell(v->arena, row, c));
    row->baseline = strcmp(c->method, "none") == 0;
    LB_TRY(lb_report_name_row(v->arena, v->r, row, c));
    v->rows++;
    return LB_OK;
}

static lb_report_row *row_of(const lb_report_view *v, const lb_record *c) {
    for (int64_t i = 0; i < v->rows; i++)
        if (lb_report_same_but_seed(v->row[i].cell[0], c)) return &v->row[i];
    return NULL;
}

static bool is_baseline(const lb_record *c) { return c->state == LB_CELL_DONE && strcmp(c->method, "none") == 0; }

/* The same evaluation, and the same of it. */
static bool has_result(const lb_record *c, const lb_eval_row *e) {
    for (int64_t i = 0; i < c->evals; i++)
        if (lb_report_same_evaluation(&c->eval[i], e) && c->eval[i].eval.mean_nll == e->eval.mean_nll) return true;
    return false;
}

/* Sweeps of one model have its baseline each: one that another has all of is not shown again. */
static bool is_known(const lb_results *r, const lb_record *c) {
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *o = &r->record[i];
        bool all = o != c && is_baseline(o) && lb_report_same_model(o, c) && (o->evals > c->evals || o < c);
        for (int64_t e = 0; e < c->evals && all; e++) all = has_result(o, &c->eval[e]);
        if (all) return true;
    }
    return false;
}

bool lb_report_is_repeated(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b) {
    const lb_eval_row *e = row->baseline ? lb_report_eval(row->cell[0], b) : NULL;
    for (const lb_report_row *o = v->row; e && o < row; o++)
        if (o->baseline && has_result(o->cell[0], e)) return true;
    return false;
}

static lb_status add_rows(lb_report_view *v, bool baselines) {
    for (int64_t i = 0; i < v->r->n; i++) {
        const lb_record *c = &v->r->record[i];
        if (c->state != LB_CELL_DONE || is_baseline(c) != baselines || (baselines && is_known(v->r, c))) continue;
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

static void find_twins(lb_report_view *v) {
    for (int64_t i = 0; i < v->rows; i++)
        for (int64_t k = 0; k < i && !v->row[i].twin; k++) v->row[i].twin = are_twins(&v->row[k], &v->row[i]);
}

static void find_absent(lb_report_view *v) {
    for (int64_t i = 0; i < v->r->n; i++)
        if (v->r->record[i].state != LB_CELL_DONE) v->absent[v->absents++] = &v->r->record[i];
}

static bool has_seed(const lb_report_row *row, uint64_t seed) {
    for (int64_t k = 0; k < row->cells; k++)
        if (row->cell[k]->seed == seed) return true;
    return false;
}

/* Seeds without a result, and those that were not chosen: by what came out, a mean of the rest says little. */
static void count_lost(lb_report_view *v) {
    const lb_results *all = v->r->all ? v->r->all : v->r;
    for (int64_t i = 0; i < all->n; i++) {
        const lb_record *c = &all->record[i];
        if (c->state == LB_CELL_DONE && !v->r->all) continue;
        lb_report_row *row = row_of(v, c);
        if (!row || has_seed(row, c->seed)) continue;
        row->lost++;
        v->seeds = true;
    }
}

/* ---- blocks ---- */

bool lb_report_same_windows(const lb_eval_row *x, const lb_eval_row *y) {
    return strcmp(x->name, y->name) == 0 && strcmp(x->eval.protocol.id, y->eval.protocol.id) == 0 &&
           strcmp(text_of(x->text_hash), text_of(y->text_hash)) == 0 && strcmp(text_of(x->bos), text_of(y->bos)) == 0 &&
           strcmp(text_of(x->rows), text_of(y->rows)) == 0 && strcmp(text_of(x->variant), text_of(y->variant)) == 0 &&
           x->eval.windows == y->eval.windows;
}

bool lb_report_same_evaluation(const lb_eval_row *x, const lb_eval_row *y) {
    return x->bf16 == y->bf16 && lb_report_same_windows(x, y);
}

const lb_eval_row *lb_report_eval(const lb_record *c, const lb_report_block *b) {
    for (int64_t i = 0; i < c->evals; i++)
        if (b->either ? lb_report_same_windows(&c->eval[i], b->eval) : lb_report_same_evaluation(&c->eval[i], b->eval))
            return &c->eval[i];
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

/* "bf16" where there is a block that is the same but for that; NULL: none so far. */
static const char *compute_of(const lb_report_view *v, const lb_eval_row *e) {
    for (int64_t i = 0; i < v->blocks; i++)
        if (v->block[i].eval->bf16 != e->bf16 && lb_report_same_windows(v->block[i].eval, e))
            return e->bf16 ? "bf16" : "float32";
    return NULL;
}

static lb_status add_block(lb_report_view *v, const lb_eval_row *e) {
    lb_report_block *b = &v->block[v->blocks];
    const char *compute = compute_of(v, e);
    b->eval = e;
    char *raw = lb_arena_printf(v->arena, "%s-%s%s%s", e->name, e->eval.protocol.id, compute ? "-" : "",
                                compute ? compute : "");
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
    v->blocks++;
    return LB_OK;
}

static bool same_name(const lb_eval_row *x, const lb_eval_row *y) { return strcmp(x->name, y->name) == 0; }

static bool same_text(const lb_eval_row *x, const lb_eval_row *y) {
    return strcmp(text_of(x->text_hash), text_of(y->text_hash)) == 0;
}

/* An evaluation's name; of two texts of one name, where each is. */
static lb_status name_blocks(lb_report_view *v) {
    const char **path = LB_NEW(v->arena, const char *, v->blocks + 1);
    if (!path) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->blocks; i++)
        for (int64_t k = 0; k < v->blocks; k++) {
            const lb_eval_row *x = v->block[i].eval, *y = v->block[k].eval;
            if (same_name(x, y) && !same_text(x, y) && text_of(x->text_path)[0]) path[i] = x->text_path;
        }
    LB_TRY(lb_report_path_ends(v->arena, path, v->blocks));
    for (int64_t i = 0; i < v->blocks; i++) {
        lb_report_block *b = &v->block[i];
        const lb_eval_row *e = b->eval;
        b->name = !path[i]                        ? e->name
                  : lb_str_ends(path[i], e->name) ? path[i]
                                                  : lb_arena_printf(v->arena, "%s (%s)", e->name, path[i]);
        if (!b->name) return LB_E_NOMEM;
        b->compute = compute_of(v, e);
        const char *variant = text_of(e->variant), *what = lb_report_windows_name(b), *gap = variant[0] ? " " : "";
        if (e->eval.windows == e->eval.windows_all)
            b->title = lb_arena_printf(v->arena, "%s, %s%s%s, all %lld %s", b->name, e->eval.protocol.id, gap, variant,
                                       (long long)e->eval.windows, what);
        else
            b->title = lb_arena_printf(v->arena, "%s, %s%s%s, first %lld of %lld %s", b->name, e->eval.protocol.id, gap,
                                       variant, (long long)e->eval.windows, (long long)e->eval.windows_all, what);
        if (b->title && b->compute) b->title = lb_arena_printf(v->arena, "%s, compute %s", b->title, b->compute);
        if (!b->title) return LB_E_NOMEM;
    }
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
    return name_blocks(v);
}

static lb_status view_of(lb_arena *a, const lb_results *r, const lb_report_options *o, lb_report_view *out) {
    static const lb_report_options usual;
    *out = (lb_report_view){.arena = a, .r = r, .whole = r, .options = o ? o : &usual};
    out->row = LB_NEW(a, lb_report_row, r->n + 1);
    out->absent = LB_NEW(a, const lb_record *, r->n + 1);
    if (!out->row || !out->absent) return LB_E_NOMEM;
    LB_TRY(add_rows(out, true));
    LB_TRY(add_rows(out, false));
    find_twins(out);
    find_absent(out);
    count_lost(out);
    LB_TRY(lb_report_tell_apart(out));
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
    return lb_report_reference_check(out);
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

/* Of the baseline of the view, the first that has it; NULL: none. */
static const lb_eval_row *baseline_of(const lb_report_view *v, const lb_report_block *b) {
    const lb_eval_row *base = NULL;
    for (int64_t i = 0; i < v->rows && !base; i++)
        if (v->row[i].baseline) base = lb_report_eval(v->row[i].cell[0], b);
    return base;
}

static lb_status seeds_delta(const lb_report_view *v, const lb_report_block *b, const seeds *s, lb_report_quality *q) {
    const lb_eval_row *base = baseline_of(v, b);
    q->has_delta = base && base->eval.window_nll;
    if (!q->has_delta) return LB_OK;
    const double **nll = LB_NEW(v->arena, const double *, s->n), *of_base;
    double sd;
    if (!nll) return LB_E_NOMEM;
    for (int64_t k = 0; k < s->n; k++)
        LB_TRY(lb_eval_series(&s->at[k]->eval, s->at[k]->text_tokens, v->arena, &nll[k]));
    LB_TRY(lb_eval_series(&base->eval, base->text_tokens, v->arena, &of_base));
    return lb_seeds_difference(nll, s->n, of_base, b->eval->eval.windows, &q->delta, &sd);
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
        q.accept += e->eval.speculative ? e->eval.accept / n : NAN;
        q.speedup += lb_draft_speedup(&row->cell[0]->size, &e->eval) / n;
        q.has_delta = q.has_delta && e->has_paired;
        q.has_kl = q.has_kl && e->eval.has_kl;
    }
    LB_TRY(seeds_ppl(v->arena, &s, &q));
    lb_report_task_of(s.at, s.n, &q.task);
    LB_TRY(lb_report_task_seeds(v, s.at, s.n, baseline_of(v, b), &q.task));
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

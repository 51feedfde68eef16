/* What a plan says: model, data, cells with exact sizes and estimates, refusals. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/planned.h"
#include "result/figures.h"
#include "run/place.h"
#include "run/stock.h"

double lb_cli_bits(const lb_model_size *s) {
    return s->quantized.weights > 0 ? lb_size_bits(&s->quantized) : 8.0 * LB_FP16_BYTES;
}

static void text_of_model(const lb_plan *p, lb_str *out) {
    const lb_model *m = p->model;
    int64_t weights = 0;
    for (int64_t i = 0; i < m->n_tensors; i++) weights += m->tensor[i].rows * m->tensor[i].cols;
    lb_str_add(out, "model        %s: %s, %s, %.4g M weights, %lld blocks of %lld, stored as %s\n", p->model_text,
               m->path, m->family->name, (double)weights / 1e6, (long long)m->net->blocks, (long long)m->net->dim,
               m->stored ? m->stored : m->format);
    if (lb_net_shared(m->net) > 0)
        lb_str_add(out, "             %d layers have the weights of an earlier block, counted once\n",
                   lb_net_shared(m->net));
    if (p->model_note[0]) lb_str_add(out, "             %s\n", p->model_note);
}

/* c: NULL: no cell has it. */
static void text_of_calibration(const lb_text *t, const lb_calibration_config *k, const lb_cell *c, lb_str *out) {
    if (!t->corpus) return;
    lb_str_add(out, "calibration  %s: %lld x %s%lld", t->name, (long long)(c ? c->sequences.n : k->samples),
               k->recipe == LB_RECIPE_TRUNCATED ? "at most " : "", (long long)k->length);
    if (c && c->sequences.n != k->samples) lb_str_add(out, " made of %lld", (long long)k->samples);
    if (c && c->sequences.start) lb_str_add(out, " (%lld tokens)", (long long)lb_sequences_tokens(&c->sequences));
    lb_str_add(out, " of %lld %s", (long long)(t->join ? t->corpus->tokens : t->corpus->n_rows),
               t->join ? "tokens" : "rows");
    lb_str_add(out, ", %s, bos %s, sha256 %.12s\n", lb_recipe_names[k->recipe], t->bos_text, t->corpus->hash);
}

static bool same_windows(const lb_cell *a, const lb_cell *b) {
    const lb_calibration_config *x = &a->calibration, *y = &b->calibration;
    return a->calibration_text == b->calibration_text && x->samples == y->samples && x->length == y->length &&
           x->recipe == y->recipe;
}

/* Each calibration of the sweep once, those that differ in their seed alone together. */
static void text_of_calibrations(const lb_plan *p, lb_str *out) {
    const lb_sweep *s = &p->sweep;
    size_t told = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t k = 0;
        if (s->cell[i].windows <= told) continue;
        told = s->cell[i].windows;
        while (k < i && (!s->cell[k].windows || !same_windows(&s->cell[k], &s->cell[i]))) k++;
        if (k == i) text_of_calibration(lb_plan_calibration(p, &s->cell[i]), &s->cell[i].calibration, &s->cell[i], out);
    }
    if (!told && p->calibration.n) text_of_calibration(&p->calibration.at[0], &p->config->calibration, NULL, out);
}

static void text_of_texts(const lb_texts *texts, const char *what, lb_str *out) {
    for (size_t i = 0; i < texts->n; i++) {
        const lb_text *t = &texts->at[i];
        if (t->corpus)
            lb_str_add(out, "%-12s %s: %lld tokens, bos %s, sha256 %.12s\n", what, t->name,
                       (long long)t->corpus->tokens, t->bos_text, t->corpus->hash);
    }
}

static void text_of_data(const lb_plan *p, lb_str *out) {
    text_of_calibrations(p, out);
    text_of_texts(&p->training, "training", out);
    text_of_texts(&p->validation, "validation", out);
    for (int64_t i = 0; i < p->evals; i++) {
        const lb_eval_config *e = p->eval_config[i];
        const lb_corpus *t = p->eval[i].corpus;
        lb_protocol protocol;
        if (lb_protocol_parse(e->protocol, &protocol) != LB_OK) continue;
        const lb_task_extent *task = &p->eval[i].task;
        if (lb_protocol_is_task(&protocol)) {
            bool variants = protocol.rule == LB_RULE_LAMB;
            lb_str_add(out, "evaluation   %s: %s%s%s, %lld of %lld items, bos %s, sha256 %.12s\n", e->name, e->protocol,
                       variants ? " " : "", variants ? lb_lambada_names[e->variant] : "", (long long)task->items,
                       (long long)task->all, p->eval[i].bos_text, t->hash);
            continue;
        }
        int64_t all = lb_protocol_windows(&protocol, t->tokens),
                n = e->windows > 0 && e->windows < all ? e->windows : all;
        lb_str_add(out, "evaluation   %s: %s, %lld of %lld windows, %lld tokens, bos %s, sha256 %.12s%s%s%s%s\n",
                   e->name, e->protocol, (long long)n, (long long)all, (long long)t->tokens, p->eval[i].bos_text,
                   t->hash, t->known ? ", " : "", t->known ? t->known : "", t->how[0] ? ", rows " : "", t->how);
    }
}

/* How a plan's cells are shown. */
typedef struct plan_columns {
    bool wide, state;    /* all that is known of sizes; what is there already */
    int width;           /* of the names */
    const char *between; /* a name and its numbers: on a terminal too narrow for both, a new line */
} plan_columns;

static void head_of_cells(plan_columns k, lb_str *out) {
    lb_str_add(out, "\n      %-*s%s%7s", k.width, "cell", k.between, "bits/w");
    if (k.wide) lb_str_add(out, "  %10s", "layers MiB");
    lb_str_add(out, "  %9s", "model MiB");
    if (k.wide) lb_str_add(out, "  %6s", "ratio");
    lb_str_add(out, "  %11s  %10s", "time, about", "memory");
    if (k.wide) lb_str_add(out, "  %10s", "disk");
    lb_str_add(out, "%s\n", k.state ? "  state" : "");
}

/* Width of what head_of_cells puts behind the name. */
static int numbers_width(plan_columns k) { return 42 + (k.wide ? 32 : 0) + (k.state ? 7 : 0); }

static plan_columns columns_of(int width, bool wide, bool state) {
    enum { NUMBER = 6 }; /* of the cell, and the space behind it */
    plan_columns k = {wide, state, width, "  "};
    int columns = lb_cli_columns();
    if (columns > 0 && columns < NUMBER + width + 2 + numbers_width(k)) k.width = 1, k.between = "\n";
    return k;
}

static const char *state_text(lb_finished f) {
    static const char *const text[] = {"-", "there", "stale", "damaged", "not exported", "layers not kept"};
    return text[f];
}

static lb_status row_of_cell(const lb_plan *p, size_t i, size_t number, plan_columns k, const lb_rate *rate,
                             lb_finished state, lb_str *out) {
    const lb_cell *c = &p->sweep.cell[i];
    lb_estimate e;
    char time[32], memory[32], disk[32];
    LB_TRY(lb_plan_estimate(p, c, rate, &e));
    lb_format_duration(e.seconds, time);
    lb_format_bytes(e.memory_bytes, memory);
    lb_format_bytes(e.disk_bytes, disk);
    lb_str_add(out, "%4zu  %-*s%s%7.4f", number, k.width, c->label, k.between, lb_cli_bits(&c->size));
    if (k.wide) lb_str_add(out, "  %10.2f", lb_mib((double)c->size.quantized.total));
    lb_str_add(out, "  %9.2f", lb_mib((double)c->size.total_as_fp16));
    if (k.wide) lb_str_add(out, "  %6.3f", lb_ratio_fp16(&c->size));
    lb_str_add(out, "  %11s  %10s", time, memory);
    if (k.wide) lb_str_add(out, "  %10s", disk);
    if (k.state) lb_str_add(out, "  %s", state_text(state));
    lb_str_add(out, "\n");
    return LB_OK;
}

/* Of several plans: cells run one after another, so the largest memory counts. */
static void add_estimate(lb_estimate *sum, lb_estimate e) {
    sum->seconds += e.seconds;
    sum->disk_bytes += e.disk_bytes;
    if (e.memory_bytes > sum->memory_bytes) sum->memory_bytes = e.memory_bytes;
}

/* What is shown of the plans so far. */
typedef struct shown {
    const lb_plan_look_options *o;
    lb_str text;
    lb_rate rate; /* measured with the first */
    lb_estimate sum;
    size_t plans, cells, runs, there; /* runs: cells that are not refused */
    size_t shared;                    /* number of the last model whose statistics are counted, from 1 */
} shown;

/* Of the cells that are not there yet. Statistics are the model's, whatever its evaluations compute in. */
static lb_status add_all(shown *s, const lb_plan *p, const lb_finished *f) {
    bool any = false;
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_estimate e;
        if (f[i] == LB_FINISHED_YES) continue;
        any = any || !p->sweep.cell[i].refused;
        LB_TRY(lb_plan_estimate(p, &p->sweep.cell[i], &s->rate, &e));
        add_estimate(&s->sum, e);
    }
    if (any && s->shared <= p->model_index) {
        add_estimate(&s->sum, lb_plan_estimate_shared(p, &s->rate));
        s->shared = p->model_index + 1;
    }
    return LB_OK;
}

static void text_of_sum(shown *s, const lb_config *c, const lb_team *team) {
    char time[32], memory[32], disk[32];
    lb_str *out = &s->text;
    if (c->models > 1) lb_str_add(out, "%zu models, ", c->models);
    if (c->computes > 1) lb_str_add(out, c->models > 1 ? "each in float32 and in bf16, " : "float32 and bf16, ");
    if (s->plans > 1) lb_str_add(out, "one after another: ");
    if (s->there > 0 && s->there == s->runs) {
        lb_str_add(out, s->runs == 1 ? "the one cell is there already\n\n" : "all %zu cells are there already\n\n",
                   s->runs);
        return;
    }
    if (s->there > 0) lb_str_add(out, "%zu of %zu cells are there already; ", s->there, s->runs);
    lb_format_duration(s->sum.seconds, time);
    lb_format_bytes(s->sum.memory_bytes, memory);
    lb_format_bytes(s->sum.disk_bytes, disk);
    lb_str_add(out, "%sabout %s%s, %s of memory, at most %s on disk (%.0f GFLOP/s measured", s->there ? "" : "in all ",
               time, s->there ? " left" : "", memory, disk, s->rate.flops / 1e9);
    if (s->rate.bf16 > 0) lb_str_add(out, ", %.0f in bf16", s->rate.bf16 / 1e9);
    lb_str_add(out, ", %d threads)\n\n", lb_team_threads(team));
}

static void text_of_shared(const lb_plan *p, const lb_rate *rate, lb_str *out) {
    char time[32], disk[32];
    lb_estimate shared = lb_plan_estimate_shared(p, rate);
    if (!(shared.seconds > 0)) return;
    lb_format_duration(shared.seconds, time);
    lb_format_bytes(shared.disk_bytes, disk);
    lb_str_add(out, "shared by all cells: statistics of the original model, about %s and %s on disk\n", time, disk);
}

/* The nearest folder that is there already. */
static lb_status free_bytes(const char *dir, int64_t *out) {
    char *at = lb_strdup(dir);
    while (at && !lb_fs_is_dir(at)) {
        char *up = lb_fs_dirname(at);
        lb_free(at);
        at = up;
    }
    lb_status st = at ? lb_fs_free_bytes(at, out) : LB_E_NOMEM;
    lb_free(at);
    return st;
}

static lb_status warn_of_limits(const char *dir, lb_estimate sum, lb_log *log) {
    int64_t disk = 0;
    char need[32], have[32];
    LB_TRY(free_bytes(dir, &disk));
    lb_format_bytes(sum.disk_bytes, need);
    lb_format_bytes((double)disk, have);
    if (sum.disk_bytes > (double)disk)
        lb_warn(log, "%s needs up to %s of disk, %s are free: a cell that finds it full fails", dir, need, have);
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    lb_format_bytes(sum.memory_bytes, need);
    lb_format_bytes(memory, have);
    if (memory > 0 && sum.memory_bytes > memory)
        lb_warn(log, "the largest cell needs about %s of memory, this machine has %s", need, have);
    return LB_OK;
}

/* Layers whose last group is shorter: some formats cannot hold them. */
static lb_status ragged_note(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out) {
    int64_t n = 0;
    (void)p;
    for (int64_t i = 0; i < c->layers; i++)
        n += c->layer[i].quantize && lb_storage_ragged(&c->layer[i].storage, c->layer[i].cols);
    *out = n ? lb_arena_printf(a, "last group shorter in %lld layer%s", (long long)n, n == 1 ? "" : "s") : NULL;
    return n && !*out ? LB_E_NOMEM : LB_OK;
}

static lb_status shared_note(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->layers && lb_net_shared(p->model->net) == 0; i++) n += c->layer[i].same_as >= 0;
    *out = n == 1 ? "1 layer is another's, counted once"
           : n    ? lb_arena_printf(a, "%lld layers are others', counted once", (long long)n)
                  : NULL;
    return n && !*out ? LB_E_NOMEM : LB_OK;
}

/* What quantize_embedding comes to where the cell's method has nothing to solve an embedding on. */
static lb_status rounded_note(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out) {
    lb_str s = {0};
    (void)p;
    *out = NULL;
    if (!c->embedding || c->embedding->node) return LB_OK;
    lb_end_text(c->embedding, &s);
    lb_status st = lb_str_check(&s);
    if (st == LB_OK)
        *out = lb_arena_printf(a, "embedding: %s, since %s has no inputs to solve it on", s.s, c->method->name);
    lb_str_free(&s);
    return st == LB_OK && !*out ? LB_E_NOMEM : st;
}

typedef lb_status note_of_cell(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out);
typedef struct cell_note {
    const char *text;
    size_t first, cells;
} cell_note;

static lb_status token_note(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out) {
    (void)p;
    return lb_plan_token_note(c, a, out);
}

/* What is said of cells, once for all that it is true of. */
static lb_status notes_of_cells(const lb_plan *p, note_of_cell *of, lb_str *out) {
    size_t n = 0;
    cell_note *said = LB_NEW(p->arena, cell_note, p->sweep.n + 1);
    if (!said) return LB_E_NOMEM;
    for (size_t i = 0; i < p->sweep.n; i++) {
        const char *note = NULL;
        if (!p->sweep.cell[i].refused) LB_TRY(of(p, &p->sweep.cell[i], p->arena, &note));
        size_t k = 0;
        while (note && k < n && strcmp(said[k].text, note) != 0) k++;
        if (note && k == n) said[n++] = (cell_note){note, i, 0};
        if (note) said[k].cells++;
    }
    for (size_t k = 0; k < n; k++) {
        lb_str_add(out, "%s", p->sweep.cell[said[k].first].label);
        if (said[k].cells > 1) lb_str_add(out, " and %zu more", said[k].cells - 1);
        lb_str_add(out, ": %s\n", said[k].text);
    }
    return LB_OK;
}

/* Cells that lose what they did when they are interrupted. */
static void training_note(const lb_plan *p, lb_str *out) {
    size_t n = 0, first = 0;
    for (size_t i = 0; i < p->sweep.n; i++)
        if (p->sweep.cell[i].trains && !p->sweep.cell[i].refused && !n++) first = i;
    if (!n) return;
    lb_str_add(out, "%s", p->sweep.cell[first].label);
    if (n > 1) lb_str_add(out, " and %zu more", n - 1);
    lb_str_add(out, ": an interrupted training cannot be resumed, it starts over\n");
}

/* What the results keep of the quantized models: exact, unless a plug-in trains other tensors than it says. */
static void text_of_kept(const lb_plan *p, lb_str *out) {
    int64_t all = 0;
    char bytes[32];
    for (size_t i = 0; i < p->sweep.n; i++) all += p->sweep.cell[i].refused ? 0 : p->sweep.cell[i].kept;
    lb_format_bytes((double)all, bytes);
    lb_str_add(out, "%-12s %s of %s models in the result files\n", p->config->keep_model ? "keep_model" : "keep_layers",
               bytes, p->config->keep_model ? "whole" : "quantized");
}

static lb_status text_of_inputs(const lb_plan *p, lb_str *out) {
    const char *at;
    LB_TRY(lb_results_absolute(p->arena, p->dir, &at));
    text_of_model(p, out);
    text_of_data(p, out);
    if (p->compute == LB_COMPUTE_F32 && p->config->computes > 1)
        lb_str_add(out, "compute      float32: products of evaluations\n");
    if (p->compute == LB_COMPUTE_BF16)
        lb_str_add(out, "compute      bf16: products of evaluations, by oneDNN %s (%s)\n", lb_bf16_version(),
                   lb_bf16_isa());
    lb_str_add(out, "results      %s\n", at);
    if (p->config->keep_layers) text_of_kept(p, out);
    lb_str_add(out, "\n");
    return LB_OK;
}

static void text_of_refused(const lb_plan *p, size_t first, int width, lb_str *out) {
    lb_str_add(out, "\nrefused\n");
    for (size_t i = 0; i < p->sweep.n; i++)
        if (p->sweep.cell[i].refused)
            lb_str_add(out, "%4zu  %-*s  %s\n", first + i + 1, width, p->sweep.cell[i].label, p->sweep.cell[i].reason);
}

/* The numbers go on from those of the models before. */
static lb_status text_of_cells(shown *s, const lb_plan *p, const lb_finished *f) {
    size_t refused = 0;
    int width = 4;
    bool any = false, left = false;
    lb_str *out = &s->text;
    for (size_t i = 0; i < p->sweep.n; i++) {
        refused += p->sweep.cell[i].refused;
        any = any || f[i] != LB_FINISHED_NO;
        left = left || (f[i] != LB_FINISHED_YES && !p->sweep.cell[i].refused);
        s->there += f[i] == LB_FINISHED_YES;
        if ((int)strlen(p->sweep.cell[i].label) > width) width = (int)strlen(p->sweep.cell[i].label);
    }
    s->runs += p->sweep.n - refused;
    plan_columns k = columns_of(width, s->o->wide, any);
    lb_str_add(out, "%zu cell%s", p->sweep.n - refused, p->sweep.n - refused == 1 ? "" : "s");
    if (refused) lb_str_add(out, ", %zu refused", refused);
    if (p->sweep.merged) lb_str_add(out, ", %zu combinations equal to another", p->sweep.merged);
    head_of_cells(k, out);
    for (size_t i = 0; i < p->sweep.n; i++) {
        LB_TRY(lb_interrupt_check());
        if (!p->sweep.cell[i].refused) LB_TRY(row_of_cell(p, i, s->cells + i + 1, k, &s->rate, f[i], out));
    }
    if (refused) text_of_refused(p, s->cells, width, out);
    lb_str_add(out, "\n");
    LB_TRY(notes_of_cells(p, ragged_note, out));
    LB_TRY(notes_of_cells(p, shared_note, out));
    LB_TRY(notes_of_cells(p, rounded_note, out));
    LB_TRY(notes_of_cells(p, token_note, out));
    LB_TRY(notes_of_cells(p, lb_plan_validation_note, out));
    training_note(p, out);
    if (left && s->shared <= p->model_index) text_of_shared(p, &s->rate, out);
    return LB_OK;
}

/* What of the plan's cells is there already; the records themselves are not kept. */
static lb_status take_stock(const shown *s, const lb_plan *p, lb_finished **out) {
    lb_arena *a = NULL;
    *out = LB_NEW(p->arena, lb_finished, p->sweep.n + 1);
    if (!*out) return LB_E_NOMEM;
    if (s->o->again) return LB_OK;
    LB_TRY(lb_arena_new(0, &a));
    lb_record *r = LB_NEW(a, lb_record, p->sweep.n + 1);
    lb_status st = r ? lb_stock_look(p, s->o->keep_stale, a, *out, r) : LB_E_NOMEM;
    lb_arena_free(a);
    return st;
}

static lb_status look(void *user, lb_plan *p) {
    shown *s = user;
    lb_finished *f = NULL;
    if (s->plans == 0) LB_TRY(lb_plan_measure_rate(p, &s->rate));
    LB_TRY(take_stock(s, p, &f));
    LB_TRY(text_of_inputs(p, &s->text));
    LB_TRY(text_of_cells(s, p, f));
    LB_TRY(add_all(s, p, f));
    s->cells += p->sweep.n;
    size_t plans = p->config->models * p->config->computes;
    if (plans > 1) lb_str_add(&s->text, "\n");
    if (++s->plans == plans) text_of_sum(s, p->config, p->team);
    return lb_str_check(&s->text);
}

static lb_status tell_of_old_place(const lb_planned *x, lb_arena *a, lb_log *log) {
    const char *old, *results;
    LB_TRY(lb_results_old_place(a, &x->config, x->plans.at[0].dir, &old, &results));
    if (old)
        lb_warn(log, "results of this name lie in %s (earlier versions wrote there): move them, or -o results=%s", old,
                results);
    return LB_OK;
}

lb_status lb_cli_plan_show(lb_planned *x, lb_arena *a, lb_model_parts parts, const char *plugin_hash,
                           const lb_plan_look_options *o, lb_log *log) {
    shown s = {.o = o};
    LB_TRY(lb_cli_team(x->config.threads, &x->team));
    lb_status st = lb_plans_open(a, &x->config, &(lb_plan_request){.parts = parts, .plugin_hash = plugin_hash}, x->team,
                                 log, look, &s, &x->plans);
    if (st == LB_OK) lb_cli_print(s.text.s);
    if (st == LB_OK) st = tell_of_old_place(x, a, log);
    if (st == LB_OK) st = warn_of_limits(x->plans.at[0].dir, s.sum, log);
    lb_str_free(&s.text);
    return st;
}

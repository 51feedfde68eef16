/* What a plan says: model, data, cells with exact sizes and estimates, refusals. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/planned.h"
#include "result/figures.h"

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

static void text_of_data(const lb_plan *p, lb_str *out) {
    const lb_calibration_config *k = &p->config->calibration;
    const lb_text *c = &p->calibration;
    if (c->corpus)
        lb_str_add(out, "calibration  %s: %lld x %lld of %lld tokens, %s, bos %s, sha256 %.12s\n", c->name,
                   (long long)k->samples, (long long)k->length, (long long)c->corpus->tokens,
                   k->recipe == LB_RECIPE_RANDOM ? "random" : "sequential", c->bos_text, c->corpus->hash);
    if (p->config->has_training && p->training.corpus)
        lb_str_add(out, "training     %s: %lld tokens, bos %s, sha256 %.12s\n", p->training.name,
                   (long long)p->training.corpus->tokens, p->training.bos_text, p->training.corpus->hash);
    for (int64_t i = 0; i < p->evals; i++) {
        const lb_eval_config *e = p->eval_config[i];
        const lb_corpus *t = p->eval[i].corpus;
        lb_protocol protocol;
        if (lb_protocol_parse(e->protocol, &protocol) != LB_OK) continue;
        int64_t all = t->tokens / protocol.n, n = e->windows > 0 && e->windows < all ? e->windows : all;
        lb_str_add(out, "evaluation   %s: %s, %lld of %lld windows, %lld tokens, bos %s, sha256 %.12s%s%s\n", e->name,
                   e->protocol, (long long)n, (long long)all, (long long)t->tokens, p->eval[i].bos_text, t->hash,
                   t->known ? ", " : "", t->known ? t->known : "");
    }
}

/* Layers whose last group is shorter: some formats cannot hold them. */
static int64_t ragged_layers(const lb_cell *c) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->layers; i++)
        n += c->layer[i].quantize && lb_storage_ragged(&c->layer[i].storage, c->layer[i].cols);
    return n;
}

static int64_t layers_made_one(const lb_plan *p, const lb_cell *c) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->layers && lb_net_shared(p->model->net) == 0; i++) n += c->layer[i].same_as >= 0;
    return n;
}

/* What stands between a cell's name and its numbers: on a terminal too narrow for both, a new line. */
enum { NUMBERS_WIDTH = 80 };
typedef struct plan_columns {
    int width; /* of the names */
    const char *between;
} plan_columns;

static plan_columns columns_of(int width) {
    int columns = lb_cli_columns();
    if (columns > 0 && columns < width + NUMBERS_WIDTH + 1) return (plan_columns){1, "\n"};
    return (plan_columns){width, "  "};
}

static lb_status row_of_cell(const lb_plan *p, size_t i, size_t number, plan_columns k, const lb_rate *rate,
                             lb_str *out) {
    const lb_cell *c = &p->sweep.cell[i];
    lb_str_add(out, "%4zu  %-*s%s%7.4f  %10.2f  %10.2f  %6.3f", number, k.width, c->label, k.between,
               lb_cli_bits(&c->size), lb_mib((double)c->size.quantized.total), lb_mib((double)c->size.total_as_fp16),
               lb_ratio_fp16(&c->size));
    lb_estimate e;
    LB_TRY(lb_plan_estimate(p, c, rate, &e));
    char time[32], memory[32], disk[32];
    lb_format_duration(e.seconds, time);
    lb_format_bytes(e.memory_bytes, memory);
    lb_format_bytes(e.disk_bytes, disk);
    lb_str_add(out, "  %12s  %10s  %10s", time, memory, disk);
    int64_t ragged = ragged_layers(c);
    if (ragged) lb_str_add(out, "  last group shorter in %lld layers", (long long)ragged);
    int64_t one = layers_made_one(p, c);
    if (one == 1) lb_str_add(out, "  1 layer is another's, counted once");
    if (one > 1) lb_str_add(out, "  %lld layers are others', counted once", (long long)one);
    lb_str_add(out, "\n");
    return LB_OK;
}

/* Of several plans: cells run one after another, so the largest memory counts. */
static void add_estimate(lb_estimate *sum, lb_estimate e) {
    sum->seconds += e.seconds;
    sum->disk_bytes += e.disk_bytes;
    if (e.memory_bytes > sum->memory_bytes) sum->memory_bytes = e.memory_bytes;
}

static lb_status add_all(lb_estimate *sum, const lb_plan *p, const lb_rate *rate) {
    add_estimate(sum, lb_plan_estimate_shared(p, rate));
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_estimate e;
        LB_TRY(lb_plan_estimate(p, &p->sweep.cell[i], rate, &e));
        add_estimate(sum, e);
    }
    return LB_OK;
}

static void text_of_sum(lb_estimate sum, const lb_rate *rate, const lb_team *team, lb_str *out) {
    char time[32], memory[32], disk[32];
    lb_format_duration(sum.seconds, time);
    lb_format_bytes(sum.memory_bytes, memory);
    lb_format_bytes(sum.disk_bytes, disk);
    lb_str_add(out, "in all about %s, %s of memory, at most %s on disk (%.0f GFLOP/s measured", time, memory, disk,
               rate->flops / 1e9);
    if (rate->bf16 > 0) lb_str_add(out, ", %.0f in bf16", rate->bf16 / 1e9);
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

typedef struct token_note {
    const char *text;
    size_t first, cells;
} token_note;

/* What is said of cells that are solved on too few tokens, once for all that it is true of. */
static lb_status token_notes(const lb_plan *p, lb_str *out) {
    size_t n = 0;
    token_note *said = LB_NEW(p->arena, token_note, p->sweep.n);
    if (!said) return LB_E_NOMEM;
    for (size_t i = 0; i < p->sweep.n; i++) {
        const char *note = NULL;
        if (!p->sweep.cell[i].refused) LB_TRY(lb_plan_token_note(p, &p->sweep.cell[i], p->arena, &note));
        size_t k = 0;
        while (note && k < n && strcmp(said[k].text, note) != 0) k++;
        if (note && k == n) said[n++] = (token_note){note, i, 0};
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
    lb_str_add(out, "keep_layers  %s of quantized models in the result files\n", bytes);
}

static void text_of_inputs(const lb_plan *p, lb_str *out) {
    text_of_model(p, out);
    text_of_data(p, out);
    if (p->config->compute == LB_COMPUTE_BF16)
        lb_str_add(out, "compute      bf16: products of evaluations, by oneDNN %s (%s)\n", lb_bf16_version(),
                   lb_bf16_isa());
    lb_str_add(out, "results      %s\n", p->dir);
    if (p->config->keep_layers) text_of_kept(p, out);
    lb_str_add(out, "\n");
}

/* first: cells of the models before, which the numbers of these go on from. */
static lb_status text_of_cells(const lb_plan *p, size_t first, const lb_rate *rate, lb_str *out) {
    size_t refused = 0;
    int width = 4;
    for (size_t i = 0; i < p->sweep.n; i++) {
        refused += p->sweep.cell[i].refused;
        if ((int)strlen(p->sweep.cell[i].label) > width) width = (int)strlen(p->sweep.cell[i].label);
    }
    plan_columns k = columns_of(width);
    lb_str_add(out, "%zu cell%s", p->sweep.n - refused, p->sweep.n - refused == 1 ? "" : "s");
    if (refused) lb_str_add(out, ", %zu refused", refused);
    if (p->sweep.merged) lb_str_add(out, ", %zu combinations equal to another", p->sweep.merged);
    lb_str_add(out, "\n      %-*s%s%7s  %10s  %10s  %6s  %12s  %10s  %10s\n", k.width, "cell", k.between, "bits/w",
               "layers MiB", "model MiB", "ratio", "time, about", "memory", "disk");
    for (size_t i = 0; i < p->sweep.n; i++) {
        LB_TRY(lb_interrupt_check());
        if (!p->sweep.cell[i].refused) LB_TRY(row_of_cell(p, i, first + i + 1, k, rate, out));
    }
    if (refused) lb_str_add(out, "\nrefused\n");
    for (size_t i = 0; i < p->sweep.n; i++)
        if (p->sweep.cell[i].refused)
            lb_str_add(out, "%4zu  %-*s  %s\n", first + i + 1, width, p->sweep.cell[i].label, p->sweep.cell[i].reason);
    lb_str_add(out, "\n");
    LB_TRY(token_notes(p, out));
    training_note(p, out);
    text_of_shared(p, rate, out);
    return LB_OK;
}

/* What is shown of the plans so far. */
typedef struct shown {
    lb_str text;
    lb_rate rate; /* measured with the first */
    lb_estimate sum;
    size_t plans, cells;
} shown;

static lb_status look(void *user, lb_plan *p) {
    shown *s = user;
    if (s->plans == 0) LB_TRY(lb_plan_measure_rate(p, &s->rate));
    text_of_inputs(p, &s->text);
    LB_TRY(text_of_cells(p, s->cells, &s->rate, &s->text));
    LB_TRY(add_all(&s->sum, p, &s->rate));
    s->cells += p->sweep.n;
    if (p->config->models > 1) lb_str_add(&s->text, "\n");
    if (++s->plans == p->config->models) {
        if (s->plans > 1) lb_str_add(&s->text, "%zu models, one after another: ", s->plans);
        text_of_sum(s->sum, &s->rate, p->team, &s->text);
    }
    return lb_str_check(&s->text);
}

lb_status lb_cli_plan_show(lb_planned *x, lb_arena *a, lb_model_parts parts, const char *plugin_hash, lb_log *log) {
    shown s = {.plans = 0};
    LB_TRY(lb_cli_team(x->config.threads, &x->team));
    lb_status st =
        lb_plans_open(a, &x->config, &(lb_plan_request){parts, plugin_hash, 0}, x->team, log, look, &s, &x->plans);
    if (st == LB_OK) lb_cli_print(s.text.s);
    if (st == LB_OK) st = warn_of_limits(x->plans.at[0].dir, s.sum, log);
    lb_str_free(&s.text);
    return st;
}

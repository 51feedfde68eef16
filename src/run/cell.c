/* From a planned cell to its record. */
#include "run/cell.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/profile.h"
#include "base/scalar.h"
#include "result/provenance.h"

/* Packed layers of a few hundred kilobytes would leave a third of small chunks unused. */
enum { MAX_STAGES = 8, WEIGHTS_CHUNK = 16 << 20 };

typedef struct running {
    lb_runner *r;
    const lb_cell *c;
    lb_record *out;
    lb_keeper keeper; /* this cell's warnings */
    const char *stage[MAX_STAGES];
    double stage_s[MAX_STAGES], stage_start;
    int64_t stages;
    const char *keep_path; /* of the result, if it keeps the layers; else NULL */
    lb_trained trained;    /* step 0: nothing */
    lb_arena *work;        /* weights */
    lb_weights w;
    bool own_peak; /* of memory: it is the cell's, not that of all cells so far */
} running;

static void stage_begin(running *x, const char *name) {
    x->stage[x->stages] = name;
    lb_profile_stage(name);
    x->stage_start = lb_clock_s();
}
static void stage_end(running *x) { x->stage_s[x->stages++] = lb_clock_s() - x->stage_start; }

static lb_status fill_identity(lb_arena *keep, const lb_cell *c, lb_record *out) {
    *out = (lb_record){.key = c->key,
                       .stem = c->stem,
                       .label = c->label,
                       .message = "",
                       .config = c->config,
                       .model = c->model,
                       .model_note = c->model_note,
                       .method = c->method ? c->method->name : "none",
                       .options = c->options,
                       .varied = c->varied,
                       .seed = (uint64_t)(c->draws ? c->own.seed : 0),
                       .propagate = "",
                       .storage = "f16"};
    if (c->method && lb_cell_statistics(c)) {
        out->propagate = c->own.propagate == LB_PROPAGATE_ORIGINAL ? "original" : "quantized";
        out->true_sequential = c->own.true_sequential;
    }
    /* The format of most layers stands for the cell: the first that the cell's own options describe. */
    const lb_layer_plan *main = NULL;
    for (int64_t i = 0; i < c->layers && !main; i++)
        if (c->layer[i].quantize && c->layer[i].opts == c->opts) main = &c->layer[i];
    for (int64_t i = 0; i < c->layers && !main; i++)
        if (c->layer[i].quantize) main = &c->layer[i];
    if (!main) {
        const char *bits = lb_pairs_get(&c->varied, "bits");
        if (c->refused && bits) {
            int64_t b = 0;
            if (lb_scalar_i64(bits, &b) == LB_OK) out->bits = (int)b;
        }
        return LB_OK;
    }
    out->bits = main->storage.bits;
    out->group = main->storage.group;
    lb_str text = {0};
    lb_storage_text(&main->storage, &text);
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && !(out->storage = lb_arena_strdup(keep, text.s))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

lb_status lb_cell_bare_record(lb_arena *keep, const lb_cell *c, lb_cell_state state, const char *message,
                              lb_record *out) {
    const char *text = lb_arena_strdup(keep, message);
    if (!text) return LB_E_NOMEM;
    LB_TRY(fill_identity(keep, c, out));
    out->state = state;
    out->message = text;
    return LB_OK;
}

bool lb_runner_caches(const char *name, bool folder) {
    static const char *const kind[] = {"states-", "statistics-"};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(kind[i]);
        if (strncmp(name, kind[i], n) == 0 && strspn(name + n, "0123456789abcdef") == 16 && name[n + 16] == '.')
            return !folder;
    }
    return false;
}

void lb_runner_close(lb_runner *r) {
    lb_stats_file_close(r->stats);
    r->stats = NULL;
    r->stats_key[0] = 0;
    r->shared = NULL;
}

/* The original model's statistics for this cell's calibration windows; made again where a read found them damaged. */
static lb_status open_statistics(running *x) {
    lb_runner *r = x->r;
    const lb_model *m = r->plan->model;
    if (!lb_plan_original_needs(r->plan, x->c)) return LB_OK;
    const lb_wanted each = lb_plan_wanted(x->c, 0, lb_plan_shared_needs(r->plan, x->c));
    char key[65];
    LB_TRY(lb_plan_statistics_key(r->plan, x->c, key));
    bool same = r->stats && strcmp(key, r->stats_key) == 0, damaged = same && lb_stats_file_damaged(r->stats);
    if (same && !damaged) return LB_OK;
    lb_runner_close(r);
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_sequences of;
    char *path = lb_arena_printf(a, "%s/statistics-%.16s.bin", r->cache, key);
    lb_status st = path ? lb_fs_mkdirs(r->cache) : LB_E_NOMEM;
    if (st == LB_OK && damaged) (void)unlink(path);
    if (st == LB_OK) st = lb_plan_calibration_tokens(r->plan, x->c, a, &of);
    if (st == LB_OK)
        st = lb_stats_file_ensure(path, key, &each, m->net, &m->weights, &of, r->plan->team, r->log, &r->stats);
    lb_arena_free(a);
    if (st == LB_OK && !(r->shared = LB_NEW(r->keep, lb_shared_errors, m->net->sites))) st = LB_E_NOMEM;
    if (st == LB_OK) memcpy(r->stats_key, key, sizeof key);
    return st;
}

static lb_status quantize_once(running *x, lb_quantize_job *j) {
    stage_begin(x, "statistics");
    LB_TRY(open_statistics(x));
    stage_end(x);
    stage_begin(x, x->c->trains ? "train" : "quantize");
    *j = (lb_quantize_job){.plan = x->r->plan,
                           .cell = x->c,
                           .stats = lb_plan_original_needs(x->r->plan, x->c) ? x->r->stats : NULL,
                           .shared = x->r->shared,
                           .keep_path = x->keep_path,
                           .journal_dir = x->r->dir,
                           .log = &x->keeper.log,
                           .aside = x->r->log,
                           .arena = x->work,
                           .keep = x->r->keep};
    lb_status st = lb_quantize_run(j);
    x->trained = j->trained;
    LB_TRY(st);
    x->out->bundle = j->bundle;
    stage_end(x);
    return LB_OK;
}

/* The model as it is; where the result is to be one, it keeps a copy. */
static lb_status take_baseline(running *x) {
    const lb_plan *p = x->r->plan;
    lb_quantize_job j = {.plan = p, .cell = x->c, .keep_path = x->keep_path, .arena = x->work, .keep = x->r->keep};
    x->w = p->model->weights;
    if (!x->keep_path || !p->config->keep_model) return LB_OK;
    lb_status st = lb_quantize_keep_baseline(&j);
    x->out->bundle = j.bundle;
    return st;
}

static lb_status quantize(running *x) {
    lb_quantize_job j;
    if (!x->c->method) return take_baseline(x);
    lb_arena_mark empty = lb_arena_save(x->work);
    lb_status st = quantize_once(x, &j);
    if ((st == LB_E_FORMAT || st == LB_E_IO) && x->r->stats && lb_stats_file_damaged(x->r->stats)) {
        lb_warn(x->r->log, "%s: the statistics are computed again", lb_error());
        lb_arena_restore(x->work, empty);
        x->stages = x->keeper.n = 0;
        st = quantize_once(x, &j);
    }
    LB_TRY(st);
    x->w = j.w;
    x->out->layer = j.row;
    x->out->layers = x->c->layers;
    x->out->diagnostics = x->c->diagnostics;
    x->out->curve = j.curve;
    for (int64_t i = 0; i < x->c->layers; i++) x->out->flags |= j.row[i].flags;
    return LB_OK;
}

static lb_status add_number(lb_arena *a, lb_pairs *p, const char *key, int64_t v) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    return lb_pairs_add(a, p, key, text);
}

static lb_status add_text(lb_arena *a, lb_pairs *p, const char *what, const lb_text *t) {
    const char *const part[] = {"", "_path", "_sha256", "_bos"};
    const char *const value[] = {t->name, t->path, t->corpus->hash, t->bos_text};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        const char *key = lb_arena_printf(a, "%s%s", what, part[i]);
        if (!key) return LB_E_NOMEM;
        LB_TRY(lb_pairs_add(a, p, key, value[i]));
    }
    if (!t->corpus->how[0]) return LB_OK;
    const char *key = lb_arena_printf(a, "%s_rows", what);
    return key ? lb_pairs_add(a, p, key, t->corpus->how) : LB_E_NOMEM;
}

static lb_status fill_training(running *x, lb_pairs *p) {
    const lb_plan *plan = x->r->plan;
    const lb_text *validation = lb_plan_validation(plan, x->c);
    lb_arena *a = x->r->keep;
    int64_t length = lb_plan_sequence(x->c);
    LB_TRY(add_text(a, p, "training", lb_plan_training(plan, x->c)));
    if (!validation->corpus) return LB_OK;
    LB_TRY(add_text(a, p, "validation", validation));
    LB_TRY(add_number(a, p, "validation_tokens", validation->corpus->tokens));
    if (!length) return LB_OK; /* a method with its own idea of it */
    LB_TRY(add_number(a, p, "validation_length", length));
    return add_number(a, p, "validation_windows", lb_plan_validation_windows(plan, x->c, length));
}

static lb_status fill_inputs(running *x, lb_pairs *p) {
    const lb_plan *plan = x->r->plan;
    lb_arena *a = x->r->keep;
    const lb_calibration_config *k = &x->c->calibration;
    const lb_text *calibration = lb_plan_calibration(plan, x->c);
    LB_TRY(lb_pairs_add(a, p, "model", plan->model_text));
    LB_TRY(lb_pairs_add(a, p, "model_path", plan->model->path));
    LB_TRY(lb_pairs_add(a, p, "model_sha256", plan->model->hash));
    LB_TRY(lb_pairs_add(a, p, "model_stored", plan->model->stored ? plan->model->stored : ""));
    if (x->c->method && calibration->corpus) {
        LB_TRY(add_text(a, p, "calibration", calibration));
        LB_TRY(lb_pairs_add(a, p, "calibration_recipe", lb_recipe_names[k->recipe]));
        LB_TRY(add_number(a, p, "calibration_samples", k->samples));
        LB_TRY(add_number(a, p, "calibration_length", k->length));
        if (x->c->sequences.n != k->samples) LB_TRY(add_number(a, p, "calibration_sequences", x->c->sequences.n));
        if (x->c->sequences.start)
            LB_TRY(add_number(a, p, "calibration_tokens", lb_sequences_tokens(&x->c->sequences)));
        if (lb_recipe_draws((lb_recipe)k->recipe))
            LB_TRY(add_number(a, p, "calibration_seed", (int64_t)lb_plan_calibration_seed(x->c)));
    }
    if (x->c->trains) LB_TRY(fill_training(x, p));
    LB_TRY(lb_pairs_add(a, p, "compute", lb_compute_choices[plan->compute]));
    if (plan->compute == LB_COMPUTE_BF16) {
        LB_TRY(lb_pairs_add(a, p, "onednn", lb_bf16_version()));
        LB_TRY(lb_pairs_add(a, p, "onednn_isa", lb_bf16_isa()));
    }
    return lb_pairs_add(a, p, "content_key", x->c->content_key);
}

static lb_status fill_warnings(running *x) {
    const lb_keeper *shared = &x->r->plan->keeper, *own = &x->keeper;
    lb_record *out = x->out;
    if (own->failed) return lb_fail(LB_E_NOMEM, "out of memory: keeping a warning");
    out->warning = LB_NEW(x->r->keep, char *, shared->n + own->n + 1);
    if (!out->warning) return LB_E_NOMEM;
    for (int64_t i = 0; i < shared->n; i++)
        if (lb_plan_about(x->r->plan, x->c, shared->about[i])) out->warning[out->warnings++] = shared->warning[i];
    for (int64_t i = 0; i < own->n; i++) out->warning[out->warnings++] = own->warning[i];
    return LB_OK;
}

static lb_status add_cite(lb_arena *a, const char *cite, lb_record *out) {
    if (cite && !(out->cite[out->cites++] = lb_arena_strdup(a, cite))) return LB_E_NOMEM;
    return LB_OK;
}

/* Of every stage, and what the ends' own methods have besides. */
static lb_status fill_cites(lb_arena *a, const lb_cell *c, lb_record *out) {
    enum { ENDS = 2 };
    const lb_end *const end[ENDS] = {c->embedding, c->head};
    size_t n = c->method ? lb_method_stages(c->method) : 0;
    if (!(out->cite = LB_NEW(a, char *, n + ENDS + 1))) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) LB_TRY(add_cite(a, lb_method_stage(c->method, i)->cite, out));
    for (size_t i = 0; i < ENDS; i++) {
        const char *cite = end[i] ? end[i]->method->cite : NULL;
        for (int64_t k = 0; k < out->cites && cite; k++)
            if (strcmp(out->cite[k], cite) == 0) cite = NULL;
        LB_TRY(add_cite(a, cite, out));
    }
    return LB_OK;
}

static lb_status fill_rest(running *x, double start) {
    lb_arena *a = x->r->keep;
    lb_record *out = x->out;
    LB_TRY(lb_provenance_program(a, &out->provenance));
    LB_TRY(fill_inputs(x, &out->provenance));
    LB_TRY(lb_provenance_host(a, lb_team_threads(x->r->plan->team), &out->host));
    if (!x->own_peak) LB_TRY(lb_pairs_add(a, &out->host, "peak_bytes", "of the program so far"));
    LB_TRY(fill_warnings(x));
    out->size = x->c->size;
    out->stage = LB_NEW(a, const char *, x->stages + 1);
    out->stage_s = LB_NEW(a, double, x->stages + 1);
    if (!out->stage || !out->stage_s) return LB_E_NOMEM;
    memcpy(out->stage, x->stage, (size_t)x->stages * sizeof *out->stage);
    memcpy(out->stage_s, x->stage_s, (size_t)x->stages * sizeof *out->stage_s);
    out->stages = x->stages;
    LB_TRY(fill_cites(a, x->c, out));
    out->peak_bytes = lb_peak_memory_bytes();
    out->seconds = lb_clock_s() - start;
    out->state = LB_CELL_DONE;
    return LB_OK;
}

static lb_status run(running *x, lb_cell_hook hook, void *user) {
    double start = lb_clock_s();
    LB_TRY(lb_interrupt_check());
    x->own_peak = lb_peak_memory_begin();
    LB_TRY(fill_identity(x->r->keep, x->c, x->out));
    if (x->r->dir) LB_TRY(lb_journal_start(x->r->dir, x->c->stem, x->c->label, x->c->key));
    LB_TRY(quantize(x));
    stage_begin(x, "evaluate");
    LB_TRY(lb_cell_evaluate(x->r, x->c, &x->w, &x->keeper.log, &x->out->eval));
    x->out->evals = x->r->plan->evals;
    if (x->out->evals > 0 && x->r->plan->compute == LB_COMPUTE_BF16) x->out->flags |= LB_FLAG_BF16;
    stage_end(x);
    if (x->r->plan->prompt) {
        stage_begin(x, "prompt");
        LB_TRY(lb_cell_continue(x->r, &x->w, &x->out->continuation));
        stage_end(x);
    }
    if (hook) {
        stage_begin(x, "export");
        LB_TRY(hook(user, x->c, &x->w, &x->keeper.log));
        stage_end(x);
    }
    return fill_rest(x, start);
}

/* Blocks of a layer-scope method are there when it goes on; of a training nothing is. */
static lb_status training_lost(const running *x) {
    char took[32], why[512];
    lb_format_duration(x->trained.seconds, took);
    snprintf(why, sizeof why, "%s", lb_error());
    /* Best effort: what is lost is lost. */
    if (x->r->dir && lb_journal_train(x->r->dir, x->c->stem, &x->trained) != LB_OK) lb_error_clear();
    return lb_fail(LB_E_INTERRUPTED, "%s: %s: training starts over (%s lost)", x->c->label, why, took);
}

lb_status lb_cell_run(lb_runner *r, const lb_cell *c, lb_cell_hook hook, void *user, lb_record *out) {
    running x = {.r = r, .c = c, .out = out};
    lb_keeper_init(&x.keeper, r->keep, r->log);
    if (r->dir && r->plan->config->keep_layers &&
        !(x.keep_path = lb_arena_printf(r->keep, "%s/%s.h5", r->dir, c->stem)))
        return LB_E_NOMEM;
    LB_TRY(lb_arena_new(WEIGHTS_CHUNK, &x.work));
    lb_status st = run(&x, hook, user);
    if (st != LB_OK) {
        lb_bundle_close(out->bundle);
        out->bundle = NULL;
    }
    if (st == LB_E_INTERRUPTED && x.trained.step > 0) st = training_lost(&x);
    lb_arena_free(x.work);
    return st;
}

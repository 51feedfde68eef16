/* Finding, opening and checking what a config names. */
#include "run/plan.h"

#include <string.h>

#include "base/fs.h"
#include "eval/perplexity.h"
#include "result/provenance.h"

static void keep_message(void *user, lb_level level, const char *text) {
    lb_keeper *k = user;
    if (k->to && k->to->message) k->to->message(k->to->user, level, text);
    if (level != LB_WARN) return;
    for (int64_t i = 0; i < k->n; i++)
        if (strcmp(k->warning[i], text) == 0) return;
    char **w = LB_NEW(k->arena, char *, k->n + 1);
    char *copy = lb_arena_strdup(k->arena, text);
    if (!w || !copy) {
        k->failed = true;
        return;
    }
    if (k->n) memcpy(w, k->warning, (size_t)k->n * sizeof *w);
    w[k->n++] = copy;
    k->warning = w;
}

static void keep_progress(void *user, const lb_progress *p) {
    lb_keeper *k = user;
    if (k->to && k->to->progress) k->to->progress(k->to->user, p);
}

void lb_keeper_init(lb_keeper *k, lb_arena *a, lb_log *to) {
    *k = (lb_keeper){.to = to, .arena = a};
    k->log = (lb_log){.message = keep_message, .progress = keep_progress, .user = k};
}

static lb_where where_of(const lb_yaml *section, const char *key) {
    const lb_yaml *n = section ? lb_yaml_get(section, key) : NULL;
    return lb_config_where(n ? n : section);
}

static lb_status open_model(lb_plan *p, lb_model_parts parts) {
    const lb_config *c = p->config;
    lb_where w = lb_config_where(c->model_node[p->model_index]);
    lb_resolved r;
    LB_TRY(lb_sources_resolve(p->arena, &p->sources, c->dir, p->model_text, LB_SOURCE_MODEL, w.text, &r));
    if (r.missing) return lb_fail(LB_E_CONFIG, "%s: model %s", w.text, r.missing);
    LB_TRY(lb_model_open(r.path, parts, p->team, &p->model));
    LB_TRY(lb_sources_check(&r, p->model->hash));
    if (!p->model->tokenizer)
        lb_warn(&p->keeper.log, "%s: the tokenizer is not read, because %s", p->model->name, p->model->no_tokenizer);
    p->model_hash = lb_arena_strdup(p->arena, p->model->hash);
    if (!p->model_hash) return LB_E_NOMEM;
    p->model_note = "";
    if (p->model->stored_quantized) {
        p->model_note = lb_arena_printf(p->arena, "the baseline is itself dequantized from %s", p->model->stored);
        if (!p->model_note) return LB_E_NOMEM;
    }
    return LB_OK;
}

/* Every text and BOS choice is read and tokenized once. */
static lb_status open_corpus(lb_plan *p, const lb_resolved *r, lb_bos bos, lb_corpus **out) {
    LB_TRY(lb_model_need_tokenizer(p->model));
    const lb_tokenizer *tok = p->model->tokenizer;
    for (size_t i = 0; i < p->n_opened; i++) {
        lb_corpus *c = p->opened[i];
        /* Whether a BOS was put tells the choices apart, as far as they differ. */
        if (strcmp(c->path, r->path) != 0 || c->has_bos != lb_bos_put(tok, bos)) continue;
        lb_bos_warn(tok, bos, c->name, &p->keeper.log);
        *out = c;
        return LB_OK;
    }
    LB_TRY(lb_corpus_open(r->path, tok, bos, &p->keeper.log, out));
    p->opened[p->n_opened++] = *out;
    return lb_sources_check(r, (*out)->hash);
}

static lb_status open_text(lb_plan *p, const char *name, int bos, const lb_yaml *section, lb_text *t) {
    lb_where w = where_of(section, "text");
    lb_resolved r;
    *t = (lb_text){.name = name, .bos = (lb_bos)bos};
    LB_TRY(lb_sources_resolve(p->arena, &p->sources, p->config->dir, name, LB_SOURCE_TEXT, w.text, &r));
    t->path = r.path;
    t->missing = r.missing;
    if (r.missing) return LB_OK;
    LB_TRY(open_corpus(p, &r, t->bos, &t->corpus));
    t->bos_text = lb_bos_text(t->bos, t->corpus->has_bos);
    t->hash = lb_arena_strdup(p->arena, t->corpus->hash);
    return t->hash ? LB_OK : LB_E_NOMEM;
}

static lb_status check_calibration(lb_plan *p) {
    const lb_calibration_config *c = &p->config->calibration;
    const lb_net *n = p->model->net;
    if (n->context && c->length > n->context)
        return lb_fail(LB_E_CONFIG, "%s: calibration.length = %lld: the model's context is %lld tokens",
                       where_of(c->node, "length").text, (long long)c->length, (long long)n->context);
    if (!p->calibration.corpus) return LB_OK;
    lb_arena *a = NULL;
    int32_t *tokens = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_corpus_windows(p->calibration.corpus, (lb_recipe)c->recipe, 0, c->samples, c->length, a, &tokens);
    lb_arena_free(a);
    return st == LB_E_CONFIG ? lb_fail_in(st, "%s: calibration", lb_config_where(c->node).text) : st;
}

static lb_status check_eval(lb_plan *p, const lb_eval_config *c, const lb_text *t) {
    lb_protocol protocol;
    LB_TRY(lb_protocol_parse(c->protocol, &protocol));
    const lb_net *n = p->model->net;
    if (n->context && protocol.n > n->context)
        return lb_fail(LB_E_CONFIG, "%s: protocol %s: windows of %lld tokens, but the model's context is %lld",
                       where_of(c->node, "protocol").text, c->protocol, (long long)protocol.n, (long long)n->context);
    if (t->corpus && t->corpus->tokens < protocol.n)
        return lb_fail(LB_E_CONFIG, "%s: eval text %s has %lld tokens: too short for one window of %s",
                       where_of(c->node, "text").text, c->text, (long long)t->corpus->tokens, c->protocol);
    if (t->corpus && p->calibration.corpus && strcmp(t->corpus->hash, p->calibration.corpus->hash) == 0)
        lb_warn(&p->keeper.log, "calibration and evaluation use the same text (%s): its perplexity says little",
                t->name);
    return LB_OK;
}

static lb_status open_evals(lb_plan *p) {
    const lb_config *c = p->config;
    p->eval = LB_NEW(p->arena, lb_text, c->evals + 1);
    p->eval_config = LB_NEW(p->arena, const lb_eval_config *, c->evals + 1);
    if (!p->eval || !p->eval_config) return LB_E_NOMEM;
    const char *missing = NULL;
    p->evals = 0;
    for (size_t i = 0; i < c->evals; i++) {
        lb_text *t = &p->eval[p->evals];
        LB_TRY(open_text(p, c->eval[i].text, c->eval[i].bos, c->eval[i].node, t));
        LB_TRY(check_eval(p, &c->eval[i], t));
        if (t->missing) {
            missing = t->missing;
            lb_warn(&p->keeper.log, "evaluation %s is left out: %s", c->eval[i].name, t->missing);
            continue;
        }
        p->eval_config[p->evals++] = &c->eval[i];
    }
    if (p->evals > 0 || !missing) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: no evaluation is possible: %s", lb_config_where(c->eval[0].node).text, missing);
}

static lb_status open_texts(lb_plan *p) {
    const lb_config *c = p->config;
    p->opened = LB_NEW(p->arena, lb_corpus *, c->evals + 2);
    if (!p->opened) return LB_E_NOMEM;
    if (c->has_calibration) {
        LB_TRY(open_text(p, c->calibration.text, c->calibration.bos, c->calibration.node, &p->calibration));
        LB_TRY(check_calibration(p));
        if (p->calibration.missing)
            lb_warn(&p->keeper.log, "no output errors: calibration text %s", p->calibration.missing);
    }
    p->training = p->calibration;
    if (c->has_training) LB_TRY(open_text(p, c->training.text, c->training.bos, c->training.node, &p->training));
    return open_evals(p);
}

/* NULL: the training text has at least one sequence of the cell's length. */
static lb_status too_short(const lb_plan *p, const lb_cell *c, const char **why) {
    const char *text = lb_pairs_get(&c->options, "length");
    const lb_corpus *k = p->training.corpus;
    int64_t length = 0;
    *why = NULL;
    if (!k || !text || lb_parse_i64(text, &length) != LB_OK || k->tokens >= length) return LB_OK;
    *why = lb_arena_printf(p->arena, "training text %s has %lld tokens: one sequence takes length = %lld", k->path,
                           (long long)k->tokens, (long long)length);
    return *why ? LB_OK : LB_E_NOMEM;
}

/* A cell whose text was not fetched or is too short is refused, and one that trains while weights are streamed; the
 * others run. */
static lb_status refuse_cells(lb_plan *p) {
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        if (c->refused) continue;
        const char *why = c->needs & LB_NEEDS_CALIBRATION ? p->calibration.missing
                          : c->trains                     ? p->training.missing
                                                          : NULL;
        if (!why && c->trains && p->config->weights == LB_WEIGHTS_STREAM)
            why = "training keeps all weights in memory: needs weights: resident, not stream";
        if (!why && c->trains) LB_TRY(too_short(p, c, &why));
        if (!why) continue;
        c->refused = true;
        c->reason = why;
    }
    return LB_OK;
}

/* "0.q, 0.k, ..., 0.down to 29.down, ": the layers of the blocks. */
static void list_layers(const lb_net *n, lb_str *out) {
    int32_t first, last, sites = lb_net_block(n, 0, &first);
    for (int32_t i = first; i < first + sites; i++)
        lb_str_add(out, "%s%s", n->site[i].name, i + 1 < first + sites ? ", " : "");
    sites = lb_net_block(n, n->blocks - 1, &last);
    lb_str_add(out, " to %s, ", n->site[last + sites - 1].name);
}

/* A pattern that fits nothing is a typo. */
static lb_status check_rule(const lb_plan *p, const lb_rule *r) {
    const lb_net *n = p->model->net;
    bool hit = lb_str_glob(r->match, n->site[n->embed].name) || lb_str_glob(r->match, n->site[n->head].name);
    for (int32_t i = 0; i < n->sites && !hit; i++)
        hit = n->site[i].block >= 0 && lb_str_glob(r->match, n->site[i].name);
    int32_t same = r->same_as ? lb_net_find(n, r->same_as) : -1;
    if (hit && r->same_as && (same < 0 || n->site[same].block < 0))
        return lb_fail(LB_E_CONFIG, "%s: same_as '%s' is no layer of a block", where_of(r->node, "same_as").text,
                       r->same_as);
    if (hit) return LB_OK;
    lb_str layers = {0};
    list_layers(n, &layers);
    lb_status st = lb_str_check(&layers);
    if (st == LB_OK)
        st = lb_fail(LB_E_CONFIG, "%s: match '%s' fits no layer: they are %s%s, %s", where_of(r->node, "match").text,
                     r->match, layers.s, n->site[n->embed].name, n->site[n->head].name);
    lb_str_free(&layers);
    return st;
}

/* In the cells of an entry. A layer that is one with another has what that one has, so a rule says nothing that fits
 * such layers alone; nor one that makes a layer what it is. *idle: a layer of those, *of: the one that it is. */
static bool has_effect(const lb_plan *p, const lb_entry *e, const lb_rule *r, const char **idle, const char **of) {
    const lb_net *n = p->model->net;
    const lb_cell cell = {.entry = e};
    for (int32_t i = 0; i < n->sites; i++) {
        const char *name = n->site[i].name;
        if (!lb_str_glob(r->match, name)) continue;
        *idle = name;
        *of = r->same_as ? name : n->site[i].block < 0 ? NULL : lb_sweep_same_as(p->config, &cell, name);
        if (r->same_as ? strcmp(r->same_as, name) != 0 : !*of) return true;
    }
    return false;
}

/* A rule for all has to say something in one entry at least. */
static lb_status check_effect(const lb_plan *p, const lb_entry *e, size_t entries, const lb_rule *r) {
    const char *idle = NULL, *of = NULL;
    for (size_t i = 0; i < entries; i++)
        if (has_effect(p, &e[i], r, &idle, &of)) return LB_OK;
    if (!idle) return LB_OK;
    lb_where w = where_of(r->node, "match");
    if (r->same_as)
        return lb_fail(LB_E_CONFIG, "%s: match '%s' has no effect: same_as names that layer itself", w.text, r->match);
    return lb_fail(LB_E_CONFIG,
                   "%s: match '%s' has no effect: layer %s is what %s is (same_as): give the rule to that one", w.text,
                   r->match, idle, of);
}

static lb_status check_rules(const lb_plan *p) {
    const lb_config *c = p->config;
    for (size_t i = 0; i < c->rules; i++) {
        LB_TRY(check_rule(p, &c->rule[i]));
        LB_TRY(check_effect(p, c->entry, c->entries, &c->rule[i]));
    }
    for (size_t e = 0; e < c->entries; e++)
        for (size_t i = 0; i < c->entry[e].n_rules; i++) {
            LB_TRY(check_rule(p, &c->entry[e].rule[i]));
            LB_TRY(check_effect(p, &c->entry[e], 1, &c->entry[e].rule[i]));
        }
    return LB_OK;
}

static lb_status name_folders(lb_plan *p) {
    char *dir = lb_fs_join(p->config->results, p->config->name), *cache = dir ? lb_fs_join(dir, ".cache") : NULL;
    p->dir = cache ? lb_arena_strdup(p->arena, dir) : NULL;
    p->cache = cache ? lb_arena_strdup(p->arena, cache) : NULL;
    lb_free(dir);
    lb_free(cache);
    return p->dir && p->cache ? LB_OK : LB_E_NOMEM;
}

static lb_status name_model(lb_plan *p, size_t model) {
    const char **label;
    LB_TRY(lb_plan_model_labels(p->arena, p->config, &label));
    p->model_index = model;
    p->model_text = p->config->model[model];
    p->model_label = label[model];
    return LB_OK;
}

/* Of several models each cell says which is its own; keys and file names are what they are with that model alone. */
static lb_status tell_models_apart(lb_plan *p) {
    for (size_t i = 0; p->config->models > 1 && i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        c->model = p->model_label;
        c->model_note = p->model_note;
        c->label = lb_arena_printf(p->arena, "%s: %s", p->model_label, c->label);
        if (!c->label) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_compute_check(int compute, const char *where, lb_log *log) {
    if (compute != LB_COMPUTE_BF16) return LB_OK;
    lb_status st = lb_bf16_check();
    if (st == LB_E_UNSUPPORTED) return lb_fail_in(st, "%s: compute = bf16", where);
    LB_TRY(st);
    if (!lb_bf16_native())
        lb_warn(log,
                "compute: bf16: this processor does not multiply in bf16 itself (oneDNN uses %s): slower than float32",
                lb_bf16_isa());
    return LB_OK;
}

lb_status lb_plan_open(lb_arena *a, const lb_config *c, const lb_plan_request *r, lb_team *team, lb_log *log,
                       lb_plan *out) {
    *out = (lb_plan){.arena = a, .config = c, .team = team, .plugin_hash = r->plugin_hash ? r->plugin_hash : ""};
    lb_keeper_init(&out->keeper, a, log);
    LB_TRY(lb_compute_check(c->compute, where_of(c->root, "compute").text, &out->keeper.log));
    LB_TRY(lb_provenance_code(a, &out->code));
    LB_TRY(name_folders(out));
    LB_TRY(name_model(out, r->model));
    LB_TRY(lb_sweep_expand(a, c, &out->sweep));
    LB_TRY(lb_sources_open(a, c->dir, &out->sources));
    LB_TRY(open_model(out, r->parts));
    LB_TRY(check_rules(out));
    LB_TRY(open_texts(out));
    LB_TRY(refuse_cells(out));
    LB_TRY(lb_plan_layers(out));
    LB_TRY(lb_plan_keys(out));
    LB_TRY(tell_models_apart(out));
    return out->keeper.failed ? lb_fail(LB_E_NOMEM, "out of memory: keeping a warning") : LB_OK;
}

void lb_plan_close(lb_plan *p) {
    for (size_t i = 0; i < p->n_opened; i++) lb_corpus_close(p->opened[i]);
    p->n_opened = 0;
    lb_model_close(p->model);
    p->model = NULL;
    p->calibration.corpus = p->training.corpus = NULL;
    for (int64_t i = 0; i < p->evals; i++) p->eval[i].corpus = NULL;
}

/* Two texts of one place in the config, opened at different times. */
static bool same_text(const lb_text *a, const lb_text *b) {
    return a->hash && b->hash ? strcmp(a->hash, b->hash) == 0 : a->hash == b->hash;
}

static lb_status reopen(lb_plan *p, lb_model_parts parts) {
    const lb_plan before = *p;
    LB_TRY(open_model(p, parts));
    if (strcmp(p->model_hash, before.model_hash) != 0)
        return lb_fail(LB_E_FORMAT, "%s is no longer what it was when this run began: SHA-256 %s, was %s",
                       p->model->path, p->model_hash, before.model_hash);
    LB_TRY(open_texts(p));
    bool same = p->evals == before.evals && same_text(&p->calibration, &before.calibration) &&
                same_text(&p->training, &before.training);
    for (int64_t i = 0; same && i < p->evals; i++) same = same_text(&p->eval[i], &before.eval[i]);
    return same ? LB_OK
                : lb_fail(LB_E_FORMAT, "%s: a text is no longer what it was when this run began", p->config->path);
}

/* What is to be said of model and texts was said when they were opened first. */
lb_status lb_plan_reopen(lb_plan *p, lb_model_parts parts) {
    lb_log *to = p->keeper.to;
    p->keeper.to = NULL;
    lb_status st = reopen(p, parts);
    p->keeper.to = to;
    return st;
}

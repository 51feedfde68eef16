/* Finding, opening and checking what a config names. */
#include "run/plan.h"

#include <string.h>

#include "base/fs.h"
#include "eval/perplexity.h"
#include "result/provenance.h"
#include "run/place.h"

static void keep_message(void *user, lb_level level, const char *text) {
    lb_keeper *k = user;
    if (k->to && k->to->message) k->to->message(k->to->user, level, text);
    if (level != LB_WARN) return;
    for (int64_t i = 0; i < k->n; i++) {
        if (strcmp(k->warning[i], text) != 0) continue;
        if (k->about[i] != k->topic) k->about[i] = 0; /* of more than one text: what it says is of each */
        return;
    }
    char **w = LB_NEW(k->arena, char *, k->n + 1);
    size_t *about = LB_NEW(k->arena, size_t, k->n + 1);
    char *copy = lb_arena_strdup(k->arena, text);
    if (!w || !about || !copy) {
        k->failed = true;
        return;
    }
    if (k->n) memcpy(w, k->warning, (size_t)k->n * sizeof *w);
    if (k->n) memcpy(about, k->about, (size_t)k->n * sizeof *about);
    about[k->n] = k->topic;
    w[k->n++] = copy;
    k->warning = w;
    k->about = about;
}

static void keep_progress(void *user, const lb_progress *p) {
    lb_keeper *k = user;
    if (k->to && k->to->progress) k->to->progress(k->to->user, p);
}

void lb_keeper_init(lb_keeper *k, lb_arena *a, lb_log *to) {
    *k = (lb_keeper){.to = to, .arena = a};
    k->log = (lb_log){.message = keep_message, .progress = keep_progress, .user = k};
}

lb_where lb_plan_where(const lb_yaml *section, const char *key) {
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
    LB_TRY(lb_sources_check(&r, p->model->hash, &p->keeper.log));
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

/* "0.q, 0.k, ..., 0.down to 29.down, ": the layers of the blocks, and those outside but embedding and head. */
static void list_layers(const lb_net *n, lb_str *out) {
    int32_t first, last, sites = lb_net_block(n, 0, &first);
    for (int32_t i = first; i < first + sites; i++)
        lb_str_add(out, "%s%s", n->site[i].name, i + 1 < first + sites ? ", " : "");
    sites = lb_net_block(n, n->blocks - 1, &last);
    lb_str_add(out, " to %s, ", n->site[last + sites - 1].name);
    for (int32_t i = 0; i < n->sites; i++)
        if (lb_net_between(n, i)) lb_str_add(out, "%s, ", n->site[i].name);
}

/* A pattern that fits nothing is a typo. */
static lb_status check_rule(const lb_plan *p, const lb_rule *r) {
    const lb_net *n = p->model->net;
    bool hit = lb_str_glob(r->match, n->site[n->embed].name) || lb_str_glob(r->match, n->site[n->head].name);
    for (int32_t i = 0; i < n->sites && !hit; i++)
        hit = (n->site[i].block >= 0 || lb_net_between(n, i)) && lb_str_glob(r->match, n->site[i].name);
    int32_t same = r->same_as ? lb_net_find(n, r->same_as) : -1;
    if (hit && r->same_as && (same < 0 || n->site[same].block < 0))
        return lb_fail(LB_E_CONFIG, "%s: same_as '%s' is no layer of a block", lb_plan_where(r->node, "same_as").text,
                       r->same_as);
    if (hit) return LB_OK;
    lb_str layers = {0};
    list_layers(n, &layers);
    lb_status st = lb_str_check(&layers);
    if (st == LB_OK)
        st = lb_fail(LB_E_CONFIG, "%s: match '%s' fits no layer: they are %s%s, %s",
                     lb_plan_where(r->node, "match").text, r->match, layers.s, n->site[n->embed].name,
                     n->site[n->head].name);
    lb_str_free(&layers);
    return st;
}

/* In the cells of an entry. A layer that is one with another has what that one has, so a rule says nothing that fits
 * such layers alone; nor one that makes a layer what it is; nor one of a layer that is left alone unless it is asked
 * for. *idle: a layer of those, *of: the one that it is. */
static bool has_effect(const lb_plan *p, const lb_entry *e, const lb_rule *r, const char **idle, const char **of) {
    const lb_net *n = p->model->net;
    const lb_cell cell = {.entry = e};
    for (int32_t i = 0; i < n->sites; i++) {
        const char *name = n->site[i].name;
        if (!lb_str_glob(r->match, name)) continue;
        *idle = name;
        *of = NULL;
        if (lb_net_between(n, i) && !r->has_skip && !lb_sweep_asks(p->config, &cell, name)) continue;
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
    lb_where w = lb_plan_where(r->node, "match");
    if (!of) /* outside the blocks */
        return lb_fail(LB_E_CONFIG,
                       "%s: match '%s' has no effect: layer %s is outside the blocks, and stays as it is unless a rule "
                       "says skip: false",
                       w.text, r->match, idle);
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
    LB_TRY(lb_results_place(p->arena, p->config, &p->dir));
    char *cache = lb_fs_join(p->dir, ".cache");
    p->cache = cache ? lb_arena_strdup(p->arena, cache) : NULL;
    lb_free(cache);
    return p->cache ? LB_OK : LB_E_NOMEM;
}

static lb_status name_model(lb_plan *p, size_t model) {
    const char **label;
    LB_TRY(lb_plan_model_labels(p->arena, p->config, &label));
    p->model_index = model;
    p->model_text = p->config->model[model];
    p->model_label = label[model];
    return LB_OK;
}

/* Of several models, and of several kinds of products, each cell says which is its own; keys and file names are what
 * they are with that one alone. */
static lb_status tell_plans_apart(lb_plan *p) {
    const char *compute = lb_compute_choices[p->compute];
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        if (p->config->models > 1) {
            c->model = p->model_label;
            c->model_note = p->model_note;
            c->label = lb_arena_printf(p->arena, "%s: %s", p->model_label, c->label);
            if (!c->label) return LB_E_NOMEM;
        }
        if (p->config->computes > 1 && !(c->label = lb_arena_printf(p->arena, "%s compute=%s", c->label, compute)))
            return LB_E_NOMEM;
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
    out->compute = c->compute[r->compute];
    LB_TRY(lb_compute_check(out->compute, lb_config_where(c->compute_node).text, &out->keeper.log));
    LB_TRY(lb_provenance_code(a, &out->code));
    LB_TRY(name_folders(out));
    LB_TRY(name_model(out, r->model));
    LB_TRY(lb_sweep_expand(a, c, &out->sweep));
    LB_TRY(lb_sources_open(a, c->dir, &out->sources));
    LB_TRY(open_model(out, r->parts));
    LB_TRY(check_rules(out));
    LB_TRY(lb_plan_check_axes_of_experts(out));
    LB_TRY(lb_plan_prompt(out));
    LB_TRY(lb_plan_texts(out));
    LB_TRY(lb_plan_refuse(out));
    LB_TRY(lb_plan_layers(out));
    LB_TRY(lb_plan_check_axes_of_layers(out));
    LB_TRY(lb_plan_keys(out));
    LB_TRY(tell_plans_apart(out));
    return out->keeper.failed ? lb_fail(LB_E_NOMEM, "out of memory: keeping a warning") : LB_OK;
}

void lb_plan_close(lb_plan *p) {
    for (size_t i = 0; i < p->n_opened; i++) lb_corpus_close(p->opened[i]);
    p->n_opened = 0;
    lb_model_close(p->model);
    p->model = NULL;
    for (size_t i = 0; i < p->calibration.n; i++) {
        lb_text *t = &p->calibration.at[i];
        for (size_t k = 0; k < t->parts; k++) t->part[k].corpus = NULL;
        t->corpus = NULL;
    }
    for (size_t i = 0; i < p->training.n; i++) p->training.at[i].corpus = NULL;
    for (size_t i = 0; i < p->validation.n; i++) p->validation.at[i].corpus = NULL;
    for (int64_t i = 0; i < p->evals; i++) p->eval[i].corpus = NULL;
}

/* Two texts of one place in the config, opened at different times. */
static bool same_text(const lb_text *a, const lb_text *b) {
    return a->hash && b->hash ? strcmp(a->hash, b->hash) == 0 : a->hash == b->hash;
}

static bool same_texts(const lb_texts *a, const lb_texts *b) {
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++) same = same_text(&a->at[i], &b->at[i]);
    return same;
}

static lb_status reopen(lb_plan *p, lb_model_parts parts) {
    const lb_plan before = *p;
    LB_TRY(open_model(p, parts));
    if (strcmp(p->model_hash, before.model_hash) != 0)
        return lb_fail(LB_E_FORMAT, "%s is no longer what it was when this run began: SHA-256 %s, was %s",
                       p->model->path, p->model_hash, before.model_hash);
    LB_TRY(lb_plan_texts(p));
    lb_plan_close_rows(p);
    bool same = p->evals == before.evals && same_texts(&p->calibration, &before.calibration) &&
                same_texts(&p->training, &before.training) && same_texts(&p->validation, &before.validation);
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

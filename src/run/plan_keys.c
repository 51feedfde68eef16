/* Resolved configs and keys. A cell's key is the SHA-256 of its resolved config, which holds the hashes of model and
 * texts, and of the program and kernels that compute it: equal keys, equal numbers. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/scalar.h"
#include "eval/collect.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "run/plan.h"

/* A scalar that YAML reads back as the same text. */
static void put_scalar(lb_str *out, const char *s) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    bool ok =
        s[0] && s[0] != '-' && strspn(s, plain) == strlen(s) && !lb_scalar_null(s) && !lb_scalar_differs(s, false);
    if (ok) {
        lb_str_add(out, "%s", s);
        return;
    }
    lb_str_add(out, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            lb_str_add(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            lb_str_add(out, "\\x%02x", (unsigned char)*s);
        else
            lb_str_add(out, "%c", *s);
    }
    lb_str_add(out, "\"");
}

/* Numbers and words that start with '-' need no quotes where a number is expected; a choice such as 2:4 does. */
static void put_value(lb_str *out, const lb_option *o, const char *text) {
    if (o && o->type != LB_OPT_STR && o->type != LB_OPT_CHOICE)
        lb_str_add(out, "%s", text);
    else
        put_scalar(out, text);
}

static void put_text(lb_str *out, const char *indent, const char *key, const lb_text *t) {
    lb_str_add(out, "%s%s: ", indent, key);
    put_scalar(out, t->name);
    lb_str_add(out, " # sha256 %s\n", t->corpus->hash);
}

/* Keys of a config that are newer than results: where they have their default they are not part of a cell's identity,
 * and what was run before there were these keys is found. One a line. */
static const char *const later[] = {
    "rows",    "field",        "join",       "first",        "chat", "speculative",
    "variant", "token_weight", "token_clip", "equal_errors", NULL,
};

static bool is_of_config(const lb_options *t) {
    return t == &lb_config_calibration_table || t == &lb_config_eval_table || t == &lb_config_training_table ||
           t == &lb_config_cell_table;
}

/* text: the value. */
static bool is_silent(const lb_options *t, const lb_option *o, const void *values, const char *text) {
    bool is_later = false;
    if (lb_options_silent(o, values)) return true;
    for (size_t k = 0; later[k]; k++) is_later = is_later || strcmp(later[k], o->name) == 0;
    return is_later && is_of_config(t) && o->def && strcmp(o->def, text) == 0;
}

/* Every key of a table but `text`, which comes with its hash. */
static void put_table(lb_str *out, const char *indent, const lb_options *t, const void *values,
                      const char *const *leave_out) {
    lb_str v = {0};
    for (size_t i = 0; i < t->n; i++) {
        const lb_option *o = &t->table[i];
        v.len = 0;
        lb_options_text(o, values, &v);
        const char *text = v.len ? v.s : "";
        bool skip = is_silent(t, o, values, text);
        for (size_t k = 0; leave_out[k]; k++) skip = skip || strcmp(leave_out[k], o->name) == 0;
        if (skip) continue;
        lb_str_add(out, "%s%s: ", indent, o->name);
        put_value(out, o, text);
        lb_str_add(out, "\n");
    }
    if (v.failed) out->failed = true;
    lb_str_free(&v);
}

static void put_rule(lb_str *out, const lb_cell *c, const lb_rule *r, bool *first) {
    bool any = r->has_skip || r->same_as;
    for (size_t i = 0; i < r->n; i++) any = any || lb_options_find(&c->method->options, r->set[i]->key);
    if (!any) return;
    if (*first) lb_str_add(out, "    rules:\n");
    *first = false;
    lb_str_add(out, "      - match: ");
    put_scalar(out, r->match);
    lb_str_add(out, "\n");
    if (r->has_skip) lb_str_add(out, "        skip: %s\n", r->skip ? "true" : "false");
    if (r->same_as) {
        lb_str_add(out, "        same_as: ");
        put_scalar(out, r->same_as);
        lb_str_add(out, "\n");
    }
    for (size_t i = 0; i < r->n; i++) {
        const lb_option *o = lb_options_find(&c->method->options, r->set[i]->key);
        if (!o) continue;
        lb_str_add(out, "        %s: ", r->set[i]->key);
        put_value(out, o, r->set[i]->text);
        lb_str_add(out, "\n");
    }
}

/* Only where it has a method of its own: else a config's identity is what it was before there were these keys. */
static void put_end(const lb_end *e, const char *which, lb_str *out) {
    static const char *const nothing[] = {NULL};
    if (!e) return;
    lb_str_add(out, "    %s:\n      method: %s\n", which, e->method->name);
    put_table(out, "      ", &e->method->options, e->opts, nothing);
}

static void put_entry(const lb_plan *p, const lb_cell *c, lb_str *out) {
    static const char *const all[] = {"propagate", "true_sequential", "seed", NULL}, *const nothing[] = {NULL};
    lb_str_add(out, c->method->stages ? "quantize:\n  - stages:\n" : "quantize:\n  - method: %s\n", c->method->name);
    for (size_t i = 0; i < c->method->stages; i++) {
        const lb_stage *s = &c->method->stage[i];
        lb_str_add(out, "      - method: %s\n", s->method->name);
        put_table(out, "        ", s->options, (const char *)c->opts + s->offset, nothing);
    }
    if (!c->method->stages) put_table(out, "    ", &c->method->options, c->opts, nothing);
    /* What the method takes no notice of would be refused if it stood there. */
    put_table(out, "    ", &lb_config_cell_table, &c->own, lb_cell_statistics(c) ? all + 2 : all);
    put_end(c->embedding, "embedding", out);
    put_end(c->head, "head", out);
    bool first = true;
    for (size_t i = 0; i < p->config->rules; i++) put_rule(out, c, &p->config->rule[i], &first);
    for (size_t i = 0; i < c->entry->n_rules; i++) put_rule(out, c, &c->entry->rule[i], &first);
}

/* Where nothing is drawn, as it was before anything could be. */
static void put_prompt(const lb_prompt_config *k, lb_str *out) {
    static const char *const nothing[] = {NULL};
    if (!k->text[0]) return;
    lb_str_add(out, k->temperature > 0 ? "prompt:\n" : "prompt: ");
    if (k->temperature > 0) {
        put_table(out, "  ", &lb_config_prompt_table, k, nothing);
        return;
    }
    put_scalar(out, k->text);
    lb_str_add(out, "\nprompt_tokens: %lld\n", (long long)k->tokens);
}

static lb_status resolved_config(const lb_plan *p, const lb_cell *c, lb_str *out) {
    static const char *const calibration_out[] = {"text",         "seed",       "propagate", "true_sequential",
                                                  "token_weight", "token_clip", NULL};
    static const char *const only_text[] = {"text", NULL}, *const validation_out[] = {"text", "bos", "validation",
                                                                                      NULL};
    static const char *const rows_only[] = {"text", "bos", "validation", "every", "validation_windows", NULL};
    const lb_text *calibration = lb_plan_calibration(p, c), *training = lb_plan_training(p, c);
    const lb_text *validation = lb_plan_validation(p, c);
    lb_str_add(out, "model: ");
    put_scalar(out, p->model_text);
    lb_str_add(out, " # sha256 %s\n", p->model->hash);
    /* A line of its own for what is not the usual: in float32 a config's identity is what it was before the key. */
    if (p->compute == LB_COMPUTE_BF16) lb_str_add(out, "compute: bf16\n");
    /* Likewise. */
    put_prompt(&p->config->prompt, out);
    if (c->draws) lb_str_add(out, "seed: %lld\n", (long long)c->own.seed);
    if (c->method && calibration->corpus) {
        lb_str_add(out, "calibration:\n");
        put_text(out, "  ", "text", calibration);
        put_table(out, "  ", &lb_config_calibration_table, &c->calibration, calibration_out);
        if (lb_recipe_draws((lb_recipe)c->calibration.recipe))
            lb_str_add(out, "  seed: %llu\n", (unsigned long long)lb_plan_calibration_seed(c));
    }
    if (c->trains) {
        lb_str_add(out, "training:\n");
        put_text(out, "  ", "text", training);
        lb_str_add(out, "  bos: %s\n", lb_bos_choices[training->bos]);
        /* Only where it is asked for: else a config's identity is what it was before the key. */
        if (validation->corpus) put_text(out, "  ", "validation", validation);
        lb_training_config k = c->training;
        k.rows = *training->rows;
        put_table(out, "  ", &lb_config_training_table, &k, validation->corpus ? validation_out : rows_only);
    }
    for (int64_t i = 0; i < p->evals; i++) {
        if (i == 0) lb_str_add(out, "eval:\n");
        put_text(out, "  - ", "text", &p->eval[i]);
        put_table(out, "    ", &lb_config_eval_table, p->eval_config[i], only_text);
    }
    if (c->method) put_entry(p, c, out);
    return lb_str_check(out);
}

uint64_t lb_plan_calibration_seed(const lb_cell *c) {
    int64_t seed = c->calibration.seed;
    return (uint64_t)(seed == LB_SEED_OF_CELL ? c->own.seed : seed);
}

lb_status lb_plan_calibration_tokens(const lb_plan *p, const lb_cell *c, lb_arena *a, lb_sequences *out) {
    const lb_calibration_config *k = &c->calibration;
    *out = c->sequences;
    if (out->token) return LB_OK;
    return lb_recipe_tokens(lb_plan_calibration(p, c)->corpus, (lb_recipe)k->recipe, lb_plan_calibration_seed(c),
                            k->samples, k->length, a, out);
}

static lb_status hash_text(const lb_str *text, char key[65]) {
    LB_TRY(lb_str_check(text));
    return lb_hash_bytes(text->s, text->len, key);
}

static bool is_plugin(const lb_method *m) {
    size_t i = 0;
    while (lb_method_table[i] && lb_method_table[i] != m) i++;
    return !lb_method_table[i];
}

/* What computes: the program and the kernels in use. c: NULL, or the cell whose methods do. */
static void put_program(const lb_plan *p, const lb_cell *c, lb_str *out) {
    lb_str_add(out, "code %s\nkernels %s\nblas %s\n", p->code, lb_kernels_active()->name, lb_blas_core());
    bool plugin = false;
    for (size_t k = 0; c && c->method && k < lb_method_stages(c->method); k++)
        plugin = plugin || is_plugin(lb_method_stage(c->method, k));
    plugin = plugin || (c && c->embedding && is_plugin(c->embedding->method));
    plugin = plugin || (c && c->head && is_plugin(c->head->method));
    if (plugin) lb_str_add(out, "plugin %s\n", p->plugin_hash);
}

/* What evaluates beside it. Statistics are always float32. */
static void put_compute(const lb_plan *p, lb_str *out) {
    if (p->compute == LB_COMPUTE_BF16) lb_str_add(out, "compute bf16 onednn %s %s\n", lb_bf16_version(), lb_bf16_isa());
}

/* Of a whole file: nothing. */
static void put_how(const lb_corpus *c, lb_str *out) {
    if (c->how[0]) lb_str_add(out, "rows %s\n", c->how);
}

lb_status lb_plan_statistics_key(const lb_plan *p, const lb_cell *c, char key[65]) {
    const lb_calibration_config *k = &c->calibration;
    const lb_corpus *text = lb_plan_calibration(p, c)->corpus;
    bool random = lb_recipe_draws((lb_recipe)k->recipe);
    uint32_t needs = lb_plan_shared_needs(p, c);
    lb_str s = {0};
    lb_str_add(&s, "statistics\nmodel %s\ntext %s bos %d\nrecipe %d samples %lld length %lld seed %llu\n",
               p->model->hash, text->hash, text->has_bos, k->recipe, (long long)k->samples, (long long)k->length,
               random ? (unsigned long long)lb_plan_calibration_seed(c) : 0ull);
    put_how(text, &s);
    for (int i = 0; lb_collectors[i]; i++)
        if (needs & lb_collectors[i]->need) lb_str_add(&s, "of %s\n", lb_collectors[i]->name);
    if (needs & LB_NEEDS_HESSIAN_CLIP) lb_str_add(&s, "clipped at %.17g\n", c->own.token_clip);
    if (lb_plan_enough(c)) lb_str_add(&s, "experts fed below %lld\n", (long long)lb_plan_enough(c));
    put_program(p, NULL, &s);
    lb_status st = hash_text(&s, key);
    lb_str_free(&s);
    return st;
}

lb_status lb_plan_states_key(const lb_plan *p, int64_t i, char key[65]) {
    const lb_eval_config *e = p->eval_config[i];
    lb_str s = {0};
    lb_str_add(&s, "states\nmodel %s\ntext %s bos %d\nprotocol %s windows %lld\n", p->model->hash,
               p->eval[i].corpus->hash, p->eval[i].corpus->has_bos, e->protocol, (long long)e->windows);
    put_how(p->eval[i].corpus, &s);
    put_program(p, NULL, &s);
    put_compute(p, &s);
    lb_status st = hash_text(&s, key);
    lb_str_free(&s);
    return st;
}

/* "gptq 3b g64 act_order" and a hash -> "gptq-3b-g64-act_order-1a2b3c4d" */
static lb_status make_stem(lb_plan *p, lb_cell *c) {
    enum { LONGEST = 80 };
    char stem[LONGEST + 1];
    size_t n = 0;
    for (const char *s = c->name; *s && n < LONGEST; s++) {
        bool word = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_';
        if (word || (*s == '.' && n > 0))
            stem[n++] = *s;
        else if (n > 0 && stem[n - 1] != '-')
            stem[n++] = '-';
    }
    stem[n] = 0;
    c->stem = lb_arena_printf(p->arena, "%s-%.8s", stem, c->content_key);
    return c->stem ? LB_OK : LB_E_NOMEM;
}

/* A cell that is not run has no config to be known by. */
static lb_status refused_key(lb_plan *p, lb_cell *c) {
    lb_str id = {0};
    char hash[65];
    lb_str_add(&id, "%s", c->identity);
    if (p->config->models > 1) lb_str_add(&id, "model %s\n", p->model_text);
    if (p->config->computes > 1) lb_str_add(&id, "compute %s\n", lb_compute_choices[p->compute]);
    lb_status st = hash_text(&id, hash);
    lb_str_free(&id);
    LB_TRY(st);
    c->content_key = c->key = c->layers_key = lb_arena_strdup(p->arena, hash);
    c->config = "";
    return c->key ? make_stem(p, c) : LB_E_NOMEM;
}

/* text: the resolved config, appended. */
static lb_status hash_cell(const lb_plan *p, const lb_cell *c, lb_str *text, char content[65], char whole[65]) {
    lb_str key = {0};
    LB_TRY(resolved_config(p, c, text));
    LB_TRY(lb_hash_bytes(text->s, text->len, content));
    lb_str_add(&key, "cell %s\n", content);
    put_program(p, c, &key);
    put_compute(p, &key);
    lb_status st = hash_text(&key, whole);
    lb_str_free(&key);
    return st;
}

/* Calibration, methods and training are in float32, whatever evaluations are in. */
static lb_status layers_key(lb_plan *p, lb_cell *c) {
    lb_plan plain = *p;
    lb_str text = {0};
    char content[65], whole[65];
    c->layers_key = c->key;
    if (p->compute == LB_COMPUTE_F32) return LB_OK;
    plain.compute = LB_COMPUTE_F32;
    lb_status st = hash_cell(&plain, c, &text, content, whole);
    if (st == LB_OK && !(c->layers_key = lb_arena_strdup(p->arena, whole))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

static lb_status cell_key(lb_plan *p, lb_cell *c) {
    lb_str text = {0}, name = {0};
    char content[65], whole[65];
    lb_status st = hash_cell(p, c, &text, content, whole);
    put_scalar(&name, p->config->name);
    if (st == LB_OK) st = lb_str_check(&name);
    if (st == LB_OK) {
        c->content_key = lb_arena_strdup(p->arena, content);
        c->key = lb_arena_strdup(p->arena, whole);
        c->config = lb_arena_printf(p->arena, "name: %s\n%s", name.s, text.s);
        st = c->content_key && c->key && c->config ? make_stem(p, c) : LB_E_NOMEM;
    }
    if (st == LB_OK) st = layers_key(p, c);
    lb_str_free(&text);
    lb_str_free(&name);
    return st;
}

lb_status lb_plan_keys(lb_plan *p) {
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        LB_TRY(lb_interrupt_check());
        LB_TRY(c->refused ? refused_key(p, c) : cell_key(p, c));
    }
    return LB_OK;
}

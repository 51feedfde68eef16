/* From the tree to a checked configuration. */
#include "run/config.h"

#include <string.h>

#include "base/fs.h"
#include "base/scalar.h"
#include "result/record.h"
#include "run/config_impl.h"
#include "run/field_names.h"

const char *lb_config_kind_name(const lb_yaml *n) {
    switch (n->kind) {
    case LB_YAML_MAP:
        return "a map";
    case LB_YAML_LIST:
        return "a list";
    default:
        return "one value";
    }
}

bool lb_config_is_null(const lb_yaml *n) {
    return n->kind == LB_YAML_SCALAR && !n->quoted && (!n->text || lb_scalar_null(n->text));
}

lb_status lb_config_set_option(lb_config_reader *r, const lb_options *table, void *values, const char *name,
                               const lb_yaml *n, const char *whose) {
    lb_where w = lb_config_where(n);
    const lb_option *o = lb_options_find(table, name);
    if (n->kind != LB_YAML_SCALAR)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be one value, not %s (%s)", w.text, o->name, lb_config_kind_name(n),
                       whose);
    if (lb_config_is_null(n)) return lb_fail(LB_E_CONFIG, "%s: %s has no value (%s)", w.text, o->name, whose);
    bool number = o->type == LB_OPT_INT || o->type == LB_OPT_FLOAT, group = o->type == LB_OPT_GROUP;
    if (n->quoted && (number || o->type == LB_OPT_BOOL)) {
        lb_str d = {0};
        lb_options_describe(o, &d);
        lb_status st = lb_fail(LB_E_CONFIG, "%s: %s = \"%s\": a text in quotes, must be %s (%s)", w.text, o->name,
                               n->text, d.s ? d.s : "", whose);
        lb_str_free(&d);
        return st;
    }
    lb_status st = !n->quoted && (number || group) ? lb_scalar_check(n->text, true) : LB_OK;
    if (st == LB_OK) st = lb_options_set(table, r->a, values, name, n->text, whose);
    return st == LB_OK ? LB_OK : lb_fail_in(st, "%s", w.text);
}

void lb_config_names_add(lb_config_names *k, const char *name) {
    if (k->n < sizeof k->at / sizeof k->at[0]) k->at[k->n++] = name;
}
void lb_config_names_add_table(lb_config_names *k, const lb_options *t) {
    for (size_t i = 0; i < t->n; i++) lb_config_names_add(k, t->table[i].name);
}

lb_status lb_config_unknown_key(const lb_yaml *n, const char *in, const lb_config_names *known, const lb_method *m) {
    lb_where w = lb_config_where(n);
    const char *dot = strchr(n->key, '.'), *near = lb_str_nearest(n->key, known->at, known->n);
    const char *note, *ours = lb_field_key(n->key, known->at, known->n, &note);
    const char *of_stage = dot ? lb_str_nearest(dot + 1, known->at, known->n) : NULL;
    if (of_stage && (!near || strcmp(of_stage, dot + 1) == 0)) near = of_stage;
    if (ours)
        return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: did you mean '%s'%s%s%s?", w.text, n->key, in, ours,
                       note ? " (" : "", note ? note : "", note ? ")" : "");
    if (near) return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: did you mean '%s'?", w.text, n->key, in, near);
    if (m && lb_method_stages(m) > 1)
        return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: see lowbit methods NAME of each stage", w.text, n->key,
                       in);
    return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: see lowbit %s%s", w.text, n->key, in,
                   m ? "methods " : "help config", m ? m->name : "");
}

lb_status lb_config_read_map(lb_config_reader *r, const lb_yaml *map, const char *title, const lb_options *table,
                             void *values, const char *const *also) {
    lb_where w = lb_config_where(map);
    if (map->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a map of keys, not %s", w.text, title, lb_config_kind_name(map));
    LB_TRY(lb_options_defaults(table, r->a, values));
    for (size_t i = 0; i < map->count; i++) {
        const lb_yaml *n = map->item[i];
        if (lb_options_find(table, n->key)) {
            const char *why = n->kind == LB_YAML_LIST ? lb_config_no_axis(title, n->key) : NULL;
            if (why)
                return lb_fail(LB_E_CONFIG, "%s: %s: must be one value, not a list: %s (%s)", lb_config_where(n).text,
                               n->key, why, title);
            LB_TRY(lb_config_set_option(r, table, values, n->key, n, title));
            continue;
        }
        size_t k = 0;
        while (also && also[k] && strcmp(also[k], n->key) != 0) k++;
        if (also && also[k]) continue;
        lb_config_names known = {0};
        lb_config_names_add_table(&known, table);
        for (k = 0; also && also[k]; k++) lb_config_names_add(&known, also[k]);
        const char *in = strcmp(title, "config") == 0 ? "" : lb_arena_printf(r->a, " in %s", title);
        if (!in) return LB_E_NOMEM;
        return lb_config_unknown_key(n, in, &known, NULL);
    }
    for (size_t i = 0; i < table->n; i++)
        if (!table->table[i].def && !lb_yaml_get(map, table->table[i].name))
            return lb_fail(LB_E_CONFIG, "%s: %s: '%s' is missing (%s)", w.text, title, table->table[i].name,
                           table->table[i].help);
    return LB_OK;
}

lb_status lb_config_read_values(lb_config_reader *r, const lb_yaml *n, const char *title, lb_axis *out) {
    lb_where w = lb_config_where(n);
    out->name = n->key;
    out->node = n;
    if (n->kind == LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a value or a list of values (%s)", w.text, n->key, title);
    out->n = n->kind == LB_YAML_LIST ? n->count : 1;
    if (out->n == 0) return lb_fail(LB_E_CONFIG, "%s: %s: the list is empty (%s)", w.text, n->key, title);
    out->value = LB_NEW(r->a, const lb_yaml *, out->n);
    if (!out->value) return LB_E_NOMEM;
    for (size_t i = 0; i < out->n; i++) {
        out->value[i] = n->kind == LB_YAML_LIST ? n->item[i] : n;
        if (out->value[i]->kind != LB_YAML_SCALAR)
            return lb_fail(LB_E_CONFIG, "%s: %s: must be a list of plain values (%s)",
                           lb_config_where(out->value[i]).text, n->key, title);
    }
    return LB_OK;
}

lb_status lb_config_try_value(lb_config_reader *r, const lb_method *m, const lb_axis_target *t, const lb_yaml *v) {
    static const char *const section[] = {[LB_OF_CELL] = "quantize",
                                          [LB_OF_CALIBRATION] = "calibration",
                                          [LB_OF_TRAINING] = "training",
                                          [LB_OF_EMBEDDING] = "embedding",
                                          [LB_OF_HEAD] = "head"};
    LB_TRY(lb_interrupt_check());
    lb_arena_mark before = lb_arena_save(r->a);
    void *scratch = lb_arena_get(r->a, 1, t->table->struct_size + 1);
    const char *whose = t->owner == LB_OF_METHOD ? lb_arena_printf(r->a, "method %s", m->name) : section[t->owner];
    lb_status st = scratch && whose ? lb_options_defaults(t->table, r->a, scratch) : LB_E_NOMEM;
    if (st == LB_OK) st = lb_config_set_option(r, t->table, scratch, t->name, v, whose);
    lb_arena_restore(r->a, before);
    return st;
}

static lb_status read_eval(lb_config_reader *r, const lb_yaml *n, const char *title, lb_eval_config *out) {
    LB_TRY(lb_config_read_map(r, n, title, &lb_config_eval_table, out, NULL));
    out->node = n;
    if (!out->name[0]) out->name = out->text;
    lb_protocol p;
    const lb_yaml *where = lb_yaml_get(n, "protocol");
    lb_status st = lb_protocol_parse(out->protocol, &p);
    if (st != LB_OK) return lb_fail_in(st, "%s", lb_config_where(where ? where : n).text);
    if (out->speculative && (!out->kl || lb_protocol_is_task(&p)))
        return lb_fail(LB_E_CONFIG, "%s: %s: speculative: needs %s", lb_config_where(n).text, title,
                       out->kl ? "windows of a text, not items" : "kl: true, for the baseline's states");
    if (out->variant != LB_LAMBADA_OPENAI && p.rule != LB_RULE_LAMB)
        return lb_fail(LB_E_CONFIG, "%s: variant: only protocol LAMB has any, this is %s",
                       lb_config_where(lb_yaml_get(n, "variant")).text, p.id);
    for (const lb_eval_config *e = r->c->eval; e < out; e++)
        if (strcmp(e->name, out->name) == 0 && strcmp(e->protocol, out->protocol) == 0)
            return lb_fail(LB_E_CONFIG, "%s: %s: '%s' with %s is there already: give one of them a name",
                           lb_config_where(n).text, title, out->name, out->protocol);
    return LB_OK;
}

static lb_status read_evals(lb_config_reader *r, const lb_yaml *n) {
    if (!n) return LB_OK;
    size_t count = n->kind == LB_YAML_LIST ? n->count : 1;
    r->c->eval = LB_NEW(r->a, lb_eval_config, count + 1);
    if (!r->c->eval) return LB_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *title = n->kind == LB_YAML_LIST ? lb_arena_printf(r->a, "eval[%zu]", i) : "eval";
        if (!title) return LB_E_NOMEM;
        LB_TRY(read_eval(r, n->kind == LB_YAML_LIST ? n->item[i] : n, title, &r->c->eval[i]));
        r->c->evals = i + 1;
    }
    return LB_OK;
}

/* The experiment's name becomes a folder. */
static lb_status check_name(lb_config_reader *r, const lb_yaml *root) {
    if (!r->c->name[0]) {
        char *base = lb_arena_strdup(r->a, r->c->path[0] ? lb_fs_basename(r->c->path) : "run");
        if (!base) return LB_E_NOMEM;
        char *dot = strrchr(base, '.');
        if (dot && dot != base) *dot = 0;
        r->c->name = base;
    }
    const lb_yaml *n = lb_yaml_get(root, "name");
    if (strchr(r->c->name, '/') || r->c->name[0] == '.' || r->c->name[0] == '-')
        return lb_fail(LB_E_CONFIG,
                       "%s: name = %s: must be a plain folder name, without '/' and not starting with '.' or '-'",
                       lb_config_where(n ? n : root).text, r->c->name);
    return LB_OK;
}

static lb_status read_models(lb_config_reader *r, const lb_yaml *n) {
    const lb_option *o = lb_options_find(&lb_config_top_table, "model");
    lb_axis list;
    LB_TRY(lb_config_read_values(r, n, "config", &list));
    if (list.n > LB_MODELS_MOST)
        return lb_fail(LB_E_CONFIG, "%s: model: %zu of them: at most %d", lb_config_where(n).text, list.n,
                       LB_MODELS_MOST);
    r->c->model = LB_NEW(r->a, const char *, list.n);
    r->c->model_node = LB_NEW(r->a, const lb_yaml *, list.n);
    if (!r->c->model || !r->c->model_node) return LB_E_NOMEM;
    for (size_t i = 0; i < list.n; i++) {
        lb_config_top top = {0};
        bool seen = false;
        LB_TRY(lb_config_set_option(r, &lb_config_top_table, &top, o->name, list.value[i], "config"));
        for (size_t k = 0; k < r->c->models; k++) seen = seen || strcmp(r->c->model[k], top.model) == 0;
        if (seen) continue;
        r->c->model[r->c->models] = top.model;
        r->c->model_node[r->c->models++] = list.value[i];
    }
    return LB_OK;
}

/* Equal ones once, so that there are no more than choices. */
static lb_status read_computes(lb_config_reader *r, const lb_yaml *n, int usual) {
    lb_config *c = r->c;
    lb_axis list = {.n = 1};
    if (n) LB_TRY(lb_config_read_values(r, n, "config", &list));
    if (!(c->compute = LB_NEW(r->a, int, list.n))) return LB_E_NOMEM;
    c->compute_node = n ? n : c->root;
    for (size_t i = 0; i < list.n; i++) {
        lb_config_top top = {.compute = usual};
        bool seen = false;
        if (n) LB_TRY(lb_config_set_option(r, &lb_config_top_table, &top, "compute", list.value[i], "config"));
        for (size_t k = 0; k < c->computes; k++) seen = seen || c->compute[k] == top.compute;
        if (!seen) c->compute[c->computes++] = top.compute;
    }
    return LB_OK;
}

/* A section of a text, or the defaults of one. */
static lb_status read_text(lb_config_reader *r, lb_yaml *root, const char *title, const lb_options *table, void *values,
                           const lb_yaml **node) {
    const char *prefix = lb_arena_printf(r->a, "%s.", title);
    lb_yaml *n = lb_yaml_get(root, title);
    if (!prefix) return LB_E_NOMEM;
    LB_TRY(lb_config_first_values(r, n, prefix, &n));
    LB_TRY(n ? lb_config_read_map(r, n, title, table, values, NULL) : lb_options_defaults(table, r->a, values));
    *node = n;
    return LB_OK;
}

static lb_status read_texts(lb_config_reader *r, lb_yaml *root) {
    lb_calibration_config *c = &r->c->calibration;
    lb_training_config *t = &r->c->training;
    const lb_yaml *of_calibration, *of_training;
    LB_TRY(read_text(r, root, "calibration", &lb_config_calibration_table, c, &of_calibration));
    LB_TRY(read_text(r, root, "training", &lb_config_training_table, t, &of_training));
    c->node = of_calibration;
    t->node = of_training;
    return LB_OK;
}

static const lb_axis *axis_of(const lb_axis *ax, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(ax[i].name, name) == 0) return &ax[i];
    return NULL;
}

/* What says how to validate says nothing where there is no text to do it with. */
static lb_status check_validation(const lb_config_reader *r) {
    static const char *const key[] = {"training.every", "training.validation_windows"};
    static const char text[] = "training.validation";
    const lb_config *c = r->c;
    bool shared = c->training.validation[0] || axis_of(c->axis, c->axes, text), any = shared;
    for (size_t i = 0; i < c->entries; i++) any = any || axis_of(c->entry[i].option, c->entry[i].n_options, text);
    for (size_t k = 0; k < sizeof key / sizeof key[0]; k++) {
        const char *name = strchr(key[k], '.') + 1;
        const lb_axis *axis = axis_of(c->axis, c->axes, key[k]);
        const lb_yaml *n = any                ? NULL
                           : axis             ? axis->node
                           : c->training.node ? lb_yaml_get(c->training.node, name)
                                              : NULL;
        for (size_t i = 0; i < c->entries && !shared && !n; i++) {
            const lb_entry *e = &c->entry[i];
            const lb_axis *own = axis_of(e->option, e->n_options, key[k]);
            if (own && !axis_of(e->option, e->n_options, text)) n = own->node;
        }
        if (n)
            return lb_fail(LB_E_CONFIG, "%s: %s has no effect: there is no text to validate on: add validation: TEXT",
                           lb_config_where(n).text, key[k]);
    }
    return LB_OK;
}

/* A text, which the most probable tokens continue, or a map, in whose place its text is put then. */
static lb_status read_prompt(lb_config_reader *r, lb_yaml *top, lb_prompt_config *out) {
    lb_yaml *one = LB_NEW(r->a, lb_yaml, 1);
    LB_TRY(one ? lb_options_defaults(&lb_config_prompt_table, r->a, out) : LB_E_NOMEM);
    for (size_t i = 0; i < top->count; i++) {
        const lb_yaml *n = top->item[i], *tokens = lb_yaml_get(top, "prompt_tokens");
        if (strcmp(n->key, "prompt") != 0 || n->kind != LB_YAML_MAP) continue;
        if (tokens)
            return lb_fail(LB_E_CONFIG, "%s: prompt_tokens has no effect: prompt is a map, which has tokens of its own",
                           lb_config_where(tokens).text);
        LB_TRY(lb_config_read_map(r, n, "prompt", &lb_config_prompt_table, out, NULL));
        *one = *lb_yaml_get(n, "text");
        one->key = n->key;
        top->item[i] = one;
    }
    return LB_OK;
}

lb_status lb_config_from_tree(lb_arena *a, const char *path, lb_yaml *root, lb_config *out) {
    *out = (lb_config){.path = path, .dir = "", .root = root};
    lb_config_reader r = {.a = a, .c = out};
    if (path[0]) {
        char *dir = lb_fs_dirname(path);
        out->dir = dir ? lb_arena_strdup(a, dir) : NULL;
        lb_free(dir);
        if (!out->dir) return LB_E_NOMEM;
    }
    lb_config_top top = {0};
    lb_yaml *scalars;
    LB_TRY(lb_config_find_axes(&r, root));
    LB_TRY(lb_config_first_values(&r, root, "", &scalars));
    LB_TRY(read_prompt(&r, scalars, &out->prompt));
    LB_TRY(lb_config_read_map(&r, scalars, "config", &lb_config_top_table, &top, lb_config_sections));
    LB_TRY(read_models(&r, r.model));
    LB_TRY(read_computes(&r, r.compute, top.compute));
    out->name = top.name;
    out->results = top.results;
    out->expected = top.expected;
    out->threads = top.threads;
    out->weights = top.weights;
    out->export = top.export;
    out->keep_layers = top.keep_layers || top.keep_model;
    out->keep_model = top.keep_model;
    out->keep_cache = top.keep_cache;
    if (!out->prompt.text) out->prompt.tokens = top.prompt_tokens;
    out->prompt.text = top.prompt;
    LB_TRY(check_name(&r, root));
    LB_TRY(read_texts(&r, root));
    out->cell = (lb_cell_options){.propagate = out->calibration.propagate,
                                  .true_sequential = out->calibration.true_sequential,
                                  .quantize_embedding = top.quantize_embedding,
                                  .quantize_head = top.quantize_head,
                                  .quantize_router = top.quantize_router,
                                  .seed = top.seed,
                                  .token_weight = out->calibration.token_weight,
                                  .token_clip = out->calibration.token_clip};
    LB_TRY(lb_config_read_end(&r, root, "embedding", "quantize_embedding", &out->embedding));
    LB_TRY(lb_config_read_end(&r, root, "head", "quantize_head", &out->head));
    if (out->embedding.method) out->cell.quantize_embedding = true;
    if (out->head.method) out->cell.quantize_head = true;
    LB_TRY(read_evals(&r, lb_yaml_get(root, "eval")));
    if (out->computes > 1 && out->evals == 0)
        return lb_fail(LB_E_CONFIG, "%s: axes.compute has no effect: there is no evaluation",
                       lb_config_where(out->compute_node).text);
    LB_TRY(lb_config_read_entries(&r, lb_yaml_get(root, "quantize")));
    LB_TRY(lb_config_check_axes(&r));
    LB_TRY(check_validation(&r));
    const lb_yaml *n = lb_yaml_get(root, "rules");
    return n && !lb_config_is_rule_sets(n) ? lb_config_read_rules(&r, n, "rules", NULL, &out->rule, &out->rules)
                                           : LB_OK;
}

lb_status lb_config_read(lb_arena *a, const char *path, const char *const *override, int64_t n_override,
                         lb_config *out) {
    lb_yaml *root = NULL;
    LB_TRY(lb_config_load(a, path, override, n_override, &root));
    return lb_config_from_tree(a, path, root, out);
}

/* From the tree to a checked configuration. */
#include "run/config.h"

#include <string.h>

#include "base/fs.h"
#include "base/scalar.h"
#include "result/record.h"

typedef struct reader {
    lb_arena *a;
    lb_config *c;
    const lb_method **method; /* those of the entries, each once */
    size_t methods;
} reader;

static const char *kind_name(const lb_yaml *n) {
    switch (n->kind) {
    case LB_YAML_MAP:
        return "a map";
    case LB_YAML_LIST:
        return "a list";
    default:
        return "one value";
    }
}

static bool is_null(const lb_yaml *n) {
    return n->kind == LB_YAML_SCALAR && !n->quoted && (!n->text || lb_scalar_null(n->text));
}

/* Sets the option that is called `name` from a scalar, with file and line in the error. */
static lb_status set_option(reader *r, const lb_options *table, void *values, const char *name, const lb_yaml *n,
                            const char *whose) {
    lb_where w = lb_config_where(n);
    const lb_option *o = lb_options_find(table, name);
    if (n->kind != LB_YAML_SCALAR)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be one value, not %s (%s)", w.text, o->name, kind_name(n), whose);
    if (is_null(n)) return lb_fail(LB_E_CONFIG, "%s: %s has no value (%s)", w.text, o->name, whose);
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

/* Candidate names, collected to find the nearest. */
typedef struct names {
    const char *at[256];
    size_t n;
} names;

static void names_add(names *k, const char *name) {
    if (k->n < sizeof k->at / sizeof k->at[0]) k->at[k->n++] = name;
}
static void names_add_table(names *k, const lb_options *t) {
    for (size_t i = 0; i < t->n; i++) names_add(k, t->table[i].name);
}

/* in: " in quantize[1]", or ""; m: the method whose options may stand there, or NULL. STAGE.OPTION is known only of an
 * option that two stages have. */
static lb_status unknown_key(const lb_yaml *n, const char *in, const names *known, const lb_method *m) {
    lb_where w = lb_config_where(n);
    const char *dot = strchr(n->key, '.'), *near = lb_str_nearest(n->key, known->at, known->n);
    for (size_t i = 0; dot && i < known->n; i++)
        if (strcmp(known->at[i], dot + 1) == 0) near = known->at[i];
    if (near) return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: did you mean '%s'?", w.text, n->key, in, near);
    if (m && lb_method_stages(m) > 1)
        return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: see lowbit methods NAME of each stage", w.text, n->key,
                       in);
    return lb_fail(LB_E_CONFIG, "%s: unknown key '%s'%s: see lowbit %s%s", w.text, n->key, in,
                   m ? "methods " : "help config", m ? m->name : "");
}

/* The scalars of a map by a table; keys in `also` are left to the caller. */
static lb_status read_map(reader *r, const lb_yaml *map, const char *title, const lb_options *table, void *values,
                          const char *const *also) {
    lb_where w = lb_config_where(map);
    if (map->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a map of keys, not %s", w.text, title, kind_name(map));
    LB_TRY(lb_options_defaults(table, r->a, values));
    for (size_t i = 0; i < map->count; i++) {
        const lb_yaml *n = map->item[i];
        if (lb_options_find(table, n->key)) {
            LB_TRY(set_option(r, table, values, n->key, n, title));
            continue;
        }
        size_t k = 0;
        while (also && also[k] && strcmp(also[k], n->key) != 0) k++;
        if (also && also[k]) continue;
        names known = {0};
        names_add_table(&known, table);
        for (k = 0; also && also[k]; k++) names_add(&known, also[k]);
        const char *in = strcmp(title, "config") == 0 ? "" : lb_arena_printf(r->a, " in %s", title);
        if (!in) return LB_E_NOMEM;
        return unknown_key(n, in, &known, NULL);
    }
    for (size_t i = 0; i < table->n; i++)
        if (!table->table[i].def && !lb_yaml_get(map, table->table[i].name))
            return lb_fail(LB_E_CONFIG, "%s: %s: '%s' is missing (%s)", w.text, title, table->table[i].name,
                           table->table[i].help);
    return LB_OK;
}

/* One value, or a list of them. */
static lb_status read_values(reader *r, const lb_yaml *n, const char *title, lb_axis *out) {
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

/* The table that has an option for this method: its own first, then what every cell has. */
static const lb_options *table_of(const lb_method *m, const char *name) {
    if (m && lb_options_find(&m->options, name)) return &m->options;
    if (m && lb_options_find(&lb_config_cell_table, name)) return &lb_config_cell_table;
    return NULL;
}

/* Tries a value in a scratch struct: is it one that the option takes? */
static lb_status try_value(reader *r, const lb_method *m, const lb_options *t, const char *name, const lb_yaml *v) {
    LB_TRY(lb_interrupt_check());
    lb_arena_mark before = lb_arena_save(r->a);
    void *scratch = lb_arena_get(r->a, 1, t->struct_size + 1);
    const char *whose = t == &m->options ? lb_arena_printf(r->a, "method %s", m->name) : "quantize";
    lb_status st = scratch && whose ? lb_options_defaults(t, r->a, scratch) : LB_E_NOMEM;
    if (st == LB_OK) st = set_option(r, t, scratch, name, v, whose);
    lb_arena_restore(r->a, before);
    return st;
}

/* Value v of option `name` must suit at least one entry's method that has it. LB_E_CONFIG with the last complaint
 * otherwise; *has says whether any method has the option at all. */
static lb_status try_everywhere(reader *r, const char *name, const lb_yaml *v, bool cell_options, bool *has) {
    lb_status last = LB_OK;
    bool fits = false;
    *has = false;
    for (size_t i = 0; i < r->methods && !fits; i++) {
        const lb_method *m = r->method[i];
        const lb_options *t = table_of(m, name);
        if (!t || (t == &lb_config_cell_table && !cell_options)) continue;
        *has = true;
        last = try_value(r, m, t, name, v);
        if (last == LB_E_NOMEM) return last;
        fits = last == LB_OK;
    }
    return fits || !*has ? LB_OK : last;
}

static void names_of_entries(const reader *r, names *known) {
    for (size_t i = 0; i < r->methods; i++) names_add_table(known, &r->method[i]->options);
}

static void add_method(reader *r, const lb_method *m) {
    for (size_t i = 0; i < r->methods && m; i++)
        if (r->method[i] == m) return;
    if (m) r->method[r->methods++] = m;
}

/* One rule; m: of an entry with this method, NULL: a rule for all. */
static lb_status read_rule(reader *r, const lb_yaml *n, const char *title, const lb_method *m, lb_rule *out) {
    lb_where w = lb_config_where(n);
    if (n->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a map with match, and options or skip", w.text, title);
    out->node = n;
    out->set = LB_NEW(r->a, const lb_yaml *, n->count + 1);
    if (!out->set) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        const lb_yaml *v = n->item[i];
        lb_where at = lb_config_where(v);
        if (strcmp(v->key, "match") == 0) {
            if (v->kind != LB_YAML_SCALAR || is_null(v) || !v->text[0])
                return lb_fail(LB_E_CONFIG, "%s: match: must be a pattern on layer names, such as \"*.down\"", at.text);
            out->match = v->text;
        } else if (strcmp(v->key, "skip") == 0) {
            if (v->kind != LB_YAML_SCALAR || v->quoted || lb_scalar_bool(v->text, &out->skip) != LB_OK)
                return lb_fail(LB_E_CONFIG, "%s: skip: must be true or false", at.text);
            out->has_skip = true;
        } else if (strcmp(v->key, "same_as") == 0) {
            if (v->kind != LB_YAML_SCALAR || is_null(v) || !v->text[0])
                return lb_fail(LB_E_CONFIG, "%s: same_as: must be the name of a layer, such as \"0.down\"", at.text);
            out->same_as = v->text;
        } else {
            bool has = m && lb_options_find(&m->options, v->key);
            if (has)
                LB_TRY(try_value(r, m, &m->options, v->key, v));
            else if (!m)
                LB_TRY(try_everywhere(r, v->key, v, false, &has));
            if (!has) {
                names known = {{"match", "skip", "same_as"}, 3};
                if (m)
                    names_add_table(&known, &m->options);
                else
                    names_of_entries(r, &known);
                const char *in = lb_arena_printf(r->a, " in %s", title);
                return in ? unknown_key(v, in, &known, m) : LB_E_NOMEM;
            }
            out->set[out->n++] = v;
        }
    }
    if (!out->match) return lb_fail(LB_E_CONFIG, "%s: %s: 'match' is missing", w.text, title);
    if (out->same_as && (out->n > 0 || out->has_skip))
        return lb_fail(LB_E_CONFIG, "%s: %s: same_as: the layer is what %s is: neither options nor skip beside it",
                       w.text, title, out->same_as);
    if (out->n == 0 && !out->has_skip && !out->same_as)
        return lb_fail(LB_E_CONFIG, "%s: %s: sets nothing: give an option or skip: true", w.text, title);
    return LB_OK;
}

static lb_status read_rules(reader *r, const lb_yaml *n, const char *title, const lb_method *m, lb_rule **out,
                            size_t *count) {
    if (n->kind != LB_YAML_LIST)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a list of maps, not %s", lb_config_where(n).text, title,
                       kind_name(n));
    *out = LB_NEW(r->a, lb_rule, n->count + 1);
    if (!*out) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        const char *name = lb_arena_printf(r->a, "%s[%zu]", title, i);
        if (!name) return LB_E_NOMEM;
        LB_TRY(read_rule(r, n->item[i], name, m, &(*out)[i]));
    }
    *count = n->count;
    return LB_OK;
}

static lb_status check_entry(const lb_yaml *n, const char *title) {
    if (n->kind == LB_YAML_MAP) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: %s: must be a map with method and its options, not %s", lb_config_where(n).text,
                   title, kind_name(n));
}

static lb_status read_method(const lb_yaml *n, const lb_yaml *map, const char *title, const lb_method **out) {
    if (!n)
        return lb_fail(LB_E_CONFIG, "%s: %s: 'method' is missing (lowbit methods lists them)",
                       lb_config_where(map).text, title);
    lb_where w = lb_config_where(n);
    if (n->kind != LB_YAML_SCALAR || is_null(n))
        return lb_fail(LB_E_CONFIG, "%s: method: must be a name (lowbit methods lists them)", w.text);
    *out = NULL;
    if (strcmp(n->text, "none") == 0) return LB_OK;
    *out = lb_method_find(n->text);
    if (*out) return LB_OK;
    names known = {0};
    names_add(&known, "none");
    for (size_t i = 0; lb_method_at(i); i++) names_add(&known, lb_method_at(i)->name);
    const char *near = lb_str_nearest(n->text, known.at, known.n);
    if (near)
        return lb_fail(LB_E_CONFIG, "%s: unknown method '%s' in %s: did you mean '%s'?", w.text, n->text, title, near);
    return lb_fail(LB_E_CONFIG, "%s: unknown method '%s' in %s: lowbit methods lists them", w.text, n->text, title);
}

/* The methods of an entry's stages as one. A single stage is that method. */
static lb_status read_stages(reader *r, const lb_yaml *n, const char *title, const lb_method **out) {
    lb_where w = lb_config_where(n);
    if (n->kind != LB_YAML_LIST || n->count == 0)
        return lb_fail(LB_E_CONFIG, "%s: %s.stages: must be a list of maps, each with method and its options", w.text,
                       title);
    const lb_method **m = LB_NEW(r->a, const lb_method *, n->count);
    if (!m) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        const char *name = lb_arena_printf(r->a, "%s.stages[%zu]", title, i);
        if (!name) return LB_E_NOMEM;
        LB_TRY(check_entry(n->item[i], name));
        LB_TRY(read_method(lb_yaml_get(n->item[i], "method"), n->item[i], name, &m[i]));
        if (!m[i])
            return lb_fail(LB_E_CONFIG, "%s: %s: none is no stage: it quantizes nothing",
                           lb_config_where(n->item[i]).text, name);
    }
    *out = m[0];
    if (n->count == 1) return LB_OK;
    lb_status st = lb_pipeline_new(r->a, m, n->count, out);
    return st == LB_E_ARG ? lb_fail_in(LB_E_CONFIG, "%s: %s.stages", w.text, title) : st;
}

/* An option of the entry: one value, or an axis of it. name: as its method has it. */
static lb_status add_option(reader *r, const lb_yaml *n, const char *title, const lb_options *t, const char *name,
                            lb_entry *out) {
    lb_axis *ax = &out->option[out->n_options];
    for (size_t i = 0; i < out->n_options; i++) {
        const lb_option *there = lb_options_find(t, out->option[i].name);
        if (there && lb_option_answers(there, name))
            return lb_fail(LB_E_CONFIG, "%s: %s in %s: a stage sets it already", lb_config_where(n).text, n->key,
                           title);
    }
    LB_TRY(read_values(r, n, title, ax));
    ax->name = name;
    out->n_options++;
    for (size_t k = 0; k < ax->n; k++) LB_TRY(try_value(r, out->method, t, name, ax->value[k]));
    return LB_OK;
}

/* A key of a stage that is no option of it there. */
static lb_status not_of_stage(reader *r, const lb_yaml *n, const char *title, const lb_stage *s) {
    lb_where w = lb_config_where(n);
    if (lb_options_find(&s->method->options, n->key))
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: does not apply where %s goes on from the stage before", w.text,
                       n->key, title, s->method->name);
    if (lb_options_find(&lb_config_cell_table, n->key))
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: is of all stages together: it belongs beside them", w.text, n->key,
                       title);
    names known = {{"method"}, 1};
    names_add_table(&known, s->options);
    const char *in = lb_arena_printf(r->a, " in %s", title);
    return in ? unknown_key(n, in, &known, s->method) : LB_E_NOMEM;
}

static lb_status read_stage_options(reader *r, const lb_yaml *list, const char *title, lb_entry *out) {
    const lb_method *m = out->method;
    for (size_t i = 0; i < list->count; i++) {
        const lb_stage only = {m, &m->options, 0, 0, 0}, *s = m->stages ? &m->stage[i] : &only;
        const char *name = lb_arena_printf(r->a, "%s.stages[%zu]", title, i);
        if (!name) return LB_E_NOMEM;
        for (size_t k = 0; k < list->item[i]->count; k++) {
            const lb_yaml *v = list->item[i]->item[k];
            if (strcmp(v->key, "method") == 0) continue;
            const lb_option *o = lb_options_find(s->options, v->key);
            if (!o) return not_of_stage(r, v, name, s);
            o = &m->options.table[s->first + (size_t)(o - s->options->table)];
            LB_TRY(add_option(r, v, name, &m->options, o->name, out));
        }
    }
    return LB_OK;
}

static lb_status read_methods(reader *r, const lb_yaml *n, const char *title, lb_entry *out) {
    const lb_yaml *method = lb_yaml_get(n, "method"), *stages = lb_yaml_get(n, "stages");
    size_t options = n->count + 1;
    if (method && stages)
        return lb_fail(LB_E_CONFIG, "%s: %s has a method and stages: give one of them", lb_config_where(stages).text,
                       title);
    LB_TRY(stages ? read_stages(r, stages, title, &out->method) : read_method(method, n, title, &out->method));
    for (size_t i = 0; stages && i < stages->count; i++) options += stages->item[i]->count;
    if (!(out->option = LB_NEW(r->a, lb_axis, options))) return LB_E_NOMEM;
    return stages ? read_stage_options(r, stages, title, out) : LB_OK;
}

/* Are its layers solved on statistics? Stages that preserve have theirs of the model as it is then. */
static bool solves(const lb_method *m) {
    size_t first = lb_method_preserving(m);
    uint32_t needs = 0;
    for (size_t i = first; i < lb_method_stages(m); i++) needs |= lb_method_stage(m, i)->needs;
    return (needs & LB_NEEDS_STATISTICS) != 0;
}

/* An entry's method and options; its rules come when every entry's method is known. */
static lb_status read_entry(reader *r, const lb_yaml *n, const char *title, lb_entry *out) {
    LB_TRY(check_entry(n, title));
    out->node = n;
    LB_TRY(read_methods(r, n, title, out));
    for (size_t i = 0; i < n->count; i++) {
        const lb_yaml *v = n->item[i];
        if (strcmp(v->key, "method") == 0 || strcmp(v->key, "stages") == 0 || strcmp(v->key, "rules") == 0) continue;
        const lb_options *t = table_of(out->method, v->key);
        if (!t) {
            names known = {{"method", "stages", "rules"}, 3};
            if (out->method) {
                names_add_table(&known, &out->method->options);
                names_add_table(&known, &lb_config_cell_table);
            }
            const char *in = lb_arena_printf(r->a, " in %s", title);
            return in ? unknown_key(v, in, &known, lb_yaml_get(n, "stages") ? NULL : out->method) : LB_E_NOMEM;
        }
        bool statistics = strcmp(v->key, "propagate") == 0 || strcmp(v->key, "true_sequential") == 0;
        if (t == &lb_config_cell_table && statistics && !solves(out->method))
            return lb_fail(LB_E_CONFIG, "%s: %s in %s: method %s needs no statistics, so it does not apply",
                           lb_config_where(v).text, v->key, title, out->method->name);
        LB_TRY(add_option(r, v, title, t, v->key, out));
    }
    return LB_OK;
}

static lb_status read_entries(reader *r, const lb_yaml *n) {
    if (!n) return LB_OK;
    if (n->kind != LB_YAML_LIST)
        return lb_fail(LB_E_CONFIG, "%s: quantize: must be a list of maps, each with a method",
                       lb_config_where(n).text);
    r->c->entry = LB_NEW(r->a, lb_entry, n->count + 1);
    r->method = LB_NEW(r->a, const lb_method *, n->count + 1);
    if (!r->c->entry || !r->method) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        const char *title = lb_arena_printf(r->a, "quantize[%zu]", i);
        if (!title) return LB_E_NOMEM;
        r->c->entry[i].index = i;
        LB_TRY(read_entry(r, n->item[i], title, &r->c->entry[i]));
        add_method(r, r->c->entry[i].method);
        r->c->entries = i + 1;
    }
    for (size_t i = 0; i < n->count; i++) {
        lb_entry *e = &r->c->entry[i];
        const lb_yaml *rules = lb_yaml_get(e->node, "rules");
        if (!rules) continue;
        const char *title = lb_arena_printf(r->a, "quantize[%zu].rules", i);
        if (!title) return LB_E_NOMEM;
        if (!e->method)
            return lb_fail(LB_E_CONFIG, "%s: %s: method none quantizes nothing", lb_config_where(rules).text, title);
        LB_TRY(read_rules(r, rules, title, e->method, &e->rule, &e->n_rules));
    }
    return LB_OK;
}

static lb_status read_axes(reader *r, const lb_yaml *n) {
    if (!n) return LB_OK;
    if (n->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: axes: must be a map from options to lists", lb_config_where(n).text);
    r->c->axis = LB_NEW(r->a, lb_axis, n->count + 1);
    if (!r->c->axis) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        lb_axis *ax = &r->c->axis[r->c->axes++];
        LB_TRY(read_values(r, n->item[i], "axes", ax));
        for (size_t k = 0; k < ax->n; k++) {
            bool has = false;
            LB_TRY(try_everywhere(r, ax->name, ax->value[k], true, &has));
            if (has) continue;
            names known = {0};
            names_of_entries(r, &known);
            names_add_table(&known, &lb_config_cell_table);
            const char *near = lb_str_nearest(ax->name, known.at, known.n);
            if (near && strcmp(near, ax->name) != 0)
                return lb_fail(LB_E_CONFIG,
                               "%s: axis '%s': no method of this config has that option: did you mean "
                               "'%s'?",
                               lb_config_where(ax->node).text, ax->name, near);
            return lb_fail(LB_E_CONFIG, "%s: axis '%s': no method of this config has that option",
                           lb_config_where(ax->node).text, ax->name);
        }
    }
    return LB_OK;
}

static lb_status read_eval(reader *r, const lb_yaml *n, const char *title, lb_eval_config *out) {
    LB_TRY(read_map(r, n, title, &lb_config_eval_table, out, NULL));
    out->node = n;
    if (!out->name[0]) out->name = out->text;
    lb_protocol p;
    const lb_yaml *where = lb_yaml_get(n, "protocol");
    lb_status st = lb_protocol_parse(out->protocol, &p);
    if (st != LB_OK) return lb_fail_in(st, "%s", lb_config_where(where ? where : n).text);
    for (const lb_eval_config *e = r->c->eval; e < out; e++)
        if (strcmp(e->name, out->name) == 0 && strcmp(e->protocol, out->protocol) == 0)
            return lb_fail(LB_E_CONFIG, "%s: %s: '%s' with %s is there already: give one of them a name",
                           lb_config_where(n).text, title, out->name, out->protocol);
    return LB_OK;
}

static lb_status read_evals(reader *r, const lb_yaml *n) {
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
static lb_status check_name(reader *r, const lb_yaml *root) {
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

/* The map with the first of a list of models in its place: what the table of scalars reads. */
static lb_status with_one_model(reader *r, lb_yaml *root, lb_yaml **out) {
    lb_yaml *list = root->kind == LB_YAML_MAP ? lb_yaml_get(root, "model") : NULL;
    *out = root;
    if (!list || list->kind != LB_YAML_LIST) return LB_OK;
    lb_axis models;
    LB_TRY(read_values(r, list, "config", &models));
    lb_yaml *m = LB_NEW(r->a, lb_yaml, 1), *one = LB_NEW(r->a, lb_yaml, 1);
    lb_yaml **item = LB_NEW(r->a, lb_yaml *, root->count);
    if (!m || !one || !item) return LB_E_NOMEM;
    *m = *root;
    *one = *models.value[0];
    one->key = list->key;
    m->item = item;
    for (size_t i = 0; i < root->count; i++) item[i] = root->item[i] == list ? one : root->item[i];
    *out = m;
    return LB_OK;
}

static lb_status read_models(reader *r, const lb_yaml *n) {
    const lb_option *o = lb_options_find(&lb_config_top_table, "model");
    lb_axis list;
    LB_TRY(read_values(r, n, "config", &list));
    if (list.n > LB_MODELS_MOST)
        return lb_fail(LB_E_CONFIG, "%s: model: %zu of them: at most %d", lb_config_where(n).text, list.n,
                       LB_MODELS_MOST);
    r->c->model = LB_NEW(r->a, const char *, list.n);
    r->c->model_node = LB_NEW(r->a, const lb_yaml *, list.n);
    if (!r->c->model || !r->c->model_node) return LB_E_NOMEM;
    for (size_t i = 0; i < list.n; i++) {
        lb_config_top top = {0};
        bool seen = false;
        LB_TRY(set_option(r, &lb_config_top_table, &top, o->name, list.value[i], "config"));
        for (size_t k = 0; k < r->c->models; k++) seen = seen || strcmp(r->c->model[k], top.model) == 0;
        if (seen) continue;
        r->c->model[r->c->models] = top.model;
        r->c->model_node[r->c->models++] = list.value[i];
    }
    return LB_OK;
}

lb_status lb_config_from_tree(lb_arena *a, const char *path, lb_yaml *root, lb_config *out) {
    *out = (lb_config){.path = path, .dir = "", .root = root};
    reader r = {.a = a, .c = out};
    if (path[0]) {
        char *dir = lb_fs_dirname(path);
        out->dir = dir ? lb_arena_strdup(a, dir) : NULL;
        lb_free(dir);
        if (!out->dir) return LB_E_NOMEM;
    }
    lb_config_top top = {0};
    lb_yaml *scalars;
    LB_TRY(with_one_model(&r, root, &scalars));
    LB_TRY(read_map(&r, scalars, "config", &lb_config_top_table, &top, lb_config_sections));
    LB_TRY(read_models(&r, lb_yaml_get(root, "model")));
    out->name = top.name;
    out->results = top.results;
    out->threads = top.threads;
    out->weights = top.weights;
    out->compute = top.compute;
    out->export = top.export;
    out->keep_layers = top.keep_layers;
    out->keep_cache = top.keep_cache;
    LB_TRY(check_name(&r, root));
    const lb_yaml *n = lb_yaml_get(root, "calibration");
    out->has_calibration = n != NULL;
    if (n) LB_TRY(read_map(&r, n, "calibration", &lb_config_calibration_table, &out->calibration, NULL));
    out->calibration.node = n;
    out->cell = (lb_cell_options){.propagate = out->calibration.propagate,
                                  .true_sequential = out->calibration.true_sequential,
                                  .quantize_embedding = top.quantize_embedding,
                                  .quantize_head = top.quantize_head,
                                  .quantize_router = top.quantize_router,
                                  .seed = top.seed};
    n = lb_yaml_get(root, "training");
    out->has_training = n != NULL;
    if (n) LB_TRY(read_map(&r, n, "training", &lb_config_training_table, &out->training, NULL));
    out->training.node = n;
    LB_TRY(read_evals(&r, lb_yaml_get(root, "eval")));
    LB_TRY(read_entries(&r, lb_yaml_get(root, "quantize")));
    LB_TRY(read_axes(&r, lb_yaml_get(root, "axes")));
    n = lb_yaml_get(root, "rules");
    return n ? read_rules(&r, n, "rules", NULL, &out->rule, &out->rules) : LB_OK;
}

lb_status lb_config_read(lb_arena *a, const char *path, const char *const *override, int64_t n_override,
                         lb_config *out) {
    lb_yaml *root = NULL;
    LB_TRY(lb_config_load(a, path, override, n_override, &root));
    return lb_config_from_tree(a, path, root, out);
}

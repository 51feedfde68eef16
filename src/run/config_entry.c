/* An entry of `quantize`, and rules: methods, stages, and the options that each may set. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/scalar.h"
#include "run/config_impl.h"
#include "run/field_names.h"

void lb_config_names_of_entries(const lb_config_reader *r, lb_config_names *known) {
    for (size_t i = 0; i < r->methods; i++) lb_config_names_add_table(known, &r->method[i]->options);
}

/* One rule; m: of an entry with this method, NULL: a rule for all. */
static lb_status read_rule(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_method *m, lb_rule *out) {
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
            if (v->kind != LB_YAML_SCALAR || lb_config_is_null(v) || !v->text[0])
                return lb_fail(LB_E_CONFIG, "%s: match: must be a pattern on layer names, such as \"*.down\"", at.text);
            out->match = v->text;
        } else if (strcmp(v->key, "skip") == 0) {
            if (v->kind != LB_YAML_SCALAR || v->quoted || lb_scalar_bool(v->text, &out->skip) != LB_OK)
                return lb_fail(LB_E_CONFIG, "%s: skip: must be true or false", at.text);
            out->has_skip = true;
        } else if (strcmp(v->key, "same_as") == 0) {
            if (v->kind != LB_YAML_SCALAR || lb_config_is_null(v) || !v->text[0])
                return lb_fail(LB_E_CONFIG, "%s: same_as: must be the name of a layer, such as \"0.down\"", at.text);
            out->same_as = v->text;
        } else {
            bool has = m && lb_options_find(&m->options, v->key);
            if (v->kind == LB_YAML_LIST)
                return lb_fail(LB_E_CONFIG, "%s: %s: must be one value, not a list: %s (%s)", at.text, v->key,
                               lb_config_no_axis("rules", v->key), title);
            if (has)
                LB_TRY(lb_config_try_value(r, m, &(lb_axis_target){LB_OF_METHOD, &m->options, v->key}, v));
            else if (!m)
                LB_TRY(lb_config_try_everywhere(r, v->key, v, false, &has));
            if (!has) {
                lb_config_names known = {{"match", "skip", "same_as"}, 3};
                if (m)
                    lb_config_names_add_table(&known, &m->options);
                else
                    lb_config_names_of_entries(r, &known);
                const char *in = lb_arena_printf(r->a, " in %s", title);
                return in ? lb_config_unknown_key(v, in, &known, m) : LB_E_NOMEM;
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

lb_status lb_config_read_rules(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_method *m,
                               lb_rule **out, size_t *count) {
    if (n->kind != LB_YAML_LIST)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a list of maps, not %s", lb_config_where(n).text, title,
                       lb_config_kind_name(n));
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
                   title, lb_config_kind_name(n));
}

/* A key of the map that looks like one of those that name a method. */
static lb_status no_method(const lb_yaml *map, const char *title) {
    const lb_config_names known = {{"method", "stages"},
                                   strncmp(title, "quantize", 8) == 0 && !strstr(title, ".stages") ? 2 : 1};
    char in[128];
    snprintf(in, sizeof in, " in %s", title);
    for (size_t i = 0; map->kind == LB_YAML_MAP && i < map->count; i++)
        if (lb_str_nearest(map->item[i]->key, known.at, known.n))
            return lb_config_unknown_key(map->item[i], in, &known, NULL);
    return lb_fail(LB_E_CONFIG, "%s: %s: 'method' is missing (lowbit methods lists them)", lb_config_where(map).text,
                   title);
}

lb_status lb_config_read_method(const lb_yaml *n, const lb_yaml *map, const char *title, const lb_method **out) {
    if (!n) return no_method(map, title);
    lb_where w = lb_config_where(n);
    bool end = strcmp(title, "embedding") == 0 || strcmp(title, "head") == 0;
    if (n->kind == LB_YAML_LIST)
        return lb_fail(LB_E_CONFIG, "%s: method: must be a name, not a list: %s", w.text,
                       lb_config_no_axis("config", end ? title : "stages"));
    if (n->kind != LB_YAML_SCALAR || lb_config_is_null(n))
        return lb_fail(LB_E_CONFIG, "%s: method: must be a name (lowbit methods lists them)", w.text);
    *out = NULL;
    if (strcasecmp(n->text, "none") == 0) return LB_OK;
    *out = lb_method_find(n->text);
    if (*out) return LB_OK;
    return lb_unknown_method(LB_E_CONFIG, w.text, n->text, title);
}

/* The methods of an entry's stages as one. A single stage is that method. */
static lb_status read_stages(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_method **out) {
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
        LB_TRY(lb_config_read_method(lb_yaml_get(n->item[i], "method"), n->item[i], name, &m[i]));
        if (!m[i])
            return lb_fail(LB_E_CONFIG, "%s: %s: none is no stage: it quantizes nothing",
                           lb_config_where(n->item[i]).text, name);
    }
    *out = m[0];
    if (n->count == 1) return LB_OK;
    lb_status st = lb_pipeline_new(r->a, m, n->count, out);
    return st == LB_E_ARG ? lb_fail_in(LB_E_CONFIG, "%s: %s.stages", w.text, title) : st;
}

/* An option of the entry: one value, or an axis of it. name: as lb_axis_find_in has it. */
static lb_status add_option(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_axis_target *t,
                            const char *name, lb_entry *out) {
    lb_axis *ax = &out->option[out->n_options];
    for (size_t i = 0; i < out->n_options; i++) {
        const lb_option *there = lb_options_find(&out->method->options, out->option[i].name);
        if (there && t->owner == LB_OF_METHOD && lb_option_answers(there, name))
            return lb_fail(LB_E_CONFIG, "%s: %s in %s: a stage sets it already", lb_config_where(n).text, n->key,
                           title);
        if (t->owner != LB_OF_METHOD && strcmp(out->option[i].name, name) == 0)
            return lb_fail(LB_E_CONFIG, "%s: %s in %s: is given already (%s)", lb_config_where(n).text, name, title,
                           lb_config_where(out->option[i].node).text);
    }
    LB_TRY(lb_config_read_values(r, n, title, ax));
    ax->name = name;
    out->n_options++;
    for (size_t k = 0; k < ax->n; k++) LB_TRY(lb_config_try_value(r, out->method, t, ax->value[k]));
    return LB_OK;
}

/* A key of a stage that is no option of it there. */
static lb_status not_of_stage(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_stage *s) {
    lb_where w = lb_config_where(n);
    if (lb_options_find(&s->method->options, n->key))
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: does not apply where %s goes on from the stage before", w.text,
                       n->key, title, s->method->name);
    if (lb_options_find(&lb_config_cell_table, n->key))
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: is of all stages together: it belongs beside them", w.text, n->key,
                       title);
    lb_config_names known = {{"method"}, 1};
    lb_config_names_add_table(&known, s->options);
    const char *in = lb_arena_printf(r->a, " in %s", title);
    return in ? lb_config_unknown_key(n, in, &known, s->method) : LB_E_NOMEM;
}

static lb_status read_stage_options(lb_config_reader *r, const lb_yaml *list, const char *title, lb_entry *out) {
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
            const lb_axis_target of = {LB_OF_METHOD, &m->options, o->name};
            LB_TRY(add_option(r, v, name, &of, o->name, out));
        }
    }
    return LB_OK;
}

static lb_status read_methods(lb_config_reader *r, const lb_yaml *n, const char *title, lb_entry *out) {
    const lb_yaml *method = lb_yaml_get(n, "method"), *stages = lb_yaml_get(n, "stages");
    size_t options = n->count + 1;
    if (method && stages)
        return lb_fail(LB_E_CONFIG, "%s: %s has a method and stages: give one of them", lb_config_where(stages).text,
                       title);
    LB_TRY(stages ? read_stages(r, stages, title, &out->method)
                  : lb_config_read_method(method, n, title, &out->method));
    for (size_t i = 0; stages && i < stages->count; i++) options += stages->item[i]->count;
    for (size_t i = 0; i < n->count; i++) options += n->item[i]->kind == LB_YAML_MAP ? n->item[i]->count : 0;
    if (!(out->option = LB_NEW(r->a, lb_axis, options))) return LB_E_NOMEM;
    return stages ? read_stage_options(r, stages, title, out) : LB_OK;
}

/* Are its layers, or an end of its own, solved on statistics? Stages that preserve have theirs of the model as it is
 * then. */
static bool solves(const lb_config *c, const lb_entry *e) {
    const lb_method *m = e->method;
    const lb_end *const end[] = {&c->embedding, &c->head, &e->embedding, &e->head};
    size_t first = lb_method_preserving(m);
    uint32_t needs = 0;
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) needs |= end[i]->method ? end[i]->method->needs : 0u;
    for (size_t i = first; i < lb_method_stages(m); i++) needs |= lb_method_stage(m, i)->needs;
    return (needs & LB_NEEDS_STATISTICS) != 0;
}

/* Does any of its stages, or an end of its own, read H? */
static bool reads_hessian(const lb_config *c, const lb_entry *e) {
    const lb_end *const end[] = {&c->embedding, &c->head, &e->embedding, &e->head};
    uint32_t needs = 0;
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) needs |= end[i]->method ? end[i]->method->needs : 0u;
    for (size_t i = 0; i < lb_method_stages(e->method); i++) needs |= lb_method_stage(e->method, i)->needs;
    return (needs & LB_NEEDS_HESSIAN) != 0;
}

/* What the cells of an entry are to be called in tables and legends. */
static lb_status read_label(lb_config_reader *r, const lb_yaml *n, const char *title, lb_entry *out) {
    enum { LONGEST = 80 };
    lb_where w = lb_config_where(n);
    size_t len = n->kind == LB_YAML_SCALAR && !lb_config_is_null(n) ? strlen(n->text) : 0;
    bool plain = len > 0 && len <= LONGEST && n->text[0] != ' ' && n->text[len - 1] != ' ';
    for (size_t i = 0; i < len; i++) plain = plain && (unsigned char)n->text[i] >= 0x20 && n->text[i] != 0x7f;
    if (!plain)
        return lb_fail(LB_E_CONFIG, "%s: label in %s: must be a text of at most %d bytes on one line", w.text, title,
                       LONGEST);
    if (!out->method)
        return lb_fail(LB_E_CONFIG, "%s: label in %s: method none is the baseline, whose name is none", w.text, title);
    for (size_t i = 0; i < r->c->entries; i++)
        if (r->c->entry[i].label && r->c->entry[i].label_node != n && strcmp(r->c->entry[i].label, n->text) == 0)
            return lb_fail(LB_E_CONFIG, "%s: label in %s: '%s' is the label of quantize[%zu] (%s)", w.text, title,
                           n->text, r->c->entry[i].place, lb_config_where(r->c->entry[i].label_node).text);
    out->label = n->text;
    out->label_node = n;
    return LB_OK;
}

/* A key that an entry does not have. */
static lb_status not_of_entry(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_yaml *entry,
                              const lb_method *m) {
    lb_config_names known = {{"method", "stages", "rules", "label", "embedding", "head", "calibration", "training"}, 8};
    if (m) {
        lb_config_names_add_table(&known, &m->options);
        lb_config_names_add_table(&known, &lb_config_cell_table);
    }
    const char *in = lb_arena_printf(r->a, " in %s", title);
    return in ? lb_config_unknown_key(n, in, &known, lb_yaml_get(entry, "stages") ? NULL : m) : LB_E_NOMEM;
}

/* "embedding.bits" beside a map of the entry that says of bits already. */
static lb_status check_own_map(const lb_yaml *n, const char *title, const lb_axis_target *t, const lb_entry *e) {
    const lb_end *own = t->owner == LB_OF_HEAD ? &e->head : &e->embedding;
    const lb_yaml *there = own->method ? lb_yaml_get(own->node, t->name) : NULL;
    if (!there) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: %s in %s: is given already (%s)", lb_config_where(n).text, n->key, title,
                   lb_config_where(there).text);
}

/* name: as an axis has it. */
static lb_status read_option(lb_config_reader *r, const lb_yaml *n, const char *title, const char *name,
                             lb_entry *out) {
    lb_axis_target t;
    if (!lb_axis_find_in(r->c, out, name, &t)) return not_of_entry(r, n, title, out->node, out->method);
    if (t.owner == LB_OF_EMBEDDING || t.owner == LB_OF_HEAD) LB_TRY(check_own_map(n, title, &t, out));
    bool statistics = strcmp(t.name, "propagate") == 0 || strcmp(t.name, "true_sequential") == 0;
    if (t.owner == LB_OF_CELL && statistics && !solves(r->c, out))
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: method %s needs no statistics, so it does not apply",
                       lb_config_where(n).text, n->key, title, out->method->name);
    bool weighs = strcmp(t.name, "token_weight") == 0 || strcmp(t.name, "token_clip") == 0;
    if (t.owner == LB_OF_CELL && weighs && !reads_hessian(r->c, out))
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: method %s needs no H, so it does not apply", lb_config_where(n).text,
                       n->key, title, out->method->name);
    return add_option(r, n, title, &t, name, out);
}

/* What of the calibration, or of the training text, is another for the cells of an entry. */
static lb_status read_own_text(lb_config_reader *r, const lb_yaml *map, const char *title, lb_entry *out) {
    if (map->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: %s in %s: must be a map of keys, not %s", lb_config_where(map).text, map->key,
                       title, lb_config_kind_name(map));
    if (!out->method) return not_of_entry(r, map, title, out->node, NULL);
    const char *inner = lb_arena_printf(r->a, "%s.%s", title, map->key);
    if (!inner) return LB_E_NOMEM;
    bool calibration = strcmp(map->key, "calibration") == 0;
    for (size_t i = 0; i < map->count; i++) {
        const lb_options *table = calibration ? &lb_config_calibration_table : &lb_config_training_table;
        const char *key = map->item[i]->key, *name = lb_arena_printf(r->a, "%s.%s", map->key, key);
        if (!name) return LB_E_NOMEM;
        if (!lb_options_find(table, key)) {
            lb_config_names known = {0};
            const char *in = lb_arena_printf(r->a, " in %s", inner);
            lb_config_names_add_table(&known, table);
            return in ? lb_config_unknown_key(map->item[i], in, &known, NULL) : LB_E_NOMEM;
        }
        LB_TRY(read_option(r, map->item[i], inner, lb_axis_proper(name), out));
    }
    return LB_OK;
}

/* Lists in the map of an end are axes of its entry. */
static lb_status read_end_lists(lb_config_reader *r, const lb_end *end, lb_option_owner owner, const char *title,
                                lb_entry *out) {
    const char *inner = end->method ? lb_arena_printf(r->a, "%s.%s", title, end->node->key) : "";
    if (!inner) return LB_E_NOMEM;
    for (size_t i = 0; end->method && i < end->node->count; i++) {
        const lb_yaml *n = end->node->item[i];
        if (n->kind != LB_YAML_LIST) continue;
        const lb_axis_target t = {owner, &end->method->options, n->key};
        const char *name = lb_arena_printf(r->a, "%s.%s", end->node->key, n->key);
        if (!name) return LB_E_NOMEM;
        LB_TRY(add_option(r, n, inner, &t, name, out));
    }
    return LB_OK;
}

lb_status lb_config_read_entry(lb_config_reader *r, const lb_yaml *n, const char *title, lb_entry *out) {
    LB_TRY(check_entry(n, title));
    out->node = n;
    LB_TRY(read_methods(r, n, title, out));
    LB_TRY(lb_config_read_end(r, n, "embedding", "quantize_embedding", &out->embedding));
    LB_TRY(lb_config_read_end(r, n, "head", "quantize_head", &out->head));
    LB_TRY(read_end_lists(r, &out->embedding, LB_OF_EMBEDDING, title, out));
    LB_TRY(read_end_lists(r, &out->head, LB_OF_HEAD, title, out));
    for (size_t i = 0; i < n->count; i++) {
        const lb_yaml *v = n->item[i];
        if (strcmp(v->key, "method") == 0 || strcmp(v->key, "stages") == 0 || strcmp(v->key, "rules") == 0) continue;
        if (strcmp(v->key, "embedding") == 0 || strcmp(v->key, "head") == 0) continue;
        if (strcmp(v->key, "label") == 0) {
            LB_TRY(read_label(r, v, title, out));
            continue;
        }
        bool text = strcmp(v->key, "calibration") == 0 || strcmp(v->key, "training") == 0;
        LB_TRY(text ? read_own_text(r, v, title, out) : read_option(r, v, title, lb_axis_proper(v->key), out));
    }
    return LB_OK;
}

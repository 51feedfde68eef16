/* The axes of a config: options of methods and cells, and keys of texts, each with the values it takes. */
#include <string.h>

#include "run/config_impl.h"
#include "run/field_names.h"

static const char calibration_prefix[] = "calibration.", training_prefix[] = "training.";

/* "samples" of "calibration.samples"; NULL: another name. */
static const char *within(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

bool lb_axis_find(const lb_method *m, const char *name, lb_axis_target *out) {
    const char *calibration = within(name, calibration_prefix), *training = within(name, training_prefix);
    if (!m) return false;
    if (lb_options_find(&m->options, name))
        *out = (lb_axis_target){LB_OF_METHOD, &m->options, name};
    else if (calibration)
        *out = (lb_axis_target){LB_OF_CALIBRATION, &lb_config_calibration_table, calibration};
    else if (training)
        *out = (lb_axis_target){LB_OF_TRAINING, &lb_config_training_table, training};
    else
        *out = (lb_axis_target){LB_OF_CELL, &lb_config_cell_table, name};
    return lb_options_find(out->table, out->name) != NULL;
}

/* "bits" of "head.bits"; NULL: another name. */
static const char *of_end(const char *name, lb_option_owner *owner) {
    const char *embedding = within(name, "embedding."), *head = within(name, "head.");
    *owner = head ? LB_OF_HEAD : LB_OF_EMBEDDING;
    return head ? head : embedding;
}

bool lb_axis_is_of_end(const char *name) {
    lb_option_owner owner;
    return of_end(name, &owner) != NULL;
}

/* The map that has the last word; NULL: there is none. */
static const lb_end *end_in(const lb_config *c, const lb_entry *e, lb_option_owner owner) {
    bool head = owner == LB_OF_HEAD;
    const lb_end *own = head ? &e->head : &e->embedding, *of_config = head ? &c->head : &c->embedding;
    return own->method ? own : of_config->method ? of_config : NULL;
}

bool lb_axis_find_in(const lb_config *c, const lb_entry *e, const char *name, lb_axis_target *out) {
    lb_option_owner owner;
    const char *key = of_end(name, &owner);
    if (lb_axis_find(e->method, name, out)) return true;
    const lb_end *end = key && e->method ? end_in(c, e, owner) : NULL;
    if (!end) return false;
    *out = (lb_axis_target){owner, &end->method->options, key};
    return lb_options_find(out->table, key) != NULL;
}

/* ---- finding them ---- */

const char *lb_axis_proper(const char *name) {
    const char *key = within(name, calibration_prefix);
    return key && lb_options_find(&lb_config_cell_table, key) && strcmp(key, "seed") != 0 ? key : name;
}

static bool is_override(const lb_yaml *n) { return n->file && n->file[0] == '-'; }

static lb_status twice(const char *name, const lb_yaml *here, const lb_yaml *there) {
    return lb_fail(LB_E_CONFIG, "%s: axis '%s' is given already (%s)", lb_config_where(here).text, name,
                   lb_config_where(there).text);
}

/* An override replaces an axis of a file, in whatever way either is written. */
static lb_status add_axis(lb_config_reader *r, const char *name, const lb_yaml *n, const char *title, bool of_map) {
    lb_axis one;
    LB_TRY(lb_config_read_values(r, n, title, &one));
    one.name = lb_axis_proper(name);
    one.of_map = of_map;
    lb_axis *to = r->c->axis;
    while (to < r->c->axis + r->c->axes && strcmp(to->name, one.name) != 0) to++;
    if (to == r->c->axis + r->c->axes)
        r->c->axes++;
    else if (is_override(to->node) && !is_override(n))
        return LB_OK;
    else if (!is_override(n))
        return twice(one.name, n, to->node);
    *to = one;
    return LB_OK;
}

/* Models, and what evaluations compute in, are no axes of a sweep: each value has a plan of its own, with a baseline.
 * NULL: another key. */
static const lb_yaml **planned(lb_config_reader *r, const char *name) {
    return strcmp(name, "model") == 0 ? &r->model : strcmp(name, "compute") == 0 ? &r->compute : NULL;
}

/* Nor are methods and rules: each value makes an entry of its own. */
static const lb_yaml **spread(lb_config_reader *r, const char *name) {
    return strcmp(name, "method") == 0 ? &r->method_axis : strcmp(name, "rules") == 0 ? &r->rule_axis : NULL;
}

static lb_status add_planned(const lb_yaml **to, const lb_yaml *n) {
    bool replaces = *to && is_override(n) != is_override(*to);
    if (*to && !replaces)
        return lb_fail(LB_E_CONFIG, "%s: axes.%s: '%s' is given already (%s): give one of them",
                       lb_config_where(n).text, n->key, n->key, lb_config_where(*to).text);
    if (!*to || is_override(n)) *to = n;
    return LB_OK;
}

/* A list where a section has one value. table: NULL: the section is the map of an end, whose options are looked at
 * when its method is known. */
static lb_status add_lists(lb_config_reader *r, const lb_yaml *section, const char *prefix, const lb_options *table,
                           const char *title) {
    for (size_t i = 0; section && section->kind == LB_YAML_MAP && i < section->count; i++) {
        const lb_yaml *n = section->item[i];
        bool known = table ? lb_options_find(table, n->key) != NULL : strcmp(n->key, "method") != 0;
        if (n->kind != LB_YAML_LIST || !known) continue;
        const char *name = lb_arena_printf(r->a, "%s%s", prefix, n->key);
        if (!name) return LB_E_NOMEM;
        LB_TRY(add_axis(r, name, n, title, !table));
    }
    return LB_OK;
}

/* Keys that cells do not have one by one, and what there is instead. */
static const char no_result[] = "no result depends on it";
static const char *const no_axis[][2] = {
    {"eval", "every cell has all evaluations, which are a list: eval: [{text: A}, {text: B}]"},
    {"quantize", "entries are a list already: what is under axes reaches all that have the option"},
    {"stages", "stages are entries: quantize: [{stages: [...]}, {stages: [...]}]"},
    {"rules", "rules are an axis as a whole, each value a list of them: rules: [[{match: ...}], []]"},
    {"embedding", "it is the config's or an entry's: give two entries, each with its own"},
    {"head", "it is the config's or an entry's: give two entries, each with its own"},
    {"label", "labels are entries', and say what varies"},
    {"plots", "it is the whole experiment's"},
    {"name", "it is the whole experiment's"},
    {"results", "it is the whole experiment's"},
    {"expected", "it is the whole experiment's"},
    {"include", "it is the whole experiment's"},
    {"threads", no_result},
    {"weights", no_result},
    {"export", no_result},
    {"keep_layers", no_result},
    {"keep_model", no_result},
    {"keep_cache", no_result},
    {"prompt", "it is the whole experiment's"},
    {"prompt_tokens", "it is the whole experiment's"},
};
enum { NO_AXES = sizeof no_axis / sizeof no_axis[0] };

static const char *not_of_cells(const char *name) {
    size_t n = strcspn(name, ".[");
    for (size_t i = 0; i < NO_AXES; i++)
        if (strlen(no_axis[i][0]) == n && memcmp(no_axis[i][0], name, n) == 0) return no_axis[i][1];
    return NULL;
}

static lb_status unknown_axis(lb_config_reader *r, const lb_axis *ax);
static bool is_known(const char *name);

/* Values that no axis has say less than a name that nothing has: "rule" for rules. */
static lb_status check_name(lb_config_reader *r, const lb_yaml *n) {
    bool plain = n->kind == LB_YAML_LIST && n->count > 0;
    for (size_t i = 0; plain && i < n->count; i++) plain = n->item[i]->kind == LB_YAML_SCALAR;
    if (plain || n->kind == LB_YAML_SCALAR || is_known(lb_axis_proper(n->key))) return LB_OK;
    return unknown_axis(r, &(lb_axis){.name = n->key, .node = n});
}

/* Of `axes`: a map in it is a way of writing its keys. */
static lb_status add_written(lb_config_reader *r, const lb_yaml *axes) {
    for (size_t i = 0; i < axes->count; i++) {
        const lb_yaml *n = axes->item[i];
        const lb_yaml **to = planned(r, n->key) ? planned(r, n->key) : spread(r, n->key);
        if (to) {
            LB_TRY(add_planned(to, n));
            continue;
        }
        const char *why = n->kind == LB_YAML_MAP || strchr(n->key, '.') ? NULL : not_of_cells(n->key);
        if (why) return lb_fail(LB_E_CONFIG, "%s: axis '%s': %s", lb_config_where(n).text, n->key, why);
        if (n->kind != LB_YAML_MAP) LB_TRY(check_name(r, n));
        if (n->kind != LB_YAML_MAP) LB_TRY(add_axis(r, n->key, n, "axes", false));
        for (size_t k = 0; n->kind == LB_YAML_MAP && k < n->count; k++) {
            const char *name = lb_arena_printf(r->a, "%s.%s", n->key, n->item[k]->key);
            if (!name) return LB_E_NOMEM;
            LB_TRY(add_axis(r, name, n->item[k], "axes", false));
        }
    }
    return LB_OK;
}

lb_status lb_config_find_axes(lb_config_reader *r, const lb_yaml *root) {
    const lb_yaml *axes = lb_yaml_get(root, "axes");
    const lb_yaml *embedding = lb_yaml_get(root, "embedding"), *head = lb_yaml_get(root, "head");
    size_t most = lb_config_cell_table.n + lb_config_calibration_table.n + lb_config_training_table.n;
    if (axes && axes->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: axes: must be a map from options to lists", lb_config_where(axes).text);
    for (size_t i = 0; axes && i < axes->count; i++)
        most += axes->item[i]->kind == LB_YAML_MAP ? axes->item[i]->count : 1;
    most += (embedding ? embedding->count : 0) + (head ? head->count : 0);
    if (!(r->c->axis = LB_NEW(r->a, lb_axis, most + 1))) return LB_E_NOMEM;
    r->model = lb_yaml_get(root, "model");
    r->compute = lb_yaml_get(root, "compute");
    const lb_yaml *rules = lb_yaml_get(root, "rules");
    if (rules && lb_config_is_rule_sets(rules)) r->rule_axis = rules;
    lb_axis list;
    if (r->model && r->model->kind == LB_YAML_LIST) LB_TRY(lb_config_read_values(r, r->model, "config", &list));
    if (r->compute && r->compute->kind == LB_YAML_LIST) LB_TRY(lb_config_read_values(r, r->compute, "config", &list));
    LB_TRY(add_lists(r, root, "", &lb_config_cell_table, "config"));
    LB_TRY(add_lists(r, lb_yaml_get(root, "calibration"), calibration_prefix, &lb_config_calibration_table,
                     "calibration"));
    LB_TRY(add_lists(r, lb_yaml_get(root, "training"), training_prefix, &lb_config_training_table, "training"));
    LB_TRY(add_lists(r, embedding, "embedding.", NULL, "embedding"));
    LB_TRY(add_lists(r, head, "head.", NULL, "head"));
    return axes ? add_written(r, axes) : LB_OK;
}

/* ---- sections without them ---- */

/* The first value, under the key of the section. */
static lb_yaml *first_of(lb_config_reader *r, const lb_yaml *n, const char *key) {
    lb_yaml *one = LB_NEW(r->a, lb_yaml, 1);
    if (!one) return NULL;
    *one = n->kind == LB_YAML_LIST && n->count > 0 ? *n->item[0] : *n;
    one->key = key;
    return one;
}

static const lb_axis *named(const lb_config_reader *r, const char *name) {
    for (size_t i = 0; i < r->c->axes; i++)
        if (strcmp(r->c->axis[i].name, name) == 0) return &r->c->axis[i];
    return NULL;
}

/* What a section must have and an axis gives: the first value of it, or NULL. */
static const lb_yaml *given_by_axis(const lb_config_reader *r, const char *prefix) {
    const char *text = strcmp(prefix, training_prefix) == 0 ? "training.text" : "calibration.text";
    const lb_axis *axis = prefix[0] ? named(r, text) : NULL;
    if (!prefix[0]) return r->model;
    return axis ? axis->node : NULL;
}

/* What a key of a section may be given by; NULL: it has one value. */
static lb_status axis_of(lb_config_reader *r, const char *prefix, const char *key, const lb_axis **out) {
    const char *name = lb_arena_printf(r->a, "%s%s", prefix, key);
    if (!name) return LB_E_NOMEM;
    *out = named(r, lb_axis_proper(name));
    return LB_OK;
}

lb_status lb_config_check_override(lb_config_reader *r, const char *prefix, const lb_yaml *n) {
    const lb_axis *axis;
    LB_TRY(axis_of(r, prefix, n->key, &axis));
    if (!axis || n->kind == LB_YAML_LIST || !is_override(n)) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s has no effect: every cell has a value of axes.%s (%s)", lb_config_where(n).text,
                   axis->name, lb_config_where(axis->node).text);
}

lb_status lb_config_first_values(lb_config_reader *r, lb_yaml *section, const char *prefix, lb_yaml **out) {
    const char *required = prefix[0] ? "text" : "model";
    const lb_yaml *given = given_by_axis(r, prefix);
    *out = section;
    if ((!section && !given) || (section && section->kind != LB_YAML_MAP)) return LB_OK;
    lb_yaml *m = LB_NEW(r->a, lb_yaml, 1), **item = LB_NEW(r->a, lb_yaml *, (section ? section->count : 0) + 1);
    if (!m || !item) return LB_E_NOMEM;
    *m = section ? *section : (lb_yaml){.kind = LB_YAML_MAP, .file = given->file, .line = given->line};
    m->item = item;
    for (size_t i = 0; i < m->count; i++) {
        lb_yaml *n = section->item[i];
        const lb_axis *axis;
        LB_TRY(axis_of(r, prefix, n->key, &axis));
        LB_TRY(lb_config_check_override(r, prefix, n));
        bool list = (!prefix[0] && planned(r, n->key)) || n == given || (axis && n->kind == LB_YAML_LIST);
        if (!(item[i] = list ? first_of(r, n, n->key) : n)) return LB_E_NOMEM;
    }
    if (given && !lb_yaml_get(m, required) && !(item[m->count++] = first_of(r, given, required))) return LB_E_NOMEM;
    *out = m;
    return LB_OK;
}

/* ---- checking them ---- */

/* Of an option of the ends, which entries have. */
static lb_status try_ends(lb_config_reader *r, const char *name, const lb_yaml *v, bool *has) {
    lb_status last = LB_OK;
    for (size_t i = 0; i < r->c->entries; i++) {
        const lb_entry *e = &r->c->entry[i];
        lb_axis_target t;
        if (!lb_axis_find_in(r->c, e, name, &t)) continue;
        *has = true;
        last = lb_config_try_value(r, e->method, &t, v);
        if (last == LB_OK || last == LB_E_NOMEM) return last;
    }
    return last;
}

lb_status lb_config_try_everywhere(lb_config_reader *r, const char *name, const lb_yaml *v, bool cell_options,
                                   bool *has) {
    lb_status last = LB_OK;
    bool fits = false;
    *has = false;
    for (size_t i = 0; i < r->methods && !fits; i++) {
        const lb_method *m = r->method[i];
        lb_axis_target t;
        if (!lb_axis_find(m, name, &t) || (t.owner != LB_OF_METHOD && !cell_options)) continue;
        *has = true;
        last = lb_config_try_value(r, m, &t, v);
        if (last == LB_E_NOMEM) return last;
        fits = last == LB_OK;
    }
    if (!*has && cell_options && lb_axis_is_of_end(name)) return try_ends(r, name, v, has);
    return fits || !*has ? LB_OK : last;
}

const char *lb_config_no_axis(const char *section, const char *key) {
    bool top = strcmp(section, "config") == 0, rules = strstr(section, "rules") != NULL;
    return not_of_cells(top ? key : rules ? "rules" : section);
}

/* "calibration.samples" for "samples", "calibration.text" for "calibration". */
static lb_status add_section(lb_config_reader *r, const char *prefix, const lb_options *t, const char *name,
                             lb_config_names *known, const char **near) {
    for (size_t i = 0; i < t->n; i++) {
        const char *full = lb_arena_printf(r->a, "%s%s", prefix, t->table[i].name);
        if (!full) return LB_E_NOMEM;
        lb_config_names_add(known, full);
        bool section = i == 0 && strncmp(prefix, name, strlen(name)) == 0 && strlen(name) + 1 == strlen(prefix);
        if (!*near && (section || strcmp(t->table[i].name, name) == 0)) *near = full;
    }
    return LB_OK;
}

/* A key that every cell has, in a config that has none but the baseline? */
static bool is_of_cells(const char *name) {
    const char *calibration = within(name, calibration_prefix), *training = within(name, training_prefix);
    return lb_options_find(&lb_config_cell_table, name) || lb_axis_is_of_end(name) ||
           (calibration && lb_options_find(&lb_config_calibration_table, calibration)) ||
           (training && lb_options_find(&lb_config_training_table, training));
}

/* An option of some method, in this config or not? */
static bool is_of_methods(const char *name) {
    const lb_method *m;
    for (size_t i = 0; (m = lb_method_at(i)); i++)
        if (lb_options_find(&m->options, name)) return true;
    return false;
}

static bool is_known(const char *name) { return is_of_cells(name) || is_of_methods(name); }

/* Options of the methods that ends have, as axes call them. */
static lb_status add_ends(lb_config_reader *r, lb_config_names *known) {
    for (int head = 0; head < 2; head++) {
        const lb_end *end = NULL;
        for (size_t i = 0; i < r->c->entries && !end; i++)
            if (r->c->entry[i].method) end = end_in(r->c, &r->c->entry[i], head ? LB_OF_HEAD : LB_OF_EMBEDDING);
        for (size_t i = 0; end && i < end->method->options.n; i++) {
            const char *key = end->method->options.table[i].name;
            const char *full = lb_arena_printf(r->a, "%s.%s", head ? "head" : "embedding", key);
            if (!full) return LB_E_NOMEM;
            lb_config_names_add(known, full);
        }
    }
    return LB_OK;
}

/* key: of a method that an end has, if any has one. */
static lb_status unknown_of_end(lb_config_reader *r, const lb_axis *ax, const char *key, lb_option_owner owner) {
    lb_where w = lb_config_where(ax->node);
    const lb_end *end = NULL;
    lb_config_names known = {0};
    for (size_t i = 0; i < r->c->entries && !end; i++)
        if (r->c->entry[i].method) end = end_in(r->c, &r->c->entry[i], owner);
    if (!end)
        return lb_fail(LB_E_CONFIG, "%s: axis '%s': it needs a method of its own: add %s: {method: rtn}", w.text,
                       ax->name, owner == LB_OF_HEAD ? "head" : "embedding");
    lb_config_names_add_table(&known, &end->method->options);
    const char *near = lb_str_nearest(key, known.at, known.n);
    return lb_fail(LB_E_CONFIG, "%s: axis '%s': method %s has no option '%s'%s%s%s", w.text, ax->name,
                   end->method->name, key, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static lb_status unknown_axis(lb_config_reader *r, const lb_axis *ax) {
    lb_where w = lb_config_where(ax->node);
    lb_option_owner owner;
    const char *end = of_end(ax->name, &owner);
    const char *why = not_of_cells(ax->name), *near = NULL, *note = NULL;
    if (end && r->methods && strcmp(end, "method") != 0) return unknown_of_end(r, ax, end, owner);
    if (!r->methods && (is_of_cells(ax->name) || is_of_methods(ax->name)))
        return lb_fail(LB_E_CONFIG, "%s: axis '%s': quantize has no method that it could reach", w.text, ax->name);
    if (why) return lb_fail(LB_E_CONFIG, "%s: axis '%s': %s", w.text, ax->name, why);
    lb_config_names known = {0};
    LB_TRY(add_section(r, calibration_prefix, &lb_config_calibration_table, ax->name, &known, &near));
    LB_TRY(add_section(r, training_prefix, &lb_config_training_table, ax->name, &known, &near));
    lb_config_names_add(&known, "model");
    lb_config_names_add(&known, "compute");
    lb_config_names_add(&known, "method");
    lb_config_names_add(&known, "rules");
    lb_config_names_add_table(&known, &lb_config_cell_table);
    lb_config_names_of_entries(r, &known);
    LB_TRY(add_ends(r, &known));
    if (!near) near = lb_field_key(ax->name, known.at, known.n, &note);
    if (!near) near = lb_str_nearest(ax->name, known.at, known.n);
    if (near)
        return lb_fail(LB_E_CONFIG, "%s: axis '%s': no method of this config has that option: did you mean '%s'%s%s%s?",
                       w.text, ax->name, near, note ? " (" : "", note ? note : "", note ? ")" : "");
    known.n = 0;
    for (size_t i = 0; i < NO_AXES; i++) lb_config_names_add(&known, no_axis[i][0]);
    if ((near = lb_str_nearest(ax->name, known.at, known.n)))
        return lb_fail(LB_E_CONFIG, "%s: axis '%s': no method of this config has that option, and if '%s' is meant: %s",
                       w.text, ax->name, near, not_of_cells(near));
    return lb_fail(LB_E_CONFIG, "%s: axis '%s': no method of this config has that option", w.text, ax->name);
}

lb_status lb_config_check_axes(lb_config_reader *r) {
    const lb_axis *unknown = NULL;
    for (size_t i = 0; i < r->c->axes; i++) {
        const lb_axis *ax = &r->c->axis[i];
        bool has = true;
        for (size_t k = 0; k < ax->n && has; k++)
            LB_TRY(lb_config_try_everywhere(r, ax->name, ax->value[k], true, &has));
        /* One that is nothing at all may be why others find no method: "methods" beside bits. */
        if (!has && (!unknown || (is_of_methods(unknown->name) && !is_of_methods(ax->name)))) unknown = ax;
    }
    return unknown ? unknown_axis(r, unknown) : LB_OK;
}

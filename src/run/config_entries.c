/* The entries of a config: those of the file, and what axes of methods and rules make of them: an entry for each. */
#include <string.h>

#include "run/config_impl.h"

static void add_method(lb_config_reader *r, const lb_method *m) {
    for (size_t i = 0; i < r->methods && m; i++)
        if (r->method[i] == m) return;
    if (m) r->method[r->methods++] = m;
}

/* Entries that are made of a file's list, before cells are: about as many as a sweep may have of those. */
enum { ENTRIES_MOST = 100000 };

bool lb_config_is_rule_sets(const lb_yaml *n) {
    for (size_t i = 0; n->kind == LB_YAML_LIST && i < n->count; i++)
        if (n->item[i]->kind != LB_YAML_LIST) return false;
    return n->kind == LB_YAML_LIST && n->count > 0;
}

/* The names of a list of methods, each method once. */
static lb_status read_method_axis(lb_config_reader *r, const lb_yaml *n, const char *title, lb_axis *out) {
    const lb_method **seen;
    size_t kept = 0;
    LB_TRY(lb_config_read_values(r, n, title, out));
    if (!(seen = LB_NEW(r->a, const lb_method *, out->n))) return LB_E_NOMEM;
    for (size_t i = 0; i < out->n; i++) {
        size_t k = 0;
        LB_TRY(lb_config_read_method(out->value[i], out->value[i], title, &seen[kept]));
        while (seen[k] != seen[kept]) k++;
        if (k == kept) out->value[kept++] = out->value[i];
    }
    out->n = kept;
    return LB_OK;
}

/* The entry with another method. */
static lb_yaml *with_method(lb_config_reader *r, const lb_yaml *entry, const lb_yaml *method) {
    lb_yaml *m = LB_NEW(r->a, lb_yaml, 1), *name = LB_NEW(r->a, lb_yaml, 1);
    lb_yaml **item = LB_NEW(r->a, lb_yaml *, entry->count + 1);
    if (!m || !name || !item) return NULL;
    *name = *method;
    name->key = "method";
    *m = (lb_yaml){.kind = LB_YAML_MAP, .file = entry->file, .line = entry->line, .item = item};
    item[m->count++] = name;
    for (size_t i = 0; entry->kind == LB_YAML_MAP && i < entry->count; i++)
        if (strcmp(entry->item[i]->key, "method") != 0) item[m->count++] = entry->item[i];
    return m;
}

/* The methods that an entry is to have one by one: of its own list, or of the axis if it names none. out->n 0: it is
 * one entry. *set: where it says itself what the axis would. */
static lb_status methods_of(lb_config_reader *r, const lb_yaml *entry, const char *title, const lb_axis *axis,
                            lb_axis *out, const lb_yaml **set) {
    const lb_yaml *own = lb_yaml_get(entry, "method"), *stages = lb_yaml_get(entry, "stages");
    *out = (lb_axis){.n = 0};
    if (own || stages) *set = own ? own : stages;
    if (own && own->kind == LB_YAML_LIST && !stages) return read_method_axis(r, own, title, out);
    if (!own && !stages && entry->kind == LB_YAML_MAP) *out = *axis;
    return LB_OK;
}

static lb_status too_many(const lb_yaml *n, size_t entries) {
    return lb_fail(LB_E_CONFIG,
                   "%s: quantize: %zu entries or more, with methods and rules of axes: a sweep has at most %d",
                   lb_config_where(n).text, entries, ENTRIES_MOST);
}

/* Of the file's list; without one, an entry that axes.method gives its method. */
typedef struct listed {
    const lb_yaml *list;
    lb_axis axis;     /* axes.method */
    lb_axis *methods; /* (list) as methods_of has them */
    size_t entries;
} listed;

static lb_status empty_list(lb_config_reader *r, const lb_yaml **out) {
    lb_yaml *list = LB_NEW(r->a, lb_yaml, 2), **item = LB_NEW(r->a, lb_yaml *, 1);
    if (!list || !item) return LB_E_NOMEM;
    list[0] = (lb_yaml){.kind = LB_YAML_LIST, .file = r->method_axis->file, .line = r->method_axis->line};
    list[1] = (lb_yaml){.kind = LB_YAML_MAP, .file = r->method_axis->file, .line = r->method_axis->line};
    item[0] = &list[1];
    list[0].item = item, list[0].count = 1;
    *out = list;
    return LB_OK;
}

static lb_status count_entries(lb_config_reader *r, listed *x) {
    const lb_yaml *set = NULL;
    bool taken = false;
    if (r->method_axis) LB_TRY(read_method_axis(r, r->method_axis, "axes", &x->axis));
    if (r->method_axis && (!x->list || x->list->count == 0)) LB_TRY(empty_list(r, &x->list));
    if (!(x->methods = LB_NEW(r->a, lb_axis, x->list->count + 1))) return LB_E_NOMEM;
    for (size_t i = 0; i < x->list->count; i++) {
        const char *title = lb_arena_printf(r->a, "quantize[%zu]", i);
        if (!title) return LB_E_NOMEM;
        LB_TRY(methods_of(r, x->list->item[i], title, &x->axis, &x->methods[i], &set));
        taken = taken || (r->method_axis && x->methods[i].node == r->method_axis);
        x->entries += x->methods[i].n ? x->methods[i].n : 1;
        if (x->entries > ENTRIES_MOST) return too_many(x->list->item[i], x->entries);
    }
    if (r->method_axis && !taken)
        return lb_fail(LB_E_CONFIG, "%s: axes.method has no effect: every entry sets method itself (%s)",
                       lb_config_where(r->method_axis).text, lb_config_where(set).text);
    return LB_OK;
}

/* The entry at `place` of the list; method: NULL, or one of those that it is to have. */
static lb_status add_entry(lb_config_reader *r, const lb_yaml *n, size_t place, const lb_yaml *method, bool several) {
    const char *title = method ? lb_arena_printf(r->a, "quantize[%zu] with method %s", place, method->text)
                               : lb_arena_printf(r->a, "quantize[%zu]", place);
    lb_entry *e = &r->c->entry[r->c->entries];
    if (!title || (method && !(n = with_method(r, n, method)))) return LB_E_NOMEM;
    *e = (lb_entry){.index = r->c->entries, .place = place};
    LB_TRY(lb_config_read_entry(r, n, title, e));
    if (several && e->label && !(e->label = lb_arena_printf(r->a, "%s %s", e->label, e->method->name)))
        return LB_E_NOMEM;
    add_method(r, e->method);
    r->c->entries++;
    return LB_OK;
}

static lb_status add_entries(lb_config_reader *r, const listed *x) {
    r->c->entry = LB_NEW(r->a, lb_entry, x->entries + 1);
    r->method = LB_NEW(r->a, const lb_method *, x->entries + 1);
    if (!r->c->entry || !r->method) return LB_E_NOMEM;
    for (size_t i = 0; i < x->list->count; i++) {
        const lb_axis *m = &x->methods[i];
        for (size_t k = 0; k < (m->n ? m->n : 1); k++)
            LB_TRY(add_entry(r, x->list->item[i], i, m->n ? m->value[k] : NULL, m->n > 1));
    }
    return LB_OK;
}

/* ---- their rules ---- */

/* The values of rules as an axis. */
typedef struct rule_sets {
    lb_rule **rule;
    size_t *rules; /* (n) of each */
    size_t n;
} rule_sets;

static lb_status read_sets(lb_config_reader *r, const lb_yaml *n, const char *title, const lb_method *m,
                           rule_sets *out) {
    if (!lb_config_is_rule_sets(n))
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a list of lists of rules, as [[{match: \"*.down\", bits: 8}], []]",
                       lb_config_where(n).text, title);
    *out = (rule_sets){.rule = LB_NEW(r->a, lb_rule *, n->count), .rules = LB_NEW(r->a, size_t, n->count)};
    if (!out->rule || !out->rules) return LB_E_NOMEM;
    for (; out->n < n->count; out->n++) {
        const char *one = lb_arena_printf(r->a, "%s[%zu]", title, out->n);
        if (!one) return LB_E_NOMEM;
        LB_TRY(lb_config_read_rules(r, n->item[out->n], one, m, &out->rule[out->n], &out->rules[out->n]));
    }
    return LB_OK;
}

/* What the entry says itself; sets->n 0: it is one entry. */
static lb_status own_rules(lb_config_reader *r, lb_entry *e, const lb_yaml *rules, rule_sets *sets) {
    const char *title = lb_arena_printf(r->a, "quantize[%zu].rules", e->place);
    *sets = (rule_sets){.n = 0};
    if (!title) return LB_E_NOMEM;
    if (!e->method)
        return lb_fail(LB_E_CONFIG, "%s: %s: method none quantizes nothing", lb_config_where(rules).text, title);
    if (lb_config_is_rule_sets(rules)) return read_sets(r, rules, title, e->method, sets);
    return lb_config_read_rules(r, rules, title, e->method, &e->rule, &e->n_rules);
}

/* An entry for each of its sets. */
static void spread_entry(const lb_entry *e, const rule_sets *sets, lb_entry *all, size_t *n) {
    for (size_t k = 0; k < (sets->n ? sets->n : 1); k++) {
        lb_entry *to = &all[*n];
        *to = *e;
        to->index = (*n)++;
        to->by_rules = sets->n > 1;
        if (sets->n) to->rule = sets->rule[k], to->n_rules = sets->rules[k];
    }
}

static lb_status no_rules_needed(const lb_config_reader *r, const lb_yaml *set) {
    lb_where w = lb_config_where(r->rule_axis);
    if (!set) return lb_fail(LB_E_CONFIG, "%s: axis 'rules': quantize has no method that it could reach", w.text);
    return lb_fail(LB_E_CONFIG, "%s: axes.rules has no effect: every entry sets rules itself (%s)", w.text,
                   lb_config_where(set).text);
}

static lb_status read_all_rules(lb_config_reader *r) {
    lb_config *c = r->c;
    rule_sets axis = {.n = 0}, *of = LB_NEW(r->a, rule_sets, c->entries + 1);
    const lb_yaml *set = NULL;
    size_t all = 0, n = 0;
    bool taken = false;
    if (!of) return LB_E_NOMEM;
    if (r->rule_axis && r->methods) LB_TRY(read_sets(r, r->rule_axis, "axes.rules", NULL, &axis));
    for (size_t i = 0; i < c->entries; i++) {
        const lb_yaml *own = lb_yaml_get(c->entry[i].node, "rules");
        if (own) LB_TRY(own_rules(r, &c->entry[i], set = own, &of[i]));
        if (!own && c->entry[i].method) of[i] = axis, taken = true;
        all += of[i].n ? of[i].n : 1;
        if (all > ENTRIES_MOST) return too_many(c->entry[i].node, all);
    }
    if (r->rule_axis && !taken) return no_rules_needed(r, set);
    lb_entry *entry = LB_NEW(r->a, lb_entry, all + 1);
    if (!entry) return LB_E_NOMEM;
    for (size_t i = 0; i < c->entries; i++) spread_entry(&c->entry[i], &of[i], entry, &n);
    c->entry = entry;
    c->entries = n;
    return LB_OK;
}

lb_status lb_config_read_entries(lb_config_reader *r, const lb_yaml *n) {
    listed x = {.list = n};
    if (n && n->kind != LB_YAML_LIST)
        return lb_fail(LB_E_CONFIG, "%s: quantize: must be a list of maps, each with a method",
                       lb_config_where(n).text);
    if (!n && !r->method_axis) return r->rule_axis ? no_rules_needed(r, NULL) : LB_OK;
    LB_TRY(count_entries(r, &x));
    LB_TRY(add_entries(r, &x));
    return read_all_rules(r);
}

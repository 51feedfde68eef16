/* Rules: what layers are given beside the cell's own options, and what a cell needs with them. */
#include <string.h>

#include "run/sweep.h"

static size_t rules_of(const lb_config *c, const lb_cell *cell) { return c->rules + cell->entry->n_rules; }

static const lb_rule *rule_at(const lb_config *c, const lb_cell *cell, size_t i) {
    return i < c->rules ? &c->rule[i] : &cell->entry->rule[i - c->rules];
}

/* The cell's options, to be changed. */
static lb_status copy_options(lb_arena *a, const lb_cell *cell, void **out) {
    size_t size = cell->method->options.struct_size;
    if (!(*out = lb_arena_get(a, 1, size + 1))) return LB_E_NOMEM;
    memcpy(*out, cell->opts, size);
    return LB_OK;
}

static lb_status apply_rule(lb_arena *a, const lb_cell *cell, const lb_rule *r, void *opts, bool *changed) {
    const char *whose = lb_arena_printf(a, "method %s", cell->method->name);
    if (!whose) return LB_E_NOMEM;
    for (size_t i = 0; i < r->n; i++) {
        if (!lb_options_find(&cell->method->options, r->set[i]->key)) continue;
        lb_status st = lb_options_set(&cell->method->options, a, opts, r->set[i]->key, r->set[i]->text, whose);
        if (st != LB_OK) return lb_fail_in(st, "rule at %s", lb_config_where(r->node).text);
        *changed = true;
    }
    return LB_OK;
}

lb_status lb_sweep_layer_options(lb_arena *a, const lb_config *c, const lb_cell *cell, const char *const *names,
                                 size_t n_names, bool *skip, const void **opts, int64_t *matched) {
    *opts = cell->opts;
    void *mine = NULL;
    for (size_t i = 0; i < rules_of(c, cell); i++) {
        const lb_rule *r = rule_at(c, cell, i);
        bool hit = false;
        for (size_t k = 0; k < n_names; k++) hit = hit || lb_str_glob(r->match, names[k]);
        if (!hit) continue;
        if (matched) matched[i]++;
        if (r->has_skip) *skip = r->skip;
        if (!mine) LB_TRY(copy_options(a, cell, &mine));
        bool changed = false;
        LB_TRY(apply_rule(a, cell, r, mine, &changed));
        if (changed) *opts = mine;
    }
    if (*skip || *opts == cell->opts) return LB_OK;
    lb_status st = lb_method_check(cell->method, *opts);
    return st == LB_OK ? LB_OK : lb_fail_in(st, "layer %s", names[0]);
}

const lb_rule *lb_sweep_rule_sets(const lb_config *c, const lb_cell *cell, const char *layer, const char *option) {
    for (size_t i = 0; i < rules_of(c, cell); i++) {
        const lb_rule *r = rule_at(c, cell, i);
        for (size_t k = 0; k < r->n; k++)
            if (strcmp(r->set[k]->key, option) == 0 && lb_str_glob(r->match, layer)) return r;
    }
    return NULL;
}

const char *lb_sweep_same_as(const lb_config *c, const lb_cell *cell, const char *name) {
    const char *same = NULL;
    for (size_t i = 0; i < rules_of(c, cell); i++) {
        const lb_rule *r = rule_at(c, cell, i);
        if ((r->same_as || r->has_skip) && lb_str_glob(r->match, name)) same = r->same_as;
    }
    return same && strcmp(same, name) != 0 ? same : NULL;
}

bool lb_sweep_asks(const lb_config *c, const lb_cell *cell, const char *name) {
    bool asks = false;
    for (size_t i = 0; i < rules_of(c, cell); i++) {
        const lb_rule *r = rule_at(c, cell, i);
        if (r->has_skip && lb_str_glob(r->match, name)) asks = !r->skip;
    }
    return asks;
}

static void add_needs(lb_cell *cell, const void *opts) {
    cell->needs |= lb_method_needs(cell->method, opts);
    cell->layer_needs |= lb_method_layer_needs(cell->method, opts);
}

static void add_end(lb_cell *cell, const lb_end *e) {
    if (!e) return;
    cell->needs |= lb_method_needs(e->method, e->opts);
    cell->layer_needs |= lb_method_layer_needs(e->method, e->opts);
}

lb_status lb_sweep_needs(lb_arena *a, const lb_config *c, lb_cell *cell) {
    lb_arena_mark mark = lb_arena_save(a);
    cell->needs = cell->layer_needs = 0;
    add_needs(cell, cell->opts);
    add_end(cell, cell->embedding);
    add_end(cell, cell->head);
    for (size_t i = 0; i < rules_of(c, cell); i++) {
        void *opts;
        bool changed = false;
        LB_TRY(copy_options(a, cell, &opts));
        lb_status st = apply_rule(a, cell, rule_at(c, cell, i), opts, &changed);
        if (st == LB_E_NOMEM) return st;
        if (st != LB_OK) lb_error_clear(); /* whoever applies the rule says so */
        if (st == LB_OK && changed) add_needs(cell, opts);
    }
    lb_arena_restore(a, mark);
    return LB_OK;
}

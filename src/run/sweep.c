/* Expansion of a config into cells. */
#include "run/sweep.h"

#include <string.h>

#include "run/provenance.h"

enum { MAX_AXES = 32, MAX_CELLS = 100000 };

typedef struct expander {
    lb_arena *a;
    const lb_config *c;
    lb_sweep *out;
    size_t cap;
    const lb_axis *dim[MAX_AXES]; /* of the entry at hand */
    bool global[MAX_AXES];
    size_t dims;
} expander;

static bool is_cell_option(const lb_method *m, const char *name) {
    return !lb_options_find(&m->options, name) && lb_options_find(&lb_config_cell_table, name);
}

static bool has_option(const lb_method *m, const char *name) {
    return lb_options_find(&m->options, name) || lb_options_find(&lb_config_cell_table, name);
}

static lb_status refuse(expander *x, lb_cell *cell, const char *why) {
    if (cell->refused) return LB_OK;
    cell->refused = true;
    cell->reason = lb_arena_strdup(x->a, why);
    return cell->reason ? LB_OK : LB_E_NOMEM;
}

/* The dimensions of an entry: the config's axes that its method has and it does not set itself, then its own. */
static lb_status find_dims(expander *x, const lb_entry *e) {
    x->dims = 0;
    for (size_t i = 0; i < x->c->axes + e->n_options; i++) {
        bool global = i < x->c->axes;
        const lb_axis *ax = global ? &x->c->axis[i] : &e->option[i - x->c->axes];
        bool own = false;
        for (size_t k = 0; global && k < e->n_options; k++) own = own || strcmp(e->option[k].name, ax->name) == 0;
        if (own || !has_option(e->method, ax->name)) continue;
        if (x->dims == MAX_AXES)
            return lb_fail(LB_E_CONFIG, "%s: quantize[%zu]: more than %d options and axes",
                           lb_config_where(e->node).text, e->index, MAX_AXES);
        x->global[x->dims] = global;
        x->dim[x->dims++] = ax;
    }
    return LB_OK;
}

/* Puts one value into the cell. A value of a common axis that this method cannot take refuses the cell. */
static lb_status put_value(expander *x, lb_cell *cell, const char *name, const lb_yaml *v) {
    bool own = is_cell_option(cell->method, name);
    const lb_options *t = own ? &lb_config_cell_table : &cell->method->options;
    const char *whose = lb_arena_printf(x->a, "method %s", cell->method->name);
    if (!whose) return LB_E_NOMEM;
    lb_status st = lb_options_set(t, x->a, own ? (void *)&cell->own : cell->opts, name, v->text, whose);
    if (st == LB_E_NOMEM) return st;
    if (st != LB_OK) {
        LB_TRY(refuse(x, cell, lb_error()));
        return lb_pairs_add(x->a, &cell->varied, name, v->text);
    }
    lb_str text = {0};
    lb_options_text(lb_options_find(t, name), own ? (void *)&cell->own : cell->opts, &text);
    st = lb_str_check(&text);
    if (st == LB_OK) st = lb_pairs_add(x->a, &cell->varied, name, text.s);
    lb_str_free(&text);
    return st;
}

static void pairs_drop(lb_pairs *p, const char *key) {
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->at[i].key, key) != 0) p->at[n++] = p->at[i];
    p->n = n;
}

/* What cannot matter for this method is set to one fixed value, so that cells that differ in nothing come out equal. */
static lb_status normalise(expander *x, lb_cell *cell) {
    const lb_method *m = cell->method;
    const lb_config *c = x->c;
    cell->needs_hessian = (m->needs & LB_NEEDS_HESSIAN) != 0;
    cell->trains = m->model != NULL;
    bool random_text =
        c->has_calibration && c->calibration.recipe == LB_RECIPE_RANDOM && c->calibration.seed == LB_SEED_OF_CELL;
    cell->draws = cell->trains || (m->needs & LB_NEEDS_SEED) || (cell->needs_hessian && random_text);
    if (!cell->needs_hessian) {
        cell->own.propagate = LB_PROPAGATE_QUANTIZED;
        cell->own.true_sequential = false;
        pairs_drop(&cell->varied, "propagate");
        pairs_drop(&cell->varied, "true_sequential");
    }
    if (!cell->draws) {
        cell->own.seed = c->cell.seed;
        for (size_t d = 0; d < x->dims; d++)
            if (strcmp(x->dim[d]->name, "seed") == 0) LB_TRY(lb_parse_i64(x->dim[d]->value[0]->text, &cell->own.seed));
        pairs_drop(&cell->varied, "seed");
    }
    if (cell->needs_hessian && cell->own.true_sequential && cell->own.propagate == LB_PROPAGATE_ORIGINAL)
        LB_TRY(refuse(x, cell, "true_sequential needs propagate: quantized"));
    return LB_OK;
}

static void rule_text(const lb_rule *r, const lb_method *m, lb_str *out) {
    bool any = r->has_skip;
    for (size_t i = 0; i < r->n; i++) any = any || lb_options_find(&m->options, r->set[i]->key);
    if (!any) return;
    lb_str_add(out, "rule %s", r->match);
    if (r->has_skip) lb_str_add(out, " skip=%d", r->skip);
    for (size_t i = 0; i < r->n; i++)
        if (lb_options_find(&m->options, r->set[i]->key)) lb_str_add(out, " %s=%s", r->set[i]->key, r->set[i]->text);
    lb_str_add(out, "\n");
}

/* All options, and the text that two equal cells share. */
static lb_status describe(expander *x, lb_cell *cell) {
    const lb_method *m = cell->method;
    lb_str id = {0}, v = {0};
    lb_status st = LB_OK;
    lb_str_add(&id, "method %s\n", m->name);
    for (size_t i = 0; i < m->options.n && st == LB_OK; i++) {
        const lb_option *o = &m->options.table[i];
        v.len = 0;
        lb_options_text(o, cell->opts, &v);
        st = lb_str_check(&v);
        if (st == LB_OK) st = lb_pairs_add(x->a, &cell->options, o->name, v.len ? v.s : "");
        lb_str_add(&id, "%s=%s\n", o->name, v.len ? v.s : "");
    }
    lb_str_add(&id, "propagate=%d true_sequential=%d embedding=%d head=%d seed=%lld\n", cell->own.propagate,
               cell->own.true_sequential, cell->own.quantize_embedding, cell->own.quantize_head,
               (long long)cell->own.seed);
    for (size_t i = 0; i < x->c->rules; i++) rule_text(&x->c->rule[i], m, &id);
    for (size_t i = 0; i < cell->entry->n_rules; i++) rule_text(&cell->entry->rule[i], m, &id);
    /* A refused value never reached the options: what was asked for tells such cells apart. */
    for (int64_t i = 0; cell->refused && i < cell->varied.n; i++)
        lb_str_add(&id, "%s:%s\n", cell->varied.at[i].key, cell->varied.at[i].value);
    if (st == LB_OK) st = lb_str_check(&id);
    if (st == LB_OK && !(cell->identity = lb_arena_strdup(x->a, id.s))) st = LB_E_NOMEM;
    lb_str_free(&id);
    lb_str_free(&v);
    return st;
}

/* "gptq 3b g64 act_order seed 1" */
static lb_status make_label(expander *x, lb_cell *cell) {
    lb_str s = {0};
    lb_str_add(&s, "%s", cell->method->name);
    const char *bits = lb_pairs_get(&cell->varied, "bits");
    if (!bits) bits = lb_pairs_get(&cell->options, "bits");
    if (bits) lb_str_add(&s, " %sb", bits);
    const char *group = lb_pairs_get(&cell->varied, "group");
    if (!group) group = lb_pairs_get(&cell->options, "group");
    if (group) lb_str_add(&s, group[0] >= '0' && group[0] <= '9' ? " g%s" : " %s", group);
    for (int64_t i = 0; i < cell->varied.n; i++) {
        const char *k = cell->varied.at[i].key, *v = cell->varied.at[i].value;
        if (strcmp(k, "bits") == 0 || strcmp(k, "group") == 0) continue;
        if (strcmp(v, "true") == 0)
            lb_str_add(&s, " %s", k);
        else if (strcmp(v, "false") == 0)
            lb_str_add(&s, " no_%s", k);
        else if (strcmp(k, "seed") == 0)
            lb_str_add(&s, " s%s", v);
        else
            lb_str_add(&s, " %s=%s", k, v);
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(cell->label = lb_arena_strdup(x->a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

static lb_status push(expander *x, const lb_cell *cell) {
    for (size_t i = 1; i < x->out->n; i++) {
        if (strcmp(x->out->cell[i].identity, cell->identity) == 0) {
            x->out->merged++;
            return LB_OK;
        }
    }
    if (x->out->n == MAX_CELLS) return lb_fail(LB_E_CONFIG, "%s: more than %d cells", x->c->path, MAX_CELLS);
    if (x->out->n == x->cap) {
        size_t cap = x->cap * 2 + 16;
        lb_cell *c = LB_NEW(x->a, lb_cell, cap);
        if (!c) return LB_E_NOMEM;
        if (x->out->n) memcpy(c, x->out->cell, x->out->n * sizeof *c);
        x->out->cell = c;
        x->cap = cap;
    }
    x->out->cell[x->out->n++] = *cell;
    return LB_OK;
}

/* One combination: at[d] is the value's index in dimension d. */
static lb_status make_cell(expander *x, const lb_entry *e, const size_t *at) {
    lb_cell cell = {.entry = e, .method = e->method, .own = x->c->cell, .reason = ""};
    cell.opts = lb_arena_get(x->a, 1, e->method->options.struct_size + 1);
    if (!cell.opts) return LB_E_NOMEM;
    LB_TRY(lb_options_defaults(&e->method->options, x->a, cell.opts));
    for (size_t d = 0; d < x->dims; d++) LB_TRY(put_value(x, &cell, x->dim[d]->name, x->dim[d]->value[at[d]]));
    LB_TRY(normalise(x, &cell));
    if (!cell.refused && e->method->check) {
        lb_status st = e->method->check(cell.opts);
        if (st == LB_E_NOMEM) return st;
        if (st != LB_OK) LB_TRY(refuse(x, &cell, lb_error()));
    }
    LB_TRY(describe(x, &cell));
    LB_TRY(make_label(x, &cell));
    return push(x, &cell);
}

/* A method that needs a text which the config lacks is a mistake in the config, not a combination to refuse. */
static lb_status check_texts(const expander *x, const lb_entry *e) {
    lb_where w = lb_config_where(e->node);
    if ((e->method->needs & LB_NEEDS_HESSIAN) && !x->c->has_calibration)
        return lb_fail(LB_E_CONFIG,
                       "%s: quantize[%zu]: method %s needs a calibration text: add calibration: {text: ...}", w.text,
                       e->index, e->method->name);
    if (e->method->model && !x->c->has_training && !x->c->has_calibration)
        return lb_fail(LB_E_CONFIG, "%s: quantize[%zu]: method %s needs a text to train on: add training: {text: ...}",
                       w.text, e->index, e->method->name);
    return LB_OK;
}

static lb_status expand_entry(expander *x, const lb_entry *e) {
    LB_TRY(check_texts(x, e));
    LB_TRY(find_dims(x, e));
    size_t at[MAX_AXES] = {0};
    for (;;) {
        LB_TRY(make_cell(x, e, at));
        size_t d = x->dims;
        while (d > 0 && ++at[d - 1] == x->dim[d - 1]->n) at[--d] = 0;
        if (d == 0) return LB_OK;
    }
}

/* Labels name cells in tables: a number tells equal ones apart. */
static lb_status unique_labels(expander *x) {
    for (size_t i = 0; i < x->out->n; i++) {
        int copy = 1;
        const char *base = x->out->cell[i].label;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(x->out->cell[k].label, x->out->cell[i].label) != 0) continue;
            x->out->cell[i].label = lb_arena_printf(x->a, "%s #%d", base, ++copy);
            if (!x->out->cell[i].label) return LB_E_NOMEM;
            k = (size_t)-1;
        }
    }
    return LB_OK;
}

lb_status lb_sweep_expand(lb_arena *a, const lb_config *c, lb_sweep *out) {
    *out = (lb_sweep){0};
    expander x = {.a = a, .c = c, .out = out};
    lb_cell baseline = {.label = "none", .identity = "none", .reason = "", .own = c->cell};
    LB_TRY(push(&x, &baseline));
    for (size_t i = 0; i < c->entries; i++)
        if (c->entry[i].method) LB_TRY(expand_entry(&x, &c->entry[i]));
    return unique_labels(&x);
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
    *skip = false;
    *opts = cell->opts;
    void *mine = NULL;
    size_t rules = c->rules + cell->entry->n_rules;
    for (size_t i = 0; i < rules; i++) {
        const lb_rule *r = i < c->rules ? &c->rule[i] : &cell->entry->rule[i - c->rules];
        bool hit = false;
        for (size_t k = 0; k < n_names; k++) hit = hit || lb_str_glob(r->match, names[k]);
        if (!hit) continue;
        if (matched) matched[i]++;
        if (r->has_skip) *skip = r->skip;
        if (!mine) {
            mine = lb_arena_get(a, 1, cell->method->options.struct_size + 1);
            if (!mine) return LB_E_NOMEM;
            memcpy(mine, cell->opts, cell->method->options.struct_size);
        }
        bool changed = false;
        LB_TRY(apply_rule(a, cell, r, mine, &changed));
        if (changed) *opts = mine;
    }
    if (*skip || *opts == cell->opts || !cell->method->check) return LB_OK;
    lb_status st = cell->method->check(*opts);
    return st == LB_OK ? LB_OK : lb_fail_in(st, "layer %s", names[0]);
}

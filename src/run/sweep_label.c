/* What a cell is called in tables: method, bits, group, then what was chosen. */
#include <string.h>

#include "base/index.h"
#include "base/scalar.h"
#include "run/sweep.h"

static void label_choice(lb_str *s, const char *k, const char *v) {
    if (strcmp(v, "true") == 0)
        lb_str_add(s, " %s", k);
    else if (strcmp(v, "false") == 0)
        lb_str_add(s, " no_%s", k);
    else if (strcmp(k, "seed") == 0)
        lb_str_add(s, " s%s", v);
    else
        lb_str_add(s, " %s=%s", k, v);
}

static const char *given_or_not(const lb_cell *cell, const char *name) {
    const char *v = lb_pairs_get(&cell->varied, name);
    return v ? v : lb_pairs_get(&cell->options, name);
}

static void label_bits(lb_str *s, const char *bits, const char *group) {
    if (bits) lb_str_add(s, " %sb", bits);
    if (group) lb_str_add(s, group[0] >= '0' && group[0] <= '9' ? " g%s" : " %s", group);
}

/* Bits of inputs, of what has none of weights. */
static bool label_act(lb_str *s, const char *bits, const char *act_bits) {
    if (!bits && act_bits) lb_str_add(s, " a%s", act_bits);
    return !bits && act_bits;
}

/* Options [first, first + n) of a pipeline: those of one stage, called as there. */
typedef struct span {
    const lb_option *at;
    const lb_option *own;
    size_t n;
} span;

/* The value of a stage's option `name` as it was given, or as it is; NULL: it has none. */
static const char *stage_value(const lb_cell *cell, const span *t, const char *name) {
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->own[i].name, name) == 0) {
            const char *v = lb_pairs_get(&cell->varied, t->at[i].name);
            if (!v) v = lb_pairs_get(&cell->varied, name);
            return v ? v : lb_pairs_get(&cell->options, t->at[i].name);
        }
    return NULL;
}

/* "wanda 50%", "gptq 3b g64 act_order": always what there is of bits, group and sparsity, then what was chosen. */
static void label_stage(lb_str *s, const lb_cell *cell, const lb_stage *g) {
    span t = {cell->method->options.table + g->first, g->options->table, g->options->n};
    const char *sparsity = stage_value(cell, &t, "sparsity");
    double part = 0;
    lb_str_add(s, "%s", g->method->name);
    if (sparsity && lb_parse_f64(sparsity, &part) == LB_OK) lb_str_add(s, " %.15g%%", 100 * part);
    label_bits(s, stage_value(cell, &t, "bits"), stage_value(cell, &t, "group"));
    bool act = label_act(s, stage_value(cell, &t, "bits"), stage_value(cell, &t, "act_bits"));
    for (int64_t i = 0; i < cell->varied.n; i++)
        for (size_t k = 0; k < t.n; k++) {
            const char *name = t.own[k].name;
            bool said = !strcmp(name, "bits") || !strcmp(name, "group") || !strcmp(name, "sparsity");
            said = said || (act && !strcmp(name, "act_bits"));
            if (!said && lb_option_answers(&t.at[k], cell->varied.at[i].key))
                label_choice(s, name, cell->varied.at[i].value);
        }
}

static void label_stages(lb_str *s, const lb_cell *cell) {
    const lb_method *m = cell->method;
    for (size_t i = 0; i < m->stages; i++) {
        if (i) lb_str_add(s, " + ");
        label_stage(s, cell, &m->stage[i]);
    }
    for (int64_t i = 0; i < cell->varied.n; i++)
        if (lb_sweep_cell_option(m, cell->varied.at[i].key))
            label_choice(s, cell->varied.at[i].key, cell->varied.at[i].value);
}

/* "gptq 3b g64 act_order s1"; "wanda 50% + rtn 4b g64" */
lb_status lb_sweep_label(lb_arena *a, lb_cell *cell) {
    lb_str s = {0};
    if (cell->method->stages) {
        label_stages(&s, cell);
    } else {
        lb_str_add(&s, "%s", cell->method->name);
        label_bits(&s, given_or_not(cell, "bits"), given_or_not(cell, "group"));
        bool act = label_act(&s, given_or_not(cell, "bits"), given_or_not(cell, "act_bits"));
        for (int64_t i = 0; i < cell->varied.n; i++) {
            const char *k = cell->varied.at[i].key;
            bool said = !strcmp(k, "bits") || !strcmp(k, "group") || (act && !strcmp(k, "act_bits"));
            if (!said) label_choice(&s, k, cell->varied.at[i].value);
        }
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(cell->label = lb_arena_strdup(a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

/* Labels name cells in tables: a number tells equal ones apart. A label that is taken keeps the last number tried. */
static lb_status unique_label(lb_arena *a, lb_index *taken, lb_cell *c) {
    const char *base = c->label;
    for (;;) {
        lb_index_slot *slot;
        bool fresh = false;
        LB_TRY(lb_index_put(taken, c->label, 1, &slot, &fresh));
        if (fresh) return LB_OK;
        c->label = lb_arena_printf(a, "%s #%zu", base, ++lb_index_get(taken, base)->value);
        if (!c->label) return LB_E_NOMEM;
    }
}

lb_status lb_sweep_unique_labels(lb_arena *a, lb_sweep *s) {
    lb_index taken = {0};
    lb_status st = LB_OK;
    for (size_t i = 0; i < s->n && st == LB_OK; i++) {
        st = lb_interrupt_check();
        if (st == LB_OK) st = unique_label(a, &taken, &s->cell[i]);
    }
    lb_index_free(&taken);
    return st;
}

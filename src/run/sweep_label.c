/* What a cell is called: its name, of which its file's is made (method, bits, group, then what was chosen), and its
 * label, which tables show: the entry's own, or the name and what tells it from cells of the same name. */
#include <string.h>

#include "base/index.h"
#include "base/scalar.h"
#include "result/choice.h"
#include "run/sweep.h"

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
                lb_choice_add(s, name, cell->varied.at[i].value);
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
            lb_choice_add(s, cell->varied.at[i].key, cell->varied.at[i].value);
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
            if (!said) lb_choice_add(&s, k, cell->varied.at[i].value);
        }
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(cell->name = cell->label = lb_arena_strdup(a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    if (st == LB_OK && cell->entry->label) st = lb_pairs_add(a, &cell->varied, "label", cell->entry->label);
    return st;
}

/* Names: a number tells equal ones apart. A name that is taken keeps the last number tried. */
static lb_status unique_name(lb_arena *a, lb_index *taken, lb_cell *c) {
    const char *base = c->name;
    for (;;) {
        lb_index_slot *slot;
        bool fresh = false;
        LB_TRY(lb_index_put(taken, c->name, 1, &slot, &fresh));
        if (fresh) return LB_OK;
        c->name = lb_arena_printf(a, "%s #%zu", base, ++lb_index_get(taken, base)->value);
        if (!c->name) return LB_E_NOMEM;
    }
}

/* ---- labels: what tells cells of one name apart ---- */

enum { MOST_KEYS = 64 };

/* What the cells of an entry have, and what differs between them. */
typedef struct of_entry {
    const lb_cell *first;        /* NULL: none yet */
    const char *rules;           /* " *.down bits=8, 0.* skip, embedding rtn bits=8"; "": none */
    const char *vary[MOST_KEYS]; /* keys of `varied` */
    size_t varies;
} of_entry;

typedef struct labeller {
    lb_arena *a;
    lb_sweep *s;
    of_entry *entry; /* by index */
    size_t entries;
    lb_index names;  /* name without a number -> the first cell of that name */
    bool *differ;    /* (cells) of such a cell: its siblings have other rules */
    size_t *sibling; /* (cells) the first cell of that name */
    lb_index labels; /* label -> its cell */
} labeller;

/* " bits=8", " skip", " same_as=0.up"; "": nothing that this method has. */
static void add_setting(lb_str *s, const lb_method *m, const lb_rule *r) {
    if (r->has_skip) lb_str_add(s, r->skip ? " skip" : " skip=false");
    if (r->same_as) lb_str_add(s, " same_as=%s", r->same_as);
    for (size_t i = 0; i < r->n; i++)
        if (lb_options_find(&m->options, r->set[i]->key)) lb_str_add(s, " %s=%s", r->set[i]->key, r->set[i]->text);
}

/* "0.* 4.* bits=8, head skip": patterns that follow each other with one setting share it. */
static void add_rules(lb_str *s, const lb_cell *c) {
    lb_str setting = {0}, next = {0};
    for (size_t i = 0; i < c->entry->n_rules; i++) {
        const lb_rule *r = &c->entry->rule[i];
        next.len = 0;
        add_setting(&next, c->method, r);
        if (!next.len) continue;
        bool same = setting.len == next.len && memcmp(setting.s, next.s, next.len) == 0;
        if (setting.len && !same) lb_str_add(s, "%s,", setting.s);
        lb_str_add(s, " %s", r->match);
        setting.len = 0;
        lb_str_add(&setting, "%s", next.s);
    }
    if (setting.len) lb_str_add(s, "%s", setting.s);
    s->failed = s->failed || setting.failed || next.failed;
    lb_str_free(&setting);
    lb_str_free(&next);
}

/* What the entry itself says of an end: " embedding rtn bits=8". */
static void add_end(lb_str *s, const char *which, const lb_end *e) {
    if (!e->method) return;
    lb_str_add(s, "%s %s %s", s->len ? "," : "", which, e->method->name);
    for (size_t i = 0; e->node && i < e->node->count; i++) /* of a list each cell says its own */
        if (strcmp(e->node->item[i]->key, "method") != 0 && e->node->item[i]->kind == LB_YAML_SCALAR)
            lb_str_add(s, " %s=%s", e->node->item[i]->key, e->node->item[i]->text);
}

static lb_status kept_text(lb_arena *a, lb_str *s, const char **out) {
    lb_status st = lb_str_check(s);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, s->s ? s->s : ""))) st = LB_E_NOMEM;
    lb_str_free(s);
    return st;
}

static void add_key(of_entry *e, const char *key) {
    for (size_t i = 0; i < e->varies; i++)
        if (strcmp(e->vary[i], key) == 0) return;
    if (e->varies < MOST_KEYS) e->vary[e->varies++] = key;
}

static void compare(of_entry *e, const lb_pairs *one, const lb_pairs *other) {
    for (int64_t i = 0; i < one->n; i++) {
        const char *v = lb_pairs_get(other, one->at[i].key);
        if (!v || strcmp(v, one->at[i].value) != 0) add_key(e, one->at[i].key);
    }
}

/* First pass: what entries have, and the siblings. */
static lb_status look(labeller *x, size_t i) {
    lb_cell *c = &x->s->cell[i];
    lb_index_slot *slot;
    bool fresh = false;
    LB_TRY(lb_index_put(&x->names, c->name, i, &slot, &fresh));
    size_t first = x->sibling[i] = slot->value;
    if (!c->entry) return LB_OK;
    of_entry *e = &x->entry[c->entry->index];
    if (!e->first) {
        lb_str rules = {0};
        e->first = c;
        add_rules(&rules, c);
        add_end(&rules, "embedding", &c->entry->embedding);
        add_end(&rules, "head", &c->entry->head);
        LB_TRY(kept_text(x->a, &rules, &e->rules));
    }
    compare(e, &c->varied, &e->first->varied);
    compare(e, &e->first->varied, &c->varied);
    const lb_entry *other = x->s->cell[first].entry;
    if (other && other != c->entry && strcmp(x->entry[other->index].rules, e->rules) != 0) x->differ[first] = true;
    return LB_OK;
}

/* "down at 8 bits 3b s1": the entry's label, and what varies between its cells. */
static void add_varying(lb_str *s, const of_entry *e, const lb_cell *c) {
    for (int64_t i = 0; i < c->varied.n; i++)
        for (size_t k = 0; k < e->varies; k++) {
            const char *key = c->varied.at[i].key, *value = c->varied.at[i].value;
            if (strcmp(e->vary[k], key) != 0) continue;
            if (strcmp(key, "bits") == 0)
                label_bits(s, value, NULL);
            else if (strcmp(key, "group") == 0)
                label_bits(s, NULL, value);
            else
                lb_choice_add(s, key, value);
        }
}

static lb_status taken(const lb_cell *c, const lb_cell *other) {
    const lb_entry *mine = c->entry->label ? c->entry : other->entry,
                   *theirs = c->entry->label ? other->entry : c->entry;
    lb_where w = lb_config_where(mine->label_node);
    if (!theirs) return lb_fail(LB_E_CONFIG, "%s: label: '%s' is the name of the baseline", w.text, c->label);
    return lb_fail(LB_E_CONFIG, "%s: label: '%s' is also the name of a cell of quantize[%zu] (%s)", w.text, c->label,
                   theirs->place, lb_config_where(theirs->node).text);
}

/* The label, or what of it is still free. */
static lb_status place(labeller *x, size_t i) {
    lb_cell *c = &x->s->cell[i];
    for (int tries = 0;; tries++) {
        lb_index_slot *slot;
        bool fresh = false;
        LB_TRY(lb_index_put(&x->labels, c->label, i, &slot, &fresh));
        if (fresh) return LB_OK;
        const lb_cell *other = &x->s->cell[slot->value];
        bool siblings = other->entry == c->entry; /* by texts of one file name in two folders */
        if (tries == 2 || (!siblings && (c->entry->label || (other->entry && other->entry->label))))
            return taken(c, other);
        c->label = tries || siblings ? c->name : lb_arena_printf(x->a, "%s, entry %zu", c->label, c->entry->place + 1);
        if (!c->label) return LB_E_NOMEM;
    }
}

static lb_status label(labeller *x, size_t i) {
    lb_cell *c = &x->s->cell[i];
    if (!c->entry) return place(x, i);
    const of_entry *e = &x->entry[c->entry->index];
    lb_str s = {0};
    if (c->entry->label) {
        lb_str_add(&s, "%s", c->entry->label);
        add_varying(&s, e, c);
        if (c->entry->by_rules) add_rules(&s, c);
    } else {
        lb_str_add(&s, "%s", c->label);
        if (x->differ[x->sibling[i]]) lb_str_add(&s, "%s", e->rules);
    }
    LB_TRY(kept_text(x->a, &s, &c->label));
    return place(x, i);
}

static lb_status label_all(labeller *x) {
    lb_index taken_names = {0};
    lb_status st = LB_OK;
    for (size_t i = 0; i < x->s->n && st == LB_OK; i++) {
        st = lb_interrupt_check();
        if (st == LB_OK) st = look(x, i);
        if (st == LB_OK) st = unique_name(x->a, &taken_names, &x->s->cell[i]);
    }
    lb_index_free(&taken_names);
    for (size_t i = 0; i < x->s->n && st == LB_OK; i++) {
        st = lb_interrupt_check();
        if (st == LB_OK) st = label(x, i);
    }
    return st;
}

lb_status lb_sweep_unique_labels(lb_arena *a, lb_sweep *s) {
    labeller x = {.a = a, .s = s};
    for (size_t i = 0; i < s->n; i++)
        if (s->cell[i].entry && s->cell[i].entry->index >= x.entries) x.entries = s->cell[i].entry->index + 1;
    x.entry = LB_NEW(a, of_entry, x.entries + 1);
    x.differ = LB_NEW(a, bool, s->n + 1);
    x.sibling = LB_NEW(a, size_t, s->n + 1);
    if (!x.entry || !x.differ || !x.sibling) return LB_E_NOMEM;
    lb_status st = label_all(&x);
    lb_index_free(&x.names);
    lb_index_free(&x.labels);
    return st;
}

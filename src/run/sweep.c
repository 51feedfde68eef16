/* Expansion of a config into cells. */
#include "run/sweep.h"

#include <stdio.h>
#include <string.h>

#include "base/index.h"
#include "base/scalar.h"
#include "result/provenance.h"

enum { MAX_AXES = 32, MAX_CELLS = 100000 };

/* What came of an axis. */
typedef struct reach {
    bool taken, cell;              /* an entry has it; a cell that is not refused */
    const char *dropped, *refused; /* of cells that do not depend on it, and of refused ones: the first reason */
} reach;

/* An option with the values it takes, equal ones once. */
typedef struct dim {
    const char *name;
    const lb_yaml **value; /* (n) */
    size_t n;
    lb_axis_target of;
    reach *reach; /* NULL: one value of an entry, which varies nothing */
} dim;

typedef struct dims {
    dim *at;
    size_t n;
    bool embedding, head; /* options of these are among them */
} dims;

/* The config's axes as a method reads them: found once, however many entries have that method. */
typedef struct common {
    struct common *next;
    const lb_method *method;
    const lb_axis *axis;
    dim values;
} common;

typedef struct expander {
    lb_arena *a, *scratch;
    const lb_config *c;
    lb_sweep *out;
    common *common;
    dims *entry;          /* (entries) */
    reach *reach;         /* (axes of the config) */
    const char **of_text; /* (of_texts) names of keys of texts that axes or entries set */
    size_t of_texts;
    const dims *dims; /* of the entry at hand */
    const char *whose;
    lb_index cells; /* by identity */
} expander;

bool lb_sweep_cell_option(const lb_method *m, const char *name) {
    lb_axis_target t;
    return lb_axis_is_of_end(name) || (lb_axis_find(m, name, &t) && t.owner != LB_OF_METHOD);
}

/* The struct that a target's table describes; NULL: of an end that is not quantized. */
static void *values_of(lb_cell *cell, const lb_axis_target *t) {
    switch (t->owner) {
    case LB_OF_METHOD:
        break;
    case LB_OF_CELL:
        return &cell->own;
    case LB_OF_CALIBRATION:
        return &cell->calibration;
    case LB_OF_TRAINING:
        return &cell->training;
    case LB_OF_EMBEDDING:
        return cell->embedding ? cell->embedding->opts : NULL;
    case LB_OF_HEAD:
        return cell->head ? cell->head->opts : NULL;
    }
    return cell->opts;
}

static lb_status refuse(expander *x, lb_cell *cell, const char *why) {
    if (cell->refused) return LB_OK;
    cell->refused = true;
    cell->reason = lb_arena_strdup(x->a, why);
    return cell->reason ? LB_OK : LB_E_NOMEM;
}

/* What a value means to an option, as text: canonical, or as it stands where the option cannot take it. */
static lb_status meaning(expander *x, const lb_axis_target *t, const lb_yaml *v, lb_str *out) {
    void *values = lb_arena_get(x->scratch, 1, t->table->struct_size + 1);
    if (!values) return LB_E_NOMEM;
    lb_status st = lb_options_set(t->table, x->scratch, values, t->name, v->text, x->whose);
    if (st == LB_E_NOMEM) return st;
    if (st == LB_OK)
        lb_options_text(lb_options_find(t->table, t->name), values, out);
    else
        lb_str_add(out, "%s", v->text);
    return lb_str_check(out);
}

static lb_status add_distinct(expander *x, const lb_axis_target *t, const lb_axis *ax, lb_index *seen, dim *out) {
    for (size_t i = 0; i < ax->n; i++) {
        lb_str text = {0};
        lb_index_slot *slot;
        bool fresh = false;
        LB_TRY(lb_interrupt_check());
        lb_status st = meaning(x, t, ax->value[i], &text);
        const char *kept = st == LB_OK ? lb_arena_strdup(x->scratch, text.s ? text.s : "") : NULL;
        if (st == LB_OK && !kept) st = LB_E_NOMEM;
        if (st == LB_OK) st = lb_index_put(seen, kept, i, &slot, &fresh);
        lb_str_free(&text);
        LB_TRY(st);
        if (fresh) out->value[out->n++] = ax->value[i];
    }
    return LB_OK;
}

/* Of equal values ("4" and 4, 1e-3 and 0.001) the first stays: the rest would only come out as equal cells. */
static lb_status distinct(expander *x, const lb_axis_target *t, const lb_axis *ax, dim *out) {
    lb_index seen = {0};
    *out = (dim){.name = ax->name, .value = LB_NEW(x->a, const lb_yaml *, ax->n), .of = *t};
    if (!out->value) return LB_E_NOMEM;
    lb_arena_mark start = lb_arena_save(x->scratch);
    lb_status st = add_distinct(x, t, ax, &seen, out);
    lb_arena_restore(x->scratch, start);
    lb_index_free(&seen);
    return st;
}

static lb_status distinct_common(expander *x, const lb_method *m, const lb_axis_target *t, const lb_axis *ax,
                                 dim *out) {
    for (const common *c = x->common; c; c = c->next) {
        if (c->method != m || c->axis != ax) continue;
        *out = c->values;
        return LB_OK;
    }
    common *c = LB_NEW(x->a, common, 1);
    if (!c) return LB_E_NOMEM;
    *c = (common){.next = x->common, .method = m, .axis = ax};
    LB_TRY(distinct(x, t, ax, &c->values));
    x->common = c;
    *out = c->values;
    return LB_OK;
}

/* Where an entry has a value of its own of an option; NULL: it says nothing of it. */
static const lb_yaml *set_by(const lb_entry *e, const lb_axis_target *t, const lb_option *o, const char *axis) {
    for (size_t k = 0; k < e->n_options; k++) {
        const char *name = e->option[k].name;
        if (t->owner == LB_OF_METHOD ? lb_option_answers(o, name) : strcmp(name, axis) == 0) return e->option[k].node;
    }
    return NULL;
}

const lb_yaml *lb_sweep_axis_kept(const lb_entry *e, const lb_axis_target *t, const lb_axis *ax) {
    const lb_yaml *set = lb_sweep_end_kept(e, t, ax);
    if (set) return set;
    for (size_t i = 0; i < t->table->n; i++)
        if (lb_option_answers(&t->table->table[i], t->name) && !(set = set_by(e, t, &t->table->table[i], ax->name)))
            return NULL;
    return set;
}

/* The dimensions of an entry: the config's axes that its method has and it does not set itself, then its own, which
 * have the last word. */
static lb_status find_dims(expander *x, const lb_entry *e, dims *out) {
    dim found[MAX_AXES];
    size_t n = 0;
    for (size_t i = 0; i < x->c->axes + e->n_options; i++) {
        bool shared = i < x->c->axes;
        const lb_axis *ax = shared ? &x->c->axis[i] : &e->option[i - x->c->axes];
        lb_axis_target t;
        if (!lb_axis_find_in(x->c, e, ax->name, &t) || (shared && lb_sweep_axis_kept(e, &t, ax))) continue;
        if (n == MAX_AXES)
            return lb_fail(LB_E_CONFIG, "%s: quantize[%zu]: more than %d options and axes",
                           lb_config_where(e->node).text, e->place, MAX_AXES);
        LB_TRY(shared ? distinct_common(x, e->method, &t, ax, &found[n]) : distinct(x, &t, ax, &found[n]));
        if (shared)
            (found[n].reach = &x->reach[i])->taken = true;
        else if (ax->n > 1 && !(found[n].reach = LB_NEW(x->a, reach, 1)))
            return LB_E_NOMEM;
        n++;
    }
    *out = (dims){.at = LB_NEW(x->a, dim, n + 1), .n = n};
    if (!out->at) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        out->embedding = out->embedding || found[i].of.owner == LB_OF_EMBEDDING;
        out->head = out->head || found[i].of.owner == LB_OF_HEAD;
    }
    if (n) memcpy(out->at, found, n * sizeof *found);
    return LB_OK;
}

/* "bits (3 values) x seed (40000 values)" */
static void product_text(const dims *d, lb_str *out) {
    for (size_t i = 0; i < d->n; i++)
        if (d->at[i].n > 1) lb_str_add(out, "%s%s (%zu values)", out->len ? " x " : "", d->at[i].name, d->at[i].n);
}

/* In float64, where no number of axes overflows. */
static double product_of(const dims *d) {
    double n = 1;
    for (size_t i = 0; i < d->n; i++) n *= (double)d->at[i].n;
    return n;
}

static lb_status too_many(const lb_config *c, const lb_entry *e, const dims *d, double mine, double all) {
    lb_str text = {0};
    char others[64] = "";
    if (c->models > 1) lb_str_add(&text, "model (%zu values)", c->models);
    if (c->computes > 1) lb_str_add(&text, "%scompute (%zu values)", text.len ? " x " : "", c->computes);
    product_text(d, &text);
    if (all > mine) snprintf(others, sizeof others, ", %.15g with the entries before", all);
    lb_status st = lb_str_check(&text);
    if (st == LB_OK)
        st = lb_fail(LB_E_CONFIG, "%s: quantize[%zu]: %s%s%.15g combinations%s: a sweep has at most %d",
                     lb_config_where(e->node).text, e->place, text.len ? text.s : "", text.len ? " = " : "", mine,
                     others, MAX_CELLS);
    lb_str_free(&text);
    return st;
}

/* Puts one value into the cell. A value of a common axis that this method cannot take refuses the cell. */
static lb_status put_value(expander *x, lb_cell *cell, const dim *d, const lb_yaml *v) {
    void *values = values_of(cell, &d->of);
    const char *whose = d->of.owner == LB_OF_EMBEDDING ? "embedding" : d->of.owner == LB_OF_HEAD ? "head" : x->whose;
    lb_status st = lb_options_set(d->of.table, x->a, values, d->of.name, v->text, whose);
    if (st == LB_E_NOMEM) return st;
    if (st != LB_OK) {
        LB_TRY(refuse(x, cell, lb_error()));
        return lb_pairs_add(x->a, &cell->varied, d->name, v->text);
    }
    lb_str text = {0};
    lb_options_text(lb_options_find(d->of.table, d->of.name), values, &text);
    st = lb_str_check(&text);
    if (st == LB_OK) st = lb_pairs_add(x->a, &cell->varied, d->name, text.s);
    lb_str_free(&text);
    return st;
}

/* The cell does not depend on an option: it has the first of its values, so that cells that differ in nothing come out
 * equal. why: should that be so of all cells that an axis of it reaches. */
static lb_status hold(expander *x, lb_cell *cell, const dim *d, const char *why) {
    lb_pairs *p = &cell->varied;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->at[i].key, d->name) != 0) p->at[n++] = p->at[i];
    p->n = n;
    if (d->reach && (!d->reach->dropped || lb_sweep_reads_no_text(d->reach->dropped))) d->reach->dropped = why;
    void *values = values_of(cell, &d->of);
    return values ? lb_options_set(d->of.table, x->a, values, d->of.name, d->value[0]->text, x->whose) : LB_OK;
}

/* What of a cell its stages cannot go with. */
static lb_status refuse_walk(expander *x, lb_cell *cell) {
    const lb_method *m = cell->method;
    size_t first = lb_method_preserving(m);
    bool original = cell->own.propagate == LB_PROPAGATE_ORIGINAL;
    const char *why = NULL;
    if (cell->own.true_sequential && original) why = "true_sequential needs propagate: quantized";
    if (first < lb_method_stages(m) && lb_method_stage(m, first)->block) {
        if (original) why = "propagate: original: a method of block scope works on the blocks as they have become";
        if (cell->own.true_sequential) why = "true_sequential: a method of block scope makes a block's layers together";
    }
    if (first > 0 && original && (lb_cell_statistics(cell) & ~(uint32_t)LB_NEEDS_HESSIAN))
        why = "propagate: original: of the original model's statistics only H can follow stages that change inputs";
    return why ? refuse(x, cell, why) : LB_OK;
}

/* What cannot matter for this method is set to one fixed value. */
static lb_status normalise(expander *x, lb_cell *cell) {
    LB_TRY(lb_sweep_needs(x->a, x->c, cell));
    cell->trains = cell->method->model != NULL;
    cell->draws = lb_sweep_draws(cell);
    for (size_t i = 0; i < x->dims->n; i++) {
        const dim *d = &x->dims->at[i];
        const char *why = lb_sweep_unread(cell, d->name, &d->of);
        if (why) LB_TRY(hold(x, cell, d, why));
    }
    if (!lb_cell_statistics(cell)) {
        cell->own.propagate = LB_PROPAGATE_QUANTIZED;
        cell->own.true_sequential = false;
    }
    if (!(cell->needs & LB_NEEDS_HESSIAN)) cell->own.token_weight = LB_TOKENS_AS_THEY_ARE;
    if (cell->own.token_weight != LB_TOKENS_CLIP) cell->own.token_clip = lb_token_clip_default;
    return refuse_walk(x, cell);
}

static void rule_text(const lb_rule *r, const lb_method *m, lb_str *out) {
    bool any = r->has_skip || r->same_as;
    for (size_t i = 0; i < r->n; i++) any = any || lb_options_find(&m->options, r->set[i]->key);
    if (!any) return;
    lb_str_add(out, "rule %s", r->match);
    if (r->has_skip) lb_str_add(out, " skip=%d", r->skip);
    if (r->same_as) lb_str_add(out, " same_as=%s", r->same_as);
    for (size_t i = 0; i < r->n; i++)
        if (lb_options_find(&m->options, r->set[i]->key)) lb_str_add(out, " %s=%s", r->set[i]->key, r->set[i]->text);
    lb_str_add(out, "\n");
}

/* The options of the method with their values, whose texts are one piece of memory: a sweep may have many cells. */
static lb_status list_options(expander *x, lb_cell *cell, lb_str *texts) {
    const lb_options *t = &cell->method->options;
    cell->options = (lb_pairs){.at = LB_NEW(x->a, lb_pair, t->n + 1)};
    for (size_t i = 0; i < t->n; i++) {
        if (lb_options_silent(&t->table[i], cell->opts)) continue;
        lb_options_text(&t->table[i], cell->opts, texts);
        lb_str_add_bytes(texts, "", 1);
    }
    LB_TRY(lb_str_check(texts));
    char *value = lb_arena_get(x->a, texts->len + 1, 1);
    if (!cell->options.at || !value) return LB_E_NOMEM;
    if (texts->len) memcpy(value, texts->s, texts->len);
    for (size_t i = 0; i < t->n; i++) {
        if (lb_options_silent(&t->table[i], cell->opts)) continue;
        cell->options.at[cell->options.n++] = (lb_pair){t->table[i].name, value};
        value += strlen(value) + 1;
    }
    return LB_OK;
}

/* What of the texts some cell of the sweep has otherwise than another. */
static lb_status identify_texts(expander *x, lb_cell *cell, lb_str *id) {
    for (size_t i = 0; i < x->of_texts; i++) {
        lb_axis_target t;
        if (!lb_axis_find(cell->method, x->of_text[i], &t)) continue;
        lb_str_add(id, "%s=", x->of_text[i]);
        lb_options_text(lb_options_find(t.table, t.name), values_of(cell, &t), id);
        lb_str_add(id, "\n");
    }
    return lb_str_check(id);
}

static void identify_end(const char *which, const lb_end *e, lb_str *id) {
    if (!e) return;
    lb_str_add(id, "%s ", which);
    lb_end_text(e, id);
    lb_str_add(id, "\n");
}

/* The text that two equal cells share. */
static lb_status identify(expander *x, lb_cell *cell, lb_str *id) {
    const lb_method *m = cell->method;
    lb_str_add(id, "method %s\n", m->name);
    for (int64_t i = 0; i < cell->options.n; i++)
        lb_str_add(id, "%s=%s\n", cell->options.at[i].key, cell->options.at[i].value);
    lb_str_add(id, "propagate=%d true_sequential=%d embedding=%d head=%d router=%d seed=%lld\n", cell->own.propagate,
               cell->own.true_sequential, cell->own.quantize_embedding, cell->own.quantize_head,
               cell->own.quantize_router, (long long)cell->own.seed);
    if (cell->own.token_weight != LB_TOKENS_AS_THEY_ARE)
        lb_str_add(id, "token_weight=%d token_clip=%.17g\n", cell->own.token_weight, cell->own.token_clip);
    LB_TRY(identify_texts(x, cell, id));
    identify_end("embedding", cell->embedding, id);
    identify_end("head", cell->head, id);
    for (size_t i = 0; i < x->c->rules; i++) rule_text(&x->c->rule[i], m, id);
    for (size_t i = 0; i < cell->entry->n_rules; i++) rule_text(&cell->entry->rule[i], m, id);
    /* A refused value never reached the options: what was asked for tells such cells apart. */
    for (int64_t i = 0; cell->refused && i < cell->varied.n; i++)
        lb_str_add(id, "%s:%s\n", cell->varied.at[i].key, cell->varied.at[i].value);
    LB_TRY(lb_str_check(id));
    cell->identity = lb_arena_strdup(x->a, id->s);
    return cell->identity ? LB_OK : LB_E_NOMEM;
}

static lb_status describe(expander *x, lb_cell *cell) {
    lb_str text = {0};
    lb_status st = list_options(x, cell, &text);
    text.len = 0;
    if (st == LB_OK) st = identify(x, cell, &text);
    lb_str_free(&text);
    return st;
}

/* A cell that needs a text which the config lacks is a mistake in the config, not a combination to refuse. */
static lb_status check_texts(const lb_cell *cell) {
    const lb_entry *e = cell->entry;
    lb_where w = lb_config_where(e->node);
    if ((cell->needs & LB_NEEDS_CALIBRATION) && !cell->calibration.text)
        return lb_fail(LB_E_CONFIG,
                       "%s: quantize[%zu]: method %s needs a calibration text: add calibration: {text: ...}", w.text,
                       e->place, e->method->name);
    if (e->method->model && !cell->training.text && !cell->calibration.text)
        return lb_fail(LB_E_CONFIG, "%s: quantize[%zu]: method %s needs a text to train on: add training: {text: ...}",
                       w.text, e->place, e->method->name);
    return LB_OK;
}

/* Which axes the cell is evidence for. */
static void note_reach(const expander *x, const lb_cell *cell) {
    for (size_t d = 0; d < x->dims->n; d++) {
        reach *r = x->dims->at[d].reach;
        if (!r || !lb_pairs_get(&cell->varied, x->dims->at[d].name)) continue;
        r->cell = r->cell || !cell->refused;
        if (cell->refused && !r->refused) r->refused = cell->reason;
    }
}

/* One combination: at[d] is the value's index in dimension d. */
static lb_status make_cell(expander *x, const lb_entry *e, const size_t *at, lb_cell *cell) {
    *cell = (lb_cell){
        .entry = e, .method = e->method, .calibration = x->c->calibration, .training = x->c->training, .reason = ""};
    LB_TRY(lb_sweep_ends_begin(x->a, x->c, x->dims->embedding, x->dims->head, cell));
    cell->opts = lb_arena_get(x->a, 1, e->method->options.struct_size + 1);
    if (!cell->opts) return LB_E_NOMEM;
    LB_TRY(lb_options_defaults(&e->method->options, x->a, cell->opts));
    for (size_t d = 0; d < x->dims->n; d++) LB_TRY(put_value(x, cell, &x->dims->at[d], x->dims->at[d].value[at[d]]));
    lb_sweep_ends(cell);
    LB_TRY(normalise(x, cell));
    LB_TRY(check_texts(cell));
    if (!cell->refused) {
        lb_status st = lb_method_check(e->method, cell->opts);
        if (st == LB_OK) st = lb_sweep_ends_check(cell);
        if (st == LB_E_NOMEM) return st;
        if (st != LB_OK) LB_TRY(refuse(x, cell, lb_error()));
    }
    note_reach(x, cell);
    LB_TRY(describe(x, cell));
    return lb_sweep_label(x->a, cell);
}

/* The cell of a combination, unless there is an equal one. */
static lb_status add_cell(expander *x, const lb_entry *e, const size_t *at) {
    lb_index_slot *slot;
    bool fresh = false;
    lb_arena_mark before = lb_arena_save(x->a);
    lb_cell *cell = &x->out->cell[x->out->n];
    LB_TRY(make_cell(x, e, at, cell));
    LB_TRY(lb_index_put(&x->cells, cell->identity, x->out->n, &slot, &fresh));
    if (fresh) {
        x->out->n++;
        return LB_OK;
    }
    *cell = (lb_cell){0};
    lb_arena_restore(x->a, before);
    x->out->merged++;
    return LB_OK;
}

static lb_status name_method(expander *x, const lb_entry *e) {
    x->whose = lb_arena_printf(x->a, "method %s", e->method->name);
    return x->whose ? LB_OK : LB_E_NOMEM;
}

/* Keeps the name of each key of a text that some entry has a dimension of. */
static void note_texts(expander *x, const dims *d) {
    for (size_t i = 0; i < d->n; i++) {
        bool there = d->at[i].of.owner != LB_OF_CALIBRATION && d->at[i].of.owner != LB_OF_TRAINING;
        for (size_t k = 0; k < x->of_texts; k++) there = there || strcmp(x->of_text[k], d->at[i].name) == 0;
        if (!there) x->of_text[x->of_texts++] = d->at[i].name;
    }
}

/* All entries' dimensions, and the most cells that they can give: known before the first is made. */
static lb_status count_cells(expander *x, size_t *most) {
    double each = 0, all = 0; /* of a plan; of all of them */
    x->entry = LB_NEW(x->a, dims, x->c->entries + 1);
    x->reach = LB_NEW(x->a, reach, x->c->axes + 1);
    x->of_text = LB_NEW(x->a, const char *, lb_config_calibration_table.n + lb_config_training_table.n);
    if (!x->entry || !x->reach || !x->of_text) return LB_E_NOMEM;
    for (size_t i = 0; i < x->c->entries; i++) {
        const lb_entry *e = &x->c->entry[i];
        if (!e->method) continue;
        LB_TRY(name_method(x, e));
        LB_TRY(find_dims(x, e, &x->entry[i]));
        note_texts(x, &x->entry[i]);
        double one = product_of(&x->entry[i]), mine = one * (double)(x->c->models * x->c->computes);
        each += one;
        all += mine;
        if (all > MAX_CELLS) return too_many(x->c, e, &x->entry[i], mine, all);
    }
    *most = (size_t)each;
    return LB_OK;
}

static lb_status expand_entry(expander *x, size_t i) {
    const lb_entry *e = &x->c->entry[i];
    LB_TRY(name_method(x, e));
    x->dims = &x->entry[i];
    size_t at[MAX_AXES] = {0};
    for (;;) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(add_cell(x, e, at));
        size_t d = x->dims->n;
        while (d > 0 && ++at[d - 1] == x->dims->at[d - 1].n) at[--d] = 0;
        if (d == 0) return LB_OK;
    }
}

/* No entry took the axis: each that has the option sets it. */
static lb_status overridden(const expander *x, const lb_axis *ax) {
    const lb_yaml *set = NULL;
    lb_axis_target t;
    for (size_t i = 0; i < x->c->entries && !set; i++)
        if (lb_axis_find_in(x->c, &x->c->entry[i], ax->name, &t)) set = lb_sweep_axis_kept(&x->c->entry[i], &t, ax);
    return lb_fail(LB_E_CONFIG, "%s: axes.%s has no effect: every entry%s sets %s itself (%s)",
                   lb_config_where(ax->node).text, ax->name, x->c->entries > 1 ? " that has it" : "", ax->name,
                   lb_config_where(set).text);
}

/* An axis that reaches no cell is a mistake: whoever edits it would take old numbers for new ones. */
static lb_status check_axes(const expander *x) {
    for (size_t i = 0; i < x->c->axes; i++) {
        const lb_axis *ax = &x->c->axis[i];
        const reach *r = &x->reach[i];
        if (!r->taken) return overridden(x, ax);
        if (r->cell) continue;
        return lb_fail(
            LB_E_CONFIG, "%s: axes.%s has no effect: %s%s", lb_config_where(ax->node).text, ax->name,
            r->dropped ? "" : "every cell that it reaches is refused: ", r->dropped ? r->dropped : r->refused);
    }
    return LB_OK;
}

/* The same of a list in an entry. Where its cells are refused, they say so themselves. */
static lb_status check_lists(const expander *x, size_t entry) {
    const lb_entry *e = &x->c->entry[entry];
    for (size_t d = 0; d < x->entry[entry].n; d++) {
        const dim *m = &x->entry[entry].at[d];
        for (size_t k = 0; k < e->n_options; k++)
            if (strcmp(e->option[k].name, m->name) == 0 && e->option[k].n > 1 && !m->reach->cell && m->reach->dropped)
                return lb_fail(LB_E_CONFIG, "%s: quantize[%zu].%s has no effect: %s",
                               lb_config_where(e->option[k].node).text, e->place, m->name, m->reach->dropped);
    }
    return LB_OK;
}

static lb_status expand(expander *x) {
    size_t most = 0;
    LB_TRY(count_cells(x, &most));
    x->out->cell = LB_NEW(x->a, lb_cell, most + 1);
    if (!x->out->cell) return LB_E_NOMEM;
    x->out->cell[x->out->n++] =
        (lb_cell){.name = "none", .label = "none", .identity = "none", .reason = "", .own = x->c->cell};
    for (size_t i = 0; i < x->c->entries; i++)
        if (x->c->entry[i].method) {
            LB_TRY(expand_entry(x, i));
            LB_TRY(check_lists(x, i));
        }
    LB_TRY(check_axes(x));
    return lb_sweep_unique_labels(x->a, x->out);
}

lb_status lb_sweep_expand(lb_arena *a, const lb_config *c, lb_sweep *out) {
    *out = (lb_sweep){0};
    expander x = {.a = a, .c = c, .out = out};
    LB_TRY(lb_arena_new(0, &x.scratch));
    lb_status st = expand(&x);
    lb_index_free(&x.cells);
    lb_arena_free(x.scratch);
    return st;
}

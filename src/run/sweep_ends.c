/* The ends of a model, embedding and head, where they are quantized by a method of their own. */
#include <string.h>

#include "run/sweep.h"

static const lb_end *given(const lb_end *of_entry, const lb_end *of_config) {
    return of_entry->method ? of_entry : of_config->method ? of_config : NULL;
}

/* With options that no other cell has. */
static lb_status copy_end(lb_arena *a, const lb_end **end) {
    size_t size = (*end)->method->options.struct_size;
    lb_end *own = LB_NEW(a, lb_end, 1);
    if (!own) return LB_E_NOMEM;
    *own = **end;
    if (!(own->opts = lb_arena_get(a, 1, size + 1))) return LB_E_NOMEM;
    memcpy(own->opts, (*end)->opts, size);
    *end = own;
    return LB_OK;
}

lb_status lb_sweep_ends_begin(lb_arena *a, const lb_config *c, bool own_embedding, bool own_head, lb_cell *cell) {
    const lb_entry *e = cell->entry;
    cell->own = c->cell;
    if (e->embedding.method) cell->own.quantize_embedding = true;
    if (e->head.method) cell->own.quantize_head = true;
    cell->embedding = given(&e->embedding, &c->embedding);
    cell->head = given(&e->head, &c->head);
    if (own_embedding) LB_TRY(copy_end(a, &cell->embedding));
    if (own_head) LB_TRY(copy_end(a, &cell->head));
    return LB_OK;
}

void lb_sweep_ends(lb_cell *cell) {
    if (!cell->own.quantize_embedding) cell->embedding = NULL;
    if (!cell->own.quantize_head) cell->head = NULL;
}

static lb_status check_end(const char *which, const lb_end *e) {
    lb_status st = e ? lb_method_check(e->method, e->opts) : LB_OK;
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(st, "%s", which);
}

lb_status lb_sweep_ends_check(const lb_cell *cell) {
    LB_TRY(check_end("embedding", cell->embedding));
    return check_end("head", cell->head);
}

const lb_yaml *lb_sweep_end_kept(const lb_entry *e, const lb_axis_target *t, const lb_axis *ax) {
    const lb_end *own = t->owner == LB_OF_HEAD ? &e->head : t->owner == LB_OF_EMBEDDING ? &e->embedding : NULL;
    if (!own || !own->method) return NULL;
    const lb_yaml *says = lb_yaml_get(own->node, t->name);
    return says ? says : ax->of_map ? own->node : NULL;
}

void lb_end_text(const lb_end *e, lb_str *out) {
    const lb_options *t = &e->method->options;
    lb_str_add(out, "%s", e->method->name);
    for (size_t i = 0; i < t->n; i++) {
        if (lb_options_silent(&t->table[i], e->opts)) continue;
        lb_str_add(out, " %s=", t->table[i].name);
        lb_options_text(&t->table[i], e->opts, out);
    }
}

lb_status lb_end_same(const lb_end *a, const lb_end *b, bool *same) {
    lb_str x = {0}, y = {0};
    lb_end_text(a, &x);
    lb_end_text(b, &y);
    lb_status st = lb_str_check(x.failed ? &x : &y);
    *same = st == LB_OK && a->method == b->method && strcmp(x.s, y.s) == 0;
    lb_str_free(&x);
    lb_str_free(&y);
    return st;
}

/* Rounds each weight by itself, and takes bits and group from outside: the first in the registry's order, because this
 * is whatever the project calls round-to-nearest, and no method is known here by its name. */
static const lb_method *rounding(void) {
    for (size_t i = 0; lb_method_at(i); i++) {
        const lb_method *m = lb_method_at(i);
        if (m->layer && !m->needs && lb_options_find(&m->options, "bits") && lb_options_find(&m->options, "group"))
            return m;
    }
    return NULL;
}

/* The last stage that has bits and group; m's stages: none has. */
static size_t last_rounding(const lb_method *m) {
    size_t i = lb_method_stages(m);
    while (i-- > 0) {
        const lb_options *t = m->stages ? m->stage[i].options : &m->options;
        if (lb_options_find(t, "bits") && lb_options_find(t, "group")) return i;
    }
    return lb_method_stages(m);
}

lb_status lb_end_rounded(lb_arena *a, const lb_method *m, const void *opts, const lb_end **out) {
    const lb_method *round = rounding();
    size_t stage = last_rounding(m);
    if (!round || stage == lb_method_stages(m)) {
        *out = NULL;
        return LB_OK;
    }
    const lb_options *theirs = m->stages ? m->stage[stage].options : &m->options, *ours = &round->options;
    const void *from = lb_method_stage_opts(m, stage, opts);
    const char *whose = lb_arena_printf(a, "method %s", round->name);
    lb_end *e = LB_NEW(a, lb_end, 1);
    void *to = lb_arena_get(a, 1, ours->struct_size + 1);
    if (!whose || !e || !to) return LB_E_NOMEM;
    LB_TRY(lb_options_defaults(ours, a, to));
    for (size_t i = 0; i < ours->n; i++) {
        const lb_option *o = lb_options_find(theirs, ours->table[i].name);
        lb_str text = {0};
        if (!o) continue;
        lb_options_text(o, from, &text);
        lb_status st = lb_str_check(&text);
        if (st == LB_OK) st = lb_options_set(ours, a, to, ours->table[i].name, text.s ? text.s : "", whose);
        lb_str_free(&text);
        LB_TRY(st);
    }
    LB_TRY(lb_method_check(round, to));
    *e = (lb_end){.method = round, .opts = to};
    *out = e;
    return LB_OK;
}

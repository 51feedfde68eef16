/* Where the numbers come from: what all cells share is said once, then what differs. */
#include <string.h>

#include "run/report_parts.h"

typedef struct items {
    lb_arena *arena;
    const char **at;
    size_t n, cap;
} items;

static lb_status add(items *s, const char *text) {
    if (!text) return LB_E_NOMEM;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 32;
        const char **at = LB_NEW(s->arena, const char *, cap);
        if (!at) return LB_E_NOMEM;
        if (s->n) memcpy(at, s->at, s->n * sizeof *at);
        s->at = at, s->cap = cap;
    }
    s->at[s->n++] = text;
    return LB_OK;
}

static const lb_pairs *pairs_of(const lb_record *c, bool host) { return host ? &c->host : &c->provenance; }

static const lb_record *first_done(const lb_results *r) {
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].state == LB_CELL_DONE) return &r->record[i];
    return NULL;
}

static bool shared(const lb_results *r, bool host, const char *key, const char *value) {
    for (int64_t i = 0; i < r->n; i++) {
        if (r->record[i].state != LB_CELL_DONE) continue;
        const char *v = lb_report_pair(pairs_of(&r->record[i], host), key);
        if (!v || strcmp(v, value) != 0) return false;
    }
    return true;
}

static lb_status add_shared(items *s, const lb_results *r, bool host) {
    const lb_record *c = first_done(r);
    if (!c) return LB_OK;
    const lb_pairs *p = pairs_of(c, host);
    for (int64_t i = 0; i < p->n; i++)
        if (shared(r, host, p->at[i].key, p->at[i].value))
            LB_TRY(add(s, lb_arena_printf(s->arena, "%s: %s", p->at[i].key, p->at[i].value)));
    return LB_OK;
}

static lb_status add_differing(items *s, const lb_results *r, bool host) {
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (c->state != LB_CELL_DONE) continue;
        const lb_pairs *p = pairs_of(c, host);
        for (int64_t k = 0; k < p->n; k++)
            if (!shared(r, host, p->at[k].key, p->at[k].value))
                LB_TRY(add(s, lb_arena_printf(s->arena, "%s, %s: %s", c->label, p->at[k].key, p->at[k].value)));
    }
    return LB_OK;
}

/* Every option that a cell ran with, also the defaults: what was actually used. */
static lb_status add_options(items *s, const lb_results *r) {
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (c->state != LB_CELL_DONE) continue;
        lb_str line = {0};
        lb_str_add(&line, "%s: seed=%llu", c->label, (unsigned long long)c->seed);
        for (int64_t k = 0; k < c->options.n; k++)
            lb_str_add(&line, " %s=%s", c->options.at[k].key, c->options.at[k].value);
        if (c->propagate && c->propagate[0]) lb_str_add(&line, " propagate=%s", c->propagate);
        if (c->true_sequential) lb_str_add(&line, " true_sequential=true");
        lb_status st = lb_str_check(&line);
        if (st == LB_OK) st = add(s, lb_arena_strdup(s->arena, line.s));
        lb_str_free(&line);
        LB_TRY(st);
    }
    return LB_OK;
}

static void list(const items *s, const char *title, lb_table_format f, lb_str *out) {
    if (!s->n) return;
    lb_markup_paragraph(out, f, title);
    lb_markup_list(out, f, s->at, s->n);
}

lb_status lb_report_provenance(const lb_report_view *v, lb_table_format f, lb_str *out) {
    items same = {.arena = v->arena}, differ = same, options = same;
    LB_TRY(add_shared(&same, v->r, false));
    LB_TRY(add_shared(&same, v->r, true));
    LB_TRY(add_differing(&differ, v->r, false));
    LB_TRY(add_differing(&differ, v->r, true));
    LB_TRY(add_options(&options, v->r));
    list(&same, "The same for all cells:", f, out);
    list(&differ, "Different between cells:", f, out);
    list(&options, "Every option of every cell:", f, out);
    return lb_str_check(out);
}

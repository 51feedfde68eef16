#include "model/new_config.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "model/config_impl.h"

struct lb_new_config {
    const lb_family *family;
    json_t *o;
};

lb_status lb_new_config_begin(const lb_family *f, lb_new_config **out) {
    lb_json_memory_begin();
    lb_new_config *c = *out = lb_alloc(1, sizeof *c);
    if (!c) return LB_E_NOMEM;
    c->family = f;
    c->o = json_object();
    return lb_json_memory_check("new model");
}

void lb_new_config_free(lb_new_config *c) {
    if (!c) return;
    json_decref(c->o);
    lb_free(c);
}

/* What began with lb_json_memory_begin. */
static lb_status put(lb_new_config *c, const char *key, json_t *v) {
    bool done = json_object_set_new(c->o, key, v) == 0;
    LB_TRY(lb_json_memory_check("new model"));
    return done ? LB_OK : LB_E_NOMEM;
}

/* ---- by name ---- */

static bool spells(const char *names, const char *key) {
    char name[LB_CONFIG_KEY];
    for (const char *at = names; at;) {
        lb_config_spelling(at, name, &at);
        if (strcmp(name, key) == 0) return true;
    }
    return false;
}

/* One key's place in a config that is made: its first spelling, of the base and the part of rotary positions the last.
 */
static bool place_of(const lb_family *f, const char *key, char out[LB_CONFIG_KEY]) {
    const lb_key *k = lb_config_row(f, key);
    const lb_rope_keys *r = f->rope;
    const char *names = k && k->kind != LB_KEY_IDLE ? k->name : NULL;
    if (!names && r && spells(r->base, key)) names = r->base;
    if (!names && r && r->part_absent && spells(r->part, key)) names = r->part;
    if (!names && r && spells("rope_parameters|rope_scaling", key)) names = key;
    if (names) lb_config_spelling(names, out, &(const char *){NULL});
    return names != NULL;
}

static lb_status no_such_key(const lb_family *f, const char *key) {
    enum { MOST = 96 };
    char name[MOST][LB_CONFIG_KEY];
    const char *known[MOST + 3];
    size_t n = 0;
    for (const lb_key *k = f->hf_keys; k->name && n < MOST; k++) {
        if (k->kind == LB_KEY_IDLE) continue;
        lb_config_spelling(k->name, name[n], &(const char *){NULL});
        known[n] = name[n];
        n++;
    }
    if (f->rope && n < MOST) {
        lb_config_spelling(f->rope->base, name[n], &(const char *){NULL});
        known[n] = name[n];
        known[n + 1] = "rope_parameters";
        n += 2;
    }
    lb_str all = {0};
    for (size_t i = 0; i < n; i++) lb_str_add(&all, "%s%s", i ? ", " : "", known[i]);
    lb_status st = lb_str_check(&all);
    const char *near = lb_str_nearest(key, known, n);
    if (st == LB_OK)
        st = lb_fail(LB_E_ARG, "the %s family has no key '%s' that changes what is computed%s%s%s; there are %s",
                     f->name, key, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "", all.s);
    lb_str_free(&all);
    return st;
}

lb_status lb_new_config_set(lb_new_config *c, const char *key, const char *value) {
    char place[LB_CONFIG_KEY];
    if (!place_of(c->family, key, place)) return no_such_key(c->family, key);
    if (json_object_get(c->o, place)) return lb_fail(LB_E_ARG, "key %s is given twice", key);
    lb_json_memory_begin();
    json_t *v = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (!v) v = json_string(value);
    if (!v) LB_TRY(lb_json_memory_check("new model"));
    if (!v) return lb_fail(LB_E_ARG, "key %s: the value is neither JSON nor a word in UTF-8", key);
    return put(c, place, v);
}

/* ---- by number ---- */

static const lb_key *row_of(const lb_family *f, const char *number) {
    for (const lb_key *k = f->hf_keys; k->name; k++)
        if (k->number && strcmp(k->number, number) == 0) return k;
    return NULL;
}

static json_t *value_of(const lb_key *k, double v) {
    if (k && k->kind == LB_KEY_FLAG) return json_boolean(v != 0.0);
    return k && lb_config_whole(k, v) ? json_integer((json_int_t)v) : json_real(v);
}

lb_status lb_new_config_number(lb_new_config *c, const char *number, double value, bool must, const char *option) {
    const lb_key *k = row_of(c->family, number);
    const char *names = k ? k->name : c->family->rope && !strcmp(number, "rope_base") ? c->family->rope->base : NULL;
    char key[LB_CONFIG_KEY];
    if (!names && must) return lb_fail(LB_E_ARG, "%s: the %s family has no key for it", option, c->family->name);
    if (!names) return LB_OK;
    lb_config_spelling(names, key, &(const char *){NULL});
    lb_json_memory_begin();
    if (!json_object_get(c->o, key)) return put(c, key, value_of(k, value));
    return must ? lb_fail(LB_E_ARG, "%s: key %s says it already", option, key) : LB_OK;
}

/* ---- what the family makes new models of ---- */

/* Numbers of the keys that are given, for expressions. */
static lb_status take_numbers(const lb_new_config *c, lb_numbering *b) {
    char key[LB_CONFIG_KEY];
    for (const lb_key *k = c->family->hf_keys; k->name; k++) {
        lb_config_spelling(k->name, key, &(const char *){NULL});
        const json_t *v = json_object_get(c->o, key);
        if (k->number && json_is_number(v)) LB_TRY(lb_numbering_set(b, k->number, json_number_value(v)));
        if (k->number && json_is_boolean(v)) LB_TRY(lb_numbering_set(b, k->number, json_is_true(v)));
        if (k->number && json_is_null(v)) LB_TRY(lb_numbering_set(b, k->number, 0.0)); /* said, too */
    }
    return LB_OK;
}

static lb_status add_fresh(const lb_family *f, const lb_number *x, json_t *to) {
    const lb_key *k = row_of(f, x->name);
    char key[LB_CONFIG_KEY];
    if (!k) return LB_OK; /* the family has no such key */
    lb_config_spelling(k->name, key, &(const char *){NULL});
    if (k->kind == LB_KEY_COUNT && x->all != floor(x->all))
        return lb_fail(LB_E_ARG, "new model: %s would be %g: give sizes that fit, or %s itself", key, x->all, key);
    (void)json_object_set_new(to, key, value_of(k, x->all));
    return LB_OK;
}

lb_status lb_new_config_text(const lb_new_config *c, lb_arena *a, const char **out) {
    lb_numbering b = {.arena = a, .whose = "new model"};
    lb_json_memory_begin();
    json_t *all = json_deep_copy(c->o);
    lb_status st = take_numbers(c, &b);
    int64_t given = b.n;
    if (st == LB_OK) st = lb_family_rules(c->family, "head_dim ?= dim/heads", &b);
    if (st == LB_OK) st = lb_family_rules(c->family, c->family->fresh, &b);
    for (int64_t i = given; i < b.n && st == LB_OK; i++) st = add_fresh(c->family, &b.at[i], all);
    char *text = all ? json_dumps(all, JSON_REAL_PRECISION(17)) : NULL;
    if (st == LB_OK) st = lb_json_memory_check("new model");
    if (st == LB_OK && (!text || !(*out = lb_arena_strdup(a, text)))) st = LB_E_NOMEM;
    lb_free(text);
    json_decref(all);
    return st;
}

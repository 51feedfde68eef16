/* Rotary positions as config.json tells them: in rope_scaling or rope_parameters, depending on the version of
 * transformers, and the base and the part that turns also outside of both. Where a number is told more than once, all
 * must agree. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/config_impl.h"
#include "model/steps/reference.h"

enum { KINDS = 6, MEMBERS = 12 };
static const char *const kind_name[KINDS] = {"default", "linear", "dynamic", "llama3", "yarn", "longrope"};
/* The members of each kind beside rope_type, type, rope_theta and partial_rotary_factor. */
static const char *const kind_member[KINDS][MEMBERS] = {
    [LB_REF_ROPE_LINEAR] = {"factor"},
    [LB_REF_ROPE_LLAMA3] = {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
    [LB_REF_ROPE_LONGROPE] = {"short_factor", "long_factor", "original_max_position_embeddings"},
};

typedef struct scaling {
    int kind;
    double factor, low, high, original;
    const double *list[2]; /* longrope: factors of short and long sequences */
    int64_t listed[2];
} scaling;

static const json_t *member(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

static bool supported(const lb_config_reader *r, int kind) { return (r->family->rope->kinds >> kind & 1u) != 0; }

static lb_status unknown_kind(const lb_config_reader *r, const char *place, const char *name) {
    lb_str known = {0};
    int last = KINDS - 1;
    while (last > 0 && !supported(r, last)) last--;
    for (int k = 0; k < KINDS; k++)
        if (supported(r, k)) lb_str_add(&known, "%s'%s'", k == 0 ? "" : k == last ? " and " : ", ", kind_name[k]);
    lb_status st = lb_str_check(&known);
    if (st == LB_OK)
        st = lb_fail(LB_E_UNSUPPORTED, "%s: %s: type '%s' is not supported: only %s are", r->path, place,
                     name ? name : "?", known.s);
    lb_str_free(&known);
    return st;
}

static lb_status kind_of(const lb_config_reader *r, const char *place, const json_t *o, int *kind) {
    const json_t *type = member(o, "rope_type"), *old = member(o, "type");
    if (type && old && !json_equal(type, old))
        return lb_config_differ(r->path, place, "rope_type", type, place, "type", old);
    if (!type) type = old;
    const char *name = type ? json_string_value(type) : kind_name[LB_REF_ROPE_DEFAULT];
    /* Phi-3 called longrope so, and reads "yarn" as it. */
    if (name && supported(r, LB_REF_ROPE_LONGROPE) && (strcmp(name, "su") == 0 || strcmp(name, "yarn") == 0))
        name = kind_name[LB_REF_ROPE_LONGROPE];
    *kind = 0;
    while (name && *kind < KINDS && (!supported(r, *kind) || strcmp(name, kind_name[*kind]) != 0)) ++*kind;
    return name && *kind < KINDS ? LB_OK : unknown_kind(r, place, name);
}

static lb_status read_list(const lb_config_reader *r, const char *place, const json_t *o, const char *key,
                           const double **out, int64_t *n) {
    const json_t *list = member(o, key), *x;
    size_t i;
    double *v = LB_NEW(r->b.arena, double, json_array_size(list) + 1);
    if (!v) return LB_E_NOMEM;
    if (!json_is_array(list)) return lb_fail(LB_E_FORMAT, "%s: %s.%s: must be a list", r->path, place, key);
    json_array_foreach(list, i, x) {
        v[i] = json_number_value(x);
        if (!(v[i] > 0.0 && isfinite(v[i])))
            return lb_fail(LB_E_FORMAT, "%s: %s.%s[%zu]: must be a positive number", r->path, place, key, i);
    }
    *out = v;
    *n = (int64_t)json_array_size(list);
    return LB_OK;
}

/* One of "rope_scaling" and "rope_parameters". */
static lb_status read_scaling(const lb_config_reader *r, const char *place, const json_t *o, scaling *out) {
    const char *known[MEMBERS + 4] = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
    char within[32];
    scaling s = {0};
    LB_TRY(kind_of(r, place, o, &s.kind));
    memcpy(known + 4, kind_member[s.kind], (MEMBERS - 1) * sizeof *known);
    snprintf(within, sizeof within, "%s.", place);
    LB_TRY(lb_config_check_keys(r->path, within, o, known)); /* also one object a kind of layer */
    LB_TRY(lb_json_once(r->path, o, known));
    if (s.kind == LB_REF_ROPE_LONGROPE) {
        LB_TRY(read_list(r, place, o, "short_factor", &s.list[0], &s.listed[0]));
        LB_TRY(read_list(r, place, o, "long_factor", &s.list[1], &s.listed[1]));
    } else if (s.kind != LB_REF_ROPE_DEFAULT)
        LB_TRY(lb_json_num(r->path, o, "factor", &s.factor));
    if (s.kind == LB_REF_ROPE_LLAMA3) {
        int64_t original;
        LB_TRY(lb_json_num(r->path, o, "low_freq_factor", &s.low));
        LB_TRY(lb_json_num(r->path, o, "high_freq_factor", &s.high));
        LB_TRY(lb_json_int(r->path, o, "original_max_position_embeddings", &original));
        s.original = (double)original;
    }
    *out = s;
    return LB_OK;
}

static bool same(const scaling *a, const scaling *b) {
    for (int i = 0; i < 2; i++)
        if (a->listed[i] != b->listed[i] ||
            (a->listed[i] && memcmp(a->list[i], b->list[i], (size_t)a->listed[i] * sizeof(double)) != 0))
            return false;
    return a->kind == b->kind && a->factor == b->factor && a->low == b->low && a->high == b->high &&
           a->original == b->original;
}

/* Every member that both places have. */
static lb_status same_members(const char *path, const char *const place[2], const json_t *const o[2]) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o[0], key, v) {
        const json_t *w = member(o[1], key);
        if (!w || json_is_null(v) || json_equal(v, w)) continue;
        if (json_is_number(v) && json_is_number(w) && json_number_value(v) == json_number_value(w)) continue;
        return lb_config_differ(path, place[0], key, v, place[1], key, w);
    }
    return LB_OK;
}

/* A number that stands at the top under one of the spellings, and in the objects as `inner`. */
static lb_status number_of(const lb_config_reader *r, const char *names, const char *inner, const char *absent,
                           const char *const place[2], const json_t *const o[2], double *out) {
    const json_t *v = NULL, *first = NULL;
    char key[LB_CONFIG_KEY];
    const char *in = NULL, *at = key;
    bool is_null;
    const lb_numbers n = lb_numbering_view(&r->b);
    LB_TRY(lb_expression(&n, absent, -1, out));
    LB_TRY(lb_config_value(r->path, r->c, names, &first, key, &is_null));
    if (first) LB_TRY(lb_json_num(r->path, r->c, key, out));
    for (int i = 0; i < 2; i++) {
        double told;
        if (!(v = member(o[i], inner))) continue;
        LB_TRY(lb_json_num(r->path, o[i], inner, &told));
        if (first && told != *out) return lb_config_differ(r->path, in, at, first, place[i], inner, v);
        *out = told;
        first = v;
        in = place[i];
        at = inner;
    }
    return LB_OK;
}

/* The factor on cos and sin: Ding et al. 2024 (arXiv:2402.13753), with the context over the original one as s. */
static lb_status set_longrope(lb_config_reader *r, const scaling *s) {
    LB_TRY(lb_numbering_set_list(&r->b, "rope_short", s->list[0], s->listed[0]));
    LB_TRY(lb_numbering_set_list(&r->b, "rope_long", s->list[1], s->listed[1]));
    const lb_numbers n = lb_numbering_view(&r->b);
    double context;
    LB_TRY(lb_number_get(&n, "context", -1, &context));
    LB_TRY(lb_numbering_set(&r->b, "rope_original", s->original));
    bool longer = context > s->original && s->original > 1.0;
    return lb_numbering_set(&r->b, "rope_magnitude",
                            longer ? sqrt(1.0 + log(context / s->original) / log(s->original)) : 1.0);
}

static lb_status set_numbers(lb_config_reader *r, const scaling *s, double base, double part) {
    LB_TRY(lb_numbering_set(&r->b, "rope_part", part));
    LB_TRY(lb_numbering_set(&r->b, "rope_kind", s->kind));
    LB_TRY(lb_numbering_set(&r->b, "rope_base", base));
    if (s->kind == LB_REF_ROPE_LONGROPE) return set_longrope(r, s);
    LB_TRY(lb_numbering_set(&r->b, "rope_factor", s->factor));
    LB_TRY(lb_numbering_set(&r->b, "rope_low", s->low));
    LB_TRY(lb_numbering_set(&r->b, "rope_high", s->high));
    return lb_numbering_set(&r->b, "rope_original", s->original);
}

lb_status lb_config_rope(lb_config_reader *r) {
    static const char *const place[] = {"rope_scaling", "rope_parameters"};
    static const char original[] = "original_max_position_embeddings";
    const json_t *const o[] = {member(r->c, place[0]), member(r->c, place[1])};
    const lb_rope_keys *keys = r->family->rope;
    scaling all = {0}, s;
    double base, part;
    if (o[0] && o[1]) LB_TRY(same_members(r->path, place, o));
    for (size_t i = 0; i < 2; i++) {
        if (!o[i]) continue;
        if (!json_is_object(o[i])) return lb_fail(LB_E_FORMAT, "%s: %s: must be an object", r->path, place[i]);
        LB_TRY(read_scaling(r, place[i], o[i], &s));
        if (i == 1 && o[0] && !same(&s, &all))
            return lb_fail(LB_E_FORMAT, "%s: rope_scaling (type '%s') and rope_parameters (type '%s') differ", r->path,
                           kind_name[all.kind], kind_name[s.kind]);
        all = s;
    }
    LB_TRY(number_of(r, keys->base, "rope_theta", keys->base_absent, place, o, &base));
    LB_TRY(number_of(r, keys->part, "partial_rotary_factor", keys->part_absent ? keys->part_absent : "1", place, o,
                     &part));
    if (!keys->part_absent && part != 1.0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: partial_rotary_factor = %g: only 1 is supported", r->path, part);
    if (!(part > 0.0 && part <= 1.0))
        return lb_fail(LB_E_FORMAT, "%s: partial_rotary_factor = %g: must be in (0, 1]", r->path, part);
    if (all.kind == LB_REF_ROPE_LONGROPE)
        LB_TRY(number_of(r, original, original, "rope_original", place, o, &all.original));
    return set_numbers(r, &all, base, part);
}

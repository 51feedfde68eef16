/* Rotary positions as config.json tells them: in rope_scaling or rope_parameters, depending on the version of
 * transformers, and the base and the part that turns also outside of both. Where a number is told more than once, all
 * must agree; but the original context outside counts before one inside, as in transformers. A family whose blocks with
 * a window turn otherwise (Gemma 3) has an object for either kind of block in rope_parameters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/config_impl.h"
#include "model/rope_numbers.h"
#include "model/steps/reference.h"

enum { KINDS = 6, MEMBERS = 13 };
static const char original_key[] = "original_max_position_embeddings";
/* The members of each kind beside rope_type, type, rope_theta and partial_rotary_factor. Of yarn, transformers does not
 * look at "finetuned", which old files have, nor at what is for vLLM alone, the last three. */
static const char *const kind_member[KINDS][MEMBERS] = {
    [LB_REF_ROPE_LINEAR] = {"factor"},
    [LB_REF_ROPE_DYNAMIC] = {"factor"},
    [LB_REF_ROPE_LLAMA3] = {"factor", "low_freq_factor", "high_freq_factor", original_key},
    [LB_REF_ROPE_YARN] = {"factor", original_key, "attention_factor", "beta_fast", "beta_slow", "mscale",
                          "mscale_all_dim", "truncate", "finetuned", "attn_factor", "extrapolation_factor",
                          "apply_yarn_scaling"},
    [LB_REF_ROPE_LONGROPE] = {"short_factor", "long_factor", original_key, "factor", "attention_factor"},
};

/* Where one table is told; o NULL: not there. */
typedef struct place {
    const char *name;
    const json_t *o;
} place;
enum { PLACES = 2 };

/* One table as its object says. */
typedef struct scaling {
    lb_rope_told t;
    double attention, mscale, mscale_all; /* 0: not told */
} scaling;

static const json_t *member(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

/* Where a table is told. An empty object says nothing. */
static const json_t *object(const json_t *o, const char *key) {
    const json_t *v = member(o, key);
    return !(json_is_object(v) && json_object_size(v) == 0) ? v : NULL;
}

static bool supported(const lb_config_reader *r, int kind) { return (r->family->rope->kinds >> kind & 1u) != 0; }

static lb_status unknown_kind(const lb_config_reader *r, const char *where, const char *name) {
    lb_str known = {0};
    int last = KINDS - 1;
    while (last > 0 && !supported(r, last)) last--;
    for (int k = 0; k < KINDS; k++)
        if (supported(r, k)) lb_str_add(&known, "%s'%s'", k == 0 ? "" : k == last ? " and " : ", ", lb_rope_kinds[k]);
    lb_status st = lb_str_check(&known);
    if (st == LB_OK)
        st = lb_fail(LB_E_UNSUPPORTED, "%s: %s: type '%s' is not supported: only %s are", r->path, where,
                     name ? name : "?", known.s);
    lb_str_free(&known);
    return st;
}

static lb_status kind_of(const lb_config_reader *r, const place *p, int *kind) {
    const json_t *type = member(p->o, "rope_type"), *old = member(p->o, "type");
    if (type && old && !json_equal(type, old))
        return lb_config_differ(r->path, p->name, "rope_type", type, p->name, "type", old);
    if (!type) type = old;
    const char *name = type ? json_string_value(type) : lb_rope_kinds[LB_REF_ROPE_DEFAULT];
    /* Phi-3 called longrope so, and reads "yarn" as it. */
    if (name && supported(r, LB_REF_ROPE_LONGROPE) && !supported(r, LB_REF_ROPE_YARN) &&
        (strcmp(name, "su") == 0 || strcmp(name, "yarn") == 0))
        name = lb_rope_kinds[LB_REF_ROPE_LONGROPE];
    *kind = 0;
    while (name && *kind < KINDS && (!supported(r, *kind) || strcmp(name, lb_rope_kinds[*kind]) != 0)) ++*kind;
    return name && *kind < KINDS ? LB_OK : unknown_kind(r, p->name, name);
}

static lb_status read_list(const lb_config_reader *r, const place *p, const char *key, const double **out, int64_t *n) {
    const json_t *list = member(p->o, key), *x;
    size_t i;
    double *v = LB_NEW(r->b.arena, double, json_array_size(list) + 1);
    if (!v) return LB_E_NOMEM;
    if (!json_is_array(list)) return lb_fail(LB_E_FORMAT, "%s: %s.%s: must be a list", r->path, p->name, key);
    json_array_foreach(list, i, x) {
        v[i] = json_number_value(x);
        if (!(v[i] > 0.0 && isfinite(v[i])))
            return lb_fail(LB_E_FORMAT, "%s: %s.%s[%zu]: must be a positive number", r->path, p->name, key, i);
    }
    *out = v;
    *n = (int64_t)json_array_size(list);
    return LB_OK;
}

/* `out` stays where the member is missing or null. */
static lb_status optional(const lb_config_reader *r, const place *p, const char *key, double *out) {
    return member(p->o, key) ? lb_json_num(r->path, p->o, key, out) : LB_OK;
}

/* A factor on cos and sin that is told is not 0, by which it is known that it is told. */
static lb_status read_attention(const lb_config_reader *r, const place *p, scaling *s) {
    LB_TRY(optional(r, p, "attention_factor", &s->attention));
    if (s->attention > 0.0 || !member(p->o, "attention_factor")) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s.attention_factor = %g: must be positive", r->path, p->name, s->attention);
}

static lb_status read_yarn(const lb_config_reader *r, const place *p, scaling *s) {
    const json_t *truncate = json_object_get(p->o, "truncate");
    if (!json_is_null(json_object_get(p->o, "factor"))) LB_TRY(lb_json_num(r->path, p->o, "factor", &s->t.factor));
    if (s->t.factor == 0.0 && member(p->o, "factor")) /* not what a missing one is known by */
        return lb_fail(LB_E_FORMAT, "%s: %s.factor = 0: must be positive", r->path, p->name);
    LB_TRY(read_attention(r, p, s));
    LB_TRY(optional(r, p, "mscale", &s->mscale));
    LB_TRY(optional(r, p, "mscale_all_dim", &s->mscale_all));
    LB_TRY(optional(r, p, "beta_fast", &s->t.fast));
    LB_TRY(optional(r, p, "beta_slow", &s->t.slow));
    if (s->t.fast == 0.0) s->t.fast = 32.0; /* as where it is missing */
    if (s->t.slow == 0.0) s->t.slow = 1.0;
    if (truncate && !json_is_boolean(truncate) && !json_is_null(truncate))
        return lb_fail(LB_E_FORMAT, "%s: %s.truncate: must be true or false", r->path, p->name);
    s->t.untruncated = truncate && !json_is_true(truncate);
    if (s->t.untruncated != 0.0 && r->family->rope->local) /* transformers looks for it outside of the two objects */
        return lb_fail(LB_E_UNSUPPORTED, "%s: %s.truncate = false: only true is supported", r->path, p->name);
    return LB_OK;
}

static lb_status read_members(const lb_config_reader *r, const place *p, scaling *s) {
    switch ((int)s->t.kind) {
    case LB_REF_ROPE_DEFAULT:
        return LB_OK;
    case LB_REF_ROPE_LONGROPE:
        LB_TRY(read_list(r, p, "short_factor", &s->t.list[0], &s->t.listed[0]));
        LB_TRY(read_list(r, p, "long_factor", &s->t.list[1], &s->t.listed[1]));
        LB_TRY(optional(r, p, "factor", &s->t.factor));
        return read_attention(r, p, s);
    case LB_REF_ROPE_YARN:
        return read_yarn(r, p, s);
    case LB_REF_ROPE_LLAMA3:
        LB_TRY(lb_json_num(r->path, p->o, "low_freq_factor", &s->t.low));
        LB_TRY(lb_json_num(r->path, p->o, "high_freq_factor", &s->t.high));
        break;
    default:
        break;
    }
    return lb_json_num(r->path, p->o, "factor", &s->t.factor);
}

static lb_status read_place(const lb_config_reader *r, const place *p, scaling *out) {
    const char *known[MEMBERS + 4] = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
    char within[64];
    int kind = 0;
    if (!json_is_object(p->o)) return lb_fail(LB_E_FORMAT, "%s: %s: must be an object", r->path, p->name);
    LB_TRY(kind_of(r, p, &kind));
    memcpy(known + 4, kind_member[kind], (MEMBERS - 1) * sizeof *known);
    snprintf(within, sizeof within, "%s.", p->name);
    LB_TRY(lb_config_check_keys(r->path, within, p->o, known)); /* also one object a kind of layer */
    LB_TRY(lb_json_once(r->path, p->o, known));
    *out = (scaling){.t = lb_rope_plain(0.0)};
    out->t.kind = kind;
    return read_members(r, p, out);
}

static bool same(const scaling *a, const scaling *b) {
    for (int i = 0; i < 2; i++)
        if (a->t.listed[i] != b->t.listed[i] ||
            (a->t.listed[i] && memcmp(a->t.list[i], b->t.list[i], (size_t)a->t.listed[i] * sizeof(double)) != 0))
            return false;
    return a->t.kind == b->t.kind && a->t.factor == b->t.factor && a->t.low == b->t.low && a->t.high == b->t.high &&
           a->t.fast == b->t.fast && a->t.slow == b->t.slow && a->t.untruncated == b->t.untruncated &&
           a->attention == b->attention && a->mscale == b->mscale && a->mscale_all == b->mscale_all;
}

/* Every member that both places have. */
static lb_status same_members(const char *path, const place p[PLACES]) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)p[0].o, key, v) {
        const json_t *w = member(p[1].o, key);
        if (!w || json_is_null(v) || json_equal(v, w)) continue;
        if (json_is_number(v) && json_is_number(w) && json_number_value(v) == json_number_value(w)) continue;
        return lb_config_differ(path, p[0].name, key, v, p[1].name, key, w);
    }
    return LB_OK;
}

/* A number that stands at the top under one of the spellings, and in the objects as `inner`. */
static lb_status number_of(const lb_config_reader *r, const char *names, const char *inner, const char *absent,
                           const place p[PLACES], double *out) {
    const json_t *v = NULL, *first = NULL;
    char key[LB_CONFIG_KEY];
    const char *in = NULL, *at = key;
    bool is_null;
    const lb_numbers n = lb_numbering_view(&r->b);
    LB_TRY(lb_expression(&n, absent, -1, out));
    LB_TRY(lb_config_value(r->path, r->c, names, &first, key, &is_null));
    if (first) LB_TRY(lb_json_num(r->path, r->c, key, out));
    for (int i = 0; i < PLACES; i++) {
        double told;
        if (!(v = member(p[i].o, inner))) continue;
        LB_TRY(lb_json_num(r->path, p[i].o, inner, &told));
        if (first && told != *out) return lb_config_differ(r->path, in, at, first, p[i].name, inner, v);
        *out = told;
        first = v;
        in = p[i].name;
        at = inner;
    }
    return LB_OK;
}

/* transformers has a default for a base that is not there, and fails over one that is null. Of several spellings
 * outside of the objects it looks at the last. */
static lb_status check_base(const lb_config_reader *r, const char *names, const place p[PLACES]) {
    char key[LB_CONFIG_KEY];
    bool told = false;
    for (const char *at = names; at;) lb_config_spelling(at, key, &at);
    const json_t *outside = json_object_get(r->c, key);
    for (int i = 0; i < PLACES; i++) {
        const json_t *inside = json_object_get(p[i].o, "rope_theta");
        told = told || inside;
        if (json_is_null(inside))
            return lb_fail(LB_E_FORMAT, "%s: %s.rope_theta = null: expected a number, or no such key", r->path,
                           p[i].name);
    }
    if (told || !json_is_null(outside)) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s = null: expected a number, or no such key", r->path, key);
}

/* The context trained on first: a key of the family's own; the one outside; the one inside; all of the context. */
static lb_status original_of(const lb_config_reader *r, const place p[PLACES], double *out) {
    const lb_numbers n = lb_numbering_view(&r->b);
    if (lb_number_find(&n, "rope_original")) return lb_number_get(&n, "rope_original", -1, out);
    if (member(r->c, original_key) && !r->family->rope->local) return lb_json_num(r->path, r->c, original_key, out);
    return number_of(r, original_key, original_key, "context", p, out);
}

/* What follows from the members and the context. */
static lb_status stretch(const lb_config_reader *r, const place p[PLACES], scaling *s) {
    const lb_numbers n = lb_numbering_view(&r->b);
    double context;
    bool yarn = s->t.kind == LB_REF_ROPE_YARN, llama3 = s->t.kind == LB_REF_ROPE_LLAMA3;
    if (!yarn && !llama3 && s->t.kind != LB_REF_ROPE_LONGROPE) return LB_OK;
    LB_TRY(original_of(r, p, &s->t.original));
    LB_TRY(lb_number_get(&n, "context", -1, &context));
    if (llama3) return LB_OK;
    double factor = s->t.factor != 0.0 ? s->t.factor : context / s->t.original;
    if (yarn) s->t.factor = factor;
    if (s->attention > 0.0)
        s->t.magnitude = s->attention;
    else if (!yarn)
        s->t.magnitude = lb_rope_long_magnitude(factor, s->t.original);
    else if (s->mscale != 0.0 && s->mscale_all != 0.0)
        s->t.magnitude = lb_rope_yarn_magnitude(factor, s->mscale) / lb_rope_yarn_magnitude(factor, s->mscale_all);
    else
        s->t.magnitude = lb_rope_yarn_magnitude(factor, 1.0);
    return LB_OK;
}

/* One table: from its objects, and from the key of its base outside of them. */
static lb_status read_table(const lb_config_reader *r, const place p[PLACES], const char *base, const char *base_absent,
                            lb_rope_told *out) {
    scaling all = {.t = lb_rope_plain(0.0)}, s;
    if (p[0].o && p[1].o) LB_TRY(same_members(r->path, p));
    for (int i = 0; i < PLACES; i++) {
        if (!p[i].o) continue;
        LB_TRY(read_place(r, &p[i], &s));
        if (i == 1 && p[0].o && !same(&s, &all))
            return lb_fail(LB_E_FORMAT, "%s: %s (type '%s') and %s (type '%s') differ", r->path, p[0].name,
                           lb_rope_kinds[(int)all.t.kind], p[1].name, lb_rope_kinds[(int)s.t.kind]);
        all = s;
    }
    LB_TRY(check_base(r, base, p));
    LB_TRY(number_of(r, base, "rope_theta", base_absent, p, &all.t.base));
    LB_TRY(stretch(r, p, &all));
    *out = all.t;
    return LB_OK;
}

/* The part of a head that turns. */
static lb_status read_part(lb_config_reader *r, const place p[PLACES]) {
    const lb_rope_keys *keys = r->family->rope;
    double part;
    LB_TRY(number_of(r, keys->part, "partial_rotary_factor", keys->part_absent ? keys->part_absent : "1", p, &part));
    if (!keys->part_absent && part != 1.0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: partial_rotary_factor = %g: only 1 is supported", r->path, part);
    if (!(part > 0.0 && part <= 1.0))
        return lb_fail(LB_E_FORMAT, "%s: partial_rotary_factor = %g: must be in (0, 1]", r->path, part);
    return lb_numbering_set(&r->b, "rope_part", part);
}

/* ---- two tables ---- */

/* The factors of longrope are numbers of all blocks. */
static lb_status check_lists(const lb_config_reader *r, const lb_rope_told *full, const lb_rope_told *local) {
    for (int i = 0; i < 2 && full->list[0] && local->list[0]; i++)
        if (full->listed[i] != local->listed[i] ||
            memcmp(full->list[i], local->list[i], (size_t)full->listed[i] * sizeof(double)) != 0)
            return lb_fail(LB_E_UNSUPPORTED,
                           "%s: rope_parameters: longrope with other factors in sliding_attention than in "
                           "full_attention is not supported",
                           r->path);
    return LB_OK;
}

static lb_status read_two(lb_config_reader *r, const json_t *scaled, const json_t *parameters) {
    static const char *const known[] = {"full_attention", "sliding_attention", NULL};
    const lb_rope_keys *keys = r->family->rope;
    const place full[PLACES] = {{"rope_scaling", scaled},
                                {"rope_parameters.full_attention", object(parameters, known[0])}};
    const place local[PLACES] = {{"rope_parameters.sliding_attention", object(parameters, known[1])}};
    lb_rope_told f, l;
    if (parameters && !json_is_object(parameters))
        return lb_fail(LB_E_FORMAT, "%s: rope_parameters: must be an object", r->path);
    LB_TRY(lb_config_check_keys(r->path, "rope_parameters.", parameters, known));
    if (member(scaled, "type") && !member(scaled, "rope_type")) /* transformers passes over it */
        return lb_fail(LB_E_UNSUPPORTED, "%s: rope_scaling.type: only its new name rope_type is supported here",
                       r->path);
    LB_TRY(read_table(r, full, keys->base, keys->base_absent, &f));
    LB_TRY(read_table(r, local, keys->local_base, keys->local_base_absent, &l));
    LB_TRY(read_part(r, full));
    LB_TRY(read_part(r, local));
    LB_TRY(check_lists(r, &f, &l));
    const lb_numbers n = lb_numbering_view(&r->b);
    return lb_rope_set(&r->b, &f, &l, lb_number_find(&n, keys->local)->block);
}

lb_status lb_config_rope(lb_config_reader *r) {
    const place p[PLACES] = {{"rope_scaling", object(r->c, "rope_scaling")},
                             {"rope_parameters", object(r->c, "rope_parameters")}};
    const lb_rope_keys *keys = r->family->rope;
    lb_rope_told all;
    if (keys->local) return read_two(r, p[0].o, p[1].o);
    LB_TRY(read_table(r, p, keys->base, keys->base_absent, &all));
    LB_TRY(read_part(r, p));
    return lb_rope_set(&r->b, &all, NULL, NULL);
}

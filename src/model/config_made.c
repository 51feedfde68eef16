/* A config.json from the numbers of an architecture, by its family's keys: the other way of config.c. */
#include <math.h>
#include <string.h>

#include "model/config_impl.h"
#include "model/rope_numbers.h"
#include "model/steps/reference.h"

typedef struct making {
    const char *whose;
    const lb_family *family;
    const json_t *given; /* may be NULL */
    const lb_numbers *n;
    bool tied;
    int64_t block; /* whose numbers are asked for, where they differ by block */
    json_t *o;
} making;

const lb_key *lb_config_row(const lb_family *f, const char *key) {
    char name[LB_CONFIG_KEY];
    for (const lb_key *k = f->hf_keys; k->name; k++)
        for (const char *at = k->name; at;) {
            lb_config_spelling(at, name, &at);
            if (strcmp(name, key) == 0) return k;
        }
    return NULL;
}

static double number(const making *m, const char *name) {
    const lb_number *x = lb_number_find(m->n, name);
    if (x && x->block) return m->block >= 0 ? x->block[m->block] : 0.0;
    return x ? x->all : 0.0;
}

static void put(making *m, const char *key, json_t *v) {
    if (v) (void)json_object_set_new(m->o, key, v);
}

static void copy(making *m, const char *key, const json_t *v) {
    (void)json_object_set(m->o, key, (json_t *)(uintptr_t)v);
}

/* ---- one key ---- */

/* transformers' name. */
static const char *act_word(double act) {
    const char *ours = lb_act_words[(int)act];
    return strcmp(ours, "gelu_tanh") == 0 ? "gelu_pytorch_tanh" : ours;
}

/* Is it so that this text, a row's `absent` or `null`, makes 0? */
static bool is_zero(const making *m, const char *text) {
    double v;
    return text && text[0] && lb_expression(m->n, text, -1, &v) == LB_OK && v == 0.0;
}

/* Newer classes tell 8 from 8.0: a number is whole where its default is. */
bool lb_config_whole(const lb_key *k, double v) {
    if (k->kind == LB_KEY_COUNT) return true;
    return v == floor(v) && k->absent && k->absent[0] && !k->absent[strspn(k->absent, "0123456789")];
}

/* NULL: the key may be missing. No window, no cap: null, unless that is the default. */
static json_t *scalar(const making *m, const lb_key *k, double v) {
    if (k->kind == LB_KEY_FLAG) return json_boolean(v != 0.0);
    if (k->kind == LB_KEY_ACT || k->kind == LB_KEY_ACT_TANH) return json_string(act_word(v));
    bool count = k->kind == LB_KEY_COUNT;
    if (v == 0.0 && count && is_zero(m, k->absent)) return NULL;
    if (v == 0.0 && is_zero(m, k->null)) return json_null();
    if (k->null && !k->null[0] && v >= 3e38) return json_null(); /* no bound */
    return lb_config_whole(k, v) ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *list(const making *m, const lb_key *k, const double *block) {
    json_t *all = json_array();
    for (int64_t i = 0; i < m->n->blocks; i++) {
        if (k->kind == LB_KEY_SLIDES)
            json_array_append_new(all, json_string(block[i] != 0.0 ? "sliding_attention" : "full_attention"));
        else if (k->kind == LB_KEY_EACH)
            json_array_append_new(all, json_integer(block[i] != 0.0));
        else if (block[i] != 0.0)
            json_array_append_new(all, json_integer(i));
    }
    return all;
}

/* What only one value of is honoured. */
static json_t *only(const lb_key *k) {
    json_t *v = k->kind == LB_KEY_WORD ? NULL : json_loads(k->only, JSON_DECODE_ANY, NULL);
    return v ? v : json_string(k->only);
}

static lb_status add_key(making *m, const lb_key *k) {
    char key[LB_CONFIG_KEY];
    lb_config_spelling(k->name, key, &(const char *){NULL});
    const json_t *given = json_object_get(m->given, key);
    const lb_number *x = k->number ? lb_number_find(m->n, k->number) : NULL;
    bool listed = k->kind == LB_KEY_SLIDES || k->kind == LB_KEY_BLOCKS || k->kind == LB_KEY_EACH;
    if (k->number && strcmp(k->number, "tied") == 0)
        put(m, key, json_boolean(m->tied));
    else if (given)
        copy(m, key, given);
    else if (!k->number && k->only)
        put(m, key, only(k));
    else if (x && listed && x->block)
        put(m, key, list(m, k, x->block));
    else if (x && !listed && !x->block)
        put(m, key, scalar(m, k, x->all));
    else if (k->number && !k->absent)
        return lb_fail(LB_E_UNSUPPORTED, "%s: key %s of a config.json of the %s family is not known from it", m->whose,
                       key, m->family->name);
    return LB_OK; /* else the default holds */
}

/* ---- rotary positions ---- */

static json_t *factors(const making *m, const char *name) {
    const lb_number *x = lb_number_find(m->n, name);
    json_t *all = json_array();
    for (int64_t i = 0; x && i < x->listed; i++) json_array_append_new(all, json_real(x->list[i]));
    return all;
}

/* rope_scaling, as transformers 4 reads it. */
static json_t *scaling(const making *m) {
    int kind = (int)number(m, "rope_kind");
    const char *name = lb_rope_kinds[kind];
    json_int_t original = (json_int_t)number(m, "rope_original");
    switch (kind) {
    case LB_REF_ROPE_DEFAULT:
        return json_pack("{s:s}", "rope_type", name);
    case LB_REF_ROPE_LLAMA3:
        return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", name, "factor", number(m, "rope_factor"),
                         "low_freq_factor", number(m, "rope_low"), "high_freq_factor", number(m, "rope_high"),
                         "original_max_position_embeddings", original);
    case LB_REF_ROPE_YARN:
        return json_pack("{s:s, s:f, s:I, s:f, s:f, s:f, s:b}", "rope_type", name, "factor", number(m, "rope_factor"),
                         "original_max_position_embeddings", original, "attention_factor", number(m, "rope_magnitude"),
                         "beta_fast", number(m, "rope_fast"), "beta_slow", number(m, "rope_slow"), "truncate",
                         number(m, "rope_untruncated") == 0.0);
    case LB_REF_ROPE_LONGROPE:
        return json_pack("{s:s, s:o, s:o, s:I, s:f}", "rope_type", name, "short_factor", factors(m, "rope_short"),
                         "long_factor", factors(m, "rope_long"), "original_max_position_embeddings", original,
                         "attention_factor", number(m, "rope_magnitude"));
    default:
        return json_pack("{s:s, s:f}", "rope_type", name, "factor", number(m, "rope_factor"));
    }
}

/* The part of a head that turns: where it is not told, a number whose product with the head's width is `rot` again. */
static double part(const making *m) {
    double d = number(m, "head_dim"), rot = number(m, "rot"), p = number(m, "rope_part");
    if (p > 0.0 || !(d > 0.0)) return p;
    for (p = rot / d; floor(d * p) < rot;) p = nextafter(p, 2.0);
    return p;
}

static const char *last_spelling(const char *names) {
    const char *at = strrchr(names, '|');
    return at ? at + 1 : names;
}

/* rope_parameters of version 5: with the base and the part inside. */
static json_t *parameters(const making *m) {
    json_t *all = scaling(m);
    (void)json_object_set_new(all, "rope_theta", json_real(number(m, "rope_base")));
    if (m->family->rope->part_absent) (void)json_object_set_new(all, "partial_rotary_factor", json_real(part(m)));
    return all;
}

/* One table, in all places where transformers before and after version 5 looks. */
static void add_table(making *m) {
    put(m, "rope_parameters", parameters(m));
    if (number(m, "rope_kind") != LB_REF_ROPE_DEFAULT) put(m, "rope_scaling", scaling(m));
}

/* A block that reads the other table, or one that does not. */
static int64_t block_with(const making *m, bool local) {
    const double *of = lb_number_find(m->n, m->family->rope->local)->block;
    int64_t i = 0;
    while (i < m->n->blocks && (of[i] != 0.0) != local) i++;
    return i < m->n->blocks ? i : -1;
}

/* Two tables: of full attention and of windows. Where no block reads one, its default is as good as any. */
static void add_tables(making *m) {
    static const char *const name[] = {"full_attention", "sliding_attention"};
    const lb_rope_keys *keys = m->family->rope;
    const char *base[] = {keys->base, keys->local_base};
    json_t *both = json_object();
    for (int i = 0; i < 2; i++) {
        if ((m->block = block_with(m, i == 1)) < 0) continue;
        put(m, last_spelling(base[i]), json_real(number(m, "rope_base")));
        (void)json_object_set_new(both, name[i], parameters(m));
        if (i == 0 && number(m, "rope_kind") != LB_REF_ROPE_DEFAULT) put(m, "rope_scaling", scaling(m));
    }
    put(m, "rope_parameters", both);
    m->block = -1;
}

static void add_rope(making *m) {
    static const char *const place[] = {"rope_parameters", "rope_scaling"};
    const lb_rope_keys *keys = m->family->rope;
    bool told = false;
    if (!keys->local) put(m, last_spelling(keys->base), json_real(number(m, "rope_base")));
    if (keys->part_absent) put(m, last_spelling(keys->part), json_real(part(m)));
    for (int i = 0; i < 2; i++) {
        const json_t *given = json_object_get(m->given, place[i]);
        told = told || given;
        if (given) copy(m, place[i], given);
    }
    if (!told) (keys->local ? add_tables : add_table)(m);
}

/* ---- all of it ---- */

/* The order: sizes, positions, the head, what the family has beside, the activation. */
static const char *const first[] = {"dim",      "hidden", "layers",  "heads", "kv_heads",
                                    "head_dim", "vocab",  "context", "eps",   NULL};
static const char *const head[] = {"tied", NULL}, *const last[] = {"act", NULL};

static bool is_of(const lb_key *k, const char *const *numbers) {
    for (; *numbers && k->number; numbers++)
        if (strcmp(k->number, *numbers) == 0) return true;
    return false;
}

static lb_status add_keys(making *m, const char *const *numbers) {
    for (; *numbers; numbers++)
        for (const lb_key *k = m->family->hf_keys; k->name; k++)
            if (k->number && strcmp(k->number, *numbers) == 0) LB_TRY(add_key(m, k));
    return LB_OK;
}

static lb_status add_all(making *m) {
    put(m, "architectures", json_pack("[s]", m->family->hf_class));
    put(m, "model_type", json_string(m->family->hf_type));
    LB_TRY(add_keys(m, first));
    if (m->family->rope) add_rope(m);
    LB_TRY(add_keys(m, head));
    for (const lb_key *k = m->family->hf_keys; k->name; k++)
        if (!is_of(k, first) && !is_of(k, head) && !is_of(k, last)) LB_TRY(add_key(m, k));
    return add_keys(m, last);
}

lb_status lb_config_made(const char *whose, const lb_family *f, const json_t *given, const lb_numbers *n, bool tied,
                         json_t **out) {
    making m = {.whose = whose, .family = f, .given = given, .n = n, .tied = tied, .block = -1};
    lb_json_memory_begin();
    m.o = json_object();
    lb_status st = add_all(&m);
    if (st == LB_OK) st = lb_json_memory_check(whose);
    if (st != LB_OK) {
        json_decref(m.o);
        m.o = NULL;
    }
    *out = m.o;
    return st;
}

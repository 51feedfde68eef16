/* The numbers of an architecture as a GGUF header tells them, by its family's keys. Keys: the GGUF specification in
 * ggml's docs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/model_gguf_impl.h"

enum { KEY = LB_GGUF_KEY };
typedef lb_gguf_reader reader;

bool lb_gguf_key(const lb_gguf_reader *r, const char *key, char full[LB_GGUF_KEY]) {
    snprintf(full, KEY, "%s.%s", r->family->gguf_arch, key);
    return lb_gguf_has(r->g, full);
}

static bool says(const lb_gguf *g, const char *key, const char *value) {
    const char *s;
    size_t n;
    return lb_gguf_str(g, key, &s, &n) == LB_OK && n == strlen(value) && !memcmp(s, value, n);
}

/* ---- family ---- */

static lb_status unknown_family(const lb_gguf *g, const char *s, size_t n) {
    lb_str names = {0};
    int known = 0;
    for (int i = 0; lb_family_table[i]; i++) {
        const char *name = lb_family_table[i]->gguf_arch;
        if (!name || lb_family_table[i]->gguf_when) continue;
        lb_str_add(&names, "%s%s", known++ ? ", " : "", name);
    }
    lb_status st = lb_str_check(&names);
    if (st == LB_OK)
        st = lb_fail(LB_E_UNSUPPORTED, "%s: architecture '%.*s' is not supported: only %s %s", lb_gguf_path(g),
                     (int)(n < 64 ? n : 64), s, names.s, known == 1 ? "is" : "are");
    lb_str_free(&names);
    return st;
}

/* Of two families with one name of an architecture, that whose key is positive. */
static bool is_of(const lb_gguf *g, const lb_family *f, const char *arch, size_t n) {
    char key[KEY];
    int64_t v = 0;
    if (!f->gguf_arch || strlen(f->gguf_arch) != n || memcmp(f->gguf_arch, arch, n) != 0) return false;
    if (!f->gguf_when) return true;
    snprintf(key, sizeof key, "%s.%s", f->gguf_arch, f->gguf_when);
    return lb_gguf_has(g, key) && lb_gguf_int(g, key, &v) == LB_OK && v > 0;
}

static lb_status find_family(const lb_gguf *g, const lb_family **out) {
    const char *s;
    size_t n;
    LB_TRY(lb_gguf_str(g, "general.architecture", &s, &n));
    *out = NULL;
    for (int i = 0; lb_family_table[i]; i++)
        if (is_of(g, lb_family_table[i], s, n) && (!*out || lb_family_table[i]->gguf_when)) *out = lb_family_table[i];
    return *out ? LB_OK : unknown_family(g, s, n);
}

/* ---- keys ---- */

static bool known(const lb_family *f, const char *key) {
    for (const lb_key *k = f->gguf_keys; k->name; k++)
        if (k->kind != LB_KEY_TENSOR && strcmp(k->name, key) == 0) return true;
    return lb_gguf_rope_key(f, key) || strcmp(key, "vocab_size") == 0;
}

static lb_status check_keys(const reader *r) {
    const char *key, *arch = r->family->gguf_arch;
    char value[64];
    size_t prefix = strlen(arch);
    for (int64_t i = 0; lb_gguf_describe(r->g, i, &key, value, sizeof value); i++) {
        if (strncmp(key, arch, prefix) != 0 || key[prefix] != '.' || known(r->family, key + prefix + 1)) continue;
        return lb_fail(LB_E_UNSUPPORTED, "%s: key %s = %s: not one whose meaning is known here", lb_gguf_path(r->g),
                       key, value);
    }
    return LB_OK;
}

/* "dim/heads" is no whole number. */
static lb_status not_whole(const reader *r, const lb_key *k, double v) {
    const lb_numbers n = lb_numbering_view(&r->b);
    double dim, heads;
    if (strcmp(k->absent, "dim/heads") != 0)
        return lb_fail(LB_E_FORMAT, "%s: %s.%s is missing, and %s = %g is no whole number", lb_gguf_path(r->g),
                       r->family->gguf_arch, k->name, k->absent, v);
    LB_TRY(lb_number_get(&n, "dim", -1, &dim));
    LB_TRY(lb_number_get(&n, "heads", -1, &heads));
    return lb_fail(LB_E_FORMAT, "%s: %s = %.15g: must be a multiple of %s = %g", lb_gguf_path(r->g),
                   lb_number_called(&n, "dim"), dim, lb_number_called(&n, "heads"), heads);
}

static lb_status read_value(const reader *r, const lb_key *k, const char *full, double *out) {
    int64_t whole;
    bool flag;
    switch (k->kind) {
    case LB_KEY_REAL:
        return lb_gguf_float(r->g, full, out);
    case LB_KEY_FLAG:
        LB_TRY(lb_gguf_bool(r->g, full, &flag));
        *out = flag;
        return LB_OK;
    default:
        LB_TRY(lb_gguf_int(r->g, full, &whole));
        *out = (double)whole;
        return LB_OK;
    }
}

static lb_status read_key(reader *r, const lb_key *k) {
    char full[KEY];
    double v;
    const lb_numbers n = lb_numbering_view(&r->b);
    if (k->kind == LB_KEY_TENSOR)
        return lb_numbering_set_key(&r->b, k->number, k->name, lb_gguf_find(r->g, k->name) ? 1.0 : 0.0);
    if (lb_gguf_key(r, k->name, full) || !k->absent) {
        LB_TRY(read_value(r, k, full, &v));
    } else {
        if (!k->absent[0]) return LB_OK;
        LB_TRY(lb_expression(&n, k->absent, -1, &v));
        if (k->kind == LB_KEY_COUNT && isfinite(v) && v != floor(v)) return not_whole(r, k, v);
    }
    const char *key = r->family->gguf_arch; /* "arch.key" also where it is missing */
    if (!(key = lb_arena_printf(r->b.arena, "%s.%s", key, k->name))) return LB_E_NOMEM;
    return lb_numbering_set_key(&r->b, k->number, key, isfinite(v) ? v : 0.0); /* refused where sizes are checked */
}

/* A key that may only have one value. */
static lb_status check_only(const reader *r, const lb_key *k) {
    char full[KEY];
    const char *s;
    size_t len;
    double v, want;
    const lb_numbers n = lb_numbering_view(&r->b);
    if (!lb_gguf_key(r, k->name, full)) return LB_OK;
    if (k->kind == LB_KEY_WORD) {
        if (says(r->g, full, k->only)) return LB_OK;
        LB_TRY(lb_gguf_str(r->g, full, &s, &len));
        return lb_fail(LB_E_UNSUPPORTED, "%s: %s = '%.*s': only '%s' is supported", lb_gguf_path(r->g), full,
                       (int)(len < 64 ? len : 64), s, k->only);
    }
    LB_TRY(read_value(r, k, full, &v));
    if (k->kind == LB_KEY_FLAG) {
        if ((v != 0.0) == (strcmp(k->only, "true") == 0)) return LB_OK;
        return lb_fail(LB_E_UNSUPPORTED, "%s: %s is %s: %s", lb_gguf_path(r->g), full, v != 0.0 ? "true" : "false",
                       k->why);
    }
    LB_TRY(lb_expression(&n, k->only, -1, &want));
    if (v == want) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s = %.15g: only %.15g is supported", lb_gguf_path(r->g), full, v, want);
}

/* ---- all of it ---- */

/* A model cut into several files: each tells how many there are. */
static lb_status check_whole(const lb_gguf *g) {
    int64_t parts = 1;
    if (lb_gguf_has(g, "split.count")) LB_TRY(lb_gguf_int(g, "split.count", &parts));
    if (parts <= 1) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: one of %lld parts of a model (split.count): join them into one file first",
                   lb_gguf_path(g), (long long)parts);
}

/* The vocabulary's size is not always told, and a file without a head shares the embedding. */
static lb_status read_tables(reader *r) {
    char full[KEY];
    const char *name = lb_family_row(r->family, "embed", false, false)->gguf;
    const lb_tensor *embed = lb_gguf_find(r->g, name);
    if (!embed || embed->ndim != 2)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s is missing or not a matrix", lb_gguf_path(r->g), name);
    int64_t vocab = embed->shape[0];
    if (lb_gguf_key(r, "vocab_size", full)) LB_TRY(lb_gguf_int(r->g, full, &vocab));
    LB_TRY(lb_numbering_set(&r->b, "vocab", (double)vocab));
    const char *head = lb_family_row(r->family, "head", false, false)->gguf;
    return lb_numbering_set(&r->b, "tied", lb_gguf_find(r->g, head) ? 0.0 : 1.0);
}

static lb_status read_header(reader *r) {
    LB_TRY(check_whole(r->g)); /* parts but the first lack the other keys */
    LB_TRY(find_family(r->g, &r->family));
    LB_TRY(check_keys(r));
    for (const lb_key *k = r->family->gguf_keys; k->name; k++)
        if (k->number) LB_TRY(read_key(r, k));
    LB_TRY(read_tables(r));
    lb_numbers n = lb_numbering_view(&r->b);
    LB_TRY(lb_numbers_check(&n, lb_gguf_path(r->g)));
    double layers;
    LB_TRY(lb_number_get(&n, "layers", -1, &layers));
    r->b.blocks = (int64_t)layers;
    LB_TRY(lb_family_rules(r->family, r->family->gguf_numbers, &r->b));
    if (r->family->rope) LB_TRY(lb_gguf_rope(r));
    n = lb_numbering_view(&r->b);
    LB_TRY(lb_numbers_check(&n, lb_gguf_path(r->g)));
    for (const lb_key *k = r->family->gguf_keys; k->name; k++)
        if (k->only) LB_TRY(check_only(r, k));
    return LB_OK;
}

lb_status lb_numbers_from_gguf(lb_arena *a, const lb_gguf *g, const lb_family **family, lb_numbers *out) {
    reader r = {.g = g, .b = {.arena = a, .whose = lb_gguf_path(g)}};
    lb_status st = read_header(&r);
    *family = r.family;
    *out = lb_numbering_view(&r.b);
    return st;
}

#include "run/mixtures.h"

#include <assert.h>
#include <string.h>

#include "base/fs.h"
#include "model/recipes.h"
#include "result/choice.h"

static const char between[] = LB_TEXTS_MIXED;

/* ---- which texts ---- */

/* Is it one text, whatever its name looks like? */
static lb_status is_one(const lb_plan *p, const char *name, bool *out) {
    *out = !strstr(name, between) || lb_sources_find(&p->sources, name) || lb_fs_there(name);
    if (*out) return LB_OK;
    char *beside = lb_arena_printf(p->arena, "%s/%s", p->config->dir[0] ? p->config->dir : ".", name);
    if (!beside) return LB_E_NOMEM;
    *out = lb_fs_there(beside);
    return LB_OK;
}

static lb_status add_part(const lb_plan *p, const char *where, lb_text *t, const char *from, size_t n) {
    while (n && from[0] == ' ') from++, n--;
    while (n && from[n - 1] == ' ') n--;
    char *name = lb_arena_printf(p->arena, "%.*s", (int)n, from);
    if (!name) return LB_E_NOMEM;
    if (!n) return lb_fail(LB_E_CONFIG, "%s: text '%s': a mixture has a name on each side of '+'", where, t->name);
    for (size_t i = 0; i < t->parts; i++)
        if (strcmp(t->part[i].name, name) == 0)
            return lb_fail(LB_E_CONFIG, "%s: text '%s': %s stands there twice", where, t->name, name);
    if (t->parts == LB_MIXTURE_MOST)
        return lb_fail(LB_E_CONFIG, "%s: text '%s': a mixture of more than %d texts", where, t->name, LB_MIXTURE_MOST);
    t->part[t->parts++] = (lb_text){.name = name, .bos = t->bos};
    return LB_OK;
}

lb_status lb_mixture_split(const lb_plan *p, const char *where, lb_text *t) {
    bool one;
    t->parts = 0;
    LB_TRY(is_one(p, t->name, &one));
    if (one) return LB_OK;
    if (!(t->part = LB_NEW(p->arena, lb_text, LB_MIXTURE_MOST))) return LB_E_NOMEM;
    const char *from = t->name, *to;
    while ((to = strstr(from, between))) {
        LB_TRY(add_part(p, where, t, from, (size_t)(to - from)));
        from = to + strlen(between);
    }
    return add_part(p, where, t, from, strlen(from));
}

/* ---- what they are together ---- */

/* One thing of each, between commas or plus signs; of all alike once. */
static lb_status list(lb_arena *a, const lb_text *t, const char *(*of)(const lb_text *), const char *sign,
                      const char **out) {
    lb_str s = {0};
    bool alike = true;
    for (size_t i = 1; i < t->parts; i++) alike = alike && strcmp(of(&t->part[i]), of(&t->part[0])) == 0;
    for (size_t i = 0; i < (alike ? 1 : t->parts); i++) lb_str_add(&s, "%s%s", i ? sign : "", of(&t->part[i]));
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, s.s ? s.s : ""))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

static const char *path_of(const lb_text *t) { return t->path; }
static const char *bos_of(const lb_text *t) { return t->bos_text; }
static const char *how_of(const lb_text *t) { return t->corpus->how; }

static lb_status hash_of(const lb_text *t, char hash[65]) {
    lb_str s = {0};
    for (size_t i = 0; i < t->parts; i++) lb_str_add(&s, "%s\n", t->part[i].corpus->hash);
    lb_status st = lb_str_check(&s);
    if (st == LB_OK) st = lb_hash_bytes(s.s, s.len, hash);
    lb_str_free(&s);
    return st;
}

lb_status lb_mixture_put_together(lb_plan *p, lb_text *t) {
    const char *path;
    LB_TRY(list(p->arena, t, path_of, between, &path));
    t->path = path;
    for (size_t i = 0; i < t->parts; i++)
        if ((t->missing = t->part[i].missing)) return LB_OK;
    lb_corpus *c = LB_NEW(p->arena, lb_corpus, 1);
    if (!c) return LB_E_NOMEM;
    LB_TRY(list(p->arena, t, how_of, between, &c->how));
    LB_TRY(list(p->arena, t, bos_of, ", ", &t->bos_text));
    if (!(c->path = lb_arena_strdup(p->arena, path)) || !(c->name = lb_arena_strdup(p->arena, t->name)))
        return LB_E_NOMEM;
    LB_TRY(hash_of(t, c->hash));
    c->has_bos = t->part[0].corpus->has_bos;
    c->bos_id = t->part[0].corpus->bos_id;
    for (size_t i = 0; i < t->parts; i++) {
        c->bytes += t->part[i].corpus->bytes;
        c->tokens += t->part[i].corpus->tokens;
        c->n_rows += t->part[i].corpus->n_rows;
    }
    t->corpus = c;
    t->hash = c->hash;
    t->how = c->how;
    return LB_OK;
}

/* ---- what is drawn ---- */

/* From those of each text, in turn. */
static lb_status take_turns(const lb_sequences *own, int64_t n, lb_arena *a, lb_sequences *out) {
    int64_t tokens = 0, at = 0;
    for (int64_t i = 0; i < n; i++) tokens += lb_sequences_tokens(&own[i]);
    int32_t *token = LB_NEW_UNSET(a, int32_t, tokens);
    int64_t *start = own[0].start ? LB_NEW(a, int64_t, out->n + 1) : NULL;
    if (!token || (own[0].start && !start)) return LB_E_NOMEM;
    for (int64_t i = 0; i < out->n; i++) {
        const lb_sequences *from = &own[i % n];
        int64_t length = lb_sequences_length(from, i / n);
        memcpy(token + at, from->token + lb_sequences_start(from, i / n), (size_t)length * sizeof *token);
        at += length;
        if (start) start[i + 1] = at;
    }
    out->token = token;
    out->start = start;
    return LB_OK;
}

lb_status lb_mixture_tokens(const lb_text *t, lb_recipe r, uint64_t seed, int64_t samples, int64_t length, lb_arena *a,
                            lb_sequences *out) {
    int64_t n = (int64_t)t->parts;
    lb_sequences own[LB_MIXTURE_MOST] = {{0}};
    assert(n > 0);
    if (r == LB_RECIPE_BLOCKS)
        return lb_fail(LB_E_CONFIG, "text '%s': recipe: blocks gives no sequence a sample, so it cannot be mixed",
                       t->name);
    if (samples < n)
        return lb_fail(LB_E_CONFIG, "text '%s': samples = %lld: a mixture of %lld texts has one of each at least",
                       t->name, (long long)samples, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t share = (samples + n - 1 - i) / n;
        if (!lb_recipe_of_rows(r)) LB_TRY(lb_corpus_holds(t->part[i].corpus, r, share, length));
        LB_TRY(lb_recipe_tokens(t->part[i].corpus, r, seed, share, length, a, &own[i]));
    }
    *out = (lb_sequences){.n = samples, .length = length};
    return take_turns(own, n, a, out);
}

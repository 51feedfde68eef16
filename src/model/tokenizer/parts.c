/* Reading components of tokenizer.json: what their readers share, and the post-processor. Each component is interpreted
 * from the file; one that is not known is refused by name. */
#include "model/tokenizer/impl.h"

lb_status lb_tok_unknown(const lb_tokenizer *t, const char *what, const char *type) {
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s '%s' is not known here", t->name, what, type);
}

lb_status lb_tok_get_bool(const lb_tokenizer *t, const json_t *o, const char *key, bool fallback, bool *out) {
    const json_t *v = json_object_get(o, key);
    *out = v ? json_is_true(v) : fallback;
    if (v && !json_is_boolean(v)) return lb_fail(LB_E_FORMAT, "%s: '%s' must be true or false", t->name, key);
    return LB_OK;
}

lb_status lb_tok_get_text(lb_tokenizer *t, const json_t *o, const char *key, lb_tok_view *out) {
    const char *s;
    LB_TRY(lb_json_str(t->name, o, key, &s));
    char *copy = lb_arena_strdup(t->arena, s);
    *out = (lb_tok_view){copy, strlen(s)};
    return copy ? LB_OK : LB_E_NOMEM;
}

static lb_status each(lb_tokenizer *t, const json_t *c, const char *list, int depth, lb_tok_reader f, void *user) {
    if (!c || json_is_null(c)) return LB_OK;
    const char *type;
    LB_TRY(lb_json_str(t->name, c, "type", &type));
    if (strcmp(type, "Sequence") != 0) return f(t, type, c, user);
    const json_t *members = json_object_get(c, list), *m;
    if (!json_is_array(members)) return lb_fail(LB_E_FORMAT, "%s: a Sequence without '%s'", t->name, list);
    if (depth > 8) return lb_fail(LB_E_UNSUPPORTED, "%s: Sequences nested more than 8 deep", t->name);
    size_t i;
    json_array_foreach(members, i, m) LB_TRY(each(t, m, list, depth + 1, f, user));
    return LB_OK;
}

lb_status lb_tok_each_part(lb_tokenizer *t, const json_t *c, const char *list, lb_tok_reader f, void *user) {
    return each(t, c, list, 0, f, user);
}

lb_status lb_tok_get_pattern(lb_tokenizer *t, const json_t *c, lb_tok_view *literal, const char **regex) {
    const json_t *p = json_object_get(c, "pattern");
    lb_tok_view expression = {0};
    *literal = (lb_tok_view){0};
    *regex = NULL;
    if (json_object_get(p, "String")) {
        LB_TRY(lb_tok_get_text(t, p, "String", literal));
        if (literal->n) return LB_OK;
        literal->s = NULL;
        *regex = ""; /* the library makes an expression of every string: this one matches everywhere */
        return LB_OK;
    }
    if (!json_object_get(p, "Regex"))
        return lb_fail(LB_E_FORMAT, "%s: a pattern must be {\"String\": ...} or {\"Regex\": ...}", t->name);
    LB_TRY(lb_tok_get_text(t, p, "Regex", &expression));
    *regex = expression.s;
    return LB_OK;
}

lb_status lb_tok_room(const lb_tokenizer *t, int used, const char *what) {
    if (used + 4 <= LB_TOK_MAX_STEPS) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: more than %d %s", t->name, LB_TOK_MAX_STEPS - 4, what);
}

/* ---- post-processor ---- */

static lb_status template_token(const lb_tokenizer *t, const json_t *c, const json_t *piece, int32_t *id) {
    const char *name;
    LB_TRY(lb_json_str(t->name, piece, "id", &name));
    const json_t *ids = json_object_get(json_object_get(json_object_get(c, "special_tokens"), name), "ids");
    const json_t *v = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(v))
        return lb_fail(LB_E_FORMAT, "%s: the post-processor's special token '%s' must have one id", t->name, name);
    json_int_t n = json_integer_value(v);
    if (n < 0 || n >= t->vocab)
        return lb_fail(LB_E_FORMAT, "%s: the post-processor's token '%s' has id %lld: must be in [0, %lld)", t->name,
                       name, (long long)n, (long long)t->vocab);
    *id = (int32_t)n;
    return LB_OK;
}

static lb_status read_post(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    int32_t *bos = user;
    if (!strcmp(type, "ByteLevel")) return LB_OK; /* about offsets only */
    if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
        return lb_fail(LB_E_UNSUPPORTED, "%s: post-processor %s ends a text with a token: no protocol here does",
                       t->name, type);
    if (strcmp(type, "TemplateProcessing") != 0) return lb_tok_unknown(t, "post-processor", type);
    const json_t *single = json_object_get(c, "single"), *piece;
    if (!json_is_array(single)) return lb_fail(LB_E_FORMAT, "%s: TemplateProcessing without 'single'", t->name);
    bool text = false;
    size_t i;
    json_array_foreach(single, i, piece) {
        const json_t *special = json_object_get(piece, "SpecialToken");
        if (!special) {
            text = true;
            continue;
        }
        int32_t id = -1;
        LB_TRY(template_token(t, c, special, &id));
        if (text)
            return lb_fail(LB_E_UNSUPPORTED, "%s: the post-processor ends a text with token %d: no protocol here does",
                           t->name, id);
        if (*bos >= 0)
            return lb_fail(LB_E_UNSUPPORTED, "%s: the post-processor puts two tokens before a text: %d and %d", t->name,
                           *bos, id);
        *bos = id;
    }
    return LB_OK;
}

lb_status lb_tok_read_post_processor(lb_tokenizer *t, const json_t *c, int32_t *bos) {
    *bos = -1;
    return lb_tok_each_part(t, c, "processors", read_post, bos);
}

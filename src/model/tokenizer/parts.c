/* The components of tokenizer.json: normalizers, pre-tokenizers, decoder, post-processor. Each is interpreted from the
 * file; one that is not known is refused by name. */
#include <utf8proc.h>

#include "model/tokenizer/impl.h"

static lb_status unknown(const lb_tokenizer *t, const char *what, const char *type) {
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s '%s' is not known here", t->name, what, type);
}

static lb_status get_bool(const lb_tokenizer *t, const json_t *o, const char *key, bool fallback, bool *out) {
    const json_t *v = json_object_get(o, key);
    *out = v ? json_is_true(v) : fallback;
    if (v && !json_is_boolean(v)) return lb_fail(LB_E_FORMAT, "%s: '%s' must be true or false", t->name, key);
    return LB_OK;
}

static lb_status get_text(lb_tokenizer *t, const json_t *o, const char *key, const char **out) {
    const char *s;
    LB_TRY(lb_json_str(t->name, o, key, &s));
    *out = lb_arena_strdup(t->arena, s);
    return *out ? LB_OK : LB_E_NOMEM;
}

static bool given(const json_t *c) { return c && !json_is_null(c); }

typedef lb_status (*reader)(lb_tokenizer *t, const char *type, const json_t *c, void *user);

/* Calls f for the component, or for each member of a Sequence, whose list has the name `list`. */
static lb_status each(lb_tokenizer *t, const json_t *c, const char *list, int depth, reader f, void *user) {
    if (!given(c)) return LB_OK;
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

/* {"String": ...} or {"Regex": ...}: exactly one of *literal and *regex. */
static lb_status read_pattern(lb_tokenizer *t, const json_t *c, const char **literal, const char **regex) {
    const json_t *p = json_object_get(c, "pattern");
    *literal = *regex = NULL;
    if (json_object_get(p, "String")) return get_text(t, p, "String", literal);
    if (json_object_get(p, "Regex")) return get_text(t, p, "Regex", regex);
    return lb_fail(LB_E_FORMAT, "%s: a pattern must be {\"String\": ...} or {\"Regex\": ...}", t->name);
}

static lb_status room(const lb_tokenizer *t, int used, const char *what) {
    if (used + 3 <= LB_TOK_MAX_STEPS) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: more than %d %s", t->name, LB_TOK_MAX_STEPS - 3, what);
}

/* ---- normalizers ---- */

static lb_status read_replace(lb_tokenizer *t, const json_t *c, lb_tok_norm *z) {
    const char *literal, *regex, *content;
    LB_TRY(read_pattern(t, c, &literal, &regex));
    LB_TRY(get_text(t, c, "content", &content));
    z->kind = literal ? LB_TOK_REPLACE : LB_TOK_REPLACE_REGEX;
    z->content = (lb_tok_view){content, strlen(content)};
    if (literal) z->pattern = (lb_tok_view){literal, strlen(literal)};
    return regex ? lb_tok_pattern_new(t, "normalizer Replace", regex, &z->regex) : LB_OK;
}

static lb_status read_norm(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    (void)user;
    static const struct {
        const char *name;
        int form;
    } forms[] = {
        {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
        {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
        {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    };
    LB_TRY(room(t, t->n_norm, "normalizers"));
    lb_tok_norm *z = &t->norm[t->n_norm];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(type, forms[i].name)) {
            *z = (lb_tok_norm){.kind = LB_TOK_UNICODE, .form = forms[i].form};
            t->n_norm++;
            return LB_OK;
        }
    if (!strcmp(type, "Prepend")) {
        const char *s;
        LB_TRY(get_text(t, c, "prepend", &s));
        *z = (lb_tok_norm){.kind = LB_TOK_PREPEND, .content = {s, strlen(s)}};
    } else if (!strcmp(type, "Replace")) {
        LB_TRY(read_replace(t, c, z));
    } else {
        return unknown(t, "normalizer", type);
    }
    t->n_norm++;
    return LB_OK;
}

lb_status lb_tok_read_normalizer(lb_tokenizer *t, const json_t *c) {
    return each(t, c, "normalizers", 0, read_norm, NULL);
}

/* ---- pre-tokenizers ---- */

static lb_status read_behavior(const lb_tokenizer *t, const json_t *c, lb_tok_behavior *out) {
    static const struct {
        const char *name;
        lb_tok_behavior behavior;
    } known[] = {
        {"Isolated", LB_TOK_ISOLATED},        {"Removed", LB_TOK_REMOVED},
        {"Contiguous", LB_TOK_CONTIGUOUS},    {"MergedWithPrevious", LB_TOK_WITH_PREVIOUS},
        {"MergedWithNext", LB_TOK_WITH_NEXT},
    };
    const char *s;
    LB_TRY(lb_json_str(t->name, c, "behavior", &s));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(s, known[i].name)) {
            *out = known[i].behavior;
            return LB_OK;
        }
    return unknown(t, "Split's behavior", s);
}

static lb_status read_split(lb_tokenizer *t, const json_t *c, lb_tok_step *s) {
    const char *literal, *regex;
    LB_TRY(read_pattern(t, c, &literal, &regex));
    LB_TRY(read_behavior(t, c, &s->behavior));
    LB_TRY(get_bool(t, c, "invert", false, &s->invert));
    s->kind = literal ? LB_TOK_LITERAL : LB_TOK_REGEX;
    if (literal) {
        s->literal = (lb_tok_view){literal, strlen(literal)};
        return *literal ? LB_OK : lb_fail(LB_E_UNSUPPORTED, "%s: Split at an empty string", t->name);
    }
    s->pattern = regex;
    s->scan = s->behavior == LB_TOK_ISOLATED && !s->invert ? lb_tok_known_pattern(regex) : NULL;
    if (s->scan) {
        s->kind = LB_TOK_SCAN;
        return LB_OK;
    }
    return lb_tok_pattern_new(t, "pre-tokenizer Split", regex, &s->regex);
}

static lb_status read_byte_level(lb_tokenizer *t, const json_t *c) {
    bool prefix, regex;
    LB_TRY(get_bool(t, c, "add_prefix_space", true, &prefix));
    LB_TRY(get_bool(t, c, "use_regex", true, &regex));
    if (prefix) t->step[t->n_step++] = (lb_tok_step){.kind = LB_TOK_SPACE_FIRST};
    if (regex)
        t->step[t->n_step++] =
            (lb_tok_step){.kind = LB_TOK_SCAN, .scan = lb_tok_scan_gpt2, .pattern = lb_tok_pattern_gpt2};
    t->byte_level = true;
    return LB_OK;
}

static lb_status read_metaspace(lb_tokenizer *t, const json_t *c, lb_tok_step *s) {
    const char *mark;
    LB_TRY(lb_json_str(t->name, c, "replacement", &mark));
    if (strcmp(mark, LB_TOK_META) != 0) return unknown(t, "Metaspace with replacement", mark);
    s->kind = LB_TOK_METASPACE;
    LB_TRY(get_bool(t, c, "split", true, &s->split));
    const char *scheme = "always";
    bool prefix;
    LB_TRY(get_bool(t, c, "add_prefix_space", true, &prefix)); /* files from before prepend_scheme */
    if (!prefix) scheme = "never";
    if (given(json_object_get(c, "prepend_scheme"))) LB_TRY(lb_json_str(t->name, c, "prepend_scheme", &scheme));
    if (!strcmp(scheme, "always"))
        s->prepend = LB_TOK_ALWAYS;
    else if (!strcmp(scheme, "first"))
        s->prepend = LB_TOK_FIRST;
    else if (!strcmp(scheme, "never"))
        s->prepend = LB_TOK_NEVER;
    else
        return unknown(t, "Metaspace's prepend_scheme", scheme);
    return LB_OK;
}

static lb_status read_step(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    (void)user;
    if (t->byte_level) return lb_fail(LB_E_UNSUPPORTED, "%s: pre-tokenizer '%s' behind ByteLevel", t->name, type);
    LB_TRY(room(t, t->n_step, "pre-tokenizers"));
    lb_tok_step *s = &t->step[t->n_step];
    *s = (lb_tok_step){0};
    if (!strcmp(type, "ByteLevel")) return read_byte_level(t, c);
    if (!strcmp(type, "Split")) {
        LB_TRY(read_split(t, c, s));
    } else if (!strcmp(type, "Digits")) {
        s->kind = LB_TOK_DIGITS;
        LB_TRY(get_bool(t, c, "individual_digits", false, &s->individual));
        s->behavior = s->individual ? LB_TOK_ISOLATED : LB_TOK_CONTIGUOUS;
    } else if (!strcmp(type, "Metaspace")) {
        LB_TRY(read_metaspace(t, c, s));
    } else {
        return unknown(t, "pre-tokenizer", type);
    }
    t->n_step++;
    return LB_OK;
}

lb_status lb_tok_read_pre_tokenizer(lb_tokenizer *t, const json_t *c) {
    return each(t, c, "pretokenizers", 0, read_step, NULL);
}

/* ---- decoder ---- */

/* We decode by what the tokens are; the file's decoder must say the same, and tells whether a first space goes. */
static lb_status read_decode(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    (void)user;
    if (!strcmp(type, "ByteLevel")) {
        if (!t->byte_level) return unknown(t, "without a ByteLevel pre-tokenizer, decoder", type);
        return LB_OK;
    }
    if (!strcmp(type, "ByteFallback") || !strcmp(type, "Fuse")) return LB_OK;
    if (!strcmp(type, "Metaspace")) {
        lb_tok_step s = {0};
        LB_TRY(read_metaspace(t, c, &s));
        t->strip_first = s.prepend != LB_TOK_NEVER;
        return LB_OK;
    }
    if (!strcmp(type, "Replace")) {
        const char *literal, *regex, *content;
        LB_TRY(read_pattern(t, c, &literal, &regex));
        LB_TRY(get_text(t, c, "content", &content));
        if (literal && !strcmp(literal, LB_TOK_META) && !strcmp(content, " ")) return LB_OK;
    } else if (!strcmp(type, "Strip")) {
        const char *content;
        int64_t start, stop;
        LB_TRY(get_text(t, c, "content", &content));
        LB_TRY(lb_json_int(t->name, c, "start", &start));
        LB_TRY(lb_json_int(t->name, c, "stop", &stop));
        if (!strcmp(content, " ") && start >= 0 && start <= 1 && stop == 0) {
            t->strip_first = t->strip_first || start;
            return LB_OK;
        }
    }
    return unknown(t, "decoder", type);
}

lb_status lb_tok_read_decoder(lb_tokenizer *t, const json_t *c) { return each(t, c, "decoders", 0, read_decode, NULL); }

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
    if (strcmp(type, "TemplateProcessing") != 0) return unknown(t, "post-processor", type);
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
    return each(t, c, "processors", 0, read_post, bos);
}

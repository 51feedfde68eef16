/* Normalizers: text -> text. Whatever system libraries know, characters are taken for what the tokenizers library takes
 * them for (char_sets.c). Bytes that are not UTF-8 stay as they are. */
#include <utf8proc.h>

#include "model/tokenizer/charsmap.h"
#include "model/tokenizer/unicode.h"

/* ---- a character at a time ---- */

static void lowercase(lb_str *out, int32_t c) {
    if (c == 0x130)
        lb_str_add_bytes(out, "i\xcc\x87", 3);
    else
        lb_tok_put_char(out, lb_uni_to_lower(c));
}

static void strip_accents(lb_str *out, int32_t c) {
    if (!lb_uni_in(lb_uni_accent, lb_uni_n_accent, c)) lb_tok_put_char(out, c);
}

/* SentencePiece's rules for machine translation: controls go, odd spaces become ' '. */
static void nmt(lb_str *out, int32_t c) {
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
    bool space = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    lb_tok_put_char(out, space ? ' ' : c);
}

/* Returns whether the first character was dropped. */
static bool each_char(lb_str *out, lb_tok_view in, void (*f)(lb_str *out, int32_t c)) {
    bool dropped = false;
    for (size_t i = 0; i < in.n;) {
        int32_t c;
        size_t k = lb_tok_char(in.s + i, in.n - i, &c);
        if (c < 0)
            lb_str_add_bytes(out, in.s + i, k);
        else
            f(out, c);
        dropped = dropped || (i == 0 && out->len == 0);
        i += k;
    }
    return dropped;
}

/* ---- NFC and its like ---- */

static bool active(int32_t c) { return c >= 0x80 && lb_uni_in(lb_uni_active, lb_uni_n_active, c); }

/* Whether what follows this character, which is not active, may compose with it: not if it, or what the system's tables
 * say of it, is newer than the library's. */
static bool may_begin(int32_t c) {
    if (c < 0x80) return c >= 0;
    if (lb_uni_run_of(c).flags & LB_UNI_NEWER) return false;
    const utf8proc_property_t *p = utf8proc_get_property(c);
    return !p->combining_class && p->decomp_seqindex == UINT16_MAX;
}

/* The next stretch that a form may change: active characters and the one before them. [*start, *end) is empty at the
 * end of the text. */
static void active_stretch(lb_tok_view in, size_t from, size_t *start, size_t *end) {
    size_t before = from;
    bool begins = false;
    for (size_t i = from; i < in.n;) {
        int32_t c;
        size_t k = lb_tok_char(in.s + i, in.n - i, &c);
        if (!active(c)) {
            before = i;
            begins = c >= 0;
            i += k;
            continue;
        }
        *start = begins ? before : i;
        if (begins) {
            (void)lb_tok_char(in.s + before, in.n - before, &c);
            if (!may_begin(c)) *start = i;
        }
        for (i += k; i < in.n; i += k) {
            k = lb_tok_char(in.s + i, in.n - i, &c);
            if (!active(c)) break;
        }
        *end = i;
        return;
    }
    *start = *end = in.n;
}

static lb_status unicode_form(lb_str *out, lb_tok_view in, int form) {
    lb_status status = LB_OK;
    utf8proc_int32_t *code = NULL;
    size_t start, end;
    for (size_t at = 0; at < in.n; at = end) {
        active_stretch(in, at, &start, &end);
        lb_str_add_bytes(out, in.s + at, start - at);
        if (start == end) break;
        const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)in.s + start;
        utf8proc_ssize_t n = (utf8proc_ssize_t)(end - start);
        utf8proc_ssize_t need = utf8proc_decompose(s, n, NULL, 0, (utf8proc_option_t)form);
        lb_free(code);
        code = need > 0 ? lb_alloc((size_t)need + 1, sizeof *code) : NULL;
        if (need > 0 && !code) return LB_E_NOMEM;
        if (need > 0) need = utf8proc_decompose(s, n, code, need, (utf8proc_option_t)form);
        if (need > 0) need = utf8proc_reencode(code, need, (utf8proc_option_t)form);
        if (need < 0) {
            status = lb_fail(LB_E_FORMAT, "Unicode normalization: %s", utf8proc_errmsg(need));
            break;
        }
        lb_str_add_bytes(out, code, (size_t)need);
    }
    lb_free(code);
    return status;
}

/* ---- the others ---- */

/* Whether content in the place of what a text began with no longer counts as its start: it is nothing, or stands for
 * more than one character, of which it counts as the last. */
static bool drops_first(lb_tok_view gone, lb_tok_view content) {
    int32_t code;
    return gone.n && (!content.n || lb_tok_char(gone.s, gone.n, &code) < gone.n);
}

/* A byte for at most four: most often ' ' for a mark, at every word. Without branches, which words would mislead. */
static void replace_byte(lb_str *out, lb_tok_view in, uint8_t byte, lb_tok_view content) {
    char block[4096];
    uint8_t mark[4] = {0};
    size_t n = 0;
    memcpy(mark, content.s, content.n);
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = (uint8_t)in.s[i];
        bool hit = c == byte;
        block[n] = (char)(hit ? mark[0] : c);
        block[n + 1] = (char)mark[1];
        block[n + 2] = (char)mark[2];
        block[n + 3] = (char)mark[3];
        n += hit ? content.n : 1;
        if (n + 4 < sizeof block) continue;
        lb_str_add_bytes(out, block, n);
        n = 0;
    }
    lb_str_add_bytes(out, block, n);
}

void lb_tok_replace(lb_str *out, lb_tok_view in, lb_tok_view pattern, lb_tok_view content) {
    if (pattern.n == 1 && content.n && content.n <= 4) {
        replace_byte(out, in, (uint8_t)pattern.s[0], content);
        return;
    }
    size_t done = 0;
    while (pattern.n) {
        const char *hit = memmem(in.s + done, in.n - done, pattern.s, pattern.n);
        if (!hit) break;
        lb_str_add_bytes(out, in.s + done, (size_t)(hit - in.s) - done);
        lb_str_add_bytes(out, content.s, content.n);
        done = (size_t)(hit - in.s) + pattern.n;
    }
    lb_str_add_bytes(out, in.s + done, in.n - done);
}

lb_status lb_tok_replace_regex(lb_tok_run *r, lb_str *out, lb_tok_view in, const lb_tok_pattern *pattern,
                               lb_tok_view content) {
    size_t done = 0;
    lb_tok_matches m = lb_tok_matches_of(r, pattern, in);
    for (;;) {
        bool found;
        size_t start, end;
        LB_TRY(lb_tok_match_next(&m, &found, &start, &end));
        if (!found) break;
        if (start == 0 && drops_first((lb_tok_view){in.s, end}, content)) r->behead = true;
        lb_str_add_bytes(out, in.s + done, start - done);
        lb_str_add_bytes(out, content.s, content.n);
        done = end;
    }
    lb_str_add_bytes(out, in.s + done, in.n - done);
    return LB_OK;
}

static lb_tok_view stripped(lb_tok_view v, bool left, bool right) {
    int32_t c;
    while (left && v.n) {
        size_t k = lb_tok_char(v.s, v.n, &c);
        if (!lb_tok_is_space(c)) break;
        v.s += k;
        v.n -= k;
    }
    while (right && v.n) {
        size_t k = 1;
        while (k < v.n && k < 4 && ((uint8_t)v.s[v.n - k] & 0xC0) == 0x80) k++;
        if (lb_tok_char(v.s + v.n - k, k, &c) != k || !lb_tok_is_space(c)) break;
        v.n -= k;
    }
    return v;
}

static lb_status apply(lb_tok_run *r, const lb_tok_norm *z, lb_tok_view in, lb_str *out) {
    lb_tok_view text;
    switch (z->kind) {
    case LB_TOK_PREPEND:
        lb_str_add_bytes(out, z->content.s, z->content.n);
        lb_str_add_bytes(out, in.s, in.n);
        break;
    case LB_TOK_REPLACE:
        lb_tok_replace(out, in, z->pattern, z->content);
        if (z->pattern.n && in.n >= z->pattern.n && !memcmp(in.s, z->pattern.s, z->pattern.n) &&
            drops_first(z->pattern, z->content))
            r->behead = true;
        break;
    case LB_TOK_REPLACE_REGEX:
        return lb_tok_replace_regex(r, out, in, &z->regex, z->content);
    case LB_TOK_UNICODE:
        return unicode_form(out, in, z->form);
    case LB_TOK_EACH:
        if (each_char(out, in, z->each)) r->behead = true;
        break;
    case LB_TOK_STRIP:
        text = stripped(in, z->left, z->right);
        if (text.s > in.s) r->behead = true;
        lb_str_add_bytes(out, text.s, text.n);
        break;
    case LB_TOK_NORM_ALPHABET:
        lb_tok_put_alphabet(out, in);
        break;
    case LB_TOK_CHARSMAP:
        return lb_charsmap_graphemes(z->charsmap, in, out);
    case LB_TOK_SPM:
        return lb_tok_spm_normalize(z->spm, in, out);
    }
    return LB_OK;
}

void lb_tok_may_grow(lb_tok_run *r, size_t bytes) {
    enum { SHORT = 1 << 20 }; /* what short texts may besides */
    r->growth = bytes > (SIZE_MAX / 2 - SHORT) / LB_TOK_MOST_GROWTH ? SIZE_MAX / 2 : bytes * LB_TOK_MOST_GROWTH + SHORT;
}

void lb_tok_grow_begin(const lb_tok_run *r, size_t was, lb_str *b) {
    b->len = 0;
    b->most = was + r->growth;
}

lb_status lb_tok_grow_end(lb_tok_run *r, size_t was, const lb_str *b, lb_status made) {
    size_t more = b->len > was ? b->len - was : 0;
    if (b->over || more > r->growth)
        return lb_fail(
            LB_E_UNSUPPORTED,
            "%s: the tokenizer makes a text too long: by more than %d bytes for each of its own (and 1 MiB), "
            "as replacements do that make more of what others made",
            r->t->name, LB_TOK_MOST_GROWTH);
    LB_TRY(made);
    LB_TRY(lb_str_check(b));
    r->growth -= more;
    return LB_OK;
}

lb_status lb_tok_normalize(lb_tok_run *r, lb_tok_view in, lb_tok_view *out) {
    int to = 0;
    r->behead = false;
    for (int i = 0; i < r->t->n_norm && in.n; i++, to = !to) {
        lb_str *b = &r->norm[to];
        lb_tok_grow_begin(r, in.n, b);
        LB_TRY(lb_tok_grow_end(r, in.n, b, apply(r, &r->t->norm[i], in, b)));
        in = (lb_tok_view){b->s ? b->s : "", b->len};
    }
    *out = in;
    return LB_OK;
}

/* ---- reading ---- */

static lb_status read_replace(lb_tokenizer *t, const json_t *c, lb_tok_norm *z) {
    const char *regex;
    LB_TRY(lb_tok_get_pattern(t, c, &z->pattern, &regex));
    LB_TRY(lb_tok_get_text(t, c, "content", &z->content));
    z->kind = regex ? LB_TOK_REPLACE_REGEX : LB_TOK_REPLACE;
    if (!regex) return LB_OK;
    uint32_t empty = 0;
    LB_TRY(lb_tok_pattern_new(t, "normalizer Replace", regex, &z->regex));
    if (pcre2_pattern_info(z->regex.re, PCRE2_INFO_MATCHEMPTY, &empty)) empty = 1;
    z->inserts = empty && z->content.n;
    return LB_OK;
}

lb_status lb_tok_inserted(const lb_tokenizer *t, const char *before) {
    return lb_fail(
        LB_E_UNSUPPORTED,
        "%s: normalizer Replace: pattern \"%.64s\" can match nothing and then puts \"%.64s\" there: not known "
        "before %s, where the tokenizers library doubles text or fails",
        t->name, t->norm[t->n_norm - 1].regex.text, t->norm[t->n_norm - 1].content.s, before);
}

static const struct {
    const char *name;
    lb_tok_norm norm;
} plain[] = {
    {"NFC", {.kind = LB_TOK_UNICODE, .form = UTF8PROC_STABLE | UTF8PROC_COMPOSE}},
    {"NFD", {.kind = LB_TOK_UNICODE, .form = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE}},
    {"NFKC", {.kind = LB_TOK_UNICODE, .form = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT}},
    {"NFKD", {.kind = LB_TOK_UNICODE, .form = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}},
    {"Lowercase", {.kind = LB_TOK_EACH, .each = lowercase}},
    {"StripAccents", {.kind = LB_TOK_EACH, .each = strip_accents}},
    {"Nmt", {.kind = LB_TOK_EACH, .each = nmt}},
    {"ByteLevel", {.kind = LB_TOK_NORM_ALPHABET}},
};

static lb_status read_norm(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    (void)user;
    LB_TRY(lb_tok_room(t, t->n_norm, "normalizers"));
    if (t->n_norm && t->norm[t->n_norm - 1].inserts) return lb_tok_inserted(t, "another normalizer");
    lb_tok_norm *z = &t->norm[t->n_norm];
    *z = (lb_tok_norm){0};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(type, plain[i].name) != 0) continue;
        *z = plain[i].norm;
        t->n_norm++;
        return LB_OK;
    }
    if (!strcmp(type, "Prepend")) {
        z->kind = LB_TOK_PREPEND;
        LB_TRY(lb_tok_get_text(t, c, "prepend", &z->content));
    } else if (!strcmp(type, "Replace")) {
        t->n_norm++; /* also where it fails: what was compiled is freed with the tokenizer */
        return read_replace(t, c, z);
    } else if (!strcmp(type, "Strip")) {
        z->kind = LB_TOK_STRIP;
        LB_TRY(lb_tok_get_bool(t, c, "strip_left", true, &z->left));
        LB_TRY(lb_tok_get_bool(t, c, "strip_right", true, &z->right));
    } else if (!strcmp(type, "Precompiled")) {
        const char *map;
        z->kind = LB_TOK_CHARSMAP;
        LB_TRY(lb_json_str(t->name, c, "precompiled_charsmap", &map));
        LB_TRY(lb_charsmap_from_base64(t->arena, t->name, map, strlen(map), &z->charsmap));
    } else {
        return lb_tok_unknown(t, "normalizer", type);
    }
    t->n_norm++;
    return LB_OK;
}

lb_status lb_tok_read_normalizer(lb_tokenizer *t, const json_t *c) {
    return lb_tok_each_part(t, c, "normalizers", read_norm, NULL);
}

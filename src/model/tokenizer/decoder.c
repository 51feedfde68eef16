/* Decoding: a list of token strings goes through the decoder's steps and is joined. Bytes that are not UTF-8 come back
 * as they are, where the tokenizers library puts U+FFFD. */
#include "model/tokenizer/impl.h"

/* The pieces of text between two steps, and the memory of those that were made. */
typedef struct pieces {
    lb_arena *arena;
    lb_tok_view *v;
    int64_t n;
    lb_tok_run *run; /* for expressions, and how long the text may become */
} pieces;

static lb_status keep(pieces *p, lb_tok_view v, lb_tok_view *out) {
    char *s = LB_NEW_UNSET(p->arena, char, v.n + 1);
    if (!s) return LB_E_NOMEM;
    if (v.n) memcpy(s, v.s, v.n);
    *out = (lb_tok_view){s, v.n};
    return LB_OK;
}

/* ---- steps ---- */

/* All in one; by the alphabet where `alphabet`. */
static lb_status fuse(pieces *p, bool alphabet) {
    size_t total = 0;
    for (int64_t i = 0; i < p->n; i++) total += p->v[i].n;
    char *s = LB_NEW_UNSET(p->arena, char, total + 1);
    if (!s) return LB_E_NOMEM;
    size_t at = 0;
    for (int64_t i = 0; i < p->n; i++) {
        lb_tok_view v = p->v[i];
        int64_t n = alphabet ? lb_tok_byte_decode(v, s + at) : -1;
        if (n < 0 && v.n) memcpy(s + at, v.s, v.n);
        at += n < 0 ? v.n : (size_t)n;
    }
    if (p->n) p->v[0] = (lb_tok_view){s, at};
    p->n = p->n > 0;
    return LB_OK;
}

static lb_status from_meta(pieces *p, const lb_tok_decode *d) {
    for (int64_t i = 0; i < p->n; i++) {
        lb_str b = {0};
        lb_tok_replace(&b, p->v[i], d->literal, (lb_tok_view){" ", d->drop_first && i == 0 ? 0 : 1});
        lb_status status = lb_str_check(&b);
        if (status == LB_OK) status = keep(p, (lb_tok_view){b.s, b.len}, &p->v[i]);
        lb_str_free(&b);
        LB_TRY(status);
    }
    return LB_OK;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of <0x0A>; -1: another token. */
static int byte_token(lb_tok_view v) {
    if (v.n != 6 || memcmp(v.s, "<0x", 3) != 0 || v.s[5] != '>') return -1;
    int high = v.s[3] == '+' ? 0 : hex_digit(v.s[3]), low = hex_digit(v.s[4]); /* '+': as Rust reads numbers */
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Bytes in a row are one piece where they are UTF-8. */
static lb_status from_bytes(pieces *p) {
    char *s = LB_NEW_UNSET(p->arena, char, p->n + 1);
    if (!s) return LB_E_NOMEM;
    int64_t to = 0;
    for (int64_t i = 0; i < p->n;) {
        int64_t k = 0;
        for (int b; i + k < p->n && (b = byte_token(p->v[i + k])) >= 0; k++) s[i + k] = (char)b;
        bool whole = k && lb_tok_invalid_utf8(s + i, (size_t)k) == (size_t)k;
        if (!k) p->v[to++] = p->v[i++];
        if (whole) p->v[to++] = (lb_tok_view){s + i, (size_t)k};
        for (int64_t m = 0; m < k && !whole; m++) p->v[to++] = (lb_tok_view){s + i + m, 1};
        i += k;
    }
    p->n = to;
    return LB_OK;
}

static lb_status substitute(pieces *p, const lb_tok_decode *d) {
    for (int64_t i = 0; i < p->n; i++) {
        lb_str b = {0};
        lb_status status = LB_OK;
        lb_tok_grow_begin(p->run, p->v[i].n, &b);
        if (d->regex.re)
            status = lb_tok_replace_regex(p->run, &b, p->v[i], &d->regex, d->content);
        else
            lb_tok_replace(&b, p->v[i], d->literal, d->content);
        status = lb_tok_grow_end(p->run, p->v[i].n, &b, status);
        if (status == LB_OK) status = keep(p, (lb_tok_view){b.s, b.len}, &p->v[i]);
        lb_str_free(&b);
        LB_TRY(status);
    }
    return LB_OK;
}

static void trim(pieces *p, const lb_tok_decode *d) {
    lb_tok_view c = d->content;
    for (int64_t i = 0; i < p->n; i++) {
        lb_tok_view *v = &p->v[i];
        for (int64_t k = 0; k < d->start && v->n >= c.n && !memcmp(v->s, c.s, c.n); k++) {
            v->s += c.n;
            v->n -= c.n;
        }
        for (int64_t k = 0; k < d->stop && v->n >= c.n && !memcmp(v->s + v->n - c.n, c.s, c.n); k++) v->n -= c.n;
    }
}

static lb_status suffix(pieces *p, const lb_tok_decode *d) {
    for (int64_t i = 0; i < p->n; i++) {
        lb_str b = {0};
        lb_tok_replace(&b, p->v[i], d->literal, (lb_tok_view){" ", i + 1 < p->n});
        lb_status status = lb_str_check(&b);
        if (status == LB_OK) status = keep(p, (lb_tok_view){b.s, b.len}, &p->v[i]);
        lb_str_free(&b);
        LB_TRY(status);
    }
    return LB_OK;
}

static lb_status apply(pieces *p, const lb_tok_decode *d) {
    switch (d->kind) {
    case LB_TOK_FROM_ALPHABET:
        return fuse(p, true);
    case LB_TOK_FUSE:
        return fuse(p, false);
    case LB_TOK_FROM_META:
        return from_meta(p, d);
    case LB_TOK_FROM_BYTES:
        return from_bytes(p);
    case LB_TOK_SUBSTITUTE:
        return substitute(p, d);
    case LB_TOK_TRIM:
        trim(p, d);
        return LB_OK;
    case LB_TOK_SUFFIX:
        return suffix(p, d);
    }
    return LB_OK;
}

static lb_status join(const pieces *p, bool spaces, char **text, size_t *len) {
    size_t total = 0;
    for (int64_t i = 0; i < p->n; i++) total += p->v[i].n + spaces;
    char *s = lb_alloc(total + 1, 1);
    if (!s) return LB_E_NOMEM;
    size_t at = 0;
    for (int64_t i = 0; i < p->n; i++) {
        if (spaces && i) s[at++] = ' ';
        if (p->v[i].n) memcpy(s + at, p->v[i].s, p->v[i].n);
        at += p->v[i].n;
    }
    s[at] = 0;
    *text = s;
    *len = at;
    return LB_OK;
}

static lb_status decode(const lb_tokenizer *t, pieces *p, const int32_t *ids, int64_t n, char **text, size_t *len) {
    lb_tok_run run;
    lb_status status = LB_OK;
    p->v = LB_NEW_UNSET(p->arena, lb_tok_view, n + 1);
    if (!p->v) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= t->vocab)
            return lb_fail(LB_E_ARG, "%s: id %d at %lld: must be in [0, %lld)", t->name, ids[i], (long long)i,
                           (long long)t->vocab);
        p->v[p->n] = t->token[ids[i]];
        p->n += t->token[ids[i]].n > 0; /* an id without a token is nothing */
    }
    size_t bytes = 0;
    for (int64_t i = 0; i < p->n; i++) bytes += p->v[i].n;
    LB_TRY(lb_tok_run_new(t, &run));
    lb_tok_may_grow(&run, bytes);
    p->run = &run;
    for (int i = 0; i < t->n_decode && status == LB_OK; i++) status = apply(p, &t->decode[i]);
    if (status == LB_OK) status = join(p, t->joined_by_spaces, text, len);
    lb_tok_run_free(&run);
    p->run = NULL;
    return status;
}

lb_status lb_tokenizer_decode(const lb_tokenizer *t, const int32_t *ids, int64_t n, char **text, size_t *len) {
    pieces p = {0};
    LB_TRY(lb_arena_new(0, &p.arena));
    lb_status status = decode(t, &p, ids, n, text, len);
    lb_arena_free(p.arena);
    return status;
}

/* ---- reading ---- */

static lb_status read_trim(lb_tokenizer *t, const json_t *c, lb_tok_decode *d) {
    int32_t code;
    d->kind = LB_TOK_TRIM;
    LB_TRY(lb_tok_get_text(t, c, "content", &d->content));
    LB_TRY(lb_json_int(t->name, c, "start", &d->start));
    LB_TRY(lb_json_int(t->name, c, "stop", &d->stop));
    if (d->start < 0 || d->stop < 0)
        return lb_fail(LB_E_FORMAT, "%s: decoder Strip: start %lld, stop %lld: must not be negative", t->name,
                       (long long)d->start, (long long)d->stop);
    if (!d->content.n || lb_tok_char(d->content.s, d->content.n, &code) != d->content.n)
        return lb_fail(LB_E_FORMAT, "%s: decoder Strip: content \"%s\": expected one character", t->name, d->content.s);
    return LB_OK;
}

static lb_status read_decode(lb_tokenizer *t, const char *type, const json_t *c, void *user) {
    (void)user;
    LB_TRY(lb_tok_room(t, t->n_decode, "decoders"));
    lb_tok_decode *d = &t->decode[t->n_decode++];
    *d = (lb_tok_decode){0};
    if (!strcmp(type, "ByteLevel")) {
        d->kind = LB_TOK_FROM_ALPHABET;
        t->alphabet = true;
    } else if (!strcmp(type, "ByteFallback")) {
        d->kind = LB_TOK_FROM_BYTES;
    } else if (!strcmp(type, "Fuse")) {
        d->kind = LB_TOK_FUSE;
    } else if (!strcmp(type, "Metaspace")) {
        lb_tok_prepend prepend;
        d->kind = LB_TOK_FROM_META;
        LB_TRY(lb_tok_read_metaspace(t, c, &d->literal, &prepend));
        d->drop_first = prepend != LB_TOK_NEVER;
    } else if (!strcmp(type, "Replace")) {
        const char *regex;
        d->kind = LB_TOK_SUBSTITUTE;
        LB_TRY(lb_tok_get_pattern(t, c, &d->literal, &regex));
        LB_TRY(lb_tok_get_text(t, c, "content", &d->content));
        if (regex) return lb_tok_pattern_new(t, "decoder Replace", regex, &d->regex);
    } else if (!strcmp(type, "Strip")) {
        return read_trim(t, c, d);
    } else if (!strcmp(type, "BPEDecoder")) {
        d->kind = LB_TOK_SUFFIX;
        return lb_tok_get_text(t, c, "suffix", &d->literal);
    } else {
        return lb_tok_unknown(t, "decoder", type);
    }
    return LB_OK;
}

lb_status lb_tok_read_decoder(lb_tokenizer *t, const json_t *c) {
    t->joined_by_spaces = !c || json_is_null(c);
    return lb_tok_each_part(t, c, "decoders", read_decode, NULL);
}

void lb_tok_default_decoder(lb_tokenizer *t, bool strip_first) {
    lb_tok_decode *d = t->decode;
    if (t->alphabet) {
        d[t->n_decode++] = (lb_tok_decode){.kind = LB_TOK_FROM_ALPHABET};
        return;
    }
    d[t->n_decode++] =
        (lb_tok_decode){.kind = LB_TOK_SUBSTITUTE, .literal = {LB_TOK_META, LB_TOK_META_LEN}, .content = {" ", 1}};
    d[t->n_decode++] = (lb_tok_decode){.kind = LB_TOK_FROM_BYTES};
    d[t->n_decode++] = (lb_tok_decode){.kind = LB_TOK_FUSE};
    if (strip_first) d[t->n_decode++] = (lb_tok_decode){.kind = LB_TOK_TRIM, .content = {" ", 1}, .start = 1};
}

#include "model/tokenizer/charsmap.h"

#include <utf8proc.h>

#include "model/tokenizer/unicode.h"

/* ---- the double array (Darts-clone) ---- */

static uint32_t unit_at(const lb_charsmap *m, size_t i) {
    const uint8_t *p = m->unit + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & (1U << 9)) >> 6); }

/* The shortest or the longest rule that s begins with: the replacement, NUL-terminated, and the rule's length in *used.
 * NULL: none. A place outside of the array ends the walk, as no rule is there. */
static const char *find(const lb_charsmap *m, const char *s, size_t n, bool longest, size_t *used) {
    const char *found = NULL;
    if (!m->units || !n || !m->begins[(uint8_t)s[0]]) return NULL;
    size_t at = offset_of(unit_at(m, 0));
    for (size_t i = 0; i < n && s[i]; i++) {
        at ^= (uint8_t)s[i];
        if (at >= m->units) break;
        uint32_t unit = unit_at(m, at);
        if ((unit & (1U << 31 | 0xFF)) != (uint8_t)s[i]) break;
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1)) continue;
        size_t value = at < m->units ? unit_at(m, at) & ~(1U << 31) : m->size;
        if (value >= m->size) break;
        found = m->text + value;
        *used = i + 1;
        if (!longest) break;
    }
    return found;
}

lb_status lb_charsmap_new(lb_arena *a, const char *name, const uint8_t *bytes, size_t n, const lb_charsmap **out) {
    lb_charsmap *m = LB_NEW(a, lb_charsmap, 1);
    if (!m) return LB_E_NOMEM;
    *out = m;
    for (int b = 0x20; b < 0x7F; b++) m->plain[b] = true;
    if (!n) return LB_OK;
    size_t array =
        n < 4 ? 0 : (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
    if (n < 4 || array % 4 || array < 4 || array > n - 4)
        return lb_fail(LB_E_FORMAT, "%s: precompiled_charsmap: %zu bytes with an array of %zu: must be whole words",
                       name, n, array);
    m->unit = bytes + 4;
    m->units = array / 4;
    m->text = (const char *)bytes + 4 + array;
    m->size = n - 4 - array;
    if (!m->size || m->text[m->size - 1])
        return lb_fail(LB_E_FORMAT, "%s: precompiled_charsmap: the last replacement has no end", name);
    size_t bad = lb_tok_invalid_utf8(m->text, m->size);
    if (bad < m->size)
        return lb_fail(LB_E_FORMAT, "%s: precompiled_charsmap: byte %zu of the replacements is not UTF-8", name, bad);
    for (size_t b = 1; b < 256; b++) {
        size_t at = offset_of(unit_at(m, 0)) ^ b;
        m->begins[b] = at < m->units && (unit_at(m, at) & (1U << 31 | 0xFF)) == b;
        size_t used;
        char one = (char)b;
        m->plain[b] = m->plain[b] && !find(m, &one, 1, false, &used);
    }
    return LB_OK;
}

/* 0..63; -1: not a digit of base64. */
static int digit64(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

lb_status lb_charsmap_from_base64(lb_arena *a, const char *name, const char *s, size_t n, const lb_charsmap **out) {
    uint8_t *bytes = LB_NEW(a, uint8_t, n / 4 * 3 + 3);
    if (!bytes) return LB_E_NOMEM;
    size_t used = 0;
    uint32_t bits = 0;
    if (n % 4) return lb_fail(LB_E_FORMAT, "%s: precompiled_charsmap: %zu characters of base64", name, n);
    for (size_t pad = 0; pad < 2 && n && s[n - 1] == '='; pad++) n--;
    for (size_t i = 0; i < n; i++) {
        int d = digit64(s[i]);
        if (d < 0) return lb_fail(LB_E_FORMAT, "%s: precompiled_charsmap: character %zu is not base64", name, i);
        bits = bits << 6 | (uint32_t)d;
        if (i % 4) bytes[used++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    return lb_charsmap_new(a, name, bytes, used, out);
}

/* ---- Precompiled ---- */

/* A character of the same kind that every version of utf8proc knows, as far as graphemes go. */
static int32_t known_char(int32_t c) {
    if (c < 0x80 || utf8proc_category(c) != UTF8PROC_CATEGORY_CN) return c;
    lb_uni_category k = lb_uni_category_of(c);
    return k == LB_UNI_MN || k == LB_UNI_ME ? 0x300 : k == LB_UNI_MC ? 0x903 : c;
}

/* The end of the grapheme that begins at s; bytes that are not UTF-8 stand alone. */
static size_t grapheme(const char *s, size_t n) {
    int32_t code, state = 0, next;
    size_t at = lb_tok_char(s, n, &code);
    while (code >= 0 && at < n) {
        if (code >= 0x20 && code < 0x7F && (uint8_t)s[at] < 0x80) break; /* between two of ASCII, but for CR LF */
        size_t k = lb_tok_char(s + at, n - at, &next);
        if (next < 0 || utf8proc_grapheme_break_stateful(known_char(code), known_char(next), &state)) break;
        at += k;
        code = next;
    }
    return at;
}

/* Characters that stay as they are, each a grapheme of its own: what follows is ASCII too, or nothing. */
static size_t plain_run(const lb_charsmap *m, const char *s, size_t n) {
    size_t k = 0;
    while (k < n && m->plain[(uint8_t)s[k]]) k++;
    return k < n && k && (uint8_t)s[k] >= 0x80 ? k - 1 : k;
}

#define SHORT_GRAPHEME 6 /* bytes: shorter ones are looked up whole */

lb_status lb_charsmap_graphemes(const lb_charsmap *m, lb_tok_view in, lb_str *out) {
    for (size_t at = 0, n; at < in.n; at += n) {
        const char *s = in.s + at;
        n = plain_run(m, s, in.n - at);
        if (n) {
            lb_str_add_bytes(out, s, n);
            continue;
        }
        size_t used;
        n = grapheme(s, in.n - at);
        const char *whole = n < SHORT_GRAPHEME ? find(m, s, n, false, &used) : NULL;
        if (whole) {
            lb_str_add_bytes(out, whole, strlen(whole));
            continue;
        }
        for (size_t i = 0, k; i < n; i += k) {
            int32_t code;
            k = lb_tok_char(s + i, n - i, &code);
            const char *one = find(m, s + i, k, false, &used);
            lb_str_add_bytes(out, one ? one : s + i, one ? strlen(one) : k);
        }
    }
    return lb_str_check(out);
}

/* ---- sentencepiece ---- */

static const char *one_prefix(const lb_tok_spm *spm, lb_tok_view in, size_t *used, size_t *len) {
    int32_t id, code;
    *used = *len = spm->keep.unit ? lb_trie_longest(&spm->keep, in.s, in.n, &id) : 0;
    if (*used) return in.s;
    const char *rule = spm->map ? find(spm->map, in.s, in.n, true, used) : NULL;
    if (rule) {
        *len = strlen(rule);
        return rule;
    }
    *used = *len = lb_tok_char(in.s, in.n, &code);
    return in.s;
}

static void add_space(const lb_tok_spm *spm, lb_str *out) {
    if (spm->escape)
        lb_str_add_bytes(out, LB_TOK_META, LB_TOK_META_LEN);
    else
        lb_str_add_bytes(out, " ", 1);
}

static void add_normal(const lb_tok_spm *spm, const char *s, size_t n, lb_str *out) {
    size_t from = 0;
    for (size_t at = 0; at < n; at++) {
        if (s[at] != ' ') continue;
        lb_str_add_bytes(out, s + from, at - from);
        add_space(spm, out);
        from = at + 1;
    }
    lb_str_add_bytes(out, s + from, n - from);
}

lb_status lb_tok_spm_normalize(const lb_tok_spm *spm, lb_tok_view in, lb_str *out) {
    size_t used, len;
    const char *s;
    while (spm->remove_extra && in.n) {
        s = one_prefix(spm, in, &used, &len);
        if (len != 1 || *s != ' ') break;
        in = (lb_tok_view){in.s + used, in.n - used};
    }
    if (!in.n) return lb_str_check(out);
    if (spm->dummy_prefix && !spm->suffix) add_space(spm, out);
    bool after_space = spm->remove_extra;
    while (in.n) {
        s = one_prefix(spm, in, &used, &len);
        size_t skip = 0;
        while (after_space && skip < len && s[skip] == ' ') skip++;
        add_normal(spm, s + skip, len - skip, out);
        if (len > skip) after_space = spm->remove_extra && s[len - 1] == ' ';
        in = (lb_tok_view){in.s + used, in.n - used};
    }
    const char *space = spm->escape ? LB_TOK_META : " ";
    size_t n = strlen(space);
    while (spm->remove_extra && out->len >= n && !memcmp(out->s + out->len - n, space, n)) out->len -= n;
    if (spm->dummy_prefix && spm->suffix) add_space(spm, out);
    return lb_str_check(out);
}

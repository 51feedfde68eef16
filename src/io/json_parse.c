/* The parser: every text that Python's json.load takes becomes jansson's values, of which none is lost. What jansson's
 * own parser refuses is kept in forms that no valid text can give, because strings in JSON are valid UTF-8:
 *   numbers beyond int64 or float64, NaN, Infinity  a string: 0xff, then the number as it was written
 *   NUL in a string or key                          0xc0 0x80, so that C sees all of the string
 *   half of a surrogate pair                        its code as three bytes, 0xed 0xa0..0xbf xx
 *   a key with several different values             the last one, as in Python; the first under 0xff and the key */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/kind.h"
#include "io/json_forms.h"

#define MAX_DEPTH 2048 /* Python's is about 1000 */

typedef struct parser {
    const char *name, *text, *at, *end;
    int64_t line; /* of the first character */
    int depth;
    lb_str token; /* the string or number last read */
} parser;

static lb_status value(parser *p, json_t **out);

static lb_status bad(const parser *p, const char *at, const char *what) {
    int64_t line = p->line;
    const char *start = p->text;
    for (const char *c = p->text; c < at; c++)
        if (*c == '\n') {
            line++;
            start = c + 1;
        }
    char near[16] = "the end";
    uint8_t c = at < p->end ? (uint8_t)*at : 0;
    if (at < p->end) snprintf(near, sizeof near, c > 0x20 && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    return lb_fail(LB_E_FORMAT, "%s:%lld:%d: not valid JSON: %s at %s", p->name, (long long)line, (int)(at - start) + 1,
                   what, near);
}

static lb_status no_memory(const parser *p) { return lb_fail(LB_E_NOMEM, "%s: out of memory for its JSON", p->name); }

static void skip_space(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')) p->at++;
}

static bool take(parser *p, char c) {
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static bool take_word(parser *p, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

/* ---- strings ---- */

/* Bytes of the valid UTF-8 character at s; 0: it is none. */
static size_t char_length(const uint8_t *s, size_t n) {
    size_t k = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (k == 0 || k > n) return 0;
    for (size_t i = 1; i < k; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0; /* overlong; a surrogate */
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0; /* overlong; beyond U+10FFFF */
    return k;
}

/* As UTF-8; of what that cannot hold, the forms above. */
static void put_code(lb_str *b, uint32_t c) {
    char s[4];
    size_t n = 0;
    if (c > 0 && c < 0x80) {
        s[n++] = (char)c;
    } else if (c < 0x800) {
        s[n++] = (char)(0xc0 | c >> 6);
        s[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        s[n++] = (char)(0xe0 | c >> 12);
        s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        s[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        s[n++] = (char)(0xf0 | c >> 18);
        s[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        s[n++] = (char)(0x80 | (c & 0x3f));
    }
    lb_str_add_bytes(b, s, n);
}

/* Four hex digits at p->at + skip, which stays where it is. */
static bool hex4(const parser *p, size_t skip, uint32_t *out) {
    if ((size_t)(p->end - p->at) < skip + 4) return false;
    *out = 0;
    for (size_t i = skip; i < skip + 4; i++) {
        const char *digits = "0123456789abcdefABCDEF", *d = p->at[i] ? strchr(digits, p->at[i]) : NULL;
        if (!d) return false;
        *out = *out * 16 + (uint32_t)(d - digits < 16 ? d - digits : d - digits - 6);
    }
    return true;
}

/* Behind a backslash. */
static lb_status escape(parser *p) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *start = p->at - 1;
    uint32_t c, low;
    if (take(p, 'u')) {
        if (!hex4(p, 0, &c)) return bad(p, start, "\\u without four hex digits");
        p->at += 4;
        bool pair = c >= 0xd800 && c < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u' &&
                    hex4(p, 2, &low) && low >= 0xdc00 && low < 0xe000;
        if (pair) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            p->at += 6;
        }
        put_code(&p->token, c);
        return LB_OK;
    }
    const char *k = p->at < p->end && *p->at ? strchr(from, *p->at) : NULL;
    if (!k) return bad(p, start, "unknown escape");
    p->at++;
    lb_str_add_bytes(&p->token, &to[k - from], 1);
    return LB_OK;
}

/* Into p->token. */
static lb_status string(parser *p) {
    const char *start = p->at;
    if (!take(p, '"')) return bad(p, p->at, "expected a string");
    p->token.len = 0;
    for (;;) {
        const char *from = p->at;
        while (p->at < p->end && *p->at != '"' && *p->at != '\\' && (uint8_t)*p->at >= 0x20) {
            size_t n = char_length((const uint8_t *)p->at, (size_t)(p->end - p->at));
            if (n == 0) return bad(p, p->at, "bytes that are not UTF-8");
            p->at += n;
        }
        lb_str_add_bytes(&p->token, from, (size_t)(p->at - from));
        if (p->at == p->end) return bad(p, start, "a string that does not end, begun");
        if (take(p, '"')) return p->token.failed ? no_memory(p) : LB_OK;
        if (!take(p, '\\')) return bad(p, p->at, "a control character in a string");
        LB_TRY(escape(p));
    }
}

/* ---- numbers ---- */

static size_t digits(parser *p) {
    const char *from = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') p->at++;
    return (size_t)(p->at - from);
}

/* A fraction or an exponent; nothing of it where it is not whole, as in Python. */
static bool part(parser *p, bool exponent) {
    const char *from = p->at;
    bool begins = exponent ? take(p, 'e') || take(p, 'E') : take(p, '.');
    if (begins && exponent && !take(p, '+')) (void)take(p, '-');
    if (begins && digits(p)) return true;
    p->at = from;
    return false;
}

/* What no json_t number can be. */
static json_t *kept_as_text(parser *p, const char *from) {
    p->token.len = 0;
    lb_str_add_bytes(&p->token, "\xff", 1);
    lb_str_add_bytes(&p->token, from, (size_t)(p->at - from));
    return p->token.failed ? NULL : json_stringn_nocheck(p->token.s, p->token.len);
}

static lb_status number(parser *p, json_t **out) {
    const char *from = p->at;
    (void)take(p, '-');
    if (take_word(p, "Infinity") || (p->at == from && take_word(p, "NaN"))) {
        *out = kept_as_text(p, from);
        return *out ? LB_OK : no_memory(p);
    }
    if (!take(p, '0') && !digits(p)) return bad(p, from, "expected a value");
    bool fraction = part(p, false), exponent = part(p, true);
    p->token.len = 0;
    lb_str_add_bytes(&p->token, from, (size_t)(p->at - from));
    if (p->token.failed) return no_memory(p);
    errno = 0;
    if (fraction || exponent) {
        double v = 0;
        lb_status st = lb_parse_f64(p->token.s, &v);
        if (st == LB_E_NOMEM) return st;
        *out = st == LB_OK ? json_real(v) : kept_as_text(p, from);
    } else {
        long long v = strtoll(p->token.s, NULL, 10);
        *out = errno == ERANGE ? kept_as_text(p, from) : json_integer(v);
    }
    return *out ? LB_OK : no_memory(p);
}

/* ---- values ---- */

static bool same(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

/* Takes over v. */
static lb_status put(parser *p, json_t *o, const char *key, size_t len, json_t *v) {
    json_t *before = json_object_getn(o, key, len);
    bool failed = false;
    if (before && !same(before, v)) {
        lb_str mark = {0};
        lb_str_add_bytes(&mark, "\xff", 1);
        lb_str_add_bytes(&mark, key, len);
        failed = mark.failed || (!json_object_getn(o, mark.s, mark.len) &&
                                 json_object_setn_new_nocheck(o, mark.s, mark.len, json_incref(before)));
        lb_str_free(&mark);
    }
    if (!failed) return json_object_setn_new_nocheck(o, key, len, v) ? no_memory(p) : LB_OK;
    json_decref(v);
    return no_memory(p);
}

static lb_status member(parser *p, json_t *o) {
    json_t *v = NULL;
    skip_space(p);
    LB_TRY(string(p));
    size_t len = p->token.len;
    char *key = lb_alloc(len + 1, 1); /* the value's strings need the room */
    if (!key) return no_memory(p);
    memcpy(key, p->token.s ? p->token.s : "", len);
    skip_space(p);
    lb_status st = take(p, ':') ? value(p, &v) : bad(p, p->at, "expected ':'");
    if (st == LB_OK) st = put(p, o, key, len, v);
    lb_free(key);
    return st;
}

/* Of an object ('}') or a list (']'), whose first character was taken. */
static lb_status members(parser *p, json_t *o, char close) {
    skip_space(p);
    if (take(p, close)) return LB_OK;
    for (;;) {
        LB_TRY(lb_interrupt_check());
        if (close == '}') {
            LB_TRY(member(p, o));
        } else {
            json_t *v = NULL;
            LB_TRY(value(p, &v));
            if (json_array_append_new(o, v)) return no_memory(p);
        }
        skip_space(p);
        if (take(p, close)) return LB_OK;
        if (!take(p, ',')) return bad(p, p->at, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
    }
}

static lb_status container(parser *p, json_t **out) {
    bool object = *p->at++ == '{';
    if (++p->depth > MAX_DEPTH) return bad(p, p->at - 1, "nested too deep");
    json_t *o = object ? json_object() : json_array();
    lb_status st = o ? members(p, o, object ? '}' : ']') : no_memory(p);
    p->depth--;
    if (st != LB_OK) {
        json_decref(o);
        o = NULL;
    }
    *out = o;
    return st;
}

static lb_status value(parser *p, json_t **out) {
    skip_space(p);
    char c = p->at < p->end ? *p->at : 0;
    if (c == '{' || c == '[') return container(p, out);
    if (c == '"') {
        LB_TRY(string(p));
        *out = json_stringn_nocheck(p->token.s ? p->token.s : "", p->token.len);
        return *out ? LB_OK : no_memory(p);
    }
    *out = take_word(p, "true") ? json_true() : take_word(p, "false") ? json_false() : NULL;
    if (!*out && take_word(p, "null")) *out = json_null();
    return *out ? LB_OK : number(p, out);
}

static lb_status whole(parser *p, json_t **out) {
    LB_TRY(value(p, out));
    skip_space(p);
    return p->at == p->end ? LB_OK : bad(p, p->at, "something behind the value");
}

lb_status lb_json_parse(const char *name, const char *text, size_t len, json_t **out) {
    return lb_json_parse_line(name, 1, text, len, out);
}

lb_status lb_json_parse_line(const char *name, int64_t line, const char *text, size_t len, json_t **out) {
    const char *other = lb_kind_of(text, len);
    *out = NULL;
    if (other) return lb_fail(LB_E_FORMAT, "%s: is %s, expected JSON in UTF-8", name, other);
    size_t mark = lb_utf8_mark(text, len);
    parser p = {.name = name, .text = text + mark, .at = text + mark, .end = text + len, .line = line};
    lb_json_memory_begin();
    lb_status st = whole(&p, out);
    lb_str_free(&p.token);
    if (st == LB_OK) st = lb_json_memory_check(name);
    if (st != LB_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return st;
}

/* ---- the forms, read ---- */

const char *lb_json_odd(const json_t *v) {
    const char *s = json_string_value(v);
    return s && s[0] == '\xff' ? s + 1 : NULL;
}

double lb_json_odd_value(const char *odd) {
    if (!strcmp(odd, "NaN")) return NAN;
    bool minus = odd[0] == '-';
    if (!strcmp(odd + minus, "Infinity")) return minus ? -INFINITY : INFINITY;
    double v = 0;
    return lb_parse_f64(odd, &v) == LB_OK ? v : minus ? -INFINITY : INFINITY;
}

const char *lb_json_twice(const char *key) { return key[0] == '\xff' ? key + 1 : NULL; }

bool lb_json_valid_text(const char *s, size_t n) {
    for (size_t i = 0, k; i < n; i += k)
        if (!(k = char_length((const uint8_t *)s + i, n - i))) return false;
    return true;
}

/* Characters, their classes, and the built-in word patterns as scanners: the same cuts as the regular expressions
 * beside them (tests compare the two), several times faster. */
#include <utf8proc.h>

#include "model/tokenizer/impl.h"
#include "model/tokenizer/unicode.h"

size_t lb_tok_char(const char *s, size_t n, int32_t *code) {
    uint8_t b = (uint8_t)s[0];
    if (b < 0x80) {
        *code = b;
        return 1;
    }
    utf8proc_int32_t c;
    utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)s, n < 4 ? (utf8proc_ssize_t)n : 4, &c);
    if (len <= 0 || c < 0) {
        *code = -1;
        return 1;
    }
    *code = c;
    return (size_t)len;
}

/* PCRE2's \s has U+180E too, the tokenizers library's has not. */
bool lb_tok_is_space(int32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    if (c == 0x85 || c == 0xA0 || c == 0x1680 || c == 0x3000) return true;
    return c >= 0x2000 && (c <= 0x200A || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F);
}

/* Characters that an older utf8proc takes as unassigned, as the tokenizers library does: a text's tokens do not depend
 * on the system's version. */
static lb_tok_class unassigned(int32_t c) {
    uint32_t category = 1U << lb_uni_category_of(c);
    return category & LB_UNI_L ? LB_TOK_LETTER : category & LB_UNI_N ? LB_TOK_NUMBER : LB_TOK_OTHER;
}

lb_tok_class lb_tok_classify(int32_t c) {
    if (c < 0) return LB_TOK_OTHER;
    if (c < 0x80) {
        int32_t lower = c | 0x20;
        if (lower >= 'a' && lower <= 'z') return LB_TOK_LETTER;
        if (c >= '0' && c <= '9') return LB_TOK_NUMBER;
        return lb_tok_is_space(c) ? LB_TOK_SPACE : LB_TOK_OTHER;
    }
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LB_TOK_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return LB_TOK_NUMBER;
    case UTF8PROC_CATEGORY_CN:
        return unassigned(c);
    default:
        return lb_tok_is_space(c) ? LB_TOK_SPACE : LB_TOK_OTHER;
    }
}

bool lb_tok_is_number(int32_t c) {
    return lb_tok_classify(c) == LB_TOK_NUMBER || (c >= 0x80 && lb_uni_in(lb_uni_number, lb_uni_n_number, c));
}

bool lb_tok_is_punct(int32_t c) { return c >= 0 && lb_uni_in(lb_uni_punctuation, lb_uni_n_punctuation, c); }

bool lb_tok_is_word(int32_t c) {
    if (c < 0) return false;
    if (c < 0x80) return c == '_' || lb_tok_classify(c) == LB_TOK_LETTER || lb_tok_classify(c) == LB_TOK_NUMBER;
    if (c == 0x200C || c == 0x200D) return true;
    lb_uni_run run = lb_uni_run_of(c);
    uint32_t category = 1U << run.category;
    return (run.flags & LB_UNI_ALPHABETIC) || (category & (LB_UNI_M | 1U << LB_UNI_ND | 1U << LB_UNI_PC));
}

bool lb_uni_in(const lb_uni_range *ranges, int n, int32_t code) {
    int low = 0, high = n;
    while (low < high) {
        int mid = (low + high) / 2;
        if (ranges[mid].last < code)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && ranges[low].first <= code;
}

int32_t lb_uni_to_lower(int32_t code) {
    if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
    int low = 0, high = lb_uni_n_lower;
    while (low < high) {
        int mid = (low + high) / 2;
        if (lb_uni_lower[mid].last < code)
            low = mid + 1;
        else
            high = mid;
    }
    const lb_uni_fold_run *run = &lb_uni_lower[low];
    bool in = low < lb_uni_n_lower && run->first <= code && (code - run->first) % run->step == 0;
    return in ? code + run->delta : code;
}

void lb_tok_put_char(lb_str *out, int32_t code) {
    utf8proc_uint8_t s[4];
    lb_str_add_bytes(out, s, (size_t)utf8proc_encode_char(code, s));
}

size_t lb_tok_invalid_utf8(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        int32_t c;
        size_t len = lb_tok_char(s + i, n - i, &c);
        if (c < 0) return i;
        i += len;
    }
    return n;
}

/* ---- scanners ---- */

const char lb_tok_pattern_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char lb_tok_pattern_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char lb_tok_pattern_qwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static lb_tok_class class_at(const char *s, size_t n, size_t at, size_t *len, int32_t *code) {
    *len = lb_tok_char(s + at, n - at, code);
    return lb_tok_classify(*code);
}

/* The end of the run of characters of class k that begins at `at`. */
static size_t run_end(const char *s, size_t n, size_t at, lb_tok_class k) {
    while (at < n) {
        size_t len;
        int32_t c;
        if (class_at(s, n, at, &len, &c) != k) break;
        at += len;
    }
    return at;
}

/* 's 't 're 've 'm 'll 'd: its length, 0 if s does not begin with one. */
static size_t contraction(const char *s, size_t n, bool any_case) {
    if (n < 2 || s[0] != '\'') return 0;
    /* U+017F, the long s, is an s when case is ignored. */
    if (any_case && n >= 3 && s[1] == '\xc5' && s[2] == '\xbf') return 3;
    int fold = any_case ? 0x20 : 0;
    int a = (uint8_t)s[1] | fold, b = n >= 3 ? (uint8_t)s[2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* \s+(?!\S)|\s+ : white space up to the end, else all but its last character, else that one. s begins with a space. */
static size_t white_space(const char *s, size_t n) {
    size_t at = 0, last = 0;
    while (at < n) {
        size_t len;
        int32_t c;
        if (class_at(s, n, at, &len, &c) != LB_TOK_SPACE) break;
        last = at;
        at += len;
    }
    return at == n || last == 0 ? at : last;
}

size_t lb_tok_scan_gpt2(const char *s, size_t n) {
    size_t len = contraction(s, n, false);
    if (len) return len;
    int32_t c;
    lb_tok_class k = class_at(s, n, 0, &len, &c);
    if (c == ' ' && n > 1) {
        size_t next;
        k = class_at(s, n, 1, &next, &c);
        len += next;
    }
    return k == LB_TOK_SPACE ? white_space(s, n) : run_end(s, n, len, k);
}

/* \s*[\r\n]+ : the end of the last line break within the white space at s, 0 if there is none. */
static size_t line_breaks(const char *s, size_t n) {
    size_t at = 0, end = 0;
    while (at < n) {
        size_t len;
        int32_t c;
        if (class_at(s, n, at, &len, &c) != LB_TOK_SPACE) break;
        at += len;
        if (c == '\r' || c == '\n') end = at;
    }
    return end;
}

static size_t scan_llama(const char *s, size_t n, int digits) {
    size_t len = contraction(s, n, true);
    if (len) return len;
    int32_t c, c2 = -1;
    lb_tok_class k = class_at(s, n, 0, &len, &c);
    if (k == LB_TOK_LETTER) return run_end(s, n, len, k);
    size_t len2 = 0;
    lb_tok_class k2 = len < n ? class_at(s, n, len, &len2, &c2) : LB_TOK_OTHER;
    if (k != LB_TOK_NUMBER && c != '\r' && c != '\n' && len < n && k2 == LB_TOK_LETTER)
        return run_end(s, n, len + len2, k2);
    if (k == LB_TOK_NUMBER) {
        size_t at = len;
        for (int i = 1; i < digits && at < n; i++) {
            if (class_at(s, n, at, &len2, &c2) != LB_TOK_NUMBER) break;
            at += len2;
        }
        return at;
    }
    if (k == LB_TOK_OTHER || (c == ' ' && len < n && k2 == LB_TOK_OTHER)) {
        size_t at = run_end(s, n, k == LB_TOK_OTHER ? len : len + len2, LB_TOK_OTHER);
        while (at < n && (s[at] == '\r' || s[at] == '\n')) at++;
        return at;
    }
    size_t end = line_breaks(s, n);
    return end ? end : white_space(s, n);
}

size_t lb_tok_scan_llama3(const char *s, size_t n) { return scan_llama(s, n, 3); }
size_t lb_tok_scan_qwen2(const char *s, size_t n) { return scan_llama(s, n, 1); }

lb_tok_scan lb_tok_known_pattern(const char *pattern) {
    if (!strcmp(pattern, lb_tok_pattern_gpt2)) return lb_tok_scan_gpt2;
    if (!strcmp(pattern, lb_tok_pattern_llama3)) return lb_tok_scan_llama3;
    if (!strcmp(pattern, lb_tok_pattern_qwen2)) return lb_tok_scan_qwen2;
    return NULL;
}

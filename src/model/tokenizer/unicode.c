/* Characters and their classes. */
#include <utf8proc.h>

#include "model/tokenizer/impl.h"
#include "model/tokenizer/unicode.h"

size_t lb_tok_char_any(const char *s, size_t n, int32_t *code) {
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

/* By category. What an older utf8proc takes as unassigned is looked up in our own table: a text's tokens do not depend
 * on the system's version. */
static unsigned category_kind(int category) {
    uint32_t bit = 1U << category;
    if (bit & (1U << LB_UNI_LU | 1U << LB_UNI_LT)) return LB_TOK_K_UPPER;
    if (bit & 1U << LB_UNI_LL) return LB_TOK_K_LOWER;
    if (bit & LB_UNI_L) return LB_TOK_K_UNCASED;
    if (bit & LB_UNI_M) return LB_TOK_K_MARK;
    if (bit & LB_UNI_N) return LB_TOK_K_NUMBER;
    return bit & LB_UNI_P ? LB_TOK_K_PUNCT : 0;
}

unsigned lb_tok_kind(int32_t c) {
    static const uint8_t of[] = {[UTF8PROC_CATEGORY_LU] = LB_TOK_K_UPPER,
                                 [UTF8PROC_CATEGORY_LT] = LB_TOK_K_UPPER,
                                 [UTF8PROC_CATEGORY_LL] = LB_TOK_K_LOWER,
                                 [UTF8PROC_CATEGORY_LM] = LB_TOK_K_UNCASED,
                                 [UTF8PROC_CATEGORY_LO] = LB_TOK_K_UNCASED,
                                 [UTF8PROC_CATEGORY_MN] = LB_TOK_K_MARK,
                                 [UTF8PROC_CATEGORY_MC] = LB_TOK_K_MARK,
                                 [UTF8PROC_CATEGORY_ME] = LB_TOK_K_MARK,
                                 [UTF8PROC_CATEGORY_ND] = LB_TOK_K_NUMBER,
                                 [UTF8PROC_CATEGORY_NL] = LB_TOK_K_NUMBER,
                                 [UTF8PROC_CATEGORY_NO] = LB_TOK_K_NUMBER,
                                 [UTF8PROC_CATEGORY_PC] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_PD] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_PS] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_PE] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_PI] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_PF] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_PO] = LB_TOK_K_PUNCT,
                                 [UTF8PROC_CATEGORY_CO] = 0};
    if (c < 0) return 0;
    if (c < 0x80) return lb_tok_ascii_kind[c];
    if (lb_tok_is_space(c)) return LB_TOK_K_SPACE;
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_CN ? category_kind((int)lb_uni_category_of(c)) : of[category];
}

#define S LB_TOK_K_SPACE
#define N LB_TOK_K_NUMBER
#define P LB_TOK_K_PUNCT
#define U LB_TOK_K_UPPER
#define L LB_TOK_K_LOWER
const uint8_t lb_tok_ascii_kind[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0 */
    S, P, P, P, 0, P, P, P, P, P, P, 0, P, P, P, P, N, N, N, N, N, N, N, N, N, N, P, P, 0, 0, 0, P, /* ' ' */
    P, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, P, P, P, 0, P, /* '@' */
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, 0, P, 0, 0, /* '`' */
};
#undef S
#undef N
#undef P
#undef U
#undef L

lb_tok_class lb_tok_classify(int32_t c) {
    unsigned k = lb_tok_kind(c);
    return k & LB_TOK_K_LETTER   ? LB_TOK_LETTER
           : k & LB_TOK_K_NUMBER ? LB_TOK_NUMBER
           : k & LB_TOK_K_SPACE  ? LB_TOK_SPACE
                                 : LB_TOK_OTHER;
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

/* The patterns of published tokenizers as scanners: the same cuts as the regular expressions beside them (tests compare
 * the two), several times faster. */
#include "model/tokenizer/impl.h"

static inline size_t char_at(const char *s, size_t n, size_t at, int32_t *c, unsigned *kind) {
    uint8_t b = (uint8_t)s[at];
    if (b < 0x80) {
        *c = b;
        *kind = lb_tok_ascii_kind[b];
        return 1;
    }
    size_t len = lb_tok_char(s + at, n - at, c);
    *kind = lb_tok_kind(*c);
    return len;
}

/* The end of the run of characters of these kinds that begins at `at`. */
static size_t run_end(const char *s, size_t n, size_t at, unsigned kinds) {
    while (at < n) {
        int32_t c;
        unsigned k;
        size_t len = char_at(s, n, at, &c, &k);
        if (!(k & kinds)) break;
        at += len;
    }
    return at;
}

#define KNOWN (LB_TOK_K_LETTER | LB_TOK_K_NUMBER | LB_TOK_K_SPACE)

/* The same of characters that are no letters, numbers, white space. */
static size_t others_end(const char *s, size_t n, size_t at) {
    while (at < n) {
        int32_t c;
        unsigned k;
        size_t len = char_at(s, n, at, &c, &k);
        if (k & KNOWN) break;
        at += len;
    }
    return at;
}

/* 's 't 're 've 'm 'll 'd: its length, 0 if s does not begin with one. */
typedef enum contractions { NONE, SMALL, ANY_CASE, FOLDED } contractions; /* FOLDED: U+017F, the long s, is an s too */
static size_t contraction(const char *s, size_t n, contractions how) {
    if (how == NONE || n < 2 || s[0] != '\'') return 0;
    if (how == FOLDED && n >= 3 && s[1] == '\xc5' && s[2] == '\xbf') return 3;
    int fold = how == SMALL ? 0 : 0x20;
    int a = (uint8_t)s[1] | fold, b = n >= 3 ? (uint8_t)s[2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* \s+(?!\S)|\s+ : white space up to the end, else all but its last character, else that one. s begins with a space. */
static size_t white_space(const char *s, size_t n) {
    size_t at = 0, last = 0;
    while (at < n) {
        int32_t c;
        unsigned k;
        size_t len = char_at(s, n, at, &c, &k);
        if (!(k & LB_TOK_K_SPACE)) break;
        last = at;
        at += len;
    }
    return at == n || last == 0 ? at : last;
}

/* ---- GPT-2 ---- */

const char lb_tok_pattern_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

size_t lb_tok_scan_gpt2(const char *s, size_t n) {
    size_t len = contraction(s, n, SMALL);
    if (len) return len;
    int32_t c;
    unsigned k;
    len = char_at(s, n, 0, &c, &k);
    if (c == ' ' && n > 1) len += char_at(s, n, 1, &c, &k);
    if (k & LB_TOK_K_SPACE) return white_space(s, n);
    if (k & LB_TOK_K_LETTER) return run_end(s, n, len, LB_TOK_K_LETTER);
    return k & LB_TOK_K_NUMBER ? run_end(s, n, len, LB_TOK_K_NUMBER) : others_end(s, n, len);
}

/* ---- those of tiktoken ---- */

/* By case: words of capitals and then small letters (or only one of these), as each set of kinds has it. */
typedef struct style {
    contractions before, behind; /* a word of its own; the end of a word */
    bool by_case, ascii_case;    /* ascii_case: every letter but a-z is a capital, every one but A-Z small; no marks */
    int digits;
    bool slash; /* behind others, with line breaks */
} style;

static bool upper(const style *y, int32_t c, unsigned k) {
    if (y->ascii_case) return (k & LB_TOK_K_LETTER) && !(c >= 'a' && c <= 'z');
    return (k & (LB_TOK_K_UPPER | LB_TOK_K_UNCASED | LB_TOK_K_MARK)) != 0;
}

static bool lower(const style *y, int32_t c, unsigned k) {
    if (y->ascii_case) return (k & LB_TOK_K_LETTER) && !(c >= 'A' && c <= 'Z');
    return (k & (LB_TOK_K_LOWER | LB_TOK_K_UNCASED | LB_TOK_K_MARK)) != 0;
}

/* U*L+ at `at` (0: no match), and in *upper_end where the run of U ends. Where no L follows the run, the last one
 * within it is the end. */
static size_t small_word(const style *y, const char *s, size_t n, size_t at, size_t *upper_end) {
    size_t end = 0;
    int32_t c;
    unsigned k;
    for (size_t len; at < n; at += len) {
        len = char_at(s, n, at, &c, &k);
        if (!upper(y, c, k)) break;
        if (lower(y, c, k)) end = at + len;
    }
    *upper_end = at;
    for (size_t len; at < n; at += len) {
        len = char_at(s, n, at, &c, &k);
        if (!lower(y, c, k)) break;
        end = at + len;
    }
    return end;
}

/* P?U*L+|P?U+L* with P the first character, which may be one. 0: no match. */
static size_t cased_word(const style *y, const char *s, size_t n, size_t first, bool prefix) {
    size_t with = 0, without, end = prefix ? small_word(y, s, n, first, &with) : 0;
    if (end) return end;
    end = small_word(y, s, n, 0, &without);
    if (end) return end;
    if (prefix && with > first) return with;
    return without;
}

/* \s*[\r\n]+ : the end of the last line break within the white space at s, 0 if there is none. */
static size_t line_breaks(const char *s, size_t n) {
    size_t at = 0, end = 0;
    while (at < n) {
        int32_t c;
        unsigned k;
        size_t len = char_at(s, n, at, &c, &k);
        if (!(k & LB_TOK_K_SPACE)) break;
        at += len;
        if (c == '\r' || c == '\n') end = at;
    }
    return end;
}

static size_t numbers_end(const char *s, size_t n, size_t at, int most) {
    int32_t c;
    unsigned k;
    for (int i = 1; i < most && at < n; i++) {
        size_t len = char_at(s, n, at, &c, &k);
        if (!(k & LB_TOK_K_NUMBER)) break;
        at += len;
    }
    return at;
}

static size_t scan(const style *y, const char *s, size_t n) {
    int32_t c, c2 = -1;
    unsigned k, k2 = 0;
    size_t len = contraction(s, n, y->before), len2 = 0, end = 0;
    if (len) return len;
    len = char_at(s, n, 0, &c, &k);
    bool prefix = !(k & (LB_TOK_K_LETTER | LB_TOK_K_NUMBER)) && c != '\r' && c != '\n';
    if (len < n && !(k & LB_TOK_K_LETTER)) len2 = char_at(s, n, len, &c2, &k2);
    if (y->by_case) {
        if (k & (LB_TOK_K_LETTER | LB_TOK_K_MARK) || (prefix && k2 & (LB_TOK_K_LETTER | LB_TOK_K_MARK)))
            end = cased_word(y, s, n, len, prefix);
        if (end) return end + contraction(s + end, n - end, y->behind);
    } else {
        if (k & LB_TOK_K_LETTER) return run_end(s, n, len, LB_TOK_K_LETTER);
        if (prefix && k2 & LB_TOK_K_LETTER) return run_end(s, n, len + len2, LB_TOK_K_LETTER);
    }
    if (k & LB_TOK_K_NUMBER) return numbers_end(s, n, len, y->digits);
    bool spaced = c == ' ' && len < n && !(k2 & KNOWN);
    if (spaced || !(k & KNOWN)) {
        size_t at = others_end(s, n, spaced ? len + len2 : len);
        while (at < n && (s[at] == '\r' || s[at] == '\n' || (y->slash && s[at] == '/'))) at++;
        return at;
    }
    end = line_breaks(s, n);
    return end ? end : white_space(s, n);
}

static const style llama3 = {.before = FOLDED, .digits = 3}, llama3_ascii = {.before = ANY_CASE, .digits = 3},
                   qwen2 = {.before = FOLDED, .digits = 1}, qwen2_ascii = {.before = ANY_CASE, .digits = 1},
                   tekken = {.by_case = true, .digits = 1, .slash = true},
                   tekken_ascii = {.by_case = true, .ascii_case = true, .digits = 1, .slash = true},
                   o200k = {.by_case = true, .behind = FOLDED, .digits = 3, .slash = true},
                   o200k_ascii = {.by_case = true, .ascii_case = true, .behind = ANY_CASE, .digits = 3, .slash = true};

static size_t scan_llama3(const char *s, size_t n) { return scan(&llama3, s, n); }
static size_t scan_llama3_ascii(const char *s, size_t n) { return scan(&llama3_ascii, s, n); }
static size_t scan_qwen2(const char *s, size_t n) { return scan(&qwen2, s, n); }
static size_t scan_qwen2_ascii(const char *s, size_t n) { return scan(&qwen2_ascii, s, n); }
static size_t scan_tekken(const char *s, size_t n) { return scan(&tekken, s, n); }
static size_t scan_tekken_ascii(const char *s, size_t n) { return scan(&tekken_ascii, s, n); }
static size_t scan_o200k(const char *s, size_t n) { return scan(&o200k, s, n); }
static size_t scan_o200k_ascii(const char *s, size_t n) { return scan(&o200k_ascii, s, n); }

/* ---- runs and what is between them ---- */

/* Whether a match begins here, and its length in *len; else the length of the character. */
typedef bool (*matcher)(const char *s, size_t n, size_t *len);

/* A match, or all up to the next one. */
static size_t match_or_gap(const char *s, size_t n, matcher match) {
    size_t len, at = 0;
    if (match(s, n, &len)) return len;
    for (at = len; at < n && !match(s + at, n - at, &len); at += len) continue;
    return at;
}

static bool bloom_word_char(int32_t c, unsigned k) {
    static const char ends[] = "(|.,!?)";
    if (k & LB_TOK_K_SPACE) return false;
    if (c < 0x80) return c < 0 || !c || !strchr(ends, c);
    return c != 0x2026 && c != 0x3002 && c != 0xFF0C && c != 0x3001 && c != 0x964 && c != 0x6D4 && c != 0x60C;
}

static bool bloom_word(const char *s, size_t n, size_t *len) {
    int32_t c;
    unsigned k;
    size_t at = s[0] == ' ' ? 1 : 0, first = at;
    for (size_t one; at < n; at += one) {
        one = char_at(s, n, at, &c, &k);
        if (!bloom_word_char(c, k)) break;
    }
    *len = at > first ? at : char_at(s, n, 0, &c, &k);
    return at > first;
}

static bool three_digits(const char *s, size_t n, size_t *len) {
    bool three = n >= 3;
    for (int i = 0; i < 3 && three; i++) three = s[i] >= '0' && s[i] <= '9';
    *len = three ? 3 : 1;
    return three;
}

static bool run_of(const char *s, size_t n, size_t *len, unsigned kinds, const char *also) {
    size_t at = 0;
    int32_t c = 0;
    unsigned k;
    for (size_t one; at < n; at += one) {
        one = char_at(s, n, at, &c, &k);
        if (k & kinds || (c > 0 && c < 0x80 && strchr(also, c))) continue;
        *len = at ? at : one;
        return at > 0;
    }
    *len = at;
    return true;
}

static bool falcon_punct(const char *s, size_t n, size_t *len) {
    return run_of(s, n, len, LB_TOK_K_PUNCT, "$+<=>^~|`");
}
static bool default_punct(const char *s, size_t n, size_t *len) {
    return run_of(s, n, len, LB_TOK_K_PUNCT, "$+<=>^~|");
}
static bool number_run(const char *s, size_t n, size_t *len) { return run_of(s, n, len, LB_TOK_K_NUMBER, ""); }

static size_t scan_bloom(const char *s, size_t n) { return match_or_gap(s, n, bloom_word); }
size_t lb_tok_scan_three_digits(const char *s, size_t n) { return match_or_gap(s, n, three_digits); }
static size_t scan_falcon_punct(const char *s, size_t n) { return match_or_gap(s, n, falcon_punct); }
static size_t scan_default_punct(const char *s, size_t n) { return match_or_gap(s, n, default_punct); }
static size_t scan_numbers(const char *s, size_t n) { return match_or_gap(s, n, number_run); }

/* ---- the patterns ---- */

#define FOLDED_WORD  "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CASED_WORD   "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define LETTERS      "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define REST         "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define REST_SLASH   "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SMALL_WORD   "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define CAPITAL_WORD "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define SMALL_ASCII  "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))*((?=[\\p{L}])([^A-Z]))+"
#define CAP_ASCII    "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))+((?=[\\p{L}])([^A-Z]))*"
/* OpenAI's own spelling of the same: what is possessive there cannot give anything back here either. */
#define TIKTOKEN(digits)                                                                                               \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|"    \
    "\\s+(?!\\S)|\\s+"

const lb_tok_known lb_tok_known_patterns[] = {
    {lb_tok_pattern_gpt2, lb_tok_scan_gpt2, "gpt-2", true},
    {FOLDED_WORD LETTERS "|\\p{N}{1,3}" REST, scan_llama3, "llama-bpe", true},
    {CASED_WORD LETTERS "|\\p{N}{1,3}" REST, scan_llama3_ascii, "llama-bpe", true},
    {TIKTOKEN("\\p{N}{1,3}"), scan_llama3, "llama-bpe", true},
    {FOLDED_WORD LETTERS "|\\p{N}" REST, scan_qwen2, "qwen2", true},
    {CASED_WORD LETTERS "|\\p{N}" REST, scan_qwen2_ascii, "qwen2", true},
    {TIKTOKEN("\\p{N}"), scan_qwen2, "qwen2", true},
    {SMALL_WORD "|" CAPITAL_WORD "|\\p{N}" REST_SLASH, scan_tekken, "tekken", true},
    {SMALL_ASCII "|" CAP_ASCII "|\\p{N}" REST_SLASH, scan_tekken_ascii, "tekken", true},
    {SMALL_WORD FOLDED_WORD "?|" CAPITAL_WORD FOLDED_WORD "?|\\p{N}{1,3}" REST_SLASH, scan_o200k, "gpt-4o", true},
    {SMALL_ASCII CASED_WORD "?|" CAP_ASCII CASED_WORD "?|\\p{N}{1,3}" REST_SLASH, scan_o200k_ascii, "gpt-4o", true},
    {" ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+", scan_bloom,
     "bloom", false},
    {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+", scan_bloom, "bloom", false},
    {"[0-9][0-9][0-9]", lb_tok_scan_three_digits, NULL, false},
    {"[\\p{P}\\$\\+<=>\\^~\\|`]+", scan_falcon_punct, NULL, false},
    {"[\\p{P}\\$\\+<=>\\^~\\|]+", scan_default_punct, NULL, false},
    {"\\p{N}+", scan_numbers, NULL, false},
};
const int lb_tok_n_known = sizeof lb_tok_known_patterns / sizeof *lb_tok_known_patterns;

const lb_tok_known *lb_tok_known_pattern(const char *pattern) {
    for (int i = 0; i < lb_tok_n_known; i++)
        if (!strcmp(pattern, lb_tok_known_patterns[i].pattern)) return &lb_tok_known_patterns[i];
    return NULL;
}

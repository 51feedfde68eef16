#include "base/scalar.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

static bool is_one_of(const char *s, const char *const *word) {
    while (*word && strcmp(s, *word) != 0) word++;
    return *word != NULL;
}

static const char *after_sign(const char *s) { return s + (*s == '-' || *s == '+'); }

bool lb_scalar_null(const char *s) {
    static const char *const word[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(s, word);
}

lb_status lb_scalar_bool(const char *s, bool *out) {
    static const char *const yes[] = {"true", "True", "TRUE", NULL}, *const no[] = {"false", "False", "FALSE", NULL};
    if (!is_one_of(s, yes) && !is_one_of(s, no)) return lb_fail(LB_E_ARG, "'%s': must be true or false", s);
    *out = is_one_of(s, yes);
    return LB_OK;
}

/* 8 for 0o17, 16 for 0x1F, 10 for all else. */
static int base_of(const char *s) { return s[0] != '0' ? 10 : s[1] == 'o' ? 8 : s[1] == 'x' ? 16 : 10; }

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

lb_status lb_scalar_i64(const char *s, int64_t *out) {
    int base = base_of(s);
    if (base == 10) return lb_parse_i64(s, out);
    const char *p = s + 2;
    int64_t v = 0;
    for (; digit_of(*p) < base; p++)
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit_of(*p), &v))
            return lb_fail(LB_E_ARG, "'%s': does not fit in 64 bits", s);
    if (*p || p == s + 2) return lb_fail(LB_E_ARG, "'%s': must be a whole number", s);
    *out = v;
    return LB_OK;
}

lb_status lb_scalar_f64(const char *s, double *out) {
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL}, *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    int64_t whole = 0;
    if (is_one_of(s, nan)) {
        *out = NAN;
    } else if (is_one_of(after_sign(s), inf)) {
        *out = *s == '-' ? -INFINITY : INFINITY;
    } else if (base_of(s) != 10) {
        LB_TRY(lb_scalar_i64(s, &whole));
        *out = (double)whole;
    } else {
        return lb_parse_f64(s, out);
    }
    return LB_OK;
}

/* ---- YAML 1.1 ---- */

static bool only(const char *s, const char *set) { return *s && s[strspn(s, set)] == 0; }

/* Digits of a base with underscores among them: 1_000, 0b1_0, 0x_1F. */
static bool has_underscores(const char *s) {
    if (!strchr(s, '_')) return false;
    if (s[0] == '0' && s[1] == 'x') return only(s + 2, "0123456789abcdefABCDEF_");
    const char *fraction = s + strspn(s, "0123456789_");
    if (*s == '_' || (*s == '.' && fraction[1] == '_')) return false;
    if (*fraction != '.') return *fraction == 0 && (*s != '0' || only(s, "01234567_"));
    fraction += 1 + strspn(fraction + 1, "0123456789_");
    if ((*fraction == 'e' || *fraction == 'E') && (fraction[1] == '-' || fraction[1] == '+'))
        return only(fraction + 2, "0123456789");
    return *fraction == 0;
}

/* 1:30, 1:30:15, 1:30.5: what follows a colon is below 60. */
static bool is_base_60(const char *s) {
    const char *p = s + strspn(s, "0123456789_");
    if (p == s || *s == '_' || *p != ':' || (*s == '0' && !strchr(s, '.'))) return false;
    while (*p == ':') {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0 || digits > 2 || (digits == 2 && p[1] > '5')) return false;
        p += 1 + digits;
    }
    return *p == 0 || (*p == '.' && p[1 + strspn(p + 1, "0123456789_")] == 0);
}

typedef enum difference { SAME, BOOLEAN, SPECIAL, LEADING_ZERO, BINARY, UNDERSCORE, BASE_60, SIGNED_HEX } difference;

static difference difference_of(const char *s, bool number) {
    static const char *const boolean[] = {"y", "Y",  "yes", "Yes", "YES", "on",  "On",  "ON", "n",
                                          "N", "no", "No",  "NO",  "off", "Off", "OFF", NULL};
    static const char *const special[] = {"=", "<<", NULL};
    const char *p = after_sign(s);
    if (is_one_of(s, boolean)) return BOOLEAN;
    if (is_one_of(s, special)) return SPECIAL;
    if (p[0] == '0' && p[1] && only(p, "0123456789")) return number ? LEADING_ZERO : SAME;
    if (p[0] == '0' && p[1] == 'b' && only(p + 2, "01_")) return BINARY;
    if (has_underscores(p)) return UNDERSCORE;
    if (is_base_60(p)) return BASE_60;
    return p != s && base_of(p) == 16 && only(p + 2, "0123456789abcdefABCDEF") ? SIGNED_HEX : SAME;
}

bool lb_scalar_differs(const char *s, bool number) { return difference_of(s, number) != SAME; }

static lb_status leading_zero(const char *s) {
    const char *p = after_sign(s), *digits = p + strspn(p, "0");
    if (!*digits) digits--; /* 00 */
    lb_str octal = {0};
    if (p == s && only(p, "01234567")) lb_str_add(&octal, " or 0o%s", digits);
    lb_status st = lb_str_check(&octal);
    if (st == LB_OK)
        st = lb_fail(LB_E_CONFIG,
                     "%s: a leading zero makes an octal number in YAML 1.1, a decimal one in 1.2: write %.*s%s%s", s,
                     (int)(p - s), s, digits, octal.s ? octal.s : "");
    lb_str_free(&octal);
    return st;
}

lb_status lb_scalar_check(const char *s, bool number) {
    static const char *const what[] = {
        [SPECIAL] = "a sign with a meaning of its own in YAML 1.1, a text in 1.2: write",
        [BINARY] = "a binary number in YAML 1.1, a text in 1.2: write it as a decimal number, or",
        [UNDERSCORE] = "a number in YAML 1.1, a text in 1.2: write it without '_', or",
        [BASE_60] = "a number to the base of 60 in YAML 1.1, a text in 1.2: write it as a decimal number, or",
        [SIGNED_HEX] = "a number in YAML 1.1, a text in 1.2: write it as a decimal number, or",
    };
    difference d = difference_of(s, number);
    if (d == SAME) return LB_OK;
    if (d == LEADING_ZERO) return leading_zero(s);
    if (d == BOOLEAN) {
        bool yes = strchr("yY", *s) || !strcmp(s + 1, "n") || !strcmp(s + 1, "N");
        return lb_fail(LB_E_CONFIG, "%s: a boolean in YAML 1.1, a text in 1.2: write %s, or \"%s\" for the text", s,
                       yes ? "true" : "false", s);
    }
    return lb_fail(LB_E_CONFIG, "%s: %s \"%s\" for a text", s, what[d], s);
}

#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Room for `more` bytes and the NUL; false, and failed set, when there is none. */
static bool reserve(lb_str *b, size_t more) {
    if (b->failed) return false; /* what follows a hole would be worse than nothing */
    if (more < b->cap - b->len) return true;
    if (b->most && (b->len > b->most || more > b->most - b->len)) {
        b->failed = b->over = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : 64;
    while (cap - b->len <= more) {
        if (__builtin_mul_overflow(cap, (size_t)2, &cap)) {
            b->failed = true;
            return false;
        }
    }
    char *s = lb_realloc(b->s, b->s ? b->len + 1 : 0, cap, 1);
    if (!s) {
        b->failed = true;
        return false;
    }
    if (!b->s) s[0] = 0;
    b->s = s;
    b->cap = cap;
    return true;
}

void lb_str_add(lb_str *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (reserve(b, (size_t)n)) {
        vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void lb_str_add_bytes(lb_str *b, const void *p, size_t n) {
    if (!reserve(b, n)) return;
    if (n) memcpy(b->s + b->len, p, n);
    b->len += n;
    b->s[b->len] = 0;
}

void lb_str_free(lb_str *b) {
    lb_free(b->s);
    *b = (lb_str){0};
}

lb_status lb_str_check(const lb_str *b) {
    return b->failed ? lb_fail(LB_E_NOMEM, "out of memory: a text of more than %zu bytes", b->len) : LB_OK;
}

bool lb_str_glob(const char *pattern, const char *name) {
    const char *star = NULL, *resume = NULL; /* the last '*' seen and where in name it is tried next */
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++resume;
        } else
            return false;
    }
    while (*pattern == '*') pattern++;
    return *pattern == 0;
}

enum { NEAREST_MAX = 64 };

/* Edit distance with neighbour swaps as one edit ("gruop"); both at most NEAREST_MAX long. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb) {
    size_t row[3][NEAREST_MAX + 1]; /* rows i-2, i-1, i of the table, by i % 3 */
    for (size_t j = 0; j <= nb; j++) row[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best) best = up[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[na % 3][nb];
}

const char *lb_str_nearest(const char *name, const char *const *candidates, size_t n) {
    const char *best = NULL;
    size_t len = strlen(name), limit = len / 3;
    if (len > NEAREST_MAX) return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t lc = strlen(candidates[i]);
        if (lc > NEAREST_MAX) continue;
        size_t d = distance(name, len, candidates[i], lc);
        if (d > limit || (best && d == limit)) continue;
        best = candidates[i];
        limit = d;
    }
    return best;
}

bool lb_str_ends(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

lb_status lb_parse_i64(const char *s, int64_t *out) {
    const char *p = s + (*s == '-' || *s == '+');
    bool minus = *s == '-';
    int64_t v = 0;
    if (!digit(*p)) return lb_fail(LB_E_ARG, "'%s': must be a whole number", s);
    for (; digit(*p); p++) {
        int d = *p - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, minus ? -d : d, &v))
            return lb_fail(LB_E_ARG, "'%s': does not fit in 64 bits", s);
    }
    if (*p) return lb_fail(LB_E_ARG, "'%s': must be a whole number", s);
    *out = v;
    return LB_OK;
}

lb_status lb_parse_f64(const char *s, double *out) {
    const char *p = s + (*s == '-' || *s == '+');
    int digits = 0;
    for (; digit(*p); p++) digits++;
    if (*p == '.')
        for (p++; digit(*p); p++) digits++;
    bool ok = digits > 0;
    if (ok && (*p == 'e' || *p == 'E')) {
        p++;
        p += *p == '-' || *p == '+';
        ok = digit(*p);
        while (digit(*p)) p++;
    }
    if (!ok || *p) return lb_fail(LB_E_ARG, "'%s': must be a number", s);
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return lb_fail(LB_E_NOMEM, "out of memory: the C locale");
    double v = strtod_l(s, NULL, c);
    freelocale(c);
    if (!isfinite(v)) return lb_fail(LB_E_ARG, "'%s': does not fit in float64", s);
    *out = v;
    return LB_OK;
}

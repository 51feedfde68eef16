#include "report/table_numbers.h"

#include <ctype.h>
#include <string.h>

#define DASH  "\xe2\x80\x93"
#define MINUS "\xe2\x88\x92"
#define PM    " \xc2\xb1 "

/* "1.25", U+2212 "3", "+0.5e-03": its bytes, 0 where there is none. */
static size_t number(const char *s, lb_numeral *out) {
    const char *p = s;
    if (*p == '+' || *p == '-')
        p++;
    else if (strncmp(p, MINUS, 3) == 0)
        p += 3;
    if (!isdigit((unsigned char)*p)) return 0;
    while (isdigit((unsigned char)*p)) p++;
    *out = (lb_numeral){.whole = s, .wholes = (size_t)(p - s), .fraction = p};
    if (*p == '.') do
            p++;
        while (isdigit((unsigned char)*p));
    if (*p == 'e' && (p[1] == '-' || p[1] == '+') && isdigit((unsigned char)p[2]))
        for (p += 2; isdigit((unsigned char)*p);) p++;
    out->fractions = (size_t)(p - out->fraction);
    return (size_t)(p - s);
}

int lb_numerals_split(const char *s, lb_numeral x[LB_NUMERALS], const char **behind) {
    size_t n = number(s, &x[0]);
    *behind = s + n;
    if (!n) return 0;
    if (strncmp(*behind, PM, sizeof PM - 1) == 0 && (n = number(*behind + sizeof PM - 1, &x[1]))) {
        *behind += sizeof PM - 1 + n;
        return 2;
    }
    const char *low = *behind + 2, *high;
    if (strncmp(*behind, " [", 2) != 0 || !(n = number(low, &x[1])) || strncmp(low + n, ", ", 2) != 0) return 1;
    high = low + n + 2;
    if (!(n = number(high, &x[2])) || high[n] != ']') return 1;
    *behind = high + n + 1;
    return 3;
}

bool lb_numeral_missing(const char *text) { return !text || !text[0] || strcmp(text, DASH) == 0; }

int lb_numerals_of(const lb_table *t, size_t c) {
    int most = 0;
    bool point = false;
    for (size_t r = 0; r < t->rows && t->col[c].right; r++) {
        lb_numeral x[LB_NUMERALS];
        const char *behind, *text = t->cell[r * t->cols + c].text;
        int n = lb_numeral_missing(text) ? 0 : lb_numerals_split(text, x, &behind);
        if (n > most) most = n;
        point |= n > 0 && x[0].fractions > 0;
    }
    return point || most > 1 ? most : 0;
}

void lb_table_add_markup(lb_str *out, const char *text, size_t n) {
    lb_str s = {0};
    lb_str_add_bytes(&s, text, n);
    if (s.failed) out->failed = true;
    if (s.s && n) lb_markup_text(out, LB_TABLE_LATEX, s.s);
    lb_str_free(&s);
}

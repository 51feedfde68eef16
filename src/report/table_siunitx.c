/* Columns that LaTeX's package siunitx aligns: their format is made of the numbers that they have. */
#include <ctype.h>
#include <string.h>

#include "report/table_numbers.h"

/* "-0.125e-3" as siunitx reads it. */
typedef struct digits {
    char sign;                               /* 0: none */
    const char *whole, *fraction, *exponent; /* without sign, point and leading zeros of the exponent */
    int wholes, fractions, exponents;
    bool below; /* the exponent is negative */
} digits;

static digits digits_of(const lb_numeral *x) {
    digits d = {0};
    const char *p = x->whole, *end = x->fraction + x->fractions;
    if (!isdigit((unsigned char)*p)) d.sign = *p == '+' ? '+' : '-';
    while (!isdigit((unsigned char)*p)) p++;
    for (d.whole = p; p < end && isdigit((unsigned char)*p); p++) d.wholes++;
    if (p < end && *p == '.') p++;
    for (d.fraction = p; p < end && isdigit((unsigned char)*p); p++) d.fractions++;
    if (p >= end) return d;
    d.below = p[1] == '-';
    for (p += 2; p + 1 < end && *p == '0';) p++;
    d.exponent = p, d.exponents = (int)(end - p);
    return d;
}

/* What stands around the number k of n. */
static const char *before(int k, int n) { return k != 1 ? "" : n == 2 ? "$\\pm$\\," : "{[}"; }

static const char *after(int k, int n) { return n < 3 || !k ? "" : k == 1 ? "," : "{]}"; }

static void add_after(const char *behind, int k, int n, lb_str *out) {
    lb_str_add(out, "%s", after(k, n));
    if (k == n - 1) lb_table_add_markup(out, behind, strlen(behind));
}

/* Whose text behind the number is the longest. */
static void widest_after(const lb_table *t, size_t c, int k, lb_str *out) {
    size_t most = 0;
    lb_numeral x[LB_NUMERALS];
    const char *behind = "", *longest = "";
    int of = 0;
    for (size_t r = 0; r < t->rows; r++) {
        const char *text = t->cell[r * t->cols + c].text;
        int n = lb_numeral_missing(text) ? 0 : lb_numerals_split(text, x, &behind);
        if (n <= k) continue;
        size_t w = strlen(after(k, n)) + (k == n - 1 ? lb_text_width(behind) : 0);
        if (w > most) most = w, longest = behind, of = n;
    }
    if (most) add_after(longest, k, of, out);
}

void lb_siunitx_column(const lb_table *t, size_t c, int piece, lb_str *out) {
    digits most = {0};
    const char *pre = "";
    lb_str post = {0};
    for (size_t r = 0; r < t->rows; r++) {
        lb_numeral x[LB_NUMERALS];
        const char *behind, *text = t->cell[r * t->cols + c].text;
        int n = lb_numeral_missing(text) ? 0 : lb_numerals_split(text, x, &behind);
        if (n <= piece) continue;
        digits d = digits_of(&x[piece]);
        if (d.sign && most.sign != '-') most.sign = d.sign;
        if (d.wholes > most.wholes) most.wholes = d.wholes;
        if (d.fractions > most.fractions) most.fractions = d.fractions;
        if (d.exponents > most.exponents) most.exponents = d.exponents;
        most.below = most.below || d.below;
        if (before(piece, n)[0]) pre = before(piece, n);
    }
    widest_after(t, c, piece, &post);
    lb_str_add(out, "S[table-format=");
    if (most.sign) lb_str_add(out, "%c", most.sign);
    lb_str_add(out, "%d.%d", most.wholes, most.fractions);
    if (most.exponents) lb_str_add(out, "e%s%d", most.below ? "-" : "", most.exponents);
    if (pre[0]) lb_str_add(out, ",table-space-text-pre={%s}", pre);
    if (post.len) lb_str_add(out, ",table-space-text-post={%s}", post.s);
    lb_str_add(out, "]");
    if (post.failed) out->failed = true;
    lb_str_free(&post);
}

void lb_siunitx_cell(const char *text, int columns, lb_str *out) {
    lb_numeral x[LB_NUMERALS];
    const char *behind;
    int n = lb_numerals_split(text, x, &behind);
    for (int k = 0; k < columns; k++) {
        lb_str post = {0};
        if (k) lb_str_add(out, " & ");
        if (k >= n) continue;
        digits d = digits_of(&x[k]);
        if (before(k, n)[0]) lb_str_add(out, "{%s}", before(k, n));
        if (d.sign) lb_str_add(out, "%c", d.sign);
        lb_str_add(out, "%.*s", d.wholes, d.whole);
        if (d.fractions) lb_str_add(out, ".%.*s", d.fractions, d.fraction);
        if (d.exponents) lb_str_add(out, "e%s%.*s", d.below ? "-" : "", d.exponents, d.exponent);
        add_after(behind, k, n, &post);
        if (post.len) lb_str_add(out, "{%s}", post.s);
        if (post.failed) out->failed = true;
        lb_str_free(&post);
    }
}

/* " x 10" and a small exponent in place of "e-05". */
int lb_siunitx_wider(const lb_table *t, size_t c) {
    int most = 0, pieces = lb_numerals_of(t, c);
    for (size_t r = 0; r < t->rows; r++) {
        lb_numeral x[LB_NUMERALS];
        const char *behind, *text = t->cell[r * t->cols + c].text;
        int n = lb_numeral_missing(text) ? 0 : lb_numerals_split(text, x, &behind), some = 0;
        for (int k = 0; k < n; k++) some += 2 * (digits_of(&x[k]).exponents > 0);
        if (some > most) most = some;
    }
    return pieces ? most : 0;
}

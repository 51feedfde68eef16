/* The numbers in a table's texts, for LaTeX, which sets each in columns of its own. */
#ifndef LB_REPORT_TABLE_NUMBERS_H
#define LB_REPORT_TABLE_NUMBERS_H

#include "report/table.h"

enum { LB_NUMERALS = 3 };
/* A number split at its point; what stands before and after it. */
typedef struct lb_numeral {
    const char *whole, *fraction; /* into the text; the fraction with its point and an exponent */
    size_t wholes, fractions;
} lb_numeral;

/* "A", "A +- B" and "A [B, C]", each with something behind it (a mark, a unit): how many numbers, 0: it is none. */
int lb_numerals_split(const char *s, lb_numeral x[LB_NUMERALS], const char **behind);
bool lb_numeral_missing(const char *text);
/* How many numbers a column shows, 0: it is one of text, or of numbers without a fraction, and stands as it is. */
int lb_numerals_of(const lb_table *t, size_t c);

/* ---- siunitx: an S column for each number, with what stands around it as text ---- */

#define LB_SIUNITX_SETUP "\\sisetup{retain-explicit-plus,group-minimum-digits=20,table-align-text-post=false}\n"
void lb_siunitx_column(const lb_table *t, size_t c, int piece, lb_str *out);
void lb_siunitx_cell(const char *text, int columns, lb_str *out); /* of that many columns, with & between */
/* What its exponents take more than "e-05" does, in characters. */
int lb_siunitx_wider(const lb_table *t, size_t c);
void lb_table_add_markup(lb_str *out, const char *text, size_t n);

#endif

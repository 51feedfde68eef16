/* Tables as data, rendered five ways: terminal, Markdown, CSV, LaTeX (booktabs), HTML; and the few other elements that
 * a report page has. Shown text is plain UTF-8 (U+00B1, U+2212, U+0394, ...); each renderer escapes it for its format.
 * CSV prints `exact`, every other format `text`. A cell without text is shown as a dash; a column without any text is
 * not shown at all. */
#ifndef LB_REPORT_TABLE_H
#define LB_REPORT_TABLE_H

#include "report/report.h"

#define LB_TERMINAL_WIDTH 120 /* where nobody says how wide a terminal is */
/* Columns of the terminal that tables are shown on, for the whole program; running text keeps to LB_TERMINAL_WIDTH. */
void lb_table_terminal_width(size_t columns);
size_t lb_table_line_width(void); /* of running text */
#define LB_LONG_TABLE 62          /* more lines than this on one page: a LaTeX table breaks over pages */

typedef struct lb_table_column {
    const char *head; /* shown; NULL: only in CSV */
    const char *name; /* CSV column; NULL: only shown */
    bool right;       /* a number */
    bool key;         /* names the row: repeated where a wide table is cut in panels */
    bool optional;    /* no column of a CSV in which no row has it */
    int panel;        /* LaTeX, and a terminal that is too narrow, show panel 0, then panel 1, ... */
    int priority;     /* of a terminal that is too narrow for all: the smallest first; 0: always there */
    bool narrow;      /* only such a terminal has it, until the column after it, which says more, fits */
    bool paper;       /* beside narrow: not even that, only LaTeX that chooses its columns */
} lb_table_column;

typedef struct lb_table_cell {
    const char *text, *exact;
} lb_table_cell;

typedef struct lb_table {
    lb_arena *arena;
    const char *id, *title; /* id: LaTeX label and HTML anchor */
    const lb_table_column *col;
    size_t cols;
    lb_table_cell *cell; /* (rows, cols) */
    bool *rule;          /* (rows) a line above this row */
    const char **again;  /* (rows) HTML: what makes the row again, lines to be copied; NULL: nothing */
    size_t rows, cap;
    bool wide;   /* a narrow terminal shows all columns, panel after panel; so too where none has a priority */
    bool paper;  /* LaTeX for an author's own text, in this form, with the columns that fit: table_paper.c */
    bool chosen; /* its columns are those that were asked for: there all of them, whether they fit or not */
    lb_latex_form latex;
    bool siunitx;        /* there: numbers in S columns */
    const char *note;    /* behind the title there; NULL: nothing */
    const char *note_of; /* how heads of columns that it is about begin: without it there is no note; NULL: of all */
    bool failed;         /* an allocation failed: found when it is rendered */
} lb_table;

/* `col` must outlive the table. */
LB_NODISCARD lb_status lb_table_new(lb_arena *a, const char *id, const char *title, const lb_table_column *col,
                                    size_t cols, lb_table **out);
void lb_table_row(lb_table *t);                      /* a new last row, empty */
void lb_table_rule(lb_table *t);                     /* a line above the last row */
void lb_table_again(lb_table *t, const char *lines); /* of the last row; copied */
/* Cell `c` of the last row; either may be NULL: left as it is. Copied. */
void lb_table_set(lb_table *t, size_t c, const char *text, const char *exact);
void lb_table_setf(lb_table *t, size_t c, const char *fmt, ...) LB_PRINTF(3, 4); /* both */
LB_NODISCARD lb_status lb_table_render(const lb_table *t, lb_table_format f, lb_str *out);

/* Numbers as text. A NaN is "" (a dash), also in CSV. */
typedef struct lb_num {
    char s[48];
} lb_num;
lb_num lb_num_exact(double v); /* the shortest decimal text that reads back as v */
lb_num lb_num_fixed(double v, int decimals);
lb_num lb_num_signed(double v, int decimals); /* with + or U+2212 */
lb_num lb_num_sci(double v, int digits);      /* "1.23e-05" beyond [1e-3, 1e5), fixed within: `digits` significant */
lb_num lb_num_ppl(double v);                  /* five significant digits at least */
lb_num lb_num_ppl_se(double ppl, double se);  /* "20.967 +- 0.512", the same decimals */
lb_num lb_num_interval(double mid, double low, double high); /* "+0.0123 [+0.0101, +0.0145]" */
lb_num lb_num_percent(double fraction, int decimals);
lb_num lb_num_mib(double bytes);
lb_num lb_num_int(int64_t v);

/* Elements of a page. CSV has none of them. */
void lb_markup_text(lb_str *out, lb_table_format f, const char *text); /* escaped */
void lb_markup_heading(lb_str *out, lb_table_format f, int level, const char *text);
void lb_markup_paragraph(lb_str *out, lb_table_format f, const char *text);
void lb_markup_list(lb_str *out, lb_table_format f, const char *const *item, size_t n);
void lb_markup_code(lb_str *out, lb_table_format f, const char *text); /* a block as it is */
size_t lb_text_width(const char *text);                                /* columns on a terminal */

/* Renderers of one format each, and what they share (table_render.c, table_markup.c, table_latex.c). */
enum { LB_PANEL_MOST = 48 }; /* columns that any table shows */
typedef struct lb_panel {
    size_t col[LB_PANEL_MOST];
    size_t n;
    size_t wrap; /* of a terminal: words that name a row break at so many columns; 0: never */
} lb_panel;
bool lb_table_has_text(const lb_table *t, size_t c);
bool lb_table_shows(const lb_table *t, size_t c); /* it has text and is for more than a narrow terminal */
/* The columns of a panel (-1: all), key columns first as they stand. */
lb_panel lb_table_panel(const lb_table *t, int panel);
int lb_table_panels(const lb_table *t);
const char *lb_table_text(const lb_table *t, size_t row, size_t c); /* a dash for none */
void lb_table_latex(const lb_table *t, lb_str *out);
void lb_table_paper(const lb_table *t, lb_str *out);
void lb_table_html(const lb_table *t, lb_str *out);

#endif

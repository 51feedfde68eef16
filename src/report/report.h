/* Tables and plots from records. Everything is written under <dir>/report/ atomically; the model is not needed. */
#ifndef LB_REPORT_REPORT_H
#define LB_REPORT_REPORT_H

#include "base/log.h"
#include "base/str.h"
#include "result/published.h"
#include "result/record.h"

typedef enum lb_table_format {
    LB_TABLE_TERMINAL,
    LB_TABLE_MARKDOWN,
    LB_TABLE_CSV,
    LB_TABLE_LATEX,
    LB_TABLE_HTML
} lb_table_format;

typedef enum lb_adjust { LB_ADJUST_NONE, LB_ADJUST_HOLM } lb_adjust; /* of several comparisons */
/* A table for a page of one column; over both columns of a page; for one of two columns; the bare tabular. */
typedef enum lb_latex_form { LB_LATEX_FLOAT, LB_LATEX_WIDE, LB_LATEX_COLUMN, LB_LATEX_TABULAR } lb_latex_form;

/* What is shown, and how. All zero: the usual. */
typedef struct lb_report_options {
    const char *const *column; /* names of facts (report/facts.h) to show, in order */
    int64_t columns;           /* 0: the usual columns */
    const char *sort;          /* a fact; "-fact": descending; NULL: in the order of the sweep */
    bool wide;                 /* every column, however narrow the terminal */
    bool significant;          /* mark what differs from the reference */
    lb_adjust adjust;
    const char *reference; /* the row or cell that differences of tables are to; NULL: the baseline */
    lb_latex_form latex;
    bool siunitx;            /* there, numbers are aligned by the package of that name */
    const char *plots;       /* a file of plot options; NULL: plots.yaml of the results, if it is there */
    const lb_papers *papers; /* published numbers to compare with; NULL: none are known but those of expected.csv */
} lb_report_options;

/* One row a cell; mean +- sd where seeds are an axis. `o` may be NULL: the usual. */
LB_NODISCARD lb_status lb_report_table(const lb_results *r, const lb_report_options *o, lb_table_format f, lb_str *out);
LB_NODISCARD lb_status lb_report_main_table(const lb_results *r, lb_table_format f, lb_str *out); /* the usual */
/* A cell by its label or its file's name; a row over several seeds is LB_E_ARG, which names them. */
LB_NODISCARD lb_status lb_report_find_cell(const lb_results *r, const char *name, int64_t *out);
LB_NODISCARD lb_status lb_report_layer_table(const lb_results *r, int64_t cell, const lb_report_options *o,
                                             lb_table_format f, lb_str *out); /* `o` may be NULL */
/* Paired differences of all other rows of its model to the row or cell of this label, with intervals and p; LB_E_ARG:
 * there is none, or it was not evaluated. `o` may be NULL. */
LB_NODISCARD lb_status lb_report_compare_table(const lb_results *r, const char *label, const lb_report_options *o,
                                               lb_table_format f, lb_str *out);
LB_NODISCARD lb_status lb_report_size_table(const lb_results *r, lb_table_format f, lb_str *out);
/* ours | expected | difference | within tolerance; expected.csv as in docs/experiments.md. *outside counts rows
 * outside. */
LB_NODISCARD lb_status lb_report_expected_table(const lb_results *r, const char *expected_csv, lb_table_format f,
                                                lb_str *out, int64_t *outside);
/* The rows of the list that are published numbers (they have a place in their source), of the models that ran: ours |
 * published | difference | spread | verdict. Nothing where there is no such row. *differs counts the verdicts
 * "differs".
 */
LB_NODISCARD lb_status lb_report_published_table(const lb_results *r, const char *expected_csv,
                                                 const lb_report_options *o, lb_table_format f, lb_str *out,
                                                 int64_t *differs); /* `o` may be NULL */
/* Of the models, and the texts and protocols that these rows name: everything that is published, a cell a row, with
 * what each paper prints, and ours; as LaTeX a published number a row. paper: LaTeX in the form that the options have,
 * for an author's own text. `o` may be NULL: without lists of published numbers there is none. */
LB_NODISCARD lb_status lb_report_literature_table(const lb_results *r, const char *expected_csv,
                                                  const lb_report_options *o, lb_table_format f, bool paper,
                                                  lb_str *out);
/* LB_E_FORMAT, with file and line: the file is no list of expected values, or names a metric that there is not. */
LB_NODISCARD lb_status lb_report_expected_check(const char *expected_csv);
/* Warns of rows that will not be compared with what a config makes. planned: its cells, as records that are done, with
 * their evaluations' names, protocols and windows (-1: not known). */
LB_NODISCARD lb_status lb_report_expected_preview(const lb_results *planned, const char *expected_csv, lb_log *log);
/* <dir>/cells.csv: one tidy row a cell and evaluation. */
LB_NODISCARD lb_status lb_report_cells_csv(const lb_results *r, lb_str *out);
/* All tables (md, csv, tex), plots (svg, png, pdf with .gp and .dat beside), and index.html + report.md. A missing
 * gnuplot is a warning, not a failure; expected_csv and `o` may be NULL. */
LB_NODISCARD lb_status lb_report_write(const lb_results *r, const lb_report_options *o, const char *expected_csv,
                                       lb_log *log);

#endif

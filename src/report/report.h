/* Tables and plots from records. Everything is written under <dir>/report/ atomically; the model is not needed. */
#ifndef LB_REPORT_REPORT_H
#define LB_REPORT_REPORT_H

#include "base/log.h"
#include "base/str.h"
#include "result/record.h"

typedef enum lb_table_format {
    LB_TABLE_TERMINAL,
    LB_TABLE_MARKDOWN,
    LB_TABLE_CSV,
    LB_TABLE_LATEX,
    LB_TABLE_HTML
} lb_table_format;
LB_NODISCARD lb_status lb_report_main_table(const lb_results *r, lb_table_format f,
                                            lb_str *out); /* one row a cell; mean +- sd where seeds are an axis */
LB_NODISCARD lb_status lb_report_layer_table(const lb_results *r, int64_t cell, lb_table_format f, lb_str *out);
/* Paired differences of all other cells of its model to this one, with intervals; LB_E_ARG: it was not evaluated. */
LB_NODISCARD lb_status lb_report_compare_table(const lb_results *r, int64_t cell, lb_table_format f, lb_str *out);
LB_NODISCARD lb_status lb_report_size_table(const lb_results *r, lb_table_format f, lb_str *out);
/* ours | expected | difference | within tolerance; expected.csv as in docs/experiments.md. *outside counts rows
 * outside. */
LB_NODISCARD lb_status lb_report_expected_table(const lb_results *r, const char *expected_csv, lb_table_format f,
                                                lb_str *out, int64_t *outside);
/* LB_E_FORMAT: the file is no list of expected values. */
LB_NODISCARD lb_status lb_report_expected_check(const char *expected_csv);
/* <dir>/cells.csv: one tidy row a cell and evaluation. */
LB_NODISCARD lb_status lb_report_cells_csv(const lb_results *r, lb_str *out);
/* All tables (md, csv, tex), plots (svg, png, pdf with .gp and .dat beside), and index.html + report.md. A missing
 * gnuplot is a warning, not a failure; expected_csv may be NULL. */
LB_NODISCARD lb_status lb_report_write(const lb_results *r, const char *expected_csv, lb_log *log);

#endif

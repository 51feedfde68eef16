/* A list of expected values: what is in the file, and which cell and evaluation of results a row means. */
#ifndef LB_REPORT_EXPECTED_H
#define LB_REPORT_EXPECTED_H

#include "report/parts.h"
#include "result/published.h"

#define LB_EXPECTED_HASH 8 /* digits of a model's SHA-256, at the least */

typedef enum lb_expected_field {
    F_METHOD,
    F_OPTIONS,
    F_EVAL,
    F_PROTOCOL,
    F_WINDOWS,
    F_METRIC,
    F_EXPECTED,
    F_TOL,
    F_KIND,
    F_SOURCE,
    F_PLACE, /* from here on columns that a list may lack */
    F_TRUST,
    FIELDS
} lb_expected_field;

typedef struct lb_expectation {
    int line; /* in the file */
    const char *text[FIELDS];
    double expected, tolerance;
    bool relative;
    int trust;        /* lb_trust */
    double half_unit; /* of the last printed digit */
} lb_expectation;

/* A published number, which has a place in its source: lb_report_published_table compares it. */
bool lb_expected_published(const lb_expectation *e);

/* All rows, from the arena. LB_E_FORMAT with file and line: a column that is missing, a number that is none, a metric
 * that does not exist. */
LB_NODISCARD lb_status lb_expected_read(lb_arena *a, const char *path, lb_expectation **out, size_t *n);
bool lb_expected_is_metric(const char *metric);
/* Does the metric belong to a cell alone, without an evaluation? */
bool lb_expected_of_cell(const char *metric);

/* The row's option of this name; NULL: it has none. */
LB_NODISCARD lb_status lb_expected_option(lb_arena *a, const lb_expectation *e, const char *key, const char **out);
/* All cells that a row means and that are done; of none, why. */
LB_NODISCARD lb_status lb_expected_cells(lb_arena *a, const lb_results *r, const lb_expectation *e,
                                         const lb_record ***cell, int64_t *n, const char **why);
/* The one cell that a row means, or NULL and why there is none. */
LB_NODISCARD lb_status lb_expected_cell(lb_arena *a, const lb_results *r, const lb_expectation *e,
                                        const lb_record **cell, const char **why);
/* The cell's evaluation by name, protocol and windows: another protocol or part of the text is another quantity.
 * Windows of less than 0: not known, any number will do. */
LB_NODISCARD lb_status lb_expected_eval(lb_arena *a, const lb_record *c, const lb_expectation *e,
                                        const lb_eval_row **out, const char **why);
/* The row's number of this cell; *why: it is not there. *eval: the evaluation that it is of, NULL of the cell alone. */
LB_NODISCARD lb_status lb_expected_value(lb_arena *a, const lb_record *c, const lb_expectation *e,
                                         const lb_eval_row **eval, double *value, const char **why);
/* Which cell the row is of, in a table's last row: as `shown`, which is freed, and in CSV as the list has it. */
void lb_expected_put_cell(lb_table *t, size_t c, const lb_expectation *e, lb_str *shown);

#endif

/* A table that a test was given as the text of a CSV file. */
#ifndef TESTS_SUPPORT_CSV_TABLE_H
#define TESTS_SUPPORT_CSV_TABLE_H

#include "io/csv.h"

lb_csv csv_of_text(lb_arena *a, const char *text);
/* The test fails where there is no such column. */
const char *csv_at(const lb_csv *c, size_t row, const char *column);

#endif

/* CSV, RFC 4180: quoting where needed, CRLF or LF read, LF written. */
#ifndef LB_IO_CSV_H
#define LB_IO_CSV_H

#include "base/mem.h"
#include "base/str.h"

typedef struct lb_csv {
    char **header;
    size_t cols;
    char ***row;
    size_t rows;
    int *line; /* (rows) where a row begins in the file, 1-based */
} lb_csv;      /* row[r][c] */
/* A row with another number of fields than the header is LB_E_FORMAT naming the line. */
LB_NODISCARD lb_status lb_csv_read(lb_arena *a, const char *path, lb_csv *out);
int lb_csv_column(const lb_csv *c, const char *name); /* -1: none */
void lb_csv_field(lb_str *b, const char *field, bool last);

#endif

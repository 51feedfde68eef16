#include "io/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct reader {
    const char *path;
    char *at; /* next character of the text, which is decoded in place */
    int line; /* of `at`, 1-based */
    char **field;
    size_t fields, room; /* of all rows so far */
    int *begin;          /* lines of the rows so far, the header's first */
    size_t rows, row_room;
} reader;

static lb_status keep_field(reader *r, char *s) {
    if (r->fields == r->room) {
        size_t more = r->room ? 2 * r->room : 256;
        char **p = lb_realloc(r->field, r->room, more, sizeof *p);
        if (!p) return LB_E_NOMEM;
        r->field = p;
        r->room = more;
    }
    r->field[r->fields++] = s;
    return LB_OK;
}

static lb_status keep_line(reader *r) {
    if (r->rows == r->row_room) {
        size_t more = r->row_room ? 2 * r->row_room : 64;
        int *p = lb_realloc(r->begin, r->row_room, more, sizeof *p);
        if (!p) return LB_E_NOMEM;
        r->begin = p;
        r->row_room = more;
    }
    r->begin[r->rows++] = r->line;
    return LB_OK;
}

/* The text after an opening quote, up to its closing one; "" stands for a quote. Leaves r->at behind the closing one
 * and *end where the decoded text ends. */
static lb_status quoted(reader *r, char **end) {
    int first = r->line;
    char *out = r->at;
    for (;;) {
        char c = *r->at++;
        if (c == 0) return lb_fail(LB_E_FORMAT, "%s:%d: a quote is never closed", r->path, first);
        if (c == '"') {
            if (*r->at != '"') break;
            r->at++;
        }
        r->line += c == '\n';
        *out++ = c;
    }
    *end = out;
    return LB_OK;
}

/* One field and what ends it: ',' or '\n' or 0 (end of text). */
static lb_status read_field(reader *r, char *stop) {
    char *start = r->at, *end = NULL;
    if (*start == '"') {
        start = ++r->at;
        LB_TRY(quoted(r, &end));
    } else {
        r->at += strcspn(r->at, ",\"\r\n");
        end = r->at;
    }
    *stop = *r->at;
    if (*stop == '\r' && r->at[1] == '\n') *stop = *++r->at;
    if (*stop != ',' && *stop != '\n' && *stop != 0)
        return lb_fail(LB_E_FORMAT, "%s:%d: a field with quotes or line ends must be quoted as a whole", r->path,
                       r->line);
    r->line += *stop == '\n';
    if (*stop) r->at++;
    *end = 0;
    return keep_field(r, start);
}

/* A row of `cols` fields (0: any number, the header). */
static lb_status read_row(reader *r, size_t cols) {
    int line = r->line;
    size_t first = r->fields;
    char stop = ',';
    LB_TRY(keep_line(r));
    while (stop == ',') LB_TRY(read_field(r, &stop));
    if (cols && r->fields - first != cols)
        return lb_fail(LB_E_FORMAT, "%s:%d: %zu fields: the header has %zu", r->path, line, r->fields - first, cols);
    return LB_OK;
}

static bool skip_blank_lines(reader *r) {
    size_t n;
    while ((n = r->at[0] == '\n' ? 1 : r->at[0] == '\r' && r->at[1] == '\n' ? 2 : 0)) {
        r->at += n;
        r->line++;
    }
    return *r->at != 0;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static lb_status check_header(const reader *r, size_t cols) {
    char **order = lb_alloc(cols, sizeof *order);
    if (!order) return LB_E_NOMEM;
    memcpy(order, r->field, cols * sizeof *order);
    qsort(order, cols, sizeof *order, by_text);
    lb_status s = LB_OK;
    for (size_t i = 1; i < cols && s == LB_OK; i++)
        if (!strcmp(order[i - 1], order[i]))
            s = lb_fail(LB_E_FORMAT, "%s: two columns are called '%s'", r->path, order[i]);
    lb_free(order);
    return s;
}

static lb_status read_all(lb_arena *a, reader *r, lb_csv *out) {
    if (!skip_blank_lines(r)) return lb_fail(LB_E_FORMAT, "%s: no header: the file is empty", r->path);
    LB_TRY(read_row(r, 0));
    size_t cols = r->fields;
    LB_TRY(check_header(r, cols));
    while (skip_blank_lines(r)) LB_TRY(read_row(r, cols));
    char **field = LB_NEW(a, char *, r->fields);
    char ***row = LB_NEW(a, char **, r->fields / cols);
    int *line = LB_NEW(a, int, r->rows);
    if (!field || !row || !line) return LB_E_NOMEM;
    memcpy(field, r->field, r->fields * sizeof *field);
    memcpy(line, r->begin + 1, (r->rows - 1) * sizeof *line);
    *out = (lb_csv){.header = field, .cols = cols, .row = row, .rows = r->rows - 1, .line = line};
    for (size_t i = 0; i < out->rows; i++) row[i] = field + (i + 1) * cols;
    return LB_OK;
}

lb_status lb_csv_read(lb_arena *a, const char *path, lb_csv *out) {
    char *text = NULL;
    size_t len = 0;
    lb_status s = LB_OK;
    *out = (lb_csv){0};
    LB_TRY(lb_fs_read(path, &text, &len));
    reader r = {.path = path, .line = 1};
    r.at = lb_arena_get(a, len + 1, 1);
    if (!r.at)
        s = LB_E_NOMEM;
    else if (memchr(text, 0, len))
        s = lb_fail(LB_E_FORMAT, "%s: not CSV: it holds NUL characters", path);
    if (s == LB_OK) {
        memcpy(r.at, text, len);
        if (!strncmp(r.at, BYTE_ORDER_MARK, 3)) r.at += 3; /* spreadsheets write one */
        s = read_all(a, &r, out);
    }
    lb_free(r.field);
    lb_free(r.begin);
    lb_free(text);
    return s;
}

int lb_csv_column(const lb_csv *c, const char *name) {
    for (size_t i = 0; i < c->cols; i++)
        if (!strcmp(c->header[i], name)) return (int)i;
    return -1;
}

void lb_csv_field(lb_str *b, const char *field, bool last) {
    /* a row that is one empty field would be a blank line, which readers skip */
    bool alone = last && !*field && (b->len == 0 || b->s[b->len - 1] == '\n');
    if (!alone && !strpbrk(field, ",\"\r\n") && strncmp(field, BYTE_ORDER_MARK, 3)) {
        lb_str_add(b, "%s%s", field, last ? "\n" : ",");
        return;
    }
    lb_str_add_bytes(b, "\"", 1);
    for (const char *c = field; *c; c++) lb_str_add_bytes(b, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    lb_str_add_bytes(b, last ? "\"\n" : "\",", 2);
}

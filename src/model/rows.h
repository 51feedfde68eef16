/* The rows of a text: documents that recipes draw from, items of tasks, lines that are joined. */
#ifndef LB_MODEL_ROWS_H
#define LB_MODEL_ROWS_H

#include "base/str.h"
#include "io/json.h"
#include "model/text.h"

typedef enum lb_row_form {
    LB_ROWS_AUTO,  /* JSON for .jsonl, .jsonl.gz and .json.gz, else FILE */
    LB_ROWS_FILE,  /* one row: the whole text */
    LB_ROWS_LINES, /* each line, without white space at its ends; an empty one is a row */
    LB_ROWS_JSON   /* one object a line; blank lines are none */
} lb_row_form;

/* What the text of a row is made of that has messages (model/chat.h). */
typedef enum lb_chat_form { LB_CHAT_PLAIN, LB_CHAT_CHATML, LB_CHAT_ALPACA } lb_chat_form;

typedef struct lb_row_spec {
    int form;          /* lb_row_form */
    const char *field; /* of JSON: where the text is; NULL: "text" */
    int chat;          /* lb_chat_form */
    int64_t first;     /* only so many rows; 0: all */
} lb_row_spec;

int lb_rows_form(const char *path, const lb_row_spec *s); /* which of them, AUTO no more */

typedef struct lb_rows lb_rows;
/* Rows of JSON are parsed when they are asked for. LB_E_CONFIG: the spec says something of rows, and the text is one.
 * LB_E_FORMAT: a JSON array, a text that lb_textfile_open refuses, more than LB_ROWS_MOST rows. */
#define LB_ROWS_MOST ((int64_t)1 << 26)
LB_NODISCARD lb_status lb_rows_open(const char *path, const lb_row_spec *s, lb_rows **out);
void lb_rows_close(lb_rows *r);
int64_t lb_rows_count(const lb_rows *r);
bool lb_rows_are_one(const lb_rows *r);            /* the whole file is the text */
const char *lb_rows_hash(const lb_rows *r);        /* of the file as it lies there, packed or not */
const lb_textfile *lb_rows_file(const lb_rows *r); /* which is open as long as the rows are */
/* "FILE:LINE", "FILE" of one row; in what is the caller's. */
#define LB_ROW_PLACE 512
void lb_rows_place(const lb_rows *r, int64_t row, char out[LB_ROW_PLACE]);
/* The text of row i, appended. Of JSON: the value of the spec's field, a text or messages. LB_E_FORMAT "FILE:LINE:". */
LB_NODISCARD lb_status lb_rows_text(const lb_rows *r, int64_t row, lb_str *text);
/* The object itself, for tasks; json_decref. LB_E_CONFIG: rows that are none. */
LB_NODISCARD lb_status lb_rows_object(const lb_rows *r, int64_t row, json_t **out);
/* All of them, one after another, with this between. */
LB_NODISCARD lb_status lb_rows_join(const lb_rows *r, const char *join, lb_str *text);

/* Without white space at its ends, as Python's str.strip() has it: *s, *n. */
void lb_row_strip(const char **s, size_t *n);

#endif

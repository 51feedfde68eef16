#include "model/rows.h"

#include <string.h>

#include "base/mem.h"
#include "model/chat.h"
#include "model/tokenizer/impl.h"

struct lb_rows {
    lb_textfile text;
    int form; /* AUTO no more */
    const char *field;
    int chat;
    char *names;   /* what path and field point to */
    size_t *start; /* (count + 1) of each row in the text; NULL: the whole text is one */
    int64_t count;
};

void lb_row_strip(const char **s, size_t *n) {
    int32_t c;
    while (*n) {
        size_t k = lb_tok_char(*s, *n, &c);
        if (!lb_tok_is_space(c) && !(c >= 0x1c && c <= 0x1f)) break;
        *s += k;
        *n -= k;
    }
    while (*n) {
        size_t k = 1;
        while (k < 4 && k < *n && ((uint8_t)(*s)[*n - k] & 0xc0) == 0x80) k++;
        if (lb_tok_char(*s + *n - k, k, &c) != k || (!lb_tok_is_space(c) && !(c >= 0x1c && c <= 0x1f))) break;
        *n -= k;
    }
}

static bool is_blank(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", s[i]) && s[i]) i++;
    return i == n;
}

/* The end of the line that begins at `at`, behind its newline. */
static size_t line_end(const lb_textfile *t, size_t at) {
    const char *end = memchr(t->s + at, '\n', t->n - at);
    return end ? (size_t)(end - t->s) + 1 : t->n;
}

/* Counts rows, or where there is room for them notes where they start. */
static lb_status find_rows(lb_rows *r, int64_t most) {
    int64_t n = 0;
    const lb_textfile *t = &r->text;
    size_t end, at = 0;
    for (; at < t->n && n < most; at = end) {
        end = line_end(t, at);
        if (r->form == LB_ROWS_JSON && is_blank(t->s + at, end - at)) continue;
        if (r->start) r->start[n] = at;
        if (++n > LB_ROWS_MOST)
            return lb_fail(LB_E_FORMAT, "%s: more than %lld rows", t->path, (long long)LB_ROWS_MOST);
    }
    if (r->start) r->start[n] = at;
    r->count = n;
    return LB_OK;
}

static lb_status check_json(const lb_textfile *t) {
    size_t at = 0;
    while (at < t->n && t->s[at] && strchr(" \t\r\n", t->s[at])) at++;
    if (at < t->n && t->s[at] == '[')
        return lb_fail(LB_E_FORMAT, "%s: is a JSON array, expected one object a line (jq -c '.[]' makes them)",
                       t->path);
    return LB_OK;
}

int lb_rows_form(const char *path, const lb_row_spec *s) {
    if (s->form != LB_ROWS_AUTO) return s->form;
    bool json = lb_str_ends(path, ".jsonl") || lb_str_ends(path, ".jsonl.gz") || lb_str_ends(path, ".json.gz");
    return json ? LB_ROWS_JSON : LB_ROWS_FILE;
}

/* What a spec says of rows must mean something. */
static lb_status check_spec(const char *path, const lb_row_spec *s, int form) {
    bool field = s->field && strcmp(s->field, "text") != 0;
    const char *key = s->first > 0 && form == LB_ROWS_FILE ? "first"
                      : field && form != LB_ROWS_JSON      ? "field"
                      : s->chat && form != LB_ROWS_JSON    ? "chat"
                                                           : NULL;
    if (!key) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: %s says something of %s, but %s: rows: %s reads them", path, key,
                   strcmp(key, "first") == 0 ? "rows" : "JSON",
                   form == LB_ROWS_FILE ? "the whole file is one text" : "its rows are lines",
                   strcmp(key, "first") == 0 ? "json or lines" : "json");
}

static lb_status fill(lb_rows *r, const char *path, const lb_row_spec *s) {
    size_t n = strlen(path) + 1, m = s->field ? strlen(s->field) + 1 : 0;
    int64_t most = s->first > 0 ? s->first : INT64_MAX;
    r->form = lb_rows_form(path, s);
    r->chat = s->chat;
    LB_TRY(check_spec(path, s, r->form));
    if (!(r->names = lb_alloc(n + m, 1))) return LB_E_NOMEM;
    memcpy(r->names, path, n);
    if (m) memcpy(r->names + n, s->field, m);
    r->field = m ? r->names + n : "text";
    LB_TRY(lb_textfile_open(r->names, &r->text));
    r->count = 1;
    if (r->form == LB_ROWS_FILE) return LB_OK;
    if (r->form == LB_ROWS_JSON) LB_TRY(check_json(&r->text));
    LB_TRY(find_rows(r, most));
    if (r->count == 0) return lb_fail(LB_E_FORMAT, "%s: has no rows", path);
    if (!(r->start = lb_alloc((size_t)r->count + 1, sizeof *r->start))) return LB_E_NOMEM;
    return find_rows(r, most);
}

lb_status lb_rows_open(const char *path, const lb_row_spec *s, lb_rows **out) {
    *out = NULL;
    lb_rows *r = lb_alloc(1, sizeof *r);
    if (!r) return LB_E_NOMEM;
    lb_status st = fill(r, path, s);
    if (st == LB_OK)
        *out = r;
    else
        lb_rows_close(r);
    return st;
}

void lb_rows_close(lb_rows *r) {
    if (!r) return;
    lb_textfile_close(&r->text);
    lb_free(r->start);
    lb_free(r->names);
    lb_free(r);
}

int64_t lb_rows_count(const lb_rows *r) { return r->count; }
bool lb_rows_are_one(const lb_rows *r) { return r->form == LB_ROWS_FILE; }
const char *lb_rows_hash(const lb_rows *r) { return r->text.hash; }
const lb_textfile *lb_rows_file(const lb_rows *r) { return &r->text; }

static long long line_of(const lb_rows *r, int64_t row) {
    long long line = 1;
    for (size_t i = 0; i < r->start[row]; i++) line += r->text.s[i] == '\n';
    return line;
}

void lb_rows_place(const lb_rows *r, int64_t row, char out[LB_ROW_PLACE]) {
    const char *path = r->text.path;
    size_t n = strlen(path), most = LB_ROW_PLACE - 32;
    const char *from = n > most ? path + n - most : path;
    if (r->start)
        snprintf(out, LB_ROW_PLACE, "%s:%lld", from, line_of(r, row));
    else
        snprintf(out, LB_ROW_PLACE, "%s", from);
}

/* A row of a file: of lines without its end. */
static void bytes_of(const lb_rows *r, int64_t row, const char **s, size_t *n) {
    *s = r->text.s;
    *n = r->text.n;
    if (!r->start) return;
    *s += r->start[row];
    *n = r->start[row + 1] - r->start[row];
    if (r->form == LB_ROWS_LINES) lb_row_strip(s, n);
}

lb_status lb_rows_object(const lb_rows *r, int64_t row, json_t **out) {
    const char *s;
    size_t n;
    *out = NULL;
    if (r->form != LB_ROWS_JSON)
        return lb_fail(LB_E_CONFIG, "%s: rows are needed that are JSON, one object a line: rows: json reads them",
                       r->text.path);
    bytes_of(r, row, &s, &n);
    const char *end = memchr(s, '\n', n);
    if (end) n = (size_t)(end - s); /* blank lines may follow */
    lb_status st = lb_json_parse_line(r->text.path, 1, s, n, out);
    if (st == LB_E_FORMAT) st = lb_json_parse_line(r->text.path, line_of(r, row), s, n, out); /* now for its message */
    LB_TRY(st);
    if (json_is_object(*out)) return LB_OK;
    char place[LB_ROW_PLACE], value[LB_JSON_TEXT];
    lb_rows_place(r, row, place);
    lb_json_text(*out, value);
    json_decref(*out);
    *out = NULL;
    return lb_fail(LB_E_FORMAT, "%s: is %s, expected an object", place, value);
}

lb_status lb_rows_text(const lb_rows *r, int64_t row, lb_str *text) {
    if (r->form == LB_ROWS_JSON) {
        json_t *o;
        char place[LB_ROW_PLACE];
        LB_TRY(lb_rows_object(r, row, &o));
        size_t before = text->len;
        lb_status st = lb_row_text(r->text.path, o, r->field, r->chat, text);
        if (st == LB_E_FORMAT) { /* again, with its line: to count lines for every row would take too long */
            text->len = before;
            lb_rows_place(r, row, place);
            st = lb_row_text(place, o, r->field, r->chat, text);
        }
        json_decref(o);
        return st;
    }
    const char *s;
    size_t n;
    bytes_of(r, row, &s, &n);
    lb_str_add_bytes(text, s, n);
    return lb_str_check(text);
}

lb_status lb_rows_join(const lb_rows *r, const char *join, lb_str *text) {
    for (int64_t i = 0; i < r->count; i++) {
        if (i % 1024 == 0) LB_TRY(lb_interrupt_check());
        if (i > 0) lb_str_add_bytes(text, join, strlen(join));
        LB_TRY(lb_rows_text(r, i, text));
        if (text->len > LB_TEXT_PIPE_MOST)
            return lb_fail(LB_E_FORMAT, "%s: joined rows of more than %zu bytes: first: N takes N of them",
                           r->text.path, LB_TEXT_PIPE_MOST);
    }
    return lb_str_check(text);
}

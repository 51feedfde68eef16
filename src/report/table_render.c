/* Tables for the terminal, as Markdown and as CSV. */
#include <string.h>
#include <utf8proc.h>

#include "io/csv.h"
#include "report/table.h"

/* Narrower than a number and its name, nothing can be shown. */
enum { NARROWEST = 40 };
static size_t terminal_width = LB_TERMINAL_WIDTH;

void lb_table_terminal_width(size_t columns) { terminal_width = columns < NARROWEST ? NARROWEST : columns; }
size_t lb_table_line_width(void) { return terminal_width < LB_TERMINAL_WIDTH ? terminal_width : LB_TERMINAL_WIDTH; }

size_t lb_text_width(const char *text) {
    size_t w = 0;
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
    while (*p) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(p, -1, &c);
        if (n <= 0) {
            p++, w++;
            continue;
        }
        int cw = utf8proc_charwidth(c);
        w += cw > 0 ? (size_t)cw : c < 0x20 ? 1 : 0;
        p += n;
    }
    return w;
}

static void spaces(lb_str *out, size_t n) {
    while (n-- > 0) lb_str_add_bytes(out, " ", 1);
}

static void pad(lb_str *out, const char *text, size_t width, bool right) {
    size_t w = lb_text_width(text), gap = width > w ? width - w : 0;
    if (right) spaces(out, gap);
    lb_markup_text(out, LB_TABLE_TERMINAL, text);
    if (!right) spaces(out, gap);
}

/* ---- words that break ---- */

static bool breaks(const lb_table *t, const lb_panel *p, size_t c) {
    return p->wrap && t->col[c].key && !t->col[c].right;
}

static size_t width_of_bytes(const char *text, size_t n) { return lb_text_width(text) - lb_text_width(text + n); }

/* Of a word of `n` bytes that has no room: what comes up to the last mark that fits, or as many characters as fit. */
static size_t part_of_word(const char *text, size_t n, size_t room) {
    size_t part = 0, marked = 0;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && ((unsigned char)text[i] & 0xc0) == 0x80) continue; /* inside a character of UTF-8 */
        if (width_of_bytes(text, i) > room && part > 0) break;
        part = i;
        if (strchr("-_./,=", text[i - 1])) marked = i;
    }
    return part < n && marked > 0 ? marked : part;
}

/* The bytes of the line that begins at `text`, at most `wrap` columns wide. Lines after the first are two columns
 * further in. */
static size_t line_length(const char *text, size_t wrap, bool first) {
    size_t n = strcspn(text, " "), room = first ? wrap : wrap - 2;
    if (width_of_bytes(text, n) > room) return part_of_word(text, n, room);
    while (text[n]) {
        size_t more = n + 1 + strcspn(text + n + 1, " ");
        if (width_of_bytes(text, more) > room) break;
        n = more;
    }
    return n;
}

/* Line `k` of a text, "" past the last; false: that it is. */
static bool broken_line(const char *text, size_t wrap, size_t k, lb_str *out) {
    size_t n = line_length(text, wrap, true);
    for (size_t i = 0; i < k; i++) {
        text += n + (text[n] == ' ');
        n = line_length(text, wrap, false);
    }
    if (n) lb_str_add(out, "%s%.*s", k ? "  " : "", (int)n, text);
    return n > 0;
}

static size_t broken_width(const char *text, size_t wrap) {
    size_t most = 0, indent = 0;
    for (size_t n = line_length(text, wrap, true); n > 0; n = line_length(text, wrap, false)) {
        size_t w = indent + width_of_bytes(text, n);
        if (w > most) most = w;
        text += n + (text[n] == ' ');
        indent = 2;
    }
    return most;
}

static void widths(const lb_table *t, const lb_panel *p, size_t *w) {
    for (size_t i = 0; i < p->n; i++) {
        size_t c = p->col[i];
        w[i] = lb_text_width(t->col[c].head);
        for (size_t r = 0; r < t->rows; r++) {
            const char *text = lb_table_text(t, r, c);
            size_t x = breaks(t, p, c) ? broken_width(text, p->wrap) : lb_text_width(text);
            if (x > w[i]) w[i] = x;
        }
    }
}

static size_t total_width(const lb_table *t, const lb_panel *p) {
    size_t w[LB_PANEL_MOST], sum = 0;
    widths(t, p, w);
    for (size_t i = 0; i < p->n; i++) sum += w[i] + (i ? 2 : 0);
    return sum;
}

/* Trailing blanks would make every comparison of outputs fragile. */
static void end_line(lb_str *out) {
    while (out->s && out->len && out->s[out->len - 1] == ' ') out->s[--out->len] = 0;
    lb_str_add_bytes(out, "\n", 1);
}

static void rule_line(lb_str *out, const lb_panel *p, const size_t *w) {
    for (size_t i = 0; i < p->n; i++) {
        if (i) spaces(out, 2);
        for (size_t k = 0; k < w[i]; k++) lb_str_add_bytes(out, "-", 1);
    }
    end_line(out);
}

/* Line `k` of a row: the first has every column, the others what is left of names. False: nothing is left. */
static bool terminal_line(const lb_table *t, const lb_panel *p, const size_t *w, size_t r, size_t k, lb_str *out) {
    lb_str line = {0};
    bool any = k == 0, more = false;
    for (size_t i = 0; i < p->n; i++) {
        size_t c = p->col[i];
        const char *text = lb_table_text(t, r, c);
        lb_str part = {0};
        if (breaks(t, p, c)) {
            any |= broken_line(text, p->wrap, k, &part);
            more = true;
        }
        if (i) spaces(&line, 2);
        pad(&line, breaks(t, p, c) ? part.s ? part.s : "" : k ? "" : text, w[i], t->col[c].right);
        if (part.failed) out->failed = true;
        lb_str_free(&part);
    }
    end_line(&line);
    if (line.failed) out->failed = true;
    if (any && line.s) lb_str_add_bytes(out, line.s, line.len);
    lb_str_free(&line);
    return any && more;
}

static void terminal_panel(const lb_table *t, const lb_panel *p, lb_str *out) {
    size_t w[LB_PANEL_MOST];
    widths(t, p, w);
    for (size_t i = 0; i < p->n; i++) {
        if (i) spaces(out, 2);
        pad(out, t->col[p->col[i]].head, w[i], t->col[p->col[i]].right);
    }
    end_line(out);
    rule_line(out, p, w);
    for (size_t r = 0; r < t->rows; r++) {
        if (t->rule[r]) rule_line(out, p, w);
        bool more = true;
        for (size_t k = 0; more; k++) more = terminal_line(t, p, w, r, k, out);
    }
}

/* Panel after panel, each with the key columns; a panel that is still too wide hands its last columns to the next. */
static void terminal_pieces(const lb_table *t, lb_str *out) {
    lb_panel keys = {.n = 0}, p;
    for (size_t c = 0; c < t->cols; c++)
        if (t->col[c].key && lb_table_shows(t, c)) keys.col[keys.n++] = c;
    p = keys;
    bool first = true, handed_over = false;
    for (int k = 0; k < lb_table_panels(t); k++) {
        lb_panel panel = lb_table_panel(t, k);
        bool flush = p.n > keys.n && !handed_over;
        handed_over = false;
        for (size_t i = 0; i < panel.n; i++) {
            if (t->col[panel.col[i]].key) continue;
            p.col[p.n++] = panel.col[i];
            bool wide = total_width(t, &p) > terminal_width && p.n > keys.n + 1;
            if (!wide && !flush) continue;
            p.n--;
            if (!first) lb_str_add(out, "\n");
            terminal_panel(t, &p, out);
            first = false, handed_over = !flush, flush = false;
            p = keys;
            p.col[p.n++] = panel.col[i];
        }
    }
    if (!first) lb_str_add(out, "\n");
    terminal_panel(t, &p, out);
}

/* ---- a terminal that is too narrow for all columns ---- */

static bool has(const lb_panel *p, size_t c) {
    for (size_t i = 0; i < p->n; i++)
        if (p->col[i] == c) return true;
    return false;
}

/* In the order of the table; a column that says more takes the narrow one's place. */
static lb_panel with(const lb_table *t, const lb_panel *p, size_t c) {
    lb_panel q = {.n = 0, .wrap = p->wrap};
    for (size_t k = 0; k < t->cols && q.n < LB_PANEL_MOST; k++) {
        bool replaced = t->col[k].narrow && k + 1 == c;
        if (k == c || (has(p, k) && !replaced)) q.col[q.n++] = k;
    }
    return q;
}

/* Columns that are always there, then what fits, the smallest priority first; the first of them however wide it is. */
static lb_panel what_fits_at(const lb_table *t, size_t wrap) {
    lb_panel p = {.n = 0, .wrap = wrap};
    int last = 0;
    for (size_t c = 0; c < t->cols; c++) {
        if (t->col[c].priority > last) last = t->col[c].priority;
        if (p.n == LB_PANEL_MOST || !lb_table_shows(t, c)) continue;
        if (t->col[c].key || !t->col[c].priority) p.col[p.n++] = c;
    }
    size_t always = p.n;
    for (int k = 1; k <= last; k++)
        for (size_t c = 0; c < t->cols; c++) {
            if (t->col[c].key || t->col[c].paper || t->col[c].priority != k || !lb_table_has_text(t, c)) continue;
            lb_panel more = with(t, &p, c);
            if (total_width(t, &more) <= terminal_width || p.n == always) p = more;
        }
    return p;
}

/* That it fits at all counts most, then columns of the first three priorities, each more than those after it. */
static size_t worth(const lb_table *t, const lb_panel *p) {
    size_t n = total_width(t, p) <= terminal_width ? 100 : 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t c = p->col[i];
        bool says_more = c > 0 && t->col[c - 1].narrow;
        int priority = t->col[says_more ? c - 1 : c].priority;
        if (priority >= 1 && priority <= 3) n += 8 >> priority;
    }
    return n;
}

/* Names give way to the columns that matter most, as little as brings them in. */
static lb_panel what_fits(const lb_table *t) {
    static const size_t narrower[] = {32, 24, 20, 16};
    lb_panel best = what_fits_at(t, 0);
    for (size_t i = 0; i < sizeof narrower / sizeof narrower[0]; i++) {
        lb_panel p = what_fits_at(t, narrower[i]);
        if (worth(t, &p) > worth(t, &best)) best = p;
    }
    return best;
}

static void say_what_is_left(const lb_table *t, const lb_panel *p, lb_str *out) {
    lb_str text = {0};
    for (size_t c = 0; c < t->cols; c++)
        if (lb_table_shows(t, c) && !has(p, c))
            lb_str_add(&text, "%s%s", text.len ? ", " : "(more with report --wide: ", t->col[c].head);
    if (text.len) lb_str_add(&text, ")");
    if (text.failed) out->failed = true;
    if (text.s) lb_markup_paragraph(out, LB_TABLE_TERMINAL, text.s);
    lb_str_free(&text);
}

static bool has_priorities(const lb_table *t) {
    for (size_t c = 0; c < t->cols; c++)
        if (t->col[c].priority) return true;
    return false;
}

static void terminal(const lb_table *t, lb_str *out) {
    lb_markup_text(out, LB_TABLE_TERMINAL, t->title);
    lb_str_add(out, "\n");
    lb_panel all = lb_table_panel(t, -1);
    if (total_width(t, &all) <= terminal_width) {
        terminal_panel(t, &all, out);
    } else if (t->wide || !has_priorities(t)) {
        terminal_pieces(t, out);
    } else {
        lb_panel p = what_fits(t);
        terminal_panel(t, &p, out);
        say_what_is_left(t, &p, out);
        return;
    }
    lb_str_add(out, "\n");
}

static void markdown(const lb_table *t, lb_str *out) {
    lb_panel p = lb_table_panel(t, -1);
    lb_str_add(out, "**");
    lb_markup_text(out, LB_TABLE_MARKDOWN, t->title);
    lb_str_add(out, "**\n\n|");
    for (size_t i = 0; i < p.n; i++) {
        lb_str_add(out, " ");
        lb_markup_text(out, LB_TABLE_MARKDOWN, t->col[p.col[i]].head);
        lb_str_add(out, " |");
    }
    lb_str_add(out, "\n|");
    for (size_t i = 0; i < p.n; i++) lb_str_add(out, t->col[p.col[i]].right ? "---:|" : "---|");
    lb_str_add(out, "\n");
    for (size_t r = 0; r < t->rows; r++) {
        lb_str_add(out, "|");
        for (size_t i = 0; i < p.n; i++) {
            lb_str_add(out, " ");
            lb_markup_text(out, LB_TABLE_MARKDOWN, lb_table_text(t, r, p.col[i]));
            lb_str_add(out, " |");
        }
        lb_str_add(out, "\n");
    }
    lb_str_add(out, "\n");
}

static bool in_csv(const lb_table *t, size_t c) {
    bool any = !t->col[c].optional;
    for (size_t r = 0; r < t->rows && !any; r++) any = t->cell[r * t->cols + c].exact != NULL;
    return t->col[c].name && any;
}

static size_t last_named(const lb_table *t) {
    size_t last = t->cols;
    for (size_t c = 0; c < t->cols; c++)
        if (in_csv(t, c)) last = c;
    return last;
}

static void csv(const lb_table *t, lb_str *out) {
    size_t last = last_named(t);
    for (size_t c = 0; c < t->cols; c++)
        if (in_csv(t, c)) lb_csv_field(out, t->col[c].name, c == last);
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->cols; c++) {
            const char *exact = t->cell[r * t->cols + c].exact;
            if (in_csv(t, c)) lb_csv_field(out, exact ? exact : "", c == last);
        }
}

lb_status lb_table_render(const lb_table *t, lb_table_format f, lb_str *out) {
    if (t->failed) return lb_fail(LB_E_NOMEM, "out of memory: table %s", t->id);
    switch (f) {
    case LB_TABLE_TERMINAL:
        terminal(t, out);
        break;
    case LB_TABLE_MARKDOWN:
        markdown(t, out);
        break;
    case LB_TABLE_CSV:
        csv(t, out);
        break;
    case LB_TABLE_LATEX:
        lb_table_latex(t, out);
        break;
    case LB_TABLE_HTML:
        lb_table_html(t, out);
        break;
    }
    return lb_str_check(out);
}

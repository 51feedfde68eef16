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

static void widths(const lb_table *t, const lb_panel *p, size_t *w) {
    for (size_t i = 0; i < p->n; i++) {
        w[i] = lb_text_width(t->col[p->col[i]].head);
        for (size_t r = 0; r < t->rows; r++) {
            size_t x = lb_text_width(lb_table_text(t, r, p->col[i]));
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
        for (size_t i = 0; i < p->n; i++) {
            size_t c = p->col[i];
            if (i) spaces(out, 2);
            pad(out, lb_table_text(t, r, c), w[i], t->col[c].right);
        }
        end_line(out);
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
    lb_panel q = {.n = 0};
    for (size_t k = 0; k < t->cols && q.n < LB_PANEL_MOST; k++) {
        bool replaced = t->col[k].narrow && k + 1 == c;
        if (k == c || (has(p, k) && !replaced)) q.col[q.n++] = k;
    }
    return q;
}

/* Columns that are always there, then what fits, the smallest priority first; the first of them however wide it is. */
static lb_panel what_fits(const lb_table *t) {
    lb_panel p = {.n = 0};
    int last = 0;
    for (size_t c = 0; c < t->cols; c++) {
        if (t->col[c].priority > last) last = t->col[c].priority;
        if (p.n == LB_PANEL_MOST || !lb_table_shows(t, c)) continue;
        if (t->col[c].key || !t->col[c].priority) p.col[p.n++] = c;
    }
    size_t always = p.n;
    for (int k = 1; k <= last; k++)
        for (size_t c = 0; c < t->cols; c++) {
            if (t->col[c].key || t->col[c].priority != k || !lb_table_has_text(t, c)) continue;
            lb_panel more = with(t, &p, c);
            if (total_width(t, &more) <= terminal_width || p.n == always) p = more;
        }
    return p;
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

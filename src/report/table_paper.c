/* Tables as LaTeX for an author's own text: a float or a bare tabular that needs booktabs alone, or siunitx. Numbers
 * stand with their points below each other; where the columns that matter are not chosen by the user, those are taken
 * that fit. */
#include <ctype.h>
#include <string.h>
#include <utf8proc.h>

#include "report/table_numbers.h"

#define DASH "\xe2\x80\x93"

/* Widths in points at \footnotesize (8 pt), \tabcolsep 3 pt: the text of article in one column and in two, and the
 * narrowest column that conferences have. */
static const double room[] = {
    [LB_LATEX_FLOAT] = 345, [LB_LATEX_WIDE] = 455, [LB_LATEX_COLUMN] = 219, [LB_LATEX_TABULAR] = 345};
enum { GAP = 6, LAST_PRIORITY = 9 };

/* ---- widths ---- */

static double char_width(utf8proc_int32_t c) {
    if (c >= '0' && c <= '9') return 4.25;
    if (c == '+' || c == 0x2212 || c == 0xb1 || c == 0xd7 || c == 'm' || c == 'w' || c == 'M' || c == 'W') return 6.7;
    if (strchr("ijl.,:;'|![]() ", (int)(c < 128 ? c : 'x'))) return 2.9;
    if (c < 128 && isupper((int)c)) return 6;
    return c == '_' ? 3.6 : 4.6;
}

static double text_width(const char *text) {
    double w = 0;
    utf8proc_int32_t c;
    for (utf8proc_ssize_t n; *text && (n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &c)) > 0; text += n)
        w += char_width(c);
    return w;
}

/* Text that is wider than this wraps. */
static double widest_text(const lb_table *t) { return t->latex == LB_LATEX_COLUMN ? 70 : 110; }

static double column_width(const lb_table *t, size_t c) {
    double w = text_width(t->col[c].head);
    for (size_t r = 0; r < t->rows; r++) {
        double x = text_width(lb_table_text(t, r, c));
        if (x > w) w = x;
    }
    /* points below each other take what the longest of both sides take */
    if (lb_numerals_of(t, c) > 0) w += 4.25;
    if (t->siunitx) w += 4.25 * lb_siunitx_wider(t, c);
    if (!t->col[c].right && w > widest_text(t)) w = widest_text(t);
    return w;
}

static double width_of(const lb_table *t, const lb_panel *p) {
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) sum += column_width(t, p->col[i]) + (i ? GAP : 0);
    return sum;
}

/* ---- columns ---- */

/* Whether what is shown is for this file to choose. */
static bool picks(const lb_table *t) {
    for (size_t c = 0; c < t->cols && !t->chosen; c++)
        if (t->col[c].priority) return true;
    return false;
}

/* The same in every row that has it: said once, in the title, where room is scarce. */
static const char *common(const lb_table *t, size_t c) {
    const char *same = NULL;
    for (size_t r = 0; r < t->rows; r++) {
        const char *text = t->cell[r * t->cols + c].text;
        if (lb_numeral_missing(text)) continue;
        if (same && strcmp(same, text) != 0) return NULL;
        same = text;
    }
    return same;
}

static bool in_title(const lb_table *t, size_t c) {
    return picks(t) && t->latex == LB_LATEX_COLUMN && t->col[c].key && t->col[c].right && common(t, c);
}

static bool has(const lb_panel *p, size_t c) {
    for (size_t i = 0; i < p->n; i++)
        if (p->col[i] == c) return true;
    return false;
}

/* In the order of the table; what says more takes the place of the narrow column before it. */
static lb_panel with(const lb_table *t, const lb_panel *p, size_t c) {
    lb_panel q = {.n = 0};
    for (size_t k = 0; k < t->cols && q.n < LB_PANEL_MOST; k++)
        if (k == c || (has(p, k) && !(t->col[k].narrow && k + 1 == c))) q.col[q.n++] = k;
    return q;
}

/* What names a row, then what fits, the smallest priority first. */
static lb_panel what_fits(const lb_table *t) {
    lb_panel p = {.n = 0};
    if (!picks(t)) return lb_table_panel(t, -1);
    for (size_t c = 0; c < t->cols && p.n < LB_PANEL_MOST; c++)
        if (t->col[c].key && lb_table_shows(t, c) && !in_title(t, c)) p.col[p.n++] = c;
    for (int k = 1; k <= LAST_PRIORITY; k++)
        for (size_t c = 0; c < t->cols; c++) {
            if (t->col[c].key || t->col[c].priority != k || !lb_table_has_text(t, c)) continue;
            lb_panel more = with(t, &p, c);
            if (width_of(t, &more) <= room[t->latex]) p = more;
        }
    return p;
}

/* ---- LaTeX ---- */

/* What a column of numbers takes of the tabular; 0: one of text. */
static int columns_of(const lb_table *t, size_t c) { return lb_numerals_of(t, c) * (t->siunitx ? 1 : 2); }

/* r@{}l for each number: its two sides meet at the point. siunitx sees to that itself. */
static void add_columns(const lb_table *t, const lb_panel *p, lb_str *out) {
    lb_str_add(out, "{@{}");
    for (size_t i = 0; i < p->n; i++) {
        size_t c = p->col[i];
        int n = lb_numerals_of(t, c);
        for (int k = 0; k < n; k++) {
            if (k) lb_str_add(out, "@{\\;}");
            if (t->siunitx)
                lb_siunitx_column(t, c, k, out);
            else
                lb_str_add(out, "r@{}l");
        }
        if (n) continue;
        if (t->col[c].right)
            lb_str_add(out, "r");
        else if (column_width(t, c) >= widest_text(t))
            lb_str_add(out, "p{%.0fpt}", widest_text(t));
        else
            lb_str_add(out, "l");
    }
    lb_str_add(out, "@{}}\n");
}

/* What is no number, over all of a number's columns: the first of a row has no space before it, the last none behind.
 * An S column takes what is in braces as it is. */
static void add_across(const lb_table *t, const char *text, int columns, bool first, bool last, lb_str *out) {
    if (t->siunitx && columns == 1)
        lb_str_add(out, "{");
    else
        lb_str_add(out, "\\multicolumn{%d}{%sc%s}{", columns, first ? "@{}" : "", last ? "@{}" : "");
    lb_markup_text(out, LB_TABLE_LATEX, text);
    lb_str_add(out, "}");
}

static void add_head(const lb_table *t, const lb_panel *p, lb_str *out) {
    for (size_t i = 0; i < p->n; i++) {
        int n = columns_of(t, p->col[i]);
        const char *head = t->col[p->col[i]].head;
        if (i) lb_str_add(out, " & ");
        if (n)
            add_across(t, head, n, i == 0, i + 1 == p->n, out);
        else
            lb_markup_text(out, LB_TABLE_LATEX, head);
    }
    lb_str_add(out, " \\\\\n");
}

static void add_numbers(const char *text, int columns, lb_str *out) {
    static const char *const before[] = {"", "$\\pm$\\,", "{[}"};
    lb_numeral x[LB_NUMERALS];
    const char *behind;
    int n = lb_numerals_split(text, x, &behind);
    for (int k = 0; k < columns; k++) {
        if (k) lb_str_add(out, " & ");
        if (k >= n) {
            lb_str_add(out, "&");
            continue;
        }
        if (k == 1) lb_str_add(out, "%s", before[n - 1]);
        lb_table_add_markup(out, x[k].whole, x[k].wholes);
        lb_str_add(out, " & ");
        lb_table_add_markup(out, x[k].fraction, x[k].fractions);
        if (n == 3 && k) lb_str_add(out, k == 1 ? "," : "{]}");
        if (k == n - 1) lb_table_add_markup(out, behind, strlen(behind));
    }
}

static void add_cell(const lb_table *t, size_t r, size_t c, bool first, bool last, lb_str *out) {
    int n = lb_numerals_of(t, c);
    const char *text = lb_table_text(t, r, c), *behind;
    lb_numeral x[LB_NUMERALS];
    if (!n && !t->col[c].right && column_width(t, c) >= widest_text(t)) lb_str_add(out, "\\raggedright ");
    if (!n)
        lb_markup_text(out, LB_TABLE_LATEX, text);
    else if (lb_numeral_missing(text) || !lb_numerals_split(text, x, &behind))
        add_across(t, lb_numeral_missing(text) ? DASH : text, columns_of(t, c), first, last, out);
    else if (t->siunitx)
        lb_siunitx_cell(text, n, out);
    else
        add_numbers(text, n, out);
}

static void add_rows(const lb_table *t, const lb_panel *p, lb_str *out) {
    for (size_t r = 0; r < t->rows; r++) {
        if (t->rule[r]) lb_str_add(out, "\\midrule\n");
        for (size_t i = 0; i < p->n; i++) {
            if (i) lb_str_add(out, " & ");
            add_cell(t, r, p->col[i], i == 0, i + 1 == p->n, out);
        }
        lb_str_add(out, " \\tabularnewline\n");
    }
}

static void add_tabular(const lb_table *t, const lb_panel *p, lb_str *out) {
    if (t->siunitx) lb_str_add(out, LB_SIUNITX_SETUP);
    lb_str_add(out, "\\begin{tabular}");
    add_columns(t, p, out);
    lb_str_add(out, "\\toprule\n");
    add_head(t, p, out);
    lb_str_add(out, "\\midrule\n");
    add_rows(t, p, out);
    lb_str_add(out, "\\bottomrule\n\\end{tabular}\n");
}

/* Is it about what is shown? */
static bool has_note(const lb_table *t, const lb_panel *p) {
    bool shown = !t->note_of;
    for (size_t i = 0; i < p->n; i++)
        shown = shown || strncmp(t->col[p->col[i]].head, t->note_of, strlen(t->note_of)) == 0;
    return t->note && shown;
}

static void add_caption(const lb_table *t, const lb_panel *p, lb_str *out) {
    lb_str_add(out, "\\caption{");
    lb_markup_text(out, LB_TABLE_LATEX, t->title);
    for (size_t c = 0; c < t->cols; c++) {
        if (has(p, c) || !in_title(t, c) || !lb_table_shows(t, c)) continue;
        lb_str_add(out, "; ");
        lb_markup_text(out, LB_TABLE_LATEX, t->col[c].head);
        lb_str_add(out, " ");
        lb_markup_text(out, LB_TABLE_LATEX, common(t, c));
    }
    lb_str_add(out, ".");
    if (has_note(t, p)) {
        lb_str_add(out, " ");
        lb_markup_text(out, LB_TABLE_LATEX, t->note);
    }
    lb_str_add(out, "}\\label{tab:%s}\n", t->id);
}

void lb_table_paper(const lb_table *t, lb_str *out) {
    lb_panel p = what_fits(t);
    double width = width_of(t, &p);
    bool floats = t->latex != LB_LATEX_TABULAR;
    const char *name = t->latex == LB_LATEX_WIDE ? "table*" : "table";
    lb_str_add(out, "%% needs \\usepackage{booktabs%s}%s; about %.0f pt wide%s\n", t->siunitx ? ",siunitx" : "",
               t->siunitx ? " (Debian: texlive-latex-recommended, texlive-science)" : "", width,
               floats ? "" : " in \\footnotesize with \\tabcolsep 3pt");
    if (width > room[t->latex]) lb_str_add(out, "%% wider than %.0f pt: choose fewer --columns\n", room[t->latex]);
    if (t->rows > LB_LONG_TABLE) lb_str_add(out, "%% more rows than a page has lines: choose some with --where\n");
    if (floats) {
        lb_str_add(out, "\\begin{%s}[tbp]\n\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}\n", name);
        add_caption(t, &p, out);
    }
    add_tabular(t, &p, out);
    if (floats) lb_str_add(out, "\\end{%s}\n", name);
    lb_str_add(out, "\n");
}

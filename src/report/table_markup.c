/* Escaping for each format; headings, paragraphs and lists; tables as HTML. */
#include <string.h>
#include <utf8proc.h>

#include "report/table.h"

/* What LaTeX needs for characters beyond ASCII that reports use; pdfLaTeX refuses most of them as they are. */
static const struct {
    const char *utf8, *latex;
} latex_map[] = {
    {"\xc2\xb1", "$\\pm$"},        {"\xe2\x88\x92", "$-$"},    {"\xce\x94", "$\\Delta$"},
    {"\xc3\x97", "$\\times$"},     {"\xe2\x80\x93", "--"},     {"\xe2\x80\x94", "---"},
    {"\xc2\xb7", "$\\cdot$"},      {"\xc2\xb2", "$^2$"},       {"\xe2\x80\xa0", "$\\dagger$"},
    {"\xe2\x80\xa6", "\\dots{}"},  {"\xe2\x89\xa4", "$\\le$"}, {"\xe2\x89\xa5", "$\\ge$"},
    {"\xe2\x88\x9a", "$\\surd$"},  {"\xe2\x80\x96", "$\\|$"},  {"\xc2\xbd", "$\\frac12$"},
    {"\xe2\x88\x9e", "$\\infty$"}, {"\xce\xbc", "$\\mu$"},     {"\xc2\xb5", "$\\mu$"},
    {"\xce\xbb", "$\\lambda$"},    {"\xce\xa3", "$\\Sigma$"},  {"\xe2\x86\x92", "$\\rightarrow$"},
    {"\xe2\x80\x99", "'"},         {"\xe2\x80\x98", "`"},      {"\xe2\x80\x9c", "``"},
    {"\xe2\x80\x9d", "''"},        {"\xc2\xa0", "~"},          {"\xe2\x89\x88", "$\\approx$"},
    {"\xc2\xb0", "$^{\\circ}$"},
};

static const char *latex_ascii(unsigned char c) {
    switch (c) {
    case '\\':
        return "\\textbackslash{}";
    case '{':
        return "\\{";
    case '}':
        return "\\}";
    case '$':
        return "\\$";
    case '&':
        return "\\&";
    case '#':
        return "\\#";
    case '%':
        return "\\%";
    case '_':
        return "\\_\\allowbreak{}";
    case '^':
        return "\\textasciicircum{}";
    case '~':
        return "\\textasciitilde{}";
    case '<':
        return "\\textless{}";
    case '>':
        return "\\textgreater{}";
    case '|':
        return "\\textbar{}";
    case '"':
        return "\\textquotedblright{}";
    /* A bracket right after \\ in a table would be read as its argument. */
    case '[':
        return "{[}";
    case ']':
        return "{]}";
    default:
        return NULL;
    }
}

static const char *html_ascii(unsigned char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static const char *markdown_ascii(unsigned char c) {
    switch (c) {
    case '|':
        return "\\|";
    case '*':
        return "\\*";
    case '`':
        return "\\`";
    case '\\':
        return "\\\\";
    case '<':
        return "&lt;";
    case '&':
        return "&amp;";
    default:
        return NULL;
    }
}

static const char *ascii_escape(lb_table_format f, unsigned char c) {
    if (f == LB_TABLE_LATEX) return latex_ascii(c);
    if (f == LB_TABLE_HTML) return html_ascii(c);
    if (f == LB_TABLE_MARKDOWN) return markdown_ascii(c);
    return NULL;
}

/* Latin-1 and Latin Extended-A, but for the few letters that T1 lacks. */
static bool latex_has(utf8proc_int32_t u) {
    static const uint16_t lacks[] = {0x126, 0x127, 0x138, 0x13f, 0x140, 0x149, 0x166, 0x167, 0x17f};
    for (size_t i = 0; i < sizeof lacks / sizeof lacks[0]; i++)
        if (u == lacks[i]) return false;
    return u >= 0xa1 && u < 0x180;
}

/* A character beyond ASCII (u), n bytes long. Numbers in a terminal and in Markdown keep the ASCII minus, so that they
 * can be copied into a program. */
static void wide(lb_str *out, lb_table_format f, const char *p, size_t n, utf8proc_int32_t u) {
    if ((f == LB_TABLE_TERMINAL || f == LB_TABLE_MARKDOWN) && n == 3 && memcmp(p, "\xe2\x88\x92", 3) == 0) {
        lb_str_add(out, "-");
        return;
    }
    for (size_t i = 0; f == LB_TABLE_LATEX && i < sizeof latex_map / sizeof latex_map[0]; i++)
        if (strlen(latex_map[i].utf8) == n && memcmp(p, latex_map[i].utf8, n) == 0) {
            lb_str_add(out, "%s", latex_map[i].latex);
            return;
        }
    /* T1 fonts have the letters of western and central Europe; anything else would stop LaTeX, so its number stands for
     * it. */
    if (f == LB_TABLE_LATEX && !latex_has(u))
        lb_str_add(out, "{[}U+%04X{]}", (unsigned)u);
    else
        lb_str_add_bytes(out, p, n);
}

void lb_markup_text(lb_str *out, lb_table_format f, const char *text) {
    const char *p = text;
    while (*p) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x80) {
            utf8proc_int32_t u;
            utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, -1, &u);
            /* not UTF-8, a C1 control, or what turns the direction of a line's text */
            if (n <= 0 || u < 0xa0 || (u >= 0x202a && u <= 0x202e) || (u >= 0x2066 && u <= 0x2069)) {
                lb_str_add(out, "?");
                p += n > 0 ? n : 1;
                continue;
            }
            wide(out, f, p, (size_t)n, u);
            p += n;
            continue;
        }
        const char *e = ascii_escape(f, c);
        if (f == LB_TABLE_MARKDOWN && c == ']' && strchr("([:", p[1]) && p[1]) e = "\\]"; /* no link of a file's own */
        /* Control characters (line ends in a message, an escape sequence in a file's name) never reach a page. */
        if (e)
            lb_str_add(out, "%s", e);
        else if (c < 0x20 || c == 0x7f)
            lb_str_add(out, " ");
        else
            lb_str_add_bytes(out, p, 1);
        p++;
    }
}

void lb_markup_heading(lb_str *out, lb_table_format f, int level, const char *text) {
    static const char *const latex[] = {"section*", "section*", "section", "subsection"};
    int at = level < 1 ? 1 : level > 3 ? 3 : level;
    if (f == LB_TABLE_LATEX)
        lb_str_add(out, "\\%s{", latex[at]);
    else if (f == LB_TABLE_HTML)
        lb_str_add(out, "<h%d>", at);
    else if (f == LB_TABLE_MARKDOWN)
        lb_str_add(out, "%.*s ", at, "###");
    lb_markup_text(out, f, text);
    if (f == LB_TABLE_LATEX)
        lb_str_add(out, "}\n\n");
    else if (f == LB_TABLE_HTML)
        lb_str_add(out, "</h%d>\n", at);
    else
        lb_str_add(out, "\n\n");
}

/* Terminal text wraps at words, lines after the first indented by `indent`. */
static void wrapped(lb_str *out, const char *text, size_t indent) {
    size_t at = indent;
    for (const char *p = text; *p;) {
        while (*p == ' ') p++;
        size_t n = strcspn(p, " ");
        if (!n) break;
        char word[1024];
        size_t m = n < sizeof word - 1 ? n : sizeof word - 1;
        memcpy(word, p, m);
        word[m] = 0;
        size_t w = lb_text_width(word);
        if (at > indent && at + 1 + w > lb_table_line_width()) {
            lb_str_add(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            lb_str_add(out, " ");
            at++;
        }
        lb_markup_text(out, LB_TABLE_TERMINAL, word);
        at += w;
        p += n;
    }
    lb_str_add(out, "\n");
}

void lb_markup_paragraph(lb_str *out, lb_table_format f, const char *text) {
    if (f == LB_TABLE_TERMINAL) {
        wrapped(out, text, 0);
        lb_str_add(out, "\n");
        return;
    }
    if (f == LB_TABLE_HTML) lb_str_add(out, "<p>");
    lb_markup_text(out, f, text);
    lb_str_add(out, f == LB_TABLE_HTML ? "</p>\n" : "\n\n");
}

void lb_markup_list(lb_str *out, lb_table_format f, const char *const *item, size_t n) {
    if (!n) return;
    if (f == LB_TABLE_LATEX) lb_str_add(out, "\\begin{itemize}\n");
    if (f == LB_TABLE_HTML) lb_str_add(out, "<ul>\n");
    for (size_t i = 0; i < n; i++) {
        if (f == LB_TABLE_TERMINAL) {
            lb_str_add(out, "  ");
            wrapped(out, item[i], 2);
            continue;
        }
        lb_str_add(out, f == LB_TABLE_LATEX ? "\\item " : f == LB_TABLE_HTML ? "<li>" : "- ");
        lb_markup_text(out, f, item[i]);
        lb_str_add(out, f == LB_TABLE_HTML ? "</li>\n" : "\n");
    }
    if (f == LB_TABLE_LATEX) lb_str_add(out, "\\end{itemize}\n");
    if (f == LB_TABLE_HTML) lb_str_add(out, "</ul>\n");
    lb_str_add(out, "\n");
}

void lb_markup_code(lb_str *out, lb_table_format f, const char *text) {
    if (f == LB_TABLE_HTML)
        lb_str_add(out, "<pre>");
    else
        lb_str_add(out, f == LB_TABLE_LATEX ? "\\begin{quote}\\small\n" : "```\n");
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        lb_str line = {0};
        lb_str_add_bytes(&line, p, n);
        if (line.failed) out->failed = true;
        /* Inside a Markdown fence nothing is escaped; LaTeX keeps leading blanks as hard spaces. */
        size_t lead = f == LB_TABLE_LATEX ? strspn(line.s ? line.s : "", " ") : 0;
        for (size_t i = 0; i < lead; i++) lb_str_add(out, "~");
        if (line.s && n) lb_markup_text(out, f == LB_TABLE_MARKDOWN ? LB_TABLE_TERMINAL : f, line.s + lead);
        lb_str_free(&line);
        p += n + (p[n] == '\n');
        lb_str_add(out, f == LB_TABLE_LATEX && n ? "\\\\\n" : "\n");
    }
    if (f == LB_TABLE_HTML)
        lb_str_add(out, "</pre>\n");
    else
        lb_str_add(out, f == LB_TABLE_LATEX ? "\\end{quote}\n\n" : "```\n\n");
}

/* ---- HTML ---- */

/* What copies as it stands, each line by itself; no script is needed to open it or to choose it whole. */
static void html_again(lb_str *out, const char *lines) {
    lb_str_add(out, " <details class=\"again\"><summary>again</summary>");
    for (const char *p = lines; *p;) {
        size_t n = strcspn(p, "\n");
        lb_str line = {0};
        lb_str_add_bytes(&line, p, n);
        if (line.failed) out->failed = true;
        lb_str_add(out, "<code>");
        if (line.s && n) lb_markup_text(out, LB_TABLE_HTML, line.s);
        lb_str_add(out, "</code>");
        lb_str_free(&line);
        p += n + (p[n] == '\n');
    }
    lb_str_add(out, "</details>");
}

/* exact: what it is sorted by, where that is not what is shown; again: what makes the row again; or NULL. */
static void html_cell(lb_str *out, const char *tag, bool right, const char *text, const char *exact,
                      const char *again) {
    const char *value = right && exact && exact[0] && strcmp(exact, text) != 0 ? exact : again ? text : NULL;
    lb_str_add(out, right ? "<%s class=\"n\"" : "<%s", tag);
    if (value) {
        lb_str_add(out, " data-v=\"");
        lb_markup_text(out, LB_TABLE_HTML, value);
        lb_str_add(out, "\"");
    }
    lb_str_add(out, ">");
    lb_markup_text(out, LB_TABLE_HTML, text);
    if (again) html_again(out, again);
    lb_str_add(out, "</%s>", tag);
}

void lb_table_html(const lb_table *t, lb_str *out) {
    lb_panel p = lb_table_panel(t, -1);
    lb_str_add(out, "<div class=\"table\"><table id=\"%s\">\n<caption><span>", t->id);
    lb_markup_text(out, LB_TABLE_HTML, t->title);
    lb_str_add(out, "</span></caption>\n<thead><tr>");
    for (size_t i = 0; i < p.n; i++) html_cell(out, "th", t->col[p.col[i]].right, t->col[p.col[i]].head, NULL, NULL);
    lb_str_add(out, "</tr></thead>\n<tbody>\n");
    for (size_t r = 0; r < t->rows; r++) {
        lb_str_add(out, t->rule[r] ? "<tr class=\"rule\">" : "<tr>");
        for (size_t i = 0; i < p.n; i++)
            html_cell(out, "td", t->col[p.col[i]].right, lb_table_text(t, r, p.col[i]),
                      t->cell[r * t->cols + p.col[i]].exact, i ? NULL : t->again[r]);
        lb_str_add(out, "</tr>\n");
    }
    lb_str_add(out, "</tbody></table></div>\n");
}

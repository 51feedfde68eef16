/* Tables as LaTeX (booktabs, longtable) for the pages of a whole report: every column, panel below panel. */
#include "report/table.h"

/* Text so long that the columns after it would leave the page wraps, but for a last column: it has the room. */
enum { LATEX_WRAP = 24 };
typedef struct wrapping {
    bool column[sizeof((lb_panel *)0)->col / sizeof(size_t)];
} wrapping;
static wrapping latex_wraps(const lb_table *t, const lb_panel *p) {
    wrapping w = {{false}};
    for (size_t i = 0; i + 1 < p->n; i++)
        for (size_t r = 0; r < t->rows && !t->col[p->col[i]].right; r++)
            w.column[i] |= lb_text_width(lb_table_text(t, r, p->col[i])) > LATEX_WRAP;
    return w;
}

/* Lines that all panels take below each other, about. */
static size_t latex_lines(const lb_table *t) {
    size_t lines = 0;
    for (int k = 0; k < lb_table_panels(t); k++) {
        lb_panel p = lb_table_panel(t, k);
        wrapping wraps = latex_wraps(t, &p);
        lines += 2;
        for (size_t r = 0; r < t->rows; r++) {
            size_t most = 1;
            for (size_t i = 0; i < p.n; i++) {
                size_t n = 1 + (lb_text_width(lb_table_text(t, r, p.col[i])) - 1) / LATEX_WRAP;
                if (n > most && wraps.column[i]) most = n;
            }
            lines += most;
        }
    }
    return lines;
}

static void latex_head(const lb_table *t, const lb_panel *p, lb_str *out) {
    for (size_t i = 0; i < p->n; i++) {
        if (i) lb_str_add(out, " & ");
        lb_markup_text(out, LB_TABLE_LATEX, t->col[p->col[i]].head);
    }
    lb_str_add(out, " \\\\\n");
}

static void latex_rows(const lb_table *t, const lb_panel *p, lb_str *out) {
    wrapping wraps = latex_wraps(t, p);
    for (size_t r = 0; r < t->rows; r++) {
        if (t->rule[r]) lb_str_add(out, "\\midrule\n");
        for (size_t i = 0; i < p->n; i++) {
            if (i) lb_str_add(out, " & ");
            if (wraps.column[i]) lb_str_add(out, "\\raggedright ");
            lb_markup_text(out, LB_TABLE_LATEX, lb_table_text(t, r, p->col[i]));
        }
        lb_str_add(out, " \\\\\n");
    }
}

static void latex_columns(const lb_table *t, const lb_panel *p, lb_str *out) {
    wrapping wraps = latex_wraps(t, p);
    lb_str_add(out, "{@{}");
    for (size_t i = 0; i < p->n; i++)
        lb_str_add(out, t->col[p->col[i]].right ? "r" : wraps.column[i] ? "p{36mm}" : "l");
    lb_str_add(out, "@{}}\n");
}

static void latex_long(const lb_table *t, lb_str *out) {
    for (int k = 0; k < lb_table_panels(t); k++) {
        lb_panel p = lb_table_panel(t, k);
        lb_str_add(out, "{\\footnotesize\\setlength{\\tabcolsep}{4pt}\n\\begin{longtable}");
        latex_columns(t, &p, out);
        lb_str_add(out, "\\caption{");
        lb_markup_text(out, LB_TABLE_LATEX, t->title);
        if (k) lb_str_add(out, " (further columns)");
        lb_str_add(out, "}");
        if (!k) lb_str_add(out, "\\label{tab:%s}", t->id);
        lb_str_add(out, "\\\\\n\\toprule\n");
        latex_head(t, &p, out);
        lb_str_add(out, "\\midrule\n\\endfirsthead\n\\toprule\n");
        latex_head(t, &p, out);
        lb_str_add(out, "\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n");
        latex_rows(t, &p, out);
        lb_str_add(out, "\\end{longtable}}\n\n");
    }
}

void lb_table_latex(const lb_table *t, lb_str *out) {
    if (t->paper) {
        lb_table_paper(t, out);
        return;
    }
    if (latex_lines(t) > LB_LONG_TABLE) {
        latex_long(t, out);
        return;
    }
    lb_str_add(out, "\\begin{table}[!htbp]\n\\centering\\footnotesize\\setlength{\\tabcolsep}{4pt}\n\\caption{");
    lb_markup_text(out, LB_TABLE_LATEX, t->title);
    lb_str_add(out, "}\\label{tab:%s}\n", t->id);
    for (int k = 0; k < lb_table_panels(t); k++) {
        lb_panel p = lb_table_panel(t, k);
        if (k) lb_str_add(out, "\\par\\medskip\n");
        lb_str_add(out, "\\begin{tabular}");
        latex_columns(t, &p, out);
        lb_str_add(out, "\\toprule\n");
        latex_head(t, &p, out);
        lb_str_add(out, "\\midrule\n");
        latex_rows(t, &p, out);
        lb_str_add(out, "\\bottomrule\n\\end{tabular}\n");
    }
    lb_str_add(out, "\\end{table}\n\n");
}

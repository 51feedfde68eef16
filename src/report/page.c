/* One document, three looks: index.html, report.md, and the body of the LaTeX report. */
#include <string.h>

#include "base/fs.h"
#include "report/html.h"
#include "report/parts.h"

typedef struct page {
    const lb_report_view *v;
    const lb_plot_list *plots;
    const char *expected_csv;
    lb_table_format f;
    lb_str *out;
} page;

/* A new part on a page of its own; in LaTeX what floats stays in the part before. */
static void part(const page *p, const char *title) {
    if (p->f == LB_TABLE_LATEX) lb_str_add(p->out, "\\clearpage\n");
    lb_markup_heading(p->out, p->f, 2, title);
}

static lb_status summary(const page *p) {
    int64_t done = 0, failed = 0, refused = 0;
    const lb_results *r = p->v->r;
    for (int64_t i = 0; i < r->n; i++) {
        lb_cell_state s = r->record[i].state;
        done += s == LB_CELL_DONE, failed += s == LB_CELL_FAILED, refused += s == LB_CELL_REFUSED;
    }
    char *text = lb_arena_printf(p->v->arena, "Model%s %s; %lld cells done, %lld failed, %lld refused.%s%s%s",
                                 p->v->models > 1 ? "s" : "", r->model_name, (long long)done, (long long)failed,
                                 (long long)refused, r->model_note[0] ? " Note: " : "", r->model_note,
                                 r->model_note[0] ? "." : "");
    if (!text) return LB_E_NOMEM;
    lb_markup_paragraph(p->out, p->f, text);
    const char *const *item;
    size_t n;
    LB_TRY(lb_report_words(p->v, &item, &n));
    lb_markup_list(p->out, p->f, item, n);
    return LB_OK;
}

/* Under a heading, unless it is empty. */
static lb_status titled(const page *p, const char *title, lb_str *text, lb_status made) {
    if (made == LB_OK) made = lb_str_check(text);
    if (made == LB_OK && text->len) {
        part(p, title);
        lb_str_add_bytes(p->out, text->s, text->len);
    }
    lb_str_free(text);
    return made;
}

static lb_status expected(const page *p) {
    if (!p->expected_csv) return LB_OK;
    const lb_results *r = p->v->r;
    int64_t outside;
    lb_str text = {0};
    lb_status made = lb_report_expected_table(r, p->expected_csv, p->f, &text, &outside);
    LB_TRY(titled(p, "Expected values", &text, made));
    text = (lb_str){0};
    made = lb_report_published_table(r, p->expected_csv, p->v->options, p->f, &text, &outside);
    LB_TRY(titled(p, "Published numbers", &text, made));
    text = (lb_str){0};
    made = lb_report_literature_table(r, p->expected_csv, p->v->options, p->f, false, &text);
    return titled(p, "Literature", &text, made);
}

static lb_status prompts(const page *p) {
    lb_str text = {0};
    lb_status made = lb_report_prompts(p->v, p->f, &text);
    return titled(p, "One prompt", &text, made);
}

static lb_status figure(const page *p, const lb_plot_entry *e) {
    if (p->f == LB_TABLE_HTML) {
        char *dir = lb_fs_join(p->v->r->dir, "report/plots");
        if (!dir) return LB_E_NOMEM;
        lb_status st = lb_html_figure(p->out, dir, e->name, e->caption);
        lb_free(dir);
        return st;
    }
    if (p->f == LB_TABLE_LATEX) {
        lb_str_add(
            p->out,
            "\\begin{figure}[!hbp]\n\\centering\n"
            "\\includegraphics[width=\\linewidth,height=0.5\\textheight,keepaspectratio]{\\detokenize{plots/%s}}\n"
            "\\caption{",
            e->name);
        lb_markup_text(p->out, p->f, e->caption);
        lb_str_add(p->out, "}\\label{fig:%s}\n\\end{figure}\n\n", e->name);
        return LB_OK;
    }
    lb_str_add(p->out, "![");
    lb_markup_text(p->out, p->f, e->caption);
    lb_str_add(p->out, "](plots/%s.png)\n\n*", e->name);
    lb_markup_text(p->out, p->f, e->caption);
    lb_str_add(p->out, "* ([svg](plots/%s.svg), [pdf](plots/%s.pdf), [script](plots/%s.gp), [data](plots/%s.dat))\n\n",
               e->name, e->name, e->name, e->name);
    return LB_OK;
}

static lb_status figures(const page *p) {
    bool any = false;
    for (int64_t i = 0; i < p->plots->n; i++) {
        if (!p->plots->at[i].drawn) continue;
        if (!any) lb_markup_heading(p->out, p->f, 2, "Plots");
        any = true;
        LB_TRY(figure(p, &p->plots->at[i]));
    }
    return LB_OK;
}

static void cell_name(const page *p, const char *head, const lb_record *c, const char *tail) {
    lb_str_add(p->out, "%s", head);
    lb_markup_text(p->out, p->f, c->label);
    lb_str_add(p->out, "%s", tail);
}

/* The layers of a cell in a page, folded, or a link to a file of their own. */
static lb_status layers_of(const page *p, const lb_record *c, bool linked) {
    if (p->f == LB_TABLE_HTML && !linked) {
        cell_name(p, "<details><summary>", c, "</summary>\n");
        LB_TRY(lb_report_layers(p->v->arena, c, c->label, true, p->f, p->out));
        lb_str_add(p->out, "</details>\n");
        return LB_OK;
    }
    char *file = lb_report_slug(p->v->arena, c->stem);
    if (!file) return LB_E_NOMEM;
    if (p->f == LB_TABLE_HTML) {
        lb_str_add(p->out, "<li><a href=\"tables/layers-%s.html\">", file);
        cell_name(p, "", c, "</a></li>\n");
    } else {
        cell_name(p, "- [", c, "]");
        lb_str_add(p->out, "(tables/layers-%s.md)\n", file);
    }
    return LB_OK;
}

/* A table of two hundred rows a cell: folded or linked in HTML, linked from Markdown, left to the author in LaTeX. */
static lb_status layers(const page *p) {
    if (p->f == LB_TABLE_LATEX) return LB_OK;
    bool any = false, linked = lb_report_layers_apart(p->v->r), list = linked && p->f == LB_TABLE_HTML;
    for (int64_t i = 0; i < p->v->r->n; i++) {
        const lb_record *c = &p->v->r->record[i];
        if (!lb_report_has_layers(c)) continue;
        if (!any) lb_markup_heading(p->out, p->f, 2, "Layers");
        if (!any && list) lb_str_add(p->out, "<ul>\n");
        any = true;
        LB_TRY(layers_of(p, c, linked));
    }
    if (any && list) lb_str_add(p->out, "</ul>\n");
    if (any) lb_str_add(p->out, "\n");
    return LB_OK;
}

lb_status lb_report_layers_page(const lb_report_view *v, const lb_record *c, lb_str *out) {
    LB_TRY(lb_html_begin(out, c->label));
    lb_markup_heading(out, LB_TABLE_HTML, 1, c->label);
    lb_markup_paragraph(out, LB_TABLE_HTML, v->r->name);
    LB_TRY(lb_report_layers(v->arena, c, c->label, true, LB_TABLE_HTML, out));
    lb_str_add(out, "<p><a href=\"../index.html\">All cells</a></p>\n");
    lb_html_end(out);
    return lb_str_check(out);
}

/* Where a document's rows cannot fold, the commands that make cells again stand together. */
static lb_status again(const page *p) {
    lb_str text = {0};
    if (p->f != LB_TABLE_MARKDOWN) return LB_OK;
    lb_report_all_again(p->v->r, &text);
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && text.len) {
        lb_markup_heading(p->out, p->f, 2, "Again");
        lb_markup_paragraph(p->out, p->f,
                            "Each cell's result holds its config. These make one again, with the baseline, in a folder "
                            "of its own beside this one:");
        lb_markup_code(p->out, p->f, text.s);
    }
    lb_str_free(&text);
    return st;
}

static lb_status body(const page *p) {
    LB_TRY(summary(p));
    LB_TRY(lb_report_folder_notes(p->v, p->f, p->out));
    lb_markup_heading(p->out, p->f, 2, "Results");
    LB_TRY(lb_report_main_tables(p->v, p->f, p->out));
    if (p->f == LB_TABLE_HTML && p->v->rows)
        lb_markup_paragraph(
            p->out, p->f,
            "\"again\" beside a row has the command that makes its cells again, with the baseline, in a "
            "folder of their own beside this one: each cell's result holds its config.");
    LB_TRY(lb_report_absent_list(p->v, p->f, p->out));
    lb_markup_heading(p->out, p->f, 3, "How to read the table");
    LB_TRY(lb_report_notes(p->v, p->f, p->out));
    LB_TRY(expected(p));
    LB_TRY(prompts(p));
    LB_TRY(figures(p));
    if (p->v->rows) {
        part(p, "Sizes");
        LB_TRY(lb_report_sizes(p->v, p->f, p->out));
    }
    LB_TRY(layers(p));
    LB_TRY(again(p));
    part(p, "Provenance");
    LB_TRY(lb_report_provenance(p->v, p->f, p->out));
    if (p->f != LB_TABLE_LATEX) lb_markup_heading(p->out, p->f, 2, "Citations");
    return lb_report_citations(p->v, p->f, p->out);
}

lb_status lb_report_page(const lb_report_view *v, const lb_plot_list *plots, const char *expected_csv,
                         lb_table_format f, lb_str *out) {
    page p = {v, plots, expected_csv, f, out};
    bool same = strcmp(v->r->name, v->r->model_name) == 0;
    char *title = same ? lb_arena_strdup(v->arena, v->r->name)
                       : lb_arena_printf(v->arena, "%s: %s", v->r->name, v->r->model_name);
    if (!title) return LB_E_NOMEM;
    if (f == LB_TABLE_HTML) LB_TRY(lb_html_begin(out, title));
    /* The LaTeX frame has a title of its own, which it takes from these. */
    if (f == LB_TABLE_LATEX) {
        lb_str_add(out, "\\lowbittitle{");
        lb_markup_text(out, f, title);
        lb_str_add(out, "}\n\n");
    } else {
        lb_markup_heading(out, f, 1, title);
    }
    LB_TRY(body(&p));
    if (f == LB_TABLE_HTML) lb_html_end(out);
    return lb_str_check(out);
}

/* The parts that report pages are made of. */
#ifndef LB_REPORT_PARTS_H
#define LB_REPORT_PARTS_H

#include "report/table.h"
#include "report/view.h"

/* Tables. */
LB_NODISCARD lb_status lb_report_main_tables(const lb_report_view *v, lb_table_format f, lb_str *out);
/* Sentences made of the numbers, which the page begins with. */
LB_NODISCARD lb_status lb_report_words(const lb_report_view *v, const char *const **item, size_t *n);
/* The same as LaTeX for an author's own text, an evaluation a table. */
LB_NODISCARD lb_status lb_report_paper_tables(const lb_report_view *v, lb_latex_form form, lb_str *out);
/* The command that makes a cell again: lowbit run 'results/demo/CELL.h5', one line to be copied. */
void lb_report_again(const lb_results *r, const lb_record *c, lb_str *out);
/* Those of all cells that have a result, each behind a line "# LABEL". */
void lb_report_all_again(const lb_results *r, lb_str *out);
/* Failed and refused cells with their reasons; nothing if there are none. */
LB_NODISCARD lb_status lb_report_absent_list(const lb_report_view *v, lb_table_format f, lb_str *out);
/* Cells that have not run, files that are gone or cannot be read, results that are not shown; nothing if all is there.
 */
LB_NODISCARD lb_status lb_report_folder_notes(const lb_report_view *v, lb_table_format f, lb_str *out);
/* Everything a reader must know to read the tables: what the baseline is, protocols, +-, flags, warnings. */
LB_NODISCARD lb_status lb_report_notes(const lb_report_view *v, lb_table_format f, lb_str *out);
LB_NODISCARD lb_status lb_report_layers(lb_arena *a, const lb_record *c, const char *name, bool wide, lb_table_format f,
                                        lb_str *out);
bool lb_report_has_layers(const lb_record *c);
/* So many that a browser would be slow with them in one page: each cell's table is then a page beside the others,
 * tables/layers-CELL.html, which index.html links. */
bool lb_report_layers_apart(const lb_results *r);
LB_NODISCARD lb_status lb_report_layers_page(const lb_report_view *v, const lb_record *c, lb_str *out);
LB_NODISCARD lb_status lb_report_sizes(const lb_report_view *v, lb_table_format f, lb_str *out);
/* How the cells continue the prompts that their configs gave; nothing if there are none. */
LB_NODISCARD lb_status lb_report_prompts(const lb_report_view *v, lb_table_format f, lb_str *out);
/* What all done cells share, then what differs. */
LB_NODISCARD lb_status lb_report_provenance(const lb_report_view *v, lb_table_format f, lb_str *out);
/* A cell's rules for single layers, as its resolved config has them: match: "*.down" bits: 4; match: ...; false: none.
 */
bool lb_report_rules(const lb_record *c, lb_str *out);
/* What "embedding" or "head" is quantized by, where that is not the cell's method: rtn bits=8 group=row; false: it is.
 */
bool lb_report_end(const lb_record *c, const char *which, lb_str *out);
/* The value of the first indented line "key: value" of the resolved config; false: there is none. */
bool lb_report_config_value(const lb_record *c, const char *key, lb_str *out);
LB_NODISCARD lb_status lb_report_citations(const lb_report_view *v, lb_table_format f, lb_str *out);
const char *lb_report_reference(const char *key); /* authors, title, where; NULL: not known */
const char *lb_report_reference_key(size_t i);    /* every key that is known; NULL past the last */
/* The keys that the done cells cite, each once. */
LB_NODISCARD lb_status lb_report_cited(const lb_report_view *v, const char ***key, size_t *n);

/* A picture of report/plots, and what its caption says. */
typedef struct lb_plot_entry {
    const char *name, *caption;
    bool drawn; /* svg, png and pdf are there */
} lb_plot_entry;
typedef struct lb_plot_list {
    lb_plot_entry *at;
    int64_t n;
} lb_plot_list;

/* A whole document: "index.html", "report.md", or the body that paper/report.tex takes. `plots` may be empty;
 * expected_csv may be NULL. */
LB_NODISCARD lb_status lb_report_page(const lb_report_view *v, const lb_plot_list *plots, const char *expected_csv,
                                      lb_table_format f, lb_str *out);

#endif

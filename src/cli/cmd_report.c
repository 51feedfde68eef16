/* lowbit report DIR */
#include <stddef.h>
#include <string.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "cli/planned.h"
#include "report/report.h"
#include "report/select.h"
#include "result/store.h"
#include "run/papers.h"

typedef struct report_flags {
    int format, adjust, latex;
    const char *layers, *compare, *reference, *expected, *plots, *where, *columns, *sort;
    bool write, wide, all, significant, cells;
} report_flags;

static const char *const format_choices[] = {"terminal", "markdown", "csv", "latex", "html", NULL};
static const lb_table_format format_of[] = {LB_TABLE_TERMINAL, LB_TABLE_MARKDOWN, LB_TABLE_CSV, LB_TABLE_LATEX,
                                            LB_TABLE_HTML};
static const char *const adjust_choices[] = {"none", "holm", NULL}; /* as lb_adjust */
/* As lb_latex_form, and again with siunitx. */
enum { LATEX_FORMS = 4 };
static const char *const latex_choices[] = {"float",        "wide",           "column",          "tabular", "siunitx",
                                            "siunitx-wide", "siunitx-column", "siunitx-tabular", NULL};
static const lb_option flags[] = {
    {"format", LB_OPT_CHOICE, "terminal", 0, 0, format_choices, "of the table that is printed",
     offsetof(report_flags, format)},
    {"latex", LB_OPT_CHOICE, "float", 0, 0, latex_choices,
     "of --format latex and tables/main.tex: for a page of one column, over both columns of a page, for one of two "
     "columns, "
     "the bare tabular; with siunitx, in columns that this package aligns",
     offsetof(report_flags, latex)},
    {"layers", LB_OPT_STR, "", 0, 0, NULL, "print the layers of this cell (its label or file name) instead",
     offsetof(report_flags, layers)},
    {"compare", LB_OPT_STR, "", 0, 0, NULL,
     "print the differences of all rows to this one or to one cell, over the same windows, with intervals and p, "
     "instead",
     offsetof(report_flags, compare)},
    {"reference", LB_OPT_STR, "", 0, 0, NULL,
     "differences of the main table are to this row or cell, and marks with them, instead of to the baseline",
     offsetof(report_flags, reference)},
    {"significant", LB_OPT_BOOL, "false", 0, 0, NULL,
     "mark with * what differs from the baseline, or from the row of --reference or --compare",
     offsetof(report_flags, significant)},
    {"adjust", LB_OPT_CHOICE, "none", 0, 0, adjust_choices,
     "of p over the comparisons on an evaluation; with --significant marks are by it", offsetof(report_flags, adjust)},
    {"expected", LB_OPT_STR, "", 0, 0, NULL,
     "a table of expected values (docs/experiments.md); default: expected.csv of the folder, if there is one",
     offsetof(report_flags, expected)},
    {"all", LB_OPT_BOOL, "false", 0, 0, NULL, "also what earlier sweeps left in the folder",
     offsetof(report_flags, all)},
    {"where", LB_OPT_STR, "", 0, 0, NULL,
     "only cells that it holds for, with names as in cells.csv: \"bits <= 3 and (method = gptq or label ~ 'qat*')\"",
     offsetof(report_flags, where)},
    {"columns", LB_OPT_STR, "", 0, 0, NULL,
     "the columns of the main table in their order, names of cells.csv and of options: label,ppl,delta,rules",
     offsetof(report_flags, columns)},
    {"sort", LB_OPT_STR, "", 0, 0, NULL, "order of its rows: a name as above; with - before it, the greatest first",
     offsetof(report_flags, sort)},
    {"cells", LB_OPT_BOOL, "false", 0, 0, NULL, "print the rows of cells.csv instead", offsetof(report_flags, cells)},
    {"wide", LB_OPT_BOOL, "false", 0, 0, NULL, "every column, however narrow the terminal",
     offsetof(report_flags, wide)},
    {"plots", LB_OPT_STR, "", 0, 0, NULL,
     "a file that says how plots look (docs/report.md); default: plots.yaml of the folder, if there is one",
     offsetof(report_flags, plots)},
    {"write", LB_OPT_BOOL, "true", 0, 0, NULL, "write tables, plots and pages; --no-write only prints",
     offsetof(report_flags, write)},
};

/* The file asked for, or the one that a run left beside the results (dir NULL: none is looked for); NULL: none. */
static lb_status expected_path(const report_flags *f, const char *dir, lb_arena *a, const char **out) {
    *out = NULL;
    if (!dir && !f->expected[0]) return LB_OK;
    if (f->expected[0]) {
        *out = f->expected;
        return LB_OK;
    }
    char *path = lb_fs_join(dir, "expected.csv");
    if (!path) return LB_E_NOMEM;
    bool there = lb_fs_exists(path);
    if (there) *out = lb_arena_strdup(a, path);
    lb_free(path);
    return there && !*out ? LB_E_NOMEM : LB_OK;
}

/* "a,b": the names, without blanks around them. */
static lb_status split(lb_arena *a, const char *list, const char *const **out, int64_t *n) {
    const char **name = LB_NEW(a, const char *, strlen(list) + 1);
    char *rest = lb_arena_strdup(a, list), *one;
    if (!name || !rest) return LB_E_NOMEM;
    *n = 0;
    while (list[0] && (one = strsep(&rest, ","))) {
        one += strspn(one, " ");
        for (size_t end = strlen(one); end && one[end - 1] == ' ';) one[--end] = 0;
        if (!one[0]) return lb_fail(LB_E_ARG, "--columns: '%s': a name is empty", list);
        name[(*n)++] = one;
    }
    *out = name;
    return LB_OK;
}

static lb_status options_of(const report_flags *f, lb_arena *a, lb_report_options *o) {
    const char *const alone = f->layers[0] ? "layers" : f->compare[0] ? "compare" : f->cells ? "cells" : NULL;
    *o = (lb_report_options){.wide = f->wide,
                             .sort = f->sort[0] ? f->sort : NULL,
                             .plots = f->plots[0] ? f->plots : NULL,
                             .reference = f->reference[0] ? f->reference : NULL,
                             .significant = f->significant,
                             .adjust = (lb_adjust)f->adjust,
                             .latex = (lb_latex_form)(f->latex % LATEX_FORMS),
                             .siunitx = f->latex >= LATEX_FORMS};
    if (f->adjust && !f->significant && !f->compare[0])
        return lb_fail(LB_E_ARG, "--adjust is for --compare and --significant");
    if (f->significant && f->layers[0]) return lb_fail(LB_E_ARG, "--significant is not for --layers");
    if (f->cells && strcmp(alone, "cells") != 0) return lb_fail(LB_E_ARG, "--cells is not for --%s", alone);
    if (alone && f->reference[0]) return lb_fail(LB_E_ARG, "--reference is for the main table: not with --%s", alone);
    if (alone && (f->columns[0] || f->sort[0]))
        return lb_fail(LB_E_ARG, "--columns and --sort are for the main table: not with --%s", alone);
    return split(a, f->columns, &o->column, &o->columns);
}

static lb_status render(const report_flags *f, const lb_results *r, const lb_report_options *o, const char *expected,
                        lb_str *out, int64_t *outside, int64_t *differs) {
    lb_table_format format = format_of[f->format];
    *outside = *differs = 0;
    if (f->layers[0]) {
        int64_t cell;
        LB_TRY(lb_report_find_cell(r, f->layers, &cell));
        return lb_report_layer_table(r, cell, o, format, out);
    }
    if (f->compare[0]) return lb_report_compare_table(r, f->compare, o, format, out);
    if (f->cells) return lb_report_cells_csv(r, out);
    LB_TRY(lb_report_table(r, o, format, out));
    /* Two tables in one CSV would be none, and a paper's file has the table and nothing else. */
    if (!expected || format == LB_TABLE_CSV) return LB_OK;
    lb_str apart = {0};
    lb_status st =
        lb_cli_expected_tables(r, expected, o, format, format == LB_TABLE_LATEX ? &apart : out, outside, differs);
    lb_str_free(&apart);
    return st;
}

/* The cells that were asked for, all without --where. */
static lb_status selected(const report_flags *f, lb_arena *a, const lb_results *all, lb_results *out) {
    lb_select *where;
    *out = *all;
    if (!f->where[0]) return LB_OK;
    LB_TRY(lb_select_parse(a, f->where, &where));
    return lb_select_apply(a, all, where, out);
}

/* What several folders, several sweeps or a part of one give is printed, and so are differences to another row than the
 * baseline; the report of a folder is that of its sweep. */
static bool is_whole(const report_flags *f, const lb_cli_args *args) {
    return !f->where[0] && !f->reference[0] && !f->all && args->n_positional == 1;
}

static lb_status report(const report_flags *f, const lb_results *all, bool whole, lb_arena *a, lb_log *log,
                        int *exit_code) {
    const char *expected;
    lb_report_options o;
    lb_results part;
    const lb_results *r = &part;
    lb_str out = {0};
    int64_t outside = 0, differs = 0;
    bool write = f->write && whole;
    LB_TRY(options_of(f, a, &o));
    LB_TRY(selected(f, a, all, &part));
    LB_TRY(expected_path(f, whole ? r->dir : NULL, a, &expected));
    if (expected) LB_TRY(lb_papers_find(a, &o.papers));
    lb_status st = render(f, r, &o, expected, &out, &outside, &differs);
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK && write) st = lb_report_write(r, &o, expected, log);
    if (st == LB_OK) st = lb_starved_check();
    if (st == LB_OK && out.s) lb_cli_print(out.s);
    lb_str_free(&out);
    LB_TRY(st);
    if (write) lb_info(log, "written: %s/report/index.html", r->dir);
    if (f->write && !whole)
        lb_info(log, "nothing is written: the report in a folder is that of its whole sweep and baseline");
    for (int64_t i = 0; i < all->unread; i++) lb_warn(log, "%s", all->notice[i]); /* no CSV has notices */
    if (all->unread) *exit_code = 1;
    lb_cli_expected_warn(outside, differs, log, exit_code);
    return LB_OK;
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    const report_flags *f = values;
    lb_results *r = NULL;
    if (args->n_positional == 1)
        LB_TRY(f->all ? lb_store_read_all(args->positional[0], &r) : lb_store_read_results(args->positional[0], &r));
    else
        LB_TRY(lb_store_read_several(args->positional, args->n_positional, f->all, &r));
    lb_status st = report(f, r, is_whole(f, args), a, log, exit_code);
    lb_results_free(r);
    return st;
}

const lb_command lb_cmd_report = {
    .name = "report",
    .usage = "DIR... [--all] [--where EXPRESSION] [--columns NAMES] [--sort NAME] [--compare CELL] [OPTION]...",
    .summary = "tables, plots and pages of a results folder again, without the model",
    .details =
        "Writes DIR/cells.csv and DIR/report/ (index.html, report.md, body.tex, tables, plots), and prints the "
        "main table.\nSeveral folders, --all and --where only print: differences are between cells of one model, "
        "text and protocol.\nExit code 1 when a value is outside the tolerance of the expected one, or differs from a "
        "published one, or a folder of several is left out because its index cannot be read.",
    .example = "lowbit report results/demo --where 'bits <= 3' --sort ppl",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(report_flags)},
    .min_positional = 1,
    .max_positional = -1,
    .looks_itself = true,
    .run = run,
};

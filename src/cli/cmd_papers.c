/* lowbit papers [MODEL] [METHOD] */
#include <stddef.h>
#include <string.h>

#include "cli/commands.h"
#include "run/papers.h"

typedef struct papers_flags {
    const char *paper, *table, *protocol;
    bool runnable;
    int format;
} papers_flags;

enum { AS_TABLE, AS_CSV, AS_EXPECTED, AS_CONFIG };
static const char *const format_choices[] = {"table", "csv", "expected", "config", NULL};
static const lb_option flags[] = {
    {"paper", LB_OPT_STR, "", 0, 0, NULL, "only numbers of this paper", offsetof(papers_flags, paper)},
    {"table", LB_OPT_STR, "", 0, 0, NULL, "only those of this table of it, such as T3", offsetof(papers_flags, table)},
    {"protocol", LB_OPT_STR, "", 0, 0, NULL, "only those of this protocol, such as W2-2048",
     offsetof(papers_flags, protocol)},
    {"runnable", LB_OPT_BOOL, "false", 0, 0, NULL, "only those that this program can run",
     offsetof(papers_flags, runnable)},
    {"format", LB_OPT_CHOICE, "table", 0, 0, format_choices,
     "a table; CSV with sources and commands; an experiment's expected.csv; a config of what can be run",
     offsetof(papers_flags, format)},
};

enum { PAPER, TABLE, MODEL, METHOD, BITS, GROUP, PROTOCOL, VALUE, TRUST, COLUMNS };
static const char *const head[COLUMNS] = {"paper", "table",    "model", "method", "bits",
                                          "group", "protocol", "value", "trust"};

static const char *field(const lb_papers_row *r, int c) {
    const lb_published *x = r->x;
    const char *const text[COLUMNS] = {x->paper, x->table,    x->model->name, x->method_name,          x->bits,
                                       x->group, x->protocol, x->text,        lb_trust_names[x->trust]};
    return text[c];
}

static void print_rows(const lb_papers_row *row, size_t n, lb_str *out) {
    int width[COLUMNS];
    for (int c = 0; c < COLUMNS; c++) width[c] = (int)strlen(head[c]);
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < COLUMNS; c++)
            if ((int)strlen(field(&row[i], c)) > width[c]) width[c] = (int)strlen(field(&row[i], c));
    for (int c = 0; c < COLUMNS; c++) lb_str_add(out, c == VALUE ? "%*s  " : "%-*s  ", width[c], head[c]);
    lb_str_add(out, "runs\n");
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < COLUMNS; c++) lb_str_add(out, c == VALUE ? "%*s  " : "%-*s  ", width[c], field(&row[i], c));
        lb_str_add(out, "%s%s%s%s\n", row[i].runs_how, row[i].cell.entry && row[i].x->method->note[0] ? " (" : "",
                   row[i].cell.entry ? row[i].x->method->note : "",
                   row[i].cell.entry && row[i].x->method->note[0] ? ")" : "");
    }
}

/* What brings the rows, each command once. */
static void print_commands(const lb_papers_row *row, size_t n, lb_str *out) {
    enum { MOST = 20 };
    size_t shown = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        bool before = !row[i].command[0];
        for (size_t k = 0; k < i && !before; k++) before = strcmp(row[k].command, row[i].command) == 0;
        if (before) continue;
        if (shown++ < MOST)
            lb_str_add(out, "  %s\n", row[i].command);
        else
            left++;
    }
    if (left) lb_str_add(out, "  and %zu more: a MODEL, a METHOD, --paper or --table make it fewer\n", left);
}

static void print_all(const lb_papers *p, const lb_papers_row *row, size_t n, lb_str *out) {
    size_t yes = 0, fetch = 0;
    print_rows(row, n, out);
    for (size_t i = 0; i < n; i++) {
        yes += row[i].runs && strcmp(row[i].runs_how, "yes") == 0;
        fetch += row[i].runs && strcmp(row[i].runs_how, "yes") != 0;
    }
    lb_str_add(out, "\n%zu of %zu published numbers; %zu can be run now, %zu when their files have been fetched\n", n,
               p->rows, yes, fetch);
    print_commands(row, n, out);
}

static const char *or_any(const char *text) { return text[0] ? text : NULL; }

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)log, (void)exit_code;
    const papers_flags *f = values;
    const lb_papers_wish wish = {.model = args->n_positional > 0 ? args->positional[0] : NULL,
                                 .method = args->n_positional > 1 ? args->positional[1] : NULL,
                                 .paper = or_any(f->paper),
                                 .table = or_any(f->table),
                                 .protocol = or_any(f->protocol),
                                 .runnable = f->runnable};
    lb_papers p;
    lb_papers_row *row;
    size_t n;
    LB_TRY(lb_papers_open(a, &p));
    LB_TRY(lb_papers_choose(a, &p, &wish, &row, &n));
    lb_str out = {0};
    lb_status st = LB_OK;
    if (f->format == AS_CSV)
        st = lb_papers_csv(row, n, &out);
    else if (f->format == AS_EXPECTED)
        st = lb_papers_expected(row, n, &out);
    else if (f->format == AS_CONFIG)
        st = lb_papers_config(a, row, n, &out);
    else
        print_all(&p, row, n, &out);
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_papers = {
    .name = "papers",
    .usage = "[MODEL] [METHOD] [--paper PAPER] [--table TABLE] [--protocol ID] [--runnable] [--format FORMAT]",
    .summary = "published numbers, which of them can be run here, and by which command",
    .details =
        "Names are taken in letters of any case, with * and ? for others: lowbit papers 'opt*' gptq. How numbers\n"
        "are compared, and what their trust means: docs/experiments.md.",
    .example = "lowbit papers OPT-125M GPTQ --protocol W2-2048",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(papers_flags)},
    .max_positional = 2,
    .run = run,
};

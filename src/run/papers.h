/* Published numbers beside what this program can do about them: which of them it can run, and by which command. */
#ifndef LB_RUN_PAPERS_H
#define LB_RUN_PAPERS_H

#include "base/str.h"
#include "result/published.h"

/* The lists that come with the program, or lie in data/papers of the current folder. LB_E_ARG: they are nowhere. */
LB_NODISCARD lb_status lb_papers_open(lb_arena *a, lb_papers *out);

/* The same; NULL: they are nowhere. */
LB_NODISCARD lb_status lb_papers_find(lb_arena *a, const lb_papers **out);

/* Names in letters of any case, '*' and '?' for others; NULL: any. */
typedef struct lb_papers_wish {
    const char *model;  /* as published, or as a source is called */
    const char *method; /* as published, or as it is called here */
    const char *paper, *table, *protocol;
    bool runnable;
} lb_papers_wish;

typedef struct lb_papers_row {
    const lb_published *x;
    lb_published_cell cell;
    bool runs;            /* here, at the latest when its files have been fetched */
    const char *runs_how; /* "yes", "fetch opt-125m first", "no: AWQ is not here" */
    const char *command;  /* "": none */
    const char *experiment;
    const char *calibration; /* as in a config, as the paper has it: "text: c4-train-0, recipe: documents, ..." */
} lb_papers_row;

/* The rows of a wish, in the order of the file, at least one. LB_E_ARG: one of its names fits nothing, with the nearest
 * that does; nothing has all of them; or none of what there is can be run. */
LB_NODISCARD lb_status lb_papers_choose(lb_arena *a, const lb_papers *p, const lb_papers_wish *w, lb_papers_row **out,
                                        size_t *n);

/* LB_E_ARG that says so, with the first one's reason. */
LB_NODISCARD lb_status lb_papers_none_runs(const lb_papers_row *row, size_t n);

/* A list of expected values (docs/experiments.md) of all rows, also of those that do not run. */
LB_NODISCARD lb_status lb_papers_expected(const lb_papers_row *row, size_t n, lb_str *out);
LB_NODISCARD lb_status lb_papers_csv(const lb_papers_row *row, size_t n, lb_str *out);
/* A config of those that run. LB_E_ARG: none does. */
LB_NODISCARD lb_status lb_papers_config(lb_arena *a, const lb_papers_row *row, size_t n, lb_str *out);

#endif

/* How a report looks at records: cells that differ only by seed make one row; evaluations of the same text, protocol,
 * BOS rule, windows and compute make one block, and two blocks are never compared. Nor are two models: what has numbers
 * of several cells is made of the view of each model. */
#ifndef LB_REPORT_VIEW_H
#define LB_REPORT_VIEW_H

#include "report/report.h"
#include "result/figures.h"
#include "result/record.h"

typedef struct lb_report_row {
    const char *label;      /* as the sweep calls it; over seeds the cells' label without " s1" */
    const char *name;       /* method and what varies, without bits, group and seed; unique with them */
    const char *short_name; /* the same with bits and group: for legends */
    const char *series;     /* the same without bits: a line through bit widths */
    const lb_record **cell; /* done cells */
    int64_t cells;
    int64_t lost; /* seeds that have no result, or were not chosen */
    uint32_t flags;
    bool baseline;
    bool twin; /* what a row before it is, but for the products of its evaluations: layers, sizes and curves are its */
} lb_report_row;

typedef struct lb_report_block {
    const lb_eval_row *eval; /* the first of its kind */
    const char *name;        /* of its text, told apart from any other text */
    const char *title;       /* "wikitext-2, W2-2048, 20 of 148 windows" */
    const char *id;          /* for file names: "wikitext-2-W2-2048", with a number where two would agree */
    const char *compute;     /* "bf16" where another block is the same but for that; else NULL */
    bool either;             /* in whatever the products were: for differences between rows, not for a table of them */
} lb_report_block;

typedef struct lb_report_view {
    lb_arena *arena;
    const lb_results *r, *whole;      /* of the view; of all its models */
    const lb_report_options *options; /* never NULL */
    lb_report_row *row;               /* baseline first, then the order of the sweep */
    int64_t rows;
    lb_report_block *block;
    int64_t blocks;
    const lb_record **absent; /* failed and refused */
    int64_t absents;
    bool seeds;                         /* some row has several */
    const struct lb_report_view *model; /* (models) of each model's records alone; of one model: the same again */
    int64_t models;                     /* 0: this is the view of a model */
} lb_report_view;
/* `o` may be NULL: the usual; it must outlive the view. LB_E_ARG: no model has its reference. */
LB_NODISCARD lb_status lb_report_view_make(lb_arena *a, const lb_results *r, const lb_report_options *o,
                                           lb_report_view *out);
/* A row by its label, or a cell by its own or by its file's name: `row` with its seeds, `cell` if it is one alone. A
 * cell without a result has no row. LB_E_ARG: there is none, or several models have one. */
LB_NODISCARD lb_status lb_report_find_row(const lb_report_view *v, const char *name, const lb_report_row **row,
                                          const lb_record **cell);
/* What the name stands for as one side of comparisons: a row, or of one cell among several seeds a row of it *alone.
 * LB_E_ARG: as above, or it has no evaluation. */
LB_NODISCARD lb_status lb_report_find_side(const lb_report_view *v, const char *name, lb_report_row *out, bool *alone);
/* The records of each model, in the order of first sight; of one model, all as they are. */
LB_NODISCARD lb_status lb_report_by_model(lb_arena *a, const lb_results *r, lb_results **out, int64_t *n);
bool lb_report_same_model(const lb_record *x, const lb_record *y);    /* by weights, where both know theirs */
bool lb_report_same_but_seed(const lb_record *x, const lb_record *y); /* two seeds of one row */
/* What tells its row's cells apart: the cell's seed, or, where that of the calibration alone is varied, that one. */
uint64_t lb_report_seed_of(const lb_record *c);
/* An axis of the calibration's seed makes cells of one row, unless there is one of the cells' seeds too. */
bool lb_report_calibration_seeds(const lb_record *c);
/* The word of that seed in a sweep's label, with the blank before it: " s1", or " seed=1". */
size_t lb_report_seed_word(const lb_record *c, char out[48]);
/* Text, protocol, BOS rule, windows, and what the products were in. */
bool lb_report_same_evaluation(const lb_eval_row *x, const lb_eval_row *y);
bool lb_report_same_windows(const lb_eval_row *x, const lb_eval_row *y);         /* the same but for the products */
const lb_eval_row *lb_report_eval(const lb_record *c, const lb_report_block *b); /* NULL: none of this block */
/* A baseline whose evaluation in this block another one before it has, of several sweeps. */
bool lb_report_is_repeated(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b);

/* Accuracies of a task, as shares; over several seeds means. Differences are to the baseline, or to the reference. */
typedef struct lb_report_task {
    bool has, has_delta;
    double acc, acc_se, acc_norm, acc_norm_se; /* acc_norm NaN: the task has none */
    double delta, delta_norm;
    double p, p_norm; /* McNemar's, over several seeds lb_mcnemar_seeds'; NaN: not known */
} lb_report_task;

/* A row in a block. Over several seeds: means, of the perplexity the geometric one, so that it is exp(delta) times the
 * baseline's; its standard error by the text, on average and relative; and the interval of lb_seeds_difference. */
typedef struct lb_report_quality {
    int64_t seeds; /* 0: not evaluated */
    double ppl, se, mean_nll;
    double sd;               /* over seeds, of ln PPL and so of the difference too */
    double ppl_mean, ppl_sd; /* over seeds, arithmetic */
    bool has_delta;
    lb_paired delta;
    bool has_kl;
    double kl, kl_median, kl_p99, top1;
    double accept, speedup; /* NaN: not measured */
    lb_report_task task;
} lb_report_quality;
LB_NODISCARD lb_status lb_report_quality_of(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b,
                                            lb_report_quality *out);

/* The interval of a row over several seeds as one of its perplexity, the baseline's held fixed; without one, ppl twice.
 */
void lb_report_ppl_bar(const lb_report_quality *q, double *low, double *high);

lb_model_error lb_report_error_mean(const lb_report_row *row, bool original); /* over seeds */

double lb_report_seconds(const lb_report_row *row);                 /* mean over seeds */
const char *lb_report_group_text(const lb_record *c, char out[32]); /* "row", "tensor", "64", "" */
const char *lb_report_pair(const lb_pairs *p, const char *key);     /* NULL: none */
const char *lb_report_compute(const lb_record *c);                  /* "float32", "bf16": of its evaluations */
bool lb_report_trained(const lb_report_row *row);
int lb_report_act_bits(const lb_record *c); /* of quantized inputs; 0: they are not */
/* Of each path its end: the file's name, with as many of its folders before it as no other of them ends in; of a
 * mixture "a + b" those of both. NULL stays. */
LB_NODISCARD lb_status lb_report_path_ends(lb_arena *a, const char **path, int64_t n);
/* Letters, digits, '-', '.' and '_' stay, anything else becomes '-': for file names and ids. */
char *lb_report_slug(lb_arena *a, const char *text);

#endif

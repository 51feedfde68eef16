/* Columns that a user chose, and the order of rows: any fact of cells.csv by its name, a table's own columns where they
 * show it. */
#ifndef LB_REPORT_COLUMNS_H
#define LB_REPORT_COLUMNS_H

#include "report/facts.h"
#include "report/table.h"

/* A column of a table that shows a fact: its text, and where the exact number stands. */
typedef struct lb_own_column {
    const char *fact;
    size_t text, exact;
} lb_own_column;

typedef struct lb_columns {
    const lb_table_column *all; /* the table's own, then one for each other name */
    size_t own, n;
    const char **name;    /* (n - own) what those others show */
    struct lb_pick *pick; /* (picks) in the order that was asked for */
    size_t picks;         /* 0: nothing was chosen, the table is as it is */
} lb_columns;

/* Figures of rows over seeds that no cell has, for --columns and --sort; ends with name NULL. */
extern const lb_fact lb_row_facts[];

/* LB_E_ARG: a name of v's options is none. `own` ends with a fact NULL. Of the whole of several models or evaluations,
 * which of them comes first. */
LB_NODISCARD lb_status lb_columns_choose(const lb_report_view *v, const lb_table_column *col, size_t n,
                                         const lb_own_column *own, lb_columns *out);
/* What the table's own columns do not have, for its last row. b: may be NULL. */
LB_NODISCARD lb_status lb_columns_put(const lb_columns *x, const lb_report_view *v, const lb_report_row *row,
                                      const lb_report_block *b, lb_table *t);
/* The table with the chosen columns alone, in their order. */
LB_NODISCARD lb_status lb_columns_pick(const lb_columns *x, lb_table *t, lb_table **out);

/* A name as it is called here: "PPL" is ppl. LB_E_ARG: nothing is called so, and no option of these cells either. */
LB_NODISCARD lb_status lb_report_fact_name(lb_arena *a, const lb_results *r, const char *name, const char **out);
/* Of a row in a block (NULL: of the cells alone), by a fact's name: over several seeds what the table shows there, else
 * what all share, the mean of numbers, or every value. */
LB_NODISCARD lb_status lb_report_row_fact(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b,
                                          const char *name, lb_fact_value *out);
/* For CSV, as no name of a row says them unless they tell it from others: the rules of its single layers, if any. */
LB_NODISCARD lb_status lb_report_put_rules(const lb_report_view *v, const lb_report_row *row, size_t column,
                                           lb_table *t);
/* The rows in the order that the view's options ask for, the baseline first: (v->rows) pointers. */
LB_NODISCARD lb_status lb_report_sorted(const lb_report_view *v, const lb_report_block *b, const lb_report_row ***out);

#endif

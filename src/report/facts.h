/* Everything that a cell depends on and that was measured of it, under the names of cells.csv: the one table that this
 * file, the filters and columns of `lowbit report`, `lowbit help NAME` and docs/report.md come from. */
#ifndef LB_REPORT_FACTS_H
#define LB_REPORT_FACTS_H

#include "report/view.h"

typedef enum lb_fact_kind { LB_FACT_TEXT, LB_FACT_NUMBER, LB_FACT_COUNT, LB_FACT_BOOL } lb_fact_kind;

/* text: exact, as in cells.csv; "" where it is not known. number: NaN where the text is none. */
typedef struct lb_fact_value {
    bool known;
    double number;
    const char *text;
} lb_fact_value;

typedef struct lb_fact lb_fact;

/* Where a value is taken from. */
typedef struct lb_fact_source {
    lb_arena *arena;
    const lb_results *r;
    const lb_record *c;
    const lb_eval_row *e; /* NULL: the cell alone */
    const lb_fact *fact;
} lb_fact_source;

struct lb_fact {
    const char *name, *unit, *meaning; /* unit "": none; "1": a ratio */
    lb_fact_kind kind;
    bool of_eval; /* of a cell and one evaluation */
    lb_status (*get)(const lb_fact_source *s, lb_fact_value *out);
};

extern const lb_fact lb_facts[];        /* in the order of cells.csv; ends with name NULL */
extern const lb_fact lb_fact_aliases[]; /* short names for filters and columns: "b/w", "kl"; no columns of cells.csv */
const lb_fact *lb_fact_find(const char *name); /* a fact or an alias; NULL: none */

LB_NODISCARD lb_status lb_fact_get(lb_arena *a, const lb_results *r, const lb_record *c, const lb_eval_row *e,
                                   const lb_fact *f, lb_fact_value *out);
/* The same by name: a fact, an alias, "option.NAME", or NAME of an option that no fact has. e: may be NULL; what is of
 * an evaluation is then not known. LB_E_ARG: no cell of `r` has such a thing; the message has the nearest name. */
LB_NODISCARD lb_status lb_fact_of(lb_arena *a, const lb_results *r, const lb_record *c, const lb_eval_row *e,
                                  const char *name, lb_fact_value *out);
/* Every option that some cell has, in the order of first sight. */
LB_NODISCARD lb_status lb_fact_options(lb_arena *a, const lb_results *r, const char ***name, int64_t *n);
void lb_facts_markdown(lb_str *out); /* the table of docs/report.md */

/* The least and the most of the quantized layers; false: there are none. */
bool lb_report_bits_range(const lb_record *c, int *low, int *high);
/* "3", or "3–8" where quantized layers differ; "" for none. */
const char *lb_report_bits_text(const lb_record *c, char out[32]);
bool lb_report_mixed(const lb_record *c); /* they differ */

#endif

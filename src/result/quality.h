/* The quality of a model on a text, as eval/perplexity measures it by a protocol, and how two of them compare. */
#ifndef LB_RESULT_QUALITY_H
#define LB_RESULT_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "result/tasks.h"

/* How a text is cut into windows, what is scored of them, and what mean that gives (lb_protocol_form says each in
 * words). The last two score answers to items, not windows of a text. */
typedef enum lb_protocol_rule {
    LB_RULE_W2,
    LB_RULE_LCPP,
    LB_RULE_SQ,
    LB_RULE_HF,
    LB_RULE_PTB_OLD,
    LB_RULE_PTB_NEW,
    LB_RULE_C4_OLD,
    LB_RULE_C4_NEW,
    LB_RULE_LAMB,
    LB_RULE_CHOICE
} lb_protocol_rule;
typedef struct lb_protocol {
    char id[32];
    lb_protocol_rule rule;
    int64_t n, stride;    /* tokens of a window, and from the start of one to that of the next; of a task 0 */
    lb_question question; /* of LB_RULE_CHOICE */
} lb_protocol;
/* LB_E_CONFIG: unknown, with the known forms; or another spelling of one: results are compared by it. */
LB_NODISCARD lb_status lb_protocol_parse(const char *id, lb_protocol *out);

typedef struct lb_protocol_form {
    const char *form, *example; /* "HF-n/s"; what ids look like */
    const char *text;           /* what it does, in sentences */
    int64_t least;              /* tokens of the shortest window that scores one; 0: a task */
    int64_t usual;              /* of the id without a number; 0: there is none */
    lb_protocol_rule rule;
    bool stride; /* the id ends in /s */
} lb_protocol_form;
extern const lb_protocol_form lb_protocol_forms[]; /* the last: form NULL */
const lb_protocol_form *lb_protocol_form_of(lb_protocol_rule rule);

/* Between the rows of a text that has several; NULL: they are drawn, each encoded alone. And how many of them are
 * taken; 0: all. */
const char *lb_protocol_join(const lb_protocol *p);
int64_t lb_protocol_first(const lb_protocol *p);
bool lb_protocol_fixes_rows(const lb_protocol *p); /* nobody may say otherwise */
bool lb_protocol_needs_rows(const lb_protocol *p); /* a text that is one piece is none for it */
/* C4-old: windows that are drawn, of rows of at least n tokens; else 0. */
int64_t lb_protocol_draws(const lb_protocol *p);
/* Mean and +- are over tokens, not over windows. */
bool lb_protocol_over_tokens(const lb_protocol *p);
bool lb_protocol_is_task(const lb_protocol *p);

typedef struct lb_window {
    int64_t start, n; /* tokens [start, start + n) of the text */
    int64_t from;     /* the model's outputs at its positions from .. n - 2 are scored, by the token after each */
} lb_window;
/* How many windows a text of so many tokens has; 0: it is too short, or has items instead. And the i-th of them. */
int64_t lb_protocol_windows(const lb_protocol *p, int64_t tokens);
lb_window lb_protocol_window(const lb_protocol *p, int64_t tokens, int64_t i);

typedef struct lb_eval {
    lb_protocol protocol;
    int64_t windows, windows_all; /* scored; in the whole text */
    int64_t scored;               /* tokens */
    double *window_nll;           /* (windows) mean NLL of each, nats, float64 */
    double mean_nll, ppl, ppl_se; /* se as the protocol defines it */
    bool has_kl;
    double *window_kl, *window_agree;        /* (windows) means */
    double kl_mean, kl_median, kl_p99, top1; /* over the scored tokens; top1 in [0, 1] */
    int64_t speculative;                     /* tokens a round; 0: the rest was not measured */
    double *window_accept;                   /* (windows) means */
    double accept, accept_tokens;            /* mean over the scored tokens, in [0, 1]; tokens a round then */
    lb_task_result task; /* of a task: its items are the windows, window_nll sums over what is right */
} lb_eval;

/* Speculative decoding (Leviathan et al. 2023, arXiv:2211.17192): the expected tokens of a round in which `drafts` are
 * offered and each is taken with probability `accept`, on its own, up to the first that is not (eq. 1); and the
 * speed-up over decoding by the original alone, where a draft costs `cost` of the original's token (theorem 3.8). */
enum { LB_SPECULATIVE_MOST = 16 };
double lb_tokens_a_round(double accept, int64_t drafts);
double lb_speculative_speedup(double accept_tokens, int64_t drafts, double cost);

/* What runs over the same windows are compared by: (windows) values whose mean is mean_nll. They are window_nll, which
 * *out may be, unless windows differ in how many tokens they score: then each times its share of them. text_tokens: of
 * the whole text. */
LB_NODISCARD lb_status lb_eval_series(const lb_eval *e, int64_t text_tokens, lb_arena *a, const double **out);

/* Paired difference of two runs over the same windows: mean of (a - b) in nats and a 95 % percentile interval by
 * moving-block bootstrap (blocks of max(1, round(n^(1/3))) windows, 10,000 resamples, fixed seed). One window: the
 * interval is [NaN, NaN]. Kunsch 1989. */
typedef struct lb_paired {
    double delta, low, high;
    int64_t windows, block;
} lb_paired;
LB_NODISCARD lb_status lb_paired_difference(const double *a, const double *b, int64_t n, lb_paired *out);
/* The same with the two-sided p of no difference: twice the share of resamples on the other side of 0, (k + 1) / (N +
 * 1) of N (Davison and Hinkley 1997, 4.2.5). NaN: one window. */
LB_NODISCARD lb_status lb_paired_test(const double *a, const double *b, int64_t n, lb_paired *out, double *p);
/* The same without the interval, which is [NaN, NaN]. */
LB_NODISCARD lb_status lb_paired_mean(const double *a, const double *b, int64_t n, lb_paired *out);
/* Ascending; and the q-quantile (0..1) of ascending values, linear between neighbours. */
void lb_sort_f64(double *x, int64_t n);
double lb_percentile(const double *sorted, int64_t n, double q);

#endif

/* Perplexity by protocol, with what is needed to compare runs: per-window NLL, error bars, KL and agreement to a
 * baseline. */
#ifndef LB_EVAL_PERPLEXITY_H
#define LB_EVAL_PERPLEXITY_H

#include "base/log.h"
#include "base/team.h"
#include "model/corpus.h"
#include "model/forward.h"

/* W2-n: windows of n without overlap, tail dropped, n - 1 tokens scored each; mean of window means; +- PPL sd(window
 * means) / sqrt(windows). LCPP-n: llama.cpp's: BOS (where the model adds one) replaces each window's first token,
 * positions n/2 + 1 .. n - 1 are scored; mean over tokens;
 * +- per token: PPL sqrt((mean nll^2 - mean^2) / (tokens - 1)). */
typedef enum lb_protocol_rule { LB_RULE_W2, LB_RULE_LCPP } lb_protocol_rule;
typedef struct lb_protocol {
    char id[32];
    lb_protocol_rule rule;
    int64_t n;
} lb_protocol;
LB_NODISCARD lb_status lb_protocol_parse(const char *id,
                                         lb_protocol *out); /* unknown id: LB_E_CONFIG with the known forms */

/* The baseline's final-normed states, kept so that its head can be recomputed: a sealed file, checked as it is read. */
typedef struct lb_states lb_states;
LB_NODISCARD lb_status lb_states_create(const char *path, const char *key, int64_t windows, int64_t n, int64_t dim,
                                        lb_states **out);
LB_NODISCARD lb_status lb_states_open(const char *path, const char *key,
                                      lb_states **out); /* wrong key or damaged: LB_E_FORMAT */
/* h (n, dim), without gaps: a whole window, scored or not. Different windows from different threads. */
LB_NODISCARD lb_status lb_states_put(lb_states *s, int64_t window, lb_cmat h);
LB_NODISCARD lb_status lb_states_get(lb_states *s, int64_t window, lb_mat h);
bool lb_states_damaged(const lb_states *s); /* lb_states_get did not find what was put: make the file again */
LB_NODISCARD lb_status lb_states_commit(lb_states *s); /* sync, rename into place */
void lb_states_close(lb_states *s);                    /* without commit: removed */

typedef struct lb_eval_request {
    lb_protocol protocol;
    const lb_corpus *corpus;
    int64_t max_windows; /* 0: all */
    lb_compute compute;  /* products of the linears and of the head; everything else is float32 */
    bool hold;           /* bf16: round all weights once and hold them so, instead of each block when its turn comes */
    const lb_weights *base;               /* with base_states: KL and agreement against these; else NULL */
    lb_states *base_states, *save_states; /* each may be NULL */
} lb_eval_request;

typedef struct lb_eval {
    lb_protocol protocol;
    int64_t windows, windows_all; /* scored; in the whole text */
    int64_t scored;               /* tokens */
    double *window_nll;           /* (windows) mean NLL of each, nats, float64 */
    double mean_nll, ppl, ppl_se; /* se as the protocol defines it */
    bool has_kl;
    double *window_kl, *window_agree;        /* (windows) means */
    double kl_mean, kl_median, kl_p99, top1; /* over the scored tokens; top1 in [0, 1] */
} lb_eval;

/* Parallel over windows. LB_E_UNSUPPORTED: bf16 where this build or processor has none. LB_E_CONFIG: text too short for
 * one window, or n beyond the model's context. LB_E_NUMERIC: logits that are NaN or
 * infinite (names window and row), a mean NLL whose exponential overflows: no result holds an infinity. */
LB_NODISCARD lb_status lb_perplexity(const lb_arch *a, const lb_weights *w, const lb_eval_request *r, lb_team *team,
                                     lb_arena *arena, lb_log *log, lb_eval *out);

/* Paired difference of two runs over the same windows: mean of (a - b) in nats and a 95 % percentile interval by
 * moving-block bootstrap (blocks of max(1, round(n^(1/3))) windows, 10,000 resamples, fixed seed). One window: the
 * interval is [NaN, NaN]. Kunsch 1989. */
typedef struct lb_paired {
    double delta, low, high;
    int64_t windows, block;
} lb_paired;
LB_NODISCARD lb_status lb_paired_difference(const double *a, const double *b, int64_t n, lb_paired *out);
/* The same without the interval, which is [NaN, NaN]. */
LB_NODISCARD lb_status lb_paired_mean(const double *a, const double *b, int64_t n, lb_paired *out);
/* Ascending; and the q-quantile (0..1) of ascending values, linear between neighbours. */
void lb_sort_f64(double *x, int64_t n);
double lb_percentile(const double *sorted, int64_t n, double q);

#endif

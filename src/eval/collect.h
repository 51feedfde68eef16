/* Statistics of what layers read (lb_stats), summed while calibration sequences go by. A statistic is a collector: one
 * file in collectors/ and one line in its table, beside its bit and its field in quant/method.h. Rows come in the order
 * of tokens, and sums are added in that order, so that they are the same however many rows come at a time, at any
 * number of threads. */
#ifndef LB_EVAL_COLLECT_H
#define LB_EVAL_COLLECT_H

#include "base/team.h"
#include "io/sealed.h"
#include "quant/method.h"

/* The next rows of an input: those of `sequences` sequences, one after another. X.d NULL: there are none. */
typedef struct lb_batch {
    lb_cmat X;
    int64_t sequences;
    const int64_t *start;    /* (sequences + 1) the first row of each, and the end; NULL: all have as many rows */
    const int32_t *position; /* (rows) of each in its sequence; NULL: as they come */
    const float *attention;  /* (rows) what each counts for by its attention; NULL: all the same */
    double clip;             /* what LB_NEEDS_HESSIAN_CLIP clips at, in median lengths of a sequence's rows */
} lb_batch;
/* The first row of a sequence; of one behind the last: the end. */
static inline int64_t lb_batch_start(const lb_batch *b, int64_t sequence) {
    return b->start ? b->start[sequence] : b->X.rows / b->sequences * sequence;
}

typedef struct lb_collector {
    uint32_t need;     /* LB_NEEDS_... */
    const char *name;  /* in files: "absmax" */
    const char *words; /* for readers: "largest |x| of a channel" */
    bool main;         /* its section in the statistics file is named by the layer alone */
    lb_sealed_type type;
    /* Its numbers of an input of `cols` channels that `tokens` rows reached. */
    int64_t (*count)(int64_t cols, int64_t tokens);
    lb_status (*begin)(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum);
    /* The next rows of n inputs, b[i] into sum[i]. sum[i] NULL, b[i].X.d NULL: not i. */
    lb_status (*add)(void *const *sum, const lb_batch *b, int n, lb_team *team);
    /* The numbers, once all `tokens` rows are in: in the sum's memory. None may have been. LB_E_NUMERIC: not finite. */
    lb_status (*finish)(void *sum, int64_t tokens, lb_team *team, void **numbers);
    /* Into its field. */
    void (*give)(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out);
    /* Numbers of another input, in their field of `next`, into those of `sum`, as if its rows had come behind sum's:
     * for layers that several blocks have. The field of sum is made in `a` at first, when its tokens are still 0. */
    lb_status (*merge)(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum);
    /* As they stand in a file, if not as in memory: how many; in place; and back. NULL: as in memory. */
    int64_t (*packed)(int64_t cols);
    void (*pack)(void *numbers, int64_t cols);
    lb_status (*unpack)(const void *packed, int64_t cols, lb_team *team, void *numbers);
    /* The first of n numbers in a file that no inputs give; -1: there is none. value: that number. */
    int64_t (*first_bad)(const void *numbers, int64_t n, int64_t cols, double *value);
} lb_collector;

extern const lb_collector *const lb_collectors[]; /* collectors/table.c, NULL-terminated */
int lb_collectors_count(void);
int64_t lb_collector_bytes(const lb_collector *k, int64_t cols, int64_t tokens); /* in memory */

/* Statistics of one input. */
typedef struct lb_collected {
    int64_t cols, tokens, sequences;
    int64_t routed; /* tokens that the router sent; of what is no expert's: tokens */
    uint32_t needs; /* those that are wanted */
    void **numbers; /* (collectors) NULL: not wanted, or not finished */
} lb_collected;
/* They live where the numbers do; `kept` is NULL. */
lb_stats lb_collected_stats(const lb_collected *c);

/* Of several inputs as of one that had all their rows, one after another: `next` into `sum`, which is zero at first;
 * its numbers are made in `a`. */
LB_NODISCARD lb_status lb_stats_merge(lb_arena *a, uint32_t needs, int64_t cols, const lb_stats *next, lb_stats *sum);

/* n inputs on their way. */
typedef struct lb_collecting {
    lb_collected *of; /* (n) the caller's, cols and needs set */
    int n;
    void **sum; /* (collectors, n) */
} lb_collecting;
/* Numbers are made in `a`, lists that only this needs in `lists`. most_tokens: no input gets more. */
LB_NODISCARD lb_status lb_collect_begin(lb_arena *a, lb_arena *lists, lb_collected *of, int n, int64_t most_tokens,
                                        lb_collecting *out);
/* b (n): the next rows of each input. */
LB_NODISCARD lb_status lb_collect_add(lb_collecting *c, const lb_batch *b, lb_team *team);
LB_NODISCARD lb_status lb_collect_finish(lb_collecting *c, lb_team *team);

/* For collectors whose channels are each a sum of its own: fn for strips of columns [c0, c0 + n) of every X, each from
 * the first row to the last. */
typedef void lb_collect_strip(void *sum, lb_cmat X, int64_t c0, int64_t n);
LB_NODISCARD lb_status lb_collect_strips(void *const *sum, const lb_batch *b, int n, lb_collect_strip *fn,
                                         lb_team *team);
/* A `count` of one number a channel. */
int64_t lb_collect_channels(int64_t cols, int64_t tokens);

#endif

/* What the quantization tests share: an arena and a team, matrices and statistics from a seed, and methods run with
 * options written as text. Everything fails the running test when it cannot do what it is asked. */
#ifndef TESTS_SUPPORT_QUANT_KIT_H
#define TESTS_SUPPORT_QUANT_KIT_H

#include "quant/method.h"

typedef struct kit {
    lb_arena *arena;
    lb_team *team;
} kit;
kit kit_open(int threads);
void kit_close(kit *k);

/* (rows, cols) normal numbers, each row with a scale of its own. */
lb_mat kit_random(const kit *k, uint64_t seed, int64_t rows, int64_t cols);
/* H of `tokens` inputs that are correlated and of different sizes, so that GPTQ has something to do. */
lb_stats kit_stats(const kit *k, uint64_t seed, int64_t tokens, int64_t cols);

/* "bits=3 group=16 act_order=true" over the defaults. */
void *kit_options(const kit *k, const lb_method *m, const char *text);
/* By name; "wanda+rtn": stages. */
const lb_method *kit_method(const kit *k, const char *names);
lb_status kit_try(const kit *k, const char *method, const char *options, lb_mat W, const lb_stats *stats,
                  lb_layer *out);
lb_layer kit_run(const kit *k, const char *method, const char *options, lb_mat W, const lb_stats *stats);
lb_mat kit_dequantize(const kit *k, const lb_layer *c);

/* The message of the last failure must contain the text. */
void assert_error_has(const char *text);

#endif

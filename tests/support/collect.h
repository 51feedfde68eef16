/* Statistics of a stream's inputs, as methods see them. */
#ifndef LB_TESTS_COLLECT_H
#define LB_TESTS_COLLECT_H

#include "eval/calibrate.h"

enum { COLLECT_INPUTS = 64 };

/* The same of each of n inputs; advance: the stream moves on. */
lb_status collect_all(lb_stream *s, const lb_weights *w, const int32_t *input, int32_t n, uint32_t needs, bool advance,
                      lb_arena *a, lb_stats *out);
lb_status collect_head(lb_stream *s, const lb_net *n, const lb_weights *w, uint32_t needs, lb_arena *a, lb_stats *out);

#endif

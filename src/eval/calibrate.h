/* Calibration: the calibration sequences' hidden states move through the model block by block, and statistics of the
 * linears' inputs (T x, where those have a T) are collected on the way. Inputs shared by several linears (q, k, v;
 * gate, up) are counted once. Memory: one hidden state a token, plus the captured inputs of a sequence a thread (of a
 * batch where sequences do not end with H's chunks of tokens), plus the statistics of each distinct input. */
#ifndef LB_EVAL_CALIBRATE_H
#define LB_EVAL_CALIBRATE_H

#include "base/log.h"
#include "base/team.h"
#include "eval/collect.h"
#include "model/exec.h"
#include "model/sequences.h"

typedef struct lb_stream lb_stream; /* hidden states of all calibration sequences, entering block `lb_stream_block` */
/* What the sequences hold stays as long as the stream. Everything from the arena. Fewer sequences than threads go
 * through the model one by one, each on all threads. */
LB_NODISCARD lb_status lb_stream_new(lb_arena *a, const lb_net *n, const lb_weights *w, const lb_sequences *of,
                                     lb_team *team, lb_stream **out);
/* The same sequences at the same place, which go on by themselves; not while the other moves: what a pass works with is
 * shared. */
LB_NODISCARD lb_status lb_stream_copy(lb_arena *a, const lb_stream *s, lb_stream **out);
int64_t lb_stream_block(const lb_stream *s);
const lb_sequences *lb_stream_sequences(const lb_stream *s);
/* A sequence as it enters the current block, (its length, dim). */
lb_cmat lb_stream_states(const lb_stream *s, int64_t sequence);
/* Statistics that are wanted of an input: LB_NEEDS_... An expert that fewer tokens than `enough` reached gets those of
 * all tokens, as if the router had sent them there: the block runs once more for such experts. 0: it gets its own. */
typedef struct lb_wanted {
    int32_t input;
    uint32_t needs;
    int64_t enough;
    double clip; /* lb_batch.clip, of LB_NEEDS_HESSIAN_CLIP */
} lb_wanted;
/* Statistics of some inputs of the current block, n of them in program order, with these weights; the stream does not
 * move. out[i], of want[i], are made in arena `a`. */
LB_NODISCARD lb_status lb_stream_collect(lb_stream *s, const lb_weights *w, const lb_wanted *want, int32_t n,
                                         lb_arena *a, lb_collected *out);
/* Moves all sequences through the block with these weights. */
LB_NODISCARD lb_status lb_stream_advance(lb_stream *s, const lb_weights *w);
/* Both at once (one pass): statistics of the weights that the stream advances with. */
LB_NODISCARD lb_status lb_stream_collect_advance(lb_stream *s, const lb_weights *w, const lb_wanted *want, int32_t n,
                                                 lb_arena *a, lb_collected *out);
/* Of an input outside the blocks: one that comes before them at any time, from the tokens anew; the head's, and what
 * else comes behind them, after the last block. */
LB_NODISCARD lb_status lb_stream_collect_outside(lb_stream *s, const lb_weights *w, const lb_wanted *want, lb_arena *a,
                                                 lb_collected *out);

/* Statistics of the original model, computed once for a (model, calibration) and kept in one sealed file keyed by
 * `key`; every cell of a sweep reads them block by block, each checked as it is read. */
typedef struct lb_stats_file lb_stats_file;
/* Opens `path` if it is one and its key, which says which statistics, agrees; else computes them (progress stage
 * "statistics") and opens it. each: what is wanted of every input. */
LB_NODISCARD lb_status lb_stats_file_ensure(const char *path, const char *key, const lb_wanted *each, const lb_net *n,
                                            const lb_weights *w, const lb_sequences *of, lb_team *team, lb_log *log,
                                            lb_stats_file **out);
/* Some of them, of any input. */
LB_NODISCARD lb_status lb_stats_file_get(lb_stats_file *f, int32_t input, uint32_t needs, lb_arena *a, lb_stats *out);
bool lb_stats_file_damaged(const lb_stats_file *f); /* a read did not find what was written: make the file again */
void lb_stats_file_close(lb_stats_file *f);

#endif

#include "eval/calibrate.h"

#include <string.h>

#include "eval/hessian.h"
#include "model/weights.h"

/* A batch: sequences that H's chunks of tokens run through. As many as fit in the budget, by their shapes alone, so
 * that the sums come out the same on every machine. At least so many that a few threads have work. */
#define CAPTURE_BYTES ((int64_t)256 << 20)
#define BATCH_MIN     4
#define BATCH_MAX     64

struct lb_stream {
    const lb_net *net;
    lb_team *team;
    lb_exec **exec; /* one a thread; or one for all threads */
    int execs;
    float *x; /* (tokens, dim) */
    lb_sequences of;
    int64_t block;
};

static lb_mat states_of(const lb_stream *s, int64_t sequence) {
    return lb_mat_of(s->x + lb_sequences_start(&s->of, sequence) * s->net->dim, lb_sequences_length(&s->of, sequence),
                     s->net->dim);
}

lb_status lb_stream_new(lb_arena *a, const lb_net *n, const lb_weights *w, const lb_sequences *of, lb_team *team,
                        lb_stream **out) {
    if (of->n < 1 || of->length < 1)
        return lb_fail(LB_E_CONFIG, "calibration of %lld samples of %lld tokens: both must be positive",
                       (long long)of->n, (long long)of->length);
    if (n->context && of->length > n->context)
        return lb_fail(LB_E_CONFIG, "calibration length = %lld: the model's context is %lld tokens",
                       (long long)of->length, (long long)n->context);
    int threads = lb_team_threads(team);
    bool few = of->n < threads;
    lb_stream *s = LB_NEW(a, lb_stream, 1);
    if (!s) return LB_E_NOMEM;
    *s = (lb_stream){.net = n, .team = team, .of = *of, .execs = few ? 1 : threads};
    if (!(s->x = lb_arena_get(a, (size_t)lb_sequences_tokens(of), (size_t)n->dim * sizeof(float))) ||
        !(s->exec = LB_NEW(a, lb_exec *, s->execs)))
        return LB_E_NOMEM;
    for (int t = 0; t < s->execs; t++) LB_TRY(lb_exec_new(a, n, of->length, few ? team : NULL, &s->exec[t]));
    for (int64_t i = 0; i < of->n; i++)
        LB_TRY(lb_exec_embed(s->exec[0], w, of->token + lb_sequences_start(of, i), lb_sequences_length(of, i),
                             states_of(s, i)));
    *out = s;
    return LB_OK;
}

lb_status lb_stream_copy(lb_arena *a, const lb_stream *s, lb_stream **out) {
    size_t floats = (size_t)(lb_sequences_tokens(&s->of) * s->net->dim);
    lb_stream *copy = LB_NEW(a, lb_stream, 1);
    float *x = LB_NEW_UNSET(a, float, floats);
    if (!copy || !x) return LB_E_NOMEM;
    memcpy(x, s->x, floats * sizeof *x);
    *copy = *s;
    copy->x = x;
    *out = copy;
    return LB_OK;
}

int64_t lb_stream_block(const lb_stream *s) { return s->block; }
const lb_sequences *lb_stream_sequences(const lb_stream *s) { return &s->of; }
lb_cmat lb_stream_states(const lb_stream *s, int64_t sequence) { return lb_mat_c(states_of(s, sequence)); }

static int64_t batch_size(int64_t sequence_bytes) {
    int64_t n = CAPTURE_BYTES / (sequence_bytes + 1);
    if (n >= 8) n -= n % 8; /* full rounds for the usual numbers of threads */
    return n < BATCH_MIN ? BATCH_MIN : n > BATCH_MAX ? BATCH_MAX : n;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Sequences that are captured at a time: one a thread, if they and whole batches end where one of H's chunks does, so
 * that the sums are those of batches; else a batch, as of sequences that differ in their length. */
static int64_t captured_at_a_time(int64_t batch, const lb_sequences *of, int threads) {
    int64_t apart = LB_HESSIAN_CHUNK, length = of->length; /* apart: sequences from one such end to the next */
    if (of->start) return batch;
    while (apart > 1 && length % 2 == 0) apart /= 2, length /= 2;
    int64_t n = round_up(threads, apart);
    return batch % apart == 0 && n < batch ? n : batch;
}

typedef struct forward_job {
    lb_stream *s;
    const lb_weights *w;
    bool outside;   /* one input outside the blocks instead of a block's */
    bool advance;   /* through the block; else no further than the last input */
    bool all;       /* rows of an expert: all tokens', not those that are routed to it */
    int64_t first;  /* sequence */
    int32_t inputs; /* captured */
    const lb_wanted *want;
    lb_collected *out;
    bool *routed, any_routed; /* (inputs) those of experts */
    int64_t *start;           /* (together + 1) the first row of each sequence, from that of `first`, and the end */
    lb_mat *captured;         /* (inputs) of (rows together, width); a sequence's rows begin at its first token's */
    int64_t *rows;            /* (together, inputs) that were captured: of an expert, those that were routed to it */
    lb_tap *tap;              /* (execs, inputs) */
    int32_t **position;       /* (inputs) (rows together) which token each row is, of an expert's; else NULL */
    float *attention;         /* (rows together) what tokens count for; NULL: nobody asks */
    double *received;         /* (execs, length) */
    float **of_routed;        /* (inputs) (length) of an expert's rows of a sequence; NULL: no expert's */
    lb_batch *next;           /* (inputs) to be summed */
    lb_collecting sums;
} forward_job;

/* What products read is behind T. Readers without one, which are not to be quantized, take no part in that. */
static void transform(const forward_job *j, const lb_tap *tap) {
    const lb_net_input *in = &j->s->net->input[tap->input];
    for (int32_t r = 0; r < in->sites; r++) {
        const lb_transform *T = &j->w->site[j->s->net->reader[in->first + r]].T;
        if (!lb_transform_any(T)) continue;
        lb_mat X = lb_mat_part(tap->to, 0, 0, tap->rows, tap->to.cols);
        lb_transform_input(T, lb_mat_c(X), X);
        return;
    }
}

/* What tokens count for by the attention that they receive, as RSQ (Sung et al. 2025, arXiv:2503.01820) has it: between
 * the least and the most in their sequence, on a scale from 0.005 to 1; here with a mean of 1. */
static void weigh_attention(const double *received, int64_t T, float *weight) {
    static const double least = 0.005;
    double low = received[0], high = received[0], sum = 0;
    for (int64_t t = 1; t < T; t++) {
        low = received[t] < low ? received[t] : low;
        high = received[t] > high ? received[t] : high;
    }
    for (int64_t t = 0; t < T; t++) sum += high > low ? least + (1 - least) * (received[t] - low) / (high - low) : 1;
    for (int64_t t = 0; t < T; t++) {
        double w = high > low ? least + (1 - least) * (received[t] - low) / (high - low) : 1;
        weight[t] = (float)(w * (double)T / sum);
    }
}

static lb_status forward_one(void *ctx, int64_t piece, int worker) {
    const forward_job *j = ctx;
    lb_stream *s = j->s;
    lb_mat x = states_of(s, j->first + piece);
    int64_t T = x.rows, at = j->start[piece];
    lb_exec *exec = s->exec[worker];
    lb_capture cap = {.tap = j->tap + worker * j->inputs, .taps = j->inputs, .stop = !j->advance};
    if (j->attention) cap.received = j->received + worker * s->of.length;
    for (int32_t i = 0; i < j->inputs; i++)
        cap.tap[i] = (lb_tap){.input = j->want[i].input,
                              .all = j->all,
                              .token = j->position[i] ? j->position[i] + at : NULL,
                              .to = lb_mat_part(j->captured[i], at, 0, T, j->captured[i].cols)};
    if (j->outside)
        LB_TRY(lb_exec_outside(exec, j->w, s->of.token + lb_sequences_start(&s->of, j->first + piece), lb_mat_c(x),
                               cap.tap));
    else
        LB_TRY(lb_exec_block(exec, j->w, s->block, x, &cap));
    if (j->attention) weigh_attention(cap.received, T, j->attention + at);
    for (int32_t i = 0; i < j->inputs; i++) {
        j->rows[piece * j->inputs + i] = cap.tap[i].rows;
        transform(j, &cap.tap[i]);
    }
    return LB_OK;
}

/* Inputs that every token has: all sequences at once, so that chunks of H are full. */
static lb_status add_common(forward_job *j, int64_t n) {
    const lb_stream *s = j->s;
    for (int32_t i = 0; i < j->inputs; i++) {
        lb_mat all = j->captured[i];
        j->next[i] = (lb_batch){.sequences = n, .start = j->start, .attention = j->attention, .clip = j->want[i].clip};
        if (!j->routed[i]) j->next[i].X = lb_cmat_of(all.d, j->start[n], all.cols);
    }
    return lb_collect_add(&j->sums, j->next, s->team);
}

/* Inputs of experts: a sequence's rows are a chunk, else the sums would depend on how many go at a time. */
static lb_status add_routed(forward_job *j, int64_t n) {
    const lb_stream *s = j->s;
    for (int64_t q = 0; j->any_routed && q < n; q++) {
        for (int32_t i = 0; i < j->inputs; i++) {
            int64_t rows = j->routed[i] ? j->rows[q * j->inputs + i] : 0, at = j->start[q];
            lb_mat of = j->captured[i];
            j->next[i] = (lb_batch){.sequences = 1, .clip = j->want[i].clip};
            if (rows < 1) continue;
            j->next[i].X = lb_cmat_of(of.d + at * of.cols, rows, of.cols);
            j->next[i].position = j->position[i] + at;
            for (int64_t t = 0; t < rows && j->attention; t++)
                j->of_routed[i][t] = j->attention[at + j->next[i].position[t]];
            if (j->attention) j->next[i].attention = j->of_routed[i];
        }
        LB_TRY(lb_collect_add(&j->sums, j->next, s->team));
    }
    return LB_OK;
}

/* n sequences, from j->first: side by side, or each on all threads. */
static lb_status forward_some(forward_job *j, int64_t n) {
    const lb_stream *s = j->s;
    if (s->of.n >= lb_team_threads(s->team)) return lb_parallel_for(s->team, n, forward_one, j);
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(forward_one(j, i, 0));
    }
    return LB_OK;
}

/* All sequences, so many at a time; what is captured is summed. */
static lb_status run(forward_job *j, int64_t together) {
    const lb_stream *s = j->s;
    for (j->first = 0; j->first < s->of.n; j->first += together) {
        int64_t n = least(together, s->of.n - j->first);
        for (int64_t i = 0; i <= n; i++)
            j->start[i] = lb_sequences_start(&s->of, j->first + i) - lb_sequences_start(&s->of, j->first);
        LB_TRY(forward_some(j, n));
        LB_TRY(add_common(j, n));
        LB_TRY(add_routed(j, n));
    }
    return lb_collect_finish(&j->sums, s->team);
}

/* What is outside the blocks is in no attention's. */
static bool asks_attention(const forward_job *j) {
    bool asks = false;
    for (int32_t i = 0; i < j->inputs && !j->outside; i++)
        asks = asks || (j->want[i].needs & LB_NEEDS_HESSIAN_ATTENTION);
    return asks;
}

static lb_status make_attention(forward_job *j, lb_arena *lists, int64_t rows) {
    const lb_stream *s = j->s;
    j->attention = LB_NEW_UNSET(lists, float, rows);
    j->received = LB_NEW(lists, double, s->execs * s->of.length);
    j->of_routed = LB_NEW(lists, float *, j->inputs + 1);
    if (!j->attention || !j->received || !j->of_routed) return LB_E_NOMEM;
    for (int32_t i = 0; i < j->inputs; i++)
        if (j->routed[i] && !(j->of_routed[i] = LB_NEW_UNSET(lists, float, s->of.length))) return LB_E_NOMEM;
    return LB_OK;
}

/* rows: the most that are captured at a time. */
static lb_status make_lists(forward_job *j, lb_arena *a, lb_arena *lists, int64_t together, int64_t rows) {
    const lb_stream *s = j->s;
    j->start = LB_NEW(lists, int64_t, together + 1);
    j->next = LB_NEW(lists, lb_batch, j->inputs + 1);
    j->captured = LB_NEW(lists, lb_mat, j->inputs + 1);
    j->tap = LB_NEW(lists, lb_tap, s->execs * j->inputs + 1);
    j->rows = LB_NEW(lists, int64_t, together * j->inputs + 1);
    j->routed = LB_NEW(lists, bool, j->inputs + 1);
    j->position = LB_NEW(lists, int32_t *, j->inputs + 1);
    if (!j->start || !j->next || !j->captured || !j->tap || !j->rows || !j->routed || !j->position) return LB_E_NOMEM;
    for (int32_t i = 0; i < j->inputs; i++) {
        const lb_net_input *in = &s->net->input[j->want[i].input];
        j->out[i] = (lb_collected){.cols = in->cols, .needs = j->want[i].needs};
        j->routed[i] = in->expert >= 0;
        j->any_routed |= j->routed[i];
        if (j->routed[i] && !(j->position[i] = LB_NEW_UNSET(lists, int32_t, rows))) return LB_E_NOMEM;
    }
    if (asks_attention(j)) LB_TRY(make_attention(j, lists, rows));
    return lb_collect_begin(a, lists, j->out, j->inputs, lb_sequences_tokens(&s->of), &j->sums);
}

/* Of so many sequences at a time. */
static int64_t most_rows(const lb_sequences *of, int64_t together) {
    int64_t most = 0;
    for (int64_t i = 0; i < of->n; i += together) {
        int64_t rows = lb_sequences_start(of, i + least(together, of->n - i)) - lb_sequences_start(of, i);
        if (rows > most) most = rows;
    }
    return most;
}

static lb_status allocate_and_run(forward_job *j, lb_arena *a, lb_arena *lists) {
    const lb_stream *s = j->s;
    int64_t row_floats = 0, at = 0;
    for (int32_t i = 0; i < j->inputs; i++) row_floats += s->net->input[j->want[i].input].cols;
    int64_t batch = batch_size(s->of.length * row_floats * (int64_t)sizeof(float));
    int64_t together = captured_at_a_time(batch, &s->of, lb_team_threads(s->team));
    if (together > s->of.n || row_floats == 0) together = s->of.n;
    int64_t rows = most_rows(&s->of, together), floats = rows * row_floats;
    LB_TRY(make_lists(j, a, lists, together, rows));
    float *all = floats ? lb_realloc(NULL, 0, (size_t)floats, sizeof *all) : NULL; /* not zeroed */
    if (floats && !all) return LB_E_NOMEM;
    for (int32_t i = 0; i < j->inputs; i++) {
        int64_t cols = j->out[i].cols;
        j->captured[i] = lb_mat_of(all + at, rows, cols);
        at += rows * cols;
    }
    lb_status st = run(j, together);
    lb_free(all);
    return st;
}

/* With lists of its own, for as long as it takes. */
static lb_status pass(forward_job *j, const lb_weights *w, lb_arena *a) {
    lb_stream *s = j->s;
    lb_weights loaded;
    lb_arena *lists = NULL;
    LB_TRY(lb_arena_new(0, &lists));
    j->w = w;
    int64_t floats = j->outside ? 0 : lb_block_floats(s->net, w, s->block);
    float *buffer = floats ? lb_realloc(NULL, 0, (size_t)floats, sizeof *buffer) : NULL; /* not zeroed */
    lb_status st = floats && !buffer ? LB_E_NOMEM : LB_OK;
    if (st == LB_OK && floats) {
        st = lb_weights_new(lists, s->net, &loaded);
        if (st == LB_OK) st = lb_block_load(s->net, w, s->block, buffer, s->team, &loaded);
        j->w = &loaded;
    }
    if (st == LB_OK) st = allocate_and_run(j, a, lists);
    j->w = w; /* what was loaded ends here */
    lb_free(buffer);
    lb_arena_free(lists);
    return st;
}

/* Experts that too few tokens reached are given all of them, in a pass of their own. */
static lb_status feed_starved(lb_stream *s, const lb_weights *w, const lb_wanted *want, int32_t n, lb_arena *a,
                              lb_collected *out) {
    lb_wanted *starved = LB_NEW(a, lb_wanted, n + 1);
    lb_collected *fed = LB_NEW(a, lb_collected, n + 1);
    int32_t *which = LB_NEW(a, int32_t, n + 1), some = 0;
    if (!starved || !fed || !which) return LB_E_NOMEM;
    for (int32_t i = 0; i < n; i++) {
        if (s->net->input[want[i].input].expert < 0 || out[i].tokens >= want[i].enough) continue;
        starved[some] = want[i];
        which[some++] = i;
    }
    forward_job j = {.s = s, .all = true, .want = starved, .inputs = some, .out = fed};
    if (some) LB_TRY(pass(&j, w, a));
    for (int32_t i = 0; i < some; i++) {
        fed[i].routed = out[which[i]].routed;
        out[which[i]] = fed[i];
    }
    return LB_OK;
}

/* Experts that may be fed: who is starved is known only when the sequences have passed, and then they may not have
 * moved. */
static bool may_feed(const lb_stream *s, const lb_wanted *want, int32_t n) {
    bool may = false;
    for (int32_t i = 0; i < n; i++) may = may || (want[i].enough > 0 && s->net->input[want[i].input].expert >= 0);
    return may;
}

static lb_status block_pass(lb_stream *s, const lb_weights *w, const lb_wanted *want, int32_t n, bool advance,
                            lb_arena *a, lb_collected *out) {
    if (s->block >= s->net->blocks)
        return lb_fail(LB_E_ARG, "calibration: the model has only %lld blocks", (long long)s->net->blocks);
    if (!advance && n == 0) return lb_fail(LB_E_ARG, "calibration: no input was asked for");
    bool feeds = may_feed(s, want, n);
    forward_job j = {.s = s, .advance = advance && !feeds, .want = want, .inputs = n, .out = out};
    lb_status st = pass(&j, w, a);
    if (st == LB_OK && feeds) st = feed_starved(s, w, want, n, a, out);
    if (st == LB_OK && feeds && advance) st = pass(&(forward_job){.s = s, .advance = true}, w, a);
    if (st == LB_E_NUMERIC) st = lb_fail_in(st, "block %lld", (long long)s->block);
    if (st == LB_OK && advance) s->block++;
    return st;
}

lb_status lb_stream_collect(lb_stream *s, const lb_weights *w, const lb_wanted *want, int32_t n, lb_arena *a,
                            lb_collected *out) {
    return block_pass(s, w, want, n, false, a, out);
}

lb_status lb_stream_advance(lb_stream *s, const lb_weights *w) { return block_pass(s, w, NULL, 0, true, NULL, NULL); }

lb_status lb_stream_collect_advance(lb_stream *s, const lb_weights *w, const lb_wanted *want, int32_t n, lb_arena *a,
                                    lb_collected *out) {
    return block_pass(s, w, want, n, true, a, out);
}

lb_status lb_stream_collect_outside(lb_stream *s, const lb_weights *w, const lb_wanted *want, lb_arena *a,
                                    lb_collected *out) {
    const lb_net *n = s->net;
    const char *reader = n->site[n->reader[n->input[want->input].first]].name;
    if (want->input >= n->span[0].input && s->block != n->blocks)
        return lb_fail(LB_E_ARG, "calibration: %s comes after block %lld, the stream is at %lld", reader,
                       (long long)n->blocks - 1, (long long)s->block);
    forward_job j = {.s = s, .outside = true, .want = want, .inputs = 1, .out = out};
    lb_status st = pass(&j, w, a);
    return st == LB_E_NUMERIC ? lb_fail_in(st, "the input of %s", reader) : st;
}

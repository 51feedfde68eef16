/* Sampled rows: the last of every `step` tokens, step the smallest power of two that leaves at most LB_SAMPLED_ROWS.
 * How many tokens come need not be known: when there are too many rows, every second one stays. Not the first of every
 * step: a sequence's first token is unlike the others, and lengths are powers of two. */
#include <assert.h>
#include <string.h>

#include "eval/collectors/collectors.h"

typedef struct sample {
    float *row; /* (room, cols) */
    int64_t cols, room, rows;
    int64_t step, seen; /* tokens */
} sample;

/* Rows that `tokens` leave. */
static int64_t rows_of(int64_t tokens) {
    while (tokens > LB_SAMPLED_ROWS) tokens /= 2;
    return tokens;
}

static int64_t count(int64_t cols, int64_t tokens) { return rows_of(tokens) * cols; }

static lb_status begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum) {
    sample *s = LB_NEW(a, sample, 1);
    if (!s) return LB_E_NOMEM;
    *s = (sample){.cols = cols, .room = most_tokens < LB_SAMPLED_ROWS ? most_tokens : LB_SAMPLED_ROWS, .step = 1};
    if (!(s->row = LB_NEW_UNSET(a, float, s->room *cols))) return LB_E_NOMEM;
    *sum = s;
    return LB_OK;
}

static void keep_every_second(sample *s) {
    size_t width = (size_t)s->cols * sizeof(float);
    for (int64_t i = 1; i < s->rows; i += 2) memcpy(s->row + i / 2 * s->cols, s->row + i * s->cols, width);
    s->rows /= 2;
    s->step *= 2;
}

static void take(sample *s, lb_cmat X) {
    for (int64_t t = 0; t < X.rows; t++) {
        if ((s->seen + t + 1) % s->step) continue;
        if (s->rows == LB_SAMPLED_ROWS) keep_every_second(s);
        if ((s->seen + t + 1) % s->step) continue;
        assert(s->rows < s->room);
        memcpy(s->row + s->rows++ * s->cols, X.d + t * X.ld, (size_t)s->cols * sizeof(float));
    }
    s->seen += X.rows;
}

static lb_status add(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    (void)team;
    for (int i = 0; i < n; i++)
        if (sum[i] && b[i].X.d) take(sum[i], b[i].X);
    return LB_OK;
}

static int64_t first_bad(const void *numbers, int64_t n, int64_t cols, double *value) {
    const float *v = numbers;
    int64_t bad = lb_mat_first_bad(lb_cmat_of(v, n / cols, cols));
    if (bad >= 0) *value = (double)v[bad];
    return bad;
}

static lb_status finish(void *sum, int64_t tokens, lb_team *team, void **numbers) {
    (void)tokens, (void)team;
    sample *s = sum;
    double value = 0;
    int64_t bad = first_bad(s->row, s->rows * s->cols, s->cols, &value);
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "input %lld of a sampled row is %g: the activations are not finite",
                       (long long)(bad % s->cols), value);
    *numbers = s->row;
    return LB_OK;
}

static void give(const void *numbers, int64_t cols, int64_t tokens, lb_stats *out) {
    out->rows = lb_cmat_of(numbers, rows_of(tokens), cols);
}

/* Where token t of an input stands among its sampled rows, or the one that stands for it. */
static const float *row_at(const lb_stats *s, int64_t t) {
    int64_t step = 1, at;
    while (s->tokens / step > LB_SAMPLED_ROWS) step *= 2;
    at = t / step;
    return s->rows.d + (at < s->rows.rows ? at : s->rows.rows - 1) * s->rows.ld;
}

/* The last of every so many tokens of both; where that one is not among the rows that are there, its neighbour. */
static lb_status merge(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    int64_t tokens = sum->tokens + next->tokens, rows = rows_of(tokens), step = 1;
    float *v = LB_NEW(a, float, (rows ? rows : 1) * cols);
    if (!v) return LB_E_NOMEM;
    while (tokens / step > LB_SAMPLED_ROWS) step *= 2;
    for (int64_t i = 0; i < rows; i++) {
        int64_t t = i * step + step - 1;
        const float *from = t < sum->tokens ? row_at(sum, t) : row_at(next, t - sum->tokens);
        memcpy(v + i * cols, from, (size_t)cols * sizeof *v);
    }
    sum->rows = lb_cmat_of(v, rows, cols);
    return LB_OK;
}

const lb_collector lb_collect_rows = {.need = LB_NEEDS_ROWS,
                                      .name = "rows",
                                      .words = "sampled rows of inputs",
                                      .type = LB_SEALED_F32,
                                      .count = count,
                                      .begin = begin,
                                      .add = add,
                                      .finish = finish,
                                      .give = give,
                                      .merge = merge,
                                      .first_bad = first_bad};

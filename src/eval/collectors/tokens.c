/* Who carries H: of the energies |x|^2 of an input's tokens the participation ratio, the share of each sequence's first
 * few tokens, and how few of all tokens carry half. The trace of H is the sum of them over the tokens. */
#include <math.h>
#include <stdlib.h>

#include "eval/collectors/collectors.h"

enum { FIRST = 4, PARTICIPATION = 0, FIRST_SHARE, HALF_SHARE, NUMBERS };

typedef struct tokens {
    int64_t cols, n, room;
    double *energy;          /* (room) */
    double of_first;         /* of their sum */
    int64_t bad;             /* the column of the first number that is not finite; -1: there was none */
    double bad_value;        /* that number */
    double numbers[NUMBERS]; /* each in (0, 1]; 0: there is no energy */
} tokens;

static int64_t count(int64_t cols, int64_t n) {
    (void)cols, (void)n;
    return NUMBERS;
}

static lb_status begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum) {
    tokens *s = LB_NEW(a, tokens, 1);
    if (!s) return LB_E_NOMEM;
    *s = (tokens){.cols = cols, .room = most_tokens, .energy = LB_NEW_UNSET(a, double, most_tokens + 1), .bad = -1};
    if (!s->energy) return LB_E_NOMEM;
    *sum = s;
    return LB_OK;
}

static void note_first(tokens *s, const lb_batch *b) {
    int64_t sequence = 0;
    for (int64_t t = 0; t < b->X.rows; t++) {
        double e = s->energy[s->n + t];
        while (t == lb_batch_start(b, sequence + 1)) sequence++;
        if ((b->position ? b->position[t] : t - lb_batch_start(b, sequence)) < FIRST) s->of_first += e;
        if (isfinite(e) || s->bad >= 0) continue;
        const float *x = b->X.d + t * b->X.ld;
        while (isfinite(x[++s->bad])) {
        }
        s->bad_value = (double)x[s->bad];
    }
}

static lb_status add(void *const *sum, const lb_batch *b, int n, lb_team *team) {
    double **to = lb_alloc((size_t)n + 1, sizeof *to);
    if (!to) return LB_E_NOMEM;
    for (int i = 0; i < n; i++) {
        tokens *s = sum[i];
        to[i] = s && b[i].X.d ? s->energy + s->n : NULL;
    }
    lb_status st = lb_collect_energies(b, to, n, team);
    for (int i = 0; i < n && st == LB_OK; i++) {
        if (!to[i]) continue;
        tokens *s = sum[i];
        note_first(s, &b[i]);
        s->n += b[i].X.rows;
    }
    lb_free(to);
    return st;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double at_most_one(double share) { return share < 1 ? share : 1; }

static lb_status finish(void *sum, int64_t n, lb_team *team, void **numbers) {
    (void)n, (void)team;
    tokens *s = sum;
    double all = 0, squares = 0, so_far = 0;
    int64_t few = 0;
    *numbers = s->numbers;
    if (s->bad >= 0)
        return lb_fail(LB_E_NUMERIC, "input %lld of a token is %g: the activations are not finite", (long long)s->bad,
                       s->bad_value);
    for (int64_t t = 0; t < s->n; t++) {
        all += s->energy[t];
        squares += s->energy[t] * s->energy[t];
    }
    if (!(squares > 0)) return LB_OK;
    qsort(s->energy, (size_t)s->n, sizeof *s->energy, descending);
    while (few < s->n && so_far < all / 2) so_far += s->energy[few++];
    s->numbers[PARTICIPATION] = at_most_one(all / (double)s->n * (all / squares));
    s->numbers[FIRST_SHARE] = at_most_one(s->of_first / all);
    s->numbers[HALF_SHARE] = (double)few / (double)s->n;
    return LB_OK;
}

static void give(const void *numbers, int64_t cols, int64_t n, lb_stats *out) {
    const double *of = numbers;
    (void)cols, (void)n;
    bool known = of[PARTICIPATION] > 0;
    out->participation = known ? of[PARTICIPATION] : NAN;
    out->first_share = known ? of[FIRST_SHARE] : NAN;
    out->half_share = known ? of[HALF_SHARE] : NAN;
}

/* Layers of several blocks are measured on the inputs of each. */
static lb_status merge(lb_arena *a, int64_t cols, const lb_stats *next, lb_stats *sum) {
    (void)a, (void)cols, (void)next;
    sum->participation = sum->first_share = sum->half_share = NAN;
    return LB_OK;
}

static int64_t first_bad(const void *numbers, int64_t n, int64_t cols, double *value) {
    const double *v = numbers;
    (void)cols;
    for (int64_t i = 0; i < n; i++)
        if (!(v[i] >= 0 && v[i] <= 1)) {
            *value = v[i];
            return i;
        }
    return -1;
}

const lb_collector lb_collect_tokens = {.need = LB_NEEDS_TOKENS,
                                        .name = "tokens",
                                        .words = "shares of tokens in H",
                                        .type = LB_SEALED_F64,
                                        .count = count,
                                        .begin = begin,
                                        .add = add,
                                        .finish = finish,
                                        .give = give,
                                        .merge = merge,
                                        .first_bad = first_bad};

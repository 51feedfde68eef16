#include "model/recipes.h"

#include <string.h>

#include "base/draw.h"

enum { DRAWS_A_SAMPLE = 1000 }; /* rows that are drawn for a sequence at most: a text without long ones has an end */

bool lb_recipe_draws(lb_recipe r) { return r != LB_RECIPE_SEQUENTIAL; }
bool lb_recipe_of_rows(lb_recipe r) { return r >= LB_RECIPE_DOCUMENTS; }

typedef struct drawing {
    const lb_corpus *c;
    const char *recipe;
    uint64_t seed;
    int64_t samples, length, rows;
    lb_arena *a;
    int32_t *out;   /* (samples, length) or fewer */
    int64_t *start; /* (samples + 1) where sequences differ in their length; else NULL */
} drawing;

static void take(drawing *d, int64_t sample, const int32_t *from) {
    memcpy(d->out + sample * d->length, from, (size_t)d->length * sizeof *from);
}

/* ---- Python's random ---- */

static lb_status draw_joined(drawing *d) {
    lb_mt m;
    lb_mt_seed(&m, d->seed);
    for (int64_t i = 0; i < d->samples; i++)
        take(d, i, d->c->token + lb_mt_randint(&m, 0, d->c->tokens - d->length - 1));
    return LB_OK;
}

/* A window of a row that was drawn. *found: the row has enough tokens. */
static lb_status draw_window(drawing *d, lb_mt *m, bool longer, int64_t sample, bool *found) {
    int32_t *ids;
    int64_t n, row = lb_mt_randint(m, 0, d->rows - 1);
    LB_TRY(lb_corpus_encode_row(d->c, row, &ids, &n));
    lb_status st = LB_OK;
    *found = longer ? n > d->length : n >= d->length;
    if (*found && n == d->length) {
        char place[LB_ROW_PLACE];
        lb_rows_place(d->c->rows, row, place);
        st = lb_fail(LB_E_CONFIG,
                     "%s: the row has just %lld tokens, where the reference program stops (recipe documents_longer "
                     "passes over it)",
                     place, (long long)n);
    } else if (*found) {
        take(d, sample, ids + lb_mt_randint(m, 0, n - d->length - 1));
    }
    lb_free(ids);
    return st;
}

static lb_status draw_documents(drawing *d, bool longer) {
    lb_mt m;
    lb_mt_seed(&m, d->seed);
    int64_t most = DRAWS_A_SAMPLE * d->samples, done = 0;
    for (int64_t drawn = 0; done < d->samples && drawn < most; drawn++) {
        bool found = false;
        LB_TRY(lb_interrupt_check());
        LB_TRY(draw_window(d, &m, longer, done, &found));
        done += found;
    }
    if (done == d->samples) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: of %lld rows drawn %lld have %s %lld tokens, %lld are wanted", d->c->name,
                   (long long)most, (long long)done, longer ? "more than" : "at least", (long long)d->length,
                   (long long)d->samples);
}

/* ---- datasets' shuffle ---- */

typedef struct shuffled {
    int64_t *order; /* (rows) */
    int64_t at;
    int32_t *ids; /* (n) of the row that came last */
    int64_t n;
} shuffled;

/* The next row of least to most tokens. */
static lb_status next_row(drawing *d, shuffled *s, bool stripped, int64_t least, int64_t most, int64_t done) {
    do {
        lb_free(s->ids);
        s->ids = NULL;
        LB_TRY(lb_interrupt_check());
        if (s->at == d->rows)
            return lb_fail(LB_E_CONFIG, "%s: %lld of its %lld rows are such as recipe: %s takes, samples = %lld",
                           d->c->name, (long long)done, (long long)d->rows, d->recipe, (long long)d->samples);
        int64_t row = s->order[s->at++];
        LB_TRY((stripped ? lb_corpus_encode_stripped : lb_corpus_encode_row)(d->c, row, &s->ids, &s->n));
    } while (s->n < least || s->n > most);
    return LB_OK;
}

static lb_status take_first(drawing *d, shuffled *s) {
    for (int64_t i = 0; i < d->samples; i++) {
        LB_TRY(next_row(d, s, false, d->length, INT64_MAX, i));
        take(d, i, s->ids);
    }
    return LB_OK;
}

static lb_status truncate(drawing *d, shuffled *s) {
    if (!(d->start = LB_NEW(d->a, int64_t, d->samples + 1))) return LB_E_NOMEM;
    for (int64_t i = 0; i < d->samples; i++) {
        LB_TRY(next_row(d, s, false, 1, INT64_MAX, i));
        int64_t n = s->n < d->length ? s->n : d->length;
        memcpy(d->out + d->start[i], s->ids, (size_t)n * sizeof *s->ids);
        d->start[i + 1] = d->start[i] + n;
    }
    return LB_OK;
}

static lb_status put_together(drawing *d, shuffled *s, int64_t *sequences) {
    int64_t have = 0;
    for (int64_t i = 0; i < d->samples; i++) {
        LB_TRY(next_row(d, s, true, 1, d->length, i));
        memcpy(d->out + have, s->ids, (size_t)s->n * sizeof *s->ids);
        have += s->n;
    }
    *sequences = have / d->length;
    if (*sequences > 0) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: %lld rows have %lld tokens in all, one sequence takes %lld", d->c->name,
                   (long long)d->samples, (long long)have, (long long)d->length);
}

static lb_status draw_shuffled(drawing *d, lb_recipe r, int64_t *sequences) {
    shuffled s = {.order = lb_alloc((size_t)d->rows + 1, sizeof *s.order)};
    if (!s.order) return LB_E_NOMEM;
    lb_numpy_permutation(d->seed, d->rows, s.order);
    lb_status st = r == LB_RECIPE_BLOCKS      ? put_together(d, &s, sequences)
                   : r == LB_RECIPE_TRUNCATED ? truncate(d, &s)
                                              : take_first(d, &s);
    lb_free(s.ids);
    lb_free(s.order);
    return st;
}

/* ---- all ---- */

static lb_status draw(drawing *d, lb_recipe r, int64_t *sequences) {
    if (r == LB_RECIPE_JOINED) return draw_joined(d);
    if (r == LB_RECIPE_DOCUMENTS || r == LB_RECIPE_DOCUMENTS_LONGER)
        return draw_documents(d, r == LB_RECIPE_DOCUMENTS_LONGER);
    return draw_shuffled(d, r, sequences);
}

lb_status lb_recipe_tokens(const lb_corpus *c, lb_recipe r, uint64_t seed, int64_t samples, int64_t length, lb_arena *a,
                           lb_sequences *out) {
    drawing d = {.c = c, .recipe = lb_recipe_names[r], .seed = seed, .samples = samples, .length = length, .a = a};
    *out = (lb_sequences){.n = samples, .length = length};
    LB_TRY(lb_corpus_holds(c, r, samples, length));
    if (r == LB_RECIPE_SEQUENTIAL || r == LB_RECIPE_RANDOM) {
        LB_TRY(lb_corpus_windows(c, r, seed, samples, length, a, &d.out));
    } else {
        if (!(d.out = LB_NEW(a, int32_t, samples * length))) return LB_E_NOMEM;
        d.rows = c->rows ? lb_rows_count(c->rows) : 0;
        LB_TRY(draw(&d, r, &out->n));
    }
    out->token = d.out;
    out->start = d.start;
    return LB_OK;
}

/* What the small programs of the benchmarks share: numbers from a seed, a layer with statistics, gptq with options as
 * text. */
#ifndef LB_BENCH_KIT_H
#define LB_BENCH_KIT_H

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "eval/hessian.h"

/* Ends the program with the error's text when a call fails. */
static inline void must(lb_status st) {
    if (st == LB_OK) return;
    fprintf(stderr, "%s\n", lb_error());
    exit(1);
}
static inline void *must_have(void *p) {
    if (!p) must(LB_E_NOMEM);
    return p;
}

/* (rows, cols) normal numbers; lb_free(d). */
static inline lb_mat random_mat(uint64_t seed, int64_t rows, int64_t cols) {
    float *d = must_have(lb_alloc((size_t)rows, (size_t)cols * sizeof *d));
    lb_rng r = lb_rng_make(seed, 0);
    for (int64_t i = 0; i < rows * cols; i++) d[i] = (float)lb_rng_normal(&r);
    return lb_mat_of(d, rows, cols);
}

/* Inputs like those of a model's layers: neighbouring columns are correlated, and their sizes differ by up to ten. */
static inline lb_mat random_inputs(uint64_t seed, int64_t tokens, int64_t cols) {
    lb_mat X = random_mat(seed, tokens, cols);
    for (int64_t t = 0; t < tokens; t++) {
        float *x = X.d + t * cols;
        for (int64_t c = 1; c < cols; c++) x[c] = 0.6f * x[c - 1] + 0.8f * x[c];
        for (int64_t c = 0; c < cols; c++) x[c] *= 0.1f + 0.9f * (float)(c * 37 % 101) / 100.0f;
    }
    return X;
}

/* H of `tokens` such inputs; in the arena. */
static inline lb_hessian random_hessian(uint64_t seed, int64_t tokens, int64_t cols, lb_arena *a, lb_team *team) {
    lb_hessian h;
    must(lb_hessian_new(a, cols, &h));
    for (int64_t t = 0; t < tokens; t += LB_HESSIAN_CHUNK) {
        int64_t n = tokens - t < LB_HESSIAN_CHUNK ? tokens - t : LB_HESSIAN_CHUNK;
        lb_mat X = random_inputs(seed + (uint64_t)t, n, cols);
        must(lb_hessian_add(&h, lb_mat_c(X), 1, team));
        lb_free(X.d);
    }
    must(lb_hessian_finish(&h, team));
    return h;
}

/* The method's options from NULL-terminated pairs of name and text. */
static inline void *method_options(const lb_method *m, lb_arena *a, const char *const *pairs) {
    void *o = must_have(lb_arena_get(a, 1, m->options.struct_size));
    must(lb_options_defaults(&m->options, a, o));
    for (; pairs[0]; pairs += 2) must(lb_options_set(&m->options, a, o, pairs[0], pairs[1], m->name));
    return o;
}

static inline void solve_layer(const lb_method *m, const void *options, lb_cmat W, const lb_hessian *h, lb_arena *a,
                               lb_team *team, lb_layer *out) {
    lb_arena *scratch;
    must(lb_arena_new(0, &scratch));
    lb_stats stats = {.H = lb_dmat_c(h->H), .tokens = h->tokens, .sequences = h->sequences, .routed = h->tokens};
    lb_layer_in in = {.name = "0.down", .W = W, .stats = &stats, .scratch = scratch, .arena = a, .team = team};
    must(m->layer(&in, options, out));
    lb_arena_free(scratch);
}

/* Reads a whole number of at least `least`, or ends the program. */
static inline int64_t number_arg(const char *text, int64_t least) {
    char *end;
    long long v = strtoll(text, &end, 10);
    if (*text && !*end && v >= least) return v;
    fprintf(stderr, "%s: must be a whole number of at least %lld\n", text, (long long)least);
    exit(2);
}

#endif

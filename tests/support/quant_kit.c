#include "support/quant_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

kit kit_open(int threads) {
    kit k = {0};
    if (lb_arena_new(0, &k.arena) != LB_OK || lb_team_new(threads, &k.team) != LB_OK) fail_msg("%s", lb_error());
    return k;
}

void kit_close(kit *k) {
    lb_arena_free(k->arena);
    lb_team_free(k->team);
}

static void *need(void *p) {
    if (!p) fail_msg("%s", lb_error());
    return p;
}

lb_mat kit_random(const kit *k, uint64_t seed, int64_t rows, int64_t cols) {
    lb_rng rng = lb_rng_make(seed, 1);
    lb_mat m = lb_mat_of(need(LB_NEW(k->arena, float, rows *cols)), rows, cols);
    for (int64_t r = 0; r < rows; r++) {
        double scale = 0.05 + lb_rng_uniform(&rng);
        for (int64_t c = 0; c < cols; c++) m.d[r * cols + c] = (float)(scale * lb_rng_normal(&rng));
    }
    return m;
}

lb_stats kit_stats(const kit *k, uint64_t seed, int64_t tokens, int64_t cols) {
    lb_rng rng = lb_rng_make(seed, 2);
    double *H = need(LB_NEW(k->arena, double, cols *cols)), *x = need(LB_NEW(k->arena, double, cols));
    for (int64_t t = 0; t < tokens; t++) {
        double common = lb_rng_normal(&rng);
        for (int64_t c = 0; c < cols; c++) x[c] = (0.2 + (double)(c * 7 % 11) / 5) * (lb_rng_normal(&rng) + common);
        for (int64_t i = 0; i < cols; i++)
            for (int64_t j = 0; j < cols; j++) H[i * cols + j] += x[i] * x[j] / (double)tokens;
    }
    return (lb_stats){.H = {H, cols, cols, cols}, .tokens = tokens, .sequences = 4};
}

void *kit_options(const kit *k, const lb_method *m, const char *text) {
    void *values = need(lb_arena_get(k->arena, 1, m->options.struct_size + 8));
    if (lb_options_defaults(&m->options, k->arena, values) != LB_OK) fail_msg("%s", lb_error());
    for (const char *p = text; *p;) {
        char name[64], value[64];
        int used = 0;
        if (sscanf(p, " %63[^= ]=%63s%n", name, value, &used) != 2) fail_msg("options '%s'", text);
        if (lb_options_set(&m->options, k->arena, values, name, value, "test") != LB_OK) fail_msg("%s", lb_error());
        p += used;
    }
    return values;
}

const lb_method *kit_method(const kit *k, const char *names) {
    const lb_method *stage[8], *m;
    size_t n = 0;
    for (const char *p = names; *p && n < 8; n++) {
        char name[64] = "";
        size_t len = strcspn(p, "+");
        memcpy(name, p, len < sizeof name ? len : sizeof name - 1);
        stage[n] = need((void *)(uintptr_t)lb_method_find(name));
        p += len + (p[len] == '+');
    }
    if (n == 1) return stage[0];
    if (lb_pipeline_new(k->arena, stage, n, &m) != LB_OK) fail_msg("%s", lb_error());
    return m;
}

lb_status kit_try(const kit *k, const char *method, const char *options, lb_mat W, const lb_stats *stats,
                  lb_layer *out) {
    const lb_method *m = kit_method(k, method);
    const void *opts = kit_options(k, m, options);
    lb_arena *scratch = NULL; /* what is returned must not live there */
    if (lb_arena_new(0, &scratch) != LB_OK) return LB_E_NOMEM;
    lb_layer_in in = {"0.test", lb_mat_c(W), NULL, stats, 0, scratch, k->arena, k->team, NULL};
    lb_status st = lb_method_layer(m, &in, opts, out);
    lb_arena_free(scratch);
    return st;
}

lb_layer kit_run(const kit *k, const char *method, const char *options, lb_mat W, const lb_stats *stats) {
    lb_layer c;
    if (kit_try(k, method, options, W, stats, &c) != LB_OK) fail_msg("%s %s: %s", method, options, lb_error());
    return c;
}

lb_mat kit_dequantize(const kit *k, const lb_layer *c) {
    lb_mat W = lb_mat_of(need(LB_NEW(k->arena, float, c->rows * c->cols)), c->rows, c->cols);
    if (lb_layer_dequantize(c, W) != LB_OK) fail_msg("%s", lb_error());
    return W;
}

void assert_error_has(const char *text) {
    if (!strstr(lb_error(), text)) fail_msg("the message \"%s\" should contain \"%s\"", lb_error(), text);
}

/* Methods as stages: one layer that each adds to, the same bytes at any number of threads, stored as it says, and
 * nothing of what a stage keeps or scratches reaches another. Against numpy: tests/oracle/test_stages.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "math/blas.h"
#include "quant/format.h"
#include "support/quant_kit.h"

enum { ROWS = 21, COLS = 66, TOKENS = 150 };

static const char *const pairs[][2] = {
    {"wanda+rtn", "bits=3 group=16 symmetric=true mse=true"},
    {"wanda+rtn", "group=tensor"},
    {"wanda+rtn", "sparsity=0.95 bits=4 group=8 scale_type=f16"},
    {"wanda+rtn", "pattern=4:8 format=mxfp4 group=32"},
    {"wanda+rtn", "format=nf4 group=50"},
    {"wanda+rtn", "bits=1 symmetric=true group=8"},
    {"wanda+rtn", "bits=2 format=affine group=24"},
    {"wanda+nf4", "group=40 double_quant=true"},
    {"wanda+hqq", "bits=3 group=16"},
    {"wanda+hqq", "sparsity=0.9 group=row"},
    {"wanda+gptq", "bits=3 group=16 act_order=true"},
    {"wanda+gptq", "sparsity=0.9 bits=3 group=8 group_refit=column block=20"},
    {"wanda+gptq", "group=16 act_order=true static_groups=true mse=true"},
    {"wanda+gptq", "group=tensor pattern=2:4"},
    {"wanda+gptq", "format=fp8 bits=8 group=16"},
    {"gptq+low_rank", "bits=3 group=16 act_order=true rank=3"},
    {"hqq+low_rank", "bits=2 rank=3 rank_type=bf16"},
    {"wanda+low_rank", "rank=2"},
    {"wanda+gptq+low_rank", "bits=3 group=16 rank=3"},
    {"rtn+act", "bits=8 symmetric=true"},
    {"wanda+act", "act_bits=4 act_group=7"},
    {"act+gptq", "bits=3 group=16 act_symmetric=true"},
    {"act+low_rank", "rank=2"},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

static lb_status packed(const kit *k, const lb_layer *c, uint8_t **bytes, int64_t *n) {
    lb_size size;
    LB_TRY(lb_layer_size(c, &size));
    *n = size.total;
    if (!(*bytes = LB_NEW(k->arena, uint8_t, size.total + 1))) return LB_E_NOMEM;
    return lb_layer_pack(c, k->team, *bytes, size.total);
}

static void stored_as_said(void **state) {
    (void)state;
    for (size_t i = 0; i < PAIRS; i++) {
        kit one = kit_open(1), four = kit_open(4);
        lb_mat W = kit_random(&one, 3, ROWS, COLS);
        lb_stats stats = kit_stats(&one, 4, TOKENS, COLS);
        const lb_method *m = kit_method(&one, pairs[i][0]);
        lb_layer a = kit_run(&one, pairs[i][0], pairs[i][1], W, &stats);
        lb_layer b = kit_run(&four, pairs[i][0], pairs[i][1], W, &stats), back;
        lb_storage said;
        lb_size size;
        uint8_t *x = NULL, *y = NULL;
        int64_t n = 0, more = 0;
        assert_int_equal(lb_method_spec(m, kit_options(&one, m, pairs[i][1]), ROWS, COLS, &said), LB_OK);
        assert_true(lb_storage_same(&said, &a.storage));
        assert_int_equal(lb_storage_size(&said, ROWS, COLS, &size), LB_OK);
        if (packed(&one, &a, &x, &n) != LB_OK) fail_msg("%s %s: %s", pairs[i][0], pairs[i][1], lb_error());
        assert_int_equal(packed(&four, &b, &y, &more), LB_OK);
        assert_true(n == size.total && more == n);
        assert_memory_equal(x, y, (size_t)n);
        assert_int_equal(lb_layer_unpack(one.arena, &said, ROWS, COLS, one.team, x, n, &back), LB_OK);
        lb_mat whole = kit_dequantize(&one, &a), again = kit_dequantize(&one, &back);
        if (a.storage.format != &lb_f16) /* whose values are rounded when they are stored */
            assert_memory_equal(whole.d, again.d, sizeof(float) * ROWS * COLS);
        for (int64_t k = 0; a.mask && !a.storage.rank && k < ROWS * COLS; k++)
            if (!lb_mask_keeps(a.mask + k / COLS * lb_mask_row_bytes(COLS), k % COLS)) assert_true(whole.d[k] == 0);
        kit_close(&one);
        kit_close(&four);
    }
}

/* A quantizer of the input is beside the weights, whichever comes first; there is room for one. */
static void beside_the_weights(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 5, ROWS, COLS);
    lb_layer rtn = kit_run(&k, "rtn", "bits=4 group=16", W, NULL);
    lb_layer before = kit_run(&k, "act+rtn", "act_bits=6 bits=4 group=16", W, NULL);
    lb_layer after = kit_run(&k, "rtn+act", "act_bits=6 bits=4 group=16", W, NULL);
    assert_int_equal(rtn.storage.act.bits, 0);
    assert_int_equal(before.storage.act.bits, 6);
    assert_true(lb_storage_same(&before.storage, &after.storage));
    assert_memory_equal(rtn.codes, before.codes, ROWS * COLS);
    assert_memory_equal(rtn.codes, after.codes, ROWS * COLS);
    const lb_method *act = lb_method_find("act");
    lb_storage s;
    assert_int_equal(act->extend(kit_options(&k, act, ""), &after.storage, ROWS, COLS, &s), LB_E_UNSUPPORTED);
    assert_error_has("inputs are quantized to 6 bits already");
    lb_layer alone = kit_run(&k, "act", "", W, NULL); /* the weights as they are */
    assert_memory_equal(kit_dequantize(&k, &alone).d, W.d, sizeof(float) * ROWS * COLS);
    lb_layer c;
    W.d[COLS + 2] = NAN;
    assert_int_equal(kit_try(&k, "act", "", W, NULL, &c), LB_E_NUMERIC);
    assert_error_has("weight at row 1, column 2 is NaN or infinite");
    kit_close(&k);
}

/* tr(D H D^T) */
static double error_of(const kit *k, lb_mat W, const lb_layer *c, lb_cdmat H) {
    lb_mat d = kit_dequantize(k, c);
    double sum = 0;
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t i = 0; i < W.cols; i++)
            for (int64_t j = 0; j < W.cols; j++)
                sum += (double)(d.d[r * W.cols + i] - W.d[r * W.cols + i]) * H.d[i * H.ld + j] *
                       (double)(d.d[r * W.cols + j] - W.d[r * W.cols + j]);
    return sum;
}

/* What a stage adds is what its method is for, under the same mask and onto the same grid of stored bits. */
static void each_stage_helps(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 5, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 6, TOKENS, COLS);
    lb_layer rtn = kit_run(&k, "wanda+rtn", "bits=3 group=16", W, &stats);
    lb_layer gptq = kit_run(&k, "wanda+gptq", "bits=3 group=16", W, &stats);
    lb_layer three = kit_run(&k, "wanda+gptq+low_rank", "bits=3 group=16 rank=6", W, &stats);
    size_t mask = (size_t)(ROWS * lb_mask_row_bytes(COLS)), codes = ROWS * COLS;
    assert_memory_equal(rtn.mask, gptq.mask, mask);
    assert_memory_equal(rtn.mask, three.mask, mask);
    assert_memory_equal(gptq.codes, three.codes, codes);
    double of_rtn = error_of(&k, W, &rtn, stats.H), of_gptq = error_of(&k, W, &gptq, stats.H);
    assert_true(of_gptq < 0.7 * of_rtn);
    assert_true(error_of(&k, W, &three, stats.H) < 0.8 * of_gptq);
    assert_int_equal(three.told.which, 11); /* what a stage says of the layer stays, behind what those before said */
    assert_true(three.told.value[0] == 0.5 && three.told.value[1] == 0.01);
    assert_true(three.told.value[3] > 0 && three.told.value[3] < 1);
    kit_close(&k);
}

/* q, k and v of one H: what stages keep for each other changes nothing, and no stage finds another's. */
static void kept_by_stage(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_kept kept = {.arena = k.arena};
    for (int turn = 0; turn < 3; turn++) {
        lb_mat W = kit_random(&k, 7 + (uint64_t)turn, ROWS, COLS);
        lb_stats stats = kit_stats(&k, 8, TOKENS, COLS), shared = stats;
        shared.kept = &kept;
        lb_layer alone = kit_run(&k, "gptq+low_rank", "rank=4", W, &stats);
        lb_layer together = kit_run(&k, "gptq+low_rank", "rank=4", W, &shared);
        assert_memory_equal(alone.codes, together.codes, ROWS * COLS);
        assert_memory_equal(alone.B, together.B, sizeof(float) * ROWS * 4);
    }
    assert_non_null(kept.data);
    kit_close(&k);
}

/* Two stages that look around: each must find the target, the layer before, its own seed and what it kept itself. */
static const lb_storage with_range = {
    .format = &lb_f32, .bits = 32, .act = {.bits = 8, .symmetric = true, .mode = LB_ACTQUANT_STATIC}};
static char own[2];
static uint64_t seen_seed[2];
static const float *target;
static bool tells_too_much;
static const lb_diagnostic told[] = {{"damp", "", "a damping", 0, 1}, {"dead", "columns", "columns", 0, 100}};
static const lb_diagnostic tells_damp[] = {{"damp", "steps", "another", 0, 10}};

static lb_status look(const lb_layer_in *in, int i, lb_layer *out) {
    assert_true(in->W.d == target && !in->so_far == (i == 0));
    assert_true(!in->stats == (i == 0)); /* the first asks for none */
    if (i == 1) {
        assert_true(!in->stats->kept->data || in->stats->kept->data == &own[1]);
        in->stats->kept->data = &own[1];
        assert_true(in->so_far->told.which == 0 && in->so_far->dense[0] == 3); /* its places are its own */
    }
    seen_seed[i] = in->seed;
    LB_TRY(lb_layer_new(in->arena, &with_range, in->W.rows, in->W.cols, false, out));
    out->dense[0] = 3;
    out->flags = i ? LB_FLAG_DAMP_RAISED : LB_FLAG_DEAD_COLUMNS;
    if (i == 0) out->act_scale = 0.25f;
    lb_tell(&out->told, 0, i ? 7 : 0.5);
    if (i == 0) lb_tell(&out->told, 1, 2);
    if (i == 1 && tells_too_much) lb_tell(&out->told, 1, 2);
    return LB_OK;
}
static lb_status look_first(const lb_layer_in *in, const void *opts, lb_layer *out) {
    (void)opts;
    return look(in, 0, out);
}
static lb_status look_second(const lb_layer_in *in, const void *opts, lb_layer *out) {
    (void)opts;
    return look(in, 1, out);
}
static lb_status floats(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = (lb_storage){.format = &lb_f32, .bits = 32};
    return LB_OK;
}
static lb_status ranged(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = with_range;
    return LB_OK;
}
static lb_status half(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)so_far, (void)rows, (void)cols;
    *out = (lb_storage){.format = &lb_f16, .bits = 16};
    return LB_OK;
}
static lb_status same(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = *so_far;
    return LB_OK;
}

static void what_a_stage_sees(void **state) {
    (void)state;
    const lb_method first = {.api = LB_METHOD_API,
                             .name = "a",
                             .summary = "a",
                             .spec = ranged,
                             .layer = look_first,
                             .diagnostics = {told, 2}};
    lb_method second = {.api = LB_METHOD_API,
                        .name = "b",
                        .summary = "b",
                        .needs = LB_NEEDS_HESSIAN,
                        .spec = ranged,
                        .layer = look_second,
                        .extend = same,
                        .diagnostics = {tells_damp, 1}};
    const lb_method *stage[] = {&first, &second}, *m;
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 3, 4, 8);
    lb_stats stats = kit_stats(&k, 4, 20, 8);
    lb_kept kept = {.arena = k.arena};
    lb_arena *scratch = NULL;
    lb_layer c;
    stats.kept = &kept;
    target = W.d;
    assert_int_equal(lb_pipeline_new(k.arena, stage, 2, &m), LB_OK);
    assert_int_equal(m->needs, LB_NEEDS_HESSIAN);
    assert_int_equal(m->diagnostics.n, 3);
    assert_string_equal(m->diagnostics.table[0].name, "a.damp"); /* both have one */
    assert_string_equal(m->diagnostics.table[1].name, "dead");
    assert_string_equal(m->diagnostics.table[2].name, "b.damp");
    assert_string_equal(m->diagnostics.table[2].unit, "steps");
    assert_int_equal(lb_arena_new(0, &scratch), LB_OK);
    lb_layer_in in = {"0.q", lb_mat_c(W), NULL, &stats, 77, scratch, k.arena, k.team, NULL};
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(lb_method_layer(m, &in, "", &c), LB_OK);
        assert_true(c.told.which == 7 && c.told.value[0] == 0.5 && c.told.value[1] == 2 && c.told.value[2] == 7);
        assert_true(c.act_scale == 0.25f);
        assert_int_equal(c.flags, LB_FLAG_DAMP_RAISED | LB_FLAG_DEAD_COLUMNS);
        assert_true(seen_seed[0] != seen_seed[1]);
        assert_true(((const lb_kept *)kept.data)[0].data == NULL && ((const lb_kept *)kept.data)[1].data == &own[1]);
    }
    tells_too_much = true;
    assert_int_equal(lb_method_layer(m, &in, "", &c), LB_E_ARG);
    assert_error_has("layer 0.q: stage b: diagnostics 0x3: the method has a table of 1");
    tells_too_much = false;
    second.extend = half; /* says one thing and does another */
    assert_int_equal(lb_method_layer(m, &in, "", &c), LB_E_ARG);
    assert_error_has("layer 0.q: stage b made a layer that is not stored as it said");
    lb_arena_free(scratch);
    kit_close(&k);
}

/* ---- stages of block scope ---- */

static lb_status make_block(const struct lb_block_in *in, const void *opts, struct lb_block_out *out) {
    (void)in, (void)opts, (void)out;
    return LB_OK;
}
static lb_status keep_nothing(const void *opts, const struct lb_block_input *in, lb_storage *out, bool *fold) {
    (void)opts, (void)in, (void)out, (void)fold;
    return LB_OK;
}
static const lb_option strength[] = {{"bits", LB_OPT_INT, "7", 2, 8, NULL, "bits", 0}};
static const lb_method prepare = {.api = LB_METHOD_API,
                                  .name = "prepare",
                                  .summary = "prepare",
                                  .needs = LB_NEEDS_HESSIAN | LB_PRESERVES,
                                  .options = {strength, 1, 8},
                                  .spec_input = keep_nothing,
                                  .block = make_block};
static const lb_method again = {.api = LB_METHOD_API,
                                .name = "again",
                                .summary = "again",
                                .needs = LB_PRESERVES | LB_NEEDS_SEED,
                                .spec_input = keep_nothing,
                                .block = make_block};
static const lb_method whole_block = {.api = LB_METHOD_API,
                                      .name = "whole-block",
                                      .summary = "whole block",
                                      .needs = LB_NEEDS_FORWARD,
                                      .spec = floats,
                                      .block = make_block};

static const lb_method *piped(const kit *k, const lb_method *a, const lb_method *b, const lb_method *c) {
    const lb_method *all[] = {a, b, c}, *m = NULL;
    assert_int_equal(lb_pipeline_new(k->arena, all, c ? 3 : b ? 2 : 1, &m), LB_OK);
    return m;
}

/* Stages that preserve make no layer: the first after them starts it, with all its options, from nothing. */
static void after_those_that_preserve(void **state) {
    (void)state;
    kit k = kit_open(2), scratch = kit_open(1);
    const lb_method *low_rank = lb_method_find("low_rank"), *m = piped(&k, &prepare, &again, low_rank);
    assert_string_equal(m->name, "prepare+again+low_rank");
    assert_int_equal(lb_method_preserving(m), 2);
    assert_int_equal(lb_method_preserving(low_rank), 0);
    assert_int_equal(lb_method_layer_needs(m, NULL), LB_NEEDS_HESSIAN | LB_FACTORS_HESSIAN);
    assert_int_equal(lb_method_layer_needs(piped(&k, &prepare, lb_method_find("rtn"), NULL), NULL), 0);
    assert_int_equal(m->needs, LB_NEEDS_HESSIAN | LB_FACTORS_HESSIAN | LB_NEEDS_SEED);
    void *opts = kit_options(&k, m, "prepare.bits=5 low_rank.bits=3 group=16 rank=2");
    int64_t bits;
    memcpy(&bits, lb_method_stage_opts(m, 0, opts), sizeof bits);
    assert_int_equal(bits, 5);
    lb_storage s, alone;
    const void *its = lb_method_stage_opts(m, 2, opts);
    assert_int_equal(lb_method_spec(m, opts, ROWS, COLS, &s), LB_OK);
    assert_int_equal(lb_method_spec(low_rank, its, ROWS, COLS, &alone), LB_OK);
    assert_true(lb_storage_same(&s, &alone) && s.bits == 3 && s.rank == 2);
    lb_mat W = kit_random(&k, 3, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 4, TOKENS, COLS);
    lb_layer_in in = {"0.q", lb_mat_c(W), NULL, &stats, 7, scratch.arena, k.arena, k.team, NULL};
    lb_layer a, b;
    assert_int_equal(lb_method_layer(m, &in, opts, &a), LB_OK);
    assert_int_equal(lb_method_layer(low_rank, &in, its, &b), LB_OK);
    assert_memory_equal(a.codes, b.codes, ROWS * COLS);
    assert_memory_equal(a.A, b.A, sizeof(float) * 2 * COLS);
    kit_close(&scratch);
    kit_close(&k);
}

/* A layer that a stage of block scope made is gone on from. */
static void after_a_block(void **state) {
    (void)state;
    kit k = kit_open(2), scratch = kit_open(1);
    const lb_method *m = piped(&k, &whole_block, lb_method_find("rtn"), lb_method_find("low_rank"));
    void *opts = kit_options(&k, m, "bits=3 group=16 rank=2");
    lb_mat W = kit_random(&k, 3, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 4, TOKENS, COLS);
    lb_layer_in in = {"0.q", lb_mat_c(W), NULL, &stats, 7, scratch.arena, k.arena, k.team, NULL};
    lb_layer made, c;
    lb_storage s;
    assert_int_equal(lb_method_spec(m, opts, ROWS, COLS, &s), LB_OK);
    assert_int_equal(s.rank, 2);
    assert_int_equal(floats(NULL, ROWS, COLS, &s), LB_OK);
    assert_int_equal(lb_layer_new(k.arena, &s, ROWS, COLS, false, &made), LB_OK);
    for (int64_t i = 0; i < ROWS * COLS; i++) made.dense[i] = 2 * W.d[i]; /* what it made is rounded, not the target */
    in.so_far = &made;
    assert_int_equal(lb_method_layer(m, &in, opts, &c), LB_OK);
    lb_mat twice = kit_random(&k, 3, ROWS, COLS);
    for (int64_t i = 0; i < ROWS * COLS; i++) twice.d[i] *= 2;
    lb_layer rtn = kit_run(&k, "rtn", "bits=3 group=16", twice, NULL);
    assert_memory_equal(c.codes, rtn.codes, ROWS * COLS);
    assert_int_equal(lb_method_layer(&whole_block, &in, NULL, &c), LB_OK);
    assert_ptr_equal(c.dense, made.dense);
    kit_close(&scratch);
    kit_close(&k);
}

static void orders_that_are_refused(void **state) {
    (void)state;
    kit k = kit_open(1);
    const lb_method *rtn = lb_method_find("rtn"), *qat = lb_method_find("qat"), *wanda = lb_method_find("wanda");
    const struct {
        const lb_method *m;
        const char *why;
    } no[] = {
        {&prepare, "prepare prepares a model and compresses nothing: put it before a method that does"},
        {piped(&k, &prepare, &again, NULL), "prepare+again prepares a model and compresses nothing"},
        {piped(&k, rtn, &prepare, NULL),
         "stage prepare prepares the model that is compressed: it must come before rtn"},
        {piped(&k, &again, rtn, &prepare), "stage prepare prepares the model that is compressed: it must come before"},
        {piped(&k, &prepare, qat, NULL), "stage qat works on the whole network"},
        {piped(&k, wanda, &whole_block, NULL), "stage whole-block compresses blocks: it cannot go on from what wanda"},
        {piped(&k, &prepare, rtn, wanda), "stage wanda only starts a layer: it cannot go on from what rtn made"},
    };
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        lb_storage s;
        const void *opts = kit_options(&k, no[i].m, "");
        assert_int_equal(lb_method_check(no[i].m, opts), LB_E_UNSUPPORTED);
        assert_error_has(no[i].why);
        assert_int_equal(lb_method_spec(no[i].m, opts, ROWS, COLS, &s), LB_E_UNSUPPORTED);
    }
    assert_int_equal(
        lb_method_check(piped(&k, &prepare, wanda, rtn), kit_options(&k, piped(&k, &prepare, wanda, rtn), "")), LB_OK);
    kit_close(&k);
}

static void nothing_kept_of_a_group(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 9, 4, 32);
    for (int64_t r = 0; r < 4; r++)
        for (int64_t c = 8; c < 16; c++) W.d[r * 32 + c] = 1e-6f;
    lb_stats stats = kit_stats(&k, 10, TOKENS, 32);
    static const char *const second[] = {"rtn", "gptq", "hqq"};
    for (size_t i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "wanda+%s", second[i]);
        lb_layer c = kit_run(&k, name, "group=8", W, &stats);
        assert_int_equal(lb_layer_check(&c, NULL), LB_OK);
        for (int64_t r = 0; r < 4; r++) assert_true(c.scale[r * 4 + 1] > 0 && isfinite(c.scale[r * 4 + 1]));
    }
    kit_close(&k);
}

static void refused(void **state) {
    (void)state;
    static const char *const no[][3] = {
        {"rtn+nf4", "group=64", "stage nf4: rounds floats, and the layer so far is int4 g64 asym: it must come before"},
        {"low_rank+gptq", "rank=2", "stage gptq: rounds floats"},
        {"wanda+low_rank+rtn", "rank=2", "stage rtn: rounds floats, and the layer so far is f16 keep33:66 rank2"},
        {"rtn+low_rank", "rank=22", "stage low_rank: rank 22: a layer of (21, 66) has at most 21"},
        {"rtn+wanda", "", "stage wanda only starts a layer: it cannot go on from what rtn made"},
        {"rtn+qat", "bits=4", "stage qat works on the whole network"},
        {"wanda+rtn", "pattern=2:4 sparsity=0.4", "stage wanda: pattern 2:4 prunes half"},
        {"rtn+act", "act_group=8 act_mode=static",
         "stage act: act_group does not apply: act_mode static has one range"},
        {"rtn+act", "act_group=67", "stage act: act_group = 67: an input of 66 columns is narrower"},
    };
    kit k = kit_open(1);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        const lb_method *m = kit_method(&k, no[i][0]);
        lb_storage s;
        assert_int_equal(lb_method_spec(m, kit_options(&k, m, no[i][1]), ROWS, COLS, &s), LB_E_UNSUPPORTED);
        assert_error_has(no[i][2]);
    }
    const lb_method *twice[] = {lb_method_find("rtn"), lb_method_find("rtn")}, *m;
    assert_int_equal(lb_pipeline_new(k.arena, twice, 2, &m), LB_E_ARG);
    lb_mat W = kit_random(&k, 3, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 4, TOKENS, COLS);
    lb_layer c;
    W.d[70] = NAN;
    assert_int_equal(kit_try(&k, "rtn+low_rank", "rank=2", W, &stats, &c), LB_E_NUMERIC);
    assert_error_has("0.test");
    kit_close(&k);
}

static void memory_runs_out(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 3, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 4, TOKENS, COLS);
    for (size_t i = 0; i < PAIRS; i++) {
        const lb_method *m = kit_method(&k, pairs[i][0]);
        const void *opts = kit_options(&k, m, pairs[i][1]);
        lb_status st = LB_E_NOMEM;
        int64_t n = 1;
        for (; n < 1000 && st == LB_E_NOMEM; n++) {
            lb_arena *scratch = NULL, *made = NULL;
            lb_layer c;
            lb_alloc_fail_at(n);
            st = lb_arena_new(1, &scratch);
            if (st == LB_OK) st = lb_arena_new(1, &made);
            lb_layer_in in = {"0.test", lb_mat_c(W), NULL, &stats, 0, scratch, made, k.team, NULL};
            if (st == LB_OK) st = lb_method_layer(m, &in, opts, &c);
            lb_alloc_fail_at(0);
            lb_arena_free(scratch);
            lb_arena_free(made);
        }
        if (st != LB_OK) fail_msg("%s: %s", pairs[i][0], lb_error());
        assert_true(n > 3);
    }
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stage_sees),         cmocka_unit_test(stored_as_said),
        cmocka_unit_test(each_stage_helps),          cmocka_unit_test(kept_by_stage),
        cmocka_unit_test(nothing_kept_of_a_group),   cmocka_unit_test(refused),
        cmocka_unit_test(beside_the_weights),        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(after_those_that_preserve), cmocka_unit_test(after_a_block),
        cmocka_unit_test(orders_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

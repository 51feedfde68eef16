/* SignRound against PyTorch's autograd (tests/oracle/make_autoround.py): codes, scales and zeros after a few and after
 * many signed steps, and the block's error before and after. Codes are equal wherever float32 cannot go another way
 * than float64; an early step that did would show in what follows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "eval/block.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "model/arch.h"
#include "model/weights.h"
#include "support/llama.h"
#include "support/quant_kit.h"

#define FIXTURE "tests/oracle/fixtures/autoround.safetensors"
#define assert_ok(x)                                                                                                   \
    do {                                                                                                               \
        if ((x) != LB_OK) fail_msg("%s", lb_error());                                                                  \
    } while (0)

enum { SEED = 77, SITES = 7 };

static const lb_arch arch = {.layers = 1,
                             .dim = 32,
                             .hidden = 48,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 8,
                             .vocab = 40,
                             .context = 64,
                             .rope_base = 10000,
                             .norm_eps = 1e-5,
                             .tied = true};

typedef struct world {
    kit k;
    lb_stream *stream;
    lb_safetensors *file;
    const lb_net *n;
    lb_weights w;
    lb_block_in in;
    lb_block_site *site; /* (SITES) */
} world;

static float *floats(const world *x, const char *name) {
    const lb_tensor *t = lb_safetensors_find(x->file, name);
    if (!t) fail_msg("the fixture has no %s", name);
    float *d = LB_NEW(x->k.arena, float, lb_tensor_count(t));
    assert_non_null(d);
    assert_ok(lb_tensor_read_f32(t, 0, lb_tensor_count(t), d));
    return d;
}

static const float *expected(const world *x, const char *name, const char *layer, const char *part) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s.%s", name, layer, part);
    return floats(x, full);
}

static world open_world(int threads) {
    world x = {.k = kit_open(threads)};
    assert_ok(lb_safetensors_open(FIXTURE, &x.file));
    assert_ok(lb_arch_net(x.k.arena, &arch, &x.n));
    assert_ok(lb_weights_new(x.k.arena, x.n, &x.w));
    for (int32_t i = 0; i < x.n->slots; i++) lb_slot_set(x.n, &x.w, i, floats(&x, lb_slot_name(x.n, i)));
    const lb_tensor *t = lb_safetensors_find(x.file, "tokens");
    assert_non_null(t);
    int32_t *tokens = LB_NEW(x.k.arena, int32_t, lb_tensor_count(t));
    assert_non_null(tokens);
    memcpy(tokens, t->data, (size_t)lb_tensor_count(t) * sizeof *tokens);
    assert_ok(lb_stream_new(x.k.arena, x.n, &x.w, &(lb_sequences){tokens, t->shape[0], t->shape[1], NULL}, x.k.team,
                            &x.stream));
    int32_t first;
    assert_int_equal(lb_net_block(x.n, 0, &first), SITES);
    x.site = LB_NEW(x.k.arena, lb_block_site, SITES);
    assert_non_null(x.site);
    for (int32_t i = 0; i < SITES; i++) {
        const lb_site *s = &x.n->site[first + i];
        x.site[i] = (lb_block_site){.name = s->name, .role = s->role, .W = x.w.site[first + i].W};
    }
    x.in = (lb_block_in){
        .site = x.site, .sites = SITES, .seed = SEED, .arena = x.k.arena, .scratch = x.k.arena, .team = x.k.team};
    assert_ok(lb_block_connect(x.k.arena, x.n, x.stream, &x.w, x.k.team, &x.in));
    return x;
}

static void close_world(world *x) {
    lb_safetensors_close(x->file);
    kit_close(&x->k);
}

/* Layers by `options`; of those whose roles `only` names, NULL: of all. */
static lb_layer *run(world *x, const char *options, const char *only) {
    const lb_method *m = kit_method(&x->k, "autoround");
    const void *opts = kit_options(&x->k, m, options);
    lb_block_out out = {.layer = LB_NEW(x->k.arena, lb_layer, SITES)};
    assert_non_null(out.layer);
    for (int32_t i = 0; i < SITES; i++) {
        lb_block_site *s = &x->site[i];
        s->quantize = !only || strstr(only, s->role);
        s->opts = opts;
        assert_ok(lb_method_spec(m, opts, s->W.rows, s->W.cols, &s->storage));
    }
    assert_ok(m->block(&x->in, opts, &out));
    for (int32_t i = 0; i < SITES; i++)
        if (x->site[i].quantize) assert_ok(lb_layer_check(&out.layer[i], x->k.team));
    return out.layer;
}

/* Of the block's output with these layers, over all sequences. */
static double error_of(const world *x, const lb_layer *layer) {
    int64_t T = x->in.length, D = x->in.dim;
    lb_cmat W[SITES];
    lb_mat y[2];
    double sum = 0;
    for (int i = 0; i < SITES; i++) W[i] = lb_mat_c(kit_dequantize(&x->k, &layer[i]));
    for (int i = 0; i < 2; i++) y[i] = kit_random(&x->k, 1, T, D);
    for (int64_t s = 0; s < x->in.sequences; s++) {
        assert_ok(x->in.forward(&x->in, -1, s, W, y[0]));
        assert_ok(x->in.forward(&x->in, -1, s, NULL, y[1]));
        for (int64_t i = 0; i < T * D; i++) sum += pow((double)y[0].d[i] - (double)y[1].d[i], 2);
    }
    return sum / (double)(x->in.sequences * T * D);
}

/* ---- against the fixture ---- */

static void check_layer(const world *x, const char *name, const lb_block_site *s, const lb_layer *c) {
    const float *code = expected(x, name, s->role, "codes"), *scale = expected(x, name, s->role, "scale");
    const float *zero = expected(x, name, s->role, "zero");
    int64_t groups = lb_storage_groups_per_row(&c->storage, c->cols), doubts = 0;
    for (int64_t k = 0; k < c->rows * groups; k++) {
        if (c->scale[k] != scale[k])
            fail_msg("%s: %s: scale %lld is %g, not %g", name, s->role, (long long)k, (double)c->scale[k],
                     (double)scale[k]);
        assert_true((c->zero ? c->zero[k] : lb_storage_zero(&c->storage)) == zero[k]);
    }
    for (int64_t i = 0; i < c->rows * c->cols; i++) {
        doubts += code[i] < 0;
        if (code[i] >= 0 && (float)c->codes[i] != code[i])
            fail_msg("%s: %s: code %lld is %d, not %g", name, s->role, (long long)i, c->codes[i], (double)code[i]);
    }
    if (doubts * 10 > c->rows * c->cols)
        fail_msg("%s: %s: %lld of %lld codes are in doubt", name, s->role, (long long)doubts,
                 (long long)(c->rows * c->cols));
}

static double real(const json_t *about, const char *key) { return json_number_value(json_object_get(about, key)); }

static void check_case(world *x, const char *name) {
    json_t *about = NULL;
    const char *text = lb_safetensors_metadata(x->file, name);
    assert_non_null(text);
    assert_ok(lb_json_parse(name, text, strlen(text), &about));
    const char *options = json_string_value(json_object_get(about, "options"));
    const lb_layer *layer = run(x, options, NULL);
    for (int i = 0; i < SITES; i++) check_layer(x, name, &x->site[i], &layer[i]);
    if (strncmp(name, "batches", 7) != 0) { /* losses over all sequences */
        char start[160];
        snprintf(start, sizeof start, "%s iters=1 keep=best", options); /* the parameters before any step */
        double first = error_of(x, run(x, start, NULL)), least = error_of(x, layer);
        if (!(fabs(first / real(about, "first") - 1) < 1e-4) || !(fabs(least / real(about, "least") - 1) < 1e-3))
            fail_msg("%s: error %g, then %g: expected %g, then %g", name, first, least, real(about, "first"),
                     real(about, "least"));
    }
    json_decref(about);
}

static void steps_are_pytorchs(void **state) {
    (void)state;
    static const char *const names[] = {"one step",      "one symmetric step", "tuned",          "tuned symmetric rows",
                                        "offsets alone", "no step helps",      "batches of one", "batches"};
    world x = open_world(2);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_case(&x, names[i]);
    close_world(&x);
}

/* ---- what it must keep ---- */

static void no_step_is_round_to_nearest(void **state) {
    (void)state;
    static const char *const options[] = {"bits=3 group=16", "bits=4 symmetric=true scale_type=f16",
                                          "bits=2 group=10 scale_type=bf16"};
    world x = open_world(1);
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        char all[96];
        snprintf(all, sizeof all, "%s iters=1", options[k]);
        const lb_layer *layer = run(&x, all, NULL);
        for (int i = 0; i < SITES; i++) {
            lb_mat W = kit_random(&x.k, 1, x.site[i].W.rows, x.site[i].W.cols);
            memcpy(W.d, x.site[i].W.d, (size_t)(W.rows * W.cols) * sizeof *W.d);
            lb_layer rtn = kit_run(&x.k, "rtn", options[k], W, NULL);
            assert_memory_equal(layer[i].codes, rtn.codes, (size_t)(W.rows * W.cols));
            assert_memory_equal(kit_dequantize(&x.k, &layer[i]).d, kit_dequantize(&x.k, &rtn).d,
                                (size_t)(W.rows * W.cols) * sizeof *W.d);
        }
    }
    close_world(&x);
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    static const char options[] = "bits=3 group=10 iters=6 batch=4";
    world one = open_world(1), three = open_world(3);
    const lb_layer *a = run(&one, options, NULL), *b = run(&three, options, NULL);
    for (int i = 0; i < SITES; i++) {
        assert_memory_equal(a[i].codes, b[i].codes, (size_t)(a[i].rows * a[i].cols));
        assert_memory_equal(a[i].scale, b[i].scale,
                            (size_t)lb_storage_scales(&a[i].storage, a[i].rows, a[i].cols) * sizeof(float));
    }
    close_world(&one);
    close_world(&three);
}

/* A layer that is not quantized stays, and the others are tuned with it as it is. */
static void some_layers_alone(void **state) {
    (void)state;
    world x = open_world(1);
    const lb_layer *layer = run(&x, "bits=2 iters=5", "gate q");
    for (int i = 0; i < SITES; i++) assert_int_equal(layer[i].codes != NULL, x.site[i].quantize);
    assert_int_equal(x.site[0].quantize && x.site[4].quantize && !x.site[3].quantize, true);
    layer = run(&x, "bits=2 iters=5", "-");
    for (int i = 0; i < SITES; i++) assert_null(layer[i].codes);
    close_world(&x);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    world x = open_world(1);
    const lb_method *m = kit_method(&x.k, "autoround");
    lb_storage s;
    assert_int_equal(lb_method_spec(m, kit_options(&x.k, m, "group=tensor"), 8, 8, &s), LB_E_UNSUPPORTED);
    assert_error_has("group must not be tensor");
    assert_int_equal(lb_method_check(m, kit_options(&x.k, m, "clip=false clip_lr=0.1")), LB_E_UNSUPPORTED);
    assert_error_has("clip_lr does not apply");
    /* a rule for one layer: bits may differ, steps may not */
    run(&x, "bits=3 iters=2", NULL);
    lb_block_out out = {.layer = LB_NEW(x.k.arena, lb_layer, SITES)};
    x.site[2].opts = kit_options(&x.k, m, "bits=4 iters=2");
    assert_ok(lb_method_spec(m, x.site[2].opts, 16, 32, &x.site[2].storage));
    assert_ok(m->block(&x.in, x.site[0].opts, &out));
    assert_int_equal(out.layer[2].storage.bits, 4);
    assert_int_equal(out.layer[1].storage.bits, 3);
    x.site[2].opts = kit_options(&x.k, m, "bits=4 iters=3");
    assert_int_equal(lb_method_own(m, x.site[0].opts, x.site[2].opts, "0.v"), LB_E_UNSUPPORTED);
    assert_error_has("layer 0.v: iters = 3: belongs to the whole block (2), not to one layer");
    /* a NaN */
    lb_mat W = kit_random(&x.k, 1, 32, 32);
    W.d[70] = NAN;
    x.site[2].opts = x.site[0].opts;
    x.site[3].W = lb_mat_c(W);
    assert_int_equal(m->block(&x.in, x.site[0].opts, &out), LB_E_NUMERIC);
    assert_error_has("layer 0.o");
    close_world(&x);
}

/* What it says it takes: beside the targets, a bound that is not far from what it bounds; and tokens of all calls. */
static lb_status (*forward_of)(const lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_mat y);
static int64_t calls;

static lb_status counted(const lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_mat y) {
    calls++;
    return forward_of(in, section, s, W, y);
}

static void costs_are_what_it_says(void **state) {
    (void)state;
    world x = open_world(1);
    const lb_method *m = kit_method(&x.k, "autoround");
    double said = 0, tokens = 0, back = 0;
    assert_ok(lb_arena_new(0, &x.in.scratch));
    forward_of = x.in.forward;
    x.in.forward = counted;
    calls = 0;
    run(&x, "bits=3 group=16 iters=7 batch=4", NULL);
    for (int i = 0; i < SITES; i++) {
        const lb_cost_of of = {.rows = x.site[i].W.rows,
                               .cols = x.site[i].W.cols,
                               .first_in_block = i == 0,
                               .threads = 1,
                               .sequences = x.in.sequences,
                               .length = x.in.length};
        lb_cost one;
        assert_ok(lb_method_cost(m, x.site[i].opts, &of, &one));
        said += one.scratch;
        tokens += one.forward - one.backward; /* without those on the way back */
        back += one.backward;
    }
    assert_true(back == 7 * 4 * (double)x.in.length);
    assert_true(tokens == (double)(calls * x.in.length));
    double targets = (double)((x.in.sequences + 1) * x.in.length * x.in.dim) * sizeof(float);
    double most = (double)lb_arena_most(x.in.scratch) - targets;
    if (said < most || said > 1.5 * most) fail_msg("%g bytes of scratch, said to be %g", most, said);
    lb_arena_free(x.in.scratch);
    close_world(&x);
}

/* From the first allocation to the last, each is made to fail. */
static lb_status starved_in(lb_arena *a, const world *x) {
    lb_block_in in = x->in;
    lb_block_out out = {.layer = LB_NEW(a, lb_layer, SITES)};
    if (!out.layer) return LB_E_NOMEM;
    in.arena = in.scratch = a;
    LB_TRY(lb_block_connect(a, x->n, x->stream, &x->w, x->k.team, &in));
    return lb_method_find("autoround")->block(&in, x->site[0].opts, &out);
}

static lb_status starved(void *ctx) {
    lb_arena *a;
    LB_TRY(lb_arena_new(64, &a));
    lb_status st = starved_in(a, ctx);
    lb_arena_free(a);
    return st;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    world x = open_world(1);
    run(&x, "bits=3 group=16 iters=2 batch=2", NULL);
    assert_true(llama_fail_each_allocation(starved, &x) > 50);
    close_world(&x);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_are_pytorchs),
                                       cmocka_unit_test(no_step_is_round_to_nearest),
                                       cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
                                       cmocka_unit_test(some_layers_alone),
                                       cmocka_unit_test(what_makes_no_sense_is_refused),
                                       cmocka_unit_test(costs_are_what_it_says),
                                       cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests_name("autoround", tests, NULL, NULL);
}

/* The loss of a held-out text while a model trains: what it is of, that the training does not notice, and what happens
 * where it cannot be measured. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/perplexity.h"
#include "eval/train.h"
#include "math/blas.h"
#include "model/backward.h"
#include "quant/grid.h"
#include "support/support.h"
#include "support/tiny.h"

enum { SITES = 1 + 2 * 7 + 1, LENGTH = 20, STEPS = 5 };

typedef struct run {
    tiny t;
    lb_corpus text, held; /* the first half of the tokens, and the rest */
    bool quantize[SITES];
    const void *own[SITES];
    const lb_method *m;
    void *opts;
    lb_trainer *tr;
    lb_model_out out;
    lb_weights trained;
    lb_log *log;
} run;

static void set(run *r, const char *name, const char *value) {
    assert_ok(lb_options_set(&r->m->options, r->t.arena, r->opts, name, value, "test"));
}

static void prepare(run *r, const char *method, int threads) {
    static const char *const plan[][2] = {
        {"steps", "5"}, {"warmup", "1"}, {"batch", "2"}, {"length", "20"}, {"lr", "1e-2"}};
    *r = (run){.t = tiny_open(false, threads)};
    int64_t half = TINY_BATCH * TINY_LENGTH / 2;
    r->text = (lb_corpus){.path = "trained", .token = r->t.tokens, .tokens = half};
    r->held = (lb_corpus){.path = "held out", .token = r->t.tokens + half, .tokens = half};
    memset(r->quantize, 1, sizeof r->quantize);
    assert_non_null(r->m = lb_method_find(method));
    assert_non_null(r->opts = lb_arena_get(r->t.arena, 1, r->m->options.struct_size));
    assert_ok(lb_options_defaults(&r->m->options, r->t.arena, r->opts));
    for (size_t i = 0; i < sizeof plan / sizeof plan[0]; i++) set(r, plan[i][0], plan[i][1]);
    for (int i = 0; i < SITES; i++) r->own[i] = r->opts;
}

/* every 0: without. */
static lb_status train(run *r, int64_t every, int64_t windows) {
    LB_TRY(lb_trainer_new(r->t.arena, r->t.net, &r->t.weights, &r->text, r->quantize, r->own, 3, r->t.team, r->log,
                          &r->tr));
    if (every) lb_trainer_validate(r->tr, &(lb_validation){&r->held, every, windows});
    LB_TRY(r->m->model(r->tr, r->opts, &r->out));
    LB_TRY(tiny_trained(&r->t, r->tr, &r->out, &r->trained));
    return lb_trainer_validate_last(r->tr, &r->trained);
}

static double evaluated(run *r, const lb_weights *w, int64_t windows) {
    lb_eval_request q = {.corpus = &r->held, .max_windows = windows};
    lb_eval e;
    assert_ok(lb_protocol_parse("W2-20", &q.protocol));
    assert_ok(lb_perplexity(r->t.net, w, &q, r->t.team, r->t.arena, NULL, &e));
    return e.mean_nll;
}

static void expect_steps(const lb_curve *c, const int64_t *step, int64_t n) {
    assert_int_equal(c->validations, n);
    assert_memory_equal(c->validation_step, step, (size_t)n * sizeof *step);
    for (int64_t i = 0; i < n; i++) assert_true(isfinite(c->validation_loss[i]));
}

static void when_it_is_measured(void **state) {
    (void)state;
    static const int64_t every[] = {1, 2, 3, 5, 100},
                         at[][STEPS + 1] = {{0, 1, 2, 3, 4, 5}, {0, 2, 4, 5}, {0, 3, 5}, {0, 5}, {0, 5}};
    static const int64_t points[] = {6, 4, 3, 2, 2};
    for (size_t k = 0; k < sizeof every / sizeof every[0]; k++) {
        run r;
        prepare(&r, k % 2 ? "qat" : "finetune", 1);
        assert_ok(train(&r, every[k], 4));
        expect_steps(lb_trainer_curve(r.tr), at[k], points[k]);
        tiny_close(&r.t);
    }
    run r;
    prepare(&r, "qat", 1);
    assert_ok(train(&r, 0, 4));
    assert_int_equal(lb_trainer_curve(r.tr)->validations, 0);
    tiny_close(&r.t);
}

/* All linear layers rounded to nearest. */
static void rounded(run *r, lb_weights *out) {
    lb_model_out m = {LB_NEW(r->t.arena, lb_layer, r->tr->n_params), LB_NEW(r->t.arena, float *, r->tr->n_params)};
    assert_true(m.layer && m.changed);
    for (int64_t i = 0; i < r->tr->n_params; i++) {
        const lb_param *p = &r->tr->params[i];
        lb_storage s;
        if (!p->quantize) continue;
        assert_ok(r->m->spec(r->opts, p->rows, p->cols, &s));
        assert_ok(lb_round_to_nearest(r->t.arena, &s, false, lb_cmat_of(p->w0, p->rows, p->cols), &m.layer[i]));
    }
    assert_ok(tiny_trained(&r->t, r->tr, &m, out));
}

/* Before the first step qat is round-to-nearest, with its quantized inputs, and finetune the model; after the last both
 * are what came of it. The same whether windows are all, some, or fewer than there are threads. */
static void what_it_is_of(void **state) {
    (void)state;
    static const char *const format[][4] = {
        {"2", "row", "f32", "0"}, {"3", "8", "f16", "0"}, {"4", "row", "bf16", "6"}};
    static const int64_t windows[] = {0, 5, 2};
    for (int f = 0; f < 3; f++) {
        run r;
        lb_weights before;
        prepare(&r, "qat", 3);
        set(&r, "bits", format[f][0]);
        set(&r, "group", format[f][1]);
        set(&r, "scale_type", format[f][2]);
        set(&r, "act_bits", format[f][3]);
        assert_ok(train(&r, 2, windows[f]));
        rounded(&r, &before);
        const lb_curve *c = lb_trainer_curve(r.tr);
        double first = evaluated(&r, &before, windows[f]), last = evaluated(&r, &r.trained, windows[f]);
        assert_true(c->validation_loss[0] == first && c->validation_loss[3] == last && first != last);
        tiny_close(&r.t);
    }
    run r;
    prepare(&r, "finetune", 2);
    assert_ok(train(&r, 2, 7));
    const lb_curve *c = lb_trainer_curve(r.tr);
    assert_true(c->validation_loss[0] == evaluated(&r, &r.t.weights, 7));
    assert_true(c->validation_loss[3] == evaluated(&r, &r.trained, 7));
    tiny_close(&r.t);
}

/* Beside the loss of the training's own passes, which share no code with an evaluation's: the same sequences. */
static void training_agrees(void **state) {
    (void)state;
    enum { WINDOWS = 6 };
    run r;
    lb_backward *b;
    double total, next_token, kl;
    prepare(&r, "finetune", 2);
    assert_ok(train(&r, 2, WINDOWS));
    assert_ok(lb_backward_new(r.t.arena, r.t.net, WINDOWS, LENGTH, &b));
    assert_ok(lb_loss_gradients(b, &r.t.weights, NULL, 0, r.held.token, r.t.team, NULL, &total, &next_token, &kl));
    assert_true(fabs(lb_trainer_curve(r.tr)->validation_loss[0] - next_token) < 1e-6 * next_token);
    tiny_close(&r.t);
}

static void same_training(const run *a, const run *b) {
    const lb_curve *x = lb_trainer_curve(a->tr), *y = lb_trainer_curve(b->tr);
    assert_int_equal(x->n, STEPS);
    assert_memory_equal(x->total, y->total, STEPS * sizeof(double));
    assert_memory_equal(x->grad_norm, y->grad_norm, STEPS * sizeof(double));
    for (int64_t i = 0; i < a->tr->n_params; i++) {
        const lb_param *p = &a->tr->params[i], *q = &b->tr->params[i];
        size_t n = (size_t)(p->rows * p->cols);
        assert_memory_equal(p->w, q->w, n * sizeof(float));
        assert_memory_equal(p->grad, q->grad, n * sizeof(float));
        if (a->out.layer[i].codes) assert_memory_equal(a->out.layer[i].codes, b->out.layer[i].codes, n);
    }
}

static void the_training_does_not_notice(void **state) {
    (void)state;
    static const char *const variant[][2] = {
        {"range", "lsq"}, {"range", "minmax"}, {"kl_weight", "0.5"}, {"act_bits", "8"}};
    for (size_t v = 0; v < sizeof variant / sizeof variant[0]; v++) {
        run without, with, threads;
        prepare(&without, "qat", 1);
        prepare(&with, "qat", 1);
        prepare(&threads, "qat", 3);
        set(&without, variant[v][0], variant[v][1]);
        set(&with, variant[v][0], variant[v][1]);
        set(&threads, variant[v][0], variant[v][1]);
        assert_ok(train(&without, 0, 0));
        assert_ok(train(&with, 1, 9));
        assert_ok(train(&threads, 1, 9));
        same_training(&without, &with);
        same_training(&with, &threads);
        assert_memory_equal(lb_trainer_curve(with.tr)->validation_loss, lb_trainer_curve(threads.tr)->validation_loss,
                            (STEPS + 1) * sizeof(double));
        tiny_close(&without.t);
        tiny_close(&with.t);
        tiny_close(&threads.t);
    }
}

/* ---- what is said ---- */

static char warned[512], shown[8][128];
static int warnings, lines;

static void message(void *user, lb_level level, const char *text) {
    (void)user;
    if (level != LB_WARN) return;
    warnings++;
    snprintf(warned, sizeof warned, "%s", text);
}
static void progress(void *user, const lb_progress *p) {
    (void)user;
    assert_string_equal(p->stage, "qat");
    if (lines < 8) snprintf(shown[lines++], sizeof shown[0], "%s", p->detail);
}

static void progress_shows_it(void **state) {
    (void)state;
    run r;
    char want[64];
    lb_log log = {.message = message, .progress = progress};
    prepare(&r, "qat", 1);
    r.log = &log;
    warnings = lines = 0;
    assert_ok(train(&r, 2, 4));
    assert_int_equal(lines, STEPS);
    const lb_curve *c = lb_trainer_curve(r.tr);
    for (int i = 0; i < STEPS; i++) {
        snprintf(want, sizeof want, "loss %.4f, validation %.4f", c->total[i], c->validation_loss[i / 2]);
        assert_string_equal(shown[i], want);
    }
    assert_int_equal(warnings, 0);
    lines = 0;
    assert_ok(train(&r, 0, 0));
    snprintf(want, sizeof want, "loss %.4f", c->total[0]);
    assert_string_equal(shown[0], want);
    tiny_close(&r.t);
}

/* A model whose exponential of the mean overflows is no reason to end a training: NaN, said once. */
static void overflow_is_not_measured(void **state) {
    (void)state;
    run r;
    lb_log log = {.message = message};
    prepare(&r, "finetune", 1);
    int32_t head = r.t.net->head;
    lb_cmat W = r.t.weights.site[head].W;
    float *large = LB_NEW(r.t.arena, float, W.rows *W.cols);
    assert_non_null(large);
    for (int64_t i = 0; i < W.rows * W.cols; i++) large[i] = W.d[i] * 1e5f;
    r.t.weights.site[head].W = lb_cmat_of(large, W.rows, W.cols);
    r.log = &log;
    warnings = 0;
    assert_ok(train(&r, 2, 4));
    const lb_curve *c = lb_trainer_curve(r.tr);
    assert_int_equal(c->n, STEPS);
    assert_int_equal(c->validations, 4);
    for (int i = 0; i < 4; i++) assert_true(isnan(c->validation_loss[i]));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warned, "the validation loss at step 0"));
    assert_non_null(strstr(warned, "perplexity overflows"));
    tiny_close(&r.t);
}

static void refusals(void **state) {
    (void)state;
    run r;
    prepare(&r, "qat", 1);
    r.held.tokens = LENGTH - 1;
    assert_status(LB_E_CONFIG, train(&r, 1, 0));
    assert_error_has("step 1 of 5: validation at step 0: held out: 19 tokens are too few for one window");
    r.held.tokens = LENGTH;
    assert_ok(train(&r, 1, 0));
    lb_interrupt_request();
    assert_status(LB_E_INTERRUPTED, train(&r, 1, 0));
    lb_interrupt_clear();
    tiny_close(&r.t);
}

static void failed_allocations(void **state) {
    (void)state;
    int64_t without = 0;
    for (int64_t nth = 1;; nth++) {
        run r;
        prepare(&r, "qat", 1);
        lb_arena *a, *kept = r.t.arena;
        assert_ok(lb_arena_new(64, &a));
        r.t.arena = a;
        if (nth == 1) {
            lb_alloc_fail_at(0);
            assert_ok(train(&r, 0, 0));
            without = lb_alloc_count();
        }
        lb_alloc_fail_at(nth);
        lb_status st = train(&r, 2, 4);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        if (reached) assert_int_equal(st, LB_E_NOMEM);
        lb_arena_free(a);
        r.t.arena = kept;
        tiny_close(&r.t);
        if (reached) continue;
        assert_int_equal(st, LB_OK);
        assert_true(nth > without + 8);
        return;
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_it_is_measured),
        cmocka_unit_test(what_it_is_of),
        cmocka_unit_test(training_agrees),
        cmocka_unit_test(the_training_does_not_notice),
        cmocka_unit_test(progress_shows_it),
        cmocka_unit_test(overflow_is_not_measured),
        cmocka_unit_test(refusals),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The trainer, fake quantization, and what qat and finetune promise about their results. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/train.h"
#include "math/blas.h"
#include "quant/fakequant.h"
#include "support/tiny.h"

enum { SITES = 1 + 2 * 7 + 1 };

typedef struct run {
    tiny t;
    lb_corpus text;
    bool quantize[SITES];
    const void *own[SITES];
    const lb_method *m;
    void *opts;
    lb_trainer *tr;
    lb_model_out out;
    lb_weights trained;
} run;

static void set(run *r, void *opts, const char *name, const char *value) {
    assert_ok(lb_options_set(&r->m->options, r->t.arena, opts, name, value, "test"));
}

static void *defaults(run *r) {
    void *opts = lb_arena_get(r->t.arena, 1, r->m->options.struct_size);
    assert_non_null(opts);
    assert_ok(lb_options_defaults(&r->m->options, r->t.arena, opts));
    set(r, opts, "steps", "4");
    set(r, opts, "warmup", "1");
    set(r, opts, "batch", "2");
    set(r, opts, "length", "32");
    set(r, opts, "lr", "1e-3");
    return opts;
}

static void prepare(run *r, const char *method, bool tied, int threads) {
    *r = (run){.t = tiny_open(tied, threads)};
    r->text = (lb_corpus){.path = "tokens", .token = r->t.tokens, .tokens = TINY_BATCH * TINY_LENGTH};
    memset(r->quantize, 1, sizeof r->quantize);
    assert_non_null(r->m = lb_method_find(method));
    r->opts = defaults(r);
    for (int i = 0; i < SITES; i++) r->own[i] = r->opts;
}

static lb_status train(run *r, uint64_t seed) {
    LB_TRY(lb_trainer_new(r->t.arena, r->t.net, &r->t.weights, &r->text, r->quantize, r->own, seed, r->t.team, NULL,
                          &r->tr));
    LB_TRY(r->m->model(r->tr, r->opts, &r->out));
    return tiny_trained(&r->t, r->tr, &r->out, &r->trained);
}

static lb_linop *site(run *r, lb_weights *w, const char *name) { return &w->site[tiny_site(&r->t, name)]; }

static const char *const linears[] = {"q", "k", "v", "o", "gate", "up", "down"};

static const lb_layer *layer(const run *r, const char *name) {
    return &r->out.layer[lb_trainer_find(r->tr, name) - r->tr->params];
}

static void assert_same_result(const run *a, const run *b) {
    for (int64_t i = 0; i < a->tr->n_params; i++) {
        const lb_layer *x = &a->out.layer[i], *y = &b->out.layer[i];
        int64_t n = a->tr->params[i].rows * a->tr->params[i].cols;
        assert_int_equal(x->rows, y->rows);
        if (x->codes) assert_memory_equal(x->codes, y->codes, (size_t)n);
        if (x->dense) assert_memory_equal(x->dense, y->dense, (size_t)n * sizeof(float));
        if (x->scale)
            assert_memory_equal(x->scale, y->scale,
                                (size_t)lb_storage_scales(&x->storage, x->rows, x->cols) * sizeof(float));
        assert_int_equal(!a->out.changed[i], !b->out.changed[i]);
        if (a->out.changed[i]) assert_memory_equal(a->out.changed[i], b->out.changed[i], (size_t)n * sizeof(float));
    }
}

static void same_bytes_at_any_thread_count(void **state) {
    (void)state;
    static const char *const variant[][2] = {
        {"range", "lsq"}, {"range", "minmax"}, {"kl_weight", "0.5"}, {"act_bits", "8"}};
    for (int v = 0; v < 4; v++) {
        run a, b;
        prepare(&a, "qat", v % 2, 1);
        prepare(&b, "qat", v % 2, 3);
        set(&a, a.opts, variant[v][0], variant[v][1]);
        set(&b, b.opts, variant[v][0], variant[v][1]);
        assert_ok(train(&a, 3));
        assert_ok(train(&b, 3));
        assert_same_result(&a, &b);
        const lb_curve *x = lb_trainer_curve(a.tr), *y = lb_trainer_curve(b.tr);
        assert_memory_equal(x->total, y->total, 4 * sizeof(double));
        assert_memory_equal(x->grad_norm, y->grad_norm, 4 * sizeof(double));
        tiny_close(&a.t);
        tiny_close(&b.t);
    }
}

static void seeds_and_steps_draw(void **state) {
    (void)state;
    run a, b;
    prepare(&a, "finetune", false, 1);
    prepare(&b, "finetune", false, 1);
    set(&a, a.opts, "lr", "0"); /* the same weights at every step: only the batches differ */
    set(&b, b.opts, "lr", "0");
    assert_ok(train(&a, 1));
    assert_ok(train(&b, 2));
    const lb_curve *x = lb_trainer_curve(a.tr), *y = lb_trainer_curve(b.tr);
    assert_true(x->total[0] != y->total[0] && x->total[0] != x->total[1] && x->total[1] != x->total[2]);
    tiny_close(&a.t);
    tiny_close(&b.t);
}

/* A rate of 0 leaves the weights: what comes back is round-to-nearest, to the bit, in every format. */
static void no_training_is_rounding(void **state) {
    (void)state;
    static const char *const format[][4] = {{"3", "row", "false", "f32"},
                                            {"2", "8", "true", "f16"},
                                            {"4", "tensor", "false", "bf16"},
                                            {"8", "10", "false", "f32"}};
    for (int f = 0; f < 4; f++)
        for (int lsq = 0; lsq < 2; lsq++) {
            run r;
            prepare(&r, "qat", false, 2);
            set(&r, r.opts, "lr", "0");
            set(&r, r.opts, "bits", format[f][0]);
            set(&r, r.opts, "group", format[f][1]);
            set(&r, r.opts, "symmetric", format[f][2]);
            set(&r, r.opts, "scale_type", format[f][3]);
            set(&r, r.opts, "range", lsq ? "lsq" : "minmax");
            assert_ok(train(&r, 1));
            for (int l = 0; l < 7; l++) {
                lb_storage s;
                lb_layer want;
                char name[LB_SITE_NAME];
                snprintf(name, sizeof name, "1.%s", linears[l]);
                lb_cmat W = site(&r, &r.t.weights, name)->W;
                assert_ok(r.m->spec(r.opts, W.rows, W.cols, &s));
                assert_ok(lb_round_to_nearest(r.t.arena, &s, lsq, W, &want));
                const lb_layer *got = layer(&r, name);
                assert_true(got->storage.format == want.storage.format && got->storage.bits == want.storage.bits &&
                            got->storage.group == want.storage.group &&
                            got->storage.symmetric == want.storage.symmetric &&
                            got->storage.scale_type == want.storage.scale_type);
                assert_memory_equal(got->codes, want.codes, (size_t)(W.rows * W.cols));
                int64_t scales = lb_storage_scales(&s, W.rows, W.cols);
                for (int64_t i = 0; i < scales; i++) /* learned: through u and back, one rounding */
                    assert_true(fabsf(got->scale[i] - want.scale[i]) <= (lsq ? 2e-7f : 0.0f) * want.scale[i]);
                assert_int_equal(!got->zero, !want.zero);
                if (want.zero) assert_memory_equal(got->zero, want.zero, (size_t)scales * sizeof(float));
                assert_true(got->flags & LB_FLAG_NOT_MINIMIZED);
            }
            tiny_close(&r.t);
        }
}

/* The codes that come back are the weights that the last pass would have used. */
static void codes_are_the_trained_weights(void **state) {
    (void)state;
    for (int lsq = 0; lsq < 2; lsq++) {
        run r;
        prepare(&r, "qat", false, 2);
        set(&r, r.opts, "bits", "2");
        set(&r, r.opts, "range", lsq ? "lsq" : "minmax");
        assert_ok(train(&r, 1));
        for (int l = 0; l < 7; l++) {
            char name[LB_SITE_NAME];
            snprintf(name, sizeof name, "0.%s", linears[l]);
            const lb_param *p = lb_trainer_find(r.tr, name);
            lb_cmat W = site(&r, &r.trained, name)->W, before = site(&r, &r.t.weights, name)->W;
            assert_memory_equal(W.d, p->w, (size_t)(p->rows * p->cols) * sizeof(float));
            assert_true(memcmp(W.d, before.d, (size_t)(p->rows * p->cols) * sizeof(float)) != 0);
        }
        tiny_close(&r.t);
    }
}

static void learning_lowers_the_loss(void **state) {
    (void)state;
    for (int lsq = 0; lsq < 2; lsq++) {
        run r;
        prepare(&r, "qat", true, 1);
        for (int i = 0; i < r.text.tokens; i++) r.t.tokens[i] = i % 10; /* easily learned */
        set(&r, r.opts, "bits", "2");
        set(&r, r.opts, "steps", "40");
        set(&r, r.opts, "lr", "1e-2");
        set(&r, r.opts, "range", lsq ? "lsq" : "minmax");
        assert_ok(train(&r, 1));
        const lb_curve *c = lb_trainer_curve(r.tr);
        assert_int_equal(c->n, 40);
        assert_true(c->total[39] < 0.5 * c->total[0]);
        assert_true(c->lr[0] == 1e-2 && c->lr[39] < 1e-3);
        tiny_close(&r.t);
    }
}

/* A scale beyond or below a good one is pulled back by its gradient: the loss is the squared error of the rounding. */
static void learned_scale_finds_the_range(void **state) {
    (void)state;
    enum { N = 64 };
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    float w[N], out[N], grad[N];
    for (int i = 0; i < N; i++) w[i] = sinf((float)i * 1.7f);
    lb_storage s = {.format = &lb_uniform, .bits = 3, .group = LB_GROUP_ROW, .symmetric = true};
    for (int side = 0; side < 2; side++) {
        lb_fakequant q;
        assert_ok(lb_fakequant_new(a, &s, LB_RANGE_LEARNED, lb_cmat_of(w, 1, N), &q));
        q.u[0] *= side ? 3.0f : 0.3f;
        assert_ok(lb_fakequant_begin(&q, w));
        assert_ok(lb_fakequant_rows(&q, w, 0, 1, out));
        for (int i = 0; i < N; i++) grad[i] = out[i] - w[i];
        lb_fakequant_grad_rows(&q, w, 0, 1, grad);
        lb_fakequant_grad_end(&q);
        assert_true(side ? q.du[0] > 0 : q.du[0] < 0);
        q.u[0] = -1; /* never below its floor */
        assert_ok(lb_fakequant_begin(&q, w));
        assert_true(q.scale[0] > 0);
        q.u[0] = NAN;
        assert_status(LB_E_NUMERIC, lb_fakequant_begin(&q, w));
    }
    lb_arena_free(a);
}

static void which_tensors_train(void **state) {
    (void)state;
    run r;
    prepare(&r, "qat", false, 1);
    r.quantize[tiny_site(&r.t, "0.v")] = false; /* trained, not rounded */
    set(&r, r.opts, "train", "linears");
    assert_ok(train(&r, 1));
    for (int64_t i = 0; i < r.tr->n_params; i++) {
        const lb_param *p = &r.tr->params[i];
        bool linear = p->kind == LB_PARAM_LINEAR;
        assert_int_equal(linear && p->quantize, r.out.layer[i].rows > 0);
        assert_int_equal(r.out.changed[i] != NULL, linear && !p->quantize);
        assert_int_equal(p->wanted, linear);
    }
    int32_t norm = lb_net_vector(r.t.net, -1, -1, "final_norm", false);
    assert_ptr_equal(r.trained.vector[norm], r.t.weights.vector[norm]);
    assert_ptr_equal(site(&r, &r.trained, "embed")->W.d, site(&r, &r.t.weights, "embed")->W.d);
    tiny_close(&r.t);

    prepare(&r, "finetune", false, 1);
    assert_ok(train(&r, 1));
    assert_int_equal(layer(&r, "1.up")->rows, 0); /* float32: nothing is compressed */
    assert_memory_equal(site(&r, &r.trained, "1.up")->W.d, lb_trainer_find(r.tr, "1.up")->w, 16 * 24 * sizeof(float));
    assert_ptr_not_equal(r.trained.vector[norm], r.t.weights.vector[norm]);
    assert_ptr_not_equal(site(&r, &r.trained, "head")->W.d, site(&r, &r.t.weights, "head")->W.d);
    tiny_close(&r.t);
}

/* The embedding or the head among the quantized; a tied matrix answers to both names. */
static void embedding_and_head(void **state) {
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        run r;
        prepare(&r, "qat", tied, 1);
        set(&r, r.opts, "train", "linears");
        assert_ok(
            lb_trainer_new(r.t.arena, r.t.net, &r.t.weights, &r.text, r.quantize, r.own, 1, r.t.team, NULL, &r.tr));
        assert_ok(lb_trainer_quantize(r.tr, "head", r.opts));
        assert_status(LB_E_ARG, lb_trainer_quantize(r.tr, "final_norm", r.opts));
        assert_status(LB_E_ARG, lb_trainer_quantize(r.tr, "7.up", r.opts));
        assert_ok(r.m->model(r.tr, r.opts, &r.out));
        assert_ok(tiny_trained(&r.t, r.tr, &r.out, &r.trained));
        const lb_layer *head = layer(&r, "head");
        assert_int_equal(head->rows, 40);
        assert_int_equal(head->storage.act.bits, 0);
        if (tied)
            assert_ptr_equal(site(&r, &r.trained, "head")->W.d, site(&r, &r.trained, "embed")->W.d);
        else
            assert_ptr_equal(site(&r, &r.trained, "embed")->W.d, site(&r, &r.t.weights, "embed")->W.d);
        assert_ptr_not_equal(site(&r, &r.trained, "head")->W.d, site(&r, &r.t.weights, "head")->W.d);
        tiny_close(&r.t);
    }
}

static void rules_per_layer(void **state) {
    (void)state;
    run r;
    prepare(&r, "qat", false, 1);
    void *own = defaults(&r);
    set(&r, own, "bits", "8");
    set(&r, own, "range", "lsq");
    set(&r, own, "group", "8");
    r.own[tiny_site(&r.t, "1.down")] = own;
    assert_ok(train(&r, 1));
    assert_int_equal(layer(&r, "1.down")->storage.bits, 8);
    assert_int_equal(layer(&r, "1.down")->storage.group, 8);
    assert_int_equal(layer(&r, "0.down")->storage.bits, 4);
    assert_ok(lb_method_own(r.m, r.opts, own, "1.down"));
    set(&r, own, "steps", "5");
    assert_status(LB_E_UNSUPPORTED, lb_method_own(r.m, r.opts, own, "1.down"));
    assert_error_has("1.down: steps = 5: belongs to the whole training (4)");
    tiny_close(&r.t);
}

static void quantized_activations(void **state) {
    (void)state;
    run a, b;
    prepare(&a, "qat", false, 1);
    prepare(&b, "qat", false, 1);
    set(&a, a.opts, "act_bits", "4");
    set(&a, a.opts, "act_symmetric", "true");
    a.quantize[tiny_site(&a.t, "0.q")] = b.quantize[tiny_site(&b.t, "0.q")] = false;
    assert_ok(train(&a, 1));
    assert_ok(train(&b, 1));
    assert_true(lb_trainer_curve(a.tr)->total[0] != lb_trainer_curve(b.tr)->total[0]);
    assert_int_equal(site(&a, &a.trained, "0.q")->act.bits, 0);
    assert_int_equal(site(&a, &a.trained, "0.k")->act.bits, 4);
    assert_true(site(&a, &a.trained, "1.down")->act.symmetric);
    assert_int_equal(site(&b, &b.trained, "1.down")->act.bits, 0);
    tiny_close(&a.t);
    tiny_close(&b.t);
}

/* Only inputs of quantized layers are rounded in training: without any, nothing is; with one, the loss is another. */
static void activations_of_quantized_layers_alone(void **state) {
    (void)state;
    double total[3];
    for (int k = 0; k < 3; k++) {
        run r;
        lb_train_loss loss;
        lb_train_request request = {.batch = 2, .length = 32, .act = {.bits = k ? 3 : 0, .symmetric = true}};
        prepare(&r, "qat", false, 1);
        memset(r.quantize, 0, sizeof r.quantize);
        r.quantize[tiny_site(&r.t, "0.down")] = k == 2;
        assert_ok(
            lb_trainer_new(r.t.arena, r.t.net, &r.t.weights, &r.text, r.quantize, r.own, 1, r.t.team, NULL, &r.tr));
        assert_ok(r.tr->gradients(r.tr, &request, &loss));
        total[k] = loss.total;
        tiny_close(&r.t);
    }
    assert_true(total[1] == total[0] && total[2] != total[0]);
}

static void refusals(void **state) {
    (void)state;
    run r;
    prepare(&r, "qat", false, 1);
    set(&r, r.opts, "warmup", "4");
    assert_status(LB_E_UNSUPPORTED, r.m->check(r.opts));
    assert_error_has("warmup = 4: must be below steps (4)");
    set(&r, r.opts, "warmup", "0");
    set(&r, r.opts, "act_bits", "1");
    assert_status(LB_E_UNSUPPORTED, r.m->check(r.opts));
    set(&r, r.opts, "act_bits", "0");
    set(&r, r.opts, "act_symmetric", "true");
    assert_status(LB_E_UNSUPPORTED, r.m->check(r.opts));
    set(&r, r.opts, "act_symmetric", "false");
    set(&r, r.opts, "length", "129");
    assert_status(LB_E_CONFIG, train(&r, 1));
    assert_error_has("length = 129: the model's context is 128");
    set(&r, r.opts, "length", "64");
    r.text.tokens = 63;
    assert_status(LB_E_CONFIG, train(&r, 1));
    assert_error_has("has 63 tokens: one sequence takes 64");
    r.text.tokens = 64;
    assert_ok(train(&r, 1));
    float *norm = (float *)(uintptr_t)r.t.weights.vector[lb_net_vector(r.t.net, 1, -1, "mlp_norm", false)];
    norm[3] = NAN;
    assert_status(LB_E_NUMERIC, train(&r, 1));
    assert_error_has("step 1 of 4: diverged: loss");
    lb_interrupt_request();
    assert_status(LB_E_INTERRUPTED, train(&r, 1));
    lb_interrupt_clear();
    tiny_close(&r.t);
}

static void failed_allocations(void **state) {
    (void)state;
    for (int64_t nth = 1;; nth++) {
        run r;
        prepare(&r, "qat", nth % 2, 1);
        set(&r, r.opts, "range", "lsq");
        set(&r, r.opts, "act_bits", "8");
        set(&r, r.opts, "kl_weight", "0.5");
        /* An arena of small chunks, so that the trainer's own allocations meet the failure one by one. */
        lb_arena *a;
        assert_ok(lb_arena_new(64, &a));
        lb_arena *kept = r.t.arena;
        r.t.arena = a;
        lb_alloc_fail_at(nth);
        lb_status st = train(&r, 1);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        if (reached) assert_int_equal(st, LB_E_NOMEM);
        lb_arena_free(a);
        r.t.arena = kept;
        tiny_close(&r.t);
        if (!reached) {
            assert_int_equal(st, LB_OK);
            assert_true(nth > 50);
            return;
        }
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_at_any_thread_count),
        cmocka_unit_test(seeds_and_steps_draw),
        cmocka_unit_test(no_training_is_rounding),
        cmocka_unit_test(codes_are_the_trained_weights),
        cmocka_unit_test(learning_lowers_the_loss),
        cmocka_unit_test(learned_scale_finds_the_range),
        cmocka_unit_test(which_tensors_train),
        cmocka_unit_test(embedding_and_head),
        cmocka_unit_test(rules_per_layer),
        cmocka_unit_test(quantized_activations),
        cmocka_unit_test(activations_of_quantized_layers_alone),
        cmocka_unit_test(refusals),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("qat and its trainer", tests, NULL, NULL);
}

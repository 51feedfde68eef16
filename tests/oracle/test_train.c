/* Training with fake-quantized weights and learned scales against PyTorch (make_grads.py). */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "eval/train.h"
#include "math/blas.h"
#include "model/model_file.h"
#include "model/weights.h"
#include "quant/fakequant.h"
#include "support/tiny.h"

/* One sequence is the whole text of a step, so there is one window to draw; the next step gets the next. */
static lb_corpus text;
static lb_status (*record_curve)(lb_trainer *, int64_t, const lb_train_loss *, double, double);
static lb_status record_and_turn(lb_trainer *t, int64_t step, const lb_train_loss *l, double lr, double norm) {
    text.token += TINY_LENGTH;
    return record_curve(t, step, l, lr, norm);
}

static const lb_method *method_with(lb_arena *a, const char *name, const char *const (*set)[2], void **opts) {
    const lb_method *m = lb_method_find(name);
    assert_non_null(m);
    assert_non_null(*opts = lb_arena_get(a, 1, m->options.struct_size));
    assert_ok(lb_options_defaults(&m->options, a, *opts));
    for (; (*set)[0]; set++) assert_ok(lb_options_set(&m->options, a, *opts, (*set)[0], (*set)[1], "test"));
    return m;
}

/* AdamW divides by the root of v, so early steps carry over the relative error of a gradient (1e-5 for the smallest) as
 * that fraction of the learning rate, 4e-3, and sooner or later a weight lies so near a rounding step that both sides
 * fall on different codes: at most 2 in a thousand here. */
static void assert_weights(const char *name, const float *ours, const lb_tensor *want, bool rounded) {
    int64_t n = lb_tensor_count(want), other = 0;
    float theirs[1024];
    assert_true(n <= 1024);
    assert_ok(lb_tensor_read_f32(want, 0, n, theirs));
    for (int64_t i = 0; i < n; i++) other += !(fabsf(ours[i] - theirs[i]) < 2e-5f);
    if (other > (rounded ? (n + 499) / 500 : 0))
        fail_msg("%s: %lld of %lld differ", name, (long long)other, (long long)n);
}

static void ste_steps(void **state) {
    (void)state;
    static const char *const set[][2] = {
        {"bits", "3"},     {"steps", "5"},           {"batch", "1"},      {"length", "70"},
        {"lr", "4e-3"},    {"warmup", "2"},          {"lr_floor", "0.1"}, {"beta1", "0.9"},
        {"beta2", "0.95"}, {"weight_decay", "0.02"}, {"clip", "0.5"},     {NULL, NULL}};
    tiny t = tiny_open(false, 2);
    void *opts;
    const lb_method *m = method_with(t.arena, "qat", set, &opts);
    bool quantize[64]; /* by site */
    memset(quantize, 1, sizeof quantize);
    text = (lb_corpus){.path = "tokens", .token = t.tokens, .tokens = TINY_LENGTH};
    lb_trainer *tr;
    assert_ok(lb_trainer_new(t.arena, t.net, &t.weights, &text, quantize, NULL, 0, t.team, NULL, &tr));
    record_curve = tr->record;
    tr->record = record_and_turn;
    lb_model_out out;
    assert_ok(m->model(tr, opts, &out));

    lb_safetensors *f = tiny_fixture("tests/oracle/fixtures/train/ste.safetensors");
    float loss[5], norm[5];
    assert_ok(lb_tensor_read_f32(tiny_find(f, "loss"), 0, 5, loss));
    assert_ok(lb_tensor_read_f32(tiny_find(f, "norm"), 0, 5, norm));
    const lb_curve *c = lb_trainer_curve(tr);
    assert_int_equal(c->n, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(c->step[i], i);
        assert_true(fabs(c->total[i] - (double)loss[i]) < 2e-5 && c->total[i] == c->next_token[i]);
        assert_true(fabs(c->grad_norm[i] - (double)norm[i]) < 1e-3 * (double)norm[i]);
    }
    lb_weights trained;
    assert_ok(tiny_trained(&t, tr, &out, &trained));
    for (int32_t s = 0; s < t.net->slots; s++) {
        char name[128];
        int32_t site = t.net->slot[s].site;
        tiny_hf_name(&t, s, name);
        assert_weights(name, lb_slot_get(t.net, &trained, s), tiny_find(f, name),
                       site >= 0 && t.net->site[site].block >= 0);
    }
    lb_safetensors_close(f);
    tiny_close(&t);
}

static void read_all(const lb_safetensors *f, char which, const char *what, float *out, int64_t n) {
    char name[16] = {which, '.'};
    strcat(name, what);
    const lb_tensor *x = tiny_find(f, name);
    assert_int_equal(lb_tensor_count(x), n);
    assert_ok(lb_tensor_read_f32(x, 0, n, out));
}

static void lsq_case(const lb_safetensors *f, char which, int bits, int64_t group) {
    enum { ROWS = 6, COLS = 20 };
    int64_t groups = (COLS + group - 1) / group;
    float w[ROWS * COLS], up[ROWS * COLS], wq[ROWS * COLS], dw[ROWS * COLS], ours[ROWS * COLS];
    float s[ROWS * 3], zero[ROWS * 3], ds[ROWS * 3];
    read_all(f, which, "w", w, ROWS * COLS);
    read_all(f, which, "up", up, ROWS * COLS);
    read_all(f, which, "wq", wq, ROWS * COLS);
    read_all(f, which, "dw", dw, ROWS * COLS);
    read_all(f, which, "s", s, ROWS * groups);
    read_all(f, which, "zero", zero, ROWS * groups);
    read_all(f, which, "ds", ds, ROWS * groups);
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    lb_fakequant q;
    lb_storage storage = {.format = &lb_uniform, .bits = bits, .group = group};
    assert_ok(lb_fakequant_new(a, &storage, LB_RANGE_LEARNED, lb_cmat_of(w, ROWS, COLS), &q));
    for (int64_t i = 0; i < q.scales; i++) {
        q.unit[i] = 2; /* scale = 2 u: the gradient of u is twice that of the scale */
        q.u[i] = s[i] / 2;
        q.zero[i] = zero[i];
    }
    assert_ok(lb_fakequant_begin(&q, w));
    assert_ok(lb_fakequant_rows(&q, w, 0, 2, ours));
    assert_ok(lb_fakequant_rows(&q, w, 2, ROWS - 2, ours));
    for (int i = 0; i < ROWS * COLS; i++) assert_true(fabsf(ours[i] - wq[i]) < 1e-6f);
    lb_fakequant_grad_rows(&q, w, 0, ROWS, up);
    lb_fakequant_grad_end(&q);
    for (int i = 0; i < ROWS * COLS; i++) assert_true(fabsf(up[i] - dw[i]) < 1e-6f);
    for (int64_t i = 0; i < q.scales; i++) assert_true(fabsf(q.du[i] - 2 * ds[i]) < 1e-5f * (1 + fabsf(ds[i])));
    lb_arena_free(a);
}

static void learned_scales(void **state) {
    (void)state;
    lb_safetensors *f = tiny_fixture("tests/oracle/fixtures/train/lsq.safetensors");
    lsq_case(f, 'a', 2, 8);
    lsq_case(f, 'b', 4, 8);
    lsq_case(f, 'c', 3, 20);
    lb_safetensors_close(f);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(ste_steps), cmocka_unit_test(learned_scales)};
    return cmocka_run_group_tests_name("training against PyTorch", tests, NULL, NULL);
}

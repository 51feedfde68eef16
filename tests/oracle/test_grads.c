/* Loss and gradients of every parameter against PyTorch (make_grads.py). */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "math/blas.h"
#include "support/tiny.h"

/* |ours - theirs| <= 1e-4 of the tensor's largest entry: float32 products over 560 rows and 2 blocks lose about 1e-6.
 */
static void assert_close(const char *what, const float *ours, const lb_tensor *want) {
    int64_t n = lb_tensor_count(want);
    float *theirs = lb_alloc((size_t)n, sizeof *theirs), top = 0, off = 0;
    assert_non_null(theirs);
    assert_ok(lb_tensor_read_f32(want, 0, n, theirs));
    for (int64_t i = 0; i < n; i++) {
        top = fmaxf(top, fabsf(theirs[i]));
        off = fmaxf(off, isfinite(ours[i]) ? fabsf(ours[i] - theirs[i]) : INFINITY);
    }
    if (!(top > 0 && off <= 1e-4f * top)) fail_msg("%s: off by %g, largest entry %g", what, (double)off, (double)top);
    lb_free(theirs);
}

/* Every gradient of the case that the fixture has. */
static int64_t compare(const tiny *t, const char *name, const lb_grads *g, const double loss[3]) {
    char want[128];
    snprintf(want, sizeof want, "%s/loss", name);
    float expected[3];
    assert_ok(lb_tensor_read_f32(tiny_find(t->grads, want), 0, 3, expected));
    for (int i = 0; i < 3; i++) assert_true(fabs(loss[i] - (double)expected[i]) < 2e-6);
    int64_t compared = 0;
    for (int64_t i = 0; i < lb_safetensors_count(t->grads); i++) {
        const lb_tensor *x = lb_safetensors_tensor(t->grads, i);
        size_t len = strlen(name);
        if (strncmp(x->name, name, len) != 0 || x->name[len] != '/' || strcmp(x->name + len, "/loss") == 0) continue;
        assert_close(x->name, tiny_gradient(t, g, x->name + len + 1), x);
        compared++;
    }
    return compared;
}

static void gradients_of(tiny *t, const lb_weights *teacher, double kl_weight, lb_grads *g, double loss[3]) {
    lb_backward *b;
    assert_ok(lb_backward_new(t->arena, t->net, TINY_BATCH, TINY_LENGTH, &b));
    tiny_grads(t, g);
    assert_ok(
        lb_loss_gradients(b, &t->weights, teacher, kl_weight, t->tokens, t->team, g, &loss[0], &loss[1], &loss[2]));
}

static void untied(void **state) {
    (void)state;
    tiny t = tiny_open(false, 1);
    lb_grads g;
    double loss[3];
    gradients_of(&t, NULL, 0, &g, loss);
    assert_int_equal(compare(&t, "untied", &g, loss), 2 * 9 + 3);
    tiny_close(&t);
}

static void tied(void **state) {
    (void)state;
    tiny t = tiny_open(true, 2);
    lb_grads g;
    double loss[3];
    gradients_of(&t, NULL, 0, &g, loss);
    assert_int_equal(compare(&t, "tied", &g, loss), 2 * 9 + 2);
    tiny_close(&t);
}

/* The other layout of the rotation: the rows of q and k, and so of their gradients, in another order. */
static void pairs_layout(void **state) {
    (void)state;
    tiny t = tiny_open(false, 1);
    tiny_to_pairs(&t);
    lb_grads g;
    double loss[3];
    gradients_of(&t, NULL, 0, &g, loss);
    tiny_grads_from_pairs(&t, &g);
    assert_int_equal(compare(&t, "untied", &g, loss), 2 * 9 + 3);
    tiny_close(&t);
}

static void distillation(void **state) {
    (void)state;
    tiny t = tiny_open(false, 2);
    lb_weights teacher;
    tiny_scaled(&t, 0.75f, &teacher);
    lb_grads g;
    double loss[3];
    gradients_of(&t, &teacher, 0.3, &g, loss);
    assert_int_equal(compare(&t, "kl", &g, loss), 9 + 2 + 1 + 1);
    tiny_close(&t);
}

static void activation_quantization(void **state) {
    (void)state;
    tiny t = tiny_open(false, 1);
    for (int32_t i = 0; i < t.net->sites; i++)
        if (t.net->site[i].block >= 0) t.weights.site[i].act = (lb_actquant){.bits = 4, .symmetric = false};
    lb_grads g;
    double loss[3];
    gradients_of(&t, NULL, 0, &g, loss);
    assert_int_equal(compare(&t, "act", &g, loss), 3 + 2);
    tiny_close(&t);
}

/* Of one range, beyond which no gradient passes. */
static void static_activation_quantization(void **state) {
    (void)state;
    tiny t = tiny_open(false, 1);
    for (int32_t i = 0; i < t.net->sites; i++)
        if (t.net->site[i].block >= 0)
            t.weights.site[i].act = (lb_actquant){.bits = 4, .mode = LB_ACTQUANT_STATIC, .scale = 0.25f, .zero = 9};
    lb_grads g;
    double loss[3];
    gradients_of(&t, NULL, 0, &g, loss);
    assert_int_equal(compare(&t, "static", &g, loss), 3 + 2);
    tiny_close(&t);
}

/* The same bytes at any number of threads. */
static void threads(void **state) {
    (void)state;
    lb_grads one, three;
    double loss1[3], loss3[3];
    tiny t1 = tiny_open(false, 1), t3 = tiny_open(false, 3);
    gradients_of(&t1, &t1.weights, 0.5, &one, loss1);
    gradients_of(&t3, &t3.weights, 0.5, &three, loss3);
    assert_memory_equal(loss1, loss3, sizeof loss1);
    for (int64_t i = 0; i < lb_safetensors_count(t1.model); i++) {
        const lb_tensor *x = lb_safetensors_tensor(t1.model, i);
        if (strcmp(x->name, "tokens") == 0) continue;
        assert_memory_equal(tiny_gradient(&t1, &one, x->name), tiny_gradient(&t3, &three, x->name),
                            (size_t)lb_tensor_count(x) * sizeof(float));
    }
    tiny_close(&t1);
    tiny_close(&t3);
}

/* The original as its own teacher: KL is 0, and so is its gradient. */
static void kl_to_itself(void **state) {
    (void)state;
    tiny t = tiny_open(false, 1);
    lb_grads g;
    double loss[3];
    gradients_of(&t, &t.weights, 1, &g, loss);
    assert_true(fabs(loss[2]) < 1e-6 && fabs(loss[0]) < 1e-6);
    for (int64_t i = 0; i < t.arch.vocab * t.arch.dim; i++) assert_true(fabsf(g.site[t.net->head].d[i]) < 1e-6f);
    tiny_close(&t);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untied),       cmocka_unit_test(tied),
        cmocka_unit_test(pairs_layout), cmocka_unit_test(distillation),
        cmocka_unit_test(threads),      cmocka_unit_test(activation_quantization),
        cmocka_unit_test(kl_to_itself), cmocka_unit_test(static_activation_quantization),
    };
    return cmocka_run_group_tests_name("gradients against PyTorch", tests, NULL, NULL);
}

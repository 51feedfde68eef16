/* The forward pass against transformers (tests/oracle/make_llama.py): every storage form and kind of position, every
 * kernel variant, the plain reference, the head, and an exported copy. Tolerance: logits are sums of dim = 32 products
 * of numbers around 1 after two blocks, so float32 orders of summation differ by a few eps; 1e-5 leaves a factor of
 * ten. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "support/llama.h"

static const struct {
    const char *file, *expected, *format, *stored;
} forms[] = {
    {"llama-tiny", "llama-tiny", "safetensors", "BF16 (21 tensors)"},
    {"llama-tied", "llama-tied", "safetensors", "F16 (11 tensors)"},
    {"llama-tiny.gguf", "llama-tiny", "gguf", "F16 (16 tensors), F32 (5)"},
    {"llama-long", "llama-long", "safetensors", "BF16 (11 tensors)"},
    {"llama-long.gguf", "llama-long", "gguf", "F16 (8 tensors), F32 (3)"},
    {"llama-linear", "llama-linear", "safetensors", "BF16 (11 tensors)"},
    {"llama-linear.gguf", "llama-linear", "gguf", "F16 (8 tensors), F32 (3)"},
};
enum { FORMS = sizeof forms / sizeof forms[0] };
static const double tolerance = 1e-5;

typedef struct fixture {
    lb_arena *arena;
    lb_model *m;
    int32_t *tokens;
    lb_mat logits; /* expected */
} fixture;

static fixture open_form(int i) {
    fixture f;
    char name[128], path[LB_TEST_PATH];
    snprintf(name, sizeof name, "tests/oracle/fixtures/%s", forms[i].file);
    lb_test_fixture(name, path);
    assert_ok(lb_arena_new(0, &f.arena));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &f.m));
    llama_expected(f.arena, forms[i].expected, &f.tokens, &f.logits);
    return f;
}

static bool same_scaling(const lb_rope_scaling *a, const lb_rope_scaling *b) {
    return a->type == b->type && a->factor == b->factor && a->low == b->low && a->high == b->high &&
           a->original == b->original;
}

static void close_form(fixture *f) {
    lb_model_close(f->m);
    lb_arena_free(f->arena);
}

static double error_of(const fixture *f, const lb_model *m, lb_mat states) {
    lb_mat logits = lb_mat_of(LB_NEW(f->arena, float, f->logits.rows * f->logits.cols), f->logits.rows, f->logits.cols);
    assert_non_null(logits.d);
    const lb_head head = lb_head_of(m->net, &m->weights);
    lb_head_logits(&head, lb_mat_c(states), logits);
    return llama_worst(lb_mat_c(logits), lb_mat_c(f->logits));
}

static void check_logits(void *ctx, const char *kernel) {
    fixture *f = ctx;
    lb_mat h = llama_states(f->m, f->tokens, f->logits.rows);
    double worst = error_of(f, f->m, h);
    if (!(worst < tolerance)) fail_msg("%s, %s kernels: logits are off by %g", f->m->path, kernel, worst);
    lb_free(h.d);
}

static void logits_are_transformers(void **state) {
    (void)state;
    for (int i = 0; i < FORMS; i++) {
        fixture f = open_form(i);
        assert_string_equal(f.m->format, forms[i].format);
        assert_string_equal(f.m->stored, forms[i].stored);
        assert_false(f.m->stored_quantized);
        assert_null(f.m->tokenizer);
        llama_each_kernel(check_logits, &f);
        close_form(&f);
    }
}

static void reference_agrees(void **state) {
    (void)state;
    for (int i = 0; i < FORMS; i++) {
        fixture f = open_form(i);
        lb_mat h = lb_mat_of(LB_NEW(f.arena, float, f.logits.rows *f.m->net->dim), f.logits.rows, f.m->net->dim);
        assert_ok(lb_forward_ref(f.m->net, &f.m->weights, f.tokens, f.logits.rows, h));
        assert_true(error_of(&f, f.m, h) < tolerance);
        close_form(&f);
    }
}

/* nll and the most likely token from the expected logits, in float64. */
static void head_is_log_softmax(void **state) {
    (void)state;
    fixture f = open_form(0);
    int64_t n = f.logits.rows, vocab = f.logits.cols;
    lb_mat h = llama_states(f.m, f.tokens, n);
    double *nll = LB_NEW(f.arena, double, n);
    int32_t *top1 = LB_NEW(f.arena, int32_t, n);
    assert_ok(lb_head_nll(lb_head_of(f.m->net, &f.m->weights), lb_mat_c(lb_mat_part(h, 0, 0, n - 1, h.cols)),
                          f.tokens + 1, nll, top1));
    for (int64_t t = 0; t < n - 1; t++) {
        const float *l = f.logits.d + t * vocab;
        double sum = 0;
        int32_t best = 0;
        for (int64_t v = 0; v < vocab; v++) {
            sum += exp((double)l[v]);
            if (l[v] > l[best]) best = (int32_t)v;
        }
        assert_true(fabs(nll[t] - (log(sum) - (double)l[f.tokens[t + 1]])) < 2 * tolerance);
        assert_int_equal(top1[t], best);
    }
    lb_free(h.d);
    close_form(&f);
}

/* Export of each form, opened again: the same model. From GGUF this turns pairs into halves. */
static void export_is_the_same_model(void **state) {
    (void)state;
    for (int i = 0; i < FORMS; i++) {
        fixture f = open_form(i);
        char dir[LB_TEST_PATH];
        lb_model *again;
        snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
        assert_ok(lb_model_export(f.m, &f.m->weights, i == 1 ? LB_F16 : LB_F32, dir, NULL));
        assert_ok(lb_model_open(dir, LB_WEIGHTS, NULL, &again));
        const lb_arch arch = llama_arch(f.m), again_arch = llama_arch(again);
        assert_int_equal(again_arch.rope, LB_ROPE_HALVES);
        assert_int_equal(again_arch.tied, arch.tied);
        assert_true(again_arch.norm_eps == arch.norm_eps && again_arch.rope_base == arch.rope_base);
        assert_int_equal(again_arch.context, arch.context);
        assert_true(same_scaling(&again_arch.scaling, &arch.scaling));
        lb_mat h = llama_states(again, f.tokens, f.logits.rows);
        assert_true(error_of(&f, again, h) < tolerance);
        lb_free(h.d);
        lb_model_close(again);
        close_form(&f);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_transformers),
        cmocka_unit_test(reference_agrees),
        cmocka_unit_test(head_is_log_softmax),
        cmocka_unit_test(export_is_the_same_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

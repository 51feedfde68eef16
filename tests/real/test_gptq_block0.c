/* GPTQ on the first block of SmolLM2-135M-Instruct (Q4_1) with 16 x 2048 tokens of C4, against what the authors' code
 * gave on the same input: the output MSE of every linear, and the error that it prints. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "eval/calibrate.h"
#include "eval/layer_error.h"
#include "math/blas.h"
#include "model/corpus.h"
#include "model/model.h"
#include "support/collect.h"
#include "support/quant_kit.h"
#include "support/support.h"

enum { SAMPLES = 16, LENGTH = 2048 };

static const struct {
    const char *options;
    double output_mse[7], printed[7]; /* q, k, v, o, gate, up, down */
} reference[] = {
    {"bits=3 group=64",
     {1.7431e-3, 3.3208e-3, 4.1967e-5, 1.995e-6, 3.0001e-3, 3.1035e-3, 3.5465e-2},
     {2215.61, 1404.74, 17.788, 4.3266, 9749.63, 10087.27, 43473.97}},
    {"bits=4",
     {7.0087e-4, 1.2790e-3, 1.7343e-5, 9.14e-7, 1.1835e-3, 1.2367e-3, 1.7801e-2},
     {893.02, 542.79, 7.3613, 2.1801, 3847.05, 4019.56, 21834.52}},
};

static void assert_close(const char *options, const char *layer, const char *what, double got, double want,
                         double tol) {
    if (!(fabs(got - want) <= tol * want))
        fail_msg("%s, %s: %s %.6g, the reference has %.6g", options, layer, what, got, want);
}

/* 1/2 tr(D (H + damp mean(diag H) I) Dᵀ) in the authors' scale 2 / sequences XᵀX. */
static double printed_error(const lb_layer_error *e, const lb_stats *h) {
    double mean = 0;
    for (int64_t c = 0; c < h->H.cols; c++) mean += h->H.d[c * (h->H.ld + 1)] / (double)h->H.cols;
    return (e->output_err + 0.01 * mean * e->weight_err) * (double)h->tokens / (double)h->sequences;
}

static void block_zero(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_model *m = NULL;
    lb_corpus *text = NULL;
    lb_stream *s = NULL;
    lb_stats h[4];
    int32_t *tokens = NULL;
    char path[LB_TEST_PATH];
    lb_test_source("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", path);
    if (lb_model_open(path, LB_WEIGHTS, k.team, &m) != LB_OK) fail_msg("%s", lb_error());
    lb_test_source("2daf1ef16e02dbd337f86296acd4c3f2eb703800ad21fd1f48b40280c699cd41", path);
    if (lb_corpus_open(path, m->tokenizer, LB_BOS_AUTO, NULL, &text) != LB_OK) fail_msg("%s", lb_error());
    assert_false(text->has_bos);
    assert_int_equal(lb_corpus_windows(text, LB_RECIPE_SEQUENTIAL, 0, SAMPLES, LENGTH, k.arena, &tokens), LB_OK);
    assert_int_equal(
        lb_stream_new(k.arena, m->net, &m->weights, &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, k.team, &s), LB_OK);
    int32_t first, input[4];
    assert_int_equal(lb_net_inputs(m->net, 0, &first), 4);
    for (int i = 0; i < 4; i++) input[i] = first + i;
    if (collect_all(s, &m->weights, input, 4, LB_NEEDS_HESSIAN, false, k.arena, h) != LB_OK) fail_msg("%s", lb_error());

    for (size_t i = 0; i < sizeof reference / sizeof reference[0]; i++)
        for (int l = 0; l < 7; l++) {
            static const char *const role[] = {"q", "k", "v", "o", "gate", "up", "down"};
            int32_t site = lb_net_site(m->net, 0, role[l]);
            const lb_stats *hl = &h[m->net->site[site].input - first];
            lb_cmat original = m->weights.site[site].W;
            lb_stats stats = *hl;
            lb_mat W = {(float *)(uintptr_t)original.d, original.rows, original.cols, original.ld};
            lb_layer c = kit_run(&k, "gptq", reference[i].options, W, &stats);
            lb_mat What = kit_dequantize(&k, &c);
            lb_layer_error e;
            assert_int_equal(lb_layer_error_of(original, lb_mat_c(What), stats.H, k.team, k.arena, &e), LB_OK);
            const char *name = role[l], *options = reference[i].options;
            double tol = strcmp(name, "o") == 0 ? 5e-3 : 1e-3; /* o: its input went through attention */
            print_message("%s %s: output MSE %.5g (%.5g), printed error %.6g (%.6g)\n", options, name,
                          lb_output_mse(&e), reference[i].output_mse[l], printed_error(&e, hl),
                          reference[i].printed[l]);
            assert_close(options, name, "output MSE", lb_output_mse(&e), reference[i].output_mse[l], tol);
            assert_close(options, name, "printed error", printed_error(&e, hl), reference[i].printed[l], tol);
        }
    lb_corpus_close(text);
    lb_model_close(m);
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(block_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

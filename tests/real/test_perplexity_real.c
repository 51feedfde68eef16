/* Perplexity of real models on real texts against what independent programs measured: PyTorch's window means, and
 * llama.cpp's figure with its error. LOWBIT_WINDOWS=148 runs all of WikiText-2 (minutes). */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval/perplexity.h"
#include "math/blas.h"
#include "model/model.h"
#include "model/weights.h"
#include "quant/format.h"
#include "quant/grid.h"

static const char smollm2[] = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
static const char stories[] = "cf791d3eea90517b5afb01f2a0c4f8010a26cc87727cc02fae4444d95aefd9be";
static const char wikitext[] = "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83";
static const char tiny_text[] = "51449c33b579f8b12e776dcbfa58ef47bab69f6ab7f44e972b7d98c4cfcac7fd";
static const char stories_eval[] = "d88fff7127a7ca91490ffebd2708ac65907d024acb181aee8b11219635e8ac7f";

typedef struct setting {
    lb_model *m;
    lb_corpus *corpus;
    lb_team *team;
    lb_arena *arena;
} setting;

static setting open_files(const char *model, const char *text, lb_bos bos) {
    setting s;
    assert_ok(lb_team_new(0, &s.team));
    assert_ok(lb_arena_new(0, &s.arena));
    assert_ok(lb_model_open(model, LB_WEIGHTS, s.team, &s.m));
    assert_ok(lb_corpus_open(text, s.m->tokenizer, bos, NULL, &s.corpus));
    return s;
}

static void close_files(setting *s) {
    lb_corpus_close(s->corpus);
    lb_model_close(s->m);
    lb_arena_free(s->arena);
    lb_team_free(s->team);
}

static lb_eval evaluate_as(const setting *s, const lb_weights *w, const char *protocol, int64_t windows) {
    lb_eval_request r = {.corpus = s->corpus, .max_windows = windows};
    lb_eval e;
    assert_ok(lb_protocol_parse(protocol, &r.protocol));
    assert_ok(lb_perplexity(s->m->net, w, &r, s->team, s->arena, NULL, &e));
    return e;
}

static lb_eval evaluate(const setting *s, const char *protocol, int64_t windows) {
    return evaluate_as(s, &s->m->weights, protocol, windows);
}

static void near(const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s: %.8g, expected %.8g +- %.2g", what, got, want, tolerance);
}

static void smollm2_windows(void **state) {
    (void)state;
    static const double nll[] = {2.7177878, 3.1539236, 3.4996203, 3.3650825};
    char model[LB_TEST_PATH], text[LB_TEST_PATH];
    const char *asked = getenv("LOWBIT_WINDOWS");
    lb_test_source(smollm2, model);
    lb_test_source(wikitext, text);
    setting s = open_files(model, text, LB_BOS_AUTO);
    assert_int_equal(s.corpus->tokens, 304978);
    lb_eval e = evaluate(&s, "W2-2048", asked ? atoll(asked) : 4);
    assert_int_equal(e.windows_all, 148);
    for (int i = 0; i < 4; i++) near("window", e.window_nll[i], nll[i], 1e-5 * nll[i]);
    if (e.windows >= 20) {
        double sum = 0;
        for (int i = 0; i < 20; i++) sum += e.window_nll[i];
        near("20 windows", exp(sum / 20), 20.966885, 1e-4 * 20.966885);
    }
    if (e.windows == 148) near("148 windows", e.ppl, 21.630519, 1e-4 * 21.630519);
    close_files(&s);
}

/* By tests/oracle/check_protocols.py. */
static void smollm2_other_protocols(void **state) {
    (void)state;
    static const double sq[] = {3.0902491, 3.5907355}, hf[] = {2.6451204, 3.0666594};
    char model[LB_TEST_PATH], text[LB_TEST_PATH];
    lb_test_source(smollm2, model);
    lb_test_source(wikitext, text);
    setting s = open_files(model, text, LB_BOS_AUTO);
    lb_eval e = evaluate(&s, "SQ-512", 2);
    assert_int_equal(e.windows_all, 595);
    for (int i = 0; i < 2; i++) near("SQ-512 window", e.window_nll[i], sq[i], 1e-5 * sq[i]);
    e = evaluate(&s, "HF-1024/512", 2);
    assert_int_equal(e.windows_all, 595);
    assert_int_equal(e.scored, 1023 + 512);
    for (int i = 0; i < 2; i++) near("HF-1024/512 window", e.window_nll[i], hf[i], 1e-5 * hf[i]);
    close_files(&s);
}

/* Every linear layer of every block rounded to nearest. */
static void round_linears(const setting *s, const lb_storage *storage, lb_weights *w) {
    const lb_net *n = s->m->net;
    assert_ok(lb_weights_clone(s->arena, n, &s->m->weights, w));
    for (int32_t i = 0; i < n->sites; i++) {
        lb_cmat W = s->m->weights.site[i].W;
        lb_layer c;
        if (n->site[i].block < 0) continue;
        lb_mat What = lb_mat_of(LB_NEW(s->arena, float, W.rows *W.cols), W.rows, W.cols);
        assert_non_null(What.d);
        assert_ok(lb_round_to_nearest_team(s->arena, storage, false, W, s->team, &c));
        assert_ok(lb_layer_dequantize(&c, What));
        w->site[i].W = lb_mat_c(What);
    }
}

/* NLL of windows 0..3 by PyTorch and transformers in float32, weights rounded by NumPy (the functions of
 * tests/oracle/check_cell.py on the exported model). */
static void smollm2_rtn(void **state) {
    (void)state;
    static const struct {
        int bits;
        int64_t group;
        double nll[4];
    } row[] = {
        {4, 128, {3.0478861, 3.4916747, 3.8597872, 3.6908138}},
        {4, LB_GROUP_ROW, {3.1944987, 3.7428106, 4.1507663, 3.9360444}},
        {3, 64, {4.0256199, 4.3903484, 4.7132689, 4.6391405}},
    };
    char model[LB_TEST_PATH], text[LB_TEST_PATH];
    lb_test_source(smollm2, model);
    lb_test_source(wikitext, text);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        setting s = open_files(model, text, LB_BOS_AUTO);
        lb_storage storage = {.format = &lb_uniform, .bits = row[i].bits, .group = row[i].group};
        lb_weights w;
        round_linears(&s, &storage, &w);
        lb_eval e = evaluate_as(&s, &w, "W2-2048", 4);
        double sum = 0;
        for (int k = 0; k < 4; k++) {
            near("window", e.window_nll[k], row[i].nll[k], 2e-4);
            sum += row[i].nll[k];
        }
        print_message("%d bits: PPL %.6f, expected %.6f\n", row[i].bits, e.ppl, exp(sum / 4));
        near("4 windows", e.ppl, exp(sum / 4), 2e-4 * exp(sum / 4));
        close_files(&s);
    }
}

static void stories_by_llama_cpp(void **state) {
    (void)state;
    char model[LB_TEST_PATH], text[LB_TEST_PATH];
    lb_test_source(stories, model);
    lb_test_source(tiny_text, text);
    setting s = open_files(model, text, LB_BOS_AUTO);
    assert_true(s.corpus->has_bos);
    lb_eval e = evaluate(&s, "LCPP-256", 0);
    assert_int_equal(e.windows, 526);
    near("perplexity", e.ppl, 7.429259, 1e-4 * 7.429259);
    near("its standard error", e.ppl_se, 0.0830, 1e-4);
    close_files(&s);
}

/* The model, its export opened again, and both together. */
static void stories_and_its_export(void **state) {
    (void)state;
    char model[LB_TEST_PATH], text[LB_TEST_PATH], dir[LB_TEST_PATH];
    lb_test_source(stories, model);
    lb_test_source(stories_eval, text);
    setting s = open_files(model, text, LB_BOS_NEVER);
    assert_int_equal(s.corpus->tokens, 160309);
    lb_eval e = evaluate(&s, "W2-256", 150);
    assert_int_equal(e.windows_all, 626);
    near("perplexity", e.ppl, 5.7242, 1e-4 * 5.7242);
    snprintf(dir, sizeof dir, "%s/out", lb_test_tmpdir());
    assert_ok(lb_model_export(s.m, &s.m->weights, LB_F32, dir, NULL));
    setting again = open_files(dir, text, LB_BOS_NEVER);
    assert_int_equal(again.corpus->tokens, s.corpus->tokens);
    lb_eval f = evaluate(&again, "W2-256", 150);
    near("exported perplexity", f.ppl, e.ppl, 1e-6 * e.ppl);
    close_files(&again);
    close_files(&s);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_windows),
        cmocka_unit_test(smollm2_other_protocols),
        cmocka_unit_test(smollm2_rtn),
        cmocka_unit_test(stories_by_llama_cpp),
        cmocka_unit_test(stories_and_its_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

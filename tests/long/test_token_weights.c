/* Who carries H in SmolLM2-135M-Instruct (Q4_1), and GPTQ on H of tokens that count otherwise, against a PyTorch
 * program: 4 x 2048 tokens of C4, 3 bits, group 64, act-order, static groups, inputs from quantized blocks; the first
 * four windows of WikiText-2 at 2048. Minutes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "result/figures.h"
#include "result/provenance.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"

static const char model_hash[] = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
static const char c4_hash[] = "2daf1ef16e02dbd337f86296acd4c3f2eb703800ad21fd1f48b40280c699cd41";
static const char wiki_hash[] = "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83";

static lb_results *sweep(void) {
    char path[LB_TEST_PATH];
    char *full[3];
    const char *hash[3] = {model_hash, c4_hash, wiki_hash};
    const char *dir = lb_test_tmpdir();
    lb_str s = {0};
    for (int i = 0; i < 3; i++) { /* the program runs in another folder */
        lb_test_source(hash[i], path);
        assert_non_null(full[i] = realpath(path, NULL));
    }
    lb_str_add(
        &s,
        "name: w\nmodel: %s\ncalibration: {text: %s, samples: 4, length: 2048}\n"
        "eval: {text: %s, protocol: W2-2048, windows: 4, kl: false}\nquantize:\n"
        "  - {method: rtn, bits: 3, group: 64}\n"
        "  - {method: gptq, bits: 3, group: 64, act_order: true, static_groups: true, token_weight: [none, norm, "
        "clip]}\n",
        full[0], full[1], full[2]);
    for (int i = 0; i < 3; i++) free(full[i]);
    assert_ok(lb_str_check(&s));
    assert_true(snprintf(path, sizeof path, "%s/w.yaml", dir) < LB_TEST_PATH);
    assert_ok(lb_fs_write_atomic(path, s.s, s.len));
    lb_str_free(&s);
    cli_options o = {.cwd = dir, .seconds = 3600};
    cli_result r = CLI(&o, "run", "w.yaml", "--no-report");
    if (r.code) print_error("%s%s", r.out, r.err);
    assert_int_equal(r.code, 0);
    cli_free(&r);
    lb_results *x = NULL;
    assert_true(snprintf(path, sizeof path, "%s/results/w", dir) < LB_TEST_PATH);
    assert_ok(lb_store_read_results(path, &x));
    return x;
}

/* Of the original model, whose inputs every cell knows. */
static void check_carried(const lb_record *c, const char *layer, double participation, double first, bool few) {
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_carried *x = &c->layer[i].original_carried;
        if (strcmp(c->layer[i].name, layer) != 0) continue;
        print_message("%s: participation %.4g, first tokens' share %.4g, half in %.4g\n", layer, x->participation,
                      x->first_share, x->half_share);
        assert_true(fabs(x->participation / participation - 1) < 0.1);
        assert_true(first == 0 || fabs(x->first_share / first - 1) < 0.05);
        assert_int_equal((lb_layer_flags_shown(&c->layer[i]) & LB_FLAG_CARRIED) != 0, few);
        return;
    }
    fail_msg("no layer %s", layer);
}

static void smollm2(void **state) {
    (void)state;
    static const struct {
        const char *label;
        double ppl, tolerance;
    } t[] = {{"none", 24.15, 1e-3},
             {"rtn 3b g64", 84.95, 1e-3},
             {"gptq 3b g64 act_order static_groups token_weight=none", 74.32, 0.05},
             {"gptq 3b g64 act_order static_groups norm", 46.06, 0.05},
             {"gptq 3b g64 act_order static_groups clip", 64.76, 0.06}};
    lb_results *r = sweep();
    for (size_t k = 0; k < sizeof t / sizeof t[0]; k++) {
        const lb_record *c = NULL;
        for (int64_t i = 0; i < r->n; i++)
            if (strcmp(r->record[i].label, t[k].label) == 0) c = &r->record[i];
        if (!c) fail_msg("no cell %s", t[k].label);
        print_message("%s: PPL %.4f (%.2f)\n", c->label, c->eval[0].eval.ppl, t[k].ppl);
        assert_true(fabs(c->eval[0].eval.ppl / t[k].ppl - 1) < t[k].tolerance);
        if (strncmp(c->method, "rtn", 3) != 0) continue;
        check_carried(c, "2.down", 0.017, 0, false);
        check_carried(c, "11.down", 0.0005, 0.99, true);
        check_carried(c, "28.down", 0.002, 0.48, false); /* half of it in 1.6 % of the tokens */
    }
    lb_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(smollm2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

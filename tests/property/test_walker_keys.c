/* What is kept is taken again by the right ones alone: statistics, the baseline's states and finished cells. Configs
 * that differ in one thing each run in one results folder, one after another, and give what each gives in a folder of
 * its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "math/kernels.h"
#include "support/h5_same.h"
#include "support/llama.h"
#include "support/plain_llama.h"
#include "support/probe.h"
#include "support/small_model.h"

const lb_method *const lb_method_table[] = {&probe_method, &probe_blind_method, &probe_model_method, NULL};

static void sweep_in(const char *name, const char *yaml, lb_sweep_result *out, char *dir, char stems[8][96]) {
    small_plan s;
    small_plan_open(&s, "tied", name, yaml);
    assert_ok(lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){0}, NULL, out));
    assert_true(s.plan.sweep.n <= 8);
    for (size_t i = 0; i < s.plan.sweep.n; i++) snprintf(stems[i], 96, "%s", s.plan.sweep.cell[i].stem);
    snprintf(dir, LB_TEST_PATH, "%s", s.plan.dir);
    small_plan_close(&s);
    probe_reset();
}

/* The calibration table, the eval table, and what comes after. */
#define CONFIG(calibration, eval, rest)                                                                                \
    "threads: 1\ncalibration: {text: " calibration "}\neval: {text: " eval "}\n" rest "quantize:\n"                    \
    "  - {method: probe, propagate: original}\n  - {method: probe, true_sequential: true}\n  - {method: blind}\n"      \
    "  - {method: whole}\n"

#define CONFIG_OF_TWO                                                                                                  \
    "threads: 1\ncalibration: {text: text.txt, samples: 5, length: 52}\n"                                              \
    "eval: {text: text.txt, protocol: W2-32, windows: 3}\nquantize: [{method: probe}, {method: whole}]\n"

static const char *const configs[] = {
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 5", ""),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("text.txt, samples: 6, length: 52", "eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 50", "eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("other.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 52", "eval2.txt, name: eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: LCPP-32, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-30, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3", "quantize_head: true\n"),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3",
           "rules: [{match: \"1.*\", skip: true}, {match: \"1.o\", skip: true}]\n"),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3",
           "rules: [{match: \"1.*\", skip: true}, {match: \"1.o\", skip: false}]\n"),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3",
           "rules: [{match: \"1.*\", bits: 2}]\n"),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3", "axes: {group: [8]}\n"),
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3", "seed: 4\n"),
    CONFIG("text.txt, samples: 5, length: 52, recipe: random", "eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 52, recipe: random, seed: 3", "eval.txt, protocol: W2-32, windows: 3", ""),
    CONFIG("text.txt, samples: 5, length: 52, recipe: random, seed: 8", "eval.txt, protocol: W2-32, windows: 3", ""),
    /* The baseline of the first, after states of fewer windows: new cells need all of them. */
    CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 5", "axes: {bits: [4]}\n"),
};
enum { CONFIGS = sizeof configs / sizeof configs[0] };

/* Parts of the text under other names. */
static void write_texts(void) {
    static const char *const name[] = {"other", "eval", "eval2"};
    char path[LB_TEST_PATH], *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/text.txt", small_home);
    assert_ok(lb_fs_read(path, &text, &n));
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s.txt", small_home, name[i]);
        assert_ok(lb_fs_write_atomic(path, text + 1000 * (i + 1), n - 1000 * (i + 1)));
    }
    lb_free(text);
}

static void one_folder_for_all(void **state) {
    (void)state;
    write_texts();
    for (int i = 0; i < CONFIGS; i++) {
        char name[32], shared[LB_TEST_PATH], alone[LB_TEST_PATH], stem[8][96], same[8][96];
        lb_sweep_result first, second, again;
        snprintf(name, sizeof name, "alone-%d/sweep", i);
        sweep_in("shared/sweep", configs[i], &first, shared, stem);
        sweep_in(name, configs[i], &second, alone, same);
        if (first.failed || second.failed) fail_msg("config %d: %s%s", i, first.failures, second.failures);
        assert_int_equal(second.done, 5);
        for (int c = 0; c < 5; c++) {
            char a[LB_TEST_PATH], b[LB_TEST_PATH];
            assert_string_equal(stem[c], same[c]);
            assert_true(snprintf(a, sizeof a, "%s/%s.h5", shared, stem[c]) < (int)sizeof a);
            assert_true(snprintf(b, sizeof b, "%s/%s.h5", alone, stem[c]) < (int)sizeof b);
            assert_true(h5_same(a, b, "/host") > 50);
        }
        /* What is the same runs once. */
        sweep_in("shared/sweep", configs[i], &again, shared, stem);
        assert_int_equal(again.kept, 5);
    }
}

/* A whole file, sealed, with the right key and other numbers: the index knows that it is not the one that was written.
 */
static void a_result_from_elsewhere(void **state) {
    (void)state;
    char dir[LB_TEST_PATH], stem[8][96];
    lb_sweep_result result;
    lb_results *r = NULL;
    sweep_in("elsewhere", CONFIG_OF_TWO, &result, dir, stem);
    assert_ok(lb_store_read_results(dir, &r));
    double ppl = r->record[1].eval[0].eval.ppl;
    r->record[1].eval[0].eval.ppl = ppl / 2;
    assert_ok(lb_store_write(dir, &r->record[1]));
    lb_results_free(r);
    sweep_in("elsewhere", CONFIG_OF_TWO, &result, dir, stem);
    assert_int_equal(result.done, 1);
    assert_int_equal(result.kept, 2);
    assert_ok(lb_store_read_results(dir, &r));
    assert_true(r->record[1].eval[0].eval.ppl == ppl);
    lb_results_free(r);
}

/* Cells of one sweep that draw their calibration texts: each on its own statistics. */
static void a_draw_for_each_seed(void **state) {
    (void)state;
    small_plan s;
    small_plan_open(&s, "tied", "draws",
                    "threads: 1\ncalibration: {text: text.txt, samples: 5, length: 52, recipe: random}\n"
                    "eval: {text: text.txt, protocol: W2-32, windows: 3}\naxes: {seed: [1, 2, 1]}\nquantize:\n"
                    "  - {method: probe, propagate: original}\n  - {method: probe}\n");
    lb_runner r = {.plan = &s.plan, .keep = s.arena, .cache = s.plan.cache};
    double *before = NULL;
    assert_int_equal(s.plan.sweep.n, 5);
    for (size_t i = 1; i < s.plan.sweep.n; i++) {
        const lb_cell *c = &s.plan.sweep.cell[i];
        const lb_weights *w = &s.plan.model->weights;
        lb_record out;
        int32_t *tokens = NULL;
        probe_reset();
        assert_int_equal(c->own.seed, i % 2 ? 1 : 2);
        assert_ok(lb_cell_run(&r, c, NULL, NULL, &out));
        assert_ok(lb_corpus_windows(s.plan.calibration.at[0].corpus, LB_RECIPE_RANDOM, (uint64_t)c->own.seed, 5, 52,
                                    s.arena, &tokens));
        const lb_arch arch = llama_arch(s.plan.model);
        plain_walk p = plain_walk_start(&arch, w->site[s.plan.model->net->embed].W, tokens, 5, 52);
        plain_block b = plain_block_of(s.plan.model->net, w, 0);
        double *H = plain_walk_hessian(&p, &b, PLAIN_IN_DOWN);
        const probe_call *call = probe_find("0.q");
        double *first = plain_walk_hessian(&p, &b, PLAIN_IN_ATTN);
        for (int k = 0; k < 16 * 16; k++) assert_float_equal(call->H[k], first[k], 1e-4);
        lb_cmat What = lb_cmat_of(probe_find("0.down")->What, 16, 24);
        double want = plain_trace(What, w->site[lb_net_find(s.plan.model->net, "0.down")].W, H);
        if (!(want > 0 && out.layer[PLAIN_DOWN].original.output_err / want - 1 < 1e-4 &&
              1 - out.layer[PLAIN_DOWN].original.output_err / want < 1e-4))
            fail_msg("%s: the original error of 0.down is %g, plain loops say %g", c->label,
                     out.layer[PLAIN_DOWN].original.output_err, want);
        if (before && i % 2 == 0) assert_true(memcmp(before, call->H, sizeof(double)) != 0);
        free(before);
        before = first;
        free(H);
        plain_walk_end(&p);
    }
    free(before);
    lb_runner_close(&r);
    small_plan_close(&s);
    probe_reset();
}

/* Layers draw numbers of their own, and others for another seed; a training draws from the seed itself. */
static void seeds_of_layers(void **state) {
    (void)state;
    uint64_t seen[2][21];
    for (int k = 0; k < 2; k++) {
        small_plan s;
        lb_record out;
        char yaml[512];
        snprintf(yaml, sizeof yaml, "seed: %d\n%s", 9 * k, CONFIG_OF_TWO);
        small_plan_open(&s, "tied", "seeds", yaml);
        lb_runner r = {.plan = &s.plan, .keep = s.arena, .cache = s.plan.cache};
        assert_ok(lb_cell_run(&r, &s.plan.sweep.cell[1], NULL, NULL, &out));
        assert_int_equal(out.seed, 9 * k);
        for (int i = 0; i < 21; i++) seen[k][i] = probe.call[i].seed;
        probe_reset();
        assert_ok(lb_cell_run(&r, &s.plan.sweep.cell[2], NULL, NULL, &out));
        for (int i = 0; i < 21; i++) assert_int_equal(probe.call[i].seed, 9 * k);
        lb_runner_close(&r);
        small_plan_close(&s);
        probe_reset();
    }
    for (int i = 0; i < 42; i++)
        for (int k = 0; k < i; k++) assert_true(seen[i / 21][i % 21] != seen[k / 21][k % 21]);
}

static const char *key_with(small_plan *s, const lb_method *m, const char *plugin) {
    lb_cell *c = &s->plan.sweep.cell[1];
    c->method = m;
    s->plan.plugin_hash = plugin;
    assert_ok(lb_plan_keys(&s->plan));
    return c->key;
}

/* A plug-in's key holds the hash of its file, a built-in method's does not; and every key the kernels. */
static void keys_of_programs(void **state) {
    (void)state;
    lb_method loaded = probe_method;
    small_plan s;
    small_plan_open(&s, "tied", "programs", CONFIG_OF_TWO);
    assert_string_equal(key_with(&s, &probe_method, "a"), key_with(&s, &probe_method, "b"));
    assert_string_not_equal(key_with(&s, &loaded, "a"), key_with(&s, &loaded, "b"));
    assert_string_equal(key_with(&s, &loaded, "a"), key_with(&s, &loaded, "a"));
    small_plan_close(&s);
}

static void keys_of(const char *config, char statistics[65], char states[65]) {
    small_plan s;
    small_plan_open(&s, "tied", "caches", config);
    assert_ok(lb_plan_statistics_key(&s.plan, &s.plan.sweep.cell[1], statistics));
    assert_ok(lb_plan_states_key(&s.plan, 0, states));
    small_plan_close(&s);
}

/* What statistics and states were made of is in their keys, also where what is in the file would give it away. */
static void keys_of_caches(void **state) {
    (void)state;
    static const char *const other[] = {
        CONFIG("text.txt, samples: 6, length: 52", "eval.txt, protocol: W2-32, windows: 4", ""),
        CONFIG("text.txt, samples: 5, length: 50", "eval.txt, protocol: W2-30, windows: 3", ""),
        CONFIG("other.txt, samples: 5, length: 52", "eval2.txt, name: eval.txt, protocol: W2-32, windows: 3", ""),
    };
    char statistics[2][65], states[2][65];
    write_texts();
    keys_of(CONFIG("text.txt, samples: 5, length: 52", "eval.txt, protocol: W2-32, windows: 3", ""), statistics[0],
            states[0]);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        keys_of(other[i], statistics[1], states[1]);
        assert_string_not_equal(statistics[0], statistics[1]);
        assert_string_not_equal(states[0], states[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_folder_for_all),   cmocka_unit_test(a_result_from_elsewhere),
        cmocka_unit_test(a_draw_for_each_seed), cmocka_unit_test(seeds_of_layers),
        cmocka_unit_test(keys_of_programs),     cmocka_unit_test(keys_of_caches),
    };
    return cmocka_run_group_tests(tests, small_model_setup, NULL);
}

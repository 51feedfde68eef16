/* Tasks as a user runs them: a sweep with accuracies, McNemar's test and tables, one model evaluated alone, whatever
 * the threads and however the weights are held; and what cannot be meant. The numbers are oracle/test_tasks's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/table.h"
#include "support/sweep_kit.h"

static char fixtures[LB_TEST_PATH / 2];

static const char *config(const char *name, const char *more) {
    const char *text = lb_arena_printf(arena,
                                       "name: %s\nmodel: %s/gpt2\nthreads: 2\nkeep_layers: true\neval:\n"
                                       "  - {text: %s/lambada.jsonl, protocol: LAMB, variant: normalized, bos: never, "
                                       "name: last words}\n"
                                       "  - {text: %s/piqa.jsonl, protocol: MC-piqa, name: piqa}\n"
                                       "  - {text: %s/boolq.jsonl, protocol: MC-boolq, windows: 9, name: boolq}\n%s"
                                       "quantize:\n  - {method: rtn, bits: [2, 8], group: 16}\n",
                                       name, fixtures, fixtures, fixtures, fixtures, more);
    assert_non_null(text);
    return text;
}

static const lb_record *labelled(const lb_results *r, const char *label) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].label, label) == 0) return &r->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

/* Counted again from the items. */
static void against_baseline(const lb_eval_row *e, const lb_eval_row *base) {
    const lb_task_result *t = &e->eval.task, *b = &base->eval.task;
    int64_t worse = 0, better = 0;
    for (int64_t i = 0; i < t->items; i++) worse += b->right[i] && !t->right[i], better += t->right[i] && !b->right[i];
    assert_true(e->has_paired && !base->has_paired);
    assert_int_equal(e->mcnemar.worse, worse);
    assert_int_equal(e->mcnemar.better, better);
    assert_true(e->mcnemar.p == lb_mcnemar_p(worse, better));
    assert_true(fabs(t->acc - b->acc - (double)(better - worse) / (double)t->items) < 1e-12);
}

static void a_sweep_of_tasks(void **state) {
    (void)state;
    put_file("tasks.yaml", config("tasks", ""));
    SAYS(0, "evaluation   last words: LAMB normalized, 12 of 12 items, bos never", "check", "tasks.yaml");
    cli_result r = RAN(0, "run", "tasks.yaml");
    cli_has(r.out, "accuracy on last words, LAMB normalized, all 12 items");
    cli_has(r.out, "accuracy on boolq, MC-boolq, first 9 of 12 items");
    cli_has(r.out, "p McNemar");
    cli_has_not(r.out, "nan");
    cli_free(&r);
    char *data;
    size_t n;
    assert_true(exists("results/tasks/report/plots/front-last-words-LAMB.gp"));
    assert_false(exists("results/tasks/report/plots/ppl-bits-piqa-MC-piqa.gp")); /* it has no perplexity */
    assert_false(exists("results/tasks/report/plots/delta-bits-piqa-MC-piqa.gp"));
    char file[LB_TEST_PATH];
    path_in(file, home, "results/tasks/report/plots/acc-bits-piqa-MC-piqa.dat");
    assert_ok(lb_fs_read(file, &data, &n));
    cli_has(data, "4.125 58.3333333 14.8647098 41.6666667 2 ");
    lb_free(data);
    lb_results *x = results("results/tasks");
    assert_int_equal(x->n, 3);
    const lb_record *base = labelled(x, "none"), *two = labelled(x, "rtn 2b g16");
    for (int k = 0; k < 3; k++) {
        const lb_eval *e = &two->eval[k].eval;
        against_baseline(&two->eval[k], &base->eval[k]);
        assert_int_equal(e->windows, k == 2 ? 9 : 12);
        assert_int_equal(isnan(e->ppl), k > 0);
        assert_false(e->has_kl);
        assert_true(e->mean_nll != base->eval[k].eval.mean_nll);
    }
    assert_string_equal(two->eval[0].variant, "normalized");
    assert_string_equal(two->eval[1].variant, "");
    lb_results_free(x);
    SAYS(0, "acc_norm", "report", "results/tasks", "--columns", "label,acc,acc_norm,delta_acc,mcnemar_p");
    r = RAN(0, "report", "results/tasks", "--where", "evaluation = piqa", "--sort", "acc_norm");
    cli_has(r.out, "\nrtn                 2");
    assert_true(strstr(r.out, "\nrtn                 2") <
                strstr(r.out, "\nrtn                 8")); /* it has fewer right */
    cli_free(&r);
    SAYS(0, "acc %", "report", "results/tasks", "--compare", "rtn 8b g16");
}

/* A row over seeds has a p, of its items: once each, whatever each seed makes of them. */
static void rows_over_seeds(void **state) {
    (void)state;
    const char *text = lb_arena_printf(arena,
                                       "name: seeds\nmodel: %s/llama\neval: {text: %s/hellaswag.jsonl, protocol: "
                                       "MC-hellaswag, name: endings}\nquantize:\n  - stages: [{method: hadamard}, "
                                       "{method: rtn, bits: 1}]\n    seed: [0, 1, 2]\n  - {method: rtn, bits: 1}\n",
                                       fixtures, fixtures);
    assert_non_null(text);
    put_file("seeds.yaml", text);
    cli_result r = RAN(0, "run", "seeds.yaml", "--no-report");
    cli_free(&r);
    lb_results *x = results("results/seeds");
    const uint8_t *right[3], *base = labelled(x, "none")->eval[0].eval.task.right;
    const uint8_t *plain = labelled(x, "rtn 1b row")->eval[0].eval.task.right;
    int n = 0;
    double p, to_plain;
    for (int64_t i = 0; i < x->n; i++)
        if (strncmp(x->record[i].label, "hadamard", 8) == 0) right[n++] = x->record[i].eval[0].eval.task.right;
    assert_int_equal(n, 3);
    assert_ok(lb_mcnemar_seeds(right, 3, &base, 1, 12, &p));
    assert_ok(lb_mcnemar_seeds(right, 3, &plain, 1, 12, &to_plain));
    assert_true(p < 1);
    r = RAN(0, "report", "results/seeds", "--columns", "label,mcnemar_p", "--format", "csv", "--no-write");
    cli_has(r.out, lb_num_exact(p).s);
    cli_free(&r);
    r = RAN(0, "report", "results/seeds", "--columns", "label,mcnemar_p", "--format", "csv", "--reference",
            "rtn 1b row", "--no-write");
    cli_has(r.out, lb_num_exact(to_plain).s);
    cli_free(&r);
    SAYS(0, "Of rows over several seeds an item counts once", "report", "results/seeds", "--no-write");
    lb_results_free(x);
}

/* Blocks one after another, from packed layers or from the file; and each on its own. */
static void weights_and_threads_do_not_matter(void **state) {
    (void)state;
    put_file("streamed.yaml", config("streamed", "weights: stream\n"));
    cli_result r = RAN(0, "run", "streamed.yaml", "-o", "threads=1", "-o", "name=streamed");
    cli_free(&r);
    lb_results *x = results("results/tasks"), *y = results("results/streamed");
    assert_int_equal(y->n, 3);
    for (int64_t i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            const lb_eval *a = &x->record[i].eval[k].eval, *b = &y->record[i].eval[k].eval;
            assert_memory_equal(a->window_nll, b->window_nll, (size_t)a->windows * sizeof *a->window_nll);
            assert_memory_equal(a->task.right, b->task.right, (size_t)a->windows);
        }
    char path[LB_TEST_PATH], words[64], *at;
    const lb_record *two = labelled(x, "rtn 2b g16");
    snprintf(path, sizeof path, "results/tasks/%s.h5", two->stem);
    snprintf(words, sizeof words, "mean NLL    %.7f nats an item", two->eval[1].eval.mean_nll);
    r = RAN(0, "eval", path, lb_arena_printf(arena, "%s/piqa.jsonl", fixtures), "--protocol", "MC-piqa", "--json",
            "e.json");
    cli_has(r.out, words);
    at = strstr(r.out, "accuracy");
    assert_non_null(at);
    assert_true(fabs(strtod(at + 8, NULL) - 100 * two->eval[1].eval.task.acc) < 0.006);
    cli_free(&r);
    lb_results_free(x);
    lb_results_free(y);
    assert_true(exists("e.json"));
}

/* Read two ways, and called the same in two sweeps, a text is two evaluations. */
static void variants_are_told_apart(void **state) {
    (void)state;
    put_file("openai.yaml",
             lb_arena_printf(arena,
                             "model: %s/gpt2\neval: {text: %s/lambada.jsonl, protocol: LAMB, bos: never, "
                             "name: last words}\nquantize: [{method: rtn, bits: 2, group: 16}]\n",
                             fixtures, fixtures));
    cli_result r = RAN(0, "run", "openai.yaml");
    cli_free(&r);
    r = RAN(0, "report", "results/tasks", "results/openai");
    cli_has(r.out, "last words, LAMB normalized, all 12 items");
    cli_has(r.out, "last words, LAMB openai, all 12 items");
    cli_free(&r);
}

/* A result's own config makes it again, under the name that it had. */
static void the_variant_comes_back(void **state) {
    char path[LB_TEST_PATH];
    (void)state;
    lb_results *x = results("results/tasks");
    snprintf(path, sizeof path, "results/tasks/%s.h5", labelled(x, "rtn 8b g16")->stem);
    lb_results_free(x);
    SAYS(0, "LAMB normalized", "check", path);
}

static void what_cannot_be_meant(void **state) {
    (void)state;
    static const struct {
        const char *eval, *why;
    } wrong[] = {
        {"text: eval.txt, protocol: LAMB", "text eval.txt is read as one: protocol LAMB takes rows"},
        {"text: bad.jsonl, protocol: MC-piqa", "bad.jsonl:3: label is 7: must be a number in [0, 1]"},
        {"text: bad.jsonl, protocol: MC-arc", "bad.jsonl:1: no key 'question'"},
        {"text: bad.jsonl, protocol: MC-mmlu", "expected MC- and one of hellaswag, piqa"},
        {"text: bad.jsonl, protocol: MC-piqa, variant: standard", "variant: only protocol LAMB has any"},
        {"text: bad.jsonl, protocol: MC-piqa, join: \" \"",
         "join has no effect: protocol MC-piqa takes each row for itself"},
        {"text: last.jsonl, protocol: LAMB", "last.jsonl:1: a passage must end in a word"},
        {"text: last.jsonl, protocol: LAMB, variant: raw", "must be openai, normalized, standard or detokenized"},
    };
    put_file("bad.jsonl", "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 0}\n\n"
                          "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 7}\n");
    put_file("last.jsonl", "{\"text\": \"it ends in a space \"}\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_file("b.yaml", lb_arena_printf(arena, "model: tiny\neval: {%s}\nquantize: [{method: rtn, bits: 3}]\n",
                                           wrong[i].eval));
        SAYS(1, wrong[i].why, "check", "b.yaml");
    }
    SAYS(1, "takes rows (rows: json or lines cuts it)", "eval", "tiny", "eval.txt", "--protocol", "MC-piqa");
    SAYS(1, "--variant: only protocol LAMB", "eval", "tiny", "eval.txt", "--protocol", "W2-64", "--variant",
         "standard");
}

static int make(void **state) {
    const char *path = realpath("tests/oracle/fixtures/tasks", NULL);
    if (!path || strlen(path) >= sizeof fixtures) return -1;
    snprintf(fixtures, sizeof fixtures, "%s", path);
    free((void *)(uintptr_t)path);
    return make_model(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_of_tasks),
        cmocka_unit_test(rows_over_seeds),
        cmocka_unit_test(weights_and_threads_do_not_matter),
        cmocka_unit_test(variants_are_told_apart),
        cmocka_unit_test(the_variant_comes_back),
        cmocka_unit_test(what_cannot_be_meant),
    };
    return cmocka_run_group_tests(tests, make, clean);
}

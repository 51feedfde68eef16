/* Tasks against lm-evaluation-harness, item by item (tests/oracle/make_tasks.py): log-likelihoods of all choices, and
 * what counts as right. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/tasks.h"
#include "io/json.h"
#include "math/blas.h"
#include "model/model.h"

#define FIXTURES "tests/oracle/fixtures/tasks/"
#define OFF      2e-4 /* nats; sums over up to some dozens of tokens, in float32 on both sides */

typedef struct world {
    lb_arena *arena;
    lb_team *team;
    lb_model *m;
    json_t *expected; /* of this model */
} world;

static void open_world(world *w, const char *model, json_t *all) {
    char path[128];
    snprintf(path, sizeof path, FIXTURES "%s", model);
    assert_ok(lb_arena_new(0, &w->arena));
    assert_ok(lb_team_new(2, &w->team));
    assert_ok(lb_model_open(path, LB_WEIGHTS, w->team, &w->m));
    w->expected = json_object_get(all, model);
    assert_non_null(w->expected);
}

static void close_world(world *w) {
    lb_model_close(w->m);
    lb_team_free(w->team);
    lb_arena_free(w->arena);
}

static lb_eval evaluate(const world *w, const char *protocol, const char *file, lb_lambada variant, lb_bos bos) {
    char path[128];
    lb_corpus *corpus;
    lb_eval e;
    int64_t tokens;
    const lb_row_spec spec = {.form = lb_str_ends(file, ".txt") ? LB_ROWS_LINES : LB_ROWS_AUTO};
    snprintf(path, sizeof path, FIXTURES "%s", file);
    assert_ok(lb_corpus_rows(path, &spec, NULL, w->m->tokenizer, bos, NULL, &corpus));
    lb_task_request r = {.variant = variant, .corpus = corpus};
    assert_ok(lb_protocol_parse(protocol, &r.protocol));
    assert_ok(lb_task_evaluate(w->m->net, &w->m->weights, &r, w->team, w->arena, NULL, &e, &tokens));
    assert_true(tokens > e.scored);
    lb_corpus_close(corpus);
    return e;
}

/* What is scored of item i, choice k. */
static double likelihood(const lb_eval *e, int64_t i, size_t k) {
    return e->task.first ? -e->task.choice_nll[e->task.first[i] + (int64_t)k] : -e->window_nll[i];
}

static void compare(const lb_eval *e, const json_t *want, const char *what) {
    const json_t *items = json_object_get(want, "items"), *norm = json_object_get(want, "acc_norm");
    assert_non_null(items);
    assert_int_equal(e->task.items, json_array_size(items));
    assert_int_equal(e->windows, e->task.items);
    for (int64_t i = 0; i < e->task.items; i++) {
        const json_t *o = json_array_get(items, (size_t)i), *ll = json_object_get(o, "ll");
        int64_t choices = e->task.first ? e->task.first[i + 1] - e->task.first[i] : 1;
        assert_int_equal(choices, json_array_size(ll));
        for (size_t k = 0; k < json_array_size(ll); k++) {
            double have = likelihood(e, i, k), is = json_number_value(json_array_get(ll, k));
            if (!(fabs(have - is) <= OFF))
                fail_msg("%s: item %lld, choice %zu: %.6f, expected %.6f", what, (long long)i, k, have, is);
        }
        if (e->task.right[i] != json_integer_value(json_object_get(o, "acc")))
            fail_msg("%s: item %lld: right %d", what, (long long)i, e->task.right[i]);
        if (norm && e->task.right_norm[i] != json_integer_value(json_object_get(o, "acc_norm")))
            fail_msg("%s: item %lld: right_norm %d", what, (long long)i, e->task.right_norm[i]);
    }
    assert_float_equal(e->task.acc, json_number_value(json_object_get(want, "acc")), 1e-12);
    if (norm) assert_float_equal(e->task.acc_norm, json_number_value(norm), 1e-12);
    if (json_object_get(want, "ppl")) {
        double ppl = json_number_value(json_object_get(want, "ppl"));
        if (!(fabs(log(e->ppl / ppl)) <= OFF)) fail_msg("%s: perplexity %.6f, expected %.6f", what, e->ppl, ppl);
    }
}

static const struct {
    const char *key, *protocol, *file;
    lb_lambada variant;
    lb_bos bos;
} kind[] = {
    {"hellaswag", "MC-hellaswag", "hellaswag.jsonl", 0, LB_BOS_AUTO},
    {"piqa", "MC-piqa", "piqa.jsonl", 0, LB_BOS_AUTO},
    {"arc", "MC-arc", "arc.jsonl", 0, LB_BOS_AUTO},
    {"winogrande", "MC-winogrande", "winogrande.jsonl", 0, LB_BOS_AUTO},
    {"openbookqa", "MC-openbookqa", "openbookqa.jsonl", 0, LB_BOS_AUTO},
    {"boolq", "MC-boolq", "boolq.jsonl", 0, LB_BOS_AUTO},
    {"lambada openai", "LAMB", "lambada.jsonl", LB_LAMBADA_OPENAI, LB_BOS_AUTO},
    {"lambada openai never", "LAMB", "lambada.jsonl", LB_LAMBADA_OPENAI, LB_BOS_NEVER},
    {"lambada normalized never", "LAMB", "lambada.jsonl", LB_LAMBADA_NORMALIZED, LB_BOS_NEVER},
    {"lambada standard", "LAMB", "standard.txt", LB_LAMBADA_STANDARD, LB_BOS_AUTO},
    {"lambada detokenized", "LAMB", "standard.txt", LB_LAMBADA_DETOKENIZED, LB_BOS_AUTO},
};
enum { KINDS = sizeof kind / sizeof kind[0] };

static void every_item_is_the_harness(void **state) {
    static const char *const model[] = {"llama", "gpt2"};
    json_t *all;
    (void)state;
    assert_ok(lb_json_read(FIXTURES "expected.json", &all));
    for (int m = 0; m < 2; m++) {
        world w;
        open_world(&w, model[m], all);
        for (size_t i = 0; i < KINDS; i++) {
            char what[64];
            snprintf(what, sizeof what, "%s, %s", model[m], kind[i].key);
            lb_eval e = evaluate(&w, kind[i].protocol, kind[i].file, kind[i].variant, kind[i].bos);
            compare(&e, json_object_get(w.expected, kind[i].key), what);
        }
        close_world(&w);
    }
    json_decref(all);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_item_is_the_harness)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

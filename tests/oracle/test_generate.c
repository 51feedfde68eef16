/* Generation against transformers (tests/oracle/make_generate.py): its greedy tokens and logits with a cache of keys
 * and values, and the choices that top_p leaves. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/generate.h"
#include "math/blas.h"
#include "model/forward.h"
#include "model/session.h"
#include "support/families.h"
#include "support/llama.h"
#include "support/parity.h"

enum { STEPS = 24, MOST = 64 };
static lb_arena *arena;
static lb_team *team;
static json_t *lists;

static double number(const json_t *x, const char *key) { return json_number_value(json_object_get(x, key)); }

static lb_model *open_model(const json_t *e, char name[LB_TEST_PATH]) {
    char path[LB_TEST_PATH];
    lb_model *m;
    snprintf(name, LB_TEST_PATH, "%s/%s", families_text(e, "family"), families_text(e, "model"));
    families_fixture(name, path);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    return m;
}

static lb_generation generate(const lb_model *m, const int32_t *prompt, int64_t n, int32_t eos, lb_team *t) {
    lb_generate_request r = {.prompt = prompt, .n_prompt = n, .most = STEPS, .eos = eos};
    lb_generation g;
    assert_ok(lb_generate(m->net, &m->weights, &r, t, arena, &g));
    return g;
}

static void check_ids(const char *name, const json_t *ids, const lb_generation *g) {
    assert_int_equal(g->n, STEPS);
    for (int64_t i = 0; i < g->n; i++)
        if (g->token[i] != json_integer_value(json_array_get(ids, (size_t)i)))
            fail_msg("%s: token %d of the continuation is %d, not %d", name, (int)i, (int)g->token[i],
                     (int)json_integer_value(json_array_get(ids, (size_t)i)));
}

/* The logits before the last token. */
static void check_last(const lb_model *m, const char *name, const json_t *e, const int32_t *token, int64_t n) {
    const json_t *last = json_object_get(e, "last");
    float h[MOST], logits[FAMILIES_VOCAB];
    lb_session *s;
    if (!last) return;
    lb_mat row = lb_mat_of(h, 1, m->net->site[m->net->head].cols);
    assert_true(row.cols <= MOST && m->net->vocab <= FAMILIES_VOCAB);
    assert_ok(lb_session_new(arena, m->net, n, team, &s));
    assert_ok(lb_session_feed(s, &m->weights, token, n - STEPS, row));
    for (int64_t i = n - STEPS; i < n; i++) assert_ok(lb_session_feed(s, &m->weights, token + i, 1, row));
    lb_head head = lb_head_of(m->net, &m->weights);
    assert_ok(lb_head_row(&head, lb_mat_c(row), team, logits));
    for (size_t i = 0; i < json_array_size(last); i++) {
        double d = fabs((double)logits[3 * i] - json_number_value(json_array_get(last, i)));
        if (!(d <= 2e-5 * number(e, "spread"))) fail_msg("%s: logit %d is off by %g", name, (int)(3 * i), d);
    }
}

static void greedy(void **state) {
    (void)state;
    const json_t *e, *models = json_object_get(lists, "greedy");
    size_t k;
    assert_true(json_array_size(models) >= 50);
    json_array_foreach(models, k, e) {
        char name[LB_TEST_PATH];
        int32_t token[MOST];
        int64_t n = (int64_t)number(e, "prompt");
        lb_model *m = open_model(e, name);
        parity_tokens(token, n, FAMILIES_VOCAB);
        lb_generation g = generate(m, token, n, -1, NULL), on_team = generate(m, token, n, -1, team);
        check_ids(name, json_object_get(e, "ids"), &g);
        assert_memory_equal(g.token, on_team.token, STEPS * sizeof *g.token);
        assert_int_equal(g.end, LB_END_MOST);
        memcpy(token + n, g.token, (STEPS - 1) * sizeof *token);
        check_last(m, name, e, token, n + STEPS - 1);
        lb_model_close(m);
    }
}

/* A token that ends the text, and a context that does. */
static void where_it_ends(void **state) {
    (void)state;
    const json_t *e = json_array_get(json_object_get(lists, "greedy"), 0);
    char name[LB_TEST_PATH];
    int32_t token[256];
    lb_model *m = open_model(e, name);
    int64_t n = (int64_t)number(e, "prompt");
    parity_tokens(token, 256, FAMILIES_VOCAB);
    lb_generation all = generate(m, token, n, -1, NULL), g = generate(m, token, n, all.token[7], NULL);
    int64_t first = 0;
    while (all.token[first] != all.token[7]) first++;
    assert_int_equal(g.n, first);
    assert_int_equal(g.end, LB_END_EOS);
    lb_model_close(m);
    families_fixture("gpt2/a", name);
    assert_ok(lb_model_open(name, LB_WEIGHTS, NULL, &m));
    int64_t context = m->net->context;
    assert_true(context > 3 && context <= 256);
    g = generate(m, token, context - 3, -1, NULL);
    assert_int_equal(g.n, 3);
    assert_int_equal(g.end, LB_END_CONTEXT);
    lb_generate_request r = {.prompt = token, .n_prompt = context, .most = 1, .eos = -1};
    assert_status(LB_E_CONFIG, lb_generate(m->net, &m->weights, &r, NULL, arena, &g));
    assert_error_has("leave room in the model's context of");
    lb_model_close(m);
}

static void top_p_keeps_what_transformers_keeps(void **state) {
    (void)state;
    const json_t *e, *cases = json_object_get(lists, "top_p");
    size_t k;
    assert_true(json_array_size(cases) >= 5);
    json_array_foreach(cases, k, e) {
        const json_t *x = json_object_get(e, "logits"), *kept = json_object_get(e, "kept");
        lb_sampling how = {number(e, "temperature"), number(e, "top_p"), 0};
        float logits[MOST];
        int64_t vocab = (int64_t)json_array_size(x), n;
        lb_sampler *s;
        const lb_choice *c;
        for (int64_t i = 0; i < vocab; i++) logits[i] = (float)json_number_value(json_array_get(x, (size_t)i));
        assert_ok(lb_sampler_new(arena, &how, vocab, &s));
        assert_ok(lb_sampler_choices(s, logits, &c, &n));
        assert_int_equal(n, json_array_size(kept));
        for (int64_t i = 0; i < n; i++) {
            bool found = false;
            for (size_t j = 0; j < json_array_size(kept); j++)
                found |= json_integer_value(json_array_get(kept, j)) == c[i].id;
            if (!found) fail_msg("top_p %g: keeps %d", how.top_p, (int)c[i].id);
            assert_true(i == 0 || c[i].p <= c[i - 1].p);
        }
    }
}

static lb_status draw_a_few(void *ctx) {
    const lb_model *m = ctx;
    static const int32_t prompt[] = {3, 1, 4};
    lb_generate_request r = {
        .prompt = prompt, .n_prompt = 3, .most = 4, .eos = -1, .sampling = {1.0, 0.9, 1}, .hold = true};
    lb_generation g;
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_generate(m->net, &m->weights, &r, NULL, a, &g);
    if (st == LB_OK) assert_int_equal(g.n, 4);
    lb_arena_free(a);
    return st;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const name[] = {"mixtral/a.gguf", "gpt2/a"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char path[LB_TEST_PATH];
        lb_model *m;
        families_fixture(name[i], path);
        assert_ok(lb_model_open(path, LB_STREAM, NULL, &m));
        assert_true(llama_fail_each_allocation(draw_a_few, m) > 3);
        lb_model_close(m);
    }
}

static int setup(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_fixture("tests/oracle/fixtures/generate.json", path);
    return lb_blas_init(2) == LB_OK && lb_team_new(2, &team) == LB_OK && lb_arena_new(0, &arena) == LB_OK &&
                   lb_json_read(path, &lists) == LB_OK
               ? 0
               : -1;
}
static int teardown(void **state) {
    (void)state;
    json_decref(lists);
    lb_arena_free(arena);
    lb_team_free(team);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(greedy), cmocka_unit_test(where_it_ends),
                                       cmocka_unit_test(every_allocation_may_fail),
                                       cmocka_unit_test(top_p_keeps_what_transformers_keeps)};
    return cmocka_run_group_tests_name("generation", tests, setup, teardown);
}

/* What methods say they take, against what they take of arenas that count. Times are for people to compare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "math/blas.h"
#include "support/quant_kit.h"

enum { ROWS = 160, COLS = 224, LINE = 64, ARRAYS = 40 };
static const double slack = LINE * ARRAYS, more = 4096 + LINE * ARRAYS;

/* `under`: how much less is right as well. A bound that is not far from what it bounds. */
static void bounds(const char *what, const char *m, const char *o, double said, size_t most, double under,
                   double over) {
    if (said + under < (double)most || said > 1.5 * (double)most + over)
        fail_msg("%s %s: %s of %zu bytes, said to be %.0f", m, o, what, most, said);
}

/* One call with arenas of its own. */
static lb_cost call(int threads, const char *method, const char *options, int64_t rows, int64_t cols) {
    kit k = kit_open(threads);
    const lb_method *m = kit_method(&k, method);
    const void *opts = kit_options(&k, m, options);
    lb_mat W = kit_random(&k, 5, rows, cols);
    lb_stats stats = kit_stats(&k, 6, 2 * cols, cols);
    lb_arena *scratch, *kept_arena, *made;
    if (lb_arena_new(0, &scratch) || lb_arena_new(0, &kept_arena) || lb_arena_new(0, &made)) fail_msg("%s", lb_error());
    lb_kept kept = {kept_arena, NULL};
    lb_cost_of of = {.rows = rows, .cols = cols, .first = true, .threads = threads};
    lb_cost said;
    lb_layer c;
    stats.kept = &kept;
    lb_layer_in in = {"0.q", lb_mat_c(W), NULL, &stats, 1, scratch, made, k.team, NULL};
    assert_int_equal(lb_method_cost(m, opts, &of, &said), LB_OK);
    if (lb_method_layer(m, &in, opts, &c) != LB_OK) fail_msg("%s %s: %s", method, options, lb_error());
    /* Stages take turns: the most of one arena need not be held when another has its most. */
    assert_true(said.scratch >= (double)lb_arena_most(scratch));
    assert_true(said.scratch + said.made + slack >= (double)lb_arena_most(made));
    bounds("all but what is kept", method, options, said.scratch + said.made,
           lb_arena_most(scratch) + lb_arena_most(made), 1e300, more + slack);
    bounds("kept", method, options, said.kept, lb_arena_most(kept_arena), slack, 0);
    size_t before = lb_arena_most(kept_arena);
    of.first = false; /* another layer on this H */
    lb_cost again;
    assert_int_equal(lb_method_cost(m, opts, &of, &again), LB_OK);
    if (lb_method_layer(m, &in, opts, &c) != LB_OK) fail_msg("%s", lb_error());
    assert_true(again.kept == 0 && lb_arena_most(kept_arena) == before);
    assert_true(again.products <= said.products && again.scratch == said.scratch);
    lb_arena_free(scratch);
    lb_arena_free(kept_arena);
    lb_arena_free(made);
    kit_close(&k);
    return said;
}

static void memory_is_bounded(void **state) {
    (void)state;
    static const char *const each[][2] = {
        {"none", ""},
        {"cast", ""},
        {"rtn", ""},
        {"rtn", "group=tensor"},
        {"rtn", "group=64 mse=true"},
        {"nf4", "double_quant=true"},
        {"hqq", ""},
        {"hqq", "group=row"},
        {"wanda", ""},
        {"wanda", "pattern=2:4"},
        {"gptq", ""},
        {"gptq", "group=16"},
        {"gptq", "group=48 act_order=true block=32"},
        {"gptq", "group=48 group_refit=column"},
        {"gptq", "group=tensor"},
        {"low_rank", ""},
        {"low_rank", "rank=100"},
        {"wanda+gptq", "bits=3 group=tensor"},
        {"wanda+rtn", ""},
        {"wanda+cast", "type=bf16"},
        {"wanda+rtn", "group=tensor"},
        {"wanda+nf4", ""},
        {"gptq+low_rank", "rank=40"},
        {"wanda+gptq+low_rank", ""},
    };
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            (void)call(threads, each[i][0], each[i][1], ROWS, COLS);
            (void)call(threads, each[i][0], each[i][1], COLS, ROWS);
        }
}

/* Of stages: operations add up, scratch is that of the neediest. */
static void stages_add_up(void **state) {
    (void)state;
    lb_cost wanda = call(2, "wanda", "", ROWS, COLS), gptq = call(2, "gptq", "", ROWS, COLS);
    lb_cost low_rank = call(2, "low_rank", "", ROWS, COLS), all = call(2, "wanda+gptq+low_rank", "", ROWS, COLS);
    assert_true(wanda.products == 0 && wanda.steps > 0 && low_rank.serial > 0 && gptq.serial == 0);
    assert_true(all.products == gptq.products + low_rank.products && all.serial == low_rank.serial);
    assert_true(all.steps > wanda.steps + gptq.steps && all.steps < wanda.steps + gptq.steps + low_rank.steps);
    assert_true(all.kept == gptq.kept && all.scratch == low_rank.scratch && low_rank.scratch > gptq.scratch);
    assert_true(all.made > gptq.made);
}

/* Operations by their leading terms. */
static void operations_grow_as_they_should(void **state) {
    (void)state;
    kit k = kit_open(1);
    static const char *const each[] = {"rtn", "cast", "nf4", "hqq", "wanda"};
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        const lb_method *m = kit_method(&k, each[i]);
        const void *opts = kit_options(&k, m, "");
        lb_cost c[3];
        const lb_cost_of of[3] = {{.rows = 1000, .cols = 1000, .first = true, .threads = 1},
                                  {.rows = 2000, .cols = 1000, .first = true, .threads = 1},
                                  {.rows = 1000, .cols = 2000, .first = true, .threads = 1}};
        for (int j = 0; j < 3; j++) assert_int_equal(lb_method_cost(m, opts, &of[j], &c[j]), LB_OK);
        assert_true(c[1].steps == 2 * c[0].steps && c[2].steps >= 2 * c[0].steps && c[2].steps < 2.3 * c[0].steps);
    }
    const lb_method *gptq = kit_method(&k, "gptq");
    const void *opts = kit_options(&k, gptq, "");
    lb_cost first, next;
    lb_cost_of of = {.rows = 1000, .cols = 2000, .first = true, .threads = 1};
    assert_int_equal(lb_method_cost(gptq, opts, &of, &first), LB_OK);
    of.first = false;
    assert_int_equal(lb_method_cost(gptq, opts, &of, &next), LB_OK);
    assert_true(next.products == 1000.0 * 2000 * 2000); /* the factor is there already */
    assert_true(first.products - next.products > 0.6 * 2000 * 2000 * 2000.0);
    kit_close(&k);
}

/* A method that says nothing is thought to round, and to factor an H that it asks for; one of the whole model to do
 * nothing. */
static lb_status any_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = (lb_storage){.format = &lb_uniform, .bits = 4, .group = 16};
    return LB_OK;
}
static lb_status any_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    (void)in, (void)opts, (void)out;
    return LB_OK;
}
static lb_status any_model(lb_trainer *t, const void *opts, lb_model_out *out) {
    (void)t, (void)opts, (void)out;
    return LB_OK;
}

static void without_a_hook(void **state) {
    (void)state;
    const lb_cost_of of = {.rows = 100, .cols = 200, .first = true, .threads = 2, .weights = 1e6};
    lb_method m = {.api = LB_METHOD_API, .name = "a", .summary = "a", .spec = any_spec, .layer = any_layer};
    lb_cost blind, solves, trains;
    assert_int_equal(lb_method_cost(&m, NULL, &of, &blind), LB_OK);
    assert_true(blind.steps > 0 && blind.products == 0 && blind.kept == 0 && blind.made > 100 * 200);
    m.needs = LB_NEEDS_HESSIAN; /* its diagonal */
    assert_int_equal(lb_method_cost(&m, NULL, &of, &solves), LB_OK);
    assert_true(solves.steps == blind.steps && solves.products == 0 && solves.kept == 0);
    m.needs |= LB_FACTORS_HESSIAN;
    assert_int_equal(lb_method_cost(&m, NULL, &of, &solves), LB_OK);
    assert_true(solves.products > 100.0 * 200 * 200 && solves.kept == 8.0 * 200 * 200);
    m = (lb_method){.api = LB_METHOD_API,
                    .name = "b",
                    .summary = "b",
                    .needs = LB_NEEDS_TRAINER,
                    .spec = any_spec,
                    .model = any_model};
    assert_int_equal(lb_method_cost(&m, NULL, &of, &trains), LB_OK);
    assert_true(trains.forward == 0 && trains.backward == 0 && trains.products == 0);
}

static void trainings(void **state) {
    (void)state;
    kit k = kit_open(1);
    const lb_method *m = kit_method(&k, "qat");
    const lb_cost_of of = {.threads = 1, .weights = 1000, .rounded = 600};
    lb_cost plain, distilled;
    assert_int_equal(lb_method_cost(m, kit_options(&k, m, "steps=10 batch=4 length=32"), &of, &plain), LB_OK);
    assert_int_equal(lb_method_cost(m, kit_options(&k, m, "steps=10 batch=4 length=32 kl_weight=0.5"), &of, &distilled),
                     LB_OK);
    assert_true(plain.forward == 1280 && plain.backward == 1280 && plain.at_once == 128 && plain.length == 32);
    assert_true(distilled.forward == 2560 && distilled.backward == 1280); /* the original model goes forward too */
    assert_true(plain.scratch >= 4 * 4 * 1000 + 4 * 600);
    kit_close(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_is_bounded), cmocka_unit_test(stages_add_up),
                                       cmocka_unit_test(operations_grow_as_they_should),
                                       cmocka_unit_test(without_a_hook), cmocka_unit_test(trainings)};
    if (lb_blas_init(3) != LB_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

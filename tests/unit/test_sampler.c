/* Draws of a token: as often as their probabilities say, none that top_p leaves out, the same from the same seed. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "eval/generate.h"

enum { VOCAB = 8, DRAWS = 40000 };
static const float logits[VOCAB] = {0.0f, 2.0f, 1.0f, -3.0f, 2.0f, 0.5f, -50.0f, 1.5f};
static lb_arena *arena;

static lb_sampler *sampler(double temperature, double top_p, uint64_t seed) {
    lb_sampler *s;
    assert_ok(lb_sampler_new(arena, &(lb_sampling){temperature, top_p, seed}, VOCAB, &s));
    return s;
}

static int32_t next(lb_sampler *s, const float *x) {
    int32_t id;
    assert_ok(lb_sampler_next(s, x, &id));
    return id;
}

static void without_temperature_the_first_of_the_largest(void **state) {
    (void)state;
    lb_sampler *s = sampler(0.0, 1.0, 5);
    for (int i = 0; i < 10; i++) assert_int_equal(next(s, logits), 1);
}

static void as_often_as_it_is_probable(void **state) {
    (void)state;
    static const double temperature[] = {1.0, 0.5, 3.0};
    for (size_t k = 0; k < 3; k++) {
        lb_sampler *s = sampler(temperature[k], 1.0, 11 + k);
        double p[VOCAB], sum = 0.0;
        int64_t count[VOCAB] = {0};
        for (int i = 0; i < VOCAB; i++) sum += p[i] = exp((double)logits[i] / temperature[k]);
        for (int i = 0; i < DRAWS; i++) count[next(s, logits)]++;
        for (int i = 0; i < VOCAB; i++) {
            double share = p[i] / sum, error = sqrt(share * (1.0 - share) / DRAWS);
            double off = fabs((double)count[i] / DRAWS - share);
            if (!(off <= 4.0 * error + 1.0 / DRAWS)) fail_msg("id %d: off by %g, standard error %g", i, off, error);
        }
    }
}

/* 1 and 4 have 0.2994 each, 7 has 0.1816, 2 has 0.1102. */
static void no_more_than_reach_top_p(void **state) {
    (void)state;
    static const struct {
        double top_p;
        int64_t n;
        int32_t id[4];
    } want[] = {{1e-9, 1, {1}}, {0.299, 1, {1}}, {0.31, 2, {1, 4}}, {0.7, 3, {1, 4, 7}}, {0.8, 4, {1, 4, 7, 2}}};
    for (size_t k = 0; k < sizeof want / sizeof want[0]; k++) {
        lb_sampler *s = sampler(1.0, want[k].top_p, 3);
        const lb_choice *c;
        int64_t n, count[VOCAB] = {0};
        assert_ok(lb_sampler_choices(s, logits, &c, &n));
        assert_int_equal(n, want[k].n);
        for (int64_t i = 0; i < n; i++) assert_int_equal(c[i].id, want[k].id[i]);
        for (int i = 0; i < 2000; i++) count[next(s, logits)]++;
        int64_t among = 0;
        for (int64_t i = 0; i < n; i++) {
            assert_true(count[want[k].id[i]] > 0);
            among += count[want[k].id[i]];
        }
        assert_int_equal(among, 2000);
    }
}

static void a_seed_is_a_sequence(void **state) {
    (void)state;
    lb_sampler *a = sampler(1.0, 0.95, 42), *b = sampler(1.0, 0.95, 42), *c = sampler(1.0, 0.95, 43);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        int32_t id = next(a, logits);
        assert_int_equal(id, next(b, logits));
        differ += id != next(c, logits);
    }
    assert_true(differ > 20);
}

static void cold_or_hot_it_stays_within_the_vocabulary(void **state) {
    (void)state;
    lb_sampler *cold = sampler(1e-300, 1.0, 1), *hot = sampler(1000.0, 1.0, 1);
    float far[VOCAB];
    for (int i = 0; i < VOCAB; i++) far[i] = i == 3 ? 3e38f : -3e38f;
    for (int i = 0; i < 100; i++) {
        int32_t id = next(cold, logits);
        assert_true(id == 1 || id == 4); /* they tie */
        assert_int_equal(next(cold, far), 3);
        id = next(hot, logits);
        assert_true(id >= 0 && id < VOCAB);
    }
}

static void a_logit_that_is_no_number(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 6; k++) {
        float x[VOCAB];
        int32_t id;
        memcpy(x, logits, sizeof x);
        x[5] = bad[k % 3];
        assert_status(LB_E_NUMERIC, lb_sampler_next(sampler(k < 3 ? 0.0 : 1.0, 0.9, 1), x, &id));
        assert_error_has("logit 5 is NaN or infinite");
    }
}

static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_temperature_the_first_of_the_largest),
                                       cmocka_unit_test(as_often_as_it_is_probable),
                                       cmocka_unit_test(no_more_than_reach_top_p),
                                       cmocka_unit_test(a_seed_is_a_sequence),
                                       cmocka_unit_test(cold_or_hot_it_stays_within_the_vocabulary),
                                       cmocka_unit_test(a_logit_that_is_no_number)};
    return cmocka_run_group_tests_name("sampler", tests, setup, teardown);
}

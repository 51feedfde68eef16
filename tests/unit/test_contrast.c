/* Differences of two sides over seeds: against scipy, how often an interval holds the true difference, p under no
 * difference, and the adjustment of several. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "oracle/fixtures/contrast.h"
#include "result/contrast.h"
#include "result/seeds.h"
#include "support/support.h"

/* cmocka compares float32. */
#define assert_near(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

enum { MOST_SEEDS = 10, MOST_WINDOWS = 200 };
/* How often a draw is repeated. A sanitizer sees the same in a few, which say nothing about shares. */
enum { ROWS = LB_TEST_SANITIZED ? 10 : 400 };

/* Seeds 0, 1, 2, ... of a; of b the same, or others. */
typedef struct sides {
    double nll[2][MOST_SEEDS][MOST_WINDOWS];
    const double *row[2][MOST_SEEDS];
    uint64_t seed[2][MOST_SEEDS];
    lb_side a, b;
} sides;

static void sides_of(sides *s, int64_t na, int64_t nb, bool same_seeds) {
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < MOST_SEEDS; k++) {
            s->row[side][k] = s->nll[side][k];
            s->seed[side][k] = (uint64_t)k + (side && !same_seeds ? 100 : 0);
        }
    s->a = (lb_side){s->row[0], s->seed[0], na};
    s->b = (lb_side){s->row[1], s->seed[1], nb};
}

static void as_scipy(void **state) {
    (void)state;
    static sides s;
    for (size_t i = 0; i < sizeof contrast / sizeof contrast[0]; i++) {
        lb_contrast c;
        sides_of(&s, contrast[i].a_seeds, contrast[i].b_seeds, contrast[i].paired);
        for (int k = 0; k < 5; k++) {
            memcpy(s.nll[0][k], contrast[i].a[k], sizeof contrast[i].a[k]);
            memcpy(s.nll[1][k], contrast[i].b[k], sizeof contrast[i].b[k]);
        }
        assert_ok(lb_contrast_of(&s.a, &s.b, contrast[i].windows, &c));
        if (fabs(c.d.delta - contrast[i].delta) > 1e-12 || fabs(c.d.low - contrast[i].low) > 1e-9 ||
            fabs(c.d.high - contrast[i].high) > 1e-9 || fabs(c.p - contrast[i].p) > 1e-8 * contrast[i].p)
            fail_msg("case %zu: %.12g [%.12g, %.12g] p %.12g, scipy has %.12g [%.12g, %.12g] p %.12g", i, c.d.delta,
                     c.d.low, c.d.high, c.p, contrast[i].delta, contrast[i].low, contrast[i].high, contrast[i].p);
        assert_int_equal(c.paired_seeds, contrast[i].paired);
        assert_int_equal(c.seeds, contrast[i].a_seeds);
    }
}

/* What seeds share of a window's NLL is correlated with its neighbour's, and half of it weighs on both sides. paired:
 * what a seed does to one side it does to the other too. A side of one seed is a method that draws nothing. */
static void draw(lb_rng *r, sides *s, int64_t windows, double between, bool paired, double delta) {
    const double follow = 0.25, shared = 0.3, own = 0.1;
    const lb_side *side[2] = {&s->a, &s->b};
    double text[2] = {lb_rng_normal(r), lb_rng_normal(r)}, seed[2][MOST_SEEDS];
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < side[i]->seeds; k++) {
            seed[i][k] = side[i]->seeds > 1 ? between * lb_rng_normal(r) : 0;
            if (i && paired) seed[i][k] = 0.5 * seed[i][k] + seed[0][k];
        }
    for (int64_t w = 0; w < windows; w++) {
        for (int i = 0; i < 2 && w; i++) text[i] = follow * text[i] + sqrt(1 - follow * follow) * lb_rng_normal(r);
        for (int i = 0; i < 2; i++)
            for (int64_t k = 0; k < side[i]->seeds; k++)
                s->nll[i][k][w] =
                    (i ? 0 : delta) + seed[i][k] + shared * (text[0] + (i ? text[1] : 0)) + own * lb_rng_normal(r);
    }
}

static const double between[] = {0, 0.1, 0.5};
static const struct kind {
    int a, b;
    bool paired;
    double most; /* of 100 such intervals that may hold the difference */
} kind[] = {{3, 1, false, 0.99}, {1, 3, false, 0.99},  {2, 2, true, 0.995},  {3, 3, true, 0.99},  {9, 9, true, 0.99},
            {2, 3, false, 1},    {3, 3, false, 0.999}, {5, 2, false, 0.999}, {9, 2, false, 0.99}, {9, 5, false, 0.99}};

/* The true difference is 1. Of 95 % intervals 93 of 100 at least must hold it, and not all but where two samples have
 * two seeds, which say next to nothing. */
static void coverage(void **state) {
    (void)state;
    enum { WINDOWS = 60 };
    static sides s;
    for (size_t n = 0; n < sizeof kind / sizeof kind[0]; n++)
        for (size_t b = 0; b < sizeof between / sizeof between[0]; b++) {
            lb_rng r = lb_rng_make(29, (uint64_t)(10 * n + b));
            int held = 0;
            sides_of(&s, kind[n].a, kind[n].b, kind[n].paired);
            for (int row = 0; row < ROWS; row++) {
                lb_contrast c;
                draw(&r, &s, WINDOWS, between[b], kind[n].paired, 1);
                assert_ok(lb_contrast_of(&s.a, &s.b, WINDOWS, &c));
                held += c.d.low <= 1 && 1 <= c.d.high;
                /* the interval and p say the same */
                if (lb_contrast_differs(&c) != (c.p < 0.05)) fail_msg("[%g, %g], p %g", c.d.low, c.d.high, c.p);
            }
            double share = (double)held / ROWS;
            if (!LB_TEST_SANITIZED && (share < 0.93 || share > kind[n].most))
                fail_msg("%d against %d seeds with sd %g: %.2f %% hold the true difference", kind[n].a, kind[n].b,
                         between[b], 100 * share);
        }
}

/* Where there is no difference, p is below 0.05 in at most 8 of 100 draws, and not never; by the bootstrap of two
 * single series, whose windows are correlated, in at most 13. */
static void no_difference(void **state) {
    (void)state;
    enum { WINDOWS = 60 };
    static const struct kind of[] = {{1, 1, false, 0}, {3, 3, true, 0}, {5, 3, false, 0}};
    static sides s;
    for (size_t n = 0; n < sizeof of / sizeof of[0]; n++) {
        lb_rng r = lb_rng_make(31, n);
        int low = 0;
        sides_of(&s, of[n].a, of[n].b, of[n].paired);
        for (int row = 0; row < ROWS; row++) {
            lb_contrast c;
            draw(&r, &s, WINDOWS, 0.1, of[n].paired, 0);
            assert_ok(lb_contrast_of(&s.a, &s.b, WINDOWS, &c));
            low += c.p < 0.05;
        }
        if (!LB_TEST_SANITIZED && (low == 0 || low > (of[n].a == 1 ? 0.13 : 0.08) * ROWS))
            fail_msg("%d against %d seeds: p below 0.05 in %d of %d", of[n].a, of[n].b, low, (int)ROWS);
    }
}

/* A side against the other is the other against it, turned round; one seed against one is the bootstrap. */
static void sides_turn(void **state) {
    (void)state;
    static sides s;
    lb_rng r = lb_rng_make(5, 0);
    for (size_t n = 0; n < sizeof kind / sizeof kind[0]; n++) {
        lb_contrast x, y;
        lb_paired alone;
        double sd;
        sides_of(&s, kind[n].a, kind[n].b, kind[n].paired);
        draw(&r, &s, 40, 0.1, kind[n].paired, 0.2);
        assert_ok(lb_contrast_of(&s.a, &s.b, 40, &x));
        assert_ok(lb_contrast_of(&s.b, &s.a, 40, &y));
        assert_near(x.d.delta, -y.d.delta, 1e-12);
        assert_near(x.d.low, -y.d.high, 1e-12);
        assert_near(x.p, y.p, 1e-9);
        if (s.b.seeds > 1) continue;
        assert_ok(lb_seeds_difference(s.a.nll, s.a.seeds, s.b.nll[0], 40, &alone, &sd));
        assert_memory_equal(&x.d, &alone, sizeof alone); /* what the main table shows */
        assert_true(x.sd == sd);
    }
    sides_of(&s, 1, 1, false);
    lb_contrast one;
    lb_paired alone;
    assert_ok(lb_contrast_of(&s.a, &s.b, 40, &one));
    assert_ok(lb_paired_difference(s.nll[0][0], s.nll[1][0], 40, &alone));
    assert_memory_equal(&one.d, &alone, sizeof alone);
    assert_true(isnan(one.sd) && one.p >= 2.0 / 10001 && one.p <= 1);
}

/* Seeds pair by what they are, not by where they stand. */
static void pairs_by_seed(void **state) {
    (void)state;
    static sides s;
    lb_contrast x, y;
    lb_rng r = lb_rng_make(6, 0);
    sides_of(&s, 3, 3, true);
    draw(&r, &s, 40, 0.3, true, 0.2);
    assert_ok(lb_contrast_of(&s.a, &s.b, 40, &x));
    const double *row = s.row[1][0];
    s.row[1][0] = s.row[1][2], s.row[1][2] = row;
    s.seed[1][0] = 2, s.seed[1][2] = 0;
    assert_ok(lb_contrast_of(&s.a, &s.b, 40, &y));
    assert_memory_equal(&x.d, &y.d, sizeof x.d);
    assert_true(x.sd == y.sd && x.p == y.p && x.seeds == y.seeds && x.paired_seeds && y.paired_seeds);
    s.seed[1][0] = 7; /* another seed: two samples */
    assert_ok(lb_contrast_of(&s.a, &s.b, 40, &y));
    assert_true(!y.paired_seeds && y.d.high - y.d.low > x.d.high - x.d.low);
}

static void edges(void **state) {
    (void)state;
    static sides s;
    lb_contrast c;
    lb_rng r = lb_rng_make(7, 0);
    sides_of(&s, 3, 2, false);
    draw(&r, &s, 40, 0.3, false, 0.2);
    assert_ok(lb_contrast_of(&s.a, &s.b, 1, &c));
    assert_true(isnan(c.d.low) && isnan(c.d.high) && isnan(c.p) && !lb_contrast_differs(&c));
    assert_status(LB_E_ARG, lb_contrast_of(&s.a, &s.b, 0, &c));
    s.a.seeds = 0;
    assert_status(LB_E_ARG, lb_contrast_of(&s.a, &s.b, 40, &c));
    s.a.seeds = 3;
    assert_ok(lb_contrast_of(&s.a, &s.a, 40, &c)); /* a row to itself */
    assert_true(c.d.delta == 0 && c.p == 1 && !lb_contrast_differs(&c));
    s.nll[1][1][7] = NAN;
    assert_status(LB_E_NUMERIC, lb_contrast_of(&s.a, &s.b, 40, &c));
    assert_error_has("window 7");
}

/* As R's p.adjust(c(0.01, 0.04, 0.03, 0.005, NA), "holm"). */
static void holm(void **state) {
    (void)state;
    double p[] = {0.01, 0.04, 0.03, 0.005, NAN}, one = 0.2, many[] = {0.5, 0.4, 0.4, 0};
    lb_holm(p, 5);
    assert_near(p[0], 0.03, 1e-15);
    assert_near(p[1], 0.06, 1e-15);
    assert_near(p[2], 0.06, 1e-15);
    assert_near(p[3], 0.02, 1e-15);
    assert_true(isnan(p[4]));
    lb_holm(&one, 1);
    assert_near(one, 0.2, 0);
    lb_holm(many, 4);
    assert_true(many[0] == 1 && many[1] == 1 && many[2] == 1 && many[3] == 0);
    lb_holm(many, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_scipy),      cmocka_unit_test(coverage),
                                       cmocka_unit_test(no_difference), cmocka_unit_test(sides_turn),
                                       cmocka_unit_test(pairs_by_seed), cmocka_unit_test(edges),
                                       cmocka_unit_test(holm)};
    return cmocka_run_group_tests_name("result/contrast", tests, NULL, NULL);
}

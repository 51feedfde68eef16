/* Frequencies of rotary positions at the edges of their kinds, worked out by hand. */
#include "support/support.h"

#include <math.h>

#include "model/rotary.h"
#include "model/steps/reference.h"

static void expect(double got, double want) {
    if (!(fabs(got - want) < 1e-12)) fail_msg("%.15g: expected %.15g", got, want);
}

/* A sequence of just the original context still has the short factors. */
static void long_factors_begin_behind_the_original(void **state) {
    (void)state;
    static const double two[] = {2, 2}, five[] = {5, 5};
    const lb_rope_spec s = {.kind = LB_REF_ROPE_LONGROPE,
                            .dims = 4,
                            .base = 16,
                            .original = 32,
                            .context = 64,
                            .magnitude = 1,
                            .short_factor = two,
                            .long_factor = five};
    expect(lb_rotary_frequency(&s, 31, 1), 0.25 / 2);
    expect(lb_rotary_frequency(&s, 32, 1), 0.25 / 2);
    expect(lb_rotary_frequency(&s, 33, 1), 0.25 / 5);
}

/* A sequence within the context leaves the base as it is. */
static void dynamic_grows_behind_the_context(void **state) {
    (void)state;
    const lb_rope_spec s = {
        .kind = LB_REF_ROPE_DYNAMIC, .dims = 4, .base = 16, .factor = 3, .context = 64, .magnitude = 1};
    expect(lb_rotary_frequency(&s, 2, 1), 0.25);
    expect(lb_rotary_frequency(&s, 64, 1), 0.25);
    expect(lb_rotary_frequency(&s, 128, 1), 0.25 / 4); /* the base times (3 * 2 - 2)^(4/2) */
}

/* The pair that turns once, 8.45, lies outside of the 8 columns: the ramp ends at their last, 7. */
static void ramp_of_yarn_ends_in_the_head(void **state) {
    (void)state;
    const lb_rope_spec s = {.kind = LB_REF_ROPE_YARN,
                            .dims = 8,
                            .base = 3,
                            .factor = 4,
                            .original = 64,
                            .context = 256,
                            .fast = 32,
                            .slow = 1,
                            .magnitude = 1};
    for (int64_t i = 0; i < 4; i++) {
        double theta = pow(3, -0.25 * (double)i), ramp = (double)i / 7;
        expect(lb_rotary_frequency(&s, 9, i), theta / 4 * ramp + theta * (1 - ramp));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_factors_begin_behind_the_original),
                                       cmocka_unit_test(dynamic_grows_behind_the_context),
                                       cmocka_unit_test(ramp_of_yarn_ends_in_the_head)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

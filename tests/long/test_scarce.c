/* Every kind of place where memory can be short: 500 allocations of each command, and limits of address space from
 * 60 MB to 2 GB. What fails says "out of memory" and ends with 1, leaves nothing behind, and the next run goes on. */
#include <string.h>

#include "support/starve_kit.h"
#include "support/sweep_kit.h"

static void allocations_fail(void **state) {
    (void)state;
    for (int i = 0; starve_commands[i]; i++) {
        starve_inject(starve_commands[i], "library", 400, false);
        starve_inject(starve_commands[i], "", 100, false);
    }
}

static void all_further_allocations_fail(void **state) {
    (void)state;
    for (int i = 0; starve_commands[i]; i++) {
        starve_inject(starve_commands[i], "library", 250, true);
        starve_inject(starve_commands[i], "", 250, true);
    }
}

static void the_last_allocations_fail(void **state) {
    (void)state;
    starve_at_the_end("train", 200);
    starve_at_the_end("quantize", 200);
    starve_at_the_end("quantize --profile", 40);
    starve_at_the_end("eval --json", 40);
    starve_at_the_end("report", 200);
}

static void address_space_is_limited(void **state) {
    (void)state;
    static const char *const commands[] = {"eval", "report", "quantize", "run"};
    for (int i = 0; i < 4; i++)
        for (int threads = 1; threads <= 2; threads++) starve_limit(commands[i], threads, 40);
}

int main(void) {
    if (LB_TEST_SANITIZED) return 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_fail),
        cmocka_unit_test(all_further_allocations_fail),
        cmocka_unit_test(the_last_allocations_fail),
        cmocka_unit_test(address_space_is_limited),
    };
    return cmocka_run_group_tests(tests, starve_setup, clean);
}

/* Memory that is short, and files that shrink: an end in order, and the reason. tests/long/test_scarce.c tries many
 * more places. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/starve_kit.h"
#include "support/sweep_kit.h"

static void allocations_fail(void **state) {
    (void)state;
    if (LB_TEST_SANITIZED) skip();
    for (int i = 0; starve_commands[i]; i++) {
        bool slow = !strcmp(starve_commands[i], "run");
        starve_inject(starve_commands[i], "library", slow ? 4 : 10, false);
        starve_inject(starve_commands[i], "", slow ? 1 : 3, true);
        starve_inject(starve_commands[i], "library", slow ? 1 : 3, true);
    }
}

static void the_last_allocations_fail(void **state) {
    (void)state;
    if (LB_TEST_SANITIZED) skip();
    starve_at_the_end("train", 8);
    starve_at_the_end("quantize", 4);
    starve_at_the_end("quantize --profile", 3);
    starve_at_the_end("eval --json", 3);
}

static void address_space_is_limited(void **state) {
    (void)state;
    if (LB_TEST_SANITIZED) skip();
    starve_limit("eval", 2, 12);
    starve_limit("report", 2, 4);
    starve_limit("run", 2, 4);
}

/* The model is open when the program asks for the text, which comes through a pipe: then the model's file is cut. */
static void a_file_shrinks(void **state) {
    (void)state;
    char program[LB_TEST_PATH], command[3 * LB_TEST_PATH], out[8192];
    const char *build = getenv("BUILD");
    snprintf(program, sizeof program, "%s/lowbit", build && *build ? build : "build/release");
    char *path = realpath(program, NULL);
    assert_non_null(path);
    int n = snprintf(command, sizeof command,
                     "cd '%s' && cp -r tiny cut && mkfifo text && timeout 100 sh -c '\n"
                     "{ \"%s\" eval cut text --protocol W2-64 --weights stream --threads 2 2>err; echo $? >code; } &\n"
                     "exec 3>text; truncate -s 4096 cut/model.safetensors; cat eval.txt >&3; exec 3>&-; wait'\n"
                     "cat code err",
                     home, path);
    assert_true(n < (int)sizeof command);
    free(path);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    assert_true(strncmp(out, "1\n", 2) == 0);
    cli_has(out, "cut/model.safetensors: changed while it was read: it has become shorter");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_fail),
        cmocka_unit_test(the_last_allocations_fail),
        cmocka_unit_test(address_space_is_limited),
        cmocka_unit_test(a_file_shrinks),
    };
    return cmocka_run_group_tests(tests, starve_setup, clean);
}

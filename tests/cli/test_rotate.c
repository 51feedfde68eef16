/* lowbit rotate as a user meets it: the same perplexity from other weights; what cannot be turned leaves nothing. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/json.h"
#include "support/run_cli.h"

static const char *home;
static char text[LB_TEST_PATH], model[LB_TEST_PATH];

static int make_home(void **state) {
    (void)state;
    home = lb_test_tmpdir();
    lb_test_fixture("data/builtin/eval.txt", text);
    lb_test_fixture("data/builtin/model", model);
    return 0;
}

static double perplexity(const char *path) {
    cli_options o = {.cwd = home};
    cli_result r = CLI(&o, "eval", path, text, "--protocol", "W2-128", "--windows", "4", "--json", "eval.json");
    if (r.code != 0) fail_msg("%s", r.err);
    cli_free(&r);
    char file[LB_TEST_PATH];
    json_t *read;
    snprintf(file, sizeof file, "%.256s/eval.json", home);
    assert_ok(lb_json_read(file, &read));
    double v = json_number_value(json_object_get(read, "perplexity"));
    json_decref(read);
    assert_true(v > 1);
    return v;
}

static void same_perplexity(void **state) {
    (void)state;
    cli_options o = {.cwd = home};
    cli_result r = CLI(&o, "rotate", model, "--out", "turned", "--seed", "3");
    if (r.code != 0) fail_msg("%s", r.err);
    cli_has(r.out, "written     turned (f32)");
    cli_free(&r);
    double was = perplexity(model), now = perplexity("turned");
    if (!(fabs(now / was - 1) < 1e-5)) fail_msg("perplexity %.9g, turned %.9g", was, now);
}

static void refused(void **state) {
    (void)state;
    char gpt2[LB_TEST_PATH], path[LB_TEST_PATH];
    cli_options o = {.cwd = home};
    lb_test_fixture("tests/oracle/fixtures/families/gpt2/a", gpt2);
    cli_result r = CLI(&o, "rotate", gpt2, "--out", "none");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "layer norm");
    cli_free(&r);
    snprintf(path, sizeof path, "%.256s/none", home);
    assert_false(lb_fs_exists(path));
    r = CLI(&o, "rotate", model, "--out", "turned");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "turned");
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_perplexity), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, make_home, NULL);
}

/* plots: of a config: checked before anything runs, and kept beside the results for every report of them. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

#define ONE COMMON "quantize:\n  - {method: rtn, bits: 4, group: 16}\n"

static void checked_first(void **state) {
    (void)state;
    static const char *const command[] = {"check", "run"};
    cli_options o = here();
    put_file("wrong.yaml", ONE "plots:\n  size: colum\n");
    for (int i = 0; i < 2; i++) {
        cli_result r = CLI(&o, command[i], "wrong.yaml");
        assert_int_equal(r.code, 1);
        cli_has(r.err, "wrong.yaml:8: size 'colum' is not known: did you mean 'column'?");
        cli_free(&r);
        assert_false(exists("results/wrong"));
    }
}

static void kept(void **state) {
    (void)state;
    cli_options o = here();
    char path[LB_TEST_PATH], *text = NULL;
    size_t n;
    put_file("look.yaml", "plots: {size: column, figures: [delta-bits]}\n");
    put_file("styled.yaml", "include: look.yaml\n" ONE);
    cli_result r = CLI(&o, "run", "styled.yaml", "-o", "plots.title=false");
    assert_int_equal(r.code, 0);
    cli_has_not(r.err, "gnuplot failed");
    cli_free(&r);
    path_in(path, home, "results/styled/plots.yaml");
    assert_ok(lb_fs_read(path, &text, &n));
    assert_string_equal(text, "formats: [svg, png, pdf]\nsize: column\nfont_size: 8\ntitle: false\n"
                              "figures: ['delta-bits']\n");
    lb_free(text);
    /* Without the config, the report of the folder looks the same. */
    assert_true(exists("results/styled/report/plots/delta-bits-eval.txt-W2-64.gp"));
    assert_false(exists("results/styled/report/plots/front-eval.txt-W2-64.gp"));
    path_in(path, home, "results/styled/report/plots/delta-bits-eval.txt-W2-64.gp");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, "size 241,");
    r = CLI(&o, "report", "results/styled");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    char *again = NULL;
    assert_ok(lb_fs_read(path, &again, &n));
    assert_string_equal(again, text);
    lb_free(again);
    lb_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(checked_first), cmocka_unit_test(kept)};
    return cmocka_run_group_tests_name("plots: of a config", tests, make_model, clean);
}

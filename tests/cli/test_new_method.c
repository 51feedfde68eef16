/* `lowbit methods --new`: what it writes compiles without a warning, its test passes and notices a fault, the program
 * takes the method and runs it; nothing that is there is written over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

#define CC_LINE   "cc -std=c11 -O2 -Wall -Wextra -Werror -Isrc "
#define LIBRARIES "$(pkg-config --libs hdf5 yaml-0.1 jansson libpcre2-8 libutf8proc libcrypto zlib) -ldl -lm -lpthread"

/* A command of the shell in the checkout, where $D is a folder of home. */
static int shell(const char *folder, const char *command) {
    static char line[4 * LB_TEST_PATH], out[16384];
    snprintf(line, sizeof line, "D='%s/%s'; { %s; } 2>&1", home, folder, command);
    int code = cli_shell(line, out, sizeof out);
    if (code) print_message("%s\n%s\n", line, out);
    return code;
}

/* Another build's library is linked with another compiler's flags. */
static bool links(void) {
    const char *build = getenv("BUILD");
    return !build || lb_str_ends(build, "release");
}

static void begin(const char *scope) {
    cli_options o = here();
    cli_result r = CLI(&o, "methods", "--new", "mine", "--scope", scope, "--dir", scope);
    if (r.code) fail_msg("%s", r.err);
    cli_has(r.out, "-fPIC -shared -Isrc -o");
    cli_has(r.out, "/test_mine");
    cli_has(r.out, "algorithms/README.md");
    cli_free(&r);
    assert_int_equal(shell(scope, CC_LINE "-fPIC -shared -o \"$D/mine.so\" \"$D/mine.c\""), 0);
    if (!links()) return;
    assert_int_equal(
        shell(scope, CC_LINE "-o \"$D/test_mine\" \"$D/test_mine.c\" build/release/liblowbit.a " LIBRARIES), 0);
    assert_int_equal(shell(scope, "\"$D/test_mine\""), 0);
}

/* The written test fails where the method is wrong. */
static void notices(const char *scope, const char *from, const char *to) {
    char command[LB_TEST_PATH + 512];
    if (!links()) return;
    snprintf(
        command, sizeof command,
        "mkdir -p \"$D/bad\" && cp \"$D/test_mine.c\" \"$D/bad\" && sed 's|%s|%s|' \"$D/mine.c\" >\"$D/bad/mine.c\" && "
        "! cmp -s \"$D/mine.c\" \"$D/bad/mine.c\" && cc -std=c11 -O2 -Isrc -o \"$D/bad/t\" \"$D/bad/test_mine.c\" "
        "build/release/liblowbit.a " LIBRARIES " && ! \"$D/bad/t\"",
        from, to);
    assert_int_equal(shell(scope, command), 0);
}

static void runs(const char *scope, const char *quantize, const char *more) {
    char text[1024], plugin[LB_TEST_PATH], name[64];
    cli_options o = here();
    snprintf(name, sizeof name, "%s/mine.so", scope);
    path_in(plugin, home, name);
    snprintf(text, sizeof text,
             "name: new-%s\nmodel: tiny\nthreads: 2\ncalibration: {text: cal.txt, samples: 4, length: 32}\n%s"
             "eval: {text: eval.txt, protocol: W2-32, windows: 2}\nquantize:\n  - %s\n",
             scope, more, quantize);
    put_file("new.yaml", text);
    cli_result r = CLI(&o, "run", "new.yaml", "--no-report", "--plugin", plugin);
    if (r.code) fail_msg("%s", r.err);
    cli_has(r.err, "0 refused, 0 failed");
    cli_free(&r);
    r = CLI(&o, "methods", "mine", "--plugin", plugin);
    assert_int_equal(r.code, 0);
    cli_has(r.out, "to start from");
    cli_free(&r);
}

static void layer(void **state) {
    (void)state;
    begin("layer");
    notices("layer", "nearbyintf(", "floorf(");
    runs("layer", "{method: mine, bits: [3, 4], group: 16}", "");
}

static void block(void **state) {
    (void)state;
    begin("block");
    notices("block", "scale\\[c\\] / mean : 1", "1 : 1");
    runs("block", "stages: [{method: mine}, {method: rtn, bits: 4}]", "");
}

static void network(void **state) {
    (void)state;
    begin("network");
    notices("network", "p->w\\[k\\] -=", "p->w[k] +=");
    runs("network", "{method: mine, steps: 2, batch: 1, length: 32}",
         "training: {text: cal.txt, validation: eval.txt, every: 1, validation_windows: 2}\n");
    /* It does nothing for it: the weights as they train, which it does not round, and what it made of them. */
    lb_results *r = results("results/new-network");
    const lb_record *none = &r->record[0], *mine = &r->record[1];
    assert_int_equal(mine->curve.validations, 3);
    assert_true(mine->curve.validation_loss[0] == none->eval[0].eval.mean_nll);
    assert_true(mine->curve.validation_loss[2] == mine->eval[0].eval.mean_nll);
    assert_true(mine->curve.validation_loss[1] != mine->curve.validation_loss[0]);
    lb_results_free(r);
}

/* Neither of the two files is written where one is there, and the name has to be one. */
static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *name, *error;
    } of[] = {{"mine", "mine.c: it is there already"},
              {"rtn", "method name 'rtn': there is such a method"},
              {"Mine", "small letters"},
              {"a/b", "small letters"},
              {"../x", "small letters"},
              {"9x", "small letters"},
              {"a_name_that_is_longer_than_is_good_for_it", "at most 32"}};
    cli_options o = here();
    put_file("mine.c", "/* my own */\n");
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        cli_result r = CLI(&o, "methods", "--new", of[i].name);
        assert_int_equal(r.code, 1);
        cli_has(r.err, of[i].error);
        cli_free(&r);
    }
    assert_false(exists("test_mine.c"));
    put_file("test_yours.c", "/* my own */\n");
    cli_result r = CLI(&o, "methods", "--new", "yours");
    assert_int_equal(r.code, 1);
    assert_false(exists("yours.c"));
    cli_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layer), cmocka_unit_test(block), cmocka_unit_test(network),
                                       cmocka_unit_test(refuses)};
    return cmocka_run_group_tests_name("new method", tests, make_model, clean);
}

/* The tree keeps its rules, and tools/lint sees when it does not. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "support/run_cli.h"

/* Runs the lint that lies in root/tools; its output; the exit status. */
static int lint(const char *root, char *out, size_t room) {
    char command[LB_TEST_PATH + 64];
    snprintf(command, sizeof command, "'%s/tools/lint' --quick 2>&1", root);
    return cli_shell(command, out, room);
}

static void put(const char *root, const char *name, const char *text) {
    char *path = lb_fs_join(root, name), *folder = lb_fs_dirname(path);
    assert_ok(lb_fs_mkdirs(folder));
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    lb_free(path);
    lb_free(folder);
}

static void the_tree_is_clean(void **state) {
    (void)state;
    char root[LB_TEST_PATH], out[20000];
    lb_test_fixture("tools/lint", root);
    root[strlen(root) - strlen("/tools/lint")] = 0;
    int status = lint(root, out, sizeof out);
    if (status) fail_msg("tools/lint --quick: %s", out);
}

/* Lines of `unit` repeated n times. */
static char *repeat(const char *unit, int n) {
    char *p = malloc(strlen(unit) * (size_t)n + 1);
    assert_non_null(p);
    p[0] = 0;
    for (int i = 0; i < n; i++) strcpy(p + strlen(unit) * (size_t)i, unit);
    return p;
}

static void every_rule_bites(void **state) {
    (void)state;
    char lint_path[LB_TEST_PATH], copy[LB_TEST_PATH + 32], *script, out[20000];
    const char *root = lb_test_tmpdir();
    lb_test_fixture("tools/lint", lint_path);
    assert_ok(lb_fs_read(lint_path, &script, NULL));
    put(root, "tools/lint", script);
    snprintf(copy, sizeof copy, "chmod +x '%s/tools/lint'", root);
    assert_int_equal(system(copy), 0);
    put(root, "src/base/good.c",
        "#include \"base/good.h\"\n/* printf(1) exit(2) */\nvoid f(char *s) {\n    snprintf(s, 9, \"abort( \\\" "
        "puts(\");\n}\n");
    if (lint(root, out, sizeof out) != 0) fail_msg("a good tree: %s", out);

    static const char faults[] = "[right]\nfile: src/base/good.c\nfrom: snprintf(s, 9\nto: snprintf(s, 0\n"
                                 "tests: unit/test_good\n\n"
                                 "[stale]\nfile: src/base/good.c\nfrom: snprintf(t\nto: 0\ntests: unit/test_bad\n\n"
                                 "[twice]\nfile: src/base/good.c\nfrom: exit(2) */\nto: */\nfrom2: (\nto2: 0\n"
                                 "tests: unit/test_good\n";
    static const struct {
        const char *name, *text, *want;
    } bad[] = {
        {"src/base/up.c", "#include \"io/json.h\"\n", "src/base/up.c:1: base/ must not include io/"},
        {"src/io/side.c", "#include \"math/mat.h\"\n", "src/io/side.c:1: io/ must not include math/"},
        {"src/quant/up.h", "\n#include \"model/model.h\"\n", "src/quant/up.h:2: quant/ must not include model/"},
        {"algorithms/peek.c", "#include \"eval/layer_error.h\"\n",
         "algorithms/peek.c:1: algorithms/ must not include eval/"},
        {"src/model/up.c", "#include \"eval/install.h\"\n", "src/model/up.c:1: model/ must not include eval/"},
        {"src/eval/up.c", "#  include \"run/cell.h\"\n", "src/eval/up.c:1: eval/ must not include run/"},
        {"src/eval/show.c", "#include \"report/view.h\"\n", "src/eval/show.c:1: eval/ must not include report/"},
        {"src/result/up.c", "#include \"eval/train.h\"\n", "src/result/up.c:1: result/ must not include eval/"},
        {"src/report/up.c", "#include \"run/plan.h\"\n", "src/report/up.c:1: report/ must not include run/"},
        {"src/report/net.c", "#include \"model/arch.h\"\n", "src/report/net.c:1: report/ must not include model/"},
        {"src/run/show.c", "#include \"report/table.h\"\n", "src/run/show.c:1: run/ must not include report/"},
        {"src/run/up.c", "#include \"cli/cli.h\"\n", "src/run/up.c:1: run/ must not include cli/"},
        {"src/quant/blas.c", "#include <cblas.h>\n", "src/quant/blas.c:1: only math/ calls BLAS"},
        {"src/io/rel.c", "#include \"../io/a.h\"\n", "src/io/rel.c:1: name headers from src/"},
        {"src/odd/x.c", "#include \"base/mem.h\"\n", "folder odd has no place"},
        {"src/eval/say.c", "void f(void) { printf(\"x\"); }\n", "src/eval/say.c:1: only cli/ prints or exits"},
        {"src/eval/err.c", "/* a\n b */ void f(void) { fputs(\"x\", stderr); }\n",
         "src/eval/err.c:2: only cli/ writes"},
        {"src/run/quit.c", "void f(void) {\n    exit(1);\n}\n", "src/run/quit.c:2: only cli/ prints or exits"},
        {"src/run/mem.c", "void *f(void) { return malloc(3); }\n", "src/run/mem.c:1: memory comes from lb_alloc"},
        {"tests/unit/test_good.c", "\n", "tests/mutants:7: [stale]: must stand once in src/base/good.c: snprintf(t\n"},
        {"tests/mutants", faults, "tests/mutants:7: [stale]: no test program unit/test_bad\n"},
        {"tests/mutants", faults, "tests/mutants:13: [twice]: must stand once in src/base/good.c: (\n"},
        {"docs/where.md",
         "see /wor"
         "k/here\n",
         "docs/where.md:1:"},
        {"docs/later.md",
         "TO"
         "DO: write this\n",
         "docs/later.md:1:"},
    };
    int n = (int)(sizeof bad / sizeof bad[0]);
    for (int i = 0; i < n; i++) put(root, bad[i].name, bad[i].text);
    char *lines = repeat("int f(void);\n", 601), *body = repeat("    f();\n", 81), *function;
    assert_int_not_equal(asprintf(&function, "static int g(int a,\n             int b) {\n%s}\n", body), -1);
    put(root, "src/io/long.h", lines);
    put(root, "src/io/tall.c", function);
    assert_int_equal(lint(root, out, sizeof out), 1);
    for (int i = 0; i < n; i++)
        if (!strstr(out, bad[i].want)) fail_msg("'%s' is missing in\n%s", bad[i].want, out);
    assert_non_null(strstr(out, "src/io/long.h:601: 601 lines"));
    assert_non_null(strstr(out, "src/io/tall.c:1: function of 84 lines"));
    assert_null(strstr(out, "\nsrc/base/good.c:"));
    assert_null(strstr(out, "[right]"));
    lb_free(script);
    free(lines);
    free(body);
    free(function);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_tree_is_clean), cmocka_unit_test(every_rule_bites)};
    return cmocka_run_group_tests_name("tools/lint", tests, NULL, NULL);
}

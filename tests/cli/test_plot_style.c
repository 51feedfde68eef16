/* What an author makes of a report's plots: changed scripts stay, styles are read, and nothing in a results folder that
 * was passed on makes gnuplot do anything but draw. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"
#include "support/synthetic_results.h"

#define FRONT "front-wikitext-2-W2-2048"

static char dir[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    cli_quick_figures();
    snprintf(dir, sizeof dir, "%s/styled", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, dir);
    for (int64_t i = 0; i < r->n; i++) assert_ok(lb_store_write(dir, &r->record[i]));
    assert_ok(lb_store_write_index(dir, r->name, r->model_name, r->model_note, r->record, r->n));
    synthetic_results_free(r);
    return 0;
}

static const char *path_of(const char *leaf) {
    static char path[LB_TEST_PATH + 256];
    snprintf(path, sizeof path, "%s/%s", dir, leaf);
    return path;
}
static const char *plot(const char *leaf) {
    static char path[LB_TEST_PATH + 256];
    snprintf(path, sizeof path, "%s/report/plots/%s", dir, leaf);
    return path;
}

static char *read_file(const char *path) {
    char *text = NULL;
    size_t n;
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}

static void put(const char *path, const char *text) { assert_ok(lb_fs_write_atomic(path, text, strlen(text))); }

/* Its standard error; the exit code must be as given. */
static char *report_says(int code, const char *more, const char *value) {
    cli_result r = more ? CLI(NULL, "report", dir, more, value) : CLI(NULL, "report", dir);
    if (r.code != code) fail_msg("exit %d: %s", r.code, r.err);
    char *said = lb_strdup(r.err);
    assert_non_null(said);
    cli_free(&r);
    return said;
}

static void reports(const char *part) {
    char *said = report_says(0, NULL, NULL);
    cli_has_not(said, "gnuplot failed");
    if (part)
        cli_has(said, part);
    else
        cli_has_not(said, "kept");
    lb_free(said);
}

static void retitle(char *script) {
    size_t at = 0;
    while (script[at] && strncmp(script + at, "title = 't", 10) != 0) at++;
    assert_true(script[at]);
    script[at + 9] = 'T';
}

/* A script that an author changed stays to the byte, over many reports; the report's own stands beside it. */
static void changed_scripts_stay(void **state) {
    (void)state;
    reports(NULL);
    reports(NULL); /* its own it may write again */
    char *text = read_file(plot(FRONT ".gp"));
    cli_has(text, "# lowbit wrote the lines above: SHA-256 ");
    retitle(text);
    put(plot(FRONT ".gp"), text);
    for (int i = 0; i < 2; i++) {
        reports("are kept: " FRONT ".gp (in ");
        char *now = read_file(plot(FRONT ".gp")), *new = read_file(plot(FRONT ".new.gp"));
        assert_string_equal(now, text);
        cli_has(new, "data = '" FRONT ".dat'");
        lb_free(now);
        lb_free(new);
        assert_false(lb_fs_exists(plot(FRONT ".new-2.gp")));
    }
    /* The new one changed, too. */
    put(plot(FRONT ".new.gp"), "plot x\n");
    reports("are kept: " FRONT ".gp, " FRONT ".new.gp (in ");
    assert_true(lb_fs_exists(plot(FRONT ".new-2.gp")));
    /* What is back to normal leaves nothing behind. */
    assert_int_equal(unlink(plot(FRONT ".gp")), 0);
    assert_int_equal(unlink(plot(FRONT ".new.gp")), 0);
    reports(NULL);
    assert_true(lb_fs_exists(plot(FRONT ".gp")));
    assert_false(lb_fs_exists(plot(FRONT ".new-2.gp")));
    lb_free(text);
}

/* Somebody else's script is neither run nor written over, be it signed for other lines or a link. */
static void scripts_of_others_do_not_run(void **state) {
    (void)state;
    reports(NULL);
    char evil[LB_TEST_PATH + 64], out[LB_TEST_PATH], *text = read_file(plot(FRONT ".gp"));
    snprintf(out, sizeof out, "%s/ran", lb_test_tmpdir());
    snprintf(evil, sizeof evil, "system 'touch %s'\n", out);
    char *both = malloc(strlen(evil) + strlen(text) + 1);
    assert_non_null(both);
    sprintf(both, "%s%s", evil, text);
    put(plot(FRONT ".gp"), both);
    reports("are kept: " FRONT ".gp");
    assert_false(lb_fs_exists(out));
    assert_int_equal(unlink(plot(FRONT ".gp")), 0);
    put(path_of("elsewhere.gp"), evil);
    assert_int_equal(symlink("../../elsewhere.gp", plot(FRONT ".gp")), 0);
    reports("are kept: " FRONT ".gp");
    assert_false(lb_fs_exists(out));
    char *same = read_file(path_of("elsewhere.gp"));
    assert_string_equal(same, evil);
    assert_int_equal(unlink(plot(FRONT ".gp")), 0);
    lb_free(same);
    lb_free(text);
    free(both);
}

/* A config's plots: are checked before anything runs and stay with the results; a file takes their place. */
static void asked_for(void **state) {
    (void)state;
    char file[LB_TEST_PATH + 256];
    snprintf(file, sizeof file, "%s", path_of("mine.yaml"));
    put(file, "plots: {size: column, title: false, figures: [front], palette: {rtn: '#123456'}}\n");
    char *said = report_says(0, "--plots", file), *text = read_file(plot(FRONT ".gp"));
    cli_has_not(said, "gnuplot failed");
    cli_has(text, "set terminal svg noenhanced size 241,");
    cli_has(text, "lc rgb '#123456'");
    cli_has(text, "\ntitle = ''\n");
    cli_has(text, "center bottom horizontal Left reverse samplen 2 maxcols ");
    lb_free(said);
    lb_free(text);
    /* The folder's own. */
    put(path_of("plots.yaml"), "size: slide\ntitles: {front: 'It''s 100 %'}\nlimits: {ppl: [10, 100]}\n");
    put(path_of("style.gp"), "set grid lw 3\n");
    reports(NULL);
    text = read_file(plot(FRONT ".gp"));
    cli_has(text, "set terminal svg noenhanced size 720,");
    cli_has(text, "\ntitle = 'It''s 100 %'\n");
    cli_has(text, "set yrange [10:100]");
    cli_has(text, "# style.gp\nset grid lw 3\n");
    lb_free(text);
    put(path_of("plots.yaml"), "size: colum\n");
    said = report_says(1, NULL, NULL);
    cli_has(said, "plots.yaml:1: size 'colum' is not known: did you mean 'column'?");
    lb_free(said);
    assert_int_equal(unlink(path_of("plots.yaml")), 0);
    assert_int_equal(unlink(path_of("style.gp")), 0);
}

static void there(bool expected, const char *leaf) {
    if (lb_fs_exists(plot(leaf)) != expected) fail_msg("%s is %s", leaf, expected ? "gone" : "there");
}

/* Figures that only an earlier report has go with everything of theirs; what somebody changed, or made, does not. */
static void figures_that_are_gone(void **state) {
    (void)state;
    static const char *const gone[] = {"cost.gp",         "cost.dat",         "kl-bits-wikitext-2-W2-2048.gp",
                                       FRONT "-latex.gp", FRONT "-latex.tex", "sizes-latex.gp"};
    static const char *const stay[] = {FRONT ".gp", FRONT ".dat", "sizes.gp", "sizes.dat", "mine.gp", "mine.svg"};
    put(path_of("plots.yaml"), "formats: [cairolatex]\n");
    reports(NULL);
    bool drawn = lb_fs_exists(plot("cost.svg")); /* where there is gnuplot */
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        if (drawn || !lb_str_ends(gone[i], ".tex")) there(true, gone[i]);
    char *text = read_file(plot("sizes.gp"));
    retitle(text);
    put(plot("sizes.gp"), text);
    put(plot("mine.gp"), "plot x\n");
    put(plot("mine.svg"), "<svg/>\n");
    put(path_of("plots.yaml"), "figures: [front]\n");
    char *said = report_says(0, NULL, NULL);
    cli_has(said, "figures of an earlier report are gone from ");
    cli_has(said, ": cost-latex, cost, ");
    cli_has(said, " more\n");
    cli_has_not(said, "mine");
    cli_has_not(said, " sizes,");
    lb_free(said);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) there(false, gone[i]);
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++) there(true, stay[i]);
    there(false, "cost.svg");
    there(false, "cost-latex.pdf");
    there(drawn, "sizes.svg");
    there(drawn, FRONT ".svg");
    char *same = read_file(plot("sizes.gp"));
    assert_string_equal(same, text);
    lb_free(same);
    lb_free(text);
    assert_int_equal(unlink(path_of("plots.yaml")), 0);
    assert_int_equal(unlink(plot("sizes.gp")), 0);
    assert_int_equal(unlink(plot("mine.gp")), 0);
    said = report_says(0, NULL, NULL);
    cli_has_not(said, "are gone");
    lb_free(said);
    there(true, "cost.gp");
}

/* All figures of a format in one document, each as wide as it was asked to be; LaTeX's complaints end the test. */
static void typesets(const char *packages, const char *end) {
    if (LB_TEST_SANITIZED) return; /* they see nothing of LaTeX */
    lb_str doc = {0};
    char **name, log[65536], command[2 * LB_TEST_PATH + 512];
    size_t n;
    char plots[LB_TEST_PATH + 64];
    snprintf(plots, sizeof plots, "%s/report/plots", dir);
    lb_str_add(&doc,
               "\\documentclass[twocolumn]{article}\n%s\n\\pagestyle{empty}\\parindent0pt\n\\columnsep11pt\n"
               "\\textwidth 495pt\n\\textheight 640pt\n\\begin{document}\n",
               packages);
    assert_ok(lb_fs_list(plots, end, &name, &n));
    assert_true(n > 3);
    for (size_t i = 0; i < n; i++) lb_str_add(&doc, "\\input{%s}\\par\n", name[i]);
    lb_fs_list_free(name, n);
    lb_str_add(&doc, "\\end{document}\n");
    assert_ok(lb_str_check(&doc));
    put(plot("doc.tex"), doc.s);
    snprintf(command, sizeof command,
             "cd '%s' && timeout 100 pdflatex -no-shell-escape -interaction=nonstopmode -halt-on-error doc.tex", plots);
    int code = cli_shell(command, log, sizeof log);
    if (code || strstr(log, "Overfull \\hbox") || strstr(log, "\n!")) fail_msg("%s\n%s", doc.s, log);
    lb_str_free(&doc);
}

/* Where LaTeX is there: what both formats write is set as it is. */
static void typeset_figures(void **state) {
    (void)state;
    static const struct {
        const char *needs, *packages, *format, *end;
    } of[] = {{"graphicx.sty", "\\usepackage{graphicx,color,calc}", "cairolatex", "-latex.tex"},
              {"gnuplot-lua-tikz.sty pgf.sty", "\\usepackage{gnuplot-lua-tikz}", "tikz", "-tikz.tex"}};
    char found[256], command[128];
    int seen = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "command -v pdflatex gnuplot && for f in %s; do kpsewhich $f || exit 1; done",
                 of[i].needs);
        if (cli_shell(command, found, sizeof found) != 0) continue;
        if (i && cli_shell("gnuplot -e 'set terminal tikz'", found, sizeof found) != 0) continue;
        snprintf(command, sizeof command, "size: column\nformats: [%s]\n", of[i].format);
        put(path_of("plots.yaml"), command);
        reports(NULL);
        typesets(of[i].packages, of[i].end);
        seen++;
    }
    unlink(path_of("plots.yaml"));
    if (!seen) skip();
}

/* TeX's characters in TeX's files; the includer's name is the one that the file has. */
static void for_tex(void **state) {
    (void)state;
    char found[64];
    if (cli_shell("command -v gnuplot", found, sizeof found) != 0) skip();
    put(path_of("plots.yaml"), "formats: [cairolatex]\nfigures: [front]\ntitles: {front: 50 % & a_b}\n");
    char *said = report_says(0, NULL, NULL);
    cli_has_not(said, "plot ");
    lb_free(said);
    char *gp = read_file(plot(FRONT "-latex.gp")), *tex = read_file(plot(FRONT "-latex.tex"));
    cli_has(gp, "title = '50 \\% \\& a\\_\\allowbreak{}b'");
    cli_has(tex, "{" FRONT "-latex}");
    cli_has_not(tex, ".tmp.");
    assert_true(lb_fs_exists(plot(FRONT "-latex.pdf")) && lb_fs_exists(plot(FRONT ".svg")));
    assert_int_equal(unlink(path_of("plots.yaml")), 0);
    lb_free(gp);
    lb_free(tex);
}

/* A folder that was passed on: its files neither run nor lead out of it. */
static void hostile_styles(void **state) {
    (void)state;
    static const char *const evil[] = {
        "system 'touch ../../../ran'\n",         "set key left; system 'touch ../../../ran'\n",
        "set output '| touch ../../../ran'\n",   "set title \"`touch ../../../ran`\"\n",
        "set fit script 'touch ../../../ran'\n", "load 'elsewhere.gp'\n"};
    char out[LB_TEST_PATH];
    snprintf(out, sizeof out, "%s/ran", lb_test_tmpdir());
    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        put(path_of("style.gp"), evil[i]);
        char *said = report_says(1, NULL, NULL);
        cli_has(said, "style.gp:1: ");
        lb_free(said);
        assert_false(lb_fs_exists(out));
    }
    assert_int_equal(unlink(path_of("style.gp")), 0);
    put(path_of("plots.yaml"), "font: \"Sans' ; system 'touch ../../../ran\"\n");
    char *said = report_says(1, NULL, NULL);
    cli_has(said, "plots.yaml:1: font: ");
    lb_free(said);
    put(path_of("plots.yaml"), "titles: {front: \"x' . system('touch ../../../ran') . '`touch ../../../ran`\"}\n");
    reports(NULL);
    assert_false(lb_fs_exists(out));
    assert_int_equal(unlink(path_of("plots.yaml")), 0);
    static const char *const leaf[] = {"plots.yaml", "style.gp"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(symlink("/etc/passwd", path_of(leaf[i])), 0);
        said = report_says(1, NULL, NULL);
        cli_has(said, "is a symbolic link, expected a file");
        lb_free(said);
        assert_int_equal(unlink(path_of(leaf[i])), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_scripts_stay),
        cmocka_unit_test(scripts_of_others_do_not_run),
        cmocka_unit_test(asked_for),
        cmocka_unit_test(figures_that_are_gone),
        cmocka_unit_test(for_tex),
        cmocka_unit_test(typeset_figures),
        cmocka_unit_test(hostile_styles),
    };
    return cmocka_run_group_tests_name("style of plots", tests, setup, NULL);
}

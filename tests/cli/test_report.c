/* lowbit report as a user meets it, on stored results that no model made: what it prints in each format, what it
 * writes, and what it says when something is wrong. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "report/report.h"
#include "report/table.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static char dir[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s/synthetic", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].state == LB_CELL_DONE) assert_ok(lb_store_write(dir, &r->record[i]));
    assert_ok(lb_store_write_index(dir, r->name, r->model_name, r->model_note, r->record, r->n));
    synthetic_results_free(r);
    return 0;
}

static bool there(const char *leaf) {
    char *path = lb_fs_join(dir, leaf);
    assert_non_null(path);
    bool yes = lb_fs_exists(path);
    lb_free(path);
    return yes;
}

/* What was stored and read back gives the tables of the records themselves. Stored results carry a warning when another
 * version made them, so only the part before the notes is compared. */
static void prints_the_stored_tables(void **state) {
    (void)state;
    static const struct {
        const char *format;
        lb_table_format f;
    } form[] = {{"terminal", LB_TABLE_TERMINAL},
                {"markdown", LB_TABLE_MARKDOWN},
                {"csv", LB_TABLE_CSV},
                {"latex", LB_TABLE_LATEX},
                {"html", LB_TABLE_HTML}};
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
        lb_str s = {0};
        assert_ok(lb_report_main_table(r, form[i].f, &s));
        cli_result c = CLI(NULL, "report", dir, "--format", form[i].format, "--no-write");
        assert_int_equal(c.code, 0);
        const char *end = strstr(s.s, "warning (");
        size_t n = end ? (size_t)(end - s.s) : s.len;
        if (strncmp(c.out, s.s, n) != 0) {
            print_error("%s: expected\n%s\ngot\n%s\n", form[i].format, s.s, c.out);
            fail();
        }
        cli_free(&c);
        lb_str_free(&s);
    }
    synthetic_results_free(r);
    assert_false(there("report"));
}

static void prints_layers(void **state) {
    (void)state;
    cli_result r = CLI(NULL, "report", dir, "--layers", "nf4 4b g64", "--no-write");
    assert_int_equal(r.code, 0);
    cli_has(r.out, "Layers of nf4 4b g64");
    cli_has(r.out, "5.down");
    cli_free(&r);
    r = CLI(NULL, "report", dir, "--layers", "rtn-bits2-group64-02", "--format", "csv", "--no-write");
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.out, "layer,rows,cols,", 16);
    cli_free(&r);
    r = CLI(NULL, "report", dir, "--layers", "nf4 4b g46", "--no-write");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "has no cell 'nf4 4b g46': did you mean 'nf4 4b g64'?");
    cli_free(&r);
    r = CLI(NULL, "report", dir, "--layers", "gptq 2b row", "--no-write");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "Cholesky failed");
    cli_free(&r);
}

static void writes_everything(void **state) {
    (void)state;
    cli_options no_gnuplot = {.env = {"PATH=/nowhere"}};
    cli_result r = CLI(&no_gnuplot, "report", dir);
    assert_int_equal(r.code, 0);
    cli_has(r.err, "gnuplot is not on the PATH");
    cli_has(r.err, "report/index.html");
    cli_free(&r);
    static const char *const leaf[] = {"cells.csv",       "report/index.html",      "report/report.md",
                                       "report/body.tex", "report/tables/main.tex", "report/plots/training-loss.gp"};
    for (size_t i = 0; i < sizeof leaf / sizeof leaf[0]; i++)
        if (!there(leaf[i])) fail_msg("%s was not written", leaf[i]);
}

/* Two of one folder at a time draw one after the other: neither takes the other's pictures away. */
static void reports_wait_for_each_other(void **state) {
    (void)state;
    cli_quick_figures();
    for (int i = 0; i < 2; i++) {
        pid_t a = cli_start(NULL, (const char *const[]){"report", dir, NULL});
        pid_t b = cli_start(NULL, (const char *const[]){"report", dir, NULL});
        assert_int_equal(cli_wait(a), 0);
        assert_int_equal(cli_wait(b), 0);
    }
}

/* Outside the tolerance: exit code 1; the values stay with the results and are found again. */
static void compares_with_expected(void **state) {
    (void)state;
    static const char head[] = "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n";
    char text[1024], path[LB_TEST_PATH];
    cli_options no_gnuplot = {.env = {"PATH=/nowhere"}};
    snprintf(path, sizeof path, "%s/values.csv", lb_test_tmpdir());
    snprintf(text, sizeof text, "%snone,,wikitext-2,W2-2048,20,ppl,20.97,1e-4,relative,x\n", head);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    cli_result r = CLI(&no_gnuplot, "report", dir, "--expected", path);
    assert_int_equal(r.code, 0);
    cli_has(r.out, "1 of 1 compared: 1 within tolerance, 0 outside");
    cli_free(&r);
    snprintf(text, sizeof text, "%snone,,wikitext-2,W2-2048,20,ppl,21.97,1e-4,relative,x\n", head);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    r = CLI(&no_gnuplot, "report", dir, "--expected", path);
    assert_int_equal(r.code, 1);
    cli_free(&r);
    r = CLI(NULL, "report", dir, "--no-write");
    assert_int_equal(r.code, 1);
    cli_has(r.out, "0 within tolerance, 1 outside");
    cli_has(r.err, "1 value outside the tolerance");
    cli_free(&r);
}

static void refuses(void **state) {
    (void)state;
    cli_result r = CLI(NULL, "report", "/nowhere");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "/nowhere");
    cli_free(&r);
    r = CLI(NULL, "report", dir, "--expected", "/nowhere.csv", "--no-write");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "/nowhere.csv");
    cli_free(&r);
    r = CLI(NULL, "report", dir, "--format", "pdf");
    assert_int_equal(r.code, 2);
    cli_has(r.err, "terminal");
    cli_free(&r);
    r = CLI(NULL, "report");
    assert_int_equal(r.code, 2);
    cli_free(&r);
}

/* paper/build says what is missing instead of failing somewhere in LaTeX. */
static void paper_without_latex(void **state) {
    (void)state;
    char build[LB_TEST_PATH], command[6 * LB_TEST_PATH], said[2000];
    lb_test_fixture("paper/build", build);
    /* A PATH with the shell's own tools and nothing else. */
    snprintf(command, sizeof command,
             "mkdir -p '%s/bin' && for t in sh dirname mktemp rm; do ln -sf \"$(command -v $t)\" '%s/bin/'; done; "
             "PATH='%s/bin' '%s' '%s' 2>&1",
             dir, dir, dir, build, dir);
    assert_int_not_equal(cli_shell(command, said, sizeof said), 0);
    cli_has(said, "latexmk");
    cli_has(said, "apt-get install");
}

/* What the program prints on a terminal of so many columns. */
static char *on_terminal(int columns) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    struct winsize w = {.ws_row = 24, .ws_col = (unsigned short)columns};
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &w), 0);
    const char *build = getenv("BUILD");
    char *path = lb_fs_join(build && *build ? build : "build/release", "lowbit");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(slave, STDOUT_FILENO);
        dup2(slave, STDERR_FILENO);
        execl(path, path, "report", dir, "--no-write", (char *)NULL);
        _exit(127);
    }
    close(slave);
    lb_str out = {0};
    char buffer[512];
    for (ssize_t n; (n = read(master, buffer, sizeof buffer)) > 0;) lb_str_add_bytes(&out, buffer, (size_t)n);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(master);
    lb_free(path);
    assert_ok(lb_str_check(&out));
    return out.s;
}

/* Rows of tables, and every line of running text, are as wide as the terminal at most. */
static void fits_the_terminal(void **state) {
    (void)state;
    char *narrow = on_terminal(70), *wide = on_terminal(250);
    cli_has(wide, "seeds  sd ln PPL");
    cli_has(narrow, "sd ln PPL");
    size_t most = 0;
    for (char *line = strtok(wide, "\r\n"); line; line = strtok(NULL, "\r\n"))
        if (strstr(line, "PPL")) most = lb_text_width(line);
    assert_true(most > 0);
    for (char *line = strtok(narrow, "\r\n"); line; line = strtok(NULL, "\r\n"))
        if (lb_text_width(line) > 70 && !strstr(line, "perplexity on"))
            fail_msg("%zu columns: %s", lb_text_width(line), line);
    lb_free(narrow);
    lb_free(wide);
}

/* Stand-ins that note how they were called: a results folder can neither run something through latexmk's own files nor
 * have LaTeX read or write elsewhere. */
static void paper_in_a_folder_of_its_own(void **state) {
    (void)state;
    static const char latexmk[] =
        "#!/bin/sh\n{ pwd; echo \"$@\"; echo $openin_any$openout_any$shell_escape; ls -A . plots; } "
        "> \"$NOTES\"\necho %PDF-made > report.pdf\n";
    char build[LB_TEST_PATH], notes[LB_TEST_PATH], command[8 * LB_TEST_PATH], said[4000];
    char *bin = lb_fs_join(dir, "../bin"), *from = lb_fs_join(dir, "../foreign"), *tool = lb_fs_join(bin, "latexmk");
    lb_test_fixture("paper/build", build);
    assert_ok(lb_fs_mkdirs(bin));
    assert_ok(lb_fs_write_atomic(tool, latexmk, sizeof latexmk - 1));
    snprintf(notes, sizeof notes, "%s/notes", bin);
    snprintf(
        command, sizeof command,
        "cd '%s' && chmod 755 latexmk && for t in pdflatex bibtex kpsewhich; do printf '#!/bin/sh\\n' > $t; chmod 755 "
        "$t; done; mkdir -p '%s/report/plots' && cd '%s/report' && touch body.tex latexmkrc .latexmkrc refs.bib x.tex "
        "plots/a.pdf plots/a.gp && NOTES='%s' PATH='%s':\"$PATH\" '%s' '%s' 2>&1 && cat report.pdf && ls",
        bin, from, from, notes, bin, build, from);
    if (cli_shell(command, said, sizeof said) != 0) fail_msg("%s", said);
    cli_has(said, "%PDF-made");
    cli_has_not(said, "report.pdf.tmp");
    char *noted = NULL;
    assert_ok(lb_fs_read(notes, &noted, NULL));
    cli_has_not(noted, from);
    cli_has(noted, "-norc ");
    cli_has(noted, "-no-shell-escape");
    cli_has(noted, "ppf\n");
    cli_has(noted, "body.tex\nplots\nrefs.bib\nreport.tex\n\nplots:\na.pdf\n");
    cli_has_not(noted, "latexmkrc");
    lb_free(noted);
    /* What only leads to a file is not taken. */
    static const char *const name[] = {"body.tex", "plots/a.pdf"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(
            command, sizeof command,
            "cd '%s/report' && mv %s kept && ln -s /etc/hostname %s && NOTES='%s' PATH='%s':\"$PATH\" '%s' '%s' 2>&1; "
            "code=$?; rm %s; mv kept %s; exit $code",
            from, name[i], name[i], notes, bin, build, from, name[i], name[i]);
        assert_int_not_equal(cli_shell(command, said, sizeof said), 0);
        cli_has(said, "is a link or no plain file");
    }
    lb_free(bin);
    lb_free(from);
    lb_free(tool);
}

/* With LaTeX: any name becomes a document. */
static void paper_with_latex(void **state) {
    (void)state;
    char build[LB_TEST_PATH], command[4 * LB_TEST_PATH], said[2000];
    if (system("command -v latexmk > /dev/null && kpsewhich lmodern.sty > /dev/null") != 0) skip();
    char *odd = lb_fs_join(dir, "../odd");
    assert_non_null(odd);
    assert_ok(lb_fs_mkdirs(odd));
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, odd);
    r->name = "\xe6\xb5\x8b_%&#~^\\ {x} \xc4\xa7\xc3\xa9 \xf0\x9f\x98\x80";
    r->model_note = "$a$ <b> \xce\xa9";
    assert_ok(lb_report_write(r, NULL, NULL, NULL));
    synthetic_results_free(r);
    lb_test_fixture("paper/build", build);
    snprintf(command, sizeof command, "'%s' '%s' 2>&1 && head -c 5 '%s/report/report.pdf'", build, odd, odd);
    if (cli_shell(command, said, sizeof said) != 0) fail_msg("%s", said);
    cli_has(said, "%PDF-");
    lb_free(odd);
}

static void put(const char *leaf) {
    char *path = lb_fs_join(dir, leaf), *parent = path ? lb_fs_dirname(path) : NULL;
    assert_non_null(parent);
    assert_ok(lb_fs_mkdirs(parent));
    assert_ok(lb_fs_write_atomic(path, "x", 1));
    lb_free(parent);
    lb_free(path);
}

/* What killed reports left goes with the next one: of processes that are no more, and no link is followed. */
static void leftovers_go(void **state) {
    (void)state;
    cli_quick_figures();
    /* No process has this number: the largest that Linux gives has seven digits. */
    static const char *const left[] = {"cells.csv.tmp.999999999",
                                       "expected.csv.tmp.999999999",
                                       "report/index.html.tmp.999999999",
                                       "report/report.md.tmp.999999999",
                                       "report/tables/main.csv.tmp.999999999",
                                       "report/tables/layers-a.tex.tmp.999999999",
                                       "report/plots/front.gp.tmp.999999999",
                                       "report/plots/old.tmp.svg",
                                       "report/plots/old.tmp.999999999.pdf"};
    static const char *const stays[] = {
        "a.h5.tmp.999999999",         "mine.csv.tmp.999999999", "report/notes.tmp.999999999", "report/index.html.tmp.x",
        "report/tables/main.csv.tmp", "report/plots/mine.svg",  "report/plots/a.tmp.x.svg"};
    enum { LEFT = sizeof left / sizeof left[0], STAYS = sizeof stays / sizeof stays[0] };
    char alive[64], picture[64];
    snprintf(alive, sizeof alive, "report/index.html.tmp.%ld", (long)getpid());
    snprintf(picture, sizeof picture, "report/plots/a.tmp.%ld.svg", (long)getpid());
    for (int i = 0; i < LEFT; i++) put(left[i]);
    for (int i = 0; i < STAYS; i++) put(stays[i]);
    put(alive);
    put(picture);
    char *link = lb_fs_join(dir, "report/tables/sizes.md.tmp.999999999");
    assert_non_null(link);
    assert_int_equal(symlink("../../a.h5.tmp.999999999", link), 0);
    cli_result r = CLI(NULL, "report", dir);
    assert_int_equal(r.code, 0);
    cli_free(&r);
    for (int i = 0; i < LEFT; i++)
        if (there(left[i])) fail_msg("%s is still there", left[i]);
    for (int i = 0; i < STAYS; i++)
        if (!there(stays[i])) fail_msg("%s is gone", stays[i]);
    assert_true(there(alive) && there(picture));
    assert_false(lb_fs_is_link(link));
    lb_free(link);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper_with_latex), /* with whole figures */
        cmocka_unit_test(prints_the_stored_tables),
        cmocka_unit_test(prints_layers),
        cmocka_unit_test(fits_the_terminal),
        cmocka_unit_test(writes_everything),
        cmocka_unit_test(reports_wait_for_each_other),
        cmocka_unit_test(leftovers_go),
        cmocka_unit_test(compares_with_expected),
        cmocka_unit_test(refuses),
        cmocka_unit_test(paper_without_latex),
        cmocka_unit_test(paper_in_a_folder_of_its_own),
    };
    return cmocka_run_group_tests_name("lowbit report", tests, setup, NULL);
}

/* Tables for a paper: floats and bare tabulars that need booktabs alone, or siunitx, fit where they are meant to stand
 * and compile, with the columns that were asked for, their numbers' points below each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/sweep_kit.h"

static int setup(void **state) {
    if (make_model(state) != 0) return -1;
    put_file("seeds.yaml",
             "name: seeds\nmodel: tiny\nthreads: 1\ncalibration: {text: cal.txt, samples: 8, length: 64}\n"
             "eval:\n  - {text: eval.txt, name: \"50 % of_eval & [more]\", protocol: W2-64, windows: 6}\n"
             "  - {text: eval.txt, name: short, protocol: W2-32, windows: 4}\n"
             "quantize:\n  - {method: rtn, bits: [2, 3]}\n"
             "  - {method: gptq, bits: 3, act_order: [true, false], label: \"a name of many words that no column has "
             "room for\"}\n"
             "  - {method: finetune, steps: 1, batch: 1, length: 32, warmup: 0, seed: [0, 1, 2]}\n");
    cli_options o = here();
    cli_result r = CLI(&o, "run", "seeds.yaml");
    if (r.code) print_error("%s", r.err);
    int code = r.code;
    cli_free(&r);
    return code;
}

#define LATEX(...) CLI(&o, "report", "results/seeds", "--no-write", "--format", "latex", __VA_ARGS__)

static int count(const char *text, const char *part) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part)) n++;
    return n;
}

/* Sets it with pdflatex, which may read nothing else and start nothing; LaTeX's complaints end the test. */
static void typeset(const char *class_options, const char *packages, const char *before, const char *table,
                    const char *after) {
    static const char *const words[] = {"Overfull", "\n!"};
    if (LB_TEST_SANITIZED) return; /* they see nothing of LaTeX */
    lb_str doc = {0};
    char command[2 * LB_TEST_PATH], log[65536], path[LB_TEST_PATH];
    lb_str_add(&doc, "\\documentclass[%s]{article}\n\\usepackage{%s}\n\\begin{document}\n%s%s%s\\end{document}\n",
               class_options, packages, before, table, after);
    assert_ok(lb_str_check(&doc));
    put_file("doc.tex", doc.s);
    path_in(path, home, "doc.tex");
    snprintf(command, sizeof command,
             "cd '%s' && timeout 60 pdflatex -no-shell-escape -interaction=nonstopmode -halt-on-error doc.tex", home);
    int code = cli_shell(command, log, sizeof log);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (code || strstr(log, words[i])) fail_msg("%s\n%s\n%s", words[i], doc.s, log);
    lb_str_free(&doc);
}

static bool has_latex(const char *package) {
    char command[128], out[256];
    snprintf(command, sizeof command, "command -v pdflatex && kpsewhich %s.sty", package);
    return cli_shell(command, out, sizeof out) == 0;
}

/* Every form, in the document that it is for, with and without marks and chosen columns. */
static void each_form(const char *prefix, const char *packages) {
    static const struct {
        const char *form, *document, *before, *after;
    } of[] = {
        {"float", "", "", ""},
        {"column", "twocolumn", "", ""},
        {"wide", "twocolumn", "", ""},
        {"tabular", "", "\\begin{table}\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}\n", "\\end{table}\n"}};
    cli_options o = here();
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        char form[64];
        bool plain = strcmp(of[i].form, "float") == 0 && prefix[0];
        snprintf(form, sizeof form, "%s%s", prefix, plain ? "" : of[i].form);
        if (plain) form[strlen(form) - 1] = 0; /* "siunitx-" */
        cli_result r = LATEX("--latex", form);
        cli_result marks = LATEX("--latex", form, "--significant", "--adjust", "holm");
        cli_result chosen = LATEX("--latex", form, "--columns", "bits,ppl,delta");
        cli_result compared = LATEX("--latex", form, "--compare", "rtn 3b row");
        const cli_result *all[] = {&r, &marks, &chosen, &compared};
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(all[k]->code, 0);
            typeset(of[i].document, packages, of[i].before, all[k]->out, of[i].after);
        }
        cli_free(&r), cli_free(&marks), cli_free(&chosen), cli_free(&compared);
    }
}

static void compiles_and_fits(void **state) {
    (void)state;
    if (!has_latex("booktabs")) skip();
    each_form("", "booktabs");
}

static void compiles_with_siunitx(void **state) {
    (void)state;
    if (!has_latex("booktabs") || !has_latex("siunitx")) skip();
    each_form("siunitx-", "booktabs,siunitx");
}

static void forms(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r = LATEX("--latex", "float");
    assert_int_equal(count(r.out, "\\begin{table}["), 2); /* an evaluation each */
    assert_int_equal(count(r.out, "\\caption{"), 2);
    assert_int_equal(count(r.out, "\\begin{tabular}"), 2); /* no panels */
    cli_has(r.out, "50 \\% of\\_\\allowbreak{}eval \\& {[}more{]}");
    cli_has_not(r.out, "itemize"); /* the table and nothing else */
    cli_has_not(r.out, "flags");
    cli_free(&r);
    r = LATEX("--latex", "wide");
    assert_int_equal(count(r.out, "\\begin{table*}["), 2);
    cli_free(&r);
    r = LATEX("--latex", "tabular");
    cli_has_not(r.out, "\\begin{table}");
    cli_has_not(r.out, "\\caption");
    assert_int_equal(count(r.out, "\\begin{tabular}"), 2);
    cli_free(&r);
    r = LATEX("--latex", "column"); /* all rows have that group: it is in the caption and no column */
    cli_has(r.out, "; group row.");
    cli_has_not(r.out, " & group");
    cli_free(&r);
    r = LATEX("--latex", "column", "--significant"); /* the difference stays where its interval has no room */
    cli_has(r.out, "{$\\Delta$ ln PPL}");
    cli_has_not(r.out, "95 \\%{]}");
    cli_has(r.out, "*: differs from the baseline");
    cli_free(&r);
}

/* Each number takes the two sides of its point, an interval and a +- as many; what is missing spans them. */
static void numbers_align(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r =
        LATEX("--latex", "tabular", "--columns", "label,ppl,delta,bits", "--where", "method = rtn and bits = 3");
    cli_has(r.out, "{@{}lr@{}l@{\\;}r@{}lr@{}l@{\\;}r@{}l@{\\;}r@{}lr@{}}");
    cli_has(r.out,
            "label & \\multicolumn{4}{c}{PPL $\\pm$ se} & \\multicolumn{6}{c}{$\\Delta$ ln PPL {[}95 \\%{]}} & bits");
    cli_has(r.out, " & \\multicolumn{6}{c}{--} & --");
    const char *row = strstr(r.out, "rtn 3b row & ");
    assert_non_null(row);
    /* label, 2 x 2, 3 x 2, bits: eleven ends of a cell, or what ends the row */
    size_t n = strcspn(row, "\n");
    char line[512];
    snprintf(line, sizeof line, "%.*s", (int)n, row);
    assert_int_equal(count(line, " & "), 11);
    cli_has(line, " & $\\pm$\\,");
    cli_has(line, "{[}");
    cli_has(line, "{]} & 3 \\tabularnewline");
    cli_free(&r);
}

/* A column for each number, whose format is made of what the column has; what is no number is in braces. */
static void siunitx_aligns(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r = LATEX("--latex", "siunitx-tabular", "--columns", "label,delta,b/w,output_rel_mse_original",
                         "--where", "method = rtn and bits = 3 and protocol = W2-64");
    cli_has(r.out,
            "% needs \\usepackage{booktabs,siunitx} (Debian: texlive-latex-recommended, texlive-science); about ");
    cli_has(r.out, "\\sisetup{retain-explicit-plus,group-minimum-digits=20,table-align-text-post=false}\n\\begin{"
                   "tabular}{@{}lS[table-format=+1.");
    cli_has(r.out, ",table-space-text-pre={{[}},table-space-text-post={,}]@{\\;}S[table-format=+1.");
    cli_has(r.out, ",table-space-text-post={{]}}]S[table-format=1.3]S[table-format=1.");
    cli_has(r.out, "label & \\multicolumn{3}{c}{$\\Delta$ ln PPL {[}95 \\%{]}} & {b/w} & {rel. MSE} \\\\\n");
    cli_has(r.out, "none & \\multicolumn{3}{c}{--} & {--} & {--} \\tabularnewline\n");
    const char *row = strstr(r.out, "rtn 3b row & ");
    double mid, low, high, bits;
    assert_non_null(row);
    assert_int_equal(sscanf(row, "rtn 3b row & %lf & {{[}}%lf{,} & %lf{{]}} & %lf & ", &mid, &low, &high, &bits), 4);
    assert_true(low <= mid && mid <= high && bits > 3);
    cli_free(&r);
    /* +- stands with its number; other forms are floats, as without. */
    r = LATEX("--latex", "siunitx-wide", "--where", "method = rtn and protocol = W2-64");
    cli_has(r.out, "\\begin{table*}[");
    cli_has(r.out, "table-space-text-pre={$\\pm$\\,}]");
    cli_has(r.out, " & {$\\pm$\\,}");
    cli_free(&r);
}

/* Columns that were asked for are there, whether they fit or not; then the file says so. */
static void columns_that_were_chosen(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r = LATEX("--latex", "column", "--columns", "label,method,calibration,ppl,delta,kl,model_sha256");
    cli_has(r.out, "% wider than 219 pt: choose fewer --columns");
    cli_has(r.out, "model\\_\\allowbreak{}sha256");
    cli_free(&r);
    r = LATEX("--latex", "column");
    cli_has_not(r.out, "wider than");
    cli_free(&r);
}

/* The report's folder has both, the page's own tables stay as they are. */
static void files(void **state) {
    (void)state;
    static const char *const leaf[] = {"main.tex", "main.tabular.tex"};
    cli_options o = here();
    for (int i = 0; i < 2; i++) {
        char path[LB_TEST_PATH], rel[128];
        char *text;
        size_t n;
        snprintf(rel, sizeof rel, "results/seeds/report/tables/%s", leaf[i]);
        path_in(path, home, rel);
        assert_ok(lb_fs_read(path, &text, &n));
        cli_result r = LATEX("--latex", i ? "tabular" : "float");
        assert_string_equal(r.out, text);
        cli_free(&r);
        lb_free(text);
    }
    cli_result r = CLI(&o, "report", "results/seeds", "--latex", "booktabs");
    assert_true(r.code != 0);
    cli_has(r.err, "must be float, wide, column, tabular, siunitx, siunitx-wide, siunitx-column or siunitx-tabular");
    cli_free(&r);
}

/* What is published beside ours: a part of the report's body, and a file in the forms of the others. */
static void literature(void **state) {
    (void)state;
    static const char body_packages[] = "booktabs,longtable}\n\\usepackage[a4paper,margin=18mm]{geometry";
    char command[2 * LB_TEST_PATH], out[256], path[LB_TEST_PATH], *text, *table;
    size_t n;
    snprintf(command, sizeof command, "cp -r '%s/tiny' '%s/opt-125m'", home, home);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    put_file("papers.yaml", "model: ./opt-125m\nthreads: 1\nplots: {figures: [front]}\n"
                            "eval: {text: eval.txt, protocol: W2-64, windows: 2}\n");
    put_file("expected.csv",
             "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source,place,trust\n"
             "none,model=opt-125m,wikitext-2,W2-2048,,ppl,27.65,0.005,absolute,GPTQ (arXiv:2210.17323),T3,primary\n");
    cli_result r = RAN(0, "run", "papers.yaml");
    cli_free(&r);
    path_in(path, home, "results/papers/report/body.tex");
    assert_ok(lb_fs_read(path, &text, &n));
    assert_non_null(strstr(text, "Literature}"));
    assert_non_null(table = strstr(text, "{\\footnotesize\\setlength{\\tabcolsep}{4pt}\n\\begin{longtable}"));
    assert_non_null(strstr(table, "W2-2048 & SparseGPT & 50\\%"));
    char *end = strstr(table, "\\end{longtable}}");
    assert_non_null(end);
    end[strlen("\\end{longtable}}")] = 0;
    if (has_latex("booktabs") && has_latex("longtable")) typeset("", body_packages, "", table, "");
    lb_free(text);
    r = RAN(0, "report", "results/papers", "--latex", "siunitx-tabular");
    cli_free(&r);
    path_in(path, home, "results/papers/report/tables/literature.tex");
    assert_ok(lb_fs_read(path, &text, &n));
    assert_non_null(strstr(text, "S[table-format="));
    if (has_latex("booktabs") && has_latex("siunitx"))
        typeset("", "booktabs,siunitx}\n\\usepackage[paperheight=200cm,textheight=190cm]{geometry",
                "\\noindent{\\footnotesize\\setlength{\\tabcolsep}{3pt}\n", text, "}\n");
    lb_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(numbers_align),
        cmocka_unit_test(columns_that_were_chosen),
        cmocka_unit_test(files),
        cmocka_unit_test(literature),
        cmocka_unit_test(compiles_and_fits),
        cmocka_unit_test(siunitx_aligns),
        cmocka_unit_test(compiles_with_siunitx),
    };
    return cmocka_run_group_tests_name("latex", tests, setup, clean);
}

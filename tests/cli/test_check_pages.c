/* tools/check-pages: each fault that it is to find, in a page or figure that has it and no other, and nothing in those
 * that have none. Skipped where there is no browser, which with CI=true is a failure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "report/parts.h"
#include "support/run_cli.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static char tool[LB_TEST_PATH], *said;
static const char *home; /* of all folders */
static int status;

static void put(const char *name, const char *leaf, const char *text) {
    char path[LB_TEST_PATH + 128];
    snprintf(path, sizeof path, "%s/%s/report/%s", home, name, leaf);
    char *dir = lb_fs_dirname(path);
    assert_ok(lb_fs_mkdirs(dir));
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    lb_free(dir);
}

#define PAGE(body) "<!DOCTYPE html><meta charset=\"utf-8\"><style>body{margin:8px;font:16px sans-serif}</style>" body
/* Sorts by what `value` says of a cell td, with `less` of two of those, x and y. */
#define TABLE(rows, value, less)                                                                                       \
    PAGE("<div class=\"table\"><table id=\"main\"><thead><tr><th class=\"n\">PPL</th></tr></thead><tbody>" rows        \
         "</tbody></table></div><script>\n"                                                                            \
         "const th=document.querySelector('th'),body=document.querySelector('tbody'),first=[...body.rows];\n"          \
         "th.setAttribute('aria-sort','none');\n"                                                                      \
         "const value=(td)=>" value ",less=(x,y)=>" less ";\n"                                                         \
         "function sort(){const was=th.getAttribute('aria-sort');\n"                                                   \
         "const now=was==='none'?'ascending':was==='ascending'?'descending':'none',s=now==='ascending'?1:-1;\n"        \
         "th.setAttribute('aria-sort',now);\n"                                                                         \
         "const rows=now==='none'?first:[...first].sort((a,b)=>s*less(value(a.cells[0]),value(b.cells[0])));\n"        \
         "rows.forEach((r)=>body.appendChild(r));}\n"                                                                  \
         "th.addEventListener('click',sort);th.addEventListener('keydown',sort);</script>")
#define ROW(exact, text) "<tr><td class=\"n\" data-v=\"" exact "\">" text "</td></tr>"
#define EXACT            "td.getAttribute('data-v')||td.textContent"

#define FIGURE(parts)                                                                                                  \
    "<?xml version=\"1.0\"?>\n<svg width=\"400\" height=\"300\" viewBox=\"0 0 400 300\" "                              \
    "xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" font-family=\"sans-serif\" "    \
    "font-size=\"13\"><defs><circle id=\"gpPt0\" r=\"1\" fill=\"currentColor\"/><path id=\"gpPt1\" "                   \
    "d=\"M-1,-1h2v2h-2z\" fill=\"currentColor\"/></defs><rect width=\"400\" height=\"300\" fill=\"#ffffff\"/>" parts   \
    "</svg>\n"
#define SERIES(n, y, name, colour, dash, marker)                                                                       \
    "<g id=\"gnuplot_plot_" n "\"><g transform=\"translate(300," y ")\"><text>" name                                   \
    "</text></g><path stroke=\"" colour "\" stroke-dasharray=\"" dash "\" fill=\"none\" d=\"M20," y                    \
    " h200\"/><use xlink:href=\"#" marker "\" transform=\"translate(20," y ") scale(5)\" color=\"" colour "\"/></g>"
#define BAR(n, x, y, name, colour)                                                                                     \
    "<g id=\"gnuplot_plot_" n "\"><text x=\"300\" y=\"" y "\">" name "</text><polygon fill=\"" colour "\" points=\"" x \
    ",200 " x ",220 " x "0,220 " x "0,200\"/></g>"

/* What is found stands behind the file's name, with or without " at WIDTH". */
static const struct {
    const char *name, *leaf, *text, *want;
} bad[] = {
    {"lines", "index.html", PAGE("<p>a first line</p><p style=\"margin-top:-30px\">a second line</p>"),
     " at 360: overlap: a first line / a second line"},
    {"cut", "index.html",
     PAGE("<div style=\"width:90px;overflow:hidden;white-space:nowrap\">words that are longer than their box</div>"),
     " at 800: clipped: words that are longer"},
    {"wide", "index.html", PAGE("<p style=\"width:500px\">a line that a phone has no room for, but others have</p>"),
     " at 360: the page scrolls sideways by "},
    {"faint", "index.html", PAGE("<p style=\"color:#999999\">hard to read</p>"), " at 800: contrast 2.8 of 4.5, light"},
    {"night", "index.html",
     PAGE("<style>@media (prefers-color-scheme:dark){body{color:#555;background:#111}}</style><p>dark on dark</p>"),
     " at 800: contrast 2.5 of 4.5, dark: dark on dark"},
    {"words", "index.html", TABLE(ROW("9.5", "9.5") ROW("10.5", "10.5") ROW("100.5", "100.5"), EXACT, "x<y?-1:x>y?1:0"),
     ": does not sort: main, column PPL / 100.5 before 9.5"},
    {"shown", "index.html",
     TABLE(ROW("5.7518", "5.75 &plusmn; 0.1") ROW("5.7512", "5.75 &plusmn; 0.1") ROW("5.2", "5.2"), "td.textContent",
           "parseFloat(x)-parseFloat(y)"),
     ": does not sort: main, column PPL / 5.7518 before 5.7512"},
    {"rounded", "index.html",
     TABLE("<tr><td class=\"n\">5.75 &plusmn; 0.1</td></tr><tr><td class=\"n\">5.9 &plusmn; 0.1</td></tr>", EXACT,
           "parseFloat(x)-parseFloat(y)"),
     ": no exact value: main, column PPL / 5.75"},
    {"still", "index.html", TABLE(ROW("2", "2") ROW("1", "1"), EXACT, "0"),
     ": does not sort: main, column PPL / 2 before 1"},
    {"labels", "plots/x.svg", FIGURE("<text x=\"50\" y=\"50\">gptq 3b row</text><text x=\"90\" y=\"53\">rtn 3b</text>"),
     " at 800: overlap: gptq 3b row / rtn 3b"},
    {"edge", "plots/x.svg", FIGURE("<text x=\"350\" y=\"50\">a label of the axis</text>"), " at 800: clipped by "},
    {"turned", "plots/x.svg",
     FIGURE("<text transform=\"translate(12,90) rotate(-90)\" text-anchor=\"start\">perplexity (log scale)</text>"),
     " at 800: clipped by "},
    {"small", "plots/x.svg", FIGURE("<text x=\"50\" y=\"50\" font-size=\"4\">gptq</text>"),
     " at 800: letters of 4.0 px: gptq"},
    {"map", "plots/x.svg",
     FIGURE("<polygon fill=\"#21918c\" points=\"40,30 120,30 120,60 40,60\"/><text x=\"50\" y=\"50\" fill=\"#ffffff\">"
            "0.25</text>"),
     ": contrast 3."},
    {"series", "plots/x.svg",
     FIGURE(SERIES("1", "50", "rtn", "#0072b2", "none", "gpPt0") SERIES("2", "90", "gptq", "#996644", "none", "gpPt0")),
     ": series fall together in grey: rtn / gptq"},
    {"bars", "plots/x.svg", FIGURE(BAR("1", "5", "50", "codes", "#0072b2") BAR("2", "50", "90", "scales", "#996644")),
     ": neighbours fall together in grey: codes / scales"},
};
enum { BAD = sizeof bad / sizeof bad[0] };

static const struct {
    const char *name, *leaf, *text;
} good[] = {
    {"plain", "index.html",
     PAGE("<div style=\"overflow-x:auto;white-space:nowrap\">a line that is far too long for a telephone, but that one "
          "can move</div><p>light and dark</p>")},
    {"sorts", "index.html",
     TABLE(ROW("9.51", "9.5 &plusmn; 1") ROW("10.5", "10.5") ROW("9.52", "9.5 &plusmn; 1"), EXACT, "x-y")},
    /* Turned texts whose upright boxes would overlap; series of other dashes, of other markers, of other greys. */
    {"drawn", "plots/x.svg",
     FIGURE("<text transform=\"translate(40,200) rotate(-45)\">a label</text>"
            "<text transform=\"translate(62,200) rotate(-45)\">a label too</text>" SERIES(
                "1", "50", "rtn", "#0072b2", "none", "gpPt0") SERIES("2", "90", "gptq", "#996644", "none", "gpPt1")
                SERIES("3", "130", "nf4", "#996644", "6,6", "gpPt0")
                    SERIES("4", "170", "qat", "#56b4e9", "none", "gpPt0"))},
    {"stacked", "plots/x.svg",
     FIGURE(BAR("1", "5", "50", "codes", "#0072b2") BAR("2", "50", "90", "scales", "#56b4e9"))},
};
enum { GOOD = sizeof good / sizeof good[0] };

/* A report as it is written, with the program's own style, script and policy. */
static char *whole_page(void) {
    lb_arena *a;
    lb_report_view v;
    lb_plot_list none = {.n = 0};
    lb_str s = {0};
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/x");
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    assert_ok(lb_report_page(&v, &none, NULL, LB_TABLE_HTML, &s));
    lb_arena_free(a);
    synthetic_results_free(r);
    return s.s;
}

/* Of these folders (a pattern of the shell), in what is said and the status. */
static void check(const char *folders) {
    enum { ROOM = 1 << 20 };
    char command[3 * LB_TEST_PATH];
    if (!said) said = lb_alloc(ROOM, 1);
    assert_non_null(said);
    snprintf(command, sizeof command, "cd '%s' && '%s' %s 2>&1", home, tool, folders);
    status = cli_shell(command, said, ROOM);
}

static int setup(void **state) {
    (void)state;
    lb_test_fixture("tools/check-pages", tool);
    home = lb_test_tmpdir();
    for (size_t i = 0; i < BAD; i++) {
        char name[64];
        snprintf(name, sizeof name, "bad-%s", bad[i].name);
        put(name, bad[i].leaf, bad[i].text);
    }
    for (size_t i = 0; i < GOOD; i++) {
        char name[64];
        snprintf(name, sizeof name, "good-%s", good[i].name);
        put(name, good[i].leaf, good[i].text);
    }
    char *page = whole_page();
    put("good-whole", "index.html", page);
    lb_free(page);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_free(said);
    return 0;
}

static void need_browser(void) {
    check("--browser");
    if (status == 0) return;
    const char *ci = getenv("CI");
    if (ci && strcmp(ci, "true") == 0) fail_msg("%s", said);
    skip();
}

static void finds_each_fault(void **state) {
    (void)state;
    need_browser();
    check("bad-*");
    if (status != 1) fail_msg("exit %d: %s", status, said);
    for (size_t i = 0; i < BAD; i++) {
        char at[128];
        bool found = false, others = false;
        snprintf(at, sizeof at, "bad-%s/report/%s", bad[i].name, bad[i].leaf);
        for (const char *p = said; (p = strstr(p, at)); p++) {
            char line[512];
            snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n"), p);
            found = found || strstr(line, bad[i].want);
            /* no other kind of fault: the words before the texts and numbers agree */
            const char *what = strstr(line, ": "), *want = strstr(bad[i].want, ": ");
            others = others || (want && strncmp(what, want, 6) != 0);
        }
        if (!found || others) fail_msg("%s: expected '%s' alone in: %s", at, bad[i].want, said);
    }
}

/* A page that scrolls on a phone does not where there is room. */
static void widths_are_told_apart(void **state) {
    (void)state;
    need_browser();
    check("bad-wide");
    assert_int_equal(status, 1);
    cli_has(said, " at 360: the page scrolls sideways");
    cli_has_not(said, " at 800");
    cli_has_not(said, " at 1400");
}

static void leaves_the_good_alone(void **state) {
    (void)state;
    need_browser();
    check("good-*");
    if (status != 0) fail_msg("exit %d: %s", status, said);
    cli_has(said, "nothing found");
}

static void says_what_it_cannot_do(void **state) {
    (void)state;
    check("");
    assert_int_equal(status, 2);
    cli_has(said, "tools/check-pages DIR...");
    need_browser();
    check("good-plain nowhere");
    assert_int_equal(status, 2);
    cli_has(said, "nowhere: has no report/index.html");
}

/* No browser at all, and one that shows nothing. */
static void without_a_browser(void **state) {
    (void)state;
    char command[3 * LB_TEST_PATH], out[4000];
    snprintf(command, sizeof command,
             "cd '%s' && mkdir -p bin && ln -sf \"$(command -v dirname)\" \"$(command -v sed)\" bin; "
             "PATH=bin CHROMIUM= /bin/sh '%s' good-plain 2>&1",
             home, tool);
    assert_int_equal(cli_shell(command, out, sizeof out), 2);
    cli_has(out, "no browser: apt-get install chromium-headless-shell");
    snprintf(command, sizeof command, "cd '%s' && CHROMIUM=true '%s' good-plain 2>&1", home, tool);
    assert_int_equal(cli_shell(command, out, sizeof out), 2);
    cli_has(out, "did not come to the end");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_fault),      cmocka_unit_test(widths_are_told_apart),
        cmocka_unit_test(leaves_the_good_alone), cmocka_unit_test(says_what_it_cannot_do),
        cmocka_unit_test(without_a_browser),
    };
    return cmocka_run_group_tests_name("tools/check-pages", tests, setup, teardown);
}

/* index.html: one style and one script inside, which alone may run; cells that sort by what is exact. */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "report/html.h"
#include "report/parts.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_str page_of_results(const lb_results *r, lb_table_format f) {
    lb_arena *a;
    lb_report_view v;
    lb_plot_list none = {.n = 0};
    lb_str s = {0};
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    assert_ok(lb_report_page(&v, &none, NULL, f, &s));
    lb_arena_free(a);
    return s;
}

static lb_str page_of(synthetic_kind kind, const char *label) {
    lb_results *r = synthetic_results_new(kind, "results/x");
    if (label) r->record[1].label = label;
    lb_str s = page_of_results(r, LB_TABLE_HTML);
    synthetic_results_free(r);
    return s;
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part)) n++;
    return n;
}

/* The policy has the hash of the one script that stands there. */
static void policy(void **state) {
    (void)state;
    lb_str s = page_of(SYNTHETIC_SWEEP, NULL), want = {0};
    const char *script = strstr(s.s, "<script>") + 8;
    size_t n = (size_t)(strstr(script, "</script>") - script);
    uint8_t digest[LB_HASH_BYTES];
    assert_int_equal(count(s.s, "<script"), 1);
    assert_ok(lb_hash_digest(script, n, digest));
    lb_str_add(&want, "script-src 'sha256-");
    lb_html_base64(&want, digest, sizeof digest);
    lb_str_add(&want, "'");
    assert_ok(lb_str_check(&want));
    assert_non_null(strstr(s.s, want.s));
    assert_non_null(strstr(s.s, "default-src 'none'"));
    assert_true(strstr(s.s, "Content-Security-Policy") < strstr(s.s, "<style>"));
    assert_int_equal(count(s.s, " src=\"http"), 0);
    assert_int_equal(count(s.s, "@import") + count(s.s, "url("), 0);
    assert_non_null(strstr(s.s, "prefers-color-scheme:dark"));
    lb_str_free(&s);
    lb_str_free(&want);
}

static void hostile_label(void **state) {
    (void)state;
    lb_str s = page_of(SYNTHETIC_SINGLE, "\"><script>alert(1)</script>");
    assert_int_equal(count(s.s, "<script"), 1);
    assert_non_null(strstr(s.s, "&lt;script&gt;"));
    lb_str_free(&s);
}

/* Behind the name of each row, one a cell of it, in every table that has the row. */
static void commands(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "/somebody/keeps/x");
    lb_str s = page_of_results(r, LB_TABLE_HTML), command = {0};
    size_t evaluations = 0;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        command.len = 0;
        lb_str_add(&command, "<code>lowbit run &#39;x/%s.h5&#39;</code>", c->stem);
        assert_ok(lb_str_check(&command));
        size_t want = c->state == LB_CELL_DONE ? (size_t)c->evals : 0;
        if (count(s.s, command.s) != want) fail_msg("%s: %zu, not %zu", command.s, count(s.s, command.s), want);
        evaluations += want;
    }
    assert_int_equal(count(s.s, "<code>"), evaluations);
    assert_int_equal(count(s.s, "lowbit run"), evaluations);
    assert_null(strstr(s.s, "somebody"));
    /* in the first column, which is sorted by the name alone */
    assert_non_null(strstr(s.s, "<td data-v=\"none (baseline)\">none (baseline) <details class=\"again\"><summary>again"
                                "</summary><code>"));
    lb_str_free(&s);
    lb_str_free(&command);
    synthetic_results_free(r);
}

/* A command is one line of a file's name between quotes, whatever that holds; what a cell is called is in none. */
static void hostile_names(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, "results/x");
    r->record[1].label = "x\nlowbit run 'evil' $(evil) `evil` ; evil";
    r->record[1].stem = "a'; evil\nb\"<c>";
    lb_str s = page_of_results(r, LB_TABLE_HTML);
    assert_non_null(
        strstr(s.s, "<code>lowbit run &#39;results/x/a&#39;\\&#39;&#39;; evil?b&quot;&lt;c&gt;.h5&#39;</code>"));
    assert_int_equal(count(s.s, "<code>lowbit run &#39;results/x/"), count(s.s, "<code>"));
    lb_str_free(&s);
    /* In Markdown labels stand alone, cleaned. */
    s = page_of_results(r, LB_TABLE_MARKDOWN);
    assert_non_null(strstr(s.s, "\n# x?lowbit run ?evil? ??evil? ?evil? ? evil\nlowbit run 'results/x/a'\\''; evil?b"));
    assert_int_equal(count(s.s, "\nlowbit run 'results/x/"), 2);
    lb_str_free(&s);
    synthetic_results_free(r);
}

static void exact_values(void **state) {
    (void)state;
    static const lb_table_column col[] = {{.head = "cell", .name = "cell", .key = true},
                                          {.head = "PPL", .name = "ppl", .right = true},
                                          {.head = "n", .name = "n", .right = true}};
    lb_arena *a;
    lb_table *t;
    lb_str s = {0};
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_table_new(a, "t", "title", col, 3, &t));
    lb_table_row(t);
    lb_table_set(t, 0, "gptq", "gptq-bits3");
    lb_table_set(t, 1, "5.75 \xc2\xb1 0.1", "5.7518");
    lb_table_set(t, 2, "3", "3");
    assert_ok(lb_table_render(t, LB_TABLE_HTML, &s));
    assert_non_null(
        strstr(s.s, "<td>gptq</td><td class=\"n\" data-v=\"5.7518\">5.75 \xc2\xb1 0.1</td><td class=\"n\">3</td>"));
    lb_str_free(&s);
    lb_arena_free(a);
}

/* On a phone letters shrink to 8 pixels, and no further. A file that gives no width has no such limit. */
static void least_width_of_a_figure(void **state) {
    (void)state;
    static const struct {
        const char *svg, *want;
    } x[] = {{"<svg \n width=\"754\" height=\"460\"\n><g font-size=\"13.00\">", "\" style=\"min-width:464px\"></div>"},
             {"<svg width=\"500\"><g font-size=\"7.5\">", "\" style=\"min-width:500px\"></div>"},
             {"<svg width=\"500\">", "\" style=\"min-width:500px\"></div>"},
             {"<svg>", "base64,PHN2Zz4=\"></div>"},
             {"<svg width=\"-3\">", "base64,PHN2ZyB3aWR0aD0iLTMiPg==\"></div>"}};
    const char *dir = lb_test_tmpdir();
    char *path = lb_fs_join(dir, "x.svg");
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
        lb_str s = {0};
        assert_ok(lb_fs_write_atomic(path, x[i].svg, strlen(x[i].svg)));
        assert_ok(lb_html_figure(&s, dir, "x", "caption"));
        if (!strstr(s.s, x[i].want)) fail_msg("expected %s in %s", x[i].want, s.s);
        lb_str_free(&s);
    }
    lb_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy),        cmocka_unit_test(hostile_label), cmocka_unit_test(commands),
        cmocka_unit_test(hostile_names), cmocka_unit_test(exact_values),  cmocka_unit_test(least_width_of_a_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

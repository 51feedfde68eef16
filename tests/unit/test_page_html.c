/* index.html: one style and one script inside, which alone may run; cells that sort by what is exact. */
#include <string.h>

#include "base/hash.h"
#include "report/html.h"
#include "report/parts.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_str page_of(synthetic_kind kind, const char *label) {
    lb_arena *a;
    lb_report_view v;
    lb_plot_list none = {.n = 0};
    lb_str s = {0};
    lb_results *r = synthetic_results_new(kind, "results/x");
    if (label) r->record[1].label = label;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    assert_ok(lb_report_page(&v, &none, NULL, LB_TABLE_HTML, &s));
    lb_arena_free(a);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy),
        cmocka_unit_test(hostile_label),
        cmocka_unit_test(exact_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

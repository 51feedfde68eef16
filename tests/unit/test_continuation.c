/* The continuation of a prompt: in a result file and back, refused where it cannot be true, and in the documents of the
 * report, where it is a text of a model and so of nobody that can be trusted. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/parts.h"
#include "result/store.h"
#include "support/synthetic_results.h"

static const char *home;
static int64_t ids[] = {5, 0, 7};

static lb_continuation continuation(const char *prompt, const char *text) {
    return (lb_continuation){prompt, text, "eos", ids, 3, 120.5, 31.25, NAN, NAN, 0};
}

static lb_status there_and_back(lb_record *r, lb_arena *a, lb_record *back) {
    char path[LB_TEST_PATH];
    assert_ok(lb_store_write(home, r));
    snprintf(path, sizeof path, "%s/%s.h5", home, r->stem);
    return lb_store_read(path, a, back);
}

static void in_a_result(void **state) {
    (void)state;
    static const char prompt[] = "Once \"upon\"\na time \xe2\x82\xac", text[] = " there\twas <b>\x01 \xf0\x9f\x8c\x8d";
    lb_results *s = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic/");
    lb_record *r = &s->record[1], back;
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(there_and_back(r, a, &back));
    assert_null(back.continuation.prompt);
    r->continuation = continuation(prompt, text);
    assert_ok(there_and_back(r, a, &back));
    const lb_continuation *c = &back.continuation;
    assert_string_equal(c->prompt, prompt);
    assert_string_equal(c->text, text);
    assert_string_equal(c->ended, "eos");
    assert_int_equal(c->tokens, 3);
    assert_memory_equal(c->token, ids, sizeof ids);
    assert_true(c->prefill == 120.5 && c->decode == 31.25);
    assert_true(isnan(c->temperature) && isnan(c->top_p) && c->seed == 0);
    r->continuation.temperature = 0.7;
    r->continuation.top_p = 0.9;
    r->continuation.seed = 5;
    assert_ok(there_and_back(r, a, &back));
    assert_true(c->temperature == 0.7 && c->top_p == 0.9 && c->seed == 5);
    r->continuation.tokens = 0; /* it ended at once */
    r->continuation.text = "";
    r->continuation.decode = NAN;
    assert_ok(there_and_back(r, a, &back));
    assert_int_equal(c->tokens, 0);
    assert_string_equal(c->text, "");
    assert_true(isnan(c->decode));
    lb_arena_free(a);
    synthetic_results_free(s);
}

static void what_cannot_be(void **state) {
    (void)state;
    lb_results *s = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic/");
    lb_record *r = &s->record[1], back;
    lb_arena *a;
    int64_t bad[] = {5, -1, 7};
    assert_ok(lb_arena_new(0, &a));
    r->continuation = continuation("x", "y");
    r->continuation.token = bad;
    assert_status(LB_E_FORMAT, there_and_back(r, a, &back));
    r->continuation.token = ids;
    r->continuation.decode = INFINITY;
    assert_status(LB_E_FORMAT, there_and_back(r, a, &back));
    r->continuation.decode = -1;
    assert_status(LB_E_FORMAT, there_and_back(r, a, &back));
    static const double drawn[][2] = {{NAN, 0.5}, {0.5, NAN}, {0.5, 0}, {0.5, 1.5}, {-1, 0.5}, {INFINITY, 0.5}};
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        r->continuation = continuation("x", "y");
        r->continuation.temperature = drawn[i][0];
        r->continuation.top_p = drawn[i][1];
        assert_status(LB_E_FORMAT, there_and_back(r, a, &back));
    }
    r->continuation = continuation("x", "y");
    r->continuation.seed = 1; /* of nothing */
    assert_status(LB_E_FORMAT, there_and_back(r, a, &back));
    lb_arena_free(a);
    synthetic_results_free(s);
}

static char *document(const lb_results *r, lb_table_format f) {
    lb_arena *a;
    lb_report_view v;
    lb_str s = {0};
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_report_view_make(a, r, NULL, &v));
    assert_ok(lb_report_page(&v, &(lb_plot_list){.n = 0}, NULL, f, &s));
    lb_arena_free(a);
    return s.s;
}

static void has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no '%s' in %s", part, text);
}

static void in_documents(void **state) {
    (void)state;
    static const char hostile[] = "\n# <script>alert(1)</script> \\end{document} | `x` & $a_b$ \x1b[2J";
    lb_results *s = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic/");
    for (int f = 0; f < 3; f++) {
        static const lb_table_format format[] = {LB_TABLE_HTML, LB_TABLE_MARKDOWN, LB_TABLE_LATEX};
        char *text = document(s, format[f]);
        assert_null(strstr(text, "One prompt"));
        lb_free(text);
    }
    s->record[0].continuation = continuation("A & <i>", " was a cat.");
    s->record[1].continuation = continuation("A & <i>", hostile);
    s->record[1].continuation.ended = "tokens";
    s->record[3].continuation = s->record[1].continuation;
    s->record[3].label = s->record[1].label; /* of another `compute`: the same line */
    s->record[2].continuation = continuation("Another", " one");
    s->record[2].continuation.ended = "context";
    s->record[4].continuation = continuation("Another", " one that was drawn");
    s->record[4].continuation.temperature = 0.7;
    s->record[4].continuation.top_p = 0.9;
    s->record[4].continuation.seed = 3;
    char *html = document(s, LB_TABLE_HTML), *md = document(s, LB_TABLE_MARKDOWN), *tex = document(s, LB_TABLE_LATEX);
    has(html, "One prompt");
    has(html, "\xe2\x80\x9c"
              "A &amp; &lt;i&gt;\xe2\x80\x9d");
    has(html, "none (baseline):  was a cat. (it ends here)");
    has(html, "\\n# &lt;script&gt;alert(1)&lt;/script&gt; \\end{document} | `x` &amp; $a_b$ \\x1b[2J");
    const char *line = strstr(html, "\\n# &lt;script&gt;");
    assert_non_null(line);
    assert_null(strstr(line + 1, "\\n# &lt;script&gt;"));
    has(html, "Another");
    has(html, " one (the context ends here)");
    has(html, "Greedy continuations, in float32, of \xe2\x80\x9c"
              "Another\xe2\x80\x9d:");
    has(html, "Continuations, in float32, drawn at temperature 0.7, top-p 0.9, seed 3, of \xe2\x80\x9c"
              "Another\xe2\x80\x9d:");
    assert_null(strstr(html, "<script>alert"));
    assert_null(strstr(md, "\n# <script"));
    has(md, "\\\\n# &lt;script>alert(1)&lt;/script>");
    has(tex, "\\textbackslash{}n\\# \\textless{}script");
    assert_null(strstr(tex, "\\end{document}"));
    lb_free(html);
    lb_free(md);
    lb_free(tex);
    synthetic_results_free(s);
}

static int setup(void **state) {
    (void)state;
    home = lb_test_tmpdir();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_a_result), cmocka_unit_test(what_cannot_be),
                                       cmocka_unit_test(in_documents)};
    return cmocka_run_group_tests_name("continuations", tests, setup, NULL);
}

/* How each cell continues the config's prompt. */
#include <string.h>

#include "report/parts.h"

/* One line: line ends, and other control characters that a font has no picture of, as escapes. */
static void one_line(const char *text, lb_str *out) {
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\n')
            lb_str_add(out, "\\n");
        else if (c == '\t')
            lb_str_add(out, "\\t");
        else if (c < 0x20 || c == 0x7f)
            lb_str_add(out, "\\x%02x", c);
        else
            lb_str_add_bytes(out, p, 1);
    }
}

static const char *ending(const lb_continuation *c) {
    if (strcmp(c->ended, "eos") == 0) return " (it ends here)";
    return strcmp(c->ended, "context") == 0 ? " (the context ends here)" : "";
}

static lb_status item(lb_arena *a, const lb_results *r, const lb_record *c, const char **out) {
    lb_str s = {0};
    bool baseline = strcmp(c->method, "none") == 0;
    if (c->source && c->source != r) lb_str_add(&s, "%s, ", c->source->name);
    if (baseline && c->model) lb_str_add(&s, "%s, ", c->model); /* other labels say it */
    lb_str_add(&s, "%s: ", baseline ? "none (baseline)" : c->label);
    one_line(c->continuation.text, &s);
    lb_str_add(&s, "%s", ending(&c->continuation));
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

/* A baseline stands there for each value of `compute`, which no continuation depends on. */
static bool is_there(const char *const *list, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0) return true;
    return false;
}

static bool drawn(const lb_continuation *c) { return c->temperature > 0; }

/* Of one prompt, by tokens that were chosen alike. */
static bool is_alike(const lb_continuation *x, const lb_continuation *y) {
    if (strcmp(x->prompt, y->prompt) != 0 || drawn(x) != drawn(y)) return false;
    return !drawn(x) || (x->temperature == y->temperature && x->top_p == y->top_p && x->seed == y->seed);
}

/* like: NULL: any. */
static bool continues(const lb_record *c, const lb_continuation *like) {
    return c->state == LB_CELL_DONE && c->continuation.prompt && (!like || is_alike(&c->continuation, like));
}

/* The first cell that has this prompt. */
static bool is_first(const lb_results *r, int64_t i) {
    for (int64_t k = 0; k < i; k++)
        if (continues(&r->record[k], &r->record[i].continuation)) return false;
    return true;
}

static void add_head(const lb_continuation *c, lb_str *out) {
    lb_str_add(out, drawn(c) ? "Continuations" : "Greedy continuations");
    lb_str_add(out, ", in float32, ");
    if (drawn(c)) lb_str_add(out, "drawn at temperature %g, ", c->temperature);
    if (drawn(c) && c->top_p < 1) lb_str_add(out, "top-p %g, ", c->top_p);
    if (drawn(c)) lb_str_add(out, "seed %lld, ", (long long)c->seed);
    lb_str_add(out, "of \xe2\x80\x9c");
    one_line(c->prompt, out);
    lb_str_add(out, "\xe2\x80\x9d:");
}

static lb_status one_prompt(const lb_report_view *v, const lb_continuation *like, lb_table_format f, lb_str *out) {
    const lb_results *r = v->r;
    const char **list = LB_NEW(v->arena, const char *, r->n + 1);
    size_t n = 0;
    lb_str head = {0};
    if (!list) return LB_E_NOMEM;
    add_head(like, &head);
    lb_status st = lb_str_check(&head);
    if (st == LB_OK) lb_markup_paragraph(out, f, head.s);
    lb_str_free(&head);
    for (int64_t i = 0; i < r->n && st == LB_OK; i++) {
        if (!continues(&r->record[i], like)) continue;
        st = item(v->arena, r, &r->record[i], &list[n]);
        if (st == LB_OK && !is_there(list, n, list[n])) n++;
    }
    if (st == LB_OK) lb_markup_list(out, f, list, n);
    return st;
}

lb_status lb_report_prompts(const lb_report_view *v, lb_table_format f, lb_str *out) {
    const lb_results *r = v->r;
    for (int64_t i = 0; i < r->n; i++)
        if (continues(&r->record[i], NULL) && is_first(r, i)) LB_TRY(one_prompt(v, &r->record[i].continuation, f, out));
    return lb_str_check(out);
}

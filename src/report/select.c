#include "report/select.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "report/columns.h"

enum { DEPTH_MOST = 100, COMPARISONS_MOST = 1000 }; /* brackets and "not" in each other; in all */

typedef enum relation { EQUAL, UNEQUAL, LESS, AT_MOST, MORE, AT_LEAST, LIKE } relation;

static const struct {
    const char *text;
    relation op;
} operators[] = {{"==", EQUAL}, {"!=", UNEQUAL}, {"<=", AT_MOST}, {">=", AT_LEAST},
                 {"=", EQUAL},  {"<", LESS},     {">", MORE},     {"~", LIKE}}; /* longer ones first */

typedef enum kind { AND, OR, NOT, COMPARISON } kind;

typedef struct node {
    kind kind;
    struct node *left, *right; /* NOT: left alone */
    size_t column;             /* of a comparison's name, from 1 */
    const char *name, *value;
    relation op;
    double number; /* of the value; NaN: it is none */
} node;

struct lb_select {
    const char *text;
    node *root;
    node **comparison; /* (comparisons) */
    size_t comparisons;
};

/* ---- reading ---- */

typedef struct parser {
    lb_arena *arena;
    const char *text, *at;
    int depth;
    lb_select *out;
} parser;

static size_t column_of(const parser *p) { return (size_t)(p->at - p->text) + 1; }

static void blanks(parser *p) {
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n') p->at++;
}

/* What words are made of: anything but blanks, quotes, brackets and operators. */
static size_t word_length(const char *s) { return strcspn(s, " \t\n'\"()=!<>~"); }

static bool take_word(parser *p, const char *word) {
    blanks(p);
    size_t n = word_length(p->at);
    if (n != strlen(word) || strncasecmp(p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

static lb_status wanted(const parser *p, const char *what) {
    size_t n = word_length(p->at), shown = n ? n : strcspn(p->at, " ");
    if (!*p->at)
        return lb_fail(LB_E_ARG, "--where: column %zu: %s expected, but '%s' ends here", column_of(p), what, p->text);
    return lb_fail(LB_E_ARG, "--where: column %zu: %s expected, not '%.*s'", column_of(p), what,
                   (int)(shown > 40 ? 40 : shown), p->at);
}

static lb_status copy(parser *p, const char *from, size_t n, const char **out) {
    char *s = LB_NEW(p->arena, char, n + 1);
    if (!s) return LB_E_NOMEM;
    memcpy(s, from, n);
    *out = s;
    return LB_OK;
}

static lb_status read_operator(parser *p, relation *out) {
    blanks(p);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t n = strlen(operators[i].text);
        if (strncmp(p->at, operators[i].text, n) != 0) continue;
        *out = operators[i].op;
        p->at += n;
        return LB_OK;
    }
    return wanted(p, "=, !=, <, <=, >, >= or ~");
}

static lb_status read_value(parser *p, node *x) {
    blanks(p);
    char quote = *p->at;
    size_t column = column_of(p);
    if (quote == '\'' || quote == '"') {
        const char *end = strchr(p->at + 1, quote);
        if (!end) return lb_fail(LB_E_ARG, "--where: column %zu: the text that begins here has no end", column);
        LB_TRY(copy(p, p->at + 1, (size_t)(end - p->at) - 1, &x->value));
        p->at = end + 1;
    } else {
        size_t n = word_length(p->at);
        if (!n) return wanted(p, "a number, a word or a text in quotes");
        LB_TRY(copy(p, p->at, n, &x->value));
        p->at += n;
    }
    x->number = NAN;
    if (lb_parse_f64(x->value, &x->number) != LB_OK) x->number = NAN;
    bool ordered = x->op != EQUAL && x->op != UNEQUAL && x->op != LIKE;
    if (ordered && isnan(x->number))
        return lb_fail(LB_E_ARG, "--where: column %zu: '%s' is no number, and only numbers have an order", column,
                       x->value);
    return LB_OK;
}

static lb_status new_node(parser *p, kind what, node *left, node *right, node **out) {
    *out = LB_NEW(p->arena, node, 1);
    if (!*out) return LB_E_NOMEM;
    **out = (node){.kind = what, .left = left, .right = right};
    return LB_OK;
}

static lb_status read_comparison(parser *p, node **out) {
    blanks(p);
    size_t n = word_length(p->at), column = column_of(p);
    if (!n) return wanted(p, "the name of a column");
    if (p->out->comparisons == COMPARISONS_MOST)
        return lb_fail(LB_E_ARG, "--where: column %zu: more than %d comparisons", column, COMPARISONS_MOST);
    LB_TRY(new_node(p, COMPARISON, NULL, NULL, out));
    LB_TRY(copy(p, p->at, n, &(*out)->name));
    p->at += n;
    (*out)->column = column;
    LB_TRY(read_operator(p, &(*out)->op));
    LB_TRY(read_value(p, *out));
    p->out->comparison[p->out->comparisons++] = *out;
    return LB_OK;
}

static lb_status read_any(parser *p, node **out);

static lb_status read_each(parser *p, node **out) {
    blanks(p);
    bool bracket = *p->at == '(', negated = !bracket && take_word(p, "not");
    if (!bracket && !negated) return read_comparison(p, out);
    if (++p->depth > DEPTH_MOST)
        return lb_fail(LB_E_ARG, "--where: column %zu: more than %d brackets and nots", column_of(p), DEPTH_MOST);
    p->at += bracket;
    if (bracket) {
        LB_TRY(read_any(p, out));
        blanks(p);
        if (*p->at != ')') return wanted(p, "and, or, or ')'");
        p->at++;
    } else {
        node *inner = NULL;
        LB_TRY(read_each(p, &inner));
        LB_TRY(new_node(p, NOT, inner, NULL, out));
    }
    p->depth--;
    return LB_OK;
}

static lb_status read_all(parser *p, node **out) {
    LB_TRY(read_each(p, out));
    while (take_word(p, "and")) {
        node *right = NULL;
        LB_TRY(read_each(p, &right));
        LB_TRY(new_node(p, AND, *out, right, out));
    }
    return LB_OK;
}

static lb_status read_any(parser *p, node **out) {
    LB_TRY(read_all(p, out));
    while (take_word(p, "or")) {
        node *right = NULL;
        LB_TRY(read_all(p, &right));
        LB_TRY(new_node(p, OR, *out, right, out));
    }
    return LB_OK;
}

lb_status lb_select_parse(lb_arena *a, const char *text, lb_select **out) {
    lb_select *s = LB_NEW(a, lb_select, 1);
    if (!s) return LB_E_NOMEM;
    parser p = {.arena = a, .out = s};
    LB_TRY(copy(&p, text, strlen(text), &s->text));
    p.text = p.at = s->text;
    s->comparison = LB_NEW(a, node *, COMPARISONS_MOST);
    if (!s->comparison) return LB_E_NOMEM;
    LB_TRY(read_any(&p, &s->root));
    blanks(&p);
    if (*p.at) return wanted(&p, "and, or, or the end");
    *out = s;
    return LB_OK;
}

/* ---- holding ---- */

typedef struct question {
    lb_arena *arena;
    const lb_results *r;
    const lb_record *c;
    const lb_eval_row *e; /* NULL: the cell has none */
} question;

static bool compare(const node *x, const lb_fact_value *v) {
    bool numbers = !isnan(x->number) && !isnan(v->number);
    if (!v->known) return x->op == UNEQUAL;
    switch (x->op) {
    case EQUAL:
        return numbers ? v->number == x->number : strcasecmp(v->text, x->value) == 0;
    case UNEQUAL:
        return numbers ? v->number != x->number : strcasecmp(v->text, x->value) != 0;
    case LESS:
        return numbers && v->number < x->number;
    case AT_MOST:
        return numbers && v->number <= x->number;
    case MORE:
        return numbers && v->number > x->number;
    case AT_LEAST:
        return numbers && v->number >= x->number;
    default:
        return lb_str_glob(x->value, v->text);
    }
}

static lb_status holds(const question *q, const node *x, bool *out) {
    if (x->kind == COMPARISON) {
        lb_fact_value v;
        LB_TRY(lb_fact_of(q->arena, q->r, q->c, q->e, x->name, &v));
        *out = compare(x, &v);
        return LB_OK;
    }
    LB_TRY(holds(q, x->left, out));
    if (x->kind == NOT) {
        *out = !*out;
        return LB_OK;
    }
    if (*out == (x->kind == OR)) return LB_OK;
    return holds(q, x->right, out);
}

/* One evaluation of a record after the other; a record without any is asked as it is. */
static lb_status keep_record(lb_arena *a, const lb_results *r, const lb_select *s, const lb_record *c, lb_record *out,
                             bool *any) {
    question q = {a, r, c, NULL};
    *out = *c;
    if (!c->evals) return holds(&q, s->root, any);
    *any = false;
    out->evals = 0;
    out->eval = LB_NEW(a, lb_eval_row, c->evals);
    if (!out->eval) return LB_E_NOMEM;
    for (int64_t i = 0; i < c->evals; i++) {
        bool yes;
        q.e = &c->eval[i];
        LB_TRY(holds(&q, s->root, &yes));
        if (yes) out->eval[out->evals++] = c->eval[i];
        *any |= yes;
    }
    return LB_OK;
}

static bool is_baseline(const lb_record *c) { return strcmp(c->method, "none") == 0; }

static bool is_evaluated(const lb_results *r, const lb_eval_row *e) {
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t k = 0; !is_baseline(&r->record[i]) && k < r->record[i].evals; k++)
            if (lb_report_same_evaluation(&r->record[i].eval[k], e)) return true;
    return false;
}

/* What cells are compared with stays in sight, in the tables that are left. */
static lb_status keep_baseline(lb_arena *a, const lb_results *left, const lb_record *c, lb_record *out) {
    if (!c->evals) return LB_OK;
    lb_eval_row *eval = LB_NEW(a, lb_eval_row, c->evals);
    int64_t n = 0;
    if (!eval) return LB_E_NOMEM;
    for (int64_t i = 0; i < c->evals; i++) {
        bool own = false;
        for (int64_t k = 0; k < out->evals; k++) own |= lb_report_same_evaluation(&out->eval[k], &c->eval[i]);
        if (own || is_evaluated(left, &c->eval[i])) eval[n++] = c->eval[i];
    }
    out->eval = eval, out->evals = n;
    return LB_OK;
}

/* A baseline that was evaluated as no cell that is left, where another one of its model was. */
static bool is_idle(const lb_results *r, const lb_record *c) {
    for (int64_t i = 0; i < r->n; i++)
        if (is_baseline(&r->record[i]) && r->record[i].evals && lb_report_same_model(&r->record[i], c)) return true;
    return false;
}

static void drop_idle(lb_results *r, const lb_record *const *from) {
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (!is_baseline(c) || c->evals || !from[i]->evals || !is_idle(r, c)) r->record[n++] = *c;
    }
    r->n = n;
}

static lb_status check_names(lb_arena *a, const lb_results *r, const lb_select *s) {
    for (size_t i = 0; i < s->comparisons; i++) {
        lb_status st = lb_report_fact_name(a, r, s->comparison[i]->name, &s->comparison[i]->name);
        lb_fact_value v;
        if (st == LB_OK && r->n) st = lb_fact_of(a, r, &r->record[0], NULL, s->comparison[i]->name, &v);
        if (st != LB_OK) return lb_fail_in(st, "--where: column %zu", s->comparison[i]->column);
    }
    return LB_OK;
}

lb_status lb_select_apply(lb_arena *a, const lb_results *r, const lb_select *s, lb_results *out) {
    const lb_record **from = LB_NEW(a, const lb_record *, r->n + 1);
    bool some = false;
    *out = *r;
    out->all = r;
    out->n = 0;
    out->record = LB_NEW(a, lb_record, r->n + 1);
    if (!from || !out->record) return LB_E_NOMEM;
    LB_TRY(check_names(a, r, s));
    for (int64_t i = 0; i < r->n; i++) {
        bool yes;
        LB_TRY(keep_record(a, r, s, &r->record[i], &out->record[out->n], &yes));
        some |= yes;
        if (yes || is_baseline(&r->record[i])) from[out->n++] = &r->record[i];
    }
    if (!some) return lb_fail(LB_E_ARG, "--where: no cell of %s is so: %s", r->dir, s->text);
    for (int64_t i = 0; i < out->n; i++)
        if (is_baseline(from[i])) LB_TRY(keep_baseline(a, out, from[i], &out->record[i]));
    drop_idle(out, from);
    return LB_OK;
}

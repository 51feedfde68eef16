#include "model/numbers.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "model/rope_numbers.h"
#include "model/steps/reference.h"

lb_numbers lb_numbering_view(const lb_numbering *b) { return (lb_numbers){b->at, b->n, b->blocks}; }

static lb_status put(lb_numbering *b, lb_number x) {
    int64_t i = 0;
    while (i < b->n && strcmp(b->at[i].name, x.name) != 0) i++;
    if (i == b->room) {
        int64_t room = b->room ? 2 * b->room : 32;
        lb_number *more = LB_NEW(b->arena, lb_number, room);
        if (!more) return LB_E_NOMEM;
        if (b->n) memcpy(more, b->at, (size_t)b->n * sizeof *more);
        b->at = more;
        b->room = room;
    }
    b->at[i] = x;
    if (i == b->n) b->n++;
    return LB_OK;
}

lb_status lb_numbering_set(lb_numbering *b, const char *name, double value) {
    return put(b, (lb_number){.name = name, .all = value});
}

lb_status lb_numbering_set_key(lb_numbering *b, const char *name, const char *key, double value) {
    const char *own = lb_arena_strdup(b->arena, key);
    return own ? put(b, (lb_number){.name = name, .all = value, .key = own}) : LB_E_NOMEM;
}

lb_status lb_numbering_set_blocks(lb_numbering *b, const char *name, const double *block) {
    return put(b, (lb_number){.name = name, .block = block});
}

lb_status lb_numbering_set_list(lb_numbering *b, const char *name, const double *list, int64_t n) {
    return put(b, (lb_number){.name = name, .list = list, .listed = n});
}

/* ---- expressions ---- */

enum { NESTED = 16, NAME = 48 };
typedef struct parser {
    const lb_numbers *numbers;
    const char *text, *at;
    int64_t block;
    int depth;
    bool by_block; /* out: it differs from block to block */
} parser;

static lb_status wrong(const parser *p, const char *why) {
    return lb_fail(LB_E_FORMAT, "expression '%.*s': %s", (int)strcspn(p->text, ";"), p->text, why);
}

/* With all that could have been meant. */
static lb_status no_number(const parser *p, const char *name) {
    lb_str known = {0};
    for (int64_t i = 0; i < p->numbers->n; i++) lb_str_add(&known, "%s%s", i ? ", " : "", p->numbers->at[i].name);
    lb_str_add(&known, "; activations:");
    for (int i = 0; lb_act_words[i]; i++) lb_str_add(&known, "%s %s", i ? "," : "", lb_act_words[i]);
    lb_status st = lb_str_check(&known);
    if (st == LB_OK)
        st = lb_fail(LB_E_FORMAT, "expression '%.*s': there is no number '%s' here; numbers: %s",
                     (int)strcspn(p->text, ";"), p->text, name, known.s);
    lb_str_free(&known);
    return st;
}

static bool take(parser *p, const char *token) {
    while (isspace((unsigned char)*p->at)) p->at++;
    size_t n = strlen(token);
    if (strncmp(p->at, token, n) != 0) return false;
    p->at += n;
    return true;
}

static lb_status comparison(parser *p, double *out);

static lb_status bracketed(parser *p, double *out) {
    if (++p->depth > NESTED) return wrong(p, "too many brackets");
    LB_TRY(comparison(p, out));
    p->depth--;
    return take(p, ")") ? LB_OK : wrong(p, "a bracket is not closed");
}

static lb_status named(parser *p, double *out) {
    static const struct {
        const char *name;
        double (*f)(double);
    } function[] = {{"sqrt", sqrt}, {"floor", floor}, {"log", log}};
    char name[NAME];
    size_t n = 0;
    for (; isalnum((unsigned char)*p->at) || *p->at == '_'; p->at++) {
        if (n + 1 == NAME) return wrong(p, "a name is too long");
        name[n++] = *p->at;
    }
    name[n] = 0;
    for (size_t i = 0; i < sizeof function / sizeof function[0]; i++) {
        if (strcmp(name, function[i].name) != 0) continue;
        if (!take(p, "(")) return wrong(p, "a function needs its brackets");
        LB_TRY(bracketed(p, out));
        *out = function[i].f(*out);
        return LB_OK;
    }
    if (strcmp(name, "block") == 0) {
        p->by_block = true;
        *out = (double)p->block;
        return LB_OK;
    }
    for (int i = 0; lb_act_words[i]; i++)
        if (strcmp(name, lb_act_words[i]) == 0) {
            *out = i;
            return LB_OK;
        }
    const lb_number *x = lb_number_find(p->numbers, name);
    if (!x) return no_number(p, name);
    p->by_block = p->by_block || x->block;
    *out = x->block ? x->block[p->block < 0 ? 0 : p->block] : x->all;
    return LB_OK;
}

static lb_status primary(parser *p, double *out) {
    if (take(p, "(")) return bracketed(p, out);
    if (isalpha((unsigned char)*p->at)) return named(p, out);
    char number[NAME];
    size_t n = strspn(p->at, "0123456789.");
    if (n && p->at[n] == 'e') n += 1 + (p->at[n + 1] == '-'), n += strspn(p->at + n, "0123456789");
    if (n == 0 || n >= sizeof number) return wrong(p, "expected a number, a name or a bracket");
    memcpy(number, p->at, n);
    number[n] = 0;
    p->at += n;
    return lb_parse_f64(number, out) == LB_OK ? LB_OK : wrong(p, "expected a number, a name or a bracket");
}

static lb_status product(parser *p, double *out) {
    double b = 0;
    LB_TRY(primary(p, out));
    for (;;) {
        bool times = take(p, "*"), over = !times && take(p, "/"), rest = !times && !over && take(p, "%");
        if (!times && !over && !rest) return LB_OK;
        LB_TRY(primary(p, &b));
        *out = times ? *out * b : over ? *out / b : fmod(*out, b);
    }
}

static lb_status sum(parser *p, double *out) {
    double b;
    LB_TRY(product(p, out));
    for (;;) {
        bool plus = take(p, "+"), minus = !plus && take(p, "-");
        if (!plus && !minus) return LB_OK;
        LB_TRY(product(p, &b));
        *out = plus ? *out + b : *out - b;
    }
}

static lb_status comparison(parser *p, double *out) {
    static const char *const sign[] = {"<=", ">=", "==", "<", ">"};
    double b;
    LB_TRY(sum(p, out));
    for (size_t i = 0; i < sizeof sign / sizeof sign[0]; i++) {
        if (!take(p, sign[i])) continue;
        LB_TRY(sum(p, &b));
        const bool is[] = {*out <= b, *out >= b, *out == b, *out<b, *out> b};
        *out = is[i] ? 1.0 : 0.0;
        break;
    }
    return LB_OK;
}

/* to: where it ends, or NULL: it is the whole text */
static lb_status evaluate(parser *p, const char *to, double *out) {
    LB_TRY(comparison(p, out));
    while (isspace((unsigned char)*p->at)) p->at++;
    return p->at == to || (!to && !*p->at) ? LB_OK : wrong(p, "more stands after its end");
}

lb_status lb_expression(const lb_numbers *n, const char *text, int64_t block, double *out) {
    parser p = {.numbers = n, .text = text, .at = text, .block = block};
    LB_TRY(evaluate(&p, NULL, out));
    if (p.by_block && block < 0) return wrong(&p, "it differs by block and is asked for outside of them");
    return LB_OK;
}

lb_status lb_expression_count(const lb_numbers *n, const char *text, int64_t block, int64_t *out) {
    double v;
    LB_TRY(lb_expression(n, text, block, &v));
    if (!(v >= 0.0 && v <= 9e15 && v == floor(v)))
        return lb_fail(LB_E_FORMAT, "expression '%s' is %g: must be a whole number", text, v);
    *out = (int64_t)v;
    return LB_OK;
}

/* ---- rules ---- */

/* Those that numbers by block are made for; what is no such count is refused where sizes are checked. */
static void count_blocks(lb_numbering *b, double layers) {
    b->blocks = layers >= 1.0 && layers <= 1 << 16 ? (int64_t)layers : 0;
}

/* One rule, from `name` on, whose expression is [text, to). */
static lb_status set_rule(lb_numbering *b, const char *name, const char *text, const char *to) {
    lb_numbers n = lb_numbering_view(b);
    parser p = {.numbers = &n, .text = text, .at = text, .block = 0};
    double v;
    LB_TRY(evaluate(&p, to, &v));
    if (!p.by_block && strcmp(name, "layers") == 0) count_blocks(b, v);
    if (!p.by_block) return lb_numbering_set(b, name, v);
    double *block = LB_NEW(b->arena, double, b->blocks + 1);
    if (!block) return LB_E_NOMEM;
    for (int64_t i = 0; i < b->blocks; i++) {
        p = (parser){.numbers = &n, .text = text, .at = text, .block = i};
        LB_TRY(evaluate(&p, to, &block[i]));
    }
    return lb_numbering_set_blocks(b, name, block);
}

lb_status lb_numbering_rules(lb_numbering *b, const char *rules) {
    for (const char *at = rules ? rules : ""; *at;) {
        at += strspn(at, " ");
        size_t n = strcspn(at, " ?=");
        const char *sign = at + n + strspn(at + n, " ");
        bool unless = *sign == '?';
        sign += unless;
        const char *text = sign + 1 + (*sign == '=' ? strspn(sign + 1, " ") : 0), *to = text + strcspn(text, ";");
        if (n == 0 || *sign != '=') return lb_fail(LB_E_FORMAT, "rules '%s': expected NAME = EXPRESSION", rules);
        const char *name = lb_arena_printf(b->arena, "%.*s", (int)n, at);
        if (!name) return LB_E_NOMEM;
        lb_numbers numbers = lb_numbering_view(b);
        lb_status st = unless && lb_number_find(&numbers, name) ? LB_OK : set_rule(b, name, text, to);
        if (st != LB_OK) return st == LB_E_NOMEM ? st : lb_fail_in(st, "%s: rule of %s", b->whose, name);
        at = to + (*to == ';');
        at += strspn(at, " ");
    }
    return LB_OK;
}

/* ---- what holds for all ---- */

/* False: the architecture has none, or it differs by block. */
static bool plain(const lb_numbers *n, const char *name, double *out) {
    const lb_number *x = lb_number_find(n, name);
    if (!x || x->block) return false;
    *out = x->all;
    return true;
}

static lb_status check_finite(const lb_numbers *n, const char *whose) {
    for (int64_t i = 0; i < n->n; i++) {
        const lb_number *x = &n->at[i];
        for (int64_t b = 0; b < (x->block ? n->blocks : 1); b++) {
            double v = x->block ? x->block[b] : x->all;
            if (!isfinite(v))
                return lb_fail(LB_E_FORMAT, "%s: %s = %g: must be finite", whose, x->key ? x->key : x->name, v);
        }
    }
    return LB_OK;
}

/* What one must be of another. */
static lb_status check_together(const lb_numbers *n, const char *whose) {
    double heads, kv, dim, d, top, experts;
    const char *heads_key = lb_number_called(n, "heads"), *dim_key = lb_number_called(n, "dim");
    if (plain(n, "heads", &heads) && plain(n, "kv_heads", &kv) && fmod(heads, kv) != 0.0)
        return lb_fail(LB_E_FORMAT, "%s: %s = %g and %s = %g: the first must be a multiple of the second", whose,
                       heads_key, heads, lb_number_called(n, "kv_heads"), kv);
    if (plain(n, "heads", &heads) && plain(n, "head_dim", &d) && heads * d > 1 << 22)
        return lb_fail(LB_E_FORMAT, "%s: %s = %g and %s = %g: their product must be at most %d", whose, heads_key,
                       heads, lb_number_called(n, "head_dim"), d, 1 << 22);
    if (plain(n, "dim", &dim) && plain(n, "heads", &heads) && plain(n, "head_dim", &d) && d != floor(d))
        return lb_fail(LB_E_FORMAT, "%s: %s = %g and %s = %g: the first must be a multiple of the second", whose,
                       dim_key, dim, heads_key, heads);
    if (plain(n, "top", &top) && plain(n, "experts", &experts) && top > experts)
        return lb_fail(LB_E_FORMAT, "%s: %s = %g and %s = %g: the first must be at most the second", whose,
                       lb_number_called(n, "top"), top, lb_number_called(n, "experts"), experts);
    return LB_OK;
}

lb_status lb_numbers_check(const lb_numbers *n, const char *whose) {
    static const struct {
        const char *name;
        int64_t least, most;
    } size[] = {
        {"layers", 1, 1 << 16},        {"dim", 1, 1 << 20},         {"hidden", 1, 1 << 22},
        {"heads", 1, 1 << 16},         {"kv_heads", 1, 1 << 16},    {"head_dim", 1, 1 << 16},
        {"vocab", 1, INT32_MAX},       {"context", 1, 1LL << 40},   {"embed_dim", 1, 1 << 20},
        {"experts", 1, 1 << 12},       {"top", 1, 1 << 12},         {"expert_hidden", 1, 1 << 22},
        {"shared_hidden", 1, 1 << 22}, {"window", 0, 1LL << 40},    {"width", 0, 1LL << 40},
        {"window_from", 0, 1LL << 40}, {"sparse_step", 1, 1 << 16}, {"rot", 1, 1 << 16},
        {"interval", 1, 1 << 16},      {"pattern", 1, 1 << 16},
    };
    double v, eps;
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
        if (plain(n, size[i].name, &v) && !(v >= (double)size[i].least && v <= (double)size[i].most))
            return lb_fail(LB_E_FORMAT, "%s: %s = %.15g: must be in [%lld, %lld]", whose,
                           lb_number_called(n, size[i].name), v, (long long)size[i].least, (long long)size[i].most);
    LB_TRY(check_finite(n, whose));
    LB_TRY(lb_rope_check(n, whose));
    LB_TRY(check_together(n, whose));
    if (plain(n, "eps", &eps) && !(eps >= 0.0 && eps < 1.0))
        return lb_fail(LB_E_FORMAT, "%s: %s = %g: must be in [0, 1)", whose, lb_number_called(n, "eps"), eps);
    if (plain(n, "clip", &v) && v < 0.0)
        return lb_fail(LB_E_FORMAT, "%s: %s = %g: must not be negative", whose, lb_number_called(n, "clip"), v);
    return LB_OK;
}

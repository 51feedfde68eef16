/* Classes: [...] with ranges, properties, POSIX brackets, classes within, && and ^, as a set of code points. */
#include <string.h>

#include "model/tokenizer/regex_impl.h"

/* What stands before a '-' decides what it is. */
typedef enum before {
    START,   /* nothing yet: '-' is itself */
    VALUE,   /* one character: '-' makes a range of it */
    CLASS,   /* \d, [:alpha:], \p{L}: '-' must be the last */
    COMPLETE /* a range or a class in brackets: '-' is itself */
} before;

typedef struct member {
    before kind; /* VALUE, CLASS or COMPLETE */
    int32_t code;
    lb_rx_set set;
} member;

static lb_status read_class(lb_rx *x, lb_rx_set *out);

static bool ends_here(const lb_rx *x) { return x->at < x->end && *x->at == ']'; }
static bool and_here(const lb_rx *x) { return x->end - x->at > 1 && x->at[0] == '&' && x->at[1] == '&'; }

/* [:alpha:] or [:^alpha:]; x->at is behind its first bracket, at the colon. */
static lb_status posix_bracket(lb_rx *x, lb_rx_set *out) {
    static const char *const known[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit",  "graph",
                                        "lower", "print", "punct", "space", "upper", "xdigit", "word"};
    const char *from = x->at - 1, *name = x->at + 1;
    bool negative = name < x->end && *name == '^';
    name += negative;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i]);
        if ((size_t)(x->end - name) < n + 2 || memcmp(name, known[i], n) != 0 || name[n] != ':' || name[n + 1] != ']')
            continue;
        bool punct = !strcmp(known[i], "punct"); /* in brackets with the symbols, as \p{Punct} without */
        const char *property = punct ? "posixpunct" : known[i];
        if (!lb_rx_set_property(out, property, strlen(property), true)) break;
        if (negative) lb_rx_set_invert(out);
        x->at = name + n + 2;
        return LB_OK;
    }
    return lb_rx_refuse(x, from, 2, "a POSIX bracket that is not known", "[:alpha:] is one");
}

static lb_status read_member(lb_rx *x, member *m) {
    *m = (member){.kind = CLASS, .set = {.arena = x->arena}};
    if (*x->at == '[') {
        x->at++;
        if (x->at < x->end && *x->at == ':') return posix_bracket(x, &m->set);
        m->kind = COMPLETE;
        return read_class(x, &m->set);
    }
    if (*x->at == '\\') {
        lb_rx_escaped e;
        x->at++;
        LB_TRY(lb_rx_read_escape(x, true, &e));
        m->set = e.set;
        if (e.kind == LB_RX_SET) {
            if (e.negative) lb_rx_set_invert(&m->set);
            return LB_OK;
        }
        m->code = e.code;
    } else {
        LB_TRY(lb_rx_next(x, &m->code));
    }
    m->kind = VALUE;
    return LB_OK;
}

/* A '-' that makes a range of `first`: up to the next character. */
static lb_status read_range(lb_rx *x, int32_t first, lb_rx_set *out) {
    const char *from = x->at - 1;
    if (x->at == x->end) return lb_rx_refuse(x, from, 1, "a class without an end", "']' is missing");
    member m;
    LB_TRY(read_member(x, &m));
    size_t n = (size_t)(x->at - from);
    if (m.kind != VALUE) return lb_rx_refuse(x, from, n, "a range that ends with a class", "write '\\-' for a '-'");
    if (m.code < first)
        return lb_rx_refuse(x, from, n, "a range that ends before it begins", "its ends are the other way round");
    lb_rx_set_add(out, first, m.code);
    return LB_OK;
}

/* Members up to the next && or the closing bracket, which x->at is then at. first: a bracket here is a member. */
static lb_status read_union(lb_rx *x, bool first, lb_rx_set *out) {
    before last = START;
    int32_t code = 0;
    for (; x->at < x->end && (first || !ends_here(x)) && !and_here(x); first = false) {
        const char *from = x->at;
        bool dash = *x->at == '-';
        if (dash && last == VALUE) {
            x->at++;
            if (ends_here(x) || and_here(x)) {
                lb_rx_set_add(out, '-', '-');
                continue;
            }
            LB_TRY(read_range(x, code, out));
            last = COMPLETE;
            continue;
        }
        member m;
        LB_TRY(read_member(x, &m));
        if (dash && last == CLASS && !ends_here(x))
            return lb_rx_refuse(x, from, 1, "a range that begins with a class", "write '\\-' for a '-'");
        last = m.kind;
        code = m.code;
        if (m.kind == VALUE)
            lb_rx_set_add(out, m.code, m.code);
        else
            lb_rx_set_join(out, &m.set);
        out->failed = out->failed || m.set.failed;
    }
    return LB_OK;
}

/* Whether a ']' that stands first is itself: there must be another. */
static bool another_end(const lb_rx *x) {
    for (const char *p = x->at + 1; p < x->end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == ']')
            return true;
    }
    return false;
}

/* x->at is behind the opening bracket. What is && with what comes before ^, which is the last of all. */
static lb_status read_unnegated(lb_rx *x, lb_rx_set *out, bool *negative) {
    const char *from = x->at - 1;
    if (++x->depth > LB_RX_MAX_DEPTH) return lb_rx_refuse(x, from, 1, "a class too deep in others", "100 is the limit");
    *negative = x->at < x->end && *x->at == '^';
    x->at += *negative;
    if (ends_here(x) && !another_end(x)) return lb_rx_refuse(x, from, 2, "an empty class", "it matches nothing");
    for (bool first = true;; first = false) {
        lb_rx_set part = {.arena = x->arena};
        LB_TRY(read_union(x, first, &part));
        if (first)
            *out = part;
        else
            lb_rx_set_meet(out, &part);
        if (x->at == x->end) return lb_rx_refuse(x, from, 1, "a class without an end", "']' is missing");
        if (ends_here(x)) break;
        x->at += 2; /* && */
    }
    x->at++;
    x->depth--;
    return out->failed ? LB_E_NOMEM : LB_OK;
}

static lb_status read_class(lb_rx *x, lb_rx_set *out) {
    bool negative;
    LB_TRY(read_unnegated(x, out, &negative));
    if (negative) lb_rx_set_invert(out);
    return out->failed ? LB_E_NOMEM : LB_OK;
}

/* Case is ignored in what the outermost class lists, before its ^. */
static lb_status ignore_case(lb_rx *x, const char *from, bool negative, lb_rx_set *s) {
    lb_rx_set_fold(s);
    for (int i = 0; i < lb_uni_n_several && !negative; i++)
        if (lb_rx_set_has(s, lb_uni_folds_to_several[i].code))
            return lb_rx_refuse(x, from, (size_t)(x->at - from), "a class that ignores case",
                                "it holds a character that equals several");
    return LB_OK;
}

lb_status lb_rx_read_class(lb_rx *x) {
    const char *from = x->at - 1;
    lb_arena_mark mark = lb_arena_save(x->arena);
    lb_rx_set s = {0};
    bool negative = false;
    LB_TRY(read_unnegated(x, &s, &negative));
    if (x->ignore_case) LB_TRY(ignore_case(x, from, negative, &s));
    if (negative) lb_rx_set_invert(&s);
    lb_rx_set_write(&s, x->how, x->out);
    lb_arena_restore(x->arena, mark);
    return lb_str_check(x->out);
}

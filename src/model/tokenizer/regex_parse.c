/* Patterns: alternatives, groups, options, literals, and what is written for PCRE2. */
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "model/tokenizer/regex_impl.h"

/* ---- messages, characters ---- */

lb_status lb_rx_refuse(const lb_rx *x, const char *at, size_t n, const char *name, const char *why) {
    while (at + n < x->end && n && ((uint8_t)at[n] & 0xC0) == 0x80) n++; /* whole characters */
    return lb_fail(LB_E_UNSUPPORTED, "%s: pattern \"%.300s\": at %zu: '%.*s': %s: %s", x->what, x->pattern,
                   (size_t)(at - x->pattern), (int)(n < 40 ? n : 40), at, name, why);
}

lb_status lb_rx_next(lb_rx *x, int32_t *code) {
    uint8_t b = (uint8_t)*x->at;
    int more = b < 0x80 ? 0 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
    if (x->end - x->at <= more) return lb_rx_refuse(x, x->at, 1, "not UTF-8", "a character is cut short");
    int32_t c = more ? b & (0x3F >> more) : b;
    for (int i = 1; i <= more; i++) c = c << 6 | ((uint8_t)x->at[i] & 0x3F);
    x->at += 1 + more;
    *code = c;
    return LB_OK;
}

static int32_t add(int32_t a, int32_t b) { return a > LB_RX_ENDLESS - b ? LB_RX_ENDLESS : a + b; }

static void forget_tail(lb_rx *x) { x->tail[0] = x->tail[1] = 0; }

static lb_status read_alternatives(lb_rx *x, lb_rx_body *b);

/* ---- literals ---- */

/* "ss" equals U+00DF when case is ignored: what equals one character may not come together in literals. */
static lb_status check_several(lb_rx *x, const char *from, int32_t code) {
    static const char why[] = "characters that equal a different number of them";
    size_t n = (size_t)(x->at - from);
    int32_t least = lb_rx_fold(code);
    for (int i = 0; i < lb_uni_n_several; i++) {
        const lb_uni_several *s = &lb_uni_folds_to_several[i];
        bool two = !s->to[2] && x->tail[1] == s->to[0] && least == s->to[1];
        bool three = s->to[2] && x->tail[0] == s->to[0] && x->tail[1] == s->to[1] && least == s->to[2];
        if (s->code == code || two || three) return lb_rx_refuse(x, from, n, "ignoring case", why);
    }
    x->tail[0] = x->tail[1];
    x->tail[1] = least;
    return LB_OK;
}

static lb_status write_literal(lb_rx *x, const char *from, int32_t code, lb_rx_part *p) {
    lb_rx_set s = {.arena = x->arena};
    lb_arena_mark mark = lb_arena_save(x->arena);
    lb_rx_set_add(&s, code, code);
    if (x->ignore_case) {
        LB_TRY(check_several(x, from, code));
        lb_rx_set_fold(&s);
    } else {
        forget_tail(x);
    }
    lb_rx_set_write(&s, LB_RX_RANGES, x->out);
    lb_arena_restore(x->arena, mark);
    *p = (lb_rx_part){.kind = LB_RX_UNIT, .start = p->start, .min = 1, .max = 1};
    return LB_OK;
}

static void write_set(lb_rx *x, lb_rx_set *s, bool negative, lb_rx_part *p) {
    if (negative) lb_rx_set_invert(s);
    lb_rx_set_write(s, x->how, x->out);
    *p = (lb_rx_part){.kind = LB_RX_UNIT, .start = p->start, .min = 1, .max = 1};
}

/* ---- references to groups ---- */

static lb_status write_reference(lb_rx *x, const char *from, int group, lb_rx_part *p) {
    size_t n = (size_t)(x->at - from);
    if (group < 1 || group > x->groups || !x->closed[group])
        return lb_rx_refuse(x, from, n, "a reference", "no group of this number or name ends before it");
    if (x->ignore_case) return lb_rx_refuse(x, from, n, "a reference that ignores case", "it is not known here");
    if (x->lookbehind) return lb_rx_refuse(x, from, n, "a reference in a look-behind", "its length is not fixed");
    lb_str_add(x->out, "\\g{%d}", group);
    *p = (lb_rx_part){.kind = LB_RX_UNIT, .start = p->start, .max = LB_RX_ENDLESS};
    return LB_OK;
}

static bool name_char(char c, bool first) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && c >= '0' && c <= '9');
}

/* A name up to `close`; x->at moves behind it. */
static lb_status read_name(lb_rx *x, const char *from, char close, const char **name, size_t *n) {
    *name = x->at;
    while (x->at < x->end && name_char(*x->at, x->at == *name)) x->at++;
    *n = (size_t)(x->at - *name);
    if (!*n || x->at == x->end || *x->at != close)
        return lb_rx_refuse(x, from, (size_t)(x->at - from), "a name of a group",
                            "only letters, digits and '_' are known here");
    x->at++;
    return LB_OK;
}

/* \k<name>, \k<1>, \k<-1>; x->at is at the bracket. */
static lb_status read_reference(lb_rx *x, const char *from, lb_rx_part *p) {
    char close = *x->at++ == '<' ? '>' : '\'';
    bool back = x->at < x->end && *x->at == '-';
    if (back || (x->at < x->end && *x->at >= '0' && *x->at <= '9')) {
        x->at += back;
        int group = 0;
        while (x->at < x->end && *x->at >= '0' && *x->at <= '9' && group < 10000) group = 10 * group + (*x->at++ - '0');
        if (x->at == x->end || *x->at != close)
            return lb_rx_refuse(x, from, (size_t)(x->at - from), "a reference",
                                "only \\k<1>, \\k<-1>, \\k<name> are known here");
        x->at++;
        x->numbered = from;
        return write_reference(x, from, back ? x->groups + 1 - group : group, p);
    }
    const char *name;
    size_t n;
    LB_TRY(read_name(x, from, close, &name, &n));
    for (int i = 0; i < x->n_name; i++)
        if (x->name[i].n == n && !memcmp(x->name[i].s, name, n)) return write_reference(x, from, x->name[i].group, p);
    return write_reference(x, from, 0, p);
}

/* ---- atoms ---- */

static void write_boundary(lb_rx *x, bool negative) {
    lb_rx_set word = {.arena = x->arena};
    lb_str w = {0};
    (void)lb_rx_set_property(&word, "word", 4, false);
    lb_rx_set_write(&word, x->how, &w);
    const char *s = w.s ? w.s : "";
    lb_str_add(x->out, negative ? "(?:(?<=%s)(?=%s)|(?<!%s)(?!%s))" : "(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))", s, s, s, s);
    x->out->failed = x->out->failed || w.failed;
    lb_str_free(&w);
}

static lb_status read_escaped(lb_rx *x, lb_rx_part *p) {
    const char *from = x->at++;
    lb_arena_mark mark = lb_arena_save(x->arena);
    lb_rx_escaped e;
    LB_TRY(lb_rx_read_escape(x, false, &e));
    if (e.kind == LB_RX_CODE) return write_literal(x, from, e.code, p);
    forget_tail(x);
    if (e.kind == LB_RX_SET) {
        write_set(x, &e.set, e.negative, p);
    } else if (e.kind == LB_RX_ASSERT) {
        if (e.code == 'K' && x->lookaround)
            return lb_rx_refuse(x, from, 2, "a new start of the match", "not within a look-ahead or look-behind");
        lb_str_add(x->out, "\\%c", (char)e.code);
        p->kind = LB_RX_ASSERTION;
    } else if (e.code == 'b' || e.code == 'B') {
        write_boundary(x, e.code == 'B');
        p->kind = LB_RX_ASSERTION;
    } else if (e.code == 'R') {
        lb_str_add(x->out, "(?>\\x0d\\x0a|[\\x0a-\\x0d\\x{85}\\x{2028}\\x{2029}])");
        *p = (lb_rx_part){.kind = LB_RX_UNIT, .start = p->start, .min = 1, .max = 2};
    } else if (e.code == 'N' || e.code == 'O') {
        lb_str_add(x->out, e.code == 'N' ? "\\N" : "(?s:.)");
        *p = (lb_rx_part){.kind = LB_RX_UNIT, .start = p->start, .min = 1, .max = 1, .any = e.code == 'O'};
    } else if (e.code == 'k') {
        return read_reference(x, from, p);
    } else {
        x->numbered = from;
        return write_reference(x, from, e.code, p);
    }
    lb_arena_restore(x->arena, mark);
    return LB_OK;
}

/* ---- groups ---- */

/* The i, m, x in force, which a group gives back at its end. */
typedef struct options {
    bool ignore_case, dot_all, extended;
} options;
static options options_of(const lb_rx *x) { return (options){x->ignore_case, x->dot_all, x->extended}; }
static void set_options(lb_rx *x, options o) {
    x->ignore_case = o.ignore_case;
    x->dot_all = o.dot_all;
    x->extended = o.extended;
}

static void from_body(lb_rx_part *p, lb_rx_body b) {
    p->kind = b.assertion ? LB_RX_ASSERTION : LB_RX_UNIT;
    p->min = b.min;
    p->max = b.max;
    p->any = b.any;
}

/* What is behind the opening of a group, and its end. */
static lb_status read_body(lb_rx *x, const char *from, lb_rx_body *b) {
    options o = options_of(x);
    LB_TRY(read_alternatives(x, b));
    set_options(x, o);
    if (x->at == x->end) return lb_rx_refuse(x, from, 1, "a group without an end", "')' is missing");
    x->at++;
    lb_str_add(x->out, ")");
    return LB_OK;
}

static lb_status read_capture(lb_rx *x, const char *from, lb_rx_part *p) {
    if (x->groups == LB_RX_MAX_GROUPS) return lb_rx_refuse(x, from, 1, "a group", "more than 200 of them");
    int group = ++x->groups;
    lb_rx_body b;
    lb_str_add(x->out, "(");
    LB_TRY(read_body(x, from, &b));
    x->closed[group] = true;
    from_body(p, b);
    p->kind = LB_RX_UNIT;
    return LB_OK;
}

static lb_status read_named(lb_rx *x, const char *from, char close, lb_rx_part *p) {
    const char *name;
    size_t n;
    LB_TRY(read_name(x, from, close, &name, &n));
    for (int i = 0; i < x->n_name; i++)
        if (x->name[i].n == n && !memcmp(x->name[i].s, name, n))
            return lb_rx_refuse(x, from, (size_t)(x->at - from), "a name of two groups", "it is not known here");
    if (x->n_name <= LB_RX_MAX_GROUPS) x->name[x->n_name++] = (lb_rx_name){name, n, x->groups + 1};
    return read_capture(x, from, p);
}

static lb_status read_look(lb_rx *x, const char *from, const char *opening, lb_rx_part *p) {
    bool behind = opening[2] == '<', negative = opening[behind ? 3 : 2] == '!';
    if (!behind && x->lookbehind)
        return lb_rx_refuse(x, from, 3, "a look-ahead in a look-behind", "Oniguruma refuses it");
    int groups = x->groups;
    lb_rx_body b;
    x->lookaround++;
    x->lookbehind += behind;
    lb_str_add(x->out, "%s", opening);
    LB_TRY(read_body(x, from, &b));
    x->lookaround--;
    x->lookbehind -= behind;
    size_t n = (size_t)(x->at - from);
    if (behind && !b.fixed) return lb_rx_refuse(x, from, n, "a look-behind", "an alternative has no fixed length");
    if (behind && negative && x->groups > groups)
        return lb_rx_refuse(x, from, n, "a capture in a negative look-behind", "Oniguruma refuses it");
    *p = (lb_rx_part){.kind = LB_RX_ASSERTION, .start = p->start};
    forget_tail(x);
    return LB_OK;
}

static lb_status read_option_letters(lb_rx *x, const char *from, options *o) {
    *o = options_of(x);
    bool on = true;
    for (; x->at < x->end && *x->at != ':' && *x->at != ')'; x->at++) {
        switch (*x->at) {
        case '-':
            on = false;
            break;
        case 'i':
            o->ignore_case = on;
            break;
        case 'm':
            o->dot_all = on;
            break;
        case 'x':
            o->extended = on;
            break;
        default:
            return lb_rx_refuse(x, from, (size_t)(x->at - from) + 1, "a kind of group or an option",
                                "it is not known here");
        }
    }
    if (x->at < x->end) return LB_OK;
    return lb_rx_refuse(x, from, 1, "a group without an end", "')' is missing");
}

/* (?i) is in force up to the end of the group around it, alternatives included: a(?i)b|c is a(?i:b|c). */
static lb_status read_options(lb_rx *x, const char *from, lb_rx_part *p, bool *rest) {
    options was = options_of(x), o;
    lb_rx_body b;
    LB_TRY(read_option_letters(x, from, &o));
    *rest = *x->at++ == ')';
    lb_str_add(x->out, "(?:");
    set_options(x, o);
    if (!*rest) {
        LB_TRY(read_body(x, from, &b));
    } else {
        LB_TRY(read_alternatives(x, &b));
        lb_str_add(x->out, ")");
    }
    set_options(x, was);
    from_body(p, b);
    return LB_OK;
}

/* x->at is at the parenthesis. rest: all up to the end of the group around it was read. */
static lb_status read_group(lb_rx *x, lb_rx_part *p, bool *rest) {
    static const struct {
        const char *opening, *name;
    } unknown[] = {{"(?~", "the absence operator"},
                   {"(?(", "a condition"},
                   {"(?{", "a callout"},
                   {"(?<>", "a group without a name"},
                   {"(?P", "the option P, or a group of another dialect"}};
    static const char *const look[] = {"(?=", "(?!", "(?<=", "(?<!"};
    const char *from = x->at;
    size_t left = (size_t)(x->end - from);
    lb_rx_body b;
    if (left >= 2 && from[1] == '*') return lb_rx_refuse(x, from, 2, "a callout", "it is not known here");
    x->at++;
    if (left < 3 || from[1] != '?') return read_capture(x, from, p);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (!strncmp(from, unknown[i].opening, strlen(unknown[i].opening)))
            return lb_rx_refuse(x, from, strlen(unknown[i].opening), unknown[i].name, "it is not known here");
    for (size_t i = 0; i < sizeof look / sizeof *look; i++) {
        if (strncmp(from, look[i], strlen(look[i])) != 0) continue;
        x->at = from + strlen(look[i]);
        return read_look(x, from, look[i], p);
    }
    if (from[2] == ':' || from[2] == '>') {
        x->at = from + 3;
        lb_str_add(x->out, "(?%c", from[2]);
        LB_TRY(read_body(x, from, &b));
        from_body(p, b);
        if (from[2] == '>') p->kind = LB_RX_UNIT;
        return LB_OK;
    }
    x->at = from + 2;
    if (from[2] != '<' && from[2] != '\'') return read_options(x, from, p, rest);
    x->at++;
    return read_named(x, from, from[2] == '<' ? '>' : '\'', p);
}

static lb_status read_atom(lb_rx *x, lb_rx_part *p, bool *rest) {
    char c = *x->at;
    const char *from = x->at;
    int32_t code = 0;
    *rest = false;
    *p = (lb_rx_part){.kind = LB_RX_UNIT, .start = x->out->len};
    switch (c) {
    case '(':
        if (++x->depth > LB_RX_MAX_DEPTH)
            return lb_rx_refuse(x, from, 1, "a group too deep in others", "100 is the limit");
        LB_TRY(read_group(x, p, rest));
        x->depth--;
        return LB_OK;
    case '[':
        x->at++;
        forget_tail(x);
        p->min = p->max = 1;
        return lb_rx_read_class(x);
    case '\\':
        return read_escaped(x, p);
    case '.':
        x->at++;
        forget_tail(x);
        p->min = p->max = 1;
        p->any = x->dot_all;
        lb_str_add(x->out, x->dot_all ? "(?s:.)" : "\\N");
        return LB_OK;
    case '^':
    case '$':
        x->at++;
        forget_tail(x);
        p->kind = LB_RX_ASSERTION;
        lb_str_add(x->out, "%c", c);
        return LB_OK;
    default:
        LB_TRY(lb_rx_next(x, &code));
        return write_literal(x, from, code, p);
    }
}

/* ---- branches ---- */

/* Comments, and with the option x white space and what follows '#' in a line. */
static lb_status skip_unread(lb_rx *x) {
    while (x->at < x->end) {
        const char *from = x->at;
        if (x->end - x->at > 2 && !strncmp(x->at, "(?#", 3)) {
            for (x->at += 3; x->at < x->end && *x->at != ')'; x->at++)
                if (*x->at == '\\' && x->at + 1 < x->end) x->at++;
            if (x->at == x->end) return lb_rx_refuse(x, from, 3, "a comment without an end", "')' is missing");
            x->at++;
        } else if (x->extended && strchr(" \t\n\r\f", *x->at)) {
            x->at++;
        } else if (x->extended && *x->at == '#') {
            while (x->at < x->end && *x->at != '\n') x->at++;
        } else {
            break;
        }
    }
    return LB_OK;
}

/* Up to | or ) or the end. only: the single part, if there is no other. */
static lb_status read_branch(lb_rx *x, lb_rx_body *b, lb_rx_part *only) {
    int parts = 0;
    *b = (lb_rx_body){0};
    lb_rx_part last = {.kind = LB_RX_NOTHING};
    for (bool rest = false; !rest;) {
        LB_TRY(skip_unread(x));
        if (x->at == x->end || *x->at == '|' || *x->at == ')') break;
        const char *from = x->at;
        lb_rx_quantifier q;
        if (lb_rx_quantifier_here(x, &q)) LB_TRY(lb_rx_write_quantifier(x, from, &q, &last)); /* nothing is before it */
        LB_TRY(read_atom(x, &last, &rest));
        if (last.kind == LB_RX_ASSERTION) x->asserted = true;
        for (;;) {
            LB_TRY(skip_unread(x));
            from = x->at;
            if (rest || !lb_rx_quantifier_here(x, &q)) break;
            LB_TRY(lb_rx_write_quantifier(x, from, &q, &last));
        }
        b->min = add(b->min, last.min);
        b->max = add(b->max, last.max);
        if (last.min) x->lead = false;
        parts++;
        *only = last;
        last.kind = LB_RX_NOTHING;
        if (x->out->len > 64 * (size_t)LB_RX_MAX_LENGTH)
            return lb_rx_refuse(x, from, 1, "a pattern too large", "its classes are too many");
    }
    if (parts != 1) only->kind = LB_RX_NOTHING;
    return LB_OK;
}

static lb_status read_alternatives(lb_rx *x, lb_rx_body *b) {
    *b = (lb_rx_body){.min = LB_RX_ENDLESS, .fixed = true};
    bool lead = x->lead, asserted = x->asserted, any_asserted = asserted;
    for (int n = 0;; n++) {
        lb_rx_body branch;
        lb_rx_part only = {.kind = LB_RX_NOTHING};
        x->lead = lead;
        x->asserted = asserted;
        LB_TRY(read_branch(x, &branch, &only));
        any_asserted = any_asserted || x->asserted;
        if (branch.min < b->min) b->min = branch.min;
        if (branch.max > b->max) b->max = branch.max;
        b->fixed = b->fixed && branch.min == branch.max && branch.max < LB_RX_ENDLESS;
        b->assertion = !n && only.kind == LB_RX_ASSERTION;
        b->any = !n && only.any;
        if (x->at == x->end || *x->at != '|') break;
        x->at++;
        lb_str_add(x->out, "|");
        forget_tail(x);
    }
    x->lead = lead;
    x->asserted = any_asserted;
    return lb_str_check(x->out);
}

/* ---- the whole ---- */

/* PCRE2's categories are those of unicode.h but for what is marked as newer, for these versions of Unicode. */
static bool trusts_categories(void) {
    static const char *const version[] = {"14.0.0", "15.0.0", "15.1.0", "16.0.0"};
    char has[64];
    if (pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, NULL) > (int)sizeof has) return false;
    if (pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, has) < 0) return false;
    for (size_t i = 0; i < sizeof version / sizeof *version; i++)
        if (!strcmp(has, version[i])) return true;
    return false;
}

lb_status lb_regex_translate(const char *what, const char *pattern, bool older, lb_str *out) {
    size_t n = strlen(pattern);
    if (n > LB_RX_MAX_LENGTH)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a pattern of %zu bytes: %d is the limit", what, n, LB_RX_MAX_LENGTH);
    lb_rx x = {.what = what, .pattern = pattern, .at = pattern, .end = pattern + n, .out = out, .lead = true};
    x.how = !trusts_categories() ? LB_RX_RANGES : older ? LB_RX_OLDER : LB_RX_ALL;
    LB_TRY(lb_arena_new(1 << 16, &x.arena));
    lb_status status;
    lb_rx_body b;
    LB_TRY_GOTO(status, done, read_alternatives(&x, &b));
    if (x.at < x.end)
        status = lb_rx_refuse(&x, x.at, 1, "the end of a group", "none is open");
    else if (x.numbered && x.n_name)
        status =
            lb_rx_refuse(&x, x.numbered, 2, "a reference by number", "where groups have names, Oniguruma refuses it");
done:
    lb_arena_free(x.arena);
    return status;
}

/* Quantifiers: what they are by Oniguruma's rules, and the groups that PCRE2 needs for them. */
#include <string.h>

#include "model/tokenizer/regex_impl.h"

static int32_t times(int32_t a, int32_t b) { return a && b > LB_RX_ENDLESS / a ? LB_RX_ENDLESS : a * b; }

static void insert(lb_str *out, size_t at, const char *what) {
    size_t n = strlen(what);
    lb_str_add_bytes(out, what, n);
    if (out->failed) return;
    memmove(out->s + at + n, out->s + at, out->len - n - at);
    memcpy(out->s + at, what, n);
}

static int32_t number(const char **p, const char *end) {
    int64_t v = 0;
    const char *s = *p;
    for (; s < end && *s >= '0' && *s <= '9'; s++) v = v > 1000000 ? v : 10 * v + (*s - '0');
    *p = s;
    return (int32_t)v;
}

/* {n} {n,} {,n} {n,m}; anything else in braces is literal: false. */
static bool interval_here(const char **at, const char *end, lb_rx_quantifier *q) {
    const char *p = *at + 1, *low = p;
    q->low = number(&p, end);
    bool has_low = p > low, comma = p < end && *p == ',';
    q->high = q->low;
    if (comma) {
        const char *high = ++p;
        q->high = number(&p, end);
        bool has_high = p > high;
        if (!has_low && !has_high) return false;
        if (!has_high) q->high = LB_RX_ENDLESS;
    } else if (!has_low) {
        return false;
    }
    if (p == end || *p != '}') return false;
    *at = p + 1;
    q->interval = true;
    if (q->low > q->high) {
        int32_t high = q->low;
        q->low = q->high;
        q->high = high;
        q->swapped = true;
    }
    return true;
}

/* {n}? is an optional {n}, {n}+ and {n,m}+ repeat again, {m,n} with m > n is possessive. */
bool lb_rx_quantifier_here(lb_rx *x, lb_rx_quantifier *q) {
    *q = (lb_rx_quantifier){0};
    const char *at = x->at;
    if (at == x->end) return false;
    switch (*at) {
    case '*':
    case '+':
    case '?':
        q->low = *at == '+';
        q->high = *at == '?' ? 1 : LB_RX_ENDLESS;
        at++;
        break;
    case '{':
        if (!interval_here(&at, x->end, q)) return false;
        break;
    default:
        return false;
    }
    bool exact = q->interval && q->low == q->high;
    bool may_be_lazy = !exact && !q->swapped;
    if (at < x->end && ((*at == '?' && may_be_lazy) || (*at == '+' && !q->interval))) q->mode = *at++;
    x->at = at;
    return true;
}

lb_status lb_rx_write_quantifier(lb_rx *x, const char *from, const lb_rx_quantifier *q, lb_rx_part *p) {
    size_t n = (size_t)(x->at - from);
    if (p->kind == LB_RX_NOTHING || p->kind == LB_RX_ASSERTION)
        return lb_rx_refuse(x, from, n, "a quantifier", "nothing that can be repeated is before it");
    if ((q->high != LB_RX_ENDLESS && q->high > 65535) || q->low > 65535)
        return lb_rx_refuse(x, from, n, "a quantifier", "65535 is the limit here");
    /* Oniguruma leaves such a loop at the first empty pass, also where passes are still due; PCRE2 goes on. */
    bool counted = q->interval && q->high > 1 && !(q->high == LB_RX_ENDLESS && q->low <= 1);
    if (counted && !p->min) return lb_rx_refuse(x, from, n, "a counted repetition", "what it repeats can be empty");
    /* Oniguruma searches a pattern that begins so at the start of the text alone, whatever the assertion says. */
    if (p->any && q->high == LB_RX_ENDLESS && x->lead && x->asserted)
        return lb_rx_refuse(x, from, n, "a leading run of any characters", "an assertion is before it");
    if (p->kind == LB_RX_REPEATED || q->swapped) {
        insert(x->out, p->start, q->swapped ? "(?>(?:" : "(?:");
        lb_str_add(x->out, ")");
    }
    if (!q->interval)
        lb_str_add(x->out, "%c", q->high == 1 ? '?' : q->low ? '+' : '*');
    else if (q->low == q->high)
        lb_str_add(x->out, "{%d}", q->low);
    else if (q->high == LB_RX_ENDLESS)
        lb_str_add(x->out, "{%d,}", q->low);
    else
        lb_str_add(x->out, "{%d,%d}", q->low, q->high);
    if (q->mode) lb_str_add(x->out, "%c", q->mode);
    if (q->swapped) lb_str_add(x->out, ")");
    p->kind = q->swapped ? LB_RX_UNIT : LB_RX_REPEATED;
    p->min = times(p->min, q->low);
    p->max = q->high == LB_RX_ENDLESS && p->max ? LB_RX_ENDLESS : times(p->max, q->high);
    return lb_str_check(x->out);
}

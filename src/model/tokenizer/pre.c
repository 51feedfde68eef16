/* Normalizers and pre-tokenizer steps. A step cuts a piece and hands each part to the next step at once: nothing is
 * stored, so memory does not grow with the text. */
#include <utf8proc.h>

#include "model/tokenizer/impl.h"

/* ---- normalizers ---- */

static void replace_literal(lb_str *out, lb_tok_view in, const lb_tok_norm *z) {
    size_t done = 0;
    while (z->pattern.n) {
        const char *hit = memmem(in.s + done, in.n - done, z->pattern.s, z->pattern.n);
        if (!hit) break;
        lb_str_add_bytes(out, in.s + done, (size_t)(hit - in.s) - done);
        lb_str_add_bytes(out, z->content.s, z->content.n);
        done = (size_t)(hit - in.s) + z->pattern.n;
    }
    lb_str_add_bytes(out, in.s + done, in.n - done);
}

static lb_status replace_regex(lb_tok_run *r, lb_str *out, lb_tok_view in, const lb_tok_norm *z) {
    size_t done = 0;
    lb_tok_matches m = lb_tok_matches_of(r, &z->regex, in);
    for (;;) {
        bool found;
        size_t start, end;
        LB_TRY(lb_tok_match_next(&m, &found, &start, &end));
        if (!found) break;
        lb_str_add_bytes(out, in.s + done, start - done);
        lb_str_add_bytes(out, z->content.s, z->content.n);
        done = end;
    }
    lb_str_add_bytes(out, in.s + done, in.n - done);
    return LB_OK;
}

/* NFC and its like over the valid stretches of the text; bytes that are not UTF-8 stay. */
static lb_status unicode_form(lb_str *out, lb_tok_view in, int form) {
    lb_status status = LB_OK;
    utf8proc_int32_t *code = NULL;
    for (size_t at = 0; at < in.n;) {
        size_t n = lb_tok_invalid_utf8(in.s + at, in.n - at);
        if (n) {
            const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)in.s + at;
            utf8proc_ssize_t need = utf8proc_decompose(s, (utf8proc_ssize_t)n, NULL, 0, (utf8proc_option_t)form);
            lb_free(code);
            code = need > 0 ? lb_alloc((size_t)need + 1, sizeof *code) : NULL;
            if (need > 0 && !code) return LB_E_NOMEM;
            if (need > 0) need = utf8proc_decompose(s, (utf8proc_ssize_t)n, code, need, (utf8proc_option_t)form);
            if (need > 0) need = utf8proc_reencode(code, need, (utf8proc_option_t)form);
            if (need < 0) {
                status = lb_fail(LB_E_FORMAT, "Unicode normalization: %s", utf8proc_errmsg(need));
                break;
            }
            lb_str_add_bytes(out, code, (size_t)need);
        }
        at += n;
        if (at < in.n) lb_str_add_bytes(out, in.s + at++, 1);
    }
    lb_free(code);
    return status;
}

lb_status lb_tok_normalize(lb_tok_run *r, lb_tok_view in, lb_tok_view *out) {
    int to = 0;
    for (int i = 0; i < r->t->n_norm && in.n; i++, to = !to) {
        const lb_tok_norm *z = &r->t->norm[i];
        lb_str *b = &r->norm[to];
        b->len = 0;
        switch (z->kind) {
        case LB_TOK_PREPEND:
            lb_str_add_bytes(b, z->content.s, z->content.n);
            lb_str_add_bytes(b, in.s, in.n);
            break;
        case LB_TOK_REPLACE:
            replace_literal(b, in, z);
            break;
        case LB_TOK_REPLACE_REGEX:
            LB_TRY(replace_regex(r, b, in, z));
            break;
        case LB_TOK_UNICODE:
            LB_TRY(unicode_form(b, in, z->form));
            break;
        }
        LB_TRY(lb_str_check(b));
        in = (lb_tok_view){b->s ? b->s : "", b->len};
    }
    *out = in;
    return LB_OK;
}

/* ---- steps ---- */

static lb_status step_from(lb_tok_run *r, int i, lb_tok_view v, bool at_start);

/* What a cut at step i still holds back: parts merge with a neighbour under three of the five behaviours. */
typedef struct cutter {
    lb_tok_run *r;
    int step;
    lb_tok_behavior behavior;
    const char *base;
    bool at_start; /* base is the start of the text */
    lb_tok_view held;
    bool held_match;
} cutter;

static lb_status pass_on(cutter *c, lb_tok_view v) {
    if (!v.n) return LB_OK;
    return step_from(c->r, c->step + 1, v, c->at_start && v.s == c->base);
}

static lb_status cut_part(cutter *c, const char *s, size_t n, bool match) {
    lb_tok_view v = {s, n};
    if (!n) return LB_OK;
    bool join = false;
    switch (c->behavior) {
    case LB_TOK_ISOLATED:
        return pass_on(c, v);
    case LB_TOK_REMOVED:
        return match ? LB_OK : pass_on(c, v);
    case LB_TOK_CONTIGUOUS:
        join = match == c->held_match;
        break;
    case LB_TOK_WITH_PREVIOUS:
        join = match && !c->held_match;
        break;
    case LB_TOK_WITH_NEXT:
        join = !match && c->held_match;
        break;
    }
    bool joined = join && c->held.n;
    if (joined) {
        c->held.n += n;
    } else {
        LB_TRY(pass_on(c, c->held));
        c->held = v;
    }
    c->held_match = match;
    return LB_OK;
}

static lb_status cut_end(cutter *c) {
    lb_tok_view held = c->held;
    c->held.n = 0;
    return pass_on(c, held);
}

static lb_status split_regex(cutter *c, const lb_tok_step *step, lb_tok_view v) {
    size_t done = 0;
    lb_tok_matches m = lb_tok_matches_of(c->r, &step->regex, v);
    for (;;) {
        bool found;
        size_t start, end;
        LB_TRY(lb_tok_match_next(&m, &found, &start, &end));
        if (!found) break;
        LB_TRY(cut_part(c, v.s + done, start - done, step->invert));
        /* An empty match ends a run of others. */
        if (start == end && c->behavior == LB_TOK_CONTIGUOUS) LB_TRY(cut_end(c));
        LB_TRY(cut_part(c, v.s + start, end - start, !step->invert));
        done = end;
    }
    return cut_part(c, v.s + done, v.n - done, step->invert);
}

static lb_status split_literal(cutter *c, const lb_tok_step *step, lb_tok_view v) {
    size_t done = 0;
    for (;;) {
        const char *hit = memmem(v.s + done, v.n - done, step->literal.s, step->literal.n);
        if (!hit) break;
        size_t at = (size_t)(hit - v.s);
        LB_TRY(cut_part(c, v.s + done, at - done, step->invert));
        LB_TRY(cut_part(c, hit, step->literal.n, !step->invert));
        done = at + step->literal.n;
    }
    return cut_part(c, v.s + done, v.n - done, step->invert);
}

static lb_status split_digits(cutter *c, lb_tok_view v) {
    size_t done = 0, at = 0;
    while (at < v.n) {
        int32_t code;
        size_t k = lb_tok_char(v.s + at, v.n - at, &code);
        if (lb_tok_classify(code) == LB_TOK_NUMBER) {
            LB_TRY(cut_part(c, v.s + done, at - done, false));
            LB_TRY(cut_part(c, v.s + at, k, true));
            done = at + k;
        }
        at += k;
    }
    return cut_part(c, v.s + done, v.n - done, false);
}

/* Before each mark that follows something else (`words`), or before every mark. */
static lb_status split_marks(cutter *c, lb_tok_view v, bool words) {
    size_t done = 0, at = 0;
    while (at < v.n) {
        const char *hit = memmem(v.s + at, v.n - at, LB_TOK_META, LB_TOK_META_LEN);
        if (!hit) break;
        size_t p = (size_t)(hit - v.s);
        bool after_mark = p == at && p > 0; /* at is just behind the mark before */
        if (!words || !after_mark) {
            LB_TRY(cut_part(c, v.s + done, p - done, false));
            done = p;
        }
        at = p + LB_TOK_META_LEN;
    }
    return cut_part(c, v.s + done, v.n - done, false);
}

static lb_status metaspace(lb_tok_run *r, int i, lb_tok_view v, bool at_start) {
    const lb_tok_step *step = &r->t->step[i];
    lb_str b = {0};
    const lb_tok_norm marks = {.kind = LB_TOK_REPLACE, .pattern = {" ", 1}, .content = {LB_TOK_META, LB_TOK_META_LEN}};
    bool marked = v.n && (v.s[0] == ' ' || (v.n >= LB_TOK_META_LEN && !memcmp(v.s, LB_TOK_META, LB_TOK_META_LEN)));
    if (!marked && (step->prepend == LB_TOK_ALWAYS || (step->prepend == LB_TOK_FIRST && at_start)))
        lb_str_add(&b, "%s", LB_TOK_META);
    replace_literal(&b, v, &marks);
    lb_status status;
    LB_TRY_GOTO(status, done, lb_str_check(&b));
    cutter c = {.r = r, .step = i, .behavior = LB_TOK_ISOLATED, .base = b.s, .at_start = at_start};
    lb_tok_view all = {b.s, b.len};
    LB_TRY_GOTO(status, done, step->split ? split_marks(&c, all, false) : pass_on(&c, all));
done:
    lb_str_free(&b);
    return status;
}

static lb_status space_first(lb_tok_run *r, int i, lb_tok_view v, bool at_start) {
    if (v.s[0] == ' ') return step_from(r, i + 1, v, at_start);
    lb_str b = {0};
    lb_str_add(&b, " ");
    lb_str_add_bytes(&b, v.s, v.n);
    lb_status status;
    LB_TRY_GOTO(status, done, lb_str_check(&b));
    LB_TRY_GOTO(status, done, step_from(r, i + 1, (lb_tok_view){b.s, b.len}, at_start));
done:
    lb_str_free(&b);
    return status;
}

static lb_status step_from(lb_tok_run *r, int i, lb_tok_view v, bool at_start) {
    if (i == r->t->n_step) return lb_tok_word(r, v.s, v.n);
    const lb_tok_step *step = &r->t->step[i];
    cutter c = {.r = r, .step = i, .behavior = step->behavior, .base = v.s, .at_start = at_start};
    switch (step->kind) {
    case LB_TOK_SCAN:
        for (size_t at = 0; at < v.n;) {
            size_t k = step->scan(v.s + at, v.n - at);
            LB_TRY(pass_on(&c, (lb_tok_view){v.s + at, k}));
            at += k;
        }
        return LB_OK;
    case LB_TOK_REGEX:
        LB_TRY(split_regex(&c, step, v));
        return cut_end(&c);
    case LB_TOK_LITERAL:
        LB_TRY(split_literal(&c, step, v));
        return cut_end(&c);
    case LB_TOK_DIGITS:
        LB_TRY(split_digits(&c, v));
        return cut_end(&c);
    case LB_TOK_META_WORDS:
        return split_marks(&c, v, true);
    case LB_TOK_METASPACE:
        return metaspace(r, i, v, at_start);
    case LB_TOK_SPACE_FIRST:
        return space_first(r, i, v, at_start);
    }
    return LB_OK;
}

lb_status lb_tok_words(lb_tok_run *r, lb_tok_view text, bool at_start) {
    return text.n ? step_from(r, 0, text, at_start) : LB_OK;
}

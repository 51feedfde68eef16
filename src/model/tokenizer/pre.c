/* Pre-tokenizer steps. A step cuts a piece and hands each part to the next step at once: nothing is stored, so memory
 * does not grow with the text. */
#include "model/tokenizer/impl.h"

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

static lb_status split_chars(cutter *c, lb_tok_view v, bool (*is)(int32_t code)) {
    bool spelled = c->r->t->step[c->step].spelled;
    size_t done = 0, at = 0;
    while (at < v.n) {
        int32_t code;
        size_t k = spelled ? 1 : lb_tok_char(v.s + at, v.n - at, &code);
        if (spelled) code = lb_tok_byte_code((uint8_t)v.s[at]);
        if (is(code)) {
            LB_TRY(cut_part(c, v.s + done, at - done, false));
            LB_TRY(cut_part(c, v.s + at, k, true));
            done = at + k;
        }
        at += k;
    }
    return cut_part(c, v.s + done, v.n - done, false);
}

/* Runs of word characters and runs of what is neither these nor white space, which is dropped. */
static lb_status split_words(cutter *c, lb_tok_view v) {
    enum { SPACE, WORD, OTHER } last = SPACE;
    size_t from = 0;
    for (size_t at = 0; at < v.n;) {
        int32_t code;
        size_t k = lb_tok_char(v.s + at, v.n - at, &code);
        int kind = lb_tok_is_word(code) ? WORD : lb_tok_is_space(code) ? SPACE : OTHER;
        if (kind != (int)last) {
            if (last != SPACE) LB_TRY(cut_part(c, v.s + from, at - from, true));
            from = at;
            last = kind;
        }
        at += k;
    }
    return last == SPACE ? LB_OK : cut_part(c, v.s + from, v.n - from, true);
}

/* Before each mark that follows something else (`words`), or before every mark. */
static lb_status split_marks(cutter *c, lb_tok_view v, lb_tok_view mark, bool words) {
    size_t done = 0, at = 0;
    while (at < v.n) {
        size_t p = at; /* marks are close to each other: no call pays */
        while (p < v.n && (v.s[p] != mark.s[0] || v.n - p < mark.n || memcmp(v.s + p, mark.s, mark.n) != 0)) p++;
        if (p == v.n) break;
        bool after_mark = p == at && p > 0; /* at is just behind the mark before */
        if (!words || !after_mark) {
            LB_TRY(cut_part(c, v.s + done, p - done, false));
            done = p;
        }
        at = p + mark.n;
    }
    return cut_part(c, v.s + done, v.n - done, false);
}

static bool begins_with(lb_tok_view v, lb_tok_view with) { return v.n >= with.n && !memcmp(v.s, with.s, with.n); }

/* The room of the run for what becomes of the piece v; a step that needs some meanwhile gets its own. */
static lb_str take_piece(lb_tok_run *r, lb_tok_view v) {
    lb_str b = r->piece;
    r->piece = (lb_str){0};
    lb_tok_grow_begin(r, v.n, &b);
    return b;
}

/* The steps that change what they pass on: b is the changed piece of `was` bytes, whose room goes back. */
static lb_status changed(lb_tok_run *r, int i, size_t was, lb_str *b, bool at_start) {
    const lb_tok_step *step = &r->t->step[i];
    cutter c = {.r = r, .step = i, .behavior = LB_TOK_ISOLATED, .base = b->s, .at_start = at_start};
    lb_tok_view all = {b->s, b->len};
    lb_status status = lb_tok_grow_end(r, was, b, LB_OK);
    if (status == LB_OK) status = step->split ? split_marks(&c, all, step->literal, false) : pass_on(&c, all);
    lb_str_free(&r->piece);
    r->piece = *b;
    return status;
}

static lb_status metaspace(lb_tok_run *r, int i, lb_tok_view v, bool at_start) {
    const lb_tok_step *step = &r->t->step[i];
    lb_str b = take_piece(r, v);
    bool marked = v.s[0] == ' ' || begins_with(v, step->literal);
    if (!marked && (step->prepend == LB_TOK_ALWAYS || (step->prepend == LB_TOK_FIRST && at_start)))
        lb_str_add_bytes(&b, step->literal.s, step->literal.n);
    lb_tok_replace(&b, v, (lb_tok_view){" ", 1}, step->literal);
    return changed(r, i, v.n, &b, at_start);
}

static lb_status space_first(lb_tok_run *r, int i, lb_tok_view v, bool at_start) {
    if (v.s[0] == ' ') return step_from(r, i + 1, v, at_start);
    lb_str b = take_piece(r, v);
    lb_str_add_bytes(&b, " ", 1);
    lb_str_add_bytes(&b, v.s, v.n);
    return changed(r, i, v.n, &b, at_start);
}

static lb_status alphabet(lb_tok_run *r, int i, lb_tok_view v, bool at_start) {
    lb_str b = take_piece(r, v);
    lb_tok_put_alphabet(&b, v);
    return changed(r, i, v.n, &b, at_start);
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
    case LB_TOK_CHARS:
        LB_TRY(split_chars(&c, v, step->is));
        return cut_end(&c);
    case LB_TOK_WORDS:
        return split_words(&c, v);
    case LB_TOK_META_WORDS:
        r->score = 0;
        return split_marks(&c, v, (lb_tok_view){LB_TOK_META, LB_TOK_META_LEN}, true);
    case LB_TOK_ALPHABET:
        return alphabet(r, i, v, at_start);
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

/* Matching the patterns of a file: one match after the other as the tokenizers library finds them, in bounded time. */
#include "model/tokenizer/impl.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/unicode.h"

/* Steps of the matcher (as PCRE2 counts them) that a search may take from each place. LIGHT is what ordinary patterns
 * stay below; what needs more is paid from an allowance that grows with the text. */
#define LIGHT_STEPS   2000
#define MOST_STEPS    8192000u
#define STEPS_A_CALL  4000000000u
#define STEPS_A_BYTE  4000u
#define LIGHT_WINDOW  65536 /* places that one call of PCRE2 tries: the interrupt is polled in between */
#define HEAVY_WINDOW  16
#define HEAP_LIMIT_KB (256 * 1024)

static lb_status compile(lb_tokenizer *t, const char *what, const char *text, const lb_str *s, pcre2_code **out) {
    pcre2_compile_context *cc = pcre2_compile_context_create(t->pcre);
    if (!cc) return lb_fail(LB_E_NOMEM, "%s: out of memory for a pattern", what);
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    int code;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF | PCRE2_USE_OFFSET_LIMIT;
    /* The compiler of PCRE2 10.42 takes a wrong first character from an atomic group: (?>.+?)b misses "aab" at 1. */
    if (s->s && strstr(s->s, "(?>")) options |= PCRE2_NO_START_OPTIMIZE;
    /* It makes the first a* of (a*)(b)?+\1 possessive, as if the rest could not begin with an a. */
    if (s->s && strstr(s->s, "\\g{")) options |= PCRE2_NO_AUTO_POSSESS;
    *out = pcre2_compile((PCRE2_SPTR)(s->s ? s->s : ""), s->len, options, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (*out) {
        (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it the interpreter matches, slower */
        return LB_OK;
    }
    PCRE2_UCHAR why[128];
    pcre2_get_error_message(code, why, sizeof why);
    return lb_fail(code == PCRE2_ERROR_HEAP_FAILED ? LB_E_NOMEM : LB_E_UNSUPPORTED,
                   "%s: pattern \"%.300s\": PCRE2 cannot hold it: %s", what, text, (const char *)why);
}

lb_status lb_tok_pattern_new(lb_tokenizer *t, const char *where, const char *text, lb_tok_pattern *out) {
    lb_str all = {0}, older = {0};
    char *what = lb_arena_printf(t->arena, "%s: %s", t->name, where);
    lb_status status;
    out->text = lb_arena_strdup(t->arena, text);
    LB_TRY_GOTO(status, done, what && out->text ? LB_OK : LB_E_NOMEM);
    LB_TRY_GOTO(status, done, lb_regex_translate(what, text, false, &all));
    LB_TRY_GOTO(status, done, lb_regex_translate(what, text, true, &older));
    LB_TRY_GOTO(status, done, compile(t, what, text, &all, &out->re));
    if (all.len != older.len || (all.len && memcmp(all.s, older.s, all.len) != 0))
        LB_TRY_GOTO(status, done, compile(t, what, text, &older, &out->older));
done:
    lb_str_free(&all);
    lb_str_free(&older);
    return status;
}

void lb_tok_pattern_free(lb_tok_pattern *p) {
    pcre2_code_free(p->re);
    pcre2_code_free(p->older);
    *p = (lb_tok_pattern){0};
}

void lb_tok_match_again(lb_tok_run *r) { r->allowance = STEPS_A_CALL; }

lb_status lb_tok_match_limits(lb_tok_run *r) {
    r->limits = pcre2_match_context_create(r->t->pcre);
    if (!r->limits) return lb_fail(LB_E_NOMEM, "%s: out of memory for the tokenizer's patterns", r->t->name);
    r->limit = LIGHT_STEPS;
    lb_tok_match_again(r);
    pcre2_set_match_limit(r->limits, r->limit);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KB);
    return LB_OK;
}

static void set_limit(lb_tok_run *r, uint32_t steps) {
    if (r->limit == steps) return;
    pcre2_set_match_limit(r->limits, steps);
    r->limit = steps;
}

static lb_status fails(const lb_tok_matches *m, size_t from, const char *why) {
    return lb_fail(LB_E_UNSUPPORTED, "%s: pattern \"%.300s\" fails at byte %zu of a piece of %zu bytes of text: %s",
                   m->run->t->name, m->pattern->text, from, m->text.n, why);
}

static lb_status out_of_bounds(const lb_tok_matches *m, size_t from, int rc) {
    if (rc == PCRE2_ERROR_NOMEMORY)
        return lb_fail(LB_E_NOMEM, "%s: out of memory for a match of pattern \"%.300s\"", m->run->t->name,
                       m->pattern->text);
    if (rc == PCRE2_ERROR_HEAPLIMIT) return fails(m, from, "a match would need more than 256 MiB");
    if (rc == PCRE2_ERROR_MATCHLIMIT)
        return fails(m, from, "its ways to match are too many to try, as of nested repetitions");
    PCRE2_UCHAR why[128];
    pcre2_get_error_message(rc, why, sizeof why);
    return fails(m, from, (const char *)why);
}

static int run_pcre2(const lb_tok_matches *m, size_t from) {
    lb_tok_run *r = m->run;
    PCRE2_SPTR s = (PCRE2_SPTR)m->text.s;
    int rc = pcre2_match(m->re, s, m->text.n, from, m->options, r->match, r->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its stack on the heap */
        rc = pcre2_match(m->re, s, m->text.n, from, m->options | PCRE2_NO_JIT, r->match, r->limits);
    return rc;
}

/* The first match that begins at or after `from`. In windows of places, so that neither an interrupt nor the end of the
 * allowance waits for the end of the text; a window in which some place needs more steps is searched again with more.
 */
static lb_status search(lb_tok_matches *m, size_t from, bool *found, size_t *start, size_t *end) {
    lb_tok_run *r = m->run;
    uint32_t steps = LIGHT_STEPS;
    for (;;) {
        LB_TRY(lb_interrupt_check());
        size_t window = steps == LIGHT_STEPS ? LIGHT_WINDOW : HEAVY_WINDOW;
        size_t last = m->text.n - from < window ? m->text.n : from + window;
        set_limit(r, steps);
        pcre2_set_offset_limit(r->limits, last);
        int rc = run_pcre2(m, from);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(r->match);
        if (steps > LIGHT_STEPS) {
            uint64_t tried = (rc >= 0 ? (o[0] > from ? o[0] - from : 0) : last - from) + 1, cost = steps * tried;
            if (cost > r->allowance) return out_of_bounds(m, from, PCRE2_ERROR_MATCHLIMIT);
            r->allowance -= cost;
        }
        if (rc >= 0) {
            *found = true;
            *start = o[0];
            *end = o[1];
            return LB_OK;
        }
        if (rc == PCRE2_ERROR_MATCHLIMIT && steps < MOST_STEPS) {
            steps *= 4;
            continue;
        }
        if (rc != PCRE2_ERROR_NOMATCH) return out_of_bounds(m, from, rc);
        *found = false;
        if (last == m->text.n) return LB_OK;
        from = last + 1; /* within a character PCRE2 would not begin: */
        while (from < m->text.n && m->options && ((uint8_t)m->text.s[from] & 0xC0) == 0x80) from++;
        steps = LIGHT_STEPS;
    }
}

/* Whether the text is UTF-8, and whether it has no character that older versions of Unicode do not know. */
static void look_over(lb_tok_view v, bool *valid, bool *older) {
    *valid = *older = true;
    int32_t from = 0, to = -1; /* known characters around the last one: its neighbours are most often there too */
    for (size_t at = 0; at < v.n;) {
        int32_t code = (uint8_t)v.s[at];
        if (code < 0x80) {
            at++;
            continue;
        }
        at += lb_tok_char(v.s + at, v.n - at, &code);
        if (code < 0) *valid = false;
        if ((code >= from && code <= to) || code < 0) continue;
        int low = 0, high = lb_uni_n_newer;
        while (low < high) {
            int mid = (low + high) / 2;
            if (lb_uni_newer[mid].last < code)
                low = mid + 1;
            else
                high = mid;
        }
        from = low ? lb_uni_newer[low - 1].last + 1 : 0;
        to = low < lb_uni_n_newer ? lb_uni_newer[low].first - 1 : LB_UNI_MAX;
        if (code > to) *older = false;
    }
}

lb_tok_matches lb_tok_matches_of(lb_tok_run *r, const lb_tok_pattern *p, lb_tok_view v) {
    bool valid, older;
    look_over(v, &valid, &older);
    r->allowance += (uint64_t)v.n * STEPS_A_BYTE;
    /* Without the compiler for this machine PCRE2 would check the rest of the text at every call. */
    return (lb_tok_matches){.run = r,
                            .pattern = p,
                            .re = older && p->older ? p->older : p->re,
                            .text = v,
                            .options = valid ? PCRE2_NO_UTF_CHECK : 0,
                            .last_end = SIZE_MAX};
}

lb_status lb_tok_match_next(lb_tok_matches *m, bool *found, size_t *start, size_t *end) {
    for (*found = false; m->from <= m->text.n;) {
        LB_TRY(search(m, m->from, found, start, end));
        if (!*found) return LB_OK;
        bool again = *start == *end && *end == m->last_end;
        if (!again) {
            m->from = m->last_end = *end;
            return LB_OK;
        }
        int32_t code;
        m->from += m->from < m->text.n ? lb_tok_char(m->text.s + m->from, m->text.n - m->from, &code) : 1;
        *found = false;
    }
    return LB_OK;
}

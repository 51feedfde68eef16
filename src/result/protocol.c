#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "result/quality.h"

enum { C4_DRAWN = 256, C4_ROWS = 1100 };

const lb_protocol_form lb_protocol_forms[] = {
    {"W2-n", "W2-2048",
     "Windows of n tokens without overlap, the tail dropped. All tokens but the first of each are scored. The "
     "perplexity is exp of the mean over windows of the window's mean negative log-likelihood; its standard error is "
     "of the window means. What papers of the GPTQ family report.",
     2, 0, LB_RULE_W2, false},
    {"LCPP-n", "LCPP-512",
     "llama.cpp's: windows of n tokens; a BOS, where the model adds one, stands in place of each window's first token; "
     "the second half of each is scored. The perplexity is exp of the mean over all of those, with its standard error "
     "a token.",
     4, 0, LB_RULE_LCPP, false},
    {"SQ-n", "SQ-512",
     "Scored as W2-n. SQ-512 stands for SmoothQuant's table of LLaMA models, of whose scoring its paper says no more; "
     "its values are far from those of W2-512 and were never made again here.",
     2, 0, LB_RULE_SQ, false},
    {"HF-n/s", "HF-1024/512",
     "Windows of n tokens that begin s tokens apart, as in Hugging Face's documentation and HQQ. The first scores all "
     "its tokens but one, each later one those that no earlier one did; the last ends with the text and may be "
     "shorter. The perplexity is exp of the mean over all scored tokens, with its standard error a token.",
     2, 0, LB_RULE_HF, true},
    {"PTB-old", "PTB-old, of 2048 tokens a window, or PTB-old-512",
     "The first one of the GPTQ authors' program: Penn Treebank's validation set, a row a line, joined by two "
     "newlines; then scored as W2-n.",
     2, 2048, LB_RULE_PTB_OLD, false},
    {"PTB-new", "PTB-new, of 2048 tokens a window, or PTB-new-512",
     "That of the GPTQ paper's tables: Penn Treebank's test set, a row a line, joined by a space; then scored as W2-n.",
     2, 2048, LB_RULE_PTB_NEW, false},
    {"C4-old", "C4-old, of 2048 tokens a window, or C4-old-512",
     "The first one of the GPTQ authors' program: in C4's first validation file (json lines) 256 rows of at least n "
     "tokens are drawn, and a window in each, by Python's random after random.seed(0); then scored as W2-n.",
     2, 2048, LB_RULE_C4_OLD, false},
    {"C4-new", "C4-new, of 2048 tokens a window, or C4-new-512",
     "That of the GPTQ paper's tables: the first 1100 rows of C4's first validation file (json lines), joined by a "
     "space, and of that the first 256 windows; then scored as W2-n.",
     2, 2048, LB_RULE_C4_NEW, false},
    {"LAMB", "LAMB",
     "Of each LAMBADA passage the last word, which counts as right where every token of it is the most likely one. "
     "Its variant says how the text is read. Accuracy is the share of passages; the perplexity is exp of the mean over "
     "passages of the word's negative log-likelihood.",
     0, 0, LB_RULE_LAMB, false},
    {"MC-task", "MC-piqa",
     "Multiple choice from JSON lines, prompts and normalization as lm-evaluation-harness has them, without examples "
     "before the question: MC-hellaswag, MC-piqa, MC-arc, MC-winogrande, MC-openbookqa and MC-boolq. Accuracy is the "
     "share of items whose right choice is the most likely one, acc_norm by likelihood per character; there is no "
     "perplexity.",
     0, 0, LB_RULE_CHOICE, false},
    {0},
};

const lb_protocol_form *lb_protocol_form_of(lb_protocol_rule rule) {
    const lb_protocol_form *f = lb_protocol_forms;
    while (f->form && f->rule != rule) f++;
    return f;
}

/* ---- ids ---- */

/* No sign, no leading zero: one protocol has one spelling, since results are compared by it. */
static bool number(const char *digits, size_t len, int64_t *out) {
    char text[16];
    if (len < 1 || len >= sizeof text || *digits < '1' || *digits > '9') return false;
    memcpy(text, digits, len);
    text[len] = '\0';
    return lb_parse_i64(text, out) == LB_OK;
}

/* rest: "n" or "n/s", or what may stand behind a name. */
static lb_status sizes(const lb_protocol_form *f, const char *id, const char *rest, lb_protocol *out) {
    const int64_t most = 1 << 20;
    size_t n = strcspn(rest, "/");
    if (!number(rest, n, &out->n) || out->n < f->least || out->n > most || (rest[n] && !f->stride))
        return lb_fail(LB_E_CONFIG, "protocol %s: the window must be a whole number in [%lld, %lld]", id,
                       (long long)f->least, (long long)most);
    if (out->n == f->usual)
        return lb_fail(LB_E_CONFIG, "protocol %s: is called %s: one protocol has one name", id, f->form);
    out->stride = out->n;
    if (!f->stride) return LB_OK;
    const char *s = rest + n + (rest[n] == '/');
    if (rest[n] && number(s, strlen(s), &out->stride) && out->stride <= out->n) return LB_OK;
    return lb_fail(LB_E_CONFIG, "protocol %s: a stride in [1, %lld] must follow the window, as in HF-1024/512", id,
                   (long long)out->n);
}

/* Behind the form's own letters; NULL: the id is of another. */
static const char *behind(const lb_protocol_form *f, const char *id) {
    size_t len = f->usual ? strlen(f->form) : strcspn(f->form, "n");
    if (strncmp(id, f->form, len) != 0) return NULL;
    const char *rest = id + len;
    if (!f->usual || !*rest) return rest;
    return *rest == '-' ? rest + 1 : NULL;
}

static lb_status unknown(const char *id) {
    char known[256] = "";
    size_t at = 0;
    for (const lb_protocol_form *f = lb_protocol_forms; f->form; f++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", f->form);
    return lb_fail(LB_E_CONFIG, "protocol '%s' is not known: expected one of %s, as in W2-2048", id, known);
}

/* An item has no window of its own length: ids have no number. *is: the id is a task's. */
static lb_status parse_task(const char *id, lb_protocol *out, bool *is) {
    lb_protocol p = {.rule = LB_RULE_LAMB};
    *is = strcmp(id, "LAMB") == 0 || strncmp(id, "MC-", 3) == 0;
    if (!*is) return LB_OK;
    if (id[0] == 'M') {
        size_t known = 0;
        p.rule = LB_RULE_CHOICE;
        while (lb_question_names[known] && strcmp(lb_question_names[known], id + 3) != 0) known++;
        if (!lb_question_names[known])
            return lb_fail(LB_E_CONFIG,
                           "protocol '%s' is not known: expected MC- and one of hellaswag, piqa, arc, winogrande, "
                           "openbookqa, boolq",
                           id);
        p.question = (lb_question)known;
    }
    snprintf(p.id, sizeof p.id, "%s", id);
    *out = p;
    return LB_OK;
}

lb_status lb_protocol_parse(const char *id, lb_protocol *out) {
    bool task;
    LB_TRY(parse_task(id, out, &task));
    if (task) return LB_OK;
    for (const lb_protocol_form *f = lb_protocol_forms; f->form; f++) {
        const char *rest = f->least ? behind(f, id) : NULL;
        if (!rest) continue;
        lb_protocol p = {.rule = f->rule, .n = f->usual, .stride = f->usual};
        if (!f->usual || strcmp(id, f->form) != 0) LB_TRY(sizes(f, id, rest, &p));
        snprintf(p.id, sizeof p.id, "%s", id);
        *out = p;
        return LB_OK;
    }
    return unknown(id);
}

/* ---- texts ---- */

const char *lb_protocol_join(const lb_protocol *p) {
    if (p->rule == LB_RULE_C4_OLD || lb_protocol_is_task(p)) return NULL;
    return p->rule == LB_RULE_PTB_NEW || p->rule == LB_RULE_C4_NEW ? " " : "\n\n";
}

int64_t lb_protocol_first(const lb_protocol *p) { return p->rule == LB_RULE_C4_NEW ? C4_ROWS : 0; }

bool lb_protocol_fixes_rows(const lb_protocol *p) {
    return p->rule == LB_RULE_PTB_OLD || p->rule == LB_RULE_PTB_NEW || lb_protocol_needs_rows(p);
}

bool lb_protocol_needs_rows(const lb_protocol *p) {
    return p->rule == LB_RULE_C4_OLD || p->rule == LB_RULE_C4_NEW || lb_protocol_is_task(p);
}

int64_t lb_protocol_draws(const lb_protocol *p) { return p->rule == LB_RULE_C4_OLD ? C4_DRAWN : 0; }

bool lb_protocol_over_tokens(const lb_protocol *p) { return p->rule == LB_RULE_LCPP || p->rule == LB_RULE_HF; }

bool lb_protocol_is_task(const lb_protocol *p) { return p->rule == LB_RULE_LAMB || p->rule == LB_RULE_CHOICE; }

/* ---- windows ---- */

/* Those that advance by less than their length end with the text, with at least one token that no earlier one has. One
 * that holds nothing but that token, where the stride is the length, predicts none. */
static int64_t strided(const lb_protocol *p, int64_t tokens) {
    if (tokens < 2) return 0;
    int64_t more = tokens > p->n ? (tokens - p->n - 1) / p->stride + 1 : 0;
    return 1 + more - (more && tokens - more * p->stride < 2);
}

int64_t lb_protocol_windows(const lb_protocol *p, int64_t tokens) {
    if (lb_protocol_is_task(p)) return 0;
    if (p->rule == LB_RULE_HF) return strided(p, tokens);
    int64_t all = tokens / p->n;
    return p->rule == LB_RULE_C4_NEW && all > C4_DRAWN ? C4_DRAWN : all;
}

lb_window lb_protocol_window(const lb_protocol *p, int64_t tokens, int64_t i) {
    lb_window w = {.start = i * p->stride, .n = p->n};
    if (p->rule == LB_RULE_LCPP) w.from = p->n / 2;
    if (p->rule != LB_RULE_HF) return w;
    if (w.n > tokens - w.start) w.n = tokens - w.start;
    int64_t before = i ? p->n - p->stride : 0; /* tokens that the window before has too */
    w.from = before > 0 ? before - 1 : 0;
    return w;
}

lb_status lb_eval_series(const lb_eval *e, int64_t text_tokens, lb_arena *a, const double **out) {
    *out = e->window_nll;
    if (e->protocol.rule != LB_RULE_HF) return LB_OK;
    double *x = LB_NEW(a, double, e->windows), scored = 0.0;
    if (!x) return LB_E_NOMEM;
    for (int64_t i = 0; i < e->windows; i++) {
        const lb_window w = lb_protocol_window(&e->protocol, text_tokens, i);
        x[i] = (double)(w.n - 1 - w.from);
        scored += x[i];
    }
    for (int64_t i = 0; i < e->windows; i++) x[i] *= e->window_nll[i] * (double)e->windows / scored;
    *out = x;
    return LB_OK;
}

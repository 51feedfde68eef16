#include "model/program.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/str.h"

const lb_number *lb_number_find(const lb_numbers *n, const char *name) {
    for (int64_t i = 0; i < n->n; i++)
        if (strcmp(n->at[i].name, name) == 0) return &n->at[i];
    return NULL;
}

const char *lb_number_called(const lb_numbers *n, const char *name) {
    const lb_number *x = lb_number_find(n, name);
    return x && x->key ? x->key : name;
}

lb_status lb_number_get(const lb_numbers *n, const char *name, int64_t block, double *out) {
    const lb_number *x = lb_number_find(n, name);
    if (!x) return lb_fail(LB_E_FORMAT, "the architecture has no number '%s'", name);
    if (x->block && block < 0)
        return lb_fail(LB_E_FORMAT, "the number '%s' differs by block and is asked for outside of them", name);
    *out = x->block ? x->block[block] : x->all;
    return LB_OK;
}

bool lb_shaping_count(const lb_shaping *s, const char *number, int64_t *out) {
    const lb_number *x = lb_number_find(s->numbers, number);
    if (!x || (x->block && s->block < 0)) return false;
    double v = x->block ? x->block[s->block] : x->all;
    if (!(v >= 1.0 && v < 1e9 && v == floor(v))) return false;
    *out = (int64_t)v;
    return true;
}

lb_status lb_step_runs(const lb_step *s, const lb_numbers *n, int64_t block, bool *out) {
    double v = 1.0;
    if (s->when) LB_TRY(lb_number_get(n, s->when, block, &v));
    *out = (v != 0.0) != s->unless;
    return LB_OK;
}

lb_status lb_step_arg(const lb_step *s, int k, const lb_numbers *n, int64_t block, double *out) {
    *out = s->arg[k].literal;
    return s->arg[k].number ? lb_number_get(n, s->arg[k].number, block, out) : LB_OK;
}

/* One step's text, cut into words. */
enum { MOST_WORDS = 16 };
typedef struct words {
    char *at[MOST_WORDS];
    int n;
    const char *whose, *text;
} words;

/* The message's text after "llama: block: step '...': ". */
#define WRONG(w, ...) lb_fail_in(lb_fail(LB_E_FORMAT, __VA_ARGS__), "%s: step '%s'", (w)->whose, (w)->text)

static lb_status cut(char *s, words *w) {
    for (char *p = s; *p;) {
        if (isspace((unsigned char)*p)) {
            *p++ = 0;
            continue;
        }
        if (w->n == MOST_WORDS) return WRONG(w, "more than %d words", MOST_WORDS);
        w->at[w->n++] = p;
        while (*p && !isspace((unsigned char)*p)) p++;
    }
    return LB_OK;
}

static bool is_name(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_') return false;
    return true;
}

static lb_status find_op(const words *w, const char *name, const lb_op **out) {
    const char *known[32];
    size_t n = 0;
    for (; lb_ops[n]; n++) {
        known[n] = lb_ops[n]->name;
        if (strcmp(known[n], name) == 0) {
            *out = lb_ops[n];
            return LB_OK;
        }
    }
    const char *near = lb_str_nearest(name, known, n);
    return near ? WRONG(w, "unknown operation '%s': did you mean '%s'?", name, near)
                : WRONG(w, "unknown operation '%s'", name);
}

static lb_status read_value(const words *w, const lb_op_arg *a, const char *text, lb_arg *out) {
    *out = (lb_arg){0};
    for (int i = 0; a->words && a->words[i]; i++)
        if (strcmp(a->words[i], text) == 0) {
            out->literal = i;
            return LB_OK;
        }
    if (is_name(text)) {
        out->number = text;
        return LB_OK;
    }
    if (!a->words && lb_parse_f64(text, &out->literal) == LB_OK) return LB_OK;
    return WRONG(w, "%s = '%s': must be %s or the name of a number", a->name, text,
                 a->words ? "one of the operation's words" : "a number");
}

/* NAME=VALUE. Every argument once. */
static lb_status read_arg(const words *w, char *word, lb_step *s, bool given[LB_STEP_ARGS]) {
    char *value = strchr(word, '=');
    *value++ = 0;
    for (int k = 0; s->op->arg[k].name; k++) {
        if (strcmp(s->op->arg[k].name, word) != 0) continue;
        if (given[k]) return WRONG(w, "'%s' is given twice", word);
        given[k] = true;
        return read_value(w, &s->op->arg[k], value, &s->arg[k]);
    }
    return WRONG(w, "%s has no argument '%s'", s->op->name, word);
}

/* What stands right of the operation. */
static lb_status read_operands(const words *w, int first, lb_step *s) {
    bool given[LB_STEP_ARGS] = {false};
    int n = 0, most = (int)strlen(s->op->operands);
    for (int i = first; i < w->n; i++) {
        if (strchr(w->at[i], '=')) {
            LB_TRY(read_arg(w, w->at[i], s, given));
            continue;
        }
        if (n == most) return WRONG(w, "'%s': %s takes %d operands", w->at[i], s->op->name, most);
        if (!is_name(w->at[i])) return WRONG(w, "'%s' is no name", w->at[i]);
        if (s->op->operands[n] == 't' && strcmp(w->at[i], "token") != 0 && strcmp(w->at[i], "position") != 0)
            return WRONG(w, "'%s': must be token or position", w->at[i]);
        s->operand[n++] = w->at[i];
    }
    if (n < most) return WRONG(w, "%s takes %d operands, %d are given", s->op->name, most, n);
    for (int k = 0; s->op->arg[k].name; k++) {
        if (given[k]) continue;
        if (!s->op->arg[k].absent) return WRONG(w, "%s needs %s=", s->op->name, s->op->arg[k].name);
        LB_TRY(read_value(w, &s->op->arg[k], s->op->arg[k].absent, &s->arg[k]));
    }
    return LB_OK;
}

static lb_status read_step(words *w, lb_step *s) {
    int i = 0;
    if (w->at[0][0] == '?') {
        s->unless = w->at[0][1] == '!';
        s->when = w->at[0] + 1 + s->unless;
        if (!is_name(s->when)) return WRONG(w, "'%s': expected ?NUMBER or ?!NUMBER", w->at[0]);
        i++;
    }
    for (; i < w->n && strcmp(w->at[i], "=") != 0 && strcmp(w->at[i], "+=") != 0; i++) {
        if (!is_name(w->at[i])) return WRONG(w, "'%s' is no name of a value", w->at[i]);
        if (s->results == LB_STEP_RESULTS) return WRONG(w, "more than %d results", LB_STEP_RESULTS);
        s->result[s->results++] = w->at[i];
    }
    if (s->results == 0 || i + 1 >= w->n) return WRONG(w, "expected RESULT = OPERATION ...");
    s->add = w->at[i][0] == '+';
    LB_TRY(find_op(w, w->at[i + 1], &s->op));
    if (s->results > s->op->results || (s->add && s->results > 1))
        return WRONG(w, "%d results: %s gives %s", s->results, s->op->name, s->op->results > 1 ? "fewer" : "one");
    return read_operands(w, i + 2, s);
}

static const char *trimmed(lb_arena *a, const char *s, size_t n) {
    while (n && isspace((unsigned char)*s)) s++, n--;
    while (n && isspace((unsigned char)s[n - 1])) n--;
    return lb_arena_printf(a, "%.*s", (int)n, s);
}

lb_status lb_steps_parse(lb_arena *a, const char *whose, const char *text, lb_steps *out) {
    int64_t most = 1;
    for (const char *p = text; *p; p++) most += *p == ';';
    lb_step *step = LB_NEW(a, lb_step, most);
    if (!step) return LB_E_NOMEM;
    *out = (lb_steps){step, 0};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ";");
        words w = {.whose = whose, .text = trimmed(a, p, n)};
        char *copy = w.text ? lb_arena_strdup(a, w.text) : NULL;
        if (!copy) return LB_E_NOMEM;
        LB_TRY(cut(copy, &w));
        if (w.n > 0) {
            lb_step *s = &step[out->n++];
            s->text = w.text;
            LB_TRY(read_step(&w, s));
        }
        p += n + (p[n] == ';');
    }
    return LB_OK;
}

lb_status lb_program_parse(lb_arena *a, const char *whose, const lb_program_text *text, lb_program *out) {
    const char *const name[] = {"before", "block", "after", "expert"};
    const char *const part[] = {text->before, text->block, text->after, text->expert};
    lb_steps *const to[] = {&out->before, &out->block, &out->after, &out->expert};
    for (int i = 0; i < 4; i++) {
        const char *where = lb_arena_printf(a, "%s: %s", whose, name[i]);
        if (!where) return LB_E_NOMEM;
        LB_TRY(lb_steps_parse(a, where, part[i] ? part[i] : "", to[i]));
    }
    return LB_OK;
}

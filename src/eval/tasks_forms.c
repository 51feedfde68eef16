#include "eval/tasks_forms.h"

#include <string.h>
#include <utf8proc.h>

#include "base/str.h"
#include "io/json.h"
#include "model/rows.h"

enum { CHOICES_MOST = 100 };

/* ---- texts, as Python's str has them ---- */

/* The character at s (n bytes left), its bytes; 0: no UTF-8. */
static size_t next_char(const char *s, size_t n, utf8proc_int32_t *c) {
    utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, c);
    return k > 0 ? (size_t)k : 0;
}

size_t lb_task_space_after(const char *s, size_t n) {
    const char *inner = s;
    size_t len = n;
    lb_row_strip(&inner, &len);
    return len ? n - len - (size_t)(inner - s) : n;
}

static void add_stripped(lb_str *out, const char *s) {
    size_t n = strlen(s);
    lb_row_strip(&s, &n);
    lb_str_add_bytes(out, s, n);
}

static void add_replaced(lb_str *out, const char *s, const char *from, const char *to) {
    for (const char *hit; (hit = strstr(s, from)); s = hit + strlen(from)) {
        lb_str_add_bytes(out, s, (size_t)(hit - s));
        lb_str_add(out, "%s", to);
    }
    lb_str_add(out, "%s", s);
}

/* Without what is in brackets on one line, the brackets too. */
static void add_without_brackets(lb_str *out, const char *s) {
    while (*s) {
        size_t n = strcspn(s, "[");
        lb_str_add_bytes(out, s, n);
        s += n;
        if (!*s) break;
        size_t inner = strcspn(s, "]\n");
        if (s[inner] == ']')
            s += inner + 1;
        else
            lb_str_add_bytes(out, s++, 1);
    }
}

static int64_t chars_of(const char *s) {
    int64_t n = 0;
    for (; *s; s++) n += ((uint8_t)*s & 0xc0) != 0x80;
    return n;
}

static void add_char(lb_str *out, utf8proc_int32_t c) {
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char(c, bytes);
    lb_str_add_bytes(out, bytes, n > 0 ? (size_t)n : 0);
}

/* Letters that become several as the first of a word. */
static void add_title(lb_str *out, utf8proc_int32_t c) {
    static const struct {
        utf8proc_int32_t c;
        const char *title;
    } several[] = {{0xdf, "Ss"},    {0xfb00, "Ff"}, {0xfb01, "Fi"}, {0xfb02, "Fl"},      {0xfb03, "Ffi"},
                   {0xfb04, "Ffl"}, {0xfb05, "St"}, {0xfb06, "St"}, {0x149, "\xca\xbcN"}};
    for (size_t i = 0; i < sizeof several / sizeof *several; i++)
        if (several[i].c == c) {
            lb_str_add(out, "%s", several[i].title);
            return;
        }
    add_char(out, utf8proc_totitle(c));
}

static bool is_cased(utf8proc_int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* str.capitalize: the first letter as of a title, all others small; a capital sigma at a word's end as it is written
 * there. */
static void add_capitalized(lb_str *out, const char *s) {
    size_t n = strlen(s), k;
    bool after_letter = false;
    for (size_t at = 0; at < n; at += k) {
        utf8proc_int32_t c, next = 0;
        k = next_char(s + at, n - at, &c);
        if (!k) return;
        (void)next_char(s + at + k, n - at - k, &next);
        if (at == 0)
            add_title(out, c);
        else if (c == 0x3a3)
            add_char(out, after_letter && !is_cased(next) ? 0x3c2 : 0x3c3);
        else if (c == 0x130)
            lb_str_add(out, "i\xcc\x87");
        else
            add_char(out, utf8proc_tolower(c));
        after_letter = is_cased(c);
    }
}

/* The text that was put together, in the arena; the string is empty again. */
static lb_status kept(lb_arena *a, lb_str *s, const char **out) {
    LB_TRY(lb_str_check(s));
    *out = lb_arena_strdup(a, s->len ? s->s : "");
    s->len = 0;
    return *out ? LB_OK : LB_E_NOMEM;
}

/* One step after another of what makes a text another one. */
typedef void (*change)(lb_str *out, const char *s);
static void change_title(lb_str *out, const char *s) { add_replaced(out, s, " [title]", ". "); }
static void change_spaces(lb_str *out, const char *s) { add_replaced(out, s, "  ", " "); }
static void change_open(lb_str *out, const char *s) { add_replaced(out, s, "\xe2\x80\x9c", "\""); }
static void change_close(lb_str *out, const char *s) { add_replaced(out, s, "\xe2\x80\x9d", "\""); }
static void change_quotes(lb_str *out, const char *s) { add_replaced(out, s, "''", "\""); }
static void change_backquotes(lb_str *out, const char *s) { add_replaced(out, s, "``", "\""); }

static lb_status changed(lb_arena *a, const char *s, const change *step, size_t n, const char **out) {
    lb_str made = {0};
    lb_status st = LB_OK;
    for (size_t i = 0; i < n && st == LB_OK; i++) {
        step[i](&made, s);
        st = kept(a, &made, &s);
    }
    lb_str_free(&made);
    *out = s;
    return st;
}

/* ---- LAMBADA ---- */

static lb_status one_choice(lb_arena *a, const char *context, const char *continuation, lb_task_item *out) {
    *out = (lb_task_item){.choice = LB_NEW(a, lb_task_choice, 1), .choices = 1};
    if (!out->choice || !context || !continuation) return LB_E_NOMEM;
    out->choice[0] = (lb_task_choice){.context = context, .continuation = continuation};
    return LB_OK;
}

lb_status lb_task_lambada(lb_arena *a, const char *where, lb_lambada variant, const char *text, lb_task_item *out) {
    static const change normalize[] = {add_stripped,  change_open,       change_close,
                                       change_quotes, change_backquotes, add_stripped};
    bool normalized = variant == LB_LAMBADA_NORMALIZED, changes = normalized || variant == LB_LAMBADA_DETOKENIZED;
    const char *from = text;
    if (changes) {
        LB_TRY(changed(a, text, normalize, sizeof normalize / sizeof *normalize, &from));
        from = lb_arena_printf(a, "\n%s", from);
        if (!from) return LB_E_NOMEM;
    }
    const char *last = strrchr(from, ' '), *word = normalized ? strrchr(text, ' ') : last;
    if (!text[0] || (word && !word[1]) || (changes && (!word || !last)))
        return lb_fail(LB_E_FORMAT, "%s: a passage must end in a word after a space: '%.60s'", where, text);
    LB_TRY(one_choice(a, lb_arena_printf(a, "%.*s", last ? (int)(last - from) : 0, from),
                      lb_arena_printf(a, " %s", word ? word + 1 : from), out));
    out->apart = normalized;
    return LB_OK;
}

/* ---- questions ---- */

static lb_status wrong(const char *where, const char *key, const json_t *v, const char *expected) {
    char text[LB_JSON_TEXT];
    lb_json_text(v, text);
    return lb_fail(LB_E_FORMAT, "%s: %s is %s: must be %s", where, key, v ? text : "missing", expected);
}

/* JSON can say what no text is: a NUL, half of a surrogate pair. */
static lb_status check_text(const char *where, const char *key, const char *s) {
    utf8proc_int32_t c;
    for (size_t n = strlen(s), at = 0, k; at < n; at += k)
        if (!(k = next_char(s + at, n - at, &c)))
            return lb_fail(LB_E_FORMAT, "%s: %s holds a NUL or half of a surrogate pair", where, key);
    return LB_OK;
}

static lb_status text_of(const char *where, const json_t *o, const char *key, const char **out) {
    LB_TRY(lb_json_str(where, o, key, out));
    return check_text(where, key, *out);
}

static lb_status element(const char *where, const json_t *list, size_t i, const char *key, const char **out) {
    const json_t *v = json_array_get(list, i);
    if (!json_is_string(v) || lb_json_odd(v)) return wrong(where, key, v, "a list of texts");
    *out = json_string_value(v);
    return check_text(where, key, *out);
}

static lb_status list_of(const char *where, const json_t *o, const char *key, const json_t **out) {
    const json_t *v = json_object_get(o, key);
    size_t n = json_array_size(v);
    *out = v;
    if (!json_is_array(v) || lb_json_odd(v) || n < 2 || n > CHOICES_MOST)
        return wrong(where, key, v, "a list of 2 to 100 texts");
    return LB_OK;
}

/* A choice by its place, from `first` on: a whole number, or one as a text. */
static lb_status place_of(const char *where, const json_t *o, const char *key, int64_t first, int64_t n, int64_t *out) {
    const json_t *v = json_object_get(o, key);
    int64_t x = -1;
    bool is = !lb_json_odd(v) && (json_is_integer(v) || (json_is_string(v) && json_string_value(v)[0]));
    if (is && json_is_integer(v)) x = (int64_t)json_integer_value(v);
    if (is && json_is_string(v)) is = lb_parse_i64(json_string_value(v), &x) == LB_OK;
    if (!is || x < first || x - first >= n) {
        char expected[64];
        lb_error_clear();
        snprintf(expected, sizeof expected, "a number in [%lld, %lld]", (long long)first, (long long)(first + n - 1));
        return wrong(where, key, v, expected);
    }
    *out = x - first;
    return LB_OK;
}

static lb_status choices_after(lb_arena *a, const char *context, int64_t n, lb_task_item *out) {
    *out = (lb_task_item){.choice = LB_NEW(a, lb_task_choice, n), .choices = n};
    if (!out->choice || !context) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) out->choice[i].context = context;
    return LB_OK;
}

static lb_status put_choice(lb_arena *a, const char *text, lb_task_choice *out) {
    out->continuation = lb_arena_printf(a, " %s", text);
    out->chars = chars_of(text);
    return out->continuation ? LB_OK : LB_E_NOMEM;
}

static lb_status hellaswag(lb_arena *a, const char *where, const json_t *o, lb_task_item *out) {
    static const change clean[] = {add_stripped, change_title, add_without_brackets, change_spaces};
    const char *activity, *first, *second, *query, *ending;
    const json_t *endings;
    LB_TRY(text_of(where, o, "activity_label", &activity));
    LB_TRY(text_of(where, o, "ctx_a", &first));
    LB_TRY(text_of(where, o, "ctx_b", &second));
    LB_TRY(list_of(where, o, "endings", &endings));
    lb_str s = {0};
    lb_str_add(&s, "%s: %s ", activity, first);
    add_capitalized(&s, second);
    lb_status st = kept(a, &s, &query);
    lb_str_free(&s);
    LB_TRY(st);
    LB_TRY(changed(a, query, clean, sizeof clean / sizeof *clean, &query));
    LB_TRY(choices_after(a, query, (int64_t)json_array_size(endings), out));
    for (int64_t i = 0; i < out->choices; i++) {
        LB_TRY(element(where, endings, (size_t)i, "endings", &ending));
        LB_TRY(changed(a, ending, clean, sizeof clean / sizeof *clean, &ending));
        LB_TRY(put_choice(a, ending, &out->choice[i]));
    }
    return place_of(where, o, "label", 0, out->choices, &out->right);
}

static lb_status piqa(lb_arena *a, const char *where, const json_t *o, lb_task_item *out) {
    static const char *const key[] = {"sol1", "sol2"};
    const char *goal, *text;
    LB_TRY(text_of(where, o, "goal", &goal));
    LB_TRY(choices_after(a, lb_arena_printf(a, "Question: %s\nAnswer:", goal), 2, out));
    for (int i = 0; i < 2; i++) {
        LB_TRY(text_of(where, o, key[i], &text));
        LB_TRY(put_choice(a, text, &out->choice[i]));
    }
    return place_of(where, o, "label", 0, 2, &out->right);
}

/* {"choices": {"text": [...], "label": [...]}, "answerKey": one of the labels} */
static lb_status labelled(lb_arena *a, const char *where, const json_t *o, const char *context, lb_task_item *out) {
    const json_t *choices = json_object_get(o, "choices"), *texts, *labels;
    const char *answer, *text;
    if (!json_is_object(choices)) return wrong(where, "choices", choices, "an object with text and label");
    LB_TRY(list_of(where, choices, "text", &texts));
    LB_TRY(list_of(where, choices, "label", &labels));
    LB_TRY(text_of(where, o, "answerKey", &answer));
    LB_TRY(choices_after(a, context, (int64_t)json_array_size(texts), out));
    if (json_array_size(labels) != (size_t)out->choices)
        return lb_fail(LB_E_FORMAT, "%s: choices has %lld texts and %zu labels", where, (long long)out->choices,
                       json_array_size(labels));
    out->right = -1;
    size_t answer_bytes = strlen(answer);
    lb_row_strip(&answer, &answer_bytes);
    for (int64_t i = 0; i < out->choices; i++) {
        LB_TRY(element(where, labels, (size_t)i, "label", &text));
        if (out->right < 0 && strcmp(text, answer) == 0) out->right = i;
        LB_TRY(element(where, texts, (size_t)i, "text", &text));
        LB_TRY(put_choice(a, text, &out->choice[i]));
    }
    if (out->right >= 0) return LB_OK;
    return wrong(where, "answerKey", json_object_get(o, "answerKey"), "one of the choices' labels");
}

static lb_status arc(lb_arena *a, const char *where, const json_t *o, lb_task_item *out) {
    const char *question;
    LB_TRY(text_of(where, o, "question", &question));
    return labelled(a, where, o, lb_arena_printf(a, "Question: %s\nAnswer:", question), out);
}

static lb_status openbookqa(lb_arena *a, const char *where, const json_t *o, lb_task_item *out) {
    const char *stem;
    LB_TRY(text_of(where, o, "question_stem", &stem));
    return labelled(a, where, o, lb_arena_strdup(a, stem), out);
}

/* The contexts differ, what follows is the same. */
static lb_status winogrande(lb_arena *a, const char *where, const json_t *o, lb_task_item *out) {
    static const char *const key[] = {"option1", "option2"};
    const char *sentence, *option, *rest;
    LB_TRY(text_of(where, o, "sentence", &sentence));
    const char *gap = strchr(sentence, '_');
    if (!gap) return lb_fail(LB_E_FORMAT, "%s: sentence has no '_', which the options stand for", where);
    lb_str s = {0};
    add_stripped(&s, gap + 1);
    lb_status st = kept(a, &s, &rest);
    lb_str_free(&s);
    LB_TRY(st);
    LB_TRY(choices_after(a, "", 2, out));
    for (int i = 0; i < 2; i++) {
        LB_TRY(text_of(where, o, key[i], &option));
        LB_TRY(put_choice(a, rest, &out->choice[i]));
        out->choice[i].context = lb_arena_printf(a, "%.*s%s", (int)(gap - sentence), sentence, option);
        if (!out->choice[i].context) return LB_E_NOMEM;
        out->choice[i].chars = 0;
    }
    return place_of(where, o, "answer", 1, 2, &out->right);
}

static lb_status boolq(lb_arena *a, const char *where, const json_t *o, lb_task_item *out) {
    const char *passage, *question;
    LB_TRY(text_of(where, o, "passage", &passage));
    LB_TRY(text_of(where, o, "question", &question));
    LB_TRY(choices_after(a, lb_arena_printf(a, "%s\nQuestion: %s?\nAnswer:", passage, question), 2, out));
    out->choice[0].continuation = " no";
    out->choice[1].continuation = " yes";
    return place_of(where, o, "label", 0, 2, &out->right);
}

lb_status lb_task_question(lb_arena *a, const char *where, lb_question form, const json_t *o, lb_task_item *out) {
    switch (form) {
    case LB_QUESTION_HELLASWAG:
        return hellaswag(a, where, o, out);
    case LB_QUESTION_PIQA:
        return piqa(a, where, o, out);
    case LB_QUESTION_ARC:
        return arc(a, where, o, out);
    case LB_QUESTION_WINOGRANDE:
        return winogrande(a, where, o, out);
    case LB_QUESTION_OPENBOOKQA:
        return openbookqa(a, where, o, out);
    default:
        return boolq(a, where, o, out);
    }
}

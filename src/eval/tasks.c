#include "eval/tasks.h"

#include <math.h>
#include <string.h>

#include "eval/tasks_score.h"
#include "io/json.h"
#include "model/rows.h"

/* All items as what the model is asked, those of item i from first[i] on. */
typedef struct asked {
    lb_arena *arena; /* of the tokens */
    lb_task_pair *pair;
    int64_t pairs, cap;
    int64_t *first; /* (items + 1) */
    int64_t *right; /* (items) its choice, from 0 */
    int64_t *chars; /* (pairs) */
    int64_t items, cut, tokens;
} asked;

static lb_status check_request(const lb_task_request *r) {
    const lb_corpus *c = r->corpus;
    if (!c->rows || lb_rows_are_one(c->rows))
        return lb_fail(LB_E_CONFIG, "%s: is one text: protocol %s takes items in rows (rows: json%s)", c->path,
                       r->protocol.id, r->protocol.rule == LB_RULE_LAMB ? " or lines" : "");
    if (lb_rows_count(c->rows) < 1) return lb_fail(LB_E_CONFIG, "%s: no items", c->path);
    if (r->max_items < 0)
        return lb_fail(LB_E_CONFIG, "windows = %lld: must be at least 0 (all items)", (long long)r->max_items);
    return LB_OK;
}

static lb_status item_of(const lb_task_request *r, int64_t i, const char *where, lb_arena *a, lb_task_item *out) {
    json_t *o = NULL;
    lb_str text = {0};
    lb_status st;
    if (r->protocol.rule == LB_RULE_LAMB) {
        st = lb_rows_text(r->corpus->rows, i, &text);
        if (st == LB_OK) st = lb_str_check(&text);
        if (st == LB_OK) st = lb_task_lambada(a, where, r->variant, text.s ? text.s : "", out);
    } else {
        st = lb_rows_object(r->corpus->rows, i, &o);
        if (st == LB_OK) st = lb_task_question(a, where, r->protocol.question, o, out);
    }
    json_decref(o);
    lb_str_free(&text);
    return st;
}

/* A release of LAMBADA that is read as if it were another. */
static void check_known(const lb_task_request *r, lb_log *log) {
    static const char openai[] = "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226";
    bool first_release = r->variant == LB_LAMBADA_STANDARD || r->variant == LB_LAMBADA_DETOKENIZED;
    if (r->protocol.rule == LB_RULE_LAMB && first_release && strcmp(r->corpus->hash, openai) == 0)
        lb_warn(log, "%s: this is OpenAI's text of LAMBADA, variant %s is of the first release", r->corpus->name,
                lb_lambada_names[r->variant]);
}

lb_status lb_task_look(const lb_task_request *r, lb_log *log, lb_task_extent *out) {
    lb_arena *a;
    LB_TRY(check_request(r));
    check_known(r, log);
    *out = (lb_task_extent){.all = lb_rows_count(r->corpus->rows)};
    out->items = r->max_items && r->max_items < out->all ? r->max_items : out->all;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = LB_OK;
    for (int64_t i = 0; i < out->items && st == LB_OK; i++) {
        lb_arena_mark m = lb_arena_save(a);
        char where[LB_ROW_PLACE];
        lb_task_item item;
        lb_rows_place(r->corpus->rows, i, where);
        st = item_of(r, i, where, a, &item);
        for (int64_t k = 0; st == LB_OK && k < item.choices; k++)
            out->bytes += (int64_t)(strlen(item.choice[k].context) + strlen(item.choice[k].continuation));
        if (st == LB_OK) out->sequences += item.choices;
        lb_arena_restore(a, m);
    }
    lb_arena_free(a);
    return st;
}

static lb_status room_for(asked *q, int64_t more) {
    if (q->pairs + more <= q->cap) return LB_OK;
    int64_t cap = 2 * q->cap + more + 64;
    lb_task_pair *pair = lb_realloc(q->pair, (size_t)q->cap, (size_t)cap, sizeof *pair);
    if (pair) q->pair = pair;
    int64_t *chars = pair ? lb_realloc(q->chars, (size_t)q->cap, (size_t)cap, sizeof *chars) : NULL;
    if (!chars) return LB_E_NOMEM;
    q->chars = chars;
    q->cap = cap;
    return LB_OK;
}

static lb_status ask(const lb_task_request *r, const lb_task_encoder *e, int64_t i, lb_arena *texts, asked *q) {
    lb_task_item item;
    char where[LB_ROW_PLACE];
    lb_rows_place(r->corpus->rows, i, where);
    LB_TRY(item_of(r, i, where, texts, &item));
    LB_TRY(room_for(q, item.choices));
    q->first[i] = q->pairs;
    q->right[i] = item.right;
    bool cut = false;
    for (int64_t k = 0; k < item.choices; k++) {
        lb_task_pair *p = &q->pair[q->pairs];
        LB_TRY(lb_task_encode(e, q->arena, where, &item.choice[k], item.apart, p));
        q->chars[q->pairs++] = item.choice[k].chars;
        q->tokens += p->n + 1;
        cut = cut || p->before > 0;
    }
    q->cut += cut;
    return LB_OK;
}

static lb_status ask_all(const lb_task_request *r, const lb_net *net, lb_log *log, asked *q) {
    const lb_task_encoder e = {r->corpus->tokenizer, r->corpus->has_bos, net->context, net->site[net->embed].rows};
    lb_arena *texts;
    LB_TRY(lb_arena_new(0, &texts));
    lb_status st = LB_OK;
    for (int64_t i = 0; i < q->items && st == LB_OK; i++) {
        lb_arena_mark m = lb_arena_save(texts);
        st = lb_interrupt_check();
        if (st == LB_OK) st = ask(r, &e, i, texts, q);
        lb_arena_restore(texts, m);
    }
    lb_arena_free(texts);
    q->first[q->items] = q->pairs;
    if (st == LB_OK && q->cut)
        lb_warn(log,
                "%s: %lld of %lld items are longer than the model's context of %lld tokens: they lose their beginning",
                r->corpus->name, (long long)q->cut, (long long)q->items, (long long)net->context);
    return st;
}

/* The first of the largest of x[i] / by[i]; by NULL: of x[i]. Log-likelihoods. */
static int64_t largest(const double *nll, const int64_t *chars, bool norm, int64_t n) {
    int64_t best = 0;
    double most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double value = norm ? -nll[i] / (double)chars[i] : -nll[i];
        if (value > most) best = i, most = value;
    }
    return best;
}

/* What came of the items. */
static lb_status judge(const lb_task_request *r, const asked *q, const lb_task_scores *s, lb_arena *a, lb_eval *out) {
    lb_task_result *t = &out->task;
    bool choice = r->protocol.rule == LB_RULE_CHOICE, norm = choice && lb_question_has_norm(r->protocol.question);
    t->items = q->items;
    t->right = LB_NEW(a, uint8_t, q->items);
    out->window_nll = LB_NEW(a, double, q->items);
    if (norm) t->right_norm = LB_NEW(a, uint8_t, q->items);
    if (choice) t->first = LB_NEW(a, int64_t, q->items + 1);
    if (choice) t->choice_nll = LB_NEW(a, double, q->pairs);
    if (!t->right || !out->window_nll || (norm && !t->right_norm) || (choice && (!t->first || !t->choice_nll)))
        return LB_E_NOMEM;
    if (choice) memcpy(t->first, q->first, (size_t)(q->items + 1) * sizeof *t->first);
    if (choice) memcpy(t->choice_nll, s->nll, (size_t)q->pairs * sizeof *t->choice_nll);
    for (int64_t i = 0; i < q->items; i++) {
        int64_t first = q->first[i], n = q->first[i + 1] - first, right = q->right[i];
        const lb_task_pair *p = &q->pair[first + right];
        const double *nll = s->nll + first;
        out->window_nll[i] = nll[right];
        out->scored += p->n - p->from;
        t->right[i] = choice ? largest(nll, NULL, false, n) == right : s->greedy[first];
        if (norm) t->right_norm[i] = largest(nll, q->chars + first, true, n) == right;
    }
    lb_task_count(t);
    return LB_OK;
}

/* The mean over items, each of them one observation; of a model that is far off nothing may come of its exponential. */
static lb_status finish(lb_eval *e) {
    double spread = 0, n = (double)e->windows;
    for (int64_t i = 0; i < e->windows; i++) e->mean_nll += e->window_nll[i] / n;
    for (int64_t i = 0; i < e->windows; i++)
        spread += (e->window_nll[i] - e->mean_nll) * (e->window_nll[i] - e->mean_nll);
    e->ppl = e->protocol.rule == LB_RULE_LAMB ? exp(e->mean_nll) : NAN;
    e->ppl_se = e->windows > 1 ? e->ppl * sqrt(spread / (n - 1.0) / n) : NAN;
    if (isfinite(e->mean_nll) && !isinf(e->ppl) && !isinf(e->ppl_se)) return LB_OK;
    return lb_fail(
        LB_E_NUMERIC,
        "perplexity overflows: the mean NLL is %.6g nats a word: the model's outputs are no probabilities any "
        "more",
        e->mean_nll);
}

static lb_status score(const lb_net *n, const lb_weights *w, const lb_task_request *r, lb_team *team, lb_arena *arena,
                       lb_log *log, asked *q, lb_eval *out) {
    LB_TRY(ask_all(r, n, log, q));
    lb_task_scores s = {LB_NEW(q->arena, double, q->pairs), LB_NEW(q->arena, uint8_t, q->pairs)};
    if (!s.nll || !s.greedy) return LB_E_NOMEM;
    LB_TRY(lb_task_score(n, w, q->pair, q->pairs, r->compute, team, log, r->protocol.id, &s));
    LB_TRY(judge(r, q, &s, arena, out));
    return finish(out);
}

lb_status lb_task_evaluate(const lb_net *n, const lb_weights *w, const lb_task_request *r, lb_team *team,
                           lb_arena *arena, lb_log *log, lb_eval *out, int64_t *tokens) {
    LB_TRY(check_request(r));
    *out = (lb_eval){.protocol = r->protocol, .windows_all = lb_rows_count(r->corpus->rows)};
    out->windows = r->max_items && r->max_items < out->windows_all ? r->max_items : out->windows_all;
    asked q = {.items = out->windows};
    lb_status st = lb_arena_new(0, &q.arena);
    if (st == LB_OK) q.first = LB_NEW(q.arena, int64_t, q.items + 1);
    if (st == LB_OK) q.right = LB_NEW(q.arena, int64_t, q.items);
    if (st == LB_OK && (!q.first || !q.right)) st = LB_E_NOMEM;
    if (st == LB_OK) st = score(n, w, r, team, arena, log, &q, out);
    *tokens = q.tokens;
    lb_free(q.pair);
    lb_free(q.chars);
    lb_arena_free(q.arena);
    return st;
}

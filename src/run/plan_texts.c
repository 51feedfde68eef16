/* The texts of a plan: found, opened once each, and checked. */
#include <stdio.h>
#include <string.h>

#include "base/index.h"
#include "eval/perplexity.h"
#include "run/mixtures.h"
#include "run/plan.h"
#include "run/text_rows.h"

/* Where there is none. */
static const lb_text no_text;

const lb_text *lb_plan_calibration(const lb_plan *p, const lb_cell *c) {
    return c->calibration_text ? &p->calibration.at[c->calibration_text - 1] : &no_text;
}

const lb_text *lb_plan_training(const lb_plan *p, const lb_cell *c) {
    return c->training_text ? &p->training.at[c->training_text - 1] : lb_plan_calibration(p, c);
}

const lb_text *lb_plan_validation(const lb_plan *p, const lb_cell *c) {
    return c->validation_text ? &p->validation.at[c->validation_text - 1] : &no_text;
}

int64_t lb_plan_validation_windows(const lb_plan *p, const lb_cell *c, int64_t length) {
    const lb_corpus *text = lb_plan_validation(p, c)->corpus;
    int64_t all = text && length > 0 ? text->tokens / length : 0, most = c->training.validation_windows;
    return most > 0 && most < all ? most : all;
}

int64_t lb_plan_sequence(const lb_cell *c) {
    const char *text = lb_pairs_get(&c->options, "length");
    int64_t length = 0;
    return text && lb_parse_i64(text, &length) == LB_OK ? length : 0;
}

lb_status lb_plan_validation_note(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out) {
    const lb_text *trained = lb_plan_training(p, c), *v = lb_plan_validation(p, c);
    *out = NULL;
    if (!trained->hash || !v->hash || strcmp(trained->hash, v->hash) != 0) return LB_OK;
    *out =
        lb_arena_printf(a, "training and validation use the same text (%s): its validation loss says little", v->name);
    return *out ? LB_OK : LB_E_NOMEM;
}

/* Numbers of texts: those of calibration, of training, of validation. The baseline has whatever there is to say. */
bool lb_plan_about(const lb_plan *p, const lb_cell *c, size_t topic) {
    return topic == 0 || !c->method || topic == c->calibration_text ||
           (c->training_text && topic == p->calibration.n + c->training_text) ||
           (c->validation_text && topic == p->calibration.n + p->training.n + c->validation_text);
}

/* Every text, BOS choice and way of reading rows is read and tokenized once. */
static lb_status open_corpus(lb_plan *p, const lb_resolved *r, const lb_row_spec *spec, const lb_text *t,
                             const lb_protocol *protocol, lb_corpus **out) {
    const char *how;
    LB_TRY(lb_model_need_tokenizer(p->model));
    const lb_tokenizer *tok = p->model->tokenizer;
    LB_TRY(lb_rows_how(p->arena, r->path, spec, t->join, &how));
    bool draws = protocol && lb_protocol_draws(protocol);
    for (size_t i = 0; i < p->n_opened && !draws; i++) {
        lb_corpus *c = p->opened[i];
        /* Whether a BOS was put tells the choices apart, as far as they differ. */
        if ((c->n_rows > 0) != !t->join || (!t->join && !c->rows)) continue; /* another protocol's windows */
        if (strcmp(c->path, r->path) != 0 || strcmp(c->how, how) != 0 || c->has_bos != lb_bos_put(tok, t->bos))
            continue;
        lb_bos_warn(tok, t->bos, c->name, &p->keeper.log);
        *out = c;
        return LB_OK;
    }
    LB_TRY(lb_corpus_rows(r->path, spec, t->join, tok, t->bos, &p->keeper.log, out));
    p->opened[p->n_opened++] = *out;
    LB_TRY(lb_sources_check(r, (*out)->hash, &p->keeper.log));
    return draws ? lb_text_rows_draw(protocol, *out) : LB_OK;
}

/* t: its name, bos and rows; and join, but of an evaluation, whose protocol says it. protocol NULL: of no evaluation.
 */
static lb_status open_text(lb_plan *p, lb_where w, const lb_protocol *protocol, lb_text *t) {
    lb_resolved r;
    LB_TRY(lb_sources_resolve(p->arena, &p->sources, p->config->dir, t->name, LB_SOURCE_TEXT, w.text, &r));
    t->path = r.path;
    t->missing = r.missing;
    if (r.missing) return LB_OK;
    lb_rows_config rows = *t->rows;
    lb_status st = protocol ? lb_text_rows_scored(t->name, r.path, protocol, &rows, &p->keeper.log, &t->join)
                            : lb_text_rows_check(t->name, r.path, &rows);
    const lb_row_spec spec = lb_text_rows_spec(&rows);
    if (st == LB_OK) st = open_corpus(p, &r, &spec, t, protocol, &t->corpus);
    if (st == LB_E_CONFIG) return lb_fail_in(st, "%s", w.text);
    LB_TRY(st);
    t->bos_text = lb_bos_text(t->bos, t->corpus->has_bos);
    t->hash = lb_arena_strdup(p->arena, t->corpus->hash);
    t->how = lb_arena_strdup(p->arena, t->corpus->how);
    return t->hash && t->how ? LB_OK : LB_E_NOMEM;
}

/* What rows are joined by where nobody says anything of it. */
static const char *join_of(const lb_rows_config *k) { return lb_text_rows_say_join(k) ? k->join : "\n\n"; }

/* How the rows of a named text are read its source says, where the config does not. */
static void rows_of_source(const lb_plan *p, const char *name, const lb_protocol *protocol, lb_rows_config *rows) {
    lb_text_rows_take(name ? lb_sources_find(&p->sources, name) : NULL, protocol, rows);
}

/* ---- evaluations ---- */

/* Is it that text, or is one of it? */
static bool uses(const lb_text *t, const lb_corpus *c) {
    bool any = t->corpus && strcmp(t->corpus->hash, c->hash) == 0;
    for (size_t i = 0; i < t->parts; i++) any = any || uses(&t->part[i], c);
    return any;
}

static void warn_same_text(lb_plan *p, const lb_text *t) {
    for (size_t i = 0; t->corpus && i < p->calibration.n; i++) {
        if (!uses(&p->calibration.at[i], t->corpus)) continue;
        p->keeper.topic = 1 + i;
        lb_warn(&p->keeper.log, "calibration and evaluation use the same text (%s): its perplexity says little",
                t->name);
        p->keeper.topic = 0;
    }
}

/* The items are all looked at: a sweep must not find out at its first evaluation that one is none. */
static lb_status check_task(lb_plan *p, const lb_eval_config *c, const lb_protocol *protocol, lb_text *t) {
    const lb_task_request r = {
        .protocol = *protocol, .variant = (lb_lambada)c->variant, .corpus = t->corpus, .max_items = c->windows};
    if (!t->corpus) return LB_OK;
    warn_same_text(p, t);
    lb_status st = lb_task_look(&r, &p->keeper.log, &t->task);
    return st == LB_E_CONFIG ? lb_fail_in(st, "%s", lb_plan_where(c->node, "text").text) : st;
}

static lb_status check_eval(lb_plan *p, const lb_eval_config *c, const lb_protocol *protocol, lb_text *t) {
    if (lb_protocol_is_task(protocol)) return check_task(p, c, protocol, t);
    const lb_net *n = p->model->net;
    if (n->context && protocol->n > n->context)
        return lb_fail(LB_E_CONFIG, "%s: protocol %s: windows of %lld tokens, but the model's context is %lld",
                       lb_plan_where(c->node, "protocol").text, c->protocol, (long long)protocol->n,
                       (long long)n->context);
    if (t->corpus && lb_protocol_windows(protocol, t->corpus->tokens) < 1)
        return lb_fail(LB_E_CONFIG, "%s: eval text %s has %lld tokens: too short for one window of %s",
                       lb_plan_where(c->node, "text").text, c->text, (long long)t->corpus->tokens, c->protocol);
    warn_same_text(p, t);
    return LB_OK;
}

static lb_status open_evals(lb_plan *p) {
    const lb_config *c = p->config;
    p->eval = LB_NEW(p->arena, lb_text, c->evals + 1);
    p->eval_config = LB_NEW(p->arena, const lb_eval_config *, c->evals + 1);
    if (!p->eval || !p->eval_config) return LB_E_NOMEM;
    lb_eval_config *said = LB_NEW(p->arena, lb_eval_config, c->evals + 1);
    if (!said) return LB_E_NOMEM;
    const char *missing = NULL;
    p->evals = 0;
    for (size_t i = 0; i < c->evals; i++) {
        lb_text *t = &p->eval[p->evals];
        lb_protocol protocol;
        LB_TRY(lb_protocol_parse(c->eval[i].protocol, &protocol));
        said[i] = c->eval[i];
        rows_of_source(p, said[i].text, &protocol, &said[i].rows);
        *t = (lb_text){.name = said[i].text, .bos = (lb_bos)said[i].bos, .rows = &said[i].rows};
        LB_TRY(open_text(p, lb_plan_where(c->eval[i].node, "text"), &protocol, t));
        LB_TRY(check_eval(p, &c->eval[i], &protocol, t));
        if (t->missing) {
            missing = t->missing;
            lb_warn(&p->keeper.log, "evaluation %s is left out: %s", c->eval[i].name, t->missing);
            continue;
        }
        p->eval_config[p->evals++] = &said[i];
    }
    if (p->evals > 0 || !missing) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: no evaluation is possible: %s", lb_config_where(c->eval[0].node).text, missing);
}

/* ---- what cells are calibrated with, trained and validated on ---- */

static bool same_rows(const lb_rows_config *x, const lb_rows_config *y) {
    return x->form == y->form && strcmp(x->field, y->field) == 0 && strcmp(x->join, y->join) == 0 &&
           x->first == y->first && x->chat == y->chat;
}

static bool same_named(const lb_text *x, const lb_text *y) {
    return strcmp(x->name, y->name) == 0 && x->bos == y->bos && same_rows(x->rows, y->rows) && !x->join == !y->join;
}

/* The number of a text in the list, from 1, where it is put if it is new. A sweep has few of them. join: NULL: its rows
 * are drawn. */
static lb_status number_of(lb_plan *p, lb_texts *t, const char *name, int bos, const lb_rows_config *rows,
                           const char *join, size_t *out) {
    const lb_text one = {.name = name, .bos = (lb_bos)bos, .rows = rows, .join = join};
    size_t i = 0;
    while (i < t->n && !same_named(&t->at[i], &one)) i++;
    *out = i + 1;
    if (i < t->n) return LB_OK;
    lb_text *more = LB_NEW(p->arena, lb_text, t->n + 1);
    if (!more) return LB_E_NOMEM;
    if (t->n) memcpy(more, t->at, t->n * sizeof *more);
    more[t->n++] = one;
    t->at = more;
    return LB_OK;
}

static const lb_yaml *value_that_is(const lb_axis *ax, const char *axis, const char *text) {
    for (size_t i = 0; strcmp(ax->name, axis) == 0 && i < ax->n; i++)
        if (strcmp(ax->value[i]->text, text) == 0) return ax->value[i];
    return NULL;
}

/* Where a text is named: by an axis, by an entry, or in its section. */
static lb_where where_named(const lb_config *c, const char *axis, const lb_yaml *section, const char *text) {
    const lb_yaml *n = NULL;
    for (size_t i = 0; i < c->axes && !n; i++) n = value_that_is(&c->axis[i], axis, text);
    for (size_t e = 0; e < c->entries; e++)
        for (size_t i = 0; i < c->entry[e].n_options && !n; i++) n = value_that_is(&c->entry[e].option[i], axis, text);
    return n ? lb_config_where(n) : lb_plan_where(section, strchr(axis, '.') + 1);
}

/* Where it is a mixture, each text is read as the config says, or as its source does. */
static lb_status find_parts(lb_plan *p, const lb_calibration_config *k, lb_text *t) {
    if (t->parts) return LB_OK;
    LB_TRY(lb_mixture_split(p, where_named(p->config, "calibration.text", k->node, t->name).text, t));
    for (size_t i = 0; i < t->parts; i++) {
        lb_rows_config *rows = LB_NEW(p->arena, lb_rows_config, 1);
        if (!rows) return LB_E_NOMEM;
        *rows = *t->rows;
        rows_of_source(p, t->part[i].name, NULL, rows);
        if (!t->join) rows->join = t->rows->join;
        t->part[i].rows = rows;
        t->part[i].join = t->join ? join_of(rows) : NULL;
    }
    return LB_OK;
}

/* A calibration text; k->rows are then as they are read. */
static lb_status number_calibrated(lb_plan *p, lb_calibration_config *k, size_t *out) {
    bool drawn = lb_recipe_of_rows((lb_recipe)k->recipe);
    const char *said = k->rows.join;
    if (drawn && lb_text_rows_say_join(&k->rows))
        return lb_fail(LB_E_CONFIG, "%s: calibration.join has no effect: recipe: %s draws rows",
                       lb_plan_where(k->node, "join").text, lb_recipe_names[k->recipe]);
    rows_of_source(p, k->text, NULL, &k->rows);
    if (drawn) k->rows.join = said;
    LB_TRY(number_of(p, &p->calibration, k->text, k->bos, &k->rows, drawn ? NULL : join_of(&k->rows), out));
    return find_parts(p, k, &p->calibration.at[*out - 1]);
}

/* That of a cell, and what it trains on instead of one of its own: rows that are drawn for the one are joined for the
 * other. */
static lb_status number_calibration(lb_plan *p, lb_cell *c) {
    lb_calibration_config *k = &c->calibration;
    if (!c->method || !k->text) return LB_OK;
    LB_TRY(number_calibrated(p, k, &c->calibration_text));
    const lb_text *t = &p->calibration.at[c->calibration_text - 1];
    if (t->parts && c->trains && !c->training.text)
        return lb_fail(LB_E_CONFIG,
                       "%s: calibration text '%s' is a mixture, which nothing trains on: add training.text",
                       where_named(p->config, "calibration.text", k->node, t->name).text, t->name);
    if (t->join || !c->trains || c->training.text) return LB_OK;
    return number_of(p, &p->training, k->text, k->bos, &k->rows, join_of(&k->rows), &c->training_text);
}

/* A config without cells has its calibration text looked at too. */
static lb_status number_unread(lb_plan *p) {
    lb_calibration_config *k = LB_NEW(p->arena, lb_calibration_config, 1);
    size_t number;
    if (!k) return LB_E_NOMEM;
    *k = p->config->calibration;
    return k->text ? number_calibrated(p, k, &number) : LB_OK;
}

static const lb_rows_config nothing_said = {.field = LB_FIELD_USUAL, .join = LB_JOIN_AUTO};

/* Where a cell has no text of its own to train on, its rows are read as those of the calibration text, which it has
 * instead. */
static lb_status check_training_rows(const lb_cell *c) {
    if (c->training.text || same_rows(&c->training.rows, &nothing_said)) return LB_OK;
    return lb_fail(LB_E_CONFIG,
                   "%s: training without a text reads the calibration text, of whose rows calibration says all: add "
                   "training.text",
                   lb_config_where(c->training.node).text);
}

/* The text that a cell is validated on is another file than the one it trains on: its rows are read as its name or its
 * source says. */
static lb_status number_validation(lb_plan *p, lb_cell *c) {
    lb_rows_config *rows = LB_NEW(p->arena, lb_rows_config, 1);
    if (!rows) return LB_E_NOMEM;
    *rows = nothing_said;
    rows_of_source(p, c->training.validation, NULL, rows);
    return number_of(p, &p->validation, c->training.validation, c->training.bos, rows, join_of(rows),
                     &c->validation_text);
}

/* Those of all cells. */
static lb_status list_texts(lb_plan *p) {
    p->calibration = p->training = p->validation = (lb_texts){0};
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        const lb_rows_config *rows = &c->training.rows;
        LB_TRY(number_calibration(p, c));
        if (c->trains) LB_TRY(check_training_rows(c));
        rows_of_source(p, c->training.text, NULL, &c->training.rows);
        if (c->method && c->training.text)
            LB_TRY(
                number_of(p, &p->training, c->training.text, c->training.bos, rows, join_of(rows), &c->training_text));
        if (c->trains && c->training.validation[0]) LB_TRY(number_validation(p, c));
    }
    return p->calibration.n ? LB_OK : number_unread(p);
}

static lb_status open_listed(lb_plan *p, lb_texts *t, const char *axis, const lb_yaml *section, size_t topic) {
    for (size_t i = 0; i < t->n; i++) {
        lb_where w = where_named(p->config, axis, section, t->at[i].name);
        p->keeper.topic = topic + i;
        for (size_t k = 0; k < t->at[i].parts; k++) LB_TRY(open_text(p, w, NULL, &t->at[i].part[k]));
        LB_TRY(t->at[i].parts ? lb_mixture_put_together(p, &t->at[i]) : open_text(p, w, NULL, &t->at[i]));
        if (t == &p->calibration && t->at[i].missing)
            lb_warn(&p->keeper.log, "no output errors: calibration text %s", t->at[i].missing);
    }
    p->keeper.topic = 0;
    return LB_OK;
}

lb_status lb_plan_texts(lb_plan *p) {
    const lb_config *c = p->config;
    LB_TRY(list_texts(p));
    size_t most = c->evals + p->calibration.n + p->training.n + p->validation.n + 1;
    for (size_t i = 0; i < p->calibration.n; i++) most += p->calibration.at[i].parts;
    p->opened = LB_NEW(p->arena, lb_corpus *, most);
    if (!p->opened) return LB_E_NOMEM;
    LB_TRY(open_listed(p, &p->calibration, "calibration.text", c->calibration.node, 1));
    LB_TRY(open_listed(p, &p->training, "training.text", c->training.node, 1 + p->calibration.n));
    LB_TRY(
        open_listed(p, &p->validation, "training.validation", c->training.node, 1 + p->calibration.n + p->training.n));
    return open_evals(p);
}

/* ---- cells without theirs ---- */

/* The sequences that cells of one recipe, text and seed are calibrated with. */
typedef struct sequences {
    const char *why; /* NULL: they can be made */
    lb_sequences of; /* token: where rows are drawn, or texts are mixed; else NULL */
} sequences;

static lb_status draw(const lb_plan *p, const lb_cell *c, const lb_text *text, sequences *out) {
    const lb_calibration_config *k = &c->calibration;
    const lb_recipe recipe = (lb_recipe)k->recipe;
    const uint64_t seed = lb_plan_calibration_seed(c);
    if (text->parts) return lb_mixture_tokens(text, recipe, seed, k->samples, k->length, p->arena, &out->of);
    if (lb_recipe_of_rows(recipe))
        return lb_recipe_tokens(text->corpus, recipe, seed, k->samples, k->length, p->arena, &out->of);
    out->of = (lb_sequences){.n = k->samples, .length = k->length};
    return lb_corpus_holds(text->corpus, recipe, k->samples, k->length);
}

/* LB_E_CONFIG: the model or the text cannot give such sequences. */
static lb_status make_windows(lb_plan *p, const lb_cell *c, sequences *out) {
    const lb_calibration_config *k = &c->calibration;
    const lb_text *text = lb_plan_calibration(p, c);
    const lb_net *n = p->model->net;
    if (n->context && k->length > n->context)
        return lb_fail(LB_E_CONFIG, "%s: calibration.length = %lld: the model's context is %lld tokens",
                       lb_plan_where(k->node, "length").text, (long long)k->length, (long long)n->context);
    if (!text->corpus) return LB_OK;
    p->keeper.topic = c->calibration_text;
    lb_status st = draw(p, c, text, out);
    p->keeper.topic = 0;
    return st == LB_E_CONFIG ? lb_fail_in(st, "%s: calibration", lb_config_where(k->node).text) : st;
}

/* Does an axis, or a list of an entry, give the cell its calibration? A seed does where rows are drawn. */
static bool varies(const lb_cell *c) {
    static const char prefix[] = "calibration.";
    bool seed = lb_recipe_of_rows((lb_recipe)c->calibration.recipe) && c->calibration.seed == LB_SEED_OF_CELL;
    for (int64_t i = 0; i < c->varied.n; i++)
        if (strncmp(c->varied.at[i].key, prefix, strlen(prefix)) == 0 ||
            (seed && strcmp(c->varied.at[i].key, "seed") == 0))
            return true;
    return false;
}

/* The sequences of a cell, with what tells its statistics of the original model from those of another. Those that are
 * kept here are of one seed, the others are drawn when their cell has its turn. */
static void windows_text(const lb_plan *p, const lb_cell *c, bool statistics, lb_str *out) {
    const lb_calibration_config *k = &c->calibration;
    bool kept = lb_recipe_of_rows((lb_recipe)k->recipe) || lb_plan_calibration(p, c)->parts;
    out->len = 0;
    lb_str_add(out, "%zu %d %lld %lld", c->calibration_text, k->recipe, (long long)k->samples, (long long)k->length);
    if ((kept || statistics) && lb_recipe_draws((lb_recipe)k->recipe))
        lb_str_add(out, " seed %llu", (unsigned long long)lb_plan_calibration_seed(c));
    if (!statistics) return;
    lb_str_add(out, " enough %lld", (long long)lb_plan_enough(c));
    if (c->own.token_clip != lb_token_clip_default) lb_str_add(out, " clip %.17g", c->own.token_clip);
}

typedef struct windows {
    lb_plan *p;
    lb_index checked, of_statistics;
    sequences *made; /* (checked) */
    size_t n, numbers;
    lb_str text;
} windows;

static lb_status put(windows *x, lb_index *index, size_t value, lb_index_slot **slot, bool *fresh) {
    LB_TRY(lb_str_check(&x->text));
    const char *key = lb_arena_strdup(x->p->arena, x->text.s);
    return key ? lb_index_put(index, key, value, slot, fresh) : LB_E_NOMEM;
}

/* Numbers the cell's windows, each kind of which is tried once. What an axis asks for and cannot be had refuses its
 * cells; in a config of one calibration it is a mistake. */
static lb_status number_windows(windows *x, lb_cell *c) {
    lb_index_slot *slot;
    bool fresh = false;
    if (!c->calibration_text) return LB_OK;
    windows_text(x->p, c, false, &x->text);
    LB_TRY(put(x, &x->checked, x->n, &slot, &fresh));
    if (fresh) {
        sequences *made = &x->made[x->n];
        lb_status st = make_windows(x->p, c, made);
        if (st != LB_OK && (st != LB_E_CONFIG || !varies(c))) return st;
        if (st != LB_OK && !(made->why = lb_arena_strdup(x->p->arena, lb_error()))) return LB_E_NOMEM;
        x->n++;
    }
    const sequences *made = &x->made[slot->value];
    const char *why = made->why;
    if (why && !varies(c)) return lb_fail(LB_E_CONFIG, "%s", why);
    if (why) {
        c->refused = true;
        c->reason = why;
        return LB_OK;
    }
    c->sequences = made->of;
    windows_text(x->p, c, true, &x->text);
    LB_TRY(put(x, &x->of_statistics, x->numbers + 1, &slot, &fresh));
    x->numbers += fresh;
    c->windows = slot->value;
    return LB_OK;
}

/* NULL: the texts have at least one sequence of the cell's length. */
static lb_status too_short(const lb_plan *p, const lb_cell *c, const char **why) {
    const lb_corpus *k = lb_plan_training(p, c)->corpus, *v = lb_plan_validation(p, c)->corpus;
    int64_t length = lb_plan_sequence(c);
    *why = NULL;
    if (k && k->tokens < length)
        *why = lb_arena_printf(p->arena, "training text %s has %lld tokens: one sequence takes length = %lld", k->path,
                               (long long)k->tokens, (long long)length);
    else if (v && v->tokens < length)
        *why = lb_arena_printf(p->arena, "validation text %s has %lld tokens: one window takes length = %lld", v->path,
                               (long long)v->tokens, (long long)length);
    else
        return LB_OK;
    return *why ? LB_OK : LB_E_NOMEM;
}

/* A cell whose text was not fetched or is too short is refused, and one that trains while weights are streamed; the
 * others run. */
static lb_status refuse_cell(lb_plan *p, lb_cell *c) {
    const char *why = c->needs & LB_NEEDS_CALIBRATION ? lb_plan_calibration(p, c)->missing
                      : c->trains                     ? lb_plan_training(p, c)->missing
                                                      : NULL;
    if (!why && c->trains) why = lb_plan_validation(p, c)->missing;
    if (!why && c->trains && p->config->weights == LB_WEIGHTS_STREAM)
        why = "training keeps all weights in memory: needs weights: resident, not stream";
    if (!why && c->trains) LB_TRY(too_short(p, c, &why));
    if (!why) return LB_OK;
    c->refused = true;
    c->reason = why;
    return LB_OK;
}

static void close_rows_of(lb_plan *p, const lb_text *t) {
    bool items = false; /* of a task */
    for (int64_t k = 0; k < p->evals; k++) items = items || p->eval[k].corpus == t->corpus;
    for (size_t i = 0; i < t->parts; i++) close_rows_of(p, &t->part[i]);
    if (t->corpus && !t->parts && !items) lb_corpus_close_rows(t->corpus);
}

/* What was drawn is kept, the rows are not: C4's are most of a gigabyte. */
void lb_plan_close_rows(lb_plan *p) {
    for (size_t i = 0; i < p->calibration.n; i++) close_rows_of(p, &p->calibration.at[i]);
}

lb_status lb_plan_refuse(lb_plan *p) {
    windows x = {.p = p, .made = LB_NEW(p->arena, sequences, p->sweep.n + 1)};
    lb_status st = x.made ? LB_OK : LB_E_NOMEM;
    for (size_t i = 0; i < p->sweep.n && st == LB_OK; i++) {
        lb_cell *c = &p->sweep.cell[i];
        if (c->refused) continue;
        st = number_windows(&x, c);
        if (st == LB_OK && !c->refused) st = refuse_cell(p, c);
    }
    lb_index_free(&x.checked);
    lb_index_free(&x.of_statistics);
    lb_str_free(&x.text);
    lb_plan_close_rows(p);
    return st;
}

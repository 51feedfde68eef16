/* What a reader must know to read the tables. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/parts.h"
#include "report/significance.h"

typedef struct notes {
    lb_arena *arena;
    const char **item;
    size_t n, cap;
    bool failed;
} notes;

static void note(notes *s, const char *text) {
    if (!text) s->failed = true;
    if (s->failed) return;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 32;
        const char **item = LB_NEW(s->arena, const char *, cap);
        if (!item) {
            s->failed = true;
            return;
        }
        if (s->n) memcpy(item, s->item, s->n * sizeof *item);
        s->item = item, s->cap = cap;
    }
    s->item[s->n++] = text;
}

#define OVER_WINDOWS "\xc2\xb1 is the standard error over windows, PPL \xc2\xb7 sd(window means) / sqrt(windows)."
#define OVER_TOKENS                                                                                                    \
    "\xc2\xb1 is the standard error over tokens, PPL \xc2\xb7 sqrt((mean nll\xc2\xb2 \xe2\x88\x92 mean\xc2\xb2) / "    \
    "(tokens \xe2\x88\x92 1))."

static void note_protocol(notes *s, const lb_report_block *b) {
    const lb_protocol *p = &b->eval->eval.protocol;
    long long n = (long long)p->n;
    if (lb_protocol_is_task(p))
        note(s,
             lb_arena_printf(s->arena,
                             "%s: %s \xc2\xb1 of accuracies is sqrt(p (1 \xe2\x88\x92 p) / (items \xe2\x88\x92 1)).%s "
                             "p McNemar: exact and two-sided, of the items that one of the two alone has right.",
                             p->id, lb_protocol_form_of(p->rule)->text,
                             p->rule == LB_RULE_LAMB ? ""
                                                     : " \xce\x94 NLL is that of the right choice, in nats an "
                                                       "item."));
    else if (p->rule == LB_RULE_LCPP)
        note(s, lb_arena_printf(s->arena,
                                "%s: windows of %lld tokens without overlap, the tail dropped; the second half of each "
                                "window is scored (llama.cpp's rule); mean over tokens. " OVER_TOKENS,
                                p->id, n));
    else if (p->rule == LB_RULE_W2)
        note(s, lb_arena_printf(s->arena,
                                "%s: windows of %lld tokens without overlap, the tail dropped; %lld tokens of each are "
                                "scored; mean of the windows' means. " OVER_WINDOWS,
                                p->id, n, n - 1));
    else
        note(s, lb_arena_printf(s->arena, "%s, n = %lld: %s %s", p->id, n, lb_protocol_form_of(p->rule)->text,
                                lb_protocol_over_tokens(p) ? OVER_TOKENS : OVER_WINDOWS));
}

/* Tokens of a text are a tokenizer's, so of several models each has its own. */
static void note_texts(notes *s, const lb_report_view *v, bool named) {
    for (int64_t i = 0; i < v->blocks; i++) {
        const lb_eval_row *e = v->block[i].eval;
        const char *rows = e->rows && e->rows[0] ? e->rows : NULL;
        note(s, lb_arena_printf(
                    s->arena, "%s%s%s: %lld tokens scored of a text of %lld; BOS %s; %s%s%stext SHA-256 %.16s.",
                    named ? v->r->model_name : "", named ? ", " : "", v->block[i].title, (long long)e->eval.scored,
                    (long long)e->text_tokens, e->bos ? e->bos : "unknown", rows ? "rows " : "", rows ? rows : "",
                    rows ? "; " : "", e->text_hash ? e->text_hash : "unknown"));
    }
}

static void note_seeds_of_tasks(notes *s, const lb_report_view *v) {
    bool tasks = false, seeds = false;
    for (int64_t i = 0; i < v->blocks; i++) tasks = tasks || lb_protocol_is_task(&v->block[i].eval->eval.protocol);
    for (int64_t i = 0; i < v->rows; i++) seeds = seeds || v->row[i].cells > 1;
    if (tasks && seeds)
        note(s,
             "Of rows over several seeds an item counts once in p McNemar, by how many seeds have it right: the share "
             "of the ways to give the items' differences their signs whose sum is as far from 0. It speaks of these "
             "seeds, not of others.");
}

static void note_protocols(notes *s, const lb_report_view *v) {
    for (int64_t i = 0; i < v->blocks; i++) {
        bool seen = false;
        for (int64_t k = 0; k < i; k++)
            seen |= strcmp(v->block[k].eval->eval.protocol.id, v->block[i].eval->eval.protocol.id) == 0;
        if (!seen) note_protocol(s, &v->block[i]);
    }
    bool several = false, computes = false;
    for (int64_t m = 0; m < v->models; m++) {
        const lb_report_view *one = &v->model[m];
        note_texts(s, one, v->models > 1);
        for (int64_t i = 0; i < one->blocks; i++) {
            computes = computes || one->block[i].compute;
            several = several || (i > 0 && !lb_report_same_windows(one->block[i].eval, one->block[0].eval));
        }
    }
    if (several) note(s, "Perplexities of two protocols, texts or numbers of windows are not comparable.");
    if (computes)
        note(s, "Products in float32 and in bf16 have tables of their own, with the baseline evaluated in the same: "
                "differences and KL are to that one. --compare ROW has rows of both.");
}

/* Whether any row has differences or KL, over how long a block, and whether the single window leaves no interval. */
typedef struct measured {
    bool delta, kl, speculative, error, own, one_window;
    bool calibrations;     /* errors are measured on more than one */
    const lb_record *with; /* the first that has errors */
    uint64_t inputs;       /* quantized ones: a bit for each number of bits */
    int64_t block;
} measured;

/* Were their errors measured with the same text and sequences? Seeds of random ones are not asked for. */
static bool same_calibration(const lb_record *x, const lb_record *y) {
    static const char *const key[] = {"calibration_sha256", "calibration_recipe", "calibration_samples",
                                      "calibration_length", "calibration_rows"};
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
        const char *a = lb_report_pair(&x->provenance, key[i]), *b = lb_report_pair(&y->provenance, key[i]);
        if (a && b && strcmp(a, b) != 0) return false;
    }
    return true;
}

static void note_error(measured *m, const lb_record *c) {
    if (isnan(lb_model_error_of(c, true).output_rel)) return;
    m->error = true;
    if (!m->with) m->with = c;
    m->calibrations = m->calibrations || (lb_report_same_model(m->with, c) && !same_calibration(m->with, c));
}

static measured what_was_measured(const lb_report_view *v) {
    measured m = {0};
    for (int64_t i = 0; i < v->rows; i++)
        for (int64_t k = 0; k < v->row[i].cells; k++) {
            const lb_record *c = v->row[i].cell[k];
            note_error(&m, c);
            m.own |= !isnan(lb_model_error_of(c, false).output_rel);
            if (lb_report_act_bits(c) > 0) m.inputs |= (uint64_t)1 << lb_report_act_bits(c);
            for (int64_t e = 0; e < c->evals; e++) {
                m.kl |= c->eval[e].eval.has_kl;
                m.speculative |= c->eval[e].eval.speculative > 0;
                if (!c->eval[e].has_paired) continue;
                m.delta = true, m.block = c->eval[e].paired.block;
                m.one_window |= c->eval[e].paired.windows == 1;
            }
        }
    return m;
}

/* What errors of layers leave out, with rows called "a8": " These are errors of weights alone: ..." */
static const char *note_of_inputs(lb_arena *a, uint64_t inputs) {
    char bits[256] = "";
    for (int b = 1, n = 0; b < 64; b++)
        if (inputs >> b & 1) n += snprintf(bits + n, sizeof bits - (size_t)n, "%sa%d", n ? ", " : "", b);
    if (!inputs) return "";
    return lb_arena_printf(
        a, " These are errors of weights alone: what quantized inputs (%s) cost shows in perplexity and KL.", bits);
}

static const char *which_errors(const measured *m) {
    if (!m->error) return "";
    return m->calibrations ? ", with H of the original model's inputs on the calibration of the cell: on one "
                             "calibration cells compare, across them they do not"
                           : ", with H of the original model's inputs, so that cells compare";
}

/* Whether tables show one of these: where nobody chose columns, what was measured. */
static bool shows(const lb_report_view *v, const char *const *name) {
    const lb_report_options *o = v->options;
    for (int64_t i = 0; i < o->columns; i++)
        for (const char *const *x = name; *x; x++)
            if (strcmp(o->column[i], *x) == 0) return true;
    return o->columns == 0;
}

static const char *const deltas[] = {"delta", "delta_ln_ppl", "delta_low", "delta_high", NULL};
static const char *const divergences[] = {"kl", "kl_mean", "kl_median", "kl_p99", "top1", NULL};
static const char *const drafts[] = {"accept", "speedup", NULL};
static const char *const sizes[] = {"b/w", "bits_per_weight", "mib", "model_bytes_rest_fp16", "ratio_fp16", NULL};
static const char *const layer_errors[] = {"output_rel_mse_original", "output_vs_rtn_original", "output_rel_mse_own",
                                           "output_vs_rtn_own", NULL};
static const char *const over_seeds[] = {"delta", "delta_ln_ppl", "delta_low",       "delta_high", "ppl",
                                         "seeds", "ppl_se",       "ln_ppl_sd_seeds", NULL};
static const char *const letters[] = {"flags", NULL};

/* comparisons: how many differences there are; NULL: it is said elsewhere. */
static void note_columns(notes *s, const lb_report_view *v, const char *comparisons) {
    measured m = what_was_measured(v);
    const char *inputs = note_of_inputs(s->arena, m.inputs);
    if (m.delta && shows(v, deltas))
        note(s, lb_arena_printf(
                    s->arena,
                    "\xce\x94 ln PPL: mean difference of the negative log-likelihood (nats) to %s over the same "
                    "windows, with a 95 %% interval by moving-block bootstrap (10,000 resamples, blocks of "
                    "round(windows^(1/3)) windows).%s%s%s",
                    v->options->reference ? v->options->reference : "the baseline",
                    m.one_window ? " A single window gives no interval." : "", comparisons ? " " : "",
                    comparisons ? comparisons : ""));
    if (m.kl && shows(v, divergences))
        note(s, "KL: mean KL(baseline || cell) in nats over the scored tokens; top-1: how often, in percent, both "
                "prefer the same token.");
    if (m.speculative && shows(v, drafts))
        note(s,
             "accept: how many of the cell's drafts the baseline is expected to take in speculative decoding, in "
             "percent, the mean of the sum of min(p, q) over the vocabulary; speed-up: what that makes of the "
             "baseline's decoding with the drafts a round that the evaluation names, if each is taken on its own and "
             "a token costs the reading of all weights, what is not quantized at 16 bits (Leviathan et al. 2023).");
    if (shows(v, sizes))
        note(s, "b/w: bits per weight of the quantized layers with scales, zeros, codebooks, order and padding. MiB: "
                "the whole model, the rest of it at 16 bits; of fp16: that, relative to the unquantized model at 16 "
                "bits.");
    if ((m.error || m.own) && shows(v, layer_errors))
        note(s, lb_arena_printf(
                    s->arena,
                    "rel. MSE: relative output MSE of the quantized layers, sum of errors / sum of "
                    "energies%s; \xc3\x97 RTN: relative to round-to-nearest onto the same storage, same "
                    "H.%s%s",
                    which_errors(&m),
                    m.own ? " own-H MSE and its \xc3\x97 RTN: with H of the inputs the layers were solved on." : "",
                    inputs ? inputs : ""));
    if (!inputs) s->failed = true;
    if (v->seeds && shows(v, over_seeds))
        note(s,
             "Rows over several seeds: \xce\x94 ln PPL is the mean over seeds, PPL their geometric mean, so that it is "
             "exp(\xce\x94) times the baseline's; \xc2\xb1 stays the sampling error of the text; sd ln PPL, which is "
             "the "
             "sd of \xce\x94 too, is the sample standard deviation over seeds; the 95 % interval is over seeds (t) and "
             "windows (blocks) both. Anything else is a mean.");
}

/* What of a cell's resolved config no row's name need have. */
typedef struct own_part {
    const char *title;
    bool (*of)(const lb_record *c, lb_str *out);
} own_part;

static bool embedding_of(const lb_record *c, lb_str *out) { return lb_report_end(c, "embedding", out); }
static bool head_of(const lb_record *c, lb_str *out) { return lb_report_end(c, "head", out); }

static const char *part_of(notes *s, const own_part *part, const lb_record *c) {
    lb_str text = {0};
    const char *out = NULL;
    if (part->of(c, &text)) {
        out = lb_str_check(&text) == LB_OK ? lb_arena_strdup(s->arena, text.s ? text.s : "") : NULL;
        s->failed = s->failed || !out;
    }
    lb_str_free(&text);
    return out;
}

/* Each that some row has once, with its rows. */
static void note_part(notes *s, const lb_report_view *v, const own_part *part) {
    const char **own = LB_NEW(s->arena, const char *, v->rows + 1);
    int64_t methods = 0;
    if (!own) s->failed = true;
    for (int64_t i = 0; i < v->rows && own; i++) {
        own[i] = part_of(s, part, v->row[i].cell[0]);
        methods += !v->row[i].baseline;
    }
    for (int64_t i = 0, k; i < v->rows && !s->failed; i++) {
        for (k = 0; k < i && own[i]; k++)
            if (own[k] && strcmp(own[k], own[i]) == 0) break;
        if (!own[i] || k < i) continue;
        lb_str rows = {0};
        int64_t n = 0;
        for (; k < v->rows; k++)
            if (own[k] && strcmp(own[k], own[i]) == 0) lb_str_add(&rows, "%s%s", n++ ? ", " : "", v->row[k].short_name);
        const char *where = n > 1 && n == methods ? "all cells" : rows.s;
        bool whole = lb_str_check(&rows) == LB_OK;
        note(s, whole ? lb_arena_printf(s->arena, "%s (%s): %s.", part->title, where, own[i]) : NULL);
        lb_str_free(&rows);
    }
}

static void note_parts(notes *s, const lb_report_view *v) {
    static const own_part part[] = {{"Rules of single layers", lb_report_rules},
                                    {"Embedding by a method of its own", embedding_of},
                                    {"Head by a method of its own", head_of}};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) note_part(s, v, &part[i]);
}

static bool trained_as_it_was(const lb_record *r) {
    bool rounded = false;
    for (int64_t i = 0; i < r->layers; i++) rounded = rounded || r->layer[i].quantized;
    return r->curve.n > 0 && !rounded;
}

static void note_flags(notes *s, const lb_report_view *v) {
    uint32_t all = 0;
    const lb_flag *f;
    for (int64_t i = 0; i < v->rows; i++) all |= v->row[i].flags;
    for (int bit = 0; (f = lb_flag_of(bit)); bit++)
        if (all & (1u << bit) && shows(v, letters))
            note(s, lb_arena_printf(s->arena, "%c: %s.", f->letter, f->meaning));
    if (all & LB_FLAG_NOT_MINIMIZED && shows(v, layer_errors))
        note(s, "\xe2\x80\xa0: a layer error of what was trained, which the training did not minimize.");
    for (int64_t i = 0; i < v->rows; i++)
        if (trained_as_it_was(v->row[i].cell[0])) {
            note(s, lb_arena_printf(
                        s->arena, "%s: trained without a quantizer: what a training with one gains by training alone.",
                        v->row[i].cell[0]->method));
            break;
        }
}

/* A warning that several cells share is said once. */
static void note_warnings(notes *s, const lb_report_view *v) {
    const lb_results *r = v->r;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t w = 0; w < r->record[i].warnings; w++) {
            const char *text = r->record[i].warning[w];
            int64_t cells = 0;
            bool earlier = false;
            for (int64_t k = 0; k < r->n; k++)
                for (int64_t x = 0; x < r->record[k].warnings; x++) {
                    if (strcmp(r->record[k].warning[x], text) != 0) continue;
                    if (k < i || (k == i && x < w)) earlier = true;
                    cells++;
                    break;
                }
            if (earlier) continue;
            if (cells == 1)
                note(s, lb_arena_printf(s->arena, "warning (%s): %s", r->record[i].label, text));
            else
                note(s, lb_arena_printf(s->arena, "warning (%lld cells): %s", (long long)cells, text));
        }
}

static void note_models(notes *s, const lb_report_view *v) {
    for (int64_t m = 0; m < v->models; m++) {
        const lb_results *r = v->model[m].r;
        if (!r->model_note || !r->model_note[0]) continue;
        if (v->models == 1)
            note(s, lb_arena_printf(s->arena, "Model: %s.", r->model_note));
        else
            note(s, lb_arena_printf(s->arena, "Model %s: %s.", r->model_name, r->model_note));
    }
    if (v->models > 1)
        note(s, "Models are not compared: differences, KL and ratios are to the same model unquantized.");
}

/* NULL: nothing is compared. */
static lb_status comparisons_of(const lb_report_view *v, const char **out) {
    lb_str text = {0};
    *out = NULL;
    lb_status st = lb_report_marks_text(v, &text);
    if (st == LB_OK && text.s && !(*out = lb_arena_strdup(v->arena, text.s))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

lb_status lb_report_notes(const lb_report_view *v, lb_table_format f, lb_str *out) {
    notes s = {.arena = v->arena};
    bool marks = v->options->significant;
    const char *comparisons;
    LB_TRY(comparisons_of(v, &comparisons));
    note_models(&s, v);
    note_protocols(&s, v);
    note_seeds_of_tasks(&s, v);
    note_columns(&s, v, marks ? NULL : comparisons);
    if (marks && comparisons && shows(v, deltas)) note(&s, comparisons);
    note_parts(&s, v);
    note_flags(&s, v);
    note_warnings(&s, v);
    if (s.failed) return lb_fail(LB_E_NOMEM, "out of memory: notes of the report");
    lb_markup_list(out, f, s.item, s.n);
    return lb_str_check(out);
}

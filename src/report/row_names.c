#include "report/row_names.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "quant/format.h"
#include "report/facts.h"
#include "report/parts.h"
#include "result/choice.h"

static const char *value_of(const lb_record *c, const char *key) {
    const char *given = lb_report_pair(&c->varied, key), *option = lb_report_pair(&c->options, key);
    return given ? given : option ? option : "";
}

/* What the entry of the config is called that the cell is of; NULL: it has no label of its own. */
static const char *given_label(const lb_record *c) { return lb_report_pair(&c->varied, "label"); }

/* What is refused or failed distinguishes nothing; what has yet to run will. */
static bool counts(const lb_record *c) {
    return c->state == LB_CELL_DONE || c->state == LB_CELL_PENDING || c->state == LB_CELL_MISSING;
}

/* Whether two cells of this method, or of this entry where that has a label, have different values. */
static bool differs(const lb_results *r, const lb_record *c, const char *key) {
    const char *mine = value_of(c, key), *label = given_label(c);
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *o = &r->record[i];
        if (!counts(o) || strcmp(o->method, c->method) != 0) continue;
        if (label && strcmp(value_of(o, "label"), label) != 0) continue;
        if (strcmp(value_of(o, key), mine) != 0) return true;
    }
    return false;
}

static bool is_own_column(const char *key) {
    static const char *const own_column[] = {"bits", "group", "seed", "method", "act_bits", "label"};
    for (size_t k = 0; k < sizeof own_column / sizeof own_column[0]; k++)
        if (strcmp(key, own_column[k]) == 0) return true;
    return false;
}

static bool is_of_one_sweep(const lb_results *r) {
    for (int64_t i = 0; i < r->n; i++) {
        const char *x = r->record[i].folder, *y = r->record[0].folder;
        if (r->record[i].unlisted || strcmp(x ? x : "", y ? y : "") != 0) return false;
    }
    return true;
}

/* What this cell's sweep held fixed and another one varied. */
static void add_fixed(lb_str *s, const lb_results *r, const lb_record *c) {
    enum { MOST = 32 };
    const char *seen[MOST];
    size_t n = 0;
    if (given_label(c) || is_of_one_sweep(r)) return;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t k = 0; k < r->record[i].varied.n && n < MOST; k++) {
            const char *key = r->record[i].varied.at[k].key;
            bool known = is_own_column(key) || lb_report_pair(&c->varied, key) || !value_of(c, key)[0];
            if (strcmp(r->record[i].method, c->method) != 0) continue;
            for (size_t x = 0; x < n; x++) known |= strcmp(seen[x], key) == 0;
            if (known) continue;
            seen[n++] = key;
            if (differs(r, c, key)) lb_choice_add(s, key, value_of(c, key));
        }
}

/* What was chosen, as words. An option that all cells of the method share is left out, unless it was switched on. Bits
 * of inputs come first, always. Where the entry has a label, that says what its cells share. */
static void add_varied(lb_str *s, const lb_results *r, const lb_record *c) {
    bool labelled = given_label(c) != NULL;
    if (!labelled && lb_report_act_bits(c) > 0) lb_str_add(s, " a%d", lb_report_act_bits(c));
    for (int64_t i = 0; i < c->varied.n; i++) {
        const lb_pair *p = &c->varied.at[i];
        bool on = strcmp(p->value, "true") == 0;
        bool seed = strcmp(p->key, "calibration.seed") == 0 && lb_report_calibration_seeds(c);
        if (seed || is_own_column(p->key) || ((!on || labelled) && !differs(r, c, p->key))) continue;
        lb_choice_add(s, p->key, p->value);
    }
    add_fixed(s, r, c);
}

/* Rounded floats share nothing. */
static bool has_groups(const lb_record *c) {
    size_t n = c->storage ? strcspn(c->storage, " ") : 0;
    static const lb_format *const floats[] = {&lb_float16, &lb_bfloat16};
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++)
        if (strlen(floats[i]->name) == n && strncmp(c->storage, floats[i]->name, n) == 0) return false;
    return c->bits > 0 && c->size.quantized.weights > 0;
}

const char *lb_report_group_text(const lb_record *c, char out[32]) {
    out[0] = 0;
    if (!has_groups(c)) return out;
    if (c->group == LB_GROUP_ROW)
        snprintf(out, 32, "row");
    else if (c->group == LB_GROUP_TENSOR)
        snprintf(out, 32, "tensor");
    else
        snprintf(out, 32, "%lld", (long long)c->group);
    return out;
}

static lb_status keep(lb_arena *a, lb_str *s, const char **out) {
    lb_status st = lb_str_check(s);
    if (st == LB_OK) {
        *out = lb_arena_strdup(a, s->s ? s->s : "");
        if (!*out) st = LB_E_NOMEM;
    }
    lb_str_free(s);
    return st;
}

/* Tables and lines are of one, what is of all rows need not be. */
static bool has_both_computes(const lb_results *r) {
    const lb_record *first = NULL;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (c->state != LB_CELL_DONE || !c->evals) continue;
        if (!first) first = c;
        if (strcmp(lb_report_compute(first), lb_report_compute(c)) != 0) return true;
    }
    return false;
}

lb_status lb_report_name_row(lb_arena *a, const lb_results *r, lb_report_row *row, const lb_record *c) {
    char group[32], bits[32];
    lb_str name = {0}, brief = {0}, series = {0};
    const char *label = given_label(c), *called = label ? label : c->method;
    lb_str_add(&name, "%s", called);
    add_varied(&name, r, c);
    bool sized = lb_report_group_text(c, group)[0] != 0;
    lb_str_add(&brief, "%s", called);
    lb_str_add(&series, "%s", called);
    const char *sign = c->group > 0 ? "g" : "";
    if (sized && (!label || differs(r, c, "bits"))) lb_str_add(&brief, " %sb", lb_report_bits_text(c, bits));
    if (sized && (!label || differs(r, c, "group"))) {
        lb_str_add(&brief, " %s%s", sign, group);
        lb_str_add(&series, " %s%s", sign, group);
    }
    add_varied(&brief, r, c);
    if (has_both_computes(r)) lb_choice_add(&brief, "compute", lb_report_compute(c));
    add_varied(&series, r, c);
    lb_status st = keep(a, &name, &row->name);
    if (st == LB_OK)
        st = keep(a, &brief, &row->short_name);
    else
        lb_str_free(&brief);
    if (st == LB_OK) return keep(a, &series, &row->series);
    lb_str_free(&series);
    return st;
}

/* The sweep's label of a row's first cell, without the word of its seed where the row is a mean over seeds. What the
 * entry's own label says of an "s1" stays. */
static lb_status label_of(lb_arena *a, const lb_report_row *row, const char **out) {
    char seed[48];
    const char *given = given_label(row->cell[0]);
    char *label = lb_arena_strdup(a, row->cell[0]->label);
    if (!label) return LB_E_NOMEM;
    char *varying = given ? strstr(label, given) : NULL;
    varying = varying ? varying + strlen(given) : label;
    size_t n = lb_report_seed_word(row->cell[0], seed);
    char *at = row->cells + row->lost > 1 ? strstr(varying, seed) : NULL;
    if (at && (at[n] == 0 || at[n] == ' ')) memmove(at, at + n, strlen(at + n) + 1);
    *out = label;
    return LB_OK;
}

static void take_label(lb_report_row *row) { row->name = row->short_name = row->series = row->label; }

/* Where what varies does not tell two rows apart (rules of a layer), the sweep's own label does, unless rows of several
 * sweeps share that too. */
static void use_labels(lb_report_view *v) {
    for (int64_t i = 0; i < v->rows; i++) {
        const char *shown = v->row[i].short_name, *label = v->row[i].label;
        bool told = false;
        for (int64_t k = i + 1; k < v->rows; k++)
            told |= strcmp(shown, v->row[k].short_name) == 0 && strcmp(label, v->row[k].label) != 0;
        for (int64_t k = i + 1; k < v->rows && told; k++)
            if (strcmp(shown, v->row[k].short_name) == 0) take_label(&v->row[k]);
        if (told) take_label(&v->row[i]);
    }
}

/* ---- rows of several sweeps, which one label may name ---- */

/* What tells such rows apart, the most telling first; options of the method stand in its middle. */
static const char *const before_options[] = {"calibration",
                                             "calibration_samples",
                                             "calibration_length",
                                             "calibration_recipe",
                                             "calibration_rows",
                                             "calibration_seed",
                                             "calibration_bos",
                                             "training",
                                             "rules",
                                             "embedding",
                                             "head",
                                             "router",
                                             "propagate",
                                             "true_sequential",
                                             "token_weight",
                                             "token_clip"};
/* What was evaluated, and what of the resolved config no column has: also before anything that says where a cell is. */
static const char *const of_evaluation[] = {"evaluation", "protocol",    "bos",    "text_rows",
                                            "windows",    "text_sha256", "compute"};
static const char *const of_config[] = {"original_errors", "equal_errors", "starved_experts", "expert_tokens", "kl"};
static const char *const after_options[] = {
    "seed", "calibration_sha256", "training_sha256", "kernels", "revision", "folder", "cell"};

typedef struct fact_list {
    const char *const *at;
    size_t n;
} fact_list;

#define LIST(names)                                                                                                    \
    { names, sizeof(names) / sizeof((names)[0]) }

/* Rows of two models are in tables of their own. */
static bool same_model(const lb_report_row *x, const lb_report_row *y) {
    return lb_report_same_model(x->cell[0], y->cell[0]);
}

static void add_distinct(lb_str *s, const char *value, const char *const *earlier, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (strcmp(earlier[i], value) == 0) return;
    lb_str_add(s, "%s%s", n ? "+" : "", value);
}

/* Of all its evaluations, each value once: "W2-64+W2-32". */
static lb_status of_evaluations(const lb_report_view *v, const lb_record *c, const char *fact, const char **out) {
    const char **value = LB_NEW(v->arena, const char *, c->evals + 1);
    lb_str s = {0};
    lb_status st = value ? LB_OK : LB_E_NOMEM;
    for (int64_t e = 0; e < c->evals && st == LB_OK; e++) {
        lb_fact_value one;
        st = lb_fact_of(v->arena, v->whole, c, &c->eval[e], fact, &one);
        if (st != LB_OK) break;
        value[e] = strcmp(fact, "evaluation") == 0 ? lb_fs_basename(one.text) : one.text;
        add_distinct(&s, value[e], value, e);
    }
    if (st == LB_OK) return keep(v->arena, &s, out);
    lb_str_free(&s);
    return st;
}

/* "" where the resolved config has no such line. */
static lb_status of_resolved(const lb_report_view *v, const lb_record *c, const char *key, const char **out) {
    lb_str value = {0};
    lb_report_config_value(c, key, &value);
    return keep(v->arena, &value, out);
}

static lb_status value_in_words(const lb_report_view *v, const lb_report_row *row, const fact_list *facts, size_t i,
                                const char **out) {
    const lb_record *c = row->cell[0];
    lb_fact_value value;
    if (facts->at == of_evaluation) return of_evaluations(v, c, facts->at[i], out);
    if (facts->at == of_config) return of_resolved(v, c, facts->at[i], out);
    LB_TRY(lb_fact_of(v->arena, v->whole, c, c->evals ? c->eval : NULL, facts->at[i], &value));
    *out = value.text;
    return LB_OK;
}

/* " on wiki", " samples=16", " in case-b" */
static void add_words(lb_str *s, const char *fact, const char *value) {
    static const char of_calibration[] = "calibration_";
    char key[64] = "calibration.";
    size_t prefix = strlen(of_calibration);
    if (strcmp(fact, "calibration") == 0) {
        lb_str_add(s, " on %s", value);
    } else if (strcmp(fact, "training") == 0) {
        lb_str_add(s, " trained on %s", value);
    } else if (strcmp(fact, "evaluation") == 0) {
        lb_str_add(s, " evaluated on %s", value);
    } else if (strcmp(fact, "protocol") == 0) {
        lb_str_add(s, " %s", value);
    } else if (strcmp(fact, "text_rows") == 0) {
        lb_str_add(s, " (%s)", value[0] ? value : "read as one text");
    } else if (strcmp(fact, "folder") == 0) {
        lb_str_add(s, " in %s", value);
    } else if (lb_str_ends(fact, "sha256")) {
        lb_str_add(s, " %s=%.8s", fact, value);
    } else if (strncmp(fact, of_calibration, prefix) == 0) {
        snprintf(key + prefix, sizeof key - prefix, "%s", fact + prefix);
        lb_choice_add(s, key, value);
    } else {
        lb_choice_add(s, fact, value);
    }
}

/* meets: a row of its name stands in one table with it; else the titles of their tables say what differs. */
static lb_status add_value(lb_arena *a, lb_report_row *row, const char *fact, const char *value, bool meets) {
    const char **const name[] = {&row->short_name, &row->label, &row->name, &row->series};
    for (size_t i = 0; i < (meets ? 4 : 2); i++) {
        lb_str s = {0};
        lb_str_add(&s, "%s", *name[i]);
        add_words(&s, fact, value);
        LB_TRY(keep(a, &s, name[i]));
    }
    return LB_OK;
}

/* Have they an evaluation in common? */
static bool meet(const lb_report_row *x, const lb_report_row *y) {
    for (int64_t i = 0; i < x->cell[0]->evals; i++)
        for (int64_t k = 0; k < y->cell[0]->evals; k++)
            if (lb_report_same_evaluation(&x->cell[0]->eval[i], &y->cell[0]->eval[k])) return true;
    return false;
}

/* Rows of one name get what the i-th fact is of each, if it differs among them. */
static lb_status tell_by(lb_report_view *v, const fact_list *facts, size_t at, bool *any) {
    const char *fact = facts->at[at];
    const char **value = LB_NEW(v->arena, const char *, v->rows + 1),
               **name = LB_NEW(v->arena, const char *, v->rows + 1);
    bool *differs_there = LB_NEW(v->arena, bool, v->rows + 1), *meets = LB_NEW(v->arena, bool, v->rows + 1);
    if (!value || !name || !differs_there || !meets) return LB_E_NOMEM;
    *any = false;
    for (int64_t i = 0; i < v->rows; i++) name[i] = v->row[i].short_name;
    for (int64_t i = 0; i < v->rows; i++) {
        LB_TRY(lb_interrupt_check());
        for (int64_t k = i + 1; k < v->rows; k++) {
            if (strcmp(name[i], name[k]) != 0 || !same_model(&v->row[i], &v->row[k])) continue;
            if (!value[i]) LB_TRY(value_in_words(v, &v->row[i], facts, at, &value[i]));
            if (!value[k]) LB_TRY(value_in_words(v, &v->row[k], facts, at, &value[k]));
            *any = true;
            if (strcmp(value[i], value[k]) == 0) continue;
            differs_there[i] = differs_there[k] = true;
            if (facts->at != of_evaluation || meet(&v->row[i], &v->row[k])) meets[i] = meets[k] = true;
        }
    }
    if (strcmp(fact, "calibration") == 0 || strcmp(fact, "training") == 0)
        LB_TRY(lb_report_path_ends(v->arena, value, v->rows));
    for (int64_t i = 0; i < v->rows; i++)
        if (differs_there[i] && value[i][0]) LB_TRY(add_value(v->arena, &v->row[i], fact, value[i], meets[i]));
    return LB_OK;
}

static lb_status tell_by_each(lb_report_view *v, fact_list facts, bool *any) {
    for (size_t i = 0; i < facts.n && *any; i++) LB_TRY(tell_by(v, &facts, i, any));
    return LB_OK;
}

static lb_status tell_by_facts(lb_report_view *v) {
    const char **option;
    int64_t options;
    bool any = true;
    LB_TRY(tell_by_each(v, (fact_list)LIST(before_options), &any));
    if (!any) return LB_OK;
    LB_TRY(lb_fact_options(v->arena, v->whole, &option, &options));
    LB_TRY(tell_by_each(v, (fact_list){option, (size_t)options}, &any));
    LB_TRY(tell_by_each(v, (fact_list)LIST(of_evaluation), &any));
    LB_TRY(tell_by_each(v, (fact_list)LIST(of_config), &any));
    return tell_by_each(v, (fact_list)LIST(after_options), &any);
}

/* One label of two sweeps' rows gives way to the rows' names. */
static void use_names(lb_report_view *v) {
    for (int64_t i = 0; i < v->rows; i++) {
        const char *label = v->row[i].label;
        bool shared = false;
        for (int64_t k = i + 1; k < v->rows; k++) {
            if (strcmp(v->row[k].label, label) != 0 || !same_model(&v->row[i], &v->row[k])) continue;
            v->row[k].label = v->row[k].short_name;
            shared = true;
        }
        if (shared) v->row[i].label = v->row[i].short_name;
    }
}

lb_status lb_report_tell_apart(lb_report_view *v) {
    for (int64_t i = 0; i < v->rows; i++) LB_TRY(label_of(v->arena, &v->row[i], &v->row[i].label));
    use_labels(v);
    LB_TRY(tell_by_facts(v));
    use_names(v);
    return LB_OK;
}

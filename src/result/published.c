#include "result/published.h"

#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "io/csv.h"
#include "quant/method.h"

const char *const lb_trust_names[] = {"primary", "quoted", "user", "suspect", NULL};

lb_status lb_trust_parse(const char *text, int *out) {
    for (int i = 0; lb_trust_names[i]; i++) {
        if (strcmp(lb_trust_names[i], text) != 0) continue;
        *out = i;
        return LB_OK;
    }
    return lb_fail(LB_E_FORMAT, "trust = '%s': must be primary, quoted, user or suspect", text);
}

lb_status lb_published_number(const char *text, double *value, double *half_unit) {
    *value = *half_unit = NAN;
    if (strcmp(text, "nan") == 0) return LB_OK;
    if (lb_parse_f64(text, value) != LB_OK) return lb_fail(LB_E_FORMAT, "'%s': must be a number or nan", text);
    const char *point = strchr(text, '.'), *e = strpbrk(text, "eE");
    int64_t decimals = point ? (int64_t)strspn(point + 1, "0123456789") : 0, exponent = 0;
    if (e) LB_TRY(lb_parse_i64(e[1] == '+' ? e + 2 : e + 1, &exponent));
    *half_unit = 0.5 * pow(10, (double)(exponent - decimals));
    return LB_OK;
}

/* ---- the files ---- */

typedef struct table {
    const char *path; /* for messages */
    lb_csv csv;
} table;

static lb_status open_table(lb_arena *a, const char *dir, const char *leaf, const char *const *name, int *column,
                            size_t n, table *out) {
    char *joined = lb_fs_join(dir, leaf);
    if (!joined) return LB_E_NOMEM;
    out->path = lb_arena_strdup(a, joined);
    lb_free(joined);
    if (!out->path) return LB_E_NOMEM;
    LB_TRY(lb_csv_read(a, out->path, &out->csv));
    for (size_t i = 0; i < n; i++) {
        column[i] = lb_csv_column(&out->csv, name[i]);
        if (column[i] < 0) return lb_fail(LB_E_FORMAT, "%s:1: no column '%s'", out->path, name[i]);
    }
    return LB_OK;
}

static lb_status read_models(lb_arena *a, const char *dir, lb_papers *out) {
    enum { NAME, SOURCE, BILLIONS, MIXED, COLUMNS };
    static const char *const name[COLUMNS] = {"published", "source", "billions", "w2_mixed"};
    int at[COLUMNS];
    table t;
    LB_TRY(open_table(a, dir, "models.csv", name, at, COLUMNS, &t));
    if (!(out->model = LB_NEW(a, lb_published_model, t.csv.rows + 1))) return LB_E_NOMEM;
    for (size_t r = 0; r < t.csv.rows; r++) {
        char **field = t.csv.row[r];
        lb_published_model *m = &out->model[out->models++];
        *m = (lb_published_model){field[at[NAME]], field[at[SOURCE]], 0, field[at[MIXED]]};
        const char *size = field[at[BILLIONS]];
        if (size[0] && (lb_parse_f64(size, &m->billions) != LB_OK || m->billions <= 0))
            return lb_fail(LB_E_FORMAT, "%s:%d: billions = '%s': must be a number above 0, or empty", t.path,
                           t.csv.line[r], size);
    }
    return LB_OK;
}

static lb_status read_methods(lb_arena *a, const char *dir, lb_papers *out) {
    enum { NAME, BITS, GROUP, QUANTIZE, NOTE, COLUMNS };
    static const char *const name[COLUMNS] = {"method", "bits", "group", "quantize", "note"};
    int at[COLUMNS];
    table t;
    LB_TRY(open_table(a, dir, "methods.csv", name, at, COLUMNS, &t));
    if (!(out->method = LB_NEW(a, lb_published_method, t.csv.rows + 1))) return LB_E_NOMEM;
    for (size_t r = 0; r < t.csv.rows; r++) {
        char **field = t.csv.row[r];
        lb_published_method *m = &out->method[out->methods++];
        *m = (lb_published_method){field[at[NAME]], field[at[BITS]], field[at[GROUP]], field[at[QUANTIZE]],
                                   field[at[NOTE]]};
        if (!m->quantize[0] && !m->note[0])
            return lb_fail(LB_E_FORMAT, "%s:%d: %s has neither an entry nor a note that says why not", t.path,
                           t.csv.line[r], m->name);
    }
    return LB_OK;
}

static const lb_published_model *model_of(const lb_papers *p, const char *name) {
    for (size_t i = 0; i < p->models; i++)
        if (strcmp(p->model[i].name, name) == 0) return &p->model[i];
    return NULL;
}

static bool takes(const char *pattern, const char *value) {
    return strcmp(pattern, "*") == 0 || strcmp(pattern, value) == 0;
}

/* The first row that takes all three. */
static const lb_published_method *method_of(const lb_papers *p, const char *name, const char *bits, const char *group) {
    for (size_t i = 0; i < p->methods; i++) {
        const lb_published_method *m = &p->method[i];
        if (strcmp(m->name, name) == 0 && takes(m->bits, bits) && takes(m->group, group)) return m;
    }
    return NULL;
}

static lb_status in_row(const table *t, size_t r) { return lb_fail_in(LB_E_FORMAT, "%s:%d", t->path, t->csv.line[r]); }

static lb_status read_rows(lb_arena *a, const char *dir, lb_papers *out) {
    enum { PAPER, SOURCE, TABLE, TRUST, DATASET, PROTOCOL, MODEL, METHOD, BITS, GROUP, VALUE, COLUMNS };
    static const char *const name[COLUMNS] = {"paper", "source", "table", "trust", "dataset", "protocol",
                                              "model", "method", "bits",  "group", "value"};
    int at[COLUMNS];
    table t;
    LB_TRY(open_table(a, dir, "published.csv", name, at, COLUMNS, &t));
    if (!(out->row = LB_NEW(a, lb_published, t.csv.rows + 1))) return LB_E_NOMEM;
    for (size_t r = 0; r < t.csv.rows; r++) {
        char **field = t.csv.row[r];
        for (int i = 0; i < COLUMNS; i++)
            if (!field[at[i]][0]) return lb_fail(LB_E_FORMAT, "%s:%d: %s is empty", t.path, t.csv.line[r], name[i]);
        lb_published *x = &out->row[out->rows++];
        *x = (lb_published){.paper = field[at[PAPER]],
                            .source = field[at[SOURCE]],
                            .table = field[at[TABLE]],
                            .dataset = field[at[DATASET]],
                            .protocol = field[at[PROTOCOL]],
                            .bits = field[at[BITS]],
                            .group = field[at[GROUP]],
                            .text = field[at[VALUE]],
                            .method_name = field[at[METHOD]],
                            .model = model_of(out, field[at[MODEL]]),
                            .line = t.csv.line[r]};
        x->method = method_of(out, x->method_name, x->bits, x->group);
        if (!x->model)
            return lb_fail(LB_E_FORMAT, "%s:%d: model '%s' is not in models.csv", t.path, x->line, field[at[MODEL]]);
        if (!x->method)
            return lb_fail(LB_E_FORMAT, "%s:%d: method '%s' with bits %s and group %s is not in methods.csv", t.path,
                           x->line, x->method_name, x->bits, x->group);
        if (lb_trust_parse(field[at[TRUST]], &x->trust) != LB_OK) return in_row(&t, r);
        if (lb_published_number(x->text, &x->value, &x->half_unit) != LB_OK) return in_row(&t, r);
    }
    return LB_OK;
}

lb_status lb_papers_read(lb_arena *a, const char *dir, lb_papers *out) {
    *out = (lb_papers){0};
    LB_TRY(read_models(a, dir, out));
    LB_TRY(read_methods(a, dir, out));
    return read_rows(a, dir, out);
}

/* ---- what a row is here ---- */

/* Of one paper or thread, which does not say closely enough what it measured. */
static const char *const unspecified[] = {"C4-4096", "C4-SparseGPT",    "PTB-SparseGPT", "PTB-SpQR",   "INT8-C4",
                                          "PILE-CC", "SQ-OPT",          "W2-ParetoQ",    "W2-INTvsFP", "W2-HF483",
                                          "EN-Zhou", "MMLU-Qwen3Quant", "LCPP-AutoGPTQ"};

static bool is_unspecified(const char *protocol) {
    for (size_t i = 0; i < sizeof unspecified / sizeof unspecified[0]; i++)
        if (strcmp(unspecified[i], protocol) == 0) return true;
    return false;
}

static bool runs(const lb_published *x, lb_protocol *out) {
    bool mixed = strcmp(x->protocol, "W2-mixed") == 0;
    return !is_unspecified(x->protocol) && lb_protocol_parse(mixed ? x->model->w2_mixed : x->protocol, out) == LB_OK;
}

lb_status lb_published_protocol(lb_arena *a, const lb_published *x, lb_protocol *out, const char **why) {
    *why = NULL;
    if (runs(x, out)) return LB_OK;
    *why = lb_arena_printf(
        a, is_unspecified(x->protocol) ? "protocol %s is not specified closely enough" : "protocol %s is not here",
        x->protocol);
    return *why ? LB_OK : LB_E_NOMEM;
}

const char *lb_published_text(const char *dataset, const char *protocol) {
    static const char *const text[][3] = {{"wikitext2", "LCPP-", "wikitext-2-file"},
                                          {"wikitext2", "", "wikitext-2"},
                                          {"ptb", "PTB-old", "ptb-valid"},
                                          {"ptb", "", "ptb-test"},
                                          {"c4", "", "c4-valid-0"},
                                          {"lambada", "", "lambada"}};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        if (strcmp(text[i][0], dataset) == 0 && strncmp(protocol, text[i][1], strlen(text[i][1])) == 0)
            return text[i][2];
    return dataset;
}

/* $bits and $group by what the row has. */
static void fill(const char *pattern, const lb_published *x, lb_str *out) {
    for (const char *p = pattern; *p;) {
        if (strncmp(p, "$bits", 5) == 0) {
            lb_str_add(out, "%s", x->bits);
            p += 5;
        } else if (strncmp(p, "$group", 6) == 0) {
            lb_str_add(out, "%s", x->group);
            p += 6;
        } else {
            lb_str_add_bytes(out, p++, 1);
        }
    }
}

/* "smoothquant+rtn" and "alpha=0.8;bits=8;" of an entry's stages; *why: a stage whose method this build lacks. */
static lb_status read_entry(lb_arena *a, const lb_published *x, const char *text, lb_str *method, lb_str *options,
                            const char **why) {
    lb_yaml *root;
    LB_TRY(lb_yaml_parse(a, "methods.csv", text, strlen(text), &root));
    size_t stages = root->kind == LB_YAML_LIST ? root->count : 1;
    for (size_t i = 0; i < stages; i++) {
        const lb_yaml *stage = root->kind == LB_YAML_LIST ? root->item[i] : root;
        const lb_yaml *name = lb_yaml_get(stage, "method");
        if (!name || name->kind != LB_YAML_SCALAR)
            return lb_fail(LB_E_FORMAT, "methods.csv: %s: '%s': must be a map with a method, or a list of such",
                           x->method_name, text);
        lb_str_add(method, "%s%s", i ? "+" : "", name->text);
        for (size_t k = 0; k < stage->count; k++) {
            const lb_yaml *o = stage->item[k];
            if (o->kind != LB_YAML_SCALAR)
                return lb_fail(LB_E_FORMAT, "methods.csv: %s: %s must be one value", x->method_name, o->key);
            if (o != name) lb_str_add(options, "%s=%s;", o->key, o->text);
        }
        if (!lb_method_find(name->text) && !*why && !(*why = lb_arena_printf(a, "%s is not here", name->text)))
            return LB_E_NOMEM;
    }
    return LB_OK;
}

static lb_status keep(lb_arena *a, const lb_str *s, const char **out) {
    LB_TRY(lb_str_check(s));
    *out = lb_arena_strdup(a, s->s ? s->s : "");
    return *out ? LB_OK : LB_E_NOMEM;
}

/* As published, where nothing here can make it. */
static void name_literature(const lb_published *x, lb_str *method, lb_str *options) {
    bool digits = x->bits[0] && x->bits[strspn(x->bits, "0123456789.")] == 0;
    lb_str_add(method, "%s", x->method_name);
    lb_str_add(options, "%s=%s;", digits ? "bits" : "setting", x->bits);
    if (strcmp(x->group, "-") != 0) lb_str_add(options, "group=%s;", x->group);
}

static lb_status name_cell(lb_arena *a, const lb_published *x, lb_str *entry, lb_str *method, lb_str *options,
                           lb_published_cell *out) {
    const char *why = NULL;
    if (x->method->quantize[0]) {
        fill(x->method->quantize, x, entry);
        LB_TRY(keep(a, entry, &out->entry));
        LB_TRY(read_entry(a, x, out->entry, method, options, &why));
    } else {
        name_literature(x, method, options);
        why = x->method->note;
    }
    if (!out->why) out->why = why;
    out->model = x->model->source[0] ? x->model->source : x->model->name;
    lb_str_add(options, "model=%s", out->model);
    LB_TRY(keep(a, method, &out->method));
    return keep(a, options, &out->options);
}

lb_status lb_published_cell_of(lb_arena *a, const lb_published *x, lb_published_cell *out) {
    lb_str entry = {0}, method = {0}, options = {0};
    lb_protocol protocol;
    *out = (lb_published_cell){.metric = "ppl"};
    LB_TRY(lb_published_protocol(a, x, &protocol, &out->why));
    out->protocol = out->why ? x->protocol : lb_arena_strdup(a, protocol.id);
    if (!out->protocol) return LB_E_NOMEM;
    out->evaluation = lb_published_text(x->dataset, out->protocol);
    if (strcmp(x->dataset, "lambada") == 0 || strcmp(x->dataset, "mmlu") == 0) out->metric = "acc_percent";
    lb_status st = name_cell(a, x, &entry, &method, &options, out);
    lb_str_free(&entry);
    lb_str_free(&method);
    lb_str_free(&options);
    return st;
}

const lb_published_draw *lb_published_draw_of(const lb_published *x) {
    static const lb_published_draw draw[] = {
        {"OmniQuant", "wikitext-2-train", "joined", 128, 2048},
        {"AffineQuant", "wikitext-2-train", "joined", 128, 2048},
        {"QuaRot", "wikitext-2-train", "joined", 128, 2048},
        {"SpinQuant", "wikitext-2-train", "joined", 128, 2048},
        {"Wanda", "c4-train-0", "documents_longer", 128, 2048},
        {"SmoothQuant", "pile-valid", "truncated", 512, 512},
        {"AWQ", "pile-valid", "blocks", 128, 512},
        {NULL, "c4-train-0", "documents", 128, 2048},
    };
    size_t i = 0;
    while (draw[i].paper && strcmp(draw[i].paper, x->paper) != 0) i++;
    return &draw[i];
}

bool lb_published_counts(const lb_published *x) {
    lb_protocol p;
    return (x->trust == LB_TRUST_PRIMARY || x->trust == LB_TRUST_QUOTED) && isfinite(x->value) && runs(x, &p);
}

bool lb_published_same_cell(const lb_published *x, const lb_published *y) {
    lb_protocol p, q;
    return x->model == y->model && strcmp(x->method_name, y->method_name) == 0 && strcmp(x->bits, y->bits) == 0 &&
           strcmp(x->group, y->group) == 0 && strcmp(x->dataset, y->dataset) == 0 && runs(x, &p) && runs(y, &q) &&
           strcmp(p.id, q.id) == 0;
}

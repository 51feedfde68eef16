/* lowbit quantize MODEL --method NAME --out DIR: one cell without a config file. The flags become the same tree that a
 * config file would, so the same code checks and runs it. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/profile.h"
#include "cli/commands.h"
#include "cli/planned.h"
#include "cli/profile.h"
#include "report/report.h"
#include "result/figures.h"
#include "run/cell.h"
#include "run/text_rows.h"

typedef struct quantize_flags {
    const char *method, *out, *calibration, *training, *eval, *protocol, *plugin;
    int64_t samples, length, windows, threads;
    int recipe, bos, dtype, weights, compute, variant;
    lb_rows_config rows, eval_rows; /* of the calibration text, or what is trained on without one; of that of --eval */
    bool profile;
} quantize_flags;

#define AT(field) offsetof(quantize_flags, field)
static const lb_option flags[] = {
    {"method", LB_OPT_STR, NULL, 0, 0, NULL, "lowbit methods lists them; their options are flags here, as in --bits 3",
     AT(method)},
    {"out", LB_OPT_STR, NULL, 0, 0, NULL,
     "Hugging Face folder to write, whole or not at all; must not exist, or be empty", AT(out)},
    {"dtype", LB_OPT_CHOICE, "f32", 0, 0, lb_export_names,
     "type of the dequantized weights in it; f16 and bf16 round them", AT(dtype)},
    {"calibration", LB_OPT_STR, "", 0, 0, NULL, "calibration text: a file, or a name that lowbit sources lists",
     AT(calibration)},
    {"samples", LB_OPT_INT, "128", 1, 1e9, NULL, "calibration sequences", AT(samples)},
    {"length", LB_OPT_INT, "0", 0, 1e9, NULL,
     "tokens a calibration sequence; 0: 2048, or a shorter model's context; of a method that trains: a training "
     "sequence",
     AT(length)},
    {"recipe", LB_OPT_CHOICE, "sequential", 0, 0, lb_recipe_names,
     "which tokens of the calibration text (lowbit help recipe)", AT(recipe)},
    {"bos", LB_OPT_CHOICE, "auto", 0, 0, lb_bos_choices,
     "BOS at the head of a text: where the tokenizer adds one, never, or always", AT(bos)},
    LB_ROWS_OPTIONS(AT(rows)),
    {"training", LB_OPT_STR, "", 0, 0, NULL, "text for methods that train; default: the calibration text",
     AT(training)},
    {"eval", LB_OPT_STR, "", 0, 0, NULL, "also measure perplexity on this text, or accuracy on a task's items",
     AT(eval)},
    {"protocol", LB_OPT_STR, "W2-2048", 0, 0, NULL, "how that is measured: lowbit help protocol", AT(protocol)},
    {"windows", LB_OPT_INT, "0", 0, 1e9, NULL, "windows to score; 0: all", AT(windows)},
    LB_ROWS_OPTIONS_OF("eval_", AT(eval_rows)),
    {"variant", LB_OPT_CHOICE, "openai", 0, 0, lb_lambada_names, "of protocol LAMB, how its text is read", AT(variant)},
    {"threads", LB_OPT_INT, "0", 0, 1024, NULL, "0: as many as the process may run on", AT(threads)},
    {"weights", LB_OPT_CHOICE, "resident", 0, 0, lb_weights_choices,
     "resident: all in memory as float32; stream: from the file when a block's turn comes", AT(weights)},
    {"compute", LB_OPT_CHOICE, "float32", 0, 0, lb_compute_choices,
     "products of that perplexity: bf16 is faster (oneDNN) and rounds inputs and weights", AT(compute)},
    {"profile", LB_OPT_BOOL, "false", 0, 0, NULL, LB_CLI_PROFILE_HELP, AT(profile)},
    {"plugin", LB_OPT_STR, "", 0, 0, NULL, "shared objects with methods of your own, separated by commas", AT(plugin)},
};

/* ---- the methods ---- */

/* Method i of --method "wanda+rtn": its name, of *n bytes; NULL past the last. */
static const char *method_name(const quantize_flags *f, size_t i, size_t *n) {
    const char *s = f->method;
    for (; i > 0; i--) {
        s += strcspn(s, "+");
        if (!*s++) return NULL;
    }
    *n = strcspn(s, "+");
    return s;
}

/* NULL past the last, and for what is no method, which the config's reader has the words for. */
static const lb_method *method_at(const quantize_flags *f, size_t i) {
    size_t n;
    const char *s = method_name(f, i, &n);
    const lb_method *m;
    for (size_t k = 0; s && (m = lb_method_at(k)); k++)
        if (strlen(m->name) == n && strncasecmp(m->name, s, n) == 0) return m;
    return NULL;
}

/* The first that needs one of these, or NULL. */
static const lb_method *find_needing(const quantize_flags *f, uint32_t needs) {
    size_t n;
    for (size_t i = 0; method_name(f, i, &n); i++) {
        const lb_method *m = method_at(f, i);
        if (m && m->needs & needs) return m;
    }
    return NULL;
}

/* ---- the config as a tree ---- */

/* A scalar at a path, blamed on a flag in messages. */
static lb_status put(lb_arena *a, lb_yaml *root, const char *flag, const char *path, const char *text, bool quoted) {
    lb_yaml *n = LB_NEW(a, lb_yaml, 1);
    char *file = lb_arena_printf(a, "--%s", flag);
    if (!n || !file) return LB_E_NOMEM;
    for (char *p = file; *p; p++)
        if (*p == '_') *p = '-';
    *n = (lb_yaml){.kind = LB_YAML_SCALAR, .file = file, .line = 1, .text = text, .quoted = quoted};
    return lb_yaml_set(a, root, path, n);
}

/* NULL text or "": left out. */
static lb_status set(lb_arena *a, lb_yaml *root, const char *flag, const char *path, const char *text) {
    return text && text[0] ? put(a, root, flag, path, text, false) : LB_OK;
}

static lb_status set_number(lb_arena *a, lb_yaml *root, const char *flag, const char *path, int64_t v) {
    const char *text = lb_arena_printf(a, "%lld", (long long)v);
    return text ? set(a, root, flag, path, text) : LB_E_NOMEM;
}

/* What the flags of a text's rows say and the usual is not. of: before their names ("eval_"), section: of the tree. */
typedef struct row_flags {
    const lb_rows_config *rows;
    const char *of, *section;
} row_flags;

static lb_status set_row_key(lb_arena *a, lb_yaml *root, const row_flags *f, const char *key, const char *text,
                             bool quoted) {
    const char *flag = lb_arena_printf(a, "%s%s", f->of, key), *path = lb_arena_printf(a, "%s.%s", f->section, key);
    return flag && path ? put(a, root, flag, path, text, quoted) : LB_E_NOMEM;
}

/* The key that says something; NULL: none does. */
static const char *said_of_rows(const lb_rows_config *r) {
    return r->form                                 ? "rows"
           : strcmp(r->field, LB_FIELD_USUAL) != 0 ? "field"
           : lb_text_rows_say_join(r)              ? "join"
           : r->first                              ? "first"
           : r->chat                               ? "chat"
                                                   : NULL;
}

static lb_status set_rows(lb_arena *a, lb_yaml *root, const row_flags *f) {
    const lb_rows_config *r = f->rows;
    const char *first = lb_arena_printf(a, "%lld", (long long)r->first);
    if (!first) return LB_E_NOMEM;
    if (r->form) LB_TRY(set_row_key(a, root, f, "rows", lb_rows_choices[r->form], false));
    if (strcmp(r->field, LB_FIELD_USUAL) != 0) LB_TRY(set_row_key(a, root, f, "field", r->field, true));
    if (lb_text_rows_say_join(r)) LB_TRY(set_row_key(a, root, f, "join", r->join, true));
    if (r->first) LB_TRY(set_row_key(a, root, f, "first", first, false));
    return r->chat ? set_row_key(a, root, f, "chat", lb_chat_choices[r->chat], false) : LB_OK;
}

static lb_status set_calibration(lb_arena *a, const quantize_flags *f, int64_t length, lb_yaml *root) {
    if (!f->calibration[0]) return LB_OK;
    LB_TRY(set(a, root, "calibration", "calibration.text", f->calibration));
    LB_TRY(set_number(a, root, "samples", "calibration.samples", f->samples));
    LB_TRY(set_number(a, root, "length", "calibration.length", length));
    LB_TRY(set(a, root, "recipe", "calibration.recipe", lb_recipe_names[f->recipe]));
    LB_TRY(set_rows(a, root, &(row_flags){&f->rows, "", "calibration"}));
    /* One cell has nothing to be compared with; a method without statistics of its own is measured with these. */
    if (find_needing(f, LB_NEEDS_HESSIAN)) LB_TRY(set(a, root, "method", "calibration.original_errors", "false"));
    return set(a, root, "bos", "calibration.bos", lb_bos_choices[f->bos]);
}

static lb_status set_eval(lb_arena *a, const quantize_flags *f, lb_yaml *root) {
    if (!f->eval[0]) return LB_OK;
    LB_TRY(set(a, root, "eval", "eval.text", f->eval));
    LB_TRY(set(a, root, "protocol", "eval.protocol", f->protocol));
    LB_TRY(set_number(a, root, "windows", "eval.windows", f->windows));
    LB_TRY(set(a, root, "bos", "eval.bos", lb_bos_choices[f->bos]));
    LB_TRY(set_rows(a, root, &(row_flags){&f->eval_rows, "eval_", "eval"}));
    if (f->variant) LB_TRY(set(a, root, "variant", "eval.variant", lb_lambada_names[f->variant]));
    return set(a, root, "eval", "eval.kl", "false");
}

/* qat and finetune have a length of their own, which the flag then means. */
static bool has_length(const quantize_flags *f) {
    const lb_method *m = method_at(f, 0);
    return m && lb_options_find(&m->options, "length");
}

/* The entry's place for methods: `{}`, or `{stages: [{}, {}]}`. */
static lb_status start_tree(lb_arena *a, const quantize_flags *f, lb_yaml **root) {
    size_t n, count = 0;
    lb_str s = {0};
    while (method_name(f, count, &n)) count++;
    lb_str_add(&s, "{quantize: [{%s", count > 1 ? "stages: [" : "");
    for (size_t i = 0; count > 1 && i < count; i++) lb_str_add(&s, "%s{}", i ? ", " : "");
    lb_str_add(&s, "%s}]}", count > 1 ? "]" : "");
    lb_status st = lb_str_check(&s);
    char *text = st == LB_OK ? lb_arena_strdup(a, s.s) : NULL;
    if (st == LB_OK) st = text ? lb_yaml_parse(a, "command line", text, s.len, root) : LB_E_NOMEM;
    for (size_t i = 0; i < count && st == LB_OK; i++) {
        const char *name = method_name(f, i, &n);
        char *one = lb_arena_printf(a, "%.*s", (int)n, name);
        char *path = lb_arena_printf(a, count > 1 ? "quantize[0].stages[%zu].method" : "quantize[0].method", i);
        st = !one || !path ? LB_E_NOMEM : set(a, *root, "method", path, one);
    }
    lb_str_free(&s);
    return st;
}

static lb_status make_tree(lb_arena *a, const lb_cli_args *args, const quantize_flags *f, int64_t length,
                           lb_yaml **out) {
    lb_yaml *root = NULL;
    LB_TRY(start_tree(a, f, &root));
    LB_TRY(set(a, root, "MODEL", "model", args->positional[0]));
    LB_TRY(set_number(a, root, "threads", "threads", f->threads));
    LB_TRY(set(a, root, "weights", "weights", lb_weights_choices[f->weights]));
    LB_TRY(set(a, root, "compute", "compute", lb_compute_choices[f->compute]));
    LB_TRY(set_calibration(a, f, length, root));
    LB_TRY(set_eval(a, f, root));
    if (f->training[0]) {
        LB_TRY(set(a, root, "training", "training.text", f->training));
        LB_TRY(set(a, root, "bos", "training.bos", lb_bos_choices[f->bos]));
        if (!f->calibration[0]) LB_TRY(set_rows(a, root, &(row_flags){&f->rows, "", "training"}));
    }
    if (f->length > 0 && has_length(f)) LB_TRY(set_number(a, root, "length", "quantize[0].length", f->length));
    for (int64_t i = 0; i < args->n_rest; i++) {
        const char *path = lb_arena_printf(a, "quantize[0].%s", args->rest_key[i]);
        if (!path) return LB_E_NOMEM;
        if (!args->rest_value[i][0]) return lb_fail(LB_E_ARG, "--%s: no value", args->rest_key[i]);
        LB_TRY(set(a, root, args->rest_key[i], path, args->rest_value[i]));
    }
    *out = root;
    return LB_OK;
}

/* ---- the cell ---- */

typedef struct session {
    lb_planned x;
    const quantize_flags *f;
    lb_arena *a;
    lb_log *log;
    lb_fs_folder folder; /* --out, under way */
    lb_runner runner;
    const lb_cell *cell;
    lb_record record;
} session;

static lb_status export_model(void *user, const lb_cell *c, const lb_weights *w, lb_log *log) {
    (void)c;
    session *s = user;
    return lb_model_write(s->x.plans.at->model, w, lb_export_types[s->f->dtype], &s->folder, log);
}

/* Tables read a results folder; here the record alone is one. */
static lb_status make_tables(session *s, lb_str *out) {
    lb_results r = {.dir = s->a ? lb_arena_strdup(s->a, s->f->out) : NULL,
                    .name = "quantize",
                    .record = &s->record,
                    .n = 1,
                    .model_name = s->x.config.model[0],
                    .model_note = s->x.plans.at->model_note,
                    .arena = s->a};
    if (!r.dir) return LB_E_NOMEM;
    LB_TRY(lb_report_layer_table(&r, 0, &(lb_report_options){.wide = true}, LB_TABLE_TERMINAL, out));
    const lb_model_size *z = &s->record.size;
    char quantized[32], total[32], original[32];
    lb_format_bytes((double)z->quantized.total, quantized);
    lb_format_bytes((double)z->total_as_fp16, total);
    lb_format_bytes((double)z->original_fp16, original);
    lb_str_add(out,
               "\nquantized layers: %s, %.4f bits a weight with all metadata\nwhole model: %s, the rest at 16 "
               "bits; unquantized at 16 bits: %s (%.1f %%)\n",
               quantized, lb_cli_bits(z), total, original, 100.0 * lb_ratio_fp16(z));
    for (int64_t i = 0; i < s->record.evals; i++) {
        const lb_eval *e = &s->record.eval[i].eval;
        bool task = e->task.items > 0;
        double value = task ? 100 * e->task.acc : e->ppl, se = task ? 100 * e->task.acc_se : e->ppl_se;
        lb_str_add(out, "%s on %s, %s, %lld %s%s: %.*f", task ? "accuracy" : "perplexity", s->record.eval[i].name,
                   e->protocol.id, (long long)e->windows, task ? "items" : "windows",
                   s->f->compute == LB_COMPUTE_BF16 ? ", products in bf16" : "", task ? 2 : 6, value);
        if (!isnan(se)) lb_str_add(out, " +- %.*f", task ? 2 : 6, se);
        lb_str_add(out, task ? " %%\n" : "\n");
    }
    return lb_str_check(out);
}

/* Tables are made before the folder gets its name, and printed afterwards: so nothing can fail then, and the folder is
 * there also when nobody reads them to the end (a pipe to head). */
static lb_status publish(session *s) {
    lb_str out = {0};
    lb_status st = make_tables(s, &out);
    if (st == LB_OK && s->f->profile) st = lb_cli_profile_print(s->x.team);
    if (st == LB_OK) st = lb_fs_folder_commit(&s->folder);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

static lb_status pick_cell(session *s) {
    const lb_sweep *w = &s->x.plans.at->sweep;
    s->cell = &w->cell[w->n - 1];
    if (w->n > 2) return lb_fail(LB_E_ARG, "the options give %zu cells: quantize makes one model", w->n - 1);
    if (s->cell->refused) return lb_fail(LB_E_UNSUPPORTED, "%s", s->cell->reason);
    return LB_OK;
}

/* All files, the record last, are in the folder before it gets its name. Its statistics and states are there for as
 * long as they are needed. */
static lb_status quantize(session *s) {
    LB_TRY(pick_cell(s));
    s->runner = (lb_runner){.plan = s->x.plans.at, .keep = s->a, .log = s->log, .cache = s->folder.tmp};
    lb_status st = lb_cell_run(&s->runner, s->cell, export_model, s, &s->record);
    lb_runner_close(&s->runner);
    LB_TRY(st);
    lb_fs_remove_ours(s->folder.tmp, lb_runner_caches);
    s->record.stem = "lowbit";
    LB_TRY(lb_store_write(s->folder.tmp, &s->record));
    LB_TRY(publish(s));
    lb_info(s->log, "written: %s (the record of how: lowbit.h5)", s->f->out);
    return LB_OK;
}

/* The longest calibration sequence that makes sense, if none was asked for. */
static lb_status default_length(lb_arena *a, const char *model, int64_t *length) {
    enum { PAPERS = 2048 };
    lb_sources sources;
    lb_resolved r;
    lb_model *m = NULL;
    LB_TRY(lb_sources_open(a, ".", &sources));
    LB_TRY(lb_sources_resolve(a, &sources, ".", model, LB_SOURCE_MODEL, "MODEL", &r));
    if (r.missing) return lb_fail(LB_E_ARG, "model %s", r.missing);
    LB_TRY(lb_model_open(r.path, LB_HEADER, NULL, &m));
    int64_t context = m->net->context; /* 0: none */
    *length = context && context < PAPERS ? context : PAPERS;
    lb_model_close(m);
    return LB_OK;
}

/* In this command's words; for a config the plan says where it lacks the text. */
static lb_status check_texts(const quantize_flags *f) {
    if (f->compute == LB_COMPUTE_BF16 && !f->eval[0])
        return lb_fail(LB_E_ARG, "--compute bf16: only perplexity is computed so, and there is no --eval TEXT");
    const char *rows = said_of_rows(&f->rows), *eval_rows = said_of_rows(&f->eval_rows);
    if (f->variant && !eval_rows) eval_rows = "variant";
    if (rows && !f->calibration[0] && !f->training[0])
        return lb_fail(LB_E_ARG, "--%s: there is no text that it could be of: give --calibration TEXT", rows);
    if (eval_rows && !f->eval[0])
        return lb_fail(LB_E_ARG, "--%s%s: there is no text that it could be of: give --eval TEXT",
                       strcmp(eval_rows, "variant") == 0 ? "" : "eval-", eval_rows);
    if (f->calibration[0] || !method_at(f, 0)) return LB_OK;
    if (f->length > 0 && !has_length(f))
        return lb_fail(LB_E_ARG, "--length %lld: without --calibration TEXT there is nothing to cut into sequences",
                       (long long)f->length);
    const lb_method *m = find_needing(f, LB_NEEDS_CALIBRATION);
    if (m && !m->needs_of)
        return lb_fail(LB_E_ARG, "method %s needs a calibration text: give --calibration TEXT", m->name);
    m = find_needing(f, LB_NEEDS_TRAINER);
    if (m && !f->training[0])
        return lb_fail(LB_E_ARG, "method %s needs a text to train on: give --training TEXT", m->name);
    return LB_OK;
}

static lb_status prepare(session *s, const lb_cli_args *args) {
    const char *plugin_hash;
    lb_yaml *root = NULL;
    int64_t length = has_length(s->f) ? 0 : s->f->length;
    LB_TRY(lb_cli_out_begin(s->a, s->f->out, &s->folder));
    LB_TRY(lb_cli_plugins(s->a, s->f->plugin, &plugin_hash));
    LB_TRY(check_texts(s->f));
    if (length == 0) LB_TRY(default_length(s->a, args->positional[0], &length));
    LB_TRY(make_tree(s->a, args, s->f, length, &root));
    LB_TRY(lb_config_from_tree(s->a, "", root, &s->x.config));
    return lb_cli_plan(&s->x, s->a, lb_cli_parts(s->x.config.weights), plugin_hash, s->log);
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)exit_code;
    session s = {.f = values, .a = a, .log = log};
    if (s.f->profile) lb_profile_enable();
    lb_status st = prepare(&s, args);
    if (st == LB_OK) st = quantize(&s);
    lb_fs_folder_abort(&s.folder);
    lb_cli_plan_close(&s.x);
    return st;
}

const lb_command lb_cmd_quantize = {
    .name = "quantize",
    .usage = "MODEL --method NAME --out DIR [--calibration TEXT] [--OPTION VALUE]...",
    .summary = "one method on one model, written as a Hugging Face folder; no config file needed",
    .details = "Methods joined by + (wanda+rtn) are stages: each goes on from the layer that the one before made.\n"
               "Any option of the method is a flag (lowbit methods NAME), and so are propagate, true_sequential, "
               "token_weight,\ntoken_clip, quantize_embedding, quantize_head, quantize_router and seed. Prints the "
               "layers and the sizes. The folder\nholds the dequantized weights. --rows, --field, --join, --first and "
               "--chat say how the rows of the calibration text are read, or without one of the\ntraining text; "
               "--eval-rows and so on those of the text that is measured.",
    .example = "lowbit quantize smollm2-135m --method gptq --bits 4 --calibration c4-calibration --out smollm2-gptq4",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(quantize_flags)},
    .min_positional = 1,
    .max_positional = 1,
    .open_flags = true,
    .looks_itself = true,
    .run = run,
};

/* lowbit eval MODEL TEXT --protocol ID */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/profile.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "cli/planned.h"
#include "cli/profile.h"
#include "eval/perplexity.h"
#include "eval/tasks.h"
#include "io/json.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "run/text_rows.h"

typedef struct eval_flags {
    const char *protocol, *json, *model;
    int64_t windows, threads;
    int bos, weights, compute, variant;
    lb_rows_config rows;
    bool profile;
} eval_flags;

static const lb_option flags[] = {
    {"protocol", LB_OPT_STR, NULL, 0, 0, NULL, "how the text is scored, as W2-2048: lowbit help protocol tells all",
     offsetof(eval_flags, protocol)},
    {"windows", LB_OPT_INT, "0", 0, 1e9, NULL, "windows to score, of a task items; 0: all of the text",
     offsetof(eval_flags, windows)},
    {"bos", LB_OPT_CHOICE, "auto", 0, 0, lb_bos_choices,
     "a beginning-of-sequence token at the head of the text: auto: where the tokenizer adds one itself; never; always",
     offsetof(eval_flags, bos)},
    LB_ROWS_OPTIONS(offsetof(eval_flags, rows)),
    {"variant", LB_OPT_CHOICE, "openai", 0, 0, lb_lambada_names,
     "of LAMB, how its text is read: openai: as it is; normalized: as the GPTQ authors' program changes it; standard: "
     "the "
     "first release, as it is; detokenized: that one with its quotation marks as usual",
     offsetof(eval_flags, variant)},
    {"model", LB_OPT_STR, "", 0, 0, NULL, LB_CLI_ORIGINAL_HELP, offsetof(eval_flags, model)},
    {"threads", LB_OPT_INT, "0", 0, 1024, NULL, "0: as many as the process may run on", offsetof(eval_flags, threads)},
    {"weights", LB_OPT_CHOICE, "resident", 0, 0, lb_weights_choices,
     "resident: all in memory as float32; stream: from the file when a block's turn comes, for less memory",
     offsetof(eval_flags, weights)},
    {"compute", LB_OPT_CHOICE, "float32", 0, 0, lb_compute_choices,
     "float32, or bf16: products of linears and head in bfloat16 through oneDNN, weights held so; faster, and another "
     "result",
     offsetof(eval_flags, compute)},
    {"profile", LB_OPT_BOOL, "false", 0, 0, NULL, LB_CLI_PROFILE_HELP, offsetof(eval_flags, profile)},
    {"json", LB_OPT_STR, "", 0, 0, NULL, "also write the result, with every window's NLL, to this file",
     offsetof(eval_flags, json)},
};

typedef struct evaluation {
    const eval_flags *f;
    lb_team *team;
    lb_opened from;
    lb_model *model; /* from's */
    lb_corpus *corpus;
    lb_eval e;
    int64_t tokens; /* of the text; of a task, of what its sequences hold */
    double seconds;
} evaluation;

static const char *bos_text(const evaluation *v) { return lb_bos_text((lb_bos)v->f->bos, v->corpus->has_bos); }

static lb_status open_model(evaluation *v, const lb_resolved *from, lb_arena *a, lb_log *log) {
    bool resident = v->f->weights == LB_WEIGHTS_RESIDENT;
    lb_model_parts parts = v->f->compute == LB_COMPUTE_BF16 ? LB_STREAM : lb_cli_parts(v->f->weights);
    LB_TRY(lb_cli_team(v->f->threads, &v->team));
    lb_status st = lb_cli_open(a, from, v->f->model, parts, resident, v->team, log, &v->from);
    v->model = v->from.model;
    return st;
}

/* Items of a task, which are rows. */
static lb_status measure_task(evaluation *v, const lb_eval_request *r, lb_arena *a, lb_log *log) {
    const lb_task_request t = {.protocol = r->protocol,
                               .variant = (lb_lambada)v->f->variant,
                               .corpus = v->corpus,
                               .max_items = r->max_windows,
                               .compute = r->compute};
    return lb_task_evaluate(v->model->net, lb_cli_weights(&v->from), &t, v->team, a, log, &v->e, &v->tokens);
}

/* The text as its rows are read, and as the protocol takes it. */
static lb_status open_corpus(evaluation *v, const lb_resolved *from, const lb_protocol *p, const char *text,
                             lb_log *log) {
    lb_rows_config rows = v->f->rows;
    const char *join;
    LB_TRY(lb_model_need_tokenizer(v->model));
    if (v->f->variant && p->rule != LB_RULE_LAMB)
        return lb_fail(LB_E_CONFIG, "--variant: only protocol LAMB has any, this is %s", p->id);
    lb_text_rows_take(from->source, p, &rows);
    LB_TRY(lb_text_rows_scored(text, from->path, p, &rows, log, &join));
    const lb_row_spec spec = lb_text_rows_spec(&rows);
    LB_TRY(lb_corpus_rows(from->path, &spec, join, v->model->tokenizer, (lb_bos)v->f->bos, log, &v->corpus));
    LB_TRY(lb_sources_check(from, v->corpus->hash, log));
    LB_TRY(lb_text_rows_draw(p, v->corpus));
    v->tokens = v->corpus->tokens;
    return LB_OK;
}

static lb_status measure(evaluation *v, const char *model, const char *text, lb_arena *a, lb_log *log) {
    lb_resolved from_model, from_text;
    lb_eval_request r = {.max_windows = v->f->windows,
                         .compute = (lb_compute)v->f->compute,
                         .hold = v->f->weights == LB_WEIGHTS_RESIDENT};
    LB_TRY(lb_compute_check(v->f->compute, "--compute", log));
    LB_TRY(lb_protocol_parse(v->f->protocol, &r.protocol));
    LB_TRY(lb_cli_resolve(a, model, LB_SOURCE_MODEL, &from_model));
    LB_TRY(lb_cli_resolve(a, text, LB_SOURCE_TEXT, &from_text));
    LB_TRY(open_model(v, &from_model, a, log));
    LB_TRY(open_corpus(v, &from_text, &r.protocol, text, log));
    r.corpus = v->corpus;
    lb_profile_stage("evaluate");
    double start = lb_clock_s();
    LB_TRY(lb_protocol_is_task(&r.protocol)
               ? measure_task(v, &r, a, log)
               : lb_perplexity(v->model->net, lb_cli_weights(&v->from), &r, v->team, a, log, &v->e));
    v->seconds = lb_clock_s() - start;
    return LB_OK;
}

static void print_share(lb_str *out, const char *what, double acc, double se) {
    lb_str_add(out, "%-11s %.2f %%", what, 100 * acc);
    if (!isnan(se)) lb_str_add(out, " +- %.2f", 100 * se);
}

static void print_task(const evaluation *v, lb_str *out) {
    const lb_task_result *t = &v->e.task;
    int64_t right = 0;
    for (int64_t i = 0; i < t->items; i++) right += t->right[i];
    print_share(out, "accuracy", t->acc, t->acc_se);
    lb_str_add(out, ": %lld of %lld\n", (long long)right, (long long)t->items);
    if (!t->right_norm) return;
    print_share(out, "acc_norm", t->acc_norm, t->acc_norm_se);
    lb_str_add(out, ", by likelihood per character\n");
}

static void print_perplexity(const evaluation *v, lb_str *out) {
    const lb_eval *e = &v->e;
    bool tokens = lb_protocol_over_tokens(&e->protocol), items = e->task.items > 0;
    if (!isnan(e->ppl_se))
        lb_str_add(out, "perplexity  %.6f +- %.6f (standard error over %s)\n", e->ppl, e->ppl_se,
                   tokens  ? "tokens"
                   : items ? "items"
                           : "windows");
    else if (!isnan(e->ppl))
        lb_str_add(out, "perplexity  %.6f (one %s: no standard error)\n", e->ppl,
                   tokens  ? "token"
                   : items ? "item"
                           : "window");
    lb_str_add(out, "mean NLL    %.7f nats %s\n", e->mean_nll, items ? "an item" : "a token");
}

static lb_status print(const evaluation *v) {
    const lb_eval *e = &v->e;
    lb_str out = {0};
    char took[32], each[32], bytes[32];
    bool items = e->task.items > 0, variants = e->protocol.rule == LB_RULE_LAMB;
    lb_format_duration(v->seconds, took);
    lb_format_duration(v->seconds / (double)e->windows, each);
    lb_format_bytes((double)v->corpus->bytes, bytes);
    if (v->from.result) lb_str_add(&out, "result      %s: %s\n", v->from.result, v->from.cell.record.label);
    lb_str_add(&out, "model       %s, %s: %s\n", v->model->name, v->model->format, v->model->stored);
    if (v->model->stored_quantized)
        lb_str_add(&out, "            the weights were stored quantized: this is the dequantized model's perplexity\n");
    lb_str_add(&out, "text        %s, %s, sha256 %s\n", v->corpus->path, bytes, v->corpus->hash);
    if (v->corpus->how[0]) lb_str_add(&out, "rows        %s\n", v->corpus->how);
    lb_str_add(&out, "tokens      %lld (%s; bos %s)\n", (long long)v->tokens, lb_tokenizer_kind(v->model->tokenizer),
               bos_text(v));
    lb_str_add(&out, "protocol    %s%s%s: %lld of %lld %s, %lld tokens scored\n", e->protocol.id, variants ? " " : "",
               variants ? lb_lambada_names[v->f->variant] : "", (long long)e->windows, (long long)e->windows_all,
               items ? "items" : "windows", (long long)e->scored);
    if (v->f->compute == LB_COMPUTE_BF16)
        lb_str_add(&out, "compute     products in bf16, by oneDNN %s (%s): does not compare with float32\n",
                   lb_bf16_version(), lb_bf16_isa());
    if (items) print_task(v, &out);
    print_perplexity(v, &out);
    lb_str_add(&out, "time        %s, %s %s, %d threads\n", took, each, items ? "an item" : "a window",
               lb_team_threads(v->team));
    lb_format_bytes((double)lb_peak_memory_bytes(), bytes);
    lb_str_add(&out, "memory      %s at most\n", bytes);
    lb_status st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static int add_text(const char *p, size_t n, void *b) {
    lb_str_add_bytes(b, p, n);
    return ((lb_str *)b)->failed ? -1 : 0;
}

/* Of each item: right or not, and what each choice cost. false: out of memory. */
static bool add_task(const evaluation *v, json_t *o) {
    const lb_task_result *t = &v->e.task;
    json_t *items = json_array();
    bool ok = items != NULL;
    for (int64_t i = 0; i < t->items && ok; i++) {
        json_t *item = json_pack("{s:b}", "right", t->right[i]);
        if (item && t->right_norm) ok = json_object_set_new(item, "right_norm", json_boolean(t->right_norm[i])) == 0;
        json_t *nll = item && t->first ? json_array() : NULL;
        for (int64_t k = t->first ? t->first[i] : 0; nll && k < t->first[i + 1] && ok; k++)
            ok = json_array_append_new(nll, number(t->choice_nll[k])) == 0;
        if (nll && json_object_set_new(item, "choice_nll", nll) != 0) ok = false;
        ok = json_array_append_new(items, item) == 0 && ok;
    }
    if (v->e.protocol.rule == LB_RULE_LAMB)
        ok = json_object_set_new(o, "variant", json_string(lb_lambada_names[v->f->variant])) == 0 && ok;
    ok = json_object_set_new(o, "accuracy", number(t->acc)) == 0 && ok;
    ok = json_object_set_new(o, "accuracy_se", number(t->acc_se)) == 0 && ok;
    if (t->right_norm) ok = json_object_set_new(o, "acc_norm", number(t->acc_norm)) == 0 && ok;
    if (t->right_norm) ok = json_object_set_new(o, "acc_norm_se", number(t->acc_norm_se)) == 0 && ok;
    return json_object_set_new(o, "items", items) == 0 && ok;
}

static lb_status write_json(const evaluation *v) {
    bool bf16 = v->f->compute == LB_COMPUTE_BF16;
    const lb_eval *e = &v->e;
    json_t *windows = json_array();
    for (int64_t i = 0; windows && i < e->windows; i++)
        if (json_array_append_new(windows, number(e->window_nll[i]))) break;
    json_t *o =
        json_pack("{s:{s:s, s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:I, s:I, s:s}, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
                  "model", "name", v->model->name, "path", v->model->path, "sha256", v->model->hash, "format",
                  v->model->format, "stored", v->model->stored, "text", "path", v->corpus->path, "sha256",
                  v->corpus->hash, "bytes", (json_int_t)v->corpus->bytes, "tokens", (json_int_t)v->tokens, "bos",
                  bos_text(v), "protocol", e->protocol.id, "windows", (json_int_t)e->windows, "windows_all",
                  (json_int_t)e->windows_all, "scored", (json_int_t)e->scored, "perplexity", number(e->ppl),
                  "perplexity_se", number(e->ppl_se), "mean_nll", number(e->mean_nll), "window_nll", windows);
    json_t *how =
        json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:s, s:s}", "compute", lb_compute_choices[v->f->compute], "onednn",
                  bf16 ? lb_bf16_version() : "", "onednn_isa", bf16 ? lb_bf16_isa() : "", "seconds", v->seconds,
                  "seconds_per_window", v->seconds / (double)e->windows, "threads", lb_team_threads(v->team), "kernels",
                  lb_kernels_active()->name, "openblas_core", lb_blas_core());
    if (o && v->corpus->how[0]) json_object_set_new(json_object_get(o, "text"), "rows", json_string(v->corpus->how));
    if (o && v->from.result)
        json_object_set_new(o, "result",
                            json_pack("{s:s, s:s, s:s}", "path", v->from.result, "label", v->from.cell.record.label,
                                      "key", v->from.cell.record.key));
    lb_str text = {0};
    lb_status st = LB_OK;
    bool whole = o && (!e->task.items || add_task(v, o));
    if (!whole || !how || json_array_size(windows) != (size_t)e->windows || json_object_update(o, how) ||
        json_dump_callback(o, add_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(17)))
        st = lb_fail(LB_E_NOMEM, "%s: out of memory", v->f->json);
    lb_str_add(&text, "\n");
    if (st == LB_OK) st = lb_str_check(&text);
    if (st == LB_OK) st = lb_fs_write_named(v->f->json, text.s, text.len);
    lb_str_free(&text);
    json_decref(o);
    json_decref(how);
    return st;
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)exit_code;
    evaluation v = {.f = values};
    if (v.f->profile) lb_profile_enable();
    lb_status st = measure(&v, args->positional[0], args->positional[1], a, log);
    if (st == LB_OK) lb_cli_log_end(log);
    if (st == LB_OK) st = lb_starved_check();
    if (st == LB_OK) st = print(&v);
    if (st == LB_OK && v.f->profile) st = lb_cli_profile_print(v.team);
    if (st == LB_OK && v.f->json[0]) st = write_json(&v);
    if (v.corpus) lb_corpus_close(v.corpus);
    lb_model_close(v.model);
    lb_team_free(v.team);
    return st;
}

const lb_command lb_cmd_eval = {
    .name = "eval",
    .usage = "MODEL TEXT --protocol ID",
    .summary = "the perplexity of a model on a text, or its accuracy on a task, by a named protocol",
    .details =
        "MODEL is a GGUF file, a Hugging Face folder, a named source, or a cell's result file that keeps its\n"
        "layers (keep_layers: true): then the perplexity is that of the cell, from these bytes and the model that\n"
        "it names. TEXT is a file, a pipe (/dev/stdin) or a named source.\n"
        "Protocols: W2-n, LCPP-n, SQ-n, HF-n/s, PTB-old, PTB-new, C4-old, C4-new, and of tasks, whose TEXT has\n"
        "items in rows, LAMB and MC-task; lowbit help protocol says what each does. Perplexities of different\n"
        "protocols do not compare.\n",
    .example = "lowbit eval smollm2-135m wikitext-2 --protocol W2-2048 --windows 20",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(eval_flags)},
    .min_positional = 2,
    .max_positional = 2,
    .looks_itself = true,
    .run = run,
};

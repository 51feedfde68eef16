#include "report/facts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/parts.h"
#include "report/tasks_table.h"

/* ---- values ---- */

static lb_status text(lb_fact_value *v, const char *s) {
    double number;
    if (!s) s = "";
    *v = (lb_fact_value){.known = s[0] != 0, .number = NAN, .text = s};
    if (s[0] && lb_parse_f64(s, &number) == LB_OK) v->number = number;
    return LB_OK;
}

static lb_status copied(const lb_fact_source *s, lb_fact_value *v, const char *of) {
    const char *own = lb_arena_strdup(s->arena, of ? of : "");
    return own ? text(v, own) : LB_E_NOMEM;
}

static lb_status number(const lb_fact_source *s, lb_fact_value *v, double x) {
    LB_TRY(copied(s, v, lb_num_exact(x).s));
    v->number = x;
    return LB_OK;
}

static lb_status count(const lb_fact_source *s, lb_fact_value *v, bool known, int64_t n) {
    return copied(s, v, known ? lb_num_int(n).s : "");
}

static lb_status truth(lb_fact_value *v, bool b) { return text(v, b ? "true" : "false"); }

static bool done(const lb_record *c) { return c->state == LB_CELL_DONE; }

/* What a cell without a result was asked for is known, what it would have stored is not. */
static bool quantized(const lb_record *c) { return c->bits > 0 && (c->size.quantized.weights > 0 || !done(c)); }

/* ---- what a cell is ---- */

static lb_status experiment(const lb_fact_source *s, lb_fact_value *v) {
    return text(v, s->c->source ? s->c->source->name : s->r->name);
}

static lb_status model(const lb_fact_source *s, lb_fact_value *v) {
    return text(v, s->c->model ? s->c->model : s->r->model_name);
}

static lb_status stem(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->c->stem); }
static lb_status label(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->c->label); }

static lb_status state(const lb_fact_source *s, lb_fact_value *v) { return text(v, lb_cell_state_text(s->c->state)); }

static lb_status message(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->c->message); }
static lb_status method(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->c->method); }

static lb_status bits(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, quantized(s->c), s->c->bits); }

static lb_status group(const lb_fact_source *s, lb_fact_value *v) {
    char g[32];
    if (!done(s->c)) return text(v, lb_report_pair(&s->c->options, "group"));
    return copied(s, v, lb_report_group_text(s->c, g));
}

static lb_status storage(const lb_fact_source *s, lb_fact_value *v) {
    return text(v, quantized(s->c) && done(s->c) ? s->c->storage : "");
}

static lb_status propagate(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->c->propagate); }
static lb_status sequential(const lb_fact_source *s, lb_fact_value *v) { return truth(v, s->c->true_sequential); }
static lb_status seed(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, true, (int64_t)s->c->seed); }

/* ---- sizes ---- */

static lb_status bits_per_weight(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_size_bits(&s->c->size.quantized));
}

static lb_status weights(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, done(s->c), s->c->size.quantized.weights);
}

static lb_status quantized_bytes(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, done(s->c), s->c->size.quantized.total);
}

static lb_status rest_stored(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, done(s->c), s->c->size.total_as_stored);
}

static lb_status rest_fp16(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, done(s->c), s->c->size.total_as_fp16);
}

static lb_status mib(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, done(s->c) ? lb_mib((double)s->c->size.total_as_fp16) : NAN);
}

static lb_status model_file(const lb_fact_source *s, lb_fact_value *v) {
    double bytes = lb_model_file_bytes(s->c);
    return count(s, v, !isnan(bytes), isnan(bytes) ? 0 : (int64_t)bytes);
}

static lb_status original_fp16(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, done(s->c), s->c->size.original_fp16);
}

static lb_status ratio(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, lb_ratio_fp16(&s->c->size)); }

/* ---- an evaluation ---- */

static lb_status evaluation(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->e->name); }
static lb_status protocol(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->e->eval.protocol.id); }
static lb_status bos(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->e->bos); }
static lb_status text_rows(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->e->rows); }
static lb_status text_hash(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->e->text_hash); }
static lb_status compute(const lb_fact_source *s, lb_fact_value *v) { return text(v, lb_report_compute(s->c)); }
static lb_status tokens(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, true, s->e->text_tokens); }

static lb_status windows(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, true, s->e->eval.windows); }
static lb_status all(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, true, s->e->eval.windows_all); }
static lb_status scored(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, true, s->e->eval.scored); }
static lb_status mean_nll(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, s->e->eval.mean_nll); }
static lb_status ppl(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, s->e->eval.ppl); }
static lb_status ppl_se(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, s->e->eval.ppl_se); }

static lb_status difference(const lb_fact_source *s, lb_fact_value *v, double x) {
    return number(s, v, s->e->has_paired ? x : NAN);
}

static lb_status delta(const lb_fact_source *s, lb_fact_value *v) { return difference(s, v, s->e->paired.delta); }
static lb_status low(const lb_fact_source *s, lb_fact_value *v) { return difference(s, v, s->e->paired.low); }
static lb_status high(const lb_fact_source *s, lb_fact_value *v) { return difference(s, v, s->e->paired.high); }

static lb_status divergence(const lb_fact_source *s, lb_fact_value *v, double x) {
    return number(s, v, s->e->eval.has_kl ? x : NAN);
}

static lb_status kl_mean(const lb_fact_source *s, lb_fact_value *v) { return divergence(s, v, s->e->eval.kl_mean); }
static lb_status kl_median(const lb_fact_source *s, lb_fact_value *v) { return divergence(s, v, s->e->eval.kl_median); }
static lb_status kl_p99(const lb_fact_source *s, lb_fact_value *v) { return divergence(s, v, s->e->eval.kl_p99); }
static lb_status top1(const lb_fact_source *s, lb_fact_value *v) { return divergence(s, v, s->e->eval.top1); }

/* ---- as a draft of the baseline ---- */

static lb_status drafts(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, s->e->eval.speculative > 0, s->e->eval.speculative);
}

static lb_status accept(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, s->e->eval.speculative ? s->e->eval.accept : NAN);
}

static lb_status speedup(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_draft_speedup(&s->c->size, &s->e->eval));
}

static bool is_task(const lb_fact_source *s) { return s->e->eval.task.items > 0; }

static lb_status of_task(const lb_fact_source *s, lb_fact_value *v, double x) {
    return number(s, v, is_task(s) ? x : NAN);
}

static lb_status variant(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->e->variant); }
static lb_status items(const lb_fact_source *s, lb_fact_value *v) {
    return count(s, v, is_task(s), s->e->eval.task.items);
}
static lb_status acc(const lb_fact_source *s, lb_fact_value *v) { return of_task(s, v, s->e->eval.task.acc); }
static lb_status acc_se(const lb_fact_source *s, lb_fact_value *v) { return of_task(s, v, s->e->eval.task.acc_se); }
static lb_status acc_norm(const lb_fact_source *s, lb_fact_value *v) { return of_task(s, v, s->e->eval.task.acc_norm); }

static lb_status acc_norm_se(const lb_fact_source *s, lb_fact_value *v) {
    return of_task(s, v, s->e->eval.task.acc_norm_se);
}

static lb_report_task task_of(const lb_fact_source *s) {
    lb_report_task q;
    lb_report_task_of(&s->e, 1, &q);
    if (!q.has || !q.has_delta) q.delta = q.delta_norm = NAN;
    return q;
}

static lb_status acc_delta(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, task_of(s).delta); }
static lb_status norm_delta(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, task_of(s).delta_norm); }
static lb_status mcnemar(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, task_of(s).p); }
static lb_status norm_mcnemar(const lb_fact_source *s, lb_fact_value *v) { return number(s, v, task_of(s).p_norm); }

static lb_status discordant(const lb_fact_source *s, lb_fact_value *v, int64_t n) {
    return count(s, v, is_task(s) && s->e->has_paired, n);
}

static lb_status worse(const lb_fact_source *s, lb_fact_value *v) { return discordant(s, v, s->e->mcnemar.worse); }
static lb_status better(const lb_fact_source *s, lb_fact_value *v) { return discordant(s, v, s->e->mcnemar.better); }

/* ---- the prompt ---- */

static lb_status prefill(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, s->c->continuation.prompt ? s->c->continuation.prefill : NAN);
}

static lb_status decode(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, s->c->continuation.prompt ? s->c->continuation.decode : NAN);
}

/* ---- layer errors and cost ---- */

static lb_status weight_rel(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_error_of(s->c, false).weight_rel);
}

static lb_status rel_original(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_error_of(s->c, true).output_rel);
}

static lb_status rtn_original(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_error_of(s->c, true).output_vs_rtn);
}

static lb_status rel_own(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_error_of(s->c, false).output_rel);
}

static lb_status rtn_own(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_error_of(s->c, false).output_vs_rtn);
}

static lb_status rel_equal(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_equal_of(s->c).output_rel);
}

static lb_status rtn_equal(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, lb_model_equal_of(s->c).output_vs_rtn);
}

static lb_status minimized(const lb_fact_source *s, lb_fact_value *v) {
    return done(s->c) ? truth(v, !(s->c->flags & LB_FLAG_NOT_MINIMIZED)) : text(v, "");
}

static lb_status written(const lb_fact_source *s, lb_fact_value *v, lb_str *words) {
    lb_status st = lb_str_check(words);
    if (st == LB_OK) st = copied(s, v, words->s);
    lb_str_free(words);
    return st;
}

static lb_status flags(const lb_fact_source *s, lb_fact_value *v) {
    lb_str words = {0};
    lb_flags_text(lb_record_flags_shown(s->c), &words);
    return written(s, v, &words);
}

static lb_status seconds(const lb_fact_source *s, lb_fact_value *v) {
    return number(s, v, done(s->c) ? s->c->seconds : NAN);
}

static lb_status peak(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, done(s->c), s->c->peak_bytes); }
static lb_status warnings(const lb_fact_source *s, lb_fact_value *v) { return count(s, v, true, s->c->warnings); }
static lb_status key(const lb_fact_source *s, lb_fact_value *v) { return text(v, s->c->key); }

/* ---- what it depends on beside its options ---- */

static lb_status folder(const lb_fact_source *s, lb_fact_value *v) {
    if (s->c->folder) return text(v, s->c->folder);
    const char *dir = s->r->dir ? s->r->dir : "", *end = dir + strlen(dir), *start;
    while (end > dir && end[-1] == '/') end--;
    for (start = end; start > dir && start[-1] != '/';) start--;
    const char *name = lb_arena_printf(s->arena, "%.*s", (int)(end - start), start);
    return name ? text(v, name) : LB_E_NOMEM;
}

static lb_status bits_text(const lb_fact_source *s, lb_fact_value *v) {
    char b[32];
    return copied(s, v, lb_report_bits_text(s->c, b));
}

static lb_status rules(const lb_fact_source *s, lb_fact_value *v) {
    lb_str words = {0};
    if (!lb_report_rules(s->c, &words)) return text(v, "");
    return written(s, v, &words);
}

static bool skipped(const lb_record *c, const char *type) {
    for (int64_t i = 0; i < c->layers; i++)
        if (c->layer[i].block < 0 && strcmp(c->layer[i].type, type) == 0) return !c->layer[i].quantized;
    return false;
}

static bool config_has(const lb_record *c, const char *line) { return c->config && strstr(c->config, line); }

static lb_status embedding(const lb_fact_source *s, lb_fact_value *v) {
    lb_str words = {0};
    if (!s->c->config || !s->c->config[0]) return text(v, "");
    if (skipped(s->c, "embed")) return text(v, "none");
    if (lb_report_end(s->c, "embedding", &words)) return written(s, v, &words);
    return text(v, config_has(s->c, "\n    quantize_embedding: true\n") ? "as cell" : "none");
}

static lb_status head(const lb_fact_source *s, lb_fact_value *v) {
    lb_str words = {0};
    if (!s->c->config || !s->c->config[0]) return text(v, "");
    if (skipped(s->c, "head")) return text(v, "none");
    if (lb_report_end(s->c, "head", &words)) return written(s, v, &words);
    return text(v, config_has(s->c, "\n    quantize_head: true\n") ? "as cell" : "none");
}

static lb_status router(const lb_fact_source *s, lb_fact_value *v) {
    if (!s->c->config || !s->c->config[0]) return text(v, "");
    return text(v, config_has(s->c, "\n    quantize_router: true\n") ? "as cell" : "none");
}

/* Of the same name there. */
static lb_status provenance(const lb_fact_source *s, lb_fact_value *v) {
    return text(v, lb_report_pair(&s->c->provenance, s->fact->name));
}

/* Of the same name in the resolved config. */
static lb_status of_config(const lb_fact_source *s, lb_fact_value *v) {
    lb_str words = {0};
    if (!lb_report_config_value(s->c, s->fact->name, &words)) return text(v, "");
    return written(s, v, &words);
}

/* What a resolved config leaves out is the default: tokens count as they are. */
static lb_status token_weight(const lb_fact_source *s, lb_fact_value *v) {
    LB_TRY(of_config(s, v));
    return v->known || !s->c->propagate || !s->c->propagate[0] ? LB_OK : text(v, "none");
}

/* ---- the table ---- */

#define TEXT(name, meaning, get)                                                                                       \
    { name, "", meaning, LB_FACT_TEXT, false, get }
#define BOOL(name, meaning, get)                                                                                       \
    { name, "", meaning, LB_FACT_BOOL, false, get }
#define COUNT(name, unit, meaning, get)                                                                                \
    { name, unit, meaning, LB_FACT_COUNT, false, get }
#define NUMBER(name, unit, meaning, get)                                                                               \
    { name, unit, meaning, LB_FACT_NUMBER, false, get }
#define EVAL(name, unit, meaning, kind, get)                                                                           \
    { name, unit, meaning, kind, true, get }

const lb_fact lb_facts[] = {
    TEXT("experiment", "name of the experiment", experiment),
    TEXT("model", "name of the model", model),
    TEXT("cell", "file name without `.h5`", stem),
    TEXT("label", "name of the cell", label),
    TEXT("state", "done, failed, refused, not run, or missing: its file is gone or damaged", state),
    TEXT("message", "why it has no result", message),
    TEXT("method", "the method", method),
    COUNT("bits", "bits", "a code; where layers differ, of the main layers", bits),
    TEXT("group", "columns that share a scale: row, tensor or a number; empty where nothing is quantized", group),
    TEXT("storage", "the number format, in words", storage),
    TEXT("propagate", "what calibration inputs were made with: quantized, original", propagate),
    BOOL("true_sequential", "layers of a block solved one after another", sequential),
    COUNT("seed", "", "the seed", seed),
    NUMBER("bits_per_weight", "bits", "of the quantized layers, with all metadata", bits_per_weight),
    COUNT("quantized_weights", "count", "of the quantized layers", weights),
    COUNT("quantized_bytes", "bytes", "of the quantized layers", quantized_bytes),
    COUNT("model_bytes_rest_stored", "bytes", "the whole model, the rest as its file stores it", rest_stored),
    COUNT("model_bytes_rest_fp16", "bytes", "the whole model, the rest at 16 bits", rest_fp16),
    COUNT("original_bytes_fp16", "bytes", "the unquantized model at 16 bits", original_fp16),
    NUMBER("ratio_fp16", "1", "model_bytes_rest_fp16 relative to original_bytes_fp16", ratio),
    EVAL("evaluation", "", "name of the evaluation", LB_FACT_TEXT, evaluation),
    EVAL("protocol", "", "how the text was scored", LB_FACT_TEXT, protocol),
    EVAL("bos", "", "whether BOS was put before the text", LB_FACT_TEXT, bos),
    EVAL("text_sha256", "", "of the text", LB_FACT_TEXT, text_hash),
    EVAL("text_tokens", "count", "of the text", LB_FACT_COUNT, tokens),
    EVAL("compute", "", "float32 or bf16: the products of the evaluation", LB_FACT_TEXT, compute),
    EVAL("windows", "count", "scored windows", LB_FACT_COUNT, windows),
    EVAL("windows_all", "count", "windows of the text", LB_FACT_COUNT, all),
    EVAL("tokens_scored", "count", "scored tokens", LB_FACT_COUNT, scored),
    EVAL("mean_nll", "nats", "mean negative log-likelihood, as the protocol defines it", LB_FACT_NUMBER, mean_nll),
    EVAL("ppl", "1", "perplexity, as the protocol defines it", LB_FACT_NUMBER, ppl),
    EVAL("ppl_se", "1", "its standard error", LB_FACT_NUMBER, ppl_se),
    EVAL("delta_ln_ppl", "nats", "paired difference to the baseline", LB_FACT_NUMBER, delta),
    EVAL("delta_low", "nats", "lower end of its 95 % interval", LB_FACT_NUMBER, low),
    EVAL("delta_high", "nats", "upper end of its 95 % interval", LB_FACT_NUMBER, high),
    EVAL("kl_mean", "nats", "mean KL(baseline \xe2\x80\x96 cell)", LB_FACT_NUMBER, kl_mean),
    EVAL("kl_median", "nats", "its median over tokens", LB_FACT_NUMBER, kl_median),
    EVAL("kl_p99", "nats", "its 99th percentile over tokens", LB_FACT_NUMBER, kl_p99),
    EVAL("top1", "share", "of tokens where both prefer the same", LB_FACT_NUMBER, top1),
    NUMBER("weight_rel_mse", "1", "relative weight MSE of the quantized layers", weight_rel),
    NUMBER("output_rel_mse_original", "1", "relative output MSE, H of the original model", rel_original),
    NUMBER("output_vs_rtn_original", "1", "its ratio to round-to-nearest", rtn_original),
    NUMBER("output_rel_mse_own", "1", "relative output MSE, H of the inputs the layers were solved on", rel_own),
    NUMBER("output_vs_rtn_own", "1", "its ratio to round-to-nearest", rtn_own),
    BOOL("errors_minimized", "false: trained, so that layer errors are not what was minimized", minimized),
    TEXT("flags", "as in the tables, in words", flags),
    NUMBER("seconds", "s", "time of the cell", seconds),
    COUNT("peak_bytes", "bytes", "most memory that the program held during the cell, the original model in it", peak),
    COUNT("warnings", "count", "warnings of the cell", warnings),
    TEXT("key", "SHA-256 that identifies the cell", key),
    TEXT("folder", "name of its results folder", folder),
    TEXT("bits_text", "bits a code; the least and the most of the quantized layers where they differ", bits_text),
    TEXT("rules", "rules of single layers, as the resolved config has them", rules),
    TEXT("embedding", "none: not quantized; as cell: as the other layers; else its method and options", embedding),
    TEXT("head", "the same of the output head", head),
    TEXT("router", "the same of what weighs experts", router),
    TEXT("calibration", "the calibration text, as the config names it", provenance),
    TEXT("calibration_sha256", "of the calibration text", provenance),
    TEXT("calibration_recipe", "which of its tokens: sequential, random, joined, documents, ...", provenance),
    COUNT("calibration_samples", "count", "its sequences; of recipe blocks the rows that they are cut from",
          provenance),
    COUNT("calibration_length", "count", "tokens of each; of recipe truncated the most", provenance),
    COUNT("calibration_seed", "", "seed of a recipe that draws", provenance),
    TEXT("calibration_bos", "whether BOS was put before it", provenance),
    BOOL("original_errors", "whether output errors were measured with H of the original model's inputs, too",
         of_config),
    TEXT("starved_experts", "what became of experts that got few calibration tokens", of_config),
    COUNT("expert_tokens", "count", "calibration tokens below which an expert is such a one", of_config),
    TEXT("training", "the training text, as the config names it", provenance),
    TEXT("training_sha256", "of the training text", provenance),
    TEXT("training_bos", "whether BOS was put before it", provenance),
    TEXT("validation", "the text that the loss on the way was measured on, as the config names it", provenance),
    TEXT("validation_sha256", "of that text", provenance),
    COUNT("validation_windows", "count", "its windows that were looked at", provenance),
    TEXT("model_sha256", "of the model", provenance),
    TEXT("revision", "of the program", provenance),
    TEXT("kernels", "the processor kernels that computed", provenance),
    TEXT("calibration_rows", "how the calibration text's rows were read; empty: the whole file is the text",
         provenance),
    COUNT("calibration_sequences", "count", "of recipe blocks: as many as its samples made", provenance),
    EVAL("speculative", "count", "drafts a round of speculative decoding", LB_FACT_COUNT, drafts),
    EVAL("accept", "share", "of the cell's drafts that the baseline is expected to take", LB_FACT_NUMBER, accept),
    EVAL("speedup", "1", "expected speed-up of the baseline by these drafts", LB_FACT_NUMBER, speedup),
    TEXT("token_weight", "what a calibration token counted for in H: none (as it is), norm, clip, attention",
         token_weight),
    NUMBER("token_clip", "1", "where tokens were clipped, in median lengths", of_config),
    NUMBER(
        "output_rel_mse_equal", "1",
        "relative output MSE with every token counting the same, H of the original model's inputs where there is one",
        rel_equal),
    NUMBER("output_vs_rtn_equal", "1", "its ratio to round-to-nearest", rtn_equal),
    EVAL("text_rows", "", "how rows of the text were read; empty: as one text", LB_FACT_TEXT, text_rows),
    EVAL("variant", "", "of LAMB: how the text is read", LB_FACT_TEXT, variant),
    EVAL("items", "count", "of a task", LB_FACT_COUNT, items),
    EVAL("acc", "share", "of a task's items that are answered right", LB_FACT_NUMBER, acc),
    EVAL("acc_se", "share", "its standard error", LB_FACT_NUMBER, acc_se),
    EVAL("acc_norm", "share", "of items whose right choice is the most likely one per character", LB_FACT_NUMBER,
         acc_norm),
    EVAL("acc_norm_se", "share", "its standard error", LB_FACT_NUMBER, acc_norm_se),
    EVAL("delta_acc", "share", "accuracy minus the baseline's", LB_FACT_NUMBER, acc_delta),
    EVAL("delta_acc_norm", "share", "the same of acc_norm", LB_FACT_NUMBER, norm_delta),
    EVAL("mcnemar_worse", "count", "items that the baseline alone has right", LB_FACT_COUNT, worse),
    EVAL("mcnemar_better", "count", "items that this cell alone has right", LB_FACT_COUNT, better),
    EVAL("mcnemar_p", "1", "McNemar's exact test of those two", LB_FACT_NUMBER, mcnemar),
    EVAL("mcnemar_p_norm", "1", "the same of acc_norm", LB_FACT_NUMBER, norm_mcnemar),
    NUMBER("prefill_tokens_per_second", "1/s", "tokens of the config's prompt that were read a second", prefill),
    NUMBER("decode_tokens_per_second", "1/s", "tokens that continued it a second, in float32", decode),
    COUNT("calibration_tokens", "count", "of recipe truncated: of all its sequences", provenance),
    COUNT("model_file_bytes", "bytes", "the result file on disk, where it is the whole model (keep_model)", model_file),
    {.name = NULL},
};

const lb_fact lb_fact_aliases[] = {
    NUMBER("b/w", "bits", "bits_per_weight", bits_per_weight),
    EVAL("delta", "nats", "delta_ln_ppl", LB_FACT_NUMBER, delta),
    EVAL("kl", "nats", "kl_mean", LB_FACT_NUMBER, kl_mean),
    NUMBER("mib", "MiB", "model_bytes_rest_fp16 in MiB", mib),
    NUMBER("time", "s", "seconds", seconds),
    {.name = NULL},
};

const lb_fact *lb_fact_find(const char *name) {
    for (const lb_fact *f = lb_facts; f->name; f++)
        if (strcmp(f->name, name) == 0) return f;
    for (const lb_fact *f = lb_fact_aliases; f->name; f++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

lb_status lb_fact_get(lb_arena *a, const lb_results *r, const lb_record *c, const lb_eval_row *e, const lb_fact *f,
                      lb_fact_value *out) {
    lb_fact_source s = {a, r, c, e, f};
    if (f->of_eval && !e) return text(out, "");
    return f->get(&s, out);
}

static bool has_option(const lb_results *r, const char *name) {
    for (int64_t i = 0; i < r->n; i++)
        if (lb_report_pair(&r->record[i].options, name)) return true;
    return false;
}

static lb_status unknown_name(lb_arena *a, const lb_results *r, const char *name) {
    size_t facts = 0, n = 0;
    const char **option;
    int64_t options;
    LB_TRY(lb_fact_options(a, r, &option, &options));
    while (lb_facts[facts].name) facts++;
    const char **known = LB_NEW(a, const char *, facts + (size_t)options);
    if (!known) return LB_E_NOMEM;
    while (n < facts) known[n] = lb_facts[n].name, n++;
    for (int64_t i = 0; i < options; i++) known[n++] = option[i];
    const char *near = lb_str_nearest(name, known, n);
    return lb_fail(LB_E_ARG, "'%s' is no column of cells.csv and no option of these cells%s%s%s", name,
                   near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

lb_status lb_fact_of(lb_arena *a, const lb_results *r, const lb_record *c, const lb_eval_row *e, const char *name,
                     lb_fact_value *out) {
    static const char prefix[] = "option.";
    const lb_fact *f = lb_fact_find(name);
    if (f) return lb_fact_get(a, r, c, e, f, out);
    const char *option = strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
    if (!has_option(r, option)) return unknown_name(a, r, name);
    return text(out, lb_report_pair(&c->options, option));
}

lb_status lb_fact_options(lb_arena *a, const lb_results *r, const char ***name, int64_t *n) {
    int64_t most = 0;
    for (int64_t i = 0; i < r->n; i++) most += r->record[i].options.n;
    *n = 0;
    *name = LB_NEW(a, const char *, most + 1);
    if (!*name) return LB_E_NOMEM;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t k = 0; k < r->record[i].options.n; k++) {
            const char *one = r->record[i].options.at[k].key;
            bool known = false;
            for (int64_t x = 0; x < *n; x++) known |= strcmp((*name)[x], one) == 0;
            if (!known) (*name)[(*n)++] = one;
        }
    return LB_OK;
}

void lb_facts_markdown(lb_str *out) {
    lb_str_add(out, "| column | unit | meaning |\n|---|---|---|\n");
    for (const lb_fact *f = lb_facts; f->name; f++) lb_str_add(out, "| %s | %s | %s |\n", f->name, f->unit, f->meaning);
    lb_str_add(out, "| option.NAME | | every option of every method; empty where the method has none of that name |\n");
}

/* ---- bits ---- */

bool lb_report_bits_range(const lb_record *c, int *low, int *high) {
    *low = *high = 0;
    for (int64_t i = 0; i < c->layers; i++) {
        int b = c->layer[i].bits;
        if (!c->layer[i].quantized || b <= 0) continue;
        if (!*low || b < *low) *low = b;
        if (b > *high) *high = b;
    }
    if (!*low) *low = *high = c->bits;
    return quantized(c);
}

bool lb_report_mixed(const lb_record *c) {
    int low, high;
    return lb_report_bits_range(c, &low, &high) && low != high;
}

const char *lb_report_bits_text(const lb_record *c, char out[32]) {
    int low, high;
    out[0] = 0;
    if (!lb_report_bits_range(c, &low, &high)) return out;
    if (low == high)
        snprintf(out, 32, "%d", low);
    else
        snprintf(out, 32, "%d\xe2\x80\x93%d", low, high);
    return out;
}

#include "run/field_names.h"

#include <string.h>

#include "base/str.h"
#include "quant/method.h"

/* Several rows of one name: the first whose place there is. */
static const lb_field_name key[] = {
    {"group_size", "group", NULL, false},
    {"q_group_size", "group", NULL, false},
    {"bnb_4bit_blocksize", "group", NULL, false},
    {"block_size", "block", "columns at a time; columns that share a scale are group", false},
    {"block_size", "group", NULL, false},
    {"strategy", "group", "row is channel, tensor is tensor, a number is group", false},
    {"w_bit", "bits", NULL, false},
    {"wbits", "bits", NULL, false},
    {"n_bits", "bits", NULL, false},
    {"num_bits", "bits", NULL, false},
    {"weight_bits", "bits", NULL, false},
    {"load_in_4bit", "bits", "bits: 4", false},
    {"load_in_8bit", "bits", "bits: 8", false},
    {"a_bits", "act_bits", NULL, false},
    {"a_bit", "act_bits", NULL, false},
    {"activation_bits", "act_bits", NULL, false},
    {"input_bits", "act_bits", NULL, false},
    {"desc_act", "act_order", NULL, false},
    {"actorder", "act_order", NULL, false},
    {"sym", "symmetric", NULL, false},
    {"zero_point", "symmetric", "zero_point: true is symmetric: false", false},
    {"asymmetric", "symmetric", "asymmetric: true is symmetric: false", false},
    {"asym", "symmetric", "asym: true is symmetric: false", false},
    {"damp_percent", "percdamp", NULL, false},
    {"damp", "percdamp", NULL, false},
    {"damping", "percdamp", NULL, false},
    {"dampening_frac", "percdamp", NULL, false},
    {"damp_auto_increment", "on_failure", "on_failure: raise_damp", false},
    {"static_group", "static_groups", NULL, false},
    {"quant_type", "format", NULL, false},
    {"bnb_4bit_quant_type", "format", NULL, false},
    {"data_type", "format", NULL, false},
    {"bnb_4bit_use_double_quant", "double_quant", NULL, false},
    {"compress_statistics", "double_quant", NULL, false},
    {"scale_dtype", "scale_type", NULL, false},
    {"sparsity_ratio", "sparsity", NULL, false},
    {"mask_structure", "pattern", NULL, false},
    {"smoothing_strength", "alpha", NULL, false},
    {"migration_strength", "alpha", NULL, false},
    {"lora_rank", "rank", NULL, false},
    {"learning_rate", "lr", NULL, false},
    {"max_steps", "steps", NULL, false},
    {"num_steps", "steps", NULL, false},
    {"train_steps", "steps", NULL, false},
    {"max_steps", "iters", NULL, false},
    {"warmup_steps", "warmup", NULL, false},
    {"batch_size", "batch", NULL, false},
    {"train_batch_size", "batch", NULL, false},
    {"per_device_train_batch_size", "batch", NULL, false},
    {"max_grad_norm", "clip", NULL, false},
    {"minmax_lr", "clip_lr", NULL, false},
    {"nsamples", "calibration.samples", NULL, false},
    {"num_samples", "calibration.samples", NULL, false},
    {"num_calibration_samples", "calibration.samples", NULL, false},
    {"max_calib_samples", "calibration.samples", NULL, false},
    {"n_calib", "calibration.samples", NULL, false},
    {"seqlen", "length", NULL, false},
    {"seqlen", "calibration.length", NULL, false},
    {"seqlen", "protocol", "protocol: W2-2048", false},
    {"sequence_length", "length", NULL, false},
    {"sequence_length", "calibration.length", NULL, false},
    {"max_seq_length", "length", NULL, false},
    {"max_seq_length", "calibration.length", NULL, false},
    {"max_seq_length", "protocol", "protocol: W2-2048", false},
    {"model_seqlen", "calibration.length", NULL, false},
    {"max_calib_seq_len", "calibration.length", NULL, false},
    {"n_ctx", "protocol", "protocol: LCPP-512", false},
    {"ctx_size", "protocol", "protocol: LCPP-512", false},
    {"context_length", "protocol", "protocol: W2-2048", false},
    {"dataset", "text", NULL, false},
    {"dataset", "calibration.text", NULL, false},
    {"calib_data", "calibration.text", NULL, false},
    {"calib_dataset", "calibration.text", NULL, false},
    {"calibration_dataset", "calibration.text", NULL, false},
    {"train_dataset", "training.text", NULL, false},
    {"eval_dataset", "eval.text", NULL, false},
    {"validation_dataset", "training.validation", NULL, false},
    {"validation_file", "training.validation", NULL, false},
    {"eval_steps", "training.every", NULL, false},
    {"eval_interval", "training.every", NULL, false},
    {"eval_iters", "training.validation_windows", NULL, false},
    {"num_windows", "eval.windows", NULL, false},
    {"add_bos", "bos", NULL, false},
    {"add_bos_token", "bos", NULL, false},
    {"model_path", "model", NULL, false},
    {"model_id", "model", NULL, false},
    {"model_name_or_path", "model", NULL, false},
    {"pretrained", "model", NULL, false},
    {"base_model", "model", NULL, false},
    {"output_dir", "results", NULL, false},
    {"save_path", "results", NULL, false},
    {"random_seed", "seed", NULL, false},
    {"nthreads", "threads", NULL, false},
    {"num_threads", "threads", NULL, false},
    {"torch_dtype", "compute", NULL, false},
    {"dtype", "compute", NULL, false},
    {"lm_head", "quantize_head", NULL, false},
    {"quant_lm_head", "quantize_head", NULL, false},
    {"output_tensor_type", "quantize_head", NULL, false},
    {"token_embedding_type", "quantize_embedding", NULL, false},
    {"ignore", "rules", "rules: [{match: \"head\", skip: true}]", false},
    {"modules_to_not_convert", "rules", "rules: [{match: \"head\", skip: true}]", false},
    {"dynamic", "rules", "rules: [{match: \"*.down\", bits: 8}]", false},
    {"layer_config", "rules", "rules: [{match: \"*.down\", bits: 8}]", false},
    {"module_name", "match", NULL, false},
    {"quant_method", "method", NULL, false},
    {"algorithm", "method", NULL, false},
    {"scheme", "method", NULL, false},
    {"modifiers", "stages", NULL, false},
    {"recipes", "stages", NULL, false},
};

static const lb_field_name method[] = {
    {"nearest", "rtn", NULL, false},
    {"round_to_nearest", "rtn", NULL, false},
    {"naive", "rtn", NULL, false},
    {"minmax", "rtn", NULL, false},
    {"absmax", "rtn", "symmetric: true", false},
    {"fp4", "nf4", "format: fp4", false},
    {"fp8", "rtn", "format: fp8", false},
    {"mxfp4", "rtn", "format: mxfp4", false},
    {"int4", "rtn", "bits: 4", false},
    {"int8", "rtn", "bits: 8", false},
    {"optq", "gptq", NULL, false},
    {"autogptq", "gptq", NULL, false},
    {"gptqmodel", "gptq", NULL, false},
    {"bnb", "nf4", NULL, false},
    {"bitsandbytes", "nf4", NULL, false},
    {"normalfloat", "nf4", NULL, false},
    {"half_quadratic", "hqq", NULL, false},
    {"signround", "autoround", NULL, false},
    {"lqer", "low_rank", NULL, false},
    {"svd", "low_rank", NULL, false},
    {"lsq", "qat", "range: lsq", false},
    {"half", "cast", "type: f16", false},
    {"float16", "cast", "type: f16", false},
    {"bfloat16", "cast", "type: bf16", false},
    {"baseline", "none", NULL, false},
    {"original", "none", NULL, false},
    {"fp16", "none", NULL, false},
    {"bf16", "none", NULL, false},
    {"fp32", "none", NULL, false},
    {"quarot", "hadamard", "rotations at run time, before rounding", true},
    {"spinquant", "hadamard", "rotations that are not learned", true},
    {"quip", "hadamard", "rotations at run time, before rounding", true},
    {"awq", "smoothquant", "scales of inputs that the weights take up", true},
    {"omniquant", "autoround", "learned rounding and clipping", true},
    {"adaround", "autoround", "learned rounding and clipping", true},
    {"loftq", "low_rank", "a low-rank correction without training", true},
    {"qlora", "nf4", "its number format; adapters are not trained", true},
    {"sparsegpt", "wanda", "pruning without an update of what is kept", true},
    {"magnitude", "wanda", "pruning by weight and input norm", true},
    {"llm_int8", "act", "quantized inputs, without outliers apart", true},
};

/* groupsize, group-size, GROUP_SIZE */
bool lb_field_alike(const char *a, const char *b) {
    for (;; a++, b++) {
        while (*a == '_' || *a == '-') a++;
        while (*b == '_' || *b == '-') b++;
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a,
             y = *b >= 'A' && *b <= 'Z' ? (char)(*b - 'A' + 'a') : *b;
        if (x != y) return false;
        if (!x) return true;
    }
}

static const char *among(const char *name, size_t len, const char *const *known, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strlen(known[i]) == len && memcmp(known[i], name, len) == 0) return known[i];
    return NULL;
}

/* Ours as it is written where `known` may stand; NULL: not there. */
static const char *placed(const char *ours, const char *const *known, size_t n) {
    const char *dot = strchr(ours, '.');
    if (among(ours, strlen(ours), known, n) || (dot && among(ours, (size_t)(dot - ours), known, n))) return ours;
    return dot ? among(dot + 1, strlen(dot + 1), known, n) : NULL;
}

const char *lb_field_key(const char *theirs, const char *const *known, size_t n, const char **note) {
    *note = NULL;
    for (size_t i = 0; i < n; i++)
        if (lb_field_alike(known[i], theirs)) return known[i];
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
        const char *ours = lb_field_alike(key[i].theirs, theirs) ? placed(key[i].ours, known, n) : NULL;
        if (!ours) continue;
        *note = key[i].note;
        return ours;
    }
    return NULL;
}

const lb_field_name *lb_field_key_at(const char *theirs, size_t at) {
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        if (lb_field_alike(key[i].theirs, theirs) && at-- == 0) return &key[i];
    return NULL;
}

const lb_field_name *lb_field_method(const char *theirs) {
    for (size_t i = 0; i < sizeof method / sizeof method[0]; i++)
        if (lb_field_alike(method[i].theirs, theirs)) return &method[i];
    return NULL;
}

const lb_field_name *lb_field_keys(size_t i) { return i < sizeof key / sizeof key[0] ? &key[i] : NULL; }
const lb_field_name *lb_field_methods(size_t i) { return i < sizeof method / sizeof method[0] ? &method[i] : NULL; }

lb_status lb_unknown_method(lb_status code, const char *where, const char *name, const char *in) {
    enum { MOST = 128 };
    const char *known[MOST];
    size_t n = 0;
    while (n < MOST && lb_method_at(n)) known[n] = lb_method_at(n)->name, n++;
    const char *at = where[0] ? ": " : "", *of = in[0] ? " in " : "", *none = NULL,
               *near = lb_field_key(name, known, n, &none);
    const lb_field_name *f = near ? NULL : lb_field_method(name);
    if (f && f->other)
        return lb_fail(code, "%s%sunknown method '%s'%s%s: it is not here; the nearest is '%s' (%s)", where, at, name,
                       of, in, f->ours, f->note);
    if (f && f->note)
        return lb_fail(code, "%s%sunknown method '%s'%s%s: did you mean '%s' (%s)?", where, at, name, of, in, f->ours,
                       f->note);
    if (f) near = f->ours;
    if (!near) near = lb_str_nearest(name, known, n);
    if (near) return lb_fail(code, "%s%sunknown method '%s'%s%s: did you mean '%s'?", where, at, name, of, in, near);
    return lb_fail(code, "%s%sunknown method '%s'%s%s: lowbit methods lists them, --plugin FILE brings others", where,
                   at, name, of, in);
}

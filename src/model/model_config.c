/* The architecture as a Hugging Face folder's config.json tells it (transformers' LlamaConfig, its defaults). */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"
#include "model/model_file.h"

/* NULL where the key is missing or null. */
static const json_t *member(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

static lb_status int_or(const char *path, const json_t *o, const char *key, int64_t fallback, int64_t *out) {
    *out = fallback;
    return member(o, key) ? lb_json_int(path, o, key, out) : LB_OK;
}

static lb_status num_or(const char *path, const json_t *o, const char *key, double fallback, double *out) {
    *out = fallback;
    return member(o, key) ? lb_json_num(path, o, key, out) : LB_OK;
}

static lb_status bool_or(const char *path, const json_t *o, const char *key, bool fallback, bool *out) {
    const json_t *v = member(o, key);
    *out = fallback;
    if (!v) return LB_OK;
    if (!json_is_boolean(v)) return lb_fail(LB_E_FORMAT, "%s: %s: must be true or false", path, key);
    *out = json_is_true(v);
    return LB_OK;
}

static lb_status find_family(const char *path, const json_t *c, const lb_family **out) {
    const json_t *list = member(c, "architectures");
    const json_t *named = list ? json_array_get(list, 0) : NULL, *type = member(c, "model_type");
    const char *cls = named ? json_string_value(named) : NULL, *kind = type ? json_string_value(type) : NULL;
    if (!cls && !kind)
        return lb_fail(LB_E_FORMAT, "%s: neither architectures nor model_type says what this model is", path);
    for (int i = 0; i < lb_families_count; i++) {
        const lb_family *f = &lb_families[i];
        if ((!cls || strcmp(cls, f->hf_class) == 0) && (!kind || strcmp(kind, f->hf_type) == 0)) {
            *out = f;
            return LB_OK;
        }
    }
    return lb_fail(LB_E_UNSUPPORTED, "%s: architecture %s (model_type %s) is not supported: only %s is", path,
                   cls ? cls : "not told", kind ? kind : "not told", lb_families[0].hf_class);
}

/* ---- keys ---- */

/* Read below, or checked there to have the one value that is honoured. */
static const char *const read_keys[] = {
    "architectures",
    "model_type",
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "vocab_size",
    "num_key_value_heads",
    "max_position_embeddings",
    "head_dim",
    "rms_norm_eps",
    "tie_word_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "attention_bias",
    "mlp_bias",
    "partial_rotary_factor",
    "hidden_act",
    "quantization_config",
    NULL,
};
/* Without effect on what a Llama computes when it is evaluated: storage, training, generation, bookkeeping.
 * pretraining_tp only cuts the products into slices. */
static const char *const idle_keys[] = {
    /* training and storage */
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "initializer_range",
    "pretraining_tp",
    "torch_dtype",
    "dtype",
    "use_cache",
    "use_bfloat16",
    "torchscript",
    "gradient_checkpointing",
    "neftune_noise_alpha",
    "tf_legacy_loss",
    "max_sequence_length",
    "attn_implementation",
    "use_flash_attn",
    /* what it is called and where it came from */
    "transformers.js_config",
    "tokenizer_class",
    "unsloth_fixed",
    "is_llama_config",
    "finetuning_task",
    "problem_type",
    "id2label",
    "label2id",
    "task_specific_params",
    "prefix",
    /* generation */
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "diversity_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_beams",
    "num_beam_groups",
    "num_return_sequences",
    "max_length",
    "min_length",
    "max_new_tokens",
    "early_stopping",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "return_dict",
    "return_dict_in_generate",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "chunk_size_feed_forward",
    NULL,
};

static bool listed(const char *const *list, const char *key) {
    for (; *list; list++)
        if (strcmp(*list, key) == 0) return true;
    return false;
}

static bool idle(const char *key) {
    return listed(idle_keys, key) || key[0] == '_' || lb_str_ends(key, "_version") || lb_str_ends(key, "_token_id") ||
           lb_str_ends(key, "_token_ids");
}

/* null, false and what is empty switch nothing on. */
static bool off(const json_t *v) {
    if (json_is_string(v)) return json_string_length(v) == 0;
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

/* A key that is not known may change what the model computes (a window, a cap, a multiplier): it is named rather than
 * passed over. within: the object's name and a dot, or "". */
static lb_status check_keys(const char *path, const char *within, const json_t *o, const char *const *known) {
    const char *key;
    json_t *v;
    char value[LB_JSON_TEXT];
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (lb_json_twice(key) || listed(known, key) || off(v) || (!within[0] && idle(key))) continue;
        lb_json_text(v, value);
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: key %s%.60s = %s: not one whose meaning is known here (take it out if it does not change "
                       "what the model computes)",
                       path, within, key, value);
    }
    return LB_OK;
}

/* One number, told in two places (NULL: at the top) with two values. */
static lb_status differ(const char *path, const char *in_a, const char *a, const json_t *va, const char *in_b,
                        const char *b, const json_t *vb) {
    char ta[LB_JSON_TEXT], tb[LB_JSON_TEXT];
    lb_json_text(va, ta);
    lb_json_text(vb, tb);
    return lb_fail(LB_E_FORMAT, "%s: %s%s%s = %s and %s%s%s = %s: they say the same thing, so they must agree", path,
                   in_a ? in_a : "", in_a ? "." : "", a, ta, in_b ? in_b : "", in_b ? "." : "", b, tb);
}

/* ---- positions ---- */

static lb_status whole_rotary(const char *path, const json_t *o) {
    double part;
    LB_TRY(num_or(path, o, "partial_rotary_factor", 1.0, &part));
    if (part == 1.0) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: partial_rotary_factor = %g: only 1 is supported", path, part);
}

/* One of "rope_scaling" and "rope_parameters". */
static lb_status read_scaling(const char *path, const char *place, const json_t *r, lb_rope_scaling *out) {
    static const char *const known[LB_ROPE_TYPES][9] = {
        {"rope_type", "type", "rope_theta", "partial_rotary_factor"},
        {"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor"},
        {"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "low_freq_factor", "high_freq_factor",
         "original_max_position_embeddings"},
    };
    char within[32];
    const json_t *type = member(r, "rope_type"), *old = member(r, "type");
    if (type && old && !json_equal(type, old)) return differ(path, place, "rope_type", type, place, "type", old);
    if (!type) type = old;
    const char *name = type ? json_string_value(type) : lb_rope_type_name[LB_ROPE_DEFAULT];
    lb_rope_scaling s = {0};
    while (name && s.type < LB_ROPE_TYPES && strcmp(name, lb_rope_type_name[s.type]) != 0) s.type++;
    if (!name || s.type == LB_ROPE_TYPES)
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: %s: type '%s' is not supported: only 'default', 'linear' and 'llama3' are", path, place,
                       name ? name : "?");
    snprintf(within, sizeof within, "%s.", place);
    LB_TRY(check_keys(path, within, r, known[s.type])); /* also one object a kind of layer */
    LB_TRY(lb_json_once(path, r, known[s.type]));
    if (s.type != LB_ROPE_DEFAULT) LB_TRY(lb_json_num(path, r, "factor", &s.factor));
    if (s.type == LB_ROPE_LLAMA3) {
        LB_TRY(lb_json_num(path, r, "low_freq_factor", &s.low));
        LB_TRY(lb_json_num(path, r, "high_freq_factor", &s.high));
        LB_TRY(lb_json_int(path, r, "original_max_position_embeddings", &s.original));
    }
    *out = s;
    return LB_OK;
}

/* Every member that both places have. */
static lb_status same_members(const char *path, const char *const place[2], const json_t *const r[2]) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)r[0], key, v) {
        const json_t *w = member(r[1], key);
        if (!w || json_is_null(v) || json_equal(v, w)) continue;
        if (json_is_number(v) && json_is_number(w) && json_number_value(v) == json_number_value(w)) continue;
        return differ(path, place[0], key, v, place[1], key, w);
    }
    return LB_OK;
}

/* In either place, depending on the version of transformers, and the base also outside of both: where it is told more
 * than once, all must agree. */
static lb_status read_rope(const char *path, const json_t *c, lb_arch *a) {
    static const char *const place[] = {"rope_scaling", "rope_parameters"}, base[] = "rope_theta";
    const json_t *const r[] = {member(c, place[0]), member(c, place[1])};
    LB_TRY(num_or(path, c, base, 10000.0, &a->rope_base));
    if (r[0] && r[1]) LB_TRY(same_members(path, place, r));
    for (size_t i = 0; i < 2; i++) {
        double inner;
        lb_rope_scaling s = {.type = LB_ROPE_DEFAULT};
        if (!r[i]) continue;
        if (!json_is_object(r[i])) return lb_fail(LB_E_FORMAT, "%s: %s: must be an object", path, place[i]);
        LB_TRY(read_scaling(path, place[i], r[i], &s));
        if (i == 1 && r[0] && !lb_rope_scaling_same(&s, &a->scaling))
            return lb_fail(LB_E_FORMAT, "%s: rope_scaling (type '%s') and rope_parameters (type '%s') differ", path,
                           lb_rope_type_name[a->scaling.type], lb_rope_type_name[s.type]);
        a->scaling = s;
        LB_TRY(num_or(path, r[i], base, a->rope_base, &inner));
        if (inner != a->rope_base && member(c, base))
            return differ(path, NULL, base, member(c, base), place[i], base, member(r[i], base));
        a->rope_base = inner;
        LB_TRY(whole_rotary(path, r[i]));
    }
    return whole_rotary(path, c);
}

static lb_status refuse(const char *path, const json_t *c) {
    static const char *const bias[] = {"attention_bias", "mlp_bias"};
    for (size_t i = 0; i < 2; i++) {
        bool on;
        LB_TRY(bool_or(path, c, bias[i], false, &on));
        if (on) return lb_fail(LB_E_UNSUPPORTED, "%s: %s is true: biases are not supported", path, bias[i]);
    }
    const json_t *act = member(c, "hidden_act");
    if (act && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
        return lb_fail(LB_E_UNSUPPORTED, "%s: hidden_act = %s: only silu is supported", path,
                       json_is_string(act) ? json_string_value(act) : "?");
    if (member(c, "quantization_config"))
        return lb_fail(LB_E_UNSUPPORTED, "%s: quantization_config: weights quantized by another program cannot be read",
                       path);
    return LB_OK;
}

static lb_status read_config(const char *path, const json_t *c, lb_arch *out, const lb_family **family) {
    const lb_family *f = NULL;
    LB_TRY(lb_json_once(path, c, read_keys));
    LB_TRY(find_family(path, c, &f));
    lb_arch a = {.family = f->name, .rope = f->hf_rope};
    LB_TRY(lb_json_int(path, c, "num_hidden_layers", &a.layers));
    LB_TRY(lb_json_int(path, c, "hidden_size", &a.dim));
    LB_TRY(lb_json_int(path, c, "intermediate_size", &a.hidden));
    LB_TRY(lb_json_int(path, c, "num_attention_heads", &a.heads));
    LB_TRY(lb_json_int(path, c, "vocab_size", &a.vocab));
    LB_TRY(int_or(path, c, "num_key_value_heads", a.heads, &a.kv_heads));
    LB_TRY(int_or(path, c, "max_position_embeddings", 2048, &a.context));
    if (!member(c, "head_dim") && a.heads > 0 && a.dim % a.heads != 0)
        return lb_fail(LB_E_FORMAT, "%s: hidden_size = %lld: must be a multiple of the %lld heads", path,
                       (long long)a.dim, (long long)a.heads);
    LB_TRY(int_or(path, c, "head_dim", a.heads > 0 ? a.dim / a.heads : 0, &a.head_dim));
    LB_TRY(num_or(path, c, "rms_norm_eps", 1e-6, &a.norm_eps));
    LB_TRY(bool_or(path, c, "tie_word_embeddings", false, &a.tied));
    LB_TRY(read_rope(path, c, &a));
    LB_TRY(refuse(path, c));
    LB_TRY(check_keys(path, "", c, read_keys));
    LB_TRY(lb_arch_check(&a, path));
    *out = a;
    *family = f;
    return LB_OK;
}

lb_status lb_arch_from_config(const char *path, lb_arch *out, const lb_family **family) {
    json_t *c;
    LB_TRY(lb_json_read_most(path, LB_JSON_MOST_CONFIG, &c));
    lb_status st =
        json_is_object(c) ? read_config(path, c, out, family) : lb_fail(LB_E_FORMAT, "%s: must be a JSON object", path);
    json_decref(c);
    return st;
}

/* The architecture as a Hugging Face folder's config.json tells it (transformers' LlamaConfig, its defaults). */
#include <math.h>
#include <string.h>

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

/* Positions: only the plain kind, wherever this version of transformers put it. */
static lb_status read_rope(const char *path, const json_t *c, lb_arch *a) {
    static const char *const place[] = {"rope_scaling", "rope_parameters"};
    LB_TRY(num_or(path, c, "rope_theta", 10000.0, &a->rope_base));
    for (size_t i = 0; i < 2; i++) {
        const json_t *r = member(c, place[i]);
        if (!r) continue;
        if (!json_is_object(r)) return lb_fail(LB_E_FORMAT, "%s: %s: must be an object", path, place[i]);
        const json_t *type = member(r, "rope_type");
        if (!type) type = member(r, "type");
        const char *name = type ? json_string_value(type) : "default";
        if (!name || strcmp(name, "default") != 0)
            return lb_fail(LB_E_UNSUPPORTED, "%s: %s: type '%s' is not supported: only 'default' is", path, place[i],
                           name ? name : "?");
        LB_TRY(num_or(path, r, "rope_theta", a->rope_base, &a->rope_base));
    }
    double part;
    LB_TRY(num_or(path, c, "partial_rotary_factor", 1.0, &part));
    if (part != 1.0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: partial_rotary_factor = %g: only 1 is supported", path, part);
    return LB_OK;
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
    LB_TRY(lb_arch_check(&a, path));
    *out = a;
    *family = f;
    return LB_OK;
}

lb_status lb_arch_from_config(const char *path, lb_arch *out, const lb_family **family) {
    json_t *c;
    LB_TRY(lb_json_read(path, &c));
    lb_status st =
        json_is_object(c) ? read_config(path, c, out, family) : lb_fail(LB_E_FORMAT, "%s: must be a JSON object", path);
    json_decref(c);
    return st;
}

/* The architecture as a GGUF header tells it. Keys: the GGUF specification in ggml's docs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/forward.h"
#include "model/model_file.h"

/* What follows "<arch>.": every key whose meaning is honoured, or checked to have no effect. */
static const char *const known[] = {
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "vocab_size",
    "expert_count",
    "expert_used_count",
    "tensor_data_layout",
    "rope.scaling.finetuned",
    "attention.causal",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
};

static lb_status find_family(const lb_gguf *g, const lb_family **out) {
    const char *s;
    size_t n;
    LB_TRY(lb_gguf_str(g, "general.architecture", &s, &n));
    for (int i = 0; i < lb_families_count; i++)
        if (strlen(lb_families[i].gguf_arch) == n && memcmp(lb_families[i].gguf_arch, s, n) == 0) {
            *out = &lb_families[i];
            return LB_OK;
        }
    return lb_fail(LB_E_UNSUPPORTED, "%s: architecture '%.*s' is not supported: only llama is", lb_gguf_path(g),
                   (int)(n < 64 ? n : 64), s);
}

static lb_status check_keys(const lb_gguf *g, const char *arch) {
    const char *key;
    char value[64];
    size_t prefix = strlen(arch);
    for (int64_t i = 0; lb_gguf_describe(g, i, &key, value, sizeof value); i++) {
        if (strncmp(key, arch, prefix) != 0 || key[prefix] != '.') continue;
        bool found = false;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++)
            found = found || strcmp(known[j], key + prefix + 1) == 0;
        if (!found)
            return lb_fail(LB_E_UNSUPPORTED, "%s: key %s = %s: not one whose meaning is known here", lb_gguf_path(g),
                           key, value);
    }
    return LB_OK;
}

static bool has(const lb_gguf *g, const char *arch, const char *key, char full[128]) {
    snprintf(full, 128, "%s.%s", arch, key);
    return lb_gguf_has(g, full);
}

/* fallback < 0: required. */
static lb_status get_int(const lb_gguf *g, const char *arch, const char *key, int64_t fallback, int64_t *out) {
    char full[128];
    if (has(g, arch, key, full) || fallback < 0) return lb_gguf_int(g, full, out);
    *out = fallback;
    return LB_OK;
}

static lb_status must_be(const lb_gguf *g, const char *arch, const char *key, int64_t value) {
    int64_t v;
    LB_TRY(get_int(g, arch, key, value, &v));
    if (v == value) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s.%s = %lld: only %lld is supported", lb_gguf_path(g), arch, key,
                   (long long)v, (long long)value);
}

static bool says(const lb_gguf *g, const char *key, const char *value) {
    const char *s;
    size_t n;
    return lb_gguf_str(g, key, &s, &n) == LB_OK && n == strlen(value) && !memcmp(s, value, n);
}

/* A string key that may only have one value. */
static lb_status must_say(const lb_gguf *g, const char *arch, const char *key, const char *value) {
    char full[128];
    const char *s;
    size_t n;
    if (!has(g, arch, key, full) || says(g, full, value)) return LB_OK;
    LB_TRY(lb_gguf_str(g, full, &s, &n));
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s = '%.*s': only '%s' is supported", lb_gguf_path(g), full,
                   (int)(n < 64 ? n : 64), s, value);
}

/* Factors by which the frequencies are divided, one a pair: what converters make of Llama 3.1's rule, whose numbers are
 * the same in every model that has it but for the factor. Anything else could not be written back as a config. */
static lb_status read_factors(const lb_gguf *g, const lb_tensor *t, int64_t original, lb_arch *a) {
    int64_t n = a->head_dim / 2;
    lb_arch plain = *a;
    double factor = 1.0;
    float v;
    if (t->type != LB_F32 || lb_tensor_count(t) != n)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: %lld elements of %s: must be %lld of F32", lb_gguf_path(g), t->name,
                       (long long)lb_tensor_count(t), lb_dtype_name(t->type), (long long)n);
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_tensor_read_f32(t, i, 1, &v));
        factor = fmax(factor, (double)v);
    }
    if (factor > 1.0) a->scaling = (lb_rope_scaling){LB_ROPE_LLAMA3, factor, 1.0, 4.0, original};
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_tensor_read_f32(t, i, 1, &v));
        double want = lb_rope_frequency(&plain, i) / lb_rope_frequency(a, i);
        if (!(fabs((double)v - want) <= 1e-5 * want))
            return lb_fail(
                LB_E_UNSUPPORTED,
                "%s: tensor %s: %g at %lld, not %g as Llama 3.1's rule has it (factor %g, frequency factors 1 "
                "and 4, original context %lld): other scaled positions are not supported",
                lb_gguf_path(g), t->name, (double)v, (long long)i, want, factor, (long long)original);
    }
    return LB_OK;
}

static lb_status read_scaling(const lb_gguf *g, const char *arch, lb_arch *a) {
    char full[128];
    int64_t original;
    LB_TRY(get_int(g, arch, "rope.scaling.original_context_length", 8192, &original));
    const lb_tensor *factors = lb_gguf_find(g, LB_ROPE_FACTORS);
    bool off = has(g, arch, "rope.scaling.type", full) && says(g, full, "none");
    if (!off) LB_TRY(must_say(g, arch, "rope.scaling.type", "linear")); /* and where the key is missing */
    if (!off && has(g, arch, "rope.scaling.factor", full)) {
        LB_TRY(lb_gguf_float(g, full, &a->scaling.factor));
        a->scaling.type = LB_ROPE_LINEAR;
    }
    if (!factors) return LB_OK;
    if (a->scaling.type != LB_ROPE_DEFAULT)
        return lb_fail(LB_E_UNSUPPORTED, "%s: both linear scaling of positions and tensor %s", lb_gguf_path(g),
                       LB_ROPE_FACTORS);
    return read_factors(g, factors, original, a);
}

static lb_status check_values(const lb_gguf *g, const char *arch, const lb_arch *a) {
    char full[128];
    bool causal = true;
    LB_TRY(must_be(g, arch, "attention.value_length", a->head_dim));
    LB_TRY(must_be(g, arch, "rope.dimension_count", a->head_dim));
    LB_TRY(must_be(g, arch, "expert_count", 0));
    LB_TRY(must_be(g, arch, "expert_used_count", 0));
    LB_TRY(must_say(g, arch, "tensor_data_layout", "Meta AI original pth"));
    if (has(g, arch, "attention.causal", full)) LB_TRY(lb_gguf_bool(g, full, &causal));
    if (!causal)
        return lb_fail(LB_E_UNSUPPORTED, "%s: %s.attention.causal is false: only causal models are supported",
                       lb_gguf_path(g), arch);
    return LB_OK;
}

/* A model cut into several files: each tells how many there are. */
static lb_status check_whole(const lb_gguf *g) {
    int64_t parts = 1;
    if (lb_gguf_has(g, "split.count")) LB_TRY(lb_gguf_int(g, "split.count", &parts));
    if (parts <= 1) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: one of %lld parts of a model (split.count): join them into one file first",
                   lb_gguf_path(g), (long long)parts);
}

lb_status lb_arch_from_gguf(const lb_gguf *g, lb_arch *out, const lb_family **family) {
    const lb_family *f = NULL;
    LB_TRY(check_whole(g)); /* parts but the first lack the other keys */
    LB_TRY(find_family(g, &f));
    const char *arch = f->gguf_arch;
    LB_TRY(check_keys(g, arch));
    lb_arch a = {.family = f->name, .rope = f->gguf_rope, .rope_base = 10000.0};
    char full[128];
    LB_TRY(get_int(g, arch, "block_count", -1, &a.layers));
    LB_TRY(get_int(g, arch, "embedding_length", -1, &a.dim));
    LB_TRY(get_int(g, arch, "feed_forward_length", -1, &a.hidden));
    LB_TRY(get_int(g, arch, "attention.head_count", -1, &a.heads));
    LB_TRY(get_int(g, arch, "attention.head_count_kv", a.heads > 0 ? a.heads : 0, &a.kv_heads));
    LB_TRY(get_int(g, arch, "context_length", -1, &a.context));
    if (!has(g, arch, "attention.key_length", full) && a.heads > 0 && a.dim % a.heads != 0)
        return lb_fail(LB_E_FORMAT, "%s: %s.embedding_length = %lld: must be a multiple of the %lld heads",
                       lb_gguf_path(g), arch, (long long)a.dim, (long long)a.heads);
    LB_TRY(get_int(g, arch, "attention.key_length", a.heads > 0 && a.dim > 0 ? a.dim / a.heads : 0, &a.head_dim));
    snprintf(full, sizeof full, "%s.attention.layer_norm_rms_epsilon", arch);
    LB_TRY(lb_gguf_float(g, full, &a.norm_eps));
    if (has(g, arch, "rope.freq_base", full)) LB_TRY(lb_gguf_float(g, full, &a.rope_base));
    /* The vocabulary's size is not always told, and a file without a head shares the embedding. */
    const char *table = lb_family_tensor(f, "embed", false)->gguf, *head = lb_family_tensor(f, "head", false)->gguf;
    const lb_tensor *embed = lb_gguf_find(g, table);
    if (!embed || embed->ndim != 2)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s is missing or not a matrix", lb_gguf_path(g), table);
    LB_TRY(get_int(g, arch, "vocab_size", embed->shape[0], &a.vocab));
    a.tied = lb_gguf_find(g, head) == NULL;
    LB_TRY(lb_arch_check(&a, lb_gguf_path(g)));
    LB_TRY(read_scaling(g, arch, &a));
    LB_TRY(lb_arch_check(&a, lb_gguf_path(g))); /* the scaling too, which needed the rest */
    LB_TRY(check_values(g, arch, &a));
    *out = a;
    *family = f;
    return LB_OK;
}

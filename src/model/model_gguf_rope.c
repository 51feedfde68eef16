/* Rotary positions as a GGUF header tells them: linear and yarn by keys, factors of pairs by tensors. Keys: the GGUF
 * specification in ggml's docs, and the gguf package. */
#include <math.h>
#include <string.h>

#include "model/model_gguf_impl.h"
#include "model/rope_numbers.h"
#include "model/steps/reference.h"

/* By whether it is long or not, and by the rule of Llama 3.1. */
#define LONG_FACTORS  "rope_factors_long.weight"
#define SHORT_FACTORS "rope_factors_short.weight"
#define FREQUENCIES   "rope_freqs.weight"

bool lb_gguf_rope_tensor(const char *name) {
    return strcmp(name, LONG_FACTORS) == 0 || strcmp(name, SHORT_FACTORS) == 0 || strcmp(name, FREQUENCIES) == 0;
}

/* Of these only the value is honoured that changes nothing: what it makes of yarn is llama.cpp's alone. */
static const struct {
    const char *key;
    double only;
} neutral[] = {{"rope.scaling.yarn_ext_factor", 1.0},
               {"rope.scaling.yarn_attn_factor", 1.0},
               {"rope.scaling.yarn_log_multiplier", 0.0}};
enum { NEUTRAL = sizeof neutral / sizeof neutral[0] };

bool lb_gguf_rope_key(const lb_family *f, const char *key) {
    static const char *const keys[] = {"rope.freq_base",
                                       "rope.scaling.type",
                                       "rope.scaling.factor",
                                       "rope.scaling.original_context_length",
                                       "rope.scaling.finetuned",
                                       "rope.scaling.attn_factor",
                                       "rope.scaling.yarn_beta_fast",
                                       "rope.scaling.yarn_beta_slow"};
    if (!f->rope) return false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0) return true;
    for (size_t i = 0; i < NEUTRAL; i++)
        if (strcmp(neutral[i].key, key) == 0) return true;
    return f->rope->local && strcmp(key, "rope.freq_base_swa") == 0;
}

/* `out` stays where there is no such key. */
static lb_status optional(const lb_gguf_reader *r, const char *key, double *out) {
    char full[LB_GGUF_KEY];
    return lb_gguf_key(r, key, full) ? lb_gguf_float(r->g, full, out) : LB_OK;
}

/* ---- factors ---- */

static lb_status read_list(const lb_gguf_reader *r, const char *name, const double **out, int64_t *n) {
    const lb_numbers numbers = lb_numbering_view(&r->b);
    const lb_tensor *t = lb_gguf_find(r->g, name);
    double rot, *v;
    float x;
    if (!t) return lb_fail(LB_E_FORMAT, "%s: tensor %s is missing", lb_gguf_path(r->g), name);
    LB_TRY(lb_number_get(&numbers, "rot", -1, &rot));
    *n = ((int64_t)rot + 1) / 2;
    if (t->type != LB_F32 || lb_tensor_count(t) != *n)
        return lb_fail(LB_E_FORMAT, "%s: tensor %s: %lld elements of %s: must be %lld of F32", lb_gguf_path(r->g), name,
                       (long long)lb_tensor_count(t), lb_dtype_name(t->type), (long long)*n);
    if (!(v = LB_NEW(r->b.arena, double, *n))) return LB_E_NOMEM;
    for (int64_t i = 0; i < *n; i++) {
        LB_TRY(lb_tensor_read_f32(t, i, 1, &x));
        v[i] = x;
        if (!(v[i] > 0.0 && isfinite(v[i])))
            return lb_fail(LB_E_FORMAT, "%s: tensor %s: %g at %lld: must be a positive number", lb_gguf_path(r->g),
                           name, v[i], (long long)i);
    }
    *out = v;
    return LB_OK;
}

/* Llama 3.1's rule for pair i: by how much its frequency is divided. */
static double llama3_division(const lb_rope_told *s, double columns, int64_t i) {
    static const double two_pi = 6.28318530717958647693;
    double theta = pow(s->base, -2.0 * (double)i / columns);
    double kept = (s->original * theta / two_pi - s->low) / (s->high - s->low);
    kept = fmin(fmax(kept, 0.0), 1.0);
    return 1.0 / (kept + (1.0 - kept) / s->factor);
}

/* Factors by which the frequencies are divided, one a pair: what converters make of Llama 3.1's rule, whose numbers are
 * the same in every model that has it but for the factor. It is known again, so that a folder can say it; others stay
 * the factors that they are. */
static lb_status read_frequencies(lb_gguf_reader *r, lb_rope_told *s) {
    lb_rope_told rule = *s;
    const double *v;
    int64_t n;
    bool is_rule = true;
    rule.kind = LB_REF_ROPE_LLAMA3;
    rule.low = 1.0;
    rule.high = 4.0;
    rule.factor = rule.original = 1.0;
    LB_TRY(read_list(r, FREQUENCIES, &v, &n));
    for (int64_t i = 0; i < n; i++) rule.factor = fmax(rule.factor, v[i]);
    rule.original = s->original != 0.0 ? s->original : 8192.0;
    for (int64_t i = 0; i < n; i++) {
        double want = rule.factor > 1.0 ? llama3_division(&rule, 2.0 * (double)n, i) : 1.0;
        is_rule = is_rule && fabs(v[i] - want) <= 1e-5 * want;
    }
    if (is_rule && rule.factor == 1.0) return LB_OK;
    if (!is_rule) {
        const lb_numbers numbers = lb_numbering_view(&r->b);
        rule = *s;
        LB_TRY(lb_number_get(&numbers, "context", -1, &rule.original));
        rule.kind = LB_REF_ROPE_LONGROPE;
        rule.list[0] = rule.list[1] = v;
        rule.listed[0] = rule.listed[1] = n;
    }
    *s = rule;
    return LB_OK;
}

/* ---- kinds ---- */

static lb_status read_kind(const lb_gguf_reader *r, lb_rope_told *s) {
    static const struct {
        const char *name;
        int kind;
    } types[] = {{"none", LB_REF_ROPE_DEFAULT},
                 {"linear", LB_REF_ROPE_LINEAR},
                 {"yarn", LB_REF_ROPE_YARN},
                 {"longrope", LB_REF_ROPE_LONGROPE}};
    char full[LB_GGUF_KEY], type[LB_GGUF_KEY];
    const char *text;
    size_t n;
    bool factor = lb_gguf_key(r, "rope.scaling.factor", full);
    if (!lb_gguf_key(r, "rope.scaling.type", type)) {
        bool long_short = lb_gguf_find(r->g, LONG_FACTORS) || lb_gguf_find(r->g, SHORT_FACTORS);
        s->kind = long_short ? LB_REF_ROPE_LONGROPE : factor ? LB_REF_ROPE_LINEAR : LB_REF_ROPE_DEFAULT;
        return LB_OK;
    }
    LB_TRY(lb_gguf_str(r->g, type, &text, &n));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strlen(types[i].name) != n || memcmp(types[i].name, text, n) != 0) continue;
        s->kind = types[i].kind;
        if (s->kind == LB_REF_ROPE_LINEAR && !factor) s->kind = LB_REF_ROPE_DEFAULT;
        return LB_OK;
    }
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s = '%.*s': only 'none', 'linear', 'yarn' and 'longrope' are supported",
                   lb_gguf_path(r->g), type, (int)(n < 64 ? n : 64), text);
}

static lb_status read_scaled(lb_gguf_reader *r, lb_rope_told *s) {
    const lb_numbers numbers = lb_numbering_view(&r->b);
    char full[LB_GGUF_KEY];
    int64_t original;
    double attention = 1.0, context;
    LB_TRY(lb_number_get(&numbers, "context", -1, &context));
    if (lb_gguf_key(r, "rope.scaling.original_context_length", full)) {
        LB_TRY(lb_gguf_int(r->g, full, &original));
        s->original = (double)original;
    }
    LB_TRY(optional(r, "rope.scaling.attn_factor", &attention));
    bool yarn = s->kind == LB_REF_ROPE_YARN, longrope = s->kind == LB_REF_ROPE_LONGROPE;
    if (!yarn && !longrope && attention != 1.0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: %s.rope.scaling.attn_factor = %g: only 1 is supported without yarn",
                       lb_gguf_path(r->g), r->family->gguf_arch, attention);
    s->magnitude = attention;
    if ((yarn || longrope) && s->original == 0.0) s->original = context;
    if (longrope) {
        LB_TRY(read_list(r, SHORT_FACTORS, &s->list[0], &s->listed[0]));
        return read_list(r, LONG_FACTORS, &s->list[1], &s->listed[1]);
    }
    if (s->kind == LB_REF_ROPE_DEFAULT) return LB_OK;
    (void)lb_gguf_key(r, "rope.scaling.factor", full);
    LB_TRY(lb_gguf_float(r->g, full, &s->factor));
    if (!yarn) return LB_OK;
    s->fast = 32.0;
    s->slow = 1.0;
    LB_TRY(optional(r, "rope.scaling.yarn_beta_fast", &s->fast));
    LB_TRY(optional(r, "rope.scaling.yarn_beta_slow", &s->slow));
    s->magnitude *= lb_rope_yarn_magnitude(s->factor, 1.0);
    return LB_OK;
}

static lb_status check_neutral(const lb_gguf_reader *r) {
    for (size_t i = 0; i < NEUTRAL; i++) {
        double v = neutral[i].only;
        LB_TRY(optional(r, neutral[i].key, &v));
        if (v != neutral[i].only)
            return lb_fail(LB_E_UNSUPPORTED, "%s: %s.%s = %g: only %g is supported", lb_gguf_path(r->g),
                           r->family->gguf_arch, neutral[i].key, v, neutral[i].only);
    }
    return LB_OK;
}

lb_status lb_gguf_rope(lb_gguf_reader *r) {
    lb_rope_told all = lb_rope_plain(10000.0), local = lb_rope_plain(10000.0);
    LB_TRY(optional(r, "rope.freq_base", &all.base));
    LB_TRY(optional(r, "rope.freq_base_swa", &local.base));
    LB_TRY(lb_rope_set(&r->b, &all, NULL, NULL));
    const lb_numbers plain = lb_numbering_view(&r->b);
    LB_TRY(lb_numbers_check(&plain, lb_gguf_path(r->g))); /* before the factors, which need the rest */
    LB_TRY(check_neutral(r));
    LB_TRY(read_kind(r, &all));
    LB_TRY(read_scaled(r, &all));
    if (lb_gguf_find(r->g, FREQUENCIES)) {
        if (all.kind != LB_REF_ROPE_DEFAULT)
            return lb_fail(LB_E_UNSUPPORTED, "%s: both %s scaling of positions and tensor %s", lb_gguf_path(r->g),
                           lb_rope_kinds[(int)all.kind], FREQUENCIES);
        LB_TRY(read_frequencies(r, &all));
    }
    if (!r->family->rope->local) return lb_rope_set(&r->b, &all, NULL, NULL);
    return lb_rope_set(&r->b, &all, &local, lb_number_find(&plain, r->family->rope->local)->block);
}

/* The numbers of an architecture as a Hugging Face folder's config.json tells them, by its family's keys. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/config_impl.h"
#include "model/steps/reference.h"

/* ---- values ---- */

void lb_config_spelling(const char *names, char out[LB_CONFIG_KEY], const char **next) {
    size_t n = strcspn(names, "|");
    snprintf(out, LB_CONFIG_KEY, "%.*s", (int)n, names);
    *next = names[n] ? names + n + 1 : NULL;
}

lb_status lb_config_differ(const char *path, const char *in_a, const char *a, const json_t *va, const char *in_b,
                           const char *b, const json_t *vb) {
    char ta[LB_JSON_TEXT], tb[LB_JSON_TEXT];
    lb_json_text(va, ta);
    lb_json_text(vb, tb);
    return lb_fail(LB_E_FORMAT, "%s: %s%s%s = %s and %s%s%s = %s: they say the same thing, so they must agree", path,
                   in_a ? in_a : "", in_a ? "." : "", a, ta, in_b ? in_b : "", in_b ? "." : "", b, tb);
}

static bool equal(const json_t *a, const json_t *b) {
    return json_equal(a, b) || (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b));
}

lb_status lb_config_value(const char *path, const json_t *o, const char *names, const json_t **v,
                          char key[LB_CONFIG_KEY], bool *is_null) {
    char name[LB_CONFIG_KEY];
    *v = NULL;
    *is_null = false;
    lb_config_spelling(names, key, &(const char *){NULL});
    for (const char *at = names; at;) {
        lb_config_spelling(at, name, &at);
        const json_t *x = json_object_get(o, name);
        *is_null = *is_null || json_is_null(x);
        if (!x || json_is_null(x)) continue;
        if (*v && !equal(*v, x)) return lb_config_differ(path, NULL, key, *v, NULL, name, x);
        if (*v) continue;
        *v = x;
        memcpy(key, name, LB_CONFIG_KEY);
    }
    *is_null = *is_null && !*v;
    return LB_OK;
}

static bool is_list(const lb_key *k) {
    return k->kind == LB_KEY_SLIDES || k->kind == LB_KEY_BLOCKS || k->kind == LB_KEY_EACH;
}

static lb_status each_value(const lb_config_reader *r, const char *key, const json_t *list, double *block) {
    const json_t *x;
    size_t i;
    json_array_foreach(list, i, x) {
        char text[LB_JSON_TEXT];
        lb_json_text(x, text);
        if (!json_is_integer(x) || json_integer_value(x) < 0 || json_integer_value(x) > 1)
            return lb_fail(LB_E_FORMAT, "%s: %s[%zu] = %s: must be 0 or 1", r->path, key, i, text);
        if ((int64_t)i < r->b.blocks) block[i] = (double)json_integer_value(x);
    }
    if ((int64_t)json_array_size(list) >= r->b.blocks) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s: %zu entries for %lld blocks", r->path, key, json_array_size(list),
                   (long long)r->b.blocks);
}

static lb_status list_value(lb_config_reader *r, const lb_key *k, const char *key, const json_t *v) {
    const json_t *x;
    size_t i;
    double *block = LB_NEW(r->b.arena, double, r->b.blocks + 1);
    if (!block) return LB_E_NOMEM;
    if (!json_is_array(v)) return lb_fail(LB_E_FORMAT, "%s: %s: must be a list", r->path, key);
    if (k->kind == LB_KEY_EACH) {
        LB_TRY(each_value(r, key, v, block));
        return lb_numbering_set_blocks(&r->b, k->number, block);
    }
    if (k->kind == LB_KEY_SLIDES && (int64_t)json_array_size(v) != r->b.blocks)
        return lb_fail(LB_E_FORMAT, "%s: %s: %zu entries for %lld blocks", r->path, key, json_array_size(v),
                       (long long)r->b.blocks);
    json_array_foreach(v, i, x) {
        char text[LB_JSON_TEXT];
        lb_json_text(x, text);
        if (k->kind == LB_KEY_SLIDES) {
            const char *word = json_string_value(x);
            block[i] = word && strcmp(word, "sliding_attention") == 0;
            if (block[i] == 0.0 && (!word || strcmp(word, "full_attention") != 0))
                return lb_fail(LB_E_UNSUPPORTED,
                               "%s: %s[%zu] = %s: only 'full_attention' and 'sliding_attention' are supported", r->path,
                               key, i, text);
            continue;
        }
        if (!json_is_integer(x) || json_integer_value(x) < 0)
            return lb_fail(LB_E_FORMAT, "%s: %s[%zu] = %s: must be the number of a block", r->path, key, i, text);
        if (json_integer_value(x) < r->b.blocks) block[json_integer_value(x)] = 1.0;
    }
    return lb_numbering_set_blocks(&r->b, k->number, block);
}

/* transformers' names of activations (its ACT2FN); of gelu two functions are written in many
 * ways. */
static int act_named(const char *name, bool tanh_form) {
    if (tanh_form && strcmp(name, "gelu") == 0) name = "gelu_tanh";
    static const char *const theirs[][2] = {{"swish", "silu"},
                                            {"gelu_python", "gelu"},
                                            {"gelu_new", "gelu_tanh"},
                                            {"gelu_fast", "gelu_tanh"},
                                            {"gelu_accurate", "gelu_tanh"},
                                            {"gelu_pytorch_tanh", "gelu_tanh"},
                                            {"gelu_python_tanh", "gelu_tanh"}};
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++)
        if (strcmp(name, theirs[i][0]) == 0) name = theirs[i][1];
    for (int i = 0; lb_act_words[i]; i++)
        if (strcmp(name, lb_act_words[i]) == 0) return i;
    return -1;
}

static bool is_act(const lb_key *k) { return k->kind == LB_KEY_ACT || k->kind == LB_KEY_ACT_TANH; }

static lb_status act_value(lb_config_reader *r, const lb_key *k, const char *key, const char *name) {
    int act = act_named(name, k->kind == LB_KEY_ACT_TANH);
    if (act >= 0) return lb_numbering_set_key(&r->b, k->number, key, act);
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s = %s: an activation that is not known here", r->path, key, name);
}

/* Is it the one value that is honoured? */
static lb_status check_only(const lb_config_reader *r, const lb_key *k, const char *key, const json_t *v) {
    char text[LB_JSON_TEXT];
    const char *s = json_string_value(v);
    if (!s || lb_json_odd(v))
        lb_json_text(v, text);
    else
        snprintf(text, sizeof text, "%.40s", s);
    double want;
    if (strcmp(text, k->only) == 0) return LB_OK;
    if (json_is_number(v) && lb_parse_f64(k->only, &want) == LB_OK && json_number_value(v) == want) return LB_OK;
    if (json_is_boolean(v) && k->why) return lb_fail(LB_E_UNSUPPORTED, "%s: %s is %s: %s", r->path, key, text, k->why);
    return lb_fail(LB_E_UNSUPPORTED, "%s: %s = %s: only %s is supported", r->path, key, text, k->only);
}

/* ---- one key ---- */

/* "dim/heads" is no whole number. */
static lb_status not_whole(const lb_config_reader *r, const lb_key *k, double v) {
    char top[LB_CONFIG_KEY], name[LB_CONFIG_KEY];
    const char *bottom = strchr(k->absent, '/');
    double a, b;
    const lb_numbers n = lb_numbering_view(&r->b);
    snprintf(top, sizeof top, "%.*s", (int)strcspn(k->absent, "/"), k->absent);
    if (bottom && lb_number_find(&n, top) && lb_number_find(&n, bottom + 1)) {
        LB_TRY(lb_number_get(&n, top, -1, &a));
        LB_TRY(lb_number_get(&n, bottom + 1, -1, &b));
        for (const lb_key *o = r->family->hf_keys; o->name; o++) {
            if (!o->number || strcmp(o->number, top) != 0) continue;
            lb_config_spelling(o->name, name, &(const char *){NULL});
            return lb_fail(LB_E_FORMAT, "%s: %s = %g: must be a multiple of %s = %g", r->path, name, a,
                           lb_number_called(&n, bottom + 1), b);
        }
    }
    lb_config_spelling(k->name, name, &(const char *){NULL});
    return lb_fail(LB_E_FORMAT, "%s: %s is missing, and %s = %g is no whole number", r->path, name, k->absent, v);
}

/* The key is missing or null. */
static lb_status take_default(lb_config_reader *r, const lb_key *k, const char *text) {
    char key[LB_CONFIG_KEY];
    double v;
    const lb_numbers n = lb_numbering_view(&r->b);
    if (!k->number || !text[0]) return LB_OK;
    if (is_act(k)) return act_value(r, k, k->name, text);
    if (is_list(k)) {
        const char *rule = lb_arena_printf(r->b.arena, "%s = %s", k->number, text);
        return rule ? lb_numbering_rules(&r->b, rule) : LB_E_NOMEM;
    }
    lb_config_spelling(k->name, key, &(const char *){NULL});
    lb_status st = lb_expression(&n, text, -1, &v);
    if (st != LB_OK)
        return st == LB_E_NOMEM ? st : lb_fail_in(st, "the %s family: default of key %s", r->family->name, key);
    if (k->kind == LB_KEY_COUNT && isfinite(v) && v != floor(v)) return not_whole(r, k, v);
    return lb_numbering_set_key(&r->b, k->number, key, isfinite(v) ? v : 0.0); /* refused where sizes are checked */
}

static lb_status take_value(lb_config_reader *r, const lb_key *k, const char *key, const json_t *v) {
    int64_t whole;
    double real = 0.0;
    switch (k->kind) {
    case LB_KEY_COUNT:
        LB_TRY(lb_json_int(r->path, r->c, key, &whole));
        real = (double)whole;
        break;
    case LB_KEY_REAL:
        LB_TRY(lb_json_num(r->path, r->c, key, &real));
        break;
    case LB_KEY_FLAG:
        if (!json_is_boolean(v)) return lb_fail(LB_E_FORMAT, "%s: %s: must be true or false", r->path, key);
        real = json_is_true(v);
        break;
    default:
        break;
    }
    if (k->only) LB_TRY(check_only(r, k, key, v));
    if (!k->number) return LB_OK;
    if (is_list(k)) return list_value(r, k, key, v);
    if (!is_act(k)) return lb_numbering_set_key(&r->b, k->number, key, real);
    if (!json_is_string(v) || lb_json_odd(v)) return lb_fail(LB_E_FORMAT, "%s: %s: must be a string", r->path, key);
    return act_value(r, k, key, json_string_value(v));
}

/* Null where the row does not say what it means. transformers takes it for false where it asks for a flag, and fails on
 * it where it needs a name or a number; a count that follows from others may be null, and is as if it were missing. */
static lb_status take_null(lb_config_reader *r, const lb_key *k, const char *key) {
    switch (k->kind) {
    case LB_KEY_FLAG:
        return take_default(r, k, "0");
    case LB_KEY_ACT:
    case LB_KEY_ACT_TANH:
        return lb_fail(LB_E_FORMAT, "%s: %s is null: must be the name of an activation", r->path, key);
    case LB_KEY_WORD:
        return lb_fail(LB_E_FORMAT, "%s: %s is null: must be '%s'", r->path, key, k->only);
    case LB_KEY_REAL:
        return lb_fail(LB_E_FORMAT, "%s: %s is null: must be a number", r->path, key);
    case LB_KEY_COUNT:
        if (k->absent[strspn(k->absent, "0123456789")] || strtod(k->absent, NULL) == 0.0) /* 0: none */
            return take_default(r, k, k->absent);
        return lb_fail(LB_E_FORMAT, "%s: %s is null: must be a whole number", r->path, key);
    default:
        return take_default(r, k, k->absent);
    }
}

static lb_status read_key(lb_config_reader *r, const lb_key *k) {
    const json_t *v;
    char key[LB_CONFIG_KEY];
    bool is_null;
    if (k->kind == LB_KEY_IDLE) return LB_OK;
    LB_TRY(lb_config_value(r->path, r->c, k->name, &v, key, &is_null));
    if (v) return take_value(r, k, key, v);
    if (is_null && k->null) return take_default(r, k, k->null);
    if (is_null && k->absent) return take_null(r, k, key);
    if (k->absent) return take_default(r, k, k->absent);
    return lb_json_int(r->path, r->c, key, &(int64_t){0}); /* says that it is missing, or null */
}

static lb_status read_keys(lb_config_reader *r) {
    for (const lb_key *k = r->family->hf_keys; k->name; k++) {
        LB_TRY(read_key(r, k));
        if (!k->number || strcmp(k->number, "layers") != 0) continue;
        const lb_numbers n = lb_numbering_view(&r->b);
        double layers;
        LB_TRY(lb_number_get(&n, "layers", -1, &layers));
        r->b.blocks = layers >= 1.0 && layers <= 1 << 16 ? (int64_t)layers : 0;
    }
    return LB_OK;
}

/* ---- keys that no family reads ---- */

/* Without effect on what any of the families computes when it is evaluated: storage, training, generation,
 * bookkeeping. A family's own keys come first. pretraining_tp only cuts the products into slices. */
static const char *const idle_keys[] = {
    /* training and storage */
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "initializer_range",
    "initializer_factor",
    "is_decoder",
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
    "model_max_length",
    "attn_implementation",
    "auto_map",
    "use_flash_attn",
    /* what it is called and where it came from */
    "transformers.js_config",
    "tokenizer_class",
    "unsloth_fixed",
    "is_llama_config",
    "finetuning_task",
    "problem_type",
    "num_labels",
    "custom_pipelines",
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
    "cache_implementation",
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

lb_status lb_config_check_keys(const char *path, const char *within, const json_t *o, const char *const *known) {
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

/* ---- all of it ---- */

/* The keys that the family reads, or whose effect is known to be none. */
enum { READ_KEYS = 96 };
typedef struct key_list {
    const char *at[READ_KEYS + 1];
    int n;
} key_list;

static lb_status list_spellings(lb_arena *a, const char *names, key_list *l) {
    while (names && l->n < READ_KEYS) {
        char key[LB_CONFIG_KEY];
        lb_config_spelling(names, key, &names);
        if (!(l->at[l->n++] = lb_arena_strdup(a, key))) return LB_E_NOMEM;
    }
    return LB_OK;
}

static lb_status list_keys(lb_arena *a, const lb_family *f, key_list *l) {
    LB_TRY(list_spellings(a, "architectures|model_type|quantization_config|is_causal", l));
    if (f->rope) LB_TRY(list_spellings(a, "rope_scaling|rope_parameters|original_max_position_embeddings", l));
    if (f->rope) LB_TRY(list_spellings(a, f->rope->base, l));
    if (f->rope) LB_TRY(list_spellings(a, f->rope->part, l));
    if (f->rope) LB_TRY(list_spellings(a, f->rope->local_base, l));
    for (const lb_key *k = f->hf_keys; k->name; k++) LB_TRY(list_spellings(a, k->name, l));
    return LB_OK;
}

static lb_status unknown_family(const char *path, const char *cls, const char *kind) {
    lb_str names = {0};
    for (int i = 0; lb_family_table[i]; i++)
        lb_str_add(&names, "%s%s", i == 0 ? "" : lb_family_table[i + 1] ? ", " : " and ", lb_family_table[i]->hf_class);
    lb_status st = lb_str_check(&names);
    if (st == LB_OK)
        st = lb_fail(LB_E_UNSUPPORTED, "%s: architecture %s (model_type %s) is not supported: only %s %s", path,
                     cls ? cls : "not told", kind ? kind : "not told", names.s, lb_family_table[1] ? "are" : "is");
    lb_str_free(&names);
    return st;
}

static bool matches(const char *cls, const char *kind, const char *hf_class, const char *hf_type) {
    return (!cls || strcmp(cls, hf_class) == 0) && (!kind || strcmp(kind, hf_type) == 0);
}

/* wrapped: its text part is the family's. */
static lb_status find_family(const char *path, const json_t *c, const lb_family **out, bool *wrapped) {
    const json_t *list = json_object_get(c, "architectures"), *type = json_object_get(c, "model_type");
    const char *cls = json_string_value(json_array_get(list, 0)), *kind = json_string_value(type);
    if (type && !json_is_null(type) && !kind) return lb_fail(LB_E_FORMAT, "%s: model_type: must be a string", path);
    if (list && !off(list) && !cls) return lb_fail(LB_E_FORMAT, "%s: architectures: must be a list of names", path);
    if (!cls && !kind)
        return lb_fail(LB_E_FORMAT, "%s: neither architectures nor model_type says what this model is", path);
    for (int i = 0; lb_family_table[i]; i++) {
        const lb_family *f = lb_family_table[i];
        const lb_wrapping *w = f->wrapping;
        bool own = matches(cls, kind, f->hf_class, f->hf_type);
        *wrapped = !own && w && matches(cls, kind, w->hf_class, w->hf_type);
        *out = f;
        if (own || *wrapped) return LB_OK;
    }
    return unknown_family(path, cls, kind);
}

/* Keys that are right one by one and not together. */
static lb_status check_together(const lb_config_reader *r) {
    const lb_numbers n = lb_numbering_view(&r->b);
    for (const lb_refusal *x = r->family->hf_refused; x && x->when; x++)
        for (int64_t b = 0; b < r->b.blocks; b++) {
            double refused;
            LB_TRY(lb_expression(&n, x->when, b, &refused));
            if (refused != 0.0) return lb_fail(LB_E_UNSUPPORTED, "%s: %s", r->path, x->why);
        }
    return LB_OK;
}

/* The first `before` as the keys gave them, and what the positions added; rules replace some. */
static lb_status keep_numbers(const lb_numbering *b, const lb_number *given, int64_t before, lb_numbers *out) {
    lb_number *at = LB_NEW(b->arena, lb_number, b->n + 1);
    if (!at) return LB_E_NOMEM;
    memcpy(at, b->at, (size_t)b->n * sizeof *at);
    if (before) memcpy(at, given, (size_t)before * sizeof *at);
    *out = (lb_numbers){at, b->n, b->blocks};
    return LB_OK;
}

/* Keys, then rotary positions, which may replace a number of a key. */
static lb_status read_numbers(lb_config_reader *r, lb_numbers *keys) {
    LB_TRY(read_keys(r));
    int64_t n = r->b.n;
    lb_number *given = keys ? LB_NEW(r->b.arena, lb_number, n + 1) : NULL;
    if (keys && !given) return LB_E_NOMEM;
    if (given && n) memcpy(given, r->b.at, (size_t)n * sizeof *given);
    if (r->family->rope) LB_TRY(lb_config_rope(r));
    return keys ? keep_numbers(&r->b, given, n, keys) : LB_OK;
}

/* Keys that transformers reads for every class. */
static lb_status check_all_families(const lb_config_reader *r) {
    const json_t *quantized = json_object_get(r->c, "quantization_config"),
                 *causal = json_object_get(r->c, "is_causal");
    char value[LB_JSON_TEXT];
    if (quantized && !json_is_null(quantized))
        return lb_fail(LB_E_UNSUPPORTED, "%s: quantization_config: weights quantized by another program cannot be read",
                       r->path);
    if (!causal || json_is_null(causal) || json_is_true(causal)) return LB_OK;
    lb_json_text(causal, value);
    return lb_fail(LB_E_UNSUPPORTED, "%s: is_causal = %s: only causal models are supported", r->path, value);
}

/* Flags that stand in both and are true where they are missing: transformers 5 reads the outer one, 4 the inner. */
static lb_status check_twins(const lb_config_reader *r, const lb_wrapping *w, const json_t *text) {
    const json_t *outer = json_object_get(r->c, w->twin), *inner = json_object_get(text, w->twin);
    if ((!outer || json_is_true(outer)) == (!inner || json_is_true(inner))) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s and %s.%s differ: they say the same thing, so they must agree", r->path,
                   w->twin, w->text, w->twin);
}

/* From here on the object of the text part is what is read. */
static lb_status unwrap(lb_config_reader *r) {
    const lb_wrapping *w = r->family->wrapping;
    const json_t *text = json_object_get(r->c, w->text);
    key_list known = {0};
    LB_TRY(list_spellings(r->b.arena, "architectures|model_type|quantization_config|is_causal", &known));
    LB_TRY(list_spellings(r->b.arena, w->text, &known));
    LB_TRY(list_spellings(r->b.arena, w->idle, &known));
    LB_TRY(lb_json_once(r->path, r->c, known.at));
    LB_TRY(check_all_families(r));
    LB_TRY(lb_config_check_keys(r->path, "", r->c, known.at));
    if (!json_is_object(text)) return lb_fail(LB_E_FORMAT, "%s: %s: must be an object", r->path, w->text);
    const char *type = json_string_value(json_object_get(text, "model_type"));
    if (type && strcmp(type, r->family->hf_type) != 0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: %s.model_type = %.40s: only %s is supported", r->path, w->text, type,
                       r->family->hf_type);
    LB_TRY(check_twins(r, w, text));
    r->c = text;
    if (!(r->path = lb_arena_printf(r->b.arena, "%s: %s", r->path, w->text))) return LB_E_NOMEM;
    r->b.whose = r->path;
    return lb_numbering_set(&r->b, LB_NUMBER_WRAPPED, 1.0);
}

static lb_status read_config(lb_config_reader *r, lb_numbers *keys) {
    static const char *const which[] = {"architectures", "model_type", NULL};
    key_list known = {0};
    bool wrapped = false;
    LB_TRY(lb_json_once(r->path, r->c, which));
    LB_TRY(find_family(r->path, r->c, &r->family, &wrapped));
    if (wrapped) LB_TRY(unwrap(r));
    LB_TRY(list_keys(r->b.arena, r->family, &known));
    LB_TRY(lb_json_once(r->path, r->c, known.at));
    LB_TRY(read_numbers(r, keys));
    LB_TRY(check_all_families(r));
    LB_TRY(lb_config_check_keys(r->path, "", r->c, known.at));
    lb_numbers n = lb_numbering_view(&r->b);
    LB_TRY(lb_numbers_check(&n, r->path));
    LB_TRY(lb_family_rules(r->family, r->family->hf_numbers, &r->b));
    LB_TRY(check_together(r));
    n = lb_numbering_view(&r->b);
    return lb_numbers_check(&n, r->path);
}

lb_status lb_config_numbers(lb_arena *a, const char *path, const json_t *c, const lb_family **family, lb_numbers *keys,
                            lb_numbers *out) {
    lb_config_reader r = {.path = path, .c = c, .b = {.arena = a, .whose = path}};
    lb_status st = json_is_object(c) ? read_config(&r, keys) : lb_fail(LB_E_FORMAT, "%s: must be a JSON object", path);
    *family = r.family;
    *out = lb_numbering_view(&r.b);
    return st;
}

lb_status lb_numbers_from_config(lb_arena *a, const char *path, const lb_family **family, lb_numbers *out) {
    json_t *c;
    LB_TRY(lb_json_read_most(path, LB_JSON_MOST_CONFIG, &c));
    lb_status st = lb_config_numbers(a, path, c, family, NULL, out);
    json_decref(c);
    return st;
}

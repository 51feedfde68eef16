/* config.json of an exported folder: of a Llama from its numbers, of other families the source's own with what changes.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"
#include "model/model_file.h"
#include "model/rope_numbers.h"
#include "model/steps/reference.h"

static int add_text(const char *p, size_t n, void *b) {
    lb_str_add_bytes(b, p, n);
    return ((lb_str *)b)->failed ? -1 : 0;
}

/* Takes over o, which may be NULL: out of memory. */
static lb_status write_json(const char *dir, const char *name, json_t *o) {
    lb_str text = {0};
    lb_status st = LB_OK;
    if (!o || json_dump_callback(o, add_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0)
        st = lb_fail(LB_E_NOMEM, "%s/%s: out of memory", dir, name);
    lb_str_add(&text, "\n");
    if (st == LB_OK) st = lb_str_check(&text);
    char *path = st == LB_OK ? lb_fs_join(dir, name) : NULL;
    if (st == LB_OK) st = path ? lb_fs_write_atomic(path, text.s, text.len) : LB_E_NOMEM;
    lb_free(path);
    lb_str_free(&text);
    json_decref(o);
    return st;
}

static json_t *token_id(const lb_model *m, int32_t id) {
    return m->tokenizer && id >= 0 ? json_integer(id) : json_null();
}

/* ---- a Llama ---- */

static double number(const lb_model *m, const char *name) {
    const lb_number *n = lb_number_find(m->net->numbers, name);
    return n ? n->all : 0.0;
}

static json_t *whole(const lb_model *m, const char *name) { return json_integer((json_int_t)number(m, name)); }

static json_t *list(const lb_model *m, const char *name) {
    const lb_number *n = lb_number_find(m->net->numbers, name);
    json_t *out = json_array();
    for (int64_t i = 0; out && n && i < n->listed; i++)
        if (json_array_append_new(out, json_real(n->list[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

/* rope_scaling, as transformers 4 reads it. */
static json_t *scaling_json(const lb_model *m) {
    int kind = (int)number(m, "rope_kind");
    const char *name = lb_rope_kinds[kind];
    switch (kind) {
    case LB_REF_ROPE_DEFAULT:
        return json_pack("{s:s}", "rope_type", name);
    case LB_REF_ROPE_LLAMA3:
        return json_pack("{s:s, s:f, s:f, s:f, s:o}", "rope_type", name, "factor", number(m, "rope_factor"),
                         "low_freq_factor", number(m, "rope_low"), "high_freq_factor", number(m, "rope_high"),
                         "original_max_position_embeddings", whole(m, "rope_original"));
    case LB_REF_ROPE_YARN:
        return json_pack("{s:s, s:f, s:o, s:f, s:f, s:f, s:b}", "rope_type", name, "factor", number(m, "rope_factor"),
                         "original_max_position_embeddings", whole(m, "rope_original"), "attention_factor",
                         number(m, "rope_magnitude"), "beta_fast", number(m, "rope_fast"), "beta_slow",
                         number(m, "rope_slow"), "truncate", number(m, "rope_untruncated") == 0.0);
    case LB_REF_ROPE_LONGROPE:
        return json_pack("{s:s, s:o, s:o, s:o, s:f}", "rope_type", name, "short_factor", list(m, "rope_short"),
                         "long_factor", list(m, "rope_long"), "original_max_position_embeddings",
                         whole(m, "rope_original"), "attention_factor", number(m, "rope_magnitude"));
    default:
        return json_pack("{s:s, s:f}", "rope_type", name, "factor", number(m, "rope_factor"));
    }
}

/* As transformers calls it. */
static const char *act_name(int act) {
    return strcmp(lb_act_words[act], "gelu_tanh") == 0 ? "gelu_pytorch_tanh" : lb_act_words[act];
}

static json_t *llama_json(const lb_model *m, bool tied, const char *type, int32_t bos, int32_t eos) {
    json_t *o =
        json_pack("{s:[s], s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "architectures", m->family->hf_class,
                  "model_type", m->family->hf_type, "hidden_size", whole(m, "dim"), "intermediate_size",
                  whole(m, "hidden"), "num_hidden_layers", whole(m, "layers"), "num_attention_heads", whole(m, "heads"),
                  "num_key_value_heads", whole(m, "kv_heads"), "head_dim", whole(m, "head_dim"), "vocab_size",
                  whole(m, "vocab"), "max_position_embeddings", whole(m, "context"));
    /* Rotary positions in both places: where transformers before and after version 5 look. */
    json_t *scaling = scaling_json(m), *rope = scaling ? json_copy(scaling) : NULL;
    double base = number(m, "rope_base");
    json_t *more = json_pack("{s:f, s:f, s:o, s:b, s:b, s:b, s:s, s:s, s:o, s:o}", "rms_norm_eps", number(m, "eps"),
                             "rope_theta", base, "rope_parameters", rope, "tie_word_embeddings", (int)tied,
                             "attention_bias", number(m, "attn_bias") != 0.0, "mlp_bias", number(m, "mlp_bias") != 0.0,
                             "hidden_act", act_name((int)number(m, "act")), "torch_dtype", type, "bos_token_id",
                             token_id(m, bos), "eos_token_id", token_id(m, eos));
    bool plain = (int)number(m, "rope_kind") == LB_REF_ROPE_DEFAULT;
    bool done = o && more && json_object_set_new(rope, "rope_theta", json_real(base)) == 0 &&
                json_object_update(o, more) == 0 && (plain || json_object_set(o, "rope_scaling", scaling) == 0);
    json_decref(scaling);
    json_decref(more);
    if (done) return o;
    json_decref(o);
    return NULL;
}

static lb_status llama_config(const lb_model *m, bool tied, const char *type, const char *dir) {
    int32_t bos = m->tokenizer ? lb_tokenizer_bos(m->tokenizer) : -1;
    int32_t eos = m->tokenizer ? lb_tokenizer_eos(m->tokenizer) : -1;
    LB_TRY(write_json(dir, "config.json", llama_json(m, tied, type, bos, eos)));
    json_t *g = json_pack("{s:b}", "_from_model_config", 1);
    if (g && m->tokenizer && bos >= 0) json_object_set_new(g, "bos_token_id", json_integer(bos));
    if (g && m->tokenizer && eos >= 0) json_object_set_new(g, "eos_token_id", json_integer(eos));
    return write_json(dir, "generation_config.json", g);
}

/* ---- other families ---- */

/* What the reader made of it (lb_json_twice, lb_json_odd) is no part of the text; only keys without effect have such.
 */
static void drop_marks(json_t *o) {
    const char *key;
    json_t *v;
    void *next;
    json_object_foreach_safe(o, next, key, v) {
        if (lb_json_twice(key) || lb_json_odd(v)) json_object_del(o, key);
    }
}

/* The key that says whether the head is tied. */
static const char *tying_key(const lb_family *f) {
    const lb_key *k = f->hf_keys;
    while (k->name && (!k->number || strcmp(k->number, "tied") != 0)) k++;
    return k->name ? k->name : "tie_word_embeddings";
}

static lb_status copied_config(const lb_model *m, bool tied, const char *type, const char *dir) {
    json_t *o = NULL;
    if (strcmp(m->format, "safetensors") != 0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a %s model can be written only where it was read from a folder", m->path,
                       m->family->name);
    char *path = lb_fs_join(m->path, "config.json");
    lb_status st = path ? lb_json_read_most(path, LB_JSON_MOST_CONFIG, &o) : LB_E_NOMEM;
    lb_free(path);
    LB_TRY(st);
    drop_marks(o);
    const char *dtype = json_object_get(o, "dtype") ? "dtype" : "torch_dtype";
    if (json_object_set_new(o, dtype, json_string(type)) != 0 ||
        json_object_set_new(o, tying_key(m->family), json_boolean(tied)) != 0) {
        json_decref(o);
        return lb_fail(LB_E_NOMEM, "%s/config.json: out of memory", dir);
    }
    return write_json(dir, "config.json", o);
}

lb_status lb_export_config(const lb_model *m, bool tied, lb_dtype dtype, const char *dir) {
    const char *type = dtype == LB_F16 ? "float16" : dtype == LB_BF16 ? "bfloat16" : "float32";
    bool llama = strcmp(m->family->name, "llama") == 0;
    return (llama ? llama_config : copied_config)(m, tied, type, dir);
}

/* config.json of an exported folder: from the model's numbers, or, where another family's folder was read, its own with
 * what changes. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/config_impl.h"
#include "model/model_file.h"

static int add_text(const char *p, size_t n, void *b) {
    lb_str_add_bytes(b, p, n);
    return ((lb_str *)b)->failed ? -1 : 0;
}

/* Takes over o, which was made since lb_json_memory_begin and may be NULL: out of memory. */
static lb_status write_json(const char *dir, const char *name, json_t *o) {
    lb_str text = {0};
    lb_status st = LB_OK;
    if (!o || json_dump_callback(o, add_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0)
        st = lb_fail(LB_E_NOMEM, "%s/%s: out of memory", dir, name);
    if (st == LB_OK) st = lb_json_memory_check(name);
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

/* ---- from the model's numbers ---- */

/* The keys that a new model was given, or NULL. */
static lb_status given_keys(const lb_model *m, json_t **out) {
    *out = NULL;
    return m->given ? lb_json_parse(m->path, m->given, strlen(m->given), out) : LB_OK;
}

static lb_status made_config(const lb_model *m, bool tied, const char *type, const char *dir) {
    int32_t bos = m->tokenizer ? lb_tokenizer_bos(m->tokenizer) : -1;
    int32_t eos = m->tokenizer ? lb_tokenizer_eos(m->tokenizer) : -1;
    json_t *o = NULL, *given;
    LB_TRY(given_keys(m, &given));
    lb_status st = lb_config_made(m->path, m->family, given, m->keys ? m->keys : m->net->numbers, tied, &o);
    json_decref(given);
    LB_TRY(st);
    lb_json_memory_begin();
    json_t *more = json_pack("{s:s, s:o, s:o}", "torch_dtype", type, "bos_token_id", token_id(m, bos), "eos_token_id",
                             token_id(m, eos));
    if (!more || json_object_update(o, more) != 0) {
        json_decref(o);
        o = NULL;
    }
    json_decref(more);
    LB_TRY(write_json(dir, "config.json", o));
    lb_json_memory_begin();
    json_t *g = json_pack("{s:b}", "_from_model_config", 1);
    if (g && m->tokenizer && bos >= 0) json_object_set_new(g, "bos_token_id", json_integer(bos));
    if (g && m->tokenizer && eos >= 0) json_object_set_new(g, "eos_token_id", json_integer(eos));
    return write_json(dir, "generation_config.json", g);
}

/* ---- the source's own ---- */

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

/* The text part by itself: its object, with what stands beside it and is not about another part. */
static lb_status unwrap(const lb_family *f, json_t **o) {
    static const char *const beside[] = {"bos_token_id", "eos_token_id", "pad_token_id",
                                         "dtype",        "torch_dtype",  "transformers_version"};
    json_t *text = json_object_get(*o, f->wrapping->text), *classes = json_pack("[s]", f->hf_class);
    bool done = classes && json_object_set(text, "architectures", classes) == 0 &&
                json_object_set_new(text, "model_type", json_string(f->hf_type)) == 0;
    for (size_t i = 0; done && i < sizeof beside / sizeof beside[0]; i++) {
        json_t *v = json_object_get(*o, beside[i]);
        if (v && !json_object_get(text, beside[i])) done = json_object_set(text, beside[i], v) == 0;
    }
    json_decref(classes);
    json_incref(text);
    json_decref(*o);
    *o = text;
    return done ? LB_OK : lb_fail(LB_E_NOMEM, "%s: out of memory", f->wrapping->text);
}

static lb_status copied_config(const lb_model *m, bool tied, const char *type, const char *dir) {
    json_t *o = NULL;
    char *path = lb_fs_join(m->path, "config.json");
    lb_status st = path ? lb_json_read_most(path, LB_JSON_MOST_CONFIG, &o) : LB_E_NOMEM;
    lb_free(path);
    LB_TRY(st);
    lb_json_memory_begin();
    if (lb_number_find(m->net->numbers, LB_NUMBER_WRAPPED)) st = unwrap(m->family, &o);
    drop_marks(o);
    if (st != LB_OK) {
        json_decref(o);
        return st;
    }
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
    bool own = strcmp(m->format, "safetensors") == 0 && strcmp(m->family->name, "llama") != 0;
    return (own ? copied_config : made_config)(m, tied, type, dir);
}

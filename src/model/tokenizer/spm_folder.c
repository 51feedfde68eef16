/* A folder with tokenizer.model and no tokenizer.json: what the files beside it add. */
#include "base/fs.h"
#include "model/tokenizer/impl.h"

/* A file of the folder as it is, kept for saving; *text NULL: not there. */
static lb_status read_beside(lb_tokenizer *t, const char *path, const char *name, const char **text, size_t *n) {
    char *s;
    *text = NULL;
    if (!lb_fs_there(path)) return LB_OK;
    LB_TRY(lb_fs_read_most(path, LB_JSON_MOST_CONFIG, &s, n));
    char *copy = LB_NEW(t->arena, char, *n + 1);
    if (copy) memcpy(copy, s, *n);
    lb_free(s);
    if (!copy) return LB_E_NOMEM;
    *text = copy;
    t->beside[t->n_beside++] = (lb_tok_file){name, {copy, *n}};
    return LB_OK;
}

/* The same as JSON; NULL: not there. */
static lb_status json_beside(lb_tokenizer *t, const char *path, const char *name, json_t **out) {
    const char *text;
    size_t n;
    *out = NULL;
    LB_TRY(read_beside(t, path, name, &text, &n));
    if (!text) return LB_OK;
    LB_TRY(lb_json_parse(path, text, n, out));
    if (json_is_object(*out)) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: expected an object", path);
}

/* ---- added tokens ---- */

/* added_tokens_decoder, {"32000": {"content": "<pad>", ...}}. */
static lb_status from_decoder(const char *path, const json_t *decoder, json_t *list) {
    const char *key;
    const json_t *token;
    json_object_foreach((json_t *)(uintptr_t)decoder, key, token) {
        int64_t id;
        if (!json_is_object(token) || lb_parse_i64(key, &id) != LB_OK)
            return lb_fail(LB_E_FORMAT, "%s: added_tokens_decoder: '%.64s': expected an id and a token", path, key);
        json_t *o = json_deep_copy(token);
        if (!o || json_object_set_new(o, "id", json_integer(id)) || json_array_append_new(list, o)) return LB_E_NOMEM;
    }
    return LB_OK;
}

/* added_tokens.json, {"<pad>": 32000}, of older folders. */
static lb_status from_names(const json_t *names, json_t *list) {
    const char *name;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)names, name, id) {
        json_t *o = json_object();
        if (!o || json_object_set_new(o, "content", json_string(name)) || json_object_set(o, "id", id) ||
            json_array_append_new(list, o))
            return LB_E_NOMEM;
    }
    return LB_OK;
}

/* ---- loading ---- */

typedef struct found {
    char *config_path, *names_path, *special_path;
    json_t *config, *names, *special, *added;
} found;

static lb_status read_all(lb_tokenizer *t, const char *dir, found *f) {
    int32_t named = -1;
    f->config_path = lb_fs_join(dir, "tokenizer_config.json");
    f->names_path = lb_fs_join(dir, "added_tokens.json");
    f->special_path = lb_fs_join(dir, "special_tokens_map.json");
    if (!f->config_path || !f->names_path || !f->special_path) return LB_E_NOMEM;
    LB_TRY(json_beside(t, f->config_path, "tokenizer_config.json", &f->config));
    LB_TRY(json_beside(t, f->names_path, "added_tokens.json", &f->names));
    LB_TRY(json_beside(t, f->special_path, "special_tokens_map.json", &f->special));
    lb_json_memory_begin();
    f->added = json_array();
    if (!f->added) return LB_E_NOMEM;
    const json_t *decoder = json_object_get(f->config, "added_tokens_decoder");
    LB_TRY(json_is_object(decoder) ? from_decoder(f->config_path, decoder, f->added) : from_names(f->names, f->added));
    LB_TRY(lb_json_memory_check(t->name));
    LB_TRY(lb_tok_read_spm(t, f->added));
    if (f->special) LB_TRY(lb_tok_read_config(t, f->special_path, f->special, &named));
    if (f->config) LB_TRY(lb_tok_read_config(t, f->config_path, f->config, &named));
    return lb_tok_habit_bos(t, dir, f->config);
}

lb_status lb_tok_load_spm(lb_tokenizer *t, const char *dir, const char *path) {
    char *bytes;
    size_t n;
    LB_TRY(lb_fs_read_most(path, LB_JSON_MOST_VOCAB, &bytes, &n));
    char *copy = LB_NEW(t->arena, char, n + 1); /* kept: its strings are views, and saving writes it again */
    if (copy) memcpy(copy, bytes, n);
    lb_free(bytes);
    if (!copy) return LB_E_NOMEM;
    t->spm = (lb_tok_view){copy, n};
    found f = {0};
    lb_status status = read_all(t, dir, &f);
    json_decref(f.config);
    json_decref(f.names);
    json_decref(f.special);
    json_decref(f.added);
    lb_free(f.config_path);
    lb_free(f.names_path);
    lb_free(f.special_path);
    return status;
}

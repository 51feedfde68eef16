/* The files beside a vocabulary that is no tokenizer.json: tokens that were added, and which are named. */
#include "base/fs.h"
#include "model/tokenizer/impl.h"

lb_status lb_tok_keep_file(lb_tokenizer *t, const char *dir, const char *name, size_t most, lb_tok_kept *out) {
    char *s;
    size_t n;
    out->path = lb_arena_printf(t->arena, "%s/%s", dir, name);
    out->text = (lb_tok_view){0};
    if (!out->path) return LB_E_NOMEM;
    if (!lb_fs_there(out->path)) return LB_OK;
    LB_TRY(lb_fs_read_most(out->path, most, &s, &n));
    char *copy = LB_NEW(t->arena, char, n + 1);
    if (copy) memcpy(copy, s, n);
    lb_free(s);
    if (!copy) return LB_E_NOMEM;
    out->text = (lb_tok_view){copy, n};
    t->file[t->n_file++] = (lb_tok_file){name, out->text};
    return LB_OK;
}

lb_status lb_tok_kept_json(const lb_tok_kept *f, json_t **out) {
    *out = NULL;
    if (!f->text.s) return LB_OK;
    LB_TRY(lb_json_parse(f->path, f->text.s, f->text.n, out));
    if (json_is_object(*out)) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: expected an object", f->path);
}

static lb_status keep_json(lb_tokenizer *t, const char *dir, const char *name, lb_tok_kept *f, json_t **out) {
    LB_TRY(lb_tok_keep_file(t, dir, name, LB_JSON_MOST_CONFIG, f));
    return lb_tok_kept_json(f, out);
}

lb_status lb_tok_read_beside(lb_tokenizer *t, const char *dir, lb_tok_beside *b) {
    LB_TRY(keep_json(t, dir, "tokenizer_config.json", &b->config_file, &b->config));
    LB_TRY(keep_json(t, dir, "added_tokens.json", &b->names_file, &b->names));
    return keep_json(t, dir, "special_tokens_map.json", &b->special_file, &b->special);
}

void lb_tok_free_beside(lb_tok_beside *b) {
    json_decref(b->config);
    json_decref(b->names);
    json_decref(b->special);
    json_decref(b->added);
}

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

lb_status lb_tok_list_added(lb_tokenizer *t, lb_tok_beside *b) {
    lb_json_memory_begin();
    const json_t *decoder = json_object_get(b->config, "added_tokens_decoder");
    b->has_decoder = json_is_object(decoder);
    b->added = json_array();
    if (!b->added) return LB_E_NOMEM;
    LB_TRY(b->has_decoder ? from_decoder(b->config_file.path, decoder, b->added) : from_names(b->names, b->added));
    return lb_json_memory_check(t->name);
}

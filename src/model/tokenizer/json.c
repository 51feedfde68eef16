/* tokenizer.json (and, for BOS and EOS, tokenizer_config.json). */
#include "base/fs.h"
#include "model/tokenizer/unigram.h"

static bool given(const json_t *c) { return c && !json_is_null(c); }
static lb_tok_view view_of(const json_t *s) { return (lb_tok_view){json_string_value(s), json_string_length(s)}; }

/* ---- vocabulary ---- */

static lb_status token_id(const lb_tokenizer *t, const char *what, const json_t *v, int64_t *id) {
    if (!json_is_integer(v)) {
        char text[LB_JSON_TEXT];
        lb_json_text(v, text);
        return lb_fail(LB_E_FORMAT, "%s: the id of \"%.64s\" is not an integer: %s", t->name, what, text);
    }
    *id = json_integer_value(v);
    if (*id < 0 || *id >= INT32_MAX / 4)
        return lb_fail(LB_E_FORMAT, "%s: the id of \"%s\" is %lld: must be in [0, %d)", t->name, what, (long long)*id,
                       INT32_MAX / 4);
    return LB_OK;
}

lb_status lb_tok_added_id(const lb_tokenizer *t, const json_t *added, int64_t *id) {
    const char *content;
    LB_TRY(lb_json_str(t->name, added, "content", &content));
    return token_id(t, content, json_object_get(added, "id"), id);
}

/* A single huge id in a small file would make us allocate for it. */
lb_status lb_tok_check_size(const lb_tokenizer *t, int64_t size, size_t entries) {
    if (size > 1000000 && (uint64_t)size > 16 * (uint64_t)entries)
        return lb_fail(LB_E_FORMAT, "%s: largest id %lld with only %zu tokens", t->name, (long long)size - 1, entries);
    return LB_OK;
}

/* The largest id + 1 and the bytes of all tokens, those of `vocab` and the added ones. */
static lb_status measure(const lb_tokenizer *t, const json_t *vocab, const json_t *added, int64_t *size,
                         size_t *bytes) {
    const char *key;
    const json_t *v;
    int64_t id = 0;
    size_t i, entries = json_object_size(vocab) + json_array_size(added);
    *size = 0;
    *bytes = 0;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v) {
        LB_TRY(token_id(t, key, v, &id));
        if (id >= *size) *size = id + 1;
        *bytes += strlen(key);
    }
    json_array_foreach(added, i, v) {
        const char *content;
        LB_TRY(lb_json_str(t->name, v, "content", &content));
        LB_TRY(lb_tok_added_id(t, v, &id));
        if (id >= *size) *size = id + 1;
        *bytes += strlen(content);
    }
    return lb_tok_check_size(t, *size, entries);
}

static lb_status put_vocab(lb_tokenizer *t, const json_t *vocab, bool byte_fallback) {
    const char *key;
    const json_t *v;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v) {
        int64_t id = json_integer_value(v);
        if (t->token[id].n)
            return lb_fail(LB_E_FORMAT, "%s: id %lld is given to \"%.*s\" and to \"%s\"", t->name, (long long)id,
                           (int)t->token[id].n, t->token[id].s, key);
        size_t n = strlen(key);
        bool byte = byte_fallback && !t->byte_level && n == 6 && !memcmp(key, "<0x", 3) && key[5] == '>';
        t->in_model[id] = true;
        LB_TRY(lb_tok_put(t, id, key, n, byte ? LB_TOK_BYTE : LB_TOK_NORMAL));
    }
    return LB_OK;
}

/* ---- added tokens ---- */

static lb_status flag(const lb_tokenizer *t, const json_t *o, const char *key, bool *out) {
    const json_t *v = json_object_get(o, key);
    *out = json_is_true(v);
    if (given(v) && !json_is_boolean(v))
        return lb_fail(LB_E_FORMAT, "%s: added token: '%s' must be true or false", t->name, key);
    return LB_OK;
}

lb_status lb_tok_put_added(lb_tokenizer *t, const json_t *o) {
    const char *content;
    int64_t id;
    lb_tok_added a = {0};
    LB_TRY(lb_json_str(t->name, o, "content", &content));
    LB_TRY(lb_json_int(t->name, o, "id", &id));
    LB_TRY(flag(t, o, "special", &a.special));
    LB_TRY(flag(t, o, "lstrip", &a.lstrip));
    LB_TRY(flag(t, o, "rstrip", &a.rstrip));
    LB_TRY(flag(t, o, "normalized", &a.normalized));
    LB_TRY(flag(t, o, "single_word", &a.single_word));
    size_t n = strlen(content);
    bool same = t->token[id].n == n && !memcmp(t->token[id].s, content, n);
    if (t->token[id].n && !same)
        return lb_fail(LB_E_FORMAT, "%s: id %lld is given to \"%.*s\" and to the added token \"%s\"", t->name,
                       (long long)id, (int)t->token[id].n, t->token[id].s, content);
    uint8_t type = a.special ? LB_TOK_CONTROL : LB_TOK_USER;
    if (!same) LB_TRY(lb_tok_put(t, id, content, n, type));
    t->type[id] = type;
    a.id = (int32_t)id;
    a.text = t->token[id];
    t->added[t->n_added++] = a;
    return LB_OK;
}

lb_status lb_tok_normalize_added(lb_tokenizer *t) {
    if (!t->n_norm) return LB_OK;
    lb_tok_run r;
    LB_TRY(lb_tok_run_new(t, &r));
    lb_status status = LB_OK;
    size_t bytes = 0;
    for (int64_t i = 0; i < t->n_added; i++) bytes += t->added[i].text.n;
    lb_tok_may_grow(&r, bytes);
    for (int64_t i = 0; i < t->n_added; i++) {
        lb_tok_added *a = &t->added[i];
        lb_tok_view v;
        if (!a->normalized) continue;
        LB_TRY_GOTO(status, done, lb_tok_normalize(&r, a->text, &v));
        if (a->text.n && !v.n) {
            status = lb_fail(LB_E_UNSUPPORTED, "%s: added token %d (\"%.*s\") is nothing once it is normalized",
                             t->name, a->id, (int)a->text.n, a->text.s);
            goto done;
        }
        char *s = LB_NEW(t->arena, char, v.n + 1);
        LB_TRY_GOTO(status, done, s ? LB_OK : LB_E_NOMEM);
        memcpy(s, v.s, v.n);
        a->text = (lb_tok_view){s, v.n};
    }
done:
    lb_tok_run_free(&r);
    return status;
}

/* ---- merges ---- */

/* "left right", or since 2024 ["left", "right"]. */
static lb_status read_merges(lb_tokenizer *t, const json_t *merges) {
    if (!json_is_array(merges)) return lb_fail(LB_E_FORMAT, "%s: model.merges must be a list", t->name);
    t->merges.n = (int64_t)json_array_size(merges);
    t->merges.list = LB_NEW(t->arena, lb_tok_merge, t->merges.n + 1);
    if (!t->merges.list) return LB_E_NOMEM;
    for (int64_t i = 0; i < t->merges.n; i++) {
        const json_t *m = json_array_get(merges, (size_t)i);
        lb_tok_view left, right;
        if (json_is_string(m)) {
            lb_tok_view v = view_of(m);
            const char *space = memchr(v.s, ' ', v.n);
            left = (lb_tok_view){v.s, space ? (size_t)(space - v.s) : 0};
            right = space ? (lb_tok_view){space + 1, v.n - left.n - 1} : (lb_tok_view){0};
        } else {
            left = view_of(json_array_get(m, 0));
            right = json_array_size(m) == 2 ? view_of(json_array_get(m, 1)) : (lb_tok_view){0};
        }
        if (!left.n || !right.n)
            return lb_fail(LB_E_FORMAT, "%s: model.merges[%lld]: expected \"left right\" or [\"left\", \"right\"]",
                           t->name, (long long)i);
        LB_TRY(lb_tok_merge_add(t, i, (lb_tok_place){t->name, "merge", i}, left, right));
    }
    return LB_OK;
}

/* ---- model ---- */

lb_status lb_tok_model_flag(const lb_tokenizer *t, const json_t *model, const char *key, bool *out) {
    const json_t *v = json_object_get(model, key);
    *out = json_is_true(v);
    if (given(v) && !json_is_boolean(v))
        return lb_fail(LB_E_FORMAT, "%s: model.%s must be true or false", t->name, key);
    return LB_OK;
}

/* "BPE" or "Unigram"; files from before the key tell by what else is there. */
static lb_status model_type(const lb_tokenizer *t, const json_t *model, bool *unigram) {
    const json_t *type = json_object_get(model, "type");
    const char *name = json_string_value(type);
    if (!json_is_object(model)) return lb_fail(LB_E_FORMAT, "%s: no key 'model'", t->name);
    if (!given(type))
        name = json_object_get(model, "merges")                 ? "BPE"
               : json_is_array(json_object_get(model, "vocab")) ? "Unigram"
                                                                : NULL;
    *unigram = name && !strcmp(name, "Unigram");
    if (*unigram || (name && !strcmp(name, "BPE"))) return LB_OK;
    bool encoder = name && (!strcmp(name, "WordPiece") || !strcmp(name, "WordLevel"));
    return lb_fail(LB_E_UNSUPPORTED, "%s: model.type is '%s': known are BPE and Unigram%s", t->name, name ? name : "?",
                   encoder ? "; no model of a family that runs here comes with it: the folder may hold another model's "
                             "tokenizer"
                           : "");
}

static lb_status check_model(const lb_tokenizer *t, const json_t *model) {
    const json_t *v = json_object_get(model, "dropout");
    if (given(v) && !(json_is_number(v) && json_number_value(v) == 0))
        return lb_fail(LB_E_UNSUPPORTED, "%s: model.dropout makes the tokens random", t->name);
    if (!json_is_object(json_object_get(model, "vocab")))
        return lb_fail(LB_E_FORMAT, "%s: model.vocab must be an object", t->name);
    return LB_OK;
}

/* Symbols are bytes only where each has a token, and nothing but itself decides which. */
static lb_status choose_symbols(lb_tokenizer *t, const json_t *model, bool byte_fallback) {
    bool simple = !t->prefix.n && !t->suffix.n;
    for (int b = 0; b < 256 && simple && byte_fallback; b++) {
        char s[3] = {0};
        s[lb_tok_byte_char((uint8_t)b, s)] = 0;
        simple = json_object_get(json_object_get(model, "vocab"), s) != NULL;
    }
    return simple ? LB_OK : lb_tok_spell_bytes(t);
}

static lb_status affix(lb_tokenizer *t, const json_t *model, const char *key, lb_tok_view *out) {
    return given(json_object_get(model, key)) ? lb_tok_get_text(t, model, key, out) : LB_OK;
}

static lb_status check_added_id(const lb_tokenizer *t, const lb_tok_index *vocab, const json_t *a, int64_t *next) {
    const char *content;
    int64_t id;
    LB_TRY(lb_json_str(t->name, a, "content", &content));
    LB_TRY(lb_json_int(t->name, a, "id", &id));
    int32_t own = lb_tok_index_get(vocab, content, strlen(content));
    int64_t gets = own >= 0 ? own : *next;
    bool given_away = t->token[id].n > 0; /* to the same, or to another: lb_tok_put_added says so */
    if (*content && id != gets && !given_away)
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: added token \"%s\" has id %lld; the tokenizers library counts on from the vocabulary and "
                       "gives it %lld: which of them the model means is not told",
                       t->name, content, (long long)id, (long long)gets);
    if (id >= *next) *next = id + 1;
    return LB_OK;
}

/* The library does not take an added token's id from the file: it is the vocabulary's, or the next free one. Where that
 * is another, two programs would give a text different tokens. */
lb_status lb_tok_check_added_ids(const lb_tokenizer *t, int64_t entries, const json_t *added) {
    lb_arena *scratch;
    lb_tok_index vocab;
    const json_t *a;
    size_t i;
    LB_TRY(lb_arena_new(0, &scratch));
    lb_status status = lb_tok_index_new(scratch, t->vocab, &vocab);
    for (int64_t id = t->vocab; status == LB_OK && id-- > 0;) /* of equal pieces the last counts */
        if (t->token[id].n) lb_tok_index_put(&vocab, t->token[id], (int32_t)id);
    json_array_foreach(added, i, a) {
        if (status == LB_OK) status = check_added_id(t, &vocab, a, &entries);
    }
    lb_arena_free(scratch);
    return status;
}

lb_status lb_tok_fill_vocab(lb_tokenizer *t, const json_t *vocab, const json_t *added, bool byte_fallback) {
    int64_t size;
    size_t bytes, i;
    const json_t *a;
    LB_TRY(measure(t, vocab, added, &size, &bytes));
    LB_TRY(lb_tok_reserve(t, size, bytes));
    t->in_model = LB_NEW(t->arena, bool, size);
    if (!t->in_model) return LB_E_NOMEM;
    LB_TRY(put_vocab(t, vocab, byte_fallback));
    t->added = LB_NEW(t->arena, lb_tok_added, json_array_size(added) + 1);
    if (!t->added) return LB_E_NOMEM;
    LB_TRY(lb_tok_check_added_ids(t, (int64_t)json_object_size(vocab), added));
    json_array_foreach(added, i, a) LB_TRY(lb_tok_put_added(t, a));
    return lb_tok_pieces(t);
}

static lb_status read_model(lb_tokenizer *t, const json_t *root) {
    const json_t *model = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    bool unigram = false, byte_fallback;
    LB_TRY(model_type(t, model, &unigram));
    if (unigram) return lb_tok_read_unigram(t, model, added);
    LB_TRY(check_model(t, model));
    const json_t *vocab = json_object_get(model, "vocab"), *unk = json_object_get(model, "unk_token");
    LB_TRY(lb_tok_model_flag(t, model, "byte_fallback", &byte_fallback));
    LB_TRY(lb_tok_model_flag(t, model, "fuse_unk", &t->fuse_unk));
    LB_TRY(lb_tok_model_flag(t, model, "ignore_merges", &t->ignore_merges));
    LB_TRY(affix(t, model, "continuing_subword_prefix", &t->prefix));
    LB_TRY(affix(t, model, "end_of_word_suffix", &t->suffix));
    LB_TRY(choose_symbols(t, model, byte_fallback));
    LB_TRY(lb_tok_fill_vocab(t, vocab, added, byte_fallback));
    if (given(unk)) {
        lb_tok_view v = view_of(unk);
        t->unk = v.s ? lb_tok_index_get(&t->index, v.s, v.n) : -1;
        if (t->unk < 0) return lb_fail(LB_E_FORMAT, "%s: model.unk_token is not in the vocabulary", t->name);
        t->unk_name = t->unk;
    }
    return read_merges(t, json_object_get(model, "merges"));
}

/* ---- tokenizer_config.json ---- */

/* "bos_token": "<s>" or {"content": "<s>"}; absent, null or not in the vocabulary: *id stays. */
static lb_status named_token(const lb_tokenizer *t, const char *file, const json_t *config, const char *key,
                             int32_t *id) {
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v)) v = json_object_get(v, "content");
    if (!given(v)) return LB_OK;
    if (!json_is_string(v) || lb_json_odd(v)) return lb_fail(LB_E_FORMAT, "%s: %s must be a string", file, key);
    lb_tok_view s = view_of(v);
    int32_t found = lb_tok_index_get(&t->index, s.s, s.n);
    if (found >= 0) *id = found;
    return LB_OK;
}

/* *named: the BOS that it names, whether or not one is put; -1: none. */
lb_status lb_tok_read_config(lb_tokenizer *t, const char *path, const json_t *config, int32_t *named) {
    static const char *const keys[] = {"bos_token",       "eos_token",     "pad_token",     "unk_token",
                                       "tokenizer_class", "add_bos_token", "chat_template", NULL};
    int32_t head = t->adds_bos ? t->bos : -1;
    LB_TRY(lb_json_once(path, config, keys));
    LB_TRY(named_token(t, path, config, "bos_token", named));
    if (*named >= 0) t->bos = *named;
    LB_TRY(named_token(t, path, config, "eos_token", &t->eos));
    LB_TRY(named_token(t, path, config, "pad_token", &t->pad));
    LB_TRY(named_token(t, path, config, "unk_token", &t->unk_name));
    if (head >= 0) t->bos = head; /* what is put there counts as the BOS */
    const json_t *chat = json_object_get(config, "chat_template");
    if (!json_is_string(chat) || lb_json_odd(chat)) return LB_OK;
    t->chat_template = lb_arena_strdup(t->arena, json_string_value(chat));
    return t->chat_template ? LB_OK : LB_E_NOMEM;
}

/* ---- loading ---- */

static lb_status read_root(lb_tokenizer *t, const json_t *root) {
    LB_TRY(lb_tok_read_normalizer(t, json_object_get(root, "normalizer")));
    LB_TRY(lb_tok_read_pre_tokenizer(t, json_object_get(root, "pre_tokenizer")));
    LB_TRY(lb_tok_read_decoder(t, json_object_get(root, "decoder")));
    LB_TRY(read_model(t, root));
    LB_TRY(lb_tok_read_post_processor(t, json_object_get(root, "post_processor"), &t->bos));
    t->adds_bos = t->bos >= 0;
    LB_TRY(lb_tok_normalize_added(t));
    return lb_tok_finish(t);
}

static lb_status load_json(lb_tokenizer *t, const char *path) {
    char *text = NULL;
    size_t n;
    json_t *root = NULL;
    lb_status status;
    LB_TRY(lb_fs_read_most(path, LB_JSON_MOST_VOCAB, &text, &n));
    char *copy = LB_NEW(t->arena, char, n + 1); /* kept: saving writes the same file again */
    LB_TRY_GOTO(status, done, copy ? LB_OK : LB_E_NOMEM);
    memcpy(copy, text, n);
    t->json = (lb_tok_view){copy, n};
    t->by_library = true;
    LB_TRY_GOTO(status, done, lb_json_parse(t->name, copy, n, &root));
    LB_TRY_GOTO(status, done, lb_json_all_once(t->name, root));
    LB_TRY_GOTO(status, done, read_root(t, root));
done:
    json_decref(root);
    lb_free(text);
    return status;
}

static lb_status load(lb_tokenizer *t, const char *dir, const char *path, const char *config_path) {
    json_t *config = NULL;
    int32_t named = -1;
    lb_status status;
    LB_TRY(load_json(t, path));
    if (lb_fs_there(config_path)) LB_TRY(lb_json_read_most(config_path, LB_JSON_MOST_CONFIG, &config));
    LB_TRY_GOTO(status, done, config ? lb_tok_read_config(t, config_path, config, &named) : LB_OK);
    LB_TRY_GOTO(status, done, lb_tok_compare_bos(t, dir, config, named));
done:
    json_decref(config);
    return status;
}

/* Where several are, the first counts, as in transformers. */
lb_status lb_tokenizer_from_dir(const char *dir, lb_tokenizer **out) {
    char *path = lb_fs_join(dir, "tokenizer.json"), *config = lb_fs_join(dir, "tokenizer_config.json");
    char *spm = lb_fs_join(dir, "tokenizer.model"), *vocab = lb_fs_join(dir, "vocab.json");
    char *merges = lb_fs_join(dir, "merges.txt");
    lb_tokenizer *t = NULL;
    lb_status status;
    LB_TRY_GOTO(status, done, path && config && spm && vocab && merges ? LB_OK : LB_E_NOMEM);
    if (!lb_fs_there(path) && lb_fs_there(spm)) {
        LB_TRY_GOTO(status, done, lb_tok_new(spm, &t));
        LB_TRY_GOTO(status, done, lb_tok_load_spm(t, dir));
    } else if (!lb_fs_there(path) && lb_fs_there(vocab) && lb_fs_there(merges)) {
        LB_TRY_GOTO(status, done, lb_tok_new(vocab, &t));
        LB_TRY_GOTO(status, done, lb_tok_load_pair(t, dir));
    } else {
        LB_TRY_GOTO(status, done, lb_tok_new(path, &t));
        LB_TRY_GOTO(status, done, load(t, dir, path, config));
    }
    *out = t;
    t = NULL;
done:
    lb_tokenizer_free(t);
    lb_free(path);
    lb_free(config);
    lb_free(spm);
    lb_free(vocab);
    lb_free(merges);
    return status;
}

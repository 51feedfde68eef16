/* A folder with vocab.json and merges.txt and no tokenizer.json: byte-level BPE, and what the class of transformers 5
 * that reads the two adds to them. */
#include <stdlib.h>

#include "model/tokenizer/impl.h"

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,\"use_regex\":%s}"
#define QWEN2_SPLIT                                                                                                    \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"         \
    "\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"       \
    "\"behavior\":\"Isolated\",\"invert\":false}"

/* In transformers' order, which is that of the ids of those that are not in the vocabulary. */
enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, NAMED };
static const char *const named_keys[NAMED + 1] = {"bos_token", "eos_token", "unk_token",  "sep_token",
                                                  "pad_token", "cls_token", "mask_token", NULL};
#define END "<|endoftext|>"

typedef struct pair_class {
    const char *name; /* also with "Fast" behind it */
    bool nfc;
    bool qwen2; /* words are Qwen 2's, not GPT-2's; and special tokens have no flags, whatever a file gives them */
    const char *named[NAMED]; /* where no file says; NULL: none */
    const char *types[8];     /* of config.json, whose class it is where none is named */
} pair_class;
static const pair_class classes[] = {
    {.name = "GPT2Tokenizer",
     .named = {[BOS] = END, [EOS] = END, [UNK] = END},
     .types = {"gpt2", "opt", "phi", "starcoder2", "granite", "granitemoe", "granitemoeshared"}},
    {.name = "CodeGenTokenizer", .named = {[BOS] = END, [EOS] = END, [UNK] = END}},
    {.name = "GPTNeoXTokenizer",
     .nfc = true,
     .named = {[BOS] = END, [EOS] = END, [UNK] = END, [PAD] = "<|padding|>"},
     .types = {"gpt_neox", "olmo", "olmo2", "olmoe"}},
    {.name = "Qwen2Tokenizer",
     .nfc = true,
     .qwen2 = true,
     .named = {[EOS] = END, [UNK] = END, [PAD] = END},
     .types = {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}},
};
enum { CLASSES = sizeof classes / sizeof *classes };

typedef struct pair {
    lb_tokenizer *t;
    const pair_class *class;
    lb_tok_kept vocab_file, merges_file;
    json_t *vocab;
    lb_tok_beside beside;
    const char *bare[NAMED]; /* the content of each named token; NULL: none */
    int64_t next;            /* the id of the next token that is in no file */
    bool prefix_space, add_bos;
} pair;

/* ---- the class ---- */

static bool is_class(const char *name, const char *class) {
    size_t n = strlen(class);
    return !strncmp(name, class, n) && (!name[n] || !strcmp(name + n, "Fast"));
}

static lb_status choose_class(pair *p, const char *dir) {
    const json_t *given = json_object_get(p->beside.config, "tokenizer_class");
    const char *name = json_string_value(given);
    char type[64];
    if (given && !name && !json_is_null(given))
        return lb_fail(LB_E_FORMAT, "%s: key 'tokenizer_class': expected a string", p->beside.config_file.path);
    LB_TRY(lb_tok_model_type(dir, type));
    for (int i = 0; i < CLASSES; i++) {
        bool this = name && is_class(name, classes[i].name);
        for (int k = 0; !name && classes[i].types[k]; k++) this = this || !strcmp(type, classes[i].types[k]);
        if (!this) continue;
        p->class = &classes[i];
        return LB_OK;
    }
    return lb_fail(LB_E_UNSUPPORTED,
                   "%s: %s '%.64s': known for vocab.json with merges.txt are GPT2Tokenizer, CodeGenTokenizer, "
                   "GPTNeoXTokenizer and Qwen2Tokenizer (save_pretrained of transformers' AutoTokenizer writes "
                   "tokenizer.json of others)",
                   name ? p->beside.config_file.path : dir,
                   name ? "tokenizer_class" : "no tokenizer_class is named, and config.json's model_type is",
                   name ? name : type);
}

/* null is false. */
static lb_status config_flag(const pair *p, const char *key, bool *out) {
    const json_t *v = json_object_get(p->beside.config, key);
    char text[LB_JSON_TEXT];
    *out = json_is_true(v);
    if (!v || json_is_boolean(v) || json_is_null(v)) return LB_OK;
    lb_json_text(v, text);
    return lb_fail(LB_E_FORMAT, "%s: key '%s': expected true or false, not %s", p->beside.config_file.path, key, text);
}

static lb_status read_flags(pair *p) {
    bool add_eos;
    LB_TRY(config_flag(p, "add_prefix_space", &p->prefix_space));
    LB_TRY(config_flag(p, "add_bos_token", &p->add_bos));
    LB_TRY(config_flag(p, "add_eos_token", &add_eos));
    if (add_eos)
        return lb_fail(LB_E_UNSUPPORTED, "%s: add_eos_token ends a text with a token: no protocol here does",
                       p->beside.config_file.path);
    return LB_OK;
}

/* ---- tokens beside the vocabulary ---- */

typedef struct source {
    const char *path, *key;
    const json_t *value;
    bool special; /* what an object of that file is */
} source;

static lb_status not_a_token(const source *s) {
    char text[LB_JSON_TEXT];
    lb_json_text(s->value, text);
    return lb_fail(LB_E_FORMAT, "%s: key '%s': expected a string or an object with a string 'content', not %s", s->path,
                   s->key, text);
}

static lb_status content_of(const source *s, const char **out) {
    const json_t *v = json_is_object(s->value) ? json_object_get(s->value, "content") : s->value;
    *out = json_string_value(v);
    return *out && !lb_json_odd(v) ? LB_OK : not_a_token(s);
}

static lb_status set_flag(const source *s, json_t *o, const char *key, bool fallback) {
    const json_t *v = json_is_object(s->value) ? json_object_get(s->value, key) : NULL;
    if (v && !json_is_boolean(v)) {
        char text[LB_JSON_TEXT];
        lb_json_text(v, text);
        return lb_fail(LB_E_FORMAT, "%s: key '%s': '%s' must be true or false, not %s", s->path, s->key, key, text);
    }
    return json_object_set_new(o, key, json_boolean(v ? json_is_true(v) : fallback)) ? LB_E_NOMEM : LB_OK;
}

/* The flags of AddedToken, where the library's defaults are not ours. */
static lb_status set_flags(const source *s, json_t *o, bool special) {
    const json_t *given = json_is_object(s->value) ? json_object_get(s->value, "special") : NULL;
    LB_TRY(set_flag(s, o, "special", special));
    LB_TRY(set_flag(s, o, "normalized", given ? !json_is_true(given) : !special));
    LB_TRY(set_flag(s, o, "lstrip", false));
    LB_TRY(set_flag(s, o, "rstrip", false));
    return set_flag(s, o, "single_word", false);
}

static json_t *listed(const pair *p, const char *content) {
    json_t *o;
    size_t i;
    json_array_foreach(p->beside.added, i, o) {
        if (!strcmp(json_string_value(json_object_get(o, "content")), content)) return o;
    }
    return NULL;
}

/* A token that is given in two ways is added twice. Which flags a text then meets depends on the library's version; but
 * where only `normalized` differs, the last. */
static lb_status check_again(const source *s, const json_t *o, const json_t *before) {
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    for (int i = 0; i < 3; i++)
        if (json_object_get(o, flags[i]) != json_object_get(before, flags[i])) /* true and false are single values */
            return lb_fail(LB_E_UNSUPPORTED,
                           "%s: key '%s': token \"%.64s\" is given twice, with another '%s': versions of the "
                           "tokenizers library do not agree what that means",
                           s->path, s->key, json_string_value(json_object_get(o, "content")), flags[i]);
    return LB_OK;
}

static lb_status new_token(pair *p, const char *content, json_t **out) {
    const json_t *own = json_object_get(p->vocab, content);
    json_t *id = own ? json_incref((json_t *)(uintptr_t)own) : json_integer(p->next++), *o = json_object();
    *out = o;
    return json_array_append_new(p->beside.added, o) || json_object_set_new(o, "id", id) ||
                   json_object_set_new(o, "content", json_string(content))
               ? LB_E_NOMEM
               : LB_OK;
}

/* plain: it has a name, or is one of the special tokens without. */
static lb_status take_flags(const pair *p, const source *s, json_t *o, bool special, bool named, bool plain) {
    LB_TRY(plain && p->class->qwen2 ? set_flags(&(source){0}, o, true) : set_flags(s, o, special));
    return named && json_object_set_new(o, "special", json_true()) ? LB_E_NOMEM : LB_OK;
}

/* A token that has no id of its own: the vocabulary's, or the next. */
static lb_status add_token(pair *p, const source *s, bool named) {
    const char *content;
    LB_TRY(content_of(s, &content));
    json_t *o = listed(p, content), *before = NULL;
    if (!*content || (o && !json_object_get(o, "ways"))) return LB_OK; /* that of a file with ids counts */
    if (!o) {
        LB_TRY(new_token(p, content, &o));
    } else if (!(before = json_copy(o))) {
        return LB_E_NOMEM;
    }
    lb_status status = take_flags(p, s, o, json_is_string(s->value) || s->special, named, true);
    if (status == LB_OK && before) status = check_again(s, o, before);
    int way = json_is_string(s->value) ? 1 : json_is_true(json_object_get(o, "normalized")) ? 2 : 4;
    int ways = (int)json_integer_value(json_object_get(before, "ways"));
    if (status == LB_OK && (ways & way)) /* the very same is not added again */
        status = json_object_update(o, before) ? LB_E_NOMEM : LB_OK;
    if (status == LB_OK && json_object_set_new(o, "ways", json_integer(ways | way))) status = LB_E_NOMEM;
    json_decref(before);
    return status;
}

/* What the files say of a name, the last that counts; value NULL: nothing. */
static source named_source(const pair *p, const char *key) {
    const lb_tok_beside *b = &p->beside;
    const json_t *map = b->has_decoder ? NULL : json_object_get(b->special, key);
    if (map) return (source){b->special_file.path, key, map, true};
    return (source){b->config_file.path, key, json_object_get(b->config, key), false};
}

static lb_status read_named(pair *p) {
    for (int i = 0; i < NAMED; i++) {
        source s = named_source(p, named_keys[i]);
        p->bare[i] = s.value ? NULL : p->class->named[i];
        if (s.value && !json_is_null(s.value)) LB_TRY(content_of(&s, &p->bare[i]));
    }
    return LB_OK;
}

static bool is_named(const pair *p, const char *content) {
    for (int i = 0; i < NAMED; i++)
        if (p->bare[i] && !strcmp(p->bare[i], content)) return true;
    return false;
}

static lb_status add_named(pair *p) {
    for (int i = 0; i < NAMED; i++) {
        source s = named_source(p, named_keys[i]);
        if (!p->bare[i]) continue;
        json_t *fallback = s.value ? NULL : json_string(p->bare[i]);
        if (fallback) s = (source){p->t->name, named_keys[i], fallback, true};
        lb_status status = s.value ? add_token(p, &s, true) : LB_E_NOMEM;
        json_decref(fallback);
        LB_TRY(status);
    }
    return LB_OK;
}

/* The lists of special tokens without a name. That of tokenizer_config.json has two spellings, and the other file's
 * goes behind it; there the older spelling counts for want of all others. */
typedef struct extras {
    source list[2];
    int n;
    bool older;
} extras;

static lb_status find_extras(const pair *p, extras *x) {
    static const char extra[] = "extra_special_tokens", additional[] = "additional_special_tokens";
    const lb_tok_beside *b = &p->beside;
    const json_t *map = b->has_decoder ? NULL : b->special;
    const char *key = json_object_get(b->config, extra) ? extra : additional;
    source all[2] = {{b->config_file.path, key, json_object_get(b->config, key), false},
                     {b->special_file.path, extra, json_object_get(map, extra), true}};
    *x = (extras){0};
    if (!all[0].value && !all[1].value) {
        all[1].key = additional;
        all[1].value = json_object_get(map, additional);
        x->older = true;
    }
    for (int i = 0; i < 2; i++) {
        const source *s = &all[i];
        if (!s->value) continue;
        if (json_is_null(s->value)) x->n = 0; /* takes back what the file before says */
        if (json_is_array(s->value)) x->list[x->n++] = *s;
        if (!json_is_array(s->value) && !json_is_null(s->value))
            return lb_fail(LB_E_UNSUPPORTED,
                           "%s: key '%s': expected a list: tokens with names of a model's own are not known here",
                           s->path, s->key);
    }
    return LB_OK;
}

static lb_status add_extra(pair *p) {
    extras x;
    const json_t *v;
    size_t i;
    LB_TRY(find_extras(p, &x));
    for (int k = 0; k < x.n; k++) {
        source one = x.list[k];
        json_array_foreach(x.list[k].value, i, v) {
            one.value = v;
            LB_TRY(add_token(p, &one, false));
        }
    }
    return LB_OK;
}

static lb_status is_extra(const extras *x, const char *content, bool *out) {
    const json_t *v;
    size_t i;
    *out = false;
    for (int k = 0; k < x->n; k++) {
        source one = x->list[k];
        json_array_foreach(x->list[k].value, i, v) {
            const char *extra;
            one.value = v;
            LB_TRY(content_of(&one, &extra));
            *out = *out || !strcmp(extra, content);
        }
    }
    return LB_OK;
}

/* Whether a file, not the class, names it: so added_tokens.json's that are special are told apart. */
static bool named_in_file(const pair *p, const char *content) {
    for (int i = 0; i < NAMED; i++)
        if (p->bare[i] && named_source(p, named_keys[i]).value && !strcmp(p->bare[i], content)) return true;
    return false;
}

typedef struct numbered {
    json_t *o;
    json_int_t id;
    size_t at;
} numbered;

static int by_id(const void *a, const void *b) {
    const numbered *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* In order of id, as transformers adds them. */
static lb_status sort_added(lb_tok_beside *b) {
    size_t n = json_array_size(b->added);
    numbered *o = lb_alloc(n + 1, sizeof *o);
    json_t *sorted = json_array();
    bool ok = o && sorted;
    for (size_t i = 0; ok && i < n; i++) {
        json_t *one = json_array_get(b->added, i);
        o[i] = (numbered){one, json_integer_value(json_object_get(one, "id")), i};
    }
    if (ok) qsort(o, n, sizeof *o, by_id);
    for (size_t i = 0; ok && i < n; i++) ok = !json_array_append(sorted, o[i].o);
    lb_free(o);
    if (!ok) {
        json_decref(sorted);
        return LB_E_NOMEM;
    }
    json_decref(b->added);
    b->added = sorted;
    return LB_OK;
}

/* The tokens that a file gives an id. */
static lb_status complete_added(pair *p) {
    lb_tok_beside *b = &p->beside;
    const char *path = b->has_decoder ? b->config_file.path : b->names_file.path;
    extras x;
    json_t *o;
    size_t i;
    LB_TRY(find_extras(p, &x));
    json_array_foreach(b->added, i, o) {
        const char *content;
        int64_t id;
        bool extra, named;
        LB_TRY(lb_json_str(path, o, "content", &content));
        LB_TRY(lb_tok_added_id(p->t, o, &id));
        LB_TRY(is_extra(&x, content, &extra));
        named = is_named(p, content);
        /* transformers does not look at the older spelling for this */
        bool special = !b->has_decoder && (named_in_file(p, content) || (extra && !x.older));
        source s = {path, content, o, false};
        LB_TRY(take_flags(p, &s, o, special, named, named || extra));
        if (id >= p->next) p->next = id + 1;
    }
    return sort_added(b);
}

/* "image_token" and the like, which transformers adds too. */
static lb_status check_names(const char *path, const json_t *o) {
    const char *key;
    const json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        size_t n = strlen(key);
        bool known = n < 6 || strcmp(key + n - 6, "_token") != 0 || !(json_is_string(v) || json_is_object(v));
        for (int i = 0; i < NAMED; i++) known = known || !strcmp(key, named_keys[i]);
        if (!known)
            return lb_fail(LB_E_UNSUPPORTED, "%s: key '%.64s': tokens with names of a model's own are not known here",
                           path, key);
    }
    return LB_OK;
}

static lb_status check_beside(const lb_tok_beside *b) {
    static const char *const keys[] = {"add_bos_token",        "add_eos_token",
                                       "add_prefix_space",     "tokenizer_class",
                                       "added_tokens_decoder", "additional_special_tokens",
                                       "extra_special_tokens", NULL};
    LB_TRY(lb_json_once(b->config_file.path, b->config, named_keys));
    LB_TRY(lb_json_once(b->config_file.path, b->config, keys));
    LB_TRY(check_names(b->config_file.path, b->config));
    LB_TRY(lb_json_all_once(b->names_file.path, b->names));
    LB_TRY(lb_json_all_once(b->special_file.path, b->special));
    return b->has_decoder ? LB_OK : check_names(b->special_file.path, b->special);
}

static lb_status list_tokens(pair *p) {
    lb_json_memory_begin();
    p->next = (int64_t)json_object_size(p->vocab);
    LB_TRY(read_named(p));
    LB_TRY(complete_added(p));
    LB_TRY(add_named(p));
    LB_TRY(add_extra(p));
    return lb_json_memory_check(p->t->name);
}

/* ---- merges.txt ---- */

typedef struct lines {
    lb_tok_view rest;
    int64_t number; /* of the line that was read last, from 1 */
} lines;

static bool next_line(lines *l, lb_tok_view *line) {
    if (!l->rest.n) return false;
    const char *end = memchr(l->rest.s, '\n', l->rest.n);
    size_t n = end ? (size_t)(end - l->rest.s) : l->rest.n, skip = n + (end != NULL);
    *line = (lb_tok_view){l->rest.s, end && n && l->rest.s[n - 1] == '\r' ? n - 1 : n};
    l->rest = (lb_tok_view){l->rest.s + skip, l->rest.n - skip};
    l->number++;
    return true;
}

/* "left right" a line; the library passes over all lines that begin like this one. */
static bool is_header(lb_tok_view line) { return line.n >= 8 && !memcmp(line.s, "#version", 8); }

static lb_status read_merges(pair *p) {
    lines l = {p->merges_file.text, 0}, count = l;
    lb_tok_merges *m = &p->t->merges;
    lb_tok_view line;
    int64_t n = 0;
    while (next_line(&count, &line)) n++;
    m->list = LB_NEW(p->t->arena, lb_tok_merge, n + 1);
    if (!m->list) return LB_E_NOMEM;
    while (next_line(&l, &line)) {
        if (is_header(line)) continue;
        const char *space = memchr(line.s, ' ', line.n);
        size_t left = space ? (size_t)(space - line.s) : 0, right = space ? line.n - left - 1 : 0;
        if (!left || !right || memchr(space + 1, ' ', right))
            return lb_fail(LB_E_FORMAT, "%s: line %lld: \"%.*s\": expected two tokens with a space between",
                           p->merges_file.path, (long long)l.number, (int)(line.n < 64 ? line.n : 64), line.s);
        lb_tok_place place = {p->merges_file.path, "line", l.number};
        LB_TRY(lb_tok_merge_add(p->t, m->n, place, (lb_tok_view){line.s, left}, (lb_tok_view){space + 1, right}));
        m->n++;
    }
    return LB_OK;
}

static bool is_one_character(lb_tok_view v) {
    int32_t code;
    return !v.n || lb_tok_char(v.s, v.n, &code) == v.n;
}

/* Every token of a word is made by a merge, but for the few that a vocabulary has for its own ends (OPT: four). A file
 * that lost its end reads like any other and would give other tokens. */
static lb_status check_merges(const pair *p) {
    enum { FEW = 100, PERCENT = 1 };
    const lb_tokenizer *t = p->t;
    bool *made = LB_NEW(t->arena, bool, t->vocab + 1);
    if (!made) return LB_E_NOMEM;
    for (int64_t i = 0; i < t->merges.n; i++) made[t->merges.list[i].id] = true;
    for (int64_t i = 0; i < t->n_added; i++)
        if (t->added[i].id < t->vocab) made[t->added[i].id] = true;
    int64_t missing = 0, last = -1;
    for (int64_t i = 0; i < t->vocab; i++) {
        if (made[i] || is_one_character(t->token[i])) continue;
        missing++, last = i;
    }
    if (missing <= FEW || missing * 100 <= t->vocab * PERCENT) return LB_OK;
    return lb_fail(LB_E_FORMAT,
                   "%s: its %lld merges make all but %lld of the %lld tokens of vocab.json, not \"%.*s\" (id %lld): "
                   "is its end missing?",
                   p->merges_file.path, (long long)t->merges.n, (long long)missing, (long long)t->vocab,
                   (int)(t->token[last].n < 64 ? t->token[last].n : 64), t->token[last].s, (long long)last);
}

/* ---- loading ---- */

typedef lb_status (*component)(lb_tokenizer *t, const json_t *c);

static lb_status read_component(pair *p, component read, const char *text) {
    json_t *c = NULL;
    LB_TRY(lb_json_parse(p->t->name, text, strlen(text), &c));
    lb_status status = read(p->t, c);
    json_decref(c);
    return status;
}

static lb_status read_components(pair *p) {
    const pair_class *c = p->class;
    const char *prefix = p->prefix_space ? "true" : "false";
    char text[1024];
    if (c->nfc) LB_TRY(read_component(p, lb_tok_read_normalizer, "{\"type\":\"NFC\"}"));
    if (c->qwen2)
        snprintf(text, sizeof text, "{\"type\":\"Sequence\",\"pretokenizers\":[%s," BYTE_LEVEL "]}", QWEN2_SPLIT,
                 prefix, "false");
    else
        snprintf(text, sizeof text, BYTE_LEVEL, prefix, "true");
    LB_TRY(read_component(p, lb_tok_read_pre_tokenizer, text));
    lb_tok_default_decoder(p->t, false);
    return LB_OK;
}

static int32_t id_of(const pair *p, int name) {
    return p->bare[name] ? lb_tok_index_get(&p->t->index, p->bare[name], strlen(p->bare[name])) : -1;
}

static lb_status name_tokens(pair *p) {
    lb_tokenizer *t = p->t;
    t->bos = id_of(p, BOS);
    t->eos = id_of(p, EOS);
    t->unk_name = id_of(p, UNK);
    t->pad = id_of(p, PAD);
    t->adds_bos = p->add_bos;
    if (t->adds_bos && t->bos < 0)
        return lb_fail(LB_E_FORMAT, "%s: add_bos_token is true, but no BOS token is named", p->beside.config_file.path);
    return LB_OK;
}

static lb_status read_all(pair *p, const char *dir) {
    lb_tokenizer *t = p->t;
    LB_TRY(lb_tok_keep_file(t, dir, "vocab.json", LB_JSON_MOST_VOCAB, &p->vocab_file));
    LB_TRY(lb_tok_keep_file(t, dir, "merges.txt", LB_JSON_MOST_VOCAB, &p->merges_file));
    LB_TRY(lb_tok_read_beside(t, dir, &p->beside));
    LB_TRY(choose_class(p, dir));
    LB_TRY(lb_tok_list_added(t, &p->beside));
    LB_TRY(read_flags(p));
    LB_TRY(check_beside(&p->beside));
    LB_TRY(lb_tok_kept_json(&p->vocab_file, &p->vocab));
    LB_TRY(lb_json_all_once(t->name, p->vocab));
    LB_TRY(list_tokens(p));
    LB_TRY(read_components(p));
    LB_TRY(lb_tok_fill_vocab(t, p->vocab, p->beside.added, false));
    LB_TRY(read_merges(p));
    LB_TRY(check_merges(p));
    LB_TRY(name_tokens(p));
    LB_TRY(lb_tok_normalize_added(t));
    return lb_tok_finish(t);
}

lb_status lb_tok_load_pair(lb_tokenizer *t, const char *dir) {
    pair p = {.t = t};
    t->by_library = true;
    lb_status status = read_all(&p, dir);
    json_decref(p.vocab);
    lb_tok_free_beside(&p.beside);
    return status;
}

/* Writing tokenizer.json and tokenizer_config.json for other programs. What was read from a tokenizer.json goes out as
 * it came; from GGUF or training the file is composed from the same lists that encode. */
#include "base/fs.h"
#include "model/tokenizer/impl.h"

/* Tokens are valid UTF-8 without NUL; a chat template may hold other bytes: what the JSON reader makes of \u0000 and of
 * half a surrogate pair becomes that again, the rest U+FFFD. */
static size_t add_invalid(lb_str *b, const char *s, size_t n) {
    const uint8_t *u = (const uint8_t *)s;
    if (n >= 2 && u[0] == 0xc0 && u[1] == 0x80) {
        lb_str_add(b, "\\u0000");
        return 2;
    }
    if (n >= 3 && u[0] == 0xed && u[1] >= 0xa0 && u[1] < 0xc0 && (u[2] & 0xc0) == 0x80) {
        lb_str_add(b, "\\u%04x", 0xd000 | (u[1] & 0x3f) << 6 | (u[2] & 0x3f));
        return 3;
    }
    lb_str_add(b, "\\ufffd");
    return 1;
}

static void add_string(lb_str *b, lb_tok_view v) {
    lb_str_add(b, "\"");
    for (size_t i = 0; i < v.n;) {
        int32_t code;
        size_t k = lb_tok_char(v.s + i, v.n - i, &code);
        if (code < 0)
            k = add_invalid(b, v.s + i, v.n - i);
        else if (code < 0x20 || code == '"' || code == '\\')
            lb_str_add(b, code < 0x20 ? "\\u%04x" : "\\%c", code);
        else
            lb_str_add_bytes(b, v.s + i, k);
        i += k;
    }
    lb_str_add(b, "\"");
}

static lb_tok_view view(const char *s) { return (lb_tok_view){s, strlen(s)}; }
static const char *yes(bool b) { return b ? "true" : "false"; }

/* ---- components ---- */

static void add_added(lb_str *b, const lb_tokenizer *t) {
    bool first = true;
    lb_str_add(b, "\"added_tokens\":[");
    for (int64_t i = 0; i < t->n_added; i++) {
        const lb_tok_added *a = &t->added[i];
        lb_tok_view v = t->token[a->id];
        if (lb_tok_index_get(&t->index, v.s, v.n) != a->id) continue; /* of equal strings the first */
        lb_str_add(b, "%s{\"id\":%d,\"content\":", first ? "\n" : ",\n", a->id);
        first = false;
        add_string(b, v);
        lb_str_add(b, ",\"single_word\":false,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,\"special\":%s}",
                   yes(a->lstrip), yes(a->rstrip), yes(a->normalized), yes(a->special));
    }
    lb_str_add(b, "],\n");
}

static void add_normalizer(lb_str *b, const lb_tokenizer *t) {
    if (!t->n_norm) {
        lb_str_add(b, "\"normalizer\":null,\n");
        return;
    }
    lb_str_add(b, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < t->n_norm; i++) {
        const lb_tok_norm *z = &t->norm[i];
        bool prepend = z->kind == LB_TOK_PREPEND; /* GGUF's kinds have these two */
        lb_str_add(b, "%s{\"type\":\"%s\",\"", i ? "," : "", prepend ? "Prepend" : "Replace");
        if (!prepend) {
            lb_str_add(b, "pattern\":{\"String\":");
            add_string(b, z->pattern);
            lb_str_add(b, "},\"");
        }
        lb_str_add(b, "%s\":", prepend ? "prepend" : "content");
        add_string(b, z->content);
        lb_str_add(b, "}");
    }
    lb_str_add(b, "]},\n");
}

static void add_byte_level(lb_str *b, bool use_regex) {
    lb_str_add(b, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":%s}",
               yes(use_regex));
}

static void add_pre_tokenizer(lb_str *b, const lb_tokenizer *t) {
    if (!t->alphabet) {
        lb_str_add(b, "\"pre_tokenizer\":null,\n");
        return;
    }
    lb_str_add(b, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    bool gpt2 = false; /* the last one: ByteLevel's own */
    for (int i = 0; i < t->n_step; i++) {
        const lb_tok_step *s = &t->step[i];
        gpt2 = i + 1 == t->n_step && s->scan == lb_tok_scan_gpt2;
        if (s->kind == LB_TOK_CHARS) {
            lb_str_add(b, "{\"type\":\"Digits\",\"individual_digits\":true},");
        } else if (!gpt2) {
            lb_str_add(b, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
            add_string(b, view(s->pattern));
            lb_str_add(b, "},\"behavior\":\"Isolated\",\"invert\":false},");
        }
    }
    add_byte_level(b, gpt2);
    lb_str_add(b, "]},\n");
}

static void add_post_processor(lb_str *b, const lb_tokenizer *t) {
    if (!t->adds_bos) {
        lb_str_add(b, "null");
        return;
    }
    lb_tok_view bos = t->token[t->bos];
    lb_str_add(b, "{\"type\":\"TemplateProcessing\"");
    for (int pair = 0; pair < 2; pair++) {
        lb_str_add(b, ",\"%s\":[", pair ? "pair" : "single");
        for (int k = 0; k <= pair; k++) {
            lb_str_add(b, "%s{\"SpecialToken\":{\"id\":", k ? "," : "");
            add_string(b, bos);
            lb_str_add(b, ",\"type_id\":%d}},{\"Sequence\":{\"id\":\"%c\",\"type_id\":%d}}", k, 'A' + k, k);
        }
        lb_str_add(b, "]");
    }
    lb_str_add(b, ",\"special_tokens\":{");
    add_string(b, bos);
    lb_str_add(b, ":{\"id\":");
    add_string(b, bos);
    lb_str_add(b, ",\"ids\":[%d],\"tokens\":[", t->bos);
    add_string(b, bos);
    lb_str_add(b, "]}}}");
}

static void add_decoder(lb_str *b, const lb_tokenizer *t) {
    if (t->alphabet) {
        lb_str_add(b, "\"decoder\":");
        add_byte_level(b, true);
        lb_str_add(b, ",\n");
        return;
    }
    lb_str_add(b, "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
                  "\"" LB_TOK_META "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}");
    if (t->decode[t->n_decode - 1].kind == LB_TOK_TRIM)
        lb_str_add(b, ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}");
    lb_str_add(b, "]},\n");
}

/* ---- model ---- */

static lb_status add_merges(lb_str *b, const lb_tokenizer *t) {
    bool pairs = false; /* a token with a space in it needs the newer form */
    for (int64_t i = 0; i < t->merges.n; i++) {
        lb_tok_merge m = t->merges.list[i];
        if (m.left >= t->vocab || m.right >= t->vocab)
            return lb_fail(LB_E_UNSUPPORTED,
                           "%s: token %d (\"%.*s\") has a character that is no token itself: tokenizer.json cannot "
                           "express that",
                           t->name, m.id, (int)t->token[m.id].n, t->token[m.id].s);
        lb_tok_view l = t->token[m.left], r = t->token[m.right];
        pairs = pairs || memchr(l.s, ' ', l.n) || memchr(r.s, ' ', r.n);
    }
    lb_str_add(b, "\"merges\":[");
    lb_str joined = {0};
    for (int64_t i = 0; i < t->merges.n; i++) {
        lb_tok_view l = t->token[t->merges.list[i].left], r = t->token[t->merges.list[i].right];
        lb_str_add(b, i ? ",\n" : "\n");
        if (pairs) {
            lb_str_add(b, "[");
            add_string(b, l);
            lb_str_add(b, ",");
            add_string(b, r);
            lb_str_add(b, "]");
            continue;
        }
        joined.len = 0;
        lb_str_add_bytes(&joined, l.s, l.n);
        lb_str_add(&joined, " ");
        lb_str_add_bytes(&joined, r.s, r.n);
        if (joined.failed)
            b->failed = true;
        else
            add_string(b, (lb_tok_view){joined.s, joined.len});
    }
    lb_str_free(&joined);
    lb_str_add(b, "]");
    return LB_OK;
}

static lb_status add_model(lb_str *b, const lb_tokenizer *t) {
    lb_str_add(b, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
    if (t->alphabet || t->unk < 0)
        lb_str_add(b, "null");
    else
        add_string(b, t->token[t->unk]);
    lb_str_add(b,
               ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":%s,\"byte_fallback\":%s,"
               "\"ignore_merges\":%s,\n\"vocab\":{",
               yes(t->fuse_unk), yes(!t->alphabet), yes(t->ignore_merges));
    bool first = true;
    for (int64_t id = 0; id < t->vocab; id++) {
        lb_tok_view v = t->token[id];
        if (!v.n || lb_tok_index_get(&t->index, v.s, v.n) != id) continue; /* of equal strings the first */
        lb_str_add(b, first ? "\n" : ",\n");
        add_string(b, v);
        lb_str_add(b, ":%lld", (long long)id);
        first = false;
    }
    lb_str_add(b, "},\n");
    LB_TRY(add_merges(b, t));
    lb_str_add(b, "}}\n");
    return LB_OK;
}

static lb_status compose(lb_str *b, const lb_tokenizer *t) {
    lb_str_add(b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    add_added(b, t);
    add_normalizer(b, t);
    add_pre_tokenizer(b, t);
    lb_str_add(b, "\"post_processor\":");
    add_post_processor(b, t);
    lb_str_add(b, ",\n");
    add_decoder(b, t);
    return add_model(b, t);
}

/* ---- tokenizer_config.json ---- */

static void add_named(lb_str *b, const lb_tokenizer *t, const char *key, int32_t id) {
    if (id < 0) return;
    lb_str_add(b, ",\n\"%s\":", key);
    add_string(b, t->token[id]);
}

static void compose_config(lb_str *b, const lb_tokenizer *t) {
    lb_str_add(b, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\n\"clean_up_tokenization_spaces\":false,\n"
                  "\"model_input_names\":[\"input_ids\",\"attention_mask\"]");
    add_named(b, t, "bos_token", t->bos);
    add_named(b, t, "eos_token", t->eos);
    add_named(b, t, "unk_token", t->unk_name);
    add_named(b, t, "pad_token", t->pad);
    if (t->chat_template) {
        lb_str_add(b, ",\n\"chat_template\":");
        add_string(b, view(t->chat_template));
    }
    lb_str_add(b, "}\n");
}

static lb_status write_view(const char *dir, const char *name, lb_tok_view v) {
    char *path = lb_fs_join(dir, name);
    if (!path) return LB_E_NOMEM;
    lb_status status = lb_fs_write_atomic(path, v.s, v.n);
    lb_free(path);
    return status;
}

static lb_status write_file(const char *dir, const char *name, const lb_str *b) {
    LB_TRY(lb_str_check(b));
    return write_view(dir, name, (lb_tok_view){b->s, b->len});
}

/* The files of a folder without tokenizer.json go out as they came: transformers makes of them what it made before. */
static lb_status save_files(const lb_tokenizer *t, const char *dir) {
    for (int i = 0; i < t->n_file; i++) LB_TRY(write_view(dir, t->file[i].name, t->file[i].text));
    return LB_OK;
}

lb_status lb_tokenizer_save(const lb_tokenizer *t, const char *dir) {
    lb_str json = {0}, config = {0};
    lb_status status;
    LB_TRY_GOTO(status, done, lb_fs_mkdirs(dir));
    if (t->n_file) return save_files(t, dir);
    if (t->unigram && !t->json.s)
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: a Unigram tokenizer of GGUF: tokenizer.json cannot express its normalizer", t->name);
    if (t->json.s)
        lb_str_add_bytes(&json, t->json.s, t->json.n);
    else
        LB_TRY_GOTO(status, done, compose(&json, t));
    compose_config(&config, t);
    LB_TRY_GOTO(status, done, write_file(dir, "tokenizer.json", &json));
    LB_TRY_GOTO(status, done, write_file(dir, "tokenizer_config.json", &config));
done:
    lb_str_free(&json);
    lb_str_free(&config);
    return status;
}

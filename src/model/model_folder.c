/* A model's folder as people have it: a hub cache, links that lead nowhere, missing parts; and what identifies it. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "model/model_file.h"

/* ---- hub caches ---- */

static lb_status is_there(const char *dir, const char *name, bool *yes) {
    char *path = lb_fs_join(dir, name);
    *yes = path && lb_fs_there(path);
    lb_free(path);
    return path ? LB_OK : LB_E_NOMEM;
}

/* "a, b, c and 4 more" */
static void add_names(lb_str *out, char *const *name, size_t n) {
    enum { SHOWN = 8 };
    for (size_t i = 0; i < n && i < SHOWN; i++) lb_str_add(out, "%s%s", i ? ", " : "", name[i]);
    if (n > SHOWN) lb_str_add(out, " and %zu more", n - SHOWN);
}

static lb_status arena_join(lb_arena *a, const char *dir, const char *name, const char **out) {
    char *p = lb_fs_join(dir, name);
    *out = p ? lb_arena_strdup(a, p) : NULL;
    lb_free(p);
    return *out ? LB_OK : LB_E_NOMEM;
}

/* What refs/main holds, without its line end; NULL: there is none. */
static lb_status read_ref(lb_arena *a, const char *root, const char **ref) {
    enum { MOST = 1 << 20 };
    const char *path = NULL;
    char *text = NULL;
    *ref = NULL;
    LB_TRY(arena_join(a, root, "refs/main", &path));
    if (!lb_fs_there(path)) return LB_OK;
    LB_TRY(lb_fs_read_most(path, MOST, &text, NULL));
    text[strcspn(text, " \r\n\t")] = 0;
    bool plain = text[0] && text[0] != '.' && !strchr(text, '/');
    lb_status st = plain ? LB_OK : lb_fail(LB_E_FORMAT, "%s: '%.80s': expected the name of a snapshot", path, text);
    if (st == LB_OK && !(*ref = lb_arena_strdup(a, text))) st = LB_E_NOMEM;
    lb_free(text);
    return st;
}

static lb_status pick(lb_arena *a, const char *root, const char *snapshots, char *const *name, size_t n,
                      const char **out) {
    const char *ref = NULL;
    LB_TRY(read_ref(a, root, &ref));
    if (ref) {
        LB_TRY(arena_join(a, snapshots, ref, out));
        if (lb_fs_is_dir(*out)) return LB_OK;
    } else if (n == 1) {
        return arena_join(a, snapshots, name[0], out);
    }
    lb_str there = {0};
    add_names(&there, name, n);
    const char *list = n ? there.s : "nothing";
    lb_status st = lb_str_check(&there);
    if (st == LB_OK && ref)
        st = lb_fail(LB_E_IO, "%s: a hub cache whose refs/main names the snapshot %s, which is not in snapshots (%s)",
                     root, ref, list);
    else if (st == LB_OK)
        st = lb_fail(LB_E_IO, "%s: a hub cache without refs/main; give one of its snapshots: %s in %s", root, list,
                     snapshots);
    lb_str_free(&there);
    return st;
}

lb_status lb_folder_find(lb_arena *a, const char *dir, const char **out) {
    const char *snapshots = NULL;
    char **name = NULL;
    size_t n = 0;
    bool whole;
    *out = dir;
    LB_TRY(arena_join(a, dir, "snapshots", &snapshots));
    LB_TRY(is_there(dir, "config.json", &whole));
    if (whole || !lb_fs_is_dir(snapshots)) return LB_OK;
    LB_TRY(lb_fs_list(snapshots, NULL, &name, &n));
    lb_status st = pick(a, dir, snapshots, name, n, out);
    lb_fs_list_free(name, n);
    return st;
}

/* ---- missing parts ---- */

lb_status lb_folder_check(const char *dir) {
    char **name = NULL;
    size_t n = 0;
    bool whole;
    LB_TRY(is_there(dir, "config.json", &whole));
    if (whole) return LB_OK;
    LB_TRY(lb_fs_list(dir, NULL, &name, &n));
    lb_str there = {0};
    add_names(&there, name, n);
    lb_status st = lb_str_check(&there);
    if (st == LB_OK)
        st = lb_fail(LB_E_IO,
                     "%s: no config.json: a model is a GGUF file, or a folder with config.json, model.safetensors (or "
                     "model.safetensors.index.json and its parts) and, for texts, tokenizer.json; this one holds %s",
                     dir, n ? there.s : "nothing");
    lb_str_free(&there);
    lb_fs_list_free(name, n);
    return st;
}

static lb_status has_pair(const char *dir, bool *yes) {
    bool merges;
    LB_TRY(is_there(dir, "vocab.json", yes));
    LB_TRY(is_there(dir, "merges.txt", &merges));
    *yes = *yes && merges;
    return LB_OK;
}

lb_status lb_folder_has_tokenizer(const char *dir, bool *there) {
    LB_TRY(is_there(dir, "tokenizer.json", there));
    if (!*there) LB_TRY(is_there(dir, "tokenizer.model", there));
    return *there ? LB_OK : has_pair(dir, there);
}

lb_status lb_folder_no_tokenizer(lb_arena *a, const char *dir, const char **why) {
    static const char *const other[][2] = {
        {"tiktoken.model", "a vocabulary of tiktoken"},
        {"tokenizer.tiktoken", "a vocabulary of tiktoken"},
        {"qwen.tiktoken", "a vocabulary of tiktoken"},
        {"tekken.json", "a vocabulary of tiktoken"},
        {"vocab.json", "a vocabulary without the merges.txt of a BPE"},
        {"merges.txt", "merges without their vocab.json"},
        {"vocab.txt", "a vocabulary of WordPiece"},
    };
    *why = "there is no tokenizer.json";
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        bool there;
        LB_TRY(is_there(dir, other[i][0], &there));
        if (!there) continue;
        *why = lb_arena_printf(
            a,
            "there is no tokenizer.json or tokenizer.model, only %s, %s, which is not read (save_pretrained of "
            "transformers' AutoTokenizer writes tokenizer.json)",
            other[i][0], other[i][1]);
        return *why ? LB_OK : LB_E_NOMEM;
    }
    return LB_OK;
}

/* ---- identity ---- */

/* "name hash" of one file that was read, appended. */
static lb_status add_hash(const char *path, lb_str *list) {
    char hex[LB_HASH_HEX];
    LB_TRY(lb_hash_file(path, hex));
    lb_str_add(list, "%s %s\n", lb_fs_basename(path), hex);
    return LB_OK;
}

static lb_status add_hash_of(const char *dir, const char *name, lb_str *list) {
    char *path = lb_fs_join(dir, name);
    if (!path) return LB_E_NOMEM;
    lb_status st = lb_fs_exists(path) ? add_hash(path, list) : LB_OK;
    lb_free(path);
    return st;
}

/* Of the files that a model is read from: config, tokenizer, index, weights in name order. Without a tokenizer its
 * config says nothing; without tokenizer.json more files count beside what holds the vocabulary. */
lb_status lb_folder_hash(const char *dir, const lb_safetensors *weights, char hex[LB_HASH_HEX]) {
    lb_str list = {0};
    lb_status st;
    static const char *const beside[] = {"tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"};
    bool json, spm, pair;
    LB_TRY(is_there(dir, "tokenizer.json", &json));
    LB_TRY(is_there(dir, "tokenizer.model", &spm));
    LB_TRY(has_pair(dir, &pair));
    spm = spm && !json;
    pair = pair && !json && !spm;
    LB_TRY_GOTO(st, done, add_hash_of(dir, "config.json", &list));
    LB_TRY_GOTO(st, done, add_hash_of(dir, spm ? "tokenizer.model" : pair ? "vocab.json" : "tokenizer.json", &list));
    if (pair) LB_TRY_GOTO(st, done, add_hash_of(dir, "merges.txt", &list));
    for (size_t i = 0; i < (spm || pair ? 3 : json ? 1 : 0); i++)
        LB_TRY_GOTO(st, done, add_hash_of(dir, beside[i], &list));
    if (lb_safetensors_index(weights)) LB_TRY_GOTO(st, done, add_hash(lb_safetensors_index(weights), &list));
    for (size_t i = 0; lb_safetensors_file(weights, i); i++)
        LB_TRY_GOTO(st, done, add_hash(lb_safetensors_file(weights, i), &list));
    LB_TRY_GOTO(st, done, lb_str_check(&list));
    LB_TRY_GOTO(st, done, lb_hash_bytes(list.s, list.len, hex));
done:
    lb_str_free(&list);
    return st;
}

#include "run/sources.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/scalar.h"
#include "run/config.h"
#include "run/share.h"

#define HUB "https://huggingface.co/"

const char *const lb_source_then[] = {"nothing", "join-rows", NULL};
static const char *const kinds[] = {"model", "text", NULL};
static const char *const row_forms[] = {"auto", "file", "lines", "json", NULL};

static const lb_option source_rows[] = {
    {"kind", LB_OPT_CHOICE, NULL, 0, 0, kinds, "model or text", offsetof(lb_source, kind)},
    {"file", LB_OPT_STR, NULL, 0, 0, NULL, "name in data/cache, of a file or a folder", offsetof(lb_source, file)},
    {"sha256", LB_OPT_STR, NULL, 0, 0, NULL, "of that file; of a folder's list of hashes; or unknown",
     offsetof(lb_source, sha256)},
    {"bytes", LB_OPT_INT, "0", 0, INFINITY, NULL, "of that file, or of all", offsetof(lb_source, bytes)},
    {"licence", LB_OPT_STR, NULL, 0, 0, NULL, "licence of the contents", offsetof(lb_source, licence)},
    {"note", LB_OPT_STR, "", 0, 0, NULL, "what a reader of a result must know", offsetof(lb_source, note)},
    {"hub", LB_OPT_STR, "", 0, 0, NULL, "repository on huggingface.co that `files` come from",
     offsetof(lb_source, hub)},
    {"revision", LB_OPT_STR, "", 0, 0, NULL, "commit or branch of that repository", offsetof(lb_source, revision)},
    {"gated", LB_OPT_STR, "", 0, 0, NULL, "what to do first, where not everybody may download it",
     offsetof(lb_source, gated)},
    {"rows", LB_OPT_CHOICE, "auto", 0, 0, row_forms, "what a row of the text is", offsetof(lb_source, rows)},
    {"field", LB_OPT_STR, "", 0, 0, NULL, "key of a row's text", offsetof(lb_source, field)},
    {"join", LB_OPT_STR, "", 0, 0, NULL, "what goes between rows", offsetof(lb_source, join)},
};
static const lb_options source_table = {source_rows, sizeof source_rows / sizeof source_rows[0], sizeof(lb_source)};

static const lb_option from_rows[] = {
    {"url", LB_OPT_STR, "", 0, 0, NULL, "address of the file or archive", offsetof(lb_source_from, url)},
    {"pip", LB_OPT_STR, "", 0, 0, NULL, "a Python package that holds it", offsetof(lb_source_from, pip)},
    {"archive_sha256", LB_OPT_STR, "", 0, 0, NULL, "of the archive", offsetof(lb_source_from, archive_sha256)},
    {"member", LB_OPT_STR, "", 0, 0, NULL, "path in the archive (zip, wheel)", offsetof(lb_source_from, member)},
    {"member_sha256", LB_OPT_STR, "", 0, 0, NULL, "of the member, before `then`",
     offsetof(lb_source_from, member_sha256)},
    {"then", LB_OPT_CHOICE, "nothing", 0, 0, lb_source_then, "last step", offsetof(lb_source_from, then)},
};
static const lb_options from_table = {from_rows, sizeof from_rows / sizeof from_rows[0], sizeof(lb_source_from)};

static const lb_option part_rows[] = {
    {"file", LB_OPT_STR, NULL, 0, 0, NULL, "file name in the folder", offsetof(lb_source_part, file)},
    {"sha256", LB_OPT_STR, NULL, 0, 0, NULL, "of that file, or unknown", offsetof(lb_source_part, sha256)},
    {"bytes", LB_OPT_INT, "0", 0, INFINITY, NULL, "of that file", offsetof(lb_source_part, bytes)},
    {"url", LB_OPT_STR, "", 0, 0, NULL, "address of that file; default: on the hub", offsetof(lb_source_part, url)},
};
static const lb_options part_table = {part_rows, sizeof part_rows / sizeof part_rows[0], sizeof(lb_source_part)};

static lb_status bad(const lb_yaml *n, const char *what) {
    return lb_fail(LB_E_CONFIG, "%s: %s", lb_config_where(n).text, what);
}

/* The scalars of a map; lists named in `also` are the caller's. */
static lb_status read_scalars(lb_arena *a, const lb_yaml *map, const lb_options *t, void *values, const char *whose,
                              const char *const *also) {
    if (map->kind != LB_YAML_MAP) return bad(map, "must be a map");
    LB_TRY(lb_options_defaults(t, a, values));
    for (size_t i = 0; i < map->count; i++) {
        const lb_yaml *n = map->item[i];
        bool other = false;
        for (size_t k = 0; also[k]; k++) other = other || strcmp(also[k], n->key) == 0;
        if (other) continue;
        if (n->kind != LB_YAML_SCALAR) return bad(n, "must be one value");
        const lb_option *o = lb_options_find(t, n->key);
        bool number = !n->quoted && o && o->type == LB_OPT_INT;
        lb_status st = number ? lb_scalar_check(n->text, true) : LB_OK;
        if (st == LB_OK) st = lb_options_set(t, a, values, n->key, n->text, whose);
        if (st != LB_OK) return lb_fail_in(st, "%s", lb_config_where(n).text);
    }
    for (size_t i = 0; i < t->n; i++)
        if (!t->table[i].def && !lb_yaml_get(map, t->table[i].name))
            return lb_fail(LB_E_CONFIG, "%s: '%s' is missing (%s)", lb_config_where(map).text, t->table[i].name, whose);
    return LB_OK;
}

static bool is_hash(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }
static bool unknown(const char *sha256) { return strcmp(sha256, LB_SOURCE_UNKNOWN) == 0; }

/* Who knows the SHA-256 of a file knows its size. */
static lb_status check_identity(const lb_yaml *n, const char *sha256, int64_t bytes, const char *whose) {
    if (!is_hash(sha256) && !unknown(sha256)) return bad(n, "sha256: must be 64 lower-case hex digits, or unknown");
    if (bytes > 0 || unknown(sha256)) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: 'bytes' is missing (%s)", lb_config_where(n).text, whose);
}

static lb_status read_from(lb_arena *a, const lb_yaml *n, const char *whose, lb_source *out) {
    static const char *const none[] = {NULL};
    if (!n) return LB_OK;
    if (n->kind != LB_YAML_LIST) return bad(n, "from: must be a list of maps");
    out->from = LB_NEW(a, lb_source_from, n->count + 1);
    if (!out->from) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        lb_source_from *f = &out->from[i];
        LB_TRY(read_scalars(a, n->item[i], &from_table, f, whose, none));
        if (!f->url[0] == !f->pip[0]) return bad(n->item[i], "one of url and pip is needed");
        if ((f->archive_sha256[0] && !is_hash(f->archive_sha256)) ||
            (f->member_sha256[0] && !is_hash(f->member_sha256)))
            return bad(n->item[i], "a SHA-256 is 64 lower-case hex digits");
        out->n_from++;
    }
    return LB_OK;
}

static bool plain_name(const char *s) { return s[0] && s[0] != '.' && !strchr(s, '/'); }

/* A revision is one step of the path: refs/pr/1 is written refs%2Fpr%2F1. */
static lb_status hub_url(lb_arena *a, const lb_source *s, lb_source_part *p) {
    lb_str url = {0};
    lb_str_add(&url, HUB "%s/resolve/", s->hub);
    for (const char *c = s->revision; *c; c++) lb_str_add(&url, *c == '/' ? "%%2F" : "%c", *c);
    lb_str_add(&url, "/%s", p->file);
    lb_status st = lb_str_check(&url);
    if (st == LB_OK && !(p->url = lb_arena_strdup(a, url.s))) st = LB_E_NOMEM;
    lb_str_free(&url);
    return st;
}

/* A folder is a list of files, each with its own hash and address. */
static lb_status read_parts(lb_arena *a, const lb_yaml *n, const char *whose, lb_source *out) {
    static const char *const none[] = {NULL};
    if (!n) return LB_OK;
    if (n->kind != LB_YAML_LIST || n->count == 0) return bad(n, "files: must be a list of maps");
    out->part = LB_NEW(a, lb_source_part, n->count);
    if (!out->part) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        lb_source_part *p = &out->part[i];
        LB_TRY(read_scalars(a, n->item[i], &part_table, p, whose, none));
        if (!plain_name(p->file)) return bad(n->item[i], "file: must be a plain file name");
        LB_TRY(check_identity(n->item[i], p->sha256, p->bytes, whose));
        if (unknown(p->sha256) && !unknown(out->sha256))
            return bad(n->item[i], "sha256: unknown, but the folder's is known");
        if (!p->url[0] && !out->hub[0] && !out->gated[0])
            return bad(n->item[i], "'url' is missing, and the source names no hub");
        if (!p->url[0] && out->hub[0]) LB_TRY(hub_url(a, out, p));
        out->n_parts++;
    }
    return LB_OK;
}

static lb_status read_source(lb_arena *a, const lb_yaml *n, lb_source *out) {
    static const char *const also[] = {"from", "files", "brings", NULL};
    const char *whose = lb_arena_printf(a, "source %s", n->key);
    if (!whose) return LB_E_NOMEM;
    LB_TRY(read_scalars(a, n, &source_table, out, whose, also));
    out->name = n->key;
    LB_TRY(check_identity(n, out->sha256, out->bytes, whose));
    if (!plain_name(out->file)) return bad(n, "file: must be a plain file name");
    if (!out->hub[0] != !out->revision[0]) return bad(n, "hub and revision: one needs the other");
    if (strpbrk(out->gated, "\t\n")) return bad(n, "gated: must be one line");
    if (out->kind == LB_SOURCE_MODEL && (out->rows || out->field[0] || out->join[0]))
        return bad(n, "rows, field and join: only of a text");
    if (lb_yaml_get(n, "files") && lb_yaml_get(n, "from")) return bad(n, "files and from: only one of them");
    LB_TRY(read_parts(a, lb_yaml_get(n, "files"), whose, out));
    const lb_yaml *b = lb_yaml_get(n, "brings");
    if (b) {
        if (b->kind != LB_YAML_LIST) return bad(b, "brings: must be a list of names");
        out->brings = LB_NEW(a, const char *, b->count + 1);
        if (!out->brings) return LB_E_NOMEM;
        for (size_t i = 0; i < b->count; i++) {
            if (b->item[i]->kind != LB_YAML_SCALAR) return bad(b->item[i], "brings: must be a list of names");
            out->brings[out->n_brings++] = b->item[i]->text;
        }
    }
    return read_from(a, lb_yaml_get(n, "from"), whose, out);
}

static lb_status arena_join(lb_arena *a, const char *dir, const char *name, const char **out) {
    char *p = lb_fs_join(dir, name);
    *out = p ? lb_arena_strdup(a, p) : NULL;
    lb_free(p);
    return *out ? LB_OK : LB_E_NOMEM;
}

/* The folder that `dir` is in, without the ".." that a reader would have to undo. */
static lb_status parent_of(lb_arena *a, const char *dir, const char **out) {
    const char *leaf = lb_fs_basename(dir);
    if (!leaf[0] || strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0) return arena_join(a, dir, "..", out);
    char *up = lb_fs_dirname(dir);
    *out = up ? lb_arena_strdup(a, up) : NULL;
    lb_free(up);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status cache_in(lb_arena *a, const char *dir, const char **out) {
    if (dir[0] && strcmp(dir, ".") != 0) return arena_join(a, dir, "data/cache", out);
    *out = "data/cache";
    return LB_OK;
}

static bool same_file(const char *x, const char *y) {
    struct stat a, b;
    return stat(x, &a) == 0 && stat(y, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Where sources.yaml may be: beside the config, in the current folder's configs, where the program came from. The cache
 * is beside configs/, but what an installation is asked for belongs to the user: the current folder's data/cache. */
static lb_status find_file(lb_arena *a, const char *config_dir, lb_sources *out) {
    const char *beside = NULL, *shared = NULL, *up = NULL, *root;
    bool installed;
    LB_TRY(lb_share_root(a, &root, &installed));
    if (config_dir[0]) {
        LB_TRY(arena_join(a, config_dir, "sources.yaml", &beside));
        LB_TRY(parent_of(a, config_dir, &up));
    }
    if (root[0]) LB_TRY(arena_join(a, root, "configs/sources.yaml", &shared));
    if (beside && lb_fs_exists(beside)) {
        out->path = beside;
        LB_TRY(cache_in(a, up, &out->cache));
    } else if (lb_fs_exists("configs/sources.yaml")) {
        out->path = "configs/sources.yaml";
    } else if (shared) {
        out->path = shared;
        LB_TRY(cache_in(a, root, &out->cache));
    }
    if (out->path && installed && same_file(out->path, shared)) {
        out->cache = "data/cache";
        LB_TRY(arena_join(a, root, "tools/fetch", &out->fetch));
    }
    return LB_OK;
}

lb_status lb_sources_open(lb_arena *a, const char *config_dir, lb_sources *out) {
    *out = (lb_sources){.cache = "data/cache", .fetch = "tools/fetch"};
    LB_TRY(find_file(a, config_dir, out));
    if (!out->path) return LB_OK;
    lb_yaml *root = NULL;
    LB_TRY(lb_yaml_parse_file(a, out->path, &root));
    if (root->kind != LB_YAML_MAP) return bad(root, "must be a map from names to sources");
    out->at = LB_NEW(a, lb_source, root->count + 1);
    if (!out->at) return LB_E_NOMEM;
    for (size_t i = 0; i < root->count; i++) {
        LB_TRY(read_source(a, root->item[i], &out->at[i]));
        out->n++;
    }
    for (size_t i = 0; i < out->n; i++)
        for (size_t k = 0; k < out->at[i].n_brings; k++)
            if (!lb_sources_find(out, out->at[i].brings[k]))
                return lb_fail(LB_E_CONFIG, "%s: source %s brings '%s', which is no source", out->path, out->at[i].name,
                               out->at[i].brings[k]);
    return LB_OK;
}

const lb_source *lb_sources_find(const lb_sources *s, const char *name) {
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->at[i].name, name) == 0) return &s->at[i];
    return NULL;
}

static lb_status nowhere(lb_arena *a, const lb_sources *s, const char *config_dir, const char *name,
                         const char *where) {
    const char **known = LB_NEW(a, const char *, s->n + 1);
    if (!known) return LB_E_NOMEM;
    for (size_t i = 0; i < s->n; i++) known[i] = s->at[i].name;
    const char *near = lb_str_nearest(name, known, s->n);
    const char *hint = near ? lb_arena_printf(a, ": did you mean '%s'?", near) : "";
    if (!hint) return LB_E_NOMEM;
    bool both = config_dir[0] && strcmp(config_dir, ".") != 0;
    return lb_fail(LB_E_CONFIG,
                   "%s: '%s': no such file (looked in %s%sthe current folder), and no source in %s has that "
                   "name%s",
                   where, name, both ? config_dir : "", both ? " and " : "", s->path ? s->path : "configs/sources.yaml",
                   hint);
}

/* The file, or every file of the folder, is at path. */
static lb_status is_here(lb_arena *a, const lb_source *s, const char *path, bool *here) {
    *here = lb_fs_exists(path);
    for (size_t i = 0; i < s->n_parts && *here; i++) {
        const char *part = NULL;
        LB_TRY(arena_join(a, path, s->part[i].file, &part));
        *here = lb_fs_exists(part);
    }
    return LB_OK;
}

lb_status lb_sources_resolve(lb_arena *a, const lb_sources *s, const char *config_dir, const char *name,
                             lb_source_kind kind, const char *where, lb_resolved *out) {
    *out = (lb_resolved){.source = lb_sources_find(s, name), .fetch = s->fetch};
    if (out->source) {
        if (out->source->kind != (int)kind)
            return lb_fail(LB_E_CONFIG, "%s: source '%s' is a %s, expected a %s", where, name, kinds[out->source->kind],
                           kinds[kind]);
        const char *place = NULL;
        bool here = false;
        LB_TRY(arena_join(a, s->cache, out->source->file, &out->path));
        LB_TRY(arena_join(a, "data/cache", out->source->file, &place));
        LB_TRY(is_here(a, out->source, out->path, &here));
        if (here) return LB_OK;
        LB_TRY(is_here(a, out->source, place, &here));
        if (here) {
            out->path = place;
            return LB_OK;
        }
        const char *own = lb_fs_there(name) ? "; what this folder has of that name is ./" : "";
        out->missing = lb_arena_printf(a,
                                       out->source->gated[0] ? "%s is not here: %s %s says how it comes to %s%s%s"
                                                             : "%s is not here: %s %s brings it to %s%s%s",
                                       name, s->fetch, name, out->path, own, own[0] ? name : "");
        return out->missing ? LB_OK : LB_E_NOMEM;
    }
    LB_TRY(arena_join(a, config_dir[0] ? config_dir : ".", name, &out->path));
    if (lb_fs_there(out->path)) return LB_OK; /* opening says what a link that leads nowhere lacks */
    if (!lb_fs_there(name)) {
        LB_TRY(lb_share_find(a, name, &out->path));
        return out->path ? LB_OK : nowhere(a, s, config_dir, name, where);
    }
    out->path = lb_arena_strdup(a, name);
    return out->path ? LB_OK : LB_E_NOMEM;
}

lb_status lb_sources_check(const lb_resolved *r, const char *have, lb_log *log) {
    if (!r->source || strcmp(r->source->sha256, have) == 0) return LB_OK;
    if (unknown(r->source->sha256)) {
        lb_warn(log, "%s: SHA-256 not known yet: %s; %s --record %s writes it", r->source->name, have, r->fetch,
                r->source->name);
        return LB_OK;
    }
    return lb_fail(LB_E_FORMAT, "%s: SHA-256 %s, source %s says %s: run %s %s again", r->path, have, r->source->name,
                   r->source->sha256, r->fetch, r->source->name);
}

void lb_source_rows(const lb_source *s, int *form, const char **field, const char **join) {
    if (*form == 0) *form = s->rows;
    if (s->field[0] && strcmp(*field, "text") == 0) *field = s->field;
    if (s->join[0] && strcmp(*join, "auto") == 0) *join = s->join;
}

void lb_source_size(const lb_source *s, char out[32]) {
    if (s->bytes)
        lb_format_bytes((double)s->bytes, out);
    else
        snprintf(out, 32, "?");
}

static const char *dash(const char *s) { return s && s[0] ? s : "-"; }

/* What all lines of a source end in. */
static void tsv_end(const lb_source *x, lb_str *out) {
    for (size_t b = 0; b < x->n_brings; b++) lb_str_add(out, "%s%s", b ? "," : "", x->brings[b]);
    lb_str_add(out, "%s\t%s\t%s\n", x->n_brings ? "" : "-", dash(x->gated), dash(x->revision));
}

static void tsv_start(const lb_source *x, const char *file, const char *sha256, int64_t bytes, lb_str *out) {
    lb_str_add(out, "%s\t%s\t%s%s%s\t%s\t", x->name, kinds[x->kind], x->file, file ? "/" : "", file ? file : "",
               sha256);
    if (bytes)
        lb_str_add(out, "%lld", (long long)bytes);
    else
        lb_str_add(out, "-");
}

void lb_sources_tsv(const lb_sources *s, lb_str *out) {
    static const lb_source_from nowhere_else = {"", "", "", "", "", 0};
    for (size_t i = 0; i < s->n; i++) {
        const lb_source *x = &s->at[i];
        for (size_t k = 0; k < x->n_parts; k++) {
            const lb_source_part *p = &x->part[k];
            tsv_start(x, p->file, p->sha256, p->bytes, out);
            lb_str_add(out, "\t%s\t-\t-\t-\t-\t%s\t", dash(p->url), lb_source_then[0]);
            tsv_end(x, out);
        }
        for (size_t k = 0; !x->n_parts && k < (x->n_from ? x->n_from : 1); k++) {
            const lb_source_from *f = x->n_from ? &x->from[k] : &nowhere_else;
            tsv_start(x, NULL, x->sha256, x->bytes, out);
            lb_str_add(out, "\t%s\t%s\t%s\t%s\t%s\t%s\t", dash(f->url), dash(f->pip), dash(f->archive_sha256),
                       dash(f->member), dash(f->member_sha256), lb_source_then[f->then]);
            tsv_end(x, out);
        }
    }
}

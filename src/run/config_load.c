/* From files to one tree: includes merged, overrides applied, nothing checked yet. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/index.h"
#include "run/config.h"

/* Files that include others twice would double at every level. */
enum { MAX_INCLUDE_DEPTH = 16, MAX_FILES = 100 };

lb_where lb_config_where(const lb_yaml *node) {
    lb_where w;
    const char *file = node && node->file ? node->file : "";
    int line = node ? (node->key_line > 0 ? node->key_line : node->line) : 0;
    /* An override or a command-line option has one line: its text says where. */
    if (strncmp(file, "-", 1) == 0 || line <= 0)
        snprintf(w.text, sizeof w.text, "%s", file);
    else
        snprintf(w.text, sizeof w.text, "%s:%d", file, line);
    return w;
}

static lb_status merge(lb_arena *a, lb_yaml *base, lb_yaml *over, lb_yaml **out);

static lb_status merge_items(lb_arena *a, const lb_yaml *base, const lb_yaml *over, lb_index *keys, lb_yaml *m) {
    lb_index_slot *slot;
    bool fresh;
    for (size_t i = 0; i < base->count; i++) {
        m->item[m->count++] = base->item[i];
        LB_TRY(lb_index_put(keys, base->item[i]->key, i, &slot, &fresh));
    }
    for (size_t i = 0; i < over->count; i++) {
        lb_yaml *mine = over->item[i];
        const lb_index_slot *same = lb_index_get(keys, mine->key);
        lb_yaml **at = same ? &m->item[same->value] : &m->item[m->count++];
        if (same && (*at)->kind == LB_YAML_MAP && mine->kind == LB_YAML_MAP)
            LB_TRY(merge(a, *at, mine, at));
        else
            *at = mine;
    }
    return LB_OK;
}

/* A map of both; where both have a key and both values are maps, those are merged, else `over` wins. The inputs stay as
 * they are, because an alias may share them. */
static lb_status merge(lb_arena *a, lb_yaml *base, lb_yaml *over, lb_yaml **out) {
    lb_yaml *m = LB_NEW(a, lb_yaml, 1);
    lb_yaml **item = LB_NEW(a, lb_yaml *, base->count + over->count + 1);
    if (!m || !item) return LB_E_NOMEM;
    *m = *over;
    m->item = item;
    m->count = 0;
    lb_index keys = {0};
    lb_status st = merge_items(a, base, over, &keys, m);
    lb_index_free(&keys);
    *out = m;
    return st;
}

/* The map without one key. */
static lb_status without(lb_arena *a, lb_yaml *map, const char *key, lb_yaml **out) {
    lb_yaml *m = LB_NEW(a, lb_yaml, 1);
    lb_yaml **item = LB_NEW(a, lb_yaml *, map->count + 1);
    if (!m || !item) return LB_E_NOMEM;
    *m = *map;
    m->item = item;
    m->count = 0;
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->item[i]->key, key) != 0) item[m->count++] = map->item[i];
    *out = m;
    return LB_OK;
}

typedef struct chain {
    const struct chain *parent;
    const char *path;
    int depth;
    int *files; /* read so far, in all */
} chain;

static lb_status load(lb_arena *a, const char *path, const chain *parent, int *files, lb_yaml **out);

static lb_status include_one(lb_arena *a, const lb_yaml *node, const char *dir, const chain *here, lb_yaml **base) {
    lb_where w = lb_config_where(node);
    if (node->kind != LB_YAML_SCALAR || !node->text[0])
        return lb_fail(LB_E_CONFIG, "%s: include: must be a path, or a list of paths", w.text);
    char *joined = lb_fs_join(dir, node->text);
    if (!joined) return LB_E_NOMEM;
    const char *path = lb_arena_strdup(a, joined);
    lb_free(joined);
    if (!path) return LB_E_NOMEM;
    for (const chain *c = here; c; c = c->parent)
        if (strcmp(c->path, path) == 0)
            return lb_fail(LB_E_CONFIG, "%s: include: '%s' includes itself", w.text, node->text);
    lb_yaml *one = NULL;
    lb_status st = load(a, path, here, here->files, &one);
    if (st != LB_OK) return st == LB_E_IO ? lb_fail_in(LB_E_CONFIG, "%s: include", w.text) : st;
    if (!*base) {
        *base = one;
        return LB_OK;
    }
    return merge(a, *base, one, base);
}

static lb_status load(lb_arena *a, const char *path, const chain *parent, int *files, lb_yaml **out) {
    chain here = {parent, path, parent ? parent->depth + 1 : 0, files};
    LB_TRY(lb_interrupt_check());
    if (here.depth > MAX_INCLUDE_DEPTH)
        return lb_fail(LB_E_CONFIG, "%s: includes are nested more than %d deep", path, MAX_INCLUDE_DEPTH);
    if (++*files > MAX_FILES) return lb_fail(LB_E_CONFIG, "%s: includes read more than %d files", path, MAX_FILES);
    lb_yaml *root = NULL;
    LB_TRY(lb_yaml_parse_file(a, path, &root));
    if (root->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: must be a map of keys: see lowbit help config", path);
    const lb_yaml *inc = lb_yaml_get(root, "include");
    if (!inc) {
        *out = root;
        return LB_OK;
    }
    char *dir = lb_fs_dirname(path);
    if (!dir) return LB_E_NOMEM;
    lb_yaml *base = NULL;
    lb_status st = LB_OK;
    if (inc->kind == LB_YAML_LIST) {
        for (size_t i = 0; i < inc->count && st == LB_OK; i++) st = include_one(a, inc->item[i], dir, &here, &base);
    } else {
        st = include_one(a, inc, dir, &here, &base);
    }
    lb_free(dir);
    LB_TRY(st);
    LB_TRY(without(a, root, "include", &root));
    if (base) LB_TRY(merge(a, base, root, &root));
    *out = root;
    return LB_OK;
}

/* "axes.bits=[2, 3]" */
lb_status lb_config_override(lb_arena *a, lb_yaml *root, const char *text) {
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) return lb_fail(LB_E_CONFIG, "-o %s: must be key=value", text);
    char *key = lb_arena_strdup(a, text);
    char *name = lb_arena_printf(a, "-o %s", text);
    if (!key || !name) return LB_E_NOMEM;
    key[eq - text] = 0;
    if (!eq[1]) return lb_fail(LB_E_CONFIG, "-o %s: no value after '='", text);
    if (strcmp(key, "include") == 0) return lb_fail(LB_E_CONFIG, "%s: include works in files only", name);
    lb_yaml *value = NULL;
    LB_TRY(lb_yaml_parse(a, name, eq + 1, strlen(eq + 1), &value));
    lb_status st = lb_yaml_set(a, root, key, value);
    return st == LB_OK ? LB_OK : lb_fail_in(st, "-o %s", text);
}

lb_status lb_config_load(lb_arena *a, const char *path, const char *const *override, int64_t n_override,
                         lb_yaml **root) {
    int files = 0;
    LB_TRY(load(a, path, NULL, &files, root));
    for (int64_t i = 0; i < n_override; i++) LB_TRY(lb_config_override(a, *root, override[i]));
    return LB_OK;
}

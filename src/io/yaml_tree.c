/* Lookup and change by path of a YAML tree. */
#include "io/yaml_tree.h"

#include <stdlib.h>
#include <string.h>

lb_status lb_yaml_append(lb_arena *a, lb_yaml *parent, lb_yaml *item) {
    size_t n = parent->count;
    if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
        lb_yaml **more = LB_NEW(a, lb_yaml *, n ? 2 * n : 1);
        if (!more) return LB_E_NOMEM;
        if (n) memcpy(more, parent->item, n * sizeof(*more));
        parent->item = more;
    }
    parent->item[parent->count++] = item;
    return LB_OK;
}

lb_yaml *lb_yaml_get(const lb_yaml *map, const char *key) {
    if (!map || map->kind != LB_YAML_MAP) return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (!strcmp(map->item[i]->key, key)) return map->item[i];
    return NULL;
}

/* One step of a path: a key, or an index in brackets. */
typedef struct step {
    const char *key; /* NULL: an index */
    size_t index;
} step;

/* Takes the next step off *at; first: no dot before a key. */
static lb_status take_step(lb_arena *a, const char *path, const char **at, bool first, step *out) {
    const char *p = *at;
    if (*p == '[' && !first) {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0 || digits > 9 || p[1 + digits] != ']')
            return lb_fail(LB_E_ARG, "'%s': '[' must be followed by a number and ']'", path);
        *out = (step){NULL, (size_t)strtoul(p + 1, NULL, 10)};
        *at = p + digits + 2;
        return LB_OK;
    }
    if (!first && *p++ != '.') return lb_fail(LB_E_ARG, "'%s': expected '.' or '[' after ']'", path);
    size_t n = strcspn(p, ".[");
    if (n == 0) return lb_fail(LB_E_ARG, "'%s': a name is missing; expected e.g. axes.bits or quantize[1].group", path);
    char *key = lb_arena_get(a, n + 1, 1);
    if (!key) return LB_E_NOMEM;
    memcpy(key, p, n);
    *out = (step){key, 0};
    *at = p + n;
    return LB_OK;
}

/* A null ("a:" with nothing after it) can become a map; any other text is in the way. */
static lb_status check_parent(const lb_yaml *n, const step *s, const char *path, size_t seen) {
    if (s->key && n->kind != LB_YAML_MAP)
        return lb_fail(LB_E_ARG, "'%s': %.*s (%s:%d) is not a map: it has no '%s'", path, (int)seen, path, n->file,
                       n->line, s->key);
    if (!s->key && n->kind != LB_YAML_LIST)
        return lb_fail(LB_E_ARG, "'%s': %.*s (%s:%d) is not a list: it has no [%zu]", path, (int)seen, path, n->file,
                       n->line, s->index);
    if (!s->key && s->index >= n->count)
        return lb_fail(LB_E_ARG, "'%s': %.*s (%s:%d) has %zu items, the first is [0]", path, (int)seen, path, n->file,
                       n->line, n->count);
    return LB_OK;
}

/* The place that holds the child, added as an empty map if a key is new. */
static lb_status child(lb_arena *a, lb_yaml *n, const step *s, const lb_yaml *value, lb_yaml ***place) {
    if (!s->key) {
        *place = &n->item[s->index];
        return LB_OK;
    }
    for (size_t i = 0; i < n->count; i++)
        if (!strcmp(n->item[i]->key, s->key)) {
            *place = &n->item[i];
            return LB_OK;
        }
    lb_yaml *fresh = LB_NEW(a, lb_yaml, 1);
    if (!fresh) return LB_E_NOMEM;
    *fresh = (lb_yaml){.kind = LB_YAML_MAP, .file = value->file, .line = value->line, .key = s->key};
    fresh->key_line = value->line;
    LB_TRY(lb_yaml_append(a, n, fresh));
    *place = &n->item[n->count - 1];
    return LB_OK;
}

/* The whole path is checked before anything changes. */
static lb_status check_path(lb_arena *a, const lb_yaml *root, const char *path) {
    const char *at = path;
    const lb_yaml *n = root;
    do {
        step s;
        size_t seen = (size_t)(at - path);
        LB_TRY(take_step(a, path, &at, at == path, &s));
        if (!n) {
            if (!s.key)
                return lb_fail(LB_E_ARG, "'%s': %.*s does not exist: it has no [%zu]", path, (int)seen, path, s.index);
            continue;
        }
        bool null = n->kind == LB_YAML_SCALAR && !n->quoted && !*n->text && s.key;
        if (!null) LB_TRY(check_parent(n, &s, seen ? path : "(top)", seen ? seen : 5));
        n = null ? NULL : s.key ? lb_yaml_get(n, s.key) : n->item[s.index];
    } while (*at);
    return LB_OK;
}

lb_status lb_yaml_set(lb_arena *a, lb_yaml *root, const char *path, lb_yaml *value) {
    const char *at = path;
    lb_yaml *n = root;
    LB_TRY(check_path(a, root, path));
    for (;;) {
        step s;
        lb_yaml **place = NULL;
        LB_TRY(take_step(a, path, &at, at == path, &s));
        if (n->kind == LB_YAML_SCALAR) { /* a null */
            n->kind = LB_YAML_MAP;
            n->text = NULL;
        }
        LB_TRY(child(a, n, &s, value, &place));
        n = *place;
        if (*at) continue;
        lb_yaml *copy = LB_NEW(a, lb_yaml, 1); /* the caller's node may be set in several places */
        if (!copy) return LB_E_NOMEM;
        *copy = *value;
        copy->key = n->key;
        copy->key_line = n->key ? value->line : 0;
        *place = copy;
        return LB_OK;
    }
}

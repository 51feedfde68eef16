/* Parsing: libyaml's events, gathered into a tree. */
#include "io/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/fs.h"
#include "base/scalar.h"
#include "io/yaml_tree.h"

#define MAX_DEPTH 64     /* configs are a few levels deep; the reader below recurses */
#define MAX_NODES 100000 /* an alias copies what it names: aliases of aliases can grow without end */

typedef struct anchor {
    struct anchor *next;
    const char *name;
    const lb_yaml *node;
} anchor;

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one, once `held` */
    bool held;
    lb_arena *arena;
    const char *name; /* of the file, for messages and nodes */
    anchor *anchors;  /* newest first: a later anchor of the same name hides the earlier */
    int nodes, depth;
} reader;

static int line_of(const yaml_event_t *e) { return (int)e->start_mark.line + 1; }

static lb_status syntax_error(const reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return lb_fail(LB_E_NOMEM, "%s: out of memory for its YAML", r->name);
    if (p->error == YAML_READER_ERROR)
        return lb_fail(LB_E_CONFIG, "%s: byte %zu: not valid YAML: %s", r->name, p->problem_offset,
                       p->problem ? p->problem : "unreadable text");
    return lb_fail(LB_E_CONFIG, "%s:%d: not valid YAML: %s%s%s", r->name, (int)p->problem_mark.line + 1,
                   p->problem ? p->problem : "syntax error", p->context ? ", " : "", p->context ? p->context : "");
}

static lb_status next(reader *r) {
    if (r->held) yaml_event_delete(&r->event);
    r->held = yaml_parser_parse(&r->parser, &r->event);
    return r->held ? LB_OK : syntax_error(r);
}

static char *copy_text(lb_arena *a, const void *p, size_t n) {
    char *s = lb_arena_get(a, n + 1, 1);
    if (s) memcpy(s, p, n);
    return s;
}

static lb_status new_node(reader *r, lb_yaml_kind kind, int line, lb_yaml **out) {
    if (++r->nodes > MAX_NODES)
        return lb_fail(LB_E_CONFIG, "%s:%d: more than %d values (aliases count each time)", r->name, line, MAX_NODES);
    lb_yaml *n = LB_NEW(r->arena, lb_yaml, 1);
    if (!n) return LB_E_NOMEM;
    n->kind = kind;
    n->file = r->name;
    n->line = line;
    *out = n;
    return LB_OK;
}

/* A deep copy: the same subtree under two keys must not change in both places when lb_yaml_set changes one. */
static lb_status copy_node(reader *r, const lb_yaml *from, lb_yaml **out) {
    LB_TRY(new_node(r, from->kind, from->line, out));
    int line = (*out)->line;
    **out = *from;
    (*out)->line = line;
    (*out)->key = NULL;
    (*out)->item = NULL;
    if (from->count == 0) return LB_OK;
    (*out)->item = LB_NEW(r->arena, lb_yaml *, from->count);
    if (!(*out)->item) return LB_E_NOMEM;
    for (size_t i = 0; i < from->count; i++) {
        LB_TRY(copy_node(r, from->item[i], &(*out)->item[i]));
        (*out)->item[i]->key = from->item[i]->key;
        (*out)->item[i]->key_line = from->item[i]->key_line;
    }
    return LB_OK;
}

static lb_status alias(reader *r, lb_yaml **out) {
    const char *name = (const char *)r->event.data.alias.anchor;
    for (const anchor *a = r->anchors; a; a = a->next)
        if (!strcmp(a->name, name)) return copy_node(r, a->node, out);
    return lb_fail(LB_E_CONFIG, "%s:%d: alias *%s has no anchor before it", r->name, line_of(&r->event), name);
}

static lb_status keep_anchor(reader *r, const char *name, const lb_yaml *node) {
    anchor *a = LB_NEW(r->arena, anchor, 1);
    if (!a) return LB_E_NOMEM;
    *a = (anchor){r->anchors, name, node};
    r->anchors = a;
    return LB_OK;
}

static lb_status refuse_tag(const reader *r, const yaml_char_t *tag) {
    if (!tag) return LB_OK;
    return lb_fail(LB_E_CONFIG,
                   "%s:%d: tag %.60s: tags are not supported: a text goes in quotes, anything else as it is", r->name,
                   line_of(&r->event), (const char *)tag);
}

static lb_status scalar(reader *r, lb_yaml **out) {
    const yaml_event_t *e = &r->event;
    size_t n = e->data.scalar.length;
    if (memchr(e->data.scalar.value, 0, n))
        return lb_fail(LB_E_CONFIG, "%s:%d: a text holds a NUL character", r->name, line_of(e));
    LB_TRY(new_node(r, LB_YAML_SCALAR, line_of(e), out));
    (*out)->text = copy_text(r->arena, e->data.scalar.value, n);
    /* several lines are no number either, and can only be written in quotes */
    (*out)->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || memchr(e->data.scalar.value, '\n', n);
    if (!(*out)->text) return LB_E_NOMEM;
    lb_status s = (*out)->quoted ? LB_OK : lb_scalar_check((*out)->text, false);
    return s == LB_OK ? LB_OK : lb_fail_in(s, "%s:%d", r->name, line_of(e));
}

static lb_status read_node(reader *r, lb_yaml **out);

static lb_status list(reader *r, lb_yaml **out) {
    LB_TRY(new_node(r, LB_YAML_LIST, line_of(&r->event), out));
    for (;;) {
        lb_yaml *item = NULL;
        LB_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return LB_OK;
        LB_TRY(read_node(r, &item));
        LB_TRY(lb_yaml_append(r->arena, *out, item));
    }
}

/* The current event as a map's key. */
static lb_status read_key(reader *r, const char **key, int *line) {
    const yaml_event_t *e = &r->event;
    *line = line_of(e);
    if (e->type != YAML_SCALAR_EVENT) return lb_fail(LB_E_CONFIG, "%s:%d: a key must be plain text", r->name, *line);
    LB_TRY(refuse_tag(r, e->data.scalar.tag));
    if (e->data.scalar.anchor)
        return lb_fail(LB_E_CONFIG, "%s:%d: an anchor on a key is not supported", r->name, *line);
    if (memchr(e->data.scalar.value, 0, e->data.scalar.length) || e->data.scalar.length == 0)
        return lb_fail(LB_E_CONFIG, "%s:%d: a key is empty or holds a NUL character", r->name, *line);
    *key = copy_text(r->arena, e->data.scalar.value, e->data.scalar.length);
    if (!*key) return LB_E_NOMEM;
    if (!strcmp(*key, "<<") && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return lb_fail(LB_E_CONFIG, "%s:%d: merge keys (<<) are of YAML 1.1: write the keys out, or use include",
                       r->name, *line);
    return LB_OK;
}

static int by_key_and_line(const void *a, const void *b) {
    const lb_yaml *x = *(const lb_yaml *const *)a, *y = *(const lb_yaml *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->key_line > y->key_line) - (x->key_line < y->key_line);
}

static lb_status check_duplicates(const reader *r, const lb_yaml *map) {
    if (map->count < 2) return LB_OK;
    lb_yaml **order = lb_alloc(map->count, sizeof *order);
    if (!order) return LB_E_NOMEM;
    memcpy(order, map->item, map->count * sizeof *order);
    qsort(order, map->count, sizeof *order, by_key_and_line);
    lb_status s = LB_OK;
    for (size_t i = 1; i < map->count && s == LB_OK; i++)
        if (!strcmp(order[i - 1]->key, order[i]->key))
            s = lb_fail(LB_E_CONFIG, "%s:%d: key '%s' again: it is already set in line %d", r->name, order[i]->key_line,
                        order[i]->key, order[i - 1]->key_line);
    lb_free(order);
    return s;
}

static lb_status map(reader *r, lb_yaml **out) {
    LB_TRY(new_node(r, LB_YAML_MAP, line_of(&r->event), out));
    for (;;) {
        const char *key = NULL;
        int line = 0;
        lb_yaml *value = NULL;
        LB_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return check_duplicates(r, *out);
        LB_TRY(read_key(r, &key, &line));
        LB_TRY(next(r));
        LB_TRY(read_node(r, &value));
        value->key = key;
        value->key_line = line;
        LB_TRY(lb_yaml_append(r->arena, *out, value));
    }
}

/* The node that the current event begins; afterwards the current event is its last. */
static lb_status read_node(reader *r, lb_yaml **out) {
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT) return alias(r, out);
    if (++r->depth > MAX_DEPTH)
        return lb_fail(LB_E_CONFIG, "%s:%d: nested deeper than %d", r->name, line_of(e), MAX_DEPTH);
    bool is_scalar = e->type == YAML_SCALAR_EVENT, is_list = e->type == YAML_SEQUENCE_START_EVENT;
    const yaml_char_t *name = is_scalar ? e->data.scalar.anchor
                              : is_list ? e->data.sequence_start.anchor
                                        : e->data.mapping_start.anchor;
    const char *kept = NULL; /* the event's own copy goes with the event */
    LB_TRY(refuse_tag(r, is_scalar ? e->data.scalar.tag
                         : is_list ? e->data.sequence_start.tag
                                   : e->data.mapping_start.tag));
    if (name && !(kept = lb_arena_strdup(r->arena, (const char *)name))) return LB_E_NOMEM;
    LB_TRY(is_scalar ? scalar(r, out) : is_list ? list(r, out) : map(r, out));
    r->depth--;
    return kept ? keep_anchor(r, kept, *out) : LB_OK;
}

static lb_status read_stream(reader *r, lb_yaml **out) {
    LB_TRY(next(r)); /* stream start */
    LB_TRY(next(r)); /* document start, or the end of an empty stream */
    if (r->event.type == YAML_STREAM_END_EVENT) {
        LB_TRY(new_node(r, LB_YAML_SCALAR, 1, out));
        (*out)->text = "";
        return LB_OK;
    }
    const yaml_version_directive_t *v = r->event.data.document_start.version_directive;
    if (v && (v->major != 1 || v->minor < 2))
        return lb_fail(LB_E_CONFIG, "%s:%d: %%YAML %d.%d: this is read by the rules of YAML 1.2: take that line out",
                       r->name, line_of(&r->event), v->major, v->minor);
    LB_TRY(next(r));
    LB_TRY(read_node(r, out));
    LB_TRY(next(r)); /* document end */
    LB_TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return lb_fail(LB_E_CONFIG, "%s:%d: a second document begins: only one is read", r->name, line_of(&r->event));
    return LB_OK;
}

lb_status lb_yaml_parse(lb_arena *a, const char *name, const char *text, size_t len, lb_yaml **out) {
    reader r = {.arena = a};
    *out = NULL;
    r.name = lb_arena_strdup(a, name);
    if (!r.name) return LB_E_NOMEM;
    if (!yaml_parser_initialize(&r.parser)) return lb_fail(LB_E_NOMEM, "%s: out of memory for its YAML", name);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    lb_status s = read_stream(&r, out);
    if (r.held) yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (s != LB_OK) *out = NULL;
    return s;
}

lb_status lb_yaml_parse_file(lb_arena *a, const char *path, lb_yaml **out) {
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    LB_TRY(lb_fs_read_most(path, LB_YAML_MOST, &text, &len));
    lb_status s = lb_yaml_parse(a, path, text, len, out);
    lb_free(text);
    return s;
}

/* The flat form of an HDF5 file, checked and made searchable. Nothing in it is believed: it comes from a process that
 * read a file of unknown origin. */
#include <stdlib.h>
#include <string.h>

#include "io/h5_file.h"
#include "io/h5_flat.h"

struct lb_h5_tree {
    lb_str flat;
    lb_h5_entry *entry; /* sorted by object, then attribute, the object itself first */
    size_t n, cap;
};

typedef struct reader {
    const char *path, *at, *end;
    lb_h5_tree *t;
    const char *object; /* the last one seen */
} reader;

static lb_status broken(const reader *r, const char *what) {
    return lb_fail(LB_E_FORMAT, "%s: what was read from it makes no sense: %s", r->path, what);
}

static lb_status take(reader *r, size_t n, const char **out) {
    if ((size_t)(r->end - r->at) < n) return broken(r, "it ends too early");
    *out = r->at;
    r->at += n;
    return LB_OK;
}

/* With its NUL, and no other. */
static lb_status take_name(reader *r, size_t n, const char **out) {
    if (n < 1 || n > LB_H5_PATH) return broken(r, "a name's length");
    LB_TRY(take(r, n, out));
    return memchr(*out, 0, n) == *out + n - 1 ? LB_OK : broken(r, "a name's end");
}

static lb_status check_texts(const reader *r, const lb_h5_entry *e) {
    int64_t ends = 0;
    for (size_t i = 0; i < e->bytes; i++) ends += e->data[i] == 0;
    if (ends != e->count || (e->bytes && e->data[e->bytes - 1])) return broken(r, "the number of texts");
    return LB_OK;
}

static lb_status check_values(const reader *r, const lb_h5_entry *e) {
    static const size_t size[] = {[LB_FLAT_F64] = 8, [LB_FLAT_F32] = 4, [LB_FLAT_I64] = 8};
    size_t bytes;
    if (e->type == LB_FLAT_OTHER) return e->bytes ? broken(r, "data without a type") : LB_OK;
    if (e->type == LB_FLAT_TEXT) return check_texts(r, e);
    if (e->type == LB_FLAT_BYTES)
        return e->ndim != 1 || e->bytes != sizeof(int64_t) ? broken(r, "the place of bytes") : LB_OK;
    if (__builtin_mul_overflow((size_t)e->count, size[e->type], &bytes) || bytes != e->bytes)
        return broken(r, "the size of data");
    return LB_OK;
}

static lb_status check_shape(const reader *r, const lb_flat_head *h, lb_h5_entry *e) {
    if (h->ndim > 4 && h->type != LB_FLAT_OTHER) return broken(r, "the number of dimensions");
    e->ndim = h->ndim;
    e->count = 1;
    for (int i = 0; i < e->ndim && i < 4; i++) {
        e->shape[i] = h->shape[i];
        if (e->shape[i] < 0 || __builtin_mul_overflow(e->count, e->shape[i], &e->count)) return broken(r, "a shape");
    }
    return LB_OK;
}

static lb_status add(reader *r, const lb_h5_entry *e) {
    lb_h5_tree *t = r->t;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        lb_h5_entry *more = lb_realloc(t->entry, t->cap, cap, sizeof *more);
        if (!more) return LB_E_NOMEM;
        t->entry = more;
        t->cap = cap;
    }
    t->entry[t->n++] = *e;
    return LB_OK;
}

static lb_status read_entry(reader *r, const lb_flat_head *h) {
    lb_h5_entry e = {.type = (lb_flat_type)h->type, .dataset = h->kind == LB_FLAT_DATASET, .bytes = h->bytes};
    const char *name;
    if (h->type > LB_FLAT_BYTES) return broken(r, "a type");
    LB_TRY(take_name(r, h->name, &name));
    LB_TRY(check_shape(r, h, &e));
    LB_TRY(take(r, h->bytes, &e.data));
    LB_TRY(check_values(r, &e));
    if (h->kind == LB_FLAT_ATTRIBUTE) {
        if (!r->object) return broken(r, "an attribute of nothing");
        e.object = r->object;
        e.attr = name;
    } else {
        if (name[0] != '/') return broken(r, "an object's path");
        e.object = r->object = name;
    }
    return add(r, &e);
}

/* What the child could not read, in its own words. */
static lb_status read_failure(reader *r, const lb_flat_head *h) {
    const char *message;
    LB_TRY(take_name(r, h->name, &message));
    if (!*message) return broken(r, "a failure without words");
    bool known = h->shape[0] == LB_E_NOMEM || h->shape[0] == LB_E_IO;
    return lb_fail(known ? (lb_status)h->shape[0] : LB_E_FORMAT, "%s", message);
}

static int by_place(const void *x, const void *y) {
    const lb_h5_entry *a = x, *b = y;
    int c = strcmp(a->object, b->object);
    return c ? c : strcmp(a->attr ? a->attr : "", b->attr ? b->attr : "");
}

static lb_status read_entries(reader *r) {
    for (;;) {
        lb_flat_head h;
        const char *at = NULL;
        LB_TRY(take(r, sizeof h, &at));
        memcpy(&h, at, sizeof h);
        if (h.magic != LB_FLAT_MAGIC) return broken(r, "a head");
        if (h.kind == LB_FLAT_FAILED) return read_failure(r, &h);
        if (h.kind == LB_FLAT_END) {
            LB_TRY(take_name(r, h.name, &at));
            break;
        }
        if (h.kind < LB_FLAT_GROUP || h.kind > LB_FLAT_ATTRIBUTE) return broken(r, "a kind");
        LB_TRY(read_entry(r, &h));
    }
    if (r->at != r->end) return broken(r, "something comes after its end");
    if (r->t->n) qsort(r->t->entry, r->t->n, sizeof *r->t->entry, by_place);
    for (size_t i = 1; i < r->t->n; i++)
        if (!by_place(&r->t->entry[i - 1], &r->t->entry[i])) return broken(r, "a name comes twice");
    return LB_OK;
}

lb_status lb_h5_tree_parse(const char *path, lb_str *flat, lb_h5_tree **out) {
    *out = NULL;
    lb_h5_tree *t = lb_alloc(1, sizeof *t);
    if (!t) {
        lb_str_free(flat);
        return LB_E_NOMEM;
    }
    t->flat = *flat;
    *flat = (lb_str){0};
    const char *start = t->flat.len ? t->flat.s : "";
    reader r = {path, start, start + t->flat.len, t, NULL};
    lb_status st = read_entries(&r);
    if (st != LB_OK) {
        lb_h5_tree_free(t);
        return st;
    }
    *out = t;
    return LB_OK;
}

void lb_h5_tree_free(lb_h5_tree *t) {
    if (!t) return;
    lb_free(t->entry);
    lb_str_free(&t->flat);
    lb_free(t);
}

const lb_h5_entry *lb_h5_tree_find(const lb_h5_tree *t, const char *object, const char *attr) {
    const lb_h5_entry key = {.object = object, .attr = attr};
    return t->n ? bsearch(&key, t->entry, t->n, sizeof *t->entry, by_place) : NULL;
}

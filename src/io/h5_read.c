/* Reading: the whole file is read when it is opened, by a child process (h5_walk.c); these look into what came back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fs.h"
#include "io/h5_file.h"
#include "io/h5_flat.h"

/* One child reads all the files: to start one for each takes longer than to read it. For each it sends the length of
 * the flat form and that. When it ends badly, this may be the late harm of a file before: one that began with this file
 * decides. */
struct lb_h5_reader {
    const char *const *path;
    size_t n, next;
    lb_child child;
    size_t first; /* file of this child */
};

static bool work(void *user, int out) {
    const lb_h5_reader *r = user;
    bool sent = true;
    for (size_t i = r->next; i < r->n && sent; i++) {
        lb_str flat = {0};
        lb_h5_walk(r->path[i], &flat);
        uint64_t length = flat.len;
        sent = length > 0 && lb_child_write(out, &length, sizeof length) && lb_child_write(out, flat.s, flat.len);
        lb_str_free(&flat);
    }
    return sent;
}

lb_status lb_h5_reader_new(const char *const *path, size_t n, lb_h5_reader **out) {
    *out = lb_alloc(1, sizeof **out);
    if (!*out) return LB_E_NOMEM;
    **out = (lb_h5_reader){.path = path, .n = n};
    return LB_OK;
}

void lb_h5_reader_free(lb_h5_reader *r) {
    if (r) lb_child_end(&r->child);
    lb_free(r);
}

static lb_status receive(lb_h5_reader *r, lb_str *flat) {
    enum { WALL_S = 60, MEMORY = 256 << 20 };
    uint64_t length;
    char part[16384];
    if (!r->child.pid) {
        r->first = r->next;
        LB_TRY(lb_child_start(work, r, MEMORY, &r->child));
    }
    LB_TRY(lb_child_read(&r->child, &length, sizeof length, WALL_S));
    if (length > LB_FLAT_MAX + 65536) return lb_fail(LB_E_FORMAT, "more than %zu bytes come out of it", LB_FLAT_MAX);
    while (length > 0) {
        size_t n = length < sizeof part ? (size_t)length : sizeof part;
        LB_TRY(lb_child_read(&r->child, part, n, WALL_S));
        lb_str_add_bytes(flat, part, n);
        LB_TRY(lb_str_check(flat));
        length -= n;
    }
    return LB_OK;
}

lb_status lb_h5_blame(lb_status st, const char *path) {
    static const char damaged[] = " is damaged: ";
    size_t n = strlen(path);
    if (st == LB_OK || st == LB_E_INTERRUPTED) return st;
    char *text = lb_strdup(lb_error());
    if (!text) return LB_E_NOMEM;
    bool named = strncmp(text, path, n) == 0;
    const char *why = named && text[n] == ':' ? text + n + 1 + (text[n + 1] == ' ') : text;
    if (!named || strncmp(text + n, damaged, sizeof damaged - 1) != 0)
        st = lb_fail(st, "%s%s%s", path, st == LB_E_FORMAT ? damaged : ": ", why);
    lb_free(text);
    return st;
}

lb_status lb_h5_from_flat(const char *path, lb_str *flat, lb_h5 **out) {
    lb_h5 *h = NULL;
    *out = NULL;
    LB_TRY(lb_h5_handle(path, &h));
    lb_status st = lb_h5_tree_parse(path, flat, &h->tree);
    if (st == LB_OK)
        *out = h;
    else
        lb_h5_abandon(h);
    return st;
}

static lb_status next(lb_h5_reader *r, lb_h5 **out) {
    lb_str flat = {0};
    const char *path = r->path[r->next];
    lb_status st = receive(r, &flat);
    if (st != LB_OK) lb_child_end(&r->child);
    if (st == LB_E_FORMAT && r->first != r->next) {
        flat.len = 0;
        st = receive(r, &flat);
        if (st != LB_OK) lb_child_end(&r->child);
    }
    r->next++;
    if (st == LB_OK) st = lb_h5_from_flat(path, &flat, out);
    lb_str_free(&flat);
    return lb_h5_blame(st, path);
}

lb_status lb_h5_open_ahead(lb_h5_reader *r, const char *path, lb_h5 **out) {
    *out = NULL;
    if (r && r->next < r->n && !strcmp(r->path[r->next], path)) return next(r, out);
    lb_h5_reader alone = {.path = &path, .n = 1};
    lb_status st = next(&alone, out);
    lb_child_end(&alone.child);
    return st;
}

lb_status lb_h5_open(const char *path, lb_h5 **out) { return lb_h5_open_ahead(NULL, path, out); }

static lb_status find(lb_h5 *h, const char *path, const lb_h5_entry **out) {
    LB_TRY(lb_h5_check_path(h, path, false));
    if (!h->tree) return lb_fail(LB_E_ARG, "%s: %s: the file is open for writing", h->path, path);
    *out = lb_h5_tree_find(h->tree, path, NULL);
    if (!*out) return lb_fail(LB_E_FORMAT, "%s: no dataset %s", h->path, path);
    if (!(*out)->dataset) return lb_fail(LB_E_FORMAT, "%s: %s is a group, not a dataset", h->path, path);
    return LB_OK;
}

/* float64 holds every float32. */
static bool fits(const lb_h5_entry *e, lb_flat_type type) {
    return e->type == type || (type == LB_FLAT_F64 && e->type == LB_FLAT_F32);
}

static void copy_values(const lb_h5_entry *e, lb_flat_type type, void *to) {
    float single;
    if (e->type == type) {
        if (e->bytes) memcpy(to, e->data, e->bytes);
        return;
    }
    for (int64_t i = 0; i < e->count; i++) {
        memcpy(&single, e->data + (size_t)i * sizeof single, sizeof single);
        ((double *)to)[i] = single;
    }
}

static lb_status get(lb_h5 *h, lb_arena *a, const char *path, lb_flat_type type, const char *expected, void **v,
                     int64_t *n) {
    const lb_h5_entry *e = NULL;
    *v = NULL;
    LB_TRY(find(h, path, &e));
    if (!fits(e, type)) return lb_fail(LB_E_FORMAT, "%s: %s is not %s", h->path, path, expected);
    *v = lb_arena_get_unset(a, (size_t)e->count, sizeof(double)); /* or int64_t */
    if (!*v) return LB_E_NOMEM;
    *n = e->count;
    copy_values(e, type, *v);
    return LB_OK;
}

lb_status lb_h5_get_f64(lb_h5 *h, lb_arena *a, const char *path, double **v, int64_t *n) {
    void *p = NULL;
    LB_TRY(get(h, a, path, LB_FLAT_F64, "float64 or float32", &p, n));
    *v = p;
    return LB_OK;
}

lb_status lb_h5_get_i64(lb_h5 *h, lb_arena *a, const char *path, int64_t **v, int64_t *n) {
    void *p = NULL;
    LB_TRY(get(h, a, path, LB_FLAT_I64, "an integer that fits int64", &p, n));
    *v = p;
    return LB_OK;
}

lb_status lb_h5_shape(lb_h5 *h, const char *path, int *ndim, int64_t shape[4]) {
    const lb_h5_entry *e = NULL;
    LB_TRY(find(h, path, &e));
    if (e->ndim > 4) return lb_fail(LB_E_FORMAT, "%s: %s has %d dimensions: at most 4", h->path, path, e->ndim);
    *ndim = e->ndim;
    memcpy(shape, e->shape, sizeof e->shape);
    return LB_OK;
}

static lb_status find_bytes(lb_h5 *h, const char *path, int64_t *at, int64_t *n) {
    const lb_h5_entry *e = NULL;
    LB_TRY(find(h, path, &e));
    if (e->type != LB_FLAT_BYTES) return lb_fail(LB_E_FORMAT, "%s: %s is not a list of bytes", h->path, path);
    memcpy(at, e->data, sizeof *at);
    *n = e->count;
    if (*n == 0 || *at >= 0) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s is not in one piece", h->path, path);
}

lb_status lb_h5_bytes(lb_h5 *h, const char *path, int64_t *n) {
    int64_t at = 0;
    return find_bytes(h, path, &at, n);
}

lb_status lb_h5_get_bytes(lb_h5 *h, const char *path, int64_t first, int64_t n, void *to) {
    int64_t at = 0, have = 0;
    int fd;
    size_t size;
    LB_TRY(find_bytes(h, path, &at, &have));
    if (first < 0 || n < 0 || first > have || n > have - first)
        return lb_fail(LB_E_FORMAT, "%s: %s has %lld bytes: there are none at %lld to %lld", h->path, path,
                       (long long)have, (long long)first, (long long)(first + n));
    LB_TRY(lb_fs_open(h->path, &fd, &size));
    lb_status st = LB_OK;
    if (n > 0 && ((uint64_t)at + (uint64_t)have > size))
        st = lb_fail(LB_E_FORMAT, "%s: %s ends after the file does", h->path, path);
    for (char *p = to; n > 0 && st == LB_OK;) {
        ssize_t got = pread(fd, p, (size_t)n, (off_t)(at + first));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) st = lb_fail(LB_E_IO, "%s: cannot read: %s", h->path, strerror(errno));
        if (got == 0) st = lb_fail(LB_E_FORMAT, "%s: %s: cut short while it was read", h->path, path);
        if (got > 0) p += got, first += got, n -= got;
    }
    close(fd);
    return st;
}

lb_status lb_h5_get_strs(lb_h5 *h, lb_arena *a, const char *path, char ***v, int64_t *n) {
    const lb_h5_entry *e = NULL;
    *v = NULL;
    LB_TRY(find(h, path, &e));
    if (e->type != LB_FLAT_TEXT || e->ndim != 1)
        return lb_fail(LB_E_FORMAT, "%s: %s is not a list of variable-length strings", h->path, path);
    char **text = LB_NEW(a, char *, e->count), *all = lb_arena_get_unset(a, e->bytes + 1, 1);
    if (!text || !all) return LB_E_NOMEM;
    if (e->bytes) memcpy(all, e->data, e->bytes);
    for (int64_t i = 0; i < e->count; i++, all += strlen(all) + 1) text[i] = all;
    *v = text;
    *n = e->count;
    return LB_OK;
}

bool lb_h5_has_attr(lb_h5 *h, const char *object, const char *name) {
    return h->tree && lb_h5_tree_find(h->tree, object, name) != NULL;
}

/* An attribute with one value. */
static lb_status find_attr(lb_h5 *h, const char *object, const char *name, const lb_h5_entry **out) {
    LB_TRY(lb_h5_check_path(h, object, true));
    if (!lb_h5_has_attr(h, object, name))
        return lb_fail(LB_E_FORMAT, "%s: %s has no attribute %s", h->path, object, name);
    *out = lb_h5_tree_find(h->tree, object, name);
    if ((*out)->count == 1) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s: attribute %s is not one value", h->path, object, name);
}

static lb_status attr_number(lb_h5 *h, const char *object, const char *name, lb_flat_type type, const char *expected,
                             void *v) {
    const lb_h5_entry *e = NULL;
    LB_TRY(find_attr(h, object, name, &e));
    if (!fits(e, type)) return lb_fail(LB_E_FORMAT, "%s: %s: attribute %s is not %s", h->path, object, name, expected);
    copy_values(e, type, v);
    return LB_OK;
}

lb_status lb_h5_get_attr_f64(lb_h5 *h, const char *object, const char *name, double *v) {
    return attr_number(h, object, name, LB_FLAT_F64, "a float", v);
}

lb_status lb_h5_get_attr_i64(lb_h5 *h, const char *object, const char *name, int64_t *v) {
    return attr_number(h, object, name, LB_FLAT_I64, "an integer that fits int64", v);
}

lb_status lb_h5_get_attr_str(lb_h5 *h, lb_arena *a, const char *object, const char *name, char **v) {
    const lb_h5_entry *e = NULL;
    LB_TRY(find_attr(h, object, name, &e));
    if (e->type != LB_FLAT_TEXT)
        return lb_fail(LB_E_FORMAT, "%s: %s: attribute %s is not a variable-length string", h->path, object, name);
    *v = lb_arena_strdup(a, e->data);
    return *v ? LB_OK : LB_E_NOMEM;
}

/* Reading with libhdf5, which believes the lengths it finds in a file: a damaged one makes it read far out of bounds,
 * ask for all memory or never return, and a checksum does not help against who made the file. So it runs in a child
 * process that has limits, and sends what it read in the flat form. Other files that a file may refer to (links,
 * external data, virtual datasets, filters as plug-ins) are not read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/child.h"
#include "io/h5_file.h"
#include "io/h5_flat.h"

enum { FLAT_FACTOR = 4 };

typedef struct walker {
    const char *path;
    lb_h5 *h;
    size_t left; /* bytes that may still come */
    lb_str *flat;
    char object[LB_H5_PATH];
    lb_status status; /* of what stopped an iteration */
} walker;

/* An honest file is hardly larger in the flat form; one that names the same bytes many times is. */
static lb_status too_much(const walker *w) {
    return lb_fail(LB_E_FORMAT, "%s: %s: more values than a file of its size holds", w->path, w->object);
}

static lb_status put(walker *w, lb_flat_head h, const char *name, const void *data, size_t bytes) {
    h.magic = LB_FLAT_MAGIC;
    h.name = strlen(name) + 1;
    h.bytes = bytes;
    size_t frame = sizeof h + h.name;
    if (w->left < frame || w->left - frame < bytes) return too_much(w);
    w->left -= frame + bytes;
    lb_str_add_bytes(w->flat, &h, sizeof h);
    lb_str_add_bytes(w->flat, name, h.name);
    if (bytes) lb_str_add_bytes(w->flat, data, bytes);
    return lb_str_check(w->flat);
}

/* A dataset or an attribute that is open, with what it holds. */
typedef struct values {
    hid_t id, type, space;
    bool attribute;
    const char *name; /* of the attribute, "" of a dataset */
    lb_flat_head head;
    size_t count;
} values;

/* The type in memory, and in the flat form: integers as int64, floats as float32 or float64; never with loss. */
static lb_flat_type flat_type(hid_t type, hid_t *memory) {
    size_t size = H5Tget_size(type);
    *memory = -1;
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        if (size > 8 || (size == 8 && H5Tget_sign(type) != H5T_SGN_2)) return LB_FLAT_OTHER;
        *memory = H5T_NATIVE_INT64;
        return LB_FLAT_I64;
    case H5T_FLOAT:
        if (size > 8) return LB_FLAT_OTHER;
        *memory = size > 4 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
        return size > 4 ? LB_FLAT_F64 : LB_FLAT_F32;
    case H5T_STRING:
        if (H5Tis_variable_str(type) <= 0) return LB_FLAT_OTHER;
        *memory = type;
        return LB_FLAT_TEXT;
    default:
        return LB_FLAT_OTHER;
    }
}

static lb_status inspect(walker *w, values *v) {
    hsize_t dim[H5S_MAX_RANK];
    int ndim = H5Sget_simple_extent_dims(v->space, dim, NULL);
    if (ndim < 0) return lb_h5_failed(w->h, LB_E_FORMAT, w->object, "read a shape");
    v->head.ndim = (uint8_t)ndim;
    v->count = 1;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] > INT64_MAX || __builtin_mul_overflow(v->count, dim[i], &v->count) || v->count > INT64_MAX)
            return lb_fail(LB_E_FORMAT, "%s: %s has an impossible shape", w->path, w->object);
        if (i < 4) v->head.shape[i] = (int64_t)dim[i];
    }
    if (H5Sget_simple_extent_type(v->space) == H5S_NULL)
        return lb_fail(LB_E_FORMAT, "%s: %s has no shape", w->path, w->object);
    return LB_OK;
}

static herr_t read_raw(const values *v, hid_t memory, void *to) {
    return v->attribute ? H5Aread(v->id, memory, to) : H5Dread(v->id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
}

static lb_status put_numbers(walker *w, values *v, hid_t memory) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(v->count, v->head.type == LB_FLAT_F32 ? (size_t)4 : 8, &bytes) || bytes > w->left)
        return too_much(w);
    void *data = lb_alloc(bytes + 1, 1);
    if (!data) return LB_E_NOMEM;
    lb_status st =
        v->count && read_raw(v, memory, data) < 0 ? lb_h5_failed(w->h, LB_E_FORMAT, w->object, "read") : LB_OK;
    if (st == LB_OK) st = put(w, v->head, v->attribute ? v->name : w->object, data, bytes);
    lb_free(data);
    return st;
}

/* HDF5's strings, one after another; an empty one may come as NULL. */
static lb_status put_texts(walker *w, values *v, hid_t memory) {
    char **raw;
    lb_str all = {0};
    if (v->count > w->left / sizeof *raw) return too_much(w);
    raw = lb_alloc(v->count + 1, sizeof *raw);
    if (!raw) return LB_E_NOMEM;
    lb_status st =
        v->count && read_raw(v, memory, raw) < 0 ? lb_h5_failed(w->h, LB_E_FORMAT, w->object, "read") : LB_OK;
    for (size_t i = 0; i < v->count && st == LB_OK; i++) {
        const char *s = raw[i] ? raw[i] : "";
        size_t n = strlen(s) + 1;
        if (all.len + n > w->left) st = too_much(w);
        if (st == LB_OK) lb_str_add_bytes(&all, s, n);
    }
    if (st == LB_OK) st = lb_str_check(&all);
    if (st == LB_OK) st = put(w, v->head, v->attribute ? v->name : w->object, all.s, all.len);
    lb_str_free(&all);
    if (v->count && raw[0]) (void)H5Dvlen_reclaim(memory, v->space, H5P_DEFAULT, raw);
    lb_free(raw);
    return st;
}

/* A list of bytes is not read, but told where it is; of one that is in pieces nothing is. */
static bool is_bytes(const values *v) {
    return !v->attribute && v->head.ndim == 1 && H5Tget_class(v->type) == H5T_INTEGER && H5Tget_size(v->type) == 1 &&
           H5Tget_sign(v->type) == H5T_SGN_NONE;
}

static lb_status put_place(walker *w, values *v) {
    haddr_t at = H5Dget_offset(v->id);
    H5Eclear2(H5E_DEFAULT);
    int64_t place = at <= INT64_MAX ? (int64_t)at : -1; /* HADDR_UNDEF: nothing was written, or it is in pieces */
    v->head.type = LB_FLAT_BYTES;
    return put(w, v->head, w->object, &place, sizeof place);
}

static lb_status put_values(walker *w, values *v) {
    hid_t memory;
    if (v->type < 0 || v->space < 0) return lb_h5_failed(w->h, LB_E_FORMAT, w->object, "read a type");
    LB_TRY(inspect(w, v));
    lb_flat_type type = flat_type(v->type, &memory);
    if (v->head.ndim > 4) type = LB_FLAT_OTHER;
    v->head.type = (uint8_t)type;
    v->head.kind = v->attribute ? LB_FLAT_ATTRIBUTE : LB_FLAT_DATASET;
    if (is_bytes(v)) return put_place(w, v);
    if (type == LB_FLAT_OTHER) return put(w, v->head, v->attribute ? v->name : w->object, NULL, 0);
    return type == LB_FLAT_TEXT ? put_texts(w, v, memory) : put_numbers(w, v, memory);
}

/* Its data lies in this file. */
static lb_status check_layout(walker *w, hid_t set) {
    hid_t create = H5Dget_create_plist(set);
    H5D_layout_t layout = create >= 0 ? H5Pget_layout(create) : H5D_LAYOUT_ERROR;
    int outside = layout != H5D_LAYOUT_ERROR ? H5Pget_external_count(create) : -1;
    (void)lb_h5_drop(create);
    if (outside < 0) return lb_h5_failed(w->h, LB_E_FORMAT, w->object, "read the layout");
    if (outside > 0 || layout == H5D_VIRTUAL)
        return lb_fail(LB_E_FORMAT, "%s: %s keeps its data in another file", w->path, w->object);
    return LB_OK;
}

static lb_status walk_dataset(walker *w) {
    values v = {.id = H5Dopen2(w->h->file, w->object, H5P_DEFAULT), .type = -1, .space = -1, .name = ""};
    if (v.id < 0) return lb_h5_failed(w->h, LB_E_FORMAT, w->object, "open as a dataset");
    lb_status st = check_layout(w, v.id);
    if (st == LB_OK) {
        v.type = H5Dget_type(v.id);
        v.space = H5Dget_space(v.id);
        st = put_values(w, &v);
    }
    (void)lb_h5_drop(v.space);
    (void)lb_h5_drop(v.type);
    (void)lb_h5_drop(v.id);
    return st;
}

static herr_t each_attribute(hid_t object, const char *name, const H5A_info_t *info, void *ctx) {
    (void)info;
    walker *w = ctx;
    if (strlen(name) >= LB_H5_PATH || !*name) {
        w->status = lb_fail(LB_E_FORMAT, "%s: %s has an attribute with an impossible name", w->path, w->object);
        return -1;
    }
    values v = {.id = H5Aopen(object, name, H5P_DEFAULT), .type = -1, .space = -1, .attribute = true, .name = name};
    if (v.id >= 0) {
        v.type = H5Aget_type(v.id);
        v.space = H5Aget_space(v.id);
        w->status = put_values(w, &v);
    } else {
        w->status = lb_h5_failed(w->h, LB_E_FORMAT, w->object, "read an attribute");
    }
    (void)lb_h5_drop(v.space);
    (void)lb_h5_drop(v.type);
    (void)lb_h5_drop(v.id);
    return w->status == LB_OK ? 0 : -1;
}

static lb_status walk_attributes(walker *w) {
    hid_t o = H5Oopen(w->h->file, w->object, H5P_DEFAULT);
    if (o < 0) return lb_h5_failed(w->h, LB_E_FORMAT, w->object, "open");
    if (H5Aiterate2(o, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, each_attribute, w) < 0 && w->status == LB_OK)
        w->status = lb_h5_failed(w->h, LB_E_FORMAT, w->object, "list the attributes");
    (void)lb_h5_drop(o);
    return w->status;
}

static lb_status walk_object(walker *w, const char *name, H5O_type_t type) {
    bool root = !strcmp(name, ".");
    if (type != H5O_TYPE_GROUP && type != H5O_TYPE_DATASET) return LB_OK;
    if (strlen(name) + 2 > LB_H5_PATH) return lb_fail(LB_E_FORMAT, "%s: an object's path is too long", w->path);
    w->object[0] = '/';
    strcpy(w->object + 1, root ? "" : name);
    if (type == H5O_TYPE_DATASET) {
        LB_TRY(walk_dataset(w));
    } else {
        LB_TRY(put(w, (lb_flat_head){.kind = LB_FLAT_GROUP}, w->object, NULL, 0));
    }
    return walk_attributes(w);
}

static herr_t each_object(hid_t root, const char *name, const H5O_info_t *info, void *ctx) {
    (void)root;
    walker *w = ctx;
    w->status = walk_object(w, name, info->type);
    return w->status == LB_OK ? 0 : -1;
}

/* An honest small file takes a few milliseconds. */
static void limit(walker *w, size_t size) {
    w->left = size < LB_FLAT_MAX / FLAT_FACTOR ? 65536 + FLAT_FACTOR * size : LB_FLAT_MAX;
    if (w->left > LB_FLAT_MAX) w->left = LB_FLAT_MAX;
    lb_child_cpu(0.5 + (double)w->left / (16 << 20));
}

static lb_status walk(walker *w) {
    struct stat st;
    size_t sealed = 0;
    if (stat(w->path, &st)) return lb_fail(LB_E_IO, "%s: cannot open: %s", w->path, strerror(errno));
    limit(w, (size_t)st.st_size);
    LB_TRY(lb_h5_check_seal(w->path, &sealed));
    limit(w, sealed);
    (void)H5PLset_loading_state(0);
    LB_TRY(lb_h5_open_here(w->path, &w->h));
    if (H5Ovisit1(w->h->file, H5_INDEX_NAME, H5_ITER_NATIVE, each_object, w) < 0 && w->status == LB_OK)
        w->status = lb_h5_failed(w->h, LB_E_FORMAT, NULL, "list the objects");
    return w->status;
}

/* A length that makes no sense and a machine without memory look alike to HDF5, which may also go on without what it
 * was refused: here they are told apart. */
static lb_status judge(const char *path, lb_status st) {
    switch (lb_child_memory()) {
    case LB_MEMORY_STARVED:
        return st == LB_E_NOMEM ? st : lb_fail(LB_E_NOMEM, "%s: out of memory while it was read", path);
    case LB_MEMORY_GREEDY:
        return st != LB_E_NOMEM ? st : lb_fail(LB_E_FORMAT, "%s: reading it takes more memory than results do", path);
    default:
        return st;
    }
}

void lb_h5_walk(const char *path, lb_str *flat) {
    walker w = {.path = path, .flat = flat};
    char message[LB_H5_PATH] = "/";
    lb_flat_head last = {.kind = LB_FLAT_END};
    lb_status st = judge(path, walk(&w));
    if (st != LB_OK) {
        snprintf(message, sizeof message, "%s", lb_error());
        last = (lb_flat_head){.kind = LB_FLAT_FAILED, .shape = {st}};
        lb_str_free(flat); /* its memory is for the message */
    }
    lb_h5_abandon(w.h);
    w.left = SIZE_MAX;
    (void)!put(&w, last, message, NULL, 0); /* without it the child ends, and that says as much */
}

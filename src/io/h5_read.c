/* Reading: what a file claims about itself is checked before memory is asked for. */
#include <string.h>

#include "base/fs.h"
#include "io/h5_file.h"

/* A dataset open for reading, with its type and space. */
typedef struct dataset {
    hid_t id, type, space;
    int ndim;
    hsize_t dim[4];
    hsize_t count;
} dataset;

static void close_dataset(dataset *d) {
    (void)lb_h5_drop(d->space);
    (void)lb_h5_drop(d->type);
    (void)lb_h5_drop(d->id);
}

static lb_status inspect(lb_h5 *h, const char *path, dataset *d) {
    d->type = H5Dget_type(d->id);
    d->space = H5Dget_space(d->id);
    d->ndim = d->type >= 0 && d->space >= 0 ? H5Sget_simple_extent_ndims(d->space) : -1;
    if (d->ndim < 0) return lb_h5_failed(h, LB_E_FORMAT, path, "read the shape");
    if (d->ndim > 4) return lb_fail(LB_E_FORMAT, "%s: %s has %d dimensions: at most 4", h->path, path, d->ndim);
    if (H5Sget_simple_extent_type(d->space) == H5S_NULL || H5Sget_simple_extent_dims(d->space, d->dim, NULL) < 0)
        return lb_fail(LB_E_FORMAT, "%s: %s has no shape", h->path, path);
    d->count = 1;
    for (int i = 0; i < d->ndim; i++)
        if (d->dim[i] > INT64_MAX || __builtin_mul_overflow(d->count, d->dim[i], &d->count) || d->count > INT64_MAX)
            return lb_fail(LB_E_FORMAT, "%s: %s has an impossible shape", h->path, path);
    return LB_OK;
}

static lb_status open_dataset(lb_h5 *h, const char *path, dataset *d) {
    *d = (dataset){-1, -1, -1, 0, {0}, 0};
    LB_TRY(lb_h5_check_path(h, path, false));
    if (!lb_h5_has(h, path)) return lb_fail(LB_E_FORMAT, "%s: no dataset %s", h->path, path);
    d->id = H5Dopen2(h->file, path, H5P_DEFAULT);
    lb_status s = d->id >= 0 ? inspect(h, path, d) : lb_h5_failed(h, LB_E_FORMAT, path, "open as a dataset");
    if (s != LB_OK) close_dataset(d);
    return s;
}

/* The data can be as large as the shape says: no more than the file holds (a thousand times that if compressed, which
 * is deflate's limit). Else a damaged shape would have terabytes allocated. */
static lb_status check_size(lb_h5 *h, const char *path, const dataset *d) {
    hsize_t file = 0, bytes = 0, stored = H5Dget_storage_size(d->id);
    hid_t create = H5Dget_create_plist(d->id);
    H5D_layout_t layout = create >= 0 ? H5Pget_layout(create) : H5D_LAYOUT_ERROR;
    (void)lb_h5_drop(create);
    if (layout == H5D_LAYOUT_ERROR || H5Fget_filesize(h->file, &file) < 0)
        return lb_h5_failed(h, LB_E_FORMAT, path, "read the layout");
    bool chunked = layout == H5D_CHUNKED;
    if (__builtin_mul_overflow(d->count, H5Tget_size(d->type), &bytes) || (!chunked && stored < bytes) ||
        bytes / (chunked ? 1100 : 1) > file)
        return lb_fail(LB_E_FORMAT, "%s: %s: its shape takes %llu bytes, but %llu are stored in a file of %llu",
                       h->path, path, (unsigned long long)bytes, (unsigned long long)stored, (unsigned long long)file);
    return LB_OK;
}

/* Integers are read as int64 and floats as any float that holds them: never with loss. */
static bool type_fits(hid_t type, H5T_class_t kind, size_t size) {
    if (H5Tget_class(type) != kind || H5Tget_size(type) > size) return false;
    return kind != H5T_INTEGER || H5Tget_size(type) < size || H5Tget_sign(type) == H5T_SGN_2;
}

static lb_status get(lb_h5 *h, lb_arena *a, const char *path, H5T_class_t kind, hid_t memory, const char *expected,
                     void **v, int64_t *n) {
    dataset d;
    size_t size = H5Tget_size(memory);
    lb_status s;
    *v = NULL;
    LB_TRY(open_dataset(h, path, &d));
    if (!type_fits(d.type, kind, size)) {
        s = lb_fail(LB_E_FORMAT, "%s: %s is not %s", h->path, path, expected);
        goto out;
    }
    LB_TRY_GOTO(s, out, check_size(h, path, &d));
    *v = lb_arena_get_unset(a, (size_t)d.count, size);
    *n = (int64_t)d.count;
    if (!*v)
        s = LB_E_NOMEM;
    else if (d.count && H5Dread(d.id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, *v) < 0)
        s = lb_h5_failed(h, LB_E_FORMAT, path, "read");
out:
    close_dataset(&d);
    return s;
}

lb_status lb_h5_get_f64(lb_h5 *h, lb_arena *a, const char *path, double **v, int64_t *n) {
    void *p = NULL;
    LB_TRY(get(h, a, path, H5T_FLOAT, H5T_NATIVE_DOUBLE, "float64 or float32", &p, n));
    *v = p;
    return LB_OK;
}

lb_status lb_h5_get_f32(lb_h5 *h, lb_arena *a, const char *path, float **v, int64_t *n) {
    void *p = NULL;
    LB_TRY(get(h, a, path, H5T_FLOAT, H5T_NATIVE_FLOAT, "float32", &p, n));
    *v = p;
    return LB_OK;
}

lb_status lb_h5_get_i64(lb_h5 *h, lb_arena *a, const char *path, int64_t **v, int64_t *n) {
    void *p = NULL;
    LB_TRY(get(h, a, path, H5T_INTEGER, H5T_NATIVE_INT64, "an integer that fits int64", &p, n));
    *v = p;
    return LB_OK;
}

lb_status lb_h5_shape(lb_h5 *h, const char *path, int *ndim, int64_t shape[4]) {
    dataset d;
    LB_TRY(open_dataset(h, path, &d));
    *ndim = d.ndim;
    for (int i = 0; i < d.ndim; i++) shape[i] = (int64_t)d.dim[i];
    close_dataset(&d);
    return LB_OK;
}

static bool is_text(hid_t type) { return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0; }

/* HDF5's strings into the arena; an empty one may come as NULL. */
static lb_status copy_texts(lb_arena *a, char *const *from, size_t n, char **to) {
    for (size_t i = 0; i < n; i++)
        if (!(to[i] = lb_arena_strdup(a, from[i] ? from[i] : ""))) return LB_E_NOMEM;
    return LB_OK;
}

lb_status lb_h5_get_strs(lb_h5 *h, lb_arena *a, const char *path, char ***v, int64_t *n) {
    dataset d;
    char **raw = NULL;
    lb_status s = LB_OK;
    *v = NULL;
    LB_TRY(open_dataset(h, path, &d));
    if (!is_text(d.type) || d.ndim != 1) {
        s = lb_fail(LB_E_FORMAT, "%s: %s is not a list of variable-length strings", h->path, path);
        goto out;
    }
    LB_TRY_GOTO(s, out, check_size(h, path, &d));
    *n = (int64_t)d.count;
    raw = lb_alloc((size_t)d.count, sizeof *raw);
    *v = LB_NEW(a, char *, d.count);
    if (!raw || !*v)
        s = LB_E_NOMEM;
    else if (d.count && H5Dread(d.id, d.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        s = lb_h5_failed(h, LB_E_FORMAT, path, "read");
    else
        s = copy_texts(a, raw, (size_t)d.count, *v);
    if (raw && d.count) H5Dvlen_reclaim(d.type, d.space, H5P_DEFAULT, raw);
out:
    lb_free(raw);
    close_dataset(&d);
    return s;
}

bool lb_h5_has_attr(lb_h5 *h, const char *object, const char *name) {
    return lb_h5_has(h, object) && H5Aexists_by_name(h->file, object, name, H5P_DEFAULT) > 0;
}

/* An attribute with one value, and its type. */
static lb_status open_attr(lb_h5 *h, const char *object, const char *name, hid_t *attr, hid_t *type) {
    *attr = *type = -1;
    LB_TRY(lb_h5_check_path(h, object, true));
    if (!lb_h5_has_attr(h, object, name))
        return lb_fail(LB_E_FORMAT, "%s: %s has no attribute %s", h->path, object, name);
    *attr = H5Aopen_by_name(h->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    *type = *attr >= 0 ? H5Aget_type(*attr) : -1;
    hid_t space = *attr >= 0 ? H5Aget_space(*attr) : -1;
    lb_status s = LB_OK;
    if (*type < 0 || space < 0)
        s = lb_h5_failed(h, LB_E_FORMAT, object, "read an attribute");
    else if (H5Sget_simple_extent_npoints(space) != 1)
        s = lb_fail(LB_E_FORMAT, "%s: %s: attribute %s is not one value", h->path, object, name);
    (void)lb_h5_drop(space);
    if (s == LB_OK) return s;
    (void)lb_h5_drop(*type);
    (void)lb_h5_drop(*attr);
    return s;
}

static lb_status attr_number(lb_h5 *h, const char *object, const char *name, H5T_class_t kind, hid_t memory,
                             const char *expected, void *v) {
    hid_t attr, type;
    lb_status s = LB_OK;
    LB_TRY(open_attr(h, object, name, &attr, &type));
    if (!type_fits(type, kind, H5Tget_size(memory)))
        s = lb_fail(LB_E_FORMAT, "%s: %s: attribute %s is not %s", h->path, object, name, expected);
    else if (H5Aread(attr, memory, v) < 0)
        s = lb_h5_failed(h, LB_E_FORMAT, object, "read an attribute");
    (void)lb_h5_drop(type);
    (void)lb_h5_drop(attr);
    return s;
}

lb_status lb_h5_get_attr_f64(lb_h5 *h, const char *object, const char *name, double *v) {
    return attr_number(h, object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, "a float", v);
}

lb_status lb_h5_get_attr_i64(lb_h5 *h, const char *object, const char *name, int64_t *v) {
    return attr_number(h, object, name, H5T_INTEGER, H5T_NATIVE_INT64, "an integer that fits int64", v);
}

lb_status lb_h5_get_attr_str(lb_h5 *h, lb_arena *a, const char *object, const char *name, char **v) {
    hid_t attr, type;
    char *raw = NULL;
    lb_status s = LB_OK;
    LB_TRY(open_attr(h, object, name, &attr, &type));
    if (!is_text(type))
        s = lb_fail(LB_E_FORMAT, "%s: %s: attribute %s is not a variable-length string", h->path, object, name);
    else if (H5Aread(attr, type, &raw) < 0)
        s = lb_h5_failed(h, LB_E_FORMAT, object, "read an attribute");
    else
        s = copy_texts(a, &raw, 1, v);
    if (raw) H5free_memory(raw);
    (void)lb_h5_drop(type);
    (void)lb_h5_drop(attr);
    return s;
}

/* Opens a dataset made by lb_h5_f32_rows_begin and selects the rows in its space; *memory: the space of the buffer. */
static lb_status select_rows(lb_h5 *h, const char *path, int64_t row0, int64_t rows, dataset *d, hid_t *memory) {
    LB_TRY(open_dataset(h, path, d));
    lb_status s = LB_OK;
    *memory = -1;
    if (d->ndim != 2 || !type_fits(d->type, H5T_FLOAT, sizeof(float)))
        s = lb_fail(LB_E_FORMAT, "%s: %s is not a float32 matrix", h->path, path);
    else if (row0 < 0 || rows < 1 || (hsize_t)row0 > d->dim[0] || (hsize_t)rows > d->dim[0] - (hsize_t)row0)
        s = lb_fail(LB_E_ARG, "%s: %s: rows [%lld, %lld + %lld) asked for: it has %llu", h->path, path, (long long)row0,
                    (long long)row0, (long long)rows, (unsigned long long)d->dim[0]);
    else {
        const hsize_t start[2] = {(hsize_t)row0, 0}, count[2] = {(hsize_t)rows, d->dim[1]};
        *memory = H5Screate_simple(2, count, NULL);
        if (*memory < 0 || H5Sselect_hyperslab(d->space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
            s = lb_h5_failed(h, LB_E_FORMAT, path, "select rows");
    }
    if (s == LB_OK) return s;
    (void)lb_h5_drop(*memory);
    close_dataset(d);
    return s;
}

lb_status lb_h5_f32_rows_put(lb_h5 *h, const char *path, int64_t row0, int64_t rows, const float *v) {
    dataset d;
    hid_t memory;
    LB_TRY(lb_h5_check_writable(h, path));
    LB_TRY(select_rows(h, path, row0, rows, &d, &memory));
    lb_status s = LB_OK;
    if (H5Dwrite(d.id, H5T_NATIVE_FLOAT, memory, d.space, H5P_DEFAULT, v) < 0)
        s = lb_h5_failed(h, LB_E_IO, path, "write");
    (void)lb_h5_drop(memory);
    if (!lb_h5_drop(d.id) && s == LB_OK) s = lb_h5_failed(h, LB_E_IO, path, "write");
    d.id = -1;
    close_dataset(&d);
    return s;
}

lb_status lb_h5_f32_rows_get(lb_h5 *h, const char *path, int64_t row0, int64_t rows, float *v) {
    dataset d;
    hid_t memory;
    LB_TRY(select_rows(h, path, row0, rows, &d, &memory));
    lb_status s = check_size(h, path, &d);
    if (s == LB_OK && H5Dread(d.id, H5T_NATIVE_FLOAT, memory, d.space, H5P_DEFAULT, v) < 0)
        s = lb_h5_failed(h, LB_E_FORMAT, path, "read");
    (void)lb_h5_drop(memory);
    close_dataset(&d);
    return s;
}

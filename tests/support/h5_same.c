#include "support/h5_same.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

#include "support/support.h"

typedef struct pair {
    hid_t file[2];
    const char *but, *path; /* path: of the object at hand */
    int64_t compared;
    bool attributes_of_b; /* only whether a has them too */
} pair;

static bool left_out(const pair *p, const char *path) {
    size_t n = p->but ? strlen(p->but) : 0;
    return n && strncmp(path, p->but, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* The values of a dataset or attribute as bytes; texts of any length one after another with their ends. */
typedef struct values {
    size_t n, cap;
    char *bytes;
} values;

static void add(values *v, const void *data, size_t n) {
    if (v->n + n > v->cap) {
        v->cap = 2 * (v->n + n);
        v->bytes = realloc(v->bytes, v->cap);
        assert_non_null(v->bytes);
    }
    if (n) memcpy(v->bytes + v->n, data, n);
    v->n += n;
}

static values read_values(hid_t object, bool attribute) {
    hid_t type = attribute ? H5Aget_type(object) : H5Dget_type(object);
    hid_t space = attribute ? H5Aget_space(object) : H5Dget_space(object);
    hsize_t dims[8] = {0};
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type);
    H5T_class_t class = H5Tget_class(type);
    bool text = class == H5T_STRING && H5Tis_variable_str(type) > 0;
    assert_true(rank >= 0 && rank <= 8 && n >= 0 && size > 0);
    char *raw = calloc((size_t)n + 1, size);
    assert_non_null(raw);
    assert_true((attribute ? H5Aread(object, type, raw) : H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw)) >=
                0);
    values v = {0};
    add(&v, &class, sizeof class);
    add(&v, &size, sizeof size);
    add(&v, dims, (size_t)rank * sizeof *dims);
    if (!text) add(&v, raw, (size_t)n * size);
    for (hssize_t i = 0; text && i < n; i++) {
        const char *s = ((char **)raw)[i];
        add(&v, s ? s : "", strlen(s ? s : "") + 1);
    }
    if (text) assert_true(H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw) >= 0);
    free(raw);
    H5Sclose(space);
    H5Tclose(type);
    return v;
}

static void compare(pair *p, hid_t a, hid_t b, bool attribute, const char *name) {
    values x = read_values(a, attribute), y = read_values(b, attribute);
    if (x.n != y.n || memcmp(x.bytes, y.bytes, x.n) != 0)
        fail_msg("%s%s%s differs", p->path, attribute ? " @" : "", name);
    free(x.bytes);
    free(y.bytes);
    p->compared++;
}

static herr_t each_attribute(hid_t object, const char *name, const H5A_info_t *info, void *ctx) {
    (void)info;
    pair *p = ctx;
    hid_t other = p->file[p->attributes_of_b ? 0 : 1];
    if (H5Aexists_by_name(other, p->path, name, H5P_DEFAULT) <= 0)
        fail_msg("%s @%s is in one file only", p->path, name);
    if (p->attributes_of_b) return 0;
    hid_t a = H5Aopen(object, name, H5P_DEFAULT);
    hid_t b = H5Aopen_by_name(other, p->path, name, H5P_DEFAULT, H5P_DEFAULT);
    compare(p, a, b, true, name);
    H5Aclose(a);
    H5Aclose(b);
    return 0;
}

static void attributes_of(pair *p, int side) {
    hid_t object = H5Oopen(p->file[side], p->path, H5P_DEFAULT);
    p->attributes_of_b = side == 1;
    assert_true(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, each_attribute, p) >= 0);
    H5Oclose(object);
}

/* An object of the first file. */
static herr_t each_object(hid_t root, const char *name, const H5O_info_t *info, void *ctx) {
    (void)root;
    pair *p = ctx;
    char path[512] = "/";
    if (strcmp(name, ".") != 0) snprintf(path, sizeof path, "/%s", name);
    if (left_out(p, path)) return 0;
    p->path = path;
    if (path[1] && H5Lexists(p->file[1], path, H5P_DEFAULT) <= 0) fail_msg("%s is in one file only", path);
    attributes_of(p, 0);
    attributes_of(p, 1);
    if (info->type != H5O_TYPE_DATASET) return 0;
    hid_t a = H5Dopen2(p->file[0], path, H5P_DEFAULT), b = H5Dopen2(p->file[1], path, H5P_DEFAULT);
    compare(p, a, b, false, "");
    H5Dclose(a);
    H5Dclose(b);
    return 0;
}

/* An object of the second: only whether the first has it. */
static herr_t each_other(hid_t root, const char *name, const H5O_info_t *info, void *ctx) {
    (void)root, (void)info;
    const pair *p = ctx;
    char path[512];
    snprintf(path, sizeof path, "/%s", name);
    if (strcmp(name, ".") == 0 || left_out(p, path)) return 0;
    if (H5Lexists(p->file[0], path, H5P_DEFAULT) <= 0) fail_msg("%s is in one file only", path);
    return 0;
}

int64_t h5_same(const char *a, const char *b, const char *but) {
    pair p = {.file = {H5Fopen(a, H5F_ACC_RDONLY, H5P_DEFAULT), H5Fopen(b, H5F_ACC_RDONLY, H5P_DEFAULT)}, .but = but};
    if (p.file[0] < 0 || p.file[1] < 0) fail_msg("%s and %s: cannot be opened", a, b);
    assert_true(H5Ovisit1(p.file[0], H5_INDEX_NAME, H5_ITER_INC, each_object, &p) >= 0);
    assert_true(H5Ovisit1(p.file[1], H5_INDEX_NAME, H5_ITER_INC, each_other, &p) >= 0);
    H5Fclose(p.file[0]);
    H5Fclose(p.file[1]);
    return p.compared;
}

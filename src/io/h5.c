/* Files, groups, writing. Nothing that changes from run to run is stored: object times are turned off everywhere. */
#include "io/h5_file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "io/h5_flat.h"

/* The innermost text; of one about a failed system call, which also tells times and addresses, the system's reason. */
static herr_t keep_text(unsigned depth, const H5E_error2_t *e, void *ctx) {
    static const char mark[] = "error message = '";
    (void)depth;
    const char *s = e->desc ? e->desc : "", *why = strstr(s, mark);
    if (why) s = why + sizeof mark - 1;
    lb_str_add_bytes(ctx, s, why ? strcspn(s, "'") : strlen(s));
    return 1; /* stop */
}

/* HDF5 (seen in 1.10.8) crashes when the program ends if what it still holds cannot be written, as on a full disk. So
 * once a file is lost, the rest goes to memory that is freed with the descriptor. */
static void divert(lb_h5 *h) {
    int *fd = NULL, sink;
    h->lost = true;
    if (h->file < 0 || H5Fget_vfd_handle(h->file, H5P_DEFAULT, (void **)&fd) < 0 || !fd) return;
    sink = memfd_create("lost", MFD_CLOEXEC);
    if (sink < 0) return;
    dup2(sink, *fd);
    close(sink);
}

lb_status lb_h5_failed(lb_h5 *h, lb_status code, const char *object, const char *what) {
    lb_str why = {0};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_text, &why);
    H5Eclear2(H5E_DEFAULT);
    lb_status s = lb_fail(code, "%s: %s%scannot %s: %s", h->path, object ? object : "", object ? ": " : "", what,
                          why.s && *why.s ? why.s : "HDF5 gives no reason");
    lb_str_free(&why);
    if (code == LB_E_IO) divert(h);
    return s;
}

bool lb_h5_drop(hid_t id) { return id < 0 || H5Idec_ref(id) >= 0; }

/* The 1.8 format puts checksums on its structures. Locks are for files that several processes write; ours appear by
 * renaming, and some network file systems have no locks. Without a sieve buffer data is written when it is put: what
 * only fails while a dataset is being closed leaves HDF5 with half a dataset, and it crashes when the program ends. */
static hid_t access_list(void) {
    hid_t p = H5Pcreate(H5P_FILE_ACCESS);
    if (p >= 0 && H5Pset_libver_bounds(p, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_fclose_degree(p, H5F_CLOSE_STRONG) >= 0 && H5Pset_file_locking(p, false, true) >= 0 &&
        H5Pset_sieve_buf_size(p, 0) >= 0)
        return p;
    (void)lb_h5_drop(p);
    return -1;
}

lb_status lb_h5_handle(const char *path, lb_h5 **out) {
    *out = NULL;
    lb_h5 *h = lb_alloc(1, sizeof *h);
    if (!h) return LB_E_NOMEM;
    h->file = -1;
    h->path = lb_strdup(path);
    if (!h->path) {
        lb_free(h);
        return LB_E_NOMEM;
    }
    /* Every file is closed here; after a full disk HDF5 1.10 keeps a handle it could not flush, and its own clean-up at
     * exit crashes on it. Only the first call, before anything else, counts. */
    (void)H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* HDF5 would print each error */
    *out = h;
    return LB_OK;
}

lb_status lb_h5_create(const char *path, lb_h5 **out) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_handle(path, &h));
    hid_t fapl = access_list(), fcpl = H5Pcreate(H5P_FILE_CREATE);
    if (fapl >= 0 && fcpl >= 0 && H5Pset_obj_track_times(fcpl, false) >= 0 && H5Pset_userblock(fcpl, LB_H5_SEAL) >= 0)
        h->file = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    lb_status s = h->file >= 0 ? LB_OK : lb_h5_failed(h, LB_E_IO, NULL, "create");
    h->writable = true;
    (void)lb_h5_drop(fcpl);
    (void)lb_h5_drop(fapl);
    if (s != LB_OK) lb_h5_abandon(h);
    *out = s == LB_OK ? h : NULL;
    return s;
}

lb_status lb_h5_open_here(const char *path, lb_h5 **out) {
    lb_h5 *h = NULL;
    *out = NULL;
    LB_TRY(lb_h5_handle(path, &h));
    *out = h;
    hid_t fapl = access_list();
    lb_status s = LB_OK;
    if (fapl < 0 || (h->file = H5Fopen(path, H5F_ACC_RDONLY, fapl)) < 0) s = lb_h5_failed(h, LB_E_FORMAT, NULL, "open");
    (void)lb_h5_drop(fapl);
    return s;
}

lb_status lb_h5_close(lb_h5 *h) {
    lb_status s = LB_OK;
    if (h->tree) {
        lb_h5_abandon(h);
        return LB_OK;
    }
    if (h->lost)
        s = lb_fail(LB_E_IO, "%s: cannot be finished: an earlier write failed", h->path);
    else if (H5Fflush(h->file, H5F_SCOPE_LOCAL) < 0)
        s = lb_h5_failed(h, LB_E_IO, NULL, "write");
    if (H5Fclose(h->file) < 0 && s == LB_OK) s = lb_h5_failed(h, LB_E_IO, NULL, "close");
    h->file = -1;
    if (s == LB_OK && h->writable) s = lb_h5_seal(h->path, &h->bytes);
    lb_h5_abandon(h);
    return s;
}

void lb_h5_abandon(lb_h5 *h) {
    if (!h) return;
    if (h->file >= 0) {
        if (h->writable) divert(h);
        H5Fclose(h->file);
    }
    lb_h5_tree_free(h->tree);
    lb_free(h->path);
    lb_free(h);
}

lb_status lb_h5_check_path(const lb_h5 *h, const char *path, bool root_too) {
    size_t n = strlen(path);
    if (n >= LB_H5_PATH) return lb_fail(LB_E_ARG, "%s: an object path of %zu bytes: at most 1023", h->path, n);
    bool root = !strcmp(path, "/");
    if (root ? root_too : path[0] == '/' && path[n - 1] != '/' && !strstr(path, "//")) return LB_OK;
    return lb_fail(LB_E_ARG, "%s: '%s' is no object path: expected e.g. /layers/name", h->path, path);
}

/* Whether the link exists, step by step: HDF5 asks about the last part only. */
bool lb_h5_has(lb_h5 *h, const char *path) {
    char p[LB_H5_PATH];
    if (lb_h5_check_path(h, path, true) != LB_OK) return false;
    if (h->tree) return lb_h5_tree_find(h->tree, path, NULL) != NULL;
    if (!path[1]) return true;
    strcpy(p, path);
    for (char *end = p; end;) {
        end = strchr(end + 1, '/');
        if (end) *end = 0;
        if (H5Lexists(h->file, p, H5P_DEFAULT) <= 0) return false;
        if (end) *end = '/';
    }
    return H5Oexists_by_name(h->file, path, H5P_DEFAULT) > 0;
}

lb_status lb_h5_check_writable(const lb_h5 *h, const char *path) {
    if (!h->writable) return lb_fail(LB_E_ARG, "%s: %s: the file is open for reading", h->path, path);
    if (h->lost) return lb_fail(LB_E_IO, "%s: %s: not written: an earlier write failed", h->path, path);
    return LB_OK;
}

static hid_t utf8_links(void) {
    hid_t p = H5Pcreate(H5P_LINK_CREATE);
    if (p >= 0 && H5Pset_char_encoding(p, H5T_CSET_UTF8) >= 0) return p;
    (void)lb_h5_drop(p);
    return -1;
}

/* A creation list (H5P_GROUP_CREATE, H5P_DATASET_CREATE) without times. */
static hid_t timeless(hid_t kind) {
    hid_t p = H5Pcreate(kind);
    if (p >= 0 && H5Pset_obj_track_times(p, false) >= 0) return p;
    (void)lb_h5_drop(p);
    return -1;
}

static lb_status make_group(lb_h5 *h, const char *path) {
    hid_t links = utf8_links(), create = timeless(H5P_GROUP_CREATE), g = -1;
    if (links >= 0 && create >= 0) g = H5Gcreate2(h->file, path, links, create, H5P_DEFAULT);
    lb_status s = g >= 0 ? LB_OK : lb_h5_failed(h, LB_E_IO, path, "make the group");
    (void)lb_h5_drop(g);
    (void)lb_h5_drop(create);
    (void)lb_h5_drop(links);
    return s;
}

/* Groups on the way to a checked path; with last, path itself too. */
static lb_status make_groups(lb_h5 *h, const char *path, bool last) {
    char p[LB_H5_PATH];
    strcpy(p, path);
    for (char *end = p; end;) {
        end = strchr(end + 1, '/');
        if (!end && !last) break;
        if (end) *end = 0;
        if (p[1] && H5Lexists(h->file, p, H5P_DEFAULT) <= 0) LB_TRY(make_group(h, p));
        if (end) *end = '/';
    }
    return LB_OK;
}

/* -1 with the error set for a shape that makes no sense. */
static hid_t new_space(const lb_h5 *h, const char *path, int ndim, const int64_t *shape, bool *empty) {
    hsize_t dims[4];
    *empty = false;
    bool sane = ndim >= 0 && ndim <= 4;
    for (int i = 0; sane && i < ndim; i++) {
        sane = shape[i] >= 0;
        dims[i] = (hsize_t)shape[i];
        *empty |= shape[i] == 0;
    }
    if (!sane) {
        (void)!lb_fail(LB_E_ARG, "%s: %s: 0 to 4 dimensions of 0 and more can be written", h->path, path);
        return -1;
    }
    return ndim ? H5Screate_simple(ndim, dims, NULL) : H5Screate(H5S_SCALAR);
}

/* Makes the dataset and leaves it open. stored: its type in the file. */
static lb_status new_dataset(lb_h5 *h, const char *path, hid_t stored, hid_t space, hid_t *out) {
    *out = -1;
    LB_TRY(lb_h5_check_writable(h, path));
    if (lb_h5_has(h, path)) return lb_fail(LB_E_ARG, "%s: %s is already there", h->path, path);
    LB_TRY(make_groups(h, path, false));
    hid_t links = utf8_links(), create = timeless(H5P_DATASET_CREATE);
    if (links >= 0 && create >= 0) *out = H5Dcreate2(h->file, path, stored, space, links, create, H5P_DEFAULT);
    lb_status s = *out >= 0 ? LB_OK : lb_h5_failed(h, LB_E_IO, path, "make the dataset");
    (void)lb_h5_drop(create);
    (void)lb_h5_drop(links);
    return s;
}

/* Types in the file are little-endian whatever the machine, so that equal data gives equal bytes. */
static lb_status put(lb_h5 *h, const char *path, hid_t stored, hid_t memory, const void *v, int ndim,
                     const int64_t *shape) {
    bool empty = false;
    hid_t set = -1;
    LB_TRY(lb_h5_check_path(h, path, false));
    hid_t space = new_space(h, path, ndim, shape, &empty);
    if (space < 0) return LB_E_ARG;
    lb_status s = new_dataset(h, path, stored, space, &set);
    if (s == LB_OK && !empty && H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) < 0)
        s = lb_h5_failed(h, LB_E_IO, path, "write");
    if (!lb_h5_drop(set) && s == LB_OK) s = lb_h5_failed(h, LB_E_IO, path, "write");
    (void)lb_h5_drop(space);
    return s;
}

lb_status lb_h5_put_f64(lb_h5 *h, const char *path, const double *v, int ndim, const int64_t *shape) {
    return put(h, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, v, ndim, shape);
}

lb_status lb_h5_put_i64(lb_h5 *h, const char *path, const int64_t *v, int ndim, const int64_t *shape) {
    return put(h, path, H5T_STD_I64LE, H5T_NATIVE_INT64, v, ndim, shape);
}

/* Values [first, first + n) of an open dataset of bytes. */
static lb_status write_bytes(lb_h5 *h, const char *path, hid_t set, hid_t space, int64_t first, int64_t n,
                             const void *v) {
    const hsize_t start = (hsize_t)first, count = (hsize_t)n;
    hid_t memory = H5Screate_simple(1, &count, NULL);
    bool ok = memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
              H5Dwrite(set, H5T_NATIVE_UINT8, memory, space, H5P_DEFAULT, v) >= 0;
    lb_status s = ok ? LB_OK : lb_h5_failed(h, LB_E_IO, path, "write");
    (void)lb_h5_drop(memory);
    return s;
}

lb_status lb_h5_put_bytes(lb_h5 *h, const char *path, int64_t n, lb_h5_source *read, void *ctx) {
    enum { PART = 1 << 20 };
    bool empty = false;
    hid_t set = -1;
    LB_TRY(lb_h5_check_path(h, path, false));
    if (h->bytes.n > 0) return lb_fail(LB_E_ARG, "%s: %s: a file holds one run of bytes", h->path, path);
    hid_t space = new_space(h, path, 1, &n, &empty);
    if (space < 0) return LB_E_ARG;
    void *part = lb_alloc(PART, 1);
    lb_status s = part ? new_dataset(h, path, H5T_STD_U8LE, space, &set) : LB_E_NOMEM;
    for (int64_t at = 0; at < n && s == LB_OK; at += PART) {
        int64_t some = n - at < PART ? n - at : PART;
        s = read(ctx, at, some, part);
        if (s == LB_OK) s = write_bytes(h, path, set, space, at, some, part);
    }
    if (s == LB_OK && !empty) h->bytes = (lb_h5_place){H5Dget_offset(set), (size_t)n};
    if (!lb_h5_drop(set) && s == LB_OK) s = lb_h5_failed(h, LB_E_IO, path, "write");
    (void)lb_h5_drop(space);
    lb_free(part);
    return s;
}

/* Variable-length UTF-8, what h5py reads as str. */
static hid_t text_type(void) {
    hid_t t = H5Tcopy(H5T_C_S1);
    if (t >= 0 && H5Tset_size(t, H5T_VARIABLE) >= 0 && H5Tset_cset(t, H5T_CSET_UTF8) >= 0) return t;
    (void)lb_h5_drop(t);
    return -1;
}

lb_status lb_h5_put_strs(lb_h5 *h, const char *path, const char *const *v, int64_t n) {
    hid_t t = text_type();
    lb_status s = t >= 0 ? put(h, path, t, t, v, 1, &n) : lb_h5_failed(h, LB_E_IO, path, "make a text type");
    (void)lb_h5_drop(t);
    return s;
}

/* Replaces the attribute if it is there. */
static lb_status put_attr(lb_h5 *h, const char *object, const char *name, hid_t stored, hid_t memory, const void *v) {
    LB_TRY(lb_h5_check_path(h, object, true));
    LB_TRY(lb_h5_check_writable(h, object));
    if (!lb_h5_has(h, object)) LB_TRY(make_groups(h, object, true));
    hid_t o = H5Oopen(h->file, object, H5P_DEFAULT), names = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    hid_t space = H5Screate(H5S_SCALAR), a = -1;
    bool ok = o >= 0 && space >= 0 && names >= 0 && H5Pset_char_encoding(names, H5T_CSET_UTF8) >= 0;
    if (ok && H5Aexists(o, name) > 0) ok = H5Adelete(o, name) >= 0;
    if (ok) ok = (a = H5Acreate2(o, name, stored, space, names, H5P_DEFAULT)) >= 0 && H5Awrite(a, memory, v) >= 0;
    lb_status s = LB_OK;
    if (!ok) {
        s = lb_h5_failed(h, LB_E_IO, object, "write an attribute");
        s = lb_fail_in(s, "attribute %s", name);
    }
    (void)lb_h5_drop(a);
    (void)lb_h5_drop(space);
    (void)lb_h5_drop(names);
    (void)lb_h5_drop(o);
    return s;
}

lb_status lb_h5_attr_str(lb_h5 *h, const char *object, const char *name, const char *v) {
    hid_t t = text_type();
    lb_status s = t >= 0 ? put_attr(h, object, name, t, t, &v) : lb_h5_failed(h, LB_E_IO, object, "make a text type");
    (void)lb_h5_drop(t);
    return s;
}

lb_status lb_h5_attr_f64(lb_h5 *h, const char *object, const char *name, double v) {
    return put_attr(h, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &v);
}

lb_status lb_h5_attr_i64(lb_h5 *h, const char *object, const char *name, int64_t v) {
    return put_attr(h, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &v);
}

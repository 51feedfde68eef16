/* Final-normed states of the baseline in one file: a header of HEADER bytes, then windows x n x dim float32. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "eval/perplexity.h"

enum { HEADER = 256, KEY = 160 };
typedef struct header {
    char magic[8];
    int64_t windows, n, dim;
    char key[KEY];
} header;
_Static_assert(sizeof(header) <= HEADER, "the header fits");
static const char magic[8] = "LBSTATE1";

struct lb_states {
    int fd;
    char *path;
    lb_fs_tmp tmp; /* while writing */
    bool writing;
    int64_t windows, n, dim;
};

/* All of it, at an offset: safe from several threads. */
static lb_status write_at(const lb_states *s, const void *data, size_t size, int64_t at) {
    const char *p = data;
    while (size) {
        ssize_t done = pwrite(s->fd, p, size, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return lb_fail(LB_E_IO, "%s: cannot write: %s", s->path, strerror(errno));
        p += done;
        at += done;
        size -= (size_t)done;
    }
    return LB_OK;
}

static lb_status read_at(const lb_states *s, void *data, size_t size, int64_t at) {
    char *p = data;
    while (size) {
        ssize_t done = pread(s->fd, p, size, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return lb_fail(LB_E_IO, "%s: cannot read: %s", s->path, strerror(errno));
        if (done == 0) return lb_fail(LB_E_FORMAT, "%s: cut short at byte %lld", s->path, (long long)at);
        p += done;
        at += done;
        size -= (size_t)done;
    }
    return LB_OK;
}

static lb_status new_states(const char *path, lb_states **out) {
    *out = lb_alloc(1, sizeof **out);
    if (!*out) return LB_E_NOMEM;
    (*out)->fd = -1;
    (*out)->path = lb_strdup(path);
    if ((*out)->path) return LB_OK;
    lb_free(*out);
    *out = NULL;
    return LB_E_NOMEM;
}

static lb_status create(lb_states *s, const char *path, const char *key) {
    header h = {.windows = s->windows, .n = s->n, .dim = s->dim};
    memcpy(h.magic, magic, sizeof magic);
    if (strlen(key) >= KEY)
        return lb_fail(LB_E_ARG, "%s: the key has %zu bytes: at most %d", path, strlen(key), KEY - 1);
    memcpy(h.key, key, strlen(key));
    LB_TRY(lb_fs_tmp_begin(path, &s->tmp));
    s->writing = true;
    s->fd = open(s->tmp.tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->fd < 0) return lb_fail(LB_E_IO, "%s: cannot create: %s", s->tmp.tmp, strerror(errno));
    return write_at(s, &h, sizeof h, 0);
}

lb_status lb_states_create(const char *path, const char *key, int64_t windows, int64_t n, int64_t dim,
                           lb_states **out) {
    lb_states *s;
    *out = NULL;
    LB_TRY(new_states(path, &s));
    s->windows = windows;
    s->n = n;
    s->dim = dim;
    lb_status st = create(s, path, key);
    if (st == LB_OK)
        *out = s;
    else
        lb_states_close(s);
    return st;
}

static lb_status open_existing(lb_states *s, const char *path, const char *key) {
    header h;
    size_t size;
    LB_TRY(lb_fs_open(path, &s->fd, &size));
    LB_TRY(read_at(s, &h, sizeof h, 0));
    if (memcmp(h.magic, magic, sizeof magic) != 0 || h.key[KEY - 1])
        return lb_fail(LB_E_FORMAT, "%s: not a file of hidden states", path);
    if (strcmp(h.key, key) != 0)
        return lb_fail(LB_E_FORMAT, "%s: made for another model, text or version: key %s, expected %s", path, h.key,
                       key);
    int64_t values, bytes;
    if (h.windows < 1 || h.n < 1 || h.dim < 1 || __builtin_mul_overflow(h.windows, h.n, &values) ||
        __builtin_mul_overflow(values, h.dim, &values) || __builtin_mul_overflow(values, 4, &bytes) ||
        __builtin_add_overflow(bytes, HEADER, &bytes) || (size_t)bytes != size)
        return lb_fail(LB_E_FORMAT, "%s: has %lld bytes, not those of %lld x %lld x %lld states", path, (long long)size,
                       (long long)h.windows, (long long)h.n, (long long)h.dim);
    s->windows = h.windows;
    s->n = h.n;
    s->dim = h.dim;
    return LB_OK;
}

lb_status lb_states_open(const char *path, const char *key, lb_states **out) {
    lb_states *s;
    *out = NULL;
    LB_TRY(new_states(path, &s));
    lb_status st = open_existing(s, path, key);
    if (st == LB_OK)
        *out = s;
    else
        lb_states_close(s);
    return st;
}

static lb_status check_window(const lb_states *s, int64_t window, int64_t rows, int64_t cols) {
    if (window >= 0 && window < s->windows && rows == s->n && cols == s->dim) return LB_OK;
    return lb_fail(LB_E_ARG, "%s: window %lld of (%lld, %lld) states asked for: it has %lld of (%lld, %lld)", s->path,
                   (long long)window, (long long)rows, (long long)cols, (long long)s->windows, (long long)s->n,
                   (long long)s->dim);
}

static int64_t place(const lb_states *s, int64_t window, int64_t row) {
    return HEADER + (window * s->n + row) * s->dim * (int64_t)sizeof(float);
}

lb_status lb_states_put(lb_states *s, int64_t window, lb_cmat h) {
    LB_TRY(check_window(s, window, h.rows, h.cols));
    int64_t run = h.ld == h.cols ? h.rows : 1; /* rows that lie together */
    for (int64_t r = 0; r < h.rows; r += run)
        LB_TRY(write_at(s, h.d + r * h.ld, (size_t)(run * h.cols) * sizeof(float), place(s, window, r)));
    return LB_OK;
}

lb_status lb_states_get(lb_states *s, int64_t window, lb_mat h) {
    LB_TRY(check_window(s, window, h.rows, h.cols));
    int64_t run = h.ld == h.cols ? h.rows : 1;
    for (int64_t r = 0; r < h.rows; r += run)
        LB_TRY(read_at(s, h.d + r * h.ld, (size_t)(run * h.cols) * sizeof(float), place(s, window, r)));
    return LB_OK;
}

lb_status lb_states_commit(lb_states *s) {
    if (!s->writing) return lb_fail(LB_E_ARG, "%s: is not being written", s->path);
    struct stat info;
    int64_t bytes = place(s, s->windows, 0);
    if (fstat(s->fd, &info) != 0 || info.st_size != bytes)
        return lb_fail(LB_E_ARG, "%s: the last of %lld windows was never put", s->path, (long long)s->windows);
    s->writing = false;
    return lb_fs_tmp_commit(&s->tmp);
}

void lb_states_close(lb_states *s) {
    if (!s) return;
    if (s->fd >= 0) close(s->fd);
    if (s->writing) lb_fs_tmp_abort(&s->tmp);
    lb_free(s->path);
    lb_free(s);
}

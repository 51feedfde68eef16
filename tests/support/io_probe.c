#include "support/io_probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/gguf.h"

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

memfile memfile_make(const void *data, size_t size) {
    memfile m = {memfd_create("probe", 0), ""};
    CHECK(m.fd >= 0);
    for (size_t at = 0; at < size;) {
        ssize_t n = write(m.fd, (const char *)data + at, size - at);
        CHECK(n > 0);
        at += (size_t)n;
    }
    snprintf(m.path, sizeof m.path, "/proc/self/fd/%d", m.fd);
    return m;
}

void memfile_set(const memfile *m, size_t at, uint8_t value) { CHECK(pwrite(m->fd, &value, 1, (off_t)at) == 1); }
void memfile_resize(const memfile *m, size_t size) { CHECK(ftruncate(m->fd, (off_t)size) == 0); }

void memfile_close(memfile *m) {
    close(m->fd);
    m->fd = -1;
}

uint8_t *slurp(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) fprintf(stderr, "cannot open %s: run from the repository's root\n", path);
    CHECK(f && fseek(f, 0, SEEK_END) == 0);
    long n = ftell(f);
    CHECK(n >= 0 && fseek(f, 0, SEEK_SET) == 0);
    uint8_t *p = malloc((size_t)n + 1);
    CHECK(p && fread(p, 1, (size_t)n, f) == (size_t)n);
    fclose(f);
    p[n] = 0;
    *size = (size_t)n;
    return p;
}

static volatile uint64_t sink; /* keeps reads from being optimized away */

static void touch(const void *p, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((const uint8_t *)p)[i];
    sink += sum;
}

static lb_status read_tensor(const lb_tensor *t) {
    int64_t per, bytes, count = lb_tensor_count(t);
    char shape[96];
    lb_dtype_block(t->type, &per, &bytes);
    lb_tensor_shape_text(t, shape);
    touch(t->name, strlen(t->name));
    CHECK(strlen(shape) < sizeof shape && strlen(lb_dtype_name(t->type)) > 0);
    CHECK((size_t)(count / per * bytes) == t->bytes);
    float *out = lb_alloc((size_t)count, sizeof *out);
    if (!out) return LB_E_NOMEM;
    lb_status s = lb_tensor_read_f32(t, 0, count, out);
    touch(out, (size_t)count * sizeof *out);
    lb_free(out);
    return s;
}

static void read_gguf_key(const lb_gguf *g, const char *key) {
    int64_t n = 0, i = 0;
    double f = 0;
    bool b = false;
    const char *s;
    size_t len;
    lb_status st = lb_gguf_int(g, key, &n);
    if (st != LB_OK) st = lb_gguf_float(g, key, &f);
    if (st != LB_OK) st = lb_gguf_bool(g, key, &b);
    if (st != LB_OK && (st = lb_gguf_str(g, key, &s, &len)) == LB_OK) touch(s, len);
    if (st == LB_OK || lb_gguf_array(g, key, &n) != LB_OK) return;
    for (i = 0; i < n; i++) {
        if (lb_gguf_array_str(g, key, i, &s, &len) == LB_OK)
            touch(s, len);
        else if (lb_gguf_array_int(g, key, i, &(int64_t){0}) != LB_OK && lb_gguf_array_float(g, key, i, &f) != LB_OK)
            break;
    }
}

lb_status probe_gguf(const char *path) {
    lb_gguf *g = NULL;
    const char *key = NULL;
    char value[80];
    LB_TRY(lb_gguf_open(path, &g));
    for (int64_t i = 0; lb_gguf_describe(g, i, &key, value, sizeof value); i++) {
        CHECK(lb_gguf_has(g, key) && strlen(value) < sizeof value);
        read_gguf_key(g, key);
    }
    lb_status s = LB_OK;
    for (int64_t i = 0; i < lb_gguf_tensor_count(g) && s == LB_OK; i++) {
        CHECK(lb_gguf_find(g, lb_gguf_tensor(g, i)->name) == lb_gguf_tensor(g, i));
        s = read_tensor(lb_gguf_tensor(g, i));
    }
    lb_gguf_close(g);
    return s;
}

static void check_end(lb_status s, lb_status a, lb_status b, const char *what, size_t at) {
    if (s == LB_OK || ((s == a || s == b) && *lb_error())) return;
    fprintf(stderr, "%s at byte %zu: %s: %s\n", what, at, lb_status_name(s), lb_error());
    abort();
}

/* A parser that believes a damaged length asks for more than this and gets LB_E_NOMEM, which the sweeps refuse. The
 * sanitizers reserve terabytes of address space: there the sweep runs without. */
static void limit_memory(bool on) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    static struct rlimit old;
    struct rlimit now;
    if (on) {
        CHECK(getrlimit(RLIMIT_DATA, &old) == 0);
        now = old;
        now.rlim_cur = (rlim_t)512 << 20;
        if (old.rlim_cur != RLIM_INFINITY && old.rlim_cur < now.rlim_cur) now.rlim_cur = old.rlim_cur;
    } else {
        now = old;
    }
    CHECK(setrlimit(RLIMIT_DATA, &now) == 0);
#else
    (void)on;
#endif
}

int64_t sweep_prefixes(io_probe probe, const char *path, lb_status a, lb_status b) {
    size_t size;
    int64_t accepted = 0;
    uint8_t *data = slurp(path, &size);
    memfile m = memfile_make(data, size);
    limit_memory(true);
    for (size_t n = size; n-- > 0;) {
        memfile_resize(&m, n);
        lb_status s = probe(m.path);
        check_end(s, a, b, "cut", n);
        accepted += s == LB_OK;
    }
    limit_memory(false);
    memfile_close(&m);
    free(data);
    return accepted;
}

int64_t sweep_bytes(io_probe probe, const char *path, size_t from, size_t to, lb_status a, lb_status b) {
    size_t size;
    int64_t accepted = 0;
    uint8_t *data = slurp(path, &size);
    memfile m = memfile_make(data, size);
    if (to > size) to = size;
    limit_memory(true);
    for (size_t at = from; at < to; at++) {
        uint8_t old = data[at], tries[] = {0, 0xff, old ^ 1, old ^ 0x80, (uint8_t)(old + 4), (uint8_t)(old - 1)};
        for (size_t i = 0; i < sizeof tries; i++) {
            if (tries[i] == old) continue;
            memfile_set(&m, at, tries[i]);
            lb_status s = probe(m.path);
            check_end(s, a, b, "change", at);
            accepted += s == LB_OK;
        }
        memfile_set(&m, at, old);
    }
    limit_memory(false);
    memfile_close(&m);
    free(data);
    return accepted;
}

int64_t sweep_allocations(io_probe probe, const char *path) {
    for (int64_t n = 1;; n++) {
        lb_alloc_fail_at(n);
        lb_status s = probe(path);
        lb_alloc_fail_at(0);
        if (s == LB_OK) return n - 1;
        check_end(s, LB_E_NOMEM, LB_E_NOMEM, "failed allocation", (size_t)n);
    }
}

#include "support/io_probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/csv.h"
#include "io/gguf.h"
#include "io/h5.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/yaml.h"
#include "support/status_name.h"

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void fill(const memfile *m, const void *data, size_t size) {
    CHECK(m->fd >= 0);
    for (size_t at = 0; at < size;) {
        ssize_t n = write(m->fd, (const char *)data + at, size - at);
        CHECK(n > 0);
        at += (size_t)n;
    }
}

memfile memfile_make(const void *data, size_t size) {
    memfile m = {memfd_create("probe", 0), ""};
    fill(&m, data, size);
    snprintf(m.path, sizeof m.path, "/proc/self/fd/%d", m.fd);
    return m;
}

/* HDF5 wants a path that is really there. */
static memfile tmpfile_make(const void *data, size_t size) {
    memfile m = {-1, "/tmp/lowbit-probe-XXXXXX"};
    m.fd = mkstemp(m.path);
    fill(&m, data, size);
    return m;
}

void memfile_set(const memfile *m, size_t at, uint8_t value) { CHECK(pwrite(m->fd, &value, 1, (off_t)at) == 1); }
void memfile_resize(const memfile *m, size_t size) { CHECK(ftruncate(m->fd, (off_t)size) == 0); }

void memfile_close(memfile *m) {
    if (!strncmp(m->path, "/tmp/", 5)) unlink(m->path);
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

lb_status probe_safetensors(const char *path) {
    lb_safetensors *f = NULL;
    LB_TRY(lb_safetensors_open(path, &f));
    lb_status s = LB_OK;
    for (int64_t i = 0; i < lb_safetensors_count(f) && s == LB_OK; i++) {
        const lb_tensor *t = lb_safetensors_tensor(f, i);
        CHECK(lb_safetensors_find(f, t->name) == t);
        s = read_tensor(t);
    }
    const char *format = lb_safetensors_metadata(f, "format");
    if (format) touch(format, strlen(format));
    lb_safetensors_close(f);
    return s;
}

lb_status probe_json(const char *path) {
    json_t *o = NULL;
    int64_t i = 0;
    double d = 0;
    const char *text = NULL;
    LB_TRY(lb_json_read(path, &o));
    if (lb_json_str(path, o, "text", &text) == LB_OK) touch(text, strlen(text));
    if (lb_json_int(path, o, "whole", &i) != LB_OK || lb_json_num(path, o, "real", &d) != LB_OK) CHECK(*lb_error());
    json_decref(o);
    return LB_OK;
}

static void check_tree(const lb_yaml *n) {
    CHECK(n->line > 0);
    if (n->kind == LB_YAML_SCALAR) touch(n->text, strlen(n->text));
    for (size_t i = 0; i < n->count; i++) {
        CHECK((n->kind == LB_YAML_MAP) == (n->item[i]->key != NULL));
        if (n->item[i]->key && i < 64) CHECK(lb_yaml_get(n, n->item[i]->key) == n->item[i]);
        check_tree(n->item[i]);
    }
}

lb_status probe_yaml(const char *path) {
    lb_arena *a = NULL;
    lb_yaml *root = NULL;
    LB_TRY(lb_arena_new(64, &a));
    lb_status s = lb_yaml_parse_file(a, path, &root);
    if (s == LB_OK) check_tree(root);
    lb_arena_free(a);
    return s;
}

static lb_status csv_again(lb_arena *a, const lb_csv *first, lb_str *b) {
    lb_csv second;
    for (size_t r = 0; r <= first->rows; r++)
        for (size_t c = 0; c < first->cols; c++)
            lb_csv_field(b, r ? first->row[r - 1][c] : first->header[c], c + 1 == first->cols);
    LB_TRY(lb_str_check(b));
    memfile m = memfile_make(b->s, b->len);
    lb_status s = lb_csv_read(a, m.path, &second);
    memfile_close(&m);
    if (s == LB_E_NOMEM) return s;
    CHECK(s == LB_OK && first->rows == second.rows && first->cols == second.cols);
    for (size_t c = 0; c < first->cols; c++) {
        CHECK(!strcmp(first->header[c], second.header[c]) && lb_csv_column(&second, first->header[c]) == (int)c);
        for (size_t r = 0; r < first->rows; r++) CHECK(!strcmp(first->row[r][c], second.row[r][c]));
    }
    return LB_OK;
}

lb_status probe_csv(const char *path) {
    lb_arena *a = NULL;
    lb_csv csv;
    lb_str b = {0};
    LB_TRY(lb_arena_new(16384, &a));
    lb_status s = lb_csv_read(a, path, &csv);
    if (s == LB_OK) s = csv_again(a, &csv, &b);
    lb_str_free(&b);
    lb_arena_free(a);
    return s;
}

static lb_status read_h5(lb_h5 *h, lb_arena *a) {
    double *d;
    int64_t *i, n, shape[4];
    char **texts, *text;
    int ndim;
    LB_TRY(lb_h5_shape(h, "/a/matrix", &ndim, shape));
    LB_TRY(lb_h5_get_f64(h, a, "/a/matrix", &d, &n));
    touch(d, (size_t)n * sizeof *d);
    LB_TRY(lb_h5_get_f64(h, a, "/a/b/four", &d, &n));
    touch(d, (size_t)n * sizeof *d);
    LB_TRY(lb_h5_get_i64(h, a, "/whole", &i, &n));
    touch(i, (size_t)n * sizeof *i);
    LB_TRY(lb_h5_get_strs(h, a, "/layers/name", &texts, &n));
    for (int64_t k = 0; k < n; k++) touch(texts[k], strlen(texts[k]));
    LB_TRY(lb_h5_get_attr_str(h, a, "/", "text", &text));
    touch(text, strlen(text));
    LB_TRY(lb_h5_get_attr_f64(h, "/a/matrix", "real", d));
    return lb_h5_get_attr_i64(h, "/a", "whole", &n);
}

lb_status probe_h5(const char *path) {
    lb_arena *a = NULL;
    lb_h5 *h = NULL;
    LB_TRY(lb_arena_new(64, &a));
    lb_status s = lb_h5_open(path, &h);
    if (s == LB_OK) {
        s = read_h5(h, a);
        lb_h5_abandon(h);
    }
    lb_arena_free(a);
    return s;
}

static void check_end(lb_status s, lb_status a, lb_status b, const char *what, size_t at) {
    if (s == LB_OK || ((s == a || s == b) && *lb_error())) return;
    fprintf(stderr, "%s at byte %zu: %s: %s\n", what, at, status_name(s), lb_error());
    abort();
}

void probe_bytes(io_probe probe, const uint8_t *data, size_t size, lb_status a, lb_status b) {
    memfile m = memfile_make(data, size);
    check_end(probe(m.path), a, b, "given bytes", size);
    memfile_close(&m);
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
    memfile m = tmpfile_make(data, size);
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
    memfile m = tmpfile_make(data, size);
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

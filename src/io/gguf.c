/* Opening: one walk over the file checks everything, so that the accessors (gguf_meta.c) only look up. */
#include "io/gguf_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define DEFAULT_ALIGNMENT 32
#define MAX_ARRAY_DEPTH   4 /* arrays of arrays are legal but no known key uses more than one level */

/* ggml's tensor types: those we read, and the names of the rest for messages. */
static const struct {
    const char *name;
    int type; /* lb_dtype, or -1: recognized and refused */
} ggml_types[] = {
    [0] = {"F32", LB_F32},    [1] = {"F16", LB_F16},   [2] = {"Q4_0", LB_Q4_0}, [3] = {"Q4_1", LB_Q4_1},
    [6] = {"Q5_0", LB_Q5_0},  [7] = {"Q5_1", LB_Q5_1}, [8] = {"Q8_0", LB_Q8_0}, [9] = {"Q8_1", -1},
    [10] = {"Q2_K", -1},      [11] = {"Q3_K", -1},     [12] = {"Q4_K", -1},     [13] = {"Q5_K", -1},
    [14] = {"Q6_K", -1},      [15] = {"Q8_K", -1},     [16] = {"IQ2_XXS", -1},  [17] = {"IQ2_XS", -1},
    [18] = {"IQ3_XXS", -1},   [19] = {"IQ1_S", -1},    [20] = {"IQ4_NL", -1},   [21] = {"IQ3_S", -1},
    [22] = {"IQ2_S", -1},     [23] = {"IQ4_XS", -1},   [24] = {"I8", -1},       [25] = {"I16", -1},
    [26] = {"I32", LB_I32},   [27] = {"I64", LB_I64},  [28] = {"F64", LB_F64},  [29] = {"IQ1_M", -1},
    [30] = {"BF16", LB_BF16}, [34] = {"TQ1_0", -1},    [35] = {"TQ2_0", -1},    [39] = {"MXFP4", -1},
    [40] = {"NVFP4", -1},
};

size_t lb_gguf_scalar_size(uint32_t type) {
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof size ? size[type] : 0;
}

typedef struct cursor {
    const lb_map *map;
    size_t at;
} cursor;

/* The next n bytes, which `what` needs. */
static lb_status take(cursor *c, uint64_t n, const char *what, const uint8_t **p) {
    if (n > c->map->size - c->at)
        return lb_fail(LB_E_FORMAT, "%s: truncated or corrupt: %s at byte %zu needs %llu bytes, the file has %zu left",
                       c->map->path, what, c->at, (unsigned long long)n, c->map->size - c->at);
    *p = c->map->data + c->at;
    c->at += (size_t)n;
    return LB_OK;
}

static lb_status take_u32(cursor *c, const char *what, uint32_t *v) {
    const uint8_t *p = NULL;
    LB_TRY(take(c, sizeof *v, what, &p));
    memcpy(v, p, sizeof *v);
    return LB_OK;
}

static lb_status take_u64(cursor *c, const char *what, uint64_t *v) {
    const uint8_t *p = NULL;
    LB_TRY(take(c, sizeof *v, what, &p));
    memcpy(v, p, sizeof *v);
    return LB_OK;
}

/* A name: a string that is not empty and has no control bytes, so that it can be shown and ends where C says. */
static lb_status take_name(cursor *c, lb_arena *a, const char *what, const char **out) {
    uint64_t len = 0;
    const uint8_t *p = NULL;
    size_t at = c->at;
    LB_TRY(take_u64(c, what, &len));
    LB_TRY(take(c, len, what, &p));
    bool plain = len > 0;
    for (uint64_t i = 0; i < len; i++) plain &= p[i] >= 0x20 && p[i] != 0x7f;
    if (!plain)
        return lb_fail(LB_E_FORMAT, "%s: %s at byte %zu is empty or has control characters", c->map->path, what, at);
    char *s = lb_arena_get(a, (size_t)len + 1, 1);
    if (!s) return LB_E_NOMEM;
    memcpy(s, p, (size_t)len);
    *out = s;
    return LB_OK;
}

static lb_status check_bools(const cursor *c, const char *key, const uint8_t *p, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return lb_fail(LB_E_FORMAT, "%s: key %s: a boolean is %d: must be 0 or 1", c->map->path, key, p[i]);
    return LB_OK;
}

/* Skips n strings from the cursor; with at, also notes where each begins. */
static lb_status walk_strings(cursor *c, const char *key, uint64_t n, uint64_t *at) {
    for (uint64_t i = 0; i < n; i++) {
        uint64_t len = 0;
        const uint8_t *p = NULL;
        if (at) at[i] = c->at;
        LB_TRY(take_u64(c, key, &len));
        LB_TRY(take(c, len, key, &p));
    }
    return LB_OK;
}

/* The elements of an array after its type and count. Strings are indexed only at depth 0, where they can be asked for.
 */
static lb_status walk_array(cursor *c, lb_arena *a, kv *v, uint32_t type, uint64_t n, int depth) {
    const uint8_t *p = NULL;
    if (type == GGUF_ARRAY) {
        if (depth >= MAX_ARRAY_DEPTH)
            return lb_fail(LB_E_UNSUPPORTED, "%s: key %s: arrays nested deeper than %d", c->map->path, v->key,
                           MAX_ARRAY_DEPTH);
        for (uint64_t i = 0; i < n; i++) {
            uint32_t inner = 0;
            uint64_t count = 0;
            LB_TRY(take_u32(c, v->key, &inner));
            LB_TRY(take_u64(c, v->key, &count));
            LB_TRY(walk_array(c, a, v, inner, count, depth + 1));
        }
        return LB_OK;
    }
    if (type == GGUF_STRING) {
        /* each string takes at least its length field: the index is never larger than the file */
        if (n > (c->map->size - c->at) / sizeof(uint64_t))
            return lb_fail(LB_E_FORMAT, "%s: key %s: %llu strings do not fit in the %zu bytes left", c->map->path,
                           v->key, (unsigned long long)n, c->map->size - c->at);
        if (depth == 0 && n > 0) {
            v->string_at = LB_NEW(a, uint64_t, n);
            if (!v->string_at) return LB_E_NOMEM;
        }
        return walk_strings(c, v->key, n, depth == 0 ? v->string_at : NULL);
    }
    size_t each = lb_gguf_scalar_size(type);
    if (!each) return lb_fail(LB_E_FORMAT, "%s: key %s: array of unknown type %u", c->map->path, v->key, type);
    if (n > UINT64_MAX / each)
        return lb_fail(LB_E_FORMAT, "%s: key %s: impossible count %llu", c->map->path, v->key, (unsigned long long)n);
    LB_TRY(take(c, n * each, v->key, &p));
    return type == GGUF_BOOL ? check_bools(c, v->key, p, n) : LB_OK;
}

static lb_status read_kv(cursor *c, lb_arena *a, kv *v) {
    uint64_t n = 0;
    LB_TRY(take_name(c, a, "a metadata key", &v->key));
    LB_TRY(take_u32(c, v->key, &v->type));
    if (v->type == GGUF_ARRAY) {
        LB_TRY(take_u32(c, v->key, &v->element));
        LB_TRY(take_u64(c, v->key, &n));
        v->data = c->map->data + c->at;
        LB_TRY(walk_array(c, a, v, v->element, n, 0));
        v->count = (int64_t)n; /* fits: every element takes at least a byte of the file */
        return LB_OK;
    }
    if (v->type == GGUF_STRING) {
        LB_TRY(take_u64(c, v->key, &n));
        v->count = (int64_t)n;
        return take(c, n, v->key, &v->data);
    }
    n = lb_gguf_scalar_size(v->type);
    if (!n) return lb_fail(LB_E_FORMAT, "%s: key %s: unknown value type %u", c->map->path, v->key, v->type);
    LB_TRY(take(c, n, v->key, &v->data));
    return v->type == GGUF_BOOL ? check_bools(c, v->key, v->data, 1) : LB_OK;
}

/* Room for one more: counts in the header are not believed, the array grows with what is really there. */
static lb_status grow(void **items, int64_t n, int64_t *cap, size_t size) {
    if (n < *cap) return LB_OK;
    int64_t more = *cap ? 2 * *cap : 64;
    char *p = lb_realloc(*items, (size_t)*cap, (size_t)more, size);
    if (!p) return LB_E_NOMEM;
    memset(p + (size_t)*cap * size, 0, (size_t)(more - *cap) * size);
    *items = p;
    *cap = more;
    return LB_OK;
}

static lb_status read_metadata(lb_gguf *g, cursor *c, uint64_t n) {
    int64_t cap = 0;
    for (uint64_t i = 0; i < n; i++) {
        void *items = g->kv;
        LB_TRY(grow(&items, g->kvs, &cap, sizeof *g->kv));
        g->kv = items;
        LB_TRY(read_kv(c, g->arena, &g->kv[g->kvs]));
        g->kvs++;
    }
    return LB_OK;
}

/* Name, dimensions, type and offset of one tensor; the data is placed later, when the data section's start is known. */
static lb_status read_tensor(cursor *c, lb_arena *a, lb_tensor *t, uint64_t *offset) {
    uint32_t dims = 0, type = 0;
    uint64_t size = 0;
    const char *file = c->map->path;
    LB_TRY(take_name(c, a, "a tensor name", &t->name));
    LB_TRY(take_u32(c, t->name, &dims));
    if (dims > 4) return lb_fail(LB_E_FORMAT, "%s: tensor %s: %u dimensions: at most 4", file, t->name, dims);
    t->ndim = (int)dims;
    for (uint32_t i = 0; i < dims; i++) {
        LB_TRY(take_u64(c, t->name, &size));
        if (size > INT64_MAX)
            return lb_fail(LB_E_FORMAT, "%s: tensor %s: impossible dimension %llu", file, t->name,
                           (unsigned long long)size);
        t->shape[dims - 1 - i] = (int64_t)size;
    }
    LB_TRY(take_u32(c, t->name, &type));
    LB_TRY(take_u64(c, t->name, offset));
    bool known = type < sizeof ggml_types / sizeof *ggml_types && ggml_types[type].name;
    if (!known) return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s: ggml type %u is unknown", file, t->name, type);
    if (ggml_types[type].type < 0)
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: tensor %s: ggml type %s is not supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
                       "F64, I32 and I64 are",
                       file, t->name, ggml_types[type].name);
    t->type = (lb_dtype)ggml_types[type].type;
    return lb_tensor_measure(t, file);
}

static lb_status read_alignment(const lb_gguf *g, uint64_t *out) {
    int64_t v = DEFAULT_ALIGNMENT;
    if (lb_gguf_has(g, "general.alignment")) LB_TRY(lb_gguf_int(g, "general.alignment", &v));
    if (v < 1 || v > INT32_MAX || (v & (v - 1)))
        return lb_fail(LB_E_FORMAT, "%s: general.alignment is %lld: must be a power of two", g->map.path, (long long)v);
    *out = (uint64_t)v;
    return LB_OK;
}

/* Every tensor lies aligned inside the data section, which starts at the next aligned byte after the header. */
static lb_status place_tensors(lb_gguf *g, size_t header_end, const uint64_t *offset) {
    uint64_t align = DEFAULT_ALIGNMENT, size = g->map.size;
    LB_TRY(read_alignment(g, &align));
    uint64_t start = (header_end + align - 1) / align * align;
    uint64_t room = start < size ? size - start : 0;
    for (int64_t i = 0; i < g->tensors; i++) {
        lb_tensor *t = &g->tensor[i];
        if (offset[i] % align)
            return lb_fail(LB_E_FORMAT, "%s: tensor %s: offset %llu is not a multiple of %llu", g->map.path, t->name,
                           (unsigned long long)offset[i], (unsigned long long)align);
        if (t->bytes > room || offset[i] > room - t->bytes)
            return lb_fail(LB_E_FORMAT,
                           "%s: tensor %s: %zu bytes at offset %llu of the data: the file is truncated or corrupt, it "
                           "holds %llu bytes of data",
                           g->map.path, t->name, t->bytes, (unsigned long long)offset[i], (unsigned long long)room);
        t->data = g->map.data + (t->bytes ? start + offset[i] : 0);
    }
    return LB_OK;
}

static int by_data(const void *a, const void *b) {
    const lb_tensor *x = *(const lb_tensor *const *)a, *y = *(const lb_tensor *const *)b;
    if (x->data != y->data) return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* No two tensors share bytes. */
static lb_status check_overlap(const lb_gguf *g) {
    if (g->tensors < 2) return LB_OK;
    const lb_tensor **order = lb_alloc((size_t)g->tensors, sizeof *order);
    if (!order) return LB_E_NOMEM;
    for (int64_t i = 0; i < g->tensors; i++) order[i] = &g->tensor[i];
    qsort(order, (size_t)g->tensors, sizeof *order, by_data);
    lb_status s = LB_OK;
    for (int64_t i = 1; i < g->tensors && s == LB_OK; i++) {
        const lb_tensor *x = order[i - 1], *y = order[i];
        if ((const uint8_t *)x->data + x->bytes > (const uint8_t *)y->data && y->bytes)
            s = lb_fail(LB_E_FORMAT, "%s: tensors %s and %s overlap", g->map.path, x->name, y->name);
    }
    lb_free(order);
    return s;
}

static lb_status read_tensors(lb_gguf *g, cursor *c, uint64_t n) {
    int64_t cap = 0, offset_cap = 0;
    uint64_t *offset = NULL;
    lb_status s = LB_OK;
    for (uint64_t i = 0; i < n; i++) {
        void *items = g->tensor, *offsets = offset;
        LB_TRY_GOTO(s, out, grow(&items, g->tensors, &cap, sizeof *g->tensor));
        g->tensor = items;
        LB_TRY_GOTO(s, out, grow(&offsets, g->tensors, &offset_cap, sizeof *offset));
        offset = offsets;
        LB_TRY_GOTO(s, out, read_tensor(c, g->arena, &g->tensor[g->tensors], &offset[g->tensors]));
        g->tensors++;
    }
    LB_TRY_GOTO(s, out, place_tensors(g, c->at, offset));
    LB_TRY_GOTO(s, out, check_overlap(g));
out:
    lb_free(offset);
    return s;
}

static int by_key(const void *a, const void *b) {
    return strcmp((*(const kv *const *)a)->key, (*(const kv *const *)b)->key);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const lb_tensor *const *)a)->name, (*(const lb_tensor *const *)b)->name);
}

/* Sorted views for lookups; neighbours that are equal are duplicates. */
static lb_status index_keys(lb_gguf *g) {
    g->by_key = LB_NEW(g->arena, const kv *, g->kvs + 1);
    if (!g->by_key) return LB_E_NOMEM;
    for (int64_t i = 0; i < g->kvs; i++) g->by_key[i] = &g->kv[i];
    qsort(g->by_key, (size_t)g->kvs, sizeof *g->by_key, by_key);
    for (int64_t i = 1; i < g->kvs; i++)
        if (!by_key(&g->by_key[i - 1], &g->by_key[i]))
            return lb_fail(LB_E_FORMAT, "%s: key %s appears twice", g->map.path, g->by_key[i]->key);
    return LB_OK;
}

static lb_status index_tensors(lb_gguf *g) {
    g->by_name = LB_NEW(g->arena, const lb_tensor *, g->tensors + 1);
    if (!g->by_name) return LB_E_NOMEM;
    for (int64_t i = 0; i < g->tensors; i++) g->by_name[i] = &g->tensor[i];
    qsort(g->by_name, (size_t)g->tensors, sizeof *g->by_name, by_name);
    for (int64_t i = 1; i < g->tensors; i++)
        if (!by_name(&g->by_name[i - 1], &g->by_name[i]))
            return lb_fail(LB_E_FORMAT, "%s: tensor %s appears twice", g->map.path, g->by_name[i]->name);
    return LB_OK;
}

static lb_status read_header(cursor *c, uint64_t *tensors, uint64_t *kvs) {
    const char *file = c->map->path;
    const uint8_t *magic = NULL;
    uint32_t version = 0;
    LB_TRY(take(c, 4, "the magic number", &magic));
    if (memcmp(magic, "GGUF", 4)) return lb_fail(LB_E_FORMAT, "%s: not a GGUF file (no magic number)", file);
    LB_TRY(take_u32(c, "the version", &version));
    if (version != 0 && (version & 0xffff) == 0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a big-endian GGUF file: only little-endian ones are read", file);
    if (version != 2 && version != 3)
        return lb_fail(LB_E_UNSUPPORTED, "%s: GGUF version %u: must be 2 or 3", file, version);
    LB_TRY(take_u64(c, "the tensor count", tensors));
    return take_u64(c, "the metadata count", kvs);
}

lb_status lb_gguf_open(const char *path, lb_gguf **out) {
    *out = NULL;
    lb_gguf *g = lb_alloc(1, sizeof *g);
    if (!g) return LB_E_NOMEM;
    lb_status s;
    uint64_t tensors = 0, kvs = 0;
    cursor c = {&g->map, 0};
    LB_TRY_GOTO(s, fail, lb_map_open(path, &g->map));
    LB_TRY_GOTO(s, fail, lb_arena_new(64 << 10, &g->arena));
    LB_TRY_GOTO(s, fail, read_header(&c, &tensors, &kvs));
    LB_TRY_GOTO(s, fail, read_metadata(g, &c, kvs));
    LB_TRY_GOTO(s, fail, index_keys(g));
    LB_TRY_GOTO(s, fail, read_tensors(g, &c, tensors));
    LB_TRY_GOTO(s, fail, index_tensors(g));
    *out = g;
    return LB_OK;
fail:
    lb_gguf_close(g);
    return s;
}

void lb_gguf_close(lb_gguf *g) {
    if (!g) return;
    lb_free(g->kv);
    lb_free(g->tensor);
    lb_arena_free(g->arena);
    lb_map_close(&g->map);
    lb_free(g);
}

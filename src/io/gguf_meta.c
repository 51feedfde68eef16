/* Lookups in an open GGUF file. Everything was checked at opening: only keys, types and indexes can be wrong here. */
#include "io/gguf_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};

const char *lb_gguf_path(const lb_gguf *g) { return g->map.path; }

int64_t lb_gguf_tensor_count(const lb_gguf *g) { return g->tensors; }

const lb_tensor *lb_gguf_tensor(const lb_gguf *g, int64_t i) { return i >= 0 && i < g->tensors ? &g->tensor[i] : NULL; }

static int name_vs_tensor(const void *name, const void *item) {
    return strcmp(name, (*(const lb_tensor *const *)item)->name);
}

const lb_tensor *lb_gguf_find(const lb_gguf *g, const char *name) {
    const lb_tensor *const *hit = bsearch(name, g->by_name, (size_t)g->tensors, sizeof *g->by_name, name_vs_tensor);
    return hit ? *hit : NULL;
}

static int key_vs_kv(const void *key, const void *item) { return strcmp(key, (*(const kv *const *)item)->key); }

static const kv *find(const lb_gguf *g, const char *key) {
    const kv *const *hit = bsearch(key, g->by_key, (size_t)g->kvs, sizeof *g->by_key, key_vs_kv);
    return hit ? *hit : NULL;
}

bool lb_gguf_has(const lb_gguf *g, const char *key) { return find(g, key) != NULL; }

static lb_status need(const lb_gguf *g, const char *key, const kv **out) {
    *out = find(g, key);
    return *out ? LB_OK : lb_fail(LB_E_FORMAT, "%s: no metadata key %s", g->map.path, key);
}

static lb_status wrong_type(const lb_gguf *g, const kv *v, const char *expected) {
    if (v->type == GGUF_ARRAY)
        return lb_fail(LB_E_FORMAT, "%s: key %s is an array of %s: expected %s", g->map.path, v->key,
                       type_names[v->element], expected);
    return lb_fail(LB_E_FORMAT, "%s: key %s is of type %s: expected %s", g->map.path, v->key, type_names[v->type],
                   expected);
}

#define LOAD(T, p, out)                                                                                                \
    do {                                                                                                               \
        T v_;                                                                                                          \
        memcpy(&v_, p, sizeof v_);                                                                                     \
        (out) = v_;                                                                                                    \
    } while (0)

/* false: not an integer type, or a u64 beyond int64 */
static bool load_int(uint32_t type, const uint8_t *p, int64_t *out) {
    uint64_t u = 0;
    switch (type) {
    case GGUF_U8:
        *out = p[0];
        return true;
    case GGUF_I8:
        *out = (int8_t)p[0];
        return true;
    case GGUF_U16:
        LOAD(uint16_t, p, *out);
        return true;
    case GGUF_I16:
        LOAD(int16_t, p, *out);
        return true;
    case GGUF_U32:
        LOAD(uint32_t, p, *out);
        return true;
    case GGUF_I32:
        LOAD(int32_t, p, *out);
        return true;
    case GGUF_I64:
        LOAD(int64_t, p, *out);
        return true;
    case GGUF_U64:
        LOAD(uint64_t, p, u);
        *out = (int64_t)u;
        return u <= INT64_MAX;
    default:
        return false;
    }
}

static bool load_float(uint32_t type, const uint8_t *p, double *out) {
    switch (type) {
    case GGUF_F32:
        LOAD(float, p, *out);
        return true;
    case GGUF_F64:
        LOAD(double, p, *out);
        return true;
    default:
        return false;
    }
}

lb_status lb_gguf_int(const lb_gguf *g, const char *key, int64_t *out) {
    const kv *v = NULL;
    LB_TRY(need(g, key, &v));
    return load_int(v->type, v->data, out) ? LB_OK : wrong_type(g, v, "an integer that fits in 64 signed bits");
}

lb_status lb_gguf_float(const lb_gguf *g, const char *key, double *out) {
    const kv *v = NULL;
    LB_TRY(need(g, key, &v));
    return load_float(v->type, v->data, out) ? LB_OK : wrong_type(g, v, "f32 or f64");
}

lb_status lb_gguf_bool(const lb_gguf *g, const char *key, bool *out) {
    const kv *v = NULL;
    LB_TRY(need(g, key, &v));
    if (v->type != GGUF_BOOL) return wrong_type(g, v, "bool");
    *out = v->data[0] != 0;
    return LB_OK;
}

lb_status lb_gguf_str(const lb_gguf *g, const char *key, const char **s, size_t *len) {
    const kv *v = NULL;
    LB_TRY(need(g, key, &v));
    if (v->type != GGUF_STRING) return wrong_type(g, v, "string");
    *s = (const char *)v->data;
    *len = (size_t)v->count;
    return LB_OK;
}

lb_status lb_gguf_array(const lb_gguf *g, const char *key, int64_t *count) {
    const kv *v = NULL;
    LB_TRY(need(g, key, &v));
    if (v->type != GGUF_ARRAY) return wrong_type(g, v, "array");
    *count = v->count;
    return LB_OK;
}

static lb_status need_element(const lb_gguf *g, const char *key, int64_t i, const kv **out) {
    LB_TRY(need(g, key, out));
    if ((*out)->type != GGUF_ARRAY) return wrong_type(g, *out, "array");
    if (i < 0 || i >= (*out)->count)
        return lb_fail(LB_E_ARG, "%s: key %s: element %lld asked for: it has %lld", g->map.path, key, (long long)i,
                       (long long)(*out)->count);
    return LB_OK;
}

static void string_at(const lb_gguf *g, const kv *v, int64_t i, const char **s, size_t *len) {
    const uint8_t *p = g->map.data + v->string_at[i];
    uint64_t n = 0;
    LOAD(uint64_t, p, n);
    *s = (const char *)p + sizeof n;
    *len = (size_t)n;
}

lb_status lb_gguf_array_str(const lb_gguf *g, const char *key, int64_t i, const char **s, size_t *len) {
    const kv *v = NULL;
    LB_TRY(need_element(g, key, i, &v));
    if (v->element != GGUF_STRING) return wrong_type(g, v, "an array of strings");
    string_at(g, v, i, s, len);
    return LB_OK;
}

lb_status lb_gguf_array_int(const lb_gguf *g, const char *key, int64_t i, int64_t *out) {
    const kv *v = NULL;
    LB_TRY(need_element(g, key, i, &v));
    size_t each = lb_gguf_scalar_size(v->element);
    if (!each || !load_int(v->element, v->data + (size_t)i * each, out))
        return wrong_type(g, v, "an array of integers that fit in 64 signed bits");
    return LB_OK;
}

lb_status lb_gguf_array_float(const lb_gguf *g, const char *key, int64_t i, double *out) {
    const kv *v = NULL;
    LB_TRY(need_element(g, key, i, &v));
    size_t each = lb_gguf_scalar_size(v->element);
    if (!each || !load_float(v->element, v->data + (size_t)i * each, out))
        return wrong_type(g, v, "an array of f32 or f64");
    return LB_OK;
}

/* A fixed buffer that drops what does not fit. */
typedef struct text {
    char *s;
    size_t size, at;
} text;

static void put(text *t, const char *s, size_t n) {
    for (size_t i = 0; i < n && t->at + 1 < t->size; i++) t->s[t->at++] = s[i];
}

/* Quoted, control bytes as \xNN, at most `most` bytes, never cut inside a UTF-8 sequence. */
static void put_string(text *t, const char *s, size_t n, size_t most) {
    size_t end = n;
    if (end > most) {
        end = most;
        while (end > 0 && ((uint8_t)s[end] & 0xc0) == 0x80) end--;
    }
    put(t, "\"", 1);
    for (size_t i = 0; i < end; i++) {
        char hex[8] = "";
        uint8_t c = (uint8_t)s[i];
        if (c == '"' || c == '\\')
            put(t, (char[]){'\\', (char)c}, 2);
        else if (c >= 0x20 && c != 0x7f)
            put(t, s + i, 1);
        else if (c == '\n')
            put(t, "\\n", 2);
        else
            snprintf(hex, sizeof hex, "\\x%02x", c), put(t, hex, strlen(hex));
    }
    put(t, end < n ? "\"..." : "\"", end < n ? 4 : 1);
}

static void put_scalar(text *t, uint32_t type, const uint8_t *p) {
    char buf[40];
    int64_t i = 0;
    double f = 0;
    int n;
    if (type == GGUF_BOOL)
        n = snprintf(buf, sizeof buf, "%s", p[0] ? "true" : "false");
    else if (load_float(type, p, &f))
        n = snprintf(buf, sizeof buf, "%.*g", type == GGUF_F32 ? 9 : 17, f);
    else if (load_int(type, p, &i))
        n = snprintf(buf, sizeof buf, "%lld", (long long)i);
    else
        n = snprintf(buf, sizeof buf, "%llu", (unsigned long long)i);
    put(t, buf, (size_t)n);
}

static void put_array(text *t, const lb_gguf *g, const kv *v) {
    char head[64];
    int n = snprintf(head, sizeof head, "%lld x %s", (long long)v->count, type_names[v->element]);
    put(t, head, (size_t)n);
    if (v->element == GGUF_ARRAY) return;
    int64_t shown = v->count < 4 ? v->count : 4;
    put(t, ": [", 3);
    for (int64_t i = 0; i < shown; i++) {
        if (i) put(t, ", ", 2);
        if (v->element == GGUF_STRING) {
            const char *s;
            size_t len;
            string_at(g, v, i, &s, &len);
            put_string(t, s, len, 24);
        } else {
            put_scalar(t, v->element, v->data + (size_t)i * lb_gguf_scalar_size(v->element));
        }
    }
    put(t, shown < v->count ? ", ...]" : "]", shown < v->count ? 6 : 1);
}

bool lb_gguf_describe(const lb_gguf *g, int64_t i, const char **key, char *value, size_t size) {
    if (i < 0 || i >= g->kvs || size == 0) return false;
    const kv *v = &g->kv[i];
    text t = {value, size, 0};
    *key = v->key;
    if (v->type == GGUF_STRING)
        put_string(&t, (const char *)v->data, (size_t)v->count, size > 8 ? size - 8 : 0);
    else if (v->type == GGUF_ARRAY)
        put_array(&t, g, v);
    else
        put_scalar(&t, v->type, v->data);
    value[t.at] = 0;
    return true;
}

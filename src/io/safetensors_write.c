/* Writing: the header is known from the shapes, so the data is streamed after it, converted piece by piece. */
#include "io/safetensors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/str.h"
#include "io/json.h"

#define PIECE 16384 /* elements converted at a time */

static int add_bytes(const char *p, size_t n, void *b) {
    lb_str_add_bytes(b, p, n);
    return ((lb_str *)b)->failed ? -1 : 0;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [from, to]}; the caller owns it. NULL: out of memory. */
static json_t *entry(const lb_tensor *t, int64_t from) {
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i]))) goto fail;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", lb_dtype_name(t->type), "shape", shape, "data_offsets",
                     (json_int_t)from, (json_int_t)(from + (int64_t)t->bytes));
fail:
    json_decref(shape);
    return NULL;
}

static lb_status add_metadata(json_t *header, const char *const *metadata) {
    json_t *o = json_object();
    for (const char *const *m = metadata; o && m[0]; m += 2)
        if (json_object_set_new(o, m[0], json_string(m[1]))) {
            json_decref(o);
            return lb_fail(LB_E_ARG, "metadata '%s': key and value must be UTF-8", m[0]);
        }
    return json_object_set_new(header, "__metadata__", o) ? lb_json_memory_check("the header") : LB_OK;
}

static lb_status add_tensor(json_t *header, const char *path, lb_dtype type, const lb_tensor_out *t, int64_t *at) {
    lb_tensor info = {.name = t->name, .type = type, .ndim = t->ndim};
    if (t->ndim < 0 || t->ndim > 4)
        return lb_fail(LB_E_ARG, "%s: tensor %s: %d dimensions: 0 to 4 can be written", path, t->name, t->ndim);
    for (int i = 0; i < t->ndim; i++) info.shape[i] = t->shape[i];
    LB_TRY(lb_tensor_measure(&info, path));
    if (!*t->name || !strcmp(t->name, "__metadata__"))
        return lb_fail(LB_E_ARG, "%s: '%s' cannot be a tensor's name", path, t->name);
    if (json_object_get(header, t->name))
        return lb_fail(LB_E_ARG, "%s: tensor %s is to be written twice", path, t->name);
    if (json_object_set_new(header, t->name, entry(&info, *at)))
        return lb_fail(LB_E_ARG, "%s: tensor '%s': its name must be UTF-8", path, t->name);
    *at += (int64_t)info.bytes;
    return LB_OK;
}

/* The length and the header's JSON, padded with spaces so that the data starts at a multiple of 8. */
static lb_status make_header(const char *path, lb_dtype type, const lb_tensor_out *t, int64_t n,
                             const char *const *metadata, lb_str *b) {
    int64_t at = 0;
    uint64_t len = 0;
    lb_status s = LB_OK;
    lb_json_memory_begin();
    json_t *header = json_object();
    if (!header) return lb_json_memory_check(path);
    if (metadata) LB_TRY_GOTO(s, out, add_metadata(header, metadata));
    for (int64_t i = 0; i < n; i++) LB_TRY_GOTO(s, out, add_tensor(header, path, type, &t[i], &at));
    lb_str_add_bytes(b, &len, sizeof len);
    if (json_dump_callback(header, add_bytes, b, JSON_COMPACT) && !b->failed) {
        s = lb_fail(LB_E_ARG, "%s: its header cannot be written as JSON", path);
        goto out;
    }
    while (b->len % 8 && !b->failed) lb_str_add_bytes(b, " ", 1);
    LB_TRY_GOTO(s, out, lb_str_check(b));
    len = b->len - sizeof len;
    memcpy(b->s, &len, sizeof len);
out:
    json_decref(header);
    return lb_json_memory_check(path) == LB_OK ? s : LB_E_NOMEM; /* whatever else it looked like */
}

static lb_status put(FILE *f, const char *path, const void *p, size_t n) {
    if (n == 0 || fwrite(p, 1, n, f) == n) return LB_OK;
    return lb_fail(LB_E_IO, "%s: cannot write: %s", path, strerror(errno));
}

/* n float32 values as 16-bit ones. A finite value must stay finite; NaN and infinity pass. */
static lb_status narrow(const char *path, lb_dtype type, const lb_tensor_out *t, const float *data, int64_t first,
                        int64_t n, uint16_t *out) {
    for (int64_t i = 0; i < n; i++) {
        float x = data[i];
        out[i] = type == LB_F16 ? lb_f32_to_f16(x) : lb_f32_to_bf16(x);
        float back = type == LB_F16 ? lb_f16_to_f32(out[i]) : lb_bf16_to_f32(out[i]);
        if (isinf(back) && !isinf(x))
            return lb_fail(LB_E_NUMERIC, "%s: tensor %s: element %lld is %g: too large for %s", path, t->name,
                           (long long)(first + i), (double)x, lb_dtype_name(type));
    }
    return LB_OK;
}

static lb_status put_tensor(FILE *f, const char *path, lb_dtype type, const lb_tensor_out *t, uint16_t *piece) {
    int64_t count = 1;
    for (int i = 0; i < t->ndim; i++) count *= t->shape[i];
    const float *data = t->data;
    if (count == 0) return LB_OK;
    if (!data) LB_TRY(t->read(t->ctx, &data));
    if (type == LB_F32) return put(f, path, data, (size_t)count * sizeof *data);
    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        LB_TRY(narrow(path, type, t, data + at, at, n, piece));
        LB_TRY(put(f, path, piece, (size_t)n * sizeof *piece));
    }
    return LB_OK;
}

/* Everything into the temporary file; messages name the final one. */
static lb_status write_file(const lb_fs_tmp *tmp, lb_dtype type, const lb_tensor_out *t, int64_t n,
                            const lb_str *header) {
    lb_status s;
    uint16_t *piece = lb_alloc(PIECE, sizeof *piece);
    if (!piece) return LB_E_NOMEM;
    FILE *f = fopen(tmp->tmp, "wbx");
    if (!f) {
        s = lb_fail(LB_E_IO, "%s: cannot create: %s", tmp->path, strerror(errno));
        goto out;
    }
    LB_TRY_GOTO(s, out, put(f, tmp->path, header->s, header->len));
    for (int64_t i = 0; i < n; i++) LB_TRY_GOTO(s, out, put_tensor(f, tmp->path, type, &t[i], piece));
out:
    if (f && fclose(f) && s == LB_OK) s = lb_fail(LB_E_IO, "%s: cannot write: %s", tmp->path, strerror(errno));
    lb_free(piece);
    return s;
}

lb_status lb_safetensors_write(const char *path, lb_dtype type, const lb_tensor_out *t, int64_t n,
                               const char *const *metadata) {
    lb_str header = {0};
    lb_fs_tmp tmp = {0};
    lb_status s;
    if (type != LB_F32 && type != LB_F16 && type != LB_BF16)
        return lb_fail(LB_E_ARG, "%s: safetensors are written as F32, F16 or BF16, not %s", path, lb_dtype_name(type));
    LB_TRY_GOTO(s, fail, make_header(path, type, t, n, metadata, &header));
    LB_TRY_GOTO(s, fail, lb_fs_tmp_begin(path, &tmp));
    LB_TRY_GOTO(s, fail, write_file(&tmp, type, t, n, &header));
    lb_str_free(&header);
    return lb_fs_tmp_commit(&tmp);
fail:
    lb_fs_tmp_abort(&tmp);
    lb_str_free(&header);
    return s;
}

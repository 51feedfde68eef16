#include "result/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "result/store_fields.h"

enum { MOST_LAYERS = 1000000 };

#define LAYER(TYPE, name, field)                                                                                       \
    { name, LB_FIELD_##TYPE, offsetof(lb_bundle_layer, field), 0 }
static const lb_field layer_rows[] = {
    {"name", LB_FIELD_CHARS, offsetof(lb_bundle_layer, name), sizeof(((lb_bundle_layer *)0)->name)},
    LAYER(I64, "rows", rows),
    LAYER(I64, "cols", cols),
    LAYER(STR, "format", words.format),
    LAYER(INT, "bits", words.bits),
    LAYER(I64, "group", words.group),
    LAYER(BOOL, "symmetric", words.symmetric),
    LAYER(STR, "scale_type", words.scale_type),
    LAYER(BOOL, "double_quant", words.double_quant),
    LAYER(BOOL, "order", words.order),
    LAYER(LATER, "mask_of", words.mask_of),
    LAYER(LATER, "mask_keep", words.mask_keep),
    LAYER(LATER, "rank", words.rank),
    LAYER(LATER, "rank_type", words.rank_type),
    LAYER(LATER, "t_scale", words.t_scale),
    LAYER(LATER, "t_scale_type", words.t_scale_type),
    LAYER(LATER, "t_hadamard", words.t_hadamard),
    LAYER(LATER, "t_sign", words.t_sign),
    LAYER(INT, "act_bits", words.act_bits),
    LAYER(BOOL, "act_symmetric", words.act_symmetric),
    LAYER(LATER, "act_mode", words.act_mode),
    LAYER(LATER, "act_group", words.act_group),
    LAYER(I64, "start", start),
    LAYER(I64, "bytes", bytes),
};
static const lb_fields layer_fields = {layer_rows, sizeof layer_rows / sizeof layer_rows[0]};

#define PART(TYPE, name, field)                                                                                        \
    { name, LB_FIELD_##TYPE, offsetof(lb_bundle_part, field), 0 }
static const lb_field part_rows[] = {
    PART(I64, "layer", layer),
    PART(STR, "name", name),
    PART(I64, "start", start),
    PART(I64, "bytes", bytes),
    {"sha256", LB_FIELD_CHARS, offsetof(lb_bundle_part, sha256), sizeof(((lb_bundle_part *)0)->sha256)},
};
static const lb_fields part_fields = {part_rows, sizeof part_rows / sizeof part_rows[0]};

/* ---- making one ---- */

lb_status lb_bundle_new(const char *path, int64_t most, lb_bundle **out) {
    lb_fs_tmp tmp;
    lb_bundle *b = lb_alloc(1, sizeof *b);
    *out = NULL;
    if (!b) return LB_E_NOMEM;
    *b = (lb_bundle){.fd = -1, .most_layers = most};
    b->path = lb_strdup(path);
    b->layer = lb_alloc((size_t)most + 1, sizeof *b->layer);
    b->part = lb_alloc((size_t)most + 1, LB_MOST_SECTIONS * sizeof *b->part);
    lb_status st = b->path && b->layer && b->part ? lb_fs_tmp_begin(path, &tmp) : LB_E_NOMEM;
    if (st == LB_OK) {
        b->fd = open(tmp.tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (b->fd < 0) st = lb_fail(LB_E_IO, "%s: cannot create: %s", tmp.tmp, strerror(errno));
        lb_fs_tmp_abort(&tmp); /* the name goes at once: nothing is left, however the program ends */
    }
    if (st == LB_OK)
        *out = b;
    else
        lb_bundle_close(b);
    return st;
}

void lb_bundle_close(lb_bundle *b) {
    if (!b) return;
    if (b->fd >= 0) close(b->fd);
    lb_free(b->path);
    lb_free(b->layer);
    lb_free(b->part);
    lb_free(b);
}

lb_status lb_bundle_add(lb_bundle *b, const char *name, int64_t rows, int64_t cols, const lb_storage *s,
                        int64_t *index) {
    lb_size size;
    lb_section section[LB_MOST_SECTIONS];
    if (b->layers == b->most_layers)
        return lb_fail(LB_E_ARG, "%s: layer %s: room for %lld layers", b->path, name, (long long)b->most_layers);
    LB_TRY(lb_storage_size(s, rows, cols, &size));
    lb_bundle_layer *l = &b->layer[b->layers];
    *l = (lb_bundle_layer){
        .rows = rows, .cols = cols, .storage = *s, .start = b->bytes, .bytes = size.total, .part = b->parts};
    snprintf(l->name, sizeof l->name, "%s", name);
    LB_TRY(lb_storage_to_words(s, &l->words));
    l->parts = lb_storage_sections(s, rows, cols, section);
    for (int64_t i = 0; i < l->parts; i++) {
        b->part[b->parts++] =
            (lb_bundle_part){.layer = b->layers, .name = section[i].name, .start = b->bytes, .bytes = section[i].bytes};
        b->bytes += section[i].bytes;
    }
    *index = b->layers++;
    return LB_OK;
}

static lb_status write_at(const lb_bundle *b, const char *from, int64_t at, int64_t n) {
    while (n > 0) {
        ssize_t done = pwrite(b->fd, from, (size_t)n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return lb_fail(LB_E_IO, "%s: cannot keep its layers beside it: %s", b->path,
                           done < 0 ? strerror(errno) : "nothing is written");
        from += done, at += done, n -= done;
    }
    return LB_OK;
}

lb_status lb_bundle_put(lb_bundle *b, int64_t index, const void *bytes) {
    lb_bundle_layer *l = &b->layer[index];
    lb_bundle_part *p = &b->part[l->part];
    if (l->parts > 0 && p->sha256[0]) return lb_fail(LB_E_ARG, "%s: layer %s comes twice", b->path, l->name);
    for (int64_t i = 0; i < l->parts; i++)
        LB_TRY(lb_hash_bytes((const char *)bytes + (p[i].start - l->start), (size_t)p[i].bytes, p[i].sha256));
    b->put++;
    return write_at(b, bytes, l->start, l->bytes);
}

static lb_status read_spool(void *ctx, int64_t first, int64_t n, void *to) {
    const lb_bundle *b = ctx;
    for (char *p = to; n > 0;) {
        ssize_t got = pread(b->fd, p, (size_t)n, (off_t)first);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return lb_fail(LB_E_IO, "%s: cannot read its layers back: %s", b->path,
                           got < 0 ? strerror(errno) : "they end too early");
        p += got, first += got, n -= got;
    }
    return LB_OK;
}

lb_status lb_bundle_write(lb_h5 *h, const lb_bundle *b) {
    if (b->put != b->layers)
        return lb_fail(LB_E_ARG, "%s: %lld of %lld layers to keep", b->path, (long long)b->put, (long long)b->layers);
    LB_TRY(lb_h5_attr_i64(h, "/", "n_kept", b->layers));
    LB_TRY(lb_h5_attr_i64(h, "/", "n_kept_parts", b->parts));
    if (b->whole) LB_TRY(lb_h5_attr_i64(h, "/", "keeps_model", 1));
    if (b->layers == 0) return LB_OK;
    LB_TRY(lb_fields_put_columns(h, "/kept/layers", layer_fields, b->layer, sizeof *b->layer, b->layers));
    LB_TRY(lb_fields_put_columns(h, "/kept/parts", part_fields, b->part, sizeof *b->part, b->parts));
    return lb_h5_put_bytes(h, "/kept/bytes", b->bytes, read_spool, (void *)(uintptr_t)b);
}

/* ---- reading one ---- */

bool lb_bundle_is_in(lb_h5 *h) { return lb_h5_has_attr(h, "/", "n_kept"); }

bool lb_bundle_is_whole(lb_h5 *h) { return lb_bundle_is_in(h) && lb_h5_has_attr(h, "/", "keeps_model"); }

/* Parts that are the sections of its storage, one after another. */
static lb_status check_layer(const lb_bundle *b, lb_bundle_layer *l, int64_t *part) {
    lb_size size;
    lb_section section[LB_MOST_SECTIONS];
    LB_TRY(lb_storage_from_words(&l->words, &l->storage));
    LB_TRY(lb_storage_size(&l->storage, l->rows, l->cols, &size));
    if (l->bytes != size.total || l->start < 0 || l->start > b->bytes - l->bytes)
        return lb_fail(LB_E_FORMAT, "%lld bytes at %lld of %lld: expected %lld of them", (long long)l->bytes,
                       (long long)l->start, (long long)b->bytes, (long long)size.total);
    int64_t at = l->start;
    l->part = *part;
    l->parts = lb_storage_sections(&l->storage, l->rows, l->cols, section);
    for (int64_t i = 0; i < l->parts; i++, ++*part) {
        const lb_bundle_part *p = *part < b->parts ? &b->part[*part] : NULL;
        if (!p || p->layer != l - b->layer || strcmp(p->name, section[i].name) != 0 || p->start != at ||
            p->bytes != section[i].bytes || !lb_hash_is_hex(p->sha256))
            return lb_fail(LB_E_FORMAT, "part %lld of /kept/parts: expected %s, %lld bytes at %lld", (long long)*part,
                           section[i].name, (long long)section[i].bytes, (long long)at);
        at += p->bytes;
    }
    return LB_OK;
}

static lb_status check_layers(lb_bundle *b) {
    int64_t part = 0;
    for (int64_t i = 0; i < b->layers; i++) {
        lb_status st = check_layer(b, &b->layer[i], &part);
        if (st == LB_E_NOMEM) return st;
        if (st != LB_OK) return lb_fail_in(LB_E_FORMAT, "layer %s", b->layer[i].name);
    }
    if (part == b->parts) return LB_OK;
    return lb_fail(LB_E_FORMAT, "/kept/parts has %lld rows, its layers %lld parts", (long long)b->parts,
                   (long long)part);
}

/* Rows that a column has, before memory is asked for. */
static lb_status count_rows(lb_h5 *h, const char *attr, const char *column, int64_t *n) {
    int ndim = 0;
    int64_t shape[4] = {0};
    LB_TRY(lb_h5_get_attr_i64(h, "/", attr, n));
    if (*n == 0) return LB_OK;
    LB_TRY(lb_h5_shape(h, column, &ndim, shape));
    if (ndim == 1 && shape[0] == *n && *n > 0 && *n <= MOST_LAYERS * (int64_t)LB_MOST_SECTIONS) return LB_OK;
    return lb_fail(LB_E_FORMAT, "attribute %s = %lld: %s has %lld values", attr, (long long)*n, column,
                   (long long)shape[0]);
}

static lb_status read_tables(lb_h5 *h, lb_arena *a, lb_bundle *b) {
    LB_TRY(count_rows(h, "n_kept", "/kept/layers/name", &b->layers));
    LB_TRY(count_rows(h, "n_kept_parts", "/kept/parts/name", &b->parts));
    b->layer = LB_NEW(a, lb_bundle_layer, b->layers + 1);
    b->part = LB_NEW(a, lb_bundle_part, b->parts + 1);
    if (!b->layer || !b->part) return LB_E_NOMEM;
    if (b->layers == 0) return LB_OK;
    LB_TRY(lb_fields_get_columns(h, a, "/kept/layers", layer_fields, b->layer, sizeof *b->layer, b->layers));
    LB_TRY(lb_fields_get_columns(h, a, "/kept/parts", part_fields, b->part, sizeof *b->part, b->parts));
    LB_TRY(lb_h5_bytes(h, "/kept/bytes", &b->bytes));
    return check_layers(b);
}

lb_status lb_bundle_read(lb_h5 *h, lb_arena *a, lb_bundle *out) {
    *out = (lb_bundle){.fd = -1};
    if (!lb_bundle_is_in(h))
        return lb_fail(LB_E_UNSUPPORTED, "it keeps no layers: run its config with keep_layers: true");
    return read_tables(h, a, out);
}

lb_status lb_bundle_get(lb_h5 *h, const lb_bundle *b, int64_t index, void *to) {
    const lb_bundle_layer *l = &b->layer[index];
    char have[LB_HASH_HEX];
    for (int64_t i = l->part; i < l->part + l->parts; i++) {
        const lb_bundle_part *p = &b->part[i];
        char *at = (char *)to + (p->start - l->start);
        LB_TRY(lb_h5_get_bytes(h, "/kept/bytes", p->start, p->bytes, at));
        LB_TRY(lb_hash_bytes(at, (size_t)p->bytes, have));
        if (strcmp(have, p->sha256) != 0)
            return lb_fail(LB_E_FORMAT, "layer %s: %s: SHA-256 %s, expected %s", l->name, p->name, have, p->sha256);
    }
    return LB_OK;
}

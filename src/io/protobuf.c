#include "io/protobuf.h"

#include <string.h>

static lb_status damaged(const lb_pb *m, size_t at, const char *why) {
    return lb_fail(LB_E_FORMAT, "%s: byte %zu: %s", m->name, m->base + at, why);
}

/* Seven bits a byte, the low ones first; at most ten bytes. */
static lb_status varint(lb_pb *m, uint64_t *out) {
    size_t start = m->at;
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (m->at == m->size) return damaged(m, start, "a number is cut short");
        uint8_t b = m->data[m->at++];
        if (shift == 63 && b > 1) break;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            *out = v;
            return LB_OK;
        }
    }
    return damaged(m, start, "a number of more than 64 bits");
}

/* Little-endian. */
static lb_status fixed(lb_pb *m, size_t n, uint64_t *out) {
    if (m->size - m->at < n) return damaged(m, m->at, "a number is cut short");
    *out = 0;
    for (size_t i = n; i-- > 0;) *out = *out << 8 | m->data[m->at + i];
    m->at += n;
    return LB_OK;
}

lb_status lb_pb_next(lb_pb *m, lb_pb_field *f, bool *there) {
    uint64_t key;
    *f = (lb_pb_field){.at = m->base + m->at};
    *there = m->at < m->size;
    if (!*there) return LB_OK;
    LB_TRY(varint(m, &key));
    if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF)
        return lb_fail(LB_E_FORMAT, "%s: byte %zu: field %llu: must be in [1, 2^29)", m->name, f->at,
                       (unsigned long long)(key >> 3));
    f->number = (uint32_t)(key >> 3);
    f->wire = (lb_pb_wire)(key & 7);
    switch (f->wire) {
    case LB_PB_VARINT:
        return varint(m, &f->value);
    case LB_PB_FIXED64:
        return fixed(m, 8, &f->value);
    case LB_PB_FIXED32:
        return fixed(m, 4, &f->value);
    case LB_PB_BYTES:
        LB_TRY(varint(m, &f->value));
        if (f->value > m->size - m->at)
            return lb_fail(LB_E_FORMAT, "%s: byte %zu: field %u has %llu bytes, but %zu are left", m->name, f->at,
                           f->number, (unsigned long long)f->value, m->size - m->at);
        f->bytes = m->data + m->at;
        f->n = (size_t)f->value;
        m->at += f->n;
        return LB_OK;
    }
    return lb_fail(LB_E_FORMAT, "%s: byte %zu: field %u is of kind %d: must be 0, 1, 2 or 5", m->name, f->at, f->number,
                   (int)(key & 7));
}

static lb_status of_kind(const lb_pb *m, const lb_pb_field *f, const char *what, lb_pb_wire wire) {
    if (f->wire == wire) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: byte %zu: %s (field %u) is of kind %d, expected %d", m->name, f->at, what,
                   f->number, (int)f->wire, (int)wire);
}

lb_status lb_pb_message(const lb_pb *m, const lb_pb_field *f, const char *what, lb_pb *out) {
    LB_TRY(of_kind(m, f, what, LB_PB_BYTES));
    *out = (lb_pb){m->name, f->bytes, f->n, 0, m->base + (size_t)(f->bytes - m->data)};
    return LB_OK;
}

lb_status lb_pb_bytes(const lb_pb *m, const lb_pb_field *f, const char *what, const char **s, size_t *n) {
    LB_TRY(of_kind(m, f, what, LB_PB_BYTES));
    *s = (const char *)f->bytes;
    *n = f->n;
    return LB_OK;
}

lb_status lb_pb_float(const lb_pb *m, const lb_pb_field *f, const char *what, float *out) {
    LB_TRY(of_kind(m, f, what, LB_PB_FIXED32));
    uint32_t bits = (uint32_t)f->value;
    memcpy(out, &bits, sizeof *out);
    return LB_OK;
}

/* Negative ones are ten bytes, of all 64 bits. */
lb_status lb_pb_int(const lb_pb *m, const lb_pb_field *f, const char *what, int32_t *out) {
    LB_TRY(of_kind(m, f, what, LB_PB_VARINT));
    int64_t v = (int64_t)f->value;
    if (v < INT32_MIN || v > INT32_MAX)
        return lb_fail(LB_E_FORMAT, "%s: byte %zu: %s = %lld: must have 32 bits", m->name, f->at, what, (long long)v);
    *out = (int32_t)v;
    return LB_OK;
}

lb_status lb_pb_bool(const lb_pb *m, const lb_pb_field *f, const char *what, bool *out) {
    LB_TRY(of_kind(m, f, what, LB_PB_VARINT));
    *out = f->value != 0;
    return LB_OK;
}

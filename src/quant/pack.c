/* The bytes that sizes speak of. A packed layer is the parts of its format one after another (quant/format.h). Packing
 * and unpacking go through one list of them, each in pieces over a team. */
#include <string.h>

#include "base/mem.h"
#include "math/half.h"
#include "quant/format.h"

int64_t lb_packed_row_bytes(int64_t cols, int bits) { return (cols * bits + 31) / 32 * 4; }

/* n codes of `bits` bits, code i in bits [i bits, (i + 1) bits) of the stream, least significant bit first. Eight codes
 * fill `bits` bytes. */
static void pack_stream(const uint8_t *code, int64_t n, int bits, uint8_t *out) {
    uint32_t held = 0;
    int have = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8, out += bits) {
        uint64_t eight = 0;
        for (int k = 0; k < 8; k++) eight |= (uint64_t)code[i + k] << k * bits;
        for (int k = 0; k < bits; k++) out[k] = (uint8_t)(eight >> 8 * k);
    }
    for (; i < n; i++) {
        held |= (uint32_t)code[i] << have;
        for (have += bits; have >= 8; have -= 8, held >>= 8) *out++ = (uint8_t)held;
    }
    if (have) *out = (uint8_t)held;
}

void lb_unpack_stream(const uint8_t *in, int64_t n, int bits, uint8_t *code) {
    uint32_t held = 0, mask = (1u << bits) - 1;
    int have = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8, in += bits) {
        uint64_t eight = 0;
        for (int k = 0; k < bits; k++) eight |= (uint64_t)in[k] << 8 * k;
        for (int k = 0; k < 8; k++) code[i + k] = (uint8_t)(eight >> k * bits & mask);
    }
    for (; i < n; i++) {
        for (; have < bits; have += 8) held |= (uint32_t)*in++ << have;
        code[i] = (uint8_t)(held & mask);
        held >>= bits;
        have -= bits;
    }
}

static lb_status check_codes(int64_t rows, int64_t cols, int bits, int64_t bytes) {
    int64_t need = 0;
    if (bits < 1 || bits > 8 || rows < 0 || cols < 0 || cols > (INT64_MAX - 31) / 8 ||
        __builtin_mul_overflow(rows, lb_packed_row_bytes(cols, bits), &need))
        return lb_fail(LB_E_ARG, "packed codes: (%lld, %lld) at %d bits makes no sense", (long long)rows,
                       (long long)cols, bits);
    if (bytes != need)
        return lb_fail(LB_E_ARG, "packed codes: %lld bytes for (%lld, %lld) at %d bits: must be %lld", (long long)bytes,
                       (long long)rows, (long long)cols, bits, (long long)need);
    return LB_OK;
}

lb_status lb_pack_codes(const uint8_t *codes, int64_t rows, int64_t cols, int bits, uint8_t *out, int64_t out_bytes) {
    LB_TRY(check_codes(rows, cols, bits, out_bytes));
    int64_t row_bytes = lb_packed_row_bytes(cols, bits);
    uint8_t any = 0;
    for (int64_t i = 0; i < rows * cols; i++) any |= codes[i];
    for (int64_t i = 0; any >> bits && i < rows * cols; i++)
        if (codes[i] >> bits)
            return lb_fail(LB_E_ARG, "code %d at row %lld, column %lld does not fit in %d bits", codes[i],
                           (long long)(i / cols), (long long)(i % cols), bits);
    memset(out, 0, (size_t)out_bytes);
    for (int64_t r = 0; r < rows; r++) pack_stream(codes + r * cols, cols, bits, out + r * row_bytes);
    return LB_OK;
}

lb_status lb_unpack_codes(const uint8_t *in, int64_t in_bytes, int64_t rows, int64_t cols, int bits, uint8_t *codes) {
    LB_TRY(check_codes(rows, cols, bits, in_bytes));
    int64_t row_bytes = lb_packed_row_bytes(cols, bits);
    for (int64_t r = 0; r < rows; r++) lb_unpack_stream(in + r * row_bytes, cols, bits, codes + r * cols);
    return LB_OK;
}

static void put16(uint8_t *out, uint16_t v) {
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}
static uint16_t get16(const uint8_t *in) { return (uint16_t)(in[0] | in[1] << 8); }

/* Floats little-endian, as their type. */
static void put_floats(uint8_t *out, const float *v, int64_t n, lb_scale_type t) {
    for (int64_t i = 0; i < n; i++, out += lb_scale_bytes(t)) {
        if (t == LB_SCALE_F32) {
            uint32_t u;
            memcpy(&u, &v[i], 4);
            put16(out, (uint16_t)u);
            put16(out + 2, (uint16_t)(u >> 16));
        } else if (t == LB_SCALE_E8M0) {
            *out = lb_f32_to_e8m0(v[i]);
        } else {
            put16(out, t == LB_SCALE_F16 ? lb_f32_to_f16(v[i]) : lb_f32_to_bf16(v[i]));
        }
    }
}

void lb_unpack_floats(const uint8_t *in, float *v, int64_t n, lb_scale_type t) {
    for (int64_t i = 0; i < n; i++, in += lb_scale_bytes(t)) {
        if (t == LB_SCALE_F32) {
            uint32_t u = get16(in) | (uint32_t)get16(in + 2) << 16;
            memcpy(&v[i], &u, 4);
        } else if (t == LB_SCALE_E8M0) {
            v[i] = lb_e8m0_to_f32(*in);
        } else {
            v[i] = t == LB_SCALE_F16 ? lb_f16_to_f32(get16(in)) : lb_bf16_to_f32(get16(in));
        }
    }
}

/* Zeros are whole numbers below 2^bits, kept as floats. */
enum { SOME = 256 };
static void put_zeros(uint8_t *out, const float *v, int64_t n, int bits) {
    uint8_t code[SOME];
    for (int64_t i = 0; i < n; i += SOME) {
        int64_t m = n - i < SOME ? n - i : SOME;
        for (int64_t k = 0; k < m; k++) code[k] = (uint8_t)v[i + k];
        pack_stream(code, m, bits, out + i * bits / 8);
    }
}

static void get_zeros(const uint8_t *in, float *v, int64_t n, int bits) {
    uint8_t code[SOME];
    for (int64_t i = 0; i < n; i += SOME) {
        int64_t m = n - i < SOME ? n - i : SOME;
        lb_unpack_stream(in + i * bits / 8, m, bits, code);
        for (int64_t k = 0; k < m; k++) v[i + k] = code[k];
    }
}

static void put_columns(uint8_t *out, const int32_t *v, int64_t n, int64_t bytes) {
    for (int64_t i = 0; i < n; i++, out += bytes) {
        put16(out, (uint16_t)v[i]);
        if (bytes == 4) put16(out + 2, (uint16_t)(v[i] >> 16));
    }
}

static void get_columns(const uint8_t *in, int32_t *v, int64_t n, int64_t bytes) {
    for (int64_t i = 0; i < n; i++, in += bytes) v[i] = get16(in) | (bytes == 4 ? (int32_t)get16(in + 2) << 16 : 0);
}

/* ---- sections ---- */

enum { PIECE = 1 << 16 /* values, eight to a full byte */ };

typedef struct moving {
    const lb_part *s;
    void *values;
    uint8_t *out;      /* packing: where the section starts */
    const uint8_t *in; /* unpacking */
} moving;

/* Values of a piece; ROWS: whole rows. */
static int64_t piece_size(const lb_part *s) {
    return s->form != LB_FORM_ROWS ? PIECE : s->cols < PIECE ? PIECE / s->cols : 1;
}

static lb_status put_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const moving *m = ctx;
    const lb_part *s = m->s;
    int64_t size = piece_size(s), at = piece * size, n = s->n - at < size ? s->n - at : size;
    switch (s->form) {
    case LB_FORM_ROWS: {
        int64_t row_bytes = lb_packed_row_bytes(s->cols, s->width), used = (s->cols * s->width + 7) / 8;
        for (int64_t r = at; r < at + n; r++) {
            pack_stream((const uint8_t *)m->values + r * s->cols, s->cols, s->width, m->out + r * row_bytes);
            memset(m->out + r * row_bytes + used, 0, (size_t)(row_bytes - used));
        }
        break;
    }
    case LB_FORM_STREAM:
        pack_stream((const uint8_t *)m->values + at, n, s->width, m->out + at * s->width / 8);
        break;
    case LB_FORM_WHOLE:
        put_zeros(m->out + at * s->width / 8, (const float *)m->values + at, n, s->width);
        break;
    case LB_FORM_FLOATS:
        put_floats(m->out + at * lb_scale_bytes(s->type), (const float *)m->values + at, n, s->type);
        break;
    case LB_FORM_BYTES:
        memcpy(m->out + at, (const uint8_t *)m->values + at, (size_t)n);
        break;
    case LB_FORM_COLUMNS:
        put_columns(m->out + at * s->width, (const int32_t *)m->values + at, n, s->width);
        break;
    case LB_FORM_NONE:
        break;
    }
    return LB_OK;
}

static lb_status get_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const moving *m = ctx;
    const lb_part *s = m->s;
    int64_t size = piece_size(s), at = piece * size, n = s->n - at < size ? s->n - at : size;
    switch (s->form) {
    case LB_FORM_ROWS: {
        int64_t row_bytes = lb_packed_row_bytes(s->cols, s->width);
        for (int64_t r = at; r < at + n; r++)
            lb_unpack_stream(m->in + r * row_bytes, s->cols, s->width, (uint8_t *)m->values + r * s->cols);
        break;
    }
    case LB_FORM_STREAM:
        lb_unpack_stream(m->in + at * s->width / 8, n, s->width, (uint8_t *)m->values + at);
        break;
    case LB_FORM_WHOLE:
        get_zeros(m->in + at * s->width / 8, (float *)m->values + at, n, s->width);
        break;
    case LB_FORM_FLOATS:
        lb_unpack_floats(m->in + at * lb_scale_bytes(s->type), (float *)m->values + at, n, s->type);
        break;
    case LB_FORM_BYTES:
        memcpy((uint8_t *)m->values + at, m->in + at, (size_t)n);
        break;
    case LB_FORM_COLUMNS:
        get_columns(m->in + at * s->width, (int32_t *)m->values + at, n, s->width);
        break;
    case LB_FORM_NONE:
        break;
    }
    return LB_OK;
}

static int64_t pieces_of(const lb_part *s) { return (s->n - 1) / piece_size(s) + 1; }

static lb_status check_bytes(const lb_storage *s, int64_t rows, int64_t cols, int64_t bytes) {
    lb_size z;
    LB_TRY(lb_storage_size(s, rows, cols, &z));
    if (bytes != z.total)
        return lb_fail(LB_E_ARG, "packed layer: %lld bytes for (%lld, %lld): must be %lld", (long long)bytes,
                       (long long)rows, (long long)cols, (long long)z.total);
    return LB_OK;
}

/* Codes or floats of the weights that are kept, one after another, and back; `all` (rows, cols) holds zeros else. */
static void gather(const lb_layer *c, void *some, void *all, bool back) {
    size_t size = c->codes ? 1 : sizeof(float);
    char *at = some;
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t col = 0; col < c->cols; col++) {
            if (!lb_mask_keeps(c->mask + r * lb_mask_row_bytes(c->cols), col)) continue;
            char *one = (char *)all + (size_t)(r * c->cols + col) * size;
            memcpy(back ? one : at, back ? at : one, size);
            at += size;
        }
}

static lb_status kept_room(const lb_layer *c, void **out) {
    *out = lb_alloc((size_t)(c->rows * lb_storage_kept(&c->storage, c->cols)), c->codes ? 1 : sizeof(float));
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status pack_parts(const lb_layer *c, void *kept, lb_team *team, uint8_t *out) {
    lb_part s[LB_MOST_PARTS];
    for (int i = 0, n = lb_storage_parts(&c->storage, c->rows, c->cols, s); i < n; out += lb_part_bytes(&s[i++])) {
        moving m = {&s[i], i == 0 && kept ? kept : lb_part_values(c, &s[i]), .out = out};
        if (s[i].form != LB_FORM_NONE) LB_TRY(lb_parallel_for(team, pieces_of(&s[i]), put_piece, &m));
    }
    return LB_OK;
}

lb_status lb_layer_pack(const lb_layer *c, lb_team *team, uint8_t *out, int64_t bytes) {
    void *kept = NULL;
    LB_TRY(check_bytes(&c->storage, c->rows, c->cols, bytes));
    LB_TRY(lb_layer_check(c, team));
    if (c->mask) {
        LB_TRY(kept_room(c, &kept));
        gather(c, kept, c->codes ? (void *)c->codes : c->dense, false);
    }
    lb_status st = pack_parts(c, kept, team, out);
    lb_free(kept);
    return st;
}

/* Into a layer whose arrays are there; `weights` false: without the first part, which holds them. */
static lb_status unpack_parts(lb_layer *c, bool weights, void *kept, lb_team *team, const uint8_t *in) {
    lb_part s[LB_MOST_PARTS];
    for (int i = 0, n = lb_storage_parts(&c->storage, c->rows, c->cols, s); i < n; in += lb_part_bytes(&s[i++])) {
        moving m = {&s[i], i == 0 && kept ? kept : lb_part_values(c, &s[i]), .in = in};
        if ((i == 0 && !weights) || s[i].slot == LB_SLOT_FIXED || s[i].form == LB_FORM_NONE) continue;
        LB_TRY(lb_parallel_for(team, pieces_of(&s[i]), get_piece, &m));
    }
    if (c->mask) LB_TRY(lb_mask_check(c, LB_E_FORMAT)); /* as many bits as there are kept values */
    if (kept) gather(c, kept, c->codes ? (void *)c->codes : c->dense, true);
    if (c->storage.format->expand) c->storage.format->expand(c);
    return c->order ? lb_order_check(c->order, c->cols, LB_E_FORMAT) : LB_OK;
}

static lb_status unpack(lb_layer *c, bool weights, lb_team *team, const uint8_t *in) {
    void *kept = NULL;
    if (c->mask && weights) LB_TRY(kept_room(c, &kept));
    lb_status st = unpack_parts(c, weights, kept, team, in);
    lb_free(kept);
    return st;
}

lb_status lb_layer_unpack(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, lb_team *team,
                          const uint8_t *in, int64_t bytes, lb_layer *out) {
    LB_TRY(check_bytes(s, rows, cols, bytes));
    LB_TRY(lb_layer_new(a, s, rows, cols, s->order, out));
    return unpack(out, true, team, in);
}

lb_status lb_layer_unpack_grids(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, lb_team *team,
                                const uint8_t *in, int64_t bytes, lb_layer *out) {
    LB_TRY(check_bytes(s, rows, cols, bytes));
    LB_TRY(lb_layer_new_grids(a, s, rows, cols, s->order, out));
    return unpack(out, false, team, in);
}

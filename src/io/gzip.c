#include "io/gzip.h"

#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/mem.h"

enum {
    WINDOW = 15 + 16,  /* inflateInit2: the largest window, gzip's header and no other */
    PIECE = 1 << 20,   /* between two looks for Ctrl-C */
    RATIO_MOST = 1032, /* deflate makes no more bytes of one */
    TRAILER = 8        /* of a member: its CRC and its length */
};

typedef struct unpacker {
    const char *name;
    const uint8_t *data;
    size_t n, at; /* at: what was read */
    char *out;
    size_t len, room, most;
    z_stream z;
    bool no_memory;
} unpacker;

bool lb_gzip_is(const void *data, size_t n) { return n >= 2 && !memcmp(data, "\x1f\x8b", 2); }

static void *get(void *user, uInt count, uInt size) {
    unpacker *u = user;
    void *p = lb_alloc(count, size);
    u->no_memory = u->no_memory || !p;
    return p;
}

static void put_back(void *user, void *p) {
    (void)user;
    lb_free(p);
}

/* What the last member says of itself is right where it is the only one. It is a guess, never trusted. */
static size_t first_room(const unpacker *u) {
    const uint8_t *end = u->data + u->n;
    size_t guess =
        u->n > TRAILER ? (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24 : 0;
    size_t possible = u->n < u->most / RATIO_MOST ? u->n * RATIO_MOST : u->most;
    return guess < possible ? guess : possible;
}

static lb_status grow(unpacker *u) {
    if (u->room == u->most)
        return lb_fail(LB_E_FORMAT, "%s: gzip data of more than %zu bytes unpacked", u->name, u->most);
    size_t room = u->room < u->most / 2 ? 2 * u->room + PIECE : u->most;
    if (room > u->most) room = u->most;
    char *more = lb_realloc(u->out, u->room + 1, room + 1, 1);
    if (!more) return LB_E_NOMEM;
    u->out = more;
    u->room = room;
    return LB_OK;
}

static lb_status damaged(const unpacker *u, const char *why) {
    return lb_fail(LB_E_FORMAT, "%s: gzip data is damaged about byte %zu: %s", u->name, u->at, why);
}

/* One call of inflate. *end: the member's; *stuck: it wants room, or input that is not there. */
static lb_status step(unpacker *u, bool *end, bool *stuck) {
    size_t in = u->n - u->at < PIECE ? u->n - u->at : PIECE, room = u->room - u->len;
    if (room > PIECE) room = PIECE;
    u->z.next_in = u->data + u->at;
    u->z.avail_in = (uInt)in;
    u->z.next_out = (Bytef *)u->out + u->len;
    u->z.avail_out = (uInt)room;
    int code = inflate(&u->z, Z_NO_FLUSH);
    *end = code == Z_STREAM_END;
    *stuck = u->z.avail_in == in && u->z.avail_out == room;
    u->at += in - u->z.avail_in;
    u->len += room - u->z.avail_out;
    if (u->no_memory || code == Z_MEM_ERROR) return LB_E_NOMEM;
    if (code == Z_DATA_ERROR || code == Z_NEED_DICT || code == Z_STREAM_ERROR)
        return damaged(u, u->z.msg ? u->z.msg : "no such stream");
    return LB_OK;
}

static lb_status member(unpacker *u) {
    bool end = false, stuck = false;
    if (inflateReset(&u->z) != Z_OK) return damaged(u, "no such stream");
    while (!end) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(step(u, &end, &stuck));
        /* Only where nothing goes without: what is behind the last byte needs no room. */
        if (stuck && !end && u->len < u->room)
            return lb_fail(LB_E_FORMAT, "%s: gzip data is cut short after %zu bytes", u->name, u->n);
        if (stuck && !end) LB_TRY(grow(u));
    }
    return LB_OK;
}

static lb_status members(unpacker *u) {
    LB_TRY(member(u));
    for (;;) {
        size_t zeros = u->at;
        while (zeros < u->n && !u->data[zeros]) zeros++;
        if (zeros == u->n) return LB_OK;
        if (zeros > u->at || !lb_gzip_is(u->data + u->at, u->n - u->at))
            return lb_fail(LB_E_FORMAT, "%s: behind the gzip data that ends at byte %zu stands something else", u->name,
                           u->at);
        LB_TRY(member(u));
    }
}

lb_status lb_gzip_unpack(const char *name, const void *data, size_t n, size_t most, char **out, size_t *len) {
    unpacker u = {.name = name, .data = data, .n = n, .most = most};
    u.z = (z_stream){.zalloc = get, .zfree = put_back, .opaque = &u};
    *out = NULL;
    *len = 0;
    u.room = first_room(&u);
    if (!(u.out = lb_alloc(u.room + 1, 1))) return LB_E_NOMEM;
    lb_status st = inflateInit2(&u.z, WINDOW) == Z_OK ? members(&u) : LB_E_NOMEM;
    (void)inflateEnd(&u.z);
    if (st != LB_OK) {
        lb_free(u.out);
        return st;
    }
    u.out[u.len] = 0;
    *out = u.out;
    *len = u.len;
    return LB_OK;
}

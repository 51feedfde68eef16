#include "io/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

enum { HEADER = 256, KIND = 16, KEY = 160, NAME = 48, VERSION = 1 };
enum { PIECE_BYTES = 1 << 20, TABLE_MOST = 64 << 20 /* of a file of two TiB */ };

typedef struct header {
    char magic[8];
    int64_t version, sections, table_at, table_bytes;
    char kind[KIND], key[KEY];
    uint8_t hash[LB_HASH_BYTES];
} header;
_Static_assert(sizeof(header) <= HEADER, "the header fits");
static const char magic[8] = "LBSEALED";

/* As it is in the table, where its pieces' hashes follow. */
typedef struct entry {
    char name[NAME];
    int64_t type, count, piece, at;
} entry;

typedef struct part {
    entry e;
    int64_t pieces;
    uint8_t *hash; /* (pieces, LB_HASH_BYTES) */
    bool *put;     /* (pieces); NULL when reading */
} part;

struct lb_sealed {
    int fd;
    char *path;
    lb_fs_tmp tmp; /* while writing */
    bool writing;
    header h;
    part *section;
    int64_t room, end; /* sections that there is room for; of the data */
    atomic_bool damaged;
};

static const int64_t type_bytes[] = {1, 8, 4, 8};

static lb_status system_failed(const lb_sealed *s, const char *what) {
    return lb_fail(LB_E_IO, "%s: cannot %s: %s", s->path, what, strerror(errno));
}

/* All of it, at an offset: safe from several threads. */
static lb_status write_at(const lb_sealed *s, const void *data, size_t size, int64_t at) {
    for (const char *p = data; size;) {
        ssize_t done = pwrite(s->fd, p, size, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return system_failed(s, "write");
        p += done;
        at += done;
        size -= (size_t)done;
    }
    return LB_OK;
}

static lb_status read_at(const lb_sealed *s, void *data, size_t size, int64_t at) {
    for (char *p = data; size;) {
        ssize_t done = pread(s->fd, p, size, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return system_failed(s, "read");
        if (done == 0) return lb_fail(LB_E_FORMAT, "%s: cut short at byte %lld", s->path, (long long)at);
        p += done;
        at += done;
        size -= (size_t)done;
    }
    return LB_OK;
}

static lb_status new_sealed(const char *path, lb_sealed **out) {
    lb_sealed *s = lb_alloc(1, sizeof *s);
    *out = NULL;
    if (!s) return LB_E_NOMEM;
    s->fd = -1;
    s->end = HEADER;
    if (!(s->path = lb_strdup(path))) {
        lb_free(s);
        return LB_E_NOMEM;
    }
    *out = s;
    return LB_OK;
}

static lb_status fill(const lb_sealed *s, char *to, size_t room, const char *text) {
    if (strlen(text) < room) {
        memcpy(to, text, strlen(text) + 1);
        return LB_OK;
    }
    return lb_fail(LB_E_ARG, "%s: '%s' has %zu bytes: at most %zu", s->path, text, strlen(text), room - 1);
}

/* Of header and table, with zeros where it goes. */
static lb_status seal_of(const header *h, const uint8_t *table, uint8_t hash[LB_HASH_BYTES]) {
    size_t bytes = (size_t)h->table_bytes;
    uint8_t *all = lb_alloc(sizeof *h + bytes, 1);
    if (!all) return LB_E_NOMEM;
    header bare = *h;
    memset(bare.hash, 0, sizeof bare.hash);
    memcpy(all, &bare, sizeof bare);
    if (bytes) memcpy(all + sizeof bare, table, bytes);
    lb_status st = lb_hash_digest(all, sizeof bare + bytes, hash);
    lb_free(all);
    return st;
}

void lb_sealed_close(lb_sealed *s) {
    if (!s) return;
    if (s->fd >= 0) close(s->fd);
    if (s->writing) lb_fs_tmp_abort(&s->tmp);
    for (int64_t i = 0; i < s->h.sections; i++) {
        lb_free(s->section[i].hash);
        lb_free(s->section[i].put);
    }
    lb_free(s->section);
    lb_free(s->path);
    lb_free(s);
}

/* ---- sections ---- */

/* Bytes of the section, and whether its numbers make sense at all. */
static bool measure(const entry *e, int64_t *pieces, int64_t *bytes) {
    if (e->type < LB_SEALED_U8 || e->type > LB_SEALED_F64 || e->count < 0 || e->piece < 1) return false;
    if (__builtin_mul_overflow(e->count, type_bytes[e->type], bytes)) return false;
    *pieces = e->count / e->piece + (e->count % e->piece != 0);
    return true;
}

/* One more, with room for its hashes. */
static lb_status append(lb_sealed *s, const entry *e, bool writing) {
    int64_t pieces, bytes;
    if (!measure(e, &pieces, &bytes) || __builtin_add_overflow(s->end, bytes, &bytes))
        return lb_fail(LB_E_ARG, "%s: a section of %lld values makes no sense", s->path, (long long)e->count);
    if (s->h.sections == s->room) {
        int64_t more = s->room ? 2 * s->room : 16;
        part *grown = lb_realloc(s->section, (size_t)s->room, (size_t)more, sizeof *grown);
        if (!grown) return LB_E_NOMEM;
        s->section = grown;
        s->room = more;
    }
    part n = {.e = *e, .pieces = pieces, .hash = lb_alloc((size_t)pieces + 1, LB_HASH_BYTES)};
    if (n.hash && writing) n.put = lb_alloc((size_t)pieces + 1, sizeof *n.put);
    if (!n.hash || (writing && !n.put)) {
        lb_free(n.hash);
        return LB_E_NOMEM;
    }
    s->section[s->h.sections++] = n;
    s->end = bytes;
    return LB_OK;
}

lb_status lb_sealed_add(lb_sealed *s, const char *name, lb_sealed_type type, int64_t count, int64_t piece,
                        int64_t *section) {
    entry e = {.type = type, .count = count, .piece = piece > 0 ? piece : PIECE_BYTES / type_bytes[type], .at = s->end};
    LB_TRY(fill(s, e.name, NAME, name));
    *section = s->h.sections;
    return append(s, &e, true);
}

/* ---- pieces ---- */

typedef struct moving {
    lb_sealed *s;
    part *x;
    int64_t first;      /* piece */
    const uint8_t *out; /* writing */
    uint8_t *in;        /* reading */
} moving;

static size_t piece_at(const moving *m, int64_t piece, int64_t *offset) {
    const entry *e = &m->x->e;
    int64_t width = type_bytes[e->type], from = (m->first + piece) * e->piece;
    int64_t n = e->count - from < e->piece ? e->count - from : e->piece;
    *offset = piece * e->piece * width;
    return (size_t)(n * width);
}

static lb_status put_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const moving *m = ctx;
    int64_t offset, at = m->first + piece;
    size_t bytes = piece_at(m, piece, &offset);
    LB_TRY(lb_interrupt_check());
    LB_TRY(lb_hash_digest(m->out + offset, bytes, m->x->hash + at * LB_HASH_BYTES));
    LB_TRY(write_at(m->s, m->out + offset, bytes, m->x->e.at + at * m->x->e.piece * type_bytes[m->x->e.type]));
    m->x->put[at] = true;
    return LB_OK;
}

static lb_status read_piece(const moving *m, int64_t piece) {
    uint8_t hash[LB_HASH_BYTES];
    int64_t offset, at = m->first + piece, place;
    size_t bytes = piece_at(m, piece, &offset);
    place = m->x->e.at + at * m->x->e.piece * type_bytes[m->x->e.type];
    LB_TRY(read_at(m->s, m->in + offset, bytes, place));
    LB_TRY(lb_hash_digest(m->in + offset, bytes, hash));
    if (memcmp(hash, m->x->hash + at * LB_HASH_BYTES, sizeof hash) == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: damaged: bytes %lld to %lld (%s) are not those that were written", m->s->path,
                   (long long)place, (long long)place + (long long)bytes, m->x->e.name);
}

static lb_status get_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const moving *m = ctx;
    LB_TRY(lb_interrupt_check());
    lb_status st = read_piece(m, piece);
    if (st == LB_E_FORMAT || st == LB_E_IO) atomic_store(&m->s->damaged, true);
    return st;
}

static lb_status move(moving m, int64_t first, int64_t count, lb_team *team, lb_piece f) {
    const entry *e = &m.x->e;
    int64_t end = first + count;
    if (first < 0 || count < 0 || first % e->piece || end > e->count || (end % e->piece && end != e->count))
        return lb_fail(LB_E_ARG, "%s: %s: values %lld to %lld are not whole pieces of %lld, %lld in all", m.s->path,
                       e->name, (long long)first, (long long)end, (long long)e->piece, (long long)e->count);
    m.first = first / e->piece;
    return lb_parallel_for(team, count / e->piece + (count % e->piece != 0), f, &m);
}

lb_status lb_sealed_put(lb_sealed *s, int64_t section, int64_t first, int64_t count, lb_team *team,
                        const void *values) {
    return move((moving){.s = s, .x = &s->section[section], .out = values}, first, count, team, put_piece);
}

lb_status lb_sealed_get(lb_sealed *s, int64_t section, int64_t first, int64_t count, lb_team *team, void *values) {
    return move((moving){.s = s, .x = &s->section[section], .in = values}, first, count, team, get_piece);
}

lb_status lb_sealed_put_all(lb_sealed *s, const char *name, lb_sealed_type type, int64_t count, lb_team *team,
                            const void *values) {
    int64_t section;
    LB_TRY(lb_sealed_add(s, name, type, count, 0, &section));
    return lb_sealed_put(s, section, 0, count, team, values);
}

lb_status lb_sealed_get_all(lb_sealed *s, const char *name, lb_sealed_type type, int64_t count, lb_team *team,
                            void *values) {
    int64_t section = 0, have = 0;
    LB_TRY(lb_sealed_find(s, name, type, &section, &have));
    if (have != count)
        return lb_sealed_refuse(s, "%s has %lld values, expected %lld", name, (long long)have, (long long)count);
    return lb_sealed_get(s, section, 0, count, team, values);
}

lb_status lb_sealed_find(const lb_sealed *s, const char *name, lb_sealed_type type, int64_t *section, int64_t *count) {
    for (int64_t i = 0; i < s->h.sections; i++) {
        const entry *e = &s->section[i].e;
        if (strcmp(e->name, name) != 0 || e->type != (int64_t)type) continue;
        *section = i;
        *count = e->count;
        return LB_OK;
    }
    return lb_fail(LB_E_FORMAT, "%s: holds no %s", s->path, name);
}

int64_t lb_sealed_piece(const lb_sealed *s, int64_t section) { return s->section[section].e.piece; }

bool lb_sealed_damaged(const lb_sealed *s) { return atomic_load(&s->damaged); }

lb_status lb_sealed_refuse(lb_sealed *s, const char *fmt, ...) {
    char why[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    atomic_store(&s->damaged, true);
    return lb_fail(LB_E_FORMAT, "%s: damaged: %s", s->path, why);
}

/* ---- whole files ---- */

typedef lb_status begin(lb_sealed *s, const char *path, const char *kind, const char *key);

static lb_status make(begin *how, const char *path, const char *kind, const char *key, lb_sealed **out) {
    lb_sealed *s;
    *out = NULL;
    LB_TRY(new_sealed(path, &s));
    lb_status st = how(s, path, kind, key);
    if (st == LB_OK)
        *out = s;
    else
        lb_sealed_close(s);
    return st;
}

static lb_status start(lb_sealed *s, const char *path, const char *kind, const char *key) {
    memcpy(s->h.magic, magic, sizeof magic);
    s->h.version = VERSION;
    LB_TRY(fill(s, s->h.kind, KIND, kind));
    LB_TRY(fill(s, s->h.key, KEY, key));
    LB_TRY(lb_fs_tmp_begin(path, &s->tmp));
    s->writing = true;
    s->fd = open(s->tmp.tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return s->fd < 0 ? lb_fail(LB_E_IO, "%s: cannot create: %s", s->tmp.tmp, strerror(errno)) : LB_OK;
}

lb_status lb_sealed_create(const char *path, const char *kind, const char *key, lb_sealed **out) {
    return make(start, path, kind, key, out);
}

static lb_status check_complete(const lb_sealed *s) {
    for (int64_t i = 0; i < s->h.sections; i++)
        for (int64_t k = 0; k < s->section[i].pieces; k++)
            if (!s->section[i].put[k])
                return lb_fail(LB_E_ARG, "%s: piece %lld of %s was never put", s->path, (long long)k,
                               s->section[i].e.name);
    return LB_OK;
}

static lb_status write_table(lb_sealed *s) {
    int64_t bytes = 0;
    for (int64_t i = 0; i < s->h.sections; i++) bytes += (int64_t)sizeof(entry) + s->section[i].pieces * LB_HASH_BYTES;
    if (bytes > TABLE_MOST)
        return lb_fail(LB_E_ARG, "%s: too many pieces: their hashes take %lld bytes", s->path, (long long)bytes);
    uint8_t *table = lb_alloc((size_t)bytes + 1, 1), *to = table;
    if (!table) return LB_E_NOMEM;
    for (int64_t i = 0; i < s->h.sections; i++) {
        const part *x = &s->section[i];
        memcpy(to, &x->e, sizeof x->e);
        memcpy(to + sizeof x->e, x->hash, (size_t)x->pieces * LB_HASH_BYTES);
        to += sizeof x->e + (size_t)x->pieces * LB_HASH_BYTES;
    }
    s->h.table_at = s->end;
    s->h.table_bytes = bytes;
    lb_status st = seal_of(&s->h, table, s->h.hash);
    if (st == LB_OK) st = write_at(s, table, (size_t)bytes, s->end);
    lb_free(table);
    return st;
}

lb_status lb_sealed_commit(lb_sealed *s) {
    uint8_t block[HEADER] = {0};
    if (!s->writing) return lb_fail(LB_E_ARG, "%s: is not being written", s->path);
    LB_TRY(check_complete(s));
    LB_TRY(write_table(s));
    memcpy(block, &s->h, sizeof s->h);
    LB_TRY(write_at(s, block, sizeof block, 0));
    s->writing = false;
    return lb_fs_tmp_commit(&s->tmp);
}

static lb_status not_ours(const lb_sealed *s, const char *kind) {
    return lb_fail(LB_E_FORMAT, "%s: not a file of %s, or damaged", s->path, kind);
}

/* Sections from the table, whose hash agrees: it was written so, but by whom is not known. */
static lb_status read_sections(lb_sealed *s, const char *kind, const uint8_t *table, int64_t sections) {
    int64_t left = s->h.table_bytes;
    for (int64_t i = 0; i < sections; i++) {
        entry e;
        int64_t pieces, bytes;
        if (left < (int64_t)sizeof e) return not_ours(s, kind);
        memcpy(&e, table, sizeof e);
        left -= (int64_t)sizeof e;
        if (e.name[NAME - 1] || e.at != s->end || !measure(&e, &pieces, &bytes) || pieces > left / LB_HASH_BYTES ||
            bytes > s->h.table_at - s->end)
            return not_ours(s, kind);
        LB_TRY(append(s, &e, false));
        memcpy(s->section[i].hash, table + sizeof e, (size_t)pieces * LB_HASH_BYTES);
        table += sizeof e + (size_t)pieces * LB_HASH_BYTES;
        left -= pieces * LB_HASH_BYTES;
    }
    return left == 0 && s->end == s->h.table_at ? LB_OK : not_ours(s, kind);
}

static lb_status read_table(lb_sealed *s, const char *kind, int64_t sections) {
    uint8_t hash[LB_HASH_BYTES], *table = lb_alloc((size_t)s->h.table_bytes + 1, 1);
    if (!table) return LB_E_NOMEM;
    header h = s->h;
    h.sections = sections;
    lb_status st = read_at(s, table, (size_t)h.table_bytes, h.table_at);
    if (st == LB_OK) st = seal_of(&h, table, hash);
    if (st == LB_OK && memcmp(hash, h.hash, sizeof hash) != 0)
        st = lb_fail(LB_E_FORMAT, "%s: damaged: its table is not the one that was written", s->path);
    if (st == LB_OK) st = read_sections(s, kind, table, sections);
    lb_free(table);
    return st;
}

static lb_status open_existing(lb_sealed *s, const char *path, const char *kind, const char *key) {
    size_t size = 0;
    uint8_t block[HEADER];
    LB_TRY(lb_fs_open(path, &s->fd, &size));
    if (size < HEADER) return not_ours(s, kind);
    LB_TRY(read_at(s, block, sizeof block, 0));
    memcpy(&s->h, block, sizeof s->h);
    int64_t sections = s->h.sections, end;
    s->h.sections = 0; /* those that there are in memory */
    for (size_t i = sizeof s->h; i < HEADER; i++)
        if (block[i]) return not_ours(s, kind);
    if (memcmp(s->h.magic, magic, sizeof magic) != 0 || s->h.version != VERSION || s->h.kind[KIND - 1] ||
        s->h.key[KEY - 1] || strcmp(s->h.kind, kind) != 0)
        return not_ours(s, kind);
    if (strcmp(s->h.key, key) != 0)
        return lb_fail(LB_E_FORMAT, "%s: made for another model, text or version: key %s, expected %s", path, s->h.key,
                       key);
    if (s->h.table_at < HEADER || s->h.table_bytes < 0 || s->h.table_bytes > TABLE_MOST ||
        __builtin_add_overflow(s->h.table_at, s->h.table_bytes, &end) || (size_t)end != size)
        return lb_fail(LB_E_FORMAT, "%s: damaged: has %lld bytes, not those that were written", path, (long long)size);
    return read_table(s, kind, sections);
}

lb_status lb_sealed_open(const char *path, const char *kind, const char *key, lb_sealed **out) {
    return make(open_existing, path, kind, key, out);
}

#include "model/text.h"

#include <string.h>

#include "base/kind.h"
#include "base/mem.h"
#include "io/gzip.h"

static lb_status read_bytes(const char *path, lb_textfile *t) {
    if (!lb_fs_is_pipe(path)) {
        LB_TRY(lb_map_open(path, &t->map));
        t->s = (const char *)t->map.data;
        t->n = t->map.size;
        return LB_OK;
    }
    LB_TRY(lb_fs_read_pipe(path, LB_TEXT_PIPE_MOST, &t->own, &t->n));
    t->s = t->own;
    return t->n ? LB_OK : lb_fail(LB_E_FORMAT, "%s: the pipe gave nothing", path);
}

/* What was packed is not needed any more. */
static lb_status unpack(lb_textfile *t) {
    char *text;
    size_t n;
    LB_TRY(lb_gzip_unpack(t->path, t->s, t->n, LB_TEXT_PIPE_MOST, &text, &n));
    lb_map_close(&t->map);
    lb_free(t->own);
    t->s = t->own = text;
    t->n = n;
    return n ? LB_OK : lb_fail(LB_E_FORMAT, "%s: gzip data without a text", t->path);
}

static lb_status fill(const char *path, lb_textfile *t) {
    LB_TRY(read_bytes(path, t));
    LB_TRY(lb_hash_bytes(t->s, t->n, t->hash));
    bool packed = lb_gzip_is(t->s, t->n);
    if (packed) LB_TRY(unpack(t));
    const char *kind = lb_kind_of(t->s, t->n);
    if (kind) return lb_fail(LB_E_FORMAT, "%s: is %s: expected a text in UTF-8 (%s)", path, kind, lb_kind_advice(kind));
    memcpy(t->content, t->hash, sizeof t->content);
    if (packed) LB_TRY(lb_hash_bytes(t->s, t->n, t->content));
    t->mark = lb_utf8_mark(t->s, t->n);
    t->s += t->mark;
    t->n -= t->mark;
    return t->n ? LB_OK : lb_fail(LB_E_FORMAT, "%s: holds a byte-order mark and no text", path);
}

lb_status lb_textfile_open(const char *path, lb_textfile *out) {
    *out = (lb_textfile){.path = path};
    lb_status st = fill(path, out);
    if (st != LB_OK) lb_textfile_close(out);
    return st;
}

void lb_textfile_close(lb_textfile *t) {
    lb_map_close(&t->map);
    lb_free(t->own);
    *t = (lb_textfile){0};
}

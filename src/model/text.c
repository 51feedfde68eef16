#include "model/text.h"

#include <string.h>

#include "base/kind.h"
#include "base/mem.h"

static lb_status read_bytes(const char *path, lb_textfile *t) {
    if (!lb_fs_is_pipe(path)) {
        LB_TRY(lb_map_open(path, &t->map));
        t->s = (const char *)t->map.data;
        t->n = t->map.size;
        return LB_OK;
    }
    LB_TRY(lb_fs_read_pipe(path, LB_TEXT_PIPE_MOST, &t->piped, &t->n));
    t->s = t->piped;
    return t->n ? LB_OK : lb_fail(LB_E_FORMAT, "%s: the pipe gave nothing", path);
}

static lb_status fill(const char *path, lb_textfile *t) {
    LB_TRY(read_bytes(path, t));
    const char *kind = lb_kind_of(t->s, t->n);
    if (kind)
        return lb_fail(LB_E_FORMAT, "%s: is %s: expected a text in UTF-8%s", path, kind,
                       strncmp(kind, "UTF-", 4) == 0 ? " (iconv converts it)" : ", unpacked");
    LB_TRY(lb_hash_bytes(t->s, t->n, t->hash));
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
    lb_free(t->piped);
    *t = (lb_textfile){0};
}

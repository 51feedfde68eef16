#include <string.h>

#include "base/fs.h"
#include "report/view.h"
#include "result/choice.h"

/* What is behind the last `parts` of the path's slashes. */
static const char *end_of(const char *path, int parts) {
    const char *at = path + strlen(path);
    for (; at > path; at--)
        if (at[-1] == '/' && at[0] && parts-- == 1) return at;
    return path;
}

/* Is it the end of another path, too? */
static bool is_shared(const char *const *path, int64_t n, const char *whole, const char *end) {
    for (int64_t i = 0; i < n; i++) {
        if (!path[i] || strcmp(path[i], whole) == 0) continue;
        size_t w = strlen(path[i]), e = strlen(end);
        if (w >= e && strcmp(path[i] + w - e, end) == 0 && (w == e || path[i][w - e - 1] == '/')) return true;
    }
    return false;
}

static lb_status ends(lb_arena *a, const char **path, int64_t n) {
    const char **whole = LB_NEW(a, const char *, n + 1);
    if (!whole) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) whole[i] = path[i];
    for (int64_t i = 0; i < n; i++) {
        int parts = 1;
        if (!whole[i]) continue;
        do {
            path[i] = end_of(whole[i], parts++);
        } while (path[i] != whole[i] && is_shared(whole, n, whole[i], path[i]));
    }
    return LB_OK;
}

/* ---- several texts mixed ---- */

static const char between[] = LB_TEXTS_MIXED;

/* The paths in "a + b", each once more by itself. */
typedef struct mixed {
    const char **path;
    int64_t n;
} mixed;

static lb_status take_apart(lb_arena *a, const char *const *path, int64_t n, mixed *out) {
    int64_t most = n;
    for (int64_t i = 0; i < n; i++)
        for (const char *p = path[i]; p && (p = strstr(p, between)); p += strlen(between)) most++;
    *out = (mixed){.path = LB_NEW(a, const char *, most + 1)};
    if (!out->path) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        const char *from = path[i], *to;
        for (; from && (to = strstr(from, between)); from = to + strlen(between))
            if (!(out->path[out->n++] = lb_arena_printf(a, "%.*s", (int)(to - from), from))) return LB_E_NOMEM;
        out->path[out->n++] = from;
    }
    return LB_OK;
}

/* Puts the ends of path i together again; *at: its first in x. */
static lb_status put_together(lb_arena *a, const mixed *x, const char *whole, int64_t *at, const char **out) {
    *out = x->path[(*at)++];
    for (const char *p = whole; p && (p = strstr(p, between)); p += strlen(between))
        if (!(*out = lb_arena_printf(a, "%s%s%s", *out, between, x->path[(*at)++]))) return LB_E_NOMEM;
    return LB_OK;
}

lb_status lb_report_path_ends(lb_arena *a, const char **path, int64_t n) {
    mixed x;
    int64_t at = 0;
    LB_TRY(take_apart(a, path, n, &x));
    LB_TRY(ends(a, x.path, x.n));
    for (int64_t i = 0; i < n; i++) LB_TRY(put_together(a, &x, path[i], &at, &path[i]));
    return LB_OK;
}

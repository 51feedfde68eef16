#include "run/share.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

/* The folder `up` from the program's own, if configs/sources.yaml is there; "" else. */
static lb_status root_at(lb_arena *a, const char *bin, const char *up, const char **root) {
    char real[PATH_MAX];
    *root = "";
    const char *path = lb_arena_printf(a, "%s/%s", bin, up);
    if (!path) return LB_E_NOMEM;
    if (!realpath(path, real)) return LB_OK;
    const char *mark = lb_arena_printf(a, "%s/configs/sources.yaml", real);
    if (!mark) return LB_E_NOMEM;
    if (!lb_fs_exists(mark)) return LB_OK;
    *root = lb_arena_strdup(a, real);
    return *root ? LB_OK : LB_E_NOMEM;
}

lb_status lb_share_root(lb_arena *a, const char **root, bool *installed) {
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    *root = "";
    *installed = false;
    if (n <= 0) return LB_OK;
    exe[n] = 0;
    char *bin = lb_fs_dirname(exe);
    if (!bin) return LB_E_NOMEM;
    lb_status st = root_at(a, bin, "../..", root);
    if (st == LB_OK && !(*root)[0]) {
        st = root_at(a, bin, "../share/lowbit", root);
        *installed = (*root)[0] != 0;
    }
    lb_free(bin);
    return st;
}

lb_status lb_share_find(lb_arena *a, const char *name, const char **path) {
    const char *root;
    bool installed;
    *path = NULL;
    if (!name[0] || name[0] == '/') return LB_OK;
    LB_TRY(lb_share_root(a, &root, &installed));
    if (!root[0]) return LB_OK;
    const char *at = lb_arena_printf(a, "%s/%s", root, name);
    if (!at) return LB_E_NOMEM;
    if (lb_fs_exists(at)) *path = at;
    return LB_OK;
}

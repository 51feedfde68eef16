#include <string.h>

#include "base/fs.h"
#include "report/view.h"

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

lb_status lb_report_path_ends(lb_arena *a, const char **path, int64_t n) {
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

#include "run/place.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

static lb_status join(lb_arena *a, const char *dir, const char *name, const char **out) {
    char *path = lb_fs_join(dir, name);
    *out = path ? lb_arena_strdup(a, path) : NULL;
    lb_free(path);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status here(char out[PATH_MAX]) {
    return getcwd(out, PATH_MAX) ? LB_OK : lb_fail(LB_E_IO, "the current folder: %s", strerror(errno));
}

/* Was it given on the command line? */
static bool typed(const lb_config *c) {
    const lb_yaml *n = c->root && c->root->kind == LB_YAML_MAP ? lb_yaml_get(c->root, "results") : NULL;
    return n && n->file && n->file[0] == '-';
}

/* Is `results` relative to the config's folder? */
static bool beside_config(const lb_config *c) {
    return c->results[0] != '/' && !typed(c) && c->dir[0] && !c->from_program;
}

/* The path without "./" and "../" at its beginning; *up: how many of the latter. */
static const char *climb(const char *path, int *up) {
    for (*up = 0;;) {
        size_t dots = strspn(path, "."), slashes;
        if (dots < 1 || dots > 2 || (path[dots] && path[dots] != '/')) return path;
        *up += dots == 2;
        path += dots;
        slashes = strspn(path, "/");
        path += slashes;
    }
}

/* The folder of experiments, beside the config: its own folder's real path with "../" taken off, so that the name says
 * where it is. */
static lb_status beside(lb_arena *a, const lb_config *c, const char **out) {
    char real[PATH_MAX], cwd[PATH_MAX];
    int up;
    const char *rest = climb(c->results, &up);
    if (!realpath(c->dir, real)) return lb_fail(LB_E_IO, "%s: %s", c->dir, strerror(errno));
    LB_TRY(here(cwd));
    for (; up > 0 && strcmp(real, "/") != 0; up--) {
        char *slash = strrchr(real, '/');
        slash[slash == real] = 0;
    }
    LB_TRY(join(a, real, rest, out));
    size_t n = strlen(cwd);
    if (strncmp(*out, cwd, n) != 0 || n == 1) return LB_OK;
    if ((*out)[n] == '/') *out += n + 1;
    if (strcmp(*out, cwd) == 0) *out = "";
    return LB_OK;
}

lb_status lb_results_place(lb_arena *a, const lb_config *c, const char **dir) {
    int up;
    const char *results = c->results;
    if (beside_config(c))
        LB_TRY(beside(a, c, &results));
    else if (c->from_program && !typed(c) && results[0] != '/')
        results = climb(results, &up);
    return join(a, results, c->name, dir);
}

lb_status lb_results_absolute(lb_arena *a, const char *dir, const char **out) {
    char cwd[PATH_MAX];
    LB_TRY(here(cwd));
    return join(a, cwd, dir, out);
}

static lb_status has_index(const char *dir, bool *yes) {
    char *index = lb_fs_join(dir, "sweep.json");
    if (!index) return LB_E_NOMEM;
    *yes = lb_fs_exists(index);
    lb_free(index);
    return LB_OK;
}

lb_status lb_results_old_place(lb_arena *a, const lb_config *c, const char *dir, const char **old,
                               const char **results) {
    bool there = false;
    int up;
    *old = *results = NULL;
    if (!beside_config(c)) return LB_OK;
    LB_TRY(has_index(dir, &there));
    const char *const from[] = {c->results, climb(c->results, &up)};
    for (int i = 0; i < 2 && !there; i++) {
        if (!from[i][0]) continue;
        LB_TRY(join(a, from[i], c->name, old));
        LB_TRY(has_index(*old, &there));
        if (there) *results = from[i];
    }
    if (!*results) *old = NULL;
    return LB_OK;
}

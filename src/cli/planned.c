#include "cli/planned.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "math/blas.h"
#include "run/share.h"

lb_model_parts lb_cli_parts(int weights) { return weights == LB_WEIGHTS_STREAM ? LB_STREAM : LB_WEIGHTS; }

lb_status lb_cli_plugins(lb_arena *a, const char *list, const char **hash) {
    *hash = "";
    if (!list[0]) return LB_OK;
    char *paths = lb_arena_strdup(a, list);
    lb_str all = {0};
    if (!paths) return LB_E_NOMEM;
    lb_status st = LB_OK;
    for (char *path = strtok(paths, ","); path && st == LB_OK; path = strtok(NULL, ",")) {
        const lb_method *m = NULL;
        char one[LB_HASH_HEX];
        st = lb_method_load(path, &m);
        if (st == LB_OK) st = lb_hash_file(path, one);
        if (st == LB_OK) lb_str_add(&all, "%s\n", one);
    }
    if (st == LB_OK) st = lb_str_check(&all);
    char hex[LB_HASH_HEX];
    if (st == LB_OK) st = lb_hash_bytes(all.s, all.len, hex);
    if (st == LB_OK && !(*hash = lb_arena_strdup(a, hex))) st = LB_E_NOMEM;
    lb_str_free(&all);
    return st;
}

/* The config itself, or one that comes with the program: "configs/demo.yaml" or "demo". */
static lb_status find_config(lb_arena *a, const char *name, const char **path) {
    const char *found = NULL;
    *path = name;
    if (lb_fs_exists(name)) return LB_OK;
    LB_TRY(lb_share_find(a, name, &found));
    if (!found && !strchr(name, '/')) {
        const char *in_configs = lb_arena_printf(a, "configs/%s.yaml", name);
        if (!in_configs) return LB_E_NOMEM;
        LB_TRY(lb_share_find(a, in_configs, &found));
    }
    if (found) *path = found;
    return LB_OK;
}

/* Is the file one of those that were installed with the program? */
static lb_status is_installed(lb_arena *a, const char *path, bool *yes) {
    char real[PATH_MAX];
    const char *root;
    LB_TRY(lb_share_root(a, &root, yes));
    size_t n = strlen(root);
    *yes = *yes && realpath(path, real) && strncmp(real, root, n) == 0 && real[n] == '/';
    return LB_OK;
}

lb_status lb_cli_read_config(lb_arena *a, const lb_cli_args *args, lb_config *out) {
    const char *path;
    bool installed;
    if (lb_cli_is_result(args->positional[0])) return lb_cli_result_config(a, args->positional[0], args, out);
    LB_TRY(find_config(a, args->positional[0], &path));
    bool found = path != args->positional[0];
    LB_TRY(is_installed(a, path, &installed));
    if (lb_fs_is_dir(path)) {
        char *inside = lb_fs_join(path, "config.yaml");
        path = inside ? lb_arena_strdup(a, inside) : NULL;
        lb_free(inside);
        if (!path) return LB_E_NOMEM;
        if (!lb_fs_exists(path))
            return lb_fail(LB_E_ARG, "%s: is a folder without config.yaml, expected a config", args->positional[0]);
    }
    LB_TRY(lb_config_read(a, path, args->override, args->n_override, out));
    out->from_program = found || installed;
    return LB_OK;
}

lb_status lb_cli_team(int64_t threads, lb_team **out) {
    LB_TRY(lb_team_new((int)threads, out));
    return lb_blas_init(lb_team_threads(*out));
}

lb_status lb_cli_plan(lb_planned *x, lb_arena *a, lb_model_parts parts, const char *plugin_hash, lb_log *log) {
    LB_TRY(lb_cli_team(x->config.threads, &x->team));
    return lb_plans_open(a, &x->config, &(lb_plan_request){.parts = parts, .plugin_hash = plugin_hash}, x->team, log,
                         NULL, NULL, &x->plans);
}

void lb_cli_plan_close(lb_planned *x) {
    lb_plans_close(&x->plans);
    lb_team_free(x->team);
}

void lb_cli_warn_of_nothing(const lb_plans *p, lb_log *log, int *exit_code) {
    size_t cells = 0, refused = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->at[i].sweep.n; k++) {
            cells += p->at[i].sweep.cell[k].method != NULL;
            refused += p->at[i].sweep.cell[k].refused;
        }
    if (refused == 0 || refused < cells) return;
    lb_warn(log, "nothing to compress: %s refused", refused == 1 ? "the one cell is" : "all cells are");
    *exit_code = 1;
}

lb_status lb_cli_out_begin(lb_arena *a, const char *out, lb_fs_folder *f) {
    lb_status st = lb_fs_folder_begin(out, f);
    if (st == LB_OK || st == LB_E_NOMEM) return st;
    const char *why = lb_arena_strdup(a, lb_error());
    return why ? lb_fail(st, "--out %s", why) : LB_E_NOMEM;
}

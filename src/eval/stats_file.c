/* One HDF5 file: attributes format, key, tokens, sequences and blocks; a float64 dataset "/blocks/B/INPUT" for each
 * distinct input and "/head", the upper triangle of H row by row, n (n + 1) / 2 numbers. It appears whole or not at
 * all. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "eval/calibrate.h"
#include "io/h5.h"

#define FORMAT "lowbit statistics 1"

static const char *const input_name[LB_INPUTS] = {"attn", "o", "mlp", "down"};

struct lb_stats_file {
    lb_h5 *h5;
    char *path;
    const lb_arch *arch;
    lb_team *team;
    int64_t tokens, sequences;
};

static void dataset_name(int64_t block, lb_input i, char out[64]) {
    snprintf(out, 64, "/blocks/%lld/%s", (long long)block, input_name[i]);
}

static lb_status put(lb_h5 *h5, const char *name, lb_hessian *h) {
    int64_t packed = lb_hessian_packed_size(h->H.cols);
    return lb_h5_put_f64(h5, name, lb_hessian_pack(h), 1, &packed);
}

static lb_status compute(lb_h5 *h5, const lb_arch *arch, const lb_weights *w, const int32_t *tokens, int64_t samples,
                         int64_t length, lb_team *team, lb_log *log, lb_arena *a) {
    lb_stream *s = NULL;
    LB_TRY(lb_stream_new(a, arch, w, tokens, samples, length, team, &s));
    for (int64_t b = 0; b < arch->layers; b++) {
        char name[64];
        snprintf(name, sizeof name, "block %lld", (long long)b);
        lb_log_step(log, "statistics", name, b, arch->layers);
        lb_arena_mark mark = lb_arena_save(a);
        lb_hessian h[LB_INPUTS];
        LB_TRY(lb_stream_hessians_advance(s, &w->blocks[b], (1u << LB_INPUTS) - 1, a, h));
        for (int i = 0; i < LB_INPUTS; i++) {
            dataset_name(b, (lb_input)i, name);
            LB_TRY(put(h5, name, &h[i]));
        }
        lb_arena_restore(a, mark);
    }
    lb_hessian head;
    LB_TRY(lb_stream_head_hessian(s, w, a, &head));
    LB_TRY(put(h5, "/head", &head));
    lb_log_step(log, "statistics", "done", arch->layers, arch->layers);
    return LB_OK;
}

static lb_status describe(lb_h5 *h5, const char *key, int64_t samples, int64_t length, int64_t layers) {
    LB_TRY(lb_h5_attr_str(h5, "/", "format", FORMAT));
    LB_TRY(lb_h5_attr_str(h5, "/", "key", key));
    LB_TRY(lb_h5_attr_i64(h5, "/", "tokens", samples * length));
    LB_TRY(lb_h5_attr_i64(h5, "/", "sequences", samples));
    return lb_h5_attr_i64(h5, "/", "blocks", layers);
}

static lb_status create(const char *path, const char *key, const lb_arch *arch, const lb_weights *w,
                        const int32_t *tokens, int64_t samples, int64_t length, lb_team *team, lb_log *log) {
    lb_fs_tmp tmp = {0};
    lb_h5 *h5 = NULL;
    lb_arena *a = NULL;
    lb_status st;
    LB_TRY_GOTO(st, done, lb_arena_new(0, &a));
    LB_TRY_GOTO(st, done, lb_fs_tmp_begin(path, &tmp));
    LB_TRY_GOTO(st, done, lb_h5_create(tmp.tmp, &h5));
    LB_TRY_GOTO(st, done, describe(h5, key, samples, length, arch->layers));
    LB_TRY_GOTO(st, done, compute(h5, arch, w, tokens, samples, length, team, log, a));
    lb_h5 *whole = h5;
    h5 = NULL; /* closed even if closing fails */
    LB_TRY_GOTO(st, done, lb_h5_close(whole));
    LB_TRY_GOTO(st, done, lb_fs_tmp_commit(&tmp));
done:
    lb_h5_abandon(h5);
    lb_fs_tmp_abort(&tmp);
    lb_arena_free(a);
    return st;
}

static lb_status read_header(lb_stats_file *f, lb_arena *a, const char *key, bool *agrees) {
    char *format = NULL, *found = NULL;
    int64_t layers = 0;
    LB_TRY(lb_h5_get_attr_str(f->h5, a, "/", "format", &format));
    LB_TRY(lb_h5_get_attr_str(f->h5, a, "/", "key", &found));
    LB_TRY(lb_h5_get_attr_i64(f->h5, "/", "tokens", &f->tokens));
    LB_TRY(lb_h5_get_attr_i64(f->h5, "/", "sequences", &f->sequences));
    LB_TRY(lb_h5_get_attr_i64(f->h5, "/", "blocks", &layers));
    *agrees = strcmp(format, FORMAT) == 0 && strcmp(found, key) == 0 && layers == f->arch->layers && f->tokens > 0 &&
              f->sequences > 0;
    return LB_OK;
}

/* *out stays NULL if the file is not one of ours, is damaged or has another key. */
static lb_status open_existing(const char *path, const char *key, const lb_arch *arch, lb_team *team,
                               lb_stats_file **out) {
    bool agrees = false;
    lb_arena *a = NULL;
    lb_stats_file *f = lb_alloc(1, sizeof *f);
    if (!f) return LB_E_NOMEM;
    f->arch = arch;
    f->team = team;
    lb_status st = lb_arena_new(4096, &a);
    if (st == LB_OK && !(f->path = lb_strdup(path))) st = LB_E_NOMEM;
    if (st == LB_OK) st = lb_h5_open(path, &f->h5);
    if (st == LB_OK) st = read_header(f, a, key, &agrees);
    lb_arena_free(a);
    if (st == LB_OK && agrees) {
        *out = f;
        return LB_OK;
    }
    lb_stats_file_close(f);
    return st == LB_E_FORMAT ? LB_OK : st;
}

lb_status lb_stats_file_ensure(const char *path, const char *key, const lb_arch *arch, const lb_weights *w,
                               const int32_t *tokens, int64_t samples, int64_t length, lb_team *team, lb_log *log,
                               lb_stats_file **out) {
    *out = NULL;
    if (lb_fs_exists(path)) LB_TRY(open_existing(path, key, arch, team, out));
    if (*out) return LB_OK;
    LB_TRY(create(path, key, arch, w, tokens, samples, length, team, log));
    LB_TRY(open_existing(path, key, arch, team, out));
    return *out ? LB_OK : lb_fail(LB_E_IO, "%s: cannot be read back", path);
}

static lb_status get(lb_stats_file *f, const char *name, int64_t n, lb_arena *a, lb_hessian *out) {
    double *v = NULL, *H = LB_NEW_UNSET(a, double, n *n);
    int64_t found = 0;
    if (!H) return LB_E_NOMEM;
    lb_arena_mark mark = lb_arena_save(a);
    LB_TRY(lb_h5_get_f64(f->h5, a, name, &v, &found));
    if (found != lb_hessian_packed_size(n))
        return lb_fail(LB_E_FORMAT, "%s: %s has %lld numbers: must have %lld for %lld columns", f->path, name,
                       (long long)found, (long long)lb_hessian_packed_size(n), (long long)n);
    *out = (lb_hessian){lb_dmat_of(H, n, n), f->tokens, f->sequences};
    LB_TRY(lb_hessian_unpack(v, out->H, f->team));
    lb_arena_restore(a, mark);
    return LB_OK;
}

lb_status lb_stats_file_get(lb_stats_file *f, int64_t block, lb_input i, lb_arena *a, lb_hessian *out) {
    char name[64];
    dataset_name(block, i, name);
    return get(f, name, lb_input_width(f->arch, i), a, out);
}

lb_status lb_stats_file_head(lb_stats_file *f, lb_arena *a, lb_hessian *out) {
    return get(f, "/head", f->arch->dim, a, out);
}

void lb_stats_file_close(lb_stats_file *f) {
    if (!f) return;
    lb_h5_abandon(f->h5);
    lb_free(f->path);
    lb_free(f);
}

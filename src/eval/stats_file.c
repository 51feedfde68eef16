/* One sealed file: tokens, sequences and blocks in the section "about"; a section for each distinct input of the blocks
 * and for the head's, named by the first layer that reads it ("3.q", "head"): the upper triangle of H row by row,
 * n (n + 1) / 2 float64. An expert's has a section of its tokens and sequences beside it ("3.expert.5.down tokens"). */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "eval/calibrate.h"
#include "io/sealed.h"

#define KIND "statistics"

struct lb_stats_file {
    lb_sealed *file;
    const lb_net *net;
    lb_team *team;
    int64_t tokens, sequences;
};

static const char *section_name(const lb_net *n, int32_t input) {
    return n->site[n->reader[n->input[input].first]].name;
}

static void tokens_name(const char *name, char out[LB_SITE_NAME + 8]) {
    snprintf(out, LB_SITE_NAME + 8, "%s tokens", name);
}

static lb_status put(lb_sealed *f, const lb_net *net, int32_t input, lb_hessian *h, lb_team *team) {
    const char *name = section_name(net, input);
    int64_t n = lb_hessian_packed_size(h->H.cols), routed[2] = {h->tokens, h->sequences};
    char beside[LB_SITE_NAME + 8];
    tokens_name(name, beside);
    if (net->input[input].expert >= 0) LB_TRY(lb_sealed_put_all(f, beside, LB_SEALED_I64, 2, NULL, routed));
    return lb_sealed_put_all(f, name, LB_SEALED_F64, n, team, lb_hessian_pack(h));
}

static lb_status compute(lb_sealed *f, const lb_net *net, const lb_weights *w, const int32_t *tokens, int64_t samples,
                         int64_t length, lb_team *team, lb_log *log, lb_arena *a) {
    lb_stream *s = NULL;
    LB_TRY(lb_stream_new(a, net, w, tokens, samples, length, team, &s));
    for (int64_t b = 0; b < net->blocks; b++) {
        char name[48];
        snprintf(name, sizeof name, "block %lld", (long long)b);
        lb_log_step(log, "statistics", name, b, net->blocks);
        lb_arena_mark mark = lb_arena_save(a);
        int32_t first, n = lb_net_inputs(net, b, &first);
        int32_t *input = LB_NEW(a, int32_t, n + 1);
        lb_hessian *h = LB_NEW(a, lb_hessian, n + 1);
        if (!input || !h) return LB_E_NOMEM;
        for (int32_t i = 0; i < n; i++) input[i] = first + i;
        LB_TRY(lb_stream_hessians_advance(s, w, input, n, a, h));
        for (int32_t i = 0; i < n; i++) LB_TRY(put(f, net, input[i], &h[i], team));
        lb_arena_restore(a, mark);
    }
    lb_hessian head;
    LB_TRY(lb_stream_head_hessian(s, w, a, &head));
    LB_TRY(put(f, net, net->site[net->head].input, &head, team));
    lb_log_step(log, "statistics", "done", net->blocks, net->blocks);
    return LB_OK;
}

static lb_status create(const char *path, const char *key, const lb_net *net, const lb_weights *w,
                        const int32_t *tokens, int64_t samples, int64_t length, lb_team *team, lb_log *log) {
    int64_t about[3] = {samples * length, samples, net->blocks};
    lb_sealed *f = NULL;
    lb_arena *a = NULL;
    lb_status st;
    LB_TRY_GOTO(st, done, lb_arena_new(0, &a));
    LB_TRY_GOTO(st, done, lb_sealed_create(path, KIND, key, &f));
    LB_TRY_GOTO(st, done, lb_sealed_put_all(f, "about", LB_SEALED_I64, 3, NULL, about));
    LB_TRY_GOTO(st, done, compute(f, net, w, tokens, samples, length, team, log, a));
    LB_TRY_GOTO(st, done, lb_sealed_commit(f));
done:
    lb_sealed_close(f);
    lb_arena_free(a);
    return st;
}

static lb_status open_existing(const char *path, const char *key, const lb_net *net, int64_t samples, int64_t length,
                               lb_team *team, lb_stats_file **out) {
    int64_t about[3] = {0};
    lb_stats_file *f = lb_alloc(1, sizeof *f);
    *out = NULL;
    if (!f) return LB_E_NOMEM;
    f->net = net;
    f->team = team;
    lb_status st = lb_sealed_open(path, KIND, key, &f->file);
    if (st == LB_OK) st = lb_sealed_get_all(f->file, "about", LB_SEALED_I64, 3, NULL, about);
    f->tokens = about[0];
    f->sequences = about[1];
    if (st == LB_OK && (about[0] != samples * length || about[1] != samples || about[2] != net->blocks))
        st = lb_fail(LB_E_FORMAT, "%s: damaged: of %lld tokens, %lld sequences, %lld blocks: expected %lld, %lld, %lld",
                     path, (long long)about[0], (long long)about[1], (long long)about[2], (long long)(samples * length),
                     (long long)samples, (long long)net->blocks);
    if (st == LB_OK)
        *out = f;
    else
        lb_stats_file_close(f);
    return st;
}

lb_status lb_stats_file_ensure(const char *path, const char *key, const lb_net *net, const lb_weights *w,
                               const int32_t *tokens, int64_t samples, int64_t length, lb_team *team, lb_log *log,
                               lb_stats_file **out) {
    *out = NULL;
    if (lb_fs_exists(path)) {
        lb_status st = open_existing(path, key, net, samples, length, team, out);
        if (st != LB_E_FORMAT && st != LB_E_IO) return st;
        lb_warn(log, "%s: the statistics are computed again", lb_error());
    }
    LB_TRY(create(path, key, net, w, tokens, samples, length, team, log));
    return open_existing(path, key, net, samples, length, team, out);
}

static lb_status get(lb_stats_file *f, const char *name, int64_t n, lb_arena *a, lb_hessian *out) {
    int64_t packed = lb_hessian_packed_size(n);
    double *H = LB_NEW_UNSET(a, double, n *n);
    if (!H) return LB_E_NOMEM;
    lb_arena_mark mark = lb_arena_save(a);
    double *v = LB_NEW_UNSET(a, double, packed);
    if (!v) return LB_E_NOMEM;
    LB_TRY(lb_sealed_get_all(f->file, name, LB_SEALED_F64, packed, f->team, v));
    int64_t bad = lb_hessian_first_bad(v, n);
    if (bad >= 0)
        return lb_sealed_refuse(f->file, "%s: value %lld of its upper triangle is %g: none of an H", name,
                                (long long)bad, v[bad]);
    *out = (lb_hessian){lb_dmat_of(H, n, n), f->tokens, f->sequences};
    LB_TRY(lb_hessian_unpack(v, out->H, f->team));
    lb_arena_restore(a, mark);
    return LB_OK;
}

lb_status lb_stats_file_get(lb_stats_file *f, int32_t input, lb_arena *a, lb_hessian *out) {
    const char *name = section_name(f->net, input);
    int64_t routed[2];
    char beside[LB_SITE_NAME + 8];
    LB_TRY(get(f, name, f->net->input[input].cols, a, out));
    if (f->net->input[input].expert < 0) return LB_OK;
    tokens_name(name, beside);
    LB_TRY(lb_sealed_get_all(f->file, beside, LB_SEALED_I64, 2, NULL, routed));
    if (routed[0] < 0 || routed[0] > f->tokens || routed[1] < (routed[0] > 0) || routed[1] > f->sequences)
        return lb_sealed_refuse(f->file, "%s: %lld tokens in %lld sequences: none of an expert", beside,
                                (long long)routed[0], (long long)routed[1]);
    out->tokens = routed[0];
    out->sequences = routed[1];
    return LB_OK;
}

bool lb_stats_file_damaged(const lb_stats_file *f) { return lb_sealed_damaged(f->file); }

void lb_stats_file_close(lb_stats_file *f) {
    if (!f) return;
    lb_sealed_close(f->file);
    lb_free(f);
}

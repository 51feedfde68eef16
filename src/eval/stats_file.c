/* One sealed file: tokens, sequences and blocks in the section "about"; for each distinct input a
 * section a statistic, named by the first layer that reads it: "3.q" (the upper triangle of H row by row,
 * n (n + 1) / 2 float64), "3.q absmax", "head rows". An expert's has one of its tokens and sequences beside them
 * ("3.expert.5.down tokens"), and how many of those the router sent. */
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
    uint32_t needs; /* what it holds */
    int64_t tokens, sequences;
};

typedef struct section {
    char name[LB_SITE_NAME + 16];
} section;

static const char *section_name(const lb_net *n, int32_t input) {
    return n->site[n->reader[n->input[input].first]].name;
}

static section beside(const char *name, const char *what) {
    section s;
    snprintf(s.name, sizeof s.name, "%s %s", name, what);
    return s;
}

static section section_of(const char *name, const lb_collector *k) {
    section s;
    if (!k->main) return beside(name, k->name);
    snprintf(s.name, sizeof s.name, "%s", name);
    return s;
}

static lb_status put(lb_sealed *f, const lb_net *net, int32_t input, const lb_collected *c, lb_team *team) {
    const char *name = section_name(net, input);
    int64_t tokens[3] = {c->tokens, c->sequences, c->routed};
    if (net->input[input].expert >= 0)
        LB_TRY(lb_sealed_put_all(f, beside(name, "tokens").name, LB_SEALED_I64, 3, NULL, tokens));
    for (int i = 0; lb_collectors[i]; i++) {
        const lb_collector *k = lb_collectors[i];
        if (!(c->needs & k->need)) continue;
        int64_t n = k->packed ? k->packed(c->cols) : k->count(c->cols, c->tokens);
        if (k->pack) k->pack(c->numbers[i], c->cols); /* nobody reads it here any more */
        LB_TRY(lb_sealed_put_all(f, section_of(name, k).name, k->type, n, team, c->numbers[i]));
    }
    return LB_OK;
}

/* Of inputs [first, end), outside the blocks. */
static lb_status compute_outside(lb_sealed *f, const lb_wanted *each, const lb_net *net, const lb_weights *w,
                                 int32_t first, int32_t end, lb_stream *s, lb_team *team, lb_arena *a) {
    for (int32_t input = first; input < end; input++) {
        lb_arena_mark mark = lb_arena_save(a);
        lb_collected got;
        lb_wanted want = *each;
        want.input = input;
        LB_TRY(lb_stream_collect_outside(s, w, &want, a, &got));
        LB_TRY(put(f, net, input, &got, team));
        lb_arena_restore(a, mark);
    }
    return LB_OK;
}

static lb_status compute(lb_sealed *f, const lb_wanted *each, const lb_net *net, const lb_weights *w,
                         const lb_sequences *of, lb_team *team, lb_log *log, lb_arena *a) {
    lb_stream *s = NULL;
    LB_TRY(lb_stream_new(a, net, w, of, team, &s));
    LB_TRY(compute_outside(f, each, net, w, 0, net->span[0].input, s, team, a));
    for (int64_t b = 0; b < net->blocks; b++) {
        char name[48];
        snprintf(name, sizeof name, "block %lld", (long long)b);
        lb_log_step(log, "statistics", name, b, net->blocks);
        lb_arena_mark mark = lb_arena_save(a);
        int32_t first, n = lb_net_inputs(net, b, &first);
        lb_wanted *want = LB_NEW(a, lb_wanted, n + 1);
        lb_collected *got = LB_NEW(a, lb_collected, n + 1);
        if (!want || !got) return LB_E_NOMEM;
        for (int32_t i = 0; i < n; i++) {
            want[i] = *each;
            want[i].input = first + i;
        }
        LB_TRY(lb_stream_collect_advance(s, w, want, n, a, got));
        for (int32_t i = 0; i < n; i++) LB_TRY(put(f, net, want[i].input, &got[i], team));
        lb_arena_restore(a, mark);
    }
    LB_TRY(compute_outside(f, each, net, w, net->span[net->blocks].input, net->inputs, s, team, a));
    lb_log_step(log, "statistics", "done", net->blocks, net->blocks);
    return LB_OK;
}

static lb_status create(const char *path, const char *key, const lb_wanted *each, const lb_net *net,
                        const lb_weights *w, const lb_sequences *of, lb_team *team, lb_log *log) {
    int64_t about[3] = {lb_sequences_tokens(of), of->n, net->blocks};
    lb_sealed *f = NULL;
    lb_arena *a = NULL;
    lb_status st;
    LB_TRY_GOTO(st, done, lb_arena_new(0, &a));
    LB_TRY_GOTO(st, done, lb_sealed_create(path, KIND, key, &f));
    LB_TRY_GOTO(st, done, lb_sealed_put_all(f, "about", LB_SEALED_I64, 3, NULL, about));
    LB_TRY_GOTO(st, done, compute(f, each, net, w, of, team, log, a));
    LB_TRY_GOTO(st, done, lb_sealed_commit(f));
done:
    lb_sealed_close(f);
    lb_arena_free(a);
    return st;
}

static lb_status open_existing(const char *path, const char *key, uint32_t needs, const lb_net *net,
                               const lb_sequences *of, lb_team *team, lb_stats_file **out) {
    int64_t about[3] = {0};
    lb_stats_file *f = lb_alloc(1, sizeof *f);
    *out = NULL;
    if (!f) return LB_E_NOMEM;
    f->net = net;
    f->team = team;
    f->needs = needs;
    lb_status st = lb_sealed_open(path, KIND, key, &f->file);
    if (st == LB_OK) st = lb_sealed_get_all(f->file, "about", LB_SEALED_I64, 3, NULL, about);
    f->tokens = about[0];
    f->sequences = about[1];
    if (st == LB_OK && (about[0] != lb_sequences_tokens(of) || about[1] != of->n || about[2] != net->blocks))
        st = lb_fail(LB_E_FORMAT, "%s: damaged: of %lld tokens, %lld sequences, %lld blocks: expected %lld, %lld, %lld",
                     path, (long long)about[0], (long long)about[1], (long long)about[2],
                     (long long)lb_sequences_tokens(of), (long long)of->n, (long long)net->blocks);
    if (st == LB_OK)
        *out = f;
    else
        lb_stats_file_close(f);
    return st;
}

lb_status lb_stats_file_ensure(const char *path, const char *key, const lb_wanted *each, const lb_net *net,
                               const lb_weights *w, const lb_sequences *of, lb_team *team, lb_log *log,
                               lb_stats_file **out) {
    *out = NULL;
    if (lb_fs_exists(path)) {
        lb_status st = open_existing(path, key, each->needs, net, of, team, out);
        if (st != LB_E_FORMAT && st != LB_E_IO) return st;
        lb_warn(log, "%s: the statistics are computed again", lb_error());
    }
    LB_TRY(create(path, key, each, net, w, of, team, log));
    return open_existing(path, key, each->needs, net, of, team, out);
}

/* The tokens that reached an input. */
static lb_status get_tokens(lb_stats_file *f, int32_t input, lb_stats *out) {
    *out = (lb_stats){.tokens = f->tokens, .sequences = f->sequences, .routed = f->tokens};
    if (f->net->input[input].expert < 0) return LB_OK;
    int64_t n[3];
    section at = beside(section_name(f->net, input), "tokens");
    LB_TRY(lb_sealed_get_all(f->file, at.name, LB_SEALED_I64, 3, NULL, n));
    if (n[0] < 0 || n[0] > f->tokens || n[1] < (n[0] > 0) || n[1] > f->sequences || n[2] < 0 || n[2] > n[0])
        return lb_sealed_refuse(f->file, "%s: %lld tokens in %lld sequences, %lld of them routed: none of an expert",
                                at.name, (long long)n[0], (long long)n[1], (long long)n[2]);
    out->tokens = n[0];
    out->sequences = n[1];
    out->routed = n[2];
    return LB_OK;
}

static lb_status get(lb_stats_file *f, const lb_collector *k, int32_t input, lb_arena *a, lb_stats *out) {
    int64_t cols = f->net->input[input].cols, in_memory = lb_collector_bytes(k, cols, out->tokens);
    int64_t n = k->packed ? k->packed(cols) : k->count(cols, out->tokens);
    section at = section_of(section_name(f->net, input), k);
    double value = 0;
    void *numbers = lb_arena_get_unset(a, (size_t)in_memory + 1, 1);
    if (!numbers) return LB_E_NOMEM;
    lb_arena_mark mark = lb_arena_save(a);
    void *kept = k->packed ? LB_NEW_UNSET(a, double, n) : numbers;
    if (!kept) return LB_E_NOMEM;
    LB_TRY(lb_sealed_get_all(f->file, at.name, k->type, n, f->team, kept));
    int64_t bad = k->first_bad(kept, n, cols, &value);
    if (bad >= 0)
        return lb_sealed_refuse(f->file, "%s: value %lld is %g: of no %s", at.name, (long long)bad, value, k->words);
    if (k->unpack) LB_TRY(k->unpack(kept, cols, f->team, numbers));
    lb_arena_restore(a, mark);
    k->give(numbers, cols, out->tokens, out);
    return LB_OK;
}

lb_status lb_stats_file_get(lb_stats_file *f, int32_t input, uint32_t needs, lb_arena *a, lb_stats *out) {
    if (needs & ~f->needs) return lb_fail(LB_E_ARG, "statistics 0x%x: the file holds 0x%x", needs, f->needs);
    LB_TRY(get_tokens(f, input, out));
    for (int i = 0; lb_collectors[i]; i++)
        if (needs & lb_collectors[i]->need) LB_TRY(get(f, lb_collectors[i], input, a, out));
    return LB_OK;
}

bool lb_stats_file_damaged(const lb_stats_file *f) { return lb_sealed_damaged(f->file); }

void lb_stats_file_close(lb_stats_file *f) {
    if (!f) return;
    lb_sealed_close(f->file);
    lb_free(f);
}

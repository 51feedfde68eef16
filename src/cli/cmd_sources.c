/* lowbit sources */
#include <stddef.h>
#include <string.h>

#include "cli/commands.h"
#include "run/sources.h"

typedef struct sources_flags {
    bool tsv;
} sources_flags;

static const lb_option flags[] = {
    {"tsv", LB_OPT_BOOL, "false", 0, 0, NULL, "one tab-separated line a way to get a source, as tools/fetch reads it",
     offsetof(sources_flags, tsv)},
};

static lb_status list(lb_arena *a, const lb_sources *s, lb_str *out) {
    if (!s->path) {
        lb_str_add(out, "no configs/sources.yaml found\n");
        return LB_OK;
    }
    size_t unknown = 0;
    for (size_t i = 0; i < s->n; i++) {
        const lb_source *x = &s->at[i];
        lb_resolved r;
        char bytes[32];
        LB_TRY(lb_sources_resolve(a, s, ".", x->name, (lb_source_kind)x->kind, s->path, &r));
        lb_source_size(x, bytes);
        lb_str_add(out, "%-18s %-5s  %10s  %-9s  %s\n", x->name, x->kind == LB_SOURCE_MODEL ? "model" : "text", bytes,
                   r.missing ? "not here" : "here", x->licence);
        if (x->note && x->note[0]) lb_str_add(out, "%-18s %s\n", "", x->note);
        if (strcmp(x->sha256, LB_SOURCE_UNKNOWN) == 0) unknown++;
    }
    lb_str_add(out, "\nfrom %s; %s NAME... brings them to %s\n", s->path, s->fetch, s->cache);
    if (unknown)
        lb_str_add(out, "of %zu the SHA-256 is not known yet: %s --record NAME fetches one and writes it down\n",
                   unknown, s->fetch);
    return LB_OK;
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)args, (void)log, (void)exit_code;
    const sources_flags *f = values;
    lb_sources s;
    lb_str out = {0};
    LB_TRY(lb_sources_open(a, ".", &s));
    lb_status st = LB_OK;
    if (f->tsv)
        lb_sources_tsv(&s, &out);
    else
        st = list(a, &s, &out);
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK && out.s) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_sources = {
    .name = "sources",
    .usage = "[--tsv]",
    .summary = "models and texts that configs can name, and which of them are here",
    .example = "lowbit sources",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(sources_flags)},
    .run = run,
};

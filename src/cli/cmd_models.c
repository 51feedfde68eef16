/* lowbit models [FAMILY] */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "model/family.h"
#include "run/sources.h"

static void list_families(lb_str *out) {
    lb_str_add(out, "families that can be read (Hugging Face folders; those marked * from GGUF files too)\n");
    size_t width = 0;
    for (int i = 0; lb_family_table[i]; i++)
        if (strlen(lb_family_table[i]->name) > width) width = strlen(lb_family_table[i]->name);
    for (int i = 0; lb_family_table[i]; i++) {
        const lb_family *f = lb_family_table[i];
        lb_str_add(out, "  %-*s %s %s\n", (int)width, f->name, f->gguf_arch ? "*" : " ", f->summary);
    }
    lb_str_add(out, "lowbit models FAMILY shows its program and the tensors that it needs.\n");
}

static void list_sources(const lb_sources *s, lb_source_kind kind, lb_str *out) {
    bool any = false;
    for (size_t i = 0; i < s->n; i++) {
        const lb_source *x = &s->at[i];
        char bytes[32];
        if (x->kind != (int)kind) continue;
        if (!any && kind == LB_SOURCE_MODEL)
            lb_str_add(out, "\nnamed models (%s NAME brings them)\n", s->fetch);
        else if (!any)
            lb_str_add(out, "\nnamed texts\n");
        any = true;
        lb_source_size(x, bytes);
        bool note = x->note && x->note[0];
        lb_str_add(out, "  %-18s %10s  %-*s%s%s\n", x->name, bytes, note ? 24 : 0, x->licence ? x->licence : "",
                   note ? " " : "", note ? x->note : "");
    }
}

static void show_positions(const lb_family *f, lb_str *out) {
    static const char *const kinds[] = {"plain", "linear", "dynamic", "llama3", "yarn", "longrope"};
    bool first = true;
    if (!f->rope) return;
    lb_str_add(out, "Positions     ");
    for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if (!(f->rope->kinds >> k & 1u)) continue;
        lb_str_add(out, "%s%s", first ? "" : ", ", kinds[k]);
        first = false;
    }
    lb_str_add(out, "%s; others are refused\n", f->gguf_arch ? " (GGUF: all but dynamic)" : "");
}

/* A part's steps, one a line. */
static void show_steps(const char *part, const char *text, lb_str *out) {
    for (const char *at = text ? text : ""; *at; part = "") {
        size_t n = strcspn(at, ";");
        if (n) lb_str_add(out, "%-8s %.*s\n", part, (int)n, at);
        at += n + (at[n] == ';');
        at += strspn(at, " ");
    }
}

static void show_tensor(const lb_tensor_row *t, bool gguf, lb_str *out) {
    char shape[128];
    snprintf(shape, sizeof shape, "(%s%s%s)", t->rows ? t->rows : "", t->rows ? ", " : "", t->cols);
    lb_str_add(out, "%-18s %-26s", t->ours, shape);
    if (gguf) lb_str_add(out, " %-32s", t->gguf ? t->gguf : "");
    for (const char *at = t->hf, *next; at; at = next) {
        next = strchr(at, '|');
        lb_str_add(out, " %.*s%s", next ? (int)(next - at) : (int)strlen(at), at, next ? " or" : "");
        next = next ? next + 1 : NULL;
    }
    if (t->bias)
        lb_str_add(out, ", a bias%s%s", strcmp(t->bias, "1") ? " if " : "", strcmp(t->bias, "1") ? t->bias : "");
    if (t->when) lb_str_add(out, ", if %s", t->when);
    if (t->owner) lb_str_add(out, ", that of block (%s)", t->owner);
    if (t->runs) lb_str_add(out, ", stored in %s rows", t->runs);
    lb_str_add(out, "\n");
}

static void show_refused(const lb_family *f, lb_str *out) {
    for (const lb_refusal *x = f->hf_refused; x && x->when; x++)
        lb_str_add(out, "%-13s %s\n", x == f->hf_refused ? "Refused" : "", x->why);
}

static void explain(const lb_family *f, lb_str *out) {
    bool experts = false;
    lb_str_add(out, "%s: %s\n", f->name, f->summary);
    lb_str_add(out, "Hugging Face  %s (model_type %s)\n", f->hf_class, f->hf_type);
    if (f->gguf_arch)
        lb_str_add(out, "GGUF          general.architecture %s%s%s\n", f->gguf_arch, f->gguf_when ? " with " : "",
                   f->gguf_when ? f->gguf_when : "");
    show_positions(f, out);
    show_refused(f, out);
    lb_str_add(out, "\n");
    show_steps("before", f->program.before, out);
    show_steps("block", f->program.block, out);
    show_steps("expert", f->program.expert, out);
    show_steps("after", f->program.after, out);
    lb_str_add(out, "\n%-18s %-26s", "tensor", "shape");
    lb_str_add(out, f->gguf_arch ? " %-32s Hugging Face\n" : "%s Hugging Face\n", f->gguf_arch ? "GGUF" : "");
    for (const lb_tensor_row *t = f->tensor; t->ours; t++) {
        show_tensor(t, f->gguf_arch != NULL, out);
        experts = experts || strchr(t->ours, '@');
    }
    lb_str_add(out, "\n# is %s%s; the head may be missing where it is tied to the embedding.\n",
               f->file_block ? f->file_block : "the block's number",
               experts ? ", @ the expert's, [@] its part of a stack, [a:b:n] rows a to b of n" : "");
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)values, (void)log, (void)exit_code;
    const lb_family *f = NULL;
    lb_sources s;
    if (args->n_positional) LB_TRY(lb_family_find(args->positional[0], &f));
    LB_TRY(lb_sources_open(a, ".", &s));
    lb_str out = {0};
    if (f)
        explain(f, &out);
    else {
        list_families(&out);
        list_sources(&s, LB_SOURCE_MODEL, &out);
        list_sources(&s, LB_SOURCE_TEXT, &out);
    }
    lb_status st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_models = {
    .name = "models",
    .usage = "[FAMILY]",
    .summary = "list the model families and the named models and texts, or explain a family",
    .example = "lowbit models llama",
    .max_positional = 1,
    .run = run,
};

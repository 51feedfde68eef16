/* lowbit models [FAMILY] */
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "model/arch.h"
#include "run/sources.h"

static void list_families(lb_str *out) {
    lb_str_add(out, "families that can be read (Hugging Face folders and GGUF files)\n");
    for (int i = 0; i < lb_families_count; i++)
        lb_str_add(out, "  %-8s %s\n", lb_families[i].name, lb_families[i].summary);
    lb_str_add(out, "lowbit models FAMILY shows the tensors that a family needs.\n");
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
        lb_format_bytes((double)x->bytes, bytes);
        bool note = x->note && x->note[0];
        lb_str_add(out, "  %-18s %10s  %-*s%s%s\n", x->name, bytes, note ? 24 : 0, x->licence ? x->licence : "",
                   note ? " " : "", note ? x->note : "");
    }
}

static void explain(const lb_family *f, lb_str *out) {
    lb_str_add(out, "%s: %s\n", f->name, f->summary);
    lb_str_add(out, "Hugging Face  %s (model_type %s), RoPE in %s\n", f->hf_class, f->hf_type,
               f->hf_rope == LB_ROPE_PAIRS ? "pairs" : "halves");
    lb_str_add(out, "GGUF          general.architecture %s, RoPE in %s\n", f->gguf_arch,
               f->gguf_rope == LB_ROPE_PAIRS ? "pairs" : "halves");
    lb_str_add(
        out,
        "Positions     plain, linear or llama3 scaling (GGUF: llama3's as rope_freqs.weight); others are refused\n\n");
    lb_str_add(out, "%-12s %-26s %-52s %s\n", "tensor", "shape", "Hugging Face", "GGUF");
    for (const lb_tensor_map *t = f->tensor; t->ours; t++) {
        char shape[64] = "(";
        if (t->rows != LB_EXT_ONE) strcat(strcat(shape, lb_extent_name(t->rows)), ", ");
        strcat(strcat(shape, lb_extent_name(t->cols)), ")");
        lb_str_add(out, "%-12s %-26s %-52s %s\n", t->ours, shape, t->hf, t->gguf);
    }
    lb_str_add(out, "\n# is the block's number; the head may be missing where it is tied to the embedding.\n");
}

static lb_status find(const char *name, const lb_family **out) {
    const char *known[64];
    size_t n = 0;
    for (; (int)n < lb_families_count && n < 64; n++) {
        known[n] = lb_families[n].name;
        if (strcmp(known[n], name) == 0) {
            *out = &lb_families[n];
            return LB_OK;
        }
    }
    const char *near = lb_str_nearest(name, known, n);
    if (near) return lb_fail(LB_E_ARG, "unknown family '%s': did you mean '%s'?", name, near);
    return lb_fail(LB_E_ARG, "unknown family '%s': lowbit models lists them", name);
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)values, (void)log, (void)exit_code;
    const lb_family *f = NULL;
    lb_sources s;
    if (args->n_positional) LB_TRY(find(args->positional[0], &f));
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

/* lowbit inspect MODEL */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/inspect_result.h"
#include "io/gguf.h"
#include "io/json.h"
#include "model/model.h"
#include "model/rope_numbers.h"
#include "model/steps/reference.h"
#include "result/figures.h"
#include "run/kept_cell.h"
#include "run/sources.h"

typedef struct inspect_flags {
    bool tensors, metadata;
} inspect_flags;

static const lb_option flags[] = {
    {"tensors", LB_OPT_BOOL, "true", 0, 0, NULL, "list every tensor", offsetof(inspect_flags, tensors)},
    {"metadata", LB_OPT_BOOL, "true", 0, 0, NULL, "show the file's own metadata (GGUF keys, config.json)",
     offsetof(inspect_flags, metadata)},
};

static int64_t parameters(const lb_model *m) {
    int64_t n = 0;
    for (int64_t i = 0; i < m->n_tensors; i++) n += m->tensor[i].rows * m->tensor[i].cols;
    return n;
}

/* The first step of that operation in a block; NULL: none. */
static const lb_net_step *find_step(const lb_net *n, const char *op) {
    for (int32_t i = 0; i < n->block[0].steps; i++)
        if (strcmp(n->block[0].step[i].op->name, op) == 0) return &n->block[0].step[i];
    return NULL;
}

static double number(const lb_net *n, const char *name) {
    const lb_number *x = lb_number_find(n->numbers, name);
    return x && !x->block ? x->all : 0.0;
}

static bool has_alibi(const lb_net *n) {
    const lb_net_step *attend = find_step(n, "attend");
    for (int i = 0; attend && i < LB_STEP_ARGS && attend->op->arg[i].name; i++)
        if (strcmp(attend->op->arg[i].name, "alibi") == 0) return attend->arg[i] != 0.0;
    return false;
}

/* How a table's frequencies are changed. */
static void show_scaling(const lb_rope_spec *r, lb_str *out) {
    if (r->kind == LB_REF_ROPE_DEFAULT) return;
    lb_str_add(out, "             %s scaling", lb_rope_kinds[r->kind]);
    if (r->kind == LB_REF_ROPE_LONGROPE)
        lb_str_add(out, ", factors of %lld pairs", (long long)(r->dims + 1) / 2);
    else
        lb_str_add(out, ", factor %g", r->factor);
    if (r->kind == LB_REF_ROPE_LLAMA3) lb_str_add(out, ", frequency factors %g and %g", r->low, r->high);
    if (r->kind == LB_REF_ROPE_YARN) lb_str_add(out, ", beta %g and %g", r->fast, r->slow);
    if (r->kind == LB_REF_ROPE_YARN || r->kind == LB_REF_ROPE_LONGROPE)
        lb_str_add(out, ", %.6g times cos and sin", r->magnitude);
    if (r->kind >= LB_REF_ROPE_LLAMA3) lb_str_add(out, ", original context %.0f", r->original);
    lb_str_add(out, "\n");
}

/* Blocks that turn by it. */
static int64_t blocks_of(const lb_net *n, int32_t rope) {
    int64_t count = 0;
    for (int64_t b = 0; b < n->blocks; b++)
        for (int32_t i = 0; i < n->block[b].steps; i++)
            if (n->block[b].step[i].rope == rope) {
                count++;
                break;
            }
    return count;
}

static void show_positions(const lb_net *n, lb_str *out) {
    if (n->ropes == 0) {
        lb_str_add(out, "positions    %s, ", has_alibi(n) ? "ALiBi" : "no RoPE");
        lb_str_add(out, n->context ? "context %lld\n" : "no longest context\n", (long long)n->context);
        return;
    }
    for (int32_t i = 0; i < n->ropes; i++) {
        const lb_rope_spec *r = &n->rope[i];
        lb_str_add(out, "%s    RoPE, base %g, %s layout, context %.0f%s", i ? "         " : "positions", r->base,
                   r->pairs ? "pairs" : "halves", r->context, r->kind == LB_REF_ROPE_DYNAMIC ? " and beyond" : "");
        if (blocks_of(n, i) < n->blocks)
            lb_str_add(out, ", in %lld of %lld blocks", (long long)blocks_of(n, i), (long long)n->blocks);
        lb_str_add(out, "\n");
        const lb_net_step *turn = find_step(n, "rope");
        if (turn && r->dims != turn->head_dim)
            lb_str_add(out, "             of the first %lld columns of a head\n", (long long)r->dims);
        show_scaling(r, out);
    }
}

static void show_sharing(const lb_net *n, lb_str *out) {
    int32_t shared = lb_net_shared(n), layers = 0;
    for (int32_t i = 0; i < n->sites; i++) layers += n->site[i].block >= 0;
    if (shared > 0)
        lb_str_add(out, "shared       %d of the blocks' %d layers have the weights of an earlier one\n", shared,
                   layers);
}

static void show_architecture(const lb_model *m, lb_str *out) {
    const lb_net *n = m->net;
    const lb_net_step *attend = find_step(n, "attend"), *norm = find_step(n, "norm");
    int64_t stored = 0;
    char bytes[32];
    for (int64_t i = 0; i < m->n_tensors; i++) stored += m->tensor[i].stored_bytes;
    lb_format_bytes((double)stored, bytes);
    lb_str_add(out, "model        %s (%s)\nsha256       %s\n", m->path, m->format, m->hash);
    lb_str_add(out, "family       %s\nparameters   %lld\nstored       %s, %s, %.3f bits a weight\n", m->family->name,
               (long long)parameters(m), m->stored, bytes, lb_bits_per_weight(stored, parameters(m)));
    if (m->left_out)
        lb_str_add(out, "left out     %lld tensors of other parts: the text part alone is read\n",
                   (long long)m->left_out);
    lb_str_add(out, "blocks       %lld\nwidth        %lld, hidden %.0f\n", (long long)n->blocks, (long long)n->dim,
               number(n, "hidden"));
    if (number(n, "experts") > 0)
        lb_str_add(out, "experts      %.0f, %.0f for a token\n", number(n, "experts"), number(n, "top"));
    if (attend)
        lb_str_add(out, "attention    %lld heads of %lld, %lld key-value heads\n", (long long)attend->heads,
                   (long long)attend->head_dim, (long long)attend->kv_heads);
    show_sharing(n, out);
    show_positions(n, out);
    if (norm)
        lb_str_add(out, "norm         %s, epsilon %g\n", norm->arg[0] == 0.0 ? "RMSNorm" : "LayerNorm", norm->arg[1]);
    lb_str_add(out, "vocabulary   %lld, head %s the embedding\n", (long long)n->vocab,
               n->site[n->head].same_as >= 0 ? "tied to" : "apart from");
}

static void show_token(const lb_tokenizer *t, const char *what, int32_t id, lb_str *out) {
    size_t n;
    if (id < 0) return;
    const char *piece = lb_tokenizer_piece(t, id, &n);
    lb_str_add(out, ", %s %d '%.*s'", what, id, (int)(n < 64 ? n : 64), piece);
}

static void show_tokenizer(const lb_model *m, lb_str *out) {
    const lb_tokenizer *t = m->tokenizer;
    if (!t) {
        lb_str_add(out, "tokenizer    not read, because %s\n", m->no_tokenizer);
        return;
    }
    lb_str_add(out, "tokenizer    %s, %lld tokens", lb_tokenizer_kind(t), (long long)lb_tokenizer_vocab(t));
    if (lb_tokenizer_vocab(t) > m->net->vocab) lb_str_add(out, " (more than the embedding's rows)");
    show_token(t, "bos", lb_tokenizer_bos(t), out);
    show_token(t, "eos", lb_tokenizer_eos(t), out);
    lb_str_add(out, ", adds bos: %s\n", lb_tokenizer_adds_bos(t) ? "yes" : "no");
    if (lb_tokenizer_bos_dispute(t)) lb_str_add(out, "             %s\n", lb_tokenizer_bos_dispute(t));
}

static void show_tensors(const lb_model *m, lb_str *out) {
    size_t ours = 4, theirs = 7;
    for (int64_t i = 0; i < m->n_tensors; i++) {
        if (strlen(m->tensor[i].name) > ours) ours = strlen(m->tensor[i].name);
        if (strlen(m->tensor[i].source_name) > theirs) theirs = strlen(m->tensor[i].source_name);
    }
    lb_str_add(out, "\n%-*s  %-5s  %16s  %12s  %s\n", (int)ours, "name", "type", "shape", "bytes", "in the file");
    for (int64_t i = 0; i < m->n_tensors; i++) {
        const lb_model_tensor *t = &m->tensor[i];
        char shape[40];
        snprintf(shape, sizeof shape, "%lld x %lld", (long long)t->rows, (long long)t->cols);
        lb_str_add(out, "%-*s  %-5s  %16s  %12lld  %s\n", (int)ours, t->name, t->type, shape,
                   (long long)t->stored_bytes, t->source_name);
    }
}

static lb_status show_gguf_keys(const char *path, lb_str *out) {
    lb_gguf *g;
    const char *key;
    char value[96];
    LB_TRY(lb_gguf_open(path, &g));
    lb_str_add(out, "\nmetadata\n");
    for (int64_t i = 0; lb_gguf_describe(g, i, &key, value, sizeof value); i++)
        lb_str_add(out, "  %s = %s\n", key, value);
    lb_gguf_close(g);
    return LB_OK;
}

static lb_status show_config(const char *dir, lb_str *out) {
    char *path = lb_fs_join(dir, "config.json"), *text = NULL;
    size_t n;
    lb_status st = path ? lb_fs_read(path, &text, &n) : LB_E_NOMEM;
    if (st == LB_OK) lb_str_add(out, "\nconfig.json\n%s%s", text, n && text[n - 1] == '\n' ? "" : "\n");
    lb_free(text);
    lb_free(path);
    return st;
}

static lb_status show(const lb_model *m, const inspect_flags *f, lb_str *out) {
    show_architecture(m, out);
    show_tokenizer(m, out);
    if (f->tensors) show_tensors(m, out);
    if (f->metadata) LB_TRY(strcmp(m->format, "gguf") == 0 ? show_gguf_keys(m->path, out) : show_config(m->path, out));
    return lb_str_check(out);
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)log, (void)exit_code;
    lb_sources s;
    lb_resolved r;
    LB_TRY(lb_sources_open(a, ".", &s));
    LB_TRY(lb_sources_resolve(a, &s, ".", args->positional[0], LB_SOURCE_MODEL, "MODEL", &r));
    if (r.missing) return lb_fail(LB_E_IO, "%s", r.missing);
    lb_model *m = NULL;
    lb_str out = {0};
    lb_status st;
    if (!r.source && lb_is_result(r.path)) {
        st = lb_cli_inspect_result(a, r.path, ((const inspect_flags *)values)->tensors, &out);
    } else {
        LB_TRY(lb_model_open(r.path, LB_HEADER, NULL, &m));
        st = show(m, values, &out);
    }
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    lb_model_close(m);
    return st;
}

const lb_command lb_cmd_inspect = {
    .name = "inspect",
    .usage = "MODEL",
    .summary = "what a model file holds: architecture, tokenizer, every tensor, metadata",
    .details = "Of a cell's result file (CELL.h5): the cell, its perplexities, and the layers that it keeps.\n",
    .example = "lowbit inspect smollm2-135m --no-metadata",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(inspect_flags)},
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};

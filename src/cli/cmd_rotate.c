/* lowbit rotate MODEL --out DIR: the model in another basis of its residual stream, as a Hugging Face folder. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/opened.h"
#include "cli/planned.h"
#include "eval/outputs.h"
#include "model/model.h"
#include "model/rotate.h"

typedef struct rotate_flags {
    const char *out;
    int64_t seed, block, threads;
    int dtype;
} rotate_flags;

#define AT(field) offsetof(rotate_flags, field)
static const lb_option flags[] = {
    {"out", LB_OPT_STR, NULL, 0, 0, NULL, "folder to write: config.json, model.safetensors, the tokenizer's files",
     AT(out)},
    {"seed", LB_OPT_INT, "0", 0, 9e15, NULL, "of the basis", AT(seed)},
    {"block", LB_OPT_INT, "0", 0, 1e6, NULL, "channels that are mixed with each other, from the first on; 0: all",
     AT(block)},
    {"dtype", LB_OPT_CHOICE, "f32", 0, 0, lb_export_names, "how the weights are stored; f16 and bf16 round them",
     AT(dtype)},
    {"threads", LB_OPT_INT, "0", 0, 1024, NULL, "0: as many as the process may run on", AT(threads)},
};

typedef struct session {
    const rotate_flags *f;
    lb_arena *a;
    lb_log *log;
    lb_fs_folder folder;
    lb_team *team;
    lb_model *model;
} session;

/* Of the logits: rounding alone stays below, a fault does not. */
static const double most_apart = 1e-3;

static lb_status open_model(session *s, const char *name) {
    lb_resolved r;
    LB_TRY(lb_cli_resolve(s->a, name, LB_SOURCE_MODEL, &r));
    LB_TRY(lb_model_open(r.path, LB_WEIGHTS, s->team, &s->model));
    return lb_sources_check(&r, s->model->hash, s->log);
}

static lb_status work(session *s, const char *name) {
    lb_weights turned;
    double apart;
    LB_TRY(lb_cli_out_begin(s->a, s->f->out, &s->folder));
    LB_TRY(lb_cli_team(s->f->threads, &s->team));
    LB_TRY(open_model(s, name));
    const lb_net *net = s->model->net;
    lb_status st = lb_rotate(s->a, net, &s->model->weights, (uint64_t)s->f->seed, s->f->block, s->team, &turned);
    if (st != LB_OK) return lb_fail_in(st, "%s", s->model->path);
    LB_TRY(lb_outputs_logits(net, &s->model->weights, &turned, (uint64_t)s->f->seed, s->team, &apart));
    if (apart > most_apart)
        return lb_fail(LB_E_NUMERIC,
                       "%s: turned it gives other logits: %.2g of their standard deviation apart, and %.2g is what "
                       "rounding may do",
                       s->model->path, apart, most_apart);
    LB_TRY(lb_model_write(s->model, &turned, lb_export_types[s->f->dtype], &s->folder, s->log));
    const char *said = lb_arena_printf(s->a,
                                       "model       %s, %lld blocks, %lld wide\n"
                                       "logits      at most %.1e of their standard deviation from the model's\n"
                                       "written     %s (%s)\n",
                                       s->model->family->name, (long long)net->blocks, (long long)net->dim, apart,
                                       s->f->out, lb_export_names[s->f->dtype]);
    if (!said) return LB_E_NOMEM;
    LB_TRY(lb_fs_folder_commit(&s->folder));
    lb_cli_print(said);
    return LB_OK;
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)exit_code;
    session s = {.f = values, .a = a, .log = log};
    lb_status st = work(&s, args->positional[0]);
    lb_fs_folder_abort(&s.folder);
    lb_model_close(s.model);
    lb_team_free(s.team);
    return st;
}

const lb_command lb_cmd_rotate = {
    .name = "rotate",
    .usage = "MODEL --out DIR",
    .summary = "turn a model's weights at random: it computes the same, and they lie on no grid any more",
    .details =
        "The residual stream gets another orthonormal basis, drawn from the seed (Ashkboos et al. 2024,\n"
        "arXiv:2401.15024, theorem 1). A control for models whose weights were quantized before, or whose\n"
        "channels differ much. With --block 2 each channel is mixed with its neighbour alone: off the grid, and\n"
        "large channels stay large. Only families whose stream is read through RMSNorm can be turned; a head that\n"
        "is the embedding's gets weights of its own.",
    .example = "lowbit rotate model.gguf --seed 1 --out build/rotated",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(rotate_flags)},
    .min_positional = 1,
    .max_positional = 1,
    .looks_itself = true,
    .run = run,
};

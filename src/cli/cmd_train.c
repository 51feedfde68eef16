/* lowbit train TEXT... --out DIR: a tokenizer and a small model of any family from scratch. The steps are those of the
 * method that trains without a quantizer, started from random weights. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/commands.h"
#include "cli/planned.h"
#include "eval/train.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/model.h"
#include "model/new_config.h"

typedef struct train_flags {
    const char *out, *family, *validation;
    int64_t vocab, layers, dim, hidden, heads, kv_heads, context, seed, threads;
    int64_t steps, batch, length, warmup, every, validation_windows;
    double lr, lr_floor, weight_decay, beta2, clip, rope_base, balance;
    bool tied;
    int dtype;
} train_flags;

#define AT(field) offsetof(train_flags, field)
static const lb_option flags[] = {
    {"out", LB_OPT_STR, NULL, 0, 0, NULL, "folder to write: config.json, model.safetensors, tokenizer.json", AT(out)},
    {"family", LB_OPT_STR, "llama", 0, 0, NULL, "what is trained: a name that lowbit models lists", AT(family)},
    {"vocab", LB_OPT_INT, "512", 258, 1e6, NULL, "tokens of the byte-level BPE that is trained first", AT(vocab)},
    {"layers", LB_OPT_INT, "4", 1, 1000, NULL, "transformer blocks", AT(layers)},
    {"dim", LB_OPT_INT, "128", 2, 65536, NULL, "width", AT(dim)},
    {"hidden", LB_OPT_INT, "344", 1, 262144, NULL, "width inside the MLP", AT(hidden)},
    {"heads", LB_OPT_INT, "4", 1, 1024, NULL, "query heads", AT(heads)},
    {"kv_heads", LB_OPT_INT, "2", 1, 1024, NULL, "key and value heads", AT(kv_heads)},
    {"context", LB_OPT_INT, "256", 2, 1e6, NULL, "longest sequence the model is made for", AT(context)},
    {"rope_base", LB_OPT_FLOAT, "10000", 1, 1e9, NULL, "base of the rotary positions; not given: the family's",
     AT(rope_base)},
    {"tied", LB_OPT_BOOL, "true", 0, 0, NULL, "the head is the embedding; not given: as the family has it", AT(tied)},
    {"steps", LB_OPT_INT, "1000", 1, 1e9, NULL, "optimizer steps", AT(steps)},
    {"batch", LB_OPT_INT, "16", 1, 65536, NULL, "sequences a step", AT(batch)},
    {"length", LB_OPT_INT, "256", 2, 1e6, NULL, "tokens a sequence", AT(length)},
    {"lr", LB_OPT_FLOAT, "2e-3", 0, 1, NULL, "highest learning rate", AT(lr)},
    {"warmup", LB_OPT_INT, "100", 0, 1e9, NULL, "steps of linear warm-up", AT(warmup)},
    {"lr_floor", LB_OPT_FLOAT, "0.05", 0, 1, NULL, "fraction of lr that the cosine ends at", AT(lr_floor)},
    {"weight_decay", LB_OPT_FLOAT, "0.1", 0, 1, NULL, "AdamW's; norms have none", AT(weight_decay)},
    {"beta2", LB_OPT_FLOAT, "0.95", 0, 0.999999, NULL, "AdamW: decay of the mean square", AT(beta2)},
    {"clip", LB_OPT_FLOAT, "1", 0, 1e9, NULL, "largest gradient norm; 0: no clipping", AT(clip)},
    {"balance", LB_OPT_FLOAT, "0.01", 0, 10, NULL,
     "experts: weight of the loss by which they share the tokens (Fedus et al. 2021); 0: none", AT(balance)},
    {"validation", LB_OPT_STR, "", 0, 0, NULL, "a text that is not trained on, whose loss is told on the way",
     AT(validation)},
    {"every", LB_OPT_INT, "50", 1, 1e9, NULL, "steps from one of these to the next", AT(every)},
    {"validation_windows", LB_OPT_INT, "32", 0, 1e9, NULL, "its first so many windows, as long as a sequence; 0: all",
     AT(validation_windows)},
    {"seed", LB_OPT_INT, "1", 0, 9e15, NULL, "of the first weights and of the batches", AT(seed)},
    {"dtype", LB_OPT_CHOICE, "bf16", 0, 0, lb_export_names, "how the weights are stored", AT(dtype)},
    {"threads", LB_OPT_INT, "0", 0, 1024, NULL, "0: as many as the process may run on", AT(threads)},
};
static const lb_options table = {flags, sizeof flags / sizeof flags[0], sizeof(train_flags)};
/* Flags that the method takes under the same names. */
static const char *const of_method[] = {"steps",    "batch",        "length", "lr",   "warmup",
                                        "lr_floor", "weight_decay", "beta2",  "clip", NULL};

typedef struct session {
    const train_flags *f;
    const lb_cli_args *args;
    const lb_family *family;
    lb_new_config *config;
    lb_arena *a;
    lb_log *log, shown;
    lb_fs_folder folder; /* --out, under way */
    lb_team *team;
    lb_tokenizer *tokenizer; /* until the model has taken it */
    lb_model *model;
    lb_textfile *file; /* (n_files) the texts: a pipe gives its own but once */
    int64_t n_files;
    lb_corpus text;        /* all texts, one after another */
    lb_textfile held_file; /* of --validation */
    lb_corpus *held;       /* NULL: none is asked for */
    const lb_curve *curve;
    double seconds, loss, balanced;
} session;

/* The method calls its stage after itself; here it is training. */
static void show(void *user, const lb_progress *p) {
    lb_log *log = user;
    lb_progress mine = *p;
    mine.stage = "train";
    if (log->progress) log->progress(log->user, &mine);
}

static lb_status open_texts(session *s) {
    const lb_cli_args *args = s->args;
    s->file = LB_NEW(s->a, lb_textfile, args->n_positional);
    if (!s->file) return LB_E_NOMEM;
    for (; s->n_files < args->n_positional; s->n_files++)
        LB_TRY(lb_textfile_open(args->positional[s->n_files], &s->file[s->n_files]));
    return s->f->validation[0] ? lb_textfile_open(s->f->validation, &s->held_file) : LB_OK;
}

static lb_status train_tokenizer(session *s) {
    lb_str all = {0};
    for (int64_t i = 0; i < s->n_files; i++) lb_str_add_bytes(&all, s->file[i].s, s->file[i].n);
    lb_status st = lb_str_check(&all);
    if (st == LB_OK) st = lb_tokenizer_train(all.s, all.len, s->f->vocab, &s->tokenizer);
    lb_str_free(&all);
    return st;
}

static lb_status read_texts(session *s) {
    lb_corpus *all = &s->text;
    all->path = "(all texts)";
    for (int64_t i = 0; i < s->n_files; i++) {
        lb_corpus *one;
        LB_TRY(lb_corpus_of(&s->file[i], s->tokenizer, LB_BOS_NEVER, s->log, &one));
        int32_t *more = LB_NEW(s->a, int32_t, all->tokens + one->tokens);
        if (more) {
            if (all->tokens) memcpy(more, all->token, (size_t)all->tokens * sizeof *more);
            memcpy(more + all->tokens, one->token, (size_t)one->tokens * sizeof *more);
            all->token = more;
            all->tokens += one->tokens;
            all->bytes += one->bytes;
        }
        lb_corpus_close(one);
        if (!more) return LB_E_NOMEM;
    }
    return LB_OK;
}

/* The text that is not trained on, in the tokens of those that are. */
static lb_status read_held_out(session *s) {
    const train_flags *f = s->f;
    if (!f->validation[0]) return LB_OK;
    LB_TRY(lb_corpus_of(&s->held_file, s->tokenizer, LB_BOS_NEVER, s->log, &s->held));
    if (s->held->tokens >= f->length) return LB_OK;
    return lb_fail(LB_E_CONFIG, "validation text %s has %lld tokens: one window takes --length = %lld", f->validation,
                   (long long)s->held->tokens, (long long)f->length);
}

static bool given(const session *s, const char *flag) { return s->args->given[lb_options_find(&table, flag) - flags]; }

/* A key by its name, as -o has it. */
static lb_status set_key(session *s, const char *override) {
    const char *value = strchr(override, '=') + 1;
    const char *key = lb_arena_printf(s->a, "%.*s", (int)(value - override - 1), override);
    lb_status st = key ? lb_new_config_set(s->config, key, value) : LB_E_NOMEM;
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(st, "-o %s", override);
}

/* The keys of the new model, but for the vocabulary. A flag that was given must have its key in the family; others have
 * theirs where it does, and what the family does in its own way stays so. */
static lb_status begin_config(session *s) {
    const train_flags *f = s->f;
    const struct {
        const char *flag, *shown;
        double value;
        bool own; /* unless it is given, the family's default holds */
    } size[] = {
        {"layers", "--layers", (double)f->layers, false},       {"dim", "--dim", (double)f->dim, false},
        {"hidden", "--hidden", (double)f->hidden, false},       {"heads", "--heads", (double)f->heads, false},
        {"kv_heads", "--kv-heads", (double)f->kv_heads, false}, {"context", "--context", (double)f->context, false},
        {"rope_base", "--rope-base", f->rope_base, true},       {"tied", "--tied", f->tied, true}};
    LB_TRY(lb_family_find(f->family, &s->family));
    LB_TRY(lb_new_config_begin(s->family, &s->config));
    for (int64_t i = 0; i < s->args->n_override; i++) LB_TRY(set_key(s, s->args->override[i]));
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        bool must = given(s, size[i].flag);
        if (must || !size[i].own)
            LB_TRY(lb_new_config_number(s->config, size[i].flag, size[i].value, must, size[i].shown));
    }
    return LB_OK;
}

static lb_status new_model(session *s) {
    const char *keys;
    int64_t vocab = lb_tokenizer_vocab(s->tokenizer);
    LB_TRY(lb_new_config_number(s->config, "vocab", (double)vocab, true, "--vocab"));
    LB_TRY(lb_new_config_text(s->config, s->a, &keys));
    LB_TRY(lb_model_new_of(s->family, keys, s->tokenizer, (uint64_t)s->f->seed, &s->model));
    s->tokenizer = NULL;
    return LB_OK;
}

static lb_status method_options(session *s, const lb_method *m, void **opts) {
    if (!(*opts = lb_arena_get(s->a, 1, m->options.struct_size))) return LB_E_NOMEM;
    LB_TRY(lb_options_defaults(&m->options, s->a, *opts));
    for (int i = 0; of_method[i]; i++) {
        lb_str text = {0};
        lb_options_text(lb_options_find(&table, of_method[i]), s->f, &text);
        lb_status st = lb_str_check(&text);
        if (st == LB_OK) st = lb_options_set(&m->options, s->a, *opts, of_method[i], text.s, "train");
        lb_str_free(&text);
        if (st != LB_OK) return st;
    }
    return LB_OK;
}

static const lb_method *method_of_floats(void) {
    size_t i = 0;
    const lb_method *m;
    while ((m = lb_method_at(i)) && !(m->needs & LB_TRAINS_FLOATS)) i++;
    return m;
}

static lb_status train(session *s, lb_weights *out) {
    const lb_method *m = method_of_floats();
    const lb_net *net = s->model->net;
    void *opts;
    lb_trainer *t;
    lb_model_out result;
    if (!m) return lb_fail(LB_E_UNSUPPORTED, "train: no method of this build trains a model as it is");
    LB_TRY(method_options(s, m, &opts));
    LB_TRY(lb_trainer_new(s->a, net, &s->model->weights, &s->text, NULL, NULL, (uint64_t)s->f->seed, s->team, &s->shown,
                          &t));
    lb_trainer_balance(t, s->f->balance);
    if (s->held) lb_trainer_validate(t, &(lb_validation){s->held, s->f->every, s->f->validation_windows});
    double start = lb_clock_s();
    LB_TRY(m->model(t, opts, &result));
    s->seconds = lb_clock_s() - start;
    s->balanced = lb_trainer_balanced(t);
    const lb_curve *c = lb_trainer_curve(t);
    int64_t last = c->n < 50 ? c->n : 50;
    for (int64_t i = c->n - last; i < c->n; i++) s->loss += c->total[i] / (double)last;
    LB_TRY(lb_trainer_install(s->a, net, &s->model->weights, t, &result, out));
    s->curve = c;
    return lb_trainer_validate_last(t, out);
}

static void tell_validation(const session *s, lb_str *out) {
    const lb_curve *c = s->curve;
    if (!c->validations) return;
    int64_t all = s->held->tokens / s->f->length, n = s->f->validation_windows;
    lb_str_add(out, "validation  %.4f nats a token, %.4f before the first step: %lld of %lld windows of %s\n",
               c->validation_loss[c->validations - 1], c->validation_loss[0], (long long)(n > 0 && n < all ? n : all),
               (long long)all, s->f->validation);
}

static lb_status tell(const session *s, lb_str *out) {
    const lb_net *net = s->model->net;
    int64_t weights = 0;
    for (int64_t i = 0; i < s->model->n_tensors; i++) weights += s->model->tensor[i].rows * s->model->tensor[i].cols;
    char took[32], bytes[32];
    lb_format_duration(s->seconds, took);
    lb_format_bytes((double)s->text.bytes, bytes);
    lb_str_add(out, "text        %s, %lld tokens\n", bytes, (long long)s->text.tokens);
    lb_str_add(out, "model       %s, %lld blocks, %lld wide, %lld tokens, %lld weights\n", s->family->name,
               (long long)net->blocks, (long long)net->dim, (long long)net->vocab, (long long)weights);
    lb_str_add(out, "loss        %.4f nats a token, mean of the last steps\n", s->loss);
    tell_validation(s, out);
    if (s->balanced > 0.0)
        lb_str_add(out, "experts     %.3f: share of the tokens times mean probability, 1 where all are alike\n",
                   s->balanced);
    lb_str_add(out, "time        %s, %.0f tokens/s, %d threads, kernels %s, OpenBLAS core %s\n", took,
               (double)(s->f->steps * s->f->batch * s->f->length) / s->seconds, lb_team_threads(s->team),
               lb_kernels_active()->name, lb_blas_core());
    lb_str_add(out, "written     %s (%s)\n", s->f->out, lb_export_names[s->f->dtype]);
    return lb_str_check(out);
}

/* What is printed afterwards is there before the folder gets its name: after that nothing fails. */
static lb_status publish(session *s) {
    lb_str out = {0};
    lb_status st = tell(s, &out);
    if (st == LB_OK) st = lb_fs_folder_commit(&s->folder);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

static lb_status check_validation(const session *s) {
    static const char *const flag[][2] = {{"every", "--every"}, {"validation_windows", "--validation-windows"}};
    for (size_t i = 0; i < 2; i++)
        if (given(s, flag[i][0]) && !s->f->validation[0])
            return lb_fail(LB_E_ARG, "%s has no effect: there is no text to validate on: add --validation TEXT",
                           flag[i][1]);
    return LB_OK;
}

static lb_status work(session *s) {
    lb_weights trained;
    LB_TRY(check_validation(s));
    LB_TRY(begin_config(s));
    LB_TRY(lb_cli_out_begin(s->a, s->f->out, &s->folder));
    LB_TRY(lb_cli_team(s->f->threads, &s->team));
    LB_TRY(open_texts(s));
    LB_TRY(train_tokenizer(s));
    LB_TRY(read_texts(s));
    LB_TRY(read_held_out(s));
    LB_TRY(new_model(s));
    LB_TRY(train(s, &trained));
    lb_cli_log_end(s->log);
    LB_TRY(lb_model_write(s->model, &trained, lb_export_types[s->f->dtype], &s->folder, s->log));
    return publish(s);
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)exit_code;
    session s = {.f = values, .args = args, .a = a, .log = log, .shown = {.progress = show, .user = log}};
    lb_status st = work(&s);
    lb_fs_folder_abort(&s.folder);
    for (int64_t i = 0; i < s.n_files; i++) lb_textfile_close(&s.file[i]);
    lb_textfile_close(&s.held_file);
    lb_corpus_close(s.held);
    lb_model_close(s.model);
    lb_new_config_free(s.config);
    lb_tokenizer_free(s.tokenizer);
    lb_team_free(s.team);
    return st;
}

const lb_command lb_cmd_train = {
    .name = "train",
    .usage = "TEXT... --out DIR",
    .summary = "train a tokenizer and a small model of any family from scratch",
    .details = "The texts are joined in the order given. The same command gives the same bytes at any number of "
               "threads, on one kind of processor kernels. Sizes that a family has no key for are left out.",
    .example = "lowbit train world.txt --family mixtral -o num_local_experts=4 --out build/small",
    .overrides = "a key of the new model's config.json, e.g. -o sliding_window=64 -o hidden_act=gelu",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(train_flags)},
    .min_positional = 1,
    .max_positional = -1,
    .looks_itself = true,
    .run = run,
};

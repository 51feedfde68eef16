/* lowbit generate MODEL PROMPT */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "cli/planned.h"
#include "eval/generate.h"
#include "model/text.h"

typedef struct generate_flags {
    int64_t tokens, seed, threads;
    double temperature, top_p;
    const char *model;
    int bos, weights;
} generate_flags;

#define AT(field) offsetof(generate_flags, field)
static const lb_option flags[] = {
    LB_GENERATE_OPTIONS(generate_flags),
    {"bos", LB_OPT_CHOICE, "auto", 0, 0, lb_bos_choices,
     "a beginning-of-sequence token before the prompt: auto: where the tokenizer adds one itself; never; always",
     AT(bos)},
    {"model", LB_OPT_STR, "", 0, 0, NULL, LB_CLI_ORIGINAL_HELP, AT(model)},
    {"threads", LB_OPT_INT, "0", 0, 1024, NULL, "0: as many as the process may run on", AT(threads)},
    {"weights", LB_OPT_CHOICE, "resident", 0, 0, lb_weights_choices,
     "resident: all in memory as float32; stream: each block from the file, for every token: slow, for less memory",
     AT(weights)},
};

typedef struct generation {
    const generate_flags *f;
    lb_team *team;
    lb_opened from;
    lb_textfile piped; /* the prompt "-" */
    const char *text;  /* (len) the prompt's */
    size_t len;
    int32_t *prompt; /* (n_prompt) its tokens, with BOS where one is put */
    int64_t n_prompt;
    int32_t *token; /* (tokens) that came so far */
    int64_t n;
    size_t shown; /* bytes of their text */
    lb_status failed;
} generation;

/* "-": what standard input gives, without a line end behind it. */
static lb_status take_prompt(generation *g, const char *prompt, lb_arena *a) {
    g->text = prompt;
    g->len = strlen(prompt);
    if (strcmp(prompt, "-") == 0) {
        LB_TRY(lb_textfile_open("/dev/stdin", &g->piped));
        g->text = g->piped.s;
        g->len = g->piped.n;
        if (g->len && g->text[g->len - 1] == '\n') g->len -= 1 + (g->len > 1 && g->text[g->len - 2] == '\r');
    }
    LB_TRY(lb_prompt_tokens(g->from.model->tokenizer, (lb_bos)g->f->bos, g->text, g->len, a, &g->prompt, &g->n_prompt));
    if (!g->n_prompt) return lb_fail(LB_E_ARG, "PROMPT has no token: give a text, or --bos always");
    lb_status st = lb_generate_check(g->from.model->net, g->n_prompt);
    return st == LB_OK ? st : lb_fail_in(st, "PROMPT");
}

/* Bytes at the end of a text that may become another character: of one that is not whole yet, and what decoders write
 * for it, U+FFFD. */
static size_t unsettled(const char *s, size_t n) {
    size_t back = 0;
    while (n - back >= 3 && memcmp(s + n - back - 3, "\xef\xbf\xbd", 3) == 0) back += 3;
    for (size_t k = 1; back == 0 && k <= 3 && k <= n; k++) {
        unsigned char c = (unsigned char)s[n - k];
        if (c >= 0xc0 && k < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u)) return k;
        if (c < 0x80 || c >= 0xc0) break;
    }
    return back;
}

static lb_status show_text(generation *g, bool whole) {
    char *text = NULL;
    size_t n = 0;
    LB_TRY(lb_text_behind(g->from.model->tokenizer, g->prompt, g->n_prompt, g->token, g->n, &text, &n));
    if (!whole) n -= unsettled(text, n);
    text[n] = 0;
    if (n > g->shown) {
        lb_cli_print(text + g->shown);
        (void)fflush(stdout); /* a failure is seen when the program ends */
        g->shown = n;
    }
    lb_free(text);
    return LB_OK;
}

static void on_token(void *user, int32_t id) {
    generation *g = user;
    g->token[g->n++] = id;
    if (g->failed == LB_OK) g->failed = show_text(g, false);
}

static lb_status print_head(const generation *g) {
    const lb_model *m = g->from.model;
    lb_str out = {0};
    if (g->from.result) lb_str_add(&out, "result      %s: %s\n", g->from.result, g->from.cell.record.label);
    lb_str_add(&out, "model       %s, %s: %s\n", m->name, m->format, m->stored);
    lb_str_add(&out, "prompt      %lld tokens (%s; bos %s)\n\n", (long long)g->n_prompt,
               lb_tokenizer_kind(m->tokenizer),
               lb_bos_text((lb_bos)g->f->bos, lb_bos_put(m->tokenizer, (lb_bos)g->f->bos)));
    lb_str_add_bytes(&out, g->text, g->len);
    lb_status st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    if (st == LB_OK) (void)fflush(stdout);
    lb_str_free(&out);
    return st;
}

static const char *end_text(lb_generate_end e) {
    return e == LB_END_EOS       ? "ended by the model"
           : e == LB_END_CONTEXT ? "the context is full"
                                 : "as many as asked for";
}

static lb_status print_end(const generation *g, const lb_generation *out) {
    lb_str s = {0};
    char first[32];
    lb_format_duration(out->prefill_s, first);
    lb_str_add(&s, "\n\ntokens      %lld: %s\n", (long long)out->n, end_text(out->end));
    if (g->f->temperature > 0)
        lb_str_add(&s, "drawn       temperature %g, top-p %g, seed %lld\n", g->f->temperature, g->f->top_p,
                   (long long)g->f->seed);
    lb_str_add(&s, "time        first token after %s (%.1f tokens of the prompt a second), ", first,
               (double)g->n_prompt / out->prefill_s);
    if (out->n > 1) lb_str_add(&s, "then %.1f tokens a second, ", lb_tokens_a_second(out));
    lb_str_add(&s, "%d threads\n", lb_team_threads(g->team));
    lb_status st = lb_str_check(&s);
    if (st == LB_OK) lb_cli_print(s.s);
    lb_str_free(&s);
    return st;
}

static lb_status generate(generation *g, const char *model, const char *prompt, lb_arena *a, lb_log *log) {
    bool resident = g->f->weights == LB_WEIGHTS_RESIDENT;
    lb_resolved from;
    lb_generation out;
    LB_TRY(lb_cli_resolve(a, model, LB_SOURCE_MODEL, &from));
    LB_TRY(lb_cli_team(g->f->threads, &g->team));
    LB_TRY(lb_cli_open(a, &from, g->f->model, lb_cli_parts(g->f->weights), resident, g->team, log, &g->from));
    LB_TRY(lb_model_need_tokenizer(g->from.model));
    LB_TRY(take_prompt(g, prompt, a));
    lb_bos_warn(g->from.model->tokenizer, (lb_bos)g->f->bos, "PROMPT", log);
    if (!(g->token = LB_NEW(a, int32_t, g->f->tokens))) return LB_E_NOMEM;
    lb_cli_log_end(log);
    LB_TRY(print_head(g));
    lb_generate_request r = {.prompt = g->prompt,
                             .n_prompt = g->n_prompt,
                             .most = g->f->tokens,
                             .eos = lb_tokenizer_eos(g->from.model->tokenizer),
                             .sampling = {g->f->temperature, g->f->top_p, (uint64_t)g->f->seed},
                             .hold = resident,
                             .token = on_token,
                             .user = g};
    lb_status st = lb_generate(g->from.model->net, lb_cli_weights(&g->from), &r, g->team, a, &out);
    if (st == LB_OK) st = g->failed;
    if (st == LB_OK) st = show_text(g, true);
    if (st != LB_OK) lb_cli_print("\n");
    LB_TRY(st);
    return print_end(g, &out);
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)exit_code;
    generation g = {.f = values};
    lb_status st = generate(&g, args->positional[0], args->positional[1], a, log);
    lb_textfile_close(&g.piped);
    lb_model_close(g.from.model);
    lb_team_free(g.team);
    return st;
}

const lb_command lb_cmd_generate = {
    .name = "generate",
    .usage = "MODEL PROMPT",
    .summary = "a text that a model continues, and tokens a second",
    .details =
        "MODEL is a GGUF file, a Hugging Face folder, a named source, or a cell's result file that keeps its\n"
        "layers (keep_layers: true). PROMPT is the text itself; - reads it from standard input, without the line\n"
        "end behind it. Special tokens in it, as <|im_start|>, are tokens. The text appears as it comes, up to\n"
        "--tokens tokens, the model's end-of-text token or the end of its context; the same options give the same\n"
        "text at any number of threads. Products are in float32, also of a cell that was evaluated in bf16.\n",
    .example = "lowbit generate smollm2-135m 'The capital of France is' --tokens 32",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(generate_flags)},
    .min_positional = 2,
    .max_positional = 2,
    .run = run,
};

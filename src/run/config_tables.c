/* Every key of a config file: one table a section. Parsing, `lowbit help config` and docs/config.md come from these. */
#include <math.h>
#include <stddef.h>

#include "eval/generate.h"
#include "result/quality.h"
#include "run/config.h"

#define TABLE(rows, T)                                                                                                 \
    { rows, sizeof(rows) / sizeof((rows)[0]), sizeof(T) }

const char *const lb_bos_choices[] = {"auto", "never", "always", NULL};
const char *const lb_weights_choices[] = {"resident", "stream", NULL};
const char *const lb_compute_choices[] = {"float32", "bf16", NULL};
const char *const lb_rows_choices[] = {"auto", "file", "lines", "json", NULL};
const char *const lb_chat_choices[] = {"plain", "chatml", "alpaca", NULL};
static const char *const propagate_choices[] = {"quantized", "original", NULL};
static const char *const starved_choices[] = {"error", "rtn", "all_tokens", NULL};
static const char *const export_choices[] = {"none", "f32", "f16", "bf16", NULL};

static const char propagate_help[] =
    "inputs that a layer is solved on: quantized = from the blocks already quantized (as the papers do); original = "
    "from the original model, shared by all cells";
static const char sequential_help[] =
    "solve {k, v, q}, {o}, {up, gate}, {down} one after another, each on inputs made with the ones before quantized "
    "(needs propagate: quantized)";
static const char *const token_weight_choices[] = {"none", "norm", "clip", "attention", NULL};
static const char token_weight_help[] =
    "what a calibration token counts for in H that layers are solved on: none = as it is, by |x|^2; norm = all the "
    "same "
    "(x / |x|); clip = x longer than token_clip times the median of its sequence counts as if it were that long; "
    "attention = by the attention that it receives in its block. Errors are measured with H as it is";
static const char token_clip_help[] = "of token_weight: clip, in median lengths";
#define TOKEN_CLIP "3" /* the default */

static const char starved_help[] =
    "an expert that fewer than expert_tokens calibration tokens were routed to: error = the cell fails and names it; "
    "rtn = its methods are told nothing of its inputs (H = 1), which makes gptq round to nearest; all_tokens = it is "
    "solved on all tokens, as if the router had sent them there. Flag E marks such layers";
static const char embedding_help[] = "quantize the token embedding too (with a tied head: the one matrix of both)";
static const char head_help[] = "quantize the output head too (with a tied head: the one matrix of both)";
static const char router_help[] =
    "quantize what weighs experts too: routers, and the gate of a shared expert; else they stay as they are, as other "
    "programs leave them, unless a rule says skip: false";
static const char bos_help[] = "BOS at the head of the text: auto = where the tokenizer adds one itself; never; always";
static const char training_bos_help[] = "BOS at the head of the text, and of the validation text: auto = where the "
                                        "tokenizer adds one itself; never; always";

/* How the rows of a section's text are read. */
const char lb_rows_help[] = "how the text is read: file = one text; lines = each line is a row, without white space at "
                            "its ends; json = an object a line; auto = json for .jsonl, .jsonl.gz and .json.gz, "
                            "else file";
const char lb_field_help[] = "of JSON rows, the key whose value is the row's text, or its list of messages";
const char lb_join_help[] =
    "what rows are joined by into one text; auto = what the protocol says, else an empty line (\"\\n\\n\")";
const char lb_first_help[] = "only the first so many rows; 0 = all";
const char lb_chat_help[] =
    "the text of a row that is a conversation: plain = the contents of its messages with empty lines between; chatml = "
    "its messages with their roles, as ChatML marks them; alpaca = instruction, input and output as the prompt of "
    "Alpaca and its answer";

#define AT(T, field) offsetof(T, field)
static const lb_option top_rows[] = {
    {"name", LB_OPT_STR, "", 0, 0, NULL, "name of the experiment and of its results folder; default: the file's name",
     AT(lb_config_top, name)},
    {"model", LB_OPT_STR, NULL, 0, 0, NULL,
     "a GGUF file, a Hugging Face folder, or a name in configs/sources.yaml; or a list of them: an axis, one model "
     "after another",
     AT(lb_config_top, model)},
    {"results", LB_OPT_STR, "results", 0, 0, NULL, "folder in which the experiment's folder is made",
     AT(lb_config_top, results)},
    {"expected", LB_OPT_STR, "", 0, 0, NULL,
     "a list of values to compare with (docs/experiments.md); none = nothing is compared; default: expected.csv beside "
     "the file, if there is one",
     AT(lb_config_top, expected)},
    {"seed", LB_OPT_INT, "0", 0, INFINITY, NULL, "seed of whatever draws random numbers; axes.seed makes it an axis",
     AT(lb_config_top, seed)},
    {"threads", LB_OPT_INT, "0", 0, 1024, NULL,
     "threads; 0 = as many as the process may use; results do not depend on it", AT(lb_config_top, threads)},
    {"weights", LB_OPT_CHOICE, "resident", 0, 0, lb_weights_choices,
     "resident = all weights in memory as float32; stream = from the file (quantized ones from their packed form) when "
     "a block's turn comes, for models that do not fit; results do not depend on it",
     AT(lb_config_top, weights)},
    {"compute", LB_OPT_CHOICE, "float32", 0, 0, lb_compute_choices,
     "products of evaluations: float32, or bf16 = inputs and weights of linears and head rounded to bfloat16 (oneDNN), "
     "which is faster; results depend on it and say so; calibration, methods, training and the continuation of prompt "
     "stay float32; or a list of both: an axis, each with a baseline of its own",
     AT(lb_config_top, compute)},
    {"quantize_embedding", LB_OPT_BOOL, "false", 0, 0, NULL, embedding_help, AT(lb_config_top, quantize_embedding)},
    {"quantize_head", LB_OPT_BOOL, "false", 0, 0, NULL, head_help, AT(lb_config_top, quantize_head)},
    {"quantize_router", LB_OPT_BOOL, "false", 0, 0, NULL, router_help, AT(lb_config_top, quantize_router)},
    {"export", LB_OPT_CHOICE, "none", 0, 0, export_choices,
     "write each cell's dequantized model as a Hugging Face folder, in this type", AT(lb_config_top, export)},
    {"keep_layers", LB_OPT_BOOL, "false", 0, 0, NULL,
     "keep in each cell's result file the quantized model itself: every layer's packed bytes, and in float32 what a "
     "training or a stage changed besides; lowbit eval CELL.h5 TEXT evaluates it again",
     AT(lb_config_top, keep_layers)},
    {"keep_model", LB_OPT_BOOL, "false", 0, 0, NULL,
     "keep_layers, and in float32 every other tensor too, the baseline's as well: a result file is then the whole "
     "model, and its size on disk the column model_file_bytes",
     AT(lb_config_top, keep_model)},
    {"keep_cache", LB_OPT_BOOL, "true", 0, 0, NULL,
     "keep the statistics and the baseline's states in .cache when the sweep is done", AT(lb_config_top, keep_cache)},
    {"prompt", LB_OPT_STR, "", 0, 0, NULL,
     "a text that every cell, and the baseline, continues by its most probable tokens, in float32: in the result, and "
     "in "
     "the report one below the other; empty: none; or a map (below), for tokens that are drawn",
     AT(lb_config_top, prompt)},
    {"prompt_tokens", LB_OPT_INT, "64", 1, 1 << 20, NULL, "tokens of that continuation at most",
     AT(lb_config_top, prompt_tokens)},
};
const lb_options lb_config_top_table = TABLE(top_rows, lb_config_top);

static const lb_option prompt_rows[] = {
    {"text", LB_OPT_STR, NULL, 0, 0, NULL, "what is continued", AT(lb_prompt_config, text)},
    LB_GENERATE_OPTIONS(lb_prompt_config),
};
const lb_options lb_config_prompt_table = TABLE(prompt_rows, lb_prompt_config);

static const lb_option calibration_rows[] = {
    {"text", LB_OPT_STR, NULL, 0, 0, NULL,
     "a UTF-8 text file, or a name in configs/sources.yaml; or several mixed, \"a + b\", which give sequences in turn",
     AT(lb_calibration_config, text)},
    {"recipe", LB_OPT_CHOICE, "sequential", 0, 0, lb_recipe_names,
     "which tokens: sequential = the first samples x length; random = windows at random starts; as the codes of papers "
     "draw: joined = windows of the joined text (GPTQ's on WikiText-2); documents, documents_longer = windows of rows "
     "that "
     "are long enough (GPTQ's and Wanda's on C4); blocks = rows shuffled, put together and cut (AWQ's); first_tokens = "
     "rows shuffled, the head of each that is long enough; truncated = rows shuffled, the head of each, shorter ones "
     "whole "
     "(SmoothQuant's)",
     AT(lb_calibration_config, recipe)},
    {"samples", LB_OPT_INT, "128", 1, INFINITY, NULL, "sequences", AT(lb_calibration_config, samples)},
    {"length", LB_OPT_INT, "2048", 2, INFINITY, NULL, "tokens a sequence; of recipe truncated the most",
     AT(lb_calibration_config, length)},
    {"seed", LB_OPT_INT, "-1", -1, INFINITY, NULL, "seed of recipes that draw; -1 = the cell's seed",
     AT(lb_calibration_config, seed)},
    {"bos", LB_OPT_CHOICE, "auto", 0, 0, lb_bos_choices, bos_help, AT(lb_calibration_config, bos)},
    {"propagate", LB_OPT_CHOICE, "quantized", 0, 0, propagate_choices, propagate_help,
     AT(lb_calibration_config, propagate)},
    {"true_sequential", LB_OPT_BOOL, "false", 0, 0, NULL, sequential_help, AT(lb_calibration_config, true_sequential)},
    {"original_errors", LB_OPT_BOOL, "true", 0, 0, NULL,
     "also measure output errors with H of the original model's inputs, so that cells compare: costs one more pass of "
     "the calibration text, shared by all cells",
     AT(lb_calibration_config, original_errors)},
    {"starved_experts", LB_OPT_CHOICE, "error", 0, 0, starved_choices, starved_help,
     AT(lb_calibration_config, starved_experts)},
    {"expert_tokens", LB_OPT_INT, "1", 1, INFINITY, NULL,
     "an expert that fewer calibration tokens were routed to is starved", AT(lb_calibration_config, expert_tokens)},
    LB_ROWS_OPTIONS(AT(lb_calibration_config, rows)),
    {"token_weight", LB_OPT_CHOICE, "none", 0, 0, token_weight_choices, token_weight_help,
     AT(lb_calibration_config, token_weight)},
    {"token_clip", LB_OPT_FLOAT, TOKEN_CLIP, 1e-3, 1e6, NULL, token_clip_help, AT(lb_calibration_config, token_clip)},
    {"equal_errors", LB_OPT_BOOL, "false", 0, 0, NULL,
     "also measure output errors with every token counting the same (H of x / |x|), beside those under H as it is: "
     "costs "
     "a second H of every input",
     AT(lb_calibration_config, equal_errors)},
};
const lb_options lb_config_calibration_table = TABLE(calibration_rows, lb_calibration_config);

static const lb_option eval_rows[] = {
    {"text", LB_OPT_STR, NULL, 0, 0, NULL, "a UTF-8 text file, or a name in configs/sources.yaml",
     AT(lb_eval_config, text)},
    {"name", LB_OPT_STR, "", 0, 0, NULL, "name in tables; default: text", AT(lb_eval_config, name)},
    {"protocol", LB_OPT_STR, "W2-2048", 0, 0, NULL,
     "W2-n, LCPP-n, SQ-n, HF-n/s, PTB-old, PTB-new, C4-old, C4-new, LAMB, MC-task: lowbit help protocol",
     AT(lb_eval_config, protocol)},
    {"windows", LB_OPT_INT, "0", 0, INFINITY, NULL, "score only the first so many windows, of a task items; 0 = all",
     AT(lb_eval_config, windows)},
    {"bos", LB_OPT_CHOICE, "auto", 0, 0, lb_bos_choices, bos_help, AT(lb_eval_config, bos)},
    {"kl", LB_OPT_BOOL, "true", 0, 0, NULL,
     "also the KL divergence and top-1 agreement to the baseline; tasks have none", AT(lb_eval_config, kl)},
    {"speculative", LB_OPT_INT, "0", 0, LB_SPECULATIVE_MOST, NULL,
     "also how often the baseline would accept what each cell drafts in speculative decoding, and what that makes of "
     "so "
     "many drafts a round; 0 = not; needs kl, costs the logits once more",
     AT(lb_eval_config, speculative)},
    LB_ROWS_OPTIONS(AT(lb_eval_config, rows)),
    {"variant", LB_OPT_CHOICE, "openai", 0, 0, lb_lambada_names,
     "of LAMB, how its text is read: openai = as it is; normalized = as the GPTQ authors' program changes it; standard "
     "= "
     "the first release, as it is; detokenized = that one with its quotation marks as usual",
     AT(lb_eval_config, variant)},
};
const lb_options lb_config_eval_table = TABLE(eval_rows, lb_eval_config);

static const lb_option training_rows[] = {
    {"text", LB_OPT_STR, NULL, 0, 0, NULL, "a UTF-8 text file, or a name in configs/sources.yaml",
     AT(lb_training_config, text)},
    {"bos", LB_OPT_CHOICE, "auto", 0, 0, lb_bos_choices, training_bos_help, AT(lb_training_config, bos)},
    {"validation", LB_OPT_STR, "", 0, 0, NULL,
     "a text that is not trained on, named as `text` is: its mean NLL is measured on the way, and kept as a curve; the "
     "training stays what it is without; empty: none",
     AT(lb_training_config, validation)},
    {"every", LB_OPT_INT, "50", 1, INFINITY, NULL,
     "steps from one validation to the next: the first is before the first step, one more after the last",
     AT(lb_training_config, every)},
    {"validation_windows", LB_OPT_INT, "32", 0, INFINITY, NULL,
     "the first so many windows of the validation text, as long as the training's sequences; 0 = all",
     AT(lb_training_config, validation_windows)},
    LB_ROWS_OPTIONS(AT(lb_training_config, rows)),
};
const lb_options lb_config_training_table = TABLE(training_rows, lb_training_config);

static const lb_option cell_rows[] = {
    {"propagate", LB_OPT_CHOICE, "quantized", 0, 0, propagate_choices, propagate_help, AT(lb_cell_options, propagate)},
    {"true_sequential", LB_OPT_BOOL, "false", 0, 0, NULL, sequential_help, AT(lb_cell_options, true_sequential)},
    {"quantize_embedding", LB_OPT_BOOL, "false", 0, 0, NULL, embedding_help, AT(lb_cell_options, quantize_embedding)},
    {"quantize_head", LB_OPT_BOOL, "false", 0, 0, NULL, head_help, AT(lb_cell_options, quantize_head)},
    {"quantize_router", LB_OPT_BOOL, "false", 0, 0, NULL, router_help, AT(lb_cell_options, quantize_router)},
    {"seed", LB_OPT_INT, "0", 0, INFINITY, NULL, "seed of this entry's cells", AT(lb_cell_options, seed)},
    {"token_weight", LB_OPT_CHOICE, "none", 0, 0, token_weight_choices, token_weight_help,
     AT(lb_cell_options, token_weight)},
    {"token_clip", LB_OPT_FLOAT, TOKEN_CLIP, 1e-3, 1e6, NULL, token_clip_help, AT(lb_cell_options, token_clip)},
};
const lb_options lb_config_cell_table = TABLE(cell_rows, lb_cell_options);
const double lb_token_clip_default = 3;

const char *const lb_config_sections[] = {"calibration", "eval",      "training", "axes",  "quantize", "rules",
                                          "include",     "embedding", "head",     "plots", NULL};

/* One text, two looks: plain for the terminal, a Markdown table for the docs. */
static const lb_config_section sections[] = {
    {"top level", "One YAML map. A key given twice is an error, and so is one that is not listed here.",
     &lb_config_top_table},
    {"calibration",
     "A map. The text that methods with statistics are solved on, and that output errors are measured with; never an "
     "evaluation text. A list of values makes a key an axis.",
     &lb_config_calibration_table},
    {"eval", "A map, or a list of maps: the evaluations of every cell.", &lb_config_eval_table},
    {"prompt",
     "A text, or a map of these, of which text alone is needed: how every cell continues it, as lowbit generate does. "
     "All cells draw by the same random numbers.",
     &lb_config_prompt_table},
    {"training",
     "A map. The text that qat and finetune train on; default: the calibration text. With `validation` the loss of "
     "another text, at the weights as they are quantized then, is measured before, on the way and after: "
     "/training/validation_loss of the result, and a figure of the report. A list of values makes a key an "
     "axis.",
     &lb_config_training_table},
    {"axes",
     "A map from an option's name to a list of values, such as bits: [2, 3, 4]. Their product gives the cells of every "
     "entry whose method has the option; an entry that sets the option itself keeps its own value. model and compute "
     "are axes too, each value with a baseline of its own, and so is every key of calibration and training, as "
     "calibration.samples: [16, 128], and every option of embedding and head, as embedding.bits: [4, 8]. method: "
     "[rtn, gptq] makes an entry for each name of every entry without a method, or of nothing; rules: [[{match: "
     "\"*.down\", bits: 8}], []] one for each list of rules of every entry without rules. What a method takes no "
     "notice "
     "of does not multiply it: seed applies where something is drawn at random, keys of a text where it is read. What "
     "no result depends on (threads, names, places), and what is a list already (eval, quantize), is no axis. An axis "
     "that reaches no cell, because every entry sets the option or nothing depends on it, is an error. Equal values "
     "count once, cells that come out equal run once, and more than 100,000 combinations in all are refused.",
     NULL},
    {"quantize[]",
     "A list of maps, each with `method` and the method's options (lowbit methods NAME), these below, `rules`, and "
     "`label`: what its cells are called in tables, with what varies between them behind it. "
     "Instead of a method, `stages`: a list of maps, each with a method and its options, that work on each layer one "
     "after another: the second on what the first made of it, and so on. Options beside `stages`, axes and rules reach "
     "every stage that has them; what two stages call the same is told apart as gptq.percdamp. Stages that prepare a "
     "model come first and go through all of it. Stages that cannot go on from the one before are refused with the "
     "reason. A list of values makes an option, or the method, an axis of this entry. `calibration` and `training`, "
     "maps, say what of "
     "the texts is another for its cells. What an entry leaves out is as in calibration and at the top level. The "
     "unquantized baseline always runs, and first.",
     &lb_config_cell_table},
    {"embedding, head",
     "A map each, at the top level or in an entry, which has the last word: method and its options, of one that makes "
     "a single layer. The token embedding or the output head is then quantized so, whatever the cell's method is: "
     "embedding: {method: rtn, bits: 8}. Of rules only skip reaches it. With a tied head they are one matrix, and "
     "either key means it. An embedding has no inputs to be solved on: with quantize_embedding: true and a method that "
     "needs such, it is rounded to nearest with the bits, group and whatever else of the cell rounding has. A list of "
     "values makes an option an axis of the cells that this map is for, axes.embedding.bits one of all whose map does "
     "not set bits.",
     NULL},
    {"rules[]",
     "A list of maps, at the top level or in an entry: match (a pattern on layer names such as \"*.down\", \"0.*\", "
     "\"head\"), then options for those layers, or skip: true, or same_as: \"0.down\", a layer of their shape before "
     "them: the layers become one, which is stored once. Of several that match, the later ones win. A list of such "
     "lists is an axis.",
     NULL},
    {"plots",
     "A map: how the report's plots look; results do not depend on it. size: page, column, two-columns, slide or "
     "[width, height] in inches; font, font_size (points); title: false; titles: a map from figures to texts; palette: "
     "a map from methods to colours; methods and figures: lists of what is drawn; limits: a map from axes (bits, ppl, "
     "delta, kl, acc, mib) to [low, high]; formats: cairolatex and tikz beside svg, png and pdf (docs/report.md).",
     NULL},
    {"include",
     "A path, or a list of paths, relative to this file: configs read before it. Maps are merged, anything else is "
     "replaced.",
     NULL},
};

/* Words of `text` in lines of at most `width` columns, each line after the first indented. */
static void wrapped(lb_str *out, const char *text, int indent, size_t width) {
    size_t column = 0;
    while (*text) {
        size_t n = 0;
        while (text[n] && text[n] != ' ') n++;
        if (column > 0 && column + 1 + n > width) {
            lb_str_add(out, "\n%*s", indent, "");
            column = 0;
        }
        lb_str_add(out, "%s%.*s", column ? " " : "", (int)n, text);
        column += n + (column ? 1 : 0);
        text += n;
        while (*text == ' ') text++;
    }
    lb_str_add(out, "\n");
}

enum { NAME_WIDTH = 20, PAGE_WIDTH = 100 };

static void help_row(const lb_option *o, bool markdown, lb_str *out) {
    lb_str type = {0};
    lb_options_describe(o, &type);
    if (markdown)
        lb_str_add(out, "| `%s` | %s | %s |\n", o->name, type.s ? type.s : "", o->help);
    else {
        lb_str_add(out, "  %-*s ", NAME_WIDTH, o->name);
        wrapped(out, type.s ? type.s : "", NAME_WIDTH + 3, PAGE_WIDTH - NAME_WIDTH - 3);
        lb_str_add(out, "  %*s ", NAME_WIDTH, "");
        wrapped(out, o->help, NAME_WIDTH + 3, PAGE_WIDTH - NAME_WIDTH - 3);
    }
    if (type.failed) out->failed = true;
    lb_str_free(&type);
}

static void help_section(const lb_config_section *s, bool markdown, lb_str *out) {
    if (markdown) {
        lb_str_add(out, "\n## %s\n%s\n", s->title, s->about);
    } else {
        lb_str_add(out, "\n%s\n  ", s->title);
        wrapped(out, s->about, 2, PAGE_WIDTH - 2);
    }
    if (!s->table) return;
    if (markdown) lb_str_add(out, "\n| key | type and default | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < s->table->n; i++) help_row(&s->table->table[i], markdown, out);
}

const lb_config_section *lb_config_section_at(size_t i) {
    return i < sizeof sections / sizeof sections[0] ? &sections[i] : NULL;
}

void lb_config_section_help(const lb_config_section *s, lb_str *out) { help_section(s, false, out); }

static const char intro[] =
    "A run is described by one YAML file. Paths of what is read are relative to the file's folder first, then to the "
    "current folder; `results` is relative to the file's folder (given with -o, to the current folder; of a config "
    "that "
    "came with the program, likewise). "
    "Any key can be set on the command line: -o eval.windows=20 -o 'axes.bits=[2, 3]' -o 'quantize[0].group=64'.";

void lb_config_help(lb_str *out) {
    wrapped(out, intro, 0, PAGE_WIDTH);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) help_section(&sections[i], false, out);
    lb_str_add(out, "\nThe options of methods: lowbit methods NAME\n");
}

void lb_config_markdown(lb_str *out) {
    lb_str_add(out, "\n# Every key\n%s\n", intro);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) help_section(&sections[i], true, out);
}

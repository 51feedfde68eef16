/* The configuration of a run: one YAML file (with `include`), overrides from the command line, checked against the
 * tables of typed options that also print `lowbit help config` and docs/config.md. Every error names file and line, and
 * the nearest known name. Nothing here opens a model. */
#ifndef LB_RUN_CONFIG_H
#define LB_RUN_CONFIG_H

#include <math.h>
#include <stddef.h>

#include "io/yaml.h"
#include "math/bf16.h"
#include "quant/method.h"

typedef enum lb_propagate { LB_PROPAGATE_QUANTIZED, LB_PROPAGATE_ORIGINAL } lb_propagate;
/* What a calibration token counts for in the H that layers are solved on. */
typedef enum lb_token_weight {
    LB_TOKENS_AS_THEY_ARE,
    LB_TOKENS_NORM,
    LB_TOKENS_CLIP,
    LB_TOKENS_ATTENTION
} lb_token_weight;
typedef enum lb_weights_mode { LB_WEIGHTS_RESIDENT, LB_WEIGHTS_STREAM } lb_weights_mode;
typedef enum lb_export { LB_EXPORT_NONE, LB_EXPORT_F32, LB_EXPORT_F16, LB_EXPORT_BF16 } lb_export;

/* What a layer of an expert is solved on that too few calibration tokens reached. */
typedef enum lb_starved_policy { LB_STARVED_ERROR, LB_STARVED_RTN, LB_STARVED_ALL_TOKENS } lb_starved_policy;

#define LB_SEED_OF_CELL (-1) /* calibration.seed: follow the cell's seed */

/* How the rows of a section's texts are read. */
typedef struct lb_rows_config {
    int form;          /* lb_row_form */
    const char *field; /* of JSON */
    const char *join;  /* "auto": as the protocol has it, or an empty line */
    int64_t first;     /* 0: all */
    int chat;          /* lb_chat_form */
} lb_rows_config;

typedef struct lb_calibration_config {
    const char *text; /* NULL: none */
    int recipe;       /* lb_recipe */
    int64_t samples, length, seed;
    int bos; /* lb_bos */
    int propagate;
    bool true_sequential, original_errors;
    int starved_experts; /* lb_starved_policy */
    int64_t expert_tokens;
    lb_rows_config rows;
    const lb_yaml *node;
    int token_weight; /* lb_token_weight */
    double token_clip;
    bool equal_errors;
} lb_calibration_config;

typedef struct lb_eval_config {
    const char *name, *text, *protocol;
    int64_t windows; /* 0: all */
    int bos;
    bool kl;
    int64_t speculative; /* tokens a round; 0: none */
    lb_rows_config rows;
    int variant; /* lb_lambada, of LAMB */
    const lb_yaml *node;
} lb_eval_config;

typedef struct lb_training_config {
    const char *text;       /* NULL: the calibration text */
    int bos;                /* of both texts */
    const char *validation; /* "": none */
    int64_t every, validation_windows;
    lb_rows_config rows; /* of `text` */
    const lb_yaml *node;
} lb_training_config;

/* What a cell has besides its method's options; each may be set for a whole config, for an entry, or be an axis. */
typedef struct lb_cell_options {
    int propagate;
    bool true_sequential, quantize_embedding, quantize_head, quantize_router;
    int64_t seed;
    int token_weight; /* lb_token_weight */
    double token_clip;
} lb_cell_options;

/* Options for the layers whose name matches; later rules win. */
typedef struct lb_rule {
    const char *match;
    bool skip, has_skip;
    const char *same_as; /* the layer that those that match are one with; NULL: nothing is said of that */
    const lb_yaml *node;
    const lb_yaml **set; /* (n) scalars, each with its key */
    size_t n;
} lb_rule;

/* What embedding or head is quantized by, where that is not the cell's method. */
typedef struct lb_end {
    const lb_method *method; /* NULL: nothing of its own is given */
    void *opts;              /* a cell's own where axes set some of them, else shared */
    const lb_yaml *node;     /* NULL: it follows from the cell's */
} lb_end;

/* A list of values for one option. */
typedef struct lb_axis {
    const char *name;
    const lb_yaml *node;
    const lb_yaml **value; /* (n) scalars */
    size_t n;
    bool of_map; /* a list in the config's own `embedding` or `head`: of the ends that this map says how to make */
} lb_axis;

typedef struct lb_entry {
    const lb_method *method; /* NULL: none, the baseline */
    const char *label;       /* of its cells; NULL: they are called by what they are */
    const lb_yaml *node, *label_node;
    lb_axis *option; /* in file order; one value: fixed; more: an axis of this entry */
    size_t n_options;
    lb_rule *rule;
    size_t n_rules;
    lb_end embedding, head;
    size_t index, place; /* among all; in the file's list, where axes of methods and rules make several of one */
    bool by_rules;       /* one of several that differ in rules */
} lb_entry;

/* What every cell continues, as lb_generate does. */
typedef struct lb_prompt_config {
    const char *text; /* "": none */
    int64_t tokens, seed;
    double temperature, top_p;
} lb_prompt_config;

typedef struct lb_config {
    const char *path, *dir; /* the file and its folder; "" for a config made in memory */
    bool from_program;      /* it came with the program: its folder is no place for results */
    const char *name, *results;
    const char *expected; /* "": what lies beside the file; "none" */
    const char **model;   /* (models) an axis of the sweep; equal ones once */
    const lb_yaml **model_node;
    size_t models;
    int64_t threads;
    int weights;  /* lb_weights_mode */
    int *compute; /* (computes) of lb_compute, an axis likewise; equal ones once */
    size_t computes;
    const lb_yaml *compute_node;              /* the root where it is not given */
    int export;                               /* lb_export */
    bool keep_layers, keep_model, keep_cache; /* keep_model: keep_layers too */
    lb_prompt_config prompt;
    lb_cell_options cell; /* what an entry and the axes start from */
    lb_end embedding, head;
    lb_calibration_config calibration; /* these two: of cells that nothing says otherwise of */
    lb_training_config training;
    lb_eval_config *eval;
    size_t evals;
    lb_axis *axis;
    size_t axes;
    lb_rule *rule;
    size_t rules;
    lb_entry *entry;
    size_t entries;
    const lb_yaml *root;
} lb_config;

/* Where a cell keeps an option that an axis or an entry may set. */
typedef enum lb_option_owner {
    LB_OF_METHOD,
    LB_OF_CELL,
    LB_OF_CALIBRATION,
    LB_OF_TRAINING,
    LB_OF_EMBEDDING,
    LB_OF_HEAD
} lb_option_owner;
typedef struct lb_axis_target {
    lb_option_owner owner;
    const lb_options *table;
    const char *name; /* as the table has it: "samples" of calibration.samples */
} lb_axis_target;
/* "propagate" for "calibration.propagate": what calibration has of every cell is an option of cells. */
const char *lb_axis_proper(const char *name);
/* The method's own options first, then what every cell has. false: a cell of this method has no such option. */
bool lb_axis_find(const lb_method *m, const char *name, lb_axis_target *out);
/* The same of an entry's cells: also "embedding.bits", of the method that embedding or head has of its own. */
bool lb_axis_find_in(const lb_config *c, const lb_entry *e, const char *name, lb_axis_target *out);
bool lb_axis_is_of_end(const char *name); /* "head.bits" */

/* Reads, includes, applies the overrides ("key=value", value as YAML) in order, and checks. */
LB_NODISCARD lb_status lb_config_read(lb_arena *a, const char *path, const char *const *override, int64_t n_override,
                                      lb_config *out);
/* The same from a tree made in memory. */
LB_NODISCARD lb_status lb_config_from_tree(lb_arena *a, const char *path, lb_yaml *root, lb_config *out);
/* The file with its includes and overrides, unchecked. */
LB_NODISCARD lb_status lb_config_load(lb_arena *a, const char *path, const char *const *override, int64_t n_override,
                                      lb_yaml **root);

/* One of the overrides. */
LB_NODISCARD lb_status lb_config_override(lb_arena *a, lb_yaml *root, const char *text);

/* Every key: type, default, bounds, meaning. */
void lb_config_help(lb_str *out);
/* The same as a Markdown page. */
void lb_config_markdown(lb_str *out);
/* Its sections. */
typedef struct lb_config_section {
    const char *title, *about; /* "top level", "calibration", "quantize[]" */
    const lb_options *table;   /* NULL: what it holds is told in `about` */
} lb_config_section;
const lb_config_section *lb_config_section_at(size_t i); /* NULL past the last */
void lb_config_section_help(const lb_config_section *s, lb_str *out);

/* "configs/w4.yaml:12", or "-o axes.bits=[9]" for an override. */
typedef struct lb_where {
    char text[512];
} lb_where;
lb_where lb_config_where(const lb_yaml *node);

/* The tables (config_tables.c). */
typedef struct lb_config_top {
    const char *name, *model, *results, *expected;
    int64_t seed, threads;
    int weights, compute, export;
    bool keep_layers, keep_model, keep_cache, quantize_embedding, quantize_head, quantize_router;
    const char *prompt;
    int64_t prompt_tokens;
} lb_config_top;
extern const lb_options lb_config_top_table, lb_config_calibration_table, lb_config_eval_table,
    lb_config_training_table, lb_config_cell_table, lb_config_prompt_table;
/* Keys or flags that say how rows are read; at: the offset of the lb_rows_config. */
extern const char *const lb_rows_choices[], *const lb_chat_choices[];
extern const char lb_rows_help[], lb_field_help[], lb_join_help[], lb_first_help[], lb_chat_help[];
#define LB_ROWS_OPTIONS_OF(of, at)                                                                                     \
    {of "rows", LB_OPT_CHOICE, "auto", 0, 0, lb_rows_choices, lb_rows_help, (at) + offsetof(lb_rows_config, form)},    \
        {of "field", LB_OPT_STR, "text", 0, 0, NULL, lb_field_help, (at) + offsetof(lb_rows_config, field)},           \
        {of "join", LB_OPT_STR, "auto", 0, 0, NULL, lb_join_help, (at) + offsetof(lb_rows_config, join)},              \
        {of "first", LB_OPT_INT, "0", 0, INFINITY, NULL, lb_first_help, (at) + offsetof(lb_rows_config, first)}, {     \
        of "chat", LB_OPT_CHOICE, "plain", 0, 0, lb_chat_choices, lb_chat_help, (at) + offsetof(lb_rows_config, chat)  \
    }
#define LB_ROWS_OPTIONS(at) LB_ROWS_OPTIONS_OF("", at)
/* Names in the order of their enum: of lb_bos and lb_weights_mode; NULL-terminated. */
extern const char *const lb_bos_choices[], *const lb_weights_choices[];
extern const char *const lb_compute_choices[]; /* by lb_compute */
extern const double lb_token_clip_default;
extern const char *const lb_config_sections[]; /* keys of the file that are not scalars; NULL-terminated */

#endif

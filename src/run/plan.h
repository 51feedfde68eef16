/* A config made concrete: model and texts found, opened and checked, every cell's layers, sizes and key known. Nothing
 * has run yet: `lowbit check` prints this, `lowbit run` goes on from it. */
#ifndef LB_RUN_PLAN_H
#define LB_RUN_PLAN_H

#include "eval/calibrate.h"
#include "eval/tasks.h"
#include "model/model.h"
#include "model/recipes.h"
#include "run/sources.h"
#include "run/sweep.h"

/* A text of the config. */
typedef struct lb_text {
    const char *name, *path;
    const char *missing; /* a named source that was not fetched: what to do; else NULL */
    lb_corpus *corpus;   /* NULL if missing, and while the plan is closed */
    const char *hash;    /* of the corpus; it outlives it */
    const char *how;     /* the same: how its rows are read, in words; "": as one */
    lb_bos bos;
    const lb_rows_config *rows; /* how its rows are read, as far as the config says it */
    const char *join;           /* between them; NULL: each is for itself */
    const char *bos_text;       /* as lb_bos_text has it */
    struct lb_text *part;       /* of a mixture (run/mixtures.h) */
    size_t parts;               /* 0: it is one text */
    lb_task_extent task;        /* of an evaluation that is one */
} lb_text;

/* Those that cells are calibrated with, trained on, or validated on: each once, in the order of the sweep. */
typedef struct lb_texts {
    lb_text *at;
    size_t n;
} lb_texts;

/* Messages pass through; warnings are also kept, for the results. */
typedef struct lb_keeper {
    lb_log log; /* hand out &keeper.log */
    lb_log *to;
    lb_arena *arena;
    char **warning;
    size_t *about; /* (n) the number of the text that it is about, as lb_plan_about has it; 0: of all cells */
    size_t topic;  /* what those that come now are about */
    int64_t n;
    bool failed; /* memory ran out while keeping one */
} lb_keeper;
void lb_keeper_init(lb_keeper *k, lb_arena *a, lb_log *to);

typedef struct lb_plan_request {
    lb_model_parts parts;    /* LB_HEADER is enough to check */
    const char *plugin_hash; /* of the shared objects that methods came from; "" */
    size_t model, compute;   /* which of the config's */
} lb_plan_request;

typedef struct lb_plan {
    lb_arena *arena;
    const lb_config *config;
    lb_team *team;
    lb_keeper keeper; /* warnings about inputs: part of every cell's record */
    lb_sources sources;
    const char *model_text;  /* as the config names it */
    const char *model_label; /* for titles: that name, or the end of the path there */
    size_t model_index;
    lb_model *model; /* NULL while the plan is closed */
    const char *model_hash, *model_note;
    int compute; /* lb_compute: products of its evaluations */
    lb_texts calibration, training, validation;
    int32_t *prompt; /* (n_prompt) tokens of the config's, NULL: it has none */
    int64_t n_prompt;
    lb_text *eval; /* those whose text is there; config of each in eval_config */
    const lb_eval_config **eval_config;
    int64_t evals;
    lb_sweep sweep;
    const char *dir, *cache; /* results/NAME and results/NAME/.cache */
    const char *code;        /* what tells builds apart */
    const char *plugin_hash;
    lb_corpus **opened; /* every corpus once */
    size_t n_opened;
} lb_plan;

/* LB_E_CONFIG with file and line: a text too short, a sequence longer than the context, a rule that fits no layer.
 * LB_E_FORMAT: a fetched file with another hash than its source's. Close it also after a failure. */
LB_NODISCARD lb_status lb_plan_open(lb_arena *a, const lb_config *c, const lb_plan_request *r, lb_team *team,
                                    lb_log *log, lb_plan *out);
/* Model and texts are closed; cells, keys and names stay. */
void lb_plan_close(lb_plan *p);
/* The model and the texts of a plan that was closed, again. LB_E_FORMAT: they are no longer what they were. */
LB_NODISCARD lb_status lb_plan_reopen(lb_plan *p, lb_model_parts parts);

/* A plan for each model of the config and each of its values of `compute`, model by model (plan_models.c). */
typedef struct lb_plans {
    lb_plan *at;
    size_t n;
} lb_plans;
/* Called with each plan while its model is open. */
typedef lb_status lb_plan_look(void *user, lb_plan *p);
/* A single plan stays open, with the parts asked for. Of several each is opened with its header alone, looked at, and
 * closed before the next: models are open one at a time, and lb_sweep_run opens each when its turn comes. look: NULL,
 * or what is to be made of each. Close them also after a failure. */
LB_NODISCARD lb_status lb_plans_open(lb_arena *a, const lb_config *c, const lb_plan_request *r, lb_team *team,
                                     lb_log *log, lb_plan_look *look, void *user, lb_plans *out);
void lb_plans_close(lb_plans *p);
/* Labels of the config's models, different from each other. */
LB_NODISCARD lb_status lb_plan_model_labels(lb_arena *a, const lb_config *c, const char ***label);

/* Can this build compute so, on this processor? To be asked before anything is read: a sweep must not find out at its
 * first evaluation. Warns where it can but slowly. LB_E_UNSUPPORTED, with `where` in front. */
LB_NODISCARD lb_status lb_compute_check(int compute, const char *where, lb_log *log);

/* The text that a cell is calibrated with, that it is trained on, and that is looked at meanwhile. corpus NULL: it has
 * none, or that is not there.
 */
const lb_text *lb_plan_calibration(const lb_plan *p, const lb_cell *c);
const lb_text *lb_plan_training(const lb_plan *p, const lb_cell *c);
const lb_text *lb_plan_validation(const lb_plan *p, const lb_cell *c);
/* Windows of so many tokens of it that are looked at; 0: none. */
int64_t lb_plan_validation_windows(const lb_plan *p, const lb_cell *c, int64_t length);
/* Tokens of a sequence that the cell trains on; 0: its method has no such option. */
int64_t lb_plan_sequence(const lb_cell *c);
/* Says that it is the text that is trained on; *out NULL: it is another. */
LB_NODISCARD lb_status lb_plan_validation_note(const lb_plan *p, const lb_cell *c, lb_arena *a, const char **out);
/* Is a warning about this text, or about all there is, one about the cell? */
bool lb_plan_about(const lb_plan *p, const lb_cell *c, size_t topic);
/* Texts found, opened and checked; cells without theirs are refused (plan_texts.c). */
LB_NODISCARD lb_status lb_plan_texts(lb_plan *p);
LB_NODISCARD lb_status lb_plan_refuse(lb_plan *p);
/* LB_E_CONFIG: the model cannot continue the config's prompt (prompt.c). */
LB_NODISCARD lb_status lb_plan_prompt(lb_plan *p);
/* Of texts that calibration drew from: memory that nothing needs any more. */
void lb_plan_close_rows(lb_plan *p);
/* Where a key of a section stands, or the section. */
lb_where lb_plan_where(const lb_yaml *section, const char *key);

/* Those of a block: [*first, *first + returned) of cell->layer. */
int64_t lb_plan_block(const lb_plan *p, const lb_cell *c, int64_t block, int64_t *first);

/* Layers, sizes and refusals of every cell; then config texts, keys and stems (plan_cells.c, plan_keys.c). */
LB_NODISCARD lb_status lb_plan_layers(lb_plan *p);
/* LB_E_CONFIG: an axis has no effect, as far as the model alone tells: it has no experts; rules say the same of every
 * layer, or leave out the end that it is of. */
LB_NODISCARD lb_status lb_plan_check_axes_of_experts(const lb_plan *p);
LB_NODISCARD lb_status lb_plan_check_axes_of_layers(const lb_plan *p);
LB_NODISCARD lb_status lb_plan_keys(lb_plan *p);
/* The calibration sequences of a cell, of the arena or the plan. */
LB_NODISCARD lb_status lb_plan_calibration_tokens(const lb_plan *p, const lb_cell *c, lb_arena *a, lb_sequences *out);
/* Of an input whose layers need these: with the H that token_weight says; and all that is collected. */
uint32_t lb_plan_solved_on(const lb_cell *c, uint32_t needs);
uint32_t lb_plan_collected(const lb_cell *c, uint32_t needs);
/* Statistics as a method is to have them: H is the one that token_weight says, where it is among them. */
lb_stats lb_plan_weighed(const lb_cell *c, const lb_stats *s);
/* LB_NEEDS_... of the original model's statistics: those that a layer of the cell is solved on, and H where its errors
 * are to be measured with that; 0: none. Of the whole cell. And of all cells that share a file of them with it. */
uint32_t lb_plan_layer_needs(const lb_plan *p, const lb_cell *c, const lb_layer_plan *l);
uint32_t lb_plan_original_needs(const lb_plan *p, const lb_cell *c);
uint32_t lb_plan_shared_needs(const lb_plan *p, const lb_cell *c);
uint32_t lb_plan_first_needs(const lb_cell *c);
uint64_t lb_plan_calibration_seed(const lb_cell *c);
/* SHA-256 over the model, the calibration windows, which statistics (lb_plan_shared_needs), the program and its
 * kernels: the key of the statistics. */
LB_NODISCARD lb_status lb_plan_statistics_key(const lb_plan *p, const lb_cell *c, char key[65]);
/* The same for the baseline's states of evaluation i. */
LB_NODISCARD lb_status lb_plan_states_key(const lb_plan *p, int64_t i, char key[65]);

/* What is wanted of an input, as the cell's calibration says. */
lb_wanted lb_plan_wanted(const lb_cell *c, int32_t input, uint32_t needs);
/* What lb_wanted.enough is for the cell. */
int64_t lb_plan_enough(const lb_cell *c);
/* LB_FLAG_FEW_TOKENS or LB_FLAG_RANK_DEFICIENT for a layer of the cell that is solved with a factor of H of too few
 * tokens, else 0. */
uint32_t lb_plan_token_flags(const lb_layer_plan *l, int64_t tokens);
/* The same of all layers as one sentence; *out NULL: tokens enough, or no H. */
LB_NODISCARD lb_status lb_plan_token_note(const lb_cell *c, lb_arena *a, const char **out);

/* What a cell costs, from counted operations and a rate measured on this machine in a fraction of a second. */
typedef struct lb_estimate {
    double seconds, memory_bytes, disk_bytes;
} lb_estimate;
typedef struct lb_rate {
    double flops; /* of float32 products, all threads */
    double bf16;  /* of bfloat16 products, where the config evaluates in them; else 0 */
    double steps; /* of elementwise work, all threads */
} lb_rate;
LB_NODISCARD lb_status lb_plan_measure_rate(const lb_plan *p, lb_rate *out);
LB_NODISCARD lb_status lb_plan_estimate(const lb_plan *p, const lb_cell *c, const lb_rate *rate, lb_estimate *out);
/* The statistics that all cells share. */
lb_estimate lb_plan_estimate_shared(const lb_plan *p, const lb_rate *rate);

#endif

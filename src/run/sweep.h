/* From a config to its cells: the product of axes for every entry, equal cells merged, nonsense refused with a reason.
 * The unquantized baseline is always the first cell. No model is needed. */
#ifndef LB_RUN_SWEEP_H
#define LB_RUN_SWEEP_H

#include "model/arch.h"
#include "model/sequences.h"
#include "result/record.h"
#include "run/config.h"

/* One linear layer of a cell, as planned: block layers in running order, then of those outside them that are
 * asked for "embed", others, and "head" (a tied matrix is "head"). */
typedef struct lb_layer_plan {
    const char *name;        /* one text for all cells: they are many */
    const lb_method *method; /* the cell's, or the end's own */
    int32_t site;            /* in the model's net */
    int64_t block;           /* -1: outside the blocks */
    const char *type;        /* the site's role */
    int64_t rows, cols;
    int64_t same_as; /* the layer of the cell, before this one, that it is one with; its size is counted there, and here
                        it is 0; -1: it is its own */
    int64_t next;    /* of layers that are one, the one after it; -1: none */
    bool asked;      /* options and rules say to quantize it */
    bool quantize;   /* asked, and the method does (the control that only trains keeps 16 bits) */
    const void *opts;   /* the method's option struct after rules */
    const size_t *told; /* places of the method's diagnostics among the cell's; NULL: the same */
    uint32_t needs;     /* LB_NEEDS_... of the stages that make layers, with these */
    lb_storage storage;
    lb_size size;
} lb_layer_plan;

typedef struct lb_cell {
    const lb_entry *entry;   /* NULL: the baseline */
    const lb_method *method; /* NULL: the baseline */
    void *opts;
    lb_cell_options own;
    lb_calibration_config calibration;
    lb_training_config training;
    const lb_end *embedding, *head; /* NULL: as the other layers, if at all; lb_plan_open may find that it must be
                                       rounded */
    uint32_t needs;                 /* LB_NEEDS_... of its options and rules: of all stages */
    uint32_t layer_needs;           /* of those that make layers */
    bool trains, draws;             /* draws: its seed matters */
    lb_pairs options;               /* all of the method's, canonical */
    lb_pairs varied;                /* given in the entry or by an axis */
    const char *name;               /* of which its file's is made; unique within the sweep, whatever labels say */
    const char *label;    /* that tables show: the entry's and what varies, or the name's words; unique, too */
    const char *identity; /* canonical text of method, options, rules: equal text, equal cell */
    bool refused;
    const char *reason;
    /* Filled by lb_plan_open, which knows the model: */
    size_t calibration_text, training_text, validation_text; /* which of the plan's, from 1; 0: none */
    size_t windows; /* cells of one number have the same statistics of the original model; 0: none */
    lb_layer_plan *layer;
    int64_t layers;
    lb_diagnostics diagnostics; /* of the method, then others' */
    lb_sequences sequences;     /* of the calibration; n 0: there is no text. token: where rows were drawn; else NULL */
    bool *changed; /* by the model's tensors: stages that preserve fold something into it; NULL: there are none */
    const char *config, *key, *content_key, *stem;
    const char *layers_key; /* of what its layers are made of: the key, but for what evaluations compute in */
    lb_model_size size;
    int64_t kept; /* with keep_layers: bytes of the quantized model in its result */
    double seconds_estimate;
    const char *model, *model_note; /* where the config has several models: label of this one, and its note */
} lb_cell;

typedef struct lb_sweep {
    lb_cell *cell;
    size_t n;
    size_t merged; /* combinations that came out equal to another */
} lb_sweep;

/* The statistics that its layers are solved on. */
static inline uint32_t lb_cell_statistics(const lb_cell *c) { return c->layer_needs & LB_NEEDS_STATISTICS; }

/* LB_E_CONFIG with file and line: a method needs a text that the config does not name. */
LB_NODISCARD lb_status lb_sweep_expand(lb_arena *a, const lb_config *c, lb_sweep *out);

/* Is it an option that every cell has, of its texts too, and that the method itself does not call so? */
bool lb_sweep_cell_option(const lb_method *m, const char *name);
/* "gptq 3b g64 act_order s1": the cell's label by what it is alone. */
LB_NODISCARD lb_status lb_sweep_label(lb_arena *a, lb_cell *cell);
/* Equal labels of a sweep get a number each. */
LB_NODISCARD lb_status lb_sweep_unique_labels(lb_arena *a, lb_sweep *s);

/* The options of one layer: the cell's, then every rule whose pattern matches one of the names (a tied head answers to
 * "head" and "embed"). *skip: as it is without rules, and becomes what they say. *matched[i] counts layers for rule i:
 * the config's rules first, then the entry's; may be NULL.
 */
LB_NODISCARD lb_status lb_sweep_layer_options(lb_arena *a, const lb_config *c, const lb_cell *cell,
                                              const char *const *names, size_t n_names, bool *skip, const void **opts,
                                              int64_t *matched);
/* The rule that sets an option of a layer of this name; NULL: the layer has the cell's value. */
const lb_rule *lb_sweep_rule_sets(const lb_config *c, const lb_cell *cell, const char *layer, const char *option);
/* Why a cell does not depend on an option (sweep_unread.c), its needs being known; NULL: it does. */
const char *lb_sweep_unread(const lb_cell *cell, const char *axis, const lb_axis_target *t);
bool lb_sweep_reads_no_text(const char *why); /* is that so because no method reads the text? */
/* Does the cell depend on its seed? */
bool lb_sweep_draws(const lb_cell *cell);
/* Sets what the cell needs, with its options and with each rule. */
LB_NODISCARD lb_status lb_sweep_needs(lb_arena *a, const lb_config *c, lb_cell *cell);

/* The ends (sweep_ends.c): what the config's and an entry's maps say of the cell, before any value is set; what holds
 * for it, when all are. own_...: options of it are set for this cell, which gets a copy. */
LB_NODISCARD lb_status lb_sweep_ends_begin(lb_arena *a, const lb_config *c, bool own_embedding, bool own_head,
                                           lb_cell *cell);
void lb_sweep_ends(lb_cell *cell);
/* LB_E_CONFIG, LB_E_UNSUPPORTED: options that do not go together. */
LB_NODISCARD lb_status lb_sweep_ends_check(const lb_cell *cell);
/* What keeps a common axis of an end away from an entry: its own map, or what that says of the option; NULL: nothing.
 */
const lb_yaml *lb_sweep_end_kept(const lb_entry *e, const lb_axis_target *t, const lb_axis *ax);
/* The same of any common axis: what the entry says of each option that the axis means (several stages may have it), the
 * last of them; NULL: not of all. */
const lb_yaml *lb_sweep_axis_kept(const lb_entry *e, const lb_axis_target *t, const lb_axis *ax);
void lb_end_text(const lb_end *e, lb_str *out); /* "rtn bits=8 group=row ..." */
LB_NODISCARD lb_status lb_end_same(const lb_end *a, const lb_end *b, bool *same);
/* Round-to-nearest with what the method's options, those of its last stage that rounds, have of its own; *out NULL:
 * they have no bits and group. LB_E_CONFIG, LB_E_UNSUPPORTED: rounding cannot take them. */
LB_NODISCARD lb_status lb_end_rounded(lb_arena *a, const lb_method *m, const void *opts, const lb_end **out);

/* The layer that a layer of this name is to be one with, by the last rule that matches it; NULL: none, or itself. */
const char *lb_sweep_same_as(const lb_config *c, const lb_cell *cell, const char *name);
/* Does the last rule that says of a layer of this name whether to skip it say no? */
bool lb_sweep_asks(const lb_config *c, const lb_cell *cell, const char *name);

#endif

/* The plug-in contract. A method is a const struct with exactly one entry point; a pure function: no globals, input or
 * output, printing, or threads but the team it is given; same input, options and seed, same bytes. No method grades
 * itself. One line in algorithms/table.c registers a method; --plugin FILE.so loads one that defines `const lb_method
 * *lb_plugin_method(void)`, with the api version checked. algorithms/README.md shows how to write one. */
#ifndef LB_QUANT_METHOD_H
#define LB_QUANT_METHOD_H

#include "base/log.h"
#include "base/team.h"
#include "quant/cost.h"
#include "quant/diagnostics.h"
#include "quant/format.h"
#include "quant/grid.h"
#include "quant/layer.h"
#include "quant/options.h"
#include "quant/trainer.h"

#define LB_METHOD_API 5u

enum {
    LB_NEEDS_HESSIAN = 1u << 0,
    LB_NEEDS_TRAINER = 1u << 1,
    LB_NEEDS_SEED = 1u << 2, /* draws random numbers from in->seed: a seed axis gives it several cells */
    LB_NEEDS_ABSMAX = 1u << 3,
    LB_NEEDS_MEAN = 1u << 4,
    LB_NEEDS_RANGE = 1u << 5,
    LB_NEEDS_ROWS = 1u << 6,
    /* These are for the harness to ask for, not for a method, which is given one of the last three as its H where
     * calibration.token_weight says so. */
    LB_NEEDS_TOKENS = 1u << 7,
    LB_NEEDS_HESSIAN_NORM = 1u << 8,
    LB_NEEDS_HESSIAN_CLIP = 1u << 9,
    LB_NEEDS_HESSIAN_ATTENTION = 1u << 10,
    LB_NEEDS_FORWARD = 1u << 16, /* block scope: calls forward or backward of quant/block.h */
    LB_PRESERVES = 1u << 17,     /* block scope: changes inputs and what reads them, and not what the model computes */
    LB_TRAINS_FLOATS = 1u << 18, /* network scope: the model stays floats. `lowbit train` runs the first of these */
    LB_FACTORS_HESSIAN = 1u << 19, /* with LB_NEEDS_HESSIAN: works with all of H, by a factor or an inverse, so that a
                                      rank matters; without: with its diagonal, which any tokens determine */
    /* Statistics of inputs over a calibration text: each is a field of lb_stats and a collector (eval/collect.h). */
    LB_NEEDS_STATISTICS = LB_NEEDS_HESSIAN | LB_NEEDS_ABSMAX | LB_NEEDS_MEAN | LB_NEEDS_RANGE | LB_NEEDS_ROWS,
    LB_NEEDS_CALIBRATION = LB_NEEDS_STATISTICS | LB_NEEDS_FORWARD,
    LB_NEEDS_OF_HARNESS = LB_NEEDS_TOKENS | LB_NEEDS_HESSIAN_NORM | LB_NEEDS_HESSIAN_CLIP | LB_NEEDS_HESSIAN_ATTENTION
};

/* A place for what a method makes of one H and its options alone, so that layers that read the same input (q, k, v;
 * gate, up) need not make it again. data is NULL at first, then whatever the method puts there, from this arena; only
 * calls of the same method see it, but their options may differ. What it holds must not change a result, only the time
 * it takes. */
typedef struct lb_kept {
    lb_arena *arena;
    void *data;
} lb_kept;

#define LB_SAMPLED_ROWS 512

/* Statistics of what a layer reads: of an expert, of the rows that were routed to it, or where those were too few what
 * calibration.starved_experts says. Each is there if `needs` asks for it; NULL, or 0, if not. */
typedef struct lb_stats {
    lb_cdmat H; /* (in, in) X^T X / tokens: full symmetric, undamped, original column order */
    int64_t tokens, sequences;
    int64_t routed;         /* of the tokens, those that the router sent; of what is no expert's: all */
    bool starved;           /* those were too few, and nothing takes their place: lb_stats_reached is the error */
    lb_kept *kept;          /* or NULL */
    const float *absmax;    /* (in) largest |x| a channel */
    const double *mean_abs; /* (in) mean |x| a channel */
    float lo, hi;           /* least and largest of all numbers */
    lb_cmat rows; /* (at most LB_SAMPLED_ROWS, in): the last of every so many tokens, a power of two, in their order */
    /* The harness's own. Who carries H (result/figures.h), NaN: nobody; and H of tokens that count otherwise. */
    double participation, first_share, half_share;
    lb_cdmat H_equal, H_clip, H_attention;
} lb_stats;

typedef struct lb_layer_in {
    const char *name;       /* "3.down" */
    lb_cmat W;              /* (out, in), finite: the target, whatever stage this is */
    const lb_layer *so_far; /* what the stages before made of it; NULL: this one starts the layer */
    const lb_stats *stats;  /* those it needs; NULL: none */
    uint64_t seed;          /* of this run and layer */
    lb_arena *scratch;      /* freed after the call */
    lb_arena *arena;        /* for what is returned */
    lb_team *team;
    lb_log *log;
} lb_layer_in;

typedef struct lb_method lb_method;
struct lb_block_in;
struct lb_block_input;
struct lb_block_out;

/* A stage of a pipeline. */
typedef struct lb_stage {
    const lb_method *method;
    const lb_options *options; /* that it has there */
    size_t offset;             /* of its struct in the pipeline's */
    size_t first;              /* option k of it is number first + k of the pipeline's */
    size_t told;               /* the same of its diagnostics */
} lb_stage;

struct lb_method {
    uint32_t api;
    const char *name, *summary, *cite; /* cite: BibTeX key in paper/refs.bib, or NULL */
    uint32_t needs;
    lb_options options;
    /* Of block and model scope: the options, NULL at the end, that a rule may set for one layer; all others are those
     * of the whole. NULL: a rule may set any. */
    const char *const *per_layer;
    /* Where statistics depend on options: those of `needs` that these ask for. NULL: all. */
    uint32_t (*needs_of)(const void *opts);
    /* Combinations that make no sense: LB_E_UNSUPPORTED with the reason; the cell is listed as refused. NULL: all make
     * sense. */
    lb_status (*check)(const void *opts);
    /* The storage format for a (rows, cols) layer. */
    lb_status (*spec)(const void *opts, int64_t rows, int64_t cols, lb_storage *out);
    /* LB_PRESERVES, instead of spec: what becomes of T of this input, before anything runs. *fold: its scale, which is
     * all that it has, is folded into what makes the input (where that is foldable), and nothing is stored. Else what
     * is stored with each layer that reads it: t_scale, t_scale_type, t_hadamard, t_sign of *out; none of them: there
     * is no T. Given all zero and false. `block` is shown the same input, with stats and kept, not known yet. */
    lb_status (*spec_input)(const void *opts, const struct lb_block_input *in, lb_storage *out, bool *fold);
    lb_status (*layer)(const lb_layer_in *in, const void *opts, lb_layer *out);
    lb_status (*block)(const struct lb_block_in *in, const void *opts, struct lb_block_out *out); /* quant/block.h */
    lb_status (*model)(lb_trainer *t, const void *opts, lb_model_out *out);
    /* NULL: the method only starts a layer. Else `layer` can also go on from in->so_far, as a later stage of a
     * pipeline, and this is the storage that it then makes of so_far's: LB_E_UNSUPPORTED with the reason if it cannot.
     */
    lb_status (*extend)(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out);
    lb_options
        later; /* options of such a stage, of the same struct; without a table: all, and `check` holds there too */
    /* What a call takes: of a layer, or of the whole network (of->weights); *out comes zeroed. NULL: as much as
     * rounding each weight to nearest and, with H, one factorization; of a model-scope method nothing. */
    void (*cost)(const void *opts, const lb_cost_of *of, lb_cost *out);
    /* What a layer that it made can tell in numbers (lb_tell(&out->told, ...)); a table of none: nothing. */
    lb_diagnostics diagnostics;
    /* Of a pipeline alone (lb_pipeline_new), which has neither check, spec, extend nor an entry point. */
    const lb_stage *stage;
    size_t stages;
};

/* Stages one after another as one method: `layer` and `spec` of each get what the one before made; those that preserve
 * what the model computes come first, and change it before any layer is made. Its name is "wanda+rtn", its options are
 * those of all stages: "bits", or "gptq.percdamp" where another stage has a percdamp too; "percdamp" then means all of
 * them; so with diagnostics. LB_E_ARG: a method twice. */
LB_NODISCARD lb_status lb_pipeline_new(lb_arena *a, const lb_method *const *method, size_t n, const lb_method **out);
/* What a method does, be it a pipeline or not, with a layer after the stages that preserve: its storage without their
 * T. opts: of m->options. */
LB_NODISCARD lb_status lb_method_check(const lb_method *m, const void *opts);
/* A layer's options beside those of the whole: LB_E_UNSUPPORTED where a rule set one that is not a layer's. */
LB_NODISCARD lb_status lb_method_own(const lb_method *m, const void *opts, const void *own, const char *layer);
LB_NODISCARD lb_status lb_method_spec(const lb_method *m, const void *opts, int64_t rows, int64_t cols,
                                      lb_storage *out);
/* Those statistics alone; `kept` stays. */
lb_stats lb_stats_only(const lb_stats *s, uint32_t needs);
/* Of a pipeline the sum of operations and of what is kept, and the most scratch of any stage, all but those that
 * preserve; and what one stage says of a layer, as if nothing came before. opts: of m->options, which lb_method_check
 * accepts. */
void lb_method_stage_cost(const lb_method *m, size_t stage, const void *opts, const lb_cost_of *of, lb_cost *out);
LB_NODISCARD lb_status lb_method_cost(const lb_method *m, const void *opts, const lb_cost_of *of, lb_cost *out);
/* The storage of what its first n stages make. */
LB_NODISCARD lb_status lb_method_spec_until(const lb_method *m, const void *opts, size_t n, int64_t rows, int64_t cols,
                                            lb_storage *out);
/* What any method may ask of its input: W finite and, with `stats`, an H of its columns, for the method of that name.
 * LB_E_NUMERIC, LB_E_ARG. */
LB_NODISCARD lb_status lb_layer_in_check(const lb_layer_in *in, const char *method, bool stats);
/* Did tokens enough reach the layer? LB_E_NUMERIC if not, as of an expert that the router left out. */
LB_NODISCARD lb_status lb_stats_reached(const lb_layer_in *in);
/* in->so_far: NULL, or the layer that a stage of block scope made. */
LB_NODISCARD lb_status lb_method_layer(const lb_method *m, const lb_layer_in *in, const void *opts, lb_layer *out);
/* Its stages; of a method that is no pipeline: itself. */
size_t lb_method_stages(const lb_method *m);
const lb_method *lb_method_stage(const lb_method *m, size_t i);
const void *lb_method_stage_opts(const lb_method *m, size_t i, const void *opts); /* opts: of m */
size_t lb_method_preserving(const lb_method *m); /* so many stages at the beginning preserve */
/* What it needs with these options; and what the stages after those that preserve do, which is what the walk through
 * the layers has to find out. */
uint32_t lb_method_needs(const lb_method *m, const void *opts);
uint32_t lb_method_layer_needs(const lb_method *m, const void *opts);

/* Registry. */
extern const lb_method *const lb_method_table[];   /* algorithms/table.c, NULL-terminated */
const lb_method *lb_method_find(const char *name); /* built in or loaded, in letters of any case; NULL: none */
const lb_method *lb_method_at(size_t i);           /* NULL past the end */
LB_NODISCARD lb_status lb_method_load(const char *so_path, const lb_method **out);
LB_NODISCARD lb_status lb_method_validate(const lb_method *m); /* api, names, one entry point, defaults within bounds */

#endif

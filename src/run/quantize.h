/* One cell's quantization: every layer compressed by the cell's method, dequantized, installed and measured by the same
 * lines, whatever the method. */
#ifndef LB_RUN_QUANTIZE_H
#define LB_RUN_QUANTIZE_H

#include "eval/calibrate.h"
#include "eval/changes.h"
#include "result/bundle.h"
#include "result/journal.h"
#include "run/plan.h"

/* What cells of a sweep need again of a layer, under H of the original model alone. */
typedef struct lb_yardstick {
    lb_storage storage;   /* its codes alone: lb_storage_base */
    lb_layer_error error; /* of round-to-nearest onto it */
    struct lb_yardstick *next;
} lb_yardstick;
typedef struct lb_shared_errors {
    lb_layer_error energy; /* of W; rows 0: not known yet */
    lb_yardstick *rtn;
} lb_shared_errors;

typedef struct lb_quantize_job {
    const lb_plan *plan;
    const lb_cell *cell;
    lb_stats_file *stats;      /* of the original model; NULL: no calibration text, output errors stay NaN */
    const char *keep_path;     /* the result that is to keep the layers; NULL: none is */
    const char *journal_dir;   /* where the journal and the blocks done so far are kept; NULL: nowhere */
    lb_shared_errors *shared;  /* by site; or NULL: nothing is kept */
    lb_log *log;               /* its warnings become part of the result */
    lb_log *aside;             /* for what happened to files in between, of which the result is to know nothing */
    lb_arena *arena;           /* for the weights made here; as long as they are used */
    lb_arena *keep;            /* for rows and curve */
    lb_arena *scratch;         /* a layer's: whoever starts one takes it back to where it was */
    const lb_weights *base;    /* the model that is compressed: the original, or what preserving stages made of it */
    const lb_changes *changes; /* those of the stages; NULL: there are none */
    lb_weights w;              /* out: the quantized model */
    lb_layer_row *row;         /* out: cell->layers */
    lb_curve curve;            /* out */
    lb_trained trained;        /* out, also of a training that did not end */
    lb_bundle *bundle;         /* out: with keep_path, what the result keeps; the caller closes it */
    int64_t *kept;             /* places of the layers in it */
} lb_quantize_job;

/* The cell has a method. LB_E_NUMERIC and others name the layer. */
LB_NODISCARD lb_status lb_quantize_run(lb_quantize_job *j);
/* Of a cell without a method: its model as it is into j->bundle, for keep_path. */
LB_NODISCARD lb_status lb_quantize_keep_baseline(lb_quantize_job *j);

/* Pieces: stages that preserve (quantize_preserve.c), which leave base and changes; layer and block scope
 * (quantize_layers.c), model scope (quantize_model.c), one measured layer (quantize.c). */
LB_NODISCARD lb_status lb_quantize_preserve(lb_quantize_job *j);
LB_NODISCARD lb_status lb_quantize_layers(lb_quantize_job *j);
LB_NODISCARD lb_status lb_quantize_model(lb_quantize_job *j);

/* The matrix that a layer of the plan is in the base model; read into the arena where it is not in memory. */
LB_NODISCARD lb_status lb_quantize_original(const lb_quantize_job *j, int64_t layer, lb_arena *a, lb_cmat *W);
/* The matrix that it is in j->w, after training: in memory. */
lb_cmat lb_quantize_now(const lb_quantize_job *j, int64_t layer);
/* What is kept of what a method returned (quantize_stored.c). Everything that is published of a layer is made from this
 * alone: an interrupted cell that goes on reads the same bytes. */
typedef struct lb_stored {
    uint8_t *bytes; /* lb_layer_pack's, as many as the layer's plan says; NULL: not quantized */
    uint32_t flags; /* these two are columns of the row */
    lb_told told;
} lb_stored;
/* Packs it. What is not as the spec said or would not survive is an error that names layer, part, index and value. */
LB_NODISCARD lb_status lb_quantize_store(const lb_quantize_job *j, int64_t layer, const lb_layer *made, lb_arena *a,
                                         lb_stored *out);
/* What of it, (rows, cols); uses scratch. */
LB_NODISCARD lb_status lb_quantize_dequantize(const lb_quantize_job *j, int64_t layer, const lb_stored *s, lb_mat What);
/* Puts a layer into j->w: packed, or What itself (then lb_quantize_place made it outlive j->w). */
LB_NODISCARD lb_status lb_quantize_install(lb_quantize_job *j, int64_t layer, lb_cmat What, const lb_stored *s);
/* With keep_path (quantize_keep.c): the bundle, with a place for each layer in the order of the plan, whatever order
 * they come in; a layer's bytes; and in the end what a training or a stage changed besides, as float32. */
LB_NODISCARD lb_status lb_quantize_keep_begin(lb_quantize_job *j);
LB_NODISCARD lb_status lb_quantize_keep(lb_quantize_job *j, int64_t layer, const lb_stored *s);
LB_NODISCARD lb_status lb_quantize_keep_changed(lb_quantize_job *j);
/* Where What of a layer is made: in scratch if the layer stays packed, else in j->arena. */
lb_arena *lb_quantize_place(const lb_quantize_job *j, int64_t layer, lb_arena *scratch);
/* What a layer is measured with: statistics of its inputs in the model so far, and in the original one. Of either those
 * that there are; without H, errors of outputs are not known. */
typedef struct lb_yardsticks {
    lb_stats own, original;
} lb_yardsticks;
lb_yardsticks lb_quantize_yardsticks(const lb_quantize_job *j, int64_t layer, const lb_stats *own,
                                     const lb_stats *original);
/* Fills the row of a layer from its stored form: What is made, checked, measured against W with each H and beside
 * round-to-nearest onto the same storage, and installed. */
LB_NODISCARD lb_status lb_quantize_measure(lb_quantize_job *j, int64_t layer, const lb_stored *s,
                                           const lb_yardsticks *by);
/* The row of a layer that is one with another, which is quantized and installed: measured against its own W. */
LB_NODISCARD lb_status lb_quantize_adopt(lb_quantize_job *j, int64_t layer, const lb_yardsticks *by);
/* Statistics that layers which are others' too are solved on (quantize_shared.c): of the inputs of all users, as of one
 * input that had all their tokens. */
typedef struct lb_pool {
    int64_t layer; /* the first that is solved on them */
    uint32_t needs;
    lb_stats stats;
} lb_pool;
/* What a layer that others are to be one with is solved for, where their weights differ (quantize_target.c): least
 * squares of all users' outputs, W = (sum t_i W_i H_i) (sum t_i H_i)^-1, or where no H is known their mean. */
typedef struct lb_target {
    int64_t layer;
    lb_dmat mean, cross; /* of the users' W; sum t_i (W_i - mean) H_i */
    lb_cmat W;           /* in the end */
} lb_target;
LB_NODISCARD lb_status lb_target_begin(lb_quantize_job *j, int64_t layer, lb_arena *a, lb_target *t, bool *differ);
LB_NODISCARD lb_status lb_target_add(lb_quantize_job *j, lb_target *t, int64_t user, const lb_stats *of);
/* all: of all users; tokens 0: none are known. */
LB_NODISCARD lb_status lb_target_solve(lb_quantize_job *j, lb_target *t, const lb_stats *all, lb_arena *a);
typedef struct lb_pools {
    lb_pool *at;
    int32_t n;
    lb_target *target;
    int32_t targets;
} lb_pools;
/* The target of a layer; NULL: its own W. */
const lb_cmat *lb_pools_target(const lb_pools *x, int64_t layer);
/* Those of layers [first, first + n) of the cell that need any; input: that these layers read, negative: any. stream:
 * sequences that enter the layers' block, which stay where they are; NULL: inputs of the original model. */
LB_NODISCARD lb_status lb_pools_make(lb_quantize_job *j, int64_t first, int64_t n, int32_t input,
                                     const lb_stream *stream, lb_arena *a, lb_pools *out);
/* That of a layer; -1: it is nobody else's. */
int32_t lb_pools_find(const lb_pools *x, const lb_quantize_job *j, int64_t layer);
/* The row of a layer that is not quantized. */
void lb_quantize_skip(lb_quantize_job *j, int64_t layer);
/* Statistics of a layer's input in the original model; none where there are none (an embedding, no calibration). */
LB_NODISCARD lb_status lb_quantize_original_stats(const lb_quantize_job *j, int64_t layer, uint32_t needs, lb_arena *a,
                                                  lb_stats *out);
/* Experts that too few calibration tokens were routed to (quantize_starved.c): what a method is told of such a layer's
 * inputs instead, made in `a`; and the flags that a row has for its tokens. s: what the layer is solved on. */
LB_NODISCARD lb_status lb_quantize_feed(const lb_quantize_job *j, int64_t layer, lb_arena *a, lb_stats *s);
uint32_t lb_quantize_token_flags(const lb_quantize_job *j, int64_t layer, const lb_stats *s);
uint64_t lb_quantize_seed(const lb_cell *c, int64_t layer);

/* What a killed cell left: a block's stored layers, rows and the method's warnings, in <stem>.partial/
 * (quantize_resume.c). */
LB_NODISCARD lb_status lb_partial_save(const lb_quantize_job *j, int64_t first, int64_t n, const lb_stored *s,
                                       const lb_keeper *said);
/* Warns as the method did. *found false: not there, of another key, or damaged (then with a warning aside). */
LB_NODISCARD lb_status lb_partial_load(lb_quantize_job *j, int64_t first, int64_t n, lb_arena *a, lb_stored *s,
                                       bool *found);
/* Texts one after another, each with its NUL. */
typedef struct lb_warnings {
    char *text;
    const char *end;
} lb_warnings;
void lb_partial_warn(lb_log *log, const lb_warnings *said);
/* The same of what a stage that preserves gave of a block: T (n) of its inputs. Loaded, the caller checks it, and
 * warns.
 */
struct lb_read;
struct lb_transform;
LB_NODISCARD lb_status lb_partial_save_changes(const lb_quantize_job *j, size_t stage, int64_t block,
                                               const struct lb_read *read, int32_t n, const struct lb_transform *T,
                                               const lb_keeper *said);
LB_NODISCARD lb_status lb_partial_load_changes(const lb_quantize_job *j, size_t stage, int64_t block,
                                               const struct lb_read *read, int32_t n, lb_arena *a,
                                               struct lb_transform *T, lb_warnings *said, bool *found);
void lb_partial_remove(const char *dir, const char *stem);

#endif

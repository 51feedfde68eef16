/* The record of one cell: everything a table, a plot or a later comparison needs, without the model. The store writes
 * it as one HDF5 file and reads it back to the same struct (docs/results.md); reports are made from records alone. */
#ifndef LB_RESULT_RECORD_H
#define LB_RESULT_RECORD_H

#include "quant/layer.h"
#include "result/mcnemar.h"
#include "result/quality.h"

/* PENDING: the run ended before it. MISSING: the index says that it is done, but its file is gone or not the one it
 * means. */
typedef enum lb_cell_state {
    LB_CELL_DONE,
    LB_CELL_FAILED,
    LB_CELL_REFUSED,
    LB_CELL_PENDING,
    LB_CELL_MISSING
} lb_cell_state;
const char *lb_cell_state_text(lb_cell_state s); /* "done", "failed", "refused", "not run", "missing" */

/* An ordered list of key-value texts. */
typedef struct lb_pair {
    const char *key, *value;
} lb_pair;
typedef struct lb_pairs {
    lb_pair *at;
    int64_t n;
} lb_pairs;
LB_NODISCARD lb_status lb_pairs_add(lb_arena *a, lb_pairs *p, const char *key, const char *value);
const char *lb_pairs_get(const lb_pairs *p, const char *key); /* NULL: none */

/* What a layer lost, as eval/layer_error measures it with D = What - W; result/figures.h says what is made of it. */
typedef struct lb_layer_error {
    double weight_err, weight_energy; /* sums of squares over the layer */
    double output_err, output_energy; /* traces, per token, summed over outputs */
    int64_t rows, cols;
} lb_layer_error;

/* Errors of outputs under H of tokens that all count the same, sum of x x^T / |x|^2 over the tokens; NaN: not measured.
 */
typedef struct lb_equal_error {
    double output_err, output_energy; /* as those of lb_layer_error */
} lb_equal_error;

/* Who carries H of an input, of the energies |x|^2 of its tokens (result/figures.h); NaN: not known. */
typedef struct lb_carried {
    double participation; /* (sum e)^2 / (tokens sum e^2): 1 where all are alike, 1 / tokens where one has it all */
    double first_share;   /* of each sequence's first four tokens */
    double half_share;    /* the fewest tokens that have half of it, as a share of all */
} lb_carried;

typedef struct lb_layer_row {
    char name[48];    /* "3.down", "head", "embed" */
    int64_t block;    /* -1: head, embedding */
    const char *type; /* "q" .. "down", "head", "embed" */
    int64_t rows, cols;
    const char *storage; /* lb_storage_text */
    int bits;
    int64_t group;
    bool quantized;      /* false: skipped by a rule (errors are zero, size as stored in float16) */
    const char *same_as; /* the row of the layer that this one is, whose size is counted there; "": its own */
    lb_size size;
    lb_layer_error own;                   /* H of its inputs in the model so far; output_* NaN if the method has none */
    lb_layer_error original;              /* H of the original model; NaN without calibration */
    lb_layer_error rtn_own, rtn_original; /* round-to-nearest onto the same storage, the same H */
    lb_equal_error equal_own, equal_original, rtn_equal_own, rtn_equal_original;
    lb_carried own_carried, original_carried;
    uint32_t flags;
    lb_told told; /* by places in the record's table */
    int64_t
        tokens; /* of the calibration that it read: of an expert, those that were routed to it; 0: none, or not known */
    double seconds;
} lb_layer_row;

typedef struct lb_eval_row {
    const char *name;      /* as in the config: "wikitext-2" */
    const char *text_hash; /* SHA-256 of the text */
    const char *text_path;
    const char *bos; /* "auto: added", "auto: none", "never" */
    int64_t text_tokens;
    lb_eval eval;
    bool has_paired;
    lb_paired paired; /* this minus the baseline; the baseline itself has none */
    bool bf16;        /* its products were in bfloat16: what the record's provenance says of `compute` */
    const char *rows; /* how those of the text were read, in words; "": as one */
    /* Of a task. */
    const char *variant;              /* how LAMBADA's text is read; "" or NULL: nothing is to be chosen */
    lb_mcnemar mcnemar, mcnemar_norm; /* where has_paired: its items against the baseline's, and by acc_norm */
} lb_eval_row;

/* A training, point by point; and the loss of a held-out text, where one was asked for. */
typedef struct lb_curve {
    int64_t n, cap;
    int64_t *step;
    double *total, *next_token, *kl, *lr, *grad_norm;
    /* Growing; so many steps were done before. The last point is of the model as it is stored. */
    int64_t *validation_step;
    double *validation_loss; /* mean NLL of the windows, in nats a token; NaN: not measured, it overflowed */
    int64_t validations, validation_cap;
} lb_curve;

/* How a model continues the config's prompt. */
typedef struct lb_continuation {
    const char *prompt;       /* NULL: none was given */
    const char *text, *ended; /* ended: "tokens" (as many as asked for), "eos", "context" */
    int64_t *token;           /* (tokens) */
    int64_t tokens;
    double prefill, decode;    /* tokens a second: of the prompt; behind the first of them, NaN: there is but one */
    double temperature, top_p; /* NaN: the most probable tokens */
    int64_t seed;              /* of the draws; else 0 */
} lb_continuation;

typedef struct lb_model_size {
    lb_size quantized;                      /* sum over the quantized layers, with all metadata */
    int64_t other_as_stored;                /* bytes of every other tensor as the model file stores it */
    int64_t other_as_fp16;                  /* the same at 2 bytes a value */
    int64_t total_as_stored, total_as_fp16; /* whole model, both ways */
    int64_t original_fp16;                  /* the unquantized model at 2 bytes a value: what ratios divide */
    int64_t original_as_stored;
} lb_model_size;

typedef struct lb_record {
    const char *key;   /* SHA-256 over code version, resolved cell config, model hash, data hashes */
    const char *stem;  /* file name without .h5: "gptq-bits3-group64-1a2b3c4d" */
    const char *label; /* short, for tables and legends: "gptq 3b g64 act_order" */
    lb_cell_state state;
    int bits;
    const char *message; /* why there is no result; "" */
    /* In a sweep of several models, by its index alone: label of this one, and what is to be known of it; else NULL. */
    const char *model, *model_note;
    const char *folder;              /* name of the results folder that it was read from; NULL: not from one */
    const struct lb_results *source; /* that folder's own, where several were read as one; NULL: those that it is in */
    bool unlisted;                   /* its file lies in the folder, but the folder's sweep does not have it */
    const char *method;
    lb_pairs options; /* every option of the method with its value, canonical text */
    lb_pairs varied;  /* those options, and the seed, that differ between the cells of the sweep or were given */
    int64_t group;
    const char *storage; /* the main layers'; bits 0 for none */
    uint64_t seed;
    const char *propagate; /* "quantized", "original", "" */
    lb_layer_row *layer;
    int64_t layers;
    lb_diagnostics diagnostics; /* of its method; of a record that was read: lb_told_columns, then others */
    lb_eval_row *eval;
    int64_t evals;
    lb_continuation continuation;
    lb_model_size size;
    lb_curve curve;
    char **warning;
    int64_t warnings;
    lb_pairs provenance; /* version, dirty, compiler, openblas, core, kernels, model path and hash, calibration,
                            protocol ... (deterministic) */
    lb_pairs host;       /* host, threads, date: what may differ between equal runs */
    const char **stage;
    double *stage_s;
    int64_t stages;
    double seconds;
    int64_t peak_bytes;
    char **cite;
    int64_t cites;            /* BibTeX keys */
    struct lb_bundle *bundle; /* what its file is to keep of the quantized model (result/bundle.h); NULL: nothing */
    const char *config;       /* the resolved config, YAML */
    uint32_t flags;           /* union over layers */
    bool true_sequential;
    bool keeps;         /* the file that was read keeps what `bundle` is, */
    bool keeps_model;   /* and all of the model */
    int64_t file_bytes; /* of its file, likewise; 0: not known */
    char file_hash[65]; /* SHA-256 of its file, once there is one and it was written or read; else "" */
} lb_record;

enum { LB_MODELS_MOST = 1000 }; /* of one sweep */

/* A results folder: records in the order of the sweep, the baseline ("none") of each model before its other cells. */
typedef struct lb_results {
    char *dir;
    const char *name; /* experiment */
    lb_record *record;
    int64_t n;
    const char *model_name, *model_note; /* "baseline is itself a dequantized 4-bit model (Q4_1)" or ""; several
                                            models: "a, b" and "" */
    int64_t unlisted; /* result files in the folder that its index does not list; they may not be among the records */
    const char **notice; /* of files and folders that could not be read */
    int64_t notices;
    int64_t unread;               /* of several folders those that are left out; a notice says why */
    const struct lb_results *all; /* those that these were chosen from; NULL: they are all */
    lb_arena *arena;
} lb_results;

#endif

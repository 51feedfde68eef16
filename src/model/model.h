/* A model: architecture, tokenizer and weights from a GGUF file or a Hugging Face folder (config.json, safetensors,
 * tokenizer.json). Files stay mapped; a tensor becomes float32 once, when the model is opened with LB_WEIGHTS, or
 * whenever its turn comes, with LB_STREAM. An unknown architecture, an unknown, missing or duplicate tensor, a shape
 * that disagrees, a NaN: errors naming it. */
#ifndef LB_MODEL_MODEL_H
#define LB_MODEL_MODEL_H

#include "base/fs.h"
#include "base/log.h"
#include "base/team.h"
#include "io/tensor.h"
#include "model/arch.h"
#include "model/exec.h"
#include "model/tokenizer/tokenizer.h"

typedef struct lb_model_tensor {
    char name[LB_SITE_NAME]; /* ours: "embed", "3.down", "final_norm" */
    const char *source_name, *type;
    int64_t rows, cols, stored_bytes;
} lb_model_tensor;

typedef struct lb_model {
    char *path, *name;     /* name: the file's or folder's, without extension; path: of a hub cache its snapshot */
    char hash[65];         /* SHA-256 of the GGUF file; of the list of hashes of the files that are read for a folder */
    char format[16];       /* "gguf", "safetensors" */
    const char *stored;    /* note on the baseline: "Q4_1 (169 tensors), Q8_0 (1), F32 (61)" */
    bool stored_quantized; /* some weights were stored in a quantized type: the baseline is itself dequantized */
    const lb_family *family;
    const lb_net *net;
    const char *given;        /* of a model made in memory: the keys of config.json that it was made from, as JSON */
    const lb_numbers *keys;   /* and the numbers as keys and their defaults are; NULL: the net's are so */
    lb_tokenizer *tokenizer;  /* NULL: none was read, which only texts need */
    const char *no_tokenizer; /* and why */
    lb_weights weights;
    lb_model_tensor *tensor; /* net->slot */
    int64_t n_tensors;
    int64_t left_out; /* tensors of its files that belong to other parts than the text part */
    lb_arena *arena;
    void *files;
} lb_model;

typedef enum lb_model_parts {
    LB_HEADER,  /* all but the numbers; weights' numbers stay NULL */
    LB_WEIGHTS, /* all of it in memory, every number checked */
    LB_STREAM   /* vectors in memory; matrices that would have to be converted keep d NULL and have a source, whose
                   reads check their numbers */
} lb_model_parts;
LB_NODISCARD lb_status lb_model_open(const char *path, lb_model_parts parts, lb_team *team, lb_model **out);
void lb_model_close(lb_model *m);
LB_NODISCARD lb_status
lb_model_need_tokenizer(const lb_model *m); /* LB_E_UNSUPPORTED with the reason, if it has none */
/* A Llama built in memory (training from scratch): normal init 0.02, residual projections scaled by 1/sqrt(2 layers),
 * norms 1 and biases 0. Takes over the tokenizer. */
LB_NODISCARD lb_status lb_model_new(const lb_arch *arch, lb_tokenizer *tok, uint64_t seed, lb_model **out);
/* The same of any family. keys: an object with keys of its config.json (new_config.h makes one); what is not in it has
 * the family's default. */
LB_NODISCARD lb_status lb_model_new_of(const lb_family *f, const char *keys, lb_tokenizer *tok, uint64_t seed,
                                       lb_model **out);

/* Types of an exported folder's weights, as users name them (NULL-terminated), and in the same order. */
extern const char *const lb_export_names[];
extern const lb_dtype lb_export_types[];
/* Writes a Hugging Face folder (config.json, generation_config.json, model.safetensors, tokenizer files) that
 * transformers loads: of the family's class, rows and norms as that has them. LB_E_UNSUPPORTED: its config.json cannot
 * say what the model computes. dtype LB_F32, LB_F16 or LB_BF16. The folder appears whole or not at all. `w`: the
 * weights to write (a cell's), of m->net. */
LB_NODISCARD lb_status lb_model_export(const lb_model *m, const lb_weights *w, lb_dtype dtype, const char *dir,
                                       lb_log *log);
/* Is it a file that this makes? For lb_fs_remove_ours. */
bool lb_model_export_file(const char *name, bool folder);
/* The files alone, into a folder that was begun: for whoever must know before the work that it can be written, or adds
 * files of its own. */
LB_NODISCARD lb_status lb_model_write(const lb_model *m, const lb_weights *w, lb_dtype dtype, const lb_fs_folder *to,
                                      lb_log *log);

#endif

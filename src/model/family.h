/* A model family is data, one file in families/ and one line in families/table.c: how its numbers are told in
 * config.json and in a GGUF header, which tensors its files hold, and its program. docs/models.md adds one step by
 * step.
 *
 * Where spellings are told apart by '|', any of them may stand in a file. */
#ifndef LB_MODEL_FAMILY_H
#define LB_MODEL_FAMILY_H

#include "io/gguf.h"
#include "model/net.h"
#include "model/numbers.h"

typedef enum lb_key_kind {
    LB_KEY_COUNT,    /* a whole number */
    LB_KEY_REAL,     /* a number */
    LB_KEY_FLAG,     /* true or false: 1 or 0 */
    LB_KEY_ACT,      /* the name of an activation: its place in lb_act_words */
    LB_KEY_ACT_TANH, /* the same, but "gelu" is its tanh form */
    LB_KEY_WORD,     /* a string, which must be `only` */
    LB_KEY_SLIDES,   /* a list of "full_attention" or "sliding_attention", one a block: 0 or 1 */
    LB_KEY_BLOCKS,   /* a list of blocks: 1 in those, 0 in the others */
    LB_KEY_EACH,     /* a list of 0 and 1, one a block or more */
    LB_KEY_TENSOR,   /* of a GGUF file, `name` being a tensor's: 1 where it is there, 0 where it is not */
    LB_KEY_IDLE      /* without effect on what is computed */
} lb_key_kind;

/* A key of config.json, or of a GGUF header behind the architecture's name and a dot. */
typedef struct lb_key {
    const char *name;
    lb_key_kind kind;
    const char *number; /* what it becomes; NULL: it is only looked at */
    const char *absent; /* an expression (LB_KEY_ACT, LB_KEY_WORD: a word; of a list one that may ask for `block`) where
                           the key is missing; NULL: it must not be; "": there is then no such number (a rule may make
                           one) */
    const char *null;   /* where it is null; NULL: a flag is false, a name, a real number or a count whose `absent` is a
                           number other than 0 refused, others as `absent` */
    const char *only; /* the only value that is honoured, as in the file; NULL: any. Of an idle key: what a config.json
                         that is made says, where the class's default would be refused there */
    const char *why;  /* ... and why ("biases are not supported"), or NULL */
} lb_key;

/* Keys that are right one by one and not together. */
typedef struct lb_refusal {
    const char *when; /* an expression: not zero in some block, the model is refused */
    const char *why;  /* naming the keys */
} lb_refusal;

/* How rotary positions are told in config.json: rope_parameters, rope_scaling and keys outside of both. */
typedef struct lb_rope_keys {
    const char *base, *base_absent; /* spellings of the base's key at the top ("rope_theta"), and its default */
    const char *part, *part_absent; /* of the part of a head that turns; part_absent NULL: only 1 is honoured */
    unsigned kinds;                 /* bit k: the kind of table k of steps/rope.c may be asked for */
    const char *local;              /* a number by block: not zero where the other table of two counts; NULL: one */
    const char *local_base, *local_base_absent; /* of that one's base */
} lb_rope_keys;
enum { LB_ROPE_KINDS_ALL = (1u << 6) - 1 };

/* One weight: a site's or a norm's. '#' is the block's number, '@' the expert's.
 *
 * Blocks may share a weight: the files hold it once, by the name of its owner. A name without '#' is that of block 0's.
 *
 * After a name in a file: [@] that expert's part of a stack (experts, rows, cols); [a:b:n] rows a to b of n, where n
 * rows are stored together; ~ stored (in, out). A bias has the name with ".bias" for ".weight". */
typedef struct lb_tensor_row {
    const char *ours;        /* "#.q", "#.expert.@.down", "final_norm": the program's names */
    const char *hf, *gguf;   /* NULL: that format has none */
    const char *rows, *cols; /* expressions; rows NULL: a vector of cols */
    const char *bias;        /* an expression: not zero, it has a bias; NULL: none */
    const char *when;        /* an expression: not zero, there is such a weight (in this block); NULL: always */
    const char *owner; /* an expression: the block whose weight (and bias) this is, its own or one before it; NULL:
                          its own */
    const char *runs;  /* of a vector that files store as a matrix, an expression: its rows; NULL: as a vector */
} lb_tensor_row;

/* A model whose text part is this family's, among others: its config.json tells it in an object of its own. */
typedef struct lb_wrapping {
    const char *hf_class, *hf_type;
    const char *text;             /* the key of that object */
    const char *idle;             /* keys beside it that are not about texts, divided by '|' */
    const char *twin;             /* a flag that stands in it and beside it */
    const char *const (*name)[2]; /* beginnings of names in files, and what stands there in the family's; up to NULL */
    const char *const *other;     /* beginnings of names of what is not the text part, which is left out; up to NULL */
} lb_wrapping;

typedef struct lb_family {
    const char *name, *summary;
    const char *hf_class, *hf_type; /* "LlamaForCausalLM", "llama" */
    const char *prefix;             /* "transformer.": a beginning of names that Hugging Face files may lack, or NULL */
    const lb_wrapping *wrapping;    /* or NULL */
    const char *file_block;         /* an expression: the number that a block's own weights have in Hugging Face files,
                                       rising with the block; NULL: the block's */
    const lb_key *hf_keys;          /* up to the one without a name; their order is that of `absent` expressions */
    const lb_rope_keys *rope;       /* NULL: no rotary positions */
    const char *hf_numbers;         /* rules (numbers.h) once all keys are read */
    const lb_refusal *hf_refused;   /* asked after them, up to the one without an expression; NULL: none */
    const char *fresh;              /* rules for numbers of keys in a new model, where its class's defaults are those of
                                       a large one or not usual; NULL: none. head_dim is dim/heads in all */
    const char *gguf_arch;          /* NULL: GGUF has no such family, or it is not read */
    const char *gguf_when;          /* of several families with that architecture, this one where the key is positive */
    const lb_key *gguf_keys;
    const char *gguf_numbers;
    const lb_tensor_row *tensor; /* up to the one without a name */
    const char *const *harmless; /* tensors that may be there and carry no weights; NULL-terminated, or NULL */
    lb_program_text program;
} lb_family;
extern const lb_family *const lb_family_table[]; /* NULL-terminated */
const lb_family *lb_family_named(const char *name);
/* The same; LB_E_ARG with the nearest name where there is none. */
LB_NODISCARD lb_status lb_family_find(const char *name, const lb_family **out);

/* Is there, and 1, where the model that was read is a lb_wrapping's. */
#define LB_NUMBER_WRAPPED "wrapped"

/* The family's rules (its hf_numbers or gguf_numbers) added. */
LB_NODISCARD lb_status lb_family_rules(const lb_family *f, const char *rules, lb_numbering *b);
/* The rows of a matrix that files store a vector as; 0: as a vector. */
LB_NODISCARD lb_status lb_family_runs(const lb_tensor_row *row, const lb_numbers *n, int64_t block, int64_t *out);
/* From config.json: the family and its numbers, among them layers, dim, vocab and tied, and context where there is
 * one. What is not known and might change what the model computes is LB_E_UNSUPPORTED naming it. */
LB_NODISCARD lb_status lb_numbers_from_config(lb_arena *a, const char *path, const lb_family **family, lb_numbers *out);

/* The same from a GGUF header. */
LB_NODISCARD lb_status lb_numbers_from_gguf(lb_arena *a, const lb_gguf *g, const lb_family **family, lb_numbers *out);

/* ---- tensors ---- */

/* The row that describes `name` (a parameter of the program; block and expert -1: it has none), or NULL. */
const lb_tensor_row *lb_family_row(const lb_family *f, const char *name, bool in_block, bool in_expert);
/* For lb_net_new; ctx is a lb_family_shapes. */
typedef struct lb_family_shapes {
    const lb_family *family;
    const lb_numbers *numbers;
} lb_family_shapes;
LB_NODISCARD lb_status lb_family_shape(const void *ctx, const char *name, int64_t block, int64_t expert,
                                       lb_net_shape *out);
/* The number of a block in Hugging Face files. */
LB_NODISCARD lb_status lb_family_file_block(const lb_family *f, const lb_numbers *n, int64_t block, int64_t *out);
/* The family's program with these numbers; all of it in the arena. */
LB_NODISCARD lb_status lb_family_net(lb_arena *a, const lb_family *f, const lb_numbers *numbers, const lb_net **out);

/* Where the numbers of a site or a vector lie: rows [first, first + rows) of a tensor whose rows are cols long. */
typedef struct lb_placed {
    const lb_tensor *t;
    int64_t first, rows, cols;
    bool transposed; /* t is (cols, rows) */
    bool vector;
} lb_placed;
typedef struct lb_tensor_files {
    const char *path, *says; /* for messages; who tells the shapes: "the config", "the header" */
    bool hf;
    const lb_tensor *const *t; /* (n) */
    int64_t n;
} lb_tensor_files;
/* Finds every tensor of the net: LB_E_FORMAT or LB_E_UNSUPPORTED for one that is unknown, missing, there twice, of
 * another shape or type. out (net.slots) */
LB_NODISCARD lb_status lb_family_match(lb_arena *a, const lb_family *f, const lb_net *net, const lb_tensor_files *files,
                                       lb_placed *out);
/* Tensors that are left out, as no part of the text part: of the numbers of a lb_wrapping's model. */
int64_t lb_family_left_out(const lb_family *f, const lb_numbers *n, const lb_tensor_files *files);
/* Where a tensor of the net stands in a Hugging Face folder, by its row's first spelling: rows [first, first + its own)
 * of `rows`, in the stack's matrix `matrix` where the tensor is a stack. */
enum { LB_TENSOR_NAME = 256 };
typedef struct lb_tensor_place {
    char name[LB_TENSOR_NAME];
    bool transposed;         /* stored (in, out) */
    int64_t stacked, matrix; /* matrices; 0: no stack */
    int64_t first, rows;
} lb_tensor_place;
LB_NODISCARD lb_status lb_family_tensor_place(const lb_family *f, const lb_net *net, int32_t slot,
                                              lb_tensor_place *out);
/* A GGUF tensor that holds factors of the rotary frequencies: read with the numbers. */
bool lb_gguf_rope_tensor(const char *name);

/* pattern with '#' and '@' replaced (which a pattern without them ignores). */
void lb_pattern_name(const char *pattern, int64_t block, int64_t expert, char *out, size_t size);
/* Does `name` fit the pattern? Their numbers, -1 for a pattern without them. */
bool lb_pattern_match(const char *pattern, const char *name, int64_t *block, int64_t *expert);

#endif

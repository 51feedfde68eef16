/* A text as tokens, with what identifies it. */
#ifndef LB_MODEL_CORPUS_H
#define LB_MODEL_CORPUS_H

#include "base/log.h"
#include "model/rows.h"
#include "model/tokenizer/tokenizer.h"

typedef enum lb_bos {
    LB_BOS_AUTO, /* where the tokenizer adds one itself, at the head of the text */
    LB_BOS_NEVER,
    LB_BOS_ALWAYS
} lb_bos;

typedef struct lb_corpus {
    char *path, *name;
    char hash[65];
    int64_t bytes;
    int32_t *token;
    int64_t tokens; /* including the BOS at the head, if one was put */
    bool has_bos;
    int32_t bos_id;    /* the model's, -1: none */
    const char *known; /* the text of a protocol that this is ("WikiText-2 raw test, joined by \"\\n\\n\""), or NULL */
    const char *how;   /* its rows were read, as lb_rows_how has it; "": it is the whole file */
    lb_rows *rows;     /* of one that is not joined: its tokens are those that are drawn (tokens 0); else NULL */
    int64_t n_rows;    /* of it; else 0 */
    const lb_tokenizer *tokenizer; /* what encodes them */
    bool special;                  /* its special tokens are parsed: it was written in a chat's form */
    lb_log *log;                   /* where what there is to say of rows goes */
    unsigned *said;                /* what was said */
    lb_arena *arena;
} lb_corpus;

/* The whole file is text: "<s>" or "<|endoftext|>" in it is no token (warned about). Warns (to the log, and so into
 * the report) about CRLF line ends, a byte-order mark that was dropped, bytes that are not UTF-8, characters without a
 * token, the tokenized form of WikiText
 * (" <unk> "), and, for texts whose hash or token count a protocol fixes (WikiText-2), about a hash or a count
 * that is not the protocol's; and, with LB_BOS_AUTO, where the tokenizer's files disagree about BOS.
 * LB_E_UNSUPPORTED: a token that the model has no row for, with its place. */
LB_NODISCARD lb_status lb_corpus_open(const char *path, const lb_tokenizer *t, lb_bos bos, lb_log *log,
                                      lb_corpus **out);
/* The same of a text that was read before; `text` is not needed afterwards. */
LB_NODISCARD lb_status lb_corpus_of(const lb_textfile *text, const lb_tokenizer *t, lb_bos bos, lb_log *log,
                                    lb_corpus **out);
/* The same of a text's rows, joined by this. join NULL: tokens 0, and rows are encoded when they are drawn; tokenizer
 * and log stay as long. Of a file that is one row: the file as it is. */
LB_NODISCARD lb_status lb_corpus_rows(const char *path, const lb_row_spec *s, const char *join, const lb_tokenizer *t,
                                      lb_bos bos, lb_log *log, lb_corpus **out);
/* How a text is read so, for people and for keys: "" as the whole file; "json, field text, joined by \"\\n\\n\"". */
LB_NODISCARD lb_status lb_rows_how(lb_arena *a, const char *path, const lb_row_spec *s, const char *join,
                                   const char **out);
/* The tokens of a row, with a BOS in front where the corpus has one: what the papers' tokenizer(text) gives. *ids by
 * lb_free. Warns once of each thing there is to warn of. And those of its text without white space at the ends. */
LB_NODISCARD lb_status lb_corpus_encode_row(const lb_corpus *c, int64_t row, int32_t **ids, int64_t *n);
LB_NODISCARD lb_status lb_corpus_encode_stripped(const lb_corpus *c, int64_t row, int32_t **ids, int64_t *n);
/* Nothing will be drawn any more: the memory of the rows is given back. */
void lb_corpus_close_rows(lb_corpus *c);
void lb_corpus_close(lb_corpus *c);
bool lb_bos_put(const lb_tokenizer *t, lb_bos bos); /* is one put at the head? */
const char *lb_bos_text(lb_bos bos, bool put);      /* "auto: added", "auto: none", "never", "always" */
/* The warning about files that disagree, for whoever takes an open corpus again. */
void lb_bos_warn(const lb_tokenizer *t, lb_bos bos, const char *text_name, lb_log *log);

/* Which tokens a calibration takes (model/recipes.h). */
typedef enum lb_recipe {
    LB_RECIPE_SEQUENTIAL,
    LB_RECIPE_RANDOM,
    LB_RECIPE_JOINED,
    LB_RECIPE_DOCUMENTS, /* from here on they draw rows */
    LB_RECIPE_DOCUMENTS_LONGER,
    LB_RECIPE_BLOCKS,
    LB_RECIPE_FIRST_TOKENS,
    LB_RECIPE_TRUNCATED
} lb_recipe;
extern const char *const lb_recipe_names[]; /* as configs have them; NULL-terminated */
/* `samples` rows of `length` tokens. sequential: the first samples x length; random: starts drawn by our RNG from
 * `seed`. */
LB_NODISCARD lb_status lb_corpus_windows(const lb_corpus *c, lb_recipe r, uint64_t seed, int64_t samples,
                                         int64_t length, lb_arena *a, int32_t **tokens);
/* Can it give them, as far as its length tells? LB_E_CONFIG naming tokens needed and present, or that rows are needed
 * and the text is one. */
LB_NODISCARD lb_status lb_corpus_holds(const lb_corpus *c, lb_recipe r, int64_t samples, int64_t length);

#endif

/* Tokenizers: byte-level BPE (GPT-2's scheme), SentencePiece-style BPE (scores, byte fallback) and Unigram, from
 * tokenizer.json, tokenizer.model (SentencePiece's file), vocab.json with merges.txt, or GGUF metadata, with their
 * normalizers and pre-tokenizers; special tokens; decode; and training of a byte-level BPE. A kind or component that is
 * not known is LB_E_UNSUPPORTED naming it, never approximated. */
#ifndef LB_MODEL_TOKENIZER_H
#define LB_MODEL_TOKENIZER_H

#include "base/mem.h"
#include "io/gguf.h"

typedef struct lb_tokenizer lb_tokenizer;
LB_NODISCARD lb_status lb_tokenizer_from_gguf(const lb_gguf *g, lb_tokenizer **out);
/* dir holds tokenizer.json, else tokenizer.model, else vocab.json and merges.txt, and, if present,
 * tokenizer_config.json, which names tokens. Whether
 * BOS is put before a text is the post-processor's decision; what add_bos_token says otherwise, or a version of
 * transformers would put (by the class that is named, or config.json's model_type), is lb_tokenizer_bos_dispute. A
 * tokenizer.model leaves it to add_bos_token, then to the class; vocab.json to add_bos_token. */
LB_NODISCARD lb_status lb_tokenizer_from_dir(const char *dir, lb_tokenizer **out);
/* Trains a byte-level BPE with GPT-2's pattern after single digits; ids: specials, 256 bytes, merges in order; ties:
 * lower pair first. */
LB_NODISCARD lb_status lb_tokenizer_train(const char *text, size_t len, int64_t vocab, lb_tokenizer **out);
void lb_tokenizer_free(lb_tokenizer *t);

int64_t lb_tokenizer_vocab(const lb_tokenizer *t);
const char *lb_tokenizer_kind(const lb_tokenizer *t); /* "byte-level BPE, smollm", "SentencePiece BPE" */
int32_t lb_tokenizer_bos(const lb_tokenizer *t);      /* -1: none */
int32_t lb_tokenizer_eos(const lb_tokenizer *t);
bool lb_tokenizer_adds_bos(const lb_tokenizer *t);           /* the tokenizer itself puts BOS before a text */
const char *lb_tokenizer_bos_dispute(const lb_tokenizer *t); /* NULL: the files agree */
/* The model's embedding has so many rows: texts that need another one are refused. */
void lb_tokenizer_set_rows(lb_tokenizer *t, int64_t rows);

/* Encodes UTF-8 text. Bytes that are not UTF-8 become byte tokens. A character that the vocabulary cannot express is
 * the unknown token, or dropped where there is none, as other implementations do (SmolLM2 has no token for the bytes
 * 0x04, 0xf5 and some others); lb_corpus_open warns. parse_special: text like "<|im_start|>" becomes its token. No BOS
 * is added. *ids by lb_free. */
LB_NODISCARD lb_status lb_tokenizer_encode(const lb_tokenizer *t, const char *text, size_t len, bool parse_special,
                                           int32_t **ids, int64_t *n);
LB_NODISCARD lb_status lb_tokenizer_decode(const lb_tokenizer *t, const int32_t *ids, int64_t n, char **text,
                                           size_t *len); /* lb_free */
/* The raw text of a token for display; NULL only for an id that is none. Not NUL-terminated: len says how long. */
const char *lb_tokenizer_piece(const lb_tokenizer *t, int32_t id, size_t *len);
/* Writes tokenizer.json and tokenizer_config.json, or the files that were read instead, which transformers'
 * AutoTokenizer loads with equal ids. */
LB_NODISCARD lb_status lb_tokenizer_save(const lb_tokenizer *t, const char *dir);

#endif

/* Unigram models: a text is cut into the pieces whose scores (log probabilities) have the largest sum. */
#ifndef LB_MODEL_UNIGRAM_H
#define LB_MODEL_UNIGRAM_H

#include "model/tokenizer/impl.h"
#include "model/tokenizer/trie.h"

/* A character that no piece is alone costs this much more than the worst piece (sentencepiece's kUnkPenalty). */
#define LB_UNIGRAM_PENALTY 10.0
/* Behind sums up to here ids of words are kept (unigram.c says why). */
#define LB_UNIGRAM_SURE 1e9

struct lb_tok_unigram {
    lb_trie trie;  /* pieces -> ids */
    double *score; /* (vocab) */
    double unknown;
    size_t longest;       /* piece, in bytes; at least 4, as of an unknown character */
    bool runs_are_pieces; /* a run of unknown characters that is a piece after all becomes it, as in the library */
    bool byte_fallback;
    bool words_apart; /* no piece crosses the start of a word (LB_TOK_META_WORDS) */
    bool goes_on;     /* words are cut there, but it is one text: sums go on from one to the next */
};

struct lb_tok_cell {
    double score; /* of the best way from the start of the text to here */
    uint32_t len; /* of its last piece; 0: there is no way yet */
    int32_t id;
};

/* score[id]; in_text[id]: whether the piece is looked for in a text. Scores are copied. */
LB_NODISCARD lb_status lb_tok_unigram_new(lb_tokenizer *t, const double *score, const bool *in_text, double worst);
/* Appends the ids of a word. errors  LB_E_UNSUPPORTED a character is unknown and there is no unknown token */
LB_NODISCARD lb_status lb_tok_unigram_word(lb_tok_run *r, const char *s, size_t n);

/* gguf_t5.c: the model and its normalizer; tokens and types are read. */
LB_NODISCARD lb_status lb_tok_gguf_unigram(const lb_gguf *g, lb_tokenizer *t);
/* unigram_json.c: model.vocab and its like of tokenizer.json. */
LB_NODISCARD lb_status lb_tok_read_unigram(lb_tokenizer *t, const json_t *model, const json_t *added);

#endif

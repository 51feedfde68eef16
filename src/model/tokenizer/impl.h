/* Inside the tokenizer; included by this folder, corpus.c and rows.c only.
 *
 * A text becomes ids in five steps, each a list of data that the loaders fill:
 *   added tokens   "<|im_end|>" is cut out first (those not `normalized`), each piece between them goes on
 *   normalizers    prepend, replace, NFC...: text -> text
 *   added tokens   those matched in normalized text
 *   pre-tokenizer  steps that cut a text into words; a word never merges with its neighbour
 *   model          BPE or Unigram. BPE: the characters (or bytes) of a word are merged pair by pair, lowest rank first,
 * leftmost among equals Byte-level BPE and both forms of SentencePiece BPE differ only in the symbols a word starts
 * from and in where the ranks come from (a list of merges, or scores). */
#ifndef LB_MODEL_TOKENIZER_IMPL_H
#define LB_MODEL_TOKENIZER_IMPL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/index.h"
#include "base/str.h"
#include "io/json.h"
#include "model/tokenizer/tokenizer.h"

#define LB_TOK_META      "\xe2\x96\x81" /* U+2581, SentencePiece's mark of a space */
#define LB_TOK_META_LEN  3
#define LB_TOK_MAX_PIECE 1024 /* bytes of a token that merging can make; real ones have at most some hundred */

typedef struct lb_tok_view {
    const char *s;
    size_t n;
} lb_tok_view;

/* Strings -> ids: open addressing over views. */
typedef struct lb_tok_entry {
    const char *s;
    uint32_t n;
    int32_t id; /* -1: empty */
} lb_tok_entry;
typedef struct lb_tok_index {
    lb_tok_entry *slot; /* (mask + 1) */
    uint64_t mask;
} lb_tok_index;
LB_NODISCARD lb_status lb_tok_index_new(lb_arena *a, int64_t entries, lb_tok_index *out);
int32_t lb_tok_index_get(const lb_tok_index *x, const char *s, size_t n); /* -1: not there */
void lb_tok_index_put(lb_tok_index *x, lb_tok_view v, int32_t id);        /* the first of equal strings stays */

/* (left, right) -> (rank, id). */
typedef struct lb_tok_merge {
    int32_t left, right, id, rank;
} lb_tok_merge;
typedef struct lb_tok_merges {
    lb_tok_merge *list; /* (n), in order of rank */
    int64_t n;
    lb_tok_merge *slot; /* (mask + 1); left = -1: empty */
    uint64_t mask;
    uint64_t *maybe; /* 8 (mask + 1) bits: unset where no pair has that hash, which is most often so */
} lb_tok_merges;
/* Hashes m->list; of equal pairs the first counts (or the last, as the tokenizers library does). */
LB_NODISCARD lb_status lb_tok_merges_hash(lb_arena *a, lb_tok_merges *m, bool last_wins);

/* GGUF's token types. */
enum { LB_TOK_NORMAL = 1, LB_TOK_UNKNOWN, LB_TOK_CONTROL, LB_TOK_USER, LB_TOK_UNUSED, LB_TOK_BYTE };

typedef struct lb_tok_added {
    lb_tok_view text; /* what is matched */
    int32_t id;
    bool special, lstrip, rstrip, single_word, normalized;
} lb_tok_added;
/* One pass of matching: the tokens by first byte, longest first. */
typedef struct lb_tok_matcher {
    const lb_tok_added **token; /* (n) */
    int64_t n;
    int32_t first[257]; /* tokens that begin with byte b: first[b] .. first[b + 1] */
    int only;           /* the byte that all of them begin with; -1: they differ */
} lb_tok_matcher;

/* A regular expression from a file. */
typedef struct lb_tok_pattern {
    const char *text; /* as the file has it */
    pcre2_code *re;
    pcre2_code *older; /* for texts without characters that are LB_UNI_NEWER: faster. NULL: re is */
} lb_tok_pattern;

/* charsmap.h, unigram.h */
typedef struct lb_charsmap lb_charsmap;
typedef struct lb_tok_spm lb_tok_spm;
typedef struct lb_tok_unigram lb_tok_unigram;
typedef struct lb_tok_cell lb_tok_cell;

typedef enum lb_tok_norm_kind {
    LB_TOK_PREPEND,
    LB_TOK_REPLACE,
    LB_TOK_REPLACE_REGEX,
    LB_TOK_UNICODE,       /* NFC, NFD, NFKC, NFKD */
    LB_TOK_EACH,          /* a character at a time, by `each`: Lowercase, StripAccents, Nmt */
    LB_TOK_STRIP,         /* white space at the ends */
    LB_TOK_NORM_ALPHABET, /* bytes -> GPT-2's alphabet */
    LB_TOK_CHARSMAP,      /* Precompiled */
    LB_TOK_SPM            /* sentencepiece's normalizer_spec */
} lb_tok_norm_kind;
typedef struct lb_tok_norm {
    lb_tok_norm_kind kind;
    lb_tok_view pattern, content;
    lb_tok_pattern regex;
    int form;                             /* utf8proc options */
    void (*each)(lb_str *out, int32_t c); /* appends what becomes of the character */
    bool left, right;                     /* of LB_TOK_STRIP */
    bool inserts;                         /* the expression can match nothing, and the content is something */
    const lb_charsmap *charsmap;
    const lb_tok_spm *spm;
} lb_tok_norm;

typedef enum lb_tok_step_kind {
    LB_TOK_SCAN,        /* a built-in pattern */
    LB_TOK_REGEX,       /* a pattern from the file */
    LB_TOK_LITERAL,     /* a fixed string from the file */
    LB_TOK_CHARS,       /* every character of a kind (`is`) is a match */
    LB_TOK_WORDS,       /* \w+|[^\w\s]+ and nothing else */
    LB_TOK_SPACE_FIRST, /* a space before a piece that has none */
    LB_TOK_METASPACE,   /* ' ' -> mark, the mark before the piece, then cut before every mark if `split` */
    LB_TOK_ALPHABET,    /* bytes -> GPT-2's alphabet, where that is not done by taking bytes for symbols */
    LB_TOK_META_WORDS   /* cut before a mark that follows something else: where no merge can cross it */
} lb_tok_step_kind;
typedef enum lb_tok_behavior {
    LB_TOK_ISOLATED,
    LB_TOK_REMOVED,
    LB_TOK_CONTIGUOUS,
    LB_TOK_WITH_PREVIOUS,
    LB_TOK_WITH_NEXT
} lb_tok_behavior;
typedef enum lb_tok_prepend { LB_TOK_NEVER, LB_TOK_ALWAYS, LB_TOK_FIRST } lb_tok_prepend;
/* The length in bytes (at least 1) of the word that begins at s; n >= 1 bytes are there. */
typedef size_t (*lb_tok_scan)(const char *s, size_t n);
typedef struct lb_tok_step {
    lb_tok_step_kind kind;
    lb_tok_scan scan;
    const char *pattern; /* of a scan: the regular expression it equals */
    lb_tok_pattern regex;
    lb_tok_view literal; /* or Metaspace's mark */
    bool (*is)(int32_t code);
    lb_tok_behavior behavior;
    bool invert, split;
    bool spelled; /* behind ByteLevel: a character is a byte in GPT-2's alphabet */
    lb_tok_prepend prepend;
} lb_tok_step;
#define LB_TOK_MAX_STEPS 24

/* Steps from a list of token strings to one of pieces of text, which are joined in the end. */
typedef enum lb_tok_decode_kind {
    LB_TOK_FROM_ALPHABET, /* all in one: GPT-2's alphabet -> bytes; a token with other characters stays */
    LB_TOK_FROM_META,     /* mark -> ' ', in the first token nothing if one was put there */
    LB_TOK_FROM_BYTES,    /* <0x0A> */
    LB_TOK_FUSE,
    LB_TOK_SUBSTITUTE, /* string or expression -> content */
    LB_TOK_TRIM,       /* up to `start` and `stop` times the content at the ends of each token */
    LB_TOK_SUFFIX      /* of a word -> ' ', in the last token nothing */
} lb_tok_decode_kind;
typedef struct lb_tok_decode {
    lb_tok_decode_kind kind;
    lb_tok_view literal, content;
    lb_tok_pattern regex;
    bool drop_first;
    int64_t start, stop;
} lb_tok_decode;

typedef struct lb_tok_run lb_tok_run;
typedef struct lb_tok_spare {
    _Atomic(lb_tok_run *) run; /* NULL: there was no call, or one is using it */
} lb_tok_spare;

typedef struct lb_tok_file {
    const char *name;
    lb_tok_view text;
} lb_tok_file;

struct lb_tokenizer {
    lb_arena *arena;
    const char *name; /* the file it came from */
    bool byte_level;  /* symbols are bytes; otherwise characters, unknown ones become <0xXX> */
    bool alphabet;    /* tokens are written in GPT-2's alphabet */
    bool from_scores; /* GGUF's 'llama' kind */
    bool ignore_merges, fuse_unk, adds_bos;
    bool by_library;       /* of equal merges the last counts, special tokens that are not wanted are passed over */
    bool longest_first;    /* added tokens: a longer one that overlaps wins, as in llama.cpp; else the leftmost */
    bool joined_by_spaces; /* there is no decoder */
    lb_tok_view prefix, suffix; /* of symbols that continue a word, of its last symbol */
    char kind[64];
    const char *pre; /* the name of its pre-tokenizer in GGUF; NULL: none */
    int64_t vocab;
    lb_tok_view *token; /* (vocab) as the file writes it: "Ġthe", "▁the", "<0x0A>" */
    lb_tok_view *piece; /* (vocab) the bytes it stands for */
    uint8_t *type;      /* (vocab) */
    bool *in_model;     /* (vocab) the model's own, added or not; NULL: those that are normal by type */
    char *pool;         /* the bytes of token and piece */
    size_t pool_used, pool_size;
    lb_tok_index index;   /* token -> id, all of them */
    int32_t ascii[128];   /* symbols of one byte, -1: none */
    lb_tok_index symbols; /* what a word may consist of: characters, or for ignore_merges whole words */
    lb_tok_merges merges;
    lb_tok_unigram *unigram; /* NULL: BPE */
    lb_tok_view *extra;      /* (n_extra) ids from vocab on: characters of tokens that are no tokens themselves */
    int64_t n_extra;
    int32_t byte_id[256];            /* the token of a byte, -1: none */
    int32_t unk;                     /* what a symbol without a token becomes; -1: it is dropped */
    int32_t unk_name, bos, eos, pad; /* as the file names them, -1: it does not */
    lb_tok_added *added;
    int64_t n_added;
    lb_tok_matcher raw, normal;
    lb_tok_norm norm[LB_TOK_MAX_STEPS];
    int n_norm;
    lb_tok_step step[LB_TOK_MAX_STEPS];
    int n_step;
    lb_tok_decode decode[LB_TOK_MAX_STEPS];
    int n_decode;
    pcre2_general_context *pcre;
    lb_tok_view json;    /* tokenizer.json as it was read; NULL for other sources */
    lb_tok_view spm;     /* tokenizer.model as it was read; NULL for other sources */
    lb_tok_file file[5]; /* of a folder without tokenizer.json: all that was read; saving writes them again */
    int n_file;
    const char *bos_dispute;   /* what the folder's files say of BOS, where they disagree; else NULL */
    int64_t rows;              /* of the model's embedding; 0: not told */
    const char *chat_template; /* NULL: none */
    lb_tok_spare *spare;       /* what a call of encode leaves for the next one */
};

/* build.c: what the loaders share. */
LB_NODISCARD lb_status lb_tok_new(const char *name, lb_tokenizer **out);
LB_NODISCARD lb_status lb_tok_reserve(lb_tokenizer *t, int64_t vocab, size_t bytes); /* bytes: of all tokens together */
LB_NODISCARD lb_status lb_tok_put(lb_tokenizer *t, int64_t id, const char *s, size_t n, uint8_t type);
LB_NODISCARD lb_status lb_tok_pieces(lb_tokenizer *t); /* token -> piece, index, byte_id */
/* Cuts "left right" or takes two strings; both and their sum must be tokens. */
typedef struct lb_tok_place { /* of a merge, for messages: "FILE: merge 7", "FILE: line 9" */
    const char *file, *unit;
    int64_t n;
} lb_tok_place;
LB_NODISCARD lb_status lb_tok_merge_add(lb_tokenizer *t, int64_t at, lb_tok_place place, lb_tok_view left,
                                        lb_tok_view right);
LB_NODISCARD lb_status lb_tok_merges_from_scores(lb_tokenizer *t, const float *score);
bool lb_tok_mark_after_other(lb_tok_view v);           /* a mark of a space that follows something else */
LB_NODISCARD lb_status lb_tok_finish(lb_tokenizer *t); /* matchers, symbols, kind: last */
/* gguf_pre.c: the steps that llama.cpp takes for a name: "gpt-2", "smollm", "llama-bpe"; and what else goes with it. */
LB_NODISCARD lb_status lb_tok_named_pre(lb_tokenizer *t, const char *name);
int32_t lb_tok_byte_code(int byte);
int lb_tok_byte_char(uint8_t byte, char out[2]);      /* GPT-2's character for a byte: its length */
int64_t lb_tok_byte_decode(lb_tok_view v, char *out); /* the reverse; -1: a character outside the alphabet */

/* parts.c: what reading components of tokenizer.json shares. A missing or null component is an empty one. */
LB_NODISCARD lb_status lb_tok_unknown(const lb_tokenizer *t, const char *what, const char *type);
LB_NODISCARD lb_status lb_tok_get_bool(const lb_tokenizer *t, const json_t *o, const char *key, bool fallback,
                                       bool *out);
LB_NODISCARD lb_status lb_tok_get_text(lb_tokenizer *t, const json_t *o, const char *key, lb_tok_view *out);
typedef lb_status (*lb_tok_reader)(lb_tokenizer *t, const char *type, const json_t *c, void *user);
/* Calls f for the component, or for each member of a Sequence, whose list has the name `list`. */
LB_NODISCARD lb_status lb_tok_each_part(lb_tokenizer *t, const json_t *c, const char *list, lb_tok_reader f,
                                        void *user);
/* {"String": ...} or {"Regex": ...}: exactly one of literal->s and *regex is not NULL; no literal is empty. */
LB_NODISCARD lb_status lb_tok_get_pattern(lb_tokenizer *t, const json_t *c, lb_tok_view *literal, const char **regex);
LB_NODISCARD lb_status lb_tok_room(const lb_tokenizer *t, int used, const char *what);
/* *bos: the token that the post-processor puts before a text, -1: none. One that puts something behind is refused. */
LB_NODISCARD lb_status lb_tok_read_post_processor(lb_tokenizer *t, const json_t *c, int32_t *bos);
/* Notes in t->bos_dispute who says otherwise than the post-processor. config: tokenizer_config.json or NULL; named: its
 * bos_token, -1: none. */
LB_NODISCARD lb_status lb_tok_compare_bos(lb_tokenizer *t, const char *dir, const json_t *config, int32_t named);

/* normalizer.c, pre_read.c, decoder.c */
LB_NODISCARD lb_status lb_tok_read_normalizer(lb_tokenizer *t, const json_t *c);
LB_NODISCARD lb_status lb_tok_inserted(const lb_tokenizer *t, const char *before); /* the refusal of one that inserts */
LB_NODISCARD lb_status lb_tok_read_pre_tokenizer(lb_tokenizer *t, const json_t *c);
LB_NODISCARD lb_status lb_tok_read_metaspace(lb_tokenizer *t, const json_t *c, lb_tok_view *mark,
                                             lb_tok_prepend *prepend);
LB_NODISCARD lb_status lb_tok_read_decoder(lb_tokenizer *t, const json_t *c);
void lb_tok_default_decoder(lb_tokenizer *t, bool strip_first); /* of a kind that has no file to say */
/* Symbols become characters of GPT-2's alphabet instead of bytes: another step follows, or the model looks at them. */
LB_NODISCARD lb_status lb_tok_spell_bytes(lb_tokenizer *t);

/* spm.c: t->spm, and the added tokens of the files beside it, a list like tokenizer.json's. */
LB_NODISCARD lb_status lb_tok_read_spm(lb_tokenizer *t, const json_t *added);
/* spm_folder.c: tokenizer.model of a folder and what lies beside it; pair_folder.c: vocab.json and merges.txt. */
LB_NODISCARD lb_status lb_tok_load_spm(lb_tokenizer *t, const char *dir);
LB_NODISCARD lb_status lb_tok_load_pair(lb_tokenizer *t, const char *dir);
/* bos.c: whether a BOS is put where no tokenizer.json says so. config: tokenizer_config.json or NULL. */
LB_NODISCARD lb_status lb_tok_habit_bos(lb_tokenizer *t, const char *dir, const json_t *config);
LB_NODISCARD lb_status lb_tok_model_type(const char *dir, char out[64]); /* of config.json; "": not there */

/* beside.c: the files of such a folder. */
typedef struct lb_tok_kept {
    const char *path;
    lb_tok_view text; /* s NULL: the file is not there */
} lb_tok_kept;
typedef struct lb_tok_beside {
    lb_tok_kept config_file, names_file, special_file;
    json_t *config, *names, *special; /* tokenizer_config, added_tokens, special_tokens_map; NULL: not there */
    json_t *added;                    /* the tokens that are added by id, a list like tokenizer.json's */
    bool has_decoder;                 /* config lists them; else names does */
} lb_tok_beside;
LB_NODISCARD lb_status lb_tok_keep_file(lb_tokenizer *t, const char *dir, const char *name, size_t most,
                                        lb_tok_kept *out);
LB_NODISCARD lb_status lb_tok_kept_json(const lb_tok_kept *f, json_t **out); /* an object; NULL: not there */
LB_NODISCARD lb_status lb_tok_read_beside(lb_tokenizer *t, const char *dir, lb_tok_beside *b);
LB_NODISCARD lb_status lb_tok_list_added(lb_tokenizer *t, lb_tok_beside *b);
void lb_tok_free_beside(lb_tok_beside *b);

/* json.c: what other loaders need too. */
LB_NODISCARD lb_status lb_tok_read_config(lb_tokenizer *t, const char *path, const json_t *config, int32_t *named);
LB_NODISCARD lb_status lb_tok_added_id(const lb_tokenizer *t, const json_t *added, int64_t *id);
LB_NODISCARD lb_status lb_tok_check_size(const lb_tokenizer *t, int64_t size, size_t entries);
/* Before the first is put. entries: how many the vocabulary has. */
LB_NODISCARD lb_status lb_tok_check_added_ids(const lb_tokenizer *t, int64_t entries, const json_t *added);
LB_NODISCARD lb_status lb_tok_put_added(lb_tokenizer *t, const json_t *o);
/* vocab: {"token": id}; added: a list. */
LB_NODISCARD lb_status lb_tok_fill_vocab(lb_tokenizer *t, const json_t *vocab, const json_t *added, bool byte_fallback);
LB_NODISCARD lb_status lb_tok_normalize_added(lb_tokenizer *t); /* those that are matched in normalized text */
LB_NODISCARD lb_status lb_tok_model_flag(const lb_tokenizer *t, const json_t *model, const char *key, bool *out);

/* unicode.c */
typedef enum lb_tok_class { LB_TOK_OTHER, LB_TOK_LETTER, LB_TOK_NUMBER, LB_TOK_SPACE } lb_tok_class;
size_t lb_tok_char_any(const char *s, size_t n, int32_t *code); /* by utf8proc */
/* One character at s: its length, and its code (-1 and length 1 for a byte that is not UTF-8). n >= 1. */
static inline size_t lb_tok_char(const char *s, size_t n, int32_t *code) {
    const uint8_t *b = (const uint8_t *)s;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    /* Two bytes, or three whose first leaves no shorter form and no surrogate. */
    if (b[0] >= 0xC2 && b[0] < 0xE0 && n >= 2 && (b[1] & 0xC0) == 0x80) {
        *code = (b[0] & 0x1F) << 6 | (b[1] & 0x3F);
        return 2;
    }
    if (b[0] > 0xE0 && b[0] < 0xF0 && b[0] != 0xED && n >= 3 && (b[1] & 0xC0) == 0x80 && (b[2] & 0xC0) == 0x80) {
        *code = (b[0] & 0xF) << 12 | (b[1] & 0x3F) << 6 | (b[2] & 0x3F);
        return 3;
    }
    return lb_tok_char_any(s, n, code);
}
lb_tok_class lb_tok_classify(int32_t code);
enum {                       /* a bit for each kind that patterns tell apart */
       LB_TOK_K_UPPER = 1,   /* Lu, Lt */
       LB_TOK_K_LOWER = 2,   /* Ll */
       LB_TOK_K_UNCASED = 4, /* Lm, Lo */
       LB_TOK_K_LETTER = 7,
       LB_TOK_K_MARK = 8,
       LB_TOK_K_NUMBER = 16,
       LB_TOK_K_SPACE = 32,
       LB_TOK_K_PUNCT = 64
};
extern const uint8_t lb_tok_ascii_kind[128];
unsigned lb_tok_kind(int32_t code);  /* -1, a byte that is no UTF-8: 0 */
bool lb_tok_is_space(int32_t code);  /* White_Space */
bool lb_tok_is_number(int32_t code); /* as Digits has it */
bool lb_tok_is_punct(int32_t code);  /* as Punctuation has it */
bool lb_tok_is_word(int32_t code);   /* \w of single_word and Whitespace */
void lb_tok_put_char(lb_str *out, int32_t code);
void lb_tok_put_alphabet(lb_str *out, lb_tok_view v); /* v's bytes in GPT-2's alphabet */
size_t lb_tok_invalid_utf8(const char *s, size_t n);  /* where the first invalid byte is; n: nowhere */

/* scan.c: patterns that are scanned by hand. */
extern const char lb_tok_pattern_gpt2[];
size_t lb_tok_scan_gpt2(const char *s, size_t n);
size_t lb_tok_scan_three_digits(const char *s, size_t n);
typedef struct lb_tok_known {
    const char *pattern;
    lb_tok_scan scan;
    const char *name; /* what GGUF calls a pre-tokenizer of nothing else; NULL: nothing */
    bool covers;      /* every text is a sequence of matches; else a word may also be what is between two */
} lb_tok_known;
extern const lb_tok_known lb_tok_known_patterns[];
extern const int lb_tok_n_known;
const lb_tok_known *lb_tok_known_pattern(const char *pattern); /* NULL: none of these */

/* match.c */
LB_NODISCARD lb_status lb_tok_pattern_new(lb_tokenizer *t, const char *where, const char *text, lb_tok_pattern *out);
void lb_tok_pattern_free(lb_tok_pattern *p);
LB_NODISCARD lb_status lb_tok_match_limits(lb_tok_run *r); /* once a run */
void lb_tok_match_again(lb_tok_run *r);                    /* the allowance of a new text */
/* The matches of a pattern in a text, as the tokenizers library iterates over them: each begins where the one before
 * ended; an empty one right there is passed over, and the search goes on behind the next character. */
typedef struct lb_tok_matches {
    lb_tok_run *run;
    const lb_tok_pattern *pattern;
    const pcre2_code *re; /* the pattern's for this text */
    lb_tok_view text;
    uint32_t options;
    size_t from, last_end;
} lb_tok_matches;
lb_tok_matches lb_tok_matches_of(lb_tok_run *r, const lb_tok_pattern *p, lb_tok_view v);
/* errors  LB_E_UNSUPPORTED the pattern takes too many steps on this text; LB_E_INTERRUPTED */
LB_NODISCARD lb_status lb_tok_match_next(lb_tok_matches *m, bool *found, size_t *start, size_t *end);

/* normalizer.c, pre.c */
LB_NODISCARD lb_status lb_tok_normalize(lb_tok_run *r, lb_tok_view in, lb_tok_view *out);
void lb_tok_replace(lb_str *out, lb_tok_view in, lb_tok_view pattern, lb_tok_view content);
LB_NODISCARD lb_status lb_tok_replace_regex(lb_tok_run *r, lb_str *out, lb_tok_view in, const lb_tok_pattern *pattern,
                                            lb_tok_view content);
LB_NODISCARD lb_status lb_tok_words(lb_tok_run *r, lb_tok_view text, bool at_start);

/* bpe.c */
typedef struct lb_tok_node {
    int32_t id, prev, next;
} lb_tok_node;
typedef struct lb_tok_candidate {
    int32_t rank, at, left, right;
} lb_tok_candidate;
#define LB_TOK_SHORT_KEY 16
#define LB_TOK_SHORT_IDS 2
/* A word and its ids. What is short stands here, so that most words need one line of memory. */
typedef struct lb_tok_cached {
    uint64_t head, tail;          /* of a short word all there is; else its hash */
    int32_t id[LB_TOK_SHORT_IDS]; /* or, where there are more, the place of the first in run.cache_ids */
    uint32_t key;                 /* of a longer word: its place in run.keys */
    uint8_t key_len, n_ids;       /* key_len 0: empty */
} lb_tok_cached;

/* A call of encode: its output, its cache of words, its scratch. But for the output the next call goes on with it. */
struct lb_tok_run {
    const lb_tokenizer *t;
    int32_t *id;
    int64_t n, cap;
    lb_tok_node *node;
    int64_t node_cap;
    lb_tok_cell *cell; /* of a Unigram model */
    size_t cell_cap;
    double score; /* of the words before, where they are one text to the model */
    bool sure;    /* the ids of the last word hold behind every other text too */
    lb_tok_candidate *heap;
    int64_t heap_n, heap_cap;
    lb_tok_cached *cache;
    uint64_t cache_mask;
    int64_t cache_n;
    char *keys;
    int64_t keys_n, keys_cap;
    int32_t *cache_ids;
    int64_t cache_ids_n, cache_ids_cap;
    lb_str norm[2]; /* normalizers write here in turn */
    bool behead;    /* the normalizers dropped what the piece began with: its text is not the text's start */
    lb_str affixed; /* a symbol with its prefix and suffix */
    lb_str piece;   /* what a step changed; the step holds it meanwhile */
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint32_t limit;     /* the match limit in force */
    uint64_t allowance; /* steps of heavy searches that are left */
    size_t growth;      /* bytes that normalizers, steps and decoders may still add */
};
LB_NODISCARD lb_status lb_tok_run_new(const lb_tokenizer *t, lb_tok_run *r);
void lb_tok_run_free(lb_tok_run *r);
/* The tokenizer's spare run, or a new one; and back. One that failed, or has grown large, is not kept. */
LB_NODISCARD lb_status lb_tok_run_take(const lb_tokenizer *t, lb_tok_run **out);
void lb_tok_run_give(lb_tok_run *r, bool keep);
LB_NODISCARD lb_status lb_tok_emit(lb_tok_run *r, int32_t id);
LB_NODISCARD lb_status lb_tok_word(lb_tok_run *r, const char *s, size_t n);
/* What stands in the file may make a text longer, but not without end, as replacements that feed each other would: by
 * LB_TOK_MOST_GROWTH bytes for each of the call's. begin: before b is made of `was` bytes. end: after that; what `made`
 * says, unless it is too long. LB_E_UNSUPPORTED: it is. */
#define LB_TOK_MOST_GROWTH 128
void lb_tok_may_grow(lb_tok_run *r, size_t bytes); /* of the text of the call */
void lb_tok_grow_begin(const lb_tok_run *r, size_t was, lb_str *b);
LB_NODISCARD lb_status lb_tok_grow_end(lb_tok_run *r, size_t was, const lb_str *b, lb_status made);
/* How many characters (bytes, if byte-level) of the text have no token and are dropped; *first: where the first is. */
int64_t lb_tok_without_token(const lb_tokenizer *t, const char *s, size_t n, size_t *first);

/* added.c */
LB_NODISCARD lb_status lb_tok_matchers(lb_tokenizer *t);
typedef struct lb_tok_found {
    size_t start, end; /* with the white space that lstrip and rstrip take along */
    const lb_tok_added *token;
} lb_tok_found;
/* The next added token: leftmost, then longest. *at: where the search goes on; done: the text before is used up. */
bool lb_tok_find_added(const lb_tokenizer *t, const lb_tok_matcher *m, lb_tok_view text, bool parse_special, size_t *at,
                       size_t done, lb_tok_found *found);

#endif

/* SentencePiece's precompiled_charsmap: strings of characters and what each is replaced by, as a double array; and the
 * two normalizers that use one, which differ. */
#ifndef LB_MODEL_CHARSMAP_H
#define LB_MODEL_CHARSMAP_H

#include "base/str.h"
#include "model/tokenizer/impl.h"
#include "model/tokenizer/trie.h"

struct lb_charsmap {
    const uint8_t *unit; /* (units) 4 bytes each, little-endian */
    size_t units;
    const char *text; /* (size) the replacements, each ended by a NUL */
    size_t size;
    bool begins[256]; /* a rule begins with this byte */
    bool plain[256];  /* printable ASCII that no rule replaces when it stands alone */
};

/* The bytes are kept, not copied; n = 0: no rules. errors  LB_E_FORMAT naming the file: not a double array and texts */
LB_NODISCARD lb_status lb_charsmap_new(lb_arena *a, const char *name, const uint8_t *bytes, size_t n,
                                       const lb_charsmap **out);
/* The same from base64. */
LB_NODISCARD lb_status lb_charsmap_from_base64(lb_arena *a, const char *name, const char *s, size_t n,
                                               const lb_charsmap **out);

/* The tokenizers library's Precompiled: by grapheme, the shortest rule that a short one begins with replaces all of it,
 * else each of its characters is looked up alone. */
LB_NODISCARD lb_status lb_charsmap_graphemes(const lb_charsmap *m, lb_tok_view in, lb_str *out);

/* sentencepiece's normalizer_spec: everywhere the longest rule; white space by the flags. */
struct lb_tok_spm {
    const lb_charsmap *map; /* NULL: none */
    bool dummy_prefix, remove_extra, escape, suffix;
    lb_trie keep; /* user-defined pieces, which stay as they are */
};
LB_NODISCARD lb_status lb_tok_spm_normalize(const lb_tok_spm *spm, lb_tok_view in, lb_str *out);

#endif

/* Inside of reading a GGUF header. */
#ifndef LB_MODEL_MODEL_GGUF_IMPL_H
#define LB_MODEL_MODEL_GGUF_IMPL_H

#include "model/family.h"

typedef struct lb_gguf_reader {
    const lb_gguf *g;
    const lb_family *family;
    lb_numbering b;
} lb_gguf_reader;

/* Is there a key "ARCHITECTURE.key"? `full` is its name in any case. */
enum { LB_GGUF_KEY = 128 };
bool lb_gguf_key(const lb_gguf_reader *r, const char *key, char full[LB_GGUF_KEY]);

/* The positions (model_gguf_rope.c): the numbers rope_*. The numbers that the family's rules make must be there. */
LB_NODISCARD lb_status lb_gguf_rope(lb_gguf_reader *r);
/* One of the keys that it reads. */
bool lb_gguf_rope_key(const lb_family *f, const char *key);

#endif

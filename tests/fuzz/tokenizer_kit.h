/* What targets of tokenizers do with one. */
#ifndef LB_TESTS_FUZZ_TOKENIZER_KIT_H
#define LB_TESTS_FUZZ_TOKENIZER_KIT_H

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "support/status_name.h"

/* A failure must be one of these, with a message. */
static inline bool ends_well(lb_status s) {
    if (s == LB_OK) return true;
    if ((s == LB_E_FORMAT || s == LB_E_UNSUPPORTED || s == LB_E_IO) && *lb_error()) return false;
    fprintf(stderr, "%s: %s\n", status_name(s), lb_error());
    abort();
}

/* Encodes and decodes the text, writes a folder and reads that again. */
static inline void use(const lb_tokenizer *t, const char *text, size_t len, const char *saved) {
    for (int special = 0; special < 2; special++) {
        int32_t *id;
        int64_t n;
        char *back;
        size_t back_len;
        if (!ends_well(lb_tokenizer_encode(t, text, len, special, &id, &n))) continue;
        for (int64_t i = 0; i < n; i++)
            if (id[i] < 0 || id[i] >= lb_tokenizer_vocab(t)) abort();
        if (ends_well(lb_tokenizer_decode(t, id, n, &back, &back_len))) lb_free(back);
        lb_free(id);
    }
    lb_tokenizer *again; /* what we wrote we can read */
    if (!ends_well(lb_tokenizer_save(t, saved))) return;
    if (!ends_well(lb_tokenizer_from_dir(saved, &again))) {
        fprintf(stderr, "saved, but not loaded: %s\n", lb_error());
        abort();
    }
    lb_tokenizer_free(again);
}

#endif

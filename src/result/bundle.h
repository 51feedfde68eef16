/* What a cell made of its model, byte for byte: the packed layers, as they were installed and measured, and what a
 * training, or a stage, changed besides. In a result file (/kept, docs/results.md) it is a table of layers, one of
 * their parts with a SHA-256 each, and one run of bytes. */
#ifndef LB_RESULT_BUNDLE_H
#define LB_RESULT_BUNDLE_H

#include "io/h5.h"
#include "quant/storage_words.h"

typedef struct lb_bundle_part {
    int64_t layer;    /* number of its layer */
    const char *name; /* a section of the packed layer */
    int64_t start, bytes;
    char sha256[65];
} lb_bundle_part;

typedef struct lb_bundle_layer {
    char name[48]; /* "3.down", "head"; of a tensor that was trained, "3.attn_norm" */
    int64_t rows, cols;
    lb_storage_words words;
    lb_storage storage;   /* of these words */
    int64_t start, bytes; /* in the run */
    int64_t part, parts;  /* in lb_bundle.part */
} lb_bundle_layer;

typedef struct lb_bundle {
    lb_bundle_layer *layer;
    lb_bundle_part *part;
    int64_t layers, parts, bytes;
    int64_t most_layers, put;
    bool whole; /* every tensor of the model is there */
    char *path; /* the result's, for messages */
    int fd;     /* -1: none. A file without a name, which holds the bytes until they are written */
} lb_bundle;

/* For at most `most` layers of the result that is going to be at path. Close it; close(NULL) is fine. */
LB_NODISCARD lb_status lb_bundle_new(const char *path, int64_t most, lb_bundle **out);
void lb_bundle_close(lb_bundle *b);
/* A place for a layer of this storage. Places follow each other in the order of these calls. */
LB_NODISCARD lb_status lb_bundle_add(lb_bundle *b, const char *name, int64_t rows, int64_t cols, const lb_storage *s,
                                     int64_t *index);
/* Its bytes, once. */
LB_NODISCARD lb_status lb_bundle_put(lb_bundle *b, int64_t index, const void *bytes);
/* Into a result that is being written. LB_E_ARG: a layer was never put. */
LB_NODISCARD lb_status lb_bundle_write(lb_h5 *h, const lb_bundle *b);

/* Of a result file that is open: tables, checked. LB_E_UNSUPPORTED: it keeps none. */
LB_NODISCARD lb_status lb_bundle_read(lb_h5 *h, lb_arena *a, lb_bundle *out);
bool lb_bundle_is_in(lb_h5 *h);
bool lb_bundle_is_whole(lb_h5 *h);
/* The bytes of a layer, as many as it has. LB_E_FORMAT names layer and part. */
LB_NODISCARD lb_status lb_bundle_get(lb_h5 *h, const lb_bundle *b, int64_t index, void *to);

#endif

/* What an HDF5 file holds as one run of bytes: how the child that reads a file (h5_walk.c) tells its parent
 * (h5_tree.c), which trusts nothing of it. Heads in the machine's byte order, each followed by its name with a NUL,
 * then the data; an attribute follows its object. Texts are one after another, each with its NUL. Of a run of
 * bytes the data is the place in the file where it begins, as an int64. */
#ifndef LB_IO_H5_FLAT_H
#define LB_IO_H5_FLAT_H

#include "base/mem.h"
#include "base/str.h"
#include "io/h5.h"

typedef enum lb_flat_kind {
    LB_FLAT_GROUP = 1,
    LB_FLAT_DATASET,
    LB_FLAT_ATTRIBUTE,
    LB_FLAT_FAILED, /* the name is a message, shape[0] the status */
    LB_FLAT_END
} lb_flat_kind;
typedef enum lb_flat_type {
    LB_FLAT_OTHER,
    LB_FLAT_F64,
    LB_FLAT_F32,
    LB_FLAT_I64,
    LB_FLAT_TEXT,
    LB_FLAT_BYTES
} lb_flat_type;

#define LB_FLAT_MAGIC 0x3174616cu
typedef struct lb_flat_head {
    uint32_t magic;
    uint8_t kind, type, ndim, unused; /* OTHER: a type that results have none of, or more than 4 dimensions; no data */
    uint64_t name, bytes;             /* lengths, of the name with its NUL */
    int64_t shape[4];
} lb_flat_head;

/* One group, dataset or attribute. */
typedef struct lb_h5_entry {
    const char *object, *attr; /* attr NULL: the object itself */
    lb_flat_type type;
    bool dataset;
    int ndim;
    int64_t shape[4], count;
    const char *data;
    size_t bytes;
} lb_h5_entry;

typedef struct lb_h5_tree lb_h5_tree;
/* Takes the bytes over, also on failure. path: for messages. LB_E_FORMAT: "PATH: why". */
LB_NODISCARD lb_status lb_h5_tree_parse(const char *path, lb_str *flat, lb_h5_tree **out);
void lb_h5_tree_free(lb_h5_tree *t);                                                           /* NULL is fine */
const lb_h5_entry *lb_h5_tree_find(const lb_h5_tree *t, const char *object, const char *attr); /* NULL: none */

/* A file open for reading, of which this is all. Takes the bytes over as above. */
LB_NODISCARD lb_status lb_h5_from_flat(const char *path, lb_str *flat, lb_h5 **out);

/* With libhdf5, in the child: the flat form, or one that tells why there is none. */
void lb_h5_walk(const char *path, lb_str *flat);
/* The longest flat form. */
#define LB_FLAT_MAX ((size_t)64 << 20)

#endif

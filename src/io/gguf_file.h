/* Inside of an open GGUF file: shared by gguf.c (opening) and gguf_meta.c (lookups). */
#ifndef LB_IO_GGUF_FILE_H
#define LB_IO_GGUF_FILE_H

#include "io/gguf.h"

/* metadata value types of the format */
enum {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

typedef struct kv {
    const char *key;
    uint32_t type, element; /* element: type of an array's elements */
    int64_t count;          /* bytes of a string, elements of an array */
    const uint8_t *data;    /* in the map: the scalar, the string's bytes, or the array's first element */
    uint64_t *string_at;    /* array of strings: where in the file each one's length stands */
} kv;

struct lb_gguf {
    lb_map map;
    lb_arena *arena;
    kv *kv; /* (kvs), file order */
    int64_t kvs;
    const kv **by_key; /* (kvs), sorted */
    lb_tensor *tensor; /* (tensors), file order */
    int64_t tensors;
    const lb_tensor **by_name; /* (tensors), sorted */
};

size_t lb_gguf_scalar_size(uint32_t type); /* 0: not a scalar */

#endif

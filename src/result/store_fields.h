/* Structs to HDF5 and back by tables of fields: one table serves writer and reader, so they cannot drift apart. */
#ifndef LB_RESULT_STORE_FIELDS_H
#define LB_RESULT_STORE_FIELDS_H

#include "io/h5.h"
#include "result/record.h"

#define LB_RESULT_FORMAT   "lowbit result"
#define LB_RESULT_VERSION  1
#define LB_INDEX_OF_MODELS 2 /* version of an index whose cells are of several models */
#define LB_RESULT_KEEPS    2 /* version of a result that keeps its layers */

typedef enum lb_field_type {
    LB_FIELD_I64,
    LB_FIELD_LATER, /* int64_t, newer than the first results: written only where it is not 0, 0 where it is missing */
    LB_FIELD_INT,
    LB_FIELD_U32,
    LB_FIELD_U64,
    LB_FIELD_BOOL,
    LB_FIELD_F64,
    LB_FIELD_LATER_F64, /* the same, newer than the first results: written only where some row is not NaN */
    LB_FIELD_STR,       /* const char *; NULL is written as "" */
    LB_FIELD_LATER_STR, /* the same, newer than the first results: a column is written only where some row has a text */
    LB_FIELD_CHARS      /* char[size] */
} lb_field_type;

typedef struct lb_field {
    const char *name;
    lb_field_type type;
    size_t offset, size;
} lb_field;

typedef struct lb_fields {
    const lb_field *at;
    size_t n;
} lb_fields;

/* One field of a row: an integer of any of these types, or a text. LB_E_FORMAT: a text too long or a
 * number too large for its place; `object` names it. */
bool lb_field_is_text(const lb_field *f);
bool lb_field_is_real(const lb_field *f);
const char *lb_field_text(const lb_field *f, const void *row);
int64_t lb_field_int(const lb_field *f, const void *row);
LB_NODISCARD lb_status lb_field_set_text(const lb_field *f, void *row, const char *object, char *v);
LB_NODISCARD lb_status lb_field_set_int(const lb_field *f, void *row, const char *object, int64_t v);

/* A struct as attributes of `object`. */
LB_NODISCARD lb_status lb_fields_put_attrs(lb_h5 *h, const char *object, lb_fields f, const void *values);
LB_NODISCARD lb_status lb_fields_get_attrs(lb_h5 *h, lb_arena *a, const char *object, lb_fields f, void *values);
/* An array of structs as one dataset a field below `group`, which must exist or be made by a first column. */
LB_NODISCARD lb_status lb_fields_put_columns(lb_h5 *h, const char *group, lb_fields f, const void *rows, size_t stride,
                                             int64_t n);
LB_NODISCARD lb_status lb_fields_get_columns(lb_h5 *h, lb_arena *a, const char *group, lb_fields f, void *rows,
                                             size_t stride, int64_t n);

/* The tables of a record (store_tables.c). */
extern const lb_fields lb_record_fields; /* root attributes */
extern const lb_fields lb_layer_fields;  /* columns of /layers */
extern const lb_fields lb_eval_fields;   /* attributes of /eval/i */
extern const lb_fields lb_accept_fields; /* and of one with `speculative` */
extern const lb_fields lb_size_fields;   /* attributes of /size */
extern const lb_fields lb_host_fields;   /* attributes of /host */
/* Attributes of /generation, and of /host besides, of a record with a continuation. */
extern const lb_fields lb_continuation_fields, lb_speed_fields;

#endif

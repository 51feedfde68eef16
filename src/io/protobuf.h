/* The wire format of protocol buffers, as far as a SentencePiece model needs it: one field after another, every length
 * checked. What a field means is for whoever reads it to say, by its number; fields that are not known are passed over.
 * A reader of our own because the whole format is four cases, the bytes are not trusted, and a generated parser would
 * copy a vocabulary only to be copied from again. */
#ifndef LB_IO_PROTOBUF_H
#define LB_IO_PROTOBUF_H

#include <stddef.h>

#include "base/status.h"

typedef struct lb_pb {
    const char *name; /* the file, for messages */
    const uint8_t *data;
    size_t size, at; /* the message's bytes; where the next field begins */
    size_t base;     /* where the message begins in the file, for messages */
} lb_pb;

typedef enum lb_pb_wire { LB_PB_VARINT = 0, LB_PB_FIXED64 = 1, LB_PB_BYTES = 2, LB_PB_FIXED32 = 5 } lb_pb_wire;
typedef struct lb_pb_field {
    uint32_t number;
    lb_pb_wire wire;
    uint64_t value;       /* of the three numeric kinds */
    const uint8_t *bytes; /* of LB_PB_BYTES: a view */
    size_t n;
    size_t at; /* of the field, in the file */
} lb_pb_field;

/* The next field; *there false behind the last. errors  LB_E_FORMAT naming file and place: cut short, no such kind */
LB_NODISCARD lb_status lb_pb_next(lb_pb *m, lb_pb_field *f, bool *there);
/* The field's value as what it must be. errors  LB_E_FORMAT naming it: another kind, out of range */
LB_NODISCARD lb_status lb_pb_message(const lb_pb *m, const lb_pb_field *f, const char *what, lb_pb *out);
LB_NODISCARD lb_status lb_pb_bytes(const lb_pb *m, const lb_pb_field *f, const char *what, const char **s, size_t *n);
LB_NODISCARD lb_status lb_pb_float(const lb_pb *m, const lb_pb_field *f, const char *what, float *out);
LB_NODISCARD lb_status lb_pb_int(const lb_pb *m, const lb_pb_field *f, const char *what, int32_t *out);
LB_NODISCARD lb_status lb_pb_bool(const lb_pb *m, const lb_pb_field *f, const char *what, bool *out);

#endif

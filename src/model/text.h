/* A text as its bytes: a mapped file, all that a pipe gives, or what either holds as gzip data. */
#ifndef LB_MODEL_TEXT_H
#define LB_MODEL_TEXT_H

#include "base/fs.h"
#include "base/hash.h"

#define LB_TEXT_PIPE_MOST ((size_t)1 << 30) /* bytes that are kept of a pipe, and of gzip data */

typedef struct lb_textfile {
    const char *path;          /* the caller's */
    const char *s;             /* (n) the text */
    size_t n, mark;            /* mark: bytes before s in the file, a UTF-8 byte-order mark */
    char hash[LB_HASH_HEX];    /* of all the bytes as they lie there, packed or not, the mark too */
    char content[LB_HASH_HEX]; /* of the text, the mark too: another one where it is packed */
    lb_map map;
    char *own; /* the bytes, where they are not the file's; lb_free */
} lb_textfile;

/* gzip data is unpacked. What else is known to be no UTF-8 (UTF-16, UTF-32, archives, other compressed files) is
 * LB_E_FORMAT naming its kind; so is an empty file. Bytes that are not UTF-8 within a text are the reader's concern. */
LB_NODISCARD lb_status lb_textfile_open(const char *path, lb_textfile *out);
void lb_textfile_close(lb_textfile *t); /* {0} is fine */

#endif

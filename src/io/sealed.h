/* Files that the program writes for itself and reads back: what may be made again, at a price. Named arrays of numbers,
 * each cut into pieces with a SHA-256 of its own, and a table of those with its own in the header, so that every byte
 * is under a hash, pieces can be written from several threads and in any order, and an array larger than memory is read
 * and checked piece by piece. A file appears whole or not at all.
 *
 * header   256 bytes: "LBSEALED", version, sections, start and length of the table (int64), kind (16 bytes), key (160),
 *          SHA-256 of header and table with zeros in this place
 * data     the pieces, section after section, numbers as this machine has them
 * table    for each section: name (48 bytes), type, count, values a piece, start (int64), SHA-256 of each piece */
#ifndef LB_IO_SEALED_H
#define LB_IO_SEALED_H

#include "base/team.h"

typedef enum lb_sealed_type { LB_SEALED_U8, LB_SEALED_I64, LB_SEALED_F32, LB_SEALED_F64 } lb_sealed_type;
typedef struct lb_sealed lb_sealed;

/* kind: what it holds, up to 15 bytes; key: of what, up to 159. */
LB_NODISCARD lb_status lb_sealed_create(const char *path, const char *kind, const char *key, lb_sealed **out);
/* A section of count values, `piece` of which belong together (0: a MiB's worth). From one thread. */
LB_NODISCARD lb_status lb_sealed_add(lb_sealed *s, const char *name, lb_sealed_type type, int64_t count, int64_t piece,
                                     int64_t *section);
/* Values [first, first + count) of it: whole pieces, each once. Different pieces from different threads. */
LB_NODISCARD lb_status lb_sealed_put(lb_sealed *s, int64_t section, int64_t first, int64_t count, lb_team *team,
                                     const void *values);
/* Both for a whole section. */
LB_NODISCARD lb_status lb_sealed_put_all(lb_sealed *s, const char *name, lb_sealed_type type, int64_t count,
                                         lb_team *team, const void *values);
/* Table, header, sync, rename. LB_E_ARG: a piece was never put. */
LB_NODISCARD lb_status lb_sealed_commit(lb_sealed *s);
void lb_sealed_close(lb_sealed *s); /* without commit: removed; NULL is fine */

/* Header and table are checked here, pieces when they are read. LB_E_FORMAT: not such a file, damaged, of another kind
 * or key. */
LB_NODISCARD lb_status lb_sealed_open(const char *path, const char *kind, const char *key, lb_sealed **out);
/* LB_E_FORMAT: there is none of this name and type. */
LB_NODISCARD lb_status lb_sealed_find(const lb_sealed *s, const char *name, lb_sealed_type type, int64_t *section,
                                      int64_t *count);
int64_t lb_sealed_piece(const lb_sealed *s, int64_t section); /* values */
/* Whole pieces, as lb_sealed_put. LB_E_FORMAT: the file does not hold what was written. */
LB_NODISCARD lb_status lb_sealed_get(lb_sealed *s, int64_t section, int64_t first, int64_t count, lb_team *team,
                                     void *values);
/* A whole section of just `count` values. */
LB_NODISCARD lb_status lb_sealed_get_all(lb_sealed *s, const char *name, lb_sealed_type type, int64_t count,
                                         lb_team *team, void *values);
bool lb_sealed_damaged(const lb_sealed *s); /* a read found that, or that it cannot be read */
/* What was read is as it was sealed, and cannot be what it stands for: damaged all the same. LB_E_FORMAT with the text,
 * the file's name before it. */
LB_NODISCARD lb_status lb_sealed_refuse(lb_sealed *s, const char *fmt, ...) LB_PRINTF(2, 3);

#endif

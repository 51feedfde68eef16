/* HDF5, thinly: what results need. Paths are absolute inside the file ("/layers/name"); missing groups are made. HDF5
 * is not thread-safe: call from one thread. Nothing is written that changes from run to run (no timestamps), so equal
 * data gives equal bytes. A file begins with 512 bytes of text that hold the SHA-256 of the rest (h5py and h5dump skip
 * them), checked at opening: damage is found before anything is read.
 *
 * Opening reads all of the file, in a child process with limits of memory and time: whatever is in it, the end is a
 * status. Results are small; more than 64 MiB of values are refused. A file may also hold one long run of bytes, which
 * opening does not read: it is outside the seal, and whoever needs it reads parts of it, whose checksums are elsewhere
 * in the file. */
#ifndef LB_IO_H5_H
#define LB_IO_H5_H

#include "base/mem.h"

typedef struct lb_h5 lb_h5;
LB_NODISCARD lb_status lb_h5_create(const char *path, lb_h5 **out); /* plain; the caller uses lb_fs_tmp for atomicity */
LB_NODISCARD lb_status lb_h5_open(const char *path, lb_h5 **out);   /* read-only; not sealed HDF5 is LB_E_FORMAT, and so
                                                                     * is what HDF5 cannot read within its limits */
/* Does it begin as such a file does? */
bool lb_h5_is_sealed(const char *path);
/* The SHA-256 of a file as an index has it: of all of it, or, where it holds a run of bytes, of all but that. */
LB_NODISCARD lb_status lb_h5_hash(const char *path, char hex[65]);
/* The message of a failure as "PATH is damaged: why" (LB_E_FORMAT) or "PATH: why", for what else is wrong with a file.
 */
LB_NODISCARD lb_status lb_h5_blame(lb_status st, const char *path);
/* Files that are going to be opened in this order: one child reads ahead, since to start one for each takes longer than
 * to read it. The paths must stay valid. What is not the next of them, or with no reader (NULL), is read when it is
 * opened. */
typedef struct lb_h5_reader lb_h5_reader;
LB_NODISCARD lb_status lb_h5_reader_new(const char *const *path, size_t n, lb_h5_reader **out);
LB_NODISCARD lb_status lb_h5_open_ahead(lb_h5_reader *r, const char *path, lb_h5 **out);
void lb_h5_reader_free(lb_h5_reader *r);      /* NULL is fine */
LB_NODISCARD lb_status lb_h5_close(lb_h5 *h); /* flushes: its status matters after writing */
void lb_h5_abandon(lb_h5 *h);                 /* close on an error path; NULL is fine */

/* A path that is already there is LB_E_ARG. After LB_E_IO (disk full) the file is lost, and lb_h5_close says so. */
LB_NODISCARD lb_status lb_h5_put_f64(lb_h5 *h, const char *path, const double *v, int ndim, const int64_t *shape);
LB_NODISCARD lb_status lb_h5_put_i64(lb_h5 *h, const char *path, const int64_t *v, int ndim, const int64_t *shape);
LB_NODISCARD lb_status lb_h5_put_strs(lb_h5 *h, const char *path, const char *const *v,
                                      int64_t n); /* variable-length UTF-8 */
/* The file's run of n bytes, uint8: `read` gives values [first, first + n), in order and some at a time. A second is
 * LB_E_ARG. */
typedef lb_status lb_h5_source(void *ctx, int64_t first, int64_t n, void *to);
LB_NODISCARD lb_status lb_h5_put_bytes(lb_h5 *h, const char *path, int64_t n, lb_h5_source *read, void *ctx);
/* attributes of a group or dataset; the object "/" is the file */
LB_NODISCARD lb_status lb_h5_attr_str(lb_h5 *h, const char *object, const char *name, const char *v);
LB_NODISCARD lb_status lb_h5_attr_f64(lb_h5 *h, const char *object, const char *name, double v);
LB_NODISCARD lb_status lb_h5_attr_i64(lb_h5 *h, const char *object, const char *name, int64_t v);

bool lb_h5_has(lb_h5 *h, const char *path); /* object */
bool lb_h5_has_attr(lb_h5 *h, const char *object, const char *name);
/* Shapes up to 4 dimensions; wrong type, rank or a missing object is LB_E_FORMAT naming file and path. Data from the
 * arena. */
LB_NODISCARD lb_status lb_h5_shape(lb_h5 *h, const char *path, int *ndim, int64_t shape[4]);
LB_NODISCARD lb_status lb_h5_get_f64(lb_h5 *h, lb_arena *a, const char *path, double **v,
                                     int64_t *n); /* all elements, row-major */
LB_NODISCARD lb_status lb_h5_get_i64(lb_h5 *h, lb_arena *a, const char *path, int64_t **v, int64_t *n);
/* How many bytes a run of them has; and bytes [first, first + n) of it, read from the file itself, nothing checked but
 * that they are there. */
LB_NODISCARD lb_status lb_h5_bytes(lb_h5 *h, const char *path, int64_t *n);
LB_NODISCARD lb_status lb_h5_get_bytes(lb_h5 *h, const char *path, int64_t first, int64_t n, void *to);
LB_NODISCARD lb_status lb_h5_get_strs(lb_h5 *h, lb_arena *a, const char *path, char ***v, int64_t *n);
LB_NODISCARD lb_status lb_h5_get_attr_str(lb_h5 *h, lb_arena *a, const char *object, const char *name, char **v);
LB_NODISCARD lb_status lb_h5_get_attr_f64(lb_h5 *h, const char *object, const char *name, double *v);
LB_NODISCARD lb_status lb_h5_get_attr_i64(lb_h5 *h, const char *object, const char *name, int64_t *v);

#endif

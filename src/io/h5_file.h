/* Inside of an open HDF5 file: shared by h5.c (files, groups, writing) and h5_read.c (reading). */
#ifndef LB_IO_H5_FILE_H
#define LB_IO_H5_FILE_H

#include <hdf5.h>

#include "io/h5.h"

/* A run of bytes of a file. */
typedef struct lb_h5_place {
    size_t at, n; /* n 0: none */
} lb_h5_place;

struct lb_h5 {
    hid_t file;
    char *path;
    bool writable;
    bool lost;               /* something could not be written: the file will never be whole */
    lb_h5_place bytes;       /* what lb_h5_put_bytes wrote */
    struct lb_h5_tree *tree; /* of a file open for reading: all that is in it; then `file` is none */
};

/* Opens with HDF5 in this process: for the child that reads. */
LB_NODISCARD lb_status lb_h5_open_here(const char *path, lb_h5 **out);
/* A handle without a file. */
LB_NODISCARD lb_status lb_h5_handle(const char *path, lb_h5 **out);

#define LB_H5_SEAL 512 /* bytes before the HDF5 data; HDF5 wants a power of two from 512 */
/* Both for a file that is closed: writes its checksum in front, of all but `own`, bytes that have their own;
 * LB_E_FORMAT unless it is there and right. *sealed: the size without what is left out. */
LB_NODISCARD lb_status lb_h5_seal(const char *path, const lb_h5_place *own);
LB_NODISCARD lb_status lb_h5_check_seal(const char *path, size_t *sealed);

/* "file: object: cannot WHAT: " and the innermost message of HDF5's error stack. Call right after what failed. LB_E_IO
 * means that a write failed: the file is lost. */
LB_NODISCARD lb_status lb_h5_failed(lb_h5 *h, lb_status code, const char *object, const char *what);
/* Closes any kind of identifier; negative ones are fine. false: what was still to be written could not be. */
bool lb_h5_drop(hid_t id);
#define LB_H5_PATH 1024
/* Object paths begin with '/', have no empty parts and are shorter than LB_H5_PATH; "/" itself only where asked.
 * LB_E_ARG. */
LB_NODISCARD lb_status lb_h5_check_path(const lb_h5 *h, const char *path, bool root_too);
/* LB_E_ARG: opened for reading; LB_E_IO: lost. */
LB_NODISCARD lb_status lb_h5_check_writable(const lb_h5 *h, const char *path);

#endif

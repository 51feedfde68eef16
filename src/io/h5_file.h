/* Inside of an open HDF5 file: shared by h5.c (files, groups, writing) and h5_read.c (reading). */
#ifndef LB_IO_H5_FILE_H
#define LB_IO_H5_FILE_H

#include <hdf5.h>

#include "io/h5.h"

struct lb_h5 {
    hid_t file;
    char *path;
};

/* "file: object: cannot WHAT: " and the innermost message of HDF5's error stack. Call right after what failed. */
LB_NODISCARD lb_status lb_h5_failed(const lb_h5 *h, lb_status code, const char *object, const char *what);
/* Closes any kind of identifier; negative ones are fine. false: what was still to be written could not be. */
bool lb_h5_drop(hid_t id);
/* Object paths begin with '/' and have no empty parts; "/" itself only where asked. LB_E_ARG. */
LB_NODISCARD lb_status lb_h5_check_path(const lb_h5 *h, const char *path, bool root_too);

#endif

/* The seal: HDF5 keeps no checksum of its heap of strings nor of data. So each file begins with a user block (which
 * every HDF5 program skips) that holds the SHA-256 of all that follows, and a file that does not match is not given to
 * the library. It finds accidents; against somebody who writes it again stands the child that reads (h5_walk.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "io/h5_file.h"

/* block: LB_H5_SEAL bytes */
static lb_status make_seal(const lb_map *m, char *block) {
    char hex[LB_HASH_HEX];
    LB_TRY(lb_hash_mapped(m->data + LB_H5_SEAL, m->size - LB_H5_SEAL, hex));
    memset(block, 0, LB_H5_SEAL);
    snprintf(block, LB_H5_SEAL, "Lowbit HDF5 file. SHA-256 of everything after these %d bytes:\n%s\n", LB_H5_SEAL, hex);
    return LB_OK;
}

static lb_status write_seal(const char *path, const char *block) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return lb_fail(LB_E_IO, "%s: cannot open: %s", path, strerror(errno));
    errno = EIO; /* of a short write */
    lb_status s = LB_OK;
    if (pwrite(fd, block, LB_H5_SEAL, 0) != LB_H5_SEAL)
        s = lb_fail(LB_E_IO, "%s: cannot write: %s", path, strerror(errno));
    if (close(fd) && s == LB_OK) s = lb_fail(LB_E_IO, "%s: cannot close: %s", path, strerror(errno));
    return s;
}

lb_status lb_h5_seal(const char *path) {
    lb_map m;
    char block[LB_H5_SEAL];
    LB_TRY(lb_map_open(path, &m));
    lb_status s =
        m.size < LB_H5_SEAL ? lb_fail(LB_E_IO, "%s: cut short while it was written", path) : make_seal(&m, block);
    lb_map_close(&m);
    if (s == LB_OK) s = write_seal(path, block);
    return s;
}

static lb_status compare_seal(const lb_map *m, const char *path) {
    char block[LB_H5_SEAL];
    LB_TRY(make_seal(m, block));
    if (memcmp(m->data, block, LB_H5_SEAL) == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT,
                   "%s: its SHA-256 is not the one it begins with: it was damaged or changed since it was written",
                   path);
}

lb_status lb_h5_check_seal(const char *path) {
    static const char begin[] = "Lowbit HDF5 file.";
    static const uint8_t hdf5[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    lb_map m;
    LB_TRY(lb_map_open(path, &m));
    lb_status s = LB_OK;
    if (m.size >= sizeof hdf5 && !memcmp(m.data, hdf5, sizeof hdf5))
        s = lb_fail(LB_E_FORMAT, "%s: an HDF5 file, but not one of this program: it has no checksum in front", path);
    else if (m.size < LB_H5_SEAL || memcmp(m.data, begin, sizeof begin - 1))
        s = lb_fail(LB_E_FORMAT, "%s: not an HDF5 file of this program", path);
    else
        s = compare_seal(&m, path);
    lb_map_close(&m);
    return s;
}

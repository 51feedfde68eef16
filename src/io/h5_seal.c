/* The seal: HDF5 keeps no checksum of its heap of strings nor of data. So each file begins with a user block (which
 * every HDF5 program skips) that holds the SHA-256 of all that follows, and a file that does not match is not given to
 * the library. It finds accidents; against somebody who writes it again stands the child that reads (h5_walk.c). One
 * run of bytes may be left out, so that who does not need it does not read it: its checksums are in what is sealed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "io/h5_file.h"

static const char begin[] = "Lowbit HDF5 file.", but[] = " but the %zu from byte %zu on (they have their own)";

/* block: LB_H5_SEAL bytes */
static lb_status make_seal(const char *path, const lb_h5_place *own, char *block) {
    char hex[LB_HASH_HEX], except[128] = "";
    LB_TRY(lb_hash_file_without(path, LB_H5_SEAL, own->at, own->n, hex));
    if (own->n > 0) snprintf(except, sizeof except, but, own->n, own->at);
    memset(block, 0, LB_H5_SEAL);
    snprintf(block, LB_H5_SEAL, "%s SHA-256 of everything after these %d bytes%s:\n%s\n", begin, LB_H5_SEAL, except,
             hex);
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

/* The first bytes of a file, zeros where it ends before, and its size. */
static lb_status read_seal(const char *path, char *block, size_t *size) {
    int fd;
    memset(block, 0, LB_H5_SEAL);
    LB_TRY(lb_fs_open(path, &fd, size));
    ssize_t n = pread(fd, block, LB_H5_SEAL, 0);
    lb_status s = n < 0 ? lb_fail(LB_E_IO, "%s: cannot read: %s", path, strerror(errno)) : LB_OK;
    close(fd);
    return s;
}

lb_status lb_h5_seal(const char *path, const lb_h5_place *own) {
    char block[LB_H5_SEAL];
    size_t size = 0;
    LB_TRY(read_seal(path, block, &size));
    if (size < LB_H5_SEAL || own->at + own->n > size)
        return lb_fail(LB_E_IO, "%s: cut short while it was written", path);
    LB_TRY(make_seal(path, own, block));
    return write_seal(path, block);
}

/* What a seal leaves out; false: it says what cannot be. */
static bool left_out(const char *block, size_t size, lb_h5_place *own) {
    char text[LB_H5_SEAL + 1];
    memcpy(text, block, LB_H5_SEAL);
    text[LB_H5_SEAL] = 0;
    const char *at = strstr(text, " but the ");
    *own = (lb_h5_place){0};
    if (!at) return true;
    if (sscanf(at, but, &own->n, &own->at) != 2) return false;
    return own->n > 0 && own->at >= LB_H5_SEAL && own->at <= size && own->n <= size - own->at;
}

bool lb_h5_is_sealed(const char *path) {
    char block[LB_H5_SEAL];
    size_t size = 0;
    if (read_seal(path, block, &size) == LB_OK) return memcmp(block, begin, sizeof begin - 1) == 0;
    lb_error_clear();
    return false;
}

lb_status lb_h5_check_seal(const char *path, size_t *sealed) {
    static const uint8_t hdf5[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    char have[LB_H5_SEAL], want[LB_H5_SEAL];
    size_t size = 0;
    lb_h5_place own;
    LB_TRY(read_seal(path, have, &size));
    if (!memcmp(have, hdf5, sizeof hdf5))
        return lb_fail(LB_E_FORMAT, "%s: an HDF5 file, but not one of this program: it has no checksum in front", path);
    if (size < LB_H5_SEAL || memcmp(have, begin, sizeof begin - 1))
        return lb_fail(LB_E_FORMAT, "%s: not an HDF5 file of this program", path);
    bool fits = left_out(have, size, &own);
    if (fits) LB_TRY(make_seal(path, &own, want));
    *sealed = size - own.n;
    if (fits && memcmp(have, want, LB_H5_SEAL) == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT,
                   "%s: its SHA-256 is not the one it begins with: it was damaged or changed since it was written",
                   path);
}

lb_status lb_h5_hash(const char *path, char hex[LB_HASH_HEX]) {
    char block[LB_H5_SEAL];
    size_t size = 0;
    lb_h5_place own;
    LB_TRY(read_seal(path, block, &size));
    if (memcmp(block, begin, sizeof begin - 1) != 0 || !left_out(block, size, &own)) own = (lb_h5_place){0};
    return lb_hash_file_without(path, 0, own.at, own.n, hex);
}

/* For the parser tests and the fuzz targets: bytes behind a path, readers that touch everything a parser gives, and
 * sweeps that damage a small file in every place. */
#ifndef TESTS_SUPPORT_IO_PROBE_H
#define TESTS_SUPPORT_IO_PROBE_H

#include "base/status.h"

/* An unnamed file in memory that can be opened by path. */
typedef struct memfile {
    int fd;
    char path[40];
} memfile;
memfile memfile_make(const void *data, size_t size);
void memfile_set(const memfile *m, size_t at, uint8_t value);
void memfile_resize(const memfile *m, size_t size);
void memfile_close(memfile *m);

/* Opens, reads every value that the parser can give, closes. The status is the first failure's. */
typedef lb_status (*io_probe)(const char *path);
lb_status probe_gguf(const char *path);
lb_status probe_safetensors(const char *path);
lb_status probe_json(const char *path);
lb_status probe_yaml(const char *path); /* also: written and parsed again it is the same tree */
lb_status probe_csv(const char *path);  /* also: written and parsed again it is the same table */
lb_status probe_h5(const char *path);   /* the objects of the h5 test's file */

/* All bytes of a file; abort()s without it. Free with free(). */
uint8_t *slurp(const char *path, size_t *size);

/* Runs the probe on these bytes; aborts unless it ends in LB_OK or one of the two errors with a message. */
void probe_bytes(io_probe probe, const uint8_t *data, size_t size, lb_status a, lb_status b);

/* Runs the probe on every proper prefix, then on the file with every byte of [from, to) changed to several values.
 * The probe must end in LB_OK or in one of the two given errors with a message, within a bounded address space.
 * Both return how many of the damaged files were accepted. */
int64_t sweep_prefixes(io_probe probe, const char *path, lb_status a, lb_status b);
int64_t sweep_bytes(io_probe probe, const char *path, size_t from, size_t to, lb_status a, lb_status b);
/* Makes the 1st, 2nd, 3rd, ... allocation fail until none is left to fail; returns how many were failed. Every failure
 * must come back as LB_E_NOMEM. */
int64_t sweep_allocations(io_probe probe, const char *path);

#endif

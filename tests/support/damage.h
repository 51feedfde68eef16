/* Results folders as somebody would make them who wants to harm a reader: a whole folder of two cells, one of whose
 * files is damaged, with both of its checksums written again, so that only what is in it speaks against it. */
#ifndef LB_TESTS_DAMAGE_H
#define LB_TESTS_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

typedef struct damage_count {
    int64_t read;           /* taken for whole: what was changed does not matter, or makes another true record */
    int64_t refused;        /* said to be damaged after a look */
    int64_t crashed, stuck; /* said to be damaged because the process that read it ended, or took too long */
    int64_t parent, child;  /* largest resident memory, bytes */
} damage_count;

/* Makes the folder; damages the file `rounds` times, from this seed, reading it each time and, where it can be read,
 * making tables of it. Fails the running test if the reader ends in anything but LB_OK or "FILE is damaged". Every
 * `program`th time (0: never) the program reports the folder too, and must end with 0 or 1. */
damage_count damage_rounds(const char *dir, uint64_t seed, int64_t rounds, int64_t program);

/* The folder as it is, and its damaged file's path. */
void damage_make(const char *dir, char path[4096]);
/* Writes the file with its checksum and that of the index made right. size: at least 512. */
void damage_write(const char *dir, uint8_t *bytes, size_t size);

#endif

/* Two HDF5 files compared through the HDF5 library alone, not through the project's reader: what nobody reads back is
 * seen too. */
#ifndef LB_TESTS_H5_SAME_H
#define LB_TESTS_H5_SAME_H

#include <stdint.h>

/* Every group, dataset and attribute of each must be in the other with the same type, shape and bytes, but for objects
 * at and below the group `but` (NULL: none). The test fails naming the first that differs. Returns how many datasets
 * and attributes were compared. */
int64_t h5_same(const char *a, const char *b, const char *but);

#endif

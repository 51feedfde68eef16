/* Sealed files that were forged, not damaged. */
#ifndef LB_TESTS_FORGE_H
#define LB_TESTS_FORGE_H

#include <stddef.h>

/* Writes n bytes at the start of a section of a sealed file (io/sealed.h has the layout) and makes its hashes right
 * again. */
void forge(const char *path, const char *section, const void *bytes, size_t n);

#endif

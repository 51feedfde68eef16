/* The program where memory is short: it works, or says that it is out of memory and ends with 1, leaves no temporary
 * files, and what it had finished is kept. In a folder of tests/support/sweep_kit.h. */
#ifndef TESTS_SUPPORT_STARVE_KIT_H
#define TESTS_SUPPORT_STARVE_KIT_H

#include <stdbool.h>

int starve_setup(void **state); /* make_model, a config, and what it gives when nothing fails */

/* One allocation fails: at so many places, spread over all that a command makes, those of libraries (of == "library")
 * or all of them (""). from: it and all after it. */
void starve_inject(const char *command, const char *of, int places, bool from);
extern const char *const starve_commands[]; /* NULL-terminated; for starve_inject */
/* Each of the last allocations fails alone: what is left to do after a folder or a file appeared must not fail. Also
 * for "train", "quantize --profile" and "eval --json". */
void starve_at_the_end(const char *command, int places);

/* Limits of address space from 60 MB to 2 GB, in so many steps. */
void starve_limit(const char *command, int threads, int steps);

#endif

/* Exact expected outputs: files under tests/fixtures. With LOWBIT_UPDATE=1 in the environment a test writes what it got
 * instead of comparing; look at the difference before committing it. */
#ifndef TESTS_SUPPORT_EXPECTED_OUTPUT_H
#define TESTS_SUPPORT_EXPECTED_OUTPUT_H

/* Fails with the first line that differs. `name` is below tests/fixtures: "report/main.txt". */
void expect_output(const char *name, const char *got);
/* The same of a file by its path in the tree, "docs/config.md": of what stands behind the line that begins with
 * `begin`, until the one that begins with `end`. NULL: the whole file; until its end. */
void expect_part(const char *file, const char *begin, const char *end, const char *got);

#endif

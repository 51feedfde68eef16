/* What test programs share: cmocka, folders to write in, fixtures, source files found by their hash. */
#ifndef LB_TESTS_SUPPORT_H
#define LB_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

enum { LB_TEST_PATH = 4096 };

/* Sanitizers have allocators and limits of their own, and take several times as long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
#define LB_TEST_SANITIZED 1
#else
#define LB_TEST_SANITIZED 0
#endif

/* A fresh, empty folder (below $TMPDIR or /tmp), removed with all it holds when the program ends. */
const char *lb_test_tmpdir(void);
/* The path of a file or folder named from the repository's root ("tests/fixtures/x.json"). The root is $LOWBIT_ROOT,
 * else the nearest folder at or above the current one that has tests/support. Fails the test if it is not there. */
void lb_test_fixture(const char *name, char path[LB_TEST_PATH]);
/* The path of the file with this SHA-256 below $LOWBIT_SOURCES or data/cache. When there is none the test is skipped,
 * or fails if CI=true. Lists named SHA256SUMS in those folders save hashing every file; what is found is hashed. */
void lb_test_source(const char *sha256, char path[LB_TEST_PATH]);

/* The bytes that hexadecimal digits stand for, and a NUL behind them; lb_free. Fails the test where they are none. */
char *lb_test_unhex(const char *hex, size_t *n);

/* assert_ok(call): LB_OK, or the test fails with the error's message. assert_status(code, call): exactly that code. */
#define assert_ok(call)           lb_test_expect(LB_OK, (call), #call, __FILE__, __LINE__)
#define assert_status(code, call) lb_test_expect((code), (call), #call, __FILE__, __LINE__)
/* The message of the last failure contains this text. */
#define assert_error_has(text) lb_test_error_has((text), __FILE__, __LINE__)
void lb_test_expect(lb_status want, lb_status got, const char *call, const char *file, int line);
void lb_test_error_has(const char *text, const char *file, int line);

#endif

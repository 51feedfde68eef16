/* Status codes and the thread-local error message.
 *
 * Every function that can fail returns lb_status; the message of the last failure says what, where,
 * value and expected: "configs/w4.yaml:12: bits = 9: must be in [2, 8] (method gptq)".
 * Below cli/ nobody prints, exits or aborts; assert is for programmer errors only. */
#ifndef LB_BASE_STATUS_H
#define LB_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_NODISCARD          __attribute__((warn_unused_result))
#define LB_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

typedef enum lb_status {
    LB_OK = 0,
    LB_E_ARG,         /* an argument of a call or of the command line makes no sense */
    LB_E_CONFIG,      /* a config file says something impossible */
    LB_E_IO,          /* the operating system refused: open, read, write, rename, disk full */
    LB_E_FORMAT,      /* a file is truncated, corrupt, or not what it claims to be */
    LB_E_UNSUPPORTED, /* well formed, but this program cannot do it (architecture, type, tokenizer) */
    LB_E_NOMEM,       /* an allocation failed */
    LB_E_NUMERIC,     /* NaN, infinity, failed factorization */
    LB_E_INTERRUPTED  /* lb_interrupt_request() was called (Ctrl-C) */
} lb_status;

/* Sets this thread's message and returns code, for `return lb_fail(...)`. */
LB_NODISCARD lb_status lb_fail(lb_status code, const char *fmt, ...) LB_PRINTF(2, 3);

/* Puts "context: " before the current message and returns code. */
LB_NODISCARD lb_status lb_fail_in(lb_status code, const char *fmt, ...) LB_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* The analyzer sees one file at a time: this tells it that a failure is never LB_OK. */
#define lb_fail(code, ...)    ((void)(lb_fail)(code, __VA_ARGS__), (code))
#define lb_fail_in(code, ...) ((void)(lb_fail_in)(code, __VA_ARGS__), (code))
#endif

/* The message of this thread's last failure; "" when there was none. Valid until the next failure. */
const char *lb_error(void);
/* The frames that LB_TRY passed through, innermost first, one a line ("file.c:12 function"). */
const char *lb_error_frames(void);
void lb_error_clear(void);
/* Used by LB_TRY and the thread team. */
void lb_error_frame(const char *file, int line, const char *func);
void lb_error_set(const char *message, const char *frames);

/* Calls; on failure adds a frame and returns the status. */
#define LB_TRY(call)                                                                                                   \
    do {                                                                                                               \
        lb_status lb_try_status_ = (call);                                                                             \
        if (lb_try_status_ != LB_OK) {                                                                                 \
            lb_error_frame(__FILE__, __LINE__, __func__);                                                              \
            return lb_try_status_;                                                                                     \
        }                                                                                                              \
    } while (0)

/* The same for functions with clean-up: sets `status` and jumps. */
#define LB_TRY_GOTO(status, label, call)                                                                               \
    do {                                                                                                               \
        (status) = (call);                                                                                             \
        if ((status) != LB_OK) {                                                                                       \
            lb_error_frame(__FILE__, __LINE__, __func__);                                                              \
            goto label;                                                                                                \
        }                                                                                                              \
    } while (0)

/* A library was refused so many bytes. Any thread may call it, at any time; the first call counts. */
void lb_starved(size_t bytes);
size_t lb_starved_bytes(void); /* 0: none was */
/* LB_E_NOMEM if that happened: what follows is not to be trusted, or may fail for other reasons. */
LB_NODISCARD lb_status lb_starved_check(void);

/* Ctrl-C: the signal handler requests, long loops poll lb_interrupt_check() at every unit of work.
 * It looks for lb_starved too. */
void lb_interrupt_request(void);
void lb_interrupt_clear(void); /* for whoever handled it, and for tests; forgets that memory was out, too */
bool lb_interrupted(void);
LB_NODISCARD lb_status lb_interrupt_check(void);

#endif

#include "base/status.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Fixed buffers: reporting that memory is out must not need memory. */
enum { MESSAGE_BYTES = 2048, FRAMES_BYTES = 2048 };
static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local char frames[FRAMES_BYTES];

/* The text may quote lb_error() itself, so it is built aside; one that is too long ends in "...". */
static void build(char out[MESSAGE_BYTES], const char *fmt, va_list ap) {
    int n = vsnprintf(out, MESSAGE_BYTES, fmt, ap);
    if (n < 0) snprintf(out, MESSAGE_BYTES, "(message could not be formatted: %.200s)", fmt);
    if (n >= MESSAGE_BYTES) memcpy(out + MESSAGE_BYTES - 4, "...", 4);
}

lb_status(lb_fail)(lb_status code, const char *fmt, ...) {
    char text[MESSAGE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    build(text, fmt, ap);
    va_end(ap);
    memcpy(message, text, sizeof text);
    frames[0] = 0;
    return code;
}

lb_status(lb_fail_in)(lb_status code, const char *fmt, ...) {
    char text[MESSAGE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    build(text, fmt, ap);
    va_end(ap);
    size_t n = strlen(text), room = sizeof text - 1 - n, m = strlen(message) + 2;
    if (m > room) m = room; /* the end of the inner message is cut */
    memcpy(text + n, ": ", m < 2 ? m : 2);
    if (m > 2) memcpy(text + n + 2, message, m - 2);
    text[n + m] = 0;
    memcpy(message, text, sizeof text);
    return code;
}

const char *lb_error(void) { return message; }
const char *lb_error_frames(void) { return frames; }

void lb_error_clear(void) { message[0] = frames[0] = 0; }

void lb_error_frame(const char *file, int line, const char *func) {
    size_t n = strlen(frames);
    snprintf(frames + n, sizeof frames - n, "%s:%d %s\n", file, line, func);
}

void lb_error_set(const char *text, const char *trail) {
    snprintf(message, sizeof message, "%s", text);
    snprintf(frames, sizeof frames, "%s", trail);
}

static _Atomic size_t starved; /* bytes */

void lb_starved(size_t bytes) {
    size_t none = 0;
    atomic_compare_exchange_strong(&starved, &none, bytes);
}

size_t lb_starved_bytes(void) { return atomic_load_explicit(&starved, memory_order_relaxed); }

lb_status lb_starved_check(void) {
    size_t bytes = lb_starved_bytes();
    return bytes ? lb_fail(LB_E_NOMEM, "out of memory: a library was refused %zu bytes", bytes) : LB_OK;
}

static atomic_int interrupted; /* lock-free, so a signal handler may set it */

void lb_interrupt_request(void) { atomic_store(&interrupted, 1); }
void lb_interrupt_clear(void) {
    atomic_store(&interrupted, 0);
    atomic_store(&starved, 0);
}
bool lb_interrupted(void) { return atomic_load_explicit(&interrupted, memory_order_relaxed) != 0; }
lb_status lb_interrupt_check(void) {
    if (lb_interrupted()) return lb_fail(LB_E_INTERRUPTED, "interrupted");
    return lb_starved_check();
}

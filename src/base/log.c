#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void say(lb_log *log, lb_level level, const char *fmt, va_list ap) {
    if (!log || !log->message) return;
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    log->message(log->user, level, text);
}

void lb_debug(lb_log *log, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(log, LB_DEBUG, fmt, ap);
    va_end(ap);
}

void lb_info(lb_log *log, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(log, LB_INFO, fmt, ap);
    va_end(ap);
}

void lb_warn(lb_log *log, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(log, LB_WARN, fmt, ap);
    va_end(ap);
}

void lb_log_step(lb_log *log, const char *stage, const char *detail, int64_t done, int64_t total) {
    if (!log || !log->progress) return;
    double now = lb_clock_s();
    if (strncmp(log->stage, stage, sizeof log->stage - 1) != 0) {
        snprintf(log->stage, sizeof log->stage, "%s", stage);
        log->stage_start_s = now;
    }
    double elapsed = now - log->stage_start_s;
    double left = done > 0 && total >= done ? elapsed * (double)(total - done) / (double)done : -1;
    lb_progress p = {stage, detail ? detail : "", done, total, elapsed, left};
    log->progress(log->user, &p);
}

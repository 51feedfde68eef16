/* Messages and progress, handed to whoever shows them (cli/) or keeps them (run/). Below cli/ nobody prints. */
#ifndef LB_BASE_LOG_H
#define LB_BASE_LOG_H

#include "base/status.h"

typedef enum lb_level { LB_DEBUG, LB_INFO, LB_WARN } lb_level;

/* One progress report: within `stage` ("calibrate", "gptq", "perplexity", ...), done of total units; detail is e.g.
 * "layer 3.down". */
typedef struct lb_progress {
    const char *stage, *detail;
    int64_t done, total;
    double elapsed_s, left_s; /* < 0: unknown */
} lb_progress;

typedef struct lb_log {
    void (*message)(void *user, lb_level level, const char *text); /* may be NULL */
    void (*progress)(void *user, const lb_progress *p);            /* may be NULL */
    void *user;
    double stage_start_s; /* kept by lb_log_step */
    char stage[32];
} lb_log;

void lb_debug(lb_log *log, const char *fmt, ...) LB_PRINTF(2, 3); /* a NULL log drops it, everywhere here */
void lb_info(lb_log *log, const char *fmt, ...) LB_PRINTF(2, 3);
void lb_warn(lb_log *log, const char *fmt, ...) LB_PRINTF(2, 3); /* warnings are also kept in the result */
/* A new stage name restarts the clock that the estimate uses. Call from one thread only. */
void lb_log_step(lb_log *log, const char *stage, const char *detail, int64_t done, int64_t total);

#endif

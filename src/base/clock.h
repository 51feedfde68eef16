#ifndef LB_BASE_CLOCK_H
#define LB_BASE_CLOCK_H

#include "base/status.h"

double lb_clock_s(void);     /* monotonic seconds */
double lb_clock_cpu_s(void); /* processor seconds of the process */
/* Largest resident size of the process, since lb_peak_memory_begin where the system can begin anew (Linux). */
int64_t lb_peak_memory_bytes(void);
bool lb_peak_memory_begin(void);                  /* false: it cannot, and the largest stays that of all before */
void lb_clock_iso(char out[32]);                  /* UTC now, 2026-01-31T12:00:00Z */
void lb_format_duration(double s, char out[32]);  /* "850 ms", "12.3 s", "4 min 05 s", "2 h 03 min" */
void lb_format_bytes(double bytes, char out[32]); /* "512 B", "1.21 MiB" */

#endif

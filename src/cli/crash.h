/* How the program ends when nobody can return an error: a library crashes or calls exit() for want of memory, or a
 * mapped file has lost its pages. A message says so, temporary files are removed, and the exit code is 1. */
#ifndef LB_CLI_CRASH_H
#define LB_CLI_CRASH_H

void lb_crash_begin(const char *command); /* for messages: valid to the end */
void lb_crash_end(void);                  /* the program ends by itself: exit() is its own */

#endif

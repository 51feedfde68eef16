/* Work on what cannot be trusted in a process of its own: a copy of this one that may use only so much memory, time and
 * files, and sends answers through a pipe. Whatever happens to it, a crash or an endless loop, ends as a status here.
 */
#ifndef LB_BASE_CHILD_H
#define LB_BASE_CHILD_H

#include "base/status.h"

/* Runs in the child, where there are no other threads and no open files but `out` (standard input, output and errors
 * lead nowhere). false: it ran out of memory, or nobody reads the answers any more. */
typedef bool lb_child_work(void *user, int out);

typedef struct lb_child {
    long pid; /* 0: none */
    int fd;
} lb_child;

/* memory: bytes of address space that the child may map beyond what is mapped now; the sanitizers have no limit.
 * LB_E_IO or LB_E_NOMEM: no process could be started. */
LB_NODISCARD lb_status lb_child_start(lb_child_work *work, void *user, size_t memory, lb_child *c);
/* The next n bytes of the answer. LB_E_FORMAT: it crashed, or went over a limit. LB_E_NOMEM: it ended, however, after
 * memory was refused to it within its limit. LB_E_INTERRUPTED at the first signal. After a failure the child is gone.
 */
LB_NODISCARD lb_status lb_child_read(lb_child *c, void *to, size_t n, int wall_s);
void lb_child_end(lb_child *c); /* whatever it is doing; harmless when there is none */

/* In the child: from now on that many seconds of processor time; and all of the bytes to the pipe. */
void lb_child_cpu(double seconds);
bool lb_child_write(int out, const void *data, size_t n);

/* Allocators call it when so many bytes were refused, to the program or to a library. true: a child asked for more than
 * its own limit, which is the fault of what it works on and not of a machine without memory. */
bool lb_child_refused(size_t bytes);
typedef enum lb_memory_state { LB_MEMORY_FINE, LB_MEMORY_GREEDY, LB_MEMORY_STARVED } lb_memory_state;
/* In the child: nothing was refused, only what went over its own limit was, or other memory was: then whatever came of
 * it, a failure or a result, is to be had again where there is more. */
lb_memory_state lb_child_memory(void);

#endif

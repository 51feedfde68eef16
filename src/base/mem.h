/* Allocation: overflow-checked, every failure reported, every one can be made to fail by a test;
 * and chunked arenas (lifetimes: run, layer, scratch). Views into an arena never own. */
#ifndef LB_BASE_MEM_H
#define LB_BASE_MEM_H

#include "base/status.h"

/* count * size bytes, zeroed, 64-byte aligned. NULL on overflow or when memory is out, with the
 * error set to LB_E_NOMEM ("out of memory: 123 bytes for ..."): callers return LB_E_NOMEM. */
void *lb_alloc(size_t count, size_t size);
/* Like realloc of an lb_alloc'ed block; new bytes are not zeroed. The old block stays valid on failure. */
void *lb_realloc(void *p, size_t old_count, size_t new_count, size_t size);
void lb_free(void *p);
char *lb_strdup(const char *s);

/* Puts memory aside for libraries that are refused some: they then work on until the program stops, which
 * lb_starved_check tells it. Called once by main. */
void lb_memory_reserve(void);
/* Notes, as of a library, if there is none left: for what failed without telling why, as a child process does. */
void lb_memory_look(void);

/* Test hook: the nth allocation from now (1 = the next) fails; 0 turns it off. Counts arena chunks too. */
void lb_alloc_fail_at(int64_t nth);
/* Allocations made since the last lb_alloc_fail_at() call. */
int64_t lb_alloc_count(void);

typedef struct lb_arena lb_arena;
LB_NODISCARD lb_status lb_arena_new(size_t chunk_bytes, lb_arena **out); /* 0: 1 MiB chunks */
void lb_arena_free(lb_arena *a);                                         /* NULL is fine */
/* Zeroed, 64-byte aligned; NULL with the error set when memory is out. */
void *lb_arena_get(lb_arena *a, size_t count, size_t size);
/* The same, not zeroed: for large arrays that are written before they are read. */
void *lb_arena_get_unset(lb_arena *a, size_t count, size_t size);
char *lb_arena_strdup(lb_arena *a, const char *s);
char *lb_arena_printf(lb_arena *a, const char *fmt, ...) LB_PRINTF(2, 3);
/* A mark, and back to it: everything got since is free again. The arena keeps the memory for what is got next, because
 * pages that the system has to hand out anew cost more than most of what is done with them; lb_arena_trim gives it
 * back. Blocks of more than 32 MiB go back at once: what is done with those takes longer. */
typedef struct lb_arena_mark {
    void *chunk;
    size_t used, held;
} lb_arena_mark;
lb_arena_mark lb_arena_save(const lb_arena *a);
void lb_arena_restore(lb_arena *a, lb_arena_mark m);
void lb_arena_trim(lb_arena *a);
/* The most bytes that were got of it at any time, each block up to a full cache line. */
size_t lb_arena_most(const lb_arena *a);

#define LB_NEW(arena, T, count)       ((T *)lb_arena_get((arena), (size_t)(count), sizeof(T)))
#define LB_NEW_UNSET(arena, T, count) ((T *)lb_arena_get_unset((arena), (size_t)(count), sizeof(T)))

#endif

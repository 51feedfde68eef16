/* What reading a results folder by its index (store_index.c) and reading what else lies in it (store_unlisted.c)
 * share. */
#ifndef LB_RESULT_STORE_FOLDER_H
#define LB_RESULT_STORE_FOLDER_H

#include "base/index.h"
#include "result/store.h"

enum { LB_CELLS_MOST = 100000 }; /* of one folder, and of several read together */

/* lb_store_read_results into r, which is empty, or with `all` lb_store_read_all; everything from the arena. */
LB_NODISCARD lb_status lb_store_read_folder(lb_arena *a, const char *dir, bool all, lb_results *r);
/* A name in a results folder, and nothing that a program would take for an option or a hidden file. */
bool lb_store_is_file_name(const char *s);
/* Finished results of a folder, by their names' index, that no cell of it is. */
LB_NODISCARD lb_status lb_store_count_unlisted(const char *dir, const lb_index *listed, int64_t *n);
/* "demo" of "results/demo/". */
const char *lb_store_folder_name(lb_arena *a, const char *dir);
/* Was it made by another code version? Then one of its warnings says so. */
LB_NODISCARD lb_status lb_store_note_version(lb_arena *a, lb_record *r);

#endif

/* Results on disk. While a cell runs: <stem>.journal (JSON lines, synced); finished: <stem>.h5, written to a temporary
 * name, synced, renamed. sweep.json lists the cells in order with refused and failed ones. docs/results.md is the
 * specification. Readers trust nothing. */
#ifndef LB_RESULT_STORE_H
#define LB_RESULT_STORE_H

#include "io/h5.h"
#include "result/record.h"

/* <dir>/<stem>.h5, atomic; fills r->file_hash. */
LB_NODISCARD lb_status lb_store_write(const char *dir, lb_record *r);
LB_NODISCARD lb_status lb_store_read(const char *path, lb_arena *a, lb_record *out);
/* The same of a file that a reader may have read ahead (NULL: none). */
LB_NODISCARD lb_status lb_store_read_ahead(lb_h5_reader *ahead, const char *path, lb_arena *a, lb_record *out);
/* The same of a file that is open: its record, checked. */
LB_NODISCARD lb_status lb_store_read_open(lb_h5 *h, lb_arena *a, lb_record *out);
/* LB_E_FORMAT: the record says what cannot be. */
LB_NODISCARD lb_status lb_store_check(const lb_record *r);
LB_NODISCARD lb_status lb_store_check_layer(const lb_layer_row *l);
bool lb_store_is_citation(const char *key); /* letters, digits and :.+/_- only: it becomes an argument of \nocite */
LB_NODISCARD lb_status lb_store_journal(const char *dir, const char *stem, const char *json_line); /* append, sync */
/* The sweep's index: every cell with stem, label, state and message, in order; those that have not run, with their
 * places, in a list of their own that older programs do not look at, and that a whole sweep's index has not. A finished
 * cell's hash is the one that its record knows; where it knows none, the file is read. Records that name a model are of
 * several: the index then has a list of those, with their notes, and is of another version, which programs that know
 * one model refuse. */
LB_NODISCARD lb_status lb_store_write_index(const char *dir, const char *name, const char *model_name,
                                            const char *model_note, const lb_record *r, int64_t n);
/* All records of a folder by its index: done cells from their files, others from the index; one whose file is gone is
 * LB_CELL_MISSING, a damaged file is an error naming it. Files made by another code version are read, and say so in a
 * warning of the record. */
LB_NODISCARD lb_status lb_store_read_results(const char *dir, lb_results **out);
/* The same with lb_store_read_unlisted; of a folder whose index is gone, what lies in it. */
LB_NODISCARD lb_status lb_store_read_all(const char *dir, lb_results **out);
/* Appends the results in the folder that its index does not list, of earlier sweeps: `unlisted`, with the label and
 * key that their files give, and the model of a listed cell that has the same, else one of their own. What cannot be
 * read is a notice. */
LB_NODISCARD lb_status lb_store_read_unlisted(lb_results *r);
/* Of several folders, in their order, each result (by its key) once: name "a, b", the first one's `dir`; records know
 * their folder, and their model where the folders' models differ. all: with what the indexes do not list. A folder
 * whose index cannot be read is left out, with a notice, unless it is so with all of them. */
LB_NODISCARD lb_status lb_store_read_several(const char *const *dir, int64_t n, bool all, lb_results **out);
void lb_results_free(lb_results *r);

#endif

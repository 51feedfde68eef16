/* Models' folders with one thing changed, made from a fixture. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include "io/safetensors.h"
#include "model/model.h"
#include "support/support.h"

enum { FOLDER_TENSORS = 128 };
typedef struct folder {
    char dir[LB_TEST_PATH];
    char *config;
    lb_arena *arena;
    lb_tensor_out t[FOLDER_TENSORS];
    int64_t n;
} folder;

folder folder_take(const char *name); /* a fixture's parts in memory, and a new folder's name */
void folder_drop(folder *f);
void folder_write(const folder *f); /* in float32, which is used where it lies in the file */
void folder_write_as(const folder *f, lb_dtype type);
lb_tensor_out *folder_tensor(folder *f, const char *name);
void folder_replace(folder *f, const char *from, const char *to); /* the text once in the config */
/* Opening fails so, with or without the numbers. */
void expect_no_model(const char *path, lb_status status, const char *message);
/* A text of the fixture's config replaced, and how opening ends then; LB_OK: it opens. */
typedef struct folder_edit {
    const char *from, *to;
    lb_status status;
    const char *message;
} folder_edit;
void expect_edit(const char *fixture, const folder_edit *e);
void join_path(char out[LB_TEST_PATH], const char *dir, const char *name);

#endif

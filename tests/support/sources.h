/* Inputs that are not in the repository (golden files, models, texts), found by content: LOWBIT_SOURCES names one or
 * more folders, separated by ':', that are searched with all their subfolders for a file of that SHA-256. */
#ifndef TESTS_SUPPORT_SOURCES_H
#define TESTS_SUPPORT_SOURCES_H

/* The path, or NULL if LOWBIT_SOURCES is not set or holds no such file. name: what the file is usually called, looked
 * at first. The result stays valid until the next call. */
const char *source_find(const char *name, const char *sha256);

/* The same; skips the running cmocka test, saying what is missing. */
const char *source_need(const char *name, const char *sha256);

#endif

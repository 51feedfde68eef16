/* tokenizer.model: read, used to encode and decode, saved and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz/tokenizer_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    " the ring <s>[keep] <k>\xef\xbc\xa1 e\xcc\x81  12\r\n\xff\xe2\x96\x81 naive aaaa \xf0\x9f\x98\x80 ";
static char dir[] = "/dev/shm/fuzz-spm-XXXXXX", saved[64], file[64];

static void remove_folder(void) {
    static const char *const files[] = {"tokenizer.model", "saved/tokenizer.model", "saved", ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)remove(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!*saved) {
        if (!mkdtemp(dir)) abort();
        snprintf(saved, sizeof saved, "%s/saved", dir);
        snprintf(file, sizeof file, "%s/tokenizer.model", dir);
        atexit(remove_folder);
    }
    FILE *f = fopen(file, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
    lb_tokenizer *t;
    if (!ends_well(lb_tokenizer_from_dir(dir, &t))) return 0;
    use(t, text, sizeof text - 1, saved);
    lb_tokenizer_free(t);
    return 0;
}

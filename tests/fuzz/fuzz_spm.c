/* tokenizer.model: read, used to encode and decode, saved and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "support/status_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/fuzz-spm-XXXXXX", saved[64], file[64];

static void remove_folder(void) {
    static const char *const files[] = {"tokenizer.model", "saved/tokenizer.model", "saved", ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)remove(path);
    }
}

/* A failure must be one of these, with a message. */
static bool ends_well(lb_status s) {
    if (s == LB_OK) return true;
    if ((s == LB_E_FORMAT || s == LB_E_UNSUPPORTED || s == LB_E_IO) && *lb_error()) return false;
    fprintf(stderr, "%s: %s\n", status_name(s), lb_error());
    abort();
}

static void use(const lb_tokenizer *t) {
    static const char text[] = " the ring <s>[keep] <k>\xef\xbc\xa1 e\xcc\x81  12\r\n\xff\xe2\x96\x81 naive aaaa \xf0\x9f\x98\x80 ";
    for (int special = 0; special < 2; special++) {
        int32_t *id;
        int64_t n;
        char *back;
        size_t len;
        if (!ends_well(lb_tokenizer_encode(t, text, sizeof text - 1, special, &id, &n))) continue;
        for (int64_t i = 0; i < n; i++)
            if (id[i] < 0 || id[i] >= lb_tokenizer_vocab(t)) abort();
        if (ends_well(lb_tokenizer_decode(t, id, n, &back, &len))) lb_free(back);
        lb_free(id);
    }
    lb_tokenizer *again;
    if (!ends_well(lb_tokenizer_save(t, saved))) return;
    if (!ends_well(lb_tokenizer_from_dir(saved, &again))) {
        fprintf(stderr, "saved, but not loaded: %s\n", lb_error());
        abort();
    }
    lb_tokenizer_free(again);
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
    use(t);
    lb_tokenizer_free(t);
    return 0;
}

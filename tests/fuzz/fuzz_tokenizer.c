/* Tokenizers out of tokenizer.json, or out of GGUF where the input says it is that: load, encode, decode, save. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fuzz/tokenizer_kit.h"
#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "the ring<s> aba<u> and  12 things!\xff\n it's [keep] zz \xe4\xbd\xa0 bab!!1";
static char dir[] = "/dev/shm/fuzz-tokenizer-XXXXXX", saved[64];

static void remove_folder(void) {
    static const char *const files[] = {"tokenizer.json", "saved/tokenizer.json", "saved/tokenizer_config.json",
                                        "saved", ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)remove(path);
    }
}

static lb_status from_gguf(const uint8_t *data, size_t size, lb_tokenizer **t) {
    memfile m = memfile_make(data, size);
    lb_gguf *g;
    lb_status s = lb_gguf_open(m.path, &g);
    if (s == LB_OK) {
        s = lb_tokenizer_from_gguf(g, t);
        lb_gguf_close(g);
    }
    memfile_close(&m);
    return s;
}

static lb_status from_json(const uint8_t *data, size_t size, lb_tokenizer **t) {
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
    return lb_tokenizer_from_dir(dir, t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!*saved) {
        if (!mkdtemp(dir)) abort();
        snprintf(saved, sizeof saved, "%s/saved", dir);
        atexit(remove_folder);
    }
    lb_tokenizer *t;
    bool gguf = size >= 4 && !memcmp(data, "GGUF", 4);
    if (!ends_well(gguf ? from_gguf(data, size, &t) : from_json(data, size, &t))) return 0;
    use(t, text, sizeof text - 1, saved);
    lb_tokenizer_free(t);
    return 0;
}

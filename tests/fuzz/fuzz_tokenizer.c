/* Tokenizers out of tokenizer.json, or out of GGUF where the input says it is that: load, encode, decode, save. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/tokenizer/tokenizer.h"
#include "support/io_probe.h"
#include "support/status_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* A failure must be one of these, with a message. */
static bool ends_well(lb_status s) {
    if (s == LB_OK) return true;
    if ((s == LB_E_FORMAT || s == LB_E_UNSUPPORTED || s == LB_E_IO) && *lb_error()) return false;
    fprintf(stderr, "%s: %s\n", status_name(s), lb_error());
    abort();
}

static void use(const lb_tokenizer *t) {
    static const char text[] = "the ring<s> aba<u> and  12 things!\xff\n it's [keep] zz \xe4\xbd\xa0 bab!!1";
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
    lb_tokenizer *again; /* what we wrote we can read */
    if (!ends_well(lb_tokenizer_save(t, saved))) return;
    if (!ends_well(lb_tokenizer_from_dir(saved, &again))) {
        fprintf(stderr, "saved, but not loaded: %s\n", lb_error());
        abort();
    }
    lb_tokenizer_free(again);
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
    use(t);
    lb_tokenizer_free(t);
    return 0;
}

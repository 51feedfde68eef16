/* A pattern of a tokenizer's pre-tokenizer: compiled, and matched against a text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/tokenizer/tokenizer.h"
#include "support/status_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/fuzz-regex-XXXXXX", path[64];

static void remove_folder(void) {
    unlink(path);
    rmdir(dir);
}

/* A failure must be one of these, with a message. */
static bool ends_well(lb_status s) {
    if (s == LB_OK) return true;
    if ((s == LB_E_FORMAT || s == LB_E_UNSUPPORTED) && *lb_error()) return false;
    fprintf(stderr, "%s: %s\n", status_name(s), lb_error());
    abort();
}

static void write_tokenizer(json_t *pattern) {
    json_t *o = json_pack("{s:s, s:[], s:n, s:{s:s, s:{s:o}, s:s, s:b}, s:n, s:n, s:{s:s, s:{s:i, s:i}, s:[]}}",
                          "version", "1.0", "added_tokens", "normalizer", "pre_tokenizer", "type", "Split", "pattern",
                          "Regex", pattern, "behavior", "Isolated", "invert", 0, "post_processor", "decoder", "model",
                          "type", "BPE", "vocab", "a", 0, "b", 1, "merges");
    if (!o || json_dump_file(o, path, 0) != 0) abort();
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "a b  abc'll 123\n\tIt\u2019s \u4f60\u597d aaaaaaaaaaaa bab!!1 \u0301x";
    json_t *pattern = json_stringn((const char *)data, size); /* NULL: no UTF-8 */
    if (!pattern) return 0;
    if (!*path) {
        if (!mkdtemp(dir)) abort();
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
        atexit(remove_folder);
    }
    write_tokenizer(pattern);
    lb_tokenizer *t;
    int32_t *id;
    int64_t n;
    if (!ends_well(lb_tokenizer_from_dir(dir, &t))) return 0;
    if (ends_well(lb_tokenizer_encode(t, text, sizeof text - 1, false, &id, &n))) lb_free(id);
    lb_tokenizer_free(t);
    return 0;
}

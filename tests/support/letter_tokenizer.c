#include "support/letter_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "base/str.h"
#include "support/support.h"

static const char letter[LETTERS + 1] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456";

static void write_file(const char *path, lb_str *s) {
    assert_ok(lb_str_check(s));
    assert_ok(lb_fs_write_atomic(path, s->s, s->len));
    lb_str_free(s);
}

void letter_tokenizer(const char *dir) {
    char path[LB_TEST_PATH];
    lb_str s = {0};
    lb_str_add(&s, "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":"
                   "\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
                   "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
                   "\"trim_offsets\":true,\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int i = 0; i < LETTERS; i++) lb_str_add(&s, "%s\"%c\":%d", i ? "," : "", letter[i], i);
    lb_str_add(&s, "},\"merges\":[]}}");
    assert_true(snprintf(path, sizeof path, "%s/tokenizer.json", dir) < (int)sizeof path);
    write_file(path, &s);
}

void letter_text(const char *path, unsigned seed, size_t letters) {
    lb_rng r = lb_rng_make(seed, 0);
    lb_str s = {0};
    for (size_t i = 0; i < letters; i++) lb_str_add(&s, "%c", letter[lb_rng_below(&r, LETTERS)]);
    write_file(path, &s);
}
